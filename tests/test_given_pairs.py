"""Pair laws on given pairs: what they take of the pairs of a region, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.errors import InvalidGeometryError, ModelError
from spinase.geometry import Geometry
from spinase.pair_laws import AmongSpecies, DistanceLaw, PairLaw, ShellLaw, SpeciesLaw
from spinase.radial import Exponential
from spinase.regions import Region, cut

LAW = Exponential(amplitude=-0.6, decay=1.3, reference=1.0, cutoff=1.2, width=0.3)


def square(size: int = 4) -> Geometry:
    """A square lattice of two species, row by row."""
    geometry = geometry_of(SpinAtoms.lattice("square", (size, size), 1.0, rng=0))
    return replace(geometry, numbers=np.where(np.round(geometry.positions[:, 1]).astype(int) % 2 == 0, 26, 27))


def everything(geometry: Geometry, cutoff: float) -> Region:
    """One region that owns all sites."""
    return cut(geometry, np.zeros(len(geometry), dtype=np.int64), cutoff, cutoff)[0]


LAWS: dict[str, PairLaw] = {
    "distance": DistanceLaw(LAW),
    "shells": ShellLaw([1.0, 0.0, -0.5]),
    "shells at distances": ShellLaw([1.0, 0.3], [1.0, 1.41], width=0.05),
    "species": SpeciesLaw({(26, 26): DistanceLaw(LAW), (26, 27): ShellLaw([0.2, 0.1])}),
    "among a species": AmongSpecies(ShellLaw([0.4]), [27]),
    "of species that are not there": SpeciesLaw({(26, 28): ShellLaw([0.2])}),
}


@pytest.mark.parametrize("name", LAWS)
def test_a_whole_magnet_as_one_region_has_every_coupling_from_both_ends(name):
    law, geometry = LAWS[name], square()
    given = law.local(geometry)
    region = everything(geometry, max(given.cutoff, 1.0))
    pairs, values, slopes = given.on(region.owned_pairs, region)
    bonds, expected, steps = law.amplitudes(geometry)
    assert len(pairs) == 2 * len(bonds)
    assert np.allclose(np.sort(values), np.sort(np.tile(expected, 2)), atol=1e-14)
    assert np.allclose(np.sort(slopes), np.sort(np.tile(steps, 2)), atol=1e-14)


def test_the_cutoff_holds_every_bond_of_the_law():
    geometry = square()
    for law in LAWS.values():
        bonds, _, _ = law.amplitudes(geometry)
        assert law.local(geometry).cutoff >= bonds.distances.max(initial=0.0)


def test_the_last_window_ends_before_the_shell_that_follows():
    """Third neighbours at 2, fourth at 2.236: ten per cent of 2 would be too wide."""
    given = ShellLaw([0.0, 0.0, 1.0]).local(square(6))
    assert given.cutoff < np.sqrt(5.0)


def test_sites_without_a_moment_make_no_shells():
    """Every second row is not magnetic: nearest neighbours are along rows, next ones two rows away."""
    geometry = square()
    geometry = replace(geometry, magnetic=geometry.numbers == 26)
    given = ShellLaw([1.0, 1.0]).local(geometry)
    region = everything(geometry, given.cutoff)
    pairs, _, _ = given.on(region.owned_pairs, region)
    assert (region.numbers[pairs.first] == 26).all()
    assert (region.numbers[pairs.second] == 26).all()
    assert np.unique(np.round(pairs.distances, 6)).tolist() == [1.0, 2.0]


def hinge(longest: float) -> Geometry:
    """Two triangles of sides 1 that share one; their far corners are `longest` apart."""
    height, half = np.sqrt(0.75), 0.5 * longest
    deep = np.sqrt(height**2 - half**2)
    positions = np.array([[-0.5, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, deep, half], [0.0, deep, -half]])
    return Geometry(positions, np.zeros((3, 3)), np.zeros(3, dtype=bool), np.full(4, 26))


def test_shells_that_windows_do_not_hold_are_refused():
    """One shell by its gaps, but wider than a window about its mean."""
    law = ShellLaw([1.0], width=0.45)
    law.local(hinge(1.1))
    with pytest.raises(InvalidGeometryError, match="1.18 apart, at the edge of the shell at 1.03"):
        law.local(hinge(1.18))
    with pytest.raises(InvalidGeometryError, match=r"mean distances .* hold 5 bonds and the shells 6: say distances"):
        law.local(hinge(1.4))


def test_shells_without_distances_need_a_magnet():
    with pytest.raises(ModelError, match=r"shells \[0.5\] without distances are found on a whole magnet: give it, too"):
        ShellLaw([0.5]).local()
    assert ShellLaw([0.5], [1.0]).local().cutoff > 1.0


def test_a_law_of_ones_own_says_that_it_cannot():
    class Own(PairLaw):
        def amplitudes(self, geometry: Geometry) -> Any:
            return ShellLaw([1.0]).amplitudes(geometry)

        def __repr__(self) -> str:
            return "Own()"

    with pytest.raises(ModelError, match=r"Own\(\) does not tell the couplings of given pairs"):
        Own().local()
