"""Learned magnets: an ensemble of magnetic HIP-NN networks as an ASE calculator."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from pydantic import Field

from spinase.atoms import geometry_of, get_moments, get_reference_lengths
from spinase.calculators.base import SpinCalculator, per_moment, split_moments
from spinase.calculators.options import OptionTable
from spinase.contract import FieldFunction, LocalEnergy
from spinase.errors import InvalidGeometryError, ModelError, ModelFileError, OutOfDomainError, OutOfDomainWarning
from spinase.geometry import Geometry, NeighbourCache
from spinase.learning.ensemble import Ensemble, EnsembleState, FrozenNetworks, SpinAnswer
from spinase.learning.hippynn.files import networks_from_hippynn
from spinase.learning.local_energy import NetworkEnergy
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig
from spinase.learning.model_file import ModelCard, load_model
from spinase.learning.shipped import find_model, shipped_model
from spinase.learning.trust.domain import Domain, DomainProblem
from spinase.learning.trust.error_bars import Calibration
from spinase.typing import FloatArray

OutsideDomain = Literal["warn", "error", "ignore"]


class HIPNNConfig(OptionTable):
    """A learned magnet."""

    model: str = Field(description="model file, from the current directory, or name of a model that comes with spinase")
    device: str = Field("cpu", description="torch device: cpu, cuda, ...")
    dtype: Literal["float32", "float64"] = Field("float32", description="precision of the network")
    filling: float | None = Field(None, ge=0, le=1, description="electrons per spin-orbital, for models that know them [1]")
    chemical_potential: float | None = Field(None, description="chemical potential, instead of the filling [energy]")
    outside_domain: OutsideDomain = Field(
        "warn",
        description="for magnets unlike those of the training: warn once (error where sites are closer than any trained, "
        "and for fillings never trained), always error, or ignore",
    )


class HIPNNCalculator(SpinCalculator[FrozenNetworks, EnsembleState]):
    """A model file's ensemble: energies, fields, forces and stress are those of the mean energy of its networks.

    What depends on the geometry only is kept while atoms stay.  Single precision on the CPU uses compiled loops for energies
    and fields; forces and stress, double precision and other devices use torch (:mod:`spinase.learning.ensemble`).  The same
    question has the same answer to the last bit, whatever was asked before.

    Models of electrons (``orders`` > 0 in their network) know how energies depend on the chemical potential, see
    :mod:`spinase.learning.reservoir`: at a fixed filling they find it for every configuration (result
    ``chemical_potential``), and their energy is the free energy F; at a fixed chemical potential it is Omega.

    A model that was trained on fields alone has no forces and no stress: what its energy does when atoms move was never
    compared with anything.  Its energy is defined up to a constant of each arrangement of atoms.

    Every geometry is held against what the model's card says of the training (:mod:`spinase.learning.trust.domain`).

    Parameters
    ----------
    model : path, name, or (networks, card)
        Model file, or name of a model that comes with the package (``spinase models``), or networks with their card.
    device : str
        Torch device.
    dtype : str
        ``"float32"`` or ``"float64"``.
    engine : bool
        Use compiled loops where they do; else plain torch always.
    filling : float, optional
        Electrons per spin-orbital, for models of electrons; default: that of their teacher.
    chemical_potential : float, optional
        A fixed chemical potential instead, energy.
    outside_domain : {"warn", "error", "ignore"}
        What to do with magnets unlike those of the training.  "warn": one OutOfDomainWarning of each kind, but an error
        where sites are closer than any trained, and for fillings and chemical potentials that were not trained; "error":
        always an error; "ignore": nothing, for those who measure how wrong it is.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, of another version or convention.
    ModelError
        On an unknown dtype or device, or electrons that the model does not know; later, if no chemical potential that the
        model knows gives the filling.
    OutOfDomainError
        Later, on magnets as said above.
    """

    Config = HIPNNConfig
    citation = "N. Lubbers, J. S. Smith, K. Barros, J. Chem. Phys. 148, 241715 (2018); arXiv:2606.10349"

    def __init__(
        self,
        model: str | Path | tuple[Sequence[MagneticHIPNN], ModelCard],
        device: str = "cpu",
        dtype: Literal["float32", "float64"] = "float32",
        engine: bool = True,
        filling: float | None = None,
        chemical_potential: float | None = None,
        outside_domain: OutsideDomain = "warn",
    ) -> None:
        super().__init__()
        if dtype not in ("float32", "float64"):
            raise ModelError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
        if outside_domain not in ("warn", "error", "ignore"):
            raise ModelError(f"outside_domain must be 'warn', 'error' or 'ignore', got {outside_domain!r}")
        networks, self.card = load_model(find_model(model)) if isinstance(model, str | Path) else model
        if not networks:
            raise ModelFileError("a learned calculator needs at least one network")
        self.domain, self.outside_domain = self.card.domain(), outside_domain
        reservoir = self.card.reservoir(filling, chemical_potential)
        if reservoir is not None and outside_domain != "ignore":
            problem = self.domain.electron_problem(reservoir.filling, reservoir.potential)
            if problem is not None:
                raise ModelError(f"{problem}: use one the model {self.card.name!r} was trained for, or train one for this")
        self.ensemble = Ensemble(networks, self.card, device, dtype, engine, reservoir)
        self.units = self.card.units
        self.conservative = self.card.conservative
        if self.card.network.spin_orbit:
            self.symmetries = self.symmetries - {"spin_rotation", "lattice_rotation"}
        self._say_what_it_gives(reservoir is not None)
        self._neighbours = NeighbourCache()
        self._told: set[str] = set()  # kinds of warnings that were given
        self._lengths: FloatArray | None = None  # of the moments looked at last
        # Networks in hand are the caller's own; of those that come from files nobody may know how they were trained.
        self._card_must_tell = isinstance(model, str | Path)

    @classmethod
    def from_config(cls, config: HIPNNConfig) -> HIPNNCalculator:
        """Calculator from the table of an input file."""
        return cls(
            config.model,
            config.device,
            config.dtype,
            filling=config.filling,
            chemical_potential=config.chemical_potential,
            outside_domain=config.outside_domain,
        )

    @classmethod
    def shipped(cls, name: str, **options: Any) -> HIPNNCalculator:
        """A model that comes with the package, by its name; the options are those of the class.

        Raises
        ------
        ModelFileError
            If there is no such model.
        """
        return cls(shipped_model(name), **options)

    @classmethod
    def from_hippynn(
        cls,
        source: Any,
        *,
        network: NetworkConfig | Mapping[str, Any] | None = None,
        units: str | None = None,
        unit_spins: bool | None = None,
        energy_scale: float | None = None,
        energy_shift: float | None = None,
        trust_pickle: bool = False,
        domain: Domain | None = None,
        device: str = "cpu",
        dtype: Literal["float32", "float64"] = "float32",
        outside_domain: OutsideDomain = "warn",
    ) -> HIPNNCalculator:
        """Calculator of a network trained in hippynn with ``spinase.learning.hippynn.adapter.magnet_graph``.

        `source` is hippynn's GraphModule or Predictor, or the directory its trainer wrote; the other parameters say what
        that does not, see :func:`~spinase.learning.hippynn.files.networks_from_hippynn`.  hippynn's files do not tell
        what the training looked like: `domain` (``Domain.from_geometries([geometry_of(atoms), ...], cutoff)``) does,
        else a warning says that nothing is checked.

        Raises
        ------
        ModelFileError
            For what is missing, each with what to do; for pickles without ``trust_pickle=True``.
        """
        networks, card = networks_from_hippynn(
            source,
            network=network,
            units=units,
            unit_spins=unit_spins,
            energy_scale=energy_scale,
            energy_shift=energy_shift,
            trust_pickle=trust_pickle,
        )
        if domain is not None:
            card = replace(card, notes={**card.notes, "domain": domain.to_table()})
        calc = cls((networks, card), device=device, dtype=dtype, outside_domain=outside_domain)
        calc._card_must_tell = True
        return calc

    @property
    def networks(self) -> list[MagneticHIPNN]:
        """The networks, on their device, in their precision."""
        return self.ensemble.networks

    def _say_what_it_gives(self, electrons: bool) -> None:
        """Results: the chemical potential where electrons are known, no forces where none were trained."""
        names = [*self.implemented_properties, *(["chemical_potential"] if electrons else [])]
        if self.card.trained_forces() is False:
            why = (
                f"the model {self.card.name!r} was trained on fields at fixed positions, not on forces: it has no "
                "{name}. Use a model that was (of those that come with spinase: 'disordered-sd-moving'), or train one with "
                "labelled forces and force_weight > 0"
            )
            self.refused_properties = {name: why.format(name=name) for name in ("forces", "stress")}
        self.implemented_properties = [name for name in names if name not in self.refused_properties]

    def freeze(self, geometry: Geometry) -> FrozenNetworks:
        """Neighbours within the cutoff, and indices of the species.

        Raises
        ------
        ModelError
            If the model does not know a species.
        """
        config = self.card.network
        index = {number: k for k, number in enumerate(config.species)}
        unknown = sorted(set(geometry.numbers.tolist()) - set(index))
        if unknown:
            known = ", ".join(chemical_symbols[number] for number in config.species)
            raise ModelError(f"the model {self.card.name!r} does not know {chemical_symbols[unknown[0]]}; it knows {known}")
        bonds = self._neighbours.bonds(geometry, config.cutoff)
        if self.outside_domain != "ignore":
            self._heed(self.domain.problem(geometry, bonds=bonds), "geometry")
            self._say_what_is_unknown()
        species = np.array([index[number] for number in geometry.numbers.tolist()], dtype=np.int64)
        return self.ensemble.freeze(bonds, geometry.positions.copy(), species, geometry.volume)

    def solve(self, frozen: FrozenNetworks, spins: FloatArray, lengths: FloatArray) -> EnsembleState:
        """What the networks say of these spins, computed when it is asked for."""
        return EnsembleState(self.ensemble, frozen, spins)

    def local_energy(self, geometry: Geometry | None = None) -> LocalEnergy:
        """The networks' mean on given pairs (see ``contract.local_energy``).

        Raises
        ------
        ModelError
            For a driven model, and for electrons at a fixed filling.
        """
        reservoir, card = self.ensemble.reservoir, self.card
        if not card.conservative:
            raise ModelError(f"the model {card.name!r} is driven, so there is no energy to divide among regions")
        if reservoir is not None and reservoir.potential is None:
            raise ModelError(
                f"the model {card.name!r} at a fixed filling cannot be divided among regions: its chemical potential "
                "follows from all sites of the magnet. Give chemical_potential= in place of the filling"
            )
        weights = np.ones(1) if reservoir is None else reservoir.occupied(np.zeros(card.network.orders + 1), 1)[1]
        return NetworkEnergy(
            card.name,
            self.networks,
            weights,
            card.energy_scale,
            card.energy_shift,
            card.units,
            self.refused_properties,
            None if self.outside_domain == "ignore" else self.domain,
        )

    def calculate(self, atoms: Atoms | None = None, *words: Any, **named: Any) -> None:
        """Compute properties, as every spin calculator; ASE calls this."""
        target = self.atoms if atoms is None else atoms
        if target is not None:
            self._look_at_moments(target)
        super().calculate(atoms, *words, **named)

    def field_function(self, atoms: Atoms, lengths: FloatArray | None = None) -> FieldFunction:
        """B(spins) at the present positions, without ASE's copies (see ``contract.FastFields``)."""
        self._look_at_moments(atoms)
        return super().field_function(atoms, lengths)

    def derive(self, name: str, frozen: FrozenNetworks, state: EnsembleState, spins: FloatArray, lengths: FloatArray) -> Any:
        """One result of the ensemble's mean."""
        if name in ("energy", "free_energy"):
            return float(self._of_spins(state).energies.mean())
        if name == "chemical_potential":
            potentials = self._of_spins(state).potentials
            assert potentials is not None
            return float(potentials.mean())
        if name == "magnetic_forces":
            return per_moment(self._of_spins(state).gradients.mean(axis=0) * (lengths > 0.0)[:, None], lengths)
        forces, virial = self.ensemble.forces(frozen, state.tension)
        if name == "forces":
            return forces
        if frozen.volume == 0.0:
            raise InvalidGeometryError("stress needs a cell with a volume: set three independent cell vectors")
        virial = 0.5 * (virial + virial.T)
        return np.array([virial[a, b] for a, b in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))]) / frozen.volume

    def _of_spins(self, state: EnsembleState) -> SpinAnswer:
        """Energies and spin gradients, once their electrons are those of the training."""
        answer = state.of_spins
        if answer.potentials is not None and answer.fillings is not None and self.outside_domain != "ignore":
            for filling, potential in zip(answer.fillings, answer.potentials, strict=True):
                problem = self.domain.electron_problem(float(filling), float(potential))
                self._heed(None if problem is None else DomainProblem(problem), "electrons")
        return answer

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
        moments = np.asarray(moments, dtype=np.float64)
        if moments.ndim != 3 or moments.shape[1:] != (len(atoms), 3):
            raise ModelError(f"moments of replicas have the shape (replicas, {len(atoms)}, 3), got {moments.shape}")
        split = [split_moments(one) for one in moments]
        spins, lengths = (np.array([part[k] for part in split]).reshape(moments.shape[:2] + (-1,)) for k in (0, 1))
        super().field_function(atoms)  # binds the geometry
        assert self._frozen is not None
        if self.outside_domain != "ignore":
            self._heed(self.domain.moment_problem(lengths.ravel()), "moments")
        energies, gradients = self.ensemble.replicas(self._frozen, spins)
        fields = [per_moment(one * (length > 0.0), length[:, 0]) for one, length in zip(gradients, lengths, strict=True)]
        return energies, np.array(fields).reshape(moments.shape)

    def spread(self, atoms: Atoms) -> FloatArray:
        """Standard deviation of the networks' tangent fields at every site, (N,), energy/moment; zero for one network."""
        self.get_property("magnetic_forces", atoms)
        assert self._state is not None
        spins, lengths = split_moments(get_moments(atoms))
        fields = self._state.of_spins.gradients / np.where(lengths > 0.0, lengths, np.inf)[:, None]
        tangent = fields - spins * np.einsum("kia,ia->ki", fields, spins)[:, :, None]
        return np.asarray(np.sqrt(np.sum(tangent.var(axis=0), axis=1)))

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
        if len(self.networks) < 2:
            raise ModelError(
                f"the model {self.card.name!r} is a single network, which has no error bars: they would be the same number "
                "for every magnet, right or wrong. Train an ensemble (ensemble = 4 in the recipe) for bars; distances, "
                "neighbours and electrons are held against the training in any case (outside_domain)"
            )
        table = self.card.notes.get("calibration")
        if table is None:
            raise ModelError(
                f"the model {self.card.name!r} has no calibrated error bars: make them from labels it was not trained on "
                "with `spinase calibrate MODEL LABELS.h5`"
            )
        lengths = split_moments(get_moments(atoms))[1]
        bars = Calibration.from_table(table).bars(self.spread(atoms) * lengths, coverage)
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

    def _look_at_moments(self, atoms: Atoms) -> None:
        """Hold their lengths against the training, if they are others than last time."""
        if self.outside_domain == "ignore":
            return
        lengths, reference = split_moments(get_moments(atoms))[1], get_reference_lengths(atoms)
        if self._lengths is not None and np.array_equal(lengths, self._lengths):
            return
        self._lengths = lengths
        self._heed(self.domain.moment_problem(lengths if reference is None else reference), "moments")
        wrong = np.flatnonzero([] if reference is None else np.abs(lengths - reference) > 0.02 * reference)
        if reference is not None and len(wrong):
            i = int(wrong[0])
            self._heed(
                DomainProblem(
                    f"the spin of site {i} has a length of {lengths[i] / max(reference[i], 1e-300):.4g} (its moment over "
                    "the reference length), the training had unit spins"
                ),
                "spin lengths",
            )

    def _heed(self, problem: DomainProblem | None, kind: str) -> None:
        """Raise, or warn once of each kind."""
        if problem is None:
            return
        text = f"{problem}: the learned magnet {self.card.name!r} has no data for this"
        if problem.fatal or self.outside_domain == "error":
            raise OutOfDomainError(text)
        if kind not in self._told:
            self._told.add(kind)
            warnings.warn(f"{text}, its answers may be wrong by any amount", OutOfDomainWarning, stacklevel=5)

    def _say_what_is_unknown(self) -> None:
        missing = self.domain.unknown()
        if self._card_must_tell and missing and "unknown" not in self._told:
            self._told.add("unknown")
            warnings.warn(
                f"the card of {self.card.name!r} does not tell the {', '.join(missing)} of its training: they are not "
                "checked",
                OutOfDomainWarning,
                stacklevel=5,
            )


__all__ = ["HIPNNCalculator", "HIPNNConfig"]
