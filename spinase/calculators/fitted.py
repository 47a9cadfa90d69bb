"""The classical model nearest to any calculator: pair exchange fitted to its fields on the spins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from spinase.atoms import get_moments, get_spins, get_units, set_spins
from spinase.calculators.base import SpinCalculator
from spinase.calculators.classical import BiquadraticCalculator, HeisenbergCalculator
from spinase.calculators.sum import SpinSumCalculator
from spinase.errors import ModelError
from spinase.spin_algebra import normalized, tangent
from spinase.typing import FloatArray

_SINGULAR = 1e-10  # of the largest singular value of the fields of the terms


@dataclass(frozen=True, eq=False)
class FittedExchange:
    """Exchange by neighbour shell, fitted to the fields of another calculator.

    Attributes
    ----------
    exchange : (n,)
        J of the first shells, energy: -J s_i.s_j, each pair once.
    biquadratic : (m,)
        K of the first shells, energy: -K (s_i.s_j)^2.
    exchange_errors, biquadratic_errors : (n,), (m,)
        Their standard errors, from what the fit leaves.
    r2 : float
        Part of the tangent fields' mean square that the model has: 1 where it has all.
    rms_error, rms_field : float
        Of the tangent fields (times moments), energy: what it leaves, and what there is.
    calculator : SpinCalculator
        The model.
    """

    exchange: FloatArray
    biquadratic: FloatArray
    exchange_errors: FloatArray
    biquadratic_errors: FloatArray
    r2: float
    rms_error: float
    rms_field: float
    calculator: SpinCalculator[Any, Any]

    def __repr__(self) -> str:
        lines = [f"FittedExchange(R^2 = {self.r2:.4f}, rms error {self.rms_error:.3g} of {self.rms_field:.3g})"]
        for name, values, errors in (
            ("J", self.exchange, self.exchange_errors),
            ("K", self.biquadratic, self.biquadratic_errors),
        ):
            lines += [f"  {name}{k + 1} = {values[k]:+.4e} +- {errors[k]:.1e}" for k in range(len(values))]
        return "\n".join(lines)


def fit_exchange(
    calculator: SpinCalculator[Any, Any],
    atoms: Atoms,
    shells: int = 3,
    biquadratic: int = 0,
    *,
    samples: int | Sequence[ArrayLike] = 8,
    rng: np.random.Generator | None = None,
) -> FittedExchange:
    """Fit J (and K) of neighbour shells to the tangent fields of any calculator, by least squares.

    What a user would do without learning: how much of the electrons' torques it has is ``r2``.  Exchange of one texture
    to second order, also between single pairs, is ``exchange_tensors`` of the electronic calculators.

    Parameters
    ----------
    calculator : SpinCalculator
        Electrons, a learned model, anything with magnetic forces.
    atoms : Atoms
        The magnet; it and its calculator are left as they are.
    shells : int
        Neighbour shells of the magnetic sites with bilinear exchange.
    biquadratic : int
        With biquadratic exchange.
    samples : int or sequence of (N, 3)
        Number of random textures, or textures of your own (directions, such as frames of a run).
    rng : numpy.random.Generator, optional
        Of the random textures; default: a fixed one.

    Returns
    -------
    FittedExchange
        Its ``calculator`` is the model.

    Raises
    ------
    ModelError
        For no shell at all, no texture, a magnet without moments, or shells that the textures do not tell apart.
    """
    if shells < 0 or biquadratic < 0 or shells + biquadratic < 1:
        raise ModelError(f"fit at least one shell, got shells={shells} and biquadratic={biquadratic}")
    copy = atoms.copy()
    moments = get_moments(atoms)
    lengths = np.linalg.norm(moments, axis=1)
    if not lengths.any():
        raise ModelError("exchange is between moments, and these atoms have none: set their moments")
    units = get_units(atoms).name
    terms = [HeisenbergCalculator([0.0] * k + [1.0], units=units) for k in range(shells)]
    terms += [BiquadraticCalculator([0.0] * k + [1.0], units=units) for k in range(biquadratic)]
    known, design = [], []
    for directions in _textures(samples, lengths, rng):
        set_spins(copy, directions)
        known.append(_turning(calculator, copy, lengths))
        design.append(np.stack([_turning(term, copy, lengths) for term in terms], axis=1))
    fields, matrix = np.concatenate(known), np.concatenate(design)
    found, errors = _least_squares(matrix, fields)
    left = fields - matrix @ found
    vectors = np.sqrt(np.count_nonzero(lengths) * len(known))
    parts: list[SpinCalculator[Any, Any]] = [HeisenbergCalculator(found[:shells].tolist(), units=units)] if shells else []
    parts += [BiquadraticCalculator(found[shells:].tolist(), units=units)] if biquadratic else []
    model = parts[0] if len(parts) == 1 else SpinSumCalculator(parts)
    return FittedExchange(
        exchange=found[:shells],
        biquadratic=found[shells:],
        exchange_errors=errors[:shells],
        biquadratic_errors=errors[shells:],
        r2=float(1.0 - left @ left / (fields @ fields)),
        rms_error=float(np.linalg.norm(left) / vectors),
        rms_field=float(np.linalg.norm(fields) / vectors),
        calculator=model,
    )


def _textures(
    samples: int | Sequence[ArrayLike], lengths: FloatArray, rng: np.random.Generator | None
) -> Iterable[FloatArray]:
    """Directions (N, 3), zero where there is no moment."""
    magnetic = (lengths > 0.0)[:, None]
    if isinstance(samples, int):
        if samples < 1:
            raise ModelError(f"samples must be a positive number of random textures, or textures, got {samples}")
        source = np.random.default_rng(0) if rng is None else rng
        return [normalized(source.normal(size=(len(lengths), 3))) * magnetic for _ in range(samples)]
    if not len(samples):
        raise ModelError("samples has no texture: give a number of random ones, or directions (N, 3)")
    shapes = [np.shape(texture) for texture in samples if np.shape(texture) != (len(lengths), 3)]
    if shapes:
        raise ModelError(f"a texture is ({len(lengths)}, 3) directions, got shape {shapes[0]}")
    return [np.asarray(texture, dtype=np.float64) * magnetic for texture in samples]


def _turning(calculator: SpinCalculator[Any, Any], atoms: Atoms, lengths: FloatArray) -> FloatArray:
    """Tangent fields times moments, energy, as one row of numbers (3N,)."""
    fields = calculator.get_property("magnetic_forces", atoms) * lengths[:, None]
    across: FloatArray = tangent(fields, get_spins(atoms)).ravel()
    return across


def _least_squares(matrix: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Solution and its standard errors."""
    left, sizes, right = np.linalg.svd(matrix, full_matrices=False)
    if sizes[-1] <= _SINGULAR * sizes[0]:
        raise ModelError(
            f"the fields of {matrix.shape[1]} shells are not independent in these textures (singular values {sizes}): "
            "take random spins, a larger magnet, or fewer shells"
        )
    found = right.T @ ((left.T @ values) / sizes)
    freedom = max(1, len(values) - len(found))
    noise = float(np.sum((values - matrix @ found) ** 2)) / freedom
    return found, np.sqrt(noise * np.sum((right.T / sizes) ** 2, axis=1))


__all__ = ["FittedExchange", "fit_exchange"]
