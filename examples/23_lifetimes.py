"""How long a magnetic state lasts: rates over saddle points, from curvatures, against runs that escape.

Left: independent spins with an easy axis and a field across, damping 1: rates of runs (points), Langer's and that of
transition-state theory.  Middle: a skyrmion of 12 x 12 iron atoms; the saddle
point of its collapse is found from the skyrmion alone, by following its breathing mode uphill; lifetimes with the
curvatures of the lattice, and with free motion over the lattice (volumes of zero modes).  Right: four spins coupled by
electrons, exactly diagonalized: barrier and lifetime by the strength of the coupling, from differences of the electrons'
fields.

Writes lifetimes.png.

    python examples/23_lifetimes.py           (half a minute)
"""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from ase.optimize import FIRE
from ase.units import kB, second

from spinase import SpinAtoms
from spinase.calculators import (
    DMICalculator,
    EDCalculator,
    HeisenbergCalculator,
    SpinSumCalculator,
    UniaxialAnisotropyCalculator,
    ZeemanCalculator,
)
from spinase.dynamics import LLGDynamics, SpinOptimizable, find_saddle, minima_beside
from spinase.electrons import SDModel, ShellHopping
from spinase.rates import Transition, stationary_point, transition
from spinase.units import METAL
from spinase.viz.figures import COLORS

EDGE, STEPS = 60, 60  # spins along a side of the runs, and looks at them
TEMPERATURES = (0.2, 0.16, 0.13, 0.105, 0.09)
MEV = 1e-3


def over(atoms: SpinAtoms, minimum: object, saddle: object) -> Transition:
    """The transition between two directions of all spins."""
    points = []
    for spins in (minimum, saddle):
        atoms.spins = spins
        points.append(stationary_point(atoms))
    return transition(*points)


def rate_of_runs(temperature: float, field: float, guess: float) -> tuple[float, float]:
    """Rate out of a well, from the decay of the mean, and its standard error (jackknife over eight groups of spins)."""
    spins = SpinAtoms.lattice("square", (EDGE, EDGE), units="reduced")
    spins.spins, spins.calc = [field, 0, np.sqrt(1 - field**2)], calc
    run = LLGDynamics(spins, 0.1, damping=1.0, kT=temperature, integrator="sib", rng=np.random.default_rng(1))
    every = int(np.clip(0.5 / guess / STEPS / 0.1, 1, 200))
    run.run(100)
    times, means = [], []
    for _ in range(STEPS):
        run.run(every)
        times.append(run.get_time())
        means.append(spins.spins[:, 2].reshape(8, -1).mean(axis=1))
    table = np.array(means)
    parts = [-0.5 * np.polyfit(times, np.log(np.delete(table, k, axis=1).mean(axis=1)), 1)[0] for k in range(8)]
    return -0.5 * np.polyfit(times, np.log(table.mean(axis=1)), 1)[0], float(np.sqrt(7.0) * np.std(parts))


figure, axes = plt.subplots(1, 3, figsize=(13, 3.9), layout="constrained")
FIELD = 0.2
calc = SpinSumCalculator([UniaxialAnisotropyCalculator(1.0, (0, 0, 1)), ZeemanCalculator((2 * FIELD, 0, 0))])
single = SpinAtoms.lattice("chain", (1,), periodic=False, units="reduced")
single.calc = calc
escape = over(single, [FIELD, 0, np.sqrt(1 - FIELD**2)], [1, 0, 0])
barriers = escape.barrier / np.array(TEMPERATURES)
for temperature, barrier in zip(TEMPERATURES, barriers, strict=True):
    langer = escape.damped_rate(temperature, 1.0)
    rate, error = rate_of_runs(temperature, FIELD, langer)
    axes[0].errorbar(barrier, rate, error, fmt="o", ms=4, color=COLORS[0], label="runs" if barrier == barriers[0] else None)
    print(f"one spin, barrier {barrier:.2f} kT: rate of runs {rate:.3e} +- {error:.1e}, Langer {langer:.3e}")
