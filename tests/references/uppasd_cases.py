"""Small inputs in UppASD's format, and what UppASD prints for them.

``python tests/references/uppasd_cases.py PATH/uppasd > tests/references/uppasd_energies.toml`` runs UppASD on all of them,
with the random spins of :func:`random_spins`, and writes the energies it prints (mRy per site; without a unit where
``aunits`` is Y); ``... PATH/uppasd fields > tests/references/uppasd_fields.toml`` writes the fields that it prints at its
first three sites (tesla).  Its printed energy of cubic anisotropies is -m.B/2 of their field: 2 K1 and 3 K2 where K1 and K2
are meant.
UppASD numbers sites with the first cell vector fastest, ASE's ``repeat`` with the last: :func:`order` tells.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from spinase.typing import FloatArray

SIX = [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
CUBE = "1.0 0.0 0.0\n 0.0 1.0 0.0\n 0.0 0.0 1.0"
HEXAGON = "1.0 0.0 0.0\n 0.5 0.866025403784439 0.0\n 0.0 0.0 1.0"
ONE, UP = "1 1 0.0 0.0 0.0\n", "1 1 1.0 0.0 0.0 1.0\n"
TWO = "1 2 0.0 0.0 0.0\n2 1 0.5 0.5 0.5\n"  # the first site is of type 2
MOMENTS = "1 1 2.2 1.0 0.0 0.0\n2 1 0.7 0.0 0.0 -1.0\n"
CORNERS = [(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)]


def rows(bonds: list[tuple[int, int, tuple[float, ...], float | str]]) -> str:
    """Lines of a coupling file: sites, vector, numbers."""
    return "".join(f"{i} {j} {' '.join(str(x) for x in r)} {value}\n" for i, j, r, value in bonds)


def triples(vector: tuple[float, ...], strength: float) -> str:
    """A D vector along a bond, as three numbers."""
    return " ".join(f"{strength * x:.6f}" for x in vector)


@dataclass(frozen=True)
class Case:
    """An input: lines of inpsd.dat beside the usual ones, the files they name, and the size of the magnet in cells."""

    lines: tuple[str, ...] = ()
    jfile: str = rows([(1, 1, r, 1.0) for r in SIX])
    posfile: str = ONE
    momfile: str = UP
    cell: str = CUBE
    size: tuple[int, int, int] = (5, 4, 3)
    boundaries: str = "P P P"
    files: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path, more: tuple[str, ...] = ()) -> Path:
        """The files, and inpsd.dat, which is returned."""
        texts = {"jfile": self.jfile, "posfile": self.posfile, "momfile": self.momfile} | self.files
        texts["inpsd.dat"] = "\n".join(
            [
                "simid judge",
                f"ncell {' '.join(str(n) for n in self.size)}",
                f"bc {self.boundaries}",
                f"cell {self.cell}",
                "posfile ./posfile",
                "momfile ./momfile",
                "exchange ./jfile",
                *self.lines,
                *more,
                "",
            ]
        )
        for name, text in texts.items():
            (folder / name).write_text(text)
        return folder / "inpsd.dat"


def _tensors() -> str:
    """Nine numbers a bond, J(-r) = J(r)^T, to the sites of a square."""
    rng = np.random.default_rng(2)
    lines = []
    for r in SIX[::2]:
        tensor = rng.normal(size=(3, 3)).round(4)
        lines.append((1, 1, r, " ".join(str(x) for x in tensor.ravel())))
        lines.append((1, 1, tuple(-x for x in r), " ".join(str(x) for x in tensor.T.ravel())))
    return rows(lines)


AXES = rows([(1, 1, r, triples(r, 0.3)) for r in SIX])
BOTH = rows([(i, j, r, 0.8) for i, j in ((1, 2), (2, 1)) for r in CORNERS])
CASES = {
    "six vectors": Case(),
    "uniaxial anisotropy": Case(("anisotropy ./kfile",), files={"kfile": "1 1 -0.5 0 0 0 1 0\n"}),
    "two axes": Case(("anisotropy ./kfile", "mult_axis Y"), files={"kfile": "1 1 -0.5 0 0 0 1 0\n1 1 0.2 0 1.0 2.0 0 0\n"}),
    "numbers of sites, not types": Case(
        jfile=rows([(1, 1, r, 1.0) for r in SIX] + [(2, 2, r, -0.4) for r in SIX]), posfile=TWO, momfile=MOMENTS
    ),
    "two sites, unequal moments": Case(jfile=BOTH, posfile=TWO, momfile=MOMENTS),
    "a vector listed twice": Case(jfile=rows([(1, 1, r, 1.0) for r in SIX] + [(1, 1, r, -0.25) for r in SIX[:2]])),
    "all six vectors with sym 1": Case(("sym 1",), jfile=rows([(1, 1, r, 0.1 + 0.2 * k) for k, r in enumerate(SIX)])),
    "symmetric images of two lines": Case(("sym 1",), jfile=rows([(1, 1, (0, 1, 0), 0.7), (1, 1, (1, 0, 0), -0.3)])),
    "cells and symmetry": Case(
        ("maptype 2", "sym 1"),
        jfile=rows([(1, 2, (0, 0, 0), 0.8), (2, 1, (0, 0, 0), 0.8), (1, 1, (0, 0, 1), 0.5)]),
        posfile=TWO,
        momfile=MOMENTS,
    ),
    "direct coordinates": Case(
        ("posfiletype D", "sym 1"),
        jfile=rows([(1, 1, (0, 0, 1), 1.0), (1, 1, (1, 1, 1), 0.4)]),
        size=(5, 5, 5),
        cell="-0.5 0.5 0.5\n 0.5 -0.5 0.5\n 0.5 0.5 -0.5",
    ),
    "square": Case(
        ("sym 2",), jfile=rows([(1, 1, (2, 1, 0), 0.6), (1, 1, (0, 0, 1), 0.2), (1, 1, (0, 0, -1), 0.2)]), size=(6, 6, 3)
    ),
    "hexagonal": Case(("sym 3",), cell=HEXAGON, jfile=rows([(1, 1, (1, 0, 0), 1.0), (1, 1, (1.5, 0.866025, 0), -0.4)])),
    "cells of raw positions": Case(
        ("maptype 3",),
        jfile=rows([(1, 2, (1, 0, 0), 0.8), (2, 1, (-1, 0, 0), 0.8)]),
        posfile="1 1 0 0 0\n2 2 -0.5 0.2 0.1\n",
        momfile=MOMENTS,
    ),
    "cells of folded positions": Case(
        ("maptype 2",),
        jfile=rows([(1, 2, (1, 0, 0), 0.8), (2, 1, (-1, 0, 0), 0.8)]),
        posfile="1 1 0 0 0\n2 2 -0.5 0.2 0.1\n",
        momfile=MOMENTS,
    ),
    "two sites of one type": Case(
        jfile=rows([(1, 1, (0.5, 0, 0), 0.9), (1, 1, (-0.5, 0, 0), 0.9)]),
        posfile="1 1 0 0 0\n2 1 0.5 0 0\n",
        momfile="1 1 1.0 0 0 1\n2 1 1.0 0 0 1\n",
    ),
    "tensors": Case(("do_jtensor 1", "calc_jtensor F"), jfile=_tensors()),
    "tensors read as numbers": Case(("do_jtensor 1",), jfile=_tensors()),
    "nine numbers without do_jtensor": Case(jfile=_tensors()),
    "dmi": Case(("dm ./dmfile",), files={"dmfile": AXES}),
    "dmi with sym 1": Case(("dm ./dmfile", "sym 1"), jfile=rows([(1, 1, (1, 0, 0), 1.0)]), files={"dmfile": AXES}),
    "scales": Case(("dm ./dmfile", "jij_scale 0.5", "dm_scale -2.0"), files={"dmfile": AXES}),
    "symmetric anisotropic exchange": Case(
        ("sa ./safile",), files={"safile": rows([(1, 1, r, "0.3 -0.1 0.2") for r in SIX])}
    ),
    "pseudo-dipolar exchange": Case(("pd ./pdfile",), files={"pdfile": _tensors()}),
    "an on-site line": Case(jfile=rows([(1, 1, (0, 0, 0), 0.3)] + [(1, 1, r, 1.0) for r in SIX])),
    "scaled cell": Case(("scalefac 2.5", "posfiletype D", "sym 1"), jfile=rows([(1, 1, (1, 0, 0), 1.0)])),
    "open boundaries": Case(boundaries="P 0 0"),
    "vectors that join nothing": Case(jfile=rows([(1, 1, r, 1.0) for r in SIX] + [(1, 1, (0.5, 0, 0), 3.0)])),
    "both of two lines": Case(("map_multiple T", "sym 1"), jfile=rows([(1, 1, (0, 1, 0), 0.7), (1, 1, (1, 0, 0), -0.3)])),
    "no units": Case(("aunits Y",)),
    "a field": Case(("hfield 30.0 -12.5 8.0",), jfile=BOTH, posfile=TWO, momfile=MOMENTS),
    "a field without units": Case(("hfield 0.3 -0.2 0.1", "aunits Y"), momfile="1 1 2.2 0 0 1\n"),
    "dipoles": Case(
        ("do_dip 1", "alat 2.87e-10"), jfile=BOTH, posfile=TWO, momfile=MOMENTS, boundaries="0 0 0", size=(3, 4, 2)
    ),
    "dipoles and a field, scaled cell": Case(
        ("do_dip 1", "alat 1.5e-10", "scalefac 2.0", "hfield 0 0 100", "posfiletype D", "sym 1"),
        jfile=rows([(1, 1, (1, 0, 0), 1.0)]),
        boundaries="0 0 0",
        size=(3, 3, 3),
    ),
    "biquadratic exchange": Case(
        ("bq ./bqfile",), momfile="1 1 2.2 0 0 1\n", files={"bqfile": rows([(1, 1, r, 0.3 + 0.1 * abs(r[0])) for r in SIX])}
    ),
    "biquadratic exchange, symmetry, direct coordinates": Case(
        ("bq ./bqfile", "posfiletype D", "sym 1"),
        jfile=rows([(1, 1, (0, 0, 1), 1.0)]),
        size=(5, 5, 5),
        cell="-0.5 0.5 0.5\n 0.5 -0.5 0.5\n 0.5 0.5 -0.5",
        files={"bqfile": rows([(1, 1, (0.5, 0.5, 0.5), -0.4), (1, 1, (1, 0, 0), 0.25)])},
    ),
    "biquadratic exchange, cells": Case(
        ("bq ./bqfile", "maptype 2"),
        jfile=rows([(1, 2, (0, 0, 0), 0.8), (2, 1, (0, 0, 0), 0.8)]),
        posfile="1 1 0.0 0.0 0.0\n2 1 0.5 0.5 0.5\n",
        momfile=MOMENTS,
        files={"bqfile": rows([(1, 2, (0, 0, 0), 0.8), (2, 1, (0, 0, 0), 0.8)])},
    ),
    "cubic anisotropy": Case(
        ("anisotropy ./kfile",), momfile="1 1 2.2 0 0 1\n", files={"kfile": "1 2 -0.3 0.7 0 0 1 0.1\n"}
    ),
    "cubic and uniaxial sites": Case(
        ("anisotropy ./kfile", "hfield 5 0 0"),
        jfile=BOTH,
        posfile=TWO,
        momfile=MOMENTS,
        files={"kfile": "1 2 0.4 0.0 1 1 1 0\n2 1 -0.3 0.0 1 1 0 0\n"},
    ),
}


def _ring(corners: list[tuple[float, float, float]], strength: float, senses: int = 1) -> str:
    """Lines of a ringfile: a loop of vectors from each of its corners, in one sense or both."""
    lines = []
    for begin in range(4):
        for sense in (1, -1)[:senses]:
            way = [np.array(corners[(begin + sense * step) % 4]) for step in range(4)]
            vectors = " ".join(str(x) for corner in way[1:] for x in corner - way[0])
            lines.append(f"1 1 1 1 {vectors} {strength}\n")
    return "".join(lines)


_SQUARE = [(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (1.0, 1.0, 0.0), (0.0, 1.0, 0.0)]
CASES |= {
    "ring exchange": Case(("ring ./ringfile",), momfile="1 1 2.2 0 0 1\n", files={"ringfile": _ring(_SQUARE, 0.3)}),
    "ring exchange, both senses": Case(
        ("ring ./ringfile",),
        files={"ringfile": _ring(_SQUARE, -0.2, 2) + _ring([(0, 0, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1)], 0.1)},
    ),
    "ring exchange, direct coordinates": Case(
        ("ring ./ringfile", "posfiletype D"),
        jfile=rows([(1, 1, (1, 0, 0), 1.0), (1, 1, (-1, 0, 0), 1.0)]),
        cell=HEXAGON,
        size=(6, 5, 2),
        files={"ringfile": _ring(_SQUARE, 0.25)},
    ),
    "ring exchange, two sites, open boundaries": Case(
        ("ring ./ringfile",),
        jfile=rows([(1, 1, (0.5, 0, 0), 0.9), (1, 1, (-0.5, 0, 0), 0.9)]),
        posfile="1 1 0 0 0\n2 1 0.5 0 0\n",
        momfile="1 1 1.5 0 0 1\n2 1 1.5 0 0 1\n",
        boundaries="0 P 0",
        files={"ringfile": _ring([(0, 0, 0), (0.5, 0, 0), (0.5, 1.0, 0), (0, 1.0, 0)], 0.4)},
    ),
}


def random_spins(case: Case) -> FloatArray:
    """Unit vectors (N, 3) of a case, in the order of ASE's ``repeat``."""
    count = len(case.posfile.splitlines()) * int(np.prod(case.size))
    spins = np.random.default_rng(7).normal(size=(count, 3))
    return np.asarray(spins / np.linalg.norm(spins, axis=1, keepdims=True))


