"""Inertial and free-length spins, electron baths, constant pressure, ramps: closed forms and conservation laws."""

from __future__ import annotations

import numpy as np
import pytest
from ase import units
from ase.calculators.lj import LennardJones
from scipy.integrate import quad
from scipy.special import i0, i1

from spinase import SpinAtoms
from spinase.atoms import get_moments, get_reference_lengths, set_reference_lengths
from spinase.calculators import (
    HeisenbergCalculator,
    LandauCalculator,
    PairPotentialCalculator,
    SlonczewskiCalculator,
    SpinSumCalculator,
    ZeemanCalculator,
)
from spinase.dynamics import (
    ElectronBath,
    FreeLengthSpins,
    InertialSpins,
    IsotropicBarostat,
    LatticeLangevin,
    LLGDynamics,
    MonteCarlo,
    Ramp,
    SpinLatticeDynamics,
    set_maxwell_boltzmann,
)
from spinase.errors import AccuracyWarning, InvalidGeometryError, InvalidMomentsError, ModelError, UnstableDynamicsError
from spinase.radial import Exponential, Morse
from spinase.spinwaves import spin_waves

EXCHANGE = Exponential(amplitude=0.1, decay=1.0, reference=2.8, cutoff=4.4, width=0.6)
WELL = Morse(depth=0.4, decay=1.4, reference=2.8, cutoff=5.0, width=1.0)


def crystal(size: int = 3, kT: float = 0.0, rng: int = 1) -> SpinAtoms:  # noqa: N803
    """A simple cubic magnet in metal units that holds together."""
    atoms = SpinAtoms.lattice("cubic", (size, size, size), a=2.8, moment=2.0, rng=rng)
    atoms.calc = SpinSumCalculator([PairPotentialCalculator(WELL), HeisenbergCalculator(law=EXCHANGE)])
    if kT:
        set_maxwell_boltzmann(atoms, kT, np.random.default_rng(rng))
    return atoms


# -- inertia -----------------------------------------------------------------------------------------------------------


def test_a_tilted_spin_precesses_and_nutates_at_the_known_frequencies() -> None:
    """Small tilt in B along z: eta w^2 + w - gamma B = 0 (reduced units, gamma = 1)."""
    field, eta, tilt = 1.0, 0.4, 1e-3
    atoms = SpinAtoms("Fe", spins=[[np.sin(tilt), 0, np.cos(tilt)]], units="reduced")
    atoms.calc = ZeemanCalculator((0, 0, field))
    dynamics = LLGDynamics(atoms, 0.01, motion=InertialSpins(eta))
    signal = []
    dynamics.attach(lambda: signal.append(complex(*atoms.spins[0, :2])))
    dynamics.run(6000)
    root = np.sqrt(1 + 4 * eta * field)
    slow, fast = (-1 + root) / (2 * eta), (-1 - root) / (2 * eta)
    time = 0.01 * np.arange(len(signal))
    # at rest at first: u = A e^{i slow t} + B e^{i fast t} with A slow + B fast = 0
    a = tilt * fast / (fast - slow)
    expected = a * np.exp(1j * slow * time) + (tilt - a) * np.exp(1j * fast * time)
    assert np.abs(np.array(signal) - expected).max() < 5e-3 * tilt


def chain(sites: int = 8) -> SpinAtoms:
    atoms = SpinAtoms.lattice("chain", (sites,), rng=3, units="reduced")
    atoms.calc = SpinSumCalculator([HeisenbergCalculator([1.0]), ZeemanCalculator((0, 0, 0.3))])
    return atoms


