"""What to cite for a run: the references of everything that it uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import ase
from ase import Atoms

from spinase import __version__
from spinase.citations import Reference, references_in
from spinase.learning.card import ModelCard
from spinase.run.build import Setup
from spinase.run.execute import check_stages
from spinase.styles import find_style, list_styles

_ALWAYS = (
    (f"spinase {__version__}", f"The spinase developers, spinase {__version__} (its CITATION.cff)"),
    (
        f"ase {ase.__version__}",
        "A. H. Larsen et al., J. Phys.: Condens. Matter 29, 273002 (2017), doi:10.1088/1361-648X/aa680e",
    ),
)


def run_references(setup: Setup) -> dict[Reference, list[str]]:
    """References of what a run uses, each with who asks for it.

    Spinase and ASE first, then calculators (with their terms, solvers, networks, and what made a network's labels), drivers
    (with their integrators, baths and minimizers) and observers.

    Parameters
    ----------
    setup : Setup
        Everything the input describes, built.
    """
    stages = zip(setup.stages, check_stages(setup), strict=True)
    used = [part for stage, driver in stages for part in (stage.calculator, driver)]
    used += [entry.observer for entry in setup.observers]
    found: dict[Reference, list[str]] = {}
    same: dict[str, Reference] = {}  # one paper may be told with other words by two styles
    for user, citation in chain(_ALWAYS, _cited(used)):
        for reference in references_in(citation):
            users = found.setdefault(same.setdefault(reference.link or reference.text, reference), [])
            if user not in users:
                users.append(user)
    return found


def _cited(root: Any) -> Iterator[tuple[str, str]]:
    """Who has a ``citation``, among `root` and all that it holds, and the citation."""
    names = {style.target: f"{style.kind[:-1]} {style.name}" for style in list_styles()}
    own = {target.partition(".")[0].partition(":")[0] for target in names}  # packages that may hold what is to be cited
    waiting, seen = [root], set()
    while waiting:
        thing = waiting.pop(0)
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        kind = type(thing)
        citation = getattr(kind, "citation", "")
        if isinstance(citation, str) and citation:
            yield names.get(f"{kind.__module__}:{kind.__qualname__}", kind.__name__), citation
        if isinstance(thing, ModelCard):
            yield from _teachers(thing)
        waiting += _parts(thing, own)


def _parts(thing: Any, own: set[str]) -> list[Any]:
    """What `thing` holds: entries of a list or a table, attributes of an object of a package of styles."""
    if isinstance(thing, Mapping):
        return list(thing.values())
    if isinstance(thing, list | tuple):
        return list(thing)
    inside = type(thing).__module__.partition(".")[0] in own and not isinstance(thing, Atoms | type)
    return list(getattr(thing, "__dict__", {}).values()) if inside else []


def _teachers(card: ModelCard) -> Iterator[tuple[str, str]]:
    """The calculators that made the labels of a model, as its card tells."""
    teacher = card.notes.get("teacher")
    name = teacher.get("style") if isinstance(teacher, Mapping) else None
    if any(style.name == name for style in list_styles("calculators")):
        style = find_style("calculators", str(name))
        yield f"teacher of {card.name} ({style.name})", getattr(style.load(), "citation", "")
