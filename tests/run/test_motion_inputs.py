"""Moving magnets in input files: ramps, baths, pressure, motions, and a run that explodes."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from ase import units
from systems.run_bytes import content

from spinase import SpinAtoms
from spinase.calculators import DMICalculator, HeisenbergCalculator, PairPotentialCalculator, SpinSumCalculator
from spinase.dynamics import LatticeBussi, SpinLatticeDynamics
from spinase.dynamics.ramp import with_durations
from spinase.dynamics.spin_lattice_config import SpinLatticeConfig
from spinase.errors import InputError, ModelError, UnstableDynamicsError
from spinase.io import read_run
from spinase.observers.motion import AngularMomentumObserver
from spinase.radial import Exponential, Morse
from spinase.run.execute import RunOptions, RunStopped, run_file
from spinase.units import METAL

HEAD = """
units = "metal"
seed = 3
[atoms]
lattice = "cubic"
size = [3, 3, 3]
a = 2.8
moment = 2.0
[calculator]
style = "sum"
terms = [
  { style = "pair-potential", morse = { depth = 0.4, decay = 1.4, reference = 2.8, cutoff = 5.0, switch_width = 1.0 } },
  { style = "heisenberg", law = { amplitude = 0.1, decay = 1.0, reference = 2.8, cutoff = 4.4, switch_width = 0.6 } },
]
[output]
every = 10
checkpoint_every = 10
"""
BATHS = """
[[observer]]
style = "energy-partition"
every = 10
[[stage]]
driver = "spin-lattice"
steps = 30
timestep = 0.1
initial_kT = 0.02
damping = 0.05
integrator = "sib"
thermostat = "langevin"
friction = 0.01
lattice_kT = { from = 0.02, to = 0.05 }
kT = { from = 0.02, to = 0.05 }
field = { from = [0, 0, 0], to = [0, 0, 1e-3] }
[[stage]]
driver = "spin-lattice"
steps = 30
timestep = 0.1
damping = 0.05
integrator = "sib"
thermostat = "langevin"
friction = 0.01
lattice_kT = 0.05
pressure = 0.001
piston_time = 30.0
[[stage]]
driver = "spin-lattice"
steps = 20
timestep = 0.05
damping = 0.05
integrator = "sib"
electrons = { kT = 0.05, capacity = 200.0, friction = 0.001 }
[[stage]]
driver = "llg"
steps = 10
timestep = 0.02
inertia = 0.05
damping = 0.1
kT = 0.02
"""


def test_a_restart_through_all_baths_gives_the_same_bytes(tmp_path: Path) -> None:
    source = tmp_path / "in.toml"
    source.write_text(HEAD + BATHS)
    whole = run_file(source, options=RunOptions(output=tmp_path / "whole"))
    for stop in (17, 41, 67, 85):
        with pytest.raises(RunStopped):
            run_file(source, options=RunOptions(output=tmp_path / "cut", restart=stop != 17, stop_after=stop))
    cut = run_file(source, options=RunOptions(output=tmp_path / "cut", restart=True))
    assert content(cut) == content(whole)
    run = read_run(whole)
    assert run.cells[0, 0, 0] == pytest.approx(8.4)
    assert abs(run.atoms(-1).cell[0, 0] - 8.4) > 1e-3
    with h5py.File(whole) as file:
        assert np.isfinite(file["series/energy-partition/total/value"][:]).all()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("lattice_kT = { from = 0.1 }", "'to'|to"),
        ("pressure = 0.1", "both pressure and piston_time"),
        ("pressure = 0.1\npiston_time = 3.0", "fixed lattice_kT"),
        ('thermostat = "langevin"\nfriction = 0.1\nlattice_kT = -0.1', "lattice_kT"),
    ],
)
def test_bad_baths(tmp_path: Path, lines: str, message: str) -> None:
    source = tmp_path / "in.toml"
    source.write_text(HEAD + f'[[stage]]\ndriver = "spin-lattice"\nsteps = 5\ntimestep = 0.1\n{lines}\n')
    with pytest.raises(InputError, match=message):
        run_file(source, options=RunOptions(output=tmp_path / "run"))


def test_two_motions_at_once_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "in.toml"
    source.write_text(HEAD + "[[stage]]\nsteps = 5\ntimestep = 0.1\ninertia = 0.1\nlongitudinal_rate = 0.1\n")
    with pytest.raises(ModelError, match="inertial or of free length"):
        run_file(source, options=RunOptions(output=tmp_path / "run"))


@pytest.mark.filterwarnings("ignore:time step")
def test_an_explosion_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    """The heating bath drives the atoms apart at some step; what was written before stays and is readable."""
    source = tmp_path / "in.toml"
    source.write_text(
        HEAD
        + '[[stage]]\ndriver = "spin-lattice"\nsteps = 400\ntimestep = 2.0\ninitial_kT = 0.02\nintegrator = "sib"\n'
        + 'thermostat = "langevin"\nfriction = 0.05\nlattice_kT = { from = 0.02, to = 40.0 }\n'
    )
    with pytest.raises(UnstableDynamicsError, match=r"time step is too large.*good up to step \d+, its checkpoint"):
        run_file(source, options=RunOptions(output=tmp_path / "run"))
    assert (tmp_path / "run" / "checkpoint.npz").exists()
    with h5py.File(tmp_path / "run" / "run.h5") as file:
        assert np.isfinite(file["particles/atoms/moment/value"][:]).all()


def test_spins_hand_their_angular_momentum_to_the_atoms() -> None:
    """A droplet with bulk DMI: only lattice and spins together keep theirs (Einstein and de Haas)."""
    atoms = SpinAtoms.disordered(12, density=0.03, min_distance=2.3, moment=2.0, rng=3)
    atoms.pbc, atoms.cell = False, None
    law = Exponential(amplitude=0.1, decay=0.8, reference=2.8, cutoff=6.0, width=2.0)
    lattice = PairPotentialCalculator(Morse(depth=0.5, decay=1.2, reference=2.9, cutoff=9.0, width=3.0))
    atoms.calc = SpinSumCalculator([lattice, DMICalculator(law=law), HeisenbergCalculator(law=law)])
    observer = AngularMomentumObserver()
    observer.prepare(atoms)
    start = observer.observe(atoms)
    drifts = []
    for timestep in (0.5, 0.25):
        moving = atoms.copy()
        moving.calc = atoms.calc
        SpinLatticeDynamics(moving, timestep * units.fs).run(int(100 / timestep))
        end = observer.observe(moving)
        drifts.append(max(abs(end[f"total_{a}"] - start[f"total_{a}"]) for a in "xyz"))
        assert max(abs(end[f"spin_{a}"] - start[f"spin_{a}"]) for a in "xyz") > 0.5 * METAL.hbar
    assert drifts[0] < 0.02 * METAL.hbar
    assert drifts[1] < 0.4 * drifts[0]


def test_baths_and_pistons_are_styles_that_say_the_same_in_tables() -> None:
    base = {"timestep": 0.1}
    flat = SpinLatticeConfig(**base, thermostat="bussi", lattice_kT=0.02, relaxation=3.0, pressure=0.001, piston_time=20.0)
    tables = SpinLatticeConfig(
        **base,
        thermostat={"style": "spinase.dynamics.thermostats:LatticeBussi", "kT": 0.02, "relaxation": 3.0},
        barostat={
            "style": "spinase.dynamics.barostat:IsotropicBarostat",
            "kT": 0.02,
            "pressure": 0.001,
            "relaxation": 20.0,
        },
    )
    one, other = flat.bath(), tables.bath()
    assert type(one) is type(other) is LatticeBussi
    assert (one.kT, one.relaxation) == (other.kT, other.relaxation)
    assert vars(flat.piston()) == vars(tables.piston())
    cooled = with_durations(
        SpinLatticeConfig(
            **base,
            thermostat={
                "style": "spinase.dynamics.thermostats:LatticeLangevin",
                "kT": {"from": 0.2, "to": 0.1},
                "friction": 1.0,
            },
        ),
        10.0,
    ).bath()
    cooled.follow(5.0)
    assert cooled.kT == pytest.approx(0.15)
    with pytest.raises(ValueError, match="lattice_kT goes into the table thermostat"):
        SpinLatticeConfig(**base, thermostat={"style": "bussi"}, lattice_kT=0.1)
    with pytest.raises(InputError, match="key 'friction' is missing in thermostat"):
        SpinLatticeConfig(**base, thermostat={"style": "spinase.dynamics.thermostats:LatticeLangevin", "kT": 0.1}).bath()
