"""Rational expansion with selected inversion of an s-d model as an ASE calculator."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
from ase import Atoms
from pydantic import Field

from spinase.atoms import geometry_of, get_spins
from spinase.calculators.electrons import ElectronCalculator
from spinase.electrons.config import SDModelConfig
from spinase.electrons.hamiltonian import FrozenHamiltonian
from spinase.electrons.model import SDModel
from spinase.electrons.solvers.rational import CostEstimate, Precision, RationalSolver
from spinase.errors import CostWarning
from spinase.geometry import Geometry

_MATTERS = 1e9  # multiplications below which nobody cares which solver is cheaper


class RationalConfig(SDModelConfig):
    """Rational expansion with selected inversion."""

    tolerance: float = Field(1e-6, gt=0, description="largest error of an occupation number [1]")
    dtype: Literal["complex128", "complex64"] = Field("complex128", description="precision of the selected inversion")


class RationalCalculator(ElectronCalculator):
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
        self._solver = RationalSolver(model.occupation, tolerance, dtype)
        super().__init__(model, self._solver, units=units)
        self._warned = False

    @classmethod
    def from_config(cls, config: RationalConfig) -> RationalCalculator:
        """Calculator from the table of an input file."""
        table = config.model_dump(exclude={"tolerance", "dtype"})
        return cls(SDModel.from_config(table), config.tolerance, config.dtype)

    @property
    def tolerance(self) -> float:
        """Largest error of an occupation number."""
        return self._solver.tolerance

    def freeze(self, geometry: Geometry) -> FrozenHamiltonian:
        """Bonds, hoppings, and the order of elimination.

        Warns
        -----
        CostWarning
            Once, if exact diagonalization is cheaper on this graph.
        """
        frozen = super().freeze(geometry)
        if not self._warned:
            estimate = self._solver.estimate(frozen.operator(np.zeros((len(geometry), 3))))
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
        frozen = self._model.hamiltonian.freeze(geometry_of(atoms))
        return self._solver.estimate(frozen.operator(get_spins(atoms)))

    def for_supercell(self, repeat: tuple[int, int, int]) -> RationalCalculator | None:
        """None: without k-points a larger cell has other levels."""
        return None

    def step_state(self) -> Any:
        """What a step may change in the solver."""
        return self._solver.step_state()

    def restore_step(self, state: Any) -> None:
        """Take back what :meth:`step_state` gave."""
        self._solver.restore_step(state)

    def checkpoint_state(self) -> dict[str, Any]:
        """What the solver remembers: a restart then takes the same steps, to the last bit."""
        return self._solver.checkpoint_state()

    def restore_state(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`checkpoint_state` gave."""
        self._solver.restore_state(state)


__all__ = ["RationalCalculator", "RationalConfig"]
