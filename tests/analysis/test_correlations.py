"""Spin correlations: sum rules, known orders, an independent Fourier transform."""

from __future__ import annotations

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.analysis import (
    configurational_spin_temperature,
    correlation_length,
    magnetization,
    spin_correlation,
    spin_temperature,
    structure_factor,
    torque_norms,
)
from spinase.calculators import HeisenbergCalculator, UniaxialAnisotropyCalculator
from spinase.dynamics import LLGDynamics
from spinase.errors import InvalidGeometryError, InvalidMomentsError


def test_structure_factor_is_the_fast_fourier_transform_on_a_lattice() -> None:
    atoms = SpinAtoms.lattice("square", (6, 5), rng=1)
    n = np.stack(np.meshgrid(np.arange(6), np.arange(5), indexing="ij"), axis=-1).reshape(-1, 2)
    waves = np.concatenate([2 * np.pi * n / [6, 5], np.zeros((30, 1))], axis=1)
    transform = np.fft.fft2(atoms.spins.reshape(6, 5, 3), axes=(0, 1))
    expected = np.sum(np.abs(transform) ** 2, axis=-1).ravel() / 30
    values = structure_factor(atoms, waves).values
    np.testing.assert_allclose(values, expected, atol=1e-10)
    assert values.sum() == pytest.approx(30.0), "sum over one zone is sum |s|^2 = N"


@pytest.mark.parametrize(
    ("texture", "peaks", "height"), [("ferro", 1, 1.0), ("tetrahedral", 3, 1 / 3), ("120-degree", 2, 0.5)]
)
def test_orders_have_their_peaks(texture: str, peaks: int, height: float) -> None:
    atoms = SpinAtoms.lattice("triangular", (6, 6), texture=texture)
    reciprocal = 2 * np.pi * np.linalg.inv(atoms.cell[:2, :2]).T
    n = np.stack(np.meshgrid(np.arange(6), np.arange(6), indexing="ij"), axis=-1).reshape(-1, 2)
    waves = np.concatenate([n @ reciprocal, np.zeros((36, 1))], axis=1)
    values = structure_factor(atoms, waves).values
    assert np.count_nonzero(values > 1e-9) == peaks
    np.testing.assert_allclose(values[values > 1e-9], 36 * height)


def test_default_mesh_fits_the_cell_and_contains_the_zone_corner() -> None:
    atoms = SpinAtoms.lattice("triangular", (6, 6), texture="120-degree")
    waves = structure_factor(atoms).wavevectors
    np.testing.assert_allclose(np.exp(1j * waves @ np.asarray(atoms.cell)[:2].T), 1.0, atol=1e-9)
    best = structure_factor(atoms).wavevectors[np.argmax(structure_factor(atoms).values)]
    assert np.linalg.norm(best) == pytest.approx(4 * np.pi / 3)
    open_box = SpinAtoms("Fe2", positions=[[0, 0, 0], [1, 0, 0]], spins=[0, 0, 1])
    with pytest.raises(InvalidGeometryError, match="wave vectors need a cell"):
        structure_factor(open_box)
    with pytest.raises(InvalidGeometryError, match=r"of shape \(n, 3\)"):
        structure_factor(atoms, [[0.0, 1.0]])


def test_correlations_of_known_orders() -> None:
    neel = SpinAtoms.lattice("square", (6, 6), texture="spiral", wavevector=(3, 3, 0))
    found = spin_correlation(neel, r_max=2.3)
    np.testing.assert_allclose(found.distances, [1, np.sqrt(2), 2, np.sqrt(5)], atol=1e-5)
    np.testing.assert_allclose(found.values, [-1, 1, 1, -1], atol=1e-12)
    np.testing.assert_array_equal(found.counts, [72, 72, 72, 144])
    tiny = SpinAtoms.lattice("square", (6, 6), 0.01, texture="spiral", wavevector=(3, 3, 0))  # shells know no unit of length
    np.testing.assert_allclose(spin_correlation(tiny, r_max=0.023).distances, 0.01 * found.distances, rtol=1e-9)
    by_hand = spin_correlation(neel, bins=[0.5, 1.2, 2.1])
    np.testing.assert_allclose(by_hand.distances, [0.85, 1.65])
    np.testing.assert_allclose(by_hand.values, [-1, 1], atol=1e-12)
    np.testing.assert_array_equal(by_hand.counts, [72, 144])
    for edges in ([1.0], [1.0, 1.0], [-0.1, 1.0], [0.5, np.inf]):
        with pytest.raises(InvalidGeometryError, match="bin edges must be at least two increasing distances"):
            spin_correlation(neel, bins=edges)
    np.testing.assert_allclose(spin_correlation(neel, 2.0, 4).distances, [0.25, 0.75, 1.25, 1.75])
    order = SpinAtoms.lattice("triangular", (6, 6), texture="tetrahedral")
    assert spin_correlation(order, r_max=1.1).values[0] == pytest.approx(-1 / 3)
    disordered = SpinAtoms.disordered(30, rng=2)
    binned = spin_correlation(disordered, bins=5)
    assert len(binned.values) == 5
    assert binned.counts[0] == 0, "no pair below the minimum distance"
    disordered.moments = disordered.moments * (np.arange(30) < 15)[:, None]
    assert spin_correlation(disordered, bins=5).counts.sum() < binned.counts.sum()


