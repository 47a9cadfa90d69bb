"""Electrons on spins: dimers in closed form, symmetries of densities, the density as a projector, currents in a ring."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from systems.electrons import dense_matrix

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.electrons import (
    ExponentialHopping,
    FixedChemicalPotential,
    FixedFilling,
    SDHamiltonian,
    ShellHopping,
)
from spinase.electrons.hamiltonian import FrozenHamiltonian
from spinase.electrons.operator import ElectronState, SparsityPattern, SpinOperator
from spinase.electrons.solvers.dense import DenseSolver
from spinase.electrons.transport.currents import bond_currents, inflow, site_current_vectors
from spinase.geometry import Geometry
from spinase.spin_algebra import random_spins, rotation_matrix

HOP = ShellHopping([1.0])
COLD, WARM = FixedFilling(0.0, 0.25), FixedFilling(0.1, 0.4)
PAIR = Geometry(np.array([[0.0, 0, 0], [1.0, 0, 0]]), np.zeros((3, 3)), np.zeros(3, dtype=bool), np.array([26, 26]))


def lattice(name: str = "square", size: tuple[int, ...] = (4, 4)) -> Geometry:
    return geometry_of(SpinAtoms.lattice(name, size, units="reduced"))


def solve(operator: SpinOperator, occupation: FixedFilling | FixedChemicalPotential = WARM) -> ElectronState:
    return DenseSolver(occupation).solve(operator)


def canted(angle: float) -> np.ndarray:
    return np.array([[np.sin(0.5 * angle), 0, np.cos(0.5 * angle)], [-np.sin(0.5 * angle), 0, np.cos(0.5 * angle)]])


@pytest.mark.parametrize("angle", [0.0, 0.7, 2.0, np.pi])
@pytest.mark.parametrize("coupling", [0.3, -2.5])
def test_two_spins_have_anderson_and_hasegawas_levels(angle: float, coupling: float) -> None:
    """E^2 = t^2 + J^2 +- 2 t |J| cos(theta/2): P. W. Anderson, H. Hasegawa, Phys. Rev. 100, 675 (1955)."""
    state = solve(SDHamiltonian(HOP, coupling).freeze(PAIR).operator(canted(angle)))
    roots = [np.sqrt(1.0 + coupling**2 + 2.0 * sign * abs(coupling) * np.cos(0.5 * angle)) for sign in (1, -1)]
    np.testing.assert_allclose(np.sort(state.levels), np.sort([roots[0], roots[1], -roots[0], -roots[1]]), atol=1e-12)


@pytest.mark.parametrize("coupling", [0.8, -3.0])
def test_one_electron_pulls_two_spins_together(coupling: float) -> None:
    """H_i is the slope of -(1 + J^2 + 2 |J| cos(theta/2))^(1/2) by each spin's own angle."""
    angle, J = 1.1, abs(coupling)
    frozen = SDHamiltonian(HOP, coupling).freeze(PAIR)
    spins = canted(angle)
    fields = frozen.spin_gradient(solve(frozen.operator(spins), COLD).density)
    root = np.sqrt(1.0 + J**2 + 2.0 * J * np.cos(0.5 * angle))
    slope = 0.5 * J * np.sin(0.5 * angle) / root  # dE/dtheta
    across = np.array([[np.cos(0.5 * angle), 0, -np.sin(0.5 * angle)], [-np.cos(0.5 * angle), 0, -np.sin(0.5 * angle)]])
    np.testing.assert_allclose(np.sum(fields * across, axis=1), -slope, atol=1e-12)
    np.testing.assert_allclose(fields[:, 1], 0.0, atol=1e-13)


def test_strong_coupling_is_double_exchange() -> None:
    """The lower levels are -|J| -+ t cos(theta/2), next to them t^2/|J|."""
    for coupling in (-40.0, -80.0):
        levels = np.sort(solve(SDHamiltonian(HOP, coupling).freeze(PAIR).operator(canted(1.3))).levels)[:2]
        hop = np.cos(0.65)
        np.testing.assert_allclose(levels, coupling + np.array([-hop, hop]), atol=1.0 / abs(coupling))


@pytest.mark.parametrize("name", ["square", "triangular", "kagome"])
def test_turning_all_spins_turns_the_spin_density(name: str) -> None:
    geometry, turn = lattice(name, (2, 2) if name == "kagome" else (4, 3)), rotation_matrix((1, 2, -1), 0.9)
    frozen = SDHamiltonian(HOP, 1.2).freeze(geometry)
    spins = random_spins(len(geometry), np.random.default_rng(1))
    one, two = solve(frozen.operator(spins)), solve(frozen.operator(spins @ turn.T))
    assert two.free_energy == pytest.approx(one.free_energy, abs=1e-11)
    np.testing.assert_allclose(two.density.charge, one.density.charge, atol=1e-11)
    np.testing.assert_allclose(two.density.spin, one.density.spin @ turn.T, atol=1e-11)


