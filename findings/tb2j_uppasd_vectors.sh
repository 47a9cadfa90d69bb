#!/usr/bin/env bash
# TB2J 0.9.22 (ASE 3.29.0): `write_uppasd` ends in an AttributeError; its pieces, called by hand, measure the vectors of jASD1 between the ATOMS whose
# numbers the SPINS have.  One would expect them between the magnetic atoms, as posfile has these: with a non-magnetic atom before them every vector
# between different spins is wrong, though the numbers of the spins beside it are right.  Where non-magnetic atoms come last nothing is seen.
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
from TB2J.io_exchange.io_uppasd import write_uppasd_exchange, write_uppasd_posfile

places = {"O": (0.0, 0.0, 1.0), "Fe": (0.0, 0.0, 0.0), "Co": (1.0, 1.0, 1.5)}  # Angstrom
atoms = Atoms(list(places), positions=list(places.values()), cell=[2.0, 2.0, 3.0], pbc=True)
model = SpinIO(
    atoms, spinat=np.array([[0.0, 0.0, moment] for moment in (0.0, 2.2, 1.7)]), charges=np.zeros(3), index_spin=[-1, 0, 1],
    exchange_Jdict={((0, 0, 0), 0, 1): 0.01, ((0, 0, 0), 1, 0): 0.01},
)  # fmt: skip
try:
    model.write_uppasd("UppASD")
    whole = "no error"
except AttributeError as error:
    whole = str(error)
write_uppasd_posfile(model, "posfile")
write_uppasd_exchange(model, "jASD1")
first, second, *vector = (float(word) for word in Path("jASD1").read_text().splitlines()[1].split()[:5])
positions = {int(line.split()[0]): np.array(line.split()[2:5], float) * (2, 2, 3) for line in Path("posfile").read_text().splitlines()}
expected = positions[int(second)] - positions[int(first)]
print("TB2J", version("TB2J"), "ASE", version("ase"))
print("write_uppasd:", whole)
print("bond of spins", int(first), int(second), "in jASD1:", vector, "  in posfile:", expected, "  from O to Fe: [0.0, 0.0, -1.0]")
assert "write_uppasd_posfile" in whole, f"the behaviour has changed: {whole}"
assert np.allclose(vector, (0, 0, -1)) and np.allclose(expected, (1, 1, 1.5)), "the behaviour has changed"
print("as stated: atoms are taken by the numbers of spins")
PY
