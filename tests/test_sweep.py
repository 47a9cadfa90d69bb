"""Sweeps: finished points are kept and never made again, errors of a point lose no other, other functions are refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spinase.errors import FileInUseError, InputError, SweepError
from spinase.files import held, write_text
from spinase.sweep import grid, sweep

CALLS: list[tuple[float, int]] = []


def langevin(x: float, power: int = 1) -> dict[str, Any]:
    """(coth x - 1/x)^power, and a list of x."""
    CALLS.append((x, power))
    if x == 0.0:
        raise ZeroDivisionError("no 1/x at x = 0")
    return {"value": (1.0 / np.tanh(x) - 1.0 / x) ** power, "twice": [x, x]}


def half(x: float) -> float:
    return 0.5 * x


def nothing(x: float) -> object:
    return object()


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    CALLS.clear()


def test_a_grid_is_every_combination_the_last_one_fastest() -> None:
    assert grid(a=[1, 2], b="xy") == [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"}, {"a": 2, "b": "y"}]
    assert grid() == [{}]


@pytest.mark.parametrize("kind", ["this process", "threads", "executor"])
def test_results_are_in_the_order_of_the_points(tmp_path: Path, kind: str) -> None:
    xs, seen = [3.0, 0.5, 1.0], []
    with ThreadPoolExecutor(2) as pool:
        executor = {"this process": None, "threads": "threads", "executor": pool}[kind]
        found = sweep(
            langevin, grid(x=xs), tmp_path / "s", executor=executor, progress=lambda done, total: seen.append((done, total))
        )
    np.testing.assert_allclose(found["value"], [1 / np.tanh(x) - 1 / x for x in xs])
    np.testing.assert_array_equal(found["twice"], [[x, x] for x in xs])
    assert found.points == [{"x": x} for x in xs]
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_processes_take_a_function_of_a_module(tmp_path: Path) -> None:
    found = sweep(half, grid(x=[1.0, 4.0]), tmp_path / "s", workers=1)
    assert [float(value) for value in found["value"]] == [0.5, 2.0]


def test_what_is_there_is_not_made_again_and_points_may_be_added(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep(langevin, grid(x=[1.0, 2.0]), tmp_path)
    assert capsys.readouterr().err.splitlines()[-1].endswith("2 of 2 points")
    found = sweep(langevin, grid(x=[2.0, 3.0, 1.0]), tmp_path)
    assert CALLS == [(1.0, 1), (2.0, 1), (3.0, 1)]
    assert [float(x) for x, _ in found["twice"]] == [2.0, 3.0, 1.0]


def test_a_stopped_sweep_goes_on(tmp_path: Path) -> None:
    def interrupted(finished: int, total: int) -> None:
        if finished == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(langevin, grid(x=[1.0, 2.0, 3.0]), tmp_path, progress=interrupted)
    sweep(langevin, grid(x=[1.0, 2.0, 3.0]), tmp_path)
    assert CALLS == [(1.0, 1), (2.0, 1), (3.0, 1)]


@pytest.mark.parametrize("executor", [None, "threads"])
def test_an_error_of_a_point_loses_no_other_and_is_tried_again(tmp_path: Path, executor: str | None) -> None:
    message = r"1 of 3 points of the sweep failed, the first is point 1, \{'x': 0.0\}: ZeroDivisionError: no 1/x at x = 0"
    with pytest.raises(SweepError, match=message) as caught:
        sweep(langevin, grid(x=[1.0, 0.0, 2.0]), tmp_path, executor=executor)
    result = caught.value.result
    assert [one is None for one in result.results] == [False, True, False]
    assert list(result.errors) == [1]
    assert "Traceback" in result.errors[1]
    with pytest.raises(SweepError):
        _ = result["value"]
    with pytest.raises(SweepError):
        sweep(langevin, grid(x=[1.0, 0.0, 2.0]), tmp_path, executor=executor)
    assert sorted(CALLS) == [(0.0, 1), (0.0, 1), (1.0, 1), (2.0, 1)]


def test_what_is_no_array_is_an_error_of_the_point(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="'value' is no array of numbers or texts: <object"):
        sweep(nothing, [{"x": 1.0}], tmp_path)


def test_results_of_another_function_are_not_taken_over(tmp_path: Path) -> None:
    sweep(half, [{"x": 1.0}], tmp_path)
    with pytest.raises(InputError, match=r"sweep of another function than 'langevin' \(of 'half'\)"):
        sweep(langevin, [{"x": 1.0}], tmp_path)
    with pytest.raises(InputError, match="has no 'm': it has"):
        _ = sweep(half, [{"x": 1.0}], tmp_path)["m"]


@pytest.mark.parametrize(
    ("points", "told"),
    [
        ([{"x": 1.0}, {"x": 2.0}, {"x": 1.0}], r"points 0 and 2 of the sweep are the same, \{'x': 1.0\}: give them a seed"),
        ([{"x": np.float32(1.0)}], "cannot be written as JSON"),
    ],
)
def test_points_that_cannot_be_told_apart_are_refused(tmp_path: Path, points: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(InputError, match=told):
        sweep(half, points, tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_a_function_that_workers_cannot_import_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be sent to workers .*: define it at the top of a module"):
        sweep(lambda x: x, [{"x": 1.0}], tmp_path, workers=2)


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    write_text(tmp_path / "mine.npz", "data")
    with pytest.raises(InputError, match=r"has a mine\.npz that is of no sweep"):
        sweep(half, [{"x": 1.0}], tmp_path)
    (tmp_path / "used").mkdir()
    with held(tmp_path / "used", "it"), pytest.raises(FileInUseError, match="another process works on the sweep"):
        sweep(half, [{"x": 1.0}], tmp_path / "used")
