"""Every block of the documentation that is Python, an input file or a command of spinase, run in order."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest
from systems.examples import command, run_source

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
MADE = ("_build", "api", "gallery", "styles", "benchmarks.md", "changelog.md", "contributing.md")  # by the site's build
PAGES = [page for page in sorted((ROOT / "docs").glob("**/*.md")) if page.relative_to(ROOT / "docs").parts[0] not in MADE]
BLOCK = re.compile(r"(?P<before>[^\n]*)\n\n```(?P<kind>python|toml|sh)\n(?P<text>.*?)\n```", re.DOTALL)
FILE = re.compile(r"`(?P<name>[\w.]+\.toml)`[^`]*:$")


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """Line before, kind and text of every block, in order."""
    return [(found["before"], found["kind"], found["text"]) for found in BLOCK.finditer(page.read_text(encoding="utf-8"))]


WITH_BLOCKS = [page for page in PAGES if blocks(page)]
SLOW = {"learning"}  # labels, a training and a validation, each a process of its own


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.slow] * (page.stem in SLOW), id=page.stem) for page in WITH_BLOCKS]
)
def test_blocks_run_as_they_stand(page: Path, tmp_path: Path) -> None:
    source = ""
    for before, kind, text in blocks(page):
        if kind == "python":
            source += text + "\n"
        elif kind == "toml":
            named = FILE.search(before)
            assert named, f"{page.name}: say which file this is, as `name.toml`: in the line before\n{text[:60]}"
            (tmp_path / named["name"]).write_text(text)
        else:
            for line in text.splitlines():
                program, *words = shlex.split(line, comments=True)
                assert program == "spinase", f"{page.name}: only commands of spinase are run: {line}"
                command(*words, folder=tmp_path)
    run_source(source, page.name, tmp_path)


def test_the_script_of_the_readme_is_an_example() -> None:
    """One that is run: the second, but for its docstring and comments."""
    (script,) = [text for _, kind, text in blocks(README) if kind == "python"]
    example = (ROOT / "examples" / "02_swap_calculators.py").read_text(encoding="utf-8")
    assert ast.unparse(ast.Module(ast.parse(example).body[1:], [])) == ast.unparse(ast.parse(script))


def test_blocks_are_found() -> None:
    """A page whose blocks the pattern misses would pass unseen."""
    for page in (README, *PAGES):
        text = page.read_text(encoding="utf-8")
        assert len(re.findall(r"^```(?:python|toml|sh)$", text, re.MULTILINE)) == len(blocks(page)), page.name
    assert len(WITH_BLOCKS) >= 8
