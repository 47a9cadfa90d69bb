"""A driver of the user's own, beside the input file: nothing of the package is touched for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from systems.inputs import square_run
from systems.run_bytes import content

from spinase.errors import StyleError
from spinase.io import read_run
from spinase.run import RunOptions, RunStopped, run_file
from spinase.testing import check_driver

TOY = '''
import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from spinase.atoms import get_moments, set_moments
from spinase.contract import Driver
from spinase.spin_algebra import rotate_about


class Config(BaseModel):
    model_config = ConfigDict(extra="forbid")
    angle: float = Field(0.1, gt=0, description="largest turn of a step [radian]")


class Jiggle(Driver):
    """Turns every spin by a random vector in every step, whatever the calculator says."""

    Config = Config
    time_unit = "jiggles"

    def __init__(self, atoms, angle, rng):
        self.atoms, self.angle, self.rng, self.steps = atoms, angle, rng, 0

    @classmethod
    def from_config(cls, config, atoms, rng):
        return cls(atoms, config.angle, rng)

    def run(self, steps):
        for _ in range(steps):
            turn = self.angle * self.rng.uniform(-1, 1, (len(self.atoms), 3))
            set_moments(self.atoms, rotate_about(get_moments(self.atoms), turn))
            self.steps += 1
        return True

    def get_number_of_steps(self):
        return self.steps

    def get_time(self):
        return float(self.steps)

    def checkpoint_state(self):
        return {"steps": self.steps, "rng": self.rng.bit_generator.state, "moments": get_moments(self.atoms)}

    def restore_state(self, state):
        self.steps, self.rng.bit_generator.state = int(state["steps"]), state["rng"]
        set_moments(self.atoms, state["moments"])


class Half:
    """No driver: it knows no clock."""

    def __init__(self, atoms, rng):
        self.atoms = atoms

    @classmethod
    def from_config(cls, config, atoms, rng):
        return cls(atoms, rng)

    def run(self, steps):
        return True
'''
INPUT = square_run(
    4,
    4,
    """[[stage]]
driver = "toy_driver:Jiggle"
steps = 12
angle = 0.2
[[stage]]
steps = 5
timestep = 0.1
[output]
every = 4
checkpoint_every = 3
""",
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy_driver.py").write_text(TOY)
    (tmp_path / "in.toml").write_text(INPUT)
    return tmp_path


def test_a_driver_beside_the_input_runs_is_cut_and_goes_on_with_the_same_bytes(here: Path) -> None:
    whole = run_file("in.toml", options=RunOptions(output=here / "whole"))
    run = read_run(whole)
    assert run.steps.tolist() == [0, 4, 8, 12, 16, 17]
    assert run.times[3] == 12.0
    assert run.provenance["time_unit"] == "jiggles and hbar/t"
    assert np.abs(run.moments[3] - run.moments[2]).max() > 0.01
    with pytest.raises(RunStopped):
        run_file("in.toml", options=RunOptions(output=here / "cut", stop_after=7))
    assert content(run_file("in.toml", options=RunOptions(output=here / "cut", restart=True))) == content(whole)


def test_the_kit_takes_it(here: Path) -> None:
    run_file("in.toml")  # makes the folder importable
    from toy_driver import Jiggle

    from spinase import SpinAtoms
    from spinase.calculators import HeisenbergCalculator

    def make(rng: np.random.Generator) -> Jiggle:
        atoms = SpinAtoms.lattice("square", (3, 3), units="reduced", rng=1)
        atoms.calc = HeisenbergCalculator([1.0])
        return Jiggle(atoms, 0.1, rng)

    report = check_driver(make)
    assert {result.name for result in report if result.status == "passed"} >= {"restart", "lengths", "clock"}


def test_what_is_no_driver_is_refused_with_what_it_lacks(here: Path) -> None:
    lacks = "lacks get_number_of_steps, get_time, checkpoint_state, restore_state, moves_atoms.*contract.Driver"
    with pytest.raises(StyleError, match=lacks):
        run_file("in.toml", ["stage.0.driver=toy_driver:Half"])
