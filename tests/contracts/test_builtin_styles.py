"""The conformance kit over every calculator style of this package, each on systems where it has something to show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import entry_points
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.emt import EMT

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.calculators import (
    BiquadraticCalculator,
    BondTableCalculator,
    CubicAnisotropyCalculator,
    DipoleCalculator,
    DMICalculator,
    EDCalculator,
    FourSpinCalculator,
    HeisenbergCalculator,
    HIPNNCalculator,
    KPMCalculator,
    LandauCalculator,
    LatticeCalculator,
    ModelCalculator,
    NeelCalculator,
    NEGFCalculator,
    PairPotentialCalculator,
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
from spinase.classical import BondTable
from spinase.electrons import Bath, ExponentialHopping, LatticeLead, SDModel, ShellHopping, WideBandLead
from spinase.learning.card import ModelCard
from spinase.learning.lattice.network import LatticeConfig, LatticeNetwork
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig
from spinase.learning.symmetry_functions.network import SymmetryFunctionsConfig, SymmetryFunctionsNetwork
from spinase.radial import Exponential
from spinase.testing import CHECKS, Report, Tolerances, check_calculator


def lattice(name: str = "triangular", size: tuple[int, ...] = (3, 3), a: float = 1.0) -> SpinAtoms:
    """Random spins of unequal lengths on a lattice."""
    return _with_lengths(SpinAtoms.lattice(name, size, a, rng=8))


def cluster(sites: int = 10, dimension: int = 3) -> SpinAtoms:
    """The same at random places in a periodic box, in metal units."""
    return _with_lengths(SpinAtoms.disordered(sites, density=0.7, min_distance=0.8, dimension=dimension, rng=6))


def droplet() -> SpinAtoms:
    """The same without boundaries and without a cell."""
    atoms = cluster()
    atoms.pbc = False
    atoms.cell = None
    return atoms


def copper() -> SpinAtoms:
    """Something EMT knows."""
    atoms = SpinAtoms.lattice("cubic", (2, 2, 2), a=2.6, symbol="Cu", rng=8)
    atoms.rattle(0.05, seed=1)
    return atoms


def _with_lengths(atoms: SpinAtoms) -> SpinAtoms:
    atoms.moments = atoms.spins * np.random.default_rng(3).uniform(0.5, 3.0, size=(len(atoms), 1))
    return atoms


LAW = Exponential(amplitude=-0.6, decay=1.3, reference=1.0, cutoff=1.7, width=0.5)
HOPPING = ExponentialHopping(1.0, 1.2, 1.0, 1.8)


def ed(hopping: Any, kpts: tuple[int, int, int] = (1, 1, 1), **model: Any) -> EDCalculator:
    """s-d electrons warm enough for a smooth energy."""
    options = {"coupling": 1.7, "kT": 0.15, **({"filling": 0.3} if "chemical_potential" not in model else {}), **model}
    return EDCalculator(SDModel(hopping=hopping, **options), kpts)


def rational(hopping: Any, **model: Any) -> RationalCalculator:
    """The same electrons; tight, because the kit asks for gradients and symmetries to many digits."""
    return RationalCalculator(ed(hopping, **model).model, tolerance=1e-10)


def kpm(hopping: Any, columns: str = "unit", **model: Any) -> KPMCalculator:
    """The same electrons; unit columns to many digits, or a few probing columns, whose estimate conforms all the same."""
    warm = ed(hopping, **{"kT": 0.3, **model}).model
    by_hand = {"columns": "unit"} if columns == "unit" else {"columns": columns, "count": 8, "order": 60}
    return KPMCalculator(warm, 1e-9 if columns == "unit" else 100.0, dtype="float64", **by_hand)


def strip() -> SpinAtoms:
    """An open piece of the square lattice, with moments long enough to be slow beside electrons that pass."""
    atoms = lattice("square", (4, 3))
    atoms.pbc = False
    atoms.moments = 50.0 * atoms.moments
    return atoms


def negf(hopping: Any, *leads: Any, bias: float = 0.0, **model: Any) -> NEGFCalculator:
    """The same electrons in a device between leads."""
    return NEGFCalculator(ed(hopping, chemical_potential=-0.7, **model).model, leads, bias, tolerance=1e-4)


ENDS = (LatticeLead("left"), LatticeLead("right"))


def tensors(odd: float = 0.2) -> BondTable:
    """Nearest neighbours of the triangular lattice, with anisotropic parts of size `odd`."""
    cell = np.array([[1.0, 0, 0], [0.5, np.sqrt(0.75), 0], [0, 0, 1.0]])
    parts = np.random.default_rng(2).normal(size=(4, 3, 3)) * odd
    shifts = np.array([[1, 0, 0], [0, 1, 0], [-1, 1, 0]])
    none = np.zeros(3, dtype=np.int64)
    return BondTable(np.zeros((1, 3)), cell, none, none, shifts, 0.4 * np.eye(3) + parts[:3], parts[3:])


def squares() -> BondTable:
    """The same with biquadratic couplings and cubic anisotropies."""
    return replace(tensors(0.0), biquadratic=np.array([0.3, -0.2, 0.1]), cubic=np.array([[0.25, -0.4]]))


def small_model(members: int = 1, **channels: Any) -> tuple[list[MagneticHIPNN], ModelCard]:
    """Networks with random weights; conformance does not ask what was learned."""
    size = {"channels": (5, 3, 2), "width": 5, "quadrupoles": True, **channels}
    config = NetworkConfig(species=(26,), cutoff=1.8, inner=0.6, radial=6, **size)
    networks = []
    for seed in range(members):
        torch.manual_seed(seed)
        networks.append(MagneticHIPNN(config))
    return networks, ModelCard("random", config, "metal", energy_scale=2.0, energy_shift=0.3)


def lattice_model(name: str, size: tuple[int, ...]) -> tuple[list[LatticeNetwork], ModelCard]:
    """A network on a lattice with random weights."""
    reach = {"cutoff": 1.1, "pair_length": 1.5, "pair_range": 1.1, "triangle_length": 1.5, "triangle_range": 1.1}
    geometry = geometry_of(lattice(name, size))
    torch.manual_seed(3)
    config = LatticeConfig.from_training({**reach, "channels": 3, "hidden": (6, 5)}, (26,), 1, geometry)
    return [LatticeNetwork(config)], ModelCard("random", config, "metal", energy_scale=2.0, energy_shift=0.3)


def symmetry_model() -> tuple[list[SymmetryFunctionsNetwork], ModelCard]:
    """A network on symmetry functions with random weights."""
    torch.manual_seed(3)
    config = SymmetryFunctionsConfig(species=(26,), cutoff=1.8, inner=0.6, radial=4, hidden=(6, 5))
    return [SymmetryFunctionsNetwork(config)], ModelCard("random", config, "metal", energy_scale=2.0, energy_shift=0.3)


# style -> {name of the case: (calculator, atoms, checks that must not be skipped)}
Case = tuple[Callable[[], Any], Callable[[], Atoms], set[str]]
MOVING = {"forces", "supercell", "conservative", "magnetic_forces"}
SPINS = {"magnetic_forces", "conservative", "supercell"}
ROTATING = {"spin_rotation", "lattice_rotation", "joint_rotation", "time_reversal"}
CASES: dict[str, dict[str, Case]] = {
    "ed": {
        "lattice": (lambda: ed(ShellHopping([1.0])), lattice, {"magnetic_forces", "conservative"} | ROTATING),
        "several shells, k-sampled": (lambda: ed(ShellHopping([1.0, -0.3]), (2, 2, 1)), lattice, SPINS | ROTATING),
        "disordered 3-D cluster": (lambda: ed(HOPPING), cluster, {"forces", "stress", "conservative"} | ROTATING),
        "disordered, k-sampled": (lambda: ed(HOPPING, (2, 2, 2)), lambda: cluster(6), MOVING | {"stress"} | ROTATING),
        "disordered 2-D": (lambda: ed(HOPPING, (2, 1, 1)), lambda: cluster(8, 2), MOVING | {"stress"}),
        "no boundaries": (lambda: ed(HOPPING), droplet, {"forces", "conservative"} | ROTATING),
        "fixed chemical potential": (lambda: ed(HOPPING, (2, 1, 1), chemical_potential=-0.7), cluster, MOVING | {"stress"}),
        "Zeeman": (lambda: ed(HOPPING, zeeman=(0.1, 0.2, -0.3)), cluster, {"forces", "lattice_rotation"}),
        "flux": (lambda: ed(HOPPING, flux=1.0), lambda: cluster(8, 2), {"forces", "spin_rotation"}),
        "on-site by species": (lambda: ed(HOPPING, onsite={26: 0.4}), cluster, {"forces", "permutation"}),
    },
    "rational": {
        "lattice": (lambda: rational(ShellHopping([1.0])), lattice, {"magnetic_forces", "conservative"} | ROTATING),
        "disordered 3-D cluster": (lambda: rational(HOPPING), cluster, {"forces", "stress", "conservative"} | ROTATING),
        "no boundaries": (lambda: rational(HOPPING), droplet, {"forces", "conservative"} | ROTATING),
        "fixed chemical potential": (
            lambda: rational(HOPPING, chemical_potential=-0.7),
            cluster,
            {"forces", "stress", "conservative"},
        ),
        "Zeeman": (lambda: rational(HOPPING, zeeman=(0.1, 0.2, -0.3)), cluster, {"forces", "lattice_rotation"}),
        "flux": (lambda: rational(HOPPING, flux=1.0), lambda: cluster(8, 2), {"forces", "spin_rotation"}),
        "on-site by species": (lambda: rational(HOPPING, onsite={26: 0.4}), cluster, {"forces", "permutation"}),
    },
    "kpm": {
        "lattice": (lambda: kpm(ShellHopping([1.0])), lattice, {"magnetic_forces", "conservative"} | ROTATING),
        "disordered 3-D cluster": (lambda: kpm(HOPPING), cluster, {"forces", "stress", "conservative"} | ROTATING),
        "no boundaries": (lambda: kpm(HOPPING), droplet, {"forces", "conservative"} | ROTATING),
        "fixed chemical potential": (
            lambda: kpm(HOPPING, chemical_potential=-0.7),
            cluster,
            {"forces", "stress", "conservative"},
        ),
        "flux": (lambda: kpm(HOPPING, flux=1.0), lambda: cluster(8, 2), {"forces", "spin_rotation"}),
        "probing": (lambda: kpm(HOPPING, "probing"), cluster, {"forces", "stress", "conservative", "lattice_rotation"}),
        "random": (lambda: kpm(HOPPING, "random"), cluster, {"forces", "stress", "conservative", "lattice_rotation"}),
    },
    "negf": {
        "in equilibrium": (lambda: negf(ShellHopping([1.0]), *ENDS), strip, {"magnetic_forces", "conservative"} | ROTATING),
        "biased": (lambda: negf(ShellHopping([1.0]), *ENDS, bias=0.4), strip, {"permutation", "spin_rotation"}),
        "bath, no boundaries": (lambda: negf(HOPPING, Bath(0.3)), droplet, {"forces", "conservative"} | ROTATING),
        "bath, disordered": (lambda: negf(HOPPING, Bath(0.3)), cluster, {"forces", "stress", "conservative"}),
        "polarized": (
            lambda: negf(ShellHopping([1.0]), WideBandLead(0.8, "left", polarization=(0, 0.6, 0)), ENDS[1], bias=0.3),
            strip,
            {"permutation", "lattice_rotation"},
        ),
    },
    "heisenberg": {
        "shells": (lambda: HeisenbergCalculator(shells=[-0.3, 0.1]), lattice, SPINS | ROTATING),
        "law": (lambda: HeisenbergCalculator(law=LAW), cluster, MOVING | {"stress"} | ROTATING),
        "law, no boundaries": (lambda: HeisenbergCalculator(law=LAW), droplet, {"forces"} | ROTATING),
    },
    "dmi": {
        "bulk, law": (lambda: DMICalculator(law=LAW), cluster, MOVING | {"stress", "joint_rotation", "time_reversal"}),
        "interfacial, law": (lambda: DMICalculator(law=LAW, normal=(0, 0, 1)), cluster, MOVING | {"time_reversal"}),
        "bulk, shells": (lambda: DMICalculator(shells=[0.4]), lattice, SPINS | {"joint_rotation"}),
    },
    "biquadratic": {
        "shells": (lambda: BiquadraticCalculator(shells=[0.3]), lattice, SPINS | ROTATING),
        "law": (lambda: BiquadraticCalculator(law=LAW), cluster, MOVING | {"stress"} | ROTATING),
    },
    "uniaxial": {
        "tilted axis": (lambda: UniaxialAnisotropyCalculator(0.3, (1, 2, -1)), cluster, SPINS | {"time_reversal"}),
        "two constants": (
            lambda: UniaxialAnisotropyCalculator(0.3, (1, 2, -1), fourth_order=-0.2),
            cluster,
            SPINS | {"time_reversal"},
        ),
    },
    "four-spin": {
        "listed": (
            lambda: FourSpinCalculator([(0, 1, 2, 3), (4, 5, 5, 6)], [0.3, -0.2]),
            lattice,
            {"magnetic_forces", "conservative"} | ROTATING,
        ),
    },
    "ring-exchange": {"shells": (lambda: RingExchangeCalculator(0.3), lattice, SPINS | ROTATING)},
    "three-site": {"shells": (lambda: ThreeSiteCalculator(-0.3), lattice, SPINS | ROTATING)},
    "site-cubic": {
        "random axes": (
            lambda: SiteCubicCalculator(0.3, RandomAxes(4), 0.2),
            cluster,
            {"magnetic_forces", "conservative", "time_reversal"},
        ),
    },
    "site-anisotropy": {
        "random axes": (
            lambda: SiteAnisotropyCalculator(0.3, RandomAxes(4), 0.2),
            cluster,
            {"magnetic_forces", "conservative", "time_reversal"},
        ),
        "by site": (
            lambda: SiteAnisotropyCalculator(np.linspace(-0.2, 0.4, 10), np.random.default_rng(3).normal(size=(10, 3))),
            cluster,
            {"magnetic_forces", "conservative", "time_reversal", "supercell"},
        ),
    },
    "cubic": {
        "x, y, z": (lambda: CubicAnisotropyCalculator(-0.2), cluster, SPINS | {"time_reversal"}),
        "tilted axes": (
            lambda: CubicAnisotropyCalculator(0.2, [(1, 1, 0), (1, -1, 0), (0, 0, 1)], sixth_order=-0.3),
            cluster,
            SPINS | {"time_reversal"},
        ),
    },
    "dipole": {
        "Ewald": (lambda: DipoleCalculator(0.3), cluster, MOVING | {"stress", "joint_rotation", "time_reversal"}),
        "sphere": (lambda: DipoleCalculator(0.3, [1 / 3] * 3), cluster, {"forces", "stress", "time_reversal"}),
        "no boundaries": (lambda: DipoleCalculator(0.3), droplet, {"forces", "conservative", "joint_rotation"}),
        "film": (lambda: DipoleCalculator(0.3), lattice, SPINS | {"joint_rotation", "time_reversal"}),
    },
    "neel": {
        "both laws": (lambda: NeelCalculator(LAW, LAW), cluster, MOVING | {"stress", "joint_rotation", "time_reversal"}),
        "shells": (lambda: NeelCalculator([0.3]), lattice, SPINS | {"joint_rotation"}),
    },
    "landau": {
        "three coefficients": (lambda: LandauCalculator([-0.2, 0.05, 0.01]), cluster, {"supercell", "time_reversal"}),
    },
    "pair-potential": {
        "law": (lambda: PairPotentialCalculator(LAW), cluster, {"forces", "stress"}),
    },
    "bond-table": {
        "tensors": (lambda: BondTableCalculator(tensors()), lattice, {"magnetic_forces", "conservative", "time_reversal"}),
        "exchange": (lambda: BondTableCalculator(tensors(0.0)), lattice, SPINS | {"spin_rotation", "time_reversal"}),
        "biquadratic, cubic": (lambda: BondTableCalculator(squares()), lattice, SPINS | {"time_reversal"}),
    },
    "slonczewski": {
        "both amplitudes": (lambda: SlonczewskiCalculator((1, 2, 2), 0.1, -0.05), lattice, {"permutation"}),
    },
    "zhang-li": {
        "in the plane": (lambda: ZhangLiCalculator((0.3, 0.2, 0), 0.1), lattice, {"permutation", "translation"}),
    },
    "hipnn": {
        "all channels": (lambda: HIPNNCalculator(small_model(), dtype="float64"), cluster, MOVING | {"stress"} | ROTATING),
        "no boundaries": (lambda: HIPNNCalculator(small_model(), dtype="float64"), droplet, {"forces"} | ROTATING),
        "ensemble": (lambda: HIPNNCalculator(small_model(members=2), dtype="float64"), cluster, MOVING | ROTATING),
        "spin-orbit": (
            lambda: HIPNNCalculator(small_model(spin_orbit=True), dtype="float64"),
            cluster,
            MOVING | {"joint_rotation", "time_reversal"},
        ),
        "scalars of spin pairs only": (
            lambda: HIPNNCalculator(
                small_model(channels=(5,), quadrupoles=False, chirality=False), engine=False, dtype="float64"
            ),
            lambda: cluster(8, 2),
            MOVING | ROTATING,
        ),
        "compiled": (
            lambda: HIPNNCalculator(small_model(channels=(18, 17, 3), quadrupoles=False), dtype="float64"),
            lambda: cluster(8, 2),
            MOVING | ROTATING,
        ),
    },
    "lattice": {
        "triangular": (
            lambda: LatticeCalculator(lattice_model("triangular", (3, 3)), dtype="float64"),
            lattice,
            SPINS | ROTATING,
        ),
        "kagome": (
            lambda: LatticeCalculator(lattice_model("kagome", (2, 2)), dtype="float64"),
            lambda: lattice("kagome", (2, 2)),
            SPINS | ROTATING,
        ),
    },
    "learned": {
        "symmetry functions": (
            lambda: ModelCalculator(symmetry_model(), dtype="float64"),
            lambda: cluster(8),
            {"forces", "stress"} | ROTATING,
        ),
    },
    "zeeman": {
        "tilted field": (
            lambda: ZeemanCalculator((0.1, 0.2, 0.3)),
            cluster,
            {"magnetic_forces", "supercell", "permutation"},
        ),
    },
    "sum": {
        "classical": (
            lambda: SpinSumCalculator([HeisenbergCalculator(law=LAW), DMICalculator(law=LAW)], [1.0, 0.5]),
            cluster,
            MOVING | {"joint_rotation", "stress"},
        ),
        "electrons and exchange": (
            lambda: SpinSumCalculator([ed(HOPPING, (2, 1, 1)), HeisenbergCalculator(law=LAW)]),
            cluster,
            MOVING | {"stress"} | ROTATING,
        ),
        "EMT and exchange": (
            lambda: SpinSumCalculator([EMT(), HeisenbergCalculator(shells=[0.1])]),
            lambda: SpinAtoms.lattice("cubic", (3, 3, 3), a=2.6, symbol="Cu", rng=8),
            {"magnetic_forces", "conservative"} | ROTATING,
        ),
        "moving EMT and exchange": (
            lambda: SpinSumCalculator([EMT(), HeisenbergCalculator(law=Exponential(0.1, 1.0, 2.6, 3.6, 0.5))]),
            copper,
            {"magnetic_forces", "conservative", "forces"} | ROTATING,
        ),
    },
}
ALL_CASES = [(style, name) for style, cases in CASES.items() for name in cases]
SKIPPED = {
    # A perfect lattice of EMT atoms has no forces by symmetry: the kit rightly calls that vacuous.  A used EMT holds a
    # lambda and cannot be pickled, which is ASE's affair.
    ("sum", "EMT and exchange"): ["forces", "pickling"],
    # A magnet that is periodic in some directions only: no forces (refused with the reason).
    ("dipole", "film"): ["contract", "forces", "stress"],
    # Its field is along the moments: there are no torques to check.
    ("landau", "three coefficients"): ["magnetic_forces"],
    ("sum", "moving EMT and exchange"): ["pickling"],
}


LATTICE_ONLY = {"pair-potential"}  # no magnetic forces: a member of sums, like any ASE potential


def run(style: str, name: str) -> Report:
    calc, atoms, needed = CASES[style][name]
    if style in LATTICE_ONLY:
        return check_calculator(calc(), atoms(), checks=sorted(needed))
    return check_calculator(calc(), atoms(), skip=SKIPPED.get((style, name), []))


@pytest.mark.parametrize(("style", "name"), ALL_CASES)
def test_conformance(style, name):
    report = run(style, name)
    always = set() if style in LATTICE_ONLY else {"contract", "torques", "cache", "zero_moment", "pickling", "determinism"}
    needed = CASES[style][name][2] | always
    needed -= set(SKIPPED.get((style, name), []))
    missing = {check: report[check].message for check in needed if report[check].status != "passed"}
    assert not missing, f"{style}, {name}: these checks should have had something to do: {missing}"


def builtin_styles() -> dict[str, Any]:
    return {point.name: point for point in entry_points(group="spinase.calculators") if point.value.startswith("spinase.")}


def test_every_builtin_style_is_in_the_table():
    missing = set(builtin_styles()) - set(CASES)
    assert not missing, f"add test systems for the calculator styles {sorted(missing)} to CASES"


@pytest.mark.parametrize("style", CASES)
def test_the_table_runs_the_class_behind_the_style(style):
    for calc, _, _ in CASES[style].values():
        assert type(calc()) is builtin_styles()[style].load()


def test_single_precision_electrons_conform_within_their_precision():
    model = SDModel(hopping=HOPPING, coupling=1.7, filling=0.3, kT=0.15)
    calc = EDCalculator(model, dtype="complex64")
    report = check_calculator(calc, cluster(), tolerances=Tolerances(gradient=1e-2, symmetry=1e-5, step=4e-3))
    assert {result.name for result in report if result.status == "skipped"} <= {"supercell"}


def test_every_check_is_exercised_by_some_style():
    assert {result.name for result in run("heisenberg", "law") if result.status == "passed"} == set(CHECKS)
