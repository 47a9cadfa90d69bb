"""The exponential function of rows of numbers, and what it is made of."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

from spinase.compiled.vector_types import LANES, operand


@intrinsic
def nearest(typing: Any, row: Any) -> Any:
    """Every number rounded to the nearest whole one (ties to even), still in floating point."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = arguments[0].type
        name = f"llvm.nearbyint.v{LANES}f{32 if isinstance(kind.element, ir.FloatType) else 64}"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind]), name)
        return builder.call(function, [arguments[0]])

    return row(row), code


@intrinsic
def power_of_two(typing: Any, row: Any) -> Any:
    """2**n for a row of whole numbers n, by its exponent bits: 2**n must be a normal number of the type."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits, bias, mantissa = (32, 127, 23) if row.dtype == types.float32 else (64, 1023, 52)
        word = ir.VectorType(ir.IntType(bits), LANES)
        integers = builder.fptosi(arguments[0], word)
        exponent = builder.add(integers, ir.Constant(word, [bias] * LANES))
        shifted = builder.shl(exponent, ir.Constant(word, [mantissa] * LANES))
        return builder.bitcast(shifted, arguments[0].type)

    return row(row), code


@intrinsic
def clipped(typing: Any, row: Any, bound: Any) -> Any:
    """min(max(row, -bound), bound); nan stays nan."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, high = arguments[0], operand(context, builder, signature.args[1], arguments[1], row)
        low = builder.fneg(high)
        value = builder.select(builder.fcmp_unordered("<", value, high), value, high)
        return builder.select(builder.fcmp_unordered(">", value, low), value, low)

    return row(row, bound), code


def exp(row: Any) -> Any:
    """Compiled code only: exp(x) of a row, by its type.

    exp(x) = 2**n exp(r),   n = round(x / ln 2),   r = x - n ln 2,   exp(r) = 1 + r + r^2 P(r)

    Single precision: |x| <= 80 (beyond, exp(+-80)), P of degree 5, relative error 2e-7 (Cephes' expf).  Double precision:
    |x| <= 700, P of degree 11 (Taylor's), relative error 1e-15.
    """
    raise NotImplementedError


@overload(exp)
def _exp(row):  # type: ignore[no-untyped-def]  # numba wants the same signature in all
    return _exp_double if row.dtype == types.float64 else _exp_single


def _exp_single(row):  # type: ignore[no-untyped-def]
    x = clipped(row, 80.0)
    n = nearest(x * 1.4426950408889634)
    r = (x - n * 0.693359375) + n * 2.12194440054690583e-4  # ln 2 in two parts (Cody-Waite): n times the first is exact
    p = r * 1.9875691500e-4 + 1.3981999507e-3
    p = p * r + 8.3334519073e-3
    p = p * r + 4.1665795894e-2
    p = p * r + 1.6666665459e-1
    p = p * r + 5.0000001201e-1
    return (p * r * r + r + 1.0) * power_of_two(n)


def _exp_double(row):  # type: ignore[no-untyped-def]
    x = clipped(row, 700.0)
    n = nearest(x * 1.4426950408889634)
    r = (x - n * 0.693145751953125) - n * 1.42860682030941723212e-6
    p = r * (1.0 / 6227020800.0) + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    return (p * r * r + r + 1.0) * power_of_two(n)


__all__ = ["clipped", "exp", "nearest", "power_of_two"]
