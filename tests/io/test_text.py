"""Words and numbers of line-oriented files: what is a number, and messages with file, line and column."""

from __future__ import annotations

from pathlib import Path

import pytest

from spinase.errors import InputError
from spinase.io.exchange.text import Line, is_number, lines_of, number, read_text, whole

HERE = Line(Path("jfile"), 7, ("1", "-2", "3.5d-1", "x", "0x10"))


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("1", 1.0),
        ("-1.5", -1.5),
        ("+.5", 0.5),
        ("2.", 2.0),
        ("1e3", 1e3),
        ("1.0d-3", 1e-3),
        ("1D+02", 100.0),
        ("4E0007", 4e7),
    ],
)
def test_numbers_of_fortran_and_others(word: str, value: float) -> None:
    assert is_number(word)
    assert number(word, "here") == value


@pytest.mark.parametrize("word", ["", "nan", "inf", "1_000", "1e", "e5", "1.2.3", "0x10", "1,5", "1e400", "½", "1 2", "--1"])
def test_what_is_no_finite_number(word: str) -> None:
    """Also what Python's float would take."""
    assert not is_number(word)
    with pytest.raises(InputError, match="here: .* is no number"):
        number(word, "here")


@pytest.mark.parametrize("word", ["1.0", "1e2", "", "x", "9" * 19, "1_0"])
def test_what_is_no_whole_number(word: str) -> None:
    assert whole("-012", "here") == -12
    with pytest.raises(InputError, match="here: .* is no whole number"):
        whole(word, "here")


def test_columns_are_counted_from_one_in_messages() -> None:
    assert HERE.reals(0, 3) == [1.0, -2.0, 0.35]
    assert HERE.wholes(0, 2) == [1, -2]
    assert str(HERE) == "jfile, line 7"
    with pytest.raises(InputError, match="jfile, line 7, column 4: 'x' is no number"):
        HERE.reals(1, 4)
    with pytest.raises(InputError, match="jfile, line 7, column 3: '3.5d-1' is no whole number"):
        HERE.wholes(0, 3)
    with pytest.raises(InputError, match="jfile, line 7 has 5 columns, 9 are needed: '1 -2 3.5d-1 x 0x10'"):
        HERE.reals(0, 9)


def test_comments_and_empty_lines_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "posfile"
    path.write_text("# head\n\n1 2 ! rest\n  % all\n\t3\n4#5\n", encoding="utf-8")
    assert [(line.number, line.words) for line in lines_of(path)] == [(3, ("1", "2")), (5, ("3",)), (6, ("4",))]
    assert next(iter(lines_of(path, "!"))).words == ("#", "head")


def test_files_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read .*nothing: No such file"):
        read_text(tmp_path / "nothing")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="bytes' is no text file"):
        read_text(tmp_path / "bytes")
    with pytest.raises(InputError, match="is no text file"):
        read_text(Path("a\0b"))
