"""Input files to start from: written, never over others, and each runs as it stands (shorter here)."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from spinase_training.labels import LabelInput
from spinase_training.recipe import read_recipe
from systems.examples import command

from spinase.errors import InputError
from spinase.io import read_run
from spinase.run import read_input
from spinase.run.start import STARTS, write_start

SHORTER = {
    "quench": ["atoms.size=[2, 2]", "stage.0.steps=4"],
    "spin-lattice": ["atoms.size=[2, 2, 2]", "stage.0.steps=4", "stage.1.steps=4"],
    "device": ["atoms.size=[6, 1]", "stage.0.steps=1"],
    "curie": ["atoms.size=[3, 3, 3]", "stage.0.steps=20"],
}


@pytest.mark.parametrize("kind", SHORTER)
def test_what_is_written_runs(kind: str, tmp_path: Path) -> None:
    printed = command("new", kind, folder=tmp_path)
    (name,) = STARTS[kind]
    assert printed.strip() == f"wrote {name}"
    words = [word for entry in SHORTER[kind] for word in ("--set", entry)]
    command("run", name, *words, "--no-figures", "-o", "run", folder=tmp_path)
    run = read_run(tmp_path / "run" / "run.h5")
    assert len(run) >= 2
    assert run.observables


def test_labels_and_recipe_are_read(tmp_path: Path) -> None:
    labels, recipe = write_start("learn", tmp_path)
    assert LabelInput.model_validate(tomllib.loads(labels.read_text())).realizations == 60
    assert read_recipe(recipe)[0].labels == "labels.h5"


def test_files_that_are_there_are_kept(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("mine")
    with pytest.raises(InputError, match="recipe.toml exists already: nothing is written"):
        write_start("learn", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.toml"]
    with pytest.raises(InputError, match="unknown kind 'quenched'.*did you mean 'quench'"):
        write_start("quenched", tmp_path)


def test_a_name_for_the_file_is_taken(tmp_path: Path) -> None:
    place = tmp_path / "mine" / "cooling.toml"
    assert write_start("curie", place) == [place]
    assert read_input(place, ())[0].title == "cooling through the Curie point"
    with pytest.raises(InputError, match="cooling.toml exists already"):
        write_start("curie", place)
    with pytest.raises(InputError, match=r"learn has 2 files \(labels.toml, recipe.toml\): give a folder, not .*one.toml"):
        write_start("learn", tmp_path / "one.toml")
    assert not (tmp_path / "one.toml").exists()


def test_the_package_is_a_program(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "spinase", "new", "curie"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "wrote curie.toml"
    assert read_input(tmp_path / "curie.toml", ())[0].title == "cooling through the Curie point"
