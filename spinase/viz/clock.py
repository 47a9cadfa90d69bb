"""Times as people read them: femtoseconds in metal units, where the file has ASE's unit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ase import units

from spinase.io.run_file import Run, read_run
from spinase.units import unit_system


def run_to_show(source: str | Path | Run) -> Run:
    """A run with its times in the unit that figures, pages and films show (``provenance["time_unit"]`` says which).

    Parameters
    ----------
    source : path or Run
        Run file, its folder, or what was read of it: in the time of its unit system.  Steps of drivers without a clock
        (sweeps, iterations) and reduced units stay as they are.
    """
    run = source if isinstance(source, Run) else read_run(source)
    usual = unit_system(run.units).time
    if run.units != "metal" or run.provenance.get("time_unit", usual) != usual:
        return run
    observables = {
        observer: {name: replace(series, times=series.times / units.fs) for name, series in quantities.items()}
        for observer, quantities in run.observables.items()
    }
    return replace(
        run, times=run.times / units.fs, observables=observables, provenance={**run.provenance, "time_unit": "fs"}
    )


__all__ = ["run_to_show"]
