"""One page for every room of the package: what it offers (its ``__all__``), from the docstrings."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path
from typing import Any

import spinase

ROOMS = (
    "spinase.atoms",
    "spinase.lattices",
    "spinase.textures",
    "spinase.units",
    "spinase.calculators",
    "spinase.electrons",
    "spinase.classical",
    "spinase.learning.mhipnn",
    "spinase.learning.lattice",
    "spinase.learning.symmetry_functions",
    "spinase.learning.trust",
    "spinase.dynamics",
    "spinase.observers",
    "spinase.analysis",
    "spinase.spinwaves",
    "spinase.io",
    "spinase.run",
    "spinase.sweep",
    "spinase.images",
    "spinase.measures",
    "spinase.contract",
    "spinase.hooks",
    "spinase.regions",
    "spinase.testing",
    "spinase.viz",
    "spinase.viz.figures",
    "spinase.styles",
    "spinase.options",
    "spinase.errors",
)


def source_of(module: str) -> Path:
    """File of a module or package."""
    path = Path(spinase.__file__).parent.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def summary(module: str) -> str:
    """First line of its docstring."""
    return (ast.get_docstring(ast.parse(source_of(module).read_text(encoding="utf-8"))) or "").partition("\n")[0]


def offers(module: str) -> bool:
    """Whether it lists what it offers, which may come from elsewhere; the others offer what they define."""
    body = ast.parse(source_of(module).read_text(encoding="utf-8")).body
    targets = [node.targets[0] for node in body if isinstance(node, ast.Assign)]
    return any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets)


def quote_bars(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Bars are lengths here, no substitutions of reStructuredText; inside double backticks they are left alone."""
    for k, line in enumerate(lines):
        parts = line.split("``")
        lines[k] = "``".join(part.replace("|", "\\|") if place % 2 == 0 else part for place, part in enumerate(parts))


def write_pages(app: Any) -> None:
    """Write ``api/`` anew beside the other sources."""
    folder = Path(app.srcdir) / "api"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for room in ROOMS:
        lines = [room, "=" * len(room), "", f".. automodule:: {room}", "   :members:", "   :show-inheritance:"]
        offered = ["   :imported-members:"] if offers(room) else []
        (folder / f"{room}.rst").write_text("\n".join([*lines, *offered, ""]), encoding="utf-8")
    rows = [f"| [{room}]({room}.rst) | {summary(room)} |" for room in ROOMS]
    hidden = ["```{toctree}", ":hidden:", "", *ROOMS, "```", ""]
    text = ["# API reference", "", "What each room offers; `help(...)` in a session shows the same.", "", *hidden]
    (folder / "index.md").write_text("\n".join([*text, "| room | |", "|---|---|", *rows, ""]), encoding="utf-8")


def setup(app: Any) -> dict[str, Any]:
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-docstring", quote_bars)
    return {"parallel_read_safe": True}
