"""Open and driven devices against dense inverses, closed forms, long chains, and conservation laws."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from systems.devices import HOP, attach, of_atoms, paper, strip

from spinase import SpinAtoms
from spinase.atoms import geometry_of, get_spins
from spinase.electrons import ExponentialHopping, FixedChemicalPotential, SDHamiltonian, ShellHopping
from spinase.electrons.operator import SparsityPattern, SpinOperator
from spinase.electrons.solvers.negf import Drive, NEGFSolver
from spinase.electrons.solvers.rational import RationalSolver
from spinase.electrons.transport.contacts import WideBandContact
from spinase.electrons.transport.currents import bond_currents, inflow, site_current_vectors
from spinase.electrons.transport.layered import LayeredDevice
from spinase.electrons.transport.leads import Bath, LatticeLead, WideBandLead
from spinase.electrons.transport.wide_band import wide_band_density_matrix
from spinase.errors import ConvergenceError, ModelError
from spinase.spin_algebra import PAULI

FERRO = LatticeLead("left", exchange=(0.3, 0.2, 0.5))


def site_parts(blocks: np.ndarray) -> np.ndarray:
    """Tr and Tr[sigma ...] of blocks (N, 2, 2)."""
    return np.concatenate([np.einsum("iaa->i", blocks)[:, None], np.einsum("xab,iba->ix", PAULI, blocks)], axis=1).real


def graphs() -> dict[str, tuple]:
    """Devices of several kinds with three or four leads."""
    _, square, square_operator = strip((7, 4))
    _, sheared, sheared_operator = strip((6, 3), lattice="triangular")
    probe = WideBandLead(0.3, [5, 9, 10], polarization=(0.0, 0.5, 0.0), share=0.3)
    atoms = SpinAtoms.disordered(40, density=0.4, min_distance=0.9, dimension=2, units="reduced", rng=4)
    atoms.pbc = [False, True, False]
    law = ExponentialHopping(1.0, 1.0, 1.0, 2.2)
    geometry, operator = of_atoms(atoms, 1.1, law)
    far = np.argsort(atoms.positions[:, 0])
    ring = SpinAtoms.lattice("square", (5, 4), units="reduced", rng=4)
    around = geometry_of(ring)
    twisted = SDHamiltonian(HOP, 1.1, flux=1.0).freeze(around).operator(get_spins(ring))
    return {
        "junction": (
            square_operator,
            attach(square, FERRO, LatticeLead("right"), LatticeLead(cell=[[3.0, 4.0, 0.0]], period=(0.0, 1.0, 0.0))),
        ),
        "flux": (twisted, attach(around, WideBandLead(0.8, [0, 1]), WideBandLead(0.5, [9, 14, 19]), probe)),
        "square": (square_operator, attach(square, FERRO, LatticeLead("right"), probe, Bath(0.01))),
        "triangular": (sheared_operator, attach(sheared, FERRO, LatticeLead("right"), probe)),
        "disordered, wide bands": (
            operator,
            attach(geometry, WideBandLead(0.8, far[:4]), WideBandLead(0.5, far[-5:]), probe, hopping=law),
        ),
    }


@pytest.mark.parametrize("graph", ["square", "triangular", "junction", "flux", "disordered, wide bands"])
def test_injected_densities_and_transmissions_are_those_of_the_dense_inverse(graph: str) -> None:
    operator, leads = graphs()[graph]
    device = LayeredDevice(len(operator), operator.bonds.first, operator.bonds.second, leads)
    energies, wanted, sites = np.array([-1.7, 0.23, 1.1]), [0, 1, 2], np.arange(len(operator))
    found = device.inject(operator, energies, wanted, bonds=True)
    assert device.layers > 2
    for k, energy in enumerate(energies):
        green, widths = paper(operator, leads, energy)
        for a in wanted:
            density = green @ widths[a] @ green.conj().T
            blocks = density.reshape(len(operator), 2, len(operator), 2)
            np.testing.assert_allclose(found.sites[k, a], site_parts(blocks[sites, :, sites, :]), atol=1e-10)
            pairs = blocks[operator.bonds.first, :, operator.bonds.second, :]
            np.testing.assert_allclose(found.bonds[k, a], pairs, atol=1e-10)
            for b in range(len(leads)):
                expected = 0.0 if a == b else np.trace(widths[b] @ density).real
                assert found.transmission[k, a, b] == pytest.approx(expected, abs=1e-10)


def test_a_clean_strip_carries_whole_channels() -> None:
    _, geometry, operator = strip((8, 6), coupling=0.0)
    solver = NEGFSolver(attach(geometry, LatticeLead("left"), LatticeLead("right")), Drive(0.0, 0.05))
    passed = solver.plan(SparsityPattern.of(operator)).transmission(operator, np.array([-3.5, -2.0, -0.5, 0.3]))
    np.testing.assert_allclose(passed[:, 0, 1] / 2.0, [1, 3, 5, 5], atol=1e-10)
    np.testing.assert_allclose(passed[:, 1, 0], passed[:, 0, 1], atol=1e-10)


def test_a_resonant_level_in_closed_form() -> None:
    """One site with a spin of exchange J between two wide bands: two Lorentzians."""
    atoms = SpinAtoms.lattice("chain", (1,), units="reduced", rng=1)
    atoms.pbc = False
    atoms.spins = [[0.0, 0.0, 1.0]]
    geometry, operator = of_atoms(atoms, 0.7)
    leads = attach(geometry, WideBandLead(0.2, [0]), WideBandLead(0.3, [0]))
    solver = NEGFSolver(leads, Drive(0.1, 0.04, 0.6, 1e-5))
    energies = np.linspace(-2.0, 2.0, 41)
    expected = sum(0.2 * 0.3 / ((energies - level) ** 2 + 0.0625) for level in (-0.7, 0.7))
    np.testing.assert_allclose(
        solver.plan(SparsityPattern.of(operator)).transmission(operator, energies)[:, 0, 1], expected, atol=1e-12
    )
    state = solver.solve(operator)
    fine = np.linspace(-400.0, 400.0, 8_000_001)
    fermis = [1.0 / (1.0 + np.exp(np.clip((fine - mu) / 0.04, -500, 500))) for mu in (0.4, -0.2)]
    step = (fine[1] - fine[0]) / (2.0 * np.pi)
    filled = [np.sum((0.2 * fermis[0] + 0.3 * fermis[1]) / ((fine - e) ** 2 + 0.0625)) * step for e in (-0.7, 0.7)]
    assert state.density.spin[0, 2] == pytest.approx(filled[0] - filled[1], abs=1e-5)
    current = sum(np.sum(0.06 * (fermis[0] - fermis[1]) / ((fine - e) ** 2 + 0.0625)) * step for e in (-0.7, 0.7))
    assert state.lead_currents == pytest.approx([current, -current], abs=1e-6)


@pytest.mark.parametrize("bias", [0.0, 0.6])
@pytest.mark.parametrize("tolerance", [1e-4, 1e-5, pytest.param(1e-8, marks=pytest.mark.slow)])  # slow: its poles are fitted
def test_wide_bands_against_their_closed_form(bias: float, tolerance: float) -> None:
    _, geometry, operator = strip((6, 4))
    left = WideBandLead(0.8, [0, 1, 2, 3], polarization=(0.0, 0.0, 0.6), kT=0.08)
    leads = attach(geometry, left, WideBandLead(0.5, [20, 21, 22, 23]), Bath(0.02))
    solver = NEGFSolver(leads, Drive(-0.4, 0.05, bias, tolerance))
    state = solver.solve(operator)
    exact = wide_band_density_matrix(operator, leads, *solver.terminals.levels()).reshape(24, 2, 24, 2)
    sites, first, second = np.arange(24), operator.bonds.first, operator.bonds.second
    parts = site_parts(exact[sites, :, sites, :])
    np.testing.assert_allclose(state.density.charge, parts[:, 0], atol=tolerance)
    np.testing.assert_allclose(state.density.spin, parts[:, 1:], atol=tolerance)
    np.testing.assert_allclose(state.bond_blocks, exact[first, :, second, :], atol=tolerance)
    assert np.abs(state.lead_spin).max() > 0.01 or not bias


def test_the_closed_form_is_the_integral_and_is_continuous_in_temperature() -> None:
    _, geometry, operator = strip((3, 2))
    leads = attach(geometry, WideBandLead(0.8, [0, 1]), WideBandLead(0.5, [4, 5]))
    assert all(isinstance(lead, WideBandContact) for lead in leads)
    mu, cold = np.array([0.3, -0.2]), np.zeros(2)
    exact = wide_band_density_matrix(operator, leads, mu, cold)
    window = np.zeros_like(exact)
    nodes, weights = np.polynomial.legendre.leggauss(400)
    for node, weight in zip(0.05 + 0.25 * nodes, 0.25 * weights, strict=True):
        green, widths = paper(operator, leads, node)
        window += weight / (2.0 * np.pi) * green @ widths[0] @ green.conj().T
    below = wide_band_density_matrix(operator, leads, np.array([-0.2, -0.2]), cold)
    np.testing.assert_allclose(exact, below + window, atol=1e-11)
    warm = wide_band_density_matrix(operator, leads, mu, np.full(2, 1e-5))
    np.testing.assert_allclose(warm, exact, atol=1e-8)
    full = wide_band_density_matrix(operator, leads, np.full(2, 1e7), cold)
    np.testing.assert_allclose(full, np.eye(12), atol=1e-6)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_zero_bias_is_the_middle_of_a_long_chain(shift: float) -> None:
    long = SpinAtoms.lattice("chain", (400,), units="reduced", rng=2)
    long.pbc = False
    part = slice(190, 210)
    spins = np.zeros((400, 3))
    spins[part] = long.spins[part]
    hamiltonian = SDHamiltonian(HOP, 1.3, onsite=0.2, zeeman=np.array([0.0, 0.1, 0.0]))
    whole = hamiltonian.freeze(of_atoms(long, 1.3)[0]).operator(spins)
    reference = RationalSolver(FixedChemicalPotential(0.05, -0.4 + shift), 1e-10).solve(whole)
    short = SpinAtoms.lattice("chain", (20,), units="reduced", rng=2)
    short.pbc = False
    geometry, _ = of_atoms(short, 1.3)
    operator = hamiltonian.freeze(geometry).operator(long.spins[part])
    leads = [LatticeLead(side).attach(geometry, hamiltonian, 0.0) for side in ("left", "right")]
    state = NEGFSolver(leads, Drive(-0.4 + shift, 0.05, 0.0, 1e-9)).solve(operator)
    np.testing.assert_allclose(state.density.charge, reference.density.charge[part], atol=1e-9)
    np.testing.assert_allclose(state.density.spin, reference.density.spin[part], atol=1e-9)
    np.testing.assert_allclose(state.density.bond, reference.density.bond[190:209], atol=1e-9)
    assert state.energies == 0


@pytest.mark.parametrize("graph", ["square", "triangular", "junction", "flux", "disordered, wide bands"])
def test_conservation_of_charge_and_balance_of_spin(graph: str) -> None:
    """What enters a site leaves it, torques are what spin currents bring, and three ways give the current of a lead."""
    operator, leads = graphs()[graph]
    leads = leads if graph == "junction" else leads[:2]
    state = NEGFSolver(leads, Drive(-0.4, 0.05, 0.5, 1e-5)).solve(operator)
    charge, spin = bond_currents(operator, state.bond_blocks)
    into, spin_into = inflow(operator.bonds, charge, len(operator)), inflow(operator.bonds, spin, len(operator))
    torque = np.cross(state.density.spin, operator.exchange)
    inside = np.setdiff1d(np.arange(len(operator)), np.concatenate([lead.sites for lead in leads]))
    assert np.abs(into[inside]).max() < 1e-12
    np.testing.assert_allclose(torque[inside], 0.5 * spin_into[inside], atol=1e-12)
    assert np.abs(torque[inside]).max() > 0.02
    np.testing.assert_allclose(torque[inside].sum(axis=0), 0.5 * spin_into[inside].sum(axis=0), atol=1e-12)
    assert abs(state.lead_currents[0]) > 1e-3
    for lead, current in zip(leads, state.lead_currents, strict=True):
        assert into[lead.sites].sum() == pytest.approx(-current, abs=1e-5)
    assert state.lead_currents.sum() == pytest.approx(0.0, abs=1e-15)


def test_baths_and_probes_take_their_share() -> None:
    operator, leads = graphs()["square"]
    state = NEGFSolver(leads, Drive(-0.4, 0.05, 0.5, 1e-4)).solve(operator)
    into = inflow(operator.bonds, bond_currents(operator, state.bond_blocks)[0], len(operator))
    assert state.lead_currents.sum() == pytest.approx(0.0, abs=1e-14)
    assert np.abs(state.lead_currents).min() > 1e-4
    bath_and_leads = [leads[k].sites for k in (0, 1, 2)]
    only_bath = np.setdiff1d(np.arange(len(operator)), np.concatenate(bath_and_leads))
    assert 1e-6 < np.abs(into[only_bath]).max() < 0.01 * np.abs(state.density.charge).max()
    assert into.sum() == pytest.approx(0.0, abs=1e-14)


def test_three_leads_of_different_temperatures_as_in_textbooks() -> None:
    """rho = -i int dE/2pi G<, G< = i G (sum_a Gamma_a f_a) G+, by brute force; non-collinear leads."""
    _, geometry, operator = strip((3, 2), coupling=0.6)
    top = LatticeLead(cell=[[1.0, 2.0, 0.0]], period=(0.0, 1.0, 0.0), exchange=(0.0, 0.5, 0.0), kT=0.06)
    leads = attach(geometry, FERRO, LatticeLead("right", exchange=(-0.4, 0.5, 0.1), onsite=-0.1, kT=0.2), top)
    solver = NEGFSolver(leads, Drive(-0.4, 0.1, 0.8, 1e-7))
    ends = np.unique(np.concatenate([*(lead.edges for lead in leads), np.linspace(-5.0, 3.5, 81)]))
    nodes, weights = np.polynomial.legendre.leggauss(16)
    rho = np.zeros((12, 12), dtype=complex)
    for low, high in pairwise(ends):
        points = 0.5 * (low + high) + 0.25 * (high - low) * (3.0 * nodes - nodes**3)  # roots at the ends become smooth
        for energy, weight in zip(points, 0.75 * (high - low) * weights * (1.0 - nodes**2), strict=True):
            green, widths = paper(operator, leads, energy)
            fermis = [0.5 - 0.5 * np.tanh(0.5 * (energy - m) / t) for m, t in zip(*solver.terminals.levels(), strict=True)]
            inside = sum(f * width for f, width in zip(fermis, widths, strict=True))
            rho += weight / (2.0 * np.pi) * green @ inside @ green.conj().T
    state, sites, blocks = solver.solve(operator), np.arange(6), rho.reshape(6, 2, 6, 2)
    parts = site_parts(blocks[sites, :, sites, :])
    np.testing.assert_allclose(state.density.charge, parts[:, 0], atol=1e-6)
    np.testing.assert_allclose(state.density.spin, parts[:, 1:], atol=1e-6)
    pairs = blocks[operator.bonds.first, :, operator.bonds.second, :]
    np.testing.assert_allclose(state.bond_blocks, pairs, atol=1e-6)
    assert np.abs(state.lead_currents).min() > 1e-2


@pytest.mark.parametrize(("broadening", "tolerance"), [(1e-3, 1e-3), (1e-2, 1e-3), (0.3, 1e-4)])
def test_levels_too_sharp_for_the_energies_are_counted(broadening: float, tolerance: float) -> None:
    """An adaptive rule does not see them; what is missed by the sum rule is the true error, more or less."""
    _, geometry, operator = strip((4, 3))
    leads = attach(geometry, WideBandLead(broadening, [0]), WideBandLead(1.7 * broadening, [11]))
    solver = NEGFSolver(leads, Drive(-0.4, 0.02, 0.5, tolerance))
    state = solver.solve(operator, bonds=False)
    exact = wide_band_density_matrix(operator, leads, *solver.terminals.levels()).reshape(12, 2, 12, 2)
    error = np.abs(state.density.charge - np.einsum("iaia->i", exact).real).max()
    assert 0.3 * error < solver.plan(SparsityPattern.of(operator)).missed(operator, state) < max(3.0 * error, tolerance)
    assert (error > 5.0 * tolerance) == (broadening < 0.1)
    assert NEGFSolver(leads, Drive(-0.4, 0.02)).plan(SparsityPattern.of(operator)).missed(operator, state) == 0.0


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_a_bath_lets_no_level_hide(seed: int) -> None:
    """Without first intervals of the bath's width: errors of 8e-3, 2e-3, 5e-3."""
    _, geometry, operator = strip((4, 3), seed=seed)
    leads = attach(geometry, WideBandLead(1e-3, [0]), WideBandLead(1.7e-3, [11]), Bath(5e-3))
    solver = NEGFSolver(leads, Drive(-0.4, 0.02, 0.5, 1e-3))
    state = solver.solve(operator, bonds=False)
    exact = wide_band_density_matrix(operator, leads, *solver.terminals.levels()).reshape(12, 2, 12, 2)
    assert np.abs(state.density.charge - np.einsum("iaia->i", exact).real).max() < 1e-3
    assert np.abs(state.lead_charge).max() > 1e-3


