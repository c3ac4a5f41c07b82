"""What was taken over is answered, whatever happens in between."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_session import ConfigurationError, SessionError, sessionify
from dspy_session.conversation.runtime import Runtime
from dspy_session.errors import PlatformUnavailableError, StoreBusyError, StoreError
from dspy_session.stores import Commit, MemoryStore, Settled, SqliteStore, Work
from dspy_session_chat import Access, Bot, Manners, Posted
from dspy_session_chat.action import Action, Command, Press
from dspy_session_chat.duration import seconds_of
from dspy_session_chat.reply import Button, Link, Reply
from dspy_session_chat.waiting import Waiting
from tests.chat.places import Place, message


class Counting(dspy.Module):
    """Says how many turns it sees; waits where a test wants it to."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.gate: asyncio.Event | None = None
        self.started = asyncio.Event()

    async def aforward(self, message: str, history: dspy.History) -> dspy.Prediction:
        self.calls += 1
        self.started.set()
        if self.gate is not None:
            await self.gate.wait()
        return dspy.Prediction(reply=f"{message}, {len(history.messages)} before")


def bot(agent: dspy.Module, place: Any, store: Any, **options: Any) -> Bot:
    return Bot(sessionify(agent, copy_mode="none"), platforms=[place], store=store, **options)


async def test_what_was_not_answered_before_the_stop_is_answered_after_it(tmp_path: Path) -> None:
    url, agent, place = f"sqlite:///{tmp_path}/bot.db", Counting(), Place()
    agent.gate = asyncio.Event()
    async with bot(agent, place, url, grace=0.0):
        for text in ("one", "two"):
            await place.say(message(text))
        await agent.started.wait()
        running = place.receive
    assert running is not None
    with pytest.raises(SessionError, match="takes no more messages"):
        await running(message("three"))
    assert place.posts == []
    agent.gate.set()
    later = Place()
    async with bot(agent, later, url):
        assert await later.posted(2) == ["one, 0 before", "two, 1 before"]


async def test_an_answer_that_was_committed_is_posted_by_the_next_process(tmp_path: Path) -> None:
    url, agent, place = f"sqlite:///{tmp_path}/bot.db", Counting(), Place()
    place.post_error = PlatformUnavailableError("no network")
    async with bot(agent, place, url) as running:
        await place.say(message("one"))
        async with asyncio.timeout(10):
            while not (await running.conversations.store.read(str(message("one").key))).length:
                await running.conversations.store.changed(0.01)
    later = Place()
    async with bot(agent, later, url) as running:
        assert await later.posted(1) == ["one, 0 before"]
        (turn,) = (await running.conversations.state(message("one").key)).turns
    assert later.posts[0].turn_id == turn.id
    assert agent.calls == 1


async def test_an_answer_waits_for_its_platform(caplog: pytest.LogCaptureFixture) -> None:
    class Flaky(Place):
        refusals = 1

        async def post(self, post: Any) -> Posted:
            if self.refusals:
                self.refusals -= 1
                raise PlatformUnavailableError("no network")
            return await super().post(post)

    place, agent = Flaky(), Counting()
    async with bot(agent, place, "memory://"):
        await place.say(message("one"))
        await place.say(message("two"))
        assert await place.posted(2) == ["one, 0 before", "two, 1 before"]
    assert agent.calls == 2
    assert "no network" in caplog.text


