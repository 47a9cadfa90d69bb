#!/usr/bin/env bash
# ASE 3.29.0: `ase gui` draws vector moments (View, Show magmoms) and writes them as labels, but a click on one atom ends in a TypeError: the status line formats
# its moment as one number.  One would expect the three numbers, or their length.  (The view itself goes on working.)  No display is needed here.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ase==3.29.0
cd "$folder" && venv/bin/python - <<'PY'
from importlib.metadata import version
from types import SimpleNamespace

import numpy as np
from ase.build import bulk
from ase.gui.images import Images
from ase.gui.status import Status

print("ase", version("ase"))


def after_click(moments):
    """What the status line says of the first atom, or the error in its place."""
    atoms = bulk("Fe", cubic=True)
    del atoms.arrays["initial_magmoms"]
    atoms.set_initial_magnetic_moments(moments)
    images, said = Images([atoms]), []
    images.selected = np.array([True, False])
    gui = SimpleNamespace(atoms=atoms, images=images, window=SimpleNamespace(update_status_line=said.append), frame=0)
    try:
        Status(gui).status(atoms)
    except TypeError as error:
        return f"TypeError: {error}"
    return said[-1].strip()


scalar, vector = after_click([2.3, 2.3]), after_click([[0.0, 0.0, 2.3]] * 2)
print("scalar moments:", scalar)
print("vector moments:", vector)
assert "mom=2.30" in scalar and vector.startswith("TypeError"), "the behaviour has changed"
print("as stated")
PY
