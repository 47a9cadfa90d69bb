"""Irreducible representations: orthogonality, decomposition of the regular representation, couplings, forms of variables."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from spinase.learning.lattice.forms import Reach, bonds_of, moved, site_forms, triangles_of
from spinase.learning.lattice.irreps import Group, Irrep, adapted, couplings, generic, irreps_of
from spinase.learning.lattice.surroundings import Surrounding, point_group
from spinase.typing import FloatArray


def cyclic(order: int) -> Group:
    steps = np.arange(order)
    return Group.of((steps[:, None] + steps) % order)


def dihedral(order: int) -> Group:
    steps = np.arange(order)
    turns = (steps[:, None] + steps) % order
    return Group.of(np.concatenate([turns, turns[:, ::-1]]))


def symmetric(places: int) -> Group:
    return Group.of(np.array(list(permutations(range(places)))))


GROUPS: dict[str, tuple[Group, list[int]]] = {
    "one element": (cyclic(1), [1]),
    "C2": (cyclic(2), [1, 1]),
    "C3, a complex pair": (cyclic(3), [1, 2]),
    "C4, a complex pair": (cyclic(4), [1, 1, 2]),
    "D3": (dihedral(3), [1, 1, 2]),
    "D4": (dihedral(4), [1, 1, 1, 1, 2]),
    "D5": (dihedral(5), [1, 1, 2, 2]),
    "D6": (dihedral(6), [1, 1, 1, 1, 2, 2]),
    "S4, the tetrahedron": (symmetric(4), [1, 1, 2, 3, 3]),
}


def regular(group: Group) -> FloatArray:
    """Matrices (G, G, G) of the group acting on itself."""
    action = np.zeros((len(group),) * 3)
    order = np.arange(len(group))
    for g in order:
        action[g, group.products[g], order] = 1.0
    return action


@pytest.mark.parametrize("name", GROUPS)
def test_tables_of_products_and_inverses(name: str) -> None:
    group, _ = GROUPS[name]
    identity = int(np.flatnonzero((group.permutations == np.arange(group.permutations.shape[1])).all(axis=1))[0])
    for g in range(len(group)):
        assert group.products[g, group.inverses[g]] == identity == group.products[group.inverses[g], g]
        for h in range(len(group)):
            composed = group.permutations[g][group.permutations[h]]
            np.testing.assert_array_equal(group.permutations[group.products[g, h]], composed)


@pytest.mark.parametrize("name", GROUPS)
def test_matrices_are_orthogonal_and_follow_the_products(name: str) -> None:
    group, dimensions = GROUPS[name]
    found = irreps_of(group)
    assert [one.dimension for one in found] == dimensions
    assert [one.trivial for one in found] == [True] + [False] * (len(found) - 1)
    for one in found:
        eye = np.broadcast_to(np.eye(one.dimension), one.matrices.shape)
        np.testing.assert_allclose(one.matrices @ one.matrices.transpose(0, 2, 1), eye, atol=1e-12)
        products = np.einsum("gab,hbc->ghac", one.matrices, one.matrices)
        np.testing.assert_allclose(products, one.matrices[group.products], atol=1e-12)


@pytest.mark.parametrize("name", GROUPS)
def test_characters_are_orthogonal(name: str) -> None:
    """<chi_a, chi_b> = delta_ab times the dimension of what commutes: 2 for pairs of complex representations."""
    group, _ = GROUPS[name]
    found = irreps_of(group)
    products = np.array([[np.mean(one.character * other.character) for other in found] for one in found])
    np.testing.assert_allclose(products, np.diag([one.endomorphisms for one in found]), atol=1e-12)
    assert all(one.endomorphisms == (2 if "pair" in name and one.dimension == 2 else 1) for one in found)


@pytest.mark.parametrize("name", GROUPS)
def test_the_regular_representation_falls_into_all_of_them(name: str) -> None:
    """Each comes d times (d/2 where a pair of complex ones is one); the forms are an orthonormal basis."""
    group, _ = GROUPS[name]
    action, rows = regular(group), []
    for irrep in irreps_of(group):
        copies = adapted(action, irrep)
        assert copies.shape == (irrep.dimension // irrep.endomorphisms, irrep.dimension, len(group))
        np.testing.assert_allclose(
            np.einsum("cax,gxy->gcay", copies, action), np.einsum("gab,cby->gcay", irrep.matrices, copies), atol=1e-10
        )
        rows.append(copies.reshape(-1, len(group)))
    basis = np.concatenate(rows)
    np.testing.assert_allclose(basis @ basis.T, np.eye(len(group)), atol=1e-10)


def test_a_representation_without_a_copy_has_none() -> None:
    """Nothing but the identity acts: only the trivial one is there, as often as there are variables."""
    group = GROUPS["D4"][0]
    still = np.broadcast_to(np.eye(3), (len(group), 3, 3))
    assert [len(adapted(still, one)) for one in irreps_of(group)] == [3, 0, 0, 0, 0]


@pytest.mark.parametrize("name", ["D4", "D6", "S4, the tetrahedron", "C4, a complex pair"])
def test_couplings_are_what_no_operation_changes(name: str) -> None:
    """As many as the mean of the product of characters, orthonormal, invariant; of two equal ones the scalar product."""
    found = irreps_of(GROUPS[name][0])
    for one in found:
        (tensor, *others) = couplings(one, one)
        assert len(others) == one.endomorphisms - 1
        if not others:
            np.testing.assert_allclose(np.abs(tensor), np.eye(one.dimension) / np.sqrt(one.dimension), atol=1e-10)
    last = found[-1]
    for pair in ([last, one] for one in found):
        triple = couplings(*pair, last)
        characters = np.mean(pair[0].character * pair[1].character * last.character)
        assert len(triple) == round(characters)
        turned = np.einsum("gax,gby,gcz,rxyz->grabc", pair[0].matrices, pair[1].matrices, last.matrices, triple)
        np.testing.assert_allclose(turned, np.broadcast_to(triple, turned.shape), atol=1e-10)
        np.testing.assert_allclose(np.einsum("rabc,sabc->rs", triple, triple), np.eye(len(triple)), atol=1e-10)


def test_different_representations_do_not_couple() -> None:
    found = irreps_of(GROUPS["D6"][0])
    for i, one in enumerate(found):
        for other in found[i + 1 :]:
            assert couplings(one, other).shape == (0, one.dimension, other.dimension)


def test_numbers_without_a_pattern_are_the_same_everywhere() -> None:
    np.testing.assert_array_equal(generic(3, 4), generic(12).reshape(3, 4))
    assert np.abs(generic(500)).max() <= 1.0
    assert abs(generic(4000).mean()) < 0.05
    assert not np.allclose(generic(5), generic(5, start=1))
    np.testing.assert_allclose(generic(3), np.cos(np.arange(1, 4) ** 1.37), atol=1e-15)


def test_one_dimensional_irreps_are_signs() -> None:
    for one in irreps_of(GROUPS["D6"][0])[:4]:
        np.testing.assert_allclose(np.abs(one.character), 1.0, atol=1e-12)
    assert Irrep(np.ones((2, 1, 1))).trivial
    assert not Irrep(np.array([[[1.0]], [[-1.0]]])).trivial


# -- bonds and chiralities --------------------------------------------------------------------------------------------


def ring(sites: int) -> Surrounding:
    angles = 2 * np.pi * np.arange(sites) / sites
    return Surrounding(0, np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1), np.zeros(sites, dtype=np.int64))


def points(sites: int) -> FloatArray:
    return np.concatenate([np.zeros((1, 3)), ring(sites).vectors])


@pytest.mark.parametrize(
    ("sites", "reach", "bonds", "triangles"),
    [
        (4, Reach(1.0, 1.0), 4, 0),
        (4, Reach(1.5, 1.0, 1.5, 1.0), 8, 4),
        (4, Reach(2.0, 1.0, 2.0, 1.0), 10, 10),
        (6, Reach(1.0, 1.0, 1.0, 1.0), 12, 6),
        (6, Reach(1.8, 1.0, 1.8, 1.0), 18, 20),
        (6, Reach(2.0, 0.5), 6, 0),
    ],
)
def test_bonds_and_triangles_are_counted_as_on_paper(sites: int, reach: Reach, bonds: int, triangles: int) -> None:
    """Rings of neighbours at distance 1: bonds with the site always count; triangles by all their edges and corners."""
    found, corners = bonds_of(points(sites), reach), triangles_of(points(sites), reach)
    assert (len(found), len(corners)) == (bonds, triangles)
    assert (found[:, 0] < found[:, 1]).all()
    assert (np.diff(corners, axis=1) > 0).all()


@pytest.mark.parametrize("sites", [3, 4, 6])
def test_operations_move_bonds_and_chiralities_as_the_spins_say(sites: int) -> None:
    """chi of the moved spins = sign times chi at the image, and likewise for bonds."""
    group, reach = Group.of(point_group(ring(sites))), Reach(1.8, 1.0, 1.8, 1.0)
    spins = np.random.default_rng(4).normal(size=(sites + 1, 3))
    for places in (bonds_of(points(sites), reach), triangles_of(points(sites), reach)):
        images, signs = moved(places, group)

        def values(s: FloatArray, at: FloatArray = places) -> FloatArray:
            if at.shape[1] == 2:
                return np.asarray(np.sum(s[at[:, 0]] * s[at[:, 1]], axis=1))
            return np.asarray(np.linalg.det(s[at]))

        for g, permutation in enumerate(group.permutations):
            np.testing.assert_allclose(values(spins[permutation]), signs[g] * values(spins)[images[g]], atol=1e-12)
        assert (np.sort(images, axis=1) == np.arange(len(places))).all()
        assert (signs == 1).all() or places.shape[1] == 3


@pytest.mark.parametrize("sites", [3, 4, 6])
def test_forms_of_a_surrounding_are_a_basis(sites: int) -> None:
    """Orthonormal rows, as many as there are bonds (chiralities): nothing is lost."""
    forms = site_forms(ring(sites), Reach(1.8, 1.0, 1.8, 1.0))
    for kind in (forms.bonds, forms.triangles):
        rows = np.concatenate([copies.reshape(-1, len(kind.places)) for copies in kind.copies])
        np.testing.assert_allclose(rows @ rows.T, np.eye(len(kind.places)), atol=1e-10)


def test_the_trivial_form_of_an_orbit_is_its_mean() -> None:
    """Square: four bonds with the site, four between neighbours; each orbit's mean is invariant, 1/2 in all four."""
    forms = site_forms(ring(4), Reach(1.5, 1.0))
    trivial = forms.bonds.copies[0][:, 0]
    np.testing.assert_allclose(
        np.sort(np.abs(trivial), axis=1), np.tile([0, 0, 0, 0, 0.5, 0.5, 0.5, 0.5], (2, 1)), atol=1e-10
    )
    assert [len(copies) for copies in forms.triangles.copies] == [0] * 5
