"""Classical magnets: domains that dipoles make in a film, and magnetizations in a bath with the magnons of quantum ones.

Left: a film with an easy axis across it, periodic in its plane, from random spins: exchange wants one domain, the dipoles
(fast Fourier transforms) want no poles, domains of both directions are what they settle on.  Right: a cubic ferromagnet,
sampled with heat bath, reflections and Wolff clusters: in a classical bath magnetization falls in proportion to T, in one
that has as many magnons as Bose and Einstein say by Bloch's T^(3/2) law, here the exact sum over its magnons.
Writes classical_magnets.png.

    python examples/25_classical_magnets.py          64 x 64 spins, 6^3 spins (15 seconds)
    python examples/25_classical_magnets.py full     128 x 128 spins, 8^3 spins (a minute)
"""

import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from spinase import SpinAtoms
from spinase.calculators import DipoleCalculator, HeisenbergCalculator, SpinSumCalculator, UniaxialAnisotropyCalculator
from spinase.dynamics import LLGDynamics, MonteCarlo
from spinase.spinwaves import MagnonSpectrum, classical_hessian, magnon_bands, magnon_mesh, rescaled
from spinase.viz.figures import COLORS

WIDTH, STEPS, EDGE, SWEEPS = (128, 2000, 8, 600) if sys.argv[1:] == ["full"] else (64, 1200, 6, 400)

film = SpinAtoms.lattice("square", (WIDTH, WIDTH), units="reduced", rng=1)
terms = [HeisenbergCalculator([1.0]), UniaxialAnisotropyCalculator(0.9, fourth_order=0.05), DipoleCalculator(0.12)]
film.calc = SpinSumCalculator(terms)
LLGDynamics(film, 0.05, damping=0.5, integrator="heun").run(STEPS)
up = film.spins[:, 2]
print(f"film of {len(film)} spins: mean s_z {up.mean():+.3f}, |s_z| {np.abs(up).mean():.3f}: domains of both directions")

cell = SpinAtoms.lattice("cubic", (1, 1, 1), units="reduced")
cell.calc = HeisenbergCalculator([1.0])
hessian = classical_hessian(cell)
steps = 2.0 * np.pi * np.arange(EDGE) / EDGE  # the waves that fit into the sampled magnet
waves = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
fitting = MagnonSpectrum.of_bands(magnon_bands(hessian, waves))
endless = MagnonSpectrum.of_bands(magnon_bands(hessian, magnon_mesh(hessian, (40, 40, 40))))

temperatures = np.array([0.15, 0.3, 0.45, 0.6, 0.8])
found = {}
for name in ("classical", "quantum"):
    magnet = SpinAtoms.lattice("cubic", (EDGE, EDGE, EDGE), units="reduced")
    magnet.calc = HeisenbergCalculator([1.0])
    found[name] = []
    for temperature in temperatures:
        bath = rescaled(fitting.number_matched, temperature) if name == "quantum" else temperature
        driver = MonteCarlo(magnet, bath, rng=2, over_relaxation=1, cluster_moves=1)
        driver.run(SWEEPS // 4)
        seen = []
        for _ in range(SWEEPS):
            driver.run(1)
            seen.append(np.linalg.norm(magnet.spins.mean(axis=0)))
        found[name].append(float(np.mean(seen)))
    print(f"{name} bath: M = {', '.join(f'{value:.4f}' for value in found[name])} at kT = {temperatures.tolist()} J")

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
rows = up[np.lexsort(film.positions.round(6).T[:2])].reshape(WIDTH, WIDTH)
picture = left.imshow(rows, origin="lower", cmap="RdBu_r", vmin=-1, vmax=1)
figure.colorbar(picture, ax=left, shrink=0.8, label="$s_z$")
left.set(title="Film: exchange, easy axis, dipoles", xlabel="x [a]", ylabel="y [a]")
line = np.linspace(0.02, 0.85, 60)
for spectrum, style, label in ((endless, "-", "quantum magnons"), (fitting, ":", f"those that fit into {EDGE}$^3$ sites")):
    right.plot(line, [1.0 - spectrum.number(kT) for kT in line], style, color=COLORS[1], label=label)
right.plot(temperatures, found["quantum"], "o", color=COLORS[1], label="sampled, rescaled bath")
right.plot(line, 1.0 - line * np.mean(1.0 / endless.energies), color=COLORS[0], label="classical spin waves")
right.plot(temperatures, found["classical"], "s", color=COLORS[0], label="sampled, classical bath")
right.set(xlabel="temperature kT [J]", ylabel="magnetization", title="Simple cubic ferromagnet", ylim=(0.6, 1.01))
right.legend(frameon=False, loc="lower left")
figure.savefig("classical_magnets.png", dpi=150)
print("wrote classical_magnets.png")
