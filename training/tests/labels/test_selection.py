"""Selection: the chosen configurations differ, or are those a model is unsure of; a killed one ends with the same file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from spinase_training.domain import domain_of_input
from spinase_training.labels import LabelOptions, label_file

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.calculators import HeisenbergCalculator, HIPNNCalculator
from spinase.errors import InputError
from spinase.io import read_labels
from spinase.learning.card import ModelCard
from spinase.learning.mhipnn.environments import (
    farthest_points,
    first_largest,
    model_environments,
    pooled,
    site_environments,
)
from spinase.learning.mhipnn.graph import RadialBasis
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig
from spinase.learning.model_file import save_model
from spinase.spin_algebra import random_rotation

INPUT = """
seed = 4
realizations = 4
random = 2
[atoms]
disordered = { sites = 12, min_distance = 0.75 }
[calculator]
style = "heisenberg"
law = { amplitude = 1.0, decay = 2.0, reference = 1.0, cutoff = 1.8 }
[quench]
timestep = 0.1
times = [0.5, 1.0, 2.0]
damping = 0.5
"""
FARTHEST = """
[select]
style = "farthest-point"
cutoff = 1.8
keep = 6
"""
CONFIG = NetworkConfig(species=(26,), cutoff=1.8, inner=0.7, width=6, radial=6, layers=1)


def label(folder: Path, text: str, name: str = "a.h5", **options: object) -> tuple[list, dict]:
    (folder / "magnet.toml").write_text(text)
    return read_labels(label_file(folder / "magnet.toml", options=LabelOptions(folder / name), **options))


def ensemble(path: Path, count: int, **card: object) -> None:
    torch.manual_seed(1)
    save_model(path, [MagneticHIPNN(CONFIG) for _ in range(count)], ModelCard("m", CONFIG, **{"units": "reduced", **card}))


def test_farthest_points_on_a_line() -> None:
    """0, 1, ..., 10: an end, the other end, the middle; then the largest gaps are halved."""
    points = np.arange(11.0)[:, None] ** 1
    assert farthest_points(points, 3).tolist() == [0, 10, 5]
    assert set(farthest_points(points, 5)[3:]) <= {2, 3, 7, 8}
    assert farthest_points(points, 2, known=np.array([[0.0], [10.0]])).tolist()[0] == 5
    assert len(set(farthest_points(points, 11).tolist())) == 11
    assert len(farthest_points(np.zeros((5, 2)), 3)) == 1  # copies of one point
    assert len(farthest_points(points, 3, known=points)) == 0
    owners = np.arange(11) // 6
    taken = farthest_points(points, 6, owners=owners, most=2)
    assert np.bincount(owners[taken]).tolist() == [2, 2]


def test_round_off_chooses_no_points() -> None:
    """Equal points, equal gaps and columns that vanish by symmetry stay so when the last bits change."""
    rng = np.random.default_rng(5)
    points = np.repeat([[0.0, 2.0, 0.0], [3.0, 2.5, 0.0], [3.0, 1.5, 0.0], [8.0, 2.0, 0.0]], 3, axis=0)
    chosen = farthest_points(points, 8).tolist()
    assert len(chosen) == 4, "every point once"
    for _ in range(10):
        noisy = points * (1.0 + 1e-15 * rng.normal(size=points.shape)) + 1e-16 * rng.normal(size=points.shape)
        assert farthest_points(noisy, 8).tolist() == chosen
    scores = np.array([0.2, 0.7, 0.7, 0.1, 0.7])
    assert first_largest(scores) == first_largest(scores + [0.0, 0.0, 2e-16, 0.0, 1e-16]) == 1


def test_farthest_points_are_those_of_a_plain_search() -> None:
    rng = np.random.default_rng(3)
    points = rng.normal(size=(40, 3)) * [1.0, 30.0, 0.01]
    scaled = points / points.std(axis=0)
    taken = farthest_points(points, 12).tolist()
    for k in range(1, 12):
        gaps = [min(np.linalg.norm(scaled[i] - scaled[j]) for j in taken[:k]) for i in range(40)]
        assert gaps[taken[k]] == pytest.approx(max(gaps), rel=1e-9)


@pytest.mark.parametrize("by_model", [False, True])
def test_descriptors_know_no_frame_but_see_spins_and_sites(by_model: bool) -> None:
    atoms, rng = SpinAtoms.disordered(14, units="reduced", rng=1), np.random.default_rng(2)
    torch.manual_seed(1)
    network = MagneticHIPNN(CONFIG)

    def told(magnet: SpinAtoms) -> np.ndarray:
        geometry = geometry_of(magnet)
        if by_model:
            return pooled(model_environments(network, geometry, magnet.spins), geometry.numbers)
        return pooled(site_environments(geometry, magnet.spins, RadialBasis(6, 0.7, 1.8)), geometry.numbers)

    first = told(atoms)
    turned = atoms.copy()
    turned.spins = atoms.spins @ random_rotation(rng).T
    lattice, rotation = atoms.copy(), random_rotation(rng)
    lattice.set_cell(atoms.cell.array @ rotation.T)
    lattice.positions = atoms.positions @ rotation.T
    reversed_ = atoms.copy()
    reversed_.spins = -atoms.spins
    for same in (turned, lattice, reversed_, atoms[rng.permutation(14)], atoms.repeat((2, 1, 1))):
        np.testing.assert_allclose(told(same), first, rtol=1e-9, atol=1e-10)
    flipped, moved = atoms.copy(), atoms.copy()
    flipped.spins = atoms.spins * np.where(np.arange(14) == 3, -1.0, 1.0)[:, None]
    moved.positions[3] += 0.05
    for other in (flipped, moved):
        assert np.abs(told(other) - first).max() > 1e-4


def test_farthest_configurations_are_labelled(tmp_path: Path) -> None:
    every, _ = label(tmp_path, INPUT, "all.h5")
    parts, attributes = label(tmp_path, INPUT + FARTHEST, "chosen.h5")
    assert sum(len(part) for part in parts) == 6
    told = json.loads(attributes["selection"])
    assert (told["candidates"], told["kept"]) == (20, 6)
    for part, (number, indices) in zip(parts, sorted(told["chosen"].items()), strict=True):
        whole = every[int(number)]
        for name in ("positions", "moments", "magnetic_forces", "energies"):
            np.testing.assert_allclose(getattr(part, name), getattr(whole, name)[indices], atol=1e-12)
        assert part.kinds == [whole.kinds[k] for k in indices]
    basis = RadialBasis(8, 0.63, 1.8)
    atoms = [part.atoms(k) for part in every for k in range(len(part))]
    points = np.array([pooled(site_environments(geometry_of(a), a.spins, basis), a.numbers) for a in atoms])
    points /= points.std(axis=0)
    kept = [5 * int(number) + k for number, indices in told["chosen"].items() for k in indices]

    def nearest(rows: list[int]) -> float:
        gaps = np.linalg.norm(points[rows][:, None] - points[rows][None], axis=2)
        return float((gaps + 1e9 * np.eye(len(rows))).min())

    rng = np.random.default_rng(0)
    others = [nearest(list(rng.choice(20, 6, replace=False))) for _ in range(50)]
    assert nearest(kept) > np.quantile(others, 0.95)
    assert not list(tmp_path.glob("*_parts"))


def test_known_labels_are_not_asked_for_again(tmp_path: Path) -> None:
    label(tmp_path, INPUT + FARTHEST, "first.h5")
    text = INPUT + FARTHEST.replace("keep = 6", 'keep = 20\nknown = "first.h5"')
    parts, attributes = label(tmp_path, text, "second.h5")
    assert sum(len(part) for part in parts) == 14  # the other 14 of 20: what is known is at distance zero
    assert "first.h5" in json.loads(attributes["selection"])["files"][0]


def test_the_most_uncertain_are_labelled(tmp_path: Path) -> None:
    ensemble(tmp_path / "model.npz", 3)
    select = '\n[select]\nstyle = "uncertainty"\nmodel = "model.npz"\nkeep = 5\nscore = "rms"\n'
    every, _ = label(tmp_path, INPUT, "all.h5")
    parts, attributes = label(tmp_path, INPUT + select, "chosen.h5")
    calc = HIPNNCalculator(tmp_path / "model.npz", dtype="float64", outside_domain="ignore")
    spreads = sorted(np.sqrt(np.mean(calc.spread(part.atoms(k)) ** 2)) for part in every for k in range(len(part)))
    found = sorted(np.sqrt(np.mean(calc.spread(part.atoms(k)) ** 2)) for part in parts for k in range(len(part)))
    np.testing.assert_allclose(found, spreads[-5:], rtol=1e-9)
    told = json.loads(attributes["selection"])
    assert told["spread"]["left"] == pytest.approx(spreads[-6])
    assert told["spread"]["kept"] == pytest.approx(spreads[-5])
    one_each, _ = label(tmp_path, INPUT + select + "most = 1\n", "each.h5")
    assert [len(part) for part in one_each] == [1, 1, 1, 1]


def test_any_executor_chooses_the_same(tmp_path: Path) -> None:
    alone = label(tmp_path, INPUT + FARTHEST)[1]["hash"]
    seen: list[tuple[int, int, str]] = []
    with ThreadPoolExecutor(2) as threads:
        there = label(tmp_path, INPUT + FARTHEST, "t.h5", executor=threads, progress=lambda *words: seen.append(words))
    assert there[1]["hash"] == alone
    assert {words[2] for words in seen} == {"exploring", "labelling"}
    assert [words[0] for words in seen if words[2] == "exploring"] == [1, 2, 3, 4]


STUCK = """
import os, time
from spinase.calculators import HeisenbergCalculator

