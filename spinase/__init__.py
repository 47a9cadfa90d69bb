"""spinase: spin and spin-lattice dynamics on ASE for magnets whose spins are coupled by electrons."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spinase.atoms import SpinAtoms

__version__ = "0.1.0"
__all__ = ["SpinAtoms", "__version__"]

logging.getLogger(__name__).addHandler(logging.NullHandler())  # a library says nothing unless it is asked to


def __getattr__(name: str) -> Any:
    """Load the public classes on first use: the command line must not pay for ASE and numba."""
    if name == "SpinAtoms":
        from spinase.atoms import SpinAtoms

        return SpinAtoms
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Names for tab completion, the lazily loaded ones included."""
    return sorted({*globals(), *__all__} - {"Any", "TYPE_CHECKING", "annotations", "logging"})
