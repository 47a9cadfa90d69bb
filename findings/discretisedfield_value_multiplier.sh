#!/usr/bin/env bash
# discretisedfield 0.92.0: Field.from_file leaves out `valuemultiplier` of OVF 1.0, by which the numbers of the data are multiplied to get values in `valueunit` (OOMMF User's Guide, "The
# OVF 1.0 format").  With unit vectors and the saturation magnetization there, a field in A/m arrives as 1 instead of 8e5, valueunit lost beside it.
# One would expect M in A/m, as from OVF 2.0 (which has no multiplier): energies, moments and stray fields of such a field are wrong by Ms or its square; directions are right.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check discretisedfield==0.92.0 numpy==2.4.6
cd "$folder" && venv/bin/python -W ignore - <<'PY'
from importlib.metadata import version
from pathlib import Path

import discretisedfield as df
import numpy as np

print("discretisedfield", version("discretisedfield"))
MESH = "\n".join(
    f"# {key}: {value}"
    for key, value in {
        "meshtype": "rectangular", "meshunit": "m", "xbase": 1e-9, "ybase": 1e-9, "zbase": 1e-9, "xstepsize": 2e-9, "ystepsize": 2e-9, "zstepsize": 2e-9,
        "xnodes": 2, "ynodes": 1, "znodes": 1, "xmin": 0, "ymin": 0, "zmin": 0, "xmax": 4e-9, "ymax": 2e-9, "zmax": 2e-9,
    }.items()
)  # fmt: skip
Path("one.omf").write_text(f"""# OOMMF: rectangular mesh v1.0
# Segment count: 1
# Begin: Segment
# Begin: Header
# Title: m
{MESH}
# valueunit: A/m
# valuemultiplier: 800000.0
# ValueRangeMinMag: 0.0
# ValueRangeMaxMag: 1.0
# End: Header
# Begin: Data Text
0.0 0.0 1.0
0.6 0.0 0.8
# End: Data Text
# End: Segment
""")
Path("two.omf").write_text(f"""# OOMMF OVF 2.0
# Segment count: 1
# Begin: Segment
# Begin: Header
# Title: m
{MESH}
# valuedim: 3
# valuelabels: m_x m_y m_z
# valueunits: A/m A/m A/m
# End: Header
# Begin: Data Text
0.0 0.0 800000.0
480000.0 0.0 640000.0
# End: Data Text
# End: Segment
""")
fields = {name: df.Field.from_file(f"{name}.omf") for name in ("one", "two")}
values = {name: field.array[:, 0, 0] for name, field in fields.items()}
print("OVF 1.0, unit vectors and valuemultiplier 8e5:", values["one"].tolist(), "unit", fields["one"].unit)
print("OVF 2.0, the same magnetization:", values["two"].tolist(), "unit", fields["two"].unit)
assert np.allclose(values["two"], [[0, 0, 8e5], [4.8e5, 0, 6.4e5]]), "the reference is wrong"
assert np.allclose(values["one"], [[0, 0, 1], [0.6, 0, 0.8]]), "the behaviour has changed"
print("as stated: valuemultiplier is left out")
PY
