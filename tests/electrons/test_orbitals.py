"""Tables of hopping between orbitals: those of s-d models, closed forms with atomic spin-orbit coupling, what is refused."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.analysis import exact_conductivity, local_density_of_states
from spinase.atoms import geometry_of, get_spins, set_moments
from spinase.calculators import EDCalculator, KPMCalculator, RationalCalculator
from spinase.calculators.exchange import ExchangeTensors
from spinase.electrons import OrbitalModel, OrbitalTable, RashbaHopping, SDModel, ShellHopping
from spinase.electrons.kmesh import KMesh
from spinase.electrons.solvers.dense import DenseSolver, bloch_states
from spinase.errors import InvalidGeometryError, ModelError
from spinase.io.tight_binding import magnet_of
from spinase.spin_algebra import PAULI
from spinase.testing import check_calculator

LAMBDA = 0.3
CELL = np.diag([1.0, 1.0, 1.0])
# <a|L|b> of p orbitals x, y, z: -i eps_cab, (3, 3, 3) with the component of L first
EPSILON = np.zeros((3, 3, 3))
for a, b, c in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
    EPSILON[a, b, c], EPSILON[a, c, b] = 1.0, -1.0
ANGULAR = -1j * EPSILON


def rashba() -> OrbitalTable:
    """One orbital of the square lattice with Rashba hopping, from its matrices H(R)."""
    step = {(1, 0, 0): -np.eye(2) + 1j * LAMBDA * PAULI[1], (0, 1, 0): -np.eye(2) - 1j * LAMBDA * PAULI[0]}
    both = {**step, **{tuple(-np.array(cell)): block.conj().T for cell, block in step.items()}}
    return OrbitalTable.of(CELL, [[0.0, 0.0, 0.0]], [0], {cell: block[None, :, None, :] for cell, block in both.items()})


def metal(coupling: float = 0.4) -> OrbitalTable:
    """Two sites a cell: an s orbital, and p orbitals with atomic spin-orbit coupling; hopping along x between them."""
    home = np.zeros((4, 2, 4, 2), dtype=complex)
    home[0, :, 0, :] = -0.5 * np.eye(2)
    home[1:, :, 1:, :] = 0.5 * coupling * np.einsum("cab,cst->asbt", ANGULAR, PAULI)
    spinless = np.zeros((4, 4))
    spinless[0, 1:] = [0.7, 0.2, 0.4]
    home += np.einsum("ab,st->asbt", spinless + spinless.T, np.eye(2))
    along = np.zeros((4, 4))
    along[1:, 0], along[0, 0] = [-0.6, 0.1, 0.2], 0.3
    return OrbitalTable.of(
        CELL, [[0.0, 0, 0], [0.5, 0.1, 0]], [0, 1, 1, 1], {(0, 0, 0): home, (1, 0, 0): along, (-1, 0, 0): along.T}
    )


def test_a_table_of_one_orbital_is_an_sd_model() -> None:
    """Energies, fields, tensors and Hall conductivities; of a repeated table with a texture, too."""
    table = rashba().repeat((3, 2, 1))
    atoms = magnet_of(table, "Fe", units="reduced")
    set_moments(atoms, get_spins(SpinAtoms.lattice("square", (3, 2), units="reduced", rng=2)))
    plain = SDModel(ShellHopping([1.0]), 0.9, filling=0.3, kT=0.2, spin_orbit=RashbaHopping([LAMBDA]))
    model = OrbitalModel(table, 0.9, filling=0.3, kT=0.2)
    one, other = EDCalculator(plain, (2, 2, 1)), EDCalculator(model, (2, 2, 1))
    for name in ("free_energy", "magnetic_forces", "spin_density", "electron_density", "forces", "stress"):
        found = other.get_property(name, atoms)
        if name not in ("forces", "stress"):
            np.testing.assert_allclose(found, one.get_property(name, atoms), atol=1e-12)
        else:
            np.testing.assert_array_equal(found, 0.0)
    single, cell = rashba(), magnet_of(rashba(), "Fe", units="reduced")
    single_model = OrbitalModel(single, 0.9, filling=0.3, kT=0.2)
    halls = [exact_conductivity(cell, m, (5, 5, 1), width=0.1).hall([-1.0], kT=0.1) for m in (plain, single_model)]
    np.testing.assert_allclose(halls[0], halls[1], atol=1e-10)
    tensors = [EDCalculator(m, (4, 4, 1)).exchange_tensors(cell, 1).tensors for m in (plain, single_model)]
    np.testing.assert_allclose(tensors[0], tensors[1], atol=1e-12)
    rational = RationalCalculator(model, tolerance=1e-9)
    exact = EDCalculator(model).get_property("magnetic_forces", atoms)
    np.testing.assert_allclose(rational.get_property("magnetic_forces", atoms), exact, atol=1e-8)


def test_levels_of_p_orbitals_with_spin_orbit_coupling() -> None:
    """lambda L.S: lambda/2 four times (j = 3/2), -lambda twice (j = 1/2)."""
    blocks = 0.5 * LAMBDA * np.einsum("cab,cst->asbt", ANGULAR, PAULI)
    table = OrbitalTable.of(CELL, [[0.0, 0.0, 0.0]], [0, 0, 0], {(0, 0, 0): blocks})
    atoms = magnet_of(table, "Fe", units="reduced")
    assert not atoms.pbc.any()
    operator = OrbitalModel(table, 0.0, filling=0.5).hamiltonian.freeze(geometry_of(atoms)).operator(get_spins(atoms))
    levels = bloch_states(operator, np.zeros((1, 3)))[0][0]
    np.testing.assert_allclose(levels, LAMBDA * np.array([-1.0, -1.0, 0.5, 0.5, 0.5, 0.5]), atol=1e-14)


def test_bands_of_several_orbitals_are_those_of_the_matrices() -> None:
    """Levels at every k of sum_R H(R) exp(2 pi i k.R) with the exchange of each orbital, also of a repeated table."""
    table, couplings = metal(), np.array([0.8, 0.3, 0.4, 0.5])
    atoms = magnet_of(table, ["Fe", "Pt"], [[0.6, 0.0, 0.8], [0.0, 1.0, 0.0]], units="reduced")
    frozen = OrbitalModel(table, couplings, filling=0.5).hamiltonian.freeze(geometry_of(atoms))
    points = KMesh.regular((3, 1, 1)).points
    levels, _ = bloch_states(frozen.operator(get_spins(atoms)), points)
    for k, found in zip(points, levels, strict=True):
        matrix = np.zeros((4, 2, 4, 2), dtype=complex)
        for a, b, shift, block in zip(table.first, table.second, table.shifts, table.blocks, strict=True):
            matrix[a, :, b, :] += block * np.exp(2j * np.pi * k @ shift)
        matrix += matrix.transpose(2, 3, 0, 1).conj()
        for a in range(4):
            matrix[a, :, a, :] += table.onsite[a] - couplings[a] * np.einsum(
                "c,cst->st", get_spins(atoms)[table.sites[a]], PAULI
            )
        np.testing.assert_allclose(found, np.linalg.eigvalsh(matrix.reshape(8, 8)), atol=1e-12)
    large = table.repeat((3, 1, 1))
    wide = magnet_of(large, ["Fe", "Pt"], np.tile(get_spins(atoms), (3, 1)), units="reduced")
    assert wide.get_chemical_symbols() == ["Fe", "Pt"] * 3
    whole = OrbitalModel(large, np.tile(couplings, 3), filling=0.5).hamiltonian.freeze(geometry_of(wide))
    folded = bloch_states(whole.operator(get_spins(wide)), np.zeros((1, 3)))[0]
    np.testing.assert_allclose(np.sort(folded.ravel()), np.sort(levels.ravel()), atol=1e-12)


def test_calculators_with_several_orbitals_conform() -> None:
    """Fields of a site are sums over its orbitals; densities, too; atomic spin-orbit coupling has anisotropy."""
    table = metal().repeat((2, 1, 1))
    atoms = magnet_of(table, ["Fe", "Pt"], units="reduced")
    atoms.spins = np.random.default_rng(3).normal(size=(4, 3))
    model = OrbitalModel(table, {26: 0.8, 78: 0.4}, filling=0.45, kT=0.2)
    checks = ["contract", "torques", "magnetic_forces", "conservative", "time_reversal", "cache", "pickling"]
    for calc in (EDCalculator(model, (3, 1, 1)), RationalCalculator(model, tolerance=1e-10)):
        if isinstance(calc, RationalCalculator):
            checks = ["magnetic_forces"]
        assert check_calculator(calc, atoms, checks=checks)
        assert {"spin_rotation", "joint_rotation", "translation"}.isdisjoint(calc.symmetries)
        density = calc.get_property("electron_density", atoms)
        assert density.shape == (4,)
        assert density.sum() == pytest.approx(2 * 8 * 0.45, abs=1e-7)
    assert local_density_of_states(atoms, model, [-0.5], width=0.1).shape == (4, 1)
    energies = []
    for axis in ([1.0, 0, 0], [0, 0, 1.0]):
        atoms.spins = np.tile(axis, (4, 1))
        energies.append(EDCalculator(model, (3, 1, 1)).get_property("free_energy", atoms))
    assert abs(energies[0] - energies[1]) > 1e-4


def test_what_tables_do_not_fit_is_refused() -> None:
    table, atoms = rashba(), magnet_of(rashba(), "Fe", units="reduced")
    with pytest.raises(ModelError, match=r"adjoint to each other \(apart by 1.* give both directions"):
        OrbitalTable.of(CELL, [[0, 0, 0]], [0], {(1, 0, 0): [[1.0]]})
    with pytest.raises(ModelError, match=r"matrices of 1 orbitals are \(1, 1\)"):
        OrbitalTable.of(CELL, [[0, 0, 0]], [0], {(0, 0, 0): np.eye(2)})
    with pytest.raises(ModelError, match="not finite"):
        OrbitalTable.of(CELL, [[0, 0, 0]], [0], {(0, 0, 0): [[np.nan]]})
    with pytest.raises(ModelError, match="sites must name one of the 1 sites"):
        OrbitalTable.of(CELL, [[0, 0, 0]], [1], {(0, 0, 0): [[1.0]]})
    with pytest.raises(ModelError, match="three positive whole numbers"):
        table.repeat((2, 2))
    with pytest.raises(ModelError, match="without hopping along it"):
        table.repeat((1, 1, 2))
    with pytest.raises(ModelError, match="2 symbols do not fit the 1 sites"):
        magnet_of(table, ["Fe", "Pt"])
    calc = EDCalculator(OrbitalModel(table, 1.0, filling=0.5, kT=0.1))
    with pytest.raises(InvalidGeometryError, match="has 1 sites, the atoms are 4"):
        calc.get_property("energy", atoms.repeat((2, 2, 1)))
    moved = metal()
    shifted = magnet_of(moved, "Fe", units="reduced")
    shifted.positions[1, 1] += 0.1
    with pytest.raises(InvalidGeometryError, match="site 1 is 0.1 from its place"):
        EDCalculator(OrbitalModel(moved, 1.0, filling=0.5, kT=0.1)).get_property("energy", shifted)
    strained = atoms.copy()
    strained.set_cell(1.1 * atoms.cell.array)
    with pytest.raises(InvalidGeometryError, match="the cell is not that of the table"):
        calc.get_property("energy", strained)
    opened = atoms.copy()
    opened.pbc = False
    with pytest.raises(InvalidGeometryError, match="the atoms are not"):
        calc.get_property("energy", opened)
    with pytest.raises(ModelError, match="coupling is given per species but has no entry for atomic number 26"):
        EDCalculator(OrbitalModel(table, {27: 1.0}, filling=0.5, kT=0.1)).get_property("energy", atoms)
    with pytest.raises(ModelError, match="one for each of the 1 orbitals"):
        EDCalculator(OrbitalModel(table, [1.0, 2.0], filling=0.5, kT=0.1)).get_property("energy", atoms)
    with pytest.raises(ModelError, match="coupling must be finite"):
        OrbitalModel(table, [np.nan], filling=0.5)
    with pytest.raises(ModelError, match="takes no flux, got 1.0"):
        OrbitalModel(table, 1.0, filling=0.5).with_flux(1.0)
    with pytest.raises(ModelError, match="table must be an OrbitalTable"):
        OrbitalModel(ShellHopping([1.0]), 1.0, filling=0.5)


def turned(size: int = 2) -> tuple[OrbitalModel, SpinAtoms]:
    """Some cells of the metal in a texture, whose orbitals have couplings of their own."""
    table = metal().repeat((size, 1, 1))
    atoms = magnet_of(table, ["Fe", "Pt"], units="reduced")
    atoms.spins = np.random.default_rng(3).normal(size=(2 * size, 3))
    return OrbitalModel(table, np.tile([0.8, 0.5, -0.3, 0.4], size), chemical_potential=-0.1, kT=0.2), atoms


def test_exchange_between_sites_is_the_change_of_fields() -> None:
    """J_ij = dH_i/ds_j by differences of the spins, of any length; onsite parts, too; dense and rational."""
    model, atoms = turned()
    exact = EDCalculator(model).exchange_tensors(atoms, shells=1)
    other = RationalCalculator(model, tolerance=1e-10).exchange_tensors(atoms, shells=1)
    np.testing.assert_allclose(other.tensors, exact.tensors, atol=1e-8)
    np.testing.assert_allclose(other.isotropic, exact.isotropic, atol=1e-8)
    frozen, solver = model.hamiltonian.freeze(geometry_of(atoms)), DenseSolver(model.occupation)

    def fields(spins: np.ndarray) -> np.ndarray:
        return frozen.spin_gradient(solver.solve(frozen.operator(spins), bonds=False).density)

    spins = get_spins(atoms)
    for n in (0, 3):
        i, j = exact.bonds.first[n], exact.bonds.second[n]
        for c in range(3):
            step = np.zeros((4, 3))
            step[j, c] = 1e-4
            change = (fields(spins + step) - fields(spins - step)) / 2e-4
            np.testing.assert_allclose(change[i], all_images(exact, i, j)[:, c], atol=1e-7)
            np.testing.assert_allclose(change[j], exact.onsite[j][:, c], atol=1e-7)
    assert np.abs(exact.dmi).max() > 1e-4


def all_images(found: ExchangeTensors, i: int, j: int) -> np.ndarray:
    """The tensors of all listed images of the pair together."""
    here = (found.bonds.first == i) & (found.bonds.second == j)
    back = (found.bonds.first == j) & (found.bonds.second == i)
    return found.tensors[here].sum(axis=0) + found.tensors[back].transpose(0, 2, 1).sum(axis=0)


def test_exchange_of_a_mesh_is_that_of_the_repeated_table() -> None:
    """At a filling, where the chemical potential answers, too."""
    found = []
    for times in (1, 4):
        table = metal().repeat((times, 1, 1))
        atoms = magnet_of(table, ["Fe", "Pt"], np.tile([[0.6, 0, 0.8], [0, 0, 1.0]], (times, 1)), units="reduced")
        calc = EDCalculator(OrbitalModel(table, {26: 0.8, 78: 0.4}, filling=0.4, kT=0.2), (4 // times, 1, 1))
        found.append(calc.exchange_tensors(atoms, shells=2))
    small, large = found
    for n in range(len(small)):
        same = np.linalg.norm(large.bonds.vectors - small.bonds.vectors[n], axis=1) < 1e-9
        same &= large.bonds.first == small.bonds.first[n]
        back = np.linalg.norm(large.bonds.vectors + small.bonds.vectors[n], axis=1) < 1e-9
        back &= large.bonds.second == small.bonds.first[n]
        there = [*large.tensors[same], *large.tensors[back].transpose(0, 2, 1)]
        np.testing.assert_allclose(there[0], small.tensors[n], atol=1e-10)
    np.testing.assert_allclose(large.onsite[:2], small.onsite, atol=1e-10)


def test_chebyshev_series_of_tables() -> None:
    """Exact columns give the fields of the dense solver and their own gradients; few of them error bars that are true."""
    model, atoms = turned(4)
    exact = EDCalculator(model).get_property("magnetic_forces", atoms)
    unit = KPMCalculator(model, accuracy=1e-6, columns="unit", dtype="float64")
    np.testing.assert_allclose(unit.get_property("magnetic_forces", atoms), exact, atol=2e-5)
    assert check_calculator(
        KPMCalculator(model, columns="unit", order=120, dtype="float64"), atoms, checks=["magnetic_forces"]
    )
    probing = KPMCalculator(model, columns="random", count=64, order=120, dtype="float64")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        errors = probing.get_property("magnetic_forces", atoms) - exact
        bars = probing.field_errors(atoms)
    assert bars.shape == (8, 3)
    assert 0.4 < np.sqrt(np.mean(errors**2) / np.mean(bars**2)) < 2.0
    energies = np.linspace(-2.0, 2.0, 5)
    local = sum(unit.local_spectral_function(atoms, site, energies) for site in range(8))
    whole = KPMCalculator(model, columns="unit").density_of_states(atoms, energies, count=3000)
    np.testing.assert_allclose(local, whole, rtol=0.2, atol=0.5)


def test_tables_have_no_supercells_of_their_own() -> None:
    table = metal()
    model = OrbitalModel(table, 1.0, chemical_potential=0.0, kT=0.1)
    assert EDCalculator(model, (4, 1, 1)).for_supercell((2, 1, 1)) is None
    with pytest.raises(ModelError, match="reduce=True finds operations .* mix the orbitals of a table: leave it out"):
        EDCalculator(model, (4, 1, 1), reduce=True)
    assert "OrbitalModel(OrbitalTable(4 orbitals on 2 sites, 10 hoppings)" in repr(model)


def test_levels_of_a_repeated_table_are_those_of_the_points_that_fold_there() -> None:
    """With a current-carrying hopping exp(i phi), whose levels at k and -k differ: the sense of the shifts counts."""
    hop = np.exp(0.7j) * np.eye(2)[None, :, None, :]
    chain = OrbitalTable.of(CELL, [[0.0, 0.0, 0.0]], [0], {(1, 0, 0): hop, (-1, 0, 0): hop.conj()})
    points = {1: np.array([[0.05, 0, 0], [0.55, 0, 0]]), 2: np.array([[0.1, 0, 0]])}
    found = {}
    for times, at in points.items():
        table = chain.repeat((times, 1, 1))
        atoms = magnet_of(table, "Fe", units="reduced")
        frozen = OrbitalModel(table, 0.0, filling=0.5).hamiltonian.freeze(geometry_of(atoms))
        found[times] = np.sort(bloch_states(frozen.operator(get_spins(atoms)), at)[0].ravel())
    by_hand = np.sort(np.repeat(2.0 * np.cos(2.0 * np.pi * points[1][:, 0] + 0.7), 2))
    np.testing.assert_allclose(found[1], by_hand, atol=1e-12)
    np.testing.assert_allclose(found[2], by_hand, atol=1e-12)
