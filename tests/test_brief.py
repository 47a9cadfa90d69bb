"""Interactive use: what objects say of themselves."""

from __future__ import annotations

import numpy as np
import pytest

import spinase
from spinase import SpinAtoms
from spinase.analysis import chirality_walls, structure_factor
from spinase.brief import brief
from spinase.calculators import (
    BondTableCalculator,
    DipoleCalculator,
    EDCalculator,
    HeisenbergCalculator,
    SpinSumCalculator,
    ZeemanCalculator,
)
from spinase.classical.tensor import BondTable
from spinase.dynamics import LLGDynamics, MonteCarlo
from spinase.electrons import SDModel, ShellHopping
from spinase.io.run_file import Series


def test_tab_completion_shows_what_is_loaded_later():
    assert {"SpinAtoms", "__version__"} <= set(dir(spinase))
    assert "TYPE_CHECKING" not in dir(spinase)
    assert all(spinase.__getattr__(name).__name__ == f"spinase.{name}" for name in spinase._ROOMS)
    assert set(spinase._ROOMS) <= set(dir(spinase))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        spinase.__getattr__("nothing")


MODEL = SDModel(ShellHopping([1.0, 0.25]), 3.0, filling=0.25, kT=0.01)


@pytest.mark.parametrize(
    ("thing", "text"),
    [
        (
            HeisenbergCalculator([1.0], species=["Fe"]),
            "HeisenbergCalculator(law=AmongSpecies(ShellLaw([1]), (26)), offset=False, species=['Fe'])",
        ),
        (ZeemanCalculator((0, 0, 1 / 3), units="metal"), "ZeemanCalculator(field=[0, 0, 0.333333], units='metal')"),
        (MODEL, "SDModel(ShellHopping([1, 0.25]), coupling=3, filling=0.25, kT=0.01)"),
        (EDCalculator(MODEL), f"EDCalculator({MODEL!r})"),
        (
            SpinSumCalculator([ZeemanCalculator((0, 0, 1)), DipoleCalculator(0.5)], [1, 2]),
            "SpinSumCalculator(ZeemanCalculator(field=[0, 0, 1]) + "
            "2 * DipoleCalculator(strength=0.5, accuracy=1e-10, dtype='float64'))",
        ),
    ],
)
def test_repr(thing, text):
    assert repr(thing) == text


def test_repr_of_a_driver_and_of_a_large_table():
    atoms = SpinAtoms.lattice("square", (3, 3), units="reduced")
    atoms.calc = HeisenbergCalculator([1.0])
    driver = LLGDynamics(atoms, 0.1, damping=0.2)
    driver.run(2)
    assert repr(driver) == (
        "LLGDynamics(sites=9, steps_done=2, calculator=HeisenbergCalculator(law=ShellLaw([1]), offset=False), timestep=0.1, "
        "damping=0.2, integrator='SemiImplicitB')"
    )
    iron = SpinAtoms.lattice("bcc", (2, 2, 2), rng=1)
    iron.calc = HeisenbergCalculator([0.02])
    assert "timestep='2 fs', damping=0.1" in repr(LLGDynamics(iron, "2 fs", damping=0.1, temperature_K=300, rng=1))
    assert "kT='300 K'" in repr(LLGDynamics(iron, "2 fs", damping=0.1, temperature_K=300, rng=1))
    assert "kT='10 K', method" in repr(MonteCarlo(iron, "10 K", rng=1))
    many = np.zeros(500, dtype=int)
    table = BondTable(np.zeros((1, 3)), np.eye(3), many, many, np.zeros((500, 3), dtype=int), np.zeros((500, 3, 3)))
    assert len(repr(BondTableCalculator(table))) < 200
    assert brief(np.zeros((500, 3))) == "<array (500, 3)>"


def test_results_show_their_arrays_by_shape():
    atoms = SpinAtoms.lattice("square", (4, 4), units="reduced", rng=1)
    assert repr(structure_factor(atoms)) == "StructureFactor(wavevectors=<array (16, 3)>, values=<array (16,)>)"
    walls = repr(chirality_walls(SpinAtoms.lattice("triangular", (6, 6), units="reduced", rng=1)))
    assert walls.startswith("ChiralityWalls(")
    assert len(walls) < 400
    series = Series(np.arange(9), np.arange(9.0), np.zeros((9, 20)), "m", "mu_B", "sites", "")
    assert "values=<array (9, 20)>, label='m'" in repr(series)
