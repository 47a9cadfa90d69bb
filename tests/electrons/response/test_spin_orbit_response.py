"""What comes out of spin-orbit electrons: DMI, anisotropy of exchange, anomalous Hall conductivity."""

from __future__ import annotations

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.analysis import exact_conductivity, kpm_conductivity
from spinase.atoms import geometry_of, get_spins, set_moments
from spinase.calculators import EDCalculator, RationalCalculator
from spinase.electrons import DirectionalHopping, RashbaHopping, SDModel, ShellHopping, SpinOrbitLaw

THETA, COUPLING, KT = 0.3, 0.9, 0.15
ALONG_Z = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])  # bonds along x turn spins about z


def ring(count: int, *laws: SpinOrbitLaw, hopping: float = 1.0) -> tuple[SpinAtoms, EDCalculator]:
    """A ferromagnet along z."""
    atoms = SpinAtoms.lattice("chain", (count,), units="reduced")
    set_moments(atoms, np.tile([0.0, 0.0, 1.0], (count, 1)))
    model = SDModel(ShellHopping([hopping]), COUPLING, chemical_potential=-0.7, kT=KT, spin_orbit=laws)
    return atoms, EDCalculator(model)


def test_dmi_of_a_gauge_in_closed_form() -> None:
    """t exp(i theta sigma_z) along an open chain: D_ij = J_ij sin(2 theta (j - i)) z of the chain without, and J cos(..)."""
    atoms, plain = ring(7)
    atoms.pbc = False
    law = DirectionalHopping([np.sin(THETA)], ALONG_Z)
    _, turned = ring(7, law, hopping=np.cos(THETA))
    without, found = plain.exchange_tensors(atoms, shells=3), turned.exchange_tensors(atoms, shells=3)
    angle = 2.0 * THETA * found.bonds.vectors[:, 0]
    transverse = without.tensors[:, 0, 0]
    assert np.abs(transverse).max() > 0.01
    np.testing.assert_allclose(found.tensors[:, 0, 0], transverse * np.cos(angle), atol=1e-12)
    np.testing.assert_allclose(found.dmi[:, 2], transverse * np.sin(angle), atol=1e-12)
    np.testing.assert_allclose(found.dmi[:, :2], 0.0, atol=1e-12)


def test_dmi_is_what_tells_spirals_of_either_sense_apart() -> None:
    """Cones of a small opening that turn by +-q a site: F(q) - F(-q) = -2 e^2 sum D sin(q R), by finite differences."""
    count, opening = 8, 1e-2
    atoms, calc = ring(count, DirectionalHopping([0.3], ALONG_Z))
    tensors = calc.exchange_tensors(atoms, shells=4)
    q = 2.0 * np.pi / count

    def energy(turn: float) -> float:
        angles, cone = turn * np.arange(count), atoms.copy()
        spins = np.stack([np.sin(opening) * np.cos(angles), np.sin(opening) * np.sin(angles), 0.0 * angles], axis=1)
        spins[:, 2] = np.cos(opening)
        set_moments(cone, spins)
        return float(calc.get_property("free_energy", cone))

    expected = -2.0 * opening**2 * np.sum(tensors.dmi[:, 2] * np.sin(q * tensors.bonds.vectors[:, 0]))
    assert abs(expected) > 1e-6
    assert energy(q) - energy(-q) == pytest.approx(expected, rel=1e-3)


def test_tensors_of_both_solvers_are_finite_differences_of_fields() -> None:
    """In a random texture, with forces of all directions: -dH_i/ds_j of spins of any length."""
    atoms = SpinAtoms.lattice("square", (3, 3), units="reduced", rng=3)
    model = SDModel(ShellHopping([1.0]), COUPLING, filling=0.35, kT=KT, spin_orbit=RashbaHopping([0.4]))
    ed, rational = EDCalculator(model), RationalCalculator(model, tolerance=1e-10)
    found = ed.exchange_tensors(atoms, shells=1)
    np.testing.assert_allclose(rational.exchange_tensors(atoms, shells=1).tensors, found.tensors, atol=1e-7)
    frozen, plan = model.hamiltonian.freeze(geometry_of(atoms)), ed.freeze(geometry_of(atoms)).plan

    def fields(spins: np.ndarray) -> np.ndarray:
        return frozen.spin_gradient(plan.solve(frozen.operator(spins), bonds=False).density)

    spins, step = get_spins(atoms), 1e-4
    for b in (0, 7):
        i, j = found.bonds.first[b], found.bonds.second[b]
        for a in range(3):
            moved = np.zeros_like(spins)
            moved[j, a] = step
            slope = (fields(spins + moved) - fields(spins - moved))[i] / (2.0 * step)
            np.testing.assert_allclose(found.tensors[b][:, a], slope, atol=1e-7)
    assert np.linalg.norm(found.dmi, axis=1).max() > 0.01


