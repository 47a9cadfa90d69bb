"""Shells of neighbours: distances between gaps, coordination numbers by species, edges, and their words."""

from __future__ import annotations

import numpy as np
import pytest

from spinase.geometry import Geometry, find_bonds
from spinase.learning.trust import shells as module
from spinase.learning.trust.shells import (
    Shell,
    by_pair,
    count_neighbours,
    directed,
    edges,
    fingerprint,
    pair_of,
    places_of,
    shells_of,
    span,
)

SIDE = np.sqrt(2.0)


def square(cells: int = 4, constant: float = 1.0, rows: bool = False, pbc: tuple[bool, bool] = (True, True)) -> Geometry:
    """A square lattice; with `rows` of iron and cobalt in turns."""
    x, y = (part.ravel() for part in np.meshgrid(np.arange(cells), np.arange(cells), indexing="ij"))
    places = constant * np.stack([x, y, 0 * x], axis=1).astype(float)
    cell = np.diag([cells * constant, cells * constant, 1.0])
    return Geometry(places, cell, np.array([*pbc, False]), 26 + (x % 2 if rows else 0 * x))


def cloud(seed: int = 1) -> Geometry:
    return Geometry(
        4.0 * np.random.default_rng(seed).random((30, 3)), 4.0 * np.eye(3), np.ones(3, dtype=bool), np.full(30, 26)
    )


def test_a_square_lattice_has_four_near_and_four_across() -> None:
    near, across = shells_of([square()], 1.5)
    assert (near.centre, near.neighbour, near.fewest, near.most) == (26, 26, 4, 4)
    assert (across.fewest, across.most) == (4, 4)
    assert near.shortest == pytest.approx(1.0)
    assert across.longest == pytest.approx(SIDE)
    assert (near.distances, across.distances, near.counts) == ("1", "1.414", "4")
    np.testing.assert_array_equal(count_neighbours(square(), 1.5), np.full(16, 8))


def test_an_edge_widens_the_range_of_coordination_numbers() -> None:
    near, across = shells_of([square(pbc=(True, False))], 1.5)
    assert (near.counts, across.counts) == ("3 to 4", "2 to 4")
    both = shells_of([square(), square(pbc=(False, False))], 1.5)
    assert [shell.counts for shell in both] == ["2 to 4", "1 to 4"]


def test_species_count_apart_and_in_both_directions() -> None:
    """Rows of iron and cobalt: two of its own kind along the row, two across, and four of the other kind at the diagonal."""
    found = {(pair_of(one), one.distances): one.counts for one in shells_of([square(rows=True)], 1.5)}
    assert found == {
        ("Fe-Fe", "1"): "2",
        ("Fe-Co", "1"): "2",
        ("Fe-Co", "1.414"): "4",
        ("Co-Fe", "1"): "2",
        ("Co-Fe", "1.414"): "4",
        ("Co-Co", "1"): "2",
    }


def test_several_lattice_constants_are_shells_if_gaps_are_left() -> None:
    """Constants 2 % apart join a shell, as they leave no gap of 5 %."""
    together = shells_of([square(), square(constant=1.02)], 1.5)
    assert [one.distances for one in together] == ["1 to 1.02", "1.414 to 1.442"]
    apart = shells_of([square(), square(constant=1.2)], 1.25)
    assert [(one.distances, one.counts) for one in apart] == [("1", "0 to 4"), ("1.2", "0 to 4")]


def test_disorder_has_one_shell_from_the_shortest_to_the_longest() -> None:
    geometry = cloud()
    (only,) = shells_of([geometry], 1.5)
    distances = find_bonds(geometry, 1.5).distances
    assert (only.shortest, only.longest) == (pytest.approx(distances.min()), pytest.approx(distances.max()))
    counts = count_neighbours(geometry, 1.5)
    assert (only.fewest, only.most) == (counts.min(), counts.max())


def test_gaps_cut_at_a_twentieth() -> None:
    distances = np.array([1.0, 1.04, 1.093, 1.094, 2.0])
    assert module._bands(distances) == [(1.0, 1.04), (1.093, 1.094), (2.0, 2.0)]


