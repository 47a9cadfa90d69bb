"""Learned electrons: fixed fillings and fixed chemical potentials are one grand potential, in torch and in the engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.polynomial import chebyshev

from spinase import SpinAtoms
from spinase.calculators import HIPNNCalculator
from spinase.errors import ModelError
from spinase.learning.card import ModelCard
from spinase.learning.grand_potential import GrandPotentialReadout
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig
from spinase.learning.polynomials import polynomials
from spinase.learning.readout import EnergyReadout

FILLING = 0.48
CONFIG = NetworkConfig(species=(26,), cutoff=2.0, inner=0.7, width=6, radial=6, channels=(8, 4, 2), parts=4)

READOUT = GrandPotentialReadout((-2.0, -1.0))


def model(count: int = 1, **notes: object) -> tuple[list[MagneticHIPNN], ModelCard]:
    """Networks with about one electron on a site, more of them at higher chemical potentials."""
    torch.manual_seed(4)
    networks = [MagneticHIPNN(CONFIG) for _ in range(count)]
    for network in networks:
        with torch.no_grad():
            for readout in network.readouts:
                readout.weight[1:] *= 1e-2  # type: ignore[index,operator]
                readout.bias[:] = 0.0  # type: ignore[index,operator]
            network.readouts[0].bias[:] = torch.tensor([0.3, -0.5, -0.05, 0.005])  # type: ignore[index,operator]
    return networks, ModelCard(
        "test", CONFIG, "reduced", energy_shift=-1.5, readout=READOUT, notes={"filling": FILLING, **notes}
    )


def magnet(sites: int = 16) -> SpinAtoms:
    return SpinAtoms.disordered(sites, units="reduced", rng=1)


def test_the_polynomials_are_chebyshevs() -> None:
    x = torch.linspace(-1, 1, 7, dtype=torch.float64)
    expected = torch.cos(torch.arange(6) * torch.arccos(x)[:, None])
    torch.testing.assert_close(polynomials(x, 5), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("seed", range(8))
def test_chemical_potentials_are_roots(seed: int) -> None:
    """Of the derivative by numpy's companion matrix: the one with a positive slope that is nearest to the middle."""
    rng = np.random.default_rng(seed)
    parts = rng.normal(size=rng.integers(2, 9)) * [1.0, 0.3][seed % 2]
    parts[1:3] -= [2.0, 0.4][: len(parts) - 1]
    number, electrons = -chebyshev.chebder(parts), 2.0 + rng.normal()
    roots = chebyshev.chebroots(chebyshev.chebsub(number, [electrons]))
    real = roots[np.abs(np.imag(roots)) < 1e-9].real
    real = real[(np.abs(real) <= 1.1) & (chebyshev.chebval(real, chebyshev.chebder(number)) > 0.0)]
    expected = real[np.argmin(np.abs(real))]
    potential, weights, work = GrandPotentialReadout((-1.0, 1.0), filling=0.5 * electrons).occupied(parts, 1, 1.0)
    assert potential == pytest.approx(expected, abs=1e-9)
    assert work == pytest.approx(expected * electrons, abs=1e-8)
    np.testing.assert_allclose(weights, chebyshev.chebvander(potential, len(parts) - 1)[0], atol=1e-12)


def test_fillings_and_potentials_are_one_grand_potential() -> None:
    """F = Omega + mu N with N = -dOmega/dmu; the fields of both are equal."""
    atoms = magnet()
    closed = HIPNNCalculator(model(), dtype="float64")
    mu = closed.get_property("chemical_potential", atoms)
    assert -2.0 < mu < -1.0
    opened = HIPNNCalculator(model(), dtype="float64", chemical_potential=mu)
    electrons = 2 * FILLING * len(atoms)
    assert closed.get_property("energy", atoms) == pytest.approx(
        opened.get_property("energy", atoms) + mu * electrons, rel=1e-12
    )
    for name in ("magnetic_forces", "forces", "stress"):
        values = closed.get_property(name, atoms)
        assert np.abs(values).max() > 1e-3
        np.testing.assert_allclose(values, opened.get_property(name, atoms), atol=1e-11)
    step = 1e-4
    ends = [
        HIPNNCalculator(model(), dtype="float64", chemical_potential=mu + sign * step).get_property("energy", atoms)
        for sign in (-1, 1)
    ]
    assert (ends[1] - ends[0]) / (2 * step) == pytest.approx(-electrons, rel=1e-6)


