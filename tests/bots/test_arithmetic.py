"""The calculator: right, and nothing else."""

from __future__ import annotations

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspy_session_bots.arithmetic import LONGEST, value_of


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(17 + 4) * 2 ** 3", 168),
        ("2^10", 1024),
        ("-7 // 2", -4),
        ("7 % 3", 1),
        ("1 / 4", 0.25),
        ("sqrt(2) ** 2", pytest.approx(2)),
        ("round(2.7) + abs(-1)", 4),
        (" 1e3 ", 1000.0),
        ("2 ** -1", 0.5),
        ("+5", 5),
    ],
)
def test_it_computes(expression: str, value: float) -> None:
    assert value_of(expression) == value


@given(st.integers(-999, 999), st.sampled_from("+-*"), st.integers(-999, 999))
def test_it_agrees_with_python(left: int, sign: str, right: int) -> None:
    operations = {"+": operator.add, "-": operator.sub, "*": operator.mul}
    assert value_of(f"({left}) {sign} ({right})") == operations[sign](left, right)


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("__import__('os').system('true')", "is no arithmetic"),
        ("().__class__", "is no arithmetic"),
        ("[1 for _ in (1,)]", "is no arithmetic"),
        ("'a' * 3", "is no arithmetic"),
        ("True + 1", "is no arithmetic"),
        ("lambda: 1", "is no arithmetic"),
        ("exec(1)", "is no arithmetic"),
        ("round(1, 2)", "is no arithmetic"),
        ("1 if 1 else 2", "is no arithmetic"),
        ("1 +", "is no arithmetic"),
        ("", "is no arithmetic"),
        ("(" * 150, "is no arithmetic"),
        ("1; 2", "is no arithmetic"),
        ("1 / 0", "division by zero"),
        ("9 ** 9 ** 9", "too large"),
        ("2 ** 4000 * 2 ** 4000", "too large"),
        ("9.0 ** 999", "too large"),
        ("1e400", "too large"),
        ("1e308 * 10 - 1e308 * 10", "too large"),
        ("(-8) ** 0.5", "no real number"),
        ("sqrt(-1)", "math domain error"),
        ("1" * (LONGEST + 1), "too long"),
    ],
)
def test_it_refuses(expression: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        value_of(expression)
