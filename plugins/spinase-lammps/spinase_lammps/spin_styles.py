"""LAMMPS' own SPIN styles as a calculator: exchange, Dzyaloshinskii-Moriya, Neel anisotropy, uniaxial anisotropy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.calculators.lammps import Prism
from ase.stress import full_3x3_to_voigt_6_stress
from ase.units import bar
from mpi4py import MPI  # first: it brings the library that LAMMPS needs
from pydantic import BaseModel, ConfigDict, Field, model_validator

from spinase.calculators.base import SpinCalculator, per_moment
from spinase.errors import ModelError
from spinase.geometry import Geometry, solid_cell
from spinase.typing import FloatArray, IntArray
from spinase_lammps.engine import LammpsError, _rows, _start

_PRESSURES = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))  # LAMMPS' order
_SKIN = 0.3  # Angstrom; sites stay where they are
_NO_GRADIENT = (
    "the forces of LAMMPS' spin/dmi and spin/neel are no gradients of their energies: move atoms with exchange and "
    "anisotropy alone, or with spinase's own terms"
)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ExchangeTable(_Table):
    """``spin/exchange``: E = -1/2 sum_ij J(r_ij) s_i.s_j, J(r) = 4 a x (1 - b x) exp(-x), x = (r/d)^2."""

    cutoff: float = Field(gt=0, description="J(r) ends there [Angstrom]")
    amplitude: float = Field(description="a [eV]")
    shape: float = Field(0.0, description="b [1]")
    range: float = Field(gt=0, description="d [Angstrom]")


class DMITable(_Table):
    """``spin/dmi``: a coupling of s_i x s_j to the product of the bond's direction and a fixed vector."""

    cutoff: float = Field(gt=0, description="bonds end there [Angstrom]")
    strength: float = Field(description="|D| [eV]")
    vector: tuple[float, float, float] = Field(description="fixed vector, Cartesian; only its direction counts")


class NeelTable(_Table):
    """``spin/neel``: pair anisotropy along bonds, dipolar g(r) and quadrupolar q(r), each a function as J(r) is."""

    cutoff: float = Field(gt=0, description="bonds end there [Angstrom]")
    dipolar: tuple[float, float, float] = Field(description="a [eV], b [1] and d [Angstrom] of g(r)")
    quadrupolar: tuple[float, float, float] = Field((0.0, 0.0, 1.0), description="a [eV], b [1] and d [Angstrom] of q(r)")


class AnisotropyTable(_Table):
    """``precession/spin anisotropy``: E = -K sum_i (n.s_i)^2."""

    strength: float = Field(description="K [eV]")
    axis: tuple[float, float, float] = Field(description="n, Cartesian; only its direction counts")


class LammpsSpinConfig(_Table):
    """Options in an input file: at least one term."""

    exchange: ExchangeTable | None = Field(None, description="spin/exchange")
    dmi: DMITable | None = Field(None, description="spin/dmi")
    neel: NeelTable | None = Field(None, description="spin/neel")
    anisotropy: AnisotropyTable | None = Field(None, description="precession/spin")

    @model_validator(mode="after")
    def _one_term(self) -> LammpsSpinConfig:
        if all(term is None for term in (self.exchange, self.dmi, self.neel, self.anisotropy)):
            raise ValueError("give at least one of exchange, dmi, neel and anisotropy")
        return self


@dataclass(frozen=True, eq=False)
class Box:
    """LAMMPS with the sites of a geometry; its frame; hbar in its units."""

    engine: Any
    prism: Prism
    hbar: float


@dataclass(frozen=True, eq=False)
class Answer:
    """Energy, eV; -dE/ds (N, 3), eV; forces (N, 3), eV/Angstrom; stress (6,), eV/Angstrom^3."""

    energy: float
    fields: FloatArray
    forces: FloatArray
    stress: FloatArray


