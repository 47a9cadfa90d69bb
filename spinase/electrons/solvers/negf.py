r"""Open and driven magnets: electrons of a device between leads, from non-equilibrium Green's functions.

.. math:: \rho = \rho_{eq}(\mu_r, T_r) + \sum_a \int\frac{dE}{2\pi}\, G\,\Gamma_a\,G^\dagger\,[f_a(E) - f_r(E)]

with G the retarded Green's function of device and leads, Gamma_a the broadening by lead a, f_a its Fermi function, and r a
reference lead or bath.  The first part is smooth and comes from the poles of the rational solver, the second from real
energies in the bias window.  Currents (electrons into the device) are those of Landauer and Buettiker:

.. math:: \hbar I_a = \int\frac{dE}{2\pi} \sum_b [T_{ba} f_a - T_{ab} f_b],\qquad
          T_{ba} = \mathrm{Tr}[\Gamma_b G\Gamma_a G^\dagger].

Sources: Y. Meir, N. S. Wingreen, Phys. Rev. Lett. 68, 2512 (1992); S. Datta, Electronic Transport in Mesoscopic Systems
(Cambridge, 1995); M. Brandbyge et al., Phys. Rev. B 65, 165401 (2002); arXiv:2112.12124.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from scipy.sparse.csgraph import connected_components

from spinase.electrons.occupation import fermi
from spinase.electrons.operator import Density, SparsityPattern, SpinOperator, split_blocks
from spinase.electrons.solvers.base import Plan, Solver
from spinase.electrons.solvers.negf_state import LEAST_TOLERANCE, Drive, Terminals, TransportState
from spinase.electrons.solvers.rational import operator_trace, pole_blocks, pole_density, spectral_bounds
from spinase.electrons.sparse.elimination import adjacency, cheapest_tree
from spinase.electrons.sparse.fermi_poles import FermiPoles, fermi_poles
from spinase.electrons.sparse.selected_inversion import Inverse, SelectedInversion, SelfEnergies
from spinase.electrons.transport.contacts import AttachedLead, DenseContact
from spinase.electrons.transport.layered import LayeredDevice
from spinase.electrons.transport.quadrature import FIRST_POINTS, Integral, integrate
from spinase.electrons.transport.step import step_poles
from spinase.errors import ModelError
from spinase.typing import ComplexArray, FloatArray, IntArray

_MARGIN = 1.02  # of the spectral bounds
_INTERVALS = 4  # first intervals of the bias window, at least
# length of a first interval over the broadening of all states at which no level stayed unseen, at a tolerance of 1e-2 ...
_WIDTHS, _NARROWEST = 16.0, 4.0
_SLOPE = 0.3  # ... and its power of the tolerance (measured: 8 at 1e-3)
_POLE_SHARE = 0.3  # of the tolerance, for the equilibrium part
_TAILS = 0.1  # what the tails of wide bands leave, over Gamma (distance of the levels)/R^2 (measured: 0.04)
_REAL = 1e-9  # imaginary part of energies on the real axis, energy
_AT_ONCE = 64  # energies whose spectra are made together
_TAIL = 0.1  # of the tolerance: Fermi functions are cut where their difference is below this


@final
class NEGFSolver(Solver[TransportState]):
    """Green's functions of a device with leads; cost linear in its length, and independent of that of the leads.

    Parameters
    ----------
    leads : sequence of AttachedLead
        At least one.
    drive : Drive
        Chemical potential, temperature, bias, tolerance.

    Raises
    ------
    ModelError
        Without leads, or for a bias with less than two of them.  When solving, if a part of a biased device touches no
        lead; ConvergenceError if the tolerance is not reached.
    """

    abilities = frozenset({"flux", "zero_temperature", "spin_orbit"})

    def __init__(self, leads: Sequence[AttachedLead], drive: Drive) -> None:
        if not leads:
            raise ModelError(
                "a device without leads or bath is isolated: it has no Green's function of an open system, and a bias has "
                "nothing to act on; add leads or a bath, or use 'ed', 'rational' or 'kpm'"
            )
        self.terminals = Terminals(tuple(leads), drive)

    def plan(self, pattern: SparsityPattern) -> NEGFPlan:
        """Layers and order of elimination; ModelError if a lead is attached to a site that is not there."""
        return NEGFPlan(self.terminals, pattern, Structure.of(pattern, self.terminals.leads))

    def density_error(self, operator: SpinOperator) -> float:
        """The asked tolerance."""
        return self.terminals.drive.tolerance


@dataclass(frozen=True, eq=False)
class Structure:
    """What depends on sites, bonds and leads only.

    Attributes
    ----------
    device : LayeredDevice
    inversion : SelectedInversion
        With the contacts of lattice leads as dense blocks.
    unreached : (n,) int
        Sites of parts that touch no lead.
    """

    device: LayeredDevice
    inversion: SelectedInversion
    unreached: IntArray

    @classmethod
    def of(cls, pattern: SparsityPattern, leads: Sequence[AttachedLead]) -> Structure:
        """Layers and order of elimination of a device; ModelError if a lead is attached to a site that is not there."""
        for lead in leads:
            if len(lead.sites) and lead.sites.max() >= pattern.sites:
                raise ModelError(
                    f"lead {lead.name!r} is attached to site {lead.sites.max()}, and the operator has {pattern.sites} "
                    "sites: attach the leads to the geometry the operator was made from"
                )
        first, second, sites = pattern.first, pattern.second, pattern.sites
        cliques = [lead.sites for lead in leads if isinstance(lead, DenseContact)]
        pairs = [np.array(np.triu_indices(len(clique), 1)) for clique in cliques]
        joined = [np.stack([first, second]), *(clique[pair] for clique, pair in zip(cliques, pairs, strict=True))]
        rows, columns = np.concatenate(joined, axis=1)
        part = connected_components(adjacency(sites, rows, columns), directed=False)[1]
        reached = np.unique(part[np.concatenate([lead.sites for lead in leads])])
        return cls(
            LayeredDevice(sites, first, second, leads),
            SelectedInversion(cheapest_tree(sites, rows, columns), first, second, cliques),
            np.flatnonzero(~np.isin(part, reached)),
        )

    def with_leads(self, pattern: SparsityPattern, leads: Sequence[AttachedLead]) -> Structure:
        """The same with other leads on the same sites, such as those of another k-point."""
        return replace(self, device=LayeredDevice(pattern.sites, pattern.first, pattern.second, leads))


@final
class NEGFPlan(Plan[TransportState]):
    """Layers and order of elimination of one device with its leads."""

    turns_spins = True

    def __init__(self, terminals: Terminals, pattern: SparsityPattern, structure: Structure) -> None:
        super().__init__(pattern)
        self.terminals, self.structure = terminals, structure
        self.leads, self.drive = terminals.leads, terminals.drive

    def follow(self, pattern: SparsityPattern) -> NEGFPlan:
        """A plan for `pattern`, with the leads on the same sites."""
        return NEGFPlan(self.terminals, pattern, Structure.of(pattern, self.leads))

    def under(self, drive: Drive) -> NEGFPlan:
        """The same layers under another drive."""
        return self if drive == self.drive else NEGFPlan(Terminals(self.leads, drive), self.pattern, self.structure)

    @property
    def device(self) -> LayeredDevice:
        """The layers of the device."""
        return self.structure.device

    def _solve(self, operator: SpinOperator, bonds: bool) -> TransportState:
        """Density on the operator's pattern (with its spin blocks on the bonds), currents; energies in equilibrium only."""
        reference = self.terminals.reference()
        driven, unreached = self.terminals.driven(reference), self.structure.unreached
        if driven and len(unreached):
            raise ModelError(
                f"site {unreached[0]} belongs to a part of {len(unreached)} site(s) that touches no lead: under "
                "a bias its occupation is undefined; connect it, or add a weak Bath"
            )
        mu, kT = (float(values[reference]) for values in self.terminals.levels())
        poles, scale = self._poles(operator, mu, kT)
        inverse = self._equilibrium(operator, np.asarray(mu + 1j * scale * poles.heights), bonds)
        density = pole_density(poles, scale, inverse, operator.bonds)
        blocks = pole_blocks(poles, scale, inverse, operator.bonds)
        found = self._window(operator, reference, driven, bonds) if driven else None
        return self._state(operator, (density, blocks), found, self._potential(operator, poles, inverse, mu, kT))

    def transmission(self, operator: SpinOperator, energies: FloatArray) -> FloatArray:
        """Tr[Gamma_b G Gamma_a G+] at energies (K,): (K, A, A), from lead a (second axis) to b (third), diagonal 0."""
        self.pattern.require(operator)
        columns = [a for a, lead in enumerate(self.leads) if len(lead.sites) < len(operator) or len(self.leads) == 2]
        return self.device.inject(operator, np.asarray(energies, dtype=np.float64), columns).transmission

    def dwell_time(self, operator: SpinOperator) -> float:
        """Mean time over hbar (1/energy) that an electron at the chemical potential stays in the device.

        Electrons inside over electrons that enter per time, both per energy: sum_i Tr[G Gamma G+]_ii over the channels, for
        the lead with the longer time.  0 if no channel is open; baths are not counted as leads.
        """
        return longest_stay(*self.entering(operator))

    def entering(self, operator: SpinOperator) -> tuple[FloatArray, FloatArray]:
        """Electrons inside by energy (1/energy) that come from each lead, and its open channels, at mu; see `dwell_time`."""
        self.pattern.require(operator)
        energy = np.array([self.drive.chemical_potential])
        few = [a for a, lead in enumerate(self.leads) if len(lead.sites) < len(operator)]
        if not few:
            return np.ones(1), np.array([max(2.0 * float(lead.strength.max()) for lead in self.leads)])
        inside = self.device.inject(operator, energy, few).sites[0, :, :, 0].sum(axis=1)
        return inside[few], np.array([self.leads[a].sources(float(energy[0])).shape[1] for a in few], dtype=np.float64)

    def missed(self, operator: SpinOperator, state: TransportState) -> float:
        """Electrons on a site that levels too sharp for the energies of `state` may have cost, the largest of all sites.

        Filled by lead a instead of the reference r, all levels of device and leads together take up what is known exactly:

            rho_eq(mu_a) - rho_eq(mu_r) = int dE/2pi A (f_a - f_r),        A = i (G - G+).

        What the rule of `state` misses of that integral, times the share of lead a in what it finds, is the answer.  Levels
        that no lead reaches (bound states) count as well.  Takes a few times as long as the solution.  0 in equilibrium, and
        where part of the window is left out because no driven lead has states there.
        """
        self.pattern.require(operator)
        reference = self.terminals.reference()
        mu, kT = self.terminals.levels()
        worst, spectra = 0.0, None
        for a in self.terminals.driven(reference):
            pair = [a, reference]
            tails = (self._tail - 1.0) * kT[pair]
            if not (len(state.nodes) and self._covers(state.nodes, mu[pair] - tails, mu[pair] + tails)):
                continue  # energies are left out where no driven lead has states: the sum rule does not hold without them
            spectra = self._spectra(operator, state.nodes) if spectra is None else spectra
            factors = fermi(state.nodes, mu[a], kT[a]) - fermi(state.nodes, mu[reference], kT[reference])
            found = (state.node_weights * factors) @ spectra / (2.0 * np.pi)
            ends = [self._charges(operator, mu[lead], kT[lead]) for lead in pair]
            share = np.clip(state.lead_charge[a] / np.where(found == 0.0, np.inf, found), 0.0, 1.0)
            worst = max(worst, float(np.max(np.abs(ends[0] - ends[1] - found) * share)))
        return worst

    @staticmethod
    def _covers(nodes: FloatArray, low: FloatArray, high: FloatArray) -> bool:
        return bool(nodes.min() <= low.min() and nodes.max() >= high.max())

    @property
    def _tail(self) -> float:
        """Where Fermi functions are cut, from the chemical potential, kT."""
        return float(np.log(1.0 / (_TAIL * self.drive.tolerance)))

    def _spectra(self, operator: SpinOperator, energies: FloatArray) -> FloatArray:
        """Tr i (G - G+) of the sites at real energies (K, N), 1/energy."""
        parts = np.array_split(energies + 1j * _REAL, -(-len(energies) // _AT_ONCE))
        return np.concatenate([2.0 * np.einsum("knaa->kn", self._equilibrium(operator, p, False).sites.imag) for p in parts])

    def _charges(self, operator: SpinOperator, mu: float, kT: float) -> FloatArray:  # noqa: N803
        """Electrons of the sites (N,) in equilibrium."""
        poles, scale = self._poles(operator, mu, kT)
        inverse = self._equilibrium(operator, np.asarray(mu + 1j * scale * poles.heights), False)
        return pole_density(poles, scale, inverse, operator.bonds).charge

    def _poles(self, operator: SpinOperator, mu: float, kT: float) -> tuple[FermiPoles, float]:  # noqa: N803
        """Poles, and the energy their heights are counted in."""
        share = max(LEAST_TOLERANCE, _POLE_SHARE * self.drive.tolerance)
        reach = self._range(operator, mu)
        if kT == 0.0:
            return step_poles(lambda energies: self._equilibrium(operator, energies, True), mu, reach, share), 1.0
        return fermi_poles(reach / kT, share), kT

    def _range(self, operator: SpinOperator, mu: float) -> float:
        """Largest distance of the spectrum of device and leads from mu, energy."""
        low, high = spectral_bounds(operator)
        extra = max(float(lead.strength.max()) for lead in self.leads)
        low, high = low - extra, high + extra
        wide = 0.0
        for lead in self.leads:
            if lead.reach is not None:
                low, high = min(low, lead.reach[0]), max(high, lead.reach[1])
            else:
                wide += 2.0 * float(lead.strength.max())
        reach = max(high - mu, mu - low)
        # Lorentzian tails: those of both sides cancel but for a part ~ Gamma (distance of the levels)/R^2
        return _MARGIN * max(reach, np.sqrt(_TAILS * wide * reach / self.drive.tolerance))

    def _equilibrium(self, operator: SpinOperator, poles: ComplexArray, bonds: bool) -> Inverse:
        dense = [
            np.array([lead.self_energy(complex(pole)) for pole in poles])
            for lead in self.leads
            if isinstance(lead, DenseContact)
        ]
        return self.structure.inversion.solve(operator, poles, bonds, SelfEnergies(self.device.local, dense))

    def _window(self, operator: SpinOperator, reference: int, driven: list[int], bonds: bool) -> tuple[Integral, bool]:
        """Integral over the bias window of densities, transmissions and bonds, flat."""
        mu, kT = self.terminals.levels()
        device = self.device

        def weights(energies: FloatArray) -> FloatArray:
            """(f_a - f_ref)/2 pi of every lead a at the energies, (K, leads)."""
            here = np.stack([fermi(energies, m, t) for m, t in zip(mu, kT, strict=True)], axis=1)
            return (here - here[:, [reference]]) / (2.0 * np.pi)

        def function(energies: FloatArray) -> FloatArray:
            """Weighted densities of sites, transmissions and densities of bonds at the energies, flat rows (K, ...)."""
            found, factors = device.inject(operator, energies, driven, bonds), weights(energies)
            count = len(energies)
            sites = (found.sites * factors[:, :, None, None]).reshape(count, -1)
            passed = (found.transmission * factors[:, :, None]).reshape(count, -1)
            pairs = np.einsum("kanij,ka->knij", found.bonds, factors).reshape(count, -1)
            return np.concatenate([sites, passed, pairs.real, pairs.imag], axis=1)

        breaks = self.breaks([reference, *driven], driven)
        if not len(breaks):
            empty = np.zeros(len(self.leads) * (4 * len(operator) + len(self.leads)) + 8 * len(operator.bonds) * bonds)
            return Integral(empty, 0.0, 0, np.empty(0), np.empty(0)), bonds
        return integrate(function, breaks, self.drive.tolerance, self.marks, self.drive.max_energies), bonds

    @property
    def marks(self) -> FloatArray:
        """Energies where channels of leads open and close."""
        return np.concatenate([lead.edges for lead in self.leads])

    def breaks(self, filled: list[int], sending: list[int]) -> FloatArray:
        """Ends of the first intervals where leads are neither all filled nor all empty, energy; none if there is no such.

        Parameters
        ----------
        filled : list of int
            Leads whose Fermi functions count.
        sending : list of int
            Those of which one must have states.
        """
        mu, kT = self.terminals.levels()
        low, high = float((mu - self._tail * kT)[filled].min()), float((mu + self._tail * kT)[filled].max())
        reaches = [self.leads[a].reach for a in sending]
        bounded = [reach for reach in reaches if reach is not None]
        if len(bounded) == len(reaches):
            low, high = max(low, min(r[0] for r in bounded)), min(high, max(r[1] for r in bounded))
        if high <= low:
            return np.empty(0)
        steps = mu[filled][kT[filled] == 0.0]
        regular = np.linspace(low, high, self._first_intervals(high - low) + 1)
        return np.unique(np.concatenate([regular, steps[(steps > low) & (steps < high)]]))

    def _first_intervals(self, window: float) -> int:
        """Enough for levels as sharp as the broadening that every state has, so that none lies unseen between energies."""
        width = float(np.linalg.eigvalsh(2j * self.device.local)[:, 0].min())
        if width <= 0.0:
            return _INTERVALS
        lengths = np.clip(_WIDTHS * (self.drive.tolerance / 1e-2) ** _SLOPE, _NARROWEST, _WIDTHS)
        affordable = self.drive.max_energies // (2 * FIRST_POINTS)
        return max(_INTERVALS, min(int(np.ceil(window / (lengths * width))), affordable))

    def _potential(
        self,
        operator: SpinOperator,
        poles: FermiPoles,
        inverse: Inverse,
        mu: float,
        kT: float,  # noqa: N803
    ) -> float:
        """Omega of device and leads less that of the leads alone, energy; nan out of equilibrium and at kT = 0."""
        if not self.terminals.in_equilibrium or kT == 0.0:
            return float("nan")
        states = 2.0 * len(operator)
        squares = 2.0 * (inverse.log_determinants.real - states * np.log(kT))
        excess = 0.5 * (operator_trace(operator) - mu * states)
        return excess - kT * (poles.offset * states + 0.5 * float(poles.weights @ squares))

    def _state(
        self,
        operator: SpinOperator,
        equilibrium: tuple[Density, ComplexArray],
        found: tuple[Integral, bool] | None,
        potential: float,
    ) -> TransportState:
        count, leads = len(operator), len(self.leads)
        density, blocks = equilibrium
        sites, passed = np.zeros((leads, count, 4)), np.zeros((leads, leads))
        if found is not None:
            value = found[0].value
            sites = value[: 4 * leads * count].reshape(leads, count, 4)
            passed = value[4 * leads * count :][: leads**2].reshape(leads, leads)
            if found[1]:
                pairs = value[4 * leads * count + leads**2 :].reshape(2, -1, 2, 2)
                blocks = blocks + pairs[0] + 1j * pairs[1]
        total = sites.sum(axis=0)
        bond, bond_spin = split_blocks(blocks)
        charge = density.charge + total[:, 0]
        return TransportState(
            energy=potential,
            free_energy=potential,
            entropy=float("nan"),
            chemical_potential=self.drive.chemical_potential,
            electrons=float(charge.sum()),
            density=Density(charge, density.spin + total[:, 1:], bond, bond_spin),
            levels=np.empty(0),
            weights=np.empty(0),
            equilibrium_spin=density.spin,
            lead_charge=sites[..., 0],
            lead_spin=sites[..., 1:],
            bond_blocks=blocks,
            lead_currents=passed.sum(axis=1) - passed.sum(axis=0),
            transmitted=passed,
            energies=0 if found is None else found[0].points,
            error=0.0 if found is None else found[0].error,
            nodes=np.empty(0) if found is None else found[0].nodes,
            node_weights=np.empty(0) if found is None else found[0].weights,
        )


def longest_stay(inside: FloatArray, channels: FloatArray) -> float:
    """The largest of the quotients of leads with open channels, 1/energy; 0 if there are none."""
    return float(np.max(inside[channels > 0] / channels[channels > 0], initial=0.0))


__all__ = ["LEAST_TOLERANCE", "Drive", "NEGFSolver", "TransportState"]
