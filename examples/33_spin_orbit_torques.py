"""Spin-orbit torques of films under a voltage: angle of the moments, Rashba hopping, and films of several orbitals a site.

Ferromagnetic films (square lattice, s-d coupling of ordinary ferromagnets) between leads that go on with the film, Rashba
hopping and all, so that only the bias of 0.2 t is not equilibrium.  What it does to the moments is the part of their
field H that is odd in the bias.
Left: torque about z and field along z of moments in the plane against their angle from the current, in a clean film and in
one whose electrons are scattered (a bath of 0.1 t on every site).  The first is the field-like torque, m x H with H along
y = z x current; the second is the damping-like field, along m x y: it needs scattering, as in a film that is the same as
its leads time reversal forbids it.
Middle: field of moments along z against the Rashba hopping lambda, by Green's functions and by sums over Bloch waves that
either lead has filled; both are (lambda/t) z x j, j the current of sigma along the moments (Manchon, Zhang,
doi:10.1103/PhysRevB.78.212405), which for weak hopping is a straight line.
Right: films of p orbitals, where Rashba splitting comes from atomic spin-orbit coupling and from hopping that only a surface
allows (p_z to p_x and p_y): field by current against the atomic coupling, with and without this hopping.
Prints them, with the same magnets by exact diagonalization and by a Chebyshev expansion; writes spin_orbit_torques.png.

    python examples/33_spin_orbit_torques.py          4 k-points across the current (half a minute)
    python examples/33_spin_orbit_torques.py full     6 k-points, more angles and strengths (a minute)
"""

import sys
import warnings
from collections.abc import Mapping

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from spinase import SpinAtoms
from spinase.calculators import EDCalculator, KPMCalculator, NEGFCalculator
from spinase.electrons import Bath, LatticeLead, OrbitalModel, OrbitalTable, RashbaHopping, SDModel, ShellHopping
from spinase.errors import AdiabaticityWarning
from spinase.io.tight_binding import magnet_of
from spinase.spin_algebra import PAULI
from spinase.viz.figures import COLORS

ACROSS, ANGLES, POINTS = (6, 7, 5) if sys.argv[1:] == ["full"] else (4, 5, 3)
BIAS, KT, RASHBA, BATH, LENGTH = 0.2, 0.1, 0.2, 0.1, 8
COUPLING, MU = -1.0, -2.0
P_COUPLING, P_MU, SURFACE = -0.5, 0.0, 0.3
X, Y, Z = np.eye(3)
Matrices = Mapping[tuple[int, int, int], np.ndarray]
warnings.simplefilter("ignore", AdiabaticityWarning)  # nothing moves here


def rashba_matrices(strength: float) -> Matrices:
    """The Rashba film once more, H(R) = -(1 + i lambda (d x z).sigma)."""
    cells = ((1, 0, 0), (0, 1, 0), (-1, 0, 0), (0, -1, 0))
    return {cell: -np.eye(2) - 1j * strength * np.einsum("a,aij->ij", np.cross(cell, Z), PAULI) for cell in cells}


def p_matrices(atomic: float, surface: float) -> Matrices:
    """p_x, p_y, p_z with spin inside: atomic/2 L.sigma, hopping t along an orbital and -0.4 t across, surface hopping."""
    turn = np.zeros((3, 3, 3))
    turn[[0, 1, 2], [1, 2, 0], [2, 0, 1]], turn[[0, 2, 1], [2, 1, 0], [1, 0, 2]] = 1.0, -1.0
    found = {(0, 0, 0): 0.5 * atomic * sum(np.kron(-1j * turn[k], PAULI[k]) for k in range(3))}
    for axis in (0, 1):
        even, odd = np.diag([-0.4] * 3), np.zeros((3, 3))
        even[axis, axis], odd[2, axis], odd[axis, 2] = 1.0, surface, -surface
        for sign in (1, -1):
            found[tuple(sign * np.eye(3, dtype=int)[axis])] = np.kron(even + sign * odd, np.eye(2))
    return found


def p_table(atomic: float, surface: float) -> OrbitalTable:
    """The film of p orbitals."""
    matrices = {cell: one.reshape(3, 2, 3, 2) for cell, one in p_matrices(atomic, surface).items()}
    return OrbitalTable.of(np.eye(3), [[0, 0, 0]], [0, 0, 0], matrices)


