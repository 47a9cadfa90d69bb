"""KPM as a calculator: phases and steps, conservation with and without moving atoms, checkpoints, spectra, bad input."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.calculators import EDCalculator, HeisenbergCalculator, KPMCalculator, RationalCalculator, SpinSumCalculator
from spinase.dynamics import ImplicitMidpoint, LLGDynamics
from spinase.electrons import ExponentialHopping, SDModel, ShellHopping
from spinase.electrons.solvers.kpm import KPMOptions
from spinase.errors import AccuracyWarning, ModelError
from spinase.spin_algebra import precession_vector


def square(size: int = 8) -> SpinAtoms:
    return SpinAtoms.lattice("square", (size, size), units="reduced", rng=1)


MODEL = SDModel(hopping=ShellHopping([1.0]), coupling=1.0, filling=0.3, kT=0.2)
CRUDE = {"count": 24, "order": 40, "accuracy": 1.0}


def drift_of_spins(timestep: float) -> float:
    atoms = square()
    atoms.calc = KPMCalculator(MODEL, renew=False, dtype="float64", **CRUDE)
    before = atoms.calc.get_property("free_energy", atoms)
    LLGDynamics(atoms, timestep=timestep, integrator="midpoint").run(round(4.0 / timestep))
    return abs(atoms.calc.get_property("free_energy", atoms) - before)


def test_an_undamped_spin_run_with_fixed_vectors_keeps_the_energy_it_reports() -> None:
    drifts = [drift_of_spins(timestep) for timestep in (0.4, 0.2, 0.1)]
    np.testing.assert_allclose(np.log2(np.array(drifts[:-1]) / drifts[1:]), 2.0, atol=0.3)
    assert drifts[-1] < 1e-6


def coupled_run(calc, timestep: float, time: float = 1.2) -> tuple[float, float]:
    """Largest change of the total energy, and of the potential alone, of atoms and spins moving together.

    Kick - drift - spins (midpoint) - drift - kick, written out: nothing of the project's drivers.
    """
    atoms = SpinAtoms.disordered(30, density=0.25, min_distance=1.1, units="reduced", rng=3)
    atoms.set_momenta(atoms.get_masses()[:, None] * 0.2 * np.random.default_rng(1).normal(size=(len(atoms), 3)))
    midpoint, energies = ImplicitMidpoint(), []

    def kick() -> None:
        atoms.set_momenta(atoms.get_momenta() + 0.5 * timestep * calc.get_property("forces", atoms))

    def drift() -> None:
        atoms.positions += 0.5 * timestep * atoms.get_velocities()

    def rate(spins: np.ndarray, _: float) -> np.ndarray:
        return precession_vector(spins, fields(spins), 1.0, 0.0)

    for _ in range(round(time / timestep)):
        energies.append((atoms.get_kinetic_energy(), calc.get_property("free_energy", atoms)))
        kick()
        drift()
        fields = calc.field_function(atoms)
        atoms.spins = midpoint.step(atoms.spins, rate, timestep)
        drift()
        kick()
    energies.append((atoms.get_kinetic_energy(), calc.get_property("free_energy", atoms)))
    parts = np.array(energies)
    return np.ptp(parts.sum(axis=1)), np.ptp(parts[:, 1])


@pytest.mark.parametrize("style", ["kpm", "rational", "ed"])
def test_a_coupled_run_on_moving_disordered_positions_keeps_its_energy(style: str) -> None:
    model = SDModel(hopping=ExponentialHopping(1.0, 1.0, 1.5, 2.6), coupling=1.5, filling=0.3, kT=0.2)
    errors, moved = [], 0.0
    for timestep in (0.2, 0.1):
        calc = {
            "kpm": lambda: KPMCalculator(model, renew=False, dtype="float64", **CRUDE),
            "rational": lambda: RationalCalculator(model, tolerance=1e-9),
            "ed": lambda: EDCalculator(model),
        }[style]()
        change, moved = coupled_run(calc, timestep)
        errors.append(change)
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2.0, abs=0.5)
    assert errors[1] < 0.02 * moved


def test_drivers_renew_the_phases_at_every_step_and_results_follow() -> None:
    atoms = square()
    atoms.calc = KPMCalculator(MODEL, rng=np.random.default_rng(3), **CRUDE)
    seeds = [atoms.calc.checkpoint_state()["phases"]["seed"]]
    dynamics = LLGDynamics(atoms, timestep=0.1, damping=0.1)
    before = atoms.calc.get_property("magnetic_forces", atoms)
    for _ in range(3):
        dynamics.run(1)
        seeds.append(atoms.calc.checkpoint_state()["phases"]["seed"])
    assert len(set(seeds)) == 4
    atoms.calc.begin_step()
    atoms2 = square()
    after = atoms.calc.get_property("magnetic_forces", atoms2)
    assert np.abs(after - before).max() > 1e-4
    fixed = KPMCalculator(MODEL, renew=False, **CRUDE)
    first = fixed.get_property("magnetic_forces", atoms2)
    fixed.begin_step()
    np.testing.assert_array_equal(fixed.get_property("magnetic_forces", atoms2), first)


def test_phases_are_fixed_within_a_step() -> None:
    atoms = square()
    calc = KPMCalculator(MODEL, **CRUDE)
    calc.begin_step()
    one = calc.get_property("magnetic_forces", atoms).copy()
    other = calc.get_property("free_energy", atoms)
    calc.reset()
    np.testing.assert_array_equal(calc.get_property("magnetic_forces", atoms), one)
    assert calc.get_property("free_energy", atoms) == other


def test_a_sum_passes_the_step_on() -> None:
    atoms = square()
    member = KPMCalculator(MODEL, **CRUDE)
    calc = SpinSumCalculator([member, HeisenbergCalculator(shells=[0.1])])
    before = calc.get_property("magnetic_forces", atoms)
    calc.begin_step()
    assert np.abs(calc.get_property("magnetic_forces", atoms) - before).max() > 1e-4


@pytest.mark.parametrize(
    "options", [{}, {"reference": "rational"}, {"reference": "ed", "accuracy": 1e-3}, {"columns": "unit"}]
)
def test_a_run_cut_in_two_equals_one_run(options: dict) -> None:
    def start(seed: int) -> tuple[SpinAtoms, LLGDynamics]:
        atoms = square()
        crude = {**CRUDE, "count": None} if options.get("columns") == "unit" else CRUDE
        atoms.calc = KPMCalculator(MODEL, rng=np.random.default_rng(seed), **{**crude, **options})
        return atoms, LLGDynamics(atoms, timestep=0.1, damping=0.1)

    warnings.simplefilter("ignore", AccuracyWarning)
    whole, dynamics = start(5)
    dynamics.run(4)
    states = dynamics.checkpoint_state(), whole.calc.checkpoint_state()
    dynamics.run(4)
    rest, again = start(6)
    again.restore_state(states[0])
    rest.calc.restore_state(states[1])
    again.run(4)
    np.testing.assert_array_equal(rest.moments, whole.moments)


def test_field_errors_are_those_of_the_fields() -> None:
    atoms = square(10)
    atoms.moments = 2.0 * atoms.spins
    calc, exact = KPMCalculator(MODEL, 1e-2, count=40), EDCalculator(MODEL)
    with pytest.warns(AccuracyWarning):
        wrong = calc.get_property("magnetic_forces", atoms) - exact.get_property("magnetic_forces", atoms)
    bars = calc.field_errors(atoms, repeats=16)
    assert bars.shape == (100, 3)
    assert np.sqrt(np.mean(bars**2)) == pytest.approx(np.sqrt(np.mean(wrong**2)), rel=0.3)


def test_spectra() -> None:
    atoms = square()
    calc, exact = KPMCalculator(MODEL, 1e-2), EDCalculator(MODEL)
    energies = np.linspace(-7, 7, 3001)
    dos = calc.density_of_states(atoms, energies, order=200, count=64)
    assert np.trapezoid(dos, energies) == pytest.approx(128.0, rel=1e-3)
    broad = exact.density_of_states(atoms, energies, width=0.08)
    assert np.abs(np.cumsum(dos - broad)).max() * (energies[1] - energies[0]) < 5.0
    local = calc.local_spectral_function(atoms, 5, energies, order=200)
    assert np.trapezoid(local, energies) == pytest.approx(2.0, rel=1e-3)
    occupied = np.trapezoid(
        local / (np.exp((energies - exact.get_property("chemical_potential", atoms)) / 0.2) + 1), energies
    )
    assert occupied == pytest.approx(exact.get_property("electron_density", atoms)[5], abs=0.02)
    with pytest.raises(ModelError, match="site 64 is not one of the 64 sites"):
        calc.local_spectral_function(atoms, 64, energies)


def test_too_few_columns_are_reported_once_with_the_measured_error() -> None:
    atoms = square()
    calc = KPMCalculator(MODEL, 1e-3, count=16)
    message = "16 columns and .* moments give fields with an rms error of .*, more than the asked 0.001: take more"
    with pytest.warns(AccuracyWarning, match=message):
        calc.get_property("magnetic_forces", atoms)
    atoms.spins = atoms.spins[::-1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calc.get_property("magnetic_forces", atoms)


def test_direct_estimates_with_noise_are_no_gradient_and_say_so() -> None:
    atoms = square()
    assert not KPMCalculator(MODEL, estimator="direct", **CRUDE).conservative
    assert KPMCalculator(MODEL, estimator="direct", columns="unit").conservative
    with pytest.raises(Exception, match="there is no energy"):
        KPMCalculator(MODEL, estimator="direct", **CRUDE).get_property("energy", atoms)


def test_the_style_takes_everything_from_a_table() -> None:
    table = {
        "hopping": {"style": "shell", "amplitudes": [1.0]},
        "coupling": 1.0,
        "filling": 0.3,
        "kT": 0.2,
        "accuracy": 0.5,
        "count": 24,
        "order": 40,
        "renew": False,
        "reference": "ed",
        "seed": 7,
    }
    calc = KPMCalculator.from_config(KPMCalculator.Config(**table))
    assert calc.options == KPMOptions(accuracy=0.5, count=24, order=40)
    assert not calc.renew
    atoms = square()
    exact = EDCalculator(MODEL).get_property("magnetic_forces", atoms)
    np.testing.assert_allclose(calc.get_property("magnetic_forces", atoms), exact, atol=1e-9)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: KPMCalculator(MODEL, columms="unit"), "KPMCalculator has no option 'columms'; options: backend, bounds"),
        (lambda: KPMCalculator(MODEL, options=KPMOptions(), order=30), "give options=KPMOptions.* or order as keywords"),
        (
            lambda: KPMCalculator(MODEL, reference="exact"),
            "reference must be 'rational', 'ed' or what makes a solver .*, got 'exact'",
        ),
        (lambda: KPMCalculator(SDModel(hopping=ShellHopping([1.0]), coupling=1.0, filling=0.3)), "KPM needs kT > 0"),
    ],
)
def test_bad_input(build, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build()
