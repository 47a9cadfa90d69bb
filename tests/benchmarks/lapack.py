"""The fastest dense eigensolver at hand, named: what ratios against ``eigh`` are taken against.

Which library is fastest depends on the processor: MKL (in torch) is at home on Intel and leaves half of an AMD processor
unused, OpenBLAS (in numpy and scipy) overlooks AVX-512 on some.  ``python tests/benchmarks/lapack.py [n ...]`` prints all
of them.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import torch
from llvmlite import binding
from threadpoolctl import ThreadpoolController
from timing import header

_TRIED = 1024  # rows of the leading block that the solvers are tried on
_WIDE = "SkylakeX"  # kernels of OpenBLAS for AVX-512


@dataclass(frozen=True)
class Eigensolver:
    """A dense eigensolver for Hermitian matrices.

    Attributes
    ----------
    name : str
        Function, driver and library.
    solve : callable
        Levels and vectors of an (n, n) matrix.
    """

    name: str
    solve: Callable[[np.ndarray], object]

    def seconds(self, matrix: np.ndarray) -> float:
        """CPU time of one solution, the least of two."""
        spent = []
        for _ in range(2):
            begun = time.process_time()
            self.solve(matrix)
            spent.append(time.process_time() - begun)
        return min(spent)


def eigensolvers() -> list[Eigensolver]:
    """All at hand; levels and vectors, by divide and conquer and by relatively robust representations."""
    mkl = "MKL" if torch.backends.mkl.is_available() else "no MKL"
    found = [Eigensolver(f"torch.linalg.eigh ({mkl})", lambda matrix: torch.linalg.eigh(torch.from_numpy(matrix)))]
    found.append(Eigensolver(f"numpy.linalg.eigh ({_library('numpy')})", np.linalg.eigh))
    for driver in ("evd", "evr"):
        name = f"scipy.linalg.eigh, {driver} ({_library('scipy')})"
        found.append(Eigensolver(name, lambda matrix, driver=driver: scipy.linalg.eigh(matrix, driver=driver)))  # type: ignore[misc]
    return found


def fastest_eigh(matrix: np.ndarray) -> Eigensolver:
    """The one that needs the least CPU time for the leading block of a Hermitian matrix (n, n); prints all of them."""
    block = np.ascontiguousarray(matrix[:_TRIED, :_TRIED])
    times = {solver: solver.seconds(block) for solver in eigensolvers()}
    told = "; ".join(f"{solver.name} {spent:.2f} s" for solver, spent in times.items())
    print(f"  eigh, n = {len(block)}, {block.dtype}: {told}")
    return min(times, key=lambda solver: times[solver])


def use_best_kernels() -> None:
    """Start the script again with OpenBLAS's AVX-512 kernels where it overlooks them; the environment's choice stands."""
    narrow = any(one.info().get("architecture") in ("Haswell", "Zen") for one in ThreadpoolController().lib_controllers)
    if narrow and binding.get_host_cpu_features().get("avx512f") and "OPENBLAS_CORETYPE" not in os.environ:
        os.environ["OPENBLAS_CORETYPE"] = _WIDE
        os.execv(sys.executable, [sys.executable, *sys.argv])


def _library(package: str) -> str:
    """OpenBLAS of a wheel and the processor it takes this one for."""
    for one in ThreadpoolController().lib_controllers:
        told = one.info()
        if told["user_api"] == "blas" and f"{package}.libs" in told["filepath"]:
            return f"{told['internal_api']} {told['version']} for {told.get('architecture', 'any processor')}"
    return "a BLAS of the system"


def main() -> None:
    use_best_kernels()
    torch.set_num_threads(1)
    print(header(1), f"torch {torch.__version__}")
    for size in [int(one) for one in sys.argv[1:]] or [512, 1024]:
        parts = np.random.default_rng(1).normal(size=(2, size, size))
        matrix = parts[0] + 1j * parts[1]
        matrix = matrix + matrix.conj().T
        seconds = {one.name: one.seconds(matrix) for one in eigensolvers()}
        least = min(seconds.values())
        for name, spent in seconds.items():
            print(f"  n = {size}, {name:60} {spent:8.3f} s of CPU   {spent / least:5.2f} x the fastest")


if __name__ == "__main__":
    main()
