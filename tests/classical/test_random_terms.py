"""Random magnets and couplings against sums over all pairs of all images, written as on paper."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.calculators import (
    BiquadraticCalculator,
    CubicAnisotropyCalculator,
    DMICalculator,
    HeisenbergCalculator,
    SpinSumCalculator,
    UniaxialAnisotropyCalculator,
    ZeemanCalculator,
)
from spinase.radial import Exponential
from spinase.spin_algebra import random_spins
from spinase.typing import FloatArray


def random_magnet(rng: np.random.Generator) -> SpinAtoms:
    """A slanted cell of random sites, some of them without a moment, boundaries of any kind."""
    sites = int(rng.integers(2, 9))
    cell = np.diag(rng.uniform(2.0, 4.0, 3)) + 0.4 * rng.normal(size=(3, 3))
    atoms = SpinAtoms(f"Fe{sites}", cell=cell, scaled_positions=_apart(rng, sites, cell), pbc=rng.random(3) < 0.6)
    lengths = rng.uniform(0.5, 3.0, sites) * (rng.random(sites) < 0.85)
    atoms.moments = lengths[:, None] * random_spins(sites, rng)
    return atoms


def _apart(rng: np.random.Generator, sites: int, cell: FloatArray) -> FloatArray:
    """Fractional positions no two of which coincide."""
    while True:
        places = rng.random((sites, 3))
        vectors = (places[:, None] - places) @ cell
        distances = np.linalg.norm(vectors, axis=2) + 10.0 * np.eye(sites)
        if distances.min() > 0.3:
            return places


def on_paper(atoms: SpinAtoms, couplings: dict[str, float], law: Exponential, extra: dict[str, FloatArray]) -> float:
    """Energy: half the sum over sites and all neighbours among the images, and the sites' own terms."""
    lengths = np.linalg.norm(atoms.moments, axis=1)
    spins = atoms.moments / np.where(lengths > 0.0, lengths, 1.0)[:, None]
    reach = [range(-4, 5) if periodic else range(1) for periodic in atoms.pbc]
    energy = 0.0
    for shift in product(*reach):
        for i, j in product(range(len(atoms)), repeat=2):
            vector = atoms.positions[j] + np.array(shift) @ atoms.cell.array - atoms.positions[i]
            r = float(np.linalg.norm(vector))
            if 1e-9 < r < law.cutoff:
                value = float(law(np.array([r]))[0][0])
                dot = float(spins[i] @ spins[j])
                twist = float(vector / r @ np.cross(spins[i], spins[j]))
                pair = couplings["J"] * dot + couplings["K"] * dot**2 + couplings["D"] * twist
                energy -= 0.5 * value * pair
    energy -= couplings["A"] * float(((spins @ extra["axis"]) ** 2).sum())
    x, y, z = (spins**2).T
    energy += couplings["C"] * float((x * y + y * z + z * x).sum())
    return energy - float((atoms.moments @ extra["field"]).sum())


@pytest.mark.parametrize(("cases", "seed"), [(8, 0), pytest.param(150, 1, marks=pytest.mark.slow)], ids=["short", "long"])
def test_energies_and_fields_are_those_on_paper(cases: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for case in range(cases):
        atoms, couplings = random_magnet(rng), dict(zip("JKDAC", rng.normal(size=5), strict=True))
        law = Exponential(1.0, 1.0, 1.5, float(rng.uniform(1.0, 4.0)), 0.5)
        axis, field = random_spins(1, rng)[0], rng.normal(size=3)
        terms = [
            HeisenbergCalculator(law=law),
            BiquadraticCalculator(law=law),
            DMICalculator(law=law),
            UniaxialAnisotropyCalculator(1.0, axis),
            CubicAnisotropyCalculator(1.0),
            ZeemanCalculator(field),
        ]
        calc = SpinSumCalculator(terms, [*couplings.values(), 1.0])
        expected = on_paper(atoms, couplings, law, {"axis": axis, "field": field})
        found = calc.get_property("energy", atoms)
        told = f"seed {seed}, case {case}: {len(atoms)} sites, {atoms.pbc.tolist()}, cutoff {law.cutoff}"
        assert found == pytest.approx(expected, rel=1e-10, abs=1e-10), told
        lengths = np.linalg.norm(atoms.moments, axis=1)
        if not lengths.any():
            continue
        site = int(rng.choice(np.flatnonzero(lengths)))
        turn, ends = 1e-5 * np.cross(atoms.moments[site], random_spins(1, rng)[0]), []
        before = atoms.moments.copy()
        for sign in (1.0, -1.0):
            moved = before.copy()
            moved[site] += sign * turn
            moved[site] *= lengths[site] / np.linalg.norm(moved[site])
            atoms.moments = moved
            ends.append(on_paper(atoms, couplings, law, {"axis": axis, "field": field}))
        atoms.moments = before
        slope = -float(calc.get_property("magnetic_forces", atoms)[site] @ turn)
        assert slope == pytest.approx(0.5 * (ends[0] - ends[1]), rel=1e-5, abs=1e-10), told
