"""The log of a run, series of atoms, and whether labels belong together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import read

from spinase import SpinAtoms
from spinase.errors import CheckpointError, InputError, OutputError
from spinase.io.consistency import Slopes, energy_slopes
from spinase.io.frames import write_atoms
from spinase.io.labels import Labels, load_part, read_labels, save_part, write_label_frames, write_labels
from spinase.io.run_log import RunLog


def test_a_log_goes_on_where_its_checkpoint_was(tmp_path: Path) -> None:
    """Lines after the checkpoint are cut off and written again; the digest is that of the whole text."""
    path = tmp_path / "log"
    with RunLog.started(path) as log:
        log.write("one\n")
        log.sync()
        length, digest = log.length, log.digest
        log.write("lost\n")
    with RunLog.resumed(path, length, digest) as log:
        assert path.read_text() == "one\n"
        log.write("two\n")
        again = log.digest
        log.require_in_place()
    assert path.read_text() == "one\ntwo\n"
    with RunLog.started(tmp_path / "other") as log:
        log.write("one\ntwo\n")
        assert log.digest == again


def test_a_log_that_is_another_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with RunLog.started(path) as log:
        log.write("one\n")
        length, digest = log.length, log.digest
    with pytest.raises(OutputError, match="log"):
        RunLog.started(path)
    path.write_text("ONE\n")
    with pytest.raises(CheckpointError, match="log is not the log of the checkpoint beside it"):
        RunLog.resumed(path, length, digest)
    path.write_text("on")
    with pytest.raises(CheckpointError, match="log has 2 bytes instead of the checkpoint's 4"):
        RunLog.resumed(path, length, digest)
    path.unlink()
    with pytest.raises(CheckpointError, match="log has 0 bytes"):
        RunLog.resumed(path, length, digest)


def test_a_log_that_was_taken_away_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with RunLog.started(path) as log:
        log.write("one\n")
        path.rename(tmp_path / "moved")
        with pytest.raises(OutputError, match="was removed or replaced while it was being written"):
            log.require_in_place()
        path.write_text("one\n")
        with pytest.raises(OutputError, match="was removed or replaced"):
            log.require_in_place()


def test_a_link_is_no_log(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("")
    (tmp_path / "log").symlink_to(tmp_path / "target")
    with pytest.raises(OutputError):
        RunLog(tmp_path / "log", 0)


# -- series of atoms --------------------------------------------------------------------------------------------------


def test_series_of_our_own_are_replaced_and_others_are_not(tmp_path: Path) -> None:
    path, frames = tmp_path / "atoms.xyz", [Atoms("Fe", positions=[[0, 0, float(k)]]) for k in range(3)]
    write_atoms(path, frames)
    assert len(read(path, index=":")) == 3
    write_atoms(path, frames[:1])
    assert len(read(path, index=":")) == 1
    path.write_text("1\nof somebody else\nFe 0 0 0\n")
    with pytest.raises(InputError, match=r"atoms\.xyz"):
        write_atoms(path, frames)
    assert "somebody" in path.read_text()


# -- labels -----------------------------------------------------------------------------------------------------------


def trajectory(frames: int = 6, sites: int = 4, step: float = 0.02, forces: bool = True, seed: int = 1) -> Labels:
    """E = m.A m/2 + r.C r/2 + m.x: a short walk with its exact fields -dE/dm and forces -dE/dr."""
    rng = np.random.default_rng(seed)
    a, c, linear = (
        rng.normal(size=(3 * sites, 3 * sites)),
        rng.normal(size=(3 * sites, 3 * sites)),
        rng.normal(size=3 * sites),
    )
    a, c = a + a.T, c + c.T
    m = rng.normal(size=3 * sites) + step * rng.normal(size=(frames, 3 * sites)).cumsum(axis=0)
    r = rng.normal(size=3 * sites) + forces * step * rng.normal(size=(frames, 3 * sites)).cumsum(axis=0)
    return Labels(
        numbers=np.full(sites, 26),
        pbc=np.zeros(3, dtype=bool),
        positions=r.reshape(frames, sites, 3),
        cells=np.zeros((frames, 3, 3)),
        moments=m.reshape(frames, sites, 3),
        energies=0.5 * np.einsum("ti,ij,tj->t", m, a, m) + 0.5 * np.einsum("ti,ij,tj->t", r, c, r) + m @ linear,
        magnetic_forces=-(m @ a + linear).reshape(frames, sites, 3),
        forces=-(r @ c).reshape(frames, sites, 3) if forces else None,
        kinds=["walk"] * frames,
        units="metal",
    )


def test_energies_that_follow_their_fields_and_forces_have_slopes_of_one() -> None:
    """Quadratic energies: the mean of both ends is exact."""
    slopes = energy_slopes([trajectory(), trajectory(seed=2)])
    assert slopes is not None
    assert slopes.fields == pytest.approx(1.0, rel=1e-9)
    assert slopes.forces == pytest.approx(1.0, rel=1e-9)
    assert slopes.complaint() == ""
    bare = energy_slopes([trajectory(forces=False)])
    assert bare is not None
    assert bare.forces is None


def test_wrong_signs_and_units_show() -> None:
    right = trajectory()
    wrong = replace(right, magnetic_forces=-right.magnetic_forces, forces=right.forces / 13.6057)
    slopes = energy_slopes([wrong])
    assert slopes is not None
    assert slopes.fields == pytest.approx(-1.0, rel=1e-6)
    assert slopes.forces == pytest.approx(13.6057, rel=1e-6)
    assert slopes.complaint() == (
        "energies change by -1 times what the magnetic forces say and energies change by 13.6 times what the forces say"
    )
    assert Slopes(1.9, None, 5).complaint() == ""


def test_frames_that_tell_nothing_are_left_out() -> None:
    """Too few, too far apart, without energies, moved without forces, in another cell, at rest."""
    assert energy_slopes([trajectory(frames=3)]) is None
    assert energy_slopes([replace(trajectory(), energies=np.full(6, np.nan))]) is None
    assert energy_slopes([replace(trajectory(), forces=None)]) is None
    cells = np.arange(6.0)[:, None, None] * np.eye(3)
    assert energy_slopes([replace(trajectory(), cells=cells)]) is None
    still = trajectory(step=0.0)
    assert energy_slopes([still]) is None


@pytest.mark.parametrize("forces", [True, False])
def test_labels_come_back_to_the_last_bit(tmp_path: Path, forces: bool) -> None:
    given = [trajectory(forces=forces), replace(trajectory(frames=2, seed=3, forces=forces), biases=np.array([0.1, -0.2]))]
    told = write_labels(tmp_path / "labels.h5", given, {"teacher": "ed"})
    parts, attributes = read_labels(tmp_path / "labels.h5")
    assert attributes["hash"] == told
    assert attributes["teacher"] == "ed"
    save_part(tmp_path / "part.npz", given[1])
    for one, other in zip([*given, given[1]], [*parts, load_part(tmp_path / "part.npz")], strict=True):
        for name, value in vars(one).items():
            found = getattr(other, name)
            if isinstance(value, np.ndarray):
                np.testing.assert_array_equal(found, value)
            else:
                assert found == value
    assert write_labels(tmp_path / "labels.h5", given, {"teacher": "kpm"}) == told, "the hash is of the data"


def test_labels_that_are_damaged_or_of_others_are_told(tmp_path: Path) -> None:
    path = tmp_path / "labels.h5"
    with pytest.raises(CheckpointError, match="there is no label file"):
        read_labels(path)
    write_labels(path, [trajectory()], {})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(CheckpointError, match="damaged"):
        read_labels(path)
    path.write_text("my notes")
    with pytest.raises(InputError, match=r"labels\.h5"):
        write_labels(path, [trajectory()], {})
    (tmp_path / "part.npz").write_bytes(b"no archive")
    with pytest.raises(CheckpointError, match="are damaged: delete the file to make them again"):
        load_part(tmp_path / "part.npz")


def test_a_label_is_a_magnet_with_results(tmp_path: Path) -> None:
    labels = trajectory()
    atoms = labels.atoms(2)
    assert isinstance(atoms, SpinAtoms)
    assert len(labels) == 6
    np.testing.assert_array_equal(atoms.moments, labels.moments[2])
    assert atoms.get_potential_energy() == labels.energies[2]
    np.testing.assert_array_equal(atoms.get_forces(), labels.forces[2])
    np.testing.assert_array_equal(atoms.arrays["magnetic_forces"], labels.magnetic_forces[2])
    driven = replace(labels, energies=np.full(6, np.nan), forces=None).atoms(0)
    assert driven.calc.results == {}
    write_label_frames([labels], tmp_path / "all.xyz")
    assert len(read(tmp_path / "all.xyz", index=":")) == 6
