"""Four-spin ring exchange of UppASD's ringfile, as products of four spins."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from spinase.classical import ProductTable
from spinase.errors import InputError
from spinase.io.exchange.text import Line
from spinase.io.exchange.uppasd_bonds import Lattice, SiteFinder
from spinase.io.exchange.uppasd_input import UppasdInput
from spinase.typing import IntArray

_SAME = 1e-5  # square of a distance, lattice constants; UppASD's own
Corner = tuple[int, int, int, int]  # site and cell


def ring_table(source: UppasdInput, lattice: Lattice, atoms: Atoms, unit: float) -> ProductTable | None:
    """Products of the ringfile, `unit` times its energies; None without one.

    A line i j k l, three vectors from i, K belongs to every site: UppASD's energy is the sum over sites and lines of
    (K/2) [(ij)(kl) + (il)(jk) - (ik)(jl)], its field at i twice the derivative of that of the lines of i alone.  Both
    are of one energy, 2 K [...] a loop, where every loop is listed from all of its four sites with one K.

    Parameters
    ----------
    source : UppasdInput
        The input.
    lattice : Lattice
        Its sites.
    atoms : Atoms
        The sites with lengths.
    unit : float
        One unit of the file's energies.

    Raises
    ------
    InputError
        For several types of sites, lines that are repeated or end where there is no site, and loops that are not listed
        from all of their sites.
    """
    rows = source.rows("ring")
    if not rows:
        return None
    if len(set(lattice.types.tolist())) > 1:
        raise InputError(f"{source.where('ring')}: UppASD has ring exchange for one type of sites, the posfile has several")
    loops, strengths, lines = _loops(source, lattice, rows)
    _require_whole(loops, strengths, lines)
    orders = [[0, 1, 2, 3], [0, 3, 1, 2], [0, 2, 1, 3]]
    half = 0.5 * unit * strengths
    found = np.concatenate([loops[:, order] for order in orders])
    return ProductTable(
        atoms.get_positions(),
        atoms.cell.array.copy(),
        found[:, :, 0],
        found[:, :, 1:],
        np.concatenate([-half, -half, half]),
    )


def _loops(source: UppasdInput, lattice: Lattice, rows: list[Line]) -> tuple[IntArray, np.ndarray, list[Line]]:
    """Sites and cells (m, 4, 4) of the loops from every site of the cell, K (m,), and their lines."""
    count, finder = len(lattice.positions), SiteFinder(lattice)
    maptype = 2 if source.whole("maptype", 1) == 2 else 1
    corners = np.array([row.wholes(0, 4) for row in rows], dtype=np.int64) - 1
    for k in np.flatnonzero(((corners < 0) | (corners >= count)).any(axis=1))[:1]:
        raise InputError(f"{rows[k]}: the sites are 1 to {count}, got {(corners[k] + 1).tolist()}")
    numbers = np.array([row.reals(4, 14) for row in rows])
    listed = numbers[:, :9].reshape(-1, 3, 3)
    vectors = np.stack([lattice.vectors(maptype, corners[:, 0], corners[:, n + 1], listed[:, n]) for n in range(3)], axis=1)
    for k in range(len(rows)):
        near = np.flatnonzero((np.sum((vectors[:k] - vectors[k]) ** 2, axis=2) < _SAME).all(axis=1))
        if len(near):
            raise InputError(f"{rows[k]}: the vectors of {rows[near[0]]} again: UppASD 6.1 then loses lines at the end")
    found, strengths, lines = [], [], []
    for site in range(count):
        sites, cells = finder.find((lattice.positions[site] + vectors).reshape(-1, 3))
        for k in np.flatnonzero((sites.reshape(-1, 3) < 0).any(axis=1))[:1]:
            raise InputError(f"{rows[k]}: from site {site + 1} its vectors lead to no three sites")
        rest = np.column_stack([sites, cells]).reshape(-1, 3, 4)
        home = np.broadcast_to([site, 0, 0, 0], (len(rows), 1, 4))
        found.append(np.concatenate([home, rest], axis=1))
        strengths.append(numbers[:, 9])
        lines += rows
    return np.concatenate(found), np.concatenate(strengths), lines


def _require_whole(loops: IntArray, strengths: np.ndarray, lines: list[Line]) -> None:
    """Every loop has four sites, and is listed from each of them with the same K."""
    sums: dict[tuple[Corner, ...], tuple[np.ndarray, Line]] = {}
    for loop, strength, line in zip(loops.tolist(), strengths, lines, strict=True):
        if len({tuple(corner) for corner in loop}) < 4:
            raise InputError(f"{line}: its four sites are not four different ones")
        key, start = _canonical(loop)
        total, _ = sums.setdefault(key, (np.zeros(4), line))
        total[start] += strength
    for total, line in sums.values():
        if np.ptp(total) > 1e-9 * np.abs(total).max():
            raise InputError(
                f"{line}: this loop is listed with {total.tolist()} (mRy) from its four sites: UppASD's field at a site is "
                "of the lines of that site alone, so no energy belongs to it unless these are equal; list every loop from "
                "each of its sites, or leave_out=['ring']"
            )


def _canonical(loop: list[list[int]]) -> tuple[tuple[Corner, ...], int]:
    """The smallest of the ways round a loop, from any corner in either sense, and the place of the first site in it."""
    best: tuple[tuple[Corner, ...], int] | None = None
    for sense in (1, -1):
        for begin in range(4):
            way = [loop[(begin + sense * step) % 4] for step in range(4)]
            _, x, y, z = way[0]
            moved = tuple((c[0], c[1] - x, c[2] - y, c[3] - z) for c in way)
            start = (-sense * begin) % 4
            if best is None or moved < best[0]:
                best = moved, start
    assert best is not None
    return best


__all__ = ["ring_table"]
