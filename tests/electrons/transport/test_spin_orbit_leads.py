"""Leads whose hopping turns spins: long lattices, leads absorbed into the device, a pure gauge, k-points, sources."""

from __future__ import annotations

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.atoms import geometry_of, get_spins, set_moments
from spinase.calculators import EDCalculator, NEGFCalculator
from spinase.calculators.negf_options import LatticeLeadConfig
from spinase.electrons import ChiralHopping, LatticeLead, RashbaHopping, SDHamiltonian, SDModel, ShellHopping
from spinase.electrons.operator import SparsityPattern
from spinase.electrons.solvers.negf import Drive, NEGFSolver
from spinase.electrons.transport.contacts import SpinorContact
from spinase.electrons.transport.wide_band import dense_matrix
from spinase.testing import check_calculator

LAWS = (RashbaHopping([0.4]), ChiralHopping([0.2]))
HOP = ShellHopping([1.0])
ENDS = tuple(LatticeLead(side, spin_orbit=True) for side in ("left", "right"))


def magnet(length: int, width: int, bare: int = 0) -> SpinAtoms:
    """length x width sites with random spins, between `bare` columns without moments at either end."""
    inner = SpinAtoms.lattice("square", (length, width), units="reduced", rng=3)
    atoms = SpinAtoms.lattice("square", (length + 2 * bare, width), units="reduced")
    spins = np.zeros((length + 2 * bare, width, 3))
    spins[bare : bare + length] = get_spins(inner).reshape(length, width, 3)
    set_moments(atoms, spins.reshape(-1, 3))
    atoms.pbc = False
    return atoms


def model(**options: object) -> SDModel:
    return SDModel(**{"hopping": HOP, "coupling": 1.3, "chemical_potential": -0.4, "kT": 0.1, "spin_orbit": LAWS, **options})


def test_the_self_energy_is_that_of_a_long_piece_of_the_lead() -> None:
    """By the dense inverse of 60 columns, at an energy with an imaginary part; with exchange and a Zeeman energy."""
    hamiltonian = SDHamiltonian(HOP, 1.3, onsite=0.2, zeeman=np.array([0.0, 0.1, 0.0]), spin_orbit=LAWS)
    ferro = LatticeLead("right", exchange=(0.3, 0.2, 0.5), spin_orbit=True)
    contact = ferro.attach(geometry_of(magnet(2, 2)), hamiltonian, 0.0)
    assert isinstance(contact, SpinorContact)
    long = magnet(60, 2)
    set_moments(long, np.tile(np.array([0.3, 0.2, 0.5]) / np.linalg.norm([0.3, 0.2, 0.5]), (120, 1)))
    bulk = SDHamiltonian(HOP, np.linalg.norm([0.3, 0.2, 0.5]), 0.2, np.array([0.0, 0.1, 0.0]), spin_orbit=LAWS)
    matrix, z = dense_matrix(bulk.freeze(geometry_of(long)).operator(get_spins(long))), 0.3 + 0.5j
    green = np.linalg.inv(z * np.eye(len(matrix)) - matrix)[:4, :4]
    back = matrix[:4, 4:8]  # from one column to the next
    np.testing.assert_allclose(contact.self_energy(z), back @ green @ back.conj().T, atol=1e-10)


def test_sources_are_the_broadening_on_the_real_axis() -> None:
    contact = ENDS[0].attach(geometry_of(magnet(3, 3)), model().hamiltonian, 0.0)
    for energy in (-2.5, -0.3, 1.4):
        sigma, roots = contact.self_energy(energy), contact.sources(energy)
        np.testing.assert_allclose(roots @ roots.conj().T, 1j * (sigma - sigma.conj().T), atol=1e-9)
        assert 0 < roots.shape[1] < 7


def test_columns_of_the_lead_may_belong_to_the_device() -> None:
    """Columns without moments are the lead: fields and currents are the same with and without them."""
    small, large = magnet(3, 2), magnet(3, 2, bare=2)
    pair = [(NEGFCalculator(model(), ENDS, 0.4, tolerance=1e-5), atoms) for atoms in (small, large)]
    one, other = (calc.get_property("magnetic_forces", atoms) for calc, atoms in pair)
    np.testing.assert_allclose(other[4:-4], one, atol=2e-5)
    np.testing.assert_allclose(*(calc.get_property("lead_currents", atoms) for calc, atoms in pair), atol=1e-5)
    np.testing.assert_allclose(*(calc.transmission(atoms, [-1.0, 0.2]) for calc, atoms in pair), atol=1e-9)
    plain = NEGFCalculator(model(), (LatticeLead("left"), LatticeLead("right")), 0.4, tolerance=1e-4)
    assert np.abs(plain.get_property("magnetic_forces", small) - one).max() > 1e-2


