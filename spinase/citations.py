"""What to cite: the ``citation`` of a style, read without importing it, and its references one by one.

A citation is a text for people: references with semicolons between them, each with ``doi:...`` or ``arXiv:...`` where it
has one, and at most a few words and a colon before it that say what it is for.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path

_DOI = re.compile(r",?\s*\bdoi:(10\.\d+/[^\s,;]*[^\s,;.)])")
_ARXIV = re.compile(r"\barXiv:(\d{4}\.\d{4,5})")


@dataclass(frozen=True)
class Reference:
    """One paper, book or program.

    Attributes
    ----------
    text : str
        As people write it, with its links.
    doi, arxiv : str
        Its numbers, empty if the text has none.
    """

    text: str
    doi: str
    arxiv: str

    @property
    def link(self) -> str:
        """Where to read it; empty if the text does not say."""
        return f"https://doi.org/{self.doi}" if self.doi else f"https://arxiv.org/abs/{self.arxiv}" if self.arxiv else ""


def references_in(citation: str) -> list[Reference]:
    """The references of a citation, in its order.

    Parameters
    ----------
    citation : str
        Of a style.
    """
    found = []
    for part in citation.split(";"):
        text = " ".join(part.split())
        if text:
            doi, arxiv = _DOI.search(text), _ARXIV.search(text)
            found.append(Reference(text, doi[1] if doi else "", arxiv[1] if arxiv else ""))
    return found


def bibtex(references: Iterable[Reference]) -> str:
    """BibTeX entries ``@misc``: the text as a note, with DOI and arXiv number, from which managers complete the rest."""
    entries: dict[str, str] = {}
    for reference in references:
        fields = {"note": _DOI.sub("", reference.text)}
        if reference.doi:
            fields["doi"] = reference.doi
        if reference.arxiv:
            fields |= {"eprint": reference.arxiv, "archiveprefix": "arXiv"}
        key = _new_key(reference, entries)
        lines = [f"  {name} = {{{value}}}" for name, value in fields.items()]
        entries[key] = f"@misc{{{key},\n" + ",\n".join(lines) + "\n}\n"
    return "\n".join(entries.values())


def _new_key(reference: Reference, taken: Iterable[str]) -> str:
    """The first surname and the year, or the arXiv number; a letter after it if it is taken."""
    plain = unicodedata.normalize("NFKD", reference.text).encode("ascii", "ignore").decode()
    names = re.findall(r"[A-Za-z-]{2,}", plain.partition(": ")[2] or plain)
    years = re.findall(r"\((?:[^()]*\s)?(\d{4})\)", plain)
    key = f"{names[0].lower()}{years[-1]}" if names and years else f"arxiv{reference.arxiv.replace('.', '')}"
    if not names and not reference.arxiv:
        key = "reference"
    return next(name for name in (key, *(f"{key}{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")) if name not in taken)


def declared_citation(target: str) -> str:
    """The ``citation`` of a class as its source has it: a text in quotes in the body of the class.  Nothing is imported.

    Parameters
    ----------
    target : str
        ``module:Class``.

    Returns
    -------
    str
        Empty if there is no such text, or no source in which to look for it.
    """
    module, _, name = target.partition(":")
    head = re.search(rf"^class {re.escape(name)}\b", text := _source(module), re.MULTILINE)
    if head is None:
        return ""
    body = text[head.start() :]
    end = re.search(r"\n[^\s)\]]", body)  # the next line that begins a statement
    body = body[: end.start() + 1] if end else body
    line = re.search(r"^    citation\b[^=\n]*=\s*(\(\n(?:.*\n)+?    \)|.*)", body, re.MULTILINE)
    try:
        value = ast.literal_eval(line[1]) if line else ""
    except (ValueError, SyntaxError):  # a name, or something computed: only the class itself knows
        return ""
    return value if isinstance(value, str) else ""


@cache
def _source(module: str) -> str:
    """The text of a module, found without importing the packages it is in; empty if there is none."""
    top, *rest = module.split(".")
    for place in _package_folders(top) if rest else ():
        for path in (Path(place, *rest).with_suffix(".py"), Path(place, *rest, "__init__.py")):
            if path.is_file():
                return _text(path)
    return "" if rest else _text(_module_file(top))


@cache
def _package_folders(top: str) -> tuple[str, ...]:
    spec = _spec(top)
    return tuple(spec.submodule_search_locations or ()) if spec else ()


def _module_file(top: str) -> Path | None:
    spec = _spec(top)
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def _spec(top: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None


def _text(path: Path | None) -> str:
    try:
        return path.read_text(encoding="utf-8") if path else ""
    except (OSError, UnicodeDecodeError):
        return ""
