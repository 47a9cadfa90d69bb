"""What is compiled and what is loaded from the cache is one code: the same numbers whatever a process compiled before.

Numba's libraries share copies of what they call, and names are numbered in the order of compilation: kept by two processes,
two functions have one name, and who calls the second is given the first.  That is what the toys here provoke.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest
from llvmlite import binding

from spinase.compiled.dense import multiply
from spinase.compiled.library import SealingCompiler
from spinase.learning.shipped import shipped_models

LONG = "\n".join(f"            s += k * (s + {n}) / ({n + 1} + s * s) if s * s > {n} else s + k + {n}" for n in range(20))
FAMILY = f"""
from spinase.compiled import njit, register_jitable

def kept(k):
    @njit
    def member(x):
        s = 0.0
        for _ in range(int(x)):
{LONG}
        return s
    return member

def built_in(k):
    @register_jitable
    def member(x):
        s = 1.0
        for _ in range(int(x)):
{LONG}
        return s
    return member

two, five, three, seven = kept(2.0), kept(5.0), built_in(3.0), built_in(7.0)

@njit
def one(x):
    return two(x) + two(x + 1) - three(x) - three(x + 1)

@njit
def other(x):
    return five(x) + five(x + 1) - seven(x) - seven(x + 1)

@njit
def both(x):
    return one(x) + 2.0 * other(x) + two(x) - five(x)
"""
ASK = """
import json, sys
import toy
print(json.dumps({name: getattr(toy, name)(3.0) for name in sys.argv[1:]}))
"""
MODEL = """
import hashlib, sys
from spinase.compiled import KernelCache
if "compile" in sys.argv:
    KernelCache.load_overload = lambda *_: None
from spinase import SpinAtoms
from spinase.calculators import HIPNNCalculator
name, options = sys.argv[1], {}
if name.startswith("disordered"):
    atoms = SpinAtoms.disordered(60, density=1.0, min_distance=0.75, rng=1, units="reduced")
elif name == "driven-wall":
    atoms, options = SpinAtoms.lattice("square", (30, 10), units="reduced", rng=1), {"bias": 0.3}
    atoms.pbc = False, True, False
else:
    atoms = SpinAtoms.lattice(name.split("-")[0], (6, 6), units="reduced", rng=1)
calc = HIPNNCalculator.shipped(name, outside_domain="ignore", **options)
fields = calc.get_property("magnetic_forces", atoms)
print(hashlib.sha256(fields.tobytes()).hexdigest())
"""


def ask(code: str, folder: Path, *words: str, **environment: str) -> str:
    """What a new process prints whose cache is a folder."""
    paths = os.pathsep.join([str(folder), *sys.path])
    told = {**os.environ, "PYTHONPATH": paths, "NUMBA_CACHE_DIR": str(folder / "cache"), **environment}
    done = subprocess.run([sys.executable, "-c", code, *words], env=told, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_loops_that_different_processes_kept_do_not_take_each_others_place(tmp_path: Path) -> None:
    (tmp_path / "toy.py").write_text(FAMILY)
    names = ["one", "other", "both"]
    expected = json.loads(ask(ASK, tmp_path, *names, NUMBA_DISABLE_JIT="1"))
    for asked in (names[:1], names[1:2], names):
        found = json.loads(ask(ASK, tmp_path, *asked))
        assert found == pytest.approx({name: expected[name] for name in asked}, rel=1e-12)


def test_a_library_shares_nothing_but_its_own_function() -> None:
    """No weak symbol is left for the loader to choose."""
    compiled = numba.njit(pipeline_class=SealingCompiler, fastmath=True, _nrt=False)(multiply.py_func)
    compiled.compile("void(f4[:, ::1], f4[:, ::1], f4[:, ::1], b1)")
    (form,) = compiled.overloads.values()
    defined = {one.linkage for one in form.library.get_defined_functions()}
    assert defined == {binding.Linkage.external, binding.Linkage.internal}


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped_models())
def test_models_answer_the_same_compiled_and_loaded(name: str, tmp_path: Path) -> None:
    """Bit by bit: nothing loaded, all loaded, and a part of it compiled anew."""
    first = ask(MODEL, tmp_path, name, "compile")
    entries = sorted((tmp_path / "cache").rglob("*.bin"))
    assert len(entries) > 5
    assert ask(MODEL, tmp_path, name) == first
    for path in entries[::3]:
        path.unlink()
    assert ask(MODEL, tmp_path, name) == first
