"""Observers: names, units, static axes; numbers against closed forms and against sums written here."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator
from pydantic import ValidationError

from spinase import SpinAtoms, observers
from spinase.analysis import primitive_lattice
from spinase.atoms import set_moments
from spinase.calculators import HeisenbergCalculator
from spinase.errors import InputError, InvalidGeometryError, MissingMagneticForcesError, ModelError
from spinase.observers import domains as domain_observers
from spinase.observers import order, topology
from spinase.options import options_of
from spinase.quantities import Observer, Quantity
from spinase.styles import list_styles, load_style

PLANAR = ["energy", "magnetization", "torque", "structure-factor", "correlation", "correlation-length", "chirality",
          "chiral-domains", "coplanar-order", "topological-charge", "shell-correlation", "clusters", "energy-partition",
          "angular-momentum", "domain-wall", "grown-phase"]  # fmt: skip
TETRAHEDRAL = 4 / (3 * np.sqrt(3))


def magnet(texture: str | None = None, size: tuple[int, int] = (6, 6), **options: object) -> SpinAtoms:
    atoms = SpinAtoms.lattice("triangular", size, units="reduced", rng=1, texture=texture, **options)
    atoms.calc = HeisenbergCalculator(shells=[-1.0])
    return atoms


def watched(observer: Observer, atoms: Atoms) -> dict[str, float | np.ndarray]:
    observer.prepare(atoms)
    return dict(observer.observe(atoms))


@pytest.mark.parametrize("style", PLANAR)
def test_every_observer_keeps_the_protocol(style: str) -> None:
    target = load_style("observers", style)
    observer = target.from_config(options_of(target, {}, "[[observer]]"))
    assert isinstance(observer, Observer)
    assert observer.name == style
    assert isinstance(target.citation, str)
    atoms = magnet()
    before = atoms.positions.copy(), atoms.moments.copy()
    static = observer.prepare(atoms)
    values = observer.observe(atoms)
    assert values.keys() == observer.quantities.keys()
    for name, quantity in observer.quantities.items():
        if quantity.plot == "series":
            assert np.ndim(values[name]) == 0
        elif quantity.plot == "sites":
            assert np.shape(values[name]) == (len(atoms),)
        else:
            assert quantity.axis is not None
            assert len(static[quantity.axis]) == len(values[name])
            assert np.ndim(static[quantity.axis]) == (2 if quantity.plot == "map" else 1)
    np.testing.assert_array_equal(before[0], atoms.positions)
    np.testing.assert_array_equal(before[1], atoms.moments)
    for name, value in target.from_config(options_of(target, {}, "[[observer]]")).observe(atoms).items():
        np.testing.assert_array_equal(value, values[name], err_msg="observe without prepare")


def test_the_list_above_is_complete() -> None:
    elsewhere = ["currents", "error-bar"]  # need leads, or a learned magnet: test_transport.py, test_error_bars.py
    assert sorted([*PLANAR, *elsewhere]) == sorted(
        s.name for s in list_styles("observers") if s.target.startswith("spinase.observers")
    )


def test_a_misspelt_option_is_refused() -> None:
    with pytest.raises(ValidationError, match="triangulatoin"):
        observers.ChiralityObserver.Config(triangulatoin="delaunay")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="profiles and maps need an axis"):
        Quantity("S(q)", plot="map")


def test_energy_is_that_of_the_calculator_and_per_site() -> None:
    atoms = magnet("tetrahedral")
    observer = observers.EnergyObserver()
    # antiferromagnet J = -1, s.s = -1/3 on each of the 3 bonds a site: E/N = -J... = 3 * (-1/3)
    assert watched(observer, atoms) == {
        "per_site": pytest.approx(-1.0),
        "free_energy": pytest.approx(-36.0),
        "energy": pytest.approx(-36.0),
    }
    assert observer.quantities["energy"].unit == "t"
    metal = SpinAtoms.lattice("triangular", (4, 4))
    metal.calc = HeisenbergCalculator(shells=[0.01])
    assert watched(observer, metal)["per_site"] == pytest.approx(-0.03)
    assert observer.quantities["energy"].unit == "eV"


class Driven(Calculator):
    """Magnetic forces that are no gradient."""

    implemented_properties = ["magnetic_forces"]
    conservative = False

    def calculate(self, atoms: Atoms, properties: list[str], system_changes: list[str]) -> None:
        super().calculate(atoms, properties, system_changes)
        self.results["magnetic_forces"] = np.tile([0.0, 0.0, 3.0], (len(atoms), 1))


class Silent(Driven):
    """Conservative, but without an energy."""

    conservative = True


class Forceless(Calculator):
    """No magnetic forces."""

    implemented_properties = ["energy"]


def test_no_energy_is_reported_for_a_driven_system() -> None:
    atoms = magnet("ferro")
    observer = observers.EnergyObserver()
    observer.prepare(atoms)
    atoms.calc = Driven()
    for look in (observer.prepare, observer.observe):
        with pytest.raises(ModelError, match="Driven describes a driven system.*leave out the observer 'energy'"):
            look(atoms)
    atoms.calc = Silent()
    with pytest.raises(ModelError, match="Silent gives no energy"):
        observer.prepare(atoms)


def test_torques_are_moment_cross_field() -> None:
    atoms = magnet("ferro", (4, 4))
    atoms.calc = Driven()
    set_moments(atoms, [0.0, 0.0, 2.0])
    moments = atoms.moments.copy()
    moments[0] = [2.0, 0.0, 0.0]
    atoms.moments = moments
    assert watched(observers.TorqueObserver(), atoms) == {"rms": pytest.approx(6.0 / 4.0), "maximum": pytest.approx(6.0)}
    atoms.calc = Forceless()
    with pytest.raises(MissingMagneticForcesError, match="Forceless gives no magnetic_forces"):
        observers.TorqueObserver().prepare(atoms)


def test_magnetization_and_staggered_magnetization() -> None:
    atoms = SpinAtoms.lattice("square", (4, 4), moment=1.5, texture="ferro", direction=(0, 3, -4))
    observer = observers.MagnetizationObserver(wavevector=(np.pi, np.pi, 0.0))
    values = watched(observer, atoms)
    assert [values[k] for k in "xyz"] == pytest.approx([0.0, 0.9, -1.2])
    assert values["length"] == pytest.approx(1.5)
    assert values["staggered"] == pytest.approx(0.0, abs=1e-12)
    assert observer.quantities["staggered"].unit == "mu_B"
    neel = SpinAtoms.lattice("square", (4, 4), moment=1.5, texture="spiral", wavevector=(2, 2, 0))
    values = watched(observer, neel)
    assert values["staggered"] == pytest.approx(1.5)
    assert values["length"] == pytest.approx(0.0, abs=1e-12)


def test_structure_factor_map_of_tetrahedral_order_has_three_pairs_of_peaks() -> None:
    atoms = magnet("tetrahedral", (8, 8))
    observer = observers.StructureFactorObserver()
    waves = observer.prepare(atoms)["wavevectors"]
    values = observer.observe(atoms)["structure_factor"]
    peaks = waves[values > 1.0]
    np.testing.assert_allclose(values[values > 1.0], 64 / 3)
    assert len(peaks) == 6, "three M points, each on both sides of the closed zone"
    np.testing.assert_allclose(np.linalg.norm(peaks, axis=1), 2 * np.pi / np.sqrt(3))
    far = observers.StructureFactorObserver(cutoff=9.0)
    assert np.linalg.norm(far.prepare(atoms)["wavevectors"], axis=1).max() > 8.0


def test_structure_factor_of_three_dimensions_is_a_mean_over_shells() -> None:
    atoms = SpinAtoms.disordered(40, rng=3)
    observer = observers.StructureFactorObserver(cutoff=5.0)
    lengths = observer.prepare(atoms)["wavenumber"]
    values = observer.observe(atoms)["structure_factor"]
    assert observer.quantities["structure_factor"].plot == "profile"
    assert lengths[0] == 0.0
    assert np.all(np.diff(lengths) > 0)
    step = 2 * np.pi / atoms.cell[0, 0]
    first = step * np.array([*np.eye(3), *-np.eye(3), [1, 1, 0], [1, -1, 0], [1, 0, 1], [1, 0, -1], [0, 1, 1], [0, 1, -1]])
    first = np.concatenate([first, -first[6:]])  # |n| rounds to 1 for (1, 0, 0) and (1, 1, 0), not for (1, 1, 1)
    expected = np.mean([np.sum(np.abs(np.exp(-1j * atoms.positions @ q) @ atoms.spins) ** 2) / 40 for q in first])
    assert values[1] == pytest.approx(expected)
    assert values[0] == pytest.approx(np.sum(atoms.spins.sum(axis=0) ** 2) / 40)


def test_axes_stay_when_sites_move_and_the_values_follow() -> None:
    atoms = magnet()
    watching = [
        observers.CorrelationObserver(),
        observers.StructureFactorObserver(),
        observers.ChiralityObserver(),
        observers.CorrelationLengthObserver("chirality", "delaunay"),
        observers.TopologicalChargeObserver(),
    ]
    before = [watched(observer, atoms) for observer in watching]
    atoms.positions[:, :2] += 0.02 * np.random.default_rng(2).normal(size=(36, 2))
    after = [observer.observe(atoms) for observer in watching]
    for old, new in zip(before, after, strict=True):
        for name, value in old.items():
            assert np.shape(value) == np.shape(new[name])
    # a displaced lattice has the same neighbours: its first shell, triangles and charge are unchanged
    assert after[0]["correlation"][0] == pytest.approx(before[0]["correlation"][0])
    assert after[1]["structure_factor"] != pytest.approx(before[1]["structure_factor"])
    assert after[2] == pytest.approx(before[2])
    assert after[4] == pytest.approx(before[4])
    # far-moved sites have other pairs: against a sum over the pairs, written here
    atoms.positions[0, :2] += [0.35, 0.2]
    edges = watching[0]._pairs.of(atoms).edges
    gaps = atoms.get_all_distances(mic=True)
    near = np.triu((gaps >= edges[0]) & (gaps < edges[1]), 1)
    products = atoms.spins @ atoms.spins.T
    assert watching[0].observe(atoms)["correlation"][0] == pytest.approx(products[near].mean())


def test_correlation_lengths() -> None:
    atoms = magnet("tetrahedral", (8, 8))
    spins = observers.CorrelationLengthObserver()
    assert watched(spins, atoms)["correlation_length"] == np.inf
    assert spins.quantities["correlation_length"].unit == "a"
    chirality = observers.CorrelationLengthObserver.from_config(
        observers.CorrelationLengthObserver.Config(order="chirality")
    )
    assert watched(chirality, atoms)["correlation_length"] == np.inf
    assert chirality.quantities["correlation_length"].label == "chirality correlation length"
    wall = atoms.spins.copy()
    left = atoms.positions[:, 1] < 8 * np.sqrt(3) / 4 - 0.1
    wall[left] *= [1, 1, -1]
    atoms.spins = wall
    assert 1.0 < chirality.observe(atoms)["correlation_length"] < 8.0


def test_chirality_of_domains_cancels_in_the_mean_only() -> None:
    atoms = magnet("tetrahedral", chirality=-1)
    values = watched(observers.ChiralityObserver(), atoms)
    assert values == {"mean": pytest.approx(-TETRAHEDRAL), "mean_absolute": pytest.approx(TETRAHEDRAL)}
    square = SpinAtoms.lattice("square", (4, 4), rng=1)
    with pytest.raises(InvalidGeometryError, match='use triangulation="delaunay"'):
        observers.ChiralityObserver().prepare(square)
    assert watched(observers.ChiralityObserver("delaunay"), square)["mean_absolute"] > 0


def test_chiral_domains_of_stripes() -> None:
    atoms = magnet("tetrahedral", (12, 12))
    values = watched(observers_of("chiral-domains"), atoms)
    assert values == {"domain_length": np.inf, "wall_length": 0.0, "in_walls": 0.0, "anisotropy": 0.0}
    observer = observers_of("chiral-domains")
    observer.prepare(atoms)
    assert observer.quantities["domain_length"].unit == "a"
    height = 6.0 * np.sqrt(3.0)
    side = np.sin(2.0 * np.pi * (atoms.positions[:, 1] / height + 0.02))
    spins = atoms.spins * np.column_stack([np.ones((144, 2)), side])
    atoms.spins = spins / np.linalg.norm(spins, axis=1)[:, None]
    values = observer.observe(atoms)
    assert values["wall_length"] == pytest.approx(24.0, rel=1e-2)  # two walls along x
    assert values["domain_length"] == pytest.approx(0.5 * np.pi * height * 12.0 / 24.0, rel=1e-2)
    assert values["anisotropy"] == pytest.approx(1.0, abs=1e-2)
    assert 0.1 < values["in_walls"] < 0.5
    wide = topology.ChiralDomainsObserver(threshold=0.7)
    assert wide.observe(atoms)["in_walls"] > values["in_walls"]


def test_order_at_120_degrees() -> None:
    atoms = magnet("120-degree", (6, 6))
    values = watched(observers_of("coplanar-order"), atoms)
    assert values == {"vector_chirality": pytest.approx(1.0), "vortices": 0.0}
    atoms.spins = np.random.default_rng(1).normal(size=(36, 3))
    values = watched(observers_of("coplanar-order"), atoms)
    assert 0.2 < values["vector_chirality"] < 0.8
    assert values["vortices"] > 0
    with pytest.raises(InvalidGeometryError, match="divisible by three"):
        observers_of("coplanar-order").prepare(magnet("ferro", (8, 6)))


def test_topological_charge() -> None:
    atoms = magnet("skyrmion-crystal", (12, 12))
    assert watched(observers.TopologicalChargeObserver(), atoms)["charge"] == pytest.approx(-6.0)


def test_shells_and_clusters_of_a_disc_in_an_antiferromagnet() -> None:
    atoms = SpinAtoms.lattice("square", (12, 12), units="reduced", texture="ferro")
    stripes = np.indices((12, 12)).sum(axis=0).ravel() % 2
    neel = np.where(stripes == 0, 1.0, -1.0)
    disc = np.linalg.norm(atoms.positions[:, :2] - atoms.positions[:, :2].mean(axis=0), axis=1) < 2.9
    atoms.spins = np.where(disc, 1.0, neel)[:, None] * np.array([0.0, 0.0, 1.0])
    values = watched(observers_of("clusters"), atoms)
    assert values["number"] == 1.0
    assert values["largest"] == values["mean_size"] == pytest.approx(144 * values["fraction"])
    assert 0 < values["largest"] < disc.sum()
    assert values["local"][~disc].min() == -1.0
    atoms.spins = neel[:, None] * np.array([0.0, 0.0, 1.0])
    shells = watched(observers_of("shell-correlation"), atoms)
    assert shells == {"shell_1": pytest.approx(-1.0), "shell_2": pytest.approx(1.0)}
    assert watched(observers_of("clusters"), atoms)["mean_size"] == 0.0


def test_energies_add_up_and_temperatures_follow_their_definitions() -> None:
    atoms = magnet()
    assert np.isnan(watched(observers_of("energy-partition"), atoms)["spin_kT"])  # random spins have no temperature here
    atoms.calc, atoms.spins = HeisenbergCalculator(shells=[1.0]), np.array([0.0, 0.0, 1.0]) + 0.3 * atoms.spins
    atoms.set_momenta(np.random.default_rng(3).normal(size=(36, 3)))
    values = watched(observers_of("energy-partition"), atoms)
    assert values["total"] == pytest.approx(values["potential"] + values["kinetic"])
    assert values["potential"] == pytest.approx(atoms.get_potential_energy() / 36)
    assert values["kinetic"] == pytest.approx(atoms.get_kinetic_energy() / 36)
    velocities = atoms.get_velocities() - atoms.get_momenta().sum(axis=0) / atoms.get_masses().sum()
    moving = 0.5 * np.sum(atoms.get_masses()[:, None] * velocities**2)  # against each other: without three translations
    assert values["lattice_kT"] == pytest.approx(2 * moving / 105)
    moments, fields = atoms.moments, atoms.calc.get_property("magnetic_forces", atoms)
    expected = np.sum(np.cross(moments, fields) ** 2) / (2 * np.sum(moments * fields))
    assert values["spin_kT"] == pytest.approx(expected)


def observers_of(style: str, **options: object) -> Observer:
    target = load_style("observers", style)
    return target.from_config(options_of(target, options, "[[observer]]"))


def test_options_of_shells_and_clusters() -> None:
    atoms = SpinAtoms.lattice("square", (8, 8), units="reduced", rng=4)
    assert list(watched(observers_of("shell-correlation", shells=3), atoms)) == ["shell_1", "shell_2", "shell_3"]
    strict, loose = (watched(observers_of("clusters", threshold=t), atoms) for t in (0.4, 0.1))
    assert strict["fraction"] < loose["fraction"]
    assert loose["fraction"] == pytest.approx((loose["local"] > 0.1).mean())
    wide = watched(observers_of("clusters", shells=2), atoms)
    shells = watched(observers_of("shell-correlation"), atoms)
    assert wide["local"].mean() == pytest.approx(0.5 * (shells["shell_1"] + shells["shell_2"]))
    with pytest.raises(InputError, match=r"threshold: must be less than or equal to 1 \(got 1.5\)"):
        observers_of("clusters", threshold=1.5)
    with pytest.raises(InputError, match=r"shells: must be greater than or equal to 1 \(got 0\)"):
        observers_of("shell-correlation", shells=0)


def test_shells_stay_when_sites_move_and_are_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("neighbour_shells", "follow_shells"):
        original = getattr(domain_observers, name)
        counted = lambda *args, name=name, original=original: (calls.append(name), original(*args))[1]  # noqa: E731
        monkeypatch.setattr(domain_observers, name, counted)
    atoms = SpinAtoms.lattice("square", (8, 8), units="reduced", rng=4)
    watching = [observers_of("clusters"), observers_of("shell-correlation")]
    before = [watched(observer, atoms) for observer in watching]
    for observer in watching:
        observer.observe(atoms)
    assert sorted(calls) == ["follow_shells"] * 2 + ["neighbour_shells"] * 2
    atoms.positions[:, :2] += 0.02 * np.random.default_rng(2).normal(size=(64, 2))
    for observer, old in zip(watching, before, strict=True):
        for name, value in observer.observe(atoms).items():
            np.testing.assert_allclose(value, old[name], atol=1e-12)
    assert calls.count("follow_shells") == 4


def test_static_geometry_is_built_once_while_only_spins_move(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def counted(room: object, name: str) -> None:
        original = getattr(room, name)
        monkeypatch.setattr(room, name, lambda *args: (calls.append(name), original(*args))[1])

    counted(topology, "triangles")
    counted(order, "rebin")
    counted(order, "zone_mesh")
    atoms = magnet()
    watching = [observers.ChiralityObserver(), observers.CorrelationObserver(), observers.CorrelationLengthObserver()]
    for observer in watching:
        observer.prepare(atoms)
    for seed in range(3):
        atoms.spins = np.random.default_rng(seed).normal(size=(36, 3))
        for observer in watching:
            observer.observe(atoms)
    assert sorted(calls) == ["rebin", "triangles", "zone_mesh"]
    moments = atoms.moments.copy()
    moments[3] = 0.0
    atoms.moments = moments
    watching[0].observe(atoms)
    assert calls.count("triangles") == 2, "a site that lost its moment leaves the triangles"
    assert primitive_lattice(atoms).cells == 36, "but the lattice is still there"
