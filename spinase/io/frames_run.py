"""Series of atoms (trajectories that scripts wrote, files of ASE) as runs: for pages, films, exports and analysis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import read as ase_read

from spinase.atoms import SpinAtoms, get_reference_lengths, has_moments
from spinase.brief import one_line
from spinase.errors import InputError
from spinase.io.run_data import Run, Series
from spinase.io.stored import CONDITIONS
from spinase.typing import FloatArray, IntArray
from spinase.units import UnitSystem, unit_system

SUFFIXES = (".traj", ".xyz", ".extxyz")
"""Files that are taken for series of atoms."""
FRAMES = "frames"
"""Unit of time of series that tell none."""
_OF_ATOMS = ("forces", "stress")  # results that ASE knows
_IN_INFO = ("magnetic_forces", "torques")  # those that it does not: drivers and exports write them there, or as columns


def run_of_frames(frames: Sequence[Atoms], title: str = "") -> Run:
    """A series of atoms as a run.

    Steps and times are those in ``info`` (drivers of spinase write them); where they are missing, or do not grow from frame
    to frame, frames are counted instead, and ``provenance["time_unit"]`` is ``frames``.  Energies (the free energy if there
    is one), forces, stress and magnetic forces are there if every frame has them.

    Parameters
    ----------
    frames : sequence of Atoms
        With moments (vectors, or scalars along z), the same atoms in every frame.
    title : str
        Of the run.

    Raises
    ------
    InputError
        If there are no frames, a frame has no moments, or other atoms, boundaries or units than the first.
    """
    if not len(frames):
        raise InputError("there are no frames to make a run of")
    magnets = [_magnet(atoms, k) for k, atoms in enumerate(frames)]
    first = magnets[0]
    for k, one in enumerate(magnets):
        if not np.array_equal(one.numbers, first.numbers) or not np.array_equal(one.pbc, first.pbc):
            raise InputError(f"frame {k} has other atoms or boundaries than frame 0: a run is one magnet at different times")
        if one.units != first.units:
            raise InputError(f"frame {k} is in {one.units} units, frame 0 in {first.units} ones")
    steps, times, clock = _clock(frames)
    told = unit_system(first.units)
    held = _conditions(frames, steps, times, told)
    provenance = {"title": title, "units": told.name, "time_unit": clock or told.time}
    return Run(
        steps=steps,
        times=times,
        positions=np.array([one.positions for one in magnets]),
        moments=np.array([one.get_initial_magnetic_moments() for one in magnets]),
        numbers=first.numbers.copy(),
        cells=np.array([one.cell.array for one in magnets]),
        pbc=first.pbc.copy(),
        results=_results(frames),
        energies=_energies(frames),
        observables={CONDITIONS: held} if held else {},
        static={},
        provenance=provenance,
        reference_lengths=get_reference_lengths(first),
        g_factors=first.g_factors if "g_factors" in first.arrays else None,
    )


def read_frames(path: str | Path) -> Run:
    """Read a trajectory of ASE (``.traj``) or extended XYZ as a run (see :func:`run_of_frames`).

    Raises
    ------
    InputError
        If it cannot be read, or its frames are no run.
    """
    place = Path(path)
    try:
        frames = ase_read(place, index=":")
    except Exception as error:  # ASE's readers raise what they like at the files of others
        raise InputError(f"{place}: ASE cannot read frames from it ({type(error).__name__}: {one_line(error)})") from None
    try:
        return run_of_frames(frames, place.stem)
    except InputError as error:
        raise InputError(f"{place}: {error}") from None


def _magnet(atoms: Atoms, number: int) -> SpinAtoms:
    magnet = SpinAtoms(atoms)
    if not has_moments(magnet):
        raise InputError(
            f"frame {number} has no magnetic moments; spins are ASE's initial_magmoms, (N, 3), which .traj and extended XYZ "
            "keep"
        )
    return magnet


def _clock(frames: Sequence[Atoms]) -> tuple[IntArray, FloatArray, str]:
    """Steps, times, and what times count if it is not the time of the unit system."""
    if all({"step", "time"} <= atoms.info.keys() for atoms in frames):
        steps = np.array([int(atoms.info["step"]) for atoms in frames])
        times = np.array([float(atoms.info["time"]) for atoms in frames])
        if np.all(np.diff(steps) > 0) and np.all(np.diff(times) > 0.0):
            return steps, times, str(frames[0].info.get("time_unit", ""))
    return np.arange(len(frames)), np.arange(len(frames), dtype=float), FRAMES


def _found(atoms: Atoms) -> Mapping[str, Any]:
    return {} if atoms.calc is None else atoms.calc.results


def _energies(frames: Sequence[Atoms]) -> FloatArray | None:
    found = [_found(atoms).get("free_energy", _found(atoms).get("energy", np.nan)) for atoms in frames]
    return np.array(found, dtype=float) if np.isfinite(found).any() else None


def _results(frames: Sequence[Atoms]) -> dict[str, FloatArray]:
    """Results that every frame has."""
    everywhere: dict[str, list[Any]] = {name: [_found(atoms).get(name) for atoms in frames] for name in _OF_ATOMS}
    everywhere |= {name: [atoms.info.get(name, atoms.arrays.get(name)) for atoms in frames] for name in _IN_INFO}
    return {
        name: np.array(values, dtype=float)
        for name, values in everywhere.items()
        if all(value is not None and np.shape(value) == np.shape(values[0]) for value in values)
    }


def _conditions(frames: Sequence[Atoms], steps: IntArray, times: FloatArray, units: UnitSystem) -> dict[str, Series]:
    """kT, field and bias, as frames of drivers and exports tell them."""
    told = {
        "kT": ("temperature kT", units.energy),
        "field": ("applied field", f"{units.energy}/{units.moment}"),
        "bias": ("bias", units.energy),
    }
    return {
        name: Series(steps, times, np.array([atoms.info[name] for atoms in frames], dtype=float), label, unit, "series", "")
        for name, (label, unit) in told.items()
        if all(np.shape(atoms.info.get(name, "")) == ((3,) if name == "field" else ()) for atoms in frames)
        and all(name in atoms.info for atoms in frames)
    }


__all__ = ["FRAMES", "SUFFIXES", "read_frames", "run_of_frames"]
