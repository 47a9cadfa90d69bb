"""Frames that drivers write as they go: ASE reads energies, forces and fields, and looking changes nothing."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import ase.units
import numpy as np
import pytest
from ase.io import read
from ase.io.trajectory import Trajectory

from spinase import SpinAtoms
from spinase.atoms import get_moments
from spinase.calculators import HeisenbergCalculator, KPMCalculator
from spinase.dynamics import LLGDynamics, MonteCarlo, SpinLatticeDynamics, set_maxwell_boltzmann
from spinase.dynamics.freedoms import lattice_temperature
from spinase.electrons import SDModel, ShellHopping
from spinase.radial import Exponential


def square(calc: Any, size: tuple[int, int] = (4, 4)) -> SpinAtoms:
    atoms = SpinAtoms.lattice("square", size, units="reduced", rng=3)
    atoms.calc = calc
    return atoms


def test_every_frame_has_energy_fields_step_and_time(tmp_path: Path) -> None:
    atoms = square(HeisenbergCalculator(shells=[1.0]))
    LLGDynamics(atoms, 0.1, damping=0.2, trajectory=str(tmp_path / "a.traj"), loginterval=2).run(4)
    frames = read(tmp_path / "a.traj", ":")
    assert [(frame.info["step"], frame.info["time"]) for frame in frames] == [(0, 0.0), (2, 0.2), (4, 0.4)]
    for frame in frames:
        # bilinear exchange: the sum of m.B is -2 E
        fields = np.sum(get_moments(frame) * frame.info["magnetic_forces"])
        assert frame.get_potential_energy() == pytest.approx(-0.5 * fields, abs=1e-12)
    assert frames[-1].get_potential_energy() == pytest.approx(atoms.get_potential_energy(), abs=1e-12)
    assert frames[-1].get_initial_magnetic_moments().shape == (16, 3)
    assert "step" not in atoms.info


def test_frames_of_moving_atoms_have_forces(tmp_path: Path) -> None:
    atoms = square(HeisenbergCalculator(law=Exponential(1.0, 0.5, 1.0, cutoff=1.3, width=0.2)))
    atoms.set_masses(np.full(16, 100.0))
    with Trajectory(tmp_path / "a.traj", "w") as opened:
        SpinLatticeDynamics(atoms, 0.02, trajectory=opened, loginterval=3).run(3)
    frames = read(tmp_path / "a.traj", ":")
    np.testing.assert_allclose(frames[-1].get_forces(), atoms.get_forces(), atol=1e-12)
    assert np.abs(frames[-1].get_forces()).max() > 0.01
    assert len(frames) == 2


def test_monte_carlo_too(tmp_path: Path) -> None:
    atoms = square(HeisenbergCalculator(shells=[1.0]))
    MonteCarlo(atoms, kT=0.5, rng=1, trajectory=str(tmp_path / "a.traj")).run(2)
    assert [np.isfinite(frame.get_potential_energy()) for frame in read(tmp_path / "a.traj", ":")] == [True] * 3


def test_logs_of_metal_runs_tell_fs_and_kelvin() -> None:
    atoms = SpinAtoms.lattice("square", (3, 3), a=2.5, rng=3)
    atoms.calc = HeisenbergCalculator(law=Exponential(0.01, 0.5, 2.5, cutoff=3.0, width=0.2))
    atoms.set_masses(np.full(9, 55.8))
    set_maxwell_boltzmann(atoms, 0.03, np.random.default_rng(1))
    plain, both, sweeps = io.StringIO(), io.StringIO(), io.StringIO()
    warm = lattice_temperature(atoms) / ase.units.kB
    SpinLatticeDynamics(atoms, "1 fs", logfile=both, loginterval=5).run(5)
    LLGDynamics(atoms, "1 fs", logfile=plain, loginterval=5).run(5)
    MonteCarlo(atoms, kT="300 K", rng=1, logfile=sweeps).run(1)
    assert plain.getvalue().startswith("# time [fs]")
    assert [float(line.split()[0]) for line in plain.getvalue().splitlines()[1:]] == [0.0, 5.0]
    head, first, last = both.getvalue().splitlines()
    assert re.findall(r"\[.*?\]", head) == ["[fs]", "[eV]", "[eV]", "[eV]", "[K]", "[K]", "[mu_B]"]
    assert float(first.split()[4]) == pytest.approx(warm, rel=1e-6)
    assert float(last.split()[0]) == pytest.approx(5.0)
    assert sweeps.getvalue().startswith("# time [sweeps]")


class Driven(HeisenbergCalculator):
    """Says that its fields are no gradient."""

    conservative = False


def test_a_driven_magnet_has_frames_without_energy(tmp_path: Path) -> None:
    atoms = square(Driven(shells=[1.0]))
    LLGDynamics(atoms, 0.1, trajectory=str(tmp_path / "a.traj")).run(1)
    frame = read(tmp_path / "a.traj")
    assert "energy" not in frame.calc.results
    assert np.abs(frame.info["magnetic_forces"]).max() > 0.1


def test_looking_changes_no_trajectory(tmp_path: Path) -> None:
    """Also where fields have random parts."""
    ends = []
    for path in (None, str(tmp_path / "a.traj")):
        model = SDModel(hopping=ShellHopping([1.0]), coupling=1.0, filling=0.3, kT=0.2)
        atoms = square(KPMCalculator(model, 1.0, count=8, order=20, rng=np.random.default_rng(5)))
        LLGDynamics(atoms, 0.1, damping=0.2, trajectory=path).run(3)
        ends.append(get_moments(atoms))
    np.testing.assert_array_equal(ends[1], ends[0])
