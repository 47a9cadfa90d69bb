"""Saddle points from a minimum alone: leave the basin, then follow one mode uphill and go downhill in all others.

The force along the mode v is turned round, F - 2 (F.v) v (G. Henkelman and H. Jonsson, J. Chem. Phys. 111, 7010 (1999); for
spins G. P. Mueller et al., Phys. Rev. Lett. 121, 197202 (2018)).  v is, of the modes of a small Krylov space that starts
from the one of the step before, the one that is most like it; two fields a product.  So the search keeps to the mode it
began with also where another one is softer, as the motion of a whole texture over the lattice is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.optimize import FIRE
from ase.utils.abc import Optimizable
from numpy.typing import ArrayLike

from spinase.atoms import get_spins
from spinase.contract import calculator_of, energy_of
from spinase.dynamics.relax import SpinOptimizable
from spinase.dynamics.settings import checked
from spinase.dynamics.stability import Curvatures
from spinase.errors import ConvergenceError, InvalidMomentsError
from spinase.spin_algebra import tangent
from spinase.typing import FloatArray

_KRYLOV = 8  # products with the Hessian for the mode of a step
_PUSH = 0.05  # radian of all spins together, by which a basin is left
_PUSHES = 400
_BEYOND = 0.1  # radian of all spins together, to either side of a saddle point


@dataclass(frozen=True, eq=False)
class Saddle:
    """Where a search from a minimum ended.

    Attributes
    ----------
    atoms : Atoms
        The spins there; they share the calculator of the minimum.
    barrier : float
        Energy above the start.
    converged : bool
        Whether the forces vanish there and exactly one curvature is negative.
    curvatures : Curvatures
        The lowest ones there, all for small magnets.
    steps : int
        Steps made after the basin was left.
    """

    atoms: Atoms
    barrier: float
    converged: bool
    curvatures: Curvatures
    steps: int

    @property
    def index(self) -> int:
        """Number of directions in which the energy falls: 1 at the saddle point of a transition."""
        return self.curvatures.negative


class ModeFollowing(Optimizable):
    """What ASE's optimizers see of a magnet that goes up along one mode: they end at a saddle point.

    Parameters
    ----------
    atoms : Atoms
        With a conservative calculator that has magnetic forces; changed in place.
    mode : (N, 3) array_like
        The mode at first: a rotation vector of every spin.
    krylov : int
        Products with the Hessian at every step.
    """

    def __init__(self, atoms: Atoms, mode: ArrayLike, krylov: int = _KRYLOV) -> None:
        self.surface = SpinOptimizable(atoms, minimum=False)
        self.mode = np.asarray(mode, dtype=np.float64).ravel()
        self.curvature = 0.0
        self._krylov = krylov

    def ndofs(self) -> int:
        """3 per spin."""
        return self.surface.ndofs()

    def get_x(self) -> FloatArray:
        """Rotation vectors since the start, flat."""
        return self.surface.get_x()

    def set_x(self, x: FloatArray) -> None:
        """Move to the coordinates `x`."""
        self.surface.set_x(x)

    def get_gradient(self) -> FloatArray:
        """Minus the force whose part along the mode is turned round."""
        self.curvature, self.mode = self.surface.nearest_mode(self.mode, self._krylov)
        slope = self.surface.get_gradient()
        return np.asarray(slope - 2.0 * float(slope @ self.mode) * self.mode)

    def converged(self, gradient: FloatArray, fmax: float) -> bool:
        """Whether all torques are below `fmax` where the energy falls along the mode."""
        return self.curvature < 0.0 and bool(self.surface.converged(gradient, fmax))

    def get_value(self) -> float:
        """The energy."""
        return self.surface.get_value()

    def iterimages(self) -> Iterator[Any]:
        """The atoms, for a trajectory."""
        yield from self.surface.iterimages()


def find_saddle(
    atoms: Atoms,
    direction: ArrayLike | None = None,
    *,
    fmax: float = 1e-4,
    steps: int = 1000,
    push: float = _PUSH,
    krylov: int = _KRYLOV,
) -> Saddle:
    """The saddle point that is reached from a minimum in a direction; no other end is needed.

    The spins turn along `direction` until the energy curves down along the mode most like it, which is followed uphill from
    there. Other directions lead to other saddle points: try several, such as soft modes
    (``stationary_point(atoms).direction(k)``) and turns of a few spins, and see with :func:`minima_beside` what the saddle
    point lies between.

    Parameters
    ----------
    atoms : Atoms
        A minimum, with a conservative calculator; it stays as it is.
    direction : (N, 3), optional
        How unit spins turn at first, ds of every site; its length does not matter.  Default: the softest mode.
    fmax : float
        Largest torque on a spin at the end, energy.
    steps : int
        Most steps (of FIRE) after the basin is left.
    push : float
        Step by which the basin is left, radian of all spins together.
    krylov : int
        Products with the Hessian at every step, two field evaluations each.

    Raises
    ------
    ConvergenceError
        If the energy never curves down on the way.
    NotConservativeError, InvalidMomentsError, ModelError
    """
    walker = atoms.copy()
    walker.calc = calculator_of(atoms)
    checked("push", push, positive=True)
    surface = SpinOptimizable(walker, minimum=False)
    start = energy_of(walker)
    assert start is not None  # SpinOptimizable refuses driven systems
    heading = _rotation_vectors(walker, surface, direction)
    mode = _leave(surface, heading, push, krylov)
    search = ModeFollowing(walker, mode.reshape(-1, 3), krylov)
    optimizer = FIRE(search, logfile=None, maxstep=0.1, **_paces(surface))
    found = bool(optimizer.run(fmax=fmax, steps=steps))
    curvatures = SpinOptimizable(walker, minimum=False).curvatures()
    end = energy_of(walker)
    assert end is not None
    return Saddle(walker, end - start, found and curvatures.negative == 1, curvatures, int(optimizer.nsteps))


def _paces(surface: SpinOptimizable) -> dict[str, float]:
    """Time steps of FIRE for this magnet's energies, whose square root is a frequency where masses are 1."""
    turn = 1.0 / np.sqrt(max(surface.energy_scale(), 1e-300))
    return {"dt": 0.1 * turn, "dtmax": turn}


