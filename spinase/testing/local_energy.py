"""Conformance kit for local energies: do regions add up to the whole magnet, and is every derivative one of their energy?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress

from spinase.atoms import geometry_of, get_moments, get_reference_lengths
from spinase.calculators.base import split_moments
from spinase.contract import LocalEnergy, local_energy
from spinase.errors import InvalidGeometryError, SpinaseError
from spinase.geometry import Geometry
from spinase.regions import LocalResult, Region, add_up, blocks, cut
from spinase.testing.case import SkipCheck, central_difference, energy_of, run_check
from spinase.testing.report import CheckResult, ConformanceError, Report, Tolerances
from spinase.typing import FloatArray, IntArray


@dataclass(frozen=True)
class LocalCase:
    """A calculator, its local energy, and one magnet.

    Attributes
    ----------
    calc : calculator
        The reference on the whole magnet.
    local : LocalEnergy
        What is checked.
    atoms, geometry, spins (N, 3), lengths (N,)
        The magnet.
    seed : int
        Of random partitions and directions.
    tolerances : Tolerances
        Limits and finite-difference step.
    """

    calc: Any
    local: LocalEnergy
    atoms: Atoms
    geometry: Geometry
    spins: FloatArray
    lengths: FloatArray
    seed: int
    tolerances: Tolerances

    @property
    def forces(self) -> bool:
        """Whether forces are given."""
        return "forces" not in self.local.refused_properties

    def rng(self) -> np.random.Generator:
        """The check's own random generator, the same in every run."""
        return np.random.default_rng(self.seed)

    def cut(self, owners: IntArray, depth: float | None = None) -> list[Region]:
        """Regions with ghosts as deep as needed, or `depth`."""
        return cut(self.geometry, owners, self.local.cutoff, self.local.ghost_depth if depth is None else depth)

    def part(self, depth: float | None = None) -> Region:
        """A region that owns the quarter of the sites that is nearest to the first one."""
        away = np.linalg.norm(self.geometry.positions - self.geometry.positions[0], axis=1)
        owners = np.ones(len(away), dtype=np.int64)
        owners[np.argsort(away, kind="stable")[: max(1, len(away) // 4)]] = 0
        return self.cut(owners, depth)[0]

    def ask(self, region: Region, spins: FloatArray | None = None) -> LocalResult:
        """Everything of one region, for spins (n, 3) or those of the magnet."""
        own = self.spins[region.tags] if spins is None else spins
        return self.local.freeze(region).evaluate(own, self.lengths[region.tags], self.forces)

    def energy(self, region: Region, spins: FloatArray | None = None) -> float:
        """Energy of one region."""
        return float(self.ask(region, spins).energies.sum())

    def outcome(self, value: float, limit: float, message: str) -> CheckResult:
        """Passed if `value` is a number not above `limit`."""
        return CheckResult("", "passed" if value <= limit else "failed", float(value), limit, message)


def check_regions(case: LocalCase) -> CheckResult:
    """Random regions and blocks, 1, 2, 3 and 8 of them, add up to the calculator's results on the whole magnet."""
    sites, rng = len(case.geometry), case.rng()
    partitions = [rng.integers(0, count, sites) for count in (1, 2, 3, 8)]
    partitions += [blocks(case.geometry, shape) for shape in ((2, 1, 1), (1, 3, 1), (2, 2, 2))]
    expected, worst = _whole(case), 0.0
    of_sites: FloatArray | None = None
    for owners in partitions:
        regions = case.cut(owners)
        found = add_up(regions, [case.ask(region) for region in regions], sites)
        worst = float(np.fmax(worst, _difference(found, expected, case)))
        of_sites = found.energies if of_sites is None else of_sites
        scale = float(np.abs(of_sites).max()) or 1.0
        worst = float(np.fmax(worst, np.abs(found.energies - of_sites).max() / scale))
    return case.outcome(worst, case.tolerances.symmetry, "sums over regions against the whole magnet")


def _whole(case: LocalCase) -> LocalResult:
    """The calculator's results; the energy at the first site."""
    calc, atoms = case.calc, case.atoms
    energies = np.zeros(len(atoms))
    energies[0] = energy_of(calc, atoms)
    fields = np.zeros((len(atoms), 3))
    if "magnetic_forces" in calc.implemented_properties:
        fields = np.array(calc.get_property("magnetic_forces", atoms))
    if not case.forces:
        return LocalResult(energies, fields)
    forces = (
        np.array(calc.get_property("forces", atoms)) if "forces" in calc.implemented_properties else np.zeros_like(fields)
    )
    if not case.geometry.volume or "stress" not in calc.implemented_properties:
        return LocalResult(energies, fields, forces)
    stress = voigt_6_to_full_3x3_stress(calc.get_property("stress", atoms))
    return LocalResult(energies, fields, forces, stress * case.geometry.volume)


def _difference(found: LocalResult, expected: LocalResult, case: LocalCase) -> float:
    """Largest relative difference; energies are measured by |E| + sum |m| |B|, the virial by forces times distances, too."""
    fields = np.linalg.norm(expected.magnetic_forces, axis=1)
    size = abs(expected.energies.sum()) + float(np.abs(found.energies).sum() + case.lengths @ fields)
    gaps = [abs(found.energies.sum() - expected.energies.sum()) / (size or 1.0)]
    gaps.append(np.abs(found.magnetic_forces - expected.magnetic_forces).max() / (fields.max() or 1.0))
    if expected.forces is not None and found.forces is not None:
        pull = float(np.abs(expected.forces).max())
        gaps.append(np.abs(found.forces - expected.forces).max() / max(pull, size / len(case.atoms), 1e-300))
    if expected.virial is not None and found.virial is not None:
        symmetric = 0.5 * (found.virial + found.virial.T)
        gaps.append(np.abs(symmetric - expected.virial).max() / max(float(np.abs(expected.virial).max()), size, 1e-300))
    return float(np.max(np.nan_to_num(gaps, nan=np.inf)))


def check_locality(case: LocalCase) -> CheckResult:
    """Ghosts beyond the depth that is asked for change nothing, whatever their spins are."""
    needed = case.local.ghost_depth
    region = case.part(1.6 * needed if needed else 1.0)
    owned = region.positions[: region.owned]
    away = np.array([np.linalg.norm(owned - place, axis=1).min() for place in region.positions])
    far = away > needed * (1.0 + 1e-6)
    if not far.any():
        raise SkipCheck("no site of the magnet is beyond the ghosts: use a larger one")
    spins = case.spins[region.tags]
    before = case.ask(region, spins)
    spins[far] = case.rng().normal(size=(int(far.sum()), 3))
    after = case.ask(region, spins)
    thin = case.ask(case.part())
    scale = float(np.abs(before.energies).max()) or 1.0
    gap = max(np.abs(after.energies - before.energies).max(), np.abs(thin.energies - before.energies).max()) / scale
    felt = float(np.abs(after.magnetic_forces[far]).max()) / (float(np.abs(before.magnetic_forces).max()) or 1.0)
    return case.outcome(max(gap, felt), case.tolerances.symmetry, f"{int(far.sum())} ghosts beyond {needed:.4g}")


def check_thin_ghosts(case: LocalCase) -> CheckResult:
    """Ghosts that are not deep enough, and pairs that are not long enough, are refused, naming what is needed."""
    local = case.local
    if not local.ghost_depth:
        raise SkipCheck("no ghosts are needed")
    region = case.part()
    wrong = {f"{local.ghost_depth:.6g}": replace(region, depth=0.9 * local.ghost_depth)}
    if local.cutoff:
        wrong[f"{local.cutoff:.6g}"] = replace(region, cutoff=0.9 * local.cutoff)
    for needed, thin in wrong.items():
        try:
            local.freeze(thin)
        except InvalidGeometryError as error:
            if needed not in str(error):
                return CheckResult("", "failed", None, None, f"thin ghosts are refused without naming {needed}: {error}")
            continue
        return CheckResult("", "failed", None, None, f"ghosts or pairs that reach to 0.9 x {needed} are not refused")
    return CheckResult("", "passed", None, None, "too thin ghosts and too short pairs are refused")


def check_derivatives(case: LocalCase) -> CheckResult:
    """Fields, forces and virial of owned sites and ghosts are derivatives of the region's own energy."""
    # ghosts a little deeper than needed: pairs near the cutoff stay, whatever way the sites are moved
    region, rng = case.part(1.05 * case.local.ghost_depth), case.rng()
    result, spins, lengths = case.ask(region), case.spins[region.tags], case.lengths[region.tags]
    size, worst = float(np.abs(result.energies).sum()) or 1.0, 0.0
    for _ in range(2):
        turn = rng.normal(size=spins.shape) * (lengths > 0.0)[:, None]
        slopes = [-float(np.sum(result.magnetic_forces * lengths[:, None] * turn))]
        paths = [_along_spins(case, region, turn)]
        if result.forces is not None and result.virial is not None:
            move, strain = rng.normal(size=spins.shape), rng.normal(size=(3, 3))
            strained = region.positions @ strain.T
            slopes += [-float(np.sum(result.forces * move)), float(np.sum(result.virial * strain))]
            paths += [_along_positions(case, region, step) for step in (move, strained)]
        for slope, path in zip(slopes, paths, strict=True):
            off = central_difference(path, case.tolerances.step) - slope
            worst = max(worst, float(np.nan_to_num(abs(off) / max(abs(slope), size), nan=np.inf)))
    return case.outcome(worst, case.tolerances.gradient, "derivatives of a region's energy against finite differences")


def _along_spins(case: LocalCase, region: Region, turn: FloatArray) -> Callable[[float], float]:
    """Energy of the region where spins have moved along `turn` (n, 3)."""
    return lambda x: case.energy(region, case.spins[region.tags] + x * turn)


def _along_positions(case: LocalCase, region: Region, step: FloatArray) -> Callable[[float], float]:
    """Energy of the region where sites have moved along `step` (n, 3)."""
    return lambda x: case.energy(_moved(region, x * step))


def _moved(region: Region, step: FloatArray) -> Region:
    """The region with sites moved by `step` (n, 3); pairs stay."""
    vectors = region.vectors + step[region.second] - step[region.first]
    return replace(region, positions=region.positions + step, vectors=vectors)


def check_order(case: LocalCase) -> CheckResult:
    """Ghosts and pairs may come in any order."""
    region, rng = case.part(), case.rng()
    order = np.concatenate([np.arange(region.owned), region.owned + rng.permutation(len(region) - region.owned)])
    place, pairs = np.argsort(order), rng.permutation(len(region.first))
    other = replace(
        region,
        positions=region.positions[order],
        numbers=region.numbers[order],
        tags=region.tags[order],
        first=place[region.first[pairs]],
        second=place[region.second[pairs]],
        magnetic=None if region.magnetic is None else region.magnetic[order],
        vectors=region.vectors[pairs],
    )
    one, two = case.ask(region), case.ask(other)
    gap = np.abs(two.energies - one.energies).max() / (float(np.abs(one.energies).max()) or 1.0)
    fields = np.abs(two.magnetic_forces - one.magnetic_forces[order]).max()
    gap = max(gap, fields / (float(np.abs(one.magnetic_forces).max()) or 1.0))
    return case.outcome(float(gap), case.tolerances.symmetry, "ghosts and pairs in another order")


def check_empty(case: LocalCase) -> CheckResult:
    """A region that owns nothing, with and without ghosts, has no energy and exerts nothing."""
    region = case.part()
    bare = cut(case.geometry, np.ones(len(case.geometry), dtype=np.int64), case.local.cutoff, case.local.ghost_depth, 1)[0]
    for empty in (bare, replace(region, owned=0)):
        result = case.ask(empty)
        parts = [result.magnetic_forces, *(part for part in (result.forces, result.virial) if part is not None)]
        if result.energies.shape != (0,) or result.magnetic_forces.shape != (len(empty), 3):
            return CheckResult("", "failed", None, None, f"without owned sites results have shape {result.energies.shape}")
        if any(part.any() for part in parts):
            return CheckResult("", "failed", None, None, "a region that owns no site exerts forces or fields")
    return CheckResult("", "passed", None, None, "regions without owned sites")


def check_refused(case: LocalCase) -> CheckResult:
    """Forces that the local energy refuses are refused when they are asked for, with its reason."""
    why = case.local.refused_properties.get("forces")
    if why is None:
        raise SkipCheck("forces are given")
    region = case.part()
    try:
        case.local.freeze(region).evaluate(case.spins[region.tags], case.lengths[region.tags], forces=True)
    except SpinaseError as error:
        good = why in str(error)
        return CheckResult("", "passed" if good else "failed", None, None, f"forces are refused: {error}")
    return CheckResult("", "failed", None, None, "forces are declared refused but given")


LOCAL_CHECKS: dict[str, Callable[[LocalCase], CheckResult]] = {
    "regions": check_regions,
    "locality": check_locality,
    "thin_ghosts": check_thin_ghosts,
    "derivatives": check_derivatives,
    "order": check_order,
    "empty": check_empty,
    "refused": check_refused,
}
"""Every check of local energies by name."""


def check_local_energy(
    calc: Any,
    atoms: Atoms,
    *,
    checks: Iterable[str] = tuple(LOCAL_CHECKS),
    rng: int = 0,
    tolerances: Tolerances = Tolerances(),  # noqa: B008  (frozen)
) -> Report:
    """Hold the local energy of a calculator against the calculator itself, on regions cut out of one magnet.

    Parameters
    ----------
    calc : calculator
        With a method ``local_energy(geometry)`` (see ``contract.local_energy``), and results for the whole magnet.
    atoms : Atoms
        A small magnet in a generic configuration, with moments; not modified.
    checks : names
        Which checks to run, keys of :data:`LOCAL_CHECKS`; default: all.
    rng : int
        Seed of random partitions and directions.
    tolerances : Tolerances
        Limits and the step of the finite differences.

    Returns
    -------
    Report
        One result per check.

    Raises
    ------
    ConformanceError
        If any check fails.
    ModelError
        If the calculator has no local energy.
    ValueError
        On an unknown check.
    """
    wanted = list(checks)
    unknown = [name for name in wanted if name not in LOCAL_CHECKS]
    if unknown:
        raise ValueError(f"unknown check {unknown[0]!r}: use some of {', '.join(LOCAL_CHECKS)}")
    magnet = atoms.copy()
    spins, lengths = split_moments(get_moments(magnet), get_reference_lengths(magnet))
    geometry, local = replace(geometry_of(magnet), magnetic=lengths > 0.0), local_energy(calc, magnet)
    case = LocalCase(calc, local, magnet, geometry, spins, lengths, rng, tolerances)
    report = Report(
        f"local energy of {type(calc).__name__}", tuple(run_check(name, LOCAL_CHECKS[name], case) for name in wanted)
    )
    if report.failures:
        raise ConformanceError(report)
    return report


__all__ = ["LOCAL_CHECKS", "LocalCase", "check_local_energy"]
