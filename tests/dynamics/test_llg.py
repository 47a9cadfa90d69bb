"""LLG driver: precession, damping, thermostat, fields, frozen spins, restart, errors."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.emt import EMT
from ase.io import read
from scipy.integrate import solve_ivp
from systems.spins import Deaf, Pairs, ring

from spinase import SpinAtoms
from spinase.atoms import get_moments
from spinase.calculators import EDCalculator
from spinase.dynamics import LLGDynamics
from spinase.electrons import SDModel, ShellHopping
from spinase.errors import (
    InvalidMomentsError,
    MissingMagneticForcesError,
    ModelError,
    MomentsIgnoredError,
    StyleError,
    UnitMismatchError,
)
from spinase.units import METAL

GAMMA_PER_FS = 3.0385  # rad/fs per (eV/mu_B), g = 2


def single(
    field: tuple[float, float, float], moment: float = 2.2, spins: tuple[float, ...] = (1, 0, 0), **keys: object
) -> Atoms:
    atoms = SpinAtoms("Fe", positions=[[0, 0, 0]], spins=spins, **keys)
    atoms.moments = moment * atoms.spins
    atoms.calc = Pairs(np.zeros((1, 1)), field)
    return atoms


def magnet(
    sites: int = 8, exchange: float = 1.0, units_name: str = "reduced", moment: float = 1.0, seed: int = 3
) -> SpinAtoms:
    atoms = SpinAtoms.lattice("chain", (sites,), units=units_name, moment=moment, rng=seed)
    atoms.calc = Pairs(ring(sites, exchange))
    return atoms


@pytest.mark.parametrize("integrator", ["heun", "depondt", "sib", "midpoint"])
def test_precession_has_the_right_period_and_sense(integrator: str) -> None:
    field = 0.01  # eV/mu_B along z
    atoms = single((0, 0, field))
    period_fs = 2 * np.pi / (GAMMA_PER_FS * field)
    dyn = LLGDynamics(atoms, timestep=period_fs / 400 * units.fs, integrator=integrator)
    dyn.run(100)  # a quarter turn: ds/dt = -gamma s x B = +gamma B z x s turns x to +y
    np.testing.assert_allclose(get_moments(atoms)[0] / 2.2, [0, 1, 0], atol=4e-4)
    dyn.run(300)
    np.testing.assert_allclose(get_moments(atoms)[0] / 2.2, [1, 0, 0], atol=1e-3)


@pytest.mark.parametrize("form", ["landau-lifshitz-gilbert", "landau-lifshitz"])
def test_damped_switching_follows_the_closed_form(form: str) -> None:
    alpha, field, theta = 0.1, 1.0, 2.8
    atoms = single((0, 0, field), 1.0, (np.sin(theta), 0, np.cos(theta)), units="reduced")
    dyn = LLGDynamics(atoms, timestep=0.01, damping=alpha, form=form)
    dyn.run(2000)
    rate = alpha * field / (1 + alpha**2 if form == "landau-lifshitz-gilbert" else 1.0)
    # d theta/dt = -rate sin theta: tan(theta/2) decays exponentially; the azimuth advances at field/(1 + alpha^2)
    expected = 2 * np.arctan(np.tan(theta / 2) * np.exp(-rate * 20.0))
    spin = get_moments(atoms)[0]
    assert np.arccos(spin[2]) == pytest.approx(expected, rel=1e-4)
    turns = field * 20.0 / (1 + alpha**2 if form == "landau-lifshitz-gilbert" else 1.0)
    assert np.exp(1j * np.arctan2(spin[1], spin[0])) == pytest.approx(np.exp(1j * turns), abs=1e-3)


@pytest.mark.parametrize("form", ["landau-lifshitz-gilbert", "landau-lifshitz"])
@pytest.mark.parametrize("units_name", ["reduced", "metal"])
def test_thermostat_reproduces_the_langevin_function(form: str, units_name: str) -> None:
    """<s_z> = coth x - 1/x with x = mu B/kT for independent spins; every spin is a sample."""
    sites, x = 400, 2.0
    moment, scale = (1.7, 0.01) if units_name == "metal" else (1.0, 1.0)
    atoms = SpinAtoms.lattice("chain", (sites,), units=units_name, moment=moment, rng=1)
    atoms.calc = Pairs(np.zeros((sites, sites)), (0, 0, scale))
    step = 0.1 if units_name == "reduced" else 0.1 / (METAL.gyromagnetic_ratio * scale)
    kT = moment * scale / x
    heat = {"kT": kT} if units_name == "reduced" else {"temperature_K": kT / units.kB}
    dyn = LLGDynamics(atoms, timestep=step, damping=1.0, form=form, integrator="sib", rng=np.random.default_rng(5), **heat)
    dyn.run(150)
    samples = []
    for _ in range(60):
        dyn.run(10)
        samples.append(get_moments(atoms)[:, 2].mean() / moment)
    expected = 1 / np.tanh(x) - 1 / x
    error = np.std(samples) / np.sqrt(len(samples) / 4)
    assert np.mean(samples) == pytest.approx(expected, abs=4 * error)
    assert error < 0.01


def test_trajectory_agrees_with_an_independent_solver_on_electrons() -> None:
    atoms = SpinAtoms.lattice("square", (3, 3), units="reduced", rng=3)
    atoms.calc = EDCalculator(SDModel(ShellHopping([1.0]), 1.0, filling=0.3, kT=0.2))
    alpha, fields, start = 0.2, EDCalculator(atoms.calc.model).field_function(atoms), atoms.spins.copy()

    def equation(_: float, flat: np.ndarray) -> np.ndarray:
        s = flat.reshape(-1, 3)
        torque = np.cross(s, fields(s))
        return -((torque + alpha * np.cross(s, torque)) / (1 + alpha**2)).ravel()

    exact = solve_ivp(equation, (0, 3.0), start.ravel(), rtol=1e-9, atol=1e-11).y[:, -1].reshape(-1, 3)
    assert np.abs(exact - start).max() > 0.05
    for integrator in ("heun", "depondt", "sib", "midpoint"):
        copy = atoms.copy()
        copy.calc = EDCalculator(atoms.calc.model)
        LLGDynamics(copy, timestep=0.02, damping=alpha, integrator=integrator).run(150)
        np.testing.assert_allclose(get_moments(copy), exact, atol=2e-4)


def test_metal_and_reduced_runs_agree() -> None:
    energy, moment = 0.05, 2.0
    reduced, metal = magnet(), magnet(exchange=energy / moment**2, units_name="metal", moment=moment)
    one = LLGDynamics(reduced, timestep=0.05, damping=0.1)
    two = LLGDynamics(metal, timestep=0.05 * METAL.hbar / energy, damping=0.1)
    one.run(200)
    two.run(200)
    np.testing.assert_allclose(get_moments(metal) / moment, get_moments(reduced), atol=1e-10)


def test_midpoint_keeps_energy_and_lengths_through_the_driver() -> None:
    atoms = magnet(sites=6)
    atoms.moments = get_moments(atoms) * np.linspace(0.5, 2.0, 6)[:, None]
    start, lengths = atoms.get_potential_energy(), np.linalg.norm(get_moments(atoms), axis=1)
    LLGDynamics(atoms, timestep=0.1, integrator="midpoint").run(300)
    assert atoms.get_potential_energy() == pytest.approx(start, abs=1e-10)
    np.testing.assert_allclose(np.linalg.norm(get_moments(atoms), axis=1), lengths, atol=1e-12)


def test_applied_fields_constant_and_in_time() -> None:
    constant = single((0, 0, 0), 1.0, units="reduced")
    constant.calc = Pairs(np.zeros((1, 1)), (0, 0, 0.3))
    LLGDynamics(constant, timestep=0.01, field=(0, 0, 0.7)).run(100)
    np.testing.assert_allclose(get_moments(constant)[0], [np.cos(1.0), np.sin(1.0), 0], atol=1e-5)
    ramp = single((0, 0, 0), 1.0, units="reduced")
    dyn = LLGDynamics(ramp, timestep=0.01, field=lambda time: (0, 0, 2 * time), probe=False)
    dyn.run(100)
    np.testing.assert_allclose(get_moments(ramp)[0], [np.cos(1.0), np.sin(1.0), 0], atol=3e-5)
    assert dyn.zeeman_energy() == pytest.approx(-2.0 * get_moments(ramp)[0, 2])


def test_frozen_and_non_magnetic_spins_stay() -> None:
    atoms = magnet()
    moments = get_moments(atoms)
    moments[5] = 0.0
    atoms.moments = moments
    LLGDynamics(atoms, timestep=0.1, frozen=[0, 2], damping=0.3, kT=0.1, rng=np.random.default_rng(0)).run(20)
    now = get_moments(atoms)
    np.testing.assert_array_equal(now[[0, 2, 5]], moments[[0, 2, 5]])
    assert np.abs(now[1] - moments[1]).max() > 0.01
    mask = np.arange(8) != 1
    LLGDynamics(atoms, timestep=0.1, frozen=mask).run(5)
    np.testing.assert_array_equal(get_moments(atoms)[mask], now[mask])


def test_ase_habits_work(tmp_path: Path) -> None:
    atoms, log, seen = magnet(), io.StringIO(), []
    dyn = LLGDynamics(atoms, timestep=0.1, damping=0.1, trajectory=str(tmp_path / "run.traj"), logfile=log, loginterval=5)
    dyn.attach(lambda: seen.append(dyn.nsteps), interval=4)
    steps = list(dyn.irun(10))
    assert steps == [False] * 10 + [True]
    assert seen == [0, 4, 8]
    assert dyn.get_time() == pytest.approx(1.0)
    lines = log.getvalue().splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("# time [hbar/t]")
    energies = [float(line.split()[1]) for line in lines[1:]]
    assert energies[2] < energies[0], "damping must lower the energy"
    assert energies[2] == pytest.approx(atoms.get_potential_energy() / 8, abs=1e-9)
    frames = read(tmp_path / "run.traj", ":")
    np.testing.assert_array_equal(get_moments(frames[-1]), get_moments(atoms))


def test_split_runs_and_restart_are_bit_exact() -> None:
    def driver(atoms: Atoms, seed: int = 9) -> LLGDynamics:
        return LLGDynamics(atoms, timestep=0.1, damping=0.2, kT=0.3, rng=np.random.default_rng(seed))

    whole, halves, restored = magnet(), magnet(), magnet(seed=77)
    driver(whole).run(20)
    first = driver(halves)
    first.run(10)
    state = first.checkpoint_state()
    first.run(10)
    np.testing.assert_array_equal(get_moments(halves), get_moments(whole))
    again = driver(restored, seed=1234)
    again.restore_state(state)
    again.run(10)
    assert again.nsteps == 20
    np.testing.assert_array_equal(get_moments(restored), get_moments(whole))


def test_changes_from_outside_are_taken_over() -> None:
    atoms = magnet()
    dyn = LLGDynamics(atoms, timestep=0.1)
    dyn.run(3)
    atoms.moments = np.tile([0.0, 0.0, 1.0], (8, 1))
    dyn.run(3)
    np.testing.assert_allclose(get_moments(atoms), np.tile([0.0, 0.0, 1.0], (8, 1)), atol=1e-14)


def test_plain_atoms_of_a_foreign_file_are_driven() -> None:
    plain = Atoms("Fe2", positions=[[0, 0, 0], [2, 0, 0]], magmoms=[[1, 0, 0.0], [0, 1, 0.0]])
    plain.calc = Pairs(ring(2, 0.01))
    LLGDynamics(plain, timestep=1.0 * units.fs).run(5)
    assert np.abs(get_moments(plain)[0] - [1, 0, 0]).max() > 0.01


def test_calculators_that_cannot_drive_spins_are_refused() -> None:
    atoms = SpinAtoms("Cu2", positions=[[0, 0, 0], [2.5, 0, 0]], spins=[0, 0, 1])
    with pytest.raises(MissingMagneticForcesError, match="the atoms have no calculator"):
        LLGDynamics(atoms, 1.0)
    atoms.calc = EMT()
    with pytest.raises(MissingMagneticForcesError, match="EMT gives no magnetic_forces"):
        LLGDynamics(atoms, 1.0)
    atoms.calc = Deaf()
    with pytest.raises(MomentsIgnoredError, match="Deaf returns the same magnetic_forces and energy .* ignores them"):
        LLGDynamics(atoms, 1.0).run(1)


def test_a_zeeman_field_alone_is_not_taken_for_deaf() -> None:
    atoms = single((0, 0, 0.1))
    LLGDynamics(atoms, 1.0).run(1)


def test_unit_mismatch_is_refused() -> None:
    atoms = magnet()
    atoms.calc.units = "metal"
    with pytest.raises(UnitMismatchError, match="Pairs works in metal units but the atoms are in reduced units"):
        LLGDynamics(atoms, 0.1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"timestep": -1.0}, ModelError, "timestep must be finite .* got -1"),
        ({"timestep": np.nan}, ModelError, "timestep must be finite"),
        ({"damping": -0.1}, ModelError, "damping must be finite"),
        ({"integrator": "rk4"}, StyleError, "unknown integrator 'rk4'; installed: depondt, heun, midpoint, sib"),
        ({"form": "gilbert"}, ModelError, "form must be"),
        ({"kT": -1.0}, ModelError, "kT must be finite"),
        ({"temperature_K": 300.0}, ModelError, "temperature_K needs metal units"),
        ({"kT": 1.0, "temperature_K": 300.0}, ModelError, "give the temperature once"),
        ({"frozen": [9]}, ModelError, "frozen index 9 is not a site 0..7"),
        ({"frozen": np.ones(3, dtype=bool)}, ModelError, "frozen as a mask needs 8 entries"),
        ({"field": (1.0, 2.0)}, InvalidMomentsError, r"applied field must have shape \(8, 3\)"),
        ({"field": (1.0, 2.0, np.inf)}, InvalidMomentsError, "applied field of site 0 is not finite"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LLGDynamics(magnet(), **({"timestep": 0.1} | options))  # type: ignore[arg-type]


def test_a_bath_needs_a_generator_and_damping() -> None:
    with pytest.raises(ModelError, match="needs a random generator"):
        LLGDynamics(magnet(), 0.1, damping=0.1, kT=1.0).run(1)
    with pytest.raises(ModelError, match="couples to the spins through the damping"):
        LLGDynamics(magnet(), 0.1, kT=1.0, rng=np.random.default_rng(0)).run(1)


def test_atoms_without_moments_are_refused() -> None:
    atoms = Atoms("Fe2", positions=[[0, 0, 0], [2, 0, 0]])
    atoms.calc = Pairs(ring(2))
    with warnings.catch_warnings(), pytest.raises(InvalidMomentsError, match="none of the atoms has a magnetic moment"):
        LLGDynamics(atoms, 0.1)
