"""Frames of a driver's trajectory: ASE's own, with what is known of the magnet at that step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from spinase.contract import calculator_of, is_conservative, recall_step, remember_step
from spinase.hooks import gives

if TYPE_CHECKING:
    from spinase.dynamics.base import SpinDriver


def frame_of(driver: SpinDriver) -> Atoms:
    """A copy of the driver's atoms for a trajectory: results of ASE, and in ``info`` the step, time and magnetic forces.

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
    frame.calc = SinglePointCalculator(frame, **results)
    return frame


__all__ = ["frame_of"]
