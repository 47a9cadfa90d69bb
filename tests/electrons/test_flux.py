"""Peierls phases: flux of a plaquette, gradients, gauge, the spectrum at half a quantum."""

from __future__ import annotations

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.electrons import ShellHopping
from spinase.electrons.flux import peierls_phases
from spinase.errors import ModelError
from spinase.geometry import Geometry

EDGE = 4


def lattice(periodic: bool = True, shift: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Geometry:
    geometry = geometry_of(SpinAtoms.lattice("square", (EDGE, EDGE)))
    cell = geometry.cell + np.diag([0.0, 0.0, 0.0 if geometry.cell[2].any() else 1.0])
    pbc = np.array([periodic, periodic, False])
    return Geometry(geometry.positions + np.array(shift), cell, pbc, geometry.numbers)


def levels(geometry: Geometry, flux: float) -> np.ndarray:
    """Of H = -sum t exp(i phi) c+_i c_j."""
    bonds, values, _ = ShellHopping([1.0]).amplitudes(geometry)
    matrix = np.zeros((len(geometry),) * 2, dtype=complex)
    np.add.at(matrix, (bonds.first, bonds.second), -values * np.exp(1j * peierls_phases(geometry, bonds, flux)[0]))
    return np.linalg.eigvalsh(matrix + matrix.conj().T)


def test_half_a_quantum_in_every_plaquette_has_diracs_spectrum() -> None:
    """E = +-2 sqrt(cos^2 kx + cos^2 ky); without flux -2 (cos kx + cos ky)."""
    k = 2.0 * np.pi * np.arange(EDGE) / EDGE
    plain = -2.0 * (np.cos(k)[:, None] + np.cos(k))
    np.testing.assert_allclose(levels(lattice(), 0.0), np.sort(plain.ravel()), atol=1e-12)
    found = levels(lattice(), EDGE**2 / 2)
    assert found[0] == pytest.approx(-2.0 * np.sqrt(2.0))
    np.testing.assert_allclose(found, -found[::-1], atol=1e-12)
    assert np.sum(found**2) == pytest.approx(4 * EDGE**2), "Tr H^2 counts bonds whatever the flux"


def test_a_whole_quantum_in_every_plaquette_is_none() -> None:
    np.testing.assert_allclose(levels(lattice(), EDGE**2), levels(lattice(), 0.0), atol=1e-10)


@pytest.mark.parametrize("flux", [1.0, 3.0, -5.0])
def test_only_the_flux_counts_of_an_open_piece(flux: float) -> None:
    """Another origin is another gauge; on a torus it also twists the two ways around, by 2 pi flux shift/edge."""
    shift = (0.37, -1.2, 0.4)
    np.testing.assert_allclose(levels(lattice(False, shift), flux), levels(lattice(False), flux), atol=1e-10)
    np.testing.assert_allclose(levels(lattice(), -flux), levels(lattice(), flux), atol=1e-10)
    whole = (EDGE / flux, -2.0 * EDGE / flux, 0.0)
    np.testing.assert_allclose(levels(lattice(True, whole), flux), levels(lattice(), flux), atol=1e-10)
    less = levels(lattice(True, (0.2 * EDGE / flux, 0.0, 0.0)), flux)
    assert np.abs(less - levels(lattice(), flux)).max() > 1e-3


def test_every_plaquette_of_a_torus_encloses_its_part() -> None:
    """Tr H^4 counts closed paths of four steps: 28 per site that enclose nothing, 8 around a plaquette, cos(2 pi phi) each.

    Both ways around the torus (edge 4) close in four steps, too; those get no flux, but a phase of where they are.
    """
    geometry = geometry_of(SpinAtoms.lattice("square", (6, 6)))
    geometry = Geometry(
        geometry.positions,
        geometry.cell + np.diag([0, 0, float(not geometry.cell[2].any())]),
        geometry.pbc,
        geometry.numbers,
    )
    for flux in (0.0, 1.0, 4.0, 9.0):
        found = np.sum(levels(geometry, flux) ** 4) / 36
        assert found == pytest.approx(28.0 + 8.0 * np.cos(2.0 * np.pi * flux / 36), rel=1e-10)


def test_every_triangle_of_a_triangular_torus_encloses_its_part() -> None:
    """Tr H^3 counts triangles, 2 a site, each from three corners and both ways round; bonds cross the cell aslant."""
    geometry = geometry_of(SpinAtoms.lattice("triangular", (6, 6)))
    cell = geometry.cell + np.diag([0.0, 0.0, float(not geometry.cell[2].any())])
    geometry = Geometry(geometry.positions + [0.3, -0.2, 0.0], cell, geometry.pbc, geometry.numbers)
    for flux in (0.0, 1.0, -5.0, 18.0):
        found = np.sum(levels(geometry, flux) ** 3) / 36
        assert found == pytest.approx(-12.0 * np.cos(np.pi * flux / 36), abs=1e-9)


def test_gradients_of_the_phases() -> None:
    geometry = lattice()
    bonds, _, _ = ShellHopping([1.0]).amplitudes(geometry)
    _, first, second = peierls_phases(geometry, bonds, 3.0)
    push, step = np.random.default_rng(2).normal(size=geometry.positions.shape), 1e-5
    ends = []
    for sign in (-1.0, 1.0):
        moved = Geometry(geometry.positions + sign * step * push, geometry.cell, geometry.pbc, geometry.numbers)
        ends.append(peierls_phases(moved, bonds, 3.0)[0])
    along = np.sum(first * push[bonds.first] + second * push[bonds.second], axis=1)
    np.testing.assert_allclose((ends[1] - ends[0]) / (2.0 * step), along, atol=1e-8)
    assert np.abs(along).max() > 0.1


def test_parts_of_a_quantum_need_an_open_boundary() -> None:
    bonds, _, _ = ShellHopping([1.0]).amplitudes(lattice())
    with pytest.raises(ModelError, match=r"flux = 0\.5 quanta .* whole number .*open a boundary"):
        peierls_phases(lattice(), bonds, 0.5)
    peierls_phases(lattice(periodic=False), ShellHopping([1.0]).amplitudes(lattice(periodic=False))[0], 0.5)


def test_flux_needs_a_cell() -> None:
    flat = Geometry(np.eye(3), np.zeros((3, 3)), np.zeros(3, dtype=bool), np.full(3, 26))
    bonds, _, _ = ShellHopping([1.0]).amplitudes(flat)
    with pytest.raises(ModelError, match="three independent cell vectors: set a cell"):
        peierls_phases(flat, bonds, 1.0)
