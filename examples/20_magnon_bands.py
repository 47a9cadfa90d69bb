"""Magnon bands of four magnets along a path: over the maps of runs, as neutrons see them, and of a metal from its electrons.

Square ferro- and antiferromagnet at a temperature (bands of linear spin waves over S(q, omega) of the run, with the sign of
omega), the 120-degree antiferromagnet as one rotating spin (what neutrons see), and a ferromagnetic s-d metal, whose second
derivatives are differences of the fields of its electrons on a supercell.

Writes magnon_bands.png.
"""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from ase.dft.kpoints import BandPath

from spinase import SpinAtoms
from spinase.analysis import Bose, DynamicCorrelations, dynamic_correlations
from spinase.calculators import (
    EDCalculator,
    HeisenbergCalculator,
    SpinSumCalculator,
    UniaxialAnisotropyCalculator,
    ZeemanCalculator,
)
from spinase.dynamics import LLGDynamics
from spinase.electrons import SDModel, ShellHopping
from spinase.spinwaves import Spiral, classical_hessian, difference_hessian, magnon_bands, magnon_intensities, wavevectors_of
from spinase.viz import draw_bands, draw_spectrum
from spinase.viz.figures import COLORS

SIZE, METAL, STEPS, TEMPERATURE = 24, 16, 6000, 0.02  # sites along a side of the runs and of the metal; kT/J


