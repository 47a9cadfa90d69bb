"""Drivers of spin dynamics and their parts: integrators, motions, baths; relaxation, paths and sampling."""

from spinase.dynamics.barostat import IsotropicBarostat
from spinase.dynamics.base import SpinDriver
from spinase.dynamics.electron_bath import ElectronBath
from spinase.dynamics.hybrid_monte_carlo import HybridMonteCarlo
from spinase.dynamics.integrators import Depondt, Heun, ImplicitMidpoint, Integrator, SemiImplicitB
from spinase.dynamics.lattice import set_maxwell_boltzmann
from spinase.dynamics.llg import LLGDynamics
from spinase.dynamics.lockstep import lockstep
from spinase.dynamics.minimizers import Fire, Lbfgs, Minimizer
from spinase.dynamics.monte_carlo import MonteCarlo, TemperingResult, parallel_tempering, simulated_annealing
from spinase.dynamics.motion import FreeLengthSpins, InertialSpins, SpinMotion
from spinase.dynamics.neb import PathResult, SpinBand, geodesic_path, minimum_energy_path
from spinase.dynamics.path_search import PathSearch
from spinase.dynamics.ramp import Ramp
from spinase.dynamics.relax import SpinOptimizable
from spinase.dynamics.relaxation import Relaxation
from spinase.dynamics.saddle_search import ModeFollowing, Saddle, find_saddle, minima_beside
from spinase.dynamics.spin_lattice import SpinLatticeDynamics
from spinase.dynamics.thermostats import LatticeBussi, LatticeLangevin, LatticeThermostat

__all__ = [
    "Depondt",
    "ElectronBath",
    "Fire",
    "FreeLengthSpins",
    "Heun",
    "HybridMonteCarlo",
    "ImplicitMidpoint",
    "InertialSpins",
    "Integrator",
    "IsotropicBarostat",
    "LLGDynamics",
    "LatticeBussi",
    "LatticeLangevin",
    "LatticeThermostat",
    "Lbfgs",
    "Minimizer",
    "ModeFollowing",
    "MonteCarlo",
    "PathResult",
    "PathSearch",
    "Ramp",
    "Relaxation",
    "Saddle",
    "SemiImplicitB",
    "SpinBand",
    "SpinDriver",
    "SpinLatticeDynamics",
    "SpinMotion",
    "SpinOptimizable",
    "TemperingResult",
    "find_saddle",
    "geodesic_path",
    "lockstep",
    "minima_beside",
    "minimum_energy_path",
    "parallel_tempering",
    "set_maxwell_boltzmann",
    "simulated_annealing",
]
