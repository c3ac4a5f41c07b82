from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dspy_session_webhook.body import Message
from dspy_session_webhook.lanes import Lanes
from dspy_session_webhook.schedule import Delivered, Disable, Park, Retry


def message(number, lane="a", size=1):
    return Message(str(number), lane, b"x" * size)


@pytest.fixture
def lanes():
    return Lanes(capacity=1_000)


def test_one_at_a_time_and_in_order_within_a_lane(lanes):
    for number in range(3):
        lanes.put(message(number), 0)
    seen = []
    while (claim := lanes.claim(0)) is not None:
        assert lanes.claim(0) is None, "the lane is taken"
        seen.append(claim.message.id)
        lanes.settle(claim, Delivered(), 0)
    assert seen == ["0", "1", "2"]
    assert (lanes.waiting, lanes.next_due()) == (0, None)


def test_lanes_side_by_side(lanes):
    lanes.put(message(1, "a"), 0)
    lanes.put(message(2, "b"), 0)
    assert [lanes.claim(0).message.lane for _ in "ab"] == ["a", "b"]


def test_a_busy_lane_takes_turns_with_the_others(lanes):
    for number in range(3):
        lanes.put(message(number, "busy"), 0)
    lanes.put(message(9, "quiet"), 1)
    lanes.settle(lanes.claim(2), Delivered(), 2)
    assert lanes.claim(2).message.lane == "quiet"


def test_what_failed_comes_again_when_it_is_due_and_the_rest_waits_behind_it(lanes):
    lanes.put(message(1), 0)
    lanes.put(message(2), 0)
    lanes.settle(lanes.claim(0), Retry(5), 10)
    assert lanes.claim(14.9) is None
    assert lanes.next_due() == 15
    again = lanes.claim(15)
    assert (again.message.id, again.attempt) == ("1", 2)


def test_attempts_are_counted_for_each_message(lanes):
    lanes.put(message(1), 0)
    lanes.put(message(2), 0)
    lanes.settle(lanes.claim(0), Retry(5), 0)
    lanes.settle(lanes.claim(5), Delivered(), 5)
    assert lanes.claim(5).attempt == 1


def test_a_hold_is_for_every_lane(lanes):
    lanes.put(message(1, "a"), 0)
    lanes.put(message(2, "b"), 0)
    lanes.settle(lanes.claim(0), Retry(5, hold=60), 0)
    assert lanes.claim(59) is None
    assert lanes.next_due() == 60
    assert {lanes.claim(60).message.lane, lanes.claim(60).message.lane} == {"a", "b"}


def test_a_shorter_hold_does_not_lift_a_longer_one(lanes):
    for lane in "ab":
        lanes.put(message(1, lane), 0)
    first, second = lanes.claim(0), lanes.claim(0)
    lanes.settle(first, Retry(5, hold=60), 0)
    lanes.settle(second, Retry(5, hold=1), 0)
    assert lanes.next_due() == 60


def test_a_parked_lane_stands_still_keeps_what_comes_and_goes_on_where_it_stopped(lanes):
    lanes.put(message(1), 0)
    lanes.settle(lanes.claim(0), Park(), 0)
    lanes.put(message(2), 0)
    assert lanes.claim(1e9) is None
    assert (lanes.parked, lanes.waiting, lanes.next_due()) == (("a",), 2, None)
    lanes.resume(7)
    claim = lanes.claim(7)
    assert (lanes.parked, claim.message.id, claim.attempt) == ((), "1", 1)
    lanes.settle(claim, Delivered(), 7)
    assert lanes.claim(7).message.id == "2"


def test_resuming_leaves_other_lanes_alone(lanes):
    lanes.put(message(1, "a"), 0)
    lanes.put(message(2, "b"), 0)
    lanes.settle(lanes.claim(0), Retry(5), 0)
    under_way = lanes.claim(0)
    lanes.resume(0)
    assert lanes.claim(0) is None
    lanes.settle(under_way, Delivered(), 0)
    assert lanes.claim(5).attempt == 2


