"""Labels of MACE and DeepSPIN: no number is lost or made up, and what we export comes back as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spinase.io.labels as labels_module
from spinase.errors import InputError
from spinase.io import Labels, read_labels, write_labels
from spinase.run.convert import export_labels, import_labels

RNG = np.random.default_rng(8)
HEAD = (
    'Lattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3:REF_magmom:R:3:REF_magforces:R:3:REF_forces:R:3 pbc="T T T"'
)
ROWS = [
    ["Fe", "0", "0", "0", "0", "0", "2.2", "0.1", "0", "0", "0.3", "0", "0"],
    ["Fe", "2", "2", "2", "0", "2.1", "0", "0", "0.2", "0", "-0.3", "0", "0"],
]


def extxyz(path: Path, entries: str = "REF_energy=-1.5", row: int = 0, column: int = 0, word: str = "Fe") -> Path:
    """Two good frames and one with a word of its own."""
    text = ""
    for frame in range(3):
        rows = [list(one) for one in ROWS]
        if frame == 2:
            rows[row][column] = word
        told = entries if frame == 2 else "REF_energy=-1.5" if "REF_energy" in entries else entries
        text += f"2\n{HEAD} {told}\n" + "\n".join(" ".join(one) for one in rows) + "\n"
    path.write_text(text)
    return path


@pytest.mark.parametrize("word", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(("column", "told"), [(5, "moments"), (7, "magnetic forces"), (10, "forces"), (2, "positions")])
def test_numbers_of_mace_that_are_not_finite(tmp_path: Path, word: str, column: int, told: str) -> None:
    path = extxyz(tmp_path / "a.extxyz", row=1, column=column, word=word)
    with pytest.raises(InputError, match=rf"frame 2, site 1: {told} not finite \({word}\)"):
        import_labels([path], tmp_path / "a.h5", "mace")


@pytest.mark.parametrize("word", ["nan", "inf"])
def test_energies_of_mace_that_are_not_finite(tmp_path: Path, word: str) -> None:
    with pytest.raises(InputError, match=rf"frame 2: energy not finite \({word}\)"):
        import_labels([extxyz(tmp_path / "a.extxyz", f"REF_energy={word}")], tmp_path / "a.h5", "mace")


def test_the_free_energy_is_the_one_of_the_forces(tmp_path: Path) -> None:
    path = extxyz(tmp_path / "a.extxyz", "energy=-1.0 free_energy=-1.25")
    parts, _ = read_labels(import_labels([path], tmp_path / "a.h5", "mace"))
    assert [part.energies.tolist() for part in parts] == [[-1.25]] * 3
    asked, _ = read_labels(import_labels([path], tmp_path / "b.h5", "mace", {"energy_key": "energy"}))
    assert [part.energies.tolist() for part in asked] == [[-1.0]] * 3
    both = extxyz(tmp_path / "c.extxyz", "energy=-1.0 free_energy=-1.25 REF_energy=-3.0")
    with_own = read_labels(import_labels([both], tmp_path / "c.h5", "mace"))[0]
    assert with_own[2].energies.tolist() == [-3.0]


def labels(frames: int, units: str) -> Labels:
    """A realization of three sites with unit moments."""
    moments = RNG.normal(size=(frames, 3, 3))
    return Labels(
        numbers=np.array([26, 26, 27]),
        pbc=np.ones(3, dtype=bool),
        positions=RNG.random((frames, 3, 3)),
        cells=np.tile(2.0 * np.eye(3), (frames, 1, 1)),
        moments=moments / np.linalg.norm(moments, axis=2, keepdims=True),
        energies=RNG.normal(size=frames),
        magnetic_forces=RNG.normal(size=(frames, 3, 3)),
        forces=RNG.normal(size=(frames, 3, 3)),
        kinds=[("random", "quench", "thermal")[k % 3] for k in range(frames)],
        units=units,
    )


@pytest.mark.parametrize(("name", "units"), [("mace", "reduced"), ("mace", "metal"), ("deepspin", "metal")])
def test_our_own_export_is_read_back(tmp_path: Path, name: str, units: str) -> None:
    """Unit moments are no question, realizations stay together, kinds are kept."""
    parts = [labels(3, units), labels(2, units)]
    write_labels(tmp_path / "a.h5", parts, {"units": units})
    target = tmp_path / ("out.extxyz" if name == "mace" else "out")
    options = {"vectors": "moments"} if name == "deepspin" else {}
    again, _ = read_labels(import_labels([export_labels(tmp_path / "a.h5", target, name)], tmp_path / "b.h5", name, options))
    assert [len(part) for part in again] == [3, 2]
    for one, two in zip(parts, again, strict=True):
        assert two.units == units
        assert two.kinds == one.kinds
        for key in ("positions", "cells", "moments", "energies", "magnetic_forces", "forces"):
            np.testing.assert_allclose(getattr(two, key), getattr(one, key), atol=1e-8)
    single, _ = read_labels(import_labels([target], tmp_path / "c.h5", name, options | {"together": 1}))
    assert [len(part) for part in single] == [1] * 5


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("energy", "frame 1: energy"),
        ("force", "frame 1, site 0: forces"),
        ("box", "frame 1: cell"),
        ("spin", "frame 1, site 0: spins"),
    ],
)
def test_numbers_of_deepspin_that_are_not_finite(tmp_path: Path, file: str, told: str) -> None:
    write_labels(tmp_path / "a.h5", [labels(2, "metal")], {"units": "metal"})
    system = export_labels(tmp_path / "a.h5", tmp_path / "out", "deepspin") / "000000" / "set.000"
    array = np.load(system / f"{file}.npy")
    array.reshape(2, -1)[1, 0] = np.nan
    np.save(system / f"{file}.npy", array)
    with pytest.raises(InputError, match=rf"{told} not finite \(nan\)"):
        import_labels([tmp_path / "out"], tmp_path / "b.h5", "deepspin", {"vectors": "moments"})


def test_kinds_of_another_number_of_frames(tmp_path: Path) -> None:
    write_labels(tmp_path / "a.h5", [labels(2, "metal")], {"units": "metal"})
    system = export_labels(tmp_path / "a.h5", tmp_path / "out", "deepspin") / "000000" / "set.000"
    (system / "spinase_kinds.raw").write_text("random\n")
    with pytest.raises(InputError, match="has 1 lines for 2 frames"):
        import_labels([tmp_path / "out"], tmp_path / "b.h5", "deepspin", {"vectors": "moments"})


def test_damaged_arrays_of_deepspin(tmp_path: Path) -> None:
    """Cut off, of objects, of text, announced with another size or with a header that is no header: one line of ours."""
    write_labels(tmp_path / "a.h5", [labels(2, "metal")], {})
    export_labels(tmp_path / "a.h5", tmp_path / "out", "deepspin")
    place = tmp_path / "out" / "000000" / "set.000" / "spin.npy"
    whole = place.read_bytes()
    objects, text = tmp_path / "objects.npy", tmp_path / "text.npy"
    np.save(objects, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.save(text, np.array("seven"))
    header = whole.replace(b"(2, 9), }", b"(2, 9), (")
    assert header != whole
    for content in (whole[:-8], whole[:60], b"", objects.read_bytes(), text.read_bytes(), whole + b"0", header):
        place.write_bytes(content)
        with pytest.raises(InputError, match=r"spin\.npy is damaged or no array of numbers: ") as caught:
            import_labels([tmp_path / "out"], tmp_path / "b.h5", "deepspin")
        assert "\n" not in str(caught.value)
        assert "pickle" not in str(caught.value)


@pytest.mark.parametrize("name", ["type.raw", "type_map.raw", "set.000/spinase_kinds.raw"])
def test_texts_of_deepspin_that_are_none(tmp_path: Path, name: str) -> None:
    write_labels(tmp_path / "a.h5", [labels(2, "metal")], {})
    export_labels(tmp_path / "a.h5", tmp_path / "out", "deepspin")
    (tmp_path / "out" / "000000" / name).write_bytes(b"0 \xff\xfe")
    with pytest.raises(InputError, match="is no text file"):
        import_labels([tmp_path / "out"], tmp_path / "b.h5", "deepspin")


@pytest.mark.parametrize("word", ["x7", "-1", "9" * 400])
def test_types_of_deepspin_that_are_none(tmp_path: Path, word: str) -> None:
    write_labels(tmp_path / "a.h5", [labels(2, "metal")], {})
    export_labels(tmp_path / "a.h5", tmp_path / "out", "deepspin")
    (tmp_path / "out" / "000000" / "type.raw").write_text(f"0 0 {word}\n")
    with pytest.raises(InputError, match=r"type\.raw: .* is no type of an atom"):
        import_labels([tmp_path / "out"], tmp_path / "b.h5", "deepspin")


def test_files_that_call_chemical_potentials_potentials_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = replace(labels(2, "metal"), electrons=np.array([1.0, 2.0]), chemical_potentials=np.array([-0.5, 0.25]))
    write_labels(tmp_path / "new.h5", [part], {"units": "metal"})
    written = labels_module._arrays

    def formerly(one: Labels) -> dict[str, Any]:
        return {"potentials" if name == "chemical_potentials" else name: array for name, array in written(one).items()}

    with monkeypatch.context() as context:
        context.setattr(labels_module, "_arrays", formerly)
        write_labels(tmp_path / "old.h5", [part], {"units": "metal"})
    for name in ("new", "old"):
        (found,), _ = read_labels(tmp_path / f"{name}.h5")
        np.testing.assert_array_equal(found.chemical_potentials, part.chemical_potentials)


def test_a_system_of_deepspin_without_frames(tmp_path: Path) -> None:
    write_labels(tmp_path / "a.h5", [labels(2, "metal")], {})
    system = export_labels(tmp_path / "a.h5", tmp_path / "out", "deepspin") / "000000"
    (system / "set.000").rename(system / "somewhere")
    with pytest.raises(InputError, match=r"000000 has no set\.\*: nothing to read"):
        import_labels([tmp_path / "out"], tmp_path / "b.h5", "deepspin")
