"""What notebooks show of a magnet and of a run: a few facts and a picture, as HTML that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from io import BytesIO
from typing import Any

import numpy as np
from ase import Atoms
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from spinase.atoms import get_spins, get_units, has_moments
from spinase.io.run_file import Run
from spinase.viz.clock import run_to_show
from spinase.viz.figures import spin_map

_MOST_SITES = 20_000  # more are not drawn unasked


def atoms_html(atoms: Atoms) -> str:
    """A magnet for a notebook: formula, sites, units, calculator, magnetization, and its spins.

    Parameters
    ----------
    atoms : Atoms
        With vector moments or without.
    """
    units = get_units(atoms)
    facts = {
        "sites": f"{len(atoms)} ({atoms.get_chemical_formula()})",
        "periodic": ", ".join(axis for axis, flag in zip("xyz", atoms.pbc, strict=True) if flag) or "no",
        "units": units.name,
        "calculator": _named(atoms.calc),
    }
    if not has_moments(atoms):
        return _table({**facts, "moments": "none"})
    spins = get_spins(atoms)
    mean = spins.sum(axis=0) / max(int(spins.any(axis=1).sum()), 1)
    facts["mean spin"] = f"({mean[0]:.3f}, {mean[1]:.3f}, {mean[2]:.3f})"
    return _table(facts) + (_picture(atoms, "") if len(atoms) <= _MOST_SITES else "")


def run_html(run: Run) -> str:
    """A run for a notebook: what was run and recorded, and the spins at its end.

    Parameters
    ----------
    run : Run
        As :func:`spinase.io.read_run` gives it.
    """
    shown = run_to_show(run)
    clock = f"time [{shown.provenance.get('time_unit', get_units(run.atoms(0)).time)}]" if len(run) else ""
    facts = {"title": run.provenance.get("title", ""), "frames": str(len(run)), "units": run.units}
    if len(run):
        facts["steps"] = f"{run.steps[0]} to {run.steps[-1]}, {clock} {shown.times[0]:g} to {shown.times[-1]:g}"
    for observer, quantities in run.observables.items():
        ends = [
            f"{series.label} {series.values[0]:.5g} to {series.values[-1]:.5g} {series.unit}".strip()
            for series in quantities.values()
            if series.plot == "series" and len(series.steps) and np.ndim(series.values[0]) == 0
        ]
        facts[observer] = "; ".join(ends[:3]) or ", ".join(quantities)
    if not len(run) or len(run.numbers) > _MOST_SITES:
        return _table(facts)
    return _table(facts) + _picture(run.atoms(-1), f"at the end, {clock} {shown.times[-1]:g}")


def _named(calc: Any) -> str:
    """A calculator in words: its class where its repr is Python's own, which tells an address in memory."""
    if calc is None:
        return "none"
    text = repr(calc)
    return type(calc).__name__ if text.startswith("<") else text


def _table(facts: Mapping[str, str]) -> str:
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in facts.items() if text)
    return f"<table>{rows}</table>"


def _picture(atoms: Atoms, title: str) -> str:
    figure = Figure(figsize=(3.6, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    spin_map(ax, atoms.positions, get_spins(atoms), atoms.cell.array, get_units(atoms).length)
    ax.set_title(title, fontsize="medium")
    image = BytesIO()
    figure.savefig(image, dpi=100, format="png")
    return f'<img alt="spins" src="data:image/png;base64,{base64.b64encode(image.getvalue()).decode()}"/>'


__all__ = ["atoms_html", "run_html"]
