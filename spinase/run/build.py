"""From the tables of an input file to objects: atoms, calculators, drivers, observers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.io import read as ase_read

from spinase import lattices
from spinase.atoms import SpinAtoms, geometry_of, get_moments, has_moments, set_moments
from spinase.calculators.sum import SpinSumCalculator
from spinase.errors import InputError
from spinase.run.config import AtomsTable, RunInput
from spinase.styles import load_style, options_of

_NATIVE = "from_config"


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
    """
    seeds = np.random.SeedSequence(config.seed).spawn(2 + len(config.stage))
    sites, spins, *stages = (np.random.default_rng(seed) for seed in seeds)
    atoms = build_atoms(config.atoms, config.units, folder, sites)
    place_spins(atoms, config, spins)
    default = build_calculator(config.calculator, "[calculator]")
    return Setup(
        config=config,
        atoms=atoms,
        stages=[_stage(table, k, default) for k, table in enumerate(config.stage)],
        observers=[_observer(table, k) for k, table in enumerate(config.observer)],
        generators=stages,
    )


def build_atoms(table: AtomsTable, units: str, folder: Path, rng: np.random.Generator) -> SpinAtoms:
    """Sites of the magnet, with moments of the right length along z (from a file: those of the file)."""
    if table.file is not None:
        return _read_atoms(folder / table.file, table.index, units)
    if table.lattice is not None:
        assert table.size is not None
        periodic = table.periodic if isinstance(table.periodic, bool) else tuple(table.periodic)
        positions, cell, pbc = lattices.build(table.lattice, tuple(table.size), table.a, periodic)
    else:
        box = table.disordered
        assert box is not None
        positions, cell, pbc = lattices.disordered(box.sites, box.density, box.min_distance, box.dimension, rng)
    atoms = SpinAtoms([table.symbol] * len(positions), positions=positions, cell=cell, pbc=pbc, units=units)
    atoms.moments = [0.0, 0.0, table.moment]
    return atoms


def _read_atoms(path: Path, index: int, units: str) -> SpinAtoms:
    try:
        found: Any = ase_read(path, index=index)
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise InputError(f"[atoms] file: cannot read frame {index} of {path}: {error}") from error
    stored = found.info.get("units")
    if stored is not None and stored != units:
        raise InputError(f"[atoms] file: {path} is in {stored} units but the input says units = {units!r}")
    return SpinAtoms(found, units=units)


def place_spins(atoms: SpinAtoms, config: RunInput, rng: np.random.Generator) -> None:
    """Give the moments their initial directions."""
    table = dict(config.spins or {"style": "keep" if config.atoms.file else "random"})
    style = _take_style(table, "[spins]")
    if style == "keep":
        if not has_moments(atoms):
            raise InputError("[spins] style = 'keep', but the file has no magnetic moments: choose an initializer")
        return
    initializer = load_style("initializers", style)
    options = options_of(initializer, table, "[spins]").model_dump()
    lengths = np.linalg.norm(get_moments(atoms), axis=1)
    lengths = lengths if lengths.any() else np.full(len(atoms), config.atoms.moment)
    set_moments(atoms, lengths[:, None] * initializer(geometry_of(atoms), rng, **options))


def build_calculator(table: Mapping[str, Any], where: str) -> Any:
    """Calculator of a table with a ``style``; ``style = "sum"`` has a list of tables ``terms`` (each with a `weight`)."""
    options = dict(table)
    style = _take_style(options, where)
    if style == "sum":
        return _sum(options, where)
    target = load_style("calculators", style)
    checked = options_of(target, options, where)
    return target.from_config(checked) if hasattr(target, _NATIVE) else target(**checked.model_dump())


def _sum(options: dict[str, Any], where: str) -> SpinSumCalculator:
    terms = options.pop("terms", None)
    if options or not isinstance(terms, list) or not terms:
        raise InputError(f"{where} style = 'sum' takes a list of tables `terms` and nothing else; got {options or terms!r}")
    weights = [float(term.get("weight", 1.0)) for term in terms]
    members = [
        build_calculator({key: value for key, value in term.items() if key != "weight"}, f"{where} terms.{k}")
        for k, term in enumerate(terms)
    ]
    return SpinSumCalculator(members, weights)


def _stage(table: Mapping[str, Any], number: int, default: Any) -> StageInput:
    where = f"[[stage]] {number}"
    options = dict(table)
    name = str(options.pop("name", f"stage {number}"))
    driver = load_style("drivers", str(options.pop("driver", "llg")))
    steps = options.pop("steps", None)
    if "steps" not in table:
        options_of(driver, options, where, also=("steps",))  # a misspelt `steps` is an unknown key
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 0:
        raise InputError(f"{where} steps: a whole number of steps is needed, got {steps!r}")
    own = options.pop("calculator", None)
    calculator = default if own is None else build_calculator(own, f"{where} calculator")
    checked = options_of(driver, options, where, also=("driver", "name", "steps", "calculator"))
    return StageInput(name, steps, driver, checked, calculator)


def _observer(table: Mapping[str, Any], number: int) -> ObserverInput:
    where = f"[[observer]] {number}"
    options = dict(table)
    style = _take_style(options, where)
    every = options.pop("every", 10)
    if not isinstance(every, int) or isinstance(every, bool) or every < 1:
        raise InputError(f"{where} every: a positive number of steps is needed, got {every!r}")
    target = load_style("observers", style)
    return ObserverInput(target.from_config(options_of(target, options, where, also=("style", "every"))), every)


def _take_style(table: dict[str, Any], where: str) -> str:
    style = table.pop("style", None)
    if not isinstance(style, str):
        raise InputError(f"key 'style' is missing in {where}: name a style (see `spinase styles`)")
    return style
