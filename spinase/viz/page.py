"""A run as one HTML page that opens without network: spins in 3-D, a time slider, and time series beside them.

Drawn by three.js and uPlot (MIT licences, in ``page_files/LICENSES.txt``), which the page contains.
"""

from __future__ import annotations

import base64
import html
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from spinase.atoms import geometry_of
from spinase.errors import CheckpointError, InvalidGeometryError
from spinase.files import refuse_foreign, write_text
from spinase.geometry import find_bonds, nearest_distance
from spinase.io.run_file import Run, Series, changes
from spinase.io.run_frames import run_energies
from spinase.io.stored import CONDITIONS
from spinase.typing import Array, FloatArray, IntArray
from spinase.units import unit_system
from spinase.viz.clock import run_to_show
from spinase.viz.figures import direction_colors

MOST_SITES = 20_000
MOST_NUMBERS = 20_000_000  # sites times frames
_MOST_BONDS = 5_000  # sites
_MARK = "spinase-page"
_WHEEL = (33, 96)


def run_page(source: str | Path | Run, target: str | Path) -> Path:
    """Write a run as one HTML page; returns its path.

    More than 20 000 sites, or frames than fit into 20 million sites times frames, are thinned, and the page says so.

    Parameters
    ----------
    source : path or Run
        Run file or its folder, also of a run that goes on or was killed.
    target : path
        The page; one that is there is replaced, another file refused.

    Raises
    ------
    CheckpointError
        If there is no run file, or no frame in it yet.
    InputError
        If the target is a file of somebody else.
    """
    run = run_to_show(source)
    if not len(run):
        raise CheckpointError("no frame has been written yet to this run")
    place = Path(target)
    refuse_foreign(place, lambda path: _MARK in path.read_text(encoding="utf-8", errors="replace")[-200:], "page")
    parts = files("spinase.viz") / "page_files"
    told = {
        "TITLE": html.escape(run.provenance.get("title") or "run"),
        "CSS": (parts / "uPlot.min.css").read_text(encoding="utf-8"),
        "LICENSES": (parts / "LICENSES.txt").read_text(encoding="utf-8").replace("*/", "* /"),
        "LIBRARIES": (parts / "libraries.min.js").read_text(encoding="utf-8"),
        "VIEWER": (parts / "viewer.js").read_text(encoding="utf-8"),
        "DATA": json.dumps(page_data(run)).replace("</", "<\\/"),
    }
    page = (parts / "page.html").read_text(encoding="utf-8")
    for word, text in told.items():
        page = page.replace(f"@{word}@", text)
    write_text(place, f"{page}<!-- {_MARK} -->\n")
    return place


def page_data(run: Run) -> dict[str, Any]:
    """What the page shows, as JSON; arrays in base64 (spins in 16 bits, the rest in single precision).

    Parameters
    ----------
    run : Run
        With at least one frame.
    """
    sites, frames, note = _thinned(run)
    positions, moments = run.positions[frames][:, sites], run.moments[frames][:, sites]
    lengths = np.linalg.norm(moments, axis=2, keepdims=True)
    spins = moments / np.where(lengths > 0.0, lengths, 1.0)
    flat = bool(np.ptp(positions[-1, :, 2]) < 1e-6)
    fixed = bool(np.all(positions == positions[0]))
    centre = 0.5 * (positions[-1].min(axis=0) + positions[-1].max(axis=0))
    numbers = sorted(set(run.numbers.tolist()))
    spacing, bonds = _bonds(run, sites)
    clock = run.provenance.get("time_unit", unit_system(run.units).time)
    return {
        "sites": len(sites),
        "note": note,
        "steps": run.steps[frames].tolist(),
        "times": run.times[frames].tolist(),
        "time_unit": clock,
        "positions": _packed(positions[:1] if fixed else positions, "<f4"),
        "spins": _packed(np.round(32767 * spins), "<i2"),
        "species": _packed(np.searchsorted(numbers, run.numbers[sites]), "u1"),
        "symbols": [chemical_symbols[number] for number in numbers],
        "centre": centre.tolist(),
        "size": max(float(np.linalg.norm(np.ptp(positions[-1], axis=0))) * (1.0 if flat else 1.2), spacing),
        "spacing": spacing,
        "flat": flat,
        "bonds": _packed(bonds, "<i4"),
        "box": _packed(_edges(run.cells[-1]), "<f4"),
        "wheel": _packed(_wheel(), "u1"),
        "wheel_shape": list(_WHEEL),
        "colourings": _colourings(run, sites, frames),
        "series": _series(run),
    }


