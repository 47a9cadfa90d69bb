"""The NEGF calculator: equilibrium and drive, units, currents, torques, time-dependent bias, bad input."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from ase.constraints import FixAtoms

from spinase import SpinAtoms
from spinase.calculators import HeisenbergCalculator, NEGFCalculator, RationalCalculator, SpinSumCalculator
from spinase.calculators.negf_options import BiasRamp
from spinase.contract import NotConservativeError
from spinase.dynamics import LLGDynamics
from spinase.electrons import Bath, ExponentialHopping, LatticeLead, SDModel, ShellHopping, WideBandLead
from spinase.errors import (
    AccuracyWarning,
    AdiabaticityWarning,
    ConvergenceError,
    InputError,
    InvalidGeometryError,
    ModelError,
)
from spinase.run.build import build_calculator
from spinase.units import METAL

ENDS = (LatticeLead("left"), LatticeLead("right"))


def model(**options: object) -> SDModel:
    given = {"hopping": ShellHopping([1.0]), "coupling": 1.3, "chemical_potential": -0.5, "kT": 0.05, **options}
    return SDModel(**given)


def device(size: tuple[int, int] = (6, 3), units: str = "reduced", moment: float = 1.0) -> SpinAtoms:
    atoms = SpinAtoms.lattice("square", size, units=units, rng=3)
    atoms.pbc = False
    atoms.moments = moment * atoms.spins
    return atoms


@pytest.fixture(autouse=True)
def _adiabatic():
    """Moments of length 1 are fast; the warning has its own test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AdiabaticityWarning)
        yield


def test_only_an_unbiased_device_has_an_energy() -> None:
    atoms, quiet, driven = device(), NEGFCalculator(model(), ENDS), NEGFCalculator(model(), ENDS, bias=0.2)
    assert quiet.conservative
    assert np.isfinite(quiet.get_property("free_energy", atoms))
    assert not driven.conservative
    assert "energy" not in driven.implemented_properties
    for name in ("energy", "free_energy"):
        with pytest.raises(NotConservativeError, match="driven"):
            driven.get_property(name, atoms)
    hot = NEGFCalculator(model(), (LatticeLead("left", kT=0.2), LatticeLead("right")))
    assert not hot.conservative


def test_a_weak_bath_alone_is_the_closed_system() -> None:
    atoms = device((4, 4))
    closed = RationalCalculator(model(kT=0.2), tolerance=1e-8)
    expected = closed.get_property("magnetic_forces", atoms)
    errors = [
        np.abs(
            NEGFCalculator(model(kT=0.2), [Bath(width)], tolerance=1e-5).get_property("magnetic_forces", atoms) - expected
        )
        for width in (4e-3, 2e-3)
    ]
    assert errors[0].max() < 1e-2
    assert errors[1].max() == pytest.approx(0.5 * errors[0].max(), rel=0.1), "linear in the broadening"


def test_currents_of_leads_bonds_and_transmission_agree() -> None:
    atoms, calc = device(), NEGFCalculator(model(), ENDS, bias=0.3, tolerance=1e-7)
    currents, into = calc.currents(atoms), calc.get_property("lead_currents", atoms)
    assert into[0] == pytest.approx(-into[1], abs=1e-14)
    assert abs(into[0]) > 1e-3
    x = atoms.positions[:, 0]
    across = (x[currents.bonds.first] > 2.5) != (x[currents.bonds.second] > 2.5)
    sign = np.where(x[currents.bonds.first] > 2.5, 1.0, -1.0)
    assert np.sum((sign * currents.charge)[across]) == pytest.approx(into[0], abs=1e-6)
    energies = np.linspace(-1.5, 0.5, 801)
    left, right = (1.0 / (1.0 + np.exp((energies - mu) / 0.05)) for mu in (-0.35, -0.65))
    passed = calc.transmission(atoms, energies)[:, 0, 1]
    assert np.trapezoid(passed * (left - right), energies) / (2 * np.pi) == pytest.approx(into[0], rel=1e-4)
    assert calc.get_property("current_map", atoms).shape == (len(atoms), 3)


