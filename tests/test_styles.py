"""Styles: finding, describing, and every way a name can go wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest
from numpy.typing import ArrayLike
from pydantic import BaseModel, Field

from spinase import styles
from spinase.calculators import EDCalculator, HeisenbergCalculator
from spinase.errors import InputError, StyleError
from spinase.styles import (
    Style,
    config_model,
    describe,
    find_style,
    list_styles,
    load_style,
    make_importable,
    options_of,
)


def test_built_ins_are_registered_like_plugins() -> None:
    names = {(style.kind, style.name) for style in list_styles()}
    assert {("calculators", "ed"), ("drivers", "llg"), ("integrators", "midpoint"), ("observers", "chirality")} <= names
    assert {style.name for style in list_styles("initializers")} >= {"random", "ferro", "tetrahedral", "domain-wall"}
    assert load_style("calculators", "ed") is EDCalculator


@pytest.mark.parametrize("style", list_styles(), ids=lambda style: f"{style.kind}/{style.name}")
def test_every_style_loads_and_describes_itself(style: Style) -> None:
    told = describe(style)
    assert told["summary"]
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
    broken = Style("calculators", "broken", "spinase_no_such_plugin.calc:Calc", "spinase-broken", "1.0")
    with pytest.raises(
        StyleError, match="'broken' of spinase-broken cannot be imported, 'spinase_no_such_plugin' is missing"
    ):
        broken.load()


def test_two_packages_with_one_name_are_refused_naming_both(monkeypatch: pytest.MonkeyPatch) -> None:
    twins = tuple(Style("calculators", "twin", f"{name}:C", name, "1") for name in ("first-package", "second-package"))
    monkeypatch.setattr(styles, "_installed", lambda: twins)
    with pytest.raises(
        StyleError, match="two packages bring a calculator called 'twin': first-package .* and second-package"
    ):
        find_style("calculators", "twin")


def test_entry_points_keep_their_package() -> None:
    point = EntryPoint("x", "m:C", "spinase.calculators")
    vars(point)["dist"] = SimpleNamespace(name="pack", version="2.0")
    assert styles._style("calculators", point) == Style("calculators", "x", "m:C", "pack", "2.0")


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
    variant = Style("calculators", "kpm/torch", "spinase.calculators.ed:EDCalculator", "p", "1")
    monkeypatch.setattr(styles, "_installed", lambda: (variant,))
    assert find_style("calculators", "kpm/torch").load() is EDCalculator
    assert "torch" in sys.modules


def install(folder: Path, package: str, group: str, entry: str) -> None:
    """What pip leaves behind for a package with one entry point."""
    info = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{entry}\n")


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    styles._installed.cache_clear()
    yield tmp_path
    styles._installed.cache_clear()


def test_installed_packages_are_found_without_importing_them(plugins: Path) -> None:
    (plugins / "loud_plugin.py").write_text("raise RuntimeError('no licence')\n")
    install(plugins, "spinase-loud", "spinase.calculators", "loud = loud_plugin:Calc")
    install(plugins, "spinase-kinds", "spinase.cameras", "bath = loud_plugin:Bath")
    style = next(style for style in list_styles() if style.name == "loud")
    assert (style.package, style.version) == ("spinase-loud", "1.0")
    assert [style.name for style in list_styles("cameras")] == ["bath"], "groups that spinase does not know are kinds too"
    assert "loud_plugin" not in sys.modules
    with pytest.raises(StyleError, match="'loud' of spinase-loud cannot be imported, RuntimeError: no licence"):
        style.load()


def test_two_installed_packages_with_one_name(plugins: Path) -> None:
    install(plugins, "spinase-one", "spinase.calculators", "twin = one:C")
    install(plugins, "spinase-two", "spinase.calculators", "twin = two:C")
    with pytest.raises(StyleError, match=r"'twin': spinase-(one|two) .* and spinase-(one|two)") as caught:
        find_style("calculators", "twin")
    assert "spinase-one (one:C)" in str(caught.value)
    assert "spinase-two (two:C)" in str(caught.value)


def test_what_is_missing_is_what_pip_is_asked_for(plugins: Path) -> None:
    (plugins / "needy_plugin.py").write_text("import no_such_library.deep\n")
    install(plugins, "spinase-needy", "spinase.calculators", "needy = needy_plugin:Calc")
    with pytest.raises(
        StyleError, match="'needy' of spinase-needy .* 'no_such_library' is missing: pip install no_such_library"
    ):
        load_style("calculators", "needy")


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


def test_functions_tell_their_units_in_their_text() -> None:
    assert "length units" in describe(find_style("initializers", "domain-wall"))["details"]
    assert "reciprocal" in describe(find_style("initializers", "spiral"))["details"]


def test_keys_of_nested_tables_and_choices_are_told() -> None:
    exchange = describe(find_style("calculators", "heisenberg"))["options"]
    assert set(exchange) >= {f"bethe_slater.{key}" for key in ("amplitude", "shape", "range", "cutoff", "switch_width")}
    assert exchange["bethe_slater.range"] == {"description": "d [length]", "default": "required", "choices": []}
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
    rows = styles.options_table(Tree, above=(Tree,))
    assert list(rows) == ["branch", "leaves", "leaves.<n>(Leaf).from", "leaves.<n>(Other).kind", "one", "one.from"]
    assert rows["leaves.<n>(Other).kind"]["choices"] == ["a", "b"]
    assert rows["one.from"]["default"] == 0.5
