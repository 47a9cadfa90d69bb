"""``spinase validate``: errors by property, symmetry defects, curl of driven models, dynamics against the teacher."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from spinase.calculators.learned import LearnedCalculator
from spinase.errors import InputError
from spinase.files import refuse_foreign, write_text
from spinase.io.labels import Labels, read_labels
from spinase.learning.card import ModelCard
from spinase.learning.model_file import load_model
from spinase.learning.shipped import find_model
from spinase.testing.case import Case, SkipCheck
from spinase.testing.report import Tolerances
from spinase.testing.symmetry import (
    check_joint_rotation,
    check_lattice_rotation,
    check_permutation,
    check_spin_rotation,
    check_supercell,
    check_time_reversal,
    check_translation,
)
from spinase.units import unit_system
from spinase.viz.figures import require_figure
from spinase_training.driven import curls, largest_bias
from spinase_training.figures import validation_figure
from spinase_training.trajectories import Course, compare, teacher_of
from spinase_training.validation import errors, predict

SYMMETRIES = {
    "all spins rotated": check_spin_rotation,
    "lattice rotated": check_lattice_rotation,
    "both rotated together": check_joint_rotation,
    "time reversed": check_time_reversal,
    "sites moved": check_translation,
    "sites listed in another order": check_permutation,
    "cell repeated": check_supercell,
}
REPORT, FIGURE = "validation.json", "validation.png"


def validate_model(model: Path, data: Path, folder: Path, course: Course | None, limit: int | None = None) -> dict[str, Any]:
    """Validate a model file on a label file; writes ``validation.json`` and ``validation.png`` into `folder`.

    Parameters
    ----------
    model, data : path
        Model file (or name of a model that comes with spinase), and label file.
    folder : path
        Where the report goes.
    course : Course or None
        Dynamics against the teacher; None: without.
    limit : int, optional
        Realizations that are used, spread evenly over the file.

    Returns
    -------
    dict
        What is in the JSON file.

    Raises
    ------
    InputError
        If other files have the names of the report; on an empty label file, one of other units or species than the model,
        or, with `course`, no teacher.
    ModelFileError, CheckpointError
        On files that are missing or damaged.
    """
    require_figure(folder / FIGURE)
    refuse_foreign(folder / REPORT, _is_report, "validation")
    parts, attributes = read_labels(data)
    loaded = load_model(find_model(model))
    parts = _fitting(parts, loaded[1], limit)
    notes = {**attributes, "teacher": json.loads(attributes["teacher"])} if "teacher" in attributes else dict(attributes)
    bias = largest_bias(loaded[1], parts)
    teacher = None if course is None else teacher_of(loaded[1], notes, bias)
    found = [predict(loaded, part) for part in parts]
    dynamics, driven = None, None
    if course is not None:
        dynamics = compare(LearnedCalculator(loaded, bias=bias), teacher, parts, course)
    if not loaded[1].readout.conservative:
        driven = curls(loaded, parts, None if course is None else partial(teacher_of, loaded[1], notes))
    told = {
        "model": str(model),
        "name": loaded[1].name,
        "networks": len(loaded[0]),
        "data": str(data),
        "data_hash": attributes.get("hash", ""),
        "data_is_the_training_file": attributes.get("hash") in str(loaded[1].notes.get("data_hash")).split("\n"),
        "realizations": len(parts),
        "units": loaded[1].units,
        "errors": errors(found),
        "symmetry_defects": symmetry_defects(loaded, parts[0], bias),
        "dynamics": dynamics,
        "curl": driven,
    }
    folder.mkdir(parents=True, exist_ok=True)
    validation_figure(found, dynamics, unit_system(loaded[1].units), folder / FIGURE)
    write_text(folder / REPORT, json.dumps(_plain(told), indent=1, allow_nan=False))
    return told


def _is_report(path: Path) -> bool:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(table, dict) and {"model", "data_hash", "symmetry_defects"} <= table.keys()


def _fitting(parts: Sequence[Labels], card: ModelCard, limit: int | None) -> list[Labels]:
    """Realizations the model can be asked about."""
    if not sum(len(part) for part in parts):
        raise InputError("the label file is empty: nothing to validate on")
    for number, part in enumerate(parts):
        if part.units != card.units:
            raise InputError(f"the labels are in {part.units} units, the model {card.name!r} in {card.units} units")
        unknown = sorted(set(part.numbers.tolist()) - set(card.trunk.species))
        if unknown:
            known = ", ".join(chemical_symbols[z] for z in card.trunk.species)
            raise InputError(
                f"realization {number} has {chemical_symbols[unknown[0]]}, the model {card.name!r} knows {known}"
            )
    if limit is None or limit >= len(parts):
        return list(parts)
    return [parts[k] for k in np.unique(np.linspace(0, len(parts) - 1, limit).round().astype(int))]


def symmetry_defects(model: Any, labels: Labels, bias: float | None = None) -> dict[str, dict[str, float | None]]:
    """Largest relative change of energy and fields under operations that must change nothing, in both precisions.

    Driven models are asked under a bias, energy.  Measured on the first configuration of a realization, as in the
    conformance kit (:mod:`spinase.testing.symmetry`); None where an operation does not apply.

    Parameters
    ----------
    model : str, Path or pair
        What a learned calculator is made from.
    labels : Labels
        A realization.
    bias : float, optional
        Between the leads of a driven model, energy.
    """
    atoms = labels.atoms(0)
    atoms.calc = None
    found: dict[str, dict[str, float | None]] = {}
    for name, check in SYMMETRIES.items():
        found[name] = {}
        for dtype in ("float64", "float32"):
            calc = LearnedCalculator(model, dtype=dtype, bias=bias, outside_domain="ignore")
            case = Case(calc, atoms, seed=1, tolerances=Tolerances())
            try:
                found[name][dtype] = check(case).value
            except SkipCheck:
                found[name][dtype] = None
    return found


def table(told: Mapping[str, Any]) -> str:
    """The report as text."""
    lines = [
        f"{told['name']} ({told['networks']} networks) on {told['data']}: {told['realizations']} realizations, "
        f"{told['errors']['configurations']} configurations"
    ]
    if told["data_is_the_training_file"]:
        lines.append("note: this is the file the model was trained on; most of it is no test")
    lines.append(f"{'':32}{'R^2':>10}{'rms error':>12}{'rms':>12}")
    shown = {"torques": "torques", "magnetic_forces": "magnetic forces across moments", "forces": "forces on atoms"}
    for name, label in shown.items():
        values = told["errors"]["properties"][name]
        lines.append(_row(label, values) if values else f"{label:32}{'not labelled, or not learned':>34}")
    lines += [_row(f"  torques, {kind}", values) for kind, values in told["errors"]["torques_by_kind"].items()]
    energies = told["errors"]["properties"]["energy_per_site"]
    lines.append(
        "energy per site: not labelled, or none of the model"
        if energies is None
        else f"energy per site: rms error {energies['rms_error']:.3g}, "
        f"{energies['rms_error_without_offset']:.3g} without the mean of each realization, spread {energies['spread']:.3g}"
    )
    lines.append(f"{'symmetry defects (relative)':32}{'float64':>12}{'float32':>12}")
    for name, values in told["symmetry_defects"].items():
        lines.append(f"  {name:30}" + "".join(f"{'-' if v is None else f'{v:.1e}':>12}" for v in values.values()))
    return "\n".join([*lines, *_curl_lines(told["curl"]), *_dynamics_lines(told["dynamics"])])


def _row(label: str, values: Mapping[str, float]) -> str:
    return f"{label:32}{values['r2']:>10.4f}{values['rms_error']:>12.3g}{values['rms']:>12.3g}"


def _curl_lines(curl: Sequence[Mapping[str, Any]] | None) -> list[str]:
    if curl is None:
        return []
    lines = [f"{'part of the torque without a potential':42}{'model':>10}{'teacher':>10}"]
    for row in curl:
        where = "  as it is driven" if row["bias"] is None else f"  at a bias of {row['bias']:g}"
        teacher = "-" if row["teacher"] is None else f"{row['teacher']:.3g}"
        lines.append(f"{where:42}{row['model']:>10.3g}{teacher:>10}")
    return lines


def _dynamics_lines(dynamics: Mapping[str, Any] | None) -> list[str]:
    if dynamics is None:
        return []
    lines = [f"dynamics next to the teacher, damping {dynamics['course']['damping']:g}, {dynamics['course']['runs']} runs"]
    names = ["times", "torque_r2", "rms_torque", "angle", "correlation_teacher", "correlation_model"]
    heads = ["time", "torque R^2", "rms torque", "angle", "C teacher", "C model"]
    if dynamics["energy_teacher"] is not None:
        names, heads = [*names, "energy_teacher", "energy_model"], [*heads, "E teacher", "E model"]
    lines.append("".join(f"{head:>12}" for head in heads))
    lines += ["".join(f"{value:>12.4g}" for value in row) for row in zip(*(dynamics[name] for name in names), strict=True)]
    return lines


def _plain(value: Any) -> Any:
    """The same with None for numbers JSON does not have."""
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


__all__ = ["Course", "symmetry_defects", "table", "validate_model"]
