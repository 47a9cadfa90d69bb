"""Run files of format 2 (before November 2026): still read, and runs that wrote them go on."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest

from spinase.io import read_run
from spinase.run import RunOptions, run_file

OLD = Path(__file__).parent / "older_format"


@pytest.fixture
def half(tmp_path: Path) -> Path:
    """A run of 30 steps that was stopped after 17."""
    shutil.copytree(OLD, tmp_path / "half")
    (tmp_path / "half" / "run.h5").write_bytes(gzip.decompress((OLD / "run.h5.gz").read_bytes()))
    shutil.copy(OLD / "input.toml", tmp_path / "in.toml")
    return tmp_path / "half"


def test_it_is_read(half: Path) -> None:
    run = read_run(half)
    assert run.steps.tolist() == [0, 5, 10, 15]
    np.testing.assert_allclose(run.times, 0.1 * run.steps)
    assert run.positions.shape == run.moments.shape == (4, 6, 3)
    np.testing.assert_allclose(run.cells[-1], np.diag([5.0, 7.5, 2.5]))
    assert (run.pbc.tolist(), run.numbers.tolist()) == ([True, True, False], [26] * 6)
    assert sorted(run.results) == ["energy", "magnetic_forces"]
    assert run.g_factors is not None
    np.testing.assert_array_equal(run.g_factors, 2.1)
    assert run.energies is None
    assert sorted(run.observables) == ["conditions", "energy", "structure-factor"]
    assert run.static["structure-factor"]["wavevectors"].shape[1] == 2
    atoms = run.atoms(2)
    exchange = np.sum(atoms.moments * run.results["magnetic_forces"][2])  # bilinear: sum of m.B is -2 E
    assert run.results["energy"][2] == pytest.approx(-0.5 * exchange)


def test_it_goes_on_as_a_new_file(half: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(half.parent)
    old = read_run(half)
    run_file("in.toml", options=RunOptions(output=half, restart=True))
    run_file("in.toml", options=RunOptions(output=half.parent / "whole"))
    run, whole = read_run(half), read_run(half.parent / "whole")
    np.testing.assert_array_equal(run.moments[:4], old.moments)
    np.testing.assert_allclose(run.moments, whole.moments, atol=1e-9)
    np.testing.assert_allclose(run.times, whole.times)
    assert run.energies is not None
    assert whole.energies is not None
    assert np.isnan(run.energies[:4]).all()
    np.testing.assert_allclose(run.energies[4:], whole.energies[4:], atol=1e-9)
    field = run.observables["conditions"]["field"].values  # which older files do not tell where it stays
    np.testing.assert_array_equal(np.isnan(field[:, 0]), np.arange(len(field)) < 8)
    field[:8] = 0.0
    for name, quantities in whole.observables.items():
        for key, series in quantities.items():
            np.testing.assert_allclose(run.observables[name][key].values, series.values, atol=1e-9)
            np.testing.assert_allclose(run.observables[name][key].times, series.times)
