"""Conductivities: quantised Hall response, its sign in a field and by motion in time, closed forms, both methods."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from systems.electrons import dense_matrix

from spinase import SpinAtoms
from spinase.analysis import exact_conductivity, kpm_conductivity, local_density_of_states
from spinase.atoms import geometry_of, get_spins, set_spins
from spinase.calculators import EDCalculator
from spinase.electrons import SDModel, ShellHopping
from spinase.electrons.chebyshev.series import jackson
from spinase.electrons.operator import SpinOperator
from spinase.electrons.response.chebyshev import _moments, _starts, _symmetric
from spinase.electrons.response.velocity import hamiltonian_matrix, velocity_matrices
from spinase.errors import ModelError

CHIRAL = SDModel(ShellHopping([1.0]), 3.0, filling=0.25)
GAP = -3.7  # within the gap at filling 1/4
METAL = SDModel(ShellHopping([1.0, 0.3]), 1.0, chemical_potential=-0.6, kT=0.2)


def tetrahedral(cells: int = 1) -> SpinAtoms:
    return SpinAtoms.lattice("triangular", (2 * cells, 2 * cells), units="reduced", texture="tetrahedral")


def metal() -> SpinAtoms:
    """Random spins: no symmetry at all."""
    return SpinAtoms.lattice("square", (4, 3), units="reduced", rng=3)


# -- the Hall response ------------------------------------------------------------------------------------------------


def test_a_chiral_insulator_is_quantised_and_its_sign_is_that_of_the_chirality() -> None:
    atoms = tetrahedral()
    found = exact_conductivity(atoms, CHIRAL, (16, 16, 1), width=0.02)
    assert found.electrons([GAP])[0] == pytest.approx(2.0), "a quarter of eight states"
    sigma = found.tensor([GAP])[0]
    np.testing.assert_allclose(sigma[:2, :2], [[0.0, -1.0], [1.0, 0.0]], atol=1e-3)
    assert not sigma[2].any(), "nothing flows out of the plane"
    np.testing.assert_allclose(found.tensor([0.0])[0], 0.0, atol=1e-6)  # half filled: no current at all
    set_spins(atoms, -get_spins(atoms))  # time reversal
    reversed_spins = exact_conductivity(atoms, CHIRAL, (16, 16, 1), width=0.02)
    np.testing.assert_allclose(reversed_spins.tensor([GAP])[0], sigma.T, atol=1e-10)


def test_electrons_in_a_magnetic_field_drift_along_e_cross_b() -> None:
    """nu filled Landau levels of both spins: sigma_xy = -2 nu e^2/h in a field along +z (v = E x B / B^2)."""
    atoms = SpinAtoms.lattice("square", (12, 12), units="reduced", texture="ferro")
    for flux in (12.0, -12.0):
        model = SDModel(ShellHopping([1.0]), 0.0, filling=0.5, flux=flux)
        found = exact_conductivity(atoms, model, width=0.02)
        levels = np.unique(np.round(np.linalg.eigvalsh(hamiltonian_matrix(operator_of(atoms, model)).toarray()), 6))
        for filled in (1, 2):
            between = 0.5 * (levels[filled - 1] + levels[filled])
            assert found.electrons([between])[0] == pytest.approx(2 * filled * 12.0), "flux quanta times spins"
            assert found.tensor([between])[0, 0, 1] == pytest.approx(-2.0 * filled * np.sign(flux), abs=0.03)


def operator_of(atoms: SpinAtoms, model: SDModel) -> SpinOperator:
    return model.hamiltonian.freeze(geometry_of(atoms)).operator(get_spins(atoms))


def test_the_current_that_flows_while_a_field_pushes_the_electrons() -> None:
    """hbar dk/dt = -e E: electrons of a chiral insulator, moved in time; their current along x is sigma_xy E_y."""
    atoms, mesh, field, period, steps = tetrahedral(), 6, 0.02, 40.0, 320
    bonds, cell = operator_of(atoms, CHIRAL).bonds, geometry_of(atoms).cell[:2, :2]
    grid = np.stack(np.meshgrid(np.arange(mesh), np.arange(mesh), [0], indexing="ij"), axis=-1).reshape(-1, 3) / mesh
    still = dense_matrix(replace(operator_of(atoms, CHIRAL), hopping=np.zeros(len(bonds))))
    spread = np.zeros((len(bonds), 8, 8))
    for spin in (0, 1):
        spread[np.arange(len(bonds)), 2 * bonds.first + spin, 2 * bonds.second + spin] = 1.0

    def hopping(k: np.ndarray, factor: np.ndarray) -> np.ndarray:
        half = np.einsum("kb,bij->kij", -np.exp(2j * np.pi * k @ bonds.shifts.T) * factor, spread, optimize=True)
        return half + half.conj().transpose(0, 2, 1)

    dt, moved, charge = 2.0 * period / steps, 0.0, 0.0
    states = np.linalg.eigh(still + hopping(grid, 1.0))[1][:, :, :2]
    for step in range(steps):
        ramp = min(1.0, step * dt / period)
        ramp = ramp**2 * (3.0 - 2.0 * ramp)
        moved -= field * ramp * dt
        k = grid + np.append(cell @ [0.0, moved], 0.0) / (2.0 * np.pi)  # in parts of the reciprocal vectors
        values, vectors = np.linalg.eigh(still + hopping(k, 1.0))
        if step >= steps // 2:
            velocity = hopping(k, 1j * bonds.vectors[:, 0])
            charge -= np.einsum("kim,kij,kjm->", states.conj(), velocity, states, optimize=True).real * dt
        states = vectors @ (np.exp(-1j * values * dt)[:, :, None] * (vectors.conj().transpose(0, 2, 1) @ states))
    current = charge / period / len(grid) / abs(np.linalg.det(cell))
    assert current == pytest.approx(-field / (2.0 * np.pi), rel=0.05)  # sigma_xy = -e^2/h


def test_states_move_with_the_slope_of_their_energy() -> None:
    """<n|v|n> = d e_n/dk, which also has the sign that products of two velocities do not show."""
    atoms, step = metal(), 1e-5
    operator, cell = operator_of(atoms, METAL), geometry_of(atoms).cell
    k = np.array([0.13, 0.21, 0.0])
    vectors = np.linalg.eigh(hamiltonian_matrix(operator, k).toarray())[1]
    for axis, velocity in zip((0, 1), velocity_matrices(operator, [0, 1], k), strict=True):
        along = cell @ np.eye(3)[axis] * step / (2.0 * np.pi)  # in parts of the reciprocal vectors
        after, before = (np.linalg.eigvalsh(hamiltonian_matrix(operator, k + s * along).toarray()) for s in (1, -1))
        found = np.einsum("in,in->n", vectors.conj(), velocity.toarray() @ vectors).real
        np.testing.assert_allclose(found, (after - before) / (2.0 * step), atol=1e-7)


# -- along the field --------------------------------------------------------------------------------------------------


def test_a_clean_chain_is_as_good_as_its_levels_are_wide() -> None:
    r"""sigma = (e^2/h) 2 pi (sqrt(pi)/2w) (2/pi) |v|: Gaussians of width w in place of both deltas, v = 2 t sin k."""
    atoms = SpinAtoms.lattice("chain", (2,), units="reduced", texture="ferro")
    width, levels = 0.1, np.array([-1.2, 0.0, 0.7])
    found = exact_conductivity(atoms, SDModel(ShellHopping([1.0]), 0.0, filling=0.5), (400, 1, 1), width=width)
    speed = np.sqrt(4.0 - levels**2)
    expected = 2.0 * np.pi * np.sqrt(np.pi) / (2.0 * width) * 2.0 * speed / np.pi
    np.testing.assert_allclose(found.tensor(levels)[:, 0, 0], expected, rtol=3e-3)
    np.testing.assert_allclose(found.tensor(levels, 0.05)[:, 0, 0], expected, rtol=1e-2)
    np.testing.assert_allclose(found.electrons([0.0]), 2.0, rtol=1e-2)


def test_a_mesh_is_a_larger_cell() -> None:
    small = exact_conductivity(tetrahedral(), CHIRAL, (2, 2, 1), width=0.3)
    large = exact_conductivity(tetrahedral(2), CHIRAL, width=0.3)
    levels = [-6.0, GAP, 1.0]
    np.testing.assert_allclose(small.tensor(levels, 0.1), large.tensor(levels, 0.1), atol=1e-9)
    np.testing.assert_allclose(4.0 * small.electrons(levels), large.electrons(levels), atol=1e-9)


def test_a_turned_magnet_has_a_turned_conductivity() -> None:
    atoms = metal()
    before = exact_conductivity(atoms, METAL, width=0.3).tensor([-0.6], 0.2)[0]
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    atoms.set_cell(atoms.cell @ turn.T, scale_atoms=False)
    atoms.set_positions(atoms.positions @ turn.T)
    after = exact_conductivity(atoms, METAL, width=0.3).tensor([-0.6], 0.2)[0]
    np.testing.assert_allclose(after, turn @ before @ turn.T, atol=1e-10)
    assert before[0, 1] != pytest.approx(before[1, 0], abs=1e-3), "random spins have a chirality"


# -- by moments -------------------------------------------------------------------------------------------------------


def test_moments_are_those_of_the_matrices() -> None:
    operator, count = operator_of(metal(), METAL), 4
    matrix = hamiltonian_matrix(operator)
    np.testing.assert_allclose(matrix.toarray(), dense_matrix(operator), atol=1e-14)
    scaled = matrix / 10.0
    velocities = velocity_matrices(operator, [0, 1])
    starts = list(_starts(24, None, 0))
    found = sum(_symmetric(_moments(scaled, velocities, start, count)[0]) for start in starts)
    h, v = scaled.toarray(), [one.toarray() for one in velocities]
    polynomials = [np.eye(24), h, 2 * h @ h - np.eye(24), 4 * h @ h @ h - 3 * h]
    for a, b, m, n in ((0, 1, 2, 3), (1, 0, 3, 1), (0, 0, 1, 2), (1, 1, 0, 0)):
        assert found[a, b, m, n] == pytest.approx(np.trace(v[a] @ polynomials[m] @ v[b] @ polynomials[n]), abs=1e-9)


def test_moments_and_eigenstates_agree() -> None:
    """Both parts from the eigenstates of a metal, with the expansion's kernels, at its own energies."""
    atoms, count, nodes = metal(), 48, [60, 95, 120]
    found = kpm_conductivity(atoms, METAL, count, None)
    operator = operator_of(atoms, METAL)
    values, vectors = np.linalg.eigh(dense_matrix(operator))
    x, y = (vectors.conj().T @ v.toarray() @ vectors for v in velocity_matrices(operator, [0, 1]))
    half, number = found.resolution * count / np.pi, np.arange(count)
    centre = 0.5 * (found.surface_energies[0] + found.surface_energies[-1])
    damping = jackson(count - 1) * np.where(number == 0, 1.0, 2.0)
    of_levels = damping[:, None] * np.cos(np.outer(number, np.arccos((values - centre) / half)))

    def green(energies: np.ndarray) -> np.ndarray:
        angle = np.arccos((energies - centre) / half)[:, None]
        return -1j / (half * np.sin(angle)) * (np.exp(-1j * angle * number) @ of_levels)

    energies, step = found.surface_energies[nodes], 1e-5
    near = -green(energies).imag / np.pi
    slope = (green(energies + step) - green(energies - step)) / (2.0 * step)
    scale = 2.0 * np.pi / 12.0  # e^2/h, area
    surface = np.pi * scale * np.einsum("en,nm,em->e", near, (x * x.T).real, near)
    np.testing.assert_allclose(found.tensor(energies)[:, 0, 0], surface, rtol=1e-9)
    sea = scale * np.einsum("en,nm,em->e", slope, x * y.T - y * x.T, near).imag
    steps = 0.5 * (found.sea_energies[np.add(nodes, 1)] - found.sea_energies[np.subtract(nodes, 1)])
    np.testing.assert_allclose(found.sea[0, nodes, 0, 1] / steps, sea, rtol=2e-3, atol=1e-6)
    np.testing.assert_allclose(found.electrons([centre + half])[0], 24.0, rtol=1e-3)


