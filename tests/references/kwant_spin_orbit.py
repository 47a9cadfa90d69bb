"""kwant's numbers for a Rashba strip and a strip of three p orbitals between ferromagnetic leads whose hopping turns spins.

Run where kwant is installed (see kwant_negf.py), from the folder of the tests:

    PYTHONPATH=. python references/kwant_spin_orbit.py > references/kwant_spin_orbit.json

Square lattice 5 x 3, spins by formula (:func:`kwant_negf.spins`), leads of the same hopping, -coupling n.sigma on all
orbitals.  Beside transmissions and injected spins, of the S matrix and the angle phi by which all moments of the device are
turned about y: Tr[P_left S+ dS/dphi]/i, by first-order perturbation the torque about y of the electrons that come in from
the left, by energy and times 2 pi; and Tr[dS/dphi S+ P_left]/i with all moments reversed, the electrons that turning
moments send to the left (Brouwer, doi:10.1103/PhysRevB.58.R10135), which Onsager's relations say is the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
from references.kwant_negf import spins

COUPLING, SIZE, ENERGIES = -0.8, (5, 3), (-1.9, -0.6, 0.45)
LEFT, RIGHT = (0.0, 0.6, 0.8), (0.6, 0.0, 0.8)
PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
STEP = 1e-4

Matrices = Mapping[tuple[int, int, int], np.ndarray]


def rashba(strength: float = 0.3) -> Matrices:
    """One orbital: H(R) = -(1 + i strength (d x z).sigma), spin inside."""
    found = {}
    for cell in ((1, 0, 0), (0, 1, 0), (-1, 0, 0), (0, -1, 0)):
        found[cell] = -np.eye(2) - 1j * strength * np.einsum("a,aij->ij", np.cross(cell, (0, 0, 1)), PAULI)
    return found


def p_orbitals(atomic: float = 0.5, mixing: float = 0.3) -> Matrices:
    """p_x, p_y, p_z with spin inside: atomic/2 L.sigma; p_z mixes with the others, as there is no mirror z -> -z."""
    levi = np.zeros((3, 3, 3))
    levi[[0, 1, 2], [1, 2, 0], [2, 0, 1]], levi[[0, 2, 1], [2, 1, 0], [1, 0, 2]] = 1.0, -1.0
    found = {(0, 0, 0): 0.5 * atomic * sum(np.kron(-1j * levi[k], PAULI[k]) for k in range(3))}
    for axis in (0, 1):
        hop = np.diag([-0.4, -0.4, -0.4])
        hop[axis, axis] = 1.0
        odd = np.zeros((3, 3))
        odd[2, axis], odd[axis, 2] = mixing, -mixing
        for sign in (1, -1):
            cell = [0, 0, 0]
            cell[axis] = sign
            found[tuple(cell)] = np.kron(hop + sign * odd, np.eye(2))
    return found


def system(matrices: Matrices, field: np.ndarray, sign: float = 1.0):
    """The finalized kwant system: moments `field` (N, 3), those of the leads with a sign."""
    import kwant

    size = len(matrices[1, 0, 0])
    lattice = kwant.lattice.square(norbs=size)
    home = matrices.get((0, 0, 0), np.zeros((size, size)))

    def own(direction: np.ndarray) -> np.ndarray:
        return home - COUPLING * np.kron(np.eye(size // 2), np.einsum("a,aij->ij", direction, PAULI))

    def fill(builder: kwant.Builder) -> None:
        for cell in ((1, 0), (0, 1)):  # kwant's value of (a, b) is <a|H|b>: from b to a
            builder[kwant.builder.HoppingKind((-cell[0], -cell[1]), lattice, lattice)] = matrices[(*cell, 0)]

    builder = kwant.Builder()
    for x in range(SIZE[0]):
        for y in range(SIZE[1]):
            builder[lattice(x, y)] = own(field[x * SIZE[1] + y])
    fill(builder)
    for direction, exchange in ((-1, LEFT), (1, RIGHT)):
        lead = kwant.Builder(kwant.TranslationalSymmetry((direction, 0)))
        for y in range(SIZE[1]):
            lead[lattice(0, y)] = own(sign * np.array(exchange))
        fill(lead)
        builder.attach_lead(lead)
    return builder.finalized()


def turned(angle: float) -> np.ndarray:
    """The spins, turned about y."""
    c, s = np.cos(angle), np.sin(angle)
    return spins(*SIZE) @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T


def slope_of(matrices: Matrices, energy: float, sign: float) -> tuple[np.ndarray, np.ndarray, int]:
    """S, dS/dphi and the number of modes of the left lead; moments of device and leads with a sign."""
    import kwant

    # the leads are the same in all of them, and so are the phases of their modes
    middle, plus, minus = (
        kwant.smatrix(system(matrices, sign * turned(angle), sign), energy) for angle in (0.0, STEP, -STEP)
    )
    return middle.data, (plus.data - minus.data) / (2 * STEP), middle.num_propagating(0)


def observe(matrices: Matrices, energy: float) -> dict[str, object]:
    """Transmission to the right, spin injected from the left by site, torque and pumped charge by the S matrix."""
    import kwant

    made = system(matrices, turned(0.0))
    waves = kwant.wave_function(made, energy)(0)
    order = np.argsort([site.tag[0] * 10_000 + site.tag[1] for site in made.sites])
    states = waves.reshape(len(waves), SIZE[0] * SIZE[1], -1, 2)[:, order]
    scattering, slope, count = slope_of(matrices, energy, 1.0)
    reversed_scattering, reversed_slope, _ = slope_of(matrices, energy, -1.0)
    return {
        "transmission": float(np.sum(np.abs(scattering[count:, :count]) ** 2)),
        "spin": np.einsum("nioa,xab,niob->ix", states.conj(), PAULI, states).real.tolist(),
        "torque": float(np.einsum("ba,ba->", scattering[:, :count].conj(), slope[:, :count]).imag),
        "pumped": float(np.einsum("ab,ab->", reversed_scattering[:count].conj(), reversed_slope[:count]).imag),
    }


def main() -> None:
    """Print the reference numbers."""
    import kwant

    table = {"made_by": f"kwant {kwant.__version__}, tests/references/kwant_spin_orbit.py", "energies": ENERGIES}
    for name, matrices in (("rashba", rashba()), ("p_orbitals", p_orbitals())):
        table[name] = [observe(matrices, energy) for energy in ENERGIES]
    print(json.dumps(table))


if __name__ == "__main__":
    main()
