"""Devices of tables of hopping: those of s-d models, bulk crystals, finite differences, k-points, what is refused."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest
from electrons.test_orbitals import metal, rashba
from systems.devices import paper

from spinase import SpinAtoms
from spinase.atoms import geometry_of, get_spins, set_moments
from spinase.calculators import EDCalculator, NEGFCalculator
from spinase.electrons import (
    Bath,
    LatticeLead,
    OrbitalModel,
    OrbitalTable,
    RashbaHopping,
    SDModel,
    ShellHopping,
    WideBandLead,
)
from spinase.errors import AdiabaticityWarning, InvalidGeometryError, ModelError
from spinase.io.tight_binding import magnet_of
from spinase.testing import check_calculator

LAMBDA = 0.3  # of the table `rashba`
ENDS = tuple(LatticeLead(side, exchange=(0.1, 0.0, 0.4), spin_orbit=True) for side in ("left", "right"))


@pytest.fixture(autouse=True)
def _adiabatic():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AdiabaticityWarning)
        yield


@pytest.mark.parametrize("periodic", [True, False])
def test_a_table_of_one_orbital_is_an_sd_model(periodic: bool) -> None:
    """Fields, torques by source, currents and noise, in a film by k-points and in a strip."""
    table = rashba().repeat((3, 2, 1)).cut(0)
    atoms = magnet_of(table if periodic else table.cut(1), "Fe", units="reduced")
    set_moments(atoms, get_spins(SpinAtoms.lattice("square", (3, 2), units="reduced", rng=2)))
    assert atoms.pbc.tolist() == [False, periodic, False]
    options = {"chemical_potential": -0.4, "kT": 0.1}
    plain = SDModel(ShellHopping([1.0]), 0.9, spin_orbit=RashbaHopping([LAMBDA]), **options)
    model = OrbitalModel(table if periodic else table.cut(1), 0.9, **options)
    kpts, leads = (1, 3 if periodic else 1, 1), (*ENDS, Bath(0.2))
    one, other = (NEGFCalculator(m, leads, 0.3, tolerance=1e-3, kpts=kpts) for m in (plain, model))
    for name in ("magnetic_forces", "transfer_torques", "lead_currents", "current_map", "electron_density"):
        np.testing.assert_allclose(other.get_property(name, atoms), one.get_property(name, atoms), atol=1e-9)
    np.testing.assert_allclose(other.transmission(atoms, [-1.0]), one.transmission(atoms, [-1.0]), atol=1e-9)
    np.testing.assert_allclose(other.current_noise(atoms).power, one.current_noise(atoms).power, atol=1e-9)


def bulk_and_device(length: int, kT: float) -> tuple[OrbitalModel, OrbitalModel]:  # noqa: N803
    options = {"chemical_potential": -0.2, "kT": kT}
    return OrbitalModel(metal(), 0.8, **options), OrbitalModel(metal().repeat((length, 1, 1)).cut(0), 0.8, **options)


def test_a_ferromagnet_between_leads_of_itself_is_the_bulk_crystal() -> None:
    """Two sites a cell with one and three orbitals, atomic spin-orbit coupling: fields of sites, currents of none."""
    bulk, open_ = bulk_and_device(2, 0.2)
    spin = np.array([0.6, 0.0, 0.8])
    cell = magnet_of(bulk.table, ["Fe", "Pt"], np.tile(spin, (2, 1)), units="reduced")
    atoms = magnet_of(open_.table, ["Fe", "Pt"], np.tile(spin, (4, 1)), units="reduced")
    same = tuple(LatticeLead(side, layers=2, exchange=0.8 * spin) for side in ("left", "right"))
    found, exact = NEGFCalculator(open_, same, tolerance=1e-7), EDCalculator(bulk, kpts=(120, 1, 1))
    for name in ("electron_density", "spin_density", "magnetic_forces", "torques"):
        expected = np.concatenate([exact.get_property(name, cell)] * 2)
        np.testing.assert_allclose(found.get_property(name, atoms), expected, atol=1e-6)
    assert found.get_property("magnetic_forces", atoms).shape == (4, 3)
    assert np.abs(found.get_property("torques", atoms)).max() > 1e-3


@pytest.mark.filterwarnings("ignore::spinase.errors.AccuracyWarning")
def test_fields_in_equilibrium_are_gradients_and_charge_is_conserved() -> None:
    """Levels that no lead reaches (of p orbitals without hopping) carry no current."""
    _, open_ = bulk_and_device(2, 0.2)
    atoms = magnet_of(open_.table, ["Fe", "Pt"], units="reduced")
    atoms.spins = np.random.default_rng(3).normal(size=(4, 3))
    leads = (LatticeLead("left", layers=2), WideBandLead(0.4, [3]))
    assert check_calculator(
        NEGFCalculator(open_, leads[:1], tolerance=1e-7), atoms, checks=["magnetic_forces", "time_reversal"]
    )
    driven = NEGFCalculator(open_, leads, 0.3, tolerance=1e-5)
    currents, into = driven.currents(atoms), driven.get_property("lead_currents", atoms)
    site = open_.table.sites
    across = (site[currents.bonds.first] > 2) != (site[currents.bonds.second] > 2)
    sign = np.where(site[currents.bonds.first] > 2, 1.0, -1.0)
    assert np.sum((sign * currents.charge)[across]) == pytest.approx(into[0], abs=1e-5)
    assert abs(into[0]) > 1e-3
    assert np.isfinite(driven.get_property("current_map", atoms)).all()


def test_wide_bands_take_all_orbitals_of_a_site() -> None:
    _, open_ = bulk_and_device(2, 0.2)
    atoms = magnet_of(open_.table, ["Fe", "Pt"], units="reduced")
    geometry = geometry_of(atoms)
    lead = WideBandLead(0.4, [3, 0]).attach(geometry, open_.hamiltonian, 0.5)
    assert lead.sites.tolist() == [5, 6, 7, 0]
    other = WideBandLead(0.2, [1]).attach(geometry, open_.hamiltonian, -0.5)
    calc = NEGFCalculator(open_, (WideBandLead(0.4, [3, 0]), WideBandLead(0.2, [1])))
    operator = open_.hamiltonian.freeze(geometry).operator(get_spins(atoms))
    green, widths = paper(operator, [lead, other], 0.3)
    exact = np.trace(widths[1] @ green @ widths[0] @ green.conj().T).real
    assert calc.transmission(atoms, [0.3])[0, 0, 1] == pytest.approx(exact, abs=1e-10)


def test_sites_that_are_kept_in_other_cells_change_nothing() -> None:
    """One site inside is kept one cell further along the film: leads that repeat it, and their phases, follow."""
    table = rashba().repeat((3, 2, 1)).cut(0)
    step, there = np.array([0, 1, 0]), np.arange(6) == 2
    moved = dataclasses.replace(
        table,
        positions=table.positions + np.outer(there, step @ table.cell),
        places=table.places + np.outer(there, step @ table.cell),
        shifts=table.shifts + np.outer((table.first == 2).astype(int) - (table.second == 2), step),
    )
    spins = get_spins(SpinAtoms.lattice("square", (3, 2), units="reduced", rng=2))
    found, leads = [], (LatticeLead("left"), WideBandLead(0.5, [4, 5]), Bath(0.1))
    for one in (table, moved):
        atoms = magnet_of(one, "Fe", units="reduced")
        set_moments(atoms, spins)
        model = OrbitalModel(one, 0.9, chemical_potential=-0.4, kT=0.1)
        calc = NEGFCalculator(model, leads, 0.3, tolerance=1e-3, kpts=(1, 3, 1))
        found.append(calc.get_property("magnetic_forces", atoms))
    np.testing.assert_allclose(found[1], found[0], atol=1e-9)


def test_what_does_not_go_on_is_refused() -> None:
    table = rashba().repeat((3, 1, 1))
    with pytest.raises(ModelError, match=r"periodic along \[True, True, False\] cannot be cut along direction 2"):
        table.cut(2)
    atoms = magnet_of(table.cut(0), "Fe", units="reduced")

    def solve(which: OrbitalTable, magnet: SpinAtoms, lead: LatticeLead) -> None:
        NEGFCalculator(OrbitalModel(which, 0.9, chemical_potential=-0.4, kT=0.1), [lead]).get_property("torques", magnet)

    with pytest.raises(ModelError, match="has a cell of its own, but the hopping is a table"):
        solve(table.cut(0), atoms, LatticeLead(cell=[[-1.0, 0, 0]], period=(-1.0, 0, 0)))
    far = {(2, 0, 0): [[0.1]], (-2, 0, 0): [[0.1]], (1, 0, 0): [[1.0]], (-1, 0, 0): [[1.0]]}
    long = OrbitalTable.of(np.eye(3), [[0, 0, 0]], [0], far).repeat((4, 1, 1)).cut(0)
    with pytest.raises(InvalidGeometryError, match="hopping reaches beyond one cell; take more layers"):
        solve(long, magnet_of(long, "Fe", units="reduced"), LatticeLead("left"))
    uneven = metal().repeat((2, 1, 1)).cut(0)
    with pytest.raises(InvalidGeometryError, match="the next ones have other orbitals|there is no site at"):
        solve(uneven, magnet_of(uneven, ["Fe", "Pt"], units="reduced"), LatticeLead("left"))
