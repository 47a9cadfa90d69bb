"""Model cards: what a model says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from spinase.brief import call
from spinase.errors import ModelError, ModelFileError
from spinase.learning.readout import EnergyReadout, Readout
from spinase.learning.trunk import TrunkConfig
from spinase.learning.trust.domain import Domain


@dataclass(frozen=True)
class ModelCard:
    """What a model file says of itself.

    Attributes
    ----------
    name : str
        Of the model.
    trunk : TrunkConfig
        Size and species of every network in the file.
    units : str
        Unit system of distances and energies.
    moment : float
        Length of the moments it was trained for, mu_B or |m|; fields are per moment of that length or any other.
    energy_scale, energy_shift : float
        Energies are scale times those of the network, plus a shift for each site.
    readout : Readout
        What the parts of the sites mean.
    notes : dict
        Anything else that JSON holds: teacher, training domain, data hash, errors, command that remakes it, versions.
    """

    name: str
    trunk: TrunkConfig
    units: str
    moment: float = 1.0
    energy_scale: float = 1.0
    energy_shift: float = 0.0
    readout: Readout = field(default_factory=EnergyReadout)
    notes: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        errors = self.notes.get("errors", {})
        return call(
            "ModelCard",
            self.name,
            units=self.units,
            trunk=type(self.trunk).__name__.removesuffix("Config"),
            cutoff=self.trunk.cutoff,
            readout=type(self.readout).__name__.removesuffix("Readout"),
            r2=errors.get("r2"),
            notes=sorted(self.notes),
        )

    @property
    def conservative(self) -> bool:
        """Whether fields are the gradient of an energy."""
        return self.readout.conservative

    def __getitem__(self, name: str) -> Any:
        """One of the notes, such as ``card["teacher"]``.

        Raises
        ------
        ModelFileError
            If the card does not say.
        """
        if name not in self.notes:
            known = ", ".join(sorted(self.notes)) or "nothing"
            raise ModelFileError(f"the card of {self.name!r} does not say {name!r}; its notes: {known}")
        return self.notes[name]

    def domain(self) -> Domain:
        """What the networks were trained on; of cards that do not tell, as little as they tell.

        Raises
        ------
        ModelFileError
            If what the card tells is no domain.
        """
        if "domain" in self.notes:
            return Domain.from_table(self.notes["domain"])
        shortest = self.notes.get("shortest_distances", {})
        return Domain.from_table({**Domain(self.trunk.cutoff, {}).to_table(), "shortest_distances": shortest})

    def trained_forces(self) -> bool | None:
        """Whether the networks learned forces on atoms: from labelled forces, or from energies of many arrangements.

        None for cards that do not tell. A network of fields alone says nothing of forces: what its energies do when atoms
        move was never compared with anything.
        """
        learned = self.notes.get("trained_on")
        if learned is not None:
            return "forces" in learned or ("energy" in learned and not self.on_lattice())
        measured = self.notes.get("errors", {}).get("properties")
        return None if measured is None else measured.get("forces") is not None

    def on_lattice(self) -> bool:
        """Whether all distances of the training were those of a lattice at rest, so that nothing was learned of others."""
        return all(shell.longest <= 1.001 * shell.shortest for shell in self.domain().shells)

    def readout_at(
        self, filling: float | None = None, chemical_potential: float | None = None, bias: float | None = None
    ) -> Readout:
        """The readout with electrons, if it knows them: its teacher's filling unless another, or a potential, is given.

        `bias`: between the leads of a device, energy, for readouts that know one.

        Parameters
        ----------
        filling : float, optional
            Electrons per spin-orbital.
        chemical_potential : float, optional
            Energy.
        bias : float, optional
            Between the leads of a device, energy.

        Raises
        ------
        ModelError
            If the model knows no electrons or no bias but some are given, or does not know these.
        """
        if filling is None and chemical_potential is None and "chemical_potential" in self.readout.results:
            usual = self.notes.get("filling")
            if usual is None:
                raise ModelError(f"the card of {self.name!r} tells no filling: give filling= or chemical_potential=")
            filling = float(usual)
        try:
            return self.readout.at(filling, chemical_potential).under(bias)
        except ModelError as error:
            raise ModelError(f"the model {self.name!r}: {error}") from None


__all__ = ["ModelCard"]
