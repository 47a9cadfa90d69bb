"""Tables of invariants against loops on paper; products of forms and their bookkeeping."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pytest

from spinase.learning.lattice.descriptors import (
    Block,
    InvariantTable,
    bispectrum,
    blocks_of,
    full_table,
    power_spectrum,
    products,
)
from spinase.learning.lattice.forms import Reach, site_forms
from spinase.learning.lattice.irreps import Group, Irrep, couplings, irreps_of
from spinase.learning.lattice.surroundings import Surrounding, point_group
from spinase.spin_algebra import random_rotation, random_spins

ANGLES = 2 * np.pi * np.arange(4) / 4
SQUARE = Surrounding(0, np.stack([np.cos(ANGLES), np.sin(ANGLES), 0 * ANGLES], axis=1), np.zeros(4, dtype=np.int64))
FORMS = site_forms(SQUARE, Reach(1.5, 1.0, 1.5, 1.0))


def test_a_table_is_its_sums() -> None:
    """Random places, forms and terms: every invariant by loops."""
    rng = np.random.default_rng(1)
    bonds, triples = np.array([[0, 1], [0, 2], [1, 2], [2, 3]]), np.array([[0, 1, 2], [1, 2, 3]])
    one, two = rng.normal(size=(3, 4)), rng.normal(size=(2, 2))
    direct, quadratic = np.array([1]), np.array([[1, 0, 3], [1, 2, 2], [2, 4, 4]])
    cubic = np.array([[3, 0, 3, 4]])
    weights = rng.normal(size=3), rng.normal(size=1)
    table = InvariantTable(bonds, triples, one, two, direct, quadratic, weights[0], cubic, weights[1], 4)
    spins = random_spins(12, rng).reshape(3, 4, 3)
    found = table(spins)
    for row, s in zip(found, spins, strict=True):
        variables = [s[p] @ s[q] for p, q in bonds]
        chiralities = [s[p] @ np.cross(s[q], s[r]) for p, q, r in triples]
        h = np.concatenate([one @ variables, two @ chiralities])
        expected = [
            h[1],
            weights[0][0] * h[0] * h[3] + weights[0][1] * h[2] ** 2,
            weights[0][2] * h[4] ** 2,
            weights[1][0] * h[0] * h[3] * h[4],
        ]
        np.testing.assert_allclose(row, expected, atol=1e-13)


def test_forms_of_blocks_are_numbered_copy_by_copy() -> None:
    irreps = irreps_of(Group.of(point_group(SQUARE)))
    even, odd = [2, 0, 1, 0, 3], [0, 1, 0, 0, 2]
    blocks = blocks_of(irreps, even, odd)
    assert [(block.irrep.dimension, block.copies, block.odd) for block in blocks] == [
        (1, 2, False),
        (1, 1, False),
        (2, 3, False),
        (1, 1, True),
        (2, 2, True),
    ]
    places = [
        (block, copy, part) for block in blocks for copy in range(block.copies) for part in range(block.irrep.dimension)
    ]
    numbers = [block.form(copy, part) for block, copy, part in places]
    assert numbers == list(range(len(numbers)))


def test_a_product_of_two_copies_is_their_scalar_product() -> None:
    """f_a.f_b of a two-dimensional representation, over sqrt 2; equal products are added, those that cancel left out."""
    irreps = irreps_of(Group.of(point_group(SQUARE)))
    block = Block(irreps[-1], 5, 3, False)
    (term,) = products([block, block], [0, 2])
    assert sorted(forms for forms, _ in term) == [(5, 9), (6, 10)]
    np.testing.assert_allclose(np.abs([weight for _, weight in term]), 1 / np.sqrt(2))
    assert term[0][1] == pytest.approx(term[1][1])
    (square,) = products([block, block], [1, 1])
    assert sorted(forms for forms, _ in square) == [(7, 7), (8, 8)]


def test_a_form_squared_comes_once() -> None:
    sign = Block(Irrep(np.array([[[1.0]], [[-1.0]]])), 0, 1, True)
    assert products([sign, sign], [0, 0]) == [[((0, 0), pytest.approx(1.0))]]
    assert products([sign, sign, sign], [0, 0, 0]) == [], "three signs are odd under the operation"


def test_power_spectra_leave_trivial_even_forms_to_themselves() -> None:
    irreps = irreps_of(Group.of(point_group(SQUARE)))
    blocks = blocks_of(irreps, [2, 0, 0, 0, 2], [1, 0, 0, 0, 0])
    found = power_spectrum(blocks)
    assert len(found) == 3 + 1  # of the pair of copies (0,0), (0,1), (1,1), and of the odd trivial form
    assert [((6, 6), pytest.approx(1.0))] in found


def test_bispectra_have_an_even_number_of_chiralities() -> None:
    irreps = irreps_of(Group.of(point_group(SQUARE)))
    blocks = blocks_of(irreps, [0, 0, 0, 1, 1], [0, 1, 0, 0, 1])
    odd = {
        block.form(c, m) for block in blocks if block.odd for c in range(block.copies) for m in range(block.irrep.dimension)
    }
    terms = bispectrum(blocks)
    assert terms
    for term in terms:
        assert {sum(form in odd for form in forms) % 2 for forms, _ in term} == {0}


def test_invariants_of_a_square_do_not_change() -> None:
    """Operations of D4 on the places, rotations and inversion of the spins."""
    table, rng = full_table(FORMS), np.random.default_rng(2)
    spins = random_spins(5, rng)
    expected = table(spins[None])
    for permutation in point_group(SQUARE):
        np.testing.assert_allclose(table(spins[permutation][None]), expected, atol=1e-12)
    np.testing.assert_allclose(table((spins @ random_rotation(rng).T)[None]), expected, atol=1e-12)
    np.testing.assert_allclose(table(-spins[None]), expected, atol=1e-12)
    other = spins.copy()
    other[[1, 2]] = other[[2, 1]]  # neighbours beside each other, exchanged: no operation
    assert np.abs(table(other[None]) - expected).max() > 1e-2


def test_without_products_of_three_there_are_fewer() -> None:
    both, short = full_table(FORMS), full_table(FORMS, cubic=False)
    assert short.count < both.count
    assert len(short.cubic) == 0
    spins = random_spins(10, np.random.default_rng(3)).reshape(2, 5, 3)
    np.testing.assert_allclose(short(spins), both(spins)[:, : short.count], atol=1e-14)


def test_every_invariant_has_a_term_and_terms_rise() -> None:
    table = full_table(FORMS)
    for terms in (table.quadratic, table.cubic):
        assert (np.diff(terms[:, 0]) >= 0).all()
        assert terms[:, 1:].max() < len(table.linear_bonds) + len(table.linear_triples)
    numbers = set(range(len(table.direct))) | set(table.quadratic[:, 0].tolist()) | set(table.cubic[:, 0].tolist())
    assert numbers == set(range(table.count))


def test_a_ferromagnet_has_only_trivial_forms() -> None:
    """All bonds are one, all chiralities zero: power spectra and bispectra vanish, means of orbits do not."""
    table = full_table(FORMS)
    values = table(np.tile([0.0, 0.0, 1.0], (1, 5, 1)))[0]
    np.testing.assert_allclose(values[len(table.direct) :], 0.0, atol=1e-12)
    np.testing.assert_allclose(np.abs(values[: len(table.direct)]), 2.0, atol=1e-12)  # four times 1/2


def test_products_are_contractions_with_the_couplings() -> None:
    """Any numbers as forms: terms, equal ones merged, give sum T_abc f_a g_b h_c for every coupling T of three blocks."""
    blocks = blocks_of(irreps_of(Group.of(point_group(SQUARE))), [1, 1, 1, 1, 2], [0] * 5)
    h, merged = np.random.default_rng(4).normal(size=9), 0
    for chosen in combinations_with_replacement(blocks, 3):
        for copies in ([0, 0, 0], [0, 0, chosen[2].copies - 1]):
            parts = [
                h[[block.form(copy, m) for m in range(block.irrep.dimension)]]
                for block, copy in zip(chosen, copies, strict=True)
            ]
            tensors = couplings(*(block.irrep for block in chosen))
            values = [float(np.einsum("abc,a,b,c->", tensor, *parts)) for tensor in tensors]
            terms = products(chosen, copies)
            found = [sum(weight * np.prod(h[list(forms)]) for forms, weight in term) for term in terms]
            np.testing.assert_allclose(found, [value for value in values if abs(value) > 1e-10], atol=1e-12)
            merged += sum(abs(weight) > 1.0 + 1e-9 for term in terms for _, weight in term)
    assert merged, "x y and y x of one copy are one product of twice the weight"
