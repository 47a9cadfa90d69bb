"""From the tables of an input file to objects: atoms, calculators, drivers, observers."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers
from ase.io import read as ase_read
from ase.io.formats import UnknownFileTypeError
from pydantic import BaseModel

from spinase import lattices
from spinase.alloys import random_alloy, set_moment_lengths
from spinase.atoms import (
    SpinAtoms,
    describe_columns,
    geometry_of,
    get_moments,
    get_units,
    has_moments,
    set_moments,
    units_declared,
)
from spinase.calculators.sum import SpinSumCalculator
from spinase.driver import missing_members
from spinase.dynamics.ramp import with_durations
from spinase.errors import InputError, InvalidMomentsError, ModelError, SpinaseError, StyleError, UnitMismatchError
from spinase.io.mcif import read_mcif
from spinase.options import options_of
from spinase.run.config import AtomsTable, ObserverKeys, RunInput, StageKeys
from spinase.styles import load_style, make_importable, nearest

_NATIVE = "from_config"
_NAMING = ("style", "driver", "integrator", "minimizer")  # keys whose value may be a dotted path


@dataclass(frozen=True)
class StageInput:
    """One stage: how many steps, the driver's class and options, and its calculator."""

    name: str
    steps: int
    driver: Any
    options: Any
    calculator: Any


@dataclass(frozen=True)
class ObserverInput:
    """One observer and the number of steps between its calls."""

    observer: Any
    every: int


@dataclass(frozen=True)
class Setup:
    """Everything an input file describes, built and checked."""

    config: RunInput
    atoms: SpinAtoms
    stages: list[StageInput]
    observers: list[ObserverInput]
    generators: list[np.random.Generator]

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return sum(stage.steps for stage in self.stages)


def build_setup(config: RunInput, folder: Path) -> Setup:
    """Build what `config` describes; relative files are looked for in `folder`.

    Randomness: independent streams for sites, spins and each stage, all from ``config.seed``.

    Parameters
    ----------
    config : RunInput
        A checked input file.
    folder : Path
        Of the input file.
    """
    if names_a_script(config.model_dump()):
        make_importable(folder)
    seeds = np.random.SeedSequence(config.seed).spawn(2 + len(config.stage))
    sites, spins, *stages = (np.random.default_rng(seed) for seed in seeds)
    atoms = build_atoms(config.atoms, config.units, folder, sites)
    place_spins(atoms, config, spins, folder)
    default = build_calculator(config.calculator, "[calculator]")
    return Setup(
        config=config,
        atoms=atoms,
        stages=[_stage(table, k, default) for k, table in enumerate(config.stage)],
        observers=[_observer(table, k) for k, table in enumerate(config.observer)],
        generators=stages,
    )


def build_atoms(table: AtomsTable, units: str, folder: Path, rng: np.random.Generator) -> SpinAtoms:
    """Sites of the magnet, with moments of the right length along z (from a file: those of the file).

    Parameters
    ----------
    table : AtomsTable
        ``[atoms]`` of the input.
    units : str
        Unit system of the run.
    folder : Path
        Where a relative file is looked for.
    rng : numpy.random.Generator
        Draws disordered sites, and the species of an alloy.

    Raises
    ------
    InputError
        If a file cannot be read or is in other units, or an entry does not fit the sites.
    """
    atoms = _read_atoms(folder / table.file, table, units) if table.file is not None else _place_atoms(table, units, rng)
    try:
        if table.alloy is not None:
            random_alloy(atoms, table.alloy, rng)
        if table.moments is not None:
            set_moment_lengths(atoms, table.moments)
    except ModelError as error:
        raise InputError(f"[atoms] alloy, moments: {error}") from None
    if table.g is not None:
        try:
            atoms.g_factors = table.g
        except InvalidMomentsError as error:
            raise InputError(f"[atoms] g: {error}") from None
    return atoms


def _place_atoms(table: AtomsTable, units: str, rng: np.random.Generator) -> SpinAtoms:
    """Sites on a lattice or in a random box."""
    if table.lattice is not None:
        assert table.size is not None
        periodic = table.periodic if isinstance(table.periodic, bool) else tuple(table.periodic)
        positions, cell, pbc = lattices.build(table.lattice, tuple(table.size), table.a, periodic)
    else:
        box = table.disordered
        assert box is not None
        positions, cell, pbc = lattices.disordered(box.sites, box.density, box.min_distance, box.dimension, rng)
    if table.symbol not in atomic_numbers:
        raise InputError(f"[atoms] symbol: {table.symbol!r} is no chemical symbol{nearest(table.symbol, atomic_numbers)}")
    atoms = SpinAtoms([table.symbol] * len(positions), positions=positions, cell=cell, pbc=pbc, units=units)
    if table.mass is not None:
        atoms.set_masses([table.mass] * len(atoms))
    atoms.moments = [0.0, 0.0, table.moment]
    return atoms


