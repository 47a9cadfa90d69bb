"""Devices that repeat across the transport: leads and device as Bloch waves, the mean over the k-points of a mesh.

Hopping that crosses the cell by S carries exp(2 pi i k.S) in the device and in its leads; every k-point is a device of its
own.  Densities, currents and energies are those of one cell, as parts of the film that repeats it: the mean over the mesh.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

import numpy as np

from spinase.electrons.kmesh import KMesh
from spinase.electrons.operator import Density, SparsityPattern, SpinOperator
from spinase.electrons.solvers.base import Plan, Solver
from spinase.electrons.solvers.negf import Drive, NEGFPlan, NEGFSolver, TransportState, longest_stay
from spinase.electrons.solvers.negf_noise import noise_parts
from spinase.electrons.transport.contacts import AttachedLead, DenseContact
from spinase.errors import ModelError
from spinase.typing import Array, ComplexArray, FloatArray


@final
class MeshedNEGFSolver(Solver[TransportState]):
    """Green's functions of a device at every point of a mesh; a mesh with Gamma only is :class:`NEGFSolver`.

    Parameters
    ----------
    mesh : KMesh
        k-points across the transport.
    leads : sequence of sequences of AttachedLead
        Those of each k-point, on the same sites.
    drive : Drive
        Chemical potential, temperature, bias, tolerance (of each k-point).

    Raises
    ------
    ModelError
        If there are not as many sets of leads as points, and as for :class:`NEGFSolver`.
    """

    abilities = NEGFSolver.abilities

    def __init__(self, mesh: KMesh, leads: Sequence[Sequence[AttachedLead]], drive: Drive) -> None:
        if len(leads) != len(mesh):
            raise ModelError(
                f"{len(mesh)} k-points need leads each, got {len(leads)} sets of leads: attach them at every point"
            )
        self.mesh, self.solvers = mesh, [NEGFSolver(each, drive) for each in leads]
        contacts = [lead for each in leads for lead in each if isinstance(lead, DenseContact)]
        for contact in contacts:
            contact.share_room(len(mesh))

    def plan(self, pattern: SparsityPattern) -> MeshedNEGFPlan:
        """Layers and order of elimination, the same at all points."""
        first = self.solvers[0].plan(pattern)
        others = [
            NEGFPlan(solver.terminals, pattern, first.structure.with_leads(pattern, solver.terminals.leads))
            for solver in self.solvers[1:]
        ]
        return MeshedNEGFPlan(self.mesh, [first, *others])

    def density_error(self, operator: SpinOperator) -> float:
        """The asked tolerance."""
        return self.solvers[0].density_error(operator)


@final
class MeshedNEGFPlan(Plan[TransportState]):
    """Plans of one device at the points of a mesh.

    Parameters
    ----------
    mesh : KMesh
    plans : sequence of NEGFPlan
        One for each point.
    """

    turns_spins = True

    def __init__(self, mesh: KMesh, plans: Sequence[NEGFPlan]) -> None:
        super().__init__(plans[0].pattern)
        self.mesh, self.plans = mesh, tuple(plans)

    def follow(self, pattern: SparsityPattern) -> MeshedNEGFPlan:
        """A plan for `pattern`, with the leads on the same sites."""
        return MeshedNEGFPlan(self.mesh, [plan.follow(pattern) for plan in self.plans])

    def under(self, drive: Drive) -> MeshedNEGFPlan:
        """The same layers under another drive."""
        same = drive == self.plans[0].drive
        return self if same else MeshedNEGFPlan(self.mesh, [plan.under(drive) for plan in self.plans])

    @property
    def leads(self) -> tuple[AttachedLead, ...]:
        """The leads at the first point: their sites and names are the same at all."""
        return self.plans[0].leads

    def _solve(self, operator: SpinOperator, bonds: bool) -> TransportState:
        states = [plan.solve(operator.at_point(k), bonds) for plan, k in zip(self.plans, self.mesh.points, strict=True)]
        phases = [operator.bloch_phases(point) for point in self.mesh.points]
        return states[0] if len(states) == 1 and np.all(phases[0] == 1.0) else self._mean(states, phases)

    def transmission(self, operator: SpinOperator, energies: FloatArray) -> FloatArray:
        """Tr[Gamma_b G Gamma_a G+] of a cell at energies (K,): (K, A, A), from lead a (second axis) to b, diagonal 0."""
        return self._weighted(operator, lambda plan, at_point: plan.transmission(at_point, energies))

    def noise(self, operator: SpinOperator) -> FloatArray:
        """Thermal part and shot noise of the currents of a cell, (2, leads, leads), energy; see `noise_parts`."""
        return self._weighted(operator, noise_parts)

    def dwell_time(self, operator: SpinOperator) -> float:
        """Mean time over hbar (1/energy) that an electron stays, over the channels of all points; see :class:`NEGFPlan`."""
        return longest_stay(*self._weighted(operator, lambda plan, at_point: np.array(plan.entering(at_point))))

    def missed(self, operator: SpinOperator, state: TransportState) -> float:
        """Electrons on a site that levels too sharp may have cost, at most; see :class:`NEGFPlan`."""
        found = [
            plan.missed(operator.at_point(point), part)
            for plan, point, part in zip(self.plans, self.mesh.points, state.parts or (state,), strict=True)
        ]
        return float(self.mesh.weights @ found)

    def _weighted(self, operator: SpinOperator, value: Callable[[NEGFPlan, SpinOperator], Array]) -> FloatArray:
        points = zip(self.plans, self.mesh.points, self.mesh.weights, strict=True)
        return np.asarray(sum(weight * value(plan, operator.at_point(point)) for plan, point, weight in points))

    def _mean(self, states: Sequence[TransportState], phases: Sequence[ComplexArray]) -> TransportState:
        """The mean of the states; what is on bonds loses its phase, so that it belongs to the hopping without one."""

        def mean(values: Sequence[Array]) -> Array:
            """Weighted by the mesh."""
            return np.tensordot(self.mesh.weights, np.array(values), 1)

        def unphased(values: Sequence[Array]) -> Array:
            """The mean of what is on bonds (n_bonds, ...)."""
            turned = [(value.T * phase.conj()[: len(value)]).T for value, phase in zip(values, phases, strict=True)]
            return mean(turned)

        spins = [state.density.bond_spin for state in states if state.density.bond_spin is not None]
        return TransportState(
            energy=float(self.mesh.weights @ np.array([state.energy for state in states])),
            free_energy=float(self.mesh.weights @ np.array([state.free_energy for state in states])),
            entropy=float("nan"),
            chemical_potential=states[0].chemical_potential,
            electrons=float(self.mesh.weights @ np.array([state.electrons for state in states])),
            density=Density(
                mean([state.density.charge for state in states]),
                mean([state.density.spin for state in states]),
                unphased([state.density.bond for state in states]),
                unphased(spins) if spins else None,
            ),
            levels=np.empty(0),
            weights=np.empty(0),
            equilibrium_spin=mean([state.equilibrium_spin for state in states]),
            lead_charge=mean([state.lead_charge for state in states]),
            lead_spin=mean([state.lead_spin for state in states]),
            bond_blocks=unphased([state.bond_blocks for state in states]),
            lead_currents=mean([state.lead_currents for state in states]),
            transmitted=mean([state.transmitted for state in states]),
            energies=sum(state.energies for state in states),
            error=float(self.mesh.weights @ np.array([state.error for state in states])),
            nodes=np.concatenate([state.nodes for state in states]),
            node_weights=np.concatenate([w * s.node_weights for w, s in zip(self.mesh.weights, states, strict=True)]),
            parts=tuple(states),
        )


__all__ = ["MeshedNEGFPlan", "MeshedNEGFSolver"]
