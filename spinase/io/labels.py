"""Labelled configurations: spins and sites with the energies, fields and forces a calculator gave them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator

from spinase.atoms import SpinAtoms
from spinase.errors import CheckpointError
from spinase.files import read_arrays, refuse_foreign, replacing, write_arrays
from spinase.io.frames import write_atoms
from spinase.io.hdf5 import (
    DamageError,
    attributes_digest,
    get_item,
    open_to_read,
    read_array,
    read_attribute,
    write_attributes,
)
from spinase.typing import Array, BoolArray, FloatArray, IntArray

FORMAT = "spinase-labels-2"
_ATTRIBUTES = "attributes_digest"
_HEAD = ("numbers", "pbc", "kinds", "units")
_NEEDED = ("positions", "cells", "moments", "energies", "magnetic_forces")
_OPTIONAL = ("forces", "electrons", "chemical_potentials", "biases")
_FORMERLY = {"potentials": "chemical_potentials"}  # names in older files


@dataclass(frozen=True, eq=False)
class Labels:
    """Labelled configurations of one magnet (a realization: fixed species and boundaries).

    Attributes
    ----------
    numbers : (N,)
        Atomic numbers.
    pbc : (3,)
        Periodic directions.
    positions, moments, magnetic_forces : (T, N, 3)
        Length; mu_B or |m|; full fields B = -dE/dm, energy/moment.
    cells : (T, 3, 3)
        Cell vectors (rows), length.
    energies : (T,)
        What the fields are the gradient of (the free energy where there is one); nan for a driven calculator.
    forces : (T, N, 3) or None
        Energy/length.
    kinds : list of str
        How each configuration was made: random, quench, ...
    electrons, chemical_potentials : (T,) or None
        Number of electrons, and their chemical potential, energy; for calculators that know them.
    biases : (T,) or None
        Bias between the leads, energy; of devices.
    units : str
        Unit system.
    """

    numbers: IntArray
    pbc: BoolArray
    positions: FloatArray
    cells: FloatArray
    moments: FloatArray
    energies: FloatArray
    magnetic_forces: FloatArray
    forces: FloatArray | None
    kinds: list[str]
    units: str
    electrons: FloatArray | None = None
    chemical_potentials: FloatArray | None = None
    biases: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.energies)

    def atoms(self, index: int) -> SpinAtoms:
        """One configuration as atoms with its energy and forces attached."""
        magnet = SpinAtoms(
            numbers=self.numbers,
            positions=self.positions[index],
            cell=self.cells[index],
            pbc=self.pbc,
            moments=self.moments[index],
            units=self.units,
        )
        magnet.arrays["magnetic_forces"] = self.magnetic_forces[index].copy()
        results: dict[str, Any] = {"energy": float(self.energies[index])} if np.isfinite(self.energies[index]) else {}
        if self.forces is not None:
            results["forces"] = self.forces[index].copy()
        magnet.calc = SinglePointCalculator(magnet, **results)
        return magnet


def save_part(path: Path, labels: Labels) -> None:
    """Write one realization, so that a kill leaves no file or a whole one."""
    write_arrays(path, _arrays(labels))


def load_part(path: Path) -> Labels:
    """Read what :func:`save_part` wrote.

    Raises
    ------
    CheckpointError
        If the file is damaged.
    """
    try:
        return _labels(read_arrays(path))
    except (OSError, ValueError, KeyError, TypeError):
        raise CheckpointError(f"the labels in {path} are damaged: delete the file to make them again") from None


def write_labels(path: str | Path, parts: Sequence[Labels], attributes: Mapping[str, str]) -> str:
    """Write all realizations to one HDF5 file with provenance; returns the hash of the data.

    A kill leaves the old file or the new one.

    Parameters
    ----------
    path : path
        The file, replaced if it is a label file.
    parts : sequence of Labels
        Realizations.
    attributes : mapping of str to str
        Provenance.

    Raises
    ------
    OutputError
        If it cannot be written.
    InputError
        If what is at `path` is no label file.
    """
    refuse_foreign(path, is_label_file, "label file")
    total = hashlib.sha256()
    # made in memory: HDF5 does not survive a disk that is full
    with h5py.File("labels", "w", driver="core", backing_store=False, libver="latest") as file:
        for number, labels in enumerate(parts):
            group = file.create_group(f"{number:06d}")
            for name, array in _arrays(labels).items():
                data = array.astype("S") if array.dtype.kind == "U" else array
                packed = {"compression": "gzip" if data.ndim > 1 else None, "fletcher32": True}
                group.create_dataset(name, data=data, **(packed if data.size and data.ndim else {}))
                _count(total, number, name, data)
        write_attributes(file, {**attributes, "spinase_format": FORMAT, "hash": total.hexdigest()})
        write_attributes(file, {_ATTRIBUTES: attributes_digest(file)})
        file.flush()
        image = file.id.get_file_image()
    with replacing(path) as temporary:
        temporary.write_bytes(image)
    return total.hexdigest()


def read_labels(path: str | Path) -> tuple[list[Labels], dict[str, str]]:
    """Realizations and attributes (provenance, hash) of a label file.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged (its digests are compared), no label file, or holds numbers that are not finite.
    """
    source = Path(path)
    if not source.is_file():
        raise CheckpointError(f"there is no label file {source}")
    try:
        with open_to_read(source) as file:
            parts, attributes = _read(file)
    except DamageError as error:
        raise CheckpointError(f"the label file {source} is damaged or no label file: {error}") from None
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError, MemoryError):
        raise CheckpointError(f"{source} is damaged or no label file") from None
    for number, labels in enumerate(parts):
        for name in ("positions", "moments", "magnetic_forces"):
            if not np.isfinite(getattr(labels, name)).all():
                raise CheckpointError(f"{source}: {name} of realization {number} are not finite")
    return parts, attributes


def is_label_file(path: Path) -> bool:
    """Whether a file is one of spinase's label files, of whatever format and state."""
    try:
        with open_to_read(path) as file:
            return str(read_attribute(file, "spinase_format")).startswith("spinase-labels-")
    except (OSError, RuntimeError, ValueError, TypeError, KeyError):
        return False


