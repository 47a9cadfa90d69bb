"""Surroundings: maps that lay one on another, point groups of textbook shapes, patterns of crystals, what is no lattice."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.errors import ModelError
from spinase.geometry import find_bonds
from spinase.learning.lattice.surroundings import Surrounding, maps, patterns, placed, point_group, surroundings_of
from spinase.spin_algebra import random_rotation
from spinase.typing import FloatArray, IntArray


def ring(sites: int) -> FloatArray:
    angles = 2 * np.pi * np.arange(sites) / sites
    return np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)


SHAPES: dict[str, tuple[FloatArray, int]] = {
    "two opposite sites": (ring(2), 2),
    "triangle": (ring(3), 6),
    "square": (ring(4), 8),
    "hexagon": (ring(6), 12),
    "tetrahedron": (np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1.0]]), 24),
    "octahedron": (np.concatenate([np.eye(3), -np.eye(3)]), 48),
    "cube": (np.array(list(product([-1.0, 1.0], repeat=3))), 48),
    "a scalene corner": (np.array([[1.0, 0, 0], [0, 1.3, 0], [0.2, 0.1, 1.7]]), 1),
}


def around(vectors: FloatArray, kinds: list[int] | None = None, kind: int = 0) -> Surrounding:
    return Surrounding(kind, vectors, np.array([0] * len(vectors) if kinds is None else kinds))


def directed(atoms: SpinAtoms, cutoff: float) -> tuple[IntArray, IntArray, FloatArray]:
    bonds = find_bonds(geometry_of(atoms), cutoff)
    first, second = np.concatenate([bonds.first, bonds.second]), np.concatenate([bonds.second, bonds.first])
    order = np.argsort(first, kind="stable")
    return first[order], second[order], np.concatenate([bonds.vectors, -bonds.vectors])[order]


@pytest.mark.parametrize("name", SHAPES)
def test_point_groups_are_those_of_the_textbook(name: str) -> None:
    vectors, order = SHAPES[name]
    group = point_group(around(vectors))
    assert group.shape == (order, len(vectors) + 1)
    assert (group[:, 0] == 0).all(), "the site itself stays"
    listed = {tuple(row) for row in group.tolist()}
    assert tuple(range(len(vectors) + 1)) in listed
    assert {tuple(one[other]) for one in group for other in group} == listed, "closed"


@pytest.mark.parametrize("name", SHAPES)
def test_maps_keep_all_scalar_products(name: str) -> None:
    """Onto a turned, renamed copy: as many maps as the group has operations, each an orthogonal one."""
    vectors, order = SHAPES[name]
    rng = np.random.default_rng(2)
    renamed = rng.permutation(len(vectors))
    other = (vectors @ random_rotation(rng).T)[renamed]
    found = list(maps(around(vectors), around(other)))
    assert len({tuple(places) for places in found}) == len(found) == order
    for places in found:
        np.testing.assert_allclose(other[places] @ other[places].T, vectors @ vectors.T, atol=1e-10)


def test_species_of_neighbours_take_operations_away() -> None:
    """An octahedron with two other ligands in trans and in cis position: D4h has 16 operations, C2v 4."""
    octahedron = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1.0]])
    assert len(point_group(around(octahedron, [1, 1, 0, 0, 0, 0]))) == 16
    assert len(point_group(around(octahedron, [1, 0, 1, 0, 0, 0]))) == 4
    assert len(point_group(around(octahedron, [1, 0, 0, 0, 0, 0]))) == 8
    one, two = around(octahedron, [1, 1, 0, 0, 0, 0]), around(octahedron, [0, 0, 0, 1, 1, 0])
    assert not list(maps(one, two)), "trans is not cis"
    assert not list(maps(around(octahedron), around(octahedron, kind=1))), "another site"


def test_what_looks_alike_may_differ_by_a_thousandth() -> None:
    square, rng = ring(4), np.random.default_rng(3)
    assert len(list(maps(around(square), around(square + 2e-4 * rng.normal(size=(4, 3)))))) == 8
    assert not list(maps(around(square), around(1.01 * square)))
    stretched = square * [1.02, 1.0, 1.0]
    assert len(point_group(around(stretched))) == 4
    assert not list(maps(around(square), around(ring(3))))


def test_mirror_images_look_alike() -> None:
    """Maps are orthogonal, not only rotations: a corner and its mirror image have one, which has determinant -1."""
    corner = SHAPES["a scalene corner"][0]
    mirrored = corner * [1.0, 1.0, -1.0]
    (places,) = maps(around(corner), around(mirrored))
    operation = np.linalg.lstsq(corner, mirrored[places], rcond=None)[0]
    assert np.linalg.det(operation) == pytest.approx(-1.0)


def test_a_site_alone_is_laid_on_itself_once() -> None:
    nothing = np.zeros((0, 3))
    (only,) = maps(around(nothing), around(nothing))
    assert len(only) == 0
    np.testing.assert_array_equal(point_group(around(nothing)), [[0]])
    assert around(nothing).tolerance == np.inf


@pytest.mark.parametrize(
    ("lattice", "size", "kinds"),
    [("square", (3, 4), 1), ("triangular", (4, 4), 1), ("honeycomb", (3, 3), 2), ("kagome", (3, 3), 3)],
)
def test_patterns_are_sublattices(lattice: str, size: tuple[int, int], kinds: int) -> None:
    """Sites that see the same vectors in the same order: one pattern for each sublattice."""
    atoms = SpinAtoms.lattice(lattice, size)
    pairs = directed(atoms, 1.1)
    found = list(patterns(*pairs, np.zeros(len(atoms), dtype=np.int64)))
    assert len(found) == kinds
    np.testing.assert_array_equal(np.sort(np.concatenate([sites for _, sites, _ in found])), np.arange(len(atoms)))
    lookup = {(i, tuple(np.round(v, 6) + 0.0)): j for i, j, v in zip(*(part.tolist() for part in pairs), strict=True)}
    for surrounding, sites, neighbours in found:
        for site, row in zip(sites.tolist(), neighbours.tolist(), strict=True):
            assert [lookup[site, tuple(np.round(v, 6) + 0.0)] for v in surrounding.vectors] == row


def test_patterns_of_nothing_are_none() -> None:
    none = np.zeros(0, dtype=np.int64)
    assert not list(patterns(none, none, np.zeros((0, 3)), np.zeros(4, dtype=np.int64)))


def test_a_crystal_of_two_species_has_two_surroundings() -> None:
    """A checkerboard: each sees four of the other; stripes: two and two, twice."""
    atoms = SpinAtoms.lattice("square", (4, 4))
    step = np.round(atoms.positions).astype(int)
    for kinds, count in ((step.sum(axis=1) % 2, 2), (step[:, 0] % 2, 2), (0 * step[:, 0], 1)):
        found = surroundings_of(geometry_of(atoms), kinds, 1.1)
        assert len(found) == count
        assert {one.kind for one in found} == set(kinds.tolist())
    assert len(surroundings_of(geometry_of(SpinAtoms.lattice("honeycomb", (3, 3))), np.zeros(18, dtype=np.int64), 1.1)) == 1


def test_a_cutoff_on_a_shell_is_refused() -> None:
    geometry = geometry_of(SpinAtoms.lattice("square", (4, 4)))
    with pytest.raises(ModelError, match=r"apart, which is the cutoff 1.001 to round-off: choose one between two shells"):
        surroundings_of(geometry, np.zeros(16, dtype=np.int64), 1.001)
    with pytest.raises(ModelError, match=r"site 0 has no neighbour within 0.5: a lattice needs a larger cutoff"):
        surroundings_of(geometry, np.zeros(16, dtype=np.int64), 0.5)


def test_neighbours_are_placed_in_the_order_of_the_known_surrounding() -> None:
    """All sites of honeycomb, both orientations: the vectors to their places have the known scalar products."""
    atoms = SpinAtoms.lattice("honeycomb", (3, 3))
    kinds = np.zeros(18, dtype=np.int64)
    known = surroundings_of(geometry_of(atoms), kinds, 1.1)
    ((sites, places),) = placed(known, directed(atoms, 1.1), kinds, ["Fe"])
    np.testing.assert_array_equal(sites, np.arange(18))
    np.testing.assert_array_equal(places[:, 0], sites)
    first, second, vectors = directed(atoms, 1.1)
    for site, row in zip(sites, places[:, 1:], strict=True):
        seen = np.array([vectors[(first == site) & (second == other)][0] for other in row])
        np.testing.assert_allclose(seen @ seen.T, known[0].vectors @ known[0].vectors.T, atol=1e-10)


def test_ghosts_without_pairs_are_left_out() -> None:
    atoms = SpinAtoms.lattice("square", (4, 4))
    known = surroundings_of(geometry_of(atoms), np.zeros(16, dtype=np.int64), 1.1)
    first, second, vectors = directed(atoms, 1.1)
    owned = first < 5
    ((sites, _),) = placed(known, (first[owned], second[owned], vectors[owned]), np.zeros(16, dtype=np.int64), ["Fe"])
    np.testing.assert_array_equal(sites, np.arange(5))


@pytest.mark.parametrize(
    ("strange", "message"),
    [
        (
            around(ring(3)),
            r"site 0 \(Fe\) .* it has 3 neighbours within the cutoff, not 4; sites are missing, a surface is near",
        ),
        (around(ring(5)), "it has 5 neighbours within the cutoff, not 4; other sites are there"),
        (around(1.05 * ring(4)), "a neighbour is 1.05 away, not 1; this is another lattice, or a strained one"),
        (around(ring(6)[:4]), "as far away as they should be, but in other directions, or of other species"),
        (around(ring(4), kind=1), r"site 0 \(Co\) .*: it knows no sites of Co"),
    ],
)
def test_strange_sites_are_compared_with_the_nearest_known(strange: Surrounding, message: str) -> None:
    count = len(strange.vectors)
    pairs = np.zeros(count, dtype=np.int64), np.arange(1, count + 1), strange.vectors
    kinds = np.zeros(count + 1, dtype=np.int64)
    kinds[0] = strange.kind
    with pytest.raises(ModelError, match=message):
        placed([around(ring(4))], pairs, kinds, ["Fe", "Co"])


def test_a_magnet_without_any_pair_is_no_lattice() -> None:
    none = np.zeros(0, dtype=np.int64)
    with pytest.raises(ModelError, match="no site has a neighbour within the cutoff"):
        placed([around(ring(4))], (none, none, np.zeros((0, 3))), np.zeros(3, dtype=np.int64), ["Fe"])
    ((sites, places),) = placed([around(ring(4))], (none, none, np.zeros((0, 3))), none, ["Fe"])
    assert (len(sites), places.shape) == (0, (0, 5))
