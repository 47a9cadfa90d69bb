"""Systems of DeePMD-kit with spins (DeepSPIN), layout ``deepmd/npy`` of its PyTorch and DP back ends.

A system is a directory with ``type.raw`` (types of the N atoms, from 0), ``type_map.raw`` (their chemical symbols),
``nopbc`` (an empty file: open boundaries) and ``set.*/``: ``box.npy`` (T, 9) [A], ``coord.npy`` (T, 3N) [A], ``spin.npy``
(T, 3N) moments [mu_B], ``energy.npy`` (T,) [eV], ``force.npy`` (T, 3N) [eV/A], ``force_mag.npy`` (T, 3N).
``real_atom_types.npy`` (T, N) gives every frame its own types (-1: no atom).  The documentation puts eV/A to magnetic
forces; that is the unit of forces on virtual atoms in the older TensorFlow layout.  What the PyTorch models are trained on
is -dE/dS by the spins of the input: eV/mu_B, spinase's ``magnetic_forces`` (``SpinModel.process_spin_output`` multiplies
the force on the virtual atom by its distance per mu_B).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols
from pydantic import Field

from spinase.brief import one_line
from spinase.errors import InputError
from spinase.files import read_array, replacing_folder
from spinase.io.exchange.text import read_text
from spinase.io.foreign import (
    Converted,
    ForeignFormat,
    Frame,
    VectorOptions,
    energy_scale,
    group_frames,
    require_finite,
    symbols_to_numbers,
    to_moments_and_fields,
)
from spinase.io.labels import Labels
from spinase.typing import FloatArray, IntArray

_OWN = "spinase_kinds.raw"  # of our own export: how each frame was made, and that the frames are one realization
_LONGEST = 6  # digits of a type
_READ = {"box", "coord", "spin", "energy", "force", "force_mag", "real_atom_types"}


class DeepSpinOptions(VectorOptions):
    """A DeepSPIN system, or a directory of systems."""

    type_map: list[str] | None = Field(None, description="chemical symbols of the types, where there is no type_map.raw")


class DeepSpinFormat(ForeignFormat[DeepSpinOptions]):
    """DeePMD-kit's deepmd/npy systems with spin.npy and force_mag.npy: one, or a directory with systems in it."""

    Config = DeepSpinOptions
    citation = (
        "T. Yang et al., Phys. Rev. B 110, 064427 (2024), doi:10.1103/PhysRevB.110.064427 (DeepSPIN); "
        "docs.deepmodeling.com: train-energy-spin"
    )
    options: DeepSpinOptions

    def read(self, source: str | Path) -> Converted:
        """Labels of all systems in a directory, in metal units.

        Raises
        ------
        InputError
            If there is no system, a file is missing, damaged or of a wrong shape, types have no symbols, or the vectors may
            be unit spins and nothing says so.
        """
        place = Path(source)
        systems = sorted(path.parent for path in place.rglob("type.raw")) if place.is_dir() else []
        if not systems:
            raise InputError(f"there is no DeepSPIN system (a directory with type.raw) in {place}")
        parts: list[Labels] = []
        files: list[Path] = []
        for system in systems:
            parts += group_frames(self._system(system, files), self.options.together, "metal")
        left = sorted({path.name for s in systems for path in s.glob("set.*/*.npy") if path.stem not in _READ})
        return Converted(parts, files, {"left_out": left, "systems": [str(system) for system in systems]})

    def _system(self, system: Path, files: list[Path]) -> Iterator[Frame]:
        types = _integers(system / "type.raw", files)
        symbols = self._symbols(system, files)
        sets = sorted(system.glob("set.*"))
        if not sets:
            raise InputError(f"{system} has no set.*: nothing to read")
        for folder in sets:
            yield from self._set(folder, types, symbols, not (system / "nopbc").exists(), files)

    def _symbols(self, system: Path, files: list[Path]) -> IntArray:
        path = system / "type_map.raw"
        if self.options.type_map is None and not path.exists():
            raise InputError(f"{system} has no type_map.raw: say type_map = [chemical symbols of the types 0, 1, ...]")
        if self.options.type_map is not None:
            return symbols_to_numbers(self.options.type_map, "type_map")
        files.append(path)
        return symbols_to_numbers(read_text(path).split(), str(path))

    def _set(self, folder: Path, types: IntArray, symbols: IntArray, periodic: bool, files: list[Path]) -> Iterator[Frame]:
        sites = len(types)
        coord = _array(folder, "coord", (-1, sites, 3), files)
        count = len(coord)
        box = _array(folder, "box", (count, 3, 3), files) if periodic else np.zeros((count, 3, 3))
        if not (folder / "spin.npy").exists():
            raise InputError(
                f"{folder} has no spin.npy: spins are needed (in the older TensorFlow layout they are virtual atoms in "
                "coord.npy; write the system again in the layout of the PyTorch back end)"
            )
        spin, mag = (_array(folder, name, (count, sites, 3), files) for name in ("spin", "force_mag"))
        energies = _array(folder, "energy", (count,), files) if (folder / "energy.npy").exists() else np.full(count, np.nan)
        forces = _array(folder, "force", (count, sites, 3), files) if (folder / "force.npy").exists() else None
        if (folder / "real_atom_types.npy").exists():
            kinds = _array(folder, "real_atom_types", (count, sites), files).astype(np.int64)
        else:
            kinds = np.tile(types, (count, 1))
        if kinds.max(initial=-1) >= len(symbols):
            raise InputError(f"{folder}: type {kinds.max()} has no chemical symbol: the type map has {len(symbols)}")
        scale = energy_scale(self.options)
        kind_of = _own_kinds(folder, count, files)
        for k in range(count):
            real, where = kinds[k] >= 0, f"{folder}, frame {k}"
            numbers = symbols[kinds[k][real]]
            moments, fields = to_moments_and_fields(spin[k][real], mag[k][real], numbers, self.options, where)
            require_finite(where, coordinates=coord[k][real], cell=box[k], spins=moments, magnetic_forces=fields)
            require_finite(where, **({"energy": energies[k : k + 1]} if (folder / "energy.npy").exists() else {}))
            require_finite(where, **({} if forces is None else {"forces": forces[k][real]}))
            yield Frame(
                numbers=numbers,
                pbc=np.full(3, periodic),
                cell=box[k],
                positions=coord[k][real],
                moments=moments,
                magnetic_forces=fields,
                energy=scale * float(energies[k]),
                forces=None if forces is None else scale * forces[k][real],
                kind=kind_of[k] if kind_of else folder.parent.name,
                realization=0 if kind_of else None,
            )

    def write(self, parts: Sequence[Labels], target: str | Path) -> None:
        """One system for each realization, ``<target>/000000`` and so on, with one set in double precision.

        Raises
        ------
        InputError
            If the labels are not in metal units, or periodic in some directions only, or `target` is there and no such
            export of spinase.
        """
        for number, part in enumerate(parts):
            if part.units != "metal":
                raise InputError(
                    f"DeepSPIN data are in eV, Angstrom and mu_B, these labels in {part.units} units: convert them"
                )
            if part.pbc.any() != part.pbc.all():
                raise InputError(
                    f"DeepSPIN systems are periodic in all directions or in none, realization {number} is {part.pbc}"
                )
        with replacing_folder(target, "DeepSPIN data") as folder:
            for number, part in enumerate(parts):
                _write_system(part, folder / f"{number:06d}")


