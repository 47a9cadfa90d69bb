"""Named errors: each says what is wrong, the value, where, and what to do."""

from __future__ import annotations

from typing import Any


class SpinaseError(Exception):
    """Base class of every error raised on purpose by spinase.

    Attributes
    ----------
    stopped : bool
        It ended a run that had begun: what is written is good up to there, and the exit status is 3.
    """

    stopped: bool = False


class InvalidMomentsError(SpinaseError, ValueError):
    """Moments or spins of the wrong shape, not finite, or of zero length where a direction is needed."""


class InvalidGeometryError(SpinaseError, ValueError):
    """Positions or a cell the requested calculation cannot use (coincident sites, no shells, ...)."""


class ModelError(SpinaseError, ValueError):
    """A model parameter outside its range."""


class PatternError(ModelError):
    """A solver's plan was given an operator with other sites or bonds than it was made for."""


class ConvergenceError(SpinaseError, RuntimeError):
    """An iteration did not reach its tolerance."""


class UnstableDynamicsError(SpinaseError, RuntimeError):
    """A step of a driver went wrong: the time step is too large, or forces are not what they should be."""


class OutOfDomainError(SpinaseError, RuntimeError):
    """A learned magnet was taken where it does not know the answer: error bars above the bound, distances never trained."""


class UnitMismatchError(SpinaseError, ValueError):
    """Atoms, calculator and driver do not share one unit system."""


class MissingMagneticForcesError(SpinaseError, TypeError):
    """A calculator without ``magnetic_forces`` was given to something that needs them."""


class MomentsIgnoredError(SpinaseError, TypeError):
    """A calculator returns the same answer whatever the moments are."""


class StyleError(SpinaseError, LookupError):
    """A style cannot be found, is ambiguous, or cannot be loaded."""


class InputError(SpinaseError, ValueError):
    """An input file with a wrong, missing or misspelt entry."""


class CheckpointError(SpinaseError, OSError):
    """A checkpoint or trajectory that is missing, damaged or of another run."""


class WorkerError(SpinaseError, RuntimeError):
    """Worker processes die again and again."""


class SweepError(SpinaseError, RuntimeError):
    """Points of a sweep failed; the others are finished and kept.

    Attributes
    ----------
    result : Sweep
        All points: results of those that finished, errors of the others.
    """

    def __init__(self, message: str, result: Any = None) -> None:
        super().__init__(message)
        self.result = result


class OutputError(SpinaseError, OSError):
    """A file that cannot be written, or that somebody removed while it was being written."""

    @classmethod
    def of(cls, path: object, error: OSError) -> OutputError:
        """The error of the system in one line."""
        return cls(f"cannot write {path}: {error.strerror or error}")


class FileInUseError(SpinaseError, OSError):
    """Another process works on the same files."""


class ModelFileError(SpinaseError, OSError):
    """A model file that is missing, damaged, foreign, or does not fit the magnet."""


class AccuracyWarning(UserWarning):
    """A result is less accurate than was asked for."""


class OutOfDomainWarning(AccuracyWarning):
    """A learned magnet is where its error bars exceed the bound."""


class UnstableStateWarning(UserWarning):
    """All torques vanish at a state that is no minimum: a saddle point or a maximum of the energy."""


class AdiabaticityWarning(UserWarning):
    """Spins turn faster than the electrons that are taken to follow them."""


class CostWarning(UserWarning):
    """A calculation works, but another way is much cheaper."""


_NEEDED = {
    "int": "a whole number is needed",
    "float": "a number is needed",
    "bool": "true or false is needed",
    "string": "a text in quotes is needed",
    "list": "a list is needed",
    "tuple": "a list is needed",
    "dict": "a table is needed",
    "model": "a table is needed",
    "finite": "a finite number is needed",
    "none": "leave it out",
}
"""What is needed, by the first word of pydantic's kind of problem."""


def in_words(problem: Any) -> str:
    """What pydantic found wrong with a value (an entry of its ``errors()``), in our words."""
    kind, context = problem["type"], problem.get("ctx", {})
    if kind in ("too_short", "too_long"):
        word, bound = ("at least", "min_length") if kind == "too_short" else ("at most", "max_length")
        return f"{word} {context.get(bound)} entries are needed"
    word = kind.partition("_")[0]
    if word in _NEEDED:
        return _NEEDED[word]
    return str(problem["msg"]).removeprefix("Value error, ").replace("Input should be", "must be")
