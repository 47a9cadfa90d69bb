"""Energies, trajectories and paths of Spirit: ``python spirit_oracle.py IN.json OUT.json``, a process of its own.

Spirit's units: meV, ps, tesla, mu_B; a square lattice in the xy plane, sites x fastest.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from spirit import chain, hamiltonian, htst, simulation, state, system
from spirit.parameters import gneb

CONFIG = """
output_file_tag none
log_to_console 0
log_to_file 0
llg_output_any 0
gneb_output_any 0
bravais_lattice sc
n_basis_cells {edge} {edge} 1
boundary_conditions {periodic} {periodic} 0
hamiltonian heisenberg_neighbours
mu_s {moment}
external_field_magnitude {field}
external_field_normal 0 0 1
anisotropy_magnitude {anisotropy}
anisotropy_normal 0 0 1
n_shells_exchange 1
jij {exchange}
n_shells_dmi 1
dij {dmi}
dm_chirality {chirality}
ddi_method {dipoles}
ddi_pb_zero_padding 1
ddi_n_periodic_images 4 4 4
llg_dt {timestep}
llg_damping {damping}
llg_temperature 0
llg_n_iterations 100000000
llg_n_iterations_log 100000000
llg_force_convergence 1e-12
gneb_n_iterations 100000000
gneb_n_iterations_log 100000000
gneb_force_convergence {convergence}
gneb_spring_constant 1.0
"""


def energy(pointer: object, job: dict) -> dict:
    """Energy (meV) of the spins."""
    write(pointer, job["spins"])
    system.update_data(pointer)
    return {"energy": float(system.get_energy(pointer))}


def trajectory(pointer: object, job: dict) -> dict:
    """Spins at every look of an LLG run with Depondt's solver."""
    write(pointer, job["spins"])
    seen = [np.array(system.get_spin_directions(pointer)).tolist()]
    simulation.start(pointer, simulation.METHOD_LLG, simulation.SOLVER_DEPONDT, single_shot=True)
    for _ in range(job["looks"]):
        simulation.n_shot(pointer, job["every"])
        seen.append(np.array(system.get_spin_directions(pointer)).tolist())
    simulation.stop(pointer)
    return {"spins": seen}


def path(pointer: object, job: dict) -> dict:
    """Energies (meV) of a path relaxed by GNEB, then with a climbing image."""
    images = job["images"]
    chain.image_to_clipboard(pointer)
    chain.set_length(pointer, len(images))
    for k, spins in enumerate(images):
        write(pointer, spins, k)
    chain.update_data(pointer)
    simulation.start(pointer, simulation.METHOD_GNEB, simulation.SOLVER_VP, n_iterations=job["first"])
    gneb.set_image_type_automatically(pointer)
    simulation.start(pointer, simulation.METHOD_GNEB, simulation.SOLVER_VP, n_iterations=job["second"])
    chain.update_data(pointer)
    return {"energies": [float(x) for x in chain.get_energy(pointer)]}


def rate(pointer: object, job: dict) -> dict:
    """Eigenvalues (meV) at a minimum and a saddle point, and the prefactor (1/s) of harmonic transition-state theory."""
    chain.image_to_clipboard(pointer)
    chain.set_length(pointer, 2)
    write(pointer, job["minimum"], 0)
    write(pointer, job["saddle"], 1)
    chain.update_data(pointer)
    htst.calculate(pointer, 0, 1, n_eigenmodes_keep=0)
    return {
        **htst.get_info_dict(pointer),
        "minimum_values": [float(x) for x in htst.get_eigenvalues_min(pointer)],
        "saddle_values": [float(x) for x in htst.get_eigenvalues_sp(pointer)],
    }


def quadruplets(rows: list) -> str:
    """A file of products of four spins: cells of three sites as seen from the first one, and K (meV)."""
    head = "i j da_j db_j dc_j k da_k db_k dc_k l da_l db_l dc_l Q"
    lines = [" ".join(["0", *(f"0 {a} {b} {c}" for a, b, c in cells), repr(strength)]) for cells, strength in rows]
    return "\n".join([f"n_interaction_quadruplets {len(rows)}", head, *lines, ""])


def write(pointer: object, spins: list, image: int = -1) -> None:
    """Set the spins of an image."""
    system.get_spin_directions(pointer, idx_image=image)[:] = np.asarray(spins)


def main(source: str, target: str) -> None:
    """Do the job; the result goes to `target`."""
    with open(source, encoding="utf-8") as file:
        job = json.load(file)
    config = Path(tempfile.mkdtemp()) / "in.cfg"
    text = CONFIG.format(**{"convergence": 1e-7, "dipoles": "none", **job["model"]})
    if "quadruplets" in job:
        listed = config.with_name("quadruplets.txt")
        listed.write_text(quadruplets(job["quadruplets"]), encoding="utf-8")
        text = text.replace("heisenberg_neighbours", "heisenberg_pairs")
        text += f"n_interaction_pairs 0\ninteraction_quadruplets_file {listed}\n"
    config.write_text(text, encoding="utf-8")
    with state.State(str(config), quiet=True) as pointer:
        hamiltonian.set_field(pointer, job["model"]["field"], [0, 0, 1])
        result = {"energy": energy, "trajectory": trajectory, "path": path, "rate": rate}[job["task"]](pointer, job)
    with open(target, "w", encoding="utf-8") as file:
        json.dump(result, file)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
