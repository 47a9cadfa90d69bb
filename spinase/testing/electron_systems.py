"""Systems that solvers are tested on: graphs with random spins, and magnets whose levels are known in closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from spinase.atoms import SpinAtoms, geometry_of, get_spins
from spinase.electrons.hamiltonian import FrozenHamiltonian, SDHamiltonian
from spinase.electrons.hopping import ExponentialHopping, ShellHopping
from spinase.electrons.operator import SpinOperator
from spinase.electrons.spin_orbit import ChiralHopping, RashbaHopping, SpinOrbitLaw
from spinase.geometry import Geometry
from spinase.typing import FloatArray

GRAPHS = (
    "chain",
    "ring of two",
    "one site",
    "square",
    "open square",
    "triangular",
    "cubic",
    "disordered",
    "islands",
    "flux",
    "rashba",
)
"""Graphs of :func:`magnet`; "islands" fall into parts without bonds between them."""

_COUPLING = 1.7  # of the analytic systems
_RING = 12
_SPIN_ORBIT = 0.6


@dataclass(frozen=True, eq=False)
class ElectronSystem:
    """A magnet with electrons.

    Attributes
    ----------
    name : str
    geometry : Geometry
    hamiltonian : SDHamiltonian
    spins : (N, 3)
        Unit vectors.
    levels : (2N,) or None
        Its levels in closed form, energy; None where there is none.
    """

    name: str
    geometry: Geometry
    hamiltonian: SDHamiltonian
    spins: FloatArray
    levels: FloatArray | None = None

    def freeze(self) -> FrozenHamiltonian:
        """The Hamiltonian on the geometry."""
        return self.hamiltonian.freeze(self.geometry)

    def operator(self) -> SpinOperator:
        """The operator of the spins."""
        return self.freeze().operator(self.spins)


def magnet(graph: str) -> tuple[SpinAtoms, SDHamiltonian]:
    """Random spins on one of :data:`GRAPHS`, and electrons with random on-site energies and a Zeeman field."""
    hopping: ShellHopping | ExponentialHopping = ShellHopping([1.0])
    spin_orbit: tuple[SpinOrbitLaw, ...] = ()
    if graph in ("disordered", "islands"):
        atoms = SpinAtoms.disordered(70, density=0.2, min_distance=1.1, dimension=3, units="reduced", rng=3)
        hopping = ExponentialHopping(1.0, 1.0, 1.5, 3.2 if graph == "disordered" else 1.75)
    elif graph == "chain":
        atoms = SpinAtoms.lattice("chain", (50,), units="reduced", rng=3)
        atoms.pbc = False
    elif graph in ("ring of two", "one site"):
        atoms = SpinAtoms.lattice("chain", (2 if graph == "ring of two" else 1,), units="reduced", rng=3)
    elif graph == "cubic":
        atoms = SpinAtoms.lattice("cubic", (4, 4, 5), units="reduced", rng=3)
    elif graph == "triangular":
        atoms = SpinAtoms.lattice("triangular", (9, 8), units="reduced", rng=3)
        hopping = ShellHopping([1.0, 0.0, -0.85])
    elif graph == "rashba":
        atoms = SpinAtoms.lattice("square", (6, 5), units="reduced", rng=3)
        atoms.rattle(0.05, seed=1)
        hopping = ExponentialHopping(1.0, 1.0, 1.0, 1.8)
        spin_orbit = (
            RashbaHopping(ExponentialHopping(0.4, 1.0, 1.0, 1.3)),
            ChiralHopping(ExponentialHopping(0.2, 1.0, 1.0, 1.8)),
        )
    else:
        atoms = SpinAtoms.lattice("square", (10, 9), units="reduced", rng=3)
        if graph == "open square":
            atoms.pbc = False
    onsite = np.random.default_rng(5).uniform(-0.4, 0.4, len(atoms))
    flux = 1.0 if graph == "flux" else 0.0
    return atoms, SDHamiltonian(hopping, 1.7, onsite, -np.array([0.05, 0.1, -0.07]), flux, spin_orbit)


def make_operator(graph: str) -> SpinOperator:
    """The operator of :func:`magnet`."""
    atoms, hamiltonian = magnet(graph)
    return hamiltonian.freeze(geometry_of(atoms)).operator(get_spins(atoms))


def random_system(graph: str) -> ElectronSystem:
    """The system of :func:`magnet`."""
    atoms, hamiltonian = magnet(graph)
    return ElectronSystem(graph, geometry_of(atoms), hamiltonian, get_spins(atoms))


def _chain(name: str, spins: FloatArray, levels: FloatArray, periodic: bool = True) -> ElectronSystem:
    """Sites in a row with hopping 1 (H_ij = -1) between neighbours."""
    atoms = SpinAtoms.lattice("chain", (len(spins),), units="reduced")
    atoms.pbc = [periodic, False, False]
    hamiltonian = SDHamiltonian(ShellHopping([1.0]), _COUPLING)
    return ElectronSystem(name, geometry_of(atoms), hamiltonian, spins, np.sort(levels))


def _along_z(signs: FloatArray) -> FloatArray:
    return np.stack([np.zeros_like(signs), np.zeros_like(signs), signs], axis=1)


def ferromagnet() -> ElectronSystem:
    """A ring of parallel spins: -2 cos k +- J, k = 2 pi n/N."""
    band = -2.0 * np.cos(2.0 * np.pi * np.arange(_RING) / _RING)
    return _chain("ferromagnet", _along_z(np.ones(_RING)), np.concatenate([band - _COUPLING, band + _COUPLING]))


def open_ferromagnet() -> ElectronSystem:
    """An open row of parallel spins: -2 cos(pi n/(N + 1)) +- J, n = 1 .. N."""
    band = -2.0 * np.cos(np.pi * np.arange(1, _RING) / _RING)
    levels = np.concatenate([band - _COUPLING, band + _COUPLING])
    return _chain("open ferromagnet", _along_z(np.ones(_RING - 1)), levels, periodic=False)


def antiferromagnet() -> ElectronSystem:
    """A ring of alternating spins: +-sqrt(4 cos^2 k + J^2), each for N momenta k = 2 pi n/N; gap 2 J at half filling."""
    band = np.sqrt(4.0 * np.cos(2.0 * np.pi * np.arange(_RING) / _RING) ** 2 + _COUPLING**2)
    return _chain("antiferromagnet", _along_z(np.tile([1.0, -1.0], _RING // 2)), np.concatenate([-band, band]))


def spiral() -> ElectronSystem:
    """A ring whose spins turn by q from site to site in a plane.

    In the frame that turns along, momenta are k = 2 pi n/N + q/2:
    -2 cos k cos(q/2) +- sqrt(4 sin^2 k sin^2(q/2) + J^2).
    """
    turn = 2.0 * np.pi / _RING
    angles = turn * np.arange(_RING)
    momenta = angles + 0.5 * turn
    band = -2.0 * np.cos(momenta) * np.cos(0.5 * turn)
    half = np.sqrt(4.0 * np.sin(momenta) ** 2 * np.sin(0.5 * turn) ** 2 + _COUPLING**2)
    spins = np.stack([np.cos(angles), np.sin(angles), np.zeros(_RING)], axis=1)
    return _chain("spiral", spins, np.concatenate([band - half, band + half]))


def rashba_ring() -> ElectronSystem:
    """A ring along x of spins along y, to which Rashba hopping i lambda (x x z).sigma = -i lambda sigma_y couples:

    -2 cos k -+ (2 lambda sin k + J), each for N momenta k = 2 pi n/N.
    """
    momenta = 2.0 * np.pi * np.arange(_RING) / _RING
    split = 2.0 * _SPIN_ORBIT * np.sin(momenta) + _COUPLING
    band = -2.0 * np.cos(momenta)
    spins = np.tile([0.0, 1.0, 0.0], (_RING, 1))
    plain = _chain("rashba ring", spins, np.concatenate([band - split, band + split]))
    return replace(plain, hamiltonian=replace(plain.hamiltonian, spin_orbit=[RashbaHopping([_SPIN_ORBIT])]))


def dimer() -> ElectronSystem:
    """Two sites, an angle of 1 between their spins: +-sqrt(1 + J^2 +- 2 J cos(1/2))."""
    spins = np.array([[0.0, 0.0, 1.0], [np.sin(1.0), 0.0, np.cos(1.0)]])
    size = np.sqrt(1.0 + _COUPLING**2 + 2.0 * _COUPLING * np.cos(0.5) * np.array([1.0, -1.0]))
    return _chain("dimer", spins, np.concatenate([-size, size]), periodic=False)


def single_site() -> ElectronSystem:
    """One spin without bonds: +-J."""
    return _chain("single site", _along_z(np.ones(1)), np.array([-_COUPLING, _COUPLING]), periodic=False)


ANALYTIC: dict[str, Callable[[], ElectronSystem]] = {
    "ferromagnet": ferromagnet,
    "open ferromagnet": open_ferromagnet,
    "antiferromagnet": antiferromagnet,
    "spiral": spiral,
    "rashba ring": rashba_ring,
    "dimer": dimer,
    "single site": single_site,
}
"""Systems with levels in closed form, by name."""


def all_systems() -> tuple[ElectronSystem, ...]:
    """All of them: random ones on every graph, and the analytic ones."""
    return (*(random_system(graph) for graph in GRAPHS), *(make() for make in ANALYTIC.values()))
