"""A guard of learned magnets: looks at their error bars during any run, keeps a record, warns or stops."""

from __future__ import annotations

import warnings
from typing import IO, Any, ClassVar, Literal

import numpy as np
from ase import Atoms
from pydantic import BaseModel, ConfigDict, Field

from spinase.atoms import get_moments, get_spins, get_units
from spinase.contract import atoms_of, calculator_of, error_bars_of, time_of, trained_domain_problem
from spinase.errors import ModelError, OutOfDomainError, OutOfDomainWarning
from spinase.learning.trust.domain import DomainProblem
from spinase.measures import torque_norms
from spinase.quantities import Quantity
from spinase.typing import Array, BoolArray, FloatArray


class ErrorBarConfig(BaseModel):
    """Error bars of a learned calculator, and what to do where they are too large."""

    model_config = ConfigDict(extra="forbid")

    bound: float | None = Field(
        None, gt=0, description="largest error bar allowed; absent: only recorded [energy/moment; relative: 1]"
    )
    coverage: float = Field(0.9, gt=0, lt=1, description="part of the true errors that the bars should cover")
    action: Literal["warn", "stop"] = Field("stop", description="what to do where the bound is exceeded")
    statistic: Literal["largest", "rms"] = Field("largest", description="which bar counts: the largest, or their rms")
    relative: bool = Field(False, description="bound in units of the rms tangent field of the configuration")
    patience: int = Field(1, ge=1, description="looks above the bound before it warns or stops")
    margin: float = Field(
        0.02, ge=0, lt=1, description="part by which distances may be below the shortest trained; below that it always stops"
    )


