"""Extended XYZ as MACE and its magnetic variants train on it.

Keys of the magnetic MACE (github.com/ACEsuit/mace): ``REF_energy`` [eV], ``REF_forces`` [eV/A], ``REF_magmom`` [mu_B]
and ``REF_magforces`` = -dE/dm [eV/mu_B], by the moments that are the model's input: spinase's ``magnetic_forces``.  Other
files use other keys; the options say which, and what their numbers are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import iread
from ase.io import write as ase_write
from pydantic import Field

from spinase.brief import one_line
from spinase.errors import InputError
from spinase.files import refuse_foreign, replacing
from spinase.io.foreign import (
    Converted,
    ForeignFormat,
    Frame,
    VectorOptions,
    energy_scale,
    group_frames,
    require_finite,
    to_moments_and_fields,
)
from spinase.io.labels import Labels
from spinase.typing import FloatArray
from spinase.units import UNIT_SYSTEMS

# looked for in this order where the options do not name a key; the first is written
KEYS = {
    "energy": ("REF_energy", "dft_energy", "free_energy", "energy"),  # forces are the gradient of the free one
    "forces": ("REF_forces", "dft_forces", "forces"),
    "moments": ("REF_magmom", "REF_magmoms", "dft_magmom", "magmom", "magmoms", "initial_magmoms", "REF_spins", "spins"),
    "fields": ("REF_magforces", "REF_magforce", "magforces", "magnetic_forces", "REF_magnetic_forces"),
}
_LONGEST = 100_000  # characters of a line that are looked at
_OWN = "spinase_vectors"  # entry of our own export: what its vectors are


class MaceOptions(VectorOptions):
    """Extended XYZ with moments and magnetic forces; default: keys and conventions of the magnetic MACE."""

    energy_key: str | None = Field(None, description=f"default: the first of {', '.join(KEYS['energy'])}")
    forces_key: str | None = Field(None, description=f"default: the first of {', '.join(KEYS['forces'])}")
    moments_key: str | None = Field(None, description=f"default: the first of {', '.join(KEYS['moments'])}")
    fields_key: str | None = Field(None, description=f"default: the first of {', '.join(KEYS['fields'])}")
    kind_key: str = Field("config_type", description="entry that says how a configuration was made")
    units: Literal["metal", "reduced"] | None = Field(
        None, description="unit system of the file; default: its entry `units`, else metal"
    )


class MaceFormat(ForeignFormat[MaceOptions]):
    """Extended XYZ of MACE: REF_energy, REF_forces, REF_magmom, REF_magforces, or other keys that are named."""

    Config = MaceOptions
    citation = "I. Batatia et al., arXiv:2206.07697; github.com/ACEsuit/mace (magnetic models)"
    options: MaceOptions

    def read(self, source: str | Path) -> Converted:
        """Labels of an extended XYZ file.

        Raises
        ------
        InputError
            If the file cannot be read, a frame has no moments or no magnetic forces, its vectors may be unit spins and
            nothing says so, or a number is not finite.
        """
        path = Path(source)
        frames, used, units = [], dict[str, str](), set[str]()
        for number, atoms in enumerate(_frames(path)):
            where = f"{path}, frame {number}"
            system = self.options.units or str(atoms.info.get("units", "metal"))
            units.add(system)
            if len(units) > 1 or system not in UNIT_SYSTEMS:
                raise InputError(f"{path} is in the unit systems {sorted(units)}: say units = 'metal' or 'reduced'")
            frames.append(self._frame(atoms, where, used, system))
        if not frames:
            raise InputError(f"there is no frame in {path}")
        return Converted(group_frames(frames, self.options.together, units.pop()), [path], {"keys": used})

    def _frame(self, atoms: Atoms, where: str, used: dict[str, str], units: str) -> Frame:
        options = self.options
        found = {
            name: _value(atoms, getattr(options, f"{name}_key"), KEYS[name], name, where, used)
            for name in ("energy", "forces", "moments", "fields")
        }
        for name, told in (("moments", "moments"), ("fields", "magnetic forces")):
            if found[name] is None:
                have = ", ".join(sorted([*atoms.arrays, *atoms.info, *_results(atoms)]))
                raise InputError(
                    f"{where} has no {told} (looked for {', '.join(KEYS[name])}): say {name}_key; it has {have}"
                )
        if atoms.info.get(_OWN) == "moments" and options.vectors is None:
            options = options.model_copy(update={"vectors": "moments"})
        vectors, raw = (_as_vectors(found[name], len(atoms), where) for name in ("moments", "fields"))
        if used["moments"].lower().endswith("spins") and options.vectors is None:
            raise InputError(f"{where}: are the vectors {used['moments']!r} unit spins?  Say vectors = 'spins' or 'moments'")
        numbers = atoms.numbers.astype(np.int64)
        moments, fields = to_moments_and_fields(vectors, raw, numbers, options, where, units)
        scale = energy_scale(options, units)
        forces = None if found["forces"] is None else scale * _as_vectors(found["forces"], len(atoms), where)
        energy = np.nan if found["energy"] is None else scale * float(found["energy"])
        require_finite(where, moments=moments, magnetic_forces=fields, positions=atoms.positions, cell=atoms.cell.array)
        require_finite(where, **({} if found["energy"] is None else {"energy": np.array([energy])}))
        require_finite(where, **({} if forces is None else {"forces": forces}))
        return Frame(
            numbers=numbers,
            pbc=atoms.pbc.copy(),
            cell=atoms.cell.array.copy(),
            positions=atoms.positions.copy(),
            moments=moments,
            magnetic_forces=fields,
            energy=energy,
            forces=forces,
            kind=str(atoms.info.get(options.kind_key, "converted")),
            realization=_realization(atoms, where),
        )

    def write(self, parts: Sequence[Labels], target: str | Path) -> None:
        """One file with the keys of the magnetic MACE; ASE writes eight decimals.

        Raises
        ------
        InputError
            If what is at `target` is no such export of spinase.
        OutputError
            If the file cannot be written.
        """
        frames = [_plain_frame(part, k, number, self.options) for number, part in enumerate(parts) for k in range(len(part))]
        refuse_foreign(target, _is_own_export, "extended XYZ")
        with replacing(target) as temporary:
            ase_write(temporary, frames, format="extxyz", write_results=False)


def _is_own_export(path: Path) -> bool:
    try:
        with open(path, encoding="utf-8") as file:
            return f" {_OWN}=" in [file.readline(_LONGEST) for _ in range(2)][1]
    except (OSError, ValueError):
        return False


def _realization(atoms: Atoms, where: str) -> int | None:
    """Number of the realization a frame of our own export belongs to."""
    value = atoms.info.get("realization") if _OWN in atoms.info else None
    if value is not None and not isinstance(value, int | np.integer):
        raise InputError(f"{where}: realization {value!r} is no whole number")
    return None if value is None else int(value)


def _plain_frame(labels: Labels, k: int, realization: int, options: MaceOptions) -> Atoms:
    atoms = Atoms(labels.numbers, positions=labels.positions[k], cell=labels.cells[k], pbc=labels.pbc)
    atoms.arrays[options.moments_key or KEYS["moments"][0]] = labels.moments[k].copy()
    atoms.arrays[options.fields_key or KEYS["fields"][0]] = labels.magnetic_forces[k].copy()
    if labels.forces is not None:
        atoms.arrays[options.forces_key or KEYS["forces"][0]] = labels.forces[k].copy()
    if np.isfinite(labels.energies[k]):
        atoms.info[options.energy_key or KEYS["energy"][0]] = float(labels.energies[k])
    atoms.info[options.kind_key] = labels.kinds[k]
    atoms.info["units"] = labels.units
    atoms.info[_OWN] = "moments"
    atoms.info["realization"] = realization
    return atoms


def _frames(path: Path) -> Iterator[Atoms]:
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    try:
        yield from iread(path, index=":", format="extxyz")
    except (OSError, ValueError, KeyError, IndexError, StopIteration, RuntimeError) as error:
        raise InputError(f"cannot read {path} as extended XYZ: {one_line(error)}") from error


def _results(atoms: Atoms) -> dict[str, Any]:
    """What ASE took for results of a calculator when it read the file."""
    return dict(atoms.calc.results) if isinstance(atoms.calc, SinglePointCalculator) else {}


def _value(atoms: Atoms, key: str | None, candidates: Sequence[str], name: str, where: str, used: dict[str, str]) -> Any:
    """Entry `key` of a frame, else the first of the candidates that is there; None without any."""
    stores = (atoms.arrays, atoms.info, _results(atoms))
    for word in [key] if key is not None else candidates:
        for store in stores:
            if word in store:
                if used.setdefault(name, word) != word:
                    raise InputError(f"{where} has its {name} in {word!r}, frames before in {used[name]!r}: say {name}_key")
                return store[word]
    if key is not None:
        raise InputError(f"{where} has no {key!r} (asked for by {name}_key)")
    return None


def _as_vectors(values: Any, sites: int, where: str) -> FloatArray:
    """(N, 3); collinear values (N,) are along z."""
    array = np.asarray(values, dtype=np.float64)
    if array.shape == (sites,):
        return np.column_stack([np.zeros((sites, 2)), array])
    if array.shape != (sites, 3):
        raise InputError(f"{where}: vectors of shape {array.shape} for {sites} sites: ({sites}, 3) is needed")
    return array


__all__ = ["KEYS", "MaceFormat", "MaceOptions"]
