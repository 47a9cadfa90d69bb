"""Leads: surface Green's functions against long lattices, sources against broadenings, bad leads."""

from __future__ import annotations

import numpy as np
import pytest
from systems.devices import HOP, attach, strip

from spinase.atoms import geometry_of
from spinase.electrons import ExponentialHopping, SDHamiltonian
from spinase.electrons.transport.contacts import SpinorContact
from spinase.electrons.transport.leads import Bath, LatticeLead, WideBandLead
from spinase.electrons.transport.self_energy import band_edges, chain_surface, decimated_surface
from spinase.errors import ConvergenceError, InvalidGeometryError, ModelError
from spinase.spin_algebra import PAULI


def test_surface_of_a_chain_is_that_of_a_long_chain() -> None:
    z = 0.4 + 0.05j
    long = np.diag(np.full(1999, 0.7), 1)
    expected = np.linalg.solve(z * np.eye(2000) - long - long.T, np.eye(2000)[:, 0])[0]
    assert chain_surface(z, 0.7) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("energy", [-3.0, -1.4001, -0.3, 0.0, 1.2, 5.0])
def test_surface_of_a_chain_on_the_real_axis_is_retarded_and_solves_its_equation(energy: float) -> None:
    green = complex(chain_surface(np.array(energy), 0.7))
    assert green * (energy - 0.49 * green) == pytest.approx(1.0, abs=1e-13)
    assert green.imag <= 0.0
    assert (green.imag < 0.0) == (abs(energy) < 1.4)
    assert abs(0.7 * green) <= 1.0 + 1e-12


def random_cell(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    intra = rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))
    return intra + intra.conj().T, rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))


@pytest.mark.parametrize("energy", [0.3, -1.0 + 0.4j])
def test_decimation_solves_the_equation_of_any_lead(energy: complex) -> None:
    intra, inter = random_cell()
    green = decimated_surface(energy, intra, inter)
    residual = green @ (energy * np.eye(4) - intra - inter @ green @ inter.conj().T) - np.eye(4)
    assert np.abs(residual).max() < 1e-9
    widths = np.linalg.eigvalsh(1j * (green - green.conj().T))
    assert widths.min() > -1e-9
    assert widths.max() > 0.01


def test_decimation_of_a_clean_lattice_gives_its_modes() -> None:
    _, geometry, _ = strip((4, 5))
    (lead,) = attach(geometry, LatticeLead("left", exchange=(0.3, -0.2, 0.4), onsite=0.1))
    assert lead.is_analytic
    coupling, spin = np.kron(lead.coupling, np.eye(2)), np.einsum("a,aij->ij", [0.3, -0.2, 0.4], PAULI)
    intra, inter = np.kron(lead.intra, np.eye(2)) - np.kron(np.eye(5), spin), np.kron(lead.inter, np.eye(2))
    for energy in (-2.1, 0.37, 0.2 + 0.3j):
        slow = coupling @ decimated_surface(energy, intra, inter) @ coupling.conj().T
        np.testing.assert_allclose(lead.self_energy(energy), slow, atol=1e-9)


def test_decimation_says_when_it_fails() -> None:
    with pytest.raises(ConvergenceError, match="band edge"):
        decimated_surface(complex(np.nan), *random_cell())


def test_edges_of_the_bands() -> None:
    intra, inter = np.diag([0.3, -1.0]).astype(complex), np.diag([-0.5, 0.2]).astype(complex)
    found = band_edges(intra, inter)
    assert (found.min(), found.max()) == pytest.approx((-1.4, 1.3), abs=1e-9)
    for edge in (-1.4, -0.7, -0.6, 1.3):  # where bands cross there are more marks, which do no harm
        assert np.abs(found - edge).min() < 1e-9
    _, geometry, _ = strip((4, 5))
    (lead,) = attach(geometry, LatticeLead("right", exchange=(0.3, -0.2, 0.4)))
    found, splitting = band_edges(lead.intra, lead.inter), np.linalg.norm(lead.exchange)
    assert splitting == pytest.approx(np.sqrt(0.29))
    for edge in lead.edges:
        assert np.abs([*(found - edge - splitting), *(found - edge + splitting)]).min() < 1e-4


