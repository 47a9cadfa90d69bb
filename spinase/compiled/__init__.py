"""Compiled loops: the decorators they are declared with, and the place that decides where their machine code is kept.

Nobody outside this room imports numba or llvmlite, whose insides change between versions: what loops need of them is here.

=========================== ======================================================================================
:func:`njit`                a compiled function, whose machine code is kept between processes
:func:`register_jitable`    a Python function that compiled functions of any argument types may call; it becomes part of them
:mod:`~.rows`               short vectors that stay in registers, and ``kernel``, the decorator of loops over them
:mod:`~.dual`               the same with tangents
:mod:`~.dense`              products of small matrices
:mod:`~.threads`            threads of our own
=========================== ======================================================================================
"""

from __future__ import annotations

from numba.extending import register_jitable

from spinase.compiled.cache import KernelCache, njit

__all__ = ["KernelCache", "njit", "register_jitable"]