def filled_by_leads(
    matrices: Matrices, coupling: float, mu: float, direction: np.ndarray
) -> tuple[np.ndarray, float, float]:
    """Parts odd in the bias of Bloch waves that are filled by the lead they come from, by site or row of sites.

    Field H = J <sigma> (3,), current of electrons, and current of sigma along `direction`.
    """
    along, count = 2.0 * np.pi * (np.arange(2000) + 0.5) / 2000, len(matrices[1, 0, 0]) // 2
    sigma = np.kron(np.eye(count), PAULI)
    field, current, polarized = np.zeros(3), 0.0, 0.0
    for across in 2.0 * np.pi * np.arange(ACROSS) / ACROSS:
        phases = {cell: np.exp(1j * (cell[0] * along + cell[1] * across))[:, None, None] for cell in matrices}
        matrix = sum(phases[cell] * matrices[cell] for cell in matrices)
        levels, states = np.linalg.eigh(matrix - coupling * np.einsum("a,aij->ij", direction, sigma))
        slope = sum(1j * cell[0] * phases[cell] * matrices[cell] for cell in matrices)
        velocity = np.einsum("kin,kij,kjn->kn", states.conj(), slope, states).real
        spins = np.einsum("kin,aij,kjn->akn", states.conj(), sigma, states).real
        up, down = (1.0 / (1.0 + np.exp((levels - mu - 0.5 * bias) / KT)) for bias in (BIAS, -BIAS))
        odd = 0.5 * np.sign(velocity) * (up - down) / len(along) / ACROSS
        field += coupling * np.einsum("akn,kn->a", spins, odd)
        current += np.sum(velocity * odd)
        turning = np.einsum("kij,ajl->akil", slope, sigma)
        flow = np.einsum("kin,akil,kln->akn", states.conj(), turning, states).real  # {v, sigma}/2
        polarized += np.einsum("a,akn,kn->", direction, flow, odd)
    return field, float(current), float(polarized)


def leads(coupling: float, direction: np.ndarray) -> tuple[LatticeLead, LatticeLead]:
    """Leads that are the film."""
    left, right = (LatticeLead(side, exchange=coupling * direction, spin_orbit=True) for side in ("left", "right"))
    return left, right


def rashba_film(direction: np.ndarray, strength: float, bias: float, bath: float = 0.0) -> tuple[np.ndarray, float]:
    """Field (3,), mean over the sites, and current of sigma along the moments (mean over bonds along the current)."""
    film = SpinAtoms.lattice("square", (LENGTH if bath else 2, 1), units="reduced")
    film.pbc = [False, True, False]
    film.spins = np.tile(direction, (len(film), 1))
    model = SDModel(ShellHopping([1.0]), COUPLING, chemical_potential=MU, kT=KT, spin_orbit=RashbaHopping([strength]))
    ends = (*leads(COUPLING, direction), *([Bath(bath)] if bath else []))
    calc = NEGFCalculator(model, ends, bias, 1e-4, kpts=(1, ACROSS, 1))
    field = calc.get_property("magnetic_forces", film).mean(axis=0)
    flow = calc.currents(film)
    step = flow.bonds.vectors[:, 0]  # currents of bonds run from the second site to the first
    return field, float(np.mean((flow.spin @ direction * -np.sign(step))[np.abs(step) > 0.5]))


def p_film(atomic: float, surface: float) -> float:
    """Field along y by current of a film of p orbitals, moments along z."""
    table = p_table(atomic, surface).repeat((2, 1, 1)).cut(0)
    model = OrbitalModel(table, P_COUPLING, chemical_potential=P_MU, kT=KT)
    film = magnet_of(table, "Fe", np.tile(Z, (2, 1)), units="reduced")
    calc = NEGFCalculator(model, leads(P_COUPLING, Z), BIAS, 5e-4, kpts=(1, ACROSS, 1))
    return float(calc.get_property("magnetic_forces", film)[:, 1].mean() / calc.get_property("lead_currents", film)[0])


def in_plane(angle: float) -> np.ndarray:
    """Direction at an angle from the current."""
    return np.cos(angle) * X + np.sin(angle) * Y


def about_z(at: np.ndarray, fields: np.ndarray) -> np.ndarray:
    """Torque about z, (m x H)_z, of moments at angles in the plane."""
    return np.cos(at) * fields[:, 1] - np.sin(at) * fields[:, 0]


angles, fine = np.linspace(0.0, np.pi, ANGLES), np.linspace(0.0, np.pi, 2 * ANGLES - 1)
turned = {}
for bath in (0.0, BATH):
    both = [[rashba_film(in_plane(a), RASHBA, bias, bath)[0] for bias in (BIAS, -BIAS)] for a in angles]
    turned[bath] = np.array([0.5 * (one - other) for one, other in both])
waves = np.array([filled_by_leads(rashba_matrices(RASHBA), COUPLING, MU, in_plane(a))[0] for a in fine])

# of moments along z the field along y is odd in the bias: half a turn about z changes its sign and the current's
strengths = np.linspace(-0.4, 0.4, POINTS)
along_z = [rashba_film(Z, float(strength), BIAS) for strength in strengths]
finer = np.linspace(-0.4, 0.4, 4 * POINTS - 3)
by_waves = [filled_by_leads(rashba_matrices(float(strength)), COUPLING, MU, Z)[0][1] for strength in finer]
weak = filled_by_leads(rashba_matrices(0.0), COUPLING, MU, Z)[2]
atomics = np.linspace(0.0, 0.4, POINTS)
p_fields = {SURFACE: [p_film(float(atomic), SURFACE) for atomic in atomics], 0.0: [p_film(float(atomics[-1]), 0.0)]}
p_waves = []
for atomic in atomics:
    field, current, _ = filled_by_leads(p_matrices(float(atomic), SURFACE), P_COUPLING, P_MU, Z)
    p_waves.append(field[1] / current)

