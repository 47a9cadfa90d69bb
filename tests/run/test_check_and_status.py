"""What `spinase check` says of a step, and how a run that goes wrong ends."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spinase.cli import app, main

IRON = """
title = "iron"
units = "metal"
seed = 1
[atoms]
lattice = "cubic"
size = [3, 3, 3]
a = 2.5
moment = 2.2
[spins]
style = "ferro"
[calculator]
style = "heisenberg"
shells = [0.039]
[[stage]]
driver = "llg"
steps = 10
timestep = 0.0982
damping = 0.1
temperature_K = 300
field = [0.0, 0.0, 5.7883818e-4]
"""


def test_check_tells_femtoseconds_kelvin_and_tesla(tmp_path: Path) -> None:
    path = tmp_path / "iron.toml"
    path.write_text(IRON)
    told = CliRunner().invoke(app, ["check", str(path)])
    assert told.exit_code == 0, told.output
    for words in ("time step 0.9997 fs", "kT 300 K (0.02585 eV)", "applied field 10 T", "gamma |B| dt up to"):
        assert words in told.output
    assert "warning" not in told.output
    wrong = CliRunner().invoke(app, ["check", str(path), "--set", "stage.0.field=[0,0,10]", "--set", "stage.0.timestep=1"])
    assert "warning: the applied field is 172,7" in wrong.output
    assert "warning: time step 1 (10.2 fs: ASE's unit of time is 10.18 fs" in wrong.output


BROKEN = """
from ase.calculators.calculator import Calculator, all_changes
from pydantic import BaseModel
from spinase.atoms import get_moments
import numpy as np

class Breaks(Calculator):
    implemented_properties = ["energy", "magnetic_forces"]
    units = None
    class Config(BaseModel):
        pass
    citation = ""
    calls = 0

    @classmethod
    def from_config(cls, config):
        return cls()

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        Breaks.calls += 1
        fields = 0.01 * get_moments(atoms)[::-1]
        if Breaks.calls > 40:
            fields[0, 0] = np.nan
        self.results = {"energy": 0.0, "magnetic_forces": fields}
"""


def test_a_run_that_goes_wrong_ends_with_status_3_and_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """2 is for bad input; this one goes on from its checkpoint once the cause is found."""
    (tmp_path / "breaking.py").write_text(BROKEN)
    text = IRON.replace("temperature_K = 300\n", "").replace(
        'style = "heisenberg"\nshells = [0.039]', 'style = "breaking:Breaks"'
    )
    path = tmp_path / "in.toml"
    path.write_text(text.replace('style = "ferro"', 'style = "random"').replace("steps = 10", "steps = 1000"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("warnings.showwarning", warnings.showwarning)  # the command sets its own
    monkeypatch.setattr("sys.argv", ["spinase", "run", "in.toml", "--no-figures", "--set", "output.checkpoint_every=2"])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr().err
    assert ended.value.code == 3, told
    for words in ("magnetic force of site 0 (Fe", "Breaks", "its checkpoint is of step"):
        assert words in told
    assert (tmp_path / "in_run" / "checkpoint.npz").exists()
