"""Products of four spins, E = -sum K (s_a.s_b)(s_c.s_d): listed ones, ring exchange, and three-site couplings.

Ring exchange on loops 1234 of bonds: D. J. Thouless, Proc. Phys. Soc. 86, 893 (1965); M. Roger, J. H. Hetherington, J. M.
Delrieu, Rev. Mod. Phys. 55, 1 (1983).  Three-site couplings of fourth order: M. Hoffmann, S. Bluegel, Phys. Rev. B 101,
024418 (2020).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from spinase.classical.local_model import LocalModel
from spinase.classical.terms import FrozenLocalTerm, FrozenTerm, LocalTerm, Term
from spinase.compiled import njit
from spinase.errors import InvalidGeometryError
from spinase.geometry import Bonds, Geometry, nearest_image
from spinase.given_pairs import GivenPairLaw
from spinase.pair_laws import PairLaw
from spinase.regions import Region
from spinase.typing import FloatArray, IntArray


class ProductTerm(Term):
    """A term of products of four spins."""

    @abstractmethod
    def products(self, geometry: Geometry) -> tuple[IntArray, FloatArray]:
        """Sites a, b, c, d (q, 4) and strengths K (q,), energy."""

    def freeze(self, geometry: Geometry) -> FrozenProducts:
        """The products on a geometry, equal ones added."""
        return FrozenProducts(*_merged(*self.products(geometry)))


@dataclass(frozen=True, eq=False)
class FourSpin(ProductTerm):
    """Listed products, by the numbers of the sites.

    Attributes
    ----------
    sites : (q, 4) int
        a, b, c, d.
    strengths : (q,)
        K, energy: -K (s_a.s_b)(s_c.s_d).
    """

    not_local: ClassVar[str] = "how far its sites are apart is seen on the whole magnet only: give its geometry"
    sites: IntArray
    strengths: FloatArray

    def products(self, geometry: Geometry) -> tuple[IntArray, FloatArray]:
        """As listed.

        Raises
        ------
        InvalidGeometryError
            If a site does not exist.
        """
        outside = self.sites[(self.sites < 0) | (self.sites >= len(geometry))]
        if len(outside):
            raise InvalidGeometryError(
                f"a product of four spins names site {outside[0]}, the magnet has sites 0 to {len(geometry) - 1}"
            )
        return self.sites, self.strengths

    def local(self, geometry: Geometry | None = None) -> LocalTerm:
        """Products at the owner of their first site; any copy of the others has their spins."""
        if geometry is None:
            return super().local()
        sites, _ = self.products(geometry)
        apart = geometry.positions[sites[:, 1:]] - geometry.positions[sites[:, :1]]
        return LocalFourSpin(self, float(np.linalg.norm(_nearest(apart, geometry), axis=2).max(initial=0.0)))


@dataclass(frozen=True, eq=False)
class LocalFourSpin(LocalTerm):
    """Listed products for regions; `reach` is the longest way from a first site to another one of its product."""

    term: FourSpin
    reach: float

    @property
    def cutoff(self) -> float:
        """No pairs are needed."""
        return 0.0

    @property
    def ghost_depth(self) -> float:
        """The reach, and what round-off may take from it."""
        return self.reach * (1.0 + 1e-9)

    def freeze(self, region: Region) -> FrozenLocalProducts:
        """Products whose first site is owned.

        Raises
        ------
        InvalidGeometryError
            If the region has no copy of one of the others.
        """
        copies = np.full(max(int(region.tags.max(initial=-1)), int(self.term.sites.max(initial=-1))) + 1, -1)
        copies[region.tags[::-1]] = np.arange(len(region))[::-1]  # the first copy of each, an owned one if there is one
        found = copies[self.term.sites]
        mine = (found[:, 0] >= 0) & (found[:, 0] < region.owned)
        missing = self.term.sites[mine][found[mine] < 0]
        if len(missing):
            raise InvalidGeometryError(
                f"a product of four spins needs site {missing[0]}, of which this region has no copy: ghosts must reach "
                f"{self.ghost_depth:.6g}"
            )
        return FrozenLocalProducts(found[mine], self.term.strengths[mine])


class LoopTerm(ProductTerm):
    """Products on loops or triangles of bonds, found from their sites."""

    strength: float
    bonds: PairLaw

    @abstractmethod
    def on(self, steps: IntArray, starts: int) -> tuple[IntArray, FloatArray]:
        """Products found from the sites before `starts`, which are their first ones, and their parts of K.

        Parameters
        ----------
        steps : (n, 5) int
            Bonds in both directions: sites and cell of the second one.
        starts : int
            From how many of the first sites loops are looked for.
        """

    def products(self, geometry: Geometry) -> tuple[IntArray, FloatArray]:
        """Those of every site."""
        return self.on(_directed(self.bonds.amplitudes(geometry)[0]), len(geometry))

    def local(self, geometry: Geometry | None = None) -> LocalTerm:
        """Loops found from owned sites."""
        return LocalLoops(self, self.bonds.local(geometry))


@dataclass(frozen=True, eq=False)
class LocalLoops(LocalTerm):
    """Loops of given bonds."""

    term: LoopTerm
    law: GivenPairLaw

    @property
    def cutoff(self) -> float:
        """That of the bonds."""
        return self.law.cutoff

    @property
    def ghost_depth(self) -> float:
        """Two bonds: a loop goes on from the neighbours of a site."""
        return 2.0 * self.law.cutoff

    def freeze(self, region: Region) -> FrozenLocalProducts:
        """The part of each loop that belongs to its owned sites."""
        bonds = self.law.on(region.pairs, region)[0]
        steps = np.column_stack([bonds.first, bonds.second, np.zeros((len(bonds), 3), dtype=np.int64)])
        return FrozenLocalProducts(*self.term.on(steps.astype(np.int64), region.owned))


@dataclass(frozen=True, eq=False)
class RingExchange(LoopTerm):
    """E = -sum over loops of four bonds K [(s_1.s_2)(s_3.s_4) + (s_1.s_4)(s_2.s_3) - (s_1.s_3)(s_2.s_4)].

    Loops are closed ways of four different sites along bonds, each once: plaquettes of a square lattice, rhombi of a
    triangular one.

    Attributes
    ----------
    strength : float
        K, energy.
    bonds : PairLaw
        Whose pairs are the bonds.
    """

    strength: float
    bonds: PairLaw

    def on(self, steps: IntArray, starts: int) -> tuple[IntArray, FloatArray]:
        """Three of each loop; a loop is found from each of its sites, with a quarter of K.

        Parameters
        ----------
        steps, starts
            As in :meth:`LoopTerm.on`.
        """
        paths = _paths(steps, starts)
        one, two = _pairs_of_equal(np.column_stack([paths[:, 0], paths[:, 2:]]))
        a, b, c, d = paths[one, 0], paths[one, 1], paths[one, 2], paths[two, 1]
        quarter = np.full(len(a), 0.25 * self.strength)
        sites = np.concatenate([np.stack(each, axis=1) for each in ((a, b, c, d), (a, d, b, c), (a, c, b, d))])
        return sites, np.concatenate([quarter, quarter, -quarter])


@dataclass(frozen=True, eq=False)
class ThreeSite(LoopTerm):
    """E = -sum over triangles of bonds K [(s_1.s_2)(s_2.s_3) + (s_2.s_3)(s_3.s_1) + (s_3.s_1)(s_1.s_2)].

    Attributes
    ----------
    strength : float
        K, energy.
    bonds : PairLaw
        Whose pairs are the bonds.
    """

    strength: float
    bonds: PairLaw

    def on(self, steps: IntArray, starts: int) -> tuple[IntArray, FloatArray]:
        """Three of each triangle; a corner is found in both directions, with half of K.

        Parameters
        ----------
        steps, starts
            As in :meth:`LoopTerm.on`.
        """
        paths = _paths(steps, starts)
        ends = np.column_stack([paths[:, 0], paths[:, 2:]])
        _, keys = np.unique(np.concatenate([steps, ends]), axis=0, return_inverse=True)
        of_bonds, of_paths = np.split(keys.ravel(), [len(steps)])
        chosen = paths[np.isin(of_paths, of_bonds)]
        sites = np.stack([chosen[:, 0], chosen[:, 1], chosen[:, 1], chosen[:, 2]], axis=1)
        return sites, np.full(len(sites), 0.5 * self.strength)


def _nearest(apart: FloatArray, geometry: Geometry) -> FloatArray:
    """Vectors (..., 3) brought near zero by whole vectors of the periodic directions."""
    if not geometry.pbc.any():
        return apart
    frame, flat = geometry.cell[geometry.pbc], apart.reshape(-1, 3)
    return np.asarray((flat + nearest_image(flat, frame) @ frame).reshape(apart.shape))


def _directed(bonds: Bonds) -> IntArray:
    """Both directions of the bonds: sites and cell of the second one, (2 n, 5)."""
    there = np.column_stack([bonds.first, bonds.second, bonds.shifts])
    back = np.column_stack([bonds.second, bonds.first, -bonds.shifts])
    return np.concatenate([there, back]).astype(np.int64)


def _paths(steps: IntArray, starts: int) -> IntArray:
    """Ways of two steps from sites before `starts` to others: sites i, j, k and the cell of k as seen from i, (n, 6)."""
    steps = steps[np.argsort(steps[:, 0], kind="stable")]
    home = steps[steps[:, 0] < starts]
    begin = np.searchsorted(steps[:, 0], home[:, 1], side="left")
    counts = np.searchsorted(steps[:, 0], home[:, 1], side="right") - begin
    first = np.repeat(np.arange(len(home)), counts)
    second = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(begin, counts)
    cells = home[first, 2:] + steps[second, 2:]
    paths = np.column_stack([home[first, 0], home[first, 1], steps[second, 1], cells])
    return np.asarray(paths[(paths[:, 0] != paths[:, 2]) | cells.any(axis=1)])


def _pairs_of_equal(keys: IntArray) -> tuple[IntArray, IntArray]:
    """All pairs of different rows (n, m) that are equal."""
    _, group, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(group.ravel(), kind="stable")
    group = group.ravel()[order]
    one, two = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for apart in range(1, int(counts.max(initial=1))):
        same = np.flatnonzero(group[apart:] == group[:-apart])
        one.append(order[same])
        two.append(order[same + apart])
    return np.concatenate(one), np.concatenate(two)


def _merged(sites: IntArray, strengths: FloatArray) -> tuple[IntArray, FloatArray]:
    """Equal products added: factors and their sites are in ascending order."""
    pairs = np.sort(np.asarray(sites, dtype=np.int64).reshape(-1, 2, 2), axis=2)
    swap = (pairs[:, 0, 0] > pairs[:, 1, 0]) | ((pairs[:, 0, 0] == pairs[:, 1, 0]) & (pairs[:, 0, 1] > pairs[:, 1, 1]))
    pairs[swap] = pairs[swap, ::-1]
    rows, inverse = np.unique(pairs.reshape(-1, 4), axis=0, return_inverse=True)
    return rows, np.bincount(inverse.ravel(), strengths, minlength=len(rows)).astype(np.float64)


@dataclass(frozen=True, eq=False)
class FrozenProducts(FrozenTerm):
    """Products (q, 4) with strengths K (q,), energy."""

    sites: IntArray
    strengths: FloatArray

    def energy(self, spins: FloatArray, lengths: FloatArray) -> float:
        """E = -sum K (s_a.s_b)(s_c.s_d)."""
        a, b, c, d = (spins[column] for column in self.sites.T)
        return -float(self.strengths @ (np.einsum("qx,qx->q", a, b) * np.einsum("qx,qx->q", c, d)))

    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """H_a = sum K (s_c.s_d) s_b over the products of a, likewise for b, c, d."""
        return _product_field(self.sites, self.strengths, np.ascontiguousarray(spins))

    def local_model(self, lengths: FloatArray) -> LocalModel:
        """The products."""
        return LocalModel(len(lengths), products=self.sites, product_strengths=self.strengths)


@dataclass(frozen=True, eq=False)
class FrozenLocalProducts(FrozenProducts, FrozenLocalTerm):
    """Products of a region, each at its first site."""

    def site_energies(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """-K (s_a.s_b)(s_c.s_d) at the sites a."""
        a, b, c, d = (spins[column] for column in self.sites.T)
        energies = self.strengths * np.einsum("qx,qx->q", a, b) * np.einsum("qx,qx->q", c, d)
        return np.asarray(-np.bincount(self.sites[:, 0], energies, minlength=len(spins)), dtype=np.float64)


@njit
def _product_field(sites: IntArray, strengths: FloatArray, spins: FloatArray) -> FloatArray:
    out = np.zeros_like(spins)
    for q in range(len(sites)):
        a, b, c, d = sites[q, 0], sites[q, 1], sites[q, 2], sites[q, 3]
        one, two = 0.0, 0.0
        for x in range(3):
            one += spins[a, x] * spins[b, x]
            two += spins[c, x] * spins[d, x]
        one *= strengths[q]
        two *= strengths[q]
        for x in range(3):
            out[a, x] += two * spins[b, x]
            out[b, x] += two * spins[a, x]
            out[c, x] += one * spins[d, x]
            out[d, x] += one * spins[c, x]
    return out


__all__ = ["FourSpin", "FrozenLocalProducts", "FrozenProducts", "ProductTerm", "RingExchange", "ThreeSite"]
