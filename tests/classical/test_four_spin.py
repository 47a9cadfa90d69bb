"""Products of four spins: counts of loops, closed forms of orders, differences, sampling against exact averages."""

from __future__ import annotations

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.calculators import (
    FourSpinCalculator,
    HeisenbergCalculator,
    ProductTableCalculator,
    RingExchangeCalculator,
    SpinSumCalculator,
)
from spinase.calculators import ThreeSiteCalculator as ThreeSite
from spinase.classical import ProductTable
from spinase.classical.four_spin import FrozenProducts
from spinase.classical.sampling import HEAT_BATH, METROPOLIS, make_sampler
from spinase.contract import local_model_of
from spinase.dynamics import MonteCarlo
from spinase.errors import InvalidGeometryError, ModelError
from spinase.regions import Region


def energy(atoms: SpinAtoms, calc: object) -> float:
    atoms.calc = calc
    return float(atoms.get_potential_energy())


@pytest.mark.parametrize(
    ("lattice", "size", "loops"),
    [
        ("square", (4, 4), 1),
        ("triangular", (4, 4), 3),
        ("cubic", (4, 4, 4), 3),
        ("honeycomb", (3, 3), 0),
        ("kagome", (3, 3), 0),
    ],
)
@pytest.mark.parametrize("small", [False, True])
def test_aligned_spins_count_the_loops(lattice: str, size: tuple[int, ...], loops: int, small: bool) -> None:
    """E = -K a loop; a cell smaller than a loop counts those through its images."""
    size = tuple(1 for _ in size) if small else size
    atoms = SpinAtoms.lattice(lattice, size, units="reduced")
    assert energy(atoms, RingExchangeCalculator(0.7)) / np.prod(size) == pytest.approx(-0.7 * loops)


@pytest.mark.parametrize(("lattice", "triangles"), [("triangular", 2), ("square", 0), ("kagome", 2), ("fcc", 8)])
def test_aligned_spins_count_the_triangles(lattice: str, triangles: int) -> None:
    atoms = SpinAtoms.lattice(lattice, (4, 4, 4) if lattice == "fcc" else (3, 3), units="reduced")
    cells = len(atoms) if lattice == "fcc" else 9
    assert energy(atoms, ThreeSite(0.5)) / cells == pytest.approx(-3 * 0.5 * triangles)


def test_orders_have_the_energies_of_their_angles() -> None:
    """Square: Neel (1 + 1 - 1), a vortex of four right angles (0 + 0 - 1); triangle of 120 degrees: 3/4 a triangle."""
    neel = SpinAtoms.lattice("square", (4, 4), units="reduced")
    neel.spins = np.where((neel.positions.round().sum(axis=1) % 2)[:, None] > 0, [0, 0, -1.0], [0, 0, 1.0])
    assert energy(neel, RingExchangeCalculator(0.7)) / 16 == pytest.approx(-0.7)
    turned = SpinAtoms.lattice("square", (4, 4), units="reduced")
    x, y, _ = turned.positions.round().T.astype(int) % 2
    angle = np.pi / 2 * np.array([[0, 1], [3, 2]])[x, y]
    turned.spins = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    assert energy(turned, RingExchangeCalculator(0.7)) / 16 == pytest.approx(0.7)
    flat = SpinAtoms.lattice("triangular", (3, 3), units="reduced")
    color = (np.round(flat.get_scaled_positions() * 3) @ [1, 2, 0]) % 3  # one of each on every triangle
    flat.spins = np.stack([np.cos(2 * np.pi / 3 * color), np.sin(2 * np.pi / 3 * color), 0 * color], axis=1)
    assert energy(flat, HeisenbergCalculator([-1.0])) / 9 == pytest.approx(-1.5)
    assert energy(flat, ThreeSite(0.5)) / 9 == pytest.approx(-2 * 0.5 * 3 / 4)


def test_a_listed_plaquette_is_ring_exchange() -> None:
    atoms = SpinAtoms.lattice("square", (2, 2), periodic=False, rng=4, units="reduced")
    corners = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    a, b, c, d = (int(np.argmin(np.linalg.norm(atoms.positions - corner, axis=1))) for corner in corners)
    listed = FourSpinCalculator([(a, b, c, d), (a, d, b, c), (a, c, b, d)], [0.3, 0.3, -0.3])
    assert energy(atoms, listed) == pytest.approx(energy(atoms, RingExchangeCalculator(0.3)), abs=1e-14)
    fields = [calc.get_property("magnetic_forces", atoms) for calc in (listed, RingExchangeCalculator(0.3))]
    np.testing.assert_allclose(*fields, atol=1e-14)
    assert np.abs(fields[0]).max() > 0.05


