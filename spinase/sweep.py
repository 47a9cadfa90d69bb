"""A function of parameters at many points, on any executor; what is finished is kept, and an error of a point is its own.

Every point leaves one file of arrays in the folder of the sweep, written whole or not at all, so the same call goes on where
an earlier one was ended, whatever ended it; points may be added.  A function is told by its name and source: another one
does not take over what is there.

>>> def magnetization(kT, seed): ...           # a function of a module (or of a script with ``if __name__ == "__main__"``)
>>> points = grid(kT=[0.1, 0.2], seed=[1, 2, 3])
>>> found = sweep(magnetization, points, "curie_sweep", workers=4)
>>> found["m"]                                  # one array a point, in the order of the points
"""

from __future__ import annotations

import inspect
import itertools
import json
import pickle
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from spinase.errors import InputError, SweepError
from spinase.files import (
    held,
    read_arrays,
    read_mark,
    refuse_foreign_folder,
    table_digest,
    text_digest,
    write_arrays,
    write_mark,
)
from spinase.stopping import RunStopped
from spinase.typing import Array
from spinase.workers import Job, Workers

Point = Mapping[str, Any]
"""Parameters by name: numbers, texts, truth values, None, lists and tables of these."""
Measured = Callable[..., Mapping[str, ArrayLike] | ArrayLike]
"""parameters by name -> arrays by name, or one array, which is called ``value``."""
_ERROR = "__error__"


