"""Rational expansion of the Fermi function with selected inversion: the dense answer to an asked tolerance, much sooner.

    f(H) = 1/2 - Herm sum_k w_k kT (H - mu - i y_k kT)^-1

Only the entries on the pattern of H are ever computed.  The grand potential comes from the log determinants of the same
eliminations and has the approximate f(H) as its exact derivative (see :mod:`spinase.electrons.sparse.fermi_poles`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np

from spinase.electrons.occupation import FixedChemicalPotential, FixedFilling, Occupation
from spinase.electrons.operator import Density, ElectronState, SparsityPattern, SpinOperator, split_blocks
from spinase.electrons.solvers.base import Plan, Solver
from spinase.electrons.solvers.chemical_potential import Goal, MuMemory, Trial, find_mu, largest_share
from spinase.electrons.sparse.elimination import EliminationTree, cheapest_tree
from spinase.electrons.sparse.fermi_poles import FermiPoles, fermi_poles
from spinase.electrons.sparse.selected_inversion import Inverse, SelectedInversion
from spinase.errors import ModelError
from spinase.geometry import Bonds
from spinase.typing import ComplexArray

Precision = Literal["complex128", "complex64"]

LEAST_TOLERANCE = 1e-10
_ROUGH = 1e-3  # tolerance of the pole sets that only narrow down the chemical potential
_MARGIN = 1.02  # of the spectral bounds
_DENSE_CUBE = 2.6  # multiplications of a dense diagonalization, in units of n^3
_SINGLE_FLOOR = 1e-6  # what single precision reaches
_NOISE = {"complex128": 1e-13, "complex64": 3e-7}  # round-off of the number of electrons, per state


@dataclass(frozen=True)
class CostEstimate:
    """What one solution costs, before it is computed.

    Attributes
    ----------
    form : str
        ``"layers"`` or ``"dissection"``: how the graph is taken apart.
    widest : int
        Sites of the largest dense block.
    poles : int
        Shifted systems per solution.
    multiplications : float
        Complex multiplications per solution (at fixed filling one to two solutions a step).
    memory : float
        Bytes kept per pole between the two sweeps.
    dense_multiplications : float
        What a dense diagonalization takes, on the same scale.
    """

    form: str
    widest: int
    poles: int
    multiplications: float
    memory: float
    dense_multiplications: float

    @property
    def speedup(self) -> float:
        """Dense over rational; below one, exact diagonalization is the better choice."""
        return self.dense_multiplications / self.multiplications


@dataclass(frozen=True, eq=False)
class _Solution:
    """Everything at one chemical potential."""

    mu: float
    poles: FermiPoles
    inverse: Inverse
    electrons: float


@final
class RationalSolver(Solver[ElectronState]):
    """Rational expansion + selected inversion at Gamma; cost N^1.5 in two dimensions, N^2 in three, N in one.

    Parameters
    ----------
    occupation : Occupation
        Filling or chemical potential, and temperature; kT > 0.
    tolerance : float
        Largest error of an occupation number (hence of the density, and of fields in units of the coupling).  At a filling
        the poles are made so much better that the error of mu is within it (but not better than 1e-10).
    dtype : str
        ``"complex128"``, or ``"complex64"``: about 1.8 times as fast, errors of about 1e-6.

    Raises
    ------
    ModelError
        At kT = 0, for a tolerance out of range or a wrong dtype.
    """

    abilities = frozenset({"filling", "flux", "spin_orbit"})

    def __init__(self, occupation: Occupation, tolerance: float = 1e-6, dtype: Precision = "complex128") -> None:
        if occupation.kT == 0.0:
            raise ModelError(
                "the rational solver needs kT > 0: the Fermi step at kT = 0 has no rational form (the number of poles "
                "grows as log(bandwidth/kT)); take a small kT, such as bandwidth/1000 (about 10 poles), or style 'ed'"
            )
        if not LEAST_TOLERANCE <= tolerance <= 0.01:
            raise ModelError(f"tolerance must be between {LEAST_TOLERANCE:g} and 0.01, got {tolerance:g}")
        if dtype not in ("complex128", "complex64"):
            raise ModelError(f"dtype must be 'complex128' or 'complex64', got {dtype!r}")
        if dtype == "complex64" and tolerance < _SINGLE_FLOOR:
            raise ModelError(
                f"complex64 reaches about {_SINGLE_FLOOR:g}, tolerance = {tolerance:g} was asked for: "
                "use dtype='complex128' or a larger tolerance"
            )
        self.occupation = occupation
        self.tolerance = float(tolerance)
        self.dtype = dtype

    def plan(self, pattern: SparsityPattern) -> RationalPlan:
        """The cheapest order of elimination for `pattern`."""
        return RationalPlan(self, pattern, cheapest_tree(pattern.sites, pattern.first, pattern.second))

    def restore_plan(self, state: dict[str, Any]) -> RationalPlan:
        """The plan of a checkpoint: round-off depends on the order of elimination, and on where the search of mu starts."""
        pattern = SparsityPattern.from_lists(state["pattern"])
        memory = MuMemory(state["mu"], state["slope"])
        return RationalPlan(self, pattern, EliminationTree.from_lists(state["tree"]), memory)

    def density_error(self, operator: SpinOperator) -> float:
        """The asked tolerance, for each spin."""
        return 2.0 * max(self.tolerance, _SINGLE_FLOOR if self.dtype == "complex64" else 0.0)


@final
class RationalPlan(Plan[ElectronState]):
    """An order of elimination for one pattern, and where the last search of the chemical potential ended.

    Parameters
    ----------
    solver : RationalSolver
    pattern : SparsityPattern
    tree : EliminationTree
        That covers the pattern.
    memory : MuMemory
        What the next search of the chemical potential starts from.
    """

    turns_spins = True

    def __init__(
        self, solver: RationalSolver, pattern: SparsityPattern, tree: EliminationTree, memory: MuMemory | None = None
    ) -> None:
        super().__init__(pattern)
        self.solver, self.tree = solver, tree
        self.occupation, self.tolerance, self.dtype = solver.occupation, solver.tolerance, solver.dtype
        self.memory = memory or MuMemory()
        self.inversion = SelectedInversion(tree, pattern.first, pattern.second)

    def follow(self, pattern: SparsityPattern) -> RationalPlan:
        """A plan for `pattern`: the order of elimination stays while it covers the bonds, the chemical potential is near."""
        tree = self.tree
        if tree.sites != pattern.sites or not tree.covers(pattern.first, pattern.second):
            tree = cheapest_tree(pattern.sites, pattern.first, pattern.second)
        return RationalPlan(self.solver, pattern, tree, self.memory)

    def _solve(self, operator: SpinOperator, bonds: bool) -> ElectronState:
        """Density on the operator's pattern, energies from traces and log determinants."""
        plan = self.inversion
        if isinstance(self.occupation, FixedChemicalPotential):
            solution = self._at(plan, operator, self.occupation.chemical_potential, self.tolerance, bonds)
            return self._state(operator, solution, None)
        assert isinstance(self.occupation, FixedFilling)
        states = 2.0 * len(operator)
        electrons = self.occupation.filling * states

        def trial(mu: float, rough: bool, share: float) -> Trial[_Solution]:
            """Electrons at mu, with poles for a rough answer, or for a share of the allowed error."""
            tolerance = max(_ROUGH, self.tolerance) if rough else _pole_tolerance(self.tolerance, share * states)
            found = self._at(plan, operator, mu, tolerance, bonds)
            return Trial(found.electrons, found)

        noise = _NOISE[self.dtype]
        goal = Goal(electrons, states, spectral_bounds(operator), self.occupation.kT, 0.4 * self.tolerance, noise)
        solution, self.memory = find_mu(trial, goal, self.memory)
        return self._state(operator, solution, electrons)

    def estimate(self, operator: SpinOperator) -> CostEstimate:
        """Cost of a solution for this operator, and of a dense one; nothing is solved."""
        tree = self.tree
        low, high = spectral_bounds(operator)
        # the chemical potential of a filling is not known beforehand: the range is taken from the middle of the band
        middle = getattr(self.occupation, "chemical_potential", 0.5 * (low + high))
        count = len(self._poles(operator, middle, self.tolerance).heights)
        return CostEstimate(
            form=tree.form,
            widest=tree.widest,
            poles=count,
            multiplications=count * tree.work(),
            memory=tree.storage() * np.dtype(self.dtype).itemsize,
            dense_multiplications=_DENSE_CUBE * (2.0 * len(operator)) ** 3,
        )

    def poles(self, operator: SpinOperator, chemical_potential: float) -> FermiPoles:
        """The poles that a solution of `operator` takes at a chemical potential (energy) that its search has found."""
        tolerance = self.tolerance
        if isinstance(self.occupation, FixedFilling):
            share = largest_share(self.memory.slope, self.occupation.kT)
            tolerance = _pole_tolerance(tolerance, share * 2.0 * len(operator))
        return self._poles(operator, chemical_potential, tolerance)

    def step_state(self) -> MuMemory:
        """What a solution may change."""
        return self.memory

    def restore_step(self, state: MuMemory) -> None:
        """Take back what :meth:`step_state` gave."""
        self.memory = state

    def checkpoint_state(self) -> dict[str, Any]:
        """Where the next search of mu starts, and the order of elimination: round-off depends on both."""
        return {
            "pattern": self.pattern.to_lists(),
            "mu": self.memory.mu,
            "slope": self.memory.slope,
            "tree": self.tree.to_lists(),
        }

    def _poles(self, operator: SpinOperator, mu: float, tolerance: float) -> FermiPoles:
        low, high = spectral_bounds(operator)
        return fermi_poles(_MARGIN * max(high - mu, mu - low) / self.occupation.kT, tolerance)

    def _at(self, plan: SelectedInversion, operator: SpinOperator, mu: float, tolerance: float, bonds: bool) -> _Solution:
        kT = self.occupation.kT
        poles = self._poles(operator, mu, tolerance)
        inverse = plan.solve(operator, (mu + 1j * kT * poles.heights).astype(self.dtype), bonds)
        electrons = len(operator) - kT * float(poles.weights @ inverse.trace().real)
        return _Solution(mu, poles, inverse, electrons)

    def _state(self, operator: SpinOperator, found: _Solution, target: float | None) -> ElectronState:
        """Free energy Omega, or Omega + mu N for the `target` number of electrons (stationary in mu)."""
        kT, mu, states = self.occupation.kT, found.mu, 2.0 * len(operator)
        weights, heights, logs = found.poles.weights, found.poles.heights, found.inverse.log_determinants
        trace = operator_trace(operator)
        excess = 0.5 * (trace - mu * states)
        squares = 2.0 * (logs.real - states * np.log(kT))  # sum_n ln(x_n^2 + y_k^2)
        omega = excess - kT * (found.poles.offset * states + 0.5 * float(weights @ squares))
        # Tr[(H - mu) f]: (H - mu) G = 1 + i y kT G
        energy = excess - kT * float(weights @ (states - kT * heights * found.inverse.trace().imag))
        entropy = (energy - omega) / kT
        energy += mu * (found.electrons if target is None else target)
        if target is not None:
            omega += mu * target
        return ElectronState(
            energy=energy,
            free_energy=omega,
            entropy=entropy,
            chemical_potential=mu,
            electrons=found.electrons,
            density=pole_density(found.poles, kT, found.inverse, operator.bonds),
            levels=np.empty(0),
            weights=np.empty(0),
        )


