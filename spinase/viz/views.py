"""What of a magnet is shown: a layer of three dimensions, staggered spins, the Brillouin zone; and words of figures."""

from __future__ import annotations

import numpy as np
from scipy.spatial import Voronoi, cKDTree

from spinase.typing import BoolArray, FloatArray

_ANTIFERROMAGNET = -0.3  # mean s_i.s_j of neighbours below which staggered spins tell more
_PRINTED = {
    "<s_i.s_j>": r"$\langle s_i \cdot s_j \rangle$",
    "s_i.s_j": r"$s_i \cdot s_j$",
    "1/(hbar/t)": "t/\u0127",
    "hbar": "\u0127",
    "mu_B": r"$\mu_B$",
    "Angstrom": "\u00c5",
}


def in_print(text: str) -> str:
    """Words of a figure as they are printed: one spelling for one unit wherever it stands.

    Parameters
    ----------
    text : str
        As files and logs say it.
    """
    for word, printed in _PRINTED.items():
        text = text.replace(word, printed)
    return text


def spacing(points: FloatArray) -> float:
    """Median distance of a point to its nearest neighbour."""
    if len(points) < 2:
        return 1.0
    return float(np.median(np.asarray(cKDTree(points).query(points, k=2)[0])[:, 1])) or 1.0


def middle_layer(positions: FloatArray) -> BoolArray:
    """Sites (N,) of a three-dimensional magnet in the layer nearest to its middle height.

    A layer is as thick as 0.6 distances of neighbours: one plane of a crystal, a slab of a disordered magnet.

    Parameters
    ----------
    positions : (N, 3) ndarray
        Sites, length.
    """
    heights = positions[:, 2]
    middle = 0.5 * (heights.min() + heights.max())
    level = heights[int(np.abs(heights - middle).argmin())]
    return np.asarray(np.abs(heights - level) <= 0.3 * spacing(positions))


def staggering(positions: FloatArray, spins: FloatArray) -> FloatArray | None:
    """Signs (N,) of two sublattices of neighbours, +1 and -1, if the spins alternate between them; None if they do not.

    Parameters
    ----------
    positions, spins : (N, 3) ndarray
        Sites (length) and unit vectors; zero rows: no magnetic site.
    """
    magnetic = np.flatnonzero(spins.any(axis=1))
    if len(magnetic) < 2:
        return None
    pairs = cKDTree(positions[magnetic]).query_pairs(1.1 * spacing(positions[magnetic]), output_type="ndarray")
    if not len(pairs):
        return None
    one, two = magnetic[pairs[:, 0]], magnetic[pairs[:, 1]]
    if float(np.mean(np.sum(spins[one] * spins[two], axis=1))) > _ANTIFERROMAGNET:
        return None
    neighbours: list[list[int]] = [[] for _ in positions]
    for i, j in zip(one.tolist(), two.tolist(), strict=True):
        neighbours[i].append(j)
        neighbours[j].append(i)
    signs = np.zeros(len(positions))
    for start in magnetic:
        if signs[start] == 0.0:
            signs[start], front = 1.0, [int(start)]
            while front:
                site = front.pop()
                for other in neighbours[site]:
                    if signs[other] == 0.0:
                        signs[other] = -signs[site]
                        front.append(other)
    return signs if np.all(signs[one] == -signs[two]) else None


def lattice_of(points: FloatArray) -> FloatArray | None:
    """Two basis vectors (2, 2) of the simple lattice that holds all points (N, 2), shortest first; None if there is none."""
    steps = points - points[int(np.argmin(np.linalg.norm(points - points.mean(axis=0), axis=1)))]
    lengths = np.linalg.norm(steps, axis=1)
    ordered = steps[np.argsort(lengths, kind="stable")][1:]
    if not len(ordered):
        return np.eye(2)
    first = ordered[0]
    turn = first[0] * ordered[:, 1] - first[1] * ordered[:, 0]
    independent = np.flatnonzero(np.abs(turn) > 1e-3 * (first @ first))
    second = ordered[independent[0]] if len(independent) else np.array([-first[1], first[0]])  # a chain: square tiles
    basis = np.stack([first, second])
    turns = steps @ np.linalg.inv(basis)
    return None if np.abs(turns - np.round(turns)).max() > 1e-3 else basis


def wigner_seitz(basis: FloatArray) -> FloatArray:
    """Corners (k, 2) of the Wigner-Seitz cell of a lattice, around the origin; `basis`: its vectors as rows."""
    grid = np.stack(np.meshgrid(np.arange(-2, 3), np.arange(-2, 3), indexing="ij"), axis=-1).reshape(-1, 2)
    diagram = Voronoi(grid @ basis)
    corners = diagram.vertices[diagram.regions[diagram.point_region[12]]]  # the middle one of 25
    return np.asarray(corners[np.argsort(np.arctan2(corners[:, 1], corners[:, 0]))])


def brillouin_zone(positions: FloatArray, cell: FloatArray) -> FloatArray | None:
    """Corners (k, 2) of the first Brillouin zone of a planar magnet with one site a cell, 1/length; None for others.

    Parameters
    ----------
    positions : (N, 3) ndarray
        Sites, length.
    cell : (3, 3) ndarray
        Cell vectors as rows, length: sites must fill it.
    """
    area = abs(float(np.linalg.det(cell[:2, :2])))
    if float(np.ptp(positions[:, 2])) > 1e-6 or area == 0.0:
        return None
    basis = lattice_of(positions[:, :2])
    if basis is None or not np.isclose(abs(np.linalg.det(basis)) * len(positions), area, rtol=1e-3):
        return None
    return wigner_seitz(np.asarray(2.0 * np.pi * np.linalg.inv(basis).T, dtype=np.float64))


__all__ = ["brillouin_zone", "in_print", "lattice_of", "middle_layer", "spacing", "staggering", "wigner_seitz"]
