"""One agent on Slack and Discord at once, through the real client libraries, with every turn going to a webhook."""

from __future__ import annotations

from pathlib import Path

import dspy
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session_chat import Bot
from dspy_session_discord import Discord
from dspy_session_slack import Slack
from dspy_session_webhook import Webhook
from tests.loopback.discord import FakeDiscord
from tests.loopback.receiver import SECRET, Receiver, open_receiver
from tests.loopback.slack import FakeSlack
from tests.stub_lm import Prompt, StubModel


def recall(prompt: Prompt) -> dict[str, str]:
    """Answers from what it reads: the name, if anybody told it."""
    if "my name?" not in prompt.inputs["message"]:
        return {"reply": "Nice to meet you."}
    for name in ("Ann", "Ada"):
        if f"I am {name}" in prompt.text:
            return {"reply": f"You are **{name}**."}
    return {"reply": "You did not tell me."}


def everywhere(slack: FakeSlack, discord: FakeDiscord, receiver: Receiver, store: Path) -> Bot:
    return Bot(
        dspy.ChainOfThought("message -> reply"),
        platforms=[
            Slack(
                bot_token=slack.bot_token,
                app_token=slack.app_token,
                client=AsyncWebClient(base_url=slack.base_url),
                ping_interval=0.5,
            ),
            Discord(
                token=discord.token,
                client_options={"connector": discord.connector(), "guild_ready_timeout": 0.01},
            ),
        ],
        sinks=[Webhook(f"{receiver.url}/turns", SECRET, allow_loopback=True)],
        store=f"sqlite:///{store}",
        lm=StubModel(recall).lm,
    )


async def test_one_agent_lives_in_slack_and_discord_and_remembers_over_a_restart(tmp_path: Path) -> None:
    store = tmp_path / "bot.db"
    async with FakeSlack() as slack, FakeDiscord() as discord, open_receiver() as receiver:
        ada = discord.person("Ada")
        general = discord.channel(discord.guild("Acme"), "general")

        async with everywhere(slack, discord, receiver, store):
            await slack.connected()
            await discord.connected()
            asked = await slack.say("<@U0BOT> I am Ann", channel="C0GENERAL", user="U0ANN")
            await slack.until(lambda: slack.shown("C0GENERAL", asked["ts"])[-1].text == "Nice to meet you.")
            await discord.say(general, ada, f"{discord.bot.mention} I am Ada")
            in_discord = await discord.next_post()
            await discord.until(lambda: in_discord.content == "Nice to meet you.")
            assert in_discord.channel.is_thread

        async with everywhere(slack, discord, receiver, store) as bot:
            await slack.connected()
            await discord.connected()
            await slack.say("What is my name?", channel="C0GENERAL", user="U0BEN", thread_ts=asked["ts"])
            await slack.until(lambda: slack.shown("C0GENERAL", asked["ts"])[-1].text == "You are **Ann**.")
            await discord.say(in_discord.channel, ada, "What is my name?")
            again = await discord.next_post()
            await discord.until(lambda: again.content == "You are **Ada**.")
            await slack.say("What is my name?", channel="D0ANN", user="U0ANN")
            await slack.until(lambda: slack.shown("D0ANN")[-1].text == "You did not tell me.")

            keys = {info.key for info in await bot.conversations.list()}
            deliveries = await receiver.arrived(5)

    assert len(keys) == 3
    assert all(delivery.verified for delivery in deliveries)
    assert {delivery.conversation for delivery in deliveries} == keys
    names = {delivery.payload["data"]["author"]["name"] for delivery in deliveries}
    assert names == {"Ann", "Ben", "Ada"}
