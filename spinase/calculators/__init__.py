"""Calculators: thin ASE faces of the rooms below.  The electronic ones load torch, so they are imported on first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from spinase.calculators.base import SpinCalculator
from spinase.calculators.bond_files import (
    BondTableCalculator,
    read_tb2j,
    read_uppasd,
    read_uppasd_model,
    read_vampire,
    uppasd_calculator,
)
from spinase.calculators.classical import (
    BiquadraticCalculator,
    CubicAnisotropyCalculator,
    DMICalculator,
    HeisenbergCalculator,
    UniaxialAnisotropyCalculator,
    ZeemanCalculator,
)
from spinase.calculators.four_spin import (
    FourSpinCalculator,
    ProductTableCalculator,
    RingExchangeCalculator,
    ThreeSiteCalculator,
)
from spinase.calculators.interactions import (
    DipoleCalculator,
    LandauCalculator,
    NeelCalculator,
    PairPotentialCalculator,
)
from spinase.calculators.site_anisotropy import RandomAxes, SiteAnisotropyCalculator, SiteCubicCalculator
from spinase.calculators.snapshot import SnapshotCalculator, restore_snapshot, snapshot
from spinase.calculators.spin_transfer import SlonczewskiCalculator, ZhangLiCalculator
from spinase.calculators.sum import SpinSumCalculator

if TYPE_CHECKING:
    from spinase.calculators.ed import EDCalculator
    from spinase.calculators.electrons import SolverCalculator
    from spinase.calculators.exchange import ExchangeTensors
    from spinase.calculators.fitted import FittedExchange, fit_exchange
    from spinase.calculators.hipnn import HIPNNCalculator
    from spinase.calculators.kpm import KPMCalculator
    from spinase.calculators.kpoints import MeshConvergence, converge_mesh
    from spinase.calculators.lattice import LatticeCalculator
    from spinase.calculators.model import ModelCalculator
    from spinase.calculators.negf import NEGFCalculator
    from spinase.calculators.rational import RationalCalculator
    from spinase.calculators.teachers import teacher_of

_LAZY = {
    "EDCalculator": "spinase.calculators.ed",
    "ExchangeTensors": "spinase.calculators.exchange",
    "FittedExchange": "spinase.calculators.fitted",
    "HIPNNCalculator": "spinase.calculators.hipnn",
    "KPMCalculator": "spinase.calculators.kpm",
    "LatticeCalculator": "spinase.calculators.lattice",
    "ModelCalculator": "spinase.calculators.model",
    "MeshConvergence": "spinase.calculators.kpoints",
    "NEGFCalculator": "spinase.calculators.negf",
    "RationalCalculator": "spinase.calculators.rational",
    "SolverCalculator": "spinase.calculators.electrons",
    "converge_mesh": "spinase.calculators.kpoints",
    "fit_exchange": "spinase.calculators.fitted",
    "teacher_of": "spinase.calculators.teachers",
}

__all__ = [
    "BiquadraticCalculator",
    "BondTableCalculator",
    "CubicAnisotropyCalculator",
    "DMICalculator",
    "DipoleCalculator",
    "EDCalculator",
    "ExchangeTensors",
    "FittedExchange",
    "FourSpinCalculator",
    "HIPNNCalculator",
    "HeisenbergCalculator",
    "KPMCalculator",
    "LandauCalculator",
    "LatticeCalculator",
    "MeshConvergence",
    "ModelCalculator",
    "NEGFCalculator",
    "NeelCalculator",
    "PairPotentialCalculator",
    "ProductTableCalculator",
    "RandomAxes",
    "RationalCalculator",
    "RingExchangeCalculator",
    "SiteAnisotropyCalculator",
    "SiteCubicCalculator",
    "SlonczewskiCalculator",
    "SnapshotCalculator",
    "SolverCalculator",
    "SpinCalculator",
    "SpinSumCalculator",
    "ThreeSiteCalculator",
    "UniaxialAnisotropyCalculator",
    "ZeemanCalculator",
    "ZhangLiCalculator",
    "converge_mesh",
    "fit_exchange",
    "read_tb2j",
    "read_uppasd",
    "read_uppasd_model",
    "read_vampire",
    "restore_snapshot",
    "snapshot",
    "teacher_of",
    "uppasd_calculator",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
