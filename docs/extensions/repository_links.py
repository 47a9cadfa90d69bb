"""Links between pages and files of the repository that are no pages: the site has copies of some, and names the others."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

PAGES = {"BENCHMARKS.md": "benchmarks.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
LINK = re.compile(r"(?<!!)\[([^\]\[]*)\]\(((?:\.\./)*)([^)#:]+)(#[^)]*)?\)")


def write_copies(app: Any) -> None:
    """Copies of the files of the repository that are pages of the site as well; their links start from its root."""
    site = Path(app.srcdir)
    for file, page in PAGES.items():
        text = (site.parent / file).read_text(encoding="utf-8")
        (site / page).write_text(LINK.sub(_from_root, text), encoding="utf-8")


def _from_root(found: re.Match[str]) -> str:
    text, _, path, anchor = found.groups()
    if path.startswith("docs/"):
        return f"[{text}]({path.removeprefix('docs/')}{anchor or ''})"
    return f"[{text}]({PAGES[path]}{anchor or ''})" if path in PAGES else f"{text} (`{path}`)"


def rewrite(app: Any, page: str, source: list[str]) -> None:
    """``[text](../BENCHMARKS.md)`` points to the page, ``[text](../examples/x.py)`` becomes text and path."""
    depth = page.count("/")

    def replaced(found: re.Match[str]) -> str:
        text, up, path, anchor = found.groups()
        if up.count("../") <= depth:  # stays inside the site
            return found.group(0)
        if path in PAGES:
            return f"[{text}]({posixpath.join(*['..'] * depth, PAGES[path])}{anchor or ''})"
        return f"{text} (`{path}`)"

    source[0] = LINK.sub(replaced, source[0])


def setup(app: Any) -> dict[str, Any]:
    app.connect("builder-inited", write_copies)
    app.connect("source-read", rewrite)
    return {"parallel_read_safe": True}
