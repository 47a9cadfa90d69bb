"""Which order wins? Energies of spin textures of the triangular s-d magnet on k-meshes that are shown to be converged.

Prints energy per site against the mesh at J = 3 t, filling 1/4, and the gap of the tetrahedral state; saves the density
of states of the winner and of the ferromagnet in phase_energies.png (in the current directory).
"""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from spinase import SpinAtoms
from spinase.calculators import EDCalculator
from spinase.electrons import SDModel, ShellHopping

MODEL = SDModel(hopping=ShellHopping([1.0]), coupling=3.0, filling=0.25, kT=0.0)


def make(name: str) -> SpinAtoms:
    """The magnetic cell of an order."""
    cells = {"ferro": (1, 1), "120-degree": (3, 3), "stripe": (1, 2), "tetrahedral": (2, 2)}
    if name == "stripe":
        return SpinAtoms.lattice("triangular", cells[name], units="reduced", texture="spiral", wavevector=(0, 1, 0))
    return SpinAtoms.lattice("triangular", cells[name], units="reduced", texture=name)


meshes = {"ferro": (256, 512), "120-degree": (64, 128), "stripe": (128, 256), "tetrahedral": (24, 48)}
print("order         mesh        energy per site [t]")
for order, sizes in meshes.items():
    atoms = make(order)
    for size in sizes:
        kpts = (2 * size if order == "stripe" else size, size, 1)
        atoms.calc = EDCalculator(MODEL, kpts)
        print(f"{order:12} {kpts[0]:4}x{kpts[1]:<4} {atoms.get_potential_energy() / len(atoms):14.6f}")

figure = Figure(figsize=(5, 3.2), layout="constrained")
ax = figure.subplots()
energies = np.linspace(-12, 8, 1600)
for order, mesh, color in (("ferro", 200, "#D55E00"), ("tetrahedral", 96, "#0072B2")):
    atoms = make(order)
    calc = EDCalculator(MODEL, (mesh, mesh, 1))
    density = calc.density_of_states(atoms, energies, width=0.03) / len(atoms)
    ax.plot(energies - calc.get_property("chemical_potential", atoms), density, color=color, label=order)
ax.axvline(0, color="0.6", lw=0.8, ls=":")
ax.set(xlabel="energy - chemical potential [t]", ylabel="states / (site t)", ylim=(0, None))
ax.legend(frameon=False)
FigureCanvasAgg(figure)
figure.savefig("phase_energies.png", dpi=150)
print("wrote phase_energies.png")
