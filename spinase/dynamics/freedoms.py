r"""Degrees of freedom of the atoms, and their temperature.

Momenta that constraints do not remove divide into rigid motion (translations, and rotations where boundaries are open) and
the motion of the atoms against each other.  An isolated magnet conserves rigid motion, so that has no temperature;
in a bath of all atoms it is a Gaussian of its own.  Either way the rest has

.. math:: \langle K - K_\mathrm{rigid}\rangle = \tfrac12 (3N - c - d) kT

with c -> freedoms taken by constraints and d -> rigid motions that the constraints leave.  This is counted everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms, FixCartesian, FixedLine, FixedPlane, FixScaled

from spinase.typing import FloatArray

_OF_SITES = (FixAtoms, FixCartesian, FixedLine, FixedPlane, FixScaled)
_SAME = 1e-8  # relative, of squared lengths


@dataclass(frozen=True, eq=False)
class LatticeFreedoms:
    """How the momenta of the atoms divide at their present positions.

    Attributes
    ----------
    count : int
        Degrees of freedom of the motion against each other, 3N - c - d; at least 1.
    rigid : (d, N, 3)
        Rigid motions as sqrt(mass) times velocity, orthonormal.
    masses : (N, 1)
        Masses.
    """

    count: int
    rigid: FloatArray
    masses: FloatArray

    @classmethod
    def of(cls, atoms: Atoms) -> LatticeFreedoms:
        """Count the freedoms of `atoms`."""
        masses = np.asarray(atoms.get_masses(), dtype=np.float64)[:, None]
        free = 3 * len(atoms) - _removed(atoms)
        rigid = _rigid_motions(atoms, masses)
        if free - len(rigid) < 1:  # a single atom: its translation is all the motion there is
            rigid = rigid[:0]
        return cls(max(1, free - len(rigid)), rigid, masses)

    def divide(self, momenta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Momenta (N, 3) of the motion against each other, and of the rigid motion."""
        root = np.sqrt(self.masses)
        share = np.einsum("kia,ia->k", self.rigid, momenta / root)
        together = root * np.einsum("k,kia->ia", share, self.rigid)
        return momenta - together, together

    def kinetic_energy(self, momenta: FloatArray) -> float:
        """Kinetic energy of the motion against each other."""
        own, _ = self.divide(momenta)
        return 0.5 * float(np.sum(own**2 / self.masses))


def lattice_temperature(atoms: Atoms) -> float:
    """kT of the atoms, energy: twice the kinetic energy of their motion against each other per degree of freedom."""
    freedoms = LatticeFreedoms.of(atoms)
    return 2.0 * freedoms.kinetic_energy(atoms.get_momenta()) / freedoms.count


def _removed(atoms: Atoms) -> int:
    """Freedoms taken by constraints; what several constraints take from one atom counts once (in ASE twice)."""
    ours = [constraint for constraint in atoms.constraints if isinstance(constraint, _OF_SITES)]
    others = [constraint for constraint in atoms.constraints if not isinstance(constraint, _OF_SITES)]
    total = sum(int(constraint.get_removed_dof(atoms)) for constraint in others)
    if not ours:
        return total
    taken = np.zeros((len(atoms), 3, 3))
    for constraint in ours:
        for axis in range(3):
            momenta = np.tile(np.eye(3)[axis], (len(atoms), 1))
            constraint.adjust_momenta(atoms, momenta)
            taken[:, axis] += np.eye(3)[axis] - momenta
    return total + int(np.sum(np.linalg.matrix_rank(taken, tol=_SAME, hermitian=True)))


def _rigid_motions(atoms: Atoms, masses: FloatArray) -> FloatArray:
    """Rigid motions that neither constraints nor the periodic cell hold, (d, N, 3), orthonormal as sqrt(mass) velocity."""
    root = np.sqrt(masses)
    if np.count_nonzero(atoms.pbc) > 1 and not atoms.constraints:  # most magnets: three translations
        return np.einsum("ka,i->kia", np.eye(3), root[:, 0] / np.sqrt(masses.sum()))
    arms = atoms.positions - atoms.get_center_of_mass()
    velocities = [np.tile(axis, (len(atoms), 1)) for axis in np.eye(3)]
    periodic = np.flatnonzero(atoms.pbc)
    if len(periodic) == 0:
        velocities += [np.cross(axis, arms) for axis in np.eye(3)]
    elif len(periodic) == 1:  # a wire turns about itself
        along = atoms.cell.array[periodic[0]]
        velocities.append(np.cross(along / np.linalg.norm(along), arms))
    weighted = np.array([root * velocity for velocity in velocities])
    basis = _independent(weighted.reshape(len(velocities), -1))
    if atoms.constraints:
        left = []
        for row in basis:
            momenta = root * row.reshape(-1, 3)
            for constraint in atoms.constraints:
                if hasattr(constraint, "adjust_momenta"):
                    constraint.adjust_momenta(atoms, momenta)
            left.append(row - (momenta / root).ravel())
        taken = np.array(left)
        strength, directions = np.linalg.eigh(taken @ taken.T)
        basis = directions[:, strength < _SAME].T @ basis
    return np.asarray(basis.reshape(len(basis), len(atoms), 3))


def _independent(rows: FloatArray) -> FloatArray:
    """Orthonormal basis of the space of the rows (collinear atoms do not turn about their line)."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows / np.where(lengths > 0.0, lengths, 1.0)
    strength, directions = np.linalg.eigh(rows @ rows.T)
    good = strength > _SAME
    return np.asarray((directions[:, good] / np.sqrt(strength[good])).T @ rows)


__all__ = ["LatticeFreedoms", "lattice_temperature"]
