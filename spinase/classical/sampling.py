"""Compiled sweeps of Monte Carlo sampling over a local model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from spinase.classical.local_model import LocalModel
from spinase.compiled import njit
from spinase.typing import BoolArray, FloatArray, IntArray

METROPOLIS, HEAT_BATH, OVER_RELAXATION = 0, 1, 2


class Couplings(NamedTuple):
    """A local model as the loops read it.

    Attributes
    ----------
    starts, neighbours : (N + 1,), (n,)
        Compressed rows of the pairs.
    exchange : (n,)
        J where all tensors are J times the unit matrix, else empty.
    tensors : (n, 3, 3)
        J_ij where they are not, else empty.
    biquadratic : (n,) or (0,)
        K_ij.
    linear : (N, 3)
        h_i.
    quadratic : (N, 3, 3) or (0, 3, 3)
        Q_i.
    cubic, cube_axes : (c, N, 2), (c, N, 3, 3)
        Cubic anisotropies.
    quartic, quartic_axes : (f, N), (f, N, 3)
        Uniaxial anisotropies of fourth order.
    products, product_strengths : (q, 4), (q,)
        Products of four spins.
    product_starts, product_rows : (N + 1,), (p,)
        Products that each site has a part in, once each.
    """

    starts: IntArray
    neighbours: IntArray
    exchange: FloatArray
    tensors: FloatArray
    biquadratic: FloatArray
    linear: FloatArray
    quadratic: FloatArray
    cubic: FloatArray
    cube_axes: FloatArray
    quartic: FloatArray
    quartic_axes: FloatArray
    products: IntArray
    product_strengths: FloatArray
    product_starts: IntArray
    product_rows: IntArray


@dataclass(frozen=True, eq=False)
class Sampler:
    """A local model in the form the sweeps work on; built by :func:`make_sampler`.

    Attributes
    ----------
    couplings : Couplings
        Rows of neighbours and arrays of the sites.
    """

    couplings: Couplings

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
        return float(_sweep(spins, mobile, kT, kind, width, rng, self.couplings))

    def energy(self, spins: FloatArray) -> float:
        """Energy of the model, up to a constant."""
        return float(_energy(spins, self.couplings))

    def with_field(self, field: FloatArray) -> Sampler:
        """The model with more of h (N, 3), energy."""
        return Sampler(self.couplings._replace(linear=self.couplings.linear + field))


def make_sampler(model: LocalModel) -> Sampler:
    """Rows of neighbours of a model whose pairs are listed in both directions."""
    order = np.lexsort((model.columns, model.rows))
    tensors = np.ascontiguousarray(model.tensors[order])
    isotropic = bool(np.all(tensors == tensors[:, :1, :1] * np.eye(3)))
    biquadratic = model.biquadratic[order]
    n = model.sites
    own = model.quadratic is not None and bool(np.any(model.quadratic))
    return Sampler(
        Couplings(
            np.searchsorted(model.rows[order], np.arange(n + 1)).astype(np.int64),
            np.ascontiguousarray(model.columns[order]),
            np.ascontiguousarray(tensors[:, 0, 0]) if isotropic else np.zeros(0),
            np.zeros((0, 3, 3)) if isotropic else tensors,
            biquadratic if biquadratic.any() else np.zeros(0),
            np.zeros((n, 3)) if model.linear is None else np.array(model.linear, dtype=np.float64, order="C"),
            np.array(model.quadratic, order="C") if own else np.zeros((0, 3, 3)),
            np.array([strengths for strengths, _ in model.cubic]).reshape(len(model.cubic), n, 2),
            np.array([axes for _, axes in model.cubic]).reshape(len(model.cubic), n, 3, 3),
            np.array([strengths for strengths, _ in model.quartic]).reshape(len(model.quartic), n),
            np.array([axes for _, axes in model.quartic]).reshape(len(model.quartic), n, 3),
            np.ascontiguousarray(model.products),
            np.ascontiguousarray(model.product_strengths),
            *_product_rows(model.products, n),
        )
    )


def _product_rows(products: IntArray, sites: int) -> tuple[IntArray, IntArray]:
    """Starts (N + 1,) and rows of the products that each site has a part in."""
    pairs = np.unique(np.column_stack([products.ravel(), np.repeat(np.arange(len(products)), 4)]), axis=0)
    starts = np.searchsorted(pairs[:, 0], np.arange(sites + 1))
    return starts.astype(np.int64), np.ascontiguousarray(pairs[:, 1], dtype=np.int64)


@njit(inline="always")
def dot(a: FloatArray, b: FloatArray) -> float:
    """a.b of two vectors (3,)."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit
def _field(i: int, spins: FloatArray, model: Couplings, out: FloatArray) -> None:
    """`out` = h_i + sum_j J_ij s_j + the products in which site i stands once: what the energy is linear in."""
    for a in range(3):
        out[a] = model.linear[i, a]
    for k in range(model.starts[i], model.starts[i + 1]):
        j = model.neighbours[k]
        if len(model.exchange):
            for a in range(3):
                out[a] += model.exchange[k] * spins[j, a]
        else:
            for a in range(3):
                for b in range(3):
                    out[a] += model.tensors[k, a, b] * spins[j, b]
    for k in range(model.product_starts[i], model.product_starts[i + 1]):
        q = model.product_rows[k]
        at = _only_place(i, q, model.products)
        if at >= 0:
            partner, c, d = model.products[q, at ^ 1], model.products[q, (at & 2) ^ 2], model.products[q, ((at & 2) ^ 2) + 1]
            strength = model.product_strengths[q] * dot(spins[c], spins[d])
            for a in range(3):
                out[a] += strength * spins[partner, a]


