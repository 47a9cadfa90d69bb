"""The short form of every example (`examples/short_forms.toml`): run, and what it printed and drew kept for the gallery.

The tests run each once and leave the outcome in the folder that ``SPINASE_EXAMPLES`` names, where the gallery finds it;
what is not there the gallery runs itself, by ``python short_forms.py EXAMPLE FOLDER``.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from unittest import mock

import torch
from matplotlib import pyplot

EXAMPLES = Path(__file__).parents[2] / "examples"
PRINTED = "printed.txt"


@dataclass(frozen=True)
class ShortForm:
    """Words behind a script's name, pieces of its source that are replaced, entries of an input file; what they need."""

    words: list[str] = field(default_factory=list)
    replace: list[tuple[str, str]] = field(default_factory=list)
    set: list[str] = field(default_factory=list)
    own_process: bool = False
    processes: int = 1
    plugin: str = ""


@cache
def _table() -> dict[str, ShortForm]:
    table = tomllib.loads((EXAMPLES / "short_forms.toml").read_text(encoding="utf-8"))
    return {name: ShortForm(**entry) for name, entry in table.items()}


def short_form(example: Path) -> ShortForm:
    """That of an example, by its path below the examples; without one it is run as it stands."""
    return _table().get(name_of(example), ShortForm())


def name_of(example: Path) -> str:
    """Its path below the examples."""
    return example.relative_to(EXAMPLES).as_posix()


def run_script(script: Path, folder: Path) -> str:
    """What a script prints when its short form is started in a folder: in this process, which has compiled much."""
    form, source = short_form(script), script.read_text(encoding="utf-8")
    if form.own_process:
        return run_process([sys.executable, str(script)], folder)
    for old, new in form.replace:
        if source.count(old) != 1:
            raise ValueError(f"{script.name} no longer says {old!r} once: change its form in examples/short_forms.toml")
        source = source.replace(old, new)
    return run_source(source, str(script), folder, form.words)


def run_source(source: str, name: str, folder: Path, words: Sequence[str] = ()) -> str:
    """What a program prints when it is started in a folder, as ``__main__``."""
    printed, threads = io.StringIO(), torch.get_num_threads()
    with mock.patch.object(sys, "argv", [name, *words]), contextlib.chdir(folder), contextlib.redirect_stdout(printed):
        try:
            exec(compile(source, name, "exec", dont_inherit=True), {"__name__": "__main__", "__file__": name})
        finally:
            pyplot.close("all")
            torch.set_num_threads(threads)
    return printed.getvalue()


def run_input(source: Path, folder: Path) -> str:
    """What ``spinase run`` prints of the short form of an input file, in a folder."""
    from typer.testing import CliRunner

    from spinase.cli import app

    form = short_form(source)
    words = [word for entry in form.set for word in ("--set", entry)]
    if form.processes > 1:
        mpiexec = str(Path(sys.executable).with_name("mpiexec"))  # that of the environment: another MPI's does not fit
        command = [mpiexec, "-n", str(form.processes), sys.executable, "-m", "spinase.cli", "run", str(source), *words]
        with tempfile.TemporaryDirectory() as metadata:
            return run_process(command, folder, seen_plugin(form.plugin, Path(metadata)))
    with contextlib.chdir(folder):
        done = CliRunner().invoke(app, ["run", str(source), *words], catch_exceptions=False)
    if done.exit_code:
        raise RuntimeError(f"spinase run {source.name} ended with {done.exit_code}:\n{done.output}")
    return str(done.output)


def seen_plugin(name: str, metadata: Path) -> list[str]:
    """Paths by which a process sees a plugin from its sources as if it was installed; `metadata` is an empty folder."""
    home = EXAMPLES.parent / "plugins" / name
    project = tomllib.loads((home / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    told = metadata / f"{name.replace('-', '_')}-{project['version']}.dist-info"
    told.mkdir()
    (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {project['version']}\n", encoding="utf-8")
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{style} = {target}" for style, target in points.items())]
    (told / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [str(home), str(metadata)]


def run_process(command: Sequence[str], folder: Path, paths: Sequence[str] = ()) -> str:
    """What a process of its own prints, on one thread: small matrices gain from no more; `paths` are seen by its imports.

    Raises
    ------
    RuntimeError
        With all it wrote, if it fails.
    """
    told = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    if paths:
        told["PYTHONPATH"] = os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1500, check=False, env=told)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def keep(example: Path, folder: Path, printed: str) -> None:
    """Leave what an example printed and drew for the gallery, if ``SPINASE_EXAMPLES`` names a folder."""
    if "SPINASE_EXAMPLES" in os.environ:
        write_outcome(Path(os.environ["SPINASE_EXAMPLES"]) / name_of(example), folder, printed)


def write_outcome(target: Path, folder: Path, printed: str) -> None:
    """Its figures, then what it printed."""
    target.mkdir(parents=True, exist_ok=True)
    for figure in sorted(folder.rglob("*.png")):
        shutil.copy(figure, target / figure.name)
    (target / PRINTED).write_text(printed.replace(f"{folder}/", ""), encoding="utf-8")


def main(example: Path, folder: Path) -> None:
    """Run one and write its outcome into a folder."""
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    printed = run_script(example, work) if example.suffix == ".py" else run_input(example, work)
    write_outcome(folder, work, printed)
    shutil.rmtree(work)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
