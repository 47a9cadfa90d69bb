"""Meshes of k-points: those of ASE, superlattices as supercells, reduction against spglib and the full mesh; refusals."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import make_supercell
from ase.dft.kpoints import monkhorst_pack

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.calculators import EDCalculator, converge_mesh
from spinase.calculators.ed import EDConfig
from spinase.electrons import ExponentialHopping, KMesh, SDModel, ShellHopping
from spinase.electrons.symmetry import lattice_operations
from spinase.errors import ConvergenceError, ModelError
from spinase.geometry import find_bonds
from spinase.spin_algebra import random_rotation

HOPPING = ExponentialHopping(t0=1.0, decay=2.0, reference=1.0, cutoff=1.5)
NAMES = (
    "free_energy",
    "energy",
    "entropy",
    "forces",
    "stress",
    "magnetic_forces",
    "torques",
    "electron_density",
    "spin_density",
)


def model(**changes: object) -> SDModel:
    return SDModel(HOPPING, 2.0, **({"filling": 0.3, "kT": 0.1} | changes))  # type: ignore[arg-type]


def test_the_mesh_of_monkhorst_and_pack_is_that_of_ase() -> None:
    for size in ((4, 3, 2), (1, 2, 5)):
        ours, theirs = KMesh.monkhorst_pack(size).points, monkhorst_pack(size)
        apart = ours[:, None] - theirs[None]
        np.testing.assert_allclose(np.abs(apart - np.round(apart)).max(axis=2).min(axis=1), 0.0, atol=1e-12)
    np.testing.assert_allclose(KMesh.regular((2, 1, 1), (0.25, 0, 0)).points[:, 0], [0.125, 0.625])


def test_half_a_step_completes_a_mesh() -> None:
    """Twice as many points are those of the mesh and of the mesh shifted by half a step: grand potentials average."""
    chain = SpinAtoms.lattice("chain", (2,), units="reduced", rng=3)
    grand = model(filling=None, chemical_potential=-0.5)
    one, two, fine = (
        EDCalculator(grand, mesh).get_property("free_energy", chain)
        for mesh in (KMesh.regular((3, 1, 1)), KMesh.regular((3, 1, 1), (0.5, 0, 0)), KMesh.regular((6, 1, 1)))
    )
    assert abs(one - two) > 1e-6
    assert fine == pytest.approx(0.5 * (one + two), abs=1e-13)


def test_a_superlattice_is_a_supercell_of_its_shape() -> None:
    cell = SpinAtoms.lattice("square", (1, 1), units="reduced", texture="ferro")
    matrix = [[2, 1, 0], [-1, 3, 0], [0, 0, 1]]
    mesh = KMesh.of_superlattice(matrix)
    assert len(mesh) == 7
    large = make_supercell(cell, matrix)
    expected = EDCalculator(model()).get_property("free_energy", large) / 7
    assert EDCalculator(model(), mesh).get_property("free_energy", cell) == pytest.approx(expected, abs=1e-12)
    assert len(KMesh.of_superlattice([[0, 2, 1], [3, 0, 0], [1, 1, 2]])) == 9


def test_a_list_of_points_with_weights() -> None:
    """Those that symmetry leaves of a mesh, given by hand."""
    atoms = SpinAtoms.lattice("square", (1, 1), units="reduced", texture="ferro")
    mesh = EDCalculator(model(), (5, 5, 1), reduce=True).sampled_points(atoms)
    by_hand = EDCalculator(model(), KMesh.of_points(mesh.points, 25 * mesh.weights))
    expected = EDCalculator(model(), (5, 5, 1)).get_property("free_energy", atoms)
    assert by_hand.get_property("free_energy", atoms) == pytest.approx(expected, abs=1e-13)
    assert by_hand.kpts is None


def tetrahedral() -> SpinAtoms:
    return SpinAtoms.lattice("triangular", (2, 2), units="reduced", texture="tetrahedral")


def umbrella() -> SpinAtoms:
    atoms = SpinAtoms.lattice("triangular", (3, 3), units="reduced", texture="120-degree")
    atoms.spins = (atoms.spins + [0, 0, 0.4]) @ random_rotation(np.random.default_rng(1)).T
    return atoms


def antiferromagnet() -> SpinAtoms:
    atoms = SpinAtoms.lattice("square", (2, 2), units="reduced")
    atoms.spins = np.array([1, -1, -1, 1])[:, None] * [0.6, 0, 0.8]
    return atoms


def distorted() -> SpinAtoms:
    """Two atoms a cell, one moved along z, canted spins: forces, fields and torques."""
    atoms = SpinAtoms.lattice("bcc", (1, 1, 1), units="reduced")
    atoms.positions[1] += [0.0, 0.0, 0.1]
    atoms.spins = [[0, 0, 1], [0.6, 0, 0.8]]
    return atoms


CASES = {
    "tetrahedral": (tetrahedral, {}, KMesh.regular((6, 6, 1)), 7),
    "umbrella": (umbrella, {}, KMesh.regular((4, 4, 1)), 5),
    "antiferromagnet, shifted": (antiferromagnet, {}, KMesh.monkhorst_pack((6, 6, 1)), 6),
    "a shift without symmetry": (antiferromagnet, {}, KMesh.regular((4, 4, 1), (0.25, 0.1, 0)), 16),
    "distorted": (distorted, {}, KMesh.regular((4, 4, 4)), 18),
    "field": (distorted, {"zeeman": (0.1, 0.05, 0.2)}, KMesh.regular((4, 4, 4)), None),
    "onsite": (distorted, {"onsite": np.array([0.3, -0.1])}, KMesh.regular((3, 3, 3)), None),
    "flux": (tetrahedral, {"flux": 1.0}, KMesh.regular((4, 4, 1)), 16),
}


@pytest.mark.parametrize("name", CASES)
def test_left_out_points_change_nothing(name: str) -> None:
    make, changes, mesh, count = CASES[name]
    atoms = make()
    full, reduced = EDCalculator(model(**changes), mesh), EDCalculator(model(**changes), mesh, reduce=True)
    points = reduced.sampled_points(atoms)
    assert count is None or len(points) == count
    assert len(points) <= len(full.sampled_points(atoms))
    assert points.weights.sum() == pytest.approx(1.0)
    for key in NAMES:
        if key == "stress" and not atoms.pbc.all():
            continue
        np.testing.assert_allclose(
            reduced.get_property(key, atoms), full.get_property(key, atoms), atol=1e-12, err_msg=f"{name}: {key}"
        )


def test_moved_atoms_and_turned_spins_lose_symmetry() -> None:
    """The same calculator, as the magnet changes: never a symmetry that was."""
    atoms = distorted()
    atoms.spins = [0, 0, 1]
    calc = EDCalculator(model(), (4, 4, 4), reduce=True)
    counts = [len(calc.sampled_points(atoms))]
    atoms.positions[1] += [0.05, 0.02, 0.0]
    counts.append(len(calc.sampled_points(atoms)))
    np.testing.assert_allclose(
        calc.get_property("forces", atoms), EDCalculator(model(), (4, 4, 4)).get_property("forces", atoms), atol=1e-12
    )
    assert counts[0] < counts[1]
    atoms = SpinAtoms.lattice("square", (2, 2), units="reduced", texture="ferro")
    calc, found = EDCalculator(model(), (4, 4, 1), reduce=True), []
    for spins in (atoms.spins, np.random.default_rng(2).normal(size=(4, 3))):
        atoms.spins = spins
        found.append(len(calc.sampled_points(atoms)))
        np.testing.assert_allclose(
            calc.get_property("torques", atoms), EDCalculator(model(), (4, 4, 1)).get_property("torques", atoms), atol=1e-12
        )
    assert found[0] < found[1]


def test_k_and_minus_k_only_where_time_reversal_holds() -> None:
    """Collinear and coplanar spins with real hopping; with three directions, or a flux, not."""
    atoms, mesh = antiferromagnet(), KMesh.regular((4, 4, 1))
    assert len(EDCalculator(model(), mesh).sampled_points(atoms)) == 10
    assert len(EDCalculator(model(flux=1.0), mesh).sampled_points(atoms)) == 16
    atoms.spins = np.random.default_rng(1).normal(size=(4, 3))
    assert len(EDCalculator(model(), mesh).sampled_points(atoms)) == 16
    atoms.spins = atoms.spins * [1, 1, 0] + [0, 0, 1e-300]
    assert len(EDCalculator(model(), mesh).sampled_points(atoms)) == 10
    unsymmetric = KMesh.regular((4, 4, 1), (0.2, 0, 0))
    assert len(EDCalculator(model(), unsymmetric).sampled_points(atoms)) == 16


@pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")
@pytest.mark.parametrize("lattice", ["bcc", "fcc", "hcp"])
def test_operations_and_irreducible_points_are_those_of_spglib(lattice: str) -> None:
    atoms = SpinAtoms.lattice(lattice, (1, 1, 1), units="reduced", texture="ferro")
    spglib = pytest.importorskip("spglib")
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    theirs = spglib.get_symmetry(cell, symprec=1e-6)
    ours = lattice_operations(geometry_of(atoms), find_bonds(geometry_of(atoms), 1.2))
    assert len(ours) == len(theirs["rotations"])
    kinds = {matrix.tobytes() for matrix in ours.matrices}
    assert kinds == {np.asarray(matrix, dtype=np.int64).tobytes() for matrix in theirs["rotations"]}
    for shift in ((0, 0, 0), (1, 1, 1)):
        mesh = KMesh.regular((4, 4, 4), 0.5 * np.array(shift))
        mapping, _ = spglib.get_ir_reciprocal_mesh((4, 4, 4), cell, is_shift=shift, symprec=1e-6)
        reduced = EDCalculator(model(), mesh, reduce=True).sampled_points(atoms)
        assert len(reduced) == len(np.unique(mapping))


def test_a_mesh_is_doubled_until_energy_and_torques_hold() -> None:
    atoms = SpinAtoms.lattice("square", (1, 1), units="reduced", texture="ferro")
    warm = SDModel(ShellHopping([1.0]), 2.0, filling=0.3, kT=0.3)
    found = converge_mesh(EDCalculator(warm, (2, 2, 1), reduce=True), atoms, 1e-6, torque=1e-6)
    sizes = [one.mesh.size for one in found.steps]
    assert sizes == [(2 * 2**k, 2 * 2**k, 1) for k in range(len(sizes))]
    assert abs(found.steps[-1].change) <= 1e-6 < abs(found.steps[-2].change)
    assert found.calculator.kpts == sizes[-1]
    exact = EDCalculator(warm, (64, 64, 1), reduce=True).get_property("free_energy", atoms)
    assert found.steps[-1].energy == pytest.approx(exact, abs=1e-6)
    assert "x".join(map(str, sizes[-1])) in str(found)
    assert found.steps[-1].solved < 0.3 * np.prod(sizes[-1])
    with pytest.raises(ConvergenceError, match=r"does not converge to 1e-14 within 100 k-points(.|\n)*2x2x1"):
        converge_mesh(EDCalculator(warm, (2, 2, 1)), atoms, 1e-14, most=100)
    with pytest.raises(ModelError, match="tolerance of the torque must be a positive energy, got -1"):
        converge_mesh(EDCalculator(warm), atoms, 1e-3, torque=-1.0)
    with pytest.raises(ModelError, match="only regular meshes can be doubled"):
        converge_mesh(EDCalculator(warm, KMesh.of_points([[0, 0, 0]])), atoms, 1e-3)
    with pytest.raises(ModelError, match="none of the directions is periodic"):
        converge_mesh(EDCalculator(warm), SpinAtoms.lattice("square", (2, 2), periodic=False, units="reduced"), 1e-3)


def test_supercells_and_input_files() -> None:
    calc = EDCalculator(model(), KMesh.regular((4, 2, 1), (0.5, 0.5, 0)), reduce=True)
    folded = calc.for_supercell((2, 1, 1))
    assert folded is not None
    cell = SpinAtoms.lattice("square", (1, 1), units="reduced", texture="ferro")
    large = cell.repeat((2, 1, 1))
    assert folded.get_property("energy", large) == pytest.approx(2 * calc.get_property("energy", cell), abs=1e-12)
    assert EDCalculator(model(), KMesh.of_points([[0, 0, 0]])).for_supercell((2, 1, 1)) is None
    table = {"hopping": {"style": "shell", "amplitudes": [1.0]}, "coupling": 2.0, "filling": 0.3}
    made = EDCalculator.from_config(EDConfig(**table, kpts=(4, 4, 1), kshift=(0.5, 0.5, 0.0), reduce=True))
    assert made.mesh.shift == (0.5, 0.5, 0.0)
    assert len(made.sampled_points(cell)) == 3


def test_what_is_refused() -> None:
    for wrong in ((2, 2), (0, 1, 1), (1.5, 1, 1)):
        with pytest.raises(ModelError, match="kpts must be three positive integers"):
            EDCalculator(model(), wrong)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="shift of a mesh must be three finite numbers"):
        KMesh.regular((2, 2, 2), (0.5, 0.5))
    with pytest.raises(ModelError, match="shift of a mesh must be three finite numbers"):
        KMesh.of_superlattice(np.eye(3), [np.nan, 0, 0])
    with pytest.raises(ModelError, match="whole numbers that is not singular"):
        KMesh.of_superlattice([[1, 0, 0], [2, 0, 0], [0, 0, 1]])
    with pytest.raises(ModelError, match=r"finite, of shape \(n, 3\)"):
        KMesh.of_points(np.zeros((2, 2)))
    with pytest.raises(ModelError, match="one positive weight each"):
        KMesh.of_points(np.zeros((2, 3)), [1.0, 0.0])
    atoms = SpinAtoms.lattice("square", (2, 2), units="reduced", rng=1)
    with pytest.raises(ModelError, match="samples direction 2, which is not periodic"):
        EDCalculator(model(), KMesh.of_points([[0, 0, 0.5]])).get_property("energy", atoms)
    with pytest.raises(ModelError, match="needs a regular mesh with Gamma"):
        EDCalculator(model(), KMesh.monkhorst_pack((2, 2, 1))).exchange_tensors(atoms)
