"""Files of other programs: what is written is read again, and has the layout that they ask for."""

from __future__ import annotations

from pathlib import Path

import ase.units
import h5py
import numpy as np
import pytest
from ase.io import read
from systems.runs import NAMES, made

from spinase.errors import InputError, StyleError
from spinase.io import write_frames
from spinase.io.exports import read_spins
from spinase.run import export_run
from spinase.run.export import style_by_suffix


@pytest.mark.parametrize("name", list(NAMES))
def test_what_is_written_is_read_again(name: str, tmp_path: Path) -> None:
    run = made()
    assert export_run(run, tmp_path / NAMES[name], name) == [tmp_path / NAMES[name]]
    found = read_spins(tmp_path / NAMES[name])
    spins = found.vectors / np.linalg.norm(found.vectors, axis=1, keepdims=True)
    expected, places = run.atoms(-1).spins, run.positions[-1]
    if name == "ovf":  # in the order of the mesh
        order = np.lexsort((places[:, 0], places[:, 1]))
        expected, places = expected[order], places[order]
    np.testing.assert_allclose(spins, expected, atol=2e-8)
    if found.positions is None:
        assert name == "uppasd"
    else:
        np.testing.assert_allclose(found.positions, places, atol=1e-7)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("ovf", "uppasd")])
def test_a_series_is_one_file_with_frames_to_choose(name: str, tmp_path: Path) -> None:
    run = made()
    export_run(run, tmp_path / NAMES[name], name)
    first = read_spins(tmp_path / NAMES[name], index=0).vectors
    np.testing.assert_allclose(first / np.linalg.norm(first, axis=1, keepdims=True), run.atoms(0).spins, atol=1e-7)
    with pytest.raises(InputError, match=r"2|index"):
        read_spins(tmp_path / NAMES[name], index=2)
    export_run(run, tmp_path / NAMES[name], name, [1])  # our own file is replaced
    with pytest.raises(InputError):
        read_spins(tmp_path / NAMES[name], index=1)


def test_the_name_of_a_file_tells_the_style(tmp_path: Path) -> None:
    told = ["extxyz", "traj", "lammps-dump", "ovf", "vtk"]
    assert [style_by_suffix(tmp_path / NAMES[style]) for style in told] == told
    with pytest.raises(InputError, match=r"spins.out does not tell the format: give --to STYLE .*\.ovf \(ovf\)"):
        style_by_suffix(tmp_path / "spins.out")


def test_where_a_file_holds_one_frame_every_frame_gets_its_own(tmp_path: Path) -> None:
    run = made()
    written = export_run(run, tmp_path / "a.ovf", "ovf", [0, -1], {"numbers": "text"})
    assert [path.name for path in written] == ["a-00000000.ovf", "a-00000010.ovf"]
    with pytest.raises(InputError, match="the run has frames 0 to 1, there is none with number 2"):
        export_run(run, tmp_path / "a.ovf", "ovf", [2])


@pytest.mark.parametrize("name", list(NAMES))
def test_files_of_others_are_left_alone(name: str, tmp_path: Path) -> None:
    target = tmp_path / NAMES[name]
    target.write_text("mine\n")
    with pytest.raises(InputError, match="is there and"):
        export_run(made(), target, name)
    assert target.read_text() == "mine\n"
    with pytest.raises(InputError):
        read_spins(target, name)


def test_lammps_columns_are_those_of_its_spin_package(tmp_path: Path) -> None:
    """fm = -dE/ds / hbar in rad/ps; hbar = 6.582119569e-4 eV ps (CODATA 2018)."""
    run = made()
    export_run(run, tmp_path / "a.dump", "lammps-dump", [1])
    lines = (tmp_path / "a.dump").read_text().splitlines()
    at = next(k for k, line in enumerate(lines) if line.startswith("ITEM: ATOMS"))
    row = dict(zip(lines[at].split()[2:], lines[at + 4].split(), strict=True))
    moment, field = run.moments[1, 3], run.results["magnetic_forces"][1, 3]
    assert (row["id"], row["type"], row["element"]) == ("4", "1", "Fe")
    np.testing.assert_allclose([float(row[k]) for k in ("spx", "spy", "spz")], moment / 2.2)
    assert float(row["sp"]) == pytest.approx(2.2)
    np.testing.assert_allclose([float(row[k]) for k in ("mux", "muy", "muz")], moment)
    np.testing.assert_allclose([float(row[k]) for k in ("fmx", "fmy", "fmz")], 2.2 * field / 6.582119569e-4, rtol=1e-5)
    time = float(lines[lines.index("ITEM: TIME") + 1])
    assert time == pytest.approx(0.5 / (1000.0 * ase.units.fs))
    box = lines.index("ITEM: BOX BOUNDS xy xz yz pp pp ff")
    bounds = np.array([line.split() for line in lines[box + 1 : box + 4]], dtype=float)
    np.testing.assert_allclose(bounds[:, 2], [run.cells[0][1, 0], 0.0, 0.0])
    np.testing.assert_allclose(bounds[0, :2], [0.0, run.cells[0][0, 0] + run.cells[0][1, 0]])
    np.testing.assert_allclose(read(tmp_path / "a.dump", format="lammps-dump-text").cell.array, run.cells[1], atol=1e-12)


