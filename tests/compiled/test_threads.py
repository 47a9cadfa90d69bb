"""What is said about the linear algebra below."""

from __future__ import annotations

from types import SimpleNamespace

import llvmlite.binding
import pytest

from spinase.compiled import threads


@pytest.mark.parametrize(("taken_for", "wide"), [("Haswell", True), ("Haswell", False), ("SkylakeX", True)])
def test_overlooked_vectors_are_told(taken_for: str, wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where the processor has AVX-512 and OpenBLAS does not use it."""
    library = {"internal_api": "openblas", "version": "1.2", "architecture": taken_for}
    blas, others = SimpleNamespace(user_api="blas", info=lambda: library), SimpleNamespace(user_api="openmp")
    known = SimpleNamespace(lib_controllers=[blas, others])
    monkeypatch.setattr(threads, "_controller", lambda: known)
    monkeypatch.setattr(llvmlite.binding, "get_host_cpu_features", lambda: {"avx512f": wide})
    said = threads.linear_algebra()
    assert said[0] == f"openblas 1.2 for {taken_for}"
    assert any("OPENBLAS_CORETYPE=SkylakeX" in line for line in said) == (taken_for == "Haswell" and wide)
