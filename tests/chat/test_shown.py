"""An answer that is shown while it is written."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import dspy
import pytest

from dspy_session.errors import PlatformError
from dspy_session_chat import Manners
from dspy_session_chat.growing import CanEdit
from dspy_session_chat.reply import Button
from dspy_session_chat.shown import BEGUN_ANEW, EditedStream
from dspy_session_chat.testing import ChatTester, PlainTesterPlatform, TesterPlatform
from tests.chat.agents import Parrot, Speaker, held
from tests.chat.places import message

STOP = Button("stop", "Stop", "e1", "danger")


class Paper:
    """Keeps what is written on it."""

    def __init__(self, *, seconds: float = 0.0, limit: int = 100) -> None:
        self.edit_seconds = seconds
        self.limit = limit
        self.messages: dict[str, tuple[str, tuple[str, ...]]] = {}
        self.calls: list[str] = []
        self.changed = asyncio.Event()
        self.error: Exception | None = None
        self.hold: asyncio.Event | None = None
        self.on_its_way = 0
        self.most_on_its_way = 0

    def parts(self, text: str) -> list[str]:
        return [text[start : start + self.limit] for start in range(0, len(text), self.limit)]

    async def begin(self, inbound: Any, part: str, buttons: Any = ()) -> str:
        name = f"m{len(self.messages) + 1}"
        await self._write("begin", name, part, buttons)
        return name

    async def edit(self, inbound: Any, message_id: str, part: str, buttons: Any = ()) -> None:
        await self._write("edit", message_id, part, buttons)

    async def _write(self, verb: str, name: str, part: str, buttons: Any) -> None:
        self.on_its_way += 1
        self.most_on_its_way = max(self.most_on_its_way, self.on_its_way)
        try:
            if self.hold is not None:
                await self.hold.wait()
            if self.error is not None:
                raise self.error
            self.calls.append(f"{verb} {name}")
            self.messages[name] = (part, tuple(button.label for button in buttons))
        finally:
            self.on_its_way -= 1
            self.changed.set()

    async def until(self, *texts: str) -> None:
        async with asyncio.timeout(5):
            while [text for text, _ in self.messages.values()] != list(texts):
                self.changed.clear()
                await self.changed.wait()


async def allowed() -> bool:
    return True


def stream(
    paper: Paper,
    shown: tuple[str, ...] = (),
    told: list[tuple[str, ...]] | None = None,
    may_show: Callable[[], Awaitable[bool]] = allowed,
) -> EditedStream:

    async def on_shown(ids: tuple[str, ...]) -> None:
        if told is not None:
            told.append(ids)

    return EditedStream(paper, message("hi"), buttons=(STOP,), shown=shown, on_shown=on_shown, may_show=may_show)


def test_paper_can_edit() -> None:
    assert isinstance(Paper(), CanEdit)
    assert not isinstance(PlainTesterPlatform(), CanEdit)


async def test_the_first_piece_shows_at_once_and_each_view_is_presentable() -> None:
    paper, told = Paper(), []
    async with stream(paper, told=told).open() as shown:
        await shown.append("Hello **wor")
        await paper.until("Hello **wor**")
        await shown.append("ld**\n\n```python\nx = 1")
        await paper.until("Hello **world**\n\n```python\nx = 1\n```")
        assert paper.messages["m1"][1] == ("Stop",)
    assert told == [("m1",)]
    assert paper.calls == ["begin m1", "edit m1"]


async def test_what_the_agent_does_is_said_until_it_speaks() -> None:
    paper = Paper()
    async with stream(paper).open() as shown:
        await shown.status("Searching the web…")
        await paper.until("*Searching the web…*")
        await shown.append("Found it")
        await paper.until("Found it")
        await shown.status("Reading…")
        await paper.until("Found it\n\n*Reading…*")


async def test_what_could_not_be_written_down_is_begun_anew_and_what_others_know_of_is_left_to_them() -> None:
    paper = Paper(limit=10)
    answer = stream(paper)
    async with answer.open() as shown:
        await shown.append("A good begin")
        await paper.until("A good beg", "in")
    await answer.disown(("m1",))
    assert paper.messages == {"m1": ("A good beg", ()), "m2": (BEGUN_ANEW, ())}


async def test_what_cannot_be_begun_anew_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    paper = Paper()
    answer = stream(paper)
    async with answer.open() as shown:
        await shown.append("A good begin")
        await paper.until("A good begin")
    paper.error = PlatformError("not now")
    await answer.disown(())
    assert paper.messages == {"m1": ("A good begin", ("Stop",))}
    assert "stays as it is" in caplog.text


async def test_many_pieces_make_few_edits_and_never_two_at_once() -> None:
    paper = Paper(seconds=0.02)
    async with stream(paper).open() as shown:
        for number in range(200):
            await shown.append(f"{number % 10}")
            await asyncio.sleep(0)
        paper.limit = 1000
        await paper.until("".join(str(number % 10) for number in range(200)))
    assert len(paper.calls) < 20
    assert paper.most_on_its_way == 1


async def test_a_long_answer_goes_on_in_another_message_and_the_button_moves_along() -> None:
    paper, told = Paper(limit=10), []
    async with stream(paper, told=told).open() as shown:
        await shown.append("0123456789")
        await paper.until("0123456789")
        await shown.append("abc")
        await paper.until("0123456789", "abc")
        assert [buttons for _, buttons in paper.messages.values()] == [(), ("Stop",)]
    assert told == [("m1",), ("m1", "m2")]


async def test_after_a_restart_it_goes_on_in_the_same_message() -> None:
    paper = Paper()
    paper.messages["m1"] = ("half of", ())
    running = stream(paper, shown=("m1",))
    async with running.open() as shown:
        await shown.append("Once more")
        await paper.until("Once more")
    assert paper.calls == ["edit m1"]
    assert running.message_ids == ("m1",)


async def test_who_has_lost_the_conversation_writes_over_nothing() -> None:
    paper = Paper()
    paper.messages["m1"] = ("the whole answer, by another process", ())
    refused = asyncio.Event()

    async def may_show() -> bool:
        refused.set()
        return False

    async with stream(paper, shown=("m1",), may_show=may_show).open() as shown:
        await shown.append("the whole ans")
        await refused.wait()
        await shown.append("wer")
    assert paper.calls == []


async def test_nothing_is_on_its_way_once_it_is_closed() -> None:
    paper = Paper()
    paper.hold = asyncio.Event()
    entered, leave = asyncio.Event(), asyncio.Event()

    async def show() -> None:
        async with stream(paper).open() as shown:
            await shown.append("Hello")
            entered.set()
            await leave.wait()

    showing = asyncio.create_task(show())
    await entered.wait()
    while not paper.on_its_way:  # noqa: ASYNC110  # it is one step of the loop away
        await asyncio.sleep(0)
    showing.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not showing.done()
    paper.hold.set()
    with pytest.raises(asyncio.CancelledError):
        await showing
    assert paper.messages == {"m1": ("Hello", ("Stop",))}


@pytest.mark.parametrize("error", [PlatformError("the channel is gone"), RuntimeError("a bug")])
async def test_what_cannot_be_shown_is_no_failure(error: Exception) -> None:
    paper = Paper()
    paper.error = error
    async with stream(paper).open() as shown:
        await shown.append("Hello")
        async with asyncio.timeout(5):
            await paper.changed.wait()
        await shown.append(" world")
    assert paper.messages == {}


# --- through a bot ----------------------------------------------------------------------------------------------------


async def test_an_answer_grows_in_one_message_and_ends_complete() -> None:
    speaker = Speaker("One |two |three.")
    async with ChatTester(dspy.Predict("message -> reply"), lm=speaker.lm) as chat:
        asked = await chat.start("count")
        growing = await asked.growing("One")
        speaker.go_on()
        await asked.growing("two")
        speaker.go_on()
        reply = await asked.reply()
    assert reply.text == "One two three."
    assert reply.id == growing.id
    assert [button.label for button in reply.buttons] == ["Retry", "👍", "👎"]
    assert any(view.startswith("One") and "three" not in view for view in reply.views)


async def test_an_answer_that_cannot_be_shown_is_posted_all_the_same() -> None:
    speaker = Speaker("One two three.")
    async with ChatTester(dspy.Predict("message -> reply"), lm=speaker.lm) as chat:
        chat.platform.fail("begin", PlatformError("not now"))
        assert (await chat.say("count")).text == "One two three."
        assert len(chat.seen()) == 1


async def test_a_long_answer_is_split_and_the_rest_goes_as_a_file() -> None:
    words = "\n\n".join(f"Paragraph {number} " + "word " * 20 for number in range(30))
    speaker = Speaker(words)
    platform = TesterPlatform(limit=400)
    async with ChatTester(
        dspy.Predict("message -> reply"), lm=speaker.lm, platform=platform, manners=Manners(most_posts=3)
    ) as chat:
        last = await chat.say("write")
        assert len(chat.seen()) == 3
        assert all(len(message.text) <= 400 for message in chat.seen())
        (turn,) = await chat.turns()
        assert turn.outputs["reply"].strip() == words.strip()
        assert [button.label for button in last.buttons] == ["Retry", "👍", "👎"]


async def test_while_it_works_that_is_shown() -> None:
    agent = Parrot()
    async with ChatTester(held(agent)) as chat:
        gate = agent.gate()
        asked = await chat.start("one")
        await agent.started.wait()
        assert chat.platform.typing_now == 1
        gate.set()
        await asked.reply()
    assert chat.platform.typing_now == 0


async def test_a_platform_that_can_only_post_works_too() -> None:
    platform = PlainTesterPlatform()
    async with ChatTester(held(Parrot()), platform=platform) as chat:  # type: ignore[arg-type]
        assert (await chat.say("one")).text == "one! (0 before, call 1)"
        assert "cannot open threads" in (await chat.say("/fork")).text


async def test_buttons_are_an_option() -> None:
    async with ChatTester(held(Parrot()), manners=Manners(buttons=False)) as chat:
        assert (await chat.say("one")).buttons == ()
