"""Dipoles in closed form: chains, homogeneity in distance, virials, shapes of samples, waves that are not kept."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import zeta

from spinase.classical import Dipole, dipole
from spinase.errors import InvalidGeometryError
from spinase.geometry import Geometry
from spinase.spin_algebra import random_spins

OPEN = np.zeros(3, dtype=bool)


def cluster(places: np.ndarray) -> Geometry:
    return Geometry(places, np.zeros((3, 3)), OPEN, np.full(len(places), 26))


def crystal(scale: float = 1.0) -> Geometry:
    """Five random sites in a slanted cell."""
    cell = np.array([[2.0, 0.0, 0.0], [0.2, 2.2, 0.0], [-0.1, 0.3, 1.9]])
    places = np.array([[0.1, 0.1, 0.0], [1.2, 0.3, 0.9], [0.4, 1.4, 1.0], [1.5, 1.6, 0.2], [1.0, 0.9, 1.6]])
    return Geometry(scale * places, scale * cell, ~OPEN, np.full(5, 26))


@pytest.mark.parametrize(("axis", "factor"), [((1, 0, 0), -2.0), ((0, 0, 1), 1.0), ((0.6, 0.8, 0), -2.0 * 0.36 + 0.64)])
def test_the_middle_of_a_long_chain_has_the_field_of_a_zeta_function(
    axis: tuple[float, float, float], factor: float
) -> None:
    """Aligned moments along x: each has E = C m^2 zeta(3)/a^3 (1 - 3 cos^2) from all others; the ends of 401 lack 4e-5."""
    sites, spacing, moment, strength = 401, 1.5, 2.0, 0.3
    chain = cluster(np.arange(sites)[:, None] * [spacing, 0.0, 0.0])
    spins = np.tile(axis, (sites, 1))
    fields = Dipole(strength).freeze(chain).gradient(spins, np.full(sites, moment))
    expected = -2.0 * strength * moment**2 * zeta(3) / spacing**3 * factor
    assert fields[200] @ spins[200] == pytest.approx(expected, rel=1e-4)


def test_two_in_line_pull_each_other_with_the_fourth_power() -> None:
    """E = -2 C m1 m2/r^3, F = -dE/dr = -6 C m1 m2/r^4: attraction."""
    frozen = Dipole(0.7).freeze(cluster(np.array([[0.0, 0, 0], [0, 0, 1.3]])))
    spins, lengths = np.tile([0, 0, 1.0], (2, 1)), np.array([1.0, 3.0])
    forces, virial = frozen.lattice(spins, lengths)
    assert frozen.energy(spins, lengths) == pytest.approx(-2 * 0.7 * 3 / 1.3**3)
    np.testing.assert_allclose(forces, [[0, 0, 6 * 0.7 * 3 / 1.3**4], [0, 0, -6 * 0.7 * 3 / 1.3**4]], atol=1e-14)
    assert virial[2, 2] == pytest.approx(6 * 0.7 * 3 / 1.3**3)


@pytest.mark.parametrize("shape", [None, np.array([0.1, 0.3, 0.6])])
def test_energy_falls_with_the_third_power_of_all_lengths(shape: np.ndarray | None) -> None:
    """E(l r) = E(r)/l^3 for open and for periodic sums, so the trace of the virial is -3 E (Euler)."""
    spins, lengths = random_spins(5, np.random.default_rng(1)), np.linspace(1.0, 2.0, 5)
    term = Dipole(0.4, shape, accuracy=1e-12)
    for one, two in ((crystal(), crystal(1.3)), (cluster(crystal().positions), cluster(crystal(1.3).positions))):
        frozen = term.freeze(one)
        energy = frozen.energy(spins, lengths)
        assert abs(energy) > 1e-2
        assert term.freeze(two).energy(spins, lengths) == pytest.approx(energy / 1.3**3, rel=1e-9)
        assert np.trace(frozen.lattice(spins, lengths)[1]) == pytest.approx(-3.0 * energy, rel=1e-8)


def test_a_shape_adds_the_demagnetizing_field_of_all_moments() -> None:
    """B = -4 pi C/V N M on every site, and 2 pi C/V sum N M^2 of energy."""
    geometry, factors = crystal(), np.array([0.2, 0.3, 0.5])
    spins, lengths = random_spins(5, np.random.default_rng(2)), np.linspace(1.0, 2.0, 5)
    bare, shaped = Dipole(0.4).freeze(geometry), Dipole(0.4, factors).freeze(geometry)
    total = lengths @ spins
    change = shaped.gradient(spins, lengths) - bare.gradient(spins, lengths)
    expected = -4 * np.pi * 0.4 / geometry.volume * np.outer(lengths, factors * total)
    np.testing.assert_allclose(change, expected, atol=1e-12)
    added = shaped.energy(spins, lengths) - bare.energy(spins, lengths)
    assert added == pytest.approx(2 * np.pi * 0.4 / geometry.volume * factors @ total**2, rel=1e-9)


def test_waves_that_do_not_fit_into_memory_are_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Phases kept, and phases in blocks of few waves: the same sums."""
    spins, lengths = random_spins(5, np.random.default_rng(3)), np.ones(5)
    kept = Dipole(1.0).freeze(crystal())
    expected = kept.gradient(spins, lengths), kept.lattice(spins, lengths)
    monkeypatch.setattr(dipole, "_KEPT_PHASES", 0)
    monkeypatch.setattr(dipole, "_BLOCK_PHASES", 40)
    small = Dipole(1.0).freeze(crystal())
    assert small._kept is None
    assert max(len(waves) for waves, _, _ in small._phases()) == 8
    np.testing.assert_allclose(small.gradient(spins, lengths), expected[0], atol=1e-12)
    np.testing.assert_allclose(small.lattice(spins, lengths)[1], expected[1][1], atol=1e-11)


def test_one_of_each_pair_of_waves_is_listed() -> None:
    waves = dipole._waves(crystal().cell, 9.0)
    assert (np.linalg.norm(waves, axis=1) <= 9.0).all()
    both = np.round(np.concatenate([waves, -waves]) @ crystal().cell.T / (2 * np.pi)).astype(int)
    assert len(np.unique(both, axis=0)) == 2 * len(waves)
    steps = np.stack(np.meshgrid(*[np.arange(-8, 9)] * 3), axis=-1).reshape(-1, 3)
    lengths = np.linalg.norm(steps @ (2 * np.pi * np.linalg.inv(crystal().cell).T), axis=1)
    assert 2 * len(waves) == np.sum(lengths <= 9.0) - 1, "all but zero"


def test_two_sites_at_one_place_of_a_large_cluster_are_found() -> None:
    places = np.vstack([crystal().positions, crystal().positions[3] + 1e-11])
    with pytest.raises(InvalidGeometryError, match=r"sites 3 and 5 coincide \(at .*\): remove one or move them apart"):
        Dipole(1.0).freeze(cluster(places))


def test_an_asked_accuracy_that_is_met_at_once_cuts_as_short_as_it_can() -> None:
    assert dipole._solve(lambda x: np.exp(-(x**2)), 1.0) == 0.5
    assert dipole._solve(lambda x: np.exp(-(x**2)), np.exp(-9.0)) == pytest.approx(3.0, abs=1e-3)
