#!/usr/bin/env bash
# ASE 3.29.0: what turns a crystal leaves vector moments (and momenta) where they were: Atoms.rotate, also with rotate_cell=True, and all that turns the cell into an orientation of its
# own, build.surface, niggli_reduce, build.rotate.  Moments that lay along a cube axis of iron stand along the normal of a (100) slab where they should lie in its plane.
# One would expect a rotation of the whole crystal to change no energy: with anisotropy, DMI or dipoles it does, and the angle of moments to the lattice is another.
# Exchange alone does not notice.  Way out: keep the old cell and turn the moments with it, R = old^-1 new (shown).  repeat, supercells, cut keep the frame and are right.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ase==3.29.0
cd "$folder" && venv/bin/python - <<'PY'
from importlib.metadata import version

import numpy as np
from ase import Atoms
from ase.build import niggli_reduce, rotate, surface
from ase.build.tools import cut

print("ase", version("ase"))
CUBE = Atoms("Fe2", positions=[[0, 0, 0], [1.435] * 3], cell=[2.87] * 3, pbc=True, magmoms=[[0.0, 0.0, 2.2]] * 2)
PRIMITIVE = Atoms("Fe", cell=1.435 * (1 - 2 * np.eye(3)), pbc=True, magmoms=[[0.0, 0.0, 2.2]])


def along(atoms, lattice_vector):
    """Cosine between the first moment and a vector of the lattice in units of the cell."""
    moment, vector = atoms.get_initial_magnetic_moments()[0], lattice_vector @ atoms.cell[:]
    return moment @ vector / np.linalg.norm(moment) / np.linalg.norm(vector)


def turned(name, before, after, vector, its_image):
    was, now = along(before, np.array(vector, float)), along(after, np.array(its_image, float))
    print(f"{name}: moment {after.get_initial_magnetic_moments()[0].round(3) + 0.0}, cosine with one direction of the crystal {was:+.3f} before, {now:+.3f} after")
    return was, now


found = {}
atoms = CUBE.copy()
atoms.set_momenta([[0.0, 0.0, 1.0]] * 2)
atoms.rotate(90, "x", rotate_cell=True)
found["Atoms.rotate"] = turned("Atoms.rotate(90, 'x', rotate_cell=True)", CUBE, atoms, [0, 0, 1], [0, 0, 1])
assert np.allclose(atoms.get_momenta(), [[0.0, 0.0, 1.0]] * 2), "momenta turn now"
atoms = CUBE.copy()
rotate(atoms, (1, 0, 0), (0, 1, 0), (0, 1, 0), (0, 0, 1))
found["build.rotate"] = turned("build.rotate", CUBE, atoms, [0, 0, 1], [0, 0, 1])
slab = surface(CUBE, (1, 0, 0), 2, vacuum=5.0)  # its third vector is along the normal, [100]
found["build.surface"] = turned("build.surface (100), direction: the normal", CUBE, slab, [1, 0, 0], [0, 0, 1])
atoms = PRIMITIVE.copy()
niggli_reduce(atoms)
found["niggli_reduce"] = turned("niggli_reduce, direction: nearest neighbours", PRIMITIVE, atoms, [1, 0, 0], [1, 0, 0])
for name, (was, now) in found.items():
    assert abs(abs(was) - abs(now)) > 0.1, f"{name} turns moments now"
kept = turned("cut, in the old frame", CUBE, cut(CUBE, a=(0, 1, 0), b=(0, 0, 1), c=(1, 0, 0)), [0, 0, 1], [0, 1, 0])
assert np.isclose(*kept)
atoms = CUBE.copy()
atoms.rotate(90, "x", rotate_cell=True)
turn = np.linalg.solve(CUBE.cell[:], atoms.cell[:])
atoms.set_initial_magnetic_moments(CUBE.get_initial_magnetic_moments() @ turn)
assert np.isclose(*turned("the way out", CUBE, atoms, [0, 0, 1], [0, 0, 1]))
print("as stated: the lattice turns, the moments stay")
PY
