"""Run files as other programs see them: H5MD's layout, and two readers of it where they are installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from spinase.io import read_run
from spinase.run import run_file

LATTICE = '[atoms]\nlattice = "square"\nsize = [4, 3]\n[calculator]\nstyle = "heisenberg"\nshells = [0.01]\n'
END = '[[observer]]\nstyle = "energy"\nevery = 2\n[output]\nevery = 5\nresults = ["magnetic_forces"]\n'
SPINS = "[[stage]]\nsteps = 10\ntimestep = 0.1\ndamping = 0.1\n"
MOVED = '[[stage]]\ndriver = "spin-lattice"\nsteps = 10\ntimestep = 0.1\ninitial_kT = 0.01\n'
SWEEPS = '[[stage]]\ndriver = "monte-carlo"\nsteps = 10\nkT = 0.01\n'
RUNS = {
    "spins": ("metal", SPINS, LATTICE),
    "open": ("metal", SPINS, LATTICE.replace("size", "periodic = [true, false]\nsize")),
    "moving": ("metal", MOVED, LATTICE),
    "reduced": ("reduced", SPINS, LATTICE),
    "sweeps": ("metal", SWEEPS, LATTICE),
}


@pytest.fixture(scope="module", params=list(RUNS))
def run_h5(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run file of one kind of run."""
    units, stage, lattice = RUNS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "in.toml").write_text(f'units = "{units}"\nseed = 1\n{lattice}{stage}{END}')
    with pytest.MonkeyPatch.context() as context:
        context.chdir(folder)
        return run_file("in.toml").resolve()


def test_the_layout_is_that_of_h5md(run_h5: Path) -> None:
    """Every element has step, time and value of one length; units where others know them, texts as they read them."""
    run = read_run(run_h5)
    kind = run_h5.parent.parent.name.rstrip("0123456789")
    known = run.units == "metal"
    with h5py.File(run_h5) as file:
        assert file["h5md"].attrs["version"].tolist() == [1, 1]
        assert {"author", "creator"} <= set(file["h5md"])
        box = file["particles/atoms/box"]
        assert box.attrs["dimension"] == 3
        assert list(box.attrs["boundary"]) == ["periodic", "none" if kind == "open" else "periodic", "none"]
        elements = [file[f"particles/atoms/{name}"] for name in file["particles/atoms"] if name != "box"]
        elements += [box["edges"], *file["observables/atoms"].values()]
        for element in elements:
            assert {"step", "time", "value"} <= set(element)
            assert element["step"].shape == element["time"].shape == element["value"].shape[:1] == (3,)
            assert element["step"] == file["particles/atoms/position/step"], "one clock"
        units = {name: file[f"particles/atoms/{name}"].attrs.get("unit") for name in ("position/value", "box/edges/value")}
        assert set(units.values()) == {"Angstrom" if known else None}
        clock = file["particles/atoms/position/time"]
        counted = kind in ("reduced", "sweeps")  # clocks that no other program knows
        assert clock.attrs.get("unit") == (None if counted else "fs")
        np.testing.assert_allclose(clock[:], run.times if counted else np.array([run.seconds(k) for k in range(3)]) * 1e15)
        assert set(file["observables"]) == {"atoms"}, "what has steps of its own is elsewhere"
        assert file["series/energy/energy/step"][:].tolist() == [0, 2, 4, 6, 8, 10]
        assert file["observables/atoms/potential_energy/value"].shape == (3,)
        assert file["particles/atoms/species/value"].dtype.kind == "i"


def test_large_magnets_at_rest_take_little_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions and species of every frame, compressed."""
    monkeypatch.chdir(tmp_path)
    text = f'units = "reduced"\nseed = 1\n{LATTICE}{SPINS}[output]\nevery = 1\n'.replace("[4, 3]", "[64, 64]")
    (tmp_path / "in.toml").write_text(text.replace("shells = [0.01]", "shells = [1.0]"))
    run = read_run(path := run_file("in.toml"))
    assert path.stat().st_size < 1.3 * run.moments.nbytes + 1e5
    assert run.positions.strides[0] == 0, "once in memory"


def test_mdanalysis_opens_it(run_h5: Path) -> None:
    mda = pytest.importorskip("MDAnalysis", reason="pip install MDAnalysis")
    run = read_run(run_h5)
    universe = mda.Universe.empty(len(run.numbers), trajectory=True)
    known = run.seconds(0) is not None
    universe.load_new(str(run_h5), format="H5MD", convert_units=known)
    assert len(universe.trajectory) == len(run)
    for k, frame in enumerate(universe.trajectory):
        np.testing.assert_allclose(frame.positions, run.positions[k], atol=1e-5)
        np.testing.assert_allclose(frame.triclinic_dimensions, run.cells[k], atol=1e-5)
        assert frame.data["step"] == run.steps[k]
        assert frame.data["atoms/potential_energy"] == energies(run)[k]
        assert frame.time == pytest.approx(float(run.seconds(k) or 0.0) * 1e12 if known else run.times[k])


def test_znh5md_opens_it(run_h5: Path) -> None:
    znh5md = pytest.importorskip("znh5md", reason="pip install znh5md")
    run = read_run(run_h5)
    frames = znh5md.IO(run_h5)[:]
    assert len(frames) == len(run)
    for k, atoms in enumerate(frames):
        np.testing.assert_array_equal(atoms.positions, run.positions[k])
        np.testing.assert_array_equal(atoms.cell.array, run.cells[k])
        np.testing.assert_array_equal(atoms.arrays["moment"], run.moments[k])
        np.testing.assert_array_equal(atoms.numbers, run.numbers)
        np.testing.assert_array_equal(atoms.pbc, run.pbc)
        assert atoms.get_potential_energy() == energies(run)[k]


def energies(run: Any) -> Any:
    """They are there."""
    assert run.energies is not None
    return run.energies
