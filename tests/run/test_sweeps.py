"""`spinase sweep`: many runs of one file, each what `spinase run` makes; a killed sweep goes on; one table, one figure."""

from __future__ import annotations

import csv
from pathlib import Path

import h5py
import numpy as np
import pytest
from matplotlib.figure import Figure
from systems.examples import command

from spinase.errors import InputError, SweepError
from spinase.io import read_run
from spinase.io.swept import SweptRuns, write_table
from spinase.run import RunOptions, RunStopped, run_file
from spinase.run.sweeps import SweepOptions, make_run, sweep_file
from spinase.viz.sweeps import plot_sweep

INPUT = """
title = "a small ferromagnet"
[atoms]
lattice = "square"
size = [4, 4]
[calculator]
style = "heisenberg"
shells = [1.0]
[[stage]]
steps = 40
timestep = 0.1
damping = 0.2
kT = 0.1
[[observer]]
style = "energy"
[[observer]]
style = "magnetization"
[output]
checkpoint_every = 10
[sweep]
points = { seed = [1, 2], "stage.0.kT" = [0.1, 0.6] }
y = ["energy.per_site", "magnetization.length"]
"""


@pytest.fixture(name="source")
def _source(tmp_path: Path) -> Path:
    path = tmp_path / "magnet.toml"
    path.write_text(INPUT)
    return path


def swept(source: Path, *entries: str, folder: str = "out", workers: int = 0) -> SweptRuns:
    runs, _, _ = sweep_file(source, entries, SweepOptions(source.parent / folder, workers), lambda done, total: None)
    return runs


def frames(folder: Path) -> np.ndarray:
    return read_run(folder).moments


def test_runs_are_those_of_spinase_run(source: Path) -> None:
    runs = swept(source)
    assert [tuple(point.values()) for point in runs.points] == [(1, 0.1), (1, 0.6), (2, 0.1), (2, 0.6)]
    alone = run_file(source, ["seed=2", "stage.0.kT=0.6"], RunOptions(source.parent / "alone"))
    np.testing.assert_array_equal(frames(source.parent / "out" / runs.folders[3]), frames(alone.parent))
    hot, cold = (np.mean([runs.values("energy.per_site")[k] for k in rows]) for rows in ((1, 3), (0, 2)))
    assert hot > cold


