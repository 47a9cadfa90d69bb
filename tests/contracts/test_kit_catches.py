"""The conformance kit on a small honest calculator, and on mutants of it that each break one promise."""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT

from spinase import SpinAtoms
from spinase.calculators.base import SpinCalculator, per_moment
from spinase.geometry import Bonds, Geometry, find_bonds
from spinase.testing import (
    CHECKS,
    CheckResult,
    ConformanceError,
    ConformanceWarning,
    Report,
    Tolerances,
    check_calculator,
)

CUTOFF = 1.9


@dataclass
class State:
    spins: np.ndarray
    gradient: np.ndarray


class Pairs(SpinCalculator[Bonds, State]):
    """E = -sum_{i<j} J(r) (s_i . s_j + (s_i . s_j)^2 / 4) with J = (1 - r^2/c^2)^3, fields, forces and stress."""

    implemented_properties = ["energy", "forces", "stress", "magnetic_forces", "torques"]

    def freeze(self, geometry: Geometry) -> Bonds:
        self.volume, self.sites = geometry.volume, len(geometry)
        return find_bonds(geometry, CUTOFF)

    def exchange(self, bonds: Bonds) -> np.ndarray:
        return (1.0 - (bonds.distances / CUTOFF) ** 2) ** 3

    def solve(self, bonds: Bonds, spins: np.ndarray, lengths: np.ndarray) -> State:
        cosine = np.einsum("ba,ba->b", spins[bonds.first], spins[bonds.second])
        slope = (self.exchange(bonds) * (1.0 + cosine / 2.0))[:, None]
        gradient = np.zeros_like(spins)
        np.add.at(gradient, bonds.first, slope * spins[bonds.second])
        np.add.at(gradient, bonds.second, slope * spins[bonds.first])
        return State(spins, gradient)

    def derive(self, name: str, bonds: Bonds, state: State, spins: np.ndarray, lengths: np.ndarray) -> object:
        cosine = np.einsum("ba,ba->b", state.spins[bonds.first], state.spins[bonds.second])
        pair = cosine + cosine**2 / 4.0
        if name == "energy":
            return -float(self.exchange(bonds) @ pair)
        if name == "magnetic_forces":
            return per_moment(state.gradient, lengths)
        slope = 6.0 / CUTOFF**2 * (1.0 - (bonds.distances / CUTOFF) ** 2) ** 2 * pair
        pull = slope[:, None] * bonds.vectors  # dE/d(r_second)
        if name == "stress":
            virial = pull.T @ bonds.vectors
            return virial[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]] / self.volume
        forces = np.zeros((self.sites, 3))
        np.add.at(forces, bonds.first, pull)
        np.add.at(forces, bonds.second, -pull)
        return forces


class WrongSign(Pairs):
    def derive(self, name, bonds, state, spins, lengths):
        value = super().derive(name, bonds, state, spins, lengths)
        return -value if name == "magnetic_forces" else value


class FactorTwo(Pairs):
    def derive(self, name, bonds, state, spins, lengths):
        value = super().derive(name, bonds, state, spins, lengths)
        return 2.0 * value if name == "magnetic_forces" else value


class FieldPerSpin(Pairs):
    """H_i instead of B_i = H_i/mu_i: right only for moments of length 1."""

    def derive(self, name, bonds, state, spins, lengths):
        value = super().derive(name, bonds, state, spins, lengths)
        return value * lengths[:, None] if name == "magnetic_forces" else value


class ForceFactorTwo(Pairs):
    def derive(self, name, bonds, state, spins, lengths):
        value = super().derive(name, bonds, state, spins, lengths)
        return 2.0 * value if name == "forces" else value


class StressSign(Pairs):
    def derive(self, name, bonds, state, spins, lengths):
        value = super().derive(name, bonds, state, spins, lengths)
        return -value if name == "stress" else value


class StressSwapped(Pairs):
    """yz and xy exchanged."""

    def derive(self, name, bonds, state, spins, lengths):
        value = super().derive(name, bonds, state, spins, lengths)
        return value[[0, 1, 2, 5, 4, 3]] if name == "stress" else value


class NoForces(Pairs):
    """Forces of zero although the energy depends on the positions."""

    def derive(self, name, bonds, state, spins, lengths):
        value = super().derive(name, bonds, state, spins, lengths)
        return 0.0 * value if name == "forces" else value


class WrongTorques(Pairs):
    def _result(self, name, *arguments):
        value = super()._result(name, *arguments)
        return -value if name == "torques" else value


