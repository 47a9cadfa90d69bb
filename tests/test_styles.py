"""Styles: finding, describing, and every way a name can go wrong."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import pytest

from spinase import styles
from spinase.calculators import EDCalculator, HeisenbergCalculator
from spinase.errors import InputError, StyleError
from spinase.styles import Style, config_model, describe, find_style, list_styles, load_style, options_of


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
    with pytest.raises(StyleError, match="'no_such_module' is missing: pip install no_such_module"):
        load_style("calculators", "no_such_module:Thing")


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
