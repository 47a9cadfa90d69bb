"""A domain wall under a voltage: electrons that flow from lead to lead, and a network that has learned what they do.

    python examples/18_driven_wall.py [full]

`driven-wall` knows a strip of ten sites across, periodic, between leads that are magnetized up and down, at any bias up to
0.6 t.  Its fields are those of two potentials and their currents: they are no gradient, and there is no energy.  Beside it
runs what taught it.  The wall is the same all across, so waves of different momentum k across do not mix, and the electrons
of the strip are those of ten chains at the chemical potentials mu + 2 t cos(k), six of them different, which costs
less than the strip.  -0.5 t is between the trained voltages.  Then a strip that is much longer: electrons that are not
scattered do not know how long it is, so the wall must be as fast.

The model has no currents: shown is that of Green's functions through the walls that it moves.

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
TRAINED = (-0.6, -0.4, -0.2, 0.0, 0.2, 0.4, 0.6)
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


def follow(atoms: SpinAtoms, electrons: list[Any], shares: list[float], steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Time, position, width and angle of the wall, (n, 4), and the moments of the first row, (n, length, 3)."""
    others = [HeisenbergCalculator(shells=[0.2]), UniaxialAnisotropyCalculator(0.03)]
    atoms.calc = SpinSumCalculator([*electrons, *others], [*shares, 1.0, 1.0])
    dynamics = LLGDynamics(atoms, TIMESTEP, damping=0.1, probe=False)
    track, rows, first = [], [], atoms.positions[:, 1] < 0.5

    def look() -> None:
        found = domain_wall(atoms)
        track.append((dynamics.get_time(), found.position, found.width, found.angle))
        rows.append(atoms.moments[first].copy())

    dynamics.attach(look, interval=EVERY)
    dynamics.run(steps)
    return np.array(track), np.array(rows)


def with_currents(track: np.ndarray, rows: np.ndarray, bias: float) -> np.ndarray:
    """A track with the current of NEGF through its walls, electrons per time from the left, as fifth column."""
    (electrons, shares), atoms, found = chains(bias), device(LENGTH, 1), []
    for moments in rows:
        atoms.moments = moments
        through = [one.get_property("lead_currents", atoms)[0] for one in electrons]
        found.append(WIDTH * float(np.dot(shares, through)))
    return np.column_stack([track, found])


def both(bias: float) -> tuple[np.ndarray, np.ndarray]:
    """Tracks of NEGF and of the model under a bias."""
    exact = follow(device(LENGTH, 1), *chains(bias), STEPS)
    learned = follow(device(LENGTH, WIDTH), [LearnedCalculator.shipped("driven-wall", bias=bias)], [1.0], STEPS)
    return with_currents(*exact, bias), with_currents(*learned, bias)


def write(tracks: dict[float, tuple[np.ndarray, np.ndarray]]) -> None:
    """driven_wall.png and driven_wall.csv of the tracks by bias."""
    fig, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    labels = "way of the wall [a]", "turn of the wall [rad]", "electrons from the left [t/ħ]"
    for axis, label in zip(axes, labels, strict=True):
        axis.axhline(0.0, lw=0.6, color="0.7")
        axis.set(xlabel="time [ħ/t]", ylabel=label)
    rows = []
    for (bias, pair), color in zip(tracks.items(), COLORS, strict=False):
        for who, style, track in zip(("negf", "model"), ("o", "-"), pair, strict=True):
            shown = track[:, 1] - track[0, 1], np.unwrap(track[:, 3]) - track[0, 3], track[:, 4]
            for axis, values in zip(axes, shown, strict=True):
                axis.plot(track[:, 0], values, style, ms=4, mfc="none", color=color)
            rows += [f"{who},{bias},{','.join(f'{x:.8g}' for x in row)}" for row in track]
        trained = "" if bias in TRAINED else " (not trained)"
        axes[2].plot([], [], "s", ms=6, color=color, label=f"V = {bias:+.1f} t{trained}")
    axes[0].plot([], [], "ko", ms=4, mfc="none", label="Green's functions")
    axes[0].plot([], [], "k-", label="driven-wall")
    axes[0].legend(frameon=False, fontsize=9, loc="upper left")
    axes[2].legend(frameon=False, fontsize=9, loc="center right")
    fig.savefig("driven_wall.png", dpi=150)
    plt.close(fig)
    with open("driven_wall.csv", "w", encoding="utf-8") as file:
        file.write("\n".join(["who,bias,time,position,width,angle,current", *rows]) + "\n")


def speed(track: np.ndarray) -> float:
    return float((track[-1, 1] - track[0, 1]) / (track[-1, 0] - track[0, 0]))


if __name__ == "__main__":
    tracks = {}
    for bias in BIASES:
        exact, learned = tracks[bias] = both(bias)
        moved = [track[-1, 1] - track[0, 1] for track in (exact, learned)]
        print(
            f"bias {bias:+.1f} t: the wall moves by {moved[0]:+.3f} a with NEGF, {moved[1]:+.3f} a with the model; "
            f"current {exact[-1, 4]:+.3f} and {learned[-1, 4]:+.3f} t/hbar",
            flush=True,
        )
        write(tracks)

    short, long = (
        follow(device(length, WIDTH), [LearnedCalculator.shipped("driven-wall", bias=0.6)], [1.0], 2 * EVERY)[0]
        for length in (LENGTH, LONG)
    )
    print(f"speed of the wall at +0.6 t: {speed(short):+.5e} a t/hbar in {LENGTH} sites, {speed(long):+.5e} in {LONG}")
