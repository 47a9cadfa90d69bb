"""Relaxation with ASE's optimizers: spins alone, or atoms and spins together, in rotation coordinates."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from ase import Atoms
from ase.utils.abc import Optimizable
from numpy.typing import ArrayLike

from spinase.atoms import get_moments, set_moments
from spinase.contract import (
    NotConservativeError,
    calculator_of,
    energy_of,
    is_conservative,
    probe_moments,
    require_forces,
    require_magnetic_forces,
)
from spinase.dynamics.constrained import mobile_mask
from spinase.dynamics.finite import require_finite
from spinase.dynamics.stability import Curvatures, lowest_curvatures, nearest_mode
from spinase.errors import ModelError, UnstableStateWarning
from spinase.spin_algebra import rotate_about, transverse_axes
from spinase.typing import FloatArray

_KICK = 0.01  # radian, away from a state that is no minimum


class SpinOptimizable(Optimizable):
    r"""What ASE's optimizers see of a magnet: ``FIRE(SpinOptimizable(atoms)).run(fmax=1e-4)``.

    The coordinates of a spin are a rotation vector: a step d turns it by |d| about d/|d|, so lengths are kept.  The
    gradient is

    .. math:: \partial E/\partial\theta_i = -T_i = -m_i\times B_i

    Steps and gradients of all iterations live in the same space of rotation vectors, so optimizers with a memory (BFGS,
    LBFGS) need no transport of their history between tangent planes, which on Cartesian spins they would; the component
    along the spin itself is zero throughout.  ASE's optimizers assume a stiffness of 70 eV/A^2: tell ``BFGS`` and ``LBFGS``
    that of the spins, about the energy of one spin's turn (``alpha=1.0``); ``BFGSLineSearch`` and ``FIRE`` need no hint.

    Parameters
    ----------
    atoms : Atoms
        With a conservative calculator that has magnetic forces.
    move_atoms : bool
        Also relax positions (ASE constraints are respected); the gradients are then -forces, and torques over `length`.
    frozen : mask or indices, optional
        Spins that stay.
    length : float
        Displacement of an atom that counts as a turn by one radian, length; 1 for spins alone (``fmax`` is then a torque,
        energy).
    minimum : bool
        Accept only minima.  Where the forces are below ``fmax`` at a saddle point or a maximum (spins exactly along their
        fields feel no torque, whichever way they point), say so with an ``UnstableStateWarning``, turn the spins a little
        down the steepest direction and go on; ``False`` takes any stationary state.

    Raises
    ------
    NotConservativeError
        If the calculator describes a driven system: there is nothing to minimize.
    MissingMagneticForcesError, MomentsIgnoredError, ModelError
    """

    def __init__(
        self,
        atoms: Atoms,
        move_atoms: bool = False,
        frozen: ArrayLike | None = None,
        length: float = 1.0,
        minimum: bool = True,
    ) -> None:
        calc = calculator_of(atoms)
        require_magnetic_forces(calc)
        if not is_conservative(calc):
            raise NotConservativeError(
                f"{type(calc).__name__} describes a driven system, which has no energy to minimize: use damped dynamics"
            )
        if move_atoms:
            require_forces(calc, "relax the spins alone")
        if not np.isfinite(length) or length <= 0.0:
            raise ModelError(f"length must be positive, got {length}")
        probe_moments(atoms, calc)
        self.atoms, self.move_atoms, self.length, self.minimum = atoms, move_atoms, float(length), minimum
        self._mobile = mobile_mask(frozen, len(atoms)) & get_moments(atoms).any(axis=1)
        self._turned = np.zeros((len(atoms), 3))
        self._settled: FloatArray | None = None

    def ndofs(self) -> int:
        """3 per spin, and 3 per atom if atoms move."""
        return 3 * len(self.atoms) * (2 if self.move_atoms else 1)

    def get_x(self) -> FloatArray:
        """Rotation vectors since the start times `length`, after the positions if atoms move; flat."""
        turned = self.length * self._turned
        return np.concatenate([self.atoms.get_positions(), turned]).ravel() if self.move_atoms else turned.ravel()

    def set_x(self, x: FloatArray) -> None:
        """Move to the coordinates `x`."""
        rows = np.asarray(x, dtype=np.float64).reshape(-1, 3)
        if self.move_atoms:
            self.atoms.set_positions(rows[: len(self.atoms)])
        step = rows[-len(self.atoms) :] / self.length - self._turned
        set_moments(self.atoms, rotate_about(get_moments(self.atoms), -np.where(self._mobile[:, None], step, 0.0)))
        self._turned = self._turned + step

    def get_gradient(self) -> FloatArray:
        """-torques/length, after -forces if atoms move; flat."""
        fields = np.asarray(self.atoms.calc.get_property("magnetic_forces", self.atoms))
        require_finite(fields, "the magnetic force", "magnetic_forces", self.atoms)
        torques = np.cross(get_moments(self.atoms), fields) * self._mobile[:, None]
        if not self.move_atoms:
            return -torques.ravel() / self.length
        forces = self.atoms.get_forces()
        require_finite(forces, "the force on atom", "forces", self.atoms)
        return -np.concatenate([forces, torques / self.length]).ravel()

    def converged(self, gradient: FloatArray, fmax: float) -> bool:
        """Whether the forces are below `fmax`, and (`minimum`) nothing goes down from here."""
        return bool(super().converged(gradient, fmax)) and self.settles()

    def settles(self) -> bool:
        """Whether this state may be the last (`minimum`: nothing goes down from here); a saddle is left with a warning."""
        if not self.minimum or self._settled_at(self.get_x()):
            return True
        found = self.curvatures()
        if not found.negative:
            self._settled = self.get_x()
            return True
        warnings.warn(
            f"the forces vanish at a state that is no minimum: the energy falls in {found.negative} directions or more (the "
            f"lowest curvature is {found.values[0]:.4g}, of an energy scale of {found.scale:.4g}). The spins were turned by "
            f"{_KICK} radian that way, and relaxation goes on (minimum=False keeps such states)",
            UnstableStateWarning,
            stacklevel=2,
        )
        # which of the two ways is as good as the other; a fixed choice keeps runs the same
        self.set_x(self.get_x() + _KICK * self.length * found.directions[0])
        return False

    def state(self) -> dict[str, FloatArray]:
        """What a restart needs beyond the atoms: turns since the start, and the last state found to be a minimum."""
        return {"turned": self._turned.copy(), "settled": np.zeros(0) if self._settled is None else self._settled.copy()}

    def restore(self, state: dict[str, FloatArray]) -> None:
        """Take back what :meth:`state` gave."""
        settled = np.array(state["settled"], dtype=np.float64)
        self._turned, self._settled = np.array(state["turned"], dtype=np.float64), settled if settled.size else None

    def _settled_at(self, x: FloatArray) -> bool:
        return self._settled is not None and np.array_equal(self._settled, x)

    def curvatures(self) -> Curvatures:
        """Lowest curvatures of the energy here, in all directions in which this relaxation moves."""
        return lowest_curvatures(self, self._basis(get_moments(self.atoms)), self.energy_scale())

    def energy_scale(self) -> float:
        """Largest |m.B| of a spin, energy (by `length` squared)."""
        fields = np.asarray(self.atoms.calc.get_property("magnetic_forces", self.atoms))
        along = np.einsum("ia,ia->i", get_moments(self.atoms), fields)
        return float(np.abs(along).max(initial=0.0)) / self.length**2

    def nearest_mode(self, start: FloatArray, krylov: int) -> tuple[float, FloatArray]:
        """The mode most like a guess: its curvature and unit direction (flat).

        Parameters
        ----------
        start : (n,)
            Guess, flat coordinates.
        krylov : int
            Products with the Hessian, two gradients each.
        """
        return nearest_mode(self, self._basis(get_moments(self.atoms)), start, krylov)

    def displaced_gradient(self, displacement: FloatArray) -> FloatArray:
        """Gradient at `displacement` from here; the state stays as it is, to the last bit."""
        moments, positions, turned = get_moments(self.atoms), self.atoms.get_positions(), self._turned
        try:
            self.set_x(self.get_x() + displacement)
            return self.get_gradient()
        finally:
            self._turned = turned
            set_moments(self.atoms, moments)
            if self.move_atoms:
                self.atoms.set_positions(positions, apply_constraint=False)

    def _basis(self, moments: FloatArray) -> FloatArray:
        """Orthonormal directions, (n, ndofs): two across every mobile spin, three of every atom if atoms move."""
        sites, chosen = len(self.atoms), np.flatnonzero(self._mobile)
        spins = moments[chosen] / np.linalg.norm(moments[chosen], axis=1)[:, None]
        atoms = 3 * sites if self.move_atoms else 0
        rows = np.zeros((atoms + 2 * len(chosen), self.ndofs()))
        rows[:atoms, :atoms] = np.eye(atoms)
        for k, vectors in enumerate(transverse_axes(spins)):
            for number, (site, vector) in enumerate(zip(chosen, vectors, strict=True)):
                start = atoms + 3 * site
                rows[atoms + 2 * number + k, start : start + 3] = vector
        return rows

    def get_value(self) -> float:
        """The energy that fields and forces are gradients of."""
        energy = energy_of(self.atoms)
        if energy is None:
            raise ModelError(f"{type(self.atoms.calc).__name__} gives no energy to minimize")
        return energy

    def iterimages(self) -> Iterator[Any]:
        """The atoms, for a trajectory."""
        yield from self.atoms.iterimages()


__all__ = ["SpinOptimizable"]
