"""Cost of the ED calculator against bare torch eigh of the same matrix: python tests/benchmarks/ed.py [edge] [repeats].

The baseline is ``torch.linalg.eigh`` of the very matrix the calculator diagonalizes.  Triangular lattice, J = 3,
filling 1/4, exponential hopping (so that forces exist).  Prints medians and ratios for fields only, and for energy,
forces and fields, with general, coplanar and collinear spins.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from timing import header, interleaved

from spinase import SpinAtoms
from spinase.atoms import geometry_of, get_spins
from spinase.calculators import EDCalculator
from spinase.electrons import ExponentialHopping, SDModel
from spinase.electrons.solvers.dense import DensePlan, _spin_frame


def matrices(calc: EDCalculator, atoms: SpinAtoms) -> torch.Tensor:
    """The matrices the solver diagonalizes for these spins."""
    frozen = calc.freeze(geometry_of(atoms))
    operator, plan = frozen.hamiltonian.operator(get_spins(atoms)), frozen.plan
    assert isinstance(plan, DensePlan)
    frame = _spin_frame(operator)
    return torch.from_numpy(plan._matrices(operator, frame, plan._batches(operator, plan.sampled(operator)[0])[0]))


def main() -> None:
    edge = int(sys.argv[1]) if len(sys.argv) > 1 else 32
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    torch.set_num_threads(1)
    print(header(1), f"torch {torch.__version__}; n = 2N = {2 * edge**2}")
    model = SDModel(ExponentialHopping(1.0, 3.0, 1.0, 1.5), 3.0, filling=0.25, kT=0.01)
    generic = None
    for name, texture, options in (
        ("general", "random", {}),
        ("coplanar", "spiral", {"wavevector": (1, 0, 0)}),
        ("collinear", "ferro", {}),
    ):
        atoms = SpinAtoms.lattice("triangular", (edge, edge), units="reduced", texture=texture, rng=1, **options)
        calc = EDCalculator(model)
        matrix, spins, fields = matrices(calc, atoms), get_spins(atoms), calc.field_function(atoms)

        def everything(calc: EDCalculator = calc, atoms: SpinAtoms = atoms) -> None:
            calc.reset()
            for result in ("free_energy", "forces", "magnetic_forces"):
                calc.get_property(result, atoms)

        median = interleaved(
            {
                "eigh": lambda matrix=matrix: torch.linalg.eigh(matrix),
                "fields": lambda fields=fields, spins=spins: fields(spins),
                "all": everything,
            },
            repeats,
        )
        generic = median["eigh"] if generic is None else generic
        print(
            f"{name:10} {tuple(matrix.shape[1:])!s:16} {matrix.dtype!s:16} eigh {median['eigh']:8.3f} s"
            f"   fields/eigh {median['fields'] / median['eigh']:.3f}   energy+forces+fields/eigh "
            f"{median['all'] / median['eigh']:.3f}   speed-up over general eigh {generic / median['fields']:.1f}x"
        )
    atoms = SpinAtoms.lattice("triangular", (edge, edge), units="reduced", texture="random", rng=1)
    single, double = (EDCalculator(model, dtype=dtype).field_function(atoms) for dtype in ("complex64", "complex128"))
    spins = get_spins(atoms)
    median = interleaved({"complex128": lambda: double(spins), "complex64": lambda: single(spins)}, repeats)
    error = np.abs(np.cross(spins, single(spins) - double(spins))).max()
    print(f"complex64 {median['complex128'] / median['complex64']:.2f}x faster, largest torque error {error:.1e} t")


if __name__ == "__main__":
    main()
