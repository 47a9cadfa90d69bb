"""Dipoles, Neel anisotropy, tables by species, spin-transfer torques: published sums, closed forms, brute force."""

from __future__ import annotations

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.calculators import (
    BiquadraticCalculator,
    DipoleCalculator,
    DMICalculator,
    HeisenbergCalculator,
    NeelCalculator,
    PairPotentialCalculator,
    SlonczewskiCalculator,
    SpinSumCalculator,
    UniaxialAnisotropyCalculator,
    ZhangLiCalculator,
)
from spinase.classical import Dipole, Neel
from spinase.contract import NotConservativeError
from spinase.dynamics import LLGDynamics
from spinase.errors import InvalidGeometryError, ModelError
from spinase.geometry import Geometry
from spinase.pair_laws import ShellLaw
from spinase.radial import BetheSlater, Exponential, Morse, PowerLaw, Tabulated
from spinase.testing import check_calculator
from spinase.units import METAL

LUTTINGER_TISZA = (
    2.676  # lowest energy of dipoles on a simple cubic lattice, m^2/a^3: J. Luttinger, L. Tisza, PR 70, 954 (1946)
)


def cubic_dipoles(spins: np.ndarray, **options: object) -> float:
    """Energy per site of unit dipoles on a 2 x 2 x 2 simple cubic lattice, in C m^2/a^3."""
    atoms = SpinAtoms.lattice("cubic", (2, 2, 2))
    return Dipole(1.0, **options).freeze(geometry_of(atoms)).energy(spins, np.ones(8)) / 8


def test_ferromagnetic_cube_has_the_lorentz_field() -> None:
    """Conducting surroundings: B = (4 pi/3) m/a^3; a sphere's own field cancels it, a film's across it turns it over."""
    along = np.tile([0.0, 0.0, 1.0], (8, 1))
    assert cubic_dipoles(along) == pytest.approx(-2 * np.pi / 3, rel=1e-9)
    assert cubic_dipoles(along, demagnetization=np.full(3, 1 / 3)) == pytest.approx(0.0, abs=1e-8)
    assert cubic_dipoles(along, demagnetization=np.array([0, 0, 1.0])) == pytest.approx(4 * np.pi / 3, rel=1e-9)


def test_columns_of_dipoles_have_the_energy_of_luttinger_and_tisza() -> None:
    positions = SpinAtoms.lattice("cubic", (2, 2, 2)).positions
    columns = (-1.0) ** np.round(positions[:, 0] + positions[:, 1])
    energy = cubic_dipoles(columns[:, None] * np.array([0.0, 0.0, 1.0]))
    assert energy == pytest.approx(-LUTTINGER_TISZA, abs=1e-3)
    assert cubic_dipoles(columns[:, None] * np.array([0.0, 0.0, 1.0]), accuracy=1e-5) == pytest.approx(energy, rel=1e-4)


def test_a_small_cluster_in_a_large_box_is_an_open_cluster() -> None:
    """Periodic images of a cluster without net moment act as quadrupoles: (1/L)^5."""
    rng = np.random.default_rng(1)
    places, spins = rng.uniform(0, 2.0, size=(6, 3)) + 10.0, rng.normal(size=(6, 3))
    spins -= spins.mean(axis=0)
    number, lengths = np.full(6, 26), np.ones(6)
    opened = Dipole(1.0).freeze(Geometry(places, np.zeros((3, 3)), np.zeros(3, dtype=bool), number))
    boxed = Dipole(1.0).freeze(Geometry(places, 24.0 * np.eye(3), np.ones(3, dtype=bool), number))
    np.testing.assert_allclose(boxed.gradient(spins, lengths), opened.gradient(spins, lengths), atol=2e-3)
    one, two = places[0], places[1]
    r = two - one
    pair = Geometry(places[:2], np.zeros((3, 3)), np.zeros(3, dtype=bool), number[:2])
    distance = np.linalg.norm(r)
    expected = spins[0] @ spins[1] / distance**3 - 3 * (spins[0] @ r) * (spins[1] @ r) / distance**5
    assert Dipole(1.0).freeze(pair).energy(spins[:2], lengths[:2]) == pytest.approx(expected, rel=1e-12)


