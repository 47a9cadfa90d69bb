"""Compiled loops: the one decorator they are declared with, and the place that decides where their machine code is kept."""

from __future__ import annotations

from spinase.compiled.cache import KernelCache, njit

__all__ = ["KernelCache", "njit"]
