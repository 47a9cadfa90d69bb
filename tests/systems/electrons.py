"""The dense matrix of an operator, written as on paper; the systems themselves are in the conformance kit."""

from __future__ import annotations

import numpy as np

from spinase.electrons.operator import SpinOperator
from spinase.spin_algebra import PAULI
from spinase.testing.electron_systems import GRAPHS, magnet, make_operator


def dense_matrix(operator: SpinOperator) -> np.ndarray:
    """The 2N x 2N matrix, written as on paper."""
    matrix = np.zeros((2 * len(operator), 2 * len(operator)), dtype=complex)
    for b in range(len(operator.bonds)):
        i, j = operator.bonds.first[b], operator.bonds.second[b]
        block = np.zeros_like(matrix)
        block[2 * i : 2 * i + 2, 2 * j : 2 * j + 2] = operator.hopping[b] * np.eye(2)
        if operator.spin_hopping is not None:
            block[2 * i : 2 * i + 2, 2 * j : 2 * j + 2] += np.einsum("a,aij->ij", operator.spin_hopping[b], PAULI)
        matrix += block + block.conj().T
    for i in range(len(operator)):
        site = operator.onsite[i] * np.eye(2) + np.einsum("a,aij->ij", operator.exchange[i], PAULI)
        matrix[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] += site
    return matrix


__all__ = ["GRAPHS", "dense_matrix", "magnet", "make_operator"]
