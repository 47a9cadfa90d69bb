"""LAMMPS' own pair styles as a calculator: the lattice under the spins."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import lammps
import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_changes
from ase.calculators.lammpslib import LAMMPSlib
from mpi4py import MPI
from pydantic import BaseModel, ConfigDict, Field

from spinase.calculators import SpinSumCalculator
from spinase.errors import ModelError


class PairConfig(BaseModel):
    """Options of the style ``lammps/pair`` in an input file, in LAMMPS' own words."""

    model_config = ConfigDict(extra="forbid")

    pair_style: str = Field(description="as after LAMMPS' pair_style, such as 'eam/fs'")
    pair_coeff: list[str] = Field(
        min_length=1,
        description="as after LAMMPS' pair_coeff, such as '* * Fe_mm.eam.fs Fe'; types count species by atomic number; "
        "files are looked for in the current directory, then in LAMMPS_POTENTIALS, or the folder that LAMMPS brings",
    )


class LammpsPairCalculator(LAMMPSlib):  # type: ignore[misc]
    """A pair style of LAMMPS (embedded atoms, Lennard-Jones, a foundation model's, ...): energy, forces, stress, no spins.

    By itself, or in a sum with spin terms under any driver, it is ASE's LAMMPSlib, on one process.  In a sum under a driver
    of this package LAMMPS computes it in its own loop, divided as everything else.

    Parameters
    ----------
    pair_style : str
        LAMMPS' words.
    pair_coeff : sequence of str
        LAMMPS' words; types count the species of the atoms by atomic number, from 1.
    """

    Config = PairConfig
    citation: ClassVar[str] = (
        "A. P. Thompson et al., Comput. Phys. Commun. 271, 108171 (2022), doi:10.1016/j.cpc.2021.108171 "
        "(and what LAMMPS' manual names for the pair style)"
    )
    units = "metal"

    def __init__(self, pair_style: str, pair_coeff: Sequence[str]) -> None:
        find_potentials()
        self.pair_style, self.pair_coeff = pair_style, tuple(pair_coeff)
        commands = [f"pair_style {pair_style}", *(f"pair_coeff {words}" for words in pair_coeff)]
        super().__init__(lmpcmds=commands, comm=MPI.COMM_SELF)

    def calculate(
        self, atoms: Atoms, properties: Sequence[str] = ("energy",), system_changes: Sequence[str] = tuple(all_changes)
    ) -> None:
        """LAMMPSlib's own, with types for the species."""
        kinds = np.unique(atoms.numbers)
        symbols = Atoms(numbers=kinds).get_chemical_symbols()
        self.parameters.atom_types = {symbol: k + 1 for k, symbol in enumerate(symbols)}
        super().calculate(atoms, properties, system_changes)

    def commands_beside(self, others: str) -> list[str]:
        """LAMMPS' commands for this style beside others.

        Parameters
        ----------
        others : str
            Name and options of the other styles.
        """
        name = self.pair_style.split()[0]
        coefficients = [words.split(maxsplit=2) for words in self.pair_coeff]
        return [
            f"pair_style hybrid/overlay {others} {self.pair_style}",
            *(f"pair_coeff {one} {other} {name} {''.join(rest)}" for one, other, *rest in coefficients),
        ]


def find_potentials() -> None:
    """Let LAMMPS look for potentials in the folder it brings, unless another one is named."""
    os.environ.setdefault("LAMMPS_POTENTIALS", str(Path(lammps.__file__).parent / "share" / "lammps" / "potentials"))


def without_pair(calc: Any) -> tuple[Any, LammpsPairCalculator | None]:
    """A calculator without LAMMPS' own pair style, and that.

    Parameters
    ----------
    calc : calculator
        Any; a sum may have one :class:`LammpsPairCalculator` among its members, of weight 1.

    Raises
    ------
    ModelError
        If there are several, or one with a weight, or nothing else.
    """
    if not isinstance(calc, SpinSumCalculator):
        if isinstance(calc, LammpsPairCalculator):
            raise ModelError(f"the pair style {calc.pair_style!r} has no spins: put it in a sum with spin terms")
        return calc, None
    members = list(zip(calc.calculators, calc.weights, strict=True))
    own = [(one, weight) for one, weight in members if isinstance(one, LammpsPairCalculator)]
    if not own:
        return calc, None
    others = [(one, weight) for one, weight in members if not isinstance(one, LammpsPairCalculator)]
    if len(own) > 1 or own[0][1] != 1.0:
        raise ModelError(
            f"a sum in LAMMPS has one pair style of LAMMPS' own, of weight 1, not {len(own)}: join them in one pair_style"
        )
    if not others:
        raise ModelError("a sum in LAMMPS needs spin terms beside LAMMPS' own pair style")
    return SpinSumCalculator(*zip(*others, strict=True)), own[0][0]


__all__ = ["LammpsPairCalculator", "PairConfig", "find_potentials", "without_pair"]
