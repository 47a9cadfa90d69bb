"""What the compiled loops of the frozen engine work on: neighbours, weights, and room for the sums of some sites.

The sums of a site stay in the cache: they are made into invariants, and in the backward pass into slopes of the sums,
before those of the next sites are formed.  They are rows (9, row_width), one for each harmonic, in which components of what
a neighbour sends (number, spin vector) and channels are one axis.  In rows of degrees 1 and 2, which have fewer channels,
every component has whole vectors, with zeros behind its channels; in those of degree 0, as in what is sent, components
follow each other closely, and vectors may go beyond the end of one: filters are zero there.  Filters come from tables in the
distance.  ``lanes`` has a tuple for every degree whose length is the number of channels (0: not there), so that the compiler
knows it.  Numbers in the code are of the arrays' own type: a plain 0.0 would make everything double precision.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba.extending import register_jitable

from spinase.compiled.rows import LANES, aligned, fma, load, whole
from spinase.learning.engine.invariants import KEPT_ROWS
from spinase.typing import Array

Lanes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

_FAST = {"contract", "reassoc", "nsz", "arcp"}
CHUNK = 64  # sites whose sums are kept at once
HARMONICS = 9


class Neighbours(NamedTuple):
    """Pairs by rows: `starts` (N + 1,), `second` (P,), place in the tables `knots`, `fractions` (P,), `harmonics` (P, 9).

    `local` (P,): the place of `second` among all neighbours of the sites in the same strip.  `planar`: no pair has a z
    component, so that the harmonics z, yz and zx are zero and left out.
    """

    starts: Array
    second: Array
    local: Array
    knots: Array
    fractions: Array
    harmonics: Array
    planar: bool


class Layer(NamedTuple):
    """Weights of a layer, transposed for products from the left.

    `table` (knots + 1, ...): filters by degree, those of each filled up with zeros to whole vectors; `own` (F, F),
    `collect` (invariants, F), `bias` (F,), `atoms` (A, F, F), `atom_biases` (A, F), and their transposes with a final _t.
    """

    table: Array
    own: Array
    own_t: Array
    collect: Array
    collect_t: Array
    bias: Array
    atoms: Array
    atoms_t: Array
    atom_biases: Array


class Room(NamedTuple):
    """What one thread works in; arrays begin as zeros, on cache lines (vectors across two of them cost twice as much).

    `terms`: slopes times the harmonics of a pair, in training; `sums` and `slopes` (CHUNK, 9, row_width), whose rows end in
    zeros; `kept` of the invariants; `found` (CHUNK + 1, invariants).
    """

    terms: Array
    sums: Array
    slopes: Array
    kept: Array
    found: Array


class Sender(NamedTuple):
    """Weights of what a layer is sent, by features: `number`, `spin`, `gate` (F, C), `gate_bias` (C,), `passed` (C, C).

    The last three have length 0 in the first layer; transposes have a final _t.
    """

    number: Array
    number_t: Array
    spin: Array
    spin_t: Array
    gate: Array
    gate_t: Array
    gate_bias: Array
    passed: Array
    passed_t: Array


@register_jitable  # type: ignore[untyped-decorator]
def row_width(channels: int) -> int:
    """Length of a row of four components of so many channels at most, each in whole vectors."""
    return 4 * whole(channels)


def room(lanes: Lanes, invariants: int, dtype: Any) -> Room:
    """Room for layers with so many channels and invariants."""
    channels = [len(part) for part in lanes]
    width, terms = row_width(channels[0]), 4 * sum(whole(count) for count in channels)
    sums = CHUNK * HARMONICS * width
    sizes = (terms, sums, sums, KEPT_ROWS * LANES, (CHUNK + 1) * invariants)
    arrays = [aligned(size, dtype) for size in sizes]
    shapes = (terms, (CHUNK, HARMONICS, width), (CHUNK, HARMONICS, width), sizes[3], (CHUNK + 1, invariants))
    return Room(*(array.reshape(shape) for array, shape in zip(arrays, shapes, strict=True)))


@register_jitable  # type: ignore[untyped-decorator]
def pair_filter(pairs: Neighbours, p: int, table: Array, place: int) -> Any:
    """A row of a pair's filters, between two knots or on one."""
    at, t = pairs.knots[p] * table.shape[1] + place, pairs.fractions[p]
    low = load(table, at)
    return low if t == 0 else fma(t, load(table, at + table.shape[1]), fma(-t, low, low))
