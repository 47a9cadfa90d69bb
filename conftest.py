"""Files of tests that take longest begin first, so that two test processes end together; the rest keeps its order.

Neighbours in the list go to different processes: those that need the same compiled loops stand apart, or both processes
would compile them.
"""

from __future__ import annotations

import gc

import pytest

# Modules and compiled loops are a million objects that stay until the end; a compiler makes so many that live shortly that
# Python would look through all of them again and again.
gc.set_threshold(20_000, 10, 10)

LONG = [
    "tests/learning/engine/test_training.py",
    "tests/test_examples.py",
    "tests/test_example_inputs.py",
    "tests/learning/engine/test_evaluator.py",
    "tests/contracts/test_builtin_styles.py",
    "tests/learning/engine/test_moving.py",
    "training/tests/test_training.py",
    "tests/calculators/test_hipnn.py",
    "tests/dynamics/test_spin_lattice.py",
    "tests/run/test_run_file_execution.py",
    "training/tests/test_learn.py",
    "training/tests/labels/test_selection.py",
    "training/tests/test_uncertainty.py",
    "tests/dynamics/test_equilibrium.py",
    "tests/learning/test_local_energy.py",
    "tests/learning/test_shipped.py",
    "tests/learning/trust/test_domain.py",
    "tests/learning/lattice/test_compiled.py",
    "tests/run/test_run_robust.py",
    "tests/run/test_applied_field.py",
    "tests/faults/test_kit.py",
    "tests/faults/test_two_processes.py",
    "tests/references/test_spirit.py",
    "tests/references/test_lammps.py",
    "tests/references/test_lammps_dynamics.py",
    "tests/test_plugin_lammps.py",
    "tests/test_documentation.py",
    "tests/test_cli.py",
    "tests/electrons/solvers/test_degenerate_levels.py",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The same order in every process."""
    rank = {path: k for k, path in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.nodeid.partition("::")[0], len(rank)))


def pytest_collection_finish() -> None:
    """What is there before the first test is no garbage."""
    gc.collect()
    gc.freeze()
