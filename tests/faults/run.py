"""The long form of the fault kit: ``python tests/faults/run.py --cases 1000 --seed 0`` prints counts, and every fault."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from faults.kit import disturbed_run, file_case, reference_run
from faults.samples import samples

WAYS = ("kill", "full disk", "rivals")


def main() -> int:
    """Run the cases; the exit status is 1 if there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--disturbed", type=float, default=0.1, help="part of the cases that disturb a run")
    parser.add_argument("--kind", action="append", default=[], help="files of this kind only (again for more)")
    told = parser.parse_args()
    counts: Counter[tuple[str, str]] = Counter()
    faults = []
    with tempfile.TemporaryDirectory() as name:
        folder, answers = Path(name), {}
        kinds = samples(folder)
        chosen = [kind for kind in kinds.values() if not told.kind or kind.name in told.kind]
        expected = reference_run(folder)
        for number in range(told.cases):
            rng = np.random.default_rng([told.seed, number])
            if rng.random() < told.disturbed:
                place = WAYS[rng.integers(len(WAYS))]
                how, outcome = disturbed_run(place, folder, number, rng, expected)
            else:
                kind = chosen[rng.integers(len(chosen))]
                place, (how, outcome) = kind.name, file_case(kind, folder, number, rng, answers)
            counts[place, outcome.verdict] += 1
            if not outcome.good:
                faults.append(f"case {number}: {how}: {outcome.verdict}: {outcome.told[:400]}")
                print(faults[-1], flush=True)
    for (place, verdict), count in sorted(counts.items()):
        print(f"{place:15} {verdict:14} {count:5d}")
    print(f"{told.cases} cases, seed {told.seed}: {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
