"""Running the platform in a test: the fake Slack on one side, a bot that says everything back on the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, TypeGuard

from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.conversation.key import ConversationKey
from dspy_session_chat.action import Action, Event
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
    """Hears everything; says what a bot is to answer back before it returns.

    Args:
        platform: Where it answers.
    """

    def __init__(self, platform: Slack) -> None:
        self._platform = platform
        self.heard: list[Event] = []

    async def __call__(self, event: Event) -> None:
        self.heard.append(event)
        if is_for_us(event):
            await self._platform.post(saying(event, f"echo: {event.text}"))

    @property
    def received(self) -> list[Inbound]:
        """What was answered."""
        return [event for event in self.heard if is_for_us(event)]

    @property
    def overheard(self) -> list[Inbound]:
        """What was said, and not answered."""
        return [event for event in self.heard if isinstance(event, Inbound) and not is_for_us(event)]

    @property
    def actions(self) -> list[Action]:
        return [event for event in self.heard if isinstance(event, Action)]

    @property
    def texts(self) -> list[str]:
        return [inbound.text for inbound in self.received]


def is_for_us(event: Event) -> TypeGuard[Inbound]:
    """Whether a bot answers to this: something that a person says to it, and to nobody else."""
    if not isinstance(event, Inbound) or event.author.is_bot:
        return False
    return event.addressed != "ambient" and not (event.addressed == "thread" and event.mentions_others)


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
async def running(platform: Slack, receive: Receive, slack: FakeSlack, sockets: int = 1) -> AsyncIterator[None]:
    """``platform`` runs, and has connected to ``slack``; what stops it early comes out here."""
    run = asyncio.create_task(platform.run(receive))
    connected = asyncio.create_task(slack.connected(sockets))
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
