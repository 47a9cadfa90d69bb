"""Films of runs."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from systems.runs import made

from spinase.errors import CheckpointError, InputError
from spinase.viz.movie import run_movie


def test_a_gif_has_the_frames_and_their_colours(tmp_path: Path) -> None:
    """All spins up in the first frame (light), down in the last (dark); every other frame of three."""
    run = made()
    up = np.tile([0.0, 0.0, 1.0], (12, 1))
    moments = np.array([up, up, -up])
    run = replace(
        run,
        moments=moments,
        positions=run.positions[[0, 0, 0]],
        cells=run.cells[[0, 0, 0]],
        steps=np.arange(3),
        times=np.arange(3.0),
        results={},
    )
    told: list[tuple[int, int, str]] = []
    film = run_movie(run, tmp_path / "film.gif", every=2, rate=5.0, progress=lambda *now: told.append(now))
    assert told == [(1, 2, "film"), (2, 2, "film")]
    with Image.open(film) as image:
        assert (image.n_frames, image.info["duration"]) == (2, 200)
        middle = []
        for k in range(2):
            image.seek(k)
            middle.append(np.asarray(image.convert("L"), dtype=float)[150:350, 150:350])
    assert np.median(middle[0]) > 180.0
    assert np.median(middle[1]) < 90.0
    run_movie(run, film, ["spins"], every=2)  # our own film is replaced


def test_panels_are_side_by_side_and_a_wrong_one_is_told(tmp_path: Path) -> None:
    run = made()
    film = run_movie(run, tmp_path / "film.gif", ["spins", "energy"])
    with Image.open(film) as image:
        assert image.width == pytest.approx(2 * image.height, abs=2)
    with pytest.raises(InputError, match=r"unknown panel 'energie' \(did you mean 'energy'\?\); this run has spins, scene"):
        run_movie(run, film, ["energie"])


def test_what_cannot_be_filmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = made()
    with pytest.raises(InputError, match=r"film\.avi: a film ends in \.gif or \.mp4"):
        run_movie(run, tmp_path / "film.avi")
    with pytest.raises(CheckpointError, match="no frame has been written"):
        run_movie(replace(run, steps=run.steps[:0]), tmp_path / "film.gif")
    with pytest.raises(InputError, match="every >= 1"):
        run_movie(run, tmp_path / "film.gif", every=0)
    (tmp_path / "film.gif").write_bytes(b"GIF89a of somebody else")
    with pytest.raises(InputError, match="is there and is no film of spinase"):
        run_movie(run, tmp_path / "film.gif")
    for module, place, panel in (("imageio_ffmpeg", "film.mp4", "spins"), ("pyvista", "other.gif", "scene")):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(InputError, match="pip install"):
            run_movie(run, tmp_path / place, [panel])
        assert not (tmp_path / place).exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # imageio-ffmpeg leaves its pipes open
def test_films_by_ffmpeg_and_scenes_by_pyvista(tmp_path: Path) -> None:
    """Where they are installed: frames come back, and a scene is not empty."""
    ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="pip install imageio-ffmpeg")
    pytest.importorskip("pyvista", reason="pip install pyvista")
    film = run_movie(made("cubic", (3, 3, 3)), tmp_path / "film.mp4", ["scene", "energy"], rate=2.0)
    frames = ffmpeg.read_frames(str(film))
    width, height = next(frames)["size"]
    pictures = [np.frombuffer(picture, np.uint8).reshape(height, width, 3) for picture in frames]
    assert len(pictures) == 2
    assert len(np.unique(pictures[0][:, : width // 2].reshape(-1, 3), axis=0)) > 100
