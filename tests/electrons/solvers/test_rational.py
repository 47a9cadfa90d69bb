"""Rational solver against the dense one; chemical potential search; bad input."""

from __future__ import annotations

import numpy as np
import pytest
from systems.electrons import GRAPHS, magnet, make_operator

from spinase import SpinAtoms
from spinase.atoms import geometry_of, get_spins
from spinase.calculators import EDCalculator, RationalCalculator
from spinase.electrons import FixedChemicalPotential, FixedFilling, SDHamiltonian, SDModel, ShellHopping
from spinase.electrons.operator import SparsityPattern, SpinOperator
from spinase.electrons.solvers.chemical_potential import Goal, MuMemory, Trial, find_mu
from spinase.electrons.solvers.dense import DenseSolver
from spinase.electrons.solvers.rational import RationalPlan, RationalSolver, operator_trace, spectral_bounds
from spinase.electrons.sparse.fermi_poles import fermi_poles
from spinase.errors import ConvergenceError, CostWarning, ModelError

OCCUPATIONS = {"filling": FixedFilling(0.08, 0.37), "chemical potential": FixedChemicalPotential(0.08, -0.6)}


@pytest.mark.parametrize("tolerance", [1e-4, 1e-7, 1e-10])
@pytest.mark.parametrize("ensemble", OCCUPATIONS)
@pytest.mark.parametrize("graph", GRAPHS)
def test_everything_agrees_with_the_dense_solver_to_the_tolerance(graph: str, ensemble: str, tolerance: float) -> None:
    operator, occupation = make_operator(graph), OCCUPATIONS[ensemble]
    exact = DenseSolver(occupation).solve(operator)
    found = RationalSolver(occupation, tolerance).solve(operator)
    sites = len(operator)
    low, high = spectral_bounds(operator)
    near = {"rtol": 0.0, "atol": 2 * tolerance + 1e-13}  # both spins
    np.testing.assert_allclose(found.density.charge, exact.density.charge, **near)
    np.testing.assert_allclose(found.density.spin, exact.density.spin, **near)
    np.testing.assert_allclose(found.density.bond, exact.density.bond, **near)
    assert found.electrons == pytest.approx(exact.electrons, abs=3 * tolerance * sites)
    assert found.energy == pytest.approx(exact.energy, abs=2 * tolerance * sites * (high - low))
    assert found.free_energy == pytest.approx(exact.free_energy, abs=2 * tolerance * sites * (high - low))
    assert found.entropy == pytest.approx(exact.entropy, abs=4 * tolerance * sites * (high - low) / occupation.kT)
    if ensemble == "filling":
        assert found.chemical_potential == pytest.approx(exact.chemical_potential, abs=100 * tolerance)


def random_magnet(rng: np.random.Generator) -> SpinOperator:
    """A small lattice with spins and a field of any kind."""
    lattice = str(rng.choice(["chain", "square", "triangular"]))
    size = (int(rng.integers(2, 24)),) if lattice == "chain" else tuple(int(n) for n in rng.integers(3, 6, 2))
    open_ends = bool(rng.integers(2))
    atoms = SpinAtoms.lattice(lattice, size, units="reduced", rng=int(rng.integers(1e6)), periodic=not open_ends)
    if rng.random() < 0.3:
        atoms.spins = [0.0, 0.0, 1.0]
    zeeman = rng.normal(size=3) * rng.choice([0.0, 0.3])
    hamiltonian = SDHamiltonian(ShellHopping([1.0]), float(rng.choice([0.5, 2.0, 6.0])), 0.0, zeeman)
    return hamiltonian.freeze(geometry_of(atoms)).operator(get_spins(atoms))


@pytest.mark.parametrize(("cases", "seed"), [(12, 0), pytest.param(200, 1, marks=pytest.mark.slow)], ids=["short", "long"])
def test_the_tolerance_bounds_every_occupation_at_any_filling(cases: int, seed: int) -> None:
    """Few levels near mu take up all errors of the number of electrons; shell structures, gaps, nearly full bands."""
    rng = np.random.default_rng(seed)
    for _ in range(cases):
        operator, kT = random_magnet(rng), float(rng.choice([0.02, 0.08, 0.3]))
        filling = float(rng.choice([0.5, 0.485, 0.25, 0.1, 0.02, rng.uniform(0.02, 0.98)]))
        exact = DenseSolver(FixedFilling(kT, filling)).solve(operator)
        for tolerance in (1e-3, 1e-4, 1e-6):
            found = RationalSolver(FixedFilling(kT, filling), tolerance).solve(operator)
            near = {"rtol": 0.0, "atol": 2 * tolerance, "err_msg": f"{len(operator)} sites, {kT=}, {filling=}, {tolerance=}"}
            np.testing.assert_allclose(found.density.charge, exact.density.charge, **near)
            np.testing.assert_allclose(found.density.spin, exact.density.spin, **near)
            np.testing.assert_allclose(found.density.bond, exact.density.bond, **near)
            shift = abs(found.chemical_potential - exact.chemical_potential)
            levels = (exact.levels.ravel()[:, None] - [exact.chemical_potential, found.chemical_potential]) / kT
            occupations = 1.0 / (1.0 + np.exp(np.clip(levels, -700.0, 700.0)))
            assert np.abs(np.diff(occupations)).max() <= tolerance, f"mu is off by {shift}: {near['err_msg']}"


