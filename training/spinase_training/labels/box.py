"""Whether the boxes of labels are large enough: fields of a box beside those of the same spins in a box twice as long.

Electrons that cross a periodic box see its images: fields are those of the box then, and no network whose range is shorter
learns them.  A box repeated has the same spins at every site, so what its fields differ by is the error of the box (the
repeated one's own error is much less: it falls exponentially with the length over v / (pi kT), v the Fermi velocity).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spinase.atoms import SpinAtoms, get_moments, set_moments
from spinase.contract import energy_of
from spinase.errors import InputError
from spinase.options import validated
from spinase.run.config import read_table
from spinase.spin_algebra import directions, tangent
from spinase.typing import FloatArray
from spinase_training.labels.config import LabelInput
from spinase_training.labels.configurations import realization_of
from spinase_training.labels.labelling import plain_labels

FINE = 0.999  # R^2 from which on the boxes do


@dataclass(frozen=True)
class BoxError:
    """One configuration in its box and in the box repeated.

    Attributes
    ----------
    kind : str
        How the configuration was made.
    rms_field : float
        Root mean square of the tangent fields -dE/ds in the repeated box, energy.
    r2 : float
        1 - (mean square of what the tangent fields of the box differ by) / (their mean square); NaN where nothing turns.
    energy : float
        Energy per site of the box less that of the repeated one, energy; NaN for magnets without an energy.
    """

    kind: str
    rms_field: float
    r2: float
    energy: float


def box_errors(path: str | Path, overrides: Sequence[str] = (), count: int = 4) -> list[BoxError]:
    """Errors of the boxes of an input of labels, for some configurations of its first realization.

    Parameters
    ----------
    path : path
        TOML input file of ``spinase label``.
    overrides : sequence of str
        ``key=value`` replacements.
    count : int
        How many configurations are asked about, from the first to the last; each costs a label of the box, and one of a box
        twice as long along every periodic direction.

    Raises
    ------
    InputError
        On a bad input file, or if no direction is periodic.
    """
    table, _ = read_table(path, overrides)
    config: LabelInput = validated(LabelInput, plain_labels(table), str(path))
    atoms, kinds = realization_of(config, Path(path).resolve().parent, 0)
    if not atoms.pbc.any():
        raise InputError(f"{path}: no direction of [atoms] is periodic: these boxes have no images that electrons could see")
    made = [(kind, atoms.positions.copy(), get_moments(atoms)) for kind in kinds]
    chosen = np.unique(np.linspace(0, len(made) - 1, min(count, len(made))).round().astype(int))
    return [_compare(atoms, *made[number]) for number in chosen]


def _compare(atoms: SpinAtoms, kind: str, positions: FloatArray, moments: FloatArray) -> BoxError:
    """One configuration, in both boxes."""
    atoms.positions = positions
    set_moments(atoms, moments)
    repeated = atoms.repeat(np.where(atoms.pbc, 2, 1))
    repeated.calc = atoms.calc
    small, large = (_tangent_fields(one)[: len(atoms)] for one in (atoms, repeated))
    power = float(np.mean(np.sum(large**2, axis=1)))
    error = float(np.mean(np.sum((small - large) ** 2, axis=1)))
    energies = [_energy_of_a_site(one) for one in (atoms, repeated)]
    return BoxError(kind, power**0.5, 1.0 - error / power if power else np.nan, energies[0] - energies[1])


def _energy_of_a_site(atoms: SpinAtoms) -> float:
    """Energy per site; NaN for driven magnets."""
    energy = energy_of(atoms)
    return np.nan if energy is None else energy / len(atoms)


def _tangent_fields(atoms: SpinAtoms) -> FloatArray:
    """-dE/ds (N, 3) across the spins, energy."""
    unit, lengths = directions(get_moments(atoms))
    fields: FloatArray = tangent(atoms.calc.get_property("magnetic_forces", atoms) * lengths[:, None], unit)
    return fields


def box_report(path: str | Path, overrides: Sequence[str] = (), count: int = 4) -> str:
    """Errors of the boxes as a table, and what follows from them.

    Parameters
    ----------
    path, overrides, count
        As in :func:`box_errors`.

    Raises
    ------
    InputError
        As there.
    """
    found = box_errors(path, overrides, count)
    lines = [f"{'configuration':28} {'rms field':>12} {'R^2 of the box':>15} {'energy of a site':>17}"]
    lines += [f"{one.kind:28} {one.rms_field:12.4g} {one.r2:15.5f} {one.energy:+17.2g}" for one in found]
    worst = min((one.r2 for one in found if np.isfinite(one.r2)), default=np.nan)
    if worst >= FINE:
        lines.append("the box is large enough: repeated it gives nearly the same fields")
    elif worst < FINE:
        lines.append(
            f"the electrons see the images of the box: no network of short range gets beyond R^2 = {worst:.3f} on the worst "
            "of these. Take a larger [atoms] size (the error falls exponentially with it) or warmer electrons"
        )
    else:
        lines.append("no field turns a spin: nothing to compare")
    return "\n".join(lines)


__all__ = ["BoxError", "box_errors", "box_report"]