@pytest.mark.parametrize("tilts", [(-2.0, 1.0, 0.5), (1.5, -3.0, -0.5), (-2.0, -1.0, 0.0)])
def test_bounds_of_a_box_of_lammps_hold_its_corners(tmp_path: Path, tilts: tuple[float, float, float]) -> None:
    xy, xz, yz = tilts
    cell = np.array([[10.0, 0.0, 0.0], [xy, 8.0, 0.0], [xz, yz, 6.0]])
    run = made(cells=np.broadcast_to(cell, (2, 3, 3)), pbc=np.ones(3, dtype=bool))
    export_run(run, tmp_path / "a.dump", "lammps-dump", [0])
    lines = (tmp_path / "a.dump").read_text().splitlines()
    start = lines.index("ITEM: BOX BOUNDS xy xz yz pp pp pp")
    rows = np.array([line.split() for line in lines[start + 1 : start + 4]], dtype=float)
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) @ cell
    np.testing.assert_allclose(rows[:, :2], np.stack([corners.min(axis=0), corners.max(axis=0)], axis=1), atol=1e-12)
    np.testing.assert_allclose(rows[:, 2], tilts)
    np.testing.assert_allclose(read(tmp_path / "a.dump", format="lammps-dump-text").cell.array, cell, atol=1e-12)


def test_a_cell_that_lammps_would_turn_is_a_general_one(tmp_path: Path) -> None:
    turned = np.array([[0.0, 10.0, 0.0], [-8.0, 1.0, 0.0], [0.0, 0.0, 2.5]])
    export_run(made(cells=np.broadcast_to(turned, (2, 3, 3))), tmp_path / "a.dump", "lammps-dump", [0])
    lines = (tmp_path / "a.dump").read_text().splitlines()
    start = lines.index("ITEM: BOX BOUNDS abc origin pp pp ff")
    rows = np.array([line.split() for line in lines[start + 1 : start + 4]], dtype=float)
    np.testing.assert_array_equal(rows[:, :3], turned)


def test_extended_xyz_has_what_ase_and_ovito_draw(tmp_path: Path) -> None:
    run = made()
    export_run(run, tmp_path / "a.xyz", "extxyz")
    atoms = read(tmp_path / "a.xyz", 1)
    for name in ("initial_magmoms", "dipoles"):
        np.testing.assert_allclose(atoms.arrays[name], run.moments[1], atol=1e-7)
    assert atoms.arrays["radius"].max() < 0.5
    np.testing.assert_allclose(atoms.arrays["magnetic_forces"], run.results["magnetic_forces"][1], atol=1e-7)
    assert (atoms.get_potential_energy(), atoms.info["step"], atoms.info["time"]) == (-2.0, 10, 0.5)


def test_frames_keep_results_step_time_and_units(tmp_path: Path) -> None:
    """`write_frames`: every digit in .traj."""
    run = made(units="reduced", results={**made().results, "forces": np.ones((2, 12, 3))})
    write_frames(run, tmp_path / "a.traj")
    atoms = read(tmp_path / "a.traj", 1)
    np.testing.assert_array_equal(atoms.info["magnetic_forces"], run.results["magnetic_forces"][1])
    np.testing.assert_array_equal(atoms.get_forces(), 1.0)
    assert (atoms.get_potential_energy(), atoms.info["step"], atoms.info["units"]) == (-2.0, 10, "reduced")
    write_frames(run, tmp_path / "a.xyz")
    atoms = read(tmp_path / "a.xyz", 1)
    np.testing.assert_allclose(atoms.arrays["magnetic_forces"], run.results["magnetic_forces"][1], atol=1e-7)
    np.testing.assert_allclose(atoms.get_forces(), 1.0)
    assert (atoms.info["time"], atoms.info["units"]) == (0.5, "reduced")


def test_vtkhdf_is_laid_out_as_its_specification_says(tmp_path: Path) -> None:
    run = made()
    export_run(run, tmp_path / "a.vtkhdf", "vtk")
    with h5py.File(tmp_path / "a.vtkhdf") as file:
        root = file["VTKHDF"]
        assert (root.attrs["Type"], root.attrs["Version"].tolist()) == (b"PolyData", [2, 0])
        steps = root["Steps"]
        assert (steps.attrs["NSteps"], steps["Values"][:].tolist()) == (2, [0.0, 0.5])
        assert steps["PointOffsets"][:].tolist() == [0, 12] == steps["PointDataOffsets/spin"][:].tolist()
        assert steps["CellOffsets"].shape == (2, 4)
        assert root["Vertices/Offsets"].shape == (26,)
        np.testing.assert_array_equal(root["PointData/moment"][12:], run.moments[1])
        np.testing.assert_array_equal(root["PointData/magnetic_forces"][:12], run.results["magnetic_forces"][0])
        assert "energy" not in root["PointData"]


