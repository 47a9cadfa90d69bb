"""Input files: TOML tables, checked before anything is computed."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from spinase.errors import InputError
from spinase.files import file_digest
from spinase.lattices import LATTICES
from spinase.options import options_table, validated
from spinase.run.plain import plain_input

_SET = "# --set "
MOST_SITES = 10**8  # what an input file may ask for: nobody has the memory for more


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DisorderedTable(_Table):
    """Sites at random in a periodic box."""

    sites: int = Field(ge=1, le=MOST_SITES, description="number of sites")
    density: float = Field(1.0, gt=0, description="sites per length^dimension [1/length^d]")
    min_distance: float = Field(0.75, ge=0, description="smallest distance of two sites [length]")
    dimension: Literal[1, 2, 3] = Field(3, description="dimension of the box")


class AtomsTable(_Table):
    """Where the sites are: a lattice, disordered points, or a file."""

    lattice: str | None = Field(None, description=f"one of {', '.join(LATTICES)}")
    size: list[int] | None = Field(
        None,
        description="unit cells along each direction of the lattice; of a file: how often its cell is repeated, if at all",
    )
    a: float = Field(1.0, gt=0, description="nearest-neighbour distance of the lattice [length]")
    periodic: bool | list[bool] = Field(True, description="periodic boundaries, for all directions or one each")
    disordered: DisorderedTable | None = Field(None, description="sites at random in a periodic box")
    file: str | None = Field(None, description="any file ASE reads, relative to the input file")
    index: int = Field(-1, description="frame of the file")
    symbol: str = Field("Fe", description="chemical symbol of every site (lattice, disordered)")
    mass: float | None = Field(
        None, gt=0, description="mass of every site (lattice, disordered), for atoms that move [u or t (hbar/t)^2/a^2]"
    )
    moment: float = Field(1.0, gt=0, description="length of every moment (lattice, disordered) [mu_B or |m|]")
    alloy: dict[str, float] | None = Field(
        None, description="species at random on the sites, by the seed of the run: fractions { Fe = 0.7, Co = 0.3 }"
    )
    moments: dict[str, float] | None = Field(None, description="lengths of moments by species { Fe = 2.2 } [mu_B or |m|]")
    g: float | dict[str, float] | None = Field(
        None, description="g factor, one number or a table by species { Fe = 2.09 }; absent: those of the file, else 2"
    )

    @model_validator(mode="after")
    def _one_source(self) -> AtomsTable:
        given = [name for name in ("lattice", "disordered", "file") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of lattice, disordered and file (got {', '.join(given) or 'none'})")
        if self.lattice is not None and self.size is None:
            raise ValueError("a lattice needs its size")
        if self.disordered is not None and self.size is not None:
            raise ValueError("sites at random have no size: give their number, disordered = { sites = N, ... }")
        if self.size is not None and math.prod(self.size) > MOST_SITES:
            raise ValueError(f"size = {self.size} asks for {math.prod(self.size)} cells, more than {MOST_SITES}")
        return self


class OutputTable(_Table):
    """What is written, and how often (in steps)."""

    every: int = Field(10, ge=1, le=10**12, description="steps between frames and log lines")
    checkpoint_every: int = Field(100, ge=1, le=10**12, description="steps between checkpoints")
    results: list[str] = Field([], description="calculator results stored with every frame, e.g. magnetic_forces")
    directory: str | None = Field(None, description="where, from the current directory; default: <input>_run")


class SweepTable(_Table):
    """Many runs of the file (`spinase sweep`); `spinase run` makes the one that the other tables describe."""

    points: dict[str, list[Any]] = Field(
        description='dotted keys of this file and their values: { seed = [1, 2], "calculator.kT" = [0.1, 0.2] } is four runs'
    )
    y: list[str] = Field([], description="OBSERVER.QUANTITY in the table and the figure; absent: every number observed")
    x: str = Field("time", description="horizontal axis of the figure: time, or one of the keys of points")
    window: list[float] | None = Field(
        None,
        min_length=2,
        max_length=2,
        description="first and last time whose mean the table tells; absent: the last value [time]",
    )
    log: list[Literal["x", "y"]] = Field([], description="axes of the figure with a logarithmic scale")

    @model_validator(mode="after")
    def _keys(self) -> SweepTable:
        empty = [key for key, values in self.points.items() if not values]
        if not self.points or empty:
            raise ValueError(f"points needs keys with values each, e.g. {{ seed = [1, 2, 3] }} (empty: {empty or 'points'})")
        if any(key.split(".")[0] == "sweep" for key in self.points):
            raise ValueError("a key of points cannot be one of [sweep] itself")
        if self.x != "time" and self.x not in self.points:
            raise ValueError(f"x = {self.x!r} is neither time nor one of the keys of points: {', '.join(self.points)}")
        return self


class SpinsKeys(_Table):
    """Key of [spins] beside the options of the initializer."""

    style: str = Field("random", description="an initializer, or keep: the moments of the file (default for a file)")


class StageKeys(_Table):
    """Keys of [[stage]] beside the options of the driver."""

    driver: str = Field("llg", description="a driver")
    name: str = Field("stage <n>", description="shown in logs and figures")
    steps: int = Field(ge=0, description="number of steps")
    calculator: dict[str, Any] | None = Field(None, description="a calculator of this stage only; absent: [calculator]")


class ObserverKeys(_Table):
    """Keys of [[observer]] beside the options of the observer."""

    style: str = Field(description="an observer")
    every: int = Field(10, ge=1, description="steps between its calls")


class CalculatorKeys(_Table):
    """Key of [calculator] beside the options of the calculator."""

    style: str = Field(description="a calculator, or module:Class")


class RunInput(_Table):
    """A whole input file.  Tables with a `style` (or `driver`) are checked against that style's own options."""

    title: str = Field("", description="shown in figures")
    seed: int = Field(0, ge=0, description="seed of all random numbers")
    units: Literal["reduced", "metal"] = Field("reduced", description="unit system of every number in the file")
    atoms: AtomsTable
    spins: dict[str, Any] | None = Field(None, description="initial spins: style = an initializer, or keep (file)")
    calculator: dict[str, Any] = Field(description="style = a calculator, and its options")
    stage: list[dict[str, Any]] = Field(min_length=1, description="driver, steps, and the driver's options; run in order")
    observer: list[dict[str, Any]] = Field([], description="style = an observer, every, and its options")
    output: OutputTable = OutputTable()
    sweep: SweepTable | None = Field(None, description="many runs of this file (`spinase sweep`); `spinase run` makes one")


