"""Bond tables: parts of tensors, repetitions of their cell, regions, fields as gradients of the energy."""

from __future__ import annotations

import numpy as np
import pytest

from spinase.classical import BondTable, BondTableTerm, DzyaloshinskiiMoriya, Heisenberg, LocalModel, add_models, tensor_of
from spinase.classical.local_energy import TermEnergy
from spinase.errors import InvalidGeometryError, ModelError
from spinase.geometry import Geometry
from spinase.pair_laws import ShellLaw
from spinase.regions import LocalResult, add_up, blocks, cut
from spinase.spin_algebra import random_spins

CELL = np.array([[2.0, 0.0, 0.0], [0.3, 1.8, 0.0], [-0.2, 0.1, 2.3]])
BASIS = np.array([[0.1, 0.0, 0.0], [1.1, 0.9, 1.0]])


def table(extra: bool = True) -> BondTable:
    """Two sites, bonds between them, across faces, and from a site to its own image; general tensors."""
    rng = np.random.default_rng(7)
    onsite = rng.normal(size=(2, 3, 3))
    return BondTable(
        BASIS,
        CELL,
        np.array([0, 0, 1, 0, 1]),
        np.array([1, 1, 0, 0, 1]),
        np.array([[0, 0, 0], [-1, 0, 0], [0, 1, 1], [1, 0, 0], [0, 1, -1]]),
        rng.normal(size=(5, 3, 3)),
        onsite if extra else np.zeros((0, 3, 3)),
        rng.normal(size=5) if extra else np.zeros(0),
        rng.normal(size=(2, 2)) if extra else np.zeros((0, 2)),
    )


