"""Scattering in closed form, and what every device obeys: unitarity, reciprocity, sum rules, limits of wide bands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from systems.devices import HOP, attach, paper, strip

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.electrons import SDHamiltonian
from spinase.electrons.operator import SparsityPattern, SpinOperator
from spinase.electrons.solvers.negf import Drive, NEGFSolver
from spinase.electrons.transport.contacts import AttachedLead, LatticeContact, WideBandContact, spread_blocks
from spinase.electrons.transport.leads import Bath, LatticeLead, WideBandLead
from spinase.electrons.transport.quadrature import integrate
from spinase.electrons.transport.wide_band import wide_band_density_matrix
from spinase.errors import ModelError
from spinase.geometry import Geometry
from spinase.spin_algebra import PAULI, random_spins

INSIDE = np.array([-1.7, -0.4, 0.23, 1.1])


def chain(sites: int, spins: np.ndarray, coupling: float, onsite: np.ndarray | float = 0.0) -> tuple[Geometry, SpinOperator]:
    atoms = SpinAtoms.lattice("chain", (sites,), periodic=False, units="reduced")
    geometry = geometry_of(atoms)
    return geometry, SDHamiltonian(HOP, coupling, onsite).freeze(geometry).operator(spins)


def transmission(operator: SpinOperator, leads: Sequence[AttachedLead], energies: np.ndarray) -> np.ndarray:
    return NEGFSolver(leads, Drive(0.0, 0.05)).plan(SparsityPattern.of(operator)).transmission(operator, energies)


def between(geometry: Geometry, operator: SpinOperator, energies: np.ndarray = INSIDE) -> np.ndarray:
    """From the left chain lead to the right one, both spins."""
    return transmission(operator, attach(geometry, LatticeLead("left"), LatticeLead("right")), energies)[:, 0, 1]


# -- chains -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strength", [0.5, -1.5])
def test_an_impurity_in_a_chain(strength: float) -> None:
    """T = (4 - E^2)/(4 - E^2 + U^2) for each spin, U on one site; the same for a spin of exchange U of either sign."""
    expected = 2.0 * (4.0 - INSIDE**2) / (4.0 - INSIDE**2 + strength**2)
    nothing = np.zeros((5, 3))
    found = between(*chain(5, nothing, 0.0, strength * np.eye(5)[2]))
    np.testing.assert_allclose(found, expected, atol=1e-11)
    spin = np.zeros((5, 3))
    spin[2] = [0.6, 0.0, 0.8]
    np.testing.assert_allclose(between(*chain(5, spin, strength)), expected, atol=1e-11)


def test_a_clean_chain_lets_everything_through_and_nothing_outside_its_band() -> None:
    energies = np.array([-2.5, -1.9, 0.7, 1.99, 2.2])
    np.testing.assert_allclose(between(*chain(4, np.zeros((4, 3)), 0.0), energies), [0.0, 2.0, 2.0, 2.0, 0.0], atol=1e-8)


def test_two_impurities_are_a_cavity() -> None:
    """Fabry and Perot: T = |t^2/(1 - r^2 exp(2 i k d))|^2 with t = 1/(1 + i U/v), r = t - 1, v = 2 sin k, E = -2 cos k."""
    strength, distance = 1.3, 3
    k = np.arccos(-INSIDE / 2.0)
    t = 1.0 / (1.0 + 1j * strength / (2.0 * np.sin(k)))
    expected = 2.0 * np.abs(t**2 / (1.0 - (t - 1.0) ** 2 * np.exp(2j * k * distance))) ** 2
    onsite = np.zeros(8)
    onsite[[2, 2 + distance]] = strength
    np.testing.assert_allclose(between(*chain(8, np.zeros((8, 3)), 0.0, onsite)), expected, atol=1e-11)


def test_two_spins_are_a_valve_of_the_angle_between_them() -> None:
    """Parallel and opposite spins in closed form, each spin of the electrons alone; in between T falls with the angle."""
    coupling = 1.0
    k = np.arccos(-INSIDE / 2.0)
    t = {sign: 1.0 / (1.0 + 1j * sign * coupling / (2.0 * np.sin(k))) for sign in (1, -1)}

    def cavity(one: int, two: int) -> np.ndarray:
        return np.abs(t[one] * t[two] / (1.0 - (t[one] - 1.0) * (t[two] - 1.0) * np.exp(2j * k * 2))) ** 2

    def valve(angle: float) -> np.ndarray:
        spins = np.zeros((6, 3))
        spins[1], spins[3] = [0, 0, 1], [np.sin(angle), 0, np.cos(angle)]
        return between(*chain(6, spins, coupling))

    np.testing.assert_allclose(valve(0.0), cavity(1, 1) + cavity(-1, -1), atol=1e-11)
    np.testing.assert_allclose(valve(np.pi), cavity(1, -1) + cavity(-1, 1), atol=1e-11)
    np.testing.assert_allclose(valve(1.0), valve(-1.0), atol=1e-11)
    assert np.abs(valve(1.0) - valve(0.0)).min() > 1e-3


def test_where_the_impurity_is_does_not_matter() -> None:
    found = [between(*chain(6, np.zeros((6, 3)), 0.0, 0.9 * np.eye(6)[place])) for place in range(6)]
    np.testing.assert_allclose(found, np.tile(found[0], (6, 1)), atol=1e-11)


# -- what every device obeys ------------------------------------------------------------------------------------------


def junction(reverse: bool = False, flux: float = 0.0) -> tuple[SpinOperator, list[AttachedLead]]:
    """A strip with random spins between a ferromagnet, a normal lead and a polarized probe; or all of it time-reversed."""
    _, geometry, _ = strip((6, 4))
    sign = -1.0 if reverse else 1.0
    spins = sign * random_spins(24, np.random.default_rng(3))
    operator = SDHamiltonian(HOP, 1.3, flux=sign * flux).freeze(geometry).operator(spins)
    leads = (
        LatticeLead("left", exchange=sign * np.array([0.3, 0.2, 0.5])),
        LatticeLead("right"),
        WideBandLead(0.4, [9, 10], polarization=sign * np.array([0.0, 0.5, 0.3])),
    )
    return operator, attach(geometry, *leads)


@pytest.mark.parametrize("flux", [0.0, 0.37])
def test_what_enters_leaves(flux: float) -> None:
    """Unitarity: to all others as much as from all others, for every lead; never more than its open channels."""
    operator, leads = junction(flux=flux)
    passed = transmission(operator, leads, INSIDE)
    assert passed.min() > -1e-12
    np.testing.assert_allclose(passed.sum(axis=1), passed.sum(axis=2), atol=1e-10)
    for energy, row in zip(INSIDE, passed, strict=True):
        for a in (0, 1):
            assert row[a].sum() <= leads[a].sources(float(energy)).shape[1] + 1e-10


@pytest.mark.parametrize("flux", [0.0, 0.37])
def test_time_reversed_devices_pass_the_other_way(flux: float) -> None:
    """Onsager: T_ba of spins s, flux and magnetizations P is T_ab of -s, -flux and -P."""
    there, back = (transmission(*junction(reverse, flux), INSIDE) for reverse in (False, True))
    np.testing.assert_allclose(back, there.transpose(0, 2, 1), atol=1e-10)
    assert np.abs(there - there.transpose(0, 2, 1)).max() > 1e-3


def test_a_bath_takes_what_does_not_pass() -> None:
    """A weak bath on all sites: less from lead to lead, the rest goes to the bath; unitarity of all three."""
    _, geometry, operator = strip((7, 3))
    bare = transmission(operator, attach(geometry, LatticeLead("left"), LatticeLead("right")), INSIDE)
    leads = attach(geometry, LatticeLead("left"), LatticeLead("right"), Bath(0.05))
    for energy, free in zip(INSIDE, bare, strict=True):
        green, widths = paper(operator, leads, energy)
        passed = np.array([[np.trace(w @ green @ v @ green.conj().T).real for w in widths] for v in widths])
        np.testing.assert_allclose(passed.sum(axis=0), passed.sum(axis=1), atol=1e-10)
        assert 0.0 < passed[0, 1] < free[0, 1]
        found = transmission(operator, leads, np.array([energy]))[0]
        np.testing.assert_allclose(found[:2, :2][~np.eye(2, dtype=bool)], [passed[0, 1], passed[1, 0]], atol=1e-10)


def test_leads_with_zeeman_levels_open_one_spin_after_the_other() -> None:
    """Bands of a ferromagnetic chain from -2 -+ 0.5 to 2 -+ 0.5, in any direction of its exchange."""
    geometry, _ = chain(4, np.zeros((4, 3)), 0.0)
    (lead,) = attach(geometry, LatticeLead("left", exchange=(0.3, 0.0, -0.4)))
    np.testing.assert_allclose(lead.edges, [-2.5, -1.5, 1.5, 2.5], atol=1e-10)
    assert [lead.sources(energy).shape[1] for energy in (-2.7, -2.2, 0.0, 2.2, 2.7)] == [0, 1, 2, 1, 0]
    low, high = lead.reach
    assert low <= -2.5
    assert high >= 2.5
    np.testing.assert_allclose(lead.strength, [1.0])


@pytest.mark.parametrize("energy", [-2.2, 0.3, 1.9])
def test_the_self_energy_of_a_ferromagnetic_chain(energy: float) -> None:
    """Sigma(E) = (x - i (4 - x^2)^(1/2))/2, x = E + 1/2 and E - 1/2, for spins along the exchange and against it."""
    geometry, _ = chain(4, np.zeros((4, 3)), 0.0)
    exchange = np.array([0.3, 0.0, -0.4])
    (lead,) = attach(geometry, LatticeLead("left", exchange=exchange))

    def surface(x: float) -> complex:
        if abs(x) > 2.0:
            return (x - np.sign(x) * np.sqrt(x**2 - 4.0)) / 2.0
        return (x - 1j * np.sqrt(4.0 - x**2)) / 2.0

    along = np.einsum("a,aij->ij", exchange / 0.5, PAULI)
    parts = [(energy + 0.5, 0.5 * (np.eye(2) + along)), (energy - 0.5, 0.5 * (np.eye(2) - along))]
    expected = sum(surface(x) * projector for x, projector in parts)
    np.testing.assert_allclose(lead.self_energy(energy), expected, atol=1e-9)
    sources = lead.sources(energy)
    broadening = 1j * (expected - expected.conj().T)
    np.testing.assert_allclose(sources @ sources.conj().T, broadening, atol=1e-9)


def test_self_energies_are_kept() -> None:
    geometry, _ = chain(4, np.zeros((4, 3)), 0.0)
    (lead,) = attach(geometry, LatticeLead("left"))
    assert isinstance(lead, LatticeContact)
    assert lead.is_analytic
    assert lead.self_energy(0.3) is lead.self_energy(0.3)
    assert lead.sources(0.3) is lead.sources(0.3)


def test_a_wide_band_is_its_broadening_at_every_energy() -> None:
    """Gamma (1 + P.sigma); a fully polarized one sends one column a site."""
    geometry, _ = chain(3, np.zeros((3, 3)), 0.0)
    one, two = attach(
        geometry, WideBandLead(0.4, [0, 2], polarization=(0.0, 0.6, 0.0)), WideBandLead(0.2, [1], polarization=(0, 0, 1))
    )
    expected = spread_blocks(np.tile(0.4 * (np.eye(2) + 0.6 * PAULI[1]), (2, 1, 1)))
    for energy in (-50.0, 0.0, 1e3):
        np.testing.assert_allclose(one.self_energy(energy), -0.5j * expected, atol=1e-15)
        np.testing.assert_allclose(one.sources(energy) @ one.sources(energy).conj().T, expected, atol=1e-14)
    assert two.sources(0.0).shape == (2, 1)
    np.testing.assert_allclose(one.strength, 0.5 * 0.4 * 1.6)
    assert one.reach is None
    assert len(one.edges) == 0


def test_spread_blocks_are_on_the_diagonal() -> None:
    blocks = np.arange(12.0).reshape(3, 2, 2).astype(complex)
    spread = spread_blocks(blocks)
    for k in range(3):
        np.testing.assert_array_equal(spread[2 * k : 2 * k + 2, 2 * k : 2 * k + 2], blocks[k])
    assert np.count_nonzero(spread) == 11


# -- the closed form of wide bands ------------------------------------------------------------------------------------


def wide() -> tuple[SpinOperator, list[WideBandContact]]:
    _, geometry, operator = strip((4, 3))
    leads = attach(
        geometry, WideBandLead(0.7, [0, 1, 2], polarization=(0.0, 0.0, 0.5)), WideBandLead(0.4, [9, 10]), Bath(0.05)
    )
    return operator, [lead for lead in leads if isinstance(lead, WideBandContact)]


def filled(mu: Sequence[float], kT: float) -> np.ndarray:  # noqa: N803
    operator, leads = wide()
    return wide_band_density_matrix(operator, leads, np.array(mu), np.full(3, kT))


@pytest.mark.parametrize("kT", [0.0, 0.1])
def test_one_chemical_potential_gives_one_density(kT: float) -> None:  # noqa: N803
    """Hermitian, occupations between 0 and 1, empty and full far outside: G A is normalized for every orbital."""
    rho = filled([0.2] * 3, kT)
    np.testing.assert_allclose(rho, rho.conj().T, atol=1e-12)
    occupations = np.linalg.eigvalsh(rho)
    assert occupations.min() > 0.0
    assert occupations.max() < 1.0
    np.testing.assert_allclose(filled([1e7] * 3, kT), np.eye(24), atol=1e-6)
    np.testing.assert_allclose(filled([-1e7] * 3, kT), 0.0, atol=1e-6)


def test_electrons_at_the_fermi_edge_come_from_their_lead() -> None:
    """d rho/d mu_a = G Gamma_a G+/(2 pi) at kT = 0: central differences against the dense inverse."""
    operator, leads = wide()
    green, widths = paper(operator, leads, 0.3)
    step = 1e-5
    for a, width in enumerate(widths):
        ends = [filled([0.3 + sign * step * (a == b) for b in range(3)], 0.0) for sign in (-1, 1)]
        expected = green @ width @ green.conj().T / (2.0 * np.pi)
        np.testing.assert_allclose((ends[1] - ends[0]) / (2.0 * step), expected, atol=1e-8)


def test_small_temperatures_correct_with_their_square() -> None:
    cold = filled([0.3, -0.1, 0.0], 0.0)
    errors = [np.abs(filled([0.3, -0.1, 0.0], kT) - cold).max() for kT in (1e-3, 2e-3)]
    assert errors[1] / errors[0] == pytest.approx(4.0, rel=0.02)


def test_half_a_band_of_a_bipartite_device_is_one_electron_a_site() -> None:
    """Electrons and holes are alike at mu = 0 for broadenings without a polarization."""
    _, geometry, operator = strip((4, 3))
    leads = attach(geometry, WideBandLead(0.7, [0, 1, 2]), WideBandLead(0.4, [9, 10]), Bath(0.05))
    rho = wide_band_density_matrix(operator, leads, np.zeros(3), np.full(3, 0.1))
    np.testing.assert_allclose(np.diag(rho).real.reshape(12, 2).sum(axis=1), 1.0, atol=1e-11)


# -- quadrature -------------------------------------------------------------------------------------------------------


def test_a_semicircle_is_integrated_with_its_roots_at_the_ends() -> None:
    """int (1 - x^2)^(1/2) = pi/2 takes few points: the map takes the roots away."""
    found = integrate(lambda x: np.sqrt(np.maximum(1.0 - x**2, 0.0))[:, None], (-1.0, 1.0), 1e-9, np.empty(0), 200)
    assert found.value[0] == pytest.approx(np.pi / 2, abs=1e-9)
    assert found.points <= 31
    assert found.error <= 1e-9


def test_the_rule_that_was_used_integrates_other_functions_too() -> None:
    """Nodes and weights come back: lengths, and moments of the interval."""
    found = integrate(lambda x: 1.0 / (1.0 + 25.0 * x[:, None] ** 2), (-1.0, 0.3, 1.0), 1e-8, np.empty(0), 500)
    assert found.value[0] == pytest.approx(0.4 * np.arctan(5.0), abs=1e-8)
    np.testing.assert_allclose(
        found.weights @ np.stack([found.nodes**k for k in (0, 1, 2)], axis=1), [2, 0, 2 / 3], atol=1e-7
    )
    assert (found.nodes > -1.0).all()
    assert (found.nodes < 1.0).all()


# -- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chemical_potential": np.nan, "kT": 0.1}, "chemical_potential must be finite, got nan"),
        ({"chemical_potential": 0.0, "kT": -0.1}, "need kT >= 0 .an energy., got -0.1"),
        ({"chemical_potential": 0.0, "kT": 0.1, "bias": np.inf}, "bias must be finite"),
        ({"chemical_potential": 0.0, "kT": 0.1, "tolerance": 0.5}, "tolerance must be between 1e-10 and 0.1, got 0.5"),
        ({"chemical_potential": 0.0, "kT": 0.1, "max_energies": 0}, "max_energies must be positive, got 0"),
    ],
)
def test_drives_that_make_no_sense_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Drive(**options)
