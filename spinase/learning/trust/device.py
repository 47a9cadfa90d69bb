"""Devices of driven magnets: their cross-section, which sets the modes of the electrons, and the leads at their ends.

Fields of electrons that flow through a strip depend on how wide it is, which no site can see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spinase.errors import ModelError
from spinase.geometry import Geometry
from spinase.typing import FloatArray

Widths = tuple[float, float]
"""Of a device across its current, along the two other Cartesian axes in their order, length."""

_SAME = 1e-3  # part by which widths may differ
_TURN = 0.5  # cosine: how much the angle between the ends may differ from that of the leads


def cross_section(geometry: Geometry, axis: int) -> Widths:
    """Widths across a Cartesian axis: the period where a cell vector is periodic, else the extent of the sites."""
    found = []
    for other in range(3):
        if other == axis:
            continue
        steps = np.abs(geometry.cell[geometry.pbc, other])
        steps = steps[steps > 1e-9 * np.abs(geometry.cell).max(initial=0.0)]
        found.append(float(steps.min()) if len(steps) else float(np.ptp(geometry.positions[:, other])))
    return found[0], found[1]


def width_problem(geometry: Geometry, axis: int, trained: Sequence[Widths]) -> str | None:
    """What of the cross-section of a device is not among the trained ones; None if it is.

    Parameters
    ----------
    geometry : Geometry
        The device.
    axis : int
        Direction of the current: 0, 1 or 2.
    trained : sequence
        Cross-sections of the labels, as :func:`cross_section` gives them.
    """
    here = cross_section(geometry, axis)
    if any(np.allclose(here, one, rtol=_SAME, atol=1e-6) for one in trained):
        return None
    names = [letter for k, letter in enumerate("xyz") if k != axis]
    words = ", ".join(_section(one, names) for one in trained)
    told = f"a device {_section(here, names)} is outside the training, which had {words}: its electrons have other modes"
    sides = [name for name, width in zip(names, here, strict=True) if width > 0.0 and not geometry.pbc["xyz".index(name)]]
    return f"{told} (this one is open along {' and '.join(sides)}: its width is the extent of the sites)" if sides else told


def _section(widths: Widths, names: Sequence[str]) -> str:
    return " and ".join(f"{width:.4g} wide along {name}" for width, name in zip(widths, names, strict=True) if width > 0.0)


def lead_names(leads: Sequence[Mapping[str, Any]]) -> str:
    """Leads of a teacher's table, for messages."""
    return " and ".join(str(lead.get("name") or lead.get("side") or lead.get("style")) for lead in leads)


def require_device(
    geometry: Geometry, axis: int, name: str, leads: Sequence[Mapping[str, Any]], length: float | None = None
) -> None:
    """Refuse a magnet that is periodic along the current, or not as long as the model's device.

    Parameters
    ----------
    geometry : Geometry
        The magnet.
    axis : int
        Direction of the current: 0, 1 or 2.
    name : str
        Of the model, for the message.
    leads : sequence of mapping
        Those of its teacher, for the message.
    length : float, optional
        From the first to the last layer, of models whose fields depend on the place between the electrodes, length.

    Raises
    ------
    ModelError
    """
    named, along = lead_names(leads), "xyz"[axis]
    if (np.abs(geometry.cell[geometry.pbc, axis]) > 0.0).any():
        raise ModelError(
            f"the model {name!r} is of a device between leads{f' ({named})' if named else ''} along {along}, and this "
            f"magnet is periodic along {along}: there is no place for leads. Open it (atoms.pbc)"
        )
    here = float(np.ptp(geometry.positions[:, axis]))
    if length is not None and abs(here - length) > _SAME * length:
        raise ModelError(
            f"the model {name!r} is of a device of {length:.6g} from its first to its last layer along {along}, and this "
            f"one has {here:.6g}: fields depend on the distance from the electrodes. Any width across {along} will do"
        )


def lead_problem(leads: Sequence[Mapping[str, Any]], positions: FloatArray, spins: FloatArray, axis: int) -> str | None:
    """What of the ends of a device does not go with two magnetic leads at its ends; None if they do or there are none such.

    A model knows spins up to a common rotation, so what can be told is the angle between both ends.

    Parameters
    ----------
    leads : sequence of mapping
        Of the teacher, with ``side`` and ``exchange``.
    positions, spins : (N, 3) ndarray
        Length; unit vectors.
    axis : int
        Cartesian axis of the current.
    """
    sides = {lead.get("side"): np.asarray(lead.get("exchange") or (0.0, 0.0, 0.0), dtype=float) for lead in leads}
    if any(not np.any(sides.get(side, np.zeros(3))) for side in ("left", "right")):
        return None
    along = positions[:, axis]
    ends = [spins[along < along.min() + 0.5], spins[along > along.max() - 0.5]]
    wanted = _cosine(sides["left"], sides["right"])
    found = _cosine(ends[0].mean(axis=0), ends[1].mean(axis=0))
    if abs(found - wanted) < _TURN:
        return None
    angles = [np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))) for cosine in (found, wanted)]
    return (
        f"the ends of this device are at {angles[0]:.0f} degrees to each other, its leads ({lead_names(leads)}) at "
        f"{angles[1]:.0f}: it has other leads, or a wall has run into one"
    )


def _cosine(one: FloatArray, two: FloatArray) -> float:
    return float(one @ two / max(float(np.linalg.norm(one) * np.linalg.norm(two)), 1e-300))


__all__ = ["Widths", "cross_section", "lead_problem", "require_device", "width_problem"]
