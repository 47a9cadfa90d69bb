"""A spin-lattice run in LAMMPS' SPIN package: ``python lammps_run.py IN.json OUT.json``, a process of its own.

The job has the cell, sites, velocities (A/ps), spins, commands, time step (ps), and the steps between looks.
"""

from __future__ import annotations

import json
import sys

from lammps_oracle import lammps, start  # that imports MPI before LAMMPS, as it must be


def main(source: str, target: str) -> None:
    """Energies (eV) and spins at every look go to `target`."""
    with open(source, encoding="utf-8") as file:
        job = json.load(file)
    engine = start(job)
    for k, (spin, velocity) in enumerate(zip(job["spins"], job["velocities"], strict=True)):
        engine.command("set atom {} spin/atom {:.17g} {:.17g} {:.17g} {:.17g}".format(k + 1, job["moment"], *spin))
        engine.command("set atom {} vx {:.17g} vy {:.17g} vz {:.17g}".format(k + 1, *velocity))
    engine.commands_list(job["commands"])
    engine.commands_list(["thermo_style custom step pe ke", f"timestep {job['timestep']:.17g}", "run 0"])
    energies, spins = [], []
    for look in range(job["looks"] + 1):
        if look:
            engine.command(f"run {job['every']}")
        energies.append([engine.get_thermo("pe"), engine.get_thermo("ke")])
        rows, ids = engine.extract_atom("sp", lammps.LAMMPS_DOUBLE_2D), engine.extract_atom("id")
        found = {int(ids[i]): [rows[i][axis] for axis in range(3)] for i in range(len(job["positions"]))}
        spins.append([found[i + 1] for i in range(len(found))])
    with open(target, "w", encoding="utf-8") as file:
        json.dump({"energies": energies, "spins": spins}, file)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