def test_a_mirrored_device_with_opposite_bias_is_the_mirror_image() -> None:
    _, geometry, operator = strip((7, 3))
    mirror = np.arange(21).reshape(7, 3)[::-1].ravel()
    turned = SpinOperator(operator.bonds, operator.hopping, operator.onsite, operator.exchange[mirror])
    leads = attach(geometry, LatticeLead("left"), LatticeLead("right"))
    one = NEGFSolver(leads, Drive(-0.3, 0.05, 0.4, 1e-7)).solve(operator)
    two = NEGFSolver(leads, Drive(-0.3, 0.05, -0.4, 1e-7)).solve(turned)
    np.testing.assert_allclose(two.density.spin[mirror], one.density.spin, atol=1e-6)
    np.testing.assert_allclose(two.lead_currents[::-1], one.lead_currents, atol=1e-6)
    assert np.abs(one.density.spin - two.density.spin).max() > 1e-2


def test_heat_drives_a_current_without_bias() -> None:
    _, geometry, operator = strip((5, 3))
    leads = attach(geometry, LatticeLead("left", kT=0.3), LatticeLead("right"))
    solver = NEGFSolver(leads, Drive(-1.0, 0.05, 0.0, 1e-6))
    assert not solver.terminals.in_equilibrium
    assert abs(solver.solve(operator).lead_currents[0]) > 1e-3


