"""Devices whose hopping turns spins, between leads that do not: dense inverses, closed forms, a gauge, conservation."""

from __future__ import annotations

import numpy as np
import pytest
from systems.devices import HOP, attach, paper
from systems.electrons import dense_matrix as on_paper

from spinase import SpinAtoms
from spinase.atoms import geometry_of, get_spins, set_moments
from spinase.calculators import NEGFCalculator
from spinase.electrons import ChiralHopping, RashbaHopping, SDHamiltonian, SDModel, ShellHopping
from spinase.electrons.operator import SpinOperator
from spinase.electrons.solvers.negf import Drive, NEGFSolver
from spinase.electrons.transport.contacts import AttachedLead
from spinase.electrons.transport.currents import bond_currents, inflow
from spinase.electrons.transport.layered import LayeredDevice
from spinase.electrons.transport.leads import Bath, LatticeLead, WideBandLead
from spinase.electrons.transport.wide_band import dense_matrix, wide_band_density_matrix
from spinase.spin_algebra import PAULI, rotate_about
from spinase.testing import check_calculator

LAWS = (RashbaHopping([0.4]), ChiralHopping([0.0, 0.2]))


def strip(order: np.ndarray | None = None) -> tuple[SpinAtoms, SpinOperator]:
    """6 x 3 sites with random spins and spin-orbit hopping to nearest and diagonal neighbours, in some order."""
    atoms = SpinAtoms.lattice("square", (6, 3), units="reduced", rng=1)
    atoms = atoms if order is None else atoms[order]
    atoms.pbc = False
    hamiltonian = SDHamiltonian(HOP, 1.3, spin_orbit=LAWS)
    return atoms, hamiltonian.freeze(geometry_of(atoms)).operator(get_spins(atoms))


def device() -> tuple[SpinOperator, list[AttachedLead]]:
    """With a ferromagnetic, a plain and a third lead; bonds run both ways between the layers."""
    atoms, operator = strip(np.random.default_rng(3).permutation(18))
    ferro, probe = LatticeLead("left", exchange=(0.3, 0.2, 0.5)), WideBandLead(0.3, [5, 9], share=0.3)
    return operator, attach(geometry_of(atoms), ferro, LatticeLead("right"), probe)


def test_injected_densities_and_transmissions_are_those_of_the_dense_inverse() -> None:
    operator, leads = device()
    np.testing.assert_allclose(dense_matrix(operator), on_paper(operator), atol=1e-14)
    layers = LayeredDevice(len(operator), operator.bonds.first, operator.bonds.second, leads)
    energies, wanted, sites = np.array([-1.7, 0.23, 1.1]), [0, 1, 2], np.arange(len(operator))
    found = layers.inject(operator, energies, wanted, bonds=True)
    for k, energy in enumerate(energies):
        green, widths = paper(operator, leads, energy)
        for a in wanted:
            blocks = (green @ widths[a] @ green.conj().T).reshape(len(operator), 2, len(operator), 2)
            own = blocks[sites, :, sites, :]
            np.testing.assert_allclose(found.sites[k, a, :, 0], np.einsum("iaa->i", own).real, atol=1e-10)
            np.testing.assert_allclose(found.sites[k, a, :, 1:], np.einsum("xab,iba->ix", PAULI, own).real, atol=1e-10)
            pairs = blocks[operator.bonds.first, :, operator.bonds.second, :]
            np.testing.assert_allclose(found.bonds[k, a], pairs, atol=1e-10)
            for b in set(wanted) - {a}:
                exact = np.trace(widths[b] @ green @ widths[a] @ green.conj().T).real
                assert found.transmission[k, a, b] == pytest.approx(exact, abs=1e-10)


def test_wide_bands_under_a_bias_against_their_closed_form() -> None:
    atoms, operator = strip()
    leads = attach(geometry_of(atoms), WideBandLead(0.8, [0, 1, 2]), WideBandLead(0.5, [15, 16, 17]), Bath(0.05))
    solver = NEGFSolver(leads, Drive(-0.4, 0.05, 0.6, 1e-5))
    state = solver.solve(operator)
    exact = wide_band_density_matrix(operator, leads, *solver.terminals.levels()).reshape(18, 2, 18, 2)
    pairs = exact[operator.bonds.first, :, operator.bonds.second, :]
    np.testing.assert_allclose(state.bond_blocks, pairs, atol=1e-5)
    np.testing.assert_allclose(state.density.bond_spin, np.einsum("xab,nba->nx", PAULI, pairs), atol=2e-5)


