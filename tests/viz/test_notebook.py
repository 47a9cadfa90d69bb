"""What notebooks and interactive sessions show of magnets, runs and models."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from matplotlib import pyplot
from matplotlib.image import imread
from systems.inputs import NOISY, square_run

from spinase import SpinAtoms
from spinase.calculators import HeisenbergCalculator, ModelCalculator
from spinase.io import read_run
from spinase.run import run_file
from spinase.viz.notebook import atoms_html


def picture(html: str, folder: Path) -> bytes:
    """The image in a page, which must be one."""
    found = re.search(r"data:image/png;base64,([^\"]+)", html)
    assert found is not None
    (folder / "shown.png").write_bytes(base64.b64decode(found[1]))
    assert imread(folder / "shown.png").std() > 0.05, "not one colour"
    return base64.b64decode(found[1])


def test_a_magnet_shows_itself(tmp_path: Path) -> None:
    atoms = SpinAtoms.lattice("square", (4, 4), units="reduced", direction=[0.0, 0.6, 0.8])
    atoms.calc = HeisenbergCalculator(shells=[1.0])
    html = atoms._repr_html_()
    for words in ("<td>16 (Fe16)</td>", "<td>reduced</td>", "HeisenbergCalculator", "(0.000, 0.600, 0.800)"):
        assert words in html
    picture(html, tmp_path)
    assert "<td>EMT</td>" in atoms_html(Atoms("Ni", calculator=EMT()))
    ax = atoms.plot()
    assert ax.collections
    pyplot.close(ax.figure)


def test_atoms_without_moments_and_large_magnets_have_no_picture() -> None:
    large = SpinAtoms.lattice("square", (150, 150), units="reduced")
    assert "<img" not in atoms_html(large)
    del large.arrays["initial_magmoms"]
    assert "<th>moments</th><td>none</td>" in atoms_html(large)


def test_a_run_shows_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stage = f'[[stage]]\nsteps = 20\n{NOISY}[[observer]]\nstyle = "magnetization"\n'
    (tmp_path / "in.toml").write_text('title = "a <quench>"\n' + square_run(4, 4, stage))
    path = run_file("in.toml")
    assert path is not None
    run = read_run(path)
    assert len(repr(run)) < 300
    assert repr(run).startswith("Run(frames=3, sites=16, units='reduced'")
    html = run._repr_html_()
    for words in ("a &lt;quench&gt;", "0 to 20, time [hbar/t] 0 to 2", "magnetization |M|"):
        assert words in html
    picture(html, tmp_path)


def test_models_and_their_cards_are_told_in_a_line() -> None:
    calc = ModelCalculator("disordered-sd")
    assert repr(calc) == "ModelCalculator('disordered-sd', units='reduced', networks=1)"
    assert repr(calc.card).startswith("ModelCard('disordered-sd', units='reduced', trunk=")
    assert len(repr(calc.card)) < 400
