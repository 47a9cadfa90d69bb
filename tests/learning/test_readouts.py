"""Readouts by themselves: weights in arrays and tensors alike, slopes by their condition, what they refuse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.polynomial import chebyshev

from spinase.errors import ModelError
from spinase.learning.grand_potential import GrandPotentialReadout
from spinase.learning.readout import EnergyReadout, Readout
from spinase.learning.two_potentials import Term, TwoPotentialsReadout

GRAND = GrandPotentialReadout((-1.0, 3.0))
DEVICE = TwoPotentialsReadout((-0.4, 0.5), 4, 1)


def normal(*shape: int) -> np.ndarray:
    """Numbers that depend on their shape only."""
    return np.random.default_rng(sum(shape)).normal(size=shape)


def rising(sites: int, orders: int = 4, seed: int = 0) -> np.ndarray:
    """Parts whose sum is a grand potential with dOmega/dmu < 0 and falling: electrons grow with mu."""
    parts = 0.02 * np.random.default_rng(seed).normal(size=(sites, orders + 1))
    parts[:, 1] -= 1.9
    parts[:, 2] -= 0.4
    return parts


def omega(parts: np.ndarray, mu: float, scale: float) -> float:
    """Scale times sum_ik T_k(x) e_ik with T_k = cos(k arccos x)."""
    x = (mu - 1.0) / 2.0
    return scale * float(parts.sum(axis=0) @ np.cos(np.arange(parts.shape[1]) * np.arccos(x)))


@pytest.mark.parametrize("filling", [0.35, 0.5, 0.6])
def test_the_chemical_potential_holds_the_electrons(filling: float) -> None:
    """N = -dOmega/dmu by central differences is the number asked for, and work is mu N: F = Omega + mu N is stationary."""
    parts, scale, step = rising(7), 2.0, 1e-5
    mu, weights, work = replace(GRAND, filling=filling).occupied(parts.sum(axis=0), 7, scale)
    electrons = 2.0 * filling * 7
    assert -(omega(parts, mu + step, scale) - omega(parts, mu - step, scale)) / (2 * step) == pytest.approx(electrons)
    assert work == pytest.approx(mu * electrons)
    assert scale * parts.sum(axis=0) @ weights == pytest.approx(omega(parts, mu, scale))
    free = [omega(parts, mu + shift, scale) + (mu + shift) * electrons for shift in (-0.01, 0.0, 0.01)]
    assert free[1] == pytest.approx(max(free))  # F(mu) is concave where electrons grow with mu: its maximum
    assert GRAND.filling_at(mu, parts.sum(axis=0), 7, scale) == pytest.approx(filling)


def test_a_fixed_chemical_potential_does_no_work() -> None:
    parts = rising(5)
    weighed = replace(GRAND, chemical_potential=0.4).weigh(parts, 1, 2.0, np.zeros((5, 3)))
    np.testing.assert_allclose(weighed.weights[0], np.tile(chebyshev.chebvander(-0.3, 4)[0], (5, 1)))
    assert weighed.work == pytest.approx([0.0])
    assert weighed.results["chemical_potential"] == pytest.approx([0.4])
    step = 1e-5
    slope = (omega(parts, 0.4 + step, 2.0) - omega(parts, 0.4 - step, 2.0)) / (2 * step)
    assert weighed.results["filling"] == pytest.approx([-slope / 10.0])


def test_every_magnet_has_its_own_chemical_potential() -> None:
    """Two magnets weighed together are those weighed alone; a magnet twice has the potential of one."""
    readout, one, two = replace(GRAND, filling=0.45), rising(4), rising(4, seed=1)
    both = readout.weigh(np.concatenate([one, two]), 2, 1.5, np.zeros((8, 3)))
    alone = [readout.weigh(parts, 1, 1.5, np.zeros((4, 3))) for parts in (one, two)]
    np.testing.assert_allclose(both.weights, np.concatenate([part.weights for part in alone], axis=1), atol=1e-12)
    np.testing.assert_allclose(both.work, np.concatenate([np.atleast_1d(part.work) for part in alone]))
    twice = readout.weigh(np.concatenate([one, one]), 1, 1.5, np.zeros((8, 3)))
    assert twice.results["chemical_potential"] == pytest.approx(alone[0].results["chemical_potential"])
    assert twice.work == pytest.approx(2.0 * np.asarray(alone[0].work))


def test_fillings_beyond_the_window_name_what_its_ends_give() -> None:
    parts = rising(6)
    low, high = (GRAND.filling_at(edge, parts.sum(axis=0), 6, 2.0) for edge in GRAND.chemical_potentials)
    with pytest.raises(ModelError, match=r"gives a filling of 0 \(the ends of this window give ") as caught:
        replace(GRAND, filling=0.0).occupied(parts.sum(axis=0), 6, 2.0)
    assert f"{low:.6g} and {high:.6g}" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filling": 0.5, "chemical_potential": 0.0}, "a filling or a chemical potential of the learned magnet, not both"),
        ({"filling": 1.2}, "a filling is between 0 and 1 electrons per spin-orbital, got 1.2"),
        ({"chemical_potential": -1.5}, "knows chemical potentials from -1 to 3, got -1.5"),
    ],
)
def test_electrons_that_make_no_sense_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        GRAND.at(**options)


def test_training_weights_of_a_grand_potential_are_its_polynomials() -> None:
    """The same numbers as at a fixed chemical potential; their slopes by differences of cosines."""
    x = torch.tensor([-0.9, 0.1, 0.7], dtype=torch.float64)
    weights = GRAND.batch_weights(x, 3, 5, x)
    assert weights.shape == (3, 1, 5)
    expected = np.cos(np.arange(5) * np.arccos(x.numpy())[:, None])
    np.testing.assert_allclose(weights[:, 0].numpy(), expected, atol=1e-14)
    fixed = replace(GRAND, chemical_potential=1.0 + 2.0 * 0.7).weigh(rising(2), 1, 1.0, np.zeros((2, 3))).weights
    np.testing.assert_allclose(weights[2, 0].numpy(), fixed[0, 0], atol=1e-14)
    step = 1e-6
    moved = [GRAND.batch_weights(x + sign * step, 3, 5, x) for sign in (-1, 1)]
    torch.testing.assert_close(GRAND.batch_slopes(x, 5), (moved[1] - moved[0]) / (2 * step), atol=1e-8, rtol=0.0)
    of_sites = GRAND.site_weights(x, torch.tensor([0, 0, 2, 1]), torch.zeros(4, 3), 5, x)
    torch.testing.assert_close(of_sites, weights[[0, 0, 2, 1]])
    with pytest.raises(ModelError, match="this network needs electrons: give chemical potentials"):
        GRAND.batch_weights(None, 3, 5, x)


def test_weights_for_training_of_an_energy_are_one_for_all() -> None:
    like = torch.zeros(1, dtype=torch.float64)
    assert EnergyReadout().site_weights(None, torch.tensor([0, 1, 1]), torch.zeros(3, 3), 1, like).tolist() == [[[1.0]]] * 3
    assert EnergyReadout().batch_slopes(torch.zeros(2), 1).tolist() == [[[0.0]]] * 2


def test_the_terms_of_a_device_alternate_between_currents_and_potentials() -> None:
    """E without a bias; then E and G of every power, odd ones as currents; without an axis no currents."""
    assert DEVICE.terms()[0] == Term(False, 0, False)
    assert DEVICE.parts == len(DEVICE.terms()) == 9
    assert [term.power for term in DEVICE.terms()] == [0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert all(term.current == (term.power % 2 == 1) for term in DEVICE.terms())
    assert not any(term.current for term in replace(DEVICE, axis=None).terms())
    assert TwoPotentialsReadout().terms() == [Term(False, 0, False), Term(True, 0, False)]
    assert len(TwoPotentialsReadout(axis=2).terms()) == 4


@pytest.mark.parametrize("readout", [DEVICE, replace(DEVICE, axis=None), replace(DEVICE, axis=2, orders=1)])
@pytest.mark.parametrize("bias", [0.3, -0.4])
def test_arrays_and_tensors_have_the_same_weights(readout: TwoPotentialsReadout, bias: float) -> None:
    """What evaluators use and what a training uses."""
    places, like = normal(6, 3), torch.zeros(1, dtype=torch.float64)
    arrays = readout.under(bias).weigh(np.zeros((6, readout.parts)), 1, 1.0, places).weights
    tensors = readout.site_weights(
        torch.tensor([bias], dtype=torch.float64),
        torch.zeros(6, dtype=torch.int64),
        torch.from_numpy(places),
        readout.parts,
        like,
    )
    np.testing.assert_allclose(tensors.transpose(0, 1).numpy(), arrays, atol=1e-14)


def test_without_a_bias_only_the_energy_is_left() -> None:
    places = normal(4, 3)
    weights = DEVICE.under(0.0).weigh(np.zeros((4, 9)), 1, 1.0, places).weights
    np.testing.assert_array_equal(weights, np.tile(np.eye(9)[0], (1, 4, 1)))
    gradients = normal(1, 4, 3)
    np.testing.assert_array_equal(DEVICE.fields(np.zeros((4, 3)), gradients, places), gradients[0])


def test_fields_turn_the_second_potential_by_the_spins() -> None:
    """H = h_E - s x h_G, in arrays and tensors; with an axis each seen from the site's own place."""
    gradients, (spins, places) = normal(4, 5, 3), normal(2, 5, 3)
    plain = replace(DEVICE, axis=None)
    np.testing.assert_allclose(
        plain.fields(spins, gradients[:2], places), gradients[0] - np.cross(spins, gradients[1]), atol=1e-14
    )
    along = places[:, 1:2]
    expected = gradients[0] - along * gradients[1] - np.cross(spins, gradients[2] - along * gradients[3])
    np.testing.assert_allclose(DEVICE.fields(spins, gradients, places), expected, atol=1e-14)
    tensors = (torch.from_numpy(one) for one in (spins, gradients, places))
    np.testing.assert_allclose(DEVICE.fields(*tensors).numpy(), expected, atol=1e-14)


