"""Labelled configurations: spins and sites with the energies, fields and forces a calculator gave them."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write as ase_write
from numpy.typing import NDArray

from spinase.atoms import SpinAtoms
from spinase.errors import CheckpointError

FloatArray = NDArray[np.float64]
FORMAT = "spinase-labels-1"
_NEEDED = ("positions", "cells", "moments", "energies", "magnetic_forces")
_OPTIONAL = ("forces", "electrons", "potentials")


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
    electrons, potentials : (T,) or None
        Number of electrons, and their chemical potential, energy; for calculators that know them.
    units : str
        Unit system.
    """

    numbers: NDArray[np.int64]
    pbc: NDArray[np.bool_]
    positions: FloatArray
    cells: FloatArray
    moments: FloatArray
    energies: FloatArray
    magnetic_forces: FloatArray
    forces: FloatArray | None
    kinds: list[str]
    units: str
    electrons: FloatArray | None = None
    potentials: FloatArray | None = None

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
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb") as file:
        np.savez(file, allow_pickle=False, **_arrays(labels))
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def load_part(path: Path) -> Labels:
    """Read what :func:`save_part` wrote.

    Raises
    ------
    CheckpointError
        If the file is damaged.
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            return _labels({name: stored[name] for name in stored.files})
    except (ValueError, OSError, EOFError, KeyError, TypeError, RuntimeError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"the labels in {path} are damaged ({error}): delete the file to make them again") from error


def write_labels(path: str | Path, parts: Sequence[Labels], attributes: Mapping[str, str]) -> str:
    """Write all realizations to one HDF5 file with provenance; returns the hash of the data.

    A kill leaves the old file or the new one.
    """
    target = Path(path)
    temporary = target.with_name(target.name + ".tmp")
    total = hashlib.sha256()
    with h5py.File(temporary, "w") as file:
        for number, labels in enumerate(parts):
            group = file.create_group(f"{number:06d}")
            for name, array in _arrays(labels).items():
                data = array.astype("S") if array.dtype.kind == "U" else array
                group.create_dataset(name, data=data, compression="gzip" if data.ndim > 1 else None)
                total.update(f"{number}{name}{data.shape}".encode())
                total.update(np.ascontiguousarray(data).tobytes())
        file.attrs.update({**attributes, "spinase_format": FORMAT, "hash": total.hexdigest()})
    os.replace(temporary, target)
    return total.hexdigest()


def read_labels(path: str | Path) -> tuple[list[Labels], dict[str, str]]:
    """Realizations and attributes (provenance, hash) of a label file.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, no label file, or holds numbers that are not finite.
    """
    source = Path(path)
    if not source.exists():
        raise CheckpointError(f"there is no label file {source}")
    try:
        with h5py.File(source) as file:
            attributes = {name: str(value) for name, value in file.attrs.items()}
            if attributes.get("spinase_format") != FORMAT:
                raise CheckpointError(f"{source} is no label file of format {FORMAT}")
            parts = [_labels({name: data[()] for name, data in file[number].items()}) for number in sorted(file)]
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"the label file {source} is damaged ({error})") from error
    for number, labels in enumerate(parts):
        for name in ("positions", "moments", "magnetic_forces"):
            if not np.isfinite(getattr(labels, name)).all():
                raise CheckpointError(f"{source}: {name} of realization {number} are not finite")
    return parts, attributes


def write_label_frames(parts: Sequence[Labels], path: str | Path) -> None:
    """Write all configurations to any format ASE knows (extxyz: moments, fields, forces and energies in it)."""
    ase_write(path, [labels.atoms(k) for labels in parts for k in range(len(labels))])


def _arrays(labels: Labels) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {
        "numbers": labels.numbers,
        "pbc": labels.pbc,
        "kinds": np.array(labels.kinds),
        "units": np.array(labels.units),
        **{name: getattr(labels, name) for name in _NEEDED},
    }
    return arrays | {name: array for name in _OPTIONAL if (array := getattr(labels, name)) is not None}


def _labels(arrays: Mapping[str, Any]) -> Labels:
    kinds = [kind.decode() if isinstance(kind, bytes) else str(kind) for kind in arrays["kinds"]]
    units = arrays["units"][()] if isinstance(arrays["units"], np.ndarray) else arrays["units"]
    optional: dict[str, Any] = {
        name: np.asarray(arrays[name], dtype=np.float64) if name in arrays else None for name in _OPTIONAL
    }
    return Labels(
        numbers=np.asarray(arrays["numbers"], dtype=np.int64),
        pbc=np.asarray(arrays["pbc"], dtype=bool),
        kinds=kinds,
        units=units.decode() if isinstance(units, bytes) else str(units),
        **{name: np.asarray(arrays[name], dtype=np.float64) for name in _NEEDED},
        **optional,
    )


__all__ = ["Labels", "load_part", "read_labels", "save_part", "write_label_frames", "write_labels"]
