"""Fields of a magnet on a mesh of k-points, with and without those that symmetry makes equal.

    OMP_NUM_THREADS=1 python tests/benchmarks/kpoints.py [repeats]

Triangular s-d magnet in tetrahedral order (4 and 16 sites), bcc ferromagnet of 3 x 3 x 3 cells.  The baseline is the full
mesh, where k and -k are solved once if the spins allow.
"""

from __future__ import annotations

import sys
from functools import partial

from timing import header, interleaved

from spinase import SpinAtoms
from spinase.calculators import EDCalculator
from spinase.electrons import SDModel, ShellHopping

REPEATS = int(sys.argv[1]) if len(sys.argv) > 1 else 7

model = SDModel(ShellHopping([1.0]), 3.0, filling=0.25, kT=0.05)
print(header(1))
small, large = (SpinAtoms.lattice("triangular", (n, n), units="reduced", texture="tetrahedral") for n in (2, 4))
iron = SpinAtoms.lattice("bcc", (3, 3, 3), units="reduced", texture="ferro")
for name, atoms, size in (
    ("tetrahedral order, 4 sites", small, (48, 48, 1)),
    ("tetrahedral order, 16 sites", large, (24, 24, 1)),
    ("ferromagnet, 54 sites", iron, (4, 4, 4)),
):
    calcs = {"full": EDCalculator(model, size), "reduced": EDCalculator(model, size, reduce=True)}
    times = interleaved({key: partial(calc.field_function(atoms), atoms.spins) for key, calc in calcs.items()}, REPEATS)
    solved = {key: len(calc.sampled_points(atoms)) for key, calc in calcs.items()}
    print(
        f"{name}, mesh {size}: {solved['full']} points {1e3 * times['full']:.1f} ms, {solved['reduced']} points "
        f"{1e3 * times['reduced']:.1f} ms, {times['reduced'] / times['full']:.2f} of the baseline"
    )
