"""What `spinase check` says of a step, and how a run that goes wrong ends."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from typer.testing import CliRunner

from spinase import SpinAtoms
from spinase.calculators import HeisenbergCalculator
from spinase.cli import app, main
from spinase.pair_laws import ShellLaw
from spinase.radial import Exponential
from spinase.run.couplings import describe_couplings

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


COUPLED = """
seed = 1
[atoms]
lattice = "square"
size = [6, 6]
[calculator]
style = "sum"
[[calculator.terms]]
style = "heisenberg"
shells = [1.0, -0.5]
[[calculator.terms]]
style = "uniaxial"
strength = 0.1
[[calculator.terms]]
style = "ed"
hopping = { style = "exponential", t0 = 1.0, decay = 1.0, reference = 1.0, cutoff = 3.5 }
coupling = 1.0
filling = 0.3
kT = 0.1
[[stage]]
steps = 10
timestep = 0.1
damping = 0.1
"""


def test_check_tells_the_shells_and_bonds_of_couplings(tmp_path: Path) -> None:
    path = tmp_path / "coupled.toml"
    path.write_text(COUPLED)
    told = CliRunner().invoke(app, ["check", str(path)])
    assert told.exit_code == 0, told.output
    shells = "at 1 a 4 neighbours, 72 bonds Fe-Fe; at 1.414 a 4 neighbours, 72 bonds Fe-Fe"
    assert f"  HeisenbergCalculator: {shells}\n" in told.output
    assert "  EDCalculator: 7 distances from 1 to 3.162 a, 36 neighbours, 648 bonds Fe-Fe\n" in told.output
    assert "UniaxialAnisotropyCalculator:" not in told.output


def test_couplings_of_a_compound_are_told_by_species() -> None:
    atoms = SpinAtoms(bulk("NiO", "rocksalt", a=4.2, cubic=True).repeat(2))
    atoms.moments = np.where((atoms.numbers == 28)[:, None], [0.0, 0.0, 2.0], 0.0)
    calc = HeisenbergCalculator(shells=[1.0])
    assert describe_couplings(calc, atoms) == ["HeisenbergCalculator: at 2.97 Angstrom 12 neighbours, 192 bonds Ni-Ni"]
    table = HeisenbergCalculator(law=Exponential(1.0, 1.0, 2.1, 2.5, 0.2))
    assert describe_couplings(table, atoms) == ["HeisenbergCalculator: at 2.1 Angstrom 6 neighbours, 192 bonds O-Ni"]
    atoms.positions[0, 0] += 0.05
    told = describe_couplings(HeisenbergCalculator(shells=ShellLaw([1.0], [2.97])), atoms)
    assert told == ["HeisenbergCalculator: from 2.935 to 3.005 Angstrom 12 neighbours, 192 bonds Ni-Ni"]


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
