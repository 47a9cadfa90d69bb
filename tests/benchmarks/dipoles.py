"""What the dipole field of a lattice costs beside the exchange field of the same spins.

    OMP_NUM_THREADS=1 python tests/benchmarks/dipoles.py [repeats]

Baseline: the field of nearest-neighbour exchange (compiled loop over the bonds) on the same sites, one thread.
"""

from __future__ import annotations

import sys
import time
from functools import partial

import numpy as np
from timing import header, interleaved

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.calculators.options import pair_law
from spinase.classical import Dipole, Heisenberg
from spinase.spin_algebra import random_spins

MAGNETS = {
    "cubic 100x100x100, periodic": ("cubic", (100, 100, 100), True),
    "square 1000x1000, periodic film": ("square", (1000, 1000), True),
    "square 1000x1000, open": ("square", (1000, 1000), False),
    "cubic 250x400x10, film": ("cubic", (250, 400, 10), (True, True, False)),
    "bcc 80x80x79, periodic": ("bcc", (80, 80, 79), True),
    "cubic 100x100x100, open": ("cubic", (100, 100, 100), False),
}


def main() -> None:
    """Every magnet."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(header(1))
    for name, (lattice, size, periodic) in MAGNETS.items():
        atoms = SpinAtoms.lattice(lattice, size, periodic=periodic)
        geometry = geometry_of(atoms)
        spins, lengths = random_spins(len(atoms), np.random.default_rng(1)), np.ones(len(atoms))
        exchange = Heisenberg(pair_law([1.0])).freeze(geometry)
        start = time.perf_counter()
        dipoles = Dipole(0.1).freeze(geometry)
        dipoles.gradient(spins, lengths)
        made = time.perf_counter() - start
        times = interleaved(
            {"exchange": partial(exchange.gradient, spins, lengths), "dipoles": partial(dipoles.gradient, spins, lengths)},
            repeats,
        )
        ratio = times["dipoles"] / times["exchange"]
        print(
            f"{name:32} {len(atoms):8} spins  exchange {1e3 * times['exchange']:7.1f} ms  dipoles "
            f"{1e3 * times['dipoles']:8.1f} ms  {ratio:6.2f} x   (kernel once: {made:5.1f} s)",
            flush=True,
        )


if __name__ == "__main__":
    main()