# the same electrons without a bias, by three solvers
tilted = 0.6 * X + 0.8 * Z
cell = p_table(0.4, SURFACE)
atom = magnet_of(cell, "Fe", [tilted], units="reduced")
device = magnet_of(cell.repeat((2, 1, 1)).cut(0), "Fe", np.tile(tilted, (2, 1)), units="reduced")
options = {"chemical_potential": P_MU, "kT": 0.2}
bulk = EDCalculator(OrbitalModel(cell, P_COUPLING, **options), (120, ACROSS, 1)).get_property("magnetic_forces", atom)
still = NEGFCalculator(
    OrbitalModel(cell.repeat((2, 1, 1)).cut(0), P_COUPLING, **options),
    leads(P_COUPLING, tilted),
    tolerance=1e-5,
    kpts=(1, ACROSS, 1),
).get_property("magnetic_forces", device)
large = cell.repeat((4, 4, 1))
random = magnet_of(large, "Fe", units="reduced")
random.spins = np.random.default_rng(1).normal(size=(len(random), 3))
closed = OrbitalModel(large, P_COUPLING, **options)
exact, expanded = (
    calc.get_property("magnetic_forces", random) for calc in (EDCalculator(closed), KPMCalculator(closed, 1e-3))
)

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12.5, 3.9), layout="constrained")
left.plot(np.degrees(fine), 1e3 * about_z(fine, waves), "-", color=COLORS[0])
for (bath, fields), fill in zip(turned.items(), ("full", "none"), strict=True):
    name, how = "scattered" if bath else "clean", {"marker": "o", "ms": 5, "fillstyle": fill, "ls": "none"}
    left.plot(np.degrees(angles), 1e3 * about_z(angles, fields), color=COLORS[0], label=f"torque about z, {name}", **how)
    left.plot(np.degrees(angles), 1e3 * fields[:, 2], color=COLORS[1], label=f"field along z, {name}", **how)
left.set(xlabel="angle from the current [degrees]", ylabel=r"[$10^{-3}$ t]", title="moments in the plane")
left.set_xticks(np.arange(0, 181, 45))
middle.plot(strengths, 1e3 * weak * strengths, "--", color="0.5", label=r"$(\lambda/t)\, z \times j$, weak")
middle.plot(finer, 1e3 * np.array(by_waves), "-", color=COLORS[1], label="Bloch waves")
middle.plot(strengths, [1e3 * field[1] for field, _ in along_z], "o", ms=5, color=COLORS[0], label="Green's functions")
middle.set(xlabel=r"Rashba hopping $\lambda$ [t]", ylabel=r"field along y [$10^{-3}$ t]", title="moments along z")
right.plot(atomics, p_waves, "-", color=COLORS[1], label="Bloch waves")
right.plot(atomics, p_fields[SURFACE], "o", ms=5, color=COLORS[0], label="Green's functions")
right.plot(atomics[-1:], p_fields[0.0], "o", ms=5, fillstyle="none", color=COLORS[0], label="without surface hopping")
right.set(xlabel="atomic spin-orbit coupling [t]", ylabel=r"field along y by current [$\hbar$]", title="film of p orbitals")
for panel in (left, middle, right):
    panel.axhline(0.0, color="0.7", lw=0.8, zorder=0)
    panel.legend(frameon=False, fontsize=8)
figure.savefig("spin_orbit_torques.png", dpi=150)

clean, scattered = turned.values()
print(f"moments along the current: field along y {1e3 * clean[0, 1]:+.4f}, Bloch waves {1e3 * waves[0, 1]:+.4f} (1e-3 t)")
print(f"damping-like by field-like field: clean {clean[0, 2] / clean[0, 1]:+.4f}, ", end="")
print(f"scattered {scattered[0, 2] / scattered[0, 1]:+.4f}, moments turned round {scattered[-1, 2] / scattered[-1, 1]:+.4f}")
for strength, (field, spins), wave in zip(strengths, along_z, by_waves[::4], strict=True):
    print(f"lambda {strength:+.2f} t: field along y {1e3 * field[1]:+.4f}, lambda/t times the current of sigma ", end="")
    print(f"{1e3 * strength * spins:+.4f}, Bloch waves {1e3 * wave:+.4f} (1e-3 t)")
for atomic, found, wave in zip(atomics, p_fields[SURFACE], p_waves, strict=True):
    print(f"p orbitals, atomic coupling {atomic:.2f} t: field by current {found:+.4f}, Bloch waves {wave:+.4f}")
print(f"p orbitals without surface hopping, {atomics[-1]:.2f} t: {p_fields[0.0][0]:+.4f}")
apart = np.abs(still - bulk).max(), np.abs(expanded - exact).max()
print(f"without a bias Green's functions are {apart[0]:.1e} t from exact diagonalization, Chebyshev {apart[1]:.1e} t")
print("wrote spin_orbit_torques.png")
