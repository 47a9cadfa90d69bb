"""Example plugin of spinase: a hexagonal anisotropy and a staggered magnetization."""

from spinase_example.basal import BasalAnisotropyCalculator
from spinase_example.staggered import StaggeredMagnetization

__all__ = ["BasalAnisotropyCalculator", "StaggeredMagnetization"]
