"""Chebyshev moments of this project and of kwant: the same matrix, the same columns, the same moments.

    OMP_NUM_THREADS=1 python tests/benchmarks/kwant_kpm.py write FILE.npz    (here)
    OMP_NUM_THREADS=1 python tests/benchmarks/kwant_kpm.py kwant FILE.npz    (where kwant is installed)

kwant 1.5.0 builds with numpy 1.26, scipy 1.15, cython 3.0 and --no-build-isolation, in an environment of its own.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from scipy.sparse import csr_matrix

STEPS = 100


def write(path: str) -> None:
    """Our moments and milliseconds, with what kwant needs to repeat them."""
    from electrons import magnet, sparse
    from timing import interleaved

    from spinase.electrons.chebyshev.columns import random_columns
    from spinase.electrons.chebyshev.engine import NumbaEngine, Pattern
    from spinase.electrons.chebyshev.series import find_band

    operator, columns = magnet("square", (32, 32), [1.0]), random_columns(16)
    band = find_band(operator)
    engines = {
        dtype: NumbaEngine(Pattern(operator, band, dtype, 1), operator, columns, 0, 1) for dtype in ("float64", "float32")
    }
    block = np.zeros((len(operator), 4, columns.count))
    columns.fill(block, 0, 0, np.arange(len(operator)))
    spinors = (block[:, 0::2] + 1j * block[:, 1::2]).reshape(-1, columns.count)
    matrix = csr_matrix(sparse(operator))
    np.savez(
        path, data=matrix.data, indices=matrix.indices, indptr=matrix.indptr, columns=spinors,
        moments=engines["float64"].moments(STEPS), band=[band.centre, band.half],
    )  # fmt: skip
    median = interleaved({name: lambda e=engine: e.moments(STEPS) for name, engine in engines.items()}, 7)
    print({name: f"{1e3 * seconds:.2f} ms" for name, seconds in median.items()})


def compare(path: str) -> None:
    """kwant's moments and milliseconds."""
    import kwant

    stored = np.load(path)
    size, (centre, half), slack = len(stored["columns"]), stored["band"], 1e-9
    matrix = csr_matrix((stored["data"], stored["indices"], stored["indptr"]), shape=(size, size))
    reach, times = half * (2 - slack) / 2, []
    for _ in range(5):
        began = time.perf_counter()
        found = kwant.kpm.SpectralDensity(
            matrix, num_moments=2 * STEPS + 1, num_vectors=stored["columns"].shape[1],
            vector_factory=list(stored["columns"].T), bounds=(centre - reach, centre + reach), eps=slack,
        )  # fmt: skip
        times.append(time.perf_counter() - began)
    moments = np.real(np.mean(found._moments_list, axis=0)).ravel()
    print(f"kwant {kwant.__version__}: {1e3 * np.median(times):.1f} ms; largest difference of a moment: "
          f"{np.abs(moments - stored['moments']).max():.1e} of {stored['moments'][0]:.0f}")  # fmt: skip


if __name__ == "__main__":
    {"write": write, "kwant": compare}[sys.argv[1]](sys.argv[2])
