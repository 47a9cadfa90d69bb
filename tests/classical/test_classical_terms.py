"""Classical terms: gradients of their own energies, closed forms, invariance off the sphere."""

from __future__ import annotations

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.classical import (
    Biquadratic,
    CubicAnisotropy,
    Dipole,
    DzyaloshinskiiMoriya,
    Heisenberg,
    Landau,
    Neel,
    PairPotential,
    Term,
    UniaxialAnisotropy,
    Zeeman,
    add_models,
)
from spinase.classical.terms import OfSpecies
from spinase.geometry import Geometry
from spinase.pair_laws import DistanceLaw, ShellLaw
from spinase.radial import Exponential
from spinase.spin_algebra import rotation_matrix

LAW = DistanceLaw(Exponential(0.8, 2.0, 1.0, 1.9, 0.4))
NORMAL = np.array([0.0, 0.6, 0.8])
TERMS: dict[str, Term] = {
    "heisenberg": Heisenberg(LAW),
    "biquadratic": Biquadratic(LAW),
    "bulk dmi": DzyaloshinskiiMoriya(LAW),
    "interfacial dmi": DzyaloshinskiiMoriya(LAW, NORMAL),
    "uniaxial": UniaxialAnisotropy(0.7, NORMAL),
    "cubic": CubicAnisotropy(0.7, rotation_matrix((1, 2, 3), 0.4), -0.9),
    "zeeman": Zeeman(np.array([0.3, -0.2, 0.5])),
    "exchange from the ferromagnet": Heisenberg(LAW, offset=True),
    "neel": Neel(LAW, LAW),
    "dipoles": Dipole(0.3),
    "dipoles in a film": Dipole(0.3, np.array([0.0, 0.2, 0.8])),
    "landau": Landau(np.array([0.1, 0.2, -0.03])),
    "one species": OfSpecies(Neel(LAW), (26,)),
}
PAIRS = [name for name in TERMS if name not in ("uniaxial", "cubic", "zeeman", "landau")]
SAMPLED = [name for name in TERMS if name not in ("neel", "one species", "landau") and "dipoles" not in name]


def magnet(sites: int = 14) -> tuple[Geometry, np.ndarray, np.ndarray]:
    """Disordered periodic sites, free vectors as spins (one zero), and lengths."""
    atoms = SpinAtoms.disordered(sites, rng=2)
    rng = np.random.default_rng(5)
    spins = atoms.spins * rng.uniform(0.6, 1.0, size=(sites, 1))
    spins[3] = 0.0
    return geometry_of(atoms), spins, np.where(np.arange(sites) == 3, 0.0, 2.1)


def shifted(geometry: Geometry, positions: np.ndarray, cell: np.ndarray | None = None) -> Geometry:
    return Geometry(positions, geometry.cell if cell is None else cell, geometry.pbc, geometry.numbers)


@pytest.mark.parametrize("name", TERMS)
def test_field_is_minus_the_gradient_in_the_spins(name: str) -> None:
    geometry, spins, lengths = magnet()
    frozen = TERMS[name].freeze(geometry)
    direction = np.random.default_rng(1).normal(size=spins.shape)
    direction[3] = 0.0
    step = 1e-5
    change = frozen.energy(spins + step * direction, lengths) - frozen.energy(spins - step * direction, lengths)
    work = np.sum(frozen.gradient(spins, lengths) * direction)
    assert abs(work) > 1e-2
    assert change / (2 * step) == pytest.approx(-work, rel=1e-7)


