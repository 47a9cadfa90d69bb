"""Numbers of others (published.toml holds them with provenance)."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.analysis import structure_factor
from spinase.calculators import EDCalculator
from spinase.dynamics import LLGDynamics
from spinase.electrons import SDModel, ShellHopping

PUBLISHED = tomllib.loads((Path(__file__).parent / "published.toml").read_text())


def triangular(order: str) -> SpinAtoms:
    """Magnetic cell of an order of the triangular lattice."""
    if order == "stripe":
        return SpinAtoms.lattice("triangular", (1, 2), units="reduced", texture="spiral", wavevector=(0, 1, 0))
    if order == "2Q":
        atoms = SpinAtoms.lattice("triangular", (2, 2), units="reduced", texture="tetrahedral")
        atoms.spins = np.array(atoms.spins) * [1, 1, 0]
        return atoms
    size = {"ferro": (1, 1), "120-degree": (3, 3), "tetrahedral": (2, 2)}[order]
    return SpinAtoms.lattice("triangular", size, units="reduced", texture=order)


def energy(order: str, mesh: int, filling: float) -> float:
    """Energy per site at J = 3, kT = 0 on a mesh of the given number of points along each cell vector."""
    atoms = triangular(order)
    model = SDModel(ShellHopping([1.0]), 3.0, filling=filling, kT=0.0)
    atoms.calc = EDCalculator(model, (2 * mesh if order == "stripe" else mesh, mesh, 1))
    return float(atoms.get_potential_energy()) / len(atoms)


def test_square_lattice_check_value() -> None:
    atoms = SpinAtoms.lattice("square", (6, 6), units="reduced")
    spins = np.array(atoms.spins)
    spins[0] = 1.0
    atoms.spins = spins
    atoms.calc = EDCalculator(SDModel(ShellHopping([1.0, 0.0, 0.5]), 0.5, chemical_potential=0.103, kT=0.0))
    expected = PUBLISHED["barros_kato"]["grand_potential_per_site"]
    assert atoms.calc.get_property("free_energy", atoms) / 36 == pytest.approx(expected, abs=5e-9)


@pytest.mark.parametrize(
    ("order", "mesh", "filling", "table", "key"),
    [
        ("tetrahedral", 24, 0.25, "triangular_quarter_filling", "tetrahedral"),
        ("120-degree", 32, 0.5, "triangular_half_filling", "order_120"),
        ("tetrahedral", 48, 0.5, "triangular_half_filling", "tetrahedral"),
    ],
)
def test_insulating_orders_agree_to_all_digits(order: str, mesh: int, filling: float, table: str, key: str) -> None:
    assert energy(order, mesh, filling) == pytest.approx(PUBLISHED[table][key], abs=1e-6)
    assert energy(order, mesh // 2, filling) == pytest.approx(energy(order, mesh, filling), abs=1e-6)


@pytest.mark.parametrize(
    ("order", "mesh", "filling", "key"),
    [
        ("ferro", 512, 0.25, "ferro"),
        ("120-degree", 128, 0.25, "order_120"),
        ("stripe", 256, 0.25, "stripe"),
        ("2Q", 128, 0.25, "two_q"),
        ("ferro", 512, 0.5, "ferro_half_filling"),
    ],
)
def test_metallic_orders_are_converged_in_the_mesh(order: str, mesh: int, filling: float, key: str) -> None:
    fine = energy(order, mesh, filling)
    assert fine == pytest.approx(PUBLISHED["triangular_converged"][key], abs=3e-6)
    assert energy(order, mesh // 2, filling) == pytest.approx(fine, abs=1e-5)


def test_metallic_literature_values_within_their_own_mesh_error() -> None:
    quoted = PUBLISHED["triangular_quarter_filling"]
    assert energy("ferro", 512, 0.25) == pytest.approx(quoted["ferro"], abs=quoted["ferro_tolerance"])
    assert energy("2Q", 256, 0.25) == pytest.approx(quoted["two_q"], abs=quoted["two_q_tolerance"])
    assert energy("120-degree", 128, 0.25) == pytest.approx(quoted["order_120_half_shifted_16"], abs=5e-5)


def test_the_order_of_the_phases_and_the_gap() -> None:
    ladder = [energy(order, 64, 0.25) for order in ("tetrahedral", "2Q", "stripe", "120-degree", "ferro")]
    assert ladder == sorted(ladder)
    for mesh in (24, 48):
        atoms = triangular("tetrahedral")
        calc = EDCalculator(SDModel(ShellHopping([1.0]), 3.0, filling=0.25, kT=0.0), (mesh, mesh, 1))
        calc.get_property("energy", atoms)
        assert calc._state is not None
        levels = calc._state.electrons(bonds=False)
        middle = calc.get_property("chemical_potential", atoms)
        above, below = levels.levels[levels.levels > middle].min(), levels.levels[levels.levels < middle].max()
        assert above - below == pytest.approx(PUBLISHED["triangular_converged"]["tetrahedral_gap"], abs=1e-6)


def test_skyrmion_crystal_beats_helix_beats_ferromagnet() -> None:
    """On the Gamma-centred 8x8 mesh the metals differ from the half-shifted quotes by their mesh error, about 2e-5.

    The crystal here is the plain normalized triple-Q state; the quote is 1.2e-4 higher, from a texture that is not
    specified further, so only the order and the size of the gain are compared.
    """
    model = SDModel(ShellHopping([1.0, 0.0, -0.85]), 0.5, chemical_potential=-3.5, kT=1e-3)
    found = {}
    for name, texture, options in (
        ("ferro", "ferro", {}),
        ("helix", "spiral", {"wavevector": (2, 1, 0)}),
        ("crystal", "skyrmion-crystal", {}),
    ):
        atoms = SpinAtoms.lattice("triangular", (12, 12), units="reduced", texture=texture, **options)
        found[name] = EDCalculator(model, (8, 8, 1)).get_property("free_energy", atoms) / 144
    quoted = PUBLISHED["skyrmion"]
    assert found["ferro"] == pytest.approx(quoted["ferro_half_shifted_8"], abs=5e-6)
    assert found["helix"] == pytest.approx(quoted["helix_half_shifted_8"], abs=5e-5)
    assert found["crystal"] == pytest.approx(quoted["crystal_half_shifted_8"], abs=2e-4)
    assert found["crystal"] < found["helix"] < found["ferro"]


def test_double_exchange_quench_starts_and_goes_where_the_published_one_does() -> None:
    """A 12x12 stand-in for the published 30x30 (the full one is an example of the faster solvers): energy per site from
    random spins, its fall, and the antiferromagnetic correlations that grow."""
    atoms = SpinAtoms.lattice("square", (12, 12), units="reduced", rng=2)
    model = SDModel(ShellHopping([1.0]), 6.0, filling=0.485, kT=0.003)
    atoms.calc = EDCalculator(model)
    start = atoms.get_potential_energy() / 144
    LLGDynamics(atoms, timestep=0.8, damping=0.3, integrator="heun").run(150)
    end = atoms.get_potential_energy() / 144
    quoted = PUBLISHED["double_exchange"]
    assert start == pytest.approx(quoted["energy_start"], abs=0.02)
    assert end == pytest.approx(quoted["energy_end"], abs=0.02)
    assert end < start - 0.05
    pole = structure_factor(atoms, [[np.pi, np.pi, 0.0]]).values[0] / 144
    assert pole > 0.1, "random spins have 1/144"
