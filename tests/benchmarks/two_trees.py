"""Two source trees beside each other: the same work in a process for each, turn by turn, and the ratio of their times.

    OMP_NUM_THREADS=1 python tests/benchmarks/two_trees.py ../before [case ...]

The other tree is a checkout of another commit (``git worktree add ../before COMMIT`` makes one); this file runs in both, so
cases use names that both have.  CPU time of one thread, medians of pairs, so that other work on the machine counts for
both alike; the last column tells how far the numbers are apart, relative to their size.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve()
PAIRS = 15
SECONDS = 0.3  # of CPU time that one measurement should take


def electrons(name: str, size: int) -> Callable[[], Any]:
    """Fields of s-d electrons on the square lattice, new spins every time."""
    from spinase import SpinAtoms
    from spinase.calculators import EDCalculator, KPMCalculator, RationalCalculator
    from spinase.electrons import SDModel, ShellHopping

    model = SDModel(ShellHopping([1.0]), 1.0, filling=0.4, kT=0.1)
    made = {"ed": EDCalculator, "rational": RationalCalculator, "kpm": KPMCalculator}[name]
    fields = (made(model, 1e-2) if name == "kpm" else made(model)).field_function
    atoms = SpinAtoms.lattice("square", (size, size), units="reduced", rng=1)
    of_spins, rng = fields(atoms), np.random.default_rng(2)

    def work() -> Any:
        spins = rng.normal(size=(len(atoms), 3))
        return of_spins(spins / np.linalg.norm(spins, axis=1, keepdims=True))

    return work


def llg(size: int) -> Callable[[], Any]:
    """Ten steps of classical exchange."""
    from spinase import SpinAtoms
    from spinase.calculators import HeisenbergCalculator
    from spinase.dynamics import LLGDynamics

    atoms = SpinAtoms.lattice("square", (size, size), units="reduced", rng=1)
    atoms.calc = HeisenbergCalculator([1.0])
    driver = LLGDynamics(atoms, 0.05, damping=0.1)

    def work() -> Any:
        driver.run(10)
        return np.array(atoms.spins)

    return work


def spin_lattice() -> Callable[[], Any]:
    """Five steps of spins and atoms, exchange and a pair potential by distance."""
    from spinase import SpinAtoms
    from spinase.calculators import HeisenbergCalculator, PairPotentialCalculator, SpinSumCalculator
    from spinase.calculators.options import Morse
    from spinase.dynamics import SpinLatticeDynamics
    from spinase.radial import Exponential

    atoms = SpinAtoms.lattice("cubic", (5, 5, 5), units="reduced", rng=1)
    atoms.set_masses(np.full(len(atoms), 100.0))
    exchange = HeisenbergCalculator(law=Exponential(0.5, 2.0, 1.0, 1.6, 0.3))
    atoms.calc = SpinSumCalculator([exchange, PairPotentialCalculator(Morse(1.0, 3.0, 1.0, 1.8, 0.3))])
    driver = SpinLatticeDynamics(atoms, 0.02)

    def work() -> Any:
        driver.run(5)
        return np.concatenate([atoms.spins, atoms.positions])

    return work


def iron() -> Callable[[], Any]:
    """Five steps of 250 iron atoms and their spins, as in spin_codes.py."""
    from ase import units
    from ase.build import bulk

    from spinase import SpinAtoms
    from spinase.calculators import HeisenbergCalculator, PairPotentialCalculator, SpinSumCalculator
    from spinase.dynamics import SpinLatticeDynamics
    from spinase.radial import BetheSlater, Morse

    atoms = SpinAtoms(bulk("Fe", cubic=True, a=2.8665).repeat(5), moments=[0, 0, 2.0])
    atoms.spins = np.random.default_rng(1).normal(size=(len(atoms), 3))
    lattice = PairPotentialCalculator(Morse(0.4174, 1.3885, 2.845, 6.0, 0.5))
    atoms.calc = SpinSumCalculator([lattice, HeisenbergCalculator(law=BetheSlater(0.02726, 0.2171, 1.841, 3.4))])
    driver = SpinLatticeDynamics(atoms, 0.1 * units.fs)

    def work() -> Any:
        driver.run(5)
        return np.concatenate([atoms.spins, atoms.positions])

    return work


def moving(sites: int) -> Callable[[], Any]:
    """Three steps of atoms and spins of the shipped moving model; 8 atoms are far apart."""
    from spinase import SpinAtoms
    from spinase.calculators import HIPNNCalculator
    from spinase.dynamics import SpinLatticeDynamics

    density = {8: 0.02}.get(sites, 1.0)
    atoms = SpinAtoms.disordered(sites, density=density, min_distance=0.75, rng=0, units="reduced")
    atoms.set_masses(np.full(sites, 1e6))
    atoms.calc = HIPNNCalculator.shipped("disordered-sd-moving", outside_domain="ignore")
    driver = SpinLatticeDynamics(atoms, 0.02)

    def work() -> Any:
        driver.run(3)
        return np.concatenate([atoms.spins, atoms.positions])

    return work


def engine(sites: int) -> Callable[[], Any]:
    """Fields of the shipped disordered model, atoms at rest."""
    from spinase import SpinAtoms
    from spinase.calculators import HIPNNCalculator

    atoms = SpinAtoms.disordered(sites, units="reduced", rng=1)
    of_spins, rng = HIPNNCalculator.shipped("disordered-sd").field_function(atoms), np.random.default_rng(2)

    def work() -> Any:
        spins = rng.normal(size=(sites, 3))
        return of_spins(spins / np.linalg.norm(spins, axis=1, keepdims=True))

    return work


def lattice_engine(name: str) -> Callable[[], Any]:
    """Fields of a shipped model of a lattice on 900 sites."""
    from spinase import SpinAtoms
    from spinase.calculators import HIPNNCalculator

    atoms = SpinAtoms.lattice(name.split("-")[0], (30, 30), units="reduced", rng=1)
    of_spins, rng = HIPNNCalculator.shipped(name).field_function(atoms), np.random.default_rng(2)

    def work() -> Any:
        spins = rng.normal(size=(len(atoms), 3))
        return of_spins(spins / np.linalg.norm(spins, axis=1, keepdims=True))

    return work


CASES: dict[str, Callable[[], Callable[[], Any]]] = {
    "exact diagonalization, 16x16": lambda: electrons("ed", 16),
    "rational expansion, 32x32": lambda: electrons("rational", 32),
    "Chebyshev expansion, 32x32": lambda: electrons("kpm", 32),
    "LLG, exchange, 8x8, 10 steps": lambda: llg(8),
    "LLG, exchange, 32x32, 10 steps": lambda: llg(32),
    "spins and lattice, 125 sites, 5 steps": spin_lattice,
    "iron, spins and lattice, 250 atoms, 5 steps": iron,
    "learned, moving, 8 atoms, 3 steps": lambda: moving(8),
    "learned, moving, 64 atoms, 3 steps": lambda: moving(64),
    "learned, 125 sites": lambda: engine(125),
    "learned, 1000 sites": lambda: engine(1000),
    "learned, 10000 sites": lambda: engine(10_000),
    "triangular-tetrahedral, 900 sites": lambda: lattice_engine("triangular-tetrahedral"),
    "square-double-exchange, 900 sites": lambda: lattice_engine("square-double-exchange"),
}


def serve() -> None:
    """Do the case that a line of the input names, answer with seconds of CPU time and with what was found."""
    ready: dict[str, tuple[Callable[[], Any], int]] = {}
    for line in sys.stdin:
        name = line.strip()
        if name not in ready:
            work = CASES[name]()
            first = work()
            start = time.process_time()
            work()
            ready[name] = work, max(1, round(SECONDS / max(time.process_time() - start, 1e-6)))
            print(json.dumps([ready[name][1], np.asarray(first, dtype=np.float64).tolist()]), flush=True)
            continue
        work, repeats = ready[name]
        repeats = int(sys.stdin.readline())
        start = time.process_time()
        for _ in range(repeats):
            work()
        print(json.dumps([(time.process_time() - start) / repeats]), flush=True)


class Tree:
    """A process that runs cases with the sources of one tree."""

    def __init__(self, folder: Path) -> None:
        told = {**os.environ, "PYTHONPATH": str(folder), "NUMBA_NUM_THREADS": "1"}
        command = [sys.executable, "-W", "ignore", str(HERE), "--serve"]
        self._process = subprocess.Popen(
            command, cwd=folder, env=told, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def ask(self, *lines: object) -> list[Any]:
        """What it answers."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("".join(f"{line}\n" for line in lines))
        self._process.stdin.flush()
        answer: list[Any] = json.loads(self._process.stdout.readline())
        return answer

    def end(self) -> None:
        """No more cases."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def main(other: Path, names: list[str]) -> None:
    """Print a row for every case."""
    chosen = [name for name in CASES if not names or any(word in name for word in names)]
    trees = [Tree(other.resolve()), Tree(HERE.parents[2])]
    print(f"{'case':40s} {'other [ms]':>11s} {'this [ms]':>11s} {'this/other':>11s} {'10..90 %':>13s} {'apart':>8s}")
    for name in chosen:
        (repeats, before), (_, after) = (tree.ask(name) for tree in trees)
        seconds = np.array(
            [[tree.ask(name, repeats)[0] for tree in (trees if k % 2 else trees[::-1])] for k in range(PAIRS)]
        )
        seconds[::2] = seconds[::2, ::-1]
        ratio = seconds[:, 1] / seconds[:, 0]
        middle, (low, high) = np.median(seconds, axis=0) * 1e3, np.quantile(ratio, [0.1, 0.9])
        apart = np.abs(np.subtract(after, before)).max() / np.abs(before).max()
        print(
            f"{name:40s} {middle[0]:11.3f} {middle[1]:11.3f} {np.median(ratio):11.3f} {low:6.2f}-{high:.2f} {apart:8.0e}",
            flush=True,
        )
    for tree in trees:
        tree.end()


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    else:
        main(Path(sys.argv[1]), sys.argv[2:])
