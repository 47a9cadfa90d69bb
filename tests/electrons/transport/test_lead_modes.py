"""Surfaces of leads from their modes: against decimation off the real axis, against their own equation on it."""

from __future__ import annotations

import numpy as np
import pytest
from systems.devices import attach, strip

from spinase.electrons.solvers.negf import Drive, NEGFSolver
from spinase.electrons.transport.lead_modes import ChainModes, LeadModes
from spinase.electrons.transport.leads import LatticeLead
from spinase.electrons.transport.self_energy import decimated_surface
from spinase.errors import ConvergenceError


def cells() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """H_00 and H_01: any, couplings of rank one and two, two legs that do not meet, a level that couples to nothing."""
    rng = np.random.default_rng(0)
    intra = rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))
    inter = rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))
    low = np.linalg.svd(inter)
    ladder = np.array([[0.0, -1.0], [-1.0, 0.0]])
    return {
        "any": (intra + intra.conj().T, inter),
        "rank one": (intra + intra.conj().T, low[0][:, :1] * 2.0 @ low[2][:1]),
        "rank two": (intra + intra.conj().T, low[0][:, :2] @ low[2][:2]),
        "oblique ladder": (ladder, np.array([[-1.0, -1.0], [0.0, -1.0]])),
        "two legs": (np.zeros((2, 2)), np.diag([-1.0, 0.7])),
        "lonely level": (np.diag([0.3, 0.0]), np.diag([-1.0, 0.0])),
    }


@pytest.mark.parametrize("name", cells())
def test_off_the_real_axis_modes_and_decimation_agree(name: str) -> None:
    intra, inter = cells()[name]
    modes = LeadModes(intra, inter)
    for energy in (0.3 + 0.2j, -1.1 + 1e-2j, 0.7 + 3e-5j * modes.width):
        expected = decimated_surface(energy, intra, inter)
        found, _, _ = modes._solved(energy)
        np.testing.assert_allclose(found.green, expected, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("name", cells())
def test_on_the_real_axis_the_surface_solves_its_equation_and_is_retarded(name: str) -> None:
    intra, inter = cells()[name]
    modes, opened = LeadModes(intra, inter), set()
    for energy in np.random.default_rng(1).uniform(-4.0, 4.0, 40):
        surface = modes.surface(energy)
        green = surface.green
        assert surface.energy == energy
        residual = green @ (energy * np.eye(len(green)) - intra - inter @ green @ inter.conj().T) - np.eye(len(green))
        assert np.abs(residual).max() < 1e-9 * max(1.0, np.abs(green).max())
        spread = 1j * (green - green.conj().T)
        np.testing.assert_allclose(surface.waves @ surface.waves.conj().T, spread, atol=1e-9 * max(1.0, np.abs(green).max()))
        above, _, _ = modes._solved(energy + 1e-7j)
        assert np.abs(above.green - green).max() < 1e-3 * max(1.0, np.abs(green).max()), "the limit from above"
        opened.add(surface.waves.shape[1])
    assert len(opened) > 1


def test_chains_in_closed_form_are_those_of_the_modes() -> None:
    intra = np.array([[0.1, -1.0, 0.0], [-1.0, 0.0, 0.4], [0.0, 0.4, -0.3]])
    for energy in (-2.9, -0.2, 0.7, 1.3, 0.2 + 0.1j):
        one, other = ChainModes(intra, -0.8).surface(energy), LeadModes(intra, -0.8 * np.eye(3)).surface(energy)
        np.testing.assert_allclose(one.green, other.green, atol=1e-11)
        assert one.waves.shape == other.waves.shape


def test_at_the_crossing_of_two_bands_of_opposite_velocity() -> None:
    """A chain of period two: at E = 0 both waves have lambda = 1, to the left and to the right."""
    intra, inter = np.array([[0.0, -1.0], [-1.0, 0.0]]), np.array([[0.0, 0.0], [-1.0, 0.0]])
    surface = LeadModes(intra, inter).surface(0.0)
    assert (surface.energy, surface.waves.shape) == (0.0, (2, 1))
    assert surface.green[0, 0] == pytest.approx(-1j, abs=1e-9)


def test_energies_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ConvergenceError, match=r"no solution at the energy nan, nor within 1e-06 of its band width"):
        LeadModes(*cells()["any"]).surface(float("nan"))


@pytest.mark.parametrize("seed", [0, 1, 3, 6, 9])
def test_a_biased_triangular_device_does_not_stop_at_an_energy_of_its_own_choice(seed: int) -> None:
    """Before, a third of these ended with "a band edge; shift the energy"."""
    rng = np.random.default_rng(seed)
    _, geometry, operator = strip((4, 4), coupling=float(rng.choice([0.0, 0.5, 1.3])), lattice="triangular", seed=seed)
    drive = Drive(float(rng.choice([0.0, -1.0, -1.5, 0.7])), 0.05, float(rng.choice([0.2, 0.5, 1.0])), 1e-3, 4000)
    state = NEGFSolver(attach(geometry, LatticeLead("left"), LatticeLead("right")), drive).solve(operator, bonds=False)
    assert state.lead_currents[0] > 0.01
    assert np.isfinite(state.density.spin).all()
