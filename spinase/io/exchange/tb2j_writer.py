"""Tables of couplings as the folder that TB2J writes: ``TB2J.pickle``, ``exchange.out`` and ``Multibinit/exchange.xml``.

Its magnon programs read the pickle (``TB2J.magnon``), magnopy and others the text, Multibinit, TB2J's older classes and
:func:`~spinase.io.exchange.read_tb2j` the xml.  TB2J itself is not needed to write them.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import ase.units
import numpy as np
from ase import Atoms

from spinase.atoms import get_moments
from spinase.classical import BondTable
from spinase.errors import InputError
from spinase.files import replacing, write_text
from spinase.io.exchange.bonds import both_directions, parts_of, require_sites
from spinase.typing import FloatArray, IntArray

_ORIGIN = "Exchange parameters of spinase, in the convention of TB2J\n"
_LINE, _BREAK = 90 * "=", 88 * "-"
Bond = tuple[tuple[int, int, int], int, int]


def write_tb2j(folder: str | Path, table: BondTable, atoms: Atoms, *, energy: float = 1.0, length: float = 1.0) -> Path:
    """Write a table as TB2J's folder of results (``TB2J_results``).

    TB2J sums over both directions of a pair, so its J, D and tensors are half of the table's, in eV.

    Parameters
    ----------
    folder : path
        Made where it is not there; files in it are written anew.
    table : BondTable
        Each pair once, energy -s_i.J_ij s_j - s_i.Q_i s_i.
    atoms : Atoms
        Its sites, for symbols, moments (mu_B) and periodic directions; sites without a moment get no spin.
    energy, length : float
        One unit of the table's energies in eV, of its lengths in Angstrom: 1 in ``metal`` units.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InputError
        If the atoms are not the table's sites, the table has biquadratic or cubic terms, a bond ends at a site without a
        moment, or a magnetic site has no bond.
    """
    require_sites(table, atoms, ("biquadratic", "cubic"))
    model = _Model(table, atoms, energy, length)
    home = Path(folder)
    (home / "Multibinit").mkdir(parents=True, exist_ok=True)
    with replacing(home / "TB2J.pickle") as temporary, open(temporary, "wb") as file:
        pickle.dump(model.attributes(), file)
    write_text(home / "exchange.out", "\n".join(_text(model)) + "\n")
    write_text(home / "Multibinit" / "exchange.xml", "\n".join(_xml(model)) + "\n")
    return home


class _Model:
    """What the three files say, in eV, Angstrom and TB2J's convention."""

    def __init__(self, table: BondTable, atoms: Atoms, energy: float, length: float) -> None:
        self.moments = get_moments(atoms)
        self.spins = np.where(self.moments.any(axis=1), np.cumsum(self.moments.any(axis=1)) - 1, -1)
        self.atoms = Atoms(
            atoms.get_chemical_symbols(), positions=length * table.positions, cell=length * table.cell, pbc=atoms.pbc
        )
        first, second, vectors, tensors = both_directions(table)
        _require_spins(self.moments, first)
        shifts = np.concatenate([table.shifts, -table.shifts])
        self.tensors: dict[Bond, FloatArray] = {}
        self.vectors: dict[Bond, FloatArray] = {}
        for i, j, shift, vector, tensor in zip(first, second, shifts, vectors, 0.5 * energy * tensors, strict=True):
            key = ((int(shift[0]), int(shift[1]), int(shift[2])), int(self.spins[i]), int(self.spins[j]))
            self.tensors[key] = self.tensors[key] + tensor if key in self.tensors else tensor
            self.vectors[key] = length * vector
        exchange, odd, rest = parts_of(np.array(list(self.tensors.values())).reshape(-1, 3, 3))
        self.exchange = dict(zip(self.tensors, (float(value) for value in exchange), strict=True))
        self.dmi, self.rest = dict(zip(self.tensors, odd, strict=True)), dict(zip(self.tensors, rest, strict=True))
        own = 0.5 * energy * (table.onsite + table.onsite.transpose(0, 2, 1))
        self.onsite = {int(self.spins[k]): own[k] for k in np.flatnonzero((self.spins >= 0) & own.any(axis=(1, 2)))}
        self.names = _names(self.atoms)
        self.of_spin = [self.names[k] for k in np.flatnonzero(self.spins >= 0)]

    def attributes(self) -> dict[str, Any]:
        """What ``TB2J.io_exchange.SpinIO.load_pickle`` reads."""
        sites = len(self.atoms)
        return {
            "atoms": self.atoms,
            "spinat": self.moments,
            "charges": np.zeros(sites),
            "index_spin": [int(k) for k in self.spins],
            "colinear": False,
            "distance_dict": {key: (vector, float(np.linalg.norm(vector))) for key, vector in self.vectors.items()},
            "exchange_Jdict": self.exchange,
            "dmi_ddict": self.dmi,
            "Jani_dict": self.rest,
            "has_sia_tensor": bool(self.onsite),
            "sia_tensor": self.onsite or None,
            "gyro_ratio": [1.0] * sites,
            "damping": [1.0] * sites,
            "description": _ORIGIN,
        }


def _require_spins(moments: FloatArray, ends: IntArray) -> None:
    """Every bond joins magnetic sites, and every magnetic site has a bond: TB2J counts the spins of bonds."""
    magnetic = moments.any(axis=1)
    bonded = np.isin(np.arange(len(moments)), ends)
    for k in np.flatnonzero(bonded & ~magnetic)[:1]:
        raise InputError(f"site {k} has bonds, but no moment: TB2J's spins have moments; set it, or leave its bonds out")
    for k in np.flatnonzero(magnetic & ~bonded)[:1]:
        raise InputError(f"site {k} has a moment, but no bond: TB2J numbers the spins of bonds; set its moment to zero")