def test_inertial_spins_keep_energy_and_length() -> None:
    errors = []
    for timestep in (0.04, 0.02):
        atoms = chain()
        motion = InertialSpins(0.3)
        dynamics = LLGDynamics(atoms, timestep, motion=motion)
        energies = []
        dynamics.attach(lambda a=atoms, m=motion, e=energies: e.append(a.get_potential_energy() + m.kinetic_energy()))
        dynamics.run(int(20 / timestep))
        assert motion.kinetic_energy() > 0.1
        np.testing.assert_allclose(np.linalg.norm(atoms.spins, axis=1), 1.0, atol=1e-12)
        np.testing.assert_allclose(np.einsum("ia,ia->i", motion.velocity, atoms.spins), 0.0, atol=1e-9)
        errors.append(np.ptp(energies))
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.25)


def test_inertial_spins_without_inertia_are_llg() -> None:
    ends = []
    for motion in (None, InertialSpins(2e-4)):
        atoms = chain()
        LLGDynamics(atoms, 2e-4, damping=0.3, motion=motion, integrator="midpoint").run(4000)
        ends.append(atoms.spins)
    np.testing.assert_allclose(ends[0], ends[1], atol=2e-3)


def test_a_bath_gives_inertial_spins_their_kinetic_and_potential_energy() -> None:
    """Two freedoms of kT/2 each per spin; <s_z> is Langevin's function."""
    kT, field = 0.4, 0.6
    atoms = SpinAtoms.lattice("square", (20, 20), rng=1, units="reduced")
    atoms.calc = ZeemanCalculator((0, 0, field))
    motion = InertialSpins(0.5)
    dynamics = LLGDynamics(atoms, 0.1, damping=0.5, kT=kT, motion=motion, rng=np.random.default_rng(2))
    dynamics.run(100)
    kinetic, along = [], []
    dynamics.attach(lambda: (kinetic.append(motion.kinetic_energy() / 400), along.append(atoms.spins[:, 2].mean())), 5)
    dynamics.run(600)
    assert np.mean(kinetic) == pytest.approx(kT, rel=0.02)
    x = field / kT
    assert np.mean(along) == pytest.approx(1 / np.tanh(x) - 1 / x, abs=0.02)


# -- free length -------------------------------------------------------------------------------------------------------


