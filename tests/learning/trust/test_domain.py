"""Magnets unlike those of a training: what a domain tells, and what the shipped models do, next to their exact teachers."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from typer.testing import CliRunner

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.calculators import EDCalculator, HIPNNCalculator, SpinSumCalculator, ZeemanCalculator
from spinase.cli import app
from spinase.contract import trained_domain_problem, trained_domains
from spinase.electrons import SDModel
from spinase.errors import ModelError, ModelFileError, OutOfDomainError, OutOfDomainWarning
from spinase.geometry import Geometry, find_bonds
from spinase.learning.card import ModelCard
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig
from spinase.learning.model_file import load_model
from spinase.learning.shipped import shipped_model, shipped_models
from spinase.learning.trust.domain import Domain, Shell, count_neighbours
from spinase.learning.trust.quick_look import all_as_trained


def lattice(name: str, size: tuple[int, int] = (6, 6), scale: float = 1.0, pbc: bool = True) -> SpinAtoms:
    atoms = SpinAtoms.lattice(name, size, rng=7, units="reduced")
    atoms.set_cell(scale * atoms.cell, scale_atoms=True)
    if not pbc:
        atoms.pbc = False
    return atoms


def disordered(sites: int = 125, density: float = 1.0, min_distance: float = 0.75, pbc: bool = True) -> SpinAtoms:
    atoms = SpinAtoms.disordered(sites, density=density, min_distance=min_distance, rng=7, units="reduced")
    atoms.pbc = pbc
    return atoms


# -- the shipped models ---------------------------------------------------------------------------------------------------


def relative_error(name: str, atoms: SpinAtoms) -> float:
    """Rms error of the torques over their rms, by the exact solver of the model's own teacher."""
    teacher = EDCalculator(SDModel.from_config(load_model(shipped_model(name))[1]["teacher"]))
    model = HIPNNCalculator.shipped(name, outside_domain="ignore", engine=False)
    found, true = (calc.get_property("torques", atoms) for calc in (model, teacher))
    return float(np.linalg.norm(found - true) / np.linalg.norm(true))


STRANGE: dict[str, tuple[str, Callable[[], SpinAtoms], str, float]] = {
    "another lattice": (
        "triangular-tetrahedral",
        lambda: lattice("square", (8, 8)),
        r"are 1.414 apart, where the training had distances of 1, 1.732, 2, 2.646 only",
        5.0,
    ),
    "a lattice too wide": ("triangular-tetrahedral", lambda: lattice("triangular", scale=1.5), "are 1.5 apart", 5.0),
    "no neighbours at all": (
        "triangular-tetrahedral",
        lambda: lattice("triangular", scale=3.5),
        r"site 0 has 0 neighbours \(Fe-Fe\) at 1, where those of the training had 6 \(36 of 36 sites",
        0.9,
    ),
    "edges": (
        "triangular-tetrahedral",
        lambda: lattice("triangular", (8, 8), pbc=False),
        r"where those of the training had 6 .*boundaries are fff here and were ppf",
        0.5,
    ),
    "three percent wider": ("square-double-exchange", lambda: lattice("square", scale=1.03), "are 1.03 apart", 0.08),
    "fewer neighbours": ("square-double-exchange", lambda: lattice("honeycomb"), "Fe-Fe", 0.2),
    "more neighbours": ("square-double-exchange", lambda: lattice("triangular"), "are 1.732 apart", 0.3),
    "dense": (
        "disordered-sd",
        lambda: disordered(density=1.4, min_distance=0.74),
        r"site \d+ has \d+ neighbours \(Fe-Fe\) at 0.75 to 2, where those of the training had 22 to 44",
        0.25,
    ),
}


@pytest.mark.parametrize("case", STRANGE)
def test_shipped_models_warn_once_where_they_are_wrong(case: str) -> None:
    name, build, words, least = STRANGE[case]
    atoms = build()
    calc = HIPNNCalculator.shipped(name, engine=False)
    with pytest.warns(OutOfDomainWarning, match=words) as caught:
        calc.get_property("torques", atoms)
    assert len(caught) == 1
    assert f"{name!r} has no data for this" in str(caught[0].message)
    atoms.spins = atoms.spins[::-1]
    calc.field_function(atoms)(np.array(atoms.spins))
    calc.reset()
    calc.get_property("energy", atoms)  # no second warning: it would be an error here
    with pytest.raises(OutOfDomainError, match=words):
        HIPNNCalculator.shipped(name, outside_domain="error").get_property("torques", atoms)
    assert relative_error(name, atoms) > least  # so the warning is deserved


