"""Two processes in one place, files of others, files that vanish: nobody's work is lost, and nobody's files are touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from spinase_training.labels import LabelOptions, label_file
from systems.inputs import NOISY, square_magnet, square_run

from spinase.dynamics.checkpoint import load_checkpoint
from spinase.errors import CheckpointError, FileInUseError, InputError, OutputError
from spinase.files import MARK, held, read_arrays, replacing, write_arrays, write_text
from spinase.io import read_labels, read_run
from spinase.run import RunOptions, RunStopped, run_file

RUN = square_run(
    3,
    3,
    f"""[[stage]]
driver = "llg"
steps = 40
{NOISY}[[observer]]
style = "magnetization"
every = 4
[output]
every = 5
checkpoint_every = 10
""",
)
LABELS = "realizations = 2\nrandom = 2\n" + square_magnet(3, 3)
HOLD = "import sys, time; from pathlib import Path; from spinase.files import held\nwith held(Path(sys.argv[1]), 'it'):\n"
HOLD += " print('held', flush=True); time.sleep(60)"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.toml").write_text(RUN)
    (tmp_path / "labels.toml").write_text(LABELS)
    return tmp_path


def test_a_folder_has_one_holder_at_a_time_and_a_kill_lets_go(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        with (
            pytest.raises(FileInUseError, match=rf"another process works on the run \(process {process.pid} on .*, since"),
            held(tmp_path, "the run"),
        ):
            pass
    finally:
        process.kill()
        process.communicate()
    with held(tmp_path, "the run"):
        pass


def test_a_second_run_or_labelling_in_the_same_place_is_refused(here: Path) -> None:
    run_file("run.toml", options=RunOptions(here / "out"))
    before = (here / "out" / "run.h5").read_bytes()
    with held(here / "out", "the run"):
        for options in (RunOptions(here / "out", overwrite=True), RunOptions(here / "out", restart=True)):
            with pytest.raises(FileInUseError, match="another process works on the run in"):
                run_file("run.toml", options=options)
    assert (here / "out" / "run.h5").read_bytes() == before
    (here / "x_parts").mkdir()
    with held(here / "x_parts", "labels"):
        (here / "x_parts" / MARK).write_text('{"kind": "labels"}')
        with pytest.raises(FileInUseError, match="another process works on the labels in .*x.h5"):
            label_file("labels.toml", options=LabelOptions(here / "x.h5"))


def test_files_of_others_stay(here: Path) -> None:
    for name in ("log.txt", "checkpoint.npz", "run.h5", "input.toml"):
        folder = here / f"foreign_{name}"
        folder.mkdir()
        (folder / name).write_text("mine")
        for overwrite in (False, True):
            with pytest.raises(InputError, match=f"has a {name} that is of no run of spinase: name another folder"):
                run_file("run.toml", options=RunOptions(folder, overwrite=overwrite))
        assert [path.name for path in folder.iterdir()] == [name]
        assert (folder / name).read_text() == "mine"
    (here / "labels_labels_parts").mkdir()
    (here / "labels_labels_parts" / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="was not made by spinase label: name another file with --output"):
        label_file("labels.toml")
    assert (here / "labels_labels_parts" / "thesis.tex").read_text() == "mine"
    (here / "mine.h5").write_text("mine")
    with pytest.raises(InputError, match="is no label file of spinase"):
        label_file("labels.toml", options=LabelOptions(here / "mine.h5"))
    assert (here / "mine.h5").read_text() == "mine"


def test_temporary_names_follow_no_links(here: Path) -> None:
    """Whatever lies under a likely temporary name, and links in place of our files, are left alone."""
    (here / "precious").write_text("mine")
    (here / "out").mkdir()
    for name in ("run.h5.tmp", "input.toml.tmp", "checkpoint.npz.tmp"):
        (here / "out" / name).symlink_to(here / "precious")
    run_file("run.toml", options=RunOptions(here / "out"))
    label_file("labels.toml", options=LabelOptions(here / "x.h5"))
    assert (here / "precious").read_text() == "mine"
    assert not list(here.rglob(".*.tmp"))
    (here / "out" / "log.txt").unlink()
    (here / "out" / "log.txt").symlink_to(here / "precious")
    with pytest.raises((CheckpointError, OutputError), match=r"log\.txt"):
        run_file("run.toml", options=RunOptions(here / "out", restart=True))
    assert (here / "precious").read_text() == "mine"


def test_parts_of_different_runs_are_not_put_together(here: Path) -> None:
    """Same input text but for the seed: the run file, the log and the checkpoint of another run are each noticed."""
    for name, seed in (("one", 3), ("two", 4)):
        with pytest.raises(RunStopped):
            run_file("run.toml", [f"seed={seed}"], RunOptions(here / name, stop_after=20))
    for name, message in (
        ("run.h5", "is of another run than the checkpoint"),
        ("log.txt", "is not the log of the checkpoint"),
        ("checkpoint.npz", "the input differs|of another run|is not that of the checkpoint"),
    ):
        kept = (here / "one" / name).read_bytes()
        (here / "one" / name).write_bytes((here / "two" / name).read_bytes())
        with pytest.raises(CheckpointError, match=message):
            run_file("run.toml", ["seed=3"], RunOptions(here / "one", restart=True))
        (here / "one" / name).write_bytes(kept)
    run_file("run.toml", ["seed=3"], RunOptions(here / "one", restart=True))


@pytest.mark.parametrize("name", ["run.h5", "log.txt"])
def test_output_that_vanishes_during_a_run_is_noticed(here: Path, name: str) -> None:
    def remove(done: int, *_: object) -> None:
        if done >= 20:
            (here / "out" / name).unlink(missing_ok=True)

    with pytest.raises(OutputError, match=f"{name} was removed or replaced while it was being written"):
        run_file("run.toml", options=RunOptions(here / "out"), progress=remove)


def test_a_full_disk_is_one_line_and_the_data_are_whole(here: Path) -> None:
    """The run ends as if it had been killed there: what it wrote reads, and a restart gives the same bytes."""
    (here / "run.toml").write_text(RUN.replace("steps = 40", "steps = 2400").replace("[3, 3]", "[12, 12]"))
    command = [sys.executable, "-m", "spinase.cli", "run", "run.toml", "--no-figures"]
    limited = ["sh", "-c", 'ulimit -f 6000; exec "$@"', "-", *command, "-o", "full"]
    done = subprocess.run(limited, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2, done.stderr
    told = [line for line in done.stderr.splitlines() if not line.startswith("stage ")]
    assert len(told) == 1, done.stderr
    assert told[0].startswith("Error: cannot write full"), done.stderr
    assert "cannot write" in done.stderr
    assert "File too large" in done.stderr
    partly = read_run(here / "full" / "run.h5")
    assert 20 < len(partly) < 480
    whole = run_file("run.toml", options=RunOptions(here / "whole"))
    parts = run_file("run.toml", options=RunOptions(here / "full", restart=True))
    np.testing.assert_array_equal(read_run(parts).moments, read_run(whole).moments)
    assert (here / "full" / "log.txt").read_bytes() == (here / "whole" / "log.txt").read_bytes()


def test_a_hung_up_terminal_leaves_a_checkpoint(here: Path) -> None:
    (here / "run.toml").write_text(RUN.replace("steps = 40", "steps = 4000000"))
    command = [sys.executable, "-m", "spinase.cli", "run", "run.toml", "--no-figures", "-o", "out"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (here / "out" / "checkpoint.npz").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGHUP)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "stopped by signal 1 (SIGHUP)" in out
    assert load_checkpoint(here / "out" / "checkpoint.npz")["step"] > 0


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "a.txt"):
        raise KeyboardInterrupt
    assert (tmp_path / "a.txt").read_text() == "old"
    with pytest.raises(OutputError, match=r"cannot write .*/none/a.txt: No such file or directory"):
        write_text(tmp_path / "none" / "a.txt", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_arrays_are_read_only_if_they_are_what_they_say(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    arrays = {
        "x": np.arange(6.0).reshape(2, 3),
        "f": np.asfortranarray(np.eye(3)),
        "n": np.zeros((0, 3)),
        "t": np.array("ab"),
    }
    for compressed in (False, True):
        write_arrays(path, arrays, compressed)
        found = read_arrays(path)
        assert {name: array.tolist() for name, array in found.items()} == {n: a.tolist() for n, a in arrays.items()}
        assert found["x"].flags.writeable
    np.savez(path, x=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="x.npy holds neither numbers nor text"):
        read_arrays(path)
    write_arrays(path, {"x": np.zeros(4)})
    path.write_bytes(path.read_bytes().replace(b"(4,)", b"(9,)"))
    with pytest.raises(ValueError, match="announced with another size|cut off, damaged"):
        read_arrays(path)


def test_damage_in_labels_is_noticed(here: Path) -> None:
    path = label_file("labels.toml", options=LabelOptions(here / "x.h5"))
    with h5py.File(path, "r+") as file:
        file["000001/energies"][1] += 1e-9
    with pytest.raises(CheckpointError, match="damaged or no label file: its labels are not as they were written"):
        read_labels(path)
    label_file("labels.toml", options=LabelOptions(path))
    with h5py.File(path, "r+") as file:
        file.attrs["teacher"] = np.bytes_(b"another")
    with pytest.raises(CheckpointError, match="what it says of itself is not as it was written"):
        read_labels(path)