class LammpsSpinCalculator(SpinCalculator[Box, Answer]):
    """Terms of LAMMPS' SPIN package, in metal units: energies, fields, and forces where they are gradients.

    What LAMMPS calls fm is -dE/ds over hbar, for unit spins s; magnetic forces are B_i = hbar fm_i / mu_i.  Each pair counts
    once in its energies.  LAMMPS couples all sites alike, whatever their species; sites without a moment take no part.

    Parameters
    ----------
    exchange, dmi, neel, anisotropy : tables or models of the same keys, optional
        The terms; at least one.

    Raises
    ------
    ValueError
        For tables that are none, or no term.
    ModelError, LammpsError
        Later, for vectors of zero length, or if LAMMPS ends with an error.
    """

    Config = LammpsSpinConfig
    citation = (
        "A. P. Thompson et al., Comput. Phys. Commun. 271, 108171 (2022), doi:10.1016/j.cpc.2021.108171; "
        "J. Tranchida, S. J. Plimpton, P. Thibaudeau, A. P. Thompson, J. Comput. Phys. 372, 406 (2018), "
        "doi:10.1016/j.jcp.2018.06.042"
    )
    not_local = "LAMMPS has its own loop for its own terms"
    units = "metal"

    def __init__(self, exchange: Any = None, dmi: Any = None, neel: Any = None, anisotropy: Any = None) -> None:
        super().__init__()
        self.terms = LammpsSpinConfig(exchange=exchange, dmi=dmi, neel=neel, anisotropy=anisotropy)
        self.symmetries = SpinCalculator.symmetries - _broken(self.terms)
        if self.terms.dmi is not None or self.terms.neel is not None:
            self.refused_properties = {"forces": _NO_GRADIENT, "stress": _NO_GRADIENT}
            own = SpinCalculator.implemented_properties
            self.implemented_properties = [name for name in own if name not in self.refused_properties]

    @classmethod
    def from_config(cls, config: LammpsSpinConfig) -> LammpsSpinCalculator:
        """Calculator from the table of an input file."""
        return cls(**{name: getattr(config, name) for name in LammpsSpinConfig.model_fields})

    def freeze(self, geometry: Geometry) -> Box:
        """LAMMPS with the sites of the geometry, on this process alone."""
        cutoffs = [term.cutoff for term in (self.terms.exchange, self.terms.dmi, self.terms.neel) if term is not None]
        reach = max(cutoffs, default=1.0)
        cell = solid_cell(geometry, 2.0 * reach)
        prism = Prism(cell, geometry.pbc)
        engine = _with_sites(geometry, cell, prism)
        _tell(
            engine,
            f"neighbor {_SKIN} bin",
            f"comm_modify cutoff {reach + _SKIN:.17g}",
            *self._styles(prism),
            "fix motion all nve/spin lattice moving",  # without it the pair styles make no forces; nothing is integrated
            "compute fields all property/atom fmx fmy fmz",
            "compute pressure all pressure NULL virial",
            "thermo_style custom step pe c_pressure[1]",
            "thermo_modify norm no",
            "thermo 0",
        )
        return Box(engine, prism, engine.extract_global("hplanck") / (2.0 * np.pi))

    def _styles(self, prism: Prism) -> list[str]:
        """The terms in LAMMPS' words; vectors turn with the box."""
        terms = self.terms
        pairs: list[str] = []
        coefficients: list[tuple[str, str, str]] = []
        rest: list[str] = []
        if terms.exchange is not None:
            x = terms.exchange
            pairs.append(f"spin/exchange {x.cutoff:.17g}")
            coefficients.append(("spin/exchange", "exchange", _words(x.cutoff, x.amplitude, x.shape, x.range)))
        if terms.dmi is not None:
            d = terms.dmi
            vector = _direction(d.vector, "vector of dmi", prism)
            pairs.append(f"spin/dmi {d.cutoff:.17g}")
            coefficients.append(("spin/dmi", "dmi", _words(d.cutoff, d.strength, *vector)))
        if terms.neel is not None:
            n = terms.neel
            pairs.append(f"spin/neel {n.cutoff:.17g}")
            coefficients.append(("spin/neel", "neel", _words(n.cutoff, *n.dipolar, *n.quadrupolar)))
        if terms.anisotropy is not None:
            axis = _direction(terms.anisotropy.axis, "axis of anisotropy", prism)
            rest = [f"fix easy all precession/spin anisotropy {_words(terms.anisotropy.strength, *axis)}"]
            rest.append("fix_modify easy energy yes")
        if not pairs:
            return ["pair_style zero 1.0", "pair_coeff * *", *rest]
        lines = [f"pair_coeff * * {style} {word} {numbers}" for style, word, numbers in coefficients]
        return ["pair_style hybrid/overlay " + " ".join(pairs), *lines, *rest]

    def solve(self, frozen: Box, spins: FloatArray, lengths: FloatArray) -> Answer:
        """Everything at once."""
        engine, prism, count = frozen.engine, frozen.prism, len(spins)
        rows: IntArray = np.array(engine.numpy.extract_atom("id")[:count]) - 1
        sp = _rows(engine, "sp", 4, count)
        sp[:, :3], sp[:, 3] = prism.vector_to_lammps(spins)[rows], lengths[rows]
        _tell(engine, "run 0 post no")
        now: IntArray = np.array(engine.numpy.extract_atom("id")[:count]) - 1
        fields, forces = np.zeros((count, 3)), np.zeros((count, 3))
        fields[now] = engine.numpy.extract_compute("fields", 1, 2)[:count]
        forces[now] = _rows(engine, "f", 3, count)
        pressure = np.zeros((3, 3))
        for (a, b), value in zip(_PRESSURES, engine.numpy.extract_compute("pressure", 0, 1), strict=True):
            pressure[a, b] = pressure[b, a] = value * bar
        return Answer(
            engine.get_thermo("pe"),
            frozen.hbar * prism.vector_to_ase(fields),
            prism.vector_to_ase(forces),
            full_3x3_to_voigt_6_stress(prism.tensor2_to_ase(-pressure)),
        )

    def derive(self, name: str, frozen: Box, state: Answer, spins: FloatArray, lengths: FloatArray) -> Any:
        """One result from the answer."""
        if name in ("energy", "free_energy"):
            return state.energy
        if name == "magnetic_forces":
            return per_moment(state.fields, lengths)
        return (state.forces if name == "forces" else state.stress).copy()