def test_a_repeated_pair_is_biquadratic_exchange() -> None:
    atoms = SpinAtoms.lattice("chain", (2,), periodic=False, rng=4, units="reduced")
    overlap = atoms.spins[0] @ atoms.spins[1]
    assert energy(atoms, FourSpinCalculator([(0, 1, 0, 1)], [0.3])) == pytest.approx(-0.3 * overlap**2)
    field = atoms.calc.get_property("magnetic_forces", atoms)[0]
    np.testing.assert_allclose(field, 0.6 * overlap * atoms.spins[1])


def test_the_field_is_minus_the_gradient_of_the_energy() -> None:
    """By differences, at every place of a product, of spins of any length."""
    sites, strengths = np.array([[0, 1, 2, 3], [4, 4, 5, 6], [1, 2, 2, 6]]), np.array([0.4, -0.3, 0.7])
    frozen, spins = FrozenProducts(sites, strengths), 0.8 * np.random.default_rng(1).normal(size=(7, 3))
    field = frozen.gradient(spins, np.ones(7))
    for i in range(7):
        for a in range(3):
            up, down = spins.copy(), spins.copy()
            up[i, a] += 1e-5
            down[i, a] -= 1e-5
            slope = (frozen.energy(up, np.ones(7)) - frozen.energy(down, np.ones(7))) / 2e-5
            assert field[i, a] == pytest.approx(-slope, abs=1e-8)


def test_only_the_chosen_species_make_loops() -> None:
    atoms = SpinAtoms.lattice("square", (4, 4), units="reduced")
    atoms.numbers[5] = 27
    assert energy(atoms, RingExchangeCalculator(1.0, species=["Fe"])) == pytest.approx(-12.0)


def test_the_sampler_has_the_energy_of_the_calculator() -> None:
    atoms = SpinAtoms.lattice("triangular", (3, 3), rng=2, units="reduced")
    listed = FourSpinCalculator([(0, 1, 0, 1), (2, 3, 4, 2), (5, 5, 1, 2)], [0.3, -0.2, 0.4])
    terms = [RingExchangeCalculator(0.3), ThreeSite(-0.2), listed, HeisenbergCalculator([0.4])]
    atoms.calc = SpinSumCalculator(terms, [1, 2, 1, 1])
    difference = atoms.get_potential_energy() - make_sampler(local_model_of(atoms)).energy(atoms.spins)
    assert difference == pytest.approx(0.0, abs=1e-12)
    sampling = MonteCarlo(atoms, 1e-9, rng=1, method="metropolis")
    before = atoms.get_potential_energy()
    for _ in range(5):
        sampling.run(4)
        assert atoms.get_potential_energy() <= before + 1e-7
        before = atoms.get_potential_energy()


@pytest.mark.parametrize("kind", [METROPOLIS, HEAT_BATH])
def test_a_chain_of_three_is_sampled_exactly(kind: int) -> None:
    """E = -K (s_1.s_2)(s_2.s_3): both cosines are independent of direction, <xy> from a quadrature over the square."""
    kT, K, copies = 0.4, 0.9, 300
    atoms = SpinAtoms(["Fe"] * (3 * copies), positions=np.arange(9.0 * copies).reshape(-1, 3), units="reduced")
    atoms.moments = [0, 0, 1.0]
    first = 3 * np.arange(copies)
    atoms.calc = FourSpinCalculator(np.stack([first, first + 1, first + 1, first + 2], axis=1), np.full(copies, K))
    sampler, spins, rng, seen = make_sampler(local_model_of(atoms)), atoms.spins.copy(), np.random.default_rng(3), []
    for sweep in range(260):
        sampler.sweep(spins, np.ones(len(spins), dtype=bool), kT, kind, 2.0, rng)
        if sweep >= 40:
            one, two, three = spins.reshape(-1, 3, 3).transpose(1, 0, 2)
            seen.append(np.mean(np.sum(one * two, axis=1) * np.sum(two * three, axis=1)))
    x, weights = np.polynomial.legendre.leggauss(40)
    boltzmann = weights[:, None] * weights * np.exp(K * np.outer(x, x) / kT)
    assert np.mean(seen) == pytest.approx(np.sum(np.outer(x, x) * boltzmann) / boltzmann.sum(), abs=0.012)


