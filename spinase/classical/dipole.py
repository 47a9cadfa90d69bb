"""Dipole-dipole interaction, E = C sum_{i<j} [m_i.m_j/r^3 - 3 (m_i.r)(m_j.r)/r^5].

Lattices of any boundaries: fast Fourier transforms (:mod:`spinase.classical.lattice_dipole`).  Other magnets: all pairs for
open boundaries, Ewald sums for periodic ones (S. W. de Leeuw, J. W. Perram, E. R. Smith, Proc. R. Soc. A 373, 27 (1980)):
conducting surroundings, plus the energy of a given shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import ClassVar

import numpy as np
from scipy.optimize import brentq
from scipy.spatial import cKDTree

from spinase.classical.dipole_kernels import screened
from spinase.classical.dipole_sum import DipoleSum
from spinase.classical.lattice_dipole import LatticeDipole
from spinase.classical.lattice_sites import lattice_sites
from spinase.classical.terms import Term, pull_on_bonds
from spinase.compiled import njit
from spinase.errors import InvalidGeometryError
from spinase.geometry import Bonds, Geometry, NeighbourCache
from spinase.typing import FloatArray, IntArray

_KEPT_PHASES = 20_000_000  # cos and sin of so many waves times sites are kept while positions stay (320 MB)
_BLOCK_PHASES = 2_000_000
_TRANSFORMED = 256  # sites of a lattice from which on transforms are used
_BASIS = 32  # sites of a cell they are used for
_WASTE = 8.0  # places of the lattice for each site


@dataclass(frozen=True, eq=False)
class Dipole(Term):
    """Dipole-dipole interaction of the moments.

    Attributes
    ----------
    strength : float
        C = mu_0/(4 pi) in the units of the atoms, energy length^3/moment^2.
    demagnetization : (3,) or None
        Demagnetizing factors N_a of the sample's shape (a sphere: 1/3 each; a film: 0, 0, 1), which add the energy
        2 pi C/V sum_a N_a M_a^2; None: no surface (zero).
    accuracy : float
        Bound of the neglected parts of the Ewald sums, between 0 and 1, relative to aligned moments of the largest length m
        at the mean density n of sites, B0 = 4 pi/3 C n m: fields B0, energy N m B0/2 (both exact for a cubic ferromagnet),
        forces m B0 n^(1/3).  It holds for coherent (ferromagnetic) sums; those of other states are smaller.
    dtype : str
        Precision of transforms of lattices: ``"float64"``, or ``"float32"`` (1e-6 of the fields, 0.6 of the time).
    """

    not_local: ClassVar[str] = (
        "dipoles reach to infinity (all pairs, or Ewald sums): use a long-range solver of the distributed engine"
    )
    strength: float
    demagnetization: FloatArray | None = None
    accuracy: float = 1e-10
    dtype: str = "float64"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "_neighbours", NeighbourCache())

    def freeze(self, geometry: Geometry) -> FrozenDipole | OpenDipole | LatticeDipole:
        """Interactions on a geometry: by transforms on lattices of many sites and on films and wires.

        Raises
        ------
        InvalidGeometryError
            If two sites coincide, or some directions are periodic and others are not, and the sites are no lattice.
        """
        mixed = bool(geometry.pbc.any() and not geometry.pbc.all())
        if mixed or len(geometry) >= _TRANSFORMED:
            found = lattice_sites(geometry, _BASIS, _WASTE)
            if found is not None:
                direct = None if mixed else partial(self._direct, geometry)
                volume = geometry.volume if geometry.pbc.all() else np.inf
                return LatticeDipole(self.strength, found, self._shape() / volume, direct, self.dtype)
        if mixed:
            raise InvalidGeometryError(
                f"dipoles with boundaries that are periodic in some directions only, pbc = {geometry.pbc.tolist()}, need "
                f"the sites of a lattice (or at most {_BASIS} sites): put vacuum into a fully periodic cell and give "
                "demagnetization = (0, 0, 1)"
            )
        return self._direct(geometry)

    def _direct(self, geometry: Geometry) -> FrozenDipole | OpenDipole:
        """Pair by pair."""
        if geometry.pbc.all():
            return self._ewald(geometry)
        _refuse_coinciding(geometry)
        return OpenDipole(self.strength, np.ascontiguousarray(geometry.positions))

    def _ewald(self, geometry: Geometry) -> FrozenDipole:
        """Real and reciprocal sums of about equal cost, each cut where half the accuracy is left."""
        sites, volume = max(len(geometry), 1), geometry.volume
        splitting = np.sqrt(np.pi) * (5.0 * sites / volume**2) ** (1.0 / 6.0)
        distance, wave = _cutoffs(geometry.cell, sites / volume, splitting, 0.5 * self.accuracy)
        bonds: Bonds = self._neighbours.bonds(geometry, distance)  # type: ignore[attr-defined]
        waves = _waves(geometry.cell, wave)
        return FrozenDipole(
            self.strength,
            splitting,
            volume,
            geometry.positions,
            bonds,
            waves,
            self._shape(),
            *screened(bonds.distances, splitting),
        )

    def _shape(self) -> FloatArray:
        return np.zeros(3) if self.demagnetization is None else self.demagnetization


def _refuse_coinciding(geometry: Geometry) -> None:
    if not len(geometry):
        return
    extent = float(np.ptp(geometry.positions, axis=0).max())
    pairs = cKDTree(geometry.positions).query_pairs(1e-9 * max(extent, 1.0))
    if pairs:
        i, j = min(pairs)
        raise InvalidGeometryError(f"sites {i} and {j} coincide (at {geometry.positions[i]}): remove one or move them apart")


def _cutoffs(cell: FloatArray, density: float, a: float, accuracy: float) -> tuple[float, float]:
    """Distance and wavevector beyond which aligned moments would add `accuracy`, relative as in :class:`Dipole`.

    All neglected terms are taken with one sign, as in a ferromagnet; the usual estimates (J. Kolafa, J. W. Perram, Mol.
    Simul. 9, 351 (1992); Z. Wang, C. Holm, J. Chem. Phys. 115, 6351 (2001)) take random phases.
    """
    spacing, scale = density ** (-1.0 / 3.0), 4.0 * np.pi / 3.0 * density
    reciprocal = np.asarray(2.0 * np.pi * np.linalg.inv(cell).T)

    def real(x: float) -> float:
        """What pairs beyond the distance x/a would add, relative to `scale`."""
        r = x / a
        b, c, _ = screened(np.array(r), a)
        gauss = 4.0 * a**3 / np.sqrt(np.pi) * np.exp(-(x**2))  # largest eigenvalues of the interaction and of its gradient
        worst = max(2.0 * b + gauss, spacing * r * (2.0 * c + 2.0 * a**2 * gauss))
        return float(worst * _beyond(r, density, 0.5 / (a * x), _shell_gap(cell, spacing, r)))

    def waves(x: float) -> float:
        """What waves beyond the wavevector 2 a x would add."""
        k = 2.0 * a * x
        worst = 4.0 * np.pi * density * np.exp(-(x**2)) * max(1.0, spacing * k)
        gap = _shell_gap(reciprocal, 2.0 * np.pi / spacing, k)
        return float(worst * _beyond(k, 1.0 / (8.0 * np.pi**3 * density), a / x, gap))

    return _solve(real, accuracy * scale) / a, 2.0 * a * _solve(waves, accuracy * scale)


def _beyond(radius: float, density: float, decay: float, gap: float) -> float:
    """Number of points that count beyond a radius: those of a continuum within `decay`, and one shell of a lattice."""
    return 4.0 * np.pi * density * radius**2 * (decay + gap)


def _shell_gap(cell: FloatArray, spacing: float, radius: float) -> float:
    """Gap between the shells of a lattice, spacing^2/(2 r) for cubes (r^2 = 1, 2, 3, ...), wider for elongated cells."""
    diagonal = float(np.linalg.norm(cell)) / abs(float(np.linalg.det(cell))) ** (1.0 / 3.0)
    return min(diagonal**2 / 3.0, 5.0) * spacing**2 / (2.0 * radius)  # large cells are filled evenly whatever their shape


def _solve(tail: Callable[[float], float], bound: float) -> float:
    """The x in (0.5, 20) where a falling tail reaches the bound."""
    if tail(0.5) <= bound:
        return 0.5
    return float(brentq(lambda x: np.log(tail(x) / bound), 0.5, 20.0, xtol=1e-3))


def _waves(cell: FloatArray, longest: float) -> FloatArray:
    """Reciprocal vectors up to `longest`, one of each pair k, -k, without zero, (n, 3)."""
    reciprocal = 2.0 * np.pi * np.linalg.inv(cell).T
    limit = np.ceil(longest * np.linalg.norm(cell, axis=1) / (2.0 * np.pi)).astype(int)
    steps = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in limit), indexing="ij"), axis=-1).reshape(-1, 3)
    half = steps[len(steps) // 2 + 1 :]
    waves = half @ reciprocal
    return np.asarray(waves[np.linalg.norm(waves, axis=1) <= longest])


@dataclass(frozen=True, eq=False)
class FrozenDipole(DipoleSum):
    """Ewald sum on a periodic geometry."""

    strength: float
    splitting: float
    volume: float
    positions: FloatArray
    bonds: Bonds
    waves: FloatArray
    shape: FloatArray
    first_order: FloatArray
    second_order: FloatArray
    third_order: FloatArray

    def _weights(self, waves: FloatArray) -> FloatArray:
        """8 pi/V exp(-k^2/4a^2)/k^2 of each wave (both signs of k)."""
        square = np.einsum("ka,ka->k", waves, waves)
        return np.asarray(8.0 * np.pi / self.volume * np.exp(-square / (4.0 * self.splitting**2)) / square)

    @cached_property
    def _kept(self) -> list[tuple[FloatArray, FloatArray, FloatArray]] | None:
        """Waves with cos and sin of k.r, kept if they fit into memory."""
        fits = len(self.waves) * len(self.positions) <= _KEPT_PHASES
        return list(self._compute_phases()) if fits else None

    def _compute_phases(self) -> Iterator[tuple[FloatArray, FloatArray, FloatArray]]:
        block = max(1, _BLOCK_PHASES // max(1, len(self.positions)))
        for start in range(0, len(self.waves), block):
            waves = self.waves[start : start + block]
            angle = waves @ self.positions.T
            yield waves, np.cos(angle), np.sin(angle)

    def _phases(self) -> Iterable[tuple[FloatArray, FloatArray, FloatArray]]:
        return self._compute_phases() if self._kept is None else self._kept

    def _reciprocal(self, moments: FloatArray, forces: bool = False) -> tuple[FloatArray, FloatArray, FloatArray]:
        """dE/dm (N, 3), forces (N, 3) (zero unless asked), and w |sum (k.m) exp(ikr)|^2 of each wave."""
        gradient, pulled, powers = np.zeros_like(moments), np.zeros_like(moments), []
        for waves, cosines, sines in self._phases():
            weights = self._weights(waves)
            even = np.einsum("ka,ka->k", waves, cosines @ moments)
            odd = np.einsum("ka,ka->k", waves, sines @ moments)
            powers.append(weights * (even**2 + odd**2))
            even, odd = (weights * even)[:, None] * waves, (weights * odd)[:, None] * waves
            gradient += cosines.T @ even + sines.T @ odd
            if forces:  # sum_k k (k.m_i) w (C sin - S cos)
                along = waves @ moments.T
                pulled += (along * sines).T @ even - (along * cosines).T @ odd
        return gradient, pulled, np.concatenate([np.zeros(0), *powers])

    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """H_i = mu_i B_i."""
        return lengths[:, None] * self._field(lengths[:, None] * spins)

    def _field(self, moments: FloatArray) -> FloatArray:
        out = _real_field(
            self.bonds.first,
            self.bonds.second,
            self.bonds.vectors,
            self.first_order,
            self.second_order,
            np.ascontiguousarray(moments),
        )
        out -= self._reciprocal(moments)[0]
        out += 4.0 * self.splitting**3 / (3.0 * np.sqrt(np.pi)) * moments
        out -= 4.0 * np.pi / self.volume * self.shape * moments.sum(axis=0)
        return self.strength * out

    def lattice(self, spins: FloatArray, lengths: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Forces of both sums; the virial also has the change of the volume and of the waves."""
        moments = lengths[:, None] * spins
        forces, virial = pull_on_bonds(self.bonds, _tension(self, moments), len(spins))
        gradient, pulled, powers = self._reciprocal(moments, forces=True)
        virial = virial + self._wave_virial(powers) - gradient.T @ moments
        shape_energy = 2.0 * np.pi / self.volume * float(self.shape @ moments.sum(axis=0) ** 2)
        return self.strength * (forces + pulled), self.strength * (virial - shape_energy * np.eye(3))

    def _wave_virial(self, powers: FloatArray) -> FloatArray:
        """Part of the virial from the lengths of the waves and the volume; moments stay as the cell deforms."""
        square = np.einsum("ka,ka->k", self.waves, self.waves)
        radial = powers * (1.0 / (2.0 * self.splitting**2) + 2.0 / square)
        return np.asarray(0.5 * np.einsum("k,ka,kb->ab", radial, self.waves, self.waves) - 0.5 * powers.sum() * np.eye(3))


