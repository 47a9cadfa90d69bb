"""Names of array types: what annotations say of an array's numbers; docstrings say its shape and unit.

============== ============================== ====================================================
name           numbers                        typical arrays
============== ============================== ====================================================
FloatArray     float64                        spins, moments, positions, fields (N, 3); energies (N,)
IntArray       int64                          sites of bonds (B,), atomic numbers (N,), colours (N,)
BoolArray      bool                           masks of sites (N,), periodic directions (3,)
ComplexArray   complex128                     hopping (B, 2, 2), density (K, 2, 2), Green functions
ComplexBlocks  complex64 or complex128        what is computed in the operator's own precision
Array          any                            arguments of compiled loops, entries of files
============== ============================== ====================================================
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]
ComplexArray: TypeAlias = NDArray[np.complex128]
ComplexBlocks: TypeAlias = NDArray[np.complexfloating]
Array: TypeAlias = NDArray[Any]
