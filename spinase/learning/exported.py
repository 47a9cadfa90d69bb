"""Learned models as programs of their own: networks on regions, traced with their gradients, compiled by torch.

A package (``.pt2``) runs in C++ without Python, on the CPU and the release of torch that made it.  It has a program
``fields``, and ``forces`` if the model was trained on these, for any numbers of sites and neighbours,

    (vectors (R, K, 3), neighbours (R, K), species (n,), spins (n, 3), places of every layer (R_1,), ..., (R_L,))
        -> E_i (R_L,), -dE/ds (n, 3) and, of ``forces``, dE/d(vectors) (R, K, 3),

with the sites in the order of how many pairs they are from owned ones: R_L owned ones have energies, R_(L-1) are at most one
pair away, ..., R = R_1.  ``places`` count to these numbers, R K neighbours fill rows of equal length, with a site itself
farther than the cutoff where there are fewer.  Energies are in the model's unit, its scale and shift included.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
import torch
from ase.data import chemical_symbols
from torch import Tensor, nn
from torch._inductor import aot_compile
from torch._inductor.exc import InvalidCxxCompiler
from torch._inductor.package.package import package_aoti
from torch.export import Dim
from torch.fx.experimental.proxy_tensor import make_fx

from spinase.errors import ModelError
from spinase.files import replacing
from spinase.learning.local_energy import NetworkEnergy
from spinase.learning.trunk import Trunk

_MARGIN = 0.02  # part by which a distance may be below the shortest one trained
_EXAMPLE = (71, 53, 11)  # sites, rows of the first layer, neighbours: all different, and none is 0 or 1


class RegionProgram(nn.Module):
    """Energies of owned sites and their gradients, as tensors alone.

    Parameters
    ----------
    energy : NetworkEnergy
        The model.
    forces : bool
        Whether slopes by vectors of pairs are wanted.
    """

    def __init__(self, energy: NetworkEnergy, forces: bool) -> None:
        super().__init__()
        self.trunks, self.wants_forces = nn.ModuleList(energy.evaluator.trunks), forces
        self.scale, self.shift = energy.scale / len(self.trunks), energy.shift
        weights = torch.from_numpy(np.asarray(energy.part_weights))
        self.weights = nn.Buffer(weights.to(energy.evaluator.request.torch_dtype))

    def forward(
        self, vectors: Tensor, neighbours: Tensor, species: Tensor, spins: Tensor, *places: Tensor
    ) -> tuple[Tensor, ...]:
        """Energies, -dE/ds, and dE/d(vectors) if it is wanted (see the module).

        Parameters
        ----------
        vectors : (R, K, 3) Tensor
            From the sites with rows to their neighbours, length.
        neighbours : (R, K) Tensor of int
            Second sites.
        species : (n,) Tensor of int
            Places in the species of the trunk.
        spins : (n, 3) Tensor
            Unit spins, zero rows where there is no moment.
        *places : (R_k,) Tensors of int
            Sites that have rows in the layers.
        """
        free = spins.detach().requires_grad_(True)
        moved = vectors.detach().requires_grad_(self.wants_forces)
        each = [cast(Trunk, one) for one in self.trunks]
        parts = torch.stack([one(one.traced(moved, neighbours, species, places), free) for one in each]).sum(0)
        energies = self.scale * (parts @ self.weights)
        slopes = torch.autograd.grad(energies.sum(), [free, moved] if self.wants_forces else [free])
        return energies.detach() + self.shift, -slopes[0], *slopes[1:]


def export_package(energy: NetworkEnergy, target: Path) -> None:
    """Trace, compile and write a model; it takes about a minute for each of its programs.

    Parameters
    ----------
    energy : NetworkEnergy
        The local energy of a learned calculator on the CPU (``contract.local_energy``).
    target : Path
        File, ``.pt2``.

    Raises
    ------
    ModelError
        If the model is of a kind that cannot be traced, or torch cannot compile it: the reason.
    """
    require_exportable(energy)
    facts, files = facts_of(energy), {}
    for name in ("fields", "forces") if facts["spinase_forces"] == "yes" else ("fields",):
        files[name] = _compiled(energy, name == "forces", facts)
    with TemporaryDirectory() as folder, replacing(target) as temporary:
        package = Path(folder) / "model.pt2"  # the name is written into it, and torch wants this suffix
        package_aoti(str(package), files)
        shutil.copyfile(package, temporary)


def require_exportable(energy: NetworkEnergy) -> None:
    """Refuse networks that cannot be traced.

    Raises
    ------
    ModelError
        Naming the kind.
    """
    trunk, device = energy.evaluator.trunks[0], energy.evaluator.request.device
    if not trunk.traceable:
        raise ModelError(
            f"the model {energy.name!r} cannot become a package: torch cannot trace a {type(trunk).__name__}, whose "
            "neighbours are put in order in Python (mHIP-NN can be)"
        )
    if device != "cpu":
        raise ModelError(
            f'packages are compiled for the CPU, and the model {energy.name!r} is on {device!r}: device = "cpu"'
        )


def facts_of(energy: NetworkEnergy) -> dict[str, str]:
    """What a package says of itself: release of torch, reach, species, shortest distances, precision, forces."""
    config = energy.evaluator.trunks[0].config
    shortest = {} if energy.domain is None else energy.domain.shortest
    names = [chemical_symbols[number] for number in config.species]
    bounds = [_shortest(shortest, one, other) for one in names for other in names]
    return {
        "spinase_torch": torch.__version__.split("+")[0],
        "spinase_model": energy.name,
        "spinase_cutoff": f"{energy.cutoff:.17g}",
        "spinase_depth": f"{energy.ghost_depth:.17g}",
        "spinase_layers": str(energy.layers),
        "spinase_species": " ".join(names),
        "spinase_shortest": " ".join(f"{bound:.17g}" for bound in bounds),
        "spinase_dtype": energy.evaluator.request.dtype,
        "spinase_forces": "no" if "forces" in energy.refused_properties else "yes",
    }


def _shortest(known: Any, one: str, other: str) -> float:
    """Below which distance a pair is refused: 0 where nothing is known, any that were never trained."""
    if not known:
        return 0.0
    bound = known.get(f"{one}-{other}", known.get(f"{other}-{one}"))
    return np.inf if bound is None else (1.0 - _MARGIN) * bound


def _compiled(energy: NetworkEnergy, forces: bool, facts: dict[str, str]) -> Any:
    """Files of one program."""
    program, arguments = RegionProgram(energy, forces), _example(energy)
    layers = [Dim(f"rows_{k}", min=2) for k in range(energy.layers)]
    sites, width = Dim("sites", min=2), Dim("neighbours", min=2)
    shapes = ({0: layers[0], 1: width}, {0: layers[0], 1: width}, {0: sites}, {0: sites}, *({0: one} for one in layers))
    options = {"aot_inductor.package": True, "aot_inductor.metadata": dict(facts)}
    try:
        traced = make_fx(lambda *told: program(*told), tracing_mode="symbolic", _allow_non_fake_inputs=True)(*arguments)
        exported = torch.export.export(traced, arguments, dynamic_shapes=shapes, strict=False)
        return aot_compile(exported.module(), arguments, options=options)
    except InvalidCxxCompiler as error:
        raise ModelError(
            f"torch found no C++ compiler to compile {energy.name!r} with ({error}): install one (apt install g++), "
            "or name it in CXX"
        ) from error
    except Exception as error:  # torch raises many kinds, and says in the last line what is wrong
        told = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise ModelError(f"torch {torch.__version__} cannot compile the model {energy.name!r}: {told}") from error


def _example(energy: NetworkEnergy) -> tuple[Tensor, ...]:
    """Arguments of a program that could be, with sizes that all differ."""
    sites, rows, width = _EXAMPLE
    config, kind = energy.evaluator.trunks[0].config, energy.evaluator.request.torch_dtype
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(rows, width, 3))
    vectors *= 0.7 * config.cutoff / np.linalg.norm(vectors, axis=2, keepdims=True)
    places = [torch.arange(rows - 5 * k) for k in range(energy.layers)]
    return (
        torch.from_numpy(vectors).to(kind),
        torch.from_numpy(rng.integers(0, rows - 5 * energy.layers, size=(rows, width))),
        torch.zeros(sites, dtype=torch.int64),
        torch.from_numpy(rng.normal(size=(sites, 3))).to(kind),
        *places,
    )


__all__ = ["RegionProgram", "export_package", "facts_of", "require_exportable"]
