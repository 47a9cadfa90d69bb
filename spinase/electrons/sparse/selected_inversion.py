"""Selected inversion: the entries of (H - p)^-1 on the pattern of H, for many complex p at once.

Multifrontal elimination along an :class:`~spinase.electrons.sparse.elimination.EliminationTree`.  A front holds the own
orbitals I and the border B of a supernode:

    up the tree     X = F_II^-1,  W = X F_IB,  V = F_BI X,  F_BB - F_BI W goes to the parent,
    down the tree   G_IB = -W G_BB,  G_BI = -G_BB V,  G_II = X - G_IB V,  with G_BB from the parent.

No pivoting: for Im p != 0 the imaginary part of H - p is definite, that of every Schur complement is too, and no pivot is
zero (A. George, Kh. D. Ikramov, A. B. Kucherov, SIAM J. Matrix Anal. Appl. 24, 597 (2002)).
Source: L. Lin et al., ACM Trans. Math. Softw. 37, 40 (2011).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spinase.compiled.threads import default_threads, map_threads
from spinase.electrons.operator import SpinOperator
from spinase.electrons.sparse.elimination import EliminationTree
from spinase.electrons.sparse.fronts import (
    assemble,
    assemble_blocks,
    collect_bond_blocks,
    collect_bonds,
    collect_sites,
    gather,
    invert_small,
    scatter_add,
)
from spinase.typing import BoolArray, ComplexArray, ComplexBlocks, IntArray

_Kept = tuple[ComplexBlocks, ComplexBlocks, ComplexBlocks]
_CHUNK_BYTES = 512 * 1024**2  # what is kept between the sweeps, for all poles that go together
_SMALL = 32  # blocks up to this size are inverted by a kernel, larger ones by halves


@dataclass(frozen=True, eq=False)
class Inverse:
    """Entries of (H - p_k)^-1, k = 0..K-1.

    Attributes
    ----------
    sites : (K, N, 2, 2) complex
        Site blocks.
    bonds : (K, n_bonds, 2) complex
        Sums over spin of the entries (first, second) and (second, first) of every bond; empty if not asked for.  For open
        systems and hopping that turns spins (K, n_bonds, 2, 2, 2): the spin blocks themselves.
    log_determinants : (K,) complex
        sum_n ln(e_n - p_k) over the levels, with principal logarithms.
    """

    sites: ComplexBlocks
    bonds: ComplexBlocks
    log_determinants: ComplexArray

    def trace(self) -> ComplexBlocks:
        """Tr (H - p_k)^-1, (K,)."""
        return np.einsum("kiaa->k", self.sites.astype(np.complex128))


@dataclass(frozen=True, eq=False)
class _Step:
    """Index lists of one supernode."""

    own: IntArray
    size: int  # orbitals of the front
    bonds: IntArray  # bonds whose first eliminated end is here
    rows: IntArray  # their local sites
    columns: IntArray
    parent: int
    places: IntArray  # border orbitals in the parent's front
    extras: tuple[_Extra, ...]


@dataclass(frozen=True, eq=False)
class _Extra:
    """The part of a clique's self-energy that is added in one front."""

    clique: int
    orbitals: IntArray  # of the clique, those that are still there
    places: IntArray  # in the front
    new: BoolArray  # pairs of which one is eliminated here


@dataclass(frozen=True, eq=False)
class SelfEnergies:
    """Retarded self-energies of an open system.

    Attributes
    ----------
    local : (N, 2, 2) complex
        Site blocks, the same at all energies.
    dense : list of (K, 2c, 2c) complex
        One for each clique, at the K energies.
    """

    local: ComplexBlocks
    dense: list[ComplexBlocks]