def _thinned(run: Run) -> tuple[IntArray, IntArray, str]:
    """Sites and frames that are shown, and what the page says of it."""
    count, note = len(run.numbers), ""
    sites, frames = np.arange(count), np.arange(len(run))
    if count > MOST_SITES:
        sites = np.sort(np.random.default_rng(0).choice(count, MOST_SITES, replace=False))
        note = f"{MOST_SITES} of {count} spins are shown, drawn at random. "
    most = max(1, MOST_NUMBERS // max(len(sites), 1))
    if len(run) > most:
        frames = np.unique(np.linspace(0, len(run) - 1, most).round().astype(np.int64))
        note += f"{len(frames)} of {len(run)} frames are shown."
    return sites, frames, note.strip()


def _bonds(run: Run, sites: IntArray) -> tuple[float, IntArray]:
    """Distance of nearest neighbours, and pairs (B, 2) of shown sites at most a tenth farther, inside the cell."""
    geometry = geometry_of(run.atoms(-1)).select(sites)
    nothing = np.zeros((0, 2), dtype=np.int64)
    try:
        spacing = nearest_distance(geometry)
    except InvalidGeometryError:  # a single site
        return 1.0, nothing
    if len(sites) > _MOST_BONDS:
        return spacing, nothing
    bonds = find_bonds(geometry, 1.1 * spacing)
    inside = ~bonds.shifts.any(axis=1)
    return spacing, np.stack([bonds.first[inside], bonds.second[inside]], axis=1)


def _edges(cell: FloatArray) -> FloatArray:
    """Ends of the twelve edges of the cell, (24, 3)."""
    corners = [np.array([i, j, k]) for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    ends = [(one, two) for one in corners for two in corners if (two - one).sum() == 1 and np.abs(two - one).sum() == 1]
    return np.array([end for pair in ends for end in pair]) @ cell


def _wheel() -> Array:
    """Colours of directions by height (rows from -1 to 1) and azimuth (columns), 0..255."""
    heights, azimuths = np.linspace(-1.0, 1.0, _WHEEL[0]), 2.0 * np.pi * np.arange(_WHEEL[1]) / _WHEEL[1]
    z, angle = np.meshgrid(heights, azimuths, indexing="ij")
    across = np.sqrt(np.maximum(1.0 - z**2, 0.0))
    spins = np.stack([across * np.cos(angle), across * np.sin(angle), z], axis=-1).reshape(-1, 3)
    return np.round(255.0 * np.clip(direction_colors(spins)[:, :3], 0.0, 1.0))


def _colourings(run: Run, sites: IntArray, frames: IntArray) -> list[dict[str, Any]]:
    """Numbers of the sites: torques, lengths of stored vectors, what observers saw of the sites at (or before) the frame."""
    found: dict[str, tuple[str, FloatArray]] = {}
    if "magnetic_forces" in run.results:
        torques = np.cross(run.moments[frames], run.results["magnetic_forces"][frames])
        found["torque"] = (f"|m x B| ({unit_system(run.units).energy})", np.linalg.norm(torques, axis=2))
    for name, values in run.results.items():
        if values.shape[1:] == (len(run.numbers), 3):
            found[f"|{name}|"] = (f"|{name}|", np.linalg.norm(values[frames], axis=2))
        elif values.shape[1:] == (len(run.numbers),):
            found[name] = (name, values[frames])
    for observer, quantities in run.observables.items():
        for key, series in quantities.items():
            if series.values.shape[1:] == (len(run.numbers),) and len(series.steps):
                at = np.maximum(np.searchsorted(series.steps, run.steps[frames], side="right") - 1, 0)
                found[f"{observer}: {key}"] = (_labelled(series), series.values[at])
    return [
        {
            "name": name,
            "label": label,
            "low": float(values[:, sites].min()),
            "high": float(values[:, sites].max()),
            "values": _packed(values[:, sites], "<f4"),
        }
        for name, (label, values) in found.items()
    ]


def _series(run: Run) -> list[dict[str, Any]]:
    """Scalars against time."""
    found = []
    energies = run_energies(run)
    if energies is not None and np.isfinite(energies).any():
        there = np.isfinite(energies)
        label = f"energy ({unit_system(run.units).energy})"
        found.append({"label": label, "times": run.times[there].tolist(), "values": energies[there].tolist()})
    for observer, quantities in run.observables.items():
        for series in quantities.values():
            if series.values.ndim == 1 and len(series.steps) > 1 and (observer != CONDITIONS or changes(series)):
                label = f"{observer}: {_labelled(series)}"
                found.append({"label": label, "times": series.times.tolist(), "values": series.values.tolist()})
    return found


def _labelled(series: Series) -> str:
    return f"{series.label} ({series.unit})" if series.unit else series.label


def _packed(array: Array, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(array).astype(kind).tobytes()).decode()


__all__ = ["MOST_SITES", "page_data", "run_page"]
