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
        ("places", ctypes.c_int64),
        ("forces", ctypes.c_int32),
        ("energies", ctypes.c_int32),
        ("reach", ctypes.c_double),
        ("positions", ctypes.POINTER(ctypes.c_double)),
        ("spins", ctypes.POINTER(ctypes.c_double)),
        ("tags", ctypes.POINTER(ctypes.c_int32)),
        ("types", ctypes.POINTER(ctypes.c_int32)),
        ("first", ctypes.POINTER(ctypes.c_int64)),
        ("second", ctypes.POINTER(ctypes.c_int64)),
        ("vectors", ctypes.POINTER(ctypes.c_double)),
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
        self._places, self._turned = -1, not np.array_equal(turn, np.eye(3))
        self._frozen: FrozenLocalEnergy | None = None
        self._owners: tuple[IntArray, IntArray] | None = None
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
            self._frozen, self._places, self._owners = self.local.freeze(self._region(asked)), asked.places, None
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
        if self._owners is None:
            self._owners = self._find_owners(asked)
        ghosts, owners = self._owners
        out = values.copy()
        out[asked.owned :] = 0.0
        np.add.at(out, owners, values[ghosts])
        return out

    def _find_owners(self, asked: Question) -> tuple[IntArray, IntArray]:
        """Ghosts by tag, those of one site by where they are; and the sites they are copies of."""
        tags = _array(asked.tags, (asked.sites,), np.int32)
        place = np.empty(asked.owned + 1, dtype=np.int64)
        place[tags[: asked.owned]] = np.arange(asked.owned)
        ghosts = np.arange(asked.owned, asked.sites)
        positions = _array(asked.positions, (asked.sites, 3))[ghosts]
        ordered = ghosts[np.lexsort((*positions.T, tags[ghosts]))]
        return ordered, place[tags[ordered]]

    def _region(self, asked: Question) -> Region:
        """Sites and pairs as they are."""
        sites, pairs = asked.sites, asked.pairs if self.local.cutoff > 0.0 else 0
        positions, vectors = _array(asked.positions, (sites, 3)).copy(), _array(asked.vectors, (pairs, 3)).copy()
        if self._turned:
            positions, vectors = positions @ self.turn.T, vectors @ self.turn.T
        types, tags = _array(asked.types, (sites,), np.int32), _array(asked.tags, (sites,), np.int32)
        magnetic = _array(asked.spins, (sites, 4))[:, 3] > 0.0
        return Region(
            asked.owned,
            positions,
            self.numbers[types],
            tags.astype(np.int64) - 1,
            _array(asked.first, (pairs,), np.int64).copy(),
            _array(asked.second, (pairs,), np.int64).copy(),
            vectors,
            self.local.cutoff,
            asked.reach,
            magnetic,
        )


def _array(pointer: Any, shape: tuple[int, ...], kind: type = float) -> Any:
    """Memory of LAMMPS as an array; an empty one where there are no sites."""
    if 0 in shape:
        return np.zeros(shape, dtype=kind)
    return np.ctypeslib.as_array(pointer, shape)


__all__ = ["ANSWER", "Bridge", "Question"]