def asymmetry(bias: float) -> tuple[float, float]:
    """Largest antisymmetric and symmetric parts of dH_i/ds_j (free vectors), by finite differences."""
    _, geometry, operator = strip((3, 2), coupling=1.0)
    solver = NEGFSolver(attach(geometry, LatticeLead("left"), LatticeLead("right")), Drive(-0.5, 0.1, bias, 1e-9))
    columns = []
    for entry in range(18):
        fields = []
        for sign in (1.0, -1.0):
            exchange = operator.exchange.copy()
            exchange.ravel()[entry] -= sign * 1e-4  # exchange = -J s
            moved = dataclasses.replace(operator, exchange=exchange)
            fields.append(solver.solve(moved, bonds=False).density.spin.ravel())
        columns.append((fields[0] - fields[1]) / 2e-4)
    jacobian = np.array(columns)
    return np.abs(jacobian - jacobian.T).max() / 2, np.abs(jacobian + jacobian.T).max() / 2


def test_fields_are_a_gradient_without_bias_and_less_so_the_larger_it_is() -> None:
    at_rest, small, large = asymmetry(0.0), asymmetry(0.1), asymmetry(0.4)
    assert at_rest[0] < 1e-6
    assert at_rest[1] > 0.1
    assert 1e-4 < small[0] < 0.5 * large[0]


