"""KPM on one magnet after another: what is kept for one must not be used for the next, and what moves must stay itself."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.calculators import EDCalculator, KPMCalculator
from spinase.electrons import ExponentialHopping, SDModel, ShellHopping
from spinase.errors import AccuracyWarning
from spinase.geometry import moved_slightly

FAR = SDModel(hopping=ExponentialHopping(1.0, 1.0, 1.5, 2.6), coupling={26: 1.5, 27: 4.0}, filling=0.3, kT=0.2)
NEAR = SDModel(hopping=ShellHopping([1.0]), coupling=1.5, filling=0.3, kT=0.2)
ACCURACY = 0.02
SMALL = SpinAtoms.lattice("square", (6, 6), units="reduced", rng=1)


def disordered(seed: int, sites: int = 120) -> SpinAtoms:
    return SpinAtoms.disordered(sites, density=0.25, min_distance=1.1, units="reduced", rng=seed)


def lattice(name: str) -> SpinAtoms:
    return SpinAtoms.lattice(name, (12, 12), units="reduced", rng=1)


def half_cobalt() -> SpinAtoms:
    atoms = disordered(3)
    atoms.numbers[:60] = 27
    return atoms


def half_magnetic() -> SpinAtoms:
    atoms = lattice("square")
    atoms.moments = atoms.moments * (np.arange(144) % 2)[:, None]
    return atoms


@pytest.mark.parametrize(
    ("model", "one", "other"),
    [
        (FAR, lambda: disordered(3), lambda: disordered(4)),
        (FAR, lambda: disordered(3), half_cobalt),
        (NEAR, lambda: lattice("square"), lambda: lattice("triangular")),
        (NEAR, lambda: lattice("triangular"), lambda: lattice("square")),
        (NEAR, half_magnetic, lambda: lattice("square")),
        (NEAR, lambda: lattice("square"), half_magnetic),
    ],
    ids=["positions", "species", "square first", "triangular first", "more moments", "fewer moments"],
)
@pytest.mark.parametrize("reference", [None, "ed"])
def test_a_calculator_used_before_answers_as_a_new_one(model, one, other, reference) -> None:
    used, new = (KPMCalculator(model, ACCURACY, reference=reference) for _ in range(2))
    used.get_property("magnetic_forces", one())
    atoms = other()
    fields = used.get_property("magnetic_forces", atoms)
    if reference is None:
        np.testing.assert_array_equal(fields, new.get_property("magnetic_forces", atoms))
    wrong = np.sqrt(np.mean((fields - EDCalculator(model).get_property("magnetic_forces", atoms)) ** 2))
    assert wrong < 1.5 * ACCURACY
    if reference is None:
        assert 0.4 < used.calibrate(atoms).error / wrong < 2.5


def test_the_measured_error_is_that_of_the_spins_asked_about() -> None:
    atoms = lattice("square")
    calc = KPMCalculator(NEAR, count=40, order=50, accuracy=1.0)
    exact = EDCalculator(NEAR)
    for spins in (atoms.spins, np.tile([0.0, 0.0, 1.0], (144, 1))):
        atoms.spins = spins
        wrong = calc.get_property("magnetic_forces", atoms) - exact.get_property("magnetic_forces", atoms)
        assert 0.5 < calc.calibrate(atoms).error / np.sqrt(np.mean(wrong**2)) < 2.0


def test_columns_known_to_be_too_few_are_reported_once() -> None:
    atoms = SMALL.copy()
    calc = KPMCalculator(NEAR, accuracy=1e-3, count=16, order=20)
    with pytest.warns(AccuracyWarning, match="take more of them"):
        calc.get_property("magnetic_forces", atoms)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(102):
            calc.reset()
            calc.get_property("magnetic_forces", atoms)


def test_spins_that_need_more_columns_than_the_first_are_noticed() -> None:
    model = SDModel(hopping=ShellHopping([1.0]), coupling=3.0, filling=0.5, kT=0.1)
    atoms, accuracy = lattice("square"), 0.005
    staggered = (-1.0) ** np.round(atoms.positions[:, :2].sum(axis=1))
    ferromagnet = np.tile([0.0, 0.0, 1.0], (144, 1))
    atoms.spins = ferromagnet * staggered[:, None]  # a gap: fields are local
    calc = KPMCalculator(model, accuracy)
    calc.get_property("magnetic_forces", atoms)
    first = calc.calibrate(atoms)
    atoms.spins = ferromagnet  # a metal
    assert calc.calibrate(atoms).error > 1.5 * accuracy > 1.5 * first.error
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for _ in range(205):
            calc.reset()
            calc.get_property("magnetic_forces", atoms)
    assert len(seen) == 1
    assert seen[0].category is AccuracyWarning
    assert "the magnet has changed since they were chosen: take a new calculator" in str(seen[0].message)
    assert calc.calibrate(atoms).columns is first.columns


def rattled(atoms: SpinAtoms, steps: int, length: float = 0.05) -> None:
    rng = np.random.default_rng(steps)
    for _ in range(steps):
        atoms.positions += length * rng.normal(size=(len(atoms), 3)) / np.sqrt(3)


def test_moving_atoms_stay_one_magnet_also_over_a_restart() -> None:
    atoms = disordered(3)
    calc = KPMCalculator(FAR, ACCURACY, renew=False)
    calc.get_property("free_energy", atoms)
    columns, bonds = calc.calibrate(atoms).columns, len(calc.freeze(geometry_of(atoms)).hamiltonian.bonds)
    for step in range(6):
        rattled(atoms, 1 + step % 2)
        if step == 3:
            atoms.positions += 0.5 * atoms.cell[0]  # pushed along ...
            atoms.wrap()  # ... and periods taken off, as programs do
            atoms.positions -= 0.5 * atoms.cell[0]
        calc.get_property("free_energy", atoms)
        assert calc.calibrate(atoms).columns is columns
    assert len(calc.freeze(geometry_of(atoms)).hamiltonian.bonds) != bonds
    calc.get_property("free_energy", atoms)
    state = json.loads(json.dumps(calc.checkpoint_state()))
    rattled(atoms, 1)
    expected = calc.get_property("free_energy", atoms), calc.get_property("magnetic_forces", atoms)
    again = KPMCalculator(FAR, ACCURACY, renew=False)
    again.get_property("free_energy", disordered(4))  # as a run prepares its observers before it reads a checkpoint
    again.restore_state(state)
    assert again.get_property("free_energy", atoms) == expected[0]
    np.testing.assert_array_equal(again.get_property("magnetic_forces", atoms), expected[1])


def test_what_counts_as_moved_slightly() -> None:
    before = geometry_of(disordered(3))

    def changed(change) -> bool:
        atoms = disordered(3)
        change(atoms)
        return moved_slightly(before, geometry_of(atoms), 0.3)

    assert changed(lambda atoms: None)
    assert changed(lambda atoms: atoms.positions.__iadd__([0.2, 0.2, 0.0]))
    assert not changed(lambda atoms: atoms.positions.__setitem__(7, atoms.positions[7] + [0.31, 0.0, 0.0]))
    assert changed(lambda atoms: atoms.positions.__setitem__(7, atoms.positions[7] - atoms.cell[0] + atoms.cell[2]))
    assert changed(lambda atoms: atoms.set_cell(1.05 * atoms.cell, scale_atoms=True))
    assert not changed(lambda atoms: atoms.set_cell(1.2 * atoms.cell, scale_atoms=True))
    assert not changed(lambda atoms: atoms.set_pbc([True, True, False]))
    assert not changed(lambda atoms: atoms.numbers.__setitem__(0, 27))
    atoms = disordered(3)
    atoms.pbc = False
    atoms.cell = np.zeros((3, 3))
    there = atoms.copy()
    there.positions[:, 0] += 0.1
    assert moved_slightly(geometry_of(atoms), geometry_of(there), 0.2)
    assert not moved_slightly(geometry_of(atoms), geometry_of(there), 0.05)


# -- degenerate systems -----------------------------------------------------------------------------------------------


def chain(sites: int, periodic: bool = True) -> SpinAtoms:
    return SpinAtoms.lattice("chain", (sites,), periodic=periodic, units="reduced", rng=1)


def without_moments() -> SpinAtoms:
    atoms = SpinAtoms.lattice("square", (6, 6), units="reduced", rng=1)
    atoms.moments = np.zeros((36, 3))
    return atoms


DEGENERATE = {
    "kT = 5": (SMALL, {"kT": 5.0}),
    "kT = 50": (SMALL, {"kT": 50.0}),
    "kT = 1e4": (SMALL, {"kT": 1e4}),
    "one site": (chain(1), {}),
    "one open site": (chain(1, False), {}),
    "two sites": (chain(2), {}),
    "no bonds": (chain(4), {"hopping": ShellHopping([0.0])}),
    "nothing": (chain(4), {"hopping": ShellHopping([0.0]), "coupling": 0.0}),
    "free electrons": (SMALL, {"coupling": 0.0}),
    "no moments": (without_moments(), {}),
    "large coupling": (SMALL, {"coupling": 1e3, "kT": 10.0}),
}


@pytest.mark.parametrize("ensemble", [{"filling": 0.3}, {"filling": 0.5}, {"chemical_potential": -0.5}])
@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_magnets_and_temperatures(name: str, ensemble: dict) -> None:
    atoms, options = DEGENERATE[name]
    model = SDModel(**({"hopping": ShellHopping([1.0]), "coupling": 1.0, "kT": 0.1} | options | ensemble))
    scale = model.occupation.kT + 8.0
    calc = KPMCalculator(model, 1e-5 * scale, dtype="float64", columns="unit")
    exact = EDCalculator(model)
    for result in ("energy", "free_energy", "magnetic_forces", "electron_density", "entropy"):
        wrong = np.abs(calc.get_property(result, atoms) - exact.get_property(result, atoms)).max()
        assert wrong < 2e-4 * scale * len(atoms), result
    KPMCalculator(model, 0.05 * scale).get_property("magnetic_forces", atoms)
