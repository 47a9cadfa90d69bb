"""Radial functions, harmonics and laws of pairs in closed form; sums of a graph; numbers that describe surroundings."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.errors import ModelError
from spinase.learning.mhipnn.environments import (
    farthest_points,
    first_largest,
    model_environments,
    pooled,
    site_environments,
)
from spinase.learning.mhipnn.graph import Graph, RadialBasis, quadrupoles, shells
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig, NetworkSize, Prepared
from spinase.learning.mhipnn.pair_law import PairLaw
from spinase.learning.pairs import Pairs, pairs_of
from spinase.learning.trunk import prepare
from spinase.spin_algebra import random_rotation

BASIS = RadialBasis(6, 0.7, 1.9)


def magnet(sites: int = 12, seed: int = 1) -> SpinAtoms:
    atoms = SpinAtoms.disordered(sites, units="reduced", rng=seed)
    atoms.symbols[::3] = "Co"
    return atoms


def law(species: int = 2) -> PairLaw:
    torch.manual_seed(2)
    made = PairLaw(species, 5, BASIS).double()
    with torch.no_grad():
        made.laws.normal_()
    return made


# -- radial functions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("even", [False, True])
def test_radial_functions_are_gaussians_under_a_cosine(even: bool) -> None:
    """In q = 1/r, or q = r, with their spacing as width."""
    basis, r = RadialBasis(6, 0.7, 1.9, even), np.linspace(0.5, 1.9, 40)
    q = (lambda x: x) if even else (lambda x: 1.0 / x)
    centres = np.linspace(q(0.7), q(1.9), 6)
    width = abs(centres[1] - centres[0])
    expected = np.exp(-0.5 * ((q(r)[:, None] - centres) / width) ** 2) * np.cos(np.pi * r / 3.8)[:, None] ** 2
    found = basis(torch.from_numpy(r)).numpy()
    order = slice(None) if even else slice(None, None, -1)  # in 1/r from the cutoff inwards
    np.testing.assert_allclose(found, expected[:, order], atol=1e-14)


@pytest.mark.parametrize("even", [False, True])
def test_radial_functions_end_with_their_slope(even: bool) -> None:
    basis = RadialBasis(6, 0.7, 1.9, even)
    end = torch.tensor([1.9, 1.9 + 1e-9, 2.5], dtype=torch.float64)
    assert basis(end).abs().max() < 1e-15
    assert basis.slopes(end[:1]).abs().max() < 1e-14
    near = torch.tensor([1.9 - 1e-4], dtype=torch.float64)
    assert basis(near).abs().max() < 1e-7, "it goes as the square of the distance to the cutoff"


def test_one_radial_function_has_its_centre_at_an_end() -> None:
    for even, centre in ((True, 0.7), (False, 1.9)):
        basis = RadialBasis(1, 0.7, 1.9, even)
        r = torch.tensor([0.9, 1.3], dtype=torch.float64)
        q = r - centre if even else 1.0 / r - 1.0 / centre
        width = 1.2 if even else 1.0 / 0.7 - 1.0 / 1.9
        expected = torch.exp(-0.5 * (q / width) ** 2) * torch.cos(0.5 * np.pi * r / 1.9) ** 2
        torch.testing.assert_close(basis(r)[:, 0], expected)


# -- harmonics and sums -----------------------------------------------------------------------------------------------


def test_quadrupoles_are_traceless_and_turn_with_their_vector() -> None:
    """Their mean over the directions of an octahedron vanishes; the norm is (2/3)^(1/2) |v|^2 whatever the direction."""
    axes = torch.cat([torch.eye(3), -torch.eye(3)]).double()
    torch.testing.assert_close(quadrupoles(axes).sum(0), torch.zeros(5, dtype=torch.float64), atol=1e-15, rtol=0.0)
    vectors = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    norms = (quadrupoles(vectors) ** 2).sum(1)
    torch.testing.assert_close(norms, 2.0 / 3.0 * (vectors**2).sum(1) ** 2)
    torch.testing.assert_close(quadrupoles(vectors.T, dim=0), quadrupoles(vectors).T)
    torch.testing.assert_close(quadrupoles(-2.0 * vectors), 4.0 * quadrupoles(vectors))


@pytest.mark.parametrize("degree", [0, 1, 2])
def test_sums_over_neighbours_are_loops(degree: int) -> None:
    """Each channel's own filter, harmonics of the direction, and what the neighbour sends."""
    pairs = pairs_of(geometry_of(magnet(7)), 1.9, torch.float64)
    rng = np.random.default_rng(3)
    weights, sent = rng.normal(size=(6, 3)), rng.normal(size=(7, 4, 3))
    found = Graph(pairs, BASIS, compiled=False).sum(degree, torch.from_numpy(weights), torch.from_numpy(sent))
    assert found.shape == (7, 2 * degree + 1, 4, 3)
    expected = np.zeros(found.shape)
    radial = BASIS(pairs.vectors.norm(dim=1)).numpy()
    for i, j, s, v in zip(pairs.rows.first.tolist(), pairs.rows.second.tolist(), radial, pairs.vectors, strict=True):
        u = v / v.norm()
        harmonics = [np.ones(1), u.numpy(), quadrupoles(u).numpy()][degree]
        expected[i] += np.einsum("c,m,qc->mqc", s @ weights, harmonics, sent[j])
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_a_graph_makes_no_more_harmonics_than_are_asked_for() -> None:
    pairs = pairs_of(geometry_of(magnet(5)), 1.9, torch.float64)
    assert len(Graph(pairs, BASIS, degree=1).harmonics) == 2
    assert len(Graph(pairs, BASIS, degree=2).harmonics) == 3


