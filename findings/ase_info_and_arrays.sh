#!/usr/bin/env bash
# ASE 3.29.0: there is no one place of an Atoms object where a mark (a unit system, a reference length) survives.  make_supercell drops `info` and keeps arrays,
# Atoms(atoms) and .traj keep `info` and drop arrays, .json drops both; repeat keeps both.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ase==3.29.0
cd "$folder" && venv/bin/python - <<'PY'
from importlib.metadata import version

import numpy as np
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.io import read

print("ase", version("ase"))
atoms = bulk("Fe")
atoms.info["units"] = "reduced"
atoms.set_array("reference", np.ones(1))
for suffix in ("traj", "json"):
    atoms.write(f"one.{suffix}")
made = {
    "repeat": atoms.repeat(2),
    "make_supercell": make_supercell(atoms, 2 * np.eye(3)),
    "Atoms(atoms)": Atoms(atoms),
    ".traj": read("one.traj"),
    ".json": read("one.json"),
}
found = {name: ("units" in one.info, "reference" in one.arrays) for name, one in made.items()}
for name, (info, array) in found.items():
    print(f"{name:15} info kept: {info!s:5}  array kept: {array}")
stated = {
    "repeat": (True, True),
    "make_supercell": (False, True),
    "Atoms(atoms)": (True, False),
    ".traj": (True, False),
    ".json": (False, False),
}
assert found == stated, "the behaviour has changed"
print("as stated")
PY
