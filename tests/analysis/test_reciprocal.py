"""Primitive lattices, Brillouin zones, stars, and what the structure factors and lengths make of them."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from spinase import SpinAtoms
from spinase.analysis import (
    brillouin_zone,
    chirality_correlation_length,
    chirality_structure_factor,
    commensurate_mesh,
    commensurate_wavevectors,
    correlation_length,
    primitive_lattice,
    scalar_chirality,
    spin_correlation,
    spin_temperature,
    staggered_magnetization,
    structure_factor,
    topological_density,
    torque_norms,
    triangles,
)
from spinase.analysis.reciprocal import star
from spinase.atoms import set_moments
from spinase.errors import InvalidGeometryError, InvalidMomentsError

LATTICES = [("chain", (7,), 1, 2), ("square", (6, 4), 1, 4), ("triangular", (6, 4), 1, 6), ("honeycomb", (3, 3), 2, 6),
            ("kagome", (3, 4), 3, 6), ("cubic", (3, 2, 4), 1, 6)]  # fmt: skip


@pytest.mark.parametrize(("name", "size", "basis", "neighbours"), LATTICES)
def test_primitive_cells_are_found_and_the_zone_has_one_wavevector_each(
    name: str, size: tuple[int, ...], basis: int, neighbours: int
) -> None:
    atoms = SpinAtoms.lattice(name, size, a=2.3, rng=1)
    lattice = primitive_lattice(atoms)
    assert lattice.cells * basis == len(atoms)
    assert lattice.is_lattice
    waves = brillouin_zone(lattice).wavevectors
    assert len(waves) == lattice.cells
    turns = waves @ lattice.frame.T / (2 * np.pi)
    np.testing.assert_allclose(turns, np.round(turns), atol=1e-9)
    # no two are equivalent, and none is nearer to another reciprocal lattice point than to the origin
    phases = np.exp(1j * waves @ lattice.vectors.T)
    distances = np.linalg.norm(phases[:, None] - phases[None], axis=2) + 9 * np.eye(len(waves))
    assert distances.min() > 1e-3
    shortest = np.linalg.norm(lattice.reciprocal, axis=1).min()
    nearest = star(lattice, np.array([0.1 * shortest, 0, 0]))
    assert np.linalg.norm(waves, axis=1).max() <= np.linalg.norm(lattice.reciprocal, axis=1).sum() / 2 + 1e-9
    assert len(nearest) == neighbours


def test_primitive_cell_of_a_crystal_given_in_another_cell() -> None:
    cubic = Atoms("Fe2", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=[2.87] * 3, pbc=True).repeat((3, 2, 2))
    set_moments(cubic, [0, 0, 2.2])
    lattice = primitive_lattice(cubic)  # body-centred: two primitive cells in a cubic one
    assert lattice.cells == 24
    np.testing.assert_allclose(np.linalg.norm(lattice.vectors, axis=1), 2.87 * np.sqrt(3) / 2)
    assert len(brillouin_zone(lattice)) == 24
    moments = np.tile([0.0, 0, 2.2], (24, 1))
    moments[::2] *= -1  # corner and centre: the antiferromagnet
    set_moments(cubic, moments)
    peak = structure_factor(cubic)
    assert peak.values.max() == pytest.approx(24.0)
    moments[::2] = 0.0  # only the centres carry moments
    set_moments(cubic, moments)
    assert primitive_lattice(cubic).cells == 12


def test_skewed_and_open_cells() -> None:
    atoms = SpinAtoms.lattice("triangular", (6, 6), texture="120-degree")
    atoms.set_cell(np.diag([1.0, 1, 1]) @ atoms.cell.array + np.array([[0, 0, 0], [1, 0, 0], [0, 0, 0]]) * atoms.cell[0, 0])
    assert primitive_lattice(atoms).cells == 36
    assert np.linalg.norm(structure_factor(atoms).wavevectors, axis=1).max() == pytest.approx(4 * np.pi / 3)
    ribbon = SpinAtoms.lattice("square", (5, 4), periodic=(True, False))
    assert primitive_lattice(ribbon).cells == 20
    with pytest.raises(InvalidGeometryError, match="single site with open boundaries"):
        primitive_lattice(SpinAtoms("Fe", spins=[0, 0, 1]))
    with pytest.raises(InvalidGeometryError, match="no sites"):
        primitive_lattice(Atoms(cell=[1, 1, 1], pbc=True))


def test_disordered_sites_have_no_lattice_and_a_mesh_up_to_a_cutoff() -> None:
    atoms = SpinAtoms.disordered(60, dimension=2, rng=1)
    lattice = primitive_lattice(atoms)
    assert (lattice.cells, lattice.is_lattice) == (1, False)
    lengths = np.linalg.norm(commensurate_wavevectors(atoms), axis=1)
    assert 2.8 * np.pi < lengths.max() <= 3.0 * np.pi
    step = 2 * np.pi / atoms.cell[0, 0]
    count = sum(1 for n in range(-9, 10) for m in range(-9, 10) if np.hypot(n, m) * step <= 3.0)
    assert len(commensurate_mesh(lattice, 3.0)) == count
    for cutoff in (-1.0, np.nan):
        with pytest.raises(InvalidGeometryError, match="positive 1/length"):
            commensurate_mesh(lattice, cutoff)
    with pytest.raises(InvalidGeometryError, match="millions of points"):
        commensurate_mesh(lattice, 1e5)


@pytest.mark.parametrize(("name", "size"), [(name, size) for name, size, *_ in LATTICES])
def test_mesh_sum_equals_the_direct_sum(name: str, size: tuple[int, ...]) -> None:
    atoms = SpinAtoms.lattice(name, size, rng=2)
    atoms.positions += (
        0.1 * np.random.default_rng(0).normal(size=atoms.positions.shape) * (np.ptp(atoms.positions, axis=0) > 0)
    )
    mesh = commensurate_mesh(primitive_lattice(atoms), 6.0)
    direct = [np.sum(np.abs(np.exp(-1j * atoms.positions @ q) @ atoms.spins) ** 2) / len(atoms) for q in mesh.wavevectors]
    np.testing.assert_allclose(structure_factor(atoms, mesh).values, direct, atol=1e-10)
    np.testing.assert_allclose(structure_factor(atoms, mesh.wavevectors).values, direct, atol=1e-10)


def test_moment_lengths_do_not_enter_and_empty_sites_do_not_count() -> None:
    atoms = SpinAtoms.lattice("square", (4, 4), moment=3.0)
    assert structure_factor(atoms, [0, 0, 0]).values == pytest.approx([16.0])
    moments = atoms.moments.copy()
    moments[:4] = 0.0
    atoms.moments = moments
    assert structure_factor(atoms, [0, 0, 0]).values == pytest.approx([12.0])
    assert np.abs(staggered_magnetization(atoms, [0, 0, 0])) == pytest.approx([0, 0, 3.0])
    with pytest.raises(InvalidGeometryError, match="three finite numbers"):
        staggered_magnetization(atoms, [0.0, np.nan, 0.0])


def test_correlation_length_of_a_peak_of_known_width() -> None:
    # a wave of q0 on top of a ferromagnet: S(0) and S(+-q0) are the only weights; L^-1 = q0 (S+ + S-)/sum S
    atoms = SpinAtoms.lattice("triangular", (12, 12))
    wave = primitive_lattice(atoms).reciprocal[0] / 12
    angle = 0.6 * np.cos(atoms.positions @ wave)
    atoms.spins = np.stack([np.sin(angle), 0 * angle, np.cos(angle)], axis=1)
    peaks = structure_factor(atoms)
    lengths = np.linalg.norm(peaks.wavevectors, axis=1)
    assert correlation_length(atoms) == pytest.approx(144 / np.sum(lengths * peaks.values))
    # the same modulation about any ordering wavevector of the star has the same length
    for centre in ("M", "K"):
        shifted = {"M": primitive_lattice(atoms).reciprocal[0] / 2, "K": np.array([4 * np.pi / 3, 0, 0])}[centre]
        phase = atoms.positions @ shifted
        turned = np.stack([np.cos(phase + angle), np.sin(phase + angle), 0 * phase], axis=1)
        atoms.spins = turned
        reference = SpinAtoms.lattice("triangular", (12, 12))
        reference.spins = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
        assert correlation_length(atoms) == pytest.approx(correlation_length(reference))


def test_multiple_peaks_of_one_star_are_one_order() -> None:
    for texture in ("ferro", "120-degree", "tetrahedral"):
        assert correlation_length(SpinAtoms.lattice("triangular", (6, 6), texture=texture)) == np.inf
    random = SpinAtoms.lattice("triangular", (16, 16), rng=3)
    assert 0.2 < correlation_length(random) < 1.5, "no order: of the order of the lattice constant"
    disordered = SpinAtoms.disordered(80, dimension=2, rng=3)
    disordered.spins = [0, 0, 1.0]
    aligned = correlation_length(disordered)
    disordered.spins = np.random.default_rng(1).normal(size=(80, 3))
    assert aligned > 2.0 * correlation_length(disordered) > 0.4


def test_chirality_structure_factor_and_domain_length() -> None:
    atoms = SpinAtoms.lattice("triangular", (8, 8), texture="tetrahedral")
    assert chirality_structure_factor(atoms, wavevectors=[0, 0, 0]).values == pytest.approx([128 * 16 / 27])
    assert chirality_correlation_length(atoms) == np.inf
    lengths = []
    for period in (2, 1):  # stripes of chirality +-, one or two pairs along y
        wide = SpinAtoms.lattice("triangular", (16, 16), texture="tetrahedral")
        stripe = np.sign(np.sin(2 * np.pi * period * (wide.positions[:, 1] + 0.2) / wide.cell[1, 1]))
        wide.spins = wide.spins * np.stack([stripe * 0 + 1, stripe * 0 + 1, stripe], axis=1)
        assert abs(scalar_chirality(wide).mean()) < 0.05
        result = chirality_structure_factor(wide)
        expected = result.values.sum() / np.sum(np.linalg.norm(result.wavevectors, axis=1) * result.values)
        lengths.append(chirality_correlation_length(wide))
        assert lengths[-1] == pytest.approx(expected)
    assert 1.3 < lengths[1] / lengths[0] < 2.2, "twice as wide domains"


def test_correlation_sum_rule_and_bins() -> None:
    atoms = SpinAtoms.disordered(30, density=1.0, rng=5)
    edge = atoms.cell[0, 0]
    found = spin_correlation(atoms, bins=[0.0, 0.5 * edge])
    gaps = atoms.get_all_distances(mic=True)
    pairs = np.triu(gaps < 0.5 * edge, 1)
    assert found.counts[0] == pairs.sum()
    assert found.values[0] == pytest.approx((atoms.spins @ atoms.spins.T)[pairs].mean())
    assert found.distances == pytest.approx([0.25 * edge])
    ferro = SpinAtoms.lattice("cubic", (4, 4, 4))
    gap = ferro.moments.copy()
    gap[63] = 0.0
    vacant = SpinAtoms(ferro, moments=gap)
    assert spin_correlation(vacant, r_max=1.1).counts.tolist() == [192 - 6], "an empty site has no pairs"
    shells = spin_correlation(ferro, r_max=2.0)
    assert shells.counts.tolist() == [64 * n // 2 for n in (6, 12, 8, 6)]
    assert shells.values == pytest.approx(np.ones(4))
    cluster = SpinAtoms("Fe2", positions=[[0, 0, 0], [1.0, 0, 0]], spins=[[0, 0, 1.0], [0, 1.0, 1.0]])
    assert spin_correlation(cluster, r_max=2.0, bins=2).values[1] == pytest.approx(np.sqrt(0.5))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"r_max": -1.0}, "r_max must be a positive length"),
        ({"r_max": 0.5}, "closer than r_max"),
        ({"r_max": 0.5, "bins": 3}, "no pair of magnetic sites"),
        ({"bins": 0}, "number of distance bins must be positive"),
        ({"bins": [0.0, 2.0, 1.0]}, "increasing distances"),
    ],
)
def test_bad_ranges_and_bins(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidGeometryError, match=message):
        spin_correlation(SpinAtoms.lattice("square", (4, 4)), **options)  # type: ignore[arg-type]


def test_bad_vectors() -> None:
    with pytest.raises(InvalidMomentsError, match=r"torques must have shape \(N, 3\)"):
        torque_norms([1.0, 2.0])
    with pytest.raises(InvalidMomentsError, match="must both be"):
        spin_temperature([[0, 0, 1.0]], [0, 0, 1.0])
    with pytest.raises(InvalidMomentsError, match=r"sum m\.B is zero"):
        spin_temperature([[0, 0, 1.0]], [[1.0, 0, 0]])
    with pytest.raises(InvalidMomentsError, match="no site has a magnetic moment"):
        scalar_chirality(Atoms("Fe3", positions=[[0, 0, 0], [1, 0, 0], [0, 1, 0]]))


def test_triangles_are_counter_clockwise_and_fill_the_cell() -> None:
    for name in ("square", "triangular", "honeycomb", "kagome"):
        for size in ((1, 1), (2, 1), (3, 4)):
            atoms = SpinAtoms.lattice(name, size, rng=1)
            found = triangles(atoms, "delaunay")
            areas = found.areas(atoms)
            assert areas.min() > 0.0
            assert areas.sum() == pytest.approx(atoms.get_volume())
            assert np.abs(topological_density(atoms, found)).max() < 0.5
    one = SpinAtoms("Fe3", positions=[[0, 0, 0], [1, 0, 0], [0.5, 0.9, 0]], spins=np.eye(3))
    assert scalar_chirality(one, "delaunay") == pytest.approx([1.0]), "x, y, z counter-clockwise"
    assert topological_density(one) == pytest.approx([1 / 8]), "an octant of the sphere"
    one.positions[:, 0] *= -1
    assert scalar_chirality(one, "delaunay") == pytest.approx([-1.0]), "the mirror image"
    wall = SpinAtoms.lattice("triangular", (4, 4), rng=1)
    wall.moments = wall.moments * (np.arange(16) != 5)[:, None]
    assert len(triangles(wall)) == 32 - 6, "a vacancy takes its six triangles away"


def test_coplanar_order_has_no_charge_of_either_sign() -> None:
    order = SpinAtoms.lattice("triangular", (6, 6), texture="120-degree")
    order.rotate_spins((1, 2, 3), 0.7)  # round-off gives the flat triangles a random tiny volume
    assert np.array_equal(topological_density(order), np.zeros(72))


def test_triangles_that_cannot_be() -> None:
    line = SpinAtoms("Fe4", positions=[[k, 0, 0] for k in range(4)], spins=[0, 0, 1])
    with pytest.raises(InvalidGeometryError, match="in line"):
        triangles(line, "delaunay")
    with pytest.raises(InvalidGeometryError, match="three sites that are not in line, got 2"):
        triangles(line[:2], "delaunay")
    tilted = SpinAtoms.lattice("square", (3, 3))
    tilted.set_cell(tilted.cell.array + [[0, 0, 1], [0, 0, 0], [0, 0, 0]])
    with pytest.raises(InvalidGeometryError, match="leaves the plane"):
        triangles(tilted, "delaunay")
    twice = SpinAtoms.lattice("triangular", (3, 3))
    twice.positions[4] = twice.positions[1]
    with pytest.raises(InvalidGeometryError, match="does not close"):
        triangles(twice, "delaunay")
