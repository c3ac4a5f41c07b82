"""Running the platform in a test: the fake Slack on one side, a bot that says everything back on the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.conversation.key import ConversationKey
from dspy_session_chat.inbound import Author, Inbound
from dspy_session_chat.platform import Receive
from dspy_session_slack import Slack
from tests.chat.places import saying
from tests.loopback.slack import FakeSlack

GENERAL = "C0GENERAL"
SECRET = "G0SECRET"
ANNS_DM = "D0ANN"
ANN = "U0ANN"
BEN = "U0BEN"
OTHER_BOT = "U0OTHERBOT"
MENTION = "<@U0BOT>"


class Echo:
    """Keeps what it receives, and says it back before it returns."""

    def __init__(self, platform: Slack) -> None:
        self._platform = platform
        self.received: list[Inbound] = []

    async def __call__(self, inbound: Inbound) -> None:
        self.received.append(inbound)
        await self._platform.post(saying(inbound, f"echo: {inbound.text}"))

    @property
    def texts(self) -> list[str]:
        return [inbound.text for inbound in self.received]


def platform_of(slack: FakeSlack, **options: Any) -> Slack:
    """A platform with a client of its own, which knows as little as after a restart."""
    standard: dict[str, Any] = {
        "bot_token": slack.bot_token,
        "app_token": slack.app_token,
        "client": AsyncWebClient(base_url=slack.base_url),
        "ping_interval": 0.5,
    }
    return Slack(**standard | options)


@asynccontextmanager
async def running(platform: Slack, receive: Receive, slack: FakeSlack) -> AsyncIterator[None]:
    """``platform`` runs, and has connected to ``slack``; what stops it early comes out here."""
    run = asyncio.create_task(platform.run(receive))
    connected = asyncio.create_task(slack.connected())
    try:
        await asyncio.wait([run, connected], return_when=asyncio.FIRST_COMPLETED)
        if run.done():
            await run
        yield
    finally:
        connected.cancel()
        run.cancel()
        with suppress(asyncio.CancelledError):
            await run


@asynccontextmanager
async def echoing(slack: FakeSlack, **options: Any) -> AsyncIterator[Echo]:
    """An echo bot in ``slack``."""
    platform = platform_of(slack, **options)
    echo = Echo(platform)
    async with running(platform, echo, slack):
        yield echo


def some_inbound(channel: str = ANNS_DM, thread_ts: str | None = None) -> Inbound:
    """A message to answer, without anybody having written it."""
    return Inbound(
        key=ConversationKey("slack", "T0LOOPBACK", channel, thread_ts),
        event_id=f"{channel}:1",
        author=Author(ANN, "Ann"),
        text="hello",
        addressed="direct",
        sent_at=datetime(2026, 1, 1, tzinfo=UTC),
        reply_to={"channel": channel} if thread_ts is None else {"channel": channel, "thread_ts": thread_ts},
    )