def order(case: Case) -> list[int]:
    """Number in the order of ASE's ``repeat`` of every site of UppASD."""
    sites, (a, b, c) = len(case.posfile.splitlines()), case.size
    return [i + sites * (z + c * (y + b * x)) for z in range(c) for y in range(b) for x in range(a) for i in range(sites)]


_RUN = (
    "initmag 4", "restartfile ./restart", "ip_mode N", "mode S", "mensemble 1", "nstep 1", "temp 0.0", "timestep 1e-30",
    "damping 0.0", "plotenergy 1", "do_avrg Y", "avrg_step 1", "avrg_buff 1", "sdealgh 1", "use_vsl F", "do_prnstruct 0",
    "do_prn_beff Y", "beff_step 1", "beff_buff 1",
)  # fmt: skip


def judge(program: str, case: Case, folder: Path) -> tuple[str, list[list[float]]]:
    """The energy per site that UppASD prints, and the fields (tesla) at its first three sites."""
    case.write(folder, _RUN)
    lengths = [line.split()[2] for line in case.momfile.splitlines()]
    spins = random_spins(case)
    lines = ["#"] * 7
    for number, k in enumerate(order(case)):
        place = " ".join(f"{x:.17e}" for x in spins[k])
        lines.append(f"0 1 {number + 1} {lengths[number % len(lengths)]} {place}")
    (folder / "restart").write_text("\n".join(lines) + "\n")
    subprocess.run([program], cwd=folder, capture_output=True, check=True, timeout=60)
    energies, fields = (
        [line.split() for line in next(folder.glob(name)).read_text().splitlines() if not line.lstrip().startswith("#")]
        for name in ("totenergy*", "befftot*")
    )
    return energies[0][1], [[float(word) for word in row[3:6]] for row in fields[:3]]


def main() -> None:
    """Print the table of reference values."""
    what = "Fields (tesla) at the first three sites" if sys.argv[2:] else "Energies per site (mRy)"
    print(f"# {what} that UppASD 6.1 (commit d8d6663 of its public repository, gfortran 12.2) prints")
    print("# for the cases of uppasd_cases.py; the command is in its docstring.")
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            energy, fields = judge(sys.argv[1], case, Path(folder))
        print(f'"{name}" = {fields if sys.argv[2:] else format(float(energy), ".10g")}', flush=True)


if __name__ == "__main__":
    main()
