"""How fine a mesh of k-points must be: doubled until an energy, and torques, hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms

from spinase.atoms import get_units
from spinase.calculators.ed import EDCalculator
from spinase.electrons.kmesh import KMesh
from spinase.errors import ConvergenceError, ModelError
from spinase.typing import FloatArray


@dataclass(frozen=True, eq=False)
class MeshStep:
    """One mesh that was tried.

    Attributes
    ----------
    mesh : KMesh
    solved : int
        k-points that were solved: one of all that are equal by symmetry.
    energy : float
        Free energy by site, energy.
    change : float
        Of it from the mesh before; nan for the first.
    torque_change : float
        Largest change of a torque from the mesh before, energy; nan for the first.
    """

    mesh: KMesh
    solved: int
    energy: float
    change: float
    torque_change: float


@dataclass(frozen=True, eq=False)
class MeshConvergence:
    """What :func:`converge_mesh` did.

    Attributes
    ----------
    calculator : EDCalculator
        With the finest mesh that was needed.
    steps : list of MeshStep
        From the coarsest mesh to that.
    energy_unit : str
        Name of the unit.
    """

    calculator: EDCalculator
    steps: list[MeshStep]
    energy_unit: str

    def __str__(self) -> str:
        lines = [f"mesh, points solved, free energy by site, its change, largest change of a torque [{self.energy_unit}]"]
        for one in self.steps:
            size = "x".join(str(n) for n in one.mesh.size or ())
            changes = "" if np.isnan(one.change) else f" {one.change:+.2e} {one.torque_change:.2e}"
            lines.append(f"{size} {one.solved} {one.energy:.10g}{changes}")
        return "\n".join(lines)


def converge_mesh(
    calc: EDCalculator, atoms: Atoms, energy: float, torque: float | None = None, *, most: int = 100_000
) -> MeshConvergence:
    """Double the mesh along all periodic directions until the free energy by site, and torques, change by less than asked.

    The error of the finer mesh is less than its last change where it falls with every doubling; metals at low temperature
    converge unevenly: look at the steps.

    Parameters
    ----------
    calc : EDCalculator
        With the coarsest mesh, a regular one; its shift is kept.
    atoms : Atoms
        The magnet.
    energy : float
        Largest change of the free energy by site, energy.
    torque : float, optional
        Largest change of a torque, energy.
    most : int
        Points of the finest mesh that may be tried, those equal by symmetry included.

    Raises
    ------
    ModelError
        For a mesh that is not regular, a tolerance that is not positive, or atoms that are not periodic.
    ConvergenceError
        If `most` does not suffice; the message tells all steps.
    """
    if calc.kpts is None:
        raise ModelError(f"only regular meshes can be doubled, got {calc.mesh}: give kpts as three numbers")
    for name, value in (("energy", energy), ("torque", torque)):
        if value is not None and not (np.isfinite(value) and value > 0.0):
            raise ModelError(f"the tolerance of the {name} must be a positive energy, got {value}")
    if not atoms.pbc.any():
        raise ModelError("none of the directions is periodic: there is no mesh to refine")
    steps: list[MeshStep] = []
    before: FloatArray | None = None
    while True:
        found, torques = _tried(calc, atoms, steps, before)
        steps.append(found)
        result = MeshConvergence(calc, steps, get_units(atoms).energy)
        if abs(found.change) <= energy and (torque is None or found.torque_change <= torque):
            return result
        a, b, c = (n * (2 if periodic else 1) for n, periodic in zip(calc.kpts or (1, 1, 1), atoms.pbc, strict=True))
        if a * b * c > most:
            raise ConvergenceError(
                f"the mesh does not converge to {energy:g} within {most} k-points: allow more (`most`), a larger "
                f"tolerance, or a higher kT of the electrons.\n{result}"
            )
        calc, before = calc.with_mesh(KMesh.regular((a, b, c), calc.mesh.shift)), torques


def _tried(
    calc: EDCalculator, atoms: Atoms, steps: list[MeshStep], before: FloatArray | None
) -> tuple[MeshStep, FloatArray]:
    """Results on one mesh, against those before."""
    energy = float(calc.get_property("free_energy", atoms)) / len(atoms)
    torques = np.asarray(calc.get_property("torques", atoms), dtype=np.float64)
    change = float("nan") if before is None else energy - steps[-1].energy
    turned = float("nan") if before is None else float(np.abs(torques - before).max())
    return MeshStep(calc.mesh, len(calc.sampled_points(atoms)), energy, change, turned), torques


__all__ = ["MeshConvergence", "MeshStep", "converge_mesh"]
