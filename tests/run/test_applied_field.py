"""The field of a driver in logs, observers and samplers: one definition each, against a Zeeman term in the calculator."""

from __future__ import annotations

import io

import numpy as np
import pytest
from references.spin_laplacian import spin_temperature as by_definition
from scipy.special import expit, xlogy

from spinase import SpinAtoms
from spinase.analysis import configurational_spin_temperature, spin_temperature
from spinase.atoms import set_moments
from spinase.calculators import (
    EDCalculator,
    HeisenbergCalculator,
    KPMCalculator,
    RationalCalculator,
    SpinSumCalculator,
    UniaxialAnisotropyCalculator,
    ZeemanCalculator,
)
from spinase.contract import energy_of
from spinase.dynamics import LLGDynamics, MonteCarlo, SpinLatticeDynamics, parallel_tempering, simulated_annealing
from spinase.electrons import ExponentialHopping, SDModel, ShellHopping
from spinase.io.run_file import read_run
from spinase.observers import EnergyObserver, TorqueObserver
from spinase.observers.base import observe
from spinase.observers.motion import EnergyPartitionObserver
from spinase.run.execute import RunOptions, run_file

FIELD = np.array([0.3, -0.2, 0.9])


def magnet(zeeman: bool = False, dilute: bool = True) -> SpinAtoms:
    """Every third site without a moment, moments of two lengths; the field in the calculator or not."""
    atoms = SpinAtoms.lattice("square", (6, 6), units="reduced", rng=4)
    atoms.spins = np.array([0.0, 0.3, 1.0]) + 0.3 * atoms.spins
    atoms.set_masses(np.ones(36))
    lengths = np.array([1.0, 2.0, 0.0 if dilute else 1.5])[np.arange(36) % 3]
    atoms.moments = lengths[:, None] * atoms.spins
    atoms.set_momenta(0.01 * np.random.default_rng(0).normal(size=(36, 3)))
    terms = [HeisenbergCalculator(shells=[0.7]), UniaxialAnisotropyCalculator(0.4, (0, 1, 1))]
    atoms.calc = SpinSumCalculator([*terms, ZeemanCalculator(FIELD)] if zeeman else terms)
    return atoms


@pytest.mark.parametrize("observer", [EnergyObserver, TorqueObserver, EnergyPartitionObserver])
def test_observers_say_what_they_say_of_a_zeeman_term(observer) -> None:
    atoms, reference = magnet(), magnet(zeeman=True)
    driver = LLGDynamics(atoms, 0.01, field=FIELD)
    watching, other = observer(), observer()
    watching.prepare(atoms)
    other.prepare(reference)
    values, expected = observe(watching, atoms, driver), other.observe(reference)
    assert values == {name: pytest.approx(value, rel=1e-9) for name, value in expected.items()}
    without = observe(watching, atoms)  # no driver: no field
    assert without != {name: pytest.approx(value, rel=1e-3) for name, value in expected.items()}


def test_ramps_are_taken_at_the_time_of_the_observation() -> None:
    atoms = magnet()
    driver = LLGDynamics(atoms, 0.1, field=lambda time: time * FIELD)
    before = energy_of(atoms)
    assert observe(EnergyObserver(), atoms, driver)["free_energy"] == pytest.approx(before)
    driver.run(3)
    expected = energy_of(atoms) - 0.3 * float(np.sum(atoms.moments @ FIELD))
    assert observe(EnergyObserver(), atoms, driver)["free_energy"] == pytest.approx(expected)


