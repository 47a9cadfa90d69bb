"""A device as a sequence of layers, and what leads send through it at real energies (recursive Green's function)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from spinase.compiled.rows import aligned, padded_length
from spinase.compiled.threads import default_threads, map_threads
from spinase.electrons.operator import SpinOperator
from spinase.electrons.sparse.elimination import adjacency, distance_levels
from spinase.electrons.sparse.selected_inversion import site_blocks
from spinase.electrons.transport.contacts import AttachedLead, DenseContact, WideBandContact
from spinase.electrons.transport.sweep import Contacts, Layout, Sources, Values, bond_densities, site_densities, sweep
from spinase.typing import BoolArray, ComplexArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Injected:
    """Spectral densities G Gamma_a G+ of electrons that come in through lead a, at K energies.

    Attributes
    ----------
    sites : (K, A, N, 4)
        Tr and Tr[sigma ...] of the site blocks, 1/energy; leads without a request are zero.
    bonds : (K, A, n_bonds, 2, 2) complex
        Blocks (first, second) of the bonds; no bonds if not asked for.
    transmission : (K, A, A)
        From lead a (second axis) to lead b (third): Tr[Gamma_b G Gamma_a G+]; the diagonal is left at 0.
    """

    sites: FloatArray
    bonds: ComplexArray
    transmission: FloatArray


class _Group(NamedTuple):
    """Columns that go together: of which lead, and which of its channels."""

    lead: int
    channels: IntArray


@dataclass(frozen=True, eq=False)
class Scattering:
    """Amplitudes between the channels of all leads at one energy.

    Attributes
    ----------
    matrix : (n, n) complex
        S = 1 - i W+ G W, into channel (row) from channel (column); unitary.
    leads : (n,) int
        Lead of every channel.
    """

    matrix: ComplexArray
    leads: IntArray


class LayeredDevice:
    """Layers by distance from the first lead's contact.

    Parameters
    ----------
    sites : int
    first, second : (n_bonds,) int
        Bonds of the operators to come.
    leads : sequence of AttachedLead
        The self-energy of a lattice lead lies within one layer.
    """

    def __init__(self, sites: int, first: IntArray, second: IntArray, leads: Sequence[AttachedLead]) -> None:
        self.leads = list(leads)
        self.first, self.second = first, second
        level = _levels(sites, first, second, leads)
        self.order = np.argsort(level, kind="stable")
        self.place = np.empty(sites, dtype=np.int64)
        self.place[self.order] = np.arange(sites)
        self.layer = level
        starts = np.concatenate([[0], np.cumsum(np.bincount(level))])
        self.layout, self._inner, self._outer, self._turned = self._plan(starts)
        self._widths = 2 * np.diff(starts)
        self._size = int(self.layout.blocks[-1])
        self._touched = [self._touches(lead) for lead in leads]
        self.local = np.zeros((sites, 2, 2), dtype=np.complex128)
        for lead in leads:
            if isinstance(lead, WideBandContact):
                self.local[lead.sites] += -0.5j * lead.broadening

    @property
    def layers(self) -> int:
        """Number of layers."""
        return len(self._widths)

    def _plan(self, starts: IntArray) -> tuple[Layout, IntArray, IntArray, BoolArray]:
        near, far = self.layer[self.first], self.layer[self.second]
        inner = np.flatnonzero(near == far)
        inner = inner[np.argsort(near[inner], kind="stable")]
        outer = np.flatnonzero(near != far)
        low = np.minimum(near, far)
        rows = np.where(near < far, self.first, self.second)
        columns = np.where(near < far, self.second, self.first)
        outer = outer[np.lexsort((self.place[columns[outer]], self.place[rows[outer]], low[outer]))]
        count = len(starts) - 1
        sizes = 2 * np.diff(starts)
        layout = Layout(
            sites=starts,
            inner=np.searchsorted(near[inner], np.arange(count + 1)),
            inner_rows=self.place[self.first[inner]] - starts[near[inner]],
            inner_columns=self.place[self.second[inner]] - starts[near[inner]],
            outer=np.searchsorted(low[outer], np.arange(count + 1)),
            outer_rows=self.place[rows[outer]] - starts[low[outer]],
            outer_columns=self.place[columns[outer]] - starts[low[outer] + 1],
            blocks=np.concatenate([[0], np.cumsum([2 * size * padded_length(int(size)) for size in sizes])]),
        )
        return layout, inner, outer, (near > far)[outer]

    def values(self, operator: SpinOperator) -> Values:
        """The operator in the order of the layers."""
        hopping = operator.hopping.astype(np.complex128)
        outer = np.where(self._turned, hopping[self._outer].conj(), hopping[self._outer])
        turning = np.zeros((0, 2, 2), dtype=np.complex128)
        inner_turning, outer_turning = turning, turning
        if operator.spin_hopping is not None:
            turning = operator.bond_entries() - hopping[:, None, None] * np.eye(2)
            inner_turning, there = turning[self._inner], turning[self._outer]
            outer_turning = np.where(self._turned[:, None, None], there.conj().swapaxes(1, 2), there)
        return Values(
            blocks=(site_blocks(operator) + self.local)[self.order],
            inner=hopping[self._inner],
            outer=outer,
            uniform=self._uniform(outer) if not outer_turning.any() else np.zeros(self.layers),
            inner_turning=np.ascontiguousarray(inner_turning),
            outer_turning=np.ascontiguousarray(outer_turning),
        )

    def _uniform(self, outer: ComplexArray) -> FloatArray:
        layout, uniform = self.layout, np.zeros(self.layers)
        for n in range(self.layers - 1):
            part = slice(layout.outer[n], layout.outer[n + 1])
            count = self._widths[n] // 2
            straight = np.arange(count)
            if (
                self._widths[n] == self._widths[n + 1]
                and np.array_equal(layout.outer_rows[part], straight)
                and np.array_equal(layout.outer_columns[part], straight)
                and np.all(outer[part] == outer[part][0])
            ):
                uniform[n] = abs(outer[part][0]) ** 2
        return uniform

    def inject(self, operator: SpinOperator, energies: FloatArray, wanted: Sequence[int], bonds: bool = False) -> Injected:
        """What comes in through the leads `wanted` at `energies` (K,), with the bonds' blocks if asked for.

        Parameters
        ----------
        operator : SpinOperator
            On the device's own pattern.
        energies : (K,) ndarray
            Real, energy.
        wanted : sequence of int
            Numbers of the leads.
        bonds : bool
            Whether the bonds' blocks are asked for.
        """
        values = self.values(operator)
        count, leads = len(energies), len(self.leads)
        pairs = len(self.first) if bonds else 0
        result = Injected(
            np.zeros((count, leads, len(operator), 4)),
            np.zeros((count, leads, pairs, 2, 2), dtype=np.complex128),
            np.zeros((count, leads, leads)),
        )

        # self-energies are made here and not in threads: leads keep them
        resolved = [self._resolved(float(energy)) for energy in energies]
        inputs = [(self._contacts(energy), *self._sources(energy, wanted)) for energy in resolved]

        def run(part: IntArray) -> None:
            """Some of the energies, into `result`."""
            green = aligned(self._size, np.float64)
            for k in part:
                if inputs[k][2]:
                    self._one(values, resolved[k], inputs[k], green, result, int(k))

        threads = min(default_threads(), max(count, 1))
        map_threads(run, np.array_split(np.arange(count), threads), threads)
        return result

    def scattering(self, operator: SpinOperator, energies: FloatArray) -> list[Scattering]:
        """Scattering matrices between all leads (baths, too) at `energies` (K,), real, energy."""
        values, everyone = self.values(operator), range(len(self.leads))
        resolved = [self._resolved(float(energy)) for energy in energies]
        inputs = [(self._contacts(energy), *self._sources(energy, everyone)) for energy in resolved]
        closed = Scattering(np.empty((0, 0), dtype=np.complex128), np.empty(0, dtype=np.int64))
        found = [closed] * len(resolved)

        def run(part: IntArray) -> None:
            """Some of the energies, into `found`."""
            green = aligned(self._size, np.float64)
            for k in part:
                contacts, sources, groups = inputs[k]
                if groups:
                    waves = sweep(resolved[k], self.layout, values, contacts, sources, green)
                    found[k] = self._amplitudes(resolved[k], waves, sources, groups)

        threads = min(default_threads(), max(len(resolved), 1))
        map_threads(run, np.array_split(np.arange(len(resolved)), threads), threads)
        return found

    def _amplitudes(self, energy: float, waves: FloatArray, sources: Sources, groups: list[_Group]) -> Scattering:
        """S of the waves psi = G W that :func:`sweep` made."""
        roots = [lead.sources(energy) for lead in self.leads]
        counts = [root.shape[1] for root in roots]
        begin = np.cumsum([0, *counts])
        width, places = int(sources.starts[-1]), self._places(int(sources.starts[-1]))
        used = np.concatenate([np.arange(at, at + n) for at, n in zip(sources.starts[:-1], sources.counts, strict=True)])
        channels = np.concatenate([begin[group.lead] + group.channels for group in groups])
        matrix = np.eye(int(begin[-1]), dtype=np.complex128)
        for b, (lead, root) in enumerate(zip(self.leads, roots, strict=True)):
            rows = (places[0][lead.sites][:, None] + np.array([0, width])).ravel()
            shift = np.repeat(places[1][lead.sites], 2)
            here = waves[rows[:, None] + used] + 1j * waves[(rows + shift)[:, None] + used]
            matrix[begin[b] : begin[b + 1], channels] -= 1j * (root.conj().T @ here)
        return Scattering(matrix, np.repeat(np.arange(len(counts)), counts))

    def _resolved(self, energy: float) -> float:
        """The energy, aside of the edges of all leads."""
        for lead in self.leads * 2:
            energy = lead.resolved(energy)
        return energy

    def _one(
        self,
        values: Values,
        energy: float,
        inputs: tuple[Contacts, Sources, list[_Group]],
        green: FloatArray,
        result: Injected,
        k: int,
    ) -> None:
        contacts, sources, owners = inputs
        columns = int(sources.starts[-1])
        waves = sweep(energy, self.layout, values, contacts, sources, green)
        places = self._places(columns)
        slots = {lead: n for n, lead in enumerate(dict.fromkeys(group.lead for group in owners))}
        ordered = np.zeros((len(slots), len(self.order), 4))
        for n, (lead, channels) in enumerate(owners):
            first = int(sources.starts[n])
            stop = first + len(channels)
            site_densities(waves, self.layout, columns, first, stop, ordered[slots[lead]])
            if result.bonds.shape[2]:
                pairs = (self.first, self.second)
                bond_densities(waves, places, columns, first, stop, pairs, result.bonds[k, lead])
            self._transmit(energy, lead, waves, places, (columns, first, stop), result.transmission[k])
        for lead, slot in slots.items():
            result.sites[k, lead, self.order] = ordered[slot]
        for b, other in enumerate(self.leads):
            if isinstance(other, WideBandContact):
                into = _absorbed(other, result.sites[k][:, other.sites])
                into[b] = 0.0
                result.transmission[k, :, b] += into

    def _places(self, columns: int) -> tuple[IntArray, IntArray]:
        """Offsets of the first row of each site in the waves, and from there to the imaginary part."""
        starts, layer = self.layout.sites, self.layer
        return (
            4 * starts[layer] * columns + 2 * (self.place - starts[layer]) * columns,
            self._widths[layer] * columns,
        )

    def _transmit(
        self,
        energy: float,
        lead: int,
        waves: FloatArray,
        places: tuple[IntArray, IntArray],
        window: tuple[int, int, int],
        result: FloatArray,
    ) -> None:
        """Add what the columns of `lead` give away to the lattice leads."""
        columns, first, stop = window
        for b, other in enumerate(self.leads):
            if b == lead or not isinstance(other, DenseContact):
                continue
            rows = (places[0][other.sites][:, None] + np.array([0, columns])).ravel()
            shift = np.repeat(places[1][other.sites], 2)
            across = np.arange(first, stop)
            here = waves[rows[:, None] + across] + 1j * waves[(rows + shift)[:, None] + across]
            result[lead, b] += float(np.sum(np.abs(other.sources(energy).conj().T @ here) ** 2))

    def _contacts(self, energy: float) -> Contacts:
        dense = [lead for lead in self.leads if isinstance(lead, DenseContact)]
        orbitals = [self._orbitals(lead.sites) for lead in dense]
        entries = [lead.self_energy(energy).ravel() for lead in dense]
        return Contacts(
            layers=np.array([self.layer[lead.sites[0]] for lead in dense], dtype=np.int64),
            starts=np.cumsum([0, *(len(part) for part in orbitals)]),
            orbitals=np.concatenate([np.empty(0, dtype=np.int64), *orbitals]),
            entries=np.concatenate([np.empty(0, dtype=np.complex128), *entries]),
        )

    def _sources(self, energy: float, wanted: Sequence[int]) -> tuple[Sources, list[_Group]]:
        """Groups of columns, one for each lead and layer, deepest first, and what they are of."""
        found: list[tuple[int, IntArray, ComplexArray, _Group]] = []
        for lead in wanted:
            columns = self.leads[lead].sources(energy)
            for layer, rows, orbitals in self._touched[lead]:
                used = np.flatnonzero(np.abs(columns[rows]).max(axis=0, initial=0.0) > 0.0)
                if len(used):
                    found.append((layer, orbitals, columns[rows][:, used], _Group(lead, used)))
        found.sort(key=lambda one: -one[0])
        counts = [one[2].shape[1] for one in found]
        sources = Sources(
            layers=np.array([one[0] for one in found], dtype=np.int64),
            orbital_starts=np.cumsum([0, *(len(one[1]) for one in found)]),
            orbitals=np.concatenate([np.empty(0, dtype=np.int64), *(one[1] for one in found)]),
            starts=np.cumsum([0, *(padded_length(count) for count in counts)]),
            counts=np.array(counts, dtype=np.int64),
            entries=np.concatenate([np.empty(0, dtype=np.complex128), *(one[2].ravel() for one in found)]),
        )
        return sources, [one[3] for one in found]

    def _touches(self, lead: AttachedLead) -> list[tuple[int, IntArray, IntArray]]:
        """Every layer that a lead is attached to: its number, rows of the lead's sources in it, their orbitals there."""
        orbitals, layers = self._orbitals(lead.sites), np.repeat(self.layer[lead.sites], 2)
        found = [(int(layer), np.flatnonzero(layers == layer)) for layer in np.unique(layers)]
        return [(layer, rows, orbitals[rows]) for layer, rows in found]

    def _orbitals(self, sites: IntArray) -> IntArray:
        """Orbitals of `sites` within their layers."""
        local = self.place[sites] - self.layout.sites[self.layer[sites]]
        return np.stack([2 * local, 2 * local + 1], axis=1).ravel()


