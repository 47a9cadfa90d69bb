"""Places where ASE drops, hides or breaks vector moments: what ASE does, and that spinase is not caught by it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.build import surface as ase_surface
from ase.calculators.calculator import PropertyNotImplementedError, all_properties
from ase.calculators.emt import EMT
from ase.calculators.mixing import SumCalculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.io import Trajectory, read, write
from ase.outputs import Properties

from spinase import SpinAtoms
from spinase import atoms as sa
from spinase.calculators import (
    HeisenbergCalculator,
    SpinSumCalculator,
    UniaxialAnisotropyCalculator,
    restore_snapshot,
    snapshot,
)
from spinase.errors import InvalidMomentsError
from spinase.io import read_run
from spinase.io.database import read_magnet, write_magnet
from spinase.run import RunOptions, build_setup, read_input, run_file


@pytest.fixture
def magnet() -> SpinAtoms:
    return SpinAtoms.lattice("triangular", (3, 3), a=2.5, symbol="Cu", moment=1.7, rng=5)


def turn(atoms: Atoms) -> None:
    """Turn two of the moments, so that no symmetry hides it."""
    moments = sa.get_moments(atoms)
    moments[[0, 4]] = moments[[0, 4]][:, [1, 2, 0]] * [1, 1, -1]
    sa.set_moments(atoms, moments)


class TestCache:
    def test_a_change_of_moments_is_seen(self, magnet):
        magnet.calc = HeisenbergCalculator(shells=[1.0])
        before = magnet.get_potential_energy()
        fields = magnet.calc.get_property("magnetic_forces", magnet)
        turn(magnet)
        assert magnet.get_potential_energy() != before
        assert not np.allclose(magnet.calc.get_property("magnetic_forces", magnet), fields)

    def test_a_change_in_the_bare_array_is_seen_too(self, magnet):
        magnet.calc = HeisenbergCalculator(shells=[1.0])
        before = magnet.get_potential_energy()
        magnet.arrays["initial_magmoms"][0] *= -1
        assert magnet.get_potential_energy() != before

    def test_a_change_of_any_other_array_is_invisible_to_ase(self, magnet):
        """Why the moments live in initial_magmoms."""
        magnet.set_array("my_spins", np.ones((9, 3)))
        magnet.calc = HeisenbergCalculator(shells=[1.0])
        magnet.get_potential_energy()
        magnet.arrays["my_spins"][:] = 2.0
        assert magnet.calc.check_state(magnet) == []
        magnet.arrays["initial_magmoms"][:] *= -1
        assert magnet.calc.check_state(magnet) == ["initial_magmoms"]

    @pytest.mark.parametrize("sum_class", [SpinSumCalculator, SumCalculator])
    def test_a_change_of_moments_is_seen_inside_a_sum(self, magnet, sum_class):
        parts = [HeisenbergCalculator(shells=[1.0]), UniaxialAnisotropyCalculator(0.3)]
        magnet.calc = sum_class(parts)
        for _ in range(2):
            expected = sum(type(p).get_property(p, "energy", magnet) for p in (HeisenbergCalculator(shells=[1.0]),))
            expected += UniaxialAnisotropyCalculator(0.3).get_property("energy", magnet)
            assert magnet.get_potential_energy() == pytest.approx(expected, rel=1e-14)
            turn(magnet)

    def test_emt_in_a_sum_does_not_hide_the_spins(self, magnet):
        magnet.calc = SpinSumCalculator([EMT(), HeisenbergCalculator(shells=[1.0])])
        before = magnet.get_potential_energy()
        turn(magnet)
        gap = magnet.get_potential_energy() - before
        calc = HeisenbergCalculator(shells=[1.0])
        after = calc.get_property("energy", magnet)
        assert "magnetic_forces" in magnet.calc.implemented_properties
        assert "magnetic_forces" not in SumCalculator([EMT(), calc]).implemented_properties
        assert gap != 0.0
        assert after + EMT().get_property("energy", magnet) == pytest.approx(magnet.get_potential_energy())


class TestCopies:
    def test_atoms_of_atoms_keeps_moments_and_units(self, magnet):
        magnet.units = "reduced"
        copy = Atoms(magnet)
        assert np.array_equal(sa.get_moments(copy), magnet.moments)
        assert sa.get_units(copy).name == "reduced"

    def test_other_arrays_do_not_survive_atoms_of_atoms(self, magnet):
        """Why the moments live in initial_magmoms."""
        magnet.set_array("my_spins", np.ones((9, 3)))
        assert "my_spins" not in Atoms(magnet).arrays


class TestScalarMoments:
    def test_bulk_iron_comes_with_scalars_and_ase_refuses_vectors(self):
        iron = bulk("Fe")
        assert iron.arrays["initial_magmoms"].shape == (1,)
        with pytest.raises(ValueError, match="wrong shape"):
            iron.set_initial_magnetic_moments([[0, 0, 2.0]])

    def test_scalars_are_read_as_along_z_and_can_be_replaced(self):
        iron = bulk("Fe", cubic=True)
        iron.set_initial_magnetic_moments([2.3, -1.0])
        assert sa.get_moments(iron).tolist() == [[0, 0, 2.3], [0, 0, -1.0]]
        sa.set_spins(iron, [[1, 0, 0], [0, 1, 0]])
        assert sa.get_moments(iron).tolist() == [[2.3, 0, 0], [0, 1.0, 0]]
        assert SpinAtoms(bulk("Fe")).moments.tolist() == [[0, 0, 2.3]]

    def test_three_collinear_sites_are_not_one_vector(self):
        trimer = Atoms("Fe3", positions=np.eye(3), magmoms=[1.0, 2.0, 3.0])
        assert sa.get_moments(trimer).tolist() == [[0, 0, 1], [0, 0, 2], [0, 0, 3]]
        assert SpinAtoms(trimer).moments.tolist() == [[0, 0, 1], [0, 0, 2], [0, 0, 3]]

    def test_calculators_take_collinear_atoms(self):
        iron = bulk("Fe", cubic=True)
        calc = HeisenbergCalculator(shells=[0.02])
        assert calc.get_property("energy", iron) == pytest.approx(-0.02 * 8)


class TestRotations:
    @pytest.mark.parametrize("arguments", [(90, "z"), ("x", (1, 2, 3)), (33, (1, -1, 2)), ((0, 0, 1), (0, 0, -1))])
    def test_ase_rotate_leaves_moments_ours_turns_them(self, magnet, arguments):
        plain, before = Atoms(magnet), magnet.copy()
        plain.rotate(*arguments, rotate_cell=True)
        assert np.array_equal(sa.get_moments(plain), before.moments)
        magnet.rotate(*arguments, center="cop", rotate_cell=True)
        gaps = magnet.positions - magnet.positions[0]
        assert magnet.moments @ gaps.T == pytest.approx(before.moments @ (before.positions - before.positions[0]).T)
        assert not np.allclose(magnet.moments, before.moments)
        again = Atoms(before)
        sa.rotate_with_moments(again, *arguments, center="cop", rotate_cell=True)
        assert np.array_equal(sa.get_moments(again), magnet.moments)

    def test_rotate_without_moments(self):
        atoms = SpinAtoms("Fe", positions=[[1, 0, 0]])
        atoms.rotate(90, "z")
        assert atoms.positions == pytest.approx(np.array([[0, 1.0, 0]]), abs=1e-15)
        assert not sa.has_moments(atoms)

    CRYSTALS = {
        "cubic": 3.0 * np.eye(3),
        "orthorhombic": np.diag([2.6, 3.1, 3.9]),
        "triclinic": np.array([[2.9, 0.0, 0.2], [0.5, 3.2, 0.0], [0.1, -0.4, 3.6]]),
    }

    @pytest.mark.parametrize("cell", CRYSTALS)
    @pytest.mark.parametrize("indices", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 1, 1), (2, 1, 0), (-1, 2, 1)])
    @pytest.mark.parametrize("vacuum", [None, 5.0])
    def test_surface_turns_moments_with_the_crystal(self, cell, indices, vacuum):
        """Each moment points from its atom to a neighbour of the other species, before the cut and after it."""
        frame = self.CRYSTALS[cell]
        crystal = Atoms("FeO", scaled_positions=[[0, 0, 0], [0.11, 0.23, 0.31]], cell=frame, pbc=True)
        bond = crystal.positions[1] - crystal.positions[0]
        sa.set_moments(crystal, [2.0 * bond, -bond])
        slab = sa.surface(crystal, indices, 3, vacuum=vacuum)
        plain = ase_surface(crystal, indices, 3, vacuum=vacuum)
        assert np.array_equal(slab.positions, plain.positions)
        moments = sa.get_moments(slab)
        # ASE mirrors the crystal for (-1, 2, 1): moments are axial, so relative to the bonds they change sign then.
        mirrored = -1.0 if indices == (-1, 2, 1) else 1.0
        seen = 0
        for iron in np.flatnonzero(slab.numbers == 26):
            gaps = slab.get_distances(iron, np.flatnonzero(slab.numbers == 8), mic=True, vector=True)
            seen += bool(np.any(np.abs(gaps - mirrored * moments[iron] / 2.0).max(axis=1) < 1e-9))
        assert seen >= 2  # an iron atom at the surface may have lost its oxygen
        assert np.allclose(np.linalg.norm(moments, axis=1), np.linalg.norm(sa.get_moments(plain), axis=1), rtol=1e-14)
        assert np.array_equal(sa.get_moments(plain), np.tile(sa.get_moments(crystal), (3, 1)))  # ASE leaves them behind

    def test_surface_turns_collinear_moments_and_leaves_the_bulk_alone(self):
        iron = bulk("Fe", cubic=True)
        slab = sa.surface(iron, (1, 0, 0), 2)
        assert iron.arrays["initial_magmoms"].shape == (2,)
        moments = sa.get_moments(slab)
        assert np.abs(moments @ [0, 0, 1.0]).max() < 1e-12  # bulk z lies in the (100) plane
        assert np.linalg.norm(moments, axis=1) == pytest.approx(np.full(4, 2.3))

    def test_surface_of_a_nonmagnetic_crystal(self):
        assert not sa.has_moments(sa.surface(bulk("Cu", cubic=True), (1, 1, 1), 2))


class TestFiles:
    def test_traj_keeps_every_bit(self, magnet, tmp_path):
        magnet.units = "reduced"
        with Trajectory(tmp_path / "run.traj", "w") as trajectory:
            trajectory.write(magnet)
        back = read(tmp_path / "run.traj")
        assert np.array_equal(sa.get_moments(back), magnet.moments)
        assert sa.get_units(back).name == "reduced"
        assert SpinAtoms(back) == magnet

    def test_traj_drops_other_arrays(self, magnet, tmp_path):
        """Why the moments live in initial_magmoms."""
        magnet.set_array("my_spins", np.ones((9, 3)))
        write(tmp_path / "a.traj", magnet)
        assert "my_spins" not in read(tmp_path / "a.traj").arrays

    def test_extxyz_keeps_eight_decimals_only(self, magnet, tmp_path):
        write(tmp_path / "a.xyz", magnet)
        error = np.abs(sa.get_moments(read(tmp_path / "a.xyz")) - magnet.moments).max()
        assert 1e-12 < error <= 0.5000001e-8

    def test_run_files_keep_every_bit(self, tmp_path):
        text = """
            units = "metal"
            atoms = { lattice = "triangular", size = [3, 3], moment = 1.7 }
            calculator = { style = "heisenberg", shells = [0.01] }
            stage = [{ driver = "llg", steps = 0, timestep = 0.1 }]
        """
        (tmp_path / "input.toml").write_text(text, encoding="utf-8")
        path = run_file(tmp_path / "input.toml", options=RunOptions(output=tmp_path / "out"))
        config, _ = read_input(tmp_path / "input.toml")
        magnet = build_setup(config, tmp_path).atoms
        assert np.unique(magnet.moments).size == 27
        assert np.array_equal(read_run(path).atoms(0).moments, magnet.moments)
        assert np.array_equal(read_run(path).atoms(0).positions, magnet.positions)

    @pytest.mark.parametrize("name", ["a.traj", "a.xyz"])
    def test_snapshots_carry_spin_results_through_files(self, magnet, tmp_path, name):
        magnet.calc = HeisenbergCalculator(shells=[1.0])
        names = ["energy", "magnetic_forces", "torques"]
        frozen = snapshot(magnet, names)
        write(tmp_path / name, frozen)
        back = restore_snapshot(read(tmp_path / name))
        for result in names:
            assert np.allclose(back.calc.get_property(result, back), magnet.calc.get_property(result, magnet), rtol=1e-14)


class TestDatabase:
    @pytest.fixture(params=["db", "json"])
    def path(self, request, tmp_path):
        return tmp_path / f"magnets.{request.param}"

    def test_ase_writes_vector_moments_to_sqlite_and_cannot_read_them(self, magnet, tmp_path):
        with connect(tmp_path / "a.db") as database:
            database.write(Atoms(magnet))
        with pytest.raises(ValueError, match=r"wrong length: 27 != 9|[Ii]nitial_magmoms|array"):
            connect(tmp_path / "a.db").get(1).toatoms()

    def test_moments_and_units_come_back_bit_by_bit(self, magnet, path):
        magnet.units = "reduced"
        with connect(path) as database:
            number = write_magnet(database, magnet, {"texture": "random"}, {"note": [1, 2]})
        row = connect(path).get(number)
        back = read_magnet(row)
        assert isinstance(back, SpinAtoms)
        assert back == magnet
        assert back.units == "reduced"
        assert back.calc is None
        assert row.texture == "random"
        assert list(row.data["note"]) == [1, 2]

    def test_rows_stay_selectable_and_readable_by_plain_ase(self, magnet, path):
        with connect(path) as database:
            write_magnet(database, magnet, {"a": 1})
            write_magnet(database, magnet[[0, 1]], {"a": 2})
        rows = list(connect(path).select("a=2"))
        assert len(rows) == 1
        assert len(rows[0].toatoms()) == 2
        assert np.array_equal(read_magnet(rows[0]).moments, magnet.moments[:2])

    def test_results_at_hand_are_kept(self, magnet, path):
        magnet.calc = HeisenbergCalculator(shells=[1.0])
        energy = magnet.get_potential_energy()
        torques = magnet.calc.get_property("torques", magnet)
        with connect(path) as database:
            number = write_magnet(database, magnet)
        row = connect(path).get(number)
        assert row.energy == energy
        back = read_magnet(row)
        assert back.get_potential_energy() == energy
        assert np.array_equal(back.calc.get_property("torques", back), torques)
        with pytest.raises(PropertyNotImplementedError):
            back.get_forces()
        back.moments = -back.moments
        with pytest.raises(PropertyNotImplementedError):
            back.get_potential_energy()

    def test_stale_results_are_not_written(self, magnet, path):
        magnet.calc = HeisenbergCalculator(shells=[1.0])
        magnet.get_potential_energy()
        turn(magnet)
        with connect(path) as database:
            number = write_magnet(database, magnet)
        assert read_magnet(connect(path).get(number)).calc is None

    def test_the_atoms_given_are_left_alone(self, magnet, path):
        magnet.calc = HeisenbergCalculator(shells=[1.0])
        magnet.get_potential_energy()
        before = magnet.copy()
        with connect(path) as database:
            write_magnet(database, magnet)
        assert magnet == before
        assert magnet.calc.results

    def test_rows_of_plain_ase_are_read(self, path):
        with connect(path) as database:
            number = database.write(bulk("Fe"))
        assert read_magnet(connect(path).get(number)).moments.tolist() == [[0, 0, 2.3]]

    def test_taken_keys_and_foreign_moments_are_refused(self, magnet, path):
        with connect(path) as database:
            with pytest.raises(InvalidMomentsError, match=r"data\['spinase'\] holds the moments"):
                write_magnet(database, magnet, data={"spinase": 1})
            number = database.write(
                Atoms("Fe2"), data={"spinase": {"moments": np.ones((3, 3)), "units": "metal", "results": {}}}
            )
        with pytest.raises(InvalidMomentsError, match=r"row 1 has 2 sites but stored moments of shape \(3, 3\)"):
            read_magnet(connect(path).get(number))


class TestResults:
    def test_single_point_calculators_refuse_spin_results(self, magnet):
        with pytest.raises(AssertionError, match="torques"):
            SinglePointCalculator(magnet, torques=np.zeros((9, 3)))

    def test_get_property_gives_spin_results(self, magnet):
        magnet.calc = HeisenbergCalculator(shells=[1.0])
        fields = magnet.calc.get_property("magnetic_forces", magnet)
        torques = magnet.calc.get_property("torques", magnet)
        assert torques == pytest.approx(np.cross(magnet.moments, fields), abs=1e-15)
        assert np.abs(torques).max() > 0.1

    @pytest.mark.parametrize("wrap", [lambda calc: calc, lambda calc: SpinSumCalculator([calc])])
    def test_get_properties_is_not_broken_by_spin_results(self, magnet, wrap):
        """ASE's export_properties fails on every result it has no name for, and on a ``magmoms`` of shape (N, 3)."""
        magnet.calc = wrap(HeisenbergCalculator(shells=[1.0]))
        assert "magmoms" not in magnet.calc.implemented_properties
        magnet.calc.get_property("magnetic_forces", magnet)
        with pytest.raises(KeyError, match="magnetic_forces"):
            Properties(magnet.calc.results)
        with pytest.raises(ValueError, match="shape|Incompatible"):
            Properties({"natoms": 9, "magmoms": np.zeros((9, 3))})
        assert magnet.get_properties(["energy"])["energy"] == magnet.get_potential_energy()

    @pytest.mark.parametrize("wrap", [lambda calc: calc, lambda calc: SpinSumCalculator([calc])])
    def test_get_properties_leaves_no_stale_results(self, magnet, wrap):
        """It calls calculate behind the back of the cache."""
        magnet.calc = wrap(HeisenbergCalculator(shells=[1.0]))
        old = magnet.copy()
        fields = magnet.calc.get_property("magnetic_forces", magnet)
        turn(magnet)
        energy = magnet.get_properties(["energy"])["energy"]
        assert energy == HeisenbergCalculator(shells=[1.0]).get_property("energy", magnet)
        assert not np.allclose(magnet.calc.get_property("magnetic_forces", magnet), fields)
        assert magnet.calc.get_property("energy", old) == HeisenbergCalculator(shells=[1.0]).get_property("energy", old)

    def test_ases_list_of_properties_is_not_extended(self):
        """In a process of its own: importing every room changes none of ASE's global lists."""
        code = (
            "from ase.calculators import calculator as c; before = list(c.all_properties), list(c.all_changes);"
            "import spinase.calculators, spinase.dynamics, spinase.testing, spinase.io.database;"
            "assert before == (list(c.all_properties), list(c.all_changes))"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
        assert "torques" not in all_properties
        assert "magnetic_forces" not in all_properties


def test_ase_equality_ignores_moments_ours_does_not(magnet):
    other = magnet.copy()
    turn(other)
    assert Atoms(magnet) == Atoms(other)
    assert magnet != other
    assert magnet == magnet.copy()
