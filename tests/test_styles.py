"""Styles: finding, describing, and every way a name can go wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from numpy.typing import ArrayLike
from pydantic import BaseModel, Field

from spinase import __version__, cli, options, styles
from spinase.calculators import EDCalculator, HeisenbergCalculator
from spinase.citations import declared_citation
from spinase.errors import InputError, ModelFileError, StyleError
from spinase.installed import API, Package, packages
from spinase.learning.shipped import find_model, shipped_model, shipped_models
from spinase.options import config_model, describe, options_of
from spinase.styles import Style, find_style, list_styles, load_style, make_importable, registry_problems


def test_built_ins_are_registered_like_plugins() -> None:
    names = {(style.kind, style.name) for style in list_styles()}
    assert {("calculators", "ed"), ("drivers", "llg"), ("integrators", "midpoint"), ("observers", "chirality")} <= names
    assert {style.name for style in list_styles("initializers")} >= {"random", "ferro", "tetrahedral", "domain-wall"}
    assert load_style("calculators", "ed") is EDCalculator


@pytest.mark.parametrize("style", list_styles(), ids=lambda style: f"{style.kind}/{style.name}")
def test_every_style_loads_and_describes_itself(style: Style) -> None:
    told = describe(style)
    assert told["summary"]
    if style.package == "spinase":
        assert told["citation"] == declared_citation(style.target), "a listing reads texts in quotes only: write it as one"
    for name, option in told["options"].items():
        if style.kind in ("calculators", "drivers") and style.name != "sum" and style.package == "spinase":
            assert option["description"], f"option {name} of {style.name} has no description"


def test_a_dotted_path_is_a_style(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_script.py").write_text("class Mine:\n    def __init__(self, strength: float = 2.0): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert load_style("calculators", "my_script:Mine").__name__ == "Mine"
    assert config_model(load_style("calculators", "my_script:Mine"))().strength == 2.0  # type: ignore[attr-defined]
    with pytest.raises(StyleError, match="my_script has no 'Other'"):
        load_style("calculators", "my_script:Other")
    with pytest.raises(StyleError, match="there is no module 'no_such_module', neither beside the input file nor") as caught:
        load_style("calculators", "no_such_module:Thing")
    assert "pip install" not in str(caught.value), "a script of one's own is not on PyPI: who knows what is there"


def test_unknown_names_get_the_nearest_and_the_list() -> None:
    with pytest.raises(StyleError, match=r"unknown calculator 'heisenbrg' \(did you mean 'heisenberg'\?\); installed: .*ed"):
        find_style("calculators", "heisenbrg")
    with pytest.raises(StyleError, match=r"unknown kind of style 'calculator' \(did you mean 'calculators'\?\)"):
        list_styles("calculator")


def test_a_plugin_with_a_missing_dependency_says_what_to_install() -> None:
    broken = Style("calculators", "broken", "spinase_no_such_plugin.calc:Calc", Package("spinase-broken", "1.0"))
    with pytest.raises(
        StyleError, match="'broken' of spinase-broken cannot be imported, 'spinase_no_such_plugin' is missing"
    ):
        broken.load()


def test_two_packages_with_one_name_are_refused_naming_both(monkeypatch: pytest.MonkeyPatch) -> None:
    twins = tuple(
        Style("calculators", "twin", f"{name}:C", Package(name, "1")) for name in ("first-package", "second-package")
    )
    monkeypatch.setattr(styles, "_installed", lambda: twins)
    with pytest.raises(
        StyleError, match="two packages bring a calculator called 'twin': first-package .* and second-package"
    ):
        find_style("calculators", "twin")


def test_options_are_checked_with_the_nearest_key() -> None:
    with pytest.raises(
        InputError, match=r"unknown key 'shels' in \[calculator\] \(did you mean 'shells'\?\); known keys: shells"
    ):
        options_of(HeisenbergCalculator, {"shels": [1.0]}, "[calculator]")
    with pytest.raises(InputError, match=r"key 'coupling' is missing in \[calculator\]"):
        options_of(EDCalculator, {"hopping": {"style": "shell", "amplitudes": [1.0]}, "filling": 0.5}, "[calculator]")
    table = {"hopping": {"style": "shell", "amplitudes": [1.0]}, "coupling": 1.0, "filling": 1.5}
    with pytest.raises(InputError, match=r"\[calculator\] filling: .* less than or equal to 1 \(got 1.5\)"):
        options_of(EDCalculator, table, "[calculator]")


def test_variants_are_plain_names(monkeypatch: pytest.MonkeyPatch) -> None:
    variant = Style("calculators", "kpm/torch", "spinase.calculators.ed:EDCalculator", Package("p", "1"))
    monkeypatch.setattr(styles, "_installed", lambda: (variant,))
    assert find_style("calculators", "kpm/torch").load() is EDCalculator
    assert "torch" in sys.modules


def install(folder: Path, package: str, entry_points: str, needs: tuple[str, ...] = ()) -> None:
    """What pip leaves behind for a package with entry points, `[group]` and lines ``name = target``."""
    info = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {package}", "Version: 1.0", *(f"Requires-Dist: {line}" for line in needs)]
    (info / "METADATA").write_text("\n".join(lines) + "\n")
    (info / "entry_points.txt").write_text(entry_points)


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages."""
    monkeypatch.syspath_prepend(tmp_path)
    for remembered in (packages, styles._installed):
        remembered.cache_clear()
    yield tmp_path
    for remembered in (packages, styles._installed):
        remembered.cache_clear()


