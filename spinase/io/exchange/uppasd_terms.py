"""What UppASD's ``inpsd.dat`` has beside couplings of bonds: anisotropies of the kfile, a field, dipoles."""

from __future__ import annotations

import numpy as np

from spinase.errors import InputError
from spinase.io.exchange.text import Line, lines_of
from spinase.io.exchange.uppasd_input import UppasdInput
from spinase.typing import FloatArray
from spinase.units import METAL

_NONE, _UNIAXIAL, _CUBIC, _BOTH = 0, 1, 2, 7  # kinds of anisotropy in the kfile


def anisotropies(source: UppasdInput, count: int) -> tuple[FloatArray, FloatArray]:
    """Anisotropies of the kfile: Q of E = -s.Q s, (n, 3, 3), and cubic K1, K2, (n, 2), in the file's energies.

    UppASD's energies are K (s.n)^2 and, for cubic ones, -K1 (sx^2 sy^2 + sy^2 sz^2 + sz^2 sx^2) - K2 sx^2 sy^2 sz^2 in its
    field and its Monte Carlo (the documentation has the opposite sign; the energy it prints is -m.B/2 of that field, which
    is 2 and 3 times these).
    """
    onsite, cubic = np.zeros((count, 3, 3)), np.zeros((count, 2))
    if not source.has("anisotropy"):
        if source.whole("do_anisotropy", 0):
            raise InputError(f"{source.where('do_anisotropy')}: the keyword 'anisotropy' with its file is missing")
        return onsite, cubic
    first, second = _blocks(source, count)
    for site, row in first.items():
        onsite[site] -= _uniaxial(row)
        cubic[site] -= _cubic(row)
    for site, row in second.items():
        _require_same_kind(first[site], row)
        onsite[site] -= _uniaxial(row)
    return onsite, cubic


def _blocks(source: UppasdInput, count: int) -> tuple[dict[int, Line], dict[int, Line]]:
    """Lines of the kfile by site (from 0), and those of the second axes (``mult_axis``)."""
    rows = list(lines_of(source.path.parent / source.word("anisotropy", "")))
    due = count * (2 if source.on("mult_axis") else 1)
    if len(rows) != due:
        raise InputError(f"{source.where('anisotropy')}: {len(rows)} lines for {count} sites, {due} are needed")
    blocks: list[dict[int, Line]] = [{}, {}]
    for block, start in zip(blocks, range(0, due, count), strict=False):
        part = rows[start : start + count]
        block.update({row.wholes(0, 1)[0] - 1: row for row in part})
        if sorted(block) != list(range(count)):
            raise InputError(f"{part[0]}: every site must have one line, numbered 1 to {count}")
    return blocks[0], blocks[1]


def _kind(row: Line) -> int:
    """Kind of anisotropy of a line of the kfile: site, kind, K1, K2, axis, ratio."""
    (kind,) = row.wholes(1, 2)
    if kind not in (_NONE, _UNIAXIAL, _CUBIC, _BOTH):
        raise InputError(f"{row}: anisotropy of type {kind}; 0 (none), 1 (uniaxial) and 2 (cubic) are understood")
    return kind


def _require_same_kind(first: Line, second: Line) -> None:
    """UppASD takes the second line of a site as one of the first one's kind, with the powers of a uniaxial one."""
    if any(second.reals(2, 4)) and not (_kind(first) == _kind(second) == _UNIAXIAL):
        raise InputError(
            f"{second}: with mult_axis both lines of a site must be uniaxial (type 1): UppASD looks at the first one's "
            f"only, {_kind(first)} here, and divides by powers of the moment that belong to a uniaxial one"
        )


def _uniaxial(row: Line) -> FloatArray:
    """K n n^T of a line."""
    kind, (first, second, *axis) = _kind(row), row.reals(2, 7)
    ratio = row.reals(7, 8)[0] if kind == _BOTH else 0.0
    if kind in (_NONE, _CUBIC) or not (first or second):
        return np.zeros((3, 3))
    if second:
        raise InputError(
            f"{row}: a second-order uniaxial anisotropy: UppASD's field is of (s.n)^2 and -(s.n)^4, its Monte Carlo of "
            "+(s.n)^4: no energy belongs to both; leave_out=['anisotropy'] reads the rest"
        )
    if ratio:
        raise InputError(
            f"{row}: type 7 with a cubic part (ratio {ratio:g}): UppASD's field has it with the opposite sign of its Monte "
            "Carlo energy; leave_out=['anisotropy'] reads the rest, CubicAnisotropyCalculator takes it"
        )
    if not any(axis):
        raise InputError(f"{row}: an anisotropy of {first} mRy needs an axis")
    return first * np.outer(axis, axis) / float(np.dot(axis, axis))


def _cubic(row: Line) -> FloatArray:
    """K1, K2 of a line."""
    return np.array(row.reals(2, 4)) if _kind(row) == _CUBIC else np.zeros(2)


def applied_field(source: UppasdInput) -> FloatArray | None:
    """B of E = -m.B, (3,): eV/mu_B, or as it stands with ``aunits``; None without a field."""
    field = np.array(source.entries["hfield"].reals(0, 3)) if source.has("hfield") else np.zeros(3)
    if not field.any():
        return None
    assert METAL.tesla is not None
    return field if source.on("aunits") else METAL.tesla * field


def has_dipoles(source: UppasdInput, periodic: list[bool], has_lengths: bool) -> bool:
    """Whether dipoles are summed, as over all pairs of a finite magnet.

    Parameters
    ----------
    source : UppasdInput
        The input that was read.
    periodic : list of bool
        Boundaries, one for each cell vector.
    has_lengths : bool
        Whether a lattice constant gives lengths in Angstrom.

    Raises
    ------
    InputError
        Where UppASD's sum is not that of ours: boundaries that wrap the exchange but not the dipoles, macrocells, tensors
        from a file, or no lengths in Angstrom.
    """
    kind = source.whole("do_dip", 0)
    if kind == 0:
        return False
    why = {
        2: "macrocells: fields are averages over cells",
        3: "Fourier transforms, which were not compared with UppASD here: 1 is the same sum, pair by pair",
    }.get(kind, "" if kind == 1 else "0 and 1 are understood")
    if not why and source.on("read_dipole"):
        why = "read_dipole: a tensor from a file"
    if not why and any(periodic):
        why = (
            "UppASD sums dipoles over its finite magnet (ncell) without images, while the exchange goes on at the periodic "
            "boundaries (bc P): leave it out and add a DipoleCalculator (Ewald sums) for the bulk, or write bc 0 0 0"
        )
    if not why and not has_lengths:
        why = "dipoles need the lattice constant (alat, in metres) and energies in mRy (no aunits)"
    if why:
        raise InputError(f"{source.where('do_dip')} {kind}: not read: {why}; leave_out=['do_dip'] reads the rest")
    return True


__all__ = ["anisotropies", "applied_field", "has_dipoles"]
