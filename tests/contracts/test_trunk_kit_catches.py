"""The kit of trunks on honest ones, and on mutants that each break one promise."""

from __future__ import annotations

import pytest
import torch
from systems.trunks import Sums, SumsConfig
from torch import Tensor

from spinase import SpinAtoms
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig
from spinase.testing import TRUNK_CHECKS, ConformanceError, Report, check_trunk

CONFIG = SumsConfig(species=(26, 27), cutoff=1.8, parts=2)


@pytest.fixture(scope="module")
def magnet() -> SpinAtoms:
    atoms = SpinAtoms.disordered(12, rng=2)
    atoms.symbols[::3] = "Co"
    return atoms


def made(kind: type, config: object = CONFIG) -> Sums:
    torch.manual_seed(1)
    return kind.from_config(config)


def failed(report: Report) -> set[str]:
    return {result.name for result in report.failures}


class Deaf(Sums):
    """Spins along z, whatever they are."""

    def forward(self, around, spins):
        return super().forward(around, torch.zeros_like(spins) + torch.eye(3, dtype=spins.dtype)[2])


class UpIsDifferent(Sums):
    """An easy axis that nobody turns."""

    def forward(self, around, spins):
        return super().forward(around, spins) + spins[:, 2:] ** 2


class Field(Sums):
    """A Zeeman field made of the spins' own sum: turns along, odd in time."""

    def forward(self, around, spins):
        _, magnetic = self.sums(around, spins)
        crossed = torch.linalg.cross(magnetic[:, 0], magnetic[:, 1], dim=1)
        return super().forward(around, spins) + (crossed * spins).sum(1, keepdim=True)


class AlongX(Sums):
    """Bonds along x count twice."""

    def prepare(self, pairs, species):
        around = super().prepare(pairs, species)
        along = 1.0 + (pairs.vectors[:, :1] / pairs.vectors.norm(dim=1, keepdim=True)) ** 2
        return around._replace(weights=around.weights * along)


class Numbered(Sums):
    """The first sites of the list are something special."""

    def forward(self, around, spins):
        places = torch.arange(len(spins), dtype=spins.dtype)[:, None]
        return super().forward(around, spins) + torch.exp(-places)


class TotalMoment(Sums):
    """Every site knows the whole magnet."""

    def forward(self, around, spins):
        return super().forward(around, spins) + 0.01 * (spins.sum(0) ** 2).sum()


class TwoLayers(Sums):
    """Looks at neighbours of neighbours, and does not say so."""

    def forward(self, around, spins):
        parts = super().forward(around, spins)
        return parts.index_add(0, around.first, 0.1 * around.weights[:, :1] * parts[around.second])


class TwoLayersSaid(TwoLayers):
    @property
    def interaction_range(self):
        return 2.0 * self.config.cutoff


class NeighboursCut(Sums):
    """Slopes by the spins of neighbours are lost."""

    def sums(self, around, spins):
        return super().sums(around, spins.detach())


class Distances(Sums):
    """Slopes by positions are lost."""

    def prepare(self, pairs, species):
        return type(around := super().prepare(pairs, species))(*(part.detach() for part in around))


class AtRest(Distances):
    """As before, but it says so."""

    follows_positions = False


class AlwaysDouble(Sums):
    def forward(self, around, spins):
        return super().forward(around, spins).double()


class Shaky(Sums):
    def forward(self, around, spins):
        return super().forward(around, spins) + 1e-3 * torch.rand(len(spins), 1, dtype=spins.dtype)


class Remembers(Sums):
    """The first answer is remembered for ever."""

    def forward(self, around, spins):
        if not hasattr(self, "memo"):
            self.memo = super().forward(around, spins).detach()
        return super().forward(around, spins) + 1e-3 * (self.memo - self.memo.mean())


class NotAWeight(Sums):
    """Something beside configuration and weights decides."""

    def __init__(self, config):
        super().__init__(config)
        self.gain = float(torch.rand(()))

    def forward(self, around, spins):
        return self.gain * super().forward(around, spins)


class WeightsLost(Sums):
    """Slopes of fields by the outer weights are halved."""

    def forward(self, around, spins):
        bare, magnetic = self.sums(around, spins)
        found = torch.cat([bare, (magnetic * spins[:, None]).sum(2), (magnetic**2).sum(2)], dim=1)
        outer = self.outer.weight.detach() + _HalfOfWeight.apply(self.outer.weight) - self.outer.weight.detach()
        return torch.tanh(0.1 * self.inner(found)) @ outer.T + self.constants(around.species)


