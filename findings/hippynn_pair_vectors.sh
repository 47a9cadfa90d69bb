#!/usr/bin/env bash
# hippynn 0.1.3 (torch 2.13.0): the vector of a pair (first, second) is r_second - r_first where boundaries are open and r_first - r_second where they
# are periodic.  One would expect one sign for one pair: a model with features odd in the direction (dipoles, DMI, currents) that is trained in periodic
# boxes and used on molecules, or through an interface that takes open pairs, sees every direction turned round.  Distances are not affected.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 hippynn==0.1.3 setuptools==80.9.0
cd "$folder" && venv/bin/python -W ignore - <<'PY'
from importlib.metadata import version

import torch
from hippynn.layers.pairs.open import OpenPairIndexer
from hippynn.layers.pairs.periodic import PeriodicPairIndexer

positions = torch.tensor([[[1.0, 1.0, 1.0], [2.0, 1.0, 1.0]]])  # two atoms a distance of 1 apart along x, in a box of 10
atoms = (torch.ones(1, 2, dtype=torch.bool), torch.arange(2), torch.arange(2))
cell = 10.0 * torch.eye(3)[None]
found = {
    "open": OpenPairIndexer(1.5)(positions, *atoms)[1:4],
    "periodic": PeriodicPairIndexer(1.5)(positions, *atoms, cell)[1:4],
}
print("hippynn", version("hippynn"), "torch", version("torch"))
signs = {}
for boundary, (first, second, vector) in found.items():
    row = [(int(i), int(j)) for i, j in zip(first, second)].index((0, 1))
    signs[boundary] = float(vector[row, 0])
    print(f"{boundary:9} pair (0, 1): x of the vector {signs[boundary]:+.1f}")
assert signs == {"open": 1.0, "periodic": -1.0}, f"the behaviour has changed: {signs}"
print("as stated: opposite signs")
PY