def _pole_tolerance(tolerance: float, condition: float) -> float:
    """Error of poles for which occupations at a filling are right within `tolerance`, with two fifths of it left for mu.

    Errors of all levels add up to a wrong number of electrons, which mu makes up for at the levels near it: an error tau of
    the poles is one of (1 + condition) tau, condition = (share of one level) (states).  In decades: few sets.
    """
    wanted = 0.6 * tolerance / (1.0 + condition)
    return max(min(tolerance, LEAST_TOLERANCE), 10.0 ** math.floor(math.log10(wanted)))


def spectral_bounds(operator: SpinOperator) -> tuple[float, float]:
    """Gershgorin bounds of the spectrum, energy."""
    reach = np.linalg.norm(operator.exchange, axis=1)
    strength = operator.bond_strengths()
    np.add.at(reach, operator.bonds.first, strength)
    np.add.at(reach, operator.bonds.second, strength)
    return float((operator.onsite - reach).min()), float((operator.onsite + reach).max())


def operator_trace(operator: SpinOperator) -> float:
    """Tr H, energy (a site bonded to its own image has the hopping on the diagonal)."""
    loops = operator.bonds.first == operator.bonds.second
    return float(2.0 * operator.onsite.sum() + 4.0 * operator.hopping[loops].real.sum())


