"""Dense solver: against the textbook construction, closed forms, and itself in smaller and larger forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import expm
from systems.electrons import dense_matrix

from spinase import SpinAtoms
from spinase.atoms import geometry_of, get_spins
from spinase.electrons import ExponentialHopping, FixedChemicalPotential, FixedFilling, SDHamiltonian, ShellHopping
from spinase.electrons.flux import peierls_phases
from spinase.electrons.operator import SpinOperator
from spinase.electrons.solvers.dense import DenseSolver, _spin_frame
from spinase.errors import ModelError
from spinase.geometry import find_bonds
from spinase.spin_algebra import PAULI, random_rotation

MU, KT = -0.7, 0.6


def make_operator(texture: str, flux: float = 0.0, zeeman: tuple[float, ...] = (0, 0, 0)) -> SpinOperator:
    atoms = SpinAtoms.lattice("triangular", (6, 3), texture=texture, rng=5)
    hopping = ExponentialHopping(1.0, 2.0, 1.0, 1.9)
    onsite = np.linspace(-0.3, 0.4, len(atoms))
    hamiltonian = SDHamiltonian(hopping, 1.7, onsite, np.array(zeeman, dtype=float), flux)
    return hamiltonian.freeze(geometry_of(atoms)).operator(get_spins(atoms))


@pytest.mark.parametrize("texture", ["random", "120-degree", "ferro"])
@pytest.mark.parametrize("flux", [0.0, 1.0])
def test_state_equals_the_matrix_functions_written_as_on_paper(texture: str, flux: float) -> None:
    operator = make_operator(texture, flux)
    state = DenseSolver(FixedChemicalPotential(KT, MU)).solve(operator)
    matrix = dense_matrix(operator)
    identity = np.eye(len(matrix))
    rho = np.linalg.inv(expm((matrix - MU * identity) / KT) + identity)
    for i in range(len(operator)):
        block = rho[2 * i : 2 * i + 2, 2 * i : 2 * i + 2]
        assert state.density.charge[i] == pytest.approx(np.trace(block).real, abs=1e-11)
        np.testing.assert_allclose(state.density.spin[i], np.einsum("aij,ji->a", PAULI, block).real, atol=1e-11)
    expected = []
    for i, j in zip(operator.bonds.first, operator.bonds.second, strict=True):
        expected.append(rho[2 * i, 2 * j] + rho[2 * i + 1, 2 * j + 1])
    np.testing.assert_allclose(state.density.bond, expected, atol=1e-11)
    assert state.energy == pytest.approx(np.trace(rho @ matrix).real, abs=1e-10)
    omega = -KT * np.linalg.slogdet(identity + expm((MU * identity - matrix) / KT))[1]
    assert state.free_energy == pytest.approx(omega, abs=1e-10)
    assert state.density.band_energy(operator) == pytest.approx(np.trace(rho @ matrix).real, abs=1e-10)


@pytest.mark.parametrize(("texture", "rank"), [("ferro", 1), ("120-degree", 2), ("random", 3)])
def test_smaller_forms_are_found_and_give_the_same_density(texture: str, rank: int) -> None:
    operator = make_operator(texture)
    turn = random_rotation(np.random.default_rng(2))
    turned = SpinOperator(operator.bonds, operator.hopping, operator.onsite, operator.exchange @ turn.T)
    assert _spin_frame(operator).rank == _spin_frame(turned).rank == rank
    solver = DenseSolver(FixedFilling(KT, 0.3))
    plain, rotated = solver.solve(operator), solver.solve(turned)
    assert plain.free_energy == pytest.approx(rotated.free_energy, abs=1e-11)
    np.testing.assert_allclose(plain.density.spin @ turn.T, rotated.density.spin, atol=1e-12)
    # a complex hopping phase that a gauge removes forces the general form: same answer
    general = SpinOperator(operator.bonds, operator.hopping.astype(complex), operator.onsite, operator.exchange)
    forced = solver.solve(general)
    assert forced.free_energy == pytest.approx(plain.free_energy, abs=1e-11)
    np.testing.assert_allclose(forced.density.spin, plain.density.spin, atol=1e-11)
    np.testing.assert_allclose(forced.density.bond, plain.density.bond, atol=1e-11)


def test_almost_coplanar_spins_are_not_flattened() -> None:
    operator = make_operator("120-degree")
    tilted = operator.exchange.copy()
    tilted[0, 2] += 1e-9
    assert _spin_frame(SpinOperator(operator.bonds, operator.hopping, operator.onsite, tilted)).rank == 3


@pytest.mark.parametrize("texture", ["ferro", "120-degree", "tetrahedral"])
def test_k_mesh_equals_the_repeated_cell(texture: str) -> None:
    size = {"ferro": (1, 1), "120-degree": (3, 3), "tetrahedral": (2, 2)}[texture]
    repeat = {"ferro": (6, 5), "120-degree": (3, 2), "tetrahedral": (3, 4)}[texture]
    hamiltonian = SDHamiltonian(ShellHopping([1.0, 0.3]), 2.0)
    results = []
    for factor, kpts in (((1, 1), repeat), (repeat, (1, 1))):
        atoms = SpinAtoms.lattice("triangular", (size[0] * factor[0], size[1] * factor[1]), texture=texture)
        solver = DenseSolver(FixedFilling(0.1, 0.3), (*kpts, 1))
        frozen = hamiltonian.freeze(geometry_of(atoms))
        state = solver.solve(frozen.operator(get_spins(atoms)))
        results.append((state.free_energy / len(atoms), state.energy / len(atoms), state.density.spin[0]))
        assert state.density.charge.sum() == pytest.approx(state.electrons, rel=1e-12)
    assert results[0][0] == pytest.approx(results[1][0], abs=1e-12)
    assert results[0][1] == pytest.approx(results[1][1], abs=1e-12)
    np.testing.assert_allclose(results[0][2], results[1][2], atol=1e-12)


def test_free_electrons_on_a_chain_in_closed_form() -> None:
    atoms = SpinAtoms.lattice("chain", (1,))
    operator = SDHamiltonian(ShellHopping([1.0]), 0.8).freeze(geometry_of(atoms)).operator(get_spins(atoms))
    state = DenseSolver(FixedChemicalPotential(0.2, -0.5), (24, 1, 1)).solve(operator)
    band = -2.0 * np.cos(2 * np.pi * np.arange(24) / 24)
    levels = np.concatenate([band - 0.8, band + 0.8])
    assert state.free_energy == pytest.approx(-0.2 * np.log1p(np.exp(-(levels + 0.5) / 0.2)).sum() / 24, rel=1e-12)
    assert state.density.spin[0, 2] > 0.0, "positive J must align the electrons with the moment"


def test_single_precision_is_close_and_reductions_keep_it() -> None:
    for texture in ("random", "120-degree", "ferro"):
        operator = make_operator(texture)
        exact = DenseSolver(FixedFilling(KT, 0.3)).solve(operator)
        single = DenseSolver(FixedFilling(KT, 0.3), dtype="complex64").solve(operator)
        np.testing.assert_allclose(single.density.spin, exact.density.spin, atol=5e-6)
        assert single.free_energy == pytest.approx(exact.free_energy, abs=1e-4)


def test_eigenvectors_may_be_computed_twice_to_save_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    atoms = SpinAtoms.lattice("triangular", (2, 2), texture="tetrahedral")
    operator = SDHamiltonian(ShellHopping([1.0]), 2.0).freeze(geometry_of(atoms)).operator(get_spins(atoms))
    solver = DenseSolver(FixedFilling(0.1, 0.3), (5, 4, 1))
    kept = solver.solve(operator)
    monkeypatch.setattr("spinase.electrons.solvers.dense._KEEP_BYTES", 0)
    monkeypatch.setattr("spinase.electrons.solvers.dense._BATCH_BYTES", 3000)
    again = solver.solve(operator)
    np.testing.assert_allclose(again.density.bond, kept.density.bond, atol=1e-13)
    np.testing.assert_allclose(again.density.spin, kept.density.spin, atol=1e-13)


@pytest.mark.parametrize("periodic", [True, (True, False), False])
def test_every_plaquette_encloses_its_share_of_the_flux(periodic: bool | tuple[bool, ...]) -> None:
    flux = 3.0 if periodic is True else 2.37
    atoms = SpinAtoms.lattice("square", (5, 4), periodic=periodic)
    atoms.positions += [0.3, -7.1, 0.0]
    atoms.positions[3] += atoms.cell[0] if periodic else 0.0
    geometry = geometry_of(atoms)
    bonds = find_bonds(geometry, 1.1)
    phase, _, _ = peierls_phases(geometry, bonds, flux)
    link = {}
    for b in range(len(bonds)):
        step = np.round(bonds.vectors[b]).astype(int)
        link[(bonds.first[b], step[0], step[1])] = (bonds.second[b], phase[b])
        link[(bonds.second[b], -step[0], -step[1])] = (bonds.first[b], -phase[b])
    loops = 0
    for site in range(len(atoms)):
        total, here = 0.0, site
        for move in ((1, 0), (0, 1), (-1, 0), (0, -1)):
            if (here, *move) not in link:
                break
            here, turn = link[(here, *move)]
            total += turn
        else:
            loops += 1
            assert here == site
            assert np.exp(1j * total) == pytest.approx(np.exp(2j * np.pi * flux / 20), abs=1e-12)
    assert loops == {True: 20, (True, False): 15, False: 12}[periodic]


def test_hofstadter_spectrum_at_one_third_flux() -> None:
    atoms = SpinAtoms.lattice("square", (3, 3))
    operator = SDHamiltonian(ShellHopping([1.0]), 0.0, flux=3.0).freeze(geometry_of(atoms)).operator(np.zeros((9, 3)))
    levels = np.unique(np.round(DenseSolver(FixedFilling(0.1, 0.5)).solve(operator).levels, 9))
    # Harper's equation at flux 1/3: E^3 - 6 E = -2 (cos 3kx + cos 3ky) for H = -t, and the 3x3 torus has cos = 1
    np.testing.assert_allclose(levels, np.sort(np.roots([1, 0, -6, 4]).real), atol=1e-8)


def test_broken_flux_is_refused() -> None:
    atoms = SpinAtoms.lattice("square", (4, 4))
    with pytest.raises(ModelError, match=r"flux = 0\.5 quanta .* must be a whole number"):
        SDHamiltonian(ShellHopping([1.0]), 1.0, flux=0.5).freeze(geometry_of(atoms))


@pytest.mark.parametrize("kpts", [(0, 1, 1), (1, 1), (1.5, 1, 1)])
def test_bad_meshes_are_refused(kpts: tuple[int, int, int]) -> None:
    with pytest.raises(ModelError, match="kpts must be three positive integers"):
        DenseSolver(FixedFilling(0.1, 0.5), kpts)


def test_bad_precision_is_refused() -> None:
    with pytest.raises(ModelError, match="dtype must be"):
        DenseSolver(FixedFilling(0.1, 0.5), dtype="float16")  # type: ignore[arg-type]
