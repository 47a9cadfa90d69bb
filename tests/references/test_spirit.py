"""Energies, a skyrmion's motion and its collapse against Spirit (pip install spirit), an independent code.

Spirit counts each pair once, as we do, with unit spins and energies in meV; its interfacial DMI (``dm_chirality`` 2) along
the bond's normal in the plane has the other sign of ours.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import units
from ase.optimize import FIRE

from spinase import SpinAtoms
from spinase.analysis import topological_charge
from spinase.atoms import geometry_of
from spinase.calculators import (
    DipoleCalculator,
    DMICalculator,
    HeisenbergCalculator,
    ProductTableCalculator,
    SpinSumCalculator,
    UniaxialAnisotropyCalculator,
    ZeemanCalculator,
)
from spinase.classical import ProductTable
from spinase.classical.lattice_dipole import LatticeDipole
from spinase.dynamics import LLGDynamics, SpinOptimizable, find_saddle, geodesic_path, minimum_energy_path
from spinase.rates import StationaryPoint, stationary_point, transition
from spinase.units import METAL

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("spirit") is None, reason="Spirit is not installed: pip install spirit"
)
MODEL = {
    "edge": 24,
    "periodic": 1,
    "moment": 2.0,
    "field": 25.0,
    "anisotropy": 0.4,
    "exchange": 10.0,
    "dmi": 5.0,
    "chirality": 2,
    "timestep": 1e-3,
    "damping": 0.1,
}
PICOSECOND = 1000 * units.fs
SPIRIT_GAMMA = 0.1760859644  # rad/(ps T)


def spirit(job: dict, folder: Path) -> dict:
    """Result of a job in Spirit."""
    (folder / "in.json").write_text(json.dumps({"model": MODEL, **job}))
    script = Path(__file__).with_name("spirit_oracle.py")
    done = subprocess.run(
        [sys.executable, str(script), str(folder / "in.json"), str(folder / "out.json")],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=folder,
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-1500:]
    return dict(json.loads((folder / "out.json").read_text()))


def film() -> SpinAtoms:
    """The same magnet here; sites x fastest, as in Spirit."""
    edge = MODEL["edge"]
    y, x = np.divmod(np.arange(edge * edge), edge)
    atoms = SpinAtoms(
        "Fe" * (edge * edge),
        positions=np.stack([x, y, 0 * x], axis=1).astype(float),
        cell=[edge, edge, 1.0],
        pbc=(True, True, False),
        moments=[0, 0, MODEL["moment"]],
    )
    milli = 1e-3
    atoms.calc = SpinSumCalculator(
        [
            HeisenbergCalculator(shells=[MODEL["exchange"] * milli]),
            DMICalculator(shells=[MODEL["dmi"] * milli], normal=(0, 0, 1)),
            UniaxialAnisotropyCalculator(MODEL["anisotropy"] * milli, (0, 0, 1)),
            ZeemanCalculator((0, 0, MODEL["field"] * METAL.tesla)),
        ],
        [1.0, SIGN, 1.0, 1.0],
    )
    return atoms


SIGN = -1.0  # Spirit's Neel DMI is ours with the normal -z


def skyrmion(radius: float = 3.0) -> SpinAtoms:
    """A Neel skyrmion in the middle, relaxed; its sense is the one the DMI wants."""
    atoms = film()
    r = atoms.positions - [MODEL["edge"] / 2 - 0.5, MODEL["edge"] / 2 - 0.5, 0]
    distance = np.linalg.norm(r, axis=1)
    angle = 2 * np.arctan2(np.sinh(radius / 1.5), np.sinh(distance / 1.5))
    best = None
    for sense in (1.0, -1.0):
        atoms.spins = np.stack(
            [sense * np.sin(angle) * r[:, 0] / distance, sense * np.sin(angle) * r[:, 1] / distance, np.cos(angle)], axis=1
        )
        energy = atoms.get_potential_energy()
        if best is None or energy < best[0]:
            best = energy, atoms.spins
    atoms.spins = best[1]
    FIRE(SpinOptimizable(atoms), logfile=None, dt=1.0, dtmax=20.0, maxstep=0.1).run(fmax=1e-8, steps=3000)
    assert abs(topological_charge(atoms)) == pytest.approx(1.0)
    return atoms


QUADRUPLETS = [
    ([[1, 0, 0], [1, 1, 0], [0, 1, 0]], 0.7),
    ([[0, 1, 0], [1, 0, 0], [1, 1, 0]], 0.4),
    ([[1, 1, 0], [1, 0, 0], [0, 1, 0]], -0.3),
    ([[2, 1, 0], [0, -1, 0], [1, 0, 0]], 0.2),
]  # cells of b, c, d, meV


def test_products_of_four_spins(tmp_path: Path) -> None:
    """Spirit's quadruplets, E = -sum K (s_a.s_b)(s_c.s_d), each listed for one cell; its anisotropy and field, too."""
    atoms = film()
    atoms.spins = np.random.default_rng(8).normal(size=(len(atoms), 3))
    shifts = np.array([[[0, 0, 0], *cells] for cells, _ in QUADRUPLETS])
    strengths = 1e-3 * np.array([strength for _, strength in QUADRUPLETS])
    table = ProductTable(np.zeros((1, 3)), np.eye(3), np.zeros((len(shifts), 4), dtype=np.int64), shifts, strengths)
    single = atoms.calc.calculators[2:]
    atoms.calc = SpinSumCalculator([ProductTableCalculator(table), *single])
    job = {"task": "energy", "spins": atoms.spins.tolist(), "quadruplets": QUADRUPLETS}
    assert spirit(job, tmp_path)["energy"] == pytest.approx(1e3 * atoms.get_potential_energy(), rel=1e-5)