def test_plugins_bring_trained_models(plugins: Path) -> None:
    install(plugins, "spinase-mine", "[spinase.trained]\ncube = spinase_mine.trained\nlost = spinase_mine.trained\n")
    install(plugins, "spinase-other", "[spinase.trained]\nlost = other\ntriangular-120 = other\n")
    (plugins / "spinase_mine" / "trained").mkdir(parents=True)
    (plugins / "spinase_mine" / "__init__.py").write_text("raise RuntimeError('imported')")
    (plugins / "spinase_mine" / "trained" / "cube.npz").write_bytes(b"")
    assert {"cube", "lost", "disordered-sd"} <= set(shipped_models())
    assert shipped_model("cube") == find_model("cube") == plugins / "spinase_mine" / "trained" / "cube.npz"
    assert shipped_model("disordered-sd").is_file()
    with pytest.raises(ModelFileError, match="spinase-mine and spinase-other bring a model called 'lost'"):
        shipped_model("lost")
    with pytest.raises(ModelFileError, match="spinase and spinase-other bring a model called 'triangular-120'"):
        shipped_model("triangular-120")
    (plugins / "spinase_mine" / "trained" / "cube.npz").unlink()
    with pytest.raises(ModelFileError, match=r"spinase-mine says .* 'cube', but spinase_mine/trained/cube.npz is not there"):
        shipped_model("cube")
    assert not [style for style in list_styles() if style.kind == "trained"], "data is no style"
    assert not [problem for problem in registry_problems() if "trained" in problem]


def test_installed_packages_are_found_without_importing_them(plugins: Path) -> None:
    (plugins / "loud_plugin.py").write_text("raise RuntimeError('no licence')\n")
    install(plugins, "spinase-loud", "[spinase.calculators]\nloud = loud_plugin:Calc\n")
    install(plugins, "spinase-kinds", "[spinase.cameras]\nbath = loud_plugin:Bath\n")
    style = next(style for style in list_styles() if style.name == "loud")
    assert (style.package, style.version) == ("spinase-loud", "1.0")
    assert [style.name for style in list_styles("cameras")] == ["bath"], "groups that spinase does not know are kinds too"
    assert "loud_plugin" not in sys.modules
    with pytest.raises(StyleError, match="'loud' of spinase-loud cannot be imported, RuntimeError: no licence"):
        style.load()