def test_vtk_reads_it(tmp_path: Path) -> None:
    vtk = pytest.importorskip("vtk", reason="pip install vtk")
    from vtk.util.numpy_support import vtk_to_numpy

    run = made()
    export_run(run, tmp_path / "a.vtkhdf", "vtk")
    reader = vtk.vtkHDFReader()
    reader.SetFileName(str(tmp_path / "a.vtkhdf"))
    reader.UpdateInformation()
    assert reader.GetNumberOfSteps() == 2
    for k in range(2):
        reader.SetStep(k)
        reader.Update()
        points = reader.GetOutput()
        np.testing.assert_array_equal(vtk_to_numpy(points.GetPointData().GetArray("spin")), run.atoms(k).spins)
        np.testing.assert_array_equal(vtk_to_numpy(points.GetPoints().GetData()), run.positions[k])


def test_vampire_in_binary_and_in_several_files(tmp_path: Path) -> None:
    """As Vampire writes with config:output-format = binary and two groups of processes."""
    rng = np.random.default_rng(1)
    places, spins = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    rule = "#---"
    (tmp_path / "atoms-coords.meta").write_text(
        f"{rule}\n# Atomistic\n{rule}\n# Date: x\n{rule}\nFormat: binary\n{rule}\nNumber of atoms: 5\n{rule}\n"
        f"Number of materials: 1\n0\t1.7\tCo\tCo\n{rule}\nNumber of coord files: 2\nc-0.data\nc-1.data\n"
    )
    (tmp_path / "spins-00000003.meta").write_text(
        f"{rule}\nTime: 0\n{rule}\nNumber of spin files: 2\ns-0.data\ns-1.data\n{rule}\n"
    )
    for number, rows in enumerate((slice(0, 2), slice(2, 5))):
        count = len(places[rows])
        head, types = np.array([count], "<u8").tobytes(), np.zeros(2 * count, "<i4").tobytes()
        (tmp_path / f"c-{number}.data").write_bytes(head + types + places[rows].astype("<f8").tobytes())
        (tmp_path / f"s-{number}.data").write_bytes(head + spins[rows].astype("<f8").tobytes())
    for source in (tmp_path, tmp_path / "spins-00000003.meta"):
        found = read_spins(source)
        np.testing.assert_array_equal(found.vectors, spins)
        np.testing.assert_array_equal(found.positions, places)
    (tmp_path / "s-1.data").write_bytes(head)
    with pytest.raises(InputError, match="s-1.data is damaged: 3 atoms are announced"):
        read_spins(tmp_path)


def test_uppasd_files_of_its_own(tmp_path: Path) -> None:
    """Two ensembles with a header; the older form of `do_mom_legacy`, one line of header and no step."""
    rule = "#" * 80
    rows = [f"{7:8d}{e:8d}{i:8d}  {1.5:16.8E}{0:16.8E}{0:16.8E}{(-1) ** e:16.8E}" for e in (1, 2) for i in (1, 2)]
    head = [
        rule,
        "# File type: R",
        "# Simulation type: S",
        "# Number of atoms: 2",
        "# Number of ensembles: 2",
        rule,
        "# iter",
    ]
    (tmp_path / "restart.a.out").write_text("\n".join([*head, *rows]) + "\n")
    np.testing.assert_allclose(read_spins(tmp_path / "restart.a.out").vectors, [[0.0, 0.0, -1.5]] * 2)
    (tmp_path / "restart.dat").write_text("1000\n 1 1 2.0 1.0 0.0 0.0\n 1 2 2.0 0.0 1.0 0.0\n")
    np.testing.assert_allclose(read_spins(tmp_path / "restart.dat").vectors, [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    (tmp_path / "restart.dat").write_text("1000\n 1 1 2.0 1.0 0.0 0.0\n 1 3 2.0 0.0 1.0 0.0\n")
    with pytest.raises(InputError, match=r"atoms 1\.\.2 of ensemble 1 are needed"):
        read_spins(tmp_path / "restart.dat")


def test_files_that_are_not_what_their_names_say(tmp_path: Path) -> None:
    (tmp_path / "a.vtkhdf").write_text("no HDF5")
    with pytest.raises(InputError, match=r"a\.vtkhdf is no VTKHDF file with point data 'spin'"):
        read_spins(tmp_path / "a.vtkhdf", "vtk")
    with pytest.raises(StyleError, match="'spinase.units:METAL' is no format of frames"):
        read_spins(tmp_path / "a.vtkhdf", "spinase.units:METAL")
    (tmp_path / "atoms-coords.meta").write_text("Format: text\nNumber of coord files: 2\n#---\n")
    (tmp_path / "spins-00000003.meta").write_text("Number of spin files: 2\n")
    with pytest.raises(InputError, match=r"\.meta is damaged: it names no files"):
        read_spins(tmp_path)
