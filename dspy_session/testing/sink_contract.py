"""The contract of a durable sink, as tests.

Subclass it in a test module of yours, with two fixtures: ``make_sink`` returns a function that makes the same sink each
time, as after a restart, and ``other_side`` is where its deliveries go::

    class TestMySink(SinkContract):
        secrets = ("hunter2",)

        @pytest.fixture
        def other_side(self):
            return MyServer()  # an OtherSide

        @pytest.fixture
        def make_sink(self, other_side):
            return lambda: MySink(other_side.address, password="hunter2")

Needs pytest with pytest-asyncio in its auto mode.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Protocol

from dspy_session.conversation.protocols import ChangeEvent, ConversationEvent, DurableSink, TurnEvent
from dspy_session.stores.outgoing import Batch, Delivery, Settlement
from dspy_session.turn import Turn

MakeSink = Callable[[], DurableSink]

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KEYS = ("slack:T1:C1:1700000000.000100", "discord::42", "my own key", "näme:ключ:鍵", "../../etc/passwd", "%00:%3A")


class OtherSide(Protocol):
    """Where a sink's deliveries go, as far as the contract has to know it."""

    def arrived(self) -> Sequence[str]:
        """The ids of all that was accepted, in order of arrival."""
        ...

    def fail(self) -> None:
        """From now on, accept nothing."""
        ...

    def mend(self) -> None:
        """Accept what comes again."""
        ...


class _Odd:
    """A value that has no JSON form, and cannot be copied either."""

    def __deepcopy__(self, memo: dict[int, object]) -> _Odd:
        return self


def turn_event(number: int = 0, key: str = KEYS[0], **inputs: object) -> TurnEvent:
    """A turn that can be told from others; the same each time."""
    turn = Turn(
        number,
        {"question": f"question {number} ä \ud83d '\"\n", **inputs},
        {"answer": f"answer {number}"},
        score=0.5,
        id=f"{key}#{number}",
        created_at=NOON,
    )
    return TurnEvent(
        key=key,
        turn=turn,
        author="slack:T1:U1",
        author_name="Ada",
        model="openai/gpt-5.4-mini",
        occurred_at=NOON,
        event_id=f"Ev{number}",
        agent_version="v1",
        usage={"openai/gpt-5.4-mini": {"prompt_tokens": 10, "completion_tokens": 5}},
        seconds=1.25,
    )


def everything() -> list[ConversationEvent]:
    """A turn, and a change of every kind."""
    return [turn_event(), *changes()]


def changes() -> list[ChangeEvent]:
    """A change of every kind."""
    scored = {"turn_id": "t1", "score": 1.0, "by": "slack:T1:U1", "text": "well said", "source": "button"}
    return [
        ChangeEvent("turn.scored", KEYS[0], "c1", NOON, scored),
        ChangeEvent("conversation.undone", KEYS[0], "c2", NOON, {"turn_ids": ["t2", "t1"]}),
        ChangeEvent("conversation.reset", KEYS[0], "c3", NOON),
        ChangeEvent("conversation.forked", KEYS[0], "c4", NOON, {"from_key": KEYS[1]}),
        ChangeEvent("conversation.deleted", KEYS[0], "c5", NOON),
    ]


def batch_of(sink: DurableSink, events: Sequence[ConversationEvent], attempt: int = 1) -> Batch:
    """The batch that a store would give out for events of one conversation."""
    deliveries = [made for event in events if (made := sink.encode(event)) is not None]
    return Batch(sink.name, events[0].key, 1, attempt, deliveries)


@asynccontextmanager
async def opened(make_sink: MakeSink) -> AsyncIterator[DurableSink]:
    """A sink for the time of a block."""
    sink = make_sink()
    await sink.aopen()
    try:
        yield sink
    finally:
        await sink.aclose(1.0)


