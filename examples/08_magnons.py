"""Magnons of square ferro- and antiferromagnets: S(q, omega) of a run, linear spin waves and the closed forms.

Frequencies are signed: positive ones belong to spins along z, negative ones (antiferromagnet only) to spins against it.

Writes magnons.png.
"""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from spinase import SpinAtoms
from spinase.analysis import dynamic_structure_factor, magnon_dispersion
from spinase.calculators import HeisenbergCalculator
from spinase.dynamics import LLGDynamics
from spinase.spinwaves import spin_waves
from spinase.viz.figures import COLORS

SIZE, STEP, EVERY = 16, 0.05, 4
steps = np.arange(1, SIZE // 2 + 1) * 2 * np.pi / SIZE
waves = np.array(  # Gamma - X - M - Gamma
    [[q, 0, 0] for q in steps] + [[np.pi, q, 0] for q in steps] + [[q, q, 0] for q in steps[-2::-1]]
)
x = np.arange(1, len(waves) + 1)
gamma = 0.5 * (np.cos(waves[:, 0]) + np.cos(waves[:, 1]))
cases = (("ferromagnet", 1.0, 4 * (1 - gamma)), ("antiferromagnet", -1.0, 4 * np.sqrt(1 - gamma**2)))
fig, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
for ax, (name, exchange, exact) in zip(axes, cases, strict=True):
    atoms = SpinAtoms.lattice("square", (SIZE, SIZE), units="reduced")
    sign = np.ones(len(atoms)) if exchange > 0 else (-1.0) ** np.round(atoms.positions.sum(axis=1))
    atoms.calc = HeisenbergCalculator(shells=[exchange])
    atoms.spins = sign[:, None] * np.array([0, 0, 1.0])
    linear = np.unique(np.round(spin_waves(atoms).frequencies, 6))
    atoms.spins = atoms.spins + 0.03 * np.random.default_rng(1).normal(size=(len(atoms), 3))
    frames = []
    dynamics = LLGDynamics(atoms, STEP, integrator="midpoint")
    dynamics.attach(lambda frames=frames, atoms=atoms: frames.append(atoms.spins.copy()), EVERY)
    dynamics.run(8000)
    spectrum = dynamic_structure_factor(atoms.positions, np.array(frames), STEP * EVERY, waves, axis=[0, 0, 1])
    senses = (1, -1) if exchange < 0 else (1,)
    branches = [magnon_dispersion(spectrum, lowest=0.1, sense=sense) for sense in senses]
    worst = max(np.nanmax(np.abs(sense * found - exact)) for sense, found in zip(senses, branches, strict=True))
    nearest = max(np.abs(linear - value).min() for value in exact)
    print(f"{name}: largest deviation from the closed form {worst:.3f} J (run), {nearest:.1e} J (linear spin waves)")
    power = np.log10(spectrum.values[:, :, 0].T + 1e-9)
    shown = np.abs(spectrum.frequencies) < 12.0
    ax.pcolormesh(x, spectrum.frequencies[shown], power[shown], cmap="Greys", vmin=-4, shading="nearest")
    for sense, found in zip(senses, branches, strict=True):
        ax.plot(x, sense * exact, color=COLORS[0], lw=1.2, label="closed form" if sense > 0 else None)
        ax.plot(x, found, "o", mfc="none", color=COLORS[1], ms=5, label="peaks of the run" if sense > 0 else None)
    ticks = [0, SIZE // 2, SIZE, len(waves) + 1]
    ax.set(
        title=name,
        ylabel=r"$\hbar\omega$ [J]",
        xticks=ticks,
        xticklabels=["Γ", "X", "M", "Γ"],
        xlim=(0, ticks[-1]),
        ylim=(-1.2 * exact.max() if exchange < 0 else -0.3, 1.4 * exact.max()),
    )
    ax.legend(frameon=False, loc="upper right")
fig.savefig("magnons.png", dpi=150)
