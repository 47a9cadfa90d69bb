r"""Conductivity of large magnets from Chebyshev moments of two operators.

With h = (H - centre)/half and :math:`\mu^{ab}_{mn} = \mathrm{Tr}[v_a T_m(h)\, v_b T_n(h)]` both parts of the conductivity
follow for every energy:

.. math::
   \delta(E-H) = \sum_m D_m T_m(h), \quad D_m = \frac{(2-\delta_{m0})\,g_m\cos m\theta}{\pi\,\mathrm{half}\,\sin\theta},\quad
   \frac{d}{dE}\frac{1}{E-H+i0} = \sum_n G'_n T_n(h), \quad
   G'_n = -\frac{i(2-\delta_{n0})\,g_n\,e^{-in\theta}(in\sin\theta+\cos\theta)}{\mathrm{half}^2\sin^3\theta},

with cos(theta) = (E - centre)/half and Jackson's g.  Random vectors stand for the trace; their relative noise falls as
1/sqrt(vectors x sites).
Source: J. H. Garcia, L. Covaci, T. G. Rappoport, Phys. Rev. Lett. 114, 116602 (2015), doi:10.1103/PhysRevLett.114.116602.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy.sparse import csr_array, eye_array

from spinase.electrons.chebyshev.series import Band, find_band, jackson
from spinase.electrons.operator import SpinOperator
from spinase.electrons.response.conductivity import QUANTUM, Conductivity
from spinase.electrons.response.velocity import carrying_axes, hamiltonian_matrix, periodic_extent, velocity_matrices
from spinase.errors import ModelError
from spinase.geometry import Geometry
from spinase.typing import ComplexArray, FloatArray, IntArray

_ROOM = 1.1  # of the band: at its very ends the derivative of the Green function has no digits left
_INSIDE = 0.985  # energies beyond have no states
_POINTS = 4  # energies per moment
_BLOCK_BYTES = 512 * 1024**2  # of vectors kept from one recursion while the other runs along
_TOGETHER = 32  # vectors that are multiplied with them at once

Progress = Callable[[int, int], None]


def chebyshev_conductivity(
    operator: SpinOperator,
    geometry: Geometry,
    moments: int,
    vectors: int | None,
    seed: int,
    progress: Progress | None = None,
) -> Conductivity:
    """Conductivity from `moments` x `moments` moments; cost vectors x moments^2 x sites, at the Gamma point.

    Parameters
    ----------
    operator : SpinOperator
        Of the magnet.
    geometry : Geometry
        Cell and periodic directions.
    moments : int
        Chebyshev polynomials of each operator: energies are resolved to pi half/moments.
    vectors : int or None
        Random vectors; None: one for every site and spin, an exact trace.
    seed : int
        Of the random phases.
    progress : callable, optional
        Told how many vectors of how many are done.

    Raises
    ------
    ModelError
        For fewer than two moments or no vectors, or a magnet without a periodic direction.
    """
    for name, number, least in (("moments", moments, 2), ("vectors", 1 if vectors is None else vectors, 1)):
        if int(number) != number or number < least:
            raise ModelError(f"{name} must be a whole number, at least {least}, got {number!r}")
    extent, axes = periodic_extent(geometry), carrying_axes(geometry)
    found = find_band(operator)
    band = Band(found.centre, _ROOM * found.half)
    size = 2 * len(operator)
    matrix = csr_array((hamiltonian_matrix(operator) - band.centre * eye_array(size)) / band.half)
    velocities = [csr_array(v) for v in velocity_matrices(operator, list(axes))]
    products, traces, samples = [], np.zeros(moments), 0
    for start in _starts(size, vectors, seed):
        product, trace = _moments(matrix, velocities, start, moments)
        products.append(_symmetric(product))
        traces += trace
        samples += 1
        if progress is not None:
            progress(samples, size if vectors is None else vectors)
    if vectors is None:
        products, traces = [np.sum(products, axis=0)], traces * size
    return _expanded(np.stack(products), traces / samples, band, axes, QUANTUM / extent)


def _starts(size: int, vectors: int | None, seed: int) -> Iterator[ComplexArray]:
    """Vectors whose average projector is one: random phases, or the unit vectors."""
    if vectors is None:
        yield from np.eye(size, dtype=np.complex128)
        return
    rng = np.random.default_rng(seed)
    for _ in range(vectors):
        yield np.exp(2j * np.pi * rng.random(size))


def _times(matrix: csr_array, vectors: ComplexArray) -> ComplexArray:
    return np.asarray(matrix @ vectors)


def _recursion(matrix: csr_array, start: ComplexArray, count: int) -> Iterator[ComplexArray]:
    """T_0 v .. T_(count - 1) v."""
    before, now = start, _times(matrix, start)
    yield before
    for _ in range(count - 1):
        yield now
        before, now = now, 2.0 * _times(matrix, now) - before


def _blocks(vectors: Iterator[ComplexArray], size: int) -> Iterator[ComplexArray]:
    """The same vectors as rows of blocks (at most `size`, D)."""
    block: list[ComplexArray] = []
    for vector in vectors:
        block.append(vector)
        if len(block) == size:
            yield np.stack(block)
            block = []
    if block:
        yield np.stack(block)


def _moments(
    matrix: csr_array, velocities: list[csr_array], start: ComplexArray, count: int
) -> tuple[ComplexArray, FloatArray]:
    """<r| v_a T_m v_b T_n |r> (n_axes, n_axes, count, count) and <r| T_m |r> (count,)."""
    kept = max(1, int(_BLOCK_BYTES / (16.0 * len(start))))
    result = np.zeros((len(velocities), len(velocities), count, count), dtype=np.complex128)
    trace = np.zeros(count)
    for a, velocity in enumerate(velocities):
        row = 0
        for left in _blocks(_recursion(matrix, _times(velocity, start), count), kept):
            np.conj(left, out=left)
            column = 0
            for right in _blocks(_recursion(matrix, start, count), _TOGETHER):
                rows, columns = slice(row, row + len(left)), slice(column, column + len(right))
                for b, other in enumerate(velocities):
                    result[a, b, rows, columns] = left @ _times(other, right.T)
                trace[columns] = (right @ start.conj()).real
                column += len(right)
            row += len(left)
    return result, trace


def _symmetric(products: ComplexArray) -> ComplexArray:
    """What a trace obeys and one vector does not: mu^ab_mn = mu^ba_nm, and it is the conjugate of mu^ab_nm.

    Pairs of states that are both filled then cancel vector by vector; without it they are most of the noise.
    """
    cyclic = 0.5 * (products + products.transpose(1, 0, 3, 2))
    hermitian: ComplexArray = 0.5 * (cyclic + cyclic.conj().transpose(0, 1, 3, 2))
    return hermitian


def _expanded(products: ComplexArray, traces: FloatArray, band: Band, axes: IntArray, scale: float) -> Conductivity:
    """Both parts of the conductivity on a mesh of energies, from moments (samples, n_axes, n_axes, M, M) and (M,)."""
    count = products.shape[-1]
    points = _POINTS * count
    angle = np.pi * (np.arange(points)[::-1] + 0.5) / points  # energies ascend
    angle = angle[np.abs(np.cos(angle)) < _INSIDE]
    energies = band.centre + band.half * np.cos(angle)
    steps = np.pi / points * band.half * np.sin(angle)
    number = np.arange(count)
    damped = jackson(count - 1) * np.where(number == 0, 1.0, 2.0)
    near = damped * np.cos(np.outer(angle, number)) / (np.pi * band.half * np.sin(angle)[:, None])
    turn = np.exp(-1j * np.outer(angle, number))
    slope = -1j * damped * turn * (1j * np.outer(np.sin(angle), number) + np.cos(angle)[:, None])
    slope /= band.half**2 * np.sin(angle)[:, None] ** 3
    sea = np.zeros((len(products), len(angle), 3, 3))
    surface = np.zeros_like(sea)
    for sample, product in enumerate(products):
        for one, a in enumerate(axes):
            for two, b in enumerate(axes):
                half_way = near @ product[one, two]
                at_level = np.pi * scale * np.sum(half_way * near, axis=1).real
                below = scale * np.sum(half_way * slope, axis=1).imag * steps
                surface[sample, :, a, b] += 0.5 * at_level
                surface[sample, :, b, a] += 0.5 * at_level
                sea[sample, :, a, b] += below
                sea[sample, :, b, a] -= below
    states = near @ traces * steps
    return Conductivity(np.pi * band.half / count, energies, sea, states, energies, surface)
