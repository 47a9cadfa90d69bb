"""Cost of an LLG step around its fields: python tests/benchmarks/driver.py [edge] [repeats].

Nearest-neighbour Heisenberg model on a square lattice, the cheapest calculator there is.  The baseline is the
calculator's own field function, called as often as the integrator calls it; "bookkeeping" is what a step spends on
reading and writing the atoms (everything but fields and integrator), the part that must stay under 5 %.
"""

from __future__ import annotations

import sys

import numpy as np
from timing import header, interleaved

from spinase import SpinAtoms
from spinase.atoms import get_spins
from spinase.calculators import HeisenbergCalculator
from spinase.dynamics import LLGDynamics
from spinase.dynamics.integrators import SemiImplicitB
from spinase.spin_algebra import precession_vector


def main() -> None:
    edge = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    atoms = SpinAtoms.lattice("square", (edge, edge), units="reduced", rng=1)
    atoms.calc = HeisenbergCalculator([1.0])
    spins = get_spins(atoms)
    fields = atoms.calc.field_function(atoms)
    dyn = LLGDynamics(atoms, timestep=0.05, damping=0.1)
    dyn.run(2)
    integrator = SemiImplicitB()

    def bare_step() -> np.ndarray:
        return integrator.step(spins, lambda s, _: precession_vector(s, fields(s), 0.99, 0.1), 0.05)

    other = atoms.copy()
    calc = HeisenbergCalculator([1.0])

    def through_ase() -> np.ndarray:
        other.arrays["initial_magmoms"][0] *= -1.0
        return calc.get_property("magnetic_forces", other)

    median = interleaved(
        {
            "two fields": lambda: [(fields(spins), fields(spins)) for _ in range(100)],
            "bare": lambda: [bare_step() for _ in range(100)],
            "step": lambda: dyn.run(100),
            "ASE call": lambda: [through_ase() for _ in range(100)],
        },
        repeats,
    )
    median = {name: seconds / 100 for name, seconds in median.items()}
    sites = len(atoms)
    print(header(1), f"{sites} spins, SIB")
    for name, seconds in median.items():
        print(f"{name:12} {seconds * 1e6:9.1f} us   {seconds / sites * 1e9:7.2f} ns per spin")
    print(f"driver step / two fields       {median['step'] / median['two fields']:.2f}")
    print(f"bookkeeping / driver step      {(median['step'] - median['bare']) / median['step']:.3f}")
    print(f"one ASE get_property / field   {2 * median['ASE call'] / median['two fields']:.2f}  (what the fast path avoids)")


if __name__ == "__main__":
    main()
