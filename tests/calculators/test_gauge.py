"""Energies have no zero: shifting on-site energies and chemical potential together changes nothing, leads or no leads."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.calculators import EDCalculator, KPMCalculator, NEGFCalculator, RationalCalculator
from spinase.electrons import Bath, LatticeLead, SDModel, ShellHopping, WideBandLead
from spinase.electrons.transport.leads import Lead
from spinase.errors import AdiabaticityWarning, ModelError

SHIFT = 1.0
FERRO = LatticeLead("left", exchange=(0.2, 0.1, 0.5))


@dataclass(frozen=True)
class Open:
    """An open device: on-site energies (by number, species or site), leads, other options of its model."""

    onsite: Any = 0.0
    leads: tuple[Lead, ...] = (LatticeLead("left"), LatticeLead("right"))
    lattice: str = "square"
    size: tuple[int, ...] = (5, 3)
    options: dict[str, Any] = field(default_factory=dict)
    species: bool = False


SITES = np.linspace(-0.3, 0.4, 15)
DEVICES = {
    "one number": Open(),
    "chain": Open(lattice="chain", size=(6,)),
    "by species": Open({26: 0.2, 27: -0.3}, species=True),
    "by site": Open(SITES),
    "triangular": Open({26: 0.2, 27: -0.3}, lattice="triangular", species=True),
    "ferromagnetic leads, field": Open(0.1, (FERRO, LatticeLead("right", onsite=-0.2)), options={"zeeman": (0.1, 0.0, 0.2)}),
    "wide bands, bath": Open(
        SITES, (WideBandLead(0.7, "left"), WideBandLead(0.5, "right", polarization=(0, 0, 0.5)), Bath(0.05))
    ),
    "wide bands, flux": Open(0.1, (WideBandLead(0.7, "left"), WideBandLead(0.5, "right")), options={"flux": 0.7}),
    "lead of its own shape": Open(
        {26: 0.2, 27: -0.3},
        (
            LatticeLead("left"),
            LatticeLead(cell=[[4.0, 3.0, 0.0], [3.0, 3.0, 0.0]], period=(0.0, 1.0, 0.0), numbers=[26, 27], share=-0.5),
        ),
        species=True,
    ),
    "probe, heat": Open(SITES, (LatticeLead("left", kT=0.2), LatticeLead("right"), WideBandLead(0.2, [7], share=0.3))),
}


def shifted(onsite: Any) -> Any:
    return {z: e + SHIFT for z, e in onsite.items()} if isinstance(onsite, dict) else onsite + SHIFT


def device(given: Open) -> SpinAtoms:
    atoms = SpinAtoms.lattice(given.lattice, given.size, units="reduced", rng=3)
    atoms.pbc = False
    if given.species:
        atoms.numbers[1::3] = 27
    return atoms


@pytest.fixture(autouse=True)
def _adiabatic():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AdiabaticityWarning)
        yield


def answers(given: Open, shift: bool, bias: float) -> dict[str, np.ndarray]:
    atoms, onsite = device(given), shifted(given.onsite) if shift else given.onsite
    mu = -0.6 + SHIFT * shift
    model = SDModel(ShellHopping([1.0]), 1.1, chemical_potential=mu, kT=0.08, onsite=onsite, **given.options)
    calc = NEGFCalculator(model, given.leads, bias=bias, tolerance=1e-4)
    names = ["magnetic_forces", "electron_density", "spin_density", "lead_currents", "bond_currents"]
    found = {name: np.asarray(calc.get_property(name, atoms)) for name in names}
    energies = np.array([-1.3, 0.2, 0.9])
    found["transmission"] = calc.transmission(atoms, energies + SHIFT * shift)
    if calc.conservative:
        found["free_energy"] = np.array(calc.get_property("free_energy", atoms))
    return found


@pytest.mark.parametrize("bias", [0.0, 0.4])
@pytest.mark.parametrize("name", DEVICES)
def test_a_shift_of_all_energies_changes_nothing(name: str, bias: float) -> None:
    before, after = (answers(DEVICES[name], shift, bias) for shift in (False, True))
    for key, value in before.items():
        np.testing.assert_allclose(after[key], value, rtol=0, atol=2e-4 if key != "transmission" else 1e-9, err_msg=key)
    assert np.abs(before["transmission"]).max() > 0.01
    assert (np.abs(before["lead_currents"]).max() > 1e-3) == (bias > 0.0 or name == "probe, heat")


def test_the_current_of_a_clean_chain() -> None:
    """Found: 0.0637 before and 0.0507 after a shift by 1."""
    atoms = device(Open(lattice="chain", size=(6,)))
    currents = []
    for shift in (0.0, 1.0, -40.0):
        model = SDModel(ShellHopping([1.0]), 0.0, chemical_potential=shift, kT=0.02, onsite=shift)
        calc = NEGFCalculator(model, [LatticeLead("left"), LatticeLead("right")], bias=0.2, tolerance=1e-5)
        currents.append(calc.get_property("lead_currents", atoms)[0])
    assert currents == pytest.approx([0.2 / np.pi] * 3, abs=1e-5), "two quanta of conductance"


def test_a_field_splits_the_bands_of_the_leads_too() -> None:
    """A clean chain in a field is clean: whole channels, one spin's only at the edges."""
    atoms = device(Open(lattice="chain", size=(6,)))
    model = SDModel(ShellHopping([1.0]), 0.0, chemical_potential=0.0, kT=0.1, zeeman=(0.3, 0.0, 0.4))
    calc = NEGFCalculator(model, [LatticeLead("left"), LatticeLead("right")])
    passed = calc.transmission(atoms, [-2.2, -1.0, 0.3, 1.8, 2.6])[:, 0, 1]
    np.testing.assert_allclose(passed, [1.0, 2.0, 2.0, 1.0, 0.0], atol=1e-10)


