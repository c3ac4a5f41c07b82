"""``dspy-bots run``: the real program, in a Slack of our own, until Ctrl-C."""

from __future__ import annotations

from pathlib import Path

from tests.bots.command_line import dspy_bots, interrupted, started, until
from tests.loopback.receiver import SECRET, open_receiver
from tests.loopback.slack import ANN, FakeSlack

ECHO = """
import dspy
class Echo(dspy.Module):
    def forward(self, message: str, history=None):
        before = len(history.messages) if history else 0
        return dspy.Prediction(reply=f"{message} after {before}")
agent = Echo()
"""


def environment(slack: FakeSlack) -> dict[str, str]:
    tokens = {"SLACK_BOT_TOKEN": slack.bot_token, "SLACK_APP_TOKEN": slack.app_token, "WEBHOOK_SECRET": SECRET}
    return {**tokens, "SLACK_API_URL": slack.base_url}


async def test_an_agent_answers_in_slack_and_every_turn_is_posted(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text(ECHO, encoding="utf-8")
    async with FakeSlack() as slack, open_receiver() as receiver:
        (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in environment(slack).items()))
        arguments = ("run", "echo.py:agent", "--slack", "--store", "sqlite:///bot.db", "--webhook", receiver.url)
        async with started(*arguments, folder=tmp_path) as program:
            said = await until(program, "Ctrl-C stops")
            assert said.startswith("echo.py:agent in slack · no model that we know of · kept in sqlite:///bot.db")
            await slack.connected()
            for text, answer in (("hello", "hello after 0"), ("again", "again after 1")):
                await slack.say(text, channel="D0ANN", user=ANN.id)
                assert (await slack.next_post()).text == answer
            deliveries = await receiver.arrived(2)
            result = await interrupted(program)
    assert [delivery.verified for delivery in deliveries] == [True, True]
    assert deliveries[1].payload["data"]["outputs"] == {"reply": "again after 1"}
    assert result.code == 0
    assert "Listening in Slack as @" in result.err
    assert "Traceback" not in result.err
    for secret in environment(slack).values():
        assert secret == slack.base_url or secret not in said + result.err


SLOW = """
import asyncio
import time
from datetime import UTC, datetime
import dspy
from dspy_session.conversation import ConversationKey
from dspy_session_chat import Author, Bot, Inbound
class Slow(dspy.Module):
    def forward(self, message: str, history=None):
        print("asked", flush=True)
        time.sleep(60.0)
        return dspy.Prediction(reply="at last")
class Place:
    name = "place"
    async def run(self, receive):
        key = ConversationKey("place", "W", "C", "t")
        await receive(Inbound(key, "e1", Author("U1", "Ann"), "hello", "direct", datetime.now(UTC)))
        await asyncio.Event().wait()
    async def post(self, post):
        raise AssertionError
bot = Bot(Slow(), platforms=[Place()], store="sqlite:///bot.db", grace=0.2)
"""


async def test_a_model_that_takes_its_time_keeps_nobody_from_leaving(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW, encoding="utf-8")
    async with started("run", "slow.py:bot", folder=tmp_path) as program:
        await until(program, "asked")
        result = await interrupted(program)
    assert result.code == 0
    assert "Traceback" not in result.err


async def test_a_token_that_slack_refuses_ends_it_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text(ECHO, encoding="utf-8")
    async with FakeSlack() as slack:
        variables = environment(slack) | {"SLACK_BOT_TOKEN": "xoxb-of-yesterday"}
        result = await dspy_bots("run", "echo.py:agent", "--slack", folder=tmp_path, **variables)
    assert result.code == 1
    assert result.complaint.startswith("the bot token is not accepted by Slack (invalid_auth): copy it again")
