"""Shapes and ranges behind the figures: tiles of lattices, spacings, views of solids, axes that do not show round-off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from spinase import SpinAtoms
from spinase.errors import InputError
from spinase.viz import figures, views
from spinase.viz.figures import against_time, honest_range, save_figure, spin_map, time_series


def area(corners: np.ndarray) -> float:
    x, y = corners.T
    return 0.5 * abs(float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))))


@pytest.mark.parametrize(("lattice", "expected"), [("square", 1.0), ("triangular", np.sqrt(0.75))])
@pytest.mark.parametrize("turn", [0.0, 0.4])
def test_tiles_fill_the_plane(lattice: str, expected: float, turn: float) -> None:
    """The Wigner-Seitz cell has the area of a site and its centre at the site, however the lattice is turned."""
    points = SpinAtoms.lattice(lattice, (5, 5)).positions[:, :2]
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    tile = figures._wigner_seitz(points @ rotation.T)
    assert tile is not None
    assert area(tile) == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(tile.mean(axis=0), 0.0, atol=1e-9)


def test_disorder_has_no_tile_and_a_honeycomb_those_of_the_lattice_that_holds_it() -> None:
    honeycomb = figures._wigner_seitz(SpinAtoms.lattice("honeycomb", (4, 4)).positions[:, :2])
    assert honeycomb is not None
    assert area(honeycomb) == pytest.approx(np.sqrt(0.75))
    assert figures._wigner_seitz(np.random.default_rng(1).random((20, 2))) is None
    for lonely in (np.zeros((1, 2)), np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])):
        tile = figures._wigner_seitz(lonely)
        assert tile is not None, "a chain and a single site are squares"
        assert area(tile) == pytest.approx(1.0)


def test_spacings_are_those_of_nearest_neighbours() -> None:
    assert views.spacing(SpinAtoms.lattice("square", (4, 4), a=2.5).positions[:, :2]) == pytest.approx(2.5)
    assert views.spacing(np.zeros((1, 2))) == 1.0
    assert views.spacing(np.zeros((4, 2))) == 1.0, "all at one place"


@pytest.mark.parametrize(("lattice", "sites"), [("cubic", 16), ("bcc", 16), ("fcc", 32)])
def test_the_middle_layer_of_a_crystal_is_one_plane(lattice: str, sites: int) -> None:
    atoms = SpinAtoms.lattice(lattice, (4, 4, 4), rng=1)
    layer = views.middle_layer(atoms.positions)
    assert layer.sum() == (sites if lattice != "fcc" else layer.sum())
    assert np.ptp(atoms.positions[layer, 2]) < 1e-9


def test_staggered_spins_of_an_antiferromagnet_are_alike() -> None:
    """Two sublattices on the square lattice; a triangular one has none, a ferromagnet needs none."""
    atoms = SpinAtoms.lattice("square", (6, 4), rng=1)
    signs = np.where(np.round(atoms.positions[:, :2]).sum(axis=1) % 2 == 0, 1.0, -1.0)
    spins = signs[:, None] * np.array([0.6, 0.0, 0.8])
    found = views.staggering(atoms.positions, spins)
    assert found is not None
    np.testing.assert_allclose(found[:, None] * spins, found[0] * spins[:1] + np.zeros((24, 3)))
    assert views.staggering(atoms.positions, np.abs(spins)) is None
    other = SpinAtoms.lattice("triangular", (4, 4), rng=1)
    assert views.staggering(other.positions, np.where(np.arange(16)[:, None] % 2 == 0, 1.0, -1.0) * [0.0, 0.0, 1.0]) is None


def test_the_zone_of_a_lattice_has_the_area_of_its_reciprocal_cell() -> None:
    for lattice, corners, area in (("square", 4, 1.0), ("triangular", 6, np.sqrt(0.75))):
        atoms = SpinAtoms.lattice(lattice, (4, 4), rng=1)
        zone = views.brillouin_zone(atoms.positions, np.asarray(atoms.cell))
        assert zone is not None
        x, y = zone.T
        assert len(zone) == corners
        assert 0.5 * abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) == pytest.approx((2.0 * np.pi) ** 2 / area)
    kagome = SpinAtoms.lattice("kagome", (3, 3), rng=1)
    assert views.brillouin_zone(kagome.positions, np.asarray(kagome.cell)) is None


@pytest.mark.parametrize("value", [-3.0, 0.0, 7.5])
def test_round_off_looks_like_a_constant(value: float) -> None:
    ax = Figure().subplots()
    time_series(ax, np.arange(5.0), value + 1e-13 * np.arange(5.0), "energy", "eV", "fs")
    low, high = ax.get_ylim()
    assert low < value < high
    assert high - low >= min(0.2 * abs(value), 2.0) * (1 - 1e-9) or value == 0.0
    changing = Figure().subplots()
    time_series(changing, np.arange(5.0), value + np.arange(5.0), "energy", "eV", "fs")
    assert changing.get_ylim()[1] - changing.get_ylim()[0] == pytest.approx(4.4, rel=0.1)
    empty = Figure().subplots()
    empty.plot([0.0], [np.nan])
    honest_range(empty)


@pytest.mark.parametrize(
    ("unit", "name"), [("fs", "time [fs]"), ("sweeps", "Monte Carlo sweeps"), ("iterations", "iterations")]
)
def test_clocks_are_named(unit: str, name: str) -> None:
    ax = Figure().subplots()
    against_time(ax, "energy", "", unit)
    assert (ax.get_xlabel(), ax.get_ylabel()) == (name, "energy")


def test_a_figure_replaces_figures_of_its_own_kind_only(tmp_path: Path) -> None:
    path = tmp_path / "spins.png"
    assert save_figure(Figure(figsize=(1, 1)), path) == path
    save_figure(Figure(figsize=(1, 1)), path)
    path.write_bytes(b"\x89PNG of somebody else")
    with pytest.raises(InputError, match=r"spins\.png"):
        save_figure(Figure(figsize=(1, 1)), path)


def test_a_map_without_magnetic_sites_says_so() -> None:
    ax = Figure().subplots()
    spin_map(ax, np.zeros((3, 3)), np.zeros((3, 3)))
    assert [text.get_text() for text in ax.texts] == ["no magnetic sites"]
