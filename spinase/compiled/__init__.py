"""Compiled loops: the decorators they are declared with, and the place that decides where their machine code is kept.

Nobody outside this room imports numba or llvmlite, whose insides change between versions: what loops need of them is here.

=========================== ======================================================================================
:func:`njit`                a compiled function, whose machine code is kept between processes
:func:`register_jitable`    a Python function that compiled functions of any argument types may call; it becomes part of them
:func:`overload`            one that is chosen by the types of its arguments (:func:`is_named`: which named tuple it is)
:mod:`~.rows`               short vectors that stay in registers, and ``kernel``, the decorator of loops over them
:mod:`~.exponential`        the exponential function of rows
:mod:`~.dual`               the same with tangents
:mod:`~.dense`              products of small matrices
:mod:`~.threads`            threads of our own
=========================== ======================================================================================
"""

from __future__ import annotations

from typing import Any

from numba.extending import overload, register_jitable

from spinase.compiled.cache import KernelCache, njit


def is_named(kind: Any, name: type) -> bool:
    """Whether a type of numba's, as an :func:`overload` is given them, is the named tuple `name`."""
    return getattr(kind, "instance_class", None) is name


__all__ = ["KernelCache", "is_named", "njit", "overload", "register_jitable"]
