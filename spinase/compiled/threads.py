"""Threads of our own, with the linear algebra below them on one each: small matrices gain nothing from threads inside."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any, TypeVar

import numba
from llvmlite import binding
from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Result = TypeVar("Result")


def default_threads() -> int:
    """``OMP_NUM_THREADS`` if it is set, else numba's number of threads (all cores unless told otherwise)."""
    text = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, int(text)) if text.isdigit() else int(numba.get_num_threads())


def map_threads(run: Callable[[Item], Result], items: Iterable[Item], threads: int) -> list[Result]:
    """``[run(item) for item in items]`` on `threads` threads, in order; linear algebra is on one thread meanwhile.

    Parameters
    ----------
    run : function
        Of one item; it should leave Python's lock, as compiled loops do.
    items : iterable
        What it is called with.
    threads : int
        1: in this thread.
    """
    with thread_map(threads) as each:
        return each(run, items)


def thread_map(threads: int) -> AbstractContextManager[Callable[..., list[Any]]]:
    """:func:`map_threads` for many calls in a row, which share their threads: gives ``each(run, items)``."""
    single = all(library.num_threads == 1 for library in _linear_algebra())
    if single and threads == 1:
        return nullcontext(_one_by_one)
    return _pooled(threads, single)


def plain_map(threads: int) -> AbstractContextManager[Callable[..., list[Any]]]:
    """:func:`thread_map` of loops that call no linear algebra: nobody has to ask or tell it its threads.

    Parameters
    ----------
    threads : int
        1: in this thread.
    """
    return nullcontext(_one_by_one) if threads == 1 else _pooled(threads, single=True)


@contextmanager
def _pooled(threads: int, single: bool) -> Iterator[Callable[..., list[Any]]]:
    """The same where there is something to set and to restore; `single`: linear algebra is on one thread already."""
    with nullcontext() if single else _controller().limit(limits=1, user_api="blas"):
        if threads == 1:
            yield _one_by_one
            return
        with ThreadPoolExecutor(threads) as pool:
            yield lambda run, items: list(pool.map(run, items))


def _one_by_one(run: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    return [run(item) for item in items]


def linear_algebra() -> list[str]:
    """BLAS libraries in use and the processors they take this one for, and what to do where they overlook its vectors."""
    found = [library.info() for library in _controller().lib_controllers if library.user_api == "blas"]
    names = sorted({f"{one['internal_api']} {one['version']} for {one.get('architecture', 'any machine')}" for one in found})
    narrow = any(one.get("architecture") in ("Haswell", "Zen") for one in found)
    if narrow and binding.get_host_cpu_features().get("avx512f"):
        names.append("OPENBLAS_CORETYPE=SkylakeX in the environment may halve the time of products (AVX-512 is overlooked)")
    return names


@cache
def _linear_algebra() -> list[Any]:
    """The BLAS libraries of this process; asking each for its threads costs far less than setting and restoring them."""
    return [library for library in _controller().lib_controllers if library.user_api == "blas"]


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()