class SinkContract:
    """What every durable sink must do. The one that is made must tell of turns.

    Attributes:
        secrets: Texts that the sink is made with and that must never be said.
    """

    secrets: tuple[str, ...] = ()

    def test_it_is_a_durable_sink_with_limits(self, make_sink: MakeSink) -> None:
        sink = make_sink()
        assert isinstance(sink, DurableSink)
        assert sink.batch >= 1
        assert sink.concurrency >= 1
        assert 0 < sink.timeout < 3600

    def test_its_name_is_the_same_after_a_restart(self, make_sink: MakeSink) -> None:
        name = make_sink().name
        assert isinstance(name, str)
        assert name
        assert name.isprintable()
        assert make_sink().name == name

    def test_it_says_no_secret(self, make_sink: MakeSink) -> None:
        sink = make_sink()
        self._says_no_secret(sink.name, repr(sink), str(sink))

    def test_the_same_event_makes_the_same_delivery(self, make_sink: MakeSink) -> None:
        one, other = make_sink(), make_sink()
        for event in everything():
            made = one.encode(event)
            assert made == one.encode(event) == other.encode(event)
        assert one.encode(turn_event()) == other.encode(turn_event()), "also when it was read again"

    def test_a_delivery_is_the_sinks_own(self, make_sink: MakeSink) -> None:
        sink = make_sink()
        made = [each for event in everything() if (each := sink.encode(event)) is not None]
        assert made, "it tells of something"
        for each in made:
            assert isinstance(each, Delivery)
            assert (each.sink, each.at) == (sink.name, NOON.timestamp())
            assert each.id
            assert isinstance(each.body, bytes)

    def test_different_events_have_different_ids(self, make_sink: MakeSink) -> None:
        sink = make_sink()
        events: list[ConversationEvent] = [
            *(turn_event(number, key) for number in range(3) for key in KEYS),
            *changes(),
        ]
        ids = [made.id for event in events if (made := sink.encode(event)) is not None]
        assert len(set(ids)) == len(ids)

    def test_encoding_leaves_the_event_as_it_was(self, make_sink: MakeSink) -> None:
        event = turn_event(tags=["a", "b"])
        make_sink().encode(event)
        assert event == turn_event(tags=["a", "b"])

    def test_a_value_that_cannot_be_told_costs_no_turn(self, make_sink: MakeSink) -> None:
        nested: list[object] = []
        nested.append(nested)
        for value in (_Odd(), {"x": [_Odd()]}, nested, float("nan"), "\ud800", b"\xff", 10**5000):
            make_sink().encode(turn_event(thing=value))

    async def test_what_is_delivered_arrives_in_order(self, make_sink: MakeSink, other_side: OtherSide) -> None:
        async with opened(make_sink) as sink:
            told: list[str] = []
            for start in range(0, 3 * sink.batch, sink.batch):
                batch = batch_of(sink, [turn_event(number) for number in range(start, start + sink.batch)])
                assert await self._deliver(sink, batch) == Settlement("delivered")
                told += [each.id for each in batch.deliveries]
            assert list(other_side.arrived()) == told

    async def test_conversations_are_delivered_side_by_side(self, make_sink: MakeSink, other_side: OtherSide) -> None:
        async with opened(make_sink) as sink:
            batches = [batch_of(sink, [turn_event(0, key)]) for key in KEYS]
            for start in range(0, len(batches), sink.concurrency):
                some = batches[start : start + sink.concurrency]
                settlements = await asyncio.gather(*(self._deliver(sink, batch) for batch in some))
                assert {settlement.outcome for settlement in settlements} == {"delivered"}
            assert sorted(other_side.arrived()) == sorted(batch.deliveries[0].id for batch in batches)

    async def test_a_repetition_has_the_same_id(self, make_sink: MakeSink, other_side: OtherSide) -> None:
        """As when nobody heard that it had worked: it may arrive once more, and is told by its id."""
        async with opened(make_sink) as sink:
            batch = batch_of(sink, [turn_event()])
            for _ in range(2):
                assert (await self._deliver(sink, batch)).outcome == "delivered"
        async with opened(make_sink) as sink:  # after a restart
            assert (await self._deliver(sink, batch_of(sink, [turn_event()], attempt=2))).outcome == "delivered"
            assert set(other_side.arrived()) == {batch.deliveries[0].id}

    async def test_a_failure_is_an_answer_and_the_next_attempt_may_work(
        self, make_sink: MakeSink, other_side: OtherSide
    ) -> None:
        async with opened(make_sink) as sink:
            other_side.fail()
            events = [turn_event(number) for number in range(min(sink.batch, 3))]
            for attempt in (1, 2):
                settlement = await self._deliver(sink, batch_of(sink, events, attempt))
                assert settlement.outcome == "retry"
                assert settlement.delay > 0
                assert settlement.hold >= 0
                assert settlement.reason
                self._says_no_secret(settlement.reason)
            other_side.mend()
            batch = batch_of(sink, events, attempt=3)
            assert (await self._deliver(sink, batch)).outcome == "delivered"
            assert list(other_side.arrived()) == [each.id for each in batch.deliveries]

    async def test_no_number_of_attempts_is_too_many(self, make_sink: MakeSink, other_side: OtherSide) -> None:
        async with opened(make_sink) as sink:
            other_side.fail()
            for attempt in (10, 11, 100_000):
                settlement = await self._deliver(sink, batch_of(sink, [turn_event()], attempt))
                assert settlement.outcome in ("retry", "parked")
            other_side.mend()

    async def test_a_cancelled_delivery_may_be_made_again(self, make_sink: MakeSink, other_side: OtherSide) -> None:
        async with opened(make_sink) as sink:
            batch = batch_of(sink, [turn_event()])
            delivering = asyncio.create_task(sink.deliver(batch))
            await asyncio.sleep(0)
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)
            assert (await self._deliver(sink, batch)).outcome == "delivered"
            assert set(other_side.arrived()) == {batch.deliveries[0].id}

    async def test_closing_twice_does_no_harm_and_it_opens_again(
        self, make_sink: MakeSink, other_side: OtherSide
    ) -> None:
        sink = make_sink()
        await sink.aclose(0.0)
        for number in range(2):
            await sink.aopen()
            assert (await self._deliver(sink, batch_of(sink, [turn_event(number)]))).outcome == "delivered"
            await sink.aclose(1.0)
            await sink.aclose(1.0)
        assert len(other_side.arrived()) == 2

    async def _deliver(self, sink: DurableSink, batch: Batch) -> Settlement:
        async with asyncio.timeout(sink.timeout):
            settlement = await sink.deliver(batch)
        assert isinstance(settlement, Settlement)
        return settlement

    def _says_no_secret(self, *said: str) -> None:
        for secret in self.secrets:
            assert not any(secret in text for text in said), "what is said holds a secret"
