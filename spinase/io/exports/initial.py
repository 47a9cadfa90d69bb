"""Initial spins from a file of another program (or of spinase), by the positions of the sites."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from spinase.errors import InputError, StyleError
from spinase.geometry import Geometry, nearest_distance
from spinase.io.exports.ase_files import read_by_ase
from spinase.io.exports.base import ExportFormat, SpinFile
from spinase.io.layout import is_run_file
from spinase.io.mcif import read_mcif
from spinase.io.run_file import read_run
from spinase.styles import list_styles, load_style
from spinase.typing import FloatArray, IntArray

_NEAR = 0.3  # of the shortest distance of two sites: how far from its site a spin of the file may be


def spins_from_file(
    geometry: Geometry,
    rng: np.random.Generator,
    path: Path,
    format: str = "",
    index: int = -1,
    scale: float = 1.0,
    by_number: bool = False,
) -> FloatArray:
    """Spins of a file: a run file, OVF (of OOMMF, mumax, Spirit, ...), extended XYZ, .traj, LAMMPS, VTKHDF, UppASD, Vampire.

    Sites are matched by position: as they are, else with the lowest corners of both on each other.  Files without
    positions (UppASD) are read by number.

    Parameters
    ----------
    geometry : Geometry
        Sites.
    rng : numpy Generator
        Not used.
    path : path
        File, or folder of Vampire's, relative to the input file.
    format : str
        Style of the kind exports; default: what the name says, else whatever ASE reads.
    index : int
        Frame of the file.
    scale : float
        The magnet's lengths are the file's times this; those of a file that says its unit count in Angstrom.
    by_number : bool
        Match the sites by their numbers, whatever their positions are (Spirit's lattices that are not rectangular).

    Returns
    -------
    (N, 3) ndarray
        Unit vectors; z for sites without a moment that the file does not have.

    Raises
    ------
    InputError
        If the file cannot be read, or its sites are not those of the magnet.
    """
    place = Path(path)
    if not place.exists():
        raise InputError(f"[spins] path: there is no {place}")
    found = read_spins(place, format, index)
    sites = _sites(geometry, len(found.vectors), place)
    if by_number or found.positions is None:
        order = np.arange(len(found.vectors))
    else:
        order = match_sites(geometry.select(sites), scale * found.positions, str(place))
    vectors = found.vectors[order]
    lengths = np.linalg.norm(vectors, axis=1)
    spins = np.tile([0.0, 0.0, 1.0], (len(geometry), 1))
    zero = lengths <= 0.0
    bad = zero & (np.ones(len(sites), bool) if geometry.magnetic is None else geometry.magnetic[sites])
    if bad.any():
        raise InputError(f"{place} has no spin at site {sites[bad.argmax()]} of the magnet (its vector is zero)")
    spins[sites[~zero]] = vectors[~zero] / lengths[~zero, None]
    return spins


def read_spins(place: Path, name: str = "", index: int = -1) -> SpinFile:
    """Spins of a file of any format that is installed.

    Parameters
    ----------
    place : Path
    name : str
        Style of the kind exports; empty: the one whose files are called so, else whatever ASE reads.
    index : int
        Frame.
    """
    if name:
        reader = load_style("exports", name)
        if not (isinstance(reader, type) and issubclass(reader, ExportFormat)):
            raise StyleError(f"{name!r} is no format of frames (see `spinase styles exports`)")
        return reader().read(place, index)
    if (place / "run.h5").exists() or (place.is_file() and is_run_file(place)):
        run = read_run(place)
        return SpinFile(run.moments[index], run.positions[index])
    if place.suffix == ".mcif":
        magnet = read_mcif(place)
        return SpinFile(magnet.moments, magnet.positions)
    styles = sorted(list_styles("exports"), key=lambda style: style.package != "spinase")
    classes = (style.load() for style in styles)  # one by one: a broken plugin is not asked before our own
    known = next((one for one in classes if one.knows(place) or (place.is_dir() and "spins-*.meta" in one.patterns)), None)
    return read_by_ase(place, index) if known is None else known().read(place, index)


def _sites(geometry: Geometry, count: int, place: Path) -> IntArray:
    """Which sites the file is about: all, or those with a moment."""
    if count == len(geometry):
        return np.arange(count)
    if geometry.magnetic is not None and count == geometry.magnetic.sum():
        return np.flatnonzero(geometry.magnetic)
    raise InputError(f"{place} has {count} spins, the magnet has {len(geometry)} sites: another size, or another lattice")


def match_sites(geometry: Geometry, positions: FloatArray, where: str) -> IntArray:
    """For every site of a magnet the row of `positions` that lies on it, periodic images included, (N,).

    Parameters
    ----------
    geometry : Geometry
        Sites.
    positions : (N, 3)
        Of the spins, length.
    where : str
        What has them, for messages.

    Raises
    ------
    InputError
        If they do not lie on the sites one by one.
    """
    reach = _NEAR * nearest_distance(geometry) if len(geometry) > 1 else np.inf
    corner = geometry.positions.min(axis=0) - positions.min(axis=0)
    worst = np.inf
    for shift in (np.zeros(3), corner):
        order, off = _nearest(geometry, positions + shift, reach)
        if len(np.unique(order)) == len(order) and off.max() <= reach:
            return order
        worst = min(worst, float(off.max()))
    sizes = np.ptp(geometry.positions, axis=0).max(), np.ptp(positions, axis=0).max()
    hint = f"; scale = {sizes[0] / sizes[1]:.6g} would make it as large" if min(sizes) > 0.0 and worst > reach else ""
    raise InputError(
        f"the sites of {where} are not those of the magnet: one of them has no spin within {reach:.3g} (its extent is "
        f"{sizes[1]:.6g}, the magnet's {sizes[0]:.6g}{hint}), or say by_number = true if only the numbers agree"
    )


def _nearest(geometry: Geometry, positions: FloatArray, reach: float) -> tuple[IntArray, FloatArray]:
    """Nearest row of `positions`, and its distance, for every site; images along periodic directions."""
    cell = np.where(geometry.pbc[:, None], geometry.cell, 0.0)
    own, other, images = geometry.positions, positions, np.zeros((1, 3))
    if geometry.pbc.any():
        inverse = np.linalg.pinv(cell)
        own = own - np.floor(own @ inverse + 1e-9) * geometry.pbc @ cell
        other = other - np.floor(other @ inverse + 1e-9) * geometry.pbc @ cell
        steps = np.meshgrid(*([-1, 0, 1] if flag else [0] for flag in geometry.pbc), indexing="ij")
        images = np.stack([step.ravel() for step in steps], axis=1) @ cell
    rows = (other[None] + images[:, None]).reshape(-1, 3)
    near = np.all((rows > own.min(axis=0) - min(reach, 1e9)) & (rows < own.max(axis=0) + min(reach, 1e9)), axis=1)
    kept = np.flatnonzero(near)
    if not len(kept):
        return np.zeros(len(own), dtype=np.int64), np.full(len(own), np.inf)
    distance, found = cKDTree(rows[kept]).query(own)
    return kept[np.asarray(found)] % len(positions), np.asarray(distance)


__all__ = ["match_sites", "read_spins", "spins_from_file"]
