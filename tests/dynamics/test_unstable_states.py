"""States where nothing moves and which are no minimum: relaxations, paths, spin waves and dynamics say so."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, all_changes
from ase.optimize import BFGS, FIRE
from scipy.ndimage import label

from spinase import SpinAtoms
from spinase.atoms import get_moments
from spinase.calculators import (
    HeisenbergCalculator,
    PairPotentialCalculator,
    SpinSumCalculator,
    UniaxialAnisotropyCalculator,
)
from spinase.dynamics import LLGDynamics, SpinOptimizable, geodesic_path, minimum_energy_path
from spinase.dynamics.stability import lowest_curvatures
from spinase.errors import UnstableStateWarning
from spinase.radial import Exponential, Morse
from spinase.spinwaves import spin_waves


class TwoAxes(Calculator):
    """E = -sum_i K_i (m_i.z)^2 - J m_1.m_2."""

    implemented_properties = ["energy", "magnetic_forces"]

    def __init__(self, easy: tuple[float, float], exchange: float) -> None:
        super().__init__()
        self.easy, self.exchange = np.array(easy), exchange

    def calculate(self, atoms=None, properties=None, system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        m = get_moments(atoms)
        energy = -float(np.sum(self.easy * m[:, 2] ** 2)) - self.exchange * float(m[0] @ m[1])
        fields = 2.0 * (self.easy * m[:, 2])[:, None] * [0.0, 0.0, 1.0] + self.exchange * m[::-1]
        self.results = {"energy": energy, "magnetic_forces": fields}


def pair(spins: list, calc: object) -> SpinAtoms:
    atoms = SpinAtoms.lattice("chain", (len(spins),), periodic=False, units="reduced")
    atoms.spins = spins
    atoms.calc = calc
    return atoms


def barrier_by_brute_force(easy: tuple[float, float], exchange: float) -> float:
    """Lowest pass from both spins up to both down on a grid of the two polar angles: flooding, cell by cell."""
    angles = np.linspace(0.0, np.pi, 181)
    one, two = np.meshgrid(angles, angles, indexing="ij")
    energy = -easy[0] * np.cos(one) ** 2 - easy[1] * np.cos(two) ** 2 - exchange * np.cos(one - two)
    low, high = float(energy[0, 0]), float(energy.max())
    for _ in range(30):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if _joined(energy <= middle) else (middle, high)
    return high - float(energy[0, 0])


def _joined(wet: np.ndarray) -> bool:
    names, _ = label(wet)
    return bool(wet[0, 0] and wet[-1, -1] and names[0, 0] == names[-1, -1])


@pytest.mark.parametrize(("easy", "exchange"), [((1.0, 0.25), 0.3)])
def test_spins_that_turn_one_after_the_other_have_their_own_barrier(easy: tuple[float, float], exchange: float) -> None:
    start = pair([[0, 0, 1], [0, 0, 1]], None)
    end = pair([[0, 0, -1], [0, 0, -1]], None)
    path, calc = geodesic_path(start, end, 7), TwoAxes(easy, exchange)
    for image in path:
        image.calc = calc
    result = minimum_energy_path(path, fmax=1e-3)
    assert (result.converged, result.index) == (True, 1)
    assert result.barrier == pytest.approx(1.2250, abs=2e-4)
    assert barrier_by_brute_force(easy, exchange) == pytest.approx(1.2250, abs=1e-3)


def test_a_path_that_ends_on_a_mountain_is_not_converged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spinase.dynamics.neb.DETOURS", 0)
    path = geodesic_path(pair([[0, 0, 1], [0, 0, 1]], None), pair([[0, 0, -1], [0, 0, -1]], None), 5)
    calc = TwoAxes((1.0, 0.25), 0.3)
    for image in path:
        image.calc = calc
    with pytest.warns(UnstableStateWarning, match=r"a point of index 2: the energy falls from it in 2 directions"):
        result = minimum_energy_path(path, fmax=1e-3)
    assert (result.converged, result.index) == (False, 2)
    assert result.barrier == pytest.approx(1.25, abs=1e-3)


@pytest.mark.parametrize("optimizer", [FIRE, BFGS])
def test_opposite_ferromagnetic_spins_are_no_end(optimizer: type) -> None:
    atoms = pair([[0, 0, 1], [0, 0, -1]], HeisenbergCalculator([1.0]))
    options = {"alpha": 2.0} if optimizer is BFGS else {}
    with pytest.warns(UnstableStateWarning, match=r"no minimum: the energy falls in 2 directions .*lowest curvature is -2"):
        assert optimizer(SpinOptimizable(atoms), logfile=None, **options).run(fmax=1e-4, steps=300)
    assert atoms.get_potential_energy() == pytest.approx(-1.0, abs=1e-6)
    kept = pair([[0, 0, 1], [0, 0, -1]], HeisenbergCalculator([1.0]))
    assert optimizer(SpinOptimizable(kept, minimum=False), logfile=None, **options).run(fmax=1e-4)
    assert kept.get_potential_energy() == pytest.approx(1.0)
    frozen = SpinOptimizable(pair([[0, 0, 1], [0, 0, -1]], HeisenbergCalculator([1.0])), frozen=[0, 1])
    assert FIRE(frozen, logfile=None).run(fmax=1e-4)  # nothing can move: no other state


def test_atoms_and_spins_leave_a_saddle_together() -> None:
    law = Exponential(amplitude=0.1, decay=1.0, reference=2.8, cutoff=4.4, width=0.6)
    well = Morse(depth=0.4, decay=1.4, reference=2.8, cutoff=5.0, width=1.0)
    atoms = SpinAtoms("Fe2", positions=[[0, 0, 0], [2.8, 0, 0]], spins=[[0, 0, 1], [0, 0, -1]])
    atoms.calc = SpinSumCalculator([PairPotentialCalculator(well), HeisenbergCalculator(law=law)])
    with pytest.warns(UnstableStateWarning, match="no minimum"):
        assert FIRE(SpinOptimizable(atoms, move_atoms=True), logfile=None).run(fmax=1e-3, steps=500)
    assert atoms.spins[0] @ atoms.spins[1] == pytest.approx(1.0, abs=1e-3)


def test_curvatures_of_a_ring_are_those_of_its_magnons() -> None:
    """2 J (1 - cos q), twice each, in full and in a Krylov space; the state is left to the last bit."""
    atoms = SpinAtoms.lattice("chain", (12,), units="reduced", texture="ferro")
    atoms.calc = HeisenbergCalculator([1.0])
    before = get_moments(atoms)
    found = SpinOptimizable(atoms).curvatures()
    expected = np.sort(np.repeat(2 * (1 - np.cos(2 * np.pi * np.arange(12) / 12)), 2))
    np.testing.assert_allclose(found.values, expected, atol=1e-6)
    assert (found.negative, found.exact) == (0, True)
    np.testing.assert_array_equal(get_moments(atoms), before)
    long = SpinAtoms.lattice("chain", (60,), units="reduced", texture="ferro")
    long.calc = HeisenbergCalculator([-1.0])
    krylov = SpinOptimizable(long).curvatures()
    assert not krylov.exact
    assert krylov.values[0] == pytest.approx(-4.0, abs=0.02)
    assert krylov.negative > 10
    assert lowest_curvatures(SpinOptimizable(atoms), np.zeros((0, 36)), 1.0).negative == 0


def test_spin_waves_at_a_maximum_are_told_from_those_at_a_minimum() -> None:
    """J = -1: the same frequencies as for J = 1, every mode of negative energy."""
    waves = {}
    for exchange in (1.0, -1.0):
        atoms = SpinAtoms.lattice("square", (4, 4), units="reduced", texture="ferro")
        atoms.calc = HeisenbergCalculator([exchange])
        if exchange < 0:
            with pytest.warns(UnstableStateWarning, match=r"a maximum of the energy|a saddle point of the energy"):
                waves[exchange] = spin_waves(atoms)
        else:
            waves[exchange] = spin_waves(atoms)
    np.testing.assert_allclose(waves[1.0].energies, waves[-1.0].energies, atol=1e-6)
    assert waves[-1.0].growth < 1e-6
    assert (waves[1.0].negative, waves[-1.0].negative) == (0, 30)  # all but the two of the turn as a whole
    np.testing.assert_allclose(waves[1.0].curvatures, waves[1.0].energies, atol=1e-5)
    np.testing.assert_allclose(waves[-1.0].curvatures, -waves[-1.0].energies, atol=1e-5)


def test_damped_dynamics_says_when_it_starts_where_nothing_moves() -> None:
    atoms = pair([[0, 0, 1], [0, 0, -1], [0, 0, 1]], HeisenbergCalculator([1.0]))
    with pytest.warns(UnstableStateWarning, match="no spin feels a torque, .* no minimum: the energy falls in 4"):
        LLGDynamics(atoms, 0.1, damping=0.1).run(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LLGDynamics(atoms, 0.1).run(1)  # undamped: such a state may be asked for
        easy = SpinSumCalculator([HeisenbergCalculator([1.0]), UniaxialAnisotropyCalculator(0.2, (0, 0, 1))])
        LLGDynamics(pair([[0, 0, 1]] * 3, easy), 0.1, damping=0.1).run(1)
        LLGDynamics(pair([[0, 0, 1], [0, 0, -1]], HeisenbergCalculator([1.0])), 0.1, damping=0.1, kT=0.01, rng=1).run(1)
