"""Neighbour shells on real structures: coordination of crystals, displaced sites, compounds, moving atoms."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, fcc100, make_supercell
from ase.calculators.lj import LennardJones

from spinase import SpinAtoms, lattices
from spinase.analysis import neighbour_shells
from spinase.atoms import geometry_of, set_moments
from spinase.calculators import (
    BiquadraticCalculator,
    DMICalculator,
    EDCalculator,
    HeisenbergCalculator,
    NeelCalculator,
    SpinSumCalculator,
    ZhangLiCalculator,
)
from spinase.calculators.classical import HeisenbergConfig
from spinase.dynamics import SpinLatticeDynamics
from spinase.electrons import SDModel, ShellHopping
from spinase.errors import InvalidGeometryError, ModelError
from spinase.geometry import Geometry, find_bonds
from spinase.pair_laws import ShellLaw
from spinase.shells import find_shells
from spinase.units import METAL

ROOT2, ROOT3 = np.sqrt(2), np.sqrt(3)


def magnet(atoms: Atoms, moment: float = 1.0) -> Atoms:
    out = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    set_moments(out, np.tile([0.0, 0.0, moment], (len(out), 1)))
    return out


def nickel_oxide(a: float = 4.2) -> Atoms:
    atoms = bulk("NiO", "rocksalt", a=a, cubic=True)
    moments = np.zeros((len(atoms), 3))
    moments[atoms.numbers == 28, 2] = 2.0
    bare = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
    set_moments(bare, moments)
    return bare


def energy(calc: HeisenbergCalculator, atoms: Atoms) -> float:
    return float(calc.get_property("energy", atoms))


def coordination(atoms: Atoms, count: int, **options: float) -> list[float]:
    """Neighbours per site in each shell, counted by ones."""
    ones = np.eye(count)
    return [2 * len(ShellLaw(row, **options).amplitudes(geometry_of(atoms))[0]) / len(atoms) for row in ones]


CRYSTALS = [
    ("bcc", bulk("Fe", "bcc", a=2.8665), [8, 6, 12, 24, 8, 6, 24, 24]),
    ("fcc", bulk("Ni", "fcc", a=3.52), [12, 6, 24, 12, 24, 8, 48, 6]),
    ("cubic", bulk("Po", "sc", a=3.34), [6, 12, 8, 6, 24, 24, 12, 30]),
    ("diamond", bulk("Si", "diamond", a=5.43), [4, 12, 12, 6, 12]),
    ("hcp cobalt, c/a as measured", bulk("Co", "hcp", a=2.5071, c=4.0695), [12, 6, 2, 18]),
    ("hcp zinc", bulk("Zn", "hcp", a=2.665, c=4.947), [6, 6, 6, 6]),
]


@pytest.mark.parametrize(("atoms", "numbers"), [c[1:] for c in CRYSTALS], ids=[c[0] for c in CRYSTALS])
def test_coordination_numbers_of_crystals(atoms: Atoms, numbers: list[int]) -> None:
    """Published coordination numbers; primitive cells, all neighbours are images."""
    assert coordination(atoms, len(numbers)) == numbers


@pytest.mark.parametrize(("atoms", "numbers"), [c[1:] for c in CRYSTALS], ids=[c[0] for c in CRYSTALS])
@pytest.mark.parametrize("how", ["rounded to 0.01 A", "noise of 0.004 A", "strain of 0.3 %"])
def test_small_changes_of_the_positions_keep_the_shells(atoms: Atoms, numbers: list[int], how: str) -> None:
    cell = make_supercell(atoms, np.diag([3, 3, 3]))
    if how.startswith("rounded"):
        cell.positions = np.round(cell.positions, 2)
    elif how.startswith("noise"):
        cell.positions += 0.004 * np.random.default_rng(3).normal(size=cell.positions.shape)
    else:
        strain = np.eye(3) + 0.003 * np.array([[1, 0.4, 0], [0.4, -0.5, 0], [0, 0, -0.5]])
        cell.set_cell(cell.cell.array @ strain, scale_atoms=True)
    assert coordination(cell, 3) == numbers[:3]


@pytest.mark.parametrize("moved", [0.0, 0.006, 0.012])
def test_one_atom_of_a_bcc_cell_is_moved(moved: float) -> None:
    atoms = magnet(bulk("Fe", "bcc", a=2.8665, cubic=True))
    atoms.positions[1, 0] += moved
    assert energy(HeisenbergCalculator(shells=[0.5]), atoms) == pytest.approx(-4.0)


def test_two_shells_or_one_is_asked_and_answered() -> None:
    """Gadolinium: six neighbours 1.5 % closer than the other six."""
    atoms = magnet(bulk("Gd", "hcp", a=3.6336, c=5.781))
    short, long = 3.6336 * np.sqrt(1 / 3 + (5.781 / 3.6336 / 2) ** 2), 3.6336
    with pytest.raises(InvalidGeometryError, match=f"distances {short:.6g} and {long:.6g} one shell or two") as caught:
        energy(HeisenbergCalculator(shells=[1.0]), atoms)
    assert "say width = 0.018 for one, 0.004 for two, or pass the shells' `distances`; positions without" in str(
        caught.value
    )
    assert energy(HeisenbergCalculator(shells=ShellLaw([1.0], width=0.018)), atoms) == -12.0
    assert energy(HeisenbergCalculator(shells=ShellLaw([1.0], width=0.003)), atoms) == -6.0
    assert energy(HeisenbergCalculator(shells=ShellLaw([1.0], [3.6])), atoms) == -12.0
    assert energy(HeisenbergCalculator(shells=ShellLaw([1.0, 0.1], [short, long])), atoms) == pytest.approx(-6.6)


@pytest.mark.parametrize("seed", range(6))
def test_a_rattled_square_lattice_keeps_its_bonds(seed: int) -> None:
    """The advice of the error message, ``distances``, holds at 2 % noise: all 72 bonds, and 144 with the second shell."""
    atoms = SpinAtoms.lattice("square", (6, 6), texture="ferro")
    perfect = find_bonds(geometry_of(atoms), 1.5)
    atoms.positions[:, :2] += 0.02 * np.random.default_rng(seed).normal(size=(36, 2))
    bonds, values, _ = ShellHopping([1.0], distances=[1.0]).amplitudes(geometry_of(atoms))
    assert len(bonds) == 72
    both, values, _ = ShellHopping([1.0, 0.3], distances=[1.0, ROOT2]).amplitudes(geometry_of(atoms))
    assert [np.count_nonzero(values == v) for v in (1.0, 0.3)] == [72, 72]
    assert np.array_equal(both.first, perfect.first)
    assert np.array_equal(both.shifts, perfect.shifts)


@pytest.mark.parametrize("noise", [0.005, 0.01, 0.02, 0.04, 0.08])
def test_shells_by_gaps_are_those_of_the_lattice_or_refused(noise: float) -> None:
    """However the sites are displaced, the answer is the lattice's bonds or an error, never some of them."""
    atoms = SpinAtoms.lattice("square", (6, 6), texture="ferro")
    perfect = find_bonds(geometry_of(atoms), 1.5)
    expected = set(zip(perfect.first, perfect.second, map(tuple, perfect.shifts), strict=True))
    refused = 0
    for seed in range(40):
        moved = atoms.copy()
        moved.positions[:, :2] += noise * np.random.default_rng(seed).normal(size=(36, 2))
        try:
            bonds, _, _ = ShellLaw([1.0, 1.0]).amplitudes(geometry_of(moved))
        except InvalidGeometryError:
            refused += 1
        else:
            assert set(zip(bonds.first, bonds.second, map(tuple, bonds.shifts), strict=True)) == expected
    assert refused <= {0.005: 6, 0.01: 8}.get(noise, 40)
    assert noise < 0.08 or refused == 40


