r"""Second derivatives of the energy at a minimum or a saddle point of a whole magnet, their modes, and the zero modes.

Coordinates are deviations u1, u2 across every spin, s = s_0 sqrt(1 - u^2) + u1 e1 + u2 e2, whose second derivatives hold the
curvature of the sphere, :math:`\Phi_{ij} = e_i^T (\partial^2 E/\partial s_i\partial s_j) e_j + \delta_{ij} H_i\cdot s_i`
(:mod:`spinase.spinwaves.hessian`, at q = 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from spinase.atoms import get_units, magnetic_sites
from spinase.brief import Brief
from spinase.contract import energy_of
from spinase.errors import ModelError
from spinase.rates.zero_modes import Orbit, rotation_orbit, translation_orbit
from spinase.spin_algebra import own_arrays
from spinase.spinwaves import BlochHessian, classical_hessian, difference_hessian
from spinase.typing import BoolArray, FloatArray, IntArray
from spinase.units import UnitSystem

_ZERO = 1e-6  # of the largest curvature


@dataclass(frozen=True, eq=False, repr=False)
class StationaryPoint(Brief):
    """A state without torques and the curvatures of its energy.

    Attributes
    ----------
    energy : float
        The one whose gradients are the fields.
    values : (2n,)
        Curvatures, ascending, energy (by radian squared).
    modes : (2n, 2n)
        Their orthonormal directions, columns, over u1 of the n magnetic sites, then u2.
    zero : (2n,) of bool
        Which are zero modes.
    volume : float
        Of the states along the zero modes, radian to the power of their number; 1 without any.
    threshold : float
        Curvatures of smaller size count as zero, energy.
    hessian : BlochHessian
        What the curvatures are of, with axes, spins and angular momenta of the magnetic sites.
    units : UnitSystem
        Of energies and times.
    """

    energy: float
    values: FloatArray
    modes: FloatArray
    zero: BoolArray
    volume: float
    threshold: float
    hessian: BlochHessian
    units: UnitSystem

    def __post_init__(self) -> None:
        own_arrays(self)

    @property
    def negative(self) -> int:
        """Number of directions in which the energy falls: 0 at a minimum, 1 at the saddle point of a transition."""
        return int(np.count_nonzero(self._falling))

    @property
    def zero_modes(self) -> int:
        """Number of zero modes."""
        return int(np.count_nonzero(self.zero))

    @property
    def positive(self) -> FloatArray:
        """Curvatures that are neither zero modes nor negative, ascending, energy."""
        return self.values[~(self.zero | self._falling)]

    @property
    def unstable(self) -> IntArray:
        """Places of the negative curvatures."""
        return np.flatnonzero(self._falling)

    @property
    def _falling(self) -> BoolArray:
        return ~self.zero & (self.values < 0.0)

    def direction(self, mode: int) -> FloatArray:
        """Turn of the magnetic sites' unit spins along a mode, (n, 3), normalized over all sites.

        Parameters
        ----------
        mode : int
            Its place in `values`.
        """
        first, second = self.hessian.axes.transpose(1, 0, 2)
        count = len(self.hessian)
        return np.asarray(self.modes[:count, mode, None] * first + self.modes[count:, mode, None] * second)

    def __str__(self) -> str:
        kind = {0: "minimum", 1: "saddle point"}.get(self.negative, f"point with {self.negative} unstable directions")
        lowest = ", ".join(f"{value:.4g}" for value in self.values[:3])
        room = f", {self.zero_modes} zero mode(s) of volume {self.volume:.6g}" if self.zero_modes else ""
        return f"{kind} at {self.energy:.8g} {self.units.energy}: {len(self.values)} curvatures, lowest {lowest}{room}"


def magnet_hessian(atoms: Atoms, tolerance: float = 1e-3) -> BlochHessian:
    """Second derivatives of a whole magnet: closed forms of classical terms, else differences of the fields.

    Parameters
    ----------
    atoms : Atoms
        Stationary spins with a conservative calculator; periodic images turn with the sites.
    tolerance : float
        Largest |s x H| accepted, relative to the largest field.

    Raises
    ------
    NotConservativeError
        For a driven calculator.
    ConvergenceError
        If the spins are not stationary.
    """
    try:
        return classical_hessian(atoms, tolerance=tolerance)
    except ModelError:  # no sum over sites and pairs: whatever else is wrong is found by the next line, too
        return difference_hessian(atoms, (1, 1, 1), tolerance=tolerance)


def stationary_point(
    atoms: Atoms,
    *,
    zero: float | None = None,
    translations: ArrayLike | None = None,
    axis: ArrayLike | None = None,
    volume: float | None = None,
    tolerance: float = 1e-3,
) -> StationaryPoint:
    """Curvatures of the energy in all directions at the present spins, and which of them are zero modes.

    Curvatures smaller than `zero` are zero modes.  Turns of all spins among them are recognized, and their volume is exact.
    What is left must be `translations`, or have the `volume` that is given.  Dense algebra: up to some 2000 sites.

    Parameters
    ----------
    atoms : Atoms
        A minimum or a saddle point (relax it first, or take it from a path), with a conservative calculator.
    zero : float, optional
        Threshold, energy; default: 1e-6 of the largest curvature, or the error of the curvatures if that is larger.
    translations : (1 or 2, 3), optional
        Lattice vectors along which a texture moves freely, length: the modes that are most like these motions are zero modes
        whatever their curvature is (the lattice holds textures a little).
    axis : (3,), optional
        Of the turns that cost nothing; needed for some collinear states oblique to the axis of their magnet.
    volume : float, optional
        Of zero modes that are neither turns nor `translations`, radian to the power of their number.
    tolerance : float
        Largest |s x H| accepted, relative to the largest field.

    Raises
    ------
    NotConservativeError
        For a driven calculator.
    ConvergenceError
        If the spins are not stationary.
    ModelError
        If zero modes are left whose volume is not known.
    """
    energy = energy_of(atoms)
    hessian = magnet_hessian(atoms, tolerance)
    assert energy is not None  # a driven calculator was refused
    values, modes = np.linalg.eigh(hessian.at(np.zeros(3))[0].real)
    threshold = max(_ZERO * float(np.abs(values).max()), hessian.uncertainty) if zero is None else float(zero)
    if not (np.isfinite(threshold) and threshold >= 0.0):
        raise ModelError(f"the threshold of zero modes must be an energy of at least 0, got {zero}")
    flat = np.abs(values) <= threshold
    slack = max(10.0 * hessian.uncertainty, 10.0 * threshold)
    turns = rotation_orbit(atoms, _as_turns(atoms, hessian, modes[:, flat]), axis, slack)
    moves = None if translations is None else translation_orbit(atoms, translations)
    chosen = _zero_modes(atoms, hessian, values, modes, flat, turns, moves)
    left = int(chosen.sum()) - len(turns.tangents) - (0 if moves is None else len(moves.tangents))
    if left > 0 and volume is None:
        raise ModelError(
            f"{left} of the curvatures {values[chosen].round(12).tolist()} count as zero (threshold "
            f"{threshold:.4g}) and are no turn "
            "of all spins: give `translations` for a texture that moves, the `volume` of these modes, or a smaller `zero`"
        )
    if left < 0:
        raise ModelError(
            "moving the texture along the translations is the same as turning all spins, which is counted already: leave "
            "`translations` out"
        )
    room = turns.volume * (1.0 if moves is None else moves.volume) * (volume if left and volume is not None else 1.0)
    return StationaryPoint(energy, values, modes, chosen, room, threshold, hessian, get_units(atoms))


def _as_turns(atoms: Atoms, hessian: BlochHessian, columns: FloatArray) -> FloatArray:
    """Directions (p, N, 3) of all sites from columns (2n, p) over u1, u2 of the magnetic ones."""
    from_axes = hessian.axes.transpose(1, 0, 2)
    count = len(hessian)
    found = np.zeros((columns.shape[1], len(atoms), 3))
    magnetic = np.flatnonzero(magnetic_sites(atoms))
    for axes, part in zip(from_axes, (columns[:count], columns[count:]), strict=True):
        found[:, magnetic] += part.T[:, :, None] * axes
    return found


def _zero_modes(
    atoms: Atoms,
    hessian: BlochHessian,
    values: FloatArray,
    modes: FloatArray,
    flat: BoolArray,
    turns: Orbit,
    moves: Orbit | None,
) -> BoolArray:
    """The flat modes, and those that are most like the motions."""
    chosen = flat.copy()
    if moves is None:
        return chosen
    shapes = _as_turns(atoms, hessian, modes).reshape(len(values), -1)
    weights = np.sum((moves.tangents.reshape(len(moves.tangents), -1) @ shapes.T) ** 2, axis=0)
    likest = np.argsort(-weights, kind="stable")[: len(moves.tangents)]
    if weights[likest].min() < 0.5:
        raise ModelError(
            f"no mode is like the motion along the translations (overlaps {weights[likest].round(3).tolist()}, at "
            "least 0.5 are needed): this texture does not move as a whole, leave `translations` out"
        )
    chosen[likest] = True
    return chosen


__all__ = ["StationaryPoint", "magnet_hessian", "stationary_point"]
