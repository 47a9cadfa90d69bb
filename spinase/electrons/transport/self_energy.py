r"""Surface Green's functions of semi-infinite leads.

A lead repeats a cell without end; cell n couples to cell n + 1, which is further from the device:

.. math:: g(z) = [z - H_{00} - H_{01}\, g(z)\, H_{01}^\dagger]^{-1}

is the retarded Green's function of the cell at the surface, for Im z > 0 and its limit on the real axis.
"""

from __future__ import annotations

import numpy as np

from spinase.errors import ConvergenceError
from spinase.typing import ComplexArray, FloatArray

_STEPS = 80  # doublings: 2^80 cells
_SHARP = 1e-12  # imaginary part given to real energies in a decimation, in units of the lead's band width
_EDGE_POINTS = 400  # momenta of half the zone at which the bands are sampled for their edges


def chain_surface(energy: ComplexArray, hopping: float) -> ComplexArray:
    """g of a chain with on-site energy 0 and `hopping` (energy, not zero), elementwise; |hopping g| <= 1.

    On the real axis inside the band g = (x - i sqrt(4 t^2 - x^2))/(2 t^2), with x the energy and t the hopping.
    """
    z, band = np.asarray(energy, dtype=np.complex128), 2.0 * abs(hopping)
    # two roots: the product has its cut on the band only, and a real energy is taken as its limit from above
    root = np.sqrt(z - band) * np.sqrt(z + band)
    return 2.0 / (z + root)


def decimated_surface(energy: complex, intra: ComplexArray, inter: ComplexArray) -> ComplexArray:
    """g (n, n) by decimation: every step removes each second cell, so that k steps reach 2^k cells deep.

    Parameters
    ----------
    energy : complex
        z with Im z >= 0; on the real axis 1e-12 of the band width is added.
    intra, inter : (n, n)
        H_00 and H_01.

    Raises
    ------
    ConvergenceError
        If the coupling has not died out after 80 doublings (a band edge).

    Notes
    -----
    M. P. Lopez Sancho, J. M. Lopez Sancho, J. Rubio, J. Phys. F 15, 851 (1985).
    """
    width = float(np.abs(intra).sum(axis=1).max() + 2.0 * np.abs(inter).sum(axis=1).max())
    z = complex(energy) if complex(energy).imag > 0.0 else complex(energy) + 1j * _SHARP * width
    identity = np.eye(len(intra))
    surface, bulk = intra.astype(np.complex128), intra.astype(np.complex128)
    outward, inward = inter.astype(np.complex128), inter.conj().T.astype(np.complex128)
    for _ in range(_STEPS):
        green = np.linalg.inv(z * identity - bulk)
        step_out, step_in = outward @ green, inward @ green
        surface = surface + step_out @ inward
        bulk = bulk + step_out @ inward + step_in @ outward
        outward, inward = step_out @ outward, step_in @ inward
        if max(np.abs(outward).max(), np.abs(inward).max()) < 1e-15 * width:
            return np.asarray(np.linalg.inv(z * identity - surface), dtype=np.complex128)
    raise ConvergenceError(f"the surface of a lead does not converge at the energy {energy}: a band edge; shift the energy")


def band_edges(intra: ComplexArray, inter: ComplexArray) -> FloatArray:
    """Extrema of the lead's bands, sorted, energy: where modes open and close and currents have roots."""
    angles = np.linspace(0.0, np.pi, _EDGE_POINTS + 1)
    bands = np.array([_levels(intra, inter, angle) for angle in np.concatenate([-angles[:0:-1], angles])])
    edges = []
    for levels in bands.T:
        # the zone is closed: the first point is the image of the last
        before, after = np.roll(levels[:-1], 1), np.roll(levels[:-1], -1)
        here = levels[:-1]
        turning = (here - before) * (after - here) <= 0.0
        curvature = before - 2.0 * here + after
        slope = 0.5 * (after - before)
        shift = np.where(np.abs(curvature) > 0.0, 0.5 * slope**2 / np.where(curvature == 0.0, 1.0, curvature), 0.0)
        edges += list((here - shift)[turning])
    found = np.sort(edges)
    keep = np.concatenate([[True], np.diff(found) > 1e-7 * max(1.0, np.ptp(found))])
    return found[keep]


def _levels(intra: ComplexArray, inter: ComplexArray, angle: float) -> FloatArray:
    hop = inter * np.exp(1j * angle)
    return np.linalg.eigvalsh(intra + hop + hop.conj().T)
