"""Minimum-energy paths between magnetic textures: geodesic nudged elastic band with a climbing image."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from ase import Atoms
from ase.optimize import FIRE
from ase.optimize.optimize import Optimizer
from ase.utils.abc import Optimizable

from spinase.atoms import get_moments, get_spins, set_moments
from spinase.contract import NotConservativeError, calculator_of, energy_of, is_conservative, require_magnetic_forces
from spinase.dynamics.relax import SpinOptimizable
from spinase.dynamics.settings import as_generator
from spinase.dynamics.stability import Curvatures
from spinase.errors import InvalidMomentsError, ModelError, UnstableStateWarning
from spinase.images import energies_and_fields
from spinase.spin_algebra import rotate_about, tangent
from spinase.typing import FloatArray

DETOURS = 4  # how often a path is bent away from a point with several unstable directions
TOLD = 6  # curvatures that a result tells
_SIDEWAYS = 0.3  # radian of all spins together, at the climbing image


def geodesic_path(start: Atoms, end: Atoms, images: int, rng: np.random.Generator | int | None = None) -> list[Atoms]:
    """`images` magnets from `start` to `end`, every spin turning evenly along its great circle.

    Spins that must turn by half a turn choose an axis at random (`rng`; default: a fixed one), all others the shorter way.

    Parameters
    ----------
    start, end : Atoms
        Ends of the path: the same sites and moments' lengths.
    images : int
        Number of magnets, ends included.
    rng : numpy Generator or seed, optional
        Chooses the axes of half turns; default: a fixed one.

    Raises
    ------
    InvalidMomentsError
        If the magnets differ in sites, moments' lengths, or there are fewer than three images.
    """
    first, last = get_spins(start), get_spins(end)
    if len(start) != len(end) or not np.allclose(_lengths(start), _lengths(end)):
        raise InvalidMomentsError("the ends of a path need the same sites and the same moments' lengths")
    if images < 3:
        raise InvalidMomentsError(f"a path needs at least three images (both ends and one between), got {images}")
    vectors = rotation_vectors(first, last, as_generator(0 if rng is None else rng, "a path"))
    path = []
    for fraction in np.linspace(0.0, 1.0, images):
        image = start.copy()
        set_moments(image, _lengths(start)[:, None] * rotate_about(first, -fraction * vectors))
        path.append(image)
    return path


def rotation_vectors(source: FloatArray, target: FloatArray, rng: np.random.Generator | None = None) -> FloatArray:
    """Rotation vectors (N, 3) that turn the unit vectors `source` into `target` by the shortest way.

    Opposite pairs turn about an axis drawn from `rng` (without it: about any perpendicular one).

    Parameters
    ----------
    source, target : (N, 3) ndarray
        Unit vectors before and after.
    rng : numpy.random.Generator, optional
        Draws the axes of opposite pairs.
    """
    axes = np.cross(source, target)
    sine, cosine = np.linalg.norm(axes, axis=1), np.einsum("ia,ia->i", source, target)
    opposite = (sine < 1e-9) & (cosine < 0.0)
    if opposite.any():
        trial = np.eye(3)[np.abs(source).argmin(axis=1)] if rng is None else rng.normal(size=source.shape)
        axes = np.where(opposite[:, None], tangent(trial, source), axes)
    norms = np.linalg.norm(axes, axis=1)
    angle = np.arctan2(sine, cosine)
    return np.asarray((angle / np.where(norms > 0.0, norms, 1.0))[:, None] * axes)


@dataclass(frozen=True)
class PathResult:
    """A relaxed path.

    Attributes
    ----------
    images : list of Atoms
        The magnets, ends included.
    distances : (n,)
        Length of the path from its start: sum of the geodesic distances sqrt(sum angle^2), radian.
    energies : (n,)
        Energy of every image.
    climbing : int
        The highest image.
    converged : bool
        Whether the largest force came below the limit and, with a climbing image, that image is a saddle point with one
        unstable direction.
    index : int or None
        Number of directions in which the energy falls at the highest image between the ends: 1 at the saddle point of a
        path, 0 where the path has none, 2 and more where it is a mountain that a lower path goes round.  None: not looked
        at, as the path is not relaxed yet.
    curvatures : (k,)
        The lowest curvatures there, ascending, energy (all of a small magnet); empty where `index` is None.
    """

    images: list[Atoms]
    distances: FloatArray
    energies: FloatArray
    climbing: int
    converged: bool
    index: int | None = None
    curvatures: FloatArray = field(default_factory=lambda: np.zeros(0))

    @property
    def barrier(self) -> float:
        """Energy of the highest image above the start."""
        return float(self.energies.max() - self.energies[0])

    def __str__(self) -> str:
        told = curved(self.index, self.curvatures)
        return f"barrier {self.barrier:.6g} at image {self.climbing} of {len(self.images)}: {told}"


class SpinBand(Optimizable):
    r"""A chain of images that ASE's optimizers relax to a minimum-energy path.

    The force on an image is its torque without the component along the path, plus springs along it; the climbing image has
    no springs and its component along the path turned round.  Coordinates are rotation vectors, as in
    :class:`~spinase.dynamics.SpinOptimizable`; tangents are those of G. Henkelman and H. Jonsson (upwind), distances are
    geodesic.

    Parameters
    ----------
    images : sequence of Atoms
        The path with both ends; each image has a conservative calculator (they may share one).
    spring : float
        Spring constant, energy.
    climb : bool
        Let the highest image climb.

    Raises
    ------
    NotConservativeError
        If a calculator describes a driven system.
    ModelError, MissingMagneticForcesError
    """

    def __init__(self, images: Sequence[Atoms], spring: float = 1.0, climb: bool = False) -> None:
        if len(images) < 3:
            raise ModelError(f"a path needs at least three images (both ends and one between), got {len(images)}")
        for image in images:
            calc = calculator_of(image)
            require_magnetic_forces(calc)
            if not is_conservative(calc):
                raise NotConservativeError(f"{type(calc).__name__} describes a driven system: it has no energy and no path")
        if not np.isfinite(spring) or spring <= 0.0:
            raise ModelError(f"the spring constant must be positive, got {spring}")
        self.images, self.spring, self.climb = list(images), float(spring), climb
        self._turned = np.zeros((len(images) - 2, len(images[0]), 3))
        self._torques = np.zeros_like(self._turned)
        self.energies = np.zeros(len(images))
        for end in (0, -1):
            energy = energy_of(self.images[end])
            if energy is None:
                raise ModelError(f"{type(self.images[end].calc).__name__} gives no energy: there is no path to find")
            self.energies[end] = energy
        self._ask()

    def _ask(self) -> None:
        """Energies and torques of the images between the ends, as they are."""
        between = self.images[1:-1]
        self.energies[1:-1], fields = energies_and_fields(between)
        self._torques = np.cross([get_moments(image) for image in between], fields)

    def ndofs(self) -> int:
        """3 per spin of every image between the ends."""
        return int(self._turned.size)

    def get_x(self) -> FloatArray:
        """Rotation vectors since the start, flat."""
        return self._turned.ravel()

    def set_x(self, x: FloatArray) -> None:
        """Move to the coordinates `x`."""
        rows = np.asarray(x, dtype=np.float64).reshape(self._turned.shape)
        for image, step in zip(self.images[1:-1], rows - self._turned, strict=True):
            set_moments(image, rotate_about(get_moments(image), -step))
        self._turned = rows.copy()
        self._ask()

    def resume(self, x: FloatArray) -> None:
        """Take the images, as they are, for those at the coordinates `x`."""
        self._turned = np.array(x, dtype=np.float64).reshape(self._turned.shape)

    def get_gradient(self) -> FloatArray:
        """Minus the forces of the band, flat; each is a rotation vector perpendicular to its spin."""
        spins = [get_spins(image) for image in self.images]
        steps = [rotation_vectors(one, two) for one, two in pairwise(spins)]
        lengths = [float(np.linalg.norm(step)) for step in steps]
        highest = self.climbing if self.climb else -1
        out = np.empty_like(self._turned)
        for k in range(1, len(self.images) - 1):
            along = self._tangent(k, steps[k - 1], steps[k])
            torque = self._torques[k - 1]
            component = float(np.sum(torque * along))
            if k == highest:
                out[k - 1] = torque - 2.0 * component * along
            else:
                out[k - 1] = torque - component * along + self.spring * (lengths[k] - lengths[k - 1]) * along
        return -out.ravel()

    def _tangent(self, k: int, before: FloatArray, after: FloatArray) -> FloatArray:
        """Unit direction of the path at image k, uphill."""
        low, here, high = self.energies[k - 1 : k + 2]
        if low < here < high:
            along = after
        elif low > here > high:
            along = before
        else:
            large, small = max(abs(high - here), abs(low - here)), min(abs(high - here), abs(low - here))
            forward, backward = (large, small) if high > low else (small, large)
            along = forward * after + backward * before
            if not along.any():
                along = after + before
        # a turn about the spin itself is none
        along = tangent(along, get_spins(self.images[k]))
        norm = float(np.linalg.norm(along))
        return along / norm if norm > 0.0 else along

    def get_value(self) -> float:
        """Sum of the energies of the images."""
        return float(self.energies.sum())

    def iterimages(self) -> Iterator[Any]:
        """The images, for a trajectory."""
        for image in self.images:
            yield from image.iterimages()

    @property
    def climbing(self) -> int:
        """The highest image between the ends."""
        return 1 + int(np.argmax(self.energies[1:-1]))

    def curvatures(self) -> Curvatures:
        """Lowest curvatures of the energy at the climbing image."""
        return SpinOptimizable(self.images[self.climbing]).curvatures()

    def go_round(self, found: Curvatures, detours: int) -> bool:
        """Bend the path to the side, if a lower one goes round its climbing image; whether it was bent.

        Parameters
        ----------
        found : Curvatures
            At the climbing image: with two or more negative ones it is a mountain, left along the next lowest direction.
        detours : int
            How often the path was bent before; after DETOURS times it stays.
        """
        if found.negative < 2 or detours >= DETOURS:
            return False
        sign = np.random.default_rng(detours).choice([-1.0, 1.0])
        self._leave(sign * found.directions[1].reshape(-1, 3))
        return True

    def _leave(self, direction: FloatArray) -> None:
        """Turn the images along `direction` (N, 3), most at the climbing image, not at the ends."""
        last = len(self.images) - 1
        for k, image in enumerate(self.images[1:-1], start=1):
            weight = _SIDEWAYS * (k / self.climbing if k <= self.climbing else (last - k) / (last - self.climbing))
            step = tangent(weight * direction, get_spins(image))
            set_moments(image, rotate_about(get_moments(image), -step))
        self._ask()

    def result(self, converged: bool, index: int | None = None, curvatures: FloatArray | None = None) -> PathResult:
        """The path as it is.

        Parameters
        ----------
        converged : bool
            What it says of itself.
        index : int, optional
            Number of unstable directions at the highest image between the ends, if they were looked at.
        curvatures : (k,) ndarray, optional
            All that are known there, ascending, energy.
        """
        spins = [get_spins(image) for image in self.images]
        steps = [np.linalg.norm(rotation_vectors(one, two)) for one, two in pairwise(spins)]
        distances = np.concatenate([[0.0], np.cumsum(steps)])
        highest = int(np.argmax(self.energies))
        lowest = np.zeros(0) if curvatures is None else curvatures[:TOLD].copy()
        return PathResult(self.images, distances, self.energies.copy(), highest, converged, index, lowest)


def minimum_energy_path(
    images: Sequence[Atoms],
    *,
    fmax: float = 1e-4,
    steps: int = 2000,
    spring: float = 1.0,
    climb: bool = True,
    optimizer: type[Optimizer] | None = None,
    logfile: str | None = None,
    **options: Any,
) -> PathResult:
    """Relax a path: first with springs alone, then with a climbing image, which must be a saddle point.

    A path that is more symmetric than it need be can climb to a point from which several directions go down (all spins turn
    at once where one after the other is easier).  The curvatures there are looked at; such a path is bent to the side of the
    next lowest one and relaxed again, and if that does not help, the result says so.

    Parameters
    ----------
    images : sequence of Atoms
        The path (see :func:`geodesic_path`), each with its calculator; changed in place.  The ends stay: relax them first.
    fmax : float
        Largest force on a spin at the end, energy.
    steps : int
        Iterations of both parts together.
    spring : float
        Spring constant, energy.
    climb : bool
        Whether the highest image climbs to the saddle point.
    optimizer : type of ASE optimizer, optional
        Default: FIRE with steps of at most 0.05 radian.
    logfile : str, optional
        Progress ("-": on the screen).
    options
        Passed to the optimizer.

    Returns
    -------
    PathResult

    Warns
    -----
    UnstableStateWarning
        If the climbing image converged to a point with two or more unstable directions: the barrier is too high.
    """
    if optimizer is None:
        optimizer, options = FIRE, {"dt": 0.05, "maxstep": 0.05, **options}
    band = SpinBand(images, spring, climb=False)
    rough = optimizer(band, logfile=logfile, **options)  # type: ignore[call-arg]
    converged = bool(rough.run(fmax=10.0 * fmax if climb else fmax, steps=steps // 2 if climb else steps))
    if not climb:
        if not converged:
            return band.result(False)
        found = band.curvatures()
        return band.result(True, found.negative, found.values)
    band.climb, left = True, steps - int(rough.nsteps)
    for attempt in range(DETOURS + 1):
        fine = optimizer(band, logfile=logfile, **options)  # type: ignore[call-arg]
        converged = bool(fine.run(fmax=fmax, steps=left))
        left -= int(fine.nsteps)
        if not converged:
            return band.result(False)
        found = band.curvatures()
        if left <= 0 or not band.go_round(found, attempt):
            break
    if found.negative >= 2:
        told = ", ".join(f"{value:.4g}" for value in found.values[: found.negative])
        warnings.warn(
            f"the climbing image stopped at a point of index {found.negative}: the energy falls from it in {found.negative} "
            f"directions (curvatures {told}), so a lower path goes round it: the barrier is too high. Start from a path of "
            "less symmetry (turn its spins one after the other, or by small random angles), or allow more steps",
            UnstableStateWarning,
            stacklevel=2,
        )
    return band.result(found.negative < 2, found.negative, found.values)


def curved(index: int | None, curvatures: FloatArray) -> str:
    """The second derivatives at the highest image of a path in words.

    Parameters
    ----------
    index : int or None
        Number of unstable directions; None: not looked at.
    curvatures : (k,) ndarray
        The lowest ones, energy.
    """
    if index is None:
        return "its curvatures were not looked at"
    kind = {0: "no saddle point", 1: "a saddle point"}.get(index, "no saddle point, a lower path goes round it")
    lowest = ", ".join(f"{value:.4g}" for value in curvatures[:3])
    return f"{index} unstable direction(s), {kind} (lowest curvatures {lowest})"


def _lengths(atoms: Atoms) -> FloatArray:
    return np.asarray(np.linalg.norm(get_moments(atoms), axis=1))


__all__ = ["PathResult", "SpinBand", "curved", "geodesic_path", "minimum_energy_path", "rotation_vectors"]
