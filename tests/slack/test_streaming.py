"""Answers that Slack streams: what is said for good, what is said anew, and what becomes of them where it does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import dspy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.errors import ConfigurationError
from dspy_session_chat.growing import CanStream, Growing
from dspy_session_chat.markup.outward import outward
from dspy_session_chat.platform import Post
from dspy_session_chat.reply import Button, Reply
from dspy_session_chat.testing.scene import playing
from dspy_session_chat.testing.scripted import ScriptedModel
from dspy_session_chat.testing.stage import Where
from dspy_session_slack.outbound.settled import parted, settled
from dspy_session_slack.outbound.streaming import SlackStream
from dspy_session_slack.outbound.streams import StreamsOf
from dspy_session_slack.web_client import web_client
from tests.loopback.slack import BOT_SCOPES, FakeSlack, cut, rate_limited, refused
from tests.slack.stage import SlackStage
from tests.slack.talk import ANN, ANNS_DM, BEN, GENERAL, MENTION, platform_of, some_inbound

STOP = Button("stop", "Stop", about="m1", style="danger")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dspy_session_slack.outbound.streaming.PACE", 0.0)


@pytest.fixture
async def agents() -> AsyncIterator[FakeSlack]:
    async with FakeSlack(bot_scopes={*BOT_SCOPES, "assistant:write"}) as slack:
        yield slack


# What is said for good


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("It is nin", "It is nin"),
        ("It is nine @chan", "It is nine "),
        ("It is **very lo", "It is **very lo"),
        ("See [the page](https://exa", "See "),
        ("See [the page](https://example.com/) no", "See [the page](https://example.com/) no"),
        ("Call <@U1", "Call "),
        ("one\n\n```python\nprint(1)\npri(", "one\n\n```python\nprint(1)\n"),
    ],
)
def test_what_may_become_another_is_held_back(text: str, said: str):
    assert settled(text, str) == said


@given(st.text(alphabet="ab *_`~[]()<>!@#|\n-:1/", max_size=120), st.integers(0, 120))
def test_nothing_is_said_that_was_not_written(text: str, cut_at: int):
    assert text.startswith(settled(text[:cut_at], str))


@pytest.mark.parametrize(
    ("text", "ends", "begins"),
    [
        ("plain", "", ""),
        ("```py\nx\n```\n", "", ""),
        ("```py\nx", "\n```", "```py\n"),
        ("> ```\n> x\n", "> ```", "> ```\n"),
    ],
)
def test_code_that_is_cut_is_code_in_both_messages(text: str, ends: str, begins: str):
    assert parted(text) == (ends, begins)


def test_where_it_streams_is_one_of_three(slack: FakeSlack):
    with pytest.raises(ConfigurationError, match=r"streams must be one of 'dms', 'everywhere', 'nowhere'; got 'no'"):
        platform_of(slack, streams="no")


# One stream after another


def client(slack: FakeSlack) -> AsyncWebClient:
    return web_client(AsyncWebClient(base_url=slack.base_url), slack.bot_token)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Stage:
    """A stream in a thread of Ann's DM."""

    def __init__(self, slack: FakeSlack, thread: str, *, agent: bool) -> None:
        self.slack, self.clock, self.ids = slack, Clock(), list[tuple[str, ...]]()
        self.platform = platform_of(slack)
        self.inbound = some_inbound(ANNS_DM, thread)
        self.ours = True
        growing = Growing(self.inbound, (STOP,), outward, (), self.told, self.is_ours)
        streams = StreamsOf(client(slack), "T0LOOPBACK", agent, self.clock)
        self.refused, self.stream = streams.refused, SlackStream(self.platform, streams, growing)

    async def told(self, ids: tuple[str, ...]) -> None:
        self.ids.append(ids)

    async def is_ours(self) -> bool:
        return self.ours

    @property
    def texts(self) -> list[str]:
        return [stream.text for stream in self.slack.streams.all]

    async def until(self, holds: Callable[[], bool]) -> None:
        await self.slack.until(holds)