def test_torques_are_what_spin_currents_bring_and_split_by_source() -> None:
    atoms = device()
    leads = (LatticeLead("left", exchange=(0.0, 0.0, 0.8)), LatticeLead("right"))
    calc = NEGFCalculator(model(), leads, bias=0.4, tolerance=1e-6)
    torques, currents = calc.get_property("torques", atoms), calc.currents(atoms)
    x = atoms.positions[:, 0]
    bonds = currents.bonds
    inside = (x > 0.5) & (x < 4.5)
    crossing = inside[bonds.first] != inside[bonds.second]
    sign = np.where(inside[bonds.first], 1.0, -1.0)
    brought = 0.5 * np.sum((sign[:, None] * currents.spin)[crossing], axis=0)
    np.testing.assert_allclose(torques[inside].sum(axis=0), brought, atol=1e-10)
    assert np.linalg.norm(brought) > 1e-3
    parts = calc.get_property("transfer_torques", atoms)
    assert np.abs(parts[0]).max() > 1e-3
    rest = torques - parts.sum(axis=0)
    reference = NEGFCalculator(model(chemical_potential=-0.7), leads, tolerance=1e-6).get_property("torques", atoms)
    np.testing.assert_allclose(rest, reference, atol=1e-5)


def test_both_unit_systems_agree() -> None:
    reduced, metal = device(), device(units="metal", moment=2.0)
    scale = 0.4  # eV
    in_metal = SDModel(ShellHopping([scale]), 1.3 * scale, chemical_potential=-0.5 * scale, kT=0.05 * scale)
    one = NEGFCalculator(model(), ENDS, bias=0.3, tolerance=1e-6)
    two = NEGFCalculator(in_metal, ENDS, bias=0.3 * scale, tolerance=1e-6, units="metal")
    fields = one.get_property("magnetic_forces", reduced)
    np.testing.assert_allclose(two.get_property("magnetic_forces", metal), fields * scale / 2.0, atol=1e-5)
    currents = one.get_property("lead_currents", reduced)
    np.testing.assert_allclose(two.get_property("lead_currents", metal), currents * scale / METAL.hbar, rtol=1e-4)


def test_results_carry_no_noise() -> None:
    atoms, calc = device(), NEGFCalculator(model(), ENDS, bias=0.3)
    first = calc.get_property("magnetic_forces", atoms)
    other = atoms.copy()
    other.spins = other.spins[::-1]
    calc.get_property("magnetic_forces", other)
    np.testing.assert_array_equal(calc.get_property("magnetic_forces", atoms), first)


def test_a_bias_that_depends_on_time_follows_the_driver() -> None:
    asked: list[float] = []

    def bias(time: float) -> float:
        asked.append(time)
        return 0.2 * time

    atoms = device((4, 2))
    calc = NEGFCalculator(model(kT=0.2), ENDS, bias=bias, tolerance=1e-3)
    assert not calc.conservative
    atoms.calc = SpinSumCalculator([calc, HeisenbergCalculator(shells=[0.1])])
    dynamics = LLGDynamics(atoms, 0.5, damping=0.1, integrator="heun")
    seen: list[tuple[float, float, float]] = []

    def look() -> None:
        seen.append((dynamics.get_time(), calc.bias, float(calc.get_property("lead_currents", atoms)[0])))

    dynamics.attach(look)
    dynamics.run(3)
    assert [time for time, _, _ in seen] == [0.0, 0.5, 1.0, 1.5]
    assert [bias_ for _, bias_, _ in seen] == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert seen[0][2] == pytest.approx(0.0, abs=1e-14)
    assert np.all(np.diff([current for _, _, current in seen]) > 0.0)
    constant = NEGFCalculator(model(kT=0.2), ENDS, bias=0.3, tolerance=1e-3)
    assert constant.get_property("lead_currents", atoms)[0] == pytest.approx(seen[-1][2], abs=1e-12)
    assert max(asked) == 1.5


