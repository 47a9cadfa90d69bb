"""Magnets and runs of the tests: ``python -m mpi4py cases.py FOLDER CASE ...`` on any number of processes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ase.build import bulk
from ase.units import fs
from mpi4py import MPI
from run_cases import all_runs, breaks, fails, thin, uncompiled
from spinase_lammps import LammpsLLG, LammpsPairCalculator, LammpsSpinLattice

from spinase import SpinAtoms
from spinase.calculators import (
    EDCalculator,
    HeisenbergCalculator,
    HIPNNCalculator,
    PairPotentialCalculator,
    SpinSumCalculator,
    ZeemanCalculator,
)
from spinase.electrons import SDModel, ShellHopping
from spinase.radial import BetheSlater, Morse
from spinase.regions import LocalEnergy, LocalResult
from spinase.testing import check_driver

FIELD = (0.0, 0.1, 0.3)


def plane() -> SpinAtoms:
    """A triangular antiferromagnet in a plane: open in one direction."""
    atoms = SpinAtoms.lattice("triangular", (6, 6), units="reduced", rng=1)
    atoms.calc = HeisenbergCalculator(shells=[-1.0, 0.3])
    return atoms


def iron(primitive: bool = False) -> SpinAtoms:
    """bcc iron with a law of pairs under its exchange; some atoms begin outside of the cell."""
    cell = bulk("Fe", a=2.87) * (6, 6, 6) if primitive else bulk("Fe", a=2.87, cubic=True) * (4, 4, 4)
    atoms, rng = SpinAtoms(cell), np.random.default_rng(1)
    directions = np.array([0.0, 0.0, 1.0]) + 0.4 * rng.normal(size=(len(atoms), 3))
    atoms.moments = 2.2 * directions / np.linalg.norm(directions, axis=1)[:, None]
    atoms.rattle(0.05, seed=2)
    atoms.set_momenta(np.random.default_rng(4).normal(size=(len(atoms), 3)))
    exchange = HeisenbergCalculator(law=BetheSlater(0.02, 0.2, 1.8, 4.0))
    atoms.calc = SpinSumCalculator([exchange, PairPotentialCalculator(Morse(0.4, 1.4, 2.85, 5.0, 0.5))])
    return atoms


def embedded() -> SpinAtoms:
    """Iron on LAMMPS' own embedded atoms."""
    atoms = iron()
    lattice = LammpsPairCalculator("eam/fs", ["* * Fe_mm.eam.fs Fe"])
    atoms.calc = SpinSumCalculator([HeisenbergCalculator(law=BetheSlater(0.02, 0.2, 1.8, 4.0)), lattice])
    return atoms


def learned() -> SpinAtoms:
    """A network of two layers on a disordered magnet; ghosts farther away than the box is wide."""
    atoms = SpinAtoms.disordered(60, density=1.0, min_distance=0.75, units="reduced", rng=1)
    atoms.set_masses(np.full(60, 1000.0))
    atoms.calc = HIPNNCalculator.shipped("disordered-sd-moving", dtype="float64", engine=False)
    return atoms


def paramagnet() -> SpinAtoms:
    """Spins in a field that do not feel each other."""
    atoms = SpinAtoms.lattice("cubic", (10, 10, 10), units="reduced", rng=1)
    atoms.calc = ZeemanCalculator((0.0, 0.0, 1.0))
    return atoms


class Fails(ZeemanCalculator):
    """A calculator with an error on the last process."""

    def local_energy(self, geometry: object = None) -> LocalEnergy:
        """One that raises in its third evaluation."""
        return FailsLater(super().local_energy(geometry))  # type: ignore[arg-type]


class FailsLater:
    """A local energy that breaks on one process."""

    def __init__(self, inner: LocalEnergy) -> None:
        self.inner, self.count = inner, 0
        self.cutoff, self.ghost_depth, self.units = inner.cutoff, inner.ghost_depth, inner.units
        self.refused_properties = inner.refused_properties

    def freeze(self, region: object) -> FailsLater:
        self.frozen = self.inner.freeze(region)  # type: ignore[arg-type]
        return self

    def evaluate(self, spins: np.ndarray, lengths: np.ndarray, forces: bool = False) -> LocalResult:
        self.count += 1
        if self.count > 2 and MPI.COMM_WORLD.rank == MPI.COMM_WORLD.size - 1:
            raise RuntimeError("the model has lost its weights")
        return self.frozen.evaluate(spins, lengths, forces)


