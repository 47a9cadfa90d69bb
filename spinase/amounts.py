"""Amounts as a person writes them, ``"1 fs"``, ``"300 K"``, ``"5 T"``: read and converted here and nowhere else.

A field of an input file says its unit at the end of its description, in brackets: ``[time]``, ``[energy/moment]``, ``[eV or
t]`` (metal or reduced).  That text is what users read and what counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import ase.units
from pydantic import BaseModel

from spinase.errors import InputError
from spinase.units import METAL, UnitSystem, unit_system


class Dimension(NamedTuple):
    """Powers of energy, length, time, moment and temperature in a unit."""

    energy: int = 0
    length: int = 0
    time: int = 0
    moment: int = 0
    temperature: int = 0

    def times(self, other: Dimension, power: int = 1) -> Dimension:
        """Dimension of a product with a power of another unit."""
        return Dimension(*(mine + power * theirs for mine, theirs in zip(self, other, strict=True)))


_ENERGY, _LENGTH, _TIME = Dimension(energy=1), Dimension(length=1), Dimension(time=1)
_MOMENT, _TEMPERATURE = Dimension(moment=1), Dimension(temperature=1)
_FIELD, _PRESSURE = Dimension(energy=1, moment=-1), Dimension(energy=1, length=-3)
_MASS = Dimension(energy=1, time=2, length=-2)
_PREFIXES = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
_TESLA = METAL.tesla or 0.0
Unit = tuple[float, Dimension]


def _prefixed(symbol: str, prefixes: str, value: float, dimension: Dimension) -> dict[str, Unit]:
    """A unit with those of its multiples that are in use; ``-`` stands for none."""
    return {f"{one.strip('-')}{symbol}": (value * _PREFIXES[one.strip("-")], dimension) for one in prefixes}


_UNITS: dict[str, Unit] = {
    **_prefixed("eV", "um-k", ase.units.eV, _ENERGY),
    **_prefixed("Ry", "m-", ase.units.Rydberg, _ENERGY),
    **_prefixed("Ha", "m-", ase.units.Hartree, _ENERGY),
    **_prefixed("J", "m-k", ase.units.J, _ENERGY),
    "kcal": (ase.units.kcal, _ENERGY),
    "mol": (ase.units.mol, Dimension()),
    **_prefixed("s", "fpnum-", ase.units.second, _TIME),
    **_prefixed("m", "pnum-", ase.units.m, _LENGTH),
    **dict.fromkeys(("Angstrom", "Ang", "A"), (ase.units.Angstrom, _LENGTH)),
    "Bohr": (ase.units.Bohr, _LENGTH),
    **_prefixed("K", "m-", 1.0, _TEMPERATURE),
    **_prefixed("T", "um-", _TESLA, _FIELD),
    **_prefixed("Pa", "-kMG", ase.units.Pascal, _PRESSURE),
    **_prefixed("bar", "-kM", ase.units.bar, _PRESSURE),
    "atm": (101325.0 * ase.units.Pascal, _PRESSURE),
    **dict.fromkeys(("mu_B", "muB"), (1.0, _MOMENT)),
    "u": (1.0, _MASS),
}
"""Symbol -> value in metal units (temperatures: in kelvin) and dimension.  ASE's own numbers."""
_WORDS: dict[str, Unit] = {
    "energy": (1.0, _ENERGY),
    "length": (1.0, _LENGTH),
    "time": (1.0, _TIME),
    "moment": (1.0, _MOMENT),
    "1": (1.0, Dimension()),
}
_EXAMPLES = {
    _ENERGY: '"20 meV" or "300 K"',
    _LENGTH: '"2.87 Angstrom"',
    _TIME: '"1 fs"',
    _FIELD: '"5 T"',
    _PRESSURE: '"1 GPa"',
    _MOMENT: '"2.2 mu_B"',
    _TEMPERATURE: '"300 K"',
    _MASS: '"55.8 u"',
    Dimension(time=-1): '"1 /ps"',
    Dimension(length=-1): '"0.5 /Angstrom"',
    Dimension(length=1, time=-1): '"100 m/s"',
}
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_AMOUNT = re.compile(rf"\s*({_NUMBER}(?:[\s,]+{_NUMBER})*)\s*(\S.*)?")
_TOKEN = re.compile(r"\s*([A-Za-z_]+|1(?![\d.])|[*/()]|\^?[+-]?\d+)")