def test_fields_and_forces_are_slopes_of_the_free_energy() -> None:
    """While the chemical potential follows the spins and the atoms."""
    atoms, calc = magnet(), HIPNNCalculator(model(2), dtype="float64")
    rng, step = np.random.default_rng(2), 1e-5
    turn, shift = rng.normal(size=(2, len(atoms), 3))
    turn -= atoms.spins * np.sum(turn * atoms.spins, axis=1, keepdims=True)
    fields, forces = calc.get_property("magnetic_forces", atoms), calc.get_property("forces", atoms)

    def energy(spins: float, sites: float) -> float:
        moved = atoms.copy()
        turned = atoms.spins + spins * turn
        moved.moments = turned / np.linalg.norm(turned, axis=1, keepdims=True)
        moved.positions += sites * shift
        return float(calc.get_property("energy", moved))

    by_spins = (energy(step, 0) - energy(-step, 0)) / (2 * step)
    by_sites = (energy(0, step) - energy(0, -step)) / (2 * step)
    assert by_spins == pytest.approx(-np.sum(fields * turn), rel=1e-6)
    assert by_sites == pytest.approx(-np.sum(forces * shift), rel=1e-6)
    assert energy(1e-2, 0) != energy(0, 0)


def test_the_engine_and_replicas_do_the_same() -> None:
    atoms, rng = magnet(40), np.random.default_rng(3)
    plain, fast = HIPNNCalculator(model(2), dtype="float64"), HIPNNCalculator(model(2))
    moments = rng.normal(size=(3, 40, 3))
    moments /= np.linalg.norm(moments, axis=2, keepdims=True)
    energies, fields = fast.replicas(atoms, moments)
    for k, one in enumerate(moments):
        atoms.moments = one
        for calc in (plain, fast):
            assert energies[k] == pytest.approx(calc.get_property("energy", atoms), rel=1e-5)
            found = calc.get_property("magnetic_forces", atoms)
            np.testing.assert_allclose(fields[k], found, atol=1e-4 * np.abs(found).max())
        expected = plain.get_property("chemical_potential", atoms)
        assert fast.get_property("chemical_potential", atoms) == pytest.approx(expected, abs=1e-5)


def test_two_magnets_far_apart_share_electrons() -> None:
    """Twice the same magnet has the same chemical potential; different ones lie between theirs."""
    calc = HIPNNCalculator(model(), dtype="float64", filling=0.47)
    one, other = magnet(), magnet()
    other.moments = [0, 0, 1]
    found = [calc.get_property("chemical_potential", atoms) for atoms in (one, other)]

    def both(first: SpinAtoms, second: SpinAtoms) -> SpinAtoms:
        atoms = first.copy()
        atoms.pbc = False
        far = second.copy()
        far.positions += 50.0
        return atoms + far

    one.pbc = other.pbc = False
    found = [calc.get_property("chemical_potential", atoms) for atoms in (one, other)]
    assert calc.get_property("chemical_potential", both(one, one)) == pytest.approx(found[0], abs=1e-9)
    assert min(found) < calc.get_property("chemical_potential", both(one, other)) < max(found)
    assert calc.get_property("energy", both(one, one)) == pytest.approx(2 * calc.get_property("energy", one), rel=1e-9)


