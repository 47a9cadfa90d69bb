"""Models as users write them: parameters by species and site, tables of input files, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.electrons import (
    ExponentialHopping,
    FixedChemicalPotential,
    FixedFilling,
    PowerLawHopping,
    SDHamiltonian,
    SDModel,
    ShellHopping,
    density_of_states,
)
from spinase.electrons.config import SDModelConfig
from spinase.errors import InvalidGeometryError, ModelError
from spinase.geometry import Geometry

HOP = ShellHopping([1.0])
SHELLS = {"style": "shell", "amplitudes": [1.0, 0.3]}


def alloy() -> Geometry:
    """A square lattice with iron and cobalt in turns."""
    atoms = SpinAtoms.lattice("square", (4, 4), units="reduced")
    atoms.numbers = np.where(np.round(atoms.positions.sum(axis=1)) % 2 == 0, 26, 27)
    return geometry_of(atoms)


def test_couplings_and_levels_by_species() -> None:
    """Of the site's own atomic number; one number is the same for all; an array is site by site."""
    geometry = alloy()
    iron = geometry.numbers == 26
    frozen = SDHamiltonian(HOP, {26: 1.0, 27: -0.5}, {26: 0.2, 27: -0.1}).freeze(geometry)
    np.testing.assert_array_equal(frozen.coupling, np.where(iron, 1.0, -0.5))
    np.testing.assert_array_equal(frozen.onsite, np.where(iron, 0.2, -0.1))
    sites = np.linspace(-1.0, 1.0, 16)
    np.testing.assert_array_equal(SDHamiltonian(HOP, 1.0, sites).freeze(geometry).onsite, sites)
    np.testing.assert_array_equal(SDHamiltonian(HOP, 0.7).onsite_energies(geometry), np.zeros(16))


def test_the_operator_is_that_of_the_equation() -> None:
    """H_ii = epsilon + (h - J s).sigma and H_ij = -t; sites with zero spin feel the field alone."""
    geometry, spins = alloy(), np.zeros((16, 3))
    spins[3] = [0.0, 0.6, 0.8]
    operator = SDHamiltonian(HOP, 1.5, 0.3, np.array([0.1, 0.0, -0.2])).freeze(geometry).operator(spins)
    np.testing.assert_allclose(operator.exchange[3], [0.1, -0.9, -1.4])
    np.testing.assert_allclose(operator.exchange[0], [0.1, 0.0, -0.2])
    np.testing.assert_array_equal(operator.hopping, np.full(len(operator.bonds), -1.0))
    np.testing.assert_array_equal(operator.onsite, np.full(16, 0.3))
    assert len(operator) == 16


