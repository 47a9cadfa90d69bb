r"""The equation of motion of the spins as its parts: fields that add up, constraints, noise, response.

.. math:: \dot s_i = s_i\times A_i, \qquad
          A_i = P_i\Big[-\gamma'\,\big(B_i + \alpha\,s_i\times B_i\big)\Big], \qquad
          B = C\Big[\sum_k B^{(k)}(s, t)\Big] + b

===========  ============================  ==========================================================================
symbol       variable                      what
===========  ============================  ==========================================================================
B^(k)        ``Equation.fields``           calculator (spin-transfer torques among its terms), applied field; energy/moment
C            ``Equation.constrain``        takes out what a constraint takes up of the fields
b            ``Equation.noise``            thermal field of this step
gamma'       ``Precession.prefactor``      gamma/(1 + alpha^2), or gamma in the Landau-Lifshitz form
alpha        ``Precession.damping``        Gilbert damping
P            ``Equation.respond``          g factors g_i/2, constraints, frozen spins
===========  ============================  ==========================================================================

Another field is another term, another constraint another map: nothing here asks which of them there are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from spinase.contract import FieldFunction
from spinase.dynamics.constrained import TurningAxes
from spinase.spin_algebra import precession_vector
from spinase.typing import BoolArray, FloatArray

Form = Literal["landau-lifshitz-gilbert", "landau-lifshitz"]

FieldTerm = Callable[[FloatArray, float], FloatArray]
"""Field (N, 3), energy/moment, of spins (N, 3) at a fraction of the step."""

SiteMap = Callable[[FloatArray], FloatArray]
"""Vectors (N, 3) of the sites made into others."""


class Part(NamedTuple):
    """A part of a step: the time `start` after the step began, and how long it takes."""

    start: float
    duration: float

    def since(self, fraction: float) -> float:
        """Time since the step began."""
        return self.start + fraction * self.duration


@dataclass(eq=False, slots=True)
class CalculatorField:
    """Magnetic forces of the calculator, which is told what time it is before it is asked.

    Attributes
    ----------
    fields : function of spins
        At the present positions.
    tell_time : function
        Tells the calculator the time since the step began.
    part : Part
    """

    fields: FieldFunction
    tell_time: Callable[[float], None]
    part: Part

    def __call__(self, spins: FloatArray, fraction: float) -> FloatArray:
        """B (N, 3), energy/moment."""
        start, duration = self.part  # as Part.since, without a call: this is what a small magnet's step is made of
        self.tell_time(start + fraction * duration)
        return self.fields(spins)


@dataclass(eq=False, slots=True)
class AppliedFieldTerm:
    """The field that the driver applies.

    Attributes
    ----------
    at : function
        Field at a fraction of the whole step.
    part : Part
    step : float
        The whole step, time.
    """

    at: Callable[[float], FloatArray | float]
    part: Part
    step: float

    def __call__(self, spins: FloatArray, fraction: float) -> FloatArray:
        """B (N, 3), energy/moment."""
        return np.asarray(self.at(self.part.since(fraction) / self.step))


@dataclass(frozen=True)
class Precession:
    """Precession and damping in a field.

    Attributes
    ----------
    gamma : float
        g mu_B/hbar at g = 2, 1/(time field).
    damping : float
        Gilbert's alpha.
    form : str
        ``"landau-lifshitz-gilbert"``, or ``"landau-lifshitz"`` without 1/(1 + alpha^2).
    """

    gamma: float
    damping: float
    form: Form

    @cached_property
    def prefactor(self) -> float:
        """gamma' of the equation."""
        return self.gamma if self.form == "landau-lifshitz" else self.gamma / (1.0 + self.damping**2)

    @property
    def noise_damping(self) -> float:
        """alpha in the variance of the thermal field: alpha/(1 + alpha^2) in the Landau-Lifshitz form."""
        return self.damping if self.form == "landau-lifshitz-gilbert" else self.damping / (1.0 + self.damping**2)

    def thermal_field(
        self,
        kT: float,  # noqa: N803
        gamma: FloatArray,
        lengths: FloatArray,
        timestep: float,
        rng: np.random.Generator,
    ) -> FloatArray:
        """White field (N, 3) of variance 2 alpha kT/(gamma_i mu_i dt) per component, constant for `timestep`.

        gamma (N,) -> those of the sites, lengths (N,) -> mu_i; sites without a moment feel none.  W. F. Brown, Phys. Rev.
        130, 1677 (1963).

        Parameters
        ----------
        kT : float
            Temperature of the bath, energy.
        gamma : (N,) ndarray
            Gyromagnetic ratios of the sites, radian/(time field).
        lengths : (N,) ndarray
            Lengths of the moments, moment; zero: no field there.
        timestep : float
            For which the field holds, time.
        rng : numpy.random.Generator
            Draws 3 N normal numbers.
        """
        strength = 2.0 * self.noise_damping * kT / (gamma * timestep)
        noise = rng.standard_normal((len(lengths), 3))
        return noise * np.sqrt(strength / np.where(lengths > 0.0, lengths, np.inf))[:, None]


