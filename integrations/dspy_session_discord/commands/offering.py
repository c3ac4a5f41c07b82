"""What the bot offers natively, and having Discord list it for as long as the bot runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import discord

from dspy_session.errors import ConfigurationError
from dspy_session_chat.needs import Named
from dspy_session_chat.rules.manners import Manners
from dspy_session_discord.commands.listed import OF_A_CONVERSATION, Listed, listed
from dspy_session_discord.commands.registering import register
from dspy_session_discord.commands.tree import Tree, grown, tree_of
from dspy_session_discord.key import Channel
from dspy_session_discord.refusal import PORTAL

_log = logging.getLogger(__name__)

ELSEWHERE = (
    "Discord sends commands and presses of buttons to %s, so this bot hears of none: empty Interactions Endpoint URL "
    f"on the page General Information of {PORTAL}"
)

Lists: TypeAlias = Literal["global"] | Sequence[int] | None
"""Where Discord lists the commands: everywhere, in servers by their ids, or wherever it does already."""


@dataclass(frozen=True, slots=True)
class Offered:
    """What a bot that runs offers.

    Args:
        commands: The bot's commands as Discord lists them.
        tree: The command tree of a client that is joined.
        alone: Whether all commands of the application are ours.
        manners: What is one conversation.
    """

    commands: tuple[Listed, ...] = ()
    tree: Tree | None = None
    alone: bool = True
    manners: Manners = field(default_factory=Manners)

    def tells_which(self, name: str, channel: Channel) -> bool:
        """Whether it is clear which conversation a command is about that is given in ``channel``: in a text channel
        itself each question begins one of its own.
        """
        by_thread = self.manners.scope in ("thread", "reply-chain")
        return name not in OF_A_CONVERSATION or not by_thread or not isinstance(channel, discord.TextChannel)


class Offering:
    """Offers commands.

    Args:
        lists: Where Discord lists them.

    Raises:
        ConfigurationError: ``lists`` is none of what it may be.
    """

    def __init__(self, lists: Lists) -> None:
        if lists is not None and lists != "global" and not _are_ids(lists):
            raise ConfigurationError(
                'commands must be "global", None, or the ids of servers, such as [81384788765712384]; '
                f"got {lists!r:.80}"
            )
        self._keeps_lists = lists is not None
        self._servers = None if lists is None or lists == "global" else tuple(int(each) for each in lists)
        self._commands: tuple[Named, ...] = ()
        self._manners = Manners()

    def use(self, commands: Sequence[Named]) -> None:
        """Offer these from the next run on."""
        self._commands = tuple(commands)

    def behave(self, manners: Manners) -> None:
        """What is one conversation, from the next run on."""
        self._manners = manners

    @contextmanager
    def beside(self, bot: discord.Client | None) -> Iterator[Offered]:
        """What is offered, for as long as the block runs, beside what a client that is joined offers itself.

        To be entered before the client logs in: its owner may bring its command tree to Discord then.
        """
        tree = None if bot is None else tree_of(bot)
        with grown(tree, listed(self._commands), self._servers) as commands:
            yield Offered(tuple(commands), tree, alone=bot is None, manners=self._manners)

    @asynccontextmanager
    async def listed(self, offered: Offered, client: discord.Client, logged_in: asyncio.Event) -> AsyncIterator[None]:
        """While the block runs, see that Discord lists what is offered: nobody waits for that."""
        if not self._keeps_lists:
            yield
            return
        task = asyncio.create_task(self._list(offered, client, logged_in), name="discord-commands")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _list(self, offered: Offered, client: discord.Client, logged_in: asyncio.Event) -> None:
        await logged_in.wait()
        elsewhere = None if client.application is None else client.application.interactions_endpoint_url
        if elsewhere:
            _log.warning(ELSEWHERE, elsewhere)
        try:
            await register(client, offered.commands, self._servers, alone=offered.alone)
        except Exception:  # noqa: BLE001 - commands that are written work without a list
            _log.exception("the bot's commands were not listed")


def _are_ids(value: object) -> bool:
    if isinstance(value, str) or not isinstance(value, Sequence):
        return False
    return all(type(each) is int or (isinstance(each, str) and each.isdecimal()) for each in value)
