"""Hamiltonians of sisl, and through it of the files that it reads (SIESTA, Wannier90, OpenMX, ...)."""

from __future__ import annotations

import importlib
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from spinase.electrons.orbital_table import Cell, OrbitalTable
from spinase.errors import ModelError
from spinase.typing import ComplexArray


def read_sisl(hamiltonian: Any) -> OrbitalTable:
    """A table of hopping from a ``sisl.Hamiltonian`` of any spin configuration, eV and Angstrom.

    Matrices H(R) are Fourier sums of sisl's own H(k) over a mesh as large as its supercell (``nsc``): it holds all of them.

    Parameters
    ----------
    hamiltonian : sisl.Hamiltonian, str or Path
        Or the name of a file from which sisl reads one.

    Raises
    ------
    ModelError
        If the orbitals are not orthogonal, or have pairing; for a file, if sisl is not installed.
    """
    if isinstance(hamiltonian, str | Path):
        hamiltonian = _opened(hamiltonian)
    if not hamiltonian.orthogonal:
        raise ModelError(
            "orbitals of this Hamiltonian are not orthogonal, and the electrons here have no overlap matrix: make it "
            "orthogonal (a Loewdin transformation), or take Wannier functions"
        )
    if getattr(hamiltonian.spin, "is_nambu", False):
        raise ModelError("Hamiltonians with pairing (spin='nambu') are none of electrons alone")
    geometry = hamiltonian.geometry
    sites = np.asarray(geometry.o2a(np.arange(geometry.no)))
    mesh = [int(n) for n in geometry.lattice.nsc]
    return OrbitalTable.of(geometry.lattice.cell, geometry.xyz, sites, _matrices(hamiltonian, mesh))


def _opened(path: str | Path) -> Any:
    """What sisl reads from a file."""
    try:
        sisl = importlib.import_module("sisl")
    except ImportError:
        raise ModelError(f"sisl reads {path}, and it is not installed: pip install sisl") from None
    return sisl.get_sile(str(path)).read_hamiltonian()


def _matrices(hamiltonian: Any, mesh: list[int]) -> dict[Cell, ComplexArray]:
    """H(R) = (1/K) sum_k exp(-2 pi i k.R) H(k) on a mesh of K = product(nsc) points, (n, 2, n, 2)."""
    points = np.array(list(product(*(range(n) for n in mesh)))) / mesh
    bloch = np.array([_at(hamiltonian, k) for k in points])
    found: dict[Cell, ComplexArray] = {}
    for x, y, z in product(*(range(-(n // 2), n // 2 + 1) for n in mesh)):
        phases = np.exp(-2j * np.pi * (points @ np.array([x, y, z])))
        found[(x, y, z)] = np.asarray(np.tensordot(phases, bloch, 1) / len(points), dtype=np.complex128)
    return found


def _at(hamiltonian: Any, k: Any) -> ComplexArray:
    """H(k) with the phases of cells, (n, 2, n, 2)."""
    count, spin = hamiltonian.no, hamiltonian.spin
    if spin.is_unpolarized:
        return np.asarray(np.einsum("ab,st->asbt", hamiltonian.Hk(k, format="array"), np.eye(2)), dtype=np.complex128)
    if spin.is_polarized:
        matrix = np.zeros((count, 2, count, 2), dtype=np.complex128)
        for s in (0, 1):
            matrix[:, s, :, s] = hamiltonian.Hk(k, spin=s, format="array")
        return matrix
    return np.asarray(hamiltonian.Hk(k, format="array"), dtype=np.complex128).reshape(count, 2, count, 2)
