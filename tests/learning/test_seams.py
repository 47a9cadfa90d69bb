"""The seams of learned magnets: a trunk, a readout and an evaluator from outside, with no change to what is there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase.calculators.calculator import PropertyNotImplementedError
from systems.trunks import Sums, SumsConfig

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.calculators import HIPNNCalculator, SpinSumCalculator
from spinase.calculators.learned import LearnedCalculator
from spinase.dynamics import LLGDynamics, SpinLatticeDynamics
from spinase.errors import ModelError
from spinase.learning.card import ModelCard
from spinase.learning.ensemble import EVALUATORS
from spinase.learning.evaluator import Evaluation, Evaluator, Question, Request, choose
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig
from spinase.learning.model_file import load_model, save_model
from spinase.learning.torch_evaluator import TorchEvaluator
from spinase.learning.trunk import prepare
from spinase.learning.two_potentials import TwoPotentialsReadout
from spinase.testing import check_calculator

CONFIG = SumsConfig(species=(26,), cutoff=1.8)


def sums(parts: int = 1, members: int = 1) -> tuple[list[Sums], SumsConfig]:
    torch.manual_seed(3)
    config = replace_(CONFIG, parts=parts)
    return [Sums(config) for _ in range(members)], config


def replace_(config: Any, **changes: object) -> Any:
    return config.model_copy(update=changes)


def magnet(sites: int = 12) -> SpinAtoms:
    return SpinAtoms.disordered(sites, units="reduced", rng=1)


def test_a_trunk_from_outside_is_a_conforming_calculator(tmp_path: Path) -> None:
    """Written to a model file and read back: energies, fields, forces, stress, error bars' spread, replicas."""
    networks, config = sums(members=2)
    save_model(tmp_path / "a.npz", networks, ModelCard("sums", config, "reduced", energy_scale=2.0, energy_shift=-1.0))
    found, card = load_model(tmp_path / "a.npz")
    assert [type(one) for one in found] == [Sums, Sums]
    assert card.trunk == config
    calc = LearnedCalculator(tmp_path / "a.npz", dtype="float64", outside_domain="ignore")
    report = check_calculator(calc, magnet())
    for check in ("magnetic_forces", "forces", "stress", "conservative", "spin_rotation", "supercell"):
        assert report[check].status == "passed", report
    atoms = magnet()
    with torch.no_grad():
        parts = [one.double()(prepare(one, geometry_of(atoms)), torch.tensor(atoms.spins)).numpy() for one in found]
    assert calc.get_property("energy", atoms) == pytest.approx(2.0 * np.mean(parts) * 12 - 12.0)
    assert calc.spread(atoms).max() > 0.0
    energies, fields = calc.replicas(atoms, np.array([atoms.moments]))
    assert energies[0] == pytest.approx(calc.get_property("energy", atoms))
    np.testing.assert_allclose(fields[0], calc.get_property("magnetic_forces", atoms))
    # the style of input files takes it, too
    assert type(HIPNNCalculator(tmp_path / "a.npz", outside_domain="ignore").networks[0]) is Sums


def driven(networks: list[Any], config: Any, **options: Any) -> LearnedCalculator:
    return LearnedCalculator(
        (networks, ModelCard("two", config, "reduced", 1.0, 2.0, readout=TwoPotentialsReadout())), **options
    )


def test_a_driven_readout_has_fields_and_no_energy() -> None:
    calc, atoms = driven(*sums(parts=2), dtype="float64"), magnet()
    assert not calc.conservative
    assert set(calc.implemented_properties) == {"magnetic_forces", "torques"}
    for name in ("energy", "free_energy", "forces", "stress"):
        with pytest.raises(PropertyNotImplementedError):
            calc.get_property(name, atoms)
    check_calculator(calc, atoms)
    (network,), step = calc.networks, 1e-5
    around = prepare(network, geometry_of(atoms))

    def potentials(spins: np.ndarray) -> np.ndarray:
        return network(around, torch.tensor(spins)).sum(0).detach().numpy()

    slopes = np.zeros((2, 12, 3))
    for i, a in np.ndindex(12, 3):
        moved = step * (np.arange(36) == 3 * i + a).reshape(12, 3)
        slopes[:, i, a] = (potentials(atoms.spins + moved) - potentials(atoms.spins - moved)) / (2.0 * step)
    expected = 2.0 * (-slopes[0] + np.cross(atoms.spins, slopes[1]))
    assert np.abs(slopes[1]).max() > 0.01 * np.abs(slopes[0]).max()
    np.testing.assert_allclose(calc.get_property("magnetic_forces", atoms), expected, atol=1e-8 * np.abs(expected).max())


