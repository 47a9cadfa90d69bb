#!/usr/bin/env bash
# pymatgen 2026.10.24, ASE 3.29.0: Structure.to_ase_atoms() (AseAtomsAdaptor.get_atoms) makes numbers of the vector moments that pymatgen itself reads from magnetic CIF: the Magmom of a
# site becomes its length (with a sign), its direction is gone.  One would expect vectors, as they come out for moments given as plain lists, and as get_structure takes them from ASE.
# The 120 degree order of a kagome antiferromagnet arrives as (3, 3, -3), collinear with a net moment, without a warning.  Way out: make lists of them first (shown).
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pymatgen==2026.10.24 ase==3.29.0
cd "$folder" && venv/bin/python -W ignore - <<'PY'
from importlib.metadata import version
from pathlib import Path

import numpy as np
from pymatgen.core import Structure

print("pymatgen", version("pymatgen"), "ase", version("ase"))
# three sites of a kagome plane (as Mn in Mn3Sn), moments at 120 degrees, each along the crystal axes of magCIF
Path("plane.mcif").write_text("""data_plane
_cell_length_a 5.6
_cell_length_b 5.6
_cell_length_c 4.5
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 120
loop_
_space_group_symop_magn_operation.id
_space_group_symop_magn_operation.xyz
1 x,y,z,+1
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Mn1 Mn 0.5 0.0 0.0 1
Mn2 Mn 0.0 0.5 0.0 1
Mn3 Mn 0.5 0.5 0.0 1
loop_
_atom_site_moment.label
_atom_site_moment.crystalaxis_x
_atom_site_moment.crystalaxis_y
_atom_site_moment.crystalaxis_z
Mn1 3.0 0.0 0.0
Mn2 0.0 3.0 0.0
Mn3 -3.0 -3.0 0.0
""")
structure = Structure.from_file("plane.mcif")
inside = np.array([moment.global_moment for moment in structure.site_properties["magmom"]])
print("pymatgen:", inside.round(3).tolist(), "sum", np.abs(inside.sum(axis=0)).max().round(6))
arrived = structure.to_ase_atoms().get_initial_magnetic_moments()
print("ASE:     ", arrived.tolist(), "sum", arrived.sum().round(6))
lists = structure.copy(site_properties={"magmom": inside.tolist()})
vectors = lists.to_ase_atoms().get_initial_magnetic_moments()
print("the way out:", vectors.round(3).tolist())
assert np.allclose(np.linalg.norm(inside, axis=1), 3.0) and np.allclose(inside.sum(axis=0), 0.0, atol=1e-6)
assert np.allclose(vectors, inside), "the way out does not work any more"
assert arrived.shape == (3,) and np.allclose(np.abs(arrived), 3.0), "the behaviour has changed"
print("as stated: directions are lost")
PY
