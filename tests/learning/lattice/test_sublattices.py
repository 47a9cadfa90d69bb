"""Lattices of several kinds of sites, in the plane and in space: groups, invariance, completeness, and what is lost."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pytest
import torch
from ase.build import bulk

from spinase.atoms import SpinAtoms, geometry_of
from spinase.learning.lattice.descriptors import InvariantTable, full_table
from spinase.learning.lattice.forms import Reach, SiteForms, site_forms
from spinase.learning.lattice.network import LatticeConfig, LatticeNetwork
from spinase.learning.lattice.surroundings import Surrounding, placed, surroundings_of
from spinase.learning.pairs import pairs_of
from spinase.learning.trunk import prepare
from spinase.spin_algebra import random_rotation, random_spins
from spinase.typing import FloatArray, IntArray


def squares(chosen: Callable[[IntArray, IntArray], IntArray], keep: bool = False) -> SpinAtoms:
    """A square lattice on which the `chosen` sites (functions of their integer coordinates) are cobalt, or missing."""
    atoms = SpinAtoms.lattice("square", (4, 4))
    x, y = np.round(atoms.positions[:, :2]).astype(np.int64).T
    if keep:
        return atoms[~chosen(x, y)]
    atoms.numbers = np.where(chosen(x, y), 27, 26)
    return atoms


def solid(structure: str, repeat: int) -> SpinAtoms:
    return SpinAtoms(bulk("Fe", structure, a=1.0, cubic=True).repeat(repeat))


LATTICES: dict[str, tuple[Callable[[], SpinAtoms], float, float, set[tuple[int, int]]]] = {
    # magnet, cutoff, longest bond; neighbours of its kinds of sites, and orders of their groups by the international tables
    "kagome": (lambda: SpinAtoms.lattice("kagome", (3, 3)), 1.1, 1.1, {(4, 4)}),  # 2mm
    "honeycomb": (lambda: SpinAtoms.lattice("honeycomb", (3, 3)), 1.8, 1.8, {(9, 6)}),  # 3m
    "lieb": (lambda: squares(lambda x, y: (x % 2 == 1) & (y % 2 == 1), keep=True), 1.5, 1.5, {(4, 8), (6, 4)}),  # 4mm, 2mm
    "checkerboard": (lambda: squares(lambda x, y: (x + y) % 2 == 1), 1.1, 1.5, {(4, 8)}),  # both 4mm
    "rows": (lambda: squares(lambda x, y: y % 2 == 1), 1.1, 1.5, {(4, 4)}),  # both 2mm
    "bcc": (lambda: solid("bcc", 2), 0.9, 1.01, {(8, 48)}),  # m-3m
    "fcc": (lambda: solid("fcc", 2), 0.8, 0.71, {(12, 48)}),  # m-3m
    "diamond": (lambda: solid("diamond", 1), 0.6, 0.71, {(4, 24)}),  # -43m
}
KINDS = {"lieb": 2, "checkerboard": 2, "rows": 2}


@lru_cache
def lattice(name: str) -> tuple[SpinAtoms, list[Surrounding], list[SiteForms], list[InvariantTable]]:
    make, cutoff, longest, _ = LATTICES[name]
    atoms = make()
    known = surroundings_of(geometry_of(atoms), atoms.numbers - 26, cutoff)
    forms = [site_forms(one, Reach(longest, cutoff, longest, cutoff)) for one in known]
    return atoms, known, forms, [full_table(one, cubic=len(one.group) < 24 and len(one.bonds.places) <= 20) for one in forms]


def invariants(name: str, atoms: SpinAtoms, spins: FloatArray) -> list[tuple[IntArray, FloatArray]]:
    """Sites (S,) of every kind, and their invariants (S, G)."""
    _, known, _, tables = lattice(name)
    pairs = pairs_of(geometry_of(atoms), LATTICES[name][1], torch.float64)
    listed = (pairs.rows.first.numpy(), pairs.rows.second.numpy(), pairs.vectors.numpy())
    found = placed(known, listed, atoms.numbers - 26, ["Fe", "Co"])
    return [(sites, one(spins[rows])) for one, (sites, rows) in zip(tables, found, strict=True)]


@pytest.mark.parametrize("name", LATTICES)
def test_kinds_of_sites_and_their_groups(name: str) -> None:
    _, known, forms, _ = lattice(name)
    assert {(len(one.kinds), len(form.group)) for one, form in zip(known, forms, strict=True)} == LATTICES[name][3]
    assert len(known) == KINDS.get(name, 1)


@pytest.mark.parametrize("name", LATTICES)
def test_images_of_a_magnet_agree_site_by_site(name: str) -> None:
    """The crystal turned and mirrored in space, its sites in another order, spins turned, time reversed."""
    atoms, rng = lattice(name)[0], np.random.default_rng(5)
    spins, order = random_spins(len(atoms), rng), rng.permutation(len(atoms))
    image = atoms[order]
    image.set_cell(atoms.cell @ (random_rotation(rng) @ np.diag([1.0, -1.0, 1.0])).T, scale_atoms=True)
    turned = -spins[order] @ random_rotation(rng).T
    for (sites, here), (moved, there) in zip(invariants(name, atoms, spins), invariants(name, image, turned), strict=True):
        assert np.array_equal(np.sort(order[moved]), sites)
        again = there[np.argsort(order[moved])]
        np.testing.assert_allclose(again, here, atol=1e-11 * np.abs(here).max())


@pytest.mark.parametrize("name", LATTICES)
def test_surroundings_that_are_no_images_differ(name: str) -> None:
    """Every exchange of two neighbours changes the invariants, but for those that are operations of the site's group."""
    _, known, forms, tables = lattice(name)
    for one, form, invariant in zip(known, forms, tables, strict=True):
        spins = random_spins(len(one.kinds) + 1, np.random.default_rng(6))[None]
        operations, found = {tuple(row) for row in form.group.permutations.tolist()}, invariant(spins)
        for other in range(2, spins.shape[1]):
            swapped = np.arange(spins.shape[1])
            swapped[[1, other]] = swapped[[other, 1]]
            gap = np.abs(invariant(spins[:, swapped]) - found).max()
            assert bool(gap < 1e-9) is (tuple(swapped.tolist()) in operations), (other, gap)


