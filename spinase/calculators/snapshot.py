"""Results frozen onto atoms, in a form that survives ``.traj``, extxyz and copying."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from ase.calculators.calculator import compare_atoms as ase_compare
from ase.outputs import Properties

from spinase.atoms import SpinAtoms
from spinase.contract import ase_outputs, calculator_of

_KEY = "spinase_results"


class SnapshotCalculator(Calculator):
    """Stored results of one configuration (ASE's ``SinglePointCalculator`` refuses names such as ``torques``).

    Parameters
    ----------
    atoms : Atoms
        The configuration, with its moments.
    results : mapping
        Result name -> number or array.
    """

    conservative = True

    def __init__(self, atoms: Atoms, results: Mapping[str, Any]) -> None:
        super().__init__()
        self.results = {name: _plain(value) for name, value in results.items()}
        self.implemented_properties = list(self.results)
        self.atoms = atoms.copy()

    def get_property(self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True) -> Any:
        """The stored result; refused if `atoms` (positions, cell or moments) are no longer those of the snapshot."""
        if name not in self.results or (atoms is not None and self.check_state(atoms)):
            if not allow_calculation:
                return None
            raise PropertyNotImplementedError(
                f"the snapshot holds {', '.join(self.results)} of one configuration"
                + ("" if name in self.results else f", not {name!r}")
                + (
                    "; the atoms or their moments have changed since"
                    if atoms is not None and self.check_state(atoms)
                    else ""
                )
            )
        value = self.results[name]
        return value.copy() if isinstance(value, np.ndarray) else value

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """What differs from the stored configuration."""
        return ase_compare(self.atoms, atoms, tol=tol, excluded_properties={"initial_charges"})

    def export_properties(self) -> Properties:
        """Results under ASE's own names (``atoms.get_properties`` fails on any other)."""
        return ase_outputs(self.results)

    def calculate(
        self, atoms: Atoms | None = None, properties: list[str] | None = None, system_changes: list[str] = all_changes
    ) -> None:
        """A snapshot computes nothing: it has every result asked for, or refuses."""
        for name in properties or []:
            self.get_property(name, atoms)


def snapshot(atoms: Atoms, properties: Sequence[str] | None = None) -> SpinAtoms:
    """A copy of `atoms` with results frozen in, as a calculator and in ``info`` (which trajectory files keep).

    Parameters
    ----------
    atoms : Atoms
        Atoms with a calculator.
    properties : sequence of str, optional
        Results to keep (computed if need be); default: all the calculator has ready.
    """
    calc = calculator_of(atoms)
    names = [name for name in calc.implemented_properties if name in calc.results] if properties is None else properties
    results = {name: calc.get_property(name, atoms) for name in names}
    copy = SpinAtoms(atoms.copy())
    copy.info[_KEY] = {name: np.asarray(value).tolist() for name, value in results.items()}
    copy.calc = SnapshotCalculator(copy, results)
    return copy


def restore_snapshot(atoms: Atoms) -> SpinAtoms:
    """Re-attach the results that :func:`snapshot` stored, after reading `atoms` from a file.

    Raises
    ------
    PropertyNotImplementedError
        If the atoms carry no stored results.
    """
    if _KEY not in atoms.info:
        raise PropertyNotImplementedError(f"these atoms carry no snapshot (no info[{_KEY!r}]): store one with snapshot()")
    copy = SpinAtoms(atoms.copy())
    copy.calc = SnapshotCalculator(copy, atoms.info[_KEY])
    return copy


def _plain(value: Any) -> Any:
    array = np.asarray(value)
    return array.item() if array.ndim == 0 else np.array(array, dtype=np.float64)
