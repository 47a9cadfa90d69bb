"""Observers: what looks at a magnet during a run and returns numbers with names, units and a plot.

In an input file an observer is a table ``[[observer]]`` with its style.  In a script the same classes go on any driver
with ASE's ``attach`` (drivers of spinase, plain molecular dynamics, optimizers)::

    record = Record(MagnetizationObserver(), dynamics, every=10)
    dynamics.run(1000)
    record.times, record["length"]  # (T,) each

or are asked once: ``observe(observer, atoms, driver)`` returns a dictionary of numbers and arrays.

An observer of your own has a ``name``, ``quantities``, ``prepare`` and ``observe`` (:class:`Observer`) and needs no base
class.
"""

from spinase.observers.base import InField, NoOptions, OfSites, observe
from spinase.observers.domains import ClustersObserver, ShellCorrelationObserver
from spinase.observers.error_bars import ErrorBarGuard
from spinase.observers.magnetism import EnergyObserver, MagnetizationObserver, TorqueObserver
from spinase.observers.motion import AngularMomentumObserver, EnergyPartitionObserver
from spinase.observers.order import CorrelationLengthObserver, CorrelationObserver, StructureFactorObserver
from spinase.observers.record import Record
from spinase.observers.topology import (
    ChiralDomainsObserver,
    ChiralityObserver,
    CoplanarOrderObserver,
    TopologicalChargeObserver,
)
from spinase.observers.transport import CurrentsObserver, DomainWallObserver, GrownPhaseObserver
from spinase.quantities import Observed, Observer, Quantity

__all__ = [
    "AngularMomentumObserver",
    "ChiralDomainsObserver",
    "ChiralityObserver",
    "ClustersObserver",
    "CoplanarOrderObserver",
    "CorrelationLengthObserver",
    "CorrelationObserver",
    "CurrentsObserver",
    "DomainWallObserver",
    "EnergyObserver",
    "EnergyPartitionObserver",
    "ErrorBarGuard",
    "GrownPhaseObserver",
    "InField",
    "MagnetizationObserver",
    "NoOptions",
    "Observed",
    "Observer",
    "OfSites",
    "Quantity",
    "Record",
    "ShellCorrelationObserver",
    "StructureFactorObserver",
    "TopologicalChargeObserver",
    "TorqueObserver",
    "observe",
]
