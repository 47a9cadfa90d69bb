r"""Can a time step follow the spins, and does the bath then have its temperature?

A field along a spin turns nothing, but what integrators do to it depends on where it comes from.  Near a spin along z, in
B = h z + kappa s + b (h -> a field that stays, kappa -> one that turns with the spin, as that of s-d electrons does,
b -> thermal noise), small deviations u = u_x + i u_y go in one step to

.. math:: u' = G u + C b, \qquad \langle|u|^2\rangle = \frac{2\langle b_x^2\rangle |C|^2}{1 - |G|^2}

and Boltzmann's answer is 2 kT/(mu h).  G and C are those of the integrator in use, from its own step.  An exact rotation
about the field, or a Cayley rotation (``depondt``, ``sib``), takes kappa for a precession, where there is none: for
x = gamma kappa dt it moves the spin by about 1/(1 + x^2/4) of its way, noise and damping alike, and the bath gets colder by
about that factor.
``heun`` and ``midpoint`` see s x B only.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial

import numpy as np

from spinase.contract import FieldFunction
from spinase.dynamics.integrators import Heun, ImplicitMidpoint, Integrator
from spinase.errors import SpinaseError
from spinase.spin_algebra import precession_vector, rotate_about, tangent
from spinase.typing import BoolArray, FloatArray

_TILT = 1e-5  # radian, of the deviations
_SLOW = 1e-2  # radian in a step: the limit of weak fields is reached there


@dataclass(frozen=True)
class LinearStep:
    """One step of an integrator near a spin in its field.

    Attributes
    ----------
    kept : complex
        G: deviation after a step over the one before.
    noise : complex
        C: deviation that a unit thermal field leaves, in units of 1/(gamma dt).
    """

    kept: complex
    noise: complex


def linear_step(integrator: Integrator, stays: float, follows: float, damping: float, form: str) -> LinearStep:
    """G and C for fields h and kappa given as gamma h dt and gamma kappa dt (radian).

    Parameters
    ----------
    integrator : Integrator
        A copy of it makes the step.
    stays, follows : float
        gamma h dt and gamma kappa dt, radian.
    damping : float
        Gilbert's, without unit.
    form : str
        ``landau-lifshitz-gilbert`` or ``landau-lifshitz``.
    """
    prefactor = 1.0 if form == "landau-lifshitz" else 1.0 / (1.0 + damping**2)
    exact = copy.deepcopy(integrator)  # what it remembers of a run stays as it is
    exact.resolution = 0.0

    def step(tilt: float, noise: float) -> complex:
        """s_x + i s_y after a step from a spin that is tilted, in a field that is tilted by `noise`; radian."""

        def rate(spins: FloatArray, fraction: float) -> FloatArray:
            """A (1, 3) for a step of unit length, radian."""
            field = follows * spins + [noise, 0.0, stays]
            return precession_vector(spins, np.ascontiguousarray(field), prefactor, damping)

        end = exact.step(np.array([[np.sin(tilt), 0.0, np.cos(tilt)]]), rate, 1.0)
        return complex(end[0, 0], end[0, 1])

    return LinearStep(step(_TILT, 0.0) / _TILT, step(0.0, _TILT) / _TILT)


def temperature_ratio(integrator: Integrator, stays: float, follows: float, damping: float, form: str) -> float:
    """Temperature that spins take in a bath over the one of the bath, in fields gamma h dt and gamma kappa dt (radian).

    Infinite where the step is unstable.

    Parameters
    ----------
    integrator : Integrator
        A copy of it makes the step.
    stays, follows : float
        gamma h dt and gamma kappa dt, radian; the first at least 0.01.
    damping : float
        Gilbert's, without unit, above zero.
    form : str
        ``landau-lifshitz-gilbert`` or ``landau-lifshitz``.
    """
    stays = max(stays, _SLOW)
    found = linear_step(integrator, stays, follows, damping, form)
    alpha = damping / (1.0 + damping**2) if form == "landau-lifshitz" else damping
    left = 1.0 - abs(found.kept) ** 2
    return float("inf") if left <= 0.0 else 2.0 * alpha * stays * abs(found.noise) ** 2 / left


def motion_error(integrator: Integrator, follows: float, damping: float, form: str) -> float:
    """Relative error of the motion of a slow spin in a field that follows it, gamma kappa dt (radian); 0: as it should be.

    The slow spin precesses by 0.01 radian a step about a field that stays; its error is that of ln G.

    Parameters
    ----------
    integrator : Integrator
        A copy of it makes the step.
    follows : float
        gamma kappa dt, radian.
    damping : float
        Gilbert's, without unit.
    form : str
        ``landau-lifshitz-gilbert`` or ``landau-lifshitz``.
    """
    made, right = (np.log(linear_step(integrator, _SLOW, angle, damping, form).kept) for angle in (follows, 0.0))
    return float(abs(made - right) / abs(right))


def following_share(fields: FieldFunction, spins: FloatArray, mobile: BoolArray) -> float:
    """Part kappa/(h + kappa) of the fields along the spins that turns with its own spin, between 0 and 1.

    Small independent turns u of the spins change the fields by kappa u and by what neighbours do, which averages out.

    Parameters
    ----------
    fields : callable
        -dE/dm (N, 3), energy/moment, of spins (N, 3).
    spins : (N, 3) ndarray
        Unit vectors.
    mobile : (N,) ndarray of bool
        Which are turned.
    """
    chosen = np.flatnonzero(mobile)
    rng, turned, held = np.random.default_rng(11), 0.0, 0.0
    before = fields(spins)
    along = np.einsum("ia,ia->i", before, spins)
    for _ in range(int(np.clip(32 // max(len(chosen), 1), 1, 8))):
        turn = np.zeros_like(spins)
        turn[chosen] = 0.01 * rng.normal(size=(len(chosen), 3))
        after = rotate_about(spins, turn)
        step = tangent(after - spins, spins)
        turned += float(np.sum((fields(after) - before) * step * along[:, None]))
        held += float(np.sum((along[:, None] * step) ** 2))
    return float(np.clip(turned / held, 0.0, 1.0)) if held > 0.0 else 0.0


@dataclass(frozen=True, eq=False)
class StepSetting:
    """What decides about a step, apart from the fields."""

    integrator: Integrator
    timestep: float
    gamma: float
    damping: float
    form: str

    def ratio(self, along: FloatArray, share: float, timestep: float) -> float:
        """Mean temperature ratio of spins in fields `along` (n,), energy/moment, of which `share` follows.

        Parameters
        ----------
        along : (n,) ndarray
            Fields along spins, energy/moment; quantiles of them stand for all.
        share : float
            Part of them that turns with its own spin, 0 to 1.
        timestep : float
            Time.
        """
        angles = self.gamma * timestep * np.quantile(along, [0.1, 0.3, 0.5, 0.7, 0.9])
        found = [
            temperature_ratio(self.integrator, (1.0 - share) * angle, share * angle, self.damping, self.form)
            for angle in angles
        ]
        return float(np.mean(found))


SMALL_ANGLE = 0.3  # radian: steps in which no integrator has an error worth a word
_WRONG_BATH = 0.1
_WRONG_MOTION = 0.1


def bath_problem(setting: StepSetting, along: FloatArray, share: float) -> str | None:
    """What the time step does to the temperature of a bath, with what to do about it; None if it is right within 10 %.

    `along` -> the fields along the moving spins, (n,), energy/moment.

    Parameters
    ----------
    setting : StepSetting
        Integrator, time step, gyromagnetic ratio, damping and form.
    along : (n,) ndarray
        Fields along the moving spins, energy/moment; those below zero are left out.
    share : float
        Part of them that turns with its own spin, 0 to 1.
    """
    along = along[along > 0.0]
    if not len(along) or setting.gamma * setting.timestep * float(along.max()) < SMALL_ANGLE:
        return None
    try:
        ratio = setting.ratio(along, share, setting.timestep)
    except SpinaseError:  # the integrator itself says what is wrong, in the step
        return None
    if abs(ratio - 1.0) < _WRONG_BATH:
        return None
    angle = setting.gamma * setting.timestep * float(np.median(along))
    wrong = "without bound" if not np.isfinite(ratio) else f"by {abs(ratio - 1.0):.0%}"
    return (
        f"the bath makes spins too {'cold' if ratio < 1.0 else 'hot'} {wrong} in this time step ({setting.timestep:.4g}): "
        f"fields along the spins have gamma B dt = {angle:.2g} radian in a step (median), and {share:.0%} of that follows "
        f"the spin, which {type(setting.integrator).__name__} takes for a precession. {_advice(setting, along, share)}"
    )


def motion_problem(setting: StepSetting, along: FloatArray, share: float) -> str | None:
    """What the time step does to slow textures, with what to do about it; None if it moves them right within 10 %.

    Parameters
    ----------
    setting : StepSetting
        Integrator, time step, gyromagnetic ratio, damping and form.
    along : (n,) ndarray
        Fields along the moving spins, energy/moment.
    share : float
        Part of them that turns with its own spin, 0 to 1.
    """
    angle = share * setting.gamma * setting.timestep * float(np.median(np.abs(along))) if len(along) else 0.0
    if not angle >= SMALL_ANGLE:  # fields that are no numbers are told by the step itself
        return None
    error = partial(motion_error, setting.integrator, damping=setting.damping, form=setting.form)
    try:
        found = error(angle)
    except SpinaseError:  # the integrator itself says what is wrong, in the step
        return None
    if found < _WRONG_MOTION:
        return None
    step = setting.timestep
    while error(angle * step / setting.timestep) > 0.5 * _WRONG_MOTION:
        step *= 0.5
    return (
        f"slow textures move wrong by {found:.0%} in this time step ({setting.timestep:.4g}): fields that follow the spins, "
        f"and so turn nothing, have gamma B dt = {angle:.2g} radian in a step (median), which "
        f"{type(setting.integrator).__name__} takes for a precession. Use a time step of {step:.2g}, or integrator='heun' "
        "or 'midpoint', which do not see them"
    )


def _advice(setting: StepSetting, along: FloatArray, share: float) -> str:
    """The largest step that is right, and the integrators that are right in this one."""
    good = []
    for name, integrator in (("heun", Heun()), ("midpoint", ImplicitMidpoint())):
        other = StepSetting(integrator, setting.timestep, setting.gamma, setting.damping, setting.form)
        try:
            if abs(other.ratio(along, share, setting.timestep) - 1.0) < 0.5 * _WRONG_BATH:
                good.append(f"integrator='{name}'")
        except SpinaseError:
            continue
    step = setting.timestep
    for _ in range(12):
        step *= 0.5
        if abs(setting.ratio(along, share, step) - 1.0) < 0.5 * _WRONG_BATH:
            break
    return f"Use {' or '.join([f'a time step of {step:.2g}', *good])}"


__all__ = [
    "SMALL_ANGLE",
    "LinearStep",
    "StepSetting",
    "bath_problem",
    "following_share",
    "linear_step",
    "motion_error",
    "motion_problem",
    "temperature_ratio",
]