@pytest.mark.parametrize(("dtype", "apart"), [(np.float64, 7e-15), (np.float32, 4e-6)])
def test_equal_distances_are_one_shell_as_far_as_numbers_tell(dtype: type, apart: float) -> None:
    distances = np.array([1.4, 1.0, 1.4 + 0.02 * apart, 1.9, 1.0 + 30 * apart, 1.0])
    place, kinds = shells(distances, 2.0, dtype)
    assert place.tolist() == [0, 1, 3, 4]
    np.testing.assert_allclose(distances[place][kinds], distances, atol=apart)
    assert (np.diff(place) > 0).all(), "in the order in which they come"


# -- law of pairs -----------------------------------------------------------------------------------------------------


def test_a_law_of_pairs_is_a_sum_over_bonds() -> None:
    """E = sum_(i<j) phi + psi s_i.s_j: half of each pair at both of its sites; the law is symmetric in the species."""
    atoms, made = magnet(), law()
    pairs, spins = pairs_of(geometry_of(atoms), 1.9, torch.float64), torch.tensor(atoms.spins)
    species = torch.from_numpy((atoms.numbers == 27).astype(np.int64))
    found = made(Graph(pairs, BASIS), species, spins).detach().numpy()
    expected = np.zeros(len(atoms))
    both = 0.5 * (made.laws + made.laws.transpose(0, 1)).detach().numpy()
    for i, j, v in zip(pairs.rows.first.tolist(), pairs.rows.second.tolist(), pairs.vectors, strict=True):
        phi, psi = both[species[i], species[j]] @ made.basis(v.norm()[None]).numpy()[0]
        expected[i] += 0.5 * (phi + psi * float(spins[i] @ spins[j]))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert made.basis.inner == pytest.approx(0.75 * BASIS.inner)
    assert (made.basis.count, made.basis.cutoff) == (5, 1.9)