def test_interfacial_dmi_is_across_the_bond_and_in_the_plane() -> None:
    """Of a Rashba ferromagnet along z: mirrors leave D along d x z, odd in the Rashba strength; without it there is none."""
    atoms = SpinAtoms.lattice("square", (1, 1), units="reduced")

    def dmi(strength: float) -> tuple[np.ndarray, np.ndarray]:
        model = SDModel(ShellHopping([1.0]), COUPLING, chemical_potential=-1.0, kT=KT, spin_orbit=RashbaHopping([strength]))
        found = EDCalculator(model, (8, 8, 1)).exchange_tensors(atoms, shells=2)
        return found.bonds.vectors, found.dmi

    vectors, found = dmi(0.2)
    across = np.cross(vectors, [0.0, 0.0, 1.0])
    along = np.sum(found * across, axis=1) / np.linalg.norm(across, axis=1)
    assert np.abs(along).min() > 1e-4
    np.testing.assert_allclose(found, along[:, None] * across / np.linalg.norm(across, axis=1)[:, None], atol=1e-10)
    np.testing.assert_allclose(dmi(-0.2)[1], -found, atol=1e-10)
    np.testing.assert_allclose(dmi(0.0)[1], 0.0, atol=1e-10)


def test_the_anomalous_hall_conductivity_of_a_rashba_ferromagnet() -> None:
    """Berry curvatures of H = e(k) + d(k).sigma: -+2 (d_x d x d_y d).d/|d| / (4 d^2 + width^2) of the two bands, summed."""
    strength, width, count, mu, moment = 0.4, 0.02, 9, np.array([-2.3, -0.5, 1.4]), np.array([0.48, 0.0, 0.64])
    moment = moment / np.linalg.norm(moment)
    atoms = SpinAtoms.lattice("square", (1, 1), units="reduced")
    set_moments(atoms, moment[None])
    model = SDModel(ShellHopping([1.0]), COUPLING, filling=0.5, spin_orbit=RashbaHopping([strength]))
    found = exact_conductivity(atoms, model, (count, count, 1), width=width).hall(mu, kT=KT)[:, 2]
    kx, ky = 2.0 * np.pi * np.stack(np.meshgrid(*[np.arange(count)] * 2, indexing="ij")).reshape(2, -1) / count
    zero = np.zeros_like(kx)
    d = 2.0 * strength * np.stack([np.sin(ky), -np.sin(kx), zero], axis=1) - COUPLING * moment
    slope_x = 2.0 * strength * np.stack([zero, -np.cos(kx), zero], axis=1)
    slope_y = 2.0 * strength * np.stack([np.cos(ky), zero, zero], axis=1)
    size = np.linalg.norm(d, axis=1)
    curvature = 2.0 * np.sum(np.cross(slope_x, slope_y) * d, axis=1) / size / (4.0 * size**2 + width**2)
    band = -2.0 * (np.cos(kx) + np.cos(ky))
    filled = [1.0 / (1.0 + np.exp((band + sign * size - mu[:, None]) / KT)) for sign in (-1.0, 1.0)]
    expected = -2.0 * np.pi * ((filled[0] - filled[1]) @ curvature) / count**2
    np.testing.assert_allclose(found, expected, atol=1e-10)
    assert np.abs(expected).min() > 1e-3
    set_moments(atoms, -moment[None])
    reversed_ = exact_conductivity(atoms, model, (count, count, 1), width=width).hall(mu, kT=KT)[:, 2]
    np.testing.assert_allclose(reversed_, -expected, atol=1e-10)


def test_moments_of_a_large_magnet_give_the_same_hall_conductivity() -> None:
    """Chebyshev moments with an exact trace, where the temperature smooths more than their resolution."""
    atoms = SpinAtoms.lattice("square", (6, 6), units="reduced")
    set_moments(atoms, np.tile([0.0, 0.0, 1.0], (36, 1)))
    model = SDModel(ShellHopping([1.0]), 1.5, filling=0.5, spin_orbit=RashbaHopping([0.5]))
    exact = exact_conductivity(atoms, model, width=1e-2).hall([-2.0, 0.7], kT=0.6)[:, 2]
    found = kpm_conductivity(atoms, model, moments=80, vectors=None).hall([-2.0, 0.7], kT=0.6)[:, 2]
    assert np.abs(exact).min() > 0.01
    np.testing.assert_allclose(found, exact, atol=0.05 * np.abs(exact).max())
