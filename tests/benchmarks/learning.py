"""Learned magnets against the solvers that taught them: speed, cost against size, quenches, locality of the teacher.

``OMP_NUM_THREADS=1 python tests/benchmarks/learning.py [part ...]``; parts: dense, lattice, cold, kpm, size, million,
quench, local (default: all but dense and million).  The model is the shipped ``disordered-sd``
(in lattice: the two lattice models, and lattice networks of the recipes' sizes against them),
the teacher is built from its card; a field of the model is energies and fields of frozen atoms in
single precision.  Ratios are medians of interleaved runs in one process on one thread
(``size``: also on two; start ``million`` with ``OMP_NUM_THREADS=2``), of wall time and of process CPU time, as machines
are shared.  Baselines: the fastest bare ``eigh`` at hand of the teacher's matrix, our rational solver,
our KPM at the model's torque error.  Atoms that move have a script of their own, ``moving.py``, a step of the training
``training.py``.
"""

from __future__ import annotations

import sys
import time
import tomllib
import warnings
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from lapack import fastest_eigh, use_best_kernels
from threadpoolctl import threadpool_limits
from timing import header

from spinase import SpinAtoms
from spinase.analysis.correlations import correlate, pair_bins
from spinase.atoms import geometry_of, get_spins
from spinase.calculators import (
    EDCalculator,
    HIPNNCalculator,
    KPMCalculator,
    LatticeCalculator,
    RationalCalculator,
    teacher_of,
)
from spinase.compiled.threads import default_threads
from spinase.contract import energy_of
from spinase.dynamics import LLGDynamics
from spinase.electrons import SDModel
from spinase.electrons.sparse.selected_inversion import site_blocks
from spinase.errors import AccuracyWarning
from spinase.geometry import find_bonds
from spinase.learning.engine.evaluator import EngineGraph, FrozenEngine
from spinase.learning.engine.lattice.evaluator import LatticeEngine
from spinase.learning.engine.lattice.graph import LatticeGraph, both_ways
from spinase.learning.lattice.network import LatticeConfig, LatticeNetwork
from spinase.learning.readout import Weighed

LEARNED = HIPNNCalculator.shipped("disordered-sd")
TEACHER = SDModel.from_config(LEARNED.card.notes["teacher"])
Task = Callable[[], object]


def disordered(sites: int, seed: int = 1, density: float = 1.0) -> SpinAtoms:
    """Random sites and spins; large ones are repeated boxes of 1000 sites with spins of their own."""
    if sites <= 10_000:
        return SpinAtoms.disordered(sites, density=density, min_distance=0.75, units="reduced", rng=seed)
    side = round((sites / 1000) ** (1 / 3))
    atoms = SpinAtoms.disordered(1000, density=density, min_distance=0.75, units="reduced", rng=seed).repeat(side)
    atoms.spins = np.random.default_rng(seed).normal(size=(len(atoms), 3))
    return atoms


def engine_task(atoms: SpinAtoms, threads: int = 1) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """Energies and fields, in the network's units, by the compiled engine on a prepared graph."""
    config, geometry, spins = LEARNED.card.trunk, geometry_of(atoms), get_spins(atoms)
    graph = EngineGraph(find_bonds(geometry, config.cutoff), geometry.positions, config)
    engine, species = FrozenEngine(LEARNED.networks[0], threads=threads), np.zeros(len(atoms), dtype=np.int64)
    return lambda: engine(graph, species, spins)


