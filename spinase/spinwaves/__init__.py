"""Linear spin waves of any conservative calculator."""

from spinase.spinwaves.normal_modes import SpinWaves, spin_waves
from spinase.spinwaves.states import Spiral

__all__ = ["SpinWaves", "Spiral", "spin_waves"]
