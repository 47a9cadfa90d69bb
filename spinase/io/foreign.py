"""Labels of other programs: what their readers share.

A format is a class with options (``Config``), ``read`` and ``write``, registered as ``spinase.formats``.  Inside, labels are
as everywhere: moments m along the MOMENT, full fields B = -dE/dm, forces -dE/dr.  What a file does not say (unit spins or
moments, the sign of a gradient, units) is an option, and what is not said and cannot be guessed safely is asked for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

import ase.units
import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from pydantic import BaseModel, ConfigDict, Field, model_validator

from spinase.errors import InputError
from spinase.io.labels import Labels
from spinase.typing import BoolArray, FloatArray, IntArray
from spinase.units import METAL

_ENERGIES = {"eV": 1.0, "meV": 1e-3, "Ry": ase.units.Ry, "Ha": ase.units.Ha}
_UNIT_LENGTH = 1e-6  # how far from 1 the length of a unit vector may be


class ForeignOptions(BaseModel):
    """Options of every format."""

    model_config = ConfigDict(extra="forbid")

    together: int | None = Field(
        None,
        ge=1,
        description="consecutive frames of one realization (a trajectory), never split between train and test; default: "
        "as a file of our own export says, else 1",
    )
    teacher: dict[str, Any] | None = Field(
        None, description="the calculator that made the labels, as a [calculator] table: kept for validation against it"
    )


class VectorOptions(ForeignOptions):
    """What files with moments and magnetic forces do not say of them."""

    vectors: Literal["moments", "spins"] | None = Field(
        None,
        description="moments [mu_B] or unit spins; default: moments, unless every vector has length 1: then it is asked",
    )
    moment: float | dict[str, float] | None = Field(
        None,
        description="length of the moments of unit spins, or a table by chemical symbol [mu_B or |m|]",
    )
    field: Literal["per-moment", "per-spin"] = Field(
        "per-moment", description="derivative of the energy by the moment [energy/moment] or by the unit spin [energy]"
    )
    gradient: bool = Field(False, description="the file has the gradient +dE/dm instead of the field -dE/dm")
    opposite: bool = Field(
        False,
        description="vectors point along the electrons' spins, opposite to the moments: vectors and fields change sign",
    )
    energy_unit: Literal["eV", "meV", "Ry", "Ha"] = Field("eV", description="unit of energies and of forces per Angstrom")
    field_unit: Literal["eV", "meV", "Ry", "Ha", "tesla"] | None = Field(
        None, description="unit of fields, per mu_B (per spin) but for tesla; default: energy_unit"
    )

    @model_validator(mode="after")
    def _moment_for_spins(self) -> VectorOptions:
        if self.vectors == "spins" and self.moment is None:
            raise ValueError("unit spins need moment = their length in mu_B, or a table by chemical symbol")
        if self.field_unit == "tesla" and self.field == "per-spin":
            raise ValueError("a field in tesla is per moment: leave out field = 'per-spin'")
        return self


@dataclass(frozen=True, eq=False)
class Frame:
    """One configuration; arrays and units as in :class:`~spinase.io.labels.Labels`; its realization if the file says so."""

    numbers: IntArray
    pbc: BoolArray
    cell: FloatArray
    positions: FloatArray
    moments: FloatArray
    magnetic_forces: FloatArray
    energy: float = np.nan
    forces: FloatArray | None = None
    kind: str = "converted"
    realization: int | None = None


@dataclass(frozen=True, eq=False)
class Converted:
    """What a reader found: realizations, the files it read, and remarks for the provenance."""

    parts: list[Labels]
    files: list[Path]
    remarks: dict[str, Any] = field(default_factory=dict)


Options = TypeVar("Options", bound=ForeignOptions)


class ForeignFormat(ABC, Generic[Options]):
    """A format of another program.

    Parameters
    ----------
    options : ForeignOptions
        What the files do not say; default: the format's defaults.
    """

    Config: ClassVar[type[ForeignOptions]]
    citation: ClassVar[str] = ""

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or self.Config()

    @classmethod
    def from_config(cls, config: Options) -> ForeignFormat[Options]:
        """Format with checked options."""
        return cls(config)

    @abstractmethod
    def read(self, source: str | Path) -> Converted:
        """Labels of a file or a directory.

        Raises
        ------
        InputError
            On a file that is missing, damaged or of another format, and for what it does not say.
        """

    @abstractmethod
    def write(self, parts: Sequence[Labels], target: str | Path) -> None:
        """Write labels in this format.

        Raises
        ------
        InputError
            If the format cannot hold them.
        """


def group_frames(frames: Iterable[Frame], together: int | None, units: str) -> list[Labels]:
    """Realizations of consecutive frames of one magnet (same species, boundaries and labels).

    Up to `together` of them; without it those that the file counts as one realization, else each frame by itself.

    Parameters
    ----------
    frames : iterable of Frame
        In the order of the file.
    together : int or None
        Most frames of a realization.
    units : str
        Unit system of the labels: ``"metal"`` or ``"reduced"``.
    """
    parts: list[list[Frame]] = []
    for frame in frames:
        last = parts[-1][0].realization if parts else None
        if together is None:
            room = frame.realization is not None and frame.realization == last
        else:
            room = bool(parts) and len(parts[-1]) < together
        if room and _same_magnet(parts[-1][0], frame):
            parts[-1].append(frame)
        else:
            parts.append([frame])
    return [_labels(part, units) for part in parts]


def _same_magnet(one: Frame, two: Frame) -> bool:
    same = np.array_equal(one.numbers, two.numbers) and np.array_equal(one.pbc, two.pbc)
    return bool(same and (one.forces is None) == (two.forces is None))


def _labels(frames: Sequence[Frame], units: str) -> Labels:
    return Labels(
        numbers=frames[0].numbers,
        pbc=frames[0].pbc,
        positions=np.array([frame.positions for frame in frames]),
        cells=np.array([frame.cell for frame in frames]),
        moments=np.array([frame.moments for frame in frames]),
        energies=np.array([frame.energy for frame in frames]),
        magnetic_forces=np.array([frame.magnetic_forces for frame in frames]),
        forces=None if frames[0].forces is None else np.array([f.forces for f in frames if f.forces is not None]),
        kinds=[frame.kind for frame in frames],
        units=units,
    )


def to_moments_and_fields(
    vectors: FloatArray,
    fields: FloatArray,
    numbers: IntArray,
    options: VectorOptions,
    where: str,
    units: str = "metal",
) -> tuple[FloatArray, FloatArray]:
    """Moments m (..., N, 3) and fields B = -dE/dm (..., N, 3) from what a file has.

    With s the file's unit spins, mu the `moment`, H = -dE/ds: m = mu s, B = H/mu; a gradient changes the sign of B, vectors
    opposite to the moments that of both.

    Parameters
    ----------
    vectors : (..., N, 3) ndarray
        Moments (mu_B), or unit spins; zero: non-magnetic.
    fields : (..., N, 3) ndarray
        dE/dm, -dE/dm or -dE/ds, as `options` say; eV/mu_B or eV.
    numbers : (N,) ndarray of int
        Atomic numbers.
    options : VectorOptions
        What the file does not say.
    where : str
        File, for messages.
    units : str
        Unit system: ``"metal"`` or ``"reduced"``.

    Raises
    ------
    InputError
        If every vector has length 1 and `vectors` does not say what they are; on spins that are no unit vectors; on a
        species without a moment.
    """
    lengths = np.linalg.norm(vectors, axis=-1)
    magnetic = lengths > 0.0
    unit = bool(magnetic.any() and np.all(np.abs(lengths[magnetic] - 1.0) < _UNIT_LENGTH))
    if options.vectors is None and unit and units == "metal":  # in reduced units a unit spin is a moment of length 1
        raise InputError(
            f"{where}: every vector has length 1: are these unit spins?  Say vectors = 'spins' with moment = their length, "
            "or vectors = 'moments' if each moment is 1 mu_B"
        )
    if options.vectors == "spins" and not unit:
        worst = lengths[magnetic][np.argmax(np.abs(lengths[magnetic] - 1.0))] if magnetic.any() else 0.0
        raise InputError(f"{where}: vectors = 'spins', but there is one of length {worst:.6g}: say vectors = 'moments'")
    moments = vectors * _lengths(numbers, options.moment, where)[:, None] if options.vectors == "spins" else vectors
    size = np.linalg.norm(moments, axis=-1, keepdims=True)
    scale = field_scale(options, units)
    scaled = fields * (-scale if options.gradient else scale)
    if options.field == "per-spin":
        scaled = scaled / np.where(size > 0.0, size, np.inf)
    sign = -1.0 if options.opposite else 1.0
    return sign * moments, sign * scaled


def _lengths(numbers: IntArray, moment: float | dict[str, float] | None, where: str) -> FloatArray:
    if not isinstance(moment, dict):
        return np.full(len(numbers), 1.0 if moment is None else moment)
    table = {atomic_numbers.get(symbol, -1): length for symbol, length in moment.items()}
    unknown = sorted({int(number) for number in numbers} - set(table))
    if unknown:
        raise InputError(f"{where}: moment has no length for {chemical_symbols[unknown[0]]} (0: non-magnetic)")
    return np.array([table[int(number)] for number in numbers])


def energy_scale(options: VectorOptions, units: str = "metal") -> float:
    """eV per unit of energy of the file; 1 in reduced units."""
    return _ENERGIES[options.energy_unit] if units == "metal" else 1.0


def field_scale(options: VectorOptions, units: str = "metal") -> float:
    """eV/mu_B (or eV) per unit of field of the file; 1 in reduced units."""
    unit = options.field_unit or options.energy_unit
    if units != "metal":
        return 1.0
    return float(METAL.tesla or 0.0) if unit == "tesla" else _ENERGIES[unit]


def symbols_to_numbers(symbols: Sequence[str], where: str) -> IntArray:
    """Atomic numbers of chemical symbols.

    Raises
    ------
    InputError
        On a symbol that is none.
    """
    unknown = [symbol for symbol in symbols if symbol not in atomic_numbers]
    if unknown:
        raise InputError(f"{where}: {unknown[0]!r} is no chemical symbol")
    return np.array([atomic_numbers[symbol] for symbol in symbols], dtype=np.int64)


def require_finite(where: str, **arrays: FloatArray) -> None:
    """Refuse numbers that are not finite; rows of arrays are sites.

    Raises
    ------
    InputError
        Naming the array, the site and the number.
    """
    for name, array in arrays.items():
        values = np.atleast_1d(array)
        for place in np.argwhere(~np.isfinite(values))[:1]:
            site = f", site {place[0]}" if values.ndim > 1 and name != "cell" else ""
            raise InputError(f"{where}{site}: {name.replace('_', ' ')} not finite ({values[tuple(place)]})")


__all__ = [
    "Converted",
    "ForeignFormat",
    "ForeignOptions",
    "Frame",
    "VectorOptions",
    "energy_scale",
    "field_scale",
    "group_frames",
    "require_finite",
    "symbols_to_numbers",
    "to_moments_and_fields",
]
