"""What a message passes before it is answered, with a real store behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dspy_session import ConfigurationError
from dspy_session.errors import StoreBusyError
from dspy_session.stores import Forget, MemoryStore
from dspy_session_chat import Author
from dspy_session_chat.action import Action, Command
from dspy_session_chat.rules.access import NOT_YOU, Access
from dspy_session_chat.rules.gate import Admitted, Gate, Refused
from dspy_session_chat.rules.limits import Limits
from tests.chat.places import ANN, message
from tests.fake_clock import FakeClock

BOB = Author("U2", "Bob")
MODEL = "stub/stub"


def used(into: int, out: int = 0, model: str = MODEL) -> dict[str, dict[str, int]]:
    return {model: {"prompt_tokens": into, "completion_tokens": out}}


@pytest.fixture
async def store() -> AsyncIterator[MemoryStore]:
    store = MemoryStore()
    await store.open()
    yield store
    await store.aclose()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def gate(store: object, clock: FakeClock, access: Access | None = None, **limits: Any) -> Gate:
    return Gate(Limits(**limits), access or Access(), store, clock.time, [MODEL])


async def refusal(gate: Gate, author: Author = ANN, text: str = "hello") -> Refused:
    refused = await gate.admit(message(text, author=author))
    assert isinstance(refused, Refused)
    return refused


async def admitted(gate: Gate, author: Author = ANN) -> Admitted:
    admitted = await gate.admit(message("hello", author=author))
    assert isinstance(admitted, Admitted)
    return admitted


async def test_a_user_is_let_in_again_when_they_were_told(store: MemoryStore, clock: FakeClock) -> None:
    ours = gate(store, clock, per_user="2/m")
    for _ in range(2):
        await admitted(ours)
    refused = await refusal(ours)
    assert refused.line == "You have reached your limit of 2 messages a minute; it works again in 30 seconds."
    await admitted(ours, BOB)
    clock.advance(30.0)
    assert refused.retry_at == pytest.approx(clock.time(), abs=0.01)
    await admitted(ours)


async def test_who_may_not_talk_uses_nothing(store: MemoryStore, clock: FakeClock) -> None:
    ours = gate(store, clock, Access(deny_users=["U2"]), per_channel="1/d", input_characters=10)
    assert await refusal(ours, BOB) == Refused(NOT_YOU)
    assert (await refusal(ours, text="x" * 11)).line.startswith("Your message has 11 characters")
    await admitted(ours)


async def test_a_budget_is_reserved_before_and_settled_after(store: MemoryStore, clock: FakeClock) -> None:
    ours = gate(store, clock, tokens_a_day=10_000, reserve=4000)
    turns = [await admitted(ours) for _ in range(2)]
    refused = await refusal(ours)  # 2000 are left
    assert refused.line.startswith("I have used up what I may use in a day; it works again ")
    assert refused.retry_at is not None
    assert refused.retry_at % 86400 == 0
    await ours.settle(turns[0], used(900, 100))
    turn = await admitted(ours)  # 1000 + 4000 + 4000
    await ours.settle(turn, used(8000))
    await ours.settle(turns[1], {})  # it came to nothing: 9000
    await refusal(ours)
    clock.advance(refused.retry_at - clock.time())
    await admitted(ours)


async def test_where_a_provider_tells_no_counts_what_was_reserved_stands(
    store: MemoryStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    ours = gate(store, clock, tokens_a_day=10_000, reserve=5000)
    for _ in range(2):
        await ours.settle(await admitted(ours), {}, answered=True)
    await refusal(ours)
    assert "stub/stub told no counts" in caplog.text


async def test_where_nothing_is_budgeted_nobody_needs_to_tell_counts(
    store: MemoryStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    ours = gate(store, clock, per_user="1/m")
    await ours.settle(await admitted(ours), {}, answered=True)
    await refusal(ours)  # what was counted stands
    assert caplog.text == ""


async def test_a_small_budget_can_be_used_up(store: MemoryStore, clock: FakeClock) -> None:
    ours = gate(store, clock, user_tokens_a_day=100, reserve=4000)
    await ours.settle(await admitted(ours), {})
    await ours.settle(await admitted(ours), used(90, 30))  # more than there was
    assert (await refusal(ours)).line.startswith("You have used up what you may use of me in a day")
    await admitted(ours, BOB)


async def test_money_is_reserved_and_settled_too(store: MemoryStore, clock: FakeClock) -> None:
    ours = gate(store, clock, money_a_day=1.0, reserve=40_000, prices={MODEL: (1, 10)})  # 0.40 at most
    turns = [await admitted(ours) for _ in range(2)]
    await refusal(ours)
    await ours.settle(turns[0], used(100_000))  # 0.10
    await ours.settle(turns[1], used(0, 60_000))  # 0.60
    await refusal(ours)


async def test_where_the_price_is_not_known_what_was_reserved_stands(
    store: MemoryStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    ours = gate(store, clock, money_a_day=1.0, tokens_a_day=50_000, reserve=40_000, prices={MODEL: (1, 20)})
    await ours.settle(await admitted(ours), used(10, model="surprise/model"))
    assert "No price is known for one of surprise/model" in caplog.text
    assert (await refusal(ours)).line.startswith("I have used up")  # 0.80 of the money, though only 10 tokens
    assert len(caplog.records) == 1


def test_what_cannot_be_kept_is_said_at_the_start(store: MemoryStore, clock: FakeClock) -> None:
    with pytest.raises(ConfigurationError, match="no price is known for the model stub/stub"):
        gate(store, clock, user_money_a_day=1.0)
    with pytest.raises(ConfigurationError, match="object cannot count, so it keeps no limits"):
        gate(object(), clock, per_user="1/m")
    gate(object(), clock, tool_steps=3)


async def test_without_limits_nothing_is_counted(clock: FakeClock) -> None:
    ours = gate(object(), clock)
    turn = await admitted(ours)
    await ours.settle(turn, used(10))
    assert turn == Admitted()


async def test_a_command_counts_as_a_message(store: MemoryStore, clock: FakeClock) -> None:
    ours, said = gate(store, clock, per_user="1/h", input_characters=1), message("hi")
    command = Action(said.key, "c", said.author, said.sent_at, Command("summary", "of everything"))
    assert isinstance(await ours.admit(command), Admitted)
    assert isinstance(await ours.admit(command), Refused)


async def test_several_bots_that_share_a_store_share_its_limits(store: MemoryStore, clock: FakeClock) -> None:
    bots = [gate(store, clock, per_user="10/h", tokens_a_day=10**6) for _ in range(5)]
    decided = await asyncio.gather(*(bot.admit(message("hello")) for bot in bots * 10))
    assert sum(isinstance(each, Admitted) for each in decided) == 10


async def test_who_is_forgotten_is_counted_anew(store: MemoryStore, clock: FakeClock) -> None:
    ours = gate(store, clock, user_tokens_a_day=100)
    turn = await admitted(ours)
    await store.forget(Forget(author=message("hello").user))
    await ours.settle(turn, used(1000))
    await admitted(ours)


async def test_an_answer_stands_though_it_cannot_be_counted(
    store: MemoryStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def adjust(*arguments: object) -> None:
        raise StoreBusyError("the disk is full")

    ours = gate(store, clock, tokens_a_day=100)
    turn = await admitted(ours)
    with monkeypatch.context() as full:
        full.setattr(store, "adjust", adjust)
        await ours.settle(turn, used(1))
    assert "what was reserved counts: the disk is full" in caplog.text
    await refusal(ours)


async def test_what_is_counted_already_is_not_counted_twice(store: MemoryStore, clock: FakeClock) -> None:
    ours = gate(store, clock, per_user="1/h", user_tokens_a_day=100, reserve=100)
    assert isinstance(await ours.count(message("one")), Admitted)
    assert isinstance(await ours.admit(message("one"), counted=True), Admitted)
    assert (await refusal(ours)).line.startswith("You have")


async def test_a_refusal_is_news_once_until_it_works_again(store: MemoryStore, clock: FakeClock) -> None:
    ours = gate(store, clock, per_user="1/m")
    for _ in range(2):
        await admitted(ours)
        await admitted(ours, BOB)
        first, second, bobs = await refusal(ours), await refusal(ours), await refusal(ours, BOB)
        assert first.news == bobs.news == first.line == second.line
        assert (second.news, second.known) == ("", True)
        clock.advance(61)