def test_random_vectors_scatter_as_they_say_and_little() -> None:
    atoms, levels = tetrahedral(4), [-5.0, GAP, 1.0]
    exact = kpm_conductivity(atoms, CHIRAL, 48, None).tensor(levels, 0.1)
    found = kpm_conductivity(atoms, CHIRAL, 48, 12, seed=5)
    value, error = found.tensor(levels, 0.1), found.errors(levels, 0.1)
    plane = np.s_[:, :2, :2]
    assert np.all(np.abs(value - exact)[plane] < 5.0 * error[plane] + 1e-6)
    np.testing.assert_allclose(found.hall(levels, 0.1)[:, 2], 0.5 * (value[:, 0, 1] - value[:, 1, 0]), atol=1e-12)
    assert found.hall_errors(levels, 0.1)[1, 2] < 0.1, "pairs of filled states cancel in every vector"
    np.testing.assert_array_equal(kpm_conductivity(atoms, CHIRAL, 48, 12, seed=5).tensor(levels), found.tensor(levels))


def test_more_moments_come_closer_to_the_quantum() -> None:
    """The kernel smears 1/(energy difference)^2, which makes a gapped Hall conductivity too large."""
    atoms = tetrahedral(2)
    dense = exact_conductivity(tetrahedral(), CHIRAL, (2, 2, 1), width=1e-3).tensor([GAP])[0, 0, 1]
    off = [abs(kpm_conductivity(atoms, CHIRAL, count, None).tensor([GAP])[0, 0, 1] - dense) for count in (32, 64, 128)]
    assert off[0] > 2.0 * off[1] > 4.0 * off[2]


