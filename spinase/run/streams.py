"""What a run writes and when: frames and one stream for every observer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from spinase.atoms import SpinAtoms, get_g_factors, get_moments, get_reference_lengths
from spinase.contract import Driver, bias_of, energy_name, energy_of
from spinase.dynamics.frames import conditions_of
from spinase.errors import InputError
from spinase.io.layout import ElementInfo, StreamInfo
from spinase.io.stored import ATOMS, CLOCKS, CONDITIONS, EDGES, SERIES, WHOLE, of_sites
from spinase.observers.base import alarm_of, observe
from spinase.quantities import Observer
from spinase.run.build import Setup
from spinase.units import G_FACTOR, unit_system

FRAMES = "frames"
_KNOWN = {"kT": "temperature kT", "field": "applied field", "bias": "bias"}
"""What a magnet is held at -> label; the bias where a calculator has one."""
_ENERGY = f"{WHOLE}/potential_energy"
_UNITS = {
    f"{ATOMS}/position": "Angstrom",
    EDGES: "Angstrom",
    f"{ATOMS}/moment": "mu_B",
    f"{ATOMS}/forces": "eV Angstrom-1",
    f"{ATOMS}/magnetic_forces": "eV mu_B-1",
    f"{ATOMS}/torques": "eV",
    _ENERGY: "eV",
    f"{WHOLE}/energy": "eV",
    f"{WHOLE}/free_energy": "eV",
    f"{WHOLE}/stress": "eV Angstrom-3",
}
"""What other programs are told, in metal units; they know none of the reduced ones."""


class RunStreams:
    """Layout of the run file for a setup, and the values of its streams at a step.

    Building it evaluates every observer once, which fixes the shapes and finds mistakes before the run starts.

    Parameters
    ----------
    setup : Setup
        What the input file describes.
    drivers : sequence of Driver
        One of each stage: they say what moves, and what they have to say themselves.
    """

    def __init__(self, setup: Setup, drivers: Sequence[Driver]) -> None:
        self.setup, self.drivers = setup, list(drivers)
        self.alarm: str | None = None  # why an observer wants the run to stop
        taken = [CONDITIONS]
        self.names = [unique_name(entry.observer.name, taken) for entry in setup.observers]
        self.own = [None if one.observer is None else unique_name(one.observer.name, taken) for one in drivers]
        self.moving = any(driver.moves_atoms for driver in drivers)
        atoms = setup.atoms
        self.static = {"sites/numbers": atoms.numbers.astype(np.int64)}  # species, also before the first frame
        self.static |= {f"sites/{name}": values for name, values in _site_data(atoms).items()}
        self.told_energy = any(energy_name(stage.calculator) is not None for stage in setup.stages)
        usual = unit_system(setup.config.units).time
        self.clock = "fs" if setup.config.units == "metal" and self._time_unit() == usual else ""
        self.biased = any(bias_of(stage.calculator) is not None for stage in setup.stages)
        self.steady = not self.biased and _steady(setup)
        infos = (
            {FRAMES: self._frame_info(atoms)}
            | self._conditions_info()
            | {
                name: _observer_info(name, entry.observer, atoms)
                for name, entry in zip(self.names, setup.observers, strict=True)
            }
            | self._own_infos(atoms)
        )
        self.infos = {name: replace(info, time_unit=self.clock) for name, info in infos.items()}

    def _own_infos(self, atoms: SpinAtoms) -> dict[str, StreamInfo]:
        """Streams of what drivers say themselves."""
        infos = {}
        for name, driver, stage in zip(self.own, self.drivers, self.setup.stages, strict=True):
            if name is not None and driver.observer is not None:
                atoms.calc = stage.calculator
                infos[name] = _observer_info(name, driver.observer, atoms)
        atoms.calc = self.setup.stages[0].calculator
        return infos

    def clock_time(self, time: float) -> float:
        """A time of the unit system as it is stored: in fs where other programs know the unit."""
        return time * CLOCKS[self.clock]

    def _conditions_info(self) -> dict[str, StreamInfo]:
        """Temperature and field of the driver, bias of a device: with every frame, and observation unless they stay."""
        units = unit_system(self.setup.config.units)
        told = {"kT": ((), units.energy), "field": ((3,), f"{units.energy}/{units.moment}")}
        told |= {"bias": ((), units.energy)} if self.biased else {}
        elements = {}
        for name, (shape, unit) in told.items():
            marks = {"label": _KNOWN[name], "unit": unit, "plot": "series", "axis": ""}
            elements[f"{SERIES}/{CONDITIONS}/{name}"] = ElementInfo(shape, marks)
        return {CONDITIONS: StreamInfo(elements)}

    def _conditions(self, driver: Driver, atoms: SpinAtoms) -> dict[str, Any]:
        """Temperature and (mean) field as the driver says, bias as the calculator does, now; 0 where a stage has none."""
        found = {**({"bias": 0.0} if self.biased else {}), **conditions_of(driver, atoms)}
        return {f"{SERIES}/{CONDITIONS}/{name}": value for name, value in found.items()}

    def attributes(self, provenance: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """Attributes of the run file's groups."""
        units = unit_system(self.setup.config.units)
        modules = {"h5md/modules/units": {"version": np.array([1, 0])}} if self.clock else {}
        return modules | {
            "h5md": {"version": np.array([1, 1])},
            "h5md/creator": {"name": "spinase", "version": "1"},
            "h5md/author": {"name": ""},
            f"{ATOMS}/box": {"dimension": 3, "periodic": self.setup.atoms.pbc.astype(np.int64)},
            "provenance": dict(provenance)
            | {"time_unit": self._time_unit(), "energy_unit": units.energy, "clock": self.clock},
        }

    def words_for_others(self) -> dict[str, dict[str, str | list[str]]]:
        """Attributes that readers of H5MD look at, by group."""
        bounds = ["periodic" if flag else "none" for flag in self.setup.atoms.pbc]
        return {f"{ATOMS}/box": {"boundary": bounds}}

    def _time_unit(self) -> str:
        """Of the clock: Monte Carlo counts sweeps."""
        usual = unit_system(self.setup.config.units).time
        return " and ".join(dict.fromkeys(driver.time_unit or usual for driver in self.drivers))

    def collect(
        self, atoms: SpinAtoms, step: int, last: bool, stage: int, driver: Driver
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Streams due at `step` of the stage with this number and driver, observers first, frames last.

        (A frame in the file then has its observables there too.)  Observers are told of the field that the driver applies.
        Where one raises an alarm, the frame is written even if it is not due.

        Parameters
        ----------
        atoms : SpinAtoms
            As they are now.
        step : int
            Of the whole run.
        last : bool
            Whether the run ends here: then everything is due.
        stage : int
            Its number.
        driver : Driver
            That of the stage.
        """
        self.alarm = None
        periods = periods_of(self.setup)[1:2] if self.steady else periods_of(self.setup)[1:]
        told = last or any(step % period == 0 for period in periods)
        if told:
            yield CONDITIONS, self._conditions(driver, atoms)
        for name, entry in zip(self.names, self.setup.observers, strict=True):
            if step % entry.every == 0 or last:
                values = observe(entry.observer, atoms, driver)
                self.alarm = self.alarm or alarm_of(entry.observer)
                yield name, {f"{SERIES}/{name}/{key}": value for key, value in values.items()}
        if step % self.setup.config.output.every == 0 or last or self.alarm is not None:
            own = self.own[stage]
            if own is not None and driver.observer is not None:
                values = observe(driver.observer, atoms, driver)
                yield own, {f"{SERIES}/{own}/{key}": value for key, value in values.items()}
            if not told:
                yield CONDITIONS, self._conditions(driver, atoms)
            yield FRAMES, self.frame(atoms)

    def frame(self, atoms: SpinAtoms) -> dict[str, Any]:
        """What a frame holds.

        Parameters
        ----------
        atoms : SpinAtoms
            As they are now.
        """
        frame = self._fixed_part(atoms)
        if self.told_energy:
            frame[_ENERGY] = np.nan if energy_name(atoms.calc) is None else energy_of(atoms)
        return frame

    def _fixed_part(self, atoms: SpinAtoms) -> dict[str, Any]:
        """A frame without its energy, which calculators are asked for only where a frame is written."""
        frame: dict[str, Any] = {
            f"{ATOMS}/moment": get_moments(atoms),
            f"{ATOMS}/position": atoms.positions.copy(),
            f"{ATOMS}/species": atoms.numbers.astype(np.int64),
            EDGES: atoms.cell.array.copy(),
        }
        for name in self.setup.config.output.results:
            value = atoms.calc.get_property(name, atoms)
            frame[f"{ATOMS if of_sites(name, np.shape(value), len(atoms)) else WHOLE}/{name}"] = value
        return frame

    def _frame_info(self, atoms: SpinAtoms) -> StreamInfo:
        for calc in {id(stage.calculator): stage.calculator for stage in self.setup.stages}.values():
            for name in self.setup.config.output.results:
                if name not in calc.implemented_properties:
                    raise InputError(
                        f"[output] results: {type(calc).__name__} has no {name!r}; it gives "
                        + ", ".join(calc.implemented_properties)
                    )
        found = {path: np.shape(value) for path, value in self._fixed_part(atoms).items()}
        found |= {_ENERGY: ()} if self.told_energy else {}
        steady = {f"{ATOMS}/species", *([] if self.moving else [f"{ATOMS}/position"])}
        return StreamInfo(
            {
                path: ElementInfo(
                    shape,
                    unit=_UNITS.get(path, "") if self.setup.config.units == "metal" else "",
                    whole=path == f"{ATOMS}/species",
                    steady=path in steady,
                )
                for path, shape in found.items()
            }
        )


def periods_of(setup: Setup) -> list[int]:
    """Steps between checkpoints, between frames, and between the calls of each observer."""
    output = setup.config.output
    return [output.checkpoint_every, output.every, *(entry.every for entry in setup.observers)]


def _steady(setup: Setup) -> bool:
    """Whether temperature and field are plain numbers, the same in all stages."""
    for name in ("kT", "field"):
        values = [getattr(stage.options, name, None) for stage in setup.stages]
        if any(value != values[0] or not isinstance(value, float | int | tuple | None) for value in values):
            return False
    return True


def _site_data(atoms: SpinAtoms) -> dict[str, np.ndarray]:
    """What the sites have beyond their moments, where it is not the default: reference lengths, g factors."""
    found = {}
    lengths, factors = get_reference_lengths(atoms), get_g_factors(atoms)
    if lengths is not None:
        found["reference_moment"] = lengths
    if np.any(factors != G_FACTOR):
        found["g_factor"] = factors
    return found


def _observer_info(name: str, observer: Observer, atoms: SpinAtoms) -> StreamInfo:
    static = {f"{SERIES}/{name}/static/{key}": np.asarray(v) for key, v in observer.prepare(atoms).items()}
    elements = {}
    for key, value in observer.observe(atoms).items():
        quantity = observer.quantities[key]
        marks = {"label": quantity.label, "unit": quantity.unit, "plot": quantity.plot, "axis": quantity.axis or ""}
        if quantity.description:
            marks["description"] = quantity.description
        elements[f"{SERIES}/{name}/{key}"] = ElementInfo(np.shape(value), marks)
    return StreamInfo(elements, static)


def unique_name(name: str, taken: list[str]) -> str:
    """Name of an observer's group, which joins `taken`; a second one of a kind gets a number."""
    found, count = name, 2
    while found in taken:
        found, count = f"{name}-{count}", count + 1
    taken.append(found)
    return found
