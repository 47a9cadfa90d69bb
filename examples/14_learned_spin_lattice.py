"""Hot spins in a cold lattice: atoms and spins of a disordered s-d magnet exchange heat, the electrons learned or exact.

    python examples/14_learned_spin_lattice.py model                     (64 sites, a minute)
    python examples/14_learned_spin_lattice.py model+exact 100 120 8     (sites, time, magnets)
    python examples/14_learned_spin_lattice.py model 1000 120 6
    python examples/14_learned_spin_lattice.py from examples/recorded/heat_100.csv    (figure and fits of a recorded table)

Two baths pull the spins to kT = 0.15 and the lattice to 0.02; then both are taken away, and at constant total energy the
spins heat the lattice through the electrons.  Prints how well the total energy is kept with a time step and with half of
it (four times better), both temperatures, and the time constants with the standard error over magnets.  Writes heat.png,
heat.csv (all that the figure shows), and one file for each magnet: magnets whose file is there are not run again.  Reduced
units: t, hbar/t, mean distance.
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import curve_fit

from spinase import SpinAtoms
from spinase.analysis import configurational_spin_temperature
from spinase.calculators import EDCalculator, HIPNNCalculator, PairPotentialCalculator, SpinSumCalculator
from spinase.dynamics import LatticeLangevin, SpinLatticeDynamics, set_maxwell_boltzmann
from spinase.electrons import SDModel
from spinase.learning.model_file import load_model
from spinase.learning.shipped import shipped_model
from spinase.radial import Exponential
from spinase.viz.figures import COLORS

NAME, HOT, COLD, TIMESTEP, SETTLE, LOOK = "disordered-sd-moving", 0.15, 0.02, 0.2, 80.0, 2.0
COLUMNS = ("time", "lattice_kT", "spin_kT", "energy_per_site")
WORDS = dict(enumerate(sys.argv))
RECORDED = np.genfromtxt(sys.argv[2], delimiter=",", names=True, dtype=None) if WORDS.get(1) == "from" else None
if RECORDED is None:
    WHO, SITES = WORDS.get(1, "model").split("+"), int(WORDS.get(2, 64))
    TIME, MAGNETS = float(WORDS.get(3, 60.0)), int(WORDS.get(4, 2))
else:
    WHO, SITES = list(dict.fromkeys(RECORDED["who"].tolist())), int(RECORDED["sites"][0])
    TIME, MAGNETS = float(RECORDED["time"].max()), int(RECORDED["magnet"].max())
ELECTRONS = {
    "model": lambda: HIPNNCalculator.shipped(NAME),
    "exact": lambda: EDCalculator(SDModel.from_config(load_model(shipped_model(NAME))[1]["teacher"])),
}
if not set(WHO) <= set(ELECTRONS):
    sys.exit(f"say model, exact or model+exact, not {WORDS[1]!r}")


def magnet(who: str, seed: int) -> SpinAtoms:
    """Atoms that repel each other, bound by the electrons."""
    atoms = SpinAtoms.disordered(SITES, density=1.0, min_distance=0.75, rng=seed, units="reduced")
    atoms.set_masses(np.full(SITES, 200.0))
    repulsion = PairPotentialCalculator(Exponential(0.3, 8.0, 1.0, 2.0, 0.5))
    atoms.calc = SpinSumCalculator([ELECTRONS[who](), repulsion])
    return atoms


def settled(who: str, seed: int) -> SpinAtoms:
    """Spins in a hot bath, atoms in a cold one."""
    atoms, rng = magnet(who, seed), np.random.default_rng(seed)
    set_maxwell_boltzmann(atoms, COLD, rng)
    bath, dt = LatticeLangevin(COLD, 0.2), TIMESTEP
    SpinLatticeDynamics(atoms, dt, thermostat=bath, damping=0.3, kT=HOT, integrator="sib", rng=rng).run(round(SETTLE / dt))
    return atoms


def energy(atoms: SpinAtoms) -> float:
    return (atoms.calc.get_property("free_energy", atoms) + atoms.get_kinetic_energy()) / SITES


def keep_energy(who: str) -> None:
    """The total energy with a time step and with half of it, from the same state."""
    start = settled(who, 1)
    print(f"{who}, {SITES} sites: largest change of the total energy per site in a time of 4")
    for timestep in (0.2, 0.1):
        atoms = magnet(who, 1)
        atoms.positions, atoms.moments = start.positions.copy(), start.moments.copy()
        atoms.set_momenta(start.get_momenta())
        dynamics, first, worst = SpinLatticeDynamics(atoms, timestep, integrator="sib"), energy(atoms), 0.0
        for _ in range(10):
            dynamics.run(round(0.4 / timestep))
            worst = max(worst, abs(energy(atoms) - first))
        print(f"  time step {timestep:5.3f}: {worst:.2e}")


def exchange(who: str, seed: int) -> np.ndarray:
    """Time, kT of the lattice, kT of the spins and total energy per site, (4, frames), without any bath."""
    if RECORDED is not None:
        rows = RECORDED[(RECORDED["who"] == who) & (RECORDED["magnet"] == seed)]
        return np.array([rows[name] for name in COLUMNS])
    file = Path(f"heat_{who}_{SITES}_{seed}_{TIME:g}.npy")
    if file.exists():
        return np.load(file)
    atoms, rng, rows = settled(who, seed), np.random.default_rng(seed), []
    dynamics = SpinLatticeDynamics(atoms, TIMESTEP)  # implicit midpoint: exact fields, large along spins, let others drift
    for _ in range(round(TIME / LOOK) + 1):
        lattice = 2.0 * atoms.get_kinetic_energy() / (3.0 * SITES)
        spins = configurational_spin_temperature(atoms.calc.field_function(atoms), atoms.moments, rng, 6, 0.1)
        rows.append([dynamics.get_time(), lattice, spins, energy(atoms)])
        dynamics.run(round(LOOK / TIMESTEP))
    np.save(file, np.array(rows).T)
    return np.array(rows).T


def decay(time: np.ndarray, end: float, constant: float, change: float, *slow: float) -> np.ndarray:
    """A fall to `end` by one time constant and, where `slow` has its constant and change, by another."""
    return (
        end
        + change * np.exp(-time / constant)
        + sum(c * np.exp(-time / k) for k, c in zip(slow[::2], slow[1::2], strict=True))
    )


def fitted(time: np.ndarray, lattice: np.ndarray, spins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Parameters of `decay` for the means of (magnets, frames): the spins fall fast at first, then with the lattice."""
    longest = 10.0 * TIME
    ends = [values[:, -5:].mean() for values in (lattice, spins)]
    bounds = ([0.0, 1.0, -1.0], [1.0, longest, 1.0])
    rise = curve_fit(decay, time, lattice.mean(axis=0), (ends[0], 15.0, lattice[:, 0].mean() - ends[0]), bounds=bounds)[0]

    def fall(time: np.ndarray, end: float, constant: float, change: float, rest: float) -> np.ndarray:
        return decay(time, end, constant, change, rise[1], rest)

    begin = (ends[1], 0.2 * rise[1], spins[:, 0].mean() - ends[1], 0.0)
    bounds = ([0.0, 0.2, 0.0, -1.0], [1.0, max(rise[1], 1.0), 1.0, 1.0])
    end, constant, change, rest = curve_fit(fall, time, spins.mean(axis=0), begin, bounds=bounds)[0]
    return rise, np.array([end, constant, change, rise[1], rest])


