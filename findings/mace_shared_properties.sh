#!/usr/bin/env bash
# mace-torch 0.3.16: a MACECalculator adds its results to a list that belongs to ASE's base class, so that afterwards calculators of other packages without a list of
# their own claim energies and forces, too, and every further MACECalculator adds them again.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "mace-torch==0.3.16" "ase==3.29.0" "torch==2.13.0"
cd "$folder" && OMP_NUM_THREADS=1 venv/bin/python -W ignore - <<'PY'
from importlib.metadata import version

import numpy as np
import torch
from ase.calculators.calculator import Calculator
from mace import modules  # before e3nn, whose file of constants torch refuses otherwise
from mace.calculators import MACECalculator
from e3nn import o3

print("mace-torch", version("mace-torch"), "ase", version("ase"))
block = modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
torch.set_default_dtype(torch.float64)
model = modules.ScaleShiftMACE(
    r_max=3.0, num_bessel=4, num_polynomial_cutoff=3, max_ell=1, interaction_cls=block, interaction_cls_first=block,
    num_interactions=1, num_elements=1, hidden_irreps=o3.Irreps("4x0e"), MLP_irreps=o3.Irreps("4x0e"),
    gate=torch.nn.functional.silu, atomic_energies=np.array([-1.0]), avg_num_neighbors=8.0, atomic_numbers=[26],
    correlation=2, atomic_inter_scale=1.0, atomic_inter_shift=0.0,
)


class Other(Calculator):
    """Knows nothing of MACE."""


before = list(Other().implemented_properties)
MACECalculator(models=model, default_dtype="float64")
after = list(Other().implemented_properties)
MACECalculator(models=model, default_dtype="float64")
again = list(Other().implemented_properties)
print("another calculator's results:", before, "->", after, "->", len(again), "entries")
assert before == [] and "forces" in after and len(again) == 2 * len(after), "the behaviour has changed"
print("as stated: the list of ASE's base class grows")
PY