@pytest.mark.parametrize(
    ("hamiltonian", "message"),
    [
        (SDHamiltonian(HOP, {26: 1.0}), "coupling is given per species but has no entry for atomic number 27"),
        (SDHamiltonian(HOP, 1.0, {27: 1.0}), "onsite is given per species but has no entry for atomic number 26"),
        (
            SDHamiltonian(HOP, 1.0, np.zeros(5)),
            r"onsite must be one number, a table by species, or 16 numbers; got shape \(5,\)",
        ),
        (SDHamiltonian(HOP, 1.0, np.full(16, np.nan)), "onsite must be finite"),
    ],
)
def test_parameters_that_do_not_fit_the_magnet_are_refused(hamiltonian: SDHamiltonian, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        hamiltonian.freeze(alloy())


def test_parameters_are_copies() -> None:
    table, levels, field = {26: 1.0, 27: 2.0}, np.zeros(16), np.array([0.1, 0.0, 0.0])
    hamiltonian = SDHamiltonian(HOP, table, levels, field)
    table[26], levels[0], field[0] = 9.0, 9.0, 9.0
    frozen = hamiltonian.freeze(alloy())
    assert frozen.coupling.max() == 2.0
    assert frozen.onsite.max() == 0.0
    assert frozen.zeeman[0] == 0.1
    with pytest.raises(ValueError, match="read-only"):
        hamiltonian.zeeman[0] = 1.0


def test_stress_needs_a_volume() -> None:
    geometry = alloy()
    frozen = SDHamiltonian(HOP, 1.0).freeze(geometry)
    virial = np.diag([1.0, 2.0, 3.0]) + 0.5 * (np.eye(3)[[1, 0, 2]] - np.diag([0, 0, 1.0]))
    np.testing.assert_allclose(frozen.stress(virial) * geometry.volume, [1.0, 2.0, 3.0, 0.0, 0.0, 0.5])
    flat = Geometry(geometry.positions, np.zeros((3, 3)), np.zeros(3, dtype=bool), geometry.numbers)
    with pytest.raises(InvalidGeometryError):
        SDHamiltonian(HOP, 1.0).freeze(flat).stress(virial)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give exactly one of filling .*and chemical_potential"),
        ({"filling": 0.5, "chemical_potential": 0.0}, "give exactly one of filling"),
        ({"filling": 1.5}, "filling is electrons per spin-orbital and must be in 0..1, got 1.5"),
        ({"filling": 0.5, "kT": -1.0}, "kT must be zero or positive .an energy., got -1.0"),
        ({"chemical_potential": np.inf}, "chemical_potential must be finite, got inf"),
        ({"filling": 0.5, "zeeman": (0.0, 1.0)}, "zeeman must be a finite vector of three energies"),
        ({"filling": 0.5, "flux": np.nan}, "flux must be finite, got nan"),
    ],
)
def test_models_that_make_no_sense_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        SDModel(HOP, 1.0, **options)


def test_wrong_hoppings_and_couplings_are_named() -> None:
    with pytest.raises(ModelError, match=r"hopping must be a hopping law such as ShellHopping\(\[1.0\]\), got 1.0"):
        SDModel(1.0, 1.0, filling=0.5)
    with pytest.raises(ModelError, match="coupling must be finite, got {26: nan}"):
        SDModel(HOP, {26: np.nan}, filling=0.5)


def test_a_model_shows_how_it_was_made() -> None:
    model = SDModel(HOP, -2.0, filling=0.3, kT=0.1, onsite={26: 0.5}, flux=2.0)
    assert repr(model) == "SDModel(ShellHopping([1]), coupling=-2, filling=0.3, kT=0.1, onsite={26: 0.5}, flux=2)"
    again = eval(repr(model))
    assert again.hamiltonian.coupling == -2.0
    assert again.occupation == FixedFilling(0.1, 0.3)
    assert "zeeman" not in repr(model)


def test_another_flux_is_another_model_with_the_rest_the_same() -> None:
    model = SDModel(HOP, -2.0, chemical_potential=0.3, kT=0.1, zeeman=(0.0, 0.0, 0.2))
    twisted = model.with_flux(3.0)
    assert (model.hamiltonian.flux, twisted.hamiltonian.flux) == (0.0, 3.0)
    assert twisted.occupation == model.occupation == FixedChemicalPotential(0.1, 0.3)
    np.testing.assert_array_equal(twisted.hamiltonian.zeeman, [0.0, 0.0, 0.2])


# -- tables of input files --------------------------------------------------------------------------------------------


def test_tables_build_the_same_models_as_scripts() -> None:
    geometry, spins = alloy(), np.tile([0.0, 0.0, 1.0], (16, 1))
    law = {"t0": 1.0, "reference": 1.0, "cutoff": 1.7, "switch_width": 0.2}
    laws = {
        "shell": (SHELLS, ShellHopping([1.0, 0.3])),
        "exponential": ({"style": "exponential", "decay": 2.0, **law}, ExponentialHopping(1.0, 2.0, 1.0, 1.7, 0.2)),
        "power-law": ({"style": "power-law", "exponent": 5.0, **law}, PowerLawHopping(1.0, 5.0, 1.0, 1.7, 0.2)),
    }
    for table, hopping in laws.values():
        found = SDModel.from_config(
            {"style": "ed", "hopping": table, "coupling": {26: 1.0, 27: 2.0}, "filling": 0.25, "kT": 0.1}
        )
        expected = SDModel(hopping, {26: 1.0, 27: 2.0}, filling=0.25, kT=0.1)
        one, two = (model.hamiltonian.freeze(geometry).operator(spins) for model in (found, expected))
        np.testing.assert_array_equal(one.hopping, two.hopping)
        np.testing.assert_array_equal(one.exchange, two.exchange)
        assert found.occupation == expected.occupation


