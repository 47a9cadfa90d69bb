#!/usr/bin/env bash
# TB2J 0.9.22 (ASE 3.29.0): the single-ion anisotropy k1 along k1dir that is given to SpinIO is in its own Hamiltonian (get_J_tensor) and in
# exchange.out, but not in the files for programs: no spin_uniaxial_SIA_list in Multibinit's exchange.xml, 0.0 in vampire.mat.  Both writers have code
# for it.  One would expect these files to hold what they have a place for: a magnet with an easy axis runs as one without, and nothing says so.
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
from TB2J.io_exchange.io_multibinit import write_xml
from TB2J.io_exchange.io_txt import write_txt
from TB2J.io_exchange.io_vampire import write_vampire_mat_file

atoms = Atoms("Fe", cell=[3.0, 3.0, 3.0], pbc=True)
exchange = {((1, 0, 0), 0, 0): 0.01, ((-1, 0, 0), 0, 0): 0.01}  # eV
distances = {((step, 0, 0), 0, 0): (np.array([3.0 * step, 0.0, 0.0]), 3.0) for step in (1, -1)}
model = SpinIO(
    atoms, spinat=np.array([[0.0, 0.0, 2.0]]), charges=np.zeros(1), index_spin=[0], colinear=False, exchange_Jdict=exchange,
    distance_dict=distances, k1=[0.002], k1dir=[[0.0, 0.0, 1.0]],
)  # fmt: skip
model.description = "one iron atom with an easy axis\n"
own = float(model.get_J_tensor(0, 0, (0, 0, 0), SIA=True)[2, 2])
write_xml(model, "exchange.xml")
write_vampire_mat_file(model, "vampire.mat")
write_txt(model, path=".", fname="exchange.out")
xml, text = Path("exchange.xml").read_text(), Path("exchange.out").read_text()
(line,) = [line for line in Path("vampire.mat").read_text().splitlines() if "anisotropy-constant" in line]
print("TB2J", version("TB2J"), "ASE", version("ase"))
print("k1 = 0.002 eV; zz of TB2J's own on-site tensor:", own)
print("exchange.xml has SIA terms:", "SIA" in xml, "  exchange.out has a section on it:", "Anisotropy" in text)
print("vampire.mat:", line)
found = (own, "SIA" in xml, "Anisotropy" in text, float(line.split("=")[1]))
assert found == (0.002, False, True, 0.0), f"the behaviour has changed: {found}"
print("as stated: it is in the Hamiltonian and not in the files for Multibinit and Vampire")
PY
