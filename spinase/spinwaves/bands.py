"""Magnon bands: frequencies and modes along wavevectors, their groups, senses and connections, and densities of states."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np
from ase.dft.kpoints import BandPath, monkhorst_pack
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment

from spinase.brief import Brief
from spinase.errors import ModelError, UnstableStateWarning
from spinase.spinwaves.bogoliubov import bogoliubov, norms
from spinase.spinwaves.hessian import BlochHessian, as_wavevectors
from spinase.typing import ComplexArray, FloatArray, IntArray

_DEGENERATE = 1e-6  # of the highest frequency
_BLOCK = 20_000_000  # complex numbers of one pass


@dataclass(frozen=True, eq=False, repr=False)
class MagnonBands(Brief):
    """Magnons exp(i (q.r - omega t)) at m wavevectors of a cell with n magnetic sites.

    Attributes
    ----------
    hessian : BlochHessian
        What they are the modes of.
    wavevectors : (m, 3)
        Cartesian, 1/length, with 2 pi; of a spiral in its turning frame.
    frequencies : (m, n)
        Angular frequencies of the magnons of q, 1/time, ascending (or connected, see :func:`connect_bands`).  At a minimum
        of the energy none is negative; omega(q) and omega(-q) differ where inversion and time reversal are broken.
    modes : (m, 2n, n)
        Their vectors (a, a'), para-unitary: sum |a|^2 - sum |a'|^2 = 1.  The spin of site i deviates by
        sqrt(hbar/(2 L_i)) [a_i (e1 + i e2) + a'_i (e1 - i e2)] exp(i (q.r_i - omega t)) and its complex conjugate.
    partners : (m, n)
        Frequencies of the magnons of -q, seen at q at minus that.
    partner_modes : (m, 2n, n)
        Vectors of these at q, of norm -1.
    growth : (m,)
        Largest growth rate without damping, 1/time; zero at a minimum.
    curvatures : (m,)
        Lowest eigenvalue of Phi(q)/L times hbar, energy: below zero the energy falls along some wave of q.
    """

    hessian: BlochHessian
    wavevectors: FloatArray
    frequencies: FloatArray
    modes: ComplexArray
    partners: FloatArray
    partner_modes: ComplexArray
    growth: FloatArray
    curvatures: FloatArray

    @property
    def energies(self) -> FloatArray:
        """hbar omega, (m, n), energy."""
        return self.hessian.hbar * self.frequencies

    def groups(self, tolerance: float | None = None) -> IntArray:
        """Number of the degenerate level every band belongs to, (m, n), counted from the lowest.

        Parameters
        ----------
        tolerance : float, optional
            Frequencies within it of the next one are degenerate, 1/time; default: 1e-6 of the highest.
        """
        width = _DEGENERATE * float(np.abs(self.frequencies).max()) if tolerance is None else tolerance
        order = np.argsort(self.frequencies, axis=1, kind="stable")
        ascending = np.take_along_axis(self.frequencies, order, axis=1)
        levels = np.concatenate([np.zeros((len(order), 1)), np.cumsum(np.diff(ascending, axis=1) > width, axis=1)], axis=1)
        found = np.empty(order.shape, dtype=np.int64)
        np.put_along_axis(found, order, levels.astype(np.int64), axis=1)
        return found

    def precession(self, axis: ArrayLike) -> FloatArray:
        """Sense and amount of precession about an axis, (m, n): what one magnon takes from the spin along it, in hbar.

        1: right-handed about `axis`, as of spins along it; -1: those of spins against it; in between (and beyond) where the
        spins are not along the axis.  Within a degenerate level bands are the combinations of definite sense, ascending.

        Parameters
        ----------
        axis : (3,)
            Of any length but zero.
        """
        direction = np.asarray(axis, dtype=np.float64)
        if direction.shape != (3,) or not direction.any():
            raise ModelError(f"the axis of precession must be three numbers, not all zero, got {axis!r}")
        weights = np.tile(self.hessian.spins @ direction / np.linalg.norm(direction), 2)
        found, groups = np.empty(self.frequencies.shape), self.groups()
        for k, vectors in enumerate(self.modes):
            matrix = vectors.conj().T @ (weights[:, None] * vectors)
            for level in np.unique(groups[k]):
                members = np.flatnonzero(groups[k] == level)
                part = matrix[np.ix_(members, members)]
                found[k, members] = np.linalg.eigvalsh(part) if np.isfinite(part).all() else np.nan
        return found


def wavevectors_of(path: BandPath) -> FloatArray:
    """Cartesian wavevectors (m, 3) of an ASE band path, 1/length, with 2 pi.

    Parameters
    ----------
    path : BandPath
        ``atoms.cell.bandpath("GXMG", npoints=200, pbc=atoms.pbc)``.
    """
    return np.asarray(2.0 * np.pi * path.cartesian_kpts(), dtype=np.float64)


def magnon_bands(hessian: BlochHessian, wavevectors: BandPath | ArrayLike) -> MagnonBands:
    """Magnons along wavevectors.

    Parameters
    ----------
    hessian : BlochHessian
        Of :func:`classical_hessian` or :func:`difference_hessian`.
    wavevectors : BandPath or (m, 3)
        ASE's path, or Cartesian q, 1/length, with 2 pi.

    Warns
    -----
    UnstableStateWarning
        If the energy falls along waves of some q, which are named.
    """
    waves = wavevectors_of(wavevectors) if isinstance(wavevectors, BandPath) else as_wavevectors(wavevectors)
    n = len(hessian)
    step = max(1, _BLOCK // (len(hessian.first) + 12 * n * n))
    parts = [
        bogoliubov(hessian.at(waves[k : k + step]), hessian.angular_momenta, hessian.uncertainty)
        for k in range(0, len(waves), step)
    ]
    frequencies, vectors, growth, lowest = (np.concatenate(column) for column in zip(*parts, strict=True))
    curvatures = hessian.hbar * lowest
    _warn_of_instability(hessian, waves, curvatures, growth)
    return MagnonBands(
        hessian,
        waves,
        frequencies[:, :n],
        vectors[:, :, :n],
        -frequencies[:, n:],
        vectors[:, :, n:],
        growth,
        curvatures,
    )


def _warn_of_instability(hessian: BlochHessian, waves: FloatArray, curvatures: FloatArray, growth: FloatArray) -> None:
    slack = hessian.hbar * hessian.uncertainty / float(hessian.angular_momenta.min())
    falling = np.flatnonzero(curvatures < -(slack + 1e-9 * hessian.hbar * hessian.scale / hessian.angular_momenta.min()))
    if not len(falling):
        return
    worst = int(curvatures.argmin())
    warnings.warn(
        f"this state is no minimum of the energy: it falls along waves at {len(falling)} of {len(waves)} wavevectors, most "
        f"at q = {waves[worst].round(6).tolist()} (lowest eigenvalue {curvatures[worst]:.4g}; fastest growth "
        f"{growth.max():.4g} per time). Relax the spins in a cell that holds this wavevector, or give the spiral this "
        "wavevector; check the signs of the couplings",
        UnstableStateWarning,
        stacklevel=3,
    )


def connect_bands(bands: MagnonBands) -> MagnonBands:
    """The same bands, ordered so that each goes on smoothly through crossings, by the overlap of modes at neighbouring q.

    Modes of one degenerate level are combined so that they continue those before it.  Take steps along the path that are
    small against its length; the order at the first wavevector is ascending.

    Parameters
    ----------
    bands : MagnonBands
        Along a path.
    """
    frequencies, modes = bands.frequencies.copy(), bands.modes.copy()
    metric, groups = norms(modes.shape[1])[:, None], bands.groups()
    for k in range(1, len(frequencies)):
        if not (np.isfinite(modes[k]).all() and np.isfinite(modes[k - 1]).all()):
            continue
        overlap = modes[k - 1].conj().T @ (metric * modes[k])
        for level in np.unique(groups[k]):
            members = np.flatnonzero(groups[k] == level)
            if len(members) > 1:
                modes[k][:, members] = _continued(modes[k][:, members], overlap[:, members])
        overlap = np.abs(modes[k - 1].conj().T @ (metric * modes[k])) ** 2
        order = np.asarray(linear_sum_assignment(-overlap)[1])
        frequencies[k], modes[k] = frequencies[k, order], modes[k][:, order]
    return replace(bands, frequencies=frequencies, modes=modes)


def _continued(modes: ComplexArray, overlap: ComplexArray) -> ComplexArray:
    """Unitary combination of degenerate `modes` (2n, d) that continues as many modes before, by `overlap` (n, d)."""
    chosen = np.sort(np.argsort(-(np.abs(overlap) ** 2).sum(axis=1), kind="stable")[: modes.shape[1]])
    left, _, right = np.linalg.svd(overlap[chosen].conj().T)
    return np.asarray(modes @ (left @ right))


def magnon_mesh(hessian: BlochHessian, size: tuple[int, int, int]) -> FloatArray:
    """Wavevectors (m, 3) of a Monkhorst-Pack mesh of the reciprocal cell, 1/length, with 2 pi.

    Parameters
    ----------
    hessian : BlochHessian
    size : (int, int, int)
        Points along the reciprocal vectors; 1 along open directions.
    """
    counts = np.asarray(size)
    if counts.shape != (3,) or (counts < 1).any() or (counts[~np.array(hessian.pbc)] > 1).any():
        raise ModelError(f"a mesh needs three positive numbers, 1 along open directions, got {size!r}")
    return np.asarray(2.0 * np.pi * monkhorst_pack(size) @ np.linalg.inv(hessian.cell).T)


def magnon_density_of_states(
    hessian: BlochHessian, size: tuple[int, int, int], energies: ArrayLike, width: float
) -> FloatArray:
    """Density of magnon states at `energies` (k,), states per energy and cell; its integral is the number of bands.

    Parameters
    ----------
    hessian : BlochHessian
    size : (int, int, int)
        Mesh, as in :func:`magnon_mesh`.
    energies : (k,)
        Where, energy.
    width : float
        Standard deviation of the Gaussians, energy.
    """
    if not (np.isfinite(width) and width > 0.0):
        raise ModelError(f"the width of the density of states must be a positive energy, got {width}")
    places = np.atleast_1d(np.asarray(energies, dtype=np.float64))
    levels = magnon_bands(hessian, magnon_mesh(hessian, size)).energies
    found = np.zeros(len(places))
    for block in np.array_split(levels.ravel(), max(1, levels.size * len(places) // 4_000_000)):
        found += np.exp(-0.5 * ((places[:, None] - block) / width) ** 2).sum(axis=1)
    return np.asarray(found / (len(levels) * width * np.sqrt(2.0 * np.pi)))
