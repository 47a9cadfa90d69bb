"""Films that repeat across the transport: k-points against wide cells, Bloch bands, quanta of channels, differences."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.atoms import geometry_of, get_spins, set_moments
from spinase.calculators import EDCalculator, NEGFCalculator
from spinase.electrons import (
    Bath,
    ExponentialHopping,
    KMesh,
    LatticeLead,
    RashbaHopping,
    SDHamiltonian,
    SDModel,
    ShellHopping,
    WideBandLead,
)
from spinase.electrons.solvers.negf import Drive
from spinase.electrons.solvers.negf_mesh import MeshedNEGFSolver
from spinase.errors import AdiabaticityWarning, ModelError
from spinase.run.build import build_calculator
from spinase.testing import Tolerances, check_calculator

FERRO = LatticeLead("left", exchange=(0.3, 0.2, 0.5))
ENDS = (FERRO, LatticeLead("right"))


@pytest.fixture(autouse=True)
def _adiabatic():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AdiabaticityWarning)
        yield


def model(**options: object) -> SDModel:
    given = {"hopping": ShellHopping([1.0, 0.3]), "coupling": 1.3, "chemical_potential": -0.5, "kT": 0.1, **options}
    return SDModel(**given)


def film(lattice: str, length: int, width: int, repeat: int = 1) -> SpinAtoms:
    """Random spins of a cell of length x width sites, the cell repeated along y; periodic along y."""
    cell = SpinAtoms.lattice(lattice, (length, width), units="reduced", rng=3)
    atoms = SpinAtoms.lattice(lattice, (length, width * repeat), units="reduced")
    set_moments(atoms, np.tile(get_spins(cell).reshape(length, width, 3), (1, repeat, 1)).reshape(-1, 3))
    atoms.pbc = [False, True, False]
    return atoms


def in_cell(values: np.ndarray, length: int, width: int) -> np.ndarray:
    """Those of the first cell of a film's sites, which run along y first."""
    return values.reshape(length, -1, *values.shape[1:])[:, :width].reshape(length * width, *values.shape[1:])


@pytest.mark.parametrize(("lattice", "width", "points"), [("square", 2, 3), ("triangular", 1, 2)])
def test_a_mesh_of_a_cell_is_the_wide_cell(lattice: str, width: int, points: int) -> None:
    """One site wide, bonds join a site with its own image; at k = 1/2 those of triangles along the film cancel.

    Levels outside of the bands of the leads at their k are bound: a bath gives them a width.
    """
    hopping = ShellHopping([1.0])
    narrow, wide = film(lattice, 3, width), film(lattice, 3, width, points)
    leads = (*ENDS, Bath(0.05))
    one = NEGFCalculator(model(hopping=hopping), leads, 0.4, tolerance=1e-4, kpts=(1, points, 1))
    other = NEGFCalculator(model(hopping=hopping), leads, 0.4, tolerance=1e-4)
    for name in ("magnetic_forces", "electron_density", "spin_density", "current_map"):
        expected = in_cell(other.get_property(name, wide), 3, width)
        np.testing.assert_allclose(one.get_property(name, narrow), expected, atol=2e-4)
    parts = other.get_property("transfer_torques", wide)
    torques = one.get_property("transfer_torques", narrow)
    np.testing.assert_allclose(torques[0], in_cell(parts[0], 3, width), atol=2e-4)
    currents = one.get_property("lead_currents", narrow)
    np.testing.assert_allclose(points * currents, other.get_property("lead_currents", wide), atol=5e-4)
    assert abs(currents[0]) > 1e-3
    energies = np.array([-1.3, 0.2])
    passed = other.transmission(wide, energies)
    np.testing.assert_allclose(points * one.transmission(narrow, energies), passed, atol=1e-9)
    assert one.adiabaticity(narrow).dwell_time == pytest.approx(other.adiabaticity(wide).dwell_time, rel=1e-9)


def test_energies_and_bonds_are_those_of_the_wide_cell() -> None:
    narrow, wide = film("square", 3, 2), film("square", 3, 2, 3)
    one, other = (NEGFCalculator(model(), ENDS, tolerance=1e-8, kpts=kpts) for kpts in ((1, 3, 1), (1, 1, 1)))
    assert 3.0 * one.get_property("free_energy", narrow) == pytest.approx(other.get_property("free_energy", wide), abs=1e-6)
    here, there = one.currents(narrow), other.currents(wide)
    assert np.abs(here.spin).max() > 1e-3
    first = np.flatnonzero(here.bonds.first == 2)
    for n in first:
        same = np.linalg.norm(there.bonds.vectors - here.bonds.vectors[n], axis=1) < 1e-9
        back = np.linalg.norm(there.bonds.vectors + here.bonds.vectors[n], axis=1) < 1e-9
        start = 6  # site 2 of the narrow film, the first of the second column, in the wide one
        match = [(m, 1.0) for m in np.flatnonzero(same & (there.bonds.first == start))]
        match += [(m, -1.0) for m in np.flatnonzero(back & (there.bonds.second == start))]
        (m, sign) = match[0]
        np.testing.assert_allclose(sign * there.spin[m], here.spin[n], atol=1e-7)


