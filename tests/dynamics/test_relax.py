"""Relaxation: gradients, known ground states with every ASE optimizer, joint relaxation, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from ase.io import read
from ase.optimize import BFGS, FIRE, FIRE2, LBFGS, BFGSLineSearch
from ase.optimize.optimize import Optimizer

from spinase import SpinAtoms
from spinase.calculators import (
    DMICalculator,
    EDCalculator,
    HeisenbergCalculator,
    KPMCalculator,
    SpinSumCalculator,
    UniaxialAnisotropyCalculator,
    ZeemanCalculator,
)
from spinase.contract import NotConservativeError
from spinase.dynamics import Relaxation, SpinOptimizable
from spinase.electrons import ExponentialHopping, SDModel, ShellHopping
from spinase.errors import ModelError, MomentsIgnoredError
from spinase.radial import Exponential


def triangle(size: int = 6) -> SpinAtoms:
    atoms = SpinAtoms.lattice("triangular", (size, size), units="reduced", rng=3)
    atoms.calc = HeisenbergCalculator(shells=[-1.0])
    return atoms


@pytest.mark.parametrize("move_atoms", [False, True])
def test_the_gradient_is_that_of_the_value_along_the_coordinates(move_atoms: bool) -> None:
    atoms = SpinAtoms.disordered(12, density=0.5, min_distance=0.8, units="reduced", rng=1)
    atoms.moments = 1.7 * atoms.spins
    law = Exponential(-0.6, 1.3, 1.0, 2.2, 0.5)
    atoms.calc = SpinSumCalculator([HeisenbergCalculator(law=law), ZeemanCalculator((0.1, 0.2, 0.3))])
    target = SpinOptimizable(atoms, move_atoms, length=1.6)
    start, slope = target.get_x(), target.get_gradient()
    assert len(start) == target.ndofs() == (72 if move_atoms else 36)
    kick, step = np.random.default_rng(2).normal(size=len(start)), 1e-5
    values = []
    for sign in (1, -1):
        target.set_x(start + sign * step * kick)
        values.append(target.get_value())
        target.set_x(start)
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(slope @ kick, rel=1e-6)
    np.testing.assert_allclose(target.get_x(), start, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(atoms.moments, axis=1), 1.7, atol=1e-12)


@pytest.mark.parametrize("optimizer", [FIRE, FIRE2, BFGS, LBFGS, BFGSLineSearch])
def test_every_optimizer_finds_the_spin_spiral_of_a_chain(optimizer: type[Optimizer]) -> None:
    """E/N = -sqrt(J^2 + D^2) for exchange J and bulk DMI D at the angle atan(D/J), commensurate here."""
    sites, turns = 24, 2
    angle = 2 * np.pi * turns / sites
    atoms = SpinAtoms.lattice("chain", (sites,), units="reduced", texture="spiral", wavevector=(turns, 0, 0))
    rng = np.random.default_rng(4)
    atoms.spins = atoms.spins + 0.3 * rng.normal(size=(sites, 3))
    exchange, dmi = np.cos(angle), np.sin(angle)
    found = []
    for sign in (1.0, -1.0):
        trial = atoms.copy()
        trial.calc = SpinSumCalculator([HeisenbergCalculator(shells=[exchange]), DMICalculator(shells=[sign * dmi])])
        search = optimizer(SpinOptimizable(trial), logfile=None)
        assert search.run(fmax=1e-5, steps=2000)
        found.append(trial.get_potential_energy() / sites)
        assert (
            np.linalg.norm(np.cross(trial.moments, trial.calc.get_property("magnetic_forces", trial)), axis=1).max() < 1e-5
        )
    assert min(found) == pytest.approx(-1.0, abs=1e-6)


def test_lbfgs_needs_far_fewer_steps_than_fire() -> None:
    steps = {}
    for optimizer in (FIRE, LBFGS):
        atoms = SpinAtoms.lattice("square", (8, 8), units="reduced", rng=3)
        atoms.spins = atoms.spins * 0.4 + [0.0, 0.0, 1.0]
        atoms.calc = SpinSumCalculator([HeisenbergCalculator(shells=[1.0]), UniaxialAnisotropyCalculator(0.05)])
        search = optimizer(SpinOptimizable(atoms), logfile=None, **({"alpha": 4.0} if optimizer is LBFGS else {}))
        assert search.run(fmax=1e-6, steps=3000)
        assert atoms.get_potential_energy() == pytest.approx(-64 * 2.05, abs=1e-7)
        steps[optimizer] = search.nsteps
    assert steps[LBFGS] < 0.5 * steps[FIRE]


def test_electron_driven_spins_relax_and_optimizers_agree() -> None:
    energies = {}
    for optimizer, options in ((FIRE, {}), (BFGS, {"alpha": 1.0}), (BFGSLineSearch, {})):
        atoms = SpinAtoms.lattice("triangular", (4, 4), units="reduced", texture="tetrahedral")
        atoms.calc = EDCalculator(SDModel(hopping=ShellHopping([1.0]), coupling=3.0, filling=0.25, kT=0.01))
        atoms.spins = atoms.spins + 0.15 * np.random.default_rng(1).normal(size=(16, 3))
        before = atoms.calc.get_property("free_energy", atoms)
        assert optimizer(SpinOptimizable(atoms), logfile=None, **options).run(fmax=1e-5, steps=300)
        assert np.abs(atoms.calc.get_property("torques", atoms)).max() < 1e-5
        energies[optimizer] = atoms.calc.get_property("free_energy", atoms)
        assert energies[optimizer] < before - 1.0
    assert np.ptp(list(energies.values())) < 1e-6


def test_atoms_and_spins_relax_together_and_constraints_hold() -> None:
    from ase.constraints import FixAtoms

    law = Exponential(-0.4, 1.3, 1.0, 2.4, 0.5)  # antiferromagnetic: pulls neighbours with opposite spins together
    atoms = SpinAtoms("Fe3", positions=[[0, 0, 0], [1.1, 0, 0], [2.3, 0.1, 0]], units="reduced", pbc=False)
    atoms.spins = np.random.default_rng(5).normal(size=(3, 3))
    repulsion = HeisenbergCalculator(law=Exponential(-0.4, 3.0, 1.0, 2.4, 0.5))
    atoms.calc = SpinSumCalculator([HeisenbergCalculator(law=law), repulsion], [1.0, -0.5])
    atoms.set_constraint(FixAtoms([0]))
    target = SpinOptimizable(atoms, move_atoms=True)
    before = target.get_value()
    assert FIRE(target, logfile=None).run(fmax=1e-5, steps=3000)
    assert target.get_value() < before - 0.05
    np.testing.assert_array_equal(atoms.positions[0], 0.0)
    assert atoms.spins[0] @ atoms.spins[1] == pytest.approx(-1.0, abs=1e-6)
    assert np.abs(atoms.get_forces()).max() < 1e-5


def test_frozen_spins_stay_and_trajectories_hold_moments(tmp_path) -> None:
    atoms = triangle()
    held = atoms.spins[[0, 5]].copy()
    path = str(tmp_path / "relax.traj")
    FIRE(SpinOptimizable(atoms, frozen=[0, 5]), logfile=None, trajectory=path).run(fmax=1e-3, steps=30)
    np.testing.assert_array_equal(atoms.spins[[0, 5]], held)
    frames = read(path, index=":")
    assert len(frames) == 31
    np.testing.assert_allclose(frames[-1].get_initial_magnetic_moments(), atoms.moments, atol=1e-12)


def test_what_cannot_be_relaxed_is_refused() -> None:
    atoms = SpinAtoms.lattice("square", (4, 4), units="reduced", rng=3)
    model = SDModel(hopping=ExponentialHopping(1.0, 1.0, 1.0, 1.2), coupling=1.0, filling=0.3, kT=0.2)
    atoms.calc = KPMCalculator(model, 1.0, count=8, order=20, estimator="direct")
    with pytest.raises(NotConservativeError, match="driven system, which has no energy to minimize: use damped dynamics"):
        SpinOptimizable(atoms)
    atoms.calc = HeisenbergCalculator(shells=[0.0])
    with pytest.raises(MomentsIgnoredError):
        SpinOptimizable(atoms)
    atoms.calc = HeisenbergCalculator(shells=[1.0])
    with pytest.raises(ModelError, match="length must be positive, got 0"):
        SpinOptimizable(atoms, length=0.0)


def test_what_may_move() -> None:
    with pytest.raises(ModelError, match="move must be 'spins', 'atoms' or 'both', got 'cell'"):
        Relaxation(triangle(3), move="cell")  # type: ignore[arg-type]
