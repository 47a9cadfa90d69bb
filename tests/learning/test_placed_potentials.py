"""Two potentials of a device between unlike electrodes: what a site does depends on the bias and on its place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.polynomial import chebyshev
from pydantic import ValidationError
from systems.trunks import Sums, SumsConfig

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.calculators.learned import LearnedCalculator
from spinase.errors import ModelError
from spinase.learning.card import ModelCard
from spinase.learning.trunk import prepare
from spinase.learning.two_potentials import Term, TwoPotentialsConfig, TwoPotentialsReadout
from spinase.testing import check_calculator

READOUT = TwoPotentialsReadout(window=(-3.0, -1.0), orders=2, axis=0, length=5.0, places=1)


def device(length: int = 6, width: int = 3, seed: int = 1) -> SpinAtoms:
    atoms = SpinAtoms.lattice("square", (length, width), units="reduced", rng=seed)
    atoms.pbc = (False, True, False)
    return atoms


def sums(readout: TwoPotentialsReadout = READOUT) -> Sums:
    torch.manual_seed(3)
    return Sums(SumsConfig(species=(26,), cutoff=1.8, parts=readout.parts)).double()


def calculator(readout: TwoPotentialsReadout = READOUT, bias: float | None = -2.5, **options: Any) -> LearnedCalculator:
    network = sums(readout)
    card = ModelCard("capacitor", network.config, "reduced", energy_scale=2.0, readout=readout)
    return LearnedCalculator(([network], card), dtype="float64", bias=bias, outside_domain="ignore", **options)


def field(atoms: SpinAtoms, **options: Any) -> np.ndarray:
    return np.asarray(calculator(**options).get_property("magnetic_forces", atoms))


def test_every_power_of_the_bias_goes_with_every_power_of_the_place() -> None:
    assert READOUT.terms()[:3] == [Term(False, 0, False, 0), Term(False, 0, False, 1), Term(False, 1, False, 0)]
    assert READOUT.parts == 2 * 3 * 2
    assert not READOUT.flows
    assert READOUT.breaks == {"time_reversal", "lattice_rotation", "joint_rotation"}
    single = replace(READOUT, window=None)
    assert single.terms() == [Term(turned, 0, False, q) for turned in (False, True) for q in (0, 1)]
    assert single.condition is None
    table = READOUT.table()
    assert TwoPotentialsReadout.from_config(TwoPotentialsConfig.model_validate(table)) == READOUT
    with pytest.raises(ValidationError, match="length = 5 is along an axis: give axis = 0, 1 or 2"):
        TwoPotentialsConfig(length=5.0)


def test_weights_are_chebyshevs_polynomials_of_bias_and_place() -> None:
    """Two devices, the second moved; arrays and tensors; G has V/V0 before it."""
    rng = np.random.default_rng(0)
    places = rng.uniform(0.0, 5.0, size=(2, 4, 3))
    places[:, 0, 0] = 0.0
    moved = places + np.array([[[0.0, 0.0, 0.0]], [[-40.0, 3.0, 0.0]]])
    weights = READOUT.under(-1.4).weigh(np.zeros((8, 12)), 2, 1.0, moved.reshape(-1, 3)).weights
    by_bias = chebyshev.chebvander(0.6, 2)[0]  # -3 to -1 is -1 to 1
    by_place = chebyshev.chebvander(2.0 * places[..., 0].ravel() / 5.0 - 1.0, 1)
    expected = np.einsum("p,nq->npq", by_bias, by_place).reshape(8, 6)
    np.testing.assert_allclose(weights[0, :, :6], expected, atol=1e-13)
    np.testing.assert_allclose(weights[1, :, 6:], -1.4 / 3.0 * expected, atol=1e-13)
    assert not weights[0, :, 6:].any()
    assert not weights[1, :, :6].any()
    tensors = READOUT.site_weights(
        torch.full((2,), -1.4, dtype=torch.float64),
        torch.tensor([0] * 4 + [1] * 4),
        torch.from_numpy(moved.reshape(-1, 3)),
        12,
        torch.zeros(1, dtype=torch.float64),
    )
    np.testing.assert_allclose(tensors.transpose(0, 1).numpy(), weights, atol=1e-13)
    both = replace(READOUT, window=(-1.0, 2.0)).under(0.0).weigh(np.zeros((8, 12)), 2, 1.0, moved.reshape(-1, 3)).weights
    assert len(both) == 1  # G vanishes without a bias


def test_fields_are_those_of_the_definition() -> None:
    """H_j = -dE/ds_j + s_j x dG/ds_j from derivatives of every part of every site by every spin."""
    atoms, network = device(), sums()
    around, spins = prepare(network, geometry_of(atoms)), torch.tensor(atoms.spins)
    jacobian = torch.autograd.functional.jacobian(lambda s: network(around, s), spins).numpy()  # (N, K, N, 3)
    x, y = 2.0 * atoms.positions[:, 0] / 5.0 - 1.0, -0.5
    slopes = np.zeros((2, len(atoms), 3))
    for k, term in enumerate(READOUT.terms()):
        factor = np.cos(term.power * np.arccos(y)) * x**term.place * (-2.5 / 3.0 if term.turned else 1.0)
        slopes[int(term.turned)] += np.einsum("i,ija->ja", factor, jacobian[:, k])
    expected = 2.0 * (-slopes[0] + np.cross(atoms.spins, slopes[1]))
    np.testing.assert_allclose(field(atoms), expected, atol=1e-12 * np.abs(expected).max())


def test_devices_have_ends_that_differ_and_no_place_in_the_world() -> None:
    atoms = device()
    found, moved, turned = field(atoms), atoms.copy(), atoms.copy()
    moved.positions += [37.0, -2.0, 0.0]
    np.testing.assert_allclose(field(moved), found, atol=1e-11 * np.abs(found).max())
    turned.positions[:, 0] *= -1.0
    assert np.abs(field(turned) - found).max() > 0.01 * np.abs(found).max()
    assert np.abs(
        field(turned, readout=replace(READOUT, places=0)) - field(atoms, readout=replace(READOUT, places=0))
    ).max() < (1e-12 * np.abs(found).max())
    calc, other = calculator(), device(seed=2)
    replicas = calc.replicas(atoms, np.array([atoms.moments, other.moments]))[1]
    np.testing.assert_allclose(replicas[0], found, atol=1e-12 * np.abs(found).max())


def test_the_kit_of_calculators() -> None:
    calc = calculator()
    report = check_calculator(calc, device(6, 4))
    assert report["spin_rotation"].status == "passed", report
    assert not calc.conservative


def test_other_lengths_are_refused_and_other_widths_are_not() -> None:
    field(device(6, 7))
    with pytest.raises(ModelError, match=r"of a device of 5 from its first to its last layer along x, and this one has 7: "):
        field(device(8, 3))
    closed = device()
    closed.pbc = True
    with pytest.raises(ModelError, match="is periodic along x: there is no place for leads"):
        field(closed)
