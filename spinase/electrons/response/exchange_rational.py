"""Exchange from the Green functions of a rational expansion: one elimination per pole delivers all wanted pairs."""

from __future__ import annotations

from typing import final

import numpy as np

from spinase.electrons.occupation import FixedChemicalPotential
from spinase.electrons.operator import SpinOperator
from spinase.electrons.response.exchange import NumberResponse, SitePairs, SpinResponse, pauli_components
from spinase.electrons.solvers.rational import RationalPlan, pole_density
from spinase.electrons.sparse.fermi_poles import FermiPoles
from spinase.electrons.sparse.pair_inversion import PairInversion
from spinase.errors import ModelError
from spinase.typing import ComplexArray, ComplexBlocks, IntArray


@final
class RationalSpinResponse:
    """Second derivatives between wanted pairs, for operators of one plan; images of a site are one with it (Gamma point).

    Parameters
    ----------
    plan : RationalPlan
        With its order of elimination, occupation and tolerance.
    pairs : SitePairs
        Wanted pairs.

    Raises
    ------
    ModelError
        If a site of a pair does not exist.
    """

    def __init__(self, plan: RationalPlan, pairs: SitePairs) -> None:
        sites = plan.pattern.sites
        for site in np.concatenate([pairs.first, pairs.second]):
            if not 0 <= site < sites:
                raise ModelError(f"a pair has site {site}, there are sites 0 to {sites - 1}")
        self.plan, self.pairs = plan, pairs
        self._inversion = PairInversion(plan.inversion, pairs.first, pairs.second)

    def at(self, operator: SpinOperator, chemical_potential: float) -> SpinResponse:
        """The response of `operator` at its chemical potential (energy), as the plan's solution has found it.

        It is the second derivative of the free energy that the plan gives, whatever the tolerance; of the exact one the
        error is about tolerance/kT.

        Parameters
        ----------
        operator : SpinOperator
            H on the plan's pattern.
        chemical_potential : float
            mu, energy.

        Raises
        ------
        PatternError
            For an operator with other sites or bonds.
        """
        plan = self.plan
        plan.pattern.require(operator)
        kT = plan.occupation.kT
        poles = plan.poles(operator, chemical_potential)
        places = (chemical_potential + 1j * kT * poles.heights).astype(plan.dtype)

        def products(which: IntArray, there: ComplexBlocks, back: ComplexBlocks) -> ComplexArray:
            """Weighted products of the Pauli components of G_ij and G_ji, (P, 4, 4)."""
            x, y = pauli_components(there), pauli_components(back)
            return np.einsum("k,kpm,kpn->pmn", kT * poles.weights[which], x, y, optimize=True).astype(np.complex128)

        found = np.asarray(self._inversion.fold(operator, places, products), dtype=np.complex128)
        fixed = isinstance(plan.occupation, FixedChemicalPotential)
        return SpinResponse(self.pairs, found, None if fixed else self._number(operator, places, poles))

    def _number(self, operator: SpinOperator, places: ComplexBlocks, poles: FermiPoles) -> NumberResponse:
        """Central differences in mu of the spin density: dN/db = -d(dOmega/db)/dmu = -d<sigma>/dmu."""
        kT = self.plan.occupation.kT
        step = kT * float(np.finfo(places.dtype).eps) ** 0.25
        above, below = (self._spin_density(operator, places + shift, poles) for shift in (step, -step))
        slopes = (above - below) / (2.0 * step)
        return NumberResponse(-slopes[:, 1:], float(slopes[:, 0].sum()))

    def _spin_density(self, operator: SpinOperator, places: ComplexBlocks, poles: FermiPoles) -> ComplexArray:
        inverse = self.plan.inversion.solve(operator, places.astype(self.plan.dtype), bonds=False)
        density = pole_density(poles, self.plan.occupation.kT, inverse, operator.bonds.select(np.zeros(0, dtype=np.int64)))
        return np.column_stack([density.charge, density.spin])


__all__ = ["RationalSpinResponse"]