@pytest.mark.parametrize("style", ["llg", "spin-lattice"])
def test_logs_and_observers_agree(style: str) -> None:
    atoms, text = magnet(), io.StringIO()
    options = {"field": FIELD, "logfile": text}
    driver = (LLGDynamics if style == "llg" else SpinLatticeDynamics)(atoms, 0.001, **options)
    driver.run(1)
    header, *_, line = text.getvalue().splitlines()
    numbers = [float(word) for word in line.split()]
    moving = atoms.moments[np.linalg.norm(atoms.moments, axis=1) > 0]
    if style == "llg":
        assert "free energy/site [t]" in header
        assert numbers[1] == pytest.approx(observe(EnergyObserver(), atoms, driver)["per_site"], abs=1e-9)
        assert numbers[2] == pytest.approx(np.linalg.norm(moving.mean(axis=0)), abs=1e-7)
        assert numbers[3] == pytest.approx(observe(TorqueObserver(), atoms, driver)["rms"], rel=1e-5)
    else:
        values = observe(EnergyPartitionObserver(), atoms, driver)
        names = ("potential", "kinetic", "total", "lattice_kT", "spin_kT")
        assert numbers[1:6] == pytest.approx([values[name] for name in names], rel=1e-6)
        assert numbers[6] == pytest.approx(np.linalg.norm(moving.mean(axis=0)), abs=1e-7)


@pytest.mark.parametrize("electrons", [EDCalculator, RationalCalculator, lambda m: KPMCalculator(m, columns="unit")])
@pytest.mark.parametrize("field", [np.zeros(3), 0.2 * FIELD])
def test_spin_temperatures_of_electrons_are_curvatures(electrons, field: np.ndarray) -> None:
    """Near order: a pair-model formula is an order of magnitude off here."""
    atoms = SpinAtoms.lattice("square", (4, 4), units="reduced")
    rng = np.random.default_rng(2)
    atoms.spins = np.array([0, 0, 1.0]) + 0.12 * rng.normal(size=(16, 3))
    model = SDModel(hopping=ShellHopping([1.0]), coupling=6.0, filling=0.2, kT=0.2)
    atoms.calc = electrons(model)
    exact = atoms.copy()
    exact.calc = EDCalculator(model)

    def energy(moments: np.ndarray) -> float:
        set_moments(exact, moments)
        return energy_of(exact) - float(np.sum(moments @ field))

    expected = by_definition(energy, atoms.moments)
    value = observe(EnergyPartitionObserver(), atoms, LLGDynamics(atoms, 0.01, field=field))["spin_kT"]
    assert value == pytest.approx(expected, rel=0.35)  # two random directions
    fields = atoms.calc.field_function(atoms)
    many = configurational_spin_temperature(lambda m: fields(m) + field, atoms.moments, rng, samples=40)
    assert many == pytest.approx(expected, rel=0.08)
    plain = spin_temperature(atoms.moments, atoms.calc.get_property("magnetic_forces", atoms) + field)
    assert plain < 0.6 * expected


def test_spin_temperatures_of_pair_models_are_exact_and_those_of_maxima_are_not_numbers() -> None:
    atoms = SpinAtoms.lattice("square", (4, 4), units="reduced")
    atoms.spins = np.array([0, 0, 1.0]) + 0.2 * np.random.default_rng(1).normal(size=(16, 3))
    atoms.calc = HeisenbergCalculator(shells=[1.0])

    def energy(moments: np.ndarray) -> float:
        other = atoms.copy()
        set_moments(other, moments)
        other.calc = atoms.calc
        return energy_of(other)

    value = EnergyPartitionObserver().observe(atoms)["spin_kT"]
    assert value == pytest.approx(by_definition(energy, atoms.moments), rel=1e-4)
    for calc in (HeisenbergCalculator(shells=[-1.0]), SpinSumCalculator([UniaxialAnisotropyCalculator(-1.0, (0, 0, 1))])):
        atoms.calc = calc
        assert np.isnan(EnergyPartitionObserver().observe(atoms)["spin_kT"])


# -- samplers ---------------------------------------------------------------------------------------------------------


def test_annealing_returns_the_energy_in_the_field() -> None:
    atoms, reference = magnet(), magnet(zeeman=True)
    energy = simulated_annealing(atoms, 2.0, 0.01, 60, np.random.default_rng(0), field=FIELD)
    set_moments(reference, atoms.moments)
    assert energy == pytest.approx(energy_of(reference), abs=1e-9)
    again = magnet(zeeman=True)
    same = simulated_annealing(again, 2.0, 0.01, 60, np.random.default_rng(0))
    assert same == pytest.approx(energy, rel=0.05)


