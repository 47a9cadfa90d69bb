"""Learned magnets whose atoms move: what energy, forces and fields cost, a step of dynamics, what is conserved, memory.

``OMP_NUM_THREADS=1 python tests/benchmarks/moving.py [part ...]``; parts: evaluations, steps, fixed, images, runs,
threads, million, drift, drift_double (default: the first three).  The model is the shipped ``disordered-sd-moving``;
baselines in the same process: the model in torch, the compiled engine for atoms at rest, exact diagonalization by the
teacher of its card, magnets one after the other, one thread.  Medians of interleaved runs; start ``million`` with
``OMP_NUM_THREADS=2``.
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
from spinase.analysis import configurational_spin_temperature
from spinase.atoms import geometry_of, get_spins
from spinase.calculators import EDCalculator, HIPNNCalculator, PairPotentialCalculator, SpinSumCalculator
from spinase.dynamics import LatticeLangevin, SpinLatticeDynamics, lockstep, set_maxwell_boltzmann
from spinase.dynamics.freedoms import lattice_temperature
from spinase.electrons import SDModel
from spinase.geometry import find_bonds
from spinase.images import results_of_images
from spinase.learning.engine.evaluator import EngineGraph, FrozenEngine
from spinase.learning.engine.moving import MovingEngine
from spinase.learning.evaluator import Precision
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


def fixed() -> None:
    """What a step costs beside the pairs: few atoms that are far apart; the least of many, as it is short."""
    print(" a spin-lattice step of 8 atoms with hardly any pairs (what does not grow with the number of atoms)")
    learned = HIPNNCalculator.shipped("disordered-sd-moving", outside_domain="ignore")
    repulsion = PairPotentialCalculator(Exponential(0.3, 8.0, 1.0, 2.0, 0.5))
    for name, calc in (("model", learned), ("model and pair potential", SpinSumCalculator([learned.twin(), repulsion]))):
        atoms = SpinAtoms.disordered(8, density=0.02, min_distance=0.75, rng=0, units="reduced")
        atoms.set_masses(np.full(8, 1e6))
        atoms.calc = calc
        driver, times = SpinLatticeDynamics(atoms, 0.02), []
        driver.run(10)
        for _ in range(300):
            begun = time.perf_counter()
            driver.run(3)
            times.append((time.perf_counter() - begun) / 3)
        print(f"  {name}: {1e3 * min(times):.2f} ms")


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


def runs(sites: int = 64, count: int = 8, steps: int = 10) -> None:
    """Runs side by side against one after the other, each driver with a calculator of its own."""
    print(f"{count} runs of {sites} atoms that repel each other, both baths, implicit midpoint; one thread, float32")
    learned = HIPNNCalculator.shipped("disordered-sd-moving")

    def drivers() -> list[SpinLatticeDynamics]:
        found = []
        for seed in range(count):
            atoms = disordered(sites, seed=seed)
            atoms.set_masses(np.full(sites, 200.0))
            repulsion = PairPotentialCalculator(Exponential(0.3, 8.0, 1.0, 2.0, 0.5))
            atoms.calc = SpinSumCalculator([learned.twin(), repulsion])
            bath = LatticeLangevin(0.03, 0.2)
            found.append(SpinLatticeDynamics(atoms, 0.05, thermostat=bath, damping=0.1, kT=0.03, rng=seed))
        return found

    alone, together = drivers(), drivers()

    def one_by_one() -> None:
        for driver in alone:
            driver.run(steps)

    tasks: dict[str, Task] = {"one after the other": one_by_one, "side by side": lambda: lockstep(together, steps)}
    for task in tasks.values():
        task()
    found = medians(tasks, dict.fromkeys(tasks, 9))
    for name, pair in found.items():
        show(f"{name}, {1e3 * pair[1] / (count * steps):.2f} ms of CPU a step", pair, found["one after the other"])


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


def settled(dtype: Precision, sites: int = 64) -> SpinAtoms:
    """Atoms that repel each other under the model, with both baths at kT = 0.03 for a time of 100; no total momentum."""
    atoms, rng = disordered(sites), np.random.default_rng(2)
    atoms.set_masses(np.full(sites, 200.0))
    repulsion = PairPotentialCalculator(Exponential(0.3, 8.0, 1.0, 2.0, 0.5))
    atoms.calc = SpinSumCalculator([HIPNNCalculator.shipped("disordered-sd-moving", dtype=dtype), repulsion])
    set_maxwell_boltzmann(atoms, 0.03, rng)
    bath = LatticeLangevin(0.03, 0.2)
    SpinLatticeDynamics(atoms, 0.1, thermostat=bath, damping=0.5, kT=0.03, integrator="sib", rng=rng).run(1000)
    atoms.set_momenta(atoms.get_momenta() - atoms.get_momenta().mean(axis=0))
    return atoms


def drift() -> None:
    """In single precision."""
    conservative_runs("float32", (0.1, 0.05))


def drift_double() -> None:
    """In double precision."""
    conservative_runs("float64", (0.2, 0.1, 0.05))


def conservative_runs(dtype: Precision, timesteps: tuple[float, ...], steps: int = 10_000) -> None:
    """Energy, momentum and temperatures of conservative runs of atoms and spins on the learned magnet."""
    print(
        f"conservative runs of {steps} steps, 64 atoms that repel each other under disordered-sd-moving, implicit midpoint; "
        "kT of the spins from fields and their derivatives by spins; errors of kT from ten blocks"
    )
    for timestep in timesteps:
        atoms, seen, rng = settled(dtype), [], np.random.default_rng(3)
        driver = SpinLatticeDynamics(atoms, timestep)
        for _ in range(200):
            driver.run(steps // 200)
            spins = configurational_spin_temperature(atoms.calc.field_function(atoms), atoms.moments, rng, 6, 0.1)
            seen.append((driver.get_time(), driver.conserved_energy() / 64, lattice_temperature(atoms), spins))
        times, energies, *temperatures = np.array(seen).T
        slope = np.polyfit(times, energies, 1)[0]
        blocks = np.reshape(temperatures, (2, 10, -1)).mean(axis=2)
        kT = [f"{one.mean():.4f} +- {one.std(ddof=1) / np.sqrt(10):.4f}" for one in blocks]
        print(
            f"  {dtype}, time step {timestep}: energy per site varies by {np.std(energies - slope * times):.1e}, drifts by "
            f"{slope * times[-1]:+.1e} in a time of {times[-1]:.0f}; kT of the lattice {kT[0]}, of the spins {kT[1]}; total "
            f"momentum {np.abs(atoms.get_momenta().sum(axis=0)).max():.1e}",
            flush=True,
        )


def main() -> None:
    use_best_kernels()
    torch.set_num_threads(1)
    works = (evaluations, steps, fixed, images, runs, threads, million, drift, drift_double)
    parts = {part.__name__: part for part in works}
    unknown = [name for name in sys.argv[1:] if name not in parts]
    if unknown:
        raise SystemExit(f"no part {unknown[0]!r}: choose from {', '.join(parts)}")
    print(header(1), f"torch {torch.__version__}")
    for name in sys.argv[1:] or ["evaluations", "steps", "fixed"]:
        with threadpool_limits(1, user_api="blas"):
            parts[name]()


if __name__ == "__main__":
    main()
