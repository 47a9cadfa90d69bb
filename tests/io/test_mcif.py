"""Magnetic CIF: vectors right, axial under mirrors, turned by time reversal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from systems.inputs import square_magnet

from spinase.errors import InputError
from spinase.io import read_mcif
from spinase.run import build_setup, read_input

HEXAGONAL = "x,y,z,+1\n-y,x-y,z,+1\n-x+y,-x,z,+1"


def written(
    path: Path,
    operations: str,
    moment: str,
    place: str = "0.333333 0.0 0.0",
    gamma: float = 120.0,
    centring: str = "x,y,z,+1",
) -> Path:
    """A magnetic CIF with one iron and one oxygen."""
    path.write_text(
        f"""data_test
_cell_length_a 6.0
_cell_length_b 6.0
_cell_length_c 5.0
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma {gamma}
loop_
_space_group_symop_magn_operation.xyz
{operations}
loop_
_space_group_symop_magn_centering.xyz
{centring}
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Fe1 Fe3+ {place}
O1 O 0.0 0.0 0.5
loop_
_atom_site_moment.label
_atom_site_moment.crystalaxis_x
_atom_site_moment.crystalaxis_y
_atom_site_moment.crystalaxis_z
Fe1 {moment}
"""
    )
    return path


def test_120_degrees_on_a_triangular_lattice(tmp_path: Path) -> None:
    """Three sites, moments of 2 mu_B along a, b and -(a + b): vectors, not signed lengths."""
    atoms = read_mcif(written(tmp_path / "a.mcif", HEXAGONAL, "2.0(1) 0.0 0.0"))
    assert atoms.get_chemical_formula() == "Fe3O"
    moments = atoms.moments[:3]
    np.testing.assert_allclose(np.linalg.norm(moments, axis=1), 2.0)
    np.testing.assert_allclose(moments.sum(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(moments[0] @ moments[1], -2.0, atol=1e-9)
    np.testing.assert_allclose(moments[1] / 2.0, [-0.5, np.sqrt(0.75), 0.0], atol=1e-9)  # along b
    np.testing.assert_array_equal(atoms.moments[3], 0.0)
    np.testing.assert_allclose(atoms.get_distance(0, 1, mic=True), 6.0 / np.sqrt(3.0), rtol=1e-4)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("-x,y,z,+1", [1.0, -2.0, -3.0]),  # a mirror keeps the component along its normal
        ("-x,y,z,-1", [-1.0, 2.0, 3.0]),
        ("-x,-y,-z,+1", [1.0, 2.0, 3.0]),  # inversion
        ("-x,-y,z,+1", [-1.0, -2.0, 3.0]),
    ],
)
def test_moments_are_axial(operation: str, expected: list[float], tmp_path: Path) -> None:
    place = written(tmp_path / "a.mcif", f"x,y,z,+1\n{operation}", "1.0 2.0 3.0", "0.1 0.2 0.3", gamma=90.0)
    atoms = read_mcif(place)
    np.testing.assert_allclose(atoms.moments[:2], [[1.0, 2.0, 3.0], expected], atol=1e-12)


def test_centrings_with_time_reversal_make_antiferromagnets(tmp_path: Path) -> None:
    centring = "x,y,z,+1\nx,y,z+1/2,-1"
    atoms = read_mcif(written(tmp_path / "a.mcif", "x,y,z,+1", "0 0 3.5", "0 0 0", 90.0, centring))
    np.testing.assert_allclose(atoms.moments[:2], [[0.0, 0.0, 3.5], [0.0, 0.0, -3.5]])
    np.testing.assert_allclose(atoms.positions[1], [0.0, 0.0, 2.5])


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    place = tmp_path / "a.mcif"
    with pytest.raises(InputError, match=r"turn its moment from \[1\.0, 0\.0, 0\.0\] to \[-1\.0, 0\.0, 0\.0\] mu_B"):
        read_mcif(written(place, "x,y,z,+1\n-x,-y,z,+1", "1 0 0", "0 0 0", 90.0))
    whole = place.read_text()
    place.write_text(whole[: whole.rindex("Fe1")] + "Fe9" + whole[whole.rindex("Fe1") + 3 :])
    with pytest.raises(InputError, match=r"a\.mcif has a moment of 'Fe9', which is no site"):
        read_mcif(place)
    place.write_text(whole.replace("_atom_site_moment", "_atom_site_other"))
    with pytest.raises(InputError, match="has no moments"):
        read_mcif(place)
    place.write_text("data_x\n_cell_length_a")
    with pytest.raises(InputError, match=r"a\.mcif"):
        read_mcif(place)
    with pytest.raises(InputError, match="cannot read"):
        read_mcif(tmp_path / "none.mcif")


def test_a_run_starts_from_it(tmp_path: Path) -> None:
    written(tmp_path / "a.mcif", HEXAGONAL, "2.0 0.0 0.0")
    calculator = square_magnet(2, 2).partition("[calculator]")[2]
    text = f'units = "metal"\n[atoms]\nfile = "a.mcif"\n[calculator]{calculator}[[stage]]\nsteps = 1\ntimestep = 0.1\n'
    (tmp_path / "in.toml").write_text(text)
    atoms = build_setup(read_input(tmp_path / "in.toml")[0], tmp_path).atoms
    np.testing.assert_allclose(atoms.moments[0], [2.0, 0.0, 0.0], atol=1e-12)