def test_the_constant_of_metal_units() -> None:
    """Two moments of 1 mu_B, 1 A apart, side by side: mu_0 mu_B^2/(4 pi A^3) = 53.68 ueV."""
    atoms = SpinAtoms("Fe2", positions=[[0, 0, 0], [1.0, 0, 0]], spins=[0, 0, 1])
    assert DipoleCalculator().get_property("energy", atoms) == pytest.approx(5.3681e-5, rel=1e-4)


def test_dipoles_refuse_mixed_boundaries_where_there_is_no_lattice() -> None:
    scattered = SpinAtoms.disordered(40, rng=1)
    scattered.pbc = (True, True, False)
    with pytest.raises(InvalidGeometryError, match=r"need the sites of a lattice.*demagnetization = \(0, 0, 1\)"):
        DipoleCalculator(1.0).get_property("energy", scattered)
    pair = SpinAtoms("Fe2", positions=np.zeros((2, 3)), spins=[0, 0, 1])
    with pytest.raises(InvalidGeometryError, match="coincide"):
        DipoleCalculator(1.0).get_property("energy", pair)
    with pytest.raises(ModelError, match="three finite factors"):
        DipoleCalculator(1.0, demagnetization=[1.0])


def test_neel_dimer_in_closed_form() -> None:
    """Bond along z, only g: E = -g (cos a cos b - cos(a - b)/3) for spins at angles a, b from the bond in one plane."""
    pair = Geometry(np.array([[0.0, 0, 0], [0, 0, 1.0]]), np.zeros((3, 3)), np.zeros(3, dtype=bool), np.array([26, 26]))
    a, b = 0.4, 1.9
    spins = np.array([[np.sin(a), 0, np.cos(a)], [np.sin(b), 0, np.cos(b)]])
    energy = Neel(ShellLaw([0.3])).freeze(pair).energy(spins, np.ones(2))
    assert energy == pytest.approx(-0.3 * (np.cos(a) * np.cos(b) - np.cos(a - b) / 3))
    with_q = Neel(ShellLaw([0.0]), ShellLaw([0.7])).freeze(pair)
    x, y = np.cos(a), np.cos(b)
    third = np.cos(a - b) / 3
    expected = 12 / 35 * (x * y - third) + 9 / 5 * (x**2 - third) * (y**2 - third) - 2 / 5 * (x * y**3 + y * x**3)
    assert with_q.energy(spins, np.ones(2)) == pytest.approx(-0.7 * expected)


def alloy() -> SpinAtoms:
    atoms = SpinAtoms.lattice("cubic", (2, 2, 2), a=2.5, rng=4)
    atoms.symbols[::2] = "Co"
    atoms.rattle(0.1, seed=2)
    return atoms


def test_tables_by_species_add_up() -> None:
    atoms = alloy()
    law = Exponential(0.1, 1.0, 2.5, 3.4, 0.4)
    whole = HeisenbergCalculator(law=law).get_property("energy", atoms)
    parts = [HeisenbergCalculator(pairs={key: law}).get_property("energy", atoms) for key in ("Fe-Fe", "Co-Fe", "Co-Co")]
    together = HeisenbergCalculator(pairs={"Fe-Fe": law, "Co-Fe": law, "Co-Co": law})
    assert min(abs(part) for part in parts) > 1e-4
    assert sum(parts) == pytest.approx(whole)
    assert together.get_property("energy", atoms) == pytest.approx(whole)
    np.testing.assert_allclose(
        together.get_property("forces", atoms), HeisenbergCalculator(law=law).get_property("forces", atoms), atol=1e-12
    )
    only = HeisenbergCalculator(law=law, species=["Fe"])
    assert only.get_property("energy", atoms) == pytest.approx(parts[0])
    assert not only.get_property("magnetic_forces", atoms)[::2].any()
    anisotropy = UniaxialAnisotropyCalculator(0.2, species=["Co"])
    assert anisotropy.get_property("energy", atoms) == pytest.approx(-0.2 * np.sum(atoms.spins[::2, 2] ** 2))


