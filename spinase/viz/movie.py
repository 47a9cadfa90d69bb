"""Films of runs: spin maps with the project's colours, 3-D scenes, and time series with a mark that follows."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from spinase.atoms import get_spins
from spinase.errors import CheckpointError, InputError
from spinase.files import refuse_foreign, replacing
from spinase.io.run_file import Run, Series
from spinase.io.run_frames import run_energies
from spinase.styles import nearest
from spinase.typing import Array, FloatArray
from spinase.units import unit_system
from spinase.viz.clock import run_to_show
from spinase.viz.figures import direction_colors, spin_map, time_series

_MARK = "film of a run by spinase"
_SIDE = 4.4  # inches a panel
_DOTS = 110  # per inch

Panel = Callable[[Axes, int], None]


def run_movie(
    source: str | Path | Run,
    target: str | Path,
    panels: Sequence[str] = ("spins",),
    every: int = 1,
    rate: float = 12.0,
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Film a run; returns the path.

    Parameters
    ----------
    source : path or Run
        Run file or its folder, also of a run that goes on or was killed.
    target : path
        ``.gif`` or ``.mp4`` (needs the package imageio-ffmpeg, which brings ffmpeg).
    panels : sequence of str
        Side by side: ``spins`` (map seen from +z), ``scene`` (arrows in 3-D; needs pyvista), ``energy``, or
        ``OBSERVER:QUANTITY``, a scalar against time.
    every : int
        Every so many frames of the run.
    rate : float
        Frames a second.
    progress : callable, optional
        Called with (frames done, frames in all, "film").

    Raises
    ------
    InputError
        On an unknown panel or ending, a package that is missing, or a target that is a file of somebody else.
    CheckpointError
        If there is no run file, or no frame in it yet.
    """
    run, place = run_to_show(source), Path(target)
    if not len(run):
        raise CheckpointError("no frame has been written yet to this run")
    if every < 1 or not rate > 0.0 or not panels:
        raise InputError(f"a film needs panels, every >= 1 and a rate > 0, got {list(panels)}, {every} and {rate}")
    if place.suffix not in _WRITERS:
        raise InputError(f"{place}: a film ends in {' or '.join(_WRITERS)}")
    refuse_foreign(place, _is_film, "film")
    shown = list(range(0, len(run), every))
    made = _pictures(run, [_panel(run, name) for name in panels], shown, progress)
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / f"film{place.suffix}"
        _WRITERS[place.suffix](made, film, rate)
        with replacing(place) as temporary:
            shutil.copyfile(film, temporary)
    return place


def _pictures(
    run: Run, panels: list[Panel], shown: list[int], progress: Callable[[int, int, str], None] | None
) -> Iterator[Array]:
    """One picture (height, width, 3), 0..255, of every frame; height and width are even, as films need them."""
    figure = Figure(figsize=(_SIDE * len(panels), _SIDE), dpi=_DOTS, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    clock = run.provenance.get("time_unit", unit_system(run.units).time)
    for done, k in enumerate(shown):
        figure.clear()
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for panel, ax in zip(panels, axes, strict=True):
            panel(ax, k)
        figure.suptitle(f"{run.provenance.get('title', '')}  t = {run.times[k]:.4g} {clock}".strip(), fontsize="medium")
        canvas.draw()
        picture = np.asarray(canvas.buffer_rgba())[..., :3]
        yield np.ascontiguousarray(picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2])
        if progress is not None:
            progress(done + 1, len(shown), "film")


# -- panels ---------------------------------------------------------------------------------------------------------------


def _panel(run: Run, name: str) -> Panel:
    """What draws a panel of one frame."""
    scalars = {
        f"{observer}:{key}": series
        for observer, quantities in run.observables.items()
        for key, series in quantities.items()
        if series.values.ndim == 1 and len(series.steps) > 1
    }
    energies = run_energies(run)
    if energies is not None and np.isfinite(energies).any():
        scalars["energy"] = Series(run.steps, run.times, energies, "energy", unit_system(run.units).energy, "series", "")
    if name in scalars:
        return _series_panel(run, scalars[name])
    if name == "scene":
        return _scene_panel(run)
    if name != "spins":
        known = ["spins", "scene", *scalars]
        raise InputError(f"unknown panel {name!r}{nearest(name, known)}; this run has {', '.join(known)}")

    def draw(ax: Axes, frame: int) -> None:
        """Spins seen from +z."""
        atoms = run.atoms(frame)
        spin_map(ax, atoms.positions, get_spins(atoms), np.asarray(atoms.cell), unit_system(run.units).length)

    return draw


