"""From a message to its answer."""

from __future__ import annotations

import asyncio
import gc
import logging
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_session import ConfigurationError, SessionError, sessionify
from dspy_session.conversation import TurnEvent
from dspy_session.errors import PlatformError, StoreError
from dspy_session.stores import Forget, MemoryStore
from dspy_session_chat import Bot, Manners
from tests.chat.places import Place, StreamingPlace, TypingPlace, message
from tests.stub_lm import StubModel


class Parrot(dspy.Module):
    """Repeats what was said, after a gate if a test set one."""

    def __init__(self) -> None:
        super().__init__()
        self.started = asyncio.Event()
        self.gate: asyncio.Event | None = None
        self.settings: list[tuple[Any, Any]] = []

    async def aforward(self, message: str, history: dspy.History) -> dspy.Prediction:
        self.started.set()
        self.settings.append((dspy.settings.trace, dspy.settings.disable_history))
        if self.gate is not None:
            await self.gate.wait()
        if message == "fail":
            raise RuntimeError("the secret reason")
        return dspy.Prediction(reply=f"{message}! ({len(history.messages)} before)")


def bot(agent: dspy.Module, *places: Place, **options: Any) -> Bot:
    return Bot(sessionify(agent, copy_mode="none"), platforms=places, store="memory://", **options)


async def test_a_message_is_answered_and_remembered() -> None:
    place = Place()
    async with bot(Parrot(), place):
        await place.say(message("one"))
        await place.say(message("two"))
        await place.say(message("elsewhere", thread="t2"))
        assert sorted(await place.posted(3)) == ["elsewhere! (0 before)", "one! (0 before)", "two! (1 before)"]


async def test_a_post_carries_its_message_and_its_turn() -> None:
    place = Place()
    async with bot(Parrot(), place) as running:
        await place.say(message("one"))
        await place.posted(1)
        (turn,) = (await running.conversations.state(message("one").key)).turns
    (post,) = place.posts
    assert post.inbound == message("one")
    assert post.turn_id == turn.id


async def test_answers_in_a_thread_come_in_order() -> None:
    place, agent = Place(), Parrot()
    agent.gate = asyncio.Event()
    async with bot(agent, place):
        for number in range(8):
            await place.say(message(f"m{number}"))
        agent.gate.set()
        assert await place.posted(8) == [f"m{number}! ({number} before)" for number in range(8)]


async def test_the_same_event_is_answered_once() -> None:
    place = Place()
    async with bot(Parrot(), place):
        for _ in range(3):
            await place.say(message("one", "e1"))
        await place.say(message("last", "e2"))
        assert await place.posted(2) == ["one! (0 before)", "last! (1 before)"]
    assert len(place.posts) == 2