@pytest.mark.parametrize("name", PAIRS)
def test_forces_and_virial_are_gradients_in_the_positions(name: str) -> None:
    geometry, spins, lengths = magnet()
    term, rng, step = TERMS[name], np.random.default_rng(3), 1e-5
    forces, virial = term.freeze(geometry).lattice(spins, lengths)
    push = rng.normal(size=(14, 3))
    ends = [term.freeze(shifted(geometry, geometry.positions + s * step * push)).energy(spins, lengths) for s in (-1, 1)]
    assert np.abs(forces).max() > 1e-2
    assert (ends[1] - ends[0]) / (2 * step) == pytest.approx(-np.sum(forces * push), rel=1e-6)
    strain = rng.normal(size=(3, 3))
    ends = []
    for sign in (-1, 1):
        deform = np.eye(3) + sign * step * strain
        deformed = shifted(geometry, geometry.positions @ deform, geometry.cell @ deform)
        ends.append(term.freeze(deformed).energy(spins, lengths))
    assert (ends[1] - ends[0]) / (2 * step) == pytest.approx(np.sum(virial.T * strain), rel=1e-6)


def test_a_pair_potential_pulls_on_atoms_and_not_on_spins() -> None:
    geometry, spins, lengths = magnet()
    term = PairPotential(LAW)
    push, step = np.random.default_rng(3).normal(size=(14, 3)), 1e-5
    ends = [term.freeze(shifted(geometry, geometry.positions + s * step * push)).energy(spins, lengths) for s in (-1, 1)]
    forces, _ = term.freeze(geometry).lattice(spins, lengths)
    assert (ends[1] - ends[0]) / (2 * step) == pytest.approx(-np.sum(forces * push), rel=1e-6)
    assert not term.freeze(geometry).gradient(spins, lengths).any()


@pytest.mark.parametrize("name", SAMPLED)
def test_local_models_have_the_energy_differences_of_their_terms(name: str) -> None:
    """Monte Carlo works on these sums: turning any spin must cost the same in both."""
    geometry, spins, lengths = magnet()
    frozen, rng = TERMS[name].freeze(geometry), np.random.default_rng(4)
    model = frozen.local_model(lengths)
    assert model is not None
    whole = add_models([(2.0, model), (-1.0, model)])

    def energy(s: np.ndarray) -> float:
        overlap = np.einsum("ba,bac,bc->b", s[whole.rows], whole.tensors, s[whole.columns])
        square = whole.biquadratic * np.einsum("ba,ba->b", s[whole.rows], s[whole.columns]) ** 2
        own = np.sum(whole.linear * s) + np.einsum("ia,iab,ib->", s, whole.quadratic, s)
        cubic = 0.0
        for strengths, axes in whole.cubic:
            local = np.einsum("ipa,ia->ip", axes, s) ** 2
            cubic += np.sum(strengths[:, :1] * local * np.roll(local, 1, axis=1)) + strengths[:, 1] @ local.prod(axis=1)
        return -0.5 * float(overlap.sum() + square.sum()) - own + cubic

    before = energy(spins), frozen.energy(spins, lengths)
    for i in (0, 5):
        turned = spins.copy()
        turned[i] = rng.normal(size=3)
        assert energy(turned) - before[0] == pytest.approx(frozen.energy(turned, lengths) - before[1], abs=1e-12)
        assert abs(energy(turned) - before[0]) > 1e-4


@pytest.mark.parametrize("name", PAIRS)
def test_non_magnetic_sites_are_invisible(name: str) -> None:
    geometry, spins, lengths = magnet()
    keep = np.arange(14) != 3
    smaller = Geometry(geometry.positions[keep], geometry.cell, geometry.pbc, geometry.numbers[keep])
    whole, part = TERMS[name].freeze(geometry), TERMS[name].freeze(smaller)
    digits = 1e-8 if "dipoles" in name else 1e-12  # Ewald sums divide their work by the number of sites
    assert whole.energy(spins, lengths) == pytest.approx(part.energy(spins[keep], lengths[keep]), abs=digits)
    np.testing.assert_allclose(whole.gradient(spins, lengths)[keep], part.gradient(spins[keep], lengths[keep]), atol=digits)


