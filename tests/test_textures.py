"""Textures by their angles, periods, chiralities and charges, computed here from the positions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spinase import SpinAtoms, textures
from spinase.atoms import geometry_of
from spinase.errors import InvalidGeometryError, InvalidMomentsError
from spinase.geometry import Geometry
from spinase.spin_algebra import random_rotation

RNG = np.random.default_rng(0)


def lattice(name="triangular", size=(6, 6), **options):
    return geometry_of(SpinAtoms.lattice(name, size, **options))


def grid(values, size):
    return np.asarray(values).reshape(*size, -1)


def triangles(spins):
    """Spins (n1, n2, 3) -> the three corners of all upward, then downward triangles, counter-clockwise."""
    right, up = np.roll(spins, -1, axis=0), np.roll(spins, -1, axis=1)
    corner = np.roll(right, -1, axis=1)
    return (spins, right, up), (right, corner, up)


def chirality(spins):
    return np.array([np.einsum("xya,xya->xy", a, np.cross(b, c)) for a, b, c in triangles(spins)])


def charge(spins):
    total = 0.0
    for a, b, c in triangles(spins):
        pairs = sum(np.einsum("xya,xya->xy", u, v) for u, v in ((a, b), (b, c), (c, a)))
        total += 2 * np.arctan2(np.einsum("xya,xya->xy", a, np.cross(b, c)), 1 + pairs).sum()
    return total / (4 * np.pi)


CASES = [
    ("random", {}),
    ("ferro", {"direction": (1, 2, 3), "noise": 0.1}),
    ("120-degree", {}),
    ("tetrahedral", {}),
    ("spiral", {"wavevector": (1, 0, 0), "axis": (1, 0, 1)}),
    ("skyrmion-crystal", {"period": 6.0, "phase": 1.0, "magnetization": (0.0, 0.1, 0.3)}),
    ("domain-wall", {"width": 1.5, "position": [0.2, 0.7]}),
    ("skyrmion", {"radius": 2.0}),
]


@pytest.mark.parametrize(("name", "options"), CASES)
@pytest.mark.parametrize("a", [1.0, 2.7])
def test_every_texture_is_made_of_unit_vectors(name, options, a):
    spins = textures.build(name, lattice(size=(12, 12), a=a), np.random.default_rng(1), **options)
    assert spins.shape == (144, 3)
    assert np.abs(np.linalg.norm(spins, axis=1) - 1.0).max() < 1e-14


def test_the_cases_above_are_all_textures():
    assert {name for name, _ in CASES} == set(textures.TEXTURES)


def test_random_follows_the_generator():
    geo = lattice()
    first = textures.random(geo, np.random.default_rng(1))
    assert np.array_equal(first, textures.random(geo, np.random.default_rng(1)))
    assert np.abs(first.mean(axis=0)).max() < 0.35


def test_ferro_points_along_its_direction_with_the_asked_noise():
    geo = lattice(size=(60, 60))
    assert textures.ferro(geo, RNG, direction=(0, 3, 4)) == pytest.approx(np.tile([0, 0.6, 0.8], (3600, 1)))
    tilt = textures.ferro(geo, np.random.default_rng(1), noise=0.02)
    assert tilt[:, :2].std() == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize("a", [1.0, 3.1])
def test_neighbours_of_the_120_degree_order_are_at_120_degrees(a):
    spins = grid(textures.order_120(lattice(size=(6, 3), a=a), RNG), (6, 3))
    for step in ((1, 0), (0, 1), (1, -1)):
        assert np.einsum("xya,xya->xy", spins, np.roll(spins, step, axis=(0, 1))) == pytest.approx(np.full((6, 3), -0.5))
    assert np.all(spins[..., 2] == 0.0)


@pytest.mark.parametrize(("sign", "a"), [(1, 1.0), (-1, 1.0), (1, 2.4)])
def test_tetrahedral_order_has_four_spins_and_uniform_chirality(sign, a):
    spins = grid(textures.tetrahedral(lattice(size=(4, 6), a=a), RNG, chirality=sign), (4, 6))
    four = np.unique(np.round(spins.reshape(-1, 3), 9), axis=0)
    assert len(four) == 4
    assert (four @ four.T)[np.triu_indices(4, 1)] == pytest.approx(np.full(6, -1 / 3))
    values = chirality(spins)
    assert values == pytest.approx(np.full(values.shape, sign * 4 / (3 * np.sqrt(3))))


def test_tetrahedral_spins_at_the_corners_of_the_first_cell():
    spins = grid(textures.tetrahedral(lattice(size=(2, 2)), RNG), (2, 2)) * np.sqrt(3)
    assert spins[0, 0] == pytest.approx([1, 1, 1])
    assert sorted(np.round(spins.reshape(-1, 3)).tolist()) == [[-1, -1, 1], [-1, 1, -1], [1, -1, -1], [1, 1, 1]]


def test_spiral_turns_a_whole_number_of_times():
    size = (8, 2)
    spins = grid(textures.spiral(lattice("square", size), RNG, wavevector=(2, 0, 0)), size)
    angle = 2 * np.pi * 2 / 8
    assert np.einsum("xya,xya->xy", spins, np.roll(spins, 1, axis=0)) == pytest.approx(np.full(size, np.cos(angle)))
    assert np.einsum("xya,xya->xy", spins, np.roll(spins, 1, axis=1)) == pytest.approx(np.ones(size))
    assert np.cross(spins[0, 0], spins[1, 0]) == pytest.approx([0, 0, np.sin(angle)])


def test_spiral_lies_in_the_plane_of_its_axis():
    axis = np.array([1.0, -2.0, 0.5])
    spins = textures.spiral(lattice(), RNG, wavevector=(1, 2, 0), axis=axis)
    assert np.abs(spins @ axis).max() < 1e-14
    assert np.linalg.matrix_rank(spins, tol=1e-8) == 2


def test_spiral_along_an_open_direction_takes_any_wavevector():
    geo = lattice("chain", (10,), periodic=False)
    spins = textures.spiral(geo, RNG, wavevector=(1.3, 0, 0))
    assert spins[0] @ spins[1] == pytest.approx(np.cos(2 * np.pi * 0.13))


def test_skyrmion_crystal_carries_two_charges_per_magnetic_cell():
    """Period 6 on the triangular lattice: n_sk = 2 (arXiv:1703.03227)."""
    one = charge(grid(textures.skyrmion_crystal(lattice(size=(12, 12)), RNG, period=6.0), (12, 12)))
    assert abs(one) == pytest.approx(round(abs(one)), abs=1e-9)
    # reciprocal vectors of length 2 pi/6 at 120 degrees span a cell of 2/sqrt(3) 6 x 6 primitive ones: 6^2 4/3 sites
    cells = 144 / (36 * 4 / 3)
    assert abs(one) == pytest.approx(2 * cells)


@pytest.mark.parametrize(("phase", "part", "charges"), [(0, 0.1, -6), (np.pi, 0.1, 6), (np.pi / 2, 0.35, -3), (0, 1.2, 0)])
def test_the_charge_of_a_skyrmion_crystal_goes_with_its_phase_and_magnetization(phase, part, charges):
    """Two, one or no unit in each of three magnetic cells (arXiv:1703.03227); turned over it is another phase."""
    crystal = textures.skyrmion_crystal(lattice(size=(12, 12)), RNG, phase=phase, magnetization=[part] * 3)
    assert charge(grid(crystal, (12, 12))) == pytest.approx(charges, abs=1e-9)
    over = textures.skyrmion_crystal(lattice(size=(12, 12)), RNG, phase=phase + 3 * np.pi, magnetization=[-part] * 3)
    np.testing.assert_allclose(over, -crystal, atol=1e-9)


def test_phase_and_magnetization_of_a_skyrmion_crystal_beside_the_first_site():
    """One step along a row is a sixth of a turn of the first wave and a twelfth back of the two others."""
    geo = lattice(size=(12, 12))
    spins = textures.skyrmion_crystal(geo, RNG, phase=0.9, magnetization=(0.1, 0.2, -0.3))
    beside = np.flatnonzero(np.linalg.norm(geo.positions - [1.0, 0.0, 0.0], axis=1) < 1e-9)[0]
    expected = np.cos(np.array([np.pi / 3, -np.pi / 6, -np.pi / 6]) + 0.3) + [0.1, 0.2, -0.3]
    np.testing.assert_allclose(spins[beside], expected / np.linalg.norm(expected), atol=1e-12)


def test_domain_wall_profile_and_kinds():
    geo = lattice("chain", (41,), periodic=False)
    neel = textures.domain_wall(geo, RNG, width=3.0)
    x = geo.positions[:, 0] - 20.0
    assert neel[:, 2] == pytest.approx(-np.tanh(x / 3.0), abs=1e-12)
    assert neel[:, 0] == pytest.approx(1 / np.cosh(x / 3.0), abs=1e-12)
    assert neel[0, 2] > 0.99
    assert neel[-1, 2] < -0.99
    bloch = textures.domain_wall(geo, RNG, width=3.0, angle=np.pi / 2, position=0.25)
    assert bloch[10] == pytest.approx([0, 1, 0], abs=1e-15)


def test_a_sharp_wall_does_not_overflow():
    spins = textures.domain_wall(lattice("chain", (41,), periodic=False), RNG, width=1e-3)
    assert np.abs(spins[:20, 2] - 1.0).max() < 1e-12


@pytest.mark.parametrize(
    ("name", "size", "options", "message"),
    [
        ("120-degree", (4, 3), {}, "120-degree texture does not fit periodic direction 0: change the size"),
        ("tetrahedral", (4, 3), {}, "tetrahedral texture does not fit periodic direction 1"),
        ("skyrmion-crystal", (8, 12), {"period": 6.0}, "skyrmion-crystal texture does not fit periodic direction 0"),
        ("spiral", (6, 6), {"wavevector": (0.5, 0, 0)}, "does not fit the periodic direction 0: give whole turns"),
        ("tetrahedral", (1, 1), {}, "needs more than one site"),
        ("tetrahedral", (2, 2), {"chirality": 2}, "chirality must be 1 or -1, got 2"),
        ("domain-wall", (6, 6), {"width": 0.0}, "wall width must be positive, got 0"),
        ("domain-wall", (6, 6), {"width": np.nan}, "wall width must be positive"),
        ("skyrmion-crystal", (6, 6), {"period": 0.0}, "period must be positive, got 0"),
        ("skyrmion-crystal", (12, 12), {"phase": np.nan}, "finite phase and a magnetization .*, got phase=nan"),
        (
            "skyrmion-crystal",
            (12, 12),
            {"magnetization": (0, 1)},
            r"three finite numbers, got phase=0.0, magnetization=\(0, 1\)",
        ),
        ("vortex", (6, 6), {}, "unknown texture 'vortex': use one of random, ferro"),
        ("ferro", (6, 6), {"directoin": (0, 0, 1)}, "texture 'ferro' has no option 'directoin': it takes direction, noise"),
        ("random", (6, 6), {"seed": 1}, "'random' has no option 'seed': it takes none"),
    ],
)
def test_what_does_not_fit_is_refused(name, size, options, message):
    with pytest.raises(InvalidGeometryError, match=message):
        textures.build(name, lattice(size=size), RNG, **options)


def test_an_open_lattice_takes_any_size():
    spins = textures.tetrahedral(lattice(size=(5, 3), periodic=False), RNG)
    assert len(np.unique(np.round(spins, 9), axis=0)) == 4


def test_a_zero_direction_is_refused():
    with pytest.raises(InvalidMomentsError, match="direction of site 0 has zero length"):
        textures.ferro(lattice(), RNG, direction=(0, 0, 0))


@pytest.mark.parametrize("name", ["120-degree", "tetrahedral", "skyrmion-crystal"])
def test_orders_of_the_triangular_lattice_refuse_disordered_points(name):
    geo = geometry_of(SpinAtoms.disordered(24, dimension=2, density=0.6, rng=1))
    with pytest.raises(InvalidGeometryError, match="does not fit"):
        textures.build(name, geo, RNG)


# --- origin and orientation -----------------------------------------------------------------------


ORDERS = [
    ("120-degree", {}),
    ("tetrahedral", {"chirality": -1}),
    ("skyrmion-crystal", {"period": 6.0}),
    ("spiral", {"wavevector": (1, 2, 0)}),
]


@pytest.mark.parametrize(("name", "options"), [*ORDERS, ("domain-wall", {"position": [0.1, 0.6]})])
@pytest.mark.parametrize("shift", [(0.3, 0.2, 0.0), (-7.1, 123.4, 5.0)])
def test_a_shift_of_all_sites_changes_nothing(name, options, shift):
    geo = lattice(size=(12, 12), a=2.4)
    there = replace(geo, positions=geo.positions + np.array(shift))
    np.testing.assert_allclose(
        textures.build(name, there, RNG, **options), textures.build(name, geo, RNG, **options), atol=1e-9
    )


@pytest.mark.parametrize(("name", "options"), ORDERS)
def test_a_site_wrapped_into_the_box_keeps_its_spin(name, options):
    atoms = SpinAtoms.lattice("triangular", (12, 12), texture=name, **options)
    atoms.positions += [3.3, -2.2, 0.0]
    atoms.wrap()
    assert np.ptp(atoms.positions[:, 0] - lattice(size=(12, 12)).positions[:, 0]) > 1.0
    np.testing.assert_allclose(textures.build(name, geometry_of(atoms), RNG, **options), atoms.spins, atol=1e-9)


@pytest.mark.parametrize(("name", "options"), ORDERS)
@pytest.mark.parametrize("degrees", [7.0, 30.0, 60.0, 90.0, -134.0])
def test_a_texture_turns_with_lattice_and_cell_about_their_normal(name, options, degrees):
    """Spins are those of the lattice before: its directions are the cell's, spin space stays."""
    geo = lattice(size=(12, 12))
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    turned = replace(geo, positions=(geo.positions + [0.3, 0.2, 0]) @ turn.T, cell=geo.cell @ turn.T)
    np.testing.assert_allclose(
        textures.build(name, turned, RNG, **options), textures.build(name, geo, RNG, **options), atol=1e-9
    )


