"""Figures of sweeps: many curves, and keys that are vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from spinase.errors import InputError
from spinase.io.run_file import Series
from spinase.io.swept import SweptRuns
from spinase.viz import sweeps


def runs(points: list[dict[str, Any]]) -> SweptRuns:
    """Runs whose number rises from 0 by one from run to run."""
    times = np.array([0.0, 1.0, 2.0])
    flat = [Series(np.arange(3), times, np.full(3, float(k)), "energy", "t", "series", "") for k in range(len(points))]
    return SweptRuns(points, [{"energy.per_site": one} for one in flat], "hbar/t")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    def figure_of(found: SweptRuns, **options: Any) -> Figure:
        kept: list[Figure] = []
        monkeypatch.setattr(sweeps, "save_figure", lambda figure, path: kept.append(figure))
        sweeps.plot_sweep(found, tmp_path / "sweep.png", ["energy.per_site"], **options)
        return kept[0]

    return figure_of


def test_more_curves_than_colours_have_a_scale_and_a_legend_of_twelve(drawn: Any) -> None:
    ax = drawn(runs([{"stage.0.kT": 0.1 * k} for k in range(15)])).axes[0]
    assert len({line.get_color() for line in ax.lines}) == 15
    named = [text.get_text() for text in ax.get_legend().get_texts()]
    assert len(named) == 12
    assert (named[0], named[-1]) == ("kT = 0.0", f"kT = {0.1 * 14}")


def test_a_key_of_vectors_that_differ_in_one_component_is_an_axis(drawn: Any) -> None:
    points = [{"seed": seed, "stage.0.field": [0.0, 0.0, field]} for field in (0.0, 0.3, 0.7) for seed in (1, 2)]
    line = drawn(runs(points), x="stage.0.field").axes[0].lines[0]
    np.testing.assert_allclose(line.get_xydata(), [[0.0, 0.5], [0.3, 2.5], [0.7, 4.5]])  # means over the seeds
    turned = [{"stage.0.field": [0.1, 0.0, 0.0]}, {"stage.0.field": [0.0, 0.1, 0.0]}]
    with pytest.raises(InputError, match="stage.0.field has values that are no plain numbers"):
        drawn(runs(turned), x="stage.0.field")
