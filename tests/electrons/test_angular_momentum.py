"""Electrons and moments exchange angular momentum: one convention for torques, Zeeman energies and currents."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.calculators import NEGFCalculator, ZhangLiCalculator
from spinase.calculators.base import per_moment
from spinase.electrons import LatticeLead, SDHamiltonian, SDModel, ShellHopping
from spinase.electrons.operator import Density
from spinase.electrons.transport.wide_band import dense_matrix
from spinase.errors import AdiabaticityWarning
from spinase.spin_algebra import PAULI
from spinase.textures import domain_wall
from spinase.units import METAL, REDUCED, UnitSystem

STEPS, STEP = 400, 0.01  # of the electrons' time, hbar/energy


def together(units: UnitSystem, field: np.ndarray, coupling: float = 0.8) -> tuple[np.ndarray, float]:
    """Angular momentum of electrons (hbar sigma/2) and two moments (-m/gamma) over time, (T, 3), in hbar; the time.

    Electrons: d rho/dt = -i [H, rho]/hbar.  Moments: ds/dt = -gamma s x B, as the package's drivers have it.
    """
    atoms = SpinAtoms.lattice("chain", (2,), units=units.name, rng=3)
    atoms.pbc = False
    spins, lengths = atoms.spins.copy(), np.array([1.5, 0.7])
    zeeman = 0.5 * units.hbar * units.gyromagnetic_ratio * field
    frozen = SDHamiltonian(ShellHopping([0.6]), coupling, zeeman=zeeman).freeze(geometry_of(atoms))
    rng = np.random.default_rng(1)
    vectors = np.linalg.qr(rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4)))[0]
    rho = (vectors * [0.9, 0.7, 0.2, 0.1]) @ vectors.conj().T

    def spin_density(matrix: np.ndarray) -> np.ndarray:
        blocks = matrix.reshape(2, 2, 2, 2)
        return np.array([np.einsum("xab,ba->x", PAULI, blocks[i, :, i, :]).real for i in range(2)])

    def rates(matrix: np.ndarray, turned: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        hamiltonian = dense_matrix(frozen.operator(turned))
        density = Density(np.zeros(2), spin_density(matrix), np.zeros(1, dtype=complex))
        acting = per_moment(frozen.spin_gradient(density), lengths) + field
        commutator = hamiltonian @ matrix - matrix @ hamiltonian
        return -1j * commutator / units.hbar, -units.gyromagnetic_ratio * np.cross(turned, acting)

    total, dt = [], STEP * units.hbar
    for _ in range(STEPS + 1):
        moments = lengths[:, None] * spins
        local = -moments.sum(axis=0) / (units.gyromagnetic_ratio * units.hbar)
        total.append(0.5 * spin_density(rho).sum(axis=0) + local)
        slopes = [rates(rho, spins)]
        for share in (0.5, 0.5, 1.0):
            slopes.append(rates(rho + share * dt * slopes[-1][0], spins + share * dt * slopes[-1][1]))
        rho, spins = (
            value + dt / 6.0 * (slopes[0][k] + 2.0 * slopes[1][k] + 2.0 * slopes[2][k] + slopes[3][k])
            for k, value in enumerate((rho, spins))
        )
    return np.array(total), STEPS * dt


@pytest.mark.parametrize("units", [METAL, REDUCED], ids=lambda units: units.name)
@pytest.mark.parametrize("coupling", [0.8, -0.8])
def test_what_electrons_lose_the_moments_gain(units: UnitSystem, coupling: float) -> None:
    total, _ = together(units, np.zeros(3), coupling)
    assert np.abs(total - total[0]).max() < 1e-8


@pytest.mark.parametrize("units", [METAL, REDUCED], ids=lambda units: units.name)
def test_a_field_turns_electrons_and_moments_in_one_sense(units: UnitSystem) -> None:
    """The sum precesses about the field with gamma B, whatever both exchange: H = +mu_B B.sigma, not minus."""
    field = np.array([0.0, 0.0, 0.3])
    total, time = together(units, field)
    angle = units.gyromagnetic_ratio * field[2] * time
    cos, sin = np.cos(angle), np.sin(angle)
    expected = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]]) @ total[0]  # ds/dt = -gamma s x B
    assert angle > 0.5
    np.testing.assert_allclose(total[-1], expected, atol=1e-7)
    assert np.hypot(*total[0, :2]) > 0.1


def test_electron_moments_are_along_a_field() -> None:
    """The spin of free electrons in equilibrium is against B, their moment along it."""
    atoms = SpinAtoms.lattice("chain", (6,), units="reduced")
    atoms.pbc = False
    model = SDModel(ShellHopping([1.0]), 0.0, chemical_potential=0.0, kT=0.1, zeeman=(0.0, 0.0, 0.1))
    calc = NEGFCalculator(model, [LatticeLead("left"), LatticeLead("right")])
    spin = calc.get_property("spin_density", atoms)
    assert spin[:, 2].max() < -0.02
    np.testing.assert_allclose(spin[:, 2], spin[0, 2], atol=1e-5, err_msg="leads feel the field: no ends to be seen")


@pytest.mark.parametrize("bias", [0.3, -0.3])
@pytest.mark.parametrize("coupling", [-1.0, 1.0])
def test_walls_run_with_the_electrons_of_ordinary_ferromagnets(coupling: float, bias: float) -> None:
    """The drift -(ds/dt).(ds/dx) of a wall under a bias, beside that of the Zhang-Li torque with u along the electrons."""
    atoms = SpinAtoms.lattice("square", (20, 2), units="reduced")
    atoms.pbc = False
    atoms.moments = 100.0 * domain_wall(geometry_of(atoms), np.random.default_rng(0), width=2.5, angle=np.pi / 2)
    ends = atoms.spins[[0, -1]].round()
    leads = [LatticeLead(side, exchange=coupling * end) for side, end in zip(("left", "right"), ends, strict=True)]
    model = SDModel(ShellHopping([1.0]), coupling, chemical_potential=-2.0, kT=0.05)
    slope = np.gradient(atoms.spins.reshape(20, 2, 3), axis=0).reshape(-1, 3)

    def drift(calc: NEGFCalculator | ZhangLiCalculator) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AdiabaticityWarning)
            turning = -np.cross(atoms.spins, calc.get_property("magnetic_forces", atoms))
        return float(-np.sum(turning * slope) / np.sum(slope**2))

    driven = NEGFCalculator(model, leads, bias=bias, tolerance=1e-3)
    under_bias = drift(driven) - drift(NEGFCalculator(model, leads, tolerance=1e-3))
    electrons = float(driven.get_property("lead_currents", atoms)[0])
    assert np.sign(electrons) == np.sign(bias), "electrons leave the lead with the higher chemical potential"
    assert abs(electrons) > 0.01
    # one electron of polarization 1 that crosses the wall turns hbar/2 to -hbar/2: two rows of moments of 100 take it up
    largest = abs(electrons) / (2 * 2 * 100.0)
    assert 0.1 * largest < abs(under_bias) < 1.5 * largest
    u = np.array([electrons, 0.0, 0.0])
    assert drift(ZhangLiCalculator(u, units="reduced")) == pytest.approx(electrons, rel=0.05)
    assert np.sign(under_bias) == -np.sign(coupling) * np.sign(electrons)