def test_a_shell_that_a_site_leaves_is_refused_on_the_way() -> None:
    """From one shell of eight to four and four: what is in between has no answer."""
    answers = []
    for moved in np.arange(0.0, 0.3, 0.005):
        atoms = magnet(bulk("Fe", "bcc", a=2.8665, cubic=True))
        atoms.positions[1, 0] += moved
        try:
            answers.append(energy(HeisenbergCalculator(shells=[1.0]), atoms))
        except InvalidGeometryError:
            answers.append(np.nan)
    known = np.array(answers)
    assert known[0] == -8.0
    steps = np.diff(known)
    assert np.all((steps == 0.0) | np.isnan(steps)), "no two answers beside each other differ"


def test_windows_refuse_their_rims_and_emptiness_and_two_shells_in_one() -> None:
    atoms = magnet(bulk("Fe", "bcc", a=2.8665, cubic=True))
    with pytest.raises(InvalidGeometryError, match=r"are 2\.8665 apart, at the edge of the shell at 2\.6"):
        energy(HeisenbergCalculator(shells=ShellLaw([1.0], [2.6])), atoms)
    with pytest.raises(InvalidGeometryError, match=r"no pair of sites is in the shell at 3\.4 .*shortest distance is 2\.48"):
        energy(HeisenbergCalculator(shells=ShellLaw([1.0, 1.0], [2.48, 3.4])), atoms)
    fourth, fifth = 2.8665 * np.sqrt(11) / 2, 2.8665 * np.sqrt(3)
    with pytest.raises(InvalidGeometryError, match=f"holds more than one: .* between {fourth:.6g} and {fifth:.6g}"):
        energy(HeisenbergCalculator(shells=ShellLaw([1.0], [4.85])), atoms)
    assert energy(HeisenbergCalculator(shells=ShellLaw([1.0], [fourth], width=0.02)), atoms) == -24.0
    assert energy(HeisenbergCalculator(shells=ShellLaw([1.0, 0.0], [fourth, fifth])), atoms) == -24.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"distances": [2.0, 1.0]}, "one ascending distance for each"),
        ({"distances": [-1.0, 1.0]}, "one ascending distance for each"),
        ({"distances": [np.nan, 1.0]}, "one ascending distance for each"),
        ({"width": 0.0}, "width of a shell must be between 0 and 0.5"),
        ({"width": 1.0, "distances": [1.0, 2.0]}, "width of a shell must be between 0 and 0.5"),
    ],
)
def test_bad_shells_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ShellLaw([1.0, 2.0], **options)


