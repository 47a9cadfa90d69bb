"""Conversion between label files and those of other programs, with provenance."""

from __future__ import annotations

import json
import platform
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spinase.errors import AccuracyWarning, InputError
from spinase.files import file_digest, refuse_foreign
from spinase.io.consistency import Slopes, energy_slopes
from spinase.io.foreign import Converted, ForeignFormat
from spinase.io.labels import is_label_file, read_labels, write_labels
from spinase.options import options_of
from spinase.run.provenance import code_identity, versions
from spinase.styles import load_style


def foreign_format(name: str, options: Mapping[str, Any] | None = None) -> ForeignFormat[Any]:
    """The format called `name` with its options.

    Raises
    ------
    StyleError, InputError
        On an unknown name, or an option it does not know.
    """
    target = load_style("formats", name)
    made: ForeignFormat[Any] = target.from_config(options_of(target, options or {}, f"options of the format {name!r}"))
    return made


def import_labels(
    sources: Sequence[str | Path], target: str | Path, name: str, options: Mapping[str, Any] | None = None
) -> Path:
    """Make a label file from files of another program; returns it.

    Where consecutive frames of a realization are near each other, energy differences are compared with fields and
    forces: a wrong sign or unit warns (:class:`~spinase.errors.AccuracyWarning`).

    Parameters
    ----------
    sources : sequence of path
        Files or directories; their realizations follow each other.
    target : path
        The HDF5 file.
    name : str
        Format: ``double-exchange``, ``mace``, ``deepspin``, or one of a plugin.
    options : mapping, optional
        What the files do not say; ``spinase styles formats NAME`` lists it.

    Raises
    ------
    InputError
        If a file is bad or does not say enough, sources are in different units, or the target cannot be written or is
        there and no label file.
    """
    refuse_foreign(target, is_label_file, "label file")
    if not sources:
        raise InputError("nothing to convert: name at least one file or directory")
    reader = foreign_format(name, options)
    found = [reader.read(source) for source in sources]
    parts = [part for one in found for part in one.parts]
    units = {part.units for part in parts}
    if len(units) != 1:
        raise InputError(f"the sources are in different unit systems ({', '.join(sorted(units))}): convert them one by one")
    slopes = energy_slopes(parts)
    if slopes is not None and slopes.complaint():
        warnings.warn(
            f"{slopes.complaint()} (along {slopes.pairs} steps): look at the signs and units of the files (options "
            "gradient, field, energy_unit, field_unit)",
            AccuracyWarning,
            stacklevel=2,
        )
    place = Path(target)
    attributes = {
        "title": f"converted from {name}: {', '.join(str(source) for source in sources)}",
        "units": units.pop(),
        "provenance": json.dumps(_provenance(reader, name, found, slopes), sort_keys=True),
        "versions": json.dumps(versions()),
        **code_identity(),
        "platform": platform.platform(),
    }
    if reader.options.teacher is not None:
        attributes["teacher"] = json.dumps(reader.options.teacher, sort_keys=True)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_labels(place, parts, attributes)
    except OSError as error:
        raise InputError(f"cannot write {place}: {error.strerror or error}") from None
    return place


def export_labels(source: str | Path, target: str | Path, name: str, options: Mapping[str, Any] | None = None) -> Path:
    """Write a label file in the format of another program; returns `target`.

    Parameters
    ----------
    source : path
        A label file.
    target : path
        A file or folder of the other program, which is not there yet.
    name : str
        Style of the kind ``formats``.
    options : mapping, optional
        Of that style.

    Raises
    ------
    InputError, CheckpointError
        If the format cannot hold the labels, the label file is bad, or the target is there and not of such an export.
    """
    writer = foreign_format(name, options)
    parts, _ = read_labels(source)
    writer.write(parts, target)
    return Path(target)


def _provenance(reader: ForeignFormat[Any], name: str, found: Sequence[Converted], slopes: Slopes | None) -> dict[str, Any]:
    """Format, options, what the reader remarked, energies against fields, and the hash of every file it read."""
    return {
        "format": name,
        "options": reader.options.model_dump(),
        "energy_slopes": None if slopes is None else asdict(slopes),
        "remarks": [one.remarks for one in found],
        "files": {str(path): file_digest(path) for one in found for path in one.files},
        "command": " ".join(sys.argv),
    }


__all__ = ["export_labels", "foreign_format", "import_labels"]