def test_dimers_in_closed_form() -> None:
    pair = Geometry(np.array([[0.0, 0, 0], [0, 0, 1.0]]), np.zeros((3, 3)), np.zeros(3, dtype=bool), np.array([26, 26]))
    x, y = np.eye(3)[:2]
    lengths = np.ones(2)
    shell = ShellLaw([0.05])
    assert Heisenberg(shell).freeze(pair).energy(np.array([x, x]), lengths) == pytest.approx(-0.05)
    assert Heisenberg(shell).freeze(pair).energy(np.array([x, -x]), lengths) == pytest.approx(0.05)
    assert Biquadratic(shell).freeze(pair).energy(np.array([x, -x]), lengths) == pytest.approx(-0.05)
    # D along the bond z: E = -D z.(x cross y) = -D
    assert DzyaloshinskiiMoriya(shell).freeze(pair).energy(np.array([x, y]), lengths) == pytest.approx(-0.05)
    # normal x: D_ij = D x cross z = -D y; E = +D y.(z cross x) = +D for spins z, x
    interfacial = DzyaloshinskiiMoriya(shell, x).freeze(pair)
    assert interfacial.energy(np.array([np.eye(3)[2], x]), lengths) == pytest.approx(0.05)


def test_lattice_energies_in_closed_form() -> None:
    """Triangular antiferromagnet: 120-degree order has -3/2 |J| a site; image bonds of a 1x1 cell count."""
    atoms = SpinAtoms.lattice("triangular", (3, 3), texture="120-degree")
    frozen = Heisenberg(ShellLaw([-1.0])).freeze(geometry_of(atoms))
    assert frozen.energy(atoms.spins, np.ones(9)) / 9 == pytest.approx(-1.5)
    single = SpinAtoms.lattice("triangular", (1, 1))
    frozen = Heisenberg(ShellLaw([1.0, 0.5])).freeze(geometry_of(single))
    assert frozen.energy(single.spins, np.ones(1)) == pytest.approx(-3.0 * 1.5)
    np.testing.assert_allclose(frozen.gradient(single.spins, np.ones(1)), [[0, 0, 9.0]])


def test_dmi_spiral_has_the_classical_pitch() -> None:
    """Chain with J and D along x: E(q) = -J cos q - D sin q per site, for spins turning right-handed about x."""
    atoms = SpinAtoms.lattice("chain", (12,), texture="spiral", wavevector=(1, 0, 0), axis=(1, 0, 0))
    geometry, lengths, q = geometry_of(atoms), np.ones(12), 2 * np.pi / 12
    dmi = DzyaloshinskiiMoriya(ShellLaw([0.3])).freeze(geometry).energy(atoms.spins, lengths) / 12
    exchange = Heisenberg(ShellLaw([1.0])).freeze(geometry).energy(atoms.spins, lengths) / 12
    assert exchange == pytest.approx(-np.cos(q))
    assert dmi == pytest.approx(-0.3 * np.sin(q))


def test_anisotropies_have_their_easy_axes() -> None:
    lengths = np.ones(1)
    diagonal, edge = np.ones((1, 3)) / np.sqrt(3), np.array([[1.0, 0, 0]])
    cubic = CubicAnisotropy(1.0, np.eye(3))
    assert cubic.energy(edge, lengths) == 0.0
    assert cubic.energy(diagonal, lengths) == pytest.approx(1.0 / 3.0)
    sixth = CubicAnisotropy(0.0, np.eye(3), 1.0)
    assert sixth.energy(np.array([[1.0, 1.0, 0]]), lengths) == 0.0
    assert sixth.energy(diagonal, lengths) == pytest.approx(1.0 / 27.0)
    uniaxial = UniaxialAnisotropy(1.0, np.array([1.0, 0, 0]))
    assert uniaxial.energy(edge, lengths) == -1.0
    assert Zeeman(np.array([2.0, 0, 0])).energy(edge, 3.0 * lengths) == -6.0
