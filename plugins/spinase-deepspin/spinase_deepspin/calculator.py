"""Models of DeePMD-kit whose input are positions and spins."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from ase.stress import full_3x3_to_voigt_6_stress
from deepmd.infer import DeepPot
from pydantic import BaseModel, ConfigDict, Field

from spinase.calculators.base import SpinCalculator
from spinase.errors import InvalidGeometryError, InvalidMomentsError, ModelError, ModelFileError
from spinase.geometry import Geometry
from spinase.typing import FloatArray


class DeepSpinConfig(BaseModel):
    """Options in an input file."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(description="frozen model of DeePMD-kit with spins (frozen_model.pth, .pb, ...)")
    single_precision: bool = Field(False, description="whether the model was trained in single precision")


@dataclass(frozen=True)
class Box:
    """A geometry as DeePMD-kit takes it: coordinates (1, 3 N) and cell (1, 9) or None [A], types (N,)."""

    coordinates: FloatArray
    cell: FloatArray | None
    types: list[int]


@dataclass(frozen=True)
class Answer:
    """What a model says: energy [eV], forces [eV/A], virial (3, 3) [eV], fields [eV/mu_B]."""

    energy: float
    forces: FloatArray
    virial: FloatArray
    magnetic_forces: FloatArray


class DeepSpinCalculator(SpinCalculator[Box, Answer]):
    """A spin model of DeePMD-kit: energy, forces, stress and magnetic forces of positions and moments, in metal units.

    The model's spins are the moments in mu_B, and what it calls magnetic forces is -dE/dS, so that nothing is converted.
    Its descriptors see the moments as positions of virtual atoms: lattice and moments may be rotated together only, and
    whether E(-m) = E(m) is up to its training.  A magnetic species needs a moment: without one its virtual atom would sit
    on the atom itself.

    Parameters
    ----------
    model : path
        A frozen model, of any back end that is installed.
    single_precision : bool
        Whether it computes in single precision, so that implicit integrators do not iterate below that.

    Raises
    ------
    ModelFileError
        If there is no such file, DeePMD-kit cannot read it, or the model has no spins.
    ModelError, InvalidMomentsError, InvalidGeometryError
        Later, for species that the model does not know, moments where it has none or none where it has one, and boundaries
        that are periodic in some directions only.
    """

    Config = DeepSpinConfig
    citation = (
        "T. Yang et al., Phys. Rev. B 110, 064427 (2024), doi:10.1103/PhysRevB.110.064427; "
        "H. Wang, L. Zhang, J. Han, W. E, Comput. Phys. Commun. 228, 178 (2018), doi:10.1016/j.cpc.2018.03.016"
    )
    not_local = "DeePMD-kit's own pair style runs it in LAMMPS"
    symmetries = frozenset({"joint_rotation", "translation", "permutation"})
    units = "metal"

    def __init__(self, model: str | Path, *, single_precision: bool = False) -> None:
        super().__init__()
        self.model = Path(model)
        self.field_resolution = float(np.finfo(np.float32).eps) if single_precision else 0.0
        self._network: Any = None
        self._open()

    @classmethod
    def from_config(cls, config: DeepSpinConfig) -> DeepSpinCalculator:
        """Calculator from the table of an input file."""
        return cls(config.model, single_precision=config.single_precision)

    def _open(self) -> Any:
        """The model, read from its file when it is first needed."""
        if self._network is None:
            if not self.model.is_file():
                raise ModelFileError(f"there is no model {self.model}")
            try:
                network = DeepPot(str(self.model))
            except Exception as error:  # whatever a back end raises on a file it makes no sense of
                raise ModelFileError(f"DeePMD-kit cannot read {self.model}: {type(error).__name__}: {error}") from error
            if not network.has_spin:
                raise ModelFileError(
                    f"{self.model} is a model without spins: take it as the lattice part of a sum, "
                    'style = "deepmd.calculator:DP"'
                )
            self._network = network
        return self._network

    def freeze(self, geometry: Geometry) -> Box:
        """Coordinates, cell and types; DeePMD-kit makes its neighbour lists itself."""
        if geometry.pbc.any() and not geometry.pbc.all():
            raise InvalidGeometryError(
                f"DeePMD-kit knows cells that are periodic in all directions or none, got pbc = {geometry.pbc.tolist()}: "
                "give the cell empty space along the open directions and make it periodic"
            )
        known = list(self._open().get_type_map())
        symbols = [chemical_symbols[number] for number in geometry.numbers]
        for symbol in symbols:
            if symbol not in known:
                raise ModelError(f"{self.model} does not know {symbol}; its species: {', '.join(known)}")
        cell = geometry.cell.reshape(1, 9) if geometry.pbc.all() else None
        return Box(geometry.positions.reshape(1, -1), cell, [known.index(symbol) for symbol in symbols])

    def solve(self, frozen: Box, spins: FloatArray, lengths: FloatArray) -> Answer:
        """Everything at once: the model computes all derivatives with the energy."""
        moments = spins * lengths[:, None]
        told = self._open().eval(frozen.coordinates, frozen.cell, frozen.types, spin=moments.reshape(1, -1))
        energy, forces, virial, fields, has_moment = told[:5]
        self._check_moments(moments, has_moment.reshape(-1))
        return Answer(
            float(energy[0, 0]), forces[0], virial[0].reshape(3, 3), np.where(has_moment[0], fields[0], 0.0).astype(float)
        )

    def _check_moments(self, moments: FloatArray, has_moment: Any) -> None:
        given = np.linalg.norm(moments, axis=1) > 0.0
        wrong = np.flatnonzero(given != has_moment)
        if len(wrong):
            site = int(wrong[0])
            why = "its species has no moment in the model: set it to zero" if given[site] else "its species needs a moment"
            raise InvalidMomentsError(f"site {site} has the moment {moments[site].tolist()} mu_B, and {why} ({self.model})")

    def derive(self, name: str, frozen: Box, state: Answer, spins: FloatArray, lengths: FloatArray) -> Any:
        """One result from the answer."""
        if name in ("energy", "free_energy"):
            return state.energy
        if name == "forces":
            return state.forces.copy()
        if name == "magnetic_forces":
            return state.magnetic_forces.copy()
        if frozen.cell is None:
            raise InvalidGeometryError("there is no stress without a periodic cell")
        # The virial of moving sites with fixed moments has an antisymmetric part: the torque on the moments.
        virial = 0.5 * (state.virial + state.virial.T)
        return full_3x3_to_voigt_6_stress(-virial / abs(np.linalg.det(frozen.cell.reshape(3, 3))))

    def __deepcopy__(self, memo: dict[int, Any]) -> DeepSpinCalculator:
        """A copy that shares the network, which nothing changes: reading and specializing it again takes seconds."""
        twin = type(self).__new__(type(self))
        memo[id(self)] = twin
        twin.__setstate__({**deepcopy(self.__getstate__(), memo), "_network": self._network})
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """Without the network: a copy reads the file again."""
        return {**super().__getstate__(), "_network": None}
