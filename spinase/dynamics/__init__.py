"""Drivers of spin dynamics and their integrators."""

from spinase.dynamics.integrators import Depondt, Heun, ImplicitMidpoint, Integrator, SemiImplicitB
from spinase.dynamics.llg import LLGDynamics
from spinase.dynamics.relax import SpinOptimizable
from spinase.dynamics.spin_lattice import SpinLatticeDynamics, set_maxwell_boltzmann
from spinase.dynamics.spin_waves import SpinWaves, spin_waves
from spinase.dynamics.thermostats import LatticeBussi, LatticeLangevin, LatticeThermostat

__all__ = [
    "Depondt",
    "Heun",
    "ImplicitMidpoint",
    "Integrator",
    "LLGDynamics",
    "LatticeBussi",
    "LatticeLangevin",
    "LatticeThermostat",
    "SemiImplicitB",
    "SpinLatticeDynamics",
    "SpinOptimizable",
    "SpinWaves",
    "set_maxwell_boltzmann",
    "spin_waves",
]
