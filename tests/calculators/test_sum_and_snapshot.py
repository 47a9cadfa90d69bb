"""Sums with ordinary ASE calculators, and snapshots through files."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import Calculator, PropertyNotImplementedError
from ase.calculators.emt import EMT
from ase.calculators.mixing import SumCalculator
from ase.io import read, write

from spinase import SpinAtoms
from spinase.atoms import get_moments
from spinase.calculators import (
    EDCalculator,
    HeisenbergCalculator,
    SnapshotCalculator,
    SpinSumCalculator,
    ZeemanCalculator,
    restore_snapshot,
    snapshot,
)
from spinase.dynamics import LLGDynamics
from spinase.electrons import SDModel, ShellHopping
from spinase.errors import ModelError, UnitMismatchError
from spinase.measures import energy_of_spins
from spinase.radial import Exponential

FIELD = (0.0, 0.0, 0.01)


def copper() -> SpinAtoms:
    atoms = SpinAtoms(bulk("Cu", cubic=True) * (2, 1, 1), moments=np.random.default_rng(1).normal(size=(8, 3)))
    atoms.positions += 0.05 * np.random.default_rng(2).normal(size=(8, 3))
    return atoms


def exchange() -> HeisenbergCalculator:
    return HeisenbergCalculator(law=Exponential(0.02, 1.0, 2.5, 3.5, 0.5))


class Driven(HeisenbergCalculator):
    """An exchange that claims to be driven."""

    conservative = False


def test_the_heat_of_spins_asks_no_potential_of_the_lattice() -> None:
    """The energy of the magnetic members changes as that of the whole sum, also where sums are members of sums."""
    atoms, lattice = copper(), EMT()
    inner = SpinSumCalculator([lattice, exchange()], weights=[1.0, 0.5])
    atoms.calc = SpinSumCalculator([inner, ZeemanCalculator(FIELD)], weights=[3.0, 2.0])
    part, whole = energy_of_spins(atoms), atoms.get_potential_energy()
    atoms.moments = atoms.moments[::-1].copy()
    calls = counted(lattice)
    change = energy_of_spins(atoms) - part
    assert calls == []
    assert change == pytest.approx(atoms.get_potential_energy() - whole, abs=1e-12)
    assert abs(change) > 1e-3
    assert len(calls) == 1


class Drawing(HeisenbergCalculator):
    """An exchange with another strength at every step of a driver."""

    drawn = 0

    def begin_step(self) -> None:
        self.drawn += 1
        self.reset()

    def derive(self, *arguments: Any) -> Any:
        return self.drawn * super().derive(*arguments)


def test_a_sum_forgets_its_results_only_where_a_member_draws_anew() -> None:
    atoms, still, drawing = copper(), exchange(), Drawing(law=Exponential(0.02, 1.0, 2.5, 3.5, 0.5))
    calls, fields = counted(still), exchange().get_property("magnetic_forces", atoms)
    noisy, quiet = SpinSumCalculator([still, drawing]), SpinSumCalculator([EMT(), still])
    for draws in (1, 2):
        noisy.begin_step()
        quiet.begin_step()
        np.testing.assert_allclose(noisy.get_property("magnetic_forces", atoms), (1 + draws) * fields, atol=1e-14)
        np.testing.assert_allclose(quiet.get_property("magnetic_forces", atoms), fields, atol=1e-14)
    assert len(calls) == 1, "who does not draw is asked once"


def test_a_member_may_give_its_stress_as_a_tensor() -> None:
    """Some calculators of the ecosystem (CHGNet) do; ASE's convention is six numbers, xx yy zz yz xz xy."""
    atoms, tensor = copper(), np.array([[1.0, 6.0, 5.0], [6.0, 2.0, 4.0], [5.0, 4.0, 3.0]])
    member = Calculator()
    member.implemented_properties = ["stress"]
    member.calculate = lambda *_: member.results.update(stress=tensor.astype(np.float32))
    total = SpinSumCalculator([member, exchange()], weights=[2.0, 1.0]).get_property("stress", atoms)
    np.testing.assert_allclose(total - exchange().get_property("stress", atoms), [2.0, 4.0, 6.0, 8.0, 10.0, 12.0])