def test_current_and_voltage() -> None:
    atoms, calc = device(), NEGFCalculator(model(), ENDS, tolerance=1e-5)
    before = calc.get_property("magnetic_forces", atoms)
    biases = np.array([-0.3, 0.0, 0.3])
    currents = calc.current_voltage(atoms, biases)
    assert currents.shape == (3, 2)
    expected = NEGFCalculator(model(), ENDS, bias=0.3, tolerance=1e-5).get_property("lead_currents", atoms)
    np.testing.assert_allclose(currents[2], expected, rtol=1e-9)
    assert currents[0, 0] < 0.0 == currents[1, 0] < currents[2, 0]
    assert calc.bias == 0.0
    np.testing.assert_array_equal(calc.get_property("magnetic_forces", atoms), before)


def test_a_new_bias_keeps_the_leads() -> None:
    atoms, calc = device(), NEGFCalculator(model(), ENDS, bias=lambda time: 0.1 * time, tolerance=1e-3)
    calc.get_property("magnetic_forces", atoms)
    structure = calc._state.plan.plans[0].structure
    calc.set_time(2.0)
    calc.get_property("magnetic_forces", atoms)
    assert calc._state.plan.plans[0].structure is structure
    assert calc._state.plan.plans[0].drive.bias == pytest.approx(0.2)


def test_the_fast_path_watches_in_the_units_of_the_atoms() -> None:
    """In metal units a moment of 2 mu_B under hoppings of 0.4 eV is as fast as one of 1 in reduced units."""
    atoms = device((12, 3), units="metal", moment=2.0)
    in_metal = SDModel(ShellHopping([0.4]), 0.52, chemical_potential=-0.2, kT=0.02)
    angles = []
    for magnet, calc in (
        (atoms, NEGFCalculator(in_metal, ENDS, bias=0.12, tolerance=1e-3)),
        (device((12, 3)), NEGFCalculator(model(), ENDS, bias=0.3, tolerance=1e-3)),
    ):
        with pytest.warns(AdiabaticityWarning, match="radian") as caught:
            calc.field_function(magnet)(magnet.spins)
        angles.append(float(str(caught[0].message).split(" radian")[0].split()[-1]))
    assert angles[0] == pytest.approx(angles[1], rel=0.05)


