"""Base class of the spin calculators: one template over three steps, with the geometry kept while only spins move."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from ase.outputs import Properties

from spinase.atoms import geometry_of, get_moments, get_reference_lengths
from spinase.brief import call
from spinase.contract import FieldFunction, LocalEnergy, NotConservativeError, ase_outputs, check_units
from spinase.errors import InvalidMomentsError, ModelError
from spinase.geometry import Geometry
from spinase.spin_algebra import directions, per_moment
from spinase.typing import Array, FloatArray

Frozen = TypeVar("Frozen")
State = TypeVar("State")

GEOMETRY_CHANGES = frozenset({"positions", "numbers", "cell", "pbc"})
_FEW_BYTES = 1 << 16


class MomentsOfAtoms:
    """``atoms.get_magnetic_moments()`` with a spin calculator: moments are its input, so the atoms' own are returned."""

    atoms: Atoms | None

    def get_magnetic_moments(self, atoms: Atoms | None = None) -> FloatArray:
        """Moments (N, 3) of the atoms, mu_B or |m|."""
        target = self.atoms if atoms is None else atoms
        if target is None:
            raise InvalidMomentsError("a calculator that has seen no atoms knows no moments: pass atoms")
        return get_moments(target)

    def get_magnetic_moment(self, atoms: Atoms | None = None) -> FloatArray:
        """Their sum (3,)."""
        return np.asarray(self.get_magnetic_moments(atoms).sum(axis=0))