def test_two_installed_packages_with_one_name(plugins: Path) -> None:
    install(plugins, "spinase-one", "[spinase.calculators]\ntwin = one:C\n")
    install(plugins, "spinase-two", "[spinase.calculators]\ntwin = two:C\n")
    with pytest.raises(StyleError, match=r"'twin': spinase-(one|two) .* and spinase-(one|two)") as caught:
        find_style("calculators", "twin")
    assert "spinase-one (one:C)" in str(caught.value)
    assert "spinase-two (two:C)" in str(caught.value)


def test_what_is_missing_is_what_pip_is_asked_for(plugins: Path) -> None:
    (plugins / "needy_plugin.py").write_text("import no_such_library.deep\n")
    install(plugins, "spinase-needy", "[spinase.calculators]\nneedy = needy_plugin:Calc\n")
    with pytest.raises(
        StyleError, match="'needy' of spinase-needy .* 'no_such_library' is missing: pip install no_such_library"
    ):
        load_style("calculators", "needy")


def test_pip_is_asked_by_the_name_of_the_package_not_of_its_module(plugins: Path) -> None:
    """`pip install mace` would bring another program than mace-torch."""
    (plugins / "other_plugin.py").write_text("import no_such_module\n")
    needs = ("numpy>=2", "no-such-package>=3.1", 'no-such-extra; extra == "gpu"', 'no-such-tool; extra == "test"')
    install(plugins, "spinase-other", "[spinase.calculators]\nother = other_plugin:Calc\n", needs)
    line = r"'no_such_module' is missing: pip install 'no-such-package>=3\.1' no-such-extra$"
    with pytest.raises(StyleError, match=line):
        load_style("calculators", "other")


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        (
            "0 = old_plugin",
            "written for version 0 of the interface, and this spinase needs 1 or later: pip install --upgrade",
        ),
        ("99 = old_plugin", "written for version 99 .* this spinase has 1: pip install --upgrade spinase$"),
        ("one = old_plugin", "written for version 'one' of the interface, which is no whole number"),
        ("1 = old_plugin\n2 = old_plugin", r"declares 2 versions of the interface \(1, 2\), one is possible"),
    ],
)
def test_a_plugin_of_another_time_is_listed_and_refused(plugins: Path, declared: str, problem: str) -> None:
    (plugins / "old_plugin.py").write_text("raise RuntimeError('must not be imported')\n")
    install(plugins, "spinase-old", f"[spinase.api]\n{declared}\n[spinase.calculators]\nold = old_plugin:Calc\n")
    assert "old" in {style.name for style in list_styles("calculators")}
    with pytest.raises(StyleError, match=f"calculator 'old' of spinase-old 1.0: it was {problem}|it {problem}"):
        load_style("calculators", "old")
    (told,) = registry_problems()
    assert told.startswith("spinase-old 1.0: it ")
    assert load_style("calculators", "heisenberg") is HeisenbergCalculator


def test_a_plugin_of_this_time_is_taken(plugins: Path) -> None:
    (plugins / "new_plugin.py").write_text("class Calc: pass\n")
    install(plugins, "spinase-new", f"[spinase.api]\n{API} = new_plugin\n[spinase.calculators]\nnew = new_plugin:Calc\n")
    assert load_style("calculators", "new").__name__ == "Calc"
    assert "api" not in {style.kind for style in list_styles()}
    assert registry_problems() == []