def counted(calc: Calculator) -> list[str]:
    """A list that grows with every calculation of `calc`."""
    calls: list[str] = []
    inner = calc.calculate

    def calculate(*arguments: Any, **named: Any) -> None:
        calls.append("calculate")
        inner(*arguments, **named)

    calc.calculate = calculate
    return calls


def test_sum_with_emt_adds_what_each_has() -> None:
    atoms = copper()
    total = SpinSumCalculator([EMT(), exchange(), ZeemanCalculator(FIELD)], weights=[1.0, 2.0, 1.0])
    parts = [EMT(), exchange(), ZeemanCalculator(FIELD)]
    for name in ("energy", "forces", "stress"):
        values = [calc.get_property(name, atoms) for calc in parts]
        expected = values[0] + 2.0 * values[1] + values[2]
        np.testing.assert_allclose(total.get_property(name, atoms), expected, atol=1e-12)
    fields = 2.0 * parts[1].get_property("magnetic_forces", atoms) + np.array(FIELD)
    np.testing.assert_allclose(total.get_property("magnetic_forces", atoms), fields, atol=1e-14)
    np.testing.assert_allclose(total.get_property("torques", atoms), np.cross(get_moments(atoms), fields), atol=1e-14)
    np.testing.assert_allclose(total.field_function(atoms)(atoms.spins), fields, atol=1e-14)
    assert "magnetic_forces" not in SumCalculator([EMT(), exchange()]).implemented_properties


def test_sum_sees_changed_moments_and_asks_each_member_once(monkeypatch: pytest.MonkeyPatch) -> None:
    atoms, term = copper(), exchange()
    total, calls = SpinSumCalculator([EMT(), term]), []
    original = HeisenbergCalculator.freeze
    monkeypatch.setattr(HeisenbergCalculator, "freeze", lambda self, g: (calls.append(1), original(self, g))[1])
    before = total.get_property("energy", atoms)
    atoms.moments = -2.0 * get_moments(atoms)[::-1]
    after = total.get_property("energy", atoms)
    assert abs(after - before) > 1e-4
    assert after == pytest.approx(EMT().get_property("energy", atoms) + exchange().get_property("energy", atoms))
    assert sum(calls) == 2, "once here for the sum, once for the reference"


def test_free_energy_of_a_sum_with_electrons_and_its_driver() -> None:
    atoms = SpinAtoms.lattice("square", (4, 4), units="reduced", rng=2)
    electrons = EDCalculator(SDModel(ShellHopping([1.0]), 2.0, filling=0.4, kT=0.2))
    total = SpinSumCalculator([electrons, HeisenbergCalculator([0.3])])
    classical = HeisenbergCalculator([0.3]).get_property("energy", atoms)
    for name in ("energy", "free_energy"):
        assert total.get_property(name, atoms) == pytest.approx(electrons.get_property(name, atoms) + classical)
    assert total.get_property("energy", atoms) - total.get_property("free_energy", atoms) > 0.1
    atoms.calc = total
    LLGDynamics(atoms, 0.1).run(3)


def test_driven_members_refuse_the_energy() -> None:
    total = SpinSumCalculator([exchange(), Driven(law=Exponential(0.02, 1.0, 2.5, 3.5, 0.5))])
    assert not total.conservative
    with pytest.raises(PropertyNotImplementedError, match="the sum contains the driven Driven: it has no energy"):
        total.get_property("energy", copper())
    assert total.get_property("magnetic_forces", copper()).shape == (8, 3)


