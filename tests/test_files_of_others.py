"""Files at a path that somebody gives: ours of the same kind are replaced, whole or not at all; others are left alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from spinase.dynamics.checkpoint import load_checkpoint, save_checkpoint
from spinase.errors import InputError, OutputError
from spinase.files import MARK, refuse_foreign_folder, replacing_folder, write_mark
from spinase.io import Labels, read_labels, write_labels
from spinase.io.labels import write_label_frames
from spinase.io.layout import RunWriter
from spinase.learning.card import ModelCard
from spinase.learning.hippynn.files import DESCRIPTION, describe_training
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig
from spinase.learning.model_file import load_model, save_model
from spinase.run.convert import export_labels, import_labels
from spinase.viz.figures import save_figure

CONFIG = NetworkConfig(species=[26], cutoff=1.5, inner=0.7, radial=3, width=4, channels=[2, 1], layers=1)


def labels(frames: int = 2, units: str = "metal") -> Labels:
    """A square of four spins."""
    rng = np.random.default_rng(frames)
    moments = rng.normal(size=(frames, 4, 3))
    places = np.array([[x, y, 0.0] for x in range(2) for y in range(2)])
    return Labels(
        numbers=np.full(4, 26),
        pbc=np.array([True, True, False]) if units == "reduced" else np.ones(3, dtype=bool),
        units=units,
        kinds=("random",) * frames,
        cells=np.tile(np.diag([2.0, 2.0, 1.0]), (frames, 1, 1)),
        positions=np.tile(places, (frames, 1, 1)),
        moments=moments / np.linalg.norm(moments, axis=2, keepdims=True),
        magnetic_forces=rng.normal(size=(frames, 4, 3)),
        energies=rng.normal(size=frames),
        forces=None,
    )


def export(name: str, units: str = "metal") -> Callable[[Path], object]:
    """Writes labels in the format of another program, by way of a label file beside the folder."""

    def write(path: Path) -> object:
        source = path.parent.with_suffix(".h5")
        if not source.exists():
            write_labels(source, [labels(units=units)], {})
        return export_labels(source, path, name)

    return write


def save_network(path: Path) -> None:
    save_model(path, [MagneticHIPNN(CONFIG)], ModelCard("toy", CONFIG, "reduced"))


FILES: dict[str, tuple[str, str, Callable[[Path], object]]] = {
    "model": ("m.npz", "model file", save_network),
    "checkpoint": ("c.npz", "checkpoint", lambda path: save_checkpoint(path, {"step": 1, "x": np.zeros(2)})),
    "labels": ("l.h5", "label file", lambda path: write_labels(path, [labels()], {})),
    "frames.xyz": ("f.xyz", "series of atoms", lambda path: write_label_frames([labels()], path)),
    "frames.traj": ("f.traj", "series of atoms", lambda path: write_label_frames([labels()], path)),
    "mace": ("m.xyz", "extended XYZ", export("mace")),
    "figure": ("f.png", "figure", lambda path: save_figure(Figure(figsize=(1, 1)), path)),
    "description": (
        DESCRIPTION,
        "description of a training",
        lambda path: describe_training(path.parent, CONFIG, units="reduced"),
    ),
}


@pytest.mark.parametrize("name", list(FILES))
def test_files_of_others_are_left_alone(name: str, tmp_path: Path) -> None:
    """Text, an archive of other arrays, a picture, a folder, a link that leads nowhere: refused in one line."""
    place, kind, write = FILES[name]
    target = tmp_path / place
    arrays, picture = tmp_path / "other.npz", tmp_path / "other.png"
    np.savez(arrays, thesis=np.arange(3))
    Figure(figsize=(1, 1)).savefig(picture)
    for content in (b"mine\n", arrays.read_bytes(), picture.read_bytes(), b"\x00" * 5000):
        target.write_bytes(content)
        with pytest.raises(InputError, match=rf"{place} is there and is no {kind} of spinase: give another name") as caught:
            write(target)
        assert "\n" not in str(caught.value)
        assert target.read_bytes() == content
    target.unlink()
    target.mkdir()
    with pytest.raises(InputError, match="is there and is no"):
        write(target)
    target.rmdir()
    target.symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is there and is no"):
        write(target)
    assert target.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([place, "other.npz", "other.png"])


@pytest.mark.parametrize("name", list(FILES))
def test_our_own_files_are_replaced_whole_or_not_at_all(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, _, write = FILES[name]
    target = tmp_path / place
    target.touch()  # an empty file (of mktemp, say) holds nothing to lose
    write(target)
    before = target.read_bytes()
    assert before
    write(target)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = target.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        write(target)
    monkeypatch.undo()
    assert target.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [place]


def test_one_kind_is_not_replaced_by_another(tmp_path: Path) -> None:
    """A slip of the name does not cost a model or the labels it was made of."""
    model, data, state = tmp_path / "model.npz", tmp_path / "labels.h5", tmp_path / "state.npz"
    save_network(model)
    write_labels(data, [labels()], {})
    save_checkpoint(state, {"step": 3})
    wrong = [
        lambda: write_labels(model, [labels()], {}),
        lambda: save_checkpoint(model, {"step": 1}),
        lambda: save_network(state),
        lambda: save_network(data),
        lambda: RunWriter(data, {}, {}, {}),
        lambda: import_labels([tmp_path], model, "mace"),
        lambda: export_labels(data, data, "mace"),
    ]
    for write in wrong:
        with pytest.raises(InputError, match="is there and is no"):
            write()
    assert len(load_model(model)[0]) == 1
    assert len(read_labels(data)[0]) == 1
    assert load_checkpoint(state) == {"step": 3}


def test_a_run_file_is_replaced_by_a_run_file(tmp_path: Path) -> None:
    for _ in range(2):
        with RunWriter(tmp_path / "run.h5", {}, {"x": np.zeros(3)}, {}) as writer:
            writer.start()


@pytest.mark.parametrize(("name", "units"), [("deepspin", "metal"), ("double-exchange", "reduced")])
def test_folders_of_others_are_left_alone_and_ours_are_replaced_whole(name: str, units: str, tmp_path: Path) -> None:
    target, source = tmp_path / "export", tmp_path / "labels.h5"
    write_labels(source, [labels(2, units), labels(3, units)], {})
    target.mkdir()
    (target / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match=r"export is there and was not written by spinase as .*: give another name"):
        export_labels(source, target, name)
    assert [path.name for path in target.iterdir()] == ["thesis.tex"]
    (target / "thesis.tex").unlink()  # an empty folder may be filled
    export_labels(source, target, name)
    many = sorted(path.name for path in target.iterdir())
    write_labels(source, [labels(2, units)], {})
    export_labels(source, target, name)
    few = sorted(path.name for path in target.iterdir())
    assert set(few) < set(many)  # no system of the first export is left among those of the second
    assert MARK in few
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export", "labels.h5"]
    with pytest.raises(InputError, match="was not written by spinase"):
        export_labels(source, source, name)
    read_labels(source)


def test_a_folder_is_as_it_was_after_an_error(tmp_path: Path) -> None:
    target = tmp_path / "data"
    with replacing_folder(target, "toys") as folder:
        (folder / "a").write_text("first")
    with pytest.raises(KeyError), replacing_folder(target, "toys") as folder:
        (folder / "a").write_text({"b": "second"}["a"])
    with pytest.raises(InputError, match="was not written by spinase as games"), replacing_folder(target, "games"):
        pass
    assert (target / "a").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_folder_is_of_one_kind(tmp_path: Path) -> None:
    write_mark(tmp_path, kind="training")
    refuse_foreign_folder(tmp_path, "training", ("recipe.toml",))
    with pytest.raises(InputError, match="is the folder of a training: name another folder with --output"):
        refuse_foreign_folder(tmp_path, "run", ("run.h5",))
    other = tmp_path / "other"
    other.mkdir()
    refuse_foreign_folder(other, "training", ("recipe.toml", "checkpoint_*.pt"))
    (other / "checkpoint_0.pt").touch()
    with pytest.raises(InputError, match=r"has a checkpoint_0\.pt that is of no training of spinase"):
        refuse_foreign_folder(other, "training", ("recipe.toml", "checkpoint_*.pt"))