def pole_density(poles: FermiPoles, kT: float, inverse: Inverse, pattern: Bonds) -> Density:  # noqa: N803
    """1/2 - Herm sum_k w_k kT (H - p_k)^-1 on the pattern.

    Parameters
    ----------
    poles : FermiPoles
        p_k, energy, with their weights w_k.
    kT : float
        Energy.
    inverse : Inverse
        Entries of (H - p_k)^-1.
    pattern : Bonds
        Of its bonds.
    """
    weights = -kT * poles.weights
    blocks = np.tensordot(weights, inverse.sites.astype(np.complex128), 1)
    blocks = 0.5 * (blocks + blocks.conj().transpose(0, 2, 1)) + 0.5 * np.eye(2)
    up, down, flip = blocks[:, 0, 0].real, blocks[:, 1, 1].real, blocks[:, 1, 0]
    spin = np.stack([2.0 * flip.real, 2.0 * flip.imag, up - down], axis=1)
    if inverse.bonds.ndim > 3:
        return Density(up + down, spin, *split_blocks(pole_blocks(poles, kT, inverse, pattern)))
    pairs = np.tensordot(weights, inverse.bonds.astype(np.complex128), 1)
    bond = (0.5 * (pairs[:, 0] + pairs[:, 1].conj())).astype(np.complex128)
    if len(bond):
        bond[pattern.first == pattern.second] += 1.0  # a site's own image: the 1/2 of both spins
    return Density(up + down, spin, bond)


def pole_blocks(poles: FermiPoles, kT: float, inverse: Inverse, pattern: Bonds) -> ComplexArray:  # noqa: N803
    """Spin blocks rho_ij of the bonds (n_bonds, 2, 2), as in :func:`pole_density`; none where they were not asked for.

    Parameters
    ----------
    poles : FermiPoles
        p_k, energy, with their weights w_k.
    kT : float
        Energy.
    inverse : Inverse
        With blocks of the bonds.
    pattern : Bonds
        Of its bonds.
    """
    pairs = np.tensordot(-kT * poles.weights, inverse.bonds.astype(np.complex128), 1)
    blocks = 0.5 * (pairs[:, 0] + pairs[:, 1].conj().swapaxes(1, 2))
    if len(blocks):
        blocks[pattern.first == pattern.second] += 0.5 * np.eye(2)
    return np.asarray(blocks)
