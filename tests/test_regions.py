"""Regions cut out of magnets: which sites, copies and pairs they hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.errors import InvalidGeometryError
from spinase.geometry import Geometry, find_bonds
from spinase.regions import LocalResult, add_up, blocks, cut

PERIODIC, OPEN = np.ones(3, dtype=bool), np.zeros(3, dtype=bool)


def random_magnet(pbc: np.ndarray, sites: int = 40, seed: int = 1) -> Geometry:
    cell = np.array([[4.0, 0.0, 0.0], [1.0, 3.5, 0.0], [-0.5, 0.7, 3.0]])
    scaled = np.random.default_rng(seed).uniform(-0.4, 1.7, size=(sites, 3))  # outside the cell, too
    return Geometry(scaled @ cell, cell, pbc, np.full(sites, 26))


def chain() -> Geometry:
    """Five sites in a row, open."""
    return Geometry(np.outer(np.arange(5.0), [1, 0, 0]), np.zeros((3, 3)), OPEN, np.arange(1, 6))


def test_a_region_of_a_chain_is_what_one_writes_down():
    region = cut(chain(), np.array([1, 1, 0, 0, 1]), cutoff=1.1, depth=1.1)[0]
    assert region.owned == 2
    assert region.tags.tolist() == [2, 3, 1, 4]
    assert region.numbers.tolist() == [3, 4, 2, 5]
    pairs = {(int(region.tags[i]), int(region.tags[j])) for i, j in zip(region.first, region.second, strict=True)}
    assert pairs == {(2, 1), (2, 3), (3, 2), (3, 4)}


def test_pairs_of_ghosts_are_listed_as_far_as_their_surroundings_are_complete():
    region = cut(chain(), np.array([0, 1, 1, 1, 1]), cutoff=1.1, depth=2.2)[0]
    assert region.tags.tolist() == [0, 1, 2]
    pairs = {(int(region.tags[i]), int(region.tags[j])) for i, j in zip(region.first, region.second, strict=True)}
    assert pairs == {(0, 1), (1, 0), (1, 2)}


def test_one_site_in_a_small_cell_has_its_own_images_as_ghosts():
    one = Geometry(np.zeros((1, 3)), np.eye(3), PERIODIC, np.array([26]))
    region = cut(one, np.zeros(1, dtype=np.int64), cutoff=1.5, depth=1.5)[0]
    assert (region.owned, len(region)) == (1, 19)  # six at 1, twelve at sqrt 2
    assert not region.tags.any()
    assert len(region.first) == 18


@pytest.mark.parametrize("pbc", [PERIODIC, OPEN, np.array([True, False, True])], ids=["periodic", "open", "film"])
@pytest.mark.parametrize("seed", range(3))
def test_owned_sites_see_all_their_neighbours_once(pbc, seed):
    geometry = random_magnet(pbc, seed=seed)
    owners = np.random.default_rng(seed).integers(0, 3, len(geometry))
    bonds = find_bonds(geometry, 1.9)
    counts = np.bincount(bonds.first, minlength=40) + np.bincount(bonds.second, minlength=40)
    regions = cut(geometry, owners, cutoff=1.9, depth=2.5)
    assert sorted(np.concatenate([r.tags[: r.owned] for r in regions]).tolist()) == list(range(40))
    for region in regions:
        found = np.bincount(region.first, minlength=len(region))[: region.owned]
        assert found.tolist() == counts[region.tags[: region.owned]].tolist()
        assert np.allclose(region.vectors, region.positions[region.second] - region.positions[region.first], atol=1e-12)
        assert len(np.unique(np.column_stack([region.tags, np.round(region.positions, 6)]), axis=0)) == len(region)


def test_ghosts_are_the_sites_within_the_depth_and_no_others():
    geometry = random_magnet(PERIODIC)
    region = cut(geometry, (np.arange(40) > 3).astype(np.int64), cutoff=1.0, depth=2.5)[0]
    gaps = np.linalg.norm(region.positions[region.owned :, None] - region.positions[None, : region.owned], axis=2)
    assert gaps.min(axis=1).max() <= 2.5
    shifts = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3), axis=-1).reshape(-1, 3) @ geometry.cell
    images = (geometry.positions[:, None] + shifts).reshape(-1, 3)
    near = (np.linalg.norm(images[:, None] - region.positions[None, : region.owned], axis=2) <= 2.5).any(axis=1)
    assert near.sum() == len(region)


def test_blocks_divide_the_cell_and_the_extent_along_open_directions():
    atoms = SpinAtoms.lattice("cubic", (4, 4, 4), 1.0, rng=0)
    owners = blocks(geometry_of(atoms), (2, 2, 1))
    assert np.bincount(owners).tolist() == [16] * 4
    moved = geometry_of(atoms)
    again = Geometry(moved.positions + moved.cell[0] - 3.0 * moved.cell[1], moved.cell, PERIODIC, moved.numbers)
    assert blocks(again, (2, 2, 1)).tolist() == owners.tolist()
    assert np.bincount(blocks(chain(), (5, 1, 1))).tolist() == [1] * 5
    assert blocks(Geometry(np.zeros((1, 3)), np.zeros((3, 3)), OPEN, np.array([1])), (2, 2, 2)).tolist() == [0]


def test_a_region_may_own_nothing():
    regions = cut(chain(), np.zeros(5, dtype=np.int64), cutoff=1.1, depth=1.1, regions=2)
    assert [len(region) for region in regions] == [5, 0]


def test_no_pairs_and_no_ghosts_without_a_reach():
    regions = cut(chain(), np.array([0, 1, 0, 1, 0]), cutoff=0.0, depth=0.0)
    assert [(len(region), len(region.first)) for region in regions] == [(3, 0), (2, 0)]


def test_results_are_added_at_their_tags():
    geometry = Geometry(np.zeros((1, 3)), np.eye(3), PERIODIC, np.array([26]))
    region = cut(geometry, np.zeros(1, dtype=np.int64), cutoff=1.1, depth=1.1)[0]
    ones = np.ones((len(region), 3))
    whole = add_up([region, region], [LocalResult(np.ones(1), ones, ones, np.eye(3))] * 2, 1)
    assert whole.energies.tolist() == [2.0]
    assert whole.magnetic_forces.tolist() == [[14.0] * 3]
    assert whole.forces is not None
    assert whole.forces.tolist() == [[14.0] * 3]
    assert whole.virial is not None
    assert np.trace(whole.virial) == 6.0
    assert add_up([region], [LocalResult(np.ones(1), ones)], 1).forces is None


def test_a_shell_of_ghosts_thinner_than_pairs_is_refused():
    with pytest.raises(InvalidGeometryError, match=r"ghosts 1 deep do not hold pairs within 1\.5: take depth >= cutoff"):
        cut(chain(), np.zeros(5, dtype=np.int64), cutoff=1.5, depth=1.0)


def test_a_region_names_what_it_lacks():
    region = cut(chain(), np.array([0, 0, 1, 1, 1]), cutoff=1.1, depth=1.1)[0]
    region.require("a term", 1.1, 1.1)
    with pytest.raises(InvalidGeometryError, match=r"a term needs all pairs within 1\.2, this region has those within 1\.1"):
        region.require("a term", 1.2, 1.2)
    with pytest.raises(InvalidGeometryError, match=r"a network needs ghosts as far as 2\.2 .* shell of ghosts 2\.2 deep"):
        region.require("a network", 1.1, 2.2)


def test_arrays_of_a_region_must_fit_together():
    region = cut(chain(), np.array([0, 0, 1, 1, 1]), cutoff=1.1, depth=1.1)[0]
    with pytest.raises(InvalidGeometryError, match=r"tags has shape \(2,\), \(3,\) is needed"):
        replace(region, tags=region.tags[:2])
    with pytest.raises(InvalidGeometryError, match="a region of 3 sites cannot own 4"):
        replace(region, owned=4)
