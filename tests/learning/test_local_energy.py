"""Learned models on regions cut out of magnets: they add up to the calculator on the whole, blind beyond their ghosts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.calculators import HeisenbergCalculator, HIPNNCalculator, LatticeCalculator, SpinSumCalculator
from spinase.calculators.learned import LearnedCalculator
from spinase.contract import local_energy
from spinase.errors import InvalidGeometryError, ModelError, OutOfDomainError
from spinase.learning.card import ModelCard
from spinase.learning.ensemble import EVALUATORS
from spinase.learning.lattice.network import LatticeConfig, LatticeNetwork
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig
from spinase.learning.symmetry_functions.network import SymmetryFunctionsConfig, SymmetryFunctionsNetwork
from spinase.learning.torch_evaluator import TorchEvaluator, TorchRegions
from spinase.learning.two_potentials import TwoPotentialsReadout
from spinase.radial import Exponential
from spinase.regions import LocalEnergy, Region, cut
from spinase.testing import Report, Tolerances, check_local_energy

EXACT = Tolerances(symmetry=1e-10, gradient=1e-6)
SINGLE = Tolerances(symmetry=2e-5, gradient=1e-2, step=4e-3)
LONG = Exponential(amplitude=-0.6, decay=1.3, reference=1.0, cutoff=2.3, width=0.5)


def with_lengths(atoms: SpinAtoms) -> SpinAtoms:
    """Moments of different lengths, and one site without any."""
    lengths = np.random.default_rng(3).uniform(0.5, 3.0, size=(len(atoms), 1))
    atoms.moments = atoms.spins * np.where(np.arange(len(atoms))[:, None] == 2, 0.0, lengths)
    return atoms


def cluster(sites: int = 10, seed: int = 6) -> SpinAtoms:
    return with_lengths(SpinAtoms.disordered(sites, density=0.7, min_distance=0.8, dimension=3, rng=seed))


def slanted() -> SpinAtoms:
    atoms = cluster()
    atoms.set_cell(atoms.cell @ np.array([[1.0, 0.0, 0.0], [0.3, 1.0, 0.0], [-0.2, 0.4, 1.0]]), scale_atoms=True)
    return atoms


def droplet() -> SpinAtoms:
    atoms = cluster(100)
    atoms.pbc, atoms.cell = False, None
    return atoms


def alloy() -> SpinAtoms:
    atoms = cluster()
    atoms.numbers = np.where(np.random.default_rng(1).random(10) < 0.5, 26, 27)
    return atoms


def model(members: int = 1, dtype: Any = "float64", evaluators: Any = EVALUATORS, **changes: Any) -> LearnedCalculator:
    """Networks with random weights."""
    size = {"channels": (5, 3, 2), "width": 5, "quadrupoles": True, "species": (27, 26), **changes}
    config = NetworkConfig(cutoff=1.5, inner=0.6, radial=6, **size)
    networks = []
    for seed in range(members):
        torch.manual_seed(seed)
        networks.append(MagneticHIPNN(config))
    card = ModelCard("random", config, "metal", 1.0, 2.0, 0.3)
    return LearnedCalculator((networks, card), dtype=dtype, evaluators=evaluators)


def compiled(members: int = 1, **changes: Any) -> LearnedCalculator:
    """Networks that the compiled loops have, with channels of the tests of these loops."""
    return model(members, **{"channels": (18, 17, 3), "quadrupoles": False, **changes})


def lieb() -> SpinAtoms:
    """A square lattice with every fourth site missing: corners, and centres of edges."""
    atoms = SpinAtoms.lattice("square", (4, 4), rng=8)
    return atoms[~(np.round(atoms.positions[:, :2]) % 2 == 1).all(axis=1)]


def of_lattice(atoms: SpinAtoms, **options: Any) -> LatticeCalculator:
    """A network with random weights on the lattice of a magnet."""
    torch.manual_seed(1)
    size = {"cutoff": 1.5, "pair_length": 1.5, "pair_range": 1.5, "triangle_length": 1.5, "triangle_range": 1.5}
    config = LatticeConfig.from_training({**size, "hidden": (5,), "channels": 2}, (26,), 1, geometry_of(atoms))
    card = ModelCard("lieb", config, "metal", 1.0, 2.0, 0.3)
    return LatticeCalculator(([LatticeNetwork(config)], card), dtype="float64", **options)


def symmetry_functions() -> HIPNNCalculator:
    torch.manual_seed(1)
    config = SymmetryFunctionsConfig(species=(27, 26), cutoff=1.5, inner=0.6, radial=3, angular_radial=2, hidden=(5,))
    return HIPNNCalculator(([SymmetryFunctionsNetwork(config)], ModelCard("functions", config, "metal")), dtype="float64")


def passed(report: Report) -> set[str]:
    return {result.name for result in report if result.status == "passed"}


CASES: dict[str, tuple[Any, Any]] = {
    "two layers": (model, cluster),
    "one layer": (lambda: model(layers=1), cluster),
    "three layers": (lambda: compiled(layers=3), cluster),
    "compiled, law of pairs, two species": (lambda: compiled(2, pairs=4), alloy),
    "all channels, law of pairs": (lambda: model(2, pairs=4, products=True, spin_orbit=True), cluster),
    "no boundaries": (model, droplet),
    "triclinic": (model, slanted),
    "two species": (lambda: model(pairs=4), alloy),
    "lattice of two kinds of sites": (lambda: of_lattice(lieb()), lambda: with_lengths(lieb())),
    "spin symmetry functions": (symmetry_functions, alloy),
    "with exchange of longer range": (
        lambda: SpinSumCalculator([model(), HeisenbergCalculator(law=LONG)], [0.5, 2.0]),
        cluster,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_regions_add_up_to_the_whole_magnet(name):
    calc, atoms = CASES[name]
    report = check_local_energy(calc(), atoms(), tolerances=EXACT)
    assert {"regions", "locality", "thin_ghosts", "derivatives", "order", "empty"} <= passed(report), report


def test_single_precision_adds_up_within_its_precision():
    """The calculator's fields come from compiled loops there, whose filters are tables."""
    assert "regions" in passed(check_local_energy(model(dtype="float32"), cluster(), tolerances=SINGLE))


