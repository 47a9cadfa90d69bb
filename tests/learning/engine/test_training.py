"""Compiled training: torch's energies, fields and electrons, and its gradient of a loss by the weights.

Channels and precisions are few, as every choice is compiled anew: those of ``test_evaluator.py``, and one without degree 2.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spinase import SpinAtoms
from spinase.errors import ModelError
from spinase.learning.engine.training.batch import CompiledTraining
from spinase.learning.grand_potential import GrandPotentialReadout
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig
from spinase.learning.polynomials import polynomial_slopes, polynomials

pytestmark = pytest.mark.filterwarnings("ignore")
adapter = pytest.importorskip("spinase.learning.hippynn.adapter")

SIZES = [
    {},
    {"layers": 3, "chirality": False},
    {"products": True, "width": 20},
    {"products": True, "parts": 4},
    {"products": True, "channels": (7, 5), "atom_layers": 0, "parts": 4},
    {"pairs": 4},
]
IN_SINGLE = [{"products": True, "channels": (8, 4, 2)}, {"channels": (8,), "layers": 1, "atom_layers": 0}]
Tensors = tuple[torch.Tensor, ...]
READOUT = GrandPotentialReadout((-1.0, 2.0))


def network(dtype: torch.dtype = torch.float64, **size: object) -> MagneticHIPNN:
    torch.manual_seed(3)
    given = {"species": (26, 27), "cutoff": 2.0, "inner": 0.7, "width": 9, "channels": (18, 17, 3), **size}
    return MagneticHIPNN(NetworkConfig.model_validate(given)).to(dtype)


def batch(net: MagneticHIPNN, magnets: list[SpinAtoms]) -> Tensors:
    """Padded arrays, with a second species and a site without a moment."""
    most, dtype = max(len(atoms) for atoms in magnets), net.embedding.weight.dtype
    species, positions, spins = (np.zeros((len(magnets), most, *tail)) for tail in ((), (3,), (3,)))
    for b, atoms in enumerate(magnets):
        n = len(atoms)
        species[b, :n], positions[b, :n], spins[b, :n] = atoms.numbers, atoms.positions, atoms.spins
    species[0, 3], spins[0, 4] = 27, 0.0
    cells = np.array([atoms.cell.array for atoms in magnets])
    found = [torch.tensor(species, dtype=torch.long), *(torch.tensor(part).to(dtype) for part in (positions, cells, spins))]
    return (*found, torch.linspace(0.3, -0.6, len(magnets))[:, None].to(dtype)) if net.config.parts > 1 else tuple(found)


def slopes(
    net: MagneticHIPNN, given: Tensors, compiled: bool, threads: int = 1, forces: bool = False
) -> tuple[Tensors, dict[str, torch.Tensor]]:
    """Outputs, and the slopes of a loss on all of them."""
    magnet = adapter.PaddedMagnet(net, forces, compiled, READOUT if net.config.parts > 1 else None).train()
    if compiled:
        magnet._training = CompiledTraining(net, forces, threads=threads)
    outputs = magnet(*given)
    generator = torch.Generator().manual_seed(1)
    aims = [torch.randn(part.shape, generator=generator, dtype=torch.float64).to(part) for part in outputs]
    loss = sum(((part - aim) ** 2).mean() for part, aim in zip(outputs, aims, strict=True))
    found = torch.autograd.grad(loss, list(net.parameters()))
    names = [name for name, _ in net.named_parameters()]
    return tuple(part.detach() for part in outputs), dict(zip(names, found, strict=True))


def close(one: torch.Tensor, two: torch.Tensor, accuracy: float) -> None:
    assert (one - two).norm() <= accuracy * two.norm()


@pytest.mark.parametrize("forces", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_slopes_by_the_weights_are_torchs(size: dict[str, object], forces: bool) -> None:
    """To the accuracy of the activations; several configurations of different sizes in a batch."""
    net = network(**size)
    if net.config.pairs:
        torch.nn.init.normal_(net.pair_law.laws)
    given = batch(net, [SpinAtoms.disordered(n, rng=n) for n in (12, 9, 70)])
    outputs, expected = slopes(net, given, compiled=False, forces=forces)
    fast, found = slopes(net, given, compiled=True, forces=forces)
    assert len(fast) == len(outputs) == 2 + forces + (net.config.parts > 1)
    assert min(part.abs().max() for part in outputs[1:]) > 1e-3
    for one, two in zip(fast, outputs, strict=True):
        close(one, two, 1e-8)
    for name, values in expected.items():
        assert values.abs().max() > 0, name
        close(found[name], values, 1e-8)


@pytest.mark.parametrize("forces", [False, True])
@pytest.mark.parametrize("kind", ["disordered", "triangular", "chain"])
@pytest.mark.parametrize("size", IN_SINGLE)
def test_slopes_in_single_precision(size: dict[str, object], kind: str, forces: bool) -> None:
    """Also on lattices, where pairs share a few distances, with images of one site among them."""
    shape = {"triangular": (6, 6), "chain": (5,)}.get(kind)
    magnets = [SpinAtoms.lattice(kind, shape, rng=k) if shape else SpinAtoms.disordered(40, rng=k) for k in (1, 2)]
    net = network(torch.float32, cutoff=2.3, **size)
    given = batch(net, magnets)
    outputs, expected = slopes(net, given, compiled=False, forces=forces)
    fast, found = slopes(net, given, compiled=True, forces=forces)
    for one, two in zip(fast, outputs, strict=True):
        assert (one - two).norm() <= 1e-5 * two.norm() + 1e-6  # forces on equal sites of a lattice are zero
    largest = max(float(values.norm()) for values in expected.values())
    for name, values in expected.items():
        assert (found[name] - values).norm() <= 1e-4 * values.norm() + 1e-6 * largest, name


def test_a_loss_of_fields_only_leaves_constants_alone() -> None:
    """Exactly: Adam would make steps of round-off."""
    net = network(torch.float32, channels=(8, 4, 2))
    magnet = adapter.PaddedMagnet(net).train()
    _, field = magnet(*batch(net, [SpinAtoms.disordered(n, rng=n) for n in (12, 9)]))
    field.square().sum().backward()
    for name, values in net.named_parameters():
        still = name.startswith("readouts.0") or (name.startswith("readouts") and name.endswith("bias"))
        assert values.grad is not None
        assert bool(values.grad.any()) != still, name


def test_few_geometries_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many pairs as there is room for, and the latest one whatever its size."""
    monkeypatch.setattr("spinase.learning.engine.training.batch._CACHED_PAIRS", 900)
    net = network()
    magnet = adapter.PaddedMagnet(net).eval()
    first = [magnet(*batch(net, [SpinAtoms.disordered(n, rng=1)]))[1] for n in (12, 12, 20, 12, 70)]
    assert torch.equal(first[0], first[1])
    assert torch.equal(first[0], first[3])
    training = magnet._training
    assert [graph.sites for graph in training._graphs.values()] == [70]
    assert training._cached_pairs == len(next(iter(training._graphs.values())).pairs.second) > 900


