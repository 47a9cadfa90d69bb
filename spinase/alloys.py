"""Random alloys: species on the sites of a magnet, with a seed, and moments by species."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from spinase.errors import ModelError
from spinase.moments import get_moments, set_moments
from spinase.typing import IntArray


def random_alloy(
    atoms: Atoms,
    composition: Mapping[str, float],
    rng: np.random.Generator | int,
    *,
    replaced: str | None = None,
    moments: Mapping[str, float] | None = None,
) -> None:
    """Put species on sites at random, in place: as many of each as the composition says, to whole numbers.

    Couplings by species (``pairs={"Fe-Co": [...]}``) and g factors by species (``atoms.g_factors``) follow the species.

    Parameters
    ----------
    atoms : Atoms
        The magnet; directions of moments stay, their lengths too unless `moments` says otherwise.
    composition : mapping
        Fraction of each chemical symbol, ``{"Fe": 0.7, "Co": 0.3}``; they add up to 1.
    rng : numpy Generator or int
        Source of randomness, or a seed.
    replaced : str, optional
        Only sites of this species; default: all.
    moments : mapping, optional
        Lengths of moments by species, mu_B or |m|, see :func:`set_moment_lengths`.

    Raises
    ------
    ModelError
        For an unknown symbol, fractions that do not add up to 1, or no site to replace.
    """
    for symbol in (*composition, *([] if replaced is None else [replaced])):
        _require_symbol(symbol)
    fractions = np.array(list(composition.values()), dtype=np.float64)
    if not (np.isfinite(fractions).all() and (fractions >= 0.0).all() and abs(fractions.sum() - 1.0) < 1e-9):
        raise ModelError(f"the fractions of an alloy are not negative and add up to 1, got {dict(composition)}")
    chosen = np.ones(len(atoms), dtype=bool) if replaced is None else atoms.numbers == atomic_numbers[replaced]
    sites = np.flatnonzero(chosen)
    if not len(sites):
        raise ModelError(f"no site of species {replaced} to replace: the atoms are {atoms.get_chemical_formula()}")
    kinds = np.repeat([atomic_numbers[symbol] for symbol in composition], _whole(fractions, len(sites)))
    numbers = atoms.numbers.copy()
    numbers[sites] = np.random.default_rng(rng).permutation(kinds)
    atoms.set_atomic_numbers(numbers)
    if moments is not None:
        set_moment_lengths(atoms, moments)


def set_moment_lengths(atoms: Atoms, lengths: Mapping[str, float]) -> None:
    """Give the moments of species their lengths, in place; directions stay (z where there was no moment).

    Parameters
    ----------
    atoms : Atoms
        The magnet.
    lengths : mapping
        Length by chemical symbol, mu_B or |m|; 0: no moment.  Other species keep theirs.

    Raises
    ------
    ModelError
        For an unknown symbol, one that is not there, or a length below zero.
    """
    moments = get_moments(atoms)
    for symbol, length in lengths.items():
        _require_symbol(symbol)
        chosen = atoms.numbers == atomic_numbers[symbol]
        if not chosen.any():
            raise ModelError(f"moments: there is no {symbol} among the atoms {atoms.get_chemical_formula()}")
        if not (np.isfinite(length) and length >= 0.0):
            raise ModelError(f"moments: the length of a moment is not negative, got {length} for {symbol}")
        norms = np.linalg.norm(moments[chosen], axis=1, keepdims=True)
        along = np.where(norms > 0.0, moments[chosen] / np.where(norms > 0.0, norms, 1.0), [0.0, 0.0, 1.0])
        moments[chosen] = length * along
    set_moments(atoms, moments)


def _require_symbol(symbol: str) -> None:
    if symbol not in atomic_numbers or atomic_numbers[symbol] == 0:
        raise ModelError(f"{symbol!r} is no chemical symbol")


def _whole(fractions: np.ndarray, sites: int) -> IntArray:
    """Numbers of sites nearest to the fractions that add up to all sites: those with the largest remainders get one more."""
    exact = fractions * sites
    counts = np.floor(exact + 1e-9).astype(np.int64)
    order = np.argsort(counts - exact, kind="stable")
    counts[order[: sites - counts.sum()]] += 1
    return counts


__all__ = ["random_alloy", "set_moment_lengths"]