@pytest.mark.parametrize(("name", "options"), ORDERS)
def test_a_lattice_in_any_plane(name, options):
    """Distances between spins are what they were, by pairs of sites, and the chirality is counted from +z."""
    geo = lattice(size=(12, 12))
    before = textures.build(name, geo, RNG, **options)
    for seed in range(4):
        turn = random_rotation(np.random.default_rng(seed))
        spins = textures.build(name, replace(geo, positions=geo.positions @ turn.T, cell=geo.cell @ turn.T), RNG, **options)
        np.testing.assert_allclose(spins @ spins.T, before @ before.T, atol=1e-9)
        if name == "tetrahedral":
            assert chirality(grid(spins, (12, 12))) == pytest.approx(-np.sign(turn[2, 2]) * 4 / (3 * np.sqrt(3)))


def test_an_open_lattice_turned_without_its_cell():
    geo = lattice(size=(7, 5), periodic=False)
    for degrees in np.arange(0.0, 360.0, 15.0):
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        turned = replace(geo, positions=geo.positions @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) + 0.7)
        spins = grid(textures.tetrahedral(turned, RNG), (7, 5))
        inner = chirality(spins)[:, :-1, :-1]
        assert inner == pytest.approx(np.full(inner.shape, 4 / (3 * np.sqrt(3))))
        order = textures.order_120(turned, RNG)
        near = np.abs(np.linalg.norm(geo.positions[:, None] - geo.positions, axis=2) - 1.0) < 1e-9
        assert (order @ order.T)[near] == pytest.approx(-0.5)


