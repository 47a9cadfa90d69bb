"""Compiled sweeps of Monte Carlo sampling over a local model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spinase.classical.local_model import LocalModel
from spinase.compiled import njit
from spinase.typing import Array, BoolArray, FloatArray, IntArray

METROPOLIS, HEAT_BATH, OVER_RELAXATION = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Sampler:
    """A local model in the form the sweeps work on: rows of neighbours, scalar couplings where all tensors are isotropic.

    Built by :func:`make_sampler`; the attributes are arrays in that form.
    """

    starts: IntArray
    neighbours: IntArray
    couplings: FloatArray
    tensors: FloatArray
    biquadratic: FloatArray
    linear: FloatArray
    quadratic: FloatArray
    cubic: FloatArray
    axes: FloatArray

    def sweep(
        self,
        spins: FloatArray,
        mobile: BoolArray,
        kT: float,  # noqa: N803
        kind: int,
        width: float,
        rng: np.random.Generator,
    ) -> float:
        """Visit every mobile spin once, changing `spins` (N, 3) in place; returns the part of accepted moves.

        Parameters
        ----------
        spins : (N, 3) ndarray
            Unit vectors, changed in place.
        mobile : (N,) ndarray of bool
            Those that are visited.
        kT : float
            Temperature, energy.
        kind : int
            ``METROPOLIS``, ``HEAT_BATH`` or ``OVER_RELAXATION`` of this module.
        width : float
            Standard deviation of what Metropolis' moves add to the spin; 2 and more: any direction.
        rng : numpy.random.Generator
            Draws moves and their acceptance.
        """
        return float(_sweep(spins, mobile, kT, kind, width, rng, *self._arrays()))

    def energy(self, spins: FloatArray) -> float:
        """Energy of the model, up to a constant."""
        return float(_energy(spins, *self._arrays()))

    def _arrays(self) -> tuple[Array, ...]:
        return (
            self.starts,
            self.neighbours,
            self.couplings,
            self.tensors,
            self.biquadratic,
            self.linear,
            self.quadratic,
            self.cubic,
            self.axes,
        )


def make_sampler(model: LocalModel) -> Sampler:
    """Rows of neighbours of a model whose pairs are listed in both directions."""
    order = np.lexsort((model.columns, model.rows))
    tensors = np.ascontiguousarray(model.tensors[order])
    isotropic = bool(np.all(tensors == tensors[:, :1, :1] * np.eye(3)))
    biquadratic = model.biquadratic[order]
    n = model.sites
    return Sampler(
        np.searchsorted(model.rows[order], np.arange(n + 1)).astype(np.int64),
        np.ascontiguousarray(model.columns[order]),
        np.ascontiguousarray(tensors[:, 0, 0]) if isotropic else np.zeros(0),
        np.zeros((0, 3, 3)) if isotropic else tensors,
        biquadratic if biquadratic.any() else np.zeros(0),
        np.zeros((n, 3)) if model.linear is None else np.ascontiguousarray(model.linear),
        np.zeros((0, 3, 3))
        if model.quadratic is None or not np.any(model.quadratic)
        else np.array(model.quadratic, order="C"),
        np.array([strengths for strengths, _ in model.cubic]).reshape(len(model.cubic), n, 2),
        np.array([axes for _, axes in model.cubic]).reshape(len(model.cubic), 3, 3),
    )


@njit(inline="always")
def _local_field(
    i: int,
    spins: FloatArray,
    starts: IntArray,
    neighbours: IntArray,
    couplings: FloatArray,
    tensors: FloatArray,
    out: FloatArray,
) -> None:
    """Add sum_j J_ij s_j to `out`."""
    for k in range(starts[i], starts[i + 1]):
        j = neighbours[k]
        if len(couplings):
            for a in range(3):
                out[a] += couplings[k] * spins[j, a]
        else:
            for a in range(3):
                for b in range(3):
                    out[a] += tensors[k, a, b] * spins[j, b]


@njit
def _rest(
    i: int,
    s: FloatArray,
    spins: FloatArray,
    starts: IntArray,
    neighbours: IntArray,
    biquadratic: FloatArray,
    quadratic: FloatArray,
    cubic: FloatArray,
    axes: FloatArray,
) -> float:
    """Energy of spin i pointing along s that is not linear in s."""
    energy = 0.0
    if len(biquadratic):
        for k in range(starts[i], starts[i + 1]):
            j = neighbours[k]
            overlap = s[0] * spins[j, 0] + s[1] * spins[j, 1] + s[2] * spins[j, 2]
            energy -= biquadratic[k] * overlap * overlap
    if len(quadratic):
        for a in range(3):
            for b in range(3):
                energy -= s[a] * quadratic[i, a, b] * s[b]
    for c in range(len(cubic)):
        x = (axes[c, 0, 0] * s[0] + axes[c, 0, 1] * s[1] + axes[c, 0, 2] * s[2]) ** 2
        y = (axes[c, 1, 0] * s[0] + axes[c, 1, 1] * s[1] + axes[c, 1, 2] * s[2]) ** 2
        z = (axes[c, 2, 0] * s[0] + axes[c, 2, 1] * s[1] + axes[c, 2, 2] * s[2]) ** 2
        energy += cubic[c, i, 0] * (x * y + y * z + z * x) + cubic[c, i, 1] * x * y * z
    return energy


@njit
def _random_direction(rng: np.random.Generator, out: FloatArray) -> None:
    z, angle = 2.0 * rng.random() - 1.0, 2.0 * np.pi * rng.random()
    r = np.sqrt(1.0 - z * z)
    out[0], out[1], out[2] = r * np.cos(angle), r * np.sin(angle), z


@njit
def _about_field(field: FloatArray, kT: float, rng: np.random.Generator, out: FloatArray) -> None:  # noqa: N803
    """A direction with probability ~ exp(h.s/kT)."""
    size = np.sqrt(field[0] ** 2 + field[1] ** 2 + field[2] ** 2)
    x = size / kT
    if x < 1e-8:
        _random_direction(rng, out)
        return
    drawn = rng.random()
    cosine = min(1.0, max(-1.0, 1.0 + np.log(drawn + (1.0 - drawn) * np.exp(-2.0 * x)) / x))
    angle, sine = 2.0 * np.pi * rng.random(), np.sqrt(1.0 - cosine * cosine)
    x, y, z = field[0] / size, field[1] / size, field[2] / size
    # two directions across the field (T. Duff et al., J. Comput. Graph. Tech. 6, 1 (2017))
    sign = 1.0 if z >= 0.0 else -1.0
    p = -1.0 / (sign + z)
    q = x * y * p
    u, v = sine * np.cos(angle), sine * np.sin(angle)
    out[0] = cosine * x + u * (1.0 + sign * x * x * p) + v * q
    out[1] = cosine * y + u * sign * q + v * (sign + y * y * p)
    out[2] = cosine * z - u * sign * x - v * y


@njit
def _propose(
    kind: int,
    old: FloatArray,
    field: FloatArray,
    kT: float,  # noqa: N803
    width: float,
    rng: np.random.Generator,
    new: FloatArray,
) -> bool:
    """A new direction for a spin in `new`; False if there is none (no field to reflect about)."""
    if kind == HEAT_BATH:
        _about_field(field, kT, rng, new)
        return True
    if kind == OVER_RELAXATION:
        square = field[0] ** 2 + field[1] ** 2 + field[2] ** 2
        if square == 0.0:
            return False
        along = 2.0 * (old[0] * field[0] + old[1] * field[1] + old[2] * field[2]) / square
        for a in range(3):
            new[a] = along * field[a] - old[a]
    elif width >= 2.0:
        _random_direction(rng, new)
    else:
        for a in range(3):
            new[a] = old[a] + width * rng.standard_normal()
    norm = np.sqrt(new[0] ** 2 + new[1] ** 2 + new[2] ** 2)
    for a in range(3):
        new[a] /= norm
    return True


@njit
def _sweep(
    spins: FloatArray,
    mobile: BoolArray,
    kT: float,  # noqa: N803
    kind: int,
    width: float,
    rng: np.random.Generator,
    starts: IntArray,
    neighbours: IntArray,
    couplings: FloatArray,
    tensors: FloatArray,
    biquadratic: FloatArray,
    linear: FloatArray,
    quadratic: FloatArray,
    cubic: FloatArray,
    axes: FloatArray,
) -> float:
    accepted, tried = 0, 0
    field, new, old = np.empty(3), np.empty(3), np.empty(3)
    bare = len(biquadratic) == 0 and len(quadratic) == 0 and len(cubic) == 0
    for i in range(len(spins)):
        if not mobile[i]:
            continue
        tried += 1
        for a in range(3):
            field[a], old[a] = linear[i, a], spins[i, a]
        _local_field(i, spins, starts, neighbours, couplings, tensors, field)
        if not _propose(kind, old, field, kT, width, rng, new):
            continue
        change = 0.0
        if kind == METROPOLIS:
            change = -(field[0] * (new[0] - old[0]) + field[1] * (new[1] - old[1]) + field[2] * (new[2] - old[2]))
        if not bare:
            change += _rest(i, new, spins, starts, neighbours, biquadratic, quadratic, cubic, axes)
            change -= _rest(i, old, spins, starts, neighbours, biquadratic, quadratic, cubic, axes)
        if change <= 0.0 or rng.random() < np.exp(-change / kT):
            for a in range(3):
                spins[i, a] = new[a]
            accepted += 1
    return accepted / max(tried, 1)


@njit
def _energy(
    spins: FloatArray,
    starts: IntArray,
    neighbours: IntArray,
    couplings: FloatArray,
    tensors: FloatArray,
    biquadratic: FloatArray,
    linear: FloatArray,
    quadratic: FloatArray,
    cubic: FloatArray,
    axes: FloatArray,
) -> float:
    energy, field, none = 0.0, np.empty(3), np.zeros(0)
    for i in range(len(spins)):
        field[:] = 0.0
        _local_field(i, spins, starts, neighbours, couplings, tensors, field)
        s = spins[i]
        for a in range(3):
            energy -= s[a] * (0.5 * field[a] + linear[i, a])
        whole = _rest(i, s, spins, starts, neighbours, biquadratic, quadratic, cubic, axes)
        own = _rest(i, s, spins, starts, neighbours, none, quadratic, cubic, axes)
        energy += 0.5 * (whole + own)  # pairs are seen from both ends, what belongs to the site once
    return energy
