"""Published double-exchange data: text files of nine columns ``x y n Sx Sy Sz Hx Hy Hz``, one line for each site.

Written by the programs behind P. Zhang, P. Saha, G.-W. Chern, arXiv:2105.08221 (``c<step>.dat`` in
github.com/zhangpuhan/ML_double_exchange, whose text calls the last three columns torques; they are fields, its training
compares them with minus the gradient of an energy by the spins).  x and y are integers on a periodic square lattice of
spacing a = 1 (x runs fastest), n is the number of electrons per spin-orbital at the site (its mean is the filling), S a unit
vector, H = -dE/dS in units of the hopping t: the full field, up to 5.8 t along S for J = 6 t, as it must be for an energy
-J S.(c+ sigma c) with Pauli matrices.  There is no energy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from ase.data import atomic_numbers
from pydantic import Field

from spinase.brief import one_line
from spinase.errors import InputError
from spinase.files import replacing_folder
from spinase.io.foreign import Converted, ForeignFormat, ForeignOptions, Frame, group_frames
from spinase.io.labels import Labels
from spinase.typing import FloatArray, IntArray

_COLUMNS = 9
_UNIT = 1e-3  # how far from 1 the length of a spin may be: text files have few digits
_TRANSVERSE = 1e-4  # |H.S| below this part of |H| everywhere: no full field


class DoubleExchangeOptions(ForeignOptions):
    """Columns x, y, n, S, H of a square-lattice double-exchange model, in units of t and a."""

    field: Literal["full", "tangent", "torque"] = Field(
        "full", description="the last three columns: H = -dE/dS, its part across S, or the torque S x H [t]"
    )
    spacing: float = Field(1.0, gt=0, description="distance of neighbours [a]")
    symbol: str = Field("Fe", description="chemical symbol of the sites")
    periodic: bool = Field(True, description="periodic boundaries along x and y")
    pattern: str = Field("*.dat", description="files of a directory, in the order of the numbers in their names")
    density: float | None = Field(None, description="column n when writing (label files have no densities); default: nan")


class DoubleExchangeFormat(ForeignFormat[DoubleExchangeOptions]):
    """Columns x, y, n, S, H of square-lattice double exchange (arXiv:2105.08221): a file or a directory of files."""

    Config = DoubleExchangeOptions
    citation = "P. Zhang, P. Saha, G.-W. Chern, arXiv:2105.08221"
    options: DoubleExchangeOptions

    def read(self, source: str | Path) -> Converted:
        """Labels of one file or of all files of a directory, in reduced units, energies nan.

        Raises
        ------
        InputError
            On a missing or damaged file, sites that are no full rectangle, spins that are no unit vectors, or a field that
            is across every spin though ``field = "full"``.
        """
        place = Path(source)
        if not place.exists():
            raise InputError(f"there is no file or directory {place}")
        files = sorted(place.glob(self.options.pattern), key=_number) if place.is_dir() else [place]
        if not files:
            raise InputError(f"no file of {place} matches {self.options.pattern!r}: say pattern = ...")
        kind = place.name if place.is_dir() else "converted"
        tables = [read_columns(path) for path in files]
        frames = [self._frame(table, path, kind) for table, path in zip(tables, files, strict=True)]
        remarks = {"mean_density": float(np.mean([table[:, 2].mean() for table in tables]))}
        return Converted(group_frames(frames, self.options.together, "reduced"), files, remarks)

    def _frame(self, table: FloatArray, path: Path, kind: str) -> Frame:
        options = self.options
        places = _grid(table[:, :2], path)
        spins = table[:, 3:6]
        lengths = np.linalg.norm(spins, axis=1)
        if np.any(np.abs(lengths - 1.0) > _UNIT):
            site = int(np.argmax(np.abs(lengths - 1.0)))
            raise InputError(f"{path}: the spin of site {site} has length {lengths[site]:.6g}, not 1")
        spins = spins / lengths[:, None]
        if options.symbol not in atomic_numbers:
            raise InputError(f"symbol: {options.symbol!r} is no chemical symbol")
        sides = (places.max(axis=0) + 1) * options.spacing
        return Frame(
            numbers=np.full(len(table), atomic_numbers[options.symbol], dtype=np.int64),
            pbc=np.array([options.periodic, options.periodic, False]),
            cell=np.diag([sides[0], sides[1], options.spacing]),
            positions=options.spacing * np.column_stack([places, np.zeros(len(places))]),
            moments=spins,
            magnetic_forces=self._field(spins, table[:, 6:9], path),
            kind=kind,
        )

    def _field(self, spins: FloatArray, columns: FloatArray, path: Path) -> FloatArray:
        if self.options.field == "torque":
            return np.cross(columns, spins)  # (S x H) x S = H - S (S.H)
        along = np.abs(np.sum(spins * columns, axis=1))
        if self.options.field == "full" and columns.any() and along.max() < _TRANSVERSE * np.abs(columns).max():
            raise InputError(
                f"{path}: the last three columns are across the spins everywhere, so they are not the full field: say "
                "field = 'tangent' (the part of H across S) or field = 'torque' (S x H)"
            )
        return columns

    def write(self, parts: Sequence[Labels], target: str | Path) -> None:
        """One file ``c<number>.dat`` for each configuration, in the directory `target`.

        Raises
        ------
        InputError
            If the magnet is not in reduced units, or no square lattice of unit spins with the spacing of the options.
        """
        density = np.nan if self.options.density is None else self.options.density
        tables = []
        for part in parts:
            if part.units != "reduced":
                raise InputError(f"double-exchange columns are in units of t and a, these labels in {part.units} units")
            for k in range(len(part)):
                places = part.positions[k][:, :2] / self.options.spacing
                if np.abs(places - np.round(places)).max() > 1e-6 or np.ptp(part.positions[k][:, 2]) > 1e-6:
                    raise InputError("double-exchange columns need sites on a square lattice: set spacing to its constant")
                if np.any(np.abs(np.linalg.norm(part.moments[k], axis=1) - 1.0) > _UNIT):
                    raise InputError("double-exchange columns need unit moments at all sites")
                grid, first = _grid(np.round(places), "these labels"), np.full(len(places), density)
                tables.append(np.column_stack([grid, first, part.moments[k], part.magnetic_forces[k]]))
        with replacing_folder(target, "double-exchange columns") as folder:
            for number, table in enumerate(tables):
                np.savetxt(folder / f"c{number}.dat", table, fmt=["%d", "%d", *["%.17g"] * 7], delimiter="\t")


def read_columns(path: str | Path) -> FloatArray:
    """The nine columns x, y, n, S (3), H (3) of a file, (N, 9).

    Raises
    ------
    InputError
        If the file cannot be read, has other columns, or numbers that are not finite (n may be nan).
    """
    try:
        table = np.loadtxt(path, dtype=np.float64, ndmin=2)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path} as columns x y n Sx Sy Sz Hx Hy Hz: {one_line(error)}") from None
    if table.shape[1] != _COLUMNS or not len(table):
        raise InputError(f"{path} has {table.shape[1]} columns and {len(table)} lines, not x y n Sx Sy Sz Hx Hy Hz")
    strange = ~np.isfinite(table)
    strange[:, 2] = np.isinf(table[:, 2])
    if strange.any():
        raise InputError(f"{path}: a number in line {int(np.flatnonzero(strange.any(axis=1))[0]) + 1} is not finite")
    return table


def _grid(places: FloatArray, path: str | Path) -> IntArray:
    """Integer coordinates from 0; every place of the rectangle once."""
    whole = np.round(places).astype(np.int64)
    if np.abs(places - whole).max() > 1e-6:
        raise InputError(f"{path}: x and y must be whole numbers, got {places[np.abs(places - whole).max(axis=1).argmax()]}")
    whole = whole - whole.min(axis=0)
    sides = whole.max(axis=0) + 1
    counts = np.bincount(whole[:, 0] * sides[1] + whole[:, 1], minlength=int(sides.prod()))
    wrong = np.flatnonzero(counts != 1)
    if len(wrong):
        x, y = divmod(int(wrong[0]), int(sides[1]))
        raise InputError(
            f"{path}: the site ({x}, {y}) of a {sides[0]} x {sides[1]} lattice is there {counts[wrong[0]]} times"
        )
    return whole


def _number(path: Path) -> tuple[int, str]:
    """Files by the last number in their names, then by name."""
    digits = re.findall(r"\d+", path.stem)
    return (int(digits[-1]) if digits else -1, path.name)


__all__ = ["DoubleExchangeFormat", "DoubleExchangeOptions", "read_columns"]
