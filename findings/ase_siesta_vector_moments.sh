#!/usr/bin/env bash
# ASE 3.29.0: the SIESTA calculator writes vector moments into DM.InitSpin as Cartesian components; SIESTA reads the three numbers of this block as size, theta and phi (degrees; its
# manual, and initdm in its sources), and takes atoms that are not in the block as not magnetic.  Atoms with m_x = 0 are left out, whatever their m_y and m_z.
# One would expect the moments of the atoms: (0, 0, 2.2) starts without a moment, (1, -2, 0.5) as 1.0 near z, (-2, 0, 0) as 2.0 along -z instead of -x.  Scalar moments are right.
# A self-consistent calculation starts elsewhere and may end in another magnet, or in none; no file says so but the fdf.  Way out: no moments, and the block by fdf_arguments (shown).
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ase==3.29.0
cd "$folder" && venv/bin/python - <<'PY'
from importlib.metadata import version
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.siesta import Siesta

print("ase", version("ase"))
Path("pseudos").mkdir()
Path("pseudos/Fe.psf").write_text("only its name is asked\n")
MOMENTS = np.array([[0.0, 0.0, 2.2], [-2.0, 0.0, 0.0], [1.0, -2.0, 0.5], [0.0, 1.5, -1.5]])


def block(moments, **settings):
    """Lines of DM.InitSpin: {atom: numbers}."""
    atoms = Atoms("Fe4", positions=[[2.5 * i, 0, 0] for i in range(4)], cell=[10, 8, 8], pbc=True, magmoms=moments)
    calc = Siesta(command="siesta", directory="run", label="x", spin="non-collinear", pseudo_path=str(Path("pseudos").resolve()), **settings)
    calc.write_input(atoms, ["energy"])
    lines = Path("run/x.fdf").read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if line.strip() == "%block DM.InitSpin")
    last = next(i for i, line in enumerate(lines) if i > first and line.strip() == "%endblock DM.InitSpin")
    return {int(line.split()[0]): [float(word) for word in line.split()[1:]] for line in lines[first + 1 : last]}


def started(numbers):
    """The moment with which SIESTA starts: size, theta, phi."""
    size, theta, phi = numbers[0], *np.radians([*numbers[1:], 0.0, 0.0][:2])
    return size * np.array([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)])


written = block(MOMENTS)
for i, moment in enumerate(MOMENTS, 1):
    told = written.get(i)
    print(f"atom {i}: moment {moment}, in the block {told}, SIESTA starts with {np.round(started(told), 3) + 0.0 if told else 'none'}")
assert sorted(written) == [2, 3], "the behaviour has changed"
assert np.allclose([written[2], written[3]], MOMENTS[1:3]), "the behaviour has changed"
assert np.allclose([started(numbers)[0] for numbers in block([2.2, -2.2, 1.0, 1.0]).values()], 0.0)  # along z, as collinear ones
lengths = np.linalg.norm(MOMENTS, axis=1)
angles = np.degrees([np.arccos(MOMENTS[:, 2] / lengths), np.arctan2(MOMENTS[:, 1], MOMENTS[:, 0])])
rows = [(i + 1, *(float(number) for number in (lengths[i], *angles[:, i]))) for i in range(4)]
own = block(None, fdf_arguments={"DM.InitSpin": rows})
right = np.array([started(own[i]) for i in (1, 2, 3, 4)])
print("the way out, first in the file and so the one that SIESTA takes:", (right.round(3) + 0.0).tolist())
assert np.allclose(right, MOMENTS, atol=1e-4), "the way out does not work any more"
print("as stated: components where SIESTA reads size and angles")
PY
