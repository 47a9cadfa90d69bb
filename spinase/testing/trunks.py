"""Conformance of trunks: does one keep what readouts, evaluators and training rely on?

In a test::

    report = check_trunk(MyTrunk(config), atoms)      # raises ConformanceError listing every failure

The atoms give the species, a cell and spins; they must be generic (no perfect lattice, no order), or derivatives vanish by
symmetry.  Everything is checked in double precision but the check of precisions.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from spinase.atoms import geometry_of, get_spins
from spinase.geometry import Geometry, find_bonds
from spinase.learning.pairs import Pairs, pairs_of
from spinase.learning.trunk import Trunk, prepare
from spinase.spin_algebra import random_rotation
from spinase.testing.case import SkipCheck, central_difference
from spinase.testing.report import CheckResult, ConformanceError, Report, Tolerances
from spinase.typing import FloatArray

_SINGLE = 1e-3  # relative error of parts in single precision
_REPEATS = (1, 2, 3, 4, 6)  # of a cell, until some sites are out of range


@dataclass(frozen=True)
class TrunkCase:
    """What a check works on: a trunk in double precision, a geometry and spins (N, 3)."""

    trunk: Trunk
    geometry: Geometry
    spins: FloatArray
    seed: int
    tolerances: Tolerances

    def rng(self) -> np.random.Generator:
        """The check's own random generator, the same in every run."""
        return np.random.default_rng(self.seed)

    def parts(self, geometry: Geometry | None = None, spins: FloatArray | None = None) -> FloatArray:
        """Parts (N, K), by default of the case's own geometry and spins."""
        place, given = self.geometry if geometry is None else geometry, self.spins if spins is None else spins
        with torch.no_grad():
            found: FloatArray = self.trunk(prepare(self.trunk, place), torch.tensor(given)).numpy()
        return found

    def require(self, symmetry: str) -> None:
        """Skip the check if `symmetry` is not declared."""
        if symmetry not in self.trunk.symmetries:
            raise SkipCheck(f"{symmetry} is not declared in symmetries")

    def unchanged(self, found: FloatArray, expected: FloatArray, message: str) -> CheckResult:
        """Passed if both agree, relative to the largest part.

        Parameters
        ----------
        found, expected : ndarray
            Of the same shape; the second gives the scale.
        message : str
            What it is.
        """
        if found.shape != expected.shape:
            return _failed(f"{message}: shape {found.shape} instead of {expected.shape}")
        gap = float(np.abs(found - expected).max()) / max(float(np.abs(expected).max()), np.finfo(float).tiny)
        return _measured(gap, self.tolerances.symmetry, message)


def _measured(value: float, limit: float, message: str) -> CheckResult:
    return CheckResult("", "passed" if value <= limit else "failed", float(value), limit, message)


def _failed(message: str) -> CheckResult:
    return CheckResult("", "failed", None, None, message)


def check_shape(case: TrunkCase) -> CheckResult:
    """Finite parts (N, K), also with a non-magnetic site, that depend on the spins."""
    parts, wanted = case.parts(), (len(case.spins), case.trunk.config.parts)
    if parts.shape != wanted:
        return _failed(f"parts have shape {parts.shape}, sites and config.parts are {wanted}")
    bare = case.spins.copy()
    bare[0] = 0.0
    spins = torch.tensor(bare).requires_grad_(True)
    (slopes,) = torch.autograd.grad(case.trunk(prepare(case.trunk, case.geometry), spins).sum(), spins, allow_unused=True)
    if not np.isfinite(parts).all() or (slopes is not None and not torch.isfinite(slopes).all()):
        return _failed("parts, or their slopes with a non-magnetic site, are not finite")
    if np.array_equal(case.parts(spins=case.spins[::-1].copy()), parts):
        return _failed("other spins give the same parts: they are ignored")
    return CheckResult("", "passed", None, None, "finite parts of every site that depend on the spins")


def check_translation(case: TrunkCase) -> CheckResult:
    """All sites moved by one vector, one of them to a periodic image."""
    case.require("translation")
    moved = case.geometry.positions + case.rng().normal(size=3)
    if case.geometry.pbc.any():
        moved[0] += case.geometry.cell[int(np.flatnonzero(case.geometry.pbc)[0])]
    return case.unchanged(case.parts(replace(case.geometry, positions=moved)), case.parts(), "sites moved by one vector")


def check_spin_rotation(case: TrunkCase) -> CheckResult:
    """All spins turned, lattice fixed."""
    case.require("spin_rotation")
    turned = case.spins @ random_rotation(case.rng()).T
    return case.unchanged(case.parts(spins=turned), case.parts(), "all spins rotated, lattice fixed")


