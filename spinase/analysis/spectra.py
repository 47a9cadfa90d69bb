"""Time in the analysis: S(q, omega), magnon dispersions, autocorrelations and error bars of correlated averages."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtrit

from spinase.brief import Brief
from spinase.errors import AccuracyWarning, InvalidMomentsError
from spinase.spin_algebra import transverse_axes
from spinase.typing import ComplexArray, FloatArray

_BLOCK = 4_000_000  # phases held at a time
_INDEPENDENT = 20  # values, below which an error bar is itself uncertain


@dataclass(frozen=True, eq=False, repr=False)
class DynamicStructureFactor(Brief):
    """S^aa(q, omega) of a run.

    The sign of omega is that of a wave exp(i (q.r - omega t)), as in :func:`spinase.spinwaves.spin_waves`: positive
    frequencies run along q.  Components are real, so S^aa(q, -omega) = S^aa(-q, omega); only about an axis does the sign
    also tell the sense of precession (see `values`).

    Attributes
    ----------
    wavevectors : (n, 3)
        Cartesian, 1/length.
    frequencies : (m,)
        Angular frequencies, ascending, of both signs, 1/time.
    values : (n, m, 3)
        Power, time; summed over `frequencies` times their spacing over 2 pi it gives the mean of |s_q^a|^2 over the run.
        Without `axis` of the x, y and z components.  With it of s- = (s.e1 - i s.e2)/sqrt(2), s+ = (s.e1 + i s.e2)/sqrt(2)
        and s.axis, where e1, e2 and the axis are right-handed: in s-, spins along the axis have their magnons at positive
        frequencies, spins against it at negative ones; in s+ the other way round.
    axis : (3,) or None
        Unit vector of the order.
    """

    wavevectors: FloatArray
    frequencies: FloatArray
    values: FloatArray
    axis: FloatArray | None = None

    @property
    def spacing(self) -> float:
        """Distance of neighbouring frequencies, 1/time."""
        return float(self.frequencies[1] - self.frequencies[0])

    def total(self) -> FloatArray:
        """Sum over the components, (n, m): the same with and without an axis."""
        return np.asarray(self.values.sum(axis=2))


def dynamic_structure_factor(
    positions: ArrayLike, spins: ArrayLike, timestep: float, wavevectors: ArrayLike, axis: ArrayLike | None = None
) -> DynamicStructureFactor:
    """S^aa(q, omega) = |sum_t w_t s_q^a(t) exp(i omega t)|^2 with s_q = sum_i s_i exp(-i q.r_i)/sqrt(N) and a Hann window w.

    Parameters
    ----------
    positions : (N, 3) or (T, N, 3)
        Sites, length; one set for all times if they stay.
    spins : (T, N, 3)
        Unit spins (or moments) at equally spaced times.
    timestep : float
        Time between them.
    wavevectors : (n, 3)
        Cartesian q, 1/length.
    axis : (3,), optional
        Direction of the order, of any length: tells the senses of precession about it apart.

    Raises
    ------
    InvalidMomentsError
        On arrays of the wrong shape, fewer than four times, a time step that is not positive, or an axis that is none.
    """
    series, places = np.asarray(spins, dtype=np.float64), np.asarray(positions, dtype=np.float64)
    waves = np.atleast_2d(np.asarray(wavevectors, dtype=np.float64))
    check_series(places, series, timestep, waves)
    unit = None if axis is None else _unit_axis(axis)
    components = np.eye(3, dtype=np.complex128) if unit is None else _circular(unit)
    values = np.empty((len(waves), len(series), 3))
    for k, wave in enumerate(waves):
        values[k] = np.abs(spectral_amplitudes(places, series, timestep, wave) @ components.T) ** 2
    frequencies = signed_frequencies(len(series), timestep)
    return DynamicStructureFactor(waves, frequencies, values, unit)


def signed_frequencies(count: int, timestep: float) -> FloatArray:
    """Angular frequencies (T,) of a series, ascending, of both signs, 1/time.

    Parameters
    ----------
    count : int
        T.
    timestep : float
        Time between the values.
    """
    return np.asarray(2.0 * np.pi * np.fft.fftshift(np.fft.fftfreq(count, timestep)))


def spectral_amplitudes(places: FloatArray, series: FloatArray, timestep: float, wave: FloatArray) -> ComplexArray:
    """sqrt(dt/(T N)) sum_t w_t sum_i s_i(t) exp(-i q.r_i(t)) exp(i omega t), (T, 3), with a Hann window w of mean square 1.

    Parameters
    ----------
    places : (N, 3) or (T, N, 3) ndarray
        Length.
    series : (T, N, 3) ndarray
        Spins, or anything else that belongs to the sites.
    timestep : float
        Time.
    wave : (3,) ndarray
        q, 1/length.
    """
    count, sites = series.shape[:2]
    window = np.hanning(count + 2)[1:-1]
    window = window / np.sqrt(np.mean(window**2))
    modes = _modes(places, series, wave) * window[:, None]
    amplitudes = count * np.fft.fftshift(np.fft.ifft(modes, axis=0), axes=0)  # sum_t exp(+i omega t)
    return np.asarray(amplitudes * np.sqrt(timestep / (count * sites)))


def check_series(places: FloatArray, series: FloatArray, timestep: float, waves: FloatArray) -> None:
    """Refuse arrays that are no run (InvalidMomentsError).

    Parameters
    ----------
    places, series, waves : ndarray
        (N, 3) or (T, N, 3), (T, N, 3), (n, 3).
    timestep : float
        Positive.
    """
    if series.ndim != 3 or series.shape[2] != 3 or len(series) < 4:
        raise InvalidMomentsError(f"spins must have shape (T, N, 3) with at least four times, got {series.shape}")
    if places.shape not in (series.shape, series.shape[1:]) or waves.shape[1] != 3:
        raise InvalidMomentsError(
            f"positions {places.shape} and wavevectors {waves.shape} do not go with spins {series.shape}"
        )
    if not (np.isfinite(timestep) and timestep > 0.0):
        raise InvalidMomentsError(f"the time between the spins must be positive, got {timestep}")


def _unit_axis(axis: ArrayLike) -> FloatArray:
    vector = np.asarray(axis, dtype=np.float64)
    if vector.shape != (3,) or not np.isfinite(vector).all() or not vector.any():
        raise InvalidMomentsError(f"the axis of precession must be three finite numbers, not all zero, got {axis!r}")
    return np.asarray(vector / np.linalg.norm(vector))


def _circular(axis: FloatArray) -> ComplexArray:
    """Rows that take s-, s+ and the part along the axis from a vector, a unitary matrix."""
    first, second = (vectors[0] for vectors in transverse_axes(axis[None]))
    return np.stack([(first - 1j * second) / np.sqrt(2.0), (first + 1j * second) / np.sqrt(2.0), axis + 0j])


def _modes(places: FloatArray, series: FloatArray, wave: FloatArray) -> ComplexArray:
    """sum_i s_i(t) exp(-i q.r_i(t)), (T, 3)."""
    if places.ndim == 2:
        return np.asarray(np.einsum("i,tia->ta", np.exp(-1j * (places @ wave)), series))
    out = np.empty((len(series), 3), dtype=np.complex128)
    block = max(1, _BLOCK // places.shape[1])
    for start in range(0, len(series), block):
        part = slice(start, start + block)
        out[part] = np.einsum("ti,tia->ta", np.exp(-1j * (places[part] @ wave)), series[part])
    return out


def magnon_dispersion(spectrum: DynamicStructureFactor, lowest: float = 0.0, sense: int = 1) -> FloatArray:
    """Angular frequency of the strongest peak at every wavevector, (n,), 1/time, refined between the mesh points.

    Parameters
    ----------
    spectrum : DynamicStructureFactor
        Of a run about an ordered state.  With an `axis` its component s- is used, without one the total.
    lowest : float
        Frequencies of a smaller size are left out (the elastic peak of the order, and slow drifts), 1/time.
    sense : 1 or -1
        1: peaks at positive frequencies, waves exp(i (q.r - omega t)) that are found as they come from
        :func:`spinase.spinwaves.spin_waves`.  With an axis: magnons of spins along it.
        -1: peaks at negative frequencies, returned as such.  With an axis: magnons of spins against it, which a
        ferromagnet does not have (what is found is noise: compare the powers); without one: the waves along -q.

    Returns
    -------
    (n,) array
        nan where there is no peak of this sense above `lowest`.

    Raises
    ------
    InvalidMomentsError
        If the sense is neither 1 nor -1.
    """
    if sense not in (1, -1):
        raise InvalidMomentsError(f"sense must be 1 (positive frequencies) or -1 (negative ones), got {sense!r}")
    power = spectrum.total() if spectrum.axis is None else spectrum.values[:, :, 0]
    zero, step = len(spectrum.frequencies) // 2, spectrum.spacing
    half = power[:, zero:] if sense > 0 else power[:, zero::-1]
    first = max(1, int(np.ceil(lowest / step)))
    return np.array([sense * step * _strongest(row, first) for row in half])


def _strongest(row: FloatArray, first: int) -> float:
    """Place of the highest point from `first` on, from a parabola through the logarithms; nan if it is no peak."""
    if first + 1 >= len(row):
        return float("nan")
    peak = first + int(np.argmax(row[first:]))
    if peak + 1 >= len(row) or row[peak] <= 0.0 or row[peak] < row[peak - 1]:
        return float("nan")
    low, here, high = np.log(np.maximum(row[peak - 1 : peak + 2], 1e-300))
    curvature = low - 2.0 * here + high
    return float(peak + (0.5 * (low - high) / curvature if curvature < 0.0 else 0.0))


def autocorrelation(values: ArrayLike, subtract_mean: bool = True) -> FloatArray:
    """C(t) = <x(t0) x(t0 + t)>/<x^2> over a stationary series, (T,); vectors (T, ...) by their scalar product.

    Parameters
    ----------
    values : (T, ...) array_like
        The series at evenly spaced times.
    subtract_mean : bool
        Correlate x - <x> in place of x.

    Raises
    ------
    InvalidMomentsError
        If there are fewer than two times, or nothing fluctuates.
    """
    series = np.asarray(values, dtype=np.float64)
    if series.ndim < 1 or len(series) < 2:
        raise InvalidMomentsError(f"an autocorrelation needs a series of at least two values, got shape {series.shape}")
    series = series.reshape(len(series), -1)
    if subtract_mean:
        series = series - series.mean(axis=0)
    padded = np.fft.rfft(series, n=2 * len(series), axis=0)
    summed = np.fft.irfft((np.abs(padded) ** 2).sum(axis=1), n=2 * len(series))[: len(series)]
    mean = summed / np.arange(len(series), 0, -1)
    if mean[0] <= 0.0:
        raise InvalidMomentsError("nothing fluctuates in this series: it has no autocorrelation")
    return np.asarray(mean / mean[0])


def two_time_correlation(spins: ArrayLike, waiting: int) -> FloatArray:
    """C(t_w + t, t_w) = (1/N) sum_i s_i(t_w + t).s_i(t_w) for spins (T, N, 3) and frame `waiting`; (T - waiting,).

    Parameters
    ----------
    spins : (T, N, 3) array_like
        Unit vectors at evenly spaced times.
    waiting : int
        Frame t_w that later ones are compared with.
    """
    series = np.asarray(spins, dtype=np.float64)
    if series.ndim != 3 or not 0 <= waiting < len(series):
        raise InvalidMomentsError(f"spins must have shape (T, N, 3) with 0 <= waiting < T, got {series.shape}, {waiting}")
    return np.asarray(np.einsum("tia,ia->t", series[waiting:], series[waiting]) / series.shape[1])


class Average(NamedTuple):
    """A mean over correlated values.

    Attributes
    ----------
    mean : float
        The mean.
    error : float
        Standard error, wide enough that mean +- 2 `error` covers 95 % (Student's t: few independent values, wide bars).
    correlation_time : float
        Integrated correlation time in steps of the series, 1/2 for independent values.
    """

    mean: float
    error: float
    correlation_time: float


def mean_and_error(values: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Mean over independent runs and its standard error, both (...); an error is nan where there is one run only.

    Times of one run are no independent values: their mean is :func:`block_average`'s.

    Parameters
    ----------
    values : (S, ...)
        Of S runs.

    Raises
    ------
    InvalidMomentsError
        Without a run.
    """
    runs = np.asarray(values, dtype=np.float64)
    if runs.ndim < 1 or not len(runs):
        raise InvalidMomentsError(f"a mean over runs needs values of shape (runs, ...), got {runs.shape}")
    mean = runs.mean(axis=0)
    if len(runs) < 2:
        return np.asarray(mean), np.full_like(mean, np.nan)
    return np.asarray(mean), np.asarray(runs.std(axis=0, ddof=1) / np.sqrt(len(runs)))


def block_average(values: ArrayLike) -> Average:
    """Mean and error of a correlated series, from blocks of growing size.

    The error of the mean of blocks grows with their size until blocks are independent (H. Flyvbjerg, H. G. Petersen, J.
    Chem. Phys. 91, 461 (1989)).  The size is the smallest power of two above four correlation times that leaves 8 blocks;
    what correlation of neighbouring blocks remains is corrected for as that of a process of first order.

    Parameters
    ----------
    values : (n,)
        At least 8 values of a stationary series.

    Raises
    ------
    InvalidMomentsError
        On another shape, too few values, or one that is not finite.

    Warns
    -----
    AccuracyWarning
        If the series is worth fewer than 20 independent values: the correlation time is then uncertain itself.  Bars
        may be several times too wide, and 2 errors cover 85 to 90 % where the correlation time exceeds a seventh of it.
    """
    series = np.asarray(values, dtype=np.float64)
    if series.ndim != 1 or len(series) < 8 or not np.isfinite(series).all():
        raise InvalidMomentsError(f"blocking needs a finite series of at least 8 values, got shape {series.shape}")
    count = len(series)
    naive = float(series.var(ddof=1)) / count
    if naive == 0.0:
        return Average(float(series.mean()), 0.0, 0.5)
    size, variance, blocks = 1, naive, float(count)
    while count // size >= 8:
        variance, blocks = _blocked(series, size)
        variance = max(variance, naive)
        if size >= 2.0 * variance / naive:  # four correlation times
            break
        size *= 2
    independent = count * naive / variance
    if independent < _INDEPENDENT:
        warnings.warn(
            f"a series of {count} values with a correlation time of about {0.5 * variance / naive:.3g} steps is worth "
            f"{independent:.3g} independent values, fewer than {_INDEPENDENT}: its error is uncertain; make it longer",
            AccuracyWarning,
            stacklevel=2,
        )
    freedoms = max(min(blocks, independent) - 1.0, 1.0)
    student = float(stdtrit(freedoms, 0.975) / ndtri(0.975))
    return Average(float(series.mean()), student * float(np.sqrt(variance)), 0.5 * variance / naive)


def _blocked(series: FloatArray, size: int) -> tuple[float, float]:
    """Squared error of the mean from blocks, corrected for the correlation of neighbours, and how many they are worth."""
    count = len(series) // size
    deviations = series[: count * size].reshape(-1, size).mean(axis=1)
    deviations = deviations - deviations.mean()
    square = float(deviations @ deviations)
    if square == 0.0:
        return 0.0, float(count)
    measured = float(deviations[1:] @ deviations[:-1]) / square
    # The estimate is low by (1 + 3 memory)/count; the blocks are worth two at least.
    memory = min(max((measured * count + 1.0) / (count - 3.0), 0.0), (count - 2.0) / (count + 2.0))
    growth = (1.0 + memory) / (1.0 - memory)
    spread = square / (count - 1) / max(1.0 - (growth - 1.0) / count, 0.2)  # deviations are from the mean of these blocks
    return spread * growth / count, count / growth


def binder_cumulant(magnetization: ArrayLike) -> float:
    """U = 1 - <M^4>/(3 <M^2>^2) of magnetization lengths or vectors (T,) or (T, 3).

    Sizes cross at the critical temperature; 2/3 in an ordered state, 4/9 for a disordered vector of three components.
    """
    series = np.asarray(magnetization, dtype=np.float64)
    square = series**2 if series.ndim == 1 else np.einsum("ta,ta->t", series, series)
    return float(1.0 - np.mean(square**2) / (3.0 * np.mean(square) ** 2))


__all__ = [
    "Average",
    "DynamicStructureFactor",
    "autocorrelation",
    "binder_cumulant",
    "block_average",
    "dynamic_structure_factor",
    "magnon_dispersion",
    "mean_and_error",
    "two_time_correlation",
]
