"""Learned models as local energies: an ensemble's networks on the given pairs of a region, ghosts included.

A network of L layers of range r_c sees sites within L r_c: features of a site after layer k come from those of its
neighbours after layer k - 1.  So ghosts reach L r_c, and those within (L - 1) r_c have pairs of their own; what features
are worth beyond that does not matter, because only the parts of owned sites are added up,

    E_region = scale sum_(i owned) sum_k w_k e_ik + shift,    derivatives by automatic differentiation,

with weights w_k that are the same for all sites: 1 for an energy, T_k(mu) for a grand potential at a fixed chemical
potential.  At a fixed filling they depend on all sites of the magnet, so that is no local energy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spinase.errors import InvalidGeometryError, ModelError, OutOfDomainError
from spinase.geometry import Bonds, Geometry
from spinase.learning.pairs import Pairs, Rows
from spinase.learning.trunk import Trunk
from spinase.learning.trust.domain import Domain
from spinase.regions import LocalResult, Region
from spinase.spin_algebra import per_moment
from spinase.typing import FloatArray


@dataclass(frozen=True, eq=False)
class NetworkEnergy:
    """The mean of an ensemble's networks as ``contract.LocalEnergy``.

    Attributes
    ----------
    name : str
        Of the model, for errors.
    networks : sequence of Trunk
        At least one, on their device and in their precision, with weights that stay.
    part_weights : (K,)
        w_k, weights of the parts of a site.
    scale, shift : float
        Energy of one unit of the networks', and of every site beside.
    units : str
        Unit system.
    refused_properties : mapping
        Forces, where none were trained, with the reason.
    domain : Domain or None
        Pairs closer than those of this training are refused; None: all are taken.
    """

    name: str
    networks: Sequence[Trunk]
    part_weights: FloatArray
    scale: float
    shift: float
    units: str | None
    refused_properties: Mapping[str, str]
    domain: Domain | None

    @property
    def cutoff(self) -> float:
        """Range of a layer, length."""
        return self.networks[0].config.cutoff

    @property
    def ghost_depth(self) -> float:
        """Range of all layers, length."""
        return self.networks[0].interaction_range

    @property
    def layers(self) -> int:
        """How many cutoffs far a site sees."""
        return int(np.ceil(self.ghost_depth / self.cutoff - 1e-9))

    def freeze(self, region: Region) -> FrozenNetworkEnergy:
        """Pairs and species of a region.

        Raises
        ------
        InvalidGeometryError
            If pairs or ghosts do not reach far enough, or ghosts that need pairs of their own have none.
        ModelError
            If the model does not know a species.
        OutOfDomainError
            If sites are closer than any trained.
        """
        region.require(f"the model {self.name!r}", self.cutoff, self.ghost_depth)
        near = region.pairs.select(region.pairs.distances <= self.cutoff)
        self._refuse_close(region, near)
        near = near.select(self._needed(near, region))
        weights = next(self.networks[0].parameters())
        kinds = torch.from_numpy(self.networks[0].config.indices(region.numbers, f"the model {self.name!r}"))
        return FrozenNetworkEnergy(self, _directed(near, len(region), weights), kinds.to(weights.device), region.owned)

    def _needed(self, pairs: Bonds, region: Region) -> Any:
        """Which of the pairs start at sites whose sums matter: as many steps from an owned site as layers follow."""
        layers = self.layers
        steps = np.full(len(region), layers)
        steps[: region.owned] = 0
        for k in range(1, layers):
            reached = pairs.second[steps[pairs.first] == k - 1]
            steps[reached] = np.minimum(steps[reached], k)
        bare = np.bincount(pairs.first, minlength=len(region)) == 0
        lost = np.flatnonzero((steps > 0) & (steps < layers) & bare)
        if len(lost):
            raise InvalidGeometryError(
                f"ghost {lost[0]} (a copy of site {region.tags[lost[0]]}) has no pairs of its own, but the model "
                f"{self.name!r} has {layers} layers: list the pairs of ghosts as far as "
                f"{self.ghost_depth - self.cutoff:.6g} from owned sites"
            )
        return steps[pairs.first] < layers

    def _refuse_close(self, region: Region, pairs: Bonds) -> None:
        """Coordination numbers and densities are those of whole magnets, and are not looked at here."""
        if self.domain is None:
            return
        sites = Geometry(region.positions, np.zeros((3, 3)), np.zeros(3, dtype=bool), region.numbers)
        problem = replace(self.domain, shells=(), density=None).problem(sites, bonds=pairs)
        if problem is not None:
            raise OutOfDomainError(f"{problem}: the learned magnet {self.name!r} has no data for this")


@dataclass(frozen=True, eq=False)
class FrozenNetworkEnergy:
    """Networks on a region that owns `owned` sites."""

    model: NetworkEnergy
    pairs: Pairs
    kinds: Tensor
    owned: int

    @cached_property
    def prepared(self) -> Any:
        """What the networks make of the pairs, while only spins change."""
        return self._prepared(self.pairs.vectors)

    def _prepared(self, vectors: Tensor) -> Any:
        return self.model.networks[0].prepare(Pairs(self.pairs.rows, vectors), self.kinds)

    def evaluate(self, spins: FloatArray, lengths: FloatArray, forces: bool = False) -> LocalResult:
        """Energies and derivatives, see :class:`spinase.regions.FrozenLocalEnergy`.

        Parameters
        ----------
        spins : (n, 3) ndarray
            Unit spins of all sites of the region, ghosts included.
        lengths : (n,) ndarray
            Lengths of their moments, moment.
        forces : bool
            Whether forces and virial are asked for.

        Raises
        ------
        ModelError
            If forces are asked for that the model refuses.
        """
        model, sites = self.model, len(self.kinds)
        if forces and "forces" in model.refused_properties:
            raise ModelError(model.refused_properties["forces"])
        if not self.owned:
            empty = LocalResult(np.zeros(0), np.zeros((sites, 3)))
            return replace(empty, forces=np.zeros((sites, 3)), virial=np.zeros((3, 3))) if forces else empty
        vectors = self.pairs.vectors.detach().requires_grad_(forces)
        prepared = self._prepared(vectors) if forces else self.prepared
        free = torch.tensor(spins).to(vectors).requires_grad_(True)
        wanted = [free, vectors] if forces else [free]
        energies, slopes = np.zeros(self.owned), [np.zeros(tuple(one.shape)) for one in wanted]
        weights, share = torch.from_numpy(model.part_weights).to(vectors), model.scale / len(model.networks)
        for network in model.networks:
            values = network(prepared, free)[: self.owned] @ weights
            found = torch.autograd.grad(values.sum(), wanted, retain_graph=forces, materialize_grads=True)
            energies += share * _array(values)
            slopes = [total + share * _array(one) for total, one in zip(slopes, found, strict=True)]
        fields = per_moment(-slopes[0] * (lengths > 0.0)[:, None], lengths)
        result = LocalResult(energies + model.shift, fields)
        return self._with_forces(result, slopes[1]) if forces else result

    def _with_forces(self, result: LocalResult, pulls: FloatArray) -> LocalResult:
        """Forces and virial from dE/d(pair vector) (P, 3)."""
        first, second = self.pairs.rows.first.cpu().numpy(), self.pairs.rows.second.cpu().numpy()
        forces = np.zeros((len(self.kinds), 3))
        np.add.at(forces, first, pulls)
        np.add.at(forces, second, -pulls)
        return replace(result, forces=forces, virial=pulls.T @ _array(self.pairs.vectors))


def _directed(pairs: Bonds, sites: int, like: Tensor) -> Pairs:
    """Pairs by rows, on the device and in the precision of `like`."""
    order = np.argsort(pairs.first, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(pairs.first, minlength=sites))])
    rows = Rows(*(torch.from_numpy(part).to(like.device) for part in (starts, pairs.first[order], pairs.second[order])))
    return Pairs(rows, torch.from_numpy(pairs.vectors[order]).to(like))


def _array(tensor: Tensor) -> FloatArray:
    found: FloatArray = tensor.detach().cpu().numpy().astype(np.float64)
    return found


__all__ = ["FrozenNetworkEnergy", "NetworkEnergy"]
