"""Energies that are cheap to change one spin at a time: what Monte Carlo sampling needs of a classical model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from spinase.typing import FloatArray, IntArray


def _none(*shape: int) -> FloatArray:
    return np.zeros(shape)


@dataclass(frozen=True, eq=False)
class LocalModel:
    """E = -sum_{pairs} [s_i.J_ij s_j + K_ij (s_i.s_j)^2] - sum_i [h_i.s_i + s_i.Q_i s_i] + anisotropies + products.

    Attributes
    ----------
    sites : int
        Number of sites N.
    rows, columns : (n,)
        Pairs of sites, both directions of every bond.
    tensors : (n, 3, 3)
        J_ij on them, energy; J_ji is its transpose.
    biquadratic : (n,)
        K_ij on them, energy.
    linear : (N, 3)
        h_i, energy.
    quadratic : (N, 3, 3)
        Q_i, energy; symmetric.
    cubic : list of (strengths, axes)
        Cubic anisotropies K1 and K2 of every site (N, 2), energy, with its cube axes as rows of `axes` (N, 3, 3).
    quartic : list of (strengths, axes)
        Uniaxial anisotropies of fourth order, -K_i (s_i.n_i)^4: K of every site (N,), energy, unit vectors n (N, 3).
    products : (q, 4)
        Sites a, b, c, d of products of four spins, -K (s_a.s_b)(s_c.s_d); sites may repeat.
    product_strengths : (q,)
        K of them, energy.
    """

    sites: int
    rows: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    columns: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    tensors: FloatArray = field(default_factory=lambda: _none(0, 3, 3))
    biquadratic: FloatArray = field(default_factory=lambda: _none(0))
    linear: FloatArray | None = None
    quadratic: FloatArray | None = None
    cubic: Sequence[tuple[FloatArray, FloatArray]] = ()
    quartic: Sequence[tuple[FloatArray, FloatArray]] = ()
    products: IntArray = field(default_factory=lambda: np.zeros((0, 4), dtype=np.int64))
    product_strengths: FloatArray = field(default_factory=lambda: _none(0))

    @property
    def is_linear_in_each_spin(self) -> bool:
        """Whether there are neither anisotropies nor couplings of more than two spins at a time."""
        own = self.quadratic is not None and bool(np.any(self.quadratic))
        return not (own or self.cubic or self.quartic or len(self.products) or np.any(self.biquadratic))


def add_models(models: Sequence[tuple[float, LocalModel]]) -> LocalModel:
    """Weighted sum of models of one magnet; entries of the same pair are added."""
    sites = models[0][1].sites
    rows, columns = (np.concatenate([getattr(m, name) for _, m in models]) for name in ("rows", "columns"))
    tensors = np.concatenate([w * m.tensors for w, m in models])
    biquadratic = np.concatenate([w * m.biquadratic for w, m in models])
    key, inverse = np.unique(rows * sites + columns, return_inverse=True)
    tensor_sum, biquadratic_sum = np.zeros((len(key), 3, 3)), np.zeros(len(key))
    np.add.at(tensor_sum, inverse, tensors)
    if (biquadratic != 0.0).any():  # (s_i.s_j)^2 of the two images of one pair add up as couplings do
        np.add.at(biquadratic_sum, inverse, biquadratic)
    linear, quadratic = np.zeros((sites, 3)), np.zeros((sites, 3, 3))
    for weight, model in models:
        linear += 0.0 if model.linear is None else weight * model.linear
        quadratic += 0.0 if model.quadratic is None else weight * model.quadratic
    return LocalModel(
        sites,
        key // sites,
        key % sites,
        tensor_sum,
        biquadratic_sum,
        linear,
        quadratic,
        [(weight * strength, axes) for weight, model in models for strength, axes in model.cubic],
        [(weight * strength, axes) for weight, model in models for strength, axes in model.quartic],
        np.concatenate([model.products for _, model in models]),
        np.concatenate([weight * model.product_strengths for weight, model in models]),
    )


def pair_model(
    sites: int, first: IntArray, second: IntArray, tensors: FloatArray | None = None, biquadratic: FloatArray | None = None
) -> LocalModel:
    """Model of bonds, each pair once: J (n, 3, 3) and/or K (n,) on them.

    A bond from a site to its own image has a constant energy for parallel spins: s.J s, which is an anisotropy of the site.

    Parameters
    ----------
    sites : int
        N.
    first, second : (n,) ndarray of int
        Ends of the bonds.
    tensors : (n, 3, 3) ndarray, optional
        J from first to second, energy.
    biquadratic : (n,) ndarray, optional
        K, energy.
    """
    own = first == second
    other = ~own
    rows = np.concatenate([first[other], second[other]])
    columns = np.concatenate([second[other], first[other]])
    n = int(other.sum())
    blocks, squares, quadratic = np.zeros((2 * n, 3, 3)), np.zeros(2 * n), np.zeros((sites, 3, 3))
    if tensors is not None:
        blocks = np.concatenate([tensors[other], tensors[other].transpose(0, 2, 1)])
        np.add.at(quadratic, first[own], 0.5 * (tensors[own] + tensors[own].transpose(0, 2, 1)))
    if biquadratic is not None:
        squares = np.concatenate([biquadratic[other], biquadratic[other]])
    return LocalModel(sites, rows, columns, blocks, squares, None, quadratic)


DENSE_SITES = 1000
"""Up to how many sites a model of all pairs is made (100 MB)."""


def dense_model(gradient: Callable[[FloatArray], FloatArray], sites: int) -> LocalModel | None:
    """All pairs of a bilinear energy E = -1/2 s.M s, whose `gradient` is M s; None for more than ``DENSE_SITES`` sites.

    Parameters
    ----------
    gradient : function
        Of vectors (N, 3), energy.
    sites : int
        N.
    """
    if sites > DENSE_SITES:
        return None
    matrix = np.empty((sites, 3, sites, 3))
    for j in range(sites):
        for b in range(3):
            unit = np.zeros((sites, 3))
            unit[j, b] = 1.0
            matrix[:, :, j, b] = gradient(unit)
    blocks = matrix.transpose(0, 2, 1, 3)
    blocks = 0.5 * (blocks + blocks.transpose(1, 0, 3, 2))
    rows, columns = np.nonzero(~np.eye(sites, dtype=bool))
    own = 0.5 * blocks[np.arange(sites), np.arange(sites)]
    return LocalModel(sites, rows, columns, blocks[rows, columns], np.zeros(len(rows)), None, own)
