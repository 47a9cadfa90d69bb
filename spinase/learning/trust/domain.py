"""What a network was trained on: distances, neighbours, boundaries, density, moments and electrons.

Outside it extrapolates, and nothing holds it there.  A :class:`Domain` is made of the geometries of a training and kept in
the model's card; :meth:`Domain.problem` holds another geometry against it.

Neighbours are counted by shells: the distances of a pair of species that occur in the training, cut where a gap of more
than a part 0.05 of a distance lies between them.  On a lattice every shell has one distance and one coordination number, so
another lattice, another lattice constant and an edge are all seen.  Where shells are wider than such a gap (structures at
random, hot crystals) there is one, from the shortest distance to the longest, with a range of coordination numbers.
Lattices that share all distances and coordination numbers within the cutoff (fcc and hcp below 1.63 nearest distances) are
not told apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from spinase.errors import ModelFileError
from spinase.geometry import Bonds, Geometry, find_bonds
from spinase.learning.trust.device import Widths, cross_section, width_problem
from spinase.learning.trust.quick_look import PairTables, all_as_trained, pair_tables
from spinase.learning.trust.shells import (
    Shell,
    by_pair,
    count_neighbours,
    directed,
    fingerprint,
    pair_of,
    places_of,
    shells_of,
    span,
)
from spinase.typing import FloatArray

Range = tuple[float, float]

_DENSITY_WIDTH = 0.1  # part by which the density may be off; the error of disordered-sd grows by a fifth there
_COUNT_WIDTH = 0.1  # part of the largest coordination number by which one may be off a range of them
_LENGTH_WIDTH = 0.02  # part by which the length of a moment may be off
_ELECTRON_WIDTH = 0.01  # part of its range by which a filling or a chemical potential may be off


@dataclass(frozen=True)
class DomainProblem:
    """What is outside the training.

    Attributes
    ----------
    text : str
        What, where, and what was trained.
    fatal : bool
        Whether no use can be made of an answer: sites are closer than any of the training, a device is of another width.
    """

    text: str
    fatal: bool = False

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Domain:
    """The training of a network.  What is None (or empty) is not known, and is not looked at.

    Attributes
    ----------
    cutoff : float
        Range of a layer: neighbours are counted up to it, length.
    shortest : dict
        Shortest distance of every pair of species that met within the cutoff, by :func:`pair_name`, length.
    shells : tuple of Shell
        Distances and coordination numbers.
    boundaries : tuple of str
        Which directions were periodic, one letter each: ``ppp``, ``ppf``, ... (p: periodic, f: open).
    density : (float, float) or None
        Sites per volume, of geometries that are periodic in all directions, 1/length^3.
    lengths : (float, float) or None
        Shortest and longest moment, mu_B or |m|.
    nonmagnetic : bool or None
        Whether there were sites without a moment.
    fillings, chemical_potentials : (float, float) or None
        Of the electrons, where the network knows them: electrons per spin-orbital; energy.
    biases : (float, float) or None
        Between the leads of a device, where the network knows them, energy.
    current, widths : int or None, tuple of (float, float)
        Cartesian axis along which a current flows, and widths of the devices across it
        (:func:`~spinase.learning.trust.device.cross_section`), length.
    """

    cutoff: float
    shortest: Mapping[str, float]
    shells: tuple[Shell, ...] = ()
    boundaries: tuple[str, ...] = ()
    density: Range | None = None
    lengths: Range | None = None
    nonmagnetic: bool | None = None
    fillings: Range | None = None
    chemical_potentials: Range | None = None
    biases: Range | None = None
    current: int | None = None
    widths: tuple[Widths, ...] = ()

    @classmethod
    def from_geometries(cls, geometries: Sequence[Geometry], cutoff: float) -> Domain:
        """What the geometries of a training tell."""
        different = list({fingerprint(one): one for one in geometries}.values())
        shells = shells_of(different, cutoff)
        shortest: dict[str, float] = {}
        for shell in shells:
            name = pair_name(shell.centre, shell.neighbour)
            shortest[name] = min(shortest.get(name, np.inf), shell.shortest)
        densities = [len(one) / one.volume for one in different if one.pbc.all()]
        return cls(
            float(cutoff),
            shortest,
            shells,
            tuple(sorted({boundary_word(one) for one in different})),
            (min(densities), max(densities)) if densities else None,
        )

    def with_moments(self, lengths: FloatArray) -> Domain:
        """The same with the lengths of the moments of the training, of any shape; zero: a site without one."""
        some = lengths[lengths > 0.0]
        if not some.size:
            return replace(self, nonmagnetic=True)
        return replace(self, lengths=(float(some.min()), float(some.max())), nonmagnetic=bool(some.size < lengths.size))

    def with_electrons(self, fillings: Range | None, chemical_potentials: Range | None) -> Domain:
        """The same with the ranges of fillings and chemical potentials of the training."""
        return replace(self, fillings=fillings, chemical_potentials=chemical_potentials)

    def with_devices(self, biases: Range | None, axis: int | None, geometries: Sequence[Geometry]) -> Domain:
        """The same with the biases, and the cross-sections of devices with a current along an axis.

        Parameters
        ----------
        biases : (float, float) or None
            Smallest and largest bias of the labels, energy.
        axis : int or None
            Direction of the current.
        geometries : sequence of Geometry
            Those of the labels.
        """
        widths = set() if axis is None else {cross_section(geometry, axis) for geometry in geometries}
        return replace(self, biases=biases, current=axis, widths=tuple(sorted(widths)))

    # -- questions ----------------------------------------------------------------------------------------------------

    def problem(
        self,
        geometry: Geometry,
        lengths: FloatArray | None = None,
        margin: float = 0.02,
        bonds: Bonds | None = None,
    ) -> DomainProblem | None:
        """What of a geometry is outside the training; None if nothing is.

        Parameters
        ----------
        geometry : Geometry
            Positions, cell, boundaries, species.
        lengths : (N,) ndarray, optional
            Lengths of the moments, mu_B or |m|.
        margin : float
            Part by which a distance may be below the shortest one.
        bonds : Bonds, optional
            All pairs within the cutoff, if they are at hand.
        """
        bonds = find_bonds(geometry, self.cutoff) if bonds is None else bonds
        narrow = None if self.current is None else width_problem(geometry, self.current, self.widths)
        if narrow is not None:
            return DomainProblem(narrow, fatal=True)
        found = None
        if not all_as_trained(self._pair_tables, geometry.numbers, bonds, margin):
            found = self._too_close(geometry, bonds, margin) or self._strange_surroundings(geometry, bonds)
        found = found or self._strange_density(geometry)
        return found or (None if lengths is None else self.moment_problem(lengths))

    def electron_problem(self, filling: float | None, chemical_potential: float | None) -> str | None:
        """What of a filling or a chemical potential is outside the training; None if nothing is."""
        asked = (
            ("filling", filling, self.fillings, "electrons per spin-orbital"),
            ("chemical potential", chemical_potential, self.chemical_potentials, "energy"),
        )
        for name, value, trained, unit in asked:
            if value is None or trained is None:
                continue
            slack = _ELECTRON_WIDTH * (trained[1] - trained[0])
            if not trained[0] - slack <= value <= trained[1] + slack:
                return f"a {name} of {value:.6g} [{unit}] is outside the training, which had {span(*trained, 6)}"
        return None

    def bias_problem(self, bias: float | None) -> str | None:
        """What of a bias, energy, is outside the training; None if nothing is."""
        if bias is None or self.biases is None:
            return None
        slack = _ELECTRON_WIDTH * (self.biases[1] - self.biases[0])
        if self.biases[0] - slack <= bias <= self.biases[1] + slack:
            return None
        return f"a bias of {bias:.6g} [energy] is outside the training, which had {span(*self.biases, 6)}"

    def unknown(self) -> list[str]:
        """What the training had that is not known."""
        told = {
            "shortest distances": bool(self.shortest),
            "coordination numbers": bool(self.shells),
            "boundaries": bool(self.boundaries),
            "lengths of moments": self.nonmagnetic is not None,
        }
        return [name for name, known in told.items() if not known]

    def describe(self) -> str:
        """One line: what was trained."""
        words = [f"{pair_of(shell)} at {shell.distances}: {shell.counts}" for shell in self.shells]
        parts = [f"neighbours within {self.cutoff:g}: " + "; ".join(words)] if words else []
        if not words and self.shortest:
            parts = ["distances from " + ", ".join(f"{value:.4g} ({name})" for name, value in self.shortest.items())]
        if self.density is not None:
            parts.append(f"density {span(*self.density)}")
        if self.boundaries:
            parts.append(f"boundaries {' '.join(self.boundaries)}")
        if self.fillings is not None:
            parts.append(f"fillings {span(*self.fillings)}")
        if self.chemical_potentials is not None:
            parts.append(f"chemical potentials {span(*self.chemical_potentials)}")
        if self.biases is not None:
            parts.append(f"biases {span(*self.biases)}")
        if self.widths:
            parts.append("across the current " + " or ".join(f"{one:g} x {two:g}" for one, two in self.widths))
        missing = self.unknown()
        return ", ".join([*parts, f"not told: {', '.join(missing)}"] if missing else parts)

    @cached_property
    def _pair_tables(self) -> PairTables:
        """Shortest distances and shells for the quick look."""
        shortest = {_species_of(name): bound for name, bound in self.shortest.items()}
        return pair_tables(shortest, self.shells, [_slack(shell) for shell in self.shells])

    # -- checks -------------------------------------------------------------------------------------------------------

    def _too_close(self, geometry: Geometry, bonds: Bonds, margin: float) -> DomainProblem | None:
        """The worst pair below the shortest distance trained, by species."""
        if not self.shortest:
            return None
        for (one, two), chosen in by_pair(geometry.numbers, bonds.first, bonds.second, ordered=False):
            name, distances = pair_name(one, two), bonds.distances[chosen]
            bound = self.shortest.get(name)
            if bound is not None and distances.min() >= (1.0 - margin) * bound:
                continue
            b = np.flatnonzero(chosen)[distances.argmin()]
            found = f"sites {bonds.first[b]} and {bonds.second[b]} ({name}) are {bonds.distances[b]:.4g} apart"
            if bound is None:
                return DomainProblem(f"{found}, and such a pair was never trained within {self.cutoff:g}", True)
            return DomainProblem(f"{found}, the shortest distance trained is {bound:.4g}", True)
        return None

    def _strange_surroundings(self, geometry: Geometry, bonds: Bonds) -> DomainProblem | None:
        """A distance between shells, or a coordination number that no site of the training had."""
        if not self.shells:
            return None
        centre, other, distances = directed(bonds)
        kinds = dict(by_pair(geometry.numbers, centre, other, ordered=True))
        none = np.zeros(len(centre), dtype=bool)
        pairs = {(shell.centre, shell.neighbour) for shell in self.shells}
        for pair in sorted(pairs):
            shells = [shell for shell in self.shells if (shell.centre, shell.neighbour) == pair]
            rows = np.flatnonzero(kinds.get(pair, none))
            places = places_of(distances[rows], shells)
            if (places < 0).any():
                b = rows[np.flatnonzero(places < 0)[0]]
                trained = ", ".join(shell.distances for shell in shells)
                return DomainProblem(
                    f"sites {centre[b]} and {other[b]} ({pair_of(shells[0])}) are {distances[b]:.4g} apart, where the "
                    f"training had distances of {trained} only{self._open_edge(geometry)}"
                )
            sites = np.flatnonzero(geometry.numbers == pair[0])
            for number, shell in enumerate(shells):
                counts = np.bincount(centre[rows[places == number]], minlength=len(geometry))[sites]
                slack = _slack(shell)
                wrong = np.flatnonzero((counts < shell.fewest - slack) | (counts > shell.most + slack))
                if len(wrong):
                    return DomainProblem(
                        f"site {sites[wrong[0]]} has {counts[wrong[0]]} neighbours ({pair_of(shell)}) at {shell.distances}, "
                        f"where those of the training had {shell.counts} ({len(wrong)} of {len(geometry)} sites are "
                        f"such){self._open_edge(geometry)}"
                    )
        return None

    def _open_edge(self, geometry: Geometry) -> str:
        if not self.boundaries or boundary_word(geometry) in self.boundaries:
            return ""
        return f"; boundaries are {boundary_word(geometry)} here and were {' '.join(self.boundaries)} (p: periodic, f: open)"

    def _strange_density(self, geometry: Geometry) -> DomainProblem | None:
        if self.density is None or not geometry.pbc.all():
            return None
        density = len(geometry) / geometry.volume
        if (1.0 - _DENSITY_WIDTH) * self.density[0] <= density <= (1.0 + _DENSITY_WIDTH) * self.density[1]:
            return None
        return DomainProblem(f"there are {density:.4g} sites per volume, the training had {span(*self.density)}")

    def moment_problem(self, lengths: FloatArray) -> DomainProblem | None:
        """What of lengths of moments (any number of them, mu_B or |m|) is outside the training; None if nothing is."""
        if self.nonmagnetic is False and (lengths == 0.0).any():
            return DomainProblem(f"site {lengths.argmin()} has no moment, every site of the training had one")
        if self.lengths is None:
            return None
        short, long = self.lengths
        within = (lengths >= (1.0 - _LENGTH_WIDTH) * short) & (lengths <= (1.0 + _LENGTH_WIDTH) * long)
        wrong = np.flatnonzero(~within & (lengths > 0.0))
        if not len(wrong):
            return None
        return DomainProblem(
            f"the moment of site {wrong[0]} has a length of {lengths[wrong[0]]:.4g}, those of the training had "
            f"{span(short, long)}: the energy does not know it, fields are the training's torques over this length"
        )

    # -- cards --------------------------------------------------------------------------------------------------------

    def to_table(self) -> dict[str, Any]:
        """As JSON values, for a card."""
        return {
            "cutoff": self.cutoff,
            "shells": [
                {
                    "pair": [chemical_symbols[shell.centre], chemical_symbols[shell.neighbour]],
                    "distances": [shell.shortest, shell.longest],
                    "neighbours": [shell.fewest, shell.most],
                }
                for shell in self.shells
            ],
            "shortest_distances": dict(self.shortest),
            "boundaries": list(self.boundaries),
            "density": _listed(self.density),
            "moments": _listed(self.lengths),
            "nonmagnetic": self.nonmagnetic,
            "fillings": _listed(self.fillings),
            "chemical_potentials": _listed(self.chemical_potentials),
            **({} if self.biases is None else {"biases": _listed(self.biases)}),
            **({} if self.current is None else {"current": self.current, "widths": [list(one) for one in self.widths]}),
        }

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Domain:
        """What :meth:`to_table` gave.

        Raises
        ------
        ModelFileError
            If it is something else.
        """
        try:
            return cls(
                float(table["cutoff"]),
                {str(name): float(value) for name, value in table["shortest_distances"].items()},
                tuple(_shell(entry) for entry in table["shells"]),
                tuple(str(word) for word in table["boundaries"]),
                _range(table["density"]),
                _range(table["moments"]),
                None if table["nonmagnetic"] is None else bool(table["nonmagnetic"]),
                _range(table["fillings"]),
                _range(table["chemical_potentials"]),
                _range(table.get("biases")),
                None if table.get("current") is None else int(table["current"]),
                tuple((float(one), float(two)) for one, two in table.get("widths", ())),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelFileError(f"the card's table of the trained domain is incomplete or wrong ({error!r})") from None


def pair_name(one: int, two: int) -> str:
    """Name of a pair of atomic numbers, ``Co-Fe``: symbols in alphabetical order."""
    return "-".join(sorted((chemical_symbols[one], chemical_symbols[two])))


def _species_of(name: str) -> tuple[int, int]:
    """The atomic numbers of :func:`pair_name`."""
    one, two = (atomic_numbers[symbol] for symbol in name.split("-"))
    return one, two


def _slack(shell: Shell) -> int:
    """By how much a coordination number may be off a range of them."""
    return int(_COUNT_WIDTH * shell.most) if shell.fewest < shell.most else 0


def boundary_word(geometry: Geometry) -> str:
    """``ppf`` for a geometry that is periodic in its first two directions."""
    return "".join("p" if periodic else "f" for periodic in geometry.pbc)


def _listed(values: Range | None) -> list[float] | None:
    return None if values is None else list(values)


def _range(values: Any) -> Range | None:
    if values is None:
        return None
    low, high = (float(value) for value in values)
    if not low <= high:
        raise ValueError(f"a range must ascend, got {values}")
    return low, high


def _shell(entry: Mapping[str, Any]) -> Shell:
    one, two = (atomic_numbers[symbol] for symbol in entry["pair"])
    (short, long), (few, many) = entry["distances"], entry["neighbours"]
    return Shell(one, two, float(short), float(long), int(few), int(many))


__all__ = ["Domain", "DomainProblem", "Shell", "boundary_word", "count_neighbours", "pair_name"]
