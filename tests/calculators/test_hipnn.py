"""The learned calculator: its own energies, scales, ensembles, precision, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from spinase import SpinAtoms
from spinase.calculators import HIPNNCalculator
from spinase.dynamics import LLGDynamics
from spinase.errors import ModelError, ModelFileError, UnitMismatchError
from spinase.learning.model_file import ModelCard, save_model
from spinase.learning.network import MagneticHIPNN, NetworkConfig

CONFIG = NetworkConfig(species=(26,), cutoff=2.0, inner=0.7, width=6, radial=6, channels=(8, 4, 2))


def networks(count: int = 1) -> list[MagneticHIPNN]:
    torch.manual_seed(2)
    return [MagneticHIPNN(CONFIG) for _ in range(count)]


def card(**changes: object) -> ModelCard:
    return ModelCard(**{"name": "test", "network": CONFIG, "units": "reduced", **changes})


def magnet(sites: int = 20) -> SpinAtoms:
    return SpinAtoms.disordered(sites, units="reduced", rng=1)


def test_scale_shift_and_moment() -> None:
    """E = scale E_net + shift N; fields are per moment, torques are not."""
    atoms, nets = magnet(), networks()
    plain = HIPNNCalculator((nets, card()), dtype="float64")
    scaled = HIPNNCalculator((nets, card(energy_scale=3.0, energy_shift=-1.5)), dtype="float64")
    assert scaled.get_property("energy", atoms) == pytest.approx(3 * plain.get_property("energy", atoms) - 30)
    np.testing.assert_allclose(
        scaled.get_property("magnetic_forces", atoms), 3 * plain.get_property("magnetic_forces", atoms), rtol=1e-12
    )
    forces = plain.get_property("forces", atoms)
    np.testing.assert_allclose(scaled.get_property("forces", atoms), 3 * forces, atol=1e-12)
    longer = magnet()
    longer.moments = 2.0 * longer.moments
    np.testing.assert_allclose(plain.get_property("torques", longer), plain.get_property("torques", atoms), atol=1e-12)


def test_an_ensemble_is_the_mean_of_its_members_and_knows_their_spread() -> None:
    atoms, nets = magnet(), networks(3)
    whole = HIPNNCalculator((nets, card()), dtype="float64")
    parts = [HIPNNCalculator(([net], card()), dtype="float64") for net in nets]
    for name in ("energy", "magnetic_forces", "forces", "stress"):
        mean = np.mean([part.get_property(name, atoms) for part in parts], axis=0)
        np.testing.assert_allclose(whole.get_property(name, atoms), mean, atol=1e-12)
    torques = np.array([np.cross(atoms.spins, part.get_property("magnetic_forces", atoms)) for part in parts])
    expected = np.sqrt(np.sum(torques.var(axis=0), axis=1))  # a torque is as long as the tangent field
    np.testing.assert_allclose(whole.spread(atoms), expected, atol=1e-12)
    assert not parts[0].spread(atoms).any()


def test_single_precision_from_a_file_drives_spins(tmp_path: Path) -> None:
    save_model(tmp_path / "a.model", networks(), card())
    config = HIPNNCalculator.Config(model=str(tmp_path / "a.model"))
    calc, atoms = HIPNNCalculator.from_config(config), magnet()
    exact = HIPNNCalculator(tmp_path / "a.model", dtype="float64")
    np.testing.assert_allclose(
        calc.get_property("magnetic_forces", atoms), exact.get_property("magnetic_forces", atoms), atol=1e-5
    )
    assert calc.field_function(atoms)(atoms.spins).shape == (20, 3)  # read-only spins are taken, too
    atoms.calc = exact
    before = atoms.get_potential_energy()
    LLGDynamics(atoms, 0.5, integrator="midpoint").run(20)
    assert atoms.get_potential_energy() == pytest.approx(before, abs=1e-4)
    LLGDynamics(atoms, 0.5, damping=0.5).run(20)
    assert atoms.get_potential_energy() < before - 1e-4


def test_a_cell_smaller_than_the_cutoff_counts_its_images() -> None:
    calc = HIPNNCalculator((networks(), card()), dtype="float64")
    small = SpinAtoms.disordered(5, units="reduced", rng=3)
    assert small.cell.lengths()[0] < 2.0
    large = small.repeat((3, 2, 1))
    assert calc.get_property("energy", large) == pytest.approx(6 * calc.get_property("energy", small))


def test_what_it_refuses(tmp_path: Path) -> None:
    calc, atoms = HIPNNCalculator((networks(), card())), magnet()
    atoms.symbols[3] = "Co"
    with pytest.raises(ModelError, match="the model 'test' does not know Co; it knows Fe"):
        calc.get_property("energy", atoms)
    with pytest.raises(UnitMismatchError):
        calc.get_property("energy", SpinAtoms.disordered(5, rng=1))
    with pytest.raises(ModelFileError, match="there is no model file"):
        HIPNNCalculator(tmp_path / "no.model")
    with pytest.raises(ModelFileError, match="at least one network"):
        HIPNNCalculator(([], card()))
    with pytest.raises(ModelError, match="'float32' or 'float64', got 'half'"):
        HIPNNCalculator((networks(), card()), dtype="half")
    with pytest.raises(ModelError, match="cannot use the torch device 'nonsense'"):
        HIPNNCalculator((networks(), card()), device="nonsense")


def test_the_engine_and_torch_agree_and_follow_moving_atoms() -> None:
    """On a geometry that stays, on one that is passed through, and back: energies, fields, forces, stress."""
    nets = networks(2)
    fast, plain = HIPNNCalculator((nets, card())), HIPNNCalculator((nets, card()), dtype="float64", engine=False)
    atoms, rng = magnet(), np.random.default_rng(2)
    for step in range(4):
        for name in ("energy", "magnetic_forces", "forces", "stress"):
            expected = plain.get_property(name, atoms)
            np.testing.assert_allclose(fast.get_property(name, atoms), expected, atol=2e-5 * np.abs(expected).max())
        if step % 2:
            atoms.positions = atoms.positions + 0.02 * rng.normal(size=atoms.positions.shape)
        else:
            atoms.spins = SpinAtoms.disordered(20, rng=step).spins


@pytest.mark.parametrize("engine", [True, False])
def test_replicas_are_the_magnets_one_by_one(engine: bool) -> None:
    calc = HIPNNCalculator((networks(2), card(energy_scale=2.0, energy_shift=0.5)), engine=engine)
    atoms, rng = magnet(), np.random.default_rng(3)
    moments = rng.normal(size=(3, 20, 3))
    moments[1, 4] = 0.0
    energies, fields = calc.replicas(atoms, moments)
    for k in range(3):
        atoms.moments = moments[k]
        assert energies[k] == pytest.approx(calc.get_property("energy", atoms), rel=1e-5)
        np.testing.assert_allclose(fields[k], calc.get_property("magnetic_forces", atoms), atol=1e-5)
    with pytest.raises(ModelError, match=r"\(replicas, 20, 3\)"):
        calc.replicas(atoms, moments[0])


@pytest.mark.gpu
def test_a_gpu_gives_the_same_fields() -> None:
    atoms = magnet()
    on_gpu = HIPNNCalculator((networks(), card()), device="cuda", dtype="float64")
    on_cpu = HIPNNCalculator((networks(), card()), dtype="float64")
    for name in ("energy", "magnetic_forces", "forces", "stress"):
        np.testing.assert_allclose(on_gpu.get_property(name, atoms), on_cpu.get_property(name, atoms), atol=1e-10)
