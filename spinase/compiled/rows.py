"""Explicit short vectors in numba: rows of ``LANES`` numbers that stay in registers.

Numba's own vectorizer gives up on loops that read and write rows of several arrays, because they might overlap.  These
primitives write the vector instructions themselves; LLVM fits them to the width of the machine.  Only for contiguous arrays,
with offsets in elements and no checks: whoever calls :func:`load` and :func:`store` answers for the bounds.

In place of an array, a pair of arrays of one shape stands for numbers and their changes: what is loaded is a
:class:`DualRow` then, and sums and products of such rows follow the changes, so that code written for rows gives its own
derivative.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import PrimitiveModel, StructModel
from numba.extending import intrinsic, overload, register_jitable, register_model

from spinase.compiled import njit

_LINE = 64  # bytes of a cache line

_FAST = {"contract", "reassoc", "nsz", "arcp"}

LANES = 16
"""Columns of a row: one 512-bit register of single precision."""


def kernel(function: Callable[..., Any]) -> Any:
    """Compile loops that make no arrays, and leave those they are given uncounted.

    Counting who has an array costs more than many a loop does; for as long as it runs, the caller keeps them.
    """
    return njit(nogil=True, error_model="numpy", fastmath=_FAST, _nrt=False)(function)


class Row(types.Type):
    """A row of LANES numbers of one scalar type."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype = dtype
        super().__init__(name=f"Row({dtype})")


@register_model(Row)
class _RowModel(PrimitiveModel):
    def __init__(self, manager: Any, kind: Row) -> None:
        super().__init__(manager, kind, ir.VectorType(_scalar(kind.dtype), LANES))


