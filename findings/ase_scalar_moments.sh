#!/usr/bin/env bash
# ASE 3.29.0: atoms with vector moments take over a magnet with scalar ones (bulk("Fe") has 2.3) by `+=` without an error, and the scalar becomes the vector
# (2.3, 2.3, 2.3): a moment of 3.98 along (1, 1, 1).  One would expect (0, 0, 2.3), as collinear moments are along z, or an error; the other way round there is one.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ase==3.29.0
cd "$folder" && venv/bin/python - <<'PY'
from importlib.metadata import version

from ase import Atoms
from ase.build import bulk

print("ase", version("ase"))
atoms = Atoms("Fe", magmoms=[[1.0, 2.0, 0.0]])
atoms += bulk("Fe")
moments = atoms.get_initial_magnetic_moments().tolist()
print("vector += scalar:", moments)
try:
    other = bulk("Fe")
    other += Atoms("Fe", magmoms=[[1.0, 2.0, 0.0]])
    refused = "nothing"
except ValueError as error:
    refused = type(error).__name__
print("scalar += vector:", refused)
assert moments == [[1.0, 2.0, 0.0], [2.3, 2.3, 2.3]], "the behaviour has changed"
assert refused == "ValueError", "the behaviour has changed"
print("as stated")
PY