def repeated(frame: np.ndarray, pbc: tuple[bool, bool, bool] = (True, True, True)) -> Geometry:
    """The two sites in a repetition of the cell, `frame` (3, 3) in whole vectors."""
    steps = np.stack(np.meshgrid(*[np.arange(-6, 7)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = steps[((steps @ np.linalg.inv(frame) > -1e-9) & (steps @ np.linalg.inv(frame) < 1 - 1e-9)).all(axis=1)]
    places = (inside[:, None] @ CELL + BASIS).reshape(-1, 3)
    return Geometry(places, frame @ CELL, np.array(pbc), np.full(len(places), 26))


SUPERCELLS = {
    "itself": np.eye(3),
    "twice along b": np.diag([1, 2, 1]),
    "twice all ways": np.diag([2, 2, 2]),
    "skewed": np.array([[2, 1, 0], [0, 1, 1], [-1, 0, 2]]),
    "left-handed": np.diag([1, -2, 1])[[0, 1, 2]] + np.array([[0, 0, 0], [0, 0, 0], [1, 0, 0]]),
}


def test_parts_of_a_tensor_make_it_again() -> None:
    given = table()
    parts = given.isotropic(), given.dmi(), given.symmetric()
    np.testing.assert_allclose(tensor_of(*parts), given.tensors, atol=1e-14)
    np.testing.assert_allclose(np.trace(parts[2], axis1=1, axis2=2), 0.0, atol=1e-14)
    np.testing.assert_array_equal(tensor_of(parts[0]), parts[0][:, None, None] * np.eye(3))


def test_the_vector_of_a_tensor_is_that_of_the_cross_product() -> None:
    """-s_i.J s_j of the odd part is -D.(s_i x s_j)."""
    rng = np.random.default_rng(1)
    vectors, one, two = rng.normal(size=(3, 4, 3))
    odd = tensor_of(np.zeros(4), vectors)
    found = np.einsum("ba,bac,bc->b", one, odd, two)
    np.testing.assert_allclose(found, np.einsum("ba,ba->b", vectors, np.cross(one, two)), atol=1e-14)


@pytest.mark.parametrize("name", SUPERCELLS)
def test_every_repetition_has_the_energy_of_its_cells(name: str) -> None:
    """Spins that are the same in all cells: each cell has the energy of one, summed on paper."""
    given, geometry = table(), repeated(SUPERCELLS[name])
    cells = len(geometry) // 2
    assert cells == round(abs(np.linalg.det(SUPERCELLS[name])))
    spins = random_spins(2, np.random.default_rng(2))
    pairs = np.einsum("ba,bac,bc->b", spins[given.first], given.tensors, spins[given.second])
    pairs += given.biquadratic * np.einsum("ba,ba->b", spins[given.first], spins[given.second]) ** 2
    x, y, z = (spins**2).T
    cubic = given.cubic[:, 0] * (x * y + y * z + z * x) + given.cubic[:, 1] * x * y * z
    expected = float(cubic.sum() - pairs.sum() - np.einsum("ia,iab,ib->", spins, given.onsite, spins))
    order = np.random.default_rng(3).permutation(len(geometry))
    frozen = BondTableTerm(given).freeze(geometry.select(order))
    energy = frozen.energy(np.tile(spins, (cells, 1))[order], np.ones(len(geometry)))
    assert energy == pytest.approx(cells * expected, rel=1e-12)


def test_fields_are_gradients_and_energies_of_sites_add_up() -> None:
    frozen, rng, step = BondTableTerm(table()).freeze(repeated(SUPERCELLS["skewed"])), np.random.default_rng(4), 1e-5
    spins, push, lengths = *rng.normal(size=(2, frozen.sites, 3)), np.ones(frozen.sites)
    change = frozen.energy(spins + step * push, lengths) - frozen.energy(spins - step * push, lengths)
    assert change / (2 * step) == pytest.approx(-np.sum(frozen.gradient(spins, lengths) * push), rel=1e-8)
    assert frozen.site_energies(spins, lengths).sum() == pytest.approx(frozen.energy(spins, lengths), rel=1e-12)
    assert not np.any([part.any() for part in frozen.lattice(spins, lengths)]), "a table has no forces on atoms"


def test_a_table_without_extras_leaves_their_loops_out() -> None:
    """Zeros and nothing are the same table."""
    plain = table(extra=False)
    frozen = BondTableTerm(plain).freeze(repeated(np.eye(3)))
    assert frozen.squares is None
    zeros = BondTable(*(getattr(plain, name) for name in ("positions", "cell", "first", "second", "shifts", "tensors")))
    spins, lengths = random_spins(2, np.random.default_rng(5)), np.ones(2)
    again = BondTableTerm(zeros).freeze(repeated(np.eye(3)))
    np.testing.assert_array_equal(again.gradient(spins, lengths), frozen.gradient(spins, lengths))


def test_a_table_of_shells_is_exchange_and_dmi() -> None:
    """Nearest neighbours of a simple cubic lattice, J and D along the bonds, as table and as terms."""
    tensors, site = tensor_of(np.full(3, 0.8), 0.3 * np.eye(3)), np.zeros(3, dtype=np.int64)
    given = BondTable(np.zeros((1, 3)), np.eye(3), site, site, np.eye(3, dtype=np.int64), tensors)
    places = np.array(np.meshgrid(*[np.arange(3.0)] * 3)).reshape(3, -1).T
    geometry = Geometry(places, 3.0 * np.eye(3), np.ones(3, dtype=bool), np.full(27, 26))
    spins, lengths = random_spins(27, np.random.default_rng(6)), np.ones(27)
    expected = [term(ShellLaw([value])).freeze(geometry) for term, value in ((Heisenberg, 0.8), (DzyaloshinskiiMoriya, 0.3))]
    found = BondTableTerm(given).freeze(geometry)
    assert found.energy(spins, lengths) == pytest.approx(sum(term.energy(spins, lengths) for term in expected), rel=1e-12)
    fields = sum(term.gradient(spins, lengths) for term in expected)
    np.testing.assert_allclose(found.gradient(spins, lengths), fields, atol=1e-12)


def test_bonds_across_an_open_face_are_left_out() -> None:
    """Open along a: of the five bonds the two with a step along a are gone; all others stay."""
    given = table(extra=False)
    opened = BondTableTerm(given).freeze(repeated(np.eye(3), pbc=(False, True, True)))
    kept = given.shifts[:, 0] == 0
    assert 0 < kept.sum() < 5
    np.testing.assert_array_equal(opened.tensors, given.tensors[kept])
    alone = BondTableTerm(given).freeze(repeated(np.eye(3), pbc=(False, False, False)))
    assert len(alone.first) == 1


@pytest.mark.parametrize("shape", [(2, 1, 1), (1, 2, 2)])
def test_regions_have_the_energy_and_fields_of_the_whole(shape: tuple[int, int, int]) -> None:
    term, geometry = BondTableTerm(table()), repeated(SUPERCELLS["twice all ways"])
    spins, lengths = random_spins(len(geometry), np.random.default_rng(8)), np.full(len(geometry), 1.7)
    local = TermEnergy("table", term.local(), "metal")
    assert local.ghost_depth == local.cutoff
    assert local.refused_properties == {}
    parts = cut(geometry, blocks(geometry, shape), local.cutoff, local.ghost_depth)
    results: list[LocalResult] = [local.freeze(part).evaluate(spins[part.tags], lengths[part.tags]) for part in parts]
    whole, frozen = add_up(parts, results, len(geometry)), term.freeze(geometry)
    assert whole.energies.sum() == pytest.approx(frozen.energy(spins, lengths), rel=1e-12)
    np.testing.assert_allclose(whole.magnetic_forces, frozen.gradient(spins, lengths) / 1.7, atol=1e-12)


def test_a_region_too_thin_for_the_table_is_refused() -> None:
    geometry = repeated(SUPERCELLS["twice all ways"])
    thin = cut(geometry, blocks(geometry, (2, 1, 1)), 1.0, 1.0)[0]
    with pytest.raises(
        InvalidGeometryError, match=r"my table needs all pairs within .*, this region has those within 1: list"
    ):
        TermEnergy("my table", BondTableTerm(table()).local()).freeze(thin)
    no_bonds = np.zeros(0, dtype=np.int64)
    bare = BondTable(BASIS, CELL, no_bonds, no_bonds, np.zeros((0, 3), dtype=np.int64), np.zeros((0, 3, 3)))
    assert BondTableTerm(bare).local().cutoff == 0.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"first": np.array([0, 0, 1, 0, 2])}, "site 2 does not exist, the cell has sites 0 to 1"),
        ({"second": np.array([0, 0, 1, 0, -1])}, "site -1 does not exist"),
        ({"cell": np.diag([1.0, 1.0, 0.0])}, "has no volume"),
        ({"tensors": np.full((5, 3, 3), np.nan)}, "the tensors must be finite"),
        ({"shifts": np.zeros((4, 3), dtype=np.int64)}, r"shifts has shape \(4, 3\), \(5, 3\) is needed"),
    ],
)
def test_tables_that_make_no_sense_are_refused(change: dict[str, np.ndarray], message: str) -> None:
    names = ("positions", "cell", "first", "second", "shifts", "tensors")
    with pytest.raises(ModelError, match=f"bond table: .*{message}"):
        BondTable(**{name: getattr(table(), name) for name in names} | change)