@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("triangular-tetrahedral", lambda: lattice("triangular", (8, 8))),
        ("triangular-tetrahedral", lambda: lattice("triangular", (2, 3))),  # smaller than the cutoff: images count
        ("triangular-tetrahedral", lambda: lattice("triangular", scale=1.005)),
        ("square-double-exchange", lambda: lattice("square", (8, 8))),
        ("disordered-sd", lambda: disordered()),
        ("disordered-sd", lambda: disordered(density=0.95)),
        ("disordered-sd-moving", lambda: disordered(400)),
        ("disordered-sd-moving", lambda: disordered(min_distance=0.5)),
    ],
)
def test_shipped_models_are_silent_at_home(name: str, build: Callable[[], SpinAtoms]) -> None:
    atoms = build()
    calc = HIPNNCalculator.shipped(name, engine=False, outside_domain="error")
    calc.get_property("torques", atoms)
    assert calc.domain_problem(atoms) is None


def test_sites_closer_than_any_trained_are_an_error_everywhere() -> None:
    """Alone, in a sum, for replicas and in dynamics: unless it is asked for."""
    atoms = disordered(min_distance=0.5)
    calc = HIPNNCalculator.shipped("disordered-sd")
    words = r"are 0.5\d+ apart, the shortest distance trained is 0.75: the learned magnet 'disordered-sd' has no data"
    for one in (calc, SpinSumCalculator([ZeemanCalculator((0.0, 0.0, 1.0)), SpinSumCalculator([calc])])):
        atoms.calc = one
        with pytest.raises(OutOfDomainError, match=words):
            atoms.get_potential_energy()
        problem = trained_domain_problem(atoms)
        assert problem is not None
        assert problem.fatal
    with pytest.raises(OutOfDomainError, match=words):
        calc.replicas(atoms, np.array(atoms.moments)[None])
    with pytest.raises(OutOfDomainError, match=words):
        calc.field_function(atoms)
    HIPNNCalculator.shipped("disordered-sd", outside_domain="ignore").get_property("energy", atoms)


def test_species_never_trained_are_refused() -> None:
    atoms = disordered()
    atoms.symbols[3] = "Co"
    with pytest.raises(ModelError, match="does not know Co; it knows Fe"):
        HIPNNCalculator.shipped("disordered-sd").get_property("energy", atoms)


@pytest.mark.parametrize("filling", [0.40, 0.45, 0.50])
def test_fillings_never_trained_are_refused(filling: float) -> None:
    with pytest.raises(ModelError, match=rf"a filling of {filling:g} .* is outside the training, which had 0.46\d* to 0.49"):
        HIPNNCalculator.shipped("square-double-exchange", filling=filling)


def test_chemical_potentials_never_trained_are_refused_and_what_comes_out_is_looked_at() -> None:
    name, atoms = "square-double-exchange", lattice("square")
    for good in (0.46, 0.47, 0.495):
        calc = HIPNNCalculator.shipped(name, filling=good, outside_domain="error")
        low, high = calc.domain.chemical_potentials or (0.0, 0.0)
        assert low < calc.get_property("chemical_potential", atoms) < high
    for bad in (low - 0.1, high + 0.1):
        with pytest.raises(
            ModelError, match=r"chemical potential of -\d.* is outside the training, which had -5.6\d+ to -3.4"
        ):
            HIPNNCalculator.shipped(name, chemical_potential=bad)
    ferro = lattice("square")
    ferro.spins = np.tile([0.0, 0.0, 1.0], (len(ferro), 1))
    opened = HIPNNCalculator.shipped(name, chemical_potential=low + 0.01, engine=False)
    with pytest.warns(OutOfDomainWarning, match=r"a filling of 0\.\d+ .* is outside the training"):
        opened.get_property("energy", ferro)


@pytest.mark.parametrize("name", shipped_models())
def test_cards_of_shipped_models_tell_their_training(name: str) -> None:
    networks, card = load_model(shipped_model(name))
    assert card.domain().unknown() == []
    assert "magnetic_forces" in card["trained_on"]
    assert ("forces" in card["trained_on"]) is (name == "disordered-sd-moving")
    options = {"bias": 0.3} if name == "driven-wall" else {}
    properties = HIPNNCalculator((networks, card), **options).implemented_properties
    assert ("forces" in properties) is (name == "disordered-sd-moving")
    assert ("free_energy" in properties) is (name != "driven-wall")  # a driven magnet has none
    assert ("calibration" in card.notes) is (len(networks) > 1)
    atoms = disordered() if name.startswith("disordered") else lattice("square" if options else name.split("-")[0])
    with pytest.raises(ModelError, match="is a single network, which has no error bars"):
        HIPNNCalculator.shipped(name, engine=False, **options).error_bars(atoms)