def star(seed: int) -> tuple[Surrounding, FloatArray]:
    """A square site, and spins on it and its four neighbours; the site's spin is along z."""
    known = surroundings_of(geometry_of(SpinAtoms.lattice("square", (4, 4))), np.zeros(16, dtype=np.int64), 1.1)
    spins = random_spins(5, np.random.default_rng(seed))
    spins[0] = (0.0, 0.0, 1.0)
    return known[0], spins


def test_the_power_spectrum_alone_loses_relative_phases() -> None:
    """Bonds of four neighbours: with the form of E turned and those of A1 and B1 kept, only the bispectrum differs."""
    site, _ = star(3)
    ring = 1 + np.argsort(np.arctan2(*site.vectors[:, 1::-1].T))  # neighbours counterclockwise
    found = []
    for angle in (0.0, 0.4, 0.5 * np.pi):
        x, y = 0.4 * np.cos(0.3 + angle), 0.4 * np.sin(0.3 + angle)
        bonds = np.array([0.1, 0.1, 0.1, 0.1]) + np.array([0.3, -0.3, 0.3, -0.3]) + np.array([x, y, -x, -y])
        other = np.zeros((1, 5, 3))
        other[0, 0, 2], other[0, ring, 2], other[0, ring, 0] = 1.0, bonds, np.sqrt(1.0 - bonds**2)
        forms = site_forms(site, Reach(0.5, 0.5))
        found.append([full_table(forms, cubic)(other)[0] for cubic in (False, True)])
    for other in found[1:]:
        np.testing.assert_allclose(other[0], found[0][0], atol=1e-12)
        assert np.abs(other[1] - found[0][1]).max() > 1e-2


def test_without_bonds_between_neighbours_their_azimuths_are_lost() -> None:
    """A neighbour's spin turned about that of the site keeps all bonds with the site."""
    site, spins = star(4)
    other = spins.copy()
    other[2] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]] @ spins[2]
    near, far = (full_table(site_forms(site, reach)) for reach in (Reach(0.5, 0.5), Reach(1.5, 1.1)))
    np.testing.assert_allclose(near(other[None]), near(spins[None]), atol=1e-12)
    assert np.abs(far(other[None]) - far(spins[None])).max() > 1e-2


def test_kinds_of_sites_have_networks_of_their_own() -> None:
    """Corners and edges of the Lieb lattice: weights of the one do not enter the other."""
    atoms = lattice("lieb")[0]
    size = {"cutoff": 1.5, "pair_length": 1.5, "pair_range": 1.5, "triangle_length": 1.5, "triangle_range": 1.5}
    config = LatticeConfig.from_training({**size, "hidden": (4,), "channels": 2}, (26,), 1, geometry_of(atoms))
    network, spins = LatticeNetwork(config).double(), torch.from_numpy(random_spins(len(atoms), np.random.default_rng(1)))
    prepared = prepare(network, geometry_of(atoms))
    with torch.no_grad():
        before = network(prepared, spins)
        network.kinds[1].layers[0].weight.mul_(2.0)
        changed = torch.nonzero(network(prepared, spins) != before)[:, 0]
    assert len(network.kinds) == 2
    assert torch.equal(changed, prepared[1].sites)
    assert {len(one.sites) for one in prepared} == {4, 8}
    found, start = network.features(prepared, spins).detach().numpy(), 0
    for kind, sites in zip(network.kinds, prepared, strict=True):  # features are the invariants, in columns of their own
        expected = np.zeros((len(atoms), kind.pattern.count))
        expected[sites.sites] = kind.table()(spins.numpy()[sites.neighbours])
        np.testing.assert_allclose(found[:, start : start + expected.shape[1]], expected, atol=1e-12)
        start += expected.shape[1]
    assert start == found.shape[1]
