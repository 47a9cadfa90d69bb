"""Figures of a run: what is shown, with which units, and runs that have little to show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from spinase import SpinAtoms
from spinase.errors import CheckpointError
from spinase.io import Run, Series
from spinase.viz import report
from spinase.viz.report import plot_run


def series(values: object, unit: str = "", label: str = "x", plot: str = "series", axis: str = "") -> Series:
    array = np.asarray(values, dtype=float)
    return Series(np.arange(len(array)), 0.5 * np.arange(len(array)), array, label, unit, plot, axis)


def run_of(observables: dict[str, dict[str, Series]], frames: int = 2, static: dict[str, object] | None = None) -> Run:
    atoms = SpinAtoms.lattice("square", size=(4, 4), units="reduced", rng=1)
    return Run(
        steps=np.arange(frames),
        times=0.5 * np.arange(frames),
        positions=np.broadcast_to(atoms.positions, (frames, 16, 3)),
        moments=np.broadcast_to(atoms.moments, (frames, 16, 3)),
        numbers=atoms.numbers,
        cells=np.broadcast_to(atoms.cell.array, (frames, 3, 3)),
        pbc=atoms.pbc,
        results={},
        observables=observables,
        static=static or {},  # type: ignore[arg-type]
        provenance={"units": "reduced", "title": "A title"},
    )


ENERGY = {"per_site": series([-1.0, -2.0], "t", "energy per site"), "total": series([-16.0, -32.0], "t", "energy")}
CHIRALITY = {
    "mean": series([0.0, 0.01], label="mean chirality"),
    "mean_absolute": series([0.3, 0.7], label="mean |chirality|"),
}
TORQUE = {"maximum": series([0.3, 0.2], "t", "largest"), "rms": series([0.1, 0.05], "t", "rms")}


def drawn(monkeypatch: pytest.MonkeyPatch, run: Run, folder: Path) -> dict[str, Figure]:
    """The figures by file name."""
    kept: dict[str, Figure] = {}

    def keep(figure: Figure, path: Path) -> Path:
        kept[path.name] = figure
        return path

    monkeypatch.setattr(report, "save_figure", keep)
    plot_run(run, folder)
    return kept


def labels(figure: Figure) -> list[str]:
    return [ax.get_ylabel() for ax in figure.axes if ax.get_visible() and ax.axison]


def test_every_observer_has_a_figure_and_the_summary_comes_first(tmp_path: Path) -> None:
    waves = np.stack(np.meshgrid(np.arange(-2.0, 3.0), np.arange(-2.0, 3.0)), axis=-1).reshape(-1, 2)
    observables = {
        "energy": ENERGY,
        "structure-factor": {"S": series(np.ones((2, 25)), label="S(q)", plot="map", axis="wavevectors")},
        "correlation": {"C": series(np.ones((2, 5)), label="C(r)", plot="profile", axis="distance")},
        "empty": {"late": series([])},
    }
    run = run_of(
        observables, static={"structure-factor": {"wavevectors": waves}, "correlation": {"distance": np.arange(5.0)}}
    )
    paths = plot_run(run, tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["summary.png", "energy.png", "structure-factor.png", "correlation.png"]
    assert all(path.stat().st_size > 5000 for path in paths)


def test_the_summary_shows_the_telling_scalars_with_units(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    observables = {
        "zebra": {"z": series([1.0, 2.0], "t", "stripes")},
        "torque": TORQUE,
        "chirality": CHIRALITY,
        "energy": ENERGY,
    }
    figure = drawn(monkeypatch, run_of(observables), tmp_path)["summary.png"]
    assert labels(figure) == ["energy per site [t]", "chirality", "rms [t]", "stripes [t]"]
    assert [ax.get_xlabel() for ax in figure.axes if ax.get_xlabel()] == ["time [ħ/t]"] * 4
    chirality = next(ax for ax in figure.axes if ax.get_ylabel() == "chirality")
    legend = chirality.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["mean chirality", "mean |chirality|"]  # as in its own figure
    np.testing.assert_array_equal(chirality.get_lines()[1].get_ydata(), [0.3, 0.7])
    assert figure.get_suptitle() == "A title"


def test_scalars_share_a_panel_only_on_one_scale_and_in_one_unit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    extensive = {"per_site": ENERGY["per_site"], "total": series([-1000.0, -2000.0], "t", "energy")}
    assert labels(drawn(monkeypatch, run_of({"energy": extensive}), tmp_path)["energy.png"]) == [
        "energy per site [t]",
        "energy [t]",
    ]
    mixed = {"a": series([1.0, 2.0], "t"), "b": series([1.0, 2.0], "a")}
    figures = drawn(monkeypatch, run_of({"energy": ENERGY, "torque": TORQUE, "mixed": mixed}), tmp_path)
    assert labels(figures["torque.png"]) == ["torque [t]"]
    assert labels(figures["energy.png"]) == ["energy [t]"], "16 sites: a factor of 16 is one scale"
    assert labels(figures["mixed.png"]) == ["x [t]", "x [a]"]


def test_scalars_that_are_apart_share_a_panel_and_are_called_what_they_share(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    parts = {
        "kinetic": series([0.1, 0.2], "eV", "kinetic energy"),
        "lattice": series([300.0, 310.0], "K", "lattice temperature"),
        "potential": series([0.3, 0.2], "eV", "potential energy"),
        "spin": series([0.0, 200.0], "K", "spin temperature"),
    }
    figures = drawn(monkeypatch, run_of({"parts": parts}), tmp_path)
    assert labels(figures["parts.png"]) == ["energy [eV]", "temperature [K]"]


def test_a_step_of_the_temperature_is_no_curve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for values, curves in (([1.0, 2.0, 2.0, 2.0], 0), ([1.0, 2.0, 3.0, 4.0], 1)):
        observables = {
            "conditions": {"kT": series(values, "t", "temperature kT")},
            "magnetization": {"length": series([1.0, 0.9, 0.8, 0.7], "|m|", "magnetization |M|")},
        }
        figure = drawn(monkeypatch, run_of(observables, frames=4), tmp_path)["summary.png"]
        assert [ax.get_xlabel() for ax in figure.axes].count("temperature kT [t]") == curves


def test_the_summary_of_a_device_has_the_place_of_its_wall(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wall = {"angle": series([0.0, 0.1], "rad", "angle"), "position": series([3.0, 4.0], "a", "position of the wall")}
    currents = {"1_left": series([0.2, 0.2], "t/hbar", "current from left"), "bias": series([1.0, 1.0], "t", "bias")}
    figure = drawn(monkeypatch, run_of({"domain-wall": wall, "currents": currents}), tmp_path)["summary.png"]
    assert labels(figure) == ["position of the wall [a]", "current from left [t/ħ]"]


def test_distances_and_wavevectors_have_units(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    observables = {
        "correlation": {"C": series(np.ones((2, 5)), label="C(r)", plot="profile", axis="distance")},
        "shells": {"S": series(np.ones((2, 5)), label="S(|q|)", plot="profile", axis="wavevector_length")},
    }
    static = {"correlation": {"distance": np.arange(5.0)}, "shells": {"wavevector_length": np.arange(5.0)}}
    figures = drawn(monkeypatch, run_of(observables, static=static), tmp_path)
    assert figures["correlation.png"].axes[0].get_xlabel() == "distance [a]"
    assert figures["shells.png"].axes[0].get_xlabel() == "wavevector length [1/a]"


def test_a_run_of_one_frame_shows_one_map(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    figures = drawn(monkeypatch, run_of({"energy": {"per_site": series([-1.0], "t")}}, frames=1), tmp_path)
    assert [ax.get_title() for ax in figures["summary.png"].axes if ax.get_visible()] == ["spins at time 0 ħ/t"]


def test_a_run_without_frames_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no frame has been written yet"):
        plot_run(run_of({}, frames=0), tmp_path)


def test_values_that_are_not_finite_are_drawn_around(tmp_path: Path) -> None:
    """A correlation length is infinite for perfect order; C(r) has no value in an empty bin."""
    observables = {
        "correlation-length": {"correlation_length": series([1.0, np.inf], "a")},
        "correlation": {"C": series([[1.0, np.nan], [np.nan, np.nan]], label="C(r)", plot="profile", axis="distance")},
    }
    assert len(plot_run(run_of(observables, static={"correlation": {"distance": np.arange(2.0)}}), tmp_path)) == 3
