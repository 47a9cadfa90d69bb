"""Exact diagonalization of an s-d model as an ASE calculator."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike
from pydantic import Field

from spinase.atoms import geometry_of
from spinase.calculators.electrons import ClosedElectronCalculator, PlannedElectrons, is_site_resolved
from spinase.calculators.exchange import ExchangeTensors, coupled_pairs
from spinase.electrons.config import SDModelConfig
from spinase.electrons.hamiltonian import FrozenHamiltonian
from spinase.electrons.kmesh import KMesh
from spinase.electrons.model import SDModel
from spinase.electrons.observables import density_of_states
from spinase.electrons.orbitals import OrbitalModel
from spinase.electrons.response import dense_spin_response
from spinase.electrons.solvers.base import Plan
from spinase.electrons.solvers.dense import DenseSolver, Precision
from spinase.electrons.symmetry import lattice_operations
from spinase.errors import ModelError
from spinase.geometry import Geometry
from spinase.typing import FloatArray


class EDConfig(SDModelConfig):
    """Exact diagonalization of an s-d model."""

    kpts: tuple[int, int, int] = Field((1, 1, 1), description="k-point mesh along the cell vectors, Gamma included")
    kshift: tuple[float, float, float] = Field((0.0, 0.0, 0.0), description="shift of the mesh, in its steps")
    reduce: bool = Field(False, description="leave out k-points that the magnet's symmetry makes equal to others")
    dtype: Literal["complex128", "complex64"] = Field("complex128", description="precision of the diagonalization")


class EDCalculator(ClosedElectronCalculator):
    """Exact diagonalization: the reference of every other electronic calculator; results: :class:`ElectronCalculator`.

    Parameters
    ----------
    model : SDModel
        Hopping, coupling, filling or chemical potential, kT.
    kpts : (int, int, int) or KMesh
        Mesh of k-points along the cell vectors (periodic directions only), Gamma included; or any other mesh
        (:class:`~spinase.electrons.KMesh`: shifted, of Monkhorst and Pack, of a superlattice, a list).
    dtype : str
        ``"complex128"`` or ``"complex64"`` (twice as fast, errors of about 1e-6).
    reduce : bool
        Solve one of all k-points that are equal by operations of the lattice and turns of the spins: the same numbers to
        round-off, at the cost of looking for them (worth it for small cells with symmetric spins; random spins have none).
    units : str, optional
        Unit system the model's energies are in; default: whatever the atoms are in.

    Raises
    ------
    ModelError
        With `reduce` for a table of hopping between orbitals; on a wrong mesh or dtype.
    """

    citation = (
        "N. Furukawa, in Physics of Manganites (Kluwer, 1999); "
        "s-d fields: K. Barros, Y. Kato, Phys. Rev. B 88, 235101 (2013), doi:10.1103/PhysRevB.88.235101, "
        "arXiv:1303.1101; G.-W. Chern, Y. Fan, S. Zhang, P. Zhang, arXiv:2604.11513"
    )
    Config = EDConfig

    def __init__(
        self,
        model: SDModel,
        kpts: tuple[int, int, int] | KMesh = (1, 1, 1),
        dtype: Precision = "complex128",
        *,
        reduce: bool = False,
        units: str | None = None,
    ) -> None:
        if reduce and isinstance(model, OrbitalModel):
            raise ModelError(
                "reduce=True finds operations that bring sites of one orbital to each other, and those of a lattice mix the "
                "orbitals of a table: leave it out (k and -k are solved once in any case where they are conjugate)"
            )
        self._dense = DenseSolver(model.occupation, kpts, dtype)
        super().__init__(model, self._dense, units=units)
        self._reduce = bool(reduce)

    @property
    def field_resolution(self) -> float:
        """Relative round-off of the fields (``contract.field_resolution``); zero in double precision."""
        return 0.0 if self._dense.dtype == "complex128" else float(np.finfo(self._dense.dtype).eps)

    @property
    def mesh(self) -> KMesh:
        """The k-points, before those that symmetry makes equal are left out."""
        return self._dense.mesh

    @property
    def kpts(self) -> tuple[int, int, int] | None:
        """Size of a regular mesh of k-points; None of others."""
        return self._dense.mesh.size

    @classmethod
    def from_config(cls, config: EDConfig) -> EDCalculator:
        """Calculator from the table of an input file."""
        table = config.model_dump(exclude={"kpts", "kshift", "dtype", "reduce"})
        mesh = KMesh.regular(config.kpts, config.kshift)
        return cls(SDModel.from_config(table), kpts=mesh, dtype=config.dtype, reduce=config.reduce)

    def freeze(self, geometry: Geometry) -> PlannedElectrons:
        """Bonds and hoppings, and the plan for them."""
        self.mesh.require_periodic(geometry.pbc)
        return super().freeze(geometry)

    def _plan_for(self, geometry: Geometry, hamiltonian: FrozenHamiltonian) -> Plan[Any]:
        """Bonds as they are; with `reduce` also the operations of the lattice."""
        plan = super()._plan_for(geometry, hamiltonian)
        if not self._reduce:
            return plan
        return self._dense.plan(plan.pattern).with_operations(lattice_operations(geometry, hamiltonian.bonds))

    def sampled_points(self, atoms: Atoms) -> KMesh:
        """The k-points that are solved for these atoms, with weights: one of all that are equal by symmetry.

        Parameters
        ----------
        atoms : Atoms
            With moments.
        """
        self.get_property("chemical_potential", atoms)
        assert self._state is not None
        plan = self._dense.plan(self._state.plan.pattern)
        if self._reduce:
            plan = plan.with_operations(lattice_operations(geometry_of(atoms), self._state.hamiltonian.bonds))
        return plan.sampled(self._state.hamiltonian.operator(self._state.spins))[0]

    def with_mesh(self, mesh: KMesh) -> EDCalculator:
        """The same calculator on another mesh.

        Parameters
        ----------
        mesh : KMesh
        """
        return EDCalculator(self._model, mesh, self._dense.dtype, reduce=self._reduce, units=self.units)

    def density_of_states(self, atoms: Atoms, energies: ArrayLike, width: float) -> FloatArray:
        """Density of states at `energies` (m,), states per energy in the cell, Gaussian broadening `width` (energy).

        Parameters
        ----------
        atoms : Atoms
            Periodic directions are sampled as the calculator's ``kpts`` say.
        energies : (m,) array_like
            Where, energy, on the scale of the levels (not of the chemical potential).
        width : float
            Standard deviation of the Gaussians, energy.
        """
        self.get_property("energy", atoms)
        assert self._state is not None
        electrons = self._state.electrons(bonds=False)
        return density_of_states(electrons.levels, electrons.weights, energies, width)

    def exchange_tensors(self, atoms: Atoms, shells: int = 3, cutoff: float | None = None) -> ExchangeTensors:
        """Exchange between pairs of sites in the present texture, from all eigenstates.

        Parameters
        ----------
        atoms : Atoms
            The magnet; with k-points it is the cell repeated ``kpts`` times.
        shells : int
            Neighbour shells of the magnetic sites; not used with a cutoff.
        cutoff : float, optional
            All pairs up to this distance instead, length.

        Raises
        ------
        ModelError
            At kT = 0 without a gap, or for atoms without moments.
        InvalidGeometryError
            If the shells reach beyond the nearest images of sites.
        """
        self.get_property("chemical_potential", atoms)
        assert self._state is not None
        if self.kpts is None or any(self.mesh.shift):
            raise ModelError(
                f"exchange between the sites of a repeated cell needs a regular mesh with Gamma, got {self.mesh}: "
                "give kpts as three numbers"
            )
        hamiltonian = self._state.hamiltonian
        pairs, site_of = coupled_pairs(atoms, shells, cutoff, self.kpts), hamiltonian.site_of()
        operator = hamiltonian.operator(self._state.spins)
        response = dense_spin_response(operator, self._model.occupation, self.mesh, pairs.with_sites(site_of)[0])
        return ExchangeTensors.of(atoms, pairs, hamiltonian.coupling, site_of, response)

    def for_supercell(self, repeat: tuple[int, int, int]) -> EDCalculator | None:
        """The calculator of a repeated cell: the same k-points, folded; None if the mesh does not fold."""
        size = self.kpts
        if size is None or any(k % n for k, n in zip(size, repeat, strict=True)) or is_site_resolved(self._model):
            return None
        folded = KMesh.regular((size[0] // repeat[0], size[1] // repeat[1], size[2] // repeat[2]), self.mesh.shift)
        model = self._model.with_flux(self._model.hamiltonian.flux * repeat[0] * repeat[1])
        return EDCalculator(model, folded, self._dense.dtype, reduce=self._reduce, units=self.units)


__all__ = ["EDCalculator", "EDConfig"]
