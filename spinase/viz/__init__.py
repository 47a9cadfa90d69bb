"""Figures: of a run, of the spins of a magnet, of magnon bands, and the drawings they are made of."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spinase.viz.magnons import band_axis, draw_bands, draw_spectrum
    from spinase.viz.report import plot_run
    from spinase.viz.spins import plot_spins

_LAZY = {
    "band_axis": "spinase.viz.magnons",
    "draw_bands": "spinase.viz.magnons",
    "draw_spectrum": "spinase.viz.magnons",
    "plot_run": "spinase.viz.report",
    "plot_spins": "spinase.viz.spins",  # pyplot is for those who show spins
}

__all__ = ["band_axis", "draw_bands", "draw_spectrum", "plot_run", "plot_spins"]


def __getattr__(name: str) -> Any:
    """A function of one of the modules, imported on first use."""
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Names for tab completion."""
    return sorted({*globals(), *__all__})
