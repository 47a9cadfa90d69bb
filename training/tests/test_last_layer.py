"""The fit of the last layer of driven networks, and networks that a training begins with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from spinase_training.data import TrainingData, prepare
from spinase_training.last_layer import collective_modes, fit_last_layer
from spinase_training.recipe import check_recipe
from spinase_training.start import recipe_start, start_networks

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.calculators.learned import LearnedCalculator
from spinase.errors import InputError
from spinase.io.labels import Labels
from spinase.learning.card import ModelCard
from spinase.learning.lattice.network import LatticeConfig, LatticeNetwork
from spinase.learning.model_file import save_model
from spinase.learning.pairs import pairs_of
from spinase.learning.shipped import shipped_model
from spinase.learning.two_potentials import TwoPotentialsReadout
from spinase.spin_algebra import normalized, tangent
from spinase.textures import domain_wall

READOUT = TwoPotentialsReadout(window=(-0.4, 0.4), axis=0, orders=2)
BIASES = np.array([-0.4, 0.0, 0.3, 0.2, -0.1])


def strip(width: int = 2) -> SpinAtoms:
    atoms = SpinAtoms.lattice("square", (8, width), units="reduced")
    atoms.pbc = (False, True, False)
    return atoms


def network(seed: int) -> LatticeNetwork:
    size = {"cutoff": 1.1, "pair_length": 1.1, "pair_range": 1.1, "axis": 0, "hidden": (4,), "bispectrum": 0}
    torch.manual_seed(seed)
    return LatticeNetwork(LatticeConfig.from_training(size, [26], READOUT.parts, geometry_of(strip())))


def labels_of(taught: LatticeNetwork) -> tuple[TrainingData, Labels]:
    """Noisy walls at some biases with the fields of a network, as data of a training."""
    rng, card = np.random.default_rng(1), ModelCard("device", taught.config, "reduced", readout=READOUT)
    rows = []
    for bias in BIASES:
        atoms = strip()
        wall = domain_wall(geometry_of(atoms), rng, width=1.0, angle=0.4)
        atoms.moments = 2.0 * normalized(wall + 0.2 * rng.normal(size=wall.shape))
        calc = LearnedCalculator(([taught], card), dtype="float64", bias=float(bias), outside_domain="ignore")
        rows.append((atoms.positions.copy(), atoms.moments.copy(), calc.get_property("magnetic_forces", atoms)))
    places, moments, fields = (np.array(one) for one in zip(*rows, strict=True))
    cells = np.repeat(strip().cell.array[None], len(BIASES), axis=0)
    found = Labels(
        positions=places,
        cells=cells,
        moments=moments,
        energies=np.full(len(BIASES), np.nan),
        magnetic_forces=fields,
        forces=None,
        numbers=strip().numbers.astype(np.int64),
        pbc=strip().pbc.copy(),
        kinds=["wall"] * len(BIASES),
        units="reduced",
        biases=BIASES,
    )
    return prepare([found], 0.1), found


def test_torque_and_push_of_a_uniform_field_on_a_wall() -> None:
    """tau = sum s x h, and the push of h along z is h (s_z(right) - s_z(left)) = -2 h for each row from +z to -z."""
    atoms = SpinAtoms.lattice("square", (40, 3), units="reduced")
    atoms.pbc = (False, True, False)
    spins = domain_wall(geometry_of(atoms), np.random.default_rng(0), width=3.0, angle=0.3)
    modes = collective_modes(pairs_of(geometry_of(atoms), 2.3, torch.float64), spins, axis=0)
    field = tangent(np.broadcast_to([0.0, 0.0, 0.7], spins.shape), spins)
    found = np.einsum("mia,ia->m", modes, field)
    np.testing.assert_allclose(found[:3], np.cross(spins, field).sum(0), atol=1e-12)
    assert found[3] == pytest.approx(-2.0 * 0.7 * 3, rel=0.02)  # of differences in place of slopes
    np.testing.assert_allclose(np.einsum("mia,ia->mi", modes, spins), 0.0, atol=1e-12)  # fields along spins do nothing


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_fields_of_other_last_weights_are_found_again(weight: float) -> None:
    """Labels are fields of a network; one with the same inner weights and no last ones becomes the same."""
    taught = network(2)
    data, part = labels_of(taught)
    found = network(2)
    with torch.no_grad():
        for layer in found.last_layers():
            layer.weight.zero_()
    told = fit_last_layer(found, READOUT, data, np.arange(5), weight, 0.1)
    assert 0.2 < told.fields[0] < 1.0 / 3.0  # nothing is explained yet: a component, against its configuration and the floor
    assert told.fields[1] < 1e-8
    assert told.collective[0] == pytest.approx(0.9, abs=0.15)  # relative, of torque and push
    assert told.collective[1] < 1e-4
    card = ModelCard("device", found.config, "reduced", energy_scale=data.scale, readout=READOUT)
    calc = LearnedCalculator(([found], card), dtype="float64", bias=0.3, outside_domain="ignore")
    atoms = part.atoms(2)
    expected = tangent(part.magnetic_forces[2], part.moments[2] / 2.0)
    np.testing.assert_allclose(
        tangent(calc.get_property("magnetic_forces", atoms), atoms.spins), expected, atol=1e-3 * np.abs(expected).max()
    )


def test_the_push_weighs_what_the_weight_says() -> None:
    """Where a network cannot have everything, weight of collective torques makes these right at the cost of the fields."""
    data, _ = labels_of(network(2))
    told = [fit_last_layer(network(5), READOUT, data, np.arange(5), weight, 0.1) for weight in (0.0, 100.0)]
    assert told[1].collective[1] < 0.5 * told[0].collective[1]
    assert told[1].fields[1] > told[0].fields[1]
    assert "rms relative error of collective torques" in str(told[0])


def test_without_a_current_there_is_nothing_to_fit() -> None:
    data, _ = labels_of(network(2))
    with pytest.raises(InputError, match="collective_weight is for walls that a current moves"):
        fit_last_layer(network(2), replace(READOUT, axis=None), data, np.arange(5), 1.0, 0.1)


def test_a_recipe_begins_with_a_model_whose_fields_stay(tmp_path: Path) -> None:
    table = {"name": "x", "labels": "x.h5", "epochs": 1, "network": {"cutoff": 1.1, "inner": 0.5}}
    assert recipe_start(check_recipe(table, "recipe"), tmp_path) is None
    assert recipe_start(check_recipe({**table, "start": "driven-wall"}, "recipe"), tmp_path) == shipped_model("driven-wall")
    before, atoms = network(2), strip()
    atoms.moments = domain_wall(geometry_of(atoms), np.random.default_rng(0), width=1.0, angle=0.4)
    card = ModelCard("device", before.config, "reduced", energy_scale=2.0, readout=READOUT)
    save_model(tmp_path / "old.npz", [before], card)
    assert recipe_start(check_recipe({**table, "start": "old.npz"}, "recipe"), tmp_path) == tmp_path / "old.npz"
    after, config = start_networks(tmp_path / "old.npz", before.config, READOUT, 1, scale=0.1)
    assert config == before.config
    fields = [
        LearnedCalculator(
            (nets, replace(card, energy_scale=scale)), dtype="float64", bias=0.2, outside_domain="ignore"
        ).get_property("magnetic_forces", atoms)
        for nets, scale in (([before], 2.0), (after, 0.1))
    ]
    np.testing.assert_allclose(fields[1], fields[0], rtol=1e-5, atol=1e-7)
    with pytest.raises(
        InputError, match="cannot begin with the weights of .*old.npz.*orders=2.*, not TwoPotentialsReadout.*orders=3"
    ):
        start_networks(tmp_path / "old.npz", before.config, replace(READOUT, orders=3), 1)
    wider = before.config.model_copy(update={"cutoff": 9.5})
    with pytest.raises(InputError, match=rf"recipe's: cutoff = {before.config.cutoff}, not 9.5; 1 networks, not 2$"):
        start_networks(tmp_path / "old.npz", wider, READOUT, 2)
