"""A learned driven magnet against the Green's functions that taught it: seconds of a field, and of long devices.

    OMP_NUM_THREADS=1 python tests/benchmarks/driven.py [model] [repeats]

CPU seconds of the process, least of some: both take turns.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from timing import header

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.calculators.learned import LearnedCalculator
from spinase.calculators.negf import NEGFCalculator
from spinase.electrons import LatticeLead, SDModel, ShellHopping
from spinase.textures import domain_wall

BIAS = 0.6
LEADS = [LatticeLead("left", exchange=(0, 0, 1)), LatticeLead("right", exchange=(0, 0, -1))]
MODEL = SDModel(ShellHopping([1.0]), coupling=1.0, chemical_potential=-2.5, kT=0.05)


def strip(length: int, width: int) -> SpinAtoms:
    atoms = SpinAtoms.lattice("square", (length, width), units="reduced")
    atoms.pbc = (False, True, False)
    atoms.moments = 20.0 * domain_wall(geometry_of(atoms), np.random.default_rng(0), width=2.0, angle=0.5)
    return atoms


def field(calc: Any, atoms: SpinAtoms) -> Callable[[], object]:
    function, spins = calc.field_function(atoms), atoms.spins
    function(spins)
    return lambda: function(spins)


def least(task: Callable[[], object], repeats: int) -> float:
    found = []
    for _ in range(repeats):
        start = time.process_time()
        task()
        found.append(time.process_time() - start)
    return min(found)


def main(model: str, repeats: int) -> None:
    warnings.simplefilter("ignore")
    print(header(1), f"bias {BIAS} t, NEGF to 1e-3, {model} in single precision")
    for length, width in ((60, 10), (60, 20)):
        atoms = strip(length, width)
        negf = field(NEGFCalculator(MODEL, LEADS, BIAS, tolerance=1e-3, max_energies=4000), atoms)
        learned = field(LearnedCalculator(model, bias=BIAS, outside_domain="ignore"), atoms)
        exact, quick = least(negf, 1), least(learned, 10 * repeats)
        print(f"{length}x{width}: NEGF {exact:.2f} s, model {1e3 * quick:.2f} ms: {exact / quick:.0f} times", flush=True)
    for length in (600, 6000, 18_000):
        seconds = least(field(LearnedCalculator(model, bias=BIAS, outside_domain="ignore"), strip(length, 10)), repeats)
        print(f"{length}x10: model {seconds:.3f} s, {1e6 * seconds / (10 * length):.2f} us a site", flush=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "driven-wall", int(sys.argv[2]) if len(sys.argv) > 2 else 3)