def test_spinase_check_and_models_tell_the_domain(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(
        'units = "reduced"\n[atoms]\nlattice = "LATTICE"\nsize = [6, 6]\n[calculator]\nstyle = "hipnn"\n'
        'model = "square-double-exchange"\n[[stage]]\nsteps = 1\ntimestep = 0.1\n'
    )
    text = path.read_text()
    for name, words in (("square", "inside the training of"), ("honeycomb", "outside the training: ")):
        path.write_text(text.replace("LATTICE", name))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OutOfDomainWarning)
            shown = CliRunner().invoke(app, ["check", str(path)])
        assert shown.exit_code == 0, shown.output
        assert words in shown.output
    shown = CliRunner().invoke(app, ["models"])
    assert "neighbours within 2.2: Fe-Fe at 1: 4; Fe-Fe at 1.414: 4" in shown.output
    assert "a single network: no error bars" in shown.output
    assert "no forces" in shown.output


# -- domains --------------------------------------------------------------------------------------------------------------


def geometry(atoms: Atoms) -> Geometry:
    return geometry_of(atoms)


SHELLS = {  # structure -> cutoff in nearest distances, coordination numbers of its shells
    "sc": (1.8, [6, 12, 8]),
    "bcc": (1.7, [8, 6, 12]),
    "fcc": (1.8, [12, 6, 24]),
}


@pytest.mark.parametrize("name", SHELLS)
def test_shells_are_those_of_the_textbook(name: str) -> None:
    reach, counts = SHELLS[name]
    atoms = bulk("Fe", name, a=2.87)
    near = {"sc": 1.0, "bcc": np.sqrt(3) / 2, "fcc": np.sqrt(0.5)}[name] * 2.87
    domain = Domain.from_geometries([geometry(atoms)], reach * near)
    assert [(shell.fewest, shell.most) for shell in domain.shells] == [(count, count) for count in counts]
    assert domain.shells[0].shortest == pytest.approx(near)
    assert domain.density == pytest.approx((1.0 / atoms.get_volume(),) * 2)
    assert domain.problem(geometry(atoms.repeat(3))) is None
    others = [other for other in SHELLS if other != name]
    for other in others:
        assert domain.problem(geometry(bulk("Fe", other, a=2.87))) is not None


def test_species_have_shells_of_their_own() -> None:
    """Rock salt: twelve of one's own, six of the other; exchanged species are seen, a vacancy, too."""
    atoms = bulk("NiO", "rocksalt", a=4.0, cubic=True)
    domain = Domain.from_geometries([geometry(atoms)], 3.0)
    assert domain.shells == (
        Shell(8, 8, pytest.approx(np.sqrt(8.0)), pytest.approx(np.sqrt(8.0)), 12, 12),
        Shell(8, 28, pytest.approx(2.0), pytest.approx(2.0), 6, 6),
        Shell(28, 8, pytest.approx(2.0), pytest.approx(2.0), 6, 6),
        Shell(28, 28, pytest.approx(np.sqrt(8.0)), pytest.approx(np.sqrt(8.0)), 12, 12),
    )
    assert domain.problem(geometry(atoms)) is None
    wrong = atoms.copy()
    wrong.symbols[[0, 1]] = wrong.symbols[[1, 0]]
    found = domain.problem(geometry(wrong))
    assert found is not None
    assert found.fatal
    assert "and such a pair was never trained within 3" not in str(found)
    hole = atoms.copy()
    del hole[1]
    found = domain.problem(geometry(hole))
    assert found is not None
    assert not found.fatal
    assert "neighbours" in str(found)


def test_edges_that_were_trained_are_known() -> None:
    chains = [geometry(lattice("chain", (8,), pbc=pbc)) for pbc in (True, False)]
    domain = Domain.from_geometries(chains, 1.5)
    assert domain.shells == (Shell(26, 26, pytest.approx(1.0), pytest.approx(1.0), 1, 2),)
    assert domain.boundaries == ("fff", "pff")
    assert domain.problem(chains[1]) is None
    closed = Domain.from_geometries(chains[:1], 1.5)
    assert "site 0 has 1 neighbours" in str(closed.problem(chains[1]))


