"""The models that come with the package: what their cards promise, and what they say of magnets they have not seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.calculators import EDCalculator, HIPNNCalculator, LatticeCalculator, NEGFCalculator, teacher_of
from spinase.cli import app
from spinase.dynamics import LLGDynamics
from spinase.electrons import SDModel
from spinase.electrons.model import SDModelConfig
from spinase.errors import ModelFileError, OutOfDomainError
from spinase.learning.model_file import load_model
from spinase.learning.shipped import find_model, shipped_model, shipped_models
from spinase.testing import Tolerances, check_calculator
from spinase.textures import domain_wall

NAMES = [
    "disordered-sd",
    "disordered-sd-moving",
    "square-double-exchange",
    "square-double-exchange-lattice",
    "triangular-120",
    "triangular-skyrmion-lattice",
    "triangular-tetrahedral",
    "triangular-tetrahedral-lattice",
]
PERFECT = (
    "square-double-exchange-lattice",
    "triangular-120",
    "triangular-skyrmion-lattice",
    "triangular-tetrahedral-lattice",
)  # they refuse displaced sites


def magnet(name: str, seed: int = 91) -> SpinAtoms:
    """As the model knows them, with random spins."""
    if name.startswith("disordered"):
        return SpinAtoms.disordered(125, density=1.0, min_distance=0.75, rng=seed, units="reduced")
    return SpinAtoms.lattice(name.split("-")[0], (10, 10), rng=seed, units="reduced")


def teacher(name: str) -> EDCalculator:
    """Exact, whatever solver the labels are of; cold electrons see more of their lattice than the box."""
    told = load_model(shipped_model(name))[1]["teacher"]
    model = SDModel.from_config({key: told[key] for key in told if key in SDModelConfig.model_fields})
    return EDCalculator(model, (3, 3, 1) if told["kT"] < 0.05 else (1, 1, 1))


def r2(found: np.ndarray, true: np.ndarray) -> float:
    return float(1.0 - np.sum((found - true) ** 2) / np.sum(true**2))


def test_they_are_all_there() -> None:
    assert shipped_models() == sorted([*NAMES, "driven-wall"])
    shown = CliRunner().invoke(app, ["models"])
    assert shown.exit_code == 0, shown.output
    for name in NAMES:
        assert name in shown.output
    with pytest.raises(ModelFileError, match="did you mean 'disordered-sd'"):
        HIPNNCalculator.shipped("disorderd-sd")
    with pytest.raises(ModelFileError, match="no model file"):
        HIPNNCalculator("elsewhere/disordered-sd")


@pytest.mark.parametrize("name", [*NAMES, "driven-wall"])
def test_cards_say_who_taught_them_how_well_and_how_to_make_them_again(name: str) -> None:
    path = shipped_model(name)
    assert path.stat().st_size < 2_000_000
    assert find_model(name) == path
    _, card = load_model(path)
    assert card.name == name
    assert card["title"]
    for command in card["made_by"].split("; "):
        assert Path(command.split()[2]).exists() or not Path("training").exists()
    assert card["errors"]["r2"] > 0.9
    assert card["errors"]["rms_error"] < 0.3 * card["errors"]["rms_torque"]
    assert card["data_hash"]


@pytest.mark.parametrize("name", NAMES)
def test_torques_of_a_new_magnet_are_the_teachers(name: str) -> None:
    """Random spins in a box of another size, never seen; the exact solver is rebuilt from the card."""
    atoms = magnet(name)
    calc = HIPNNCalculator.shipped(name, engine=False)
    torques = [one.get_property("torques", atoms) for one in (calc, teacher(name))]
    assert r2(*torques) > 0.9
    if name == "disordered-sd-moving":
        forces = [one.get_property("forces", atoms) for one in (calc, teacher(name))]
        assert r2(*forces) > 0.998


def test_a_driven_wall_turns_as_its_device_says() -> None:
    """A wall never seen, at a bias that was not trained, beside the Green's functions that the card names."""
    atoms = SpinAtoms.lattice("square", (32, 10), units="reduced")
    atoms.pbc = (False, True, False)
    atoms.moments = 20.0 * domain_wall(geometry_of(atoms), np.random.default_rng(0), width=1.75, position=0.44, angle=0.7)
    table = load_model(shipped_model("driven-wall"))[1]["teacher"]
    asked = NEGFCalculator.Config.model_validate({name: table[name] for name in table if name != "style"} | {"bias": 0.3})
    calcs = HIPNNCalculator.shipped("driven-wall", bias=0.3), NEGFCalculator.from_config(asked)
    found, true = (calc.get_property("torques", atoms) for calc in calcs)
    assert r2(found, true) > 0.98
    assert found[:, 2].sum() == pytest.approx(true[:, 2].sum(), rel=0.03)  # what moves the wall
    slopes = np.gradient(atoms.spins.reshape(32, 10, 3), axis=0).reshape(-1, 3)
    push, wanted = (float(np.sum(slopes * np.cross(one, atoms.spins))) for one in (found, true))  # H.(ds/dx), H = T x s
    assert push == pytest.approx(wanted, rel=0.05)  # what turns it
    with pytest.raises(OutOfDomainError, match="is outside the training"):
        HIPNNCalculator.shipped("driven-wall", bias=0.9)
    wide = SpinAtoms.lattice("square", (12, 8), units="reduced")
    wide.pbc = (False, True, False)
    wide.moments = 20.0 * domain_wall(geometry_of(wide), np.random.default_rng(0), width=1.5)
    with pytest.raises(OutOfDomainError, match="a device 8 wide along y is outside the training, which had 10 wide along y"):
        calcs[0].get_property("torques", wide)


