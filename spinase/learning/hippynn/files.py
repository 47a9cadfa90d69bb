"""Networks that users trained in hippynn itself, with the nodes of :mod:`spinase.learning.hippynn.adapter`.

hippynn's trainer writes ``best_model.pt`` (weights only, safe to load) and ``experiment_structure.pt`` (a pickle: loading it
runs whatever code is in it).  Weights alone do not tell species and ranges, and neither file tells units;
:func:`describe_training` writes both beside them, or they are said when the network is taken over.  hippynn itself is not
imported here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from spinase.errors import ModelFileError, in_words
from spinase.files import refuse_foreign, write_text
from spinase.learning.card import ModelCard
from spinase.learning.card_format import CONVENTION
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig
from spinase.learning.readout import EnergyReadout, Readout
from spinase.learning.style_tables import read_readout, readout_table
from spinase.units import UNIT_SYSTEMS

FORMAT = "spinase-hippynn-1"
DESCRIPTION, WEIGHTS, STRUCTURE = "spinase.json", "best_model.pt", "experiment_structure.pt"
_FIRST = "embedding.weight"  # a parameter every network has
_SAID = ("units", "unit_spins", "energy_scale", "energy_shift")


def describe_training(
    folder: str | Path,
    network: MagneticHIPNN | NetworkConfig,
    *,
    units: str,
    energy_scale: float = 1.0,
    energy_shift: float = 0.0,
    readout: Readout | None = None,
) -> Path:
    """Write what hippynn's files do not say of a training on unit spins into its directory; returns the file.

    Parameters
    ----------
    folder : path
        Directory hippynn's trainer writes to.
    network : MagneticHIPNN or NetworkConfig
        The network, or its size.
    units : str
        Unit system of distances and of energies times `energy_scale`.
    energy_scale, energy_shift : float
        Energy = scale times that of the network + shift for each site.
    readout : Readout, optional
        What the network's parts mean; default: one part, the energy.

    Raises
    ------
    ModelFileError
        On an unknown unit system, or a directory that cannot be written.
    """
    config = network if isinstance(network, NetworkConfig) else network.config
    table = {
        "format": FORMAT,
        "convention": CONVENTION,
        "network": config.model_dump(),
        "readout": readout_table(EnergyReadout() if readout is None else readout),
        "units": _known_units(units),
        "unit_spins": True,
        "energy_scale": energy_scale,
        "energy_shift": energy_shift,
    }
    target = Path(folder) / DESCRIPTION
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelFileError(f"cannot write {target}: {error.strerror or error}") from None
    refuse_foreign(target, _is_description, "description of a training")
    write_text(target, json.dumps(table, indent=1))
    return target


def _is_description(path: Path) -> bool:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(table, dict) and {"format", "convention", "network"} <= table.keys()


def networks_from_hippynn(
    source: Any,
    *,
    network: NetworkConfig | Mapping[str, Any] | None = None,
    units: str | None = None,
    unit_spins: bool | None = None,
    energy_scale: float | None = None,
    energy_shift: float | None = None,
    trust_pickle: bool = False,
    readout: Readout | None = None,
) -> tuple[list[MagneticHIPNN], ModelCard]:
    """Networks and card of a hippynn graph, predictor or training directory.

    Parameters
    ----------
    source : GraphModule, Predictor or path
        A graph with a :class:`~spinase.learning.hippynn.adapter.MagnetNode` (several: an ensemble), or a directory with
        ``best_model.pt``.
    network : NetworkConfig or mapping, optional
        Species, cutoff and size, for a directory that does not say them.
    units : str
        ``"metal"`` or ``"reduced"``: of the positions and energies it was trained on.
    unit_spins : bool
        True: the spins it was trained on were unit vectors along the moments (or all opposite to them: energies of these
        networks do not change under time reversal).
    energy_scale, energy_shift : float
        Energy = scale times that of the network + shift for each site (default 1 and 0).
    trust_pickle : bool
        Unpickle hippynn's structure file, which runs the code in it.
    readout : Readout, optional
        What the network's parts mean, for a directory that does not say; default: one part, the energy.

    Raises
    ------
    ModelFileError
        Without a network of the adapter, for what is not said, for files that are missing, damaged or of another convention,
        and for pickles without `trust_pickle`.
    """
    said = {"units": units, "unit_spins": unit_spins, "energy_scale": energy_scale, "energy_shift": energy_shift}
    if isinstance(source, str | os.PathLike):
        name = str(source)
        networks, said, told = _from_directory(Path(source), network, said, trust_pickle)
    else:
        name = type(source).__name__
        networks, told = _from_graph(getattr(source, "graph", source))
    _complete(said, name)
    meaning = readout or told or EnergyReadout()
    meaning.constant_weights(networks[0].config.parts)  # refuses parts it makes no sense of
    card = ModelCard(
        name=f"hippynn: {name}",
        trunk=networks[0].config,
        units=_known_units(str(said["units"])),
        energy_scale=1.0 if said["energy_scale"] is None else float(said["energy_scale"]),
        energy_shift=0.0 if said["energy_shift"] is None else float(said["energy_shift"]),
        readout=meaning,
        notes={"source": name, "trained": "in hippynn, by the user"},
    )
    return networks, card


def _from_graph(graph: Any) -> tuple[list[MagneticHIPNN], Readout | None]:
    """Networks of a graph, and the readout they were trained with."""
    found = (
        [module for module in graph.modules() if isinstance(module, MagneticHIPNN)] if isinstance(graph, nn.Module) else []
    )
    if not found:
        raise ModelFileError(
            f"a {type(graph).__name__} without a network that sees spins: build the graph with "
            "spinase.learning.hippynn.adapter.magnet_graph (hippynn's own networks know no spins)"
        )
    if any(one.config != found[0].config for one in found):
        raise ModelFileError("the networks of this graph differ in size or species: an ensemble needs equal ones")
    readouts = [one for one in (getattr(module, "readout", None) for module in graph.modules()) if isinstance(one, Readout)]
    copies = [_copied(one.config, one.state_dict(), "the graph") for one in found]
    return copies, readouts[0] if readouts else None


def _from_directory(
    folder: Path, network: NetworkConfig | Mapping[str, Any] | None, said: dict[str, Any], trust_pickle: bool
) -> tuple[list[MagneticHIPNN], dict[str, Any], Readout | None]:
    if not (folder / WEIGHTS).is_file():
        raise ModelFileError(f"there is no {WEIGHTS} in {folder}: give the directory hippynn's trainer wrote to")
    weights = _load(folder / WEIGHTS, weights_only=True)
    config, readout = None if network is None else _config(network, "network"), None
    if (folder / DESCRIPTION).exists():
        told = _description(folder / DESCRIPTION)
        stored = _config(told["network"], str(folder / DESCRIPTION))
        _agree(config, stored, "network", folder)
        for name in _SAID:
            _agree(said[name], told.get(name), name, folder)
        config, said = stored, {name: told.get(name) for name in _SAID}
        readout = read_readout(folder / DESCRIPTION, told["readout"]) if "readout" in told else None
    if config is None and trust_pickle:
        found, readout = _from_structure(folder / STRUCTURE)
        config = found[0].config
    if config is None:
        raise ModelFileError(
            f"{folder} does not say which network its weights are of: give network = NetworkConfig(species=, cutoff=, "
            f"inner=, ...), write it with describe_training, or let {STRUCTURE} be unpickled by trust_pickle=True (a pickle "
            "runs the code in it: for files you trust only)"
        )
    prefixes = [str(key).removesuffix(_FIRST) for key in weights if str(key).endswith(_FIRST)]
    if not prefixes:
        raise ModelFileError(f"{folder / WEIGHTS} has no weights of a network of spinase (no {_FIRST})")
    parts = [{key.removeprefix(p): value for key, value in weights.items() if key.startswith(p)} for p in prefixes]
    return [_copied(config, part, str(folder / WEIGHTS)) for part in parts], said, readout


def _from_structure(path: Path) -> tuple[list[MagneticHIPNN], Readout | None]:
    """Networks and readout of a structure file; only after the user said that it is trusted."""
    if not path.is_file():
        raise ModelFileError(
            f"there is no structure file {path} to take the network from: give network = NetworkConfig(...)"
        )
    structure = _load(path, weights_only=False)
    modules = structure.get("training_modules") if isinstance(structure, dict) else None
    if not modules:
        raise ModelFileError(f"{path} is no structure file of hippynn")
    return _from_graph(modules[0])


def _load(path: Path, weights_only: bool) -> Any:
    try:
        return torch.load(path, weights_only=weights_only, map_location="cpu")
    except Exception as error:  # zip, pickle and import errors of torch.load are many
        if weights_only:
            raise ModelFileError(f"{path} is damaged, or holds more than weights ({type(error).__name__})") from error
        raise ModelFileError(f"cannot unpickle {path}: {type(error).__name__}: {error}") from error


def _copied(config: NetworkConfig, weights: Mapping[str, Tensor], where: str) -> MagneticHIPNN:
    made = MagneticHIPNN(config)
    try:
        made.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise ModelFileError(f"the weights in {where} do not fit the network {config}: {error}") from None
    return made.eval()


def _description(path: Path) -> dict[str, Any]:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelFileError(f"{path} is damaged ({error}): write it again with describe_training") from None
    if not isinstance(table, dict) or table.get("format") != FORMAT or "network" not in table:
        raise ModelFileError(f"{path} is no description of format {FORMAT!r}: write it again with describe_training")
    if table.get("convention") != CONVENTION:
        raise ModelFileError(
            f"{path} has another spin convention ({table.get('convention')!r}) than spinase ({CONVENTION!r})"
        )
    return table


def _config(network: NetworkConfig | Mapping[str, Any], where: str) -> NetworkConfig:
    if isinstance(network, NetworkConfig):
        return network
    try:
        return NetworkConfig.model_validate(dict(network))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {in_words(e)}" for e in error.errors())
        raise ModelFileError(f"{where} describes no network: {problems}") from None


def _agree(given: Any, stored: Any, name: str, folder: Path) -> None:
    if given is not None and given != stored:
        raise ModelFileError(f"{name} = {given!r} was given, but {folder / DESCRIPTION} says {stored!r}: leave it out")


def _complete(said: Mapping[str, Any], name: str) -> None:
    missing = []
    if said["units"] is None:
        missing.append("units = 'metal' or 'reduced' (of the positions and energies it was trained on)")
    if said["unit_spins"] is None:
        missing.append("unit_spins = True (the database's spins were unit vectors along the moments)")
    if missing:
        raise ModelFileError(f"{name} does not say: {'; '.join(missing)}")
    if said["unit_spins"] is not True:
        raise ModelFileError(
            f"{name}: networks of spinase read unit spins; train on moments divided by their lengths, forces on spins being "
            "derivatives by the unit spins"
        )


def _known_units(units: str) -> str:
    if units not in UNIT_SYSTEMS:
        raise ModelFileError(f"unknown unit system {units!r}: use one of {', '.join(UNIT_SYSTEMS)}")
    return units


__all__ = ["describe_training", "networks_from_hippynn"]
