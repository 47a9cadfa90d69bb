"""Conductivities: Chebyshev moments against eigenstates of the same magnet, and how large a magnet can be.

    OMP_NUM_THREADS=1 python tests/benchmarks/conductivity.py [SIZE ...]

Triangular s-d magnet in tetrahedral order; 200 moments, four random vectors; baseline: all eigenstates of 20 x 20 sites.
CPU seconds of one thread (the larger sizes once each), and the Hall conductivity in the gap with its error.
"""

from __future__ import annotations

import sys
import time

from timing import header

from spinase import SpinAtoms
from spinase.analysis import exact_conductivity, kpm_conductivity
from spinase.electrons import SDModel, ShellHopping

MODEL = SDModel(ShellHopping([1.0]), coupling=3.0, filling=0.25)
GAP, MOMENTS, VECTORS, SMALL = -3.3, 200, 4, 20


def magnet(size: int) -> SpinAtoms:
    """Perfect order."""
    return SpinAtoms.lattice("triangular", (size, size), units="reduced", texture="tetrahedral")


def main(sizes: list[int]) -> None:
    """Print the table."""
    print(header(1))
    seconds = {"exact": [], "moments": []}
    for _ in range(3):
        began = time.process_time()
        exact = exact_conductivity(magnet(SMALL), MODEL, width=0.13)
        seconds["exact"].append(time.process_time() - began)
        began = time.process_time()
        kpm_conductivity(magnet(SMALL), MODEL, MOMENTS, VECTORS)
        seconds["moments"].append(time.process_time() - began)
    baseline, ours = (sorted(times)[1] for times in seconds.values())
    print(f"{SMALL}x{SMALL}: eigenstates {baseline:.2f} s, moments {ours:.2f} s, ratio {baseline / ours:.2f}")
    print(f"exact: {exact.hall([GAP])[0, 2]:.4f}")
    for size in sizes:
        began = time.process_time()
        found = kpm_conductivity(magnet(size), MODEL, MOMENTS, VECTORS)
        took = time.process_time() - began
        value, error = found.hall([GAP])[0, 2], found.hall_errors([GAP])[0, 2]
        print(f"{size}x{size}: {took:.1f} s, {value:.4f} +- {error:.4f} e^2/h")


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [50, 100, 200])
