"""Random s-d magnets against a Hamiltonian written as on paper and diagonalized here: every solver, field and force."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit

from spinase import SpinAtoms
from spinase.calculators import EDCalculator, RationalCalculator
from spinase.electrons import ExponentialHopping, SDModel
from spinase.radial import Exponential
from spinase.spin_algebra import PAULI
from spinase.typing import ComplexArray, FloatArray


class Case:
    """A random magnet and model, and its levels."""

    def __init__(self, rng: np.random.Generator) -> None:
        lattice = str(rng.choice(["chain", "square", "triangular", "cubic", "disordered"]))
        sizes = {"chain": (5,), "square": (3, 4), "triangular": (4, 3), "cubic": (2, 3, 2)}
        seed = int(rng.integers(1e6))
        if lattice == "disordered":
            atoms = SpinAtoms.disordered(10, density=0.3, min_distance=0.8, dimension=3, units="reduced", rng=seed)
        else:
            atoms = SpinAtoms.lattice(lattice, sizes[lattice], units="reduced", rng=seed, periodic=bool(rng.integers(2)))
        atoms.moments = atoms.moments * (rng.random(len(atoms)) < 0.85)[:, None]
        atoms.positions += 0.03 * rng.normal(size=atoms.positions.shape)
        self.atoms, self.lattice = atoms, lattice
        self.t0, self.decay, self.cutoff = rng.normal(), float(rng.uniform(0.5, 2.0)), float(rng.uniform(1.3, 2.4))
        self.coupling, self.kT = float(rng.choice([-2.0, 0.5, 1.0, 6.0])), float(rng.choice([0.03, 0.1, 0.5]))
        self.onsite = rng.uniform(-0.5, 0.5, len(atoms))
        self.zeeman = rng.normal(size=3) * 0.2 * rng.integers(2)
        self.fixed_filling = bool(rng.integers(2))
        self.filling, self.mu = float(rng.uniform(0.05, 0.95)), float(rng.uniform(-2.0, 2.0))

    def model(self) -> SDModel:
        """As the calculators take it."""
        held = {"filling": self.filling} if self.fixed_filling else {"chemical_potential": self.mu}
        hopping = ExponentialHopping(self.t0, self.decay, 1.0, self.cutoff, 0.4)
        return SDModel(hopping, self.coupling, onsite=self.onsite, zeeman=self.zeeman, kT=self.kT, **held)

    def matrix(self, moments: FloatArray) -> ComplexArray:
        """H = -sum t c+c + sum c+ [onsite - J s.sigma + h.sigma] c; images of a site add up (k = 0)."""
        atoms, law = self.atoms, Exponential(self.t0, self.decay, 1.0, self.cutoff, 0.4)
        lengths = np.linalg.norm(moments, axis=1)
        spins = moments / np.where(lengths > 0.0, lengths, 1.0)[:, None]
        hopping = np.zeros((len(atoms), len(atoms)))
        for shift in product(*[range(-3, 4) if periodic else range(1) for periodic in atoms.pbc]):
            vectors = atoms.positions[None] + np.array(shift) @ atoms.cell.array - atoms.positions[:, None]
            r = np.linalg.norm(vectors, axis=2)
            inside = (r > 1e-9) & (r < self.cutoff)
            hopping[inside] -= law(r[inside])[0]
        local = np.einsum("ia,axy->ixy", self.zeeman - self.coupling * spins, PAULI) + self.onsite[:, None, None] * np.eye(2)
        matrix = np.kron(hopping, np.eye(2)).astype(np.complex128)
        for i, block in enumerate(local):
            matrix[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] += block
        return matrix

    def free_energy(self, moments: FloatArray) -> float:
        """Omega, or F = Omega + mu N."""
        levels = np.linalg.eigvalsh(self.matrix(moments))
        mu = self.chemical_potential(levels)
        omega = -self.kT * float(np.logaddexp(0.0, (mu - levels) / self.kT).sum())
        return omega + (mu * self.filling * len(levels) if self.fixed_filling else 0.0)

    def chemical_potential(self, levels: FloatArray) -> float:
        """mu of the filling, or as given."""
        if not self.fixed_filling:
            return self.mu
        wanted = self.filling * len(levels)
        ends = (levels[0] - 40.0 * self.kT, levels[-1] + 40.0 * self.kT)
        return float(brentq(lambda mu: expit((mu - levels) / self.kT).sum() - wanted, *ends, xtol=1e-14, rtol=1e-14))

    def fields(self, moments: FloatArray) -> FloatArray:
        """H_i = J Tr[sigma rho_ii]."""
        levels, states = np.linalg.eigh(self.matrix(moments))
        occupied = expit((self.chemical_potential(levels) - levels) / self.kT)
        rho = (states * occupied) @ states.conj().T
        blocks = rho.reshape(len(moments), 2, len(moments), 2)[np.arange(len(moments)), :, np.arange(len(moments)), :]
        magnetic = np.linalg.norm(moments, axis=1) > 0.0
        return self.coupling * np.einsum("ixy,ayx->ia", blocks, PAULI).real * magnetic[:, None]

    def __repr__(self) -> str:
        return f"{self.lattice}, {len(self.atoms)} sites, {vars(self)}"


@pytest.mark.parametrize(("cases", "seed"), [(12, 0), pytest.param(200, 1, marks=pytest.mark.slow)], ids=["short", "long"])
def test_energies_fields_and_forces_are_those_on_paper(cases: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(cases):
        case = Case(rng)
        atoms, tolerance = case.atoms, 1e-6
        moments, sites = atoms.moments.copy(), len(atoms)
        lengths = np.linalg.norm(moments, axis=1)
        energy, fields = case.free_energy(moments), case.fields(moments)
        for calc, accuracy in (
            (EDCalculator(case.model()), 1e-10),
            (RationalCalculator(case.model(), tolerance=tolerance), 2.0 * tolerance * max(1.0, abs(case.coupling))),
        ):
            told = f"{type(calc).__name__}: {case!r}"
            assert calc.get_property("free_energy", atoms) == pytest.approx(
                energy, abs=1e-9 + 20 * sites * (accuracy - 1e-10)
            ), told
            found = calc.get_property("magnetic_forces", atoms) * lengths[:, None]
            np.testing.assert_allclose(found, fields, atol=accuracy, err_msg=told)
        site, axis, step = int(rng.integers(sites)), int(rng.integers(3)), 1e-4
        ends = []
        before = atoms.positions.copy()
        for sign in (1.0, -1.0):
            atoms.positions = before
            atoms.positions[site, axis] += sign * step
            ends.append(case.free_energy(moments))
        atoms.positions = before
        force = EDCalculator(case.model()).get_property("forces", atoms)[site, axis]
        assert force == pytest.approx(-(ends[0] - ends[1]) / (2.0 * step), abs=1e-5), repr(case)