def check_lattice_rotation(case: TrunkCase) -> CheckResult:
    """Positions and cell turned, spins fixed."""
    case.require("lattice_rotation")
    turned = _turned(case.geometry, random_rotation(case.rng()))
    return case.unchanged(case.parts(turned), case.parts(), "lattice rotated, spins fixed")


def check_joint_rotation(case: TrunkCase) -> CheckResult:
    """Lattice and spins turned together."""
    case.require("joint_rotation")
    rotation = random_rotation(case.rng())
    found = case.parts(_turned(case.geometry, rotation), case.spins @ rotation.T)
    return case.unchanged(found, case.parts(), "lattice and spins rotated together")


def check_time_reversal(case: TrunkCase) -> CheckResult:
    """All spins reversed."""
    case.require("time_reversal")
    return case.unchanged(case.parts(spins=-case.spins), case.parts(), "all spins reversed")


def check_permutation(case: TrunkCase) -> CheckResult:
    """Sites listed in another order: parts in that order."""
    case.require("permutation")
    order = case.rng().permutation(len(case.spins))
    found = case.parts(case.geometry.select(order), case.spins[order])
    return case.unchanged(found, case.parts()[order], "sites listed in another order")


def check_extensivity(case: TrunkCase) -> CheckResult:
    """The cell repeated, or where nothing is periodic a copy out of reach: the same parts on both copies."""
    geometry, periodic = case.geometry, np.flatnonzero(case.geometry.pbc)
    if len(periodic):
        repeat = [2 if axis == periodic[0] else 1 for axis in range(3)]
        larger = _repeated(geometry, repeat)
    else:
        away = (np.ptp(geometry.positions, axis=0).max() + 2.0 * case.trunk.interaction_range) * np.eye(3)[0]
        positions = np.concatenate([geometry.positions, geometry.positions + away])
        larger = replace(geometry, positions=positions, numbers=np.tile(geometry.numbers, 2))
    found = case.parts(larger, np.tile(case.spins, (2, 1)))
    return case.unchanged(found, np.tile(case.parts(), (2, 1)), "twice the magnet: the same parts on each copy")


def check_locality(case: TrunkCase) -> CheckResult:
    """In an open cluster, sites beyond ``interaction_range`` of a site are turned and moved, and then taken away.

    Trunks that do not follow positions may know one lattice only: there, sites of the periodic magnet are turned.
    """
    reach, rng = case.trunk.interaction_range, case.rng()
    if not case.trunk.follows_positions:
        return _far_spins_turned(case)
    for count in _REPEATS:
        repeat = [count if periodic else 1 for periodic in case.geometry.pbc]
        cluster = replace(_repeated(case.geometry, repeat), pbc=np.zeros(3, dtype=bool))
        site = int(np.argmin(cluster.positions.sum(axis=1)))
        distances = np.linalg.norm(cluster.positions - cluster.positions[site], axis=1)
        far = distances > 1.1 * reach
        if far.any():
            break
    else:
        raise SkipCheck(f"no site is farther than {reach:g} from another: give atoms with periodic directions")
    spins = np.tile(case.spins, (int(np.prod(repeat)), 1))
    before = case.parts(cluster, spins)[[site]]
    turned, moved = spins.copy(), cluster.positions.copy()
    turned[far] = rng.normal(size=(int(far.sum()), 3))
    moved[far] += 0.05 * reach * rng.uniform(-1.0, 1.0, size=(int(far.sum()), 3))
    changed = case.parts(replace(cluster, positions=moved), turned)[[site]]
    near = np.flatnonzero(distances <= 1.1 * reach)
    alone = case.parts(cluster.select(near), spins[near])[np.flatnonzero(near == site)]
    message = f"sites beyond the range of {reach:g} turned, moved or taken away"
    return case.unchanged(np.concatenate([changed, alone]), np.concatenate([before, before]), message)


def _far_spins_turned(case: TrunkCase) -> CheckResult:
    """All sites that are beyond the range of the first one and of its images are turned."""
    reach = case.trunk.interaction_range
    for count in _REPEATS:
        repeat = [count if periodic else 1 for periodic in case.geometry.pbc]
        larger = _repeated(case.geometry, repeat)
        bonds = find_bonds(larger, 1.1 * reach)
        far = np.ones(len(larger), dtype=bool)
        far[[0, *bonds.second[bonds.first == 0], *bonds.first[bonds.second == 0]]] = False
        if far.any():
            break
    else:
        raise SkipCheck(f"no site is farther than {reach:g} from another: give a larger magnet")
    spins = np.tile(case.spins, (int(np.prod(repeat)), 1))
    before = case.parts(larger, spins)[[0]]
    spins[far] = case.rng().normal(size=(int(far.sum()), 3))
    return case.unchanged(case.parts(larger, spins)[[0]], before, f"sites beyond the range of {reach:g} turned")