def _absorbed(lead: WideBandContact, sites: FloatArray) -> FloatArray:
    """Tr[Gamma rho] of densities (A, c, 4): what each lead gives away to a wide band, (A,)."""
    blocks = lead.broadening
    charge = 0.5 * (blocks[:, 0, 0] + blocks[:, 1, 1]).real
    vector = np.stack([blocks[:, 1, 0].real, blocks[:, 1, 0].imag, 0.5 * (blocks[:, 0, 0] - blocks[:, 1, 1]).real], axis=1)
    return sites[..., 0] @ charge + np.einsum("aix,ix->a", sites[..., 1:], vector)


def _levels(sites: int, first: IntArray, second: IntArray, leads: Sequence[AttachedLead]) -> IntArray:
    """Layer of each site; sites of a lattice lead's contact share one."""
    cliques = [lead.sites for lead in leads if isinstance(lead, DenseContact)]
    stars = [np.stack([np.full(len(c), c[0]), c]) for c in cliques]
    rows, columns = np.concatenate([np.stack([first, second]), *stars], axis=1).astype(np.int64)
    graph = adjacency(sites, rows, columns)
    few = [lead.sites for lead in leads if len(lead.sites) < sites]
    level = distance_levels(graph, few)
    merged = True
    while merged:  # a contact that spans layers makes one of them, which may widen another contact's
        merged = False
        for clique in cliques:
            low, high = level[clique].min(), level[clique].max()
            if high > low:
                level = np.where(level > high, level - (high - low), np.minimum(level, np.where(level < low, level, low)))
                merged = True
    return level
