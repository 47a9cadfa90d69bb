"""Training on hippynn's trainer: one network after the other, with a checkpoint after every epoch."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hippynn.databases import Database
from hippynn.experiment import SetupParams, assemble_for_training, setup_training, train_model
from hippynn.graphs import loss

from spinase.errors import AccuracyWarning, InputError
from spinase.files import file_digest, refuse_foreign_folder, write_mark, write_text
from spinase.io.labels import Labels
from spinase.learning.card import ModelCard
from spinase.learning.engine.training.batch import keep_memory
from spinase.learning.hippynn.adapter import magnet_graph
from spinase.learning.model_file import save_model
from spinase.learning.readout import Readout
from spinase.learning.trunk import Trunk, TrunkConfig
from spinase.stopping import RunStopped, StopRequest, stop_signals
from spinase.units import unit_system
from spinase_training.checkpoint import load_training, save_training
from spinase_training.data import TrainingData, learned_realizations, prepare, read_files, split, trunk_config
from spinase_training.domain import domain_of_labels, refuse_empty_surroundings, what_was_trained
from spinase_training.figures import curves, parity
from spinase_training.last_layer import fit_last_layer
from spinase_training.pair_fit import fit_pairs
from spinase_training.recipe import Recipe
from spinase_training.start import recipe_start, start_networks
from spinase_training.uncertainty import FLOOR, calibration_table, field_errors
from spinase_training.validation import energy_offset, errors, predict

Progress = Callable[[int, int, str], None]
MODEL, LOG = "model.npz", "log.txt"
FIGURES = ("curves.png", "parity.png")
_LOG = logging.getLogger("spinase.training")
_AGAIN = "go on with --restart, from the last whole epoch"
_NOTHING = 0.05  # R^2 below which a model is no better than none
_SHIFT_REALIZATIONS = 20  # that tell the mean energy


@dataclass(frozen=True)
class Task:
    """Everything one training needs."""

    recipe: Recipe
    data: TrainingData
    config: TrunkConfig
    readout: Readout
    parts: dict[str, Any]
    folder: Path
    stop: StopRequest
    start: list[Trunk] | None = None
    progress: Progress | None = None


def train_recipe(
    recipe: Recipe,
    text: str,
    home: Path,
    folder: Path,
    restart: bool = False,
    start: Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Train what a recipe describes into `folder`; returns the model file.

    Parameters
    ----------
    recipe, text
        From :func:`spinase_training.recipe.read_recipe`.
    home : path
        Folder the recipe's label file is relative to.
    folder : path
        Run directory: recipe, log, checkpoints, model file, figures.
    restart : bool
        Go on from the checkpoints in it.
    start : path, optional
        Model file with whose weights the networks begin; default: that of the recipe, if it names one.
    progress : callable, optional
        Called after every epoch with (epochs done, epochs in all, which network and how well it does).

    Raises
    ------
    InputError
        If the directory holds another run, or the data do not do.
    RunStopped
        If a signal stopped it, after the batch at hand; a restart goes on from the last whole epoch.
    """
    keep_memory()
    start = recipe_start(recipe, home) if start is None else start
    with stop_signals() as stop:
        labels, attributes = read_files(recipe, home)
        task = _task(recipe, labels, folder.resolve(), start, stop)  # hippynn works in a folder of its own
        _prepare_folder(task.folder, text, _source(attributes, start), restart)
        return _train(replace(task, progress=progress), labels, attributes, text)


def _task(recipe: Recipe, labels: list[Labels], folder: Path, start: Path | None, stop: StopRequest) -> Task:
    data = prepare(labels, recipe.floor, recipe.orders > 0)
    readout, numbers = recipe.meaning(data.window, data.biases)
    config = trunk_config(recipe, labels, data.species, numbers)
    refuse_empty_surroundings(labels, config.cutoff)
    parts = split(data.realization, recipe, learned_realizations(labels))
    begin = None
    if start is not None:
        begin, config = start_networks(start, config, readout, recipe.ensemble, data.scale if recipe.start else None)
    return Task(recipe, data, config, readout, parts, folder, stop, begin)


