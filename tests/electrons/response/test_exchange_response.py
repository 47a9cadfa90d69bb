"""Second derivatives of the free energy by spins: finite differences, closed forms, symmetries, and two solvers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.electrons import FixedChemicalPotential, FixedFilling, Occupation, SDHamiltonian, ShellHopping
from spinase.electrons.hamiltonian import FrozenHamiltonian
from spinase.electrons.kmesh import KMesh
from spinase.electrons.response import RationalSpinResponse, SitePairs, dense_spin_response
from spinase.electrons.response.exchange_dense import divided_differences
from spinase.electrons.solvers.dense import DenseSolver
from spinase.electrons.solvers.rational import RationalSolver
from spinase.errors import ModelError, PatternError
from spinase.spin_algebra import random_rotation
from spinase.typing import FloatArray, IntArray

GAMMA = KMesh.regular((1, 1, 1))
OCCUPATIONS = [FixedChemicalPotential(0.2, -0.3), FixedFilling(0.2, 0.3)]


def all_pairs(sites: int) -> SitePairs:
    """Every site with every one."""
    first, second = np.indices((sites, sites)).reshape(2, -1)
    return SitePairs(first, second, np.zeros((sites * sites, 3), dtype=np.int64))


def metal(zeeman: float = 0.0, flux: float = 0.0) -> tuple[FrozenHamiltonian, FloatArray]:
    """Twelve random spins with two hoppings, disorder, and what is asked for."""
    atoms = SpinAtoms.lattice("square", (4, 3), units="reduced", rng=1)
    onsite = np.random.default_rng(0).normal(scale=0.3, size=len(atoms))
    field = zeeman * np.array([0.1, 0.2, -0.1])
    return SDHamiltonian(ShellHopping([1.0, 0.3]), 1.3, onsite, field, flux).freeze(geometry_of(atoms)), atoms.spins


def chain(sites: int) -> tuple[FrozenHamiltonian, FloatArray]:
    """A ring with hopping 1, and its ferromagnet."""
    atoms = SpinAtoms.lattice("chain", (sites,), units="reduced")
    return SDHamiltonian(ShellHopping([1.0]), 1.0).freeze(geometry_of(atoms)), np.tile([0.0, 0.0, 1.0], (sites, 1))


def hessian(hamiltonian: FrozenHamiltonian, spins: FloatArray, occupation: Occupation) -> FloatArray:
    """d2F/ds_i^a ds_j^b from eigenstates, (N, N, 3, 3)."""
    pairs = all_pairs(len(spins))
    found = dense_spin_response(hamiltonian.operator(spins), occupation, GAMMA, pairs).curvatures()
    scale = hamiltonian.coupling[pairs.first] * hamiltonian.coupling[pairs.second]
    return (scale[:, None, None] * found).reshape(len(spins), len(spins), 3, 3)


@pytest.mark.parametrize("occupation", OCCUPATIONS)
def test_they_are_differences_of_fields(occupation: Occupation) -> None:
    """All components and pairs, with flux and Zeeman field, the site itself and longitudinal parts included."""
    hamiltonian, spins = metal(zeeman=1.0, flux=1.0)
    solver, step = DenseSolver(occupation), 1e-4
    expected = np.empty((12, 12, 3, 3))
    for j in range(12):
        for b in range(3):
            shift = np.zeros((12, 3))
            shift[j, b] = step
            above, below = (
                hamiltonian.spin_gradient(solver.solve(hamiltonian.operator(spins + sign * shift), bonds=False).density)
                for sign in (1.0, -1.0)
            )
            expected[:, j, :, b] = -(above - below) / (2.0 * step)
    found = hessian(hamiltonian, spins, occupation)
    np.testing.assert_allclose(found, expected, atol=2e-8)
    assert np.abs(found).max() > 0.5
    np.testing.assert_allclose(found, found.transpose(1, 0, 3, 2), atol=1e-12)  # J_ij^ab = J_ji^ba


@pytest.mark.parametrize("occupation", OCCUPATIONS)
def test_the_rational_solver_has_the_same(occupation: Occupation) -> None:
    hamiltonian, spins = metal(zeeman=1.0, flux=1.0)
    operator, pairs = hamiltonian.operator(spins), all_pairs(12)
    plan = RationalSolver(occupation, 1e-10).plan(hamiltonian.pattern)
    mu = plan.solve(operator).chemical_potential
    found = RationalSpinResponse(plan, pairs).at(operator, mu)
    expected = dense_spin_response(operator, occupation, GAMMA, pairs)
    np.testing.assert_allclose(found.curvatures(), expected.curvatures(), atol=1e-8)
    np.testing.assert_allclose(found.isotropic(), expected.isotropic(), atol=1e-8)


def test_single_precision_is_near() -> None:
    """Also where the number of electrons is differenced."""
    hamiltonian, spins = metal()
    operator, pairs = hamiltonian.operator(spins), all_pairs(12)
    plan = RationalSolver(OCCUPATIONS[1], 1e-4, "complex64").plan(hamiltonian.pattern)
    found = RationalSpinResponse(plan, pairs).at(operator, plan.solve(operator).chemical_potential)
    expected = dense_spin_response(operator, OCCUPATIONS[1], GAMMA, pairs)
    np.testing.assert_allclose(found.curvatures(), expected.curvatures(), atol=2e-3)


@pytest.mark.parametrize("occupation", OCCUPATIONS)
def test_turning_all_spins_turns_the_fields(occupation: Occupation) -> None:
    """Goldstone: sum_j H_ij (n x s_j) = n x dF/ds_i; flux is no obstacle."""
    hamiltonian, spins = metal(flux=1.0)
    fields = hamiltonian.spin_gradient(DenseSolver(occupation).solve(hamiltonian.operator(spins)).density)
    matrix = hessian(hamiltonian, spins, occupation)
    for axis in np.eye(3):
        turned = np.einsum("ijab,jb->ia", matrix, np.cross(axis, spins))
        np.testing.assert_allclose(turned, -np.cross(axis, fields), atol=1e-11)


def test_rotated_and_reversed_spins_have_rotated_and_the_same_tensors() -> None:
    hamiltonian, spins = metal()
    rotation = random_rotation(np.random.default_rng(2))
    here, there, back = (hessian(hamiltonian, one, OCCUPATIONS[1]) for one in (spins, spins @ rotation.T, -spins))
    np.testing.assert_allclose(there, rotation @ here @ rotation.T, atol=1e-11)
    np.testing.assert_allclose(back, here, atol=1e-11)


def test_without_moments_it_is_the_lindhard_function() -> None:
    """RKKY: d2Omega/db db = 2/N^2 sum_kk' (f_k - f_k')/(e_k - e_k') cos((k - k') R), at weak coupling."""
    sites, kT, mu = 14, 0.3, -0.4
    hamiltonian, spins = chain(sites)
    pairs = SitePairs(np.zeros(sites, dtype=np.int64), np.arange(sites), np.zeros((sites, 3), dtype=np.int64))
    found = dense_spin_response(hamiltonian.operator(0.0 * spins), FixedChemicalPotential(kT, mu), GAMMA, pairs)
    k = 2.0 * np.pi * np.arange(sites) / sites
    band = -2.0 * np.cos(k)
    f = 1.0 / (np.exp((band - mu) / kT) + 1.0)
    gap = band[:, None] - band
    equal = np.abs(gap) < 1e-9
    lindhard = np.where(equal, -(f * (1 - f))[:, None] / kT, (f[:, None] - f) / np.where(equal, 1.0, gap))
    expected = [2.0 / sites**2 * np.sum(lindhard * np.cos((k[:, None] - k) * r)) for r in range(sites)]
    np.testing.assert_allclose(found.isotropic(), expected, atol=1e-13)
    np.testing.assert_allclose(found.curvatures(), np.array(expected)[:, None, None] * np.eye(3), atol=1e-13)
    assert min(expected) < 0.0 < max(expected)


def test_double_exchange_of_two_sites() -> None:
    """One electron, strong coupling: E = -J - t cos(angle/2), so the exchange between parallel spins is t/4."""
    atoms = SpinAtoms.lattice("chain", (2,), units="reduced")
    atoms.pbc = False
    spins, coupling = np.tile([0.0, 0.0, 1.0], (2, 1)), 4000.0
    hamiltonian = SDHamiltonian(ShellHopping([1.0]), coupling).freeze(geometry_of(atoms))
    response = dense_spin_response(hamiltonian.operator(spins), FixedFilling(0.0, 0.25), GAMMA, all_pairs(2))
    assert -(coupling**2) * response.isotropic()[1] == pytest.approx(0.25, rel=1e-3)


def test_of_a_ferromagnet_the_isotropic_part_is_transverse_and_stiffening_longitudinal() -> None:
    hamiltonian, spins = chain(8)
    operator, pairs = hamiltonian.operator(spins), all_pairs(8)
    filled = dense_spin_response(operator, FixedFilling(0.1, 0.3), GAMMA, pairs)
    mu = DenseSolver(FixedFilling(0.1, 0.3)).solve(operator).chemical_potential
    open_ = dense_spin_response(operator, FixedChemicalPotential(0.1, mu), GAMMA, pairs)
    for response in (filled, open_):
        curvatures = response.curvatures()
        np.testing.assert_allclose(curvatures[:, 0, 0], response.isotropic(), atol=1e-13)
        np.testing.assert_allclose(curvatures[:, 1, 1], response.isotropic(), atol=1e-13)
    difference = filled.curvatures() - open_.curvatures()
    assert difference[:, 2, 2].min() > 1e-3
    difference[:, 2, 2] = 0.0
    np.testing.assert_allclose(difference, 0.0, atol=1e-13)


def test_an_insulator_has_derivatives_at_zero_temperature_a_metal_has_none() -> None:
    atoms = SpinAtoms.lattice("chain", (6,), units="reduced")
    spins = np.array([[0.0, 0.0, (-1.0) ** i] for i in range(6)])
    hamiltonian = SDHamiltonian(ShellHopping([1.0]), 1.5).freeze(geometry_of(atoms))
    operator, pairs = hamiltonian.operator(spins), all_pairs(6)
    cold, warm = (dense_spin_response(operator, FixedFilling(kT, 0.5), GAMMA, pairs) for kT in (0.0, 0.02))
    np.testing.assert_allclose(cold.curvatures(), warm.curvatures(), atol=1e-9)
    assert -cold.isotropic()[1] < -0.01  # antiferromagnetic
    with pytest.raises(ModelError, match=r"at the Fermi level .* use kT > 0, or a filling with a gap"):
        dense_spin_response(operator, FixedFilling(0.0, 0.4), GAMMA, pairs)


def test_slopes_of_the_fermi_function_join_its_differences() -> None:
    """Near and equal levels by l'Hospital, far and very far ones by the difference."""
    levels = np.array([0.1, 0.1, 0.1 + 1e-9, 0.15, 0.199, 0.2, 0.201, 3.0, 90.0, -90.0])
    found = divided_differences(levels, levels, 0.12, 0.1)
    f = 0.5 - 0.5 * np.tanh((levels - 0.12) / 0.2)
    gap = levels[:, None] - levels
    far = np.abs(gap) > 1e-3
    np.testing.assert_allclose(found[far], ((f[:, None] - f)[far] / gap[far]), atol=1e-12)
    np.testing.assert_allclose(found[:3, :3], -(f[0] * (1.0 - f[0])) / 0.1, rtol=1e-7)
    cold = divided_differences(levels[:2], levels[-2:], 0.12, 0.0)
    np.testing.assert_allclose(cold, [[-1.0 / 89.9, 0.0], [-1.0 / 89.9, 0.0]])


def test_what_does_not_fit_is_refused() -> None:
    hamiltonian, spins = metal()
    plan = RationalSolver(OCCUPATIONS[0]).plan(hamiltonian.pattern)
    sites: IntArray = np.array([0, 12])
    with pytest.raises(ModelError, match="a pair has site 12, there are sites 0 to 11"):
        RationalSpinResponse(plan, SitePairs(sites, sites[::-1], np.zeros((2, 3), dtype=np.int64)))
    response = RationalSpinResponse(plan, all_pairs(12))
    operator = hamiltonian.operator(spins)
    other = replace(operator, bonds=operator.bonds.select(np.arange(5)), hopping=operator.hopping[:5])
    with pytest.raises(PatternError, match="a plan for 12 site"):
        response.at(other, 0.0)
