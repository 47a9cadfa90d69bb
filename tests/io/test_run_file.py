"""Run files: layout, reading while written, damage."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from ase.io import read

from spinase.errors import CheckpointError
from spinase.io import read_run, write_frames
from spinase.io.layout import ElementInfo, RunWriter, StreamInfo, copy_frames

MOMENT, FIELD = "particles/atoms/moment", "particles/atoms/magnetic_forces"
S = "observables/sf/S"


def writer(path: Path) -> RunWriter:
    made = RunWriter(
        path,
        {
            "frames": StreamInfo({MOMENT: ElementInfo((4, 3)), FIELD: ElementInfo((4, 3))}),
            "sf": StreamInfo(
                {S: ElementInfo((2,), {"label": "S(q)", "plot": "map", "axis": "q"})},
                {"observables/sf/static/q": np.zeros((2, 3))},
            ),
        },
        {
            "particles/atoms/species": np.full(4, 26),
            "particles/atoms/box/edges": np.eye(3),
            "particles/atoms/position": np.arange(12.0).reshape(4, 3),
        },
        {
            "particles/atoms/box": {"dimension": 3, "boundary": ["periodic", "none", "periodic"]},
            "provenance": {"units": "reduced", "seed": "3"},
        },
    )
    made.start()
    return made


def frame(k: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(k)
    return {MOMENT: rng.normal(size=(4, 3)), FIELD: rng.normal(size=(4, 3))}


def test_what_is_written_is_read_to_the_last_bit(tmp_path: Path) -> None:
    with writer(tmp_path / "run.h5") as out:
        for k in range(3):
            out.append("frames", 10 * k, 0.1 * k, frame(k))
        out.append("sf", 20, 0.2, {S: [1.0, 2.0]})
        assert out.lengths == {"frames": 3, "sf": 1}
    run = read_run(tmp_path / "run.h5")
    assert len(run) == 3
    np.testing.assert_array_equal(run.steps, [0, 10, 20])
    np.testing.assert_array_equal(run.moments[2], frame(2)[MOMENT])
    np.testing.assert_array_equal(run.results["magnetic_forces"][1], frame(1)[FIELD])
    series = run.observables["sf"]["S"]
    assert (series.label, series.plot, series.axis) == ("S(q)", "map", "q")
    np.testing.assert_array_equal(series.values, [[1.0, 2.0]])
    assert run.static["sf"]["q"].shape == (2, 3)
    atoms = run.atoms(1)
    np.testing.assert_array_equal(atoms.moments, frame(1)[MOMENT])
    assert atoms.units == run.units == "reduced"
    assert atoms.pbc.tolist() == [True, False, True]
    with h5py.File(tmp_path / "run.h5") as file:
        assert file[f"{MOMENT}/step"] == file[f"{FIELD}/step"], "one clock a stream"
    write_frames(run, tmp_path / "run.traj")
    np.testing.assert_array_equal(read(tmp_path / "run.traj", 2).arrays["initial_magmoms"], frame(2)[MOMENT])


def test_an_open_file_can_be_read_and_half_a_frame_is_left_out(tmp_path: Path) -> None:
    out = writer(tmp_path / "run.h5")
    out.append("frames", 0, 0.0, frame(0))
    value = out._file[f"{MOMENT}/value"]  # a kill between the value and its step
    value.resize(2, axis=0)
    value.flush()
    assert len(read_run(tmp_path / "run.h5")) == 1
    out.close()


def test_frames_up_to_a_checkpoint_are_copied(tmp_path: Path) -> None:
    with writer(tmp_path / "old.h5") as out:
        for k in range(4):
            out.append("frames", k, float(k), frame(k))
    with writer(tmp_path / "new.h5") as new:
        copy_frames(tmp_path / "old.h5", new, {"frames": 2, "sf": 0})
        new.append("frames", 2, 2.0, frame(2))
        new.replace(tmp_path / "old.h5")
    run = read_run(tmp_path / "old.h5")
    np.testing.assert_array_equal(run.moments, [frame(k)[MOMENT] for k in range(3)])


def test_damage_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no run file"):
        read_run(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(CheckpointError, match="damaged or no run file"):
        read_run(tmp_path / "text.h5")
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(CheckpointError, match="not a spinase run file"):
        read_run(tmp_path / "foreign.h5")
