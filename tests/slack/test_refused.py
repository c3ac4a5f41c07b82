"""What becomes of an answer when Slack does not take it any more: a line, and nothing is lost."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_session_chat.testing.scene import playing
from dspy_session_chat.testing.scripted import ScriptedModel
from tests.loopback.slack import FakeSlack, rate_limited, refused
from tests.slack.door import until
from tests.slack.stage import SlackStage
from tests.slack.talk import GENERAL


async def test_a_bot_that_is_removed_while_it_answers_says_why_and_goes_on_elsewhere(
    slack: FakeSlack, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("dspy_session_slack.platform.EDIT_SECONDS", 0.0)
    stage, more = SlackStage(slack), asyncio.Event()
    model = ScriptedModel(["It is ", more, "nine."], "Here I am.", "It is nine.")
    async with playing(stage, dspy.Predict("message -> reply"), tmp_path, lm=model.lm) as scene:
        said = await scene.say("When?", stage.channel, mention=True)
        await scene.reads("It is", said.answers)
        members = slack.workspace.channels[GENERAL].members
        members.remove(slack.bot.id)
        more.set()
        (turn,) = await scene.remembers(len)
        await scene.say("Are you there?")
        await scene.reads("Here I am.")
        members.add(slack.bot.id)
        await scene.say("/retry", said.answers, mention=True)
        await scene.shows(lambda seen: "nine." in seen.text and "Retry" in seen.buttons, said.answers)

    assert turn.outputs["reply"] == "It is nine."
    lines = [record for record in caplog.records if "was not posted" in record.getMessage()]
    assert [line.exc_info for line in lines] == [None]
    assert f"the bot is not in the channel #general ({GENERAL}): invite it there" in lines[0].getMessage()


@pytest.mark.parametrize("fault", [rate_limited(), refused("ratelimited"), refused("service_unavailable")])
async def test_what_slack_does_not_take_for_now_is_posted_when_it_does(slack: FakeSlack, tmp_path: Path, fault: Any):
    model = ScriptedModel("It is nine.")
    async with playing(SlackStage(slack), dspy.Predict("message -> reply"), tmp_path, lm=model.lm) as scene:
        slack.fail("chat.postMessage", fault)
        await scene.say("When?")
        whole = await scene.shows(lambda seen: "nine." in seen.text and "Retry" in seen.buttons)

    assert "It is nine." in whole.text
    assert [shown.text for shown in slack.shown("D0ANN")].count("It is nine.") == 1


async def test_a_token_that_is_void_costs_a_line_for_each_answer(
    slack: FakeSlack, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)

    async def told() -> list[str]:
        return [message for message in caplog.messages if "not accepted by Slack (token_revoked)" in message]

    model = ScriptedModel("Here I am.", "It is nine.", "It is ten.")
    async with playing(SlackStage(slack), dspy.Predict("message -> reply"), tmp_path, lm=model.lm) as scene:
        await scene.say("Are you there?")
        await scene.reads("Here I am.")
        for method in ("chat.postMessage", "chat.update"):
            slack.fail(method, refused("token_revoked"), times=99)
        for count in (1, 2):
            await scene.say("When?")
            await until(told, lambda lines, count=count: sum("was not posted" in line for line in lines) == count)

    assert len(await told()) == 2
