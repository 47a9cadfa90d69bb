"""Local energies of every calculator style on regions cut out of magnets, or the reason why there are none."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import entry_points
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from spinase import SpinAtoms
from spinase.atoms import geometry_of, set_reference_lengths
from spinase.calculators import (
    BiquadraticCalculator,
    BondTableCalculator,
    CubicAnisotropyCalculator,
    DipoleCalculator,
    DMICalculator,
    EDCalculator,
    FourSpinCalculator,
    HeisenbergCalculator,
    KPMCalculator,
    LandauCalculator,
    NeelCalculator,
    NEGFCalculator,
    PairPotentialCalculator,
    ProductTableCalculator,
    RandomAxes,
    RationalCalculator,
    RingExchangeCalculator,
    SiteAnisotropyCalculator,
    SiteCubicCalculator,
    SlonczewskiCalculator,
    SpinSumCalculator,
    ThreeSiteCalculator,
    UniaxialAnisotropyCalculator,
    ZeemanCalculator,
    ZhangLiCalculator,
)
from spinase.classical import BondTable, ProductTable
from spinase.contract import LocalEnergy, local_energy
from spinase.electrons import Bath, SDModel, ShellHopping
from spinase.errors import InvalidGeometryError, ModelError
from spinase.pair_laws import ShellLaw
from spinase.radial import BetheSlater, Exponential
from spinase.regions import FrozenLocalEnergy, LocalResult, Region, cut
from spinase.spin_algebra import random_spins
from spinase.testing import LOCAL_CHECKS, ConformanceError, Report, Tolerances, check_local_energy

EXACT = Tolerances(symmetry=1e-11, gradient=1e-7)
LAW = Exponential(amplitude=-0.6, decay=1.3, reference=1.0, cutoff=1.7, width=0.5)
SHORT = Exponential(amplitude=0.4, decay=0.3, reference=1.0, cutoff=1.3, width=0.4)


def with_lengths(atoms: SpinAtoms) -> SpinAtoms:
    """Moments of different lengths, and one site without any."""
    atoms.moments = atoms.spins * np.random.default_rng(3).uniform(0.5, 3.0, size=(len(atoms), 1))
    atoms.moments = np.where(np.arange(len(atoms))[:, None] == 2, 0.0, atoms.moments)
    return atoms


def cluster(sites: int = 10) -> SpinAtoms:
    """A periodic box narrower than twice the range of the laws: sites are their own neighbours' copies."""
    return with_lengths(SpinAtoms.disordered(sites, density=0.7, min_distance=0.8, dimension=3, rng=6))


def large() -> SpinAtoms:
    """Wider than the ghosts are deep."""
    return with_lengths(SpinAtoms.disordered(90, density=0.7, min_distance=0.8, dimension=3, rng=6))


def droplet() -> SpinAtoms:
    """No boundaries and no cell."""
    atoms = large()
    atoms.pbc, atoms.cell = False, None
    return atoms


def wire() -> SpinAtoms:
    """Periodic in one direction."""
    atoms = large()
    atoms.pbc = (False, True, False)
    return atoms


def slanted() -> SpinAtoms:
    """A triclinic box."""
    atoms = cluster(12)
    atoms.set_cell(atoms.cell @ np.array([[1.0, 0.0, 0.0], [0.3, 1.0, 0.0], [-0.2, 0.4, 1.0]]), scale_atoms=True)
    return atoms


def alloy() -> SpinAtoms:
    """Two species at random."""
    atoms = cluster(14)
    atoms.numbers = np.where(np.random.default_rng(1).random(14) < 0.5, 26, 27)
    return atoms


def lattice(name: str = "triangular", size: tuple[int, ...] = (4, 4)) -> SpinAtoms:
    """A perfect lattice; 2 x 2 cells of it have several bonds between two sites."""
    return with_lengths(SpinAtoms.lattice(name, size, 1.0, rng=8))


def block() -> SpinAtoms:
    """A cube without boundaries."""
    atoms = lattice("cubic", (3, 3, 3))
    atoms.pbc = False
    return atoms