def _train(task: Task, labels: list[Labels], attributes: Mapping[str, str], text: str) -> Path:
    folder = task.folder
    networks, histories = zip(*(_train_member(task, member) for member in range(task.recipe.ensemble)), strict=True)
    card = _card(task, labels, attributes, list(networks), text)
    save_model(folder / MODEL, list(networks), card)
    if card["errors"]["r2"] < _NOTHING:
        warnings.warn(
            f"{folder / MODEL} has learned nothing: {error_line(card)}. Look at curves.png: a larger cutoff, more epochs or "
            "another learning rate may help; if none does, these fields are not a function of what the network sees",
            AccuracyWarning,
            stacklevel=2,
        )
    curves(histories, folder / FIGURES[0])
    return folder / MODEL


def error_line(card: ModelCard) -> str:
    """Errors of a trained model on realizations it has never seen, in one line."""
    found = card["errors"]
    return (
        f"on unseen magnets R^2 of the torques is {found['r2']:.4f}, their rms error {found['rms_error']:.3g} of "
        f"{found['rms_torque']:.3g}"
    )


def _source(attributes: Mapping[str, str], start: Path | None) -> str:
    """What a training depends on beside its recipe, as text: the labels, and the weights it begins with."""
    weights = "none" if start is None else file_digest(start)
    return f"labels {attributes.get('hash', '')}\nstart {weights}\n"


