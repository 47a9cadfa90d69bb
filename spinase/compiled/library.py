"""Libraries of machine code that call their own copies of what they use, and nothing of one another.

Numba links what a function calls into the function's own library, and leaves these copies weak (``linkonce_odr``): of all
copies of one name in a process the loader takes the one that came first.  Copies differ in the last bit, as each is fused
(``contract``) and inlined where it stands: a process that had compiled what is called and one that loaded the caller from
the cache ran different code.  And names are numbered in the order in which a process compiles, so two different functions
that were kept by two processes may have one name, and the caller of the second was given the first.

Here copies become private once everything is optimized, before the loader sees them: what is compiled, kept and loaded is
the same, whatever else is in the process.  Names are made of what a function is.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from llvmlite import binding
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

from spinase.compiled.sources import origin_digest

_UNIQUE = re.compile("spinase[0-9a-f]{16}")


class SealedLibrary(JITCodeLibrary):  # type: ignore[misc]
    """The code of one function, with private copies of all it calls."""

    def _finalize_final_module(self) -> None:
        """Keep an open form, which callers take copies from; seal the one that runs."""
        self._shared_module = _opened(self._final_module)
        for function in self._final_module.functions:
            if _is_copy(function):
                function.linkage = "internal"
        super()._finalize_final_module()


class SealingCompiler(Compiler):  # type: ignore[misc]
    """Numba's compiler of functions, into a :class:`SealedLibrary`."""

    def define_pipelines(self) -> Any:
        """The passes, once the function has its name and the place for its code is made."""
        state = self.state
        origin = origin_digest(state.func_id.func)
        if origin is not None:
            state.func_id.unique_id = f"spinase{_digest(origin + str(state.args))}"
        state.library = SealedLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return super().define_pipelines()


def _is_copy(function: Any) -> bool:
    return not function.is_declaration and function.linkage == binding.Linkage.linkonce_odr


def _opened(module: Any) -> Any:
    """A library's code for others to copy from, as they would read it from the cache.

    Copies of what was compiled elsewhere, under a number, are named after the library; numba's runtime keeps its names.
    """
    opened = module.clone()
    own = [one for one in opened.functions if not one.is_declaration and one.linkage == binding.Linkage.external]
    mark = f".spinase{_digest(' '.join(sorted(function.name for function in own)))}"
    for function in filter(_is_copy, opened.functions):
        if function.name.startswith("_ZN") and not _UNIQUE.search(function.name):
            function.name += mark
    for function in own:
        function.linkage = "linkonce_odr"
    return binding.parse_bitcode(opened.as_bitcode())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
