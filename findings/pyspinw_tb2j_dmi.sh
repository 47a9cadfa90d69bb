#!/usr/bin/env bash
# pyspinw 1.1.0b2: load_tb2j drops the Dzyaloshinskii-Moriya interaction of TB2J's files.  It averages the D of a bond and of its way back, which have
# opposite signs (D_ji = -D_ij), so that they cancel.  One would expect exchanges with the D of the file, as J and J_ani are.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyspinw==1.1.0b2 TB2J==0.9.22 ase==3.29.0 numpy==2.4.6 scipy==1.16.3
cd "$folder" && venv/bin/python -W ignore - <<'PY'
from importlib.metadata import version

import numpy as np
import pyspinw
from ase import Atoms
from TB2J.io_exchange import SpinIO

atoms = Atoms("Fe", cell=[3.0, 3.0, 3.0], pbc=True)
keys = [((1, 0, 0), 0, 0), ((-1, 0, 0), 0, 0)]
model = SpinIO(
    atoms, spinat=np.array([[0.0, 0.0, 2.0]]), charges=np.zeros(1), index_spin=[0], colinear=False,
    exchange_Jdict=dict.fromkeys(keys, 0.01), dmi_ddict={key: np.array([0.0, 0.0, 0.002 * key[0][0]]) for key in keys},
    Jani_dict={key: np.zeros((3, 3)) for key in keys},
    distance_dict={key: (3.0 * np.array(key[0], dtype=float), 3.0) for key in keys},
)  # fmt: skip
model.write_txt(path=".")
model.write_pickle(path=".")
print("pyspinw", version("pyspinw"), "TB2J", version("TB2J"))
print("TB2J's tensor of the bond [meV]:", (1e3 * model.get_J_tensor(0, 0, (1, 0, 0))).round(3).tolist())
for name in ("exchange.out", "TB2J.pickle"):
    (bond,) = pyspinw.load_tb2j(name).exchanges
    matrix = np.asarray(bond.exchange_matrix)
    print(f"{name}: pyspinw's exchange matrix [meV]:", matrix.round(3).tolist())
    assert np.allclose(np.diag(matrix), -10.0), f"the behaviour has changed: {matrix}"
    assert np.allclose(matrix, matrix.T), f"the behaviour has changed: {matrix}"
print("as stated: D = 2 meV is in the file and not in the Hamiltonian")
PY