def test_damaged_metadata_take_nobody_else_down(plugins: Path) -> None:
    install(plugins, "spinase-torn", "[spinase.calculators]\nthis line has no sign of equality\n")
    install(plugins, "spinase-whole", "[spinase.calculators]\nwhole = json:JSONDecoder\n")
    (plugins / "spinase_bytes-1.0.dist-info").mkdir()
    (plugins / "spinase_bytes-1.0.dist-info" / "entry_points.txt").write_bytes(b"[spinase.drivers]\n\xff\xfe = x:Y\n")
    assert load_style("calculators", "whole").__name__ == "JSONDecoder"
    told = "\n".join(registry_problems())
    assert "spinase-torn 1.0: its metadata cannot be read, " in told
    assert "spinase_bytes-1.0.dist-info: its metadata cannot be read, UnicodeDecodeError" in told
    with pytest.raises(StyleError, match="unknown calculator 'torn'.*; spinase-torn 1.0: its metadata cannot be read"):
        find_style("calculators", "torn")


def test_the_list_shows_citations_and_problems(plugins: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (plugins / "cited_plugin.py").write_text(
        "raise RuntimeError('must not be imported')\nclass Calc:\n    citation = (\n        'A. Author, '\n"
        "        'B. Author (2020)'\n    )\nclass Other:\n    citation = Calc.citation\n"
    )
    entries = "cited = cited_plugin:Calc\nbare = cited_plugin:Other\nheisenberg = cited_plugin:Calc\n"
    install(plugins, "spinase-cited", f"[spinase.calculators]\n{entries}")
    cli.styles("calculators")
    told = capsys.readouterr()
    lines = {tuple(line.split()[:4]): line for line in told.out.splitlines()}
    assert lines["calculators", "cited", "spinase-cited", "1.0"].endswith("1.0  A. Author, B. Author (2020)")
    assert lines["calculators", "bare", "spinase-cited", "1.0"].endswith("spinase-cited 1.0")
    assert "W. Heisenberg, Z. Phys. 49, 619 (1928)" in lines["calculators", "heisenberg", "spinase", __version__]
    assert "two packages bring a calculator called 'heisenberg': spinase-cited (cited_plugin:Calc) and spinase" in told.err


def test_a_script_that_fails_says_how(plugins: Path) -> None:
    (plugins / "half_script.py").write_text("from json import no_such_name\n")
    with pytest.raises(
        StyleError, match="of your input file cannot be imported, ImportError: cannot import name 'no_such_name'"
    ):
        load_style("calculators", "half_script:Calc")
    (plugins / "wrong_script.py").write_text("class Calc:\n    def\n")
    with pytest.raises(StyleError, match="cannot be imported, SyntaxError"):
        load_style("calculators", "wrong_script:Calc")


@pytest.mark.parametrize("path", [":Calc", "module:", "a b:C", "m:C:D"])
def test_a_malformed_path_is_explained(path: str) -> None:
    with pytest.raises(StyleError, match="write module:Class, e.g. ase.calculators.emt:EMT"):
        find_style("calculators", path)


def test_paths_reach_nested_attributes_and_offer_near_ones() -> None:
    assert load_style("calculators", "pathlib:Path.cwd")() == Path.cwd()
    with pytest.raises(StyleError, match=r"ase.calculators.emt has no 'EMTT'.*\(did you mean 'EMT'\?\)"):
        load_style("calculators", "ase.calculators.emt:EMTT")


def test_a_folder_of_scripts_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file ase.py beside an input must not hide the package."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    make_importable(tmp_path)
    make_importable(tmp_path)
    assert sys.path.index(str(tmp_path.resolve())) == len(sys.path) - 1


class Foreign:
    """A class that knows nothing of spinase.

    Parameters
    ----------
    strength, offset : float
        Energy per site,
        in eV.
    mode : str
        What to do.

    Notes
    -----
    None.
    """

    def __init__(
        self,
        strength: float,
        offset: float = 1.0,
        vector: ArrayLike = (0, 0, 1),
        mode: Literal["a", "b"] = "a",
        label: str = None,  # type: ignore[assignment]  # noqa: RUF013
        **more: object,
    ) -> None: ...


def test_signatures_are_checked_as_they_are_annotated() -> None:
    assert options_of(Foreign, {"strength": 2, "vector": [[1, 0.5]]}, "[x]").model_fields_set == {"strength", "vector"}
    assert options_of(Foreign, {"strength": 2}, "[x]").label is None  # type: ignore[attr-defined]
    for table, message in (
        ({}, r"key 'strength' is missing in \[x\]"),
        ({"strength": "abc"}, r"\[x\] strength: a number is needed .*'abc'"),
        ({"strength": 1, "mode": "c"}, r"\[x\] mode: .*'a' or 'b'.*'c'"),
        ({"strength": 1, "vector": [1, "q"]}, r"\[x\] vector: a number or a list of numbers is needed, got 'q'"),
        ({"strength": 1, "vector": True}, "a number or a list of numbers is needed, got True"),
        ({"strength": 1, "ofset": 1}, r"unknown key 'ofset' in \[x\] \(did you mean 'offset'\?\)"),
        ({"strength": 1, "more": 1}, "unknown key 'more'"),
    ):
        with pytest.raises(InputError, match=message):
            options_of(Foreign, table, "[x]")


def test_descriptions_come_from_the_docstring() -> None:
    properties = config_model(Foreign).model_json_schema()["properties"]
    assert properties["strength"]["description"] == properties["offset"]["description"] == "Energy per site, in eV."
    assert properties["mode"]["description"] == "What to do."
    assert "description" not in properties["vector"]


def test_a_class_without_a_text_does_not_take_that_of_its_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "from spinase.calculators import SpinCalculator\n\nclass Mine(SpinCalculator):\n    def __init__(self): ...\n"
    (tmp_path / "bare_style.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    assert describe(Style("calculators", "mine", "bare_style:Mine"))["summary"] == ""
    assert "exact diagonalization" in describe(find_style("calculators", "ed"))["summary"].lower()


def test_functions_tell_their_units_in_their_text() -> None:
    assert "length units" in describe(find_style("initializers", "domain-wall"))["details"]
    assert "reciprocal" in describe(find_style("initializers", "spiral"))["details"]


def test_keys_of_nested_tables_and_choices_are_told() -> None:
    exchange = describe(find_style("calculators", "heisenberg"))["options"]
    assert set(exchange) >= {f"bethe_slater.{key}" for key in ("amplitude", "shape", "range", "cutoff", "switch_width")}
    told = {"description": "d [length]", "type": "number", "default": "required", "choices": []}
    assert exchange["bethe_slater.range"] == told
    assert exchange["distances"]["type"] == "list of numbers"
    assert exchange["pairs.<name>.morse.depth"]["description"] == "depth of the well [energy]"
    table = describe(find_style("calculators", "bond-table"))["options"]
    assert table["format"]["choices"] == ["tb2j", "uppasd", "vampire"]
    terms = describe(find_style("calculators", "sum"))["options"]
    assert list(terms) == ["terms"]
    assert terms["terms"]["default"] == "required"


def test_tables_in_lists_several_tables_and_tables_in_themselves() -> None:
    class Leaf(BaseModel):
        """Called from in a file."""

        start: float = Field(0.5, alias="from", description="where it begins")

    class Other(BaseModel):
        """Another table."""

        kind: Literal["a", "b"] = "a"

    class Tree(BaseModel):
        """A table with itself in it."""

        branch: Tree | None = None
        leaves: list[Leaf | Other] = []
        one: Leaf

    Tree.model_rebuild(_types_namespace={"Tree": Tree, "Leaf": Leaf, "Other": Other})
    rows = options.options_table(Tree, above=(Tree,))
    assert list(rows) == ["branch", "leaves", "leaves.<n>(Leaf).from", "leaves.<n>(Other).kind", "one", "one.from"]
    assert rows["leaves.<n>(Other).kind"]["choices"] == ["a", "b"]
    assert rows["one.from"]["default"] == 0.5