def test_a_chain_that_turns_spins_throughout_is_a_plain_one_of_longer_hopping() -> None:
    """t exp(i theta n.sigma)/cos(theta) is a frame that turns along: two spins pass below 2/cos(theta), none above."""
    theta, atoms = 0.5, SpinAtoms.lattice("chain", (4,), units="reduced")
    atoms.pbc = False
    free = model(coupling=0.0, spin_orbit=RashbaHopping([np.tan(theta)]))
    calc, edge = NEGFCalculator(free, ENDS), 2.0 / np.cos(theta)
    passed = calc.transmission(atoms, [-0.99 * edge, -1.3, 0.2, 0.99 * edge, 1.01 * edge])[:, 0, 1]
    np.testing.assert_allclose(passed, [2.0, 2.0, 2.0, 2.0, 0.0], atol=1e-9)
    plain = NEGFCalculator(free, (LatticeLead("left"), LatticeLead("right")))
    assert plain.transmission(atoms, [-1.3])[0, 0, 1] < 1.999


def test_a_ferromagnet_between_leads_of_itself_is_the_bulk_crystal_with_k_points() -> None:
    atoms = SpinAtoms.lattice("square", (2, 1), units="reduced")
    atoms.pbc = [False, True, False]
    atoms.spins = np.tile([0.6, 0.0, 0.8], (2, 1))
    warm = model(kT=0.25, spin_orbit=RashbaHopping([0.4]))
    same = tuple(LatticeLead(side, exchange=1.3 * get_spins(atoms)[0], spin_orbit=True) for side in ("left", "right"))
    found = NEGFCalculator(warm, same, tolerance=1e-7, kpts=(1, 5, 1))
    bulk = SpinAtoms.lattice("square", (1, 1), units="reduced")
    bulk.spins = [[0.6, 0.0, 0.8]]
    exact = EDCalculator(warm, kpts=(80, 5, 1))
    for name in ("electron_density", "magnetic_forces"):
        expected = np.broadcast_to(exact.get_property(name, bulk), np.shape(found.get_property(name, atoms)))
        np.testing.assert_allclose(found.get_property(name, atoms), expected, atol=1e-6)
    assert np.linalg.norm(found.get_property("torques", atoms)) > 1e-3


def test_the_field_of_a_current_is_that_of_the_spin_it_carries() -> None:
    """H = (lambda/t) z x j, j the current of sigma along moments along z, for any lambda: a uniform magnet loses no spin.

    Moments that are turned round feel the same field; none is along m x H (time reversal).
    """
    atoms = SpinAtoms.lattice("chain", (2,), units="reduced")
    atoms.pbc = False
    warm = model(spin_orbit=RashbaHopping([0.3]), kT=0.2)
    fields = []
    for spin in ([0.0, 0.0, 1.0], [0.0, 0.0, -1.0]):
        atoms.spins = np.tile(spin, (2, 1))
        ends = [LatticeLead(side, exchange=1.3 * np.array(spin), spin_orbit=True) for side in ("left", "right")]
        calc = NEGFCalculator(warm, ends, 0.4, tolerance=1e-4)
        flow = calc.currents(atoms)
        along = -np.sign(flow.bonds.vectors[0, 0]) * flow.spin[0] @ spin  # from the second site to the first
        fields.append(calc.get_property("magnetic_forces", atoms)[:, :2])
        np.testing.assert_allclose(fields[-1], np.tile([0.0, 0.3 * along], (2, 1)), atol=1e-5)
    np.testing.assert_allclose(fields[0], fields[1], atol=1e-5)
    assert fields[0][0, 1] > 1e-3


def test_fields_in_equilibrium_are_gradients() -> None:
    calc = NEGFCalculator(model(kT=0.2), ENDS, tolerance=1e-7)
    assert check_calculator(calc, magnet(3, 2), checks=["magnetic_forces", "time_reversal"])


@pytest.mark.parametrize("spin_orbit", [True, False])
def test_an_input_file_says_so(spin_orbit: bool) -> None:
    table = {"style": "lattice", "side": "left", **({"spin_orbit": True} if spin_orbit else {})}
    assert LatticeLeadConfig.model_validate(table).build().spin_orbit is spin_orbit


def test_a_model_without_it_has_plain_leads() -> None:
    geometry, plain = geometry_of(magnet(3, 2)), SDHamiltonian(HOP, 1.3)
    leads = [lead.attach(geometry, plain, 0.0) for lead in (ENDS[0], LatticeLead("left"))]
    np.testing.assert_array_equal(leads[0].self_energy(0.3), leads[1].self_energy(0.3))
    operator = plain.freeze(geometry).operator(get_spins(magnet(3, 2)))
    assert np.isfinite(NEGFSolver(leads[:1], Drive(0.0, 0.1)).plan(SparsityPattern.of(operator)).dwell_time(operator))
