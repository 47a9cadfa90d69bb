"""Hopping that turns spins: closed forms, gauges, symmetries, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from systems.electrons import dense_matrix, make_operator
from systems.toy_solver import ToyPlan, ToySolver

from spinase import SpinAtoms
from spinase.atoms import geometry_of, get_spins, set_moments
from spinase.calculators import EDCalculator, KPMCalculator, RationalCalculator
from spinase.electrons import (
    ChiralHopping,
    DirectionalHopping,
    DresselhausHopping,
    ExponentialHopping,
    FixedChemicalPotential,
    RashbaHopping,
    SDModel,
    ShellHopping,
    SpinOrbitLaw,
    TableHopping,
)
from spinase.electrons.kmesh import KMesh
from spinase.electrons.operator import SparsityPattern, SpinOperator
from spinase.electrons.response.velocity import hamiltonian_matrix, velocity_matrices
from spinase.electrons.solvers.dense import DenseSolver, bloch_states
from spinase.electrons.spin_orbit import joined
from spinase.errors import InvalidGeometryError, ModelError
from spinase.geometry import find_bonds
from spinase.spin_algebra import PAULI, rotate_about
from spinase.testing import check_calculator

LAMBDA, COUPLING = 0.3, 0.8
UP = np.array([0.0, 0.0, 1.0])


def cell(texture: tuple[float, float, float] = (0.0, 0.0, 1.0)) -> SpinAtoms:
    """One site of a square lattice, its moment along a vector."""
    atoms = SpinAtoms.lattice("square", (1, 1), units="reduced")
    set_moments(atoms, np.array([texture]) / np.linalg.norm(texture))
    return atoms


def operator_of(atoms: SpinAtoms, *laws: SpinOrbitLaw, coupling: float = COUPLING) -> SpinOperator:
    model = SDModel(ShellHopping([1.0]), coupling, chemical_potential=-0.4, kT=0.2, spin_orbit=laws)
    return model.hamiltonian.freeze(geometry_of(atoms)).operator(get_spins(atoms))


def rashba(kx: np.ndarray, ky: np.ndarray) -> np.ndarray:
    """Vector of H(k) = -2 t (cos kx + cos ky) + vector . sigma: 2 lambda (sin ky, -sin kx, 0)."""
    return 2.0 * LAMBDA * np.stack([np.sin(ky), -np.sin(kx), np.zeros_like(kx)], axis=1)


def dresselhaus(kx: np.ndarray, ky: np.ndarray) -> np.ndarray:
    return 2.0 * LAMBDA * np.stack([np.sin(kx), -np.sin(ky), np.zeros_like(kx)], axis=1)


def chiral(kx: np.ndarray, ky: np.ndarray) -> np.ndarray:
    return 2.0 * LAMBDA * np.stack([np.sin(kx), np.sin(ky), np.zeros_like(kx)], axis=1)


@pytest.mark.parametrize(
    ("law", "vector"),
    [(RashbaHopping([LAMBDA]), rashba), (DresselhausHopping([LAMBDA]), dresselhaus), (ChiralHopping([LAMBDA]), chiral)],
)
def test_bands_of_the_square_lattice(law: SpinOrbitLaw, vector) -> None:
    """-2 (cos kx + cos ky) -+ |v(k) - J s|, and electrons of the lower band against that vector, at every k."""
    moment = np.array([0.3, -0.5, 0.7]) / np.linalg.norm([0.3, -0.5, 0.7])
    points = KMesh.regular((5, 4, 1)).points
    levels, states = bloch_states(operator_of(cell(tuple(moment)), law), points)
    kx, ky = 2.0 * np.pi * points[:, :2].T
    field = vector(kx, ky) - COUPLING * moment
    size = np.linalg.norm(field, axis=1)
    band = -2.0 * (np.cos(kx) + np.cos(ky))
    np.testing.assert_allclose(levels, np.stack([band - size, band + size], axis=1), atol=1e-12)
    lower = states[:, 0, 0]
    spins = np.einsum("ks,ast,kt->ka", lower.conj(), PAULI, lower).real
    np.testing.assert_allclose(spins, -field / size[:, None], atol=1e-10)


def test_the_energy_and_the_torque_of_a_rashba_ferromagnet() -> None:
    """Sums over the closed-form bands, and their derivative by the angle of the moment: the anisotropy of the electrons."""
    model = SDModel(ShellHopping([1.0]), COUPLING, chemical_potential=-0.4, kT=0.2, spin_orbit=RashbaHopping([LAMBDA]))
    calc, mesh = EDCalculator(model, (6, 6, 1)), np.stack(np.meshgrid(np.arange(6), np.arange(6)), axis=-1).reshape(-1, 2)
    k = 2.0 * np.pi * mesh.T / 6.0

    def omega(angle: float) -> float:
        moment = np.array([np.sin(angle), 0.0, np.cos(angle)])
        size = np.linalg.norm(rashba(*k) - COUPLING * moment, axis=1)
        band = -2.0 * np.cos(k).sum(axis=0)
        levels = np.concatenate([band - size, band + size])
        return float(-0.2 * np.logaddexp(0.0, (-0.4 - levels) / 0.2).sum() / 36.0)

    atoms = cell((np.sin(0.7), 0.0, np.cos(0.7)))
    assert calc.get_property("free_energy", atoms) == pytest.approx(omega(0.7), abs=1e-12)
    slope = (omega(0.7 + 1e-4) - omega(0.7 - 1e-4)) / 2e-4
    assert abs(slope) > 1e-3
    assert calc.get_property("torques", atoms)[0, 1] == pytest.approx(-slope, abs=1e-8)


@pytest.mark.parametrize(("law", "axis"), [(ChiralHopping, (1.0, 0.0, 0.0)), (RashbaHopping, (0.0, -1.0, 0.0))])
def test_a_pure_gauge_in_one_dimension(law: type[DirectionalHopping], axis: tuple[float, float, float]) -> None:
    """t exp(i theta n.sigma) along a chain is a frame that turns by -2 theta a site, else energy and fields without it."""
    theta, rng = 0.35, np.random.default_rng(4)
    atoms = SpinAtoms.lattice("chain", (7,), units="reduced", rng=rng)
    atoms.pbc = False
    plain = EDCalculator(SDModel(ShellHopping([1.0]), COUPLING, filling=0.4, kT=0.1))
    turned = SDModel(ShellHopping([np.cos(theta)]), COUPLING, filling=0.4, kT=0.1, spin_orbit=law([np.sin(theta)]))
    frame = 2.0 * theta * np.arange(7)[:, None] * np.array(axis)
    there = atoms.copy()
    set_moments(there, rotate_about(get_spins(atoms), frame))
    found = EDCalculator(turned).get_property("free_energy", atoms)
    assert found == pytest.approx(plain.get_property("free_energy", there), abs=1e-12)
    assert abs(found - plain.get_property("free_energy", atoms)) > 1e-3
    # rotate_about takes minus the rotation vector
    fields = rotate_about(EDCalculator(turned).get_property("magnetic_forces", atoms), frame)
    np.testing.assert_allclose(fields, plain.get_property("magnetic_forces", there), atol=1e-12)


def test_matrices_are_those_on_paper() -> None:
    """With images of one pair, moved atoms and two laws at once; velocities are i/hbar [H, r]."""
    operator = make_operator("rashba")
    np.testing.assert_allclose(hamiltonian_matrix(operator).toarray(), dense_matrix(operator), atol=1e-14)
    small = operator_of(SpinAtoms.lattice("square", (2, 1), units="reduced", rng=1), RashbaHopping([LAMBDA]))
    np.testing.assert_allclose(hamiltonian_matrix(small).toarray(), dense_matrix(small), atol=1e-14)
    bands = [hamiltonian_matrix(small, (k, 0.2, 0.0)).toarray() for k in (0.3 - 1e-5, 0.3 + 1e-5)]
    # states of positions carry exp(i k.r) beside the Bloch phases of cells, whose derivative is i [r, H]
    places = np.repeat([0.0, 1.0], 2)
    here = hamiltonian_matrix(small, (0.3, 0.2, 0.0)).toarray()
    slope = (bands[1] - bands[0]) / 2e-5 * 2.0 / (2.0 * np.pi) - 1j * (places[:, None] - places) * here
    np.testing.assert_allclose(velocity_matrices(small, [0], (0.3, 0.2, 0.0))[0].toarray(), slope, atol=1e-8)


def test_a_table_by_bond_vectors_is_any_of_the_laws() -> None:
    """Given in one direction or in both, with a scalar part; and a magnetic hopping, which breaks time reversal."""
    atoms = SpinAtoms.lattice("square", (4, 3), units="reduced", rng=2)
    step = {(1.0, 0, 0): -1j * LAMBDA * PAULI[1], (0, 1.0, 0): 1j * LAMBDA * PAULI[0]}
    law = operator_of(atoms, RashbaHopping([LAMBDA]))
    for table in (
        step,
        {**step, (-1.0, 0, 0): 1j * LAMBDA * PAULI[1]},
        {(0, -1.0, 0): -step[0, 1.0, 0], (1.0, 0, 0): step[1.0, 0, 0]},
    ):
        np.testing.assert_allclose(dense_matrix(operator_of(atoms, TableHopping(table))), dense_matrix(law), atol=1e-14)
    shifted = operator_of(atoms, TableHopping({(1.0, 0, 0): 0.25 * np.eye(2) + step[1.0, 0, 0]}))
    np.testing.assert_allclose(shifted.hopping[np.abs(shifted.bonds.vectors[:, 0]) > 0.5], -1.25)
    assert TableHopping(step).reverses
    polarized = TableHopping({(1.0, 0, 0): 0.2 * PAULI[2]})
    assert not polarized.reverses
    model = SDModel(ShellHopping([1.0]), COUPLING, filling=0.3, kT=0.2, spin_orbit=polarized)
    assert "time_reversal" not in EDCalculator(model).symmetries
    assert check_calculator(EDCalculator(model), atoms, checks=["magnetic_forces", "conservative", "permutation"])


def test_laws_on_other_bonds_than_the_hopping() -> None:
    """Bonds of all laws together, each once, in the order of a search for neighbours."""
    atoms = SpinAtoms.lattice("square", (4, 3), units="reduced", rng=2)
    geometry = geometry_of(atoms)
    near, far = find_bonds(geometry, 1.1), find_bonds(geometry, 1.5)
    bonds, places = joined([near, far.select(far.distances > 1.1)])
    assert len(bonds) == len(far)
    np.testing.assert_array_equal(bonds.first, far.first)
    np.testing.assert_array_equal(bonds.vectors, far.vectors)
    np.testing.assert_array_equal(bonds.vectors[places[0]], near.vectors)
    operator = operator_of(atoms, RashbaHopping([0.0, LAMBDA]))
    assert (
        np.count_nonzero(operator.hopping)
        == np.count_nonzero(operator.spin_hopping.any(axis=1))
        == len(operator.hopping) // 2
    )


MOVING = (RashbaHopping(ExponentialHopping(0.4, 1.0, 1.0, 1.7)), ChiralHopping(ExponentialHopping(0.2, 1.0, 1.0, 1.7)))


@pytest.mark.parametrize("solver", ["ed", "k-points", "rational", "kpm"])
def test_calculators_conform(solver: str) -> None:
    """Fields, forces and stress are gradients of the energy, whatever solves the electrons."""
    atoms = SpinAtoms.lattice("square", (3, 3), units="reduced", rng=1)
    atoms.rattle(0.05, seed=1)
    model = SDModel(ExponentialHopping(1.0, 1.2, 1.0, 1.8), 1.7, filling=0.3, kT=0.3, spin_orbit=MOVING)
    calculators = {
        "ed": lambda: EDCalculator(model),
        "k-points": lambda: EDCalculator(model, (2, 1, 1)),
        "rational": lambda: RationalCalculator(model, tolerance=1e-10),
        "kpm": lambda: KPMCalculator(model, 1e-9, dtype="float64", columns="unit"),
    }
    report = check_calculator(calculators[solver](), atoms, skip=["cache", "pickling", "determinism", "zero_moment"])
    skipped = {result.name for result in report if result.status == "skipped"}
    assert {"spin_rotation", "lattice_rotation", "joint_rotation"} <= skipped
    assert "time_reversal" not in skipped


def test_chiral_hopping_turns_with_the_lattice_and_rashba_does_not() -> None:
    atoms = SpinAtoms.lattice("square", (3, 3), units="reduced", rng=1)
    for law, kept in ((ChiralHopping([LAMBDA]), True), (RashbaHopping([LAMBDA]), False)):
        calc = EDCalculator(SDModel(ShellHopping([1.0]), COUPLING, filling=0.3, kT=0.2, spin_orbit=law))
        assert ("joint_rotation" in calc.symmetries) is kept
        assert not {"spin_rotation", "lattice_rotation"} & calc.symmetries
    assert (
        check_calculator(
            EDCalculator(SDModel(ShellHopping([1.0]), COUPLING, filling=0.3, kT=0.2, spin_orbit=ChiralHopping([LAMBDA]))),
            atoms,
            checks=["joint_rotation"],
        )["joint_rotation"].status
        == "passed"
    )


def test_in_a_flux_and_in_other_units() -> None:
    """Peierls phases multiply all hoppings; energies and forces scale with the units."""
    atoms = SpinAtoms.lattice("square", (3, 3), units="reduced", rng=1)
    model = SDModel(ShellHopping([1.0]), COUPLING, filling=0.3, kT=0.2, flux=1.0, spin_orbit=DresselhausHopping([LAMBDA]))
    assert check_calculator(EDCalculator(model), atoms, checks=["magnetic_forces", "forces", "conservative"])
    energy, length = 0.37, 2.87
    other = SpinAtoms(numbers=atoms.numbers, positions=length * atoms.positions, cell=length * atoms.cell, pbc=atoms.pbc)
    set_moments(other, get_spins(atoms))

    def moving(e: float, a: float) -> EDCalculator:
        laws = RashbaHopping(ExponentialHopping(0.4 * e, 1.0 / a, a, 1.7 * a))
        hopping = ExponentialHopping(e, 1.2 / a, a, 1.8 * a)
        return EDCalculator(SDModel(hopping, COUPLING * e, filling=0.3, kT=0.2 * e, spin_orbit=laws))

    forces = moving(1.0, 1.0).get_property("forces", atoms)
    np.testing.assert_allclose(moving(energy, length).get_property("forces", other), forces * energy / length, atol=1e-12)


class SpinDiagonal(ToySolver):
    """Cannot turn spins, and says so."""

    abilities = ToySolver.abilities - {"spin_orbit"}

    def plan(self, pattern):
        return SpinDiagonalPlan(pattern, self)


class SpinDiagonalPlan(ToyPlan):
    turns_spins = False


class Silent(ToySolver):
    """Turns spins and does not tell those of the bonds."""

    def plan(self, pattern):
        return SilentPlan(pattern, self)


class SilentPlan(ToyPlan):
    def _solve(self, operator, bonds):
        state = super()._solve(operator, bonds)
        return replace(state, density=replace(state.density, bond_spin=None))


def test_solvers_that_cannot_are_refused() -> None:
    operator, occupation = make_operator("rashba"), FixedChemicalPotential(0.2, 0.0)
    with pytest.raises(ModelError, match="SpinDiagonalPlan solves hopping that is the same for both spins.*style 'ed'"):
        SpinDiagonal(occupation).solve(operator)
    atoms = SpinAtoms.lattice("square", (3, 3), units="reduced", rng=1)
    model = SDModel(ShellHopping([1.0]), COUPLING, chemical_potential=0.0, kT=0.2, spin_orbit=ChiralHopping([LAMBDA]))
    frozen = model.hamiltonian.freeze(geometry_of(atoms))
    state = Silent(occupation).solve(frozen.operator(get_spins(atoms)))
    with pytest.raises(ModelError, match="no spin density of the bonds"):
        frozen.contract(state.density)


def test_wrong_laws_are_refused() -> None:
    atoms = SpinAtoms.lattice("square", (3, 3), units="reduced", rng=1)
    with pytest.raises(ModelError, match=r"spin-orbit laws such as RashbaHopping\(\[0.3\]\), got 0.3"):
        SDModel(ShellHopping([1.0]), 1.0, filling=0.3, spin_orbit=[0.3])
    with pytest.raises(ModelError, match="normal of a Rashba hopping must be a finite vector that is not zero"):
        RashbaHopping([LAMBDA], (0, 0, 0))
    with pytest.raises(ModelError, match="must be 3x3 and finite"):
        DirectionalHopping([LAMBDA], np.eye(2))
    with pytest.raises(ModelError, match="vectors .* and 2x2 matrices"):
        TableHopping({})
    with pytest.raises(ModelError, match="not finite, or a vector that is zero"):
        TableHopping({(0.0, 0.0, 0.0): np.eye(2)})
    with pytest.raises(ModelError, match="not adjoint to each other"):
        TableHopping({(1.0, 0, 0): PAULI[0], (-1.0, 0, 0): -PAULI[0]})
    with pytest.raises(InvalidGeometryError, match=r"no bond has the vector \[0.5, 0.5, 0.0\]"):
        operator_of(atoms, TableHopping({(0.5, 0.5, 0): PAULI[0]}))


def test_models_of_input_files_and_their_texts() -> None:
    strength = {"style": "shell", "amplitudes": [LAMBDA]}
    table = {
        "hopping": {"style": "shell", "amplitudes": [1.0]},
        "coupling": COUPLING,
        "chemical_potential": -0.4,
        "kT": 0.2,
        "spin_orbit": [
            {"style": "rashba", "strength": strength, "normal": [0, 0, -1]},
            {"style": "dresselhaus", "strength": strength},
            {"style": "chiral", "strength": strength},
        ],
    }
    model = SDModel.from_config(table)
    atoms = SpinAtoms.lattice("square", (3, 3), units="reduced", rng=1)
    found = model.hamiltonian.freeze(geometry_of(atoms)).operator(get_spins(atoms))
    laws = RashbaHopping([-LAMBDA]), DresselhausHopping([LAMBDA]), ChiralHopping([LAMBDA])
    np.testing.assert_allclose(found.spin_hopping, operator_of(atoms, *laws).spin_hopping, atol=1e-15)
    assert "spin_orbit=[RashbaHopping(" in repr(model)
    assert "spin_orbit" not in repr(SDModel(ShellHopping([1.0]), 1.0, filling=0.5))
    assert repr(TableHopping({(1, 0, 0): np.eye(2)})) == "TableHopping(1 bond vectors)"
    assert len(model.with_flux(1.0).hamiltonian.spin_orbit) == 3


def test_densities_without_bonds_and_in_single_precision() -> None:
    operator, occupation = make_operator("rashba"), FixedChemicalPotential(0.15, -0.3)
    exact = DenseSolver(occupation).solve(operator)
    single = DenseSolver(occupation, dtype="complex64").solve(operator)
    np.testing.assert_allclose(single.density.bond_spin, exact.density.bond_spin, atol=1e-5)
    part = DenseSolver(occupation).plan(SparsityPattern.of(operator)).solve(operator, bonds=False)
    np.testing.assert_allclose(part.density.spin, exact.density.spin, atol=1e-13)
    assert part.density.bond.shape == (0,)
    assert exact.density.band_energy(operator) == pytest.approx(exact.energy, abs=1e-10)
