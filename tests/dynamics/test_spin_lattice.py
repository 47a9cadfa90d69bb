"""Spin-lattice dynamics: conservation, reversal, known limits, thermostats, constraints, restart, bad input."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms, FixBondLength
from ase.md.verlet import VelocityVerlet

from spinase import SpinAtoms
from spinase.atoms import convert_units
from spinase.calculators import (
    EDCalculator,
    HeisenbergCalculator,
    KPMCalculator,
    RationalCalculator,
    SpinSumCalculator,
    ZeemanCalculator,
)
from spinase.dynamics import (
    LatticeBussi,
    LatticeLangevin,
    LLGDynamics,
    SpinLatticeDynamics,
    set_maxwell_boltzmann,
)
from spinase.electrons import ExponentialHopping, SDModel
from spinase.errors import AccuracyWarning, InputError, ModelError
from spinase.io import read_run
from spinase.radial import Exponential
from spinase.run import RunOptions, RunStopped, run_file
from spinase.units import METAL


class Springs(Calculator):
    """Atoms on springs to where they were first seen; knows no spins."""

    implemented_properties = ["energy", "forces"]

    def __init__(self, constant: float) -> None:
        super().__init__()
        self.constant, self.home = constant, None

    def calculate(self, atoms=None, properties=None, system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        self.home = atoms.get_positions() if self.home is None else self.home
        shift = atoms.get_positions() - self.home
        self.results = {"energy": 0.5 * self.constant * float(np.sum(shift**2)), "forces": -self.constant * shift}


EXCHANGE = Exponential(amplitude=0.4, decay=1.3, reference=1.0, cutoff=2.6, width=0.5)


def magnet(calc: object = None, sites: int = 24, kT: float = 0.02) -> SpinAtoms:  # noqa: N803
    atoms = SpinAtoms.disordered(sites, density=0.4, min_distance=0.9, units="reduced", rng=3)
    atoms.set_masses([55.845] * sites)
    atoms.calc = SpinSumCalculator([Springs(3.0), HeisenbergCalculator(law=EXCHANGE)]) if calc is None else calc
    set_maxwell_boltzmann(atoms, kT, np.random.default_rng(1))
    return atoms


def total(atoms: Atoms) -> float:
    return atoms.get_kinetic_energy() + atoms.calc.get_property("free_energy", atoms)


def drift(make: Callable[[], SpinAtoms], timestep: float, time: float, **options: object) -> float:
    """Largest deviation of the total energy in a run."""
    atoms = make()
    dynamics = SpinLatticeDynamics(atoms, timestep, **options)
    energies = [total(atoms)]
    dynamics.attach(lambda: energies.append(total(atoms)), interval=1)
    dynamics.run(round(time / timestep))
    return float(np.ptp(energies))


@pytest.mark.parametrize("options", [{}, {"spin_substeps": 3}], ids=["plain", "substeps"])
def test_the_energy_error_falls_as_the_square_of_the_step(options: dict) -> None:
    errors = [drift(magnet, timestep, 6.0, **options) for timestep in (0.2, 0.1, 0.05)]
    np.testing.assert_allclose(np.log2(np.array(errors[:-1]) / errors[1:]), 2.0, atol=0.4)


def test_the_energy_does_not_drift() -> None:
    atoms = magnet(SpinSumCalculator([Springs(30.0), HeisenbergCalculator(law=EXCHANGE)]))
    dynamics = SpinLatticeDynamics(atoms, 0.1)
    energies = []
    dynamics.attach(lambda: energies.append(total(atoms)), interval=3)
    dynamics.run(1800)
    assert np.ptp(energies) < 3.5 * np.ptp(energies[:60])  # a drift would make it ten


MODEL = SDModel(hopping=ExponentialHopping(1.0, 1.0, 1.5, 2.2), coupling=1.5, filling=0.3, kT=0.2)
ELECTRONS: dict[str, Callable[[], object]] = {
    "ed": lambda: EDCalculator(MODEL),
    "rational": lambda: RationalCalculator(MODEL, tolerance=1e-9),
    # bounds by hand: moving atoms may push the spectrum out of a band that was found, and another band is another estimate
    "kpm": lambda: KPMCalculator(MODEL, 1.0, renew=False, dtype="float64", count=20, order=100, bounds=(-18.0, 18.0)),
}


@pytest.mark.parametrize("style", ELECTRONS)
def test_electron_driven_atoms_and_spins_keep_their_energy(style: str) -> None:
    def make() -> SpinAtoms:
        return magnet(SpinSumCalculator([Springs(3.0), ELECTRONS[style]()]), sites=16)

    errors = [drift(make, timestep, 1.6) for timestep in (0.2, 0.1)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2.0, abs=0.5)


def test_reversing_momenta_and_spins_runs_the_film_backwards() -> None:
    atoms = magnet()
    start = atoms.positions.copy(), atoms.spins.copy()
    SpinLatticeDynamics(atoms, 0.15).run(40)
    assert np.abs(atoms.positions - start[0]).max() > 0.05
    assert np.abs(atoms.spins - start[1]).max() > 0.5
    atoms.set_momenta(-atoms.get_momenta())
    atoms.spins = -atoms.spins
    SpinLatticeDynamics(atoms, 0.15).run(40)
    np.testing.assert_allclose(atoms.positions, start[0], atol=1e-9)
    np.testing.assert_allclose(-atoms.spins, start[1], atol=1e-9)


def test_total_moment_and_momentum_are_kept() -> None:
    atoms = magnet(HeisenbergCalculator(law=EXCHANGE))
    before = atoms.moments.sum(axis=0), atoms.get_momenta().sum(axis=0)
    SpinLatticeDynamics(atoms, 0.05).run(100)
    np.testing.assert_allclose(atoms.moments.sum(axis=0), before[0], atol=1e-10)
    np.testing.assert_allclose(atoms.get_momenta().sum(axis=0), before[1], atol=1e-10)


def test_without_coupling_atoms_follow_velocity_verlet_and_spins_the_llg_driver() -> None:
    def copper() -> SpinAtoms:
        atoms = SpinAtoms.lattice("cubic", (2, 2, 2), a=2.6, symbol="Cu", rng=8)
        set_maxwell_boltzmann(atoms, 0.03, np.random.default_rng(2))
        return atoms

    field = ZeemanCalculator((0.0, 0.0, 0.001))
    both, lattice, spins = copper(), copper(), copper()
    both.calc, lattice.calc, spins.calc = SpinSumCalculator([EMT(), field]), EMT(), field
    SpinLatticeDynamics(both, 2 * units.fs, damping=0.1).run(25)
    VelocityVerlet(lattice, 2 * units.fs).run(25)
    LLGDynamics(spins, 2 * units.fs, damping=0.1, integrator="midpoint").run(25)
    np.testing.assert_allclose(both.positions, lattice.positions, atol=1e-12)
    np.testing.assert_allclose(both.get_momenta(), lattice.get_momenta(), atol=1e-12)
    np.testing.assert_allclose(both.spins, spins.spins, atol=1e-12)


def test_fast_forces_in_small_steps() -> None:
    def make() -> SpinAtoms:
        return magnet(SpinSumCalculator([Springs(400.0), HeisenbergCalculator(law=EXCHANGE)]))

    def error(timestep: float, substeps: int) -> float:
        atoms = make()
        dynamics = SpinLatticeDynamics(atoms, timestep, fast=atoms.calc.calculators[0], fast_substeps=substeps)
        energies = [total(atoms)]
        dynamics.attach(lambda: energies.append(total(atoms)), interval=1)
        dynamics.run(round(3.0 / timestep))
        return float(np.ptp(energies))

    coarse = error(0.1, 1)
    assert error(0.1, 8) < 0.15 * coarse
    one, other = make(), make()
    SpinLatticeDynamics(one, 0.002).run(200)
    SpinLatticeDynamics(other, 0.02, fast=other.calc.calculators[0], fast_substeps=20).run(20)
    np.testing.assert_allclose(one.positions, other.positions, atol=2e-5)
    np.testing.assert_allclose(one.spins, other.spins, atol=2e-3)


# -- baths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bath", ["langevin", "bussi"])
def test_a_bath_gives_the_canonical_kinetic_energy(bath: str) -> None:
    atoms = magnet(SpinSumCalculator([Springs(3.0), ZeemanCalculator((0.0, 0.0, 0.1))]), sites=12, kT=0.01)
    kT, thermostat = 0.05, LatticeLangevin(0.05, 1.0) if bath == "langevin" else LatticeBussi(0.05, 0.5)
    mass = atoms.get_masses()[0]
    dynamics = SpinLatticeDynamics(atoms, 0.3 * np.sqrt(mass / 3.0), thermostat=thermostat, rng=np.random.default_rng(5))
    dynamics.run(100)
    kinetic = []
    dynamics.attach(lambda: kinetic.append(atoms.get_kinetic_energy()), interval=4)
    dynamics.run(2500)
    freedoms = 36 if bath == "langevin" else 33  # velocity rescaling leaves the total momentum, which was zero
    assert np.mean(kinetic) == pytest.approx(0.5 * freedoms * kT, rel=0.04)
    assert np.std(kinetic) == pytest.approx(np.sqrt(0.5 * freedoms) * kT, rel=0.12)


def test_both_baths_together_give_both_temperatures() -> None:
    """Langevin function for the spins, equipartition for springs and momenta."""
    atoms = magnet(SpinSumCalculator([Springs(3.0), ZeemanCalculator((0.0, 0.0, 0.2))]), sites=240, kT=0.05)
    rng, home = np.random.default_rng(7), atoms.get_positions()
    step = 0.25 * np.sqrt(atoms.get_masses()[0] / 3.0)
    dynamics = SpinLatticeDynamics(
        atoms, step, thermostat=LatticeLangevin(0.05, 0.3), damping=0.5, kT=0.1, rng=rng, spin_substeps=3
    )
    dynamics.run(200)
    moments, stretch, kinetic = [], [], []

    def look() -> None:
        moments.append(atoms.spins[:, 2].mean())
        stretch.append(np.mean((atoms.positions - home) ** 2))
        kinetic.append(atoms.get_kinetic_energy() / 240)

    dynamics.attach(look, interval=3)
    dynamics.run(900)
    assert np.mean(moments) == pytest.approx(1 / np.tanh(2.0) - 0.5, abs=0.03)
    assert 3.0 * np.mean(stretch) == pytest.approx(0.05, rel=0.06)
    assert np.mean(kinetic) == pytest.approx(1.5 * 0.05, rel=0.06)


def test_heat_flows_from_hot_spins_to_the_cold_lattice() -> None:
    atoms = magnet(sites=30, kT=1e-4)
    dynamics = SpinLatticeDynamics(atoms, 0.1, thermostat=LatticeLangevin(1e-4, 0.5), rng=np.random.default_rng(2))
    before = atoms.calc.get_property("free_energy", atoms)
    dynamics.run(400)
    assert atoms.calc.get_property("free_energy", atoms) < before - 0.02 * 30


# -- constraints, restart, runs ---------------------------------------------------------------------------------------


def test_fixed_atoms_and_frozen_spins_stay_and_bonds_keep_their_length() -> None:
    atoms = magnet()
    atoms.set_constraint([FixAtoms([0, 1]), FixBondLength(4, 5)])
    atoms.set_momenta(atoms.get_momenta())
    start, spins, length = atoms.get_positions(), atoms.spins.copy(), atoms.get_distance(4, 5, mic=True)
    SpinLatticeDynamics(atoms, 0.05, frozen=[2, 3]).run(60)
    np.testing.assert_array_equal(atoms.positions[:2], start[:2])
    np.testing.assert_allclose(atoms.spins[[2, 3]], spins[[2, 3]], atol=1e-15)
    assert atoms.get_distance(4, 5, mic=True) == pytest.approx(length, abs=1e-6)
    assert np.abs(atoms.positions[6:] - start[6:]).max() > 1e-2


def test_a_run_cut_in_two_equals_one_run() -> None:
    def start(seed: int) -> tuple[SpinAtoms, SpinLatticeDynamics]:
        atoms = magnet(SpinSumCalculator([HeisenbergCalculator(law=EXCHANGE), ZeemanCalculator((0, 0, 0.1))]))
        options = {"thermostat": LatticeBussi(0.1, 1.0), "damping": 0.1, "kT": 0.1}
        return atoms, SpinLatticeDynamics(atoms, 0.05, rng=np.random.default_rng(seed), **options)

    whole, dynamics = start(1)
    dynamics.run(7)
    state = dynamics.checkpoint_state()
    dynamics.run(9)
    rest, again = start(2)
    again.restore_state(state)
    again.run(9)
    np.testing.assert_array_equal(rest.positions, whole.positions)
    np.testing.assert_array_equal(rest.get_momenta(), whole.get_momenta())
    np.testing.assert_array_equal(rest.moments, whole.moments)


@pytest.mark.parametrize("style", ["rational", "kpm", "refreshed"])
def test_electron_driven_motion_cut_in_two_equals_one_run(style: str) -> None:
    """Also when the order of elimination, the band or the reference is older than the cut."""

    def start() -> tuple[SpinAtoms, SpinLatticeDynamics]:
        crude = {"count": 20, "order": 60, "accuracy": 0.5}
        calc = {
            "rational": lambda: RationalCalculator(MODEL),
            "kpm": lambda: KPMCalculator(MODEL, **crude),
            "refreshed": lambda: KPMCalculator(MODEL, reference="ed", **crude),
        }[style]()
        atoms = magnet(SpinSumCalculator([Springs(3.0), calc]), sites=40, kT=2.0)
        atoms.calc.calculators[0].home = atoms.get_positions()
        return atoms, SpinLatticeDynamics(atoms, 0.4)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AccuracyWarning)
        whole, dynamics = start()
        dynamics.run(8)
        states = dynamics.checkpoint_state(), whole.calc.checkpoint_state()
        dynamics.run(6)
        rest, again = start()
        again.restore_state(states[0])
        rest.calc.restore_state(json.loads(json.dumps(states[1])))
        again.run(6)
    np.testing.assert_array_equal(rest.positions, whole.positions)
    np.testing.assert_array_equal(rest.moments, whole.moments)


def test_a_field_that_depends_on_time_is_seen_at_the_right_time_in_substeps() -> None:
    def final(substeps: int, timestep: float) -> np.ndarray:
        atoms = magnet(SpinSumCalculator([Springs(3.0), ZeemanCalculator((0.0, 0.0, 0.5))]))
        options = {"field": lambda time: [0.4 * np.cos(time), 0.0, 0.0], "integrator": "sib"}
        SpinLatticeDynamics(atoms, timestep, spin_substeps=substeps, **options).run(round(2.0 / timestep))
        return atoms.spins

    exact = final(1, 0.005)
    errors = [np.abs(final(10, 0.5) - exact).max(), np.abs(final(20, 0.5) - exact).max()]
    assert errors[0] < 2e-3
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2.0, abs=0.4)


def test_the_log_adds_up() -> None:
    atoms, log = magnet(), io.StringIO()
    SpinLatticeDynamics(atoms, 0.1, logfile=log, loginterval=2).run(4)
    lines = log.getvalue().splitlines()
    assert lines[0].startswith("#")
    assert "lattice kT [t]" in lines[0]
    assert len(lines) == 4
    time, potential, kinetic, whole, lattice, _, _ = (float(word) for word in lines[-1].split())
    assert time == pytest.approx(0.4)
    assert whole == pytest.approx(total(atoms) / 24, abs=1e-9)
    assert whole == pytest.approx(potential + kinetic, abs=1e-9)
    assert lattice == pytest.approx(2 * 24 * kinetic / (3 * 24 - 3), abs=2e-5)  # of the motion against each other


INPUT = """
units = "reduced"
seed = 3
[atoms]
disordered = { sites = 20, density = 0.4, min_distance = 0.9 }
mass = 55.8
[calculator]
style = "heisenberg"
law = { amplitude = 0.4, decay = 1.3, reference = 1.0, cutoff = 2.6, switch_width = 0.5 }
[[stage]]
driver = "spin-lattice"
steps = 20
timestep = 0.05
initial_kT = 0.02
[[stage]]
driver = "spin-lattice"
steps = 20
timestep = 0.05
thermostat = "langevin"
lattice_kT = 0.02
friction = 0.2
damping = 0.1
kT = 0.02
[[observer]]
style = "energy"
[output]
every = 5
checkpoint_every = 7
"""


def test_input_files_move_atoms_and_restart_to_the_last_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.toml").write_text(INPUT)
    whole = read_run(run_file("in.toml", options=RunOptions(output=tmp_path / "whole")))
    assert np.abs(whole.positions[-1] - whole.positions[0]).max() > 1e-3
    for number, cut in enumerate((9, 25)):
        with pytest.raises(RunStopped):
            run_file("in.toml", options=RunOptions(output=tmp_path / "cut", restart=number > 0, stop_after=cut))
    cut = read_run(run_file("in.toml", options=RunOptions(output=tmp_path / "cut", restart=True)))
    np.testing.assert_array_equal(cut.positions, whole.positions)
    np.testing.assert_array_equal(cut.moments, whole.moments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("stage.1.friction=-1", "friction"),
        ("stage.1.thermostat=bussi", "thermostat = 'bussi' (has no friction|needs relaxation)"),
        ("stage.0.lattice_kT=0.1", "thermostat = None has no lattice_kT"),
        ("stage.0.fast=2", "fast = 2: HeisenbergCalculator has 0 terms"),
    ],
)
def test_bad_input_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.toml").write_text(INPUT)
    with pytest.raises((InputError, ModelError), match=message):
        run_file("in.toml", [change])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spin_substeps": 0}, "spin_substeps must be a positive whole number, got 0"),
        ({"fast_substeps": 1.5}, "fast_substeps must be"),
        ({"thermostat": LatticeLangevin(0.1, 1.0)}, "a thermostat needs a random generator"),
        ({"fast": Springs(1.0)}, "`fast` must be one of the members"),
    ],
)
def test_bad_options(options: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        SpinLatticeDynamics(magnet(), 0.1, **options)


def test_no_forces_and_bad_baths_are_refused() -> None:
    class Fields(Calculator):
        implemented_properties = ["energy", "magnetic_forces"]

    with pytest.raises(ModelError, match="Fields has no forces on atoms: use LLGDynamics at fixed positions"):
        SpinLatticeDynamics(magnet(Fields()), 0.1)
    for build in (lambda: LatticeLangevin(-1.0, 1.0), lambda: LatticeLangevin(1.0, 0.0), lambda: LatticeBussi(1.0, -2.0)):
        with pytest.raises(ModelError, match="must be"):
            build()


def test_a_magnet_converted_to_metal_units_moves_alike() -> None:
    """Masses that were set are converted, too: one reduced unit is t (moment hbar/(2 t))^2/a^2."""
    energy, length, moment = 0.03, 2.5, 1.7
    time = moment / (energy * METAL.gyromagnetic_ratio)
    reduced = SpinAtoms.lattice("cubic", (3, 3, 3), units="reduced", rng=1)
    reduced.set_masses(np.linspace(3.0, 5.0, 27))
    reduced.positions[0] += [0.1, -0.05, 0.08]
    metal = convert_units(reduced, "metal", energy=energy, length=length, moment=moment)
    for atoms, e, a, t in ((reduced, 1.0, 1.0, 1.0), (metal, energy, length, time)):
        atoms.calc = HeisenbergCalculator(law=Exponential(0.7 * e, 1.3 / a, a, 1.9 * a, 0.4 * a))
        SpinLatticeDynamics(atoms, 0.05 * t).run(20)
    np.testing.assert_allclose(metal.positions, length * reduced.positions, atol=1e-9)
    np.testing.assert_allclose(metal.spins, reduced.spins, atol=1e-9)
    metal = SpinAtoms(metal.symbols, metal.positions, masses=metal.get_masses(), moments=metal.moments)
    back = convert_units(metal, "reduced", energy=energy, length=length, moment=moment)
    np.testing.assert_allclose(back.get_masses(), reduced.get_masses(), rtol=1e-12)
