"""Calculators: thin ASE faces of the rooms below."""

from spinase.calculators.base import SpinCalculator
from spinase.calculators.ed import EDCalculator

__all__ = ["EDCalculator", "SpinCalculator"]