@pytest.mark.parametrize("species", [1, 2])
def test_slopes_of_a_law_are_those_of_its_energy(species: int) -> None:
    """Against automatic differentiation: by spins, and by the vectors of the pairs."""
    atoms, made = magnet(), law(species)
    pairs, spins = pairs_of(geometry_of(atoms), 1.9, torch.float64), torch.tensor(atoms.spins, requires_grad=True)
    kinds = torch.from_numpy((atoms.numbers == 27).astype(np.int64)) * (species - 1)
    vectors = pairs.vectors.clone().requires_grad_(True)
    energies = made(Graph(Pairs(pairs.rows, vectors), BASIS), kinds, spins)
    expected = torch.autograd.grad(energies.sum(), (spins, vectors))
    found = made.slopes(pairs, kinds, spins.detach())
    for one, other in zip(found, (energies, *expected), strict=True):
        torch.testing.assert_close(one, other, atol=1e-11, rtol=1e-10)
    (by_weights,) = torch.autograd.grad((found[1] ** 2).sum(), made.laws)
    assert by_weights.abs().max() > 0.0, "slopes have graphs to the weights"


def test_a_frozen_law_is_a_sparse_matrix_of_exchange() -> None:
    atoms, made = magnet(), law()
    pairs, species = pairs_of(geometry_of(atoms), 1.9, torch.float64), (atoms.numbers == 27).astype(np.int64)
    rows, distances = pairs.rows, pairs.vectors.norm(dim=1).numpy()
    bare, exchange = made.frozen(rows.starts.numpy(), rows.second.numpy(), distances, species)
    spins = np.array(atoms.spins)
    expected = made(Graph(pairs, BASIS), torch.from_numpy(species), torch.from_numpy(spins)).detach().numpy()
    np.testing.assert_allclose(bare + 0.5 * np.sum(spins * (exchange @ spins), axis=1), expected, atol=1e-12)
    np.testing.assert_allclose(exchange.toarray(), exchange.toarray().T, atol=1e-12)


# -- environments -----------------------------------------------------------------------------------------------------


def test_environments_do_not_change_where_physics_does_not() -> None:
    """Rotations of spins and lattice, time reversal, another order, a repeated cell; a turned spin is seen."""
    atoms, rng = magnet(), np.random.default_rng(4)
    expected = site_environments(geometry_of(atoms), atoms.spins, BASIS)
    spins = np.array(atoms.spins)
    for turned in (spins @ random_rotation(rng).T, -spins):
        np.testing.assert_allclose(site_environments(geometry_of(atoms), turned, BASIS), expected, atol=1e-10)
    rotation, moved = random_rotation(rng), atoms.copy()
    moved.set_cell(atoms.cell.array @ rotation.T)
    moved.positions = atoms.positions @ rotation.T
    np.testing.assert_allclose(site_environments(geometry_of(moved), spins, BASIS), expected, atol=1e-10)
    order = rng.permutation(len(atoms))
    np.testing.assert_allclose(
        site_environments(geometry_of(atoms[order]), spins[order], BASIS), expected[order], atol=1e-10
    )
    twice = atoms.repeat((2, 1, 1))
    both = site_environments(geometry_of(twice), np.tile(spins, (2, 1)), BASIS)
    np.testing.assert_allclose(both, np.tile(expected, (2, 1)), atol=1e-10)
    other = spins.copy()
    other[2] = -other[2]
    assert np.abs(site_environments(geometry_of(atoms), other, BASIS) - expected).max() > 1e-2


def test_the_first_columns_count_neighbours_by_species() -> None:
    atoms = magnet()
    found = site_environments(geometry_of(atoms), atoms.spins, BASIS)
    pairs = pairs_of(geometry_of(atoms), 1.9, torch.float64)
    radial = BASIS(pairs.vectors.norm(dim=1)).numpy()
    expected = np.zeros((len(atoms), 6, 2))
    for i, j, s in zip(pairs.rows.first.tolist(), pairs.rows.second.tolist(), radial, strict=True):
        expected[i, :, int(atoms.numbers[j] == 27)] += s
    np.testing.assert_allclose(found[:, :12], expected.reshape(len(atoms), -1), atol=1e-12)


def test_a_pool_has_mean_and_spread_of_every_species() -> None:
    values = np.array([[1.0, 2.0], [3.0, 2.0], [10.0, 0.0]])
    np.testing.assert_allclose(pooled(values, np.array([26, 26, 27])), [2.0, 2.0, 1.0, 0.0, 10.0, 0.0, 0.0, 0.0])


