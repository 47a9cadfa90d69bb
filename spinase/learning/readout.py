"""Readouts: what the parts of a trunk mean.

A readout names potentials P_j = sum_ik w_jik e_ik, weighted sums of the parts e_ik (site i, part k), in which the weights
count as fixed when P_j is differentiated, and makes of their negative gradients h_j = -dP_j/ds the fields H = -dE/ds (the
first potential is the energy, where there is one):

=================  ==========================================================  ========================
readout            potentials                                                  fields
=================  ==========================================================  ========================
``energy``         E = sum_i e_i                                               H = h_E
``grand-potential``  Omega(mu) = sum_ik T_k(x) e_ik, and F = Omega + mu N      H = h_Omega
``two-potentials``  E = sum_i e_i0 and G = sum_i e_i1, not conservative         H = h_E - s x h_G
=================  ==========================================================  ========================

The last is B_i = -dE/dm_i + s_i x dG/dm_i of :mod:`spinase.learning.two_potentials`, which also has currents of E and G.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from spinase.errors import ModelError
from spinase.typing import FloatArray


@dataclass(frozen=True, eq=False)
class Weighed:
    """Weights of R magnets of N sites each, one after the other.

    Attributes
    ----------
    weights : (J, R N, K) ndarray
        w of every potential.
    work : (R,) ndarray or float
        Added to the first potential it is the energy that fields and forces are gradients of, energy.
    results : mapping
        What else was found, (R,) arrays by name.
    along : (R N,) ndarray or None
        Places x_i by which some parts count in some potentials, length.
    moved : sequence of (int, int)
        Such a potential, in which they count x_i times, and the one in which they count once: together they are seen from
        every site, h[sum x_i f_i] - x_j h[sum f_i].
    """

    weights: FloatArray
    work: FloatArray | float = 0.0
    results: Mapping[str, FloatArray] = field(default_factory=dict)
    along: FloatArray | None = None
    moved: Sequence[tuple[int, int]] = ()


class ReadoutConfig(BaseModel):
    """What a model file says of a readout."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Readout(ABC):
    """Meaning of the K parts of every site; a frozen dataclass.

    Attributes
    ----------
    conservative : bool
        Whether the fields are the gradient of an energy.  If not, there is none, and no forces.
    results : tuple of str
        Results of a calculator beyond energies, fields and forces.
    filling, chemical_potential : float or None
        Electrons per spin-orbital, or where they come from, energy, for readouts that know them.
    response : str or None
        Name of the label of -dP/d(condition) per site, for the first potential P.
    """

    Config: ClassVar[type[ReadoutConfig]] = ReadoutConfig
    citation: ClassVar[str] = ""
    conservative: ClassVar[bool] = True
    results: ClassVar[tuple[str, ...]] = ()
    response: ClassVar[str | None] = None
    filling: float | None = None
    chemical_potential: float | None = None

    @classmethod
    def from_config(cls, config: Any) -> Self:
        """The readout of a model file."""
        return cls(**config.model_dump())

    @property
    def breaks(self) -> frozenset[str]:
        """Symmetries of a trunk that its fields have not."""
        return frozenset()

    @property
    def parts(self) -> int:
        """How many parts of a site it takes, at least."""
        return 1

    @property
    def condition(self) -> str | None:
        """Name of a number of every labelled configuration that its potentials depend on."""
        return None

    def table(self) -> dict[str, Any]:
        """What a model file keeps, JSON values: the fields of its ``Config``."""
        return self.Config.model_validate({name: getattr(self, name) for name in self.Config.model_fields}).model_dump()

    @abstractmethod
    def constant_weights(self, parts: int) -> FloatArray | None:
        """Weights (J, K) that are the same at all sites of all magnets, or None where they follow from the parts.

        Raises
        ------
        ModelError
            If it makes no sense of so many parts.
        """

    def weigh(self, parts: FloatArray, magnets: int, scale: float, places: FloatArray) -> Weighed:
        """Weights for parts (R N, K) of R magnets, in units of `scale`, energy.

        `places` (R N, 3): positions of the sites from the middle of their magnet, length.

        Parameters
        ----------
        parts : (R N, K) ndarray
            e_ik of R magnets, one after the other, in units of `scale`.
        magnets : int
            R.
        scale : float
            Energy.
        places : (R N, 3) ndarray
            Positions of the sites from the middle of their magnet, length.
        """
        constant = self.constant_weights(parts.shape[1])
        assert constant is not None
        return Weighed(np.repeat(constant[:, None], len(parts), axis=1))

    def fields(self, spins: Any, gradients: Any, places: Any) -> Any:
        """H (N, 3) from spins (N, 3), h_j = -dP_j/ds (J, N, 3), and the places of the weights; arrays or tensors alike.

        `places` None: one gradient for every two that count by places, seen from the sites already (:class:`Evaluation`).

        Parameters
        ----------
        spins : (N, 3)
            Unit vectors.
        gradients : (J, N, 3)
            h_j, energy.
        places : (N, 3) or None
            Positions from the middle, length.
        """
        return gradients[0]

    def batch_weights(self, condition: Tensor | None, configurations: int, parts: int, like: Tensor) -> Tensor:
        """Weights (B, J, K) for training on B configurations; `condition` (B,), dtype and device as `like`.

        Parameters
        ----------
        condition : (B,) tensor or None
            What the potentials depend on.
        configurations : int
            B.
        parts : int
            K.
        like : tensor
            Tells dtype and device.
        """
        constant = self.constant_weights(parts)
        assert constant is not None
        return torch.from_numpy(constant).to(like).expand(configurations, *constant.shape)

    def site_weights(self, condition: Tensor | None, batch: Tensor, places: Tensor, parts: int, like: Tensor) -> Tensor:
        """Weights (N, J, K) of sites at `places` (N, 3) of the configurations `batch` (N,), as :meth:`batch_weights`.

        Parameters
        ----------
        condition : (B,) tensor or None
            What the potentials depend on.
        batch : (N,) tensor of int
            Configuration of every site.
        places : (N, 3) tensor
            Positions from the middle of their magnet, length.
        parts : int
            K.
        like : tensor
            Tells dtype and device.
        """
        configurations = int(batch.max()) + 1 if condition is None else len(condition)
        return self.batch_weights(condition, configurations, parts, like)[batch]

    def batch_slopes(self, condition: Tensor, parts: int) -> Tensor:
        """Derivatives (B, J, K) of :meth:`batch_weights` by `condition` (B,)."""
        return torch.zeros_like(self.batch_weights(condition, len(condition), parts, condition))

    def under(self, bias: float | None) -> Self:
        """The same with a bias between leads, energy.

        Raises
        ------
        ModelError
            If it knows no bias but one is given, or needs one.
        """
        if bias is not None:
            raise ModelError("it knows nothing of a bias: leave it out")
        return self

    def at(self, filling: float | None = None, chemical_potential: float | None = None) -> Self:
        """The same with electrons per spin-orbital, or with a chemical potential, energy.

        Raises
        ------
        ModelError
            If it knows no electrons, or not these.
        """
        if filling is not None or chemical_potential is not None:
            raise ModelError("it knows nothing of electrons: leave filling and chemical_potential out")
        return self


@dataclass(frozen=True)
class EnergyReadout(Readout):
    """One part, the energy of a site."""

    def constant_weights(self, parts: int) -> FloatArray | None:
        """One."""
        if parts != 1:
            raise ModelError(f"{parts} parts of a site are no energy: an energy is one")
        return np.ones((1, 1))


__all__ = ["EnergyReadout", "Readout", "ReadoutConfig", "Weighed"]
