"""Lines of tests for a line of code, room by room: ``python tests/ratio.py``; the house asks for 0.6.

Lines that say something are counted: no blank lines, no comments, no docstrings.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_SHARED = ("systems", "references", "contracts", "benchmarks", "faults")  # of no room


def lines(path: Path) -> int:
    """Lines of a module that hold code."""
    source = path.read_text(encoding="utf-8")
    told: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            told |= set(range(body[0].lineno, (body[0].end_lineno or body[0].lineno) + 1))
    texts = enumerate(source.splitlines(), start=1)
    return sum(number not in told and bool(text.strip()) and not text.lstrip().startswith("#") for number, text in texts)


def room_of(path: Path, home: Path) -> str:
    """First folder of a module, or `.` for those beside the rooms."""
    inner = path.relative_to(home).parts
    return inner[0] if len(inner) > 1 else "."


def ratios() -> dict[str, tuple[int, int]]:
    """Room -> lines of code and of tests."""
    found: dict[str, list[int]] = {}
    for place, (home, tests) in enumerate(((ROOT / "spinase", ROOT / "tests"), (ROOT / "training/spinase_training", None))):
        for path in sorted(home.rglob("*.py")):
            found.setdefault("training" if place else room_of(path, home), [0, 0])[0] += lines(path)
        for path in sorted((tests or ROOT / "training/tests").rglob("*.py")):
            room = "training" if place else room_of(path, tests or home)
            room = "shared" if room in _SHARED else room
            found.setdefault(room, [0, 0])[1] += lines(path)
    return {room: (code, tests) for room, (code, tests) in sorted(found.items())}


if __name__ == "__main__":
    for room, (code, tests) in ratios().items():
        shown = f"{tests / code:6.2f}" if code else "     -"
        print(f"{room:14} {code:6d} lines of code {tests:6d} of tests {shown}")