def _series_panel(run: Run, series: Series) -> Panel:
    clock = run.provenance.get("time_unit", unit_system(run.units).time)

    def draw(ax: Axes, frame: int) -> None:
        """The whole series, and where the film is."""
        time_series(ax, series.times, series.values, series.label, series.unit, clock)
        ax.axvline(run.times[frame], color="#D55E00")

    return draw


def _scene_panel(run: Run) -> Panel:
    try:
        import pyvista
    except ImportError:
        raise InputError("the panel 'scene' needs pyvista: pip install pyvista (or take the panel 'spins')") from None
    spacing = _spacing(run.positions[0])
    pixels = int(_SIDE * _DOTS)

    def draw(ax: Axes, frame: int) -> None:
        """Arrows in 3-D, coloured by direction."""
        atoms = run.atoms(frame)
        spins = get_spins(atoms)
        there = spins.any(axis=1)
        cloud = pyvista.PolyData(atoms.positions[there] - 0.4 * spacing * spins[there])
        cloud["spin"] = spins[there]
        cloud["colour"] = np.round(255.0 * direction_colors(spins[there])[:, :3]).astype(np.uint8)
        plotter = pyvista.Plotter(off_screen=True, window_size=(pixels, pixels))
        plotter.set_background("#d5d9df")
        arrows = cloud.glyph(
            orient="spin", scale=False, factor=0.8 * spacing, geom=pyvista.Arrow(tip_radius=0.25, shaft_radius=0.09)
        )
        plotter.add_mesh(arrows, scalars="colour", rgb=True)
        flat = float(np.ptp(atoms.positions[:, 2])) < 1e-6
        plotter.view_xy() if flat else plotter.view_vector((0.35, -1.0, 0.5), viewup=(0.0, 0.0, 1.0))
        ax.imshow(plotter.screenshot(None, return_img=True))
        ax.set_axis_off()
        plotter.close()

    return draw


def _spacing(positions: FloatArray) -> float:
    """A typical distance of neighbours, from the room that the sites have."""
    extent = np.ptp(positions, axis=0)
    wide = extent[extent > 1e-6]
    return float((wide.prod() / len(positions)) ** (1.0 / len(wide))) if len(wide) else 1.0


# -- files ----------------------------------------------------------------------------------------------------------------


def _write_gif(pictures: Iterator[Array], path: Path, rate: float) -> None:
    images = [Image.fromarray(picture).quantize(128) for picture in pictures]
    images[0].save(
        path, save_all=True, append_images=images[1:], duration=1000.0 / rate, loop=0, comment=_MARK.encode(), optimize=False
    )


def _write_mp4(pictures: Iterator[Array], path: Path, rate: float) -> None:
    try:
        import imageio_ffmpeg
    except ImportError:
        raise InputError(
            f"{path.suffix} needs ffmpeg by way of imageio-ffmpeg: pip install imageio-ffmpeg (or write a .gif)"
        ) from None
    first = next(pictures)
    told = ["-metadata", f"comment={_MARK}"]
    size = (first.shape[1], first.shape[0])
    with closing(
        imageio_ffmpeg.write_frames(str(path), size, fps=rate, quality=8, macro_block_size=2, output_params=told)
    ) as film:
        film.send(None)
        film.send(first.tobytes())
        for picture in pictures:
            film.send(picture.tobytes())


_WRITERS: dict[str, Callable[[Iterator[Array], Path, float], Any]] = {".gif": _write_gif, ".mp4": _write_mp4}


def _is_film(path: Path) -> bool:
    return _MARK.encode() in path.read_bytes()


__all__ = ["run_movie"]
