"""Peierls phases of a uniform magnetic flux through the cell spanned by the first two cell vectors."""

from __future__ import annotations

import numpy as np

from spinase.errors import ModelError
from spinase.geometry import Bonds, Geometry
from spinase.typing import FloatArray


def peierls_phases(geometry: Geometry, bonds: Bonds, flux: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    r"""Phase of every bond, :math:`t_{ij}\to t_{ij}e^{i\phi_{ij}}`, and its gradients.

    In the gauge A = 2 pi flux u grad(v), with u, v the fractional coordinates along the first two cell vectors, the
    straight line from site i at (u_i, v_i) to the image of j at (u_j + S_1, v_j + S_2) collects

    .. math:: \phi = 2\pi\,\mathrm{flux}\,[\tfrac12(u_i + u_j + S_1)(v_j + S_2 - v_i) - S_1 v_j],

    where the last term is the magnetic translation that brings the image of j back into the cell.  Every closed path
    then encloses 2 pi flux times the fraction of the cell it encircles.

    On a torus the two ways around have twists beside, which belong to the origin: moving all sites by 1/flux of a cell
    vector leaves the spectrum, by less it does not, so the forces of a small torus need not add up to zero.

    Parameters
    ----------
    geometry, bonds
        Sites and bonds.
    flux : float
        Flux through the cell, in flux quanta h/e.

    Returns
    -------
    phase : (n,)
        Radian.
    grad_first, grad_second : (n, 3)
        Gradients with respect to the positions of the first and the second site, radian/length.

    Raises
    ------
    ModelError
        If both directions are periodic and `flux` is not a whole number.
    """
    if geometry.pbc[0] and geometry.pbc[1] and abs(flux - round(flux)) > 1e-9:
        raise ModelError(
            f"flux = {flux} quanta through a cell that is periodic in both directions: it must be a whole number "
            "(enlarge the cell for a smaller flux density, or open a boundary)"
        )
    if geometry.volume == 0.0:
        raise ModelError("flux needs three independent cell vectors: set a cell on the atoms")
    inverse = np.linalg.inv(geometry.cell)
    fractional = geometry.positions @ inverse
    i, j, shift = bonds.first, bonds.second, bonds.shifts
    mean = 0.5 * (fractional[i, 0] + fractional[j, 0] + shift[:, 0])
    rise = fractional[j, 1] + shift[:, 1] - fractional[i, 1]
    unit = 2.0 * np.pi * flux
    phase = unit * (mean * rise - shift[:, 0] * fractional[j, 1])
    grad_u, grad_v = inverse[:, 0], inverse[:, 1]
    half = 0.5 * rise[:, None] * grad_u
    grad_first = unit * (half - mean[:, None] * grad_v)
    grad_second = unit * (half + (mean - shift[:, 0])[:, None] * grad_v)
    return phase, grad_first, grad_second
