"""Dipoles by transforms: equal to pair and Ewald sums, closed forms, images one by one, lattices found from positions."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111
from scipy.special import zeta

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.calculators import DipoleCalculator
from spinase.classical import Dipole, dipole_kernels, lattice_dipole
from spinase.classical.dipole_kernels import Grid, kernel_on
from spinase.classical.lattice_dipole import LatticeDipole
from spinase.classical.lattice_sites import lattice_sites
from spinase.contract import field_resolution
from spinase.errors import InvalidGeometryError, ModelError
from spinase.geometry import Geometry
from spinase.spin_algebra import random_spins

SKEW = np.array([[0.1, 1.1, 0.2], [0.0, 0.2, 1.3], [1.0, 0.1, 0.0]])


def iron(cells: int = 6) -> Atoms:
    return bulk("Fe", cubic=True) * (cells, cells, cells)


def turned() -> Atoms:
    atoms = iron()
    atoms.rotate(33, (1, 2, 3), rotate_cell=True)
    return atoms


def with_holes() -> Atoms:
    atoms = iron()
    del atoms[[4, 77, 200]]
    return atoms


def magnets() -> dict[str, Atoms]:
    return {
        "bcc": iron(),
        "fcc, primitive cell": bulk("Ni") * (7, 6, 7),
        "hcp": SpinAtoms.lattice("hcp", (5, 6, 7)),
        "kagome layers": Atoms(SpinAtoms.lattice("kagome", (12, 9))),
        "turned": turned(),
        "holes": with_holes(),
        "odd": SpinAtoms.lattice("cubic", (7, 5, 9)),
    }


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("name", magnets())
def test_transforms_are_the_pairwise_sums_to_round_off(name: str, periodic: bool) -> None:
    atoms = magnets()[name]
    if name == "kagome layers" and periodic:
        atoms.cell[2] = [0.0, 0.0, 3.0]
    atoms.pbc = periodic
    geometry, term = geometry_of(atoms), Dipole(0.3, np.array([0.1, 0.3, 0.6]) if periodic else None, accuracy=1e-13)
    fast, slow = term.freeze(geometry), term._direct(geometry)
    assert isinstance(fast, LatticeDipole)
    rng = np.random.default_rng(1)
    spins, lengths = random_spins(len(atoms), rng), rng.uniform(0.5, 2.0, len(atoms))
    expected = slow.gradient(spins, lengths)
    np.testing.assert_allclose(fast.gradient(spins, lengths), expected, atol=3e-12 * np.abs(expected).max())
    assert fast.energy(spins, lengths) == pytest.approx(slow.energy(spins, lengths), abs=1e-11)
    if name == "odd":
        np.testing.assert_array_equal(fast.lattice(spins, lengths)[0], slow.lattice(spins, lengths)[0])


@pytest.mark.parametrize("name", ["odd", "hcp"])
def test_transforms_in_single_precision(name: str) -> None:
    """One site a cell and several; fields to single round-off, energies of them, and the drivers are told."""
    atoms = magnets()[name]
    rng = np.random.default_rng(1)
    spins, lengths = random_spins(len(atoms), rng), rng.uniform(0.5, 2.0, len(atoms))
    exact = Dipole(0.3).freeze(geometry_of(atoms)).gradient(spins, lengths)
    found = Dipole(0.3, dtype="float32").freeze(geometry_of(atoms)).gradient(spins, lengths)
    assert found.dtype == np.float64
    error = np.abs(found - exact).max() / np.abs(exact).max()
    assert 1e-9 < error < 2e-6
    assert field_resolution(DipoleCalculator(dtype="float32")) == 1e-6
    assert field_resolution(DipoleCalculator()) == 0.0
    config = DipoleCalculator.Config(strength=0.3, dtype="float32")
    assert DipoleCalculator.from_config(config).term.dtype == "float32"
    with pytest.raises(ModelError, match="dtype must be 'float64' or 'float32', got 'float16'"):
        DipoleCalculator(dtype="float16")


@pytest.mark.parametrize("name", ["odd", "hcp", "kagome layers"])
@pytest.mark.parametrize("periodic", [True, False])
def test_pieces_of_the_transforms_do_not_matter(name: str, periodic: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a few kB against one for each direction: one site a cell and several, padded or not, one layer."""
    atoms = magnets()[name]
    atoms.pbc = [periodic, periodic, False] if name == "kagome layers" else periodic
    spins, lengths = random_spins(len(atoms), np.random.default_rng(1)), np.ones(len(atoms))
    whole = Dipole(0.3).freeze(geometry_of(atoms)).gradient(spins, lengths)
    monkeypatch.setattr(lattice_dipole, "_PIECE", 4000)
    small = Dipole(0.3).freeze(geometry_of(atoms))
    assert isinstance(small, LatticeDipole)
    np.testing.assert_allclose(small.gradient(spins, lengths), whole, atol=1e-13)
    assert len(small.spectrum) > 1 or name == "kagome layers"  # one layer: no transform across it