def landau(coefficients: list[float], sites: int = 400, moment: float = 1.0) -> SpinAtoms:
    atoms = SpinAtoms.lattice("square", (20, sites // 20), rng=1, units="reduced", moment=moment)
    atoms.calc = LandauCalculator(coefficients)
    return atoms


@pytest.mark.parametrize("coefficients", [[0.5, 0.0, 0.0], [-1.0, 0.5, 0.0]])
def test_lengths_are_distributed_as_boltzmann_says(coefficients: list[float]) -> None:
    """P(m) ~ m^2 exp(-E(m)/kT); a harmonic well has <m^2> = 3 kT/(2 a)."""
    kT = 0.3
    atoms = landau(coefficients)
    dynamics = LLGDynamics(atoms, 0.1, kT=kT, motion=FreeLengthSpins(0.5), rng=np.random.default_rng(2))
    dynamics.run(200)
    squares = []
    dynamics.attach(lambda: squares.append(np.mean(np.sum(get_moments(atoms) ** 2, axis=1))), 5)
    dynamics.run(1000)

    def weight(m: float) -> float:
        return m**2 * np.exp(-(coefficients[0] * m**2 + coefficients[1] * m**4 + coefficients[2] * m**6) / kT)

    exact = quad(lambda m: m**2 * weight(m), 0, 8)[0] / quad(weight, 0, 8)[0]
    assert np.mean(squares) == pytest.approx(exact, rel=0.03)


def test_free_lengths_relax_to_the_minimum_and_keep_energy_without_a_rate() -> None:
    atoms = landau([-1.0, 0.5, 0.0], moment=0.3)
    LLGDynamics(atoms, 0.1, motion=FreeLengthSpins(1.0)).run(200)
    np.testing.assert_allclose(np.linalg.norm(get_moments(atoms), axis=1), 1.0, atol=1e-6)  # m^2 = -a/2b
    assert atoms.get_potential_energy() == pytest.approx(-0.5 * 400)
    atoms = chain()
    atoms.calc = SpinSumCalculator([HeisenbergCalculator([1.0]), LandauCalculator([-1.0, 0.5, 0.0])])
    dynamics = LLGDynamics(atoms, 0.02, motion=FreeLengthSpins(0.0))
    energies = []
    dynamics.attach(lambda: energies.append(atoms.get_potential_energy()))
    dynamics.run(500)
    assert np.ptp(energies) < 1e-3 * abs(energies[0])


def test_energies_depend_on_lengths_where_a_reference_is_set() -> None:
    """Without a reference a moment's length is a gauge; with one, energy and full field are those of m/|m_ref|."""
    atoms = chain(4)
    atoms.moments = 2.0 * atoms.moments
    before = atoms.get_potential_energy()
    set_reference_lengths(atoms, np.ones(4))
    assert atoms.calc.calculators[0].get_property("energy", atoms) == pytest.approx(
        4.0 * HeisenbergCalculator([1.0]).get_property("energy", chain(4))
    )
    after = atoms.get_potential_energy()
    assert after != pytest.approx(before)
    step, direction = 1e-5, np.random.default_rng(1).normal(size=(4, 3))
    fields = atoms.calc.get_property("magnetic_forces", atoms).copy()
    ends = []
    for sign in (-1, 1):
        moved = atoms.copy()
        moved.calc = atoms.calc
        moved.moments = atoms.moments + sign * step * direction
        ends.append(moved.get_potential_energy())
    assert (ends[1] - ends[0]) / (2 * step) == pytest.approx(-np.sum(fields * direction), rel=1e-7)
    set_reference_lengths(atoms, None)
    assert get_reference_lengths(atoms) is None
    assert atoms.get_potential_energy() == pytest.approx(before)
    with pytest.raises(InvalidMomentsError, match="positive where there is a moment"):
        set_reference_lengths(atoms, np.zeros(4))


def test_moments_of_free_length_go_on_with_fixed_ones_in_the_same_model() -> None:
    """After free-length dynamics LLG uses the same energy: its field is the calculator's, and the energy is kept."""
    atoms = chain()
    atoms.calc = SpinSumCalculator([HeisenbergCalculator([1.0]), LandauCalculator([-1.0, 0.8, 0.0])])
    LLGDynamics(atoms, 0.05, motion=FreeLengthSpins(0.5)).run(30)
    lengths = np.linalg.norm(get_moments(atoms), axis=1)
    assert np.abs(lengths - 1).max() > 0.05
    energy = atoms.get_potential_energy()
    dynamics = LLGDynamics(atoms, 0.02, integrator="midpoint")
    dynamics.run(200)
    assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-9)
    np.testing.assert_allclose(np.linalg.norm(get_moments(atoms), axis=1), lengths, atol=1e-12)
    with pytest.raises(ModelError, match="reference lengths"):
        MonteCarlo(atoms, 0.1, rng=np.random.default_rng(1))
    with pytest.raises(ModelError, match="reference lengths"):
        spin_waves(atoms)


def test_a_temperature_needs_a_coupling_in_every_motion() -> None:
    for motion in (InertialSpins(0.1), FreeLengthSpins(0.0)):
        with pytest.raises(ModelError, match="without damping"):
            LLGDynamics(chain(), 0.1, kT=0.1, motion=motion, rng=np.random.default_rng(1)).run(1)


def test_bad_motions() -> None:
    with pytest.raises(ModelError, match=r"inertia of spins \(a time\) must be finite and positive, got 0.0"):
        InertialSpins(0.0)
    with pytest.raises(ModelError, match="rate of free-length spins must be finite and not negative"):
        FreeLengthSpins(-1.0)
    with pytest.raises(ModelError, match="damped by their rate"):
        LLGDynamics(chain(), 0.1, damping=0.1, motion=FreeLengthSpins(0.1))
    with pytest.raises(ModelError, match="inertial or of free length"):
        LLGDynamics.Config(timestep=0.1, inertia=1.0, longitudinal_rate=1.0).motion()


@pytest.mark.parametrize(("motion", "damping"), [(lambda: InertialSpins(0.3), 0.2), (lambda: FreeLengthSpins(0.2), 0.0)])
def test_motions_restart_to_the_last_bit(motion, damping: float) -> None:
    def driver(atoms: SpinAtoms) -> LLGDynamics:
        return LLGDynamics(atoms, 0.05, kT=0.1, damping=damping, motion=motion(), rng=np.random.default_rng(4))

    whole = chain()
    driver(whole).run(20)
    cut = chain()
    first = driver(cut)
    first.run(8)
    state = first.checkpoint_state()
    other = chain()
    second = driver(other)
    second.restore_state(state)
    second.run(12)
    assert np.array_equal(get_moments(other), get_moments(whole))


# -- electrons, pressure -----------------------------------------------------------------------------------------------


def test_three_temperatures_meet_and_the_total_energy_stays() -> None:
    """Hot electrons, cold lattice and spins: the sum of energies is kept while heat goes over."""
    atoms = crystal(kT=1e-3)
    atoms.spins = np.tile([0, 0, 1.0], (27, 1)) + 0.01 * np.random.default_rng(1).normal(size=(27, 3))
    bath = ElectronBath(kT=0.1, capacity=100.0, friction=0.02 / units.fs)
    dynamics = SpinLatticeDynamics(
        atoms, 0.5 * units.fs, damping=0.1, electrons=bath, integrator="sib", rng=np.random.default_rng(2)
    )
    before = dynamics.conserved_energy(), bath.kT, atoms.get_kinetic_energy()
    dynamics.run(400)
    assert dynamics.conserved_energy() == pytest.approx(before[0], abs=2e-2)
    assert bath.kT < 0.09  # gave heat away
    assert 27 * 1.5 * bath.kT == pytest.approx(atoms.get_kinetic_energy(), rel=0.5)
    given = 27 * 0.5 * 100.0 * (before[1] ** 2 - bath.kT**2)
    assert given > 5 * abs(dynamics.conserved_energy() - before[0])


@pytest.mark.parametrize("motion", [lambda: InertialSpins(2 * units.fs), lambda: FreeLengthSpins(0.5)])
def test_electrons_keep_the_books_of_every_motion(motion) -> None:
    atoms = crystal(kT=0.03)
    atoms.calc = SpinSumCalculator([*atoms.calc.calculators, LandauCalculator([-0.2, 0.025, 0.0])])
    bath = ElectronBath(kT=0.05, capacity=200.0)
    options = {"damping": 0.1} if isinstance(motion(), InertialSpins) else {}
    dynamics = SpinLatticeDynamics(
        atoms, 0.2 * units.fs, electrons=bath, motion=motion(), rng=np.random.default_rng(2), **options
    )
    assert dynamics.bath_temperature() == pytest.approx(0.05)
    before, electrons = dynamics.conserved_energy(), bath.energy_per_site
    dynamics.run(300)
    assert 27 * abs(bath.energy_per_site - electrons) > 0.05
    assert dynamics.conserved_energy() == pytest.approx(before, abs=5e-3)


def test_a_pulse_heats_the_electrons_first() -> None:
    atoms = crystal(kT=0.02)
    bath = ElectronBath(0.01, 20.0, 0.005 / units.fs, power=lambda t: 0.02 / units.fs if t < 10 * units.fs else 0.0)
    dynamics = SpinLatticeDynamics(atoms, units.fs, electrons=bath, rng=np.random.default_rng(2))
    dynamics.run(10)
    assert bath.energy_per_site == pytest.approx(0.5 * 20 * 0.01**2 + 0.2, rel=0.1)
    state = dynamics.checkpoint_state()
    other = crystal(kT=0.02)
    again = ElectronBath(0.01, 20.0, 0.005 / units.fs)
    second = SpinLatticeDynamics(other, units.fs, electrons=again, rng=np.random.default_rng(5))
    second.restore_state(state)
    dynamics.run(5)
    second.run(5)
    assert again.kT == bath.kT
    assert np.array_equal(atoms.positions, other.positions)


def test_bad_electron_baths() -> None:
    with pytest.raises(ModelError, match="coupled to nothing"):
        SpinLatticeDynamics(crystal(), 1.0, electrons=ElectronBath(0.1, 1.0), rng=np.random.default_rng(1))
    with pytest.raises(ModelError, match="leave out thermostat"):
        SpinLatticeDynamics(
            crystal(), 1.0, electrons=ElectronBath(0.1, 1.0, 1.0), damping=0.1, kT=0.1, rng=np.random.default_rng(1)
        )
    with pytest.raises(ModelError, match="capacity of an electron bath must be finite"):
        ElectronBath(0.1, 0.0)
    with pytest.raises(UnstableDynamicsError, match="more heat"):
        ElectronBath(0.1, 1.0).give(1.0, 1)
    driven = crystal()
    driven.calc = SpinSumCalculator([driven.calc, SlonczewskiCalculator((0, 0, 1), 0.1)])
    dynamics = SpinLatticeDynamics(
        driven, 0.1, electrons=ElectronBath(0.1, 1.0, 1e-4), damping=0.1, rng=np.random.default_rng(1)
    )
    with pytest.raises(ModelError, match="no energy to count"):
        dynamics.run(1)


def test_the_piston_conserves_its_energy_to_second_order() -> None:
    errors = []
    for timestep in (2.0, 1.0):
        atoms = crystal(kT=0.03)
        barostat = IsotropicBarostat(0.03, 0.01, 100 * units.fs)
        dynamics = SpinLatticeDynamics(atoms, timestep * units.fs, barostat=barostat)
        energies = []
        dynamics.attach(lambda d=dynamics, e=energies: e.append(d.conserved_energy()))
        dynamics.run(int(200 / timestep))
        errors.append(np.ptp(energies))
        assert abs(atoms.get_volume() / 8.4**3 - 1) > 0.01
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.4)


