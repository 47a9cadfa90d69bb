"""Time steps that a bath does not survive, numbers in other units: the criterion against baths that were run."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from ase import units
from ase.calculators.calculator import Calculator, all_changes

from spinase import SpinAtoms
from spinase.atoms import get_moments
from spinase.calculators import EDCalculator, HeisenbergCalculator, ZeemanCalculator
from spinase.dynamics import LLGDynamics, MonteCarlo
from spinase.dynamics.integrators import ImplicitMidpoint, make_integrator
from spinase.dynamics.step_check import (
    StepSetting,
    bath_problem,
    following_share,
    linear_step,
    motion_error,
    motion_problem,
    temperature_ratio,
)
from spinase.electrons import SDModel, ShellHopping
from spinase.errors import AccuracyWarning
from spinase.units import METAL


class Following(Calculator):
    """B = h z + kappa m: a field that stays and one that turns with its own moment (E = -h m_z - kappa m^2/2)."""

    implemented_properties = ["energy", "magnetic_forces"]

    def __init__(self, stays: float, follows: float) -> None:
        super().__init__()
        self.stays, self.follows = stays, follows

    def calculate(self, atoms=None, properties=None, system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        moments = get_moments(atoms)
        self.results = {
            "energy": -self.stays * float(moments[:, 2].sum()) - 0.5 * self.follows * float(np.sum(moments**2)),
            "magnetic_forces": self.follows * moments + [0.0, 0.0, self.stays],
        }


def langevin_temperature(mean: float, field: float) -> float:
    """kT at which <s_z> = coth(B/kT) - kT/B, by bisection."""
    low, high = 1e-4, 10.0 * field
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if 1 / np.tanh(field / middle) - middle / field > mean else (low, middle)
    return 0.5 * (low + high)


@pytest.mark.parametrize(
    ("integrator", "stays", "follows", "damping", "form"),
    [
        ("sib", 0.3, 2.4, 0.3, "landau-lifshitz-gilbert"),
        ("sib", 0.4, 1.2, 1.0, "landau-lifshitz"),
        ("depondt", 0.3, 2.0, 0.3, "landau-lifshitz-gilbert"),
        ("heun", 0.3, 2.4, 0.3, "landau-lifshitz"),
        ("heun", 1.0, 0.0, 0.3, "landau-lifshitz-gilbert"),
        pytest.param("midpoint", 0.3, 2.0, 0.3, "landau-lifshitz-gilbert", marks=pytest.mark.slow),
    ],
)
def test_the_criterion_predicts_the_temperature_of_a_bath(
    integrator: str, stays: float, follows: float, damping: float, form: str
) -> None:
    """Langevin's function read backwards, of 900 spins in a step of 1, at a low temperature where deviations are small."""
    expected = temperature_ratio(make_integrator(integrator), stays, follows, damping, form)
    atoms = SpinAtoms.lattice("square", (30, 30), units="reduced", texture="ferro")
    atoms.calc = Following(stays, follows)
    kT = 0.04 * stays
    dynamics = LLGDynamics(atoms, 1.0, damping=damping, form=form, kT=kT, integrator=integrator, rng=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the step check says is tested below
        dynamics.run(round(12 / (damping * stays)))
    seen = []
    dynamics.attach(lambda: seen.append(atoms.spins[:, 2].mean()), 5)
    dynamics.run(round(50 / (damping * stays)))
    assert langevin_temperature(float(np.mean(seen)), stays) / kT == pytest.approx(expected, rel=0.06)


def test_a_cayley_rotation_slows_what_follows_the_spin() -> None:
    """Heun and midpoint see s x B only; the bath of the rotations gets colder by about 1/(1 + x^2/4)."""
    for x in (0.5, 1.5, 3.0):
        for name in ("heun", "midpoint"):
            ratio = temperature_ratio(make_integrator(name), 0.05, x, 0.3, "landau-lifshitz-gilbert")
            assert ratio == pytest.approx(1.0, abs=0.02)
        turned = x / 1.09
        found = temperature_ratio(make_integrator("sib"), 0.05, x, 0.3, "landau-lifshitz-gilbert")
        assert found == pytest.approx(1 / (1 + turned**2 / 4), abs=0.15)
    exact = linear_step(make_integrator("midpoint"), 0.2, 0.0, 0.0, "landau-lifshitz-gilbert").kept
    assert abs(exact) == pytest.approx(1.0, abs=1e-10)


@pytest.mark.parametrize("integrator", ["sib", "depondt", "heun", "midpoint"])
def test_slow_spins_move_as_wrong_as_the_criterion_says(integrator: str) -> None:
    """A spin near z in B = 0.01 z + 1.5 m: ln(s_x + i s_y) after 20 steps, against that of a field without 1.5 m."""

    def moved(follows: float) -> complex:
        atoms = SpinAtoms.lattice("chain", (1,), units="reduced", texture="ferro")
        atoms.spins = np.array([[1e-3, 0.0, 1.0]])
        atoms.calc = Following(0.01, follows)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            LLGDynamics(atoms, 1.0, damping=0.2, integrator=integrator).run(20)
        return complex(np.log(complex(*atoms.spins[0, :2]) / 1e-3))

    expected = motion_error(make_integrator(integrator), 1.5, 0.2, "landau-lifshitz-gilbert")
    assert abs(moved(1.5) - moved(0.0)) / abs(moved(0.0)) == pytest.approx(expected, abs=1e-3)
    finer = motion_error(make_integrator(integrator), 0.375, 0.2, "landau-lifshitz-gilbert")
    if integrator in ("sib", "depondt"):
        assert expected > 0.3
        assert finer < expected / 8.0
    else:
        assert expected < 1e-6


def test_only_fields_that_follow_the_spins_move_them_wrong() -> None:
    """1.2 radian a step: of a field that stays it is a precession, as it should be; of one that follows, it is not."""
    setting = StepSetting(make_integrator("sib"), 0.6, 2.0, 0.1, "landau-lifshitz-gilbert")
    along = np.full(5, 1.0)
    assert motion_problem(setting, along, 0.0) is None
    assert motion_problem(setting, along, 0.2) is None
    told = motion_problem(setting, along, 1.0)
    assert told is not None
    assert "gamma B dt = 1.2 radian" in told
    assert "Use a time step of 0.15" in told, "0.3 has an error of 8 %, 0.15 one of 2 %"
    assert motion_problem(setting, -along, 1.0) is not None
    assert motion_problem(setting, along[:0], 1.0) is None


@pytest.mark.parametrize(("stays", "follows", "sites"), [(0.4, 1.2, 30), (1.0, 0.0, 1), (0.0, 2.0, 1)])
def test_the_part_that_follows_is_measured(stays: float, follows: float, sites: int) -> None:
    atoms = SpinAtoms.lattice("chain", (sites,), units="reduced", texture="ferro")
    calc = Following(stays, follows)
    atoms.calc = calc

    def fields(spins: np.ndarray) -> np.ndarray:
        return follows * spins + [0.0, 0.0, stays]

    share = following_share(fields, atoms.spins, np.ones(sites, dtype=bool))
    assert share == pytest.approx(follows / (stays + follows), abs=1e-3)


def test_neighbours_do_not_count_as_following() -> None:
    atoms = SpinAtoms.lattice("square", (12, 12), units="reduced", texture="ferro")
    atoms.calc = HeisenbergCalculator([1.0])
    fields = atoms.calc.field_function(atoms)
    assert following_share(fields, atoms.spins, np.ones(144, dtype=bool)) < 0.1


def test_the_step_that_is_advised_is_right_and_twice_of_it_is_not() -> None:
    setting = StepSetting(make_integrator("sib"), 0.8, 1.0, 0.1, "landau-lifshitz-gilbert")
    along = np.linspace(4.0, 7.0, 9)
    told = bath_problem(setting, along, 0.9)
    assert told is not None
    step = float(re.search(r"a time step of ([0-9.]+)", told).group(1))  # type: ignore[union-attr]
    assert step < 0.4
    assert abs(setting.ratio(along, 0.9, step) - 1.0) < 0.05 <= abs(setting.ratio(along, 0.9, 2.0 * step) - 1.0)
    assert bath_problem(setting, along[:0], 0.9) is None
    assert bath_problem(StepSetting(setting.integrator, step, 1.0, 0.1, setting.form), along, 0.9) is None


def test_strongly_coupled_electrons_are_announced_once_with_what_to_do() -> None:
    """J = 6, dt = 0.4: the bath is 25 to 50 % too cold."""
    atoms = SpinAtoms.lattice("square", (4, 4), units="reduced", rng=1)
    atoms.calc = EDCalculator(SDModel(ShellHopping([1.0]), 6.0, filling=0.45, kT=0.1))
    dynamics = LLGDynamics(atoms, 0.4, damping=0.1, kT=0.1, rng=1)
    message = r"too cold by [2-9]\d% .*gamma B dt = .* radian.*Use a time step of .* or integrator='heun'"
    with pytest.warns(AccuracyWarning, match=message):
        dynamics.run(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dynamics.run(1)
        LLGDynamics(atoms, 0.4, damping=0.1, kT=0.1, rng=1, integrator="heun").run(1)
        LLGDynamics(atoms, 0.05, damping=0.1, kT=0.1, rng=1).run(1)
        LLGDynamics(atoms, 0.4, damping=0.1, integrator="heun").run(1)
    message = (
        r"slow textures move wrong by [2-9]\d% in this time step \(0\.4\): .* Use a time step of .*, or integrator='heun'"
    )
    with pytest.warns(AccuracyWarning, match=message):
        LLGDynamics(atoms, 0.4, damping=0.1).run(1)  # no bath


# -- units -------------------------------------------------------------------------------------------------------------


def iron(factor: float = 1.0) -> SpinAtoms:
    """Ferromagnetic iron: no torques, whatever the units."""
    atoms = SpinAtoms.lattice("cubic", (3, 3, 3), a=2.5, moment=2.2, texture="ferro")
    atoms.calc = HeisenbergCalculator([0.039 * factor], units="metal")
    return atoms


BATH = {"damping": 0.1, "rng": 1}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LLGDynamics(iron(1000), 0.1 * units.fs, temperature_K=300, **BATH), "couplings are in eV, not in meV"),
        (lambda: LLGDynamics(iron(), 2.0, temperature_K=300, **BATH), r"20\.4 fs: ASE's unit of time is 10\.18 fs"),
        (lambda: LLGDynamics(iron(), 0.1 * units.fs, field=(0, 0, 10)), r"applied field is 172,\d\d\d T \(10 eV/mu_B\)"),
        (lambda: LLGDynamics(iron(), 0.1 * units.fs, kT=300, **BATH), r"kT = 300 eV is 3,4\d\d,\d\d\d K"),
        (lambda: MonteCarlo(iron(1000), 0.02, rng=1), "couplings are in eV, not in meV"),
        (lambda: MonteCarlo(iron(), 300.0, rng=1), "give kelvin as temperature_K"),
    ],
)
def test_an_ordered_start_in_wrong_units_is_told(make, message: str) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        make().run(1)
    assert all(issubclass(entry.category, AccuracyWarning) for entry in told)
    assert any(re.search(message, str(entry.message)) for entry in told), [str(entry.message) for entry in told]


