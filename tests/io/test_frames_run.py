"""Trajectories that scripts write, as runs: for pages, films, exports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.io import read, write
from PIL import Image
from systems.runs import made

from spinase import SpinAtoms
from spinase.calculators import HeisenbergCalculator
from spinase.dynamics import LLGDynamics, MonteCarlo
from spinase.errors import CheckpointError, InputError
from spinase.io import read_run, run_conditions, run_of_frames, write_frames
from spinase.io.run_frames import run_energies
from spinase.run.export import export_run
from spinase.viz.clock import run_to_show
from spinase.viz.movie import run_movie
from spinase.viz.page import run_page


def trajectory(folder: Path, system: str = "metal") -> Path:
    """Three frames, a metal magnet at 300 K in 5 T."""
    atoms = SpinAtoms.lattice("square", (3, 4), units=system, moment=2.0, rng=1)
    atoms.calc = HeisenbergCalculator([0.02])
    field = (0.0, 0.0, 5.0 * 5.7883818e-5)
    LLGDynamics(
        atoms,
        0.1,
        damping=0.1,
        kT=0.02585,
        field=field,
        rng=1,
        trajectory=str(folder / "a.traj"),
        loginterval=2,
        probe=False,
    ).run(4)
    return folder / "a.traj"


def test_a_driver_s_trajectory_is_a_run(tmp_path: Path) -> None:
    frames = read(trajectory(tmp_path), ":")
    run = read_run(tmp_path / "a.traj")
    np.testing.assert_array_equal(run.steps, [0, 2, 4])
    np.testing.assert_allclose(run.times, [0.0, 0.2, 0.4])
    np.testing.assert_array_equal(run.moments[2], frames[2].get_initial_magnetic_moments())
    np.testing.assert_array_equal(run.results["magnetic_forces"][1], frames[1].info["magnetic_forces"])
    energies = run_energies(run)
    assert energies is not None
    np.testing.assert_array_equal(energies, [frame.get_potential_energy() for frame in frames])
    held = run_conditions(run)
    np.testing.assert_allclose(held["kT"], 0.02585)
    np.testing.assert_allclose(held["field"], np.tile([0.0, 0.0, 5.0 * 5.7883818e-5], (3, 1)))
    shown = run_to_show(run)
    assert shown.provenance["time_unit"] == "fs"
    assert shown.times[-1] == pytest.approx(0.4 / units.fs)
    assert repr(run).startswith("Run(frames=3, sites=12, units='metal', end='0.4'")


def test_pages_films_and_exports_take_it(tmp_path: Path) -> None:
    source = trajectory(tmp_path)
    assert "energy (eV)" in run_page(source, tmp_path / "page.html").read_text()
    with Image.open(run_movie(source, tmp_path / "film.gif", panels=("energy",))) as image:
        assert image.n_frames == 3
    (dump,) = export_run(source, tmp_path / "b.dump", "lammps-dump")
    assert dump.read_text().count("ITEM: TIMESTEP") == 3


@pytest.mark.parametrize("name", ["b.traj", "b.xyz"])
def test_frames_of_a_run_come_back(tmp_path: Path, name: str) -> None:
    run = made()
    write_frames(run, tmp_path / name)
    again = read_run(tmp_path / name)
    np.testing.assert_array_equal(again.steps, run.steps)
    np.testing.assert_allclose(again.times, run.times)
    np.testing.assert_allclose(again.positions, run.positions, atol=1e-8)
    np.testing.assert_allclose(again.moments, run.moments, atol=1e-8)
    np.testing.assert_allclose(again.results["magnetic_forces"], run.results["magnetic_forces"], atol=1e-8)
    assert again.units == run.units
    assert again.g_factors is None


def test_sweeps_stay_sweeps_and_reduced_units_reduced(tmp_path: Path) -> None:
    atoms = SpinAtoms.lattice("square", (3, 3), units="reduced", rng=1)
    atoms.calc = HeisenbergCalculator([1.0])
    MonteCarlo(atoms, 0.5, rng=1, trajectory=str(tmp_path / "a.traj")).run(2)
    run = run_to_show(tmp_path / "a.traj")
    assert (run.units, run.provenance["time_unit"]) == ("reduced", "sweeps")
    np.testing.assert_allclose(run.times, [0, 1, 2])


def test_frames_of_plain_ase_are_counted(tmp_path: Path) -> None:
    """No step, no time; scalar moments are along z."""
    atoms = bulk("Fe", cubic=True)
    write(tmp_path / "a.traj", [atoms, atoms])
    run = run_to_show(tmp_path / "a.traj")
    assert run.provenance["time_unit"] == "frames"
    np.testing.assert_allclose(run.times, [0, 1])
    np.testing.assert_allclose(run.moments[1], [[0, 0, 2.3]] * 2)
    assert run_energies(run) is None


def test_two_runs_in_one_file_are_counted(tmp_path: Path) -> None:
    frames = read(trajectory(tmp_path), ":")
    assert run_of_frames([*frames, *frames]).provenance["time_unit"] == "frames"


def test_what_is_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are no frames"):
        run_of_frames([])
    with pytest.raises(InputError, match="frame 0 has no magnetic moments; spins are ASE's initial_magmoms"):
        run_of_frames([Atoms("H")])
    one, other = bulk("Fe"), bulk("Ni")
    other.set_initial_magnetic_moments([1.0])
    with pytest.raises(InputError, match="frame 1 has other atoms or boundaries than frame 0"):
        run_of_frames([one, other])
    with pytest.raises(InputError, match="frame 1 is in reduced units, frame 0 in metal ones"):
        run_of_frames([one, SpinAtoms(one, units="reduced")])
    (tmp_path / "broken.traj").write_text("nothing")
    with pytest.raises(InputError, match=r"broken.traj: ASE cannot read frames from it"):
        read_run(tmp_path / "broken.traj")
    write(tmp_path / "h.xyz", Atoms("H"))
    with pytest.raises(InputError, match=r"h.xyz: frame 0 has no magnetic moments"):
        read_run(tmp_path / "h.xyz")
    with pytest.raises(CheckpointError, match=r"no run file .*a.traj"):
        read_run(tmp_path / "a.traj")
    (tmp_path / "a.pdf").write_text("nothing")
    with pytest.raises(CheckpointError, match=r"no run file \(run.h5; of trajectories .traj, .xyz and .extxyz are read\)"):
        read_run(tmp_path / "a.pdf")