def test_single_precision_is_single_precision() -> None:
    operator, occupation = make_operator("triangular"), OCCUPATIONS["filling"]
    exact, found = DenseSolver(occupation).solve(operator), RationalSolver(occupation, 1e-5, "complex64").solve(operator)
    error = np.abs(found.density.spin - exact.density.spin).max()
    assert 1e-9 < error < 2e-5


def test_bonds_are_left_out_on_request() -> None:
    state = RationalSolver(OCCUPATIONS["filling"]).solve(make_operator("square"), bonds=False)
    assert state.density.bond.shape == (0,)


def test_trace_and_bounds() -> None:
    for graph in GRAPHS:
        operator = make_operator(graph)
        levels = DenseSolver(OCCUPATIONS["filling"]).solve(operator).levels
        low, high = spectral_bounds(operator)
        assert low <= levels.min() <= levels.max() <= high
        assert operator_trace(operator) == pytest.approx(levels.sum(), abs=1e-9)


def test_fields_are_the_exact_gradient_of_the_reported_free_energy_whatever_the_tolerance() -> None:
    atoms, hamiltonian = magnet("square")
    solver = RationalSolver(FixedChemicalPotential(0.1, -0.5), 1e-2)
    frozen, spins = hamiltonian.freeze(geometry_of(atoms)), get_spins(atoms)
    kick, step = np.random.default_rng(1).normal(size=spins.shape), 1e-4
    ends = [solver.solve(frozen.operator(spins + sign * step * kick)).free_energy for sign in (1.0, -1.0)]
    gradient = frozen.spin_gradient(solver.solve(frozen.operator(spins)).density)
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(-float(np.sum(gradient * kick)), rel=1e-8)
    exact = DenseSolver(FixedChemicalPotential(0.1, -0.5)).solve(frozen.operator(spins))
    assert np.abs(frozen.spin_gradient(exact.density) - gradient).max() > 1e-4  # a rough form is really in use


def test_in_dynamics_one_or_two_solutions_a_step_find_the_chemical_potential(monkeypatch: pytest.MonkeyPatch) -> None:
    atoms, hamiltonian = magnet("square")
    frozen, spins = hamiltonian.freeze(geometry_of(atoms)), get_spins(atoms)
    plan, counts = RationalSolver(FixedFilling(0.1, 0.4)).plan(frozen.pattern), []
    original = RationalPlan._at

    def counted(*arguments):
        counts[-1] += 1
        return original(*arguments)

    monkeypatch.setattr(RationalPlan, "_at", counted)
    rng = np.random.default_rng(0)
    for _ in range(12):
        counts.append(0)
        state = plan.solve(frozen.operator(spins))
        assert state.electrons == pytest.approx(0.8 * len(spins), abs=1e-6 * len(spins))
        spins = spins + 0.01 * rng.normal(size=spins.shape)
        spins /= np.linalg.norm(spins, axis=1)[:, None]
    assert counts[0] <= 12
    assert np.mean(counts[2:]) <= 2.5


def test_filling_in_a_gap_is_found() -> None:
    atoms = SpinAtoms.lattice("triangular", (4, 4), texture="tetrahedral", units="reduced")
    model = {"hopping": ShellHopping([1.0]), "coupling": 3.0, "filling": 0.25, "kT": 0.01}
    exact, found = EDCalculator(SDModel(**model)), RationalCalculator(SDModel(**model), tolerance=1e-7)
    for name, accuracy in (("free_energy", 1e-6), ("magnetic_forces", 6e-7)):
        np.testing.assert_allclose(found.get_property(name, atoms), exact.get_property(name, atoms), atol=accuracy)


class Steps:
    """N(mu) of a few sharp levels."""

    def __init__(self) -> None:
        self.levels, self.calls = np.array([-1.0, -0.2, -0.2, 0.6, 3.0]), 0

    def __call__(self, mu: float, rough: bool, share: float = 1.0) -> Trial[float]:
        self.calls += 1
        return Trial(float((1.0 / (1.0 + np.exp(np.clip((self.levels - mu) / 0.01, -700, 700)))).sum()), mu)


@pytest.mark.parametrize("electrons", [0.3, 1.0, 1.7, 3.0, 4.9])
@pytest.mark.parametrize("memory", [MuMemory(), MuMemory(2.9, 0.001), MuMemory(-0.9, 50.0)])
def test_the_search_climbs_stairs_from_anywhere(electrons: float, memory: MuMemory) -> None:
    steps = Steps()
    mu, kept = find_mu(steps, Goal(electrons, 5.0, (-1.5, 3.5), 0.01, 1e-9), memory)
    assert steps(mu, False).electrons == pytest.approx(electrons, abs=1e-8)
    assert kept.mu == mu
    assert steps.calls < 60


