"""What the electronic calculators share: an s-d model, a solver, and the way from its density to results."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from ase import Atoms

from spinase.atoms import geometry_of
from spinase.brief import call
from spinase.calculators.base import SpinCalculator, per_moment
from spinase.electrons.hamiltonian import FrozenHamiltonian, Gradients
from spinase.electrons.model import SDModel
from spinase.electrons.occupation import Occupation
from spinase.electrons.operator import ElectronState
from spinase.electrons.orbitals import OrbitalModel
from spinase.electrons.solvers.base import Plan, Solver
from spinase.errors import ModelError
from spinase.geometry import Bonds, Geometry
from spinase.typing import FloatArray


@dataclass(frozen=True, eq=False)
class PlannedElectrons:
    """Everything that depends on the geometry only.

    Attributes
    ----------
    hamiltonian : FrozenHamiltonian
        Bonds and hoppings.
    plan : Plan
        Of the solver, for the operators of `hamiltonian`.
    """

    hamiltonian: FrozenHamiltonian
    plan: Plan[Any]


class SolvedElectrons:
    """Electrons at one set of spins, solved when first asked for, with the bond density only where it is of use."""

    def __init__(self, hamiltonian: FrozenHamiltonian, spins: FloatArray, plan: Plan[Any]) -> None:
        self.hamiltonian, self.spins, self.plan = hamiltonian, spins, plan
        self._electrons: ElectronState | None = None
        self._has_bonds = False
        self._gradients: Gradients | None = None

    def electrons(self, bonds: bool) -> ElectronState:
        """Electrons, with the bond density if `bonds`."""
        if self._electrons is None or (bonds and not self._has_bonds):
            self._electrons, self._has_bonds = self.plan.solve(self.hamiltonian.operator(self.spins), bonds), bonds
        return self._electrons

    def gradients(self) -> Gradients:
        """Fields, forces and virial."""
        if self._gradients is None:
            self._gradients = self.hamiltonian.contract(self.electrons(bonds=True).density)
        return self._gradients


class ElectronCalculator(SpinCalculator[PlannedElectrons, SolvedElectrons]):
    """Energies, forces, stress and magnetic forces of an s-d model from any solver's density.

    Results beside the contract's (see :mod:`spinase.contract`): ``entropy`` (k_B), ``chemical_potential`` (energy),
    ``electron_density`` (N,) electrons per site, ``spin_density`` (N, 3) = Tr[sigma rho_ii].
    ``energy`` is the internal energy U = Tr[rho H], ``free_energy`` the one whose gradients are forces and fields and which
    is conserved: F = U - kT S at fixed filling, the grand potential Omega = U - kT S - mu N at fixed chemical potential.

    Parameters
    ----------
    model : SDModel
        Hopping, coupling, filling or chemical potential, kT.
    units : str, optional
        Unit system the model's energies are in; default: whatever the atoms are in.
    """

    implemented_properties = [
        *SpinCalculator.implemented_properties,
        "entropy",
        "chemical_potential",
        "electron_density",
        "spin_density",
    ]

    not_local: ClassVar[str] = (
        "electrons belong to the whole magnet, as their levels and density spread over all of it; label configurations with "
        "it, and divide a learned model of it (style 'hipnn')"
    )

    def __init__(self, model: SDModel, *, units: str | None = None) -> None:
        super().__init__()
        self._model = model
        self._plan: Plan[Any] | None = None  # of the last geometry
        self._forces_wanted = False
        self.units = units
        broken = model.hamiltonian.broken_symmetries()
        if is_site_resolved(model):
            broken |= {"permutation"}
        self.symmetries = self.symmetries - broken

    def __repr__(self) -> str:
        return call(type(self).__name__, self._model, units=self.units)

    @property
    def model(self) -> SDModel:
        """The s-d model (fixed: build another calculator for another model)."""
        return self._model

    def joined_pairs(self, atoms: Atoms) -> list[Bonds]:
        """Bonds of the hopping, and of what turns spins."""
        hamiltonian, geometry = self._model.hamiltonian, geometry_of(atoms)
        return [hamiltonian.hopping.amplitudes(geometry)[0], *(law.on(geometry).bonds for law in hamiltonian.spin_orbit)]

    @abstractmethod
    def _plan_for(self, geometry: Geometry, hamiltonian: FrozenHamiltonian) -> Plan[Any]:
        """The plan for a geometry: that of the last one where it fits, what can follow it, or a new one."""

    def freeze(self, geometry: Geometry) -> PlannedElectrons:
        """Bonds and hoppings, and the plan for them."""
        hamiltonian = self._model.hamiltonian.freeze(geometry)
        self._plan = self._plan_for(geometry, hamiltonian)
        return PlannedElectrons(hamiltonian, self._plan)

    def solve(self, frozen: PlannedElectrons, spins: FloatArray, lengths: FloatArray) -> SolvedElectrons:
        """Nothing yet: the electrons are solved when the first result tells whether bonds are needed."""
        return SolvedElectrons(frozen.hamiltonian, spins, frozen.plan)

    def derive(
        self, name: str, frozen: PlannedElectrons, state: SolvedElectrons, spins: FloatArray, lengths: FloatArray
    ) -> Any:
        """One result from the electrons' state.

        A caller who asks for energies, or has ever asked for forces, is likely to ask for forces next: the bond density
        is then made in the same go, so that no state is diagonalized twice.
        """
        if name in ("forces", "stress"):
            self._forces_wanted = True
            return self._lattice_result(name, frozen.hamiltonian, state)
        likely = self._forces_wanted or name in ("energy", "free_energy")
        electrons = state.electrons(bonds=frozen.hamiltonian.moves and likely)
        if name == "magnetic_forces":
            return per_moment(frozen.hamiltonian.spin_gradient(electrons.density), lengths)
        return {
            "energy": electrons.energy,
            "free_energy": electrons.free_energy,
            "entropy": electrons.entropy,
            "chemical_potential": electrons.chemical_potential,
            "electron_density": frozen.hamiltonian.gather(electrons.density.charge),
            "spin_density": frozen.hamiltonian.gather(electrons.density.spin),
        }[name]

    def _lattice_result(self, name: str, hamiltonian: FrozenHamiltonian, state: SolvedElectrons) -> FloatArray:
        if not hamiltonian.moves:
            none = np.zeros((len(hamiltonian.onsite), 3))
            return hamiltonian.gather(none) if name == "forces" else hamiltonian.stress(np.zeros((3, 3)))
        gradients = state.gradients()
        return gradients.forces if name == "forces" else hamiltonian.stress(gradients.virial)

    def step_state(self) -> Any:
        """What a step may change: the plan, and what it has found."""
        return self._plan, None if self._plan is None else self._plan.step_state()

    def restore_step(self, state: Any) -> None:
        """Take back what :meth:`step_state` gave."""
        self._plan, found = state
        if self._plan is not None:
            self._plan.restore_step(found)

    def checkpoint_state(self) -> dict[str, Any]:
        """What the plan has found: a restart then takes the same steps, to the last bit."""
        state = None if self._plan is None else self._plan.checkpoint_state()
        return {} if state is None else {"plan": state}


class ClosedElectronCalculator(ElectronCalculator):
    """Electrons of a magnet without leads: one solver for all geometries.

    Parameters
    ----------
    model : SDModel
    solver : Solver
        With the model's occupation.
    units : str, optional
    """

    def __init__(self, model: SDModel, solver: Solver[Any], *, units: str | None = None) -> None:
        super().__init__(model, units=units)
        self._solver = solver

    def _plan_for(self, geometry: Geometry, hamiltonian: FrozenHamiltonian) -> Plan[Any]:
        """The last plan, where it fits; else one that follows it, and takes over what still holds."""
        before, pattern = self._plan, hamiltonian.pattern
        if before is None:
            return self._solver.plan(pattern)
        return before if before.pattern.equals(pattern) else before.follow(pattern)

    @abstractmethod
    def for_supercell(self, repeat: tuple[int, int, int]) -> ElectronCalculator | None:
        """The calculator of a repeated cell; None without k-points, where a larger cell has other levels."""

    def restore_state(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`checkpoint_state` gave."""
        self._plan = self._solver.restore_plan(state["plan"]) if "plan" in state else None