def test_the_compiled_loops_compute_several_potentials() -> None:
    torch.manual_seed(1)
    config = NetworkConfig(species=(26,), cutoff=2.0, inner=0.7, width=6, radial=6, channels=(8, 4, 2), parts=2)
    networks, atoms = [MagneticHIPNN(config)], magnet(20)
    fast, exact = driven(networks, config), driven(networks, config, dtype="float64")
    assert type(fast.ensemble.by_spins).__name__ == "CompiledEvaluator"
    expected = exact.get_property("magnetic_forces", atoms)
    np.testing.assert_allclose(fast.get_property("magnetic_forces", atoms), expected, atol=2e-5 * np.abs(expected).max())
    assert fast.ensemble.by_positions is None


class OnTheMove(TorchEvaluator):
    """Somebody's evaluator for atoms that move; it counts what it is asked."""

    asked = 0

    @classmethod
    def supports(cls, trunk: Any, request: Request) -> bool:
        return request.moving and request.dtype == "float32"

    def evaluate(self, prepared: Any, member: int, question: Question) -> Evaluation:
        OnTheMove.asked += 1
        return super().evaluate(prepared, member, question)


def test_an_evaluator_is_chosen_by_what_the_driver_declares() -> None:
    """Never by history: the bytes come back with the declaration, whatever was asked in between."""
    networks, config = sums()
    model, atoms = (networks, ModelCard("sums", config, "reduced")), magnet()
    calc = LearnedCalculator(model, evaluators=(OnTheMove, *EVALUATORS))
    names, moved = ("energy", "magnetic_forces", "forces"), magnet()
    moved.positions = moved.positions + 0.01

    def answers() -> list[bytes]:
        return [np.asarray(calc.get_property(name, atoms)).tobytes() for name in names]

    still = answers()
    assert OnTheMove.asked == 0
    calc.declare_motion(True)
    moving = answers()
    assert OnTheMove.asked == 2
    assert type(calc.ensemble.by_spins) is type(calc.ensemble.by_positions) is OnTheMove
    calc.get_property("forces", moved)
    assert answers() == moving
    calc.declare_motion(False)
    calc.get_property("forces", moved)
    assert answers() == still
    assert type(calc.ensemble.by_spins) is TorchEvaluator


def test_choices_are_the_first_that_supports() -> None:
    (trunk,), _ = sums()
    network = MagneticHIPNN(NetworkConfig(species=(26,), cutoff=2.0, inner=0.7))
    single, double = Request(), Request("float64")
    compiled, _, moving, plain = EVALUATORS
    assert choose(EVALUATORS, network, single) is compiled
    for request in (replace(single, positions=True), replace(single, moving=True), replace(double, moving=True)):
        assert choose(EVALUATORS, network, request) is moving
    for request in (double, Request(device="cuda"), Request(device="cuda", moving=True)):
        assert choose(EVALUATORS, network, request) is plain
    assert choose(EVALUATORS, trunk, single) is plain
    assert choose((compiled,), trunk, single) is None
    networks, config = sums()
    with pytest.raises(ModelError, match="none of CompiledEvaluator computes Request"):
        LearnedCalculator((networks, ModelCard("sums", config, "reduced")), evaluators=(compiled,))


class AtRest(Sums):
    """It does not follow positions."""

    follows_positions = False


def test_a_trunk_that_does_not_follow_positions_has_no_forces() -> None:
    calc = LearnedCalculator(([AtRest(CONFIG)], ModelCard("rest", CONFIG, "reduced")))
    with pytest.raises(PropertyNotImplementedError, match="the model 'rest' has no forces: its AtRest does not follow pos"):
        calc.get_property("forces", magnet())
    calc.get_property("magnetic_forces", magnet())


def test_parts_that_a_readout_makes_no_sense_of_are_refused() -> None:
    networks, config = sums(parts=3)
    with pytest.raises(ModelError, match="two potentials need 2 parts of a site, not 3"):
        driven(networks, config)
    assert issubclass(OnTheMove, Evaluator)


def test_drivers_declare_whether_atoms_move() -> None:
    """To a learned magnet in a sum as well; what was handed out before stays what it was."""
    networks, config = sums()
    calc = LearnedCalculator((networks, ModelCard("sums", config, "reduced")), evaluators=(OnTheMove, *EVALUATORS))
    atoms, other = magnet(), magnet()
    fields = calc.field_function(other)
    before = fields(other.spins).tobytes()
    atoms.calc = SpinSumCalculator([calc])
    atoms.set_masses(np.full(12, 50.0))
    SpinLatticeDynamics(atoms, 0.01).run(1)
    assert type(calc.ensemble.by_spins) is OnTheMove
    asked = OnTheMove.asked
    assert fields(other.spins).tobytes() == before
    assert OnTheMove.asked == asked > 0
    LLGDynamics(atoms, 0.01).run(1)
    assert type(calc.ensemble.by_spins) is TorchEvaluator
