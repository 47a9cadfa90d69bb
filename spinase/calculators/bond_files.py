"""Exchange tensors from other codes: TB2J's exchange.xml, UppASD's jfile and Vampire's unit cell file.

Each reader ends in one convention (:class:`~spinase.classical.BondTable`): unit spins, each pair once, eV, -s_i.J_ij s_j.

=========  =======================  ==================  ========================================================
code       energy of its entries    unit                pair energy here
=========  =======================  ==================  ========================================================
TB2J       -sum_{i != j} (twice)    eV                  J(i,j) + J(j,i)^T of the file, that is twice its J
UppASD     -sum_{i != j} (twice)    mRy                 likewise
Vampire    -sum_{i < j} (once)      J                   half of J(i,j) + J(j,i)^T: its J (both directions are listed)
=========  =======================  ==================  ========================================================

In TB2J D stands for -D.(s_i x s_j), and so says UppASD's manual; but the field routine of most versions of UppASD has the
other sign, so :func:`read_uppasd` lets you choose.  Vampire has D in the tensor.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterator
from itertools import permutations, product
from pathlib import Path
from typing import Literal

import ase.data
import ase.units
import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from spinase.calculators.base import SpinCalculator
from spinase.calculators.classical import TermCalculator
from spinase.calculators.options import OptionTable
from spinase.classical import Bilinear, BondTable
from spinase.errors import InputError

FloatArray = NDArray[np.float64]
Entry = tuple[int, int, tuple[int, int, int]]
_MILLIRYDBERG = 1e-3 * ase.units.Ry
_ALL = SpinCalculator.symmetries


class BondFileConfig(OptionTable):
    """Exchange tensors from a file of another code."""

    file: str = Field(
        description="TB2J's exchange.xml, UppASD's inpsd.dat or Vampire's unit cell file, from the current directory"
    )
    format: Literal["tb2j", "uppasd", "vampire"] = Field(description="which code wrote it")
    tolerance: float = Field(0.05, gt=0, description="how far a site may be from where the file has it [Angstrom]")


class BondTableCalculator(TermCalculator):
    """Couplings listed bond by bond (exchange tensors from first principles), on their cell or any repetition of it.

    E = -sum_{pairs} s_i.J_ij s_j - sum_i s_i.Q_i s_i, each pair once.  Files: :func:`read_tb2j`, :func:`read_uppasd`,
    :func:`read_vampire`.

    Parameters
    ----------
    table : BondTable
        The couplings.
    tolerance : float
        How far a site may be from where the table has it, length.
    units : str, optional
        Unit system of the table; what the readers give is in metal units.
    """

    Config = BondFileConfig
    citation = "A. I. Liechtenstein et al., J. Magn. Magn. Mater. 67, 65 (1987)"

    def __init__(self, table: BondTable, tolerance: float = 0.05, *, units: str | None = None) -> None:
        super().__init__(Bilinear(table, tolerance), units=units)
        scale = 1e-12 * max(float(np.abs(table.tensors).max(initial=0.0)), 1e-300)
        parts = (table.dmi(), table.symmetric(), table.onsite)
        isotropic = all(np.abs(part).max(initial=0.0) <= scale for part in parts)
        # The table belongs to the axes of its cell: lattices turned or moved against it are refused.
        fixed = {"lattice_rotation", "joint_rotation", "translation"}
        self.symmetries = _ALL - (fixed if isotropic else fixed | {"spin_rotation"})

    @classmethod
    def from_config(cls, config: BondFileConfig) -> BondTableCalculator:
        """Calculator from the table of an input file."""
        readers = {"tb2j": read_tb2j, "uppasd": read_uppasd, "vampire": read_vampire}
        table, _ = readers[config.format](config.file)
        return cls(table, config.tolerance, units="metal")


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
            tensor = data.reshape(3, 3) if kind == "bilinear" else _odd(data) if kind == "DMI" else np.diag(data)
            entries[i - 1, j - 1, (shift[0], shift[1], shift[2])] += tensor
    onsite = np.zeros((len(sites), 3, 3))
    for term in root.iterfind("spin_uniaxial_SIA_list/spin_uniaxial_SIA_term"):
        axis = _xml_floats(term.find("direction"), path, 3)
        i = int(_xml_floats(term.find("i"), path, 1)[0]) - 1
        onsite[i] += _xml_floats(term.find("amplitude"), path, 1)[0] * np.outer(axis, axis) / (axis @ axis)
    atoms = Atoms(
        [_by_mass(float(atom.get("mass", "0"))) for atom in sites], positions=positions, cell=cell, pbc=True, magmoms=moments
    )
    return _table(atoms, entries, onsite, 1.0, path), atoms


def read_uppasd(path: str | Path, dmi_sign: int = -1) -> tuple[BondTable, Atoms]:
    """Read UppASD's ``inpsd.dat`` with the files it names: posfile, exchange (the jfile), momfile, dm.

    UppASD writes E = -sum_{i != j} J e_i.e_j for unit spins, mRy.  Understood: ``cell``, ``posfile``, ``posfiletype``,
    ``maptype`` 1 (vectors) and 2 (cells), ``sym`` 0, 1 (cubic) and 2 (square), ``alat`` (m).

    Parameters
    ----------
    path : path
        The input file.
    dmi_sign : int
        Sign of sum_{i != j} D.(e_i x e_j) in the energy: -1 as in UppASD's manual, +1 as in the field routine of most of its
        versions.  Compare the energy of a spiral with your version's.

    Returns
    -------
    BondTable, Atoms
        Couplings in the convention of the table, and the sites (as iron, with the moments of the momfile, else 1 mu_B).
        Without ``alat``, lengths are in lattice constants.

    Raises
    ------
    InputError
        If a file is missing, has a wrong line, lists a bond in one direction only, or uses what is not understood.
    """
    source = Path(path)
    if dmi_sign not in (-1, 1):
        raise InputError(f"dmi_sign must be -1 or 1, got {dmi_sign!r}")
    options = _uppasd_options(source)
    try:
        scale = _number(options.get("alat", ["1e-10"])[0]) * 1e10
        cell = np.array([_number(x) for x in options["cell"]]).reshape(3, 3)
        direct = options.get("posfiletype", ["C"])[0].upper() == "D"
        maptype, sym = int(options.get("maptype", ["1"])[0]), int(options.get("sym", ["0"])[0])
        if maptype not in (1, 2) or sym not in (0, 1, 2):
            raise InputError(f"{source}: maptype 1 or 2 and sym 0, 1 or 2 are understood, got maptype {maptype}, sym {sym}")
        kinds, positions, moments = _uppasd_sites(source, options, cell, direct)
        finder = _BondFinder(positions, cell, kinds, direct, maptype)
        entries = _uppasd_bonds(source, options, finder, sym, -dmi_sign)
    except (ValueError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{source}, or a file it names, has a wrong line: {error}") from None
    _require_opposites(source, entries)
    atoms = Atoms("Fe" * len(kinds), positions=scale * positions, cell=scale * cell, pbc=True)
    atoms.set_initial_magnetic_moments(moments[:, None] * np.array([0.0, 0.0, 1.0]))
    return _table(atoms, entries, np.zeros((len(kinds), 3, 3)), 1.0, source), atoms


def _uppasd_sites(
    source: Path, options: dict[str, list[str]], cell: FloatArray, direct: bool
) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    """Types, positions (lattice constants) and lengths of the moments."""
    rows = list(_rows(source.parent / options["posfile"][0]))
    places = np.array([[_number(x) for x in row[2:5]] for row in rows]).reshape(len(rows), 3)
    moments = np.ones(len(rows))
    if "momfile" in options:
        for row in _rows(source.parent / options["momfile"][0]):
            if not 1 <= int(row[0]) <= len(rows):
                raise InputError(f"{source}: the momfile has a site {row[0]}, the posfile {len(rows)} sites")
            moments[int(row[0]) - 1] = _number(row[2])
    return np.array([int(row[1]) for row in rows]), places @ cell if direct else places, moments


def _uppasd_bonds(
    source: Path, options: dict[str, list[str]], finder: _BondFinder, sym: int, dmi_weight: int
) -> dict[Entry, FloatArray]:
    """Tensors (eV) of all listed bonds."""
    entries: dict[Entry, FloatArray] = defaultdict(lambda: np.zeros((3, 3)))
    for key, operations, needed in (("exchange", _operations(sym), 6), ("dm", _operations(0), 8)):
        for number, row in enumerate(_rows(source.parent / options[key][0]) if key in options else ()):
            if len(row) < needed and number == 0:
                continue  # a head line with counts
            values = np.array([_number(x) for x in row[5:needed]])
            if len(values) < needed - 5:
                raise InputError(
                    f"{source}: line {number + 1} of the {key} file has {len(row)} entries, {needed} are needed"
                )
            tensor = values[0] * np.eye(3) if key == "exchange" else dmi_weight * _odd(values)
            found = 0
            for bond in finder.bonds(int(row[0]), int(row[1]), np.array([_number(x) for x in row[2:5]]), operations):
                entries[bond] = entries[bond] + tensor * _MILLIRYDBERG
                found += 1
            if not found:
                raise InputError(f"{source}: line {number + 1} of the {key} file, {' '.join(row)}, joins no two sites")
    return entries


def _number(word: str) -> float:
    """A number, also with a Fortran exponent."""
    return float(word.lower().replace("d", "e"))


def _require_opposites(source: Path, entries: dict[Entry, FloatArray]) -> None:
    for i, j, (x, y, z) in entries:
        if (j, i, (-x, -y, -z)) not in entries:
            raise InputError(
                f"{source}: the bond {i + 1} -> {j + 1} at {x, y, z} has no opposite: both directions are needed"
            )


def read_vampire(path: str | Path) -> tuple[BondTable, Atoms]:
    """Read Vampire's unit cell file (UCF).

    Vampire's field is sum_j J_ij s_j over all listed entries: each pair has the energy -s_i.J_ij s_j once, J.  The exchange
    may be isotropic, vectorial or tensorial (also by the old numbers 0, 1, 2); normalised kinds need the material file and
    are refused.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    BondTable, Atoms
        Couplings in the convention of the table, and the sites (as iron with 1 mu_B: moments are in the material file).

    Raises
    ------
    InputError
        If the file cannot be read, or a bond is not listed in both directions.
    """
    source = Path(path)
    rows = _rows(source)
    try:
        size = np.array([float(x) for x in next(rows)[:3]])
        cell = size[:, None] * np.array([[float(x) for x in next(rows)[:3]] for _ in range(3)])
        count = int(next(rows)[0])
        sites = np.array([[float(x) for x in next(rows)[1:4]] for _ in range(count)])
        head = next(rows)
        number, kind = int(head[0]), head[1] if len(head) > 1 else "isotropic"
        length = {"isotropic": 1, "0": 1, "vectorial": 3, "1": 3, "tensorial": 9, "2": 9}.get(kind)
        if length is None:
            raise InputError(f"{source}: exchange of kind {kind!r} is not understood (isotropic, vectorial, tensorial)")
        entries: dict[Entry, FloatArray] = defaultdict(lambda: np.zeros((3, 3)))
        for _ in range(number):
            row = next(rows)
            i, j, x, y, z = (int(v) for v in row[1:6])
            values = np.array([float(v) for v in row[6 : 6 + length]]) / ase.units._e
            entries[i, j, (x, y, z)] += values.reshape(3, 3) if length == 9 else np.diag(np.broadcast_to(values, 3))
    except (ValueError, IndexError, StopIteration) as error:
        raise InputError(f"{source} is no unit cell file of Vampire: {error or 'it ends too early'}") from None
    _require_opposites(source, entries)
    atoms = Atoms("Fe" * count, scaled_positions=sites, cell=cell, pbc=True, magmoms=np.tile([0.0, 0.0, 1.0], (count, 1)))
    return _table(atoms, entries, np.zeros((count, 3, 3)), 0.5, source), atoms


def _table(atoms: Atoms, entries: dict[Entry, FloatArray], onsite: FloatArray, weight: float, path: str | Path) -> BondTable:
    """Each pair once: weight (J(i, j) + J(j, i)^T)."""
    pairs: dict[Entry, FloatArray] = {}
    for (i, j, shift), tensor in entries.items():
        if not (0 <= i < len(atoms) and 0 <= j < len(atoms)) or (i == j and not any(shift)):
            raise InputError(f"{path}: the bond {i + 1} -> {j + 1} at {shift} joins no two of the {len(atoms)} sites")
        back = (j, i, (-shift[0], -shift[1], -shift[2]))
        if (i, j, shift) <= back:
            pairs[i, j, shift] = pairs.get((i, j, shift), np.zeros((3, 3))) + weight * tensor
        else:
            pairs[back] = pairs.get(back, np.zeros((3, 3))) + weight * tensor.T
    return BondTable(
        positions=atoms.get_positions(),
        cell=atoms.cell.array.copy(),
        first=np.array([key[0] for key in pairs], dtype=np.int64),
        second=np.array([key[1] for key in pairs], dtype=np.int64),
        shifts=np.array([key[2] for key in pairs], dtype=np.int64).reshape(-1, 3),
        tensors=np.array(list(pairs.values())).reshape(-1, 3, 3),
        onsite=onsite,
    )


def _odd(vector: FloatArray) -> FloatArray:
    """Tensor whose s_i.J s_j is D.(s_i x s_j)."""
    return np.cross(vector, np.eye(3))


class _BondFinder:
    """Finds the bonds a line of a jfile stands for."""

    def __init__(self, positions: FloatArray, cell: FloatArray, kinds: ArrayLike, direct: bool, maptype: int) -> None:
        self.positions, self.cell, self.kinds = positions, cell, np.asarray(kinds)
        self.direct, self.maptype, self.inverse = direct, maptype, np.linalg.inv(cell)

    def bonds(self, one: int, two: int, vector: FloatArray, operations: list[FloatArray]) -> Iterator[Entry]:
        """All bonds from sites of kind (maptype 2: number) `one` to `two` along `vector` or its images."""
        if self.maptype == 2:
            x, y, z = (int(v) for v in np.round(vector))
            yield one - 1, two - 1, (x, y, z)
            return
        along = vector @ self.cell if self.direct else vector
        images = {tuple(np.round(operation @ along, 6)): operation @ along for operation in operations}
        for i in np.flatnonzero(self.kinds == one):
            for image in images.values():
                offsets = (self.positions[i] + image - self.positions) @ self.inverse
                cells = np.round(offsets)
                near = np.linalg.norm((offsets - cells) @ self.cell, axis=1)
                for j in np.flatnonzero((near < 1e-2) & (self.kinds == two)):
                    x, y, z = (int(v) for v in cells[j])
                    yield int(i), int(j), (x, y, z)


def _operations(sym: int) -> list[FloatArray]:
    """Symmetry operations of UppASD's ``sym``: 0 none, 1 cubic, 2 square in the xy plane."""
    identity = np.eye(3)
    if sym == 0:
        return [identity]
    orders = permutations(range(3)) if sym == 1 else [(0, 1, 2), (1, 0, 2)]
    signs = list(product((1.0, -1.0), repeat=3)) if sym == 1 else [(a, b, 1.0) for a in (1.0, -1.0) for b in (1.0, -1.0)]
    return [np.diag(sign) @ identity[list(order)] for order in orders for sign in signs]


def _uppasd_options(path: Path) -> dict[str, list[str]]:
    """Words after every keyword; ``cell`` goes on for three lines."""
    lines = list(_rows(path))
    options: dict[str, list[str]] = {}
    for k, words in enumerate(lines):
        key = words[0].lower()
        options[key] = words[1:]
        if key == "cell":
            options[key] = [word for row in [words[1:], *lines[k + 1 : k + 3]] for word in row[:3]]
    for key in ("cell", "posfile", "exchange"):
        if len(options.get(key, [])) < (9 if key == "cell" else 1):
            raise InputError(f"{path}: the keyword {key!r} is missing or incomplete")
    return options


def _rows(path: Path) -> Iterator[list[str]]:
    """Words of every line that is neither empty nor a comment."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from None
    for line in text.splitlines():
        words = line.split("#")[0].split("!")[0].split()
        if words:
            yield words


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


__all__ = ["BondTableCalculator", "read_tb2j", "read_uppasd", "read_vampire"]
