"""SpinAtoms and the plain functions behind it."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st

from spinase import SpinAtoms
from spinase import atoms as sa
from spinase.errors import InvalidGeometryError, InvalidMomentsError, UnitMismatchError


@pytest.fixture
def magnet() -> SpinAtoms:
    atoms = SpinAtoms("Fe3", positions=np.diag([1.0, 2.0, 3.0]), cell=5 * np.eye(3), pbc=True)
    atoms.moments = [[2.0, 0, 0], [0, 0, -1.5], [0, 3.0, 4.0]]
    return atoms


def test_spins_are_directions_of_moments(magnet):
    assert magnet.spins.tolist() == [[1, 0, 0], [0, 0, -1], [0, 0.6, 0.8]]
    assert magnet.arrays["initial_magmoms"].tolist() == [[2, 0, 0], [0, 0, -1.5], [0, 3, 4]]
    assert set(magnet.arrays) == {"numbers", "positions", "initial_magmoms"}


def test_setting_spins_keeps_lengths_and_normalizes(magnet):
    magnet.spins = [[0, 5.0, 0], [1, 0, 0], [0, 0, 2]]
    assert magnet.moments.tolist() == [[0, 2, 0], [1.5, 0, 0], [0, 0, 5]]


def test_one_vector_is_for_every_site(magnet):
    magnet.spins = (0, 0, 2)
    assert magnet.moments.tolist() == [[0, 0, 2], [0, 0, 1.5], [0, 0, 5]]
    magnet.moments = (0, 1, 0)
    assert magnet.moments.tolist() == [[0, 1, 0]] * 3


@pytest.mark.parametrize("units", ["metal", "reduced"])
def test_spins_on_atoms_without_moments_have_length_one(units):
    atoms = SpinAtoms("Fe2", positions=[[0, 0, 0], [0, 0, 1]], units=units)
    assert not sa.has_moments(atoms)
    assert atoms.moments.tolist() == [[0, 0, 0]] * 2
    atoms.spins = [[3, 0, 0], [0, 4, 0]]
    assert atoms.moments.tolist() == [[1, 0, 0], [0, 1, 0]]


def test_views_are_read_only(magnet):
    for view in (magnet.spins, magnet.moments):
        with pytest.raises(ValueError, match="read-only"):
            view[0] = [0, 0, 1]
        with pytest.raises(ValueError, match="read-only"):
            view *= -1
    assert magnet.moments[0].tolist() == [2, 0, 0]


def test_in_place_arithmetic_by_assignment_works(magnet):
    magnet.moments = 2 * magnet.moments
    magnet.spins = -magnet.spins
    assert magnet.moments.tolist() == [[-4, 0, 0], [0, 0, 3], [0, -6, -8]]


def test_what_was_given_is_copied(magnet):
    source = np.ones((3, 3))
    magnet.moments = source
    source[:] = 7.0
    assert magnet.moments.max() == 1.0


def test_get_functions_give_writable_copies(magnet):
    moments = sa.get_moments(magnet)
    moments[:] = 0.0
    assert magnet.moments.any()


@pytest.mark.parametrize("setter", ["spins", "moments"])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((2, 3)), r"must have shape \(3, 3\), one Cartesian vector per site; got \(2, 3\)"),
        (np.ones((3, 2)), r"got \(3, 2\)"),
        (np.ones(4), r"got \(4,\)"),
        (1.0, r"got \(\)"),
        ([[0, 0, 1], [0, np.nan, 0], [0, 0, 1]], "of site 1 is not finite"),
        ([[0, 0, 1], [0, 1, 0], [0, 0, np.inf]], "of site 2 is not finite"),
        ("up", "must be numbers of shape"),
    ],
)
def test_bad_values_are_refused_and_nothing_changes(magnet, setter, values, message):
    before = magnet.copy()
    with pytest.raises(InvalidMomentsError, match=f"{setter} .*{message}"):
        setattr(magnet, setter, values)
    assert magnet == before


def test_a_zero_length_spin_is_refused(magnet):
    with pytest.raises(InvalidMomentsError, match="spins of site 1 has zero length and so no direction"):
        magnet.spins = [[0, 0, 1], [0, 0, 0], [0, 0, 1]]
    with pytest.raises(InvalidMomentsError, match="zero length"):
        SpinAtoms("Fe", spins=[[0, 0, 0]])


def test_a_nonmagnetic_site_stays_so(magnet):
    magnet.moments = [[2, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert sa.magnetic_sites(magnet).tolist() == [True, False, True]
    assert magnet.spins.tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 1]]
    magnet.spins = [[0, 1, 0], [0, 0, 0], [1, 0, 0]]
    assert magnet.moments.tolist() == [[0, 2, 0], [0, 0, 0], [1, 0, 0]]
    magnet.spins = (0, 0, 1)
    assert magnet.moments.tolist() == [[0, 0, 2], [0, 0, 0], [0, 0, 1]]
    magnet.spins = magnet.spins
    with pytest.raises(InvalidMomentsError, match="site 1 is non-magnetic .* give a zero row there"):
        magnet.spins = [[0, 1, 0], [0, 0, 1], [1, 0, 0]]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(*[st.integers(-(10**6), 10**6)] * 3), min_size=2, max_size=2), st.floats(1e-9, 1e3))
def test_moments_survive_their_own_spins(rows, scale):
    moments = scale * np.array(rows, dtype=float)
    atoms = SpinAtoms("Fe2", positions=[[0, 0, 0], [0, 0, 1]], moments=moments)
    if sa.has_moments(atoms):
        atoms.spins = atoms.spins
        assert np.allclose(atoms.moments, moments, rtol=1e-14, atol=0)


def test_constructor_takes_moments_spins_and_units():
    atoms = SpinAtoms("Fe2", positions=[[0, 0, 0], [0, 0, 1]], moments=(0, 0, 2), spins=(1, 0, 0), units="reduced")
    assert atoms.moments.tolist() == [[2, 0, 0]] * 2
    assert atoms.units == "reduced"
    atoms.units = "metal"
    assert atoms.info == {"units": "metal"}
    with pytest.raises(UnitMismatchError, match="unknown unit system 'natural'"):
        SpinAtoms("Fe", units="natural")
    with pytest.raises(UnitMismatchError, match="unknown unit system"):
        atoms.units = "si"


def test_to_and_from_plain_atoms_nothing_is_lost(magnet):
    magnet.units = "reduced"
    plain = Atoms(magnet)
    assert type(plain) is Atoms
    back = SpinAtoms(plain)
    assert back == magnet
    assert back.units == "reduced"
    assert sa.get_spins(plain).tolist() == magnet.spins.tolist()
    back.moments = (0, 0, 1)
    assert magnet.moments[0].tolist() == [2, 0, 0]


def test_copies_slices_repeats_and_pickles_keep_type_and_moments(magnet):
    for copy in (magnet.copy(), pickle.loads(pickle.dumps(magnet))):
        assert isinstance(copy, SpinAtoms)
        assert copy == magnet
    assert magnet[[2, 0]].moments.tolist() == [[0, 3, 4], [2, 0, 0]]
    double = magnet.repeat((2, 1, 1))
    assert isinstance(double, SpinAtoms)
    assert double.moments.tolist() == magnet.moments.tolist() * 2
    joined = magnet + magnet[[1]]
    assert joined.moments[3].tolist() == [0, 0, -1.5]
    joined.pop(0)
    assert joined.moments[0].tolist() == [0, 0, -1.5]


def test_plain_functions_work_on_plain_atoms():
    atoms = Atoms("Fe2", positions=[[0, 0, 0], [0, 0, 1]])
    sa.set_spins(atoms, [[0, 0, 1], [0, 1, 0]])
    sa.set_moments(atoms, 3 * sa.get_moments(atoms))
    sa.rotate_spins(atoms, (1, 0, 0), np.pi / 2)
    assert sa.get_moments(atoms) == pytest.approx(np.array([[0, -3, 0], [0, 0, 3.0]]), abs=1e-15)
    assert sa.get_units(atoms).name == "metal"


def test_stored_moments_of_a_wrong_shape_or_nan_are_refused():
    atoms = Atoms("Fe2", positions=[[0, 0, 0], [0, 0, 1]])
    atoms.arrays["initial_magmoms"] = np.ones((2, 4))
    with pytest.raises(InvalidMomentsError, match=r"moments must have shape \(2, 3\).*got \(2, 4\)"):
        sa.get_moments(atoms)
    atoms.arrays["initial_magmoms"] = np.array([[0, 0, 1], [0, 0, np.nan]])
    with pytest.raises(InvalidMomentsError, match="moments of site 1 is not finite"):
        sa.get_spins(atoms)


def test_rotate_spins_leaves_positions(magnet):
    positions = magnet.positions.copy()
    magnet.rotate_spins((0, 0, 1), np.pi / 2)
    assert magnet.moments == pytest.approx(np.array([[0, 2, 0], [0, 0, -1.5], [-3, 0, 4]]), abs=1e-14)
    assert np.array_equal(magnet.positions, positions)


def test_equality_sees_moments(magnet):
    other = magnet.copy()
    assert other == magnet
    assert (other != magnet) is False
    other.moments = -magnet.moments
    assert other != magnet
    assert magnet != "Fe3"
    with pytest.raises(TypeError, match="unhashable"):
        hash(magnet)


def test_geometry_of_copies(magnet):
    geometry = sa.geometry_of(magnet)
    geometry.positions[:] = 0.0
    assert magnet.positions.any()
    assert geometry.pbc.tolist() == [True] * 3
    assert geometry.numbers.tolist() == [26] * 3
    magnet.positions[1, 2] = np.nan
    with pytest.raises(InvalidGeometryError, match="position of site 1 is not finite"):
        sa.geometry_of(magnet)


class TestConstructors:
    def test_lattice(self):
        atoms = SpinAtoms.lattice("kagome", (2, 3), a=2.5, units="reduced", symbol="Mn", moment=3.0, rng=1)
        assert len(atoms) == 18
        assert atoms.symbols.get_chemical_formula() == "Mn18"
        assert np.linalg.norm(atoms.moments, axis=1) == pytest.approx(np.full(18, 3.0))
        assert atoms.units == "reduced"
        assert atoms.pbc.tolist() == [True, True, False]

    def test_the_seed_decides_random_or_ferro(self):
        random = SpinAtoms.lattice("square", (4, 4), rng=1)
        assert random == SpinAtoms.lattice("square", (4, 4), rng=np.random.default_rng(1))
        assert random != SpinAtoms.lattice("square", (4, 4), rng=2)
        assert SpinAtoms.lattice("square", (4, 4)).spins.tolist() == [[0, 0, 1]] * 16

    def test_texture_options(self):
        atoms = SpinAtoms.lattice("triangular", (2, 2), texture="ferro", direction=(1, 0, 0))
        assert atoms.spins.tolist() == [[1, 0, 0]] * 4

    def test_disordered(self):
        atoms = SpinAtoms.disordered(20, density=0.5, min_distance=1.0, rng=4, moment=2.0, units="reduced")
        assert len(atoms) == 20
        assert atoms.get_volume() == pytest.approx(40.0)
        assert atoms.get_all_distances(mic=True)[np.triu_indices(20, 1)].min() >= 1.0
        assert np.linalg.norm(atoms.moments, axis=1) == pytest.approx(np.full(20, 2.0))
        assert atoms == SpinAtoms.disordered(20, density=0.5, min_distance=1.0, rng=4, moment=2.0, units="reduced")

    @pytest.mark.parametrize("moment", [0.0, -1.0, np.nan, np.inf])
    def test_bad_moments_are_refused(self, moment):
        with pytest.raises(InvalidMomentsError, match="moment must be a positive length"):
            SpinAtoms.lattice("square", (2, 2), moment=moment)

    def test_bad_names_are_refused(self):
        with pytest.raises(InvalidGeometryError, match="unknown lattice 'sqare'"):
            SpinAtoms.lattice("sqare", (2, 2))
        with pytest.raises(InvalidGeometryError, match="unknown texture 'feroo'"):
            SpinAtoms.lattice("square", (2, 2), texture="feroo")


class TestConvertUnits:
    SCALES = {"energy": 0.5, "length": 2.5, "moment": 3.0}

    def test_to_metal(self, magnet):
        magnet.units = "reduced"
        metal = sa.convert_units(magnet, "metal", **self.SCALES)
        assert metal.units == "metal"
        assert np.allclose(metal.positions, 2.5 * magnet.positions)
        assert np.allclose(metal.cell.array, 12.5 * np.eye(3))
        assert np.allclose(metal.moments, 3 * magnet.moments)
        assert magnet.units == "reduced"
        assert np.allclose(metal.get_scaled_positions(), magnet.get_scaled_positions())

    def test_there_and_back(self, magnet):
        reduced = sa.convert_units(magnet, "reduced", **self.SCALES)
        assert np.allclose(reduced.moments, magnet.moments / 3)
        back = sa.convert_units(reduced, "metal", **self.SCALES)
        assert np.allclose(back.positions, magnet.positions, rtol=1e-15)
        assert np.allclose(back.moments, magnet.moments, rtol=1e-15)

    def test_to_the_same_system_changes_nothing(self, magnet):
        assert sa.convert_units(magnet, "metal", **self.SCALES) == magnet

    @pytest.mark.parametrize("scale", ["energy", "length", "moment"])
    @pytest.mark.parametrize("value", [0.0, -1.0, np.nan])
    def test_bad_scales_are_refused(self, magnet, scale, value):
        with pytest.raises(UnitMismatchError, match=f"{scale} scale must be positive"):
            sa.convert_units(magnet, "reduced", **{**self.SCALES, scale: value})

    def test_velocities_are_refused_not_mangled(self, magnet):
        magnet.set_velocities(np.ones((3, 3)))
        with pytest.raises(UnitMismatchError, match="velocities"):
            sa.convert_units(magnet, "reduced", **self.SCALES)