axes[0].semilogy(barriers, [escape.damped_rate(T, 1.0) for T in TEMPERATURES], "k-", lw=0.8, label="Langer, damping 1")
axes[0].semilogy(barriers, [escape.rate(T) for T in TEMPERATURES], "--", lw=1, color=COLORS[1], label="precession")
axes[0].set(xlabel="barrier / kT", ylabel=r"rate [$t/\hbar$]", title="one spin")
axes[0].legend(frameon=False)

film = SpinAtoms.lattice("square", (12, 12), moment=2.0)
film.calc = SpinSumCalculator(
    [
        HeisenbergCalculator(shells=[10 * MEV]),
        DMICalculator(shells=[5 * MEV], normal=(0, 0, 1)),
        UniaxialAnisotropyCalculator(0.4 * MEV, (0, 0, 1)),
        ZeemanCalculator((0, 0, 25 * METAL.tesla)),
    ]
)
r = film.positions - film.positions.mean(axis=0)
distance = np.linalg.norm(r, axis=1)
angle = 2 * np.arctan2(np.sinh(3 / 1.5), np.sinh(distance / 1.5))
film.spins = -np.sin(angle)[:, None] * r / distance[:, None] + np.cos(angle)[:, None] * [0, 0, 1]
FIRE(SpinOptimizable(film), logfile=None, dt=1.0, dtmax=20.0, maxstep=0.1).run(fmax=1e-8, steps=3000)
breathing = stationary_point(film).direction(2)
collapse = find_saddle(film, np.sign(breathing[:, 2].sum()) * breathing, fmax=2e-7, push=0.2)
print(f"skyrmion: barrier {collapse.barrier / MEV:.4f} meV, {collapse.index} unstable direction, {collapse.steps} steps")
print(f"   beside it: mean sz {[round(float(side.spins[:, 2].mean()), 3) for side in minima_beside(collapse, fmax=1e-6)]}")
steps = film.cell.array[:2] / 12
kelvin = np.linspace(2.5, 10.0, 40)
for translations, color, label in ((None, COLORS[0], "held by the lattice"), (steps, COLORS[1], "free to move")):
    found = transition(*(stationary_point(state, translations=translations) for state in (film, collapse.atoms)))
    print(f"   {label}: {found.describe(kB * 5.0, 0.1)}")
    for style, lifetimes in (
        ("-", [found.lifetime(kB * T) for T in kelvin]),
        ("--", [found.damped_lifetime(kB * T, 0.1) for T in kelvin]),
    ):
        theory = "precession" if style == "-" else "Langer, damping 0.1"
        axes[1].semilogy(1 / kelvin, np.array(lifetimes) / second, style, color=color, label=f"{label}, {theory}")
axes[1].set(xlabel="1/T [1/K]", ylabel="lifetime [s]", title=f"skyrmion, barrier {collapse.barrier / MEV:.2f} meV")
axes[1].legend(frameon=False, fontsize=7)

couplings = np.linspace(0.5, 4.0, 8)
prefactors = []
for coupling in couplings:
    magnet = SpinAtoms.lattice("square", (2, 2), periodic=False, units="reduced")
    electrons = EDCalculator(SDModel(ShellHopping([1.0]), coupling=float(coupling), filling=0.125, kT=0.02))
    easy, hard = UniaxialAnisotropyCalculator(0.02, (0, 0, 1)), UniaxialAnisotropyCalculator(-0.01, (0, 1, 0))
    magnet.calc = SpinSumCalculator([electrons, easy, hard])
    turned = over(magnet, [0, 0, 1], [1, 0, 0])
    prefactors.append([turned.prefactor(0.01), turned.damped_prefactor(0.01, 0.1)])
    kinds = turned.minimum.negative, turned.saddle.negative
print(f"electrons: barrier {turned.barrier:.4f} t, unstable directions {kinds}")
axes[2].plot(couplings, np.array(prefactors)[:, 0], "o-", ms=4, color=COLORS[0], label="precession")
axes[2].plot(couplings, np.array(prefactors)[:, 1], "s-", ms=4, color=COLORS[1], label="Langer, damping 0.1")
axes[2].set(
    xlabel="s-d coupling [t]",
    ylabel=r"prefactor [$t/\hbar$]",
    title=f"four spins and electrons, barrier {turned.barrier:.2f} t",
)
axes[2].legend(frameon=False)
figure.savefig("lifetimes.png", dpi=150)
print("wrote lifetimes.png")
