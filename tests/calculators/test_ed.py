"""ED calculator: gradients by finite differences, unit systems, ensembles, results, errors."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError

from spinase import SpinAtoms
from spinase.atoms import convert_units, get_moments, set_moments
from spinase.calculators import EDCalculator
from spinase.calculators.ed import EDConfig
from spinase.electrons import ExponentialHopping, SDModel, ShellHopping, UserHopping
from spinase.electrons.solvers.dense import DensePlan
from spinase.errors import InvalidGeometryError, ModelError, UnitMismatchError
from spinase.spin_algebra import rotate_about

HOPPING = ExponentialHopping(t0=1.0, decay=1.0 / 0.3, reference=1.0, cutoff=2.0)


def cluster(sites: int = 16) -> SpinAtoms:
    """A disordered periodic cluster with moments of different lengths and one non-magnetic site."""
    atoms = SpinAtoms.disordered(sites, units="reduced", rng=4)
    atoms.moments = get_moments(atoms) * np.linspace(0.5, 2.0, sites)[:, None] * (np.arange(sites) != 5)[:, None]
    return atoms


def model(**changes: object) -> SDModel:
    options: dict[str, object] = {"filling": 0.3, "kT": 0.1} | changes
    return SDModel(HOPPING, 3.0, **options)  # type: ignore[arg-type]


MODELS = {
    "fixed filling": model(),
    "fixed mu": model(filling=None, chemical_potential=-2.0),
    "zeeman and onsite": model(zeeman=(0.1, -0.2, 0.3), onsite=np.linspace(-1, 1, 16)),
    "flux": model(flux=2.0),
}


def free_energy(atoms: Atoms, calc: EDCalculator) -> float:
    return float(calc.get_property("free_energy", atoms))


@pytest.mark.parametrize("name", MODELS)
def test_gradients_match_finite_differences(name: str) -> None:
    atoms, calc, rng = cluster(), EDCalculator(MODELS[name]), np.random.default_rng(1)
    step = 1e-4

    def derivative(change: object) -> float:
        """Fourth-order central difference of the free energy along `change`(atoms, size)."""
        values = []
        for size in (-2, -1, 1, 2):
            copy = atoms.copy()
            change(copy, size * step)  # type: ignore[operator]
            values.append(free_energy(copy, calc))
        return float(np.dot([1, -8, 8, -1], values)) / (12 * step)

    push = rng.normal(size=(16, 3))

    def displace(copy: Atoms, size: float) -> None:
        copy.positions += size * push

    forces = calc.get_property("forces", atoms)
    assert np.abs(forces).max() > 0.05
    assert derivative(displace) == pytest.approx(-np.sum(forces * push), rel=1e-6)

    axes = rng.normal(size=(16, 3))

    def turn(copy: Atoms, size: float) -> None:
        set_moments(copy, rotate_about(get_moments(copy), size * axes))

    fields = calc.get_property("magnetic_forces", atoms)
    torque_work = np.sum(fields * np.cross(get_moments(atoms), axes))
    assert abs(torque_work) > 1e-3
    assert derivative(turn) == pytest.approx(-torque_work, rel=1e-6)

    strain = rng.normal(size=(3, 3))
    strain = 0.5 * (strain + strain.T)

    def deform(copy: Atoms, size: float) -> None:
        copy.set_cell(copy.cell.array @ (np.eye(3) + size * strain), scale_atoms=True)

    xx, yy, zz, yz, xz, xy = calc.get_property("stress", atoms)
    tensor = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    assert derivative(deform) == pytest.approx(atoms.get_volume() * np.sum(tensor * strain), rel=1e-6)


def test_gradients_with_k_points_and_images_in_a_small_cell() -> None:
    atoms = SpinAtoms.lattice("triangular", (2, 2), units="reduced", rng=2)
    rng = np.random.default_rng(3)
    atoms.positions[:, :2] += 0.05 * rng.normal(size=(4, 2))
    calc = EDCalculator(SDModel(HOPPING, 2.0, filling=0.3, kT=0.1), kpts=(3, 4, 1))
    push = rng.normal(size=(4, 3))
    energies = []
    for sign in (-1, 1):
        copy = atoms.copy()
        copy.positions += sign * 1e-5 * push
        energies.append(free_energy(copy, calc))
    expected = -np.sum(calc.get_property("forces", atoms) * push)
    assert (energies[1] - energies[0]) / 2e-5 == pytest.approx(expected, rel=1e-6)


def test_metal_and_reduced_units_agree() -> None:
    energy, length, moment = 0.37, 2.6, 2.0
    reduced = cluster()
    metal = convert_units(reduced, "metal", energy=energy, length=length, moment=moment)
    model_metal = SDModel(
        ExponentialHopping(energy, 1 / 0.3 / length, length, 2 * length), 3 * energy, filling=0.3, kT=0.1 * energy
    )
    scales = {"free_energy": energy, "forces": energy / length, "stress": energy / length**3}
    scales |= {"magnetic_forces": energy / moment, "torques": energy, "entropy": 1.0, "chemical_potential": energy}
    one, two = EDCalculator(model(), units="reduced"), EDCalculator(model_metal, units="metal")
    for name, scale in scales.items():
        expected = np.asarray(one.get_property(name, reduced)) * scale
        np.testing.assert_allclose(two.get_property(name, metal), expected, rtol=1e-10, atol=1e-12)
    with pytest.raises(UnitMismatchError, match="EDCalculator works in metal units but the atoms are in reduced"):
        two.get_property("energy", reduced)


def test_ensembles_agree_with_each_other() -> None:
    atoms = cluster()
    canonical = EDCalculator(model())
    mu = canonical.get_property("chemical_potential", atoms)
    grand = EDCalculator(model(filling=None, chemical_potential=mu))
    electrons = 0.3 * 2 * len(atoms)
    assert grand.get_property("electron_density", atoms).sum() == pytest.approx(electrons, rel=1e-12)
    assert free_energy(atoms, grand) + mu * electrons == pytest.approx(free_energy(atoms, canonical), abs=1e-10)
    for name in ("forces", "magnetic_forces", "stress"):
        np.testing.assert_allclose(grand.get_property(name, atoms), canonical.get_property(name, atoms), atol=1e-10)
    entropy = canonical.get_property("entropy", atoms)
    assert canonical.get_property("energy", atoms) - 0.1 * entropy == pytest.approx(free_energy(atoms, canonical), abs=1e-10)


def test_field_function_equals_the_cached_path_and_continues_off_the_sphere() -> None:
    atoms = cluster()
    calc = EDCalculator(model())
    fields = calc.field_function(atoms)
    np.testing.assert_allclose(fields(atoms.spins), calc.get_property("magnetic_forces", atoms), atol=1e-12)
    weaker = EDCalculator(SDModel(HOPPING, 0.9 * 3.0, filling=0.3, kT=0.1)).get_property("magnetic_forces", atoms)
    np.testing.assert_allclose(fields(0.9 * atoms.spins), weaker / 0.9, atol=1e-12)


def test_spin_changes_keep_the_bonds_and_atom_changes_rebuild_them(monkeypatch: pytest.MonkeyPatch) -> None:
    atoms, calc, calls = cluster(), EDCalculator(model()), []
    original = EDCalculator.freeze
    monkeypatch.setattr(EDCalculator, "freeze", lambda self, geometry: (calls.append(1), original(self, geometry))[1])
    before = calc.get_property("magnetic_forces", atoms)
    atoms.rotate_spins((1, 0, 0), 0.3)
    after = calc.get_property("magnetic_forces", atoms)
    assert len(calls) == 1
    assert not np.allclose(before, after)
    atoms.positions[0] += 0.01
    calc.get_property("magnetic_forces", atoms)
    assert len(calls) == 2


def test_energy_then_forces_diagonalizes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    atoms, calc, calls = cluster(), EDCalculator(model()), []
    original = DensePlan._solve
    monkeypatch.setattr(DensePlan, "_solve", lambda *args: (calls.append(1), original(*args))[1])
    atoms.calc = calc
    atoms.get_potential_energy()
    atoms.get_forces()
    calc.get_property("torques", atoms)
    assert len(calls) == 1


def test_shell_hopping_has_no_forces_and_density_of_states_counts() -> None:
    atoms = SpinAtoms.lattice("square", (4, 4), units="reduced", rng=1)
    calc = EDCalculator(SDModel(ShellHopping([1.0]), 2.0, filling=0.5, kT=0.05))
    assert not calc.get_property("forces", atoms).any()
    assert not calc.get_property("stress", atoms).any()
    energies = np.linspace(-12, 12, 2001)
    dos = calc.density_of_states(atoms, energies, 0.1)
    assert np.trapezoid(dos, energies) == pytest.approx(32.0, rel=1e-9)


def test_non_magnetic_sites_feel_nothing_and_couple_to_nothing() -> None:
    atoms = cluster()
    calc = EDCalculator(model())
    fields = calc.get_property("magnetic_forces", atoms)
    assert not fields[5].any()
    assert np.isfinite(fields).all()
    table = EDCalculator(SDModel(HOPPING, {26: 3.0}, filling=0.3, kT=0.1))
    np.testing.assert_allclose(table.get_property("magnetic_forces", atoms), fields, atol=1e-12)


def test_user_law_and_plain_atoms_work() -> None:
    plain = Atoms("Fe4", positions=[[0, 0, 0], [1, 0, 0], [0, 1.1, 0], [0, 0, 0.9]])
    plain.set_initial_magnetic_moments(np.eye(4, 3) + 0.1)
    plain.info["units"] = "reduced"
    hopping = UserHopping(lambda r: ((2.0 - r) ** 3, -3 * (2.0 - r) ** 2), cutoff=2.0)
    plain.calc = EDCalculator(SDModel(hopping, 1.0, filling=0.5, kT=0.1))
    assert np.isfinite(plain.get_potential_energy())
    np.testing.assert_allclose(plain.get_forces().sum(axis=0), 0.0, atol=1e-12)
    with pytest.raises(InvalidGeometryError, match="stress needs a cell with a volume"):
        plain.get_stress()


def test_model_from_a_table_is_the_model() -> None:
    table = {
        "hopping": {"style": "exponential", "t0": 1.0, "decay": 1 / 0.3, "reference": 1.0, "cutoff": 2.0},
        "coupling": 3.0,
        "filling": 0.3,
        "kT": 0.1,
    }
    atoms = cluster()
    one = EDCalculator(SDModel.from_config(table))
    two = EDCalculator.from_config(EDConfig(**table, kpts=(1, 1, 1)))
    assert free_energy(atoms, one) == free_energy(atoms, two) == free_energy(atoms, EDCalculator(model()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filling": 1.2}, r"must be in 0\.\.1, got 1\.2"),
        ({"filling": -0.1}, r"must be in 0\.\.1, got -0\.1"),
        ({"filling": None}, "give exactly one of filling"),
        ({"chemical_potential": 0.0}, "give exactly one of filling"),
        ({"kT": -1.0}, "kT must be zero or positive"),
        ({"zeeman": (1, 2)}, "zeeman must be a finite vector of three energies"),
        ({"flux": np.nan}, "flux must be finite"),
    ],
)
def test_bad_models_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        model(**options)


def test_bad_input_of_the_calculator() -> None:
    atoms = cluster()
    with pytest.raises(ModelError, match="hopping must be a hopping law"):
        SDModel(1.0, 1.0, filling=0.5)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="onsite must be one number, a table by species, or 16 numbers"):
        EDCalculator(model(onsite=[1.0, 2.0])).get_property("energy", atoms)
    with pytest.raises(ModelError, match="coupling is given per species but has no entry for atomic number 26"):
        EDCalculator(SDModel(HOPPING, {27: 1.0}, filling=0.5)).get_property("energy", atoms)
    with pytest.raises(ModelError, match="samples direction 2, which is not periodic"):
        EDCalculator(model(), kpts=(1, 1, 2)).get_property("energy", SpinAtoms.lattice("square", (4, 4)))
    with pytest.raises(PropertyNotImplementedError):
        EDCalculator(model()).get_property("dipole", atoms)
    atoms.positions[1] = atoms.positions[0]
    with pytest.raises(InvalidGeometryError, match="sites 0 and 1 coincide"):
        EDCalculator(model()).get_property("energy", atoms)


def test_a_failed_call_leaves_no_stale_geometry() -> None:
    atoms, calc = cluster(), EDCalculator(model())
    calc.get_property("energy", atoms)
    good = atoms.copy()
    atoms.positions[1] = atoms.positions[0]
    for _ in range(2):
        with pytest.raises(InvalidGeometryError):
            calc.get_property("energy", atoms)
    assert calc.get_property("energy", good) == EDCalculator(model()).get_property("energy", good)