def _with_sites(geometry: Geometry, cell: FloatArray, prism: Prism) -> Any:
    """LAMMPS on this process alone with a box of vectors `cell` and all sites of one type, in their order."""
    engine = _start(MPI.COMM_SELF, None)
    box = "region box prism 0 {:.17g} 0 {:.17g} 0 {:.17g} {:.17g} {:.17g} {:.17g} units box"
    scaled = geometry.positions @ np.linalg.inv(cell)
    corner = np.where(geometry.pbc, 0.0, 0.5 * (scaled.min(axis=0) + scaled.max(axis=0)) - 0.5) @ cell
    count = len(geometry)
    _tell(
        engine,
        "atom_style spin",
        "atom_modify map array sort 0 0",
        "newton on",
        "boundary " + " ".join("p" if periodic else "m" for periodic in geometry.pbc),
        "box tilt large",
        box.format(*prism.get_lammps_prism()),
        "create_box 1 box",
        "mass 1 1.0",
    )
    places = np.ascontiguousarray(prism.vector_to_lammps(geometry.positions - corner))
    made = engine.create_atoms(count, list(range(1, count + 1)), [1] * count, places.ravel().tolist(), shrinkexceed=True)
    if made != count:
        raise LammpsError(f"LAMMPS took {made} of {count} sites: the others lie outside of {prism.cell.tolist()}")
    return engine


def _broken(terms: LammpsSpinConfig) -> set[str]:
    """Symmetries that the terms do not have."""
    broken = set()
    if terms.anisotropy is not None:
        broken |= {"spin_rotation", "joint_rotation"}
    if terms.neel is not None:
        broken |= {"spin_rotation", "lattice_rotation"}
    if terms.dmi is not None:
        broken |= {"spin_rotation", "lattice_rotation", "joint_rotation"}
    return broken


def _direction(vector: Sequence[float], what: str, prism: Prism) -> FloatArray:
    """The unit vector (3,) in LAMMPS' frame."""
    length = float(np.linalg.norm(vector))
    if not length > 0.0:
        raise ModelError(f"the {what} must have a direction, got {list(vector)}")
    turned: FloatArray = prism.vector_to_lammps(np.array([vector]) / length)[0]
    return turned


def _words(*numbers: float) -> str:
    return " ".join(f"{number:.17g}" for number in numbers)


def _tell(engine: Any, *lines: str) -> None:
    try:
        for line in lines:
            engine.command(line)
    except Exception as error:
        raise LammpsError(str(error).strip()) from None


__all__ = ["LammpsSpinCalculator", "LammpsSpinConfig"]
