"""A MACE model that nobody trained, with classical exchange on top: atoms and spins move together."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("mace", reason="MACE is missing: pip install mace-torch")

import torch
from e3nn import o3
from mace import modules
from spinase_mace import MaceCalculator
from spinase_mace.calculator import MaceConfig

from spinase import SpinAtoms
from spinase.calculators import SpinSumCalculator
from spinase.dynamics import SpinLatticeDynamics
from spinase.errors import ModelFileError
from spinase.options import built_style
from spinase.testing import check_calculator

BETHE_SLATER = {"amplitude": 0.02, "shape": 0.3, "range": 1.5, "cutoff": 2.75}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    """File of a tiny model of iron with random weights, double precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(1)
    try:
        network = modules.ScaleShiftMACE(
            r_max=3.0,
            num_bessel=4,
            num_polynomial_cutoff=3,
            max_ell=1,
            interaction_cls=modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
            interaction_cls_first=modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
            num_interactions=1,
            num_elements=1,
            hidden_irreps=o3.Irreps("4x0e"),
            MLP_irreps=o3.Irreps("4x0e"),
            gate=torch.nn.functional.silu,
            atomic_energies=np.array([-1.0]),
            avg_num_neighbors=8.0,
            atomic_numbers=[26],
            correlation=2,
            atomic_inter_scale=1.0,
            atomic_inter_shift=0.0,
        )
    finally:
        torch.set_default_dtype(before)
    path = tmp_path_factory.mktemp("model") / "tiny.model"
    torch.save(network, path)
    return str(path)


def magnet() -> SpinAtoms:
    """Bcc iron, displaced, random spins."""
    rng = np.random.default_rng(1)
    corners = np.array([[i, j, k] for i in range(2) for j in range(2) for k in range(2)], dtype=float)
    positions = 2.9 * np.vstack([corners, corners + 0.5])
    atoms = SpinAtoms("Fe16", positions=positions + rng.uniform(-0.03, 0.03, (16, 3)), cell=np.eye(3) * 5.8, pbc=True)
    spins = rng.normal(size=(16, 3))
    atoms.moments = 2.2 * spins / np.linalg.norm(spins, axis=1, keepdims=True)
    return atoms


def iron(model: str) -> SpinSumCalculator:
    """MACE and exchange, as an input file has them."""
    terms = [{"style": "heisenberg", "bethe_slater": BETHE_SLATER}]
    lattice = MaceCalculator.from_config(MaceConfig(model=model))
    return SpinSumCalculator([lattice, *(built_style("calculators", term, "terms") for term in terms)])


def test_the_sum_keeps_the_contract(model):
    report = check_calculator(iron(model), magnet(), checks=["magnetic_forces", "forces", "stress"])
    assert all(result.status == "passed" for result in report.results)


def test_energy_is_kept_when_atoms_and_spins_move(model):
    """The error falls with the square of the time step."""
    errors = []
    for steps in (5, 10):
        atoms = magnet()
        atoms.calc = iron(model)
        start = atoms.get_potential_energy()
        SpinLatticeDynamics(atoms, timestep=1.0 / steps).run(steps)
        errors.append(abs(atoms.get_total_energy() - start))
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.25)


def test_turned_spins_do_not_ask_the_network_again(model, monkeypatch):
    calc, atoms = MaceCalculator(model), magnet()
    energy = calc.get_property("energy", atoms)
    monkeypatch.setattr(calc, "calculate", lambda *_: pytest.fail("it was asked again"))
    atoms.spins = -atoms.spins
    assert calc.get_property("energy", atoms) == energy


def test_every_model_has_its_own_list_of_results(model):
    first, second = MaceCalculator(model), MaceCalculator(model)
    assert first.implemented_properties == second.implemented_properties
    assert len(set(first.implemented_properties)) == len(first.implemented_properties)
    assert MaceCalculator.implemented_properties == []


def test_missing_and_foreign_files_are_named(tmp_path):
    with pytest.raises(ModelFileError, match="there is no MACE model .*: nothing is downloaded"):
        MaceCalculator(tmp_path / "none.model")
    (tmp_path / "bad.model").write_bytes(b"no model")
    with pytest.raises(ModelFileError, match="cannot read a MACE model from"):
        MaceCalculator(tmp_path / "bad.model")
