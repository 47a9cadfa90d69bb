"""Levels that symmetry makes equal at the Fermi level, and chemical potentials in gaps: kT = 0, k-points, single precision.

References: the limit of small temperatures, which fills equal levels evenly by itself; what symmetry says; closed forms.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.electrons import FixedChemicalPotential, FixedFilling, SDModel, ShellHopping
from spinase.electrons.occupation import find_chemical_potential
from spinase.electrons.operator import SpinOperator
from spinase.electrons.solvers.dense import DenseSolver
from spinase.electrons.solvers.rational import RationalSolver

LATTICES = {
    "chain": (12,),
    "square": (6, 6),
    "triangular": (6, 6),
    "honeycomb": (4, 4),
    "cubic": (4, 4, 4),
}
TEXTURES = {
    "ferromagnet": lambda n: np.tile([0.0, 0.0, 1.0], (n, 1)),
    "tilted": lambda n: np.tile([0.6, 0.0, 0.8], (n, 1)),
    "antiferromagnet": lambda n: np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])[np.arange(n) % 2],
    "four directions": lambda n: np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])[np.arange(n) % 4] / 3**0.5,
}
COLD = 1e-5  # far below the distances of levels, far above their round-off


def operator(lattice: str, texture: str, size: tuple[int, ...] | None = None) -> SpinOperator:
    atoms = SpinAtoms.lattice(lattice, size or LATTICES[lattice], units="reduced")
    model = SDModel(hopping=ShellHopping([1.0]), coupling=1.0, filling=0.5)
    return model.hamiltonian.freeze(geometry_of(atoms)).operator(TEXTURES[texture](len(atoms)))


@pytest.mark.parametrize("dtype", ["complex128", "complex64"])
@pytest.mark.parametrize("texture", TEXTURES)
@pytest.mark.parametrize("lattice", LATTICES)
def test_zero_temperature_is_the_limit_of_small_ones(lattice: str, texture: str, dtype: str) -> None:
    magnet = operator(lattice, texture)
    scale = 1e-9 if dtype == "complex128" else 2e-5
    levels = DenseSolver(FixedFilling(0.1, 0.5)).solve(magnet).levels
    ensembles = [FixedFilling(0.0, filling) for filling in (0.0, 0.25, 0.3, 0.37, 0.5, 1.0)]
    ensembles += [FixedChemicalPotential(0.0, mu) for mu in (-0.3, float(np.sort(levels)[len(levels) // 3]))]
    for ensemble in ensembles:
        found = DenseSolver(ensemble, dtype=dtype).solve(magnet)
        empty = getattr(ensemble, "filling", 0.5) in (0.0, 1.0)
        limit = DenseSolver(ensemble if empty else replace(ensemble, kT=COLD)).solve(magnet)
        for name in ("charge", "spin", "bond"):
            one, other = getattr(found.density, name), getattr(limit.density, name)
            np.testing.assert_allclose(one, other, rtol=0, atol=scale, err_msg=f"{ensemble} {name}")
        assert found.energy == pytest.approx(limit.energy, abs=(scale + 10 * COLD) * len(magnet))
        if texture in ("ferromagnet", "tilted") and lattice != "honeycomb":  # all sites are alike
            np.testing.assert_allclose(found.density.charge, found.electrons / len(magnet), atol=scale)


@pytest.mark.parametrize("dtype", ["complex128", "complex64"])
@pytest.mark.parametrize("filling", [0.3, 0.5, 1.0 / 3.0])
def test_k_points_with_equal_levels_are_the_repeated_cell(filling: float, dtype: str) -> None:
    small, large = operator("square", "four directions", (2, 2)), operator("square", "four directions", (8, 8))
    ensemble = FixedFilling(0.0, filling)
    one = DenseSolver(ensemble, (4, 4, 1), dtype).solve(small)
    # the repeated cell: the same spins site by site
    spins = np.tile(small.exchange.reshape(2, 2, 3), (4, 4, 1)).reshape(64, 3)
    other = DenseSolver(ensemble, dtype="complex128").solve(replace(large, exchange=spins))
    scale = 1e-9 if dtype == "complex128" else 2e-5
    tiled = np.tile(one.density.charge.reshape(2, 2), (4, 4)).ravel()
    np.testing.assert_allclose(tiled, other.density.charge, atol=scale)
    np.testing.assert_allclose(
        np.tile(one.density.spin.reshape(2, 2, 3), (4, 4, 1)).reshape(64, 3), other.density.spin, atol=scale
    )
    assert 16.0 * one.energy == pytest.approx(other.energy, abs=64 * scale)


def test_levels_that_are_really_apart_are_filled_one_after_the_other() -> None:
    magnet = operator("chain", "ferromagnet", (2,))
    shifted = replace(magnet, onsite=np.array([0.0, 1e-7]), hopping=np.zeros_like(magnet.hopping))
    found = DenseSolver(FixedFilling(0.0, 0.25)).solve(shifted)
    np.testing.assert_allclose(found.density.charge, [1.0, 0.0], atol=1e-12)
    single = DenseSolver(FixedFilling(0.0, 0.25), dtype="complex64").solve(shifted)  # it cannot tell them apart
    np.testing.assert_allclose(single.density.charge, [0.5, 0.5], atol=1e-6)


@pytest.mark.parametrize("ratio", [1.0, 30.0, 1e3, 1e5])
def test_chemical_potentials_in_gaps(ratio: float) -> None:
    """g levels at -1, G at +1, g electrons: mu = (kT/2) ln(g/G) for kT far below the gap, 0 for g = G at any kT."""
    kT = 2.0 / ratio
    levels, weights = np.array([-1.0, 1.0]), np.array([3.0, 3.0])
    assert find_chemical_potential(levels, weights, 3.0, kT) == pytest.approx(0.0, abs=1e-12)
    weights = np.array([3.0, 5.0])
    expected = 0.5 * kT * np.log(3.0 / 5.0)
    assert find_chemical_potential(levels, weights, 3.0, kT) == pytest.approx(
        expected, abs=2 * kT * np.exp(-0.4 * ratio) + 1e-12
    )


@pytest.mark.parametrize("texture", ["ferromagnet", "antiferromagnet"])
@pytest.mark.parametrize("filling", [0.3, 0.5, 37.0 / 72.0])
@pytest.mark.parametrize("kT", [1e-3, 1e-2, 0.3])
def test_the_rational_solver_agrees_at_small_temperatures(texture: str, filling: float, kT: float) -> None:  # noqa: N803
    magnet = operator("square", texture)
    exact = DenseSolver(FixedFilling(kT, filling)).solve(magnet)
    found = RationalSolver(FixedFilling(kT, filling), 1e-8).solve(magnet)
    np.testing.assert_allclose(found.density.spin, exact.density.spin, atol=1e-6)
    np.testing.assert_allclose(found.density.charge, exact.density.charge, atol=1e-6)
    assert found.free_energy == pytest.approx(exact.free_energy, abs=1e-6 * len(magnet))
    assert found.energy == pytest.approx(exact.energy, abs=1e-6 * len(magnet))
    assert found.electrons == pytest.approx(exact.electrons, abs=1e-6 * len(magnet))
