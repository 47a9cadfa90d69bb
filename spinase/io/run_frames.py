"""Frames of a run as atoms of ASE with everything that was stored: results, step, time, unit system."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ase.calculators.calculator import all_properties
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.formats import UnknownFileTypeError, filetype

from spinase.atoms import SpinAtoms
from spinase.errors import InputError
from spinase.io.frames import write_atoms
from spinase.io.run_file import Run
from spinase.io.stored import CONDITIONS
from spinase.typing import FloatArray


def run_energies(run: Run) -> FloatArray | None:
    """Energy of every frame, (T,), NaN where it is not in the file; None if it nowhere is.

    Those that the frames have (of files before format 3: the stored result ``free_energy`` or ``energy``), else what the
    observer `energy` saw at the same step.
    """
    if run.energies is not None and np.isfinite(run.energies).any():
        return run.energies
    for name in ("free_energy", "energy"):
        if name in run.results:
            return run.results[name]
    for quantities in run.observables.values():
        series = quantities.get("free_energy")
        if series is not None:
            seen = dict(zip(series.steps.tolist(), series.values.tolist(), strict=True))
            return np.array([seen.get(step, np.nan) for step in run.steps.tolist()])
    return None


def run_conditions(run: Run) -> dict[str, FloatArray]:
    """What the magnet was held at in every frame, NaN where the file does not say (those of before November 2026).

    Returns
    -------
    dict of str to ndarray
        ``kT`` of the spin bath (T,), energy; the applied ``field`` (T, 3), its mean over the sites, energy/moment; the
        ``bias`` (T,) of a device, energy.  0 where a stage has none.
    """
    found = {}
    for name, series in run.observables.get(CONDITIONS, {}).items():
        found[name] = np.full((len(run), *series.values.shape[1:]), np.nan)
        _, frames, rows = np.intersect1d(run.steps, series.steps, return_indices=True)
        found[name][frames] = series.values[rows]
    return found


def frame_with_results(run: Run, index: int) -> SpinAtoms:
    """One frame: energy, forces and stress as results of ASE, other stored results in ``info`` (for ``.traj``)."""
    atoms, rest = _frame(run, index)
    atoms.info.update(rest)
    return atoms


def frame_with_columns(run: Run, index: int) -> SpinAtoms:
    """One frame: energy, forces and stress as results of ASE, other stored results as columns (for extended XYZ)."""
    atoms, rest = _frame(run, index)
    for name, value in rest.items():
        if np.shape(value)[:1] == (len(atoms),):
            atoms.set_array(name, value)
        else:
            atoms.info[name] = value
    return atoms


def _frame(run: Run, index: int) -> tuple[SpinAtoms, dict[str, Any]]:
    """Atoms with the results that ASE knows, and the others by name."""
    atoms = run.atoms(index)
    atoms.info.update(step=int(run.steps[index]), time=float(run.times[index]))
    held = {name: values[index] for name, values in run_conditions(run).items()}
    atoms.info.update({name: value for name, value in held.items() if np.all(np.isfinite(value))})
    stored = {name: values[index] for name, values in run.results.items()}
    energies = run_energies(run)
    if energies is not None and np.isfinite(energies[index]):
        stored.setdefault("energy", float(energies[index]))
    known = {name: value for name, value in stored.items() if name in all_properties}
    if known:
        atoms.calc = SinglePointCalculator(atoms, **known)
    return atoms, {name: value for name, value in stored.items() if name not in known}


_MAKERS = {"extxyz": frame_with_columns, "traj": frame_with_results}


def write_frames(run: Run, path: str | Path) -> None:
    """Write the frames of a run as extended XYZ (``.xyz``, eight decimals) or ASE's ``.traj`` (every digit).

    Each frame has its step, time, kT, field (bias) and unit system in ``info``, energy, forces and stress as results; other
    stored results and reference lengths and g factors are columns of extended XYZ, and in ``info`` of ``.traj``.  These are
    the formats of ASE that keep a series of vector moments with its unit system.

    Parameters
    ----------
    run : Run
        What :func:`~spinase.io.read_run` gave.
    path : path
        Its suffix tells the format.

    Raises
    ------
    InputError
        If the format would lose the moments (.cif, .vasp, .xsf, LAMMPS data, ...) or the unit system (.json, .db).
    """
    try:
        name = filetype(str(path), read=False, guess=False)
    except UnknownFileTypeError:
        name = "unknown"
    if name not in _MAKERS:
        raise InputError(
            f"{path}: frames of the format {name!r} lose their vector moments or their unit system: write .xyz "
            '(extended XYZ) or .traj; for positions alone, ase.io.write("atoms.cif", run.atoms(k)); for other programs, '
            "`spinase export`"
        )
    write_atoms(path, [_MAKERS[name](run, k) for k in range(len(run))], name)


__all__ = ["frame_with_columns", "frame_with_results", "run_conditions", "run_energies", "write_frames"]
