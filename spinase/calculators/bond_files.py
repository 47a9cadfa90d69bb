"""Couplings listed bond by bond, also from files of other codes (:mod:`spinase.io.exchange`)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from spinase.atoms import get_units
from spinase.calculators.base import SpinCalculator
from spinase.calculators.classical import TermCalculator
from spinase.calculators.options import OptionTable
from spinase.classical import Bilinear, BondTable
from spinase.io.exchange import read_tb2j, read_uppasd, read_vampire

_ALL = SpinCalculator.symmetries


class BondFileConfig(OptionTable):
    """Exchange tensors from a file of another code."""

    file: str = Field(
        description="TB2J's exchange.xml, UppASD's inpsd.dat or Vampire's unit cell file, from the current directory"
    )
    format: Literal["tb2j", "uppasd", "vampire"] = Field(description="which code wrote it")
    tolerance: float = Field(0.05, gt=0, description="how far a site may be from where the file has it [Angstrom]")
    version: str = Field("6.1", description="version of UppASD, whose D has the sign of the manual from 6.1 on only")
    leave_out: list[str] = Field([], description='keywords of UppASD that are read as if they were not there: ["hfield"]')

    @model_validator(mode="after")
    def _of_uppasd(self) -> BondFileConfig:
        if self.format != "uppasd" and self.model_fields_set & {"version", "leave_out"}:
            raise ValueError("version and leave_out are for the format 'uppasd'")
        return self


class BondTableCalculator(TermCalculator):
    """Couplings listed bond by bond (exchange tensors from first principles), on their cell or any repetition of it.

    E = -sum_{pairs} s_i.J_ij s_j - sum_i s_i.Q_i s_i, each pair once.  Files: :func:`read_tb2j`, :func:`read_uppasd`,
    :func:`read_vampire`.

    Parameters
    ----------
    table : BondTable
        The couplings.
    tolerance : float
        How far a site may be from where the table has it, length.
    units : str, optional
        Unit system of the table; what the readers give is in metal units.
    """

    Config = BondFileConfig
    citation = "A. I. Liechtenstein et al., J. Magn. Magn. Mater. 67, 65 (1987)"

    def __init__(self, table: BondTable, tolerance: float = 0.05, *, units: str | None = None) -> None:
        super().__init__(Bilinear(table, tolerance), units=units)
        scale = 1e-12 * max(float(np.abs(table.tensors).max(initial=0.0)), 1e-300)
        parts = (table.dmi(), table.symmetric(), table.onsite)
        isotropic = all(np.abs(part).max(initial=0.0) <= scale for part in parts)
        # The table belongs to the axes of its cell: lattices turned or moved against it are refused.
        fixed = {"lattice_rotation", "joint_rotation", "translation"}
        self.symmetries = _ALL - (fixed if isotropic else fixed | {"spin_rotation"})

    @classmethod
    def from_config(cls, config: BondFileConfig) -> BondTableCalculator:
        """Calculator from the table of an input file."""
        if config.format == "uppasd":
            table, atoms = read_uppasd(config.file, version=config.version, leave_out=config.leave_out)
        else:
            table, atoms = {"tb2j": read_tb2j, "vampire": read_vampire}[config.format](config.file)
        return cls(table, config.tolerance, units=get_units(atoms).name)


__all__ = ["BondTableCalculator", "read_tb2j", "read_uppasd", "read_vampire"]