def _rotation_vectors(walker: Atoms, surface: SpinOptimizable, direction: ArrayLike | None) -> FloatArray:
    """The heading as rotation vectors, flat and of unit length: ds = w x s."""
    if direction is None:
        return np.asarray(surface.curvatures().directions[0])
    turn, spins = np.asarray(direction, dtype=np.float64), get_spins(walker)
    if turn.shape != spins.shape or not np.isfinite(turn).all():
        raise InvalidMomentsError(f"the direction must be finite, of shape {spins.shape}, got shape {turn.shape}")
    vectors = np.cross(spins, tangent(turn, spins)).ravel()
    size = float(np.linalg.norm(vectors))
    if size <= 1e-9 * float(np.linalg.norm(turn)):  # round-off is no direction
        raise InvalidMomentsError("the direction turns no spin: it is zero, or along the spins")
    return np.asarray(vectors / size)


def _leave(surface: SpinOptimizable, heading: FloatArray, push: float, krylov: int) -> FloatArray:
    """Turn along `heading` until the mode like it curves down, or the energy falls along it; that mode."""
    mode = heading
    for _ in range(_PUSHES):
        surface.set_x(surface.get_x() + push * heading)
        curvature, mode = surface.nearest_mode(mode, krylov)
        if curvature < 0.0 or surface.get_gradient() @ heading < 0.0:
            return mode
    raise ConvergenceError(
        f"the energy still rises after {_PUSHES} turns of {push} radian along this direction: no saddle point was "
        "met; choose another direction, or a larger push"
    )


def minima_beside(saddle: Saddle, *, fmax: float = 1e-4, steps: int = 5000) -> tuple[Atoms, Atoms]:
    """The minima on both sides of a saddle point, by relaxation along its unstable mode.

    Parameters
    ----------
    saddle : Saddle
        Of :func:`find_saddle`.
    fmax : float
        Largest torque on a spin, energy.
    steps : int
        Most steps of each relaxation.

    Raises
    ------
    ConvergenceError
        If a relaxation does not end.
    """
    sides = []
    for sign in (1.0, -1.0):
        side = saddle.atoms.copy()
        side.calc = saddle.atoms.calc
        surface = SpinOptimizable(side)
        surface.set_x(sign * _BEYOND * saddle.curvatures.directions[0])
        if not FIRE(surface, logfile=None, maxstep=0.1, **_paces(surface)).run(fmax=fmax, steps=steps):
            raise ConvergenceError(
                f"the relaxation beside a saddle point did not end in {steps} steps: allow more, or a larger fmax"
            )
        sides.append(side)
    return sides[0], sides[1]


__all__ = ["ModeFollowing", "Saddle", "find_saddle", "minima_beside"]
