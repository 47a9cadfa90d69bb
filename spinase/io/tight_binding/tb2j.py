"""Models of TB2J (``TB2J.myTB.MyTB``): what it makes of Wannier functions, and of tbmodels and banddownfolder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spinase.electrons.orbital_table import Cell, OrbitalTable
from spinase.errors import ModelError
from spinase.io.tight_binding.wannier90 import SpinOrder, nearest_sites, paired
from spinase.typing import ComplexArray


def read_mytb(model: Any, sites: Sequence[int] | None = None, *, spins: SpinOrder = "none") -> OrbitalTable:
    """A table of hopping from a ``TB2J.myTB.MyTB`` with atoms, eV and Angstrom.

    Its H(k) = sum_R [A(R) exp(2 pi i k.R) + adjoint] (``gen_ham`` in its second convention) holds every matrix in halves, or
    one direction only; both are added here.

    Parameters
    ----------
    model : TB2J.myTB.MyTB
        ``MyTB.read_from_wannier_dir(path, prefix)``, for instance.
    sites : sequence of int, optional
        Site of each orbital (of each pair of spinors, with `spins`), a number of ``model.atoms``; default: the nearest.
    spins : str
        ``"none"``: the same for both spins (``nspin`` is 1).  Spinors: ``"interleaved"`` (up, down, up, down, ...; what
        ``groupby="spin"`` makes) or ``"blocks"`` (all up, then all down).

    Raises
    ------
    ModelError
        If it is no such model, has no atoms, has cells with degeneracies (which TB2J 0.9.22 reads from Wannier90's files
        and does not apply), or spinors are odd in number.
    """
    missing = [name for name in ("data", "positions", "atoms") if not hasattr(model, name)]
    if missing:
        raise ModelError(f"{type(model).__name__} has no {missing[0]}: this reads MyTB of TB2J 0.9.22")
    if model.atoms is None:
        raise ModelError("this MyTB has no atoms, and sites belong to atoms: model.set_atoms(atoms)")
    if np.any(np.asarray(getattr(model, "R_degens", 1)) != 1):
        raise ModelError(
            "cells of this MyTB have degeneracies, which TB2J 0.9.22 does not apply (findings/tb2j_degeneracies.sh): read "
            "the file itself, read_wannier90(path, structure, sites)"
        )
    matrices = _matrices(model)
    places = np.asarray(model.positions, dtype=np.float64) @ model.atoms.cell.array
    if spins != "none":
        if len(places) % 2:
            raise ModelError(f"this MyTB has {len(places)} functions, and spinors come in pairs: say spins='none'")
        stacked = paired(np.array(list(matrices.values())), spins)
        matrices = dict(zip(matrices, stacked, strict=True))
        half = len(places) // 2
        pairs = places.reshape(half, 2, 3) if spins == "interleaved" else places.reshape(2, half, 3).transpose(1, 0, 2)
        places = pairs.mean(axis=1)
    if sites is None:
        sites = nearest_sites(model.atoms, places).tolist()
    if len(sites) != len(places):
        raise ModelError(f"this MyTB has {len(places)} orbitals, and sites names {len(sites)}")
    return OrbitalTable.of(model.atoms.cell.array, model.atoms.positions, sites, matrices, places=places)


def _matrices(model: Any) -> dict[Cell, ComplexArray]:
    """H(R), (n, n): A(R) + A(-R)^+."""
    found: dict[Cell, ComplexArray] = {}
    for shift, matrix in model.data.items():
        x, y, z = (int(n) for n in shift)
        there = np.asarray(matrix, dtype=np.complex128)
        for cell, part in (((x, y, z), there), ((-x, -y, -z), there.conj().T)):
            found[cell] = found[cell] + part if cell in found else part
    return found


__all__ = ["read_mytb"]
