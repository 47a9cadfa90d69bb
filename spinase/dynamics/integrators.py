"""Integrators of ds/dt = s x A(s, t): one class each, a step is a few lines.

Every integrator sees only the rate function ``rate(spins, fraction) -> A`` with A of shape (N, 3) and `fraction` the
time within the step (0: start, 1: end); noise, damping, frozen spins and fields are inside it.  All are second order
for a smooth A and converge to the Stratonovich solution with noise that is constant over the step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from spinase.errors import ConvergenceError, StyleError
from spinase.spin_algebra import cayley, cross, largest_difference, renormalize, rotate_about
from spinase.styles import load_style
from spinase.typing import FloatArray

Rate = Callable[[FloatArray, float], FloatArray]


_NOISE = 1e-5  # changes below this may be the noise of single-precision fields
_PATIENCE = 3  # iterations without improvement that say so
_EXTRAPOLATIONS = ((1.0,), (2.0, -1.0), (3.0, -3.0, 1.0))  # of equally spaced values, the latest first
_MARGIN = 3.0  # between the estimated error of a solution and what is allowed
_IN_NOISE = 4.0  # changes up to this many times the round-off of the fields are noise
_TINY = 1e-300
_TRUST = 50  # steps for which a contraction of the iteration is believed before it is measured again
_ROUNDED = 1e-14  # a change that is round-off tells no contraction
_LEAST = 0.01  # smaller contractions are those of one direction, the next error may have another
_FADES = 0.9  # a step, of contractions seen before


class Integrator(ABC):
    """One step of ds/dt = s x A(s, t).

    Attributes
    ----------
    resolution : float
        Relative round-off of the rates, where they are coarser than double precision; drivers set it.
    """

    citation: str = ""
    resolution: float = 0.0

    @abstractmethod
    def step(self, spins: FloatArray, rate: Rate, timestep: float) -> FloatArray:
        """Spins (N, 3) after one step of length `timestep`; |s_i| is kept.

        Parameters
        ----------
        spins : (N, 3) ndarray
            Unit vectors.
        rate : callable
            Equation of motion: spins and the part of the step that is done -> A (N, 3) of ds/dt = s x A, 1/time.
        timestep : float
            Time.
        """

    def state(self) -> dict[str, Any]:
        """What an integrator with a memory must keep for a bit-exact restart; empty for those without."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Take back what :meth:`state` gave."""


class Heun(Integrator):
    """Heun's predictor-corrector with renormalization: two fields a step."""

    citation = "J. L. Garcia-Palacios and F. J. Lazaro, Phys. Rev. B 58, 14937 (1998), doi:10.1103/PhysRevB.58.14937"

    def step(self, spins: FloatArray, rate: Rate, timestep: float) -> FloatArray:
        """s' = |s + dt f(s)|, s_new = |s + dt/2 (f(s) + f(s'))|, with f = s x A and |.| the renormalization."""
        lengths = np.linalg.norm(spins, axis=1)
        start = cross(spins, rate(spins, 0.0))
        predicted = renormalize(spins + timestep * start, lengths)
        end = cross(predicted, rate(predicted, 1.0))
        return renormalize(spins + 0.5 * timestep * (start + end), lengths)


class Depondt(Integrator):
    """Depondt-Mertens: exact rotations about the field, then about its average with the predicted one; two fields a step."""

    citation = (
        "Ph. Depondt and F. G. Mertens, J. Phys.: Condens. Matter 21, 336005 (2009), doi:10.1088/0953-8984/21/33/336005"
    )

    def step(self, spins: FloatArray, rate: Rate, timestep: float) -> FloatArray:
        """s' = R(A dt) s, s_new = R((A + A')/2 dt) s."""
        start = rate(spins, 0.0)
        predicted = rotate_about(spins, timestep * start)
        return rotate_about(spins, 0.5 * timestep * (start + rate(predicted, 1.0)))


class SemiImplicitB(Integrator):
    """Semi-implicit scheme B: Cayley rotations, predictor then corrector at the midpoint; two fields a step."""

    citation = (
        "J. H. Mentink et al., J. Phys.: Condens. Matter 22, 176001 (2010), doi:10.1088/0953-8984/22/17/176001, "
        "arXiv:1002.1801"
    )

    def step(self, spins: FloatArray, rate: Rate, timestep: float) -> FloatArray:
        """s' = s + dt (s + s')/2 x A(s), s_new = s + dt (s + s_new)/2 x A((s + s')/2)."""
        predicted = cayley(spins, 0.5 * timestep * rate(spins, 0.0))
        return cayley(spins, 0.5 * timestep * rate(0.5 * (spins + predicted), 0.5))


