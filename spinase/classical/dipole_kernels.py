r"""Dipole-dipole interaction of a lattice as a kernel on its grid: direct for open directions, Ewald sums for periodic ones.

.. math:: K_{ab}(R) = \sum_{images} -\partial_a\partial_b \frac{1}{|r|}, \qquad r = R + \tau + images

    B_i = -C \sum_j K(R_i - R_j)\,m_j

1/r = erfc(A r)/r + erf(A r)/r: the first part is summed on the lattice, the second one in reciprocal space of the periodic
directions, in closed form: three of them (P. P. Ewald, Ann. Phys. 369, 253 (1921), conducting surroundings), two (D. E.
Parry, Surf. Sci. 49, 433 (1975)), one (M. Porto, J. Phys. A 33, 6211 (2000), by quadrature).  Neglected parts are 1e-15.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.special import erfc, erfcx

from spinase.typing import ComplexArray, FloatArray, IntArray

COMPONENTS = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
"""Elements of the symmetric kernel, in Voigt's order."""

_REACH = 6.0  # erfc(6) = 2e-17
_NODES = 128  # of the quadrature over the width of Gaussians, one periodic direction


@dataclass(frozen=True, eq=False)
class Grid:
    """Cells of a lattice with open and periodic directions.

    Attributes
    ----------
    steps : (3, 3)
        Vectors from cell to cell, rows, length; those of open directions first.
    shape : (3,) of int
        Number of cells along each.
    periodic : int
        How many of the last directions are periodic.
    """

    steps: FloatArray
    shape: tuple[int, int, int]
    periodic: int

    @property
    def padded(self) -> tuple[int, int, int]:
        """Lengths of the transforms: twice the cells along open directions, so that no copy sees another."""
        a, b, c = (
            fft.next_fast_len(2 * n - 1, real=True) if axis < 3 - self.periodic else n for axis, n in enumerate(self.shape)
        )
        return a, b, c

    def offsets(self) -> list[IntArray]:
        """Differences of cell numbers along each direction: -(n - 1) .. n - 1 if open, 0 .. n - 1 if periodic."""
        return [np.arange(1 - n if axis < 3 - self.periodic else 0, n) for axis, n in enumerate(self.shape)]


def kernel_on(grid: Grid, tau: FloatArray, basis: int = 1) -> FloatArray:
    """K (6, *padded) of cells that are `tau` apart and all differences of cells; that of a site with itself is zero.

    Parameters
    ----------
    grid : Grid
        The lattice.
    tau : (3,) ndarray
        From the source in its cell to the site that feels it, length.
    basis : int
        Sites of a cell, by which the two sums are balanced.
    """
    offsets = grid.offsets()
    out = np.zeros((6, *grid.padded))
    if grid.periodic == 0:
        places = _places(grid.steps, offsets) + tau
        values = _bare(places.reshape(-1, 3)).T.reshape(6, *places.shape[:-1])
    else:
        splitting = _splitting(grid, basis)
        values = _long_range(grid, tau, splitting)
        _add_short_range(grid, tau, splitting, values)
        if not np.any(np.abs(tau) > 1e-9 * splitting):
            for c in range(3):  # what the smooth part does to its own source
                values[(c, *(-o[0] for o in offsets))] -= 4.0 * splitting**3 / (3.0 * np.sqrt(np.pi))
    out[np.ix_(np.arange(6), *(o % n for o, n in zip(offsets, grid.padded, strict=True)))] = values
    return out


def _places(steps: FloatArray, offsets: list[IntArray]) -> FloatArray:
    """Vectors (n0, n1, n2, 3) of all combinations of steps."""
    cells = np.stack(np.meshgrid(*offsets, indexing="ij"), axis=-1)
    return np.asarray(cells @ steps)


def _bare(r: FloatArray) -> FloatArray:
    """1/r^3 - 3 r r/r^5 of vectors (n, 3), (n, 6); zero at r = 0."""
    size = np.linalg.norm(r, axis=1)
    inverse = np.divide(1.0, size, out=np.zeros_like(size), where=size > 1e-9 * size.max(initial=0.0))
    return _tensor(r, inverse**3, 3.0 * inverse**5)


def _tensor(r: FloatArray, b: FloatArray, c: FloatArray) -> FloatArray:
    """B 1 - C r r, (n, 6)."""
    return np.stack([(b if x == y else 0.0) - c * r[:, x] * r[:, y] for x, y in COMPONENTS], axis=1)


