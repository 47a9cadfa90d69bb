"""Runs from input files on several processes: whole, cut, restarted, stopped by a signal, ended by errors."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spinase_lammps.build as build
import spinase_lammps.team as team
from ase import Atoms
from mpi4py import MPI
from spinase_lammps import LammpsError, LammpsLLG, LammpsSpinLattice
from spinase_lammps.build import BuildError

from spinase.atoms import SpinAtoms
from spinase.errors import InputError, SpinaseError
from spinase.observers import MagnetizationObserver
from spinase.run import RunOptions, RunStopped, run_file
from spinase.team import ToldElsewhere

RANK, LAST = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size - 1
INPUT = """
units = "metal"
[atoms]
file = "iron.traj"
[calculator]
style = "sum"
terms = [
    {{ style = "heisenberg", bethe_slater = {{ amplitude = 0.02, shape = 0.2, range = 1.8, cutoff = 4.0 }} }},
    {{ style = "pair-potential", morse = {{ depth = 0.4, decay = 1.4, reference = 2.85, cutoff = 5.0 }} }},
]
[[stage]]
driver = "{driver}"
steps = 20
timestep = 0.0982
damping = 0.1
kT = 0.02
[[observer]]
style = "{observer}"
every = 5
[output]
every = 10
checkpoint_every = 10
"""


class Signalled(LammpsSpinLattice):
    """A signal comes to the last process."""

    def run(self, steps: int) -> bool:
        """Steps, then the signal."""
        done = super().run(steps)
        if RANK == LAST and self.nsteps == 10:
            signal.raise_signal(signal.SIGTERM)
        return done


class Breaks(LammpsSpinLattice):
    """An error on the last process outside of LAMMPS: the others wait for it in LAMMPS."""

    def run(self, steps: int) -> bool:
        """Steps of which the last process makes ten."""
        if RANK == LAST and self.nsteps == 10:
            raise RuntimeError("the process has lost its way")
        return super().run(steps)


class Killed(LammpsSpinLattice):
    """The last process is killed in the middle of the run."""

    def run(self, steps: int) -> bool:
        """Steps of which the last process makes ten."""
        if RANK == LAST and self.nsteps == 10:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().run(steps)


class LateObserver(MagnetizationObserver):
    """An observer that breaks in the middle of a run."""

    def observe(self, atoms: Atoms) -> dict[str, Any]:
        """The magnetization while atoms are where they were."""
        if np.abs(atoms.positions - START).max() > 1e-3:
            raise SpinaseError("the disk is full")
        return super().observe(atoms)


START = np.zeros((1, 3))


def write_inputs(folder: Path, atoms: SpinAtoms) -> None:
    """Input files of all runs."""
    atoms.write(folder / "iron.traj")  # ASE's own way: all processes come, the first writes
    lattice, energy = "spinase_lammps.drivers:LammpsSpinLattice", "energy"
    for name, driver, observer in (
        ("iron", lattice, energy),
        ("signalled", "run_cases:Signalled", energy),
        ("breaks", "run_cases:Breaks", energy),
        ("killed", "run_cases:Killed", energy),
        ("late", lattice, "run_cases:LateObserver"),
    ):
        if RANK == 0:
            (folder / f"{name}.toml").write_text(INPUT.format(driver=driver, observer=observer))
    MPI.COMM_WORLD.barrier()


def run(folder: Path, name: str, output: str, **options: Any) -> tuple[str, str]:
    """What a run ends with on this process: the kind of the exception and its words."""
    try:
        path = run_file(folder / f"{name}.toml", (), RunOptions(output=folder / output, **options))
    except (RunStopped, SpinaseError) as error:
        return type(error).__name__, str(error)
    return "wrote", str(path)


def fails(driver: LammpsLLG) -> None:
    """The calculator breaks on the last process, and all tell it."""
    with pytest.raises(LammpsError, match=f"on rank {LAST}: RuntimeError: the model has lost its weights"):
        driver.run(5)


def uncompiled(atoms: SpinAtoms) -> None:
    """The last process cannot compile the plugin, and all tell it."""
    compiler = build._compiler
    if RANK == LAST:
        build._compiler = no_compiler
    try:
        with pytest.raises(BuildError, match=f"process {LAST}: no MPI compiler"):
            LammpsLLG(atoms, 0.05).engine  # noqa: B018
    finally:
        build._compiler = compiler


def no_compiler() -> str:
    raise BuildError("no MPI compiler")


def thin(driver: LammpsLLG) -> None:
    """Somebody makes the shell of ghosts too thin for the model: all tell how deep it must be."""
    magnet = driver.engine
    magnet._commands(f"comm_modify cutoff {0.6 * magnet.local.ghost_depth}")
    with pytest.raises(LammpsError, match=rf"needs ghosts as far as {magnet.local.ghost_depth:.6g} from owned sites"):
        magnet.run(1)
    driver.close()


def breaks(folder: Path, atoms: SpinAtoms, name: str) -> None:
    """The last process fails, or is killed, where the others wait for it in LAMMPS: all must end."""
    write_inputs(folder, atoms)
    team._PATIENCE = 0.5
    run(folder, name, name)


def expect(found: tuple[str, str], first: str, words: str) -> None:
    """The first process ends with an exception of this kind and words, the others silently."""
    kind = first if RANK == 0 else ToldElsewhere.__name__
    assert found[0] == kind, found
    assert words in found[1], found


def all_runs(folder: Path, atoms: SpinAtoms) -> None:
    """On any number of processes; what they wrote is compared later."""
    global START
    START = atoms.positions.copy()
    write_inputs(folder, atoms)
    assert run(folder, "iron", "whole") == ("wrote", str(folder / "whole/run.h5") if RANK == 0 else "None")
    expect(run(folder, "iron", "cut", stop_after=7), RunStopped.__name__, "after 10 steps")
    expect(run(folder, "iron", "cut"), InputError.__name__, "already holds a run")
    assert run(folder, "iron", "cut", restart=True)[0] == "wrote"
    expect(run(folder, "signalled", "signalled"), RunStopped.__name__, "by signal 15 (SIGTERM) after 10 steps")
    expect(run(folder, "late", "late"), SpinaseError.__name__, "the disk is full")