@pytest.mark.parametrize("name", NAMES)
def test_they_keep_the_contract(name: str) -> None:
    """Every check of the conformance kit, in double precision, on a small magnet of their kind."""
    if name.startswith("disordered"):
        atoms = SpinAtoms.disordered(10, density=1.0, min_distance=0.75, rng=3, units="reduced")
    else:
        atoms = SpinAtoms.lattice(name.split("-")[0], (3, 3), rng=3, units="reduced")
    if not name.startswith("disordered") and name not in PERFECT:
        atoms.positions = atoms.positions + 0.002 * np.random.default_rng(1).normal(size=atoms.positions.shape)
    calc = HIPNNCalculator.shipped(name, dtype="float64", outside_domain="ignore")  # the kit takes moments away, too
    report = check_calculator(calc, atoms, tolerances=Tolerances(gradient=1e-5))
    for check in ("magnetic_forces", "conservative", "spin_rotation", "time_reversal", "supercell"):
        assert report[check].status == "passed", report
    assert (report["forces"].status == "passed") is (name == "disordered-sd-moving"), report


@pytest.mark.parametrize("name", PERFECT)
def test_energy_is_kept_without_damping(name: str) -> None:
    """Free energy at a fixed filling included: it moves by the error of the step, four times less at half the step."""
    found = []
    for timestep in (0.4, 0.2):
        atoms = SpinAtoms.lattice(name.split("-")[0], (4, 4), rng=3, units="reduced")
        atoms.calc = LatticeCalculator.shipped(name, dtype="float64")
        dynamics, energies, total = (
            LLGDynamics(atoms, timestep, integrator="midpoint"),
            [free_energy(atoms)],
            atoms.spins.sum(0),
        )
        for _ in range(5):
            dynamics.run(round(0.8 / timestep))
            energies.append(free_energy(atoms))
        found.append(np.abs(np.array(energies) - energies[0]).max() / len(atoms))
        np.testing.assert_allclose(atoms.spins.sum(0), total, atol=1e-10)
    assert found[0] < 1e-4
    assert found[1] == pytest.approx(found[0] / 4.0, rel=0.3)


def free_energy(atoms: SpinAtoms) -> float:
    return float(atoms.calc.get_property("free_energy", atoms))


def test_a_short_quench_loses_energy_as_the_exact_one_does() -> None:
    """The same spins under the model (by its name in an input table) and under its teacher."""
    config = HIPNNCalculator.Config(model="disordered-sd")
    found = []
    for calc in (HIPNNCalculator.from_config(config), teacher("disordered-sd")):
        atoms = magnet("disordered-sd", 5)
        atoms.calc = calc
        before = free_energy(atoms)  # of damped dynamics it falls; the teacher's `energy` is the internal one
        LLGDynamics(atoms, 0.2, damping=1.0).run(15)
        found.append((free_energy(atoms) - before) / len(atoms))
    assert found[1] < -0.02
    assert found[0] == pytest.approx(found[1], rel=0.1)


def test_teachers_of_files_are_not_built() -> None:
    with pytest.raises(ModelFileError, match=r"'small/model.npz' is a path: a file may name any code"):
        teacher_of("small/model.npz")
    with pytest.raises(ModelFileError, match="no model 'triangular' comes with spinase; did you mean"):
        teacher_of("triangular")
