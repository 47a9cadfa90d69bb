"""A step of the training of learned magnets in compiled loops against torch's own double differentiation.

``OMP_NUM_THREADS=1 python tests/benchmarks/training.py``; the networks of the shipped models with a law of pairs or without,
in batches as the recipes have.  Medians of interleaved runs in one process on one thread, of wall and CPU time.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from learning import Task, disordered, medians, show
from threadpoolctl import threadpool_limits
from timing import header

from spinase import SpinAtoms
from spinase.calculators import HIPNNCalculator
from spinase.learning.engine.training.batch import keep_memory
from spinase.learning.grand_potential import GrandPotentialReadout
from spinase.learning.hippynn.adapter import PaddedMagnet
from spinase.learning.mhipnn.network import MagneticHIPNN


def training() -> None:
    print(
        "a step of the training in batches of the recipes: fields (and forces of the moving magnet), slopes by the weights, "
        "Adam; one thread, single precision"
    )
    keep_memory()
    lattices = {"triangular-tetrahedral": "triangular", "square-double-exchange": "square"}
    for name in ("disordered-sd", "disordered-sd-moving", *lattices):
        if name in lattices:
            magnets = [SpinAtoms.lattice(lattices[name], (12, 12), units="reduced", rng=1)]
        else:
            magnets = [disordered(216, seed=seed) for seed in range(1 if "moving" in name else 5)]
        network = HIPNNCalculator.shipped(name).networks[0]
        steps = {compiled: training_step(network, magnets, compiled) for compiled in (False, True)}
        exact, found = (torch.cat([part.flatten() for part in steps[compiled]()]) for compiled in (False, True))
        error, sites = float((found - exact).norm() / exact.norm()), sum(len(atoms) for atoms in magnets)
        tasks: dict[str, Task] = {"torch": steps[False], "compiled": steps[True]}
        base, fast = medians(tasks, {"torch": 15, "compiled": 60}).values()
        print(f" {name}, {sites} sites, slopes differ by {error:.0e} of their norm")
        show(f"torch, {1e6 * base[1] / sites:.0f} us of CPU a site", base, base)
        show(f"compiled, {1e6 * fast[1] / sites:.0f} us of CPU a site", fast, base)


def training_step(network: MagneticHIPNN, magnets: list[SpinAtoms], compiled: bool) -> Callable[[], list[torch.Tensor]]:
    """A step of Adam, of length zero, on fields (with a law of pairs also forces) with noise; slopes by the weights."""
    moving = network.config.pairs > 0
    parts = network.config.parts
    readout = GrandPotentialReadout((-1.0, 1.0)) if parts > 1 else None
    model = PaddedMagnet(copy.deepcopy(network).float().requires_grad_(), moving, compiled, readout).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.0, fused=True)
    arrays = [np.stack([getattr(atoms, part) for atoms in magnets]) for part in ("numbers", "positions", "spins")]
    numbers, positions, spins = (torch.from_numpy(array) for array in arrays)
    cells = torch.tensor(np.array([atoms.cell.array * atoms.pbc[:, None] for atoms in magnets]))
    batch = [numbers.long(), *(part.float() for part in (positions, cells, spins))]
    if parts > 1:
        batch.append(torch.zeros(len(magnets), 1))

    def learned(batch: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        return model(*batch)[1 : 2 + moving]

    generator = torch.Generator().manual_seed(1)
    aims = [part.detach() + 0.2 * torch.randn(part.shape, generator=generator) for part in learned(batch)]

    def step() -> list[torch.Tensor]:
        optimizer.zero_grad()
        sum(((part - aim).square().mean() for part, aim in zip(learned(batch), aims, strict=True))).backward()
        optimizer.step()
        return [torch.zeros_like(part) if part.grad is None else part.grad for part in model.parameters()]

    return step


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(header(1), f"torch {torch.__version__}")
    with threadpool_limits(1, user_api="blas"):
        training()