async def test_the_same_event_is_answered_once_also_over_a_restart(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bot.db"
    for expected in (["one! (0 before)"], ["two! (1 before)"]):
        place = Place()
        async with Bot(Parrot(), platforms=[place], store=url):
            await place.say(message("one", "e1"))
            if expected[0].startswith("two"):
                await place.say(message("two", "e2"))
            assert await place.posted(1) == expected


async def test_several_platforms_share_one_bot() -> None:
    here, there = Place(), Place()
    async with bot(Parrot(), here, there):
        await here.say(message("one"))
        await there.say(message("two", thread="t2"))
        assert await here.posted(1) == ["one! (0 before)"]
        assert await there.posted(1) == ["two! (0 before)"]


async def test_a_failure_is_one_friendly_line_with_a_reference(caplog: pytest.LogCaptureFixture) -> None:
    place = Place()
    async with bot(Parrot(), place):
        await place.say(message("fail"))
        (text,) = await place.posted(1)
        await place.say(message("next"))
        assert (await place.posted(2))[1] == "next! (0 before)"
    assert "secret" not in text
    assert "\n" not in text
    reference = text.split("reference ")[1].rstrip(").")
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert reference in record.getMessage()
    assert "the secret reason" in caplog.text


async def test_a_platform_that_cannot_post_does_not_stop_the_bot(caplog: pytest.LogCaptureFixture) -> None:
    place, agent = Place(), Parrot()
    place.post_error = PlatformError("the channel is gone")
    async with bot(agent, place):
        await place.say(message("one"))
        await agent.started.wait()
        agent.started.clear()
        await place.say(message("two"))
        await agent.started.wait()  # the first one gave its conversation free
        place.post_error = None
        assert "two! (1 before)" in await place.posted(1)
    assert "the channel is gone" in caplog.text


async def test_an_empty_answer_is_said() -> None:
    place, stub = Place(), StubModel(lambda prompt: {"reply": ""})
    async with bot(dspy.Predict("message -> reply"), place, lm=stub.lm):
        await place.say(message("one"))
        assert await place.posted(1) == ["(The agent had nothing to say.)"]


async def test_the_model_of_the_bot_is_used_and_nothing_is_kept_of_prompts() -> None:
    place, stub, agent = Place(), StubModel(lambda prompt: {"reply": "from the stub"}), Parrot()
    async with bot(dspy.Predict("message -> reply"), place, lm=stub.lm):
        await place.say(message("one"))
        assert await place.posted(1) == ["from the stub"]
    assert stub.lm.history == []
    other = Place()
    async with bot(agent, other):
        await other.say(message("two"))
        await other.posted(1)
    assert agent.settings == [([], True)]


async def test_typing_shows_while_the_agent_works() -> None:
    place, agent = TypingPlace(), Parrot()
    agent.gate = asyncio.Event()
    async with bot(agent, place):
        await place.say(message("one"))
        await agent.started.wait()
        assert place.typing_now == 1
        agent.gate.set()
        await place.posted(1)
    assert (place.typing_now, place.typed) == (0, ["one"])


async def test_text_streams_in_and_the_whole_answer_is_posted() -> None:
    place, stub = StreamingPlace(), StubModel(lambda prompt: {"reply": "one two three"})
    async with bot(dspy.Predict("message -> reply"), place, lm=stub.lm):
        await place.say(message("hello"))
        assert await place.posted(1) == ["one two three"]
    pieces = [text for kind, text in place.shown if kind == "text"]
    assert "".join(pieces) == "one two three"
    assert len([piece for piece in pieces if piece]) > 1
    assert place.streams_open == 0


async def test_nothing_more_is_shown_once_another_process_has_the_conversation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dspy_session_chat.running.SURE_SECONDS", 0.0)
    store, key, shown = MemoryStore(), str(message("hello").key), asyncio.Event()

    class Taken(StreamingPlace):
        async def append(self, text: str) -> None:
            await super().append(text)
            await store.forget(Forget(key=key))  # as good as taken over
            shown.set()

    place, stub = Taken(), StubModel(lambda prompt: {"reply": "one two three"})
    session = sessionify(dspy.Predict("message -> reply"), copy_mode="none")
    async with Bot(session, platforms=[place], store=store, lm=stub.lm) as running:
        await place.say(message("hello"))
        await shown.wait()
        await running.conversations.state(key)  # once nobody works on it any more
    assert len(place.shown) == 1
    assert place.posts == []


async def test_tools_show_a_status() -> None:
    def search(query: str) -> str:
        """Search."""
        return "found"

    def think(prompt: Any) -> dict[str, Any]:
        done = "found" in prompt.text
        return {"next_tool_name": "finish" if done else "search", "next_tool_args": {} if done else {"query": "q"}}

    place, stub = StreamingPlace(), StubModel(think)
    async with bot(dspy.ReAct("message -> reply", tools=[search]), place, lm=stub.lm):
        await place.say(message("hello"))
        await place.posted(1)
    assert ("status", "Using search…") in place.shown


async def test_sinks_hear_of_each_turn_and_are_closed() -> None:
    class Collector:
        def __init__(self) -> None:
            self.events: list[TurnEvent] = []
            self.closed = False

        async def send(self, event: TurnEvent) -> None:
            self.events.append(event)

        async def aclose(self, grace: float = 5.0) -> None:
            self.closed = True

    place, sink = Place(), Collector()
    async with bot(Parrot(), place, sinks=[sink]):
        await place.say(message("one"))
        await place.posted(1)
        assert not sink.closed
    (event,) = sink.events
    assert (event.key, event.author, event.author_name) == (str(message("one").key), "U1", "Ann")
    assert sink.closed


async def test_stopping_finishes_what_is_under_way_and_takes_nothing_new() -> None:
    place, agent = Place(), Parrot()
    agent.gate = asyncio.Event()
    running = bot(agent, place)
    await running.__aenter__()
    await place.say(message("one"))
    await agent.started.wait()
    stopping = asyncio.create_task(running.__aexit__(None, None, None))
    await asyncio.sleep(0)
    with pytest.raises(SessionError, match="stopping"):
        await place.say(message("two"))
    assert not place.closed
    agent.gate.set()
    await stopping
    assert [post.text for post in place.posts] == ["one! (0 before)"]
    assert place.closed


async def test_stopping_does_not_wait_for_ever() -> None:
    place, agent = Place(), Parrot()
    agent.gate = asyncio.Event()
    async with bot(agent, place, grace=0.01):
        await place.say(message("one"))
        await agent.started.wait()
    assert place.posts == []


async def test_a_refusing_platform_ends_the_bot_with_its_reason() -> None:
    place, other = Place(), Place()
    place.refusal = PlatformError("the token is refused: make a new one")
    with pytest.raises(PlatformError, match="make a new one"):
        async with bot(Parrot(), place, other) as running:
            await running.serve()
    assert other.closed


async def test_serving_needs_a_running_bot() -> None:
    with pytest.raises(SessionError, match="not running"):
        await bot(Parrot(), Place()).serve()


async def test_a_store_that_cannot_open_is_said_before_anything_connects(tmp_path: Path) -> None:
    place = Place()
    with pytest.raises(StoreError, match="cannot be written"):
        async with Bot(Parrot(), platforms=[place], store=f"sqlite:///{tmp_path}/no/bot.db"):
            pass
    assert not place.connected.is_set()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"agent": "text"}, "must be a dspy.Module; got str"),
        ({"agent": dspy.Predict("a, b -> c")}, "2 text inputs"),
        ({"platforms": []}, "no platform"),
        ({"store": "redis://x"}, "redis: is no store"),
        ({"platforms": "slack"}, "must be a list"),
        ({"platforms": Place()}, "must be a list"),
        ({"platforms": ["slack"]}, "no platform: 'slack'"),
        ({"platforms": [Place(), Place]}, "the class Place in it: make one, Place(...)"),
        ({"access": ["U1"]}, "access must be an Access, such as access=Access("),
        ({"limits": "20/m"}, "limits must be a Limits, such as limits=Limits("),
        ({"manners": {}}, "manners must be a Manners, such as manners=Manners("),
        ({"files": 3}, "files must be a FileLimits, such as files=FileLimits("),
        ({"lm": "openai/gpt-4o-mini"}, 'write lm=dspy.LM("openai/gpt-4o-mini")'),
        ({"lm": dspy.LM}, "lm must be a language model"),
        ({"grace": "10s"}, "grace must be a number of seconds, 0 or more; got '10s'"),
        ({"grace": -1}, "grace must be"),
        ({"grace": float("inf")}, "grace must be"),
        ({"lease_seconds": 0}, "lease_seconds must be a number of seconds, more than 0; got 0"),
        ({"lease_seconds": True}, "lease_seconds must be"),
    ],
)
def test_bad_arguments_are_one_line(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Bot(**{"agent": Parrot(), "platforms": [Place()], **arguments})
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"channels": ["C1"]}, "channels must be a mapping of texts to texts"),
        ({"channels": {1: "always"}}, "channels must be a mapping of texts to texts"),
        ({"channels": {"C1": "sometimes"}}, "must be one of"),
        ({"respond": ["always"]}, "must be one of"),
        ({"buttons": "no"}, "buttons must be True or False; got 'no'"),
        ({"rerun_edits": 1}, "rerun_edits must be True or False; got 1"),
        ({"statuses": {"search": None}}, "statuses must be a mapping of texts to texts"),
        ({"statuses": "Searching…"}, "statuses must be a mapping of texts to texts"),
    ],
)
def test_bad_manners_are_one_line(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Manners(**options)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_an_agent_without_any_language_model_is_told_so_when_the_bot_starts() -> None:
    place = Place()
    with pytest.raises(ConfigurationError, match=r"no language model to ask: give the bot lm=dspy\.LM"):
        async with bot(dspy.Predict("message -> reply"), place):
            pass
    assert not place.connected.is_set()


async def test_a_language_model_may_be_the_predictors_own() -> None:
    place, stub, agent = Place(), StubModel(lambda prompt: {"reply": "of its own"}), dspy.Predict("message -> reply")
    agent.lm = stub.lm
    async with bot(agent, place):
        await place.say(message("one"))
        assert await place.posted(1) == ["of its own"]


def test_what_is_loaded_is_not_looked_through_while_a_bot_runs() -> None:
    class Leaving(Place):
        set_apart = 0

        async def run(self, receive: Any) -> None:
            self.set_apart = gc.get_freeze_count()
            raise PlatformError("the token is refused")

    before, place = gc.get_freeze_count(), Leaving()
    with pytest.raises(PlatformError, match="refused"):
        bot(Parrot(), place).run()
    assert place.set_apart > before
    assert gc.get_freeze_count() <= before  # what is loaded may have been set apart for the tests already