def path_of(cell: SpinAtoms, divisions: int) -> BandPath:
    """Gamma - X - M - Gamma through wavevectors that fit a supercell of so many cells."""
    steps = np.arange(divisions // 2 + 1) / divisions
    kpts = [*((0, s, 0) for s in steps), *((s, 0.5, 0) for s in steps[1:]), *((s, s, 0) for s in steps[-2::-1])]
    points = {"G": [0, 0, 0], "X": [0, 0.5, 0], "M": [0.5, 0.5, 0]}
    return BandPath(cell.cell, kpts=kpts, path="GXMG", special_points=points)


def spectrum_of_a_run(cell: SpinAtoms, repeat: tuple[int, int, int], path: BandPath) -> DynamicCorrelations:
    """Brought to the temperature by a bath, then left alone."""
    atoms = cell.repeat(repeat)
    atoms.calc = cell.calc
    bath = LLGDynamics(atoms, 0.05, damping=0.1, kT=TEMPERATURE, integrator="sib", rng=np.random.default_rng(1))
    bath.run(STEPS // 4)
    frames = []
    run = LLGDynamics(atoms, 0.05, integrator="midpoint")
    run.attach(lambda: frames.append(atoms.spins.copy()), 5)
    run.run(STEPS)
    return dynamic_correlations(atoms.positions, np.array(frames), 0.25, wavevectors_of(path))


def highest(spectrum: DynamicCorrelations, powers: np.ndarray) -> np.ndarray:
    """Frequency of the strongest line at every wavevector but those of the order."""
    return np.array(
        [spectrum.frequencies[row.argmax()] for row in np.where(np.abs(spectrum.frequencies) > 0.3, powers, 0.0)]
    )


figure, axes = plt.subplots(2, 2, figsize=(10, 7.4), layout="constrained")

cell = SpinAtoms.lattice("square", (1, 1), units="reduced", texture="ferro")
cell.calc = SpinSumCalculator([HeisenbergCalculator([1.0]), UniaxialAnisotropyCalculator(0.25)])
path = path_of(cell, SIZE)
run = spectrum_of_a_run(cell, (SIZE, SIZE, 1), path)
bands = magnon_bands(classical_hessian(cell), path)
powers = run.component((1, 1j, 0))
print(f"ferromagnet: peaks of the run {np.abs(highest(run, powers) - bands.frequencies[:, 0]).max():.2f} J from the bands")
draw_spectrum(axes[0, 0], run.frequencies, run.broadened(0.08).component((1, 1j, 0)), path, "J")
draw_bands(axes[0, 0], bands, path, "J")
axes[0, 0].set(title="ferromagnet: run and bands", ylim=(0, 10))

cell = SpinAtoms.lattice("square", (2, 2), units="reduced", texture="ferro")
cell.spins = np.array([[0, 0, 1.0], [0, 0, -1], [0, 0, -1], [0, 0, 1]])
cell.calc = SpinSumCalculator(
    [HeisenbergCalculator([-1.0]), UniaxialAnisotropyCalculator(0.25), ZeemanCalculator((0, 0, 1.0))]
)
run = spectrum_of_a_run(cell, (SIZE // 2, SIZE // 2, 1), path)
bands = magnon_bands(classical_hessian(cell), wavevectors_of(path))
senses = bands.precession((0, 0, 1))
print(f"antiferromagnet: senses of precession {senses.min():.3f} to {senses.max():.3f}")
draw_spectrum(axes[0, 1], run.frequencies, run.broadened(0.08).component((1, 1j, 0)), path, "J")
x = path.get_linear_kpoint_axis()[0]
for sign, color, name in ((1, COLORS[0], "spins along the field"), (-1, COLORS[1], "spins against it")):
    chosen = np.sort(np.where(sign * senses > 0, bands.frequencies, np.inf), axis=1)[:, :2]
    for k, band in enumerate(sign * chosen.T):
        axes[0, 1].plot(x, band, color=color, lw=1.4, label=name if k == 0 else None)
axes[0, 1].set(title="antiferromagnet in a field", ylim=(-8, 8))
axes[0, 1].legend(frameon=False, loc="upper right", fontsize="small")

cell = SpinAtoms.lattice("triangular", (1, 1), units="reduced", texture="ferro")
cell.spins, cell.calc = (1.0, 0.0, 0.0), HeisenbergCalculator([-1.0])
spiral = classical_hessian(cell, Spiral((4 * np.pi / 3, 0, 0), (0, 0, 1)))
path = cell.cell.bandpath("GKMG", npoints=240, pbc=cell.pbc)
frequencies = np.linspace(0.02, 4.0, 400)
seen = magnon_intensities(spiral, path, Bose(TEMPERATURE)).spectrum(frequencies, 0.04).neutron()
draw_spectrum(axes[1, 0], frequencies, seen, path, "J")
axes[1, 0].set(title="120 degrees, one rotating spin: what neutrons see", ylim=(0, 4))

cell = SpinAtoms.lattice("square", (METAL, METAL), units="reduced", texture="ferro")
cell.calc = EDCalculator(SDModel(hopping=ShellHopping([1.0]), coupling=6.0, filling=0.15, kT=0.05))
hessian = difference_hessian(cell, (METAL, METAL, 1))
small = SpinAtoms.lattice("square", (1, 1), units="reduced")
path = path_of(small, METAL)
bands = magnon_bands(hessian, path)
top = bands.energies.max()
neighbours = 0.25 * bands.energies[METAL, 0] * (2 - np.cos(2 * np.pi * path.kpts[:, :2]).sum(axis=1))
print(f"metal: highest magnon {top:.4f} t, lowest {bands.energies.min():.1e} t; missing range {hessian.range_error:.1e} t")
fine = small.cell.bandpath("GXMG", npoints=200, pbc=small.pbc)
draw_bands(axes[1, 1], magnon_bands(hessian, fine), fine, "t", label="from the electrons")
x = path.get_linear_kpoint_axis()[0]
axes[1, 1].plot(x, bands.energies[:, 0], "o", ms=4, color=COLORS[0])
axes[1, 1].plot(x, neighbours, "--", color=COLORS[1], label="nearest neighbours with the same M point")
axes[1, 1].set(title="ferromagnetic metal: 15 % filling, coupling 6 t", ylim=(0, 1.15 * top))
axes[1, 1].legend(frameon=False, loc="upper right", fontsize="small")
figure.savefig("magnon_bands.png", dpi=150)
