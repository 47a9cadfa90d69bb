"""Times and temperatures as people read them: fs and K in metal units, where the file has ASE's unit of time and eV."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ase import units

from spinase.io.run_file import Run, Series, read_run
from spinase.units import unit_system


def run_to_show(source: str | Path | Run) -> Run:
    """A run with times and temperatures in the units of figures, pages and films (``provenance["time_unit"]`` says which).

    Scalars called ``kT`` or ``..._kT`` are temperatures: kelvin in metal units.

    Parameters
    ----------
    source : path or Run
        Run file, its folder, or what was read of it: in the time of its unit system.  Steps of drivers without a clock
        (sweeps, iterations) and reduced units stay as they are.
    """
    run = _in_kelvin(source if isinstance(source, Run) else read_run(source))
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


def _in_kelvin(run: Run) -> Run:
    boltzmann, energy = unit_system(run.units).boltzmann, unit_system(run.units).energy
    if run.units != "metal":
        return run

    def told(name: str, series: Series) -> Series:
        """A temperature that is an energy, in K; anything else as it is."""
        if not (name == "kT" or name.endswith("_kT")) or series.unit != energy:
            return series
        return replace(series, values=series.values / boltzmann, unit="K", label=series.label.removesuffix(" kT"))

    observables = {
        observer: {name: told(name, series) for name, series in quantities.items()}
        for observer, quantities in run.observables.items()
    }
    return replace(run, observables=observables)


__all__ = ["run_to_show"]
