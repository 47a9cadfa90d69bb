"""Spin algebra against dense linear algebra: matrix exponentials, solves, numpy cross products."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from spinase.errors import InvalidMomentsError
from spinase.spin_algebra import (
    PAULI,
    as_vectors,
    cayley,
    cross,
    directions,
    has_length,
    largest_difference,
    normalized,
    parallel,
    per_moment,
    precession_vector,
    random_rotation,
    random_spins,
    renormalize,
    rotate_about,
    rotation_between,
    rotation_matrix,
    tangent,
)

RNG = np.random.default_rng(11)
SPINS = random_spins(7, RNG)
VECTORS = RNG.normal(size=(7, 3))


def times(omega):
    """Matrix of s -> s x omega."""
    x, y, z = omega
    return np.array([[0, z, -y], [-z, 0, x], [y, -x, 0.0]])


def test_directions_keep_leading_axes_and_zero_rows():
    vectors = np.concatenate([VECTORS, np.zeros((1, 3))]).reshape(2, 4, 3)
    units, lengths = directions(vectors)
    assert units.shape == (2, 4, 3)
    np.testing.assert_allclose(lengths, np.linalg.norm(vectors, axis=-1), rtol=1e-15)
    np.testing.assert_allclose(units * lengths[..., None], vectors, atol=1e-15)
    assert not units[1, 3].any()
    assert has_length(vectors.reshape(-1, 3)).tolist() == [True] * 7 + [False]
    assert has_length(np.diag([1e-300, -1.0, np.nan])).all()


def test_largest_difference_is_that_of_any_component_and_sees_nan():
    other = VECTORS.copy()
    other[4, 2] -= 3.0
    other[5, 0] += 5.0
    assert largest_difference(VECTORS, other) == pytest.approx(5.0)
    assert largest_difference(VECTORS, VECTORS) == 0.0
    other[1, 1] = np.nan
    assert np.isnan(largest_difference(other, VECTORS))


def test_fields_by_moment_leave_non_magnetic_sites_without_a_field():
    lengths = np.array([2.0, 0.0, 0.5])
    np.testing.assert_array_equal(per_moment(VECTORS[:3], lengths), [VECTORS[0] / 2.0, [0, 0, 0], 2.0 * VECTORS[2]])


def test_pauli_matrices_close_the_spin_algebra():
    for a, b, c in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        assert np.array_equal(PAULI[a] @ PAULI[b], 1j * PAULI[c])
        assert np.array_equal(PAULI[a] @ PAULI[a], np.eye(2))
        assert np.array_equal(PAULI[a], PAULI[a].conj().T)


def test_cross_is_numpys():
    assert np.allclose(cross(SPINS, VECTORS), np.cross(SPINS, VECTORS), atol=1e-15)


@pytest.mark.parametrize("scale", [0.0, 1e-12, 1e-9, 1e-7, 1e-3, 1.0, 30.0])
def test_rotate_about_is_the_exponential_of_the_equation_of_motion(scale):
    omega = scale * VECTORS
    expected = np.array([expm(times(w)) @ s for s, w in zip(SPINS, omega, strict=True)])
    found = rotate_about(SPINS, omega)
    assert np.abs(found - expected).max() < 2e-14 * max(1.0, scale)
    assert np.abs(np.linalg.norm(found, axis=1) - 1.0).max() < 1e-14


@pytest.mark.parametrize("angle", [1e-6, 1e-7, 3e-8, 1.1e-8, 0.9e-8])
def test_rotate_about_keeps_the_length_across_its_small_angle_branch(angle):
    omega = angle * normalized(VECTORS)
    assert np.abs(np.linalg.norm(rotate_about(SPINS, omega), axis=1) - 1.0).max() < 1e-15 + 1e-16


@pytest.mark.parametrize("scale", [0.0, 1e-9, 1e-2, 1.0, 50.0])
def test_cayley_solves_its_implicit_equation(scale):
    omega = scale * VECTORS
    expected = np.array([np.linalg.solve(np.eye(3) - times(w), s + times(w) @ s) for s, w in zip(SPINS, omega, strict=True)])
    found = cayley(SPINS, omega)
    assert np.abs(found - expected).max() < 2e-14
    assert np.abs(found - SPINS - np.cross(SPINS + found, omega)).max() < 1e-13 * max(1.0, scale)
    assert np.abs(np.linalg.norm(found, axis=1) - 1.0).max() < 1e-14


def test_cayley_turns_by_twice_the_arctangent():
    """For s perpendicular to omega the angle is 2 atan|omega|, in the sense of s x omega."""
    found = cayley(np.array([[1.0, 0, 0]]), np.array([[0, 0, 0.3]]))[0]
    assert np.arctan2(found[1], found[0]) == pytest.approx(-2.0 * np.arctan(0.3), abs=1e-15)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=3, max_size=3), st.lists(st.floats(-100, 100), min_size=3, max_size=3))
def test_steps_keep_any_length(spin, omega):
    spins, omegas = np.array([spin]), np.array([omega])
    length = np.linalg.norm(spins)
    for step in (cayley, rotate_about):
        assert abs(np.linalg.norm(step(spins, omegas)) - length) <= 1e-13 * max(length, 1.0)


def test_precession_vector_is_the_landau_lifshitz_gilbert_right_side():
    prefactor, damping = 0.7, 0.3
    found = cross(SPINS, precession_vector(SPINS, VECTORS, prefactor, damping))
    torque = np.cross(SPINS, VECTORS)
    expected = -prefactor * (torque + damping * np.cross(SPINS, torque))
    assert np.abs(found - expected).max() < 1e-15


def test_precession_and_damping_have_the_right_sense():
    """B along z: a spin along x moves to +y (ds/dt = -s x B) and climbs towards +z, where E = -m.B is lowest."""
    spins, field = np.array([[1.0, 0, 0]]), np.array([[0, 0, 1.0]])
    rate = cross(spins, precession_vector(spins, field, 1.0, 0.5))[0]
    assert rate == pytest.approx([0.0, 1.0, 0.5])


def test_gilbert_form_solves_the_implicit_equation():
    """ds/dt = -s x B + a s x ds/dt, with the prefactor 1/(1 + a^2)."""
    damping = 0.4
    rate = cross(SPINS, precession_vector(SPINS, VECTORS, 1.0 / (1.0 + damping**2), damping))
    assert np.abs(rate + np.cross(SPINS, VECTORS) - damping * np.cross(SPINS, rate)).max() < 1e-14


def test_tangent_removes_the_radial_part_only():
    flat = tangent(VECTORS, SPINS)
    assert np.abs(np.einsum("ia,ia->i", flat, SPINS)).max() < 1e-15
    assert np.abs(np.cross(SPINS, flat) - np.cross(SPINS, VECTORS)).max() < 1e-15


def test_rotation_matrix_is_right_handed():
    assert rotation_matrix([0, 0, 2.0], np.pi / 2) @ [1.0, 0, 0] == pytest.approx([0, 1, 0], abs=1e-15)
    axis = np.array([1.0, 2.0, -0.5])
    turn = rotation_matrix(axis, 0.8)
    unit = axis / np.linalg.norm(axis)
    assert np.abs(turn - expm(0.8 * times(-unit))).max() < 1e-15
    assert np.abs(turn @ axis - axis).max() < 1e-15


@pytest.mark.parametrize(
    ("source", "target"),
    [([1, 0, 0], [0, 2, 0]), ([0, 0, 1], [0, 0, -3]), ([1, 1, 1], [2, 2, 2]), ([1, 0, 0], [1, 1e-9, 0])],
)
def test_rotation_between_turns_one_direction_into_another(source, target):
    turn = rotation_between(source, target)
    assert np.abs(turn @ turn.T - np.eye(3)).max() < 1e-14
    assert np.linalg.det(turn) == pytest.approx(1.0)
    start, end = np.array(source) / np.linalg.norm(source), np.array(target) / np.linalg.norm(target)
    assert np.abs(turn @ start - end).max() < 1e-14


def test_random_rotations_are_proper_and_uniform():
    rng = np.random.default_rng(5)
    turns = np.array([random_rotation(rng) for _ in range(4000)])
    assert np.abs(turns @ turns.transpose(0, 2, 1) - np.eye(3)).max() < 1e-14
    assert np.allclose(np.linalg.det(turns), 1.0)
    assert np.abs(turns.mean(axis=0)).max() < 0.05
    # On SO(3) the mean of (Tr R)^2 is 1 (characters of the vector representation are orthonormal).
    assert np.mean(np.trace(turns, axis1=1, axis2=2) ** 2) == pytest.approx(1.0, abs=0.1)


def test_random_spins_are_uniform_on_the_sphere():
    spins = random_spins(20000, np.random.default_rng(2))
    assert np.allclose(np.linalg.norm(spins, axis=1), 1.0)
    assert np.abs(spins.mean(axis=0)).max() < 0.02
    assert np.abs(np.cov(spins.T) - np.eye(3) / 3).max() < 0.01
    assert np.mean(spins[:, 2] ** 4) == pytest.approx(0.2, abs=0.01)


def test_renormalize_sets_lengths_and_keeps_zero_rows():
    vectors = np.array([[3.0, 0, 4], [0, 0, 0], [0, 0.1, 0]])
    found = renormalize(vectors, np.array([2.0, 5.0, 1.0]))
    assert found == pytest.approx(np.array([[1.2, 0, 1.6], [0, 0, 0], [0, 1, 0]]))


def test_normalized_names_the_site_without_direction():
    with pytest.raises(InvalidMomentsError, match=r"spins of site 1 has zero length .*\(2 such sites\)"):
        normalized(np.array([[1.0, 0, 0], [0, 0, 0], [0, 0, 0]]))


def test_as_vectors_repeats_one_vector_and_copies():
    assert as_vectors([1, 2, 3], 2, "field").tolist() == [[1, 2, 3], [1, 2, 3]]
    source = np.ones((2, 3))
    as_vectors(source, 2, "field")[0, 0] = 5.0
    assert source[0, 0] == 1.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((3, 3)), r"field must have shape \(2, 3\), one Cartesian vector per site; got \(3, 3\)"),
        (np.ones(2), r"got \(2,\)"),
        ([[1, 2, 3], [1, np.nan, 3]], "field of site 1 is not finite"),
        ([[np.inf, 2, 3], [1, 2, 3]], "field of site 0 is not finite"),
        ("north", "field must be numbers of shape"),
        ([[1, 2, 3], [1, 2]], "field must be numbers of shape"),
    ],
)
def test_as_vectors_refuses(values, message):
    with pytest.raises(InvalidMomentsError, match=message):
        as_vectors(values, 2, "field")


def test_parts_along_and_across_add_up_for_any_number_of_configurations():
    """By rows: the part along a unit vector s is the projector s s^T, whatever stands before the last axis."""
    many = RNG.normal(size=(2, 4, 7, 3))
    along, across = parallel(many, SPINS), tangent(many, SPINS)
    projectors = SPINS[:, :, None] * SPINS[:, None, :]
    np.testing.assert_allclose(along, (projectors @ many[..., None])[..., 0], atol=1e-14)
    np.testing.assert_allclose(along + across, many, atol=1e-14)
    np.testing.assert_allclose((across * SPINS).sum(axis=-1), 0.0, atol=1e-14)


def test_directions_of_vectors_and_none_of_zero():
    units, lengths = directions(np.array([[[0.0, 3.0, 4.0], [0.0, 0.0, 0.0]]]))
    np.testing.assert_allclose(units, [[[0.0, 0.6, 0.8], [0.0, 0.0, 0.0]]])
    np.testing.assert_allclose(lengths, [[5.0, 0.0]])