class Stale(Pairs):
    """Keeps the first state it ever solved, whatever the moments become."""

    def solve(self, bonds, spins, lengths):
        if not hasattr(self, "memo"):
            self.memo = super().solve(bonds, spins, lengths)
        return self.memo


class StaleFields(Pairs):
    """Fields one call late: those of the spins asked for before."""

    def solve(self, bonds, spins, lengths):
        state = super().solve(bonds, spins, lengths)
        late = getattr(self, "late", state.gradient)
        self.late = state.gradient
        return State(spins, late)


class NeverCaches(Pairs):
    def check_state(self, atoms, tol=1e-15):
        return ["positions"]


class RebuildsGeometry(Pairs):
    def _calculate(self, atoms, names, system_changes):
        self._frozen = None
        super()._calculate(atoms, names, system_changes)


class Squared(Pairs):
    """Energy and fields of -(sum)^2: not extensive, otherwise a good derivative."""

    def derive(self, name, bonds, state, spins, lengths):
        value = super().derive(name, bonds, state, spins, lengths)
        energy = value if name == "energy" else super().derive("energy", bonds, state, spins, lengths)
        return -0.01 * energy**2 if name == "energy" else -0.02 * energy * value


class Anisotropic(Pairs):
    """Adds -sum_i s_iz^2 and still declares every symmetry."""

    def derive(self, name, bonds, state, spins, lengths):
        value = super().derive(name, bonds, state, spins, lengths)
        if name == "energy":
            return value - float(spins[:, 2] @ spins[:, 2])
        return value + per_moment(2.0 * spins * [0, 0, 1], lengths) if name == "magnetic_forces" else value


class Polarized(Pairs):
    """Adds a uniform field along z and still declares every symmetry."""

    def derive(self, name, bonds, state, spins, lengths):
        value = super().derive(name, bonds, state, spins, lengths)
        if name == "energy":
            return value - float(spins[:, 2].sum())
        return value + per_moment(np.sign(lengths)[:, None] * [0, 0, 1.0], lengths) if name == "magnetic_forces" else value


class LatticeFrame(Pairs):
    """Exchange that depends on the direction of a bond in space."""

    def exchange(self, bonds):
        return super().exchange(bonds) * (1.0 + bonds.vectors[:, 0] ** 2)


class Placed(Pairs):
    """Exchange that depends on where the first site sits."""

    def freeze(self, geometry):
        self.factor = 1.0 + 0.1 * np.sin(geometry.positions[:, 0])
        return super().freeze(geometry)

    def exchange(self, bonds):
        return super().exchange(bonds) * self.factor[bonds.first]


class Ordered(Pairs):
    """Exchange that depends on the number of a site."""

    def exchange(self, bonds):
        return super().exchange(bonds) * (1.0 + 0.1 * bonds.first)


class FalselyConservative(Pairs):
    """Adds a spin-transfer torque a s x p: no gradient, but declared one."""

    def derive(self, name, bonds, state, spins, lengths):
        value = super().derive(name, bonds, state, spins, lengths)
        if name == "magnetic_forces":
            value = value + per_moment(0.3 * np.cross(spins, [0.0, 0.0, 1.0]), lengths)
        return value


class Driven(FalselyConservative):
    """The same, honest about it."""

    conservative = False
    symmetries = Pairs.symmetries - {"spin_rotation", "joint_rotation", "time_reversal"}


class DrivenWithEnergy(Driven):
    def _refuse_energy_if_driven(self) -> None:
        pass


class FalselyDriven(Pairs):
    conservative = False


class ZeroMomentNaN(Pairs):
    def solve(self, bonds, spins, lengths):
        with np.errstate(invalid="ignore"):
            return super().solve(bonds, spins / np.linalg.norm(spins, axis=1)[:, None], lengths)


class ZeroMomentSpin(Pairs):
    """Gives non-magnetic sites a spin along z."""

    def solve(self, bonds, spins, lengths):
        return super().solve(bonds, np.where(lengths[:, None] > 0.0, spins, [0.0, 0.0, 1.0]), lengths)


class ZeroMomentField(Pairs):
    def derive(self, name, bonds, state, spins, lengths):
        value = super().derive(name, bonds, state, spins, lengths)
        return state.gradient / np.maximum(lengths, 0.1)[:, None] if name == "magnetic_forces" else value


class Unpicklable(Pairs):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


class ForgetsParameters(Pairs):
    """Loses a parameter when pickled."""

    scale = 1.0

    def __init__(self):
        super().__init__()
        self.scale = 2.0

    def __getstate__(self):
        state = super().__getstate__()
        state.pop("scale")
        return state

    def __deepcopy__(self, memo):
        return type(self)()

    def exchange(self, bonds):
        return self.scale * super().exchange(bonds)


