"""Which sources compiled code is made of: imports that count, digests of functions and what they close over."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from spinase.compiled import sources
from spinase.compiled.sources import origin_digest, source_digest


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes modules of a package `toys` and puts them among the known ones, without running them; files are old."""

    def make(**texts: str) -> None:
        for name, text in texts.items():
            module = "toys" if name == "init" else f"toys.{name}"
            path = tmp_path / f"{name}.py"
            path.write_text(text)
            os.utime(path, (1e9, 1e9))
            made = ModuleType(module)
            made.__file__ = str(path)
            if name == "init":
                made.__path__ = [str(tmp_path)]
            monkeypatch.setitem(sys.modules, module, made)

    monkeypatch.setattr(sources, "_STARTED", float("inf"))  # files of this test are younger than the process
    return make


def digest(module: str) -> str | None:
    return source_digest.__wrapped__(module)


def imported(text: str) -> set[str]:
    """What a module of spinase.compiled would import."""
    return set(sources._imported("spinase.compiled.sources", text.encode()))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import a.b, c", {"a.b", "c"}),
        ("from a.b import c, d", {"a.b", "a.b.c", "a.b.d"}),
        ("from . import cache", {"spinase.compiled", "spinase.compiled.cache"}),
        ("from .cache import njit", {"spinase.compiled.cache", "spinase.compiled.cache.njit"}),
        ("from ..errors import E", {"spinase.errors", "spinase.errors.E"}),
        ("if True:\n    import a\nelse:\n    import b", {"a", "b"}),
        ("try:\n    import a\nexcept ImportError:\n    import b", {"a", "b"}),
        ("class C:\n    import a", {"a"}),
        ("def f():\n    import a", set()),
        ("f = lambda: __import__('a')", set()),
        ("if TYPE_CHECKING:\n    import a\nimport b", {"b"}),
        ("if typing.TYPE_CHECKING:\n    from a import b", set()),
    ],
)
def test_imports_that_run_are_the_ones_that_count(text: str, names: set[str]) -> None:
    """What is in functions, or for type checkers only, is not reached when a module is imported."""
    assert imported(text) == names


def test_a_package_imports_from_itself() -> None:
    assert set(sources._imported("spinase.compiled", b"from .cache import njit")) == {
        "spinase.compiled.cache",
        "spinase.compiled.cache.njit",
    }


def test_statements_are_walked_outside_functions() -> None:
    tree = ast.parse("x = 1\ndef f():\n    y = 2\nfor i in x:\n    z = 3")
    names = {node.id for node in sources._executed(tree) if isinstance(node, ast.Name)}
    assert names == {"x", "i", "z"}


def test_a_change_anywhere_below_changes_the_digest(toys: Callable[..., None]) -> None:
    """Also through a module that only passes a name on; modules of others, and those that nobody imports, do not count."""
    files = {
        "init": "",
        "outer": "from toys.middle import f",
        "middle": "from toys import inner",
        "inner": "F = 1",
        "other": "",
    }
    toys(**files)
    before = digest("toys.outer")
    assert before is not None
    assert digest("toys.outer") == before
    toys(inner="F = 2")
    assert digest("toys.outer") != before
    toys(inner="F = 1", other="changed")
    assert digest("toys.outer") == before
    toys(middle="from toys import inner  # a comment: the text is what counts")
    assert digest("toys.outer") != before
    assert digest("toys.inner") == digest("toys.inner")


def test_circles_of_imports_end(toys: Callable[..., None]) -> None:
    toys(init="", one="import toys.two", two="import toys.one")
    assert digest("toys.one") == digest("toys.two")


def test_text_moved_from_one_module_to_another_is_another_source(toys: Callable[..., None]) -> None:
    toys(init="", one="import toys.two\nA = 1", two="B = 2")
    before = digest("toys.one")
    toys(one="import toys.two\nA = 1\nB = 2", two="")
    assert digest("toys.one") != before


def test_what_cannot_be_read_or_is_too_young_has_no_digest(
    toys: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code in memory may be of an older text than a file that changed since the process began."""
    toys(init="", one="A = 1")
    assert digest("toys.one") is not None
    monkeypatch.setattr(sources, "_STARTED", 1.5e9)  # ctime is now
    assert digest("toys.one") is None
    monkeypatch.setattr(sources, "_STARTED", float("inf"))
    Path(str(sys.modules["toys.one"].__file__)).unlink()
    assert digest("toys.one") is None
    monkeypatch.setattr(sys.modules["toys.one"], "__file__", None)
    assert digest("toys.one") is None


def scaled_by(factor: float) -> Callable[[float], float]:
    def scaled(x: float) -> float:
        return factor * x

    return scaled


def test_functions_are_told_apart_by_what_they_close_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """And by their place: two functions with the same text are two functions."""
    monkeypatch.setattr(sources, "source_digest", lambda module: "sources")
    one = origin_digest(scaled_by(2.0))  # type: ignore[arg-type]
    assert one == origin_digest(scaled_by(2.0))  # type: ignore[arg-type]
    assert one != origin_digest(scaled_by(3.0))  # type: ignore[arg-type]

    def first(x: float) -> float:
        return x

    def second(x: float) -> float:
        return x

    assert origin_digest(first) != origin_digest(second)  # type: ignore[arg-type]
    monkeypatch.setattr(sources, "source_digest", lambda module: "other sources")
    assert origin_digest(scaled_by(2.0)) != one  # type: ignore[arg-type]
    monkeypatch.setattr(sources, "source_digest", lambda module: None)
    assert origin_digest(first) is None  # type: ignore[arg-type]
