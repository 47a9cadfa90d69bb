"""What a run is, once it is read: frames, series, where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import ase.units
import numpy as np

from spinase.atoms import SpinAtoms, set_reference_lengths
from spinase.brief import Brief, call, shown
from spinase.typing import Array, BoolArray, FloatArray, IntArray
from spinase.units import unit_system


@dataclass(frozen=True, eq=False, repr=False)
class Series(Brief):
    """One observed quantity: steps and times (T,), values (T, ...), and how to show it."""

    steps: IntArray
    times: FloatArray
    values: FloatArray
    label: str
    unit: str
    plot: str
    axis: str


def changes(series: Series) -> bool:
    """Whether a quantity is not the same at all steps at which it is known."""
    known = series.values[np.isfinite(series.values.reshape(len(series.values), -1)).all(axis=1)]
    return bool(np.any(known != known[:1]))


@dataclass(frozen=True, eq=False)
class Run:
    """A finished, running or killed run.

    Attributes
    ----------
    steps, times : (T,)
        Of the frames.
    positions, moments : (T, N, 3)
        Length; mu_B or |m|.
    numbers, pbc
        Of the atoms.
    cells : (T, 3, 3)
        Cell vectors (rows) of every frame, length.
    results : name -> (T, ...)
        Calculator results stored with the frames.
    observables : observer -> quantity -> Series
    static : observer -> name -> array
        Wave vectors, distances and the like.
    provenance : name -> value
        Versions, seed, input, ...
    reference_lengths : (N,) or None
        Of free-length moments, mu_B or |m|.
    g_factors : (N,) or None
        None: 2 everywhere.
    energies : (T,) or None
        Whose gradients forces and fields are (the free energy if there is one); NaN where a driven system has none.
    """

    steps: IntArray
    times: FloatArray
    positions: FloatArray
    moments: FloatArray
    numbers: IntArray
    cells: FloatArray
    pbc: BoolArray
    results: Mapping[str, FloatArray]
    observables: Mapping[str, Mapping[str, Series]]
    static: Mapping[str, Mapping[str, Array]]
    provenance: Mapping[str, str]
    reference_lengths: FloatArray | None = None
    g_factors: FloatArray | None = None
    energies: FloatArray | None = None

    @property
    def units(self) -> str:
        """Name of the unit system."""
        return self.provenance.get("units", "metal")

    def __len__(self) -> int:
        return len(self.steps)

    def __repr__(self) -> str:
        end = f"{self.times[-1]:g}" if len(self) else "-"
        return call(
            "Run",
            frames=len(self),
            sites=len(self.numbers),
            units=self.units,
            end=end,
            observables=list(self.observables),
            title=self.provenance.get("title") or None,
        )

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return str(shown("notebook:run_html")(self))

    def seconds(self, index: int) -> float | None:
        """Time of frame `index` in s; None in reduced units, and where the clock counts something else (sweeps)."""
        usual = unit_system(self.units).time
        if self.units != "metal" or self.provenance.get("time_unit", usual) != usual:
            return None
        return float(self.times[index] / ase.units.second)

    def atoms(self, index: int = -1) -> SpinAtoms:
        """The magnet of frame `index`, with reference lengths and g factors if the run has any."""
        atoms = SpinAtoms(
            numbers=self.numbers,
            positions=self.positions[index],
            cell=self.cells[index],
            pbc=self.pbc,
            moments=self.moments[index],
            units=self.units,
            g=self.g_factors,
        )
        set_reference_lengths(atoms, self.reference_lengths)
        return atoms


__all__ = ["Run", "Series", "changes"]
