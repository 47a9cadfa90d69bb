"""The learned calculator: its own energies, scales, ensembles, precision, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase.calculators.calculator import PropertyNotImplementedError

from spinase import SpinAtoms
from spinase.atoms import geometry_of, set_reference_lengths
from spinase.calculators import HIPNNCalculator, PairPotentialCalculator, SpinSumCalculator
from spinase.calculators.options import Morse
from spinase.dynamics import LLGDynamics, SpinLatticeDynamics, SpinOptimizable
from spinase.errors import ModelError, ModelFileError, OutOfDomainError, OutOfDomainWarning, UnitMismatchError
from spinase.learning.card import ModelCard
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig
from spinase.learning.model_file import save_model
from spinase.learning.trust.domain import Domain

CONFIG = NetworkConfig(species=(26,), cutoff=2.0, inner=0.7, width=6, radial=6, channels=(8, 4, 2))
DOUBLE = CONFIG.model_copy(
    update={"channels": (18, 17, 3)}
)  # loops in double precision that the engine's tests compile, too


def networks(count: int = 1, config: NetworkConfig = CONFIG) -> list[MagneticHIPNN]:
    torch.manual_seed(2)
    return [MagneticHIPNN(config) for _ in range(count)]


def card(**changes: object) -> ModelCard:
    return ModelCard(**{"name": "test", "trunk": CONFIG, "units": "reduced", **changes})


def magnet(sites: int = 20) -> SpinAtoms:
    return SpinAtoms.disordered(sites, units="reduced", rng=1)


def test_scale_shift_and_moment() -> None:
    """E = scale E_net + shift N; fields are per moment, torques are not."""
    atoms, nets = magnet(), networks(1, DOUBLE)
    plain = HIPNNCalculator((nets, card(trunk=DOUBLE)), dtype="float64")
    scaled = HIPNNCalculator((nets, card(trunk=DOUBLE, energy_scale=3.0, energy_shift=-1.5)), dtype="float64")
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
    atoms, nets = magnet(), networks(3, DOUBLE)
    whole = HIPNNCalculator((nets, card(trunk=DOUBLE)), dtype="float64")
    parts = [HIPNNCalculator(([net], card(trunk=DOUBLE)), dtype="float64") for net in nets]
    for name in ("energy", "magnetic_forces", "forces", "stress"):
        mean = np.mean([part.get_property(name, atoms) for part in parts], axis=0)
        np.testing.assert_allclose(whole.get_property(name, atoms), mean, atol=1e-12)
    torques = np.array([np.cross(atoms.spins, part.get_property("magnetic_forces", atoms)) for part in parts])
    expected = np.sqrt(np.sum(torques.var(axis=0), axis=1))  # a torque is as long as the tangent field
    np.testing.assert_allclose(whole.spread(atoms), expected, atol=1e-12)
    assert not parts[0].spread(atoms).any()


def test_single_precision_from_a_file_drives_spins(tmp_path: Path) -> None:
    domain = Domain.from_geometries([geometry_of(magnet())], CONFIG.cutoff).with_moments(np.ones(20))
    save_model(tmp_path / "a.model", networks(), card(notes={"domain": domain.to_table()}))
    config = HIPNNCalculator.Config(model=str(tmp_path / "a.model"))
    calc, atoms = HIPNNCalculator.from_config(config), magnet()
    exact = HIPNNCalculator(tmp_path / "a.model", dtype="float64", engine=False)
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
    calc = HIPNNCalculator((networks(1, DOUBLE), card(trunk=DOUBLE)), dtype="float64")
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


NAMES = ("energy", "magnetic_forces", "forces", "stress", "torques")


def asked(calc: HIPNNCalculator, atoms: SpinAtoms, names: tuple[str, ...] = NAMES) -> dict[str, bytes]:
    return {name: np.asarray(calc.get_property(name, atoms)).tobytes() for name in names}


@pytest.mark.parametrize("options", [{}, {"engine": False}, {"dtype": "float64"}])
def test_answers_do_not_depend_on_what_was_asked_before(options: dict[str, Any]) -> None:
    """The same bytes first, in another order, after moves there and back, in a run, from a copy: no memory."""
    config = DOUBLE if "dtype" in options else CONFIG
    nets = networks(2, config)

    def fresh() -> HIPNNCalculator:
        return HIPNNCalculator((nets, card(trunk=config)), **options)

    here, there = magnet(), magnet()
    there.positions = there.positions + 0.02 * np.random.default_rng(2).normal(size=(20, 3))
    at_here, at_there = asked(fresh(), here), asked(fresh(), there)
    assert at_here["magnetic_forces"] != at_there["magnetic_forces"]
    calc = fresh()
    for _ in range(2):
        assert asked(calc, here) == at_here
        assert asked(calc, there, NAMES[::-1]) == at_there
    fields = calc.field_function(here)(np.array(here.spins))
    named = np.frombuffer(at_here["magnetic_forces"]).reshape(20, 3)  # of a pass that gives forces, too
    np.testing.assert_allclose(fields, named, atol=1e-6 * np.abs(named).max())
    moved = magnet()
    moved.calc = calc
    moved.set_masses(np.full(20, 50.0))
    SpinLatticeDynamics(moved, 0.05).run(3)
    still = moved.copy()
    assert asked(calc, moved) == asked(fresh(), still)
    assert asked(calc, here) == at_here


def test_a_run_that_moves_atoms_goes_on_with_the_same_bytes_after_a_restart() -> None:
    nets, ends = networks(2), []
    for cut in (None, 3):
        atoms = magnet()
        atoms.set_masses(np.full(20, 50.0))
        atoms.calc = HIPNNCalculator((nets, card()))
        dynamics = SpinLatticeDynamics(atoms, 0.05, damping=0.1)
        if cut is None:
            dynamics.run(6)
        else:
            dynamics.run(cut)
            atoms.calc = HIPNNCalculator((nets, card()))
            atoms.calc.get_property("magnetic_forces", magnet())
            rest = SpinLatticeDynamics(atoms, 0.05, damping=0.1)
            rest.restore_state(dynamics.checkpoint_state())
            rest.run(6 - cut)
        ends.append((atoms.positions.tobytes(), atoms.moments.tobytes()))
    assert ends[0] == ends[1]


def test_models_of_fields_alone_have_no_forces() -> None:
    """Nothing that moves atoms takes them, alone or in a sum, and each says which model does."""
    known = {"trained_on": ["magnetic_forces"], "errors": {"properties": {"forces": None}}}
    calc = HIPNNCalculator((networks(), card(notes=known)))
    assert {"forces", "stress"}.isdisjoint(calc.implemented_properties)
    assert {"energy", "magnetic_forces", "torques"} <= set(calc.implemented_properties)
    wall = PairPotentialCalculator(Morse(0.1, 3.0, 1.0, 1.5, 0.3))
    for one in (calc, SpinSumCalculator([calc, wall]), SpinSumCalculator([wall, SpinSumCalculator([calc])])):
        atoms = magnet()
        atoms.calc = one
        atoms.set_masses(np.full(20, 50.0))
        for ask in (atoms.get_forces, atoms.get_stress):
            with pytest.raises(
                PropertyNotImplementedError, match="trained on fields at fixed positions.*'disordered-sd-moving'"
            ):
                ask()
        with pytest.raises(ModelError, match="no forces on atoms: the model 'test' was trained on fields.*force_weight > 0"):
            SpinLatticeDynamics(atoms, 0.05)
        with pytest.raises(ModelError, match="no forces on atoms: the model 'test' was trained on fields"):
            SpinOptimizable(atoms, move_atoms=True)
        LLGDynamics(atoms, 0.05).run(1)  # spins move


@pytest.mark.parametrize(
    ("notes", "has"),
    [
        ({}, True),  # not known
        ({"errors": {"properties": {"forces": None}}}, False),  # cards of before
        ({"errors": {"properties": {"forces": {"r2": 0.99}}}}, True),
        ({"trained_on": ["magnetic_forces", "forces"]}, True),
        ({"trained_on": ["magnetic_forces", "energy"]}, False),  # of a lattice at rest, or of we do not know what
    ],
)
def test_which_cards_stand_for_forces(notes: dict[str, Any], has: bool) -> None:
    assert ("forces" in HIPNNCalculator((networks(), card(notes=notes))).implemented_properties) is has


def test_energies_of_many_arrangements_make_forces() -> None:
    domain = Domain.from_geometries([geometry_of(magnet())], CONFIG.cutoff)
    notes = {"trained_on": ["magnetic_forces", "energy"], "domain": domain.to_table()}
    assert "forces" in HIPNNCalculator((networks(), card(notes=notes))).implemented_properties


def test_moments_unlike_the_trained_ones_are_told() -> None:
    domain = Domain.from_geometries([geometry_of(magnet())], CONFIG.cutoff).with_moments(np.ones(20))
    model = networks(), card(notes={"domain": domain.to_table()})
    atoms = magnet()
    longer = magnet()
    longer.moments = 2.0 * longer.moments
    with pytest.warns(OutOfDomainWarning, match="moment of site 0 has a length of 2, those of the training had 1"):
        HIPNNCalculator(model).get_property("energy", longer)
    with pytest.raises(OutOfDomainError, match="moment of site 0"):
        HIPNNCalculator(model, outside_domain="error").field_function(longer)
    partly = atoms.moments.copy()
    partly[3] = 0.0
    atoms.moments = partly
    with pytest.warns(OutOfDomainWarning, match="site 3 has no moment, every site of the training had one"):
        HIPNNCalculator(model).get_property("energy", atoms)
    with pytest.warns(OutOfDomainWarning, match="site 3 has no moment"):
        HIPNNCalculator(model).replicas(magnet(), atoms.moments[None])
    free = magnet()
    set_reference_lengths(free, np.ones(20))
    free.moments = 0.8 * free.moments
    with pytest.warns(OutOfDomainWarning, match="the spin of site 0 has a length of 0.8.*the training had unit spins"):
        HIPNNCalculator(model).get_property("energy", free)
    HIPNNCalculator(model, outside_domain="ignore").get_property("energy", free)


def test_files_that_do_not_tell_their_training_say_so_once(tmp_path: Path) -> None:
    save_model(tmp_path / "old.npz", networks(), card(notes={"shortest_distances": {"Fe-Fe": 0.7}}))
    calc, atoms = HIPNNCalculator(tmp_path / "old.npz"), magnet()
    with pytest.warns(OutOfDomainWarning, match="does not tell the coordination numbers, boundaries, lengths of moments"):
        calc.get_property("energy", atoms)
    atoms.spins = atoms.spins[::-1]
    atoms.positions = 1.01 * atoms.positions
    calc.get_property("energy", atoms)  # not again
    atoms.positions[1] = atoms.positions[0] + [0.3, 0.0, 0.0]
    with pytest.raises(
        OutOfDomainError, match=r"sites 0 and 1 \(Fe-Fe\) are 0.3 apart, the shortest distance trained is 0.7"
    ):
        calc.get_property("energy", atoms)


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