def test_bad_sums_are_refused() -> None:
    with pytest.raises(ModelError, match="needs at least one calculator"):
        SpinSumCalculator([])
    with pytest.raises(ModelError, match="2 weights for 1 calculators"):
        SpinSumCalculator([exchange()], weights=[1.0, 2.0])
    with pytest.raises(UnitMismatchError, match="EMT in metal|EMT"):
        SpinSumCalculator([EMT(), HeisenbergCalculator([1.0], units="reduced")])
    with pytest.raises(UnitMismatchError, match="works in metal units but the atoms are in reduced"):
        SpinSumCalculator([EMT(), HeisenbergCalculator([1.0])]).get_property(
            "energy", SpinAtoms.lattice("square", (3, 3), units="reduced", rng=1)
        )
    with pytest.raises(PropertyNotImplementedError):
        SpinSumCalculator([EMT()]).get_property("magnetic_forces", copper())


def test_sums_pickle_and_fold() -> None:
    atoms = copper()
    total = SpinSumCalculator([exchange(), ZeemanCalculator(FIELD)])
    again = pickle.loads(pickle.dumps(total))
    assert again.get_property("energy", atoms) == total.get_property("energy", atoms)
    folded = total.for_supercell((2, 1, 1))
    assert folded is not None
    assert folded.get_property("energy", atoms.repeat((2, 1, 1))) == pytest.approx(2 * total.get_property("energy", atoms))


@pytest.mark.parametrize("suffix", ["traj", "xyz"])
def test_snapshots_survive_files_to_the_last_bit(suffix: str, tmp_path: Path) -> None:
    atoms = copper()
    atoms.calc = SpinSumCalculator([EMT(), exchange()])
    frozen = snapshot(atoms, ["energy", "forces", "magnetic_forces", "torques"])
    write(tmp_path / f"frame.{suffix}", frozen)
    back = restore_snapshot(read(tmp_path / f"frame.{suffix}"))
    assert back.get_potential_energy() == atoms.get_potential_energy()
    assert back.get_properties(["energy", "forces"])["energy"] == atoms.get_potential_energy()
    for name in ("forces", "magnetic_forces", "torques"):
        np.testing.assert_array_equal(back.calc.get_property(name, back), atoms.calc.get_property(name, atoms))


def test_snapshots_refuse_other_configurations_and_unknown_results() -> None:
    atoms = copper()
    atoms.calc = exchange()
    atoms.get_potential_energy()
    frozen = snapshot(atoms)
    assert isinstance(frozen.calc, SnapshotCalculator)
    with pytest.raises(PropertyNotImplementedError, match="not 'torques'"):
        frozen.calc.get_property("torques", frozen)
    frozen.rotate_spins((1, 0, 0), 0.1)
    with pytest.raises(PropertyNotImplementedError, match="have changed since"):
        frozen.get_potential_energy()
    with pytest.raises(PropertyNotImplementedError, match="carry no snapshot"):
        restore_snapshot(copper())


class Barred(HeisenbergCalculator):
    """An exchange with error bars."""

    def error_bars(self, atoms, coverage=0.9):
        """Longer for more coverage."""
        return coverage * np.arange(1.0, len(atoms) + 1.0)

    def domain_problem(self, atoms, margin=0.02):
        """Nothing."""
        return


def test_error_bars_of_a_sum_are_weighed_as_its_members() -> None:
    atoms = SpinAtoms.lattice("chain", (3,), units="reduced")
    total = SpinSumCalculator([Barred([1.0]), HeisenbergCalculator([1.0]), Barred([1.0])], weights=[2.0, 5.0, -0.5])
    np.testing.assert_allclose(total.error_bars(atoms, 0.8), 2.5 * 0.8 * np.array([1.0, 2.0, 3.0]))
    with pytest.raises(ModelError, match="no member of the sum has error bars"):
        SpinSumCalculator([HeisenbergCalculator([1.0])]).error_bars(atoms)


def test_a_sum_asked_directly_forgets_what_was_of_other_spins() -> None:
    atoms = SpinAtoms.lattice("square", (3, 3), units="reduced", rng=1)
    total = SpinSumCalculator([HeisenbergCalculator([1.0]), HeisenbergCalculator([0.5])])
    total.calculate(atoms, ["energy"])
    atoms.spins = -atoms.spins[::-1]
    atoms.spins = atoms.spins * [1.0, 1.0, -1.0]
    total.calculate(atoms, ["magnetic_forces"])
    assert "energy" not in total.results