calls = []

class Stuck(HeisenbergCalculator):
    def solve(self, *words):
        calls.append(1)
        if len(calls) > int(os.environ.get("STUCK_AFTER", 1e9)):
            time.sleep(1e4)
        return super().solve(*words)
"""


@pytest.mark.parametrize("select", ["", pytest.param(FARTHEST, marks=pytest.mark.slow)])
def test_a_killed_process_loses_nothing(tmp_path: Path, select: str) -> None:
    """SIGKILL in the middle, then again from the start: what was done is not done again, the file is the unbroken one."""
    (tmp_path / "stuck.py").write_text(STUCK)
    text = (INPUT + select).replace('"heisenberg"', '"stuck:Stuck"')
    (tmp_path / "magnet.toml").write_text(text)
    target = tmp_path / "cut.h5"
    command = [sys.executable, "-m", "spinase.cli", "label", str(tmp_path / "magnet.toml"), "-o", str(target)]
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1", "STUCK_AFTER": "100"})
    place = tmp_path / "cut_parts" / ("candidates" if select else "")
    try:
        while not list(place.glob("*.npz")) and process.poll() is None:
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not target.exists()
    done = {path: path.stat().st_mtime_ns for path in place.glob("*.npz")}
    assert 1 <= len(done) < 4
    kept: dict[Path, int] = {}

    def watch(*_: object) -> None:
        kept.update({path: path.stat().st_mtime_ns for path in done if path.exists()})

    path = label_file(tmp_path / "magnet.toml", options=LabelOptions(target), progress=watch)
    assert kept == done
    whole = label(tmp_path, text, "whole.h5")
    assert read_labels(path)[1]["hash"] == whole[1]["hash"]


def test_parts_chosen_by_another_model_are_refused(tmp_path: Path) -> None:
    ensemble(tmp_path / "model.npz", 2)
    text = INPUT + '\n[select]\nstyle = "uncertainty"\nmodel = "model.npz"\nkeep = 5\n'
    (tmp_path / "magnet.toml").write_text(text)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        label_file(tmp_path / "magnet.toml", options=LabelOptions(tmp_path / "a.h5"), progress=killed)
    ensemble(tmp_path / "model.npz", 3)
    with pytest.raises(InputError, match="parts of a labelling with another input"):
        label_file(tmp_path / "magnet.toml", options=LabelOptions(tmp_path / "a.h5"))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ('style = "uncertainty"\nkeep = 3', "a model file is needed"),
        ('style = "farthest-point"\nkeep = 3', "needs a cutoff"),
        ('style = "farthest-point"\nkeep = 3\ndescriptor = "model"', "a model file is needed"),
        ('style = "uncertainty"\nkeep = 3\nmodel = "one.npz"', "has one network"),
        ('style = "uncertainty"\nkeep = 3\nmodel = "metal.npz"', "is in metal units, the atoms in reduced"),
        ('style = "uncertainty"\nkeep = 3\nmodel = "no.npz"', "cannot read .*no.npz"),
        ('style = "farthest-point"\nkeep = 0\ncutoff = 2.0', "greater than or equal to 1"),
    ],
)
def test_bad_selections(tmp_path: Path, entries: str, message: str) -> None:
    ensemble(tmp_path / "one.npz", 1)
    ensemble(tmp_path / "metal.npz", 2, units="metal")
    with pytest.raises(InputError, match=message):
        label(tmp_path, f"{INPUT}\n[select]\n{entries}\n")
    nickel = INPUT.replace("[atoms]", '[atoms]\nsymbol = "Ni"')
    ensemble(tmp_path / "two.npz", 2)
    with pytest.raises(InputError, match="does not know Ni"):
        label(tmp_path, f'{nickel}\n[select]\nstyle = "uncertainty"\nkeep = 3\nmodel = "two.npz"\n', "b.h5")


def test_thermal_configurations_are_as_hot_as_asked(tmp_path: Path) -> None:
    """A cold ferromagnet has less energy than a hot one; both are what the teacher says of them."""
    text = INPUT.split("[quench]")[0].replace("random = 2", "").replace("realizations = 4", "realizations = 3")
    text += "[thermal]\nkT = [20.0, 0.05]\ncount = 2\ntime = 4.0\ntimestep = 0.05\ndamping = 1.0\n"
    parts, _ = label(tmp_path, text)
    assert parts[0].kinds == ["thermal"] * 4
    energies = np.array([part.energies for part in parts])
    assert np.all(energies[:, 2:].max(axis=1) < energies[:, :2].min(axis=1) - 5.0)
    with pytest.raises(InputError, match="temperatures must not be negative"):
        label(tmp_path, text.replace("[20.0, 0.05]", "[-1.0]"), "b.h5")
    with pytest.raises(InputError, match="shorter than a time step"):
        label(tmp_path, text.replace("time = 4.0", "time = 0.01"), "b.h5")


def test_a_cheaper_calculator_moves_the_spins(tmp_path: Path) -> None:
    """The explorer orders the spins against each other, the teacher (a ferromagnet) labels them."""
    explorer = '\n[quench.driver]\nstyle = "heisenberg"\n'
    explorer += "law = { amplitude = -1.0, decay = 2.0, reference = 1.0, cutoff = 1.8 }\n"
    parts, _ = label(tmp_path, INPUT + explorer)
    teacher = HeisenbergCalculator.from_config(
        HeisenbergCalculator.Config(law={"amplitude": 1.0, "decay": 2.0, "reference": 1.0, "cutoff": 1.8})
    )
    for part in parts:
        assert np.all(np.diff(part.energies[2:]) > 0.0)
        for k in range(len(part)):
            fields = teacher.get_property("magnetic_forces", part.atoms(k))
            np.testing.assert_allclose(part.magnetic_forces[k], fields, atol=1e-10)


def test_the_domain_of_a_selection_is_that_of_its_labels(tmp_path: Path) -> None:
    card = ModelCard("any", NetworkConfig(species=(26,), cutoff=2.0, inner=0.7), "reduced")
    with pytest.raises(InputError, match="selects configurations: take the domain from its label file"):
        domain_of_input(INPUT + FARTHEST, [0], card, tmp_path)