# --- compounds ------------------------------------------------------------------------------------


def test_shells_of_a_compound_are_those_of_the_pair() -> None:
    """NiO: twelve nickel neighbours at a/sqrt2 beyond the six oxygens, six at a; 4 nickel atoms: 24 and 12 bonds."""
    atoms = nickel_oxide()
    assert energy(HeisenbergCalculator(pairs={"Ni-Ni": [0.01]}), atoms) == pytest.approx(-0.24)
    assert energy(HeisenbergCalculator(pairs={"Ni-Ni": [0.0, 0.01]}), atoms) == pytest.approx(-0.12)
    assert energy(HeisenbergCalculator(shells=[0.01], species=["Ni"]), atoms) == pytest.approx(-0.24)
    assert energy(HeisenbergCalculator(pairs={"Ni-Ni": [0.01]}, species=["Ni"]), atoms) == pytest.approx(-0.24)
    assert energy(BiquadraticCalculator(shells=[0.01], species=["Ni"]), atoms) == pytest.approx(-0.24)
    set_moments(atoms, np.tile([0.0, 0.0, 1.0], (8, 1)))
    assert energy(HeisenbergCalculator(pairs={"O-Ni": [0.01]}), atoms) == pytest.approx(-0.24), (
        "six oxygens around each nickel"
    )