def test_fast_spins_are_noticed_once() -> None:
    atoms, calc = device((12, 3)), NEGFCalculator(model(), ENDS, bias=0.3, tolerance=1e-3)
    with pytest.warns(AdiabaticityWarning, match="larger moments or a shorter device") as caught:
        calc.get_property("magnetic_forces", atoms)
    assert len(caught) == 1
    atoms.spins = atoms.spins[::-1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calc.get_property("magnetic_forces", atoms)
    found = calc.adiabaticity(atoms)
    slow = device((12, 3), moment=1000.0)
    slow.spins = atoms.spins
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calm = NEGFCalculator(model(), ENDS, bias=0.3, tolerance=1e-3).adiabaticity(slow)
    assert calm.angle == pytest.approx(found.angle / 1000.0)
    assert calm.dwell_time == pytest.approx(found.dwell_time)


def test_the_dwell_time_of_a_clean_chain_is_its_length_over_the_speed() -> None:
    atoms = device((30, 1))
    calc = NEGFCalculator(model(coupling=0.0, chemical_potential=-1.0), ENDS)
    speed = 2.0 * np.sin(np.arccos(0.5))
    assert calc.adiabaticity(atoms).dwell_time == pytest.approx(30 / speed, rel=1e-9)


LAW = ExponentialHopping(1.0, 1.0, 1.0, 1.3)


def test_forces_need_fixed_what_leads_are_made_from() -> None:
    atoms, calc = device(), NEGFCalculator(model(hopping=LAW), ENDS, bias=0.2, tolerance=1e-4)
    with pytest.raises(ModelError, match=r"lead 'left' depends on the position of site 0 \(of 6\)"):
        calc.get_property("forces", atoms)
    atoms.set_constraint(FixAtoms([0, 1, 2, 15, 16, 17]))
    with pytest.raises(ModelError, match=r"'left' depends on the position of site 3 \(of 3\)"):
        calc.get_property("forces", atoms)
    at_end = NEGFCalculator(model(hopping=LAW), [WideBandLead(0.3, "left")], tolerance=1e-4)
    with pytest.raises(ModelError, match="a wide band may be given the numbers"):
        at_end.get_property("forces", device())
    atoms.set_constraint(FixAtoms([0, 1, 2, 3, 4, 5, 12, 13, 14, 15, 16, 17]))
    atoms.calc = calc
    assert np.abs(atoms.get_forces()).max() > 1e-3
    assert not atoms.get_forces()[:6].any()


@pytest.mark.parametrize(
    ("leads", "fixed", "site"),
    [
        (ENDS, [*range(6), *range(18, 24)], 7),
        ((LatticeLead("left", layers=2), LatticeLead("right", layers=2)), [*range(9), *range(15, 24)], 10),
        ((LatticeLead("left"), WideBandLead(0.5, [21, 22, 23])), [*range(6)], 22),
        ((WideBandLead(0.3, [0, 1, 2]), Bath(0.05)), [], 1),
    ],
)
def test_forces_in_equilibrium_are_derivatives_also_beside_leads(leads: tuple, fixed: list[int], site: int) -> None:
    atoms, calc = device((8, 3)), NEGFCalculator(model(hopping=LAW), leads, tolerance=1e-5)
    atoms.set_constraint(FixAtoms(fixed))
    forces = calc.get_property("forces", atoms)
    for axis in (0, 1):
        energies = []
        for step in (1e-4, -1e-4):
            moved = atoms.copy()
            moved.positions[site, axis] += step
            energies.append(calc.get_property("free_energy", moved))
        assert -(energies[0] - energies[1]) / 2e-4 == pytest.approx(forces[site, axis], abs=1e-5)
    assert np.abs(forces[site]).max() > 1e-2


def test_levels_that_the_energies_miss_are_noticed_once() -> None:
    atoms = device((4, 3))
    weak = (WideBandLead(1e-3, [0]), WideBandLead(1.7e-3, [11]))
    calc = NEGFCalculator(model(kT=0.02), weak, bias=0.5, tolerance=1e-3)
    with pytest.warns(AccuracyWarning, match=r"electrons on a site .* add a weak Bath"):
        calc.get_property("lead_currents", atoms)
    bath = NEGFCalculator(model(kT=0.02), (*weak, Bath(0.02)), bias=0.5, tolerance=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("error", AccuracyWarning)
        calc.get_property("magnetic_forces", atoms)
        bath.get_property("magnetic_forces", atoms)


def test_leads_are_attached_anew_when_the_geometry_changes() -> None:
    calc = NEGFCalculator(model(), ENDS, bias=0.2, tolerance=1e-3)
    for size in ((4, 2), (5, 3)):
        atoms = device(size)
        fresh = NEGFCalculator(model(), ENDS, bias=0.2, tolerance=1e-3).get_property("magnetic_forces", atoms)
        np.testing.assert_array_equal(calc.get_property("magnetic_forces", atoms), fresh)


def test_bad_input_is_refused_and_nothing_is_lost() -> None:
    for make, message in (
        (lambda: NEGFCalculator(model(chemical_potential=None, filling=0.3), ENDS), "chemical potential, not a filling"),
        (lambda: NEGFCalculator(model(), [], bias=0.3), "isolated"),
        (lambda: NEGFCalculator(model(), [Bath(0.1)], bias=0.3), "only 0: add a lead"),
        (lambda: NEGFCalculator(model(), [LatticeLead("left")], bias=0.3), "'left' has only 0.5"),
        (lambda: NEGFCalculator(model(), [*ENDS, WideBandLead(0.1, [3])]), "3 leads have no share"),
        (lambda: NEGFCalculator(model(), ["left"]), "must be LatticeLead, WideBandLead or Bath objects, got 'left'"),
        (lambda: NEGFCalculator(model(), ENDS, bias="0.3"), "bias must be a finite energy, or a function"),
        (lambda: NEGFCalculator(model(), ENDS, bias=lambda time: None), "function of time that gives one, got None"),
        (lambda: NEGFCalculator(model(), ENDS).transmission(device(), [0.0, np.nan]), "must be finite numbers"),
    ):
        with pytest.raises(ModelError, match=message):
            make()
    atoms = device()
    before = atoms.spins.copy()
    atoms.calc = NEGFCalculator(model(), ENDS, bias=0.3, tolerance=1e-9, max_energies=30)
    with pytest.raises(ConvergenceError, match="within 30 energies"):
        LLGDynamics(atoms, 0.1, probe=False).run(2)
    np.testing.assert_array_equal(atoms.spins, before)
    with pytest.raises(ModelError, match="flux"):
        NEGFCalculator(model(flux=1.0), ENDS).get_property("magnetic_forces", atoms)
    with pytest.raises(InvalidGeometryError, match="both have a site at"):
        NEGFCalculator(model(), (LatticeLead("left"), LatticeLead("left", name="too"))).get_property(
            "magnetic_forces", atoms
        )
    atoms.pbc = [True, False, False]
    with pytest.raises(InvalidGeometryError, match="periodic"):
        NEGFCalculator(model(), ENDS).get_property("magnetic_forces", atoms)


TABLE = {
    "style": "negf",
    "hopping": {"style": "shell", "amplitudes": [1.0]},
    "coupling": 1.3,
    "chemical_potential": -0.5,
    "kT": 0.05,
    "tolerance": 1e-4,
}


def test_an_input_file_makes_the_same_calculator() -> None:
    leads = [
        {"style": "lattice", "side": "left", "exchange": [0.0, 0.0, 0.5]},
        {"style": "wide-band", "sites": "right", "broadening": 0.7},
        {"style": "bath", "broadening": 0.02},
    ]
    calc = build_calculator({**TABLE, "leads": leads, "bias": 0.2}, "[calculator]")
    by_hand = NEGFCalculator(
        model(), (LatticeLead("left", exchange=(0, 0, 0.5)), WideBandLead(0.7, "right"), Bath(0.02)), 0.2, tolerance=1e-4
    )
    atoms = device()
    np.testing.assert_array_equal(
        calc.get_property("magnetic_forces", atoms), by_hand.get_property("magnetic_forces", atoms)
    )
    ramp = build_calculator({**TABLE, "leads": leads, "bias": {"from": 0.1, "to": 0.5, "duration": 4.0}}, "[calculator]")
    biases = []
    for time in (0.0, 1.0, 9.0):
        ramp.set_time(time)
        biases.append(ramp.bias)
    assert biases == pytest.approx([0.1, 0.2, 0.5])


def test_misspelt_input_is_explained() -> None:
    for change, message in (
        ({"leads": [{"style": "lattice", "side": "top"}]}, "leads"),
        ({"leads": []}, "leads"),
        ({"leads": [{"style": "bath", "broadening": -1.0}]}, "broadening"),
        ({"leads": [{"style": "bath", "broadening": 0.1, "temperature": 1.0}]}, "temperature"),
        ({"leads": [{"style": "bath", "broadening": 0.1, "kT": -1.0}]}, "kT"),
    ):
        with pytest.raises(InputError, match=message):
            build_calculator({**TABLE, **change}, "[calculator]")


@pytest.mark.parametrize("ramp", [(0.0, np.inf, 1.0), (np.nan, 0.1, 1.0), (0.0, 0.1, 0.0), (0.0, 0.1, np.inf)])
def test_a_bias_ramp_takes_a_time(ramp: tuple[float, float, float]) -> None:
    with pytest.raises(ModelError, match="a bias ramp needs finite energies and a positive time, got from"):
        BiasRamp(*ramp)
    law = BiasRamp(0.2, -0.4, 3.0)
    assert [law(time) for time in (-1.0, 0.0, 1.0, 3.0, 9.0)] == pytest.approx([0.2, 0.2, 0.0, -0.4, -0.4])