class SpinCalculator(MomentsOfAtoms, Calculator, ABC, Generic[Frozen, State]):
    """ASE calculator of a magnet, in three steps that subclasses provide.

    1. :meth:`freeze` builds what depends on the geometry only (neighbour lists, sparsity patterns); it is called again
       only when positions, cell, boundaries or species change.
    2. :meth:`solve` does the work for given spins and returns a state.
    3. :meth:`derive` turns the state into one named result.

    Attributes
    ----------
    conservative : bool
        Whether ``magnetic_forces`` are the gradient of the energy.
    units : str or None
        Unit system the parameters are in; None if any system works.
    symmetries : frozenset of str
        Which of ``"spin_rotation"`` (all spins, lattice fixed), ``"lattice_rotation"`` (lattice, spins fixed),
        ``"joint_rotation"``, ``"time_reversal"``, ``"translation"``, ``"permutation"`` leave the energy unchanged.
    citation : str
        Source of the method.
    not_local : str
        Why there is no :meth:`local_energy`, for calculators that have none.
    refused_properties : mapping
        Results that this kind of calculator usually has and this one cannot give, each with the reason and what to do.
    """

    conservative: bool = True
    units: str | None = None
    symmetries: frozenset[str] = frozenset(
        {"spin_rotation", "lattice_rotation", "joint_rotation", "time_reversal", "translation", "permutation"}
    )
    citation: ClassVar[str] = ""
    not_local: ClassVar[str] = "it does not say how its energy is a sum over sites and pairs"
    implemented_properties = ["energy", "free_energy", "forces", "stress", "magnetic_forces", "torques"]
    default_parameters: ClassVar[dict[str, Any]] = {}
    refused_properties: Mapping[str, str] = {}
    atoms: Atoms | None
    results: dict[str, Any]

    def __init__(self) -> None:
        super().__init__()
        self._frozen: Frozen | None = None
        self._state: State | None = None
        self._seen: Atoms | None = None  # the copy of the atoms of the last results, which the next one overwrites
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return call(type(self).__name__, units=self.units)

    @abstractmethod
    def freeze(self, geometry: Geometry) -> Frozen:
        """Everything that depends on positions, cell, boundaries and species only."""

    @abstractmethod
    def solve(self, frozen: Frozen, spins: FloatArray, lengths: FloatArray) -> State:
        """Solve for the spins (N, 3) (zero rows: non-magnetic) with moment lengths (N,).

        Parameters
        ----------
        frozen : Frozen
            What :meth:`freeze` made of the geometry.
        spins : (N, 3) ndarray
            Unit vectors, or shorter ones within a step; zero rows: non-magnetic sites.
        lengths : (N,) ndarray
            Of the moments, mu_B or |m|.
        """

    @abstractmethod
    def derive(self, name: str, frozen: Frozen, state: State, spins: FloatArray, lengths: FloatArray) -> Any:
        """The result called `name`; never asked for ``torques``.

        Parameters
        ----------
        name : str
            One of ``implemented_properties``.
        frozen, state
            What :meth:`freeze` and :meth:`solve` made.
        spins, lengths : (N, 3), (N,) ndarray
            Those of :meth:`solve`.
        """

    def for_supercell(self, repeat: tuple[int, int, int]) -> SpinCalculator[Any, Any] | None:
        """The calculator that gives `prod(repeat)` times the energy on a repeated cell; None if there is none."""
        return self

    def local_energy(self, geometry: Geometry | None = None) -> LocalEnergy:
        """The calculator for given pairs (see ``contract.local_energy``).

        Raises
        ------
        ModelError
            Unless a subclass has it: says why.
        """
        raise ModelError(f"{type(self).__name__} cannot be divided among regions: {self.not_local}")

    def begin_step(self) -> None:
        """Called by drivers before every step; calculators with random vectors take new ones here."""

    def step_state(self) -> Any:
        """What a step of a driver may change, as cheap references; None if nothing."""
        return None

    def restore_step(self, state: Any) -> None:
        """Take back what :meth:`step_state` gave: the step was not completed."""

    def checkpoint_state(self) -> dict[str, Any]:
        """What a restart must know beyond the atoms (JSON values); empty if the results depend on the atoms alone."""
        return {}

    def restore_state(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`checkpoint_state` gave."""

    def get_property(self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True) -> Any:
        """One result, as in ASE; what is refused says why; threads that share the calculator wait for each other.

        Parameters
        ----------
        name : str
            Of the result.
        atoms : Atoms, optional
            Default: those of the last calculation.
        allow_calculation : bool
            False: None instead of a new calculation.

        Raises
        ------
        PropertyNotImplementedError
            If there is no such result.
        """
        require_offered(self.refused_properties, name)
        with self._lock:
            return super().get_property(name, atoms, allow_calculation)

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """What changed since the last calculation, as in ASE; other reference lengths count as other moments.

        Parameters
        ----------
        atoms : Atoms
            As they are now.
        tol : float
            Differences up to this are none, in the unit of each array.
        """
        return changes_between(self.atoms, atoms)

    def calculate(
        self, atoms: Atoms | None = None, properties: list[str] | None = None, system_changes: list[str] = all_changes
    ) -> None:
        """Compute `properties` (and cache them with the moments); ASE calls this.

        Parameters
        ----------
        atoms : Atoms, optional
            Default: those of the last calculation.
        properties : list of str, optional
            Names of results; default: the energy.
        system_changes : list of str
            What changed, as ASE names it.
        """
        if atoms is None:
            atoms = self.atoms
        try:
            if self.atoms is not None and self.check_state(atoms):  # called directly, as atoms.get_properties does
                self.reset()
                system_changes = all_changes
            self._calculate(atoms, properties or ["energy"], system_changes)
        except BaseException:
            self.reset()
            self._frozen, self._state = None, None
            raise

    def _calculate(self, atoms: Atoms, names: list[str], system_changes: list[str]) -> None:
        check_units(atoms, self)
        if "energy" in names or "free_energy" in names:
            self._refuse_energy_if_driven()
        if self._frozen is None or GEOMETRY_CHANGES.intersection(system_changes):
            self._frozen, self._state = self.freeze(geometry_of(atoms)), None
        moments = get_moments(atoms)
        spins, lengths = split_moments(moments, get_reference_lengths(atoms))
        if self._state is None or system_changes:
            self._state = self.solve(self._frozen, spins, lengths)
        if self.atoms is None:
            self.atoms = self._seen = copied(atoms, self._seen)
        for name in names:
            self.results[name] = self._result(name, self._frozen, self._state, moments, spins, lengths)

    def _result(
        self, name: str, frozen: Frozen, state: State, moments: FloatArray, spins: FloatArray, lengths: FloatArray
    ) -> Any:
        require_offered(self.refused_properties, name)
        if name not in self.implemented_properties:
            raise PropertyNotImplementedError(
                f"{type(self).__name__} has no {name!r}; it gives {', '.join(self.implemented_properties)}"
            )
        if name == "torques":
            return np.cross(moments, self.derive("magnetic_forces", frozen, state, spins, lengths))
        return self.derive(name, frozen, state, spins, lengths)

    def _refuse_energy_if_driven(self) -> None:
        if not self.conservative:
            raise NotConservativeError(
                f"{type(self).__name__} describes a driven system: its magnetic forces are no gradient, there is no energy"
            )

    def field_function(self, atoms: Atoms, lengths: FloatArray | None = None) -> FieldFunction:
        """B(spins) at the present positions, without ASE's copies (see ``contract.FastFields``).

        Parameters
        ----------
        atoms : Atoms
            Sites that stay; their spins do not matter.
        lengths : (N,) ndarray, optional
            Of the moments, mu_B or |m|; default: those of `atoms`.
        """
        check_units(atoms, self)
        if self._frozen is None or not self._geometry_is_current(atoms):
            self.reset()
            self._frozen, self._state = self.freeze(geometry_of(atoms)), None
            self.atoms = self._seen = copied(atoms, self._seen)
        frozen = self._frozen
        scale = split_moments(get_moments(atoms), get_reference_lengths(atoms))[1] if lengths is None else lengths

        def fields(spins: FloatArray) -> FloatArray:
            """Magnetic forces at these spins (N, 3), energy/moment."""
            with self._lock:
                state = self.solve(frozen, spins, scale)
                result: FloatArray = self.derive("magnetic_forces", frozen, state, spins, scale)
            return result

        return fields

    def export_properties(self) -> Properties:
        """Results under ASE's own names (``atoms.get_properties`` fails on any other)."""
        return ase_outputs(self.results)

    def _geometry_is_current(self, atoms: Atoms) -> bool:
        known = self.atoms
        if known is None or not _same(known.arrays.get("positions"), atoms.arrays["positions"]):
            return False
        return not GEOMETRY_CHANGES.intersection(self.check_state(atoms))

    def __getstate__(self) -> dict[str, Any]:
        """Pickle parameters and results, not the frozen geometry or the state (they are rebuilt)."""
        state = self.__dict__.copy()
        state["_frozen"], state["_state"], state["results"], state["atoms"] = None, None, {}, None
        state["_seen"] = None
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.RLock()


def require_offered(refused: Mapping[str, str], name: str) -> None:
    """Raise PropertyNotImplementedError with the reason if a result is among those a calculator refuses."""
    if name in refused:
        raise PropertyNotImplementedError(refused[name])


def changes_between(before: Atoms | None, now: Atoms) -> list[str]:
    """ASE's list of changes by exact comparison (its own costs more than a step of a small classical magnet).

    Other reference lengths count as other moments.
    """
    if before is None:
        return list(all_changes)
    changes = [
        name
        for name in ("positions", "numbers", "initial_charges", "initial_magmoms")
        if not _same(before.arrays.get(name), now.arrays.get(name))
    ]
    if "initial_magmoms" not in changes and not _same(get_reference_lengths(before), get_reference_lengths(now)):
        changes.append("initial_magmoms")
    if not _same(before.cell.array, now.cell.array):
        changes.append("cell")
    if not _same(before.pbc, now.pbc):
        changes.append("pbc")
    return changes


def copied(atoms: Atoms, over: Atoms | None) -> Atoms:
    """A copy of the atoms: in `over`, an earlier copy, where the same arrays are there, else a new one.

    ASE makes a copy in ten times as long, which is what a step of a small magnet takes.
    """
    if over is None or over is atoms or type(over) is not type(atoms) or over.constraints or atoms.constraints:
        return atoms.copy()
    old, new = over.arrays, atoms.arrays
    if old.keys() != new.keys() or over.info.keys() != atoms.info.keys():
        return atoms.copy()
    for key, value in atoms.info.items():
        if not isinstance(value, str | float | int) or value != over.info[key]:
            return atoms.copy()
    for name, array in new.items():
        known = old[name]
        if known.shape != array.shape or known.dtype != array.dtype:
            return atoms.copy()
        known[...] = array
    over.cell.array[...] = atoms.cell.array
    over.pbc[...] = atoms.pbc
    return over


def _same(one: Array | None, two: Array | None) -> bool:
    if one is None or two is None or one is two:
        return one is two
    if one.nbytes <= _FEW_BYTES and one.dtype == two.dtype:  # a few copies take less time than numpy's comparison
        return one.shape == two.shape and one.tobytes() == two.tobytes()
    return one.shape == two.shape and bool((one == two).all())


def split_moments(moments: FloatArray, reference: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
    """Unit vectors (N, 3) (zero rows where there is no moment) and lengths (N,) of `moments`.

    With `reference` lengths (N,): moments over them, and them.
    """
    if reference is None:
        return directions(moments)
    lengths = reference
    return moments / np.where(lengths > 0.0, lengths, 1.0)[:, None], lengths


__all__ = ["MomentsOfAtoms", "SpinCalculator", "changes_between", "per_moment", "split_moments"]