def test_constant_pressure_finds_the_volume_of_that_pressure() -> None:
    """A cold crystal: the volume at which -dE/dV is the pressure."""
    pressure, kT = 5.0 * units.GPa, 0.01
    atoms = crystal(kT=kT)
    atoms.spins = [0, 0, 1]
    dynamics = SpinLatticeDynamics(
        atoms,
        1.5 * units.fs,
        thermostat=LatticeLangevin(kT, 0.01 / units.fs),
        barostat=IsotropicBarostat(kT, pressure, 300 * units.fs),
        frozen=np.ones(27, dtype=bool),
        rng=np.random.default_rng(3),
    )
    dynamics.run(400)
    pressures = []
    dynamics.attach(lambda: pressures.append(-np.trace(atoms.get_stress(voigt=False, include_ideal_gas=True)) / 3), 2)
    dynamics.run(600)
    assert np.mean(pressures) == pytest.approx(pressure, rel=0.1)
    assert atoms.get_volume() < 0.99 * 8.4**3


class LennardJonesWithoutStress(LennardJones):
    """A potential that knows forces only."""

    implemented_properties = ["energy", "forces"]


def test_a_failed_step_leaves_everything_as_it_was() -> None:
    """Piston and electrons go back with the atoms, so that one can go on with a smaller step."""
    atoms = crystal(kT=0.05)
    barostat, electrons = IsotropicBarostat(0.05, 0.0, 100.0), ElectronBath(0.05, 50.0, 0.001)
    dynamics = SpinLatticeDynamics(
        atoms, units.fs, barostat=barostat, electrons=electrons, damping=0.1, rng=np.random.default_rng(1)
    )
    dynamics.run(5)
    before = atoms.positions.copy(), atoms.get_momenta(), get_moments(atoms), barostat.momentum, electrons.energy_per_site
    dynamics.dt = 80 * units.fs
    with pytest.raises(UnstableDynamicsError):
        dynamics.run(20)
    if dynamics.nsteps == 5:
        np.testing.assert_array_equal(before[0], atoms.positions)
        np.testing.assert_array_equal(before[1], atoms.get_momenta())
        np.testing.assert_array_equal(before[2], get_moments(atoms))
        assert (before[3], before[4]) == (barostat.momentum, electrons.energy_per_site)
    assert dynamics.nsteps == 5


