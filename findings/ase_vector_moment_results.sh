#!/usr/bin/env bash
# ASE 3.29.0: moments as vectors, a calculator's result `magmoms` of shape (N, 3), are given back by get_magnetic_moments() and
# survive .traj, extended XYZ and .json; get_properties() refuses them, and .db gives back one row of 3 N numbers.
# A good guess: what one part of ASE takes, (N,) or (N, 3), the others take.
# Exits with 1 if any of this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "ase==3.29.0" "numpy==2.4.6"
cat >"$folder/run.py" <<'PYTHON'
import ase
import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.io import read, write

MOMENTS = np.array([[0.0, 0.0, 2.2], [2.2, 0.0, 0.0]])


class Canted(Calculator):
    implemented_properties = ["energy", "magmoms"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": 1.0, "magmoms": MOMENTS.copy()}


print("ASE", ase.__version__)
atoms = Atoms("Fe2", positions=[[0, 0, 0], [2, 0, 0]])
atoms.calc = Canted()
shape = atoms.get_magnetic_moments().shape
print("get_magnetic_moments():", shape)
try:
    atoms.get_properties(["energy", "magmoms"])
    told = "taken"
except ValueError as error:
    told = str(error)
print("get_properties():", told)
read_back = {}
for name in ("x.traj", "x.extxyz", "x.json", "x.db"):
    write(name, atoms)
    read_back[name] = read(name).calc.results["magmoms"].shape
    print(name, read_back[name])
as_told = shape == (2, 3) and told == "magmoms has bad shape: (2, 3)"
as_told &= all(read_back[name] == (2, 3) for name in ("x.traj", "x.extxyz", "x.json")) and read_back["x.db"] == (6,)
raise SystemExit(0 if as_told else 1)
PYTHON
cd "$folder"
venv/bin/python run.py