def test_terms_among_species_do_not_see_the_others() -> None:
    """DMI, Neel and biquadratic terms of the nickel in NiO are those of fcc nickel alone."""
    rng = np.random.default_rng(2)
    compound = nickel_oxide()
    nickel = compound.numbers == 28
    moments = np.zeros((8, 3))
    moments[nickel] = rng.normal(size=(4, 3))
    set_moments(compound, moments)
    alone = compound[nickel]
    laws = [
        lambda **options: DMICalculator(shells=[0.3, 0.1], **options),
        lambda **options: BiquadraticCalculator(shells=[0.3, 0.1], **options),
        lambda **options: HeisenbergCalculator(pairs={"Ni-Ni": [0.3, 0.1]}, **options),
    ]
    for law in laws:
        for name in ("energy", "magnetic_forces"):
            there, here = law(species=["Ni"]).get_property(name, compound), law().get_property(name, alone)
            np.testing.assert_allclose(np.atleast_1d(there)[nickel if name != "energy" else ...], here, atol=1e-14)
    by_pair = DMICalculator(pairs={"Ni-Ni": [0.3, 0.1]}).get_property("magnetic_forces", compound)
    np.testing.assert_allclose(by_pair[nickel], DMICalculator(shells=[0.3, 0.1]).get_property("magnetic_forces", alone))


@pytest.mark.parametrize("key", ["Fe-Co", "Co-Fe"])
def test_ordered_alloys_count_by_pair_in_either_order(key: str) -> None:
    """B2 FeCo: 8 Fe-Co bonds a cell at sqrt(3)/2 a, 3 Fe-Fe bonds at a."""
    atoms = magnet(bulk("FeCo", "cesiumchloride", a=2.85))
    assert energy(HeisenbergCalculator(pairs={key: [1.0]}), atoms) == -8.0
    assert energy(HeisenbergCalculator(pairs={"Fe-Fe": [1.0], key: [0.1]}), atoms) == pytest.approx(-3.8)
    assert energy(HeisenbergCalculator(pairs={"Fe-Ni": [1.0]}), atoms) == 0.0, "no nickel there"
    with pytest.raises(ModelError, match="twice"):
        HeisenbergCalculator(pairs={"Fe-Co": [1.0], "Co-Fe": [1.0]})


def test_a_random_alloy_has_the_shells_of_its_lattice() -> None:
    """One cobalt without a cobalt neighbour: shells are those of the lattice, brute force counts them."""
    atoms = magnet(make_supercell(bulk("Fe", "bcc", a=2.87, cubic=True), np.diag([3, 3, 3])))
    atoms.numbers[[0, 1, 40]] = 27
    distances = atoms.get_all_distances(mic=True)
    near = np.abs(distances - 2.87 * ROOT3 / 2) < 0.01
    cobalt = np.flatnonzero(atoms.numbers == 27)
    pairs = near[np.ix_(cobalt, cobalt)].sum() / 2
    assert pairs == 1
    assert not near[40, cobalt].any()
    assert energy(HeisenbergCalculator(pairs={"Co-Co": [1.0]}), atoms) == -pairs
    set_moments(atoms, np.where((atoms.numbers == 27)[:, None], [0, 0, 1.0], 0.0))
    far = nickel_oxide()
    far.numbers[far.numbers == 28] = [28, 26, 28, 26]
    assert energy(HeisenbergCalculator(pairs={"Fe-Fe": [1.0]}), far) == pytest.approx(-4.0), "planes of iron: four each"


def test_a_pair_without_shells_says_so() -> None:
    """Three irons in NiO, of which one has no iron where the others have one."""
    atoms = make_supercell(nickel_oxide(), np.diag([2, 2, 2]))
    nickel = np.flatnonzero(atoms.numbers == 28)
    distances = atoms.get_all_distances(mic=True)[nickel[0], nickel]
    atoms.numbers[nickel[[0, int(np.argsort(distances)[1]), int(distances.argmax())]]] = 26
    set_moments(atoms, np.tile([0, 0, 1.0], (len(atoms), 1)))
    with pytest.raises(InvalidGeometryError, match="no neighbour at the shortest distance between these species"):
        energy(HeisenbergCalculator(pairs={"Fe-Fe": [1.0]}), atoms)
    assert energy(HeisenbergCalculator(pairs={"Fe-Fe": ShellLaw([1.0], [4.2 / ROOT2])}), atoms) == -1.0


