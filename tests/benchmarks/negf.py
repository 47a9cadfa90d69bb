"""Recursive Green's functions against a dense inverse and kwant; the torque of a biased device; cost against length.

    OMP_NUM_THREADS=1 python tests/benchmarks/negf.py [energy] [torque] [length] [film] [noise] [KWANT_PYTHON]

KWANT_PYTHON: an interpreter that has kwant with MUMPS; then tests/references/kwant_negf.py takes turns with ours.
"""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from timing import header, interleaved

from spinase import SpinAtoms
from spinase.atoms import geometry_of, get_spins
from spinase.calculators import NEGFCalculator
from spinase.electrons import Bath, LatticeLead, SDHamiltonian, SDModel, ShellHopping
from spinase.electrons.operator import SparsityPattern, SpinOperator
from spinase.electrons.solvers.negf import Drive, NEGFSolver
from spinase.electrons.solvers.negf_noise import correlations
from spinase.electrons.transport.contacts import AttachedLead
from spinase.electrons.transport.leads import Lead
from spinase.electrons.transport.wide_band import dense_matrix
from spinase.textures import domain_wall

REFERENCES = Path(__file__).parent.parent / "references"
HOP = ShellHopping([1.0])
NORMAL = (LatticeLead("left"), LatticeLead("right"))
FERRO = (LatticeLead("left", exchange=(0, 0, 1)), LatticeLead("right", exchange=(0, 0, -1)))


def device(length: int, width: int, *leads: Lead, wall: float = 0.0) -> tuple[SpinOperator, list[AttachedLead]]:
    """J = t; random spins, or a domain wall of the given width."""
    atoms = SpinAtoms.lattice("square", (length, width), units="reduced", rng=1)
    atoms.pbc = False
    geometry = geometry_of(atoms)
    if wall:
        atoms.spins = domain_wall(geometry, np.random.default_rng(0), width=wall)
    operator = SDHamiltonian(HOP, 1.0).freeze(geometry).operator(get_spins(atoms))
    shares = (0.5, -0.5, 0.0)
    return operator, [
        lead.attach(geometry, SDHamiltonian(HOP, 1.0), share) for lead, share in zip(leads, shares, strict=False)
    ]


def energy(kwant: str | None) -> None:
    """One energy of 60x20 sites with spin."""
    operator, leads = device(60, 20, *NORMAL)
    plan = NEGFSolver(leads, Drive(-0.5, 0.05)).plan(SparsityPattern.of(operator))
    plan.transmission(operator, np.zeros(1))
    matrix, point = dense_matrix(operator), -0.5
    sigmas = [np.zeros_like(matrix) for _ in leads]
    for lead, sigma in zip(leads, sigmas, strict=True):
        places = np.stack([2 * lead.sites, 2 * lead.sites + 1], axis=1).ravel()
        sigma[np.ix_(places, places)] = lead.self_energy(point)

    def dense() -> tuple[np.ndarray, float]:
        green = np.linalg.inv(point * np.eye(len(matrix)) - matrix - sigmas[0] - sigmas[1])
        widths = [1j * (sigma - sigma.conj().T) for sigma in sigmas]
        injected = green @ widths[0] @ green.conj().T
        return np.diag(injected).real, float(np.trace(widths[1] @ injected).real)

    grid = np.full(20, point)
    tasks = {"dense": dense, "recursive": lambda: plan.device.inject(operator, grid, [0])}
    median = interleaved(tasks, 3)
    ours = median["recursive"] / len(grid)
    diagonal, passed = dense()
    found = plan.device.inject(operator, grid[:1], [0])
    error = max(
        abs(found.transmission[0, 0, 1] - passed),
        np.abs(found.sites[0, 0, :, 0] - diagonal.reshape(-1, 2).sum(axis=1)).max(),
    )
    print(
        f"one energy, 60x20x2, densities and T(E): {1e3 * ours:.2f} ms; dense inverse {median['dense']:.2f} s: "
        f"{median['dense'] / ours:.0f} x; largest difference {error:.1e}"
    )
    if kwant:
        script = [kwant, str(REFERENCES / "kwant_negf.py"), "time", "60", "20"]
        for _ in range(3):
            theirs = subprocess.run(script, capture_output=True, text=True, check=True).stdout.strip()
            spent = interleaved({"recursive": tasks["recursive"]}, 5)["recursive"] / len(grid)
            numbers = [float(word) for word in theirs.split() if word.replace(".", "", 1).isdigit()]
            ratios = ", ".join(f"{number / (1e3 * spent):.0f} x" for number in numbers[-2:])
            print(f"  {theirs}; ours {1e3 * spent:.2f} ms: {ratios}")