def _prepare_folder(folder: Path, text: str, source: str, restart: bool) -> None:
    """Make the run directory, or look whether what was begun in it is what is to be gone on with."""
    recipe, data = folder / "recipe.toml", folder / "data.txt"
    names = (recipe.name, data.name, MODEL, LOG, *FIGURES, "checkpoint_*.pt", "hippynn_*")
    refuse_foreign_folder(folder, "training", names)
    begun = any(folder.glob("checkpoint_*.pt")) or (folder / MODEL).exists()  # a recipe that never trained does not count
    if begun and not restart:
        raise InputError(f"{folder} already holds a training: use --restart to go on, or another --output")
    if begun and recipe.exists() and recipe.read_text(encoding="utf-8") != text:
        raise InputError(f"{folder} was started with another recipe ({recipe}): restart with that one, or train elsewhere")
    if begun and data.exists() and data.read_text(encoding="utf-8") != source:
        raise InputError(
            f"{folder} was started with other labels (or weights to begin with) than those that have the name now "
            f"({data}): restart with those, or train elsewhere"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_mark(folder, kind="training")
    write_text(recipe, text)
    write_text(data, source)


def _train_member(task: Task, member: int) -> tuple[Trunk, list[dict[str, float]]]:
    """One network of the ensemble: its best weights on the validation data, and its history."""
    recipe = task.recipe
    task.stop.check(_AGAIN)
    torch.manual_seed(1000 * recipe.seed + member)
    network = recipe.trunk.from_config(task.config)
    _begin(task, network, member)
    with _inside(task.folder / f"hippynn_{member}"):
        modules, info = assemble_for_training(*_losses(task, network))
    optimizer = torch.optim.Adam(modules[0].parameters(), lr=recipe.learning_rate, fused=True)
    parameters = SetupParams(
        device="cpu",
        stopping_key="loss",
        optimizer=optimizer,
        learning_rate=recipe.learning_rate,
        scheduler=torch.optim.lr_scheduler.LambdaLR(optimizer, _Schedule(recipe.epochs, recipe.warmup)),
        batch_size=recipe.batch,
        eval_batch_size=recipe.batch,
        max_epochs=recipe.epochs,
    )
    with _inside(task.folder / f"hippynn_{member}"):
        modules, controller, metrics = setup_training(modules, parameters)
    keeper = _Keeper(task.folder / f"checkpoint_{member}.pt", modules[0], controller, metrics, task.folder / LOG, member)
    keeper.restore()
    listeners = [keeper] if task.progress is None else [keeper, _Teller(task.progress, recipe, metrics, member)]
    if controller.current_epoch < recipe.epochs:
        with _inside(task.folder / f"hippynn_{member}"):
            database = _database(task, info)
            train_model(
                modules,
                database,
                controller,
                metrics,
                listeners,
                [lambda *_: task.stop.check(_AGAIN)],
                store_structure_file=False,
                store_metrics=False,
                quiet=True,
            )
    if controller.current_epoch < recipe.epochs:  # hippynn takes an interrupt for the end of the training
        raise RunStopped(f"interrupted in epoch {controller.current_epoch + 1} of {recipe.epochs}; {_AGAIN}")
    modules[0].load_state_dict(metrics.best_model)
    _fit_last_layer(task, network, member)
    history = [{split: values["loss"] for split, values in epoch.items()} for epoch in metrics.epoch_metric_values]
    return network.eval(), history


def _begin(task: Task, network: Trunk, member: int) -> None:
    """Weights to begin with: given ones, or random ones with what the data tell before any descent."""
    if task.start is not None:
        network.load_state_dict(task.start[member].state_dict())
        return
    if task.readout.response is not None:
        network.begin_part(1, -float(np.mean(np.asarray(task.data.arrays[task.readout.response]))))
    if network.law_of_pairs() is not None:
        left = fit_pairs(network, task.data, task.parts["train"], task.recipe.force_weight)
        with open(task.folder / LOG, "a", encoding="utf-8") as file:
            file.write(f"network {member}: the law of pairs leaves {left:.4f} of fields and forces unexplained\n")


def _fit_last_layer(task: Task, network: Trunk, member: int) -> None:
    """After the descent, if the recipe weighs collective torques."""
    weight = task.recipe.collective_weight
    if weight is None:
        return
    told = fit_last_layer(network, task.readout, task.data, task.parts["train"], weight, task.recipe.floor)
    with open(task.folder / LOG, "a", encoding="utf-8") as file:
        file.write(f"network {member}: last layer by least squares: {told}\n")


def _losses(task: Task, network: Trunk) -> tuple[Any, dict[str, Any]]:
    """What is made small, and its parts by name: weighted fields, and energies and forces relative to how they vary.

    Raises
    ------
    InputError
        If the recipe weighs forces or energies that are not labelled.
    """
    recipe, arrays = task.recipe, task.data.arrays
    magnet, scaled = magnet_graph(network, recipe.force_weight > 0, recipe.compiled, task.readout)
    total = loss.MSELoss.of_node(scaled)
    parts = {"field": total}
    weights = {"energy": recipe.energy_weight, "forces": recipe.force_weight}
    if task.readout.response is not None:
        weights[task.readout.response] = recipe.electron_weight
    for name, weight in weights.items():
        if not weight:
            continue
        if name not in arrays or not np.isfinite(np.asarray(arrays[name], dtype=float)).all():
            raise InputError(
                f"the recipe weighs {name} by {weight}, but {', '.join(recipe.files)} has none: label them, or leave it out"
            )
        parts[name] = loss.MSELoss.of_node(getattr(magnet, name)) * float(
            1.0 / np.var(np.asarray(arrays[name], dtype=float))
        )
        total = total + weight * parts[name]
    return total, {**parts, "loss": total}


def _database(task: Task, info: dict[str, Any]) -> Database:
    names = {*info["inputs"], *info["targets"]}
    arrays = {name: array for name, array in task.data.arrays.items() if name in names}
    database = Database(arrays, seed=task.recipe.seed, quiet=True, **info)
    for name in ("valid", "test"):
        database.make_explicit_split(name, torch.as_tensor(task.parts[name]))
    database.split_the_rest("train")
    return database


class _Schedule:
    """Factor of the learning rate by epoch: up from a tenth, then down as a cosine."""

    def __init__(self, epochs: int, warmup: int) -> None:
        self.epochs, self.warmup = epochs, min(warmup, epochs - 1)

    def __call__(self, epoch: int) -> float:
        """Factor in `epoch`, from 0."""
        if epoch < self.warmup:
            return 0.1 + 0.9 * epoch / self.warmup
        return 0.5 * (1.0 + math.cos(math.pi * (epoch - self.warmup) / max(self.epochs - self.warmup, 1)))


class _Keeper:
    """Callback after every epoch: a line in the log, and a checkpoint to go on from with the same numbers."""

    def __init__(self, path: Path, model: Any, controller: Any, metrics: Any, log: Path, member: int) -> None:
        self.path, self.model, self.controller, self.metrics = path, model, controller, metrics
        self.log, self.member = log, member

    def __call__(self, epoch: int, better: bool) -> None:
        """Write both; the new best weights are not registered yet when hippynn calls."""
        values = self.metrics.epoch_metric_values[-1]
        best = self.model.state_dict() if better else self.metrics.best_model
        state = {
            "model": self.model.state_dict(),
            "best": best,
            "controller": self.controller.state_dict(),
            "values": self.metrics.epoch_metric_values,
            "best_values": self.metrics.epoch_best_metric_values,
            "random": torch.get_rng_state(),
        }
        save_training(self.path, state)
        rate = self.controller.optimizer.param_groups[0]["lr"]
        with open(self.log, "a", encoding="utf-8") as file:
            shown = "  ".join(f"{name} {float(values[name]['loss']):.6f}" for name in ("train", "valid"))
            parts = "  ".join(f"{part} {float(value):.5f}" for part, value in values["valid"].items() if part != "loss")
            mark = "  best" if better else ""
            file.write(f"network {self.member} epoch {epoch + 1:5d}  {shown}  ({parts})  next rate {rate:.3e}{mark}\n")
        _LOG.info("network %s epoch %d  %s", self.member, epoch + 1, shown)

    def restore(self) -> None:
        """Take up the checkpoint, if there is one."""
        if not self.path.exists():
            return
        state = load_training(self.path)
        self.model.load_state_dict(state["model"])
        self.controller.load_state_dict(state["controller"])
        self.metrics.epoch_metric_values = state["values"]
        self.metrics.epoch_best_metric_values = state["best_values"]
        self.metrics.best_metric_values = dict(state["best_values"][-1])
        self.metrics.best_model = state["best"]
        torch.set_rng_state(state["random"])


class _Teller:
    """Callback after every epoch: how far the training is, and the relative error of the fields that were kept apart."""

    def __init__(self, progress: Progress, recipe: Recipe, metrics: Any, member: int) -> None:
        self.progress, self.metrics, self.member = progress, metrics, member
        self.epochs, self.total = recipe.epochs, recipe.epochs * recipe.ensemble

    def __call__(self, epoch: int, better: bool) -> None:
        """Tell it; errors are those of the validation data, root mean square over the fields' own."""
        error = math.sqrt(max(float(self.metrics.epoch_metric_values[-1]["valid"]["field"]), 0.0))
        self.progress(self.member * self.epochs + epoch + 1, self.total, f"network {self.member}, error {error:.3f}")


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """hippynn writes into the current directory and prints: both go into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        open(folder / "hippynn.log", "a", encoding="utf-8") as file,
        contextlib.chdir(folder),
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        yield


def _card(task: Task, labels: list[Labels], attributes: Mapping[str, str], networks: list[Trunk], text: str) -> ModelCard:
    """What the model file says of itself, with its errors on the realizations it has never seen."""
    recipe, data = task.recipe, task.data
    teacher = json.loads(attributes["teacher"]) if "teacher" in attributes else None
    filling = {"filling": None if teacher is None else teacher.get("filling")}
    card = ModelCard(
        recipe.name,
        task.config,
        data.units,
        energy_scale=data.scale,
        energy_shift=data.shift,
        readout=task.readout,
        notes={**filling},
    )
    if task.readout.conservative:  # fields leave a constant of the energy open
        seen = sorted({int(number) for number in data.realization[task.parts["train"]]})[:_SHIFT_REALIZATIONS]
        offset = energy_offset([predict((networks, card), labels[number]) for number in seen])
        card = replace(card, energy_shift=data.shift + offset)
    unseen = sorted({int(number) for number in data.realization[task.parts["test"]]})
    found = [predict((networks, card), labels[number]) for number in unseen]
    parity(found, unit_system(card.units), task.folder / FIGURES[1])
    trained = [labels[number] for number in sorted({int(n) for n in data.realization[task.parts["train"]]})]
    notes = {
        "title": attributes.get("title", ""),
        "made_by": recipe.made_by,
        "teacher": teacher,
        **filling,
        "data_hash": attributes.get("hash", ""),
        "label_input": attributes.get("input", ""),
        "recipe": text,
        "errors": errors(found),
        "trained_on": what_was_trained(recipe, task.readout),
        "domain": domain_of_labels(trained, task.config.cutoff, task.readout).to_table(),
        "realizations": {name: len({int(n) for n in data.realization[rows]}) for name, rows in task.parts.items()},
    }
    if len(networks) > 1:  # the bars of one network would be one constant
        bars = [field_errors((networks, card), labels[number]) for number in unseen]
        notes["calibration"] = calibration_table(bars, FLOOR * card.energy_scale)
    return replace(card, notes=notes)