def screened(r: FloatArray, a: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """B, C and D of the screened interaction: B = -(d/dr)(erfc(a r)/r)/r, C = -B'/r, D = -C'/r.

    Parameters
    ----------
    r : ndarray
        Distances, length.
    a : float
        Splitting of the Ewald sum, 1/length.
    """
    gauss = 2.0 * a / np.sqrt(np.pi) * np.exp(-((a * r) ** 2))
    b = erfc(a * r) / r**3 + gauss / r**2
    c = (3.0 * b + gauss * 2.0 * a**2) / r**2
    d = (5.0 * c + gauss * 4.0 * a**4) / r**2
    return b, c, d


def _splitting(grid: Grid, basis: int) -> float:
    """A of the sums, 1/length: few waves for each point of the grid, as the short-ranged part costs nothing there."""
    steps = grid.steps[3 - grid.periodic :]
    volume = np.sqrt(np.linalg.det(steps @ steps.T)) ** (1.0 / grid.periodic)
    return float(min(np.sqrt(np.pi), 0.3 * basis ** (1.0 / 3.0)) / volume)


def _add_short_range(grid: Grid, tau: FloatArray, splitting: float, values: FloatArray) -> None:
    """Add the screened interaction of all images within its reach to `values` (6, cells)."""
    reach = _REACH / splitting
    open_axes = 3 - grid.periodic
    offsets = grid.offsets()
    duals = np.linalg.inv(grid.steps)  # columns: |cell number| <= reach |dual| + that of tau
    far = [int(np.ceil(reach * np.linalg.norm(duals[:, a]) + abs(tau @ duals[:, a]))) for a in range(3)]
    near = [o if a < open_axes else np.arange(-far[a], far[a] + 1) for a, o in enumerate(offsets)]
    near = [o[np.abs(o) <= far[a]] for a, o in enumerate(near)]
    cells = np.stack(np.meshgrid(*near, indexing="ij"), axis=-1).reshape(-1, 3)
    r = cells @ grid.steps + tau
    size = np.linalg.norm(r, axis=1)
    inside = (size < reach) & (size > 1e-9 / splitting)
    b, c, _ = screened(size[inside], splitting)
    places = [cells[inside, a] - offsets[a][0] if a < open_axes else cells[inside, a] % grid.shape[a] for a in range(3)]
    flat = np.ravel_multi_index(tuple(places), values.shape[1:])
    for component, tensors in zip(values, _tensor(r[inside], b, c).T, strict=True):
        component += np.bincount(flat, tensors, minlength=component.size).reshape(component.shape)


def _long_range(grid: Grid, tau: FloatArray, splitting: float) -> FloatArray:
    """The smooth part on all differences of cells, (6, cells)."""
    periodic, open_axes = grid.periodic, 3 - grid.periodic
    steps, shape = grid.steps[open_axes:], grid.shape[open_axes:]
    apart = _places(grid.steps, [*grid.offsets()[:open_axes], *[np.zeros(1, dtype=np.int64)] * periodic])
    apart = (apart.reshape(-1, 3) + tau)[:, None, :]  # (open, 1, 3)
    counts = [fft.fftfreq(n) for n in shape]
    counts[-1] = np.arange(shape[-1] // 2 + 1) / shape[-1]
    waves = np.stack(np.meshgrid(*counts, indexing="ij"), axis=-1).reshape(-1, periodic)
    duals = np.asarray(2.0 * np.pi * np.linalg.pinv(steps).T, dtype=np.float64)  # (periodic, 3)
    size = np.sqrt(np.linalg.det(steps @ steps.T))
    transform = (_transform_line, _transform_plane, _transform_solid)[periodic - 1]
    total = np.zeros((6, apart.shape[0], len(waves)), dtype=np.complex128)
    normal = np.cross(*steps) / size if periodic == 2 else steps[0] / size
    for shift in _reciprocal(duals, 2.0 * splitting * _REACH):
        q = (waves + shift) @ duals
        near = np.flatnonzero(np.einsum("ka,ka->k", q, q) <= (2.0 * splitting * _REACH) ** 2)
        if len(near):
            total[:, :, near] += transform(q[near], apart, normal, splitting) / size
    spread = total.reshape(6, *(len(o) for o in grid.offsets()[:open_axes]), *shape[:-1], -1)
    axes = tuple(range(1 + open_axes, 4))
    return np.asarray(fft.irfftn(spread, s=shape, axes=axes))


def _reciprocal(duals: FloatArray, longest: float) -> Iterator[IntArray]:
    """Whole numbers of reciprocal vectors that reach a wave of the first cell within `longest`."""
    corner = np.linalg.norm(duals, axis=1).sum()
    limits = [int(np.ceil((longest + corner) * inverse)) for inverse in np.linalg.norm(np.linalg.pinv(duals), axis=0)]
    for shift in np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in limits), indexing="ij"), axis=-1).reshape(
        -1, len(duals)
    ):
        if np.linalg.norm(shift @ duals) <= longest + corner:
            yield shift


