"""Random magnets, fields, dampings and integrators against a general solver of ordinary differential equations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from spinase import SpinAtoms
from spinase.calculators import HeisenbergCalculator, SpinSumCalculator, UniaxialAnisotropyCalculator
from spinase.dynamics import LLGDynamics
from spinase.spin_algebra import random_spins
from spinase.typing import FloatArray
from spinase.units import METAL, REDUCED


class Magnet:
    """Exchange and anisotropy on an open square lattice in a field, and its equation of motion as on paper."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.units = REDUCED if rng.random() < 0.5 else METAL
        self.scale = 1.0 if self.units is REDUCED else 0.01
        self.size = (int(rng.integers(2, 5)), int(rng.integers(2, 5)))
        self.atoms = SpinAtoms.lattice("square", self.size, units=self.units.name, periodic=False)
        count = len(self.atoms)
        self.spins, self.lengths = random_spins(count, rng), rng.uniform(0.5, 3.0, count)
        self.atoms.moments = self.lengths[:, None] * self.spins
        self.exchange, self.strength = self.scale * rng.normal(), self.scale * rng.normal()
        self.outer, self.axis = self.scale * rng.normal(size=3), random_spins(1, rng)[0]
        self.damping = float(rng.choice([0.0, 0.1, 0.6]))
        self.form = str(rng.choice(["landau-lifshitz-gilbert", "landau-lifshitz"]))
        near = np.linalg.norm(self.atoms.positions[:, None] - self.atoms.positions, axis=2)
        self.couplings = self.exchange * (np.abs(near - near[near > 0.0].min()) < 1e-6)

    def rate(self, _: float, flat: FloatArray) -> FloatArray:
        """ds/dt = -gamma' s x (B + alpha s x B), B_i = (sum_j J_ij s_j + 2 K (s_i.n) n)/m_i + the outer field."""
        spins = flat.reshape(-1, 3)
        inner = self.couplings @ spins + 2.0 * self.strength * (spins @ self.axis)[:, None] * self.axis
        turn = np.cross(spins, inner / self.lengths[:, None] + self.outer)
        prefactor = 1.0 if self.form == "landau-lifshitz" else 1.0 / (1.0 + self.damping**2)
        gamma = self.units.gyromagnetic_ratio * prefactor
        return np.asarray(-gamma * (turn + self.damping * np.cross(spins, turn))).ravel()


@pytest.mark.parametrize(("cases", "seed"), [(6, 0), pytest.param(60, 1, marks=pytest.mark.slow)], ids=["short", "long"])
def test_trajectories_are_those_of_the_equation(cases: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(cases):
        magnet, integrator = Magnet(rng), str(rng.choice(["heun", "depondt", "sib", "midpoint"]))
        atoms, end = magnet.atoms, 2.0 / (magnet.units.gyromagnetic_ratio * magnet.scale)
        exact = solve_ivp(magnet.rate, (0.0, end), magnet.spins.ravel(), method="DOP853", rtol=1e-11, atol=1e-12).y[:, -1]
        exchange = HeisenbergCalculator(shells=[magnet.exchange])
        atoms.calc = SpinSumCalculator([exchange, UniaxialAnisotropyCalculator(magnet.strength, magnet.axis)])
        options = {"damping": magnet.damping, "form": magnet.form, "integrator": integrator, "field": magnet.outer}
        told, errors, start = f"{magnet.units.name}, {magnet.size}, {options}", [], atoms.moments.copy()
        for steps in (600, 1200):
            atoms.moments = start
            LLGDynamics(atoms, end / steps, **options).run(steps)
            errors.append(np.abs(atoms.spins - exact.reshape(-1, 3)).max())
        assert errors[0] < 5e-3, told
        assert errors[1] < errors[0] / 3.0 + 1e-6, told  # of second order
        np.testing.assert_allclose(np.linalg.norm(atoms.moments, axis=1), magnet.lengths, rtol=1e-12, err_msg=told)
