"""Fields of a magnet on a mesh of k-points with and without those that symmetry makes equal: python tests/benchmarks/kpoints.py [points].

Triangular s-d magnet in tetrahedral order (4 sites a cell, 7 of 36 points of a 6 x 6 mesh are left); a collinear one of 2 x 2
x 2 bcc cells.  The baseline is the full mesh, where k and -k are solved once if the spins allow.
"""

from __future__ import annotations

import sys

from timing import header, interleaved

from spinase import SpinAtoms
from spinase.calculators import EDCalculator
from spinase.electrons import SDModel, ShellHopping

POINTS = int(sys.argv[1]) if len(sys.argv) > 1 else 24

model = SDModel(ShellHopping([1.0]), 3.0, filling=0.25, kT=0.05)
print(header(1))
for name, atoms, size in (
    ("tetrahedral order", SpinAtoms.lattice("triangular", (2, 2), units="reduced", texture="tetrahedral"), (POINTS, POINTS, 1)),
    ("ferromagnet, bcc", SpinAtoms.lattice("bcc", (2, 2, 2), units="reduced", texture="ferro"), (POINTS // 4,) * 3),
):
    calcs = {"full": EDCalculator(model, size), "reduced": EDCalculator(model, size, reduce=True)}
    fields = {key: calc.field_function(atoms) for key, calc in calcs.items()}
    spins = atoms.spins
    times = interleaved({key: lambda one=one: one(spins) for key, one in fields.items()}, 5)
    solved = {key: len(calc.sampled_points(atoms)) for key, calc in calcs.items()}
    print(
        f"{name}, mesh {size}: {solved['full']} points {1e3 * times['full']:.1f} ms, {solved['reduced']} points "
        f"{1e3 * times['reduced']:.1f} ms, {times['reduced'] / times['full']:.2f} of the baseline"
    )