@dataclass(frozen=True)
class Sweep:
    """What a function gave at the points of a sweep.

    Attributes
    ----------
    points : list of mapping
        Parameters, in the order in which they were given.
    results : list of mapping or None
        Arrays by name of every point; None where it failed.
    errors : mapping
        Of the points that failed, by their place in `points`: what was raised, with its traceback.
    """

    points: list[Point]
    results: list[dict[str, Array] | None]
    errors: dict[int, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> list[Array]:
        """The array called `name` of every point.

        Raises
        ------
        SweepError
            If points failed.
        InputError
            If a point has no such array.
        """
        self.require_whole()
        found = [result for result in self.results if result is not None]
        for k, result in enumerate(found):
            if name not in result:
                raise InputError(f"point {k} of the sweep, {dict(self.points[k])}, has no {name!r}: it has {sorted(result)}")
        return [result[name] for result in found]

    def require_whole(self) -> None:
        """Raise SweepError if points failed: how many, which is the first, and why."""
        if not self.errors:
            return
        first = min(self.errors)
        raise SweepError(
            f"{len(self.errors)} of {len(self.points)} points of the sweep failed, the first is point {first}, "
            f"{dict(self.points[first])}: {self.errors[first].strip().splitlines()[-1]}. The others are kept; the same call "
            "tries those that failed again (their tracebacks: .result.errors of this error)",
            self,
        )


def grid(**values: Iterable[Any]) -> list[dict[str, Any]]:
    """Every combination of parameter values as points, the last parameter running fastest."""
    return [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]


def sweep(
    function: Measured,
    points: Iterable[Point],
    folder: str | Path,
    *,
    workers: int = 0,
    executor: Executor | str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Sweep:
    """`function` at all `points`, those that the folder has not got yet.

    Parameters
    ----------
    function : callable
        Called as ``function(**point)``; gives an array (or number), or a mapping of arrays by name.  For executors beyond
        this process it must be importable (no lambda, no function inside another).  Randomness: make a seed a parameter.
    points : iterable of mapping
        Parameters by name, JSON values; no two alike.  See :func:`grid`.
    folder : path
        Where results are kept; made if it is not there.
    workers, executor
        As of :class:`~spinase.workers.Workers`: 0 workers compute in this process, more in as many of this machine;
        an executor or its name (``"processes"``, ``"threads"``, ``"mpi"``, ``"dask"``, ``module:function``).
    progress : callable, optional
        Called with the numbers of finished and of all points; default: a line on standard error.

    Returns
    -------
    Sweep
        All points finished.

    Raises
    ------
    InputError
        On points that are no JSON values or that are there twice, on a function that cannot be sent to workers, on a folder
        of something else, or of a sweep of another function.
    SweepError
        If points failed, when all others are finished and kept; its ``result`` has those.
    RunStopped
        If SIGINT, SIGTERM or SIGHUP ends it; the same call goes on.
    """
    listed, place = [dict(point) for point in points], Path(folder)
    names = [_name(point) for point in listed]
    _refuse_repeated(listed, names)
    if workers or executor is not None:
        _require_importable(function)
    refuse_foreign_folder(place, "sweep", ["*.npz"])
    place.mkdir(parents=True, exist_ok=True)
    with held(place, f"the sweep in {place}"):
        _mark(place, function)
        files = [place / name for name in names]
        forget_errors(files)
        jobs: dict[Path, Job] = {file: (measure, function, point) for file, point in zip(files, listed, strict=True)}
        show = partial(_show, str(place)) if progress is None else progress
        Workers(workers, executor).do(jobs, done=lambda finished: show(finished, len(jobs)))
        found = collected(listed, files)
    found.require_whole()
    return found


def measure(path: Path, function: Measured, point: Point) -> None:
    """What a worker does: `function` at a point into the file `path`, arrays by name or, if it raises, its traceback.

    A function that stops early (RunStopped: a signal) leaves no file: the point is begun again next time.

    Parameters
    ----------
    path : Path
        File of the point.
    function : callable
        Point -> arrays by name.
    point : mapping
        Values of the parameters by name.
    """
    try:
        value = function(**point)
        named = dict(value) if isinstance(value, Mapping) else {"value": value}
        arrays = {str(name): np.asarray(array) for name, array in named.items()}
        for name, array in arrays.items():
            if array.dtype == object:
                raise TypeError(f"{name!r} is no array of numbers or texts: {named[name]!r}")
    except RunStopped:
        raise
    except Exception:
        arrays = {_ERROR: np.array(traceback.format_exc())}
    write_arrays(path, {**arrays, "__point__": np.array(json.dumps(dict(point), sort_keys=True))})


def _name(point: Point) -> str:
    """File of a point, by its parameters."""
    try:
        return f"{table_digest(point)[:24]}.npz"
    except TypeError as error:
        raise InputError(
            f"the point {dict(point)} cannot be written as JSON ({error}): parameters are numbers, texts, truth values, "
            "None, and lists and tables of these; make float(x) or x.tolist() of numpy's"
        ) from None


def _refuse_repeated(points: Sequence[Point], names: Sequence[str]) -> None:
    for k, name in enumerate(names):
        if name in names[:k]:
            raise InputError(f"points {names.index(name)} and {k} of the sweep are the same, {points[k]}: give them a seed")


def _require_importable(function: Measured) -> None:
    try:
        pickle.dumps(function)
    except Exception as error:
        raise InputError(
            f"{function!r} cannot be sent to workers ({error}): define it at the top of a module or script, or leave out "
            "workers and executor"
        ) from None


def _mark(folder: Path, function: Measured) -> None:
    """Mark the folder as a sweep of the function, or check that it is one."""
    told = getattr(function, "__qualname__", type(function).__qualname__)
    try:
        source = text_digest(inspect.getsource(function))
    except (OSError, TypeError):
        source = ""
    known = read_mark(folder)
    if not known:
        write_mark(folder, kind="sweep", function=told, source=source)
        return
    if (known.get("function"), known.get("source")) != (told, source):
        changed = "an older text of it" if known.get("function") == told else f"of {known.get('function')!r}"
        raise InputError(
            f"{folder} holds a sweep of another function than {told!r} ({changed}): its results are not those of this one. "
            "Name another folder, or remove this one"
        )


def forget_errors(files: Iterable[Path]) -> None:
    """Remove the files of points that failed, so that they are tried again."""
    for file in files:
        if file.exists() and _ERROR in read_arrays(file):
            file.unlink()


def collected(points: Sequence[Point], files: Iterable[Path]) -> Sweep:
    """Results and errors in the files of all points.

    Parameters
    ----------
    points : sequence of mapping
        Parameters of each.
    files : iterable of Path
        What :func:`measure` wrote of each, in the same order.
    """
    results: list[dict[str, Array] | None] = []
    errors = {}
    for k, file in enumerate(files):
        arrays = read_arrays(file)
        if _ERROR in arrays:
            errors[k] = str(arrays[_ERROR])
        own = {name: array for name, array in arrays.items() if not name.startswith("__")}
        results.append(None if k in errors else own)
    return Sweep(list(points), results, errors)


def _show(folder: str, finished: int, total: int) -> None:
    print(f"{folder}: {finished} of {total} points", file=sys.stderr)


__all__ = ["Sweep", "collected", "forget_errors", "grid", "measure", "sweep"]
