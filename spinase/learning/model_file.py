"""Model files: networks of one ensemble with a card that says what they are, in one archive without pickles.

An archive of numpy arrays: ``card`` (JSON text), ``digest``, and the weights of every network as ``<network>/<name>``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from spinase.errors import ModelFileError
from spinase.files import arrays_digest, has_arrays, read_arrays, refuse_foreign, write_arrays
from spinase.learning.card import ModelCard
from spinase.learning.card_format import read_card, write_card
from spinase.learning.trunk import Trunk
from spinase.typing import Array


def save_model(path: str | Path, networks: Sequence[Trunk], card: ModelCard) -> None:
    """Write an ensemble (or one network) to one file, so that a kill leaves the old file or the new one.

    Parameters
    ----------
    path : str or Path
        Where to.
    networks : sequence of Trunk
        One or more of one size.
    card : ModelCard
        What they are.

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
    arrays: dict[str, Array] = {}
    for k, network in enumerate(networks):
        if network.config != card.trunk:
            raise ModelFileError(f"network {k} is not of the size the card says: {network.config} against {card.trunk}")
        for name, weights in network.state_dict().items():
            arrays[f"{k}/{name}"] = weights.detach().cpu().numpy()
    text = write_card(card, type(networks[0]))
    head = {"card": np.array(text), "digest": np.array(arrays_digest(text, arrays))}
    write_arrays(path, {**head, **arrays}, compressed=True)


def _is_model_file(path: Path) -> bool:
    return has_arrays(path, ("card", "digest"))


def load_model(path: str | Path) -> tuple[list[Trunk], ModelCard]:
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
    card, trunk = read_card(source, text)
    if digest != arrays_digest(text, arrays):
        raise ModelFileError(f"the model file {source} is damaged: its digest does not match its content")
    members = sorted({name.split("/")[0] for name in arrays})
    if not members or members != sorted(str(k) for k in range(len(members))):
        raise ModelFileError(f"{source} holds no networks numbered from 0, but {members}")
    return [_build(source, trunk, card, arrays, k) for k in range(len(members))], card


def _build(source: Path, trunk: type[Trunk], card: ModelCard, arrays: dict[str, Array], member: int) -> Trunk:
    prefix = f"{member}/"
    weights = {name.removeprefix(prefix): torch.from_numpy(a) for name, a in arrays.items() if name.startswith(prefix)}
    with torch.device("meta"):  # a card may ask for any size: look at it before memory is taken
        wanted = {name: tuple(array.shape) for name, array in trunk.from_config(card.trunk).state_dict().items()}
    found = {name: tuple(array.shape) for name, array in weights.items()}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            raise ModelFileError(
                f"the weights of network {member} in {source} do not fit its card: {name} has shape {found.get(name)}, the "
                f"card asks for {wanted.get(name)}"
            )
    network = trunk.from_config(card.trunk)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelFileError(f"the weights of network {member} in {source} do not fit its card: {error}") from None
    return network.eval()


__all__ = ["load_model", "save_model"]