class _HalfOfWeight(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weight):
        return weight.clone()

    @staticmethod
    def backward(ctx, by_weight):
        return 0.5 * by_weight


class OnePart(Sums):
    def forward(self, around, spins):
        return super().forward(around, spins)[:, :1]


class NotANumber(Sums):
    """The direction of a non-magnetic site."""

    def forward(self, around, spins):
        return super().forward(around, spins / spins.norm(dim=1, keepdim=True))


def test_an_honest_trunk_passes_every_check(magnet: SpinAtoms) -> None:
    report = check_trunk(made(Sums), magnet)
    assert {result.status for result in report} == {"passed"}, report
    assert [result.name for result in report] == list(TRUNK_CHECKS)


@pytest.mark.parametrize(
    "size",
    [
        {},
        {"spin_orbit": True, "quadrupoles": True},
        {"pairs": 4, "parts": 3, "channels": (5,)},
        {"products": True, "layers": 1, "even": True},
    ],
)
def test_the_network_is_a_trunk(magnet: SpinAtoms, size: dict[str, object]) -> None:
    config = NetworkConfig(**{"species": (26, 27), "cutoff": 1.8, "inner": 0.6, "width": 5, "channels": (4, 3, 2), **size})
    report = check_trunk(made(MagneticHIPNN, config), magnet)
    skipped = {result.name for result in report if result.status == "skipped"}
    assert skipped == ({"spin_rotation", "lattice_rotation"} if config.spin_orbit else set()), report


CAUGHT = {
    Deaf: {"shape", "spin_derivatives"},
    UpIsDifferent: {"spin_rotation", "joint_rotation"},
    Field: {"time_reversal"},
    AlongX: {"lattice_rotation", "joint_rotation"},
    Numbered: {"permutation", "extensivity"},
    TotalMoment: {"extensivity", "locality"},
    TwoLayers: {"locality"},
    NeighboursCut: {"spin_derivatives"},
    Distances: {"position_derivatives"},
    AlwaysDouble: {"dtype"},
    Shaky: {"determinism"},
    Remembers: {"determinism"},
    NotAWeight: {"determinism"},
    WeightsLost: {"training"},
    OnePart: {"shape"},
    NotANumber: {"shape"},
}


@pytest.mark.parametrize("kind", CAUGHT, ids=lambda kind: kind.__name__)
def test_broken_trunks_are_caught(magnet: SpinAtoms, kind: type[Sums]) -> None:
    with pytest.raises(ConformanceError) as caught:
        check_trunk(made(kind), magnet)
    assert failed(caught.value.report) >= CAUGHT[kind], caught.value.report
    assert kind is not Field or failed(caught.value.report) == {"time_reversal"}


@pytest.mark.parametrize("kind", [TwoLayersSaid, AtRest])
def test_what_a_trunk_declares_is_what_it_is_held_to(magnet: SpinAtoms, kind: type[Sums]) -> None:
    report = check_trunk(made(kind), magnet)
    assert report["position_derivatives"].status == ("skipped" if kind is AtRest else "passed")
    assert report["locality"].status == "passed"


def test_checks_are_chosen_and_what_cannot_be_tried_is_said(magnet: SpinAtoms) -> None:
    single = SpinAtoms.disordered(6, rng=1)
    single.pbc = False
    report = check_trunk(made(Sums), single, checks=["extensivity", "locality"], skip=["shape"])
    assert [result.status for result in report] == ["passed", "skipped"]
    assert "periodic directions" in report["locality"].message
    with pytest.raises(ValueError, match="unknown check 'speed': use some of shape, translation"):
        check_trunk(made(Sums), magnet, checks=["speed"])
    with pytest.raises(ConformanceError, match="raised ModelError: the trunk does not know Ni; it knows Fe, Co"):
        check_trunk(made(Sums), SpinAtoms("Ni2", positions=[[0, 0, 0], [0, 0, 1.5]], magmoms=[[0, 0, 1]] * 2))


def test_the_trunk_is_left_alone(magnet: SpinAtoms) -> None:
    trunk = made(Sums).float()
    before = [weight.clone() for weight in trunk.parameters()]
    check_trunk(trunk, magnet)
    assert all(torch.equal(one, two) for one, two in zip(before, trunk.parameters(), strict=True))
    weight: Tensor = trunk.outer.weight
    assert weight.dtype == torch.float32
    assert trunk.training