def _tension(frozen: FrozenDipole, moments: FloatArray) -> FloatArray:
    """dE/d(bond vector) of the real-space part, (n, 3)."""
    one, two, r = moments[frozen.bonds.first], moments[frozen.bonds.second], frozen.bonds.vectors
    a, b = np.einsum("ba,ba->b", one, r), np.einsum("ba,ba->b", two, r)
    along = -frozen.second_order * np.einsum("ba,ba->b", one, two) + frozen.third_order * a * b
    return np.asarray(along[:, None] * r - frozen.second_order[:, None] * (one * b[:, None] + two * a[:, None]))


@dataclass(frozen=True, eq=False)
class OpenDipole(DipoleSum):
    """All pairs of an open geometry."""

    strength: float
    positions: FloatArray

    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """H_i = mu_i B_i."""
        moments = lengths[:, None] * spins
        return self.strength * lengths[:, None] * _open_field(self.positions, moments)

    def lattice(self, spins: FloatArray, lengths: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Forces and virial of all pairs."""
        forces, virial = _open_forces(self.positions, lengths[:, None] * spins)
        return self.strength * forces, self.strength * virial


@njit
def _real_field(
    first: IntArray, second: IntArray, vectors: FloatArray, b: FloatArray, c: FloatArray, moments: FloatArray
) -> FloatArray:
    out = np.zeros_like(moments)
    for k in range(len(first)):
        i, j = first[k], second[k]
        x, y, z = vectors[k, 0], vectors[k, 1], vectors[k, 2]
        at_i = c[k] * (moments[j, 0] * x + moments[j, 1] * y + moments[j, 2] * z)
        at_j = c[k] * (moments[i, 0] * x + moments[i, 1] * y + moments[i, 2] * z)
        for a in range(3):
            out[i, a] += at_i * vectors[k, a] - b[k] * moments[j, a]
            out[j, a] += at_j * vectors[k, a] - b[k] * moments[i, a]
    return out


@njit
def _open_field(positions: FloatArray, moments: FloatArray) -> FloatArray:
    out = np.zeros_like(moments)
    r = np.empty(3)
    for i in range(len(positions)):
        for j in range(i):
            square = 0.0
            for a in range(3):
                r[a] = positions[j, a] - positions[i, a]
                square += r[a] * r[a]
            b = 1.0 / (square * np.sqrt(square))
            at_i = 3.0 * b / square * (moments[j, 0] * r[0] + moments[j, 1] * r[1] + moments[j, 2] * r[2])
            at_j = 3.0 * b / square * (moments[i, 0] * r[0] + moments[i, 1] * r[1] + moments[i, 2] * r[2])
            for a in range(3):
                out[i, a] += at_i * r[a] - b * moments[j, a]
                out[j, a] += at_j * r[a] - b * moments[i, a]
    return out


@njit
def _open_forces(positions: FloatArray, moments: FloatArray) -> tuple[FloatArray, FloatArray]:
    forces, virial, r = np.zeros_like(positions), np.zeros((3, 3)), np.empty(3)
    for i in range(len(positions)):
        for j in range(i):
            square, dot, one, two = 0.0, 0.0, 0.0, 0.0
            for a in range(3):
                r[a] = positions[j, a] - positions[i, a]
                square += r[a] * r[a]
                dot += moments[i, a] * moments[j, a]
                one += moments[i, a] * r[a]
                two += moments[j, a] * r[a]
            fifth = 1.0 / (square * square * np.sqrt(square))
            along = -3.0 * dot * fifth + 15.0 * one * two * fifth / square
            for a in range(3):
                tension = along * r[a] - 3.0 * fifth * (moments[i, a] * two + moments[j, a] * one)
                forces[i, a] += tension
                forces[j, a] -= tension
                for c in range(3):
                    virial[a, c] += tension * r[c]
    return forces, virial
