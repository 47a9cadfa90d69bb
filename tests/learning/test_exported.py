"""Programs of learned models: on rows of equal length and layers of fewer and fewer sites they say what the model says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch._inductor.exc import InvalidCxxCompiler

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.calculators import LatticeCalculator
from spinase.calculators.learned import LearnedCalculator
from spinase.contract import local_energy
from spinase.errors import ModelError
from spinase.learning import exported
from spinase.learning.card import ModelCard
from spinase.learning.exported import RegionProgram, export_package, facts_of
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig
from spinase.learning.torch_evaluator import TorchEvaluator
from spinase.regions import Region, blocks, cut

ALL = {"quadrupoles": True, "products": True, "spin_orbit": True, "pairs": 4}
KINDS: dict[str, dict[str, Any]] = {
    "one layer": {"layers": 1},
    "three layers": {"layers": 3},
    "everything": {"layers": 2, **ALL},
}


def random_model(**size: Any) -> LearnedCalculator:
    """An ensemble of two random networks of two species."""
    config = NetworkConfig(species=(26, 27), cutoff=1.6, inner=0.6, radial=4, width=5, channels=(4, 3, 2), **size)
    torch.manual_seed(1)
    members = [MagneticHIPNN(config).double() for _ in range(2)]
    for member in members:
        for weight in member.parameters():
            torch.nn.init.normal_(weight, std=0.3)
    card = ModelCard("random", config, "reduced", energy_scale=0.7, energy_shift=0.2)
    return LearnedCalculator((members, card), dtype="float64", evaluators=(TorchEvaluator,))


def alloy() -> SpinAtoms:
    """Two species, and a site without a moment."""
    atoms = SpinAtoms.disordered(24, density=1.0, min_distance=0.75, units="reduced", rng=3)
    atoms.set_atomic_numbers(np.where(np.arange(24) % 3, 26, 27))
    moments = atoms.spins.copy()
    moments[4] = 0.0
    atoms.moments = moments
    return atoms


def arranged(region: Region, layers: int, cutoff: float) -> tuple[np.ndarray, list[torch.Tensor], np.ndarray]:
    """Sites in the order of their distance in pairs, arguments (vectors, neighbours, places ...), and slots of the pairs."""
    steps = np.full(len(region), layers + 1)
    steps[: region.owned] = 0
    for k in range(1, layers + 1):
        reached = region.second[steps[region.first] == k - 1]
        steps[reached] = np.minimum(steps[reached], k)
    order = np.argsort(steps, kind="stable")[: np.count_nonzero(steps <= layers)]
    sent = np.full(len(region), -1)
    sent[order] = np.arange(len(order))
    ends = [np.count_nonzero(steps <= k) for k in range(layers)]
    used = np.flatnonzero(steps[region.first] < layers)
    width = int(np.bincount(region.first[used]).max())
    vectors = np.tile([2.0 * cutoff, 0.0, 0.0], (ends[-1] * width, 1))
    near, taken = np.repeat(np.arange(ends[-1]), width), np.zeros(ends[-1], dtype=int)
    slots = np.full(len(region.first), -1)
    for p in used:
        row = sent[region.first[p]]
        slots[p] = row * width + taken[row]
        taken[row] += 1
        vectors[slots[p]], near[slots[p]] = region.vectors[p], sent[region.second[p]]
    shapes = torch.from_numpy(vectors).reshape(-1, width, 3), torch.from_numpy(near).reshape(-1, width)
    return order, [*shapes, *(torch.arange(ends[k]) for k in reversed(range(layers)))], slots


@pytest.mark.parametrize("kind", KINDS)
def test_programs_say_what_the_model_says(kind):
    atoms, calc = alloy(), random_model(**KINDS[kind])
    energy = local_energy(calc, atoms)
    geometry = geometry_of(atoms)
    region = cut(geometry, blocks(geometry, (2, 1, 1)), energy.cutoff, energy.ghost_depth)[0]
    lengths = np.linalg.norm(atoms.moments, axis=1)[region.tags]
    spins = atoms.moments[region.tags]
    expected = energy.freeze(region).evaluate(spins, lengths, True)
    order, (vectors, near, *places), slots = arranged(region, energy.layers, energy.cutoff)
    species = torch.from_numpy(energy.evaluator.trunks[0].config.indices(region.numbers[order]))
    told = (vectors, near, species, torch.from_numpy(spins[order]), *places)
    energies, fields, slopes = (one.numpy() for one in RegionProgram(energy, forces=True)(*told))
    assert energies == pytest.approx(expected.energies, abs=1e-12)
    found = np.zeros_like(expected.magnetic_forces)
    found[order] = fields
    assert found[lengths > 0.0] == pytest.approx(expected.magnetic_forces[lengths > 0.0], abs=1e-12)
    forces = np.zeros_like(found)
    listed = slots >= 0
    np.add.at(forces, region.first[listed], slopes.reshape(-1, 3)[slots[listed]])
    np.add.at(forces, region.second[listed], -slopes.reshape(-1, 3)[slots[listed]])
    assert forces == pytest.approx(expected.forces, abs=1e-12)
    assert np.abs(forces).max() > 0.01


def test_a_package_tells_its_reach_its_species_and_what_it_was_trained_on():
    calc = LearnedCalculator.shipped("disordered-sd", dtype="float64")
    facts = facts_of(local_energy(calc, alloy()))
    assert facts["spinase_torch"] == torch.__version__.split("+")[0]
    assert (facts["spinase_cutoff"], facts["spinase_depth"], facts["spinase_layers"]) == ("2", "4", "2")
    assert (facts["spinase_species"], facts["spinase_dtype"], facts["spinase_forces"]) == ("Fe", "float64", "no")
    assert float(facts["spinase_shortest"]) == pytest.approx(0.98 * 0.75, rel=1e-2)
    mixed = facts_of(local_energy(random_model(layers=1), alloy()))
    assert (mixed["spinase_forces"], mixed["spinase_shortest"]) == ("yes", "0 0 0 0"), "nothing is known of its training"


def test_what_cannot_become_a_package_says_why(tmp_path, monkeypatch):
    square = SpinAtoms.lattice("square", (6, 6), units="reduced", rng=1)
    lattice = LatticeCalculator.shipped("square-double-exchange-lattice", chemical_potential=-4.5)
    with pytest.raises(ModelError, match="torch cannot trace a LatticeNetwork"):
        export_package(local_energy(lattice, square), tmp_path / "lattice.pt2")
    energy = local_energy(random_model(layers=1), alloy())

    def no_compiler(*_: Any, **__: Any) -> None:
        raise InvalidCxxCompiler

    monkeypatch.setattr(exported, "make_fx", no_compiler)
    with pytest.raises(ModelError, match="torch found no C.. compiler to compile 'random' with"):
        export_package(energy, tmp_path / "none.pt2")

    def breaks(*_: Any, **__: Any) -> None:
        raise RuntimeError("a long story\nnot this way")

    monkeypatch.setattr(exported, "make_fx", breaks)
    with pytest.raises(ModelError, match="cannot compile the model 'random': not this way"):
        export_package(energy, tmp_path / "none.pt2")
    assert not list(tmp_path.iterdir())
