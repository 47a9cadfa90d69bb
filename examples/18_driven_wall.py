"""A domain wall under a voltage: electrons that flow from lead to lead, and a network that has learned what they do.

    python examples/18_driven_wall.py               a short look at one voltage (15 seconds)
    python examples/18_driven_wall.py full [SITES]  four voltages of both signs, SITES of way each (5: five minutes)

`driven-wall` knows a strip of ten sites across, periodic, between leads that are magnetized up and down, at any bias up to
0.6 t.  Its fields are those of two potentials and their currents: they are no gradient, and there is no energy.  Beside it
runs what taught it.  The wall is the same all across, so waves of different momentum k across do not mix, and the electrons
of the strip are those of ten chains at the chemical potentials mu + 2 t cos(k), six of them different: no spin waves across,
so steps may be longer.  The model has no currents: shown is that of Green's functions through the walls that it moves.

Fields along a spin do not turn it and differ from model to model, so the integrator is one that takes them out (`heun`: it
only sees s x B); others take them for fast precession, and with steps of 40 hbar/t moved the wall by 8 % too far.

The damping is 0.3: with 0.1, and an exchange of 0.1, the spins of NEGF get ripples of two to three sites' length within some
3000 hbar/t, and the wall is faster with them; those of the model do not (docs/notes/2026-11-30-driven-walls.md).

Then the speed against the voltage over a decade.  Electrons that are not scattered do not know how long the strip is: the
wall is as fast in one that is longer.

Writes driven_wall.png and driven_wall.csv, and wall_speed.csv.
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

FULL, SITES = sys.argv[1:2] == ["full"], float("".join(sys.argv[2:3]) or 5.0)
WIDTH, MOMENT, EXCHANGE, ANISOTROPY, DAMPING = 10, 20.0, 0.2, 0.03, 0.3
LENGTH, LONG, EVERY = (40, 6000, 480.0) if FULL else (16, 160, 20.0)  # sites, sites, time between looks
WAY, SHORT = (805.0 * SITES, 960.0) if FULL else (20.0, 40.0)  # time x bias for the sites, time for a speed
BIASES = (0.6, -0.6, -0.5, 0.4) if FULL else (-0.5,)
VOLTAGES = (0.06, 0.1, 0.2, 0.4, 0.6) if FULL else (0.6,)
LEADS = [LatticeLead("left", exchange=(0, 0, 1)), LatticeLead("right", exchange=(0, 0, -1))]


def device(length: int, width: int, position: float = 0.5) -> SpinAtoms:
    """A strip with a wall at a part of its length; where it is uniform across, one row is enough."""
    atoms = SpinAtoms.lattice("square", (length, width), units="reduced")
    atoms.pbc = (False, width > 1, False)
    spins = wall(geometry_of(atoms), np.random.default_rng(0), width=1.75, angle=np.pi / 2, position=position)
    atoms.moments = MOMENT * spins
    return atoms


def negf(bias: float) -> tuple[list[Any], list[float]]:
    """Electrons of the strip by their momentum across, and how many of the ten chains are such."""
    found, shares = [], []
    for wave in range(WIDTH // 2 + 1):
        potential = -2.5 + 2.0 * np.cos(2.0 * np.pi * wave / WIDTH)
        electrons = SDModel(ShellHopping([1.0]), coupling=1.0, chemical_potential=potential, kT=0.05)
        found.append(NEGFCalculator(electrons, LEADS, bias, tolerance=3e-3, max_energies=4000))
        shares.append((1.0 if wave in (0, WIDTH // 2) else 2.0) / WIDTH)
    return found, shares


def model(bias: float) -> tuple[list[Any], list[float]]:
    return [LearnedCalculator.shipped("driven-wall", bias=bias)], [1.0]


def follow(atoms: SpinAtoms, electrons: list[Any], shares: list[float], time: float) -> tuple[np.ndarray, np.ndarray]:
    """Time, position, width and angle of the wall, (n, 4), and the moments of the first row, (n, length, 3)."""
    others = [HeisenbergCalculator(shells=[EXCHANGE]), UniaxialAnisotropyCalculator(ANISOTROPY)]
    atoms.calc = SpinSumCalculator([*electrons, *others], [*shares, 1.0, 1.0])
    timestep = 20.0 if len(electrons) > 1 else 10.0  # half as long where there are waves across
    dynamics = LLGDynamics(atoms, timestep, damping=DAMPING, integrator="heun", probe=False)
    track, rows, first = [], [], atoms.positions[:, 1] < 0.5

    def look() -> None:
        found = domain_wall(atoms)
        track.append((dynamics.get_time(), found.position, found.width, found.angle))
        rows.append(atoms.moments[first].copy())

    dynamics.attach(look, interval=round(EVERY / timestep))
    dynamics.run(round(time / EVERY) * round(EVERY / timestep))
    return np.array(track), np.array(rows)


def with_currents(track: np.ndarray, rows: np.ndarray, bias: float) -> np.ndarray:
    """A track with the current of NEGF through its walls, electrons per time from the left, as fifth column."""
    (electrons, shares), atoms, found = negf(bias), device(LENGTH, 1), []
    for moments in rows:
        atoms.moments = moments
        through = [one.get_property("lead_currents", atoms)[0] for one in electrons]
        found.append(WIDTH * float(np.dot(shares, through)))
    return np.column_stack([track, found])


def both(bias: float) -> tuple[np.ndarray, np.ndarray]:
    """Tracks of NEGF and of the model under a bias; the wall begins where it has its way before it."""
    time, begin = WAY / abs(bias), 0.5 + 0.27 * float(np.sign(bias)) * FULL
    exact = follow(device(LENGTH, 1, begin), *negf(bias), time)
    learned = follow(device(LENGTH, WIDTH, begin), *model(bias), time)
    return with_currents(*exact, bias), with_currents(*learned, bias)


def draw_tracks(tracks: dict[float, tuple[np.ndarray, np.ndarray]]) -> None:
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
        trained = " (not trained)" if abs(bias) == 0.5 else ""
        axes[2].plot([], [], "s", ms=6, color=color, label=f"V = {bias:+.1f} t{trained}")
    axes[0].plot([], [], "ko", ms=4, mfc="none", label="Green's functions")
    axes[0].plot([], [], "k-", label="driven-wall")
    axes[0].legend(frameon=False, fontsize=9)
    axes[2].legend(frameon=False, fontsize=9, loc="center right")
    fig.savefig("driven_wall.png", dpi=150)
    plt.close(fig)
    write("driven_wall.csv", ["who,bias,time,position,width,angle,current", *rows])


def write(name: str, lines: list[str]) -> None:
    with open(name, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def speed(atoms: SpinAtoms, electrons: tuple[list[Any], list[float]]) -> float:
    """Mean speed over the second half of a short run, a t/hbar."""
    track = follow(atoms, *electrons, SHORT)[0]
    track = track[(len(track) - 1) // 2 :]
    return float((track[0, 1] - track[-1, 1]) / (track[-1, 0] - track[0, 0]))


if __name__ == "__main__":
    tracks = {}
    for bias in BIASES:
        exact, learned = tracks[bias] = both(bias)
        told = [(track[-1, 1] - track[0, 1], np.ptp(np.unwrap(track[:, 3])[[0, -1]])) for track in (exact, learned)]
        print(
            f"bias {bias:+.1f} t: the wall moves by {told[0][0]:+.3f} a and turns by {told[0][1]:.3f} rad with NEGF, "
            f"{told[1][0]:+.3f} a and {told[1][1]:.3f} rad with the model; "
            f"current {exact[-1, 4]:+.3f} and {learned[-1, 4]:+.3f} t/hbar",
            flush=True,
        )
        draw_tracks(tracks)

    lines = ["voltage,negf,model"]
    for v in VOLTAGES:
        found = speed(device(LENGTH, 1), negf(v)), speed(device(LENGTH, WIDTH), model(v))
        lines.append(f"{v},{found[0]:.6g},{found[1]:.6g}")
        print(f"{v:.2f} t: the wall moves at {found[0]:.4e} a t/hbar with NEGF, {found[1]:.4e} with the model", flush=True)
    write("wall_speed.csv", lines)
    long = speed(device(LONG, WIDTH), model(VOLTAGES[-1]))
    print(f"speed at {VOLTAGES[-1]} t: {found[1]:.5e} a t/hbar in {LENGTH} sites, {long:.5e} in {LONG}")
