#!/usr/bin/env bash
# TB2J 0.9.22: MyTB.read_from_wannier_dir keeps the degeneracies of the cells R of Wannier90's _hr.dat, but gen_ham(k) (its default convention, which
# solve and HS_and_eigen and thus exchange calculations use) does not divide H(R) by them (Wannier90 user guide: H(k) = sum_R exp(i k.R) H(R)/n(R)).
# One would expect the bands of Wannier90: a chain with hopping -1 between cells whose degeneracy is 2 has a bandwidth of 4, and TB2J's has 8.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check TB2J==0.9.22 ase==3.29.0 numpy==2.4.6 scipy==1.16.3
cd "$folder" && venv/bin/python -W ignore - <<'PY'
from importlib.metadata import version
from pathlib import Path

import numpy as np
from ase import Atoms
from TB2J.myTB import MyTB

# H(0) = 0, and R = +-1 with degeneracy 2, so that the file holds twice their hopping: H(k) = -2 cos 2 pi k
rows = [f"{r:5d}    0    0    1    1 {value:12.6f}    0.000000" for r, value in ((-1, -2.0), (0, 0.0), (1, -2.0))]
Path("x_hr.dat").write_text("\n".join(["written by hand", "1", "3", "    2    1    2", *rows]) + "\n")
Path("x_centres.xyz").write_text("2\n\nX 0.0 0.0 0.0\nFe 0.0 0.0 0.0\n")
model = MyTB.read_from_wannier_dir(".", "x", atoms=Atoms("Fe", cell=[3.0, 9.0, 9.0], pbc=True))
levels = [float(model.solve(k)[0][0]) for k in ((0.0, 0.0, 0.0), (0.5, 0.0, 0.0))]
print("TB2J", version("TB2J"), " degeneracies it keeps:", model.R_degens.tolist())
print("levels at k = 0 and 1/2:", levels, "  Wannier90's interpolation: [-2.0, 2.0]")
assert np.allclose(levels, [-4.0, 4.0]), f"the behaviour has changed: {levels}"
print("as stated: cells count with their degeneracy")
PY
