"""Exchange of TB2J: ``Multibinit/exchange.xml`` and ``exchange.out``."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import ase.data
import ase.units
import numpy as np
from ase import Atoms

from spinase.classical import BondTable
from spinase.errors import InputError
from spinase.io.exchange.bonds import DirectedBonds, bond_table, odd_tensor
from spinase.io.exchange.tb2j_text import read_text_table
from spinase.io.exchange.text import number, whole
from spinase.typing import FloatArray

_BONDS = {"exchange": 3, "DMI": 3, "bilinear": 9}
_KNOWN = {"unit_cell", "atom", "description", "spin_uniaxial_SIA_list", "spin_sia_tensor_list"} | {
    f"spin_{kind}_list" for kind in _BONDS
}


def read_tb2j(path: str | Path) -> tuple[BondTable, Atoms]:
    """Read TB2J's ``Multibinit/exchange.xml`` or ``exchange.out``.

    TB2J writes E = -sum_{i != j} [J s_i.s_j + s_i.J_ani s_j + D.(s_i x s_j)] - sum K (s.n)^2 for unit spins: eV with six
    digits into the xml, without single-ion anisotropies (TB2J 0.9.22), and meV with them into ``exchange.out``, with four
    decimals of J and D and three of J_ani.

    Parameters
    ----------
    path : path
        The file; a name that ends with ``.out`` is text.

    Returns
    -------
    BondTable, Atoms
        Couplings in the convention of the table, and the magnetic sites with their moments (mu_B).  Species of the xml are
        those with the nearest atomic mass.

    Raises
    ------
    InputError
        If the file cannot be read or is no such file, has an element or a unit that is not understood, another number of
        terms than it announces, or a bond that is listed twice or in one direction only.
    """
    if Path(path).suffix == ".out":
        return read_text_table(Path(path))
    root = _root(path)
    cell = _floats(root.find("unit_cell"), path, 9, "bohrradius").reshape(3, 3) * ase.units.Bohr
    sites = _magnetic(root, path)
    positions = np.array([_floats(atom.find("position"), path, 3, "bohrradius") for atom in sites]).reshape(-1, 3)
    moments = np.array([_floats(atom.find("spinat"), path, 3) for atom in sites]).reshape(-1, 3)
    symbols = [_by_mass(number(atom.get("mass", ""), f"{path}: mass of an atom")) for atom in sites]
    atoms = Atoms(symbols, positions=positions * ase.units.Bohr, cell=cell, pbc=True, magmoms=moments)
    keys, tensors = [], []
    for kind in _BONDS:
        bonds = _bonds(root, kind, path)
        keys += list(bonds)
        tensors += list(bonds.values())
    listed = DirectedBonds.of(keys, tensors, np.zeros(len(keys)))
    return bond_table(path, atoms, listed, 1.0, _onsite(root, path, len(sites))), atoms


def _root(path: str | Path) -> ET.Element:
    """The document, once its elements are known to be understood."""
    try:
        root = ET.parse(path).getroot()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except ET.ParseError as error:
        raise InputError(f"cannot read {path} as TB2J's exchange.xml: {error}") from None
    if root.tag != "System_definition" or root.find("unit_cell") is None:
        raise InputError(f"{path} is no exchange.xml of TB2J: it begins with <{root.tag}>")
    for child in root:
        if child.tag not in _KNOWN:
            raise InputError(f"{path}: <{child.tag}> is not understood; known: {', '.join(sorted(_KNOWN))}")
        if child.get("units") not in (None, "eV", "bohrradius"):
            raise InputError(f"{path}: <{child.tag}> is in {child.get('units')!r}: eV and bohrradius are understood")
    return root


def _magnetic(root: ET.Element, path: str | Path) -> list[ET.Element]:
    """Atoms with a spin, in the order of their spins."""
    numbered = [(whole(atom.get("index_spin", "-1").strip(), f"{path}: index_spin"), atom) for atom in root.findall("atom")]
    found = sorted((pair for pair in numbered if pair[0] > 0), key=lambda pair: pair[0])
    if [k for k, _ in found] != list(range(1, len(found) + 1)) or not found:
        raise InputError(f"{path}: the spins are numbered {[k for k, _ in found]}: 1, 2, ..., each once, is needed")
    return [atom for _, atom in found]


def _terms(root: ET.Element, kind: str, path: str | Path) -> list[ET.Element]:
    """Terms of all lists of a kind, as many as announced."""
    out: list[ET.Element] = []
    for listing in root.findall(f"spin_{kind}_list"):
        terms = listing.findall(f"spin_{kind}_term")
        other = sorted({child.tag for child in listing} - {f"spin_{kind}_term", "nterms"})
        if other:
            raise InputError(f"{path}: <{other[0]}> in <{listing.tag}> is not understood")
        announced = listing.find("nterms")
        if announced is not None and whole((announced.text or "").strip(), f"{path}: nterms of {listing.tag}") != len(terms):
            raise InputError(
                f"{path}: {(announced.text or '').strip()} terms are announced in {listing.tag}, there are {len(terms)}"
            )
        out += terms
    return out


def _bonds(root: ET.Element, kind: str, path: str | Path) -> dict[tuple[int, ...], FloatArray]:
    """Tensors (eV) by bond (i, j, x, y, z) of one kind of term."""
    found: dict[tuple[int, ...], FloatArray] = {}
    for term in _terms(root, kind, path):
        i, j, *shift = (whole(word, f"{path}: ijR of {term.tag}") for word in _words(term.find("ijR"), path, 5))
        key = (i - 1, j - 1, *shift)
        if key in found:
            raise InputError(f"{path}: the bond {i} -> {j} in cell {tuple(shift)} is listed twice in spin_{kind}_list")
        data = _floats(term.find("data"), path, _BONDS[kind])
        found[key] = data.reshape(3, 3) if kind == "bilinear" else odd_tensor(data) if kind == "DMI" else np.diag(data)
    return found


def _onsite(root: ET.Element, path: str | Path, count: int) -> FloatArray:
    """Single-ion anisotropies Q (n, 3, 3), eV: uniaxial ones and tensors."""
    onsite = np.zeros((count, 3, 3))
    for kind in ("uniaxial_SIA", "sia_tensor"):
        for term in _terms(root, kind, path):
            site = whole(_words(term.find("i"), path, 1)[0], f"{path}: i of {term.tag}")
            if not 1 <= site <= count:
                raise InputError(f"{path}: {term.tag} is of spin {site}, there are {count}")
            if kind == "sia_tensor":
                tensor = _floats(term.find("data"), path, 9).reshape(3, 3)
                onsite[site - 1] += 0.5 * (tensor + tensor.T)
                continue
            axis, strength = _floats(term.find("direction"), path, 3), _floats(term.find("amplitude"), path, 1)[0]
            if strength and not axis.any():
                raise InputError(f"{path}: the anisotropy of spin {site} has no direction")
            onsite[site - 1] += strength * np.outer(axis, axis) / max(axis @ axis, 1e-300)
    return onsite


def _words(element: ET.Element | None, path: str | Path, count: int) -> list[str]:
    words = [] if element is None else (element.text or "").split()
    if len(words) != count:
        raise InputError(
            f"{path}: {count} numbers are needed in <{element.tag if element is not None else '?'}>, got {words}"
        )
    return words


def _floats(element: ET.Element | None, path: str | Path, count: int, unit: str | None = None) -> FloatArray:
    words = _words(element, path, count)
    assert element is not None
    if unit is not None and element.get("units", unit) != unit:
        raise InputError(f"{path}: <{element.tag}> is in {element.get('units')!r}, {unit!r} is understood")
    return np.array([number(word, f"{path}: <{element.tag}>") for word in words])


def _by_mass(mass: float) -> str:
    """Symbol of the element with the nearest atomic mass."""
    return str(ase.data.chemical_symbols[int(np.nanargmin(np.abs(ase.data.atomic_masses - mass)))])


__all__ = ["read_tb2j"]