def _transform_solid(q: FloatArray, apart: FloatArray, normal: FloatArray, a: float) -> ComplexArray:
    """4 pi q q/q^2 exp(-q^2/4A^2) exp(i q.r); nothing at q = 0: conducting surroundings.  (6, 1, waves)."""
    square = np.einsum("ka,ka->k", q, q)
    weight = np.divide(4.0 * np.pi * np.exp(-square / (4.0 * a**2)), square, out=np.zeros_like(square), where=square > 0.0)
    phase = weight * np.exp(1j * (apart @ q.T)[:, 0])
    return np.stack([q[:, x] * q[:, y] * phase for x, y in COMPONENTS])


def _transform_plane(q: FloatArray, apart: FloatArray, normal: FloatArray, a: float) -> ComplexArray:
    r"""Of f(q, z) = (pi/q) [exp(q z) erfc(q/2A + A z) + exp(-q z) erfc(q/2A - A z)]: q q f - i (q n + n q) f' - n n f''.

    f'' = q^2 f - 4 sqrt(pi) A exp(-q^2/4A^2 - A^2 z^2); at q = 0 only the last term counts.  (6, heights, waves).
    """
    z = apart @ normal  # (open, 1)
    k = np.linalg.norm(q, axis=1)[None, :]
    gauss = np.exp(-((k / (2.0 * a)) ** 2) - (a * z) ** 2)

    def one(height: FloatArray) -> FloatArray:
        """exp(q z) erfc(q/2A + A z), without overflow."""
        x = k / (2.0 * a) + a * height
        return np.where(x > 0.0, gauss * erfcx(np.maximum(x, 0.0)), np.exp(k * np.minimum(height, 0.0)) * erfc(x))

    up, down = one(z), one(-z)
    with np.errstate(divide="ignore", invalid="ignore"):
        f = np.where(k > 0.0, np.pi * (up + down) / k, 0.0)
    slope, bend = np.pi * (up - down), k**2 * f - 4.0 * np.sqrt(np.pi) * a * gauss
    phase = np.exp(1j * (apart[:, 0] @ q.T))
    rows = []
    for x, y in COMPONENTS:
        mixed = q[:, x] * normal[y] + normal[x] * q[:, y]
        rows.append(phase * (q[:, x] * q[:, y] * f - 1j * mixed * slope - normal[x] * normal[y] * bend))
    return np.stack(rows)


def _transform_line(q: FloatArray, apart: FloatArray, normal: FloatArray, a: float) -> ComplexArray:
    r"""With I_m = int_0^A t^(2m - 1) exp(-q^2/4t^2 - p^2 t^2) dt, p the distance from the line e, P = 1 - e e:

    2 q^2 I_0 e e + 4 i q I_1 (e p + p e) + 4 I_1 P - 8 I_2 p p.  (6, distances, waves).
    """
    k = (q @ normal)[None, :]
    along = apart @ normal
    across = apart[:, 0] - along * normal
    distance = np.linalg.norm(across, axis=1)[:, None]
    lowest = np.where(k != 0.0, np.abs(k) / 14.0, 1e-9 / (1.0 / a + distance.max()))
    lowest = np.minimum(lowest, a)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    sums = np.zeros((3, len(apart), len(q)))
    span = np.log(a / lowest)
    for node, weight in zip(nodes, weights, strict=True):
        t = a * np.exp(-0.5 * (1.0 - node) * span)
        value = 0.5 * weight * span * np.exp(-((k / (2.0 * t)) ** 2) - (distance * t) ** 2)
        for m in range(3):
            sums[m] += value
            value = value * t**2
    phase = np.exp(1j * along * k)
    plane = np.eye(3) - np.outer(normal, normal)
    rows = []
    for x, y in COMPONENTS:
        mixed = (normal[x] * across[:, y] + across[:, x] * normal[y])[:, None]
        square = (across[:, x] * across[:, y])[:, None]
        value = 2.0 * k**2 * sums[0] * normal[x] * normal[y] + 4.0 * plane[x, y] * sums[1] - 8.0 * square * sums[2]
        rows.append(phase * (value + 4.0j * k * sums[1] * mixed))
    return np.stack(rows)


__all__ = ["COMPONENTS", "Grid", "kernel_on", "screened"]
