"""KPM: kernels against dense answers on every graph, estimators, calibration, error bars, torch against numba, bad input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from systems.electrons import GRAPHS, dense_matrix, magnet, make_operator

from spinase import SpinAtoms
from spinase.atoms import geometry_of, get_spins
from spinase.electrons import FixedChemicalPotential, FixedFilling, SDModel, ShellHopping
from spinase.electrons.chebyshev import engine as chebyshev_engine
from spinase.electrons.chebyshev.colouring import spread_colours
from spinase.electrons.chebyshev.columns import probing_columns, random_columns, subset_columns, unit_columns
from spinase.electrons.chebyshev.engine import NumbaEngine, Pattern
from spinase.electrons.chebyshev.engine_torch import TorchEngine
from spinase.electrons.chebyshev.series import (
    Band,
    coefficients,
    fermi_order,
    find_band,
    jackson,
    largest_exchange,
    spectral_density,
)
from spinase.electrons.occupation import fermi
from spinase.electrons.operator import SparsityPattern, SpinOperator
from spinase.electrons.solvers.dense import DenseSolver
from spinase.electrons.solvers.kpm import KPMOptions, KPMPlan, KPMSolver
from spinase.electrons.solvers.kpm_expansion import ChebyshevExpansion
from spinase.electrons.solvers.rational import RationalSolver
from spinase.electrons.solvers.refreshed import RefreshedSolver
from spinase.electrons.sparse.elimination import adjacency
from spinase.errors import ConvergenceError, ModelError

KT, MU = 0.3, -0.4
OCCUPATIONS = {"filling": FixedFilling(KT, 0.37), "chemical potential": FixedChemicalPotential(KT, MU)}
UNIT = KPMOptions(columns="unit", accuracy=1e-8, dtype="float64")


def lattice_operator(size: int = 12, kT: float = 0.1) -> tuple[SpinOperator, FixedFilling]:  # noqa: N803
    atoms = SpinAtoms.lattice("square", (size, size), units="reduced", rng=1)
    model = SDModel(hopping=ShellHopping([1.0]), coupling=1.0, filling=0.3, kT=kT)
    return model.hamiltonian.freeze(geometry_of(atoms)).operator(get_spins(atoms)), model.occupation


# -- recursions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("graph", GRAPHS)
def test_unit_columns_give_the_dense_density_on_every_graph(graph: str, dtype: str) -> None:
    operator = make_operator(graph)
    accuracy = 1e-9 if dtype == "float64" else 3e-6
    for ensemble, occupation in OCCUPATIONS.items():
        exact = DenseSolver(occupation).solve(operator)
        for estimator in ("gradient", "direct"):
            options = replace(UNIT, dtype=dtype, accuracy=1e-10 if dtype == "float64" else 1e-6, estimator=estimator)
            found = KPMSolver(occupation, options).solve(operator)
            sites = len(operator)
            for name in ("charge", "spin", "bond"):
                got, want = getattr(found.density, name), getattr(exact.density, name)
                np.testing.assert_allclose(got, want, rtol=0, atol=accuracy, err_msg=f"{ensemble} {estimator} {name}")
            assert found.free_energy == pytest.approx(exact.free_energy, abs=accuracy * sites)
            assert found.energy == pytest.approx(exact.energy, abs=10 * accuracy * sites)
            assert found.entropy == pytest.approx(exact.entropy, abs=100 * accuracy * sites)
            assert found.electrons == pytest.approx(exact.electrons, abs=10 * accuracy * sites)


@pytest.mark.parametrize("graph", ["square", "flux", "disordered"])
def test_moments_are_chebyshev_polynomials_of_the_levels(graph: str) -> None:
    operator = make_operator(graph)
    band = find_band(operator)
    engine = NumbaEngine(Pattern(operator, band, "float64", 1), operator, unit_columns(len(operator)), 0, 1)
    levels = (np.linalg.eigvalsh(dense_matrix(operator)) - band.centre) / band.half
    expected = np.cos(np.arange(41)[:, None] * np.arccos(levels)).sum(axis=1)
    np.testing.assert_allclose(engine.moments(20), expected, atol=1e-11)


@pytest.mark.parametrize("steps", [1, 2, 3, 10])
@pytest.mark.parametrize("columns", ["probing", "random"])
def test_the_gradient_is_the_derivative_of_the_estimate(columns: str, steps: int) -> None:
    operator = make_operator("flux")
    band = find_band(operator)
    chosen = random_columns(6) if columns == "random" else probing_columns(len(operator), operator.bonds, 10)
    weights = np.random.default_rng(1).normal(size=2 * steps + 1)

    def estimate(changed: SpinOperator) -> float:
        engine = NumbaEngine(Pattern(changed, band, "float64", 1), changed, chosen, 5, 1)
        return float(weights @ engine.moments(steps))

    engine = NumbaEngine(Pattern(operator, band, "float64", 1), operator, chosen, 5, 1)
    engine.moments(steps)
    raw = engine.gradient(weights, bonds=True)
    rng, step = np.random.default_rng(2), 1e-5
    onsite, exchange = rng.normal(size=operator.onsite.shape), rng.normal(size=operator.exchange.shape)
    hopping = rng.normal(size=(2, len(operator.hopping))) * 0.3
    hopping = hopping[0] + 1j * hopping[1]
    ends = [
        estimate(
            SpinOperator(
                operator.bonds,
                operator.hopping + sign * step * hopping,
                operator.onsite + sign * step * onsite,
                operator.exchange + sign * step * exchange,
            )
        )
        for sign in (1, -1)
    ]
    slope = raw.sites[:, 0] @ onsite + np.sum(raw.sites[:, 1:] * exchange)
    slope += 2.0 * np.sum((raw.bonds.conj() * hopping).real)
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(slope / band.half, rel=1e-7)
    assert abs(slope) > 1e-3


@pytest.mark.parametrize("estimator", ["gradient", "direct"])
@pytest.mark.parametrize("graph", ["square", "flux", "disordered", "one site"])
def test_torch_and_numba_do_the_same(graph: str, estimator: str) -> None:
    operator = make_operator(graph)
    band = find_band(operator)
    for columns in (probing_columns(len(operator), operator.bonds, 20), random_columns(21)):
        compiled = NumbaEngine(Pattern(operator, band, "float64", 1), operator, columns, 3, 1)
        plain = TorchEngine(operator, band, columns, 3, "float64", "cpu")
        for steps in (1, 2, 7):
            np.testing.assert_allclose(compiled.moments(steps), plain.moments(steps), atol=1e-11)
            weights = np.random.default_rng(0).normal(size=2 * steps + 1)
            one, other = (getattr(engine, estimator)(weights, True) for engine in (compiled, plain))
            np.testing.assert_allclose(one.sites, other.sites, atol=1e-11)
            np.testing.assert_allclose(one.bonds, other.bonds, atol=1e-11)


@pytest.mark.gpu
def test_a_gpu_does_the_same() -> None:
    operator, _ = lattice_operator(24)
    band, columns = find_band(operator), random_columns(40)
    engines = [TorchEngine(operator, band, columns, 3, "float64", device) for device in ("cpu", "cuda")]
    one, other = (engine.moments(60) for engine in engines)
    np.testing.assert_allclose(one, other, atol=1e-9)
    weights = np.linspace(1.0, 0.0, 121)
    np.testing.assert_allclose(*(engine.gradient(weights, False).sites for engine in engines), atol=1e-9)


def test_waves_orders_of_sites_threads_and_forgotten_ends_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = make_operator("square")
    columns, weights = random_columns(70), np.linspace(1.0, -1.0, 31)

    def run(threads: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        pattern = Pattern(operator, find_band(operator), "float64", threads)
        engine = NumbaEngine(pattern, operator, columns, 1, threads)
        moments, raw = engine.moments(15), engine.gradient(weights, True)
        return moments, raw.sites, raw.bonds

    plain = run(1)
    for one, other in zip(plain, run(3), strict=True):
        np.testing.assert_array_equal(one, other)
    for name, value in (
        ("_NEAR_BYTES", 0),
        ("_SHARED_BYTES", 0),
        ("_WAVE_BYTES", 80_000),
        ("_WAVE_BLOCK", 4),
        ("_KEEP_BYTES", 0),
    ):
        monkeypatch.setattr(chebyshev_engine, name, value)
    pattern = Pattern(operator, find_band(operator), "float64", 1)
    assert pattern.wave[2] > 1  # waves are really in use
    assert not np.array_equal(pattern.order, np.arange(len(operator)))
    for one, other in zip(plain, run(2), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-11)


# -- expansions -------------------------------------------------------------------------------------------------------


def test_the_chebyshev_error_falls_exponentially_with_the_order() -> None:
    operator = make_operator("disordered")
    exact = DenseSolver(OCCUPATIONS["chemical potential"]).solve(operator)
    orders, errors = np.array([20, 40, 60, 80, 100]), []
    for order in orders:
        options = KPMOptions(columns="unit", order=int(order), dtype="float64", accuracy=10.0)
        state = KPMSolver(OCCUPATIONS["chemical potential"], options).solve(operator)
        errors.append(np.sqrt(np.mean((state.density.spin - exact.density.spin) ** 2)))
    slope, _ = np.polyfit(orders, np.log(errors), 1)
    half = find_band(operator).half
    assert slope == pytest.approx(-np.pi * KT / half, rel=0.25)
    residual = np.log(errors) - np.polyval(np.polyfit(orders, np.log(errors), 1), orders)
    assert np.abs(residual).max() < 1.0


def test_the_order_rule_covers_the_whole_band() -> None:
    band = Band(0.3, 5.0)
    for tolerance in (1e-3, 1e-8):
        order = fermi_order(band, -1.0, 0.1, tolerance)
        c = coefficients(lambda e: fermi(e, -1.0, 0.1), band, order)
        x = np.cos(np.linspace(0.01, 3.13, 500))
        series = np.polynomial.chebyshev.chebval(x, c)
        assert np.abs(series - fermi(band.half * x + band.centre, -1.0, 0.1)).max() <= 1.1 * tolerance
        fewer = coefficients(lambda e: fermi(e, -1.0, 0.1), band, int(0.6 * order))
        rough = np.polynomial.chebyshev.chebval(x, fewer) - fermi(band.half * x + band.centre, -1.0, 0.1)
        assert np.abs(rough).max() > tolerance
    with pytest.raises(ConvergenceError, match="moments are needed for 0.001 at kT = 1e-07"):
        fermi_order(band, 0.0, 1e-7, 1e-3)


def test_bands_hold_for_any_spins_and_are_kept_while_they_fit() -> None:
    for graph in GRAPHS:
        atoms, hamiltonian = magnet(graph)
        frozen = hamiltonian.freeze(geometry_of(atoms))
        operator = frozen.operator(get_spins(atoms))
        band = find_band(operator)
        for seed in range(4):
            turned = np.random.default_rng(seed).normal(size=(len(atoms), 3))
            turned *= (largest_exchange(operator) / np.linalg.norm(turned, axis=1))[:, None]
            levels = np.linalg.eigvalsh(dense_matrix(replace(operator, exchange=turned)))
            assert band.low <= levels[0] <= levels[-1] <= band.high
    operator = make_operator("square")
    band = find_band(operator)
    assert find_band(operator, keep=band) is band
    stronger = replace(operator, hopping=1.3 * operator.hopping)
    assert find_band(stronger, keep=band) is not band
    assert find_band(replace(operator, hopping=0.3 * operator.hopping), keep=band).half < band.half


def test_a_zeeman_field_may_push_the_spectrum_out_of_the_band_in_use() -> None:
    operator, occupation = lattice_operator(6)
    plan = planned(KPMSolver(occupation, UNIT), operator)
    first = plan.calibrate(operator).band
    stronger = replace(operator, exchange=1.5 * operator.exchange)
    found, exact = plan.solve(stronger), DenseSolver(occupation).solve(stronger)
    assert plan.calibrate(stronger).band.half > first.half
    np.testing.assert_allclose(found.density.spin, exact.density.spin, atol=1e-6)


def test_densities_of_states_integrate_to_the_states_and_resolve_levels() -> None:
    operator = make_operator("triangular")
    band = find_band(operator)
    angles = np.linspace(0.0, np.pi, 4001)[1:-1]
    energies = band.centre - band.half * np.cos(angles)
    plan = planned(KPMSolver(OCCUPATIONS["filling"], replace(UNIT, accuracy=1e-3)), operator)
    moments, used = plan.moments(operator, unit_columns(len(operator)), 200)
    dos = spectral_density(moments, used, energies)
    assert dos.min() >= -1e-9
    assert np.trapezoid(dos, energies) == pytest.approx(2 * len(operator), rel=1e-4)
    levels = np.linalg.eigvalsh(dense_matrix(operator))
    width = np.pi * used.half / 200 * np.sqrt(1 - ((levels - used.centre) / used.half) ** 2)
    smooth = (np.exp(-0.5 * ((energies[:, None] - levels) / width) ** 2) / (width * np.sqrt(2 * np.pi))).sum(axis=1)
    assert np.abs(dos - smooth).max() < 0.05 * smooth.max()
    local = [
        spectral_density(plan.moments(operator, subset_columns(len(operator), np.array([i])), 200)[0], used, energies)
        for i in range(len(operator))
    ]
    np.testing.assert_allclose(np.sum(local, axis=0), dos, atol=1e-7 * dos.max())


def test_jackson_factors_fall_from_one_to_nearly_nothing() -> None:
    factors = jackson(100)
    assert factors[0] == pytest.approx(1.0, abs=1e-12)
    assert np.all(np.diff(factors) < 0)
    assert factors[-1] == pytest.approx(0.0, abs=1e-4)


# -- columns ----------------------------------------------------------------------------------------------------------


def test_colours_are_spread_out() -> None:
    side = 16
    operator, _ = lattice_operator(side)
    graph = adjacency(side * side, operator.bonds.first, operator.bonds.second)
    for colours in (2, 8, 18, 32):
        found = spread_colours(graph.indptr, graph.indices, colours, 3)
        x, y = np.divmod(np.arange(side * side), side)
        dx, dy = (np.minimum(np.abs(d), side - np.abs(d)) for d in (x[:, None] - x, y[:, None] - y))
        same = (found[:, None] == found) & ~np.eye(side * side, dtype=bool)
        nearest = (dx + dy)[same].min()
        assert nearest >= {2: 2, 8: 3, 18: 4, 32: 5}[colours]  # 4, 6, 8 at the best tilings; 2: the chess board
        assert np.bincount(found, minlength=colours).max() <= 2 * side * side / colours


def test_columns_square_to_the_identity_on_average() -> None:
    operator, _ = lattice_operator(6)
    order = np.random.default_rng(0).permutation(36)
    for columns in (unit_columns(36), probing_columns(36, operator.bonds, 20), random_columns(17)):
        mean = np.zeros((72, 72), dtype=complex)
        samples = 400
        for seed in range(samples):
            block = np.zeros((36, 4, 96))
            columns.fill(block, 0, seed, order)
            spinor = np.empty((36, 2, 96), dtype=complex)
            spinor[order] = block[:, 0::2] + 1j * block[:, 1::2]
            flat = spinor.reshape(72, 96)
            mean += columns.weight * flat @ flat.conj().T / samples
        np.testing.assert_allclose(mean.diagonal(), 1.0, atol=1e-12)
        np.testing.assert_allclose(mean, np.eye(72), atol=0.25)


def test_blocks_of_columns_are_parts_of_the_whole() -> None:
    operator, _ = lattice_operator(6)
    columns = probing_columns(36, operator.bonds, 40)
    whole, part = np.zeros((36, 4, 48)), np.zeros((36, 4, 16))
    columns.fill(whole, 0, 7, np.arange(36))
    columns.fill(part, 16, 7, np.arange(36))
    np.testing.assert_array_equal(part, whole[:, :, 16:32])
    assert not whole[:, :, columns.count :].any()


# -- accuracy ---------------------------------------------------------------------------------------------------------


def planned(solver: KPMSolver, operator: SpinOperator) -> KPMPlan:
    return solver.plan(SparsityPattern.of(operator))


def field_error(plan: KPMPlan, operator: SpinOperator, exact: np.ndarray) -> float:
    return float(np.sqrt(np.mean((plan.solve(operator, bonds=False).density.spin - exact) ** 2)))


@pytest.mark.parametrize("accuracy", [1e-2, 2e-3])
@pytest.mark.parametrize("graph", ["square", "disordered"])
def test_the_asked_accuracy_is_reached_and_reported(graph: str, accuracy: float) -> None:
    operator, occupation = make_operator(graph), FixedFilling(0.15, 0.37)
    exact = DenseSolver(occupation).solve(operator)
    plan = planned(KPMSolver(occupation, KPMOptions(accuracy=accuracy)), operator)
    strength = np.linalg.norm(operator.exchange, axis=1).max()
    errors = []
    for _ in range(4):
        plan.phases.renew()
        errors.append(strength * field_error(plan, operator, exact.density.spin))
    calibration = plan.calibrate(operator)
    assert np.mean(errors) <= 1.25 * accuracy
    assert calibration.error == pytest.approx(np.mean(errors), rel=0.5)


def test_gradients_are_closer_than_direct_estimates() -> None:
    operator, occupation = lattice_operator(16)
    exact = RationalSolver(occupation, 1e-8).solve(operator, bonds=False).density.spin
    errors = {
        estimator: field_error(
            planned(KPMSolver(occupation, KPMOptions(count=64, estimator=estimator, accuracy=1e-3)), operator),
            operator,
            exact,
        )
        for estimator in ("gradient", "direct")
    }
    assert 1.5 * errors["gradient"] < errors["direct"]


@pytest.mark.parametrize(("count", "columns"), [(40, "probing"), (64, "random")])
def test_error_bars_cover_the_true_error(count: int, columns: str) -> None:
    operator, occupation = lattice_operator(12)
    exact = RationalSolver(occupation, 1e-9).solve(operator, bonds=False).density.spin
    plan = planned(KPMSolver(occupation, KPMOptions(count=count, columns=columns, accuracy=1e-2)), operator)
    bars = plan.errors(operator, repeats=24)
    ratios = []
    for _ in range(6):
        plan.phases.renew()
        ratios.append(np.abs(plan.solve(operator, bonds=False).density.spin - exact) / bars)
    covered = np.mean(np.array(ratios) < 1.0)
    assert 0.58 < covered < 0.80  # 0.68 for Gaussian errors and exact bars
    assert np.mean(np.array(ratios) < 2.0) > 0.9


def ordered(kind: str, filling: float, size: int = 8) -> tuple[SpinOperator, FixedFilling]:
    operator, occupation = lattice_operator(size)
    signs = (-1.0) ** np.add(*np.divmod(np.arange(size * size), size)) if kind == "antiferromagnet" else np.ones(size * size)
    along = np.array([[0.0, 0.0, -1.0]]) * signs[:, None]
    return replace(operator, exchange=operator.exchange if kind == "random" else along), FixedFilling(occupation.kT, filling)


@pytest.mark.parametrize("accuracy", [1e-2, 1e-3])
@pytest.mark.parametrize("filling", [0.3, 0.5])
@pytest.mark.parametrize("kind", ["ferromagnet", "antiferromagnet", "random"])
def test_two_error_bars_cover_most_errors_also_where_all_sites_are_alike(kind: str, filling: float, accuracy: float) -> None:
    """The error of the order is the same on all sites of a collinear magnet: it is covered everywhere, or nowhere."""
    operator, occupation = ordered(kind, filling)
    exact = DenseSolver(occupation).solve(operator).density.spin
    covered, errors = [], []
    for seed in range(8):
        plan = planned(KPMSolver(occupation, KPMOptions(accuracy=accuracy), np.random.default_rng(seed)), operator)
        wrong = np.abs(plan.solve(operator, bonds=False).density.spin - exact)
        bars = plan.errors(operator)
        covered.append(np.mean(wrong <= 2.0 * bars))
        errors.append(np.mean(wrong**2))
        assert np.sqrt(np.mean(bars**2)) < 2.0 * accuracy
    assert np.mean(covered) > 0.93
    assert min(covered) > 0.85
    assert np.sqrt(np.mean(errors)) < accuracy


@pytest.mark.parametrize("filling", [0.13, 0.24, 0.3, 0.41, 0.5])
def test_orders_are_not_chosen_where_the_error_passes_through_zero(filling: float) -> None:
    operator, occupation = ordered("ferromagnet", filling)
    exact = DenseSolver(occupation).solve(operator)
    for accuracy in (3e-2, 1e-2, 3e-3, 1e-3):
        for estimator in ("gradient", "direct"):
            options = KPMOptions(accuracy=accuracy, columns="unit", dtype="float64", estimator=estimator)
            known = planned(KPMSolver(occupation, options), operator).calibrate(operator)
            expansion = ChebyshevExpansion(occupation, options)
            for order in range(known.order, known.order + 12, 2):
                found = expansion.solve(operator, replace(known, order=order), True, 0)
                assert np.sqrt(np.mean((found.density.spin - exact.density.spin) ** 2)) < accuracy
                assert abs(found.free_energy - exact.free_energy) < accuracy * len(operator)


def test_the_error_bar_of_unit_columns_is_that_of_the_order() -> None:
    operator, occupation = lattice_operator(8)
    exact = RationalSolver(occupation, 1e-9).solve(operator, bonds=False).density.spin
    plan = planned(KPMSolver(occupation, KPMOptions(columns="unit", order=40, accuracy=1e-2)), operator)
    bar = np.sqrt(np.mean(plan.errors(operator, 2) ** 2))
    assert bar == pytest.approx(field_error(plan, operator, exact), rel=0.5)
    assert plan.calibrate(operator).error == plan.calibrate(operator).truncation


def test_the_error_of_gradient_probing_falls_with_the_power_of_the_dimension() -> None:
    """S^-(d+2)/2d: 1/S in the plane (Wang et al. 2018), for a metal at low temperature."""
    operator, occupation = lattice_operator(32, kT=0.05)
    exact = RationalSolver(occupation, 1e-7).solve(operator, bonds=False).density.spin
    counts, errors = np.array([36, 64, 100, 144, 196]), []
    for count in counts:
        plan = planned(KPMSolver(occupation, KPMOptions(count=int(count), order=120, accuracy=1e-1)), operator)
        values = []
        for _ in range(3):
            plan.phases.renew()
            values.append(field_error(plan, operator, exact) ** 2)
        errors.append(np.sqrt(np.mean(values)))
    exponent = np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert exponent == pytest.approx(-1.0, abs=0.25)


def test_renewed_phases_change_the_estimate_and_a_checkpoint_brings_it_back() -> None:
    operator, occupation = lattice_operator(10)
    plan = planned(KPMSolver(occupation, KPMOptions(count=40, accuracy=1.0), np.random.default_rng(4)), operator)
    first = plan.solve(operator).density.spin
    np.testing.assert_array_equal(plan.solve(operator).density.spin, first)
    state, phases = plan.checkpoint_state(), plan.phases.state()
    plan.phases.renew()
    second = plan.solve(operator).density.spin
    assert np.abs(second - first).max() > 1e-4
    other = KPMSolver(occupation, KPMOptions(count=40, accuracy=1.0), np.random.default_rng(99)).restore_plan(state)
    other.phases.restore(phases)
    np.testing.assert_array_equal(other.solve(operator).density.spin, first)
    other.phases.renew()
    np.testing.assert_array_equal(other.solve(operator).density.spin, second)


# -- refreshed reference ----------------------------------------------------------------------------------------------


def tilted(operator: SpinOperator, angle: float, seed: int = 0) -> SpinOperator:
    rng = np.random.default_rng(seed)
    size = np.linalg.norm(operator.exchange, axis=1)[:, None]
    moved = operator.exchange / size + angle * rng.normal(size=operator.exchange.shape) / np.sqrt(2)
    return replace(operator, exchange=size * moved / np.linalg.norm(moved, axis=1)[:, None])


def test_delta_probing_beats_probing_ten_times_near_the_reference_and_knows_when_it_does_not() -> None:
    operator, occupation = lattice_operator(16)
    exact = RationalSolver(occupation, 1e-8)
    solver = RefreshedSolver(KPMSolver(occupation, KPMOptions(count=72, accuracy=1e-2)), exact, 1e-3)
    plan = solver.plan(SparsityPattern.of(operator))
    plain = planned(KPMSolver(occupation, KPMOptions(count=72, accuracy=1e-2)), operator)
    np.testing.assert_array_equal(plan.solve(operator).density.spin, exact.solve(operator).density.spin)
    near = tilted(operator, 0.03)
    truth = exact.solve(near).density.spin
    error = np.sqrt(np.mean((plan.solve(near).density.spin - truth) ** 2))
    assert error < 0.15 * field_error(plain, near, truth)
    before = plan.refreshes
    far = tilted(operator, 1.0, seed=1)
    np.testing.assert_allclose(plan.solve(far).density.spin, exact.solve(far).density.spin, atol=1e-9)
    assert plan.refreshes == before + 1
    # after a refresh the rate is measured: the estimate is right within a factor
    step = tilted(far, 0.05, seed=2)
    solver.accuracy = 1.0
    wrong = np.sqrt(np.mean((plan.solve(step).density.spin - exact.solve(step).density.spin) ** 2))
    assert 0.3 < plan.estimated_error(step) / wrong < 4.0


def test_moved_atoms_make_a_refresh_due_too() -> None:
    operator, occupation = make_operator("disordered"), FixedFilling(0.15, 0.37)
    solver = RefreshedSolver(KPMSolver(occupation, KPMOptions(count=30, accuracy=1.0)), DenseSolver(occupation), 1e-3)
    plan = solver.plan(SparsityPattern.of(operator))
    plan.solve(operator)
    plan.solve(replace(operator, hopping=1.0001 * operator.hopping))
    assert plan.refreshes == 1
    far = replace(operator, hopping=1.3 * operator.hopping)
    exact = DenseSolver(occupation).solve(far).density.spin
    np.testing.assert_allclose(plan.solve(far).density.spin, exact, atol=1e-12)
    assert plan.refreshes == 2


@pytest.mark.parametrize("graph", ["square", "disordered"])
def test_between_refreshes_fields_and_bonds_are_gradients_of_the_reported_free_energy(graph: str) -> None:
    operator, occupation = make_operator(graph), FixedFilling(0.15, 0.37)
    cheap = KPMSolver(occupation, KPMOptions(count=30, dtype="float64", order=80, accuracy=1.0))
    plan = RefreshedSolver(cheap, DenseSolver(occupation), 100.0).plan(SparsityPattern.of(operator))
    plan.solve(operator)
    here, step, rng = tilted(operator, 0.1), 1e-5, np.random.default_rng(3)
    exchange, hopping = rng.normal(size=operator.exchange.shape), rng.normal(size=operator.hopping.shape)
    state = plan.solve(here)
    ends = [
        plan.solve(replace(here, exchange=here.exchange + s * step * exchange, hopping=here.hopping + s * step * hopping))
        for s in (1, -1)
    ]
    slope = np.sum(state.density.spin * exchange) + 2.0 * np.sum((state.density.bond.conj() * hopping).real)
    assert (ends[0].free_energy - ends[1].free_energy) / (2 * step) == pytest.approx(slope, rel=1e-6)
    assert state.energy - state.free_energy == pytest.approx(occupation.kT * state.entropy, abs=1e-8)


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": "all"}, "columns must be one of probing, unit, random, got 'all'"),
        ({"estimator": "best"}, "estimator must be one of"),
        ({"dtype": "float16"}, "dtype must be one of"),
        ({"backend": "jax"}, "backend must be one of"),
        ({"accuracy": -1.0}, "accuracy must be positive"),
        ({"accuracy": 1e-9}, "float32 reaches about 1e-6, accuracy = 1e-09 was asked for"),
        ({"count": 0}, "count must be a whole number of at least 1, got 0"),
        ({"order": 2}, "order must be a whole number of at least 4"),
        ({"threads": 0}, "threads must be"),
        ({"bounds": (1.0, -1.0)}, "bounds must be"),
    ],
)
def test_bad_options(options: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        KPMOptions(**options)


def test_a_spectrum_outside_the_bounds_is_noticed() -> None:
    operator, occupation = lattice_operator(8)
    with pytest.raises(ModelError, match=r"the spectrum leaves the bounds -2 .. 2 .* give wider bounds, or none"):
        KPMSolver(occupation, KPMOptions(bounds=(-2.0, 2.0))).solve(operator)
    generous = KPMSolver(occupation, KPMOptions(bounds=(-7.0, 7.0), columns="unit")).solve(operator)
    exact = RationalSolver(occupation, 1e-8).solve(operator)
    np.testing.assert_allclose(generous.density.spin, exact.density.spin, atol=2e-3)


def test_zero_temperature_and_infinite_chemical_potentials_are_refused() -> None:
    with pytest.raises(ModelError, match="KPM needs kT > 0: .* take a small kT"):
        KPMSolver(FixedFilling(0.0, 0.5))
    with pytest.raises(ModelError, match="put the chemical potential at infinity"):
        KPMSolver(FixedFilling(0.1, 0.0)).solve(make_operator("square"))
    operator, occupation = lattice_operator(8)
    with pytest.raises(ModelError, match="at least 2 repeats"):
        planned(KPMSolver(occupation), operator).errors(operator, 1)
