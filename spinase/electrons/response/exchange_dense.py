"""Exchange from all eigenstates, on a mesh of k-points: the exact reference."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from spinase.electrons.kmesh import KMesh
from spinase.electrons.occupation import FixedChemicalPotential, Occupation, fermi
from spinase.electrons.operator import SpinOperator
from spinase.electrons.response.exchange import NumberResponse, SitePairs, SpinResponse
from spinase.electrons.solvers.dense import bloch_states
from spinase.errors import ModelError
from spinase.spin_algebra import PAULI
from spinase.typing import ComplexArray, FloatArray

_CHUNK_BYTES = 128 * 1024**2
_COLD = 1e-9  # levels this close to the Fermi level, relative to the largest, are at it where kT = 0


def dense_spin_response(operator: SpinOperator, occupation: Occupation, mesh: KMesh, pairs: SitePairs) -> SpinResponse:
    """Second derivatives of the free energy by the exchange vectors of pairs, from eigenstates.

    With a mesh of k-points the magnet is the cell repeated `mesh.size` times, and one site in one of its cells is turned
    against one other.

    Parameters
    ----------
    operator : SpinOperator
        H, energy.
    occupation : Occupation
        Filling or chemical potential, and temperature; kT = 0 with a gap only.
    mesh : KMesh
        A regular one, with equal weights.
    pairs : SitePairs
        Wanted pairs.

    Raises
    ------
    ModelError
        At kT = 0 with levels at the Fermi level: the energy has no second derivative there.
    """
    points = mesh.points
    levels, vectors = bloch_states(operator, points)
    energies, states = levels.ravel(), vectors.reshape(-1, *vectors.shape[2:]) / np.sqrt(len(points))
    filled = occupation.fill(energies, np.full(len(energies), 1.0 / len(points)), 2.0 * len(operator))
    mu = filled.chemical_potential
    if occupation.kT == 0.0:
        _require_gap(energies, mu)
    bloch = np.repeat(points, levels.shape[1], axis=0)
    products = _products(states, bloch, energies, mu, occupation, pairs)
    if isinstance(occupation, FixedChemicalPotential):
        return SpinResponse(pairs, products, None)
    slopes = _fermi_slopes(energies, mu, occupation.kT)
    spins = np.einsum("mis,ast,mit->mia", states.conj(), PAULI, states, optimize=True).real
    return SpinResponse(pairs, products, NumberResponse(np.einsum("m,mia->ia", slopes, spins), -float(slopes.sum())))


def divided_differences(one: FloatArray, two: FloatArray, chemical_potential: float, kT: float) -> FloatArray:  # noqa: N803
    """(f(e) - f(e'))/(e - e') of the Fermi function for all pairs of levels (m,), (n,), the slope f' for equal ones: (m, n).

    Near levels by sinh(d/2)/(d/2) / (4 cosh(x/2) cosh(x'/2)), d = x - x', where a difference would have no digits left.

    Parameters
    ----------
    one, two : (m,), (n,) ndarray
        Levels e and e', energy.
    chemical_potential : float
        Energy.
    kT : float
        Energy; at 0 equal levels give 0.
    """
    gaps = one[:, None] - two
    if kT == 0.0:
        steps = fermi(one, chemical_potential, 0.0)[:, None] - fermi(two, chemical_potential, 0.0)
        return np.divide(steps, gaps, out=np.zeros_like(gaps), where=steps != 0.0)
    x, y = (one - chemical_potential) / kT, (two - chemical_potential) / kT
    half = 0.5 * gaps / kT
    near = np.abs(half) < 0.5
    stretched = np.where(near, half, 0.5)
    ratio = np.divide(np.sinh(stretched), stretched, out=np.ones_like(half), where=stretched != 0.0)
    roots = [np.sqrt(expit(z) * expit(-z)) for z in (x, y)]
    far = np.divide(expit(-x)[:, None] - expit(-y), gaps, out=np.zeros_like(gaps), where=~near)
    return np.where(near, -ratio * roots[0][:, None] * roots[1] / kT, far)


def _require_gap(levels: FloatArray, mu: float) -> None:
    at = np.abs(levels - mu) <= _COLD * max(float(np.abs(levels).max()), abs(mu))
    if at.any():
        raise ModelError(
            f"{int(at.sum())} level(s) are at the Fermi level {mu:.6g} at kT = 0: the energy has no second derivative "
            "there; use kT > 0, or a filling with a gap"
        )


def _fermi_slopes(levels: FloatArray, mu: float, kT: float) -> FloatArray:  # noqa: N803
    x = (levels - mu) / kT if kT else np.full(len(levels), np.inf)
    return -expit(x) * expit(-x) / (kT or 1.0)


def _products(
    states: ComplexArray, bloch: FloatArray, levels: FloatArray, mu: float, occupation: Occupation, pairs: SitePairs
) -> ComplexArray:
    """Pi_mu,nu = sum_mn F_mn x_mu^m conj(x_nu^n), x_mu^m = psi_m(j)^+ sigma^mu psi_m(i)/2, (P, 4, 4)."""
    sigma = np.concatenate([np.eye(2)[None], PAULI])
    products = np.zeros((len(pairs), 4, 4), dtype=np.complex128)
    count = len(levels)
    at_once = max(1, _CHUNK_BYTES // (64 * count))
    rows = max(1, _CHUNK_BYTES // (8 * count))
    for start in range(0, len(pairs), at_once):
        part = slice(start, start + at_once)
        phases = np.exp(-2j * np.pi * (bloch @ pairs.shifts[part].T))  # psi(j)^+ of cell S
        left, right = states[:, pairs.second[part]].conj(), states[:, pairs.first[part]]
        x = 0.5 * np.einsum("mp,mps,ust,mpt->pum", phases, left, sigma, right, optimize=True)
        flat = np.ascontiguousarray(x.reshape(-1, count))
        for low in range(0, count, rows):
            here = slice(low, low + rows)
            weighted = flat.conj() @ divided_differences(levels[here], levels, mu, occupation.kT).T
            products[part] += np.einsum("pum,pvm->puv", x[:, :, here], weighted.reshape(len(x), 4, -1), optimize=True)
    return products


__all__ = ["dense_spin_response", "divided_differences"]