def test_energies_of_a_lead_that_cannot_be_told_are_asked_for() -> None:
    own = {"cell": [[4.0, 3.0, 0.0]], "period": (0.0, 1.0, 0.0)}
    for onsite, lead, message in (
        (SITES, LatticeLead(**own), "given site by site"),
        ({26: 0.2, 27: -0.3}, LatticeLead(**own), r"say which species are in its cell \(numbers="),
    ):
        model = SDModel(ShellHopping([1.0]), 1.0, chemical_potential=0.0, kT=0.1, onsite=onsite)
        with pytest.raises(ModelError, match=message):
            NEGFCalculator(model, [lead]).get_property("magnetic_forces", device(Open(species=True)))
    with pytest.raises(ModelError, match=r"one each: got shape \(2,\) and 1 sites"):
        LatticeLead(**own, numbers=[26, 27])
    with pytest.raises(ModelError, match="no cell"):
        LatticeLead("left", numbers=[26])


@pytest.mark.parametrize("style", ["ed", "rational", "kpm"])
def test_closed_magnets_have_no_zero_of_energy_either(style: str) -> None:
    make = {
        "ed": EDCalculator,
        "rational": lambda model: RationalCalculator(model, tolerance=1e-8),
        "kpm": lambda model: KPMCalculator(model, columns="unit", accuracy=1e-4),
    }[style]
    atoms = SpinAtoms.lattice("square", (4, 4), units="reduced", rng=3)
    found = []
    for shift in (0.0, SHIFT):
        model = SDModel(
            ShellHopping([1.0]), 1.1, chemical_potential=-0.6 + shift, kT=0.2, onsite=shift, zeeman=(0.1, 0.0, 0.2)
        )
        calc = make(model)
        found.append([calc.get_property(name, atoms) for name in ("magnetic_forces", "free_energy", "electron_density")])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(other, one, atol=1e-3 if style == "kpm" else 1e-6)