class ImplicitMidpoint(Integrator):
    """Implicit midpoint rule by fixed-point iteration: time-reversible, keeps the energy of bilinear models exactly.

    The iteration begins with A extrapolated from the midpoints of the steps before, and contracts by about
    timestep * |dA/ds|.  It ends when the error that is left, the last change times the contraction that was measured, is
    below the tolerance or the round-off of A (:attr:`resolution`).  So the past decides where an iteration begins, but not
    where it goes.

    Parameters
    ----------
    tolerance : float
        Largest error of a spin component.  Where the fields are noisier than they say, the iteration also ends when it has
        stopped improving below 1e-5.
    max_iterations : int
        Iterations before :class:`ConvergenceError`.
    """

    citation = "M. d'Aquino, C. Serpico and G. Miano, J. Comput. Phys. 209, 730 (2005), doi:10.1016/j.jcp.2005.04.001"

    def __init__(self, tolerance: float = 1e-13, max_iterations: int = 100) -> None:
        self.tolerance = tolerance
        self.max_iterations = max_iterations
        self._forget()

    def _forget(self) -> None:
        self._past: tuple[FloatArray, ...] = ()  # A at the midpoints of the last steps, the latest first
        self._timestep = 0.0  # of those steps
        self._order = 0  # of the extrapolation that would have been the best one for the last step
        self._contraction, self._age = 1.0, _TRUST  # of the iteration, and how many steps ago that was seen

    def step(self, spins: FloatArray, rate: Rate, timestep: float) -> FloatArray:
        """Solve s' = s + dt (s + s')/2 x A((s + s')/2)."""
        if timestep != self._timestep or any(past.shape != spins.shape for past in self._past):
            self._forget()
        guess = _extrapolated(self._past, self._order) if self._past else rate(spins, 0.0)
        new, changes = cayley(spins, 0.5 * timestep * guess), []
        for _ in range(self.max_iterations):
            vector = rate(0.5 * (spins + new), 0.5)
            improved = cayley(spins, 0.5 * timestep * vector)
            changes.append(largest_difference(improved, new))
            new = improved
            noise = self.resolution * abs(timestep) * _largest(vector) if self.resolution else 0.0
            if self._ends(changes, noise):
                self._remember(vector, guess, timestep)
                return new
        raise ConvergenceError(
            f"implicit midpoint did not converge in {self.max_iterations} iterations (last change {changes[-1]:.2e}, "
            f"tolerance {self.tolerance:.0e}): reduce the timestep, now {timestep:.4g}"
        )

    def _ends(self, changes: list[float], noise: float) -> bool:
        """Whether the iteration is over, after these changes; what they tell about contraction is kept."""
        last, allowed, in_noise = changes[-1], max(self.tolerance, noise), max(self.tolerance, _IN_NOISE * noise)
        contraction = self._contraction
        if len(changes) > 1:
            contraction = max(last / max(changes[-2], _TINY), _LEAST)
        if len(changes) == 2 and last > _ROUNDED:
            self._age = 0
            if last > in_noise or self._contraction >= 1.0:  # else it hides in the noise, as was foreseen
                before = 0.0 if self._contraction >= 1.0 else _FADES * self._contraction
                self._contraction = max(contraction, before)
        if last < in_noise:
            return True
        if (len(changes) > 1 or self._age < _TRUST) and _MARGIN * contraction * last < allowed:
            return True
        best = min(changes)
        stalled = len(changes) - 1 - changes.index(best)
        rounded = last < 100 * self.tolerance and len(changes) > 1 and last >= changes[-2]
        return rounded or (stalled >= _PATIENCE and last < _NOISE)

    def _remember(self, vector: FloatArray, guess: FloatArray, timestep: float) -> None:
        """Keep A (N, 3) of the step for the next ones, and which extrapolation would have foretold it best."""
        if self._past:
            foretold = [guess if k == self._order else _extrapolated(self._past, k) for k in range(len(self._past))]
            errors = [largest_difference(one, vector) for one in foretold]
            self._order = errors.index(min(errors)) + (len(self._past) < len(_EXTRAPOLATIONS))
        self._past, self._timestep = (vector, *self._past[: len(_EXTRAPOLATIONS) - 1]), timestep
        self._order = min(self._order, len(self._past) - 1)
        self._age += 1

    def state(self) -> dict[str, Any]:
        """What tells where the next iteration begins and ends."""
        return {
            "past": {str(k): vector for k, vector in enumerate(self._past)},
            "timestep": self._timestep,
            "order": self._order,
            "contraction": self._contraction,
            "age": self._age,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back the past; without one (a checkpoint that knows none) the next step begins from its own start."""
        self._forget()
        if state:
            self._past = tuple(np.asarray(state["past"][str(k)]) for k in range(len(state["past"])))
            self._timestep, self._order = float(state["timestep"]), int(state["order"])
            self._contraction, self._age = float(state["contraction"]), int(state["age"])


def _extrapolated(past: tuple[FloatArray, ...], order: int) -> FloatArray:
    """The next of equally spaced values (N, 3), the latest of `past` first, by a polynomial of `order`."""
    factors = _EXTRAPOLATIONS[order]
    found = factors[0] * past[0]
    for factor, vector in zip(factors[1:], past[1:], strict=False):
        found += factor * vector
    return found


def _largest(vectors: FloatArray) -> float:
    return float(np.maximum.reduce(np.abs(vectors), axis=None, initial=0.0))


def make_integrator(choice: str | Integrator) -> Integrator:
    """The integrator called `choice`, built in or of a plugin (or `choice` itself).

    Raises
    ------
    StyleError
        If there is none of that name, or it is no :class:`Integrator`.
    """
    found = choice if isinstance(choice, Integrator) else load_style("integrators", choice)()
    if not isinstance(found, Integrator):
        raise StyleError(f"integrator {choice!r} makes a {type(found).__name__}: it must derive from Integrator")
    return found