@pytest.mark.parametrize("minutes", [1, 11])
async def test_an_answer_is_not_given_up_because_many_processes_tried_at_once(
    monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    monkeypatch.setattr("dspy_session.conversation.runtime.LONGEST_PAUSE", 0.0)

    class Tried(MemoryStore):
        async def take(self, lease: Any) -> Work | None:
            work = await super().take(lease)
            if work is None or not work.reply:
                return work
            return Work(work.arrival, work.attempts + 12, work.reply)

    place, agent = Place(), Counting()
    agent.gate = asyncio.Event()
    place.post_error = PlatformUnavailableError("no network")
    async with bot(agent, place, Tried()) as running:
        await place.say(message("one"))
        later = time.time() + 60.0 * minutes
        running.conversations.clock = lambda: later
        agent.gate.set()
        await place.failed(2)  # once as the answer is there, and once as the store tells of it
        place.post_error = None
        await place.say(message("two"))
        posted = await place.posted(1)
    assert posted == (["one, 0 before"] if minutes == 1 else ["two, 1 before"])


async def test_a_sink_that_cannot_be_closed_keeps_nothing_else_open(caplog: pytest.LogCaptureFixture) -> None:
    class Stubborn:
        async def send(self, event: Any) -> None:
            pass

        async def aclose(self, grace: float = 5.0) -> None:
            raise RuntimeError("stuck")

    place, store = Place(), MemoryStore()
    async with bot(Counting(), place, store, sinks=[Stubborn()]):
        await place.say(message("one"))
        await place.posted(1)
    assert place.closed
    assert "Stubborn" in caplog.text
    with pytest.raises(StoreError, match="not open"):
        await store.list()


async def test_a_message_that_ends_the_process_each_time_is_given_up(tmp_path: Path) -> None:
    class Doomed(MemoryStore):
        async def take(self, lease: Any) -> Work | None:
            work = await super().take(lease)
            return None if work is None else Work(work.arrival, work.attempts + 3, work.reply)

    place, agent = Place(), Counting()
    async with bot(agent, place, Doomed()) as running:
        await place.say(message("one"))
        (text,) = await place.posted(1)
        assert "something went wrong" in text
        entries = [entry async for entry in running.conversations.store.entries(str(message("one").key))]
    assert agent.calls == 0
    assert [entry.kind for entry in entries] == ["failed"]
    assert "begun 3 times" in entries[0].body


class CannotReadBack(Place):
    """Goes wrong before anybody is asked anything."""

    async def said_before(self, inbound: Any, most: int) -> Any:
        raise RuntimeError("a bug")


async def test_a_message_that_cannot_even_be_begun_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("dspy_session_chat.desk.ATTEMPTS", 1)
    place = CannotReadBack()
    async with bot(Counting(), place, "memory://", manners=Manners(read_back=1)):
        await place.say(message("one"))
        (said,) = await place.posted(1)
        assert re.fullmatch(r"Sorry, something went wrong on my side \(reference [0-9a-f]{8}\)\.", said)
        await place.say(message("/help"))
        assert "I answer" in (await place.posted(2))[1]
    assert said.split()[-1].strip("().") in caplog.text


@pytest.mark.parametrize("reply", ["{", '{"text": "x", "links": [1]}', "[" * 100_000])
async def test_an_answer_that_cannot_be_read_holds_nobody_up(
    reply: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("dspy_session_chat.posting.READ_TRIES", 1)
    store, place = MemoryStore(), Place()
    running, key = bot(Counting(), place, store), str(message("one").key)
    await store.open()
    await store.receive(Waiting("place", message("one"), message("one").key).arrival(0.0))
    lease = await store.acquire(key, "somebody", 30.0)
    assert lease is not None
    await store.commit(Commit(key=key, expected=0, lease=lease, settled=Settled("one", reply, received=True)))
    await store.release(lease)
    async with running:
        await place.say(message("/help"))
        assert "I answer" in (await place.posted(1))[0]
    assert "is left out" in caplog.text


def test_of_an_answer_of_a_newer_version_what_is_known_is_read() -> None:
    links, buttons = [{"url": "https://a.example", "new": 1}], [{"action": "a", "label": "b", "new": 1}]
    written = {"text": "x", "links": links, "buttons": buttons, "new": 1}
    assert Reply.from_json(written) == Reply("x", links=(Link("https://a.example"),), buttons=(Button("a", "b"),))


async def test_a_store_that_is_busy_is_waited_for_and_the_model_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dspy_session.conversation.patience.FIRST_PAUSE", 0.0)

    class Busy(MemoryStore):
        times = 3

        async def commit(self, commit: Commit) -> None:
            if self.times:
                self.times -= 1
                raise StoreBusyError
            await super().commit(commit)

    place, agent = Place(), Counting()
    async with bot(agent, place, Busy()):
        await place.say(message("one"))
        assert await place.posted(1) == ["one, 0 before"]
    assert agent.calls == 1


async def test_a_conversation_that_somebody_else_wrote_to_is_read_anew() -> None:
    place, agent, store = Place(), Counting(), MemoryStore()
    async with bot(agent, place, store):
        await place.say(message("one"))
        await place.posted(1)
        key = str(message("one").key)
        journal = await store.read(key)
        entry = journal.entries[0]
        await store.commit(Commit(key=key, expected=1, entries=[entry], marks={"turn:": 1}))
        await place.say(message("two"))
        assert (await place.posted(2))[1].startswith("two, ")
    assert agent.calls == 3  # the second answer was thrown away, and made again from what stands now


async def test_messages_for_a_platform_that_is_gone_wait(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    url, agent, place = f"sqlite:///{tmp_path}/bot.db", Counting(), Place()
    agent.gate = asyncio.Event()
    session = sessionify(agent, copy_mode="none")
    async with Bot(session, platforms=[Place(), place], store=url, grace=0.0):
        await place.say(message("one"))
    other = Place()
    with caplog.at_level(logging.WARNING):
        async with bot(agent, other, url, grace=0.0):
            await other.say(message("elsewhere", thread="t2"))
            async with asyncio.timeout(10):
                while "has no platform 'place#2' any more" not in caplog.text:
                    await other.say(message("elsewhere", thread="t2"))
    agent.gate.set()
    there = Place()
    async with Bot(session, platforms=[Place(), there], store=url):
        assert await there.posted(1) == ["one, 0 before"]


async def test_what_is_older_than_it_may_be_is_forgotten(tmp_path: Path) -> None:
    store, place = SqliteStore(tmp_path / "bot.db"), Place()
    async with bot(Counting(), place, store, keep="90d") as running:
        await place.say(message("one"))
        await place.posted(1)
        async with running.conversations.holds.hold(str(message("one").key)):
            pass  # nobody works on it any more
        running.conversations.clock = lambda: 4e9
        await running.conversations.forget_before(4e9 - seconds_of("90d"))
        assert await running.conversations.list() == []


@pytest.mark.parametrize(
    ("text", "seconds"), [("90d", 7776000.0), (" 12 h ", 43200.0), ("30m", 1800.0), ("2w", 1209600.0)]
)
def test_times_are_written_as_people_do(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "d", "1y", "0d", "-1d", "1.5d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="such as 90d"):
        seconds_of(text)


def test_a_bot_needs_a_store_with_an_inbox() -> None:
    from dspy_session.conversation import Conversations

    class Bare:
        pass

    with pytest.raises(ConfigurationError, match="Bare keeps no messages that wait"):
        Runtime(Conversations(Counting(), Bare()), lambda job: None)  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [RuntimeError("a bug"), asyncio.CancelledError(), TypeError("of a wrong type")])
async def test_a_press_or_a_command_that_goes_wrong_before_it_is_carried_out_is_given_up(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dspy_session_chat.desk.ATTEMPTS", 1)

    class Unsure(Access):
        def denial(self, event: Any) -> str | None:
            if isinstance(event, Action):
                raise error
            return None

    place = Place()
    async with bot(Counting(), place, "memory://", access=Unsure()):
        one = message("one")
        for number, deed in enumerate([Command("help"), Press("help")]):
            await place.say(Action(one.key, f"a{number}", one.author, one.sent_at, deed))
        await place.say(message("/help"))
        said = await place.posted(3)
    assert [text.split(" on my side")[0] for text in said[:2]] == ["Sorry, something went wrong"] * 2
    assert "I answer" in said[2]
