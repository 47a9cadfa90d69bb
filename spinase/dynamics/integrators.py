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
from spinase.spin_algebra import cayley, cross, renormalize, rotate_about
from spinase.styles import load_style
from spinase.typing import FloatArray

Rate = Callable[[FloatArray, float], FloatArray]


_NOISE = 1e-5  # changes below this may be the noise of single-precision fields
_PATIENCE = 3  # iterations without improvement that say so


class Integrator(ABC):
    """One step of ds/dt = s x A(s, t)."""

    citation: str = ""

    @abstractmethod
    def step(self, spins: FloatArray, rate: Rate, timestep: float) -> FloatArray:
        """Spins (N, 3) after one step of length `timestep`; |s_i| is kept."""

    def state(self) -> dict[str, Any]:
        """What an integrator with a memory must keep for a bit-exact restart; empty for those without."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Take back what :meth:`state` gave."""


class Heun(Integrator):
    """Heun's predictor-corrector with renormalization: two fields a step."""

    citation = "J. L. Garcia-Palacios and F. J. Lazaro, Phys. Rev. B 58, 14937 (1998)"

    def step(self, spins: FloatArray, rate: Rate, timestep: float) -> FloatArray:
        """s' = |s + dt f(s)|, s_new = |s + dt/2 (f(s) + f(s'))|, with f = s x A and |.| the renormalization."""
        lengths = np.linalg.norm(spins, axis=1)
        start = cross(spins, rate(spins, 0.0))
        predicted = renormalize(spins + timestep * start, lengths)
        end = cross(predicted, rate(predicted, 1.0))
        return renormalize(spins + 0.5 * timestep * (start + end), lengths)


class Depondt(Integrator):
    """Depondt-Mertens: exact rotations about the field, then about its average with the predicted one; two fields a step."""

    citation = "Ph. Depondt and F. G. Mertens, J. Phys.: Condens. Matter 21, 336005 (2009)"

    def step(self, spins: FloatArray, rate: Rate, timestep: float) -> FloatArray:
        """s' = R(A dt) s, s_new = R((A + A')/2 dt) s."""
        start = rate(spins, 0.0)
        predicted = rotate_about(spins, timestep * start)
        return rotate_about(spins, 0.5 * timestep * (start + rate(predicted, 1.0)))


class SemiImplicitB(Integrator):
    """Semi-implicit scheme B: Cayley rotations, predictor then corrector at the midpoint; two fields a step."""

    citation = "J. H. Mentink et al., J. Phys.: Condens. Matter 22, 176001 (2010), arXiv:1002.1801"

    def step(self, spins: FloatArray, rate: Rate, timestep: float) -> FloatArray:
        """s' = s + dt (s + s')/2 x A(s), s_new = s + dt (s + s_new)/2 x A((s + s')/2)."""
        predicted = cayley(spins, 0.5 * timestep * rate(spins, 0.0))
        return cayley(spins, 0.5 * timestep * rate(0.5 * (spins + predicted), 0.5))


class ImplicitMidpoint(Integrator):
    """Implicit midpoint rule by fixed-point iteration: time-reversible, keeps the energy of bilinear models exactly.

    Parameters
    ----------
    tolerance : float
        Largest change of a spin component between iterations.  Fields in single precision are too noisy for the default:
        the iteration also ends when it has stopped improving below 1e-5.
    max_iterations : int
        Iterations before :class:`ConvergenceError`; the iteration contracts by about timestep * |dA/ds|.
    """

    citation = "M. d'Aquino, C. Serpico and G. Miano, J. Comput. Phys. 209, 730 (2005)"

    def __init__(self, tolerance: float = 1e-13, max_iterations: int = 100) -> None:
        self.tolerance = tolerance
        self.max_iterations = max_iterations

    def step(self, spins: FloatArray, rate: Rate, timestep: float) -> FloatArray:
        """Solve s' = s + dt (s + s')/2 x A((s + s')/2)."""
        new = cayley(spins, 0.5 * timestep * rate(spins, 0.0))
        change, least, stalled = np.inf, np.inf, 0
        for _ in range(self.max_iterations):
            improved = cayley(spins, 0.5 * timestep * rate(0.5 * (spins + new), 0.5))
            previous, change = change, float(np.abs(improved - new).max(initial=0.0))
            new = improved
            stalled = 0 if change < least else stalled + 1
            least = min(least, change)
            if change < self.tolerance or (change < 100 * self.tolerance and change >= previous):
                return new
            if stalled >= _PATIENCE and change < _NOISE:
                return new
        raise ConvergenceError(
            f"implicit midpoint did not converge in {self.max_iterations} iterations (last change {change:.2e}, "
            f"tolerance {self.tolerance:.0e}): reduce the timestep, now {timestep:.4g}"
        )


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
