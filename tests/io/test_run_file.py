"""Run files: layout, reading while written, damage."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from ase.io import read

from spinase.errors import CheckpointError
from spinase.io import read_run, write_frames
from spinase.io.hdf5 import DamageError, open_to_read, require_stored
from spinase.io.layout import ElementInfo, RunWriter, StreamInfo, copy_frames

MOMENT, FIELD = "particles/atoms/moment", "particles/atoms/magnetic_forces"
S, ENERGY = "series/sf/S", "observables/atoms/potential_energy"
POSITION, SPECIES, EDGES = (f"particles/atoms/{name}" for name in ("position", "species", "box/edges"))


def writer(path: Path) -> RunWriter:
    made = RunWriter(
        path,
        {
            "frames": StreamInfo(
                {
                    MOMENT: ElementInfo((4, 3), unit="mu_B"),
                    FIELD: ElementInfo((4, 3)),
                    POSITION: ElementInfo((4, 3), steady=True),
                    SPECIES: ElementInfo((4,), whole=True, steady=True),
                    EDGES: ElementInfo((3, 3)),
                    ENERGY: ElementInfo(()),
                }
            ),
            "sf": StreamInfo(
                {S: ElementInfo((2,), {"label": "S(q)", "plot": "map", "axis": "q"})},
                {"series/sf/static/q": np.zeros((2, 3))},
            ),
        },
        {"sites/numbers": np.full(4, 26)},
        {
            "particles/atoms/box": {"dimension": 3, "periodic": np.array([1, 0, 1])},
            "provenance": {"units": "reduced", "seed": "3"},
        },
        others={"particles/atoms/box": {"boundary": ["periodic", "none", "periodic"]}},
    )
    made.start()
    return made


def frame(k: int) -> dict[str, Any]:
    rng = np.random.default_rng(k)
    told = {MOMENT: rng.normal(size=(4, 3)), FIELD: rng.normal(size=(4, 3)), ENERGY: np.array(-float(k))}
    return told | {POSITION: np.arange(12.0).reshape(4, 3), SPECIES: np.full(4, 26), EDGES: np.eye(3)}


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
    with pytest.raises(CheckpointError, match="damaged or no run file: it is no run file of format"):
        read_run(tmp_path / "foreign.h5")


KILLED = """
import os, signal, sys
sys.path.insert(0, {here!r})
from pathlib import Path
from test_run_file import frame, writer
from spinase.io.layout import copy_frames
new = writer(Path("run.h5.tmp"))
copy_frames(Path("run.h5"), new, {{"frames": 2, "sf": 0}})
new.replace(Path("run.h5"))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_restart_killed_right_after_its_file_took_the_place_keeps_the_frames(tmp_path: Path) -> None:
    """From that moment on the new file is the only copy."""
    with writer(tmp_path / "run.h5") as out:
        for k in range(4):
            out.append("frames", k, float(k), frame(k))
    script = KILLED.format(here=str(Path(__file__).parent))
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    run = read_run(tmp_path / "run.h5")
    np.testing.assert_array_equal(run.moments, [frame(k)[MOMENT] for k in range(2)])
    with writer(tmp_path / "third.h5") as new:
        copy_frames(tmp_path / "run.h5", new, {"frames": 2, "sf": 0})
        assert new.lengths["frames"] == 2


def test_a_writer_cannot_replace_a_file_before_it_is_safe(tmp_path: Path) -> None:
    with (
        RunWriter(tmp_path / "new.h5", {"frames": StreamInfo({MOMENT: ElementInfo((4, 3))})}, {}, {}) as new,
        pytest.raises(RuntimeError, match="start"),
    ):
        new.replace(tmp_path / "run.h5")


def test_a_file_that_lost_frames_cannot_be_continued(tmp_path: Path) -> None:
    with writer(tmp_path / "old.h5") as out:
        out.append("frames", 0, 0.0, frame(0))
    for lengths, message in (
        ({"frames": 2, "sf": 0}, "it has 1 frames of 'frames' instead of 2"),
        ({"frames": 1}, r"holds \['frames'\], but the input asks for \['frames', 'sf'\]"),
    ):
        with writer(tmp_path / "new.h5") as new, pytest.raises(CheckpointError, match=message):
            copy_frames(tmp_path / "old.h5", new, lengths)
    with writer(tmp_path / "new.h5") as new, pytest.raises(CheckpointError, match="there is no run file"):
        copy_frames(tmp_path / "gone.h5", new, {"frames": 0, "sf": 0})


LEFT_OPEN = """
import os, signal, sys
sys.path.insert(0, {here!r})
from pathlib import Path
from test_run_file import frame, writer
out = writer(Path("run.h5"))
for block in range(10):
    steps = [block * 1000 + k for k in range(1000)]
    many = {{path: value[None].repeat(1000, 0) for path, value in frame(block).items()}}
    out.append("frames", steps, [0.1 * step for step in steps], many)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_cut_copy_of_a_killed_runs_file_is_damaged(tmp_path: Path) -> None:
    """HDF5 would return zeros for what is missing, or wait for ever: both in another process, to survive the latter."""
    script = LEFT_OPEN.format(here=str(Path(__file__).parent))
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=False)
    assert len(read_run(tmp_path / "run.h5")) == 10_000
    whole = (tmp_path / "run.h5").read_bytes()
    whole = whole[: int.from_bytes(whole[28:36], "little")]  # the rest is what the writer had reserved
    names = []
    for part in (0.001, 0.1, 0.3, 0.6, 0.9):
        names.append(f"cut{part}.h5")
        (tmp_path / names[-1]).write_bytes(whole[: int(part * len(whole))])
    reader = (
        "import sys\nfrom spinase.io import read_run\nfrom spinase.errors import CheckpointError\n"
        "for name in sys.argv[1:]:\n try: read_run(name); print('read')\n except CheckpointError as e: print('damaged', e)"
    )
    done = subprocess.run(
        [sys.executable, "-c", reader, *names], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True
    )
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["damaged"] * len(names), done.stdout
    assert all("it is shorter than it says" in line for line in done.stdout.splitlines()[1:])
    with open_to_read(tmp_path / "run.h5") as file:  # as if the file ended sooner
        require_stored(file[f"{MOMENT}/value"], 1000, int(0.6 * len(whole)))
        with pytest.raises(DamageError, match="40000 rows are announced, but the file ends before"):
            require_stored(file[f"{MOMENT}/value"], 40_000, int(0.6 * len(whole)))


def test_a_cut_run_file_is_damaged(tmp_path: Path) -> None:
    with writer(tmp_path / "run.h5") as out:
        for k in range(40):
            out.append("frames", k, float(k), frame(k))
    whole = (tmp_path / "run.h5").read_bytes()
    for length in (100, len(whole) // 3, len(whole) // 2):
        (tmp_path / "cut.h5").write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"cut\.h5 is damaged"):
            read_run(tmp_path / "cut.h5")
