"""Torch as an evaluator, and ensembles on it: weighted parts, gradients, several magnets, scale and shift, choices."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from systems.trunks import Sums, SumsConfig

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.errors import ModelError
from spinase.geometry import Geometry, find_bonds
from spinase.learning.card import ModelCard
from spinase.learning.ensemble import Ensemble, EnsembleState
from spinase.learning.evaluator import Question, Request, choose
from spinase.learning.frozen_geometry import FrozenGeometry
from spinase.learning.grand_potential import GrandPotentialReadout
from spinase.learning.readout import EnergyReadout, Readout
from spinase.learning.torch_evaluator import TorchEvaluator
from spinase.learning.trunk import prepare
from spinase.learning.two_potentials import TwoPotentialsReadout

SITES, CUTOFF = 9, 1.8
DOUBLE = Request("float64")


def trunk(parts: int = 1, seed: int = 3) -> Sums:
    torch.manual_seed(seed)
    return Sums(SumsConfig(species=(26,), cutoff=CUTOFF, parts=parts)).double()


def magnet(seed: int = 1) -> SpinAtoms:
    return SpinAtoms.disordered(SITES, units="reduced", rng=seed)


def frozen(geometry: Geometry) -> FrozenGeometry:
    bonds = find_bonds(geometry, CUTOFF)
    return FrozenGeometry(bonds, geometry.positions, np.zeros(len(geometry), dtype=np.int64), CUTOFF, geometry.cell)


def answer(net: Sums, geometry: FrozenGeometry, question: Question, request: Request = DOUBLE) -> Any:
    evaluator = TorchEvaluator([net], request)
    return evaluator.evaluate(evaluator.prepared(geometry), 0, question)


def ask(spins: np.ndarray, readout: Readout | None = None, **options: Any) -> Question:
    return Question(spins, readout or EnergyReadout(), np.zeros_like(spins), **options)


def parts_of(net: Sums, atoms: SpinAtoms, spins: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return net(prepare(net, geometry_of(atoms)), torch.from_numpy(spins)).numpy()


def test_an_energy_is_the_sum_of_the_parts_and_fields_are_its_slopes() -> None:
    net, atoms = trunk(), magnet()
    spins, geometry = np.array(atoms.spins), frozen(geometry_of(atoms))
    found = answer(net, geometry, ask(spins))
    parts = parts_of(net, atoms, spins)
    np.testing.assert_allclose(found.values, parts.T, atol=1e-13)
    assert found.potentials.shape == (1, 1)
    assert found.potentials[0, 0] == pytest.approx(parts.sum(), rel=1e-12)
    turn, step = np.random.default_rng(2).normal(size=(SITES, 3)), 1e-5
    ends = [parts_of(net, atoms, spins + sign * step * turn).sum() for sign in (-1, 1)]
    assert (ends[1] - ends[0]) / (2 * step) == pytest.approx(-np.sum(found.fields[0] * turn), rel=1e-7)
    assert found.pulls is None
    assert answer(net, geometry, ask(spins, fields=False)).fields is None


def test_pulls_are_slopes_by_the_vectors_of_the_pairs() -> None:
    """Forces from them against central differences of the energy of moved atoms."""
    net, atoms = trunk(), magnet()
    spins, geometry = np.array(atoms.spins), frozen(geometry_of(atoms))
    found = answer(net, geometry, ask(spins, pulls=True), replace(DOUBLE, positions=True))
    forces, virial = geometry.forces(found.pulls, torch.float64)
    push, step = np.random.default_rng(4).normal(size=(SITES, 3)), 1e-5

    def energy(sign: int) -> float:
        moved = atoms.copy()
        moved.positions += sign * step * push
        return float(parts_of(net, moved, spins).sum())

    assert (energy(1) - energy(-1)) / (2 * step) == pytest.approx(-np.sum(forces * push), rel=1e-6)
    np.testing.assert_allclose(virial, virial.T, atol=1e-10)
    np.testing.assert_allclose(found.fields, answer(net, geometry, ask(spins)).fields, atol=1e-12)


def test_weights_of_several_potentials_count_as_fixed() -> None:
    """E and G of two parts: each has the slopes of its own part; a grand potential those of its polynomial at mu."""
    net, atoms = trunk(parts=2), magnet()
    spins, geometry = np.array(atoms.spins), frozen(geometry_of(atoms))
    both = answer(net, geometry, ask(spins, TwoPotentialsReadout()))
    assert both.potentials.shape == (2, 1)
    np.testing.assert_allclose(both.potentials[:, 0], parts_of(net, atoms, spins).sum(axis=0), rtol=1e-12)
    readout = GrandPotentialReadout((-1.0, 1.0), chemical_potential=0.3)
    whole = answer(net, geometry, ask(spins, readout))
    np.testing.assert_allclose(whole.fields[0], both.fields[0] + 0.3 * both.fields[1], atol=1e-12)
    assert whole.potentials[0, 0] == pytest.approx(both.potentials[0, 0] + 0.3 * both.potentials[1, 0])


def test_magnets_side_by_side_are_the_magnets_one_by_one() -> None:
    net, atoms = trunk(), magnet()
    geometry = frozen(geometry_of(atoms))
    spins = [np.array(atoms.spins), -np.array(atoms.spins)[::-1]]
    together = answer(net, geometry.repeated(2), ask(np.concatenate(spins), magnets=2))
    alone = [answer(net, geometry, ask(one)) for one in spins]
    np.testing.assert_allclose(together.potentials[0], [one.potentials[0, 0] for one in alone], atol=1e-12)
    np.testing.assert_allclose(together.fields[0], np.concatenate([one.fields[0] for one in alone]), atol=1e-12)


def test_what_was_made_of_a_geometry_is_kept_there() -> None:
    geometry, evaluator = frozen(geometry_of(magnet())), TorchEvaluator([trunk()], DOUBLE)
    assert evaluator.prepared(geometry) is evaluator.prepared(geometry)
    assert TorchEvaluator([trunk()], DOUBLE).prepared(geometry) is not evaluator.prepared(geometry)
    assert evaluator.prepared(geometry).kept is not None
    moving = TorchEvaluator([trunk()], replace(DOUBLE, positions=True))
    assert moving.prepared(geometry).kept is None, "it depends on vectors that are differentiated by"


def test_the_first_that_supports_is_chosen() -> None:
    class Never(TorchEvaluator):
        @classmethod
        def supports(cls, trunk: Any, request: Request) -> bool:
            return False

    assert choose([Never, TorchEvaluator], trunk(), DOUBLE) is TorchEvaluator
    assert choose([Never], trunk(), DOUBLE) is None
    still = trunk()
    still.follows_positions = False
    assert not TorchEvaluator.supports(still, replace(DOUBLE, positions=True))
    assert TorchEvaluator.supports(still, DOUBLE)
    assert (DOUBLE.torch_dtype, Request().torch_dtype) == (torch.float64, torch.float32)


# -- ensembles --------------------------------------------------------------------------------------------------------


def ensemble(networks: list[Sums], readout: Readout | None = None) -> Ensemble:
    readout = readout or EnergyReadout()
    card = ModelCard("sums", networks[0].config, "reduced", energy_scale=2.0, energy_shift=-1.5, readout=readout)
    return Ensemble(networks, card, DOUBLE, readout)


def test_every_member_answers_in_the_units_of_the_card() -> None:
    """Energies are scale times the parts plus a shift a site; gradients are scaled."""
    made, atoms = ensemble([trunk(seed=1), trunk(seed=2)]), magnet()
    spins = np.array(atoms.spins)
    found = made.solve(frozen(geometry_of(atoms)), spins)
    assert found.energies.shape == (2, 1)
    for member, net in enumerate(made.networks):
        assert found.energies[member, 0] == pytest.approx(2.0 * parts_of(net, atoms, spins).sum() - 1.5 * SITES)
        one = answer(net, frozen(geometry_of(atoms)), ask(spins))
        np.testing.assert_allclose(found.gradients[member], 2.0 * one.fields[0], atol=1e-12)
    assert not any(weight.requires_grad for net in made.networks for weight in net.parameters())


def test_forces_are_those_of_the_mean_energy() -> None:
    made, atoms = ensemble([trunk(seed=seed) for seed in range(3)]), magnet()
    state = EnsembleState(made, frozen(geometry_of(atoms)), np.array(atoms.spins))
    forces, _ = state.motion
    push, step = np.random.default_rng(5).normal(size=(SITES, 3)), 1e-5
    ends = []
    for sign in (-1, 1):
        moved = atoms.copy()
        moved.positions += sign * step * push
        ends.append(made.solve(frozen(geometry_of(moved)), np.array(atoms.spins)).energies.mean())
    assert (ends[1] - ends[0]) / (2 * step) == pytest.approx(-np.sum(forces * push), rel=1e-6)
    assert state.of_spins is state.of_spins, "computed once"


def test_a_number_of_electrons_adds_its_work_to_the_energy() -> None:
    """F = Omega + mu N of each member, each with its own chemical potential among the results."""
    readout = GrandPotentialReadout((-1.0, 1.0), chemical_potential=0.2)
    networks = [trunk(3, seed) for seed in range(2)]
    with torch.no_grad():
        for net in networks:  # electrons that grow with the chemical potential
            net.outer.weight[1:] *= 0.05
            net.constants.weight[:, 1:] = torch.tensor([-0.5, -0.3])
    made, atoms = ensemble(networks, readout), magnet()
    geometry, spins = frozen(geometry_of(atoms)), np.array(atoms.spins)
    fixed = made.solve(geometry, spins)
    assert fixed.results["chemical_potential"].tolist() == [[0.2], [0.2]]
    filling = float(fixed.results["filling"][0, 0])
    found = made.with_readout(replace(readout, chemical_potential=None, filling=filling)).solve(geometry, spins)
    assert made.readout.filling is None, "the other one stays as it was"
    assert found.results["chemical_potential"][0, 0] == pytest.approx(0.2, abs=1e-9)
    assert found.results["chemical_potential"][1, 0] != pytest.approx(0.2, abs=1e-4)
    assert found.energies[0, 0] == pytest.approx(fixed.energies[0, 0] + 0.2 * 2.0 * filling * SITES)


def test_parts_and_devices_that_do_not_fit_are_refused() -> None:
    networks = [trunk(2)]
    card = ModelCard("sums", networks[0].config, "reduced")
    with pytest.raises(ModelError, match="2 parts of a site are no energy"):
        Ensemble(networks, card, DOUBLE, EnergyReadout())
    with pytest.raises(ModelError, match="cannot use the torch device 'nowhere'"):
        Ensemble([trunk()], ModelCard("sums", trunk().config, "reduced"), Request(device="nowhere"), EnergyReadout())
    with pytest.raises(ModelError, match="none of  computes Request"):
        Ensemble([trunk()], ModelCard("sums", trunk().config, "reduced"), DOUBLE, EnergyReadout(), [])
