"""Explicit short vectors in numba: rows of ``LANES`` numbers that stay in registers.

Numba's own vectorizer gives up on loops that read and write rows of several arrays, because they might overlap.  These
primitives write the vector instructions themselves; LLVM fits them to the width of the machine.  Only for contiguous arrays
of float32 or float64, of any number of axes: offsets are in elements of the flat array and nothing is checked, so whoever
calls :func:`load` and :func:`store` answers for the bounds (``offset + LANES <= array.size``).

    a, b = load(x, i), load(y, i)             a_k = x[i + k], b_k = y[i + k],    k = 0 .. LANES - 1
    store(out, i, fma(2.0, a, b) * a)         out[i + k] = (2 a_k + b_k) a_k

In place of an array, a pair of arrays of one shape stands for numbers and their tangents: what is loaded is a dual row then,
and code written for rows gives its own directional derivative (:mod:`spinase.compiled.dual`).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

from spinase.compiled import njit, register_jitable
from spinase.compiled.vector_types import (
    LANES,
    DualRow,
    Row,
    addresses,
    broadcast,
    joined,
    operand,
    row_type_of,
    split,
)

_LINE = 64  # bytes of a cache line

_FAST = {"contract", "reassoc", "nsz", "arcp"}


def kernel(function: Callable[..., Any]) -> Any:
    """Compile loops that make no arrays, and leave those they are given uncounted.

    Counting who has an array costs more than many a loop does; for as long as it runs, the caller keeps them.
    """
    return njit(nogil=True, error_model="numpy", fastmath=_FAST, _nrt=False)(function)


@intrinsic
def load(typing: Any, array: Any, offset: Any) -> Any:
    """The row of `array` that starts at element `offset`."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        places = addresses(context, builder, signature.args[0], arguments[0], arguments[1])
        rows = [builder.load(at, align=kind.dtype.bitwidth // 8) for at in places]
        return rows[0] if isinstance(kind, Row) else joined(context, builder, kind, *rows)

    kind = row_type_of(array)
    return kind(array, types.intp), code


@intrinsic
def store(typing: Any, array: Any, offset: Any, row: Any) -> Any:
    """Write `row` to `array` from element `offset` on.

    Parameters
    ----------
    array : ndarray or pair of them
        Contiguous float32 or float64; of a pair, values and tangents.
    offset : int
        First element of the flat array; ``offset + LANES <= array.size``.
    row : row or dual row
        What is written.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        places = addresses(context, builder, signature.args[0], arguments[0], arguments[1])
        rows = [arguments[2]] if isinstance(row, Row) else split(context, builder, row, arguments[2])
        for at, part in zip(places, rows, strict=True):
            builder.store(part, at, align=row.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, row), code


@intrinsic
def element(typing: Any, array: Any, offset: Any) -> Any:
    """The number at element `offset` of an array of any type, which is not negative: numba's own looks whether it is."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load(builder.gep(data, [arguments[1]]))

    return array.dtype(array, types.intp), code


@intrinsic
def set_element(typing: Any, array: Any, offset: Any, value: Any) -> Any:
    """Write a number of the array's type to element `offset`, which is not negative.

    Parameters
    ----------
    array : ndarray
        Contiguous, of any type and shape.
    offset : int
        Element of the flat array, 0 or more; not checked against its length.
    value : number
        Of the array's type.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        builder.store(arguments[2], builder.gep(data, [arguments[1]]))
        return context.get_dummy_value()

    return types.void(array, types.intp, array.dtype), code


def _fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    name = f"llvm.fma.v{LANES}f{32 if isinstance(a.type.element, ir.FloatType) else 64}"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(a.type, [a.type] * 3), name)
    return builder.call(function, [a, b, c])


@intrinsic
def fma(typing: Any, factor: Any, row: Any, addend: Any) -> Any:
    """factor * row + addend; `factor` is a number of the row's type or a row.

    Parameters
    ----------
    factor : number or row
        A number stands for the same one in all lanes.
    row, addend : row
        LANES numbers each.
    """
    scaled = not isinstance(factor, Row)
    first = row.dtype if scaled else factor

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        left = broadcast(builder, arguments[0]) if scaled else arguments[0]
        return _fma(builder, left, arguments[1], arguments[2])

    return row(first, row, row), code


@intrinsic
def scale(typing: Any, factor: Any, row: Any) -> Any:
    """factor * row; `factor` is a number of the row's type or a row."""
    scaled = not isinstance(factor, Row)
    first = row.dtype if scaled else factor

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        left = broadcast(builder, arguments[0]) if scaled else arguments[0]
        return builder.fmul(left, arguments[1])

    return row(first, row), code


def _operation(name: str) -> Any:
    """An intrinsic for two operands, one of them a row, the other a row or a number; sums of products may be fused."""

    @intrinsic
    def calculate(typing: Any, left: Any, right: Any) -> Any:
        row = left if isinstance(left, Row) else right

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pairs = zip(signature.args, arguments, strict=True)
            operands = [operand(context, builder, kind, value, row) for kind, value in pairs]
            return getattr(builder, name)(*operands, flags=("contract",))

        return row(left, right), code

    return calculate


def _overloaded(operator_: Any, name: str) -> None:
    calculate = _operation(name)

    def _of_rows(left, right):  # type: ignore[no-untyped-def]  # numba wants the same signature in both
        if isinstance(left, Row) or isinstance(right, Row):
            return lambda left, right: calculate(left, right)
        return None

    overload(operator_)(_of_rows)


for _python, _name in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul"), (operator.truediv, "fdiv")):
    _overloaded(_python, _name)


@intrinsic
def filled(typing: Any, like: Any, value: Any) -> Any:
    """A row with `value` in all lanes, dual (tangent zero) if `like` is a pair of arrays; a dual row stays as it is."""
    kind = row_type_of(like)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if isinstance(value, DualRow):
            return arguments[1]
        row = operand(context, builder, signature.args[1], arguments[1], Row(kind.dtype))
        if isinstance(kind, Row):
            return row
        return joined(context, builder, kind, row, ir.Constant(row.type, None))

    return kind(like, value), code


@intrinsic
def select_lanes(typing: Any, count: Any, row: Any, other: Any) -> Any:
    """A row (or dual row) with the lanes k < `count` of `row` and the others of `other`.

    Parameters
    ----------
    count : int
        Lanes of the first, 0 to LANES.
    row, other : row or dual row
        Of one type.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.VectorType(ir.IntType(64), LANES)
        places = ir.Constant(word, list(range(LANES)))
        mask = builder.icmp_signed("<", places, broadcast(builder, arguments[0]))
        if isinstance(row, Row):
            return builder.select(mask, arguments[1], arguments[2])
        pairs = zip(*(split(context, builder, row, part) for part in arguments[1:]), strict=True)
        return joined(context, builder, row, *(builder.select(mask, *pair) for pair in pairs))

    return row(types.int64, row, row), code


@intrinsic
def first_lane(typing: Any, row: Any) -> Any:
    """The number in the first lane of a row; a dual row is returned as it is (:func:`with_first_lane` takes it)."""
    if isinstance(row, DualRow):
        return row(row), lambda context, builder, signature, arguments: arguments[0]

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.extract_element(arguments[0], ir.Constant(ir.IntType(32), 0))

    return row.dtype(row), code


@register_jitable
def padded_length(count: int) -> int:
    """`count` rounded up to a multiple of LANES."""
    return (count + LANES - 1) // LANES * LANES


@intrinsic
def lane(typing: Any, row: Any, place: Any) -> Any:
    """The number in lane `place` of a row."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.extract_element(arguments[0], context.cast(builder, arguments[1], types.intp, types.int32))

    return row.dtype(row, types.intp), code


@intrinsic
def with_first_lane(typing: Any, row: Any, value: Any) -> Any:
    """The row with `value` in its first lane: a number, or the first lane of a dual row; a number has no tangent."""
    lane = ir.Constant(ir.IntType(32), 0)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if isinstance(value, DualRow):
            numbers = [builder.extract_element(part, lane) for part in split(context, builder, value, arguments[1])]
        else:
            number = context.cast(builder, arguments[1], signature.args[1], row.dtype)
            numbers = [number, ir.Constant(number.type, 0.0)]
        if isinstance(row, Row):
            return builder.insert_element(arguments[0], numbers[0], lane)
        parts = zip(split(context, builder, row, arguments[0]), numbers, strict=True)
        return joined(context, builder, row, *(builder.insert_element(part, number, lane) for part, number in parts))

    return row(row, value), code


@register_jitable
def store_partial(array: Any, offset: int, row: Any, count: int) -> None:
    """array[offset + k] = row_k for k < min(count, LANES); what follows is read and written back unchanged.

    Parameters
    ----------
    array : ndarray or pair of them
        Contiguous; LANES elements from `offset` on must be there.
    offset : int
        First element.
    row : row or dual row
        What is written.
    count : int
        How many lanes count; LANES or more: all.
    """
    if count < LANES:
        store(array, offset, select_lanes(count, row, load(array, offset)))
    else:
        store(array, offset, row)


@register_jitable
def load_partial(array: Any, offset: int, count: int) -> Any:
    """The row with array[offset + k] for k < count and zeros in its other lanes.

    Parameters
    ----------
    array : ndarray or pair of them
        Contiguous; LANES elements from `offset` on must be there.
    offset : int
        First element.
    count : int
        How many lanes count; LANES or more: all.
    """
    row = load(array, offset)
    return select_lanes(count, row, filled(array, 0.0)) if count < LANES else row


@intrinsic
def total(typing: Any, row: Any) -> Any:
    """sum_k row_k, a number; of a dual row the sum of the values, without the tangent."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, lanes = arguments[0], LANES
        if isinstance(row, DualRow):
            value, _ = split(context, builder, row, value)
        while lanes > 1:  # halves: a tree of shuffles
            lanes //= 2
            mask = [ir.Constant(ir.IntType(32), k) for k in range(lanes)]
            upper = [ir.Constant(ir.IntType(32), lanes + k) for k in range(lanes)]
            undefined = ir.Constant(value.type, ir.Undefined)
            shape = ir.VectorType(ir.IntType(32), lanes)
            low = builder.shuffle_vector(value, undefined, ir.Constant(shape, mask))
            high = builder.shuffle_vector(value, undefined, ir.Constant(shape, upper))
            value = builder.fadd(low, high)
        return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

    return row.dtype(row), code


@intrinsic
def prefetch(typing: Any, array: Any, offset: Any) -> Any:
    """Ask for the row at element `offset` to come into the cache."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        integer = ir.IntType(32)
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer(), integer, integer, integer])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(function, [place, *(ir.Constant(integer, k) for k in (0, 3, 1))])  # read, keep, data
        return context.get_dummy_value()

    return types.void(array, types.intp), code


def aligned(size: int, dtype: Any) -> Any:
    """A zeroed array of `size` numbers that starts on a cache line (rows that straddle two cost twice as much)."""
    count = size * np.dtype(dtype).itemsize
    raw = np.zeros(count + _LINE, dtype=np.uint8)
    start = -raw.ctypes.data % _LINE
    return raw[start : start + count].view(dtype)


__all__ = [
    "LANES",
    "aligned",
    "element",
    "filled",
    "first_lane",
    "fma",
    "kernel",
    "lane",
    "load",
    "load_partial",
    "padded_length",
    "prefetch",
    "scale",
    "select_lanes",
    "set_element",
    "store",
    "store_partial",
    "total",
    "with_first_lane",
]
