"""Two potentials and their currents against their definitions, closed forms, and the devices they are for."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase.calculators.calculator import PropertyNotImplementedError
from systems.trunks import Sums, SumsConfig
from torch import Tensor, nn

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.calculators import HIPNNCalculator, NEGFCalculator, SlonczewskiCalculator, SpinSumCalculator
from spinase.calculators.learned import LearnedCalculator
from spinase.calculators.negf_options import BiasRamp
from spinase.dynamics import LLGDynamics
from spinase.electrons import SDModel, ShellHopping, WideBandLead
from spinase.errors import ModelError, ModelFileError, OutOfDomainError
from spinase.learning.card import ModelCard
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig
from spinase.learning.model_file import load_model, save_model
from spinase.learning.pairs import Pairs
from spinase.learning.style_tables import read_readout
from spinase.learning.trunk import Trunk, TrunkConfig, prepare
from spinase.learning.trust.domain import Domain
from spinase.learning.two_potentials import TwoPotentialsReadout
from spinase.spin_algebra import tangent
from spinase.testing import check_calculator
from spinase.testing.curl import curl_part
from spinase.textures import domain_wall

READOUT = TwoPotentialsReadout(window=(-0.5, 0.5), axis=0)
NETWORK = NetworkConfig(
    species=(26,), cutoff=2.2, inner=0.8, width=6, radial=5, channels=(8, 4), layers=1, parts=READOUT.parts
)


def device(size: tuple[int, int] = (6, 3), seed: int = 1) -> SpinAtoms:
    atoms = SpinAtoms.lattice("square", size, units="reduced", rng=seed)
    atoms.pbc = (False, True, False)
    return atoms


def sums(readout: TwoPotentialsReadout) -> Sums:
    torch.manual_seed(3)
    return Sums(SumsConfig(species=(26,), cutoff=1.8, parts=readout.parts)).double()


def calculator(network: Trunk, readout: TwoPotentialsReadout, bias: float | None, **options: Any) -> LearnedCalculator:
    card = ModelCard("device", network.config, "reduced", energy_scale=2.0, readout=readout)
    return LearnedCalculator(([network], card), bias=bias, **{"dtype": "float64", "outside_domain": "ignore", **options})


def field(network: Trunk, bias: float | None, atoms: SpinAtoms, readout: Any = READOUT, **options: Any) -> np.ndarray:
    return np.asarray(calculator(network, readout, bias, **options).get_property("magnetic_forces", atoms))


def as_defined(network: Sums, atoms: SpinAtoms, bias: float) -> np.ndarray:
    """H_j = h_E - s_j x h_G, term by term, from derivatives of every part of every site by every spin."""
    around, spins, along = prepare(network, geometry_of(atoms)), torch.tensor(atoms.spins), atoms.positions[:, 0]
    jacobian = torch.autograd.functional.jacobian(lambda s: network(around, s), spins).numpy()  # (N, K, N, 3)
    found = np.zeros((2, len(atoms), 3))
    for k, term in enumerate(READOUT.terms()):
        arms = along[:, None] - along[None] if term.current else np.ones((len(atoms), len(atoms)))
        found[int(term.turned)] -= (bias / 0.5) ** term.power * np.einsum("ij,ija->ja", arms, jacobian[:, k])
    return found[0] - np.cross(atoms.spins, found[1])


def test_fields_are_those_of_the_definition() -> None:
    network, atoms = sums(READOUT), device()
    for bias in (0.0, 0.3, -0.5):
        expected = 2.0 * as_defined(network, atoms, bias)
        np.testing.assert_allclose(field(network, bias, atoms), expected, atol=1e-12 * np.abs(expected).max())
    moved = atoms.copy()
    moved.positions += [37.0, 0.0, 0.0]
    np.testing.assert_allclose(field(network, 0.3, moved), field(network, 0.3, atoms), atol=1e-11)


def test_compiled_loops_give_currents_as_torch_does() -> None:
    torch.manual_seed(1)
    network, atoms = MagneticHIPNN(NETWORK), device((8, 4))
    for bias in (0.0, 0.4):
        calc = calculator(network, READOUT, bias, dtype="float32")
        assert type(calc.ensemble.by_spins).__name__ == "CompiledEvaluator"
        expected = field(network, bias, atoms)
        np.testing.assert_allclose(calc.get_property("magnetic_forces", atoms), expected, atol=3e-5 * np.abs(expected).max())
    calc = calculator(network, READOUT, 0.4, dtype="float32")
    both = np.array([atoms.moments, device((8, 4), seed=2).moments])
    fields = calc.replicas(atoms, both)[1]
    np.testing.assert_allclose(fields[0], expected, atol=3e-5 * np.abs(expected).max())


def test_a_mirror_along_the_current_reverses_the_bias() -> None:
    network, atoms = sums(READOUT), device()
    mirrored = atoms.copy()
    mirrored.positions[:, 0] *= -1.0
    there, back = field(network, 0.4, atoms), field(network, -0.4, atoms)
    np.testing.assert_allclose(field(network, -0.4, mirrored), there, atol=1e-12)
    assert np.abs(back - there).max() > 0.01 * np.abs(there).max()


def test_no_energy_and_the_kit_of_calculators() -> None:
    atoms = device((7, 4))
    calc = calculator(sums(READOUT), READOUT, 0.3)
    assert calc.bias == 0.3
    for name in ("energy", "free_energy", "forces", "stress"):
        with pytest.raises(PropertyNotImplementedError):
            calc.get_property(name, atoms)
    report = check_calculator(calc, atoms)
    assert report["spin_rotation"].status == "passed", report
    assert not {"time_reversal", "lattice_rotation"} & calc.symmetries


def test_the_curl_vanishes_without_a_bias_and_grows_with_it() -> None:
    network, atoms = sums(READOUT), device()

    def curl(bias: float) -> float:
        field_of = calculator(network, READOUT, bias).field_function(atoms)
        return curl_part(field_of, atoms.spins, pairs=6, step=1e-3)

    found = [curl(bias) for bias in (0.0, 0.05, 0.1, 0.2)]
    assert found[0] < 1e-5
    assert 1e-3 < found[1] < found[3]


def test_the_curl_of_closed_forms() -> None:
    """All of s x p is curl where spins are along p, a gradient has none, and s_i x (s_i x p) is one, too."""
    atoms = device((3, 3))
    atoms.moments = np.tile([0.0, 0.0, 1.0], (9, 1))
    for a, b, expected in ((1.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 1.0, np.sqrt(0.5))):
        field_of = SlonczewskiCalculator((0, 0, 1), a, b).field_function(atoms)
        found = curl_part(field_of, atoms.spins, pairs=200, step=1e-3)
        assert found == pytest.approx(expected, abs=0.06)


def test_the_curl_of_a_device_grows_with_its_bias() -> None:
    """The teacher: a chain between wide bands, whose field is a gradient in equilibrium only."""
    atoms = SpinAtoms.lattice("square", (5, 1), units="reduced", rng=4)
    atoms.pbc = False
    model = SDModel(ShellHopping([1.0]), coupling=1.0, chemical_potential=-0.5, kT=0.1)
    found = []
    for bias in (0.0, 0.2, 0.6):
        leads = [WideBandLead(1.0, "left"), WideBandLead(1.0, "right")]
        field_of = NEGFCalculator(model, leads, bias, tolerance=1e-7).field_function(atoms)
        found.append(curl_part(field_of, atoms.spins, pairs=3, step=0.01))
    assert found[0] < 5e-4
    assert 0.002 < found[1] < found[2]


# -- what they can say, and one potential cannot ---------------------------------------------------------------------------


class Linear(Trunk):
    """e_k = w_k.s of the site's own spin: it knows directions, as the layers of a stack do."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self.config, self.law = config, nn.Linear(3, config.parts)

    def prepare(self, pairs: Pairs, species: Tensor) -> None:
        return None

    def forward(self, prepared: None, spins: Tensor) -> Tensor:
        return torch.as_tensor(self.law(spins))


