"""Calculators of classical terms: the contract, configs, errors."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from spinase import SpinAtoms
from spinase.atoms import get_moments
from spinase.calculators import (
    BiquadraticCalculator,
    CubicAnisotropyCalculator,
    DMICalculator,
    HeisenbergCalculator,
    UniaxialAnisotropyCalculator,
    ZeemanCalculator,
)
from spinase.calculators.classical import DMIConfig, HeisenbergConfig
from spinase.calculators.options import PairConfig
from spinase.electrons import SDModel, ShellHopping
from spinase.errors import InvalidGeometryError, ModelError, UnitMismatchError
from spinase.radial import BetheSlater, Exponential


def test_fields_are_per_moment_and_torques_are_m_cross_b() -> None:
    atoms = SpinAtoms.lattice("square", (4, 4), moment=2.5, rng=1)
    calc = HeisenbergCalculator(shells=[0.01])
    fields = calc.get_property("magnetic_forces", atoms)
    neighbours = atoms.spins.reshape(4, 4, 3)
    expected = sum(np.roll(neighbours, shift, axis) for axis in (0, 1) for shift in (1, -1)).reshape(16, 3) * 0.01 / 2.5
    np.testing.assert_allclose(fields, expected, atol=1e-15)
    np.testing.assert_allclose(calc.get_property("torques", atoms), np.cross(get_moments(atoms), fields), atol=1e-15)
    assert calc.get_property("free_energy", atoms) == calc.get_property("energy", atoms)


def test_moments_invalidate_the_cache_and_keep_the_neighbour_list(monkeypatch: pytest.MonkeyPatch) -> None:
    atoms, calc, calls = SpinAtoms.lattice("square", (4, 4), rng=1), HeisenbergCalculator([1.0]), []
    original = HeisenbergCalculator.freeze
    monkeypatch.setattr(HeisenbergCalculator, "freeze", lambda self, g: (calls.append(1), original(self, g))[1])
    before = calc.get_property("energy", atoms)
    atoms.rotate_spins((1, 0, 0), 0.5)
    assert calc.get_property("energy", atoms) == pytest.approx(before, abs=1e-12)
    atoms.spins = np.roll(atoms.spins, 1, axis=0) * [1, -1, 1]
    assert abs(calc.get_property("energy", atoms) - before) > 1e-3
    assert len(calls) == 1


def test_stress_follows_the_strain() -> None:
    atoms = SpinAtoms.disordered(12, rng=3)
    calc = HeisenbergCalculator(law=Exponential(0.5, 2.0, 1.0, 1.8, 0.3))
    energies = []
    for sign in (-1, 1):
        copy = atoms.copy()
        copy.set_cell(copy.cell.array @ np.diag([1.0 + sign * 1e-5, 1, 1]), scale_atoms=True)
        energies.append(calc.get_property("energy", copy))
    stress = calc.get_property("stress", atoms)
    assert (energies[1] - energies[0]) / 2e-5 / atoms.get_volume() == pytest.approx(stress[0], rel=1e-6)
    atoms.set_cell(np.zeros((3, 3)))
    atoms.pbc = False
    with pytest.raises(InvalidGeometryError, match="stress needs a cell with a volume"):
        calc.get_property("stress", atoms)


def test_declared_symmetries() -> None:
    assert "joint_rotation" in DMICalculator([1.0]).symmetries
    assert "spin_rotation" not in DMICalculator([1.0]).symmetries
    assert "joint_rotation" not in DMICalculator([1.0], normal=(0, 0, 1)).symmetries
    assert "time_reversal" not in ZeemanCalculator((0, 0, 1)).symmetries
    assert "spin_rotation" in BiquadraticCalculator([1.0]).symmetries


def test_configs_build_the_same_calculators() -> None:
    atoms = SpinAtoms.lattice("square", (4, 4), rng=1)
    by_config = HeisenbergCalculator.from_config(HeisenbergConfig(shells=[1.0, 0.2]))
    assert by_config.get_property("energy", atoms) == HeisenbergCalculator([1.0, 0.2]).get_property("energy", atoms)
    dmi = DMICalculator.from_config(DMIConfig(shells=[0.4], normal=(0, 0, 2)))
    assert dmi.get_property("energy", atoms) == DMICalculator([0.4], normal=(0, 0, 1)).get_property("energy", atoms)
    law = {"amplitude": 0.5, "decay": 2.0, "reference": 1.0, "cutoff": 1.8}
    from_law = BiquadraticCalculator.from_config(PairConfig.model_validate({"law": law}))
    direct = BiquadraticCalculator(law=Exponential(0.5, 2.0, 1.0, 1.8, 0.18))
    assert from_law.get_property("energy", atoms) == direct.get_property("energy", atoms)
    with pytest.raises(ValidationError, match="give exactly one of shells, law, .*morse, tabulated, pairs"):
        PairConfig()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: HeisenbergCalculator(), "give exactly one of shells"),
        (lambda: HeisenbergCalculator([np.inf]), "list of finite amplitudes"),
        (lambda: UniaxialAnisotropyCalculator(np.nan), "strength must be finite"),
        (lambda: UniaxialAnisotropyCalculator(1.0, (1, 2)), "axis must be a finite vector of three numbers"),
        (lambda: CubicAnisotropyCalculator(1.0, [[1, 0, 0], [1, 1, 0], [0, 0, 1]]), "three orthogonal vectors"),
        (lambda: ZeemanCalculator((1, 2)), "Zeeman field must be a finite vector"),
        (
            lambda: HeisenbergCalculator(["39 meV", "22 meV"]),
            r"parameters must be numbers, got \['39 meV'.*spinase.amounts.amount",
        ),
        (
            lambda: BetheSlater("27 meV", 0.2, 1.8, 3.4),
            r"parameters of BetheSlater \(amplitude\) must be numbers, got '27 meV'",
        ),
        (lambda: UniaxialAnisotropyCalculator("1 meV"), "strength must be numbers, got '1 meV'"),
        (lambda: ZeemanCalculator("0 0 5 T"), "must be numbers, got '0 0 5 T'"),
        (lambda: SDModel(ShellHopping(["1 eV"]), 3.0, filling=0.5), "parameters must be numbers, got"),
        (lambda: SDModel(ShellHopping([1.0]), "3 eV", filling=0.5), "coupling must be numbers, got"),
        (lambda: SDModel(ShellHopping([1.0]), 3.0, filling=0.5, kT="300 K"), "kT must be numbers, got '300 K'"),
    ],
)
def test_bad_terms_are_refused(build: object, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build()  # type: ignore[operator]


def test_units_are_checked() -> None:
    atoms = SpinAtoms.lattice("square", (4, 4), units="reduced", rng=1)
    with pytest.raises(UnitMismatchError, match="HeisenbergCalculator works in metal units"):
        HeisenbergCalculator([1.0], units="metal").get_property("energy", atoms)
