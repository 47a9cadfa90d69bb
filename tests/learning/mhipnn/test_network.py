"""The magnetic HIP-NN: exact symmetries, equal sums in both forms of the graph, derivatives, locality."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.geometry import Geometry
from spinase.learning.mhipnn.graph import Graph, RadialBasis, quadrupoles
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig, Prepared, energy_and_field
from spinase.learning.pairs import Pairs, joined, pairs_of
from spinase.spin_algebra import random_rotation

CHANNELS = [
    {"quadrupoles": True, "products": True},
    {"products": True, "channels": (5, 3)},
    {"channels": (5,)},
    {"channels": (5, 4)},
    {"quadrupoles": False, "chirality": False},
    {"vectors": False, "quadrupoles": True},
    {"vectors": False, "quadrupoles": False, "channels": (5,)},
]


def config(**options: object) -> NetworkConfig:
    return NetworkConfig(
        **{"species": (26, 27), "cutoff": 2.0, "inner": 0.7, "width": 6, "channels": (5, 3, 2), "radial": 7, **options}
    )


def network(seed: int = 0, **options: object) -> MagneticHIPNN:
    torch.manual_seed(seed)
    return MagneticHIPNN(config(**options)).double()


def magnet(seed: int = 1, sites: int = 14) -> tuple[SpinAtoms, torch.Tensor, torch.Tensor]:
    atoms = SpinAtoms.disordered(sites, rng=seed)
    return atoms, torch.arange(sites) % 2, torch.tensor(atoms.spins)


def pairs(atoms: SpinAtoms) -> Pairs:
    return pairs_of(geometry_of(atoms), 2.0, torch.float64)


def turned(found: Pairs, rotation: np.ndarray) -> Pairs:
    return Pairs(found.rows, found.vectors @ torch.tensor(rotation).T)


@pytest.mark.parametrize("channels", CHANNELS)
def test_symmetries_are_exact(channels: dict[str, bool]) -> None:
    """Spin rotations, lattice rotations and mirrors, each alone, time reversal, and renumbering of the sites."""
    net, (atoms, species, spins) = network(**channels), magnet()
    found, basis = pairs(atoms), net.config.basis()
    rng = np.random.default_rng(3)
    energies, field = energy_and_field(net, Prepared(Graph(found, basis), species), spins)
    spin_rotation, lattice_rotation = torch.tensor(random_rotation(rng)), random_rotation(rng)
    rotated, rotated_field = energy_and_field(net, Prepared(Graph(found, basis), species), spins @ spin_rotation.T)
    torch.testing.assert_close(rotated, energies, atol=1e-13, rtol=0)
    torch.testing.assert_close(rotated_field, field @ spin_rotation.T, atol=1e-13, rtol=0)
    for rotation in (lattice_rotation, -lattice_rotation):
        other, _ = energy_and_field(net, Prepared(Graph(turned(found, rotation), basis), species), spins)
        torch.testing.assert_close(other, energies, atol=1e-13, rtol=0)
    reversed_, reversed_field = energy_and_field(net, Prepared(Graph(found, basis), species), -spins)
    assert torch.equal(reversed_, energies)
    assert torch.equal(reversed_field, -field)
    order = rng.permutation(len(atoms))
    other, _ = energy_and_field(net, Prepared(Graph(pairs(atoms[order]), basis), species[order]), spins[order])
    torch.testing.assert_close(other, energies[order], atol=1e-13, rtol=0)
    magnetic = channels.get("vectors", True) or channels.get("quadrupoles", True)
    assert bool(field.abs().max() > 1e-3) == magnetic


def test_each_channel_matters() -> None:
    """Taking a channel away changes the number of inputs of a layer: nothing is computed in vain."""
    sizes = [network(**channels).interactions[0].collect.in_features for channels in CHANNELS]
    assert sizes[0] > max(sizes[1:])
    assert sizes[-1] == 5


def test_joined_magnets_are_the_magnets_one_by_one() -> None:
    """Also where several images of a site are neighbours."""
    net = network()
    magnets = [magnet(seed, 12) for seed in (1, 2, 3)]
    basis = net.config.basis()
    found = [pairs(atoms) for atoms, _, _ in magnets]
    assert any(len(p.vectors) > 12 * 11 for p in found)
    apart = [energy_and_field(net, Prepared(Graph(p, basis), k), s) for p, (_, k, s) in zip(found, magnets, strict=True)]
    species, spins = (torch.cat([m[part] for m in magnets]) for part in (1, 2))
    energies, field = energy_and_field(net, Prepared(Graph(joined(found), basis), species), spins)
    torch.testing.assert_close(energies, torch.cat([e for e, _ in apart]), atol=1e-13, rtol=0)
    torch.testing.assert_close(field, torch.cat([f for _, f in apart]), atol=1e-13, rtol=0)


@pytest.mark.parametrize("channels", CHANNELS)
def test_compiled_sums_are_the_plain_ones_with_all_derivatives(channels: dict[str, object]) -> None:
    """Energies, fields, and the slopes of a loss on fields by weights and by pair vectors."""
    net, (atoms, species, spins) = network(**channels), magnet()
    found, results = pairs(atoms), []
    for compiled in (True, False):
        vectors = found.vectors.clone().requires_grad_(True)
        graph = Graph(Pairs(found.rows, vectors), net.config.basis(), net.config.degree, compiled)
        energies, field = energy_and_field(net, Prepared(graph, species), spins, create_graph=True)
        loss = (energies**3).sum() + (field**2).sum()
        parts = [vectors, *net.parameters()]
        slopes = torch.autograd.grad(loss, parts, materialize_grads=True, allow_unused=True)
        results.append([energies, field, *slopes])
    assert all(torch.isfinite(part).all() for part in results[0])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-10)


def test_spin_orbit_breaks_only_separate_rotations() -> None:
    """Joint rotations, inversion of the lattice, and time reversal stay."""
    net, (atoms, species, spins) = network(spin_orbit=True), magnet()
    found, basis = pairs(atoms), net.config.basis()
    rotation = random_rotation(np.random.default_rng(3))
    spun = spins @ torch.tensor(rotation).T
    energies = net(Prepared(Graph(found, basis), species), spins)
    together = net(Prepared(Graph(turned(found, rotation), basis), species), spun)
    torch.testing.assert_close(together, energies, atol=1e-13, rtol=0)
    torch.testing.assert_close(
        net(Prepared(Graph(turned(found, -np.eye(3)), basis), species), spins), energies, atol=1e-13, rtol=0
    )
    torch.testing.assert_close(net(Prepared(Graph(found, basis), species), -spins), energies, atol=1e-13, rtol=0)
    alone = net(Prepared(Graph(found, basis), species), spun)
    assert (alone - energies).abs().max() > 1e-6


def test_the_field_is_minus_the_gradient() -> None:
    net, (atoms, species, spins) = network(), magnet()
    graph = Graph(pairs(atoms), net.config.basis())
    _, field = energy_and_field(net, Prepared(graph, species), spins)
    direction, step = torch.randn(spins.shape, dtype=torch.float64), 1e-5
    ends = [net(Prepared(graph, species), spins + sign * step * direction).sum().item() for sign in (-1, 1)]
    assert (ends[1] - ends[0]) / (2 * step) == pytest.approx(-(field * direction).sum().item(), rel=1e-7, abs=1e-9)


def test_two_layers_reach_twice_the_cutoff_and_no_further() -> None:
    """A chain: the energy of the first site knows spins up to two cutoffs away."""
    net = network(layers=2)
    atoms = SpinAtoms.lattice("chain", (12,), a=1.1, periodic=False, rng=2)
    graph, species = Graph(pairs(atoms), net.config.basis()), torch.zeros(12, dtype=torch.long)
    spins = torch.tensor(atoms.spins).requires_grad_(True)
    (gradient,) = torch.autograd.grad(net(Prepared(graph, species), spins)[0], spins)
    reach = gradient.abs().sum(dim=1)
    assert (reach[:3] > 1e-8).all()  # neighbours are 1.1 apart, the cutoff is 2: one site a layer
    assert torch.equal(reach[3:], torch.zeros(9, dtype=torch.float64))


def test_non_magnetic_sites_have_no_field_and_chemistry_counts() -> None:
    net, (atoms, species, spins) = network(), magnet()
    graph = Graph(pairs(atoms), net.config.basis())
    bare = spins.clone()
    bare[3] = 0.0
    assert not torch.equal(net(Prepared(graph, species), bare), net(Prepared(graph, species), spins))
    assert not torch.allclose(net(Prepared(graph, 1 - species), spins), net(Prepared(graph, species), spins))
    _, field = energy_and_field(net, Prepared(graph, species), torch.zeros_like(spins))
    assert torch.equal(field, torch.zeros_like(field))  # even in all spins together


def test_radial_functions_vanish_at_the_cutoff_with_their_slope() -> None:
    basis = RadialBasis(8, 0.7, 2.0)
    r = torch.tensor([0.8, 1.999, 2.0, 2.3], dtype=torch.float64, requires_grad=True)
    values = basis(r)
    assert values[0].max() > 0.5
    assert values[1].max() < 1e-5
    assert values[2:].abs().max() < 1e-30
    (slope,) = torch.autograd.grad(values.sum(), r)
    assert abs(slope[1]) < 1e-2


def test_quadrupoles_have_the_scalar_product_of_traceless_tensors() -> None:
    u, v = torch.randn(2, 3, dtype=torch.float64)
    expected = (u @ v) ** 2 - (u @ u) * (v @ v) / 3
    assert (quadrupoles(u) @ quadrupoles(v)).item() == pytest.approx(expected.item())


def test_sites_without_neighbours_have_an_energy() -> None:
    net = network()
    lonely = Geometry(np.array([[0.0, 0, 0], [9.0, 0, 0]]), np.zeros((3, 3)), np.zeros(3, dtype=bool), np.array([26, 26]))
    graph = Graph(pairs_of(lonely, 2.0, torch.float64), net.config.basis())
    energies, field = energy_and_field(
        net, Prepared(graph, torch.zeros(2, dtype=torch.long)), torch.eye(3, dtype=torch.float64)[:2]
    )
    assert energies[0].item() == pytest.approx(energies[1].item())
    assert torch.equal(field, torch.zeros(2, 3, dtype=torch.float64))


@pytest.mark.parametrize("even", [False, True])
def test_slopes_of_the_radial_functions(even: bool) -> None:
    """Those of automatic differentiation, and none left at the cutoff; the functions are evenly spaced in r or 1/r."""
    basis = RadialBasis(7, 0.6, 2.0, even)
    centres = torch.linspace(0.6, 2.0, 7, dtype=torch.float64)[:-1] if even else 1.0 / torch.linspace(1 / 0.6, 0.5, 7)[:-1]
    largest = (basis(centres) / torch.cos(0.25 * np.pi * centres[:, None]) ** 2).max(dim=1).values
    torch.testing.assert_close(largest.double(), torch.ones(6, dtype=torch.float64))
    distances = torch.linspace(0.3, 2.0, 40, dtype=torch.float64, requires_grad=True)
    values, slopes = basis(distances), basis.slopes(distances.detach())
    for v in range(basis.count):
        (expected,) = torch.autograd.grad(values[:, v].sum(), distances, retain_graph=True)
        torch.testing.assert_close(slopes[:, v], expected)
    assert slopes[-1].abs().max() < 1e-12