def unit_of(description: str | None) -> str:
    """The unit that a field's description ends with, such as ``energy/moment``; empty if it tells none.

    Parameters
    ----------
    description : str or None
        Text with the unit in its last brackets.
    """
    found = re.findall(r"\[([^\[\]]+)\]", (description or "").replace("\u00b5", "u"))
    return next((unit for unit in found[-1:] if _dimension(unit) is not None), "")


def amount(value: str, unit: str, units: str | UnitSystem = METAL, where: str = "amount") -> float | list[float]:
    """The number, in a unit system, of an amount that is written with its unit.

    Temperatures and energies may stand for each other by Boltzmann's constant.

    Parameters
    ----------
    value : str
        Such as ``"1 fs"``, ``"20 meV"``; several numbers make a vector, ``"0 0 5 T"``.
    unit : str
        What is needed: ``"time"``, ``"energy"``, ``"energy/moment"``, ``"1/length"``, ``"K"``, ...
    units : str or UnitSystem
        The unit system of the result; reduced units have no unit that a person could write.
    where : str
        Place in the input, for messages.

    Raises
    ------
    InputError
        If it is no number with a unit, if the unit is unknown or of another dimension, or in reduced units.
    """
    needed = _dimension(unit)
    if needed is None:
        raise InputError(f"{where}: {unit!r} is no unit; such as 'time', 'energy', 'energy/moment', '1/length'")
    numbers, written = _split(value, unit, where)
    if not any(needed):
        raise InputError(f"{where}: {value!r} has a unit, but a plain number is needed: write it without unit and quotes")
    system = unit_system(units)
    if system.name != METAL.name:
        raise InputError(
            f"{where}: {value!r} has a unit, but the units are reduced: energies in {system.energy}, lengths in "
            f'{system.length}, times in {system.time}. Write a plain number, or say units = "metal"'
        )
    found = _parsed(written)
    if found is None:
        raise InputError(f"{where}: unknown unit {written!r} in {value!r}; known: {', '.join(_UNITS)}, with * / ^")
    factor, dimension = found
    if _as_energy(dimension) != _as_energy(needed):
        raise InputError(f"{where}: {value!r} is not of the dimension {unit}: {_example(needed, unit)}")
    factor *= METAL.boltzmann ** (dimension.temperature - needed.temperature)
    scaled = [number * factor for number in numbers]
    return scaled[0] if len(scaled) == 1 else scaled


def plain_number(value: Any, unit: str, units: str | UnitSystem, where: str) -> Any:
    """`value`, or the number of a text with a unit (see :func:`amount`): for options that scripts set.

    Parameters
    ----------
    value : Any
        As it was given.
    unit : str
        What is needed, in words.
    units : str or UnitSystem
        Of the magnet.
    where : str
        Name of the option.
    """
    return amount(value, unit, units, where) if isinstance(value, str) else value


def with_numbers(
    model: type[BaseModel], table: Mapping[str, Any], units: str | UnitSystem, where: str, unit: str = ""
) -> dict[str, Any]:
    """A table of an input file with amounts converted to the numbers of a unit system, tables in it as well.

    Parameters
    ----------
    model : type of BaseModel
        What the table should be; keys it does not know stay as they are.
    table : mapping
        As it was read.
    units : str or UnitSystem
        Of the input.
    where : str
        Place in the input, for messages.
    unit : str
        That of the key of this table, for fields that have no unit of their own (ends of a ramp).

    Raises
    ------
    InputError
        On an amount that cannot be one of its field.
    """
    fields = {field.alias or name: field for name, field in model.model_fields.items()} | dict(model.model_fields)
    found = dict(table)
    for key in (key for key in table if key in fields):  # in the order of the file, so that the first mistake is told
        own = unit_of(fields[key].description) or unit
        found[key] = _numbers(found[key], fields[key].annotation, own, units, f"{where} {key}".strip())
    return found


