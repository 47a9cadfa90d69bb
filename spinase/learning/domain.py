"""The distances a network was trained on: below them it extrapolates, and nothing holds it there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ase.data import chemical_symbols

from spinase.geometry import Geometry, find_bonds


def pair_name(one: int, two: int) -> str:
    """Name of a pair of atomic numbers, ``Co-Fe``: symbols in alphabetical order."""
    return "-".join(sorted((chemical_symbols[one], chemical_symbols[two])))


def shortest_distances(geometries: Iterable[Geometry], cutoff: float) -> dict[str, float]:
    """Shortest distance (length) of every pair of species that meets within `cutoff`, by :func:`pair_name`."""
    found: dict[str, float] = {}
    for geometry in geometries:
        bonds = find_bonds(geometry, cutoff)
        for i, j, distance in zip(bonds.first, bonds.second, bonds.distances, strict=True):
            name = pair_name(int(geometry.numbers[i]), int(geometry.numbers[j]))
            found[name] = min(found.get(name, float("inf")), float(distance))
    return found


def too_close(geometry: Geometry, shortest: Mapping[str, float], cutoff: float, margin: float) -> str | None:
    """What is wrong with the distances of a geometry; None if nothing is.

    Parameters
    ----------
    geometry : Geometry
        Positions and cell.
    shortest : mapping
        Of :func:`shortest_distances`; a pair of species that is not in it never met within the cutoff in the training.
    cutoff : float
        Range of the network, length.
    margin : float
        Part by which a distance may be below the shortest one.
    """
    reach = cutoff if _has_strange_pair(geometry, shortest) else max(shortest.values(), default=cutoff) * (1.0 - margin)
    bonds = find_bonds(geometry, reach)
    for b in bonds.distances.argsort():
        i, j, distance = int(bonds.first[b]), int(bonds.second[b]), float(bonds.distances[b])
        name = pair_name(int(geometry.numbers[i]), int(geometry.numbers[j]))
        found = f"sites {i} and {j} ({name}) are {distance:.4g} apart"
        if name not in shortest:
            return f"{found}, and such a pair was never trained within {cutoff:g}"
        if distance < (1.0 - margin) * shortest[name]:
            return f"{found}, the shortest distance trained is {shortest[name]:.4g}"
    return None


def _has_strange_pair(geometry: Geometry, shortest: Mapping[str, float]) -> bool:
    present = sorted({int(number) for number in geometry.numbers})
    return any(pair_name(one, two) not in shortest for one in present for two in present)


__all__ = ["pair_name", "shortest_distances", "too_close"]
