r"""Conductivity of electrons that do not interact, as what its two parts are made of.

The response of the charge current to a uniform field, :math:`j_a = \sum_b \sigma_{ab} E_b`, at frequency zero is

.. math::
   \sigma_{ab} = \underbrace{\pi\,\frac{e^2\hbar}{V}\int\!dE\,(-f')\,\mathrm{Tr}[v_a\delta(E-H)\,v_b\,\delta(E-H)]}_
                 {\text{surface, symmetric in a, b}}
               + \underbrace{\frac{e^2\hbar}{V}\sum_{n} f_n \sum_{m\ne n}
                 \frac{2\,\mathrm{Im}\langle n|v_a|m\rangle\langle m|v_b|n\rangle}{(\epsilon_n-\epsilon_m)^2}}_
                 {\text{sea, antisymmetric}} .

The second part is minus the integral of the Berry curvature of the filled bands: sigma_xy = -C e^2/h in a gap, C their Chern
number; electrons that fill nu Landau levels in a magnetic field along +z have sigma_xy = -nu e^2/h.  Broadening stands for
scattering that the model does not have.
Source: R. Kubo, J. Phys. Soc. Jpn. 12, 570 (1957), doi:10.1143/JPSJ.12.570; A. Bastin et al., J. Phys. Chem. Solids 32,
1811 (1971), doi:10.1016/S0022-3697(71)80147-6; D. J. Thouless et al., Phys. Rev. Lett. 49, 405 (1982),
doi:10.1103/PhysRevLett.49.405.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from spinase.electrons.occupation import fermi
from spinase.errors import ModelError
from spinase.typing import FloatArray

QUANTUM = 2.0 * np.pi  # e^2/hbar in units of e^2/h


@dataclass(frozen=True, eq=False)
class Conductivity:
    """Conductivity of one magnet, for any chemical potential and temperature.

    Units are e^2/h times length^(2 - d) in d periodic directions: e^2/h in a plane.  Axes are Cartesian; rows and columns
    of directions that are not periodic are zero.

    Attributes
    ----------
    resolution : float
        Width to which energies are resolved, energy: finer structure, such as a narrower gap, is smeared out.
    sea_energies : (n,)
        Energies of states, or of a mesh, energy.
    sea : (samples, n, 3, 3)
        What they contribute to the antisymmetric part, filled.
    states : (n,)
        How many states each of them stands for.
    surface_energies : (m,)
        An ascending mesh, energy.
    surface : (samples, m, 3, 3)
        Symmetric part for electrons at that energy only.
    """

    resolution: float
    sea_energies: FloatArray
    sea: FloatArray
    states: FloatArray
    surface_energies: FloatArray
    surface: FloatArray

    def __repr__(self) -> str:
        low, high = self.surface_energies[[0, -1]]
        samples = f", {len(self.sea)} vectors" if len(self.sea) > 1 else ""
        return f"Conductivity({low:.3g} to {high:.3g}, resolution {self.resolution:.2g}{samples})"

    def tensor(self, chemical_potentials: ArrayLike, kT: float = 0.0) -> FloatArray:  # noqa: N803
        """sigma (m, 3, 3), e^2/h length^(2 - d), at chemical potentials (m,) and temperature kT, energies.

        Parameters
        ----------
        chemical_potentials : (m,) array_like
            Energy.
        kT : float
            Of the electrons, energy; 0 allowed.

        Raises
        ------
        ModelError
            For a temperature below zero or numbers that are not finite.
        """
        return self._samples(chemical_potentials, kT).mean(axis=0)

    def hall(self, chemical_potentials: ArrayLike, kT: float = 0.0) -> FloatArray:  # noqa: N803
        """Antisymmetric part as a vector (m, 3): (sigma_yz, sigma_zx, sigma_xy), e^2/h length^(2 - d).

        A metal with a direction of its own, such as a wall, has off-diagonal entries in the symmetric part, too.

        Parameters
        ----------
        chemical_potentials : (m,) array_like
            Energy.
        kT : float
            Of the electrons, energy; 0 allowed.
        """
        return _axial(self._samples(chemical_potentials, kT)).mean(axis=0)

    def errors(self, chemical_potentials: ArrayLike, kT: float = 0.0) -> FloatArray:  # noqa: N803
        """Standard errors (m, 3, 3) of :meth:`tensor` from the scatter of random vectors.

        Parameters
        ----------
        chemical_potentials : (m,) array_like
            Energy.
        kT : float
            Of the electrons, energy; 0 allowed.

        Raises
        ------
        ModelError
            If there is but one sample, as of a trace that is exact.
        """
        return self._scatter(self._samples(chemical_potentials, kT))

    def hall_errors(self, chemical_potentials: ArrayLike, kT: float = 0.0) -> FloatArray:  # noqa: N803
        """Standard errors (m, 3) of :meth:`hall`; smaller than those of the tensor, whose symmetric part scatters, too.

        Parameters
        ----------
        chemical_potentials : (m,) array_like
            Energy.
        kT : float
            Of the electrons, energy; 0 allowed.

        Raises
        ------
        ModelError
            If there is but one sample, as of a trace that is exact.
        """
        return self._scatter(_axial(self._samples(chemical_potentials, kT)))

    def electrons(self, chemical_potentials: ArrayLike, kT: float = 0.0) -> FloatArray:  # noqa: N803
        """Number of electrons in the cell (m,) at chemical potentials (m,), energy.

        Parameters
        ----------
        chemical_potentials : (m,) array_like
            Energy.
        kT : float
            Of the electrons, energy; 0 allowed.
        """
        return self._filled(_checked(chemical_potentials, kT), kT) @ self.states

    def _scatter(self, samples: FloatArray) -> FloatArray:
        """Standard error of the mean over the samples."""
        if len(samples) < 2:
            raise ModelError("one sample has no scatter: the trace is exact, or take two random vectors or more")
        error: FloatArray = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
        return error

    def _samples(self, chemical_potentials: ArrayLike, kT: float) -> FloatArray:  # noqa: N803
        """One tensor for every sample, (samples, m, 3, 3)."""
        levels = _checked(chemical_potentials, kT)
        filled, edge = self._filled(levels, kT), self._edge(levels, kT)
        result: FloatArray = np.einsum("mn,snab->smab", filled, self.sea, optimize=True)
        result += np.einsum("mn,snab->smab", edge, self.surface, optimize=True)
        return result

    def _filled(self, levels: FloatArray, kT: float) -> FloatArray:  # noqa: N803
        """Occupation of the energies of the sea, (m, n)."""
        return np.stack([fermi(self.sea_energies, level, kT) for level in levels])

    def _edge(self, levels: FloatArray, kT: float) -> FloatArray:  # noqa: N803
        """Weights (m, n) of the mesh in an integral with -f': those of a function that is linear between its nodes."""
        mesh = self.surface_energies
        if kT == 0.0:
            return _interpolation(levels, mesh)
        middle = 0.5 * (mesh[1:] + mesh[:-1])
        emptied = np.stack([1.0 - fermi(middle, level, kT) for level in levels])
        ends = np.ones((len(levels), 1))
        return np.diff(np.hstack([0.0 * ends, emptied, ends]), axis=1)


