"""Options that are changed between steps, the clock, and numbers that are none."""

from __future__ import annotations

import numpy as np
import pytest
from ase import units
from ase.calculators.calculator import Calculator, all_changes

from spinase import SpinAtoms
from spinase.atoms import get_moments
from spinase.calculators import HeisenbergCalculator, SpinSumCalculator, UniaxialAnisotropyCalculator, ZeemanCalculator
from spinase.dynamics import (
    ElectronBath,
    FreeLengthSpins,
    InertialSpins,
    IsotropicBarostat,
    LatticeBussi,
    LatticeLangevin,
    LLGDynamics,
    MonteCarlo,
    SpinLatticeDynamics,
    SpinOptimizable,
    parallel_tempering,
    set_maxwell_boltzmann,
)
from spinase.dynamics.constrained import mobile_mask
from spinase.dynamics.ramp import Ramp
from spinase.errors import InputError, InvalidMomentsError, ModelError, StyleError, UnitMismatchError, UnstableDynamicsError
from spinase.radial import Exponential
from spinase.spinwaves import spin_waves


def magnet(sites: int = 4) -> SpinAtoms:
    atoms = SpinAtoms.lattice("square", (sites, sites), units="reduced", rng=1)
    atoms.calc = HeisenbergCalculator([1.0])
    return atoms


WRONG = [
    ("damping", -0.9, "damping must be finite and not negative, got -0.9"),
    ("damping", np.nan, "damping must be finite"),
    ("damping", "much", "damping must be a number, got 'much'"),
    ("dt", 0.0, "timestep must be finite and positive, got 0.0"),
    ("timestep", np.inf, "timestep must be finite and positive"),
    ("kT", -1.0, "kT must be finite and not negative"),
    ("temperature_K", 300.0, "temperature_K needs metal units"),
    ("field", (1.0, 2.0), r"applied field must have shape \(16, 3\)"),
    ("field", (1.0, 2.0, np.nan), "applied field of site 0 is not finite"),
    ("frozen", [16], "frozen index 16 is not a site 0..15"),
    ("axes", [1.0, 0.0], r"rotation axes must have shape \(16, 3\)"),
    ("form", "gilbert", "form must be"),
    ("integrator", "rk4", "unknown integrator 'rk4'"),
    ("rng", 1.5, r"needs a random generator: .* got rng=1.5"),
    ("rng", -3, "got rng=-3"),
    ("motion", InertialSpins(0.1), "cannot change during a run"),
]


@pytest.mark.parametrize(("name", "value", "message"), WRONG)
def test_attributes_refuse_what_the_constructor_refuses(name: str, value: object, message: str) -> None:
    dynamics = LLGDynamics(magnet(), 0.1, damping=0.1, kT=0.1, rng=1)
    before = dynamics.todict()
    with pytest.raises((ModelError, InvalidMomentsError, StyleError), match=message):
        setattr(dynamics, name, value)
    assert dynamics.todict() == before
    if name not in ("temperature_K", "motion"):
        with pytest.raises((ModelError, InvalidMomentsError, StyleError), match=message):
            LLGDynamics(magnet(), **({"timestep": 0.1} | {{"dt": "timestep"}.get(name, name): value}))


@pytest.mark.parametrize(
    ("bath", "name", "value"),
    [
        (LatticeLangevin(0.1, 1.0), "friction", 0.0),
        (LatticeLangevin(0.1, 1.0), "kT", np.nan),
        (LatticeBussi(0.1, 1.0), "relaxation", -1.0),
        (ElectronBath(0.1, 1.0), "capacity", 0.0),
        (ElectronBath(0.1, 1.0), "friction", np.inf),
        (InertialSpins(0.1), "inertia", -0.1),
        (FreeLengthSpins(0.1), "rate", np.nan),
    ],
)
def test_baths_refuse_bad_numbers_after_their_creation_too(bath: object, name: str, value: float) -> None:
    before = getattr(bath, name)
    with pytest.raises(ModelError, match="must be finite"):
        setattr(bath, name, value)
    assert getattr(bath, name) == before


def test_what_is_changed_is_used() -> None:
    """A driver whose options are set afterwards does what one does that was built with them."""
    changed = LLGDynamics(magnet(), 0.05)
    changed.rng = 7
    changed.damping, changed.kT, changed.field, changed.frozen = 0.2, 0.3, (0.0, 0.1, 0.2), [3]
    changed.timestep, changed.integrator, changed.form = 0.1, "heun", "landau-lifshitz"
    options = {"damping": 0.2, "kT": 0.3, "field": (0.0, 0.1, 0.2), "frozen": [3], "integrator": "heun", "rng": 7}
    built = LLGDynamics(magnet(), 0.1, form="landau-lifshitz", **options)
    for dynamics in (changed, built):
        dynamics.run(10)
    np.testing.assert_array_equal(get_moments(changed.atoms), get_moments(built.atoms))
    damped = LLGDynamics(magnet(), 0.1, damping=0.1, motion=InertialSpins(0.5))
    damped.damping = 0.4
    other = LLGDynamics(magnet(), 0.1, damping=0.4, motion=InertialSpins(0.5))
    for dynamics in (damped, other):
        dynamics.run(10)
    np.testing.assert_array_equal(get_moments(damped.atoms), get_moments(other.atoms))