def left_over(network: Trunk, readout: TwoPotentialsReadout, atoms: SpinAtoms, wanted: np.ndarray) -> float:
    """What of a tangent field no weights of the network's last layer explain, relative: fields are linear in them."""
    columns, layer = [], [one for one in network.modules() if isinstance(one, nn.Linear)][-1]
    for entry in range(layer.weight.numel()):
        with torch.no_grad():
            layer.weight.zero_()
            layer.weight.view(-1)[entry] = 1.0
        columns.append(tangent(field(network, readout.window and 0.5, atoms, readout), atoms.spins).ravel())
    fit = np.linalg.lstsq(np.array(columns).T, wanted.ravel(), rcond=None)[0]
    return float(np.linalg.norm(np.array(columns).T @ fit - wanted.ravel()) / np.linalg.norm(wanted))


def test_g_learns_slonczewskis_torque_and_e_alone_cannot() -> None:
    """B = a s x p is G = a p.m with E = 0."""
    atoms, polarization = device((8, 8)), np.array([0.6, 0.0, 0.8])
    atoms.calc = SlonczewskiCalculator(polarization, 0.3, 0.0)
    wanted = tangent(atoms.calc.get_property("magnetic_forces", atoms), atoms.spins)
    both = Linear(TrunkConfig(species=(26,), cutoff=1.1, parts=2)).double()
    assert left_over(both, TwoPotentialsReadout(), atoms, wanted) < 1e-13
    single = np.array([tangent(np.tile(one, (len(atoms), 1)), atoms.spins).ravel() for one in np.eye(3)]).T
    fit = np.linalg.lstsq(single, wanted.ravel(), rcond=None)[0]
    assert np.linalg.norm(single @ fit - wanted.ravel()) > 0.9 * np.linalg.norm(wanted)


