"""Every classical term: sums over sites, names of sites, copies of the cell, rotations, time reversal, degrees, balances."""

from __future__ import annotations

import numpy as np
import pytest

from spinase.classical import (
    Biquadratic,
    CubicAnisotropy,
    Dipole,
    DzyaloshinskiiMoriya,
    Heisenberg,
    Landau,
    Neel,
    PairPotential,
    Slonczewski,
    Term,
    UniaxialAnisotropy,
    Zeeman,
    ZhangLi,
)
from spinase.errors import ModelError
from spinase.geometry import Geometry
from spinase.pair_laws import DistanceLaw
from spinase.radial import Exponential
from spinase.spin_algebra import rotation_matrix

LAW = DistanceLaw(Exponential(0.8, 2.0, 1.0, 1.9, 0.4))
AXIS = np.array([0.0, 0.6, 0.8])
TERMS: dict[str, Term] = {
    "heisenberg": Heisenberg(LAW),
    "biquadratic": Biquadratic(LAW),
    "dmi": DzyaloshinskiiMoriya(LAW),
    "interfacial dmi": DzyaloshinskiiMoriya(LAW, AXIS),
    "neel": Neel(LAW, LAW),
    "dipoles": Dipole(0.3),
    "pair potential": PairPotential(LAW),
    "uniaxial": UniaxialAnisotropy(0.7, AXIS),
    "cubic": CubicAnisotropy(0.7, rotation_matrix((1, 2, 3), 0.4), -0.9),
    "zeeman": Zeeman(np.array([0.3, -0.2, 0.5])),
    "landau": Landau(np.array([0.1, 0.2, -0.03])),
}
DEGREES = {"heisenberg": 2, "biquadratic": 4, "dmi": 2, "interfacial dmi": 2, "dipoles": 2, "uniaxial": 2, "zeeman": 1}
INTERNAL = ["heisenberg", "biquadratic", "dmi", "neel", "dipoles", "pair potential"]  # no axis from outside
ISOTROPIC = ["heisenberg", "biquadratic", "pair potential", "landau"]  # spins turn alone
BETWEEN_SITES = [*INTERNAL, "interfacial dmi"]
TURN = rotation_matrix((0.3, -1.0, 0.7), 1.1)


def magnet(periodic: bool = True) -> tuple[Geometry, np.ndarray, np.ndarray]:
    """Eight sites on a distorted cube, free vectors as spins, unequal lengths."""
    rng = np.random.default_rng(11)
    places = np.array(np.meshgrid(*[[0.0, 1.0]] * 3)).reshape(3, -1).T + 0.12 * rng.normal(size=(8, 3))
    cell = np.array([[2.0, 0.0, 0.0], [0.1, 2.1, 0.0], [0.0, -0.2, 1.9]])
    spins = rng.normal(size=(8, 3))
    spins *= rng.uniform(0.7, 1.0, size=(8, 1)) / np.linalg.norm(spins, axis=1)[:, None]
    return Geometry(places, cell, np.full(3, periodic), np.full(8, 26)), spins, rng.uniform(1.0, 2.0, size=8)


@pytest.mark.parametrize("name", [name for name in TERMS if name != "dipoles"])
def test_energies_of_sites_add_up(name: str) -> None:
    geometry, spins, lengths = magnet()
    frozen = TERMS[name].freeze(geometry)
    parts = frozen.site_energies(spins, lengths)
    assert parts.shape == (8,)
    assert parts.sum() == pytest.approx(frozen.energy(spins, lengths), rel=1e-12)


@pytest.mark.parametrize("name", TERMS)
def test_names_of_sites_do_not_matter(name: str) -> None:
    geometry, spins, lengths = magnet()
    order = np.random.default_rng(1).permutation(8)
    frozen, renamed = TERMS[name].freeze(geometry), TERMS[name].freeze(geometry.select(order))
    assert renamed.energy(spins[order], lengths[order]) == pytest.approx(frozen.energy(spins, lengths), rel=1e-10)
    fields = frozen.gradient(spins, lengths)
    np.testing.assert_allclose(renamed.gradient(spins[order], lengths[order]), fields[order], atol=1e-9)


@pytest.mark.parametrize("name", TERMS)
def test_two_cells_have_twice_the_energy_and_the_same_fields(name: str) -> None:
    geometry, spins, lengths = magnet()
    cell = geometry.cell * [[1.0], [2.0], [1.0]]
    both = Geometry(
        np.vstack([geometry.positions, geometry.positions + geometry.cell[1]]), cell, geometry.pbc, np.full(16, 26)
    )
    one, two = TERMS[name].freeze(geometry), TERMS[name].freeze(both)
    energy = one.energy(spins, lengths)
    assert two.energy(np.tile(spins, (2, 1)), np.tile(lengths, 2)) == pytest.approx(2.0 * energy, rel=1e-7)
    found = two.gradient(np.tile(spins, (2, 1)), np.tile(lengths, 2))
    np.testing.assert_allclose(found, np.tile(one.gradient(spins, lengths), (2, 1)), atol=1e-6)


