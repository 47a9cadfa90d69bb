"""What the dipole field of a lattice costs beside the exchange field of as many spins.

    OMP_NUM_THREADS=1 python tests/benchmarks/dipoles.py [repeats]

Baseline: the compiled loop of nearest-neighbour exchange, 4 neighbours in a plane, 6 in space, sites in order.
CPU times of one thread, medians, taking turns.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from timing import header

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.classical import Dipole
from spinase.classical.kernels import exchange_field
from spinase.spin_algebra import random_spins

MAGNETS: dict[str, tuple[str, tuple[int, ...], bool | tuple[bool, ...]]] = {
    "cubic 100x100x100, periodic": ("cubic", (100, 100, 100), True),
    "square 1000x1000, film": ("square", (1000, 1000), True),
    "cubic 250x400x10, film": ("cubic", (250, 400, 10), (True, True, False)),
    "square 1000x1000, open": ("square", (1000, 1000), False),
    "cubic 100x100x100, open": ("cubic", (100, 100, 100), False),
}


def exchange(size: tuple[int, ...]) -> Callable[[np.ndarray], object]:
    """Field of nearest neighbours on a grid of sites, last direction fastest."""
    index = np.arange(np.prod(size)).reshape(size)
    turned = [np.roll(index, step, axis=axis).ravel() for axis in range(len(size)) for step in (1, -1)]
    rows = np.sort(np.stack(turned, axis=1), axis=1)
    starts = rows.shape[1] * np.arange(len(rows) + 1)
    return partial(exchange_field, starts, rows.ravel(), np.ones(rows.size))


def main() -> None:
    """Every magnet."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(header(1), "CPU time")
    for name, (lattice, size, periodic) in MAGNETS.items():
        atoms = SpinAtoms.lattice(lattice, size, periodic=periodic)
        spins, lengths = random_spins(len(atoms), np.random.default_rng(1)), np.ones(len(atoms))
        start = time.process_time()
        dipoles = Dipole(0.1).freeze(geometry_of(atoms))
        tasks = {"exchange": partial(exchange(size), spins), "dipoles": partial(dipoles.gradient, spins, lengths)}
        tasks["dipoles"]()
        single = Dipole(0.1, dtype="float32").freeze(geometry_of(atoms))
        tasks["in single precision"] = partial(single.gradient, spins, lengths)
        made = time.process_time() - start
        tasks["exchange"]()
        tasks["in single precision"]()
        times: dict[str, list[float]] = {what: [] for what in tasks}
        for _ in range(repeats):
            for what, task in tasks.items():
                start = time.process_time()
                task()
                times[what].append(1e3 * (time.process_time() - start))
        one, other, half = (float(np.median(times[what])) for what in tasks)
        print(
            f"{name:28} {len(atoms):8} spins  exchange {one:7.1f} ms  dipoles {other:8.1f} ms  {other / one:6.2f} x"
            f"   single precision {half:7.1f} ms  {half / one:6.2f} x   (kernel, once: {made:5.1f} s)",
            flush=True,
        )


if __name__ == "__main__":
    main()