def test_a_jump_in_the_number_of_electrons_is_reported() -> None:
    with pytest.raises(ConvergenceError, match="the number jumps there; raise kT"):
        find_mu(lambda mu, *_: Trial(float(mu > 0.2), mu), Goal(0.5, 1.0, (-1.0, 1.0), 0.1, 1e-6), MuMemory())


@pytest.mark.parametrize("filling", [0.0, 1.0])
def test_empty_and_full_bands_are_refused_as_by_the_dense_solver(filling: float) -> None:
    for solver in (RationalSolver(FixedFilling(0.1, filling)), DenseSolver(FixedFilling(0.1, filling))):
        with pytest.raises(ModelError, match="put the chemical potential at infinity"):
            solver.solve(make_operator("square"))


@pytest.mark.parametrize(
    ("occupation", "options", "message"),
    [
        (FixedFilling(0.0, 0.5), {}, "needs kT > 0: .* take a small kT"),
        (FixedFilling(0.1, 0.5), {"tolerance": 1e-13}, "tolerance must be between 1e-10 and 0.01, got 1e-13"),
        (FixedFilling(0.1, 0.5), {"tolerance": 0.5}, "tolerance must be between"),
        (FixedFilling(0.1, 0.5), {"dtype": "float32"}, "dtype must be 'complex128' or 'complex64', got 'float32'"),
        (FixedFilling(0.1, 0.5), {"dtype": "complex64", "tolerance": 1e-8}, "complex64 reaches about 1e-06"),
    ],
)
def test_bad_input(occupation: FixedFilling, options: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        RationalSolver(occupation, **options)


def test_an_unreachable_tolerance_names_the_temperature() -> None:
    solver = RationalSolver(FixedChemicalPotential(1e-9, 0.0), 1e-10)
    with pytest.raises(ConvergenceError, match="reaches .* kT from the chemical potential.*use a higher kT"):
        solver.solve(make_operator("one site"))


def test_the_estimate_knows_what_is_solved_and_costs_nothing() -> None:
    operator = make_operator("square")
    solver = RationalSolver(FixedChemicalPotential(0.05, 0.0), 1e-6)
    estimate = solver.plan(SparsityPattern.of(operator)).estimate(operator)
    low, high = spectral_bounds(operator)
    assert estimate.poles == len(fermi_poles(1.02 * max(high, -low) / 0.05, 1e-6).heights)
    assert estimate.form == "dissection"
    assert estimate.multiplications > 0.0
    assert estimate.memory > 0.0


def test_a_graph_too_wide_to_take_apart_is_reported_once() -> None:
    atoms = SpinAtoms.lattice("cubic", (8, 8, 8), units="reduced", rng=1)
    model = SDModel(hopping=ShellHopping([1.0, 0.5, 0.4, 0.3, 0.2]), coupling=1.0, filling=0.3, kT=0.01)
    calc = RationalCalculator(model)
    with pytest.warns(CostWarning, match=r"too wide to take apart .* 'ed'\) is about .* times cheaper"):
        calc.freeze(geometry_of(atoms))
    calc.freeze(geometry_of(atoms))  # warnings are errors here: a second one would fail


def test_the_order_of_elimination_is_kept_while_atoms_move_a_little() -> None:
    atoms, hamiltonian = magnet("disordered")
    solver = RationalSolver(OCCUPATIONS["filling"], 1e-8)
    first = solver.plan(hamiltonian.freeze(geometry_of(atoms)).pattern)
    atoms.rattle(1e-3, seed=2)
    second = first.follow(hamiltonian.freeze(geometry_of(atoms)).pattern)
    assert second.tree is first.tree
    atoms.rattle(0.6, seed=3)
    far = hamiltonian.freeze(geometry_of(atoms)).operator(get_spins(atoms))
    third = second.follow(SparsityPattern.of(far))
    assert third.tree is not first.tree
    found, exact = third.solve(far), DenseSolver(OCCUPATIONS["filling"]).solve(far)
    np.testing.assert_allclose(found.density.bond, exact.density.bond, atol=1e-7)


def test_a_restart_knows_where_the_search_was() -> None:
    atoms, _ = magnet("square")
    model = SDModel(hopping=ShellHopping([1.0]), coupling=1.0, filling=0.3, kT=0.1)
    one, other = RationalCalculator(model), RationalCalculator(model)
    one.get_property("energy", atoms)
    other.restore_state(one.checkpoint_state())
    atoms.spins = -atoms.spins[::-1]
    fields = [calc.get_property("magnetic_forces", atoms) for calc in (one, other)]
    np.testing.assert_array_equal(*fields)
