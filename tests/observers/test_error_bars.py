"""The guard of learned magnets: what it records, when it warns and stops, in scripts and in input files."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.optimize import FIRE
from systems.doubtful import Doubtful

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.calculators import HeisenbergCalculator, HIPNNCalculator, SpinSumCalculator, ZeemanCalculator
from spinase.dynamics import LLGDynamics, SpinLatticeDynamics, SpinOptimizable
from spinase.errors import ModelError, OutOfDomainError, OutOfDomainWarning
from spinase.io import read_run
from spinase.learning.card import ModelCard
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig
from spinase.learning.model_file import save_model
from spinase.learning.trust.domain import Domain
from spinase.learning.trust.error_bars import calibrate
from spinase.observers import ErrorBarGuard
from spinase.run import RunOptions, run_file

CONFIG = NetworkConfig(species=(26,), cutoff=2.0, inner=0.7, width=6, radial=6, layers=1)
CALIBRATION = calibrate([np.linspace(0.1, 2.0, 50)] * 20, [np.full(50, 0.1)] * 20, floor=0.01)


def model(**notes: object) -> tuple[list[MagneticHIPNN], ModelCard]:
    torch.manual_seed(4)
    kept = {"calibration": CALIBRATION.to_table(), **notes}
    card = ModelCard("guarded", CONFIG, "reduced", notes={name: note for name, note in kept.items() if note is not None})
    return [MagneticHIPNN(CONFIG) for _ in range(3)], card


def magnet(calc: object | None = None) -> SpinAtoms:
    atoms = SpinAtoms.disordered(16, units="reduced", rng=1)
    atoms.calc = HIPNNCalculator(model()) if calc is None else calc
    return atoms


def bars(atoms: SpinAtoms) -> np.ndarray:
    return atoms.calc.error_bars(atoms, 0.9)


def test_error_bars_are_the_calibrated_spread() -> None:
    atoms = magnet()
    spread = atoms.calc.spread(atoms)
    assert spread.min() > 0.0
    np.testing.assert_allclose(bars(atoms), CALIBRATION.factor(0.9) * (spread + 0.01))
    assert np.all(atoms.calc.error_bars(atoms, 0.5) < bars(atoms))
    longer = magnet()
    longer.moments = 2.0 * longer.moments  # the same torques, fields half as large
    np.testing.assert_allclose(bars(longer), 0.5 * bars(atoms), rtol=1e-6)
    partly = longer.moments.copy()
    partly[3] = 0.0
    longer.moments = partly
    assert bars(longer)[3] == 0.0


def test_models_without_calibration_say_so() -> None:
    atoms = magnet(HIPNNCalculator(model(calibration=None)))
    with pytest.raises(ModelError, match="'guarded' has no calibrated error bars.*spinase calibrate"):
        bars(atoms)
    with pytest.raises(ModelError, match="no calibrated"):
        ErrorBarGuard().prepare(atoms)
    nets, card = model()
    for atoms in (magnet(HIPNNCalculator((nets[:1], card))), magnet(SpinSumCalculator([HIPNNCalculator((nets[:1], card))]))):
        with pytest.raises(
            ModelError, match="'guarded' is a single network.*same number for every magnet.*Train an ensemble"
        ):
            ErrorBarGuard().watch(LLGDynamics(atoms, 0.1), 1)
    with pytest.raises(ModelError, match="HeisenbergCalculator has no error bars"):
        ErrorBarGuard().prepare(magnet(HeisenbergCalculator(law=None, shells=[1.0])))
    with pytest.raises(ModelError, match="need 99 calibration realizations, this model has 20"):
        ErrorBarGuard(coverage=0.99).prepare(magnet())


def test_sums_have_the_bars_of_their_learned_members() -> None:
    alone, zeeman = magnet(), ZeemanCalculator(field=(0.0, 0.0, 1.0))
    atoms = magnet(SpinSumCalculator([HIPNNCalculator(model()), zeeman], [-2.0, 1.0]))
    np.testing.assert_allclose(bars(atoms), 2.0 * bars(alone))
    ErrorBarGuard(bound=100.0).watch(LLGDynamics(atoms, 0.1), 1)
    with pytest.raises(ModelError, match="no member of the sum has error bars"):
        SpinSumCalculator([zeeman]).error_bars(atoms)


def test_it_records_what_the_calculator_says() -> None:
    atoms, guard = magnet(), ErrorBarGuard()
    guard.prepare(atoms)
    seen = guard.observe(atoms)
    across = np.cross(atoms.spins, atoms.calc.get_property("magnetic_forces", atoms))
    assert seen == {
        "largest": pytest.approx(bars(atoms).max()),
        "rms": pytest.approx(np.sqrt(np.mean(bars(atoms) ** 2))),
        "spin": bars(atoms).argmax(),
        "field": pytest.approx(np.sqrt(np.mean(np.sum(across**2, axis=1)))),
        "exceeded": 0.0,
    }
    assert guard.quantities["largest"].unit == "t/|m|"
    assert guard.alarm is None


@pytest.mark.parametrize("statistic", ["largest", "rms"])
@pytest.mark.parametrize("relative", [False, True])
def test_the_bound_is_compared_with_what_was_asked(statistic: str, relative: bool) -> None:
    atoms = magnet()
    seen = ErrorBarGuard().observe(atoms)
    value = seen[statistic] / (seen["field"] if relative else 1.0)
    for factor, over in ((1.01, False), (0.99, True)):
        guard = ErrorBarGuard(factor * value, statistic=statistic, relative=relative)
        assert guard.observe(atoms)["exceeded"] == float(over)
        assert (guard.alarm is not None) is over


LOOK = 3  # after so many looks the bound below is exceeded


def drifting() -> tuple[LLGDynamics, float]:
    """Dynamics, and a bound that its largest bar passes between two looks, one each two steps."""
    atoms, seen = magnet(Doubtful((0.0, 0.0, 1.0))), []
    trial = LLGDynamics(atoms, 0.1, damping=0.5)
    trial.attach(lambda: seen.append(bars(atoms).max()), 2)
    trial.run(2 * LOOK)
    again = magnet(Doubtful((0.0, 0.0, 1.0)))
    return LLGDynamics(again, 0.1, damping=0.5), 0.5 * float(seen[LOOK] + seen[LOOK - 1])


def test_it_stops_a_driver_where_the_bound_is_passed() -> None:
    dynamics, bound = drifting()
    log = io.StringIO()
    ErrorBarGuard(bound).watch(dynamics, every=2, logfile=log)
    with pytest.raises(
        OutOfDomainError, match=rf"the error bar of spin \d+ is .* above the bound .* after {2 * LOOK} steps"
    ):
        dynamics.run(24)
    assert dynamics.nsteps == 2 * LOOK
    assert bars(dynamics.atoms).max() > bound  # the atoms are those that were looked at
    lines = log.getvalue().splitlines()
    assert len(lines) == LOOK + 2
    assert float(lines[-1].split()[1]) == pytest.approx(bars(dynamics.atoms).max(), rel=1e-5)


def test_it_watches_relaxations_too() -> None:
    atoms = magnet()
    relaxation, log = FIRE(SpinOptimizable(atoms, move_atoms=False), logfile=None), io.StringIO()
    ErrorBarGuard().watch(relaxation, every=2, logfile=log)
    relaxation.run(fmax=1e-9, steps=4)
    lines = [line.split() for line in log.getvalue().splitlines()[1:]]
    assert [float(words[0]) for words in lines] == [0, 2, 4]
    assert float(lines[-1][1]) == pytest.approx(bars(atoms).max(), rel=1e-5)


def test_it_warns_once_if_that_is_asked_for() -> None:
    dynamics, bound = drifting()
    ErrorBarGuard(bound, action="warn").watch(dynamics, every=2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dynamics.run(24)
    assert [entry.category for entry in caught] == [OutOfDomainWarning]
    assert dynamics.nsteps == 24


def test_patience_counts_looks_at_different_spins() -> None:
    atoms, guard = magnet(), ErrorBarGuard(1e-6, patience=3)
    guard.prepare(atoms)
    for look in range(3):
        assert guard.alarm is None
        for _ in range(4):  # the same atoms again
            assert guard.observe(atoms)["exceeded"] == 1.0
        atoms.spins = atoms.spins[::-1] if look else -atoms.spins
    assert guard.alarm is not None
    loose = ErrorBarGuard(1e6)
    loose.alarm = "of an earlier look"
    loose.observe(atoms)
    assert loose.alarm is None


def test_distances_never_trained_stop_whatever_the_action() -> None:
    calc = HIPNNCalculator(model(shortest_distances={"Fe-Fe": 0.75}))
    atoms = magnet(calc)
    assert calc.domain_problem(atoms) is None
    atoms.set_masses(np.full(16, 50.0))
    step = atoms.get_distance(0, 1, vector=True, mic=True)
    dynamics = SpinLatticeDynamics(atoms, 0.01)
    ErrorBarGuard(action="warn").watch(dynamics, every=1)
    dynamics.run(1)
    atoms.positions[1] = atoms.positions[0] + 0.6 * step / np.linalg.norm(step)
    with pytest.raises(
        OutOfDomainError, match=r"sites 0 and 1 \(Fe-Fe\) are 0\.\d+ apart, the shortest distance trained is 0.75"
    ):
        dynamics.run(1)
    assert SpinSumCalculator([calc]).domain_problem(atoms) is not None


@pytest.mark.parametrize("action", ["warn", "stop"])
def test_another_density_than_trained_is_an_alarm_or_one_warning(action: str) -> None:
    trained = Domain.from_geometries([geometry_of(magnet(Doubtful((0.0, 0.0, 1.0))))], CONFIG.cutoff)
    calc = HIPNNCalculator(model(domain=trained.to_table()), outside_domain="ignore")
    atoms = SpinAtoms.disordered(16, density=0.6, units="reduced", rng=1)
    atoms.calc = calc
    guard = ErrorBarGuard(action=action)
    guard.prepare(atoms)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        seen = [guard.observe(atoms)["exceeded"] for _ in range(3)]
    assert seen == [1.0, 1.0, 1.0]
    assert (guard.alarm is not None) is (action == "stop")
    assert [entry.category for entry in caught] == ([OutOfDomainWarning] if action == "warn" else [])


def test_bad_options() -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        ErrorBarGuard(bound=-1.0)
    with pytest.raises(ModelError, match="every must be a positive number of steps, got 0"):
        ErrorBarGuard().watch(LLGDynamics(magnet(), 0.1), 0)


RUN = """
units = "reduced"
seed = 3
[atoms]
disordered = { sites = 16 }
[calculator]
CALCULATOR
[[stage]]
steps = 60
timestep = 0.05
damping = 0.5
[[observer]]
style = "error-bar"
every = 4
[[observer]]
style = "torque"
every = 1
[output]
every = 10
checkpoint_every = 20
"""


LEARNED = 'style = "hipnn"\nmodel = "model.npz"'
DOUBTFUL = 'style = "systems.doubtful:Doubtful"\nfield = [0.0, 0.0, 1.0]'


def written(folder: Path, calculator: str, extra: str = "") -> Path:
    path = folder / "guarded.toml"
    path.write_text(RUN.replace("CALCULATOR", calculator).replace("every = 4", f"every = 4\n{extra}"))
    return path


def test_input_files_record_bars_and_stop_with_everything_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    whole = read_run(run_file(written(tmp_path, DOUBTFUL)))
    series = whole.observables["error-bar"]["largest"]
    assert list(series.steps) == list(range(0, 61, 4))
    assert series.unit == "t/|m|"
    stop, bound = 28, 0.5 * (series.values[6] + series.values[7])
    (tmp_path / "guarded_run").rename(tmp_path / "whole")
    with pytest.raises(OutOfDomainError, match=rf"above the bound .* at step {stop}.*spinase learn.*guarded_run is written"):
        run_file(written(tmp_path, DOUBTFUL, f"bound = {bound}"))
    cut = read_run(tmp_path / "guarded_run" / "run.h5")
    assert list(cut.steps) == [0, 10, 20, stop]  # the offending frame is there, too
    np.testing.assert_array_equal(cut.observables["error-bar"]["largest"].values, series.values[:8])
    torques = whole.observables["torque"]["rms"].values
    np.testing.assert_array_equal(cut.observables["torque"]["rms"].values, torques[: stop + 1])
    assert bars(magnet_of(cut.atoms(-1))).max() == pytest.approx(series.values[7])
    log = (tmp_path / "guarded_run" / "log.txt").read_text().splitlines()
    assert int(log[-1].split()[0]) == stop
    with pytest.raises(OutOfDomainError, match=f"at step {stop}"):  # from the checkpoint to the same place
        run_file(tmp_path / "guarded.toml", options=RunOptions(restart=True))
    again = read_run(tmp_path / "guarded_run" / "run.h5")
    np.testing.assert_array_equal(again.moments, cut.moments)
    assert (tmp_path / "guarded_run" / "log.txt").read_text().splitlines() == log


def magnet_of(atoms: SpinAtoms) -> SpinAtoms:
    atoms.calc = Doubtful((0.0, 0.0, 1.0))
    return atoms


def test_input_files_take_model_files_and_refuse_those_without_bars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    domain = Domain.from_geometries([geometry_of(magnet(Doubtful((0.0, 0.0, 1.0))))], CONFIG.cutoff).with_moments(
        np.ones(16)
    )
    known = {"domain": domain.to_table()}
    save_model(tmp_path / "model.npz", *model(calibration=None, **known))
    with pytest.raises(ModelError, match="no calibrated error bars"):
        run_file(written(tmp_path, LEARNED))
    assert not (tmp_path / "guarded_run").exists()
    save_model(tmp_path / "model.npz", *model(**known))
    run = read_run(run_file(written(tmp_path, LEARNED), ("stage.0.steps=4",)))
    last = run.atoms(-1)
    last.calc = HIPNNCalculator(tmp_path / "model.npz")
    assert run.observables["error-bar"]["largest"].values[-1] == pytest.approx(bars(last).max(), rel=1e-6)
