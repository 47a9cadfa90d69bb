"""The kernel polynomial method (Chebyshev expansion) of an s-d model as an ASE calculator."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike
from pydantic import Field

from spinase.atoms import geometry_of, get_moments, get_reference_lengths
from spinase.calculators.base import per_moment, split_moments
from spinase.calculators.electrons import ClosedElectronCalculator, PlannedElectrons, SolvedElectrons
from spinase.electrons.chebyshev.columns import random_columns, subset_columns
from spinase.electrons.chebyshev.series import spectral_density
from spinase.electrons.config import SDModelConfig
from spinase.electrons.hamiltonian import FrozenHamiltonian
from spinase.electrons.model import SDModel
from spinase.electrons.occupation import Occupation
from spinase.electrons.operator import SpinOperator
from spinase.electrons.solvers.base import Plan, Solver
from spinase.electrons.solvers.dense import DenseSolver
from spinase.electrons.solvers.kpm import KPMOptions, KPMPlan, KPMSolver
from spinase.electrons.solvers.kpm_calibration import Calibration
from spinase.electrons.solvers.rational import RationalSolver
from spinase.electrons.solvers.refreshed import RefreshedPlan, RefreshedSolver
from spinase.errors import AccuracyWarning, ModelError
from spinase.geometry import Bonds, Geometry, moved_slightly
from spinase.typing import FloatArray

ReferenceName = Literal["rational", "ed"]
SolverMaker = Callable[[Occupation], Solver[Any]]

_LOG = logging.getLogger(__name__)
_DOS_COLUMNS = 32
_SHORT_WAY = 0.3  # of the shortest bond: sites that moved less since the last solution are still the same magnet
_LOOK_EVERY = 100  # solutions between two looks at the error
_LENIENT = 1.5  # errors of a few sites scatter


class KPMConfig(SDModelConfig):
    """Kernel polynomial method."""

    accuracy: float = Field(1e-3, gt=0, description="asked rms error of the components of the fields times moment [energy]")
    columns: Literal["probing", "unit", "random"] = Field("probing", description="what stands for the whole space")
    count: int | None = Field(None, ge=1, description="number of columns; absent: from the accuracy [1]")
    order: int | None = Field(None, ge=4, description="number of Chebyshev moments; absent: from the accuracy [1]")
    estimator: Literal["gradient", "direct"] = Field("gradient", description="gradient is conservative, and closer")
    dtype: Literal["float32", "float64"] = Field("float32", description="precision of the vectors")
    backend: Literal["numba", "torch"] = Field("numba", description="numba on processors, torch on GPUs")
    device: str | None = Field(None, description="device of the torch backend; absent: CUDA if there is one")
    renew: bool = Field(True, description="new random phases at every step of a driver")
    reference: Literal["rational", "ed"] | None = Field(
        None, description="exact solver that corrects the fields whenever the estimated error exceeds the accuracy"
    )
    seed: int = Field(0, ge=0, description="of the random phases [1]")


class KPMCalculator(ClosedElectronCalculator):
    """Chebyshev expansion with probing columns: cost linear in the number of sites, any graph; kT > 0, Gamma point only.

    Results: see :class:`~spinase.calculators.electrons.ElectronCalculator`.  With the gradient estimator forces and fields
    are the exact derivatives of the reported (estimated) free energy as long as the random phases stay: drivers ask for new
    ones at every step (``begin_step``) unless ``renew=False``, which an undamped run needs to keep its energy.  Moving atoms
    may push the spectrum out of the bounds in use; new bounds mean another estimate, a small step in the energy: give
    ``bounds=(low, high)`` with some room where that matters.

    Columns and order are chosen for one magnet and kept while it stays the same, so that its energies are comparable.  Atoms
    of the same species, boundaries and magnetic sites are the same magnet if their bonds are the same, or if no site has
    moved since the last solution by more than 0.3 of the shortest bond (as in molecular dynamics and relaxations, where
    bonds come and go).  Anything else is another magnet, for which they are chosen anew.

    Parameters
    ----------
    model : SDModel
        Hopping, coupling, filling or chemical potential, kT > 0.
    accuracy : float
        Asked rms error of the components of the fields times moments, energy.  Columns and order follow from it at the first
        spins of a magnet, by comparison with exact columns of a few sites; see :meth:`calibrate`.
    options : KPMOptions, optional
        Everything by hand instead (its accuracy replaces `accuracy`); or give some of its fields as keywords.
    reference : "rational", "ed" or a class of solvers, optional
        Correct the fields by exact ones at a reference, renewed when the estimated error exceeds the accuracy.  A class (or
        a function) makes the exact solver from the model's occupation.
    renew : bool
        New random phases when a driver begins a step.
    rng : numpy Generator, optional
        Source of the phases; its state goes into checkpoints.  Default: seeded with 0.
    units : str, optional
        Unit system the model's energies are in; default: whatever the atoms are in.

    Raises
    ------
    ModelError
        At kT = 0, for an unknown option, or when the spectrum leaves bounds given by hand.

    Warns
    -----
    AccuracyWarning
        If the columns in use are measured to be too few for the accuracy: at the first solution of a magnet (where they were
        given by hand), and at every hundredth one after it (where spins or atoms have moved far from the first).
    """

    citation = (
        "K. Barros, Y. Kato, Phys. Rev. B 88, 235101 (2013), doi:10.1103/PhysRevB.88.235101, arXiv:1303.1101; "
        "Z. Wang, G.-W. Chern, C. D. Batista, K. Barros, J. Chem. Phys. 148, 094107 (2018), "
        "doi:10.1063/1.5017741, arXiv:1711.10570"
    )
    Config = KPMConfig

    def __init__(
        self,
        model: SDModel,
        accuracy: float = 1e-3,
        options: KPMOptions | None = None,
        *,
        reference: ReferenceName | SolverMaker | None = None,
        renew: bool = True,
        rng: np.random.Generator | None = None,
        units: str | None = None,
        **by_hand: Any,
    ) -> None:
        self._options = _options(accuracy, options, by_hand)
        self._kpm = KPMSolver(model.occupation, self._options, rng)
        self._corrected = reference is not None
        solver: Solver[Any] = self._kpm
        if reference is not None:
            solver = RefreshedSolver(self._kpm, _exact(reference, model.occupation), self._options.accuracy)
        super().__init__(model, solver, units=units)
        self.renew = renew
        self._magnet: Geometry | None = None  # of the last solution
        self._judged: Calibration | None = None
        self._solutions, self._warned = 0, False
        self.conservative = self._options.estimator == "gradient" or self._options.columns == "unit"
        if self._options.columns != "unit":  # phases and colours single out sites and a spin axis
            self.symmetries = self.symmetries & {"lattice_rotation", "translation"}

    @classmethod
    def from_config(cls, config: KPMConfig) -> KPMCalculator:
        """Calculator from the table of an input file."""
        own = set(KPMConfig.model_fields) - set(SDModelConfig.model_fields)
        options = KPMOptions(**config.model_dump(include=own - {"renew", "reference", "seed"}))
        return cls(
            SDModel.from_config(config.model_dump(exclude=own)),
            options=options,
            reference=config.reference,
            renew=config.renew,
            rng=np.random.default_rng(config.seed),
        )

    @property
    def options(self) -> KPMOptions:
        """What was asked for."""
        return self._options

    def _plan_for(self, geometry: Geometry, hamiltonian: FrozenHamiltonian) -> Plan[Any]:
        """The last plan while the magnet stays the same (see above), else a new one."""
        last, before, pattern = self._plan, self._magnet, hamiltonian.pattern
        self._magnet = geometry
        if last is None or before is None:
            return self._solver.plan(pattern)
        if moved_slightly(before, geometry, _SHORT_WAY * _shortest(hamiltonian.bonds)):
            return last if last.pattern.equals(pattern) else last.follow(pattern)
        alike = np.array_equal(before.numbers, geometry.numbers) and np.array_equal(before.pbc, geometry.pbc)
        return last if alike and last.pattern.equals(pattern) else self._solver.plan(pattern)

    def solve(self, frozen: PlannedElectrons, spins: FloatArray, lengths: FloatArray) -> SolvedElectrons:
        """Nothing yet (see :class:`ElectronCalculator`); solutions are counted."""
        self._solutions += 1
        return super().solve(frozen, spins, lengths)

    def derive(self, name: str, frozen: Any, state: Any, spins: FloatArray, lengths: FloatArray) -> Any:
        """One result from the electrons' state."""
        result = super().derive(name, frozen, state, spins, lengths)
        self._judge(frozen, spins)
        return result

    def begin_step(self) -> None:
        """New random phases (drivers call this at every step); results at hand are forgotten."""
        if self.renew and not self._corrected and self._options.columns != "unit":
            self._kpm.phases.renew()
            self.results, self._state = {}, None

    def calibrate(self, atoms: Atoms) -> Calibration:
        """Order, columns and bounds in use, with the error of the fields (times moment) measured for these atoms, energy."""
        plan, operator = self._planned(atoms)
        return plan.measure(operator)

    def field_errors(self, atoms: Atoms, repeats: int = 8) -> FloatArray:
        """Standard errors (N, 3) of ``magnetic_forces``, energy/moment, from the scatter over `repeats` sets of phases."""
        plan, operator = self._planned(atoms)
        _, lengths = split_moments(get_moments(atoms), get_reference_lengths(atoms))
        hamiltonian = self._frozen_for(atoms).hamiltonian
        return per_moment(plan.errors(operator, repeats, hamiltonian.spin_fields), lengths)

    def density_of_states(
        self, atoms: Atoms, energies: ArrayLike, order: int = 256, count: int = _DOS_COLUMNS
    ) -> FloatArray:
        """Density of states at `energies` (m,), states per energy in the cell, Jackson kernel of width pi half/order.

        From `count` random columns: relative noise about 1/sqrt(count * sites).

        Parameters
        ----------
        atoms : Atoms
            The magnet.
        energies : (m,) array_like
            Where, energy; zero beyond the band.
        order : int
            Of the expansion: half is half the band's width.
        count : int
            Random columns.
        """
        plan, operator = self._planned(atoms)
        moments, band = plan.moments(operator, random_columns(count), order)
        return spectral_density(moments, band, np.atleast_1d(np.asarray(energies, dtype=np.float64)))

    def local_spectral_function(self, atoms: Atoms, site: int, energies: ArrayLike, order: int = 256) -> FloatArray:
        """Local density of states of `site`, both spins, at `energies` (m,), states per energy: exact but for the kernel.

        Parameters
        ----------
        atoms : Atoms
            The magnet.
        site : int
            Index; below zero: from the end.
        energies : (m,) array_like
            Where, energy; zero beyond the band.
        order : int
            Of the expansion: the kernel is pi half/order wide.

        Raises
        ------
        ModelError
            If there is no such site.
        """
        if not -len(atoms) <= site < len(atoms):
            raise ModelError(f"site {site} is not one of the {len(atoms)} sites")
        plan, operator = self._planned(atoms)
        columns = subset_columns(len(operator), self._model.hamiltonian.orbitals_of(np.array([site % len(atoms)])))
        moments, band = plan.moments(operator, columns, order)
        return spectral_density(moments, band, np.atleast_1d(np.asarray(energies, dtype=np.float64)))

    def for_supercell(self, repeat: tuple[int, int, int]) -> KPMCalculator | None:
        """None: without k-points a larger cell has other levels."""
        return None

    def step_state(self) -> Any:
        """What a step may change: phases, calibration, reference."""
        return self._kpm.phases.state(), super().step_state(), self._forces_wanted, self._judged

    def restore_step(self, state: Any) -> None:
        """Take back what :meth:`step_state` gave; results of other phases are forgotten."""
        phases, plan, self._forces_wanted, self._judged = state
        self._kpm.phases.restore(phases)
        super().restore_step(plan)
        self.results, self._state = {}, None

    def checkpoint_state(self) -> dict[str, Any]:
        """Generator, phases, calibration and magnet: a restart continues with the same numbers, to the last bit."""
        magnet = self._magnet
        known = None if magnet is None else {name: getattr(magnet, name).tolist() for name in _GEOMETRY}
        return {
            **super().checkpoint_state(),
            "phases": self._kpm.phases.state(),
            "forces_wanted": self._forces_wanted,
            "geometry": known,
            "solutions": self._solutions,
        }

    def restore_state(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`checkpoint_state` gave."""
        self._kpm.phases.restore(state["phases"])
        super().restore_state(state)
        self._forces_wanted = bool(state["forces_wanted"])
        known = state["geometry"]
        self._magnet = None if known is None else Geometry(**{name: np.array(known[name]) for name in _GEOMETRY})
        self._frozen, self._solutions = None, int(state["solutions"])
        self._judged = None if self._plan is None else kpm_plan(self._plan).calibration

    def _frozen_for(self, atoms: Atoms) -> PlannedElectrons:
        """The frozen Hamiltonian and the plan of `atoms`, kept as that of a solution."""
        if self._frozen is None or not self._geometry_is_current(atoms):
            self.reset()
            self._frozen, self._state = self.freeze(geometry_of(atoms)), None
            self.atoms = atoms.copy()
        return self._frozen

    def _planned(self, atoms: Atoms) -> tuple[KPMPlan, SpinOperator]:
        """The plan and the operator of `atoms`."""
        spins, _ = split_moments(get_moments(atoms), get_reference_lengths(atoms))
        frozen = self._frozen_for(atoms)
        return kpm_plan(frozen.plan), frozen.hamiltonian.operator(spins)

    def _judge(self, frozen: PlannedElectrons, spins: FloatArray) -> None:
        """Say so, once for a magnet, if the calibration in use misses the accuracy."""
        plan = kpm_plan(frozen.plan)
        known = plan.calibration
        if known is None:
            return
        if self._judged is None or known.columns is not self._judged.columns:
            self._warned, self._solutions = False, 0
            _LOG.info("%d columns and %d moments: rms error of fields %.2g", known.columns.count, known.order, known.error)
            self._blame(known, "take more of them (left out, they are chosen for the accuracy), or a larger accuracy")
        elif not self._corrected and self._solutions >= _LOOK_EVERY and not self._warned:
            self._solutions = 0
            measured = plan.measure(frozen.hamiltonian.operator(spins))
            self._blame(measured, "the magnet has changed since they were chosen: take a new calculator", _LENIENT)
        self._judged = known

    def _blame(self, known: Calibration, advice: str, lenient: float = 1.0) -> None:
        if known.error > lenient * self._options.accuracy:
            self._warned = True
            warnings.warn(
                f"{known.columns.count} columns and {known.order} moments give fields with an rms error of "
                f"{known.error:.2g}, more than the asked {self._options.accuracy:g}: {advice}",
                AccuracyWarning,
                stacklevel=5,
            )


_GEOMETRY = ("positions", "cell", "pbc", "numbers")


def _shortest(bonds: Bonds) -> float:
    """The shortest bond between two places, length; infinite without bonds."""
    return float(bonds.distances[bonds.distances > 0.0].min(initial=np.inf))


def _options(accuracy: float, options: KPMOptions | None, by_hand: dict[str, Any]) -> KPMOptions:
    known = set(KPMOptions.__dataclass_fields__) - {"accuracy"}
    unknown = sorted(set(by_hand) - known)
    if unknown:
        raise ModelError(f"KPMCalculator has no option {unknown[0]!r}; options: {', '.join(sorted(known))}")
    if options is not None and by_hand:
        raise ModelError(f"give options=KPMOptions(...) or {', '.join(sorted(by_hand))} as keywords, not both")
    return options or KPMOptions(accuracy=accuracy, **by_hand)


def kpm_plan(plan: Plan[Any]) -> KPMPlan:
    """The KPM plan that a plan is, or corrects."""
    found = plan.cheap if isinstance(plan, RefreshedPlan) else plan
    assert isinstance(found, KPMPlan)
    return found


def _exact(reference: ReferenceName | SolverMaker, occupation: Occupation) -> Solver[Any]:
    if callable(reference):
        return reference(occupation)
    if reference not in _EXACT:
        raise ModelError(f"reference must be 'rational', 'ed' or what makes a solver from an occupation, got {reference!r}")
    return _EXACT[reference](occupation)


_EXACT: dict[str, SolverMaker] = {"rational": RationalSolver, "ed": DenseSolver}


__all__ = ["KPMCalculator", "KPMConfig"]
