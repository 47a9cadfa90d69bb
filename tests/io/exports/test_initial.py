"""Runs that start from a file: sites matched by position, and what is said where they do not match."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from systems.inputs import square_magnet
from systems.runs import NAMES, made

from spinase.errors import InputError
from spinase.geometry import Geometry
from spinase.io import Run
from spinase.io.exports import match_sites, spins_from_file
from spinase.run import build_setup, export_run, read_input

RNG = np.random.default_rng(0)


def geometry(run: Run, order: object = slice(None), shift: object = 0.0) -> Geometry:
    """Sites of the last frame in another order, displaced."""
    return Geometry(run.positions[-1][order] + shift, run.cells[-1], run.pbc, run.numbers[order])


@pytest.mark.parametrize("name", [name for name in NAMES if name != "uppasd"])
def test_sites_are_matched_by_position(name: str, tmp_path: Path) -> None:
    """In another order, a little displaced, and moved by a lattice vector."""
    run = made()
    export_run(run, tmp_path / NAMES[name], name)
    order = np.random.default_rng(3).permutation(12)
    for shift in (0.1 * np.random.default_rng(4).normal(size=(12, 3)), run.cells[-1][1]):
        found = spins_from_file(geometry(run, order, shift), RNG, tmp_path / NAMES[name])
        np.testing.assert_allclose(found, run.atoms(-1).spins[order], atol=1e-7)


def test_files_without_positions_are_read_by_number(tmp_path: Path) -> None:
    run = made()
    export_run(run, tmp_path / "restart.a.out", "uppasd")
    np.testing.assert_allclose(
        spins_from_file(geometry(run), RNG, tmp_path / "restart.a.out"), run.atoms(-1).spins, atol=1e-8
    )


def test_lattices_that_are_not_the_same_are_refused(tmp_path: Path) -> None:
    run, place = made(), tmp_path / "a.xyz"
    export_run(run, place, "extxyz")
    with pytest.raises(InputError, match=r"a\.xyz has 12 spins, the magnet has 15 sites"):
        spins_from_file(geometry(made(size=(5, 3))), RNG, place)
    with pytest.raises(InputError, match=r"are not those of the magnet.*by_number = true"):
        spins_from_file(geometry(made("square")), RNG, place)
    spins = spins_from_file(geometry(made("square")), RNG, place, by_number=True)
    np.testing.assert_allclose(spins, run.atoms(-1).spins, atol=1e-7)
    small = Geometry(run.positions[-1] / 2.5, run.cells[-1] / 2.5, run.pbc, run.numbers)
    with pytest.raises(InputError, match=r"scale = 0\.4 would make it as large"):
        spins_from_file(small, RNG, place)
    np.testing.assert_allclose(spins_from_file(small, RNG, place, scale=0.4), run.atoms(-1).spins, atol=1e-7)
    with pytest.raises(InputError, match="there is no"):
        spins_from_file(small, RNG, tmp_path / "none.xyz")
    export_run(replace(run, moments=np.zeros((2, 12, 3))), place, "extxyz")
    with pytest.raises(InputError, match="has no magnetic moments"):
        spins_from_file(geometry(run), RNG, place)


def test_sites_without_a_moment_may_be_left_out(tmp_path: Path) -> None:
    """OVF and Vampire have magnetic sites only."""
    run = made()
    moments = run.moments.copy()
    moments[:, 5] = 0.0
    run = replace(run, moments=moments)
    magnetic = np.arange(12) != 5
    export_run(run, tmp_path / "a.ovf", "ovf")
    place = Geometry(run.positions[-1], run.cells[-1], run.pbc, run.numbers, magnetic)
    found = spins_from_file(place, RNG, tmp_path / "a.ovf")
    np.testing.assert_allclose(found[magnetic], run.atoms(-1).spins[magnetic], atol=1e-12)
    np.testing.assert_array_equal(found[5], [0.0, 0.0, 1.0])
    export_run(run, tmp_path / "a.vtkhdf", "vtk")
    with pytest.raises(InputError, match="has no spin at site 5"):
        spins_from_file(geometry(run), RNG, tmp_path / "a.vtkhdf")


def test_two_sites_do_not_share_a_spin() -> None:
    run = made("square")
    doubled = run.positions[-1].copy()
    doubled[3] = doubled[2]
    with pytest.raises(InputError, match="are not those of the magnet"):
        match_sites(geometry(run), doubled, "a file")


def test_an_input_file_starts_from_a_file_beside_it(tmp_path: Path) -> None:
    run = made("square", (3, 4), "reduced")
    run = replace(run, positions=run.positions / 2.5, cells=run.cells / 2.5)
    export_run(run, tmp_path / "start.ovf", "ovf")
    spins = '[spins]\nstyle = "file"\npath = "start.ovf"\n'
    text = f'units = "reduced"\n{square_magnet(3, 4)}{spins}[[stage]]\nsteps = 1\ntimestep = 0.1\n'
    (tmp_path / "in.toml").write_text(text)
    setup = build_setup(read_input(tmp_path / "in.toml")[0], tmp_path)
    np.testing.assert_allclose(setup.atoms.spins, run.atoms(-1).spins, atol=1e-12)
    (tmp_path / "in.toml").write_text(text.replace("path =", "paht ="))
    with pytest.raises(InputError, match=r"unknown key 'paht' in \[spins\] \(did you mean 'path'"):
        build_setup(read_input(tmp_path / "in.toml")[0], tmp_path)
