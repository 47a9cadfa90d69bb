"""What readers of HDF5 files share: checksums, files whose writer was killed, arrays and attributes that are not trusted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from spinase.io import hdf5
from spinase.io.hdf5 import (
    DamageError,
    attributes_digest,
    frame_digest,
    get_item,
    lookup3,
    open_to_read,
    read_array,
    read_attribute,
    require_stored,
    static_digest,
    write_attributes,
)


@pytest.fixture
def file() -> Iterator[h5py.File]:
    """In memory."""
    with h5py.File("any", "w", driver="core", backing_store=False, libver="latest") as made:
        yield made


@pytest.mark.parametrize(
    ("text", "value"), [(b"", 0xDEADBEEF), (b"Four score and seven years ago", 0x17770551)]
)  # fmt: skip
def test_the_checksum_is_jenkins_lookup3(text: bytes, value: int) -> None:
    """Values of the test in his source, public domain."""
    assert lookup3(text) == value


def test_every_length_has_its_own_checksum() -> None:
    found = {lookup3(b"a" * count) for count in range(40)}
    assert len(found) == 40
    assert lookup3(bytes([1, *[0] * 20])) != lookup3(bytes([*[0] * 20, 1]))


def marked(path: Path) -> bytes:
    """A file as a writer in single-writer mode leaves it when it is killed."""
    with h5py.File(path, "w", libver="latest") as made:
        made["numbers"] = np.arange(5.0)
    content = bytearray(path.read_bytes())
    assert content[8] == 3
    content[11] |= 5
    content[44:48] = lookup3(bytes(content[:44])).to_bytes(4, "little")
    return bytes(content)


def test_a_file_of_a_killed_writer_is_read_as_any_other(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    path.write_bytes(marked(path))
    with pytest.raises(OSError, match="open for write"):
        h5py.File(path, "r")
    with open_to_read(path) as found:
        np.testing.assert_array_equal(found["numbers"], np.arange(5.0))
    with h5py.File(tmp_path / "plain.h5", "w") as plain:
        plain["numbers"] = np.arange(3.0)
    with open_to_read(tmp_path / "plain.h5") as found:
        assert len(found["numbers"]) == 3


def test_a_cut_file_says_that_it_is_short(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    path.write_bytes(marked(path)[:-20])
    with pytest.raises(DamageError, match="it was cut off: it is shorter than it says"):
        open_to_read(path)


def test_a_damaged_head_stays_damaged(tmp_path: Path) -> None:
    """The mark is taken out, a wrong checksum is not made right."""
    path = tmp_path / "run.h5"
    content = bytearray(marked(path))
    content[44] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(OSError, match="checksum"):
        open_to_read(path)
    path.write_bytes(b"text")
    with pytest.raises(OSError, match="signature"):
        open_to_read(path)


def test_arrays_are_looked_at_before_memory_is_taken(file: h5py.File) -> None:
    file["numbers"] = np.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(read_array(file["numbers"], "f"), np.arange(6.0).reshape(3, 2))
    np.testing.assert_array_equal(read_array(file["numbers"], "f", 2), np.arange(4.0).reshape(2, 2))
    file["swapped"] = np.arange(3, dtype=">f8")
    file.create_dataset("huge", shape=(10**12,), dtype="f8", chunks=(1000,))
    file["nothing"] = h5py.Empty("f8")
    layout = h5py.VirtualLayout(shape=(3,), dtype="f8")
    layout[:] = h5py.VirtualSource("elsewhere.h5", "x", shape=(3,))
    file.create_virtual_dataset("away", layout)
    for name, kinds, message in (
        ("numbers", "iu", "/numbers is not of the right type .float64."),
        ("swapped", "f", "/swapped is not of the right type"),
        ("huge", "f", r"/huge is announced with \(1000000000000,\) numbers, which the file does not hold"),
        ("nothing", "f", "an array is missing"),
        ("away", "f", "/away lies in other files"),
        ("/", "f", "an array is missing"),
    ):
        with pytest.raises(DamageError, match=message):
            read_array(file[name], kinds)


def test_what_is_not_there_is_named(file: h5py.File) -> None:
    file["numbers"] = np.zeros(2)
    assert get_item(file, "numbers").shape == (2,)
    file["broken"] = h5py.SoftLink("/nowhere")
    for path in ("none", "broken", "numbers/inside"):
        with pytest.raises(DamageError, match=f"{path} is missing or cannot be read"):
            get_item(file, path)


def test_rows_beyond_the_end_of_a_file_are_not_zeros(tmp_path: Path) -> None:
    """HDF5 gives zeros for chunks that a cut file has lost."""
    path = tmp_path / "stream.h5"
    with h5py.File(path, "w", libver="latest") as made:
        made.create_dataset("values", data=np.ones((10, 3)), chunks=(4, 3), maxshape=(None, 3))
        made["whole"] = np.ones(3)
        made.create_dataset("split", data=np.ones((4, 4)), chunks=(2, 2))
    size = path.stat().st_size
    with h5py.File(path, "r") as found:
        require_stored(found["values"], 10, size)
        require_stored(found["values"], 0, 0)
        with pytest.raises(DamageError, match="/values: 10 rows are announced, but the file ends before the last"):
            require_stored(found["values"], 10, size // 2)
        with pytest.raises(DamageError, match="/values: 13 rows are announced"):
            require_stored(found["values"], 13, size)
        with pytest.raises(DamageError, match="a series is missing or no series"):
            require_stored(found["whole"], 3, size)
        with pytest.raises(DamageError, match="/split is laid out as spinase does not do it"):
            require_stored(found["split"], 4, size)


@pytest.mark.parametrize("value", ["text", "", "grün", ["one", "longer"], 3, 2.5, True])
def test_attributes_come_back(file: h5py.File, value: object) -> None:
    """Texts of fixed length, whose bytes HDF5's checksums cover."""
    write_attributes(file, {"told": value})
    assert read_attribute(file, "told") == value
    assert not file.attrs.get_id("told").dtype.hasobject


