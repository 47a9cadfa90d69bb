"""Baths against exact distributions: spins on cones, rotors, inertial spins; equipartition in harmonic crystals."""

from __future__ import annotations

import io

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.constraints import FixAtoms, FixBondLength, FixCartesian, FixCom, FixedLine, FixedPlane
from scipy.special import ive

from spinase import SpinAtoms
from spinase.calculators import SpinSumCalculator, ZeemanCalculator
from spinase.dynamics import (
    ElectronBath,
    InertialSpins,
    IsotropicBarostat,
    LatticeBussi,
    LatticeLangevin,
    LLGDynamics,
    SpinLatticeDynamics,
    set_maxwell_boltzmann,
)
from spinase.dynamics.freedoms import LatticeFreedoms, lattice_temperature
from spinase.observers.motion import EnergyPartitionObserver

# -- spins -------------------------------------------------------------------------------------------------------------


def azimuths(polar: float, axis: np.ndarray, sites: int = 400) -> SpinAtoms:
    """Spins on a cone about `axis` with half angle `polar`, azimuths at random, moments of 2."""
    atoms = SpinAtoms.lattice("square", (sites // 20, 20), units="reduced", moment=2.0)
    phi = np.random.default_rng(2).uniform(0, 2 * np.pi, sites)
    first = np.cross(axis, [0.3, 0.5, -0.9])
    first /= np.linalg.norm(first)
    second = np.cross(axis, first)
    turning = np.cos(phi)[:, None] * first + np.sin(phi)[:, None] * second
    atoms.spins = np.cos(polar) * axis + np.sin(polar) * turning
    atoms.info["first"] = first
    return atoms


@pytest.mark.parametrize("form", ["landau-lifshitz-gilbert", "landau-lifshitz"])
@pytest.mark.parametrize(("degrees", "damping"), [(90, 0.5), (60, 1.0), (25, 2.0), (140, 1.5)])
def test_azimuths_on_a_cone_are_distributed_as_boltzmann_says(form: str, degrees: int, damping: float) -> None:
    """E = -mu B sin(theta) cos(phi): <cos k phi> = I_k(x)/I_0(x), x = mu B sin(theta)/kT (von Mises)."""
    polar, axis = np.radians(degrees), np.array([1.0, 2.0, 2.0]) / 3.0
    atoms = azimuths(polar, axis)
    first, x, kT = atoms.info["first"], 1.5, 0.4
    strength = x * kT / (2.0 * np.sin(polar))
    atoms.calc = ZeemanCalculator(strength * first + 0.7 * axis)  # a field along the axis does nothing
    mobility = damping / (1 + damping**2) if form == "landau-lifshitz-gilbert" else damping
    step = 0.08 / (mobility * strength / np.sin(polar))  # the azimuth relaxes in about 12 steps
    dynamics = LLGDynamics(atoms, step, damping=damping, form=form, kT=kT, axes=axis, rng=3)
    dynamics.run(150)
    seen = []

    def look() -> None:
        cosine = atoms.spins @ first / np.sin(polar)
        seen.append([cosine.mean(), (2 * cosine**2 - 1).mean()])

    dynamics.attach(look, 5)
    dynamics.run(1500)
    expected = [ive(1, x) / ive(0, x), ive(2, x) / ive(0, x)]
    np.testing.assert_allclose(np.mean(seen, axis=0), expected, atol=0.017)
    np.testing.assert_allclose(atoms.spins @ axis, np.cos(polar), atol=1e-10)


def test_free_spins_beside_constrained_ones_have_their_own_noise() -> None:
    atoms = SpinAtoms.lattice("square", (20, 20), units="reduced", rng=1)
    spins, axes = atoms.spins.copy(), np.zeros((400, 3))
    axes[::2, 2] = 1.0
    spins[::2, 2] = 0.0
    atoms.spins = spins / np.linalg.norm(spins, axis=1)[:, None]
    atoms.calc = ZeemanCalculator((1.0, 0.0, 0.0))
    dynamics = LLGDynamics(atoms, 0.08, damping=1.0, kT=0.5, axes=axes, rng=np.random.default_rng(5))
    dynamics.run(150)
    seen = []
    dynamics.attach(lambda: seen.append([atoms.spins[::2, 0].mean(), atoms.spins[1::2, 0].mean()]), 5)
    dynamics.run(1500)
    np.testing.assert_allclose(np.mean(seen, axis=0), [ive(1, 2) / ive(0, 2), 1 / np.tanh(2) - 0.5], atol=0.02)


@pytest.mark.parametrize(("damping", "inertia"), [(0.3, 0.5), (2.0, 0.5), (0.5, 4.0)])
def test_inertial_spins_follow_langevin_and_maxwell(damping: float, inertia: float) -> None:
    """<s_z> = coth x - 1/x, and kT of kinetic energy for the two angular velocities of a spin."""
    atoms = SpinAtoms.lattice("square", (20, 20), units="reduced", moment=2.0, rng=1)
    atoms.calc = ZeemanCalculator((0, 0, 0.5))
    motion, kT = InertialSpins(inertia), 0.5
    dynamics = LLGDynamics(atoms, 0.1 / damping**0.5, damping=damping, kT=kT, motion=motion, rng=np.random.default_rng(4))
    dynamics.run(300)
    seen = []
    dynamics.attach(lambda: seen.append([atoms.spins[:, 2].mean(), motion.kinetic_energy() / 400]), 5)
    dynamics.run(2000)
    x = 2.0 * 0.5 / kT
    np.testing.assert_allclose(np.mean(seen, axis=0), [1 / np.tanh(x) - 1 / x, kT], atol=0.025)


# -- atoms -------------------------------------------------------------------------------------------------------------


class Bonds(Calculator):
    """Springs between all pairs of atoms: of the displacements (`lengths` false), or of the distances."""

    implemented_properties = ["energy", "forces", "stress"]

    def __init__(self, home: np.ndarray, lengths: bool = False) -> None:
        super().__init__()
        self.home, self.of_lengths = home, lengths

    def calculate(self, atoms=None, properties=None, system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        positions = atoms.get_positions()
        stretch = positions[:, None] - positions[None]
        if self.of_lengths:
            lengths = np.linalg.norm(stretch, axis=-1) + np.eye(len(atoms))
            usual = np.linalg.norm(self.home[:, None] - self.home[None], axis=-1) + np.eye(len(atoms))
            stretch = stretch * (1 - usual / lengths)[:, :, None]
        else:
            stretch = stretch - (self.home[:, None] - self.home[None])
        self.results = {
            "energy": 0.25 * float(np.sum(stretch**2)),
            "forces": -stretch.sum(axis=1),
            "stress": np.zeros(6),
        }


CUBE = 3.0 * np.array([[0, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1]], dtype=float)


def molecule(constraints: list = (), pbc: bool | tuple = True, lengths: bool = False) -> SpinAtoms:
    atoms = SpinAtoms("Fe4", positions=CUBE, cell=[6, 6, 6], pbc=pbc, spins=[[0, 0, 1]] * 4, units="reduced")
    atoms.set_masses([1.0, 2.0, 1.5, 1.0])
    atoms.set_constraint(list(constraints))
    atoms.calc = SpinSumCalculator([Bonds(CUBE, lengths), ZeemanCalculator((0, 0, 1))])
    return atoms


ALL = [0, 1, 2, 3]
CASES = {
    "periodic": ({}, 9),
    "isolated": ({"pbc": False, "lengths": True}, 6),
    "one atom fixed": ({"constraints": [FixAtoms([0])]}, 9),
    "centre of mass fixed": ({"constraints": [FixCom()]}, 9),
    "in a plane": ({"constraints": [FixedPlane(ALL, [0, 0, 1])]}, 6),
    "in a plane, one fixed": ({"constraints": [FixAtoms([0]), FixedPlane(ALL, [0, 0, 1])]}, 6),
    "on lines": ({"constraints": [FixedLine(ALL, [1, 1, 0])]}, 3),
}


@pytest.mark.parametrize(
    ("bath", "case"),
    [
        ("bussi", "periodic"),
        ("bussi", "isolated"),
        ("bussi", "in a plane, one fixed"),
        *(pytest.param("bussi", case, marks=pytest.mark.slow) for case in CASES),
        ("langevin", "one atom fixed"),
        ("electrons", "in a plane"),
    ],
)
def test_potential_and_kinetic_energies_are_equipartitioned(bath: str, case: str) -> None:
    """<V> = n kT/2 with n freedoms of harmonic motion; the reported temperature is that of the bath."""
    options, freedoms = CASES[case]
    atoms, kT = molecule(**options), 0.01
    set_maxwell_boltzmann(atoms, kT, np.random.default_rng(1))
    given: dict = {"thermostat": LatticeBussi(kT, 2.0) if bath == "bussi" else LatticeLangevin(kT, 0.5)}
    if bath == "electrons":  # of a huge capacity: at one temperature
        given = {"electrons": ElectronBath(kT, 1e7, 0.5)}
    dynamics = SpinLatticeDynamics(atoms, 0.15, rng=7, **given)
    dynamics.run(100)
    seen = []
    bonds = atoms.calc.calculators[0]
    dynamics.attach(lambda: seen.append([bonds.get_potential_energy(atoms), lattice_temperature(atoms)]), 4)
    dynamics.run(1600)
    potential, temperature = np.mean(seen, axis=0)
    assert potential == pytest.approx(0.5 * freedoms * kT, rel=0.18)
    assert temperature == pytest.approx(kT, rel=0.16)
    if bath == "bussi":
        assert np.abs(atoms.get_momenta().sum(axis=0)).max() < 1e-9 or atoms.constraints


@pytest.mark.parametrize(
    ("options", "count"),
    [(options, count) for options, count in CASES.values()]
    + [
        ({"pbc": (True, False, False)}, 8),  # a wire: three translations and a turn about itself
        ({"constraints": [FixAtoms([0, 1]), FixAtoms([1])]}, 6),
        ({"constraints": [FixCartesian([2], mask=[True, False, False]), FixedPlane([2], [1, 0, 0])]}, 9),
        ({"constraints": [FixBondLength(0, 1)]}, 8),
        ({"constraints": [FixAtoms([0])], "pbc": False}, 6),  # turns about the fixed atom stay
        ({"constraints": [FixAtoms(ALL)]}, 1),
    ],
)
def test_freedoms_of_constrained_atoms(options: dict, count: int) -> None:
    assert LatticeFreedoms.of(molecule(**options)).count == count


def test_atoms_in_a_row_do_not_turn_about_it_and_one_atom_counts_three() -> None:
    dimer = Atoms("Fe2", positions=[[0, 0, 0], [0, 0, 2.0]])
    assert LatticeFreedoms.of(dimer).count == 1
    single = Atoms("Fe", momenta=[[1.0, 2.0, 2.0]])
    assert LatticeFreedoms.of(single).count == 3
    assert lattice_temperature(single) == pytest.approx(9.0 / single.get_masses()[0] / 3)


def test_log_and_observer_do_not_count_the_flight_of_the_whole() -> None:
    atoms, log = molecule(), io.StringIO()
    set_maxwell_boltzmann(atoms, 0.01, np.random.default_rng(1))
    still = lattice_temperature(atoms)
    atoms.set_momenta(atoms.get_momenta() + 3.0 * atoms.get_masses()[:, None])
    assert lattice_temperature(atoms) == pytest.approx(still, rel=1e-10)
    SpinLatticeDynamics(atoms, 0.1, logfile=log).run(0)
    assert float(log.getvalue().splitlines()[1].split()[4]) == pytest.approx(still, rel=1e-6)
    observer = EnergyPartitionObserver()
    observer.prepare(atoms)
    assert observer.observe(atoms)["lattice_kT"] == pytest.approx(still, rel=1e-10)
    dynamics = SpinLatticeDynamics(atoms, 0.1, thermostat=LatticeBussi(0.01, 0.5), rng=1)
    momentum = atoms.get_momenta().sum(axis=0)
    dynamics.run(50)
    np.testing.assert_allclose(atoms.get_momenta().sum(axis=0), momentum, rtol=1e-10)


class Nothing(Calculator):
    """Atoms that do not feel each other."""

    implemented_properties = ["energy", "forces", "stress"]

    def calculate(self, atoms=None, properties=None, system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": 0.0, "forces": np.zeros((len(atoms), 3)), "stress": np.zeros(6)}


@pytest.mark.slow
@pytest.mark.parametrize(("bath", "powers"), [("langevin", 4), ("bussi", 3)])
def test_an_ideal_gas_under_a_piston_has_its_volume(bath: str, powers: int) -> None:
    """p(V) ~ V^k exp(-pV/kT), <V> = (k + 1) kT/p: k = N if all momenta move, N - 1 at fixed total momentum."""
    atoms, kT, pressure = molecule(), 0.5, 0.002
    atoms.calc = SpinSumCalculator([Nothing(), ZeemanCalculator((0, 0, 1))])
    set_maxwell_boltzmann(atoms, kT, np.random.default_rng(2))
    atoms.set_cell(atoms.cell.array * (1000 / 216) ** (1 / 3), scale_atoms=True)
    thermostat = LatticeLangevin(kT, 0.3) if bath == "langevin" else LatticeBussi(kT, 3.0)
    dynamics = SpinLatticeDynamics(
        atoms, 0.3, thermostat=thermostat, barostat=IsotropicBarostat(kT, pressure, 10.0), rng=np.random.default_rng(3)
    )
    dynamics.run(500)
    volumes = []
    dynamics.attach(lambda: volumes.append(atoms.get_volume()), 5)
    dynamics.run(6000)
    assert np.mean(volumes) == pytest.approx((powers + 1) * kT / pressure, rel=0.1)