def test_time_reversal_and_the_sign_of_the_coupling() -> None:
    """s -> -s, or J -> -J, turns the spins of electrons; charges, bonds (conjugate) and energies stay."""
    geometry, spins = lattice(), random_spins(16, np.random.default_rng(2))
    plus, minus = (SDHamiltonian(HOP, sign * 1.2).freeze(geometry) for sign in (1, -1))
    one = solve(plus.operator(spins))
    for other in (solve(plus.operator(-spins)), solve(minus.operator(spins))):
        assert other.free_energy == pytest.approx(one.free_energy, abs=1e-11)
        np.testing.assert_allclose(other.density.spin, -one.density.spin, atol=1e-11)
        np.testing.assert_allclose(other.density.bond, one.density.bond.conj(), atol=1e-11)
    np.testing.assert_allclose(
        minus.spin_gradient(solve(minus.operator(spins)).density), plus.spin_gradient(one.density), atol=1e-11
    )


@pytest.mark.parametrize("filling", [0.2, 0.45])
def test_electrons_and_holes_of_a_bipartite_lattice_are_alike(filling: float) -> None:
    """c_i -> (-1)^i c_i^+ and a turn of the spins: F(1 - f) = F(f), charges add up to 2, spin densities are equal."""
    operator = SDHamiltonian(HOP, 1.2).freeze(lattice()).operator(random_spins(16, np.random.default_rng(3)))
    few, many = (solve(operator, FixedFilling(0.1, part)) for part in (filling, 1.0 - filling))
    np.testing.assert_allclose(np.sort(few.levels), np.sort(-few.levels), atol=1e-11)
    assert many.free_energy == pytest.approx(few.free_energy, abs=1e-10)
    assert many.chemical_potential == pytest.approx(-few.chemical_potential, abs=1e-11)
    np.testing.assert_allclose(many.density.charge, 2.0 - few.density.charge, atol=1e-11)
    np.testing.assert_allclose(many.density.spin, few.density.spin, atol=1e-11)


def test_half_a_band_has_one_electron_a_site() -> None:
    operator = SDHamiltonian(HOP, 1.2).freeze(lattice()).operator(random_spins(16, np.random.default_rng(4)))
    np.testing.assert_allclose(solve(operator, FixedChemicalPotential(0.2, 0.0)).density.charge, 1.0, atol=1e-11)


def test_saturated_electrons_follow_the_spins() -> None:
    """|J| far above the band and a lower band that is full: spin = sign(J) charge s, whatever the order."""
    spins = random_spins(16, np.random.default_rng(5))
    for coupling in (200.0, -200.0):
        state = solve(SDHamiltonian(HOP, coupling).freeze(lattice()).operator(spins), FixedFilling(0.05, 0.5))
        np.testing.assert_allclose(state.density.spin, np.sign(coupling) * spins, atol=1e-3)


def test_traces_of_the_density_are_the_numbers_of_the_state() -> None:
    """N = Tr rho, U = Tr rho H on the pattern and in full; U - kT S = F."""
    operator = SDHamiltonian(HOP, 1.2, onsite=np.linspace(-0.3, 0.4, 16), zeeman=np.array([0.1, 0.0, 0.2])).freeze(lattice())
    operator = operator.operator(random_spins(16, np.random.default_rng(6)))
    state = solve(operator)
    assert state.density.charge.sum() == pytest.approx(state.electrons, abs=1e-11)
    assert state.electrons == pytest.approx(0.4 * 32)
    assert state.density.band_energy(operator) == pytest.approx(state.energy, abs=1e-10)
    assert state.energy - 0.1 * state.entropy == pytest.approx(state.free_energy, abs=1e-11)
    levels, vectors = np.linalg.eigh(dense_matrix(operator))
    filled = 1.0 / (1.0 + np.exp((levels - state.chemical_potential) / 0.1))
    assert state.energy == pytest.approx(float(levels @ filled), abs=1e-10)
    np.testing.assert_allclose(state.density.charge, (np.abs(vectors) ** 2 @ filled).reshape(16, 2).sum(axis=1), atol=1e-11)


@pytest.mark.parametrize("flux", [0.0, 0.7])
def test_fields_and_forces_are_slopes_of_the_free_energy_at_either_ensemble(flux: float) -> None:
    """A mobile cluster, also in a magnetic field: by spins off the sphere, and by the positions."""
    rng = np.random.default_rng(7)
    places, spins = rng.uniform(0.0, 2.5, size=(7, 3)), random_spins(7, rng)
    hamiltonian = SDHamiltonian(ExponentialHopping(1.0, 1.2, 1.0, 2.4), -0.9, flux=flux)

    def frozen_at(at: np.ndarray) -> FrozenHamiltonian:
        return hamiltonian.freeze(Geometry(at, 3.0 * np.eye(3), np.zeros(3, dtype=bool), np.full(7, 26)))

    def free_energy(at: np.ndarray, s: np.ndarray, how: FixedFilling | FixedChemicalPotential) -> float:
        return solve(frozen_at(at).operator(s), how).free_energy

    frozen, step = frozen_at(places), 1e-5
    push, turn = rng.normal(size=(2, 7, 3))
    for how in (WARM, FixedChemicalPotential(0.1, -0.3)):
        found = frozen.contract(solve(frozen.operator(spins), how).density)
        ends = [free_energy(places + sign * step * push, spins, how) for sign in (-1, 1)]
        assert (ends[1] - ends[0]) / (2 * step) == pytest.approx(-np.sum(found.forces * push), rel=1e-6)
        ends = [free_energy(places, spins + sign * step * turn, how) for sign in (-1, 1)]
        assert (ends[1] - ends[0]) / (2 * step) == pytest.approx(-np.sum(found.spin * turn), rel=1e-6)
        np.testing.assert_allclose(found.forces.sum(axis=0), 0.0, atol=1e-12)
        np.testing.assert_allclose(found.virial, found.virial.T, atol=1e-12)
        np.testing.assert_allclose(np.cross(spins, found.spin).sum(axis=0), 0.0, atol=1e-12)