def medians(tasks: dict[str, Task], repeats: dict[str, int]) -> dict[str, tuple[float, float]]:
    """Median wall and CPU seconds of each task; tasks take turns, cheap ones several times in a turn."""
    wall: dict[str, list[float]] = {name: [] for name in tasks}
    cpu: dict[str, list[float]] = {name: [] for name in tasks}
    turns = min(repeats.values())
    for _ in range(turns):
        for name, task in tasks.items():
            for _ in range(repeats[name] // turns):
                start, begun = time.perf_counter(), time.process_time()
                task()
                wall[name].append(time.perf_counter() - start)
                cpu[name].append(time.process_time() - begun)
    return {name: (float(np.median(wall[name])), float(np.median(cpu[name]))) for name in tasks}


def matrix_of(atoms: SpinAtoms, teacher: SDModel = TEACHER) -> np.ndarray:
    """The teacher's 2N x 2N matrix."""
    operator = teacher.hamiltonian.freeze(geometry_of(atoms)).operator(get_spins(atoms))
    sites, spin = len(operator), np.arange(2)
    matrix = np.zeros((sites, 2, sites, 2), dtype=np.complex128)
    matrix[np.arange(sites), :, np.arange(sites), :] = site_blocks(operator)
    for s in spin:
        np.add.at(matrix, (operator.bonds.first, s, operator.bonds.second, s), operator.hopping)
        np.add.at(matrix, (operator.bonds.second, s, operator.bonds.first, s), np.conj(operator.hopping))
    return matrix.reshape(2 * sites, 2 * sites)


def show(name: str, found: tuple[float, float], base: tuple[float, float]) -> None:
    wall, cpu = found
    print(f"  {name:52} {1e3 * wall:11.2f} ms ({1e3 * cpu:.2f} CPU)   {base[0] / wall:9.1f} x ({base[1] / cpu:.1f} x CPU)")


def torques(spins: np.ndarray, fields: np.ndarray) -> np.ndarray:
    return np.cross(spins, fields)


def rms(values: np.ndarray) -> float:
    """Over spins, of vectors."""
    return float(np.sqrt(np.mean(np.sum(values**2, axis=-1))))


def dense() -> None:
    print("against the fastest bare eigh of the teacher's matrix, complex128, disordered magnet, one thread")
    seconds = []
    for sites, repeats in ((512, 3), (1024, 2), (2048, 1)):
        atoms = disordered(sites)
        matrix, task = matrix_of(atoms), engine_task(atoms)
        task()
        bare = fastest_eigh(matrix)
        tasks = {"eigh": partial(bare.solve, matrix), "model": task}
        found = medians(tasks, {"eigh": repeats, "model": 20 * repeats})
        print(f" {sites} sites, n = {2 * sites}")
        show(bare.name, found["eigh"], found["eigh"])
        show("model: energies and fields", found["model"], found["eigh"])
        seconds.append(found["eigh"][1])
    print(f"  eigh grows as N^{np.polyfit(np.log([512, 1024, 2048]), np.log(seconds), 1)[0]:.2f} (CPU)")


def lattice() -> None:
    print("shipped lattice models against the rational solver of their teachers, 1024 sites, one thread")
    for name, kind in (("triangular-tetrahedral", "triangular"), ("square-double-exchange", "square")):
        atoms = SpinAtoms.lattice(kind, (32, 32), units="reduced", rng=1)
        spins, learned = get_spins(atoms), HIPNNCalculator.shipped(name)
        teacher, fields = SDModel.from_config(learned.card["teacher"]), learned.field_function(atoms)
        tasks: dict[str, Task] = {}
        for tolerance, dtype in ((1e-6, "complex128"), (1e-5, "complex64")):
            solver = RationalCalculator(teacher, tolerance=tolerance, dtype=dtype).field_function(atoms)
            tasks[f"rational, tolerance {tolerance:g}, {dtype}"] = lambda f=solver, s=spins: f(s)
        matrix = matrix_of(atoms, teacher)
        bare = fastest_eigh(matrix)
        tasks["model: energies and fields"] = lambda f=fields, s=spins: f(s)
        tasks["bare eigh"] = partial(bare.solve, matrix)
        for task in list(tasks)[:-1]:
            tasks[task]()  # warm: the rational solver starts at the last chemical potential
        error = rms(torques(spins, fields(spins) - tasks[next(iter(tasks))]()))
        print(f" {name}: rms torque {rms(torques(spins, fields(spins))):.4f}, error {error:.4f}, random spins")
        found = medians(tasks, {task: 1 if task == "bare eigh" else 15 for task in tasks})
        base = next(iter(found.values()))
        for task, pair in found.items():
            show(task, pair, base)
        print(f"  model against eigh: {found['bare eigh'][0] / found['model: energies and fields'][0]:.0f} x")
        for side in (32, 100, 316):
            trunks(name, kind, side, {} if side > 32 else {task: tasks[task] for task in (next(iter(tasks)), "bare eigh")})


def cold() -> None:
    print("triangular-skyrmion-lattice (range 7) against the rational solver that taught it (1e-5, complex64), one thread")
    name = "triangular-skyrmion-lattice"
    for side in (24, 36, 48):
        atoms = SpinAtoms.lattice("triangular", (side, side), units="reduced", rng=1)
        spins, tasks = get_spins(atoms), dict[str, Task]()
        for label, calc in (("rational", teacher_of(name)), ("model: energies and fields", LatticeCalculator.shipped(name))):
            tasks[label] = partial(calc.field_function(atoms), spins)
            tasks[label]()
        found = medians(tasks, {"rational": 3, "model: energies and fields": 30})
        print(f" {len(atoms)} spins")
        for task, pair in found.items():
            show(task, pair, found["rational"])


def trunks(name: str, kind: str, side: int, others: dict[str, Task]) -> None:
    """The lattice network of a recipe (random weights: they cost what others do) against mHIP-NN, engine against engine."""
    atoms, learned = SpinAtoms.lattice(kind, (side, side), units="reduced", rng=1), HIPNNCalculator.shipped(name)
    recipe = Path(__file__).parents[2] / "training" / "recipes" / f"{name.replace('-', '_')}_lattice" / "recipe.toml"
    size = tomllib.loads(recipe.read_text(encoding="utf-8"))["network"]
    parts = 1 + size.pop("orders", 0)
    del size["style"]
    geometry, spins, config = geometry_of(atoms), get_spins(atoms), learned.card.trunk
    network = LatticeNetwork(LatticeConfig.from_training(size, (int(atoms.numbers[0]),), parts, geometry))
    species = np.zeros(len(atoms), dtype=np.int64)
    graph = EngineGraph(find_bonds(geometry, config.cutoff), geometry.positions, config)
    own = LatticeGraph(network, both_ways(find_bonds(geometry, network.config.cutoff)), geometry.positions, species)
    plain, engine = FrozenEngine(learned.networks[0], threads=1), LatticeEngine(network, threads=1)
    mix = np.ones_like if config.parts > 1 else None
    constant = np.ones((1, 1)) if parts == 1 else None
    tasks: dict[str, Task] = {
        "mHIP-NN": lambda: plain(graph, species, spins, mix),
        "lattice network": lambda: engine(own, spins, lambda values: Weighed(np.ones((1, *values.shape))), constant),
    }
    for task in tasks.values():
        task()
    repeats = max(5, 40_000 // len(atoms))
    found = medians(tasks | others, dict.fromkeys(tasks, repeats) | {task: 3 if "rat" in task else 1 for task in others})
    count = sum(weights.numel() for weights in network.parameters())
    print(f"  {len(atoms)} spins, {count} weights of the lattice network, {parts} part(s)")
    for task, pair in found.items():
        show(f"{task}, {1e6 * pair[0] / len(atoms):.2f} us a spin", pair, found["mHIP-NN"])


def threads() -> None:
    print("shipped lattice networks: energies and fields on one and two threads, wall and CPU (of both)")
    for name, kind in (("triangular-tetrahedral-lattice", "triangular"), ("square-double-exchange-lattice", "square")):
        network = LatticeCalculator.shipped(name).networks[0]
        for side in (32, 100, 316):
            atoms = SpinAtoms.lattice(kind, (side, side), units="reduced", rng=1)
            geometry, spins, species = geometry_of(atoms), get_spins(atoms), np.zeros(len(atoms), dtype=np.int64)
            graph = LatticeGraph(
                network, both_ways(find_bonds(geometry, network.config.cutoff)), geometry.positions, species
            )
            tasks: dict[str, Task] = {f"{n}": lattice_task(network, graph, spins, n) for n in (1, 2)}
            for task in tasks.values():
                task()
            found = medians(tasks, dict.fromkeys(tasks, max(5, 40_000 // len(atoms))))
            told = [
                f"{n} thread(s): {1e6 * wall / len(atoms):5.2f} ({1e6 * cpu / len(atoms):5.2f} CPU)"
                for n, (wall, cpu) in found.items()
            ]
            print(f"  {name}, {len(atoms):6d} spins, us a spin   {'   '.join(told)}", flush=True)


def lattice_task(network: LatticeNetwork, graph: LatticeGraph, spins: np.ndarray, count: int) -> Task:
    """Energies and fields of a lattice network's engine on some threads; several parts are weighed by ones."""
    engine = LatticeEngine(network, threads=count)
    constant = np.ones((1, 1)) if network.config.parts == 1 else None
    return lambda: engine(graph, spins, lambda values: Weighed(np.ones((1, *values.shape))), constant)


def kpm() -> None:
    print("against KPM at the model's torque error, one thread (errors: rms of the torque vectors, in t)")
    small = disordered(343, seed=2)
    spins = get_spins(small)
    truth = torques(spins, EDCalculator(TEACHER).field_function(small)(spins))
    aim = rms(torques(spins, LEARNED.field_function(small)(spins)) - truth)
    print(f"  343 sites, random spins: rms torque {rms(truth):.4f}, error of the model {aim:.4f}")
    options = cheapest_kpm(small, truth, aim)
    large = disordered(10_000, seed=3)
    spins = get_spins(large)
    fields = KPMCalculator(TEACHER, **options).field_function(large)
    fine = KPMCalculator(TEACHER, columns="probing", count=1024, order=96).field_function(large)(spins)
    task = engine_task(large)
    errors = [rms(torques(spins, found - fine)) for found in (LEARNED.field_function(large)(spins), fields(spins))]
    print(f"  10^4 sites, errors against 1024 columns, 96 moments: model {errors[0]:.4f}, KPM {errors[1]:.4f}")
    found = medians({"KPM": lambda: fields(spins), "model": task}, {"KPM": 5, "model": 10})
    show("KPM: fields", found["KPM"], found["KPM"])
    show("model: energies and fields", found["model"], found["KPM"])


def cheapest_kpm(atoms: SpinAtoms, truth: np.ndarray, aim: float) -> dict[str, object]:
    """Options of the fewest columns times moments whose torque error is at most `aim`."""
    spins, best = get_spins(atoms), (np.inf, {}, np.inf)
    for count in (16, 32, 48, 64, 96, 128, 192, 256):
        for order in (8, 12, 16, 24, 32, 48):
            if count * order >= best[0]:
                continue
            options: dict[str, object] = {"columns": "probing", "count": count, "order": order}
            error = rms(torques(spins, KPMCalculator(TEACHER, **options).field_function(atoms)(spins)) - truth)
            if error <= aim:
                best = (count * order, options, error)
    if not best[1]:
        raise SystemExit("no KPM tried is as accurate as the model")
    print(f"  the cheapest KPM that reaches it: {best[1]}, error {best[2]:.4f}")
    return best[1]


def resident() -> tuple[float, float]:
    """Present and highest resident memory, MB; the highest starts anew."""
    values = {}
    with open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(("VmRSS", "VmHWM")):
                values[line.split(":")[0]] = float(line.split()[1]) / 1024
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")
    return values["VmRSS"], values["VmHWM"]


def size() -> None:
    print("cost per spin of energies and fields; wall and CPU (sum of threads) microseconds, medians")
    for density in (0.5, 1.0):
        cost: dict[int, list[float]] = {1: [], 2: []}
        sizes = (1000, 10_000, 125_000)
        for sites in (64, *sizes):
            atoms, line = disordered(sites, density=density), ""
            neighbours = 2 * len(find_bonds(geometry_of(atoms), LEARNED.card.trunk.cutoff)) / sites
            tasks: dict[str, Task] = {f"{threads}": engine_task(atoms, threads) for threads in (1, 2)}
            for task in tasks.values():
                task()
            repeats = 400 if sites == 64 else max(3, 100_000 // sites)
            found = medians(tasks, dict.fromkeys(tasks, repeats))
            for threads in (1, 2):
                wall, cpu = found[f"{threads}"]
                line += f"   {threads} thread(s): {1e6 * wall / sites:6.2f} ({1e6 * cpu / sites:5.2f} CPU)"
                cost[threads] += [cpu] if sites in sizes else []
            fixed = f"   a call: {1e3 * found['1'][0]:.2f} ms" if sites == 64 else ""
            print(f"  {sites:7d} spins, {neighbours:4.1f} neighbours{line}{fixed}")
        for threads, values in cost.items():
            whole, far = (np.polyfit(np.log(sizes[k:]), np.log(values[k:]), 1)[0] for k in (0, 1))
            print(
                f"  exponent, {threads} thread(s): {whole:.3f} from {sizes[0]} spins on, {far:.3f} from {sizes[1]} on (CPU)"
            )


def million() -> None:
    print(f"10^6 spins through the calculator, {default_threads()} thread(s)")
    for density in (0.5, 1.0):
        atoms = disordered(1_000_000, density=density)
        atoms.calc = HIPNNCalculator.shipped("disordered-sd")
        before, start = resident()[0], time.perf_counter()
        fields = atoms.calc.field_function(atoms)
        fields(get_spins(atoms))
        first = time.perf_counter() - start
        print(f"  first field {first:.0f} s, highest memory {resident()[1]:.0f} MB ({before:.0f} before)")
        spins = get_spins(atoms)
        found = medians({"fields": lambda f=fields, s=spins: f(s)}, {"fields": 3})["fields"]
        print(f"  {found[0]:.2f} us a spin ({found[1]:.2f} CPU), highest memory {resident()[1]:.0f} MB")


def quench(realizations: int = 32, sites: int = 100) -> None:
    print(f"quench of {realizations} realizations of {sites} sites, model and exact from the same spins, damping 1")
    times, edges, step = (0.0, 2.0, 6.0, 12.0, 20.0), np.arange(0.75, 2.3, 0.15), 0.5
    # Heun: an error of 1e-3 at this step; the implicit ones' grows with the field along the spin, large in the teacher.
    table = np.empty((2, realizations, len(times), len(edges)))  # energy, then C(r)
    exact = EDCalculator(TEACHER)
    for seed in range(realizations):
        for which, calculator in enumerate((LEARNED, exact)):
            atoms = disordered(sites, seed=1000 + seed)
            atoms.calc = calculator
            dynamics, pairs = LLGDynamics(atoms, step, damping=1.0, integrator="heun"), pair_bins(atoms, bins=edges)
            for k, now in enumerate(times):
                dynamics.run(round((now - dynamics.get_time()) / step))
                probe = atoms.copy()
                probe.calc = exact
                table[which, seed, k] = [energy_of(probe) / sites, *correlate(atoms.spins, pairs).values]
    table[..., 0] -= table[:, :, :1, 0]
    compare(table[:, :, 1:], times[1:], ["energy", *(f"C({0.5 * (a + b):.3f})" for a, b in pairwise(edges))])


def compare(table: np.ndarray, times: tuple[float, ...], labels: list[str]) -> None:
    """Print means of (2: model, exact; realizations; times; labels) and their differences in standard errors."""
    count = table.shape[1]
    mean, error = table.mean(axis=1), table.std(axis=1, ddof=1) / np.sqrt(count)
    gap, together = mean[0] - mean[1], np.sqrt((error**2).sum(axis=0))
    paired = gap / ((table[0] - table[1]).std(axis=0, ddof=1) / np.sqrt(count))
    print("  energies are the teacher's, counted from t = 0; sampling: the difference in standard errors of two independent")
    print("  samples; paired: in those of the differences box by box, where disorder and starting spins drop out")
    for k, now in enumerate(times):
        for q, label in enumerate(labels[:6]):
            exact, model = (f"{mean[which, k, q]:+.4f} +- {error[which, k, q]:.4f}" for which in (1, 0))
            ratio = gap[k, q] / together[k, q]
            print(
                f"  t = {now:4.1f} {label:9} exact {exact}  model {model} {ratio:+5.2f} sampling {paired[k, q]:+6.2f} paired"
            )
    scores = np.abs(gap) / together
    worst = scores.max()
    print(f"  all times and distances: rms {np.sqrt(np.mean(scores**2)):.2f}, largest {worst:.2f} sampling errors")


def local(sites: int = 250, flips: int = 12) -> None:
    print(f"one spin of {sites} turned over: rms change of the exact tangent field by distance, in units of its rms value")
    atoms = disordered(sites, seed=7)
    edges = np.array([0.0, 0.01, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0])
    spins, distances = get_spins(atoms), atoms.get_all_distances(mic=True)
    for kT in (0.05, 0.1, TEACHER.occupation.kT, 0.4):
        table = dict(LEARNED.card.notes["teacher"]) | {"kT": kT}
        fields = EDCalculator(SDModel.from_config(table)).field_function(atoms)
        before = torques(spins, fields(spins))
        changes, where = [], []
        for i in np.random.default_rng(0).choice(sites, flips, replace=False):
            turned = spins.copy()
            turned[i] *= -1.0
            changes.append(np.sum((torques(spins, fields(turned)) - before) ** 2, axis=1) / rms(before) ** 2)
            where.append(distances[i])
        bins = np.digitize(np.concatenate(where), edges)
        values = [np.sqrt(np.mean(np.concatenate(changes)[bins == b])) for b in range(1, len(edges))]
        shown = "  ".join(f"<{r:g}: {v:.1e}" for r, v in zip(edges[1:], values, strict=True))
        print(f"  kT = {kT:4.2f} t, rms tangent field {rms(before):.4f} t   {shown}")


def main() -> None:
    use_best_kernels()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", AccuracyWarning)  # of KPM, whose error is set against the model's here
    parts = {part.__name__: part for part in (dense, lattice, cold, threads, kpm, size, million, quench, local)}
    unknown = [name for name in sys.argv[1:] if name not in parts]
    if unknown:
        raise SystemExit(f"no part {unknown[0]!r}: choose from {', '.join(parts)}")
    print(header(1), f"torch {torch.__version__}")
    for name in sys.argv[1:] or [part for part in parts if part not in ("dense", "million")]:
        with threadpool_limits(1, user_api="blas"):
            parts[name]()


if __name__ == "__main__":
    main()