def test_another_cell_of_the_same_lattice():
    """The three-site cell, at 30 degrees to the rows: either side is as near, counter-clockwise it is, round-off or not."""
    root3 = np.sqrt(3)
    cell = np.array([[1.5, root3 / 2, 0], [0, root3, 0], [0, 0, 1]])
    for noise in (0.0, 1e-13, -1e-13):
        c, s = np.cos(noise), np.sin(noise)
        turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        sites = np.array([[0, 0, 0], [0.5, root3 / 2, 0], [1, root3, 0]]) + [0.1, 0.2, 0]
        geo = Geometry(sites @ turn.T, cell, np.array([True, True, False]), np.full(3, 26))
        spins = textures.order_120(geo, RNG)
        assert spins @ spins.T == pytest.approx(np.eye(3) * 1.5 - 0.5)
        assert np.cross(spins[0], spins[1])[2] == pytest.approx(-root3 / 2), "240 degrees along the row at 60 degrees"


def test_displaced_sites_have_the_spins_of_their_lattice_points():
    geo = lattice(size=(12, 12))
    moved = replace(geo, positions=geo.positions + 0.02 * np.random.default_rng(3).normal(size=geo.positions.shape))
    for name, options in ORDERS[:3]:
        np.testing.assert_allclose(
            textures.build(name, moved, RNG, **options), textures.build(name, geo, RNG, **options), atol=1e-9
        )