def test_what_it_refuses() -> None:
    networks, card = model()
    with pytest.raises(ModelError, match="not both"):
        HIPNNCalculator((networks, card), filling=0.4, chemical_potential=-1.5)
    with pytest.raises(ModelError, match="from -2 to -1, got 0.3"):
        HIPNNCalculator((networks, card), chemical_potential=0.3)
    with pytest.raises(ModelError, match="between 0 and 1"):
        HIPNNCalculator((networks, card), filling=1.2)
    with pytest.raises(ModelError, match=r"gives a filling of 0.9 \(the ends of this window give 0\..*\): use a filling"):
        HIPNNCalculator((networks, card), filling=0.9).get_property("energy", magnet())
    with pytest.raises(ModelError, match="tells no filling: give filling= or chemical_potential="):
        HIPNNCalculator(model(filling=None))
    plain = NetworkConfig(**{**CONFIG.model_dump(), "parts": 1})
    with pytest.raises(ModelError, match="knows nothing of electrons"):
        HIPNNCalculator(([MagneticHIPNN(plain)], ModelCard("plain", plain, "reduced")), filling=0.4)
    with pytest.raises(ModelError, match="one part of a site is no polynomial"):
        HIPNNCalculator(([MagneticHIPNN(plain)], ModelCard("plain", plain, "reduced", readout=READOUT)), filling=0.4)
    with pytest.raises(ModelError, match="4 parts of a site are no energy"):
        HIPNNCalculator((networks, replace(card, readout=EnergyReadout())))


def test_a_grand_potential_solves_for_its_potential() -> None:
    """Closed form: Omega = -a x - b x^2/2 on one site has (a + b x)/half electrons."""
    readout = GrandPotentialReadout((-1.0, 3.0)).at(0.5, None)
    parts = np.array([0.0, -0.8, 0.0]) + 0.6 * np.array([-0.25, 0.0, -0.25])  # -0.8 x - 0.3 x^2
    mu, weights, work = readout.occupied(parts, 1, 2.0)
    x = (2.0 / 2.0 - 0.8) / 0.6  # 2 (0.8 + 0.6 x) / 2 = 1 electron
    assert mu == pytest.approx(1.0 + 2.0 * x)
    assert work == pytest.approx(mu)
    np.testing.assert_allclose(weights, [1.0, x, 2 * x * x - 1.0], atol=1e-12)


@pytest.mark.filterwarnings("ignore")
def test_hippynns_node_gives_electrons() -> None:
    """Energies at the given chemical potentials, and -dOmega/dx per site; padded batches."""
    adapter = pytest.importorskip("spinase.learning.hippynn.adapter")
    (network,), card = model()
    network, magnets = network.double(), [magnet(16), magnet(12)]
    arrays = [np.zeros((2, 16, *tail)) for tail in ((), (3,), (3,))]
    for b, atoms in enumerate(magnets):
        for array, values in zip(arrays, (atoms.numbers, atoms.positions, atoms.spins), strict=True):
            array[b, : len(atoms)] = values
    cells = torch.tensor(np.array([atoms.cell.array for atoms in magnets]))
    species, positions, spins = (torch.tensor(array) for array in arrays)
    x = torch.tensor([[0.2], [-0.4]], dtype=torch.float64)
    module = adapter.PaddedMagnet(network, readout=READOUT).eval()
    energies, fields, electrons = module(species.long(), positions, cells, spins, x)
    for b, atoms in enumerate(magnets):
        calc = HIPNNCalculator(([network], card), dtype="float64", chemical_potential=-1.5 + 0.5 * float(x[b, 0]))
        sites = len(atoms)
        assert energies[b, 0].item() - 1.5 * sites == pytest.approx(calc.get_property("energy", atoms), rel=1e-9)
        across = np.cross(atoms.spins, fields[b, :sites].detach().numpy())
        np.testing.assert_allclose(across, calc.get_property("torques", atoms), atol=1e-9)
        ends = [module(species.long(), positions, cells, spins, x + sign * 1e-4)[0][b, 0].item() for sign in (-1, 1)]
        assert electrons[b, 0].item() * sites == pytest.approx(-(ends[1] - ends[0]) / 2e-4, rel=1e-6)
