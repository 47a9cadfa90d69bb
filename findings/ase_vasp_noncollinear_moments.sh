#!/usr/bin/env bash
# ASE 3.29.0: of a noncollinear VASP calculation the calculator Vasp takes the table "magnetization (x)" for the moments and the last of three numbers, z, for the total: a magnet along z
# has moments of zero and a total of its whole moment.  ase.io.read("OUTCAR") of the same ASE gives vectors.  One would expect vectors from both (set_initial_magnetic_moments takes them and
# the calculator writes them into MAGMOM), or an error.  Labels of spin models taken from atoms.get_magnetic_moments() are x components that look like collinear moments.
# VASP itself is not needed: the tables are in its format (LNONCOLLINEAR, LORBIT = 11).
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ase==3.29.0
cd "$folder" && venv/bin/python -W ignore - <<'PY'
from importlib.metadata import version

import numpy as np
from ase import Atoms
from ase.calculators.vasp import Vasp
from ase.io.vasp_parsers.vasp_outcar_parsers import Magmoms

print("ase", version("ase"))
MOMENTS = np.array([[0.0, 0.0, 2.2], [1.5, -0.5, 1.6]])


def table(axis, values):
    rows = [f"{i:5d}        0.000   0.000  {value:6.3f}  {value:6.3f}" for i, value in enumerate(values, 1)]
    head = [f" magnetization ({axis})", " ", "# of ion       s       p       d       tot", "-" * 42]
    return [*head, *rows, "-" * 50, f"tot          0.000   0.000  {sum(values):6.3f}  {sum(values):6.3f}", " ", " ", " "]


total = " ".join(f"{value:15.7f}" for value in MOMENTS.sum(axis=0))
outcar = [f" number of electron      16.0000000 magnetization {total}"]
for k, axis in enumerate("xyz"):
    outcar += table(axis, MOMENTS[:, k])

atoms = Atoms("Fe2", positions=[[0, 0, 0], [0, 0, 2.0]], cell=[5, 5, 5], pbc=True, magmoms=MOMENTS)
calc = Vasp(xc="pbe", lnoncollinear=True, lorbit=11)
calc.atoms, calc.spinpol, calc.resort = atoms, True, [0, 1]  # as after a calculation of these atoms
magmom, magmoms = calc.read_mag(lines=[line + "\n" for line in outcar])  # what read_results puts into results
reader = Magmoms(header={"natoms": 2})
first = next(i for i, line in enumerate(outcar) if reader.has_property(i, outcar))
vectors = reader.parse(first, outcar)["magmoms"]
print("in the file:", MOMENTS.tolist(), "total", MOMENTS.sum(axis=0).round(3).tolist())
print("ase.io's reader of OUTCAR:", vectors.tolist())
print("Vasp, results: magmoms", magmoms.tolist(), "magmom", magmom)
assert np.allclose(vectors, MOMENTS), "the reference is wrong"
assert np.allclose(magmoms, MOMENTS[:, 0]) and np.isclose(magmom, MOMENTS[:, 2].sum()), "the behaviour has changed"
print("as stated: x components of the moments, the z component of their sum")
PY