class DualRow(types.Type):
    """A row of numbers and a row of their changes."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype = dtype
        super().__init__(name=f"DualRow({dtype})")


@register_model(DualRow)
class _DualRowModel(StructModel):
    def __init__(self, manager: Any, kind: DualRow) -> None:
        super().__init__(manager, kind, [("value", Row(kind.dtype)), ("change", Row(kind.dtype))])


def _split(context: Any, builder: Any, kind: Any, dual: Any) -> tuple[Any, Any]:
    both = cgutils.create_struct_proxy(kind)(context, builder, value=dual)
    return both.value, both.change


def _joined(context: Any, builder: Any, kind: Any, value: Any, change: Any) -> Any:
    both = cgutils.create_struct_proxy(kind)(context, builder)
    both.value, both.change = value, change
    return both._getvalue()


def _places(context: Any, builder: Any, kind: Any, array: Any, offset: Any) -> list[Any]:
    """Addresses in an array, or in both of a pair."""
    if not isinstance(kind, types.BaseTuple):  # type: ignore[attr-defined]
        return [_address(context, builder, kind, array, offset)]
    parts = enumerate(kind)
    return [_address(context, builder, part, builder.extract_value(array, k), offset) for k, part in parts]


def _row_of(array: Any) -> Any:
    pair = isinstance(array, types.BaseTuple)  # type: ignore[attr-defined]
    return DualRow(array[0].dtype) if pair else Row(array.dtype)


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
        places = _places(context, builder, signature.args[0], arguments[0], arguments[1])
        rows = [builder.load(at, align=kind.dtype.bitwidth // 8) for at in places]
        return rows[0] if isinstance(kind, Row) else _joined(context, builder, kind, *rows)

    kind = _row_of(array)
    return kind(array, types.intp), code


@intrinsic
def store(typing: Any, array: Any, offset: Any, row: Any) -> Any:
    """Write `row` to `array` from element `offset` on."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        places = _places(context, builder, signature.args[0], arguments[0], arguments[1])
        rows = [arguments[2]] if isinstance(row, Row) else _split(context, builder, row, arguments[2])
        for at, part in zip(places, rows, strict=True):
            builder.store(part, at, align=row.dtype.bitwidth // 8)
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


def _dual_product(context: Any, builder: Any, left: Any, right: Any) -> tuple[Any, Any]:
    (a, da), (b, db) = left, right
    change = builder.fmul(a, db, flags=("contract",)) if da is None else builder.fmul(da, b, flags=("contract",))
    if da is not None and db is not None:
        change = builder.fadd(change, builder.fmul(a, db, flags=("contract",)), flags=("contract",))
    return builder.fmul(a, b, flags=("contract",)), change


def _dual_total(name: str) -> Any:
    def calculate(context: Any, builder: Any, left: Any, right: Any) -> tuple[Any, Any]:
        (a, da), (b, db) = left, right
        if da is None:
            change = builder.fneg(db) if name == "fsub" else db
        else:
            change = da if db is None else getattr(builder, name)(da, db, flags=("contract",))
        return getattr(builder, name)(a, b, flags=("contract",)), change

    return calculate


def _dual_operation(rule: Any) -> Any:
    """An intrinsic for two operands, one of them a dual row, the other a dual row, a row or a number."""

    @intrinsic
    def calculate(typing: Any, left: Any, right: Any) -> Any:
        dual = left if isinstance(left, DualRow) else right

        def pair(context: Any, builder: Any, kind: Any, value: Any) -> tuple[Any, Any]:
            if isinstance(kind, DualRow):
                return _split(context, builder, kind, value)
            return _operand(context, builder, kind, value, Row(dual.dtype)), None

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kinds = zip(signature.args, arguments, strict=True)
            operands = [pair(context, builder, kind, value) for kind, value in kinds]
            return _joined(context, builder, dual, *rule(context, builder, *operands))

        return dual(left, right), code

    return calculate


def _overloaded_for_duals(operator_: Any, rule: Any) -> None:
    calculate = _dual_operation(rule)

    def _of_duals(left, right):  # type: ignore[no-untyped-def]  # numba wants the same signature in both
        if isinstance(left, DualRow) or isinstance(right, DualRow):
            return lambda left, right: calculate(left, right)
        return None

    overload(operator_)(_of_duals)


_overloaded_for_duals(operator.add, _dual_total("fadd"))
_overloaded_for_duals(operator.sub, _dual_total("fsub"))
_overloaded_for_duals(operator.mul, _dual_product)


@intrinsic
def filled(typing: Any, like: Any, value: Any) -> Any:
    """A row as an array has, with one number in all lanes; a dual row stays as it is."""
    kind = _row_of(like)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if isinstance(value, DualRow):
            return arguments[1]
        row = _operand(context, builder, signature.args[1], arguments[1], Row(kind.dtype))
        if isinstance(kind, Row):
            return row
        return _joined(context, builder, kind, row, ir.Constant(row.type, None))

    return kind(like, value), code


@intrinsic
def dual(typing: Any, value: Any, change: Any) -> Any:
    """A dual row from a number and its change, the same in all lanes."""
    kind = DualRow(value)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _joined(context, builder, kind, *(_broadcast(builder, part) for part in arguments))

    return kind(value, change), code


@intrinsic
def chosen(typing: Any, count: Any, row: Any, other: Any) -> Any:
    """`row` in the first `count` lanes, `other` in the rest."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.VectorType(ir.IntType(64), LANES)
        places = ir.Constant(word, list(range(LANES)))
        mask = builder.icmp_signed("<", places, _broadcast(builder, arguments[0]))
        if isinstance(row, Row):
            return builder.select(mask, arguments[1], arguments[2])
        pairs = zip(*(_split(context, builder, row, part) for part in arguments[1:]), strict=True)
        return _joined(context, builder, row, *(builder.select(mask, *pair) for pair in pairs))

    return row(types.int64, row, row), code


@intrinsic
def first(typing: Any, row: Any) -> Any:
    """The number in the first lane; of a dual row, the row itself."""
    if isinstance(row, DualRow):
        return row(row), lambda context, builder, signature, arguments: arguments[0]

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.extract_element(arguments[0], ir.Constant(ir.IntType(32), 0))

    return row.dtype(row), code


@register_jitable  # type: ignore[untyped-decorator]
def whole(count: int) -> int:
    """`count` up to the next multiple of LANES."""
    return (count + LANES - 1) // LANES * LANES


@intrinsic
def lane(typing: Any, row: Any, place: Any) -> Any:
    """The number in one lane."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.extract_element(arguments[0], context.cast(builder, arguments[1], types.intp, types.int32))

    return row.dtype(row, types.intp), code


@intrinsic
def with_first(typing: Any, row: Any, value: Any) -> Any:
    """The row with another number in its first lane; in a dual row that of another one, or a number without a change."""
    lane = ir.Constant(ir.IntType(32), 0)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if isinstance(value, DualRow):
            numbers = [builder.extract_element(part, lane) for part in _split(context, builder, value, arguments[1])]
        else:
            number = context.cast(builder, arguments[1], signature.args[1], row.dtype)
            numbers = [number, ir.Constant(number.type, 0.0)]
        if isinstance(row, Row):
            return builder.insert_element(arguments[0], numbers[0], lane)
        parts = zip(_split(context, builder, row, arguments[0]), numbers, strict=True)
        return _joined(context, builder, row, *(builder.insert_element(part, number, lane) for part, number in parts))

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
    """Sum of the numbers of a row; of a dual row, without the change."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, lanes = arguments[0], LANES
        if isinstance(row, DualRow):
            value, _ = _split(context, builder, row, value)
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
