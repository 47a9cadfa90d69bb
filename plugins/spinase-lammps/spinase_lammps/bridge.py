"""What the plugin asks, in Python: regions made of LAMMPS' sites and neighbour lists, answered by a local energy."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from spinase.regions import FrozenLocalEnergy, LocalEnergy, LocalResult, Region
from spinase.typing import FloatArray, IntArray

_MESSAGE = 2000
_VOIGT = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


class Question(ctypes.Structure):
    """As in ``native/plugin.cpp``, in LAMMPS' units."""

    _fields_ = [
        ("owned", ctypes.c_int64),
        ("sites", ctypes.c_int64),
        ("pairs", ctypes.c_int64),
        ("build", ctypes.c_int64),
        ("places", ctypes.c_int64),
        ("forces", ctypes.c_int32),
        ("energies", ctypes.c_int32),
        ("positions", ctypes.POINTER(ctypes.c_double)),
        ("spins", ctypes.POINTER(ctypes.c_double)),
        ("tags", ctypes.POINTER(ctypes.c_int32)),
        ("types", ctypes.POINTER(ctypes.c_int32)),
        ("first", ctypes.POINTER(ctypes.c_int32)),
        ("second", ctypes.POINTER(ctypes.c_int32)),
        ("force", ctypes.POINTER(ctypes.c_double)),
        ("field", ctypes.POINTER(ctypes.c_double)),
        ("site_energy", ctypes.POINTER(ctypes.c_double)),
        ("energy", ctypes.c_double),
        ("virial", ctypes.c_double * 6),
        ("message", ctypes.c_char * _MESSAGE),
    ]


ANSWER = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Question))


class Bridge:
    """Answers of a local energy to the questions of one rank.

    Parameters
    ----------
    local : LocalEnergy
        Of the calculator.
    numbers : (types + 1,) ndarray of int
        Atomic numbers of LAMMPS' types, which count from 1.
    hbar : float
        LAMMPS' own, energy times time.
    turn : (3, 3) ndarray
        R that turns vectors of the magnet's into LAMMPS' frame, v_lammps = v R.  Spins stay in the magnet's frame.
    alone : bool
        Whether this process has all sites: what ghosts get is then added to their owners here, in an order that does not
        depend on where sites were before.

    Attributes
    ----------
    evaluations : int
        How often it was asked.
    error : Exception or None
        What the last evaluation that failed raised.
    """

    def __init__(self, local: LocalEnergy, numbers: IntArray, hbar: float, turn: FloatArray, alone: bool) -> None:
        self.local, self.numbers, self.hbar, self.turn, self.alone = local, numbers, hbar, turn, alone
        self.evaluations, self.error = 0, None  # type: int, BaseException | None
        self._build, self._places = -1, -1
        self._pairs: tuple[IntArray, IntArray] = (np.zeros(0, np.int64), np.zeros(0, np.int64))
        self._frozen: FrozenLocalEnergy | None = None
        self.function = ANSWER(self._answer)

    def _answer(self, pointer: Any) -> int:
        """What the plugin calls: 0, or 1 with a message."""
        asked = pointer.contents
        try:
            self._evaluate(asked)
        except BaseException as error:  # LAMMPS ends, on all ranks, with this text
            self.error = error
            asked.message = f"{type(error).__name__}: {error}".encode("ascii", "replace")[: _MESSAGE - 1]
            return 1
        return 0

    def _evaluate(self, asked: Question) -> None:
        sites = asked.sites
        self.evaluations += 1
        if self._frozen is None or asked.places != self._places:
            self._frozen, self._places = self.local.freeze(self._region(asked)), asked.places
        spins = _array(asked.spins, (sites, 4))
        lengths = spins[:, 3].copy()
        result = self._frozen.evaluate(spins[:, :3] * (lengths > 0.0)[:, None], lengths, bool(asked.forces))
        self._give(asked, result, lengths)

    def _give(self, asked: Question, result: LocalResult, lengths: FloatArray) -> None:
        """Add to LAMMPS' arrays: fm = -(1/hbar) dE/ds, forces and virial in its frame."""
        sites, owned = asked.sites, asked.owned
        field = _array(asked.field, (sites, 3))
        field += self._home(asked, result.magnetic_forces * lengths[:, None] / self.hbar)
        asked.energy = float(result.energies.sum())
        if owned:
            energies = _array(asked.site_energy, (owned,))
            energies += result.energies
        if result.forces is not None and result.virial is not None:
            force = _array(asked.force, (sites, 3))
            force += self._home(asked, result.forces @ self.turn)
            turned = self.turn.T @ (0.5 * (result.virial + result.virial.T)) @ self.turn
            for k, place in enumerate(_VOIGT):
                asked.virial[k] = turned[place]

    def _home(self, asked: Question, values: FloatArray) -> FloatArray:
        """Vectors (n, 3) of owned sites and ghosts, those of ghosts with their owners where these are here."""
        if not self.alone or asked.sites == asked.owned:
            return values
        tags = _array(asked.tags, (asked.sites,))
        place = np.empty(asked.owned + 1, dtype=np.int64)
        place[tags[: asked.owned]] = np.arange(asked.owned)
        ghosts = np.arange(asked.owned, asked.sites)
        positions = _array(asked.positions, (asked.sites, 3))[ghosts]
        order = ghosts[np.lexsort((*positions.T, tags[ghosts]))]
        out = values.copy()
        out[asked.owned :] = 0.0
        np.add.at(out, place[tags[order]], values[order])
        return out

    def _region(self, asked: Question) -> Region:
        """Sites and pairs as they are; the pairs' list is read when LAMMPS has made a new one."""
        sites = asked.sites
        if asked.build != self._build:
            self._pairs, self._build = _sorted_pairs(asked), asked.build
        positions = _array(asked.positions, (sites, 3)) @ self.turn.T
        first, second = self._pairs
        vectors = positions[second] - positions[first]
        near = np.einsum("pa,pa->p", vectors, vectors) <= self.local.cutoff**2 * (1.0 + 1e-9)
        types, tags = _array(asked.types, (sites,)), _array(asked.tags, (sites,))
        magnetic = _array(asked.spins, (sites, 4))[:, 3] > 0.0
        return Region(
            asked.owned,
            positions,
            self.numbers[types],
            tags.astype(np.int64) - 1,
            first[near],
            second[near],
            vectors[near],
            self.local.cutoff,
            self.local.ghost_depth,
            magnetic,
        )


def _sorted_pairs(asked: Question) -> tuple[IntArray, IntArray]:
    """Directed pairs in an order that depends on the sites alone: by both tags, images by where they are."""
    first, second = (_array(part, (asked.pairs,)).astype(np.int64) for part in (asked.first, asked.second))
    tags, positions = _array(asked.tags, (asked.sites,)), _array(asked.positions, (asked.sites, 3))
    order = np.lexsort((*(positions[second] - positions[first]).T, tags[second], first))
    return first[order], second[order]


def _array(pointer: Any, shape: tuple[int, ...]) -> Any:
    """Memory of LAMMPS as an array; an empty one where there are no sites."""
    if 0 in shape:
        return np.zeros(shape)
    return np.ctypeslib.as_array(pointer, shape)


__all__ = ["ANSWER", "Bridge", "Question"]