def test_of_equal_values_the_first_is_the_largest() -> None:
    assert first_largest(np.array([1.0, 3.0, 3.0 + 1e-12, 2.0])) == 1
    assert first_largest(np.array([-5.0, -1.0, -1.0])) == 1
    assert farthest_points(np.zeros((0, 3)), 4).tolist() == []


def test_points_far_apart_are_taken_owner_by_owner() -> None:
    points = np.array([[0.0], [0.1], [5.0], [5.1], [9.0]])
    owners = np.array([0, 0, 1, 1, 0])
    taken = farthest_points(points, 5, owners=owners, most=1)
    assert len(taken) == 2
    assert sorted(owners[taken].tolist()) == [0, 1]


# -- network ----------------------------------------------------------------------------------------------------------


def network(**options: object) -> MagneticHIPNN:
    torch.manual_seed(0)
    given = {"species": (26, 27), "cutoff": 1.9, "inner": 0.7, "width": 5, "channels": (4, 2), "radial": 6, **options}
    return MagneticHIPNN(NetworkConfig(**given)).double()


def test_the_law_of_pairs_is_added_to_the_first_part() -> None:
    atoms, net = magnet(), network(pairs=4, parts=2)
    prepared, spins = prepare(net, geometry_of(atoms)), torch.tensor(atoms.spins)
    without = net(prepared, spins)
    torch.testing.assert_close(net.law_of_pairs().laws, torch.zeros(2, 2, 2, 4, dtype=torch.float64))
    with torch.no_grad():
        net.pair_law.laws.normal_()
    change = net(prepared, spins) - without
    torch.testing.assert_close(change[:, 0], net.pair_law(prepared.graph, prepared.species, spins))
    assert not change[:, 1].any()
    assert network().law_of_pairs() is None


def test_a_part_begins_at_its_constant() -> None:
    atoms, net = magnet(), network(parts=2)
    prepared, spins = prepare(net, geometry_of(atoms)), torch.tensor(atoms.spins)
    before = net(prepared, spins)
    net.begin_part(1, float(net.readouts[0].bias.detach()[1]) + 2.5)
    change = (net(prepared, spins) - before).detach().numpy()
    np.testing.assert_allclose(change, np.tile([0.0, 2.5], (12, 1)), atol=1e-12)


def test_features_are_what_the_last_readout_sees() -> None:
    """Their readouts add up to the parts; in double precision whatever the network's."""
    atoms, net = magnet(), network(layers=1)
    prepared, spins = prepare(net, geometry_of(atoms)), torch.tensor(atoms.spins)
    assert isinstance(prepared, Prepared)
    features = net.features(prepared, spins)
    expected = net.readouts[0](net.embedding(prepared.species)) + net.readouts[1](features)
    torch.testing.assert_close(net(prepared, spins), expected)
    single = network(layers=1).float()
    found = model_environments(single, geometry_of(atoms), atoms.spins)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, features.detach().numpy(), atol=1e-6)
    assert next(single.parameters()).dtype == torch.float32, "the network stays as it was"


def test_range_and_symmetries_follow_from_the_configuration() -> None:
    assert network(layers=3).interaction_range == pytest.approx(5.7)
    assert "spin_rotation" in network().symmetries
    assert not {"spin_rotation", "lattice_rotation"} & network(spin_orbit=True).symmetries
    with pytest.raises(ModelError, match="the trunk does not know Ni; it knows Fe, Co"):
        network().config.indices(np.array([26, 28]))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"channels": (2, 4)}, r"channels must not rise with the degree, got \(2, 4\)"),
        ({"channels": (0,)}, "channels must be between 1 and 10000"),
        ({"cutoff": -1.0}, "cutoff"),
        ({"radial": 1}, "radial"),
        ({"colour": 1}, "colour"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NetworkSize(**{"cutoff": 2.0, "inner": 0.7, **wrong})