def check_spin_derivatives(case: TrunkCase) -> CheckResult:
    """Slopes by spins against finite differences, of the parts with random weights."""
    weights, direction = case.rng().normal(size=(2, *case.spins.shape))
    mix = weights[:, :1] * np.ones(case.trunk.config.parts)
    spins = torch.tensor(case.spins).requires_grad_(True)
    total = (case.trunk(prepare(case.trunk, case.geometry), spins) * torch.from_numpy(mix)).sum()
    (slopes,) = torch.autograd.grad(total, spins, materialize_grads=True, allow_unused=True)

    def value(step: float) -> float:
        """Mixed parts when spins are moved by step times direction."""
        return float((case.parts(spins=case.spins + step * direction) * mix).sum())

    return _slopes_agree(case, float((slopes.numpy() * direction).sum()), value, "by spins")


def check_position_derivatives(case: TrunkCase) -> CheckResult:
    """Slopes by pair vectors, added up on the sites, against finite differences of positions."""
    if not case.trunk.follows_positions:
        raise SkipCheck("it does not follow positions")
    weights, direction = case.rng().normal(size=(2, *case.spins.shape))
    mix, geometry = weights[:, :1] * np.ones(case.trunk.config.parts), case.geometry
    pairs = pairs_of(geometry, case.trunk.config.cutoff, torch.float64)
    vectors = pairs.vectors.requires_grad_(True)
    species = torch.from_numpy(case.trunk.config.indices(geometry.numbers))
    parts = case.trunk(case.trunk.prepare(Pairs(pairs.rows, vectors), species), torch.tensor(case.spins))
    total = (parts * torch.from_numpy(mix)).sum()
    (pulls,) = torch.autograd.grad(total, vectors, materialize_grads=True, allow_unused=True)
    moves = torch.from_numpy(direction)
    slope = float((pulls * (moves[pairs.rows.second] - moves[pairs.rows.first])).sum())

    def value(step: float) -> float:
        """Mixed parts when atoms are moved by step times direction."""
        return float((case.parts(replace(geometry, positions=geometry.positions + step * direction)) * mix).sum())

    return _slopes_agree(case, slope, value, "by positions")


def check_training(case: TrunkCase) -> CheckResult:
    """Slopes of a loss on fields by the weights against finite differences: the trunk is differentiable twice."""
    weights = [weight for weight in case.trunk.parameters() if weight.requires_grad]
    if not weights:
        raise SkipCheck("it has no weights to train")
    rng = case.rng()
    directions = [torch.from_numpy(rng.normal(size=tuple(weight.shape))) for weight in weights]
    prepared = prepare(case.trunk, case.geometry)

    def loss() -> Tensor:
        """Sum of squares of the slopes by spins."""
        spins = torch.tensor(case.spins).requires_grad_(True)
        total = case.trunk(prepared, spins).sum()
        (slopes,) = torch.autograd.grad(total, spins, create_graph=True, materialize_grads=True, allow_unused=True)
        return (slopes**2).sum()

    found = torch.autograd.grad(loss(), weights, materialize_grads=True, allow_unused=True)
    slope = float(sum((one * along).sum() for one, along in zip(found, directions, strict=True)))

    def value(step: float) -> float:
        """Loss when weights are moved by step times direction."""
        with torch.no_grad():
            for weight, along in zip(weights, directions, strict=True):
                weight.add_(step * along)
        ended = float(loss().detach())
        with torch.no_grad():
            for weight, along in zip(weights, directions, strict=True):
                weight.sub_(step * along)
        return ended

    return _slopes_agree(case, slope, value, "of a loss on fields by the weights")


def check_dtype(case: TrunkCase) -> CheckResult:
    """In single precision the same parts, as single-precision numbers."""
    single = copy.deepcopy(case.trunk).float()
    with torch.no_grad():
        found = single(prepare(single, case.geometry, torch.float32), torch.tensor(case.spins, dtype=torch.float32))
    if found.dtype != torch.float32:
        return _failed(f"single-precision weights, pairs and spins give parts of type {found.dtype}")
    expected = case.parts()
    gap = float(np.abs(found.numpy() - expected).max()) / max(float(np.abs(expected).max()), np.finfo(float).tiny)
    return _measured(gap, _SINGLE, "single against double precision")


