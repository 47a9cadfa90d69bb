"""Classical energy terms of spins, each one file, each the gradient of its own energy."""

from spinase.classical.anisotropy import CubicAnisotropy, UniaxialAnisotropy
from spinase.classical.biquadratic import Biquadratic
from spinase.classical.dmi import DzyaloshinskiiMoriya
from spinase.classical.exchange import Heisenberg
from spinase.classical.terms import FrozenTerm, Term
from spinase.classical.zeeman import Zeeman

__all__ = [
    "Biquadratic",
    "CubicAnisotropy",
    "DzyaloshinskiiMoriya",
    "FrozenTerm",
    "Heisenberg",
    "Term",
    "UniaxialAnisotropy",
    "Zeeman",
]
