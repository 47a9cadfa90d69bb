"""Curvatures and a transition's prefactors of a 24 x 24 magnet, against numpy.linalg.eigh of its Hessian."""

from __future__ import annotations

import numpy as np
from timing import header, interleaved

from spinase import SpinAtoms
from spinase.calculators import DMICalculator, HeisenbergCalculator, SpinSumCalculator, UniaxialAnisotropyCalculator
from spinase.rates import stationary_point, transition
from spinase.spinwaves import classical_hessian

EDGE, REPEATS = 24, 5


def point(spins: object) -> SpinAtoms:
    """All spins along an axis, in periodic boundaries: stationary, DMI and all."""
    atoms = SpinAtoms.lattice("square", (EDGE, EDGE), units="reduced")
    atoms.spins = spins
    atoms.calc = SpinSumCalculator(
        [
            HeisenbergCalculator([1.0]),
            DMICalculator([0.02], normal=(0, 0, 1)),
            UniaxialAnisotropyCalculator(0.002, (0, 0, 1)),
            UniaxialAnisotropyCalculator(-0.5, (0, 1, 0)),
        ]
    )
    return atoms


low, top = point([0, 0, 1]), point([1, 0, 0])
matrix = classical_hessian(low).at([0, 0, 0])[0].real
change = transition(stationary_point(low), stationary_point(top))
tasks = {
    "numpy.linalg.eigh": lambda: np.linalg.eigh(matrix),
    "curvatures": lambda: stationary_point(low),
    "prefactors": lambda: (change.prefactor(0.1), change.damped_prefactor(0.1, 0.1)),
}
times = interleaved(tasks, REPEATS)
print(header(1))
print(f"{EDGE} x {EDGE} sites, {len(matrix)} curvatures")
for name, seconds in times.items():
    print(f"{name}: {seconds:.3f} s, {seconds / times['numpy.linalg.eigh']:.2f} of the baseline")