def test_the_callers_field_is_not_ours() -> None:
    field = np.array([0.0, 0.0, 1.0])
    dynamics = LLGDynamics(magnet(), 0.1, field=field)
    field[:] = np.nan
    assert np.isfinite(dynamics.applied_field()).all()


def test_time_is_what_has_passed() -> None:
    dynamics = LLGDynamics(magnet(), 0.1)
    dynamics.run(10)
    assert dynamics.get_time() == 10 * 0.1
    dynamics.dt = 0.02
    assert dynamics.get_time() == 10 * 0.1
    dynamics.run(5)
    assert dynamics.get_time() == 10 * 0.1 + 5 * 0.02
    again = LLGDynamics(magnet(), 0.02)
    again.restore_state(dynamics.checkpoint_state())
    assert again.get_time() == dynamics.get_time()
    finer = LLGDynamics(magnet(), 0.01)
    finer.restore_state(dynamics.checkpoint_state())
    finer.run(3)
    assert finer.get_time() == pytest.approx(1.1 + 0.03, abs=1e-14)


def test_a_field_in_time_goes_on_after_a_change_of_the_step() -> None:
    times: list[float] = []
    dynamics = LLGDynamics(magnet(), 0.1, field=lambda time: times.append(time) or (0.0, 0.0, 0.1), integrator="heun")
    dynamics.run(3)
    dynamics.timestep = 0.05
    times.clear()
    dynamics.run(1)
    assert times[:2] == pytest.approx([0.3, 0.35])


def test_seeds_are_generators_and_a_temperature_needs_one() -> None:
    one, two = (LLGDynamics(magnet(), 0.1, damping=0.1, kT=0.1, rng=rng) for rng in (3, np.random.default_rng(3)))
    for dynamics in (one, two):
        dynamics.run(5)
    np.testing.assert_array_equal(get_moments(one.atoms), get_moments(two.atoms))
    MonteCarlo(magnet(), 0.1, rng=3).run(1)
    parallel_tempering(magnet(), [0.1, 0.2], 1, 3)
    set_maxwell_boltzmann(magnet(), 0.1, 3)
    for kT in (0.1, lambda time: 0.1):
        with pytest.raises(ModelError, match=r"a temperature needs a random generator: pass rng=.*, or a seed"):
            LLGDynamics(magnet(), 0.1, damping=0.1, kT=kT)
    cold = LLGDynamics(magnet(), 0.1, damping=0.1)
    with pytest.raises(ModelError, match="a temperature needs a random generator"):
        cold.kT = 0.1
    with pytest.raises(ModelError, match="couples to the spins through the damping"):
        LLGDynamics(magnet(), 0.1, kT=0.1, rng=1)
    with pytest.raises(ModelError, match="Monte Carlo counts sweeps"):
        MonteCarlo(magnet(), 0.1, rng=3).timestep = 0.1


# -- numbers that are none ---------------------------------------------------------------------------------------------


