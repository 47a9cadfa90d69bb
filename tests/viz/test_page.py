"""The page of a run: what is in it, and that a browser draws it."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from ase import units
from systems.runs import made

from spinase.errors import CheckpointError, InputError
from spinase.io.run_file import Series
from spinase.viz.page import MOST_SITES, page_data, run_page


def unpacked(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind)


def test_the_page_holds_the_run(tmp_path: Path) -> None:
    seen = Series(
        np.array([0, 5, 10]), np.array([0.0, 0.25, 0.5]), np.array([1.0, 2.0, 3.0]), "length", "mu_B", "series", ""
    )
    density = replace(seen, values=np.arange(36.0).reshape(3, 12), plot="sites", label="density")
    run = made(observables={"m": {"length": seen, "density": density}}, provenance={"units": "metal", "title": "a </b> run"})
    page = run_page(run, tmp_path / "page.html").read_text()
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    data = json.loads(found[1])
    assert "a &lt;/b&gt; run" in page
    assert 'name="viewport" content="width=device-width' in page, "phones show it at their own width"
    assert not re.search(r'(src|href)="', page), "nothing is loaded from elsewhere"
    assert data["steps"] == [0, 10]
    spins = unpacked(data["spins"], "<i2").reshape(2, 12, 3) / 32767
    np.testing.assert_allclose(spins[1], run.atoms(1).spins, atol=2e-5)
    np.testing.assert_allclose(unpacked(data["positions"], "<f4").reshape(12, 3), run.positions[0], atol=1e-5)
    names = {one["name"]: unpacked(one["values"], "<f4").reshape(2, 12) for one in data["colourings"]}
    torques = np.cross(run.moments, run.results["magnetic_forces"])
    np.testing.assert_allclose(names["torque"], np.linalg.norm(torques, axis=2), rtol=1e-5)
    np.testing.assert_array_equal(names["m: density"], density.values[[0, 2]])
    assert [one["label"] for one in data["series"]] == ["energy (eV)", "m: length (mu_B)"]
    assert data["series"][1]["values"] == [1.0, 2.0, 3.0]
    bonds = unpacked(data["bonds"], "<i4").reshape(-1, 2)
    lengths = np.linalg.norm(run.positions[0][bonds[:, 0]] - run.positions[0][bonds[:, 1]], axis=1)
    np.testing.assert_allclose(lengths, 2.5)


def test_large_magnets_are_thinned_and_the_page_says_so() -> None:
    count = MOST_SITES + 500
    places = np.stack([np.arange(count), np.zeros(count), np.zeros(count)], axis=1)
    moments = np.tile([0.0, 0.0, 1.0], (1, count, 1))
    moments[:, ::2] = 0.0  # sites without a moment are shown as sites
    line = made(
        positions=places[None], moments=moments, numbers=np.full(count, 26), cells=np.eye(3)[None], results={},
        pbc=np.zeros(3, dtype=bool), steps=np.array([0]), times=np.array([0.0]),
    )  # fmt: skip
    data = page_data(line)
    assert data["sites"] == MOST_SITES
    assert data["note"] == f"{MOST_SITES} of {count} spins are shown, drawn at random."
    assert set(np.unique(unpacked(data["spins"], "<i2"))) == {0, 32767}


def test_what_cannot_be_shown_or_written(tmp_path: Path) -> None:
    run = made()
    empty = replace(run, steps=run.steps[:0])
    with pytest.raises(CheckpointError, match="no frame has been written"):
        run_page(empty, tmp_path / "page.html")
    (tmp_path / "page.html").write_text("<html>mine</html>")
    with pytest.raises(InputError, match="is there and is no page of spinase"):
        run_page(run, tmp_path / "page.html")


def test_the_viewer_uses_what_its_libraries_have() -> None:
    """Every name of ``LIB`` is among the exports from which the bundle is made, and none is there for nothing."""
    folder = files("spinase.viz") / "page_files"
    used = set(re.findall(r"\bL\.(\w+)", (folder / "viewer.js").read_text()))
    exports = re.findall(r"^export \{(.*?)\}", (folder / "libraries.js").read_text(), re.MULTILINE)
    names = {name.split(" as ")[-1].strip() for line in exports for name in line.split(",")}
    assert used == names


@pytest.mark.slow
def test_a_browser_draws_it_and_the_slider_moves(tmp_path: Path) -> None:
    """Headless Chromium: no error, arrows drawn, another frame shown, the mark in the series with it."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium: apt-get install chromium")
    page = run_page(made(), tmp_path / "page.html")
    quiet = "--no-first-run --disable-quic --disable-background-networking --disable-component-update --disable-sync"
    drawn = "--use-angle=swiftshader --enable-unsafe-swiftshader --enable-logging=stderr --virtual-time-budget=4000"
    for frame, time in ((0, 0.0), (1, 0.5 / units.fs)):  # the page shows metal runs in fs
        command = [browser, "--headless", "--no-sandbox", f"--user-data-dir={tmp_path / 'user'}", *quiet.split()]
        command += [*drawn.split(), "--dump-dom", f"{page.as_uri()}#frame={frame}&colour=torque&bonds=1"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        body = re.search(r"<body[^>]*>", done.stdout)
        assert body is not None
        assert f'data-frame="{frame}"' in body[0]
        cursor = re.search(r'data-cursor="([\d.]+)"', body[0])
        assert cursor is not None
        assert float(cursor[1]) == pytest.approx(time)
        assert "data-error" not in body[0]
        triangles = re.search(r'data-drawn="(\d+)"', body[0])
        assert triangles is not None
        assert int(triangles[1]) > 12 * 20
        assert "CONSOLE" not in done.stderr
