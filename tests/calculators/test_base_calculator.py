"""The template of spin calculators: what is computed when, what is kept, what is refused."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.constraints import FixAtoms

from spinase import SpinAtoms
from spinase.calculators.base import SpinCalculator, per_moment, split_moments
from spinase.contract import NotConservativeError
from spinase.errors import InvalidMomentsError, UnitMismatchError


class Counting(SpinCalculator):
    """E = -K sum_i x_i s_iz, counting its steps; with K a parameter and x the position."""

    def __init__(self, strength: float = 1.0) -> None:
        super().__init__()
        self.strength = strength
        self.steps: list[str] = []

    def freeze(self, geometry):
        self.steps.append("freeze")
        return geometry.positions[:, 0]

    def solve(self, frozen, spins, lengths):
        self.steps.append("solve")
        return frozen * spins[:, 2]

    def derive(self, name, frozen, state, spins, lengths):
        self.steps.append(name)
        if name in ("energy", "free_energy"):
            return -self.strength * float(state.sum())
        if name == "magnetic_forces":
            return per_moment(self.strength * frozen[:, None] * np.array([0, 0, 1.0]), lengths)
        raise PropertyNotImplementedError(f"no {name}")


class Driven(Counting):
    conservative = False


@pytest.fixture
def magnet() -> SpinAtoms:
    atoms = SpinAtoms("Fe2", positions=[[1.0, 0, 0], [3.0, 0, 0]], moments=[[0, 0, 2.0], [0, 3.0, 4.0]])
    atoms.calc = Counting()
    return atoms


def test_numbers(magnet):
    assert magnet.get_potential_energy() == pytest.approx(-(1.0 + 3.0 * 0.8))
    fields = magnet.calc.get_property("magnetic_forces", magnet)
    assert fields == pytest.approx(np.array([[0, 0, 0.5], [0, 0, 0.6]]))
    assert magnet.calc.get_property("torques", magnet) == pytest.approx(np.array([[0, 0, 0], [1.8, 0, 0]]))


def test_several_results_of_one_state_are_solved_once(magnet):
    for name in ("energy", "magnetic_forces", "energy", "torques"):
        magnet.calc.get_property(name, magnet)
    assert magnet.calc.steps == ["freeze", "solve", "energy", "magnetic_forces", "magnetic_forces"]


def test_a_change_of_spins_keeps_the_geometry(magnet):
    magnet.get_potential_energy()
    magnet.spins = (0, 0, -1)
    assert magnet.get_potential_energy() == pytest.approx(4.0)
    assert magnet.calc.steps == ["freeze", "solve", "energy", "solve", "energy"]


@pytest.mark.parametrize("change", ["positions", "cell", "pbc", "numbers"])
def test_a_change_of_geometry_rebuilds_it(magnet, change):
    magnet.get_potential_energy()
    if change == "positions":
        magnet.positions[0, 0] = 2.0
    elif change == "cell":
        magnet.set_cell(5 * np.eye(3))
    elif change == "pbc":
        magnet.set_cell(5 * np.eye(3))
        magnet.get_potential_energy()
        magnet.calc.steps.clear()
        magnet.pbc = True
    else:
        magnet.numbers[0] = 27
    magnet.get_potential_energy()
    assert magnet.calc.steps[-3:] == ["freeze", "solve", "energy"]


def test_reset_forgets_everything(magnet):
    magnet.get_potential_energy()
    magnet.calc.reset()
    magnet.get_potential_energy()
    assert magnet.calc.steps == ["freeze", "solve", "energy"] * 2


def test_results_are_copies(magnet):
    magnet.calc.get_property("torques", magnet)[:] = 7.0
    assert magnet.calc.get_property("torques", magnet)[1, 0] == pytest.approx(1.8)


def test_one_calculator_serves_two_magnets_in_turn(magnet):
    other = magnet.copy()
    other.positions[:, 0] *= 10
    other.spins = (0, 0, 1)
    calc = magnet.calc
    for _ in range(2):
        assert calc.get_property("energy", magnet) == pytest.approx(-3.4)
        assert calc.get_property("energy", other) == pytest.approx(-40.0)


def test_calculate_called_directly_leaves_no_stale_results(magnet):
    calc, old = magnet.calc, magnet.copy()
    calc.get_property("magnetic_forces", magnet)
    magnet.positions[:, 0] *= 10
    magnet.spins = (0, 0, 1)
    calc.calculate(magnet, ["energy"])
    assert calc.results == {"energy": pytest.approx(-40.0)}
    assert calc.get_property("magnetic_forces", magnet)[0] == pytest.approx([0, 0, 5.0])
    assert calc.get_property("energy", old) == pytest.approx(-3.4)


def test_field_function_after_a_direct_calculation_uses_the_right_geometry(magnet):
    calc, old = magnet.calc, magnet.copy()
    calc.get_property("energy", old)
    magnet.positions[:, 0] *= 10
    calc.calculate(magnet, ["energy"])
    assert calc.field_function(old)(old.spins)[0] == pytest.approx([0, 0, 0.5])


def test_field_function_reuses_the_geometry_it_has(magnet):
    fields = magnet.calc.field_function(magnet)
    fields(magnet.spins)
    assert magnet.calc.steps == ["freeze", "solve", "magnetic_forces"]
    magnet.get_potential_energy()
    magnet.calc.steps.clear()
    magnet.spins = (0, 0, -1)
    assert magnet.calc.field_function(magnet, np.array([1.0, 2.0]))(magnet.spins)[:, 2] == pytest.approx([1.0, 1.5])
    assert "freeze" not in magnet.calc.steps
    magnet.positions[:, 0] *= 2
    assert magnet.calc.field_function(magnet)(magnet.spins)[0, 2] == pytest.approx(1.0)


def test_an_error_leaves_nothing_behind(magnet):
    magnet.get_potential_energy()
    with pytest.raises(PropertyNotImplementedError, match="no forces"):
        magnet.get_forces()
    assert magnet.calc.results == {}
    assert magnet.get_potential_energy() == pytest.approx(-3.4)


def test_bad_moments_are_refused_where_they_are_used(magnet):
    magnet.arrays["initial_magmoms"][1, 0] = np.nan
    with pytest.raises(InvalidMomentsError, match="moments of site 1 is not finite"):
        magnet.get_potential_energy()
    magnet.arrays["initial_magmoms"][1, 0] = 0.0
    assert magnet.get_potential_energy() == pytest.approx(-3.4)


def test_unknown_results_are_refused(magnet):
    with pytest.raises(PropertyNotImplementedError):
        magnet.calc.get_property("dipole", magnet)
    with pytest.raises(PropertyNotImplementedError, match="Counting has no 'dipole'; it gives energy, free_energy"):
        magnet.calc.calculate(magnet, ["dipole"])


def test_a_driven_calculator_gives_fields_and_refuses_energies(magnet):
    magnet.calc = Driven()
    for name in ("energy", "free_energy"):
        with pytest.raises(NotConservativeError, match="Driven describes a driven system: .* there is no energy"):
            magnet.calc.get_property(name, magnet)
    assert magnet.calc.get_property("torques", magnet)[1, 0] == pytest.approx(1.8)


def test_units_of_another_system_are_refused(magnet):
    magnet.calc.units = "reduced"
    with pytest.raises(UnitMismatchError, match="Counting works in reduced units but the atoms are in metal units"):
        magnet.get_potential_energy()
    with pytest.raises(UnitMismatchError, match="Counting"):
        magnet.calc.field_function(magnet)
    magnet.units = "reduced"
    assert magnet.get_potential_energy() == pytest.approx(-3.4)


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda calc: pickle.loads(pickle.dumps(calc))])
def test_copies_keep_parameters_and_rebuild_the_rest(magnet, clone):
    magnet.calc.strength = 2.0
    magnet.get_potential_energy()
    twin = clone(magnet.calc)
    assert twin.results == {}
    assert twin.get_property("energy", magnet) == pytest.approx(-6.8)
    assert magnet.calc.results["energy"] == pytest.approx(-6.8)


def test_plain_and_collinear_atoms_are_taken():
    plain = Atoms("Fe2", positions=[[1.0, 0, 0], [3.0, 0, 0]], magmoms=[2.0, -1.0])
    assert Counting().get_property("energy", plain) == pytest.approx(-(1.0 - 3.0))


def test_split_and_per_moment_at_nonmagnetic_sites():
    spins, lengths = split_moments(np.array([[0, 0, 0], [0, 3.0, 4.0]]))
    assert spins.tolist() == [[0, 0, 0], [0, 0.6, 0.8]]
    assert lengths.tolist() == [0, 5]
    assert per_moment(np.ones((2, 3)), lengths).tolist() == [[0, 0, 0], [0.2, 0.2, 0.2]]


def test_defaults_of_the_base(magnet):
    calc = magnet.calc
    assert calc.for_supercell((2, 1, 1)) is calc
    assert calc.checkpoint_state() == {}
    calc.restore_state({})
    assert "time_reversal" in calc.symmetries
    with pytest.raises(TypeError, match="abstract"):
        SpinCalculator()


def test_the_copy_of_the_atoms_is_theirs_of_the_last_results() -> None:
    """It is overwritten where it can be, and belongs to nobody: neither moves the atoms nor is moved by them."""
    atoms, calc = SpinAtoms("Fe3", positions=np.eye(3), cell=[5.0, 6.0, 7.0], moments=[0, 0, 2.0]), Counting()
    for change in (
        lambda: None,
        lambda: atoms.set_cell([6.0, 6.0, 8.0]),
        lambda: atoms.set_pbc([True, False, True]),
        lambda: atoms.info.update(note=np.arange(3)),
        lambda: atoms.set_tags([1, 2, 3]),
        lambda: atoms.set_constraint(FixAtoms([0])),
    ):
        change()
        atoms.positions += 0.5
        calc.get_property("energy", atoms)
        assert calc.atoms == atoms
        assert calc.atoms is not atoms
        assert np.array_equal(calc.atoms.arrays["initial_magmoms"], atoms.arrays["initial_magmoms"])
        for name in atoms.arrays:
            assert not np.shares_memory(calc.atoms.arrays[name], atoms.arrays[name])
        assert not calc.check_state(atoms)
    atoms.positions[0, 0] += 1.0
    assert calc.check_state(atoms) == ["positions"]
