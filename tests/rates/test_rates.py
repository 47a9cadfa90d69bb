"""Rates against closed forms: one spin (Brown), two spins, zero modes of turns and of walls, units; what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from ase.optimize import FIRE

from spinase import SpinAtoms
from spinase.calculators import (
    CubicAnisotropyCalculator,
    DipoleCalculator,
    EDCalculator,
    HeisenbergCalculator,
    SlonczewskiCalculator,
    SpinSumCalculator,
    UniaxialAnisotropyCalculator,
    ZeemanCalculator,
)
from spinase.contract import NotConservativeError
from spinase.dynamics import SpinOptimizable, geodesic_path, minimum_energy_path
from spinase.electrons import SDModel, ShellHopping
from spinase.errors import AccuracyWarning, ConvergenceError, InvalidGeometryError, ModelError
from spinase.rates import StationaryPoint, Transition, magnet_hessian, stationary_point, transition
from spinase.rates.zero_modes import translation_orbit
from spinase.spinwaves import difference_hessian
from spinase.units import METAL

EASY = UniaxialAnisotropyCalculator(1.0, (0, 0, 1))


def state(spins: object, terms: list, sites: int = 1, **options: object) -> StationaryPoint:
    """Stationary point of an open chain."""
    atoms = SpinAtoms.lattice("chain", (sites,), periodic=False, units="reduced")
    atoms.spins = spins
    atoms.calc = SpinSumCalculator(terms)
    return stationary_point(atoms, **options)


def oblique(theta: float, h: float, psi: float) -> float:
    """dE/dtheta of -cos^2 theta - 2 h cos(theta - psi), in the plane of axis and field."""
    return float(np.sin(2 * theta) + 2 * h * np.sin(theta - psi))


@pytest.mark.parametrize("damping", [0.01, 0.3, 2.0])
def test_one_spin_in_a_field_along_its_axis_escapes_as_brown_found(damping: float) -> None:
    """Out of the higher well, over a circle: alpha/(1+alpha^2) 2 sqrt(K^3/pi kT) (1-h^2)(1-h) exp(-K (1-h)^2/kT)."""
    h, kT = 0.2, 0.05
    terms = [EASY, ZeemanCalculator((0, 0, -2 * h))]
    top = [np.sqrt(1 - h**2), 0, h]
    found = transition(state([0, 0, 1], terms), state(top, terms))
    brown = damping / (1 + damping**2) * 2 / np.sqrt(np.pi * kT) * (1 - h**2) * (1 - h)
    assert found.damped_prefactor(kT, damping) == pytest.approx(brown, rel=1e-10)
    assert found.barrier == pytest.approx((1 - h) ** 2)
    assert found.damped_lifetime(kT, damping) == pytest.approx(np.exp((1 - h) ** 2 / kT) / brown, rel=1e-9)
    assert found.exponent == -0.5
    assert found.rate(kT) == pytest.approx(0.0, abs=1e-12)  # precession alone turns along the circle
    assert found.saddle.volume == pytest.approx(2 * np.pi * np.sqrt(1 - h**2), rel=1e-12)


@pytest.mark.parametrize("psi", [0.5 * np.pi, 2.1])
def test_one_spin_in_an_oblique_field(psi: float) -> None:
    """Kramers: omega_0/(2 pi) of the well without damping; with it kappa of two coupled linear equations."""
    h, alpha, kT = 0.25, 0.4, 0.04
    angles = np.linspace(-0.3, np.pi, 4001)
    slopes = [oblique(theta, h, psi) for theta in angles]
    roots = [0.5 * (a + b) for a, b, s, t in zip(angles, angles[1:], slopes, slopes[1:], strict=False) if s * t < 0.0]
    for _ in range(5):
        roots = [r - oblique(r, h, psi) / (2 * np.cos(2 * r) + 2 * h * np.cos(r - psi)) for r in roots]
    well, top = roots[:2]
    terms = [EASY, ZeemanCalculator((2 * h * np.sin(psi), 0, 2 * h * np.cos(psi)))]
    found = transition(*(state([np.sin(t), 0, np.cos(t)], terms) for t in (well, top)))

    def curvatures(theta: float) -> tuple[float, float]:
        """In the plane, and across: E_tt and E_pp/sin^2."""
        return 2 * np.cos(2 * theta) + 2 * h * np.cos(theta - psi), 2 * h * np.sin(psi) / np.sin(theta)

    along, across = curvatures(top)
    assert along < 0.0 < across
    wells = np.prod(curvatures(well))
    assert found.prefactor(kT) == pytest.approx(np.sqrt(wells) / (2 * np.pi), rel=1e-9)
    trace, product = along + across, along * across
    kappa = (-alpha * trace + np.sqrt((alpha * trace) ** 2 - 4 * (1 + alpha**2) * product)) / (2 * (1 + alpha**2))
    assert found.growth(alpha) == pytest.approx(kappa, rel=1e-9)
    assert found.damped_prefactor(kT, alpha) == pytest.approx(kappa / (2 * np.pi) * np.sqrt(wells / -product), rel=1e-9)
    assert found.damped_prefactor(kT, 0.0) == pytest.approx(found.prefactor(kT), rel=1e-9)


def pair(exchange: float, hard: float) -> tuple[StationaryPoint, StationaryPoint]:
    terms = [HeisenbergCalculator([exchange]), EASY, UniaxialAnisotropyCalculator(-hard, (0, 1, 0))]
    return state([0, 0, 1], terms, 2), state([1, 0, 0], terms, 2)


def test_two_coupled_spins() -> None:
    """Turning together, or against each other (2 J stiffer): products of closed curvatures."""
    exchange, hard = 4.0, 0.5
    low, top = pair(exchange, hard)
    expected = [2.0, 2.0 + 2 * hard, 2.0 + 2 * exchange, 2.0 + 2 * hard + 2 * exchange]
    np.testing.assert_allclose(low.values, np.sort(expected), atol=1e-12)
    saddle = np.array([-2.0, 2 * hard, 2 * exchange - 2.0, 2 * exchange + 2 * hard])
    np.testing.assert_allclose(top.values, np.sort(saddle), atol=1e-12)
    found = transition(low, top, multiplicity=2)
    prefactor = 2 / (2 * np.pi) * np.sqrt(2 * hard) * np.sqrt(np.prod(expected) / np.prod(saddle[1:]))
    assert found.prefactor(0.1) == pytest.approx(prefactor, rel=1e-12)
    assert found.barrier == pytest.approx(2.0)
    assert found.rate(0.2) == pytest.approx(prefactor * np.exp(-10.0))
    np.testing.assert_allclose(np.abs(top.direction(0)[:, 2]), np.sqrt(0.5), atol=1e-12)


def test_zero_modes_of_isotropic_magnets() -> None:
    """A sphere for collinear magnets, all rotations for the triangle, a cone (not a great circle) for a canted one."""
    for spins, exchange in (([0, 0.6, 0.8], 1.0), ([[0, 0.6, 0.8], [0, -0.6, -0.8]] * 2, -1.0)):
        found = state(spins, [HeisenbergCalculator([exchange])], 4)
        assert (found.zero_modes, found.negative) == (2, 0)
        assert found.volume == pytest.approx(4 * np.pi * 4)
    triangle = SpinAtoms("Fe3", positions=[[0, 0, 0], [1, 0, 0], [0.5, np.sqrt(0.75), 0]], units="reduced")
    angles = 2 * np.pi * np.arange(3) / 3
    triangle.spins = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    triangle.calc = HeisenbergCalculator([-1.0])
    found = stationary_point(triangle)
    assert found.zero_modes == 3
    assert found.volume == pytest.approx(8 * np.pi**2 * np.sqrt(1.5 * 1.5 * 3.0))
    plane = [UniaxialAnisotropyCalculator(-0.5, (0, 0, 1)), ZeemanCalculator((0, 0, 0.4)), HeisenbergCalculator([1.0])]
    cone = state([np.sqrt(1 - 0.16), 0, 0.4], plane, 3)
    assert cone.zero_modes == 1
    assert cone.volume == pytest.approx(2 * np.pi * np.sqrt(3 * (1 - 0.16)))


def test_an_axis_oblique_to_all_others_must_be_given() -> None:
    axis = np.array([1.0, 2.0, 2.0]) / 3
    terms = [UniaxialAnisotropyCalculator(-0.5, axis), ZeemanCalculator(0.4 * axis), HeisenbergCalculator([1.0])]
    across = np.array([2.0, -2.0, 1.0]) / 3
    spins = 0.4 * axis + np.sqrt(1 - 0.16) * across
    assert state(spins, terms, 2, axis=axis).volume == pytest.approx(2 * np.pi * np.sqrt(2 * (1 - 0.16)))
    with pytest.raises(ModelError, match=r"give the axis of the rotations"):
        state(spins, terms, 2)


def walls(sites: int, hard: float) -> SpinAtoms:
    """Two walls on a ring, relaxed, far from each other."""
    ring = SpinAtoms.lattice("chain", (sites,), units="reduced")
    x = np.arange(sites) - 0.5 * (sites - 1)
    angle = 2 * np.arctan(np.exp((np.abs(x) - sites / 4) * np.sqrt(0.2)))
    ring.spins = np.stack([np.sin(angle), 0 * x, np.cos(angle)], axis=1)
    ring.calc = SpinSumCalculator(
        [HeisenbergCalculator([1.0]), UniaxialAnisotropyCalculator(0.1), UniaxialAnisotropyCalculator(-hard, (0, 1, 0))]
    )
    FIRE(SpinOptimizable(ring, minimum=False), logfile=None, dt=0.5, dtmax=2.0).run(fmax=1e-8, steps=4000)
    return ring


def test_walls_move_along_a_ring() -> None:
    """A wall theta(x) that moves by dx makes a path of (integral of theta'^2)^(1/2) dx = (2/width)^(1/2) dx."""
    ring = walls(48, 0.3)
    found = stationary_point(ring, translations=[1.0, 0, 0], zero=0.0)
    assert found.zero_modes == 1
    width = np.sqrt(1.0 / 0.2)
    assert found.volume == pytest.approx(48 * np.sqrt(2 * 2.0 / width), rel=0.02)
    assert found.volume == pytest.approx(stationary_point(ring, translations=[-1.0, 0, 0], zero=0.0).volume, rel=1e-6)
    with pytest.raises(ModelError, match=r"count as zero .* give `translations`"):
        stationary_point(ring, zero=1e-2)
    assert stationary_point(ring, zero=1e-2, volume=3.0).volume == 3.0
    with pytest.raises(InvalidGeometryError, match="does not bring site 0 to a site"):
        stationary_point(ring, translations=[0.5, 0, 0])


def test_a_texture_that_moves_in_two_directions() -> None:
    """The area of its places: n1 n2 (det G)^(1/2), G_ab = sum of ds/da . ds/db, here of a smooth texture in closed form."""
    atoms = SpinAtoms.lattice("square", (16, 12), units="reduced")
    q = 2 * np.pi / np.array([16.0, 12.0])
    x, y = (atoms.positions[:, :2] * q).T
    angle, slopes = 0.5 * np.sin(x) + 0.4 * np.cos(y + x), []
    for along in ([q[0] * (0.5 * np.cos(x) - 0.4 * np.sin(y + x))], [-q[1] * 0.4 * np.sin(y + x)]):
        slopes.append(np.stack([along[0] * np.cos(angle), 0 * x, -along[0] * np.sin(angle)], axis=1).ravel())
    atoms.spins = np.stack([np.sin(angle), 0 * x, np.cos(angle)], axis=1)
    found = translation_orbit(atoms, [[1, 0, 0], [0, 1, 0]])
    gram = np.array([[one @ two for two in slopes] for one in slopes])
    assert abs(gram[0, 1]) > 0.1 * gram[1, 1]
    assert found.volume == pytest.approx(16 * 12 * np.sqrt(np.linalg.det(gram)), rel=1e-3)
    spiral = SpinAtoms.lattice("chain", (8,), units="reduced", texture="spiral", wavevector=(1, 0, 0))
    spiral.calc = SpinSumCalculator([HeisenbergCalculator([1.0, -0.8]), UniaxialAnisotropyCalculator(-0.5, (0, 0, 1))])
    with pytest.raises(ModelError, match="the same as turning all spins"):
        stationary_point(spiral, translations=[1.0, 0, 0])
    with pytest.raises(ModelError, match="the texture does not change if it is moved"):
        translation_orbit(SpinAtoms.lattice("chain", (8,), units="reduced", texture="ferro"), [1.0, 0, 0])
    with pytest.raises(ModelError, match="is back after 3 steps: at least 4"):
        translation_orbit(SpinAtoms.lattice("chain", (3,), units="reduced", rng=1), [1.0, 0, 0])
    with pytest.raises(ModelError, match="move the texture the same way"):
        translation_orbit(atoms, [[1, 0, 0], [-1, 0, 0]])
    with pytest.raises(ModelError, match="one or two vectors"):
        translation_orbit(atoms, np.eye(3))


def test_both_unit_systems_give_the_same_rate() -> None:
    """t = 0.02 eV, moments of 2 mu_B: times in hbar/t; a moment of mu precesses with g mu_B/mu."""
    energy, moment, kT, alpha = 0.02, 2.0, 0.1, 0.2
    found = []
    for units, scale, length in (("reduced", 1.0, 1.0), ("metal", energy, moment)):
        points = []
        for spins in ([0, 0, 1], [1, 0, 0]):
            atoms = SpinAtoms.lattice("chain", (3,), periodic=False, units=units)
            atoms.moments = length * np.tile(spins, (3, 1))
            atoms.calc = SpinSumCalculator(
                [
                    HeisenbergCalculator([5 * scale]),
                    UniaxialAnisotropyCalculator(scale),
                    CubicAnisotropyCalculator(0.3 * scale),
                    UniaxialAnisotropyCalculator(-0.4 * scale, (0, 1, 0)),
                ]
            )
            points.append(stationary_point(atoms))
        change = transition(*points)
        time = 1.0 if units == "reduced" else METAL.hbar / energy
        spin = 1.0 if units == "reduced" else moment / METAL.gyromagnetic_ratio / METAL.hbar  # S = mu/(g mu_B)
        found.append([change.prefactor(kT * scale) * time * spin, change.damped_rate(kT * scale, alpha) * time * spin])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-10)