def test_bad_barostats() -> None:
    with pytest.raises(ModelError, match="kT of a barostat"):
        IsotropicBarostat(0.0, 1.0, 1.0)
    atoms = crystal()
    atoms.pbc = (True, True, False)
    light = IsotropicBarostat(0.03, 0.1, 1 * units.fs)
    unstable = SpinLatticeDynamics(crystal(kT=0.03), units.fs, barostat=light, frozen=np.ones(27, dtype=bool))
    with pytest.raises(UnstableDynamicsError, match="piston is too light"):
        unstable.run(100)
    assert np.isfinite(light.momentum)
    assert np.isfinite(unstable.atoms.positions).all()
    springs = SpinAtoms(crystal())
    springs.calc = SpinSumCalculator([LennardJonesWithoutStress(), HeisenbergCalculator(law=EXCHANGE)])
    with pytest.raises(ModelError, match="LennardJonesWithoutStress has no stress"):
        SpinLatticeDynamics(springs, 1.0, barostat=IsotropicBarostat(0.1, 0.0, 100.0))
    with pytest.raises(ModelError, match="periodic boundaries"):
        SpinLatticeDynamics(atoms, 1.0, barostat=IsotropicBarostat(0.1, 0.0, 1.0))


# -- constraints -------------------------------------------------------------------------------------------------------


