"""Tight-binding models of other programs as tables of hopping between orbitals (:mod:`spinase.electrons.orbitals`).

Their energies (eV, or whatever the model is in) and lengths are taken as they are.
"""

from spinase.io.tight_binding.magnet import magnet_of
from spinase.io.tight_binding.pythtb import read_pythtb
from spinase.io.tight_binding.sisl import read_sisl
from spinase.io.tight_binding.tb2j import read_mytb
from spinase.io.tight_binding.wannier90 import read_wannier90

__all__ = ["magnet_of", "read_mytb", "read_pythtb", "read_sisl", "read_wannier90"]
