"""LAMMPS as the distributed engine of spinase: local calculators on any number of processes.

The plugin for LAMMPS in ``native/plugin.cpp`` is compiled at first use; as a work combined with LAMMPS it is under the
GPL, version 2, and so is this package.  spinase itself never imports it.
"""

from spinase_lammps.drivers import LammpsLLG, LammpsSpinLattice
from spinase_lammps.engine import LammpsError, LammpsMagnet, Motion
from spinase_lammps.pair import LammpsPairCalculator

__all__ = ["LammpsError", "LammpsLLG", "LammpsMagnet", "LammpsPairCalculator", "LammpsSpinLattice", "Motion"]
