"""The architecture, checked: who may import whom, what a start costs, how long a module or a function may be."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

import spinase

PACKAGE = Path(spinase.__file__).parent
ROOT = PACKAGE.parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
HEAVY = ("torch", "ase", "numba", "hippynn", "scipy", "matplotlib", "h5py")
# The command line imports what a command needs when it runs; the package loads SpinAtoms on first use.
LAZY_MODULES = {"__init__.py", "cli.py", "cli_files.py"}

MODULE_WALL = 450
FUNCTION_WALL = 60


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(node: ast.AST) -> Iterator[str]:
    """Roots of the modules a statement imports."""
    if isinstance(node, ast.Import):
        yield from (alias.name.split(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        yield node.module.split(".")[0]


def functions(module: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the signature to the end, the docstring not counted."""
    total = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function) is None:
        return total
    text = function.body[0]
    return total - ((text.end_lineno or text.lineno) - text.lineno + 1)


def test_imports_only_go_down():
    """The contracts of pyproject.toml."""
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_no_import_cycles():
    graph = grimp.build_graph("spinase", cache_dir=None, exclude_type_checking_imports=True)
    edges = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    # `import spinase` loads SpinAtoms lazily: that is no import at start-up.
    edges["spinase"] = set()
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' <- '.join(error.args[1])}")


@pytest.mark.parametrize("module", ["spinase", "spinase.styles", "spinase.cli"])
def test_a_start_loads_nothing_heavy(module):
    """torch alone costs seconds; `spinase --help` and the listing of styles must not pay for it."""
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_listing_styles_loads_nothing_heavy():
    """Not even pydantic, which takes longer than reading the metadata of all packages."""
    code = (
        "import sys; sys.argv = ['spinase', 'styles']; from spinase.cli import main; main();"
        f"print([name for name in [*{HEAVY!r}, 'pydantic'] if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "heisenberg" in done.stdout
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_hippynn_is_imported_in_learning_only():
    found = [
        name_of(path)
        for path in SOURCES
        if "learning" not in path.relative_to(PACKAGE).parts
        and any("hippynn" in imported(node) for node in ast.walk(tree(path)))
    ]
    assert not found


def test_numba_is_imported_in_compiled_only():
    """Its insides change between versions, and its own cache goes on with old code after a change in what a loop calls."""
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in SOURCES
        if path.relative_to(PACKAGE).parts[0] != "compiled"
        for node in ast.walk(tree(path))
        if {"numba", "llvmlite"} & set(imported(node))
    ]
    assert not found, f"use spinase.compiled: {found}"