@asynccontextmanager
async def streaming(slack: FakeSlack, *, agent: bool = True) -> AsyncIterator[Stage]:
    root = await slack.say("hello", channel=ANNS_DM, user=ANN)
    stage = Stage(slack, root["ts"], agent=agent)
    async with stage.stream.open():
        yield stage


async def test_an_answer_grows_by_what_is_new_and_its_steps_are_told(slack: FakeSlack):
    async with streaming(slack) as stage:
        await stage.stream.status("Searching…")
        await stage.until(lambda: len(slack.streams.all) == 1)
        await stage.stream.status("Reading…")
        await stage.until(lambda: len(slack.streams.all[0].steps) == 2)
        for piece in ("It is ", "**nine** ", "o'clock. ", "And"):
            await stage.stream.append(piece)
        await stage.until(lambda: stage.texts == ["It is **nine** o'clock. And"])

    (stream,) = slack.streams.all
    assert stream.steps == {"step-1": ("Searching…", "complete"), "step-2": ("Reading…", "complete")}
    assert slack.streams.running == {}
    assert stage.stream.message_ids == (f"{ANNS_DM}:{stream.message['ts']}",)
    assert stage.ids == [stage.stream.message_ids]
    (started,) = slack.called("chat.startStream")
    assert (started.get("recipient_user_id"), started.get("recipient_team_id")) == (ANN, "T0LOOPBACK")


async def test_a_step_with_a_long_name_is_told_once(slack: FakeSlack):
    async with streaming(slack) as stage:
        await stage.stream.status("x" * 300)
        await stage.until(lambda: len(slack.streams.all) == 1)
        await stage.stream.status("x" * 300)
        await stage.stream.append("one ")
        await stage.until(lambda: stage.texts == ["one "])

    assert slack.streams.all[0].steps == {"step-1": ("x" * 256, "complete")}


async def test_before_a_stream_is_old_it_goes_on_in_another(slack: FakeSlack):
    async with streaming(slack) as stage:
        await stage.stream.append("one\n\n```py\nx = 1\n")
        await stage.until(lambda: stage.texts == ["one\n\n```py\nx = 1\n"])
        stage.clock.now = 239.0
        await stage.stream.append("y = 2\n")
        await stage.until(lambda: "y = 2\n" in stage.texts[-1])
        stage.clock.now = 240.0
        await stage.stream.append("z = 3\n")
        await stage.until(lambda: "z = 3\n" in stage.texts[-1])

    assert stage.texts == ["one\n\n```py\nx = 1\ny = 2\n```", "```py\nz = 3\n"]
    assert len(stage.stream.message_ids) == len(stage.ids) == 2


async def test_a_word_is_not_cut_in_two(slack: FakeSlack):
    async with streaming(slack) as stage:
        await stage.stream.append("one tw")
        await stage.until(lambda: stage.texts == ["one tw"])
        stage.clock.now = 240.0
        await stage.stream.append("o three")
        await stage.until(lambda: stage.texts == ["one two ", "three"])


async def test_one_that_is_over_before_it_is_old_loses_nothing(slack: FakeSlack):
    async with streaming(slack) as stage:
        await stage.stream.append("one tw")
        await stage.until(lambda: stage.texts == ["one tw"])
        stage.clock.now = 240.0
        slack.streams.expire()
        await stage.stream.append("o three")
        await stage.until(lambda: stage.texts == ["one tw", "o three"])


async def test_one_that_gets_too_long_does_so_too(slack: FakeSlack):
    async with streaming(slack) as stage:
        for count in (1, 2, 3):
            await stage.stream.append("word " * 1_000)
            await stage.until(lambda: sum(map(len, stage.texts)) == count * 5_000)  # noqa: B023

    assert [len(text) for text in stage.texts] == [5_000, 5_000, 5_000]