def test_open_and_periodic_vectors_come_in_any_order() -> None:
    """A slab that is open along the second vector of the table, which the atoms have as their third."""
    term, slab = BondTableTerm(table()), repeated(SUPERCELLS["twice all ways"], pbc=(True, False, True))
    renamed = Geometry(slab.positions, slab.cell[[0, 2, 1]], np.array([True, True, False]), slab.numbers)
    spins, lengths = random_spins(len(slab), np.random.default_rng(5)), np.ones(len(slab))
    expected = term.freeze(slab).gradient(spins, lengths)
    np.testing.assert_allclose(term.freeze(renamed).gradient(spins, lengths), expected, atol=1e-12)
    drawn = Geometry(slab.positions, np.diag([0.0, 1.0, 0.0]) + slab.cell * [[1], [0], [1]], slab.pbc, slab.numbers)
    np.testing.assert_allclose(term.freeze(drawn).gradient(spins, lengths), expected, atol=1e-12)


def test_a_model_of_the_table_costs_the_same_for_every_turn() -> None:
    """Bonds from a site to its own image become anisotropies of the site; the rest stays on pairs."""
    frozen, rng = BondTableTerm(table()).freeze(repeated(SUPERCELLS["twice along b"])), np.random.default_rng(9)
    model = frozen.local_model(np.ones(4))
    assert isinstance(model, LocalModel)
    assert not (model.rows == model.columns).any()
    assert not model.is_linear_in_each_spin
    one, two = random_spins(4, rng), random_spins(4, rng)
    whole = add_models([(0.5, model), (0.5, model)])

    def energy(s: np.ndarray) -> float:
        pairs = np.einsum("ba,bac,bc->", s[whole.rows], whole.tensors, s[whole.columns])
        pairs += whole.biquadratic @ np.einsum("ba,ba->b", s[whole.rows], s[whole.columns]) ** 2
        strengths = sum(part for part, _ in whole.cubic)
        x, y, z = (s**2).T
        cubic = strengths[:, 0] * (x * y + y * z + z * x) + strengths[:, 1] * x * y * z
        return float(cubic.sum() - 0.5 * pairs - np.einsum("ia,iab,ib->", s, whole.quadratic, s))

    expected = frozen.energy(one, np.ones(4)) - frozen.energy(two, np.ones(4))
    assert energy(one) - energy(two) == pytest.approx(expected, rel=1e-11)
