#!/usr/bin/env bash
# ASE 3.29.0: Atoms.get_number_of_degrees_of_freedom() subtracts what every constraint takes, also twice from one atom: four atoms of which the first is fixed and all
# are held in a plane have 12 - 3 - 3 = 6 freedoms left, it says 5.  Temperatures of get_temperature() are too high by 6/5.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ase==3.29.0
cd "$folder" && venv/bin/python - <<'PY'
from importlib.metadata import version

from ase import Atoms
from ase.constraints import FixAtoms, FixedPlane

print("ase", version("ase"))
atoms = Atoms("Fe4", positions=[[0, 0, 0], [2, 0, 0], [0, 2, 0], [2, 2, 0]])
counts = {}
for name, constraints in {
    "one atom fixed": [FixAtoms([0])],
    "all in a plane": [FixedPlane([0, 1, 2, 3], [0, 0, 1])],
    "both": [FixAtoms([0]), FixedPlane([0, 1, 2, 3], [0, 0, 1])],
}.items():
    atoms.set_constraint(constraints)
    counts[name] = int(atoms.get_number_of_degrees_of_freedom())
    print(f"{name:15} {counts[name]}")
assert counts == {"one atom fixed": 9, "all in a plane": 8, "both": 5}, "the behaviour has changed"
print("as stated: the right number with both is 6")
PY
