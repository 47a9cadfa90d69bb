"""What every ASE operation does to moments, unit system, reference lengths and g factors: one table.

Every site of the test magnet has its own numbers, tied together: |m_ref| = 1.5 |m|, g = 2 + |m|.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ase import Atom, Atoms
from ase.build import add_adsorbate, add_vacuum, bulk, cut, make_supercell, niggli_reduce, sort, stack
from ase.build import surface as ase_surface
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

from spinase import SpinAtoms
from spinase import atoms as sa
from spinase.calculators import HeisenbergCalculator, SpinSumCalculator
from spinase.dynamics import LLGDynamics
from spinase.errors import InvalidMomentsError, UnitMismatchError

Operation = Callable[[Any], Any]


def magnet(kind: type[Atoms], g: str = "by site") -> Any:
    """Four sites, reduced units, free lengths, g factors."""
    atoms = SpinAtoms(bulk("NiO", "rocksalt", a=1.3, cubic=True)[[0, 1, 4, 5]], units="reduced")
    atoms.moments = np.random.default_rng(3).normal(size=(4, 3))
    lengths = np.linalg.norm(atoms.moments, axis=1)
    sa.set_reference_lengths(atoms, 1.5 * lengths)
    atoms.g_factors = {"by site": 2.0 + lengths, "table": {"Ni": 2.2}, "number": 2.0023}[g]
    if kind is SpinAtoms:
        return atoms
    plain = Atoms(atoms)
    for name, array in atoms.arrays.items():
        plain.arrays[name] = array.copy()
    return plain


def in_place(change: Callable[[Any], Any]) -> Operation:
    def apply(atoms: Any) -> Any:
        other = atoms.copy()
        change(other)
        return other

    return apply


def through(name: str, tmp: str) -> Operation:
    def apply(atoms: Any) -> Any:
        write(f"{tmp}/{name}", atoms)
        return read(f"{tmp}/{name}")

    return apply


def add_to(start: Any) -> Operation:
    def apply(atoms: Any) -> Any:
        start.extend(atoms)
        return start

    return apply


KEEP: dict[str, Operation] = {
    "copy": lambda a: a.copy(),
    "deepcopy": copy.deepcopy,
    "pickle": lambda a: pickle.loads(pickle.dumps(a)),
    "todict": lambda a: type(a).fromdict(a.todict()),
    "repeat": lambda a: a.repeat((2, 1, 1)),
    "*": lambda a: a * 2,
    "*=": in_place(lambda a: a.__imul__((1, 2, 1))),
    "+": lambda a: a + a,
    "+=": in_place(lambda a: a.__iadd__(a)),
    "Atoms() +=": lambda a: add_to(Atoms())(a),
    "SpinAtoms() +=": lambda a: add_to(SpinAtoms())(a),
    "slice": lambda a: a[1:],
    "list": lambda a: a[[3, 0]],
    "mask": lambda a: a[a.numbers == 28],
    "del": in_place(lambda a: a.__delitem__(0)),
    "pop": in_place(lambda a: a.pop(1)),
    "sort": sort,
    "make_supercell": lambda a: make_supercell(a, np.diag([2, 1, 1])),
    "cut": lambda a: cut(a, (1, 0, 0), (0, 1, 0), (0, 0, 2)),
    "stack": lambda a: stack(a, a),
    "surface": lambda a: ase_surface(a, (1, 0, 0), 2),
    "add_vacuum": in_place(lambda a: add_vacuum(a, 3.0)),
    "niggli": in_place(niggli_reduce),
    "wrap": in_place(lambda a: a.wrap()),
    "center": in_place(lambda a: a.center()),
    "translate": in_place(lambda a: a.translate((0.1, 0.2, 0.3))),
    "rattle": in_place(lambda a: a.rattle(0.01, seed=1)),
    "set_cell": in_place(lambda a: a.set_cell(1.1 * a.cell, scale_atoms=True)),
    "rotate": in_place(lambda a: a.rotate(30, "x")),
    "euler_rotate": in_place(lambda a: a.euler_rotate(10, 20, 30)),
    "SpinAtoms(a)": SpinAtoms,
}


@pytest.mark.parametrize("kind", [Atoms, SpinAtoms])
@pytest.mark.parametrize("name", KEEP)
def test_what_is_kept(name, kind):
    after = KEEP[name](magnet(kind))
    lengths = np.linalg.norm(sa.get_moments(after), axis=1)
    assert lengths.min() > 0.1
    assert sa.get_units(after).name == "reduced"
    assert sa.get_reference_lengths(after) == pytest.approx(1.5 * lengths, rel=1e-12)
    assert sa.get_g_factors(after) == pytest.approx(2.0 + lengths, rel=1e-12)
    assert sa.gyromagnetic_ratios(after) == pytest.approx(1.0 + 0.5 * lengths, rel=1e-12)


@pytest.mark.parametrize("kind", [Atoms, SpinAtoms])
def test_extended_xyz_keeps_eight_decimals_of_everything(kind, tmp_path):
    after = through("a.xyz", str(tmp_path))(magnet(kind))
    lengths = np.linalg.norm(sa.get_moments(after), axis=1)
    assert sa.get_units(after).name == "reduced"
    assert sa.get_reference_lengths(after) == pytest.approx(1.5 * lengths, abs=4e-8)
    assert sa.get_g_factors(after) == pytest.approx(2.0 + lengths, abs=4e-8)


@pytest.mark.parametrize("kind", [Atoms, SpinAtoms])
@pytest.mark.parametrize("operation", ["Atoms(a)", "traj"])
def test_arrays_that_ase_drops_are_missed(operation, kind, tmp_path):
    """Units and g factors of all or by species survive in info; what belongs to sites is asked for in vain, not guessed."""
    apply: Operation = Atoms if operation == "Atoms(a)" else through("a.traj", str(tmp_path))
    for g, expected in (("table", [2.2, 2.0]), ("number", [2.0023] * 2)):
        after = apply(magnet(kind, g))
        assert sa.get_units(after).name == "reduced"
        assert np.array_equal(sa.get_moments(after), sa.get_moments(magnet(kind)))
        assert np.array_equal(sa.get_g_factors(after), np.where(after.numbers == 28, *expected))
        with pytest.raises(InvalidMomentsError, match=r"reference lengths .* were lost \(ASE's Atoms\(atoms\) and .traj"):
            sa.get_reference_lengths(after)
    after = apply(magnet(kind))
    with pytest.raises(InvalidMomentsError, match="g factors of the sites were lost"):
        sa.get_g_factors(after)
    sa.set_g_factors(after, None)
    after.calc = HeisenbergCalculator(shells=[0.1])
    with pytest.raises(InvalidMomentsError, match="reference lengths"):
        LLGDynamics(after, 0.1)
    sa.set_reference_lengths(after, None)
    LLGDynamics(after, 0.1).run(1)


def test_ases_json_drops_everything_but_moments(tmp_path):
    """Nothing is left that could tell: spinase.io.database.write_magnet keeps it, SpinAtoms(..., units=) says it again."""
    after = through("a.json", str(tmp_path))(magnet(SpinAtoms))
    assert np.array_equal(sa.get_moments(after), magnet(SpinAtoms).moments)
    assert sa.get_units(after).name == "metal"
    assert sa.get_reference_lengths(after) is None
    assert SpinAtoms(after, units="reduced").units == "reduced"


@pytest.mark.parametrize("name", ["a.cif", "a.vasp", "a.xsf", "a.gen", "a.pdb"])
def test_formats_without_moments(name, tmp_path):
    assert not sa.has_moments(through(name, str(tmp_path))(magnet(Atoms)))


class TestTwoUnitSystems:
    """Reduced and metal atoms in one object."""

    @pytest.mark.parametrize("kind", [Atoms, SpinAtoms])
    def test_adding_is_noticed(self, kind):
        both = magnet(Atoms)
        other = SpinAtoms("Fe", moments=[0, 0, 2.2]) if kind is SpinAtoms else Atoms("Fe")
        both += other
        with pytest.raises(UnitMismatchError, match=r"reduced and in metal units have been put together \(site 4"):
            sa.get_units(both)
        both.calc = HeisenbergCalculator(shells=[0.1])
        with pytest.raises(UnitMismatchError, match="put together"):
            LLGDynamics(both, 0.1)
        sa.set_units(both, "reduced")
        assert sa.get_units(both).name == "reduced"
        metal = SpinAtoms("Fe", moments=[0, 0, 2.2])
        with pytest.raises(UnitMismatchError, match="cannot add atoms in reduced units to a magnet in metal units"):
            metal += magnet(kind)
        assert len(metal) == 1

    def test_a_single_atom_takes_the_units_of_the_magnet(self):
        atoms = magnet(SpinAtoms)
        atoms.append(Atom("Fe", (1, 1, 1), magmom=1.0))
        atoms.extend(Atom("O", (1, 1, 2)))
        with pytest.raises(UnitMismatchError, match="cannot add atoms in metal units"):
            add_adsorbate(atoms, "O", 1.0)
        assert atoms.units == "reduced"
        assert atoms.moments[4:].tolist() == [[0, 0, 1], [0, 0, 0]]
        assert atoms.g_factors[4:].tolist() == [2.0, 2.0]
        assert sa.get_reference_lengths(atoms)[4:].tolist() == [1.0, 0.0]

    def test_a_hand_in_info_is_noticed(self):
        atoms = magnet(SpinAtoms)
        atoms.info["units"] = "metal"
        with pytest.raises(UnitMismatchError, match=r'info\["units"\] says metal but the sites are marked as reduced'):
            sa.get_units(atoms)
        atoms.units = "metal"
        assert atoms.units == "metal"


class TestAdding:
    def test_scalar_and_vector_moments_meet(self):
        """ASE broadcasts the scalar of bulk iron to (2.3, 2.3, 2.3), or raises, depending on the order."""
        iron, vectors = bulk("Fe"), SpinAtoms("Fe", moments=[1.0, 2.0, 0.0])
        plain = Atoms(vectors)
        plain += iron
        assert sa.get_moments(plain)[1].tolist() == [2.3] * 3
        assert (vectors + iron).moments.tolist() == [[1, 2, 0], [0, 0, 2.3]]
        assert (SpinAtoms(iron) + Atoms(vectors)).moments.tolist() == [[0, 0, 2.3], [1, 2, 0]]

    def test_witness_of_g_follows(self):
        one, two = SpinAtoms("Fe", g=2.1), SpinAtoms("Ni", g={"Ni": 2.2})
        both = one + two
        assert both.g_factors.tolist() == [2.1, 2.2]
        assert both.info["g_factor"] == "by site"
        assert (one + one).info["g_factor"] == 2.1
        assert (two + two).info["g_factor"] == 2.2
        assert Atoms(one + SpinAtoms("Fe")).info["g_factor"] == "by site"
        assert (one + SpinAtoms("Fe")).g_factors.tolist() == [2.1, 2.0]


def test_euler_rotate_turns_moments():
    atoms = SpinAtoms("Fe2", positions=[[0, 0, 0], [1, 2, 3]], moments=[[1, 2, 3], [1, 2, 3]])
    plain = Atoms(atoms)
    plain.euler_rotate(20, 40, 70)
    assert sa.get_moments(plain).tolist() == [[1, 2, 3]] * 2
    atoms.euler_rotate(20, 40, 70)
    assert np.array_equal(atoms.positions, plain.positions)
    assert atoms.moments == pytest.approx(np.tile(atoms.positions[1], (2, 1)))


@pytest.mark.parametrize("kind", [np.int64, np.float32])
def test_moments_of_other_types_are_not_cut_off(kind):
    """Extended XYZ with a column I:3 gives integers."""
    for drive in (lambda a: LLGDynamics(a, 0.1, damping=0.3), None):
        atoms = Atoms("Fe2", positions=[[0, 0, 0], [0, 0, 2.0]])
        atoms.arrays["initial_magmoms"] = np.array([[0, 0, 2], [0, 1, 0]], dtype=kind)
        atoms.calc = HeisenbergCalculator(shells=[0.1])
        if drive is None:
            sa.set_spins(atoms, [[0, 0.6, 0.8], [1, 0, 0]])
            assert sa.get_moments(atoms)[0] == pytest.approx([0, 1.2, 1.6], abs=1e-15)
        else:
            drive(atoms).run(3)
            assert np.linalg.norm(sa.get_moments(atoms), axis=1) == pytest.approx([2.0, 1.0], abs=1e-14)
            assert sa.get_moments(atoms)[0, 2] < 2.0
        assert atoms.arrays["initial_magmoms"].dtype == np.float64


class TestColumns:
    """Moments of files under other names."""

    @pytest.mark.parametrize("name", ["magmoms", "magmom", "magnetic_moments", "REF_magmom"])
    @pytest.mark.parametrize("shape", ["R:3", "I:3", "R:1"])
    def test_usual_names(self, name, shape, tmp_path):
        row = "1 2 -2" if shape != "R:1" else "-2"
        (tmp_path / "a.xyz").write_text(
            f'1\nLattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3:{name}:{shape} pbc="T T T"\nFe 0 0 0 {row}\n'
        )
        atoms = SpinAtoms(read(tmp_path / "a.xyz"))
        assert atoms.moments.tolist() == [[1, 2, -2] if shape != "R:1" else [0, 0, -2]]
        assert atoms.arrays["initial_magmoms"].dtype == np.float64

    def test_own_moments_come_first(self):
        atoms = Atoms("Fe", magmoms=[1.0])
        atoms.calc = SinglePointCalculator(atoms, magmoms=np.array([2.0]))
        assert SpinAtoms(atoms).moments.tolist() == [[0, 0, 1]]
        assert SpinAtoms(atoms, moments=(0, 0, 3)).moments.tolist() == [[0, 0, 3]]

    def test_directions(self):
        atoms = Atoms("Fe2")
        atoms.set_array("spins", np.array([[0, 0.6, 0.8], [0, 0, 0]]))
        assert SpinAtoms(atoms).moments.tolist() == [[0, 0.6, 0.8], [0, 0, 0]]
        atoms.arrays["spins"][0] *= 2
        with pytest.raises(InvalidMomentsError, match="column spins has a vector of length 2 at site 0: if these are"):
            SpinAtoms(atoms)

    def test_what_differs_is_refused(self):
        atoms = Atoms("Fe2")
        atoms.set_array("magmom", np.ones(2))
        atoms.set_array("REF_magmom", 2 * np.ones(2))
        with pytest.raises(InvalidMomentsError, match="columns magmom and REF_magmom both look like moments and differ"):
            SpinAtoms(atoms)
        assert SpinAtoms(atoms, moments=atoms.arrays["magmom"][:, None] * [0, 0, 1]).moments[:, 2].tolist() == [1, 1]

    def test_a_driver_says_what_columns_there_are(self):
        atoms = Atoms("Fe2", positions=[[0, 0, 0], [0, 0, 2]])
        atoms.set_array("charge_density", np.ones((2, 4)))
        atoms.calc = HeisenbergCalculator(shells=[0.1])
        with pytest.raises(InvalidMomentsError, match=r"no.* magnetic moment: .*other columns are: charge_density \(4,\)"):
            LLGDynamics(atoms, 0.1)


@pytest.mark.parametrize("calc", [None, HeisenbergCalculator([0.1]), SpinSumCalculator([HeisenbergCalculator([0.1])])])
def test_calculated_moments_are_those_of_the_atoms(calc):
    atoms = SpinAtoms("Fe2", positions=[[0, 0, 0], [0, 0, 2]], moments=[[0, 0, 1], [0, 2, 0]])
    atoms.calc = calc
    assert atoms.get_magnetic_moments().tolist() == [[0, 0, 1], [0, 2, 0]]
    assert atoms.get_magnetic_moment().tolist() == [0, 2, 1]
    if calc is not None:
        plain = Atoms(atoms)
        plain.calc = calc
        assert plain.get_magnetic_moments().tolist() == [[0, 0, 1], [0, 2, 0]]


def test_scalars_and_vectors_replace_each_other():
    atoms = SpinAtoms(bulk("Fe", cubic=True))
    atoms.set_initial_magnetic_moments([[1, 0, 0], [0, 1, 0]])
    assert atoms.moments.tolist() == [[1, 0, 0], [0, 1, 0]]
    atoms.set_initial_magnetic_moments([1.5, -1.5])
    assert atoms.moments.tolist() == [[0, 0, 1.5], [0, 0, -1.5]]
    atoms.set_initial_magnetic_moments(None)
    assert not sa.has_moments(atoms)


def test_converting_units_keeps_reference_lengths_and_g():
    atoms = magnet(SpinAtoms)
    metal = sa.convert_units(atoms, "metal", energy=0.5, length=2.0, moment=3.0)
    assert metal.units == "metal"
    assert sa.get_reference_lengths(metal) == pytest.approx(3.0 * sa.get_reference_lengths(atoms))
    assert np.array_equal(metal.g_factors, atoms.g_factors)
    assert sa.get_reference_lengths(sa.convert_units(metal, "reduced", energy=0.5, length=2.0, moment=3.0)) == pytest.approx(
        sa.get_reference_lengths(atoms)
    )
