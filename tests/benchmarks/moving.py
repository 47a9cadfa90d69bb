"""Learned magnets whose atoms move: what energy, forces and fields cost, a step of dynamics, what is conserved, memory.

``OMP_NUM_THREADS=1 python tests/benchmarks/moving.py [part ...]``; parts: evaluations, steps, images, threads,
million, drift (default: the first three).  The model is the shipped ``disordered-sd-moving``; baselines in the same process:
the model in torch, the compiled engine for atoms at rest, exact diagonalization by the teacher of its card, magnets one
after the other, one thread.  Medians of interleaved runs; start ``million`` with ``OMP_NUM_THREADS=2``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from lapack import use_best_kernels
from learning import Task, disordered, medians, resident, show
from threadpoolctl import threadpool_limits
from timing import header

from spinase import SpinAtoms
from spinase.atoms import geometry_of, get_spins
from spinase.calculators import EDCalculator, HIPNNCalculator, PairPotentialCalculator, SpinSumCalculator
from spinase.dynamics import LatticeLangevin, SpinLatticeDynamics, set_maxwell_boltzmann
from spinase.dynamics.freedoms import lattice_temperature
from spinase.electrons import SDModel
from spinase.geometry import find_bonds
from spinase.images import results_of_images
from spinase.learning.engine.evaluator import EngineGraph, FrozenEngine
from spinase.learning.engine.moving import MovingEngine
from spinase.radial import Exponential

NAMES = ("free_energy", "forces", "magnetic_forces", "stress")


def evaluations() -> None:
    print(
        "atoms that move: energy, forces, fields and stress of the calculator after a move, neighbours and checks included; "
        "one thread, single precision"
    )
    for sites, repeats in ((64, 60), (1000, 15), (10_000, 3)):
        fast, plain = (
            HIPNNCalculator.shipped("disordered-sd-moving"),
            HIPNNCalculator.shipped("disordered-sd-moving", engine=False),
        )
        atoms = disordered(sites)
        network, config, geometry = fast.networks[0], fast.card.trunk, geometry_of(atoms)
        graph = EngineGraph(find_bonds(geometry, config.cutoff), geometry.positions, config)
        frozen, species, spins = FrozenEngine(network, threads=1), np.zeros(sites, dtype=np.int64), get_spins(atoms)
        tasks: dict[str, Task] = {
            "torch": everything(plain, atoms),
            "compiled": everything(fast, atoms),
            "fields": lambda frozen=frozen, graph=graph, species=species, spins=spins: frozen(graph, species, spins),
        }
        expected, found = tasks["torch"](), tasks["compiled"]()
        errors = [np.sqrt(np.mean((a - b) ** 2) / np.mean(b**2)) for a, b in zip(found, expected, strict=True)]
        base, compiled, fields = medians(tasks, {"torch": repeats, "compiled": repeats, "fields": repeats}).values()
        print(
            f" {sites} atoms; energy, forces, fields, stress differ by {', '.join(f'{error:.0e}' for error in errors)} (rms)"
        )
        show(f"torch, {1e6 * base[1] / sites:.1f} us of CPU an atom", base, base)
        show(f"compiled, {1e6 * compiled[1] / sites:.1f} us of CPU an atom", compiled, base)
        show(f"spins only, atoms at rest, {1e6 * fields[1] / sites:.1f} us of CPU an atom", fields, compiled)


def everything(calc: HIPNNCalculator, atoms: SpinAtoms) -> Callable[[], list[np.ndarray]]:
    """Four results after a small move of all atoms."""
    atoms, rng = atoms.copy(), np.random.default_rng(0)

    def task() -> list[np.ndarray]:
        atoms.positions += 1e-5 * rng.normal(size=atoms.positions.shape)
        return [np.asarray(calc.get_property(name, atoms)) for name in NAMES]

    return task


def steps() -> None:
    for sites, repeats in ((64, 20), (512, 1)):
        step(sites, repeats)


def step(sites: int, repeats: int) -> None:
    """A spin-lattice step of the learned magnet against that of exact diagonalization."""
    calc = HIPNNCalculator.shipped("disordered-sd-moving")
    teacher = EDCalculator(SDModel.from_config(calc.card.notes["teacher"]))
    drivers = {}
    for name, who in (("ED", teacher), ("model", calc)):
        atoms = disordered(sites)
        atoms.set_masses(np.full(sites, 1e6))  # the model alone does not keep atoms apart
        atoms.calc = who
        drivers[name] = SpinLatticeDynamics(atoms, 0.02)
        drivers[name].run(1)
    found = medians(
        {name: partial(driver.run, 1) for name, driver in drivers.items()}, {"ED": repeats, "model": 5 * repeats}
    )
    print(f" a spin-lattice step (implicit midpoint), {sites} atoms")
    for name in found:
        show(name, found[name], found["ED"])


def images(sites: int = 64, count: int = 8) -> None:
    """Many magnets in one call against one after the other, each with a calculator of its own."""
    print(f"{count} magnets of {sites} atoms, all moved: energy, forces, fields and stress, one thread, float32")
    rng, magnets = np.random.default_rng(3), [disordered(sites, seed=seed) for seed in range(count)]
    together, single = (
        HIPNNCalculator.shipped("disordered-sd-moving"),
        [HIPNNCalculator.shipped("disordered-sd-moving") for _ in magnets],
    )

    def move() -> None:
        for atoms in magnets:
            atoms.positions += 1e-5 * rng.normal(size=atoms.positions.shape)

    def one_call() -> None:
        move()
        results_of_images(together, magnets, NAMES)

    def one_by_one() -> None:
        move()
        for calc, atoms in zip(single, magnets, strict=True):
            for name in NAMES:
                calc.get_property(name, atoms)

    tasks: dict[str, Task] = {"one after the other": one_by_one, "in one call": one_call}
    for task in tasks.values():
        task()
    found = medians(tasks, dict.fromkeys(tasks, 15))
    for name, pair in found.items():
        show(f"{name}, {1e3 * pair[1] / count:.2f} ms of CPU a magnet", pair, found["one after the other"])


def threads(sites: int = 10_000) -> None:
    print(f"the engine's pass, {sites} atoms: energies, fields, forces and virial, float32")
    calc, atoms = HIPNNCalculator.shipped("disordered-sd-moving"), disordered(sites)
    geometry, species, spins = geometry_of(atoms), np.zeros(sites, dtype=np.int64), get_spins(atoms)
    bonds, tasks = find_bonds(geometry, calc.card.trunk.cutoff), {}
    for count in (1, 2):
        engine = MovingEngine(calc.networks[0], threads=count)
        graph = engine.graph(bonds, geometry.positions)
        tasks[f"{count} thread(s)"] = partial(engine.solve, graph, species, spins)
    found = medians(tasks, dict.fromkeys(tasks, 7))
    for name, pair in found.items():
        show(name, pair, found["1 thread(s)"])


def million(sites: int = 1_000_000) -> None:
    print(f"memory of {sites} moving atoms, 33 neighbours: forces, fields and stress of the calculator, float32")
    atoms, calc = disordered(sites), HIPNNCalculator.shipped("disordered-sd-moving", outside_domain="ignore")
    before = resident()[0]
    begun = time.perf_counter()
    for name in NAMES:
        calc.get_property(name, atoms)
    seconds, highest = time.perf_counter() - begun, resident()[1]
    print(f"  {seconds:.0f} s, {highest / 1024:.1f} GB at most, of which {before / 1024:.1f} GB were there before")


def drift(steps: int = 10_000) -> None:
    """Energy, momentum and temperatures of a conservative run of atoms and spins on the learned magnet."""
    print(
        f"conservative runs of {steps} steps, 64 atoms that repel each other under disordered-sd-moving, implicit midpoint"
    )
    for dtype, timestep in (("float32", 0.1), ("float32", 0.05), ("float64", 0.1)):
        atoms, rng = disordered(64), np.random.default_rng(2)
        atoms.set_masses(np.full(64, 200.0))
        repulsion = PairPotentialCalculator(Exponential(0.3, 8.0, 1.0, 2.0, 0.5))
        atoms.calc = SpinSumCalculator([HIPNNCalculator.shipped("disordered-sd-moving", dtype=dtype), repulsion])
        set_maxwell_boltzmann(atoms, 0.03, rng)
        SpinLatticeDynamics(atoms, 0.1, thermostat=LatticeLangevin(0.03, 0.2), damping=0.5, integrator="sib", rng=rng).run(
            300
        )
        atoms.set_momenta(atoms.get_momenta() - atoms.get_momenta().mean(axis=0))
        driver, seen = SpinLatticeDynamics(atoms, timestep), []
        for _ in range(100):
            driver.run(steps // 100)
            seen.append((driver.get_time(), driver.conserved_energy() / 64, lattice_temperature(atoms)))
        times, energies, kT = np.array(seen).T
        slope = np.polyfit(times, energies, 1)[0]
        print(
            f"  {dtype}, time step {timestep}: energy per site varies by {np.std(energies - slope * times):.1e}, drifts by "
            f"{slope * times[-1]:+.1e} in a time of {times[-1]:.0f}; kT of the lattice {kT[50:].mean():.4f}; total momentum "
            f"{np.abs(atoms.get_momenta().sum(axis=0)).max():.1e}"
        )


def main() -> None:
    use_best_kernels()
    torch.set_num_threads(1)
    parts = {part.__name__: part for part in (evaluations, steps, images, threads, million, drift)}
    unknown = [name for name in sys.argv[1:] if name not in parts]
    if unknown:
        raise SystemExit(f"no part {unknown[0]!r}: choose from {', '.join(parts)}")
    print(header(1), f"torch {torch.__version__}")
    for name in sys.argv[1:] or ["evaluations", "steps", "images"]:
        with threadpool_limits(1, user_api="blas"):
            parts[name]()


if __name__ == "__main__":
    main()
