"""Observers in scripts: on drivers of spinase, on plain molecular dynamics and on optimizers of ASE."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms, units
from ase.md.verlet import VelocityVerlet
from ase.optimize import FIRE

from spinase import SpinAtoms
from spinase.calculators import HeisenbergCalculator, PairPotentialCalculator, SpinSumCalculator
from spinase.dynamics import LLGDynamics, SpinOptimizable
from spinase.errors import ModelError, OutOfDomainError
from spinase.observers import (
    EnergyObserver,
    EnergyPartitionObserver,
    MagnetizationObserver,
    Quantity,
    Record,
    StructureFactorObserver,
    TorqueObserver,
)
from spinase.radial import Exponential, Morse


def ferromagnet(tilt: float = 0.0) -> SpinAtoms:
    """Square lattice, all spins at an angle `tilt` to z in the xz plane."""
    atoms = SpinAtoms.lattice("square", (4, 4), units="reduced")
    atoms.spins = [np.sin(tilt), 0.0, np.cos(tilt)]
    atoms.calc = HeisenbergCalculator(shells=[1.0])
    return atoms


def test_a_driver_of_spinase_and_the_field_it_applies() -> None:
    """All spins turn about the field together: m_x = sin(tilt) cos(B t), the energy is -4 J/2 per site - B cos(tilt)."""
    atoms, tilt, field = ferromagnet(0.4), 0.4, 0.7
    dynamics = LLGDynamics(atoms, 0.02, damping=0.0, field=(0.0, 0.0, field), integrator="midpoint")
    turning, energy = Record(MagnetizationObserver(), dynamics, every=5), Record(EnergyObserver(), dynamics, every=20)
    waves = Record(StructureFactorObserver(), dynamics, every=50)
    dynamics.run(100)
    np.testing.assert_array_equal(turning.steps, np.arange(0, 101, 5))
    np.testing.assert_allclose(turning.times, 0.02 * turning.steps)
    np.testing.assert_allclose(turning["x"], np.sin(tilt) * np.cos(field * turning.times), atol=1e-4)
    np.testing.assert_allclose(np.abs(turning["y"]), np.abs(np.sin(tilt) * np.sin(field * turning.times)), atol=1e-4)
    np.testing.assert_allclose(energy["per_site"], -2.0 - field * np.cos(tilt), atol=1e-9)
    assert len(energy) == 6
    assert waves["structure_factor"].shape == (3, len(waves.static["wavevectors"]))
    assert waves["structure_factor"][0].max() == pytest.approx(16.0)


def test_molecular_dynamics_of_ase() -> None:
    """Kinetic and potential energy of a chain of two: their sum is kept, and they are those of ASE."""
    atoms = SpinAtoms("Fe2", positions=[[0.0, 0.0, 0.0], [2.5, 0.0, 0.0]], moments=[[0.0, 0.0, 2.0]] * 2)
    atoms.calc = SpinSumCalculator(
        [
            PairPotentialCalculator(Morse(depth=0.4, decay=1.4, reference=2.6, cutoff=5.0, width=1.0)),
            HeisenbergCalculator(law=Exponential(amplitude=0.05, decay=1.0, reference=2.6, cutoff=4.5, width=0.6)),
        ]
    )
    dynamics = VelocityVerlet(atoms, 0.5 * units.fs)
    record, told = Record(EnergyPartitionObserver(), dynamics, every=4), []
    dynamics.attach(lambda: told.append((atoms.get_kinetic_energy(), atoms.get_potential_energy())), 4)
    dynamics.run(40)
    np.testing.assert_allclose(record.times, 2.0 * units.fs * np.arange(11))
    kinetic, potential = np.array(told).T / 2
    np.testing.assert_allclose(record["kinetic"], kinetic, atol=1e-14)
    np.testing.assert_allclose(record["potential"], potential, atol=1e-12)
    assert np.ptp(record["total"]) < 0.01 * np.ptp(record["kinetic"])
    assert record["kinetic"].max() > 1e-4


def test_an_optimizer_has_steps_for_a_clock() -> None:
    atoms = ferromagnet()
    atoms.spins = np.random.default_rng(0).normal(size=(16, 3)) * 0.2 + [0.0, 0.0, 1.0]
    relaxation = FIRE(SpinOptimizable(atoms, move_atoms=False), logfile=None)
    record = Record(TorqueObserver(), relaxation, every=2)
    relaxation.run(fmax=1e-9, steps=6)
    np.testing.assert_array_equal(record.times, [0, 2, 4, 6])
    assert record["rms"][-1] < record["rms"][0]


class Afraid:
    """An observer of one's own, which wants the run to stop at its third look."""

    name = "afraid"

    def __init__(self) -> None:
        self.quantities = {"looks": Quantity("looks")}
        self.alarm: str | None = None
        self._looks = 0

    def prepare(self, atoms: Atoms) -> dict[str, np.ndarray]:
        return {}

    def observe(self, atoms: Atoms) -> dict[str, float]:
        self._looks += 1
        self.alarm = "enough" if self._looks == 3 else None
        return {"looks": float(self._looks)}


def test_an_alarm_stops_the_run_and_the_record_is_kept() -> None:
    dynamics = LLGDynamics(ferromagnet(0.3), 0.1)
    record = Record(Afraid(), dynamics, every=2)
    with pytest.raises(OutOfDomainError, match="enough, after 4 steps"):
        dynamics.run(20)
    assert dynamics.nsteps == 4
    np.testing.assert_array_equal(record["looks"], [1.0, 2.0, 3.0])


def test_what_does_not_fit_is_told() -> None:
    dynamics = LLGDynamics(ferromagnet(), 0.1)
    with pytest.raises(ModelError, match="every must be a positive number of steps, got 0"):
        Record(TorqueObserver(), dynamics, every=0)
    with pytest.raises(KeyError, match="'torque' has no quantity 'mean'; it has rms, maximum"):
        Record(TorqueObserver(), dynamics)["mean"]
