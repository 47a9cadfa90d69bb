"""A page for every kind of style, from the registry: what each is, its options with units and defaults, its citation."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from spinase.options import describe
from spinase.run.config import input_reference
from spinase.run.schema import input_schema
from spinase.styles import Style, list_styles

KINDS = {
    "calculators": "Calculators: `[calculator] style`",
    "drivers": "Drivers: `[[stage]] driver`",
    "integrators": "Integrators: `integrator` of a driver",
    "thermostats": "Thermostats of atoms: `thermostat`",
    "barostats": "Barostats: `barostat`",
    "minimizers": "Minimizers: `minimizer` of a relaxation or path",
    "initializers": "Initial spins: `[spins] style`",
    "observers": "Observers: `[[observer]] style`",
    "exports": 'Files of frames: `spinase export --to`, `[spins] style = "file"`',
    "formats": "Labelled data of other programs: `spinase convert`",
    "executors": "Executors: who works on labels and sweeps",
    "models": "Networks: `[network] style` of a recipe",
    "readouts": "Readouts: what the parts of a network mean",
    "commands": "Commands that packages add to `spinase`",
}


def cell(text: str) -> str:
    """Text inside a table: no line breaks, bars escaped, angle brackets kept."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def options_rows(options: dict[str, Any]) -> list[str]:
    """A table of keys: meaning with its unit, type or choices, default."""
    if not options:
        return []
    rows = ["", "| key | meaning | type | default |", "|---|---|---|---|"]
    for key, told in options.items():
        kind = ", ".join(f"`{choice}`" for choice in told["choices"]) or told["type"]
        default = {"required": "required", "null": "none"}.get(cell(json.dumps(told["default"])).strip('"'))
        default = default or f"`{cell(json.dumps(told['default']))}`"
        rows.append(f"| `{key}` | {cell(told['description'])} | {cell(kind)} | {default} |")
    return rows


def style_section(style: Style) -> list[str]:
    """Heading, summary, options and citation of a style."""
    told = describe(style)
    source = f"`{told['target']}`, {told['package']}"
    details = [cell(told["details"]), ""] if told["details"] else []
    lines = [f"## {style.name}", "", cell(told["summary"]), "", *details, source]
    cited = told["citation"]
    return [*lines, *options_rows(told["options"]), "", *([f"Cite: {cell(str(cited))}", ""] if cited else [])]


def kinds() -> list[str]:
    """Those with installed styles, known ones first."""
    found = {style.kind for style in list_styles()}
    return [*(kind for kind in KINDS if kind in found), *sorted(found - set(KINDS))]


def write_pages(app: Any) -> None:
    """Write ``styles/`` anew beside the other sources."""
    folder = Path(app.srcdir) / "styles"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    rows = []
    for kind in kinds():
        styles = list_styles(kind)
        sections = [line for style in styles for line in style_section(style)]
        (folder / f"{kind}.md").write_text("\n".join([f"# {KINDS.get(kind, kind)}", "", *sections]), encoding="utf-8")
        rows.append(f"| [{kind}]({kind}.md) | {', '.join(f'`{style.name}`' for style in styles)} |")
    keys = [
        "# Keys of an input file",
        "",
        "Options of styles and drivers: [styles](index.md). Numbers with a unit in brackets may be texts in metal units,",
        '`"1 fs"`, `"300 K"`, `"20 meV"`, `"0 0 5 T"`. For editors: `spinase styles input --schema`',
        "(beside this site: `input.schema.json`).",
        *options_rows(input_reference()),
    ]
    (folder / "input.md").write_text("\n".join([*keys, ""]), encoding="utf-8")
    Path(app.outdir).mkdir(parents=True, exist_ok=True)
    (Path(app.outdir) / "input.schema.json").write_text(json.dumps(input_schema(), indent=1), encoding="utf-8")
    text = [
        "# Styles and input files",
        "",
        "Everything that can be chosen by name, as `spinase styles KIND NAME` tells it; a plugin adds its own. Where a name",
        "is accepted, so is a dotted path `module:Class`. The tables outside styles: [keys of an input file](input.md).",
        "",
        "```{toctree}",
        ":hidden:",
        "",
        "input",
        *kinds(),
        "```",
        "",
    ]
    (folder / "index.md").write_text("\n".join([*text, "| kind | styles |", "|---|---|", *rows, ""]), encoding="utf-8")


def setup(app: Any) -> dict[str, Any]:
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}