# -- density, bad input -----------------------------------------------------------------------------------------------


def test_local_densities_add_up() -> None:
    atoms, energies = metal(), np.linspace(-5.0, 5.0, 7)
    local = local_density_of_states(atoms, METAL, energies, (2, 1, 1), width=0.2)
    assert local.shape == (12, 7)
    total = EDCalculator(METAL, (2, 1, 1)).density_of_states(atoms, energies, width=0.2)
    np.testing.assert_allclose(local.sum(axis=0), total, rtol=1e-9)


def test_bad_input_is_refused() -> None:
    atoms = metal()
    with pytest.raises(ModelError, match="width of the levels must be a positive energy, got 0"):
        exact_conductivity(atoms, METAL, width=0.0)
    with pytest.raises(ModelError, match="samples direction 2, which is not periodic"):
        exact_conductivity(atoms, METAL, (1, 1, 2), width=0.1)
    with pytest.raises(ModelError, match="three positive integers"):
        exact_conductivity(atoms, METAL, (1, 0, 1), width=0.1)
    with pytest.raises(ModelError, match="moments must be a whole number, at least 2, got 1"):
        kpm_conductivity(atoms, METAL, 1)
    with pytest.raises(ModelError, match="vectors must be a whole number, at least 1, got 0"):
        kpm_conductivity(atoms, METAL, 8, 0)
    found = kpm_conductivity(atoms, METAL, 8, 1)
    with pytest.raises(ModelError, match="one sample has no scatter"):
        found.errors([0.0])
    with pytest.raises(ModelError, match="kT must be zero or a positive energy"):
        found.tensor([0.0], -1.0)
    with pytest.raises(ModelError, match="finite energies"):
        found.tensor([np.nan])
    atoms.pbc = False
    with pytest.raises(ModelError, match="needs a periodic direction"):
        kpm_conductivity(atoms, METAL, 8, 1)