def test_numba_is_pinned_from_above():
    """A new minor version may move what spinase.compiled uses: it is tried before it is allowed."""
    (line,) = re.findall(r'"(numba[^"]*)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("[tool.")[0])
    assert re.fullmatch(r"numba>=0\.\d+,<0\.\d+", line)


@pytest.mark.parametrize("room", ["electrons", "classical"])
def test_the_physics_rooms_do_not_mention_ase(room):
    for path in sorted((PACKAGE / room).rglob("*.py")):
        found = re.findall(r"\b(?:ASE|ase)\b|\bAtoms\b", path.read_text(encoding="utf-8"))
        assert not found, f"{name_of(path)} mentions {found[0]}: these rooms know arrays only"


def test_the_kit_does_not_import_pytest():
    for path in sorted((PACKAGE / "testing").rglob("*.py")):
        assert not any("pytest" in imported(node) for node in ast.walk(tree(path))), name_of(path)


def test_nothing_imports_plugins_or_training():
    for path in SOURCES:
        for node in ast.walk(tree(path)):
            assert not {"spinase_template", "spinase_training"} & set(imported(node)), name_of(path)


def test_modules_are_short():
    long = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    long = {name: lines for name, lines in long.items() if lines > MODULE_WALL}
    assert not long, f"split these modules (the wall is {MODULE_WALL} lines): {long}"


def test_functions_are_short():
    long = {
        f"{name_of(path)}:{function.name}": body_lines(function)
        for path in SOURCES
        for function in functions(tree(path))
        if body_lines(function) > FUNCTION_WALL
    }
    assert not long, f"split these functions (the wall is {FUNCTION_WALL} lines): {long}"


def test_imports_are_at_the_top():
    """But for optional dependencies, which sit in a try block."""
    for path in SOURCES:
        if path.name in LAZY_MODULES:
            continue
        for function in functions(tree(path)):
            tried = {id(inner) for node in ast.walk(function) if isinstance(node, ast.Try) for inner in ast.walk(node)}
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in tried:
                    pytest.fail(f"{name_of(path)}:{node.lineno} imports inside {function.name}")


def public_definitions(module: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    for node in module.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        yield node.name, node
        if isinstance(node, ast.ClassDef):
            for member in node.body:
                if isinstance(member, ast.FunctionDef) and not member.name.startswith("_"):
                    setter = any(isinstance(d, ast.Attribute) and d.attr == "setter" for d in member.decorator_list)
                    if not setter:
                        yield f"{node.name}.{member.name}", member


def all_packages() -> list[Path]:
    """Modules of spinase, of its training and of its plugins."""
    plugins = [path for path in (ROOT / "plugins").rglob("*.py") if "tests" not in path.parts]
    training = [*(ROOT / "training" / "spinase_training").rglob("*.py")]
    assert plugins
    assert training
    return [*SOURCES, *training, *plugins]


def test_everything_public_has_a_docstring():
    missing = []
    for path in all_packages():
        module = tree(path)
        if module.body and ast.get_docstring(module) is None:
            missing.append(str(path.relative_to(ROOT)))
        for name, node in public_definitions(module):
            if ast.get_docstring(node) is None:  # type: ignore[arg-type]
                missing.append(f"{path.relative_to(ROOT)}:{name}")
    assert not missing


def test_functions_inside_functions_and_private_classes_say_what_they_give():
    """But for setters, which the getter tells, and the code that numba takes for a function, which that function tells."""
    missing = []
    for path in all_packages():
        if path.parent == PACKAGE / "compiled":
            continue
        for function in functions(tree(path)):
            setter = any(isinstance(one, ast.Attribute) and one.attr == "setter" for one in function.decorator_list)
            if not (setter or function.name == "code" or function.name.startswith("_") or ast.get_docstring(function)):
                missing.append(f"{path.relative_to(ROOT)}:{function.lineno}:{function.name}")
    assert not missing


# Modules of the package's top floor that nobody's script or plugin imports; commands tell their options by `help`.
OF_THE_HOUSE = {"brief.py", "cli.py", "cli_files.py", "files.py", "stopping.py"}
COMMANDS = {"cli.py", "cli_files.py", "commands.py"}


def doors() -> set[tuple[str, str]]:
    """(module, name) of all that rooms offer in their ``__init__``, lazily or not."""
    found: set[tuple[str, str]] = set()
    for path in [path for path in SOURCES if path.name == "__init__.py"]:
        for node in tree(path).body:
            if isinstance(node, ast.ImportFrom) and node.module:
                found |= {(node.module, alias.name) for alias in node.names}
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_LAZY":
                found |= {(module, name) for name, module in ast.literal_eval(node.value).items()}
    return found


def what_others_call() -> Iterator[tuple[str, ast.FunctionDef, int]]:
    """Public functions, and methods of seams (protocols, abstract classes), with the number of parameters to leave out."""
    offered = doors()
    for path in SOURCES:
        module = ".".join(["spinase", *path.relative_to(PACKAGE).with_suffix("").parts])
        alone = path.parent == PACKAGE and path.name not in OF_THE_HOUSE
        for node in tree(path).body:
            if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
                continue
            if not alone and (module, node.name) not in offered:
                continue
            if isinstance(node, ast.FunctionDef):
                yield f"{name_of(path)}:{node.name}", node, 0
            elif any("ABC" in ast.unparse(base) or "Protocol" in ast.unparse(base) for base in node.bases):
                for name, member in public_definitions(ast.Module([node], [])):
                    if isinstance(member, ast.FunctionDef):
                        yield f"{name_of(path)}:{name}", member, 1


def parameters(function: ast.FunctionDef, without: int) -> list[str]:
    given = function.args
    return [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)][without:]


def told(function: ast.FunctionDef) -> set[str]:
    """Names that the section Parameters of its docstring has."""
    section = (ast.get_docstring(function) or "").partition("Parameters\n----------\n")[2]
    heads = [line.split(" : ")[0] for line in section.splitlines() if line[:1].strip()]
    return {word for head in heads for word in re.findall(r"\w+", head)}


def test_what_others_call_tells_its_parameters():
    """Two parameters or more: a section of the docstring has every one of them, with shape, unit or meaning."""
    missing, seen = [], 0
    for where, function, without in what_others_call():
        names = parameters(function, without)
        if len(names) < 2:
            continue
        seen += 1
        missing += [f"{where}({name})" for name in names if name not in told(function)]
    assert seen > 100  # it looked
    assert not missing, f"write them into the Parameters of the docstrings: {missing}"


OF_ASE = {"calculate": ["atoms", "properties", "system_changes"], "get_property": ["name", "atoms", "allow_calculation"]}


def public_functions(path: Path) -> Iterator[tuple[str, ast.FunctionDef, int]]:
    """Name, node and number of parameters to leave out (self; numba's context of types) of functions and methods."""
    for name, node in public_definitions(tree(path)):
        if isinstance(node, ast.FunctionDef):
            words = {one.id for one in node.decorator_list if isinstance(one, ast.Name)}
            yield name, node, int("intrinsic" in words or ("." in name and "staticmethod" not in words))


def test_functions_of_all_rooms_tell_their_parameters():
    """Three parameters or more; a method may be told once, where others override it, and a command by its options' help."""
    everything = [(path, *found) for path in all_packages() for found in public_functions(path)]
    methods = {name.split(".")[1]: [] for _, name, _, _ in everything if "." in name}
    for _, name, function, _ in everything:
        if "." in name:
            methods[name.split(".")[1]].append(told(function))
    missing, seen = [], 0
    for path, name, function, without in everything:
        names = parameters(function, without)
        if len(names) < 3 or path.name in COMMANDS:
            continue
        seen += 1
        elsewhere = methods.get(name.partition(".")[2], [])
        if set(names) <= told(function) or any(set(names) <= one for one in elsewhere) or OF_ASE.get(function.name) == names:
            continue
        missing.append(f"{path.relative_to(ROOT)}:{name}{sorted(set(names) - told(function))}")
    assert seen > 400  # it looked
    assert not missing, f"write them into the Parameters of the docstrings: {missing}"


OF_CALCULATORS = {"calc", "calculator", "driver", "dynamics", "member"}
# The contract, of many magnets at once, too; a sum, which passes the hooks of its members on; results at hand; and the
# kit, which takes calculators apart.
MAY_ASK = ("contract.py", "driver.py", "hooks.py", "images.py", "calculators/sum.py", "io/database.py")


def test_what_a_calculator_or_driver_may_have_is_asked_in_the_contract():
    """Elsewhere nobody looks for optional attributes of calculators and drivers, nor a class for its own."""
    found = []
    for path in SOURCES:
        for node in ast.walk(tree(path)):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
                continue
            whose = ast.unparse(node.args[0]).split(".")[-1]
            own = node.func.id == "hasattr" and whose == "self"
            others = node.func.id in ("hasattr", "getattr") and whose in OF_CALCULATORS
            asked = others and name_of(path) not in MAY_ASK and path.parent.name != "testing"
            if own or asked:
                found.append(f"{name_of(path)}:{node.lineno}: {ast.unparse(node)}")
    assert not found, f"write a function in spinase/contract.py: {found}"


def test_h5py_is_imported_in_io_only():
    found = [
        name_of(path)
        for path in SOURCES
        if path.relative_to(PACKAGE).parts[0] != "io" and any("h5py" in imported(node) for node in ast.walk(tree(path)))
    ]
    assert not found


def test_what_can_be_named_in_an_input_is_no_base_of_anything():
    """Calculators, drivers, integrators and observers are leaves: what they share is a class of its own."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    kinds = ("calculators", "drivers", "integrators", "observers", "formats")
    named = {target.partition(":")[2] for kind in kinds for target in project[f"spinase.{kind}"].values()}
    derived = [
        f"{name_of(path)}:{node.name}({ast.unparse(base)})"
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef)
        for base in node.bases
        if ast.unparse(base) in named
    ]
    assert not derived, f"derive from what they share instead: {derived}"


def test_array_types_have_one_home():
    """No module names array types of its own."""
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in SOURCES
        if path.name != "typing.py"
        for node in tree(path).body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value and ast.unparse(node.value).startswith("NDArray[")
    ]
    assert not found, f"use the names of spinase/typing.py: {found}"


def test_numpys_global_random_state_is_not_used():
    """Randomness is an explicit Generator."""
    allowed = {"default_rng", "Generator", "SeedSequence", "PCG64"}
    for path in SOURCES:
        used = set(re.findall(r"\bnp\.random\.(\w+)", path.read_text(encoding="utf-8")))
        assert used <= allowed, f"{name_of(path)} uses np.random.{(used - allowed).pop()}"
