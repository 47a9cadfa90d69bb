"""Amounts with units in input files and scripts, and the schema of input files for editors."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import units
from systems.examples import EXAMPLES

from spinase import SpinAtoms
from spinase.amounts import amount, unit_of
from spinase.calculators import HeisenbergCalculator
from spinase.dynamics import LLGDynamics
from spinase.errors import InputError
from spinase.run import read_input
from spinase.run.schema import input_schema
from spinase.units import METAL


@pytest.mark.parametrize(
    ("text", "unit", "number"),
    [
        ("1 fs", "time", units.fs),
        ("0.1ps", "time", 100.0 * units.fs),
        ("300 K", "eV or t", 300.0 * units.kB),
        ("20 meV", "energy", 0.02),
        ("20 meV", "K", 0.02 / 8.617333e-5),
        ("5 T", "energy/moment", 5.0 * 5.7883818e-5),
        ("2 meV/mu_B", "eV/mu_B or t/|m|", 0.002),
        ("1 GPa", "energy/length^3", 1.0 / 160.21766),
        ("0.5 nm", "length", 5.0),
        ("2 /ps", "1/time", 2.0 / (1000.0 * units.fs)),
        ("2 ps^-1", "1/time", 2.0 / (1000.0 * units.fs)),
        ("1 meV/(Angstrom ps)", "energy/(length time)", 1e-3 / (1000.0 * units.fs)),
        ("-96.485332 kJ/mol", "energy", -1.0),
    ],
)
def test_amounts_are_the_numbers_of_metal_units(text: str, unit: str, number: float) -> None:
    assert amount(text, unit) == pytest.approx(number, rel=1e-6)


def test_a_vector_is_written_with_one_unit() -> None:
    assert amount("0, 0 -2 T", "energy/moment") == pytest.approx([0.0, 0.0, -2.0 * (METAL.tesla or 0.0)])


@pytest.mark.parametrize(
    ("text", "unit", "system", "told"),
    [
        ("1 fs", "energy", "metal", r'kT: \'1 fs\' is not of the dimension energy: write such as "20 meV" or "300 K"'),
        ("3 parsec", "length", "metal", r"kT: unknown unit 'parsec' in '3 parsec'; known: .*Angstrom"),
        ("hot", "energy", "metal", r"a number, or one with its unit is needed, got 'hot'"),
        ("3 fs", "1", "metal", r"a plain number is needed"),
        ("300 K", "energy", "reduced", r'the units are reduced: energies in t.*or say units = "metal"'),
    ],
)
def test_wrong_amounts_are_refused_with_what_to_do(text: str, unit: str, system: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        amount(text, unit, system, "kT")


def test_units_of_fields_are_read_from_their_descriptions() -> None:
    assert unit_of("temperature as an energy, or a ramp { from, to } [eV or t]") == "eV or t"
    assert unit_of("indices [0, 1] of spins") == unit_of("sites per volume [1/length^d]") == unit_of(None) == ""


INPUT = """
units = "metal"
[atoms]
lattice = "bcc"
size = [2, 2, 2]
a = {a}
[calculator]
style = "sum"
terms = [{{ style = "heisenberg", shells = [{J}], weight = 2.0 }}, {{ style = "zeeman", field = {B} }}]
[[stage]]
driver = "spin-lattice"
steps = 3
timestep = {dt}
field = {{ from = {B}, to = {B} }}
temperature_K = 300
damping = 0.1
thermostat = {{ style = "langevin", kT = {{ from = {kT}, to = {kT} }}, friction = {rate} }}
"""


def test_an_input_with_amounts_is_that_with_numbers(tmp_path: Path) -> None:
    """Terms of a sum, ramps, and the table of a thermostat included."""
    tesla, fs = METAL.tesla or 0.0, units.fs
    numbers = {"a": 2.48, "J": 0.016, "B": [0, 0, 5 * tesla], "dt": fs, "kT": 300 * units.kB, "rate": 1 / (1000 * fs)}
    texts = {"a": '"2.48 Angstrom"', "J": '"16 meV"', "B": '"0 0 5 T"', "dt": '"1 fs"', "kT": '"300 K"', "rate": '"1/ps"'}
    for name, values in (("numbers", numbers), ("texts", texts)):
        (tmp_path / f"{name}.toml").write_text(INPUT.format(**values), encoding="utf-8")
    plain, written = (read_input(tmp_path / f"{name}.toml")[0].model_dump() for name in ("numbers", "texts"))
    assert written["atoms"]["a"] == plain["atoms"]["a"]
    assert written["calculator"]["terms"][1]["field"] == pytest.approx(plain["calculator"]["terms"][1]["field"])
    assert written["calculator"]["terms"][0]["shells"] == pytest.approx([0.016])
    stage, other = written["stage"][0], plain["stage"][0]
    assert stage["field"]["from"] == pytest.approx(other["field"]["from"])
    assert stage["thermostat"]["friction"] == pytest.approx(other["thermostat"]["friction"])
    assert stage["thermostat"]["kT"]["to"] == pytest.approx(other["thermostat"]["kT"]["to"])
    assert stage["timestep"] == pytest.approx(other["timestep"])


def test_a_wrong_amount_in_an_input_says_where(tmp_path: Path) -> None:
    text = INPUT.format(a=2.48, J='"1 fs"', B=[0, 0, 1], dt=0.1, kT=0.1, rate=0.1)
    (tmp_path / "in.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"\[calculator\] terms.0 shells: '1 fs' is not of the dimension energy"):
        read_input(tmp_path / "in.toml")


def test_drivers_of_scripts_take_amounts() -> None:
    atoms = SpinAtoms.lattice("square", (3, 3), units="metal", rng=1)
    atoms.calc = HeisenbergCalculator(shells=[0.01])
    dynamics = LLGDynamics(atoms, "1 fs", damping=0.1, kT="300 K", field="0 0 5 T", rng=1)
    assert (dynamics.dt, dynamics.kT) == (pytest.approx(units.fs), pytest.approx(300.0 * units.kB))
    np.testing.assert_allclose(dynamics.field, np.broadcast_to([0, 0, 5.0 * (METAL.tesla or 0.0)], (9, 3)))
    dynamics.temperature_K = "20 meV"
    assert dynamics.kT == pytest.approx(0.02)
    with pytest.raises(InputError, match="timestep: '1 meV' is not of the dimension time"):
        dynamics.timestep = "1 meV"


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return json.loads(json.dumps(input_schema()))


def keys_of(schema: dict[str, Any], kind: str, table: dict[str, Any]) -> set[str]:
    """Keys that the schema knows in the table of a style."""
    options = schema["$defs"][f"{kind}.options"]
    key = "driver" if kind == "drivers" else "style"
    name = table.get(key, "llg")
    chosen = [rule["then"] for rule in options["allOf"] if rule["if"]["properties"][key].get("const") == name]
    return {*options["properties"], *(name for rule in chosen for name in rule.get("properties", {}))}


@pytest.mark.parametrize("source", sorted(EXAMPLES.glob("*/*.toml")), ids=lambda path: path.name)
def test_the_schema_knows_the_inputs_of_the_examples(source: Path, schema: dict[str, Any]) -> None:
    table = tomllib.loads(source.read_text(encoding="utf-8"))
    assert table.keys() <= schema["properties"].keys()
    places = [("calculators", table["calculator"]), ("initializers", table.get("spins", {}))]
    places += [("drivers", stage) for stage in table["stage"] if not stage.get("driver", "llg").startswith("lammps/")]
    for kind, entry in [*places, *(("observers", entry) for entry in table.get("observer", []))]:
        assert entry.keys() <= keys_of(schema, kind, entry), kind


def test_the_schema_finds_mistakes(schema: dict[str, Any]) -> None:
    """By the library for it, where it is installed."""
    validator = pytest.importorskip("jsonschema", reason="pip install jsonschema").Draft202012Validator(schema)
    table = tomllib.loads((EXAMPLES / "01_quench" / "quench.toml").read_text(encoding="utf-8"))
    assert list(validator.iter_errors(table)) == []
    for place, key, value in (("calculator", "fillin", 0.2), ("atoms", "a", [1]), ("output", "every", "often")):
        wrong = {**table, place: {**table[place], key: value}}
        assert len(list(validator.iter_errors(wrong))) >= 1, key


def test_what_is_asked_for_must_be_a_unit() -> None:
    with pytest.raises(InputError, match="timestep: 'weight' is no unit; such as 'time', 'energy'"):
        amount("1 fs", "weight", where="timestep")