@pytest.mark.parametrize(
    ("pairs", "message"),
    [({"FeCo": [1.0]}, "written 'Fe-Co'"), ({"Fe-Xx": [1.0]}, "'Xx' is no chemical symbol"), ({}, "at least one pair")],
)
def test_bad_tables_by_species(pairs: dict[str, list[float]], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        HeisenbergCalculator(pairs=pairs)
    with pytest.raises(ModelError, match=r"is in the table twice"):
        BiquadraticCalculator(pairs={"Fe-Co": [1.0], "Co-Fe": [1.0]})
    with pytest.raises(ModelError, match="exactly one of shells"):
        DMICalculator()


@pytest.mark.parametrize(
    "law",
    [
        BetheSlater(0.03, 0.22, 1.84, 3.4),
        BetheSlater(0.03, 0.22, 1.84, 3.4, 0.5),
        Morse(0.4, 1.4, 2.8, 6.0, 1.0),
        PowerLaw(1, 3, 2, 5, 1),
    ],
)
def test_radial_laws_have_the_right_slope(law) -> None:
    r, h = np.linspace(1.5, 0.999 * law.cutoff, 40), 1e-6
    np.testing.assert_allclose((law(r + h)[0] - law(r - h)[0]) / (2 * h), law(r)[1], atol=1e-7)
    assert law(np.array([1.001 * law.cutoff]))[0] == 0.0


def test_bethe_slater_of_iron_is_that_of_lammps() -> None:
    """J(2.4824 A) of bcc Fe with a = 25.498 meV, b = 0.281, d = 1.999 A, the parameters of LAMMPS' iron example."""
    value = BetheSlater(25.498e-3, 0.281, 1.999, 4.0)(np.array([2.4824]))[0][0]
    u = (2.4824 / 1.999) ** 2
    assert value == pytest.approx(4 * 25.498e-3 * u * (1 - 0.281 * u) * np.exp(-u))


def test_parallel_spins_pull_on_nothing_with_an_offset() -> None:
    atoms = alloy()
    atoms.spins = [0, 0, 1]
    law = BetheSlater(0.03, 0.22, 1.84, 3.4, 0.3)
    shifted = HeisenbergCalculator(law=law, offset=True)
    assert shifted.get_property("energy", atoms) == pytest.approx(0.0, abs=1e-14)
    assert np.abs(shifted.get_property("forces", atoms)).max() < 1e-14
    assert np.abs(HeisenbergCalculator(law=law).get_property("forces", atoms)).max() > 1e-3


def test_slonczewski_torque_turns_spins_towards_the_polarization() -> None:
    """ds_z/dt = gamma a (1 - s_z^2) for p = z: s_z = tanh(gamma a t + atanh s_z(0))."""
    atoms = SpinAtoms("Fe", spins=[[np.sin(2.0), 0.0, np.cos(2.0)]])
    amplitude, time = 0.02, 12.0
    atoms.calc = SlonczewskiCalculator((0, 0, 1), amplitude)
    LLGDynamics(atoms, 0.02, integrator="midpoint").run(600)
    expected = np.tanh(METAL.gyromagnetic_ratio * amplitude * time + np.arctanh(np.cos(2.0)))
    assert atoms.spins[0, 2] == pytest.approx(expected, abs=1e-5)
    with pytest.raises(NotConservativeError):
        atoms.get_potential_energy()


def spiral(sites: int = 40) -> SpinAtoms:
    return SpinAtoms.lattice("chain", (sites,), texture="spiral", wavevector=(1, 0, 0), axis=(0, 0, 1), units="reduced")


def test_zhang_li_torque_carries_a_texture_along() -> None:
    """Without damping and beta = 0 the texture moves with u, up to the lattice's own sin(q)/q."""
    atoms = spiral()
    before, q = atoms.spins, 2 * np.pi / 40
    atoms.calc = ZhangLiCalculator((0.7, 0, 0), units="reduced")
    LLGDynamics(atoms, 0.05, integrator="midpoint").run(200)
    phase = 0.7 * np.sin(q) * 10.0
    turned = np.arctan2(before[:, 1], before[:, 0]) - phase
    np.testing.assert_allclose(atoms.spins[:, 0], np.cos(turned), atol=5e-5)


def test_a_domain_wall_moves_with_beta_over_alpha() -> None:
    """Below the Walker limit v = u beta/alpha (A. Thiaville et al., Europhys. Lett. 69, 990 (2005))."""
    alpha, beta, u = 0.1, 0.04, 0.03
    atoms = SpinAtoms.lattice("chain", (160,), periodic=False, units="reduced")
    x = atoms.positions[:, 0]
    exchange, anisotropy, hard = 1.0, 0.02, -0.01
    width = np.sqrt(exchange / (2 * anisotropy))
    atoms.spins = np.stack([1 / np.cosh((x - 40) / width), 0 * x, -np.tanh((x - 40) / width)], axis=1)
    atoms.calc = SpinSumCalculator(
        [
            HeisenbergCalculator(shells=[exchange]),
            UniaxialAnisotropyCalculator(anisotropy, (0, 0, 1)),
            UniaxialAnisotropyCalculator(hard, (0, 1, 0)),
            ZhangLiCalculator((u, 0, 0), beta, units="reduced"),
        ]
    )
    assert not atoms.calc.conservative
    dynamics = LLGDynamics(atoms, 0.2, damping=alpha)

    def place() -> float:
        return float(np.interp(0.0, -atoms.spins[:, 2], x))

    dynamics.run(5000)  # the wall turns its angle first
    start = place()
    dynamics.run(5000)
    assert (place() - start) / 1000.0 == pytest.approx(u * beta / alpha, rel=0.03)  # the lattice slows a narrow wall by 2 %


def test_zhang_li_knows_the_magnetic_sublattice() -> None:
    """A texture on one species of a rock salt: the gradient is that of the magnetic sites."""
    atoms = SpinAtoms.lattice("cubic", (6, 2, 2), units="reduced", symbol="Mn")
    oxygen = np.round(atoms.positions.sum(axis=1)) % 2 == 1
    atoms.symbols[oxygen] = "O"
    phase = 2 * np.pi * atoms.positions[:, 0] / 6
    atoms.moments = np.where(oxygen[:, None], 0.0, np.stack([np.cos(phase), np.sin(phase), 0 * phase], axis=1))
    for species in (None, ["Mn"]):
        fields = ZhangLiCalculator((1.0, 0, 0), units="reduced", species=species).get_property("magnetic_forces", atoms)
        np.testing.assert_allclose(fields[~oxygen, 2], -np.sin(2 * np.pi / 6), atol=1e-12)  # -(s x ds/dx)_z
        assert not fields[oxygen].any()


def test_zhang_li_refuses_a_current_across_the_sites() -> None:
    atoms = SpinAtoms.lattice("square", (4, 4), units="reduced")
    atoms.calc = ZhangLiCalculator((0, 0, 1.0), units="reduced")
    with pytest.raises(InvalidGeometryError, match="do not span the direction of the current"):
        atoms.calc.get_property("magnetic_forces", atoms)
    with pytest.raises(ModelError, match="non-zero vector"):
        ZhangLiCalculator((0, 0, 0))


def test_pair_potential_holds_a_crystal() -> None:
    """A Morse pair at its minimum pulls on nothing; NeelCalculator and PairPotentialCalculator read input tables."""
    atoms = SpinAtoms("Fe2", positions=[[0, 0, 0], [2.8, 0, 0]], spins=[0, 0, 1])
    config = PairPotentialCalculator.Config.model_validate(
        {"morse": {"depth": 0.4, "decay": 1.4, "reference": 2.8, "cutoff": 6.0}}
    )
    calc = PairPotentialCalculator.from_config(config)
    assert calc.get_property("energy", atoms) == pytest.approx(-0.4)
    assert np.abs(calc.get_property("forces", atoms)).max() < 1e-12
    with pytest.raises(ModelError, match="law of distance"):
        PairPotentialCalculator.from_config(PairPotentialCalculator.Config(shells=[1.0]))
    neel = NeelCalculator.from_config(NeelCalculator.Config.model_validate({"dipolar": {"shells": [0.3]}}))
    atoms.spins = [1, 0, 0]
    assert neel.get_property("energy", atoms) == pytest.approx(-0.3 * 2 / 3)


CUBIC = np.polynomial.Polynomial([0.4, -0.3, 0.07, -0.004])


def table_of_distances(points: int = 9) -> Tabulated:
    """Values of a cubic polynomial, which a spline has exactly."""
    r = np.linspace(1.5, 5.0, points) + 0.05 * np.sin(np.arange(points))
    return Tabulated(tuple(r), tuple(CUBIC(r)), 4.8, 1.0)


def test_a_table_of_a_polynomial_is_the_polynomial() -> None:
    law = table_of_distances()
    r = np.linspace(1.6, 3.79, 40)
    np.testing.assert_allclose(law(r)[0], CUBIC(r), atol=1e-13)
    np.testing.assert_allclose(law(r)[1], CUBIC.deriv()(r), atol=1e-12)
    for given in (np.linspace(1.0, 4.9, 57), np.array(2.2), np.full((2, 3), 3.9)):
        numeric = (law(given + 1e-6)[0] - law(given - 1e-6)[0]) / 2e-6
        np.testing.assert_allclose(law(given)[1], numeric, atol=1e-8)
    assert law(np.array([4.8, 5.0, 9.0]))[0].tolist() == [0.0, 0.0, 0.0]
    start = law.distances[0]
    expected = CUBIC(start) - 0.3 * CUBIC.deriv()(start)
    assert law(np.array(start - 0.3))[0] == pytest.approx(expected)


def test_tabulated_exchange_and_potentials_have_forces() -> None:
    """Spin-lattice models from tables (also of an input file): forces and fields by differences, in a distorted crystal."""
    law = table_of_distances()
    options = {"distances": list(law.distances), "values": list(law.values), "cutoff": 4.8, "switch_width": 1.0}
    exchange = HeisenbergCalculator.from_config(HeisenbergCalculator.Config.model_validate({"tabulated": options}))
    calc = SpinSumCalculator([exchange, PairPotentialCalculator(law)])
    rng = np.random.default_rng(2)
    places = 3.6 * np.stack(np.unravel_index(np.arange(27), (3, 3, 3)), axis=1) + rng.normal(scale=0.1, size=(27, 3))
    atoms = SpinAtoms("Fe27", positions=places, cell=3 * [10.8], pbc=True, units="metal", spins=rng.normal(size=(27, 3)))
    report = check_calculator(calc, atoms, checks=["forces", "stress", "magnetic_forces"])
    assert {result.status for result in report} == {"passed"}
    assert np.abs(calc.get_property("forces", atoms)).max() > 0.01


def test_tables_that_are_none() -> None:
    with pytest.raises(ModelError, match="four or more finite distances and as many values, got 3 and 3"):
        Tabulated((1.0, 2.0, 3.0), (1.0, 1.0, 1.0), 3.0, 0.3)
    with pytest.raises(ModelError, match="four or more finite distances and as many values, got 4 and 3"):
        Tabulated((1.0, 2.0, 3.0, 4.0), (1.0, 1.0, 1.0), 3.0, 0.3)
    with pytest.raises(ModelError, match=r"must ascend from zero or more, got \[1.0, 3.0, 2.0, 4.0\]"):
        Tabulated((1.0, 3.0, 2.0, 4.0), (1.0, 1.0, 1.0, 1.0), 3.0, 0.3)
    with pytest.raises(ModelError, match="the cutoff 5.0 of a tabulated law must be within its distances, 1.0 to 4.0"):
        Tabulated((1.0, 2.0, 3.0, 4.0), (1.0, 1.0, 1.0, 1.0), 5.0, 0.3)
