"""The short form of the fault kit; the long form: ``python tests/faults/run.py --cases 1000 --seed 0``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from faults.kit import Outcome, disturbed_run, file_case, in_child, reference_run
from faults.samples import Kind, samples

from spinase.errors import CheckpointError

KINDS = (
    "run", "killed run", "labels", "checkpoint", "model", "input", "recipe", "vampire", "uppasd", "tb2j", "mace", "deepspin",
    "double-exchange", "training",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def kinds(folder: Path) -> dict[str, Kind]:
    return samples(folder)


@pytest.fixture(scope="module")
def expected(kinds: dict[str, Kind], folder: Path) -> str:
    return reference_run(folder)


def test_the_short_form_has_every_kind(kinds: dict[str, Kind]) -> None:
    assert set(KINDS) == set(kinds)


@pytest.mark.parametrize("name", KINDS)
def test_damaged_files_are_one_line_or_what_they_were(name: str, kinds: dict[str, Kind], folder: Path) -> None:
    answers: dict[str, str] = {}
    found = [file_case(kinds[name], folder, n, np.random.default_rng([11, n]), answers) for n in range(6)]
    assert [f"{how}: {outcome}" for how, outcome in found if not outcome.good] == []
    assert any(outcome.verdict == "one line" for _, outcome in found), "something was damaged"


@pytest.mark.parametrize("way", ["kill", "full disk", "rivals"])
def test_disturbed_runs_end_as_undisturbed_ones(way: str, expected: str, folder: Path) -> None:
    found = [disturbed_run(way, folder, n, np.random.default_rng([5, n]), expected) for n in range(2)]
    assert [f"{how}: {outcome}" for how, outcome in found if not outcome.good] == []


def test_the_kit_tells_faults_from_answers(tmp_path: Path, kinds: dict[str, Kind]) -> None:
    """Its own check: each verdict can come out."""

    def fail(error: Exception) -> None:
        raise error

    def hang() -> None:
        while True:
            pass

    assert in_child(lambda: 7).verdict == "answer"
    assert in_child(lambda: fail(CheckpointError("x.h5 is damaged"))).verdict == "one line"
    assert in_child(lambda: fail(CheckpointError("x.h5: allow_pickle=False"))).verdict == "traceback"
    assert in_child(lambda: fail(CheckpointError("two\nlines"))).verdict == "traceback"
    assert in_child(lambda: fail(KeyError("x"))).verdict == "traceback"
    assert in_child(hang, deadline=0.2).verdict == "hang"
    assert in_child(lambda: np.ones(10**10)).verdict == "traceback", "memory is limited"
    model = kinds["model"]
    forgetful = Kind("model", model.sample, lambda path: path.stat().st_mtime_ns, True)
    seen = [file_case(forgetful, tmp_path, n, np.random.default_rng([1, n]), {})[1] for n in range(2)]
    assert {outcome.verdict for outcome in seen} == {"silent wrong"}
    assert not Outcome("silent wrong", "").good
