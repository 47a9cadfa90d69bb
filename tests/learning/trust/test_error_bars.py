"""Error bars: the coverage they promise on data that were not used to make them, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spinase.errors import ModelError, ModelFileError
from spinase.geometry import Geometry
from spinase.learning.trust.domain import Domain
from spinase.learning.trust.error_bars import Calibration, calibrate, needed_realizations

FLOOR = 0.01


def draw(rng: np.random.Generator, realizations: int, spins: int = 40) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Errors with heavy tails and a scale of their own in every realization; spreads that are too small and know little."""
    errors, spreads = [], []
    for _ in range(realizations):
        scale = 0.1 * np.exp(0.5 * rng.normal()) * np.exp(0.7 * rng.normal(size=spins))
        spreads.append(0.3 * scale * np.exp(0.3 * rng.normal(size=spins)))
        errors.append(np.abs(scale * rng.standard_t(3, size=spins)))
    return errors, spreads


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9])
def test_bars_cover_what_they_promise_on_new_realizations(coverage: float) -> None:
    rng = np.random.default_rng(5)
    covered = []
    for _ in range(60):
        made = calibrate(*draw(rng, 20), FLOOR)
        errors, spreads = draw(rng, 10)
        covered += [np.mean(e <= made.bars(s, coverage)) for e, s in zip(errors, spreads, strict=True)]
    mean, uncertain = float(np.mean(covered)), float(np.std(covered) / np.sqrt(len(covered)))
    assert mean > coverage - 3 * uncertain  # promised
    assert mean < coverage * 21 / 20 + 0.02 + 3 * uncertain  # and not wasteful: K + 1 over K, and the steps of the table


def test_raw_spreads_do_not() -> None:
    """What calibration is for: a gauge of the data above."""
    errors, spreads = draw(np.random.default_rng(6), 50)
    raw = np.mean(np.concatenate(errors) <= 1.64 * np.concatenate(spreads))
    assert raw < 0.5


def test_realizations_weigh_alike_whatever_their_size() -> None:
    """One quiet realization of many spins and three loud ones of one spin: the median is loud."""
    errors = [np.full(1000, 0.1), np.ones(1), np.ones(1), np.ones(1)]
    made = calibrate(errors, [np.zeros_like(e) for e in errors], 0.5)
    assert made.factor(0.5) == pytest.approx(2.0)
    assert made.factor(0.15) == pytest.approx(0.2)
    np.testing.assert_allclose(made.bars(np.array([0.0, 1.5]), 0.5), [1.0, 4.0])


def test_factors_are_quantiles_and_rise_with_the_coverage() -> None:
    scores = np.arange(1, 1001) / 1000
    made = calibrate([scores * FLOOR] * 99, [np.zeros(1000)] * 99, FLOOR)
    for coverage in (0.3, 0.5, 0.77, 0.9, 0.95, 0.99):
        exact = coverage * 100 / 99
        assert exact - 1e-9 <= made.factor(coverage) <= exact + 0.021
    assert np.all(np.diff([made.factor(c) for c in np.linspace(0.01, 0.99, 200)]) >= 0.0)


def test_too_few_realizations_are_told() -> None:
    made = calibrate([np.ones(3)] * 8, [np.ones(3)] * 8, FLOOR)
    with pytest.raises(
        ModelError, match=r"coverage 0\.9 need 9 calibration realizations, this model has 8 \(at most 0\.889"
    ):
        made.factor(0.9)
    assert made.factor(8 / 9) == pytest.approx(1 / 1.01)
    assert [needed_realizations(c) for c in (0.5, 0.8, 0.9, 0.95)] == [1, 4, 9, 19]
    for wrong in (0.0, 1.0, -0.1, np.nan):
        with pytest.raises(ModelError, match="between 0 and 1"):
            made.factor(wrong)


def test_bad_data_are_refused() -> None:
    with pytest.raises(ModelError, match="no spins to calibrate"):
        calibrate([], [], FLOOR)
    with pytest.raises(ModelError, match="floor of the spread must be positive, got 0"):
        calibrate([np.ones(3)], [np.ones(3)], 0.0)
    with pytest.raises(ModelError, match="floor of the spread must be positive, got inf"):
        calibrate([np.ones(3)], [np.ones(3)], np.inf)
    with pytest.raises(ModelError, match="not finite"):
        calibrate([np.array([1.0, np.nan])], [np.ones(2)], FLOOR)


def test_a_card_keeps_it() -> None:
    made = calibrate(*draw(np.random.default_rng(1), 12), FLOOR)
    assert Calibration.from_table(json.loads(json.dumps(made.to_table()))) == made
    with pytest.raises(ModelFileError, match="incomplete or wrong.*scores"):
        Calibration.from_table({"floor": 0.1, "realizations": 3, "spins": 2, "levels": [0.5]})
    with pytest.raises(ModelFileError, match="1 scores, 0 realizations"):
        Calibration.from_table({**made.to_table(), "levels": [0.1], "scores": [1.0], "realizations": 0})
    assert Calibration.from_table({**made.to_table(), "levels": [0.1], "scores": [1.0], "realizations": 1}).scores == (1.0,)
    with pytest.raises(ModelFileError, match="2 levels, 1 scores"):
        Calibration.from_table({**made.to_table(), "levels": [0.1, 0.2], "scores": [1.0]})


def geometry(distance: float, numbers: tuple[int, int] = (26, 27)) -> Geometry:
    positions = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, distance], [5.0, 0.0, 0.0], [5.0, 1.1, 0.0]])
    return Geometry(positions, np.diag([10.0, 10.0, 10.0]), np.ones(3, bool), np.array([*numbers, 26, 26]))


def test_distances_below_the_trained_ones_are_found() -> None:
    known = Domain.from_geometries([geometry(1.5), geometry(0.9), geometry(1.2)], cutoff=2.0)
    assert known.shortest == {"Co-Fe": pytest.approx(0.9), "Fe-Fe": pytest.approx(1.1)}
    assert known.problem(geometry(0.895)) is None
    found = known.problem(geometry(0.87))
    assert found is not None
    assert found.fatal
    assert str(found) == "sites 0 and 1 (Co-Fe) are 0.87 apart, the shortest distance trained is 0.9"
    looser = known.problem(geometry(0.87), margin=0.05)  # still off the three distances that were trained
    assert looser is not None
    assert not looser.fatal
    across = geometry(9.2)  # to the image
    assert "0.8 apart" in str(known.problem(across))


def test_pairs_of_species_that_never_met_are_found() -> None:
    known = Domain.from_geometries([geometry(1.0)], cutoff=2.0)
    assert str(known.problem(geometry(1.9, (27, 27)))) == (
        "sites 0 and 1 (Co-Co) are 1.9 apart, and such a pair was never trained within 2"
    )