def test_one_table_and_one_figure(source: Path) -> None:
    told = command("sweep", str(source), "--set", "sweep.points.seed=[1, 2, 3]", "-o", "out", folder=source.parent)
    assert told.startswith("6 runs; at most ")
    assert " MB a process" in told
    with open(source.parent / "out" / "sweep.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0][:4] == ["seed", "stage.0.kT", "energy.per_site [t]", "magnetization.length [|m|]"]
    assert len(rows) == 7
    last = read_run(source.parent / "out" / rows[4][-1]).observables["energy"]["per_site"].values[-1]
    assert float(rows[4][2]) == pytest.approx(last, rel=1e-9)
    assert (source.parent / "out" / "sweep.png").stat().st_size > 10_000


def test_the_table_tells_means_over_a_window(source: Path) -> None:
    runs = swept(source)
    series = runs.series[2]["energy.per_site"]
    inside = (series.times >= 2.0) & (series.times <= 4.0)
    assert 1 < inside.sum() < len(series.times)
    assert runs.values("energy.per_site", (2.0, 4.0))[2] == pytest.approx(series.values[inside].mean(), rel=1e-12)
    with pytest.raises(InputError, match=r"observed no energy.per_site from 70 to 80 .*choose times within the run"):
        runs.values("energy.per_site", (70.0, 80.0))
    with pytest.raises(InputError, match=r"no 'energy.heat': they have energy.energy, energy.free_energy"):
        write_table(source.parent / "t.csv", runs, ["energy.heat"])


def test_finished_runs_are_kept_and_points_may_be_added(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def noted(source: str, entries: list[str], folder: str) -> dict[str, np.ndarray]:
        made.append(entries[0])
        return make_run(source, entries, folder)

    monkeypatch.setattr("spinase.run.sweeps.make_run", noted)
    swept(source)
    assert len(made) == 4
    swept(source)
    assert len(made) == 4
    swept(source, "sweep.points.seed=[1, 3, 2]", "title=other words")
    assert made[4:] == ["sweep.points.seed=[1, 3, 2]"] * 2  # seed 3 at both temperatures


def test_a_cut_run_goes_on_from_its_checkpoint(source: Path) -> None:
    whole = swept(source, folder="whole")
    target = source.parent / "cut" / whole.folders[1]
    with pytest.raises(RunStopped):
        run_file(source, ["seed=1", "stage.0.kT=0.6"], RunOptions(target, stop_after=23))
    runs = swept(source, folder="cut")
    for folder in runs.folders:
        np.testing.assert_array_equal(frames(source.parent / "cut" / folder), frames(source.parent / "whole" / folder))


def test_a_signal_ends_the_sweep_and_not_one_run(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began: list[str] = []

    def interrupted(source: str, entries: list[str], folder: str) -> dict[str, np.ndarray]:
        began.append(folder)
        if len(began) == 2:
            run_file(source, entries, RunOptions(Path(folder), stop_after=12))  # as a signal stops it
        return make_run(source, entries, folder)

    monkeypatch.setattr("spinase.run.sweeps.make_run", interrupted)
    with pytest.raises(RunStopped):
        swept(source)
    assert len(began) == 2
    whole, runs = swept(source, folder="whole"), swept(source)
    with h5py.File(source.parent / "out" / runs.folders[1] / "run.h5") as file:
        assert file.attrs  # a whole file
    np.testing.assert_array_equal(
        frames(source.parent / "out" / runs.folders[1]), frames(source.parent / "whole" / whole.folders[1])
    )


def test_failures_lose_no_other_run(source: Path) -> None:
    with pytest.raises(SweepError, match=r"2 of 4 points of the sweep failed, the first is point 1.*'stage.0.timestep': 90"):
        swept(source, "stage.0.kT=0.0", 'sweep.points={ seed = [1, 2], "stage.0.timestep" = [0.1, 90.0] }')
    kept = sorted(path.name for path in (source.parent / "out" / "points").iterdir())
    assert len(kept) == 4


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (["sweep.points={ seed = [] }"], r"points needs keys with values each.*empty: \['seed'\]"),
        (['sweep.points={ "stage.0.heat" = [1] }', "sweep.x=time"], r"the run of point|heat"),
        (
            ["sweep.x=stage.0.damping"],
            r"x = 'stage.0.damping' is neither time nor one of the keys of points: seed, stage.0.kT",
        ),
        (["sweep.points.seed=[1, 1]"], r"2 points of \[sweep\] are the same run as another one"),
        (['sweep.points={ "sweep.x" = ["time"] }'], r"cannot be one of \[sweep\] itself"),
        (
            ['sweep.points={ "atoms.size" = [[4, 4], [0.5, 4]] }'],
            r"the point \{'atoms.size': \[0.5, 4\]\} of \[sweep\]: .*size",
        ),
    ],
)
def test_bad_sweeps_are_told_before_anything_runs(source: Path, entries: list[str], message: str) -> None:
    with pytest.raises((InputError, SweepError), match=message):
        swept(source, *entries)


def test_a_file_without_a_sweep_and_a_folder_of_something_else(source: Path) -> None:
    plain = source.with_name("plain.toml")
    plain.write_text(INPUT.partition("[sweep]")[0])
    with pytest.raises(InputError, match=r"has no table \[sweep\]: give it one"):
        sweep_file(plain)
    run_file(source, (), RunOptions(source.parent / "out"))  # `spinase run` makes the one run of the other tables
    with pytest.raises(InputError, match="is the folder of a run"):
        swept(source)


def test_values_may_be_tables_and_texts(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = 'sweep={ points = { spins = [{ style = "ferro", direction = [0, 0, 1] }, { style = "random" }] }, y = [] }'
    runs = swept(source, entry, "stage.0.kT=0.0", "stage.0.damping=0.0")
    energies = runs.values("energy.per_site")
    assert energies[0] == pytest.approx(-2.0)
    assert energies[1] > -1.5
    drawn: list[Figure] = []
    monkeypatch.setattr("spinase.viz.sweeps.save_figure", lambda figure, path: drawn.append(figure))
    plot_sweep(runs, source.with_name("f.png"), ["energy.per_site"])
    assert [text.get_text() for text in drawn[0].axes[0].get_legend().get_texts()] == ["spins = ferro", "spins = random"]
    with pytest.raises(InputError, match="spins has values that are no plain numbers"):
        plot_sweep(runs, source.with_name("f.png"), ["energy.per_site"], x="spins")
