"""Extended XYZ (for OVITO and ASE) and ASE's ``.traj``, both by ASE."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.io import read as ase_read
from ase.io.formats import UnknownFileTypeError
from pydantic import Field

from spinase.atoms import SpinAtoms, get_moments, has_moments
from spinase.errors import InputError, InvalidMomentsError
from spinase.io.exports.base import ExportFormat, ExportOptions, SpinFile
from spinase.io.frames import write_atoms
from spinase.io.run_file import Run
from spinase.io.run_frames import frame_with_columns, frame_with_results
from spinase.typing import FloatArray


class ExtxyzOptions(ExportOptions):
    """What OVITO draws."""

    radius: float = Field(0.25, gt=0, description="radius of the balls, in covalent radii (small ones show the arrows)")


class ExtxyzExport(ExportFormat[ExtxyzOptions]):
    """Extended XYZ: moments as `initial_magmoms` (ASE) and `dipoles` (OVITO's arrows), `radius`, results, step and time."""

    Config = ExtxyzOptions
    citation = "ase.io.extxyz; OVITO: A. Stukowski, Modelling Simul. Mater. Sci. Eng. 18, 015012 (2010)"
    patterns = ("*.xyz", "*.extxyz")
    options: ExtxyzOptions

    def write(self, run: Run, frames: Sequence[int], target: Path) -> None:
        """Write frames; eight decimals."""
        made = [frame_with_columns(run, k) for k in frames]
        for atoms in made:
            atoms.set_array("dipoles", get_moments(atoms))
            atoms.set_array("radius", self.options.radius * covalent_radii[atoms.numbers])
        write_atoms(target, made, "extxyz")

    def read(self, source: Path, index: int = -1) -> SpinFile:
        """Moments of one frame, whatever their column is called."""
        return read_by_ase(source, index)


class TrajExport(ExportFormat[ExportOptions]):
    """ASE's .traj, every digit: moments (arrows in `ase gui`), energies, forces and stress as results, step and time."""

    citation = "A. H. Larsen et al., J. Phys.: Condens. Matter 29, 273002 (2017)"
    patterns = ("*.traj",)

    def write(self, run: Run, frames: Sequence[int], target: Path) -> None:
        """Write frames."""
        write_atoms(target, [frame_with_results(run, k) for k in frames], "traj")

    def read(self, source: Path, index: int = -1) -> SpinFile:
        """Moments of one frame."""
        return read_by_ase(source, index)


def read_by_ase(source: Path, index: int) -> SpinFile:
    """Moments and positions of any file that ASE reads.

    Raises
    ------
    InputError
        If it cannot be read, or has no moments.
    """
    try:
        found = ase_read(source, index=index)
        assert isinstance(found, Atoms)
        atoms = SpinAtoms(found)
    except InvalidMomentsError as error:
        raise InputError(f"{source}: {error}") from None
    except (OSError, ValueError, IndexError, KeyError, StopIteration, UnknownFileTypeError) as error:
        raise InputError(f"cannot read frame {index} of {source}: {error}") from None
    if not has_moments(atoms):
        raise InputError(f"{source} has no magnetic moments")
    moments: FloatArray = np.asarray(get_moments(atoms))
    return SpinFile(moments, atoms.positions.copy())


__all__ = ["ExtxyzExport", "ExtxyzOptions", "TrajExport", "read_by_ase"]
