"""References of a run: everything that it uses, each once, with who asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spinase import cli
from spinase.run import build_setup
from spinase.run.cite import run_references
from spinase.run.config import RunInput

MOVING: dict[str, Any] = {
    "units": "metal",
    "atoms": {"lattice": "cubic", "size": [3, 3, 3], "a": 2.9, "mass": 55.8, "moment": 2.2, "symbol": "Ni"},
    "calculator": {
        "style": "sum",
        "terms": [
            {"style": "heisenberg", "bethe_slater": {"amplitude": 0.02, "shape": 0.3, "range": 1.5, "cutoff": 4.0}},
            {"style": "ase.calculators.emt:EMT"},
        ],
    },
    "stage": [
        {"driver": "llg", "steps": 1, "timestep": 0.1, "damping": 0.1, "integrator": "sib"},
        {
            "driver": "spin-lattice",
            "steps": 1,
            "timestep": 0.1,
            "thermostat": {"style": "bussi", "kT": 0.02, "relaxation": 10.0},
        },
        {
            "driver": "spin-lattice",
            "steps": 1,
            "timestep": 0.1,
            "damping": 0.1,
            "electrons": {"kT": 0.02, "capacity": 100.0},
        },
        {"driver": "relax", "steps": 1, "minimizer": "fire"},
    ],
    "observer": [{"style": "energy-partition"}],
}


def users(table: dict[str, Any]) -> dict[str, list[str]]:
    """Who asks for what, by a link or the text."""
    found = run_references(build_setup(RunInput.model_validate(table), Path()))
    return {reference.link or reference.text: names for reference, names in found.items()}


def test_terms_integrators_baths_and_observers_are_cited() -> None:
    told = users(MOVING)
    assert next(iter(told)).startswith("The spinase developers")
    ase = told["https://doi.org/10.1088/1361-648X/aa680e"]
    assert ase[0].startswith("ase 3")
    assert "driver relax" in ase, "one paper is one reference"
    for link, name in {
        "10.1007/BF01328601": "calculator heisenberg",
        "10.1109/TMAG.2004.836740": "driver llg",
        "10.1088/0953-8984/22/17/176001": "integrator sib",
        "10.1016/j.jcp.2018.06.042": "driver spin-lattice",
        "10.1063/1.2408420": "thermostat bussi",
        "10.1103/PhysRevB.85.184301": "ElectronBath",
        "10.1103/PhysRevLett.97.170201": "minimizer fire",
        "10.1103/PhysRevLett.78.772": "observer energy-partition",
    }.items():
        assert told[f"https://doi.org/{link}"] == [name]
    assert "https://doi.org/10.1088/0953-8984/21/33/336005" not in told, "only what is used"


def test_a_learned_model_cites_its_network_and_its_teacher() -> None:
    told = users(
        {
            "atoms": {"lattice": "triangular", "size": [6, 6]},
            "calculator": {"style": "learned", "model": "triangular-tetrahedral"},
            "stage": [{"driver": "llg", "steps": 1, "timestep": 0.1, "damping": 0.1}],
        }
    )
    assert told["https://doi.org/10.1063/1.5011181"] == ["model mhipnn"]
    assert told["https://doi.org/10.1145/1916461.1916464"] == ["teacher of triangular-tetrahedral (rational)"]


def test_the_command_prints_texts_or_bibtex(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.toml").write_text(
        'atoms = { lattice = "chain", size = [4] }\ncalculator = { style = "heisenberg", shells = [1.0] }\n'
        '[[stage]]\ndriver = "monte-carlo"\nsteps = 1\nkT = 0.1\n'
    )
    cli.cite(tmp_path / "in.toml")
    told = capsys.readouterr().out
    assert "calculator heisenberg:\n  W. Heisenberg, Z. Phys. 49, 619 (1928)" in told
    assert "  https://doi.org/10.1103/PhysRevD.36.515\n" in told
    cli.cite(tmp_path / "in.toml", as_bibtex=True)
    told = capsys.readouterr().out
    assert (
        "@misc{heisenberg1928,\n  note = {W. Heisenberg, Z. Phys. 49, 619 (1928)},\n  doi = {10.1007/BF01328601}\n}\n"
        in told
    )
    assert told.count("@misc{") == 6