@pytest.mark.parametrize("lattice", ["square", "triangular"])
def test_sources_are_roots_of_the_broadening(lattice: str) -> None:
    _, geometry, _ = strip((5, 4), lattice=lattice)
    leads = attach(
        geometry,
        LatticeLead("left", exchange=(0.3, 0.0, 0.5)),
        LatticeLead("right"),
        WideBandLead(0.4, [2, 7, 11], polarization=(0.0, 1.0, 0.0)),
        Bath(0.02),
    )
    assert leads[0].is_analytic == (lattice == "square")
    for energy in (-3.3, 0.21):
        for lead in leads:
            sigma, columns = lead.self_energy(energy), lead.sources(energy)
            np.testing.assert_allclose(columns @ columns.conj().T, 1j * (sigma - sigma.conj().T), atol=1e-10)
    assert leads[0].sources(-30.0).shape[1] == 0
    assert leads[2].sources(0.0).shape == (6, 3), "fully polarized: one column a site"


def test_a_lead_continues_the_device() -> None:
    """The self-energy of a lead is that of a long piece of the same lattice."""
    _, geometry, _ = strip((3, 2), lattice="triangular", coupling=0.0)
    (lead,) = attach(geometry, LatticeLead("right"))
    _, _, wide = strip((300, 2), lattice="triangular", coupling=0.0)
    matrix = np.zeros((600, 600))
    matrix[wide.bonds.first, wide.bonds.second] = wide.hopping
    matrix += matrix.T
    z = 0.3 + 0.1j
    beyond = np.linalg.inv(z * np.eye(594) - matrix[6:, 6:])
    expected = matrix[:6, 6:] @ beyond @ matrix[6:, :6]
    found = np.zeros((6, 6), dtype=complex)
    found[np.ix_(lead.sites, lead.sites)] = lead.self_energy(z)[::2, ::2]
    np.testing.assert_allclose(found, expected, atol=1e-11)


def test_a_lead_of_its_own_shape() -> None:
    _, geometry, _ = strip((3, 4))
    by_hand = LatticeLead(cell=geometry.positions[:4] - [1.0, 0, 0], period=(-1.0, 0, 0))
    made, given = attach(geometry, LatticeLead("left"), by_hand)
    np.testing.assert_allclose(given.self_energy(0.2), made.self_energy(0.2), atol=1e-14)


def test_what_lies_further_in_does_not_move_a_lead() -> None:
    atoms, geometry, _ = strip((6, 3))
    atoms.positions[[6, 7, 10], 0] += [0.3, -0.2, 0.4]
    law = ExponentialHopping(1.0, 1.0, 1.0, 1.35)
    for side, held in (("left", np.arange(6)), ("right", np.arange(12, 18))):
        one, other = (
            LatticeLead(side).attach(where, SDHamiltonian(law, 0.0), 0.0) for where in (geometry, geometry_of(atoms))
        )
        np.testing.assert_array_equal(one.self_energy(0.2), other.self_energy(0.2))
        np.testing.assert_array_equal(one.held, held)
    (end,) = attach(geometry, WideBandLead(0.3, "right"))
    np.testing.assert_array_equal(end.sites, [15, 16, 17])
    np.testing.assert_array_equal(end.held, end.sites)


def test_leads_that_do_not_match_are_refused() -> None:
    _, geometry, _ = strip((3, 4))
    cell = geometry.positions[:4]
    for lead, message in (
        (LatticeLead(cell=cell - [3.0, 0, 0], period=(-1.0, 0, 0)), "none of its 4 sites is within reach"),
        (LatticeLead(cell=cell - [1.0, 0, 0], period=(-5.0, 0, 0)), "cells do not couple"),
        (LatticeLead("left", layers=3), "has only 3 along"),
        (WideBandLead(0.1, [3, 12]), "different numbers from 0 to 11"),
        (WideBandLead(0.1, [3, 3]), "different numbers"),
    ):
        with pytest.raises(InvalidGeometryError, match=message):
            lead.attach(geometry, SDHamiltonian(HOP, 0.0), 0.0)
    long = ExponentialHopping(1.0, 1.0, 1.0, 2.5)
    with pytest.raises(InvalidGeometryError, match="reaches beyond one cell of 1 layer"):
        LatticeLead("left").attach(geometry, SDHamiltonian(long, 0.0), 0.0)
    two = LatticeLead("left", layers=2).attach(strip((6, 4))[1], SDHamiltonian(long, 0.0), 0.0)
    assert two.intra.shape == (8, 8)


