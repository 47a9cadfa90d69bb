"""Energy of walls between chiralities by their length and direction: python tests/benchmarks/wall_tension.py [edge] [steps].

Stripes of both chiralities (spins mirrored in the plane across (1, -1, 0)), relaxed by the learned lattice model; the
baseline is a wall at 30 degrees from a bond.  The exact solver that taught the model says what it makes of the same spins.
"""

from __future__ import annotations

import sys

import numpy as np
from timing import header

from spinase import SpinAtoms
from spinase.analysis import chirality_walls
from spinase.calculators import LatticeCalculator, RationalCalculator, teacher_of
from spinase.dynamics import LLGDynamics

NAME = "triangular-tetrahedral-lattice"
WAVES = {"30 degrees": (4, 2), "19.1 degrees": (3, 2), "0 degrees": (0, 2)}  # of the sides, along the cell vectors
MIRROR = np.array([1.0, -1.0, 0.0]) / np.sqrt(2.0)


def striped(atoms: SpinAtoms, waves: tuple[int, int]) -> SpinAtoms:
    """A copy with its spins mirrored where a plane wave is negative."""
    made = atoms.copy()
    wavevector = 2.0 * np.pi * np.linalg.inv(made.cell.array)[:, :2] @ np.array(waves)
    side = np.tanh(2.5 * np.sin(made.positions @ wavevector + 0.4))
    spins = made.spins - np.outer((made.spins @ MIRROR) * (1.0 - side), MIRROR)
    made.spins = spins / np.linalg.norm(spins, axis=1)[:, None]
    return made


def main() -> None:
    given = [int(word) for word in sys.argv[1:]]
    edge, steps = [*given, *(48, 450)[len(given) :]]
    atoms = SpinAtoms.lattice("triangular", (edge, edge), units="reduced", texture="tetrahedral")
    calculators = {"model": LatticeCalculator.shipped(NAME), "exact": RationalCalculator(teacher_of(NAME).model)}
    ordered = {name: calc.get_property("free_energy", atoms) for name, calc in calculators.items()}
    print(header(1), f"{edge} x {edge} sites, energy of walls by length [t/a]")
    base: dict[str, float] = {}
    for direction, waves in WAVES.items():
        made = striped(atoms, waves)
        made.calc = calculators["model"]
        LLGDynamics(made, 0.8, damping=1.0, integrator="heun").run(steps)
        length = chirality_walls(made).length
        told = f"{direction:>13} from a bond, {length:.1f} a of walls:"
        for name, calc in calculators.items():
            tension = (calc.get_property("free_energy", made) - ordered[name]) / length
            base.setdefault(name, tension)
            told += f"  {name} {tension:.4f} ({tension / base[name]:.3f})"
        print(told)


if __name__ == "__main__":
    main()