def _numbers(value: Any, annotation: Any, unit: str, units: str | UnitSystem, where: str) -> Any:
    if isinstance(value, str):
        written = unit and not _takes_text(annotation) and re.search(r"[^\d\s.,eE+-]", value)
        return amount(value, unit, units, where) if written else value
    if isinstance(value, list):
        return [_numbers(entry, annotation, unit, units, where) for entry in value]
    if isinstance(value, Mapping):
        tables = [one for one in _tables(annotation) if value.keys() <= {*_names(one)}] or _tables(annotation)[:1]
        if tables:
            return with_numbers(tables[0], value, units, where, unit)
        return {key: _numbers(entry, annotation, unit, units, f"{where}.{key}") for key, entry in value.items()}
    return value


def _names(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _tables(annotation: Any) -> list[type[BaseModel]]:
    """Tables that may stand somewhere in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _tables(part)]


def _takes_text(annotation: Any) -> bool:
    """Whether a text is a value of its own here, no amount (keys of tables do not count)."""
    if annotation is str or annotation is Any:
        return True
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return any(isinstance(part, str) for part in parts)
    if origin in (Union, UnionType):
        return any(_takes_text(part) for part in parts)
    return origin is Annotated and _takes_text(parts[0])


def _split(value: str, unit: str, where: str) -> tuple[list[float], str]:
    """Numbers of an amount and the text of its unit."""
    found = _AMOUNT.fullmatch(value)
    if found is None or found[2] is None:
        needed = _dimension(unit) or Dimension()
        raise InputError(f"{where}: a number, or one with its unit is needed, got {value!r}: {_example(needed, unit)}")
    return [float(number) for number in re.split(r"[\s,]+", found[1].strip())], found[2].strip()


def _example(needed: Dimension, unit: str) -> str:
    return f"write such as {_EXAMPLES[needed]}" if needed in _EXAMPLES else f"the unit is {unit}"


def _as_energy(dimension: Dimension) -> Dimension:
    """The dimension with temperatures counted as energies."""
    return dimension._replace(energy=dimension.energy + dimension.temperature, temperature=0)


def _dimension(unit: str) -> Dimension | None:
    """Dimension of the unit of a field; of its first alternative (metal or reduced)."""
    found = _parsed(unit.partition(" or ")[0])
    return None if found is None else found[1]


def _parsed(text: str) -> Unit | None:
    """Value and dimension of a product of units, ``meV/mu_B``, ``1/ps``, ``ps-1``, ``Angstrom^3``; None if it is none."""
    text = text.replace("\u00b5", "u").replace("\u03bc", "u").replace("\u00c5", "Angstrom").replace("\u00b7", "*")
    tokens = _TOKEN.findall(text)
    if not tokens or "".join(tokens) != re.sub(r"\s+", "", text):
        return None
    found = _product(tokens)
    return None if tokens else found


def _product(tokens: list[str]) -> Unit | None:
    """Take a product from the front of `tokens`, up to a closing bracket."""
    value, dimension, sign = 1.0, Dimension(), 1
    while tokens and tokens[0] != ")":
        token = tokens.pop(0)
        if token in "*/":
            sign = -1 if token == "/" else 1
            continue
        found = _product(tokens) if token == "(" else {**_WORDS, **_UNITS}.get(token)
        if found is None or (token == "(" and (not tokens or tokens.pop(0) != ")")):
            return None
        power = sign * (int(tokens.pop(0).lstrip("^")) if tokens and tokens[0].lstrip("^+-").isdigit() else 1)
        value, dimension, sign = value * found[0] ** power, dimension.times(found[1], power), 1
    return value, dimension


__all__ = ["Dimension", "amount", "plain_number", "unit_of", "with_numbers"]