def test_dipoles_and_electrons_by_differences() -> None:
    """What has no closed form: the same curvatures as from gradients, and a barrier of electrons with an easy axis."""
    chain = SpinAtoms.lattice("chain", (3,), periodic=False, units="reduced")
    chain.spins = [1, 0, 0]
    chain.calc = DipoleCalculator(0.3)
    found = stationary_point(chain)
    assert (found.negative, found.zero_modes) == (0, 0)
    for mode in (0, 5):  # second differences of energies along great circles
        turn, energies = found.direction(mode), []
        for angle in (-1e-3, 0.0, 1e-3):
            moved = chain.copy()
            moved.spins = chain.spins + angle * turn - 0.5 * angle**2 * np.sum(turn**2, axis=1)[:, None] * chain.spins
            energies.append(DipoleCalculator(0.3).get_property("energy", moved))
        assert (energies[0] + energies[2] - 2 * energies[1]) / 1e-6 == pytest.approx(found.values[mode], rel=1e-4)
    ends = []
    for spins in ([0, 0, 1], [1, 0, 0]):
        dimer = SpinAtoms.lattice("chain", (2,), periodic=False, units="reduced")
        dimer.spins = spins
        metal = EDCalculator(SDModel(ShellHopping([1.0]), coupling=2.0, filling=0.25, kT=0.05))
        dimer.calc = SpinSumCalculator(
            [metal, UniaxialAnisotropyCalculator(0.05), UniaxialAnisotropyCalculator(-0.02, (0, 1, 0))]
        )
        ends.append(stationary_point(dimer))
    low, top = ends
    stiff = low.values[2] - low.values[0]  # twice the electrons' exchange, in both states
    assert stiff > 0.05
    np.testing.assert_allclose(low.values, [0.1, 0.14, 0.1 + stiff, 0.14 + stiff], atol=1e-6)
    np.testing.assert_allclose(top.values, [-0.1, 0.04, stiff - 0.1, stiff + 0.04], atol=1e-6)
    assert transition(low, top).barrier == pytest.approx(0.1, abs=1e-9)


