"""Exchange from the electrons of a magnet: tensors of pairs of sites, their parts, and the classical model they make."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms

from spinase.atoms import geometry_of, get_units, magnetic_sites
from spinase.calculators.bond_files import BondTableCalculator
from spinase.classical import BondTable, tensor_of
from spinase.classical.tensor import dmi_of
from spinase.electrons.response import SitePairs, SpinResponse
from spinase.errors import InvalidGeometryError, ModelError
from spinase.geometry import Bonds, Geometry, find_bonds, near_images, shortest_period, solid_cell
from spinase.shells import find_shells
from spinase.typing import FloatArray, IntArray

PARTS = ("isotropic", "dmi", "anisotropic")
"""What an exchange tensor is made of."""

_TIE = 1e-6  # relative difference of distances that are one


@dataclass(frozen=True, eq=False)
class CoupledPairs:
    """Pairs of magnetic sites up to some distance.

    Attributes
    ----------
    bonds : Bonds
        Each pair once, sites numbered as in the atoms.
    shell : (B,) int
        Neighbour shell of each, from 0.
    images : (B,) int
        How many equally near images of the second site there are in the magnet (or its mesh of k-points): each has that
        part of the response, which does not tell them apart.
    sites : (n,) int
        The magnetic sites.
    """

    bonds: Bonds
    shell: IntArray
    images: IntArray
    sites: IntArray

    def with_sites(self, site_of: IntArray) -> tuple[SitePairs, IntArray]:
        """Pairs of orbitals of the pairs, and then of every magnetic site with itself, and the pair that each belongs to.

        Parameters
        ----------
        site_of : (n,) int
            Site of every orbital (``FrozenHamiltonian.site_of``).
        """
        return SitePairs.of(self.bonds, self.sites).of_orbitals(site_of)


def coupled_pairs(atoms: Atoms, shells: int, cutoff: float | None, mesh: tuple[int, int, int]) -> CoupledPairs:
    """Pairs of the first `shells` neighbour shells of the magnetic sites, or of all distances up to `cutoff` (length).

    Parameters
    ----------
    atoms : Atoms
        With moments.
    shells : int
        Number of neighbour shells; counts where there is no cutoff.
    cutoff : float or None
        Length; every distance is then a shell of its own.
    mesh : (int, int, int)
        Repetitions of the cell in which sites are told apart: the mesh of k-points, or 1 1 1.

    Raises
    ------
    InvalidGeometryError
        If there are no such shells, or they reach images of a site that have a nearer one.
    ModelError
        For a number of shells below one, or no magnetic site.
    """
    sites = np.flatnonzero(magnetic_sites(atoms))
    if not len(sites):
        raise ModelError("exchange is between moments, and these atoms have none: set their moments")
    geometry = geometry_of(atoms).select(sites)
    if cutoff is None:
        if shells < 1:
            raise ModelError(f"shells must be a positive number of neighbour shells, got {shells}")
        found = find_shells(geometry, shells)
        bonds = find_bonds(geometry, found.reach)
        shell, inside = found.sort(bonds.distances)
        bonds, shell = bonds.select(inside), shell[inside]
    else:
        bonds = find_bonds(geometry, cutoff * (1.0 + 1e-9))
        order = np.argsort(bonds.distances, kind="stable")
        steps = np.diff(bonds.distances[order]) > _TIE * cutoff
        shell = np.empty(len(bonds), dtype=np.int64)
        shell[order] = np.concatenate([np.zeros(min(1, len(bonds)), dtype=np.int64), np.cumsum(steps)])
    images = _near_images(bonds, geometry, mesh)
    own = replace(bonds, first=sites[bonds.first], second=sites[bonds.second])
    return CoupledPairs(own, shell, images, sites)


def _near_images(bonds: Bonds, geometry: Geometry, mesh: tuple[int, int, int]) -> IntArray:
    """How many images of the second sites of bonds are as near, (B,)."""
    frame = (np.array(mesh)[:, None] * geometry.cell)[geometry.pbc]
    if bonds.distances.max(initial=0.0) < (0.5 - _TIE) * shortest_period(frame):
        return np.ones(len(bonds), dtype=np.int64)
    images = np.linalg.norm(bonds.vectors[:, None] + near_images(bonds.vectors, frame) @ frame, axis=2)
    for b in np.flatnonzero(images.min(axis=1, initial=np.inf) < (1.0 - _TIE) * bonds.distances)[:1]:
        raise InvalidGeometryError(
            f"a pair of sites {bonds.distances[b]:.5g} apart has an image {images[b].min():.5g} apart, and the response "
            "does not tell images apart: ask for fewer shells, or take a larger cell (or, with k-points, a finer mesh)"
        )
    return np.asarray(np.count_nonzero(images <= (1.0 + _TIE) * bonds.distances[:, None], axis=1))


@dataclass(frozen=True, eq=False)
class ShellExchange:
    """Averages over the pairs of neighbour shells.

    Attributes
    ----------
    distances : (n,)
        Mean distance, length.
    pairs : (n,) int
        Number of pairs.
    isotropic, spread : (n,)
        Mean of J and its standard deviation among the pairs, energy.
    dmi : (n,)
        Root mean square of |D|, energy.
    """

    distances: FloatArray
    pairs: IntArray
    isotropic: FloatArray
    spread: FloatArray
    dmi: FloatArray


@dataclass(frozen=True, eq=False)
class ExchangeTensors:
    """Exchange between pairs of sites, J_ij = -d2F/ds_i ds_j for unit spins: each pair once, energy -s_i.J_ij s_j.

    This is the convention of :class:`~spinase.calculators.HeisenbergCalculator` (J > 0: ferromagnetic; no factor 2, no
    pair twice) and :class:`~spinase.classical.BondTable`.  F is the free energy whose gradients the fields are: the grand
    potential at a fixed chemical potential, F at a filling.  Fields of spins of any length are meant, so the tensors
    hold longitudinal parts, too.

    Attributes
    ----------
    atoms : Atoms
        The magnet with the spins that the tensors belong to.
    bonds : Bonds
        The pairs: ``first``, ``second``, ``shifts`` (cell of the second site), ``vectors``, ``distances``.
    shell : (B,) int
        Neighbour shell of each pair, from 0.
    tensors : (B, 3, 3)
        J_ij, energy: J_ij^ab belongs to s_i^a s_j^b, and J_ji is the transpose.
    isotropic : (B,)
        J, the exchange of Liechtenstein et al., energy: the coefficient of the unit matrix, in a collinear magnet that
        between transverse deviations, from which its magnons follow.
    onsite : (N, 3, 3)
        -d2F/ds_i ds_i, energy; zero on sites without a moment.
    """

    atoms: Atoms
    bonds: Bonds
    shell: IntArray
    tensors: FloatArray
    isotropic: FloatArray
    onsite: FloatArray

    @classmethod
    def of(
        cls, atoms: Atoms, pairs: CoupledPairs, coupling: FloatArray, site_of: IntArray, response: SpinResponse
    ) -> ExchangeTensors:
        """From the response of the electrons, whose exchange vectors are -J_a s_i with `coupling` J_a (n,), energy.

        J_ij = -sum_ab J_a J_b d2F/db_a db_b over the orbitals a of i and b of j.

        Parameters
        ----------
        atoms : Atoms
            The magnet.
        pairs : CoupledPairs
            Its pairs.
        coupling : (n,) ndarray
            J_a of every orbital, energy.
        site_of : (n,) int
            Its site.
        response : SpinResponse
            Of ``pairs.with_sites(site_of)``.
        """
        every, count = response.pairs, len(pairs.bonds)
        owner = pairs.with_sites(site_of)[1]
        scale = -coupling[every.first] * coupling[every.second]
        tensors, isotropic = np.zeros((count + len(pairs.sites), 3, 3)), np.zeros(count + len(pairs.sites))
        np.add.at(tensors, owner, scale[:, None, None] * response.curvatures())
        np.add.at(isotropic, owner, scale * response.isotropic())
        onsite = np.zeros((len(atoms), 3, 3))
        onsite[pairs.sites] = tensors[count:]
        tensors, isotropic = tensors[:count] / pairs.images[:, None, None], isotropic[:count] / pairs.images
        return cls(atoms.copy(), pairs.bonds, pairs.shell, tensors, isotropic, onsite)

    def __len__(self) -> int:
        return len(self.bonds)

    def __repr__(self) -> str:
        mean, units = self.by_shell(), get_units(self.atoms)
        sites = int(magnetic_sites(self.atoms).sum())
        lines = [f"ExchangeTensors({len(self)} pairs of {sites} sites; J > 0 ferromagnetic, each pair once)"]
        for n in range(len(mean.distances)):
            if n == 8:
                lines.append(f"  ... {len(mean.distances) - n} more shells")
                break
            lines.append(
                f"  {mean.distances[n]:8.4f} {units.length}: J = {mean.isotropic[n]:+.4e} +- {mean.spread[n]:.1e}, "
                f"|D| = {mean.dmi[n]:.1e} {units.energy} ({mean.pairs[n]} pairs)"
            )
        return "\n".join(lines)

    @property
    def distances(self) -> FloatArray:
        """Distance of each pair, (B,), length."""
        return self.bonds.distances

    @property
    def dmi(self) -> FloatArray:
        """D of each pair, (B, 3), energy: -D.(s_i x s_j), the odd part of the tensor."""
        return dmi_of(self.tensors)

    @property
    def anisotropic(self) -> FloatArray:
        """What is left of the tensors, even, (B, 3, 3), energy; in a ferromagnet along z its zz element, longitudinal."""
        even = 0.5 * (self.tensors + self.tensors.transpose(0, 2, 1))
        return np.asarray(even - self.isotropic[:, None, None] * np.eye(3))

    def by_shell(self) -> ShellExchange:
        """Averages over the pairs of each neighbour shell."""
        count = np.bincount(self.shell)

        def mean(values: FloatArray) -> FloatArray:
            """Averages of numbers of pairs, shell by shell."""
            return np.asarray(np.bincount(self.shell, values) / count)

        average = mean(self.isotropic)
        spread = np.sqrt(mean((self.isotropic - average[self.shell]) ** 2))
        return ShellExchange(mean(self.distances), count, average, spread, np.sqrt(mean(np.sum(self.dmi**2, axis=1))))

    def table(self, parts: Collection[str] = ("isotropic", "dmi")) -> BondTable:
        """The tensors, or `parts` of them, as a table of bonds, which the writers of :mod:`spinase.io.exchange` take.

        Parameters
        ----------
        parts : collection of str
            Of ``"isotropic"``, ``"dmi"`` and ``"anisotropic"``.  The last one has longitudinal parts and what a texture
            without spin-orbit coupling owes to couplings of more than two spins: as a model of spins of fixed length it
            may have anisotropy that the electrons do not have.

        Raises
        ------
        ModelError
            For another part.
        """
        unknown = sorted(set(parts) - set(PARTS))
        if unknown or isinstance(parts, str):
            raise ModelError(f"parts must be some of {', '.join(PARTS)}, got {parts!r}")
        exchange = self.isotropic if "isotropic" in parts else np.zeros(len(self))
        tensors = tensor_of(
            exchange, self.dmi if "dmi" in parts else None, self.anisotropic if "anisotropic" in parts else None
        )
        geometry = geometry_of(self.atoms)
        cell = geometry.cell if geometry.volume > 0.0 else solid_cell(geometry, float(self.distances.max(initial=1.0)))
        bonds = self.bonds
        return BondTable(geometry.positions, cell, bonds.first, bonds.second, bonds.shifts, tensors)

    def to_calculator(self, parts: Collection[str] = ("isotropic", "dmi")) -> BondTableCalculator:
        """The classical model -sum_pairs s_i.J_ij s_j, on this magnet or any repetition of it.

        Parameters
        ----------
        parts : collection of str
            As in :meth:`table`.
        """
        return BondTableCalculator(self.table(parts), units=get_units(self.atoms).name)


__all__ = ["CoupledPairs", "ExchangeTensors", "ShellExchange", "coupled_pairs"]