def _axial(tensors: FloatArray) -> FloatArray:
    """(yz, zx, xy) of the antisymmetric part of tensors (..., 3, 3)."""
    turned = 0.5 * (tensors - np.swapaxes(tensors, -1, -2))
    return np.stack([turned[..., 1, 2], turned[..., 2, 0], turned[..., 0, 1]], axis=-1)


def _interpolation(levels: FloatArray, mesh: FloatArray) -> FloatArray:
    """Weights (m, n) of the nodes of a mesh in linear interpolation; zero beyond its ends."""
    weights = np.zeros((len(levels), len(mesh)))
    inside = np.flatnonzero((levels >= mesh[0]) & (levels <= mesh[-1]))
    right = np.clip(np.searchsorted(mesh, levels[inside]), 1, len(mesh) - 1)
    part = (levels[inside] - mesh[right - 1]) / (mesh[right] - mesh[right - 1])
    weights[inside, right], weights[inside, right - 1] = part, 1.0 - part
    return weights


def _checked(chemical_potentials: ArrayLike, kT: float) -> FloatArray:  # noqa: N803
    levels = np.atleast_1d(np.asarray(chemical_potentials, dtype=np.float64))
    if levels.ndim != 1 or not np.isfinite(levels).all():
        raise ModelError(f"chemical potentials must be finite energies in one row, got {chemical_potentials!r}")
    if not np.isfinite(kT) or kT < 0.0:
        raise ModelError(f"kT must be zero or a positive energy, got {kT}")
    return levels