@pytest.mark.parametrize("tau", [np.zeros(3), np.array([0.3, 0.2, 0.4])])
def test_images_along_a_line_add_up_one_by_one(tau: np.ndarray) -> None:
    """20001 images of every place; those left out are 2 sum_(n > 10^4) (3 n)^-3 = 3e-10."""
    kernel = kernel_on(Grid(SKEW, (2, 2, 3), 1), tau)
    for cell in ((0, 0, 1), (1, 0, 2), (1, 1, 0), (0, 0, 0)):
        images = cell @ SKEW + tau + 3 * np.arange(-10000, 10001)[:, None] * SKEW[2]
        np.testing.assert_allclose(kernel[(slice(None), *cell)], dipole_kernels._bare(images).sum(axis=0), atol=2e-9)


@pytest.mark.parametrize("periodic", [1, 2, 3])
def test_the_split_of_the_sums_does_not_matter(periodic: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for splitting in (0.3, 0.55):
        monkeypatch.setattr(dipole_kernels, "_splitting", lambda grid, basis, a=splitting: a)
        found.append(kernel_on(Grid(SKEW, (2, 2, 3), periodic), np.array([0.3, 0.2, 0.4])))
    np.testing.assert_allclose(found[0], found[1], atol=1e-12)
    assert np.abs(found[0]).max() > 0.1


def uniform(atoms: Atoms, direction: tuple[float, float, float]) -> np.ndarray:
    """Field of aligned unit moments with C = 1, (N, 3)."""
    return Dipole(1.0).freeze(geometry_of(atoms)).gradient(np.tile(direction, (len(atoms), 1)), np.ones(len(atoms)))


def test_a_film_in_itself_has_the_field_of_a_sum_over_its_lattice() -> None:
    """Square layer, unit moments across: B = -sum 1/r^3 = -9.03362168 (and half of it with them, in the plane)."""
    total = 4 * zeta(1.5) * (zeta(1.5, 0.25) - zeta(1.5, 0.75)) / 4**1.5  # sum over Z^2 without 0 of r^-3
    assert total == pytest.approx(9.0336216831)
    film = SpinAtoms.lattice("square", (9, 8))
    np.testing.assert_allclose(uniform(film, (0, 0, 1)), np.tile([0, 0, -total], (72, 1)), atol=1e-12)
    np.testing.assert_allclose(uniform(film, (1, 0, 0)), np.tile([total / 2, 0, 0], (72, 1)), atol=1e-12)


def test_a_thick_film_demagnetizes_itself_and_not_along_its_plane() -> None:
    """Middle of a cubic film: -4 pi (1 - 1/3) M across, Lorentz's 4 pi/3 M in the plane."""
    film = SpinAtoms.lattice("cubic", (4, 4, 12), periodic=(True, True, False))
    middle = np.argmin(np.abs(film.positions[:, 2] - 5.0))
    assert uniform(film, (0, 0, 1))[middle, 2] == pytest.approx(-8 * np.pi / 3, rel=1e-9)
    assert uniform(film, (1, 0, 0))[middle, 0] == pytest.approx(4 * np.pi / 3, rel=1e-9)


def test_a_wire_has_no_field_of_its_ends() -> None:
    """Middle of a long wire of square section: 4 pi/3 M along it, -2 pi/3 M across; its single chain 4 zeta(3)."""
    chain = SpinAtoms.lattice("chain", (9,))
    np.testing.assert_allclose(uniform(chain, (1, 0, 0))[:, 0], 4 * zeta(3), atol=1e-12)
    np.testing.assert_allclose(uniform(chain, (0, 0, 1))[:, 2], -2 * zeta(3), atol=1e-12)
    wire = SpinAtoms.lattice("cubic", (13, 13, 4), periodic=(False, False, True))
    middle = np.argmin(np.linalg.norm(wire.positions[:, :2] - 6.0, axis=1))
    assert uniform(wire, (0, 0, 1))[middle, 2] == pytest.approx(4 * np.pi / 3, rel=1e-2)
    assert uniform(wire, (1, 0, 0))[middle, 0] == pytest.approx(-2 * np.pi / 3, rel=1e-2)


def test_a_film_is_the_periodic_cell_with_much_vacuum_and_the_shape_of_a_film() -> None:
    film = fcc111("Ni", (4, 4, 3), vacuum=40.0)
    film.pbc = (True, True, False)
    spins, lengths = random_spins(48, np.random.default_rng(2)), np.linspace(1, 2, 48)
    expected = Dipole(0.4, np.array([0, 0, 1.0]), 1e-12)
    film.pbc = True
    slow = expected.freeze(geometry_of(film)).gradient(spins, lengths)
    film.pbc = (True, True, False)
    np.testing.assert_allclose(Dipole(0.4).freeze(geometry_of(film)).gradient(spins, lengths), slow, atol=1e-11)


@pytest.mark.parametrize("pbc", [(1, 1, 0), (1, 0, 1), (0, 0, 1), (0, 1, 0)])
def test_a_repeated_magnet_has_the_repeated_field(pbc: tuple[int, int, int]) -> None:
    """Also two sites of any kind in a slanted cell: the basis is found whatever it is."""
    cell = Atoms("Fe2", positions=[[0.1, 0, 0], [0.7, 1.1, 0.9]], cell=[[2, 0.1, 0], [0.3, 2.2, 0], [0, 0.4, 2.4]], pbc=pbc)
    repeat = tuple(2 if periodic else 1 for periodic in pbc)
    spins, large = random_spins(2, np.random.default_rng(4)), cell * repeat
    copies = len(large) // 2
    one = Dipole(1.0).freeze(geometry_of(cell)).gradient(spins, np.ones(2))
    many = Dipole(1.0).freeze(geometry_of(large)).gradient(np.tile(spins, (copies, 1)), np.ones(2 * copies))
    np.testing.assert_allclose(many, np.tile(one, (copies, 1)), atol=1e-12)


def test_lattices_are_found_with_their_holes_and_surfaces() -> None:
    ball = iron(8)
    ball = ball[np.linalg.norm(ball.positions - ball.positions.mean(axis=0), axis=1) < 9.0]
    ball.pbc = False
    found = lattice_sites(geometry_of(ball), 32, 8.0)
    assert found is not None
    places = np.stack(np.unravel_index(found.index % np.prod(found.grid.shape), found.grid.shape), axis=1)
    rebuilt = places @ found.grid.steps + found.basis[found.index // np.prod(found.grid.shape)]
    np.testing.assert_allclose(rebuilt, ball.positions, atol=1e-9)
    assert len(found.basis) == 1
    rattled = iron()
    rattled.rattle(0.01, seed=1)
    assert lattice_sites(geometry_of(rattled), 32, 8.0) is None
    rounded = turned()
    rounded.positions = rounded.positions.round(8)
    assert lattice_sites(geometry_of(rounded), 32, 8.0) is not None, "as files have it"


def test_sites_that_are_no_lattice_keep_the_pairwise_sums() -> None:
    atoms = iron()
    atoms.rattle(0.01, seed=1)
    assert not isinstance(Dipole(1.0).freeze(geometry_of(atoms)), LatticeDipole)
    atoms.pbc = (True, True, False)
    with pytest.raises(InvalidGeometryError, match=r"pbc = \[True, True, False\], need the sites of a lattice"):
        Dipole(1.0).freeze(geometry_of(atoms))


def test_refusals_of_films() -> None:
    film = SpinAtoms.lattice("square", (4, 4), rng=1)
    film.calc = DipoleCalculator()
    with pytest.raises(ModelError, match="give no forces on atoms and no stress: put vacuum into"):
        film.get_forces()
    geometry = geometry_of(film)
    twice = Geometry(np.vstack([geometry.positions, geometry.positions[3]]), geometry.cell, geometry.pbc, np.full(17, 26))
    with pytest.raises(InvalidGeometryError, match=r"sites 3 and 16 coincide \(at .*\): remove one or move them apart"):
        Dipole(1.0).freeze(twice)


def test_a_film_in_a_slanted_cell_has_the_same_field() -> None:
    """More sites than are summed by pairs, far from rows along the vectors of the cell."""
    film = SpinAtoms.lattice("triangular", (8, 7), rng=2)
    expected = DipoleCalculator().get_property("magnetic_forces", film)
    film.set_cell(np.array([[11, 5, 0], [2, 1, 0], [0, 0, 1]]) @ film.cell.array, scale_atoms=False)
    np.testing.assert_allclose(DipoleCalculator().get_property("magnetic_forces", film), expected, atol=1e-14)
