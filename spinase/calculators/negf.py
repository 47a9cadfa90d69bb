"""Driven magnets: an s-d device between leads, from non-equilibrium Green's functions, as an ASE calculator."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms
from numpy.typing import ArrayLike

from spinase.atoms import get_moments, get_units, gyromagnetic_ratios
from spinase.calculators.electrons import ElectronCalculator, PlannedElectrons, SolvedElectrons
from spinase.calculators.negf_options import (
    Bias,
    BiasRamp,
    BiasRampConfig,
    NEGFConfig,
    bias_number,
    checked_leads,
    require_two,
    shares_of,
)
from spinase.calculators.negf_results import Adiabaticity, BondCurrents, CurrentNoise
from spinase.contract import FieldFunction
from spinase.electrons.hamiltonian import FrozenHamiltonian
from spinase.electrons.kmesh import KMesh, as_mesh
from spinase.electrons.model import SDModel
from spinase.electrons.occupation import FixedChemicalPotential
from spinase.electrons.operator import SpinOperator
from spinase.electrons.solvers.negf import Drive, NEGFSolver, TransportState
from spinase.electrons.solvers.negf_mesh import MeshedNEGFPlan, MeshedNEGFSolver
from spinase.electrons.transport.currents import bond_currents, site_current_vectors
from spinase.electrons.transport.leads import LatticeLead, Lead, WideBandLead, attach_all
from spinase.errors import AccuracyWarning, AdiabaticityWarning, ModelError
from spinase.geometry import Geometry
from spinase.typing import FloatArray

_AUDIT_EVERY = 100  # solutions between two looks for levels that the energies miss, which cost as much as two or three
_MISSED = 2.0  # times the tolerance
_TURN = 1.0  # radian that a spin may turn while an electron is in the device


class NEGFCalculator(ElectronCalculator):
    """Fields of electrons that flow through a device, with leads and baths at their own chemical potentials.

    Lead a is at mu + share_a * bias.  Under a bias (or with leads of different temperatures) the calculator is driven:
    ``conservative`` is False, and energies are refused.  In equilibrium it is conservative, and ``energy`` and
    ``free_energy`` are both the grand potential of device and leads less that of the leads alone.

    Currents are numbers of electrons, not charge: ``lead_currents[0] > 0`` means electrons that enter from the first lead,
    and a positive bias lifts the first lead's chemical potential.  The torque on a moment is the angular momentum that
    electrons (hbar sigma/2) give to it (-m/gamma): a domain wall runs with the electrons for coupling < 0, as in ordinary
    ferromagnets and in :class:`~spinase.calculators.ZhangLiCalculator`, and against them for coupling > 0.

    Results beside those of :class:`~spinase.calculators.electrons.ElectronCalculator` (no entropy, no stress):

    ``lead_currents`` (A,)
        Electrons per time that enter the device from each lead.
    ``bond_currents`` (n_bonds,), ``bond_spin_currents`` (n_bonds, 3)
        Electrons, and spin in units of hbar/2, per time; see :meth:`currents` for the bonds.
    ``current_map`` (N, 3)
        Mean current of electrons at each site as a vector, per time.
    ``transfer_torques`` (A, N, 3)
        Torques of the electrons that are there because lead a differs from the reference lead, energy.

    Parameters
    ----------
    model : SDModel
        Hopping, coupling, chemical potential, kT (0: fields, densities and currents, no energy; some ten times slower).
    leads : sequence of Lead
        :class:`LatticeLead`, :class:`WideBandLead`, :class:`Bath`.  Leads without a ``share`` get 1/2 (the first) and -1/2
        (the second); from three such leads on, every one needs its own.
    bias : float or function of time
        V, energy.  A function is asked at the driver's time (electrons follow at once).
    tolerance : float
        Largest error of a component of the density, and of currents times hbar (energy).
    max_energies : int
        Largest number of energies in the bias window; ConvergenceError if they do not suffice.
    kpts : (int, int, int) or KMesh
        k-points along periodic directions across the transport: a film whose cell is repeated so often.  Currents,
        transmissions, noise and energies are those of one cell.
    units : str, optional
        Unit system the model's energies are in; default: whatever the atoms are in.

    Raises
    ------
    ModelError
        For a fixed filling, no leads, or a bias across fewer than two leads.  When solving, for forces while sites
        that a lead depends on are not fixed (those a lattice lead couples to or is made from, the end where a wide band is).
    InvalidGeometryError
        When solving, if a lead does not match the device.
    ConvergenceError
        When solving, if the tolerance is not reached.

    Warns
    -----
    AdiabaticityWarning
        Once, if spins turn by more than a radian while an electron is in the device.
    AccuracyWarning
        Once, if levels were missed that are sharper than the energies resolve: an adaptive rule cannot see them, a sum rule
        does, which is looked at with the first and then with every hundredth solution (see ``NEGFSolver.missed``).
    """

    citation = (
        "P. Zhang, G.-W. Chern, npj Comput. Mater. 9, 32 (2023), doi:10.1038/s41524-023-00990-0, "
        "arXiv:2112.12124; "
        "M. Brandbyge et al., Phys. Rev. B 65, 165401 (2002), doi:10.1103/PhysRevB.65.165401"
    )
    Config = NEGFConfig

    def __init__(
        self,
        model: SDModel,
        leads: Sequence[Lead],
        bias: Bias = 0.0,
        tolerance: float = 1e-5,
        max_energies: int = 2000,
        *,
        kpts: tuple[int, int, int] | KMesh = (1, 1, 1),
        units: str | None = None,
    ) -> None:
        if not isinstance(model.occupation, FixedChemicalPotential):
            raise ModelError(
                "an open device has a chemical potential, not a filling: give the model chemical_potential=..., no filling"
            )
        self.leads, self.mesh = checked_leads(leads), as_mesh(kpts)
        self._shares = shares_of(self.leads)
        self._bias_law = bias
        start = bias_number(bias(0.0) if callable(bias) else bias)
        self._drive = Drive(model.occupation.chemical_potential, model.occupation.kT, start, tolerance, max_energies)
        if not self.leads:
            NEGFSolver([], self._drive)
        require_two(self._shares, self.leads, bias)
        super().__init__(model, units=units)
        self._hbar, self._gamma = 1.0, np.ones(1)
        self._dwell: float | None = None
        self._warned = False
        self._audited: SolvedElectrons | None = None
        self._solutions, self._missed = 0, False
        self.conservative = not callable(bias) and self._in_equilibrium(start)
        broken = {"permutation"} if any(isinstance(lead, WideBandLead) and lead.names_sites for lead in leads) else set()
        if any(lead.polarized for lead in leads):
            broken |= {"spin_rotation", "joint_rotation", "time_reversal"}
        if not self.conservative:  # time reversal turns the currents round, too
            broken |= {"time_reversal"}
        self.symmetries = self.symmetries - broken
        gone = {"entropy"} | ({"stress"} if any(isinstance(lead, LatticeLead) for lead in leads) else set())
        gone |= set() if self.conservative else {"energy", "free_energy"}
        if self.conservative and self._drive.kT == 0.0:
            why = "open devices have no {} at kT = 0 here (densities, fields and currents they have): use a small kT"
            self.refused_properties = {name: why.format(name) for name in ("energy", "free_energy")}
            gone |= set(self.refused_properties)
        own = ["lead_currents", "bond_currents", "bond_spin_currents", "current_map", "transfer_torques"]
        self.implemented_properties = [name for name in type(self).implemented_properties if name not in gone] + own

    @classmethod
    def from_config(cls, config: NEGFConfig) -> NEGFCalculator:
        """Calculator from the table of an input file."""
        table = config.model_dump(exclude={"leads", "bias", "tolerance", "max_energies", "kpts", "kshift"})
        bias = config.bias
        law = bias.law() if isinstance(bias, BiasRampConfig) else bias
        leads = [lead.build() for lead in config.leads]
        mesh = KMesh.regular(config.kpts, config.kshift)
        return cls(SDModel.from_config(table), leads, law, config.tolerance, config.max_energies, kpts=mesh)

    # -- bias ---------------------------------------------------------------------------------------------------------

    @property
    def bias(self) -> float:
        """The bias now, energy."""
        return self._drive.bias

    def set_time(self, time: float) -> None:
        """Take the bias at `time`; results of another bias are forgotten.  Drivers call this."""
        if callable(self._bias_law):
            self._set_bias(bias_number(self._bias_law(time)))

    def _set_bias(self, bias: float) -> None:
        if bias == self._drive.bias:
            return
        self._drive = dataclasses.replace(self._drive, bias=bias)
        self._state, self.results = None, {}

    def _in_equilibrium(self, bias: float) -> bool:
        temperatures = {self._drive.kT if lead.kT is None else lead.kT for lead in self.leads}
        return len(temperatures) == 1 and (bias == 0.0 or len(set(self._shares)) == 1)

    # -- the three steps ----------------------------------------------------------------------------------------------

    def _plan_for(self, geometry: Geometry, hamiltonian: FrozenHamiltonian) -> MeshedNEGFPlan:
        """A new plan: the leads are attached to every geometry, at every k-point."""
        self.mesh.require_periodic(geometry.pbc)
        model, points = self._model.hamiltonian, self.mesh.points
        attached = [attach_all(self.leads, geometry, model, self._shares, point) for point in points]
        self._dwell = None
        return MeshedNEGFSolver(self.mesh, attached, self._drive).plan(hamiltonian.pattern)

    def solve(self, frozen: PlannedElectrons, spins: FloatArray, lengths: FloatArray) -> SolvedElectrons:
        """Nothing yet (see :class:`ElectronCalculator`), under the bias as it is now."""
        return SolvedElectrons(frozen.hamiltonian, spins, self._driven(frozen))

    def derive(
        self, name: str, frozen: PlannedElectrons, state: SolvedElectrons, spins: FloatArray, lengths: FloatArray
    ) -> Any:
        """One result from the electrons' state."""
        if name in ("bond_currents", "bond_spin_currents", "current_map"):
            return self._current_result(name, frozen, state)
        if name in ("lead_currents", "transfer_torques"):
            found = state.electrons(bonds=False)
            assert isinstance(found, TransportState)
            self._audit(frozen, state)
            if name == "lead_currents":
                return found.lead_currents / self._hbar
            fields = frozen.hamiltonian.coupling[:, None] * found.lead_spin
            return np.array([np.cross(spins, frozen.hamiltonian.gather(part)) for part in fields])
        result = super().derive(name, frozen, state, spins, lengths)
        if name == "magnetic_forces":
            self._audit(frozen, state)
            self._watch(frozen, spins, result)
        return result

    def _current_result(self, name: str, frozen: PlannedElectrons, state: SolvedElectrons) -> FloatArray:
        found = state.electrons(bonds=True)
        assert isinstance(found, TransportState)
        charge, spin = bond_currents(frozen.hamiltonian.operator(state.spins), found.bond_blocks)
        if name == "current_map":
            hamiltonian = frozen.hamiltonian
            flow = site_current_vectors(hamiltonian.bonds, charge, len(hamiltonian.onsite))
            return hamiltonian.gather(flow) / self._hbar
        return (charge if name == "bond_currents" else spin) / self._hbar

    def _calculate(self, atoms: Atoms, names: list[str], system_changes: list[str]) -> None:
        self._take_units(atoms)
        super()._calculate(atoms, names, system_changes)
        if "forces" in names:
            self._require_fixed_contacts(atoms)

    def field_function(self, atoms: Atoms, lengths: FloatArray | None = None) -> FieldFunction:
        """B(spins) at the present positions and the present bias (see ``contract.FastFields``)."""
        self._take_units(atoms)
        return super().field_function(atoms, lengths)

    def _take_units(self, atoms: Atoms) -> None:
        self._hbar, self._gamma = get_units(atoms).hbar, gyromagnetic_ratios(atoms)

    def get_property(self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True) -> Any:
        """As in ASE; energies of a driven device are refused with the reason."""
        if name in ("energy", "free_energy"):
            self._refuse_energy_if_driven()
        return super().get_property(name, atoms, allow_calculation)

    def _require_fixed_contacts(self, atoms: Atoms) -> None:
        assert self._frozen is not None
        if not self._frozen.hamiltonian.moves:
            return
        fixed = [c.get_indices() for c in atoms.constraints if isinstance(c, FixAtoms)]
        for lead in self._driven(self._frozen).leads:
            loose = np.setdiff1d(lead.held, np.concatenate([np.empty(0, dtype=int), *fixed]))
            if len(loose):
                raise ModelError(
                    f"lead {lead.name!r} depends on the position of site {loose[0]} (of {len(loose)}), and its part of the "
                    "force there is not known: hold such sites with ase.constraints.FixAtoms (a wide band may be given the "
                    "numbers of its sites instead of an end)"
                )

    def for_supercell(self, repeat: tuple[int, int, int]) -> None:
        """None: a larger device is another device."""
        return

    # -- what only open devices have ----------------------------------------------------------------------------------

    def currents(self, atoms: Atoms) -> BondCurrents:
        """Charge and spin currents on every bond."""
        charge, spin = (np.asarray(self.get_property(name, atoms)) for name in ("bond_currents", "bond_spin_currents"))
        assert self._frozen is not None
        return BondCurrents(self._frozen.hamiltonian.bonds, charge, spin)

    def transmission(self, atoms: Atoms, energies: ArrayLike) -> FloatArray:
        """T(E) = Tr[Gamma_b G Gamma_a G+] at `energies` (K,): (K, A, A), from lead a (second axis) to lead b (third).

        Both spins together; the diagonal is 0.  A bath on all sites only takes here: what it sends is left out.
        """
        asked = np.atleast_1d(np.asarray(energies, dtype=np.float64))
        if asked.ndim != 1 or not np.isfinite(asked).all():
            raise ModelError(f"energies of a transmission must be finite numbers (K,), got {energies!r}")
        plan, operator = self._planned(atoms)
        return plan.transmission(operator, asked)

    def current_noise(self, atoms: Atoms) -> CurrentNoise:
        """Noise of the lead currents at zero frequency, by its thermal part and its shot noise; baths are leads, too.

        Source: M. Buettiker, Phys. Rev. B 46, 12485 (1992).  The tolerance is that of the calculator (times hbar).
        """
        currents = np.asarray(self.get_property("lead_currents", atoms))
        plan, operator = self._planned(atoms)
        thermal, shot = plan.noise(operator) / self._hbar
        return CurrentNoise(thermal, shot, currents)

    def current_voltage(self, atoms: Atoms, biases: ArrayLike) -> FloatArray:
        """Lead currents (K, A), electrons per time, at `biases` (K,), energy, for the spins as they are."""
        before = self._drive.bias
        currents = []
        try:
            for bias in np.atleast_1d(np.asarray(biases, dtype=np.float64)):
                self._set_bias(float(bias))
                currents.append(np.asarray(self.get_property("lead_currents", atoms)))
        finally:
            self._set_bias(before)
        return np.array(currents)

    def adiabaticity(self, atoms: Atoms) -> Adiabaticity:
        """How fast spins turn against how long electrons stay."""
        torques = np.asarray(self.get_property("torques", atoms))
        lengths = np.linalg.norm(get_moments(atoms), axis=1)
        plan, operator = self._planned(atoms)
        rate = np.linalg.norm(torques, axis=1) / np.where(lengths > 0.0, lengths, np.inf)
        dwell = self._hbar * plan.dwell_time(operator)
        return Adiabaticity(dwell, float((self._gamma * rate).max(initial=0.0)))

    def _planned(self, atoms: Atoms) -> tuple[MeshedNEGFPlan, SpinOperator]:
        """The plan and the operator of `atoms`."""
        self.get_property("magnetic_forces", atoms)
        assert self._frozen is not None
        assert isinstance(self._state, SolvedElectrons)
        return self._driven(self._frozen), self._frozen.hamiltonian.operator(self._state.spins)

    def _driven(self, frozen: PlannedElectrons) -> MeshedNEGFPlan:
        """The plan of a geometry under the bias as it is now."""
        assert isinstance(frozen.plan, MeshedNEGFPlan)
        return frozen.plan.under(self._drive)

    def _audit(self, frozen: PlannedElectrons, state: SolvedElectrons) -> None:
        """Look at the first and then at every hundredth solution for levels that its energies miss; warn once."""
        if self.conservative or self._missed or state is self._audited:
            return
        found = state.electrons(bonds=False)
        assert isinstance(found, TransportState)
        if not len(found.nodes):
            return
        self._audited, self._solutions = state, self._solutions + 1
        if self._solutions % _AUDIT_EVERY != 1:
            return
        missed = self._driven(frozen).missed(frozen.hamiltonian.operator(state.spins), found)
        if missed > _MISSED * self._drive.tolerance:
            self._missed = True
            warnings.warn(
                f"levels sharper than the energies of the bias window resolve, or that no lead reaches, may have cost up to "
                f"{missed:.2g} electrons on a site (tolerance {self._drive.tolerance:g}): add a weak Bath, which broadens "
                "them, or ask for a smaller tolerance",
                AccuracyWarning,
                stacklevel=2,
            )

    def _watch(self, frozen: PlannedElectrons, spins: FloatArray, fields: FloatArray) -> None:
        """Warn once if spins turn while electrons pass."""
        if self._warned or self.conservative:
            return
        if self._dwell is None:
            self._dwell = self._hbar * self._driven(frozen).dwell_time(frozen.hamiltonian.operator(spins))
        rate = float((self._gamma * np.linalg.norm(np.cross(spins, fields), axis=1)).max(initial=0.0))
        if rate * self._dwell > _TURN:
            self._warned = True
            warnings.warn(
                f"spins turn by up to {rate * self._dwell:.2g} radian while an electron is in the device (it stays for "
                f"{self._dwell:.3g}, the fastest spin turns at {rate:.3g} per time): electrons that follow at once are an "
                "approximation here; larger moments or a shorter device make it better",
                AdiabaticityWarning,
                stacklevel=2,
            )


__all__ = ["Adiabaticity", "BiasRamp", "BondCurrents", "CurrentNoise", "NEGFCalculator", "NEGFConfig"]
