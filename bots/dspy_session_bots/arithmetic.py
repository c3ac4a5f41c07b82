"""Arithmetic on text, without ``eval``: for an agent's calculator, whose input a model writes."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable

LONGEST = 200
"""Characters of an expression."""
MOST_BITS = 4096
"""Of a whole number: enough for 1,233 digits."""

Number = int | float

_BINARY: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_UNARY: dict[type[ast.unaryop], Callable[[Number], Number]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_FUNCTIONS: dict[str, Callable[[Number], Number]] = {"sqrt": math.sqrt, "abs": abs, "round": round}


def value_of(expression: str) -> Number:
    """What an expression of numbers, ``+ - * / // % **``, parentheses, ``sqrt``, ``abs`` and ``round`` comes to.

    Raises:
        ValueError: It is none, or has no value; the message says why.
    """
    if len(expression) > LONGEST:
        raise ValueError(f"the expression is too long; at most {LONGEST} characters are read")
    try:
        value = _value(ast.parse(expression.strip().replace("^", "**"), mode="eval").body)
    except ZeroDivisionError:
        raise ValueError("a division by zero has no value") from None
    except OverflowError:
        raise ValueError("the result is too large") from None
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueError(f"{expression!r} is no arithmetic") from None
    if value.bit_length() > MOST_BITS if isinstance(value, int) else not math.isfinite(value):
        raise ValueError("the result is too large")
    return value


def _value(node: ast.expr) -> Number:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return number
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_value(left), _value(right))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](_value(left), _value(right))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return _UNARY[type(op)](_value(operand))
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](_value(argument))
    raise ValueError(f"{ast.unparse(node)!r} is no arithmetic")


def _power(base: Number, exponent: Number) -> Number:
    # Seen before it is computed: a tower of powers would take all memory there is.
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * abs(exponent) > MOST_BITS:
        raise OverflowError
    result = base**exponent
    if isinstance(result, complex):
        raise ValueError("the result is no real number")  # noqa: TRY004  # the types were right
    return result
