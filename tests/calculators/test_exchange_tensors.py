"""Exchange tensors of electronic calculators on atoms: pairs, shells, images, and the classical model they make."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.calculators import EDCalculator, RationalCalculator
from spinase.calculators.exchange import ExchangeTensors
from spinase.electrons import SDModel, ShellHopping
from spinase.errors import InvalidGeometryError, ModelError
from spinase.spin_algebra import random_spins, tangent

METAL = SDModel(ShellHopping([1.0]), 1.2, filling=0.3, kT=0.2)


def square(*size: int, seed: int | None = None) -> SpinAtoms:
    """A periodic square lattice, ferromagnetic or with random spins."""
    return SpinAtoms.lattice("square", size, units="reduced", **({} if seed is None else {"rng": seed}))


def directed(found: ExchangeTensors, sites: int) -> dict[tuple[int, float, float], np.ndarray]:
    """Tensors from every one of the first `sites` sites, by site and vector."""
    out = {}
    for b in range(len(found)):
        x, y = np.round(found.bonds.vectors[b, :2], 6) + 0.0
        one, two = found.bonds.first[b], found.bonds.second[b]
        if one < sites:
            out[(int(one), x, y)] = found.tensors[b]
        if two < sites:
            out[(int(two), -x + 0.0, -y + 0.0)] = found.tensors[b].T
    return out


def test_a_mesh_of_k_points_is_the_repeated_cell() -> None:
    """One site in one cell is turned against one other, at a fixed number of electrons."""
    cell = square(2, 1, seed=1)
    large = cell.repeat((3, 6, 1))
    small = directed(EDCalculator(METAL, kpts=(3, 6, 1)).exchange_tensors(cell, 3), 2)
    found = EDCalculator(METAL).exchange_tensors(large, 3)
    expected = directed(found, 2)
    assert len(small) == 2 * 12
    for key, tensor in small.items():
        np.testing.assert_allclose(tensor, expected[key], atol=1e-12)


def test_both_calculators_agree_and_repeat_what_they_gave() -> None:
    atoms = square(6, 6, seed=2)
    exact = EDCalculator(METAL).exchange_tensors(atoms, 3)
    calc = RationalCalculator(METAL, 1e-10)
    for one in (calc, copy.deepcopy(calc)):
        for _ in range(2):
            found = one.exchange_tensors(atoms, 3)
            np.testing.assert_allclose(found.tensors, exact.tensors, atol=1e-8)
            np.testing.assert_allclose(found.onsite, exact.onsite, atol=1e-8)
            np.testing.assert_allclose(found.isotropic, exact.isotropic, atol=1e-8)
    assert len(calc.exchange_tensors(atoms, 1)) == 72
    np.testing.assert_allclose(calc.exchange_tensors(atoms, cutoff=1.5).tensors, exact.tensors[exact.shell < 2], atol=1e-8)
    atoms.spins = random_spins(36, np.random.default_rng(5))
    moved = EDCalculator(METAL).exchange_tensors(atoms, 1)
    np.testing.assert_allclose(calc.exchange_tensors(atoms, 1).tensors, moved.tensors, atol=1e-8)


def test_the_classical_model_of_a_ferromagnet_has_the_electrons_torques() -> None:
    """To first order in any deviation, all pairs taken: sign, no factor 2, and images at half the cell counted once."""
    atoms = square(4, 4)
    calc = EDCalculator(METAL)
    model = calc.exchange_tensors(atoms, cutoff=2.9).to_calculator()
    spins = atoms.spins + 1e-5 * np.random.default_rng(1).normal(size=(16, 3))
    atoms.spins = spins
    exact, classical = (tangent(one.get_property("magnetic_forces", atoms), atoms.spins) for one in (calc, model))
    assert np.abs(exact).max() > 1e-7
    np.testing.assert_allclose(classical, exact, atol=1e-9 * np.abs(exact).max() / 1e-6)


def test_the_classical_model_of_an_antiferromagnet_has_the_electrons_torques() -> None:
    atoms = square(4, 4)
    sign = np.array([(-1.0) ** np.round(p.sum()) for p in atoms.positions])
    atoms.spins = np.outer(sign, [0.0, 0.0, 1.0])
    calc = EDCalculator(SDModel(ShellHopping([1.0]), 1.2, filling=0.5, kT=0.1))
    found = calc.exchange_tensors(atoms, cutoff=2.9)
    assert found.by_shell().isotropic[0] < 0.0 < found.by_shell().isotropic[1]
    atoms.spins = atoms.spins + 1e-5 * np.random.default_rng(1).normal(size=(16, 3))
    exact, classical = (
        tangent(one.get_property("magnetic_forces", atoms), atoms.spins) for one in (calc, found.to_calculator())
    )
    np.testing.assert_allclose(classical, exact, atol=2e-4 * np.abs(exact).max())


def test_parts_add_up_to_the_tensors() -> None:
    atoms = square(5, 5, seed=3)
    found = EDCalculator(METAL).exchange_tensors(atoms, 2)
    whole = found.table(("isotropic", "dmi", "anisotropic"))
    np.testing.assert_allclose(whole.tensors, found.tensors, atol=1e-15)
    np.testing.assert_allclose(whole.dmi(), found.dmi, atol=1e-15)
    isotropic = found.table(["isotropic"])
    np.testing.assert_allclose(isotropic.isotropic(), found.isotropic, atol=1e-15)
    assert not isotropic.dmi().any()
    s = atoms.spins
    bonds = found.bonds
    energy = -np.einsum("ba,bac,bc->", s[bonds.first], found.tensors, s[bonds.second])
    calc = found.to_calculator(("isotropic", "dmi", "anisotropic"))
    assert calc.get_property("energy", atoms) == pytest.approx(energy, rel=1e-12)
    with pytest.raises(ModelError, match="parts must be some of isotropic, dmi, anisotropic, got 'dmi'"):
        found.table("dmi")


def test_what_it_says_of_itself() -> None:
    found = EDCalculator(METAL).exchange_tensors(square(6, 6, seed=2), 2)
    text = repr(found)
    assert text.startswith("ExchangeTensors(144 pairs of 36 sites; J > 0 ferromagnetic, each pair once)")
    mean = found.by_shell()
    assert f"1.4142 a: J = {mean.isotropic[1]:+.4e} +- {mean.spread[1]:.1e}" in text
    assert mean.pairs.tolist() == [72, 72]
    np.testing.assert_allclose(mean.isotropic[0], found.isotropic[found.shell == 0].mean())
    np.testing.assert_allclose(mean.spread[1], found.isotropic[found.shell == 1].std())
    assert "more shells" in repr(
        EDCalculator(METAL).exchange_tensors(SpinAtoms.lattice("chain", (21,), units="reduced"), 10)
    )


def test_sites_without_moments_have_no_exchange() -> None:
    """They make no shells, and the others are numbered as in the atoms."""
    atoms = square(6, 6, seed=2)
    moments = atoms.moments.copy()
    moments[(np.round(atoms.positions).sum(axis=1) % 2) == 1] = 0.0
    atoms.moments = moments
    found = EDCalculator(METAL).exchange_tensors(atoms, 1)
    np.testing.assert_allclose(found.distances, np.sqrt(2.0))
    assert len(found) == 36
    assert moments[found.bonds.first].any(axis=1).all()
    assert not found.onsite[~moments.any(axis=1)].any()
    atoms.moments = 0.0 * moments
    with pytest.raises(ModelError, match="these atoms have none: set their moments"):
        EDCalculator(METAL).exchange_tensors(atoms)


def test_magnets_with_ends_have_tables_too() -> None:
    """No cell vector is needed."""
    atoms = SpinAtoms("Fe3", positions=[[0, 0, 0], [1.0, 0, 0], [2.1, 0, 0]], units="reduced")
    atoms.spins = random_spins(3, np.random.default_rng(1))
    calc = EDCalculator(SDModel(ShellHopping([1.0], width=0.2), 1.0, chemical_potential=-0.5, kT=0.1))
    found = calc.exchange_tensors(atoms, cutoff=2.2)
    assert len(found) == 3
    assert found.shell.tolist() == [0, 2, 1]
    assert np.isfinite(found.to_calculator().get_property("energy", atoms))


def test_images_that_are_not_told_apart_are_refused() -> None:
    calc = RationalCalculator(METAL)
    with pytest.raises(InvalidGeometryError, match=r"has an image 1 apart, .* ask for fewer shells, or take a larger cell"):
        calc.exchange_tensors(square(3, 8), cutoff=2.0)
    with pytest.raises(InvalidGeometryError, match="not tell images apart"):
        calc.exchange_tensors(square(2, 8), cutoff=2.0)
    with pytest.raises(ModelError, match="shells must be a positive number of neighbour shells, got 0"):
        calc.exchange_tensors(square(4, 4), 0)


@pytest.mark.parametrize("row", [3, -7])
def test_the_vectors_of_the_cell_do_not_matter(row: int) -> None:
    """A slanted cell of the same magnet: pairs half a period apart are shared among as many images, and nearer ones seen."""
    atoms = square(4, 4)
    slanted = square(4, 4)
    slanted.set_cell(np.array([[1, 0, 0], [row, 1, 0], [0, 0, 1]]) @ atoms.cell.array, scale_atoms=False)
    calc = EDCalculator(METAL)
    found, expected = (calc.exchange_tensors(magnet, 3).by_shell() for magnet in (slanted, atoms))
    np.testing.assert_allclose(found.isotropic, expected.isotropic, atol=1e-12)
    assert abs(expected.isotropic[2]) > 1e-4
    with pytest.raises(InvalidGeometryError, match="has an image"):
        calc.exchange_tensors(slanted, 6)