def _names(atoms: Atoms) -> list[str]:
    """Fe1, Fe2, O1, ...: symbols with a number of their own."""
    counts: dict[str, int] = {}
    found = []
    for symbol in atoms.get_chemical_symbols():
        counts[symbol] = counts.get(symbol, 0) + 1
        found.append(f"{symbol}{counts[symbol]}")
    return found


def _text(model: _Model) -> Iterable[str]:
    """Lines of exchange.out: meV, with more digits than TB2J prints."""
    yield from [_LINE, "Information: ", _ORIGIN, _LINE, "Cell (Angstrom):"]
    yield from (_row(vector) for vector in model.atoms.cell.array)
    yield from ["", _LINE, "Atoms:  ", "(Note: charges are not known and written as zero.)"]
    yield "Atom_number  x  y  z  w_charge  M(x)  M(y)  M(z)"
    for name, place, moment in zip(model.names, model.atoms.positions, model.moments, strict=True):
        yield f"{name:<12s} {_row(place)} {0.0:9.4f} {_row(moment)}"
    yield f"{'Total':<12s} {'':41s} {0.0:9.4f} {_row(model.moments.sum(axis=0))}"
    if model.onsite:
        yield from ["", _LINE, "Single Ion Anisotropy: ", "Atom_number A_xx A_xy A_xz", " A_yx A_yy A_yz", " A_zx A_zy A_zz"]
        for spin, tensor in model.onsite.items():
            rows = [_row(1e3 * row) for row in tensor]
            yield from [f"{model.of_spin[spin]:<12s} {rows[0]}", f"{'':12s} {rows[1]}", f"{'':12s} {rows[2]}", _BREAK]
    yield from ["", _LINE, "Exchange: ", "    i      j          R        J_iso(meV)          vector          distance(A)"]
    for key in sorted(model.tensors, key=lambda bond: (float(np.linalg.norm(model.vectors[bond])), bond[1:], bond[0])):
        yield from _bond(model, key)


def _bond(model: _Model, key: Bond) -> Iterable[str]:
    """One entry of exchange.out."""
    shift, i, j = key
    vector, exchange = model.vectors[key], 1e3 * model.exchange[key]
    yield _BREAK
    yield (
        f"   {model.of_spin[i]:5s} {model.of_spin[j]:5s} ({shift[0]:3d}, {shift[1]:3d}, {shift[2]:3d}) {exchange:.8f}   "
        f"({vector[0]:.6f}, {vector[1]:.6f}, {vector[2]:.6f}) {np.linalg.norm(vector):.6f} "
    )
    yield f"J_iso: {exchange:.8f} "
    yield f"[Testing!] DMI: ({_row(1e3 * model.dmi[key])})"
    yield "[Testing!]J_ani:"
    yield from _matrix(1e3 * model.rest[key])
    yield "Combined J tensor (meV) [J = Jiso*I + DMI_antisymmetric + Jani_symmetric]:"
    yield from _matrix(1e3 * model.tensors[key])


def _matrix(tensor: FloatArray) -> list[str]:
    rows = [_row(row) for row in tensor]
    return [f"[[{rows[0]}]", f" [{rows[1]}]", f" [{rows[2]}]]"]


def _row(values: Iterable[float]) -> str:
    return " ".join(f"{value:13.8f}" for value in values)


def _xml(model: _Model) -> Iterable[str]:
    """Lines of exchange.xml, in Bohr radii and eV, with all digits."""
    yield '<?xml version="1.0" ?>'
    yield "<System_definition>"
    cell = model.atoms.cell.array / ase.units.Bohr
    yield f'<unit_cell units="bohrradius">{" ".join(_all(row) for row in cell)}</unit_cell>'
    masses = model.atoms.get_masses()
    for k, place in enumerate(model.atoms.positions / ase.units.Bohr):
        yield (
            f'<atom mass="{masses[k]:.5e}" massunits="atomicmassunit" damping_factor="1.0" gyroratio="1.0" '
            f'index_spin="{model.spins[k] + 1 if model.spins[k] >= 0 else -1}">'
            f'<position units="bohrradius">{_all(place)}</position><spinat>{_all(model.moments[k])}</spinat></atom>'
        )
    data = {
        "exchange": {key: np.full(3, value) for key, value in model.exchange.items()},
        "DMI": model.dmi,
        "bilinear": {key: tensor.ravel() for key, tensor in model.rest.items()},
    }
    for kind, values in data.items():
        yield f'<spin_{kind}_list units="eV"><nterms>{len(values)}</nterms>'
        for (shift, i, j), numbers in values.items():
            place = f"{i + 1} {j + 1} {shift[0]} {shift[1]} {shift[2]}"
            yield f"<spin_{kind}_term><ijR>{place}</ijR><data>{_all(numbers)}</data></spin_{kind}_term>"
        yield f"</spin_{kind}_list>"
    if model.onsite:
        yield f'<spin_sia_tensor_list units="eV"><nterms>{len(model.onsite)}</nterms>'
        for spin, tensor in model.onsite.items():
            yield f"<spin_sia_tensor_term><i>{spin + 1}</i><data>{_all(tensor.ravel())}</data></spin_sia_tensor_term>"
        yield "</spin_sia_tensor_list>"
    yield f"<description>{escape(_ORIGIN)}</description>"
    yield "</System_definition>"


def _all(values: Iterable[float]) -> str:
    return " ".join(f"{value:.15e}" for value in values)


__all__ = ["write_tb2j"]