def lattice(name: str, size: tuple[int, int]) -> SpinAtoms:
    return SpinAtoms.lattice(name, size, 1.0, rng=8, units="reduced")


def trained_disorder() -> SpinAtoms:
    return SpinAtoms.disordered(30, density=1.0, min_distance=0.8, dimension=3, rng=6, units="reduced")


SHIPPED: dict[str, tuple[dict[str, Any], Any, set[str]]] = {
    "disordered-sd": ({}, trained_disorder, {"refused"}),
    "disordered-sd-moving": ({}, trained_disorder, {"derivatives"}),
    "square-double-exchange": ({"chemical_potential": -4.5}, lambda: lattice("square", (5, 4)), {"refused"}),
    "square-double-exchange-lattice": ({"chemical_potential": -4.5}, lambda: lattice("square", (5, 4)), {"refused"}),
    "triangular-120": ({}, lambda: lattice("triangular", (5, 4)), {"refused"}),
    "triangular-skyrmion-lattice": ({}, lambda: lattice("triangular", (5, 4)), {"refused"}),
    "triangular-tetrahedral": ({}, lambda: lattice("triangular", (6, 6)), {"refused"}),
    "triangular-tetrahedral-lattice": ({}, lambda: lattice("triangular", (6, 6)), {"refused"}),
}


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.filterwarnings("ignore::spinase.errors.OutOfDomainWarning")
def test_shipped_models_add_up(name):
    options, atoms, more = SHIPPED[name]
    calc = HIPNNCalculator.shipped(name, dtype="float64", engine=False, **options)
    report = check_local_energy(calc, atoms(), checks=["regions", "refused", "derivatives"], tolerances=EXACT)
    assert {"regions"} | more <= passed(report)


@pytest.mark.parametrize("name", [name for name in SHIPPED if not name.startswith("triangular")])
@pytest.mark.filterwarnings("ignore::spinase.errors.OutOfDomainWarning")
def test_shipped_models_add_up_in_compiled_loops(name):
    """In the precision they are used in."""
    options, atoms, _ = SHIPPED[name]
    calc = HIPNNCalculator.shipped(name, **options)
    assert not isinstance(local_energy(calc).evaluator, TorchRegions)
    assert "regions" in passed(check_local_energy(calc, atoms(), checks=["regions"], tolerances=SINGLE))


RIVALS: dict[str, tuple[Any, Any]] = {
    "energies and forces": (lambda **options: compiled(2, pairs=4, **options), alloy),
    "open boundaries, a site on its own": (compiled, lambda: drifted()),
    "lattice": (lambda **options: of_lattice(lieb(), **options), lambda: with_lengths(lieb())),
}


@pytest.mark.parametrize("name", RIVALS)
def test_compiled_loops_say_of_owned_sites_and_ghosts_what_torch_says(name):
    calc, atoms = RIVALS[name][0], RIVALS[name][1]()
    loops, torches = local_energy(calc()), local_energy(calc(evaluators=(TorchEvaluator,)))
    assert type(loops.evaluator) is not type(torches.evaluator)
    region = whole(loops, atoms)
    spins, lengths = atoms.spins[region.tags], np.linalg.norm(atoms.moments, axis=1)[region.tags]
    for forces in (False, True)[: 1 if "forces" in loops.refused_properties else 2]:
        one, two = (local.freeze(region).evaluate(spins, lengths, forces) for local in (loops, torches))
        for part in ("energies", "magnetic_forces", *(("forces", "virial") if forces else ())):
            found, expected = getattr(one, part), getattr(two, part)
            assert np.abs(found - expected).max() < 1e-10 * max(1.0, np.abs(expected).max()), part