def test_hopping_that_turns_spins_has_the_phases_too() -> None:
    law = RashbaHopping([0.4])
    narrow, wide = film("square", 3, 2), film("square", 3, 2, 3)
    leads = (WideBandLead(0.8, "left"), WideBandLead(0.5, "right"))
    one, other = (NEGFCalculator(model(spin_orbit=law), leads, 0.3, kpts=kpts) for kpts in ((1, 3, 1), (1, 1, 1)))
    expected = in_cell(other.get_property("magnetic_forces", wide), 3, 2)
    np.testing.assert_allclose(one.get_property("magnetic_forces", narrow), expected, atol=1e-5)
    currents = one.get_property("lead_currents", narrow)
    np.testing.assert_allclose(3 * currents, other.get_property("lead_currents", wide), atol=5e-5)


def test_a_ferromagnet_between_leads_of_itself_is_the_bulk_crystal() -> None:
    atoms = SpinAtoms.lattice("triangular", (3, 1), units="reduced")
    atoms.pbc = [False, True, False]
    same = tuple(LatticeLead(side, exchange=1.3 * get_spins(atoms)[0]) for side in ("left", "right"))
    warm = model(hopping=ShellHopping([1.0]), kT=0.2)
    found = NEGFCalculator(warm, same, tolerance=1e-8, kpts=(1, 6, 1))
    bulk = SpinAtoms.lattice("triangular", (1, 1), units="reduced")
    exact = EDCalculator(warm, kpts=(120, 6, 1))
    for name in ("electron_density", "spin_density", "magnetic_forces"):
        expected = np.broadcast_to(exact.get_property(name, bulk), np.shape(found.get_property(name, atoms)))
        np.testing.assert_allclose(found.get_property(name, atoms), expected, atol=1e-7)


def test_clean_films_at_zero_temperature_carry_whole_quanta() -> None:
    """Channels with |E + 2 cos k| < 2 throughout the window, 1/2pi of the bias each, for two spins, by cell."""
    atoms = film("square", 2, 1)
    clean = model(hopping=ShellHopping([1.0]), coupling=0.0, kT=0.0, chemical_potential=-1.3)
    mesh = KMesh.regular((1, 5, 1), (0.0, 0.3, 0.0))
    calc = NEGFCalculator(clean, (LatticeLead("left"), LatticeLead("right")), 0.2, kpts=mesh)
    there = np.abs(-1.3 + 2.0 * np.cos(2.0 * np.pi * mesh.points[:, 1])) < 1.9
    quantum = 2.0 * 0.2 / (2.0 * np.pi)
    assert 0 < there.sum() < 5
    assert calc.get_property("lead_currents", atoms)[0] == pytest.approx(there.mean() * quantum, abs=1e-5)


def test_lists_of_points_are_means_with_weights() -> None:
    atoms, points, weights = film("square", 3, 1), np.array([[0, 0.1, 0], [0, 0.4, 0]]), np.array([0.25, 0.75])
    plain, leads = model(hopping=ShellHopping([1.0])), (*ENDS, Bath(0.05))
    meshes = (*(KMesh.of_points(point) for point in points), KMesh.of_points(points, weights))
    calculators = [NEGFCalculator(plain, leads, 0.2, tolerance=1e-4, kpts=mesh) for mesh in meshes]
    found = [calc.get_property("magnetic_forces", atoms) for calc in calculators]
    np.testing.assert_allclose(found[2], weights[0] * found[0] + weights[1] * found[1], atol=1e-12)
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_fields_and_forces_in_equilibrium_are_gradients() -> None:
    atoms = film("square", 3, 2)
    law = ExponentialHopping(1.0, 1.0, 1.0, 1.3)
    leads = (WideBandLead(0.3, [0, 1]), Bath(0.05))
    calc = NEGFCalculator(model(hopping=law, kT=0.2), leads, tolerance=1e-8, kpts=(1, 3, 1))
    # tails of wide bands are cut in the energy
    assert check_calculator(calc, atoms, checks=["magnetic_forces", "forces"], tolerances=Tolerances(gradient=2e-5))


def test_an_input_file_says_the_mesh() -> None:
    table = {
        "style": "negf",
        "hopping": {"style": "shell", "amplitudes": [1.0]},
        "coupling": 1.3,
        "chemical_potential": -0.5,
        "kT": 0.1,
        "leads": [{"style": "lattice", "side": "left"}, {"style": "wide-band", "sites": "right", "broadening": 0.7}],
        "kpts": [1, 3, 1],
        "kshift": [0.0, 0.5, 0.0],
    }
    calc = build_calculator(table, "[calculator]")
    assert (calc.mesh.size, calc.mesh.shift) == ((1, 3, 1), (0.0, 0.5, 0.0))
    assert np.isfinite(calc.get_property("magnetic_forces", film("square", 3, 1))).all()


def test_points_along_open_directions_and_missing_leads_are_refused() -> None:
    atoms = film("square", 3, 2)
    with pytest.raises(ModelError, match=r"kpts = \(2, 1, 1\) samples direction 0, which is not periodic"):
        NEGFCalculator(model(), ENDS, kpts=(2, 1, 1)).get_property("magnetic_forces", atoms)
    geometry = geometry_of(atoms)
    leads = [FERRO.attach(geometry, SDHamiltonian(ShellHopping([1.0]), 0.0), 0.0)]
    with pytest.raises(ModelError, match="2 k-points need leads each, got 1 sets of leads"):
        MeshedNEGFSolver(KMesh.regular((1, 2, 1)), [leads], Drive(0.0, 0.1))