class ErrorBarGuard:
    """Records the error bars of a learned calculator; warns or stops where one exceeds the bound.

    An observer for input files (``style = "error-bar"``), and for scripts with any driver that has ASE's ``attach``::

        ErrorBarGuard(bound=0.05).watch(dynamics, every=10)

    A geometry unlike those of the training (another lattice, an edge, another density) is an alarm, too; two atoms closer
    than any in the training (by more than `margin`) stop the run whatever the action is.  A single network has no bars that
    tell magnets apart, so the guard refuses it; its calculator looks at the geometry by itself.

    Parameters
    ----------
    bound : float, optional
        Largest bar allowed, energy/moment (`relative`: in units of the rms tangent field); None: bars are only recorded.
    coverage : float
        Part of the true errors that the bars cover.
    action : {"stop", "warn"}
        At the bound: OutOfDomainError, or one OutOfDomainWarning.
    statistic : {"largest", "rms"}
        Which bar is compared with the bound.  The largest of N bars grows with N.
    relative : bool
        Whether the bound is a part of the rms tangent field of the configuration.
    patience : int
        Looks above the bound before it acts, counted anew after a restart.
    margin : float
        Part by which distances may be below the shortest one trained.

    Attributes
    ----------
    alarm : str or None
        Why the run should stop, as of the last look.
    """

    Config = ErrorBarConfig
    name = "error-bar"
    citation: ClassVar[str] = "Y. Lee, R. F. Barber, R. Willett, arXiv:2306.06342 (bars for data in groups)"

    def __init__(
        self,
        bound: float | None = None,
        coverage: float = 0.9,
        action: Literal["warn", "stop"] = "stop",
        statistic: Literal["largest", "rms"] = "largest",
        relative: bool = False,
        patience: int = 1,
        margin: float = 0.02,
    ) -> None:
        self.options = ErrorBarConfig(
            bound=bound,
            coverage=coverage,
            action=action,
            statistic=statistic,
            relative=relative,
            patience=patience,
            margin=margin,
        )
        self.alarm: str | None = None
        self.quantities = _quantities("")
        self._unit = ""
        self._looks_above, self._warned, self._warned_domain = 0, False, False
        self._seen: FloatArray | None = None

    @classmethod
    def from_config(cls, config: ErrorBarConfig) -> ErrorBarGuard:
        """Build from checked options."""
        return cls(**config.model_dump())

    def prepare(self, atoms: Atoms) -> dict[str, Array]:
        """Check that the calculator has error bars of this coverage; forget earlier looks.

        Raises
        ------
        ModelError
            If it has none.
        """
        error_bars_of(atoms, self.options.coverage)
        units = get_units(atoms)
        self._unit = f"{units.energy}/{units.moment}"
        self.quantities = _quantities(self._unit)
        self.alarm, self._looks_above, self._warned, self._seen = None, 0, False, None
        self._warned_domain = False
        return {}

    def observe(self, atoms: Atoms) -> dict[str, float]:
        """Largest and rms bar over the spins, the spin of the largest, rms tangent field, whether the bound is exceeded.

        Raises
        ------
        ModelError
            If the calculator has no error bars.
        """
        bars = error_bars_of(atoms, self.options.coverage)
        magnetic = np.linalg.norm(get_moments(atoms), axis=1) > 0.0
        site = int(bars.argmax())
        values = {
            "largest": float(bars[site]),
            "rms": float(np.sqrt(np.mean(bars[magnetic] ** 2))) if magnetic.any() else 0.0,
            "spin": float(site),
            "field": _tangent_rms(atoms, magnetic),
        }
        problem = self._judge(values)
        self._heed(problem, atoms)
        outside = trained_domain_problem(atoms, self.options.margin)
        if outside is not None:
            self._heed_domain(outside)
        return {**values, "exceeded": float(problem is not None or outside is not None)}

    def watch(self, dynamics: Any, every: int = 10, logfile: IO[str] | None = None) -> None:
        """Look every `every` steps of a driver with ASE's ``attach`` (dynamics, optimizers).

        Each look writes time, largest and rms bar and rms tangent field to `logfile`, if there is one.  Where the guard
        stops, :class:`~spinase.errors.OutOfDomainError` leaves the driver with the atoms as they were looked at.

        Parameters
        ----------
        dynamics : ASE dynamics or optimizer
            Whatever has ``attach`` and ``atoms``.
        every : int
            Steps between looks.
        logfile : text stream, optional
            Gets a line for every look.

        Raises
        ------
        ModelError
            If the calculator has no error bars, or `every` is not positive.
        """
        if every < 1:
            raise ModelError(f"every must be a positive number of steps, got {every}")
        atoms = atoms_of(dynamics)
        self.prepare(atoms)
        if logfile is not None:
            covered = f"coverage {self.options.coverage:g}"
            logfile.write(f"# time  largest bar  rms bar  rms tangent field [{self._unit}]  ({covered})\n")
        dynamics.attach(self._look, every, atoms, dynamics, logfile)

    def _look(self, atoms: Atoms, dynamics: Any, logfile: IO[str] | None) -> None:
        values = self.observe(atoms)
        if logfile is not None:
            logfile.write(
                f"{time_of(dynamics):14.6f} {values['largest']:14.6e} {values['rms']:14.6e} {values['field']:14.6e}\n"
            )
            logfile.flush()
        if self.alarm is not None:
            raise OutOfDomainError(f"{self.alarm}, after {dynamics.nsteps} steps. {WHAT_TO_DO}")

    def _judge(self, values: dict[str, float]) -> str | None:
        """What is wrong with the bars; None if nothing is."""
        given = self.options
        if given.bound is None:
            return None
        bar = values[given.statistic]
        limit = given.bound * (values["field"] if given.relative else 1.0)
        if bar <= limit:
            return None
        whose = f"of spin {int(values['spin'])}" if given.statistic == "largest" else "of the spins (rms)"
        compared = f", which is {given.bound:g} of the rms tangent field" if given.relative else ""
        return (
            f"the error bar {whose} is {bar:.4g} {self._unit} (coverage {given.coverage:g}), above the bound "
            f"{limit:.4g}{compared}"
        )

    def _heed_domain(self, problem: DomainProblem) -> None:
        """Raise the alarm; what is not fatal only warns, once, where warnings are asked for."""
        text = f"{problem}: the learned magnet has no data for this"
        if problem.fatal or self.options.action == "stop":
            self.alarm = text
        elif not self._warned_domain:
            self._warned_domain = True
            warnings.warn(f"{text}. {WHAT_TO_DO}", OutOfDomainWarning, stacklevel=3)

    def _heed(self, problem: str | None, atoms: Atoms) -> None:
        """Count a look above the bound, warn or raise the alarm; looking twice at the same atoms counts once."""
        now = np.concatenate([get_moments(atoms), atoms.positions])
        again = self._seen is not None and np.array_equal(now, self._seen)
        self._seen, self.alarm = now, self.alarm if again else None
        if problem is None or again:
            return
        self._looks_above += 1
        if self._looks_above < self.options.patience:
            return
        if self.options.action == "stop":
            self.alarm = problem
        elif not self._warned:
            self._warned = True
            warnings.warn(f"{problem}. {WHAT_TO_DO}", OutOfDomainWarning, stacklevel=3)


WHAT_TO_DO = "Label such configurations and train on (spinase learn), or raise the bound"


def _tangent_rms(atoms: Atoms, magnetic: BoolArray) -> float:
    """Rms over the spins of the field across them, energy/moment."""
    if not magnetic.any():
        return 0.0
    fields = np.asarray(calculator_of(atoms).get_property("magnetic_forces", atoms))[magnetic]
    return torque_norms(np.cross(get_spins(atoms)[magnetic], fields)).rms


def _quantities(unit: str) -> dict[str, Quantity]:
    return {
        "largest": Quantity("largest error bar", unit),
        "rms": Quantity("rms error bar", unit),
        "spin": Quantity("spin with the largest error bar"),
        "field": Quantity("rms tangent field", unit),
        "exceeded": Quantity("out of the trained domain (1: yes)"),
    }


__all__ = ["WHAT_TO_DO", "ErrorBarConfig", "ErrorBarGuard"]
