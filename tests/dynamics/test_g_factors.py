"""g factors: precession, equilibrium, spin waves, angular momentum, files; closed forms as reference."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms, units

from spinase import SpinAtoms
from spinase import atoms as sa
from spinase.calculators import HeisenbergCalculator, SpinSumCalculator, ZeemanCalculator, ZhangLiCalculator
from spinase.dynamics import FreeLengthSpins, InertialSpins, LLGDynamics, MonteCarlo, SpinLatticeDynamics
from spinase.errors import InputError, InvalidMomentsError
from spinase.io import read_run
from spinase.observers.motion import AngularMomentumObserver
from spinase.run import RunOptions, read_input, run_file
from spinase.run.build import build_setup
from spinase.spinwaves import spin_waves
from spinase.units import METAL

FREE_ELECTRON = 2.00231930436


def angle_per_time(atoms: Atoms, driver: LLGDynamics, steps: int) -> np.ndarray:
    """Rate (N,) at which spins near the x axis turn about z, after `steps` steps."""
    before = sa.get_spins(atoms)
    driver.run(steps)
    after = sa.get_spins(atoms)
    turned = np.arctan2(after[:, 1], after[:, 0]) - np.arctan2(before[:, 1], before[:, 0])
    return turned / (steps * driver.dt)


@pytest.mark.parametrize(("g", "gigahertz"), [(2.0, 27.9925), (FREE_ELECTRON, 28.0250)])
def test_larmor_frequency_in_one_tesla(g, gigahertz):
    """e/(4 pi m_e) g: 28.025 GHz/T is what UppASD, Vampire and Spirit have."""
    atoms = SpinAtoms("Fe", moments=[2.2, 0, 0], g=g)
    atoms.calc = ZeemanCalculator([0, 0, METAL.tesla])
    driver = LLGDynamics(atoms, 10 * units.fs, integrator="depondt")
    rate = angle_per_time(atoms, driver, 100)[0]  # d s/dt = -gamma s x B: anticlockwise about B
    assert rate * units.second / (2 * np.pi) * 1e-9 == pytest.approx(gigahertz, abs=6e-5)


DRIVERS = {
    "llg": lambda a, **o: LLGDynamics(a, 0.02, **o),
    "landau-lifshitz": lambda a, **o: LLGDynamics(a, 0.02, form="landau-lifshitz", **o),
    "spin-lattice": lambda a, **o: SpinLatticeDynamics(a, 0.02, **o),
    "free-length": lambda a, **o: LLGDynamics(a, 0.02, motion=FreeLengthSpins(0.0), **o),
    "inertial": lambda a, **o: LLGDynamics(a, 5e-4, motion=InertialSpins(2e-3), **o),
}


@pytest.mark.parametrize("system", ["reduced", "metal"])
@pytest.mark.parametrize("name", DRIVERS)
def test_species_with_different_g_precess_differently(name, system):
    base = 1.0 if system == "reduced" else METAL.gyromagnetic_ratio
    atoms = SpinAtoms("FeGdNi", positions=[[0, 0, 0], [0, 0, 9], [0, 9, 0]], units=system, moments=(1.7, 0, 0))
    atoms.g_factors = {"Fe": 2.1, "Gd": 1.0}
    atoms.calc = ZeemanCalculator([0, 0, 0.3 / base])
    atoms.set_masses([50.0] * 3)
    rates = angle_per_time(atoms, DRIVERS[name](atoms), 1000 if name == "inertial" else 40)
    tolerance = 1e-2 if name == "inertial" else 1e-5  # a nutating spin wobbles by an angle of eta gamma B
    assert rates == pytest.approx(0.3 * np.array([1.05, 0.5, 1.0]), rel=tolerance)


@pytest.mark.parametrize("options", [{}, {"damping": 0.3}, {"damping": 0.3, "axes": (0, 0, 1)}])
def test_time_scales_with_one_over_g(options):
    """One g for all is another unit of time: the same path, damped or not."""
    paths = []
    for g, step in ((2.0, 0.1), (5.0, 0.04)):
        atoms = SpinAtoms.lattice("square", (3, 3), units="reduced", rng=4)
        atoms.g_factors = g
        atoms.calc = HeisenbergCalculator(shells=[0.7])
        LLGDynamics(atoms, step, **options).run(20)
        paths.append(atoms.spins)
    assert paths[0] == pytest.approx(paths[1], abs=1e-12)


def test_g_of_two_is_what_it_was_to_the_last_bit():
    for motion in (None, InertialSpins(0.1), FreeLengthSpins(0.1)):
        paths = []
        for g in (None, 2.0, {"Fe": 2.0}, np.full(9, 2.0)):
            atoms = SpinAtoms.lattice("square", (3, 3), units="reduced", rng=4, moment=1.3)
            sa.set_g_factors(atoms, g)
            atoms.calc = HeisenbergCalculator(shells=[0.7])
            damping = 0.1 if motion is None or isinstance(motion, InertialSpins) else 0.0
            rng = np.random.default_rng(5)
            LLGDynamics(atoms, 0.05, damping=damping, kT=0.2, motion=motion, rng=rng).run(5)
            paths.append(atoms.moments)
            motion = None if motion is None else type(motion)(0.1)
        assert all(np.array_equal(path, paths[0]) for path in paths)


@pytest.mark.parametrize("motion", [None, InertialSpins(0.3)])
def test_equilibrium_does_not_depend_on_g(motion):
    """Langevin's <s_z> = coth x - 1/x for moments with g of 1, 2 and 5, side by side."""
    count, x = 900, 2.0
    g = np.repeat([1.0, 2.0, 5.0], count // 3)
    atoms = SpinAtoms(["Fe"] * count, positions=np.random.default_rng(1).random((count, 3)), units="reduced")
    atoms.moments = [0, 0, 1.5]
    atoms.g_factors = g
    atoms.calc = ZeemanCalculator([0, 0, x / 1.5])  # kT = 1
    driver = LLGDynamics(atoms, 0.02, damping=1.0, kT=1.0, motion=motion, rng=np.random.default_rng(2))
    means = []
    driver.run(300)
    for _ in range(40):
        driver.run(20)
        means.append(atoms.spins[:, 2].reshape(3, -1).mean(axis=1))
    expected = 1 / np.tanh(x) - 1 / x
    assert np.mean(means, axis=0) == pytest.approx(np.full(3, expected), abs=0.025)


def test_monte_carlo_takes_no_notice():
    spins = []
    for g in (2.0, 3.3):
        atoms = SpinAtoms.lattice("square", (3, 3), units="reduced", rng=4)
        atoms.g_factors = g
        atoms.calc = HeisenbergCalculator(shells=[0.7])
        MonteCarlo(atoms, 0.3, rng=np.random.default_rng(1)).run(3)
        spins.append(atoms.spins)
    assert np.array_equal(*spins)


@pytest.mark.parametrize("system", ["reduced", "metal"])
def test_ferrimagnetic_dimer_with_two_g(system):
    """Two antiparallel moments coupled by -J s_1.s_2 (J < 0), in a field along moment 1.

    For u = s_x + i s_y, s_iz = +-1 and b_i the field along z: du_i/dt = i gamma_i (b_i u_i - s_iz J u_j/mu_i).
    """
    coupling, field, mu, g = -0.4, 0.05, np.array([2.0, 1.2]), np.array([2.3, 1.7])
    base = 1.0 if system == "reduced" else METAL.gyromagnetic_ratio
    gamma = base * g / 2
    atoms = SpinAtoms("FeGd", positions=[[0, 0, 0], [0, 0, 2]], units=system, moments=[[0, 0, mu[0]], [0, 0, -mu[1]]])
    atoms.g_factors = {"Fe": g[0], "Gd": g[1]}
    atoms.calc = SpinSumCalculator([HeisenbergCalculator(shells=[coupling]), ZeemanCalculator([0, 0, field])])
    along = field + coupling * np.array([-1.0, 1.0]) / mu
    matrix = gamma[:, None] * (np.diag(along) - coupling / mu[:, None] * np.array([[0, 1], [-1, 0]]))
    expected = np.sort(np.abs(np.linalg.eigvals(matrix)))
    assert expected[1] - expected[0] > 0.01 * base
    waves = spin_waves(atoms)
    assert np.sort(waves.frequencies) == pytest.approx(expected, rel=1e-6)
    # The dynamics of a small deviation is the same superposition of two modes.
    rates, vectors = np.linalg.eig(matrix)
    atoms.spins = [[1e-4, 0, 1], [0, 0, -1]]
    start = atoms.spins[:, 0] + 1j * atoms.spins[:, 1]
    driver = LLGDynamics(atoms, 0.02 / base, integrator="midpoint")
    driver.run(400)
    seen = atoms.spins[:, 0] + 1j * atoms.spins[:, 1]
    shares = np.linalg.solve(vectors, start)
    assert seen == pytest.approx(vectors @ (shares * np.exp(1j * rates * driver.get_time())), abs=2e-8)


def test_angular_momentum_is_of_m_over_gamma():
    atoms = SpinAtoms(
        "FeGd", positions=[[0, 0, 0], [0, 0, 2]], units="reduced", moments=[[0, 0, 2.0], [0, 3.0, 0]], g=[2.0, 4.0]
    )
    observer = AngularMomentumObserver()
    observer.prepare(atoms)
    seen = observer.observe(atoms)
    assert [seen[f"spin_{axis}"] for axis in "xyz"] == [0.0, -1.5, -2.0]
    # Exchange keeps the sum of m_i/gamma_i, not the sum of the moments.
    atoms.calc = HeisenbergCalculator(shells=[0.5])
    total = atoms.moments.sum(axis=0)
    LLGDynamics(atoms, 0.05, integrator="midpoint").run(30)
    later = observer.observe(atoms)
    assert [later[f"spin_{axis}"] for axis in "xyz"] == pytest.approx([0.0, -1.5, -2.0], abs=1e-10)
    assert np.abs(atoms.moments.sum(axis=0) - total).max() > 0.1


def test_zhang_li_drifts_with_u_whatever_g_is():
    atoms = SpinAtoms.lattice("chain", (24,), units="reduced", texture="spiral", wavevector=(1, 0, 0))
    atoms.calc = ZhangLiCalculator([0.3, 0, 0], units="reduced")
    before = atoms.calc.get_property("torques", atoms)
    atoms.g_factors = np.linspace(1.0, 3.0, 24)
    torques = atoms.calc.get_property("torques", atoms)
    assert torques == pytest.approx(before * (2.0 / atoms.g_factors)[:, None], abs=1e-15)
    assert np.abs(torques - before).max() > 1e-3
    fields = atoms.calc.field_function(atoms)(atoms.spins)
    assert np.cross(atoms.moments, fields) == pytest.approx(torques, abs=1e-15)


def test_a_change_inside_a_run_is_followed():
    atoms = SpinAtoms("Fe", moments=[1.0, 0, 0], units="reduced")
    atoms.calc = ZeemanCalculator([0, 0, 0.1])
    driver = LLGDynamics(atoms, 0.1, integrator="depondt")
    driver.attach(lambda: sa.set_g_factors(atoms, 4.0) if driver.nsteps == 10 else None)
    driver.run(20)
    assert np.arctan2(atoms.spins[0, 1], atoms.spins[0, 0]) == pytest.approx(0.1 * (1.0 + 2.0), rel=1e-6)


@pytest.mark.parametrize("what", ["numbers", "reference"])
def test_other_changes_inside_a_run_are_followed(what):
    """A species or a reference length that changes under way: as if the run had been cut there."""
    ends = []
    for cut in (False, True):
        atoms = SpinAtoms("Fe2", positions=[[0, 0, 0], [0, 0, 1.0]], units="reduced", moments=[[1.0, 0, 0], [0, 1.0, 0]])
        atoms.calc = SpinSumCalculator([HeisenbergCalculator(pairs={"Fe-Fe": [1.0]}), ZeemanCalculator([0, 0, 0.1])])

        def change(atoms=atoms):
            if what == "numbers":
                atoms.set_atomic_numbers([26, 27])
            else:
                sa.set_reference_lengths(atoms, [2.0, 1.0])

        driver = LLGDynamics(atoms, 0.1)
        if cut:
            driver.run(5)
            change()
            LLGDynamics(atoms, 0.1).run(5)
        else:
            driver.attach(lambda d=driver, c=change: c() if d.nsteps == 5 else None)
            driver.run(10)
        ends.append(atoms.spins)
    assert ends[0] == pytest.approx(ends[1], abs=1e-14)


@pytest.mark.parametrize(
    ("g", "message"),
    [
        (-2.0, "finite and positive, got -2.0"),
        (np.nan, "finite and positive"),
        ([2.0, 2.0], r"or 3 numbers, got shape \(2,\)"),
        ({"Xx": 2.0}, "'Xx' is no chemical symbol"),
        ({"Ni": 2.0}, "there is no Ni among the atoms"),
        ("two", "must be numbers, got 'two'"),
    ],
)
def test_bad_values_are_refused(g, message):
    atoms = SpinAtoms("Fe3")
    with pytest.raises(InvalidMomentsError, match=message):
        atoms.g_factors = g
    assert atoms.g_factors.tolist() == [2.0] * 3


class TestInputFiles:
    TEXT = """
        units = "reduced"
        atoms = { lattice = "square", size = [3, 3], g = G }
        calculator = { style = "heisenberg", shells = [1.0] }
        stage = [{ driver = "llg", steps = 4, timestep = 0.1 }]
        output = { every = 2 }
    """

    @pytest.mark.parametrize(("g", "value"), [("2.0023", 2.0023), ("{ Fe = 2.09 }", 2.09), ("2.0", 2.0)])
    def test_run_files_keep_them(self, g, value, tmp_path):
        (tmp_path / "input.toml").write_text(self.TEXT.replace("G }", f"{g} }}"), encoding="utf-8")
        path = run_file(tmp_path / "input.toml", options=RunOptions(output=tmp_path / "out"))
        run = read_run(path)
        assert (run.g_factors is None) == (value == 2.0)
        assert run.atoms().g_factors.tolist() == [value] * 9
        config, _ = read_input(tmp_path / "input.toml")
        atoms = build_setup(config, tmp_path).atoms
        atoms.calc = HeisenbergCalculator(shells=[1.0])
        LLGDynamics(atoms, 0.1).run(4)
        assert run.moments[-1] == pytest.approx(atoms.moments, abs=1e-14)

    def test_bad_ones_are_refused(self, tmp_path):
        (tmp_path / "input.toml").write_text(self.TEXT.replace("G }", "{ Co = 2.1 } }"), encoding="utf-8")
        config, _ = read_input(tmp_path / "input.toml")
        with pytest.raises(InputError, match=r"\[atoms\] g: g factors: there is no Co among the atoms"):
            build_setup(config, tmp_path)