def _read(file: h5py.File) -> tuple[list[Labels], dict[str, str]]:
    attributes = {name: str(read_attribute(file, name)) for name in file.attrs}
    if attributes.get("spinase_format") != FORMAT:
        raise DamageError(f"it is not of format {FORMAT}")
    if attributes.pop(_ATTRIBUTES, "") != attributes_digest(file, but=(_ATTRIBUTES,)):
        raise DamageError("what it says of itself is not as it was written")
    total, parts = hashlib.sha256(), []
    for number, key in enumerate(sorted(file)):
        arrays = {name: read_array(get_item(file[key], name), "biufS") for name in file[key]}
        # the order in which they are written, and were
        for name in (*_HEAD, *_NEEDED, *_OPTIONAL[:2], *_FORMERLY, *_OPTIONAL[2:]):
            if name in arrays:
                _count(total, number, name, arrays[name])
        parts.append(_labels(arrays))
    if total.hexdigest() != attributes.get("hash"):
        raise DamageError("its labels are not as they were written (their hash is another)")
    return parts, attributes


def _count(total: Any, number: int, name: str, data: Array) -> None:
    total.update(f"{number}{name}{data.shape}".encode())
    total.update(np.ascontiguousarray(data).tobytes())


def write_label_frames(parts: Sequence[Labels], path: str | Path) -> None:
    """Write all configurations to any format ASE knows (extxyz: moments, fields, forces and energies in it).

    Parameters
    ----------
    parts : sequence of Labels
        Realizations.
    path : path
        Its suffix tells the format.
    """
    write_atoms(path, [labels.atoms(k) for labels in parts for k in range(len(labels))])


def _arrays(labels: Labels) -> dict[str, Array]:
    arrays: dict[str, Array] = {
        "numbers": labels.numbers,
        "pbc": labels.pbc,
        "kinds": np.array(labels.kinds),
        "units": np.array(labels.units),
        **{name: getattr(labels, name) for name in _NEEDED},
    }
    return arrays | {name: array for name in _OPTIONAL if (array := getattr(labels, name)) is not None}


def _labels(arrays: Mapping[str, Any]) -> Labels:
    """Labels of named arrays.

    Raises
    ------
    DamageError
        If one is missing, or their shapes do not fit.
    """
    arrays = {_FORMERLY.get(name, name): array for name, array in arrays.items()}
    missing = [name for name in (*_HEAD, *_NEEDED) if name not in arrays]
    if missing:
        raise DamageError(f"{missing[0]} of a realization are missing")
    kinds = [kind.decode() if isinstance(kind, bytes) else str(kind) for kind in np.atleast_1d(arrays["kinds"])]
    units = arrays["units"][()]
    numbers, count = np.asarray(arrays["numbers"], dtype=np.int64), len(kinds)
    sites = (count, len(numbers), 3)
    shapes = dict.fromkeys(("positions", "moments", "magnetic_forces", "forces"), sites) | {"cells": (count, 3, 3)}
    for name in (*_NEEDED, *(name for name in _OPTIONAL if name in arrays)):
        if np.shape(arrays[name]) != shapes.get(name, (count,)) or arrays[name].dtype.kind != "f":
            raise DamageError(f"{name} of a realization have the wrong shape {np.shape(arrays[name])} or type")
    if numbers.ndim != 1 or np.shape(arrays["pbc"]) != (3,):
        raise DamageError("numbers or boundaries of a realization have the wrong shape")
    optional: dict[str, Any] = {
        name: np.asarray(arrays[name], dtype=np.float64) if name in arrays else None for name in _OPTIONAL
    }
    return Labels(
        numbers=numbers,
        pbc=np.asarray(arrays["pbc"], dtype=bool),
        kinds=kinds,
        units=units.decode() if isinstance(units, bytes) else str(units),
        **{name: np.asarray(arrays[name], dtype=np.float64) for name in _NEEDED},
        **optional,
    )


__all__ = ["Labels", "load_part", "read_labels", "save_part", "write_label_frames", "write_labels"]
