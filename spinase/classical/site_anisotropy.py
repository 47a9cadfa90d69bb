"""Uniaxial anisotropies that differ from site to site, E = -sum_i [K1_i (s_i.n_i)^2 + K2_i (s_i.n_i)^4]; random axes.

Random axes of equal strength are the model of R. Harris, M. Plischke, M. J. Zuckermann, Phys. Rev. Lett. 31, 160 (1973), of
amorphous magnets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spinase.classical.local_model import LocalModel
from spinase.classical.terms import FrozenLocalTerm, LocalTerm, Term
from spinase.errors import InvalidGeometryError
from spinase.geometry import Geometry
from spinase.regions import Region
from spinase.typing import FloatArray, IntArray


@dataclass(frozen=True)
class RandomAxes:
    """An axis for every site, uniform on the sphere; site i has the same one in magnets of any size.

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


@dataclass(frozen=True, eq=False)
class SiteAnisotropy(Term):
    """Anisotropies of the sites, by their numbers in the atoms.

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
    def sites(self) -> int | None:
        """For how many sites there are parameters; None: any number."""
        known = [np.atleast_1d(self.strength), np.atleast_1d(self.fourth_order)]
        lengths = [len(one) for one in known if np.size(one) != 1]
        if not isinstance(self.axes, RandomAxes):
            lengths.append(len(self.axes))
        return lengths[0] if lengths else None

    def freeze(self, geometry: Geometry) -> FrozenSiteAnisotropy:
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

    def _of(self, tags: IntArray, owned: int) -> FrozenSiteAnisotropy:
        """Sites with these numbers in the whole magnet, of which the first `owned` count."""
        last = int(tags.max(initial=-1)) + 1
        axes = (self.axes.of(last) if isinstance(self.axes, RandomAxes) else self.axes)[tags]
        counted = (np.arange(len(tags)) < owned).astype(np.float64)
        first, second = (
            counted * np.broadcast_to(values if np.size(values) == 1 else values[tags], len(tags))
            for values in (self.strength, self.fourth_order)
        )
        return FrozenSiteAnisotropy(first, second, axes)


@dataclass(frozen=True, eq=False)
class LocalSiteAnisotropy(LocalTerm):
    """Anisotropies of the sites for regions."""

    term: SiteAnisotropy

    @property
    def cutoff(self) -> float:
        """No pairs are needed."""
        return 0.0

    def freeze(self, region: Region) -> FrozenSiteAnisotropy:
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


__all__ = ["FrozenSiteAnisotropy", "RandomAxes", "SiteAnisotropy"]
