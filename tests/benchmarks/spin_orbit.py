"""What hopping that turns spins costs, and a second orbital: fields of the same magnet with and without, solver by solver.

``OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python tests/benchmarks/spin_orbit.py``: CPU seconds of one
thread, random spins that move by 0.05 rad between evaluations, both magnets in turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from timing import header

from spinase import SpinAtoms
from spinase.calculators import EDCalculator, KPMCalculator, NEGFCalculator, RationalCalculator
from spinase.calculators.electrons import ElectronCalculator
from spinase.electrons import Bath, LatticeLead, OrbitalModel, OrbitalTable, RashbaHopping, SDModel, ShellHopping
from spinase.io.tight_binding import magnet_of

_ROUNDS = 7


def seconds(calculators: list[ElectronCalculator], atoms: SpinAtoms) -> list[float]:
    """Median CPU time of the fields of each, in turns."""
    rng, times = np.random.default_rng(3), np.empty((_ROUNDS, len(calculators)))
    for calc in calculators:
        calc.get_property("magnetic_forces", atoms)
    for turn in range(_ROUNDS):
        atoms.spins = atoms.spins + 0.05 * rng.normal(size=(len(atoms), 3))
        for n, calc in enumerate(calculators):
            began = time.process_time()
            calc.get_property("magnetic_forces", atoms)
            times[turn, n] = time.process_time() - began
    return [float(value) for value in np.median(times, axis=0)]


def main() -> None:
    """Square magnets of one size a solver."""
    print(header(1))
    ends = (LatticeLead("left"), LatticeLead("right"))
    cases: dict[str, tuple[int, bool, Callable[[SDModel], ElectronCalculator]]] = {
        "dense": (12, True, lambda model: EDCalculator(model)),
        "rational": (32, True, lambda model: RationalCalculator(model)),
        "KPM": (32, True, lambda model: KPMCalculator(model, columns="probing", count=64, order=200)),
        "NEGF, bias 0.4": (12, False, lambda model: NEGFCalculator(model, ends, 0.4, tolerance=1e-3)),
    }
    for name, (side, periodic, make) in cases.items():
        atoms = SpinAtoms.lattice("square", (side, side), units="reduced", rng=1)
        atoms.pbc = [periodic, periodic, False]
        options = {"chemical_potential": -1.0, "kT": 0.1}
        plain = SDModel(ShellHopping([1.0]), 1.0, **options)
        turned = SDModel(ShellHopping([1.0]), 1.0, **options, spin_orbit=RashbaHopping([0.3]))
        without, with_it = seconds([make(plain), make(turned)], atoms)
        print(
            f"  {name}, {side} x {side}: {without:.3f} s, with Rashba hopping {with_it:.3f} s, ratio {with_it / without:.2f}"
        )
    turned_leads = tuple(LatticeLead(side, spin_orbit=True) for side in ("left", "right"))
    strip = SpinAtoms.lattice("square", (12, 12), units="reduced", rng=1)
    strip.pbc = False
    model = SDModel(ShellHopping([1.0]), 1.0, chemical_potential=-1.0, kT=0.1, spin_orbit=RashbaHopping([0.3]))
    pair = [NEGFCalculator(model, leads, 0.4, tolerance=1e-3) for leads in (ends, turned_leads)]
    without, with_it = seconds(pair, strip)
    print(
        f"  leads with Rashba hopping, 12 x 12: {with_it:.3f} s, plain ones {without:.3f} s, ratio {with_it / without:.2f}"
    )
    orbitals()


def orbitals() -> None:
    """The same magnet with one orbital s, and with orbitals p_x and p_y on every site."""
    along, across = np.diag([-1.0, 0.3]), np.diag([0.3, -1.0])
    matrices = {(1, 0, 0): along, (-1, 0, 0): along, (0, 1, 0): across, (0, -1, 0): across}
    table = OrbitalTable.of(np.eye(3), [[0.0, 0.0, 0.0]], [0, 0], matrices)
    options = {"chemical_potential": -1.0, "kT": 0.1}
    for name, side in (("KPM", 32), ("rational", 24), ("NEGF, bias 0.4", 8)):
        open_, large = name.startswith("NEGF"), table.repeat((side, side, 1))
        large = large.cut(0).cut(1) if open_ else large
        atoms = magnet_of(large, "Fe", units="reduced")
        atoms.spins = np.random.default_rng(1).normal(size=(len(atoms), 3))
        pair = []
        for model in (SDModel(ShellHopping([1.0]), 1.0, **options), OrbitalModel(large, 1.0, **options)):
            if open_:
                pair.append(
                    NEGFCalculator(model, (LatticeLead("left"), LatticeLead("right"), Bath(0.1)), 0.4, tolerance=1e-2)
                )
            elif name == "KPM":
                pair.append(KPMCalculator(model, columns="probing", count=64, order=200))
            else:
                pair.append(RationalCalculator(model))
        one, two = seconds(pair, atoms)
        print(f"  {name}, {side} x {side}, two orbitals a site: {two:.3f} s, one {one:.3f} s, ratio {two / one:.2f}")


if __name__ == "__main__":
    main()