def test_spins_on_cones_keep_their_angle_and_relax_on_them() -> None:
    """Turning about z only: s_z stays, and the transverse part aligns with a field along x; others are free."""
    atoms = SpinAtoms.lattice("square", (3, 3), rng=4, units="reduced")
    atoms.calc = ZeemanCalculator((0.8, 0, 0))
    before = atoms.spins
    axes = np.zeros((9, 3))
    axes[:6, 2] = 2.0
    LLGDynamics(atoms, 0.1, damping=0.5, axes=axes).run(1500)
    np.testing.assert_allclose(atoms.spins[:6, 2], before[:6, 2], atol=1e-12)
    np.testing.assert_allclose(atoms.spins[:6, 0], np.sqrt(1 - before[:6, 2] ** 2), atol=1e-3)
    np.testing.assert_allclose(atoms.spins[6:, 0], 1.0, atol=1e-3)
    with pytest.raises(ModelError, match="axis need the LLG"):
        LLGDynamics(atoms, 0.1, axes=[0, 0, 1], motion=InertialSpins(0.1))


@pytest.mark.parametrize("along", [0.0, 1.0])
def test_rotors_in_a_bath_have_boltzmanns_angles_whatever_the_field_along_their_axis(along: float) -> None:
    """<cos phi> = I_1(x)/I_0(x), x = B_x/kT; the field along the axis is the constraint's affair."""
    atoms = SpinAtoms.lattice("square", (20, 20), rng=1, units="reduced")
    azimuth = np.random.default_rng(2).uniform(0, 2 * np.pi, 400)
    atoms.spins = np.stack([np.cos(azimuth), np.sin(azimuth), 0 * azimuth], axis=1)
    atoms.calc = ZeemanCalculator((1.0, 0, along))
    dynamics = LLGDynamics(atoms, 0.05, damping=0.5, kT=0.5, axes=[0, 0, 1], rng=np.random.default_rng(3))
    dynamics.run(200)
    seen = []
    dynamics.attach(lambda: seen.append(atoms.spins[:, 0].mean()), 10)
    dynamics.run(2000)
    assert np.mean(seen) == pytest.approx(i1(2.0) / i0(2.0), abs=0.02)


