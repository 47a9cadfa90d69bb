"""Sizes of chiral domains against fields of the run: python tests/benchmarks/chiral_domains.py [edge] [rounds].

``OMP_NUM_THREADS=1``; seconds of CPU, taking turns.  The baseline is one field of the learned lattice model, of which a step
of Heun's method takes two; the rest are what the observers do at each look, with triangles and wavevectors known.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from timing import header, interleaved

from spinase import SpinAtoms
from spinase.analysis import (
    chirality_edges,
    chirality_structure_factor,
    chirality_walls,
    primitive_lattice,
    sites_in_walls,
    triangles,
)
from spinase.analysis.reciprocal import zone_mesh
from spinase.calculators import LatticeCalculator
from spinase.contract import field_function


def main() -> None:
    given = [int(word) for word in sys.argv[1:]]
    edge, rounds = [*given, *(96, 5)[len(given) :]]
    atoms = SpinAtoms.lattice("triangular", (edge, edge), units="reduced", texture="random", rng=1)
    atoms.calc = LatticeCalculator.shipped("triangular-tetrahedral-lattice")
    fields, spins = field_function(atoms, atoms.calc, np.ones(len(atoms))), atoms.spins.copy()
    found, mesh = triangles(atoms), zone_mesh(primitive_lattice(atoms))
    tasks = {
        "one field of the model": lambda: fields(spins),
        "structure factor of the chirality": lambda: chirality_structure_factor(atoms, found, mesh),
        "walls": lambda: chirality_walls(atoms, found),
        "sites in walls": lambda: sites_in_walls(atoms, found),
        "edges": lambda: chirality_edges(atoms, found),
    }
    print(header(1), f"{edge} x {edge} random spins")
    seconds = interleaved(tasks, rounds, time.process_time)
    base = next(iter(seconds.values()))
    for name, value in seconds.items():
        print(f"{name:36s} {1e3 * value:8.1f} ms  {value / base:.3f}")


if __name__ == "__main__":
    main()
