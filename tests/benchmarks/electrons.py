"""Rational and KPM solvers against dense diagonalization and the machine's limits.

``OMP_NUM_THREADS=1 python tests/benchmarks/electrons.py [part ...]``; parts: rational, kernel, kpm, size (default: all).
Baselines are measured in the same process: the fastest ``eigh`` at hand of the same matrix, the fused multiply-add peak and
the memory bandwidth of a core, scipy's CSR product.  Errors are rms values over the components of the torques
(J s x Tr[sigma rho]) against an exact answer.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from lapack import fastest_eigh, use_best_kernels
from numba import njit
from scipy.sparse import csr_array
from timing import header, interleaved

from spinase import SpinAtoms
from spinase.atoms import geometry_of, get_spins
from spinase.compiled.rows import LANES, aligned, fma, load, store, total
from spinase.electrons import FixedFilling, SDModel, ShellHopping
from spinase.electrons.chebyshev.columns import random_columns
from spinase.electrons.chebyshev.engine import NumbaEngine, Pattern
from spinase.electrons.chebyshev.kernels import forward
from spinase.electrons.chebyshev.series import find_band
from spinase.electrons.operator import SparsityPattern, SpinOperator
from spinase.electrons.solvers.base import Plan, Solver
from spinase.electrons.solvers.dense import DenseSolver
from spinase.electrons.solvers.kpm import KPMOptions, KPMSolver
from spinase.electrons.solvers.rational import RationalSolver
from spinase.electrons.solvers.refreshed import RefreshedSolver
from spinase.electrons.sparse.selected_inversion import site_blocks

KT = 0.05


def magnet(lattice: str, size: tuple[int, ...], shells: list[float], coupling: float = 1.0) -> SpinOperator:
    atoms = SpinAtoms.lattice(lattice, size, units="reduced", rng=1)
    model = SDModel(hopping=ShellHopping(shells), coupling=coupling, filling=0.3, kT=KT)
    return model.hamiltonian.freeze(geometry_of(atoms)).operator(get_spins(atoms))


def planned(solver: Solver[Any], operator: SpinOperator) -> Plan[Any]:
    return solver.plan(SparsityPattern.of(operator))


def torque_error(plan: Plan[Any], operator: SpinOperator, exact: np.ndarray) -> float:
    """Rms over components, energy."""
    spin = plan.solve(operator, bonds=False).density.spin
    return float(np.sqrt(np.mean(np.cross(operator.exchange, spin - exact) ** 2)))


def full_matrix(operator: SpinOperator) -> np.ndarray:
    return np.asarray(sparse(operator).toarray())


def against_eigh(operator: SpinOperator, plans: dict[str, Plan[Any]], exact: np.ndarray, repeats: int = 3) -> float:
    """Print seconds, ratio and error of each plan; the seconds of eigh."""
    matrix = full_matrix(operator)
    fastest = fastest_eigh(matrix)
    tasks: dict[str, Callable[[], object]] = {"eigh": lambda: fastest.solve(matrix)}
    tasks |= {name: lambda p=plan: p.solve(operator, bonds=False) for name, plan in plans.items()}
    median = interleaved(tasks, repeats)
    print(f"  {fastest.name}, n = {len(matrix)}: {median['eigh']:.2f} s")
    for name, plan in plans.items():
        print(
            f"  {name:58} {1e3 * median[name]:8.1f} ms  {median['eigh'] / median[name]:6.1f} x eigh"
            f"  torque error {torque_error(plan, operator, exact):.1e}"
        )
    return median["eigh"]


def rational() -> None:
    print(
        "rational expansion + selected inversion, square lattice, J = t, kT = 0.05 t, filling 0.3, warm chemical potential"
    )
    operator, occupation = magnet("square", (32, 32), [1.0]), FixedFilling(KT, 0.3)
    exact = DenseSolver(occupation).solve(operator, bonds=False).density.spin
    eigh = against_eigh(
        operator,
        {
            "32x32, tolerance 1e-10, complex128": planned(RationalSolver(occupation, 1e-10), operator),
            "32x32, tolerance 1e-6, complex128": planned(RationalSolver(occupation, 1e-6), operator),
            "32x32, tolerance 1e-5, complex64": planned(RationalSolver(occupation, 1e-5, "complex64"), operator),
        },
        exact,
    )
    for side in (64, 128):
        large = magnet("square", (side, side), [1.0])
        for tolerance, dtype in ((1e-10, "complex128"), (1e-6, "complex128"), (1e-5, "complex64")):
            plan = planned(RationalSolver(occupation, tolerance, dtype), large)
            plan.solve(large, bonds=False)
            seconds = interleaved({"solve": lambda s=plan, o=large: s.solve(o, bonds=False)}, 3)["solve"]
            dense = eigh * (side / 32) ** 6
            print(
                f"  {side}x{side}, tolerance {tolerance:g}, {dtype}: {seconds:.2f} s (dense, scaled as N^3: {dense:.0f} s)"
            )
    cube = magnet("cubic", (10, 10, 10), [1.0])
    exact, rational = DenseSolver(occupation).solve(cube, bonds=False).density.spin, RationalSolver(occupation, 1e-6)
    against_eigh(cube, {"cubic 10x10x10, tolerance 1e-6, complex128": planned(rational, cube)}, exact)


@njit(nogil=True)
def peak(numbers: np.ndarray, rounds: int) -> float:
    """12 independent chains of fused multiply-adds."""
    m = load(numbers, 0)
    a, b, c, d, e, f = m, m, m, m, m, m
    g, h, i, j, k, l_ = m, m, m, m, m, m
    for _ in range(rounds):
        a, b, c, d, e, f = fma(m, a, m), fma(m, b, m), fma(m, c, m), fma(m, d, m), fma(m, e, m), fma(m, f, m)
        g, h, i, j, k, l_ = fma(m, g, m), fma(m, h, m), fma(m, i, m), fma(m, j, m), fma(m, k, m), fma(m, l_, m)
    return (
        total(a)
        + total(b)
        + total(c)
        + total(d)
        + total(e)
        + total(f)
        + total(g)
        + total(h)
        + total(i)
        + total(j)
        + total(k)
        + total(l_)
    )


@njit(nogil=True)
def stream(target: np.ndarray, source: np.ndarray) -> None:
    """target = 2 source - target: two reads and a write, as the recursion."""
    for p in range(0, len(target), LANES):
        store(target, p, fma(np.float32(2.0), load(source, p), fma(np.float32(-1.0), load(target, p), load(target, p))))


def kernel() -> None:
    print("KPM kernel, float32, 16 columns, moments included; ns per site, column and step")
    numbers, big = aligned(1024, "float32"), [aligned(64_000_000, "float32") for _ in range(2)]
    limit = interleaved({"fma": lambda: peak(numbers, 1_000_000), "stream": lambda: stream(*big)}, 5)
    flops, bandwidth = 1e6 * 12 * LANES * 2 / limit["fma"], 3 * big[0].nbytes / limit["stream"]
    print(f"  peak {flops / 1e9:.0f} GF/s, bandwidth {bandwidth / 1e9:.1f} GB/s (two reads, one write)")
    steps = 64
    for name, size, shells in (
        ("square", (16, 16), [1.0]),
        ("square", (32, 32), [1.0]),
        ("triangular", (24, 24), [1.0, 0.0, -0.85]),
        ("cubic", (10, 10, 10), [1.0]),
        ("square", (128, 128), [1.0]),
        ("square", (256, 256), [1.0]),
        ("square", (400, 400), [1.0]),
        ("triangular", (160, 160), [1.0, 0.0, -0.85]),
        ("cubic", (46, 46, 46), [1.0]),
    ):
        operator = magnet(name, size, shells)
        sites, links = len(operator), 2 * len(operator.bonds) // len(operator)
        pattern = Pattern(operator, find_band(operator), "float32", 1)
        engine = NumbaEngine(pattern, operator, random_columns(LANES), 0, 1)
        even = engine._fill(0)
        odd = aligned(len(even), "float32")
        matrix = csr_array(sparse(operator), dtype=np.complex64)
        block = np.ones((2 * sites, LANES), dtype=np.complex64)
        p = pattern

        def run(engine: NumbaEngine = engine, even: np.ndarray = even, odd: np.ndarray = odd, p: Pattern = p) -> None:
            engine.columns.fill(even.reshape(-1, 4, LANES), 0, 0, p.order)
            odd[:] = 0.0
            forward(even, odd, engine.site, p.start, p.near, p.real, p.imag, p.spin, p.far, steps, p.wave)

        fill = interleaved({"fill": lambda e=engine, v=even, p=p: e.columns.fill(v.reshape(-1, 4, LANES), 0, 0, p.order)}, 3)
        old = np.ones_like(block)

        def step(matrix: csr_array = matrix, block: np.ndarray = block, old: np.ndarray = old) -> None:
            new = 2.0 * (matrix @ block) - old
            np.vdot(block, block), np.vdot(new, block)

        median = interleaved({"kernel": run, "csr": lambda h=matrix, b=block: h @ b, "step": step}, 5)
        seconds = (median["kernel"] - fill["fill"]) / steps
        ns, unit = 1e9 * seconds / (sites * LANES), sites * LANES
        work = unit * 2 * (4 * links + 12 + 4 + 8) / seconds  # hopping, site block, recursion, two scalar products
        print(
            f"  {name:10} {sites:7d} sites, z = {links:2d}: {ns:5.2f} ns, {work / flops:4.0%} of the peak, "
            f"{3 * even.nbytes / seconds / bandwidth:4.0%} of the bandwidth, "
            f"{median['csr'] / seconds:4.1f} x scipy CSR complex64 product, "
            f"{median['step'] / seconds:4.1f} x the same step in scipy and numpy"
        )


def sparse(operator: SpinOperator) -> csr_array:
    """The 2N x 2N matrix."""
    sites, first, second = len(operator), operator.bonds.first, operator.bonds.second
    blocks, spin = site_blocks(operator), np.arange(2)
    here = 2 * np.arange(sites)[:, None, None] + np.zeros((2, 2), dtype=int)
    rows = [(here + spin[:, None]).ravel(), *(2 * first + s for s in spin), *(2 * second + s for s in spin)]
    columns = [(here + spin[None, :]).ravel(), *(2 * second + s for s in spin), *(2 * first + s for s in spin)]
    values = [blocks.ravel(), operator.hopping, operator.hopping, operator.hopping, operator.hopping]
    places = (np.concatenate(rows), np.concatenate(columns))
    return csr_array((np.concatenate(values), places), shape=(2 * sites, 2 * sites))


def tilted(operator: SpinOperator, angle: float) -> SpinOperator:
    rng = np.random.default_rng(0)
    size = np.linalg.norm(operator.exchange, axis=1)[:, None]
    moved = operator.exchange / size + angle * rng.normal(size=operator.exchange.shape) / np.sqrt(2)
    exchange = size * moved / np.linalg.norm(moved, axis=1)[:, None]
    return SpinOperator(operator.bonds, operator.hopping, operator.onsite, exchange)


def kpm() -> None:
    print("KPM, J = t, kT = 0.05 t, filling 0.3, warm")
    operator, occupation = magnet("square", (32, 32), [1.0]), FixedFilling(KT, 0.3)
    pattern = SparsityPattern.of(operator)
    exact = RationalSolver(occupation, 1e-9).solve(operator, bonds=False).density.spin
    plans = {
        "square 32x32, accuracy 1e-3 (chosen)": KPMSolver(occupation, KPMOptions(accuracy=1e-3)).plan(pattern),
        "square 32x32, 320 columns, 72 moments": KPMSolver(occupation, KPMOptions(count=320, order=72)).plan(pattern),
        "square 32x32, unit vectors, 88 moments": _unit(occupation, 88).plan(pattern),
    }
    for plan in plans.values():
        known = plan.calibrate(operator)
        print(f"  {known.columns.count} columns, {known.order} moments, measured field error {known.error:.1e}")
    against_eigh(operator, plans, exact)
    cube = magnet("cubic", (10, 10, 10), [1.0])
    truth = RationalSolver(occupation, 1e-8).solve(cube, bonds=False).density.spin
    against_eigh(cube, {"cubic 10x10x10, unit vectors, 120 moments": planned(_unit(occupation, 120), cube)}, truth)
    start = magnet("square", (24, 24), [1.0])
    moved = tilted(start, 0.05)
    truth = RationalSolver(occupation, 1e-9).solve(moved, bonds=False).density.spin
    cheap = KPMSolver(occupation, KPMOptions(count=72, order=72))
    refreshed = planned(RefreshedSolver(cheap, RationalSolver(occupation), 10.0), start)
    refreshed.solve(start, bonds=False)
    against_eigh(moved, {"delta-probing 24x24, 72 columns, 0.05 rad from the reference": refreshed}, truth)


def _unit(occupation: FixedFilling, order: int) -> KPMSolver:
    return KPMSolver(occupation, KPMOptions(columns="unit", order=order))


def resident() -> tuple[float, float]:
    """Present and highest resident memory, MB; the highest starts anew."""
    values = {}
    with open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(("VmRSS", "VmHWM")):
                values[line.split(":")[0]] = line.split()[1]
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")
    return float(values["VmRSS"]) / 1024, float(values["VmHWM"]) / 1024


def size() -> None:
    print("KPM cost against size, simple cubic, 64 columns, 80 moments, fields at fixed chemical potential")
    sizes, seconds = [], []
    for side in (10, 22, 46, 100):
        operator = magnet("cubic", (side, side, side), [1.0])
        occupation = SDModel(hopping=ShellHopping([1.0]), coupling=1.0, chemical_potential=-1.0, kT=KT).occupation
        options = KPMOptions(count=64, order=80, columns="probing")
        plan = KPMSolver(occupation, options).plan(SparsityPattern.of(operator))
        began = time.perf_counter()
        plan.calibrate(operator)
        prepared = time.perf_counter() - began
        before = resident()[0]
        plan.solve(operator, bonds=False)
        memory = resident()[1] - before
        repeats = 1 if side == 100 else 3
        spent = interleaved({"solve": lambda s=plan, o=operator: s.solve(o, bonds=False)}, repeats)["solve"]
        sizes.append(side**3)
        seconds.append(spent)
        print(
            f"  {side**3:8d} sites: {spent:8.3f} s a solution, {memory:6.0f} MB beyond inputs, {prepared:.1f} s to prepare"
        )
    for last in (3, 4):
        exponent = np.polyfit(np.log(sizes[:last]), np.log(seconds[:last]), 1)[0]
        print(f"  exponent from {sizes[0]} to {sizes[last - 1]} sites: {exponent:.2f}")


def main() -> None:
    use_best_kernels()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(header(1), f"torch {torch.__version__}")
    parts = {"rational": rational, "kernel": kernel, "kpm": kpm, "size": size}
    for name in sys.argv[1:] or parts:
        parts[name]()


if __name__ == "__main__":
    main()
