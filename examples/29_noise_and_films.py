"""Noise of currents through magnets, and a wide film by k-points.

Left: electrons of a ferromagnetic chain meet one turned spin: noise against the bias at three temperatures.  Without a bias
it is that of heat, 4 kT G; with one it grows with the current, 2 e I times the Fano factor.
Middle: wires of random spins (s-d coupling 0.8 t) between leads: the Fano factor of longer ones comes to 1/3, that
of any diffusive conductor, between 0 (ballistic) and 1 (tunnelling, and the localized states of still longer wires).
Right: a film that repeats across the current, a domain wall between ferromagnetic leads: current by cell against the
number of k-points of one row of sites, and of wide cells at Gamma, which are the same.
Prints them; writes noise_and_films.png.

    python examples/29_noise_and_films.py          wires 8 sites wide, two of each length (10 seconds)
    python examples/29_noise_and_films.py full     20 sites wide, eight of each length (half a minute)
"""

import sys
import warnings

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.calculators import NEGFCalculator
from spinase.electrons import LatticeLead, SDModel, ShellHopping
from spinase.errors import AccuracyWarning, AdiabaticityWarning
from spinase.textures import domain_wall
from spinase.viz.figures import COLORS

WIDTH, SEEDS, LENGTHS = (20, 8, (2, 4, 8, 12, 16, 24, 32)) if sys.argv[1:] == ["full"] else (8, 2, (2, 6, 12))
MESHES, WIDE = (1, 2, 3, 4, 6, 8, 12, 16, 24), (2, 4, 6)
TEMPERATURES, BIASES = (0.0, 0.02, 0.08), np.linspace(0.0, 0.4, 9)
Z = (0.0, 0.0, 1.0)
# moments that are asked for currents only need not be slow; levels beyond the bands of the leads carry none
warnings.simplefilter("ignore", AdiabaticityWarning)
warnings.simplefilter("ignore", AccuracyWarning)


def model(coupling: float, kT: float) -> SDModel:  # noqa: N803
    """Electrons at a chemical potential."""
    return SDModel(ShellHopping([1.0]), coupling, chemical_potential=-0.5, kT=kT)


chain = SpinAtoms.lattice("chain", (3,), units="reduced")
chain.pbc = False
chain.spins = np.array([Z, (0.0, 0.6, -0.8), Z])
parallel = (LatticeLead("left", exchange=Z), LatticeLead("right", exchange=Z))
noise = {
    temperature: [
        NEGFCalculator(model(1.0, temperature), parallel, float(bias), tolerance=1e-5).current_noise(chain)
        for bias in BIASES
    ]
    for temperature in TEMPERATURES
}

wires = []
for length in LENGTHS:
    found = []
    for seed in range(SEEDS):
        wire = SpinAtoms.lattice("square", (length, WIDTH), units="reduced", rng=seed)
        wire.pbc = False
        calc = NEGFCalculator(model(0.8, 0.002), (LatticeLead("left"), LatticeLead("right")), 0.05, tolerance=1e-3)
        here = calc.current_noise(wire)
        found.append((here.shot[0, 0], here.currents[0]))
    wires.append(np.array(found))
# of channels whose T is the same in the window heat leaves coth(x) - 1/x of the shot noise, x = bias/2kT
part = 1.0 / np.tanh(0.05 / 0.004) - 0.004 / 0.05
fanos = np.array([wire[:, 0].sum() / (2.0 * part * wire[:, 1].sum()) for wire in wires])
conductances = np.array([2.0 * np.pi * wire[:, 1].mean() / 0.05 for wire in wires])


def wall(width: int) -> SpinAtoms:
    """A wall across ten columns of a film, the same along y."""
    film = SpinAtoms.lattice("square", (10, width), units="reduced")
    film.pbc = [False, True, False]
    film.spins = domain_wall(geometry_of(film), np.random.default_rng(0), width=1.5)
    return film


opposite = (LatticeLead("left", exchange=Z), LatticeLead("right", exchange=(0.0, 0.0, -1.0)))


def current(width: int, points: int) -> float:
    """Electrons per time and row of sites."""
    calc = NEGFCalculator(model(1.0, 0.05), opposite, 0.2, tolerance=1e-4, kpts=(1, points, 1))
    return float(calc.get_property("lead_currents", wall(width))[0]) / width


by_points, by_width = [current(1, points) for points in MESHES], [current(width, 1) for width in WIDE]

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12.5, 3.7), layout="constrained")
for (temperature, found), color in zip(noise.items(), COLORS, strict=False):
    left.plot(BIASES, [one.power[0, 0] for one in found], "o-", ms=3, color=color, label=f"kT = {temperature:g} t")
left.plot(BIASES, [2.0 * one.currents[0] for one in noise[0.0]], "--", color="0.5", label="2 I")
left.set(xlabel="bias [t]", ylabel="noise S [electrons² t/ħ]", title="one turned spin in a chain")
middle.plot(LENGTHS, fanos, "o-", ms=4, color=COLORS[0], label="Fano factor")
middle.plot(LENGTHS, conductances / conductances[0], "s-", ms=4, color=COLORS[1], label="conductance (first = 1)")
middle.axhline(1.0 / 3.0, color="0.5", ls="--", lw=1)
middle.text(LENGTHS[-1], 0.35, "1/3", ha="right", color="0.4")
middle.set(xlabel="length [a]", ylim=(0.0, 1.05), title=f"wires of random spins, {WIDTH} sites wide")
right.plot(MESHES, 1e3 * np.array(by_points), "o-", ms=4, color=COLORS[0], label="k-points, one row")
right.plot(WIDE, 1e3 * np.array(by_width), "x", ms=9, mew=2, color=COLORS[1], label="wide cells, Gamma")
right.set(xlabel="k-points, or rows of sites", ylabel=r"current by row [$10^{-3}$ t/ħ]", title="domain wall in a film")
for panel in (left, middle, right):
    panel.legend(frameon=False)
figure.savefig("noise_and_films.png", dpi=150)

still, driven = noise[TEMPERATURES[-1]][0], noise[0.0][-1]
print(f"without a bias S = {still.power[0, 0]:.4f} at kT = {TEMPERATURES[-1]:g} t, all of it thermal")
print(f"at a bias of {BIASES[-1]:g} t and kT = 0 the Fano factor is {driven.fano[0]:.3f}")
for length, fano in zip(LENGTHS, fanos, strict=True):
    print(f"wires {length} sites long: Fano factor {fano:.3f}")
apart = max(abs(by_points[MESHES.index(width)] - value) for width, value in zip(WIDE, by_width, strict=True))
print(f"film: {by_points[-1]:.5f} t/hbar by row with {MESHES[-1]} k-points; wide cells differ by {apart:.1e}")
print("wrote noise_and_films.png")
