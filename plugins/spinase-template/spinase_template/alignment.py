"""Alignment of spins with their fields, as an example of a driver that a plugin brings."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from pydantic import BaseModel, ConfigDict, Field

from spinase.atoms import get_moments, set_moments
from spinase.contract import Driver
from spinase.errors import ModelError
from spinase.typing import FloatArray


def aligned(moments: FloatArray, fields: FloatArray, mixing: float) -> FloatArray:
    r"""Moments turned towards their fields, all at once and without a change of length.

    .. math:: s_i' \propto (1 - x)\, s_i + x\, B_i / |B_i|

    Parameters
    ----------
    moments : array (N, 3)
        m_i = mu_i s_i, mu_B; zero rows stay.
    fields : array (N, 3)
        B_i, energy/moment; where it vanishes nothing turns.
    mixing : float
        x, 0 < x < 1.

    Returns
    -------
    array (N, 3)
        mu_i s_i'.
    """
    lengths = np.linalg.norm(moments, axis=1, keepdims=True)
    strengths = np.linalg.norm(fields, axis=1, keepdims=True)
    turned = (1.0 - mixing) * moments + mixing * lengths * fields / np.where(strengths > 0.0, strengths, 1.0)
    norms = np.linalg.norm(turned, axis=1, keepdims=True)
    return np.where(norms > 0.0, lengths * turned / np.where(norms > 0.0, norms, 1.0), moments)


class AlignConfig(BaseModel):
    """Options in an input file; every description ends with the unit."""

    model_config = ConfigDict(extra="forbid")

    mixing: float = Field(0.2, gt=0, lt=1, description="share x of the direction of the field in the new spin [1]")


class Align(Driver):
    """Turns every spin a little towards its field in every step, until nothing turns: a way down that knows no time.

    The fixed points are the states without torques.  A driver derives from ``spinase.contract.Driver`` and is asked for
    nothing but what is here.

    Parameters
    ----------
    atoms : Atoms
        The magnet with its calculator.
    mixing : float
        Share of the direction of the field in the new spin, 0 < x < 1.

    Raises
    ------
    ModelError
        If `mixing` is outside.
    """

    Config = AlignConfig
    citation = ""
    time_unit = "steps"

    def __init__(self, atoms: Atoms, mixing: float = 0.2) -> None:
        if not 0.0 < mixing < 1.0:
            raise ModelError(f"mixing is a share between 0 and 1, got {mixing}")
        self.atoms, self.mixing, self.steps = atoms, float(mixing), 0

    @classmethod
    def from_config(cls, config: AlignConfig, atoms: Atoms, rng: np.random.Generator) -> Align:
        """Driver from the table of an input file; one with noise would keep `rng`, which belongs to this stage alone."""
        return cls(atoms, config.mixing)

    def run(self, steps: int) -> bool:
        """Make `steps` steps.  A step that is interrupted leaves the atoms as they were: they change in one call, last."""
        for _ in range(steps):
            fields = self.atoms.calc.get_property("magnetic_forces", self.atoms)
            set_moments(self.atoms, aligned(get_moments(self.atoms), fields, self.mixing))
            self.steps += 1
        return True

    def get_number_of_steps(self) -> int:
        """Steps made."""
        return self.steps

    def get_time(self) -> float:
        """The same: it knows no time."""
        return float(self.steps)

    def checkpoint_state(self) -> dict[str, Any]:
        """What a restart needs beyond the atoms; a driver with noise adds the state of its generator."""
        return {"steps": self.steps}

    def restore_state(self, state: dict[str, Any]) -> None:
        """Take it back."""
        self.steps = int(state["steps"])