def test_closed_forms_and_differences_agree() -> None:
    path = minimum_energy_path(switch(), fmax=1e-5)
    top = path.images[path.climbing]
    closed, differences = magnet_hessian(top), difference_hessian(top, (1, 1, 1))
    np.testing.assert_allclose(closed.at([0, 0, 0]), differences.at([0, 0, 0]), atol=1e-6)
    np.testing.assert_allclose(path.curvatures, stationary_point(top).values[:6], atol=1e-4)
    assert path.index == 1
    assert "1 unstable direction(s), a saddle point" in str(path)
    still = minimum_energy_path(switch(), climb=False, fmax=1e-3)
    assert still.index == 1
    assert len(still.curvatures) == 6


def switch() -> list[SpinAtoms]:
    start = SpinAtoms.lattice("chain", (3,), periodic=False, units="reduced")
    end = start.copy()
    end.spins = [0, 0, -1]
    path = geodesic_path(start, end, 5, np.random.default_rng(3))
    calc = SpinSumCalculator([HeisenbergCalculator([4.0]), EASY, UniaxialAnisotropyCalculator(-0.4, (0, 1, 0))])
    for image in path:
        image.calc = calc
    return path


def test_words_and_seconds() -> None:
    told = []
    for spins in ([0, 0, 1], [1, 0, 0]):
        atoms = SpinAtoms.lattice("chain", (1,), periodic=False, moment=3.0)
        atoms.spins = spins
        atoms.calc = SpinSumCalculator([UniaxialAnisotropyCalculator(0.05), UniaxialAnisotropyCalculator(-0.02, (0, 1, 0))])
        told.append(stationary_point(atoms))
    found = transition(*told)
    frequency = 2 * np.sqrt(0.05 * 0.07) * 2 / 3 / 6.582119569e-16  # 2 sqrt(K (K + K')) g mu_B/(hbar mu)
    assert f"{frequency / (2 * np.pi):.4g} / s" in found.describe(0.005, 0.1)
    assert "saddle point at" in str(found.saddle)
    assert "minimum at" in str(found.minimum)


