"""A domain wall under a voltage: electrons that flow from lead to lead, and a network that has learned what they do.

    python examples/18_driven_wall.py [full]

`driven-wall` knows a strip of ten sites across, periodic, between leads that are magnetized up and down, at any bias up to
0.6 t.  Its fields are those of two potentials and their currents: they are no gradient, and there is no energy.  Beside it
runs what taught it.  The wall is the same all across, so waves of different momentum k across do not mix, and the electrons
of the strip are those of ten chains at the chemical potentials mu + 2 t cos(k), six of them different, which costs
less than the strip.  -0.5 t is between the trained voltages.  Then a strip that is much longer: electrons that are not
scattered do not know how long it is, so the wall must be as fast.

Writes driven_wall.png and driven_wall.csv, after every voltage.  `full`: four voltages, 60 steps of 28 sites and 6000
sites in place of one, 2 of 16 and 160.
"""

import sys
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from spinase import SpinAtoms
from spinase.analysis import domain_wall
from spinase.atoms import geometry_of
from spinase.calculators import HeisenbergCalculator, NEGFCalculator, SpinSumCalculator, UniaxialAnisotropyCalculator
from spinase.calculators.learned import LearnedCalculator
from spinase.dynamics import LLGDynamics
from spinase.electrons import LatticeLead, SDModel, ShellHopping
from spinase.textures import domain_wall as wall
from spinase.viz.figures import COLORS

FULL = sys.argv[1:] == ["full"]
WIDTH, MOMENT, TIMESTEP = 10, 20.0, 40.0
LENGTH, STEPS, EVERY, LONG = (28, 60, 5, 6000) if FULL else (16, 2, 1, 160)
BIASES = (-0.6, -0.5, 0.4, 0.6) if FULL else (-0.5,)
leads = [LatticeLead("left", exchange=(0, 0, 1)), LatticeLead("right", exchange=(0, 0, -1))]


def device(length: int, width: int) -> SpinAtoms:
    """A strip with a wall in its middle; where it is uniform across, one row is enough."""
    atoms = SpinAtoms.lattice("square", (length, width), units="reduced")
    atoms.pbc = (False, width > 1, False)
    atoms.moments = MOMENT * wall(geometry_of(atoms), np.random.default_rng(0), width=2.0, angle=np.pi / 2)
    return atoms


def chains(bias: float) -> tuple[list[NEGFCalculator], list[float]]:
    """Electrons of the strip by their momentum across, and how many of the ten chains are such."""
    found, shares = [], []
    for wave in range(WIDTH // 2 + 1):
        potential = -2.5 + 2.0 * np.cos(2.0 * np.pi * wave / WIDTH)
        model = SDModel(ShellHopping([1.0]), coupling=1.0, chemical_potential=potential, kT=0.05)
        found.append(NEGFCalculator(model, leads, bias, tolerance=2e-3, max_energies=4000))
        shares.append((1.0 if wave in (0, WIDTH // 2) else 2.0) / WIDTH)
    return found, shares


def follow(atoms: SpinAtoms, electrons: list[Any], shares: list[float], steps: int) -> np.ndarray:
    """Time, position, width and angle of the wall, and the current (nan: the calculator knows none), (n, 5)."""
    others = [HeisenbergCalculator(shells=[0.2]), UniaxialAnisotropyCalculator(0.03)]
    atoms.calc = SpinSumCalculator([*electrons, *others], [*shares, 1.0, 1.0])
    dynamics, track = LLGDynamics(atoms, TIMESTEP, damping=0.1, probe=False), []

    def look() -> None:
        found, current = domain_wall(atoms), np.nan
        if isinstance(electrons[0], NEGFCalculator):
            through = [one.get_property("lead_currents", atoms)[0] for one in electrons]
            current = WIDTH * float(np.dot(shares, through))
        track.append((dynamics.get_time(), found.position, found.width, found.angle, current))

    dynamics.attach(look, interval=EVERY)
    dynamics.run(steps)
    return np.array(track)


def both(bias: float) -> tuple[np.ndarray, np.ndarray]:
    """Tracks of NEGF and of the model under a bias."""
    exact = follow(device(LENGTH, 1), *chains(bias), STEPS)
    learned = LearnedCalculator.shipped("driven-wall", bias=bias)
    return exact, follow(device(LENGTH, WIDTH), [learned], [1.0], STEPS)


def speed(track: np.ndarray) -> float:
    return float((track[-1, 1] - track[0, 1]) / (track[-1, 0] - track[0, 0]))


if __name__ == "__main__":
    fig, axes = plt.subplots(1, 3, figsize=(13, 3.6), layout="constrained")
    axes[0].set(xlabel="time [hbar/t]", ylabel="way of the wall [a]", title="circles: NEGF, lines: model")
    axes[1].set(xlabel="time [hbar/t]", ylabel="azimuth of the wall [rad]")
    axes[2].set(xlabel="time [hbar/t]", ylabel="electrons per time [t/hbar]", title="current (NEGF)")
    rows = []
    for bias, color in zip(BIASES, COLORS, strict=False):
        exact, learned = both(bias)
        moved = [track[:, 1] - track[0, 1] for track in (exact, learned)]
        print(
            f"bias {bias:+.1f} t: the wall moves by {moved[0][-1]:+.3f} a with NEGF, {moved[1][-1]:+.3f} a with the model; "
            f"current {exact[-1, 4]:+.3f} t/hbar",
            flush=True,
        )
        for name, track in (("negf", exact), ("model", learned)):
            rows += [f"{name},{bias},{','.join(f'{x:.8g}' for x in row)}" for row in track]
        axes[0].plot(exact[:, 0], moved[0], "o", ms=4, mfc="none", color=color)
        axes[0].plot(learned[:, 0], moved[1], "-", color=color, label=f"V = {bias:+.1f} t")
        axes[1].plot(exact[:, 0], np.unwrap(exact[:, 3]), "o", ms=4, mfc="none", color=color)
        axes[1].plot(learned[:, 0], np.unwrap(learned[:, 3]), "-", color=color)
        axes[2].plot(exact[:, 0], exact[:, 4], "o-", ms=4, mfc="none", lw=0.8, color=color)
        axes[0].legend(frameon=False, fontsize=8)
        fig.savefig("driven_wall.png", dpi=150)
        with open("driven_wall.csv", "w", encoding="utf-8") as file:
            file.write("\n".join(["who,bias,time,position,width,angle,current", *rows]) + "\n")

    short, long = (
        follow(device(length, WIDTH), [LearnedCalculator.shipped("driven-wall", bias=0.6)], [1.0], 2 * EVERY)
        for length in (LENGTH, LONG)
    )
    print(f"speed of the wall at +0.6 t: {speed(short):+.5e} a t/hbar in {LENGTH} sites, {speed(long):+.5e} in {LONG}")
