"""Explicit short vectors in numba: rows of ``LANES`` numbers that stay in registers.

Numba's own vectorizer gives up on loops that read and write rows of several arrays, because they might overlap.  These
primitives write the vector instructions themselves; LLVM fits them to the width of the machine.  Only for contiguous arrays,
with offsets in elements and no checks: whoever calls :func:`load` and :func:`store` answers for the bounds.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import PrimitiveModel
from numba.extending import intrinsic, overload, register_jitable, register_model

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


def _operand(context: Any, builder: Any, kind: Any, value: Any, row: Row) -> Any:
    """A row as it is, a number in every lane."""
    return value if isinstance(kind, Row) else _broadcast(builder, context.cast(builder, value, kind, row.dtype))


def _operation(name: str) -> Any:
    """An intrinsic for two operands, one of them a row, the other a row or a number; sums of products may be fused."""

    @intrinsic
    def calculate(typing: Any, left: Any, right: Any) -> Any:
        row = left if isinstance(left, Row) else right

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pairs = zip(signature.args, arguments, strict=True)
            operands = [_operand(context, builder, kind, value, row) for kind, value in pairs]
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
    """A row of the type of an array, with one number in all lanes."""
    row = Row(like.dtype)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _operand(context, builder, signature.args[1], arguments[1], row)

    return row(like, value), code


@intrinsic
def chosen(typing: Any, count: Any, row: Any, other: Any) -> Any:
    """`row` in the first `count` lanes, `other` in the rest."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.VectorType(ir.IntType(64), LANES)
        places = ir.Constant(word, list(range(LANES)))
        mask = builder.icmp_signed("<", places, _broadcast(builder, arguments[0]))
        return builder.select(mask, arguments[1], arguments[2])

    return row(types.int64, row, row), code


@intrinsic
def first(typing: Any, row: Any) -> Any:
    """The number in the first lane."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.extract_element(arguments[0], ir.Constant(ir.IntType(32), 0))

    return row.dtype(row), code


@intrinsic
def with_first(typing: Any, row: Any, value: Any) -> Any:
    """The row with another number in its first lane."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = context.cast(builder, arguments[1], signature.args[1], row.dtype)
        return builder.insert_element(arguments[0], number, ir.Constant(ir.IntType(32), 0))

    return row(row, value), code


@intrinsic
def nearest(typing: Any, row: Any) -> Any:
    """Whole numbers next to those of a row."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = arguments[0].type
        name = f"llvm.nearbyint.v{LANES}f{32 if isinstance(kind.element, ir.FloatType) else 64}"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind]), name)
        return builder.call(function, [arguments[0]])

    return row(row), code


@intrinsic
def power_of_two(typing: Any, row: Any) -> Any:
    """2**n for a row of whole numbers in the range of the type's normal numbers."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits, bias, mantissa = (32, 127, 23) if row.dtype == types.float32 else (64, 1023, 52)
        word = ir.VectorType(ir.IntType(bits), LANES)
        whole = builder.fptosi(arguments[0], word)
        exponent = builder.add(whole, ir.Constant(word, [bias] * LANES))
        shifted = builder.shl(exponent, ir.Constant(word, [mantissa] * LANES))
        return builder.bitcast(shifted, arguments[0].type)

    return row(row), code


@intrinsic
def clipped(typing: Any, row: Any, bound: Any) -> Any:
    """The row between -bound and bound; what is no number stays so."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, high = arguments[0], _operand(context, builder, signature.args[1], arguments[1], row)
        low = builder.fneg(high)
        value = builder.select(builder.fcmp_unordered("<", value, high), value, high)
        return builder.select(builder.fcmp_unordered(">", value, low), value, low)

    return row(row, bound), code


@register_jitable  # type: ignore[untyped-decorator]
def exp(row: Any) -> Any:
    """exp of a row, to 2e-7 of its value; between exp(-80) and exp(80)."""
    x = clipped(row, 80.0)
    n = nearest(x * 1.4426950408889634)
    r = (x - n * 0.693359375) + n * 2.12194440054690583e-4  # ln 2 in two parts, the first of few digits
    p = r * 1.9875691500e-4 + 1.3981999507e-3
    p = p * r + 8.3334519073e-3
    p = p * r + 4.1665795894e-2
    p = p * r + 1.6666665459e-1
    p = p * r + 5.0000001201e-1
    return (p * r * r + r + 1.0) * power_of_two(n)


@register_jitable  # type: ignore[untyped-decorator]
def put(array: Any, offset: int, row: Any, count: int) -> None:
    """Write the first `count` numbers of a row (all, if it has fewer); what follows is read, and stays."""
    if count < LANES:
        store(array, offset, chosen(count, row, load(array, offset)))
    else:
        store(array, offset, row)


@register_jitable  # type: ignore[untyped-decorator]
def take(array: Any, offset: int, count: int) -> Any:
    """The row from element `offset` on, zero from `count` numbers on."""
    row = load(array, offset)
    return chosen(count, row, filled(array, 0.0)) if count < LANES else row


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
