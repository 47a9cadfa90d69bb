"""Descriptors of lattices: groups and characters against closed tables, invariance, completeness, reconstruction."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from scipy.optimize import least_squares

from spinase.atoms import SpinAtoms, geometry_of
from spinase.learning.lattice.descriptors import InvariantTable, full_table
from spinase.learning.lattice.forms import Reach, SiteForms, bonds_of, moved, site_forms
from spinase.learning.lattice.irreps import Group, irreps_of
from spinase.learning.lattice.surroundings import Surrounding, maps, point_group, surroundings_of
from spinase.spin_algebra import random_rotation, random_spins

SIZES = {"chain": (6,), "square": (4, 4), "triangular": (4, 4), "cubic": (3, 3, 3), "kagome": (3, 3), "honeycomb": (3, 3)}
# order of the site's group as it acts on places in the plane (on the line, in space), and dimensions of its irreps
GROUPS = {
    "chain": (2, [1, 1]),
    "square": (8, [1, 1, 1, 1, 2]),
    "triangular": (12, [1, 1, 1, 1, 2, 2]),
    "cubic": (48, [1, 1, 1, 1, 2, 2, 3, 3, 3, 3]),
    "kagome": (4, [1, 1, 1, 1]),
    "honeycomb": (6, [1, 1, 2]),
}


def around(lattice: str, cutoff: float = 1.1) -> Surrounding:
    geometry = geometry_of(SpinAtoms.lattice(lattice, SIZES[lattice]))
    found = surroundings_of(geometry, np.zeros(len(geometry), dtype=np.int64), cutoff)
    assert len(found) == 1  # all sublattices of kagome and honeycomb are one kind of site
    return found[0]


@lru_cache
def forms_of(lattice: str, cutoff: float = 1.1) -> SiteForms:
    return site_forms(around(lattice, cutoff), Reach(1.5, 1.1, 1.5, 1.1))


@lru_cache
def table_of(lattice: str) -> InvariantTable:
    return full_table(forms_of(lattice), cubic=lattice != "cubic")


def spins_around(lattice: str, seed: int) -> np.ndarray:
    places = len(around(lattice).kinds) + 1
    return random_spins(places, np.random.default_rng(seed))[None]


@pytest.mark.parametrize("lattice", GROUPS)
def test_groups_are_those_of_the_lattice(lattice: str) -> None:
    order, dimensions = GROUPS[lattice]
    forms = forms_of(lattice)
    assert len(forms.group) == order
    assert [one.dimension for one in forms.irreps] == dimensions


def characters(group: Group, rotation_angles: np.ndarray, mirrors: np.ndarray) -> dict[str, np.ndarray]:
    """Characters of the planar groups C_nv by the angle of a rotation, or the kind of a mirror (1 or 2)."""
    rotation = mirrors == 0
    one = np.ones(len(group))
    table = {"A1": one, "A2": np.where(rotation, 1.0, -1.0)}
    n = rotation.sum()
    if n % 2 == 0:
        sign = np.where(rotation, np.cos(0.5 * n * rotation_angles), 0.0)
        table["B1"] = sign + (mirrors == 1) - (mirrors == 2)
        table["B2"] = sign - (mirrors == 1) + (mirrors == 2)
    for k in range(1, (n + 1) // 2):
        table[f"E{k}"] = np.where(rotation, 2.0 * np.cos(k * rotation_angles), 0.0)
    return table


@pytest.mark.parametrize("lattice", ["square", "triangular", "honeycomb", "kagome"])
def test_characters_are_those_of_the_closed_tables(lattice: str) -> None:
    """C4v, C6v, C3v, and C2v = D2 of kagome: every irrep of the table is found once."""
    site, forms = around(lattice), forms_of(lattice)
    angles, mirrors = [], []
    for permutation in forms.group.permutations:
        matrix = np.linalg.lstsq(site.vectors[:, :2], site.vectors[permutation[1:] - 1][:, :2], rcond=None)[0].T
        angle = np.arctan2(matrix[1, 0], matrix[0, 0])
        angles.append(angle)
        turn = 2 * np.pi / (len(forms.group) // 2)
        reference = np.arctan2(site.vectors[0, 1], site.vectors[0, 0])
        through = round((angle - 2 * reference) / turn) % 2  # mirrors through a neighbour, and between
        mirrors.append(0 if np.linalg.det(matrix) > 0 else 1 + through)
    expected = characters(forms.group, np.array(angles), np.array(mirrors))
    assert len(expected) == len(forms.irreps)
    for row in expected.values():
        assert sum(np.abs(one.character - row).max() < 1e-10 for one in forms.irreps) == 1


@pytest.mark.parametrize("lattice", GROUPS)
def test_matrices_represent_the_group_and_copies_turn_alike(lattice: str) -> None:
    forms = forms_of(lattice)
    images, signs = moved(forms.bonds.places, forms.group)
    values = np.random.default_rng(3).normal(size=len(forms.bonds.places))
    for irrep, copies in zip(forms.irreps, forms.bonds.copies, strict=True):
        products = np.einsum("gab,hbc->ghac", irrep.matrices, irrep.matrices)
        np.testing.assert_allclose(products, irrep.matrices[forms.group.products], atol=1e-12)
        for g in range(len(forms.group)):
            turned = np.zeros_like(values)
            turned[images[g]] = signs[g] * values
            np.testing.assert_allclose(copies @ turned, (copies @ values) @ irrep.matrices[g].T, atol=1e-12)
    rows = np.concatenate([copies.reshape(-1, len(values)) for copies in forms.bonds.copies if len(copies)])
    np.testing.assert_allclose(rows @ rows.T, np.eye(len(values)), atol=1e-12)  # nothing of the bonds is lost


@pytest.mark.parametrize("lattice", GROUPS)
def test_no_operation_changes_invariants(lattice: str) -> None:
    table, group = table_of(lattice), forms_of(lattice).group
    spins = spins_around(lattice, 5)
    found = table(spins)
    scale = np.abs(found).max()
    for permutation in group.permutations:
        np.testing.assert_allclose(table(spins[:, permutation]), found, atol=1e-12 * scale)
    turned = spins @ random_rotation(np.random.default_rng(1)).T
    np.testing.assert_allclose(table(turned), found, atol=1e-12 * scale)
    np.testing.assert_array_equal(table(-spins), found)  # chiralities come in even numbers


@pytest.mark.parametrize("lattice", GROUPS)
def test_surroundings_that_are_no_images_differ(lattice: str) -> None:
    """Two neighbours exchanged, in all ways that are no operation; spins themselves are at random."""
    table, group = table_of(lattice), forms_of(lattice).group
    spins, known = spins_around(lattice, 6), {tuple(row) for row in forms_of(lattice).group.permutations.tolist()}
    found, places = table(spins), spins.shape[1]
    for other in range(2, places):
        swapped = np.arange(places)
        swapped[[1, other]] = swapped[[other, 1]]
        gap = np.abs(table(spins[:, swapped]) - found).max()
        assert bool(gap < 1e-12 * np.abs(found).max()) is (tuple(swapped.tolist()) in known)
    assert len(group) == len(known)


@pytest.mark.parametrize("lattice", ["square", "triangular", "kagome", "honeycomb"])
def test_invariants_are_as_many_as_molien_counts(lattice: str) -> None:
    """Independent invariants of degree 2 in the bonds, those by trivial forms included: the coefficient of Molien's series.

    With random numbers in place of the bonds (which are not independent), the rank of all products of degree two is the
    trace over the group of the symmetric square, sum_g (chi(g)^2 + chi(g^2))/2 / |G|.
    """
    forms = forms_of(lattice)
    images, _ = moved(forms.bonds.places, forms.group)
    count = images.shape[1]
    fixed = np.array([np.sum(row == np.arange(count)) for row in images], dtype=float)
    twice = np.array([np.sum(row[row] == np.arange(count)) for row in images], dtype=float)
    molien = round(float(np.mean(0.5 * (fixed**2 + twice))))
    pairs = sum(
        len(c) * (len(c) + 1) // 2 * one.endomorphisms for one, c in zip(forms.irreps, forms.bonds.copies, strict=True)
    )
    assert pairs == molien


@pytest.mark.parametrize("lattice", ["square", "triangular"])
def test_invariants_determine_the_bonds_up_to_symmetry(lattice: str) -> None:
    """Bonds of random spins found again from their invariants of degree two and three: an image by an operation.

    Without the bispectrum there are other solutions: relative phases of different representations are lost.
    """
    forms, table = forms_of(lattice), table_of(lattice)
    spins = spins_around(lattice, 8)[0]
    wanted = table(spins[None])[0]
    images, _ = moved(forms.bonds.places, forms.group)
    bonds = np.sum(spins[forms.bonds.places[:, 0]] * spins[forms.bonds.places[:, 1]], axis=1)
    ways = np.array([bonds[np.argsort(row)] for row in images])
    rng, hits = np.random.default_rng(2), 0

    def off(x: np.ndarray) -> np.ndarray:
        vectors = x.reshape(-1, 3)
        unit = vectors / np.linalg.norm(vectors, axis=1)[:, None]
        return table(unit[None])[0] - wanted

    for _ in range(12):
        end = least_squares(off, random_spins(len(spins), rng).ravel(), xtol=1e-14, ftol=1e-14, gtol=1e-14, max_nfev=200)
        if end.cost > 1e-18:
            continue  # a local minimum
        unit = end.x.reshape(-1, 3) / np.linalg.norm(end.x.reshape(-1, 3), axis=1)[:, None]
        again = np.sum(unit[forms.bonds.places[:, 0]] * unit[forms.bonds.places[:, 1]], axis=1)
        assert np.abs(ways - again).max(axis=1).min() < 1e-6
        hits += 1
        if hits == 2:
            return
    assert hits


def test_species_lower_the_symmetry() -> None:
    """Two kinds of neighbours of a square site, opposite ones alike: two mirrors are left."""
    square = around("square")
    along = np.abs(square.vectors[:, 0]) > 0.5
    mixed = Surrounding(0, square.vectors, np.where(along, 1, 0))
    assert len(point_group(mixed)) == 4
    assert next(maps(square, mixed), None) is None
    assert [one.dimension for one in irreps_of(Group.of(point_group(mixed)))] == [1, 1, 1, 1]


def test_chiral_groups_have_real_irreps_of_complex_pairs() -> None:
    """Cyclic groups without mirrors: pairs of complex irreps are one real irrep with two invariant forms."""
    turns = np.array([np.roll(np.arange(3), k) for k in range(3)])
    group = Group.of(np.concatenate([np.zeros((3, 1), dtype=np.int64), turns + 1], axis=1))
    trivial, pair = irreps_of(group)
    assert (trivial.endomorphisms, pair.endomorphisms, pair.dimension) == (1, 2, 2)


def test_bonds_between_neighbours_are_those_within_reach() -> None:
    points = np.concatenate([np.zeros((1, 3)), around("square", 1.5).vectors])
    assert len(bonds_of(points, Reach(1.1, 1.5))) == 8 + 8
    assert len(bonds_of(points, Reach(1.5, 1.1))) == 8 + 4
