"""How the KPM solver works: columns, order, estimator, precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from spinase.electrons.chebyshev.columns import ColumnKind
from spinase.electrons.chebyshev.engine import Precision
from spinase.errors import ModelError

Estimator = Literal["gradient", "direct"]
Backend = Literal["numba", "torch"]


@dataclass(frozen=True)
class KPMOptions:
    """How the KPM solver works; None: chosen from the accuracy.

    Attributes
    ----------
    accuracy : float
        Asked rms error of the components of the fields H_i, energy.
    columns : str
        ``"probing"``, ``"unit"`` (deterministic) or ``"random"``.
    count : int, optional
        Number of columns.
    order : int, optional
        Number of Chebyshev moments.
    estimator : str
        ``"gradient"`` or ``"direct"``.
    dtype : str
        ``"float32"`` or ``"float64"``.
    backend : str
        ``"numba"`` (processor) or ``"torch"`` (on `device`).
    device : str, optional
        Of the torch backend; default: a CUDA device if there is one.
    threads : int, optional
        Of the numba backend; default: ``OMP_NUM_THREADS``, else all.
    bounds : (float, float), optional
        Spectral bounds by hand, energy.
    """

    accuracy: float = 1e-3
    columns: ColumnKind = "probing"
    count: int | None = None
    order: int | None = None
    estimator: Estimator = "gradient"
    dtype: Precision = "float32"
    backend: Backend = "numba"
    device: str | None = None
    threads: int | None = None
    bounds: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ModelError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        if not np.isfinite(self.accuracy) or self.accuracy <= 0.0:
            raise ModelError(f"accuracy must be positive (an rms error of fields, energy), got {self.accuracy}")
        if self.dtype == "float32" and self.accuracy < 1e-6:
            raise ModelError(f"float32 reaches about 1e-6, accuracy = {self.accuracy:g} was asked for: use dtype='float64'")
        for name, least in (("count", 1), ("order", 4), ("threads", 1)):
            value = getattr(self, name)
            if value is not None and (int(value) != value or value < least):
                raise ModelError(f"{name} must be a whole number of at least {least}, got {value!r}")
        if self.bounds is not None and not self.bounds[0] < self.bounds[1]:
            raise ModelError(f"bounds must be (lowest, highest) energy, got {self.bounds}")


_CHOICES = {
    "columns": ("probing", "unit", "random"),
    "estimator": ("gradient", "direct"),
    "dtype": ("float32", "float64"),
    "backend": ("numba", "torch"),
}
