"""The logger ``spinase``: silent unless asked, and the level that the command line is given."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from systems.inputs import square_run

from spinase import cli
from spinase.cli_files import LEVELS, listen
from spinase.errors import InputError
from spinase.run import RunOptions, RunStopped, run_file

STAGES = "".join(f"[[stage]]\nsteps = {steps}\ntimestep = 0.1\n" for steps in (6, 4))
OFTEN = "[output]\nevery = 5\ncheckpoint_every = 5\n"
LOGGER = logging.getLogger("spinase")


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An input, and the logger as it was afterwards."""
    before = LOGGER.handlers, LOGGER.level
    monkeypatch.chdir(tmp_path)
    Path("in.toml").write_text(square_run(3, 3, STAGES + OFTEN))
    yield Path("in.toml")
    LOGGER.handlers, level = before
    LOGGER.setLevel(level)


def test_a_library_is_silent(start: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert any(isinstance(handler, logging.NullHandler) for handler in LOGGER.handlers)
    run_file(start)
    assert capfd.readouterr() == ("", "")


def test_what_a_run_tells(start: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "spinase.run")
    with pytest.raises(RunStopped):
        run_file(start, options=RunOptions(stop_after=7))
    told = [(one.levelname, one.getMessage()) for one in caplog.records]
    infos = [text for level, text in told if level == "INFO"]
    assert infos[0].endswith("in_run begins: 9 sites, 10 steps")
    assert infos[1].startswith("stage 0: steps 0 to 6 of LLGDynamics(")
    assert infos[2] == "stage 0 ends at step 6"
    assert ("DEBUG", "checkpoint at step 5") in told
    assert ("DEBUG", "frames of step 5") in told
    caplog.clear()
    run_file(start, options=RunOptions(restart=True))
    assert caplog.records[0].getMessage().endswith("in_run goes on from step 7: 9 sites, 10 steps")


@pytest.mark.parametrize("place", ["before", "behind"])
def test_the_command_line_has_a_level(
    place: str, start: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", str(start), "-q", "--no-figures"]
    level = ["--log-level", "info"]
    monkeypatch.setattr("sys.argv", ["spinase", *(level + words if place == "before" else words + level)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[0].split()[2:] for line in lines] == [["INFO", "spinase.run.execute"]] * 5
    assert not any("checkpoint" in line for line in lines)


def test_a_command_of_a_plugin_is_found_behind_the_level(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["spinase", "--log-level", "info", "train"])
    monkeypatch.setattr(cli, "_plugin_commands", list)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert "pip install ./training" in capsys.readouterr().err


def test_an_unknown_level_is_told(start: Path) -> None:
    listen(None)
    with pytest.raises(InputError, match="--log-level 'loud' is unknown: take one of debug, info, warning, error"):
        listen("loud")
    for level in LEVELS:
        listen(level.upper())
        assert LOGGER.getEffectiveLevel() == getattr(logging, level.upper())