def failing() -> SpinAtoms:
    atoms = SpinAtoms.lattice("cubic", (4, 4, 4), units="reduced", rng=1)
    atoms.calc = Fails((0.0, 0.0, 1.0))
    return atoms


def electrons() -> SpinAtoms:
    atoms = SpinAtoms.lattice("square", (4, 4), units="reduced", rng=1)
    atoms.calc = EDCalculator(SDModel(ShellHopping([1.0]), 1.0, filling=0.4, kT=0.1))
    return atoms


Case = tuple[Callable[[], SpinAtoms], Callable[[SpinAtoms], LammpsLLG], int]
CASES: dict[str, Case] = {
    "plane": (plane, lambda atoms: LammpsLLG(atoms, 0.05, damping=0.1, field=FIELD), 40),
    "thermal": (plane, lambda atoms: LammpsLLG(atoms, 0.05, damping=0.1, kT=0.3, seed=5), 100),
    "iron": (iron, lambda atoms: LammpsSpinLattice(atoms, fs), 40),
    "thermal-iron": (iron, lambda atoms: LammpsSpinLattice(atoms, fs, damping=0.1, kT=0.02, seed=9), 100),
    "triclinic": (lambda: iron(primitive=True), lambda atoms: LammpsSpinLattice(atoms, fs), 40),
    "embedded": (embedded, lambda atoms: LammpsSpinLattice(atoms, fs), 10),
    "learned": (learned, lambda atoms: LammpsSpinLattice(atoms, 0.05), 2),
    "paramagnet": (paramagnet, lambda atoms: LammpsLLG(atoms, 0.1, damping=0.5, kT=0.5, seed=2), 300),
    "electrons": (electrons, lambda atoms: LammpsLLG(atoms, 0.05), 5),
}


def conform() -> None:
    """The conformance kit over both drivers, exact restart and division of runs among its checks.

    Where atoms leave the cell LAMMPS puts them back when it makes lists of neighbours, so there the division of a run
    changes last digits; a restart does not.
    """

    def inside() -> SpinAtoms:
        atoms = iron()
        atoms.positions += 0.7
        return atoms

    def moving(seed: int = 8) -> LammpsSpinLattice:
        return LammpsSpinLattice(iron(), fs, damping=0.1, kT=0.02, seed=seed)

    check_driver(lambda rng: LammpsLLG(plane(), 0.05, damping=0.1, kT=0.2, seed=int(rng.integers(2**40))))
    check_driver(lambda rng: LammpsSpinLattice(inside(), fs, damping=0.1, kT=0.02, seed=int(rng.integers(2**40))))
    one, other = moving(), moving(seed=9)
    one.run(3)
    other.atoms.set_positions(one.atoms.get_positions())
    other.atoms.set_momenta(one.atoms.get_momenta())
    other.atoms.moments = one.atoms.moments
    other.restore_state(one.checkpoint_state())
    for driver in (one, other):
        driver.run(3)
    assert one.get_number_of_steps() == other.get_number_of_steps() == 6
    np.testing.assert_array_equal(other.atoms.moments, one.atoms.moments)
    np.testing.assert_array_equal(other.atoms.get_positions(), one.atoms.get_positions())


OTHERS: dict[str, Callable[[Path], None]] = {
    "kit": lambda folder: conform(),
    "failing": lambda folder: fails(LammpsLLG(failing(), 0.05)),
    "uncompiled": lambda folder: uncompiled(failing()),
    "thin": lambda folder: thin(LammpsSpinLattice(learned(), 0.05)),
    "runs": lambda folder: all_runs(folder, iron()),
    "breaks": lambda folder: breaks(folder, iron(), "breaks"),
    "killed": lambda folder: breaks(folder, iron(), "killed"),
}


def perform(folder: Path, *names: str) -> None:
    """Run cases on the processes that there are; the first writes what they give."""
    for name in names:
        if name in OTHERS:
            OTHERS[name](folder)
            continue
        magnet, driver, steps = CASES[name]
        atoms = magnet()
        run = driver(atoms)
        run.run(steps)
        kinetic = run.engine.kinetic_energy() if run.moves_atoms else 0.0
        if MPI.COMM_WORLD.rank == 0:
            np.savez(
                folder / f"{name}.npz",
                spins=atoms.spins,
                positions=atoms.positions,
                momenta=atoms.get_momenta(),
                energy=run.engine.energy(),
                kinetic=kinetic,
            )
        run.close()


if __name__ == "__main__":
    perform(Path(sys.argv[1]), *sys.argv[2:])
