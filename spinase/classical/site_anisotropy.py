"""Anisotropies that differ from site to site: E = -sum_i [K1_i (s_i.n_i)^2 + K2_i (s_i.n_i)^4], and cubic ones.

Random axes of equal strength are the model of R. Harris, M. Plischke, M. J. Zuckermann, Phys. Rev. Lett. 31, 160 (1973), of
amorphous magnets.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from spinase.classical.anisotropy import cubic_energies, cubic_gradient
from spinase.classical.local_model import LocalModel
from spinase.classical.terms import FrozenLocalTerm, LocalTerm, Term
from spinase.errors import InvalidGeometryError
from spinase.geometry import Geometry
from spinase.regions import Region
from spinase.typing import FloatArray, IntArray


@dataclass(frozen=True)
class RandomAxes:
    """An axis, or cube axes, for every site, uniform; site i has the same ones in magnets of any size.

    Attributes
    ----------
    seed : int
        Of :func:`numpy.random.default_rng`.
    """

    seed: int

    def of(self, count: int) -> FloatArray:
        """Unit vectors of the first `count` sites, (count, 3)."""
        drawn = np.random.default_rng(self.seed).standard_normal((count, 3))
        return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))

    def frames(self, count: int) -> FloatArray:
        """Cube axes of the first `count` sites, rows of (count, 3, 3): rotations, uniform (unit quaternions)."""
        drawn = np.random.default_rng(self.seed).standard_normal((count, 4))
        return np.asarray(Rotation.from_quat(drawn).as_matrix())


class TermOfSites(Term):
    """Two constants and axes of every site, by its number in the atoms."""

    strength: FloatArray
    axes: FloatArray | RandomAxes

    @property
    @abstractmethod
    def constants(self) -> tuple[FloatArray, FloatArray]:
        """K1 and K2, () or (N,), energy."""

    @abstractmethod
    def _of(self, tags: IntArray, owned: int) -> FrozenLocalTerm:
        """Sites with these numbers in the whole magnet, of which the first `owned` count."""

    @property
    def sites(self) -> int | None:
        """For how many sites there are parameters; None: any number."""
        lengths = [len(np.atleast_1d(one)) for one in self.constants if np.size(one) != 1]
        if not isinstance(self.axes, RandomAxes):
            lengths.append(len(self.axes))
        return lengths[0] if lengths else None

    def freeze(self, geometry: Geometry) -> FrozenLocalTerm:
        """Arrays of the sites.

        Raises
        ------
        InvalidGeometryError
            If the geometry has another number of sites.
        """
        count = len(geometry)
        if self.sites not in (None, count):
            raise InvalidGeometryError(
                f"the anisotropy has constants or axes of {self.sites} sites, the magnet has {count}: give one for each site"
            )
        return self._of(np.arange(count), count)

    def local(self, geometry: Geometry | None = None) -> LocalTerm:
        """The term on owned sites, by the numbers they have in the whole magnet."""
        return LocalSiteAnisotropy(self)

    def _counted(self, tags: IntArray, owned: int) -> tuple[FloatArray, FloatArray]:
        """K1 and K2 (n,) of sites with these numbers, zero from `owned` on."""
        counted = (np.arange(len(tags)) < owned).astype(np.float64)
        first, second = (
            counted * np.broadcast_to(values if np.size(values) == 1 else values[tags], len(tags))
            for values in self.constants
        )
        return first, second


@dataclass(frozen=True, eq=False)
class SiteAnisotropy(TermOfSites):
    """Uniaxial anisotropies of the sites.

    Attributes
    ----------
    strength, fourth_order : () or (N,)
        K1 and K2, energy: of every site, or one number for all.
    axes : (N, 3) or RandomAxes
        Unit vectors n of the sites.
    """

    strength: FloatArray
    fourth_order: FloatArray
    axes: FloatArray | RandomAxes

    @property
    def constants(self) -> tuple[FloatArray, FloatArray]:
        """K1 and K2."""
        return self.strength, self.fourth_order

    def _of(self, tags: IntArray, owned: int) -> FrozenSiteAnisotropy:
        last = int(tags.max(initial=-1)) + 1
        axes = (self.axes.of(last) if isinstance(self.axes, RandomAxes) else self.axes)[tags]
        return FrozenSiteAnisotropy(*self._counted(tags, owned), axes)


@dataclass(frozen=True, eq=False)
class SiteCubic(TermOfSites):
    """Cubic anisotropies of the sites, as of a polycrystal.

    Attributes
    ----------
    strength, sixth_order : () or (N,)
        K1 and K2, energy: of every site, or one number for all.
    axes : (N, 3, 3) or RandomAxes
        Orthonormal rows: the cube axes of the sites.
    """

    strength: FloatArray
    sixth_order: FloatArray
    axes: FloatArray | RandomAxes

    @property
    def constants(self) -> tuple[FloatArray, FloatArray]:
        """K1 and K2."""
        return self.strength, self.sixth_order

    def _of(self, tags: IntArray, owned: int) -> FrozenSiteCubic:
        last = int(tags.max(initial=-1)) + 1
        axes = (self.axes.frames(last) if isinstance(self.axes, RandomAxes) else self.axes)[tags]
        return FrozenSiteCubic(np.stack(self._counted(tags, owned), axis=1), axes)


@dataclass(frozen=True, eq=False)
class LocalSiteAnisotropy(LocalTerm):
    """Anisotropies of the sites for regions."""

    term: TermOfSites

    @property
    def cutoff(self) -> float:
        """No pairs are needed."""
        return 0.0

    def freeze(self, region: Region) -> FrozenLocalTerm:
        """Those of the owned sites, blind to ghosts."""
        return self.term._of(region.tags, region.owned)


@dataclass(frozen=True, eq=False)
class FrozenSiteAnisotropy(FrozenLocalTerm):
    """K1 (N,), K2 (N,) and axes n (N, 3) of the sites."""

    strength: FloatArray
    fourth_order: FloatArray
    axes: FloatArray

    def _along(self, spins: FloatArray) -> FloatArray:
        return np.asarray(np.einsum("ia,ia->i", spins, self.axes))

    def energy(self, spins: FloatArray, lengths: FloatArray) -> float:
        """E = -sum [K1 (s.n)^2 + K2 (s.n)^4]."""
        return float(np.sum(self.site_energies(spins, lengths)))

    def site_energies(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """-K1_i (s_i.n_i)^2 - K2_i (s_i.n_i)^4."""
        square = self._along(spins) ** 2
        return -square * (self.strength + self.fourth_order * square)

    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """H_i = [2 K1_i (s_i.n_i) + 4 K2_i (s_i.n_i)^3] n_i."""
        along = self._along(spins)
        return np.asarray((along * (2.0 * self.strength + 4.0 * self.fourth_order * along**2))[:, None] * self.axes)

    def local_model(self, lengths: FloatArray) -> LocalModel:
        """Q_i = K1_i n_i n_i, and K2_i."""
        quadratic = self.strength[:, None, None] * self.axes[:, :, None] * self.axes[:, None, :]
        fourth = [(self.fourth_order, self.axes)] if self.fourth_order.any() else []
        return LocalModel(len(lengths), quadratic=quadratic, quartic=fourth)


@dataclass(frozen=True, eq=False)
class FrozenSiteCubic(FrozenLocalTerm):
    """K1 and K2 (N, 2) and cube axes (N, 3, 3) of the sites."""

    strengths: FloatArray
    axes: FloatArray

    def _turned(self, spins: FloatArray) -> FloatArray:
        return np.asarray(np.einsum("ipa,ia->ip", self.axes, spins))

    def energy(self, spins: FloatArray, lengths: FloatArray) -> float:
        """E = sum K1 (sx^2 sy^2 + sy^2 sz^2 + sz^2 sx^2) + K2 sx^2 sy^2 sz^2 in the cube axes of each."""
        return float(np.sum(self.site_energies(spins, lengths)))

    def site_energies(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """Those of :func:`spinase.classical.anisotropy.cubic_energies` in the cube axes of each."""
        return cubic_energies(self._turned(spins), self.strengths)

    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """H of :func:`spinase.classical.anisotropy.cubic_gradient`, turned back to Cartesian."""
        return np.asarray(np.einsum("ip,ipa->ia", cubic_gradient(self._turned(spins), self.strengths), self.axes))

    def local_model(self, lengths: FloatArray) -> LocalModel:
        """One cubic anisotropy."""
        return LocalModel(len(lengths), cubic=[(self.strengths, self.axes)])


__all__ = ["FrozenSiteAnisotropy", "FrozenSiteCubic", "RandomAxes", "SiteAnisotropy", "SiteCubic", "TermOfSites"]
