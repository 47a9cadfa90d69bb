"""Observers of driven magnets give what the calculator and the analysis give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.analysis.walls import domain_wall
from spinase.atoms import geometry_of
from spinase.calculators import HeisenbergCalculator, NEGFCalculator, SpinSumCalculator
from spinase.electrons import LatticeLead, SDModel, ShellHopping
from spinase.errors import ConvergenceError, ModelError
from spinase.io import read_run
from spinase.observers.transport import CurrentsObserver, DomainWallObserver, GrownPhaseObserver
from spinase.run.execute import RunOptions, run_file
from spinase.textures import domain_wall as wall_texture

LEADS = (LatticeLead("left", exchange=(0, 0, 1)), LatticeLead("right", exchange=(0, 0, -1), name="drain"))


def device() -> SpinAtoms:
    atoms = SpinAtoms.lattice("square", (12, 3), units="reduced")
    atoms.pbc = False
    atoms.spins = wall_texture(geometry_of(atoms), np.random.default_rng(0), width=2.0, position=0.4)
    atoms.moments = 100.0 * atoms.spins
    return atoms


def test_currents_of_leads_and_sites() -> None:
    atoms = device()
    calc = NEGFCalculator(SDModel(ShellHopping([1.0]), 1.0, chemical_potential=-2.0, kT=0.1), LEADS, 0.3, tolerance=1e-4)
    atoms.calc = SpinSumCalculator([calc, HeisenbergCalculator(shells=[0.1])])
    observer = CurrentsObserver()
    assert observer.prepare(atoms) == {}
    seen = observer.observe(atoms)
    assert set(seen) == set(observer.quantities) == {"1_left", "2_drain", "bias", "through_sites"}
    assert seen["1_left"] == pytest.approx(calc.get_property("lead_currents", atoms)[0])
    assert seen["1_left"] == pytest.approx(-seen["2_drain"])
    assert seen["bias"] == 0.3
    inner = seen["through_sites"].reshape(12, 3)[1:-1].sum(axis=1)
    assert inner.min() > 0.9 * seen["1_left"], "all of the current crosses every layer"


def test_currents_need_leads() -> None:
    atoms = device()
    atoms.calc = HeisenbergCalculator(shells=[0.1])
    with pytest.raises(ModelError, match="has no leads"):
        CurrentsObserver().prepare(atoms)


def test_walls_and_phases() -> None:
    atoms = device()
    observer = DomainWallObserver()
    observer.prepare(atoms)
    wall = domain_wall(atoms)
    assert observer.observe(atoms) == {"position": wall.position, "width": wall.width, "angle": wall.angle}
    assert wall.position == pytest.approx(4.4, abs=0.05)
    phase = GrownPhaseObserver()
    phase.prepare(atoms)
    assert set(phase.observe(atoms)) == set(phase.quantities) == {"fraction", "interface"}
    assert phase.observe(atoms)["fraction"] > 0.8


RAMP = """
units = "reduced"
seed = 1
[atoms]
lattice = "square"
size = [6, 2]
periodic = false
moment = 50.0
[spins]
style = "random"
[calculator]
style = "negf"
hopping = { style = "shell", amplitudes = [1.0] }
coupling = 1.0
chemical_potential = -0.5
kT = 0.05
tolerance = 1e-4
max_energies = 40
bias = { from = 0.0, to = 1e9, duration = 2e13 }
leads = [{ style = "lattice", side = "left" }, { style = "lattice", side = "right" }]
[[stage]]
driver = "llg"
steps = 40
timestep = 20.0
damping = 0.1
[output]
every = 1
checkpoint_every = 2
"""


def test_a_run_whose_tolerance_is_not_reached_keeps_what_it_has(tmp_path: Path) -> None:
    """The bias grows by 0.001 a step until 40 energies do not suffice."""
    (tmp_path / "ramp.toml").write_text(RAMP)
    with pytest.raises(ConvergenceError, match=r"within 40 energies .* is good up to step \d+, its checkpoint is of"):
        run_file(tmp_path / "ramp.toml", options=RunOptions(output=tmp_path / "out"))
    run = read_run(tmp_path / "out" / "run.h5")
    assert 1 < len(run.moments) < 41
    np.testing.assert_allclose(np.linalg.norm(run.moments[-1], axis=1), 50.0)