# -- currents ---------------------------------------------------------------------------------------------------------


def ring(flux: float, spins: np.ndarray) -> SpinOperator:
    """A ring of six sites whose electrons collect a phase `flux` going once around."""
    geometry = lattice("chain", (6,))
    operator = SDHamiltonian(HOP, 0.8).freeze(geometry).operator(spins)
    along = np.sign(operator.bonds.vectors[:, 0])
    return replace(operator, hopping=operator.hopping * np.exp(1j * along * flux / 6.0))


def currents(operator: SpinOperator) -> np.ndarray:
    """Of charge, hbar I from the second to the first site of every bond."""
    blocks = 0.5 * solve(operator).density.bond[:, None, None] * np.eye(2)
    return bond_currents(operator, blocks)[0]


@pytest.mark.parametrize("flux", [0.4, -1.3])
def test_persistent_currents_are_slopes_of_the_free_energy(flux: float) -> None:
    """The same current through every bond: against the bonds' direction it is dF/dphi, and nothing piles up."""
    spins, step = random_spins(6, np.random.default_rng(8)), 1e-5
    operator = ring(flux, spins)
    along = np.sign(operator.bonds.vectors[:, 0])
    ends = [solve(ring(flux + sign * step, spins)).free_energy for sign in (-1, 1)]
    slope = (ends[1] - ends[0]) / (2 * step)
    assert abs(slope) > 1e-3
    found = currents(operator)
    assert (along * found).sum() / 6.0 == pytest.approx(-slope, rel=1e-6)


def test_a_ring_of_parallel_spins_carries_one_current() -> None:
    operator = ring(0.9, np.tile([0, 0, 1.0], (6, 1)))
    found = currents(operator)
    np.testing.assert_allclose(inflow(operator.bonds, found, 6), 0.0, atol=1e-12)
    vectors = site_current_vectors(operator.bonds, found, 6)
    np.testing.assert_allclose(vectors, np.tile(vectors[0], (6, 1)), atol=1e-12)
    along = np.sign(operator.bonds.vectors[:, 0])
    np.testing.assert_allclose(vectors[:, 0], -(along * found)[0], atol=1e-12)
    np.testing.assert_allclose(currents(ring(-0.9, np.tile([0, 0, 1.0], (6, 1)))), -found, atol=1e-12)


def test_spin_currents_of_blocks_in_closed_form() -> None:
    """rho_01 = i/4 (1 + sigma_z) and h = -1: 2 Im[h Tr rho+] = 1, all of it spin up; i/2 sigma_x carries spin alone."""
    operator = SDHamiltonian(HOP, 0.0).freeze(PAIR).operator(np.zeros((2, 3)))
    blocks = np.array([[[0.5j, 0.0], [0.0, 0.0]]])
    charge, spin = bond_currents(operator, blocks)
    np.testing.assert_allclose(charge, [1.0])
    np.testing.assert_allclose(spin, [[0.0, 0.0, 1.0]])
    np.testing.assert_allclose(inflow(operator.bonds, charge, 2), [1.0, -1.0])
    across = np.array([[[0.0, 0.5j], [0.5j, 0.0]]])
    np.testing.assert_allclose(bond_currents(operator, across)[1], [[2.0, 0.0, 0.0]])


# -- operators and patterns -------------------------------------------------------------------------------------------


def test_a_pattern_goes_through_lists_and_back() -> None:
    operator = SDHamiltonian(HOP, 1.0).freeze(lattice()).operator(np.zeros((16, 3)))
    pattern = SparsityPattern.of(operator)
    again = SparsityPattern.from_lists(pattern.to_lists())
    assert pattern.equals(again)
    assert again.equals(pattern)
    assert not pattern.equals(replace(again, sites=17))
    assert not pattern.equals(replace(again, first=again.first[::-1]))
    again.require(operator)


def test_an_operator_is_real_without_a_flux() -> None:
    geometry = lattice()
    assert SDHamiltonian(HOP, 1.0).freeze(geometry).operator(np.zeros((16, 3))).is_real
    twisted = SDHamiltonian(HOP, 1.0, flux=1.0).freeze(geometry)
    assert not twisted.operator(np.zeros((16, 3))).is_real
    assert twisted.moves
    assert not SDHamiltonian(HOP, 1.0).freeze(geometry).moves, "shells do not change with the positions"
