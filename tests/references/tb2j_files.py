"""Files that TB2J writes for a small invented magnet, and its own energies.

``python tests/references/tb2j_files.py tests/references/tb2j`` in an environment with TB2J 0.9.22 writes ``exchange.xml``,
``exchange.out``, ``vampire.UCF``, the pieces of UppASD files and ``energies.json``: eigenvalues of its -J(q) [eV], read back
by TB2J from the xml, and the energy [eV] of random spins on 3 x 2 x 2 cells, -sum over all i, j, R of s_i.J_ij(R) s_j with
its ``get_J_tensor``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from spinase.typing import FloatArray

CELL = np.array([[2.5, 0.0, 0.0], [0.0, 3.25, 0.0], [0.5, 0.0, 4.0]])  # Angstrom
# The oxygen comes last: TB2J's UppASD vectors are between the ATOMS numbered like the spins, wrong if it stands before one.
PLACES = {"Fe": (0.0, 0.0, 0.0), "Co": (0.5, 0.5, 0.5), "O": (0.5, 0.5, 0.25)}  # scaled
MOMENTS = {"Fe": (0.0, 0.0, 2.25), "Co": (0.75, 0.0, -1.0), "O": (0.0, 0.0, 0.0)}  # mu_B
SIZE = (3, 2, 2)
POINTS = [(0.0, 0.0, 0.0), (0.25, 0.0, 0.0), (0.125, 0.3, -0.2)]
Key = tuple[tuple[int, int, int], int, int]


def couplings() -> tuple[dict[Key, float], dict[Key, FloatArray], dict[Key, FloatArray]]:
    """J, D and symmetric tensors, eV, by (R, i, j), both directions; the range is two cells."""
    rng = np.random.default_rng(4)
    listed = [
        ((0, 0, 0), 0, 1),
        ((1, 0, 0), 0, 0),
        ((2, 0, 0), 0, 0),
        ((0, 1, 0), 1, 1),
        ((-1, 0, 1), 0, 1),
        ((0, -2, 1), 1, 0),
    ]
    exchange, dmi, anisotropic = {}, {}, {}
    for shift, i, j in listed:
        back = ((-shift[0], -shift[1], -shift[2]), j, i)
        exchange[shift, i, j] = exchange[back] = float(f"{0.02 * rng.normal():.5e}")
        vector = np.array([float(f"{x:.5e}") for x in 0.005 * rng.normal(size=3)])
        dmi[shift, i, j], dmi[back] = vector, -vector
        tensor = 0.003 * rng.normal(size=(3, 3))
        tensor = tensor + tensor.T - np.eye(3) * np.trace(tensor) / 1.5
        tensor = np.array([[float(f"{x:.5e}") for x in row] for row in tensor])
        anisotropic[shift, i, j] = anisotropic[back] = tensor
    return exchange, dmi, anisotropic


def random_spins() -> FloatArray:
    """Unit spins (3, 2, 2, 2, 3): cells, sites Fe and Co, components."""
    spins = np.random.default_rng(5).normal(size=(*SIZE, 2, 3))
    return np.asarray(spins / np.linalg.norm(spins, axis=-1, keepdims=True))


def energy(tensors: dict[Key, FloatArray]) -> float:
    """-sum s_i.J s_j over all cells and both directions, by brute force."""
    spins, total = random_spins(), 0.0
    for cell in np.ndindex(*SIZE):
        for (shift, i, j), tensor in tensors.items():
            other = tuple((np.array(cell) + shift) % SIZE)
            total -= float(spins[(*cell, i)] @ tensor @ spins[(*other, j)])
    return total


def tensors() -> dict[Key, FloatArray]:
    """J 1 + A + D of all bonds, with s_i.J s_j containing D.(s_i x s_j)."""
    exchange, dmi, anisotropic = couplings()
    return {key: exchange[key] * np.eye(3) + anisotropic[key] + np.cross(dmi[key], np.eye(3)) for key in exchange}


def write(folder: Path) -> dict[str, Any]:
    """TB2J's files, and what it says of them."""
    from ase import Atoms
    from ase.units import J
    from TB2J import __version__
    from TB2J.io_exchange import SpinIO
    from TB2J.io_exchange import io_uppasd as pieces
    from TB2J.io_exchange.io_multibinit import write_xml
    from TB2J.io_exchange.io_txt import write_txt
    from TB2J.io_exchange.io_vampire import write_vampire_unitcell_file
    from TB2J.spinham.spin_api import SpinModel

    exchange, dmi, anisotropic = couplings()
    atoms = Atoms(list(PLACES), scaled_positions=list(PLACES.values()), cell=CELL, pbc=True)
    model = SpinIO(
        atoms, spinat=np.array(list(MOMENTS.values())), charges=np.zeros(3), index_spin=[0, 1, -1], colinear=False,
        exchange_Jdict=exchange, dmi_ddict=dmi, Jani_dict=anisotropic,
    )  # fmt: skip
    model.description = "an invented magnet"
    folder.mkdir(parents=True, exist_ok=True)
    write_xml(model, folder / "exchange.xml")
    write_vampire_unitcell_file(model, folder / "vampire.UCF")
    model.has_sia_tensor, model.sia_tensor = True, {1: np.diag([0.0, 0.0, 0.00125])}  # the text has it, the xml has not
    places = atoms.positions
    vectors = {(shift, i, j): places[j] + shift @ CELL - places[i] for shift, i, j in exchange}
    model.distance_dict = {key: (vector, np.linalg.norm(vector)) for key, vector in vectors.items()}
    write_txt(model, folder)
    pieces.write_uppasd_posfile(model, folder / "posfile")
    pieces.write_uppasd_exchange(model, folder / "jASD1")
    own = {key: model.get_J_tensor(key[1], key[2], key[0]) for key in exchange}
    read = SpinModel(fname=str(folder / "exchange.xml")).ham
    waves, _ = read.solve_k(POINTS, Jq=True)
    return {"TB2J": __version__, "energy": energy(own), "points": POINTS, "minus_Jq": (waves * J).tolist()}


if __name__ == "__main__":
    place = Path(sys.argv[1])
    found = write(place)
    (place / "energies.json").write_text(json.dumps(found, indent=1) + "\n")
    print(found)
