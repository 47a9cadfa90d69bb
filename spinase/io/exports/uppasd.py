"""Restart files of UppASD: unit vectors and moments by the number of the atom, without positions.

Format: ``System/restart.f90`` of UppASD 6: seven lines of header, then step, ensemble, atom, |m|, e_x, e_y, e_z; the older
``do_mom_legacy`` files have one line of header and no step.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import Field

from spinase.brief import one_line
from spinase.errors import InputError
from spinase.files import replacing, write_text
from spinase.io.exports.base import ExportFormat, ExportOptions, SpinFile, numbers_in, require_own
from spinase.io.run_file import Run

_LINE = "#" * 80
_MARK = "# Simulation type: spinase"


class UppASDOptions(ExportOptions):
    """Which ensemble."""

    ensemble: int = Field(1, ge=1, description="which of the ensembles of a restart file is read")


class UppASDExport(ExportFormat[UppASDOptions]):
    """UppASD restart file; atoms are numbered as in the run (one cell of N atoms, `ncell 1 1 1`, in UppASD's input)."""

    Config = UppASDOptions
    citation = "B. Skubic et al., J. Phys.: Condens. Matter 20, 315203 (2008)"
    many_frames = False
    patterns = ("restart.*.out", "restart*.dat")
    options: UppASDOptions

    def write(self, run: Run, frames: Sequence[int], target: Path) -> None:
        """Write one frame, nine digits as UppASD does."""
        (k,) = frames
        require_own(target, _MARK.encode(), "restart file of UppASD")
        lengths, spins = np.linalg.norm(run.moments[k], axis=1), run.atoms(k).spins
        lines = [
            _LINE,
            "# File type: R",
            _MARK,
            f"# Number of atoms: {len(spins):8d}",
            "# Number of ensembles:        1",
            _LINE,
        ]
        titles = "".join(f"{word:>16}" for word in ("|Mom|", "M_x", "M_y", "M_z"))
        lines.append(f"{'# iter':>8}{'ens':>8}{'iatom':>8}{titles}")
        for i, (length, spin) in enumerate(zip(lengths, spins, strict=True)):
            told = "".join(f"{value:16.8E}" for value in (length, *spin))
            lines.append(f"{run.steps[k]:8d}{1:8d}{i + 1:8d}  {told}")
        with replacing(target) as temporary:
            write_text(temporary, "\n".join(lines) + "\n")

    def read(self, source: Path, index: int = -1) -> SpinFile:
        """Moments of one ensemble, by the number of the atom; a restart file has one frame.

        Raises
        ------
        InputError
            If it is missing or no restart file, or lacks an atom.
        """
        try:
            lines = source.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot read {source} as a restart file of UppASD: {one_line(error)}") from None
        rows = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
        columns = len(rows[-1].split()) if rows else 0
        if columns not in (6, 7):
            raise InputError(f"{source} is no restart file of UppASD: 6 or 7 numbers a line are needed, there are {columns}")
        rows = rows[1:] if columns == 6 else rows
        table = numbers_in("\n".join(rows), columns, source)[:, columns - 6 :]
        table = table[table[:, 0] == self.options.ensemble]
        table = table[np.argsort(table[:, 1])]
        if not len(table) or not np.array_equal(table[:, 1], np.arange(1, len(table) + 1)):
            raise InputError(
                f"{source}: atoms 1..{len(table)} of ensemble {self.options.ensemble} are needed, some are not there"
            )
        return SpinFile(table[:, 3:] * table[:, 2:3], None)


__all__ = ["UppASDExport", "UppASDOptions"]