# --- boundaries, small cells, surfaces ------------------------------------------------------------


@pytest.mark.parametrize("repeat", [(1, 1, 1), (2, 1, 1), (3, 2, 1), (4, 4, 4)])
def test_cells_smaller_than_the_range_count_images_both_ways(repeat: tuple[int, int, int]) -> None:
    atoms = magnet(bulk("Fe", "bcc", a=2.8665).repeat(repeat))
    per_site = energy(HeisenbergCalculator(shells=[1.0, 0.1, 0.01, 0.001]), atoms) / len(atoms)
    assert per_site == pytest.approx(-0.5 * (8 + 0.6 + 0.12 + 0.024))


@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (0.4999, 0.5001, 0.0), (1e-9, -1e-9, 1e-9)])
def test_sites_on_the_faces_of_the_box(shift: tuple[float, float, float]) -> None:
    """Wrapped or not, on a face or beyond it: the bonds are the same."""
    atoms = magnet(bulk("Fe", "bcc", a=2.8665, cubic=True).repeat(2))
    atoms.positions += np.array(shift) * 2.8665
    for wrapped in (False, True):
        if wrapped:
            atoms.wrap()
        assert energy(HeisenbergCalculator(shells=[1.0, 0.5]), atoms) == pytest.approx(-16 * (4 + 1.5))


def test_a_film_has_the_shells_of_its_bulk() -> None:
    """Five layers of fcc (001), 2x2: 12 neighbours inside, 8 at the surfaces."""
    film = magnet(fcc100("Ni", (2, 2, 5), a=3.52, vacuum=8.0))
    film.pbc = (True, True, False)
    assert energy(HeisenbergCalculator(shells=[1.0]), film) == -(3 * 4 * 12 + 2 * 4 * 8) / 2


def test_the_current_torque_follows_displaced_sites() -> None:
    """Zhang-Li takes the nearest neighbours by the same rule: a smooth texture on a noisy lattice has the right gradient."""
    atoms = SpinAtoms.lattice("square", (8, 8))
    atoms.positions[:, :2] += 1e-3 * np.random.default_rng(1).normal(size=(64, 2))
    angle = 2 * np.pi * atoms.positions[:, 0] / 8
    atoms.spins = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    fields = ZhangLiCalculator(velocity=(0.1, 0, 0), nonadiabaticity=0.0).get_property("magnetic_forces", atoms)
    turn = np.sin(2 * np.pi / 8) / METAL.gyromagnetic_ratio
    np.testing.assert_allclose(np.abs(fields[:, 2]), 0.1 * turn, rtol=1e-2)


def test_correlations_by_shell_of_a_noisy_lattice() -> None:
    atoms = SpinAtoms.lattice("square", (6, 6), texture="ferro")
    atoms.positions[:, :2] += 0.01 * np.random.default_rng(5).normal(size=(36, 2))
    shells = neighbour_shells(atoms, 3)
    assert np.bincount(shells.shell).tolist() == [72, 72, 72]
    assert shells.distances == pytest.approx([1.0, ROOT2, 2.0], abs=0.01)


# --- moving atoms ---------------------------------------------------------------------------------