def with_errors(time: np.ndarray, lattice: np.ndarray, spins: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The fits and their standard errors, by leaving out one magnet after the other (jackknife)."""
    count = len(lattice)
    others = [fitted(time, np.delete(lattice, k, axis=0), np.delete(spins, k, axis=0)) for k in range(count)]
    errors = [np.sqrt((count - 1) * np.var(values, axis=0)) for values in zip(*others, strict=True)]
    return list(zip(fitted(time, lattice, spins), errors, strict=True))


if RECORDED is None:
    keep_energy(WHO[0])
table = [",".join(["who", "sites", "magnet", *COLUMNS])]
fig, axes = plt.subplots(1, len(WHO), figsize=(5.2 * len(WHO), 3.8), layout="constrained", sharey=True, squeeze=False)
for who, axis in zip(WHO, axes[0], strict=True):
    time, lattice, spins, total = np.swapaxes([exchange(who, seed) for seed in range(1, MAGNETS + 1)], 0, 1)
    for seed, columns in enumerate(zip(time, lattice, spins, total, strict=True), start=1):
        table += [f"{who},{SITES},{seed}," + ",".join(f"{value:.9g}" for value in row) for row in np.transpose(columns)]
    drift = np.ptp(total, axis=1).max()
    print(f"{who}: {MAGNETS} magnets of {SITES} sites without baths, the total energy per site moves by {drift:.1e} at most")
    fits = with_errors(time[0], lattice, spins)
    for label, values, (fit, error), color in zip(("lattice", "spins"), (lattice, spins), fits, COLORS, strict=False):
        parts = [part.mean() for part in np.array_split(values.mean(axis=0), 4)]
        print(f"  kT of the {label}: {values[:, 0].mean():.4f} at first, then " + ", ".join(f"{part:.4f}" for part in parts))
        print(f"    time constant {fit[1]:.1f} +- {error[1]:.1f}, end {fit[0]:.4f} +- {error[0]:.4f}")
        mean, spread = values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(MAGNETS)
        axis.fill_between(time[0], mean - spread, mean + spread, color=color, alpha=0.25, lw=0)
        axis.plot(time[0], mean, ".", ms=3, color=color)
        axis.plot(time[0], decay(time[0], *fit), color=color, label=f"{label}: {fit[1]:.1f} $\\pm$ {error[1]:.1f}")
    axis.set(xlabel="time [ħ/t]", title=f"{who}, {MAGNETS} magnets of {SITES} sites", ylim=(0, None))
    axis.legend(frameon=False, title="time constant [ħ/t]")
axes[0, 0].set(ylabel="kT [t]")
Path("heat.csv").write_text("\n".join(table) + "\n")
fig.savefig("heat.png", dpi=150)