def test_attributes_of_others_are_not_read(file: h5py.File) -> None:
    file.attrs["variable"] = "a text in the heap"
    with pytest.raises(DamageError, match="the attribute variable is of a kind that spinase does not write"):
        read_attribute(file, "variable")
    with pytest.raises(DamageError, match="the attribute none is missing"):
        read_attribute(file, "none")


def test_the_digest_of_attributes_sees_every_change(file: h5py.File) -> None:
    """A value, a name, a place, another object; but not those that are left out, nor arrays."""
    write_attributes(file, {"a": "1", "left": "x"})
    write_attributes(file.create_group("inner"), {"b": ["x", "y"]})
    seen = [attributes_digest(file, but=("left",))]
    for item, change in (
        (file, {"a": "2"}),
        (file, {"c": "1"}),
        (file["inner"], {"b": ["xy"]}),
        (file["inner"], {"b": [1, 2]}),
    ):
        write_attributes(item, change)
        seen.append(attributes_digest(file, but=("left",)))
    assert len(set(seen)) == 5
    write_attributes(file, {"left": "y"})
    assert attributes_digest(file, but=("left",)) == seen[-1]
    assert attributes_digest(file) != seen[-1]


def test_the_digest_of_a_frame_is_of_its_clock_and_its_numbers() -> None:
    rows = {"moment": np.arange(6.0), "position": np.ones(3)}
    one = frame_digest(3, 0.5, rows)
    assert one == frame_digest(3, 0.5, dict(reversed(rows.items())))
    assert -(2**63) <= one < 2**63
    others = [
        (4, 0.5, rows),
        (3, 0.25, rows),
        (3, 0.5, {**rows, "position": np.ones(3) + 1e-15}),
        (3, 0.5, {"moment": rows["moment"]}),
    ]
    assert len({one, *(frame_digest(*other) for other in others)}) == 5


def test_the_digest_of_arrays_is_of_names_shapes_and_numbers() -> None:
    arrays = {"a": np.arange(6.0), "b": np.zeros(2)}
    told = {static_digest(arrays), static_digest({"a": np.arange(6.0).reshape(2, 3), "b": np.zeros(2)})}
    told |= {static_digest({"c": np.arange(6.0), "b": np.zeros(2)}), static_digest({"a": np.arange(6), "b": np.zeros(2)})}
    assert len(told) == 4
    assert static_digest(arrays) in told
    assert hdf5.static_digest(dict(reversed(arrays.items()))) == static_digest(arrays)