def _write_system(part: Labels, system: Path) -> None:
    folder = system / "set.000"
    folder.mkdir(parents=True, exist_ok=True)
    species, types = np.unique(part.numbers, return_inverse=True)
    (system / "type.raw").write_text("\n".join(str(kind) for kind in types) + "\n", encoding="utf-8")
    (system / "type_map.raw").write_text("\n".join(chemical_symbols[number] for number in species) + "\n", encoding="utf-8")
    if not part.pbc.any():
        (system / "nopbc").touch()
    (folder / _OWN).write_text("".join(f"{kind}\n" for kind in part.kinds), encoding="utf-8")
    arrays = {"box": part.cells, "coord": part.positions, "spin": part.moments, "force_mag": part.magnetic_forces}
    if part.forces is not None:
        arrays["force"] = part.forces
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array.reshape(len(part), -1))
    if np.isfinite(part.energies).all():
        np.save(folder / "energy.npy", part.energies)


def _own_kinds(folder: Path, count: int, files: list[Path]) -> list[str]:
    """How each frame of our own export was made: its system is one realization; empty for systems of others."""
    path = folder / _OWN
    if not path.exists():
        return []
    files.append(path)
    kinds = read_text(path).splitlines()
    if len(kinds) != count:
        raise InputError(f"{path} has {len(kinds)} lines for {count} frames")
    return kinds


def _integers(path: Path, files: list[Path]) -> IntArray:
    words = read_text(path).split()
    wrong = [word for word in words if not word.isascii() or not word.isdecimal() or len(word) > _LONGEST]
    if wrong:
        raise InputError(f"{path}: {one_line(wrong[0])!r} is no type of an atom (0, 1, ...)")
    files.append(path)
    return np.array([int(word) for word in words], dtype=np.int64)


def _array(folder: Path, name: str, shape: tuple[int, ...], files: list[Path]) -> FloatArray:
    path = folder / f"{name}.npy"
    if not path.exists():
        raise InputError(f"{folder} has no {path.name}, which labels need")
    try:
        stored = read_array(path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise InputError(f"{path} is damaged or no array of numbers: {error}") from None
    if stored.dtype.kind not in "iuf":
        raise InputError(f"{path} is damaged or no array of numbers: its type is {stored.dtype}")
    stored = stored.astype(np.float64)
    files.append(path)
    try:
        return stored.reshape(shape)
    except ValueError:
        raise InputError(
            f"{path} has shape {stored.shape}, which does not fit {shape} (frames, atoms, components)"
        ) from None


__all__ = ["DeepSpinFormat", "DeepSpinOptions"]