def test_the_grand_potential_of_an_open_device_has_the_fields_as_its_gradient() -> None:
    _, geometry, operator = strip((4, 3))
    leads = attach(geometry, FERRO, LatticeLead("right"), WideBandLead(0.2, [5]), Bath(0.01))
    solver = NEGFSolver(leads, Drive(-0.5, 0.1, 0.0, 1e-5))
    spin = solver.solve(operator).density.spin
    rng = np.random.default_rng(3)
    direction = rng.normal(size=operator.exchange.shape)
    ends = [
        solver.solve(dataclasses.replace(operator, exchange=operator.exchange + h * direction)).free_energy
        for h in (1e-5, -1e-5)
    ]
    assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(np.sum(spin * direction), abs=1e-6)
    assert np.isnan(NEGFSolver(leads, Drive(-0.5, 0.1, 0.3, 1e-3)).solve(operator).free_energy)


def test_current_maps_point_along_the_current() -> None:
    _, geometry, operator = strip((6, 1), coupling=0.0)
    leads = attach(geometry, LatticeLead("left"), LatticeLead("right"))
    state = NEGFSolver(leads, Drive(-0.3, 0.05, 0.4, 1e-7)).solve(operator)
    vectors = site_current_vectors(operator.bonds, bond_currents(operator, state.bond_blocks)[0], 6)
    assert state.lead_currents[0] == pytest.approx(2 * 0.4 / (2 * np.pi), rel=1e-4), "two quanta of conductance"
    np.testing.assert_allclose(vectors[1:5], [[state.lead_currents[0], 0, 0]] * 4, atol=1e-7)


