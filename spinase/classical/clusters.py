"""Cluster moves of Monte Carlo sampling: U. Wolff, Phys. Rev. Lett. 62, 361 (1989), for any local model.

A cluster grows along isotropic exchange and is mirrored across a random plane with normal r; bonds join with probability
1 - exp(-2 J (s_i.r)(s_j.r)/kT), so what is left of the balance is the rest of the energy (fields, anisotropies, DMI, ...),
which a Metropolis test accepts or not.  For exchange alone every move is accepted.
"""

from __future__ import annotations

import numpy as np

from spinase.classical.sampling import Couplings, Sampler, dot, product, random_direction, rest
from spinase.compiled import njit
from spinase.typing import BoolArray, FloatArray, IntArray


def wolff(
    sampler: Sampler,
    spins: FloatArray,
    mobile: BoolArray,
    kT: float,  # noqa: N803
    rng: np.random.Generator,
) -> tuple[int, bool]:
    """Grow one cluster and mirror it, changing `spins` (N, 3) in place; its size, and whether the move was accepted.

    Parameters
    ----------
    sampler : Sampler
        The model.
    spins : (N, 3) ndarray
        Unit vectors, changed in place.
    mobile : (N,) ndarray of bool
        Spins that may move: a cluster that reaches another one is not mirrored.
    kT : float
        Temperature, energy.
    rng : numpy.random.Generator
        Draws the plane, the first spin, bonds and the acceptance.
    """
    candidates = np.flatnonzero(mobile)
    if not len(candidates):
        return 0, False
    first = int(candidates[rng.integers(len(candidates))])
    size, accepted = _wolff(first, spins, mobile, kT, rng, sampler.couplings)
    return int(size), bool(accepted)


@njit
def _wolff(
    first: int,
    spins: FloatArray,
    mobile: BoolArray,
    kT: float,  # noqa: N803
    rng: np.random.Generator,
    model: Couplings,
) -> tuple[int, bool]:
    inside = np.zeros(len(spins), dtype=np.bool_)
    cluster = np.empty(len(spins), dtype=np.int64)
    normal = np.empty(3)
    random_direction(rng, normal)
    cluster[0], inside[first], size, done = first, True, 1, 0
    while done < size:
        i = cluster[done]
        done += 1
        along = dot(spins[i], normal)
        for k in range(model.starts[i], model.starts[i + 1]):
            j = model.neighbours[k]
            if inside[j]:
                continue
            strength = 2.0 * _isotropic(k, model) * along * dot(spins[j], normal)
            if strength > 0.0 and rng.random() < 1.0 - np.exp(-strength / kT):
                if not mobile[j]:
                    return size, False
                inside[j] = True
                cluster[size] = j
                size += 1
    only_exchange = len(model.exchange) > 0 and not model.linear.any()
    others = len(model.biquadratic) + len(model.quadratic) + len(model.cubic) + len(model.quartic) + len(model.products)
    if only_exchange and others == 0:
        _mirror(cluster[:size], normal, spins)
        return size, True
    before = _other_energy(cluster[:size], inside, spins, model)
    _mirror(cluster[:size], normal, spins)
    change = _other_energy(cluster[:size], inside, spins, model) - before
    if change > 0.0 and rng.random() >= np.exp(-change / kT):
        _mirror(cluster[:size], normal, spins)
        return size, False
    return size, True


@njit
def _isotropic(k: int, model: Couplings) -> float:
    """J of entry k: the coefficient of s_i.s_j."""
    if len(model.exchange):
        return model.exchange[k]
    return (model.tensors[k, 0, 0] + model.tensors[k, 1, 1] + model.tensors[k, 2, 2]) / 3.0


@njit
def _mirror(cluster: IntArray, normal: FloatArray, spins: FloatArray) -> None:
    """s - 2 (s.r) r for all spins of a cluster."""
    for i in cluster:
        along = 2.0 * dot(spins[i], normal)
        for a in range(3):
            spins[i, a] -= along * normal[a]


@njit
def _other_energy(cluster: IntArray, inside: BoolArray, spins: FloatArray, model: Couplings) -> float:
    """Energy of a cluster, in itself and with the others, but for isotropic exchange."""
    energy = 0.0
    for i in cluster:
        s = spins[i]
        energy += rest(i, s, spins, False, model) - dot(s, model.linear[i])
        for k in range(model.starts[i], model.starts[i + 1]):
            j = model.neighbours[k]
            part = 0.5 if inside[j] else 1.0
            overlap = dot(s, spins[j])
            if len(model.biquadratic):
                energy -= part * model.biquadratic[k] * overlap**2
            if len(model.exchange) == 0:
                energy += part * _isotropic(k, model) * overlap
                for a in range(3):
                    energy -= part * s[a] * dot(model.tensors[k, a], spins[j])
        for k in range(model.product_starts[i], model.product_starts[i + 1]):
            q = model.product_rows[k]
            value = model.product_strengths[q] * product(q, -1, s, spins, model.products)
            energy -= value / _shared(q, inside, model.products)
    return energy


@njit
def _shared(q: int, inside: BoolArray, products: IntArray) -> int:
    """How many different sites of a cluster are in product q."""
    count = 0
    for p in range(4):
        i = products[q, p]
        new = inside[i]
        for earlier in range(p):
            new = new and products[q, earlier] != i
        count += 1 if new else 0
    return count


__all__ = ["wolff"]
