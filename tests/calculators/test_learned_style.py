"""The style `learned`: one class for every model file, whatever its trunk and readout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.calculators import HIPNNCalculator, LatticeCalculator, ModelCalculator
from spinase.calculators.learned import LearnedCalculator
from spinase.errors import InputError, ModelFileError
from spinase.learning.card import ModelCard
from spinase.learning.lattice.network import LatticeConfig, LatticeNetwork
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig
from spinase.learning.model_file import save_model
from spinase.learning.symmetry_functions.network import SymmetryFunctionsConfig, SymmetryFunctionsNetwork
from spinase.learning.trunk import Trunk
from spinase.learning.two_potentials import TwoPotentialsReadout
from spinase.options import built_style

STYLE = "spinase.calculators.model:ModelCalculator"


def square() -> SpinAtoms:
    return SpinAtoms.lattice("square", (4, 4), units="reduced", rng=1)


def trunk(kind: str, parts: int = 1) -> Trunk:
    torch.manual_seed(2)
    if kind == "lattice":
        reach = {"cutoff": 1.1, "pair_length": 1.5, "pair_range": 1.1, "triangle_length": 1.5, "triangle_range": 1.1}
        geometry = geometry_of(square())
        size: dict[str, Any] = {**reach, "channels": 3, "hidden": (6, 5)}
        return LatticeNetwork(LatticeConfig.from_training(size, (26,), parts, geometry))
    common: dict[str, Any] = {"species": (26,), "cutoff": 1.3, "inner": 0.6, "parts": parts}
    if kind == "mhipnn":
        return MagneticHIPNN(NetworkConfig(**common, radial=4, channels=(4, 3, 2), width=4))
    return SymmetryFunctionsNetwork(SymmetryFunctionsConfig(**common, radial=4, hidden=(6, 5)))


@pytest.mark.parametrize(
    ("kind", "other"),
    [("mhipnn", HIPNNCalculator), ("lattice", LatticeCalculator), ("spin-symmetry-functions", LearnedCalculator)],
)
def test_a_file_is_enough(tmp_path: Path, kind: str, other: type[LearnedCalculator]) -> None:
    """Answers are those of the class made for the trunk, to the last bit: it is the same evaluator."""
    network = trunk(kind)
    save_model(tmp_path / "any.npz", [network], ModelCard("any", network.config, "reduced"))
    table = {"style": STYLE, "model": str(tmp_path / "any.npz"), "dtype": "float64", "outside_domain": "ignore"}
    calc, atoms = built_style("calculators", table, "[calculator]"), square()
    expected = other(str(tmp_path / "any.npz"), dtype="float64", outside_domain="ignore")
    assert type(calc) is ModelCalculator
    assert type(calc.networks[0]) is type(network)
    for name in ("energy", "magnetic_forces"):
        found = np.asarray(calc.get_property(name, atoms))
        assert np.abs(found).max() > 1e-6
        np.testing.assert_array_equal(found, expected.get_property(name, atoms))


def test_a_driven_model_takes_its_bias_from_the_table(tmp_path: Path) -> None:
    network = trunk("spin-symmetry-functions", parts=2)
    readout = TwoPotentialsReadout(window=(-0.5, 0.5), axis=None)
    network = trunk("spin-symmetry-functions", parts=readout.parts)
    save_model(tmp_path / "driven.npz", [network], ModelCard("driven", network.config, "reduced", readout=readout))
    table = {"style": STYLE, "model": str(tmp_path / "driven.npz"), "bias": 0.2, "outside_domain": "ignore"}
    calc = built_style("calculators", table, "[calculator]")
    assert calc.bias == 0.2
    assert not calc.conservative
    assert np.abs(calc.get_property("torques", square())).max() > 1e-6


def test_what_is_no_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no model 'triangular-12' comes with spinase; did you mean 'triangular-120'"):
        built_style("calculators", {"style": STYLE, "model": "triangular-12"}, "[calculator]")
    with pytest.raises(InputError, match="unknown key 'modell' in .calculator. .did you mean 'model'"):
        built_style("calculators", {"style": STYLE, "modell": "x"}, "[calculator]")
