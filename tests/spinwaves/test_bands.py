"""Magnon bands against closed forms, for cells and spirals, in both unit systems; instabilities and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.calculators import (
    BiquadraticCalculator,
    CubicAnisotropyCalculator,
    DipoleCalculator,
    DMICalculator,
    HeisenbergCalculator,
    SlonczewskiCalculator,
    SpinSumCalculator,
    UniaxialAnisotropyCalculator,
    ZeemanCalculator,
)
from spinase.contract import NotConservativeError, field_function
from spinase.errors import ConvergenceError, InvalidGeometryError, ModelError, UnstableStateWarning
from spinase.spinwaves import (
    Spiral,
    classical_hessian,
    connect_bands,
    difference_hessian,
    magnon_bands,
    magnon_density_of_states,
    magnon_mesh,
    wavevectors_of,
)
from spinase.units import METAL

WAVES = np.random.default_rng(3).uniform(-4.0, 4.0, size=(25, 3)) * [1.0, 1.0, 0.0]
ALONG = np.linspace(-3.0, 3.0, 25)[:, None] * [1.0, 0.0, 0.0]


def magnet(name: str, size: tuple[int, ...], calc: object, spins: object = (0.0, 0.0, 1.0)) -> SpinAtoms:
    atoms = SpinAtoms.lattice(name, size, units="reduced", texture="ferro")
    atoms.spins = spins
    atoms.calc = calc
    return atoms


def test_ferromagnets() -> None:
    """Square: 4 J (1 - gamma); honeycomb: J (3 -+ |f|); kagome: flat at 6 J; a cell of one site is enough."""
    qx, qy = WAVES[:, 0], WAVES[:, 1]
    bands = magnon_bands(classical_hessian(magnet("square", (1, 1), HeisenbergCalculator([1.0]))), WAVES)
    np.testing.assert_allclose(bands.frequencies[:, 0], 4.0 - 2.0 * np.cos(qx) - 2.0 * np.cos(qy), atol=1e-10)
    honeycomb = magnon_bands(classical_hessian(magnet("honeycomb", (1, 1), HeisenbergCalculator([1.0]))), WAVES)
    steps = np.array([[0.0, 1.0], [np.sqrt(0.75), -0.5], [-np.sqrt(0.75), -0.5]])
    size = np.abs(np.exp(1j * WAVES[:, :2] @ steps.T).sum(axis=1))
    np.testing.assert_allclose(honeycomb.frequencies, np.stack([3.0 - size, 3.0 + size], axis=1), atol=1e-10)
    kagome = magnon_bands(classical_hessian(magnet("kagome", (1, 1), HeisenbergCalculator([1.0]))), WAVES)
    np.testing.assert_allclose(kagome.frequencies[:, 2], 6.0, atol=1e-10)
    np.testing.assert_allclose(kagome.precession((0.0, 0.0, 2.0)), 1.0, atol=1e-10)


def test_a_ferromagnet_in_metal_units_with_its_g_factor() -> None:
    """hbar omega = g mu_B [(2 J (1 - cos qa) + 2 K)/mu + B]."""
    atoms = SpinAtoms.lattice("chain", (1,), a=2.5, texture="ferro", moment=2.2)
    atoms.g_factors = 2.1
    terms = [HeisenbergCalculator([0.02]), UniaxialAnisotropyCalculator(0.001), ZeemanCalculator((0, 0, 5 * METAL.tesla))]
    atoms.calc = SpinSumCalculator(terms)
    found = magnon_bands(classical_hessian(atoms), ALONG / 2.5).energies[:, 0]
    expected = 2.1 * ((0.04 * (1 - np.cos(ALONG[:, 0])) + 0.002) / 2.2 + 5 * METAL.tesla)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_an_antiferromagnetic_chain_in_a_field() -> None:
    """omega = sqrt(A^2 - B_q^2) +- h, A = 2 |J| + 2 K, B_q = 2 |J| cos q: the two senses of precession."""
    terms = [HeisenbergCalculator([-1.0]), UniaxialAnisotropyCalculator(0.1), ZeemanCalculator((0, 0, 0.3))]
    atoms = magnet("chain", (2,), SpinSumCalculator(terms), [[0, 0, 1.0], [0, 0, -1.0]])
    bands = magnon_bands(classical_hessian(atoms), ALONG)
    middle = np.sqrt(2.2**2 - (2.0 * np.cos(ALONG[:, 0])) ** 2)
    np.testing.assert_allclose(bands.frequencies, np.stack([middle - 0.3, middle + 0.3], axis=1), atol=1e-10)
    np.testing.assert_allclose(bands.precession((0, 0, 1)), np.tile([-1.0, 1.0], (25, 1)), atol=1e-8)
    atoms.calc = SpinSumCalculator(terms[:2])
    bands = magnon_bands(classical_hessian(atoms), ALONG)
    assert (bands.groups() == 0).all()
    np.testing.assert_allclose(bands.precession((0, 0, 1)), np.tile([-1.0, 1.0], (25, 1)), atol=1e-8)


def test_dmi_tells_q_from_minus_q() -> None:
    """Along D, spins along x: omega = 2 J (1 - cos q) + 2 D sin q + 2 K: s_i x s_j along D costs less, q < 0 turns so."""
    calc = SpinSumCalculator(
        [HeisenbergCalculator([1.0]), DMICalculator([0.2]), UniaxialAnisotropyCalculator(0.3, (1, 0, 0))]
    )
    bands = magnon_bands(classical_hessian(magnet("chain", (1,), calc, (1.0, 0.0, 0.0))), ALONG)
    q = ALONG[:, 0]
    np.testing.assert_allclose(bands.frequencies[:, 0], 2 * (1 - np.cos(q)) + 0.4 * np.sin(q) + 0.6, atol=1e-10)
    np.testing.assert_allclose(bands.partners, bands.frequencies[::-1], atol=1e-10)


def test_the_spiral_of_a_frustrated_chain() -> None:
    """omega^2 = [J(Q) - J(k)] [J(Q) - (J(k + Q) + J(k - Q))/2] at cos Q = -J1/(4 J2); at another Q it is no minimum."""
    first, second = 1.0, -0.6

    def exchange(k: np.ndarray | float) -> np.ndarray:
        return np.asarray(2 * first * np.cos(k) + 2 * second * np.cos(2 * k))

    turn = np.arccos(-first / (4 * second))
    atoms = magnet("chain", (1,), HeisenbergCalculator([first, second]), (1.0, 0.0, 0.0))
    bands = magnon_bands(classical_hessian(atoms, Spiral((turn, 0, 0), (0, 0, 1))), ALONG)
    k = ALONG[:, 0]
    squares = (exchange(turn) - exchange(k)) * (exchange(turn) - 0.5 * (exchange(k + turn) + exchange(k - turn)))
    np.testing.assert_allclose(bands.frequencies[:, 0] ** 2, squares, atol=1e-9)
    with pytest.warns(UnstableStateWarning, match=r"falls along waves at \d+ of 25 wavevectors, most at q = \[.*"):
        wrong = magnon_bands(classical_hessian(atoms, Spiral((0.5 * turn, 0, 0), (0, 0, 1))), ALONG)
    assert wrong.curvatures.min() < -0.01
    assert wrong.growth.max() > 0.01


def test_120_degrees_as_spiral_as_cell_and_by_differences() -> None:
    """Triangular antiferromagnet: omega = 3 |J| sqrt((1 - nu)(1 + 2 nu)); three bands of the magnetic cell are its folds."""
    spiral = Spiral((4 * np.pi / 3, 0, 0), (0, 0, 1))
    calc = HeisenbergCalculator([-1.0])
    qx, qy = WAVES[:, 0], WAVES[:, 1]
    nu = (np.cos(qx) + 2 * np.cos(qx / 2) * np.cos(np.sqrt(3) / 2 * qy)) / 3
    expected = 3 * np.sqrt((1 - nu) * (1 + 2 * nu))
    one = magnon_bands(classical_hessian(magnet("triangular", (1, 1), calc, (1.0, 0.0, 0.0)), spiral), WAVES)
    np.testing.assert_allclose(one.frequencies[:, 0], expected, atol=1e-9)
    cell = SpinAtoms.lattice("triangular", (3, 3), units="reduced", texture="120-degree")
    cell.calc = calc
    folded = magnon_bands(classical_hessian(cell), WAVES).frequencies
    np.testing.assert_allclose(np.abs(folded - expected[:, None]).min(axis=1), 0.0, atol=1e-8)
    by_differences = difference_hessian(cell, (3, 3, 1), spiral)
    np.testing.assert_allclose(magnon_bands(by_differences, WAVES).frequencies[:, 0], expected, atol=1e-7)
    assert by_differences.range_error == 0.0


def all_terms() -> SpinSumCalculator:
    """A canted magnet has no symmetry left that could hide a wrong factor."""
    return SpinSumCalculator(
        [
            HeisenbergCalculator([-1.0, 0.2]),
            BiquadraticCalculator([0.1]),
            DMICalculator([0.15], normal=(0, 0, 1)),
            CubicAnisotropyCalculator(0.2, sixth_order=0.3),
            UniaxialAnisotropyCalculator(0.25, (1, 0.5, 2)),
            ZeemanCalculator((0.3, 0.2, 0.9)),
        ]
    )


def test_every_term_agrees_with_differences_of_its_fields() -> None:
    """At random wavevectors, on a supercell wide enough for all pairs; the state is found by many small steps downhill."""
    atoms = magnet("chain", (2,), all_terms(), [[0.2, 0.1, 1.0], [-0.3, 0.5, -0.4]])
    field, spins = field_function(atoms, atoms.calc), atoms.spins
    for _ in range(600):
        fields = field(spins)
        spins = spins + 0.1 * (fields - spins * np.einsum("ia,ia->i", fields, spins)[:, None])
        spins /= np.linalg.norm(spins, axis=1)[:, None]
    atoms.spins = spins
    supercell = atoms.repeat((4, 1, 1))
    supercell.calc = all_terms()
    closed, differences = classical_hessian(atoms), difference_hessian(supercell, (4, 1, 1))
    assert differences.uncertainty < 1e-5
    np.testing.assert_allclose(closed.at(ALONG), differences.at(ALONG), atol=1e-6)
    np.testing.assert_allclose(
        magnon_bands(closed, ALONG).frequencies, magnon_bands(differences, ALONG).frequencies, atol=1e-5
    )


def test_bands_are_connected_through_crossings() -> None:
    """Two sites of a ferromagnetic chain: the folded bands 2 (1 -+ cos q) cross at the zone boundary, and go on."""
    bands = magnon_bands(
        classical_hessian(magnet("chain", (2,), HeisenbergCalculator([1.0]))),
        np.linspace(0.01, 3.1, 60)[:, None] * [1, 0, 0],
    )
    q = bands.wavevectors[:, 0]
    assert np.abs(bands.frequencies[:, 0] - 2 * (1 - np.cos(q))).max() > 1.0
    joined = connect_bands(bands)
    np.testing.assert_allclose(joined.frequencies, np.stack([2 * (1 - np.cos(q)), 2 * (1 + np.cos(q))], axis=1), atol=1e-9)
    overlaps = np.einsum("kim,kin->kmn", joined.modes[:-1].conj(), joined.modes[1:])
    assert np.abs(overlaps[:, [0, 1], [0, 1]]).min() > 0.99


def test_the_density_of_states_counts_the_bands() -> None:
    hessian = classical_hessian(magnet("honeycomb", (1, 1), HeisenbergCalculator([1.0])))
    energies = np.linspace(-2.0, 8.0, 401)
    density = magnon_density_of_states(hessian, (12, 12, 1), energies, 0.2)
    assert density.sum() * 0.025 == pytest.approx(2.0, abs=1e-6)
    assert (density * energies).sum() * 0.025 == pytest.approx(6.0, abs=1e-6)  # the trace of Phi at one site: 3 + 3
    assert len(magnon_mesh(hessian, (3, 4, 1))) == 12
    with pytest.raises(ModelError, match="1 along open directions"):
        magnon_mesh(hessian, (3, 4, 2))
    with pytest.raises(ModelError, match="positive energy, got 0"):
        magnon_density_of_states(hessian, (2, 2, 1), energies, 0.0)


def test_a_band_path_of_ase() -> None:
    atoms = magnet("square", (1, 1), HeisenbergCalculator([1.0]))
    path = atoms.cell.bandpath("GX", npoints=11, pbc=atoms.pbc)
    np.testing.assert_allclose(wavevectors_of(path)[-1], [0, np.pi, 0], atol=1e-12)
    assert magnon_bands(classical_hessian(atoms), path).frequencies[-1, 0] == pytest.approx(4.0)


def test_what_has_no_bands_is_refused() -> None:
    atoms = magnet("square", (2, 2), HeisenbergCalculator([1.0]), [[0, 0, 1.0], [0, 0.3, 1], [0, 0, 1], [0, 0, 1]])
    with pytest.raises(ConvergenceError, match=r"not stationary: the largest \|s x B\| is .* \(site 1\); relax"):
        classical_hessian(atoms)
    atoms = magnet("square", (4, 4), DipoleCalculator(0.1))
    atoms.pbc = False
    with pytest.raises(ModelError, match=r"no closed form here .*difference_hessian\(supercell, cells\)"):
        classical_hessian(atoms)
    atoms = magnet("square", (2, 2), SlonczewskiCalculator((0, 0, 1), 0.1))
    with pytest.raises(NotConservativeError, match="no spin waves"):
        classical_hessian(atoms)
    atoms = magnet("chain", (1,), SpinSumCalculator([HeisenbergCalculator([1.0]), UniaxialAnisotropyCalculator(0.1)]))
    with pytest.raises(ModelError, match=r"an anisotropy is not invariant when all spins turn about its axis \[1.0, 0.0"):
        classical_hessian(atoms, Spiral((0.3, 0, 0), (1, 0, 0)))
    with pytest.raises(ModelError, match="the axis of a spiral must be three finite numbers"):
        Spiral((0.3, 0, 0), (0, 0, 0))
    with pytest.raises(ModelError, match=r"wavevectors must be finite, of shape \(m, 3\)"):
        magnon_bands(classical_hessian(atoms), [[1.0, 2.0]])


def test_supercells_that_do_not_fold_are_refused() -> None:
    atoms = magnet("chain", (4,), HeisenbergCalculator([1.0]))
    with pytest.raises(InvalidGeometryError, match=r"no repetition \(3, 1, 1\) of one cell"):
        difference_hessian(atoms, (3, 1, 1))
    with pytest.raises(InvalidGeometryError, match="1 along open directions"):
        difference_hessian(atoms, (4, 2, 1))
    with pytest.raises(ModelError, match=r"spiral turns \[0.636.* must be whole numbers"):
        difference_hessian(atoms, (4, 1, 1), Spiral((1.0, 0, 0), (0, 0, 1)))
    atoms.calc, atoms.spins = HeisenbergCalculator([-1.0]), np.array([[0, 0, 1.0], [0, 0, -1]] * 2)
    with pytest.raises(ModelError, match="the spins do not repeat from cell to cell: those of site 1"):
        difference_hessian(atoms, (4, 1, 1))


def test_the_cell_and_the_places_of_its_sites_do_not_matter() -> None:
    """A slanted cell of the same lattice, and sites that are several cells away from home."""
    expected = magnon_bands(classical_hessian(magnet("honeycomb", (1, 1), HeisenbergCalculator([1.0, 0.3]))), WAVES)
    for slant, away in ((0, 7), (5, 0), (-4, 3)):
        atoms = magnet("honeycomb", (1, 1), HeisenbergCalculator([1.0, 0.3]))
        atoms.set_cell(np.array([[1, 0, 0], [slant, 1, 0], [0, 0, 1]]) @ atoms.cell.array, scale_atoms=False)
        atoms.positions[1] += away * atoms.cell.array[0]
        found = magnon_bands(classical_hessian(atoms), WAVES)
        np.testing.assert_allclose(found.frequencies, expected.frequencies, atol=1e-9)
        large = atoms.repeat((5, 5, 1))
        large.positions[3] -= 4 * large.cell.array[1]
        large.calc = HeisenbergCalculator([1.0, 0.3])
        hessian = difference_hessian(large, (5, 5, 1))
        np.testing.assert_allclose(magnon_bands(hessian, WAVES).frequencies, expected.frequencies, atol=1e-6)
        assert hessian.range_error < 1e-6
