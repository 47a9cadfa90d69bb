"""Runs of a sweep on two workers against one: python tests/benchmarks/sweep.py [edge] [steps] [rounds].

``OMP_NUM_THREADS=1``, on two idle cores.  Four quenches of a square Heisenberg magnet by ``spinase sweep``; the baseline is
the same sweep on one worker process, taking turns.  Wall times with the start of the processes (imports, compiled code
from the cache), and of the runs alone as the table tells them.
"""

from __future__ import annotations

import csv
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from timing import header

from spinase.run.sweeps import SweepOptions, sweep_file

INPUT = """
[atoms]
lattice = "square"
size = [{edge}, {edge}]
[calculator]
style = "heisenberg"
shells = [1.0]
[[stage]]
steps = {steps}
timestep = 0.05
damping = 0.1
[[observer]]
style = "energy"
every = 100
[output]
every = 1000
checkpoint_every = 1000
[sweep]
points = {{ seed = [1, 2, 3, 4] }}
"""


def timed(source: Path, folder: Path, workers: int) -> tuple[float, float]:
    """Wall seconds of a sweep, and of its runs together."""
    begun = time.perf_counter()
    _, _, table = sweep_file(source, (), SweepOptions(folder, workers), lambda done, total: None)
    seconds = time.perf_counter() - begun
    with open(table, newline="") as file:
        return seconds, sum(float(row["time taken [s]"]) for row in csv.DictReader(file))


def main() -> None:
    given = [int(word) for word in sys.argv[1:]]
    edge, steps, rounds = [*given, *(100, 4000, 3)[len(given) :]]
    print(header(1), f"four quenches of {edge} x {edge} spins, {steps} steps")
    seen: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "quench.toml"
        source.write_text(INPUT.format(edge=edge, steps=steps))
        for turn in range(rounds):
            for workers, times in seen.items():
                seconds, runs = timed(source, Path(folder) / f"{turn}_{workers}", workers)
                times.append(seconds)
                print(f"  {workers} worker(s): {seconds:6.1f} s, runs together {runs:6.1f} s")
    one, two = (float(np.median(times)) for times in seen.values())
    print(f"two workers against one: {one / two:.2f} times as fast")


if __name__ == "__main__":
    main()
