"""Exchange of TB2J as it prints it: ``exchange.out``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from spinase.classical import BondTable
from spinase.errors import InputError
from spinase.io.exchange.bonds import DirectedBonds, bond_table, isotropic_tensor, odd_tensor
from spinase.io.exchange.text import Line, is_number, read_text
from spinase.typing import FloatArray

_MEV = 1e-3
_BRACKETS = str.maketrans("()[],", 5 * " ")
_SECTIONS = ("Cell", "Atoms:", "Exchange:")
_NAME = re.compile(r"([A-Z][a-z]?)\d+")


def read_text_table(path: Path) -> tuple[BondTable, Atoms]:
    """Couplings and magnetic sites of an ``exchange.out`` (see :func:`spinase.io.exchange.read_tb2j`).

    What TB2J prints beside J, D and J_ani are the same energies in other words (the combined tensor, parts by orbital, the
    values of other methods) or derivatives by distances: they are not read.

    Raises
    ------
    InputError
        If it cannot be read, is no such file, is cut short, or lists a bond twice or in one direction only.
    """
    lines = [
        Line(path, count, tuple(text.translate(_BRACKETS).split()))
        for count, text in enumerate(read_text(path).splitlines(), 1)
    ]
    heads = {line.words[0]: k for k, line in reversed(list(enumerate(lines))) if line.words and line.words[0] in _SECTIONS}
    for head in _SECTIONS:
        if head not in heads:
            raise InputError(f"{path} is no exchange.out of TB2J: it has no section {head!r}")
    cell = np.array([line.reals(0, 3) for line in _following(lines, heads["Cell"], 3)])
    names, places, moments = _atoms(lines, heads["Atoms:"])
    bonds = list(_bonds(lines[heads["Exchange:"] + 1 :], names))
    _refuse_twice(path, bonds)
    numbers = sorted({k for key, _, _ in bonds for k in key[:2]})
    new = {k: n for n, k in enumerate(numbers)}
    keys = [(new[key[0]], new[key[1]], *key[2:]) for key, _, _ in bonds]
    onsite = np.zeros((len(names), 3, 3))
    for name, tensor in _onsite(lines[heads["Atoms:"] : heads["Exchange:"]]):
        onsite[names.index(name)] += tensor
    lost = [names[k] for k in range(len(names)) if onsite[k].any() and k not in new]
    if lost:
        raise InputError(f"{path}: {lost[0]} has an anisotropy and no bond: it is no spin of TB2J's model")
    symbols = [names[k].rstrip("0123456789") for k in numbers]
    atoms = Atoms(symbols, positions=places[numbers], cell=cell, pbc=True, magmoms=moments[numbers])
    listed = DirectedBonds.of(keys, [tensor for _, tensor, _ in bonds], [line for _, _, line in bonds])
    return bond_table(path, atoms, listed, 1.0, onsite[numbers]), atoms


def _following(lines: Sequence[Line], start: int, count: int) -> Sequence[Line]:
    """The `count` lines after line `start`."""
    found = lines[start + 1 : start + 1 + count]
    if len(found) < count:
        raise InputError(f"{lines[start]}: {count} lines are needed after it, the file ends")
    return found


def _atoms(lines: Sequence[Line], start: int) -> tuple[list[str], FloatArray, FloatArray]:
    """Names, positions (n, 3), Angstrom, and moments (n, 3), mu_B (along z where there is one column of them)."""
    names, places, moments = [], [], []
    for line in lines[start + 1 :]:
        if line.words and line.words[0] == "Total":
            break
        match = _NAME.fullmatch(line.words[0]) if line.words else None
        if match is None or not all(is_number(word) for word in line.words[1:]):
            continue  # the note and the names of the columns
        if match[1] not in atomic_numbers:
            raise InputError(f"{line}: {line.words[0]!r} is the name of no element with a number")
        names.append(line.words[0])
        places.append(line.reals(1, 4))
        moments.append(line.reals(5, 8) if len(line.words) >= 8 else [0.0, 0.0, *line.reals(5, 6)])
    if len(set(names)) != len(names) or not names:
        raise InputError(f"{lines[start]}: the atoms need names of their own, got {names}")
    return names, np.array(places), np.array(moments)


def _onsite(lines: Sequence[Line]) -> Iterator[tuple[str, FloatArray]]:
    """Single-ion anisotropies Q (3, 3) of atoms, eV: tensors in three lines, or amplitudes with directions."""
    start = next((k for k, line in enumerate(lines) if line.words[:3] == ("Single", "Ion", "Anisotropy:")), None)
    for k in range(len(lines) if start is None else start, len(lines)):
        line = lines[k]
        if line.words and _NAME.fullmatch(line.words[0]) and len(line.words) == 4:
            rows = [line.reals(1, 4), *(row.reals(0, 3) for row in _following(lines, k, 2))]
            yield line.words[0], _MEV * np.array(rows)
    start = next((k for k, line in enumerate(lines) if line.words[:4] == ("Single", "Ion", "Anisotropy", "meV")), None)
    for line in lines[len(lines) if start is None else start :]:
        if line.words and _NAME.fullmatch(line.words[0]) and len(line.words) == 5:
            strength, *axis = line.reals(1, 5)
            yield line.words[0], _MEV * strength * np.outer(axis, axis) / max(float(np.dot(axis, axis)), 1e-300)


def _bonds(lines: Sequence[Line], names: list[str]) -> Iterator[tuple[tuple[int, int, int, int, int], FloatArray, int]]:
    """Bond (i, j, x, y, z), tensor (3, 3), eV, and line of every entry."""
    marks = [k for k, line in enumerate(lines) if line.words and set(line.words[0]) == {"-"}]
    for start, stop in zip(marks, [*marks[1:], len(lines)], strict=True):
        head, rest = _following(lines, start, 1)[0], lines[start + 2 : stop]
        unknown = [word for word in head.words[:2] if word not in names]
        if unknown or len(head.words) < 2:
            raise InputError(f"{head}: {unknown[:1] or '?'} is no atom of the file (a bond begins with two of them)")
        x, y, z = head.wholes(2, 5)
        yield (names.index(head.words[0]), names.index(head.words[1]), x, y, z), _tensor(head, rest), head.number


def _tensor(head: Line, rest: Sequence[Line]) -> FloatArray:
    """J 1 + A + D of one entry, eV, with s_i.J s_j containing D.(s_i x s_j)."""
    found = {}
    for k, line in enumerate(rest):
        words = " ".join(line.words[:2])
        if words.startswith("J_iso:"):
            found["J"] = isotropic_tensor(np.array(line.reals(1, 2)[0]))
        elif words == "Testing! DMI:":
            found["D"] = odd_tensor(np.array(line.reals(2, 5)))
        elif words.startswith("Testing!J_ani:") or words == "Testing! J_ani:":
            found["A"] = np.array([row.reals(0, 3) for row in _following(rest, k, 3)])
    if "J" not in found:
        raise InputError(f"{head}: the bond has no line 'J_iso:'; is the file cut short?")
    return np.asarray(_MEV * sum(found.values(), np.zeros((3, 3))))


def _refuse_twice(path: Path, bonds: Sequence[tuple[tuple[int, int, int, int, int], FloatArray, int]]) -> None:
    seen: dict[tuple[int, int, int, int, int], int] = {}
    for key, _, line in bonds:
        if key in seen:
            raise InputError(f"{path}, line {line}: this bond is listed in line {seen[key]} already")
        seen[key] = line


__all__ = ["read_text_table"]
