"""Good files of every kind that the fault kit damages, and how each is read."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from spinase_training.labels import LabelOptions, label_file
from systems.inputs import NOISY, square_run

from spinase.calculators import read_tb2j, read_uppasd, read_vampire
from spinase.dynamics.checkpoint import load_checkpoint
from spinase.io import Labels, read_labels, read_run
from spinase.learning.card import ModelCard
from spinase.learning.card_format import write_card
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig
from spinase.learning.model_file import load_model, save_model
from spinase.run import RunOptions, RunStopped, run_file
from spinase.run.build import build_setup
from spinase.run.config import read_input
from spinase.run.convert import foreign_format
from spinase.run.execute import check_stages
from spinase.run.streams import RunStreams

RUN = 'title = "faults"\n' + square_run(
    3,
    3,
    f"""[[stage]]
driver = "llg"
steps = 600
{NOISY}[[observer]]
style = "magnetization"
every = 4
[output]
every = 5
checkpoint_every = 10
results = ["magnetic_forces"]
""",
)
LABELS = """
realizations = 3
random = 2
forces = true
[atoms]
disordered = { sites = 12 }
[calculator]
style = "heisenberg"
law = { amplitude = 1.0, decay = 1.0, reference = 1.0, cutoff = 1.6 }
"""
RECIPE = """
name = "toy"
labels = "labels.h5"
epochs = 2
[network]
cutoff = 2.0
inner = 0.7
radial = 6
width = 8
channels = [4, 2]
layers = 1
"""
VAMPIRE = """# cell
2.8665 2.8665 2.8665
1 0 0
0 1 0
0 0 1
2
0 0.0 0.0 0.0
1 0.5 0.5 0.5
2 isotropic
0 0 1 0 0 0 1e-21
1 1 0 0 0 0 1e-21
"""
UPPASD = {
    "inpsd.dat": "simid bcc\ncell 1 0 0\n 0 1 0\n 0 0 1\nncell 2 2 2\nposfile ./posfile\nexchange ./jfile\n"
    "momfile ./momfile\nmaptype 1\nsym 1\n",
    "posfile": "1 1 0.0 0.0 0.0\n",
    "momfile": "1 1 2.2 0.0 0.0 1.0\n",
    "jfile": "1 1 1.0 0.0 0.0 1.2\n",
}


FOREIGN = {"mace": "mace.extxyz", "deepspin": "deepspin", "double-exchange": "double-exchange"}


@dataclass(frozen=True)
class Kind:
    """Files of one kind: a good one (or a folder of files, one of which is damaged), how it is read, and whether whatever
    reads must be what was written."""

    name: str
    sample: Path
    read: Callable[[Path], Any]
    sealed: bool


def samples(folder: Path) -> dict[str, Kind]:
    """Good files of every kind, made in `folder`."""
    (folder / "run.toml").write_text(RUN)
    (folder / "labels.toml").write_text(LABELS)
    (folder / "recipe.toml").write_text(RECIPE)
    (folder / "cell.ucf").write_text(VAMPIRE)
    for name, text in UPPASD.items():
        (folder / name).write_text(text)
    short = ["stage.0.steps=60"]
    run_file(folder / "run.toml", short, RunOptions(folder / "out"))
    with contextlib.suppress(RunStopped):
        run_file(folder / "run.toml", short, RunOptions(folder / "half", stop_after=30))
    label_file(folder / "labels.toml", options=LabelOptions(folder / "labels.h5"))
    shutil.copy(Path(__file__).parents[1] / "references" / "tb2j" / "exchange.xml", folder)
    for name in FOREIGN:
        _foreign(folder, name)
    _training(folder / "checkpoint_0.pt")
    _killed_run(folder)
    config = NetworkConfig(species=[26], cutoff=1.5, inner=0.7, radial=3, width=4, channels=[2, 1], layers=1)
    save_model(folder / "model.npz", [MagneticHIPNN(config)], ModelCard("toy", config, "reduced"))
    kinds = [
        Kind("run", folder / "out" / "run.h5", read_whole_run, True),
        Kind("killed run", folder / "killed" / "run.h5", read_whole_run, True),
        Kind("labels", folder / "labels.h5", _read_labels, True),
        Kind("checkpoint", folder / "half" / "checkpoint.npz", load_checkpoint, True),
        Kind("model", folder / "model.npz", _read_model, True),
        Kind("input", folder / "run.toml", _check, False),
        Kind("recipe", folder / "recipe.toml", _recipe, False),
        Kind("vampire", folder / "cell.ucf", read_vampire, False),
        Kind("uppasd", folder / "inpsd.dat", read_uppasd, False),
        Kind("tb2j", folder / "exchange.xml", read_tb2j, False),
        Kind("mace", folder / "mace.extxyz", lambda path: _converted(path, "mace"), False),
        Kind("deepspin", folder / "deepspin", lambda path: _converted(path, "deepspin"), False),
        Kind("double-exchange", folder / "double-exchange", lambda path: _converted(path, "double-exchange"), False),
        Kind("training", folder / "checkpoint_0.pt", _read_training, True),
    ]
    missing = [kind.name for kind in kinds if not kind.sample.exists()]
    assert not missing, f"no sample of {missing}"
    return {kind.name: kind for kind in kinds}


def _foreign(folder: Path, name: str) -> None:
    """An export of two realizations: iron in eV for MACE and DeepSPIN, a square lattice for the double-exchange columns."""
    rng = np.random.default_rng(6)
    reduced = name == "double-exchange"
    parts = []
    for frames in (2, 3):
        spins = rng.normal(size=(frames, 6, 3))
        spins /= np.linalg.norm(spins, axis=2, keepdims=True)
        places = np.array([[x, y, 0.0] for y in range(2) for x in range(3)])
        parts.append(
            Labels(
                numbers=np.full(6, 26),
                pbc=np.array([True, True, not reduced]),
                units="reduced" if reduced else "metal",
                kinds=["random"] * frames,
                cells=np.tile(np.diag([3.0, 2.0, 1.0]), (frames, 1, 1)),
                positions=np.tile(places, (frames, 1, 1)),
                moments=(1.0 if reduced else 2.2) * spins,
                magnetic_forces=rng.normal(size=(frames, 6, 3)),
                energies=rng.normal(size=frames),
                forces=None if reduced else rng.normal(size=(frames, 6, 3)),
            )
        )
    options = {"density": 0.5} if reduced else {}
    foreign_format(name, options).write(parts, folder / FOREIGN[name])


def _converted(path: Path, name: str) -> Any:
    return [vars(part) for part in foreign_format(name).read(path).parts]


def _training(path: Path) -> None:
    """A checkpoint such as a training writes after every epoch."""
    from spinase_training.checkpoint import save_training

    generator = torch.Generator().manual_seed(3)
    network = torch.nn.Linear(4, 3)
    optimizer = torch.optim.Adam(network.parameters())
    state = {"model": network.state_dict(), "controller": {"optimizer": optimizer.state_dict(), "epoch": 3}}
    save_training(path, {**state, "values": [{"valid": {"loss": 0.25}}], "random": generator.get_state()})


def _read_training(path: Path) -> Any:
    from spinase_training.checkpoint import load_training

    return _plain(load_training(path))


def _plain(value: Any) -> Any:
    """Tensors as arrays, whatever they are in."""
    if isinstance(value, torch.Tensor):
        return value.numpy()
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def _killed_run(folder: Path) -> None:
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            run_file(folder / "run.toml", ["stage.0.steps=400000"], RunOptions(folder / "killed"))
        os._exit(1)
    deadline = time.monotonic() + 60
    log = folder / "killed" / "log.txt"
    while (not log.exists() or log.stat().st_size < 3000) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def read_whole_run(path: Path) -> Any:
    """Everything in a run file but its provenance, which tells when it was made."""
    run = read_run(path)
    return {name: value for name, value in vars(run).items() if name != "provenance"}


def _read_labels(path: Path) -> Any:
    return [vars(part) for part in read_labels(path)[0]]


def _read_model(path: Path) -> Any:
    networks, card = load_model(path)
    return write_card(card, type(networks[0])), [
        {k: v.numpy() for k, v in network.state_dict().items()} for network in networks
    ]


def _check(path: Path) -> Any:
    config, _ = read_input(path)
    setup = build_setup(config, path.parent)
    RunStreams(setup, check_stages(setup))
    return "fits"


def _recipe(path: Path) -> Any:
    from spinase_training.recipe import read_recipe

    read_recipe(path)
    return "fits"