def test_many_distances_are_thinned_and_their_ends_stay() -> None:
    many = np.concatenate([np.linspace(1.0, 1.2, 3000), np.linspace(1.5, 1.7, 3000)])
    thin = module._thinned(np.random.default_rng(1).permutation(many))
    assert len(thin) < 0.2 * len(many)
    assert (np.diff(thin) > 0).all()
    assert module._bands(thin) == module._bands(many) == [(1.0, 1.2), (1.5, 1.7)]
    few = many[::50]
    np.testing.assert_array_equal(module._thinned(few[::-1]), few)


def test_bonds_are_seen_from_both_ends() -> None:
    bonds = find_bonds(square(rows=True), 1.1)
    one, two, distances = directed(bonds)
    assert len(one) == 2 * len(bonds)
    np.testing.assert_array_equal(one[len(bonds) :], bonds.second)
    np.testing.assert_array_equal(two[len(bonds) :], bonds.first)
    np.testing.assert_array_equal(distances[: len(bonds)], distances[len(bonds) :])


def test_masks_by_species_divide_the_bonds() -> None:
    geometry = square(rows=True)
    one, two, _ = directed(find_bonds(geometry, 1.1))
    ordered = dict(by_pair(geometry.numbers, one, two, ordered=True))
    assert list(ordered) == [(26, 26), (26, 27), (27, 26), (27, 27)]
    np.testing.assert_array_equal(sum(mask.astype(int) for mask in ordered.values()), 1)
    either = dict(by_pair(geometry.numbers, one, two, ordered=False))
    assert list(either) == [(26, 26), (26, 27), (27, 27)]
    np.testing.assert_array_equal(either[26, 27], ordered[26, 27] | ordered[27, 26])
    for (first, second), mask in ordered.items():
        assert set(geometry.numbers[one[mask]]) == {first}
        assert set(geometry.numbers[two[mask]]) == {second}


def test_a_distance_belongs_to_a_shell_within_a_hundredth() -> None:
    near, across = Shell(26, 26, 1.0, 1.0, 4, 4), Shell(26, 26, 1.4, 1.42, 4, 4)
    asked = np.array([0.985, 0.992, 1.0, 1.008, 1.015, 1.38, 1.39, 1.41, 1.43, 1.44])
    assert places_of(asked, [near, across]).tolist() == [-1, 0, 0, 0, -1, -1, 1, 1, 1, -1]
    assert edges(near, [near, across]) == (pytest.approx(0.99), pytest.approx(1.01))


def test_a_wide_first_shell_has_no_lower_edge() -> None:
    """How close sites may be is told by the shortest distance; a second shell, and one of another pair, have edges."""
    wide, next_one, other = Shell(26, 26, 0.8, 1.5, 3, 9), Shell(26, 26, 1.7, 2.0, 3, 9), Shell(26, 27, 0.9, 0.9, 1, 1)
    listed = [wide, next_one, other]
    assert edges(wide, listed)[0] == 0.0
    assert edges(next_one, listed)[0] == pytest.approx(1.7 * 0.99)
    assert edges(other, listed)[0] == pytest.approx(0.9 * 0.99)


def test_fingerprints_tell_geometries_apart() -> None:
    assert fingerprint(square()) == fingerprint(square())
    others = [square(5), square(constant=1.01), square(rows=True), square(pbc=(True, False))]
    assert len({fingerprint(one) for one in [square(), *others]}) == 5


@pytest.mark.parametrize(
    ("ends", "digits", "words"),
    [((1.0, 1.0), 4, "1"), ((1.0, 1.00001), 4, "1"), ((1.0, 1.00001), 6, "1 to 1.00001"), ((-0.5, 2.0), 4, "-0.5 to 2")],
)
def test_ranges_are_one_number_where_both_ends_look_alike(ends: tuple[float, float], digits: int, words: str) -> None:
    assert span(*ends, digits) == words
