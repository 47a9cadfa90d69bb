"""Labelling: right labels, the same from any number of workers, nothing lost or made twice after a kill."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase.io import read as ase_read
from ase.units import fs
from spinase_training.commands import label
from spinase_training.labels import LabelOptions, label_file
from spinase_training.labels import realizations as labelling
from spinase_training.labels.labelling import plain_labels
from typer import Typer
from typer.testing import CliRunner

from spinase import SpinAtoms
from spinase.analysis import topological_charge
from spinase.calculators import EDCalculator
from spinase.electrons import SDModel
from spinase.errors import CheckpointError, InputError
from spinase.files import write_mark
from spinase.io import read_labels, write_label_frames, write_labels
from spinase.run.config import named_files, read_table

app = Typer()
app.command("label")(label)
app.command("other")(lambda: None)  # with one command only, typer takes no name

INPUT = """
title = "disordered s-d magnet"
seed = 4
realizations = 5
random = 2
forces = true
displacement = 0.02
[atoms]
disordered = { sites = 10, min_distance = 0.75 }
[calculator]
style = "ed"
coupling = 3.0
kT = 0.2
filling = 0.3
hopping = { style = "exponential", t0 = 1.0, decay = 2.0, reference = 1.0, cutoff = 1.9 }
[quench]
timestep = 0.2
times = [0.4, 2.0]
damping = 0.5
"""


def source(tmp_path: Path, text: str = INPUT) -> Path:
    path = tmp_path / "magnet.toml"
    path.write_text(text)
    return path


def make(tmp_path: Path, name: str = "a.h5", **options: object) -> Path:
    return label_file(source(tmp_path), options=LabelOptions(tmp_path / name), **options)


def same(one: Path, two: Path) -> bool:
    return read_labels(one)[1]["hash"] == read_labels(two)[1]["hash"]


def test_labels_are_what_the_calculator_says(tmp_path: Path) -> None:
    parts, attributes = read_labels(make(tmp_path))
    assert len(parts) == 5
    assert attributes["title"] == "disordered s-d magnet"
    assert '"style": "ed"' in attributes["teacher"]
    config = {"coupling": 3.0, "kT": 0.2, "filling": 0.3}
    hopping = {"style": "exponential", "t0": 1.0, "decay": 2.0, "reference": 1.0, "cutoff": 1.9}
    calc = EDCalculator(SDModel.from_config({**config, "hopping": hopping}))
    assert not np.allclose(parts[0].positions[0], parts[1].positions[0])
    for labels in parts[:2]:
        assert labels.kinds == ["random", "random", "quench", "quench"]
        assert 0.001 < np.abs(labels.positions[1] - labels.positions[0]).max() < 0.2
        for k in range(len(labels)):
            atoms = labels.atoms(k)
            assert calc.get_property("free_energy", atoms) == pytest.approx(labels.energies[k], abs=1e-10)
            for name in ("magnetic_forces", "forces"):
                np.testing.assert_allclose(getattr(labels, name)[k], calc.get_property(name, atoms), atol=1e-9)
    quenched = [labels.energies[3] - labels.energies[2] for labels in parts]
    assert np.mean(quenched) < 0


def test_another_calculator_may_move_the_spins(tmp_path: Path) -> None:
    """Labels stay the teacher's; with the teacher as driver nothing changes; with a still one neither do the spins."""
    alone = make(tmp_path)
    teacher = INPUT[INPUT.index("style") : INPUT.index("[quench]")].strip().splitlines()
    driver = f"driver = {{ {', '.join(teacher)} }}\n"
    copied = tmp_path / "driven.toml"
    copied.write_text(INPUT + driver)
    assert same(alone, label_file(copied, options=LabelOptions(tmp_path / "driven.h5")))
    copied.write_text(INPUT + 'driver = { style = "uniaxial", strength = 0.0 }\n')
    parts, _ = read_labels(label_file(copied, options=LabelOptions(tmp_path / "still.h5")))
    others, _ = read_labels(alone)
    np.testing.assert_allclose(parts[0].moments[3], parts[0].moments[2], atol=1e-12)
    assert parts[0].energies[0] == others[0].energies[0]
    assert np.abs(parts[0].magnetic_forces[3]).max() > 0.1


