"""Exchange of TB2J: ``Multibinit/exchange.xml``."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path

import ase.data
import ase.units
import numpy as np
from ase import Atoms

from spinase.classical import BondTable
from spinase.errors import InputError
from spinase.io.exchange.bonds import Entry, FloatArray, bond_table, odd_tensor


def read_tb2j(path: str | Path) -> tuple[BondTable, Atoms]:
    """Read TB2J's ``Multibinit/exchange.xml``.

    TB2J writes E = -sum_{i != j} [J s_i.s_j + s_i.J_ani s_j + D.(s_i x s_j)] - sum K (s.n)^2 for unit spins, eV.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    BondTable, Atoms
        Couplings in the convention of the table, and the magnetic sites with their moments (mu_B).  Species are those with
        the nearest atomic mass.

    Raises
    ------
    InputError
        If the file cannot be read or is no such file.
    """
    try:
        root = ET.parse(path).getroot()
    except (OSError, ET.ParseError) as error:
        raise InputError(f"cannot read {path} as TB2J's exchange.xml: {error}") from None
    if root.tag != "System_definition" or root.find("unit_cell") is None:
        raise InputError(f"{path} is no exchange.xml of TB2J: it begins with <{root.tag}>")
    cell = _xml_floats(root.find("unit_cell"), path, 9).reshape(3, 3) * ase.units.Bohr
    sites = [atom for atom in root.findall("atom") if int(atom.get("index_spin", "-1")) > 0]
    sites.sort(key=lambda atom: int(atom.get("index_spin", "0")))
    positions = np.array([_xml_floats(atom.find("position"), path, 3) for atom in sites]).reshape(-1, 3) * ase.units.Bohr
    moments = np.array([_xml_floats(atom.find("spinat"), path, 3) for atom in sites]).reshape(-1, 3)
    entries: dict[Entry, FloatArray] = defaultdict(lambda: np.zeros((3, 3)))
    for kind in ("exchange", "DMI", "bilinear"):
        for term in root.iterfind(f"spin_{kind}_list/spin_{kind}_term"):
            i, j, *shift = (int(x) for x in _xml_floats(term.find("ijR"), path, 5))
            data = _xml_floats(term.find("data"), path, 9 if kind == "bilinear" else 3)
            tensor = data.reshape(3, 3) if kind == "bilinear" else odd_tensor(data) if kind == "DMI" else np.diag(data)
            entries[i - 1, j - 1, (shift[0], shift[1], shift[2])] += tensor
    onsite = np.zeros((len(sites), 3, 3))
    for term in root.iterfind("spin_uniaxial_SIA_list/spin_uniaxial_SIA_term"):
        axis = _xml_floats(term.find("direction"), path, 3)
        i = int(_xml_floats(term.find("i"), path, 1)[0]) - 1
        onsite[i] += _xml_floats(term.find("amplitude"), path, 1)[0] * np.outer(axis, axis) / (axis @ axis)
    atoms = Atoms(
        [_by_mass(float(atom.get("mass", "0"))) for atom in sites], positions=positions, cell=cell, pbc=True, magmoms=moments
    )
    return bond_table(atoms, entries, onsite, 1.0, path), atoms


def _xml_floats(element: ET.Element | None, path: str | Path, count: int) -> FloatArray:
    words = [] if element is None else (element.text or "").split()
    try:
        values = np.array([float(word) for word in words])
    except ValueError as error:
        raise InputError(f"{path}: {error} in <{element.tag if element is not None else '?'}>") from None
    if len(values) != count:
        raise InputError(
            f"{path}: {count} numbers are needed in <{element.tag if element is not None else '?'}>, got {words}"
        )
    return values


def _by_mass(mass: float) -> str:
    """Symbol of the element with the nearest atomic mass."""
    return str(ase.data.chemical_symbols[int(np.nanargmin(np.abs(ase.data.atomic_masses - mass)))])