class Random(Pairs):
    def solve(self, bonds, spins, lengths):
        state = super().solve(bonds, spins, lengths)
        return State(spins, state.gradient * (1.0 + 1e-14 * np.random.default_rng().normal(size=(len(spins), 1))))


class WrongShape(Pairs):
    def derive(self, name, bonds, state, spins, lengths):
        value = super().derive(name, bonds, state, spins, lengths)
        return value.ravel() if name == "magnetic_forces" else value


class SlowPathOnly(Pairs):
    """field_function forgets the lengths of the moments."""

    def field_function(self, atoms):
        fields = super().field_function(atoms)
        return lambda spins: 1.01 * fields(spins)


MUTANTS = [
    (WrongSign, {"magnetic_forces"}),
    (FactorTwo, {"magnetic_forces"}),
    (FieldPerSpin, {"magnetic_forces", "conservative"}),
    (ForceFactorTwo, {"forces"}),
    (NoForces, {"forces"}),
    (StressSign, {"stress"}),
    (StressSwapped, {"stress"}),
    (WrongTorques, {"torques"}),
    (Stale, {"cache"}),
    (StaleFields, {"cache"}),
    (NeverCaches, {"cache"}),
    (RebuildsGeometry, {"cache"}),
    (Squared, {"supercell"}),
    (Anisotropic, {"spin_rotation", "joint_rotation"}),
    (Polarized, {"spin_rotation", "joint_rotation", "time_reversal"}),
    (LatticeFrame, {"lattice_rotation", "joint_rotation"}),
    (Placed, {"translation"}),
    (Ordered, {"permutation"}),
    (FalselyConservative, {"conservative"}),
    (DrivenWithEnergy, {"contract"}),
    (ZeroMomentNaN, {"zero_moment"}),
    (ZeroMomentSpin, {"zero_moment"}),
    (ZeroMomentField, {"zero_moment"}),
    (Unpicklable, {"pickling"}),
    (ForgetsParameters, {"pickling"}),
    (Random, {"determinism"}),
    (WrongShape, {"contract"}),
    (SlowPathOnly, {"field_function"}),
]


@pytest.fixture
def magnet() -> SpinAtoms:
    atoms = SpinAtoms.disordered(10, density=0.6, min_distance=0.8, rng=5)
    atoms.moments = atoms.spins * np.random.default_rng(1).uniform(0.5, 2.5, size=(10, 1))
    return atoms


def test_an_honest_calculator_passes_every_check(magnet):
    report = check_calculator(Pairs(), magnet)
    assert [result.status for result in report] == ["passed"] * len(CHECKS)
    assert [result.name for result in report] == list(CHECKS)


