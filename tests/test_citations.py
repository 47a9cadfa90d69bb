"""Citations: texts of sources that are not imported, references with their links, BibTeX."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from spinase.citations import Reference, bibtex, declared_citation, references_in
from spinase.styles import list_styles


def test_references_have_their_numbers_and_links() -> None:
    text = (
        "K. Barros, Y. Kato, Phys. Rev. B 88, 235101 (2013), doi:10.1103/PhysRevB.88.235101, arXiv:1303.1101; "
        "model: Y. Lee, arXiv:2306.06342 (bars); B. Berg, Nucl. Phys. (1981), doi:10.1016/0550-3213(81)90568-X; Book (1999)"
    )
    kato, lee, berg, book = references_in(text)
    assert (kato.doi, kato.arxiv) == ("10.1103/PhysRevB.88.235101", "1303.1101")
    assert kato.link == "https://doi.org/10.1103/PhysRevB.88.235101"
    assert lee == Reference("model: Y. Lee, arXiv:2306.06342 (bars)", "", "2306.06342")
    assert lee.link == "https://arxiv.org/abs/2306.06342"
    assert berg.doi == "10.1016/0550-3213(81)90568-X", "parentheses belong to old numbers"
    assert book.link == ""
    assert references_in("") == []


def test_bibtex_has_one_key_for_each() -> None:
    text = "A. M\u00fcller (2001), doi:10.1000/x; A. Mueller (2001); arXiv:2112.12124; M\u00fcller, Acta (Paris) 3 (2001)"
    entries = bibtex(references_in(text))
    keys = [line.removeprefix("@misc{").rstrip(",") for line in entries.splitlines() if line.startswith("@")]
    assert keys == ["muller2001", "mueller2001", "arxiv211212124", "muller2001a"]
    assert "  note = {A. M\u00fcller (2001)},\n  doi = {10.1000/x}\n}" in entries
    assert "  eprint = {2112.12124},\n  archiveprefix = {arXiv}" in entries


def test_numbers_of_built_in_styles_are_well_formed() -> None:
    for style in list_styles():
        for reference in references_in(declared_citation(style.target)):
            assert ("doi:" in reference.text) == bool(reference.doi), reference
            assert ("arXiv:" in reference.text) == bool(reference.arxiv), reference


@pytest.mark.parametrize(
    ("source", "citation"),
    [
        ("class A:\n    citation = 'one'\n", "one"),
        ("class A(B[int]):\n    'citation = no'\n\n    citation: str = (\n        'o'\n        'ne'\n    )\n", "one"),
        ("class A:\n    x = 1\nclass B:\n    citation = 'other'\n", ""),
        ("class A:\n    citation = other\n", ""),
        ("class A:\n    citation = f'{x}'\n", ""),
        ("class A:\n    citation = 7\n", ""),
        ("class AB:\n    citation = 'other'\n", ""),
        ("citation = 'other'\n\ndef A(): ...\n", ""),
        ("class A:\n    def citation(self): return 'x'\n", ""),
    ],
)
def test_texts_are_read_from_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, citation: str) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / tmp_path.name  # sources that were read are remembered by the name of their module
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('must not be imported')\n")
    (package / "inner.py").write_text(source)
    assert declared_citation(f"{package.name}.inner:A") == citation
    assert package.name not in sys.modules


@pytest.mark.parametrize("target", ["no_such_package.x:A", "sys:A", "spinase.nothing:A", "spinase:SpinAtoms", ":A", "a b:C"])
def test_without_a_source_there_is_no_text(target: str) -> None:
    assert declared_citation(target) == ""
