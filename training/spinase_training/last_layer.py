r"""The last layer of a driven network by least squares, with an eye on what moves and turns a texture as a whole.

A wall is moved by the sum of its torques and turned about its axis by what pushes it along,

.. math:: \tau = \sum_i s_i\times H_i, \qquad P = \sum_i H_i\cdot\partial_x s_i,

and P may be a small part of the field: a network whose fields have R^2 = 0.995 can be wrong by a third in P.  Descent on the
mean square does not see that.  Parts are linear in the weights of the last layer, so are fields, tau and P; after the
descent these weights are those that make least

.. math:: \Big\langle \frac{|\delta H|^2}{3N(|H|^2/N + \ldots)}\Big\rangle
          + \lambda\Big\langle\frac{|\delta\tau|^2}{|\tau|^2 + \ldots} + \frac{\delta P^2}{P^2 + \ldots}\Big\rangle,

the loss of the training and, by ``collective_weight`` lambda, relative errors of tau and P; dots: floor times the mean.

==================  ===========================================
symbol              variable
==================  ===========================================
H (N, 3)            tangent fields, in units of the network
tau (3,), P         rows of ``collective`` (4,)
lambda              ``weight``
==================  ===========================================
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from spinase.errors import InputError
from spinase.geometry import Geometry
from spinase.learning.pairs import Pairs, pairs_of
from spinase.learning.readout import Readout
from spinase.learning.trunk import Trunk
from spinase.learning.two_potentials import TwoPotentialsReadout
from spinase.spin_algebra import tangent
from spinase.typing import FloatArray, IntArray
from spinase_training.data import TrainingData

_RIDGE = 1e-9  # of the mean diagonal, on changes of the weights: those that nothing tells stay
_RANK = 1e-9  # weights of sites that are smaller, of the largest, are none
_NEAR = 1.01  # of the shortest bond: neighbours whose differences are slopes


@dataclass(frozen=True, eq=False)
class LastLayerFit:
    """What a fit changed: losses of the fields and relative errors of the collective torques (rms), before and after."""

    fields: tuple[float, float]
    collective: tuple[float, float]

    def __str__(self) -> str:
        """One line for a log."""
        (one, two), (three, four) = self.fields, self.collective
        return f"field loss {one:.6f} -> {two:.6f}, rms relative error of collective torques {three:.4f} -> {four:.4f}"


def fit_last_layer(
    network: Trunk, readout: Readout, data: TrainingData, rows: IntArray, weight: float, floor: float
) -> LastLayerFit:
    """Set the weights of the last layers of `network`, in place.

    Parameters
    ----------
    network : Trunk
        A trained network.
    readout : Readout
        What its parts mean: two potentials with an axis.
    data : TrainingData
        Configurations with tangent fields.
    rows : (n,) ndarray of int
        Those that are taken.
    weight : float
        lambda.
    floor : float
        Least squares of collective torques in their relative errors, in units of their mean over the rows.

    Raises
    ------
    InputError
        If there is no current along an axis, or no layer in whose weights the parts are linear.
    """
    axis = readout.axis if isinstance(readout, TwoPotentialsReadout) else None
    layers = network.last_layers()
    if axis is None or not layers or network.law_of_pairs() is not None:
        raise InputError(
            "collective_weight is for walls that a current moves: it needs [readout] style = 'two-potentials' with an axis, "
            "and a network with a last layer and without a law of pairs"
        )
    double = _copy(network)
    begin = torch.cat([layer.weight.detach().double().flatten() for layer in layers]).numpy()
    squares = _Squares(len(begin), weight, floor, _mean_collective(data, rows, double.config.cutoff, axis))
    for row in rows:
        site = _Site.of(data, int(row), double.config.cutoff, axis)
        scale = float(np.asarray(data.arrays["weights"])[row, 0])
        squares.add(_design(double, readout, data, int(row), site), site, begin, scale)
    change = squares.solve()
    with torch.no_grad():
        values = torch.from_numpy(begin + change)
        for layer, part in zip(layers, values.split([layer.weight.numel() for layer in layers]), strict=True):
            layer.weight.copy_(part.view_as(layer.weight))
    return squares.told(change)


def _copy(network: Trunk) -> Trunk:
    """The same in double precision, apart from it."""
    double = type(network).from_config(network.config).double()
    double.load_state_dict(network.state_dict())
    return double.eval()


@dataclass(frozen=True, eq=False)
class _Site:
    """One configuration: geometry, spins and fields (N, 3) in units of the network, and rows (4, N, 3) of tau and P."""

    geometry: Geometry
    pairs: Pairs
    kinds: Tensor
    places: FloatArray
    spins: FloatArray
    fields: FloatArray
    modes: FloatArray

    @classmethod
    def of(cls, data: TrainingData, row: int, cutoff: float, axis: int) -> _Site:
        """Configuration `row`."""
        numbers = np.asarray(data.arrays["species"][row])
        real = numbers > 0
        cell = np.asarray(data.arrays["cells"][row], dtype=float)
        places, spins = (np.asarray(data.arrays[name][row], dtype=float)[real] for name in ("positions", "spins"))
        geometry = Geometry(places, cell, np.any(cell != 0.0, axis=1), numbers[real].astype(np.int64))
        pairs = pairs_of(geometry, cutoff, torch.float64)
        kinds = torch.from_numpy(np.searchsorted(np.asarray(data.species), numbers[real]))
        spins = spins / np.maximum(np.linalg.norm(spins, axis=1, keepdims=True), 1e-12)
        fields = data.fields[row][real] / data.scale
        return cls(geometry, pairs, kinds, places, spins, fields, collective_modes(pairs, spins, axis))

    @property
    def collective(self) -> FloatArray:
        """tau and P (4,) of the labels."""
        return np.einsum("mia,ia->m", self.modes, self.fields)


def collective_modes(pairs: Pairs, spins: FloatArray, axis: int) -> FloatArray:
    """Rows (4, N, 3) whose products with a tangent field (N, 3), summed, are tau = sum s x H (3) and P = sum H . ds/dx.

    Slopes are differences to the nearest sites, (ds/dx)_i = sum_j x_ij (s_j - s_i) / sum_j x_ij^2.

    Parameters
    ----------
    pairs : Pairs
        Directed pairs.
    spins : (N, 3) ndarray
        Unit vectors.
    axis : int
        Cartesian axis of x.
    """
    first, second = pairs.rows.first.numpy(), pairs.rows.second.numpy()
    vectors = pairs.vectors.numpy()
    lengths = np.linalg.norm(vectors, axis=1)
    near = lengths < _NEAR * lengths.min()
    first, second, along = first[near], second[near], vectors[near, axis]
    slopes, squares = np.zeros_like(spins), np.zeros(len(spins))
    np.add.at(slopes, first, along[:, None] * (spins[second] - spins[first]))
    np.add.at(squares, first, along**2)
    slopes = tangent(slopes / np.maximum(squares, 1e-12)[:, None], spins)
    turns = [np.cross(np.broadcast_to(unit, spins.shape), spins) for unit in np.eye(3)]  # e.(s x H) = (e x s).H
    return np.stack([*turns, slopes])


def _mean_collective(data: TrainingData, rows: IntArray, cutoff: float, axis: int) -> FloatArray:
    """Mean squares (2,) of |tau| and P over some configurations."""
    found = np.array([_Site.of(data, int(row), cutoff, axis).collective for row in rows]) ** 2
    return np.array([found[:, :3].sum(1).mean(), found[:, 3].mean()])


def _design(network: Trunk, readout: Readout, data: TrainingData, row: int, site: _Site) -> FloatArray:
    """Tangent fields (C, N, 3) for a weight of one, of all weights of the last layers in their order."""
    name = readout.condition
    condition = None if name is None else torch.from_numpy(np.asarray(data.arrays[name])[row]).double()
    parts, places = network.config.parts, torch.from_numpy(site.places)
    batch = torch.zeros(len(site.places), dtype=torch.long)
    weights = readout.site_weights(condition, batch, places, parts, places).double()  # (N, J, K)
    left, strength, right = torch.linalg.svd(weights.flatten(1), full_matrices=False)
    rank = int((strength > _RANK * strength[0]).sum())
    basis, mixing = left[:, :rank], (strength[:rank, None] * right[:rank]).view(rank, *weights.shape[1:])
    spins, columns = torch.from_numpy(site.spins).requires_grad_(True), list[FloatArray]()
    for layer, slopes in _slopes(network, site, spins, basis):
        for part in range(parts):
            for one in slopes:  # (rank, N, 3) of a feature
                gradients = -torch.einsum("rj,ria->jia", mixing[:, :, part], one)
                columns.append(tangent(readout.fields(spins.detach(), gradients, places).numpy(), site.spins))
        assert len(slopes) == layer.in_features
    return np.array(columns)


def _slopes(network: Trunk, site: _Site, spins: Tensor, basis: Tensor) -> Iterator[tuple[nn.Linear, list[Tensor]]]:
    """Gradients (rank, N, 3) of sum_i basis_ir phi_i by the spins, for the inputs phi of each of the last layers."""
    prepared, parts = network.prepare(site.pairs, site.kinds), network.config.parts
    layers = network.last_layers()
    for layer in layers:
        found = list[Tensor]()
        for start in range(0, layer.in_features, parts):
            count = min(parts, layer.in_features - start)
            with torch.no_grad():
                for other in layers:
                    other.weight.zero_()
                layer.weight[:count, start : start + count] = torch.eye(count, dtype=layer.weight.dtype)
            features = network(prepared, spins)[:, :count]
            sums = [(basis[:, r] * features[:, k]).sum() for k in range(count) for r in range(basis.shape[1])]
            each = [torch.autograd.grad(one, spins, retain_graph=True)[0] for one in sums]
            found += [torch.stack(each[k * basis.shape[1] : (k + 1) * basis.shape[1]]) for k in range(count)]
        yield layer, found


class _Squares:
    """Sums of squares of all configurations, as normal equations of the change of the weights."""

    def __init__(self, columns: int, weight: float, floor: float, mean: FloatArray) -> None:
        self.weight, self.floor, self.mean = weight, floor, mean
        self.matrices = [np.zeros((columns, columns)) for _ in range(2)]  # of fields, of collective torques
        self.targets = [np.zeros(columns) for _ in range(2)]
        self.powers, self.count = [0.0, 0.0], 0

    def add(self, design: FloatArray, site: _Site, begin: FloatArray, weight: float) -> None:
        """A configuration with its design (C, N, 3), the weights (C,) now, and its weight in the loss of the training."""
        flat, missing = design.reshape(len(design), -1), site.fields - np.einsum("cia,c->ia", design, begin)
        self._add(0, flat * (weight / missing.size**0.5), missing.ravel() * (weight / missing.size**0.5))
        known = site.collective
        squares = np.array([known[:3] @ known[:3], known[3] ** 2]) + self.floor * self.mean
        scales = 1.0 / np.sqrt(squares)[[0, 0, 0, 1]]
        rows = np.einsum("cia,mia->cm", design, site.modes)
        self._add(1, rows * scales, np.einsum("ia,mia->m", missing, site.modes) * scales)
        self.count += 1

    def _add(self, which: int, rows: FloatArray, missing: FloatArray) -> None:
        self.matrices[which] += rows @ rows.T
        self.targets[which] += rows @ missing
        self.powers[which] += float(missing @ missing)

    def solve(self) -> FloatArray:
        """Change (C,) of the weights."""
        matrix, target = (one + self.weight * two for one, two in (self.matrices, self.targets))
        ridge = _RIDGE * np.trace(matrix) / len(matrix)
        return np.asarray(np.linalg.solve(matrix + ridge * np.eye(len(matrix)), target))

    def told(self, change: FloatArray) -> LastLayerFit:
        """Losses before and after."""
        losses = [
            (power / self.count, max(float(power - 2.0 * change @ target + change @ matrix @ change), 0.0) / self.count)
            for power, target, matrix in zip(self.powers, self.targets, self.matrices, strict=True)
        ]
        (before, after), (one, two) = losses
        return LastLayerFit((before, float(after)), ((0.5 * one) ** 0.5, float(0.5 * two) ** 0.5))


__all__ = ["LastLayerFit", "collective_modes", "fit_last_layer"]