def total_field(terms: tuple[FieldTerm, ...], spins: FloatArray, fraction: float) -> FloatArray:
    """Sum of the fields (N, 3) of the terms, one or more, energy/moment.

    Parameters
    ----------
    terms : tuple of FieldTerm
        One or more, called with the spins and the fraction.
    spins : (N, 3) ndarray
        Free vectors, of length 1 unless lengths move.
    fraction : float
        Part of the step that has passed, 0 to 1.
    """
    total = terms[0](spins, fraction)
    for term in terms[1:]:
        total = total + term(spins, fraction)
    return total


@dataclass(eq=False, slots=True)
class Equation:
    """A of ds/dt = s x A for a part of a step: the rate that an integrator asks for.

    Attributes
    ----------
    fields : tuple of FieldTerm
        One or more; they add up.
    precession : Precession
    constrain, respond : tuple of SiteMap
        Applied one after the other to the sum of the fields, and to A.
    noise : tuple of (N, 3)
        Fields that constraints do not touch, energy/moment.
    stretch : (N,) or None
        Lengths of the spins where they are not 1.
    """

    fields: tuple[FieldTerm, ...]
    precession: Precession
    constrain: tuple[SiteMap, ...] = ()
    noise: tuple[FloatArray, ...] = ()
    respond: tuple[SiteMap, ...] = ()
    stretch: FloatArray | None = None

    def __call__(self, spins: FloatArray, fraction: float) -> FloatArray:
        """A (N, 3), radian/time."""
        law, total = self.precession, total_field(self.fields, spins, fraction)
        for constraint in self.constrain:
            total = constraint(total)
        for field in self.noise:
            total = total + field
        unit = spins if self.stretch is None else spins / self.stretch[:, None]
        vector = precession_vector(unit, total, law.prefactor, law.damping)
        for response in self.respond:
            vector = response(vector)
        return vector


def responses(relative_g: FloatArray | None, axes: TurningAxes | None, mobile: BoolArray | None) -> tuple[SiteMap, ...]:
    """What the sites make of A: their g factors (N, 1), their axes, and which of them move, (N, 1).

    Parameters
    ----------
    relative_g : (N, 1) ndarray or None
        g factors over that of gamma; None: the same at all sites.
    axes : TurningAxes or None
        Axes about which single sites turn; None: about any.
    mobile : (N, 1) ndarray of bool or None
        False at frozen sites; None: all move.
    """
    found: list[SiteMap] = []
    if relative_g is not None:
        found.append(lambda vectors: vectors * relative_g)
    if axes is not None:
        found.append(axes.along)
    if mobile is not None:
        found.append(lambda vectors: vectors * mobile)
    return tuple(found)


__all__ = [
    "AppliedFieldTerm",
    "CalculatorField",
    "Equation",
    "FieldTerm",
    "Form",
    "Part",
    "Precession",
    "SiteMap",
    "responses",
    "total_field",
]