def moving(noise: float, law: ShellLaw, steps: int) -> tuple[Atoms, set[int]]:
    """Energy conserving run of a rattled fcc magnet; the numbers of bonds seen."""
    atoms = magnet(bulk("Ar", "fcc", a=5.2, cubic=True).repeat(2))
    atoms.positions += noise * np.random.default_rng(4).normal(size=atoms.positions.shape)
    rng = np.random.default_rng(7)
    moments = rng.normal(size=(len(atoms), 3))
    set_moments(atoms, moments / np.linalg.norm(moments, axis=1)[:, None])
    pair = LennardJones(epsilon=0.0104, sigma=3.40, rc=7.0, smooth=True)
    atoms.calc = SpinSumCalculator([HeisenbergCalculator(shells=law), pair])
    seen = set()
    dyn = SpinLatticeDynamics(atoms, timestep=5 * units.fs)
    for _ in range(steps):
        dyn.run(1)
        seen.add(len(law.amplitudes(geometry_of(atoms))[0]))
    return atoms, seen


def test_moving_atoms_keep_their_bonds_and_the_energy() -> None:
    law = ShellLaw([0.001], distances=[5.2 / ROOT2])
    atoms, seen = moving(0.03, law, 1)
    first = atoms.get_potential_energy() + atoms.get_kinetic_energy()
    dyn = SpinLatticeDynamics(atoms, timestep=5 * units.fs)
    dyn.run(60)
    assert atoms.get_potential_energy() + atoms.get_kinetic_energy() == pytest.approx(first, abs=2e-5)
    seen.add(len(law.amplitudes(geometry_of(atoms))[0]))
    assert seen == {32 * 6}


@pytest.mark.parametrize("law", [ShellLaw([0.001]), ShellLaw([0.001], distances=[5.2 / ROOT2])], ids=["gaps", "windows"])
def test_moving_atoms_stop_before_a_bond_changes(law: ShellLaw) -> None:
    """A hot crystal: the run ends with the error that names the distance; until then all bonds are there."""
    with pytest.raises(InvalidGeometryError, match="shell"):
        moving(0.25, law, 200)


def test_restarts_and_copies_see_the_same_bonds() -> None:
    """What a law answers does not depend on what it was asked before."""
    law, atoms = ShellLaw([1.0], distances=[1.0]), SpinAtoms.lattice("square", (6, 6), texture="ferro")
    rng = np.random.default_rng(0)
    for _ in range(20):
        atoms.positions[:, :2] += 0.004 * rng.normal(size=(36, 2))
        used, fresh = (
            law.amplitudes(geometry_of(atoms))[0],
            ShellLaw([1.0], distances=[1.0]).amplitudes(geometry_of(atoms))[0],
        )
        assert np.array_equal(used.first, fresh.first)
        assert np.array_equal(used.distances, fresh.distances)


# --- electrons and input files --------------------------------------------------------------------


def test_electrons_on_a_noisy_lattice_are_those_of_the_lattice() -> None:
    atoms = SpinAtoms.lattice("square", (4, 4), rng=3)
    model = SDModel(ShellHopping([1.0, 0.2]), coupling=1.0, filling=0.3, kT=0.1)
    expected = EDCalculator(model).get_property("free_energy", atoms)
    atoms.positions[:, :2] += 3e-3 * np.random.default_rng(1).normal(size=(16, 2))
    assert EDCalculator(model).get_property("free_energy", atoms) == pytest.approx(expected, abs=1e-12)
    table = SDModel(ShellHopping([1.0, 0.2], [1.0, ROOT2]), coupling=1.0, filling=0.3, kT=0.1)
    assert EDCalculator(table).get_property("free_energy", atoms) == pytest.approx(expected, abs=1e-12)


def test_distances_and_widths_in_input_files() -> None:
    atoms = magnet(bulk("Gd", "hcp", a=3.6336, c=5.781))
    wide = HeisenbergConfig.model_validate({"shells": [1.0], "width": 0.018})
    assert energy(HeisenbergCalculator.from_config(wide), atoms) == -12.0
    told = HeisenbergConfig.model_validate({"pairs": {"Gd-Gd": {"shells": [1.0], "distances": [3.6]}}})
    assert energy(HeisenbergCalculator.from_config(told), atoms) == -12.0
    with pytest.raises(ValueError, match="distances and width belong to shells, not to law"):
        HeisenbergConfig.model_validate(
            {"law": {"amplitude": 1, "decay": 1, "reference": 1, "cutoff": 2}, "distances": [1.0]}
        )
    neel = NeelCalculator(ShellLaw([0.1], [3.6])).get_property("energy", atoms)
    assert np.isfinite(neel)
    assert neel != 0.0