def test_any_number_of_workers_gives_the_same_labels(tmp_path: Path) -> None:
    alone = make(tmp_path)
    assert not list(tmp_path.glob("*_parts"))
    with ThreadPoolExecutor(2) as threads:
        assert same(alone, make(tmp_path, "threads.h5", executor=threads))
    processes = label_file(source(tmp_path), options=LabelOptions(tmp_path / "processes.h5", workers=2))
    assert same(alone, processes)


def test_a_killed_labelling_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = make(tmp_path)
    made = []
    original = labelling.make_labels

    def until_killed(config, folder, number):
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(number)
        return original(config, folder, number)

    monkeypatch.setattr(labelling, "make_labels", until_killed)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, "cut.h5")
    assert made == [0, 1, 2]
    assert len(list((tmp_path / "cut_parts").glob("*.npz"))) == 3
    monkeypatch.setattr(labelling, "make_labels", lambda *words: (made.append(words[2]), original(*words))[1])
    seen = []
    cut = label_file(
        source(tmp_path), options=LabelOptions(tmp_path / "cut.h5"), progress=lambda done, total, what: seen.append(done)
    )
    assert made == [0, 1, 2, 3, 4]
    assert seen == [4, 5]
    assert same(cut, whole)


def test_parts_of_another_input_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "a_parts"
    folder.mkdir()
    write_mark(folder, kind="labels")
    (folder / "input.toml").write_text("another")
    (folder / "000002.npz").write_bytes(b"half")
    with pytest.raises(InputError, match="parts of a labelling with another input"):
        make(tmp_path)
    (folder / "input.toml").write_text(INPUT)
    with pytest.raises(CheckpointError, match="damaged.*delete the file"):
        make(tmp_path)


def test_a_mistake_that_labelled_nothing_does_not_stand_in_the_way(tmp_path: Path) -> None:
    wrong = INPUT.replace('symbol = "Fe"', "").replace("[atoms]", '[atoms]\nsymbol = "Xx"')
    with pytest.raises(InputError, match="no chemical symbol"):
        label_file(source(tmp_path, wrong), options=LabelOptions(tmp_path / "a.h5"))
    assert (tmp_path / "a_parts").exists()
    assert len(read_labels(make(tmp_path))[0]) == 5


def test_another_file_of_the_same_name_is_another_input(tmp_path: Path) -> None:
    text = INPUT.replace("[atoms]", '[atoms]\nfile = "sites.xyz"').replace("disordered = ", "# ")
    for side in (3.0, 3.5):
        SpinAtoms("Fe", cell=[side] * 3, pbc=True, moments=[[0, 0, 1]], units="reduced").repeat(2).write(
            tmp_path / "sites.xyz", format="extxyz"
        )
        if side == 3.0:
            labelled = label_file(source(tmp_path, text), options=LabelOptions(tmp_path / "a.h5"))
            assert read_labels(labelled)[0][0].cells[0][0, 0] == 6.0
            (tmp_path / "a_parts").mkdir()
            write_mark(tmp_path / "a_parts", kind="labels")
            (tmp_path / "a_parts" / "000000.npz").touch()
            (tmp_path / "a_parts" / "input.toml").write_text(
                text + named_files(read_table(tmp_path / "magnet.toml")[0], tmp_path)
            )
    with pytest.raises(InputError, match="parts of a labelling with another input"):
        label_file(source(tmp_path, text), options=LabelOptions(tmp_path / "a.h5"))


