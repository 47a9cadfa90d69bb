"""Drawing on given matplotlib axes: spin maps, structure factors, time series, profiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PatchCollection, PolyCollection
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Polygon
from matplotlib.ticker import MaxNLocator

from spinase.files import refuse_foreign, replacing
from spinase.typing import FloatArray
from spinase.viz.views import in_print, lattice_of, middle_layer, spacing, wigner_seitz

_OKLAB_TO_CONES = np.array(
    [[1.0, 0.3963377774, 0.2158037573], [1.0, -0.1055613458, -0.0638541728], [1.0, -0.0894841775, -1.2914855480]]
)
_CONES_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)

_GROUND = "0.72"
_SHARP = 100.0  # highest S(q) over its mean: beyond, points in a black plane
_MADE_BY = "spinase"  # in the text of a figure, by which it is known again
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""Okabe-Ito colours: distinguishable with any colour vision."""
SIGNS = ListedColormap(colormaps["RdBu_r"](np.linspace(0.12, 0.88, 256)), name="signs")
"""Blue negative, white zero, red positive, pale enough for arrows and points on them."""


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG, 150 dots per inch, whole or not at all; returns the path.

    Raises
    ------
    InputError
        If there is something that is no figure of spinase.
    OutputError
        If it cannot be written.
    """
    target = Path(path)
    require_figure(target)
    FigureCanvasAgg(figure)
    with replacing(target) as temporary:
        figure.savefig(temporary, dpi=150, format="png", metadata={"Software": _MADE_BY})
    return target


def require_figure(path: Path) -> None:
    """Refuse to draw to `path` if there is something that is no figure of spinase (InputError)."""
    refuse_foreign(path, _is_figure, "figure")


def _is_figure(path: Path) -> bool:
    with open(path, "rb") as file:
        head = file.read(1000)
    return head.startswith(b"\x89PNG") and f"Software\0{_MADE_BY}".encode() in head


def direction_colors(spins: FloatArray) -> FloatArray:
    """RGB (N, 3) of unit vectors: hue = azimuth in the xy plane, lightness = s_z (white up, black down).

    Lightness and hue are those of the Oklab colour space (B. Ottosson, https://bottosson.github.io/posts/oklab), where equal
    lightness looks equally light: s_z is read correctly with any colour vision.
    """
    height = np.clip(spins[:, 2], -1.0, 1.0)
    # Full chroma in the plane; x 0.75 of sin(theta) further out keeps every colour displayable.
    chroma = 0.135 * np.sqrt(1.0 - height**2) * (1.0 - 0.25 * height**2)
    azimuth = np.arctan2(spins[:, 1], spins[:, 0]) + 0.5
    lab = np.stack([0.60 + 0.36 * height, chroma * np.cos(azimuth), chroma * np.sin(azimuth)], axis=1)
    linear = np.clip((lab @ _OKLAB_TO_CONES.T) ** 3 @ _CONES_TO_RGB.T, 0.0, 1.0)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1.0 / 2.4) - 0.055)


def spin_map(
    ax: Axes, positions: FloatArray, spins: FloatArray, cell: FloatArray | None = None, length_unit: str = ""
) -> None:
    """Spins of a magnet seen from +z, coloured by direction (hue: azimuth, light: up, dark: down), with in-plane arrows.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    positions, spins : array (N, 3)
        Sites (length) and unit vectors; sites with a zero spin are left out.
    cell : array (3, 3), optional
        Cell vectors as rows; draws the outline of the first two, centred on the sites.
    length_unit : str
        Of the scale bar.

    Notes
    -----
    Lattices are tiled, other sites are discs; where there is none the ground is grey, which is the colour of no spin.
    Of a three-dimensional magnet the layer in its middle is shown, and its height told.
    """
    shown = np.asarray(spins.any(axis=1))
    if shown.any() and float(np.ptp(positions[shown, 2])) > 1e-6:
        shown[shown] = middle_layer(positions[shown])
        height = float(positions[shown, 2].mean())
        ax.text(1.0, -0.07, f"layer at z = {in_print(f'{height:.3g} {length_unit}')}", transform=ax.transAxes,
                ha="right", va="center", fontsize="small")  # fmt: skip
    places, directions = positions[shown], spins[shown]
    ax.set_axis_off()
    if not len(places):
        ax.text(0.5, 0.5, "no magnetic sites", ha="center", va="center", transform=ax.transAxes)
        return
    points = places[:, :2]
    diameter = spacing(points)
    tile = _wigner_seitz(points)
    if tile is None:
        _discs(ax, points, np.full(len(points), diameter), direction_colors(directions))
    else:
        _tiles(ax, points, tile, direction_colors(directions))
    if len(points) <= 1600:
        _arrows(ax, points, 0.8 * diameter * directions[:, :2], directions[:, 2])
    _frame(ax, points, diameter, cell, ground=_GROUND)
    direction_key(ax)
    scale_bar(ax, length_unit)


def current_map(ax: Axes, positions: FloatArray, currents: FloatArray, label: str | None = None) -> None:
    """Currents as arrows over whatever is drawn already; the longest is as long as sites are apart.

    Parameters
    ----------
    ax : Axes
        Where to draw, usually after :func:`spin_map` or :func:`site_map`.
    positions, currents : array (N, 3)
        Sites (length) and current vectors, such as the result ``current_map`` of an NEGF calculator.
    label : str, optional
        Words for the longest arrow, with its value after them.
    """
    strength = np.linalg.norm(currents[:, :2], axis=1)
    largest = float(strength.max(initial=0.0))
    if largest == 0.0:
        return
    points, apart = positions[:, :2], spacing(positions[:, :2])
    arrows = apart * currents[:, :2] / largest
    ax.quiver(
        points[:, 0],
        points[:, 1],
        arrows[:, 0],
        arrows[:, 1],
        units="xy",
        angles="xy",
        scale_units="xy",
        scale=1.0,
        color="k",
        pivot="mid",
        width=0.1 * apart,
    )
    if label is not None:
        ax.set_title(f"{label} {largest:.2g}", fontsize="small")


def site_map(
    ax: Axes, positions: FloatArray, values: FloatArray, cell: FloatArray | None, label: str, largest: float
) -> None:
    """One number for each site seen from +z: blue negative, red positive, white zero.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    positions : array (N, 3)
        Sites, length.
    values : array (N,)
    cell : array (3, 3) or None
        Cell vectors as rows; draws the outline of the first two.
    label : str
        For the colour bar.
    largest : float
        The colours span -largest .. largest.
    """
    ax.set_axis_off()
    points = positions[:, :2]
    shades = ScalarMappable(Normalize(-largest, largest), SIGNS)
    colors = shades.to_rgba(values)[:, :3]
    tile = _wigner_seitz(points) if float(np.ptp(positions[:, 2])) <= 1e-6 else None
    diameters = np.full(len(points), spacing(points))
    if tile is None:
        _discs(ax, points, diameters, colors)
    else:
        _tiles(ax, points, tile, colors)
    _frame(ax, points, float(diameters.max()), cell)
    figure = ax.get_figure()
    assert figure is not None
    figure.colorbar(shades, ax=ax, shrink=0.85, label=in_print(label))


def direction_key(ax: Axes) -> None:
    """Two small discs that explain the colours: directions of the upper (left) and of the lower half of the sphere."""
    x, y = np.meshgrid(np.linspace(-1.0, 1.0, 61), np.linspace(-1.0, 1.0, 61))
    inside = np.hypot(x, y) <= 1.0
    for sign, left, label in ((1.0, 0.0, "up"), (-1.0, 0.22, "down")):
        z = sign * np.sqrt(np.clip(1.0 - x**2 - y**2, 0.0, None))
        image = np.ones((*x.shape, 4))
        image[..., :3] = direction_colors(np.stack([x, y, z], axis=-1).reshape(-1, 3)).reshape(*x.shape, 3)
        image[..., 3] = inside
        inset = ax.inset_axes((left, -0.12, 0.1, 0.1))
        inset.imshow(image, origin="lower", extent=(-1.0, 1.0, -1.0, 1.0), interpolation="bilinear")
        inset.set_axis_off()
        inset.text(1.25, 0.0, label, ha="left", va="center", fontsize="small")


def scale_bar(ax: Axes, unit: str) -> None:
    """A bar of a round length below the lower right corner of a map, about a fifth of its width.

    Parameters
    ----------
    ax : Axes
        A map, with its limits set.
    unit : str
        Of its lengths.
    """
    left, right = ax.get_xlim()
    width = right - left
    power = 10.0 ** np.floor(np.log10(0.25 * width))
    length = max(step * power for step in (1.0, 2.0, 5.0) if step * power <= 0.25 * width)
    ax.plot([1.0 - length / width, 1.0], [-0.025, -0.025], transform=ax.transAxes, color="k", lw=1.5, clip_on=False)
    ax.text(0.98 - length / width, -0.025, in_print(f"{length:g} {unit}").strip(), transform=ax.transAxes,
            ha="right", va="center", fontsize="small")  # fmt: skip


def structure_factor_map(ax: Axes, wavevectors: FloatArray, values: FloatArray, zone: FloatArray | None = None) -> None:
    """S(q) over the plane of the wavevectors, shape (n, 2) or (n, 3); along a third component S is summed.

    Peaks a hundred times as high as the mean are seen with a logarithmic scale of four decades.

    Parameters
    ----------
    ax : matplotlib Axes
        Where it is drawn.
    wavevectors : (n, 2) or (n, 3) ndarray
        1/length.
    values : (n,) ndarray
        S(q).
    zone : (k, 2) ndarray, optional
        Corners of the Brillouin zone, 1/length, which is outlined.
    """
    plane, group = np.unique(np.round(wavevectors[:, :2], 9), axis=0, return_inverse=True)
    total = np.bincount(group.ravel(), weights=values)
    tile = _wigner_seitz(plane)
    if tile is None:
        tile = 0.5 * spacing(plane) * np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    tiles = PolyCollection(list(plane[:, None, :] + tile), cmap="magma", linewidths=0.2, edgecolors="face")
    tiles.set_array(total)
    highest = max(float(total.max()), 1e-12)
    sharp = highest > _SHARP * float(total.mean())
    tiles.set_norm(LogNorm(1e-4 * highest, highest, clip=True) if sharp else Normalize(0.0, highest))
    ax.add_collection(tiles)
    figure = ax.get_figure()
    assert figure is not None
    figure.colorbar(tiles, ax=ax, shrink=0.85, label="$S(q)$")
    low, high = plane.min(axis=0) + tile.min(axis=0), plane.max(axis=0) + tile.max(axis=0)
    margin = 0.03 * float((high - low).max())
    ax.set(xlim=(low[0] - margin, high[0] + margin), ylim=(low[1] - margin, high[1] + margin))
    ax.set(aspect="equal", xlabel="$q_x$", ylabel="$q_y$")
    if zone is not None:
        ax.add_patch(Polygon(zone, fill=False, ec=COLORS[4], lw=1.2, ls="--", zorder=3))


def time_series(ax: Axes, times: FloatArray, values: FloatArray, label: str, unit: str, time_unit: str) -> None:
    """A quantity (T,) or a few (T, n) against time.

    Parameters
    ----------
    ax : matplotlib Axes
        Where it is drawn.
    times : (T,) ndarray
        In `time_unit`.
    values : (T,) or (T, n) ndarray
        In `unit`.
    label, unit, time_unit : str
        Words for the axes.
    """
    columns = values.reshape(len(times), -1)
    for k, column in enumerate(columns.T):
        name = "xyz"[k] if columns.shape[1] == 3 else str(k)
        ax.plot(times, column, color=COLORS[k % len(COLORS)], lw=1.6, label=name)
    if columns.shape[1] > 1:
        ax.legend(frameon=False, ncols=min(3, columns.shape[1]))
    against_time(ax, label, unit, time_unit)


def against_time(ax: Axes, label: str, unit: str, time_unit: str) -> None:
    """Axes of quantities against time, with so few ticks that long numbers do not touch.

    Parameters
    ----------
    ax : matplotlib Axes
        Changed.
    label, unit, time_unit : str
        Words for the axes; an empty unit is left out.
    """
    name = {"sweeps": "Monte Carlo sweeps", "iterations": "iterations"}.get(time_unit, f"time [{time_unit}]")
    ax.set(xlabel=in_print(name), ylabel=in_print(f"{label} [{unit}]" if unit else label))
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.spines[["top", "right"]].set_visible(False)
    ax.margins(x=0.01)
    honest_range(ax)


def honest_range(ax: Axes) -> None:
    """Have round-off look like nothing: a quantity that changes by less than 1e-9 of itself gets a range around it."""
    low, high = ax.get_ylim()
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float).ravel() for line in ax.get_lines()] or [np.zeros(1)])
    values = values[np.isfinite(values)]
    if not values.size:
        return
    middle, spread = 0.5 * (values.min() + values.max()), values.max() - values.min()
    if spread <= 1e-9 * max(abs(middle), 1e-9):
        half = 0.1 * abs(middle) if abs(middle) > 1e-9 else 1.0
        ax.set_ylim(middle - half, middle + half)
    else:
        ax.set_ylim(low, high)
    ax.ticklabel_format(axis="y", useOffset=False)


def profile(ax: Axes, x: FloatArray, y: FloatArray, xlabel: str, ylabel: str, label: str = "") -> None:
    """A quantity against distance or the like; a dotted line marks zero.

    Points of a grid are joined; distances of a lattice are not, as nothing lies between them.

    Parameters
    ----------
    ax : matplotlib Axes
        Where it is drawn.
    x, y : (n,) ndarray
        Points of the curve.
    xlabel, ylabel : str
        Words for the axes, with units.
    label : str
        Of the curve in a legend.
    """
    ax.axhline(0.0, color="0.6", lw=0.8, ls=":")
    color = COLORS[(len(ax.get_lines()) // 2) % len(COLORS)]
    even = len(x) < 3 or bool(np.ptp(np.diff(x)) <= 1e-6 * float(np.ptp(x)))
    ax.plot(x, y, marker="o", ms=3.5, lw=1.2 if even else 0.0, label=label, color=color)
    ax.set(xlabel=in_print(xlabel), ylabel=in_print(ylabel))
    ax.spines[["top", "right"]].set_visible(False)


def _wigner_seitz(points: FloatArray) -> FloatArray | None:
    """Corners (k, 2) of the Wigner-Seitz cell of the lattice that holds all points; None if no simple lattice does."""
    basis = lattice_of(points)
    return None if basis is None else wigner_seitz(basis)


def _tiles(ax: Axes, points: FloatArray, tile: FloatArray, colors: FloatArray) -> None:
    ax.add_collection(
        PolyCollection(list(points[:, None, :] + tile), facecolors=list(map(tuple, colors)), edgecolors="face")
    )


def _discs(ax: Axes, points: FloatArray, diameters: FloatArray, colors: FloatArray) -> None:
    discs = [Circle((x, y), 0.5 * d) for (x, y), d in zip(points, diameters, strict=True)]
    ax.add_collection(PatchCollection(discs, facecolors=list(map(tuple, colors)), edgecolors="0.3", linewidths=0.4))


def _arrows(ax: Axes, points: FloatArray, arrows: FloatArray, heights: FloatArray) -> None:
    """Arrows centred on the points, black on light sites and white on dark ones; dots of spins along the line of sight."""
    width = min(0.006, 0.045 / np.sqrt(len(points)))
    for mask, color in ((heights >= -0.2, "black"), (heights < -0.2, "white")):
        if mask.any():
            tails, steps = (points - 0.5 * arrows)[mask], arrows[mask]
            ax.quiver(
                tails[:, 0], tails[:, 1], steps[:, 0], steps[:, 1], angles="xy", scale_units="xy", scale=1.0,
                width=width, headwidth=3.5, headlength=4.0, headaxislength=3.6, minlength=1.2, color=color, zorder=3,
            )  # fmt: skip


def _frame(ax: Axes, points: FloatArray, margin: float, cell: FloatArray | None, ground: str = "none") -> None:
    """Axis limits around sites and cell, and the outline of the cell centred on the sites, filled with `ground`."""
    everything = points
    if cell is not None and abs(np.linalg.det(cell[:2, :2])) > 1e-12:
        corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) @ cell[:2, :2]
        middle = 0.5 * (points.min(axis=0) + points.max(axis=0))
        corners = corners - corners.mean(axis=0) + middle
        ax.add_patch(Polygon(corners, fc=ground, ec="none", zorder=0))
        ax.add_patch(Polygon(corners, fill=False, ec="0.55", lw=0.7, zorder=2))
        everything = np.vstack([points, corners])
    low, high = everything.min(axis=0) - 0.6 * margin, everything.max(axis=0) + 0.6 * margin
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
