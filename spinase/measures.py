"""What logs, observers and samplers say of a magnet in the field that a driver applies to it: one definition of each number.

* free energy: the calculator's ``free_energy`` (its ``energy`` where it has no other) - sum_i m_i.B_applied;
* internal energy: the calculator's ``energy`` - sum_i m_i.B_applied;
* fields: ``magnetic_forces`` + B_applied; torques m_i x (that);
* averages (mean moment, rms torque) are over the magnetic sites;
* spin temperature: |gradient|^2 over curvature of the energy, exact for any energy.

The field of a driver belongs to no calculator.  Whoever observes a driver passes ``contract.applied_field_of(driver)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from spinase.atoms import get_moments, get_reference_lengths, has_moments, magnetic_sites
from spinase.contract import (
    calculator_of,
    energy_of,
    field_function,
    internal_energy_of,
    is_conservative,
    is_linear_in_each_spin,
)
from spinase.errors import InvalidMomentsError
from spinase.spin_algebra import directions
from spinase.typing import BoolArray, FloatArray

Applied = FloatArray | float
"""Field (N, 3), energy/moment; 0.0: none."""

_DIRECTIONS = 2  # along which the curvature is taken, on average over the sites
_ANGLE = 0.05  # radian; single precision still resolves the change of the fields


class TorqueNorms(NamedTuple):
    """`rms` = sqrt(<|T_i|^2>) and `maximum` = max |T_i| over the sites, energy."""

    rms: float
    maximum: float


@runtime_checkable
class EnergyOfSpins(Protocol):
    """A calculator that knows which part of its energy changes when spins turn at fixed atoms."""

    def energy_of_spins(self, atoms: Atoms) -> float:
        """That part, energy."""
        ...


def site_mask(atoms: Atoms) -> BoolArray:
    """Mask (N,) of the sites an analysis uses: the magnetic ones, or all if no site has a moment."""
    return magnetic_sites(atoms) if has_moments(atoms) else np.ones(len(atoms), dtype=bool)


def applied_energy(atoms: Atoms, applied: Applied = 0.0) -> float:
    """Energy -sum_i m_i.B_i of the moments in an applied field.

    Parameters
    ----------
    atoms : Atoms
        With moments.
    applied : float or (N, 3) ndarray
        Field, energy/moment; 0.0: none.
    """
    return -float(np.sum(get_moments(atoms) * applied))


def free_energy(atoms: Atoms, applied: Applied = 0.0) -> float | None:
    """Free energy, whose gradients are forces and fields, with that in the applied field; None for a driven system.

    Parameters
    ----------
    atoms : Atoms
        With a calculator.
    applied : float or (N, 3) ndarray
        Field, energy/moment; 0.0: none.
    """
    energy = energy_of(atoms)
    return None if energy is None else energy + applied_energy(atoms, applied)


def energy_of_spins(atoms: Atoms) -> float | None:
    """Free energy but for what only depends on the atoms; None for a driven system.

    Differences of it are the heat of spins that turn at fixed atoms, and no potential of the lattice is asked for them.
    """
    calc = calculator_of(atoms)
    if is_conservative(calc) and isinstance(calc, EnergyOfSpins):
        return calc.energy_of_spins(atoms)
    return energy_of(atoms)


def internal_energy(atoms: Atoms, applied: Applied = 0.0) -> float | None:
    """Internal energy with that in the applied field; None for a driven system.

    Parameters
    ----------
    atoms : Atoms
        With a calculator.
    applied : float or (N, 3) ndarray
        Field, energy/moment; 0.0: none.
    """
    energy = internal_energy_of(atoms)
    return None if energy is None else energy + applied_energy(atoms, applied)


def total_fields(atoms: Atoms, applied: Applied = 0.0) -> FloatArray:
    """Magnetic forces of the calculator and the applied field (N, 3), energy/moment.

    Parameters
    ----------
    atoms : Atoms
        With a calculator.
    applied : float or (N, 3) ndarray
        Field, energy/moment; 0.0: none.
    """
    return np.asarray(calculator_of(atoms).get_property("magnetic_forces", atoms), dtype=np.float64) + applied


def torques_of_sites(atoms: Atoms, applied: Applied = 0.0) -> TorqueNorms:
    """Rms and largest torque over the magnetic sites, energy.

    Parameters
    ----------
    atoms : Atoms
        With a calculator.
    applied : float or (N, 3) ndarray
        Field, energy/moment; 0.0: none.
    """
    return torque_norms(np.cross(get_moments(atoms), total_fields(atoms, applied))[site_mask(atoms)])


def spin_temperature_of(atoms: Atoms, applied: Applied = 0.0) -> float:
    """Temperature of the spins, energy; nan where there is none (far from equilibrium).

    :func:`spin_temperature` where the calculator is known to be linear in each spin, else
    :func:`configurational_spin_temperature` with fixed directions (four more evaluations of the fields).

    Parameters
    ----------
    atoms : Atoms
        With a calculator.
    applied : float or (N, 3) ndarray
        Field, energy/moment; 0.0: none.
    """
    moments, calc = get_moments(atoms), calculator_of(atoms)
    try:
        if is_linear_in_each_spin(atoms, calc):
            kT = spin_temperature(moments, total_fields(atoms, applied))
            return kT if kT >= 0.0 else float("nan")
        reference = get_reference_lengths(atoms)
        lengths = np.linalg.norm(moments, axis=1) if reference is None else reference
        fields, scale = field_function(atoms, calc, lengths), np.where(lengths > 0.0, lengths, 1.0)[:, None]
        return configurational_spin_temperature(
            lambda m: fields(m / scale) + applied, moments, np.random.default_rng(0), _DIRECTIONS, _ANGLE
        )
    except InvalidMomentsError:
        return float("nan")


def magnetization(atoms: Atoms) -> FloatArray:
    """Mean moment vector of the magnetic sites, M = sum_i m_i / N, shape (3,), mu_B or |m|."""
    return np.asarray(get_moments(atoms)[site_mask(atoms)].mean(axis=0))


class Summary(NamedTuple):
    """A line of a log: free energy per site (None: there is none), |sum_i m_i|/N, and rms |m_i x B_i|."""

    energy: float | None
    magnetization: float
    rms_torque: float


def summary(atoms: Atoms, applied: Applied = 0.0) -> Summary:
    """What logs say of a magnet in an applied field: energy/site, mu_B or |m|, energy; averages over magnetic sites.

    Parameters
    ----------
    atoms : Atoms
        With a calculator.
    applied : float or (N, 3) ndarray
        Field, energy/moment; 0.0: none.
    """
    energy = free_energy(atoms, applied)
    return Summary(
        None if energy is None else energy / len(atoms),
        float(np.linalg.norm(magnetization(atoms))),
        torques_of_sites(atoms, applied).rms,
    )


def torque_norms(torques: ArrayLike) -> TorqueNorms:
    """Root mean square and largest length of torques T_i = m_i x B_i, shape (N, 3), energy."""
    array = np.asarray(torques, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 3 or not len(array):
        raise InvalidMomentsError(f"torques must have shape (N, 3), got {array.shape}")
    lengths = np.linalg.norm(array, axis=1)
    return TorqueNorms(float(np.sqrt(np.mean(lengths**2))), float(lengths.max()))


def spin_temperature(moments: ArrayLike, magnetic_forces: ArrayLike) -> float:
    """kT_s = sum_i |m_i x B_i|^2 / (2 sum_i m_i.B_i), energy, from moments and magnetic forces, both (N, 3).

    Exact in equilibrium for energies that are linear in each spin (pair models: exchange, DMI, Zeeman), where
    <|m x B|^2> = 2 kT <m.B> (Nurdin, Schotte, Phys. Rev. E 61, 3579 (2000), doi:10.1103/PhysRevE.61.3579).
    It may be negative away from equilibrium.

    Parameters
    ----------
    moments : (N, 3) array_like
        mu_B or |m|.
    magnetic_forces : (N, 3) array_like
        B = -dE/dm, energy/moment.

    Raises
    ------
    InvalidMomentsError
        If sum_i m_i.B_i is zero, where the formula says nothing.
    """
    vectors, fields = np.asarray(moments, dtype=np.float64), np.asarray(magnetic_forces, dtype=np.float64)
    if vectors.shape != fields.shape or vectors.ndim != 2 or vectors.shape[1] != 3:
        raise InvalidMomentsError(f"moments and magnetic_forces must both be (N, 3), got {vectors.shape} and {fields.shape}")
    alignment = float(np.sum(vectors * fields))
    if alignment == 0.0:
        raise InvalidMomentsError("sum m.B is zero, so there is no spin temperature (no field acts along the moments)")
    return float(np.sum(np.cross(vectors, fields) ** 2)) / (2.0 * alignment)


def configurational_spin_temperature(
    fields: Callable[[FloatArray], FloatArray],
    moments: ArrayLike,
    rng: np.random.Generator,
    samples: int = 4,
    angle: float = 0.02,
) -> float:
    """kT_s = sum |m x B|^2 / <d^2 E>, energy: the spin temperature of any energy, not only one linear in each spin.

    d^2 E is the second derivative of the energy along rotations of all spins by independent normal angles about their
    two tangent directions; its mean is the Laplacian on the spheres, which is 2 sum m.B for pair models.

    Parameters
    ----------
    fields : callable
        B (N, 3) of moments (N, 3) of the same lengths, energy/moment.
    moments : (N, 3) array_like
        Moments, |m| or mu_B.
    rng : numpy Generator
        For the rotations.
    samples : int
        Rotations to average over.
    angle : float
        Their size, radian; 0.1 for single precision.

    Raises
    ------
    InvalidMomentsError
        If the mean second derivative is not positive: far from equilibrium there is no temperature.

    Source: H. H. Rugh, Phys. Rev. Lett. 78, 772 (1997), as <|grad E|^2> = kT <Laplacian E>.
    """
    vectors = np.asarray(moments, dtype=np.float64)
    units, norms = directions(vectors)
    lengths = norms[:, None]
    curvature = 0.0
    for _ in range(samples):
        turn = angle * np.cross(units, rng.normal(size=vectors.shape))
        for sign in (1.0, -1.0):
            angles = np.linalg.norm(turn, axis=1, keepdims=True)
            towards = sign * turn / np.where(angles > 0.0, angles, 1.0)
            moved = lengths * (np.cos(angles) * units + np.sin(angles) * towards)
            velocity = lengths * angles * (np.cos(angles) * towards - np.sin(angles) * units)
            curvature -= float(np.sum(np.asarray(fields(moved)) * velocity)) / (2.0 * samples * angle**2)
    if curvature <= 0.0:
        raise InvalidMomentsError(
            f"the energy curves downwards along random rotations ({curvature:.3g}): there is no spin temperature"
        )
    return float(np.sum(np.cross(vectors, np.asarray(fields(vectors))) ** 2)) / curvature