# --- the function itself --------------------------------------------------------------------------


def geometry(positions, cell=((0.0,) * 3,) * 3, pbc=(False,) * 3) -> Geometry:
    positions = np.array(positions, dtype=float)
    return Geometry(positions, np.array(cell, dtype=float), np.array(pbc), np.full(len(positions), 26))


SHELLS = {
    "chain": [1, 2, 3],
    "square": [1, ROOT2, 2, np.sqrt(5)],
    "triangular": [1, ROOT3, 2, np.sqrt(7)],
    "honeycomb": [1, ROOT3, 2, np.sqrt(7)],
    "kagome": [1, ROOT3, 2, np.sqrt(7)],
    "cubic": [1, ROOT2, ROOT3, 2],
}


@pytest.mark.parametrize("name", SHELLS)
@pytest.mark.parametrize(("count", "periodic"), [(1, True), (4, True), (4, False)])
@pytest.mark.parametrize("scale", [1.0, 2.87])
def test_shells_of_lattices(name, count, periodic, scale):
    """Small periodic cells have all shells through their images; open lattices as far as they reach."""
    size = (count if periodic else 5,) * len(lattices.LATTICES[name][0])
    positions, cell, pbc = lattices.build(name, size, scale, periodic)
    expected = SHELLS[name][:count]
    shells = find_shells(geometry(positions, cell, pbc), len(expected))
    assert shells.distances == pytest.approx(scale * np.array(expected), rel=1e-10)


def test_shells_tell_distances_of_four_percent_apart_and_less_if_asked():
    def pair(long):
        return geometry([[0, 0, 0], [0, 0, 1.0]], np.diag([long, 9, 2.0]), (True, False, True))

    assert find_shells(pair(1.05), 2).distances == pytest.approx([1.0, 1.05])
    assert find_shells(pair(1.01), 2, width=0.002).distances == pytest.approx([1.0, 1.01])
    assert find_shells(pair(1.005), 1).distances == pytest.approx([1.0025])
    with pytest.raises(InvalidGeometryError, match="are distances 1 and 1.02 one shell or two"):
        find_shells(pair(1.02), 2)


def test_shells_allow_for_small_noise():
    atoms = SpinAtoms.lattice("square", (6, 6))
    atoms.positions += 1e-5 * np.random.default_rng(0).normal(size=(36, 3))
    assert find_shells(geometry_of(atoms), 2).distances == pytest.approx([1.0, ROOT2], abs=2e-4)


@pytest.mark.parametrize("dimension", [2, 3])
def test_shells_of_disordered_points_are_refused(dimension):
    geo = geometry_of(SpinAtoms.disordered(30, rng=2, dimension=dimension, density=0.6))
    with pytest.raises(InvalidGeometryError, match="neighbour shells.* law of distance"):
        find_shells(geo, 1)


def test_missing_shells_are_counted():
    geo = geometry([[0, 0, 0], [1, 0, 0], [2, 0, 0]])
    with pytest.raises(InvalidGeometryError, match="only 2 neighbour shells exist among 3 sites; 5 were asked"):
        find_shells(geo, 5)


def test_a_lone_site_has_no_shells():
    with pytest.raises(InvalidGeometryError, match="without any neighbour"):
        find_shells(geometry([[0, 0, 0]]), 1)


def test_shells_far_from_the_origin_and_many():
    positions, cell, pbc = lattices.build("square", (2, 2))
    geo = geometry(positions + [1e3, -500, 0], cell, pbc)
    squares = sorted({a * a + b * b for a in range(8) for b in range(8)} - {0})[:15]
    assert find_shells(geo, 15).distances == pytest.approx(np.sqrt(squares), rel=1e-10)