@pytest.mark.parametrize("name", INTERNAL)
def test_a_magnet_may_be_turned_as_a_whole(name: str) -> None:
    geometry, spins, lengths = magnet()
    turned = Geometry(geometry.positions @ TURN.T, geometry.cell @ TURN.T, geometry.pbc, geometry.numbers)
    one, two = TERMS[name].freeze(geometry), TERMS[name].freeze(turned)
    assert two.energy(spins @ TURN.T, lengths) == pytest.approx(one.energy(spins, lengths), rel=1e-8)
    np.testing.assert_allclose(two.gradient(spins @ TURN.T, lengths), one.gradient(spins, lengths) @ TURN.T, atol=1e-7)


@pytest.mark.parametrize("name", TERMS)
def test_spins_turn_alone_only_where_nothing_ties_them_to_space(name: str) -> None:
    geometry, spins, lengths = magnet()
    frozen = TERMS[name].freeze(geometry)
    change = frozen.energy(spins @ TURN.T, lengths) - frozen.energy(spins, lengths)
    if name in ISOTROPIC:
        assert change == pytest.approx(0.0, abs=1e-12)
    else:
        assert abs(change) > 1e-3


@pytest.mark.parametrize("name", TERMS)
def test_time_reversal(name: str) -> None:
    """Everything but an applied field is even."""
    geometry, spins, lengths = magnet()
    frozen, sign = TERMS[name].freeze(geometry), -1.0 if name == "zeeman" else 1.0
    assert frozen.energy(-spins, lengths) == pytest.approx(sign * frozen.energy(spins, lengths), rel=1e-12)
    np.testing.assert_allclose(frozen.gradient(-spins, lengths), -sign * frozen.gradient(spins, lengths), atol=1e-12)


@pytest.mark.parametrize("name", DEGREES)
def test_the_field_along_the_spins_is_the_degree_times_the_energy(name: str) -> None:
    """Euler: for E homogeneous of degree n in the spins, sum_i s_i . H_i = -n E."""
    geometry, spins, lengths = magnet()
    frozen = TERMS[name].freeze(geometry)
    along = np.sum(spins * frozen.gradient(spins, lengths))
    assert along == pytest.approx(-DEGREES[name] * frozen.energy(spins, lengths), rel=1e-10)


@pytest.mark.parametrize("name", BETWEEN_SITES)
def test_forces_of_pairs_cancel(name: str) -> None:
    geometry, spins, lengths = magnet()
    forces, _ = TERMS[name].freeze(geometry).lattice(spins, lengths)
    assert np.abs(forces).max() > 1e-2
    np.testing.assert_allclose(forces.sum(axis=0), 0.0, atol=1e-8)


@pytest.mark.parametrize("name", INTERNAL)
def test_torques_on_atoms_and_spins_of_a_cluster_cancel(name: str) -> None:
    """The energy does not change when everything turns: sum r x F + s x H = 0."""
    geometry, spins, lengths = magnet(periodic=False)
    frozen = TERMS[name].freeze(geometry)
    orbital = np.cross(geometry.positions, frozen.lattice(spins, lengths)[0]).sum(axis=0)
    torque = np.cross(spins, frozen.gradient(spins, lengths)).sum(axis=0)
    np.testing.assert_allclose(orbital, -torque, atol=1e-9)
    if name in ("dmi", "neel", "dipoles"):
        assert np.abs(torque).max() > 1e-2


def test_slonczewski_in_closed_form() -> None:
    """B = a s x p + b p; the damping-like part is across spin and polarization, and without an energy."""
    geometry, spins, lengths = magnet()
    term = Slonczewski(AXIS, 0.4, -0.3)
    fields = term.freeze(geometry).gradient(spins, lengths) / lengths[:, None]
    np.testing.assert_allclose(fields, 0.4 * np.cross(spins, AXIS) - 0.3 * AXIS, atol=1e-14)
    with pytest.raises(ModelError, match="Slonczewski is driven: it has no energy"):
        term.freeze(geometry).energy(spins, lengths)


def test_zhang_li_of_a_linear_texture_in_closed_form() -> None:
    """Free vectors that grow linearly along x have (u.grad) s = u_x ds/dx; B = -(s x D + beta D)/gamma inside the chain."""
    chain = Geometry(np.arange(7)[:, None] * [1.5, 0.0, 0.0], np.zeros((3, 3)), np.zeros(3, dtype=bool), np.full(7, 26))
    slope = np.array([0.02, -0.05, 0.03])
    spins = np.array([0.0, 0.0, 1.0]) + chain.positions[:, :1] * slope
    term = ZhangLi(np.array([0.7, 0.0, 0.0]), 0.2, 1.7).freeze(chain)
    lengths = np.full(7, 2.0)
    drift = 0.7 * slope
    np.testing.assert_allclose(
        term.gradient(spins, lengths), -2.0 / 1.7 * (np.cross(spins, drift) + 0.2 * drift), atol=1e-13
    )
    assert not term.gradient(np.tile(AXIS, (7, 1)), lengths).any()
    with pytest.raises(ModelError, match="FrozenZhangLi is driven: it has no energy"):
        term.energy(spins, lengths)


@pytest.mark.parametrize(
    ("term", "why"),
    [
        (Slonczewski(AXIS, 0.4), "driven, so there is no energy to divide"),
        (ZhangLi(AXIS, 0.1, 1.0), "driven, so there is no energy to divide"),
        (Dipole(0.3), "dipol"),
    ],
)
def test_what_is_no_sum_over_near_pairs_is_not_divided_among_regions(term: Term, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        term.local(None)
