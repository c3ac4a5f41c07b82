from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dspy_session.conversation.breaker import FIRST_HOLD, LIMIT, LONGEST_HOLD, Breaker


def after(failures):
    breaker = Breaker()
    for _ in range(failures):
        breaker = breaker.failed(breaker)
    return breaker


def test_a_few_failures_hold_nothing():
    breaker = after(LIMIT - 1)
    assert breaker.hold == 0
    assert breaker.at_once(8) == 8


def test_then_it_is_left_alone_and_tried_with_one():
    breaker = after(LIMIT)
    assert breaker.hold == FIRST_HOLD
    assert breaker.at_once(8) == 1


def test_the_holds_double_up_to_a_limit():
    assert [after(LIMIT + more).hold for more in range(8)] == [5, 10, 20, 40, 80, 160, 300, 300]


def test_what_was_under_way_together_counts_once():
    before, breaker = after(LIMIT - 1), after(LIMIT)
    for _ in range(7):
        breaker = breaker.failed(before)
    assert breaker == after(LIMIT)


@given(st.integers(0, 3_000))
def test_no_row_of_failures_is_too_long(failures):
    assert after(failures).hold <= LONGEST_HOLD
