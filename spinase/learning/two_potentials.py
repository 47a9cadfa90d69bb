"""Driven magnets: two potentials, and currents of them, whose field is no gradient.

A tangent field on the sphere of every spin is split into a gradient and a turned gradient (arXiv:2112.12124),

    H_j = -dE/ds_j + s_j x dG/ds_j = h_E - s_j x h_G,        h = -d/ds_j,                                            (1)

with E = sum_i e_i and G = sum_i g_i of parts of the sites; in B = H/mu that is B_i = -dE/dm_i + s_i x dG/dm_i, and
Slonczewski's torque is G = a p.m.  For electrons that flow through a texture (1) does not do: the transfer torque of Zhang
and Li, H_j = -u s_j x (d s/dx)_j, turns the magnet as a whole, which rotation invariant E and G of local parts cannot, and
u sum_i s_i.(ds/dx)_i is a total derivative.  What is odd under a mirror along the current has potentials in which sites
count by their place x_i along it, seen from the site whose field is asked for:

    H_j = h_E - s_j x h_G,    h_f = -sum_i (x_i - x_j) d f_i/ds_j = h[sum_i x_i f_i] - x_j h[sum_i f_i],              (2)

two gradients for each of the currents f of E and G.  For f_i = sum_k w(r_ik) s_i.s_k / 2 the sum (2) is the slope of the
spins along x.  It needs nothing of a trunk, and does not know where the origin of x is.

The bias V enters as powers of v = V/V0: parts without a direction are even in v, currents odd, as a mirror along the current
together with V -> -V demands of a device whose leads are mirror images up to a rotation of spins.  E keeps a part without v,
everything else vanishes at V = 0.  Without a current every power of v goes with E and G.

Between electrodes that are unlike each other, such as those that charge a capacitor, what a site does depends on where it
is: electrons of the one reach it, or those of the other.  With a distance L between them the parts are coefficients,

    E = sum_i sum_pq T_p(b) T_q(u_i) e_ipq,    G = v sum_i sum_pq T_p(b) T_q(u_i) g_ipq,                                 (3)

T Chebyshev's polynomials, b the bias and u_i the place of the site along the axis, both from -1 to 1: over the trained
biases, and from the first layer of the device to L behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor

from spinase.errors import ModelError
from spinase.learning.polynomials import chebyshev_values
from spinase.learning.readout import Readout, ReadoutConfig, Weighed
from spinase.typing import FloatArray


class Term(NamedTuple):
    """What a part of a site is: a term of G (else E), the power of V/V0, a current of it (else the potential), in (3) q."""

    turned: bool
    power: int
    current: bool
    place: int = 0


class TwoPotentialsConfig(ReadoutConfig):
    """What a model file says of two potentials."""

    window: tuple[float, float] | None = Field(None, description="biases that were trained [energy]; none: it knows no bias")
    orders: int = Field(3, ge=1, le=6, description="highest power of the bias")
    axis: int | None = Field(None, ge=0, le=2, description="Cartesian axis along which a current flows; none: no currents")
    length: float | None = Field(
        None,
        gt=0,
        description="from the first to the last layer of a device whose electrodes are unlike: fields depend on the place "
        "along the axis, and there are no currents [length]",
    )
    places: int = Field(2, ge=0, le=6, description="highest power of the place, of devices with a length")

    @field_validator("window")
    @classmethod
    def _rising(cls, window: tuple[float, float] | None) -> tuple[float, float] | None:
        if window is not None and not window[0] < window[1]:
            raise ValueError(f"window must be a range (low, high), got {window}")
        return window

    @model_validator(mode="after")
    def _directed(self) -> Self:
        if self.length is not None and self.axis is None:
            raise ValueError(f"length = {self.length:g} is along an axis: give axis = 0, 1 or 2")
        return self


@dataclass(frozen=True)
class TwoPotentialsReadout(Readout):
    """E and G of a driven magnet.

    Attributes
    ----------
    window : (float, float) or None
        Biases that were trained, energy; None: E and G are those of the one drive of the labels.
    orders : int
        Highest power of the bias.
    axis : int or None
        Cartesian axis along which the current flows, or from electrode to electrode.
    length : float or None
        From the first to the last layer of the device, length; None: the place of a site does not count.
    places : int
        Highest power of the place.
    bias : float or None
        The bias V, energy.
    """

    window: tuple[float, float] | None = None
    orders: int = 3
    axis: int | None = None
    length: float | None = None
    places: int = 2
    bias: float | None = None

    Config = TwoPotentialsConfig
    citation = "P. Zhang, G.-W. Chern, npj Comput. Mater. 9, 32 (2023), doi:10.1038/s41524-023-00990-0, arXiv:2112.12124"
    conservative = False

    @property
    def breaks(self) -> frozenset[str]:
        """Of two even potentials one field is odd and the other even; a current has a direction."""
        directed = set() if self.axis is None else {"lattice_rotation", "joint_rotation"}
        return frozenset({"time_reversal"} | directed)

    @property
    def parts(self) -> int:
        """As many as there are terms."""
        return len(self.terms())

    @property
    def condition(self) -> str | None:
        """The bias of every configuration, energy, where it knows some."""
        return None if self.window is None else "bias"

    @property
    def flows(self) -> bool:
        """Whether there are currents."""
        return self.axis is not None and self.length is None

    def terms(self) -> list[Term]:
        """What each part is."""
        if self.length is not None:
            orders = range(1 if self.window is None else self.orders + 1)
            return [Term(t, p, False, q) for t in (False, True) for p in orders for q in range(self.places + 1)]
        if self.window is None:
            powers, currents = [(0, False), (0, True)], self.axis is not None
            return [Term(turned, n, current) for n, current in powers for turned in (False, True) if currents or not current]
        found = [Term(False, 0, False)]
        for power in range(1, self.orders + 1):
            current = self.axis is not None and power % 2 == 1
            found += [Term(turned, power, current) for turned in (False, True)]
        return found

    def under(self, bias: float | None) -> Self:
        """The same under a bias, energy.

        Raises
        ------
        ModelError
            If it knows no bias but one is given, or needs one.
        """
        if (bias is None) != (self.window is None):
            raise ModelError(
                "it knows no bias: leave it out" if self.window is None else "it needs the bias between the leads: bias=..."
            )
        return replace(self, bias=bias)

    def constant_weights(self, parts: int) -> FloatArray | None:
        """Of E and G where there is neither a bias nor a current."""
        if parts != self.parts:
            raise ModelError(f"these two potentials need {self.parts} parts of a site, not {parts}")
        return np.eye(2) if self.window is None and self.axis is None else None

    def weigh(self, parts: FloatArray, magnets: int, scale: float, places: FloatArray) -> Weighed:
        """Weights of E, and beside it of G and of the currents, where the bias is not zero."""
        along = places[:, 0 if self.axis is None else self.axis]
        if self.length is not None:
            rows = along.reshape(magnets, -1)
            along = (rows - rows.min(axis=1, keepdims=True, initial=np.inf)).ravel()
        if self.window is not None and self.bias is None:
            raise ModelError("two potentials need the bias between the leads")
        weights = self._weights(np.full(len(parts), self._scaled(self.bias or 0.0)), along, np)
        if self.bias == 0.0:
            return Weighed(weights[:1])
        return Weighed(weights, along=along, moved=((0, 1), (2, 3))) if self.flows else Weighed(weights)

    def fields(self, spins: Any, gradients: Any, places: Any) -> Any:
        """(1), with (2) for the currents."""
        if len(gradients) == 1:
            return gradients[0]
        if not self.flows or places is None:
            straight, turned = gradients
        else:
            along = places[:, self.axis, None]
            straight, turned = (whole - along * moved for whole, moved in (gradients[:2], gradients[2:]))
        one, two = spins[:, [1, 2, 0]], spins[:, [2, 0, 1]]
        return straight - (one * turned[:, [2, 0, 1]] - two * turned[:, [1, 2, 0]])

    def site_weights(self, condition: Tensor | None, batch: Tensor, places: Tensor, parts: int, like: Tensor) -> Tensor:
        """Weights (N, J, K); the condition (B,) is the bias of every configuration, energy."""
        if condition is None and self.window is not None:
            raise ModelError("these two potentials need the bias of every configuration")
        scaled = like.new_zeros(len(batch)) if condition is None else self._scaled(condition.to(like))[batch]
        along = places[:, 0 if self.axis is None else self.axis].to(like)
        if self.length is not None:
            first = along.new_full((int(batch.max()) + 1,), torch.inf).scatter_reduce(0, batch, along, "amin")
            along = along - first[batch]
        return torch.as_tensor(self._weights(scaled, along, torch)).transpose(0, 1)

    def batch_weights(self, condition: Tensor | None, configurations: int, parts: int, like: Tensor) -> Tensor:
        """Of E and G, where they are the same everywhere.

        Raises
        ------
        ModelError
            If weights differ from site to site.
        """
        raise ModelError("weights of driven magnets differ from site to site: ask for site_weights")

    def _scaled(self, bias: Any) -> Any:
        """V/V0; V0 is the largest bias of the window."""
        return bias if self.window is None else bias / max(abs(edge) for edge in self.window)

    def _weights(self, scaled: Any, along: Any, library: Any) -> Any:
        """(J, N, K) for V/V0 (N,) and places (N,): E and G; with currents E + x f, f of E, and G + x f, f of G."""
        if self.length is not None:
            return self._weights_between(scaled, along, library)
        none, rows = 0.0 * along, []
        for turned in (False, True):
            whole, moved = [], []
            for term in self.terms():
                factor = scaled**term.power if term.turned == turned else none
                moved.append(factor if term.current else none)
                whole.append(factor * along if term.current else factor)
            rows += [library.stack(whole, 1), *([] if self.axis is None else [library.stack(moved, 1)])]
        return library.stack(rows)

    def _weights_between(self, scaled: Any, along: Any, library: Any) -> Any:
        """(2, N, K) of E and G by (3), for V/V0 (N,) and distances (N,) from the first layer, length."""
        assert self.length is not None
        by_bias = [1.0 + 0.0 * along]
        if self.window is not None:
            low, high = (edge / max(abs(edge) for edge in self.window) for edge in self.window)
            by_bias = chebyshev_values((2.0 * scaled - low - high) / (high - low), self.orders)
        by_place, rows = chebyshev_values(2.0 * along / self.length - 1.0, self.places), []
        drive = 1.0 if self.window is None else scaled
        for turned in (False, True):
            factors = [float(term.turned == turned) * by_bias[term.power] * by_place[term.place] for term in self.terms()]
            rows.append(library.stack([drive * one if turned else one for one in factors], 1))
        return library.stack(rows)


__all__ = ["TwoPotentialsReadout"]