def test_currents_do_not_know_the_origin_of_the_places() -> None:
    """Moving all places along the axis by d adds d times a potential to both of what is subtracted."""
    parts, (spins, places) = normal(6, 9, 3), normal(2, 6, 3)

    def field(shift: float) -> np.ndarray:
        """With every part a function of its own site's spin: gradients are sums of weights times `parts`."""
        moved = places + shift * np.eye(3)[1]
        weights = DEVICE.under(0.3).weigh(np.zeros((6, 9)), 1, 1.0, moved).weights
        return np.asarray(DEVICE.fields(spins, np.einsum("jnk,nka->jna", weights, parts), moved))

    np.testing.assert_allclose(field(11.0), field(0.0), atol=1e-12)
    np.testing.assert_allclose(field(0.0)[:, 0], field(-3.0)[:, 0], atol=1e-12)


def test_what_readouts_say_of_themselves() -> None:
    assert (EnergyReadout().parts, GRAND.parts, TwoPotentialsReadout().parts) == (1, 2, 2)
    assert (EnergyReadout().condition, GRAND.condition, DEVICE.condition) == (None, "chemical_potentials", "bias")
    assert TwoPotentialsReadout().condition is None
    assert EnergyReadout().breaks == GRAND.breaks == frozenset()
    assert replace(DEVICE, axis=None).breaks == {"time_reversal"}
    assert DEVICE.breaks == {"time_reversal", "lattice_rotation", "joint_rotation"}
    assert (GRAND.conservative, DEVICE.conservative) == (True, False)