class SelectedInversion:
    """The elimination of one sparsity pattern, prepared once, run for any values.

    Parameters
    ----------
    tree : EliminationTree
        It must cover the bonds.
    first, second : (n_bonds,) int
        Bonds of the operators to come.
    cliques : sequence of (c,) int
        Sets of sites on which dense self-energies will be added; the tree must cover all their pairs.
    """

    def __init__(self, tree: EliminationTree, first: IntArray, second: IntArray, cliques: Sequence[IntArray] = ()) -> None:
        self.tree = tree
        self._steps = _plan(tree, first, second, cliques)

    def solve(
        self,
        operator: SpinOperator,
        poles: ComplexBlocks,
        bonds: bool = True,
        self_energies: SelfEnergies | None = None,
    ) -> Inverse:
        """Entries of (H + Sigma - p)^-1 on the pattern, for `poles` (K,) with nonzero imaginary part, in their precision.

        With self-energies Im p > 0; with them, and with spin-orbit hopping, ``bonds`` of the result are 2x2 blocks (see
        :class:`Inverse`).

        Parameters
        ----------
        operator : SpinOperator
            H on the pattern of the tree, energy.
        poles : (K,) complex64 or complex128
            p, energy.
        bonds : bool
            Whether entries of bonds are asked for.
        self_energies : SelfEnergies, optional
            Sigma at the K poles, energy.
        """
        blocks = site_blocks(operator) + (0.0 if self_energies is None else self_energies.local)
        blocks, hopping = blocks.astype(poles.dtype), operator.bond_entries().astype(poles.dtype)
        dense = [] if self_energies is None else [sigma.astype(poles.dtype) for sigma in self_energies.dense]
        scalar = self_energies is None and hopping.ndim == 1
        entries = (len(hopping) if bonds else 0, 2, *(() if scalar else (2, 2)))
        kept = self.tree.storage() * poles.itemsize
        threads = min(default_threads(), len(poles))
        rounds = int(np.ceil(len(poles) * kept / _CHUNK_BYTES))

        def run(part: IntArray) -> Inverse:
            """Some of the poles."""
            kept, logs = self.eliminate(blocks, hopping, poles[part], [sigma[part] for sigma in dense])
            bond_entries = np.empty((len(part), *entries), dtype=poles.dtype)
            return Inverse(self._descend(kept, len(blocks), bond_entries), bond_entries, logs)

        chunks = map_threads(run, np.array_split(np.arange(len(poles)), min(len(poles), threads * rounds)), threads)
        return Inverse(
            sites=np.concatenate([chunk.sites for chunk in chunks]),
            bonds=np.concatenate([chunk.bonds for chunk in chunks]),
            log_determinants=np.concatenate([chunk.log_determinants for chunk in chunks]),
        )

    def eliminate(
        self, blocks: ComplexBlocks, hopping: ComplexBlocks, poles: ComplexBlocks, dense: list[ComplexBlocks]
    ) -> tuple[list[_Kept], ComplexArray]:
        """Eliminate from the leaves up: what the way down needs, and the log determinants.

        Parameters
        ----------
        blocks : (N, 2, 2) ndarray
            Site blocks of the operator, energy.
        hopping : (b,) or (b, 2, 2) ndarray
            On its bonds, energy; blocks where they turn spins.
        poles : (k,) ndarray
            p, energy.
        dense : list of (k, ...) ndarray
            Self-energies of lattice leads at the poles, energy.
        """
        kept: list[_Kept] = []
        logs = np.zeros(len(poles), dtype=np.complex128)
        pending: list[list[tuple[IntArray, ComplexBlocks]]] = [[] for _ in self._steps]
        fill = assemble if hopping.ndim == 1 else assemble_blocks
        for step in self._steps:
            front = np.zeros((len(poles), step.size, step.size), dtype=poles.dtype)
            fill(front, poles, blocks[step.own], step.rows, step.columns, hopping[step.bonds])
            for extra in step.extras:
                part = dense[extra.clique][:, extra.orbitals[:, None], extra.orbitals]
                scatter_add(front, part * extra.new, extra.places)
            for places, update in pending[len(kept)]:
                scatter_add(front, update, places)
            pending[len(kept)].clear()
            own = 2 * len(step.own)
            inverse = invert(front[:, :own, :own], logs)
            right, lower = inverse @ front[:, :own, own:], front[:, own:, :own]
            if step.parent >= 0:
                pending[step.parent].append((step.places, front[:, own:, own:] - lower @ right))
            kept.append((inverse, right, lower @ inverse))
        return kept, logs

    def _descend(self, kept: list[_Kept], sites: int, bond_entries: ComplexBlocks) -> ComplexBlocks:
        """Entries of the inverse from the root down: the site blocks; those of bonds are filled in."""
        count, kind = len(bond_entries), bond_entries.dtype
        site_entries = np.empty((count, sites, 2, 2), dtype=kind)
        fronts: dict[int, ComplexBlocks] = {}
        waiting = np.bincount([step.parent + 1 for step in self._steps], minlength=len(self._steps) + 1)[1:]
        for n in range(len(self._steps) - 1, -1, -1):
            step = self._steps[n]
            inverse, right, left = kept.pop()
            own = 2 * len(step.own)
            front = np.empty((count, step.size, step.size), dtype=kind)
            if step.size > own:
                corner = np.empty((count, step.size - own, step.size - own), dtype=kind)
                gather(fronts[step.parent], step.places, corner)
                beside = right @ corner
                front[:, :own, :own] = inverse + beside @ left
                np.negative(beside, out=front[:, :own, own:])
                np.negative(corner @ left, out=front[:, own:, :own])
                front[:, own:, own:] = corner
                waiting[step.parent] -= 1
                if not waiting[step.parent]:
                    del fronts[step.parent]
            else:
                front[:] = inverse
            collect_sites(front, step.own, site_entries)
            if bond_entries.shape[1]:
                collect = collect_bonds if bond_entries.ndim == 3 else collect_bond_blocks
                collect(front, step.bonds, step.rows, step.columns, bond_entries)
            if waiting[n]:
                fronts[n] = front
        return site_entries


