"""Frames of a driver's trajectory: ASE's own, with what is known of the magnet at that step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from spinase.contract import Driver, bias_of, calculator_of, is_conservative, recall_step, remember_step
from spinase.hooks import gives

if TYPE_CHECKING:
    from spinase.dynamics.base import SpinDriver


def conditions_of(driver: Driver | SpinDriver, atoms: Atoms) -> dict[str, Any]:
    """What a magnet is held at now: ``kT`` of the spin bath (energy), mean applied ``field`` (3,) and, of devices, ``bias``.

    0 where the driver has none.

    Parameters
    ----------
    driver : Driver
        Tells temperature and field.
    atoms : Atoms
        The magnet, whose calculator tells the bias.
    """
    field = np.broadcast_to(driver.applied_field(), (len(atoms), 3)).mean(axis=0)
    found: dict[str, Any] = {"kT": driver.bath_temperature(), "field": field}
    bias = bias_of(atoms.calc)
    return found if bias is None else {**found, "bias": bias}


def frame_of(driver: SpinDriver) -> Atoms:
    """A copy of the driver's atoms for a trajectory: results of ASE, and in ``info`` the step, time and magnetic forces.

    ``info`` also has what the magnet is held at (:func:`conditions_of`), and ``time_unit`` where the clock counts something
    else than the time of the unit system (sweeps).  :func:`spinase.io.read_run` makes a run of such frames.

    ``energy`` and ``free_energy`` are there unless the system is driven (it has none), ``forces`` (N, 3) where atoms move;
    ``info["magnetic_forces"]`` (N, 3) are the calculator's, without the driver's field.  Asking for them changes no
    trajectory, also of calculators with a random state.

    Parameters
    ----------
    driver : SpinDriver
        At the end of a step.
    """
    atoms, calc = driver.atoms, calculator_of(driver.atoms)
    remembered = remember_step(calc)
    asked = [*(("energy", "free_energy") if is_conservative(calc) else ()), *(("forces",) if driver.moves_atoms else ())]
    results = {name: calc.get_property(name, atoms) for name in asked if gives(calc, name)}
    fields = calc.get_property("magnetic_forces", atoms)
    recall_step(calc, remembered)
    frame = atoms.copy()
    frame.info.update(step=driver.nsteps, time=driver.get_time(), magnetic_forces=fields)
    frame.info.update(conditions_of(driver, atoms))
    if driver.time_unit is not None:
        frame.info["time_unit"] = driver.time_unit
    frame.calc = SinglePointCalculator(frame, **results)
    return frame


__all__ = ["conditions_of", "frame_of"]
