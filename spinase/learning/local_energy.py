"""Learned models as local energies: an ensemble's networks on the given pairs of a region, ghosts included.

A network of L layers of range r_c sees sites within L r_c: features of a site after layer k come from those of its
neighbours after layer k - 1.  So ghosts reach L r_c, and those within (L - 1) r_c have pairs of their own; what features
are worth beyond that does not matter, because only the parts of owned sites are added up,

    E_region = scale sum_(i owned) sum_k w_k e_ik + shift,

with weights w_k that are the same for all sites: 1 for an energy, T_k(mu) for a grand potential at a fixed chemical
potential.  At a fixed filling they depend on all sites of the magnet, so that is no local energy.
Parts and their derivatives come from compiled loops where the calculator uses these, else from torch
(:class:`spinase.learning.evaluator.RegionEvaluator`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spinase.errors import InvalidGeometryError, ModelError, OutOfDomainError
from spinase.geometry import Bonds, Geometry
from spinase.learning.card import ModelCard
from spinase.learning.evaluator import Evaluator, RegionEvaluator, RegionSites, Request, choose
from spinase.learning.readout import Readout
from spinase.learning.trunk import Trunk
from spinase.learning.trust.domain import Domain
from spinase.regions import LocalResult, Region
from spinase.spin_algebra import per_moment
from spinase.typing import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class NetworkEnergy:
    """The mean of an ensemble's networks as ``contract.LocalEnergy``.

    Attributes
    ----------
    name : str
        Of the model, for errors.
    evaluator : RegionEvaluator
        Who computes the networks.
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
    evaluator: RegionEvaluator
    part_weights: FloatArray
    scale: float
    shift: float
    units: str | None
    refused_properties: Mapping[str, str]
    domain: Domain | None

    @property
    def cutoff(self) -> float:
        """Range of a layer, length."""
        return self.evaluator.trunks[0].config.cutoff

    @property
    def ghost_depth(self) -> float:
        """Range of all layers, length."""
        return self.evaluator.trunks[0].interaction_range

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
        species = self.evaluator.trunks[0].config.indices(region.numbers, f"the model {self.name!r}")
        steps = self._steps(near, region)
        near = near.select(steps[near.first] < self.layers)
        if np.any(np.diff(near.first) < 0):
            near = near.select(np.argsort(near.first, kind="stable"))
        sites = RegionSites(region.positions, species, near, steps, self.layers)
        return FrozenNetworkEnergy(self, len(region), self.evaluator.prepare(sites) if region.owned else None)

    def _steps(self, pairs: Bonds, region: Region) -> IntArray:
        """Pairs to the nearest owned site, (n,), as many as layers at most; ghosts with less need pairs of their own."""
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
        return steps

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
    """Networks on a region; what the evaluator prepared for it is None where no site is owned."""

    model: NetworkEnergy
    sites: int
    prepared: Any

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
        model, sites = self.model, self.sites
        if forces and "forces" in model.refused_properties:
            raise ModelError(model.refused_properties["forces"])
        if self.prepared is None:
            empty = LocalResult(np.zeros(0), np.zeros((sites, 3)))
            return replace(empty, forces=np.zeros((sites, 3)), virial=np.zeros((3, 3))) if forces else empty
        evaluator, share = model.evaluator, model.scale / len(model.evaluator.trunks)
        found = [
            evaluator.evaluate(self.prepared, member, spins, model.part_weights, forces)
            for member in range(len(evaluator.trunks))
        ]
        fields = share * np.sum([answer.fields for answer in found], axis=0) * (lengths > 0.0)[:, None]
        energies = share * np.sum([answer.energies for answer in found], axis=0) + model.shift
        result = LocalResult(energies, per_moment(fields, lengths))
        if not forces:
            return result
        pulled, virial = np.zeros((sites, 3)), np.zeros((3, 3))
        for answer in found:
            assert answer.forces is not None
            assert answer.virial is not None
            pulled += share * answer.forces
            virial += share * answer.virial
        return replace(result, forces=pulled, virial=virial)


def network_energy(
    networks: Sequence[Trunk],
    card: ModelCard,
    readout: Readout,
    request: Request,
    evaluators: Sequence[type[Evaluator]],
    refused_properties: Mapping[str, str],
    domain: Domain | None,
) -> NetworkEnergy:
    """The mean of a model's networks as a local energy.

    Parameters
    ----------
    networks, card
        Of the model.
    readout : Readout
        Conservative, at a fixed chemical potential if it is one of electrons.
    request : Request
        What evaluators are chosen for.
    evaluators : sequence of Evaluator classes
        Who may compute, the first choice first.
    refused_properties, domain
        As in :class:`NetworkEnergy`.

    Raises
    ------
    ModelError
        For a driven model, for electrons at a fixed filling, and if none of the evaluators computes regions.
    """
    if not readout.conservative:
        raise ModelError(f"the model {card.name!r} is driven, so there is no energy to divide among regions")
    if readout.filling is not None:
        raise ModelError(
            f"the model {card.name!r} at a fixed filling cannot be divided among regions: its chemical potential "
            "follows from all sites of the magnet. Give chemical_potential= in place of the filling"
        )
    chosen = choose([kind.on_regions for kind in evaluators if kind.on_regions], networks[0], request)
    if chosen is None:
        names = ", ".join(kind.__name__ for kind in evaluators)
        raise ModelError(f"the model {card.name!r} cannot be divided among regions: none of {names} computes regions")
    weighed = readout.weigh(np.zeros((1, card.trunk.parts)), 1, card.energy_scale, np.zeros((1, 3)))
    return NetworkEnergy(
        card.name,
        chosen(networks, request),
        weighed.weights[0, 0],
        card.energy_scale,
        card.energy_shift,
        card.units,
        refused_properties,
        domain,
    )


__all__ = ["FrozenNetworkEnergy", "NetworkEnergy", "network_energy"]
