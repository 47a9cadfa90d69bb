"""MACE models as the lattice part of magnets: atoms move by them, spins by a spin calculator in the same sum."""

from spinase_mace.calculator import MaceCalculator

__all__ = ["MaceCalculator"]
