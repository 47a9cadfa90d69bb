"""One call that shows the spins of a magnet."""

from __future__ import annotations

from typing import Any

from ase import Atoms
from matplotlib import pyplot
from matplotlib.axes import Axes

from spinase.atoms import get_spins, get_units
from spinase.viz.figures import spin_map


def plot_spins(atoms: Atoms, ax: Axes | None = None) -> Axes:
    """Spins seen from +z, coloured by direction (hue: azimuth, light: up, dark: down), with in-plane arrows.

    In a notebook the figure shows itself; in a script ``plot_spins(atoms).figure.savefig("spins.png")``.

    Parameters
    ----------
    atoms : Atoms
        With vector moments; sites without one are left out.  Of a three-dimensional magnet the middle layer is drawn.
    ax : Axes, optional
        Where to draw; default: a new figure of pyplot.

    Returns
    -------
    Axes
        With what was drawn.
    """
    shown: Any = ax
    if shown is None:
        _, shown = pyplot.subplots(figsize=(4.4, 4.4), layout="constrained")
    spin_map(shown, atoms.positions, get_spins(atoms), atoms.cell.array, get_units(atoms).length)
    return shown  # type: ignore[no-any-return]