@pytest.mark.parametrize("name", ["120-degree", "tetrahedral", "skyrmion-crystal"])
@pytest.mark.parametrize("kind", ["square", "honeycomb", "kagome", "chain", "cubic"])
def test_other_lattices_are_refused(name, kind):
    size = (12,) * {"chain": 1, "cubic": 3}.get(kind, 2) if kind != "cubic" else (3, 3, 3)
    for periodic in (True, False):
        with pytest.raises(InvalidGeometryError, match=f"{name} texture does not fit these sites: they are .*no triangular"):
            textures.build(name, lattice(kind, size, periodic=periodic), RNG)


def test_a_vacancy_is_named():
    geo = lattice(size=(6, 6))
    with pytest.raises(InvalidGeometryError, match="there are holes in it; set the texture before sites are removed"):
        textures.tetrahedral(geo.select(np.arange(36) != 14), RNG)


def test_a_spiral_along_a_cell_vector_that_is_not_there():
    geo = replace(lattice("chain", (10,), periodic=False), cell=np.zeros((3, 3)))
    with pytest.raises(InvalidGeometryError, match="cell vector 0 is zero: set the cell"):
        textures.spiral(geo, RNG, wavevector=(1, 0, 0))
    with pytest.raises(InvalidGeometryError, match="its parts must be finite"):
        textures.spiral(lattice(), RNG, wavevector=(np.nan, 0, 0))


