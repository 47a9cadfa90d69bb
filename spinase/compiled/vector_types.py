"""Types of the rows of :mod:`spinase.compiled.rows` for numba and LLVM, and how their code is built.

``Row(dtype)`` is an LLVM vector ``<LANES x dtype>`` (float32 or float64), passed by value and kept in registers.
``DualRow(dtype)`` is a pair of those, a value and its tangent (:mod:`spinase.compiled.dual`).  The functions here run while
numba compiles: `context`, `builder` and `kind` are its target context, its LLVM builder and its type of a value.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import PrimitiveModel, StructModel
from numba.extending import register_model

LANES = 16
"""Vector width: numbers in a row.  16 single-precision numbers fill one 512-bit register; LLVM splits wider rows."""


class Row(types.Type):
    """A vector of LANES numbers of one scalar type."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype = dtype
        super().__init__(name=f"Row({dtype})")


@register_model(Row)
class _RowModel(PrimitiveModel):
    def __init__(self, manager: Any, kind: Row) -> None:
        super().__init__(manager, kind, ir.VectorType(scalar_type(kind.dtype), LANES))


class DualRow(types.Type):
    """A row of values and a row of their tangents."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype = dtype
        super().__init__(name=f"DualRow({dtype})")


@register_model(DualRow)
class _DualRowModel(StructModel):
    def __init__(self, manager: Any, kind: DualRow) -> None:
        super().__init__(manager, kind, [("value", Row(kind.dtype)), ("tangent", Row(kind.dtype))])


def split(context: Any, builder: Any, kind: Any, dual: Any) -> tuple[Any, Any]:
    """Value and tangent of a dual row, two LLVM vectors.

    Parameters
    ----------
    context, builder
        Of numba and llvmlite, as an intrinsic's code is given them.
    kind : DualRow
        Its type.
    dual
        LLVM value.
    """
    both = cgutils.create_struct_proxy(kind)(context, builder, value=dual)
    return both.value, both.tangent


def joined(context: Any, builder: Any, kind: Any, value: Any, tangent: Any) -> Any:
    """The dual row of two LLVM vectors.

    Parameters
    ----------
    context, builder
        Of numba and llvmlite, as an intrinsic's code is given them.
    kind : DualRow
        Type of the result.
    value, tangent
        LLVM vectors of LANES numbers.
    """
    both = cgutils.create_struct_proxy(kind)(context, builder)
    both.value, both.tangent = value, tangent
    return both._getvalue()


def row_type_of(array: Any) -> Any:
    """Type of what is loaded from an array, Row, or from a pair of arrays (values, tangents), DualRow."""
    pair = isinstance(array, types.BaseTuple)  # type: ignore[attr-defined]
    return DualRow(array[0].dtype) if pair else Row(array.dtype)


def scalar_type(dtype: types.Float) -> ir.Type:
    """LLVM's name of a floating-point type."""
    return ir.FloatType() if dtype == types.float32 else ir.DoubleType()


def addresses(context: Any, builder: Any, kind: Any, array: Any, offset: Any) -> list[Any]:
    """Pointers to the row at element `offset` of an array, or of both of a pair.

    Parameters
    ----------
    context, builder
        Of numba and llvmlite, as an intrinsic's code is given them.
    kind
        Type of the array, or of the pair.
    array, offset
        LLVM values; the offset counts elements of the flat array.
    """
    if not isinstance(kind, types.BaseTuple):  # type: ignore[attr-defined]
        return [_address(context, builder, kind, array, offset)]
    parts = enumerate(kind)
    return [_address(context, builder, part, builder.extract_value(array, k), offset) for k, part in parts]


def _address(context: Any, builder: Any, array_type: Any, array: Any, offset: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    place = builder.gep(data, [offset])
    return builder.bitcast(place, ir.VectorType(scalar_type(array_type.dtype), LANES).as_pointer())


def broadcast(builder: Any, value: Any) -> Any:
    """A number in every lane."""
    kind = ir.VectorType(value.type, LANES)
    single = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(single, ir.Constant(kind, ir.Undefined), mask)


def operand(context: Any, builder: Any, kind: Any, value: Any, row: Row) -> Any:
    """A row as it is, a number in every lane.

    Parameters
    ----------
    context, builder
        Of numba and llvmlite, as an intrinsic's code is given them.
    kind
        Type of the value: a row's, or a number's.
    value
        LLVM value.
    row : Row
        Type of the row it meets, whose numbers it becomes.
    """
    return value if isinstance(kind, Row) else broadcast(builder, context.cast(builder, value, kind, row.dtype))
