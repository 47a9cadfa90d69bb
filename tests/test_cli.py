"""The command line as a user meets it."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from spinase import cli
from spinase.errors import StyleError

EXAMPLE = Path(__file__).parents[1] / "examples" / "01_quench" / "quench_classical.toml"


def process(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, as a shell starts it."""
    return subprocess.run(
        [sys.executable, "-m", "spinase.cli", *words], cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )


def spinase(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A command through the same entry point in this process, which has imported already what costs seconds."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(cwd or Path.cwd()):
        patch.setattr(sys, "argv", ["spinase", *words])
        patch.setattr(warnings, "showwarning", warnings.showwarning)  # the entry point has one of its own
        patch.setattr(cli.app, "registered_commands", list(cli.app.registered_commands))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                cli.main()
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 0
    return subprocess.CompletedProcess(words, status, out.getvalue(), err.getvalue())


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, spinase.cli; print([m for m in ('torch', 'ase', 'numba', 'numpy', 'matplotlib') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    start = time.perf_counter()
    done = process("--help")
    assert done.returncode == 0
    for command in ("run", "check", "styles", "plot", "info"):
        assert command in done.stdout
    assert time.perf_counter() - start < 30.0, "not a timing test: only a runaway import would take this long"


def test_run_plot_and_check(tmp_path: Path) -> None:
    options = ("--set", "stage.0.steps=20", "--set", "atoms.size=[6,6]")
    checked = spinase("check", str(EXAMPLE), *options, cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert "36 sites" in checked.stdout
    assert "20 steps of LLGDynamics on HeisenbergCalculator" in checked.stdout
    dry = spinase("run", str(EXAMPLE), *options, "--dry-run", cwd=tmp_path)
    assert dry.stdout.splitlines()[:4] == checked.stdout.splitlines()[:4]
    assert list(tmp_path.iterdir()) == []
    done = process("run", str(EXAMPLE), *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "quench: 20 of 20 steps", "a line for each stage when piped"
    assert all(line.endswith(" of 20 steps") for line in done.stderr.splitlines())
    folder = tmp_path / "quench_classical_run"
    made = {path.name for path in folder.iterdir()}
    assert {"run.h5", "log.txt", "checkpoint.npz", "input.toml", "summary.png", "energy.png", "chirality.png"} <= made
    quiet = spinase("run", str(EXAMPLE), *options, "-q", "--no-figures", "--overwrite", cwd=tmp_path)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    for path in folder.glob("*.png"):
        path.unlink()
    assert spinase("plot", str(folder / "run.h5"), "-o", "figures", cwd=tmp_path).returncode == 0
    assert f"wrote {folder / 'summary.png'}" in spinase("plot", str(folder)).stdout
    assert (tmp_path / "figures" / "summary.png").stat().st_size > 10_000


def test_styles_and_info() -> None:
    listing = spinase("styles")
    assert "calculators    ed" in listing.stdout
    assert "zeeman" not in spinase("styles", "drivers").stdout
    told = spinase("styles", "calculators", "ed").stdout
    assert "[energy]" in told
    assert "cite:" in told
    assert "spinase 0." in told
    information = spinase("info")
    assert "torch" in information.stdout
    assert "algebra    " in information.stdout
    assert "calculators" in information.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "missing.toml"), "Error: cannot read the input file missing.toml"),
        (("plot", "missing.h5"), "Error: there is no run file missing.h5"),
        (("styles", "calculators", "edd"), "did you mean 'ed'?"),
        (("styles", "nothing"), "unknown kind of style 'nothing'"),
        (("run", str(EXAMPLE), "--set", "seeed=1"), "did you mean 'seed'?"),
    ],
)
def test_errors_are_one_line_and_status_two(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = spinase(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_a_stopped_run_prints_the_command_that_goes_on(tmp_path: Path) -> None:
    options = (
        "--set",
        "stage.0.steps=20",
        "--set",
        "atoms.size=[6, 6]",
        "--set",
        'title="a b"',
        "-o",
        "out dir",
        "--no-figures",
    )
    done = spinase("run", str(EXAMPLE), *options, "--stop-after", "7", cwd=tmp_path)
    assert done.returncode == 3
    assert "stopped after 7 steps of 20 steps" in done.stdout
    words = shlex.split(done.stdout.splitlines()[-1])
    assert words[0] == "spinase"
    again = spinase(*words[1:], "--no-figures", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "out dir" / "log.txt").read_text().splitlines()[-1].split()[0] == "20"


def test_check_estimates_the_time_and_finds_mistakes_of_any_stage(tmp_path: Path) -> None:
    checked = spinase("check", str(EXAMPLE), cwd=tmp_path)
    assert re.search(r"time: about [\d.]+ (s|min) here \(.*\d calls of energy [\d.]+ s", checked.stdout)
    wrong = spinase("check", str(EXAMPLE), "--set", "stage.0.frozen=[9999]", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "frozen index 9999" in wrong.stderr


def test_debug_shows_where_an_error_comes_from(tmp_path: Path) -> None:
    done = spinase("--debug", "run", "missing.toml", cwd=tmp_path)
    assert "Traceback" in done.stderr
    assert "InputError" in done.stderr


def test_initializers_tell_their_units() -> None:
    told = spinase("styles", "initializers", "domain-wall").stdout
    assert "length units" in told
    assert "width" in told


@pytest.fixture
def plugin(tmp_path: Path) -> dict[str, str]:
    """Environment in which a package brings commands: a function, a group, one that cannot be imported, and `run`."""
    info = tmp_path / "spinase_more-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: spinase-more\nVersion: 1.0\n")
    commands = (
        "hello = more_commands:hello\ngroup = more_commands:group\nlame = no_such_module:lame\nrun = more_commands:hello\n"
    )
    (info / "entry_points.txt").write_text(f"[spinase.commands]\n{commands}")
    (tmp_path / "more_commands.py").write_text(
        "import typer\nprint('imported')\n"
        "def hello(name: str, loud: bool = False) -> None:\n    print(('HELLO ' if loud else 'hello ') + name)\n"
        "group = typer.Typer()\n@group.command()\ndef one() -> None:\n    print('one')\n"
        "@group.command()\ndef two() -> None:\n    print('two')\n"
    )
    return {**os.environ, "PYTHONPATH": str(tmp_path)}


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("hello", "world", "--loud"), 0, "HELLO world"),
        (("group", "two"), 0, "two"),
        (("lame",), 2, "Error: command 'lame' of spinase-more cannot be imported, 'no_such_module' is missing: pip install"),
        (("--help",), 0, "of the package spinase-more"),
        (("run", "--help"), 0, "--overwrite"),
    ],
)
def test_plugins_bring_commands(plugin: dict[str, str], words: tuple[str, ...], status: int, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "spinase.cli", *words], env=plugin, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == status, done.stderr
    assert said in " ".join((done.stdout + done.stderr).split())
    assert ("imported" in done.stdout) == (words[0] in ("hello", "group")), "a plugin is imported when its command is called"


def test_keys_of_the_input_file() -> None:
    told = spinase("styles", "input").stdout
    keys = ("title", "atoms.lattice", "atoms.disordered.density", "spins.style", "stage.<n>.steps", "observer.<n>.every")
    for key in (*keys, "output.checkpoint_every", "calculator.style"):
        assert f"\n  {key} " in told, key
    assert '(one of reduced, metal; default "reduced")' in told
    assert "(one of tb2j, uppasd, vampire; required)" in spinase("styles", "calculators", "bond-table").stdout


def test_commands_of_the_training_package_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_plugin_commands", list)
    monkeypatch.setattr(sys, "argv", ["spinase", "label", "magnet.toml"])
    with pytest.raises(StyleError, match=r"`spinase label` belongs to .* spinase-training.*: pip install \./training"):
        cli._add_plugin_commands()
