"""Magnon bands and maps of S(q, omega) along band paths, on given matplotlib axes."""

from __future__ import annotations

import numpy as np
from ase.dft.kpoints import BandPath
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm, Normalize

from spinase.errors import ModelError
from spinase.spinwaves import MagnonBands
from spinase.typing import FloatArray
from spinase.viz.figures import COLORS

_DECADES = 4.0  # that a logarithmic map shows below its highest point


def band_axis(ax: Axes, path: BandPath) -> FloatArray:
    """Ticks and names of the special points of a path on the x axis; places (m,) of its wavevectors there.

    Parameters
    ----------
    ax : matplotlib Axes
        Changed.
    path : BandPath
        ``atoms.cell.bandpath(...)``.
    """
    places, ticks, names = path.get_linear_kpoint_axis()
    labels = [_label(name) for name in names]
    merged: dict[float, str] = {}
    for tick, label in zip(np.round(ticks, 9), labels, strict=True):  # where the path jumps, two points share a place
        merged[float(tick)] = f"{merged[float(tick)]}|{label}" if float(tick) in merged else label
    ax.set_xticks(list(merged), list(merged.values()))
    ax.set_xlim(places[0], places[-1])
    for tick in merged:
        ax.axvline(tick, color="0.8", lw=0.6, zorder=0)
    return np.asarray(places)


def draw_bands(
    ax: Axes,
    bands: MagnonBands,
    path: BandPath,
    unit: str,
    *,
    scale: float = 1.0,
    partners: bool = False,
    label: str | None = None,
    color: str = COLORS[0],
) -> None:
    """Energies of magnon bands along a path.

    Parameters
    ----------
    ax : matplotlib Axes
        Where they are drawn.
    bands : MagnonBands
        Of ``magnon_bands(hessian, path)``.
    path : BandPath
        The same path.
    unit : str
        Of `scale` times the energies, for the axis.
    scale : float
        What energies are multiplied with (1000: meV from eV).
    partners : bool
        Whether to show the magnons of -q as well, at negative energies, where a run has them.
    label : str, optional
        Of the bands in a legend.
    color : str
        Of the lines.

    Raises
    ------
    ModelError
        If bands and path have different numbers of wavevectors.
    """
    if len(bands.wavevectors) != len(path.kpts):
        raise ModelError(f"bands at {len(bands.wavevectors)} wavevectors do not go with a path of {len(path.kpts)}")
    places = band_axis(ax, path)
    curves = [*bands.energies.T, *(-bands.hessian.hbar * bands.partners.T if partners else [])]
    for k, curve in enumerate(curves):
        ax.plot(places, scale * curve, color=color, lw=1.4, label=label if k == 0 else None)
    ax.set_ylabel(rf"$\hbar\omega$ [{unit}]")


def draw_spectrum(
    ax: Axes,
    frequencies: FloatArray,
    powers: FloatArray,
    path: BandPath,
    unit: str,
    *,
    scale: float = 1.0,
    logarithmic: bool = True,
) -> QuadMesh:
    """Map of a spectrum along a path: of a run, or of linear spin waves.

    Parameters
    ----------
    ax : matplotlib Axes
        Where it is drawn.
    frequencies : (k,) ndarray
        Signed, ascending.
    powers : (m, k) ndarray
        Such as ``correlations.neutron()``; not negative.
    path : BandPath
        Of the m wavevectors.
    unit : str
        Of `scale` times the frequencies, for the axis.
    scale : float
        hbar, or what else makes energies of the frequencies.
    logarithmic : bool
        Whether colours show four decades below the highest power, or powers themselves.

    Raises
    ------
    ModelError
        If the shapes do not go together.
    """
    if powers.shape != (len(path.kpts), len(frequencies)):
        raise ModelError(
            f"powers of shape {powers.shape} do not go with a path of {len(path.kpts)} wavevectors and {len(frequencies)} "
            "frequencies"
        )
    places = band_axis(ax, path)
    highest = max(float(np.nanmax(powers)), 1e-300)
    lowest = highest * 10.0**-_DECADES
    norm = LogNorm(lowest, highest) if logarithmic else Normalize(0.0, highest)
    shown = np.maximum(powers, lowest) if logarithmic else powers
    mesh = ax.pcolormesh(places, scale * frequencies, shown.T, cmap="Greys", norm=norm, shading="nearest", rasterized=True)
    ax.set_ylabel(rf"$\hbar\omega$ [{unit}]")
    return mesh


def _label(name: str) -> str:
    """A special point's name: Greek Gamma for G, digits as subscripts."""
    if name == "G":
        return "Γ"
    return f"${name[0]}_{{{name[1:]}}}$" if name[1:].isdigit() else name


__all__ = ["band_axis", "draw_bands", "draw_spectrum"]