def test_bad_drives_and_devices_are_refused() -> None:
    _, geometry, operator = strip((4, 3))
    leads = attach(geometry, LatticeLead("left"), LatticeLead("right"))
    for options, message in (
        ({"kT": -0.1}, "need kT >= 0"),
        ({"kT": np.nan}, "need kT >= 0"),
        ({"bias": np.nan}, "bias must be finite"),
        ({"tolerance": 0.0}, "tolerance must be between"),
        ({"max_energies": 0}, "max_energies must be positive"),
    ):
        with pytest.raises(ModelError, match=message):
            Drive(**{"chemical_potential": 0.0, "kT": 0.1, **options})
    with pytest.raises(ModelError, match="isolated"):
        NEGFSolver([], Drive(0.0, 0.1, 0.3))
    with pytest.raises(ConvergenceError, match="within 40 energies"):
        NEGFSolver(leads, Drive(0.0, 0.05, 0.3, 1e-9, 40)).solve(operator)


def test_a_part_without_a_lead_is_refused_under_bias_only() -> None:
    atoms, _, _ = strip((4, 3))
    atoms.positions[0] += [0.0, -5.0, 0.0]
    near = ShellHopping([1.0], [1.0])
    geometry, operator = of_atoms(atoms, 1.3, near)
    leads = attach(geometry, WideBandLead(0.3, [1, 2]), WideBandLead(0.3, [10, 11]))
    state = NEGFSolver(leads, Drive(-0.5, 0.05)).solve(operator)
    occupations = 1.0 / (1.0 + np.exp((np.array([-1.3, 1.3]) + 0.5) / 0.05))
    assert state.density.charge[0] == pytest.approx(occupations.sum(), abs=1e-4)
    with pytest.raises(ModelError, match="site 0 belongs to a part of 1 site"):
        NEGFSolver(leads, Drive(-0.5, 0.05, 0.2)).solve(operator)
    NEGFSolver([*leads, *attach(geometry, Bath(0.01))], Drive(-0.5, 0.05, 0.2)).solve(operator)
