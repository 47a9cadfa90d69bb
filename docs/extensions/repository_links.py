"""Links of the pages to files of the repository that are no pages: the site has its own copies of some, names the others."""

from __future__ import annotations

import posixpath
import re
from typing import Any

PAGES = {"BENCHMARKS.md": "benchmarks.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
LINK = re.compile(r"\[([^\]\[]*)\]\(((?:\.\./)+)([^)#:]+)(#[^)]*)?\)")


def rewrite(app: Any, page: str, source: list[str]) -> None:
    """``[text](../BENCHMARKS.md)`` points to the page, ``[text](../examples/x.py)`` becomes text and path."""
    depth = page.count("/")

    def replaced(found: re.Match[str]) -> str:
        text, up, path, anchor = found.groups()
        if up.count("../") <= depth:  # stays inside the site
            return found.group(0)
        if path in PAGES:
            return f"[{text}]({posixpath.join(*['..'] * depth, PAGES[path]) if depth else PAGES[path]}{anchor or ''})"
        return f"{text} (`{path}`)"

    source[0] = LINK.sub(replaced, source[0])


def setup(app: Any) -> dict[str, Any]:
    app.connect("source-read", rewrite)
    return {"parallel_read_safe": True}
