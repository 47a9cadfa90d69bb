"""Spin-orbit electrons: DMI, anisotropy, anomalous Hall conductivity and spin-orbit torques of one Rashba ferromagnet.

A square s-d ferromagnet (s-d coupling -t) with Rashba hopping 0.2 t, as at an interface; nothing but the electrons.  Left:
exchange J and interfacial DMI D between nearest neighbours against the chemical potential: D has a sign of its own.
Middle: energy of moments in the plane above that of moments along z, and the Hall conductivity without a magnetic field.
Right: a strip between two leads (and in a weak bath) under a bias of 0.4 t: the current polarizes electrons across it
(Edelstein), and so turns the moments: torques per site along and across the current against the Rashba hopping; none
without it.
Prints them; writes spin_orbit.png.

    python examples/24_spin_orbit.py          18 x 18 k-points (10 seconds)
    python examples/24_spin_orbit.py full     40 x 40 k-points (a minute)
"""

import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from spinase import SpinAtoms
from spinase.analysis import exact_conductivity
from spinase.calculators import EDCalculator, NEGFCalculator
from spinase.electrons import Bath, LatticeLead, RashbaHopping, SDModel, ShellHopping
from spinase.viz.figures import COLORS

STRIP = (24, 10)
MESH, POINTS = (40, 33) if sys.argv[1:] == ["full"] else (18, 13)
KT, COUPLING, RASHBA = 0.1, -1.0, 0.2
Z, X = (0.0, 0.0, 1.0), (1.0, 0.0, 0.0)


def model(mu: float, rashba: float = RASHBA) -> SDModel:
    """Electrons at a chemical potential."""
    return SDModel(ShellHopping([1.0]), COUPLING, chemical_potential=mu, kT=KT, spin_orbit=RashbaHopping([rashba]))


def ferromagnet(size: tuple[int, int], direction: tuple[float, float, float]) -> SpinAtoms:
    """All moments along a direction."""
    atoms = SpinAtoms.lattice("square", size, units="reduced")
    atoms.spins = np.tile(direction, (len(atoms), 1))
    return atoms


levels = np.linspace(-4.5, 0.5, POINTS)
exchange, chiral, anisotropy = [], [], []
for mu in levels:
    calc = EDCalculator(model(float(mu)), (MESH, MESH, 1))
    found = calc.exchange_tensors(ferromagnet((1, 1), Z), shells=1)
    across = np.cross(Z, found.bonds.vectors)  # D = D z x e, as DMICalculator(normal=z) has it
    exchange.append(found.isotropic.mean())
    chiral.append(np.mean(np.sum(found.dmi * across, axis=1)))
    energies = [calc.get_property("free_energy", ferromagnet((1, 1), axis)) for axis in (X, Z)]
    anisotropy.append(energies[0] - energies[1])
hall = exact_conductivity(ferromagnet((1, 1), Z), model(0.0), (2 * MESH, 2 * MESH, 1), width=0.05).hall(levels, kT=KT)[:, 2]

strengths = np.linspace(0.0, 0.4, 5)
torques = []
for strength in strengths:
    strip = ferromagnet(STRIP, Z)
    strip.pbc = [False, False, False]
    ends = (LatticeLead("left"), LatticeLead("right"), Bath(0.05))
    device = NEGFCalculator(model(-2.0, float(strength)), ends, 0.4, tolerance=1e-3)
    torques.append(device.get_property("torques", strip).mean(axis=0))
torques = np.array(torques)

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12.5, 3.7), layout="constrained")
for values, color, name in ((exchange, COLORS[0], "J"), (chiral, COLORS[1], "D")):
    left.plot(levels, 1e3 * np.array(values), "o-", ms=3, color=color, label=name)
left.set(xlabel="chemical potential [t]", ylabel=r"nearest neighbours [$10^{-3}$ t]", title="exchange and DMI")
middle.plot(levels, 1e3 * np.array(anisotropy), "o-", ms=3, color=COLORS[0], label=r"F(x) - F(z) [$10^{-3}$ t a site]")
middle.plot(levels, 1e2 * hall, "s-", ms=3, color=COLORS[1], label=r"$\sigma_{xy}$ [$10^{-2}$ e$^2$/h]")
middle.set(xlabel="chemical potential [t]", title="anisotropy, Hall conductivity")
for axis, color, name in ((0, COLORS[0], "along the current"), (1, COLORS[1], "across it")):
    right.plot(strengths, 1e3 * torques[:, axis], "o-", ms=4, color=color, label=name)
right.set(xlabel="Rashba hopping [t]", ylabel=r"torque a site [$10^{-3}$ t]", title="moments along z, bias 0.4 t")
for panel in (left, middle, right):
    panel.axhline(0.0, color="0.7", lw=0.8, zorder=0)
    panel.legend(frameon=False)
figure.savefig("spin_orbit.png", dpi=150)

best = int(np.argmax(np.abs(chiral)))
chiral, exchange, anisotropy, torques = (1e3 * np.array(values) for values in (chiral, exchange, anisotropy, torques))
print(f"DMI is largest at mu = {levels[best]:.2f} t: D = {chiral[best]:+.2f}, J = {exchange[best]:+.2f} (1e-3 t)")
print(f"anisotropy F(x) - F(z) between {min(anisotropy):+.2f} and {max(anisotropy):+.2f} (1e-3 t a site)")
print(f"Hall conductivity between {hall.min():+.4f} and {hall.max():+.4f} e^2/h")
print(f"torque a site without Rashba hopping {np.abs(torques[0]).max():.1e}, with 0.4 t along ", end="")
print(f"and across the current {torques[-1, 0]:+.2f} and {torques[-1, 1]:+.2f} (1e-3 t)")
print("wrote spin_orbit.png")
