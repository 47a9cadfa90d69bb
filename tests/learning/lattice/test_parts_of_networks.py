"""Parts of networks on lattices: configurations of a geometry, mixtures, products that are chosen, factors and tables."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.errors import ModelError
from spinase.learning.lattice import network as module
from spinase.learning.lattice.network import LatticeConfig, LatticeNetwork, SiteNetwork, SurroundingTable, mixture_products
from spinase.learning.trunk import prepare
from spinase.spin_algebra import random_spins

SIZE = {"cutoff": 1.5, "pair_length": 1.5, "pair_range": 1.5, "triangle_length": 1.5, "triangle_range": 1.1, "channels": 3}


def magnet(lattice: str = "square", rows: bool = False) -> SpinAtoms:
    atoms = SpinAtoms.lattice(lattice, (5, 4), units="reduced")
    if rows:
        atoms.numbers = np.where(np.round(atoms.positions[:, 1]) % 2 == 0, 26, 27)
    atoms.spins = random_spins(len(atoms), np.random.default_rng(3))
    return atoms


@lru_cache
def network(lattice: str = "square", rows: bool = False, parts: int = 1, **size: Any) -> LatticeNetwork:
    """Of :func:`magnet`; made once, so nobody may change it."""
    torch.manual_seed(2)
    atoms = magnet(lattice, rows)
    species = np.unique(atoms.numbers).tolist()
    config = LatticeConfig.from_training({**SIZE, "hidden": (5,), **size}, species, parts, geometry_of(atoms))
    return LatticeNetwork(config).double()


@pytest.mark.parametrize(("rows", "kinds"), [(False, 1), (True, 2)])
def test_a_configuration_knows_the_surroundings_of_its_training(rows: bool, kinds: int) -> None:
    """As numbers of a card: a table makes the same surroundings again."""
    config = network(rows=rows).config
    assert len(config.surroundings) == kinds
    for table in config.surroundings:
        again = SurroundingTable.model_validate(table.model_dump()).surrounding()
        assert len(again.vectors) == len(again.kinds) == 8
        np.testing.assert_array_equal(again.vectors, table.surrounding().vectors)
    assert LatticeConfig.model_validate(config.model_dump()) == config


def test_sites_are_divided_among_their_kinds() -> None:
    atoms, net = magnet(rows=True), network(rows=True)
    prepared = prepare(net, geometry_of(atoms))
    sites = torch.cat([one.sites for one in prepared])
    assert sorted(sites.tolist()) == list(range(20))
    assert all(one.neighbours.shape == (len(one.sites), 9) for one in prepared)
    assert all((one.neighbours[:, 0] == one.sites).all() for one in prepared)


def test_bonds_that_two_sites_see_are_made_once() -> None:
    (one,) = prepare(network(), geometry_of(magnet()))
    pairs = set(zip(*one.ends.tolist(), strict=True))
    assert len(pairs) == one.ends.shape[1], "each pair of sites once"
    assert all(i <= j for i, j in pairs)
    assert one.ends.shape[1] < len(one.bonds) / 3


def test_invariants_are_those_of_the_table_with_the_mixtures_at_hand() -> None:
    """Of every site, from the spins at its places; chiralities included."""
    atoms, net = magnet("triangular"), network("triangular", odd_channels=2)
    (one,), spins = prepare(net, geometry_of(atoms)), torch.tensor(atoms.spins)
    site = net.kinds[0]
    assert isinstance(site, SiteNetwork)
    found = site.invariants(one, spins).detach().numpy().T
    expected = site.table()(np.array(atoms.spins)[one.neighbours.numpy()])
    np.testing.assert_allclose(found, expected, atol=1e-11)


def test_factors_are_forms_and_their_mixtures() -> None:
    """Mixed after the forms, or in one table: the same rows; mixtures leave components of a representation apart."""
    site = network(odd_channels=2).kinds[0]
    assert isinstance(site, SiteNetwork)
    forms, mixtures = site.factors()
    table = site.table()
    whole = np.zeros((len(mixtures), forms.shape[1]))
    whole[: len(table.linear_bonds), : table.linear_bonds.shape[1]] = table.linear_bonds
    whole[len(table.linear_bonds) :, table.linear_bonds.shape[1] :] = table.linear_triples
    np.testing.assert_allclose(mixtures @ forms, whole, atol=1e-12)
    np.testing.assert_allclose(forms @ forms.T, module._SPREAD**2 * np.eye(len(forms)), atol=1e-10)


def test_a_part_begins_at_its_constant_at_every_kind_of_site() -> None:
    atoms, net = magnet(rows=True), network.__wrapped__(rows=True, parts=2)
    prepared, spins = prepare(net, geometry_of(atoms)), torch.tensor(atoms.spins)
    with torch.no_grad():
        for kind in net.kinds:
            kind.layers[-1].weight.zero_()
    net.begin_part(1, -3.5)
    parts = net(prepared, spins).detach().numpy()
    np.testing.assert_allclose(parts[:, 1], -3.5, atol=1e-12)


def test_products_are_squares_neighbours_and_chosen_triples() -> None:
    """Every term is even in time, comes once, and more of them with a bispectrum."""
    site = network(odd_channels=2).kinds[0]
    assert isinstance(site, SiteNetwork)
    _, blocks = module._mixed_blocks(site.forms, network(odd_channels=2).config)
    counts = []
    for bispectrum in (0, 1, 3):
        terms = mixture_products(blocks, bispectrum)
        keys = [tuple(sorted(forms for forms, _ in term)) for term in terms if len(term[0][0]) == 2]
        assert len(set(keys)) == len(keys)
        odd = {
            block.form(c, m)
            for block in blocks
            if block.odd
            for c in range(block.copies)
            for m in range(block.irrep.dimension)
        }
        assert all(sum(form in odd for form in forms) % 2 == 0 for term in terms for forms, _ in term)
        counts.append(len(terms))
    assert counts[0] < counts[1] < counts[2]


@pytest.mark.parametrize("bispectrum", [0, 2])
def test_networks_without_triangles_or_products_of_three_have_fewer_invariants(bispectrum: int) -> None:
    bare, whole = (network(bispectrum=bispectrum, triangle_range=reach).kinds[0].pattern.count for reach in (0.0, 1.1))
    assert 0 < bare < whole


def test_a_site_without_a_moment_is_missed_by_those_that_see_it() -> None:
    """Parts of its own and of its neighbours change, those of all others stay."""
    atoms, net = magnet(), network()
    (prepared,), spins = prepare(net, geometry_of(atoms)), torch.tensor(atoms.spins)
    without = spins.clone()
    without[7] = 0.0
    with torch.no_grad():
        change = (net([prepared], without) - net([prepared], spins)).abs().flatten().numpy()
    sees = (prepared.neighbours == 7).any(dim=1).numpy()
    assert 0 < sees.sum() < 20
    np.testing.assert_array_equal(change[prepared.sites.numpy()] > 1e-12, sees)


def test_a_lattice_is_needed() -> None:
    atoms = SpinAtoms.disordered(12, units="reduced", rng=1)
    with pytest.raises(ModelError, match="is none of the lattice this model knows"):
        prepare(network(), geometry_of(atoms))