def check_determinism(case: TrunkCase) -> CheckResult:
    """The same bytes first, after other spins on the same prepared geometry, and from a copy of the weights."""
    prepared, spins = prepare(case.trunk, case.geometry), torch.tensor(case.spins)
    twin = type(case.trunk).from_config(case.trunk.config).double()
    twin.load_state_dict(case.trunk.state_dict())
    with torch.no_grad():
        case.trunk(prepared, torch.tensor(-case.spins[::-1].copy()))
        later, again = (case.trunk(prepared, spins).numpy() for _ in range(2))
        first = copy.deepcopy(twin).eval()(prepare(twin, case.geometry), spins).numpy()
        copied = twin.eval()(prepare(twin, case.geometry), spins).numpy()
    for found, what in (
        (again, "asked again"),
        (first, "asked after other spins, or from a copy"),
        (copied, "copied twice"),
    ):
        if not np.array_equal(found, later):
            return _failed(f"{what}, the parts are others: they depend on more than geometry, spins and weights")
    return CheckResult("", "passed", None, None, "the same bytes again, and from a copy")


def _slopes_agree(case: TrunkCase, slope: float, value: Callable[[float], float], what: str) -> CheckResult:
    expected = float(central_difference(value, case.tolerances.step))
    if slope == 0.0 and expected == 0.0:
        return _failed(f"vacuous: nothing changes {what}; give atoms in a generic configuration")
    gap = abs(slope - expected) / max(abs(expected), np.finfo(float).tiny)
    return _measured(gap, case.tolerances.gradient, f"slopes {what} against finite differences")


def _turned(geometry: Geometry, rotation: FloatArray) -> Geometry:
    return replace(geometry, positions=geometry.positions @ rotation.T, cell=geometry.cell @ rotation.T)


def _repeated(geometry: Geometry, repeat: list[int]) -> Geometry:
    """Copies along the cell's vectors, one after the other."""
    shifts = np.array(list(np.ndindex(*repeat))) @ geometry.cell
    positions = (geometry.positions[None] + shifts[:, None]).reshape(-1, 3)
    cell = geometry.cell * np.array(repeat)[:, None]
    return replace(geometry, positions=positions, cell=cell, numbers=np.tile(geometry.numbers, len(shifts)))


TRUNK_CHECKS: dict[str, Callable[[TrunkCase], CheckResult]] = {
    "shape": check_shape,
    "translation": check_translation,
    "spin_rotation": check_spin_rotation,
    "lattice_rotation": check_lattice_rotation,
    "joint_rotation": check_joint_rotation,
    "time_reversal": check_time_reversal,
    "permutation": check_permutation,
    "extensivity": check_extensivity,
    "locality": check_locality,
    "spin_derivatives": check_spin_derivatives,
    "position_derivatives": check_position_derivatives,
    "training": check_training,
    "dtype": check_dtype,
    "determinism": check_determinism,
}
"""Every check of a trunk by name; iterating gives the names, so it can parametrize a test."""

_DEFAULT = Tolerances()


def check_trunk(
    trunk: Trunk,
    atoms: Atoms,
    *,
    checks: Iterable[str] | None = None,
    skip: Iterable[str] = (),
    rng: int = 0,
    tolerances: Tolerances = _DEFAULT,
) -> Report:
    """Run the conformance checks on one trunk and one magnet.

    Parameters
    ----------
    trunk : Trunk
        Symmetries, range and whether it follows positions are read from it; not modified.
    atoms : Atoms
        A small magnet of species it knows, in a generic configuration, with moments; not modified.
    checks : names, optional
        Which checks to run, keys of :data:`TRUNK_CHECKS`; default: all.
    skip : names
        Checks to leave out.
    rng : int
        Seed of random directions, weights and rotations.
    tolerances : Tolerances
        Limits and the step of the finite differences.

    Returns
    -------
    Report
        One result per check.

    Raises
    ------
    ConformanceError
        If any check fails; its message lists all that do, and its ``report`` holds every result.
    ValueError
        On an unknown check.
    """
    wanted, left_out = list(TRUNK_CHECKS if checks is None else checks), set(skip)
    unknown = [name for name in [*wanted, *left_out] if name not in TRUNK_CHECKS]
    if unknown:
        raise ValueError(f"unknown check {unknown[0]!r}: use some of {', '.join(TRUNK_CHECKS)}")
    results = []
    for name in (name for name in wanted if name not in left_out):
        case = TrunkCase(copy.deepcopy(trunk).double().eval(), geometry_of(atoms), get_spins(atoms), rng, tolerances)
        results.append(_run(name, case))
    report = Report(type(trunk).__name__, tuple(results))
    if report.failures:
        raise ConformanceError(report)
    return report


def _run(name: str, case: TrunkCase) -> CheckResult:
    try:
        result: Any = TRUNK_CHECKS[name](case)
    except SkipCheck as reason:
        return CheckResult(name, "skipped", None, None, str(reason))
    except Warning:
        raise
    except Exception as error:  # a trunk may raise anything: the report says what, and the other checks still run
        return CheckResult(name, "failed", None, None, f"raised {type(error).__name__}: {error}")
    return replace(result, name=name)


__all__ = ["TRUNK_CHECKS", "TrunkCase", "check_trunk"]