def ordered_alloy() -> SpinAtoms:
    """Two species on the sites of a square lattice."""
    atoms = lattice("square", (4, 4))
    place = np.round(atoms.positions).astype(int)
    atoms.numbers = np.where(place[:, :2].sum(axis=1) % 2 == 0, 26, 27)
    return atoms


def rocksalt() -> SpinAtoms:
    """Magnetic sites and ligands, which are closer; shells are those of the magnetic sites."""
    atoms = SpinAtoms(bulk("NiO", "rocksalt", a=4.2, cubic=True).repeat((2, 1, 1)))
    spins = random_spins(len(atoms), np.random.default_rng(4))
    atoms.moments = np.where(atoms.numbers[:, None] == 28, 1.7 * spins, 0.0)
    return atoms


def dilute() -> SpinAtoms:
    """Magnetic sites so few that some have no magnetic neighbour: shells are those of all sites."""
    atoms = lattice("square", (5, 5))
    atoms.moments = atoms.moments * np.isin(np.arange(25), [0, 1, 5, 13])[:, None]
    return atoms


def free_lengths() -> SpinAtoms:
    """Spins that are no unit vectors: moments over reference lengths."""
    atoms = cluster()
    set_reference_lengths(atoms, np.where(np.linalg.norm(atoms.moments, axis=1) > 0.0, 1.7, 0.0))
    return atoms


def table() -> BondTable:
    """Nearest and next neighbours of the triangular lattice, a bond listed twice, all kinds of couplings."""
    cell = np.array([[1.0, 0, 0], [0.5, np.sqrt(0.75), 0], [0, 0, 1.0]])
    rng = np.random.default_rng(2)
    shifts = np.array([[1, 0, 0], [0, 1, 0], [-1, 1, 0], [1, 1, 0], [-1, 0, 0]])
    none = np.zeros(len(shifts), dtype=np.int64)
    parts = 0.4 * np.eye(3) + 0.2 * rng.normal(size=(len(shifts), 3, 3))
    return BondTable(
        np.zeros((1, 3)), cell, none, none, shifts, parts, rng.normal(size=(1, 3, 3)), rng.normal(size=5), np.ones((1, 2))
    )


