"""MACE models in one word of an input file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from ase import Atoms
from mace.calculators import MACECalculator
from pydantic import BaseModel, ConfigDict, Field

from spinase.errors import ModelFileError


class MaceConfig(BaseModel):
    """Options in an input file."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(description="model file on the disk (*.model); nothing is downloaded")
    device: str = Field("cpu", description="torch device")
    dtype: Literal["float32", "float64"] = Field("float64", description="precision of the network")


class MaceCalculator(MACECalculator):
    """A MACE model of energies, forces and stresses, in metal units, as the lattice part of a sum with spin terms.

    It sees no moments, so spins that turn leave its results as they are, and it is not asked again for them.  A model file
    is a pickle and runs code when it is read: take only files that you trust.

    Parameters
    ----------
    model : path
        Of the model.
    device : str
        Torch device.
    dtype : str
        ``"float64"``, as dynamics wants it, or ``"float32"``.

    Raises
    ------
    ModelFileError
        If there is no such file, or no MACE model in it.
    """

    Config = MaceConfig
    citation = (
        "I. Batatia, D. P. Kovacs, G. N. C. Simm, C. Ortner, G. Csanyi, arXiv:2206.07697; "
        "I. Batatia et al., arXiv:2205.06643"
    )
    units = "metal"

    def __init__(self, model: str | Path, device: str = "cpu", dtype: str = "float64") -> None:
        if not Path(model).is_file():
            raise ModelFileError(f"there is no MACE model {model}: nothing is downloaded, give a file")
        # MACE adds to the list it finds, which would be that of ASE's base class, of all calculators.
        self.implemented_properties: list[str] = []
        try:
            super().__init__(model_paths=[str(model)], device=device, default_dtype=dtype)
        except Exception as error:  # whatever torch raises on a file it makes no sense of
            raise ModelFileError(f"cannot read a MACE model from {model}: {type(error).__name__}: {error}") from error

    @classmethod
    def from_config(cls, config: MaceConfig) -> MaceCalculator:
        """Calculator from the table of an input file."""
        return cls(config.model, config.device, config.dtype)

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[Any]:
        """What changed since the last calculation; moments do not count."""
        return [change for change in super().check_state(atoms, tol) if change != "initial_magmoms"]
