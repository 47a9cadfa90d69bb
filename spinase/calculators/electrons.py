"""What the electronic calculators share: an s-d model, a solver, and the way from its density to results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from ase import Atoms

from spinase.atoms import geometry_of
from spinase.brief import call
from spinase.calculators.base import SpinCalculator, per_moment
from spinase.electrons.hamiltonian import FrozenHamiltonian, Gradients
from spinase.electrons.model import SDModel
from spinase.electrons.operator import ElectronState
from spinase.electrons.solvers.base import Solver
from spinase.geometry import Bonds, Geometry
from spinase.typing import FloatArray


class SolvedElectrons:
    """Electrons at one set of spins, solved when first asked for, with the bond density only where it is of use."""

    def __init__(self, frozen: FrozenHamiltonian, spins: FloatArray, solver: Solver) -> None:
        self.frozen, self.spins, self.solver = frozen, spins, solver
        self._electrons: ElectronState | None = None
        self._has_bonds = False
        self._gradients: Gradients | None = None

    def electrons(self, bonds: bool) -> ElectronState:
        """Electrons, with the bond density if `bonds`."""
        if self._electrons is None or (bonds and not self._has_bonds):
            self._electrons, self._has_bonds = self.solver.solve(self.frozen.operator(self.spins), bonds), bonds
        return self._electrons

    def gradients(self) -> Gradients:
        """Fields, forces and virial."""
        if self._gradients is None:
            self._gradients = self.frozen.contract(self.electrons(bonds=True).density)
        return self._gradients


class ElectronCalculator(SpinCalculator[FrozenHamiltonian, SolvedElectrons]):
    """Energies, forces, stress and magnetic forces of an s-d model from any solver's density.

    Results beside the contract's (see :mod:`spinase.contract`): ``entropy`` (k_B), ``chemical_potential`` (energy),
    ``electron_density`` (N,) electrons per site, ``spin_density`` (N, 3) = Tr[sigma rho_ii].
    ``energy`` is the internal energy U = Tr[rho H], ``free_energy`` the one whose gradients are forces and fields and which
    is conserved: F = U - kT S at fixed filling, the grand potential Omega = U - kT S - mu N at fixed chemical potential.

    Parameters
    ----------
    model : SDModel
        Hopping, coupling, filling or chemical potential, kT.
    solver : Solver
        Fills the levels of the model's operator.
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

    def __init__(self, model: SDModel, solver: Solver, *, units: str | None = None) -> None:
        super().__init__()
        self._model = model
        self._electron_solver = solver
        self._forces_wanted = False
        self.units = units
        broken = set()
        if np.any(model.hamiltonian.zeeman):
            broken |= {"spin_rotation", "time_reversal", "joint_rotation"}
        if model.hamiltonian.flux:
            broken |= {"time_reversal", "translation"}  # moved sites see other fluxes through the loops around the torus
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
        """Bonds of the hopping."""
        return [self._model.hamiltonian.hopping.amplitudes(geometry_of(atoms))[0]]

    def freeze(self, geometry: Geometry) -> FrozenHamiltonian:
        """Bonds and hoppings."""
        return self._model.hamiltonian.freeze(geometry)

    def solve(self, frozen: FrozenHamiltonian, spins: FloatArray, lengths: FloatArray) -> SolvedElectrons:
        """Nothing yet: the electrons are solved when the first result tells whether bonds are needed."""
        return SolvedElectrons(frozen, spins, self._electron_solver)

    def derive(
        self, name: str, frozen: FrozenHamiltonian, state: SolvedElectrons, spins: FloatArray, lengths: FloatArray
    ) -> Any:
        """One result from the electrons' state.

        A caller who asks for energies, or has ever asked for forces, is likely to ask for forces next: the bond density
        is then made in the same go, so that no state is diagonalized twice.
        """
        if name in ("forces", "stress"):
            self._forces_wanted = True
            return self._lattice_result(name, frozen, state)
        likely = self._forces_wanted or name in ("energy", "free_energy")
        electrons = state.electrons(bonds=frozen.moves and likely)
        if name == "magnetic_forces":
            return per_moment(frozen.spin_gradient(electrons.density), lengths)
        return {
            "energy": electrons.energy,
            "free_energy": electrons.free_energy,
            "entropy": electrons.entropy,
            "chemical_potential": electrons.chemical_potential,
            "electron_density": electrons.density.charge,
            "spin_density": electrons.density.spin,
        }[name]

    def _lattice_result(self, name: str, frozen: FrozenHamiltonian, state: SolvedElectrons) -> FloatArray:
        if not frozen.moves:
            return np.zeros((len(frozen.onsite), 3)) if name == "forces" else frozen.stress(np.zeros((3, 3)))
        gradients = state.gradients()
        return gradients.forces if name == "forces" else frozen.stress(gradients.virial)


def is_site_resolved(model: SDModel) -> bool:
    """Whether a parameter is given site by site, so that sites cannot be exchanged or repeated."""
    return not isinstance(model.hamiltonian.onsite, float | int | Mapping)
