"""Exact diagonalization of an s-d model as an ASE calculator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from spinase.calculators.base import SpinCalculator, per_moment
from spinase.electrons.config import SDModelConfig
from spinase.electrons.hamiltonian import FrozenHamiltonian, Gradients
from spinase.electrons.model import SDModel
from spinase.electrons.observables import density_of_states
from spinase.electrons.operator import ElectronState
from spinase.electrons.solvers.dense import DenseSolver, Precision
from spinase.errors import ModelError
from spinase.geometry import Geometry

FloatArray = NDArray[np.float64]


class EDConfig(SDModelConfig):
    """Exact diagonalization of an s-d model."""

    kpts: tuple[int, int, int] = Field((1, 1, 1), description="k-point mesh along the cell vectors, Gamma included")
    dtype: Literal["complex128", "complex64"] = Field("complex128", description="precision of the diagonalization")


class _EDState:
    """Electrons at one set of spins, solved when first asked for, with the bond density only where it is of use."""

    def __init__(self, frozen: FrozenHamiltonian, spins: FloatArray, solver: DenseSolver) -> None:
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


class EDCalculator(SpinCalculator[FrozenHamiltonian, _EDState]):
    """Energies, forces, stress and magnetic forces of an s-d model by exact diagonalization.

    Results beside the contract's (see :mod:`spinase.contract`): ``entropy`` (k_B), ``chemical_potential`` (energy),
    ``electron_density`` (N,) electrons per site, ``spin_density`` (N, 3) = Tr[sigma rho_ii].
    ``energy`` is the internal energy, ``free_energy`` the one whose gradients are forces and fields
    (F at fixed filling, Omega at fixed chemical potential); energy - free_energy = kT entropy.

    Parameters
    ----------
    model : SDModel
        Hopping, coupling, filling or chemical potential, kT.
    kpts : (int, int, int)
        Mesh of k-points along the cell vectors (periodic directions only), Gamma included.
    dtype : str
        ``"complex128"`` or ``"complex64"`` (twice as fast, errors of about 1e-6).
    units : str, optional
        Unit system the model's energies are in; default: whatever the atoms are in.
    """

    citation = "N. Furukawa, in Physics of Manganites (Kluwer, 1999); s-d fields: arXiv:1303.1101, arXiv:2604.11513"
    Config = EDConfig
    implemented_properties = [
        *SpinCalculator.implemented_properties,
        "entropy",
        "chemical_potential",
        "electron_density",
        "spin_density",
    ]

    def __init__(
        self,
        model: SDModel,
        kpts: tuple[int, int, int] = (1, 1, 1),
        dtype: Precision = "complex128",
        *,
        units: str | None = None,
    ) -> None:
        super().__init__()
        self._model = model
        self._solver = DenseSolver(model.occupation, kpts, dtype)
        self._forces_wanted = False
        self.units = units
        broken = set()
        if np.any(model.hamiltonian.zeeman):
            broken |= {"spin_rotation", "time_reversal", "joint_rotation"}
        if model.hamiltonian.flux:
            broken |= {"time_reversal", "translation"}  # moved sites see other fluxes through the loops around the torus
        if _site_resolved(model):
            broken |= {"permutation"}
        self.symmetries = self.symmetries - broken

    @property
    def model(self) -> SDModel:
        """The s-d model (fixed: build another calculator for another model)."""
        return self._model

    @property
    def kpts(self) -> tuple[int, int, int]:
        """Mesh of k-points."""
        return self._solver.kpts

    @classmethod
    def from_config(cls, config: EDConfig) -> EDCalculator:
        """Calculator from the table of an input file."""
        table = config.model_dump(exclude={"kpts", "dtype"})
        return cls(SDModel.from_config(table), kpts=config.kpts, dtype=config.dtype)

    def freeze(self, geometry: Geometry) -> FrozenHamiltonian:
        """Bonds and hoppings."""
        sampled = [axis for axis in range(3) if self.kpts[axis] > 1 and not geometry.pbc[axis]]
        if sampled:
            raise ModelError(
                f"kpts = {self.kpts} samples direction {sampled[0]}, which is not periodic: use 1 there, or set pbc"
            )
        return self._model.hamiltonian.freeze(geometry)

    def solve(self, frozen: FrozenHamiltonian, spins: FloatArray, lengths: FloatArray) -> _EDState:
        """Nothing yet: the electrons are solved when the first result tells whether bonds are needed."""
        return _EDState(frozen, spins, self._solver)

    def derive(self, name: str, frozen: FrozenHamiltonian, state: _EDState, spins: FloatArray, lengths: FloatArray) -> Any:
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

    def _lattice_result(self, name: str, frozen: FrozenHamiltonian, state: _EDState) -> FloatArray:
        if not frozen.moves:
            return np.zeros((len(frozen.onsite), 3)) if name == "forces" else frozen.stress(np.zeros((3, 3)))
        gradients = state.gradients()
        return gradients.forces if name == "forces" else frozen.stress(gradients.virial)

    def density_of_states(self, atoms: Atoms, energies: ArrayLike, width: float) -> FloatArray:
        """Density of states at `energies` (m,), states per energy in the cell, Gaussian broadening `width` (energy)."""
        self.get_property("energy", atoms)
        assert self._state is not None
        electrons = self._state.electrons(bonds=False)
        return density_of_states(electrons.levels, electrons.weights, energies, width)

    def for_supercell(self, repeat: tuple[int, int, int]) -> EDCalculator | None:
        """The calculator of a repeated cell: the same k-points, folded; None if the mesh does not fold."""
        if any(k % n for k, n in zip(self.kpts, repeat, strict=True)) or _site_resolved(self._model):
            return None
        folded = (self.kpts[0] // repeat[0], self.kpts[1] // repeat[1], self.kpts[2] // repeat[2])
        model = self._model.with_flux(self._model.hamiltonian.flux * repeat[0] * repeat[1])
        return EDCalculator(model, folded, self._solver.dtype, units=self.units)


def _site_resolved(model: SDModel) -> bool:
    """Whether a parameter is given site by site, so that sites cannot be exchanged or repeated."""
    return not isinstance(model.hamiltonian.onsite, float | int | Mapping)


__all__ = ["EDCalculator", "EDConfig"]
