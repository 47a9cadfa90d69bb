"""Drivers of spin dynamics and their integrators."""

from spinase.dynamics.integrators import Depondt, Heun, ImplicitMidpoint, Integrator, SemiImplicitB
from spinase.dynamics.llg import LLGDynamics

__all__ = ["Depondt", "Heun", "ImplicitMidpoint", "Integrator", "LLGDynamics", "SemiImplicitB"]
