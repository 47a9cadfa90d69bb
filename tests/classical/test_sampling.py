"""Sweeps of sampling: single spins against quadratures, moves against the energy they claim, models as they are compiled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spinase.classical import CubicAnisotropy, LocalModel, UniaxialAnisotropy, Zeeman, add_models
from spinase.classical.local_model import pair_model
from spinase.classical.sampling import HEAT_BATH, METROPOLIS, OVER_RELAXATION, Sampler, make_sampler
from spinase.spin_algebra import random_spins, rotation_matrix

FREE = np.ones(400, dtype=bool)


def ring(sites: int, tensor: np.ndarray) -> LocalModel:
    """A ring with one coupling on all bonds."""
    first = np.arange(sites)
    return pair_model(sites, first, (first + 1) % sites, np.broadcast_to(tensor, (sites, 3, 3)))


def whole() -> LocalModel:
    """Everything a model can have, on twelve sites."""
    rng, first = np.random.default_rng(3), np.arange(12)
    pairs = pair_model(12, first, (first + 5) % 12, rng.normal(size=(12, 3, 3)), rng.normal(size=12))
    lengths = np.ones(12)
    cubic = CubicAnisotropy(0.4, rotation_matrix((1, 2, 3), 0.4), -0.3).local_model(lengths)
    own = UniaxialAnisotropy(0.3, np.array([0.6, 0.0, 0.8])).local_model(lengths)
    return add_models([(1.0, pairs), (0.7, cubic), (1.0, own), (2.0, Zeeman(rng.normal(size=3)).local_model(lengths))])


def on_paper(model: LocalModel, s: np.ndarray) -> float:
    pairs = np.einsum("ba,bac,bc->", s[model.rows], model.tensors, s[model.columns])
    pairs += model.biquadratic @ np.einsum("ba,ba->b", s[model.rows], s[model.columns]) ** 2
    energy = -0.5 * pairs - np.sum(model.linear * s) - np.einsum("ia,iab,ib->", s, model.quadratic, s)
    for strengths, axes in model.cubic:
        x, y, z = (np.einsum("ipa,ia->ip", axes, s) ** 2).T
        energy += np.sum(strengths[:, 0] * (x * y + y * z + z * x) + strengths[:, 1] * x * y * z)
    return float(energy)


def drawn(sampler: Sampler, spins: np.ndarray, kT: float, kind: int, sweeps: int, width: float = 2.0) -> np.ndarray:  # noqa: N803
    """Spins after each of the later sweeps, (sweeps, N, 3)."""
    rng, seen = np.random.default_rng(5), []
    for sweep in range(sweeps + 20):
        sampler.sweep(spins, FREE[: len(spins)], kT, kind, width, rng)
        if sweep >= 20:
            seen.append(spins.copy())
    return np.array(seen)


def test_the_compiled_form_has_the_energy_of_the_model() -> None:
    model, rng = whole(), np.random.default_rng(1)
    sampler = make_sampler(model)
    for _ in range(3):
        spins = random_spins(12, rng)
        assert sampler.energy(spins) == pytest.approx(on_paper(model, spins), rel=1e-12)
    shuffled = np.random.default_rng(2).permutation(len(model.rows))
    pairs = {name: getattr(model, name)[shuffled] for name in ("rows", "columns", "tensors", "biquadratic")}
    assert make_sampler(replace(model, **pairs)).energy(spins) == pytest.approx(on_paper(model, spins), rel=1e-12)


def test_isotropic_couplings_are_kept_as_numbers() -> None:
    """And are the same model as their tensors."""
    spins = random_spins(12, np.random.default_rng(1))
    scalar = make_sampler(ring(12, 0.7 * np.eye(3)))
    assert scalar.couplings.tensors.size == 0
    nearly = make_sampler(ring(12, np.diag([0.7, 0.7, 0.7 + 1e-12])))
    assert nearly.couplings.exchange.size == 0
    assert nearly.energy(spins) == pytest.approx(scalar.energy(spins), abs=1e-10)


@pytest.mark.parametrize("kind", [HEAT_BATH, METROPOLIS])
def test_free_spins_in_a_field_follow_langevin(kind: int) -> None:
    """<s.b> = coth x - 1/x, x = |h|/kT, across a field in a general direction nothing."""
    field = np.array([0.5, -1.0, -0.3])
    sampler = make_sampler(LocalModel(400, linear=np.tile(field, (400, 1))))
    spins = random_spins(400, np.random.default_rng(2))
    mean = drawn(sampler, spins, 0.6, kind, 60).mean(axis=(0, 1))
    x = np.linalg.norm(field) / 0.6
    np.testing.assert_allclose(mean, (1 / np.tanh(x) - 1 / x) * field / np.linalg.norm(field), atol=0.015)


def test_metropolis_in_small_steps_samples_the_same_anisotropy() -> None:
    """E = -K s_z^2: <s_z^2> from a quadrature."""
    model = UniaxialAnisotropy(1.0, np.array([0, 0, 1.0])).local_model(np.ones(400))
    spins = random_spins(400, np.random.default_rng(4))
    found = (drawn(make_sampler(model), spins, 0.5, METROPOLIS, 150, width=0.8)[:, :, 2] ** 2).mean()
    z = np.linspace(-1, 1, 20001)
    weight = np.exp(z**2 / 0.5)
    assert found == pytest.approx(np.sum(z**2 * weight) / np.sum(weight), abs=0.012)


def test_a_dimer_is_correlated_as_langevin_says() -> None:
    """E = -J s_1.s_2, 200 dimers: <s_1.s_2> = coth x - 1/x with x = J/kT, for heat bath with reflections between."""
    pairs = pair_model(400, np.arange(0, 400, 2), np.arange(1, 400, 2), np.broadcast_to(1.2 * np.eye(3), (200, 3, 3)))
    sampler, spins, rng, seen = (
        make_sampler(pairs),
        random_spins(400, np.random.default_rng(6)),
        np.random.default_rng(7),
        [],
    )
    for _ in range(120):
        sampler.sweep(spins, FREE, 0.5, HEAT_BATH, 2.0, rng)
        sampler.sweep(spins, FREE, 0.5, OVER_RELAXATION, 2.0, rng)
        seen.append(np.mean(np.sum(spins[::2] * spins[1::2], axis=1)))
    x = 1.2 / 0.5
    assert np.mean(seen[20:]) == pytest.approx(1 / np.tanh(x) - 1 / x, abs=0.012)


def test_a_cold_bath_turns_spins_into_their_field_and_a_hot_one_forgets_it() -> None:
    field = np.array([[0.0, 0.6, -0.8]])
    sampler = make_sampler(LocalModel(1, linear=field))
    spins = np.array([[1.0, 0.0, 0.0]])
    assert sampler.sweep(spins, FREE[:1], 1e-9, HEAT_BATH, 2.0, np.random.default_rng(1)) == 1.0
    np.testing.assert_allclose(spins, field, atol=1e-3)
    hot = make_sampler(LocalModel(400, linear=np.tile(field, (400, 1))))
    many = random_spins(400, np.random.default_rng(1))
    assert np.abs(drawn(hot, many, 1e12, HEAT_BATH, 40).mean(axis=(0, 1))).max() < 0.02


def test_reflection_twice_is_nothing_and_keeps_the_energy() -> None:
    """One spin about a fixed field; without a field there is nothing to reflect about, and nothing is accepted."""
    sampler = make_sampler(LocalModel(1, linear=np.array([[0.3, 0.2, -0.5]])))
    start = random_spins(1, np.random.default_rng(8))
    spins, rng = start.copy(), np.random.default_rng(1)
    sampler.sweep(spins, FREE[:1], 1e-9, OVER_RELAXATION, 2.0, rng)
    assert sampler.energy(spins) == pytest.approx(sampler.energy(start), abs=1e-14)
    assert np.abs(spins - start).max() > 0.1
    sampler.sweep(spins, FREE[:1], 1e-9, OVER_RELAXATION, 2.0, rng)
    np.testing.assert_allclose(spins, start, atol=1e-14)
    bare = make_sampler(LocalModel(1))
    assert bare.sweep(spins, FREE[:1], 1.0, OVER_RELAXATION, 2.0, rng) == 0.0
    np.testing.assert_allclose(spins, start, atol=1e-14)


@pytest.mark.parametrize("kind", [METROPOLIS, HEAT_BATH])
def test_at_zero_temperature_no_move_goes_uphill(kind: int) -> None:
    sampler, spins, rng = make_sampler(whole()), random_spins(12, np.random.default_rng(9)), np.random.default_rng(1)
    energies = [sampler.energy(spins)]
    for _ in range(30):
        sampler.sweep(spins, FREE[:12], 1e-12, kind, 0.4, rng)
        energies.append(sampler.energy(spins))
    assert (np.diff(energies) <= 1e-9).all()
    assert energies[-1] < energies[0] - 1.0
    np.testing.assert_allclose(np.linalg.norm(spins, axis=1), 1.0, atol=1e-12)


def test_frozen_spins_stay_and_an_immobile_magnet_accepts_nothing() -> None:
    sampler, spins = make_sampler(whole()), random_spins(12, np.random.default_rng(9))
    start, mobile = spins.copy(), np.arange(12) % 3 != 0
    assert 0.0 < sampler.sweep(spins, mobile, 5.0, METROPOLIS, 2.0, np.random.default_rng(1)) <= 1.0
    np.testing.assert_array_equal(spins[~mobile], start[~mobile])
    assert (np.abs(spins - start).max(axis=1) > 0).sum() <= mobile.sum()
    assert sampler.sweep(spins, np.zeros(12, dtype=bool), 5.0, METROPOLIS, 2.0, np.random.default_rng(1)) == 0.0


def test_bonds_to_own_images_are_anisotropies() -> None:
    """s.J s of one site in a small cell: the symmetric part of J on the site, and (s.s)^2 = 1, a constant, nowhere."""
    rng = np.random.default_rng(4)
    tensors, sites = rng.normal(size=(2, 3, 3)), np.array([0, 1])
    model = pair_model(3, np.array([0, 0]), sites, tensors, np.array([0.5, 0.7]))
    np.testing.assert_allclose(model.quadratic[0], 0.5 * (tensors[0] + tensors[0].T))
    assert not model.quadratic[1:].any()
    assert sorted(zip(model.rows, model.columns, strict=True)) == [(0, 1), (1, 0)]
    np.testing.assert_allclose(model.tensors[1], model.tensors[0].T)
    np.testing.assert_array_equal(model.biquadratic, [0.7, 0.7])


def test_models_add_with_their_weights_pair_by_pair() -> None:
    one, two = ring(5, 0.3 * np.eye(3)), ring(5, np.diag([0.1, 0.2, 0.3]))
    field = LocalModel(5, linear=np.full((5, 3), 0.4))
    both = add_models([(2.0, one), (-1.0, two), (0.5, field)])
    assert len(both.rows) == 10, "each pair once, both directions"
    np.testing.assert_allclose(both.tensors, np.broadcast_to(np.diag([0.5, 0.4, 0.3]), (10, 3, 3)))
    np.testing.assert_allclose(both.linear, 0.2)


@pytest.mark.parametrize(
    ("model", "linear"),
    [
        (ring(4, np.eye(3)), True),
        (LocalModel(4, linear=np.ones((4, 3))), True),
        (LocalModel(4, quadratic=np.zeros((4, 3, 3))), True),
        (LocalModel(4, quadratic=np.ones((4, 3, 3))), False),
        (LocalModel(4, cubic=[(np.ones((4, 2)), np.eye(3))]), False),
        (pair_model(4, np.array([0]), np.array([1]), None, np.array([0.2])), False),
    ],
)
def test_models_say_whether_each_spin_sees_only_a_field(model: LocalModel, linear: bool) -> None:
    """Heat bath and reflections are exact for those."""
    assert model.is_linear_in_each_spin is linear
