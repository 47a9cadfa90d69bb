"""Open devices at kT = 0: the closed form of wide bands, dense quadrature, the limit of small kT, levels at mu."""

from __future__ import annotations

import numpy as np
import pytest
from ase.calculators.calculator import PropertyNotImplementedError
from scipy.integrate import quad_vec
from systems.devices import attach, of_atoms, paper, strip

from spinase import SpinAtoms
from spinase.calculators import NEGFCalculator
from spinase.electrons import Bath, ExponentialHopping, LatticeLead, SDModel, ShellHopping, WideBandLead
from spinase.electrons.solvers.negf import Drive, NEGFSolver
from spinase.electrons.transport.wide_band import wide_band_density_matrix
from spinase.errors import ModelError


@pytest.mark.parametrize("tolerance", [1e-4, 1e-7])
@pytest.mark.parametrize("bias", [0.0, 0.6])
def test_wide_bands_against_their_closed_form(bias: float, tolerance: float) -> None:
    """Three leads at three chemical potentials; the weak bath leaves levels 0.01 wide."""
    _, geometry, operator = strip((4, 3))
    left = WideBandLead(0.8, [0, 1, 2], polarization=(0.0, 0.0, 0.6))
    leads = attach(geometry, left, WideBandLead(0.5, [9, 10, 11]), Bath(0.01))
    solver = NEGFSolver(leads, Drive(-0.4, 0.0, bias, tolerance))
    state = solver.solve(operator)
    exact = wide_band_density_matrix(operator, leads, *solver.terminals.levels()).reshape(12, 2, 12, 2)
    blocks, first, second = exact[np.arange(12), :, np.arange(12), :], operator.bonds.first, operator.bonds.second
    np.testing.assert_allclose(state.density.charge, np.trace(blocks, axis1=1, axis2=2).real, atol=tolerance)
    np.testing.assert_allclose(state.density.spin[:, 2], (blocks[:, 0, 0] - blocks[:, 1, 1]).real, atol=tolerance)
    np.testing.assert_allclose(state.bond_blocks, exact[first, :, second, :], atol=tolerance)
    assert np.isnan(state.free_energy)


def test_lattice_leads_against_landauer_and_the_dense_contour() -> None:
    _, geometry, operator = strip((3, 2))
    leads = attach(geometry, LatticeLead("left"), LatticeLead("right"))
    solver = NEGFSolver(leads, Drive(-0.3, 0.0, 0.4, 1e-6))
    state = solver.solve(operator)

    def transmitted(energy: float) -> float:
        green, (left, right) = paper(operator, leads, energy + 1e-10j)
        return float(np.trace(left @ green @ right @ green.conj().T).real)

    nodes, weights = np.polynomial.legendre.leggauss(60)
    current = sum(0.2 * w * transmitted(-0.3 + 0.2 * x) for x, w in zip(nodes, weights, strict=True)) / (2.0 * np.pi)
    assert state.lead_currents == pytest.approx([current, -current], abs=1e-5)

    still = NEGFSolver(leads, Drive(-0.3, 0.0, 0.0, 1e-6)).solve(operator)
    inverse = quad_vec(
        lambda t: paper(operator, leads, -0.3 + 1j * t / (1 - t))[0] / (1 - t) ** 2, 1e-9, 1 - 1e-9, epsabs=1e-8
    )[0]
    exact = 0.5 * np.eye(12) + (inverse + inverse.conj().T) / (2.0 * np.pi)
    np.testing.assert_allclose(still.density.charge, np.diag(exact).real.reshape(6, 2).sum(axis=1), atol=2e-6)


@pytest.mark.parametrize(("mu", "channels"), [(-0.3, 3), (-1.5, 2), (-2.8, 1), (-3.8, 0)])
def test_clean_strips_carry_whole_quanta(mu: float, channels: int) -> None:
    """Landauer: channels with |E + 2 cos(pi k/4)| < 2 throughout the window, 1/2pi of the bias each, for two spins."""
    _, geometry, operator = strip((2, 3), coupling=0.0)
    leads = attach(geometry, LatticeLead("left"), LatticeLead("right"))
    state = NEGFSolver(leads, Drive(mu, 0.0, 0.2, 1e-5)).solve(operator)
    quantum = 2.0 * 0.2 / (2.0 * np.pi)
    assert state.lead_currents == pytest.approx([channels * quantum, -channels * quantum], abs=1e-5)


@pytest.mark.parametrize("bias", [0.0, 0.3])
def test_it_is_the_limit_of_small_temperatures(bias: float) -> None:
    """Sommerfeld: differences fall as kT squared."""
    _, geometry, operator = strip((4, 2), seed=3)
    leads = attach(geometry, LatticeLead("left"), LatticeLead("right", onsite=0.1))
    cold = NEGFSolver(leads, Drive(-0.2, 0.0, bias, 1e-6)).solve(operator)
    differences = []
    for kT in (0.01, 0.005):
        warm = NEGFSolver(leads, Drive(-0.2, kT, bias, 1e-6)).solve(operator)
        found = [np.abs(warm.density.spin - cold.density.spin).max(), np.abs(warm.lead_currents - cold.lead_currents).max()]
        differences.append(found)
    assert differences[1][0] < 1e-3
    assert differences[1][0] == pytest.approx(0.25 * differences[0][0], rel=0.2, abs=3e-6)
    assert differences[1][1] == pytest.approx(0.25 * differences[0][1], rel=0.2, abs=3e-6)


@pytest.mark.parametrize(("mu", "filled"), [(0.7, None), (0.7 + 1e-4, 2.0), (0.7 - 1e-4, 1.0), (0.0, 1.0)])
def test_sharp_levels_near_mu_are_seen_and_one_at_mu_is_refused(mu: float, filled: float | None) -> None:
    """An isolated site with levels at -0.7 and 0.7 beside one with a lead."""
    atoms = SpinAtoms.lattice("chain", (2,), units="reduced", a=1.0, rng=1)
    atoms.pbc = False
    atoms.positions[1] = [5.0, 0.0, 0.0]
    geometry, operator = of_atoms(atoms, 0.7, ExponentialHopping(1.0, 1.0, 1.0, 2.0))
    solver = NEGFSolver(attach(geometry, WideBandLead(0.3, [0])), Drive(mu, 0.0, 0.0, 1e-5))
    if filled is None:
        with pytest.raises(ModelError, match="a level lies at the chemical potential 0.7 .* on site 1: .* Use kT > 0"):
            solver.solve(operator)
    else:
        assert solver.solve(operator).density.charge[1] == pytest.approx(filled, abs=1e-5)


def test_the_calculator_has_fields_and_currents_but_no_energy() -> None:
    atoms = SpinAtoms.lattice("chain", (6,), units="reduced", rng=2)
    atoms.pbc = False
    leads = (LatticeLead("left"), LatticeLead("right"))

    def calculator(kT: float, bias: float) -> NEGFCalculator:  # noqa: N803
        return NEGFCalculator(SDModel(ShellHopping([1.0]), 1.0, chemical_potential=-0.5, kT=kT), leads, bias, tolerance=1e-5)

    for bias in (0.0, 0.2):
        cold = calculator(0.0, bias).get_property("magnetic_forces", atoms)
        np.testing.assert_allclose(calculator(0.005, bias).get_property("magnetic_forces", atoms), cold, atol=1e-3)
    with pytest.raises(PropertyNotImplementedError, match="no energy at kT = 0 here.*small kT"):
        calculator(0.0, 0.0).get_property("energy", atoms)
