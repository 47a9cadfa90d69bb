"""Explicit short vectors in numba: rows of ``LANES`` numbers that stay in registers.

Numba's own vectorizer gives up on loops that read and write rows of several arrays, because they might overlap.  These
primitives write the vector instructions themselves; LLVM fits them to the width of the machine.  Only for contiguous arrays,
with offsets in elements and no checks: whoever calls :func:`load` and :func:`store` answers for the bounds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import PrimitiveModel
from numba.extending import intrinsic, register_model

_LINE = 64  # bytes of a cache line

LANES = 16
"""Columns of a row: one 512-bit register of single precision."""


class Row(types.Type):
    """A row of LANES numbers of one scalar type."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype = dtype
        super().__init__(name=f"Row({dtype})")


@register_model(Row)
class _RowModel(PrimitiveModel):
    def __init__(self, manager: Any, kind: Row) -> None:
        super().__init__(manager, kind, ir.VectorType(_scalar(kind.dtype), LANES))


def _scalar(dtype: types.Float) -> ir.Type:
    return ir.FloatType() if dtype == types.float32 else ir.DoubleType()


def _address(context: Any, builder: Any, array_type: Any, array: Any, offset: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    place = builder.gep(data, [offset])
    return builder.bitcast(place, ir.VectorType(_scalar(array_type.dtype), LANES).as_pointer())


@intrinsic
def load(typing: Any, array: Any, offset: Any) -> Any:
    """The row of `array` that starts at element `offset`."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at = _address(context, builder, signature.args[0], arguments[0], arguments[1])
        return builder.load(at, align=signature.args[0].dtype.bitwidth // 8)

    return Row(array.dtype)(array, types.intp), code


@intrinsic
def store(typing: Any, array: Any, offset: Any, row: Any) -> Any:
    """Write `row` to `array` from element `offset` on."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at = _address(context, builder, signature.args[0], arguments[0], arguments[1])
        builder.store(arguments[2], at, align=signature.args[0].dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, row), code


def _broadcast(builder: Any, value: Any) -> Any:
    kind = ir.VectorType(value.type, LANES)
    single = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(single, ir.Constant(kind, ir.Undefined), mask)


def _fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    name = f"llvm.fma.v{LANES}f{32 if isinstance(a.type.element, ir.FloatType) else 64}"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(a.type, [a.type] * 3), name)
    return builder.call(function, [a, b, c])


@intrinsic
def fma(typing: Any, factor: Any, row: Any, addend: Any) -> Any:
    """factor * row + addend; `factor` is a number of the row's type or a row."""
    scaled = not isinstance(factor, Row)
    first = row.dtype if scaled else factor

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        left = _broadcast(builder, arguments[0]) if scaled else arguments[0]
        return _fma(builder, left, arguments[1], arguments[2])

    return row(first, row, row), code


@intrinsic
def scale(typing: Any, factor: Any, row: Any) -> Any:
    """factor * row; `factor` is a number of the row's type or a row."""
    scaled = not isinstance(factor, Row)
    first = row.dtype if scaled else factor

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        left = _broadcast(builder, arguments[0]) if scaled else arguments[0]
        return builder.fmul(left, arguments[1])

    return row(first, row), code


@intrinsic
def total(typing: Any, row: Any) -> Any:
    """Sum of the numbers of a row."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, lanes = arguments[0], LANES
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
