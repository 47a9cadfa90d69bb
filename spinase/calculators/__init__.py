"""Calculators: thin ASE faces of the rooms below."""

from spinase.calculators.base import SpinCalculator
from spinase.calculators.classical import (
    BiquadraticCalculator,
    CubicAnisotropyCalculator,
    DMICalculator,
    HeisenbergCalculator,
    UniaxialAnisotropyCalculator,
    ZeemanCalculator,
)
from spinase.calculators.ed import EDCalculator
from spinase.calculators.snapshot import SnapshotCalculator, restore_snapshot, snapshot
from spinase.calculators.sum import SpinSumCalculator

__all__ = [
    "BiquadraticCalculator",
    "CubicAnisotropyCalculator",
    "DMICalculator",
    "EDCalculator",
    "HeisenbergCalculator",
    "SnapshotCalculator",
    "SpinCalculator",
    "SpinSumCalculator",
    "UniaxialAnisotropyCalculator",
    "ZeemanCalculator",
    "restore_snapshot",
    "snapshot",
]
