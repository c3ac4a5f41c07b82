"""``dspy-bots run``: the real program, in a Slack of our own, until Ctrl-C."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path

import aiohttp

from tests.bots.command_line import dspy_bots, ended, interrupted, started, until
from tests.bots.playground.page import Page
from tests.loopback.receiver import SECRET, open_receiver
from tests.loopback.slack import ANN, BOT, FakeSlack

ECHO = """
import dspy
class Echo(dspy.Module):
    def forward(self, message: str, history=None):
        before = len(history.messages) if history else 0
        return dspy.Prediction(reply=f"{message} after {before}")
class Loud(dspy.Module):
    def forward(self, text: str):
        return dspy.Prediction(answer=text.upper())
agent = Echo()
loud = Loud()
"""


def environment(slack: FakeSlack) -> dict[str, str]:
    tokens = {"SLACK_BOT_TOKEN": slack.bot_token, "SLACK_APP_TOKEN": slack.app_token, "WEBHOOK_SECRET": SECRET}
    return {**tokens, "SLACK_API_URL": slack.base_url}


async def test_an_agent_answers_in_slack_and_every_turn_is_posted(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text(ECHO, encoding="utf-8")
    async with FakeSlack() as slack, open_receiver() as receiver:
        (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in environment(slack).items()))
        kept = ("--store", "sqlite:///bot.db", "--webhook", receiver.url)
        arguments = ("run", "echo.py:agent", "--slack", "--channel", "general=echo.py:loud", *kept)
        async with started(*arguments, folder=tmp_path) as program:
            said = await until(program, "Ctrl-C stops")
            assert said.startswith("echo.py:agent in slack · no model that we know of · kept in sqlite:///bot.db")
            await slack.connected()
            for text, answer in (("hello", "hello after 0"), ("again", "again after 1")):
                await slack.say(text, channel="D0ANN", user=ANN.id)
                assert (await slack.next_post()).text == answer
            await slack.say(f"<@{BOT.id}> hello", channel="C0GENERAL", user=ANN.id)
            assert (await slack.next_post()).text == "HELLO"
            deliveries = await receiver.arrived(3)
            result = await interrupted(program)
    assert [delivery.verified for delivery in deliveries] == [True] * 3
    assert [delivery.payload["data"]["agent"] for delivery in deliveries] == [None, None, "general"]
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


async def test_whoever_stops_it_twice_waits_for_nothing_and_the_message_is_answered_later(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW.replace("grace=0.2", "grace=600.0"), encoding="utf-8")
    async with started("run", "slow.py:bot", folder=tmp_path) as program:
        await until(program, "asked")
        program.send_signal(signal.SIGINT)
        said = await until(program, "Finishing the answer under way")
        assert "(up to 600 s); Ctrl-C again stops at once." in said
        result = await interrupted(program)
    assert (result.code, result.out) == (0, "\nStopped.\n")
    assert "Traceback" not in result.err
    async with started("run", "slow.py:bot", folder=tmp_path) as program:
        await until(program, "asked")  # what was handed back is taken up again


async def test_who_stops_a_bot_that_does_nothing_is_told_just_that(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text(ECHO, encoding="utf-8")
    async with started("run", "echo.py:agent", "--playground", folder=tmp_path) as program:
        await until(program, "Open ")
        program.send_signal(signal.SIGTERM)
        result = await ended(program)
    assert (result.code, result.out) == (0, "\nStopped.\n")


async def test_ones_own_agent_answers_on_the_page_without_a_token(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text(ECHO, encoding="utf-8")
    arguments = ("run", "echo.py:agent", "--playground", "--no-buttons", "--store", "memory://")
    async with started(*arguments, folder=tmp_path, BOT_PER_USR="20/m") as program:
        said = await until(program, "Open ")
        assert said.startswith("echo.py:agent in playground · ")
        url = re.search(r"Open (http://127\.0\.0\.1:\d+)/\n", said)
        assert url is not None
        async with (
            asyncio.timeout(30.0),
            aiohttp.ClientSession(url[1], headers={"Origin": url[1]}) as http,
            http.get("/api/events", params={"thread": "one"}) as response,
        ):
            page = Page(response)
            whole = await page.whole()
            async with http.post("/api/threads/one/messages", json={"text": "hello"}) as sent:
                answer = await page.answer((await sent.json())["id"])
        result = await interrupted(program)
    assert whole["agent"] == "echo.py:agent"
    assert (answer["html"], answer["beneath"]) == ("<p>hello after 0</p>\n", {})
    assert result.code == 0
    assert "warning: BOT_PER_USR is no variable of a bot: did you mean BOT_PER_USER?\n" in result.err


REFUSED = """
import dspy
class Refused(dspy.Module):
    def forward(self, message: str, history=None):
        try:
            raise ConnectionRefusedError("nobody listens for sk-" + "abcdefghijklmnop1234")
        except ConnectionRefusedError as error:
            raise RuntimeError("retried three times") from error
agent = Refused()
"""


async def test_a_model_that_refuses_is_a_line_and_not_a_page(tmp_path: Path) -> None:
    (tmp_path / "refused.py").write_text(REFUSED, encoding="utf-8")
    async with FakeSlack() as slack:
        arguments = ("run", "refused.py:agent", "--slack", "--store", "memory://")
        async with started(*arguments, folder=tmp_path, **environment(slack)) as program:
            await until(program, "Ctrl-C stops")
            await slack.connected()
            await slack.say("hello", channel="D0ANN", user=ANN.id)
            await slack.next_post()
            result = await interrupted(program)
    (line,) = [line for line in result.err.splitlines() if " ERROR " in line]
    assert "Traceback" not in result.err
    assert line.endswith(": ConnectionRefusedError: nobody listens for sk-***")
