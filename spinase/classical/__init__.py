"""Classical energy terms of spins, each one file, each the gradient of its own energy (driven ones: a field without one)."""

from spinase.classical.anisotropy import CubicAnisotropy, UniaxialAnisotropy
from spinase.classical.biquadratic import Biquadratic
from spinase.classical.dipole import Dipole
from spinase.classical.dmi import DzyaloshinskiiMoriya
from spinase.classical.exchange import Heisenberg
from spinase.classical.four_spin import FourSpin, RingExchange, ThreeSite
from spinase.classical.landau import Landau
from spinase.classical.local_model import LocalModel, add_models
from spinase.classical.neel import Neel
from spinase.classical.pair_potential import PairPotential
from spinase.classical.product_table import ProductTable, ProductTableTerm
from spinase.classical.site_anisotropy import SiteAnisotropy, SiteCubic
from spinase.classical.spin_transfer import Slonczewski, ZhangLi
from spinase.classical.tensor import BondTable, BondTableTerm, tensor_of
from spinase.classical.terms import FrozenTerm, Term
from spinase.classical.zeeman import Zeeman

__all__ = [
    "Biquadratic",
    "BondTable",
    "BondTableTerm",
    "CubicAnisotropy",
    "Dipole",
    "DzyaloshinskiiMoriya",
    "FourSpin",
    "FrozenTerm",
    "Heisenberg",
    "Landau",
    "LocalModel",
    "Neel",
    "PairPotential",
    "ProductTable",
    "ProductTableTerm",
    "RingExchange",
    "SiteAnisotropy",
    "SiteCubic",
    "Slonczewski",
    "Term",
    "ThreeSite",
    "UniaxialAnisotropy",
    "Zeeman",
    "ZhangLi",
    "add_models",
    "tensor_of",
]
