"""Magnets without sites: nothing where there is nothing to add up, one line where there is nothing to fill."""

from __future__ import annotations

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.calculators import EDCalculator, KPMCalculator, RationalCalculator
from spinase.classical import (
    Biquadratic,
    BondTable,
    BondTableTerm,
    Dipole,
    DzyaloshinskiiMoriya,
    Heisenberg,
    Neel,
    PairPotential,
    Term,
    UniaxialAnisotropy,
    Zeeman,
    ZhangLi,
)
from spinase.electrons import SDModel, ShellHopping
from spinase.errors import InvalidGeometryError, ModelError
from spinase.geometry import Geometry
from spinase.learning.grand_potential import GrandPotentialReadout
from spinase.pair_laws import DistanceLaw, ShellLaw
from spinase.radial import Exponential

LAW = DistanceLaw(Exponential(0.8, 2.0, 1.0, 1.9, 0.4))
NONE = np.zeros(0, dtype=np.int64)
SITE, SHIFT = np.zeros(1, dtype=np.int64), np.array([[1, 0, 0]])
CHAIN = BondTable(np.zeros((1, 3)), np.eye(3), SITE, SITE, SHIFT, np.eye(3)[None])
TERMS: dict[str, Term] = {
    "shells": Heisenberg(ShellLaw([1.0, 0.5])),
    "distances": Heisenberg(LAW),
    "biquadratic": Biquadratic(LAW),
    "dmi": DzyaloshinskiiMoriya(LAW),
    "neel": Neel(LAW, LAW),
    "pair potential": PairPotential(LAW),
    "dipoles": Dipole(1.0),
    "uniaxial": UniaxialAnisotropy(1.0, np.eye(3)[2]),
    "zeeman": Zeeman(np.ones(3)),
    "bond table": BondTableTerm(CHAIN),
    "zhang-li": ZhangLi(np.eye(3)[0], 0.1, 1.0),
}


def nothing(periodic: bool) -> Geometry:
    return Geometry(np.zeros((0, 3)), 3.0 * np.eye(3), np.full(3, periodic), NONE)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("name", TERMS)
def test_terms_have_no_energy_no_field_and_no_force(name: str, periodic: bool) -> None:
    frozen, spins, lengths = TERMS[name].freeze(nothing(periodic)), np.zeros((0, 3)), np.zeros(0)
    assert frozen.gradient(spins, lengths).shape == (0, 3)
    forces, virial = frozen.lattice(spins, lengths)
    assert forces.shape == (0, 3)
    assert not virial.any()
    if name != "zhang-li":  # driven: it has no energy
        assert frozen.energy(spins, lengths) == 0.0


@pytest.mark.parametrize("kind", [EDCalculator, RationalCalculator, KPMCalculator])
def test_electrons_of_no_sites_are_refused(kind: type) -> None:
    calc = kind(SDModel(ShellHopping([1.0]), 1.0, chemical_potential=-0.4, kT=0.1))
    with pytest.raises(
        InvalidGeometryError, match="a magnet without sites has no electrons and no levels to fill: add at least"
    ):
        calc.get_property("energy", SpinAtoms(cell=3.0 * np.eye(3), pbc=True, units="reduced"))


def test_a_learned_filling_of_no_sites_is_refused() -> None:
    readout = GrandPotentialReadout((-1.0, 1.0), filling=0.4)
    with pytest.raises(ModelError, match="no chemical potential belongs to a filling of no sites"):
        readout.weigh(np.zeros((0, 3)), 1, 1.0, np.zeros((0, 3)))
