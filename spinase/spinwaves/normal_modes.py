"""Linear spin waves of any conservative calculator, from finite differences of its fields about a stationary state."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from spinase.atoms import get_units, gyromagnetic_ratios
from spinase.brief import Brief
from spinase.contract import FieldFunction, calculator_of, field_function
from spinase.dynamics.finite import watched
from spinase.errors import UnstableStateWarning
from spinase.spin_algebra import transverse_axes
from spinase.spinwaves.states import magnetic_state, require_stationary
from spinase.typing import ComplexArray, FloatArray, IntArray

_STEP = 1e-4  # radian; central differences
_NEGATIVE = 1e-6  # of the largest curvature: errors of the differences


@dataclass(frozen=True, eq=False, repr=False)
class SpinWaves(Brief):
    """Normal modes of small deviations.

    Attributes
    ----------
    frequencies : (n,)
        Angular frequencies, ascending, 1/time (ASE time units or t/hbar); zero for Goldstone modes.
    energies : (n,)
        hbar times that, energy.
    modes : (n, N, 3) complex
        Deviations of the unit spins, proportional to exp(-i frequency time); arbitrary norm.
    growth : float
        Largest growth rate without damping, 1/time; positive at a saddle.  Zero (to round-off) at a minimum, but also at a
        maximum, where spins precess as well, the other way round.
    curvatures : (n,)
        Energy of each mode over half its squared amplitude, energy: how the energy changes if it is excited.  Negative:
        the mode takes the magnet down, and grows as soon as there is damping.
    negative : int
        Number of independent directions in which the energy falls; 0 at a minimum.
    """

    frequencies: FloatArray
    energies: FloatArray
    modes: ComplexArray
    growth: float
    curvatures: FloatArray
    negative: int


def spin_waves(atoms: Atoms, tolerance: float = 1e-3) -> SpinWaves:
    r"""Spin-wave frequencies at the present spins and positions, which must be stationary.

    With local axes e1, e2 and s_i = s_i^0 + u1 e1 + u2 e2, the undamped LLG equation becomes linear,

    .. math:: \dot u_1 = -\gamma(b u_2 - e_2\cdot\delta B),\quad
              \dot u_2 = -\gamma(-b u_1 + e_1\cdot\delta B),\quad b = B\cdot s

    with deltaB the change of the fields, from 4 N evaluations, and gamma = g_i mu_B/hbar of each site.

    Parameters
    ----------
    atoms : Atoms
        A stationary state (relax it first), with a conservative calculator.
    tolerance : float
        Largest torque accepted, relative to the largest moment times field.

    Raises
    ------
    NotConservativeError
        For a driven calculator.
    ConvergenceError
        If the spins are not stationary.

    Warns
    -----
    UnstableStateWarning
        If the state is no minimum.
    """
    spins, lengths, magnetic = magnetic_state(atoms, "spin_waves")
    fields = watched(field_function(atoms, calculator_of(atoms), lengths), atoms, lengths)
    here = fields(spins)
    torque = require_stationary(spins, here, tolerance)
    units = get_units(atoms)
    generator = _generator(fields, spins, here, magnetic)
    hessian = _hessian(generator, lengths[magnetic])
    negative = _count_negative(hessian, float(torque * lengths.max()))
    gamma = gyromagnetic_ratios(atoms)[magnetic]
    matrix = np.concatenate([gamma, gamma])[:, None] * generator
    rates, vectors = np.linalg.eig(matrix)
    chosen = np.flatnonzero(rates.imag <= 0.0)  # exp(-i omega t): one of each pair
    chosen = chosen[np.argsort(-rates.imag[chosen], kind="stable")][: len(magnetic)]
    first, second = transverse_axes(spins[magnetic])
    modes = np.zeros((len(chosen), len(atoms), 3), dtype=np.complex128)
    half = vectors[:, chosen].T.reshape(len(chosen), 2, len(magnetic))
    modes[:, magnetic] = half[:, 0, :, None] * first + half[:, 1, :, None] * second
    frequencies = np.maximum(-rates.imag[chosen], 0.0)
    columns = vectors[:, chosen]
    energies = np.einsum("in,ij,jn->n", columns.conj(), hessian, columns).real / np.sum(np.abs(columns) ** 2, axis=0)
    return SpinWaves(frequencies, units.hbar * frequencies, modes, float(rates.real.max()), energies, negative)


def _generator(fields: FieldFunction, spins: FloatArray, here: FloatArray, magnetic: IntArray) -> FloatArray:
    """d(u1, u2)/dt over (u1, u2), divided by gamma."""
    first, second = transverse_axes(spins[magnetic])
    count, along = len(magnetic), np.einsum("ia,ia->i", spins, here)[magnetic]
    matrix = np.zeros((2 * count, 2 * count))
    for column in range(2 * count):
        k, axis = column % count, (first, second)[column // count]
        ends = []
        for sign in (1.0, -1.0):
            turned = spins.copy()
            turned[magnetic[k]] = np.cos(_STEP) * spins[magnetic[k]] + sign * np.sin(_STEP) * axis[k]
            ends.append(fields(turned)[magnetic])
        change = (ends[0] - ends[1]) / (2.0 * _STEP)
        matrix[:count, column] = np.einsum("ia,ia->i", second, change)
        matrix[count:, column] = -np.einsum("ia,ia->i", first, change)
    diagonal = np.arange(count)
    matrix[diagonal, count + diagonal] -= along
    matrix[count + diagonal, diagonal] += along
    return matrix


def _hessian(generator: FloatArray, lengths: FloatArray) -> FloatArray:
    """Second derivatives of the energy over (u1, u2): du1/dt = -gamma (dE/du2)/mu, du2/dt = gamma (dE/du1)/mu."""
    count = len(lengths)
    rows = np.concatenate([generator[count:], -generator[:count]]) * np.tile(lengths, 2)[:, None]
    return np.asarray(0.5 * (rows + rows.T))


def _count_negative(hessian: FloatArray, residue: float) -> int:
    """Number of negative curvatures beyond the errors of the differences; warns if there are any."""
    values = np.linalg.eigvalsh(hessian)
    negative = int(np.count_nonzero(values < -(_NEGATIVE * np.abs(values).max() + 2.0 * residue)))
    if negative:
        kind = "a maximum" if negative == len(values) else "a saddle point"
        warnings.warn(
            f"this state is {kind} of the energy, no minimum: it falls in {negative} of {len(values)} directions (lowest "
            f"curvature {values[0]:.4g}, highest {values[-1]:.4g}). With any damping such modes grow: relax the spins first "
            "(ase.optimize.FIRE(spinase.dynamics.SpinOptimizable(atoms))), and check the signs of the couplings",
            UnstableStateWarning,
            stacklevel=3,
        )
    return negative