def test_a_lead_along_a_periodic_direction_is_refused() -> None:
    atoms, _, _ = strip((3, 4))
    atoms.pbc = [True, True, False]
    with pytest.raises(InvalidGeometryError, match="periodic: open that direction"):
        LatticeLead("left").attach(geometry_of(atoms), SDHamiltonian(HOP, 0.0), 0.0)


def test_wrong_options_are_refused() -> None:
    for make, message in (
        (lambda: LatticeLead("top"), "'left' or 'right'"),
        (lambda: LatticeLead(layers=0), "layers >= 1"),
        (lambda: LatticeLead(cell=[[0, 0, 0]]), "both cell"),
        (lambda: LatticeLead(cell=[[0, 0]], period=(1, 0, 0)), r"cell positions \(n, 3\)"),
        (lambda: LatticeLead(cell=[[0, 0, np.nan]], period=(1, 0, 0)), "needs finite cell"),
        (lambda: LatticeLead(cell=[[0, 0, 0]], period=(0, 0, 0)), "that is not zero"),
        (lambda: WideBandLead(0.1, [0.5]), "must be whole numbers"),
        (lambda: LatticeLead(exchange=(1.0, np.nan, 0)), "three finite energies"),
        (lambda: LatticeLead(onsite=np.inf), "onsite of lead"),
        (lambda: LatticeLead(kT=-0.1), "kT of lead 'left' must be positive"),
        (lambda: LatticeLead(share=np.nan), "share of lead"),
        (lambda: WideBandLead(0.0), "broadening of lead"),
        (lambda: WideBandLead(1.0, polarization=(0, 0, 1.1)), "length at most 1"),
    ):
        with pytest.raises(ModelError, match=message):
            make()


def test_the_reach_of_a_lead_holds_its_band_and_what_couples_to_it() -> None:
    _, chain, _ = strip((4, 1))
    (lead,) = attach(chain, LatticeLead("left", exchange=(0.3, -0.2, 0.4), onsite=0.1))
    splitting = np.sqrt(0.29)
    assert lead.reach == (pytest.approx(0.1 - 3.0 - splitting), pytest.approx(0.1 + 3.0 + splitting))  # 2 t, and t outwards
    intra, inter = random_cell()
    wide = SpinorContact(np.arange(2), intra, inter, 0.5 * inter)
    cells = np.kron(np.eye(12), intra) + np.kron(np.eye(12, k=1), inter) + np.kron(np.eye(12, k=-1), inter.conj().T)
    levels = np.linalg.eigvalsh(cells)
    assert wide.reach[0] <= levels[0]
    assert levels[-1] <= wide.reach[1]


def test_self_energies_that_are_kept_take_no_more_room_than_they_may() -> None:
    _, geometry, _ = strip((4, 5))
    (lead,) = attach(geometry, LatticeLead("left"))
    energies = np.linspace(-1.0, 1.0, 30) + 0.1j
    before = [lead.self_energy(energy) for energy in energies]
    lead._known.limit = 5 * before[0].nbytes
    lead.self_energy(0.123 + 0.1j)
    kept = [array for arrays in lead._known._known.values() for array in arrays]
    assert 0 < sum(array.nbytes for array in kept) <= lead._known.limit
    for energy, sigma in zip(energies, before, strict=True):
        np.testing.assert_allclose(lead.self_energy(energy), sigma, atol=1e-13)
    (alone,), pair = attach(geometry, LatticeLead("left")), attach(geometry, LatticeLead("left"), LatticeLead("right"))
    for contact in pair:
        contact.share_room(2)
        assert contact._known.limit == alone._known.limit // 2
