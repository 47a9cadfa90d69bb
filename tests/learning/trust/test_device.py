"""Devices unlike those of a training: other widths, other leads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from systems.trunks import Sums, SumsConfig

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.calculators.learned import LearnedCalculator
from spinase.errors import ModelError, OutOfDomainError
from spinase.learning.card import ModelCard
from spinase.learning.trust.device import cross_section, lead_problem, require_device, width_problem
from spinase.learning.trust.domain import Domain
from spinase.learning.two_potentials import TwoPotentialsReadout
from spinase.textures import domain_wall

READOUT = TwoPotentialsReadout(window=(-0.5, 0.5), axis=0)
LEADS = [{"side": side, "exchange": [0.0, 0.0, sign]} for side, sign in (("left", 1.0), ("right", -1.0))]


def strip(length: int = 12, width: int = 3, across: bool = True, directions: Any = ((0, 0, 1), (0, 0, -1))) -> SpinAtoms:
    atoms = SpinAtoms.lattice("square", (length, width), units="reduced")
    atoms.pbc = (False, across, False)
    atoms.moments = domain_wall(geometry_of(atoms), np.random.default_rng(0), width=1.5, directions=directions)
    return atoms


def calculator(**options: Any) -> LearnedCalculator:
    trunk = Sums(SumsConfig(species=(26,), cutoff=1.2, parts=READOUT.parts)).double()
    home = Domain.from_geometries([geometry_of(strip())], 1.2).with_moments(np.ones(1))
    domain = home.with_devices(READOUT.window, READOUT.axis, [geometry_of(strip()), geometry_of(strip(20))])
    notes = {"domain": domain.to_table(), "teacher": {"style": "negf", "leads": LEADS}}
    torch.manual_seed(1)
    card = ModelCard("device", trunk.config, "reduced", readout=READOUT, notes=notes)
    return LearnedCalculator(([trunk], card), dtype="float64", bias=0.2, **options)


def test_cross_sections_are_periods_or_extents() -> None:
    assert cross_section(geometry_of(strip(12, 3)), 0) == (3.0, 0.0)
    assert cross_section(geometry_of(strip(12, 3, across=False)), 0) == (2.0, 0.0)
    assert cross_section(geometry_of(strip(12, 3)), 1) == (11.0, 0.0)
    assert width_problem(geometry_of(strip(30)), 0, [(3.0, 0.0)]) is None
    assert "a device 5 wide along y is outside" in str(width_problem(geometry_of(strip(9, 5)), 0, [(3.0, 0.0), (4.0, 1.0)]))
    assert "open" not in str(width_problem(geometry_of(strip(9, 5)), 0, [(3.0, 0.0)]))
    told = str(width_problem(geometry_of(strip(9, 3, across=False)), 0, [(3.0, 0.0)]))
    assert "a device 2 wide along y" in told
    assert told.endswith("(this one is open along y: its width is the extent of the sites)")


def test_a_longer_device_is_known_and_another_width_is_refused() -> None:
    calc = calculator()
    assert calc.domain.widths == ((3.0, 0.0),)
    assert Domain.from_table(calc.domain.to_table()) == calc.domain
    calc.get_property("torques", strip(50))
    wide = strip(12, 4)
    with pytest.raises(OutOfDomainError, match=r"a device 4 wide along y is outside the training, which had 3 wide along y"):
        calc.get_property("torques", wide)
    calculator(outside_domain="ignore").get_property("torques", wide)


def test_other_leads_are_refused_by_the_angle_of_the_ends() -> None:
    """Turned as a whole it is the same device; both ends up it is another."""
    calculator().get_property("torques", strip(directions=((1, 0, 0), (-1, 0, 0))))
    same = strip(directions=((0, 0, 1), (0.2, 0, 1)))
    with pytest.raises(OutOfDomainError, match=r"ends of this device are at 11 degrees .* \(left and right\) at 180"):
        calculator().get_property("torques", same)
    with pytest.raises(OutOfDomainError, match="other leads"):
        calculator().field_function(same)
    plain = [{"style": "wide-band", "sites": "left"}, {"style": "wide-band", "sites": "right"}]
    assert lead_problem(plain, same.positions, same.spins, 0) is None


def test_models_of_one_length_want_that_length() -> None:
    require_device(geometry_of(strip(12)), 0, "driven", LEADS, 11.0)
    with pytest.raises(ModelError, match="a device of 19 from its first to its last layer along x, and this one has 11"):
        require_device(geometry_of(strip(12)), 0, "driven", LEADS, 19.0)
