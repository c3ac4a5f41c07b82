"""Slack's view for agents: greeted, suggested, titled, at work, stopped; and quiet where there is none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspy_session.errors import ConfigurationError
from dspy_session.stores import SqliteStore
from dspy_session_chat.action import Action, Command
from dspy_session_chat.growing import CanType
from dspy_session_chat.testing.scene import playing
from dspy_session_chat.testing.scripted import Parrot, ScriptedModel
from dspy_session_chat.testing.stage import Where
from dspy_session_slack import Assistant, Opening
from dspy_session_slack.inbound.viewing import channel_in, with_context
from dspy_session_slack.inbound.viewings import KEPT_SECONDS, Viewings
from dspy_session_slack.unnamed import unnamed
from tests.loopback.slack import BOT_SCOPES, FakeSlack, refused
from tests.slack.stage import SlackStage
from tests.slack.talk import ANN, ANNS_DM, GENERAL, MENTION, SECRET, echoing, platform_of, some_inbound

PROMPTS = ("Do you sell bells?", ("Hours", "When are you open?"))
SUGGESTED = [
    {"title": "Do you sell bells?", "message": "Do you sell bells?"},
    {"title": "Hours", "message": "When are you open?"},
]


@pytest.fixture
async def agents(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeSlack]:
    """A Slack in which the app is an agent, and answers are streamed as fast as they come."""
    monkeypatch.setattr("dspy_session_slack.outbound.streaming.PACE", 0.0)
    async with FakeSlack(bot_scopes={*BOT_SCOPES, "assistant:write"}) as slack:
        yield slack


@pytest.mark.parametrize(
    ("prompts", "why"),
    [
        (["a", "b", "c", "d", "e"], "Slack shows 4 prompts at most; got 5"),
        (["a", " "], "a prompt must say something; got ' '"),
        ([("a", "b", "c")], "a prompt must be a text, or two"),
        ([7], "a prompt must be a text, or two"),
        ("a", "prompts must be a list of texts, or a function; got 'a'"),
        (7, "prompts must be a list of texts, or a function; got 7"),
    ],
)
def test_what_slack_would_not_show_is_refused(prompts: Any, why: str):
    with pytest.raises(ConfigurationError, match=why):
        Assistant(prompts=prompts)


anything = st.none() | st.text() | st.lists(st.text(), max_size=2) | st.dictionaries(st.text(), st.text(), max_size=2)
entity = st.fixed_dictionaries(
    {}, optional={"type": anything | st.just("slack#/types/message_context"), "value": anything}
)


@settings(max_examples=40)
@given(anything | st.fixed_dictionaries({}, optional={"entities": st.lists(entity | anything), "channel_id": anything}))
def test_a_context_of_any_shape_tells_a_channel_or_none(context: Any):
    found = channel_in(context)

    assert found == "" or found.isalnum()
    assert with_context({"event": {"app_context": context}}, "")["event"] == {"app_context": context}


async def test_who_opens_the_agent_sees_what_to_ask_and_no_message_each_time(agents: FakeSlack):
    assistant = Assistant(greeting="Welcome to the *shop*!", prompts=PROMPTS)
    async with echoing(agents, assistant=assistant):
        for _ in range(2):
            await agents.open_agent(channel=ANNS_DM, user=ANN)
        await agents.until(lambda: len(agents.called("assistant.threads.setSuggestedPrompts")) == 2)

    assert agents.view.prompts == {ANNS_DM: SUGGESTED}
    assert agents.view.heading == {ANNS_DM: "Welcome to the *shop*!"}
    assert agents.posts == []


async def test_in_the_panel_the_thread_that_slack_begins_is_greeted_and_called_after_its_first_question(
    agents: FakeSlack,
):
    async with echoing(agents, assistant=Assistant(greeting="Hello <!here>!", prompts=PROMPTS)) as echo:
        thread = await agents.open_panel(channel=ANNS_DM, user=ANN, viewing=GENERAL)
        greeting = await agents.next_post()
        await agents.until(lambda: thread in agents.view.prompts)
        await agents.say("Which bells are loud?", channel=ANNS_DM, user=ANN, thread_ts=thread)
        await agents.next_post()
        await agents.look_at(SECRET, channel=ANNS_DM, thread_ts=thread, user=ANN)
        await agents.say("And here?", channel=ANNS_DM, user=ANN, thread_ts=thread)
        await agents.next_post()

    assert (greeting.text, greeting.thread_ts, greeting.pings) == ("Hello &lt;!here&gt;!", thread, [])
    assert agents.view.prompts == {thread: SUGGESTED}
    first, second = echo.received
    assert (first.viewing, second.viewing) == ("general", "secret")
    assert str(first.key) == str(second.key) == f"slack:T0LOOPBACK:{ANNS_DM}:{thread}"


async def test_after_a_restart_it_is_known_what_is_looked_at_beside_a_thread(agents: FakeSlack, tmp_path: Path):
    agent = dspy.Predict("message, viewing -> reply")
    async with playing(SlackStage(agents), agent, tmp_path, lm=ScriptedModel(["Yes."]).lm):
        thread = await agents.open_panel(channel=ANNS_DM, user=ANN, viewing=SECRET)
        await agents.look_at(GENERAL, channel=ANNS_DM, thread_ts=thread, user=ANN)
        await agents.settled()
    async with playing(SlackStage(agents), agent, tmp_path, lm=ScriptedModel(["Yes."]).lm) as scene:
        await agents.say("Is it loud here?", channel=ANNS_DM, user=ANN, thread_ts=thread)
        (turn,) = await scene.remembers(len)

    assert turn.inputs["viewing"] == "general"


async def test_what_was_looked_at_is_kept_for_a_while_and_what_cannot_be_kept_is_done_without(tmp_path: Path):
    now, store = 0.0, SqliteStore(tmp_path / "bot.db")
    await store.open()
    viewings = Viewings("T1", store, lambda: now)
    await viewings.keep("D1", "1.1", "C1")
    await Viewings("T2", store, lambda: now).keep("D1", "1.1", "C2")
    assert await Viewings("T1", store, lambda: now).at("D1", "1.1") == "C1"
    now = KEPT_SECONDS
    assert await viewings.at("D1", "1.1") == ""
    now += 1.0
    await viewings.keep("D1", "2.2", "")
    assert list(await store.names("slack:")) == ["slack:viewing:T1:D1:2.2"]
    await store.aclose()
    await viewings.keep("D1", "3.3", "C1")
    assert await viewings.at("D1", "3.3") == ""


async def test_what_is_suggested_may_depend_on_who_opens_it_and_where(agents: FakeSlack):
    openings: list[Opening] = []

    async def prompts(opening: Opening) -> Sequence[str]:
        openings.append(opening)
        return [f"What was said in #{opening.viewing}?", "What does <@U0NOBODY99> do @here?"]

    async with echoing(agents, assistant=Assistant(prompts=prompts)):
        await agents.open_agent(channel=ANNS_DM, user=ANN, viewing=GENERAL)
        await agents.until(lambda: ANNS_DM in agents.view.prompts)

    assert openings == [Opening(ANN, "general")]
    assert [prompt["message"] for prompt in agents.view.prompts[ANNS_DM]] == [
        "What was said in #general?",
        f"What does @{unnamed('U0NOBODY99')} do @\u200bhere?",
    ]


@pytest.mark.parametrize("told", [RuntimeError("no model"), ["a"] * 5])
async def test_prompts_that_cannot_be_had_hold_nothing_up(
    agents: FakeSlack, told: Any, caplog: pytest.LogCaptureFixture
):
    async def prompts(opening: Opening) -> Sequence[str]:
        if isinstance(told, Exception):
            raise told
        return list(told)

    async with echoing(agents, assistant=Assistant(greeting="Hello!", prompts=prompts)):
        await agents.open_panel(channel=ANNS_DM, user=ANN, viewing=GENERAL)
        assert (await agents.next_post()).text == "Hello!"

    assert "No prompts are suggested" in caplog.text


async def test_a_bot_at_work_says_so_and_the_agent_knows_what_is_looked_at(agents: FakeSlack, tmp_path: Path):
    stage, more = SlackStage(agents), asyncio.Event()
    model = ScriptedModel(["It is ", more, "loud."])
    async with playing(stage, dspy.Predict("message, viewing -> reply"), tmp_path, lm=model.lm) as scene:
        message = await agents.say(
            "Which &lt;bell&gt;?\n*Please!*", channel=ANNS_DM, user=ANN, app_context={"channel_id": GENERAL}
        )
        thread = Where(ANNS_DM, message["ts"])
        await scene.reads("It is", thread)
        await agents.until(lambda: bool(agents.view.titles))
        more.set()
        await scene.reads("loud.", thread)
        (turn,) = await scene.remembers(len)

    assert agents.view.said[0] == "is thinking…"
    assert agents.view.statuses == {}
    assert agents.view.titles == {message["ts"]: "Which <bell>? *Please!*"}
    assert turn.inputs["viewing"] == "general"


async def test_the_button_that_slack_shows_stops_an_answer(agents: FakeSlack, tmp_path: Path):
    stage = SlackStage(agents)
    model = ScriptedModel(["It was a dark night, ", asyncio.Event(), "and it rained."])
    async with playing(stage, dspy.Predict("message -> reply"), tmp_path, lm=model.lm) as scene:
        written = await scene.say("Tell me a story.")
        thread = Where(ANNS_DM, written.id)
        await scene.reads("dark night", thread)
        await agents.stop_agent(channel=ANNS_DM, thread_ts=written.id, user=ANN)
        await scene.reads("(stopped)", thread)


async def test_a_stop_is_handed_over_once_and_one_of_another_shape_not_at_all(agents: FakeSlack):
    async with echoing(agents) as echo:
        said = await agents.say(f"{MENTION} hello", channel=GENERAL, user=ANN)
        await agents.next_post()
        await agents.stop_agent(channel=GENERAL, thread_ts=said["ts"], user=ANN)
        await agents.until(lambda: agents.view.sessions == {said["ts"]: "active"})
        await agents.send({"type": "agent_session_stopped", "channel": GENERAL, "thread_ts": 7, "user": ANN})
        await agents.settled()

    (action,) = echo.actions
    assert isinstance(action, Action)
    assert (action.deed, str(action.key), action.direct) == (
        *(Command("stop"), f"slack:T0LOOPBACK:{GENERAL}:{said['ts']}"),
        False,
    )


async def test_an_app_without_the_view_is_asked_for_nothing(slack: FakeSlack, tmp_path: Path):
    async with playing(SlackStage(slack), Parrot(), tmp_path) as scene:
        await scene.begin("tea")

    assert slack.view.said == []
    assert not [call for call in slack.calls if call.method.startswith("assistant.")]


async def test_what_slack_does_not_know_is_not_called_again(agents: FakeSlack):
    agents.fail("assistant.threads.setStatus", refused("unknown_method"))
    platform = platform_of(agents)
    assert isinstance(platform, CanType)
    root = await agents.say("hello", channel=ANNS_DM, user=ANN)
    inbound = replace(some_inbound(ANNS_DM, root["ts"]), event_id=f"{ANNS_DM}:{root['ts']}")
    for count in (1, 2, 3):
        async with platform.typing(inbound):
            await agents.until(lambda: len(agents.called("assistant.threads.setTitle")) == count)  # noqa: B023

    assert len(agents.called("assistant.threads.setStatus")) == 1
