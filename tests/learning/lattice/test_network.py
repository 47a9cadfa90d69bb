"""The network of a lattice: conformance, every orientation and order of the sites, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spinase.atoms import SpinAtoms, geometry_of
from spinase.learning.lattice.network import LatticeConfig, LatticeNetwork
from spinase.learning.trunk import prepare
from spinase.spin_algebra import random_spins
from spinase.testing import check_trunk

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
