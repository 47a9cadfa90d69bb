"""One solution of the KPM solver with given bounds, order and columns.

Two estimators of the density from a set of columns R:

* gradient: rho is the exact derivative of the estimated grand potential sum_m c_m R+ T_m(h) R, so forces and fields are
  conservative whatever the columns and the order, and 2-3 times closer than the direct ones
  (K. Barros, Y. Kato, Phys. Rev. B 88, 235101 (2013), arXiv:1303.1101; Z. Wang et al., J. Chem. Phys. 148, 094107 (2018));
* direct: the matching entries of f(H) R R+.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

from spinase.compiled.threads import default_threads
from spinase.electrons.chebyshev.columns import Columns
from spinase.electrons.chebyshev.engine import ChebyshevEngine, NumbaEngine, RawDensity
from spinase.electrons.chebyshev.engine import Pattern as CompiledPattern
from spinase.electrons.chebyshev.engine_torch import TorchEngine
from spinase.electrons.chebyshev.series import Band, coefficients
from spinase.electrons.occupation import FixedChemicalPotential, FixedFilling, Occupation, fermi
from spinase.electrons.operator import Density, ElectronState, SpinOperator
from spinase.electrons.solvers.kpm_calibration import Calibration, potential_coefficients
from spinase.electrons.solvers.kpm_options import KPMOptions
from spinase.errors import ModelError
from spinase.typing import FloatArray

_REACH = 40.0  # kT around the band within which mu is searched


class ChebyshevExpansion:
    """Densities and energies of operators from Chebyshev moments.

    The hopping in compressed rows is kept for the operators that share it: only spins change from one to the next.

    Parameters
    ----------
    occupation : Occupation
    options : KPMOptions
    """

    def __init__(self, occupation: Occupation, options: KPMOptions) -> None:
        self.occupation, self.options = occupation, options
        self._compiled: CompiledPattern | None = None

    def solve(self, operator: SpinOperator, with_: Calibration, bonds: bool, seed: int) -> ElectronState:
        """Density on the operator's pattern, energies from the moments.

        Parameters
        ----------
        operator : SpinOperator
            On the pattern of the plan.
        with_ : Calibration
            Band, columns and order.
        bonds : bool
            Whether densities of bonds are asked for.
        seed : int
            Of the phases.

        Raises
        ------
        ModelError
            If the spectrum leaves the band, or the electrons are none or all.
        """
        engine = self.engine(operator, with_.band, with_.columns, seed)
        moments = engine.moments(with_.order // 2)
        self.check_moments(moments, with_.band)
        mu, target = self.chemical_potential(moments, with_, 2.0 * len(operator))
        band, kT = with_.band, self.occupation.kT
        raw = self._density(engine, mu, with_, bonds)
        energy = float(coefficients(lambda e: e * fermi(e, mu, kT), band, with_.order) @ moments)
        electrons = float(coefficients(lambda e: fermi(e, mu, kT), band, with_.order) @ moments)
        omega = float(self._potential(mu, with_) @ moments)
        return ElectronState(
            energy=energy,
            free_energy=omega + (0.0 if target is None else mu * target),
            entropy=(energy - mu * (electrons if target is None else target) - omega) / kT,
            chemical_potential=mu,
            electrons=electrons,
            density=Density(raw.sites[:, 0].copy(), raw.sites[:, 1:].copy(), raw.bonds, raw.bond_spins),
            levels=np.empty(0),
            weights=np.empty(0),
        )

    def _density(self, engine: ChebyshevEngine, mu: float, with_: Calibration, bonds: bool) -> RawDensity:
        if self.options.estimator == "gradient":
            return engine.gradient(self._potential(mu, with_), bonds).scaled(1.0 / with_.band.half)
        return engine.direct(coefficients(lambda e: fermi(e, mu, self.occupation.kT), with_.band, with_.order), bonds)

    def _potential(self, mu: float, with_: Calibration) -> FloatArray:
        return potential_coefficients(with_.band, mu, self.occupation.kT, with_.order)

    def chemical_potential(self, moments: FloatArray, with_: Calibration, states: float) -> tuple[float, float | None]:
        """mu, and the number of electrons if that is what is fixed; -d(Omega)/d(mu) = N holds exactly for these moments.

        Parameters
        ----------
        moments : (order + 1,) ndarray
            Traces of Chebyshev polynomials of the operator.
        with_ : Calibration
            Band and order.
        states : float
            Spin-orbitals altogether.

        Raises
        ------
        ModelError
            At a filling of 0 or 1, where mu is infinite.
        """
        if isinstance(self.occupation, FixedChemicalPotential):
            return self.occupation.chemical_potential, None
        assert isinstance(self.occupation, FixedFilling)
        target, kT = self.occupation.filling * states, self.occupation.kT
        if not 0.0 < target < states:
            raise ModelError(
                f"{target:g} electrons in {states:g} states at kT = {kT:g} put the chemical potential at infinity: "
                "use a filling strictly between 0 and 1, or set chemical_potential"
            )

        def excess(mu: float) -> float:
            """Electrons too many at mu."""
            return float(coefficients(lambda e: fermi(e, mu, kT), with_.band, with_.order) @ moments) - target

        low, high = with_.band.low - _REACH * kT, with_.band.high + _REACH * kT
        return float(brentq(excess, low, high, xtol=1e-13 * with_.band.half, rtol=1e-14)), target

    def check_moments(self, moments: FloatArray, band: Band) -> None:
        """Refuse moments of a spectrum that leaves the band (ModelError)."""
        if not np.isfinite(moments).all() or np.abs(moments).max() > 1.01 * moments[0] + 1e-6:
            raise ModelError(
                f"the spectrum leaves the bounds {band.low:.6g} .. {band.high:.6g} (a moment is "
                f"{np.abs(moments).max() / moments[0]:.3g} times the zeroth): give wider bounds, or none"
            )

    def engine(self, operator: SpinOperator, band: Band, columns: Columns, seed: int) -> ChebyshevEngine:
        """The recursions for one operator and one set of columns.

        Parameters
        ----------
        operator : SpinOperator
            On the pattern of the plan.
        band : Band
            Of its spectrum.
        columns : Columns
            Over which traces are taken.
        seed : int
            Of the phases.
        """
        if self.options.backend == "torch":
            return TorchEngine(operator, band, columns, seed, self.options.dtype, self.options.device)
        threads = self.options.threads or default_threads()
        known = self._compiled
        same = known is not None and known.hopping is operator.hopping and known.spin_hopping is operator.spin_hopping
        if known is None or not same or known.band is not band:
            self._compiled = known = CompiledPattern(operator, band, self.options.dtype, threads)
        return NumbaEngine(known, operator, columns, seed, threads)
