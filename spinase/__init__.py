"""spinase: spin and spin-lattice dynamics on ASE for magnets whose spins are coupled by electrons."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spinase.atoms import SpinAtoms

__version__ = "0.1.0"
_ROOMS = [
    *("amounts", "analysis", "atoms", "calculators", "contract", "dynamics", "electrons", "errors", "io", "learning"),
    *("observers", "radial", "rates", "run", "spinwaves", "styles", "sweep", "testing", "textures", "units", "viz"),
]
__all__ = ["SpinAtoms", "__version__"]

logging.getLogger(__name__).addHandler(logging.NullHandler())  # a library says nothing unless it is asked to


def __getattr__(name: str) -> Any:
    """Load public classes and rooms on first use: the command line must not pay for ASE and numba."""
    if name == "SpinAtoms":
        from spinase.atoms import SpinAtoms

        return SpinAtoms
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Names for tab completion, the lazily loaded ones included."""
    own = {name for name in globals() if not name.startswith("_") or name.endswith("__")}
    return sorted({*own, *__all__, *_ROOMS} - {"Any", "TYPE_CHECKING", "annotations", "import_module", "logging"})
