"""The network of a lattice: conformance, every orientation and order of the sites, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from spinase.atoms import SpinAtoms, geometry_of
from spinase.calculators import LatticeCalculator
from spinase.errors import ModelError
from spinase.learning.card import ModelCard
from spinase.learning.lattice.network import LatticeConfig, LatticeNetwork
from spinase.learning.model_file import save_model
from spinase.learning.trunk import prepare
from spinase.spin_algebra import random_rotation, random_spins
from spinase.testing import check_local_energy, check_trunk

SIZE = {"cutoff": 1.5, "pair_length": 1.5, "pair_range": 1.5, "triangle_length": 1.5, "triangle_range": 1.1, "channels": 3}


def network_of(atoms, parts=1, **size):
    return LatticeNetwork(
        LatticeConfig.from_training({**SIZE, "hidden": (6, 5), **size}, (int(atoms.numbers[0]),), parts, geometry_of(atoms))
    )


@pytest.mark.parametrize("lattice", ["square", "triangular", "kagome", "honeycomb"])
def test_it_conforms(lattice):
    size = (6, 5) if lattice in ("square", "triangular") else (3, 4)
    atoms = SpinAtoms.lattice(lattice, size)
    atoms.spins = random_spins(len(atoms), np.random.default_rng(3))
    check_trunk(network_of(atoms, 2), atoms)


def test_its_table_gives_the_same_invariants():
    atoms = SpinAtoms.lattice("square", (5, 5))
    spins = random_spins(len(atoms), np.random.default_rng(1))
    network = network_of(atoms).double()
    (sites,) = prepare(network, geometry_of(atoms))
    found = network.kinds[0].invariants(sites, torch.tensor(spins)).detach().numpy().T
    np.testing.assert_allclose(network.kinds[0].table()(spins[sites.neighbours.numpy()]), found, atol=1e-12)


def test_orientation_cell_and_order_of_sites_do_not_matter():
    """The same triangular magnet in another cell, turned and mirrored in space, its sites shuffled."""
    atoms = SpinAtoms.lattice("triangular", (4, 4))
    spins, rng = random_spins(len(atoms), np.random.default_rng(4)), np.random.default_rng(5)
    network = network_of(atoms).double()
    geometry = geometry_of(atoms)
    skewed = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1]]) @ geometry.cell
    order, turn = rng.permutation(len(atoms)), random_rotation(rng) @ np.diag([-1.0, 1.0, 1.0])
    other = replace(geometry.select(order), positions=geometry.positions[order] @ turn.T + 0.3, cell=skewed @ turn.T)
    with torch.no_grad():
        here = network(prepare(network, geometry), torch.tensor(spins))
        there = network(prepare(network, other), torch.tensor(spins[order]))
    np.testing.assert_allclose(there, here[order], atol=1e-12)


def refused(network, atoms, match):
    with pytest.raises(ModelError, match=match):
        prepare(network, geometry_of(atoms))


def test_what_it_does_not_know_is_refused():
    atoms = SpinAtoms.lattice("square", (6, 6))
    network = network_of(atoms)
    refused(
        network, SpinAtoms.lattice("triangular", (6, 6)), "it has 6 neighbours within the cutoff, not 8; .* another lattice"
    )
    refused(network, atoms[1:], "sites are missing")
    refused(network, SpinAtoms.lattice("square", (6, 6), periodic=False), "sites are missing, a surface is near")
    with pytest.raises(ModelError, match="which is the cutoff"):
        network_of(atoms, cutoff=2.0**0.5)
    with pytest.raises(ModelError, match="has no neighbour"):
        network_of(atoms, cutoff=0.9)


@pytest.mark.parametrize("name", ["square", "triangular", "cubic"])
def test_strained_cells_are_refused(name):
    """Also where a few vectors could be laid on strained ones: stretched, sheared, at equal area; noise is not."""
    atoms = SpinAtoms.lattice(name, (3, 3, 3) if name == "cubic" else (4, 4))
    network = network_of(atoms, bispectrum=0, triangle_range=0.0, pair_range=1.1)
    for stretch in ([[1.01, 0], [0, 1]], [[1, 0.005], [0, 1]], [[1.004, 0], [0, 1 / 1.004]], [[0.995, 0], [0, 0.995]]):
        strained = atoms.copy()
        strained.set_cell(atoms.cell @ np.pad(stretch, (0, 1)) + np.diag([0, 0, atoms.cell[2, 2]]), scale_atoms=True)
        with pytest.raises(ModelError, match=r"another lattice|in other directions"):
            prepare(network, geometry_of(strained))
    atoms.positions += 1e-5 * np.random.default_rng(1).normal(size=atoms.positions.shape)
    prepare(network, geometry_of(atoms))


def test_a_model_file_of_it_runs_in_a_magnet(tmp_path):
    """Written, read, and asked by the calculator: energies, fields, no forces; other lattices are refused there, too."""
    atoms = SpinAtoms.lattice("kagome", (3, 3), units="reduced")
    atoms.spins = random_spins(len(atoms), np.random.default_rng(3))
    network = network_of(atoms)
    save_model(tmp_path / "model.npz", [network], ModelCard("kagome", network.config, "reduced"))
    calc = LatticeCalculator(tmp_path / "model.npz", dtype="float64", outside_domain="ignore")
    assert check_local_energy(calc, atoms)["regions"].status == "passed"
    assert "forces" not in calc.implemented_properties
    with pytest.raises(ModelError, match="another lattice"):
        calc.get_property("energy", SpinAtoms.lattice("square", (6, 6), units="reduced"))


def test_an_axis_of_its_own_leaves_mirrors_and_no_quarter_turn():
    """Of the eight operations of a site of the square lattice four keep the axis up to its sign."""
    atoms = SpinAtoms.lattice("square", (5, 5), units="reduced", rng=2)
    plain, axial = (network_of(atoms, axis=axis).double() for axis in (None, 0))
    assert [len(one.kinds[0].forms.group) for one in (plain, axial)] == [8, 4]
    assert plain.symmetries - axial.symmetries == {"lattice_rotation", "joint_rotation"}
    geometry, places = geometry_of(atoms), np.round(atoms.positions[:, :2]).astype(int)
    number = {tuple(place): k for k, place in enumerate(places.tolist())}

    def energy(network, images):
        """Of the magnet whose site at `images[k]` has the spin of site k."""
        spins = np.empty_like(atoms.spins)
        spins[[number[tuple(image)] for image in images.tolist()]] = atoms.spins
        return float(network(prepare(network, geometry), torch.tensor(spins)).detach().sum())

    x, y = places.T
    mirrored, turned = np.stack([4 - x, y], axis=1), np.stack([y, 4 - x], axis=1)
    assert energy(plain, turned) == pytest.approx(energy(plain, places), abs=1e-10)
    assert energy(axial, mirrored) == pytest.approx(energy(axial, places), abs=1e-10)
    assert abs(energy(axial, turned) - energy(axial, places)) > 1e-4


def test_it_is_not_traced():
    network = network_of(SpinAtoms.lattice("square", (4, 4)))
    with pytest.raises(ModelError, match="a LatticeNetwork cannot be traced by torch"):
        network.traced(torch.zeros(1, 1, 3), torch.zeros(1, 1, dtype=torch.long), torch.zeros(1, dtype=torch.long), ())
