"""Exchange tensors of a metal from its electrons against a field evaluation of the same calculator.

``OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python tests/benchmarks/exchange.py``: CPU seconds of one
thread, spins moved by 0.05 rad between evaluations, so that the chemical potential is warm and nothing is cached.
"""

from __future__ import annotations

import time

import numpy as np
from timing import header

from spinase import SpinAtoms
from spinase.calculators import RationalCalculator
from spinase.electrons import SDModel, ShellHopping

_ROUNDS = 7


def measure(name: str, model: SDModel, side: int) -> None:
    """Print the ratio for a square metal, all pairs to five shells."""
    atoms = SpinAtoms.lattice("square", (side, side), units="reduced", rng=1)
    rng, calc = np.random.default_rng(3), RationalCalculator(model)
    calc.get_property("magnetic_forces", atoms)
    began = time.process_time()
    calc.exchange_tensors(atoms, 5)
    first = time.process_time() - began
    fields, tensors = [], []
    for _ in range(_ROUNDS):
        atoms.spins = atoms.spins + 0.05 * rng.normal(size=(len(atoms), 3))
        began = time.process_time()
        calc.get_property("magnetic_forces", atoms)
        between = time.process_time()
        calc.exchange_tensors(atoms, 5)
        fields.append(between - began)
        tensors.append(time.process_time() - between)
    field, tensor = float(np.median(fields)), float(np.median(tensors))
    ratio = tensor / field
    print(f"  {side}x{side}, {name}: fields {field:.3f} s, tensors {tensor:.3f} s, ratio {ratio:.2f}, first {first:.2f} s")


def main() -> None:
    """Both ways of filling, two sizes."""
    print(header(1))
    for side in (32, 64):
        measure("filling 0.3", SDModel(ShellHopping([1.0]), 1.0, filling=0.3, kT=0.05), side)
        measure("chemical potential -1", SDModel(ShellHopping([1.0]), 1.0, chemical_potential=-1.0, kT=0.05), side)


if __name__ == "__main__":
    main()