def _read_atoms(path: Path, table: AtomsTable, units: str) -> SpinAtoms:
    index = table.index
    try:
        found: Any = read_mcif(path) if path.suffix == ".mcif" else ase_read(path, index=index)
    except UnknownFileTypeError as error:
        raise InputError(
            f"[atoms] file: ASE knows no atoms in {path} ({error}); a file of spins alone (OVF, restart file, ...) goes on "
            f'a lattice or on other atoms: [spins] style = "file", path = "{path.name}"'
        ) from error
    except (OSError, ValueError, IndexError, KeyError, StopIteration) as error:
        raise InputError(f"[atoms] file: cannot read frame {index} of {path}: {error}") from error
    try:
        if units_declared(found) and get_units(found).name != units:
            raise InputError(
                f"[atoms] file: {path} is in {get_units(found).name} units but the input says units = {units!r}"
            )
        return _repeated(SpinAtoms(found, units=units), table.size)
    except (InvalidMomentsError, UnitMismatchError) as error:
        raise InputError(f"[atoms] file: {path}: {error}") from None


def _repeated(atoms: SpinAtoms, size: list[int] | None) -> SpinAtoms:
    if size is None:
        return atoms
    if len(size) != 3 or min(size) < 1:
        raise InputError(f"[atoms] size = {size}: three numbers of cells, 1 or more, along the cell vectors of the file")
    return SpinAtoms(atoms.repeat(tuple(size)))


def place_spins(atoms: SpinAtoms, config: RunInput, rng: np.random.Generator, folder: Path) -> None:
    """Give the moments their initial directions; a relative `path` of an initializer is one in `folder`.

    Parameters
    ----------
    atoms : SpinAtoms
        Changed in place; lengths of moments stay, where there are any.
    config : RunInput
        The whole input, of which ``[spins]`` counts.
    rng : numpy.random.Generator
        For initializers that draw.
    folder : Path
        That of the input file.

    Raises
    ------
    InputError
        If there are no moments to keep, or options do not fit the initializer.
    """
    table = dict(config.spins or {"style": "keep" if config.atoms.file else "random"})
    style = _take_style(table, "[spins]")
    if style == "keep":
        if not has_moments(atoms):
            raise InputError(
                f"[spins] style = 'keep', but there are no magnetic moments in {config.atoms.file} "
                f"({describe_columns(atoms)}): choose an initializer"
            )
        if table:
            raise InputError(f"[spins] style = 'keep' has no options, got {', '.join(table)}")
        return
    initializer = load_style("initializers", style)
    options = _given(options_of(initializer, table, "[spins]", also=("style",)))
    options |= {name: folder / value for name, value in options.items() if isinstance(value, Path)}
    lengths = np.linalg.norm(get_moments(atoms), axis=1)
    lengths = lengths if lengths.any() else np.full(len(atoms), config.atoms.moment)
    set_moments(atoms, lengths[:, None] * initializer(geometry_of(atoms), rng, **options))


def build_calculator(table: Mapping[str, Any], where: str) -> Any:
    """Calculator of a table with a ``style``; ``style = "sum"`` has a list of tables ``terms`` (each with a `weight`)."""
    options = _table(table, where)
    style = _take_style(options, where)
    if style == "sum":
        return _sum(options, where)
    target = load_style("calculators", style)
    checked = options_of(target, options, where, also=("style",))
    if hasattr(target, _NATIVE):
        return target.from_config(checked)
    try:
        return target(**_given(checked))
    except (TypeError, ValueError) as error:  # a class that knows nothing of spinase checks its options in its own way
        if isinstance(error, SpinaseError):
            raise
        raise InputError(f"{where} style = {style!r} does not take {options}: {error}") from error


def build_foreign_calculator(table: Mapping[str, Any], where: str) -> Any:
    """Calculator of a table that comes from a data file (a model's card, a label file), not from the user's own input.

    An input file is code: it may name any class by a dotted path, which is imported.  Data may come from strangers, so only
    installed styles are built for them.

    Raises
    ------
    InputError
        If a dotted path is in the table, wherever it is.
    """
    path = _dotted_path(table)
    if path is not None:
        raise InputError(
            f"{where} names {path!r}, code that is not among the installed styles; a data file cannot have it run. If you "
            "trust it, build that calculator in a script, or make it a style of a plugin"
        )
    return build_calculator(table, where)


