"""A bot's file with conversations in it, made by the code that bots run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dspy

from dspy_session import sessionify
from dspy_session.conversation import Conversations, TurnRequest
from dspy_session_webhook import Webhook
from tests.loopback.receiver import SECRET

SLACK = "slack:T1:C1:1700000000.000100"
DISCORD = "discord:1:2"
NOWHERE = "http://127.0.0.1:9/turns"
"""Nobody listens there."""


class Echo(dspy.Module):
    """Says what it was told, and how much it remembers."""

    async def aforward(self, message: str, history: dspy.History) -> dspy.Prediction:
        return dspy.Prediction(reply=f"{message} after {len(history.messages)}")


class Writer:
    """Writes to a file as a bot does; its clock goes on by a minute with every turn."""

    def __init__(self, folder: Path, sinks: Sequence[Webhook] = (), store: str = "") -> None:
        self.at = 1_704_067_200.0  # the year 2024 begins
        store = store or f"sqlite:///{folder / 'bot.db'}"
        self.chats = Conversations(
            sessionify(Echo(), copy_mode="none"), store, sinks=sinks, agent_version="7", clock=lambda: self.at
        )

    async def take(self, key: str, message: str, user: str = "slack:T1:U1", event: str = "") -> Any:
        self.at += 60
        name = user.rpartition(":")[2]
        request = TurnRequest(
            key, {"message": message}, event_id=event, author=name, author_name=f"Mx {name}", user=user
        )
        async with self.chats.turn(request) as turn:
            assert turn is not None
            await turn.run()
            return turn.committed

    async def fill(self) -> None:
        """Two conversations; in one of them everything happened that can."""
        await self.take(SLACK, "one")
        two = await self.take(SLACK, "two \x1b[31m[b]x[/b] ü", "slack:T1:U2")
        await self.take(SLACK, "three")
        await self.chats.score(SLACK, two.id, 0.5, by="slack:T1:U2", text="well said", source="reaction")
        await self.chats.edit(SLACK, two.id, outputs={"reply": "better"})
        await self.chats.undo(SLACK)
        await self.take(DISCORD, "hi", "discord::123")


def rate(folder: Path) -> None:
    """Make ``bot.db`` with what people said of turns: rated by two, taken back, stopped, edited, forked, begun anew."""

    async def work() -> None:
        writer = Writer(folder)
        async with writer.chats as chats:
            one, two, three, four = [await writer.take(SLACK, text) for text in ("one", "two", "three", "four")]
            changed = await writer.take(DISCORD, "lunch?", "discord::123")
            await chats.score(DISCORD, changed.id, 1.0, by="discord::123")
            async with chats.holds.hold(DISCORD) as hold:
                await chats.changing(hold).edit(changed.id, {"message": "(deleted)"}, None, deleted="lunch?")
            await chats.score(SLACK, one.id, 1.0, by="slack:T1:U1", source="reaction")
            await chats.score(SLACK, one.id, 0.0, by="slack:T1:U2", text="too \x1b[31mlong", source="button")
            await chats.signal(SLACK, one.id, "retried", by="slack:T1:U3")
            await chats.score(SLACK, two.id, 1.0, by="slack:T1:U1")
            await chats.score(SLACK, two.id, None, by="slack:T1:U1")
            await chats.score(SLACK, three.id, 0.0, by="slack:T1:U1")
            await chats.score(SLACK, four.id, 1.0, by="slack:T1:U1")
            await chats.edit(SLACK, four.id, outputs={"reply": "better"})
            async with chats.turn(TurnRequest(SLACK, {"message": "five"}, author="U1", user="slack:T1:U1")) as turn:
                assert turn is not None
                await turn.stop({"reply": "fi"}, "stopped")
                assert turn.committed is not None
            await chats.score(SLACK, turn.committed.id, 1.0, by="slack:T1:U1")
            await chats.fork(SLACK, f"{SLACK}2")
            await chats.reset(SLACK)

    asyncio.run(work())


def fill(folder: Path, *urls: str) -> None:
    """Make ``bot.db``; nobody takes what is posted to ``urls``."""

    async def work() -> None:
        writer = Writer(folder, [Webhook(url, SECRET, allow_loopback=True) for url in urls])
        async with writer.chats:
            await writer.fill()
            await writer.chats.telling.aclose(0)

    asyncio.run(work())
