"""The way of a slash command, and of the shortcut that asks about a message, from Slack to the bot."""

from __future__ import annotations

import asyncio
import html
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from aiohttp import ClientError
from slack_sdk.errors import SlackApiError

from dspy_session.conversation.key import ConversationKey
from dspy_session_chat.action import Action, Command
from dspy_session_chat.inbound import Author
from dspy_session_chat.platform import Receive
from dspy_session_slack.inbound.address import is_id
from dspy_session_slack.inbound.asking import NotAskedError, Question, asked
from dspy_session_slack.inbound.interactions import PATIENCE
from dspy_session_slack.inbound.plaintext import mentions, untold
from dspy_session_slack.inbound.presses import SUBMITTED
from dspy_session_slack.inbound.shortcut import ASK_ABOUT, SHORTCUT, about, modal
from dspy_session_slack.inbound.shortcut import asked as asked_about
from dspy_session_slack.inbound.slash import Ask, Given, Remark, given, is_ours, meant
from dspy_session_slack.inbound.translate import named_in
from dspy_session_slack.inbound.visits import Later
from dspy_session_slack.key import PLATFORM, is_dm
from dspy_session_slack.outbound.harmless import read_out
from dspy_session_slack.outbound.responding import RESPOND, respond
from dspy_session_slack.outbound.split import to_messages
from dspy_session_slack.refusals import error_code
from dspy_session_slack.told import Told
from dspy_session_slack.unnamed import marked, unnamed
from dspy_session_slack.workspace import Workspace

_log = logging.getLogger(__name__)

UNNAMED = ("directmessage", "privategroup", "mpdm-")
"""How the names begin that Slack tells in the place of a channel's."""


class Orders:
    """Hands over what people ask and order by Slack's own ways of doing so.

    Args:
        workspace: Where.
        receive: Takes an event over.
        told: What the bot told us.
        later: Does what Slack need not wait for.
        shared: Whether others handle events of the same app: then a command that is not the bot's is left to them.
        now: The time.
    """

    def __init__(
        self,
        workspace: Workspace,
        receive: Receive,
        told: Told,
        later: Later,
        *,
        shared: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._workspace = workspace
        self._bot = workspace.bot
        self._directory = workspace.directory
        self._receive = receive
        self._told = told
        self._later = later
        self._shared = shared
        self._now = now

    async def take(self, body: Mapping[str, Any]) -> bool:
        """Take a command or a shortcut; False if it is another thing, or somebody else's.

        Raises:
            SessionError: The bot could not take it.
        """
        command = given(body)
        if command is not None:
            if self._shared and not is_ours(command, self._told.commands, self._bot.name):
                return False
            await self._command(command, body)
            return True
        if body.get("type") == SHORTCUT:
            return await self._shortcut(body)
        view = body.get("view")
        if body.get("type") == SUBMITTED and isinstance(view, Mapping) and view.get("callback_id") == ASK_ABOUT:
            await self._question(body)
            return True
        return False

    async def _command(self, command: Given, body: Mapping[str, Any]) -> None:
        wanted = meant(command, self._told.commands, self._bot.name, self._told.manners, threaded=self._bot.threads_dms)
        if isinstance(wanted, Remark):
            self._tell(command.respond, wanted.text)
            return
        author, text = self._author(command.user, command.handle), await self._plain(wanted.text)
        channel_name = self._name(command.channel, body.get("channel_name"))
        if isinstance(wanted, Ask):
            await self._ask(
                Question(
                    *(command.channel, None, author, text),
                    channel_name=channel_name,
                    respond=command.respond,
                )
            )
            return
        await self._receive(self._action(command, author, replace(wanted, text=text), channel_name))

    def _action(self, command: Given, author: Author, wanted: Command, channel_name: str) -> Action:
        return Action(
            key=ConversationKey(PLATFORM, self._bot.team_id, command.channel),
            event_id=f"command:{command.trigger or f'{command.channel}:{command.user}:{self._now().timestamp()}'}",
            author=author,
            sent_at=self._now(),
            deed=wanted,
            channel_name=channel_name,
            reply_to=self._bot.home.marked({"channel": command.channel, RESPOND: command.respond}),
            direct=command.direct,
        )

    async def _shortcut(self, body: Mapping[str, Any]) -> bool:
        nameless = about(body, self._bot, {})
        if nameless is None:
            return False
        try:
            async with asyncio.timeout(PATIENCE):
                names = await self._directory.names(named_in(body["message"], self._bot))
                view = modal(about(body, self._bot, names) or nameless)
                await self._workspace.client.views_open(trigger_id=str(body.get("trigger_id") or ""), view=view)
        except (SlackApiError, ClientError, OSError) as error:
            _log.warning("The question about a message was not asked: %s", error_code(error))
            self._tell(nameless.respond, "Slack was too slow to ask for your question; please try again.")
        return True

    async def _question(self, body: Mapping[str, Any]) -> None:
        found, user = asked_about(body), body.get("user")
        who = user.get("id") if isinstance(user, Mapping) else None
        if found is None or not found[1] or not is_id(who) or not isinstance(user, Mapping):
            return
        message, text = found
        author = self._author(who, user.get("name") or user.get("username"))
        await self._ask(
            Question(
                *(message.channel, message.thread, author, text, message.quoted),
                channel_name=self._name(message.channel, None),
                respond=message.respond,
            )
        )

    async def _ask(self, question: Question) -> None:
        denial = self._told.access.denial(question.unsaid(self._bot, self._now()))
        if denial is not None:  # the bot would say it for them
            self._tell(question.respond, denial)
            return
        try:
            inbound = await asked(self._workspace, question)
        except NotAskedError as error:
            self._tell(question.respond, str(error))
            return
        # Slack tells a handle with it; the agent reads the name that it knows people by.
        ids = [question.author.id, *([] if is_dm({"channel": question.channel}) else [question.channel])]
        await self._receive(marked(inbound, ids, self._directory.known(ids)))

    async def _plain(self, text: str) -> str:
        """What was written after a command; where the app's settings ask for that, Slack marks mentions in it."""
        return html.unescape(read_out(text, await self._directory.names([*mentions(text), *untold(text)])))

    def _author(self, user: str, handle: object) -> Author:
        name = self._directory.known([user]).get(user) or (
            handle if isinstance(handle, str) and handle else unnamed(user)
        )
        return Author(user, name, workspace=self._bot.team_id)

    def _name(self, channel: str, told: object) -> str:
        """What people call a channel; for a private one or a DM, Slack tells no name of its own."""
        if is_dm({"channel": channel}):
            return ""
        known = self._directory.known([channel]).get(channel)
        return known or (told if isinstance(told, str) and not told.startswith(UNNAMED) else "")

    def _tell(self, address: str, markdown: str) -> None:
        """Say something to whoever gave an order alone, once it is acknowledged."""
        self._later(self._say(address, markdown))

    async def _say(self, address: str, markdown: str) -> None:
        for text in to_messages(markdown):
            await respond(self._workspace.client, address, text)
