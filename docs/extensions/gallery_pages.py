"""A page for every example: what it is, the figures of its full form, what its short form prints and draws, its source."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import short_forms
from short_forms import EXAMPLES, PRINTED, name_of

ADDED = Path(__file__).parents[1] / "gallery.toml"


def title_and_text(example: Path) -> tuple[str, str]:
    """First sentence of a script's docstring and the rest; title and opening comment of an input file."""
    source = example.read_text(encoding="utf-8")
    if example.suffix == ".py":
        first, _, rest = (ast.get_docstring(ast.parse(source)) or "").partition("\n\n")
        return " ".join(first.split()).rstrip("."), rest
    lines = source.splitlines()
    end = next(k for k, line in enumerate(lines) if not line.startswith("#"))
    title = tomllib.loads(source)["title"]
    return title[0].upper() + title[1:], "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines[:end])


def paragraphs(text: str) -> list[str]:
    """Markdown of a docstring: paragraphs as they are, indented ones as blocks."""
    lines = []
    for part in filter(None, text.split("\n\n")):
        block = part.startswith("    ") or all(line.startswith(" ") for line in part.splitlines())
        lines += ["```text", part, "```", ""] if block else [part.replace("<", "\\<"), ""]
    return lines


def outcome(example: Path, site: Path) -> Path:
    """Folder with what the short form printed and drew: the tests', or that of an earlier build, or a new one."""
    kept = Path(os.environ.get("SPINASE_EXAMPLES", site / "_build" / "examples")) / name_of(example)
    if not (kept / PRINTED).exists():
        print(f"running the short form of {name_of(example)}", flush=True)
        subprocess.run([sys.executable, short_forms.__file__, str(example), str(kept)], check=True)
    return kept


def slug(example: Path) -> str:
    """Name of an example's page."""
    return name_of(example).replace("/", "-").replace(".", "-")


def write_page(example: Path, figures: list[list[str]], site: Path) -> str:
    """The page of one example; returns the figure that stands for it in the index, or nothing."""
    folder, page = site / "gallery", slug(example)
    title, text = title_and_text(example)
    shown = [line for file, told in figures for line in (f"![{told}](../images/{file})", "", f"*{told}*", "")]
    kept = outcome(example, site)
    drawn = sorted(kept.glob("*.png"))
    for figure in drawn:
        shutil.copy(figure, folder / f"{page}-{figure.name}")
    short = [f"![{figure.stem} of the short form]({page}-{figure.name})" for figure in drawn]
    printed = (kept / PRINTED).read_text(encoding="utf-8")
    kind = "python" if example.suffix == ".py" else "toml"
    parts = [f"# {title}", "", f"`examples/{name_of(example)}`", "", *paragraphs(text), *shown]
    parts += ["## Short form, as the tests run it", "", "```text", printed.rstrip(), "```", "", *short, ""]
    source = os.path.relpath(example, folder)
    parts += ["## Source", "", f"```{{literalinclude}} {source}", f":language: {kind}", "```", ""]
    (folder / f"{page}.md").write_text("\n".join(parts), encoding="utf-8")
    return f"../images/{figures[0][0]}" if figures else next((f"{page}-{figure.name}" for figure in drawn), "")


def write_pages(app: Any) -> None:
    """Write ``gallery/`` anew beside the other sources; fails where an example fails."""
    site = Path(app.srcdir)
    folder = site / "gallery"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    added = tomllib.loads(ADDED.read_text(encoding="utf-8"))
    examples = sorted([*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*/*.toml")], key=name_of)
    unknown = sorted(set(added) - {name_of(example) for example in examples})
    if unknown:
        raise ValueError(f"docs/gallery.toml names examples that are not there: {', '.join(unknown)}")
    lines = [
        "# Gallery",
        "",
        "Every example: the recorded figures of its full form, what its short form prints, its source.",
        "",
    ]
    for example in examples:
        figure = write_page(example, added.get(name_of(example), {}).get("figures", []), site)
        picture = [f"[![{name_of(example)}]({figure}){{width=420px}}]({slug(example)}.md)", ""] if figure else []
        lines += [
            f"## {title_and_text(example)[0]}",
            "",
            *picture,
            f"[`examples/{name_of(example)}`]({slug(example)}.md)",
            "",
        ]
    hidden = ["```{toctree}", ":hidden:", "", *map(slug, examples), "```", ""]
    (folder / "index.md").write_text("\n".join([*lines, *hidden]), encoding="utf-8")


def setup(app: Any) -> dict[str, Any]:
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}