@pytest.mark.parametrize("forces", [False, True])
def test_threads_change_nothing(forces: bool) -> None:
    """Bit by bit."""
    net = network(torch.float32, pairs=3, channels=(8, 4, 2))
    given = batch(net, [SpinAtoms.disordered(30, rng=k) for k in range(5)])
    fields, expected = slopes(net, given, compiled=True, forces=forces)
    for threads in (2, 4):
        others, found = slopes(net, given, compiled=True, threads=threads, forces=forces)
        assert all(torch.equal(one, two) for one, two in zip(others, fields, strict=True))
        assert all(torch.equal(found[name], values) for name, values in expected.items())


def test_lonely_sites() -> None:
    net = network()
    given = batch(net, [SpinAtoms.lattice("chain", (5,), a=5.0, periodic=False, rng=1)])
    for compiled in (False, True):
        energies, fields, forces = adapter.PaddedMagnet(net, forces=True, compiled=compiled).train()(*given)
        assert not fields.any()
        assert not forces.any()
        energies.sum().backward()
    assert energies.item() == pytest.approx(adapter.PaddedMagnet(net, compiled=False).eval()(*given)[0].item(), rel=1e-8)


def test_what_it_does_not_know_is_left_to_torch() -> None:
    assert CompiledTraining.supports(network())
    assert not CompiledTraining.supports(network(torch.bfloat16))
    assert not CompiledTraining.supports(network().to("meta"))
    for lacking in ({"vectors": False}, {"quadrupoles": True}, {"spin_orbit": True}):
        net = network(**lacking)
        assert not CompiledTraining.supports(net)
        energies = adapter.PaddedMagnet(net).train()(*batch(net, [SpinAtoms.disordered(9, rng=1)]))[0]
        assert torch.autograd.grad(energies.sum(), net.embedding.weight, create_graph=True)[0].requires_grad


def test_it_says_that_slopes_come_once() -> None:
    net = network()
    energies, _ = adapter.PaddedMagnet(net).train()(*batch(net, [SpinAtoms.disordered(9, rng=1)]))
    energies.sum().backward(retain_graph=True)
    with pytest.raises(ModelError, match="once: use compiled=False"):
        energies.sum().backward()


def test_weights_must_stay_until_the_slopes_are_there() -> None:
    net = network()
    energies, _ = adapter.PaddedMagnet(net).train()(*batch(net, [SpinAtoms.disordered(9, rng=1)]))
    with torch.no_grad():
        net.embedding.weight.mul_(2.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        energies.sum().backward()


def test_another_precision_begins_anew() -> None:
    net = network(torch.float32, channels=(8,))
    magnet = adapter.PaddedMagnet(net).train()
    atoms = [SpinAtoms.disordered(9, rng=1)]
    single = magnet(*batch(net, atoms))[1]
    double = magnet.double()(*batch(net, atoms))[1]
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    close(single.double(), double, 1e-5)


def test_without_slopes_nothing_is_kept() -> None:
    """Validation: the same memory again."""
    net = network()
    magnet = adapter.PaddedMagnet(net).eval()
    given = batch(net, [SpinAtoms.disordered(9, rng=1)])
    first, second = magnet(*given), magnet(*given)
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))
    assert [len(spaces) for spaces in magnet._training._spare.values()] == [1]


def test_electrons_are_asked_for() -> None:
    net = network(parts=3)
    with pytest.raises(ModelError, match="needs electrons"):
        adapter.PaddedMagnet(net, readout=READOUT)(*batch(net, [SpinAtoms.disordered(9, rng=1)])[:4])
    with pytest.raises(ModelError, match="3 parts of a site are no energy"):
        adapter.PaddedMagnet(net)


def test_slopes_of_the_polynomials() -> None:
    x = torch.linspace(-1.0, 1.0, 7, dtype=torch.float64, requires_grad=True)
    for orders in (0, 1, 5):
        values = polynomials(x, orders)
        columns = [values[:, k].sum() + 0.0 * x.sum() for k in range(orders + 1)]
        expected = [torch.autograd.grad(column, x, retain_graph=True)[0] for column in columns]
        torch.testing.assert_close(polynomial_slopes(x.detach(), orders), torch.stack(expected, dim=1))
