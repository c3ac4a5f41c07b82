"""Taking over what people write and do: each translated and handed to the receiver in a task of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import discord

from dspy_session_chat.action import Event
from dspy_session_chat.deciding import IsOpen
from dspy_session_chat.inbound import Inbound
from dspy_session_chat.platform import Receive
from dspy_session_discord.commands.offering import Offered
from dspy_session_discord.inbound.deeds import Reactions, deletions_of, edit_of
from dspy_session_discord.inbound.insisting import Insisting
from dspy_session_discord.inbound.interactions import Interactions
from dspy_session_discord.inbound.membership import Membership
from dspy_session_discord.inbound.translate import SPOKEN, Ignored, translate
from dspy_session_discord.refusal import FAILURES, explain

_log = logging.getLogger(__name__)

Listeners = Mapping[str, Callable[..., None]]
"""Who takes which event of discord.py, by its name: ``"on_message"``."""


class Hearing:
    """Hands over what people write and do to ``receive``; it starts in the order in which it came.

    One event that goes wrong is logged and lost, the others are not; while the store is down they wait for it. What is
    nothing to the bot costs no task.

    Args:
        receive: Takes the events over.
        client: The client that hears them.
        offered: The commands that the bot offers natively.
        is_open: Whether a press may come to something, for one that waits for a window.
        now: The time, for events that Discord gives none.
    """

    def __init__(
        self,
        receive: Receive,
        client: discord.Client,
        offered: Offered,
        is_open: IsOpen,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._receive = Insisting(receive)
        self._client = client
        self._now = now
        self._reactions = Reactions()
        self._membership = Membership()
        self._interactions = Interactions(self._receive, client, offered, self._membership, is_open)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def listeners(self) -> Listeners:
        """Our ears, by what they hear."""
        return {
            "on_message": self._guarded(self._message),
            "on_thread_remove": self._guarded(lambda thread, _: self._membership.taken_out(thread)),
            "on_thread_join": self._guarded(lambda thread, _: self._membership.is_back(thread)),
            "on_raw_message_edit": self._guarded(self._edit),
            "on_raw_message_delete": self._guarded(self._deletion),
            "on_raw_bulk_message_delete": self._guarded(self._deletion),
            "on_raw_reaction_add": self._guarded(self._reaction),
            "on_raw_reaction_remove": self._guarded(self._reaction),
            "on_interaction": self._guarded(self._interaction),
        }

    async def finished(self) -> None:
        """Return when nothing is under way."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    async def acknowledged(self, event_id: str) -> None:
        """Wait until Discord knows that what people did has arrived, where it waits for that."""
        await self._interactions.acknowledged(event_id)

    async def aclose(self) -> None:
        """Cancel what is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _message(self, message: discord.Message, me: int) -> None:
        if isinstance(message.channel, discord.PartialMessageable) and message.type in SPOKEN:
            self._start(self._from_unknown_place(message, me), f"{message.id}-placed")
        else:
            self._placed_message(message, me)

    async def _from_unknown_place(self, message: discord.Message, me: int) -> None:
        """Ask where a message is: a thread that was archived when the client connected may be none that it knows."""
        try:
            channel = await self._client.fetch_channel(message.channel.id)
        except FAILURES as error:
            _log.debug("it is not known where message %s is: %s", message.id, explain(error))
        else:
            if isinstance(channel, discord.Thread | discord.TextChannel | discord.VoiceChannel | discord.StageChannel):
                message.channel = channel
        self._guarded(self._placed_message)(message)

    def _placed_message(self, message: discord.Message, me: int) -> None:
        translation = translate(message, me)
        if isinstance(translation, Ignored):
            _log.debug("message %s is ignored: %s", message.id, translation.value)
        else:
            self._start(self._take_message(message, translation, me), translation.event_id)

    def _edit(self, event: discord.RawMessageUpdateEvent, me: int) -> None:
        self._hand_over(edit_of(event, me))

    def _deletion(self, event: discord.RawMessageDeleteEvent | discord.RawBulkMessageDeleteEvent, _: int) -> None:
        for deletion in deletions_of(event, self._client, self._now()):
            self._hand_over(deletion)

    def _reaction(self, event: discord.RawReactionActionEvent, _: int) -> None:
        self._hand_over(self._reactions.told(event, self._client, self._now()))

    def _interaction(self, interaction: discord.Interaction[discord.Client], _: int) -> None:
        taking = self._interactions.taking(interaction)
        if taking is not None:
            self._start(self._take_interaction(taking, interaction.id), str(interaction.id))

    def _guarded(self, take: Callable[[Any, int], None]) -> Callable[[Any], None]:
        def guarded(event: Any) -> None:
            if self._client.user is None:
                return
            try:
                take(event, self._client.user.id)
            except Exception:  # noqa: BLE001 - whatever Discord has sent, the next event must be heard
                _log.exception("a %s of Discord's was not understood", type(event).__name__)

        return guarded

    def _hand_over(self, event: Event | None) -> None:
        if event is not None:
            self._start(self._take(event), event.event_id)

    def _start(self, taking: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(taking, name=f"discord-{name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take(self, event: Event) -> None:
        try:
            await self._receive(event)
        except Exception:  # noqa: BLE001 - whatever a receiver raises, the next event must be heard
            _log.exception("Discord event %s was not taken over", event.event_id)

    async def _take_interaction(self, taking: Coroutine[Any, Any, None], number: int) -> None:
        try:
            await taking
        except Exception:  # noqa: BLE001 - as above
            _log.exception("Discord interaction %s was not taken over", number)

    async def _take_message(self, message: discord.Message, inbound: Inbound, me: int) -> None:
        try:
            if inbound.addressed == "thread":
                if self._membership.is_unsure(message.channel):
                    await self._membership.ask(message.channel, me)
                if self._membership.is_out(message.channel):
                    inbound = replace(inbound, addressed="ambient")
            await self._receive(inbound)
            if inbound.addressed == "mention" and not inbound.author.is_bot:
                await self._membership.stay_in(message.channel, me)
        except Exception:  # noqa: BLE001 - as above
            _log.exception("Discord message %s was not taken over", message.id)