def torque(_: str | None) -> None:
    """Biased torque, V = 0.2 t, kT = 0.05 t, mu = -0.5 t, on 60x20 sites."""
    print("biased torque, 60x20x2, V = 0.2 t, kT = 0.05 t; errors: largest component")
    cases = {
        "wall between ferromagnets": device(60, 20, *FERRO, wall=4.0),
        "wall between normal leads": device(60, 20, *NORMAL, wall=4.0),
        "random spins, bath 0.02 t": device(60, 20, *NORMAL, Bath(0.02)),
        "random spins, no bath": device(60, 20, *NORMAL),
    }
    for name, (operator, leads) in cases.items():
        tight = NEGFSolver(leads, Drive(-0.5, 0.05, 0.2, 1e-4, 20_000)).solve(operator, bonds=False)
        for tolerance in (1e-2, 5e-3, 2e-3, 1e-3):
            plan = NEGFSolver(leads, Drive(-0.5, 0.05, 0.2, tolerance, 20_000)).plan(SparsityPattern.of(operator))
            rest = plan.under(Drive(-0.5, 0.05, 0.0, tolerance))
            tasks = {
                "biased": lambda s=plan, o=operator: s.solve(o, bonds=False),
                "equilibrium": lambda s=rest, o=operator: s.solve(o, bonds=False),
            }
            median = interleaved(tasks, 3)
            state = plan.solve(operator, bonds=False)
            error = np.abs(np.cross(operator.exchange, state.density.spin - tight.density.spin)).max()
            print(
                f"  {name}, tolerance {tolerance:g}: {median['biased']:.3f} s "
                f"({median['equilibrium']:.3f} s in equilibrium), {state.energies} energies, torque error {error:.1e} t"
            )
            if error < 2e-4:
                break


def length(_: str | None) -> None:
    """Cost of one energy against the length."""
    lengths, spent = (30, 60, 120, 240), []
    for count in lengths:
        operator, leads = device(count, 20, *NORMAL)
        plan = NEGFSolver(leads, Drive(-0.5, 0.05)).plan(SparsityPattern.of(operator))
        plan.transmission(operator, np.zeros(1))
        grid = np.full(8, -0.5)
        began = time.perf_counter()
        spent.append(interleaved({"one": lambda s=plan, o=operator, g=grid: s.device.inject(o, g, [0])}, 7)["one"] / 8)
        print(f"  {count}x20: {1e3 * spent[-1]:.2f} ms per energy (measured in {time.perf_counter() - began:.1f} s)")
    print(f"  exponent: {np.polyfit(np.log(lengths), np.log(spent), 1)[0]:.2f}")


def film(_: str | None) -> None:
    """Fields of a film by k-points of one row, and of a wide cell; V = 0.2 t, tolerance 1e-3."""
    leads, bath = FERRO, Bath(0.02)
    for lattice, points in (("square", (32,)), ("cubic", (4, 4)), ("cubic", (8, 8))):
        plans, one = {}, (1,) * len(points)
        for name, width, kpts in (("row", one, points), ("wide", points, one)):
            atoms = SpinAtoms.lattice(lattice, (12, *width), units="reduced")
            atoms.pbc = [False, True, len(points) == 2]
            atoms.spins = domain_wall(geometry_of(atoms), np.random.default_rng(0), width=4.0)
            model = SDModel(HOP, 1.0, chemical_potential=-0.5, kT=0.05)
            calc = NEGFCalculator(model, (*leads, bath), 0.2, tolerance=1e-3, kpts=(1, *kpts, 1)[:3])
            calc.get_property("magnetic_forces", atoms)
            plans[name] = calc._planned(atoms)
        tasks = {name: lambda made=made: made[0].solve(made[1], bonds=False) for name, made in plans.items()}
        median = interleaved(tasks, 3, time.process_time)
        states = {name: task() for name, task in tasks.items()}
        apart = abs(np.prod(points) * states["row"].lead_currents[0] - states["wide"].lead_currents[0])
        print(
            f"{lattice} film: {points} k-points of a row {median['row']:.3f} s, {points} rows {median['wide']:.3f} s "
            f"of CPU: {median['wide'] / median['row']:.1f} x; currents of the film differ by {apart:.1e}"
        )


def noise(_: str | None) -> None:
    """Scattering matrices against injected densities, by energy, on 60x20 sites."""
    operator, leads = device(60, 20, *NORMAL)
    plan = NEGFSolver(leads, Drive(-0.5, 0.05)).plan(SparsityPattern.of(operator))
    grid = np.full(20, -0.5)
    tasks = {
        "injected": lambda: plan.device.inject(operator, grid, [0]),
        "scattering": lambda: [correlations(one, 2) for one in plan.device.scattering(operator, grid)],
    }
    median = interleaved(tasks, 7, time.process_time)
    print(
        f"noise, one energy, 60x20x2: {1e3 * median['scattering'] / 20:.2f} ms of CPU for all correlations of two leads; "
        f"densities injected by one {1e3 * median['injected'] / 20:.2f} ms"
    )


def main() -> None:
    warnings.simplefilter("ignore")
    print(header(1))
    parts = {"energy": energy, "torque": torque, "length": length, "film": film, "noise": noise}
    kwant = next((word for word in sys.argv[1:] if word not in parts), None)
    for name in [word for word in sys.argv[1:] if word in parts] or parts:
        parts[name](kwant)


if __name__ == "__main__":
    main()
