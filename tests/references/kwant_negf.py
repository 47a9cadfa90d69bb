"""kwant's transmissions, shot noise and injected densities for an s-d strip between ferromagnetic leads, and its time.

Run where kwant is installed (1.5.0 builds with numpy 1.26.4, scipy 1.15.3, cython 3.0.12, libopenblas-dev,
libmumps-seq-dev and ``--no-build-isolation``, in an environment of its own):

    python tests/references/kwant_negf.py numbers > tests/references/kwant_negf.json
    OMP_NUM_THREADS=1 python tests/references/kwant_negf.py time 60 20

Square lattice, hopping -1, on-site block -J s.sigma with J = 1 and spins by formula (:func:`spins`), leads -exchange.sigma.
kwant's scattering states carry unit current, so the sum of |psi|^2 over those from lead a is (G Gamma_a G+)_ii.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np

LEFT, RIGHT = (0.3, 0.2, 0.5), (0.0, -0.4, 0.1)
ENERGIES = (-3.1, -1.27, -0.5, 0.33)
SIZE = (9, 4)


def spins(length: int, width: int) -> np.ndarray:
    """Unit vectors (length * width, 3), sites ordered x first, y fastest."""
    x, y = (part.ravel() for part in np.meshgrid(np.arange(length), np.arange(width), indexing="ij"))
    polar, azimuth = 0.9 * x + 0.4 * y**2, 0.7 * x * y + 0.3 * x
    return np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=1)


def system(length: int, width: int):
    """The finalized kwant system."""
    import kwant

    pauli = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    lattice = kwant.lattice.square(norbs=2)
    field = spins(length, width)
    builder = kwant.Builder()
    for x in range(length):
        for y in range(width):
            builder[lattice(x, y)] = -np.einsum("a,aij->ij", field[x * width + y], pauli)
    builder[lattice.neighbors()] = -np.eye(2)
    for direction, exchange in ((-1, LEFT), (1, RIGHT)):
        lead = kwant.Builder(kwant.TranslationalSymmetry((direction, 0)))
        for y in range(width):
            lead[lattice(0, y)] = -np.einsum("a,aij->ij", exchange, pauli)
        lead[lattice.neighbors()] = -np.eye(2)
        builder.attach_lead(lead)
    return builder.finalized(), pauli


def observe(made, pauli: np.ndarray, energy: float) -> tuple[float, float, list, list]:
    """Transmission from the left lead to the right, Tr[T (1 - T)], charge and spin injected from the left, by site."""
    import kwant

    waves = kwant.wave_function(made, energy)(0)
    order = np.argsort([site.tag[0] * 10_000 + site.tag[1] for site in made.sites])
    states = waves.reshape(len(waves), -1, 2)[:, order]
    charge = np.einsum("nia,nia->i", states.conj(), states).real
    spin = np.einsum("nia,xab,nib->ix", states.conj(), pauli, states).real
    scattering = kwant.smatrix(made, energy)
    noise = kwant.physics.two_terminal_shotnoise(scattering)
    return scattering.transmission(1, 0), noise, charge.tolist(), spin.tolist()


def numbers() -> None:
    """Print the reference numbers."""
    import kwant

    made, pauli = system(*SIZE)
    found = [observe(made, pauli, energy) for energy in ENERGIES]
    keys = ("transmission", "shot_noise", "charge", "spin")
    table = {key: [one[k] for one in found] for k, key in enumerate(keys)}
    print(
        json.dumps({"made_by": f"kwant {kwant.__version__}, tests/references/kwant_negf.py", "energies": ENERGIES, **table})
    )


def measure(length: int, width: int) -> None:
    """Print milliseconds per energy for the scattering states of one lead, leads solved beforehand and not."""
    import kwant
    from kwant.solvers import mumps

    made = system(length, width)[0]
    solver, spent, prepared = mumps.Solver(), [], []
    for energy in np.linspace(-0.7, -0.3, 9):
        began = time.perf_counter()
        waves = solver.wave_function(made, energy)(0)
        spent.append(time.perf_counter() - began)
        fixed = made.precalculate(energy, what="modes")
        began = time.perf_counter()
        waves = solver.wave_function(fixed, energy)(0)
        states = waves.reshape(len(waves), -1, 2)
        np.einsum("nia,nib->iab", states.conj(), states)
        prepared.append(time.perf_counter() - began)
    print(f"kwant {kwant.__version__}, MUMPS, {length}x{width}x2: {1e3 * np.median(spent):.1f} ms per energy, "
          f"{1e3 * np.median(prepared):.1f} ms with the leads' modes known")  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1] == "numbers":
        numbers()
    else:
        measure(int(sys.argv[2]), int(sys.argv[3]))
