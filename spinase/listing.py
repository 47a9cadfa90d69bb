"""What the command line shows of styles, as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from spinase.citations import declared_citation
from spinase.styles import list_styles


def list_text(kind: str | None = None) -> str:
    """A line for each style: kind, name, package, version, citation; nothing of them is imported.

    Parameters
    ----------
    kind : str, optional
        Such as ``calculators``; default: all kinds.
    """
    styles = list_styles(kind)
    owners = [f"{style.package} {style.version}" for style in styles]
    width = max(map(len, owners), default=0)
    return "\n".join(
        f"{style.kind:14} {style.name:20} {owner:{width}}  {declared_citation(style.target)}".rstrip()
        for style, owner in zip(styles, owners, strict=True)
    )


def options_text(options: Mapping[str, Any]) -> str:
    """Keys with descriptions (units), types, choices and defaults, a line each (:func:`spinase.options.options_table`)."""
    width, lines = max([20, *map(len, options)]), []
    for option, entry in options.items():
        default = entry["default"]
        shown = "required" if default == "required" else f"default {json.dumps(default)}"
        if entry["choices"]:
            shown = f"one of {', '.join(str(choice) for choice in entry['choices'])}; {shown}"
        elif entry["type"]:
            shown = f"{entry['type']}; {shown}"
        lines.append(f"  {option:{width}} {entry['description']} ({shown})".replace("  (", " ("))
    return "\n".join(lines)


def description_text(told: Mapping[str, Any]) -> str:
    """One style in full: where it comes from, what it is, options, citation (see :func:`spinase.options.describe`)."""
    source = ", ".join(word for word in (told["kind"], told["package"], told["target"]) if word)
    head = "\n".join(line for line in (f"{told['name']} ({source})", told["summary"], told["details"]) if line)
    citation = f"cite: {told['citation']}\n" if told["citation"] else ""
    return "\n\n".join(part for part in (head, options_text(told["options"]), citation) if part).rstrip()
