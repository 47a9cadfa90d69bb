"""Rates of thermally activated transitions: curvatures of minima and saddle points, zero modes, prefactors, lifetimes."""

from spinase.rates.stationary import StationaryPoint, magnet_hessian, stationary_point
from spinase.rates.transition import Transition, transition

__all__ = ["StationaryPoint", "Transition", "magnet_hessian", "stationary_point", "transition"]
