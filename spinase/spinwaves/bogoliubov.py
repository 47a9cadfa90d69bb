r"""Bogoliubov modes of quadratic forms of small deviations.

Deviations v = sqrt(L) u (L -> angular momentum of the site) obey dv1/dt = -(h v)_2, dv2/dt = (h v)_1 with
h = L^(-1/2) Phi L^(-1/2).  In a = (v1 - i v2)/sqrt(2) at q and a' = (v1 + i v2)/sqrt(2), the conjugate of a at -q,

.. math:: i\,\frac{d}{dt}(a, a') = g\,h\,(a, a'), \qquad g = \mathrm{diag}(1, -1),

whose modes exp(-i omega t) are normalized to T^+ g T = g: n of positive norm, the magnons of q, and n of negative norm and
frequency, the magnons of -q seen at q.  Where h is positive, J. H. P. Colpa, Physica A 93, 327 (1978): with h = K^+ K the
Hermitian K g K^+ has the frequencies as its eigenvalues.  K comes from the eigenvectors of h, whose lowest eigenvalue also
tells whether the state is a minimum.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from spinase.typing import ComplexArray, FloatArray

_ZERO = 1e-13  # of the largest eigenvalue: what Goldstone modes get, so that they have vectors


class Modes(NamedTuple):
    """Modes at m wavevectors.

    Attributes
    ----------
    frequencies : (m, 2n)
        1/time: n of positive norm, ascending, then n of negative norm, descending (mirror images of those at -q).
    vectors : (m, 2n, 2n)
        Columns of (a, a'); nan where the state is no minimum for this q and the form has no modes of both norms.
    growth : (m,)
        Largest growth rate, 1/time; zero at a minimum.
    lowest : (m,)
        Lowest eigenvalue of h, 1/time.
    """

    frequencies: FloatArray
    vectors: ComplexArray
    growth: FloatArray
    lowest: FloatArray


def bogoliubov(hessians: ComplexArray, angular_momenta: FloatArray, uncertainty: float) -> Modes:
    """Modes of Phi(q).

    Parameters
    ----------
    hessians : (m, 2n, 2n) ndarray
        Phi, Hermitian, energy, over u1 of all sites, then u2.
    angular_momenta : (n,) ndarray
        L = mu/gamma of the sites, energy*time.
    uncertainty : float
        Eigenvalues of Phi above minus that count as zero, energy.
    """
    form = _in_circular_parts(hessians, angular_momenta)
    values, vectors = np.linalg.eigh(form)
    slack = uncertainty / float(angular_momenta.min())
    floor = _ZERO * float(np.abs(values).max(initial=0.0)) + 1e-300
    unstable = values[:, 0] < -(slack + 100.0 * floor)
    roots = np.sqrt(np.maximum(values, floor))
    modes = _colpa(roots, vectors)
    growth = np.zeros(len(form))
    for k in np.flatnonzero(unstable):
        modes[0][k], modes[1][k], growth[k] = _general(form[k])
    return Modes(*modes, growth, values[:, 0])


def norms(size: int) -> FloatArray:
    """The metric g, (size,): 1 for the first half, -1 for the second."""
    return np.repeat([1.0, -1.0], size // 2)


def _in_circular_parts(hessians: ComplexArray, angular_momenta: FloatArray) -> ComplexArray:
    """h over (a, a'), (m, 2n, 2n), 1/time: v1 = (a + a')/sqrt(2), v2 = i (a - a')/sqrt(2)."""
    count = len(angular_momenta)
    root = np.tile(1.0 / np.sqrt(angular_momenta), 2)
    scaled = hessians * root[:, None] * root
    xx, xy = scaled[:, :count, :count], scaled[:, :count, count:]
    yx, yy = scaled[:, count:, :count], scaled[:, count:, count:]
    form = np.empty_like(scaled)
    form[:, :count, :count] = xx + yy + 1j * (xy - yx)
    form[:, count:, count:] = xx + yy - 1j * (xy - yx)
    form[:, :count, count:] = xx - yy - 1j * (xy + yx)
    form[:, count:, :count] = xx - yy + 1j * (xy + yx)
    return np.asarray(0.5 * form)


def _colpa(roots: FloatArray, vectors: ComplexArray) -> tuple[FloatArray, ComplexArray]:
    """Frequencies and para-unitary vectors from h = V diag(roots^2) V^+, with K = diag(roots) V^+."""
    size = roots.shape[1]
    factor = roots[:, :, None] * vectors.conj().transpose(0, 2, 1)
    values, unitary = np.linalg.eigh(factor @ (norms(size)[:, None] * factor.conj().transpose(0, 2, 1)))
    order = np.concatenate([np.arange(size // 2, size), np.arange(size // 2)[::-1]])
    values, unitary = values[:, order], unitary[:, :, order]
    inverse = vectors / roots[:, None, :]
    return values, inverse @ unitary * np.sqrt(np.abs(values))[:, None, :]


def _general(form: ComplexArray) -> tuple[FloatArray, ComplexArray, float]:
    """Frequencies, vectors and growth of one form that is not positive.

    Vectors are given where no mode grows: then modes of both norms exist, with frequencies of either sign.
    """
    size = len(form)
    metric = norms(size)
    values, vectors = np.linalg.eig(metric[:, None] * form)
    norm = np.einsum("ik,i,ik->k", vectors.conj(), metric, vectors).real
    growth = float(values.imag.max())
    # A growing pair omega +- i kappa has no norm: one of the two is counted with the magnons of q.
    order = np.argsort(-norm - 1e-6 * np.sign(values.imag), kind="stable")
    positive, negative = order[: size // 2], order[size // 2 :]
    positive = positive[np.argsort(values.real[positive], kind="stable")]
    negative = negative[np.argsort(-values.real[negative], kind="stable")]
    order = np.concatenate([positive, negative])
    if growth > 1e-9 * np.abs(values).max() or (norm[positive] <= 0.0).any():
        return values.real[order], np.full((size, size), np.nan, dtype=np.complex128), max(growth, 0.0)
    return values.real[order], vectors[:, order] / np.sqrt(np.abs(norm[order])), 0.0