class Exchange(Trunk):
    """e_k = c_k sum_j s_i.s_j / 2 over nearest neighbours."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self.config, self.law = config, nn.Linear(1, config.parts, bias=False)

    def prepare(self, pairs: Pairs, species: Tensor) -> Any:
        return pairs.rows

    def forward(self, prepared: Any, spins: Tensor) -> Tensor:
        around = torch.zeros_like(spins).index_add(0, prepared.first, spins[prepared.second])
        return torch.as_tensor(self.law(0.5 * (around * spins).sum(1, keepdim=True)))


def test_a_current_of_exchange_is_the_transfer_torque_of_a_texture() -> None:
    """H = -u s x (s_(x+1) - s_(x-1))/2, which turns the magnet as a whole: potentials without a direction leave it all."""
    atoms = device((30, 3))
    atoms.moments = domain_wall(geometry_of(atoms), np.random.default_rng(0), width=2.5, angle=0.4)
    columns = atoms.spins[np.argsort(np.round(atoms.positions[:, 1] * 100 + atoms.positions[:, 0]))].reshape(3, 30, 3)
    slope = np.zeros_like(columns)
    slope[:, 1:-1] = 0.5 * (columns[:, 2:] - columns[:, :-2])
    order = np.argsort(np.round(atoms.positions[:, 1] * 100 + atoms.positions[:, 0]))
    wanted = np.zeros((90, 3))
    wanted[order] = -np.cross(columns, slope).reshape(-1, 3)
    readout = TwoPotentialsReadout(window=(-0.5, 0.5), axis=0, orders=1)
    network = Exchange(TrunkConfig(species=(26,), cutoff=1.1, parts=readout.parts)).double()
    assert left_over(network, readout, atoms, wanted) < 5e-3  # of the ends of the strip
    plain = replace(readout, axis=None)
    network = Exchange(TrunkConfig(species=(26,), cutoff=1.1, parts=plain.parts)).double()
    assert left_over(network, plain, atoms, wanted) > 0.9


# -- cards, conditions, refusals -------------------------------------------------------------------------------------------


def test_model_files_keep_them_and_calculators_ask_for_the_bias(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network, atoms = MagneticHIPNN(NETWORK), device()
    teacher = {"style": "negf", "leads": [{"style": "lattice", "side": "left"}, {"style": "lattice", "side": "right"}]}
    domain = {"domain": {**domain_table(), "biases": [-0.5, 0.5]}, "teacher": teacher}
    save_model(tmp_path / "device.npz", [network], ModelCard("device", NETWORK, "reduced", readout=READOUT, notes=domain))
    assert load_model(tmp_path / "device.npz")[1].readout == READOUT
    calc = HIPNNCalculator(tmp_path / "device.npz", bias=0.3)
    assert not calc.conservative
    with pytest.raises(ModelError, match="it needs the bias between the leads: bias="):
        HIPNNCalculator(tmp_path / "device.npz")
    with pytest.raises(OutOfDomainError, match=r"a bias of 0\.9 .* is outside the training, which had -0\.5 to 0\.5"):
        HIPNNCalculator(tmp_path / "device.npz", bias=0.9)
    HIPNNCalculator(tmp_path / "device.npz", bias=0.9, outside_domain="ignore").get_property("torques", atoms)
    with pytest.raises(ModelError, match="bias must be a finite energy"):
        HIPNNCalculator(tmp_path / "device.npz", bias=float("nan"))
    closed = device()
    closed.pbc = True
    with pytest.raises(ModelError, match=r"between leads \(left and right\) along x, and this magnet is periodic along x"):
        calc.get_property("torques", closed)
    with pytest.raises(ModelError, match="driven, so there is no energy to divide"):
        calc.local_energy(geometry_of(atoms))


def domain_table() -> dict[str, Any]:
    return Domain.from_geometries([geometry_of(device())], NETWORK.cutoff).with_moments(np.ones(1)).to_table()


def test_models_without_a_bias_refuse_one() -> None:
    config = NETWORK.model_copy(update={"parts": 1})
    with pytest.raises(ModelError, match="knows nothing of a bias"):
        HIPNNCalculator(([MagneticHIPNN(config)], ModelCard("e", config, "reduced")), bias=0.1)
    with pytest.raises(ModelError, match=re.escape("need 7 parts of a site, not 1")):
        HIPNNCalculator(([MagneticHIPNN(config)], ModelCard("e", config, "reduced", readout=READOUT)), bias=0.1)
    read = {"style": "spinase.learning.two_potentials:TwoPotentialsReadout", "window": [1.0, 0.0]}
    with pytest.raises(ModelFileError, match="window must be a range"):
        read_readout("here", read)


def test_a_bias_that_depends_on_time_is_followed() -> None:
    network, atoms = sums(READOUT), device()
    card = ModelCard("device", network.config, "reduced", energy_scale=2.0, readout=READOUT)
    calc = LearnedCalculator(([network], card), dtype="float64", outside_domain="ignore", bias=BiasRamp(0.0, 0.5, 1.0))
    atoms.calc = SpinSumCalculator([calc])
    LLGDynamics(atoms, 0.05, damping=0.1, probe=False).run(10)
    assert calc.bias == pytest.approx(0.25, abs=0.03)
    expected = field(network, calc.bias, atoms)
    np.testing.assert_allclose(calc.get_property("magnetic_forces", atoms), expected, atol=1e-12)