def test_tempering_counts_energies_as_the_calculator_does() -> None:
    """Also constants: bonds to a site's own image, anisotropies that are the same for all directions."""
    atoms = SpinAtoms.lattice("square", (1, 4), units="reduced", rng=1)
    atoms.calc = SpinSumCalculator([HeisenbergCalculator(shells=[0.7, 0.2]), UniaxialAnisotropyCalculator(0.4, (0, 1, 1))])
    found = parallel_tempering(atoms, [0.3, 1.0], 5, np.random.default_rng(0))
    for spins, energy in zip(found.spins, found.energies[-1], strict=True):
        atoms.spins = spins
        assert energy == pytest.approx(energy_of(atoms), abs=1e-9)


def test_sampling_in_a_field_logs_the_energy_in_it() -> None:
    atoms, text = magnet(dilute=False), io.StringIO()
    MonteCarlo(atoms, 0.5, rng=np.random.default_rng(0), field=FIELD, logfile=text).run(2)
    reference = magnet(zeeman=True, dilute=False)
    set_moments(reference, atoms.moments)
    assert float(text.getvalue().splitlines()[-1].split()[1]) == pytest.approx(energy_of(reference) / 36, abs=1e-9)


# -- run files --------------------------------------------------------------------------------------------------------

INPUT = """
units = "reduced"
seed = 3
[atoms]
lattice = "square"
size = [4, 4]
[calculator]
style = "ed"
coupling = 1.5
kT = 0.2
{ensemble}
[calculator.hopping]
style = "shell"
amplitudes = [1.0]
[[stage]]
driver = "llg"
timestep = 0.05
damping = 0.2
steps = 4
{field}
[output]
every = 2
[[observer]]
style = "energy"
every = 2
[[observer]]
style = "torque"
every = 2
"""


@pytest.mark.parametrize("ensemble", ["filling = 0.3", "chemical_potential = -1.1"])
@pytest.mark.parametrize("field", ["", "field = [0.1, 0.2, 0.3]"])
def test_numbers_in_a_run_file_are_the_results_of_their_names(tmp_path, ensemble: str, field: str) -> None:
    (tmp_path / "run.toml").write_text(INPUT.format(ensemble=ensemble, field=field))
    path = run_file(tmp_path / "run.toml", options=RunOptions(output=tmp_path / "out"))
    run = read_run(path)
    name, value = ensemble.split(" = ")
    model = SDModel(hopping=ShellHopping([1.0]), coupling=1.5, kT=0.2, **{name: float(value)})
    atoms = SpinAtoms.lattice("square", (4, 4), units="reduced")
    applied = np.array([0.1, 0.2, 0.3]) if field else np.zeros(3)
    last = run.moments[-1]
    atoms.moments = last
    calc = EDCalculator(model)
    for result in ("energy", "free_energy"):
        expected = calc.get_property(result, atoms) - float(np.sum(last @ applied))
        assert run.observables["energy"][result].values[-1] == pytest.approx(expected, abs=1e-9)
    assert abs(run.observables["energy"]["energy"].values[-1] - run.observables["energy"]["free_energy"].values[-1]) > 0.1
    per_site = run.observables["energy"]["per_site"]
    assert per_site.values[-1] == pytest.approx(run.observables["energy"]["free_energy"].values[-1] / 16)
    assert per_site.label == "free energy per site"
    torques = np.cross(last, calc.get_property("magnetic_forces", atoms) + applied)
    rms = np.sqrt(np.mean(np.sum(torques**2, axis=1)))
    assert run.observables["torque"]["rms"].values[-1] == pytest.approx(rms, abs=1e-9)
    line = (path.parent / "log.txt").read_text().splitlines()
    assert "free energy/site" in line[0]
    assert float(line[-1].split()[2]) == pytest.approx(per_site.values[-1], abs=1e-11)
    assert float(line[-1].split()[4]) == pytest.approx(rms, rel=1e-7)


