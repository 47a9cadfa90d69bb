"""Shared clock of the benchmarks: interleaved runs of several callables, medians, and their ratios to the first."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable

import numpy as np


def interleaved(
    tasks: dict[str, Callable[[], object]], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Median seconds of each task; the tasks take turns, so that a slow spell of the machine hits all of them.

    ``time.process_time`` as the clock counts what this process works, whatever else runs on the machine.
    """
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for task in tasks.values():
        task()
    for _ in range(repeats):
        for name, task in tasks.items():
            start = clock()
            task()
            times[name].append(clock() - start)
    return {name: float(np.median(values)) for name, values in times.items()}


def header(threads: int) -> str:
    """One line that says where the numbers come from."""
    machine = platform.processor() or platform.machine()
    return f"# {machine}, {os.cpu_count()} cores, {threads} thread(s), numpy {np.__version__}"
