"""Values written as TOML are what TOML reads."""

from __future__ import annotations

import math
import tomllib

from spinase.run.config import as_toml


def test_values_written_as_toml_are_read_as_they_were() -> None:
    table = {
        "style": 'a "b"\\c\n',
        "a.b": [1, -2.5, 1e-7, 1e22, True, {"x": [], "": {}}],
        "signs": "m\u00fc_B \U0001f9f2",
        "ends": (math.inf, -math.inf),
    }
    read = tomllib.loads(f"value = {as_toml(table)}")["value"]
    assert read == {**table, "ends": list(table["ends"])}
    assert math.isnan(tomllib.loads(f"value = {as_toml(math.nan)}")["value"])