@pytest.mark.parametrize("code", ["message_not_in_streaming_state", "msg_too_long"])
async def test_what_a_stream_that_is_over_does_not_take_is_said_in_the_next(slack: FakeSlack, code: str):
    async with streaming(slack) as stage:
        await stage.stream.append("```\none ")
        await stage.until(lambda: stage.texts == ["```\none "])
        slack.fail("chat.appendStream", refused(code))
        await stage.stream.append("two ")
        await stage.until(lambda: len(stage.texts) == 2)

    assert stage.texts == ["```\none ", "```\ntwo "]


@pytest.mark.parametrize("fault", [cut(), rate_limited(), refused("service_unavailable")])
async def test_what_passes_is_tried_again(slack: FakeSlack, fault: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("dspy_session_slack.outbound.pace.REST", 0.0)
    async with streaming(slack) as stage:
        await stage.stream.append("one ")
        await stage.until(lambda: stage.texts == ["one "])
        slack.fail("chat.appendStream", fault)
        await stage.stream.append("two ")
        await stage.until(lambda: len(slack.called("chat.appendStream")) >= 1)
        await stage.stream.append("three ")
        await stage.until(lambda: stage.texts == ["one two three "])


async def test_an_answer_does_not_wait_for_slack_to_take_more_of_its_stream(slack: FakeSlack):
    async with streaming(slack) as stage:
        await stage.stream.append("one ")
        await stage.until(lambda: stage.texts == ["one "])
        slack.fail("chat.appendStream", rate_limited(retry_after=3_600))
        await stage.stream.append("two ")
        await stage.until(lambda: len(slack.called("chat.appendStream")) == 1)
        await stage.stream.append("three ")
    assert stage.texts == ["one "]
    assert slack.streams.running == {}


async def test_where_people_stopped_it_nothing_more_is_said(slack: FakeSlack):
    async with streaming(slack) as stage:
        await stage.stream.append("one ")
        await stage.until(lambda: stage.texts == ["one "])
        slack.streams.all[0].stopped_by_user = True
        await stage.stream.append("two ")
        await stage.until(lambda: len(slack.called("chat.appendStream")) == 1)
        await stage.stream.append("three ")

    assert stage.texts == ["one "]
    assert len(slack.called("chat.appendStream")) == 1


async def test_who_lost_the_conversation_says_nothing_more(slack: FakeSlack):
    async with streaming(slack) as stage:
        await stage.stream.append("one ")
        await stage.until(lambda: stage.texts == ["one "])
        stage.ours = False
        await stage.stream.append("two ")
    await stage.stream.disown([])

    (shown,) = slack.shown(ANNS_DM)[1:]
    assert "(begun anew)" in shown.text


async def test_what_would_have_to_be_taken_back_is_left_to_the_end(slack: FakeSlack):
    async with streaming(slack) as stage:
        await stage.stream.append("See [the page][1] please. ")
        await stage.until(lambda: len(stage.texts) == 1)
        await stage.stream.append("\n\n[1]: https://example.com\n\nMore. ")
        await stage.stream.status("Reading…")
        await stage.until(lambda: len(slack.called("chat.startStream")) == 1)

    assert len(stage.texts) == 1


# Where Slack does not


async def test_where_slack_does_not_stream_answers_are_edited_and_it_is_not_asked_again(slack: FakeSlack):
    slack.fail("chat.startStream", refused("unknown_method"))
    async with streaming(slack) as stage:
        await stage.stream.append("one ")
        await stage.until(lambda: [each.text for each in slack.shown(ANNS_DM)][1:] == ["one"])
        await stage.stream.append("two ")

    assert stage.refused == {"stream"}
    growing = Growing(stage.inbound, (), str, (), stage.told, stage.is_ours)
    streams = StreamsOf(client(slack), "T0LOOPBACK", agent=True)
    assert streams.suit(growing, "dms")
    streams.refused.add("stream")
    assert not streams.suit(growing, "dms")


@pytest.mark.parametrize("fault", [refused("missing_recipient_team_id"), rate_limited(retry_after=30)])
async def test_another_refusal_concerns_one_answer_and_is_not_waited_out(slack: FakeSlack, fault: Any):
    slack.fail("chat.startStream", fault)
    async with streaming(slack) as stage:
        await stage.stream.append("one ")
        await stage.until(lambda: [each.buttons for each in slack.shown(ANNS_DM)][1:] == [("Stop",)])

    assert stage.refused == set()


async def test_steps_and_buttons_that_slack_does_not_take_are_left_out(slack: FakeSlack):
    slack.fail("chat.startStream", refused("invalid_chunks"))
    async with streaming(slack, agent=False) as stage:
        await stage.stream.status("Searching…")
        await stage.until(lambda: stage.texts == ["…"])
        await stage.stream.append("nine ")
        await stage.until(lambda: stage.texts == ["…nine "])

    assert slack.streams.all[0].steps == {}
    assert stage.refused == {"steps", "buttons"}


# In a bot


async def test_in_the_dm_of_an_agent_answers_are_streamed_and_made_right_in_the_end(agents: FakeSlack, tmp_path: Path):
    more = asyncio.Event()
    model = ScriptedModel(
        [f"Hear, <@{BEN}> <!channel> @here: it is **very ", more, "loud**, [see](https://a.example)."]
    )
    async with playing(SlackStage(agents), dspy.Predict("message -> reply"), tmp_path, lm=model.lm) as scene:
        written = await scene.say("Which?")
        thread = Where(ANNS_DM, written.id)
        await scene.reads("it is **very", thread)
        assert len(agents.streams.running) == 1
        more.set()
        whole = await scene.shows(lambda seen: "loud" in seen.text and "Retry" in seen.buttons, thread)
        assert "👍" in whole.buttons
        assert len(scene.said(thread)) == 1

    assert agents.streams.running == {}
    assert agents.pinged == []


async def test_in_channels_answers_are_edited_unless_streams_are_wanted_everywhere(slack: FakeSlack, tmp_path: Path):
    stage = SlackStage(slack, streams="everywhere")
    model = ScriptedModel(["It was a dark night, ", asyncio.Event(), "and it rained."])
    async with playing(stage, dspy.Predict("message -> reply"), tmp_path, lm=model.lm) as scene:
        said = await scene.say("Tell me a story.", stage.channel, mention=True)
        growing = await scene.shows(lambda seen: "night," in seen.text, said.answers)
        assert growing.buttons == ("Stop",)
        await scene.press("Stop", growing, said.answers)
        stopped = await scene.reads("(stopped)", said.answers)
        assert "Stop" not in stopped.buttons

    assert len(slack.streams.all) == 1


async def test_in_channels_answers_are_edited(slack: FakeSlack):
    platform = platform_of(slack)
    assert isinstance(platform, CanStream)
    said = await slack.say(f"{MENTION} hello", channel=GENERAL, user=ANN)
    stage = Stage(slack, said["ts"], agent=True)
    inbound = some_inbound(GENERAL, said["ts"])
    async with platform.stream(Growing(inbound, (), str, (), stage.told, stage.is_ours)) as stream:
        await stream.append("one ")
        await slack.until(lambda: bool(slack.posts))

    assert slack.streams.all == []


async def test_a_stream_whose_process_died_is_ended_by_whoever_posts_the_answer(slack: FakeSlack):
    root = await slack.say("hello", channel=ANNS_DM, user=ANN)
    platform, inbound = platform_of(slack), some_inbound(ANNS_DM, root["ts"])
    begun = await client(slack).chat_startStream(
        channel=ANNS_DM,
        thread_ts=root["ts"],
        recipient_user_id=ANN,
        recipient_team_id="T0LOOPBACK",
        chunks=[{"type": "markdown_text", "text": "It is"}],
    )

    shown = f"{ANNS_DM}:{begun['ts']}"
    posted = await platform.post(Post(inbound, Reply("It is nine."), shown=(shown,)))

    assert posted.message_ids == (shown,)
    assert slack.shown(ANNS_DM)[-1].text == "It is nine."
    assert slack.streams.running == {}
