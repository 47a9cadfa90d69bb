#!/usr/bin/env bash
# dpdata 1.1.0: the writer of LAMMPS data files turns cell and positions into LAMMPS' frame (first vector along x, second in the plane xy) and leaves spins in the old one, and so do
# rot_lower_triangular() and perturb() (spins, and the magnetic forces of labels, although forces and virials turn).
# One would expect moments to keep their angles to the lattice: in the file of a primitive cell of bcc iron a moment along a cube axis, 54.7 degrees from every nearest neighbour, stands
# perpendicular to four of the eight.  DeepSPIN runs that start from ABACUS or deepmd/npy get another anisotropy, and perturbed labels of two frames: with spin-orbit coupling wrong ones.
# Cells that are lower triangular already (cubic ones) are right, as is everything without spin-orbit coupling where all spins turn alike.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check dpdata==1.1.0 numpy==2.4.6
cd "$folder" && venv/bin/python -W ignore - <<'PY'
from importlib.metadata import version
from pathlib import Path

import dpdata
import numpy as np

print("dpdata", version("dpdata"))
CELL = 1.435 * (1.0 - 2.0 * np.eye(3))  # bcc iron, Angstrom
SPIN, FIELD, FORCE = np.array([0.0, 0.0, 2.2]), np.array([0.0, 0.1, 0.2]), np.array([0.3, 0.2, 0.1])


def angles(vector, cell):
    """Degrees between a vector and the three vectors of the cell."""
    return np.degrees(np.arccos(cell @ vector / np.linalg.norm(cell, axis=1) / np.linalg.norm(vector))).round(1)


# a set of the format deepmd/npy, as DeePMD-kit documents it for spins
Path("set/set.000").mkdir(parents=True)
Path("set/type.raw").write_text("0\n")
Path("set/type_map.raw").write_text("Fe\n")
for name, array in {"box": CELL, "coord": np.zeros(3), "energy": np.array(-8.0), "force": FORCE, "spin": SPIN, "force_mag": FIELD}.items():
    np.save(f"set/set.000/{name}.npy", array.reshape(1, -1) if array.ndim else array.reshape(1))
system = dpdata.LabeledSystem("set", fmt="deepmd/npy")
print("as read: spin", system.data["spins"][0, 0], "at", angles(system.data["spins"][0, 0], CELL), "degrees from the cell's vectors")

system.sub_system(0).to("lammps/lmp", "iron.lmp")
lines = Path("iron.lmp").read_text().splitlines()
sizes = [float(line.split()[1]) for line in lines if line.endswith("hi")]
xy, xz, yz = next([float(word) for word in line.split()[:3]] for line in lines if line.endswith("xy xz yz"))
box = np.array([[sizes[0], 0, 0], [xy, sizes[1], 0], [xz, yz, sizes[2]]])
row = lines[next(i for i, line in enumerate(lines) if line.startswith("Atoms")) + 2].split()
written = float(row[8]) * np.array([float(word) for word in row[5:8]])
print("lammps/lmp: spin", written, "at", angles(written, box), "degrees from the box' vectors")
assert np.allclose(box @ box.T, CELL @ CELL.T, atol=1e-6), "the box is another"

turn = system.rot_frame_lower_triangular(0)
data = {name: system.data[name][0] for name in ("cells", "forces", "spins", "force_mags")}
print("rot_lower_triangular: force", data["forces"][0].round(3), "at", angles(data["forces"][0], data["cells"]), "(before:", f"{angles(FORCE, CELL)});", end=" ")
print("spin", data["spins"][0], "at", angles(data["spins"][0], data["cells"]), "; magnetic force", data["force_mags"][0])
assert np.allclose(data["forces"][0], FORCE @ turn) and np.allclose(data["cells"], CELL @ turn)
assert not np.allclose(FIELD @ turn, FIELD, atol=0.05)
assert np.allclose(written, SPIN) and np.allclose(data["spins"][0], SPIN) and np.allclose(data["force_mags"][0], FIELD), "the behaviour has changed"
print("the way out: spins @ turn =", (SPIN @ turn).round(4), "at", angles(SPIN @ turn, CELL @ turn))
assert np.allclose(angles(SPIN @ turn, CELL @ turn), angles(SPIN, CELL))
print("as stated: cell, positions and forces turn, spins and magnetic forces stay")
PY
