"""Template of a plugin of spinase: a hexagonal anisotropy, a staggered magnetization, and a driver that aligns spins."""

from spinase_template.alignment import Align
from spinase_template.basal import BasalAnisotropyCalculator
from spinase_template.staggered import StaggeredMagnetization

__all__ = ["Align", "BasalAnisotropyCalculator", "StaggeredMagnetization"]