def test_refusals() -> None:
    with pytest.raises(ModelError, match=r"shape \(q, 4\), got shape \(1, 3\)"):
        FourSpinCalculator([(0, 1, 2)], [1.0])
    with pytest.raises(ModelError, match="2 products need as many finite strengths"):
        FourSpinCalculator([(0, 1, 2, 3), (0, 1, 2, 3)], [1.0])
    with pytest.raises(ModelError, match="shell must be the number of a neighbour shell, 1 or more, got 0"):
        RingExchangeCalculator(1.0, shell=0)
    atoms = SpinAtoms.lattice("chain", (3,), units="reduced")
    with pytest.raises(InvalidGeometryError, match="names site 3, the magnet has sites 0 to 2"):
        energy(atoms, FourSpinCalculator([(0, 1, 2, 3)], [1.0]))
    with pytest.raises(ModelError, match="FourSpin cannot be divided .*: how far its sites are apart is seen on the whole"):
        FourSpinCalculator([(0, 1, 2, 1)], [1.0]).local_energy(None)


PLAQUETTE = np.array([[[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]])
ORDERS = [[0, 1, 2, 3], [0, 3, 1, 2], [0, 2, 1, 3]]


def plaquettes(strength: float = 0.3) -> ProductTable:
    """Ring exchange of the square lattice as a table."""
    shifts = PLAQUETTE[0][np.array(ORDERS)]
    return ProductTable(np.zeros((1, 3)), np.eye(3), np.zeros((3, 4), int), shifts, strength * np.array([1.0, 1.0, -1.0]))


@pytest.mark.parametrize(("size", "periodic"), [((4, 5), True), ((2, 2), True), ((4, 3), False)])
def test_a_table_of_plaquettes_is_ring_exchange(size: tuple[int, int], periodic: bool) -> None:
    """In any order of the sites; across open boundaries there are none."""
    atoms = SpinAtoms.lattice("square", size, periodic=periodic, rng=4, units="reduced")
    atoms = atoms[np.random.default_rng(2).permutation(len(atoms))]
    loops = RingExchangeCalculator(0.3)
    if size == (2, 2):  # loops through images are others than plaquettes: the table on four copies
        large = atoms.repeat((2, 2, 1))
        large.calc = ProductTableCalculator(plaquettes())
        assert energy(atoms, ProductTableCalculator(plaquettes())) == pytest.approx(large.get_potential_energy() / 4)
        return
    assert energy(atoms, ProductTableCalculator(plaquettes())) == pytest.approx(energy(atoms, loops), abs=1e-13)
    fields = [calc.get_property("magnetic_forces", atoms) for calc in (ProductTableCalculator(plaquettes()), loops)]
    np.testing.assert_allclose(*fields, atol=1e-13)
    assert np.abs(fields[0]).max() > 0.1


def test_tables_that_are_none() -> None:
    one, sites, shifts = np.ones(1), np.zeros((1, 4), int), np.zeros((1, 4, 3), int)
    with pytest.raises(ModelError, match=r"product table: shifts has shape \(1, 4\), \(1, 4, 3\) is needed"):
        ProductTable(np.zeros((1, 3)), np.eye(3), sites, sites, one)
    with pytest.raises(ModelError, match="site 2 does not exist, the cell has sites 0 to 0"):
        ProductTable(np.zeros((1, 3)), np.eye(3), sites + 2, shifts, one)
    with pytest.raises(ModelError, match="strengths must be finite"):
        ProductTable(np.zeros((1, 3)), np.eye(3), sites, shifts, np.inf * one)
    atoms = SpinAtoms.lattice("square", (2, 2), units="reduced")
    atoms.positions[1] += 0.3
    with pytest.raises(InvalidGeometryError, match="site 1 .* is 0.52 from the nearest site of the bond table"):
        energy(atoms, ProductTableCalculator(plaquettes()))


def test_regions_without_a_copy_are_refused() -> None:
    atoms = SpinAtoms.lattice("chain", (6,), periodic=False, units="reduced")
    local = FourSpinCalculator([(0, 1, 2, 3)], [1.0]).local_energy(geometry_of(atoms))
    assert local.ghost_depth == pytest.approx(3.0)
    none = np.zeros(0, dtype=np.int64)
    region = Region(1, atoms.positions[:3], atoms.numbers[:3], np.arange(3), none, none, np.zeros((0, 3)), 0.0, 3.1)
    with pytest.raises(InvalidGeometryError, match="needs site 3, of which this region has no copy: ghosts must reach 3"):
        local.freeze(region)


def test_ghosts_of_listed_products_reach_the_nearest_images_in_any_cell() -> None:
    """Sites (1, 1) and (4, 2) of a torus of 5 x 3: 2.236 apart around it."""
    atoms = SpinAtoms.lattice("square", (5, 3))
    calc = FourSpinCalculator([(4, 14, 4, 14)], [0.1])
    for slant in (0, 4):
        atoms.set_cell(np.array([[5.0, 0, 0], [5.0 * slant, 3.0, 0], [0, 0, 1]]), scale_atoms=False)
        assert calc.local_energy(geometry_of(atoms)).ghost_depth == pytest.approx(np.sqrt(5.0), rel=1e-6)
