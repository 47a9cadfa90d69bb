"""DeepSPIN models: a tiny one, trained here for a moment and frozen, keeps the contract of spinase."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("deepmd.pt", reason="the PyTorch back end of DeePMD-kit is missing: pip install 'deepmd-kit[torch]'")

import torch
from deepmd.pt.model.model import get_model
from spinase_deepspin import DeepSpinCalculator
from spinase_deepspin.calculator import DeepSpinConfig

from spinase import SpinAtoms
from spinase.dynamics import SpinLatticeDynamics
from spinase.errors import InvalidGeometryError, InvalidMomentsError, ModelError, ModelFileError
from spinase.options import built_style
from spinase.testing import check_calculator

PARAMETERS = {
    "type_map": ["Fe", "O"],
    "spin": {"use_spin": [True, False], "virtual_scale": [0.3]},
    "descriptor": {
        "type": "se_e2_a",
        "sel": [40, 40],
        "rcut": 4.0,
        "rcut_smth": 0.5,
        "neuron": [4, 8],
        "axis_neuron": 4,
        "precision": "float64",
        "seed": 1,
    },
    "fitting_net": {"neuron": [8, 8], "precision": "float64", "seed": 1},
}


def magnet(seed: int) -> SpinAtoms:
    """A little iron oxide at random: moments on iron only."""
    rng = np.random.default_rng(seed)
    grid = 2.2 * np.array([[i, j, k] for i in range(2) for j in range(2) for k in range(2)], dtype=float)
    atoms = SpinAtoms("Fe5O3", positions=grid + rng.uniform(-0.2, 0.2, grid.shape), cell=np.eye(3) * 4.4, pbc=True)
    moments = rng.normal(size=(8, 3))
    moments *= rng.uniform(1.8, 2.4, (8, 1)) / np.linalg.norm(moments, axis=1, keepdims=True)
    moments[5:] = 0.0
    atoms.moments = moments
    return atoms


def loss(network, frames) -> torch.Tensor:
    """Mean square error of energies [eV^2], with those of classical exchange between iron atoms."""
    errors = []
    for atoms, energy in frames:
        coordinates, cell, spins = (
            torch.tensor(array[None], dtype=torch.float64) for array in (atoms.positions, atoms.cell.array, atoms.moments)
        )
        types = torch.tensor([[0] * 5 + [1] * 3])
        errors.append((network(coordinates, types, spins, box=cell.reshape(1, 9))["energy"][0, 0] - energy) ** 2)
    return torch.stack(errors).mean()


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """The file of the model; its loss has fallen."""
    torch.manual_seed(1)
    network = get_model(PARAMETERS)
    law = {"amplitude": 0.1, "shape": 0.3, "range": 1.5, "cutoff": 3.9}
    exchange = built_style("calculators", {"style": "heisenberg", "bethe_slater": law}, "exchange")
    frames = [(atoms, exchange.get_property("energy", atoms)) for atoms in map(magnet, range(2))]
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        value = loss(network, frames)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    assert losses[-1] < 0.5 * losses[0]
    path = tmp_path_factory.mktemp("model") / "frozen_model.pth"
    network.eval()
    torch.jit.save(torch.jit.script(network), str(path))
    return path


@pytest.fixture(scope="module")
def calculator(model) -> DeepSpinCalculator:
    """Of the tiny model."""
    return DeepSpinCalculator.from_config(DeepSpinConfig(model=str(model)))


def test_contract(calculator):
    report = check_calculator(calculator, magnet(11), skip=["zero_moment"])  # refused: see below
    for check in ("magnetic_forces", "forces", "stress", "joint_rotation", "permutation", "supercell", "pickling"):
        assert report[check].status == "passed"


def test_moments_and_energy_are_felt(calculator):
    """A model that ignored its spins would pass every check of derivatives."""
    fields = calculator.get_property("magnetic_forces", magnet(11))
    assert np.abs(fields[:5]).min() > 0.0
    assert not fields[5:].any()


def test_open_boundaries(calculator):
    atoms = magnet(11)
    atoms.pbc = False
    check_calculator(calculator, atoms, checks=["magnetic_forces", "forces"])


def test_energy_is_kept_when_atoms_and_spins_move(calculator):
    """The error falls with the square of the time step; a wrong sign anywhere would make it grow."""
    errors = []
    for steps in (10, 20):
        atoms = magnet(11)
        atoms.calc = calculator
        start = atoms.get_potential_energy()
        dynamics = SpinLatticeDynamics(atoms, timestep=1.0 / steps)
        dynamics.run(steps)
        errors.append(abs(atoms.get_total_energy() - start))
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.2)


def test_what_the_model_does_not_know_is_refused(calculator, model, tmp_path):
    atoms = magnet(11)
    atoms.symbols[7] = "Ni"
    with pytest.raises(ModelError, match="does not know Ni; its species: Fe, O"):
        calculator.get_property("energy", atoms)
    atoms = magnet(11)
    atoms.moments = np.vstack([atoms.moments[:7], [[0.0, 0.0, 1.0]]])
    with pytest.raises(InvalidMomentsError, match=r"site 7 has the moment \[0.0, 0.0, 1.0\] mu_B, and its species has no"):
        calculator.get_property("energy", atoms)
    atoms.moments = np.vstack([[[0.0, 0.0, 0.0]], magnet(11).moments[1:]])
    with pytest.raises(InvalidMomentsError, match="site 0 has the moment .* and its species needs a moment"):
        calculator.get_property("energy", atoms)
    atoms = magnet(11)
    atoms.pbc = [True, True, False]
    with pytest.raises(InvalidGeometryError, match="all directions or none"):
        calculator.get_property("energy", atoms)
    with pytest.raises(ModelFileError, match="there is no model"):
        DeepSpinCalculator(tmp_path / "none.pth")
    (tmp_path / "bad.pth").write_bytes(b"no model")
    with pytest.raises(ModelFileError, match="DeePMD-kit cannot read"):
        DeepSpinCalculator(tmp_path / "bad.pth")
