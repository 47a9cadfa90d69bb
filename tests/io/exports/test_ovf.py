"""OVF: what OOMMF, mumax, discretisedfield and Spirit write is read, and what they ask for is written."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from systems.runs import made

from spinase.errors import InputError
from spinase.io.exports import read_spins
from spinase.io.exports.ovf import rectangular_mesh
from spinase.run import export_run

RNG = np.random.default_rng(2)
VECTORS = RNG.normal(size=(6, 3))
X, Y = np.tile([0.0, 1.0, 2.0], 2), np.repeat([0.0, 1.0], 3)
# keys that mumax 3.10 knows (oommf/oommf.go); it stops at any other
MUMAX = {
    "",
    "oommf",
    "segment count",
    "begin",
    "meshtype",
    "valuerangeminmag",
    "valuerangemaxmag",
    "end",
    "valuelabels",
    "title",
    "valueunits",
    "valuedim",
    "valuemultiplier",
    "valueunit",
    "meshunit",
    "desc",
    *(f"{axis}{word}" for axis in "xyz" for word in ("base", "min", "max", "nodes", "stepsize")),
}

SPIRIT = """# OOMMF OVF 2.0
#
# Segment count: 000001
#
# Begin: Segment
# Begin: Header
#
# Title: SPIRIT Version 2.2.0
#
# valuedim: 3   ## field dimensionality
# valueunits: none none none
# valuelabels: spin_x spin_y spin_z
#
## Fundamental mesh measurement unit. Treated as a label:
# meshunit: nm
#
# meshtype: rectangular
# xbase: 0
# ybase: 0
# zbase: 0
# xstepsize: 0.1
# ystepsize: 0.1
# zstepsize: 0.1
# xnodes: 3
# ynodes: 2
# znodes: 1
#
# End: Header
#
# Begin: Data Text
{rows}
# End: Data Text
# End: Segment
"""


def test_spirits_files_are_read(tmp_path: Path) -> None:
    """A comment behind a number, lengths in nm."""
    rows = "\n".join(" ".join(f"{value:22.12f}" for value in row) for row in VECTORS)
    for text in (rows, rows.replace(" -", ", -")):
        (tmp_path / "a.ovf").write_text(SPIRIT.format(rows=text))
        found = read_spins(tmp_path / "a.ovf")
        np.testing.assert_allclose(found.vectors, VECTORS, atol=1e-11)
        np.testing.assert_allclose(found.positions, np.stack([X, Y, 0 * X], axis=1))


@pytest.mark.parametrize("size", [4, 8])
def test_the_older_version_is_big_endian(size: int, tmp_path: Path) -> None:
    head = SPIRIT.split("# Begin: Data")[0].replace("# OOMMF OVF 2.0", "# OOMMF: rectangular mesh v1.0")
    head = re.sub("# value.*\n", "", head).replace("meshunit: nm", "meshunit: m").replace("0.1", "1e-10")
    check = {4: 1234567.0, 8: 123456789012345.0}[size]
    data = np.array([check, *VECTORS.ravel()]).astype(f">f{size}").tobytes()
    end = f"\n# End: Data Binary {size}\n# End: Segment\n".encode()
    (tmp_path / "a.omf").write_bytes(head.encode() + f"# Begin: Data Binary {size}\n".encode() + data + end)
    found = read_spins(tmp_path / "a.omf")
    np.testing.assert_allclose(found.vectors, VECTORS, atol=1e-6)
    np.testing.assert_allclose(found.positions, np.stack([X, Y, 0 * X], axis=1))
    (tmp_path / "a.omf").write_bytes(head.encode() + f"# Begin: Data Binary {size}\n".encode() + data[:-size])
    with pytest.raises(InputError, match=r"6 points are announced, 5 are there"):
        read_spins(tmp_path / "a.omf")


def test_meshes_without_order_and_several_segments(tmp_path: Path) -> None:
    rows = "\n".join(f"{x} {y} 0 {a} {b} {c}" for x, y, (a, b, c) in zip(X, Y, VECTORS, strict=True))
    segment = (
        "# Begin: Segment\n# Begin: Header\n# meshtype: irregular\n# pointcount: 6\n# valuedim: 3\n# meshunit: nm\n"
        f"# End: Header\n# Begin: Data Text\n{rows}\n# End: Data Text\n# End: Segment\n"
    )
    other = segment.replace(rows, "\n".join("0 0 0 0 0 1" for _ in range(6)))
    (tmp_path / "a.ovf").write_text(f"# OOMMF OVF 2.0\n# Segment count: 2\n{segment}{other}")
    found = read_spins(tmp_path / "a.ovf", index=0)
    np.testing.assert_allclose(found.vectors, VECTORS)
    np.testing.assert_allclose(found.positions, 10.0 * np.stack([X, Y, 0 * X], axis=1))
    np.testing.assert_array_equal(read_spins(tmp_path / "a.ovf").vectors, [[0.0, 0.0, 1.0]] * 6)
    with pytest.raises(InputError, match=r"has 2 segment\(s\): there is none with index 2"):
        read_spins(tmp_path / "a.ovf", index=2)


@pytest.mark.parametrize("numbers", ["text", "binary4", "binary8"])
def test_headers_are_what_mumax_and_discretisedfield_ask_for(numbers: str, tmp_path: Path) -> None:
    run = made("cubic", (3, 2, 2))
    export_run(run, tmp_path / "a.ovf", "ovf", options={"numbers": numbers})
    content = (tmp_path / "a.ovf").read_bytes()
    head = content.partition(b"# Begin: Data")[0].decode().splitlines()
    assert head[0] == "# OOMMF OVF 2.0"
    entries = dict(line.strip("# ").split(": ", 1) for line in head if ": " in line)
    assert {line.strip("# ").partition(":")[0].lower() for line in head[1:]} <= MUMAX
    numbers_of = {key: float(value) for key, value in entries.items() if key[0] in "xyz"}  # one number and nothing else
    for axis, count in zip("xyz", (3, 2, 2), strict=True):
        assert numbers_of[f"{axis}nodes"] == count
        step = numbers_of[f"{axis}stepsize"]
        assert step == pytest.approx(2.5e-10)
        assert numbers_of[f"{axis}base"] == pytest.approx(numbers_of[f"{axis}min"] + step / 2, abs=1e-16)
        assert numbers_of[f"{axis}max"] - numbers_of[f"{axis}min"] == pytest.approx(count * step)
    assert entries["meshunit"] == "m"
    found = read_spins(tmp_path / "a.ovf")
    digits = 1e-7 if numbers == "binary4" else 1e-15
    order = np.lexsort(run.positions[1].T)
    np.testing.assert_allclose(found.vectors, run.atoms(1).spins[order], atol=digits)


def test_sites_and_holes_of_lattices_that_are_not_rectangular() -> None:
    """Honeycomb: rows at 0, a, 3a/2, 5a/2, ...; a mesh of steps a/2 has a point at every site."""
    run = made("honeycomb", (3, 2))
    mesh = rectangular_mesh(run.positions[0], run.cells[0])
    np.testing.assert_allclose(mesh.base + mesh.places * mesh.steps, run.positions[0], atol=1e-9)
    np.testing.assert_allclose(mesh.steps[:2], [2.5 * np.sqrt(3.0) / 2.0, 1.25])
    with pytest.raises(InputError, match=r"OVF holds sites on a rectangular mesh.*export to vtk, extxyz or lammps-dump"):
        rectangular_mesh(RNG.normal(size=(20, 3)), np.eye(3))


def test_spirits_own_library_reads_what_is_written(tmp_path: Path) -> None:
    ovf = pytest.importorskip("ovf.ovf", reason="pip install ovf")
    run = made("cubic", (3, 2, 2))
    order = np.lexsort(run.positions[1].T)
    for numbers in ("text", "binary4", "binary8"):
        export_run(run, tmp_path / "a.ovf", "ovf", options={"numbers": numbers})
        with ovf.ovf_file(str(tmp_path / "a.ovf")) as file:
            segment = ovf.ovf_segment()
            assert file.read_segment_header(0, segment) == ovf.OK
            data = np.zeros((segment.N, 3))
            assert file.read_segment_data(0, segment, data) == ovf.OK
        np.testing.assert_allclose(data, run.atoms(1).spins[order], atol=1e-7)


def test_discretisedfield_reads_what_is_written_and_is_read(tmp_path: Path) -> None:
    df = pytest.importorskip("discretisedfield", reason="pip install discretisedfield")
    run = made("cubic", (3, 2, 2))
    for numbers, name in (("text", "txt"), ("binary4", "bin4"), ("binary8", "bin8")):
        export_run(run, tmp_path / "a.ovf", "ovf", options={"numbers": numbers})
        field = df.Field.from_file(str(tmp_path / "a.ovf"))
        shown = np.array([field(place) for place in run.positions[1] * 1e-10])
        np.testing.assert_allclose(shown, run.atoms(1).spins, atol=1e-7)
        field.to_file(str(tmp_path / "b.ovf"), representation=name)
        found = read_spins(tmp_path / "b.ovf")
        np.testing.assert_allclose(found.vectors, read_spins(tmp_path / "a.ovf").vectors, atol=1e-7)