@njit
def _only_place(i: int, q: int, products: IntArray) -> int:
    """Where site i stands in product q; -1 if more than once."""
    found = -1
    for p in range(4):
        if products[q, p] == i:
            if found >= 0:
                return -1
            found = p
    return found


@njit
def product(q: int, i: int, s: FloatArray, spins: FloatArray, products: IntArray) -> float:
    """(s_a.s_b)(s_c.s_d) with s in place of the spin of site i.

    Parameters
    ----------
    q : int
        The product.
    i : int
        The site; -1: none.
    s : (3,)
        Its unit vector.
    spins : (N, 3)
        Unit vectors.
    products : (q, 4) int64
        Sites a, b, c, d.
    """
    value = 1.0
    for half in range(2):
        a, b = products[q, 2 * half], products[q, 2 * half + 1]
        value *= dot(s if a == i else spins[a], s if b == i else spins[b])
    return value


@njit
def rest(i: int, s: FloatArray, spins: FloatArray, pairs: bool, model: Couplings) -> float:
    """Energy of spin i pointing along s that is not linear in s; without `pairs` only that of the site itself.

    Parameters
    ----------
    i : int
        The site.
    s : (3,)
        Its unit vector.
    spins : (N, 3)
        Unit vectors of the others.
    pairs : bool
        Whether biquadratic couplings and products of four spins count.
    model : Couplings
        The model.
    """
    energy = 0.0
    if pairs:
        if len(model.biquadratic):
            for k in range(model.starts[i], model.starts[i + 1]):
                overlap = dot(s, spins[model.neighbours[k]])
                energy -= model.biquadratic[k] * overlap * overlap
        for k in range(model.product_starts[i], model.product_starts[i + 1]):
            q = model.product_rows[k]
            if _only_place(i, q, model.products) < 0:
                energy -= model.product_strengths[q] * product(q, i, s, spins, model.products)
    if len(model.quadratic):
        for a in range(3):
            for b in range(3):
                energy -= s[a] * model.quadratic[i, a, b] * s[b]
    for c in range(len(model.cubic)):
        x, y, z = (
            dot(model.cube_axes[c, i, 0], s) ** 2,
            dot(model.cube_axes[c, i, 1], s) ** 2,
            dot(model.cube_axes[c, i, 2], s) ** 2,
        )
        energy += model.cubic[c, i, 0] * (x * y + y * z + z * x) + model.cubic[c, i, 1] * x * y * z
    for c in range(len(model.quartic)):
        energy -= model.quartic[c, i] * dot(model.quartic_axes[c, i], s) ** 4
    return energy


@njit
def random_direction(rng: np.random.Generator, out: FloatArray) -> None:
    """A unit vector in `out` (3,), uniform on the sphere."""
    z, angle = 2.0 * rng.random() - 1.0, 2.0 * np.pi * rng.random()
    r = np.sqrt(1.0 - z * z)
    out[0], out[1], out[2] = r * np.cos(angle), r * np.sin(angle), z


@njit
def _about_field(field: FloatArray, kT: float, rng: np.random.Generator, out: FloatArray) -> None:  # noqa: N803
    """A direction with probability ~ exp(h.s/kT)."""
    size = np.sqrt(field[0] ** 2 + field[1] ** 2 + field[2] ** 2)
    x = size / kT
    if x < 1e-8:
        random_direction(rng, out)
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
        random_direction(rng, new)
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
    model: Couplings,
) -> float:
    accepted, tried = 0, 0
    field, new, old = np.empty(3), np.empty(3), np.empty(3)
    own = len(model.quadratic) + len(model.cubic) + len(model.quartic)
    bare = own + len(model.biquadratic) + len(model.products) == 0
    for i in range(len(spins)):
        if not mobile[i]:
            continue
        tried += 1
        for a in range(3):
            old[a] = spins[i, a]
        _field(i, spins, model, field)
        if not _propose(kind, old, field, kT, width, rng, new):
            continue
        change = 0.0
        if kind == METROPOLIS:
            change = -(field[0] * (new[0] - old[0]) + field[1] * (new[1] - old[1]) + field[2] * (new[2] - old[2]))
        if not bare:
            change += rest(i, new, spins, True, model) - rest(i, old, spins, True, model)
        if change <= 0.0 or rng.random() < np.exp(-change / kT):
            for a in range(3):
                spins[i, a] = new[a]
            accepted += 1
    return accepted / max(tried, 1)


@njit
def _energy(spins: FloatArray, model: Couplings) -> float:
    energy = 0.0
    for i in range(len(spins)):
        s = spins[i]
        energy += rest(i, s, spins, False, model) - dot(s, model.linear[i])
        for k in range(model.starts[i], model.starts[i + 1]):  # pairs are seen from both ends
            other = spins[model.neighbours[k]]
            if len(model.exchange):
                energy -= 0.5 * model.exchange[k] * dot(s, other)
            else:
                for a in range(3):
                    energy -= 0.5 * s[a] * dot(model.tensors[k, a], other)
            if len(model.biquadratic):
                energy -= 0.5 * model.biquadratic[k] * dot(s, other) ** 2
    for q in range(len(model.products)):
        energy -= model.product_strengths[q] * product(q, -1, spins[0], spins, model.products)
    return energy
