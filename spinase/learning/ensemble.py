"""Ensembles: the networks of a model with their readout, each asked through the evaluators that were chosen."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from spinase.errors import ModelError
from spinase.learning.card import ModelCard
from spinase.learning.engine.compiled import CompiledEvaluator
from spinase.learning.engine.lattice.evaluator import LatticeEvaluator
from spinase.learning.engine.moving_compiled import MovingEvaluator
from spinase.learning.evaluator import Evaluation, Evaluator, Question, Request, choose
from spinase.learning.frozen_geometry import FrozenGeometry, joined
from spinase.learning.readout import Readout
from spinase.learning.torch_evaluator import TorchEvaluator
from spinase.learning.trunk import Trunk
from spinase.rendezvous import ask
from spinase.typing import FloatArray

_LOG = logging.getLogger(__name__)
EVALUATORS: tuple[type[Evaluator], ...] = (CompiledEvaluator, LatticeEvaluator, MovingEvaluator, TorchEvaluator)
"""Who may compute, the first choice first."""


@dataclass(frozen=True, eq=False)
class SpinAnswer:
    """What the M networks say of spins.

    Attributes
    ----------
    energies : (M, R) ndarray
        Of R magnets, energy.
    gradients : (M, R N, 3) ndarray
        H = -dE/ds (of a driven system: the field that acts), energy.
    results : mapping
        What their readout found beside, (M, R).
    """

    energies: FloatArray
    gradients: FloatArray
    results: Mapping[str, FloatArray] = field(default_factory=dict)

    def of_magnet(self, k: int) -> SpinAnswer:
        """What they say of one of the magnets."""
        sites, count = self.gradients.shape[1], self.energies.shape[1]
        rows = slice(k * sites // count, (k + 1) * sites // count)
        results = {name: values[:, k : k + 1] for name, values in self.results.items()}
        return SpinAnswer(self.energies[:, k : k + 1], self.gradients[:, rows], results)


@dataclass(eq=False)
class EnsembleState:
    """What an ensemble says of spins (N, 3) on a geometry; each part is computed when it is first asked for.

    Runs side by side (:mod:`spinase.rendezvous`) ask together, for fields before they ask for forces.
    """

    ensemble: Ensemble
    frozen: FrozenGeometry
    spins: FloatArray
    spin_answer: SpinAnswer | None = None
    motion_answer: tuple[FloatArray, FloatArray] | None = None

    @property
    def of_spins(self) -> SpinAnswer:
        """Energies and spin gradients."""
        if self.spin_answer is None:
            ask((self.ensemble, len(self.spins), False), self, lambda states: self.ensemble.find(states, False))
        assert self.spin_answer is not None
        return self.spin_answer

    @property
    def motion(self) -> tuple[FloatArray, FloatArray]:
        """Forces (N, 3), energy/length, and virial (3, 3), energy, of the mean energy; `of_spins` where they come along."""
        if self.motion_answer is None:
            kind = (self.ensemble, len(self.spins), True)
            ask(kind, self, lambda states: self.ensemble.find(states, True), order=1)
        assert self.motion_answer is not None
        return self.motion_answer


class Ensemble:
    """Networks of one model, ready to be asked.

    Parameters
    ----------
    networks, card
        At least one, all of the card's configuration.
    request : Request
        Precision, device, and whether atoms move.
    readout : Readout
        What the parts mean, with the electrons that were chosen.
    evaluators : sequence of Evaluator classes
        Who may compute, the first choice first.

    Raises
    ------
    ModelError
        On a device that is not there, or if no evaluator supports the request.
    """

    def __init__(
        self,
        networks: Sequence[Trunk],
        card: ModelCard,
        request: Request,
        readout: Readout,
        evaluators: Sequence[type[Evaluator]] = EVALUATORS,
    ) -> None:
        self.card, self.readout, self.request = card, readout, request
        self._joined: list[tuple[tuple[FrozenGeometry, ...], FrozenGeometry]] = []
        readout.constant_weights(card.trunk.parts)  # refuses parts it makes no sense of
        try:
            self.networks = [_frozen(network, request) for network in networks]
        except (RuntimeError, AssertionError) as error:
            raise ModelError(f"cannot use the torch device {request.device!r}: {error}") from None
        chosen = choose(evaluators, self.networks[0], request)
        if chosen is None:
            raise ModelError(f"none of {', '.join(kind.__name__ for kind in evaluators)} computes {request}")
        _LOG.debug("%s computes %s", chosen.__name__, request)
        self.by_spins = chosen(self.networks, request)
        moves = replace(request, positions=True)
        mover = choose(evaluators, self.networks[0], moves) if readout.conservative else None
        self.one_pass = mover is chosen and chosen.joins_derivatives
        self.by_positions = self.by_spins if self.one_pass else None if mover is None else mover(self.networks, moves)

    def __getstate__(self) -> dict[str, Any]:
        """A copy finds geometries side by side anew."""
        return {**self.__dict__, "_joined": []}

    def with_readout(self, readout: Readout) -> Ensemble:
        """The same networks with another readout of the same kind, such as one under another bias."""
        other = copy.copy(self)
        other.readout = readout
        return other

    def solve(self, frozen: FrozenGeometry, spins: FloatArray, magnets: int = 1) -> SpinAnswer:
        """Energies and spin gradients of every network for spins (R N, 3) of R magnets on copies of the geometry.

        Parameters
        ----------
        frozen : FrozenGeometry
            Of one magnet, or of R copies.
        spins : (R N, 3) ndarray
            Unit spins, zero rows where there is no moment.
        magnets : int
            R.
        """
        question = self.question(frozen, spins, magnets)
        prepared = self.by_spins.prepared(frozen)
        found = [self.by_spins.evaluate(prepared, member, question) for member in range(len(self.networks))]
        return self.answer(found, question)

    def question(self, frozen: FrozenGeometry, spins: FloatArray, magnets: int = 1) -> Question:
        """What evaluators are asked about spins (R N, 3) of R magnets.

        Parameters
        ----------
        frozen : FrozenGeometry
            Of all magnets.
        spins : (R N, 3) ndarray
            Unit spins, zero rows where there is no moment.
        magnets : int
            R.
        """
        each = frozen.positions.reshape(magnets, -1, 3)
        middle = np.add.reduce(each, axis=1, keepdims=True) / max(each.shape[1], 1)
        places = (each - middle).reshape(-1, 3) if each.size else frozen.positions
        return Question(spins, self.readout, places, self.card.energy_scale, magnets)

    def answer(self, found: Sequence[Evaluation], question: Question) -> SpinAnswer:
        """What evaluations of all networks say, in the model's units."""
        scale, spins, magnets, places = self.card.energy_scale, question.spins, question.magnets, question.places
        energies = scale * np.array([one.potentials[0] for one in found]) + self.card.energy_shift * (len(spins) // magnets)
        energies += np.array([one.weighed.work + np.zeros(magnets) for one in found])
        seen = [None if one.seen_from_sites else places for one in found]
        fields = scale * np.array(
            [self.readout.fields(spins, one.fields, where) for one, where in zip(found, seen, strict=True)]
        )
        results = {name: np.array([one.weighed.results[name] for one in found]) for name in found[0].weighed.results}
        return SpinAnswer(energies, fields, results)

    def states(self, parts: Sequence[FrozenGeometry], spins: FloatArray, moving: bool) -> list[EnsembleState]:
        """What the networks say of R magnets of equal size with spins (R, N, 3); with `moving`, forces and virials as well.

        It is found in one pass where compiled loops do it.

        Parameters
        ----------
        parts : sequence of FrozenGeometry
            R of them, of N sites each.
        spins : (R, N, 3) ndarray
            Unit spins, zero rows where there is no moment.
        moving : bool
            Whether forces and virials are asked for.
        """
        states = [EnsembleState(self, part, one) for part, one in zip(parts, spins, strict=True)]
        if len(states) > 1 and self._joins(moving):
            self.find(states, moving)
        return states

    def _joins(self, moving: bool) -> bool:
        """Whether many magnets take one pass."""
        return self.one_pass if moving else self.by_spins.joins_replicas

    def find(self, states: Sequence[EnsembleState], moving: bool) -> None:
        """Answer states of equal numbers of sites, of this ensemble: fields, with `moving` forces and virials.

        All in one pass where compiled loops do it.
        """
        if len(states) > 1 and not self._joins(moving):
            for state in states:
                self.find([state], moving)
            return
        count = len(states)
        spins = states[0].spins if count == 1 else np.concatenate([state.spins for state in states])
        whole = self._whole([state.frozen for state in states])
        if moving:
            question = self.question(whole, spins, count)
            found = self.evaluations(whole, question)
            forces, virials = self.motion(found, whole)
            for state, force, virial in zip(states, forces.reshape(count, -1, 3), virials, strict=True):
                state.motion_answer = (force, virial)
            if not self.one_pass:
                return
            answer = self.answer(found, question)
        else:
            answer = self.solve(whole, spins, count)
        for k, state in enumerate(states):
            if state.spin_answer is None:
                state.spin_answer = answer if count == 1 else answer.of_magnet(k)

    def _whole(self, parts: Sequence[FrozenGeometry]) -> FrozenGeometry:
        """The geometries side by side; the last two are kept, for runs whose atoms stay, or stay within a step."""
        if all(part is parts[0] for part in parts):
            return parts[0] if len(parts) == 1 else parts[0].repeated(len(parts))
        for known, whole in self._joined:
            if len(known) == len(parts) and all(one is other for one, other in zip(known, parts, strict=True)):
                return whole
        whole = joined(parts)
        self._joined = [*self._joined[-1:], (tuple(parts), whole)]
        return whole

    def evaluations(self, frozen: FrozenGeometry, question: Question) -> list[Evaluation]:
        """Of all networks, with derivatives by positions; those by spins where they come along."""
        assert self.by_positions is not None
        asked = replace(question, fields=self.one_pass, pulls=True)
        prepared = self.by_positions.prepared(frozen)
        return [self.by_positions.evaluate(prepared, member, asked) for member in range(len(self.networks))]

    def motion(self, found: Sequence[Evaluation], frozen: FrozenGeometry) -> tuple[FloatArray, FloatArray]:
        """Forces (R N, 3) and virials (R, 3, 3) of the mean energy; R = 1 where evaluators give slopes by pairs."""
        assert self.by_positions is not None
        request, scale = self.by_positions.request, self.card.energy_scale / len(found)
        pulls = [one.pulls for one in found if one.pulls is not None]
        if pulls:
            pulled, turned = frozen.forces(scale * np.sum(pulls, axis=0), request.torch_dtype, request.device)
            return pulled, turned[None]
        forces, virials = np.zeros_like(frozen.positions), np.zeros((found[0].potentials.shape[1], 3, 3))
        for one in found:
            assert one.forces is not None
            assert one.virial is not None
            forces += scale * one.forces
            virials += scale * one.virial
        return forces, virials

    def replicas(self, frozen: FrozenGeometry, spins: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean energies (R,) and H (R, N, 3) of spins (R, N, 3) of the same sites."""
        if not self.by_spins.joins_replicas:
            answers = [self.solve(frozen, one) for one in spins]
            energies = np.array([answer.energies.mean() for answer in answers])
            return energies, np.array([answer.gradients.mean(axis=0) for answer in answers]).reshape(spins.shape)
        answer = self.solve(frozen.repeated(len(spins)), spins.reshape(-1, 3), len(spins))
        return answer.energies.mean(axis=0), answer.gradients.mean(axis=0).reshape(spins.shape)


def _frozen(network: Trunk, request: Request) -> Trunk:
    """A copy where it is asked for, whose weights stay."""
    copy = type(network).from_config(network.config)
    copy.load_state_dict(network.state_dict())
    for parameter in copy.parameters():
        parameter.requires_grad_(False)
    return copy.to(torch.device(request.device), request.torch_dtype).eval()


__all__ = ["EVALUATORS", "Ensemble", "EnsembleState", "SpinAnswer"]
