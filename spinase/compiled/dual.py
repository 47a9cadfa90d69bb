"""Dual rows: values and their tangents, so that code written for rows gives its own directional derivative.

A tangent x_dot of x is d/de x(e) at e = 0, where the inputs move with e.  Sums and products of dual rows follow the rules

    (a + b)_dot = a_dot + b_dot,    (a - b)_dot = a_dot - b_dot,    (a b)_dot = a_dot b + a b_dot,

and rows and numbers among them are constants, without a tangent.  Dual rows come from pairs of arrays, by
:func:`spinase.compiled.rows.load`, and from :func:`dual`; :func:`spinase.compiled.rows.store` writes both parts to a pair.
Importing this module is what teaches numba the arithmetic.  There is no division: invariants need none.
"""

from __future__ import annotations

import operator
from typing import Any

from numba.extending import intrinsic, overload

from spinase.compiled.vector_types import DualRow, Row, broadcast, joined, operand, split


def _product(context: Any, builder: Any, left: Any, right: Any) -> tuple[Any, Any]:
    (a, da), (b, db) = left, right
    tangent = builder.fmul(a, db, flags=("contract",)) if da is None else builder.fmul(da, b, flags=("contract",))
    if da is not None and db is not None:
        tangent = builder.fadd(tangent, builder.fmul(a, db, flags=("contract",)), flags=("contract",))
    return builder.fmul(a, b, flags=("contract",)), tangent


def _sum_or_difference(name: str) -> Any:
    def calculate(context: Any, builder: Any, left: Any, right: Any) -> tuple[Any, Any]:
        (a, da), (b, db) = left, right
        if da is None:
            tangent = builder.fneg(db) if name == "fsub" else db
        else:
            tangent = da if db is None else getattr(builder, name)(da, db, flags=("contract",))
        return getattr(builder, name)(a, b, flags=("contract",)), tangent

    return calculate


def _operation(rule: Any) -> Any:
    """An intrinsic for two operands, one of them a dual row, the other a dual row, a row or a number."""

    @intrinsic
    def calculate(typing: Any, left: Any, right: Any) -> Any:
        dual = left if isinstance(left, DualRow) else right

        def pair(context: Any, builder: Any, kind: Any, value: Any) -> tuple[Any, Any]:
            if isinstance(kind, DualRow):
                return split(context, builder, kind, value)
            return operand(context, builder, kind, value, Row(dual.dtype)), None

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kinds = zip(signature.args, arguments, strict=True)
            operands = [pair(context, builder, kind, value) for kind, value in kinds]
            return joined(context, builder, dual, *rule(context, builder, *operands))

        return dual(left, right), code

    return calculate


def _overload_for_duals(operator_: Any, rule: Any) -> None:
    calculate = _operation(rule)

    def _of_duals(left, right):  # type: ignore[no-untyped-def]  # numba wants the same signature in both
        if isinstance(left, DualRow) or isinstance(right, DualRow):
            return lambda left, right: calculate(left, right)
        return None

    overload(operator_)(_of_duals)


_overload_for_duals(operator.add, _sum_or_difference("fadd"))
_overload_for_duals(operator.sub, _sum_or_difference("fsub"))
_overload_for_duals(operator.mul, _product)


@intrinsic
def dual(typing: Any, value: Any, tangent: Any) -> Any:
    """A dual row with one number and its tangent in all lanes."""
    kind = DualRow(value)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return joined(context, builder, kind, *(broadcast(builder, part) for part in arguments))

    return kind(value, tangent), code


__all__ = ["DualRow", "dual"]
