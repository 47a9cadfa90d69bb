"""Short dynamics of a model next to its teacher: how far the two trajectories part, in spins, correlations and energy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import ase.units
import numpy as np

from spinase.atoms import SpinAtoms, geometry_of, get_moments, get_spins
from spinase.calculators.ed import EDCalculator
from spinase.contract import energy_of, is_conservative
from spinase.dynamics.llg import LLGDynamics
from spinase.electrons.model import SDModel
from spinase.errors import InputError
from spinase.geometry import Bonds, find_bonds, nearest_distances
from spinase.io.labels import Labels
from spinase.learning.card import ModelCard
from spinase.run.build import build_foreign_calculator
from spinase.typing import FloatArray

_NEAR = 1.5  # pairs closer than this many median nearest distances are neighbours
_DEFAULTS = {"reduced": (0.1, 10.0), "metal": (1.0 * ase.units.fs, 100.0 * ase.units.fs)}


@dataclass(frozen=True)
class Course:
    """How the trajectories are made.

    Attributes
    ----------
    timestep, time : float or None
        Time units of the magnet; default: 0.1 and 10 hbar/t, or 1 and 100 fs.
    damping : float
        Gilbert damping; there is no noise.
    runs : int
        Realizations, each from its first configuration.
    samples : int
        Times that are compared, the start apart.
    """

    timestep: float | None = None
    time: float | None = None
    damping: float = 0.1
    runs: int = 3
    samples: int = 10


def teacher_of(card: ModelCard, attributes: Mapping[str, Any] | None = None, bias: float | None = None) -> Any:
    """The calculator that made the labels, from the table ``teacher`` of a card, else of a label file's attributes.

    `bias` is the one between its leads, energy, where it has some.  A table with a ``style`` is one of a ``[calculator]``;
    without, it is that of an s-d model, solved exactly.

    Parameters
    ----------
    card : ModelCard
        Of the model.
    attributes : mapping, optional
        Of the label file.
    bias : float, optional
        Between the leads of the teacher, energy.

    Raises
    ------
    InputError
        If there is no such table, or it names code that is no installed style.
    """
    table = card.notes.get("teacher") or (attributes or {}).get("teacher")
    if not isinstance(table, Mapping) or not table:
        raise InputError(
            f"neither the card of the model {card.name!r} nor the label file names a teacher: dynamics cannot be compared; "
            "leave them out (--no-dynamics), or say the teacher when labels are converted (--set teacher.style=...)"
        )
    if bias is not None:
        table = {**table, "bias": bias}
    if "style" in table:
        return build_foreign_calculator(table, "the teacher of the card (or of the label file)")
    return EDCalculator(SDModel.from_config(table))


def compare(model: Any, teacher: Any, parts: Sequence[Labels], course: Course) -> dict[str, Any]:
    """Run model and teacher from the same spins and compare them at the same times.

    Parameters
    ----------
    model, teacher
        ASE calculators with magnetic forces.
    parts : sequence of Labels
        Realizations; a run starts from the first configuration of each.
    course : Course
        Time step, length, damping, number of runs and of samples.

    Returns
    -------
    dict
        ``times`` and, averaged over the runs: ``angle`` (rms angle between the spins of both, radian), ``torque_r2`` and
        ``rms_torque`` (the model's torques on the teacher's trajectory, and the teacher's, energy), ``correlation_teacher``
        and ``correlation_model`` (mean s_i.s_j of near neighbours), ``energy_teacher`` and ``energy_model`` (the teacher's
        energy per site on both trajectories; None for a driven teacher).

    Raises
    ------
    InputError
        If there is no realization, or the time is shorter than the samples.
    """
    if not parts:
        raise InputError("the label file is empty: nothing to start from")
    timestep, time = _times(course, parts[0].units)
    steps = max(1, round(time / timestep / course.samples))
    runs = [_run(model, teacher, part, course, timestep, steps) for part in parts[: course.runs]]
    means: dict[str, Any] = {"times": [k * steps * timestep for k in range(course.samples + 1)]}
    power, wrong = (np.sum([run[name] for run in runs], axis=0) for name in ("power", "wrong"))
    means["torque_r2"] = (1.0 - wrong / np.maximum(power, np.finfo(float).tiny)).tolist()
    means["rms_torque"] = np.sqrt(power / sum(len(part.numbers) for part in parts[: course.runs])).tolist()
    for name in ("angle", "correlation_teacher", "correlation_model", "energy_teacher", "energy_model"):
        values = np.mean([run[name] for run in runs], axis=0)
        means[name] = values.tolist() if np.isfinite(values).all() else None
    return {**means, "course": {**asdict(course), "timestep": timestep, "time": steps * course.samples * timestep}}


def _times(course: Course, units: str) -> tuple[float, float]:
    timestep, time = _DEFAULTS[units]
    timestep = timestep if course.timestep is None else course.timestep
    time = time if course.time is None else course.time
    if timestep <= 0.0 or time < course.samples * timestep or course.samples < 1 or course.runs < 1:
        raise InputError(
            f"{course.samples} samples in a time of {time:g} with a time step of {timestep:g}: at least one positive time "
            "step for each sample, one sample and one run are needed"
        )
    return timestep, time


def _run(model: Any, teacher: Any, part: Labels, course: Course, timestep: float, steps: int) -> dict[str, list[float]]:
    """Both trajectories from the first configuration of a realization."""
    exact, learned = part.atoms(0), part.atoms(0)
    exact.calc, learned.calc = teacher, model
    drivers = [LLGDynamics(atoms, timestep, damping=course.damping, probe=False) for atoms in (exact, learned)]
    bonds, found = _near(exact), list[dict[str, float]]()
    for sample in range(course.samples + 1):
        if sample:
            for driver in drivers:
                driver.run(steps)
        found.append(_sample(exact, learned, model, teacher, bonds))
    return {name: [row[name] for row in found] for name in found[0]}


def _sample(exact: SpinAtoms, learned: SpinAtoms, model: Any, teacher: Any, bonds: Bonds) -> dict[str, float]:
    true = np.asarray(teacher.get_property("torques", exact))
    guess = np.cross(get_moments(exact), _asked(model, exact, "magnetic_forces"))
    one, two = get_spins(exact), get_spins(learned)
    magnetic = np.any(one != 0.0, axis=1)
    sine, cosine = np.linalg.norm(np.cross(one, two), axis=1), np.sum(one * two, axis=1)
    return {
        "power": float(np.sum(true**2)),
        "wrong": float(np.sum((guess - true) ** 2)),
        "angle": float(np.sqrt(np.mean(np.arctan2(sine, cosine)[magnetic] ** 2))),
        "correlation_teacher": _correlation(one, bonds),
        "correlation_model": _correlation(two, bonds),
        "energy_teacher": _energy(exact, teacher),
        "energy_model": _energy(learned, teacher),
    }


def _asked(calc: Any, atoms: SpinAtoms, name: str) -> FloatArray:
    """A result for a copy of the atoms, so that the cache of a running calculator is left alone."""
    other = atoms.copy()
    return np.asarray(calc.get_property(name, other))


def _energy(atoms: SpinAtoms, teacher: Any) -> float:
    if not is_conservative(teacher):
        return np.nan
    other = atoms.copy()
    other.calc = teacher
    return float(energy_of(other) or 0.0) / len(atoms)


def _near(atoms: SpinAtoms) -> Bonds:
    geometry = geometry_of(atoms)
    return find_bonds(geometry, _NEAR * float(np.median(nearest_distances(geometry))))


def _correlation(spins: FloatArray, bonds: Bonds) -> float:
    return float(np.mean(np.sum(spins[bonds.first] * spins[bonds.second], axis=1)))


__all__ = ["Course", "compare", "teacher_of"]
