"""Derivatives of products of four spins for the Bloch Hessian (:mod:`spinase.spinwaves.hessian`)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from spinase.spinwaves.cell_model import CellProducts
from spinase.typing import FloatArray, IntArray


class ProductDerivatives(NamedTuple):
    """Derivatives of products by the spins of one cell and of others.

    Attributes
    ----------
    fields : (N, 3)
        -dE/ds_i, energy.
    first, second : (b,)
        Sites of the second derivatives.
    shifts : (b, 3)
        Cells of the second sites.
    couplings : (b, 3, 3)
        -d2E/(ds_i ds_j) by the spin s_j as it is in its cell, energy.
    turns : (b, 3, 3)
        From the spins of the home cell to those of that cell.
    """

    fields: FloatArray
    first: IntArray
    second: IntArray
    shifts: IntArray
    couplings: FloatArray
    turns: FloatArray


def product_derivatives(products: CellProducts, spins: FloatArray, turns: FloatArray) -> ProductDerivatives:
    """Of -K (s_0.s_1)(s_2.s_3): the field is K (s_2.s_3) s_1, its derivatives K (s_2.s_3) 1, K s_1 s_3^T and K s_1 s_2^T.

    Parameters
    ----------
    products : CellProducts
        As seen from each of their sites in the home cell.
    spins : (N, 3) ndarray
        Unit spins of the home cell.
    turns : (m, 4, 3, 3) ndarray
        Rotations from them to those of the cells of every site.
    """
    sites, strengths = products.sites, products.strengths
    one, two, three = (np.einsum("mac,mc->ma", turns[:, k], spins[sites[:, k]]) for k in (1, 2, 3))
    other = strengths * np.einsum("ma,ma->m", two, three)
    fields = np.zeros_like(spins)
    np.add.at(fields, sites[:, 0], other[:, None] * one)
    couplings = [
        other[:, None, None] * np.eye(3),
        strengths[:, None, None] * one[:, :, None] * three[:, None, :],
        strengths[:, None, None] * one[:, :, None] * two[:, None, :],
    ]
    return ProductDerivatives(
        fields,
        np.tile(sites[:, 0], 3),
        sites[:, 1:].T.ravel(),
        products.shifts[:, 1:].transpose(1, 0, 2).reshape(-1, 3),
        np.concatenate(couplings),
        turns[:, 1:].transpose(1, 0, 2, 3).reshape(-1, 3, 3),
    )


__all__ = ["ProductDerivatives", "product_derivatives"]
