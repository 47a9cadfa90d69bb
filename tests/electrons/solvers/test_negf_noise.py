"""Noise of currents: closed forms of one channel and of a resonant level, heat without a bias, three leads, a mesh."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.integrate import quad
from systems.devices import attach, paper, strip

from spinase import SpinAtoms
from spinase.calculators import NEGFCalculator
from spinase.electrons import Bath, LatticeLead, SDModel, ShellHopping, WideBandLead
from spinase.electrons.operator import SparsityPattern
from spinase.electrons.solvers.negf import Drive, NEGFSolver
from spinase.electrons.solvers.negf_noise import correlations, noise_parts
from spinase.electrons.transport.layered import LayeredDevice
from spinase.errors import AdiabaticityWarning, ConvergenceError, PatternError
from spinase.units import METAL

ENDS = (LatticeLead("left"), LatticeLead("right"))


@pytest.fixture(autouse=True)
def _adiabatic():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AdiabaticityWarning)
        yield


def chain(barrier: float, bias: float, kT: float, **options: object) -> tuple[NEGFCalculator, SpinAtoms]:  # noqa: N803
    """A chain of three sites with a barrier U on the middle one: T = v^2/(v^2 + U^2), v = 2t sin k, E = -2t cos k."""
    atoms = SpinAtoms.lattice("chain", (3,), units="reduced")
    atoms.pbc = False
    model = SDModel(ShellHopping([1.0]), 0.0, chemical_potential=-0.4, kT=kT, onsite=[0.0, barrier, 0.0])
    return NEGFCalculator(model, ENDS, bias, tolerance=1e-7, **options), atoms


def passed(energy: float, barrier: float) -> float:
    square = 4.0 - energy**2
    return square / (square + barrier**2)


def fermi(energy: float, mu: float, kT: float) -> float:  # noqa: N803
    return 0.5 - 0.5 * np.tanh(0.5 * (energy - mu) / kT)


@pytest.mark.parametrize("barrier", [0.0, 0.9, 3.0])
def test_one_channel_at_zero_temperature_is_a_game_of_chance(barrier: float) -> None:
    """Every electron of the window passes with probability T: the current is T V/(2 pi hbar), its noise 2 I (1 - T)."""
    calc, atoms = chain(barrier, 0.02, 0.0)
    found = calc.current_noise(atoms)
    here = passed(-0.4, barrier)
    assert found.currents[0] == pytest.approx(2.0 * here * 0.02 / (2.0 * np.pi), rel=1e-3)
    assert found.fano == pytest.approx([1.0 - here] * 2, abs=1e-4)
    exact = 2.0 * 2.0 * quad(lambda e: passed(e, barrier) * (1.0 - passed(e, barrier)), -0.41, -0.39)[0] / (2.0 * np.pi)
    np.testing.assert_allclose(found.shot, exact * np.array([[1.0, -1.0], [-1.0, 1.0]]), atol=1e-8)
    assert not found.thermal.any()


@pytest.mark.parametrize("bias", [0.0, 0.5])
def test_thermal_and_shot_parts_are_those_of_landauer_and_buettiker(bias: float) -> None:
    """hbar S = 2 int dE/2pi sum {T [f(1-f) + f'(1-f')] + T (1 - T) (f - f')^2}."""
    calc, atoms = chain(0.9, bias, 0.1)
    found = calc.current_noise(atoms)

    def thermal(e: float) -> float:
        one, two = fermi(e, -0.4 + bias / 2, 0.1), fermi(e, -0.4 - bias / 2, 0.1)
        return passed(e, 0.9) * (one * (1.0 - one) + two * (1.0 - two))

    def shot(e: float) -> float:
        t = passed(e, 0.9)
        return t * (1.0 - t) * (fermi(e, -0.4 + bias / 2, 0.1) - fermi(e, -0.4 - bias / 2, 0.1)) ** 2

    for part, form in ((found.thermal, thermal), (found.shot, shot)):
        exact = 2.0 * 2.0 * quad(form, -2.0, 2.0, epsabs=1e-11)[0] / (2.0 * np.pi)
        np.testing.assert_allclose(part, exact * np.array([[1.0, -1.0], [-1.0, 1.0]]), atol=1e-6)
    if bias == 0.0:
        assert np.isnan(found.fano).all() or np.abs(found.currents).max() < 1e-12
        conductance = 2.0 * quad(lambda e: passed(e, 0.9) * 2.5 / np.cosh(5.0 * (e + 0.4)) ** 2, -2, 2)[0] / (2.0 * np.pi)
        assert found.power[0, 0] == pytest.approx(4.0 * 0.1 * conductance, abs=1e-6)


def test_a_resonant_level_of_two_tunnels() -> None:
    """All of the resonance in the window: Fano factor (Gamma_L^2 + Gamma_R^2)/(Gamma_L + Gamma_R)^2."""
    atoms = SpinAtoms.lattice("chain", (1,), units="reduced")
    atoms.pbc = False
    leads = (WideBandLead(0.02, [0]), WideBandLead(0.05, [0]))
    model = SDModel(ShellHopping([1.0]), 0.0, chemical_potential=0.0, kT=0.0)
    found = NEGFCalculator(model, leads, 200.0, tolerance=1e-5).current_noise(atoms)
    assert found.fano == pytest.approx([29.0 / 49.0] * 2, abs=3e-3)
    assert found.currents[0] == pytest.approx(2.0 * 0.02 * 0.05 / 0.07, rel=1e-3)


def test_scattering_is_unitary_and_has_the_transmissions_of_the_dense_inverse() -> None:
    _, geometry, operator = strip((5, 3))
    probe = WideBandLead(0.3, [5, 9, 10], polarization=(0.0, 0.5, 0.0))
    leads = attach(geometry, LatticeLead("left", exchange=(0.3, 0.2, 0.5)), LatticeLead("right"), probe, Bath(0.05))
    layers = LayeredDevice(len(operator), operator.bonds.first, operator.bonds.second, leads)
    energies = np.array([-1.3, 0.4])
    for energy, found in zip(energies, layers.scattering(operator, energies), strict=True):
        matrix = found.matrix
        np.testing.assert_allclose(matrix @ matrix.conj().T, np.eye(len(matrix)), atol=1e-11)
        green, widths = paper(operator, leads, energy)
        for a in range(4):
            for b in set(range(4)) - {a}:
                part = matrix[np.ix_(found.leads == b, found.leads == a)]
                exact = np.trace(widths[b] @ green @ widths[a] @ green.conj().T).real
                assert np.sum(np.abs(part) ** 2) == pytest.approx(exact, abs=1e-11)
        tensor = correlations(found, 4)
        np.testing.assert_allclose(tensor.sum(axis=0), 0.0, atol=1e-11)


def test_three_leads_conserve_charge_and_follow_johnson_and_nyquist() -> None:
    """S_ab = -2 kT (G_ab + G_ba) without a bias; with one every row sums to zero, and different currents anticorrelate."""
    _, geometry, operator = strip((4, 3))
    leads = attach(geometry, *ENDS, WideBandLead(0.4, [5]))
    solver = NEGFSolver(leads, Drive(-0.4, 0.1, 0.0, 1e-6))
    plan = solver.plan(SparsityPattern.of(operator))
    with pytest.raises(PatternError, match=r"a plan for 12 site\(s\) .* was given an operator of 20 site\(s\)"):
        noise_parts(plan, strip((5, 4))[2])
    thermal, shot = noise_parts(plan, operator)
    step, nodes = 5e-3, np.arange(-1.6, 0.8, 5e-3)
    there = plan.transmission(operator, nodes)
    conductance = np.einsum("kab,k->ab", there, 2.5 / np.cosh(5.0 * (nodes + 0.4)) ** 2) * step / (2.0 * np.pi)
    off = -2.0 * 0.1 * (conductance + conductance.T)
    np.testing.assert_allclose(thermal - np.diag(np.diag(thermal)), off, atol=5e-5)
    assert np.abs(shot).max() < 1e-14
    driven = noise_parts(plan.under(Drive(-0.4, 0.1, 0.6, 1e-6)), operator)
    np.testing.assert_allclose(driven.sum(axis=1), 0.0, atol=1e-12)
    total = driven.sum(axis=0)
    assert (total - np.diag(np.diag(total))).max() <= 1e-12
    assert driven[1, 0, 0] > 1e-3


def test_a_film_by_k_points_is_the_wide_cell() -> None:
    wide = SpinAtoms.lattice("square", (3, 3), units="reduced")
    narrow = SpinAtoms.lattice("square", (3, 1), units="reduced")
    for atoms in (wide, narrow):
        atoms.pbc = [False, True, False]
        turn = 0.9 * atoms.positions[:, 0]
        atoms.spins = np.stack([np.sin(turn), 0.0 * turn, np.cos(turn)], axis=1)
    model = SDModel(ShellHopping([1.0]), 1.1, chemical_potential=-0.4, kT=0.1)
    leads = (LatticeLead("left", exchange=(0, 0, 1.1)), LatticeLead("right"), Bath(0.1))
    one = NEGFCalculator(model, leads, 0.4, tolerance=1e-5, kpts=(1, 3, 1)).current_noise(narrow)
    other = NEGFCalculator(model, leads, 0.4, tolerance=1e-5).current_noise(wide)
    np.testing.assert_allclose(3.0 * one.thermal, other.thermal, atol=1e-4)
    np.testing.assert_allclose(3.0 * one.shot, other.shot, atol=1e-4)
    np.testing.assert_allclose(one.fano[:2], other.fano[:2], atol=1e-3)


def test_both_unit_systems_agree() -> None:
    calc, atoms = chain(0.9, 0.3, 0.1)
    metal = SpinAtoms.lattice("chain", (3,), units="metal")
    metal.pbc = False
    scale = 0.4
    model = SDModel(
        ShellHopping([scale]), 0.0, chemical_potential=-0.4 * scale, kT=0.1 * scale, onsite=[0.0, 0.9 * scale, 0.0]
    )
    there = NEGFCalculator(model, ENDS, 0.3 * scale, tolerance=1e-7, units="metal").current_noise(metal)
    here = calc.current_noise(atoms)
    np.testing.assert_allclose(there.power * METAL.hbar, here.power * scale, rtol=1e-5)
    np.testing.assert_allclose(there.fano, here.fano, rtol=1e-5)


def test_too_few_energies_are_told() -> None:
    calc, atoms = chain(0.9, 0.3, 0.1, max_energies=60)
    with pytest.raises(ConvergenceError, match="within 60 energies"):
        calc.current_noise(atoms)
