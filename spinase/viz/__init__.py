"""Figures: of a run, of the spins of a magnet, and the drawings they are made of."""

from spinase.viz.report import plot_run
from spinase.viz.spins import plot_spins

__all__ = ["plot_run", "plot_spins"]
