"""The rule by which accounts are charged, without a store."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from dspy_session.stores.ledger import SKEW_SECONDS, Adjustment, Balance, Charge, Refusal, adjusted, charged

NOW = 1_790_000_000.0
capacities = st.floats(0.01, 1e6)
refills = st.one_of(st.just(0.0), st.floats(1e-5, 1e3))
portions = st.floats(0.0, 1.0)
steps = st.lists(st.tuples(portions, st.floats(-SKEW_SECONDS, 600.0)), max_size=40)


@given(capacities, refills, steps)
def test_no_order_of_times_admits_more_than_the_capacity_and_what_came_back(capacity, refill, taken):
    balances: dict[str, Balance] = {}
    admitted, first, latest = 0.0, NOW - SKEW_SECONDS, NOW - SKEW_SECONDS
    for portion, step in taken:
        at = max(first, latest + step)  # a clock that is ahead of all others, or behind by what clocks may be
        after = charged(balances, [Charge("a", portion * capacity, capacity, refill)], at)
        if isinstance(after, dict):
            balances = after
            admitted += portion * capacity
            latest = max(latest, at)
    assert admitted <= (capacity + refill * (latest - first)) * 1.0001 + 1e-3 * refill


@given(capacities, st.floats(1e-5, 1e3), portions, portions, st.floats(0.0, 600.0))
def test_what_is_refused_until_a_time_works_at_that_time(capacity, refill, first, second, later):
    balances = charged({}, [Charge("a", first * capacity, capacity, refill)], NOW)
    assert isinstance(balances, dict)
    again = [Charge("a", second * capacity, capacity, refill)]
    refusal = charged(balances, again, NOW + later)
    if isinstance(refusal, Refusal):
        assert NOW + later < refusal.at < math.inf
        assert isinstance(charged(balances, again, refusal.at), dict)
        early = refusal.at - max(0.001, 1e-8 * capacity / refill)  # more than what rounding may give away
        assert early < NOW + later or isinstance(charged(balances, again, early), Refusal)


@given(capacities, portions, st.floats(-2e6, 2e6))
def test_an_adjustment_is_what_is_really_used(capacity, reserved, difference):
    balances = charged({}, [Charge("a", reserved * capacity, capacity, ends_at=NOW + 9.0)], NOW)
    assert isinstance(balances, dict)
    (after,) = adjusted(balances, [Adjustment("a", difference)], NOW).values()
    assert math.isclose(after.used, max(0.0, reserved * capacity + difference), abs_tol=1e-6)
    assert after.expires_at == NOW + 9.0
