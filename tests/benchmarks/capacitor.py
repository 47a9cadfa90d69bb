"""The learned capacitor against the Green's functions that taught it: seconds of a field, and how well fields agree.

    OMP_NUM_THREADS=1 python tests/benchmarks/capacitor.py MODEL.npz [repeats]

The model is that of training/recipes/driven_capacitor.

Spins are of the model's own switching; CPU seconds of the process, least of some, both in one process.
"""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from timing import header

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.calculators import ModelCalculator, NEGFCalculator
from spinase.dynamics import LLGDynamics
from spinase.learning.model_file import load_model
from spinase.spin_algebra import tangent
from spinase.textures import spiral

BIAS, STEPS = -6.4, 25


def charging(model: str, width: int) -> SpinAtoms:
    """Half-way through its switching, by the model."""
    atoms = SpinAtoms.lattice("square", (16, width), units="reduced")
    atoms.pbc = (False, True, False)
    atoms.moments = 20.0 * spiral(geometry_of(atoms), np.random.default_rng(0), (8, width // 2, 0))
    atoms.calc = ModelCalculator(model, bias=BIAS)
    rng = np.random.default_rng(1)
    LLGDynamics(atoms, 30.0, damping=1.0, kT=0.003, integrator="heun", rng=rng, probe=False).run(STEPS)
    return atoms


def seconds(calc: Any, atoms: SpinAtoms, repeats: int) -> tuple[float, np.ndarray]:
    """Least CPU time of a field, and the tangent field."""
    field, spins, found = calc.field_function(atoms), atoms.spins, []
    value = field(spins)
    for _ in range(repeats):
        start = time.process_time()
        value = field(spins)
        found.append(time.process_time() - start)
    return min(found), tangent(np.asarray(value), spins)


def main(model: str, repeats: int) -> None:
    warnings.simplefilter("ignore")
    print(header(1), f"bias {BIAS} t, {model} in single precision")
    table = load_model(Path(model))[1]["teacher"]
    for width in (6, 24):
        atoms = charging(model, width)
        asked = {name: value for name, value in table.items() if name != "style"} | {"bias": BIAS}
        negf = NEGFCalculator.from_config(NEGFCalculator.Config.model_validate(asked))
        exact, true = seconds(negf, atoms, 1)
        quick, found = seconds(atoms.calc, atoms, 10 * repeats)
        missed = np.sum((found - true) ** 2) / np.sum(true**2)
        print(
            f"16x{width}: NEGF {exact:.2f} s, model {1e3 * quick:.2f} ms: {exact / quick:.0f} times; R^2 {1.0 - missed:.3f}",
            flush=True,
        )
    for width in (384, 3840):
        quick, _ = seconds(ModelCalculator(model, bias=BIAS), wide(width), repeats)
        print(f"16x{width}: model {quick:.4f} s, {1e6 * quick / (16 * width):.2f} us a site", flush=True)


def wide(width: int) -> SpinAtoms:
    """An antiferromagnet with some disorder."""
    atoms = SpinAtoms.lattice("square", (16, width), units="reduced")
    atoms.pbc = (False, True, False)
    rng = np.random.default_rng(0)
    atoms.moments = 20.0 * spiral(geometry_of(atoms), rng, (8, width // 2, 0))
    atoms.spins = atoms.spins + 0.1 * rng.normal(size=(len(atoms), 3))
    return atoms


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3)