@pytest.mark.parametrize(("mutant", "broken"), MUTANTS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_mutant_fails_the_right_check(magnet, mutant, broken):
    with np.errstate(invalid="ignore"), pytest.raises(ConformanceError) as caught:
        check_calculator(mutant(), magnet)
    failed = {result.name for result in caught.value.report.failures}
    assert broken <= failed
    for name in broken:
        assert name in str(caught.value)


@pytest.mark.parametrize("mutant", [WrongSign, FactorTwo, ForceFactorTwo, StressSwapped, Squared, Random])
def test_a_single_bug_fails_a_single_check(magnet, mutant):
    broken = dict(MUTANTS)[mutant]
    with pytest.raises(ConformanceError) as caught:
        check_calculator(mutant(), magnet)
    assert {result.name for result in caught.value.report.failures} == broken


def test_a_driven_calculator_is_checked_by_its_fields_only(magnet):
    report = check_calculator(Driven(), magnet)
    assert report["magnetic_forces"].status == report["forces"].status == "skipped"
    assert "no energy" in report["magnetic_forces"].message
    assert report["spin_rotation"].status == "skipped"
    assert report["conservative"].status == "passed"
    assert report["conservative"].value > 1e-3
    assert "refused" in report["contract"].message


def test_a_falsely_driven_calculator_is_named(magnet):
    with pytest.warns(ConformanceWarning, match="FalselyDriven is declared driven but looks conservative"):
        report = check_calculator(FalselyDriven(), magnet)
    assert "looks conservative" in report["conservative"].message


def test_the_asymmetry_is_measured_not_guessed(magnet):
    """Two spins with H = a s x p: the antisymmetric part of the Jacobian is of order a."""
    with pytest.raises(ConformanceError) as caught:
        check_calculator(FalselyConservative(), magnet, checks=["conservative"])
    assert 1e-3 < caught.value.report["conservative"].value < 3.0


def test_a_vanishing_gradient_is_vacuous_not_good():
    """All spins parallel: fields point along them, and torques cannot be tested."""
    atoms = SpinAtoms.disordered(6, density=0.6, min_distance=0.8, rng=1, texture="ferro")
    with pytest.raises(ConformanceError, match="vacuous.*or leave magnetic_forces out of impl") as caught:
        check_calculator(Pairs(), atoms, checks=["magnetic_forces", "forces"])
    assert [failure.name for failure in caught.value.report.failures] == ["magnetic_forces"]


def test_forces_of_a_lattice_model_are_skipped_only_if_the_energy_stays_put(magnet):
    class Fixed(NoForces):
        def exchange(self, bonds):
            return np.ones(len(bonds))

    class Reordered(Fixed):
        """Bonds come in another order wherever the atoms are, as those of a list made anew: round-off, no dependence."""

        def derive(self, name, bonds, state, spins, lengths):
            if name != "energy":
                return super().derive(name, bonds, state, spins, lengths)
            cosine = np.einsum("ba,ba->b", state.spins[bonds.first], state.spins[bonds.second])
            order = np.argsort(np.sin(1e7 * bonds.distances))
            return -float(np.cumsum((cosine + cosine**2 / 4.0)[order])[-1])

    for calculator in (Fixed(), Reordered()):
        assert check_calculator(calculator, magnet, checks=["forces"])["forces"].status == "skipped"
    with pytest.raises(ConformanceError, match="forces: all vanish .* but the energy changes"):
        check_calculator(NoForces(), magnet, checks=["forces"])


def test_a_calculator_without_fields_fails_the_contract(magnet):
    copper = Atoms("Cu4", positions=np.random.default_rng(0).normal(size=(4, 3)) * 2, magmoms=[[0, 0, 1.0]] * 4)
    with pytest.raises(ConformanceError, match="lacks 'magnetic_forces'") as caught:
        check_calculator(EMT(), copper)
    assert [failure.name for failure in caught.value.report.failures] == ["contract"]
    assert caught.value.report["forces"].status == "passed"


def test_atoms_without_moments_are_refused():
    with pytest.raises(ConformanceError, match="no moments"):
        check_calculator(Pairs(), Atoms("Fe2", positions=[[0, 0, 0], [0, 0, 1]]), checks=["contract"])


def test_the_atoms_and_the_calculator_are_left_alone(magnet):
    calc, before = Pairs(), magnet.copy()
    magnet.calc = calc
    energy = magnet.get_potential_energy()
    check_calculator(calc, magnet)
    assert magnet == before
    assert magnet.calc is calc
    assert calc.results["energy"] == energy


def test_checks_can_be_chosen_and_left_out(magnet):
    report = check_calculator(Pairs(), magnet, checks=["torques", "cache"], skip=["cache"])
    assert [result.name for result in report] == ["torques"]
    with pytest.raises(ValueError, match="unknown check 'torque': use some of contract, torques"):
        check_calculator(Pairs(), magnet, checks=["torque"])
    with pytest.raises(KeyError, match="no check 'cache' was run"):
        report["cache"]


def test_the_report_prints_a_table(magnet):
    text = str(check_calculator(Pairs(), magnet))
    assert text.splitlines()[0] == "Pairs"
    assert text.count("passed") == len(CHECKS)
    assert "status" in text


def test_tolerances_are_limits(magnet):
    with pytest.raises(ConformanceError, match="forces"):
        check_calculator(Pairs(), magnet, checks=["forces"], tolerances=Tolerances(gradient=1e-18))


def test_a_report_counts_its_failures():
    good, bad = CheckResult("cache", "passed", 0.0, 1.0, ""), CheckResult("forces", "failed", 2.0, 1.0, "off")
    report = Report("Mine", (good, bad))
    assert report.failures == (bad,)
    error = ConformanceError(report)
    assert isinstance(error, AssertionError)
    assert str(error).startswith("Mine fails 1 of 2 conformance checks:\n  forces: off")


def test_warnings_of_a_calculator_are_not_swallowed(magnet):
    class Loud(Pairs):
        def solve(self, bonds, spins, lengths):
            warnings.warn("loud", UserWarning, stacklevel=2)
            return super().solve(bonds, spins, lengths)

    with pytest.warns(UserWarning, match="loud"):
        check_calculator(Loud(), magnet, checks=["torques"])


@pytest.mark.parametrize("check", CHECKS)
def test_checks_parametrize_a_test(check, magnet):
    """As a plugin author writes it."""
    assert check_calculator(Pairs(), magnet, checks=[check])[check].status == "passed"
