"""Rational expansion with selected inversion of an s-d model as an ASE calculator."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from ase import Atoms
from pydantic import Field

from spinase.atoms import geometry_of, get_spins, magnetic_sites
from spinase.calculators.electrons import ClosedElectronCalculator, PlannedElectrons
from spinase.calculators.exchange import CoupledPairs, ExchangeTensors, coupled_pairs
from spinase.electrons.config import SDModelConfig
from spinase.electrons.model import SDModel
from spinase.electrons.response import RationalSpinResponse
from spinase.electrons.solvers.rational import CostEstimate, Precision, RationalPlan, RationalSolver
from spinase.errors import CostWarning
from spinase.geometry import Geometry
from spinase.typing import BoolArray

_MATTERS = 1e9  # multiplications below which nobody cares which solver is cheaper


class RationalConfig(SDModelConfig):
    """Rational expansion with selected inversion."""

    tolerance: float = Field(1e-6, gt=0, description="largest error of an occupation number [1]")
    dtype: Literal["complex128", "complex64"] = Field("complex128", description="precision of the selected inversion")


@dataclass(frozen=True, eq=False)
class _Asked:
    """Pairs whose exchange was asked for last, and what they were found for."""

    frozen: PlannedElectrons
    shells: int
    cutoff: float | None
    magnetic: BoolArray
    pairs: CoupledPairs
    response: RationalSpinResponse

    def holds(self, frozen: PlannedElectrons, shells: int, cutoff: float | None, magnetic: BoolArray) -> bool:
        """Whether it was for these."""
        same = frozen is self.frozen and (shells, cutoff) == (self.shells, self.cutoff)
        return same and np.array_equal(magnetic, self.magnetic)


class RationalCalculator(ClosedElectronCalculator):
    """Rational expansion + selected inversion: exact to `tolerance`, cost N^1.5 in the plane; kT > 0, Gamma point only.

    Results: see :class:`~spinase.calculators.electrons.ElectronCalculator`.  Forces and fields are exact derivatives of the
    reported free energy at fixed chemical potential, and within `tolerance` at fixed filling.

    Parameters
    ----------
    model : SDModel
        Hopping, coupling, filling or chemical potential, kT > 0.
    tolerance : float
        Largest error of an occupation number; fields are within about coupling * tolerance.
    dtype : str
        ``"complex128"``, or ``"complex64"`` (1.8 times as fast, errors of about 1e-6).
    units : str, optional
        Unit system the model's energies are in; default: whatever the atoms are in.

    Raises
    ------
    ModelError
        At kT = 0 or for a tolerance out of range.
    ConvergenceError
        When solving, if the tolerance cannot be met at this temperature.
    """

    citation = "L. Lin et al., ACM Trans. Math. Softw. 37, 40 (2011), doi:10.1145/1916461.1916464"
    Config = RationalConfig

    def __init__(
        self, model: SDModel, tolerance: float = 1e-6, dtype: Precision = "complex128", *, units: str | None = None
    ) -> None:
        self._rational = RationalSolver(model.occupation, tolerance, dtype)
        super().__init__(model, self._rational, units=units)
        self._warned = False
        self._asked: _Asked | None = None

    @classmethod
    def from_config(cls, config: RationalConfig) -> RationalCalculator:
        """Calculator from the table of an input file."""
        table = config.model_dump(exclude={"tolerance", "dtype"})
        return cls(SDModel.from_config(table), config.tolerance, config.dtype)

    @property
    def field_resolution(self) -> float:
        """Relative round-off of the fields (``contract.field_resolution``); zero in double precision."""
        return 0.0 if self._rational.dtype == "complex128" else float(np.finfo(self._rational.dtype).eps)

    @property
    def tolerance(self) -> float:
        """Largest error of an occupation number."""
        return self._rational.tolerance

    def freeze(self, geometry: Geometry) -> PlannedElectrons:
        """Bonds, hoppings, and the order of elimination.

        Warns
        -----
        CostWarning
            Once, if exact diagonalization is cheaper on this graph.
        """
        frozen = super().freeze(geometry)
        if not self._warned:
            assert isinstance(frozen.plan, RationalPlan)
            estimate = frozen.plan.estimate(frozen.hamiltonian.operator(np.zeros((len(geometry), 3))))
            if estimate.speedup < 1.0 and estimate.dense_multiplications > _MATTERS:
                self._warned = True
                warnings.warn(
                    f"the graph is too wide to take apart (fronts of {estimate.widest} of {len(geometry)} sites): exact "
                    f"diagonalization (style 'ed') is about {1.0 / estimate.speedup:.1f} times cheaper here; "
                    "for large wide graphs use 'kpm'",
                    CostWarning,
                    stacklevel=2,
                )
        return frozen

    def estimate(self, atoms: Atoms) -> CostEstimate:
        """Cost of one solution for `atoms`, without solving."""
        geometry = geometry_of(atoms)
        hamiltonian = self._model.hamiltonian.freeze(geometry)
        plan = self._plan_for(geometry, hamiltonian)
        assert isinstance(plan, RationalPlan)
        return plan.estimate(hamiltonian.operator(get_spins(atoms)))

    def exchange_tensors(self, atoms: Atoms, shells: int = 3, cutoff: float | None = None) -> ExchangeTensors:
        """Exchange between pairs of sites in the present texture, from Green functions at the poles.

        They are second derivatives of the free energy this calculator gives; of the exact one within about
        coupling^2 tolerance/kT.

        Parameters
        ----------
        atoms : Atoms
            The magnet.
        shells : int
            Neighbour shells of the magnetic sites; not used with a cutoff.
        cutoff : float, optional
            All pairs up to this distance instead, length.

        Raises
        ------
        ModelError
            For atoms without moments.
        InvalidGeometryError
            If the shells reach beyond the nearest images of sites.
        """
        chemical_potential = self.get_property("chemical_potential", atoms)
        assert self._state is not None
        hamiltonian = self._state.hamiltonian
        pairs, response = self._pairs_of(atoms, shells, cutoff)
        found = response.at(hamiltonian.operator(self._state.spins), chemical_potential)
        return ExchangeTensors.of(atoms, pairs, hamiltonian.coupling, hamiltonian.site_of(), found)

    def _pairs_of(self, atoms: Atoms, shells: int, cutoff: float | None) -> tuple[CoupledPairs, RationalSpinResponse]:
        """The pairs, and the way to them; those of the last time while geometry, moments and question are the same."""
        assert self._frozen is not None
        last, sites = self._asked, magnetic_sites(atoms)
        if last is None or not last.holds(self._frozen, shells, cutoff, sites):
            assert isinstance(self._frozen.plan, RationalPlan)
            pairs = coupled_pairs(atoms, shells, cutoff, (1, 1, 1))
            site_of = self._frozen.hamiltonian.site_of()
            response = RationalSpinResponse(self._frozen.plan, pairs.with_sites(site_of)[0])
            last = self._asked = _Asked(self._frozen, shells, cutoff, sites, pairs, response)
        return last.pairs, last.response

    def __getstate__(self) -> dict[str, Any]:
        """Pickled and copied without what is found again."""
        return {**super().__getstate__(), "_asked": None}

    def for_supercell(self, repeat: tuple[int, int, int]) -> RationalCalculator | None:
        """None: without k-points a larger cell has other levels."""
        return None


__all__ = ["RationalCalculator", "RationalConfig"]