def drifted() -> SpinAtoms:
    """A cluster whose first site is far from all others."""
    atoms = droplet()
    atoms.positions[0] += 40.0
    return atoms


def test_an_evaluator_that_knows_no_regions_is_named():
    class Whole(TorchEvaluator):
        on_regions = None

    with pytest.raises(ModelError, match="'random' cannot be divided among regions: none of Whole computes regions"):
        local_energy(model(evaluators=(Whole,)))


def test_a_fixed_filling_is_refused_and_a_chemical_potential_is_not():
    calc = HIPNNCalculator.shipped("square-double-exchange")
    with pytest.raises(ModelError, match=r"fixed filling cannot be divided .* Give chemical_potential= in place"):
        local_energy(calc)
    local = local_energy(HIPNNCalculator.shipped("square-double-exchange", chemical_potential=-4.5))
    assert local.ghost_depth == pytest.approx(2 * 2.2)


def whole(local: LocalEnergy, atoms: SpinAtoms) -> Region:
    owners = np.arange(len(atoms), dtype=np.int64) % 2
    return cut(geometry_of(atoms), owners, local.cutoff, local.ghost_depth)[0]


def test_ghosts_that_need_pairs_of_their_own_are_named():
    local = local_energy(model())
    region = whole(local, cluster())
    own = region.first < region.owned
    bare = replace(region, first=region.first[own], second=region.second[own], vectors=region.vectors[own])
    with pytest.raises(
        InvalidGeometryError, match=r"has no pairs of its own, .* 2 layers: list the pairs of ghosts as far as 1\.5"
    ):
        local.freeze(bare)
    local_energy(model(layers=1)).freeze(bare)


def test_a_species_it_does_not_know_is_named():
    local = local_energy(model(species=(26,)))
    with pytest.raises(ModelError, match="'random' does not know Co; it knows Fe"):
        local.freeze(whole(local, alloy()))


def test_sites_closer_than_any_trained_are_refused_unless_the_domain_is_ignored():
    atoms = trained_disorder()
    calc = HIPNNCalculator.shipped("disordered-sd", outside_domain="error")
    local = local_energy(calc)
    region = whole(local, atoms)
    local.freeze(region)
    squeezed = replace(region, vectors=0.5 * region.vectors)
    with pytest.raises(OutOfDomainError, match=r"the shortest distance trained is 0\.75.*'disordered-sd' has no data"):
        local.freeze(squeezed)
    local_energy(HIPNNCalculator.shipped("disordered-sd", outside_domain="ignore")).freeze(squeezed)


def test_pairs_of_ghosts_at_the_rim_do_not_matter():
    """An engine may list more pairs of ghosts than are complete."""
    local, atoms = local_energy(model()), cluster()
    region = whole(local, atoms)
    back = replace(
        region,
        first=np.concatenate([region.first, region.second[region.second >= region.owned]]),
        second=np.concatenate([region.second, region.first[region.second >= region.owned]]),
        vectors=np.concatenate([region.vectors, -region.vectors[region.second >= region.owned]]),
    )
    there = set(zip(region.first.tolist(), region.second.tolist(), strict=True))
    new = [
        k < len(region.first) or (int(i), int(j)) not in there
        for k, (i, j) in enumerate(zip(back.first, back.second, strict=True))
    ]
    more = replace(back, first=back.first[new], second=back.second[new], vectors=back.vectors[new])
    assert len(more.first) > len(region.first)
    spins, lengths = atoms.spins[region.tags], np.ones(len(region))
    one, two = (local.freeze(part).evaluate(spins, lengths, True) for part in (region, more))
    assert np.allclose(one.energies, two.energies, rtol=1e-13)
    assert one.forces is not None
    assert two.forces is not None
    assert np.allclose(one.forces, two.forces, atol=1e-13)


def test_a_driven_model_has_no_energy_to_divide():
    config = NetworkConfig(species=(26,), cutoff=1.5, inner=0.6, parts=2)
    card = ModelCard("random", config, "metal", readout=TwoPotentialsReadout())
    driven = HIPNNCalculator(([MagneticHIPNN(config)], card), dtype="float64")
    with pytest.raises(ModelError, match="'random' is driven, so there is no energy to divide"):
        local_energy(driven)
