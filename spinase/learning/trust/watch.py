"""Watch over a learned magnet: what is unlike its training is refused, or told once."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Literal, TypeAlias

import numpy as np

from spinase.errors import ModelError, OutOfDomainError, OutOfDomainWarning
from spinase.geometry import Bonds, Geometry
from spinase.learning.trust.domain import Domain, DomainProblem
from spinase.typing import FloatArray

OutsideDomain: TypeAlias = Literal["warn", "error", "ignore"]
_LENGTH_WIDTH = 0.02  # part by which the length of a spin may be off 1
_LEVEL = 6  # from a warning up to who asked the calculator


class DomainWatch:
    """Holds magnets against a domain.

    Parameters
    ----------
    domain : Domain
        What the model was trained on.
    name : str
        Of the model, for messages.
    outside : {"warn", "error", "ignore"}
        "warn": one OutOfDomainWarning of each kind, but an error where no use can be made of answers; "error": always an
        error; "ignore": nothing.
    must_tell : bool
        Whether to warn once of what the domain does not tell.

    Raises
    ------
    ModelError
        If `outside` is another word.
    """

    def __init__(self, domain: Domain, name: str, outside: OutsideDomain, must_tell: bool) -> None:
        if outside not in ("warn", "error", "ignore"):
            raise ModelError(f"outside_domain must be 'warn', 'error' or 'ignore', got {outside!r}")
        self.domain, self.name, self.outside, self.must_tell = domain, name, outside, must_tell
        self._told: set[str] = set()
        self._lengths: FloatArray | None = None  # looked at last

    @property
    def sleeps(self) -> bool:
        """Whether nothing is looked at."""
        return self.outside == "ignore"

    def require_electrons(self, filling: float | None, chemical_potential: float | None) -> None:
        """Refuse a filling or a chemical potential that was not trained.

        Raises
        ------
        ModelError
        """
        problem = None if self.sleeps else self.domain.electron_problem(filling, chemical_potential)
        if problem is not None:
            raise ModelError(f"{problem}: use one the model {self.name!r} was trained for, or train one for this")

    def require_bias(self, bias: float | None) -> None:
        """Refuse a bias that was not trained.

        Raises
        ------
        OutOfDomainError
        """
        problem = None if self.sleeps else self.domain.bias_problem(bias)
        if problem is not None:
            raise OutOfDomainError(f"{problem}: use one the model {self.name!r} was trained for, or train one for this")

    def geometry(self, geometry: Geometry, bonds: Bonds) -> None:
        """Look at a geometry with all its bonds within the cutoff; at what the domain does not tell, too."""
        if self.sleeps:
            return
        self._heed(self.domain.problem(geometry, bonds=bonds), "geometry")
        missing = self.domain.unknown()
        if self.must_tell and missing and "unknown" not in self._told:
            self._told.add("unknown")
            warnings.warn(
                f"the card of {self.name!r} does not tell the {', '.join(missing)} of its training: they are not checked",
                OutOfDomainWarning,
                stacklevel=_LEVEL,
            )

    def moments(self, lengths: FloatArray, reference: FloatArray | None = None) -> None:
        """Look at lengths (N,) of moments, and at those they are measured against, if they are others than last time."""
        if self.sleeps or (self._lengths is not None and np.array_equal(lengths, self._lengths)):
            return
        self._lengths = lengths
        self.any_moments(lengths if reference is None else reference)
        wrong = np.flatnonzero([] if reference is None else np.abs(lengths - reference) > _LENGTH_WIDTH * reference)
        if reference is not None and len(wrong):
            i = int(wrong[0])
            self._heed(
                DomainProblem(
                    f"the spin of site {i} has a length of {lengths[i] / max(reference[i], 1e-300):.4g} (its moment over "
                    "the reference length), the training had unit spins"
                ),
                "spin lengths",
            )

    def any_moments(self, lengths: FloatArray) -> None:
        """Look at lengths (n,) of moments."""
        if not self.sleeps:
            self._heed(self.domain.moment_problem(lengths), "moments")

    def device(self, problem: str | None) -> None:
        """Refuse a device with other leads than those of the training.

        Raises
        ------
        OutOfDomainError
        """
        self._heed(None if problem is None else DomainProblem(problem, fatal=True), "device")

    def results(self, results: Mapping[str, FloatArray]) -> None:
        """Look at the electrons that every network found, where there are some."""
        if self.sleeps or "filling" not in results:
            return
        for filling, potential in zip(results["filling"].ravel(), results["chemical_potential"].ravel(), strict=True):
            problem = self.domain.electron_problem(float(filling), float(potential))
            self._heed(None if problem is None else DomainProblem(problem), "electrons")

    def _heed(self, problem: DomainProblem | None, kind: str) -> None:
        """Raise, or warn once of each kind."""
        if problem is None:
            return
        text = f"{problem}: the learned magnet {self.name!r} has no data for this"
        if problem.fatal or self.outside == "error":
            raise OutOfDomainError(text)
        if kind not in self._told:
            self._told.add(kind)
            warnings.warn(f"{text}, its answers may be wrong by any amount", OutOfDomainWarning, stacklevel=_LEVEL)


__all__ = ["DomainWatch", "OutsideDomain"]