# -- ramps -------------------------------------------------------------------------------------------------------------


def test_ramps_of_temperature_and_field() -> None:
    ramp = Ramp(0.4, 0.1, 10.0)
    assert [float(ramp(t)) for t in (-1.0, 0.0, 5.0, 20.0)] == pytest.approx([0.4, 0.4, 0.25, 0.1])
    atoms = SpinAtoms.lattice("square", (24, 24), rng=1, units="reduced")
    atoms.calc = ZeemanCalculator((0, 0, 0.5))
    dynamics = LLGDynamics(atoms, 0.05, damping=0.5, kT=Ramp(5.0, 0.2, 40.0), rng=np.random.default_rng(1))
    dynamics.run(1200)
    along = []
    dynamics.attach(lambda: along.append(atoms.spins[:, 2].mean()), 10)
    dynamics.run(600)
    assert np.mean(along) == pytest.approx(1 / np.tanh(2.5) - 0.4, abs=0.015)  # Langevin at the last temperature
    assert dynamics.bath_temperature() == pytest.approx(0.2)
    with pytest.raises(ModelError, match="positive time"):
        Ramp(1.0, 2.0, 0.0)
    with pytest.raises(ModelError, match="one shape"):
        Ramp(1.0, [2.0, 1.0], 1.0)


# -- bad input ---------------------------------------------------------------------------------------------------------


def test_an_exploding_step_is_stopped_with_the_atoms_as_before() -> None:
    atoms = crystal(kT=0.05)
    dynamics = SpinLatticeDynamics(atoms, 60 * units.fs)
    with pytest.warns(AccuracyWarning, match="radian"), pytest.raises(UnstableDynamicsError, match="time step is too large"):
        dynamics.run(400)
    assert np.isfinite(atoms.positions).all()
    assert np.isfinite(atoms.get_potential_energy())
    assert dynamics.get_number_of_steps() < 400


def test_missing_masses_and_overlapping_atoms_are_refused() -> None:
    atoms = crystal()
    atoms.set_masses([-1.0] + [1.0] * 26)
    with pytest.raises(ModelError, match=r"atom 0 \(Fe\) has no mass"):
        SpinLatticeDynamics(atoms, 1.0)
    reduced = SpinAtoms.disordered(10, density=0.4, units="reduced", rng=1)
    reduced.calc = HeisenbergCalculator(law=Exponential(0.1, 1.0, 1.0, 2.0, 0.3))
    with pytest.raises(ModelError, match="masses are missing: in reduced units"):
        SpinLatticeDynamics(reduced, 0.1)
    close = crystal()
    close.positions[5] = close.positions[4] + [0.1, 0, 0]
    with pytest.raises(InvalidGeometryError, match="atoms overlap: atom"):
        SpinLatticeDynamics(close, 1.0)
    tiny = crystal()
    tiny.set_cell(tiny.cell * 0.1, scale_atoms=True)  # nanometres instead of Angstrom
    with pytest.raises(InvalidGeometryError, match="check the units"):
        SpinLatticeDynamics(tiny, 1.0)


def test_a_time_step_in_which_spins_turn_too_far_is_announced() -> None:
    atoms = crystal()
    with pytest.warns(AccuracyWarning, match=r"turn by up to .* radian in one step"):
        LLGDynamics(atoms, 100 * units.fs).run(1)


def test_pressure_needs_periodic_boundaries() -> None:
    atoms = SpinAtoms.lattice("square", (3, 3))
    with pytest.raises(ModelError, match=r"needs periodic boundaries in all directions, got pbc = \[True, True, False\]"):
        IsotropicBarostat(0.03, 0.0, 10.0).attach(atoms)
