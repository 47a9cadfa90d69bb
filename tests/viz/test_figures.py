"""Drawing functions: colours that mean directions, tiles that fit the lattice, and figures that can be saved."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PatchCollection, PolyCollection
from matplotlib.colors import LogNorm, Normalize, rgb_to_hsv
from matplotlib.figure import Figure
from matplotlib.quiver import Quiver

from spinase import SpinAtoms
from spinase.spin_algebra import random_spins
from spinase.viz.figures import COLORS, current_map, direction_colors, profile, spin_map, structure_factor_map, time_series


def axes_of_figure() -> tuple[Figure, object]:
    figure = Figure(figsize=(3.0, 2.6), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def saved(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, dpi=60)
    return buffer.getvalue()


def brightness(colors: np.ndarray) -> np.ndarray:
    """Relative luminance of sRGB colours (IEC 61966-2-1)."""
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_colours_are_displayable_and_lightness_tells_the_height() -> None:
    spins = random_spins(4000, np.random.default_rng(0))
    colors = direction_colors(spins)
    assert colors.shape == (4000, 3)
    assert colors.min() >= 0.0
    assert colors.max() <= 1.0
    order = np.argsort(brightness(colors))
    up, down = direction_colors(np.array([[0, 0, 1.0], [0, 0, -1.0]]))
    assert np.ptp(up) < 0.01, "up has no hue"
    assert brightness(up) > 0.8
    assert brightness(down) < 0.05
    # whatever the azimuth, a grey copy of the figure still orders the spins by s_z
    assert np.corrcoef(spins[order, 2], np.arange(4000))[0, 1] > 0.97


def test_hue_goes_once_around_with_the_azimuth() -> None:
    angle = np.linspace(0, 2 * np.pi, 73)
    colors = direction_colors(np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1))
    np.testing.assert_allclose(colors[0], colors[-1], atol=1e-9)
    turns = np.diff(rgb_to_hsv(colors)[:, 0])
    turns -= np.round(turns)
    assert turns.sum() == pytest.approx(1.0)
    assert turns.min() > 0.0
    assert np.ptp(np.cbrt(brightness(colors))) < 0.1, "in-plane spins are about equally light"


@pytest.mark.parametrize(
    ("lattice", "corners"), [("square", 4), ("triangular", 6), ("honeycomb", 6), ("kagome", 6), ("chain", 4)]
)
def test_tiles_have_the_shape_of_the_lattice(lattice: str, corners: int) -> None:
    atoms = SpinAtoms.lattice(lattice, (4,) if lattice == "chain" else (4, 3), rng=1)
    figure, ax = axes_of_figure()
    spin_map(ax, atoms.positions, atoms.spins, np.asarray(atoms.cell))
    tiles = next(c for c in ax.collections if isinstance(c, PolyCollection) and not isinstance(c, Quiver))
    assert len(tiles.get_paths()) == len(atoms)
    distinct = np.unique(np.round(tiles.get_paths()[0].vertices, 6), axis=0)
    assert len(distinct) == corners
    assert saved(figure)


def test_arrows_point_along_the_in_plane_spins_and_skip_empty_sites() -> None:
    atoms = SpinAtoms.lattice("square", (3, 3), texture="ferro", direction=(0, 1, 0))
    spins = atoms.spins.copy()
    spins[4] = 0.0
    figure, ax = axes_of_figure()
    spin_map(ax, atoms.positions, spins)
    quivers = [c for c in ax.collections if isinstance(c, Quiver)]
    assert sum(q.N for q in quivers) == 8
    for quiver in quivers:
        np.testing.assert_allclose(quiver.U, 0.0, atol=1e-12)
        assert np.all(quiver.V > 0.5)
    assert saved(figure)
    empty = axes_of_figure()
    spin_map(empty[1], atoms.positions, 0 * spins)
    assert "no magnetic sites" in [text.get_text() for text in empty[1].texts]
    assert saved(empty[0])


@pytest.mark.parametrize("dimension", [2, 3])
def test_disordered_and_three_dimensional_magnets_are_discs(dimension: int) -> None:
    atoms = SpinAtoms.disordered(30, dimension=dimension, rng=3)
    figure, ax = axes_of_figure()
    spin_map(ax, atoms.positions, atoms.spins, np.asarray(atoms.cell))
    discs = next(c for c in ax.collections if isinstance(c, PatchCollection))
    sizes = np.array([np.ptp(path.vertices[:, 0]) for path in discs.get_paths()])
    assert len(sizes) == 30 if dimension == 2 else 1 < len(sizes) < 20
    np.testing.assert_allclose(sizes, sizes[0])
    assert any(text.get_text().startswith("layer at z = ") for text in ax.texts) == (dimension == 3)
    assert saved(figure)


def test_structure_factor_map_shows_the_values_where_they_are() -> None:
    grid = np.stack(np.meshgrid(np.arange(-2, 3), np.arange(-1, 2), [0.0, 1.0], indexing="ij"), axis=-1).reshape(-1, 3)
    waves = grid * [0.5, 2.0, 1.0]  # much finer along x: tiles must be rectangles
    figure, ax = axes_of_figure()
    structure_factor_map(ax, waves, np.where(np.abs(grid[:, 0] - 1) < 0.1, 3.0, 0.0))
    tiles = ax.collections[0]
    values = tiles.get_array()
    assert len(values) == 15
    for path, value in zip(tiles.get_paths(), values, strict=True):
        np.testing.assert_allclose(np.ptp(path.vertices, axis=0), [0.5, 2.0])
        assert value == pytest.approx(6.0 if path.vertices[:, 0].min() == pytest.approx(0.25) else 0.0)
    assert saved(figure)


def test_sharp_peaks_are_seen_on_a_logarithmic_scale() -> None:
    grid = np.stack(np.meshgrid(np.arange(20.0), np.arange(20.0), indexing="ij"), axis=-1).reshape(-1, 2)
    for highest, scale in ((300.0, LogNorm), (50.0, Normalize)):
        figure, ax = axes_of_figure()
        structure_factor_map(ax, grid, np.where(np.arange(400) == 90, highest, 0.5))
        norm = ax.collections[0].norm
        assert type(norm) is scale
        assert norm.vmax == highest
        assert norm(highest) == 1.0
        assert saved(figure)


def test_series_and_profiles() -> None:
    figure, ax = axes_of_figure()
    times = np.linspace(0.0, 5.0, 11)
    time_series(ax, times, np.stack([times, 2 * times, 3 * times], axis=1), "magnetization", "mu_B", "fs")
    np.testing.assert_allclose(ax.get_lines()[1].get_ydata(), 2 * times)
    assert ax.get_xlabel() == "time [fs]"
    assert ax.get_ylabel() == r"magnetization [$\mu_B$]"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["x", "y", "z"]
    assert saved(figure)
    figure, ax = axes_of_figure()
    profile(ax, times, -times, "distance", "C(r)", label="start")
    profile(ax, times, times, "distance", "C(r)", label="end")
    drawn = [line for line in ax.get_lines() if line.get_label() in ("start", "end")]
    np.testing.assert_allclose(drawn[0].get_ydata(), -times)
    assert [line.get_color() for line in drawn] == list(COLORS[:2])
    assert saved(figure)
    time_series(axes_of_figure()[1], times, times, "charge", "", "1/J")


def test_currents_are_arrows_over_the_spins() -> None:
    atoms = SpinAtoms.lattice("square", (4, 3), units="reduced", rng=1)
    currents = np.zeros((12, 3))
    currents[:, 0] = np.linspace(0.0, 0.5, 12)
    figure, ax = axes_of_figure()
    spin_map(ax, atoms.positions, atoms.spins)
    before = sum(isinstance(part, Quiver) for part in ax.get_children())
    current_map(ax, atoms.positions, currents, "current")
    arrows = [part for part in ax.get_children() if isinstance(part, Quiver)]
    assert len(arrows) == before + 1
    assert np.abs(arrows[-1].U).max() == pytest.approx(1.0), "the longest arrow is as long as sites are apart"
    assert ax.get_title() == "current 0.5"
    assert saved(figure)
    current_map(ax, atoms.positions, 0.0 * currents)
    assert sum(isinstance(part, Quiver) for part in ax.get_children()) == before + 1