def test_energies(tmp_path: Path) -> None:
    """To the single precision in which Spirit reports energies."""
    atoms = film()
    atoms.spins = np.random.default_rng(1).normal(size=(len(atoms), 3))
    result = spirit({"task": "energy", "spins": atoms.spins.tolist()}, tmp_path)
    assert atoms.get_potential_energy() * 1e3 == pytest.approx(result["energy"], rel=1e-6)


def test_dipoles_of_an_open_film_by_transforms_in_both(tmp_path: Path) -> None:
    """24 x 24 sites without periodic images; Spirit's constants of nature differ in the seventh digit."""
    atoms = film()
    atoms.pbc = False
    atoms.spins = np.random.default_rng(1).normal(size=(len(atoms), 3)) + [0.5, 0, 0.5]
    atoms.calc = DipoleCalculator()
    assert isinstance(atoms.calc.term.freeze(geometry_of(atoms)), LatticeDipole)
    off = {"periodic": 0, "field": 0.0, "anisotropy": 0.0, "exchange": 0.0, "dmi": 0.0, "dipoles": "fft"}
    result = spirit({"task": "energy", "spins": atoms.spins.tolist(), "model": {**MODEL, **off}}, tmp_path)
    assert abs(result["energy"]) > 1.0
    assert atoms.get_potential_energy() * 1e3 == pytest.approx(result["energy"], rel=2e-6)


def test_a_skyrmion_moves_as_in_spirit(tmp_path: Path) -> None:
    """A small skyrmion, squeezed out of shape, rings: Depondt's scheme in both, 0.1 of damping."""
    atoms = skyrmion()
    pushed = atoms.spins + 0.3 * np.exp(-0.1 * np.sum((atoms.positions - [9, 12, 0]) ** 2, axis=1))[:, None] * [1.0, 0, 0]
    atoms.spins = pushed
    result = spirit({"task": "trajectory", "spins": atoms.spins.tolist(), "every": 500, "looks": 4}, tmp_path)
    seen = []
    # Spirit has the electron's g = 2.0023 in its rate of precession, we have g = 2: the same motion in another time
    faster = SPIRIT_GAMMA / (METAL.gyromagnetic_ratio * METAL.tesla * PICOSECOND)
    assert faster == pytest.approx(1.00116, abs=1e-5)
    dynamics = LLGDynamics(atoms, faster * MODEL["timestep"] * PICOSECOND, damping=MODEL["damping"], integrator="depondt")
    dynamics.attach(lambda: seen.append(atoms.spins.copy()), 500)
    dynamics.run(2000)
    assert np.abs(seen[-1] - seen[0]).max() > 0.2
    np.testing.assert_allclose(seen, result["spins"], atol=1e-5)


def test_the_barrier_of_a_skyrmions_collapse(tmp_path: Path) -> None:
    atoms = skyrmion()
    end = film()
    path = geodesic_path(atoms, end, 7)
    for image in path:
        image.calc = atoms.calc
    images = [image.spins.tolist() for image in path]
    ours = minimum_energy_path(path, fmax=2e-6, steps=3000, spring=0.01)
    result = spirit({"task": "path", "images": images, "first": 3000, "second": 6000}, tmp_path)
    energies = np.array(result["energies"]) * 1e-3
    assert ours.energies[0] == pytest.approx(energies[0], rel=1e-6)
    assert ours.barrier > 5e-4
    assert ours.converged
    assert ours.barrier == pytest.approx(energies.max() - energies[0], abs=5e-7)


def stationary(atoms: SpinAtoms) -> StationaryPoint:
    """A stationary point, brought by Newton steps below the 1e-8 meV that Spirit wants."""
    point = stationary_point(atoms)
    for _ in range(4):
        torques = atoms.calc.get_property("magnetic_forces", atoms) * MODEL["moment"]
        first, second = point.hessian.axes.transpose(1, 0, 2)
        slope = -np.concatenate([np.sum(first * torques, axis=1), np.sum(second * torques, axis=1)])
        step = -point.modes @ ((point.modes.T @ slope) / point.values)
        atoms.spins = atoms.spins + step[: len(atoms), None] * first + step[len(atoms) :, None] * second
        point = stationary_point(atoms)
    return point


def test_the_prefactor_of_a_clusters_reversal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """3 x 3 open sites with Neel DMI, canted at the edges: all curvatures, and the rate of transition-state theory."""
    for key, value in {"edge": 3, "periodic": 0, "field": 0.0, "anisotropy": 1.0, "dmi": 3.0}.items():
        monkeypatch.setitem(MODEL, key, value)
    low = film()
    low.pbc = False
    FIRE(SpinOptimizable(low), logfile=None, dt=1.0, dtmax=20.0, maxstep=0.1).run(fmax=1e-7, steps=2000)
    found = find_saddle(low, fmax=1e-6, push=0.2)
    assert found.converged
    minimum, saddle = stationary(low), stationary(found.atoms)
    theirs = spirit({"task": "rate", "minimum": low.spins.tolist(), "saddle": found.atoms.spins.tolist()}, tmp_path)
    np.testing.assert_allclose(1e3 * minimum.values, np.sort(theirs["minimum_values"]), rtol=2e-6)
    np.testing.assert_allclose(1e3 * saddle.values, np.sort(theirs["saddle_values"]), rtol=2e-6)
    ours = transition(minimum, saddle).prefactor(1e-3) * units.second * 1.001159652  # Spirit's g is 2.0023
    assert ours == pytest.approx(theirs["prefactor"], rel=1e-6)
