"""Export of a run to files of other programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spinase.errors import InputError
from spinase.io.exports import ExportFormat
from spinase.io.run_file import Run, read_run
from spinase.options import options_of
from spinase.styles import load_style

SUFFIXES = {
    ".xyz": "extxyz",
    ".extxyz": "extxyz",
    ".traj": "traj",
    ".dump": "lammps-dump",
    ".ovf": "ovf",
    ".vtkhdf": "vtk",
}
"""Styles that a file's name tells."""


def style_by_suffix(target: Path) -> str:
    """Style of the kind ``exports`` that the suffix of a file tells.

    Raises
    ------
    InputError
        If it tells none.
    """
    if target.suffix not in SUFFIXES:
        told = ", ".join(f"{suffix} ({style})" for suffix, style in SUFFIXES.items())
        raise InputError(
            f"the name {target} does not tell the format: give --to STYLE (`spinase styles exports` lists them), "
            f"or a file that ends with {told}"
        )
    return SUFFIXES[target.suffix]


def export_run(
    source: str | Path | Run,
    target: str | Path,
    name: str,
    frames: Sequence[int] | None = None,
    options: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write frames of a run in the format of another program; returns what was written.

    Parameters
    ----------
    source : path or Run
        Run file or its folder, also of a run that goes on or was killed.
    target : path
        File (folder of Vampire's).  Where a file holds one frame and several are asked for, each gets its step before the
        suffix: ``spins.ovf`` becomes ``spins-00000100.ovf``.
    name : str
        Style of the kind ``exports``: ``extxyz``, ``traj``, ``lammps-dump``, ``ovf``, ``vtk``, ``uppasd``, ``vampire``.
    frames : sequence of int, optional
        Which; negative from the end; default: all, or the last where a file holds one.
    options : mapping, optional
        Of the style.

    Raises
    ------
    InputError, StyleError, CheckpointError
        If there is no such style, option, run or frame, or the format cannot hold the run.
    """
    style = load_style("exports", name)
    writer: ExportFormat[Any] = style.from_config(options_of(style, options or {}, f"options of the format {name!r}"))
    run = source if isinstance(source, Run) else read_run(source)
    if not len(run):
        raise InputError("there is no frame in the run yet")
    asked = range(len(run)) if frames is None and writer.many_frames else [-1] if frames is None else frames
    wrong = [k for k in asked if not -len(run) <= k < len(run)]
    if wrong or not len(asked):
        raise InputError(
            f"the run has frames 0 to {len(run) - 1}, there is none with number {wrong[0] if wrong else 'nothing'}"
        )
    chosen, place = [k % len(run) for k in asked], Path(target)
    if writer.many_frames or len(chosen) == 1:
        writer.write(run, chosen, place)
        return [place]
    places = [place.with_name(f"{place.stem}-{run.steps[k]:08d}{place.suffix}") for k in chosen]
    for k, one in zip(chosen, places, strict=True):
        writer.write(run, [k], one)
    return places


__all__ = ["SUFFIXES", "export_run", "style_by_suffix"]