def test_right_units_are_silent_and_told_in_human_numbers() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for driver in (
            LLGDynamics(iron(), 1.0 * units.fs, temperature_K=300, field=(0, 0, 10 * METAL.tesla), **BATH),
            MonteCarlo(iron(), 300 * METAL.boltzmann, rng=1),
        ):
            driver.run(1)
    dynamics = LLGDynamics(iron(), 1.0 * units.fs, temperature_K=300, field=(0, 0, 10 * METAL.tesla), **BATH)
    told = dynamics.step_numbers().describe()
    assert told.startswith("time step 1 fs, kT 300 K (0.02585 eV), applied field 10 T, all fields up to")
    assert "gamma |B| dt up to" in told
    assert "time step" not in MonteCarlo(iron(), 0.02, rng=1).look_at_step()[0].describe()
    reduced = SpinAtoms.lattice("square", (3, 3), units="reduced", texture="ferro")
    reduced.calc = ZeemanCalculator((0, 0, 0.5))
    assert LLGDynamics(reduced, 0.2).step_numbers().describe() == (
        "time step 0.2 hbar/t, kT 0 t, applied field 0 t/|m|, all fields up to 0.5 t/|m|, gamma |B| dt up to 0.1 radian"
    )


def test_looking_at_a_step_leaves_the_memory_of_an_integrator() -> None:
    integrator = ImplicitMidpoint()
    integrator.resolution = 1e-2  # of coarse fields; the look is at exact ones
    integrator.step(np.array([[1.0, 0.0, 0.0]]), lambda s, _: np.array([[0.0, 0.0, 1.0]]), 1.0)
    before = integrator.state()
    found = linear_step(integrator, 0.2, 0.0, 0.0, "landau-lifshitz-gilbert")
    assert str(integrator.state()) == str(before)
    assert integrator.resolution == 1e-2
    assert found == linear_step(ImplicitMidpoint(), 0.2, 0.0, 0.0, "landau-lifshitz-gilbert")
