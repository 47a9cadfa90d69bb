"""What linear spin waves need of a state: a stationary one of a conservative calculator, and spirals of one wavevector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from spinase.atoms import get_moments
from spinase.brief import Brief
from spinase.contract import (
    NotConservativeError,
    calculator_of,
    is_conservative,
    refuse_reference_lengths,
    require_magnetic_forces,
)
from spinase.errors import ConvergenceError, ModelError
from spinase.spin_algebra import directions, own_arrays
from spinase.typing import FloatArray, IntArray


@dataclass(frozen=True, eq=False, repr=False)
class Spiral(Brief):
    """Spins that turn from cell to cell: s_i(R) = rotation about `axis` by `wavevector`.R of the spin s_i of the first cell.

    Attributes
    ----------
    wavevector : (3,)
        Q, Cartesian, 1/length, with 2 pi; commensurate with nothing.
    axis : (3,)
        Direction about which spins turn (right-handed), of any length; normalized here.

    Raises
    ------
    ModelError
        For vectors of another shape, or an axis without direction.
    """

    wavevector: FloatArray
    axis: FloatArray

    def __init__(self, wavevector: ArrayLike, axis: ArrayLike) -> None:
        for name, value in (("wavevector", wavevector), ("axis", axis)):
            vector = np.asarray(value, dtype=np.float64)
            if vector.shape != (3,) or not np.isfinite(vector).all() or (name == "axis" and not vector.any()):
                raise ModelError(
                    f"the {name} of a spiral must be three finite numbers (an axis not all zero), got {value!r}"
                )
            object.__setattr__(self, name, vector / np.linalg.norm(vector) if name == "axis" else vector)
        own_arrays(self)

    @property
    def generator(self) -> FloatArray:
        """Matrix of v -> axis x v, (3, 3)."""
        x, y, z = self.axis
        return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])

    def rotations(self, steps: FloatArray) -> FloatArray:
        """Rotations (n, 3, 3) from a site to those `steps` (n, 3) of whole cells away, length.

        Parameters
        ----------
        steps : (n, 3) ndarray
            Lattice vectors, length.
        """
        angle = (steps @ self.wavevector)[:, None, None]
        return np.asarray(
            np.eye(3) + np.sin(angle) * self.generator + (1.0 - np.cos(angle)) * self.generator @ self.generator
        )

    def parts(self) -> tuple[FloatArray, Any]:
        """P0 = n n^T and P1 = (1 - n n^T - i [n]x)/2: a rotation by phi is P0 + P1 e^(i phi) + P1* e^(-i phi)."""
        along = np.outer(self.axis, self.axis)
        return along, 0.5 * (np.eye(3) - along - 1j * self.generator)


def magnetic_state(atoms: Atoms, what: str) -> tuple[FloatArray, FloatArray, IntArray]:
    """Unit spins (N, 3), lengths (N,) and magnetic sites of a magnet that may have spin waves.

    Parameters
    ----------
    atoms : Atoms
        With a conservative calculator.
    what : str
        Who asks, for messages.

    Raises
    ------
    NotConservativeError
        For a driven calculator.
    ModelError
        If there are no moments.
    """
    calc = calculator_of(atoms)
    require_magnetic_forces(calc)
    refuse_reference_lengths(atoms, what)
    if not is_conservative(calc):
        raise NotConservativeError(f"{type(calc).__name__} describes a driven system: its modes are no spin waves")
    spins, lengths = directions(get_moments(atoms))
    magnetic = np.flatnonzero(lengths)
    if not len(magnetic):
        raise ModelError("none of the atoms has a magnetic moment: there are no spin waves")
    return spins, lengths, magnetic


def require_stationary(spins: FloatArray, fields: FloatArray, tolerance: float) -> float:
    """Largest |s x B| of spins in fields; an error if it is more than `tolerance` times the largest field.

    Parameters
    ----------
    spins, fields : (N, 3) ndarray
        Unit vectors, and B or H in any unit.
    tolerance : float
        Relative.

    Raises
    ------
    ConvergenceError
        Naming the site.
    """
    torques = np.linalg.norm(np.cross(spins, fields), axis=1)
    worst = int(torques.argmax())
    if torques[worst] > tolerance * np.abs(fields).max():
        raise ConvergenceError(
            f"the spins are not stationary: the largest |s x B| is {torques[worst]:.3g} (site {worst}); relax them first "
            "(ase.optimize.FIRE(spinase.dynamics.SpinOptimizable(atoms))), with the spiral's wavevector at its minimum if "
            "there is one"
        )
    return float(torques[worst])