def input_reference() -> dict[str, Any]:
    """Every key of an input file (dotted) with description, default and choices; not the options of styles."""
    own: dict[str, type[BaseModel]] = {
        "spins": SpinsKeys,
        "calculator": CalculatorKeys,
        "stage": StageKeys,
        "observer": ObserverKeys,
    }
    rows: dict[str, Any] = {}
    for key, entry in options_table(RunInput).items():
        rows[key] = entry
        if key in own:
            rows |= options_table(own[key], f"{key}.<n>." if key in ("stage", "observer") else f"{key}.")
    return rows


def read_input(path: str | Path, overrides: Sequence[str] = ()) -> tuple[RunInput, str]:
    """Read and check an input file; returns it with the text that reproduces it (overrides appended as comments).

    Parameters
    ----------
    path : path
        TOML file.
    overrides : sequence of str
        ``key=value`` with a dotted key (``calculator.kT=0.1``, ``stage.0.steps=10``) and a TOML value.

    Raises
    ------
    InputError
        If the file is missing, no TOML, or has unknown, missing or wrong entries (amounts with a wrong unit, too).
    """
    table, shown = read_table(path, overrides)
    return validated(RunInput, plain_input(RunInput, table, Path(path).resolve().parent), str(path)), shown


def read_table(path: str | Path, overrides: Sequence[str] = ()) -> tuple[dict[str, Any], str]:
    """A TOML file with overrides as nested tables, and the text that reproduces it.

    Raises
    ------
    InputError
        If the file is missing or no TOML, or an override has no place.
    """
    source = Path(path)
    try:
        text = source.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read the input file {source}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{source} is no text file in UTF-8 ({error}): an input file is TOML") from None
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{source} is no valid TOML: {error}") from None
    for override in overrides:
        _override(table, override)
    return table, text + "".join(f"\n{_SET}{override}" for override in overrides)


def table_of_text(text: str) -> dict[str, Any]:
    """The nested tables that the text of :func:`read_table` stands for, overrides at its end included.

    Parameters
    ----------
    text : str
        TOML, with overrides as comments in the last lines.
    """
    table, lines = tomllib.loads(text), text.splitlines()
    count = next((k for k, line in enumerate(reversed(lines)) if not line.startswith(_SET)), len(lines))
    for line in lines[len(lines) - count :]:
        _override(table, line.removeprefix(_SET))
    return table


def table_of(overrides: Sequence[str]) -> dict[str, Any]:
    """Nested tables from ``key=value`` entries alone.

    Raises
    ------
    InputError
        On an entry that is no ``key=value``.
    """
    table: dict[str, Any] = {}
    for override in overrides:
        _override(table, override)
    return table


def named_files(table: Any, folder: Path) -> str:
    """Names and hashes of the files an input names, wherever it does (relative to it, or to the current directory).

    What was computed with other files of the same names must not be gone on with.  A line for each; empty if there are none.
    """
    lines = []
    for name in sorted(set(_texts(table))):
        for path in (folder / name, Path(name)):
            if Path(name).suffix and path.is_file():
                lines.append(f"\n# {name} {file_digest(path)}")
                break
    return "".join(lines)


def _texts(table: Any) -> Iterator[str]:
    """Every string in nested tables and lists that may be a path."""
    if isinstance(table, str) and "\n" not in table and len(table) < 1024:
        yield table
    elif isinstance(table, Mapping | list):
        for entry in table.values() if isinstance(table, Mapping) else table:
            yield from _texts(entry)


def _override(table: dict[str, Any], override: str) -> None:
    key, sign, raw = override.partition("=")
    if not sign or not key:
        raise InputError(f"--set needs key=value, got {override!r}")
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw
    *path, last = key.strip().split(".")
    place: Any = table
    for part in path:
        place = _enter(place, part, key)
    if isinstance(place, list):
        place[_position(place, last, key)] = value
    else:
        place[last] = value


def _enter(place: Any, part: str, key: str) -> Any:
    if isinstance(place, list):
        return place[_position(place, part, key)]
    if part not in place:
        place[part] = {}
    if not isinstance(place[part], dict | list):
        raise InputError(f"--set {key}: {part!r} is a value, not a table")
    return place[part]


def _position(place: list[Any], part: str, key: str) -> int:
    if not part.isdigit() or int(part) >= len(place):
        raise InputError(f"--set {key}: {part!r} is not one of 0..{len(place) - 1}")
    return int(part)


def as_toml(value: Any) -> str:
    """A value of JSON's kinds, infinite numbers and nan included, as an inline value of TOML: what ``--set`` reads."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_quoted(str(key))} = {as_toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(as_toml(one) for one in value) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return _quoted(value)  # strings, numbers, true and false look alike in both


def _quoted(value: Any) -> str:
    """As in JSON, without pairs of escapes for one character, which TOML does not know."""
    return json.dumps(value, ensure_ascii=False)
