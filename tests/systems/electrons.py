"""Operators on all kinds of graphs, and the dense matrix written as on paper."""

from __future__ import annotations

import numpy as np

from spinase import SpinAtoms
from spinase.atoms import geometry_of, get_spins
from spinase.electrons import ExponentialHopping, SDHamiltonian, ShellHopping
from spinase.electrons.operator import SpinOperator
from spinase.spin_algebra import PAULI

GRAPHS = [
    "chain",
    "ring of two",
    "one site",
    "square",
    "open square",
    "triangular",
    "cubic",
    "disordered",
    "islands",
    "flux",
]


def dense_matrix(operator: SpinOperator) -> np.ndarray:
    """The 2N x 2N matrix, written as on paper."""
    matrix = np.zeros((2 * len(operator), 2 * len(operator)), dtype=complex)
    for b in range(len(operator.bonds)):
        i, j = operator.bonds.first[b], operator.bonds.second[b]
        block = np.zeros_like(matrix)
        block[2 * i : 2 * i + 2, 2 * j : 2 * j + 2] = operator.hopping[b] * np.eye(2)
        matrix += block + block.conj().T
    for i in range(len(operator)):
        site = operator.onsite[i] * np.eye(2) + np.einsum("a,aij->ij", operator.exchange[i], PAULI)
        matrix[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] += site
    return matrix


def magnet(graph: str) -> tuple[SpinAtoms, SDHamiltonian]:
    """Random spins on the graph, and electrons with random on-site energies and a Zeeman field."""
    hopping = ShellHopping([1.0])
    if graph in ("disordered", "islands"):
        atoms = SpinAtoms.disordered(70, density=0.2, min_distance=1.1, dimension=3, units="reduced", rng=3)
        hopping = ExponentialHopping(1.0, 1.0, 1.5, 3.2 if graph == "disordered" else 1.75)
    elif graph == "chain":
        atoms = SpinAtoms.lattice("chain", (50,), units="reduced", rng=3)
        atoms.pbc = False
    elif graph in ("ring of two", "one site"):
        atoms = SpinAtoms.lattice("chain", (2 if graph == "ring of two" else 1,), units="reduced", rng=3)
    elif graph == "cubic":
        atoms = SpinAtoms.lattice("cubic", (4, 4, 5), units="reduced", rng=3)
    elif graph == "triangular":
        atoms = SpinAtoms.lattice("triangular", (9, 8), units="reduced", rng=3)
        hopping = ShellHopping([1.0, 0.0, -0.85])
    else:
        atoms = SpinAtoms.lattice("square", (10, 9), units="reduced", rng=3)
        if graph == "open square":
            atoms.pbc = False
    onsite = np.random.default_rng(5).uniform(-0.4, 0.4, len(atoms))
    flux = 1.0 if graph == "flux" else 0.0
    return atoms, SDHamiltonian(hopping, 1.7, onsite, -np.array([0.05, 0.1, -0.07]), flux)


def make_operator(graph: str) -> SpinOperator:
    """The operator of :func:`magnet`."""
    atoms, hamiltonian = magnet(graph)
    return hamiltonian.freeze(geometry_of(atoms)).operator(get_spins(atoms))
