"""Channels with agents of their own."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_session import ConfigurationError, Session
from dspy_session.conversation import ConversationKey
from dspy_session_chat import Action, Author, Bot, Inbound, Limits, Manners, Press
from dspy_session_chat.testing import ChatTester, TesterPlatform
from tests.chat.agents import Parrot, Speaker, held

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ANN = Author("ann", "Ann")


class Clerk(dspy.Module):
    """Has other fields than the parrot, and tells what it knows."""

    def __init__(self) -> None:
        super().__init__()
        self.histories: list[list[dict[str, Any]]] = []

    async def aforward(self, question: str, history: dspy.History) -> dspy.Prediction:
        self.histories.append([dict(each) for each in history.messages])
        return dspy.Prediction(answer=f"clerk: {question} ({len(history.messages)} before)")


def written(event_id: str, channel: str, name: str, text: str = "hi") -> Inbound:
    return Inbound(ConversationKey("tester", "W", channel, "t1"), event_id, ANN, text, "mention", NOW, name)


async def labels(chat: ChatTester, key: str) -> list[str]:
    entries = [entry async for entry in chat.conversations.store.entries(key)]
    return [json.loads(entry.body)["told"].get("agent", "") for entry in entries if entry.kind == "turn"]


async def test_each_channel_meets_its_own_agent_with_all_that_people_do() -> None:
    async with ChatTester(held(Parrot()), channels={"#support": held(Clerk())}) as chat:
        assert (await chat.say("one")).text.startswith("one!")
        assert (await chat.say("one", thread="dm", addressed="direct")).text.startswith("one!")
        asked = await chat.start("one", channel="support")
        assert (await asked.reply()).text == "clerk: one (0 before)"
        reply = await chat.say("two", channel="support")
        assert reply.text == "clerk: two (1 before)"
        assert (await chat.answer_to(await chat.press("Retry", reply))).text == "clerk: two (1 before)"
        await chat.handled(await chat.edit(asked, "uno"))
        told = (await chat.command("history", channel="support")).text
        assert "| 1 | uno | clerk: one (0 before) |" in told
        assert await labels(chat, "tester:W:support:t1") == ["support"] * 3
        assert await labels(chat, "tester:W:general:t1") == [""]
        assert (await chat.command("undo", channel="support")).text.endswith("- two")


async def test_a_conversation_meets_the_same_agent_where_no_name_is_told_and_after_a_restart(tmp_path: Path) -> None:
    store, channels = f"sqlite:///{tmp_path / 'bot.db'}", {"support": held(Clerk())}
    async with ChatTester(held(Parrot()), store=store, channels=channels) as chat:
        first = written("e1", "C1", "support", "one")
        await chat.platform.bring(first)
        assert (await chat.answer_to(first)).text.startswith("clerk: one")
    platform = TesterPlatform()
    async with ChatTester(held(Parrot()), platform=platform, store=store, channels=channels) as chat:
        retry = Action(first.key, "e2", ANN, NOW, Press("retry"))
        await chat.platform.bring(retry)
        assert (await chat.answer_to(retry)).text == "clerk: one (0 before)"
        renamed = written("e3", "C1", "help", "two")
        await chat.platform.bring(renamed)
        assert (await chat.answer_to(renamed)).text == "clerk: two (1 before)"
    async with ChatTester(held(Parrot()), store=store) as chat:  # it has none of its own any more
        last = written("e4", "C1", "support", "three")
        await chat.platform.bring(last)
        assert (await chat.answer_to(last)).text.startswith("three! (2 before")
        assert await labels(chat, str(first.key)) == ["support", "support", "support", ""]


async def test_an_id_goes_before_who_answered_before_and_that_before_a_name() -> None:
    bot = Bot(Parrot(), platforms=[TesterPlatform()], channels={"C1": Clerk(), "support": Clerk(), "sales": Clerk()})
    agents = bot.agents
    for channel, marks, name, label in (
        ("C1", {"agent:support": 1}, "support", "C1"),
        ("C2", {"agent:support": 1, "turn:": 4}, "sales", "support"),
        ("C2", {"agent:gone": 1}, "sales", "sales"),
        ("C2", {}, "sales", "sales"),
        ("C2", {}, "", ""),
    ):
        assert agents.of(written("e1", channel, name), marks).label == label


async def test_a_message_without_an_answer_is_asked_again_of_the_same_agent() -> None:
    class Failing(Clerk):
        async def aforward(self, question: str, history: dspy.History) -> dspy.Prediction:
            if not self.histories:
                self.histories.append([])
                raise RuntimeError("no")
            return await super().aforward(question, history)

    async with ChatTester(held(Parrot()), channels={"support": held(Failing())}) as chat:
        failed = await chat.say("one", channel="support")
        assert (await chat.answer_to(await chat.press("Retry", failed))).text == "clerk: one (0 before)"


async def test_a_text_is_told_to_the_usual_agent_besides_and_only_there() -> None:
    speaker = Speaker("It rains.")
    agent = dspy.ReAct("message -> reply", tools=[])
    before = [predictor.signature.instructions for predictor in agent.predictors()]
    simple = dspy.Predict("message -> reply")
    async with ChatTester(simple, lm=speaker.lm, channels={"wetter": " Answer in German. "}) as chat:
        await chat.say("How is the weather?")
        await chat.say("How is the weather?", channel="wetter")
        assert await labels(chat, "tester:W:wetter:t1") == ["wetter"]
    assert ["Answer in German." in prompt for prompt in speaker.prompts] == [False, True]
    told = Bot(agent, platforms=[TesterPlatform()], channels={"wetter": "Answer in German."}).agents.channels["wetter"]
    after = [predictor.signature.instructions for predictor in told.session.predictors()]
    assert after == [f"{each}\n\nAnswer in German." for each in before]
    assert [predictor.signature.instructions for predictor in agent.predictors()] == before


async def test_each_agent_has_a_window_and_a_beginning_of_its_own(tmp_path: Path) -> None:
    seed = dspy.History(messages=[{"question": "Who are you?", "answer": "A clerk."}])
    clerk = Clerk()
    usual = Session(Parrot(), max_turns=1)
    support = Session(clerk, initial_history=seed, copy_mode="none")
    store = f"sqlite:///{tmp_path / 'bot.db'}"
    async with ChatTester(usual, store=store, channels={"support": support}) as chat:
        for number in range(6):
            await chat.say(f"m{number}", channel="support")
            chat.conversations.holds.forget()
        said = await chat.say("last", channel="support")
    assert said.text == "clerk: last (7 before)"
    assert clerk.histories[-1][0]["answer"] == "A clerk."


@pytest.mark.parametrize(
    ("channels", "says"),
    [
        ([("support", Parrot())], "channels must be a mapping, such as channels="),
        ({"": Parrot()}, "names each channel by its id or its name"),
        ({7: Parrot()}, "names each channel by its id or its name"),
        ({"support": 7}, r"channels\['support'\] must be an agent, or what the usual one is told"),
        ({"support": " "}, r"channels\['support'\] must be an agent"),
        ({"a": Parrot(), "#a": Parrot()}, "names 'a' twice"),
        ({"support": "Be short."}, r"channels\['support'\] cannot tell the agent anything"),
        ({"support": dspy.Predict("a, b -> c")}, r"channels\['support'\]: the agent has 2 text inputs"),
    ],
)
def test_what_is_no_agent_of_a_channel_is_told_in_one_line(channels: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        Bot(Parrot(), platforms=[TesterPlatform()], channels=channels)
    assert "\n" not in str(caught.value)


def test_rules_hold_for_every_agent() -> None:
    platforms, lm = [TesterPlatform()], dspy.LM("nobody/knows")
    clerk = dspy.Predict("question -> answer")
    clerk.lm = lm
    with pytest.raises(ConfigurationError, match="nobody/knows"):
        Bot(Parrot(), platforms=platforms, channels={"support": clerk}, limits=Limits(money_a_day=1.0))
    with pytest.raises(ConfigurationError, match="history_turns is for a bare module"):
        Bot(Parrot(), platforms=platforms, channels={"support": Session(clerk)}, limits=Limits(history_turns=2))
    with pytest.raises(ConfigurationError, match="is of no channel"):
        Bot(Parrot(), platforms=platforms, channels={"support": clerk}, manners=Manners(scope="user"))
