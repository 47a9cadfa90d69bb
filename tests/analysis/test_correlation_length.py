"""Correlation lengths against closed forms: conical spirals have all their weight at three known wavevectors."""

from __future__ import annotations

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.analysis import (
    chirality_correlation_length,
    commensurate_mesh,
    correlation_length,
    primitive_lattice,
    scalar_chirality,
    triangles,
)
from spinase.analysis.structure_factor import _grid_of, chirality_structure_factor, intensity, structure_factor


@pytest.mark.parametrize("staggered", [False, True])
@pytest.mark.parametrize(("angle", "turns"), [(0.5, 1), (0.4, 2)])
def test_a_conical_spiral_has_the_length_of_its_satellites(staggered: bool, angle: float, turns: int) -> None:
    atoms = SpinAtoms.lattice("square", (8, 6), texture="ferro")
    wave = 2 * np.pi * turns / 8
    phase = wave * atoms.positions[:, 0]
    cone = np.full(len(atoms), np.cos(angle))
    spins = np.stack([np.sin(angle) * np.cos(phase), np.sin(angle) * np.sin(phase), cone], axis=1)
    sign = np.where(atoms.positions[:, :2].round().sum(axis=1) % 2 == 0, 1.0, -1.0)
    atoms.spins = spins * sign[:, None] if staggered else spins
    # weight cos^2 at the peak (0 or the zone corner) and sin^2 at the distance `wave` from it
    assert 1 / correlation_length(atoms) == pytest.approx(wave * np.sin(angle) ** 2, rel=1e-9)


def test_the_three_arms_of_tetrahedral_order_are_one_peak() -> None:
    atoms = SpinAtoms.lattice("triangular", (8, 8), texture="tetrahedral")
    assert correlation_length(atoms) == np.inf
    assert chirality_correlation_length(atoms) == np.inf


def test_chirality_length_of_two_domains_by_a_direct_sum() -> None:
    atoms = SpinAtoms.lattice("triangular", (12, 6), texture="tetrahedral")
    domain = np.arange(len(atoms)) >= len(atoms) // 2
    atoms.spins = np.where(domain[:, None], -atoms.spins, atoms.spins)
    chirality = scalar_chirality(atoms)
    assert abs(chirality.mean()) < 0.2 * np.abs(chirality).mean(), "the domains nearly cancel"
    waves = chirality_structure_factor(atoms).wavevectors
    assert len(waves) == len(atoms), "one Brillouin zone"
    centres = triangles(atoms).centres
    top = bottom = 0.0
    for wave in waves:
        amplitude = sum(chi * np.exp(-1j * wave @ centre) for chi, centre in zip(chirality, centres, strict=True))
        top += np.linalg.norm(wave) * abs(amplitude) ** 2
        bottom += abs(amplitude) ** 2
    assert chirality_correlation_length(atoms) == pytest.approx(bottom / top)


@pytest.mark.parametrize(
    ("lattice", "size"),
    [("triangular", (6, 4)), ("kagome", (3, 4)), ("honeycomb", (4, 3)), ("fcc", (2, 3, 2)), ("chain", (7,))],
)
def test_sites_on_a_grid_are_summed_as_by_hand(lattice: str, size: tuple[int, ...]) -> None:
    """Fast Fourier transforms against the sum over sites; sites beside the grid take the other way, with the same answer."""
    atoms = SpinAtoms.lattice(lattice, size, units="reduced", texture="random", rng=3)
    atoms.positions += [0.3, -0.7, 0.2]  # anywhere
    mesh = commensurate_mesh(primitive_lattice(atoms), 9.0)
    assert _grid_of(atoms.positions @ mesh.reciprocal.T / (2.0 * np.pi)) is not None
    by_hand = structure_factor(atoms, mesh.wavevectors).values
    np.testing.assert_allclose(structure_factor(atoms, mesh).values, by_hand, atol=1e-11 * by_hand.max())
    atoms.positions[1, 0] += 1e-3
    moved = intensity(atoms.positions, atoms.spins, mesh)
    np.testing.assert_allclose(moved, intensity(atoms.positions, atoms.spins, mesh.wavevectors), atol=1e-11 * by_hand.max())
    assert np.abs(moved - by_hand).max() > 1e-5 * by_hand.max()
