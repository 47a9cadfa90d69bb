"""Learned magnets as an ASE calculator: any trunk, any readout, asked through evaluators."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from ase import Atoms
from pydantic import Field

from spinase.atoms import geometry_of, get_moments, get_reference_lengths
from spinase.brief import call
from spinase.calculators.base import SpinCalculator, per_moment, split_moments
from spinase.calculators.learned_images import ImageSet, energies_and_fields_of_replicas, states_of_images
from spinase.calculators.negf_options import Bias, BiasRampConfig, bias_number
from spinase.contract import FieldFunction, LocalEnergy
from spinase.errors import ModelError, ModelFileError
from spinase.geometry import Geometry, NeighbourCache, stress_of
from spinase.law_tables import OptionTable
from spinase.learning.card import ModelCard
from spinase.learning.ensemble import EVALUATORS, Ensemble, EnsembleState, SpinAnswer
from spinase.learning.evaluator import Evaluator, Precision, Request, choose
from spinase.learning.frozen_geometry import FrozenGeometry
from spinase.learning.local_energy import network_energy
from spinase.learning.model_file import load_model
from spinase.learning.readout import Readout
from spinase.learning.shipped import find_model, shipped_model
from spinase.learning.trunk import Trunk
from spinase.learning.trust.device import lead_problem, require_device
from spinase.learning.trust.domain import Domain, DomainProblem
from spinase.learning.trust.error_bars import calibration_of, field_spread
from spinase.learning.trust.watch import DomainWatch, OutsideDomain
from spinase.learning.two_potentials import TwoPotentialsReadout
from spinase.typing import FloatArray, IntArray


class LearnedConfig(OptionTable):
    """A learned magnet."""

    model: str = Field(description="model file, from the current directory, or name of a model that comes with spinase")
    device: str = Field("cpu", description="torch device: cpu, cuda, ...")
    dtype: Precision = Field("float32", description="precision of the network")
    filling: float | None = Field(None, ge=0, le=1, description="electrons per spin-orbital, for models that know them [1]")
    chemical_potential: float | None = Field(None, description="chemical potential, instead of the filling [energy]")
    outside_domain: OutsideDomain = Field(
        "warn",
        description="for magnets unlike those of the training: warn once (error where sites are closer than any trained, "
        "and for fillings and biases never trained), always error, or ignore",
    )
    bias: float | BiasRampConfig | None = Field(
        None, description="bias between the leads, for driven models, or a ramp { from, to, duration } [energy]"
    )


@dataclass(frozen=True, eq=False)
class Bound:
    """A geometry with the ensemble whose evaluators were chosen for it."""

    ensemble: Ensemble
    geometry: FrozenGeometry


class LearnedCalculator(SpinCalculator[Bound, EnsembleState]):
    """A model's ensemble: energies, fields, forces and stress are those of the mean of its networks.

    What depends on the geometry only is kept while atoms stay.  Who computes is chosen by trunk, precision, device and
    what the driver declares about motion, so the same question has the same answer to the last bit, whatever was asked
    before.  Every geometry is held against what the model's card says of the training
    (:mod:`spinase.learning.trust.domain`).

    Parameters
    ----------
    model : path, name, or (networks, card)
        Model file, or name of a model that comes with the package (``spinase models``), or networks with their card.
    device, dtype : str
        Torch device; ``"float32"`` or ``"float64"``.
    filling, chemical_potential : float, optional
        Electrons per spin-orbital, for models of electrons (default: that of their teacher), or a fixed energy instead.
    outside_domain : {"warn", "error", "ignore"}
        What to do with magnets unlike those of the training (:class:`spinase.learning.trust.watch.DomainWatch`).
    evaluators : sequence of Evaluator classes
        Who may compute, the first choice first.
    bias : float or function of time, optional
        Of a driven model, energy (:class:`~spinase.calculators.negf.NEGFCalculator`), at its time.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, of another version or convention.
    ModelError, OutOfDomainError
        On an unknown dtype or device, or unknown electrons; later, if no known chemical potential gives the filling, and on
        magnets as said above.
    """

    Config: type[LearnedConfig] = LearnedConfig

    def __init__(
        self,
        model: str | Path | tuple[Sequence[Trunk], ModelCard],
        device: str = "cpu",
        dtype: Precision = "float32",
        filling: float | None = None,
        chemical_potential: float | None = None,
        outside_domain: OutsideDomain = "warn",
        evaluators: Sequence[type[Evaluator]] = EVALUATORS,
        bias: Bias | None = None,
    ) -> None:
        super().__init__()
        if dtype not in ("float32", "float64"):
            raise ModelError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
        networks, self.card = load_model(find_model(model)) if isinstance(model, str | Path) else model
        if not networks:
            raise ModelFileError("a learned calculator needs at least one network")
        # Networks in hand are the caller's own; of those that come from files nobody may know how they were trained.
        self.watch = DomainWatch(self.card.domain(), self.card.name, outside_domain, isinstance(model, str | Path))
        self._bias_law = bias
        start = None if bias is None else bias_number(bias(0.0) if callable(bias) else bias)
        readout = self.card.readout_at(filling, chemical_potential, start)
        self.watch.require_bias(start)
        self.watch.require_electrons(readout.filling, readout.chemical_potential)
        self._evaluators = tuple(evaluators)
        request = self._request(Request(dtype, device), networks[0], readout)
        self.ensemble = Ensemble(networks, self.card, request, readout, evaluators)
        self.units = self.card.units
        self.conservative = readout.conservative
        self.symmetries = networks[0].symmetries - readout.breaks
        self._neighbours, self._images = NeighbourCache(), ImageSet()
        self._species: tuple[IntArray, IntArray] | None = None  # atomic numbers, and their places in those of the trunk
        self._declared: bool | None = None  # whether atoms move
        self._say_what_it_gives()

    @classmethod
    def from_config(cls, config: LearnedConfig) -> Self:
        """Calculator from the table of an input file."""
        return cls(
            config.model,
            config.device,
            config.dtype,
            filling=config.filling,
            chemical_potential=config.chemical_potential,
            outside_domain=config.outside_domain,
            bias=config.bias.law() if isinstance(config.bias, BiasRampConfig) else config.bias,
        )

    @classmethod
    def shipped(cls, name: str, **options: Any) -> Self:
        """A model that comes with the package, by its name; the options are those of the class.

        Raises
        ------
        ModelFileError
            If there is no such model.
        """
        return cls(shipped_model(name), **options)

    def twin(self) -> Self:
        """A calculator of the same network with geometry and results of its own, for :func:`spinase.dynamics.lockstep`."""
        other = copy.copy(self)
        other._neighbours, other._images = NeighbourCache(), ImageSet()
        return other

    @property
    def networks(self) -> list[Trunk]:
        """The networks, on their device, in their precision."""
        return self.ensemble.networks

    @property
    def field_resolution(self) -> float:
        """Relative round-off of the fields (``contract.field_resolution``); zero in double precision."""
        return 0.0 if self.ensemble.request.dtype == "float64" else 2.0**-23  # of float32; numpy takes 5 us to say so

    @property
    def domain(self) -> Domain:
        """What the model was trained on."""
        return self.watch.domain

    def _say_what_it_gives(self) -> None:
        """Results: those of the readout, no forces where none were trained or the trunk has none, no energy if driven."""
        refused: dict[str, str] = {}
        if self.card.trained_forces() is False:
            refused["forces"] = (
                f"the model {self.card.name!r} was trained on fields at fixed positions, not on forces: it has no "
                "{name}. Use a model that was (of those that come with spinase: 'disordered-sd-moving'), or train one with "
                "labelled forces and force_weight > 0"
            )
        elif self.conservative and self.ensemble.by_positions is None:
            refused["forces"] = (
                f"the model {self.card.name!r} has no {{name}}: its {type(self.networks[0]).__name__} does not follow "
                "positions, so atoms must stay"
            )
        if refused:
            self.refused_properties = {name: refused["forces"].format(name=name) for name in ("forces", "stress")}
        names = self.implemented_properties if self.conservative else ["magnetic_forces", "torques"]
        names = [*names, *self.ensemble.readout.results]
        self.implemented_properties = [name for name in names if name not in self.refused_properties]

    def _request(self, request: Request, network: Trunk, readout: Readout) -> Request:
        """A model with forces is asked as if atoms moved, where one pass gives all results: they belong together then."""
        moving = choose(self._evaluators, network, replace(request, moving=True))
        one_pass = moving is not None and moving.joins_derivatives
        forces = readout.conservative and self.card.trained_forces() is not False
        return replace(request, moving=request.moving or (one_pass and forces))

    def declare_motion(self, moving: bool) -> None:
        """Say whether positions change from step to step (drivers do): evaluators of the next geometry are chosen for that.

        Fields that were handed out before stay with what was chosen for them.  Where one pass gives energies, fields and
        forces it is used whatever is declared.
        """
        if moving == self._declared:
            return
        ensemble, self._declared = self.ensemble, moving
        declared = replace(ensemble.request, moving=moving)
        request = self._request(declared, ensemble.networks[0], ensemble.readout)
        if request == ensemble.request:
            return
        self.ensemble = Ensemble(ensemble.networks, self.card, request, ensemble.readout, self._evaluators)
        self._frozen, self._state = None, None
        self.reset()

    # -- bias ---------------------------------------------------------------------------------------------------------

    @property
    def bias(self) -> float | None:
        """The bias now, energy; None for models without leads."""
        readout = self.ensemble.readout
        return readout.bias if isinstance(readout, TwoPotentialsReadout) else None

    def set_time(self, time: float) -> None:
        """Take the bias at `time`; results of another bias are forgotten.  Drivers call this.

        Raises
        ------
        OutOfDomainError
            If the bias was not trained.
        """
        bias = bias_number(self._bias_law(time)) if callable(self._bias_law) else None
        if bias is None or bias == self.bias:
            return
        self.watch.require_bias(bias)
        self.ensemble = self.ensemble.with_readout(self.ensemble.readout.under(bias))
        if self._frozen is not None:
            self._frozen = replace(self._frozen, ensemble=self.ensemble)
        self._state, self.results = None, {}

    @property
    def _leads(self) -> list[dict[str, Any]]:
        """Of the teacher."""
        leads: list[dict[str, Any]] = (self.card.notes.get("teacher") or {}).get("leads", [])
        return leads

    def __repr__(self) -> str:
        return call(type(self).__name__, self.card.name, units=self.units, networks=len(self.networks))

    def freeze(self, geometry: Geometry, neighbours: NeighbourCache | None = None) -> Bound:
        """Neighbours within the cutoff (from a list of its own, if given), and places of the species.

        Raises
        ------
        ModelError
            If the model does not know a species, or the magnet has no place for the leads of a driven model.
        """
        readout, trunk = self.ensemble.readout, self.card.trunk
        if isinstance(readout, TwoPotentialsReadout) and readout.axis is not None:
            require_device(geometry, readout.axis, self.card.name, self._leads, readout.length)
        species = self._places_of(geometry.numbers)
        bonds = (neighbours or self._neighbours).bonds(geometry, trunk.cutoff)
        self.watch.geometry(geometry, bonds)
        place = FrozenGeometry(bonds, geometry.positions.copy(), species, trunk.cutoff, geometry.cell)
        return Bound(self.ensemble, place)

    def _places_of(self, numbers: IntArray) -> IntArray:
        """Places (N,) of atomic numbers (N,) in the species of the trunk; those of the last geometry are kept."""
        if self._species is None or not np.array_equal(self._species[0], numbers):
            places = self.card.trunk.indices(numbers, f"the model {self.card.name!r}")
            self._species = (numbers, places)
        return self._species[1]

    def solve(self, frozen: Bound, spins: FloatArray, lengths: FloatArray) -> EnsembleState:
        """What the networks say of these spins, computed when it is asked for."""
        return EnsembleState(frozen.ensemble, frozen.geometry, spins)

    def local_energy(self, geometry: Geometry | None = None) -> LocalEnergy:
        """The networks' mean on given pairs (see ``contract.local_energy``).

        Raises
        ------
        ModelError
            For a driven model, and for electrons at a fixed filling.
        """
        ensemble, domain = self.ensemble, None if self.watch.sleeps else self.domain
        return network_energy(
            self.networks, self.card, ensemble.readout, ensemble.request, self._evaluators, self.refused_properties, domain
        )

    def calculate(self, atoms: Atoms | None = None, *words: Any, **named: Any) -> None:
        """Compute properties, as every spin calculator; ASE calls this."""
        target = self.atoms if atoms is None else atoms
        if target is not None:
            self.look_at_moments(target)
        super().calculate(atoms, *words, **named)

    def field_function(self, atoms: Atoms, lengths: FloatArray | None = None) -> FieldFunction:
        """B(spins) at the present positions, without ASE's copies (see ``contract.FastFields``)."""
        self.look_at_moments(atoms)
        return super().field_function(atoms, lengths)

    def look_at_moments(self, atoms: Atoms) -> None:
        """Hold the lengths of the moments, and the ends of a device, against the training."""
        if self.watch.sleeps:
            return
        moments = get_moments(atoms)
        self.watch.moments(np.linalg.norm(moments, axis=1), get_reference_lengths(atoms))
        if self.domain.current is not None:
            spins, _ = split_moments(moments)
            self.watch.device(lead_problem(self._leads, atoms.positions, spins, self.domain.current))

    def _result(self, name: str, frozen: Bound, state: EnsembleState, *words: FloatArray) -> Any:
        if frozen.ensemble.one_pass and "forces" in self.implemented_properties:
            _ = state.motion  # whoever asks by name asks for more of it: everything comes along in one pass
        return super()._result(name, frozen, state, *words)

    def derive(self, name: str, frozen: Bound, state: EnsembleState, spins: FloatArray, lengths: FloatArray) -> Any:
        """One result of the ensemble's mean."""
        if name in ("energy", "free_energy"):
            return float(self._of_spins(state).energies.mean())
        if name in self.ensemble.readout.results:
            return float(self._of_spins(state).results[name].mean())
        if name == "magnetic_forces":
            gradients = self._of_spins(state).gradients
            mean = gradients[0] if len(gradients) == 1 else gradients.mean(axis=0)
            return per_moment(mean * (lengths > 0.0)[:, None], lengths)
        forces, virial = state.motion
        if name == "forces":
            return forces
        return stress_of(0.5 * (virial + virial.T), frozen.geometry.volume)

    def _of_spins(self, state: EnsembleState) -> SpinAnswer:
        """Energies and spin gradients, once their electrons are those of the training."""
        answer = state.of_spins
        self.watch.results(answer.results)
        return answer

    def results_of_images(self, images: Sequence[Atoms], names: Sequence[str]) -> list[dict[str, Any]]:
        """Results of many magnets, in one pass where compiled loops do it (see :mod:`spinase.images`).

        Parameters
        ----------
        images, names
            Magnets of equal numbers of sites (places, cells and species may differ), and results of :meth:`get_property`.

        Raises
        ------
        ModelError
            If the magnets differ in their numbers of sites.
        """
        with self._lock:
            found = states_of_images(self, self._images, images, names)
            return [{name: self._result(name, *one) for name in names} for one in found]

    def replicas(self, atoms: Atoms, moments: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Energies and fields of many spin configurations on the same atoms, in one pass where compiled loops do it.

        Parameters
        ----------
        atoms : Atoms
            Sites; their own moments do not matter.
        moments : (R, N, 3) ndarray
            Moments of every replica, mu_B or |m|.

        Returns
        -------
        energies : (R,) ndarray
            Energy of every replica.
        magnetic_forces : (R, N, 3) ndarray
            B = -dE/dm, energy/moment.

        Raises
        ------
        ModelError
            If the moments have another shape.
        """
        super().field_function(atoms)  # binds the geometry
        assert self._frozen is not None
        return energies_and_fields_of_replicas(self._frozen, self.watch, np.asarray(moments, dtype=np.float64))

    def spread(self, atoms: Atoms) -> FloatArray:
        """Standard deviation of the networks' tangent fields at every site, (N,), energy/moment; zero for one network."""
        self.get_property("magnetic_forces", atoms)
        assert self._state is not None
        spins, lengths = split_moments(get_moments(atoms))
        return field_spread(self._state.of_spins.gradients, spins, lengths)

    def error_bars(self, atoms: Atoms, coverage: float = 0.9) -> FloatArray:
        """Error bars of the tangent fields, (N,), energy/moment: a part `coverage` of the true errors |dB| is below them.

        That holds on average over magnets drawn as those the model was calibrated on
        (:mod:`spinase.learning.trust.error_bars`); zero at sites without a moment.

        Raises
        ------
        ModelError
            For a single network, whose bars would be one constant whatever the spins are; if the model was never calibrated,
            or on too few realizations for this coverage.
        """
        calibration = calibration_of(self.card.name, len(self.networks), self.card.notes.get("calibration"))
        lengths = split_moments(get_moments(atoms))[1]
        bars = calibration.bars(self.spread(atoms) * lengths, coverage)
        return bars / np.where(lengths > 0.0, lengths, np.inf)

    def domain_problem(self, atoms: Atoms, margin: float = 0.02) -> DomainProblem | None:
        """What of the atoms is outside the training (:meth:`~spinase.learning.trust.domain.Domain.problem`), or None.

        `margin` is the part by which distances may be below the shortest one.  What the card does not tell
        (``calc.domain.unknown()``) is not looked at.
        """
        return self.domain.problem(geometry_of(atoms), split_moments(get_moments(atoms))[1], margin)

    def describe_domain(self) -> str:
        """One line: what the model was trained on."""
        return f"{self.card.name}: {self.domain.describe()}"


__all__ = ["LearnedCalculator", "LearnedConfig"]