@final
class SolverCalculator(ClosedElectronCalculator):
    """An s-d model with any solver, such as one of your own.

    Parameters
    ----------
    model : SDModel
        Hopping, coupling, filling or chemical potential, kT.
    solver : callable
        A class of :class:`~spinase.electrons.solvers.base.Solver`, or a function, that makes the solver for the model's
        occupation: ``SolverCalculator(model, MySolver)``.
    units : str, optional
        Unit system the model's energies are in; default: whatever the atoms are in.

    Raises
    ------
    ModelError
        If `solver` makes something else.
    """

    def __init__(self, model: SDModel, solver: Callable[[Occupation], Solver[Any]], *, units: str | None = None) -> None:
        made = solver(model.occupation)
        if not isinstance(made, Solver):
            raise ModelError(
                f"solver must make a spinase.electrons.solvers.base.Solver from an occupation, such as a class of solvers; "
                f"{solver!r} made {made!r}"
            )
        super().__init__(model, made, units=units)

    def for_supercell(self, repeat: tuple[int, int, int]) -> None:
        """None: a solver that knows no k-points has other levels in a larger cell."""
        return


def is_site_resolved(model: SDModel) -> bool:
    """Whether a parameter is given site by site, so that sites cannot be exchanged or repeated."""
    return isinstance(model, OrbitalModel) or not isinstance(model.hamiltonian.onsite, float | int | Mapping)