# -- thermodynamics ---------------------------------------------------------------------------------------------------


def disordered() -> SpinAtoms:
    atoms = SpinAtoms.disordered(40, density=0.25, min_distance=1.1, units="reduced", rng=3)
    atoms.moments = atoms.moments * np.array([1.0, 0.0, 1.0, 1.0])[np.arange(40) % 4][:, None]
    return atoms


SOLVERS = {
    "ed": EDCalculator,
    "rational": lambda model: RationalCalculator(model, 1e-9),
    "kpm": lambda model: KPMCalculator(model, 1e-7, columns="unit", dtype="float64"),
}


@pytest.mark.parametrize("ensemble", [{"filling": 0.3}, {"chemical_potential": -0.7}])
@pytest.mark.parametrize("style", SOLVERS)
def test_thermodynamic_identities_with_everything_written_out(style: str, ensemble: dict) -> None:
    """U, S, N, F and Omega from the levels of a matrix written as on paper; -dOmega/dmu = N and dU = mu dN + kT dS."""
    onsite = np.random.default_rng(1).uniform(-0.5, 0.5, 40)
    options = {
        "hopping": ExponentialHopping(1.0, 1.0, 1.5, 2.6),
        "coupling": 1.5,
        "onsite": onsite,
        "zeeman": (0.1, 0.2, -0.1),
    }
    kT, atoms = 0.15, disordered()
    calc = SOLVERS[style](SDModel(kT=kT, **options, **ensemble))
    levels = _levels(atoms, options)
    mu = calc.get_property("chemical_potential", atoms)
    f = expit((mu - levels) / kT)
    number, internal = f.sum(), f @ levels
    entropy = -np.sum(xlogy(f, f) + xlogy(1 - f, 1 - f))
    free = internal - kT * entropy - (mu * number if "chemical_potential" in ensemble else 0.0)
    close = {"abs": 2e-5 if style == "kpm" else 1e-6}
    assert calc.get_property("energy", atoms) == pytest.approx(internal, **close)
    assert calc.get_property("free_energy", atoms) == pytest.approx(free, **close)
    assert calc.get_property("entropy", atoms) == pytest.approx(entropy, abs=close["abs"] * 20)
    assert calc.get_property("electron_density", atoms).sum() == pytest.approx(number, **close)
    if "filling" in ensemble:
        assert number == pytest.approx(0.3 * 80, **close)
        return
    step = 1e-3
    up, down = (SOLVERS[style](SDModel(kT=kT, chemical_potential=mu + s * step, **options)) for s in (1, -1))
    slopes = {
        name: (up.get_property(name, atoms) - down.get_property(name, atoms)) / (2 * step)
        for name in ("free_energy", "energy", "entropy")
    }
    assert -slopes["free_energy"] == pytest.approx(number, abs=1e-3)
    dn = (up.get_property("electron_density", atoms).sum() - down.get_property("electron_density", atoms).sum()) / (2 * step)
    assert slopes["energy"] == pytest.approx(mu * dn + kT * slopes["entropy"], abs=2e-2 if style == "kpm" else 1e-3)


def _levels(atoms: SpinAtoms, options: dict) -> np.ndarray:
    """Levels of the s-d Hamiltonian, bond by bond from minimum images (the box is wider than twice the cutoff)."""
    n, hopping = len(atoms), options["hopping"].law
    matrix = np.zeros((2 * n, 2 * n), dtype=complex)
    distances = atoms.get_all_distances(mic=True)
    for i in range(n):
        for j in range(n):
            if i != j and distances[i, j] < 2.6:
                matrix[2 * i : 2 * i + 2, 2 * j : 2 * j + 2] = -hopping(np.array([distances[i, j]]))[0][0] * np.eye(2)
        x, y, z = -1.5 * atoms.spins[i] + np.array(options["zeeman"])
        matrix[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = options["onsite"][i] * np.eye(2) + [[z, x - 1j * y], [x + 1j * y, -z]]
    return np.linalg.eigvalsh(matrix)