def test_a_signal_stops_a_labelling_that_goes_on_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, made = labelling.make_labels, []

    def interrupted(config, folder, number):
        made.append(number)
        if len(made) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(config, folder, number)

    monkeypatch.setattr(labelling, "make_labels", interrupted)
    words = ["label", str(source(tmp_path)), "-o", str(tmp_path / "a.h5")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 3
    assert "stopped by signal 15 (SIGTERM)" in result.output
    assert "the same command goes on" in result.output
    assert CliRunner().invoke(app, words).exit_code == 0
    assert made == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (("realizations = 5", ""), "realizations"),
        (("times = [0.4, 2.0]", "times = [2.0, 0.4]"), "ascending"),
        (("realizations = 5", "realizations = 0"), "realizations"),
        (("seed = 4", "sead = 4"), "did you mean 'seed'"),
        (('style = "ed"', 'style = "edd"'), "did you mean"),
    ],
)
def test_bad_inputs(tmp_path: Path, changed: tuple[str, str], message: str) -> None:
    text = INPUT.replace(*changed)
    with pytest.raises((InputError, LookupError), match=message):
        label_file(source(tmp_path, text), options=LabelOptions(tmp_path / "a.h5"))


def test_nothing_to_label_is_refused(tmp_path: Path) -> None:
    text = INPUT.split("[quench]")[0].replace("random = 2", "")
    with pytest.raises(InputError, match="nothing to label"):
        label_file(source(tmp_path, text), options=LabelOptions(tmp_path / "a.h5"))


def test_bad_label_files(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no label file"):
        read_labels(tmp_path / "no.h5")
    path = make(tmp_path)
    parts, attributes = read_labels(path)
    parts[1].magnetic_forces[0, 0, 0] = np.nan
    write_labels(path, parts, attributes)
    with pytest.raises(CheckpointError, match="magnetic_forces of realization 1 are not finite"):
        read_labels(path)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(CheckpointError, match="no label file: it is not of format"):
        read_labels(tmp_path / "other.h5")
    (tmp_path / "cut.h5").write_bytes(path.read_bytes()[:3000])
    with pytest.raises(CheckpointError, match="damaged"):
        read_labels(tmp_path / "cut.h5")


def test_textures_and_frames_for_other_programs(tmp_path: Path) -> None:
    text = (
        INPUT.split("[atoms]")[0].replace("displacement = 0.02", "").replace("forces = true", "").replace("random = 2", "")
    )
    text += """
[atoms]
lattice = "triangular"
size = [12, 12]
[calculator]
style = "heisenberg"
shells = [1.0]
[[texture]]
style = "skyrmion-crystal"
noise = 0.05
options = { period = 6 }
[[texture]]
style = "ferro"
"""
    with pytest.raises(InputError, match="did you mean 'period'"):
        label_file(source(tmp_path, text.replace("period =", "perid =")), options=LabelOptions(tmp_path / "b.h5"))
    result = CliRunner().invoke(app, ["label", str(source(tmp_path, text)), "-o", str(tmp_path / "a.h5")])
    assert result.exit_code == 0, result.output
    parts, _ = read_labels(tmp_path / "a.h5")
    assert parts[0].kinds == ["skyrmion-crystal", "ferro"]
    assert parts[0].forces is None
    assert abs(topological_charge(parts[0].atoms(0))) > 1.5
    write_label_frames(parts, tmp_path / "a.extxyz")
    frames = ase_read(tmp_path / "a.extxyz", index=":")
    assert len(frames) == 10
    assert frames[1].get_potential_energy() == pytest.approx(parts[0].energies[1])
    np.testing.assert_allclose(frames[3].arrays["magnetic_forces"], parts[1].magnetic_forces[1], atol=1e-7)


def test_amounts_with_units_in_label_inputs() -> None:
    """In tables of the input and of its calculators; reduced units have none."""
    shells = {"style": "heisenberg", "shells": ["16 meV"]}
    table = {"units": "metal", "calculator": shells, "quench": {"timestep": "1 fs", "times": ["0.1 ps"], "driver": shells}}
    found = plain_labels(table)
    assert found["calculator"]["shells"] == found["quench"]["driver"]["shells"] == [pytest.approx(0.016)]
    assert found["quench"]["timestep"] == pytest.approx(fs)
    assert found["quench"]["times"] == [pytest.approx(100.0 * fs)]
    with pytest.raises(InputError, match="quench timestep: '1 fs' has a unit, but the units are reduced"):
        plain_labels({**table, "units": "reduced", "calculator": {}})  # the first in the file
