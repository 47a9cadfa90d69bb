"""Model files: networks of one ensemble with a card that says what they are, in one archive without pickles.

An archive of numpy arrays: ``card`` (JSON text), ``digest``, and the weights of every network as ``<network>/<name>``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError

from spinase.errors import ModelError, ModelFileError, in_words
from spinase.files import arrays_digest, has_arrays, read_arrays, refuse_foreign, write_arrays
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig
from spinase.learning.reservoir import Reservoir
from spinase.learning.trust.domain import Domain
from spinase.units import UNIT_SYSTEMS

FORMAT = "spinase-model-1"
CONVENTION = "E(unit spins along the moment), B = -dE/dm"


@dataclass(frozen=True)
class ModelCard:
    """What a model file says of itself.

    Attributes
    ----------
    name : str
        Of the model.
    network : NetworkConfig
        Size and channels of every network in the file.
    units : str
        Unit system of distances and energies.
    moment : float
        Length of the moments it was trained for, mu_B or |m|; fields are per moment of that length or any other.
    energy_scale, energy_shift : float
        Energies are scale times those of the network, plus a shift for each site.
    conservative : bool
        Whether fields are the gradient of an energy.
    notes : dict
        Anything else that JSON holds: teacher, training domain, data hash, errors, command that remakes it, versions.
    """

    name: str
    network: NetworkConfig
    units: str
    moment: float = 1.0
    energy_scale: float = 1.0
    energy_shift: float = 0.0
    conservative: bool = True
    notes: dict[str, Any] = field(default_factory=dict)

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
        return Domain.from_table(
            {
                **Domain(self.network.cutoff, {}).to_table(),
                "shortest_distances": self.notes.get("shortest_distances", {}),
            }
        )

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

    def reservoir(self, filling: float | None = None, potential: float | None = None) -> Reservoir | None:
        """Electrons of a model that knows them (its teacher's filling unless another, or a potential, is given), or None.

        Raises
        ------
        ModelError
            If the model knows no electrons but some are given, or does not know these.
        """
        window = self.network.potentials
        if window is None:
            if filling is not None or potential is not None:
                raise ModelError(
                    f"the model {self.name!r} knows nothing of electrons: leave filling and chemical_potential out"
                )
            return None
        if filling is None and potential is None:
            usual = self.notes.get("filling")
            if usual is None:
                raise ModelError(f"the card of {self.name!r} tells no filling: give filling= or chemical_potential=")
            filling = float(usual)
        return Reservoir(window, self.energy_scale).at(filling, potential)

    def to_json(self) -> str:
        """The card as text."""
        table = {**vars(self), "network": self.network.model_dump(), "format": FORMAT, "convention": CONVENTION}
        return json.dumps(table, sort_keys=True, indent=1)


def save_model(path: str | Path, networks: Sequence[MagneticHIPNN], card: ModelCard) -> None:
    """Write an ensemble (or one network) to one file, so that a kill leaves the old file or the new one.

    Raises
    ------
    ModelFileError
        Without networks, or if one is not of the card's size.
    OutputError
        If it cannot be written.
    InputError
        If what is at `path` is no model file.
    """
    refuse_foreign(path, _is_model_file, "model file")
    if not networks:
        raise ModelFileError("a model file needs at least one network")
    arrays: dict[str, np.ndarray] = {}
    for k, network in enumerate(networks):
        if network.config != card.network:
            raise ModelFileError(f"network {k} is not of the size the card says: {network.config} against {card.network}")
        for name, weights in network.state_dict().items():
            arrays[f"{k}/{name}"] = weights.detach().cpu().numpy()
    text = card.to_json()
    head = {"card": np.array(text), "digest": np.array(arrays_digest(text, arrays))}
    write_arrays(path, {**head, **arrays}, compressed=True)


def _is_model_file(path: Path) -> bool:
    return has_arrays(path, ("card", "digest"))


def load_model(path: str | Path) -> tuple[list[MagneticHIPNN], ModelCard]:
    """Read what :func:`save_model` wrote; the networks are in evaluation mode, on the CPU.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, of another version or convention, or no model file.
    """
    source = Path(path)
    if not source.exists():
        raise ModelFileError(f"there is no model file {source}")
    try:
        arrays = read_arrays(source)
    except OSError as error:
        raise ModelFileError(f"cannot read {source}: {error.strerror or error}") from None
    except ValueError as error:
        raise ModelFileError(f"{source} is damaged or no model file: {error}") from None
    text, digest = str(arrays.pop("card", "")), str(arrays.pop("digest", ""))
    card = _read_card(source, text)
    if digest != arrays_digest(text, arrays):
        raise ModelFileError(f"the model file {source} is damaged: its digest does not match its content")
    members = sorted({name.split("/")[0] for name in arrays})
    if not members or members != sorted(str(k) for k in range(len(members))):
        raise ModelFileError(f"{source} holds no networks numbered from 0, but {members}")
    return [_build(source, card, arrays, k) for k in range(len(members))], card


def _read_card(source: Path, text: str) -> ModelCard:
    try:
        table = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        table = None
    if not isinstance(table, dict):
        raise ModelFileError(f"{source} has no card: it is no model file of spinase")
    kind, convention = table.pop("format", None), table.pop("convention", None)
    if kind != FORMAT:
        raise ModelFileError(
            f"{source} is of format {kind!r}, this version of spinase reads {FORMAT!r}: make it again, or upgrade"
        )
    if convention != CONVENTION:
        raise ModelFileError(f"{source} has another spin convention ({convention!r}) than spinase ({CONVENTION!r})")
    unknown = sorted(set(table) - {entry.name for entry in fields(ModelCard)})
    if unknown:
        raise ModelFileError(f"the card of {source} has entries this version of spinase does not know: {', '.join(unknown)}")
    try:
        card: ModelCard = TypeAdapter(ModelCard).validate_python(table)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(str(part) for part in one['loc'])}: {in_words(one)}" for one in error.errors())
        raise ModelFileError(f"the card of {source} is incomplete or wrong: {told}") from None
    if card.units not in UNIT_SYSTEMS or not 0.0 < card.moment < math.inf or not 0.0 < card.energy_scale < math.inf:
        raise ModelFileError(
            f"the card of {source} makes no sense: units {card.units!r}, moment {card.moment}, energy_scale "
            f"{card.energy_scale}"
        )
    return card


def _build(source: Path, card: ModelCard, arrays: dict[str, np.ndarray], member: int) -> MagneticHIPNN:
    prefix = f"{member}/"
    weights = {name.removeprefix(prefix): torch.from_numpy(a) for name, a in arrays.items() if name.startswith(prefix)}
    with torch.device("meta"):  # a card may ask for any size: look at it before memory is taken
        wanted = {name: tuple(array.shape) for name, array in MagneticHIPNN(card.network).state_dict().items()}
    found = {name: tuple(array.shape) for name, array in weights.items()}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            raise ModelFileError(
                f"the weights of network {member} in {source} do not fit its card: {name} has shape {found.get(name)}, the "
                f"card asks for {wanted.get(name)}"
            )
    network = MagneticHIPNN(card.network)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelFileError(f"the weights of network {member} in {source} do not fit its card: {error}") from None
    return network.eval()


__all__ = ["ModelCard", "load_model", "save_model"]