def invert(matrices: ComplexBlocks, logs: ComplexArray) -> ComplexBlocks:
    """Inverses (K, n, n) of matrices with definite imaginary part, by halves: nearly all of it is multiplication.

    The logarithms of the determinants (see :func:`~spinase.electrons.sparse.fronts.invert_small`) are added to `logs`.
    """
    size = matrices.shape[-1]
    if size <= _SMALL:
        result = np.empty(matrices.shape, dtype=matrices.dtype)
        invert_small(np.ascontiguousarray(matrices), result, logs)
        return result
    half = size // 2
    a, b = matrices[:, :half, :half], matrices[:, :half, half:]
    c, d = matrices[:, half:, :half], matrices[:, half:, half:]
    corner = invert(a, logs)
    right, left = corner @ b, c @ corner
    rest = invert(d - c @ right, logs)
    result = np.empty(matrices.shape, dtype=matrices.dtype)
    upper = right @ rest
    result[:, :half, :half] = corner + upper @ left
    np.negative(upper, out=result[:, :half, half:])
    np.negative(rest @ left, out=result[:, half:, :half])
    result[:, half:, half:] = rest
    return result


def site_blocks(operator: SpinOperator) -> ComplexArray:
    """The 2x2 site blocks onsite + exchange . sigma, (N, 2, 2)."""
    x, y, z = operator.exchange.T
    blocks = np.empty((len(operator), 2, 2), dtype=np.complex128)
    blocks[:, 0, 0], blocks[:, 1, 1] = operator.onsite + z, operator.onsite - z
    blocks[:, 0, 1], blocks[:, 1, 0] = x - 1j * y, x + 1j * y
    return blocks


def _extras(members: IntArray, own: int, home: IntArray, n: int, cliques: Sequence[IntArray]) -> tuple[_Extra, ...]:
    """What the cliques add to front n with sites `members`, the first `own` of them its own."""
    found = []
    for k, clique in enumerate(cliques):
        if not np.any(home[clique] == n):
            continue
        left = np.flatnonzero(home[clique] >= n)
        where = {site: place for place, site in enumerate(members.tolist())}
        local = np.array([where[site] for site in clique[left].tolist()], dtype=np.int64)
        mine = np.repeat(local < own, 2)
        found.append(_Extra(k, _orbitals(left), _orbitals(local), mine[:, None] | mine))
    return tuple(found)


def _orbitals(sites: IntArray) -> IntArray:
    return np.stack([2 * sites, 2 * sites + 1], axis=1).ravel()


def _plan(tree: EliminationTree, first: IntArray, second: IntArray, cliques: Sequence[IntArray]) -> list[_Step]:
    home = np.empty(tree.sites, dtype=np.int64)
    for n, node in enumerate(tree.nodes):
        home[node.own] = n
    owner = np.minimum(home[first], home[second])
    by_node = np.argsort(owner, kind="stable")
    cuts = np.searchsorted(owner[by_node], np.arange(len(tree.nodes) + 1))
    local = np.empty(tree.sites, dtype=np.int64)
    steps = []
    for n, node in enumerate(tree.nodes):
        members = np.concatenate([node.own, node.border])
        local[members] = np.arange(len(members))
        bonds = by_node[cuts[n] : cuts[n + 1]]
        rows, columns = local[first[bonds]], local[second[bonds]]
        places = np.empty(0, dtype=np.int64)
        if node.parent >= 0:
            above = tree.nodes[node.parent]
            local[np.concatenate([above.own, above.border])] = np.arange(len(above.own) + len(above.border))
            places = _orbitals(local[node.border])
        extras = _extras(members, len(node.own), home, n, cliques)
        steps.append(_Step(node.own, 2 * len(members), bonds, rows, columns, node.parent, places, extras))
    return steps
