"""Exchange from electrons: how far it reaches, how it changes sign, and that it is another one in another texture.

J_ij = -d2F/ds_i ds_j of a square s-d magnet from its Green's functions, between all pairs up to a distance.  Left: weakly
coupled electrons (s-d coupling 0.5 t) of two fillings: exchange oscillates with the Fermi wave (RKKY).  Right: coupling 2 t,
in the ferromagnet and among random spins, where it also scatters: no single Heisenberg model has these electrons' torques;
the best one (fitted to them) leaves part of them unexplained.
Prints the shells; writes exchange_from_electrons.png, and exchange_uppasd/ with the ferromagnet's couplings for UppASD.

    python examples/22_exchange_from_electrons.py          20 x 20 sites (15 seconds)
    python examples/22_exchange_from_electrons.py full     32 x 32 sites, pairs up to 8 (3 minutes)
"""

import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from spinase import SpinAtoms
from spinase.calculators import ExchangeTensors, RationalCalculator, fit_exchange
from spinase.electrons import SDModel, ShellHopping
from spinase.io.exchange import write_uppasd
from spinase.viz.figures import COLORS

SIZE, REACH = (32, 8.0) if sys.argv[1:] == ["full"] else (20, 4.5)


def exchange(coupling: float, filling: float, texture: str, reach: float) -> ExchangeTensors:
    """Tensors of all pairs up to `reach`."""
    atoms = SpinAtoms.lattice("square", (SIZE, SIZE), units="reduced", texture=texture, rng=3)
    model = SDModel(ShellHopping([1.0]), coupling=coupling, filling=filling, kT=0.05)
    return RationalCalculator(model, tolerance=1e-8).exchange_tensors(atoms, cutoff=reach)


figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
left.axhline(0.0, color="0.7", lw=0.8)
right.axhline(0.0, color="0.7", lw=0.8)
for filling, color, marker in ((0.1, COLORS[0], "o"), (0.5, COLORS[1], "s")):
    shells = exchange(0.5, filling, "ferro", REACH).by_shell()
    left.plot(
        shells.distances, shells.isotropic * shells.distances**2, marker, ms=4, color=color, label=f"filling {filling}"
    )
    signs = "".join("+" if value > 0.0 else "-" for value in shells.isotropic)
    print(f"filling {filling}, coupling 0.5 t: signs of J with distance {signs}, nearest {shells.isotropic[0]:+.2e} t")
left.set(xlabel="distance R [a]", ylabel=r"$J(R)\,R^2$ [t a$^2$]", title="s-d coupling 0.5 t, ferromagnet")
left.legend(frameon=False)
for texture, color, shift in (("ferro", COLORS[0], -0.03), ("random", COLORS[1], 0.03)):
    found = exchange(2.0, 0.2, texture, 3.2)
    shells = found.by_shell()
    name = {"ferro": "ferromagnet", "random": "random spins"}[texture]
    right.errorbar(
        shells.distances + shift, 1e3 * shells.isotropic, 1e3 * shells.spread, fmt="o", ms=4, color=color, label=name
    )
    print(
        f"{name}, coupling 2 t: nearest neighbours {1e3 * shells.isotropic[0]:.2f} +- {1e3 * shells.spread[0]:.2f}, ", end=""
    )
    print(f"|D| {1e3 * shells.dmi[0]:.2f} (1e-3 t)")
    if texture == "ferro":
        path = write_uppasd("exchange_uppasd", found.table(["isotropic"]), found.atoms, energy=0.5, length=3.0)
model = SDModel(ShellHopping([1.0]), coupling=2.0, filling=0.2, kT=0.05)
fit = fit_exchange(RationalCalculator(model), found.atoms, shells=len(shells.distances), samples=4)
right.plot(shells.distances, 1e3 * fit.exchange, "_", ms=14, color="k", label="fit to torques of random spins")
print(f"fit to torques of random spins: nearest {1e3 * fit.exchange[0]:.2f} (1e-3 t), R^2 = {fit.r2:.3f}")
right.set(xlabel="distance R [a]", ylabel=r"J(R) [$10^{-3}$ t], mean and scatter", title="s-d coupling 2 t, filling 0.2")
right.legend(frameon=False)
figure.savefig("exchange_from_electrons.png", dpi=150)
print(f"wrote exchange_from_electrons.png and {path} (t = 0.5 eV, a = 3 Angstrom)")
