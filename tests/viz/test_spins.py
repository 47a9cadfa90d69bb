"""The one call that shows spins."""

from __future__ import annotations

import numpy as np
from ase.build import bulk
from matplotlib import pyplot
from matplotlib.figure import Figure

from spinase import SpinAtoms
from spinase.viz import plot_spins
from spinase.viz.figures import direction_colors


def test_colours_are_those_of_the_spins() -> None:
    atoms = SpinAtoms.lattice("square", (4, 4), units="reduced", rng=1)
    ax = plot_spins(atoms)
    tiles = next(collection for collection in ax.collections if len(collection.get_facecolor()) == len(atoms))
    np.testing.assert_allclose(tiles.get_facecolor()[:, :3], direction_colors(atoms.spins), atol=1e-12)
    pyplot.close(ax.figure)


def test_plain_atoms_on_given_axes() -> None:
    atoms = bulk("Fe", cubic=True).repeat(2)  # scalar moments
    given = Figure().subplots()
    assert plot_spins(atoms, given) is given
    assert given.collections