def test_correlation_length_of_order_and_of_a_narrow_peak() -> None:
    assert correlation_length(SpinAtoms.lattice("square", (8, 8))) == np.inf
    wide = SpinAtoms.lattice("square", (24, 24), rng=1)
    smooth = SpinAtoms.lattice("square", (24, 24))
    smooth.spins = smooth.spins + 0.5 * wide.spins
    assert correlation_length(smooth) > 1.5 * correlation_length(wide)


def test_magnetization_torques_and_temperature() -> None:
    atoms = SpinAtoms.lattice("square", (4, 4), moment=2.0)
    np.testing.assert_allclose(magnetization(atoms), [0, 0, 2.0])
    assert torque_norms([[3.0, 0, 4.0], [0, 0, 0]]) == (pytest.approx(5 / np.sqrt(2)), 5.0)
    # independent spins in a field at temperature T: <|m x B|^2> = 2 kT <m.B>
    rng, x = np.random.default_rng(0), 3.0
    cosine = 1 + np.log(rng.uniform(np.exp(-2 * x), 1.0, size=400_000)) / x
    sine = np.sqrt(1 - cosine**2)
    moments = np.stack([sine, 0 * sine, cosine], axis=1)
    assert spin_temperature(moments, np.tile([0, 0, x], (len(moments), 1))) == pytest.approx(1.0, rel=0.01)


def test_the_configurational_temperature_is_that_of_any_energy() -> None:
    """Spins of a pair model and of an anisotropy (quadratic in each spin) in a bath; only the new one knows the second."""
    rng = np.random.default_rng(1)
    atoms = SpinAtoms.lattice("square", (12, 12), rng=1, units="reduced")
    cases = (HeisenbergCalculator(shells=[1.0]), 0.4, True), (UniaxialAnisotropyCalculator(1.0), 0.3, False)
    for calc, expected, pair in cases:
        atoms.calc = calc
        dynamics = LLGDynamics(atoms, 0.05, damping=1.0, kT=expected, rng=rng)
        dynamics.run(300)
        fields, torque, curvature, plain = calc.field_function(atoms), 0.0, 0.0, []
        for _ in range(40):
            dynamics.run(10)
            here = float(np.sum(np.cross(atoms.moments, fields(atoms.moments)) ** 2))
            torque += here
            curvature += here / configurational_spin_temperature(fields, atoms.moments, rng)
            plain.append(spin_temperature(atoms.moments, fields(atoms.moments)))
        assert torque / curvature == pytest.approx(expected, rel=0.06)
        assert (np.mean(plain) == pytest.approx(expected, rel=0.06)) == pair
    with pytest.raises(InvalidMomentsError, match="curves downwards"):
        configurational_spin_temperature(lambda m: np.tile([0.0, 0.0, -1.0], (len(m), 1)), [[0.0, 0.0, 1.0]], rng)


def test_bins_whose_edges_are_distances_of_the_lattice_do_not_divide_shells() -> None:
    """Distances 1, sqrt 2, 2, ... of turned sites miss the edges 1 and 2 by the last bits."""
    atoms = SpinAtoms.lattice("square", (8, 8), units="reduced", rng=2)
    expected = spin_correlation(atoms, 3.0, 6)
    assert expected.counts.tolist() == [0, 0, 256, 0, 384, 128], "1 and sqrt 2; 2 and sqrt 5; sqrt 8"
    for angle in (0.3, 1.0, 2.2, 4.1):
        turned = atoms.copy()
        turned.rotate(np.degrees(angle), "z", rotate_cell=True)
        turned.spins = atoms.spins
        found = spin_correlation(turned, 3.0, 6)
        np.testing.assert_array_equal(found.counts, expected.counts)
        np.testing.assert_allclose(found.values, expected.values, atol=1e-12)


def test_correlations_reach_half_the_shortest_period_of_a_slanted_cell() -> None:
    atoms = SpinAtoms.lattice("square", (20, 6), rng=1)
    slanted = atoms.copy()
    slanted.set_cell(np.array([[1, 3, 0], [0, 1, 0], [0, 0, 1]]) @ atoms.cell.array, scale_atoms=False)
    slanted.set_cell(np.array([[1, 0, 0], [2, 1, 0], [0, 0, 1]]) @ slanted.cell.array, scale_atoms=False)
    found, expected = spin_correlation(slanted), spin_correlation(atoms)
    np.testing.assert_allclose(found.distances, expected.distances, atol=1e-12)
    np.testing.assert_allclose(found.values, expected.values, atol=1e-12)
    assert expected.distances[-1] == pytest.approx(3.0)


@pytest.mark.parametrize(("name", "size"), [("chain", (30,)), ("square", (9, 7))])
def test_correlations_reach_as_far_in_a_magnet_that_is_turned(name: str, size: tuple[int, ...]) -> None:
    """Which directions are open is a matter of the cell, not of x, y and z."""
    atoms = SpinAtoms.lattice(name, size, rng=1)
    turned = atoms.copy()
    turned.rotate(57.0, (1, 2, 3), rotate_cell=True)
    found, expected = spin_correlation(turned), spin_correlation(atoms)
    np.testing.assert_allclose(found.distances, expected.distances, atol=1e-9)
    np.testing.assert_allclose(found.values, expected.values, atol=1e-9)
