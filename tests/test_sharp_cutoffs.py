"""Laws that end with a jump: round-off must not decide which pairs of a shell count."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.calculators import BiquadraticCalculator, HeisenbergCalculator, NeelCalculator, PairPotentialCalculator
from spinase.electrons import UserHopping
from spinase.errors import InvalidGeometryError
from spinase.geometry import Geometry
from spinase.pair_laws import DistanceLaw
from spinase.radial import BetheSlater, Exponential, Morse, PowerLaw, RadialLaw, Tabulated, UserLaw
from spinase.spin_algebra import random_rotation

A = 2.8665
SHELLS = A * np.array([np.sqrt(0.75), 1.0, np.sqrt(2.0)])


def iron(rotation: int | None = None, digits: int | None = None) -> SpinAtoms:
    atoms = SpinAtoms(bulk("Fe", cubic=True, a=A).repeat(3))
    atoms.moments = np.full((54, 3), [0.0, 0.0, 2.2])
    if rotation is not None:
        turn = random_rotation(np.random.default_rng(rotation))
        atoms.set_cell(atoms.cell @ turn.T)
        atoms.positions = atoms.positions @ turn.T
    if digits is not None:
        atoms.positions = np.round(atoms.positions, digits)
    return atoms


def ferromagnet(cutoff: float) -> BetheSlater:
    return BetheSlater(0.02, 0.2, 1.8, cutoff)


@pytest.mark.parametrize("digits", [None, 8, 5])
@pytest.mark.parametrize("rotation", [None, 0, 1])
@pytest.mark.parametrize("shell", [0, 1, 2])
def test_a_jump_at_a_shell_is_refused(shell: int, rotation: int | None, digits: int | None) -> None:
    atoms = iron(rotation, digits)
    atoms.calc = HeisenbergCalculator(law=ferromagnet(SHELLS[shell]))
    with pytest.raises(InvalidGeometryError, match=f"pairs are {str(SHELLS[shell])[:4]}.* BetheSlater ends with a jump"):
        atoms.get_potential_energy()


@pytest.mark.parametrize("rotation", [None, 0, 1])
def test_between_shells_it_counts_whole_shells(rotation: int | None) -> None:
    law = ferromagnet(0.5 * (SHELLS[1] + SHELLS[2]))
    atoms = iron(rotation)
    atoms.calc = HeisenbergCalculator(law=law)
    values = law(SHELLS[:2])[0]
    assert atoms.get_potential_energy() == pytest.approx(-54 * (4 * values[0] + 3 * values[1]), abs=1e-9)


SMOOTH = [
    BetheSlater(0.02, 0.2, 1.8, SHELLS[1], 0.3),
    Exponential(0.02, 1.0, 2.5, SHELLS[1], 0.3),
    PowerLaw(0.02, 3.0, 2.5, SHELLS[1], 0.3),
    Morse(0.02, 1.0, 2.5, SHELLS[1], 0.3),
    Tabulated((2.0, 2.3, 2.6, SHELLS[1]), (0.03, 0.02, 0.01, 0.01), SHELLS[1], 0.3),
    UserLaw(lambda r: ((SHELLS[1] - r) ** 2, -2.0 * (SHELLS[1] - r)), SHELLS[1]),
]


@pytest.mark.parametrize("law", SMOOTH, ids=[type(law).__name__ for law in SMOOTH])
def test_smooth_laws_may_end_at_a_shell(law: RadialLaw) -> None:
    expected = -54 * 4 * law(SHELLS[:1])[0][0]
    for rotation in (None, 0, 1):
        atoms = iron(rotation)
        atoms.calc = HeisenbergCalculator(law=law)
        assert atoms.get_potential_energy() == pytest.approx(expected, rel=1e-9)


def test_every_term_of_distance_has_the_rule() -> None:
    atoms, law = iron(), ferromagnet(SHELLS[1])
    step = UserLaw(lambda r: (np.ones_like(r), np.zeros_like(r)), SHELLS[1])
    calculators = [
        BiquadraticCalculator(law=law),
        NeelCalculator(law),
        PairPotentialCalculator(law),
        HeisenbergCalculator(pairs={"Fe-Fe": law}),
        HeisenbergCalculator(law=step),
    ]
    for calc in calculators:
        with pytest.raises(InvalidGeometryError, match="ends with a jump"):
            calc.get_property("energy", atoms)
    with pytest.raises(InvalidGeometryError, match="ends with a jump"):
        UserHopping(step.function, SHELLS[1]).amplitudes(geometry_of(atoms))


def test_a_table_looks_at_its_own_species() -> None:
    """NiO: the cutoff of Ni-Ni pairs is between their shells, though Ni-O pairs are exactly there."""
    atoms = SpinAtoms(bulk("NiO", "rocksalt", a=4.2, cubic=True).repeat(2))
    atoms.moments = np.where((atoms.numbers == 28)[:, None], [0.0, 0.0, 2.0], 0.0)
    cutoff = 2.1 * np.sqrt(3.0)  # Ni-O, second shell; Ni-Ni: 2.97, 4.2
    law = BetheSlater(0.02, 0.2, 2.5, cutoff)
    atoms.calc = HeisenbergCalculator(pairs={"Ni-Ni": law})
    assert atoms.get_potential_energy() == pytest.approx(-32 * 6 * law(np.array([4.2 / np.sqrt(2)]))[0][0], rel=1e-9)


def test_atoms_on_their_way_pass_the_cutoff() -> None:
    """Of disordered points some pair is always near the cutoff; that is no shell."""
    atoms = SpinAtoms.disordered(300, rng=2, dimension=3, density=0.6)
    geometry = geometry_of(atoms)
    law = DistanceLaw(BetheSlater(0.02, 0.2, 1.8, 2.0))
    rng = np.random.default_rng(0)
    for _ in range(20):
        moved = Geometry(geometry.positions + 0.1 * rng.normal(size=(300, 3)), geometry.cell, geometry.pbc, geometry.numbers)
        assert law.amplitudes(moved)[0].distances.max() <= 2.0