class Broken(Calculator):
    """Fields, or forces, of one site that are not finite from the n-th call on."""

    implemented_properties = ["energy", "forces", "magnetic_forces"]

    def __init__(self, what: str, after: int = 0, site: int = 2) -> None:
        super().__init__()
        self.what, self.after, self.site, self.calls = what, after, site, 0

    def calculate(self, atoms=None, properties=None, system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        rows = np.zeros((len(atoms), 3))
        self.results = {"energy": 0.0, "forces": rows.copy(), "magnetic_forces": rows + get_moments(atoms)[::-1]}
        if self.calls > self.after:
            self.results[self.what][self.site, 1] = np.nan


def broken(what: str, after: int) -> SpinAtoms:
    atoms = SpinAtoms.lattice("chain", (5,), a=2.5, rng=1)
    atoms.set_masses([50.0] * 5)
    atoms.calc = SpinSumCalculator([ZeemanCalculator((0, 0, 0.01)), Broken(what, after)])
    return atoms


@pytest.mark.parametrize("after", [0, 8])
@pytest.mark.parametrize("what", ["magnetic_forces", "forces"])
def test_a_number_that_is_none_stops_a_run_with_its_site_and_source(what: str, after: int) -> None:
    atoms = broken(what, after)
    driver = SpinLatticeDynamics if what == "forces" else LLGDynamics
    dynamics = driver(atoms, 0.1 * units.fs)
    word = {"forces": "force on atom", "magnetic_forces": "magnetic force"}[what]
    with pytest.raises(
        UnstableDynamicsError, match=rf"{word} of site 2 \(Fe, .* is not finite.*Broken \(term 1 of the sum\)"
    ):
        dynamics.run(20)
    assert np.isfinite(get_moments(atoms)).all()
    assert np.isfinite(atoms.positions).all()


def test_relaxations_and_spin_waves_refuse_them_too() -> None:
    for use in (lambda atoms: SpinOptimizable(atoms).get_gradient(), spin_waves):
        with pytest.raises(UnstableDynamicsError, match="magnetic force of site 2"):
            use(broken("magnetic_forces", 0))


def test_an_integrator_that_overflows_says_so() -> None:
    atoms = magnet()
    atoms.calc = SpinSumCalculator([HeisenbergCalculator([1e300]), UniaxialAnisotropyCalculator(1e300, (0, 0, 1))])
    dynamics = LLGDynamics(atoms, 1e9, integrator="heun")
    with np.errstate(all="ignore"), pytest.raises(UnstableDynamicsError, match=r"not finite"):
        dynamics.step()  # run() would warn of the time step first
    assert np.isfinite(get_moments(atoms)).all()


def test_no_spin_is_frozen_by_an_empty_list() -> None:
    for nothing in (None, [], np.zeros(4, dtype=bool)):
        assert mobile_mask(nothing, 4).all()
    assert mobile_mask([1, 3], 4).tolist() == [True, False, True, False]
    with pytest.raises(ModelError, match=r"frozen index -1 is not a site 0\.\.3"):
        mobile_mask([-1], 4)


def test_what_a_ramp_needs() -> None:
    for start, stop in ((0.0, np.inf), (np.nan, 0.0), ([0.0, 0.0], [0.0, 0.0, 1.0])):
        with pytest.raises(ModelError, match="a ramp needs a finite start and stop of one shape, got"):
            Ramp(start, stop, 1.0)
    for duration in (0.0, -1.0, np.inf):
        with pytest.raises(ModelError, match="the duration of a ramp must be a positive time, got"):
            Ramp(0.0, 1.0, duration)


def test_baths_take_amounts_with_their_units() -> None:
    written = LatticeLangevin("300 K", "20 /ps")
    plain = LatticeLangevin(300 * units.kB, 0.02 / units.fs)
    assert (written.kT, written.friction) == pytest.approx((plain.kT, plain.friction), rel=1e-9)
    assert (written.units, plain.units) == ("metal", None)
    assert LatticeBussi("300 K", "0.1 ps").relaxation == pytest.approx(100 * units.fs, rel=1e-9)
    assert IsotropicBarostat("300 K", "1 GPa", "1 ps").pressure == pytest.approx(units.GPa, rel=1e-9)
    electrons = ElectronBath("300 K", 1.0, "5 /ps")
    assert electrons.kT == pytest.approx(300 * units.kB, rel=1e-9)
    assert electrons.friction == pytest.approx(0.005 / units.fs, rel=1e-9)
    with pytest.raises(InputError, match="the temperature kT of a lattice thermostat.*not of the dimension energy"):
        LatticeLangevin("300 fs", 0.1)


def test_what_is_no_bath_is_refused_with_an_example() -> None:
    atoms = moving("reduced")
    with pytest.raises(
        ModelError, match=r"thermostat must be an object such as LatticeLangevin\(kT, friction\).*'langevin'"
    ):
        SpinLatticeDynamics(atoms, 0.1, thermostat="langevin", rng=1)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="electrons must be an object such as ElectronBath"):
        SpinLatticeDynamics(atoms, 0.1, electrons=0.1, rng=1)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="barostat must be an object such as IsotropicBarostat"):
        SpinLatticeDynamics(atoms, 0.1, barostat="isotropic", rng=1)  # type: ignore[arg-type]
    with pytest.raises(UnitMismatchError, match="LatticeLangevin works in metal units but the atoms are in reduced units"):
        SpinLatticeDynamics(atoms, 0.1, thermostat=LatticeLangevin("300 K", 0.1), rng=1)


def test_momenta_take_a_temperature_with_its_unit() -> None:
    written, plain = moving("metal"), moving("metal")
    set_maxwell_boltzmann(written, "300 K", 1)
    set_maxwell_boltzmann(plain, 300 * units.kB, 1)
    np.testing.assert_allclose(written.get_momenta(), plain.get_momenta(), rtol=1e-9)
    with pytest.raises(ModelError, match="kT of a thermal lattice must be finite and not negative, got -1"):
        set_maxwell_boltzmann(plain, -1.0, 1)
    with pytest.raises(InputError, match="kT of a thermal lattice: '300 K' has a unit, but the units are reduced"):
        set_maxwell_boltzmann(moving("reduced"), "300 K", 1)


def moving(system: str) -> SpinAtoms:
    atoms = SpinAtoms.lattice("square", (3, 3), units=system, rng=1)
    atoms.set_masses(np.full(9, 50.0))
    atoms.calc = HeisenbergCalculator(law=Exponential(1.0, 0.5, 1.0, cutoff=1.3, width=0.2))
    return atoms