def test_charge_is_conserved_and_spin_is_with_what_bonds_turn() -> None:
    """Inside, the exchange torque is what spin-orbit bonds bring: 2 Im Tr[sigma h_ij rho_ij+] at either end of each."""
    operator, leads = device()
    state = NEGFSolver(leads[:2], Drive(-0.4, 0.05, 0.5, 1e-5)).solve(operator)
    charge, spin = bond_currents(operator, state.bond_blocks)
    inside = np.setdiff1d(np.arange(len(operator)), np.concatenate([lead.sites for lead in leads[:2]]))
    assert np.abs(inflow(operator.bonds, charge, len(operator))[inside]).max() < 1e-12
    hopping, back = operator.bond_entries(), state.bond_blocks.conj().swapaxes(1, 2)
    first = 2.0 * np.einsum("xab,nbc,nca->nx", PAULI, hopping, back).imag
    second = -2.0 * np.einsum("nab,xbc,nca->nx", hopping, PAULI, back).imag
    np.testing.assert_allclose(spin, 0.5 * (first - second), atol=1e-14)
    brought = np.zeros((len(operator), 3))
    np.add.at(brought, operator.bonds.first, first)
    np.add.at(brought, operator.bonds.second, second)
    torque = np.cross(state.density.spin, operator.exchange)
    np.testing.assert_allclose(torque[inside], 0.5 * brought[inside], atol=1e-12)
    assert np.abs(first + second).max() > 0.01


def test_a_pure_gauge_carries_the_same_current() -> None:
    """A chain with hopping t exp(i theta n.sigma) is one without, in a frame that turns along: leads see no spin."""
    theta, chain = 0.35, SpinAtoms.lattice("chain", (6,), units="reduced", rng=5)
    chain.pbc = False
    turned, ends = chain.copy(), (LatticeLead("left"), LatticeLead("right"))
    # rotate_about takes minus the rotation vector
    frame = 2.0 * theta * np.arange(6)[:, None] * np.array([0.0, -1.0, 0.0])
    set_moments(turned, rotate_about(get_spins(chain), frame))
    law = RashbaHopping([np.tan(theta)])

    def calculator(*laws: RashbaHopping) -> NEGFCalculator:
        model = SDModel(ShellHopping([1.0]), 1.1, chemical_potential=-0.3, kT=0.05, spin_orbit=laws)
        return NEGFCalculator(model, ends, 0.4, tolerance=1e-6)

    # t = cos(theta)/cos(theta): leads keep their hopping, so that of the device is longer by 1/cos(theta)
    with_it = SDHamiltonian(ShellHopping([1.0]), 1.1, spin_orbit=[law])
    without = SDHamiltonian(ShellHopping([1.0 / np.cos(theta)]), 1.1)
    geometry, energies = geometry_of(chain), np.linspace(-1.5, 1.5, 7)
    leads = attach(geometry, *ends)
    found = []
    for hamiltonian, spins in ((with_it, get_spins(chain)), (without, get_spins(turned))):
        operator = hamiltonian.freeze(geometry).operator(spins)
        layers = LayeredDevice(6, operator.bonds.first, operator.bonds.second, leads)
        found.append(layers.inject(operator, energies, [0, 1]))
    np.testing.assert_allclose(found[0].transmission, found[1].transmission, atol=1e-12)
    assert 0.05 < found[0].transmission[:, 0, 1].max() < 2.0
    there = rotate_about(found[0].sites[..., 1:].reshape(-1, 3), np.tile(frame, (14, 1)))
    np.testing.assert_allclose(there, found[1].sites[..., 1:].reshape(-1, 3), atol=1e-12)
    assert calculator(law).get_property("lead_currents", chain)[0] > 0.0


def test_a_current_turns_a_uniform_magnet() -> None:
    """Electrons that run along +x are polarized along +y by Rashba hopping (lambda > 0), and turn moments along z."""
    atoms = SpinAtoms.lattice("square", (6, 3), units="reduced")
    atoms.pbc = False
    set_moments(atoms, np.tile([0.0, 0.0, 1.0], (18, 1)))
    ends = (LatticeLead("left"), LatticeLead("right"), Bath(0.05))

    def means(strength: float, bias: float) -> tuple[np.ndarray, np.ndarray]:
        model = SDModel(HOP, 0.5, chemical_potential=-2.0, kT=0.1, spin_orbit=RashbaHopping([strength]))
        calc = NEGFCalculator(model, ends, bias, tolerance=1e-4)
        spins, torques = (calc.get_property(name, atoms).mean(axis=0) for name in ("spin_density", "torques"))
        return spins, torques

    spins, torques = means(0.2, 0.3)
    assert spins[1] > 1e-3
    np.testing.assert_allclose(torques[0], -0.5 * spins[1], atol=1e-12)  # z x J <sigma_y> y
    assert means(-0.2, 0.3)[0][1] == pytest.approx(-spins[1], abs=1e-4)
    assert means(0.2, -0.3)[0][1] == pytest.approx(-spins[1], rel=0.2)
    assert abs(means(0.0, 0.3)[0][1]) < 1e-12


def test_fields_in_equilibrium_are_gradients() -> None:
    atoms, _ = strip()
    model = SDModel(HOP, 1.3, chemical_potential=-0.4, kT=0.2, spin_orbit=LAWS)
    calc = NEGFCalculator(model, (LatticeLead("left"), LatticeLead("right")), tolerance=1e-7)
    assert {"spin_rotation", "lattice_rotation", "joint_rotation"}.isdisjoint(calc.symmetries)
    assert check_calculator(calc, atoms, checks=["magnetic_forces", "conservative", "time_reversal"])
