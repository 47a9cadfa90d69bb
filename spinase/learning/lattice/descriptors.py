"""Invariants of a surrounding: products of forms that neither the point group, nor spin rotations, nor time reversal change.

With forms f (bonds) and g (chiralities) of irreducible representations, copy by copy:

- trivial copies of f, as they are;
- power spectrum: f_a.f_b of two copies of one representation (the angle between them is their relative phase; with one
  reference copy b these are the phases of arXiv:2501.06171), and g_a.g_b;
- bispectrum: coupling coefficients contracted with three copies f f f, or f g g.

Chiralities are odd in time and come in even numbers only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

from spinase.learning.lattice.forms import Forms, SiteForms
from spinase.learning.lattice.irreps import Irrep, couplings
from spinase.typing import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class InvariantTable:
    """Invariants of a site as sums of products of forms of its surroundings.

    With the spins s_p of the places (0: the site):  b_k = s_p.s_q, chi_m = s_p.(s_q x s_r);
    h = (`linear_bonds` b, `linear_triples` chi), F = F1 + F2 forms;
    x = (h[`direct`], sum over terms coef h_i h_j, sum over terms coef h_i h_j h_k), G numbers.

    Attributes
    ----------
    bonds, triples : (K, 2), (M, 3) ndarray of int
        Places.
    linear_bonds, linear_triples : (F1, K), (F2, M) ndarray
        Forms; dense where they are learned mixtures.
    direct : (A,) ndarray of int
        Forms that are invariant as they are: invariants 0 to A - 1.
    quadratic, cubic : (Q, 3), (T, 4) ndarray of int
        Terms (invariant, form, form) and (invariant, form, form, form), by rising invariant.
    quadratic_weights, cubic_weights : (Q,), (T,) ndarray
        coef.
    count : int
        G.
    """

    bonds: IntArray
    triples: IntArray
    linear_bonds: FloatArray
    linear_triples: FloatArray
    direct: IntArray
    quadratic: IntArray
    quadratic_weights: FloatArray
    cubic: IntArray
    cubic_weights: FloatArray
    count: int

    def __call__(self, spins: FloatArray) -> FloatArray:
        """Invariants (N, G) of spins (N, n + 1, 3) of N surroundings, the site itself first."""
        one, two = (spins[:, self.bonds[:, k]] for k in (0, 1))
        first, second, third = (spins[:, self.triples[:, k]] for k in (0, 1, 2))
        chiralities = np.sum(first * np.cross(second, third), axis=2)
        h = np.concatenate([np.sum(one * two, axis=2) @ self.linear_bonds.T, chiralities @ self.linear_triples.T], axis=1)
        out = np.zeros((len(spins), self.count))
        out[:, : len(self.direct)] = h[:, self.direct]
        for terms, weights in ((self.quadratic, self.quadratic_weights), (self.cubic, self.cubic_weights)):
            products = np.prod([h[:, terms[:, k]] for k in range(1, terms.shape[1])], axis=0) * weights
            np.add.at(out.T, terms[:, 0], products.T)
        return out


@dataclass(frozen=True)
class Block:
    """Copies of one representation among the forms: form `start` + copy d + component.

    Attributes
    ----------
    irrep : Irrep
    start, copies : int
        First form, and number of copies.
    odd : bool
        Under time reversal.
    """

    irrep: Irrep
    start: int
    copies: int
    odd: bool

    def form(self, copy: int, component: int) -> int:
        """Number of a form."""
        return self.start + copy * self.irrep.dimension + component


Term = list[tuple[tuple[int, ...], float]]
"""One invariant: forms that are multiplied, and the weight of the product."""


def blocks_of(irreps: Sequence[Irrep], even: Sequence[int], odd: Sequence[int]) -> list[Block]:
    """Blocks of forms, one after the other, from numbers of copies of every representation; empty ones are left out.

    Parameters
    ----------
    irreps : sequence of Irrep
        Representations of the point group.
    even, odd : sequence of int
        Copies of each among the bonds (even under time reversal) and among the chiralities (odd).
    """
    found, start = list[Block](), 0
    for is_odd, counts in ((False, even), (True, odd)):
        for irrep, copies in zip(irreps, counts, strict=True):
            if copies:
                found.append(Block(irrep, start, copies, is_odd))
                start += copies * irrep.dimension
    return found


def products(blocks: Sequence[Block], copies: Sequence[int]) -> list[Term]:
    """Invariants of one copy of each of some blocks: one for every coupling of their representations."""
    found = list[Term]()
    for tensor in couplings(*(block.irrep for block in blocks)):
        entries = np.argwhere(np.abs(tensor) > 1e-12)
        terms = [
            (
                tuple(block.form(c, int(m)) for block, c, m in zip(blocks, copies, entry, strict=True)),
                float(tensor[tuple(entry)]),
            )
            for entry in entries
        ]
        found.append(_merged(terms))
    return [term for term in found if term]


def _merged(terms: Iterable[tuple[tuple[int, ...], float]]) -> Term:
    """Equal products added up; those that cancel are left out."""
    total: dict[tuple[int, ...], float] = {}
    for forms, weight in terms:
        key = tuple(sorted(forms))
        total[key] = total.get(key, 0.0) + weight
    return [(forms, weight) for forms, weight in total.items() if abs(weight) > 1e-12]


def power_spectrum(blocks: Iterable[Block]) -> list[Term]:
    """f_a.f_b of all pairs of copies of one representation, trivial ones only where they are odd."""
    return [
        term
        for block in blocks
        if block.odd or not block.irrep.trivial
        for a, b in combinations_with_replacement(range(block.copies), 2)
        for term in products([block, block], [a, b])
    ]


def bispectrum(blocks: Sequence[Block]) -> list[Term]:
    """All couplings of three copies that are even in time, without trivial factors."""
    usable = [block for block in blocks if block.odd or not block.irrep.trivial]
    places = [(block, copy) for block in usable for copy in range(block.copies)]
    return [
        term
        for triple in combinations_with_replacement(places, 3)
        if sum(block.odd for block, _ in triple) % 2 == 0
        for term in products([block for block, _ in triple], [copy for _, copy in triple])
    ]


def table(
    forms: SiteForms, linear_bonds: FloatArray, linear_triples: FloatArray, direct: IntArray, terms: Sequence[Term]
) -> InvariantTable:
    """Invariants from the forms `linear_bonds` (F1, K) and `linear_triples` (F2, M), `direct` ones and products.

    Parameters
    ----------
    forms : SiteForms
        Bonds and triangles of the site.
    linear_bonds, linear_triples : (F1, K), (F2, M) ndarray
        Forms as sums of bond variables s_p.s_q and of scalar chiralities.
    direct : (D,) ndarray of int
        Forms that are invariants themselves; they come first.
    terms : sequence of Term
        For each invariant that follows: products of two or three forms, and their factors.
    """
    listed: dict[int, tuple[list[list[int]], list[float]]] = {2: ([], []), 3: ([], [])}
    for out, term in enumerate(terms, len(direct)):
        for factors, weight in term:
            listed[len(factors)][0].append([out, *factors])
            listed[len(factors)][1].append(weight)
    (quadratic, one), (cubic, two) = listed[2], listed[3]
    return InvariantTable(
        forms.bonds.places,
        forms.triangles.places,
        linear_bonds,
        linear_triples,
        direct,
        np.array(quadratic, dtype=np.int64).reshape(-1, 3),
        np.array(one, dtype=np.float64),
        np.array(cubic, dtype=np.int64).reshape(-1, 4),
        np.array(two, dtype=np.float64),
        len(direct) + len(terms),
    )


def full_table(forms: SiteForms, cubic: bool = True) -> InvariantTable:
    """All invariants up to products of two, or of three, forms."""
    blocks = blocks_of(forms.irreps, [len(c) for c in forms.bonds.copies], [len(c) for c in forms.triangles.copies])
    direct = np.arange(len(forms.bonds.copies[0]))
    terms = [*power_spectrum(blocks), *(bispectrum(blocks) if cubic else [])]
    return table(forms, _rows(forms.bonds), _rows(forms.triangles), direct, terms)


def _rows(forms: Forms) -> FloatArray:
    """Forms (F, K), representation by representation."""
    return np.concatenate([copies.reshape(copies.shape[0] * copies.shape[1], len(forms.places)) for copies in forms.copies])


__all__ = ["Block", "InvariantTable", "Term", "bispectrum", "blocks_of", "full_table", "power_spectrum", "products", "table"]
