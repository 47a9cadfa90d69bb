#!/usr/bin/env bash
# TB2J 0.9.22 (ASE 3.29.0): in vampire.UCF component j of every lattice vector is divided by the length of vector j.  The file's heading (and Vampire's
# manual: sizes ucx ucy ucz, then the vectors) lets one expect vector i divided by its own length, so that size i times row i is cell vector i.
# Equal for right angles along x, y, z and for cells of equal lengths; else the cell that one reads back has other lengths and angles.  (Vampire's manual
# says that Vampire itself supports orthogonal vectors only; this is for whoever else reads the file.)
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check TB2J==0.9.22 ase==3.29.0 numpy==2.4.6 scipy==1.16.3
cd "$folder" && venv/bin/python -W ignore - <<'PY'
from importlib.metadata import version
from pathlib import Path

import numpy as np
from ase import Atoms
from TB2J.io_exchange import SpinIO
from TB2J.io_exchange.io_vampire import write_vampire_unitcell_file

cell = np.array([[2.0, 0.0, 0.0], [3.0, 4.0, 0.0], [0.0, 0.0, 6.0]])  # lengths 2, 5, 6
model = SpinIO(
    Atoms("Fe", cell=cell, pbc=True), spinat=np.array([[0.0, 0.0, 2.0]]), charges=np.zeros(1), index_spin=[0],
    exchange_Jdict={((1, 0, 0), 0, 0): 0.01, ((-1, 0, 0), 0, 0): 0.01},
)  # fmt: skip
write_vampire_unitcell_file(model, "vampire.UCF")
lines = [line for line in Path("vampire.UCF").read_text().splitlines() if not line.startswith("#")]
sizes, rows = np.fromstring(lines[0], sep=" "), np.array([np.fromstring(line, sep=" ") for line in lines[1:4]])
print("TB2J", version("TB2J"), "ASE", version("ase"))
print("cell vector 2:", cell[1], "of length", sizes[1], "  its line in the file:", rows[1], "  expected:", cell[1] / sizes[1])
print("size 2 times line 2:", sizes[1] * rows[1])
assert np.allclose(rows, cell / sizes, atol=1e-6) and not np.allclose(rows[1], cell[1] / sizes[1]), "the behaviour has changed"
print("as stated: divided along columns")
PY
