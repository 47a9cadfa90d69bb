"""Conductivity and local densities of states from all eigenstates, on a mesh of k-points: the exact reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike

from spinase.electrons.kmesh import KMesh, as_mesh
from spinase.electrons.operator import SpinOperator
from spinase.electrons.response.conductivity import QUANTUM, Conductivity
from spinase.electrons.response.velocity import (
    carrying_axes,
    periodic_extent,
    velocity_matrices,
)
from spinase.electrons.solvers.dense import bloch_states
from spinase.errors import ModelError
from spinase.geometry import Geometry
from spinase.typing import ComplexArray, FloatArray

_MESH = 4  # energies per width
_BEYOND = 6  # widths that the mesh goes beyond the band


def dense_conductivity(
    operator: SpinOperator,
    geometry: Geometry,
    kpts: KMesh | tuple[int, int, int],
    width: float,
    progress: Callable[[int, int], None] | None = None,
) -> Conductivity:
    r"""Conductivity from eigenstates; memory for a few (2N, 2N) matrices.

    Parameters
    ----------
    operator : SpinOperator
        Of the magnet, Bloch phases left out.
    geometry : Geometry
        Cell and periodic directions.
    kpts : (int, int, int) or KMesh
        Mesh along the cell vectors.
    width : float
        Of the levels, energy: the standard deviation of Gaussians in place of delta(E - H), and eta in place of
        :math:`(\epsilon_n-\epsilon_m)^2` by :math:`(\epsilon_n-\epsilon_m)^2 + \eta^2`.
    progress : callable, optional
        Told how many k-points of how many are done.

    Raises
    ------
    ModelError
        For a mesh that does not fit, a width that is not positive, or a magnet without a periodic direction.
    """
    _check_width(width)
    extent, axes, mesh = periodic_extent(geometry), carrying_axes(geometry), as_mesh(kpts)
    mesh.require_periodic(geometry.pbc)
    energies = _energies(operator, width)
    surface = np.zeros((len(energies), 3, 3))
    levels, sea = [], []
    for done, (values, vectors, bloch, weight) in enumerate(_eigenstates(operator, mesh), start=1):
        scale = QUANTUM / extent * weight
        velocities: list[ComplexArray] = [
            vectors.conj().T @ np.asarray(v @ vectors) for v in velocity_matrices(operator, list(axes), bloch)
        ]
        near = _gaussians(energies, values, width)
        softened = 1.0 / ((values[:, None] - values) ** 2 + width**2)
        mine = np.zeros((len(values), 3, 3))
        for one, a in enumerate(axes):
            for two, b in enumerate(axes[: one + 1]):
                product = velocities[one] * velocities[two].T
                between = np.einsum("en,nm,em->e", near, product.real, near, optimize=True)
                surface[:, a, b] += np.pi * scale * between
                if a != b:
                    surface[:, b, a] += np.pi * scale * between
                    mine[:, a, b] = 2.0 * scale * (product.imag * softened).sum(axis=1)
                    mine[:, b, a] = -mine[:, a, b]
        levels.append(values)
        sea.append(mine)
        if progress is not None:
            progress(done, len(mesh))
    found = np.concatenate(levels)
    shares = np.repeat(mesh.weights, len(found) // len(mesh))
    return Conductivity(width, found, np.concatenate(sea)[None], shares, energies, surface[None])


def local_density_of_states(
    operator: SpinOperator, geometry: Geometry, energies: ArrayLike, kpts: KMesh | tuple[int, int, int], width: float
) -> FloatArray:
    """Local density of states (N, m), both spins, states per energy: sum_n |psi_n(i)|^2 g(E - e_n) with Gaussians.

    Parameters
    ----------
    operator : SpinOperator
        Of the magnet, Bloch phases left out.
    geometry : Geometry
        Cell and periodic directions.
    energies : (m,) array_like
        Where, energy.
    kpts : (int, int, int) or KMesh
        Mesh along the cell vectors.
    width : float
        Standard deviation of the Gaussians, energy.

    Raises
    ------
    ModelError
        For a mesh that does not fit, or a width that is not positive.
    """
    _check_width(width)
    mesh, points = as_mesh(kpts), np.atleast_1d(np.asarray(energies, dtype=np.float64))
    mesh.require_periodic(geometry.pbc)
    result = np.zeros((len(operator), len(points)))
    for values, vectors, _, share in _eigenstates(operator, mesh):
        weights = (np.abs(vectors) ** 2).reshape(len(operator), 2, -1).sum(axis=1)
        result += weights @ _gaussians(points, values, width).T * share
    return result


def _check_width(width: float) -> None:
    if not np.isfinite(width) or width <= 0.0:
        raise ModelError(f"the width of the levels must be a positive energy, got {width}")


def _eigenstates(operator: SpinOperator, mesh: KMesh) -> Iterator[tuple[FloatArray, ComplexArray, FloatArray, float]]:
    """Levels (2N,), eigenvectors in columns (2N, 2N), Bloch vector and weight of every point, one after the other."""
    for bloch, weight in zip(mesh.points, mesh.weights, strict=True):
        levels, states = bloch_states(operator, bloch[None])
        yield levels[0], np.ascontiguousarray(states[0].reshape(len(levels[0]), -1).T), bloch, float(weight)


def _energies(operator: SpinOperator, width: float) -> FloatArray:
    """A mesh over everything that levels can be, by Gershgorin's circles."""
    reach = np.zeros(len(operator))
    strengths = operator.bond_strengths()
    np.add.at(reach, operator.bonds.first, strengths)
    np.add.at(reach, operator.bonds.second, strengths)
    reach += np.linalg.norm(operator.exchange, axis=1) + _BEYOND * width
    low, high = float((operator.onsite - reach).min()), float((operator.onsite + reach).max())
    return np.linspace(low, high, int(np.ceil(_MESH * (high - low) / width)) + 1)


def _gaussians(energies: FloatArray, levels: FloatArray, width: float) -> FloatArray:
    """g(E - e_n), (n_energies, n_levels), 1/energy."""
    return np.exp(-0.5 * ((energies[:, None] - levels) / width) ** 2) / (width * np.sqrt(2.0 * np.pi))