def test_a_wall_does_not_mind_a_turn_about_x():
    geo = lattice(size=(12, 6), periodic=False)
    c, s = np.cos(0.7), np.sin(0.7)
    turned = replace(geo, positions=geo.positions @ np.array([[1, 0, 0], [0, c, s], [0, -s, c]]))
    np.testing.assert_allclose(textures.domain_wall(turned, RNG), textures.domain_wall(geo, RNG), atol=1e-12)


@pytest.mark.parametrize("centre", [(0.5, 0.5), (0.05, 0.9)], ids=["in the middle", "across the boundary"])
@pytest.mark.parametrize("vorticity", [1, -1])
def test_a_skyrmion_has_the_charge_of_its_vorticity(vorticity, centre):
    spins = textures.skyrmion(lattice("square", (20, 20)), RNG, 4.0, 1.2, centre, vorticity)
    assert charge(grid(spins, (20, 20))) == pytest.approx(-vorticity, abs=1e-9)
    assert spins[:, 2].min() < -0.9
    assert np.sort(spins[:, 2])[-50:].min() > 0.99


@pytest.mark.parametrize(("helicity", "outwards", "around"), [(0.0, 1.0, 0.0), (np.pi, -1.0, 0.0), (np.pi / 2, 0.0, 1.0)])
def test_the_wall_of_a_skyrmion_is_at_its_radius_and_points_where_its_helicity_says(helicity, outwards, around):
    """Four sites at a distance of R from a fifth one in their middle."""
    places = np.array([[0.0, 0, 0], [5, 0, 0], [-5, 0, 0], [0, 5, 0], [0, -5, 0]])
    cross = Geometry(places, np.zeros((3, 3)), np.zeros(3, dtype=bool), np.full(5, 26))
    spins = textures.skyrmion(cross, RNG, 5.0, 0.5, helicity=helicity)
    radial = places[1:] / 5.0
    assert spins[0] == pytest.approx([0, 0, -1])
    assert spins[1:, 2] == pytest.approx(np.zeros(4), abs=1e-12)
    assert np.sum(spins[1:] * radial, axis=1) == pytest.approx(np.full(4, outwards), abs=1e-12)
    assert np.cross(radial, spins[1:])[:, 2] == pytest.approx(np.full(4, around), abs=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"radius": 0.0}, "radius and width are positive lengths, got 0.0 and 1.5"),
        ({"vorticity": 0}, "vorticity is a whole number but 0"),
        ({"centre": (0.5,)}, "centre is two parts of the extent"),
        ({"radius": 7.0}, "meets its own image across a period of 12: make the cell larger"),
    ],
)
def test_skyrmions_that_make_no_sense_are_refused(options, message):
    with pytest.raises(InvalidGeometryError, match=message):
        textures.build("skyrmion", lattice("square", (12, 12)), RNG, **options)


@pytest.mark.parametrize("change", [[[1, 0, 0], [5, 1, 0], [0, 0, 1]], [[-3, 1, 0], [1, 0, 0], [4, -6, 1]]])
def test_a_skyrmion_does_not_mind_which_vectors_the_cell_has(change):
    """Site (x, y) at its nearest image, whatever the vectors; the third one may lead out of the plane and along it."""
    geo = lattice("square", (20, 20))
    geo = replace(geo, pbc=np.ones(3, dtype=bool))
    slanted = replace(geo, cell=np.array(change) @ geo.cell)
    options = {"radius": 3.0, "width": 0.5, "centre": (0.1, 0.3)}
    np.testing.assert_allclose(textures.skyrmion(slanted, RNG, **options), textures.skyrmion(geo, RNG, **options), atol=1e-6)
    with pytest.raises(InvalidGeometryError, match="across a period of 20"):
        textures.skyrmion(slanted, RNG, radius=11.0)


def test_a_skyrmion_sees_the_shortest_period_in_its_plane():
    """Three vectors of a crystal that is tilted: their projections span a finer lattice."""
    cell = np.array([[20.0, 0, 0], [0, 20.0, 0], [30.0, 10.0, 8.0]])
    geo = replace(lattice("square", (20, 20)), cell=cell, pbc=np.ones(3, dtype=bool))
    with pytest.raises(InvalidGeometryError, match=r"across a period of 14\.14"):
        textures.skyrmion(geo, RNG, radius=7.5)
    textures.skyrmion(geo, RNG, radius=6.0)