def test_rattled_lattices_and_structures_at_random_have_one_shell() -> None:
    rng = np.random.default_rng(3)
    rattled = []
    for _ in range(4):
        atoms = lattice("square")
        atoms.positions = atoms.positions + 0.05 * rng.normal(size=atoms.positions.shape)
        rattled.append(geometry(atoms))
    domain = Domain.from_geometries(rattled, 1.2)
    counts = np.concatenate([count_neighbours(one, 1.2) for one in rattled])
    assert len(domain.shells) == 1
    assert (domain.shells[0].fewest, domain.shells[0].most) == (counts.min(), counts.max())
    assert domain.problem(rattled[2]) is None
    brute = [d for one in rattled for d in Atoms(positions=one.positions, cell=one.cell, pbc=one.pbc)
             .get_all_distances(mic=True).ravel() if d > 0]  # fmt: skip
    assert domain.shortest["Fe-Fe"] == pytest.approx(min(brute))


def test_a_domain_survives_its_card_and_damage_is_refused() -> None:
    domain = Domain.from_geometries([geometry(bulk("NiO", "rocksalt", a=4.0, cubic=True))], 3.0)
    domain = domain.with_moments(np.array([0.0, 2.0, 2.5])).with_electrons((0.2, 0.3), (-1.0, 1.0))
    assert domain.lengths == (2.0, 2.5)
    assert domain.nonmagnetic is True
    table = json.loads(json.dumps(domain.to_table()))
    assert Domain.from_table(table) == domain
    for key, value in (("shells", 3), ("density", [1.0]), ("density", [2.0, 1.0]), ("boundaries", None), ("cutoff", "x")):
        with pytest.raises(ModelFileError, match="trained domain is incomplete or wrong"):
            Domain.from_table({**table, key: value})
    with pytest.raises(ModelFileError, match="incomplete or wrong"):
        Domain.from_table({})
    with pytest.raises(ModelFileError, match="a range must ascend"):
        Domain.from_table({**table, "moments": [2.0, 1.0]})


def test_sums_tell_the_worst_of_their_members() -> None:
    config = NetworkConfig(species=(26,), cutoff=1.5, inner=0.7, width=4, radial=4, layers=1, channels=(4,))
    torch.manual_seed(1)
    network = MagneticHIPNN(config)
    square = Domain.from_geometries([geometry(lattice("square"))], 1.5)
    far = replace(square, shortest={"Fe-Fe": 1.2}, shells=())
    calcs = [
        HIPNNCalculator(([network], ModelCard(name, config, "reduced", notes={"domain": domain.to_table()})))
        for name, domain in (("one", square), ("two", far))
    ]
    atoms = lattice("triangular")
    atoms.calc = SpinSumCalculator([*calcs, ZeemanCalculator((0.0, 0.0, 1.0))])
    problem = trained_domain_problem(atoms)
    assert problem is not None
    assert problem.fatal
    assert "shortest distance trained is 1.2" in str(problem)
    assert [line.split(":")[0] for line in trained_domains(atoms.calc)] == ["one", "two"]


@pytest.mark.parametrize("seed", range(6))
def test_the_quick_look_sees_what_the_long_one_sees(seed: int) -> None:
    """Two species, lattices and structures at random, some sites moved, too close, missing, or of a species not trained."""
    rng, outcomes = np.random.default_rng(seed), set()
    for _ in range(12):
        trained = _two_species(rng)
        domain = Domain.from_geometries([trained, _two_species(rng)], 1.9)
        if rng.random() < 0.2:
            domain = replace(domain, shortest={}) if rng.random() < 0.5 else replace(domain, shells=())
        positions = trained.positions + rng.choice([0.0, 1e-3, 0.01, 0.1]) * rng.normal(size=trained.positions.shape)
        numbers = trained.numbers.copy()
        if rng.random() < 0.3:
            numbers[rng.integers(len(numbers))] = rng.choice([26, 27, 28])
        asked = Geometry(positions, trained.cell, trained.pbc, numbers)
        if rng.random() < 0.3:
            asked = asked.select(np.arange(1, len(asked)))
        bonds = find_bonds(asked, domain.cutoff)
        for margin in (0.0, 0.02, 0.2):
            long = domain._too_close(asked, bonds, margin) or domain._strange_surroundings(asked, bonds)
            quick = all_as_trained(domain._pair_tables, asked.numbers, bonds, margin)
            if not set(asked.numbers) <= {26, 27}:  # the quick look leaves that to the long one
                assert not quick
                continue
            assert quick == (long is None)
            outcomes.add(quick)
    assert outcomes == {True, False}


def _two_species(rng: np.random.Generator) -> Geometry:
    atoms = (
        SpinAtoms.disordered(40, rng=rng) if rng.random() < 0.5 else SpinAtoms.lattice("cubic", (3, 3, 3), units="reduced")
    )
    geometry = geometry_of(atoms)
    return replace(geometry, numbers=26 + rng.permutation(len(geometry)) % 2)
