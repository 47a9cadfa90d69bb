r"""S^ab(q, omega) of linear spin waves: what neutrons see of magnons, in crystals and powders.

A magnon of frequency omega at k gives the moments per site the amplitude

.. math:: F = \frac{1}{\sqrt n}\sum_i F_i(q)\, \mu_i \sqrt{\frac{\hbar}{2 L_i}}
          \,[a_i (e_1 + i e_2) + a'_i (e_1 - i e_2)]

(the phases of the positions are in a, see :class:`MagnonBands`) and S^ab = F^a F^b* (n_B + 1) at omega, and n_B at minus the
frequencies of the magnons of -k.  Spins of a spiral turn: magnons at q - Q, q and q + Q of the turning frame are seen at q.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.dft.kpoints import BandPath
from numpy.typing import ArrayLike
from scipy.integrate import lebedev_rule

from spinase.analysis.dynamic_correlations import DynamicCorrelations
from spinase.analysis.scattering import Bose, FormFactor, Population, form_factors_of, transverse_projection
from spinase.brief import Brief
from spinase.errors import ModelError
from spinase.spinwaves.bands import magnon_bands, wavevectors_of
from spinase.spinwaves.hessian import BlochHessian, as_wavevectors
from spinase.typing import ComplexArray, FloatArray

_ELASTIC = 1e-6  # of the highest frequency: magnons without energy belong to the elastic line
Resolution = float | Callable[[FloatArray], FloatArray]
"""Standard deviation of a Gaussian, 1/time: a number, or a function of signed frequencies."""


@dataclass(frozen=True, eq=False, repr=False)
class MagnonIntensities(Brief):
    """Lines of S^ab(q, omega).

    Attributes
    ----------
    wavevectors : (m, 3)
        Cartesian, 1/length, with 2 pi.
    frequencies : (m, k)
        Signed, 1/time: magnons of q at positive frequencies, those of -q at negative ones; k = 2n, of a spiral 6n.
    correlations : (m, k, 3, 3) complex
        Weight of each line per site, moment^2, Hermitian; nan where the state is unstable.
    """

    wavevectors: FloatArray
    frequencies: FloatArray
    correlations: ComplexArray

    def trace(self) -> FloatArray:
        """Weights of the lines summed over components, (m, k)."""
        return np.asarray(np.einsum("mkaa->mk", self.correlations).real)

    def neutron(self) -> FloatArray:
        """Weights with the polarization factor, sum_ab (delta_ab - q_a q_b/q^2) S^ab, (m, k)."""
        return np.asarray(np.einsum("mab,mkab->mk", transverse_projection(self.wavevectors), self.correlations).real)

    def spectrum(self, frequencies: ArrayLike, width: Resolution) -> DynamicCorrelations:
        """Lines as Gaussians on a grid of frequencies, normalized as those of runs.

        Parameters
        ----------
        frequencies : (j,)
            Ascending and equally spaced, 1/time.
        width : float or callable
            Standard deviation, 1/time: a number or a function of the lines' signed frequencies.
        """
        grid = np.asarray(frequencies, dtype=np.float64)
        if grid.ndim != 1 or len(grid) < 2 or not np.allclose(np.diff(grid), grid[1] - grid[0], atol=1e-9 * np.ptp(grid)):
            raise ModelError("a spectrum needs at least two equally spaced frequencies")
        values = np.empty((len(self.wavevectors), len(grid), 3, 3), dtype=np.complex128)
        for k, places in enumerate(self.frequencies):
            values[k] = 2.0 * np.pi * np.einsum("wk,kab->wab", _lines(grid, places, width), self.correlations[k])
        return DynamicCorrelations(self.wavevectors, grid, values)


def magnon_intensities(
    hessian: BlochHessian,
    wavevectors: BandPath | ArrayLike,
    population: Population = Bose(0.0),  # noqa: B008
    form_factors: Mapping[str, FormFactor] | None = None,
) -> MagnonIntensities:
    """Lines of S^ab(q, omega) per magnetic site.

    Parameters
    ----------
    hessian : BlochHessian
    wavevectors : BandPath or (m, 3)
        ASE's path, or Cartesian q, 1/length, with 2 pi, in any zone.
    population : callable
        Weights by signed energy: :class:`~spinase.analysis.Bose` (default: at kT = 0) or
        :class:`~spinase.analysis.Equipartition` (a classical run).  Magnons without energy get none.
    form_factors : mapping, optional
        F(|q|) by chemical symbol (:func:`~spinase.analysis.magnetic_form_factor`).
    """
    waves = wavevectors_of(wavevectors) if isinstance(wavevectors, BandPath) else as_wavevectors(wavevectors)
    factors = form_factors_of(hessian.symbols, waves, form_factors)
    spiral = hessian.spiral
    if spiral is None:
        parts = [_lines_of(hessian, waves, factors, np.eye(3), np.zeros(3), population)]
    else:
        fixed, turning = spiral.parts()
        parts = [
            _lines_of(hessian, waves, factors, fixed, np.zeros(3), population),
            _lines_of(hessian, waves, factors, turning, spiral.wavevector, population),
            _lines_of(hessian, waves, factors, turning.conj(), -spiral.wavevector, population),
        ]
    frequencies, correlations = (np.concatenate(column, axis=1) for column in zip(*parts, strict=True))
    return MagnonIntensities(waves, frequencies, correlations)


def _lines_of(
    hessian: BlochHessian,
    waves: FloatArray,
    factors: FloatArray,
    projection: Any,
    shift: FloatArray,
    population: Population,
) -> tuple[FloatArray, ComplexArray]:
    """Frequencies (m, 2n) and correlations of the magnons at q - shift, seen through `projection` (3, 3)."""
    bands = magnon_bands(hessian, waves - shift)
    frequencies = np.concatenate([bands.frequencies, -bands.partners], axis=1)
    modes = np.concatenate([bands.modes, bands.partner_modes], axis=2)
    first, second = hessian.axes.transpose(1, 0, 2)
    sizes = hessian.lengths * np.sqrt(hessian.hbar / (2.0 * hessian.angular_momenta) / len(hessian))
    circular = np.concatenate([first + 1j * second, first - 1j * second])  # (2n, 3)
    seen = (circular * np.tile(sizes, 2)[:, None]) @ projection.T
    phases = np.exp(-1j * (hessian.positions @ shift))
    amplitudes = np.einsum("mi,ia,mik->mka", np.tile(factors * phases, 2), seen, modes, optimize=True)
    energies = hessian.hbar * frequencies
    elastic = np.abs(frequencies) <= _ELASTIC * np.abs(frequencies).max(initial=0.0)
    weights = np.where(elastic, 0.0, population(np.where(elastic, 1.0, energies)))
    lines = np.einsum("mk,mka,mkb->mkab", weights, amplitudes, amplitudes.conj(), optimize=True)
    return frequencies, lines


def _lines(grid: FloatArray, places: FloatArray, width: Resolution) -> FloatArray:
    """Normalized Gaussians (j, k) at `places` (k,)."""
    widths = np.broadcast_to(np.asarray(width(places) if callable(width) else width, dtype=np.float64), places.shape)
    if not (np.isfinite(widths).all() and (widths > 0.0).all()):
        raise ModelError(f"the width of a resolution must be a positive frequency, got {widths.min()}")
    return np.asarray(
        np.exp(-0.5 * ((grid[:, None] - places) / widths) ** 2) / (widths * np.sqrt(2.0 * np.pi)), dtype=np.float64
    )


def powder_spectrum(
    hessian: BlochHessian,
    lengths: ArrayLike,
    frequencies: ArrayLike,
    width: Resolution,
    *,
    population: Population = Bose(0.0),  # noqa: B008
    form_factors: Mapping[str, FormFactor] | None = None,
    order: int = 41,
) -> FloatArray:
    """Neutron intensities of a powder, (m, j), moment^2 times time: means over all directions of q.

    Parameters
    ----------
    hessian : BlochHessian
    lengths : (m,)
        |q|, 1/length, with 2 pi.
    frequencies : (j,)
        Ascending and equally spaced, 1/time.
    width : float or callable
        As in :meth:`MagnonIntensities.spectrum`.
    population, form_factors
        As in :func:`magnon_intensities`.
    order : int
        Of Lebedev's rule for the sphere (scipy.integrate.lebedev_rule): polynomials up to it are integrated exactly.  Take
        it so high that directions are closer than features in q times |q|.
    """
    points, weights = lebedev_rule(order)
    grid = np.asarray(frequencies, dtype=np.float64)
    found = np.empty((len(np.atleast_1d(lengths)), len(grid)))
    for k, length in enumerate(np.atleast_1d(np.asarray(lengths, dtype=np.float64))):
        lines = magnon_intensities(hessian, length * points.T, population, form_factors)
        powers = lines.neutron() * (weights / weights.sum())[:, None]
        found[k] = 2.0 * np.pi * _lines(grid, lines.frequencies.ravel(), width) @ powers.ravel()
    return found
