"""Taking commands and presses over: Discord has to hear of each within three seconds, or tells people it failed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import discord

from dspy_session.errors import SessionError
from dspy_session_chat.action import Action, Command
from dspy_session_chat.deciding import IsOpen
from dspy_session_chat.inbound import Attachment, Inbound
from dspy_session_chat.platform import Receive
from dspy_session_discord.commands.listed import ASKS, ON_MESSAGE, SLASH, value_in
from dspy_session_discord.commands.offering import Offered
from dspy_session_discord.commands.tree import theirs
from dspy_session_discord.destination import Destination
from dspy_session_discord.error_codes import ALREADY_ACKNOWLEDGED
from dspy_session_discord.inbound.asking import About, Abouts, asked_about, files_given, link_to, question_of, window
from dspy_session_discord.inbound.author import author_of
from dspy_session_discord.inbound.deeds import name_pressed, press_of
from dspy_session_discord.inbound.membership import Membership
from dspy_session_discord.inbound.translate import channel_name
from dspy_session_discord.inbound.words import said
from dspy_session_discord.key import Channel, key_in
from dspy_session_discord.outbound.button import ButtonName, answer_in, label_on, modal_of
from dspy_session_discord.outbound.response import Response
from dspy_session_discord.outbound.written import Written
from dspy_session_discord.refusal import FAILURES, explain
from dspy_session_discord.ticket import Ticket, heading

_log = logging.getLogger(__name__)

NO_MEMBER = (
    "I am no member here, so I cannot talk with you in this place. Write to me in a direct message, or ask whoever "
    "runs the server to add me."
)
NOT_TAKEN = "Sorry, I could not take this over just now. Please ask again in a moment."

WHICH = "Which conversation do you mean? In this channel each question begins one of its own: give `/{}` in its thread."

Interaction: TypeAlias = discord.Interaction[discord.Client]


class Interactions:
    """Takes interactions over.

    What cannot be acknowledged is not carried out: Discord tells the person that nothing answered, and they would give
    the command twice. A button counts all the same: pressed twice it does no harm.

    Args:
        receive: Takes events over.
        client: The client that hears them.
        offered: The commands that the bot offers natively.
        membership: Joins the threads that it is called into.
        is_open: Whether a press may come to something: where it may not, nobody is asked for words.
    """

    def __init__(
        self,
        receive: Receive,
        client: discord.Client,
        offered: Offered,
        membership: Membership,
        is_open: IsOpen,
    ) -> None:
        self._receive = receive
        self._client = client
        self._offered = offered
        self._membership = membership
        self._is_open = is_open
        self._commands = {(command.kind, command.name): command for command in offered.commands}
        self._abouts = Abouts()
        self._acknowledging: dict[str, asyncio.Task[Any]] = {}

    def taking(self, interaction: Interaction) -> Coroutine[Any, Any, None] | None:
        """What there is to do about an interaction; None when it is somebody else's."""
        take = self._way_of(interaction)
        if take is None:
            return None
        if _is_outside(interaction):
            return _tell(interaction, NO_MEMBER)
        return take(interaction)

    async def acknowledged(self, event_id: str) -> None:
        """Wait until Discord knows that a press arrived: before that, it takes no answer to it."""
        task = self._acknowledging.get(event_id)
        if task is not None:
            await asyncio.wait([task])

    def _way_of(self, interaction: Interaction) -> Callable[[Interaction], Coroutine[Any, Any, None]] | None:
        if name_pressed(interaction) is not None:
            return self._press
        if asked_about(interaction) is not None:
            return self._about
        if interaction.type is not discord.InteractionType.application_command:
            return None
        data: Any = interaction.data or {}
        kind, name = int(data.get("type", SLASH)), str(data.get("name", ""))
        server = data.get("guild_id")
        if theirs(self._offered.tree, name, kind, None if server is None else discord.Object(int(server))):
            return None
        if (kind, name) not in self._commands and not self._offered.alone:
            return None
        if kind == ON_MESSAGE:
            return self._open_window
        return self._command if kind == SLASH else None

    # --- buttons ------------------------------------------------------------------------------------------------------

    async def _press(self, interaction: Interaction) -> None:
        name = name_pressed(interaction)
        assert name is not None
        press = press_of(interaction, name)
        asking = bool(name.asks) and interaction.type is discord.InteractionType.component
        waits = asking and name.waits
        if waits and press is not None and not self._is_open(press):
            asking = waits = False
        # Side by side: Discord waits for three seconds, and who presses Stop should not wait for Discord.
        acknowledging = self._acknowledge(interaction, name if asking else None)
        try:
            if waits:
                if await acknowledging:
                    return
                acknowledging = self._acknowledge(interaction, None)
            if press is None:
                _log.warning("button press %s is lost: Discord does not say where it was", interaction.id)
            else:
                await self._receive(press)
        finally:
            await asyncio.wait([acknowledging])
            del self._acknowledging[str(interaction.id)]

    def _acknowledge(self, interaction: Interaction, asks: ButtonName | None) -> asyncio.Task[bool]:
        task = self._acknowledging[str(interaction.id)] = asyncio.create_task(_acknowledge(interaction, asks))
        return task

    # --- commands -----------------------------------------------------------------------------------------------------

    async def _command(self, interaction: Interaction) -> None:
        data: Any = interaction.data or {}
        name, options = str(data.get("name", "")), data.get("options") or ()
        text = value_in(options)
        if self._commands.get((SLASH, name)) == ASKS:
            ticket = await self._deferred(interaction, private=False, above=heading(text))
            if ticket is not None:
                await self._ask(interaction, ticket, text, files_given(data))
            return
        known, where = self._commands.get((SLASH, name)), interaction.channel
        if known is not None and where is not None and not self._offered.tells_which(name, where):
            await _tell(interaction, WHICH.format(name))
            return
        ticket = await self._deferred(interaction, private=known is None or known.private)
        channel = interaction.channel
        if ticket is None or channel is None:
            return
        command = Action(
            key=key_in(channel, str(interaction.guild_id or "")),
            event_id=str(interaction.id),
            author=author_of(interaction.user),
            sent_at=interaction.created_at,
            deed=Command(name, text),
            channel_name=channel_name(channel),
            reply_to=ticket.beside(Destination(channel.id)),
            direct=not interaction.guild_id,
        )
        await self._hand_over(command, ticket)

    async def _open_window(self, interaction: Interaction) -> None:
        """Somebody wants to ask about a message: they are asked what."""
        data: Any = interaction.data or {}
        target = str(data.get("target_id", "0"))
        message = ((data.get("resolved") or {}).get("messages") or {}).get(target)
        if message is not None:
            self._abouts.keep(int(target), About.of(message))
        try:
            await interaction.response.send_modal(window(int(target)))
        except FAILURES as error:
            _log.warning("Discord did not open the window of %s: %s", interaction.id, explain(error))

    async def _about(self, interaction: Interaction) -> None:
        """Somebody has written what they want to know of a message."""
        message_id, channel, question = asked_about(interaction), interaction.channel, answer_in(interaction.data)
        assert message_id is not None
        above = "" if channel is None else heading(question, link_to(interaction, channel, message_id))
        ticket = await self._deferred(interaction, private=False, above=above)
        if ticket is None or channel is None:
            return
        about = self._abouts.get(message_id) or await self._read(channel, message_id)
        if about is None:
            await self._say(ticket, "Sorry, I cannot read that message.")
            return
        await self._ask(interaction, ticket, about.beneath(question), about.files, question or about.text)

    # ------------------------------------------------------------------------------------------------------------------

    async def _deferred(self, interaction: Interaction, *, private: bool, above: str = "") -> Ticket | None:
        """Tell Discord that an answer is on its way; how it is to be given, or None when Discord does not want it any
        more, and the command is not to be carried out.
        """
        try:
            try:
                answered = await interaction.response.defer(ephemeral=private, thinking=True)
                original = None if answered is None else answered.message_id
            except discord.HTTPException as error:
                if error.code != ALREADY_ACKNOWLEDGED:  # then Discord has delivered it twice, or its answer was lost
                    raise
                original = None
            if original is None:
                original = (await interaction.original_response()).id
        except discord.InteractionResponded:
            return None  # somebody else has answered it
        except FAILURES as error:
            _log.warning(
                "command %s of %s is not carried out, and Discord says so: %s",
                interaction.id,
                interaction.user.id,
                explain(error),
            )
            return None
        direct = interaction.guild_id is None
        return Ticket(interaction.application_id, interaction.token, str(original), private, above, direct)

    async def _ask(
        self, interaction: Interaction, ticket: Ticket, text: str, files: tuple[Attachment, ...], title: str = ""
    ) -> None:
        channel, me = interaction.channel, self._client.user
        assert channel is not None
        await self._hand_over(question_of(interaction, channel, ticket, text, files, title), ticket)
        if me is not None:
            await self._membership.stay_in(channel, me.id)

    async def _hand_over(self, event: Inbound | Action, ticket: Ticket) -> None:
        try:
            await self._receive(event)
        except SessionError as error:
            _log.error("Discord command %s was not taken over: %s", event.event_id, error)
            await self._say(ticket, NOT_TAKEN)

    async def _say(self, ticket: Ticket, text: str) -> None:
        try:
            await Response(self._client, ticket).send(Written(text, ""), first=True)
        except FAILURES as error:
            _log.warning("who gave a command in Discord does not hear of it: %s", explain(error))

    async def _read(self, channel: Channel, message_id: int) -> About | None:
        """A message, where it was shown to us before a restart."""
        me = self._client.user
        try:
            message = await self._client.get_partial_messageable(channel.id).fetch_message(message_id)
        except FAILURES as error:
            _log.info("message %s that was asked about cannot be read: %s", message_id, explain(error))
            return None
        files = tuple(file.to_dict() for file in message.attachments)
        about = About.of({"attachments": files})
        return About(message.author.display_name, said(message, 0 if me is None else me.id), about.files)


