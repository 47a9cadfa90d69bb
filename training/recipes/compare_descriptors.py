"""Lattice descriptors, mHIP-NN, spin symmetry functions and fitted pair exchange on the same labels: a learning curve.

    spinase label training/recipes/triangular_120/labels.toml -o LABELS.h5
    OMP_NUM_THREADS=1 python training/recipes/compare_descriptors.py LABELS.h5 FOLDER [--boxes 6 20 64] [--steps 700]

Every network takes the same number of steps whatever the number of boxes; all are asked about the last boxes of the file,
which none has seen.  FOLDER keeps every training and ``results.json``; the same command goes on, and ends with a table and a
figure.
"""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from spinase_training.loop import as_toml
from spinase_training.recipe import check_recipe
from spinase_training.train import train_recipe

from spinase import SpinAtoms
from spinase.atoms import get_spins
from spinase.calculators import HeisenbergCalculator, HIPNNCalculator
from spinase.files import write_text
from spinase.io.labels import Labels, read_labels, write_labels
from spinase.spin_algebra import tangent
from spinase.viz.figures import save_figure

NETWORKS: dict[str, dict[str, Any]] = {
    "lattice descriptors": {
        "style": "lattice",
        "cutoff": 3.2,
        "pair_length": 1.8,
        "pair_range": 2.1,
        "channels": 8,
        "odd_channels": 4,
        "hidden": [48, 48],
    },
    "mHIP-NN": {
        "style": "mhipnn",
        "cutoff": 2.99,
        "inner": 0.9,
        "radial": 8,
        "width": 32,
        "channels": [16, 8, 8],
        "layers": 2,
        "products": True,
    },
    "spin symmetry functions": {
        "style": "spin-symmetry-functions",
        "cutoff": 2.1,
        "inner": 0.8,
        "radial": 6,
        "angular_radial": 2,
        "exponents": [1, 4],
        "hidden": [48, 48],
    },
}
EXCHANGE, SHELLS, BATCH, UNSEEN = "pair exchange", 7, 4, 20


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("labels", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--boxes", type=int, nargs="+", default=[6, 20, 64])
    parser.add_argument("--steps", type=int, default=700)
    asked = parser.parse_args()
    parts, attributes = read_labels(asked.labels)
    asked.folder.mkdir(exist_ok=True)
    kept = asked.folder / "results.json"
    results: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    for boxes in sorted(asked.boxes, reverse=True):
        for name in (EXCHANGE, *NETWORKS):
            if f"{name} {boxes}" in results:
                continue
            calc, weights = learned(
                name, parts[:boxes], attributes, asked.folder / f"{name} {boxes}".replace(" ", "_"), asked.steps
            )
            results[f"{name} {boxes}"] = {**errors(calc, parts[-UNSEEN:]), "weights": weights, "us_per_spin": cost(calc)}
            write_text(kept, json.dumps(results, indent=1))
            print(name, boxes, results[f"{name} {boxes}"], flush=True)
    show(results, sorted(asked.boxes))
    figure(results, sorted(asked.boxes), asked.folder / "learning_curve.png")


def learned(name: str, parts: Sequence[Labels], attributes: dict[str, str], folder: Path, steps: int) -> tuple[Any, int]:
    """A calculator that has learned from some realizations, and how many weights it has."""
    if name == EXCHANGE:
        return HeisenbergCalculator(fitted(parts)), SHELLS
    write_labels(folder.with_suffix(".h5"), parts, attributes)
    epochs = round(steps * BATCH / sum(map(len, parts[2:])))
    table = {
        "name": name,
        "labels": folder.with_suffix(".h5").name,
        "seed": 1,
        "epochs": epochs,
        "batch": BATCH,
        "learning_rate": 3e-3,
        "floor": 0.02,
        "validation": 0.04,
        "test": 0.01,
        "network": NETWORKS[name],
    }
    text = "\n".join(f"{key} = {as_toml(value)}" for key, value in table.items())
    model = train_recipe(check_recipe(table, name), text, folder.parent, folder, restart=folder.exists())
    calc = HIPNNCalculator(model, outside_domain="ignore")
    return calc, sum(one.numel() for one in calc.networks[0].parameters())


def fitted(parts: Sequence[Labels]) -> list[float]:
    """Exchange of the shells whose fields across the spins are nearest to the labelled ones."""
    matrix, right = np.zeros((SHELLS, SHELLS)), np.zeros(SHELLS)
    units = np.eye(SHELLS)
    for part in parts:
        laws = [HeisenbergCalculator(list(one)).field_function(part.atoms(0)) for one in units]
        for spins, fields in zip(part.moments, part.magnetic_forces, strict=True):
            design = np.stack([tangent(law(spins), spins).ravel() for law in laws], axis=1)
            matrix += design.T @ design
            right += design.T @ tangent(fields, spins).ravel()
    return [float(one) for one in np.linalg.solve(matrix, right)]


def errors(calc: Any, parts: Sequence[Labels]) -> dict[str, Any]:
    """R^2, rms error and rms of torques, and R^2 along the quench."""
    wrong, power = [], []
    for part in parts:
        fields, labels = calc.field_function(part.atoms(0)), list(zip(part.moments, part.magnetic_forces, strict=True))
        wrong.append([np.mean(np.sum(tangent(fields(s) - b, s) ** 2, axis=1)) for s, b in labels])
        power.append([np.mean(np.sum(tangent(b, s) ** 2, axis=1)) for s, b in labels])
    gap, true = np.mean(wrong, axis=0), np.mean(power, axis=0)
    quench = [k for k, kind in enumerate(parts[0].kinds) if kind == "quench"]
    return {
        "r2": float(1.0 - gap.mean() / true.mean()),
        "rms_error": float(np.sqrt(gap.mean())),
        "rms_torque": float(np.sqrt(true.mean())),
        "quench": [float(x) for x in 1.0 - gap[quench] / true[quench]],
        "quench_torque": [float(x) for x in np.sqrt(true[quench])],
    }


def cost(calc: Any, side: int = 32, repeats: int = 9) -> float:
    """CPU time of energies and fields a spin, microseconds: median."""
    atoms = SpinAtoms.lattice("triangular", (side, side), units="reduced", rng=1)
    fields: Callable[[Any], Any] = calc.field_function(atoms)
    spins, times = get_spins(atoms), []
    for _ in range(repeats):
        start = time.process_time()
        fields(spins)
        times.append(time.process_time() - start)
    return float(np.median(times)) / len(atoms) * 1e6


def show(results: dict[str, Any], boxes: Sequence[int]) -> None:
    """A table in Markdown; the last columns are of the most boxes that were learned from."""
    curve = " | ".join(f"R^2, {n} boxes" for n in boxes)
    print(f"| learned by | weights | {curve} | rms error of rms torque | R^2 along the quench | CPU us a spin |")
    print("|" + "---|" * (5 + len(boxes)))
    for name in (*NETWORKS, EXCHANGE):
        rows = {n: results[f"{name} {n}"] for n in boxes if f"{name} {n}" in results}
        if not rows:
            continue
        last, curve = rows[max(rows)], " | ".join(f"{rows[n]['r2']:.4f}" if n in rows else "" for n in boxes)
        error = f"{last['rms_error']:.4f} of {last['rms_torque']:.4f}"
        along = f"{last['quench'][0]:.4f} to {last['quench'][-1]:.3f}"
        print(f"| {name} | {last['weights']:,} | {curve} | {error} | {along} | {last['us_per_spin']:.2g} |")


def figure(results: dict[str, Any], boxes: Sequence[int], path: Path) -> None:
    """Errors against the number of boxes, and along the quench."""
    plot = Figure(figsize=(9.0, 3.6), layout="constrained")
    left, right = plot.subplots(1, 2)
    for name in (*NETWORKS, EXCHANGE):
        rows = [results[f"{name} {n}"] for n in boxes]
        left.loglog(boxes, [one["rms_error"] / one["rms_torque"] for one in rows], "o-", label=name)
        right.semilogy([1.0 - x for x in rows[-1]["quench"]], "o-", label=name)
    left.set_xticks(boxes, [str(n) for n in boxes])
    left.minorticks_off()
    left.set(xlabel="boxes of 12 x 12 sites", ylabel="rms error / rms torque")
    right.set(xlabel="place along the quench", ylabel=f"1 - R$^2$, {boxes[-1]} boxes")
    left.legend(frameon=False)
    save_figure(plot, path)


if __name__ == "__main__":
    main()