@pytest.mark.parametrize("readout", [EnergyReadout(), GRAND, DEVICE, TwoPotentialsReadout(axis=2)])
def test_tables_of_cards_make_the_readout_again(readout: Readout) -> None:
    table = readout.table()
    assert type(readout).from_config(readout.Config.model_validate(table)) == readout


@pytest.mark.parametrize(
    ("readout", "bias", "message"),
    [
        (EnergyReadout(), 0.1, "it knows nothing of a bias: leave it out"),
        (TwoPotentialsReadout(), 0.1, "it knows no bias: leave it out"),
        (DEVICE, None, r"it needs the bias between the leads: bias=\.\.\."),
    ],
)
def test_a_bias_is_given_where_it_is_known(readout: Readout, bias: float | None, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        readout.under(bias)


def test_two_potentials_are_never_weighed_by_guess() -> None:
    with pytest.raises(ModelError, match="two potentials need the bias between the leads"):
        DEVICE.weigh(np.zeros((2, 9)), 1, 1.0, np.zeros((2, 3)))
    with pytest.raises(ModelError, match="these two potentials need the bias of every configuration"):
        DEVICE.site_weights(None, torch.zeros(2, dtype=torch.int64), torch.zeros(2, 3), 9, torch.zeros(1))
    with pytest.raises(ModelError, match="differ from site to site: ask for site_weights"):
        DEVICE.batch_weights(None, 1, 9, torch.zeros(1))
    np.testing.assert_array_equal(TwoPotentialsReadout().constant_weights(2), np.eye(2))
    assert DEVICE.constant_weights(9) is None