def _is_outside(interaction: Interaction) -> bool:
    """Whether it was done in a place where the bot is not: people can take an app along."""
    if interaction.channel is None:
        return True
    if interaction.guild_id is None:
        return not isinstance(interaction.channel, discord.DMChannel) or interaction.context.private_channel
    return interaction.client.get_guild(interaction.guild_id) is None and not interaction.is_guild_integration()


async def _tell(interaction: Interaction, text: str) -> None:
    """Say something to the one who did it alone."""
    try:
        await interaction.response.send_message(text, ephemeral=True)
    except FAILURES as error:
        _log.warning("Discord did not say why interaction %s was refused: %s", interaction.id, explain(error))


async def _acknowledge(interaction: Interaction, asks: ButtonName | None) -> bool:
    """Tell Discord that the press arrived: by asking the button's question, if it has one. Whether that is asked."""
    try:
        if asks is None:
            await interaction.response.defer()
        else:
            await interaction.response.send_modal(modal_of(asks, label_on(interaction.message, asks)))
    except FAILURES as error:
        _log.warning("Discord was not told that button press %s arrived: %s", interaction.id, explain(error))
        # Then it has been told before, and its answer was lost.
        return asks is not None and isinstance(error, discord.HTTPException) and error.code == ALREADY_ACKNOWLEDGED
    return asks is not None
