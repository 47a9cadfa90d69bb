"""S^ab(q, omega) with signed frequencies and off-diagonal parts, of runs and of linear spin waves alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from spinase.analysis.scattering import FormFactor, form_factors_of, quantum_correction, transverse_projection
from spinase.analysis.spectra import check_series, signed_frequencies, spectral_amplitudes
from spinase.brief import Brief
from spinase.errors import InvalidMomentsError, ModelError
from spinase.typing import ComplexArray, FloatArray


@dataclass(frozen=True, eq=False, repr=False)
class DynamicCorrelations(Brief):
    """S^ab(q, omega) = <M^a_q M^b_q*> at omega per site, Hermitian, with M_q = sum_i m_i exp(-i q.r_i).

    The sign of omega is that of waves exp(i (q.r - omega t)): positive frequencies run along q, and take energy of neutrons.

    Attributes
    ----------
    wavevectors : (m, 3)
        Cartesian, 1/length, with 2 pi.
    frequencies : (k,)
        Angular frequencies, ascending, equally spaced, 1/time.
    values : (m, k, 3, 3) complex
        Moment^2 (or 1, for unit spins) times time; summed over frequencies times their spacing over 2 pi it is
        <M^a M^b*>/N at equal times.
    """

    wavevectors: FloatArray
    frequencies: FloatArray
    values: ComplexArray

    @property
    def spacing(self) -> float:
        """Distance of neighbouring frequencies, 1/time."""
        return float(self.frequencies[1] - self.frequencies[0])

    def trace(self) -> FloatArray:
        """S^xx + S^yy + S^zz, (m, k)."""
        return np.asarray(np.einsum("mkaa->mk", self.values).real)

    def component(self, direction: ArrayLike) -> FloatArray:
        """e^+ S e (m, k) along a direction e, which may be complex: (e1 + i e2)/sqrt(2) for magnons of spins along e1 x e2.

        Parameters
        ----------
        direction : (3,)
            Normalized here.
        """
        vector = np.asarray(direction, dtype=np.complex128)
        if vector.shape != (3,) or not np.isfinite(vector).all() or not vector.any():
            raise InvalidMomentsError(f"a direction must be three finite numbers, not all zero, got {direction!r}")
        vector = vector / np.linalg.norm(vector)
        return np.asarray(np.einsum("a,mkab,b->mk", vector.conj(), self.values, vector).real)

    def neutron(self) -> FloatArray:
        """What neutrons see, sum_ab (delta_ab - q_a q_b/q^2) S^ab, (m, k); at q = 0 the mean over directions of q."""
        return np.asarray(np.einsum("mab,mkab->mk", transverse_projection(self.wavevectors), self.values).real)

    def quantum(self, kT: float, hbar: float) -> DynamicCorrelations:  # noqa: N803
        """Classical correlations of a run at kT (energy) times x/(1 - exp(-x)), x = hbar omega/kT.

        Parameters
        ----------
        kT : float
            Of the run, energy.
        hbar : float
            In the units of the run (``spinase.atoms.get_units(atoms).hbar``).
        """
        factor = quantum_correction(hbar * self.frequencies, kT)
        return replace(self, values=self.values * factor[:, None, None])

    def broadened(self, width: float) -> DynamicCorrelations:
        """The same seen with a Gaussian resolution of standard deviation `width`, 1/time.

        Parameters
        ----------
        width : float
            1/time.
        """
        if not (np.isfinite(width) and width > 0.0):
            raise ModelError(f"the width of a resolution must be a positive frequency, got {width}")
        steps = np.subtract.outer(self.frequencies, self.frequencies)
        kernel = np.exp(-0.5 * (steps / width) ** 2) * self.spacing / (width * np.sqrt(2.0 * np.pi))
        return replace(self, values=np.einsum("lk,mkab->mlab", kernel, self.values, optimize=True))


def dynamic_correlations(
    positions: ArrayLike,
    spins: ArrayLike,
    timestep: float,
    wavevectors: ArrayLike,
    *,
    symbols: Sequence[str] | None = None,
    form_factors: Mapping[str, FormFactor] | None = None,
) -> DynamicCorrelations:
    """S^ab(q, omega) of a run, with a Hann window; its diagonal is that of :func:`dynamic_structure_factor`.

    Parameters
    ----------
    positions : (N, 3) or (T, N, 3)
        Sites, length; one set for all times if they stay.
    spins : (T, N, 3)
        Moments (or unit spins) at equally spaced times.
    timestep : float
        Time between them.
    wavevectors : (m, 3)
        Cartesian q, 1/length.
    symbols : sequence of str, optional
        Chemical symbols of the sites, for the form factors.
    form_factors : mapping, optional
        F(|q|) by symbol (:func:`magnetic_form_factor`).

    Raises
    ------
    InvalidMomentsError
        On arrays of the wrong shape, or a time step that is not positive.
    ModelError
        If form factors and symbols do not go together.
    """
    series, places = np.asarray(spins, dtype=np.float64), np.asarray(positions, dtype=np.float64)
    waves = np.atleast_2d(np.asarray(wavevectors, dtype=np.float64))
    check_series(places, series, timestep, waves)
    if form_factors is not None and (symbols is None or len(symbols) != series.shape[1]):
        raise ModelError(f"form factors need the symbols of all {series.shape[1]} sites")
    factors = None if form_factors is None else form_factors_of(list(symbols or ()), waves, form_factors)
    values = np.empty((len(waves), len(series), 3, 3), dtype=np.complex128)
    for k, wave in enumerate(waves):
        seen = series if factors is None else series * factors[k][:, None]
        amplitudes = spectral_amplitudes(places, seen, timestep, wave)
        values[k] = np.einsum("ta,tb->tab", amplitudes, amplitudes.conj())
    return DynamicCorrelations(waves, signed_frequencies(len(series), timestep), values)


__all__ = ["DynamicCorrelations", "dynamic_correlations"]