def test_what_is_refused() -> None:
    low, top = pair(4.0, 0.5)
    with pytest.raises(ModelError, match=r"the saddle point must have 1 negative curvature\(s\), this state has 0"):
        transition(low, low)
    with pytest.raises(ModelError, match=r"the minimum must have 0 negative curvature\(s\), this state has 1"):
        transition(top, top)
    with pytest.raises(ModelError, match="different magnets: 4 and 2"):
        transition(low, state([1, 0, 0], [EASY]))
    with pytest.raises(ModelError, match="multiplicity = 0"):
        transition(low, top, multiplicity=0)
    found = Transition(low, top)
    with pytest.raises(ModelError, match="kT must be a positive energy, got 0"):
        found.rate(0.0)
    with pytest.raises(ModelError, match="damping must be a number of at least 0, got -1"):
        found.growth(-1.0)
    with pytest.warns(AccuracyWarning, match="is only 2 kT"):
        found.rate(1.0)
    with pytest.raises(ModelError, match="threshold of zero modes"):
        state([0, 0, 1], [EASY], zero=-1.0)
    with pytest.raises(ConvergenceError, match="not stationary"):
        state([0.6, 0, 0.8], [EASY])
    with pytest.raises(NotConservativeError, match="driven system"):
        state([0, 0, 1], [EASY, SlonczewskiCalculator((0, 0, 1), 0.1)])