def _dotted_path(table: Any) -> str | None:
    """The first string in nested tables and lists that styles.find_style would import from."""
    if isinstance(table, str):
        return table if re.fullmatch(r"[\w.]+:[\w.]+", table) else None
    if isinstance(table, Mapping | list | tuple):
        entries = [*table.keys(), *table.values()] if isinstance(table, Mapping) else table
        return next((found for entry in entries if (found := _dotted_path(entry)) is not None), None)
    return None


def _sum(options: dict[str, Any], where: str) -> SpinSumCalculator:
    terms = options.pop("terms", None)
    if options or not isinstance(terms, list) or not terms:
        raise InputError(f"{where} style = 'sum' takes a list of tables `terms` and nothing else; got {options or terms!r}")
    members, weights = [], []
    for k, term in enumerate(terms):
        place = f"{where} terms.{k}"
        member = _table(term, place)
        weight = member.pop("weight", 1.0)
        if not isinstance(weight, int | float) or isinstance(weight, bool):
            raise InputError(f"{place} weight: a number is needed, got {weight!r}")
        members.append(build_calculator(member, place))
        weights.append(float(weight))
    return SpinSumCalculator(members, weights)


def _stage(table: Mapping[str, Any], number: int, default: Any) -> StageInput:
    where = f"[[stage]] {number}"
    options = dict(table)
    name = str(options.pop("name", f"stage {number}"))
    driver = _driver(str(options.pop("driver", "llg")), where)
    steps, own = options.pop("steps", None), options.pop("calculator", None)
    checked = options_of(driver, options, where, also=StageKeys.model_fields)
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 0:
        raise InputError(f"{where} steps: a whole number of steps is needed, got {steps!r}")
    timestep = getattr(checked, "timestep", None)
    if isinstance(timestep, float) and steps > 0:
        checked = with_durations(checked, steps * timestep)
    calculator = default if own is None else build_calculator(own, f"{where} calculator")
    return StageInput(name, steps, driver, checked, calculator)


def _observer(table: Mapping[str, Any], number: int) -> ObserverInput:
    where = f"[[observer]] {number}"
    options = dict(table)
    style = _take_style(options, where)
    every = options.pop("every", 10)
    if not isinstance(every, int) or isinstance(every, bool) or not 1 <= every <= 10**12:
        raise InputError(f"{where} every: a positive number of steps is needed, got {every!r}")
    target = _configurable("observers", style, where)
    return ObserverInput(target.from_config(options_of(target, options, where, also=ObserverKeys.model_fields)), every)


def _configurable(kind: str, name: str, where: str) -> Any:
    """A driver or observer class; unlike a calculator, it cannot be any class."""
    target = load_style(kind, name)
    if not hasattr(target, _NATIVE):
        raise StyleError(f"{where}: {name!r} is no {kind[:-1]} style, it has no from_config (see `spinase styles {kind}`)")
    return target


def _driver(name: str, where: str) -> Any:
    """A driver class that has everything a run asks for."""
    target = _configurable("drivers", name, where)
    missing = missing_members(target)
    if missing:
        raise StyleError(
            f"{where}: {name!r} is no driver, it lacks {', '.join(missing)}: derive it from spinase.contract.Driver, or "
            "from spinase.dynamics.SpinDriver (see `spinase styles drivers`)"
        )
    return target


def _take_style(table: dict[str, Any], where: str) -> str:
    style = table.pop("style", None)
    if style is None:
        misspelt = difflib.get_close_matches("style", table, n=1)
        hint = f" (did you mean it by {misspelt[0]!r}?)" if misspelt else ""
        raise InputError(f"key 'style' is missing in {where}{hint}: name a style (see `spinase styles`)")
    if not isinstance(style, str):
        raise InputError(f"{where} style: a name in quotes is needed, got {style!r}")
    return style


def _given(options: BaseModel) -> dict[str, Any]:
    """Options that the input sets; for the others a plain function or class has its own defaults."""
    return {name: getattr(options, name) for name in options.model_fields_set}


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f'{where}: a table with a style is needed, such as {{ style = "heisenberg" }}, got {value!r}')
    return dict(value)


def names_a_script(table: Any) -> bool:
    """Whether a style or driver anywhere in a table is a dotted path."""
    if isinstance(table, Mapping):
        return any(
            (key in _NAMING and isinstance(value, str) and ":" in value) or names_a_script(value)
            for key, value in table.items()
        )
    return isinstance(table, list) and any(names_a_script(entry) for entry in table)
