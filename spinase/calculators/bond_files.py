"""Couplings listed bond by bond, also from files of other codes (:mod:`spinase.io.exchange`)."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike
from pydantic import Field, model_validator

from spinase.atoms import get_units
from spinase.calculators.base import SpinCalculator
from spinase.calculators.classical import TermCalculator, ZeemanCalculator
from spinase.calculators.four_spin import ProductTableCalculator
from spinase.calculators.interactions import DipoleCalculator
from spinase.calculators.sum import SpinSumCalculator
from spinase.classical import BondTable, BondTableTerm
from spinase.io.exchange import read_tb2j, read_uppasd, read_uppasd_model, read_vampire
from spinase.law_tables import OptionTable

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

    E = -sum_{pairs} [s_i.J_ij s_j + K_ij (s_i.s_j)^2] - sum_i s_i.Q_i s_i + sum_i cubic anisotropies, each pair once.
    Files: :func:`read_tb2j`, :func:`read_uppasd` (:func:`uppasd_calculator` with fields and dipoles), :func:`read_vampire`.

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
    citation = "A. I. Liechtenstein et al., J. Magn. Magn. Mater. 67, 65 (1987), doi:10.1016/0304-8853(87)90721-9"

    def __init__(self, table: BondTable, tolerance: float = 0.05, *, units: str | None = None) -> None:
        super().__init__(BondTableTerm(table, tolerance), units=units)
        scale = 1e-12 * max(float(np.abs(table.tensors).max(initial=0.0)), 1e-300)
        parts = (table.dmi(), table.symmetric(), table.onsite)
        isotropic = all(np.abs(part).max(initial=0.0) <= scale for part in parts) and not table.cubic.any()
        # The table belongs to the axes of its cell: lattices turned or moved against it are refused.
        fixed = {"lattice_rotation", "joint_rotation", "translation"}
        self.symmetries = _ALL - (fixed if isotropic else fixed | {"spin_rotation"})

    @classmethod
    def from_config(cls, config: BondFileConfig) -> BondTableCalculator | SpinSumCalculator:
        """Calculator from the table of an input file: a sum where a file of UppASD has a field or dipoles."""
        if config.format == "uppasd":
            calc, _ = uppasd_calculator(config.file, config.tolerance, version=config.version, leave_out=config.leave_out)
            return calc
        table, atoms = {"tb2j": read_tb2j, "vampire": read_vampire}[config.format](config.file)
        return cls(table, config.tolerance, units=get_units(atoms).name)


def uppasd_calculator(
    path: str | Path,
    tolerance: float = 0.05,
    *,
    dmi_sign: int | None = None,
    version: str = "6.1",
    cell: ArrayLike | None = None,
    scaled_positions: bool | None = None,
    leave_out: Collection[str] = (),
) -> tuple[BondTableCalculator | SpinSumCalculator, Atoms]:
    """Everything that an input of UppASD says of energies (:func:`read_uppasd_model`), and its sites.

    Parameters
    ----------
    path : path
        The input file ``inpsd.dat``.
    tolerance : float
        How far a site may be from where the file has it, length.
    dmi_sign, version, cell, scaled_positions, leave_out
        As in :func:`read_uppasd_model`.

    Returns
    -------
    BondTableCalculator or SpinSumCalculator, Atoms
        The couplings; where there is an applied field, ``ring`` or ``do_dip``, their sum with a ZeemanCalculator, a
        ProductTableCalculator or a DipoleCalculator (whose dipoles are those of the atoms it is given: all pairs, boundaries
        open).
    """
    model = read_uppasd_model(
        path, dmi_sign, version=version, cell=cell, scaled_positions=scaled_positions, leave_out=leave_out
    )
    units = get_units(model.atoms).name
    couplings = BondTableCalculator(model.table, tolerance, units=units)
    others: list[TermCalculator] = [] if model.field is None else [ZeemanCalculator(model.field, units=units)]
    if model.products is not None:
        others.append(ProductTableCalculator(model.products, tolerance, units=units))
    if model.dipoles:
        others.append(DipoleCalculator())
    return (SpinSumCalculator([couplings, *others]) if others else couplings), model.atoms


__all__ = [
    "BondTableCalculator",
    "read_tb2j",
    "read_uppasd",
    "read_uppasd_model",
    "read_vampire",
    "uppasd_calculator",
]