def products() -> ProductTable:
    """Three products of sites of neighbouring cells."""
    bonds = table()
    shifts = [[[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], [[0, 0, 0], [0, 1, 0], [0, 0, 0], [-1, 1, 0]]]
    shifts.append([[0, 1, 0], [0, 0, 0], [2, 0, 0], [0, 1, 0]])
    return ProductTable(
        bonds.positions, bonds.cell, np.zeros((3, 4), dtype=np.int64), np.array(shifts), np.array([0.3, -0.2, 0.4])
    )


def mixture() -> SpinSumCalculator:
    """A weighted sum of terms with different ranges."""
    members = [
        HeisenbergCalculator(law=LAW, offset=True),
        DMICalculator(law=SHORT),
        UniaxialAnisotropyCalculator(0.3, (1, 2, -1)),
    ]
    return SpinSumCalculator(members, [1.0, -0.5, 2.0])


CASES: dict[str, tuple[Any, Any]] = {
    "heisenberg": (lambda: HeisenbergCalculator(law=LAW), cluster),
    "heisenberg, larger box": (lambda: HeisenbergCalculator(law=LAW), large),
    "heisenberg, no boundaries": (lambda: HeisenbergCalculator(law=LAW), droplet),
    "heisenberg, wire": (lambda: HeisenbergCalculator(law=LAW), wire),
    "heisenberg, triclinic": (lambda: HeisenbergCalculator(law=LAW), slanted),
    "heisenberg, from the ferromagnet": (lambda: HeisenbergCalculator(law=LAW, offset=True), cluster),
    "heisenberg, shells": (lambda: HeisenbergCalculator(shells=[-0.3, 0.0, 0.1]), lattice),
    "heisenberg, shells, small cell": (lambda: HeisenbergCalculator(shells=[-0.3, 0.1]), lambda: lattice(size=(2, 1))),
    "heisenberg, shells at distances": (
        lambda: HeisenbergCalculator(shells=ShellLaw([-0.3, 0.1], [1.0, 1.75], width=0.05)),
        lambda: lattice(size=(6, 6)),
    ),
    "heisenberg, shells, no boundaries": (
        lambda: HeisenbergCalculator(shells=[0.3]),
        block,
    ),
    "heisenberg, species": (lambda: HeisenbergCalculator(pairs={"Fe-Fe": LAW, "Fe-Co": SHORT}), alloy),
    "heisenberg, shells of species": (
        lambda: HeisenbergCalculator(pairs={"Fe-Fe": [0.2], "Fe-Co": [0.1, -0.3]}),
        ordered_alloy,
    ),
    "heisenberg, shells among a species": (lambda: HeisenbergCalculator(shells=[0.2], species=["Fe"]), ordered_alloy),
    "heisenberg, shells among ligands": (lambda: HeisenbergCalculator(shells=[0.2, -0.1]), rocksalt),
    "heisenberg, shells at distances among ligands": (
        lambda: HeisenbergCalculator(shells=ShellLaw([0.2, -0.1], [2.97, 4.2], width=0.05)),
        rocksalt,
    ),
    "heisenberg, shells of dilute moments": (lambda: HeisenbergCalculator(shells=[0.2, -0.1]), dilute),
    "heisenberg, free lengths": (lambda: HeisenbergCalculator(law=LAW), free_lengths),
    "dmi": (lambda: DMICalculator(law=LAW), cluster),
    "dmi, interfacial, triclinic": (lambda: DMICalculator(law=LAW, normal=(0, 0, 1)), slanted),
    "dmi, shells": (lambda: DMICalculator(shells=[0.4]), lattice),
    "biquadratic": (lambda: BiquadraticCalculator(law=LAW), slanted),
    "biquadratic, free lengths": (lambda: BiquadraticCalculator(law=LAW), free_lengths),
    "neel": (lambda: NeelCalculator(LAW, SHORT), cluster),
    "neel, wire": (lambda: NeelCalculator(LAW, SHORT), wire),
    "neel, shells": (lambda: NeelCalculator([0.3], [0.0, 0.2]), lattice),
    "uniaxial": (lambda: UniaxialAnisotropyCalculator(0.3, (1, 2, -1), species=["Fe"]), alloy),
    "site-anisotropy": (lambda: SiteAnisotropyCalculator(0.3, RandomAxes(2), 0.1, species=["Fe"]), alloy),
    "site-cubic": (lambda: SiteCubicCalculator(0.3, RandomAxes(2), 0.1, species=["Fe"]), alloy),
    "cubic": (lambda: CubicAnisotropyCalculator(-0.2, [(1, 1, 0), (1, -1, 0), (0, 0, 1)]), cluster),
    "zeeman": (lambda: ZeemanCalculator((0.1, 0.2, 0.3)), cluster),
    "landau": (lambda: LandauCalculator([-0.2, 0.05, 0.01]), free_lengths),
    "pair-potential": (lambda: PairPotentialCalculator(LAW), cluster),
    "bond-table": (lambda: BondTableCalculator(table()), lattice),
    "bond-table, small cell": (lambda: BondTableCalculator(table()), lambda: lattice(size=(2, 1))),
    "ring-exchange": (lambda: RingExchangeCalculator(0.3), lattice),
    "ring-exchange, among a species": (lambda: RingExchangeCalculator(0.3, species=["Fe"]), ordered_alloy),
    "ring-exchange, no boundaries": (lambda: RingExchangeCalculator(0.3), block),
    "three-site": (lambda: ThreeSiteCalculator(0.3), lattice),
    "four-spin": (lambda: FourSpinCalculator([[0, 1, 2, 3], [4, 5, 4, 2]], [0.3, -0.2]), lattice),
    "product-table": (lambda: ProductTableCalculator(products()), lattice),
    "product-table, small cell": (lambda: ProductTableCalculator(products()), lambda: lattice(size=(2, 1))),
    "sum, with loops": (
        lambda: SpinSumCalculator([RingExchangeCalculator(0.3), HeisenbergCalculator(shells=[0.1, 0.2])]),
        lattice,
    ),
    "sum": (mixture, cluster),
    "sum, no boundaries": (mixture, droplet),
}


def electrons(**filled: float) -> SDModel:
    return SDModel(hopping=ShellHopping([1.0]), coupling=1.7, kT=0.15, **(filled or {"filling": 0.3}))


REFUSED: dict[str, tuple[Any, str]] = {
    "ed": (lambda: EDCalculator(electrons()), "EDCalculator .* electrons belong to the whole magnet"),
    "rational": (lambda: RationalCalculator(electrons()), "RationalCalculator .* electrons"),
    "kpm": (lambda: KPMCalculator(electrons(), 1e-3), "KPMCalculator .* electrons"),
    "negf": (
        lambda: NEGFCalculator(electrons(chemical_potential=0.0), [Bath(0.3)], tolerance=1e-4),
        "NEGFCalculator .* electrons",
    ),
    "dipole": (lambda: DipoleCalculator(0.3), "Dipole cannot be divided .* reach to infinity"),
    "slonczewski": (lambda: SlonczewskiCalculator((1, 2, 2), 0.1), "Slonczewski .* driven"),
    "zhang-li": (lambda: ZhangLiCalculator((0.3, 0.2, 0), 0.1), "ZhangLi .* driven"),
    "sum with electrons": (lambda: SpinSumCalculator([ZeemanCalculator((0, 0, 1)), EDCalculator(electrons())]), "EDCalc"),
    "sum with an ASE potential": (lambda: SpinSumCalculator([EMT(), ZeemanCalculator((0, 0, 1))]), "EMT .* no method"),
}


@pytest.mark.parametrize("name", CASES)
def test_regions_add_up_to_the_whole_magnet(name):
    calc, atoms = CASES[name]
    report = check_local_energy(calc(), atoms(), tolerances=EXACT)
    assert {"regions", "derivatives", "order", "empty"} <= passed(report)


def passed(report: Report) -> set[str]:
    return {result.name for result in report if result.status == "passed"}


@pytest.mark.parametrize("name", REFUSED)
def test_global_and_driven_calculators_are_refused_with_the_reason(name):
    calc, reason = REFUSED[name]
    with pytest.raises(ModelError, match=reason):
        local_energy(calc(), lattice())


def test_every_style_is_local_or_refused():
    styles = {point.name for point in entry_points(group="spinase.calculators") if point.value.startswith("spinase.")}
    known = {name.split(",")[0] for name in [*CASES, *REFUSED]} | {"hipnn", "lattice", "learned"}
    assert styles <= known, f"say whether {styles - known} can be divided among regions"


def test_every_check_has_something_to_do():
    report = check_local_energy(HeisenbergCalculator(law=LAW), large(), tolerances=EXACT)
    assert passed(report) == set(LOCAL_CHECKS) - {"refused"}


def test_shells_without_distances_need_the_geometry():
    calc = HeisenbergCalculator(shells=[0.1])
    with pytest.raises(ModelError, match=r"shells \[0.1\] without distances are found on a whole magnet: give it, too"):
        local_energy(calc)
    assert local_energy(HeisenbergCalculator(shells=ShellLaw([0.1], [1.0]))).cutoff > 1.0


def test_shells_stay_windows_when_atoms_move():
    atoms = lattice(size=(6, 6))
    local = local_energy(HeisenbergCalculator(shells=[-0.3, 0.1]), atoms)
    moved = atoms.copy()
    moved.rattle(0.01, seed=1)
    report = check_local_energy(
        Lent(HeisenbergCalculator(shells=ShellLaw([-0.3, 0.1], [1.0, np.sqrt(3.0)], width=0.05)), local),
        moved,
        checks=["regions"],
    )
    assert passed(report) == {"regions"}


def test_a_pair_between_windows_is_refused():
    atoms = lattice(size=(6, 6))
    calc = HeisenbergCalculator(shells=ShellLaw([0.1], [1.0], width=0.02))
    local, region = cut_of(calc, atoms)
    stretched = replace(region, vectors=1.025 * region.vectors)
    with pytest.raises(InvalidGeometryError, match="at the edge of the shell at 1"):
        local.freeze(stretched)


def cut_of(calc: Any, atoms: Atoms) -> tuple[LocalEnergy, Region]:
    geometry = geometry_of(atoms)
    local = local_energy(calc, atoms)
    return local, cut(geometry, np.zeros(len(atoms), dtype=np.int64), local.cutoff, local.ghost_depth)[0]


class Lent:
    """A calculator with another local energy."""

    def __init__(self, calc: Any, local: Any) -> None:
        self.calc, self.local = calc, local
        self.implemented_properties = calc.implemented_properties

    def get_property(self, name: str, atoms: Atoms) -> Any:
        return self.calc.get_property(name, atoms)

    def local_energy(self, geometry: Any) -> Any:
        return self.local


class Broken:
    """A local energy whose results are changed on the way out."""

    def __init__(self, local: LocalEnergy) -> None:
        self.local = local

    def __getattr__(self, name: str) -> Any:
        return getattr(self.local, name)

    def freeze(self, region: Region) -> Any:
        return Frozen(self.local.freeze(region), region, self.change)

    def change(self, result: LocalResult, region: Region, spins: np.ndarray) -> LocalResult:
        return result


class Frozen:
    def __init__(self, frozen: FrozenLocalEnergy, region: Region, change: Any) -> None:
        self.frozen, self.region, self.change = frozen, region, change

    def evaluate(self, spins: np.ndarray, lengths: np.ndarray, forces: bool = False) -> LocalResult:
        return self.change(self.frozen.evaluate(spins, lengths, forces), self.region, spins)


class ForgetsGhosts(Broken):
    """Says nothing of what owned sites do to ghosts."""

    def change(self, result, region, spins):
        fields = result.magnetic_forces.copy()
        fields[region.owned :] = 0.0
        return replace(result, magnetic_forces=fields)


class CountsPairsTwice(Broken):
    def change(self, result, region, spins):
        return replace(result, energies=2.0 * result.energies)


class ForgetsForcesOnGhosts(Broken):
    def change(self, result, region, spins):
        return replace(result, forces=np.where(np.arange(len(region))[:, None] < region.owned, result.forces, 0.0))


class TransposesShear(Broken):
    def change(self, result, region, spins):
        return replace(result, virial=result.virial * (1.0 + np.eye(3)))


class FeelsFarGhosts(Broken):
    def change(self, result, region, spins):
        return replace(result, energies=result.energies + 1e-3 * spins[region.owned :, 2].sum())


class TrustsOrder(Broken):
    """Adds what the last ghost says."""

    def change(self, result, region, spins):
        last = spins[-1, 2] if len(spins) else 0.0
        return replace(result, energies=result.energies + 1e-3 * last * (len(spins) > region.owned))


class ExertsFromNothing(Broken):
    def change(self, result, region, spins):
        return replace(result, magnetic_forces=result.magnetic_forces + 1e-3 * (region.owned == 0))


class TakesThinGhosts(Broken):
    def freeze(self, region):
        return super().freeze(replace(region, depth=self.local.ghost_depth, cutoff=self.local.cutoff))


MUTANTS = {
    ForgetsGhosts: "regions",
    CountsPairsTwice: "regions",
    ForgetsForcesOnGhosts: "derivatives",
    TransposesShear: "derivatives",
    FeelsFarGhosts: "locality",
    TrustsOrder: "order",
    ExertsFromNothing: "empty",
    TakesThinGhosts: "thin_ghosts",
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_the_kit_catches_a_broken_local_energy(mutant):
    calc, atoms = HeisenbergCalculator(law=LAW), large()
    with pytest.raises(ConformanceError) as caught:
        check_local_energy(Lent(calc, mutant(local_energy(calc))), atoms)
    assert MUTANTS[mutant] in {failure.name for failure in caught.value.report.failures}


def test_a_law_that_ends_with_a_jump_at_a_shell_is_refused_as_on_the_whole_magnet():
    atoms = lattice("square")
    calc = HeisenbergCalculator(law=BetheSlater(0.1, 0.5, 1.0, 1.0))
    with pytest.raises(InvalidGeometryError, match="ends with a jump"):
        local_energy(calc, atoms)


def test_an_unknown_check_is_named():
    with pytest.raises(ValueError, match="unknown check 'sums': use some of regions, locality"):
        check_local_energy(HeisenbergCalculator(law=LAW), cluster(), checks=["sums"])