def test_a_disabled_endpoint_gives_everything_up_and_takes_nothing_more(lanes):
    for number, lane in enumerate("aab"):
        lanes.put(message(number, lane), 0)
    first, second = lanes.claim(0), lanes.claim(0)
    assert lanes.settle(first, Disable(), 0) == 3
    assert lanes.settle(second, Delivered(), 0) == 0
    assert (lanes.waiting, lanes.next_due(), lanes.claim(0)) == (0, None, None)
    assert lanes.put(message(4), 0) == "the endpoint is disabled"


def test_what_does_not_fit_is_refused_until_there_is_room_again():
    lanes = Lanes(capacity=10)
    assert lanes.put(message(1, size=6), 0) == ""
    assert lanes.put(message(2, size=5), 0) == "10 bytes are waiting already"
    assert lanes.put(message(3, size=4), 0) == ""
    claim = lanes.claim(0)
    assert lanes.put(message(4, size=1), 0), "what is under way still takes room"
    lanes.settle(claim, Delivered(), 0)
    assert lanes.put(message(5, size=6), 0) == ""
    assert lanes.waiting == 2


LANES = "abc"


class LanesMachine(RuleBasedStateMachine):
    """Against a model that is as plain as can be: a list of numbers for each lane."""

    @initialize(capacity=st.integers(1, 40))
    def start(self, capacity):
        self.capacity = capacity
        self.lanes = Lanes(capacity)
        self.now = 0.0
        self.model = defaultdict(list)
        self.under_way = {}
        self.next = 0

    @rule(lane=st.sampled_from(LANES), size=st.integers(0, 10))
    def put(self, lane, size):
        used = sum(size for waiting in self.model.values() for _, size in waiting)
        refused = self.lanes.put(message(self.next, lane, size), self.now)
        assert bool(refused) == (used + size > self.capacity)
        if not refused:
            self.model[lane].append((str(self.next), size))
        self.next += 1

    @rule()
    def claim(self):
        due = self.lanes.next_due()
        claim = self.lanes.claim(self.now)
        assert (claim is not None) == (due is not None and due <= self.now)
        if claim is not None:
            lane = claim.message.lane
            assert lane not in self.under_way
            assert claim.message.id == self.model[lane][0][0]
            self.under_way[lane] = claim

    @precondition(lambda self: self.under_way)
    @rule(
        data=st.data(),
        decision=st.one_of(
            st.just(Delivered()), st.just(Park()), st.builds(Retry, delay=st.integers(0, 9), hold=st.integers(0, 9))
        ),
    )
    def settle(self, data, decision):
        lane = data.draw(st.sampled_from(sorted(self.under_way)))
        assert self.lanes.settle(self.under_way.pop(lane), decision, self.now) == 0
        if decision == Delivered():
            self.model[lane].pop(0)

    @rule(seconds=st.integers(1, 20))
    def pass_time(self, seconds):
        self.now += seconds

    @rule()
    def resume(self):
        self.lanes.resume(self.now)

    @invariant()
    def nothing_is_lost(self):
        assert self.lanes.waiting == sum(map(len, self.model.values()))

    def teardown(self):
        for lane in list(self.under_way):
            self.lanes.settle(self.under_way.pop(lane), Delivered(), self.now)
            self.model[lane].pop(0)
        self.lanes.resume(self.now)
        while (due := self.lanes.next_due()) is not None:
            claim = self.lanes.claim(due)
            assert claim.message.id == self.model[claim.message.lane].pop(0)[0]
            self.lanes.settle(claim, Delivered(), due)
        assert not any(self.model.values()), "everything comes out in the end"
        assert self.lanes.waiting == 0


LanesMachine.TestCase.settings = settings(stateful_step_count=40)
TestAgainstAModel = LanesMachine.TestCase
