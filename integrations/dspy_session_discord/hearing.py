"""Taking messages over: each one translated and handed to the receiver in a task of its own."""

from __future__ import annotations

import asyncio
import logging

import discord

from dspy_session_chat.inbound import Inbound
from dspy_session_chat.platform import Receive
from dspy_session_discord.translate import Ignored, is_in, translate

_log = logging.getLogger(__name__)


class Hearing:
    """Hands messages for the bot to ``receive``; they start in the order in which they came.

    One message that goes wrong is logged and lost, the others are not.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._tasks: set[asyncio.Task[None]] = set()

    def hear(self, message: discord.Message, me: int) -> None:
        """Take ``message`` over for the bot whose user id is ``me``."""
        task = asyncio.create_task(self._take(message, me), name=f"discord-message-{message.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        """Cancel what is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _take(self, message: discord.Message, me: int) -> None:
        try:
            translation = translate(message, me)
            if isinstance(translation, Ignored):
                _log.debug("message %s is ignored: %s", message.id, translation.value)
                return
            await self._receive(translation)
            await _stay_in_thread(message, translation, me)
        except Exception:  # noqa: BLE001 - whatever a receiver raises, the next message must be heard
            _log.exception("Discord message %s was not taken over", message.id)


async def _stay_in_thread(message: discord.Message, inbound: Inbound, me: int) -> None:
    """Join the thread that the bot was mentioned in, so that it need not be mentioned again there."""
    thread = message.channel
    if inbound.addressed != "mention" or not isinstance(thread, discord.Thread) or is_in(thread, me):
        return
    try:
        await thread.join()
    except discord.HTTPException as error:
        _log.debug("cannot join thread %s: %s", thread.id, error)