def test_every_entry_of_a_table_is_used() -> None:
    table = {
        "hopping": SHELLS,
        "coupling": -2.0,
        "chemical_potential": -0.4,
        "kT": 0.05,
        "zeeman": (0.0, 0.1, 0.0),
        "onsite": [0.1] * 16,
        "flux": 1.0,
    }
    model = SDModel.from_config(SDModelConfig.model_validate(table))
    assert model.occupation == FixedChemicalPotential(0.05, -0.4)
    assert model.hamiltonian.flux == 1.0
    np.testing.assert_array_equal(model.hamiltonian.zeeman, [0.0, 0.1, 0.0])
    np.testing.assert_array_equal(model.hamiltonian.onsite, [0.1] * 16)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"filling": None}, "give exactly one of filling and chemical_potential"),
        ({"chemical_potential": 0.1}, "give exactly one of filling and chemical_potential"),
        ({"filling": 1.5}, "less than or equal to 1"),
        ({"kT": -0.1}, "greater than or equal to 0"),
        ({"temperature": 300.0}, "Extra inputs are not permitted"),
        ({"hopping": {"style": "shells", "amplitudes": [1.0]}}, "does not match any of the expected tags"),
        ({"hopping": {**SHELLS, "decay": 1.0}}, "Extra inputs are not permitted"),
        ({"zeeman": (0.0, 1.0)}, "zeeman"),
    ],
)
def test_tables_that_make_no_sense_are_refused(change: dict[str, object], message: str) -> None:
    table = {"hopping": SHELLS, "coupling": 1.0, "filling": 0.5, **change}
    with pytest.raises(ValidationError, match=message):
        SDModelConfig.model_validate(table)


@pytest.mark.parametrize("law", [ExponentialHopping(0.8, 1.3, 1.1, 2.0), PowerLawHopping(0.8, 3.0, 1.1, 2.0)])
def test_laws_of_distance_have_their_amplitude_at_the_reference_and_end_smoothly(law: ExponentialHopping) -> None:
    r = np.array([1.1, 1.1 + 1e-6, 1.1 - 1e-6, 1.9999, 2.0])
    values, slopes = law.law(r)
    assert values[0] == pytest.approx(0.8)
    assert slopes[0] == pytest.approx((values[1] - values[2]) / 2e-6, rel=1e-6)
    np.testing.assert_allclose(values[3:], 0.0, atol=1e-6)
    inner = np.array([1.0, 1.7])
    if isinstance(law, ExponentialHopping):
        np.testing.assert_allclose(law.law(inner)[0], 0.8 * np.exp(-1.3 * (inner - 1.1)))
    else:
        np.testing.assert_allclose(law.law(inner)[0], 0.8 * (1.1 / inner) ** 3)


def test_a_density_of_states_is_a_sum_of_gaussians() -> None:
    levels, weights = np.array([-1.0, 0.5]), np.array([2.0, 1.0])
    energies = np.array([-1.0, 0.0])
    expected = [sum(w * np.exp(-0.5 * ((e - x) / 0.3) ** 2) for x, w in zip(levels, weights, strict=True)) for e in energies]
    np.testing.assert_allclose(
        density_of_states(levels, weights, energies, 0.3), np.array(expected) / (0.3 * np.sqrt(2 * np.pi))
    )
    many = np.linspace(-1.0, 1.0, 9000)
    found = density_of_states(many, np.full(9000, 1.0), 0.0, 0.05)
    assert found.shape == (1,)
    assert found[0] == pytest.approx(4500.0, rel=1e-3), "more levels than are done at once"
    for width in (0.0, -1.0, np.nan):
        with pytest.raises(ModelError, match="the width of the density of states must be positive"):
            density_of_states(levels, weights, energies, width)
