"""Discord as a platform of the bot."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import discord
from cachetools import LRUCache

from dspy_session.conversation import Conversations
from dspy_session.errors import ConfigurationError, PlatformError, PlatformUnavailableError
from dspy_session_chat.action import Event
from dspy_session_chat.deciding import IsOpen
from dspy_session_chat.duration import seconds_of
from dspy_session_chat.files.downloads import Downloader
from dspy_session_chat.inbound import Attachment
from dspy_session_chat.needs import Named
from dspy_session_chat.platform import Opened, Post, Posted, PostedInPartError, Receive, RefusedInPartError, Said
from dspy_session_chat.reply import Button
from dspy_session_chat.rules.manners import Manners
from dspy_session_discord.commands.offering import Lists, Offered, Offering
from dspy_session_discord.destination import Destination
from dspy_session_discord.inbound.catching_up import CatchingUp
from dspy_session_discord.inbound.hearing import Hearing, Listeners
from dspy_session_discord.key import PLATFORM
from dspy_session_discord.outbound.markup import split
from dspy_session_discord.outbound.opening import open_thread
from dspy_session_discord.outbound.place import REMEMBERED, Place, Places, beneath, open_for_more
from dspy_session_discord.outbound.posting import change, deliver, fresh_nonce, send
from dspy_session_discord.outbound.presence import presence
from dspy_session_discord.outbound.response import Response
from dspy_session_discord.outbound.threads import Threads, Wishes
from dspy_session_discord.outbound.whereabouts import Whereabouts
from dspy_session_discord.outbound.written import Written
from dspy_session_discord.refusal import FAILURES, explain
from dspy_session_discord.ticket import Ticket
from dspy_session_discord.transport.budget import Budget
from dspy_session_discord.transport.client import Clients
from dspy_session_discord.transport.connection import ClientLostError
from dspy_session_discord.transport.joining import joined, together
from dspy_session_discord.transport.reaching import Reaching
from dspy_session_discord.transport.shards import Spread, checked_spread

_log = logging.getLogger(__name__)

TYPING_SECONDS = 8.0
"""How often the typing indicator is renewed; Discord shows it for 10 seconds."""

EDIT_SECONDS = 1.2
"""Discord takes about 5 edits in 5 seconds in a channel. At this pace four go to the growing answer, and one is left
for a second conversation there or for the last word; discord.py waits out what is too many."""

FILE_HOSTS = ("cdn.discordapp.com", "media.discordapp.net")
"""Where Discord serves what people send. The addresses are signed, and the bot's token is never sent there."""


ACTIVITY = "Ask me · /help"
"""What stands beneath the bot's name: that it can be talked to, and where it says how."""


class Discord:
    """Talks to people in Discord: direct messages, mentions, and the threads that a mention opens.

    Every direct message is answered. A mention in a text channel opens a thread from that message and is answered
    there; where that is not wished or the bot may not, it replies in the channel. In a thread that it is in, it answers
    without a mention, unless the message mentions somebody else. All else that it hears is handed over too: ambient
    messages and those of other bots, edits, deletions, reactions and presses of buttons. Nobody is notified by what the
    bot writes, and links in it do not unfold.

    The bot's commands are listed by Discord, with ``/ask`` and "Ask the bot about this message" in the menu of every
    message. What answers a command or a button is shown to one person alone where it is private; in answer to a message
    Discord has nothing of that kind.

    Either the kit owns the client, ``Discord(token=…)``, or it joins one that has handlers of its own,
    ``Discord(bot=my_bot)``; a ``commands.Bot`` gets a cog, and messages that invoke its commands stay its own. A bot
    that is joined is run by its owner (``await my_bot.start(…)`` in the same event loop), or, with
    ``Discord(bot=my_bot, token=…)``, by us. A joined client's handlers must be set before ``run``.

    Args:
        token: The bot's token.
        bot: A ``discord.Client`` or ``commands.Bot`` to join.
        client_options: Options of ``discord.Client`` for the client that the kit owns: ``proxy``, ``connector``,
            ``intents``, …
        downloader: Fetches the files that people send; one that asks Discord's own hosts if None.
        catch_up: How old a message may be that was written while the bot was away and is answered when it is back:
            ``"10m"``, ``"2h"``; None to answer none.
        shards: How the bot's servers are spread over connections: ``"auto"`` for as many as Discord recommends,
            ``Shards((0, 1), of=4)`` for those of this process; None for one connection.
        commands: Where Discord lists the bot's commands: ``"global"`` for everywhere, the ids of servers for those
            alone, None to leave its lists as they are. Written as messages they work in any case.
        threads: Where a mention opens a thread: ``"open"`` in every text channel, ``"reply"`` in none; for single
            channels by name or id, ``{"support": "open", "*": "reply"}``.
        activity: What stands beneath the bot's name, 128 characters at most; None for nothing. A client that is joined
            has its own.
        now: The time, for tests.

    Raises:
        ConfigurationError: ``client_options`` or ``shards`` together with ``bot``, or one that does not fit.
    """

    def __init__(
        self,
        *,
        token: str | None = None,
        bot: discord.Client | None = None,
        client_options: Mapping[str, Any] | None = None,
        downloader: Downloader | None = None,
        catch_up: str | None = "10m",
        shards: Spread = None,
        commands: Lists = "global",
        threads: Wishes = "open",
        activity: str | None = ACTIVITY,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if bot is not None and client_options is not None:
            raise ConfigurationError("client_options are for a client that the kit makes; set them on your bot instead")
        if bot is not None and shards is not None:
            raise ConfigurationError("shards are for a client that the kit makes; your bot has its own")
        self._bot = bot
        self._downloader = Downloader(FILE_HOSTS) if downloader is None else downloader
        self._catch_up = None if catch_up is None else seconds_of(catch_up)
        self._offering = Offering(commands)
        self._hearing: Hearing | None = None
        self._now = now
        self._conversations: Conversations | None = None
        self._is_open: IsOpen = lambda _: True
        self._budget = Budget()
        options = {"activity": presence(activity), **(client_options or {})}
        self._clients = Clients(token, bot, options, checked_spread(shards), self._budget)
        self._reaching = Reaching()
        self._unsure: LRUCache[str, Written] = LRUCache(REMEMBERED)  # messages that may have arrived, by event
        self._places = Places()
        self._whereabouts = Whereabouts(Threads.of(threads))

    def __repr__(self) -> str:
        return "Discord(token=…)" if self._bot is None else f"Discord(bot={type(self._bot).__name__})"

    @property
    def name(self) -> str:
        """``"discord"``."""
        return PLATFORM

    def use_conversations(self, conversations: Conversations) -> None:
        """Where the bot keeps what was said: so it knows what it may have missed."""
        self._conversations = conversations

    def use_commands(self, commands: Sequence[Named]) -> None:
        """The commands that the bot has: Discord lists them."""
        self._offering.use(commands)

    def use_manners(self, manners: Manners) -> None:
        """What is one conversation: a command that is about one is taken where it is clear which."""
        self._offering.behave(manners)

    def use_questions(self, is_open: IsOpen) -> None:
        """Whether a press may come to something: so nobody is asked for words in vain."""
        self._is_open = is_open

    async def run(self, receive: Receive) -> None:
        """Connect and hand all that people write and do to ``receive``, until cancelled.

        Raises:
            PlatformError: There is no token, Discord refuses it or the intents, or cannot be reached at the start by a
                connector that was given.
            ConfigurationError: It is running already, or the client to use was closed.
        """
        with self._offering.beside(self._bot) as offered:
            await self._clients.run(lambda client, logged_in: self._listening(receive, offered, client, logged_in))

    @asynccontextmanager
    async def _listening(
        self, receive: Receive, offered: Offered, client: discord.Client, logged_in: asyncio.Event
    ) -> AsyncIterator[None]:
        """Hear through ``client``."""
        async with AsyncExitStack() as opened:
            hearing = self._hearing = Hearing(receive, client, offered, self._is_open)
            opened.push_async_callback(hearing.aclose)
            ears: list[Listeners] = [{"on_connect": logged_in.set}, hearing.listeners]
            if self._catch_up is not None:
                take = hearing.listeners["on_message"]
                catching = CatchingUp(client, take, self._catch_up, self._conversations, self._now)
                opened.push_async_callback(catching.aclose)
                ears.append(catching.listeners)
                catching.start()
            await opened.enter_async_context(joined(client, together(*ears)))
            if client.user is not None:
                logged_in.set()
            await opened.enter_async_context(self._offering.listed(offered, client, logged_in))
            try:
                yield
            except ClientLostError:
                await hearing.finished()
                raise
            finally:
                self._hearing = None

    async def post(self, post: Post) -> Posted:
        """Post an answer; the thread that it belongs in is opened when it is not there yet.

        Raises:
            PlatformError: Discord refused it or could not be reached.
        """
        ids: list[str] = []
        place = self._places.get(post.inbound.event_id) if post.shown else None
        try:
            async with self._reaching.told():
                place = place or await self._find(post.inbound, interim=post.interim)
                begun = self._unsure.get(post.inbound.event_id)
                if begun is not None and place.response is None:  # sent again it is there once, then it is changed
                    post = replace(post, shown=(*post.shown, await send(place, begun)))
                    place = place.further
                async for message_id in deliver(place, self._whereabouts.noted(post, place)):
                    ids.append(message_id)  # noqa: PERF401  # those that stand there count also when the next one fails
        except PlatformUnavailableError as error:
            raise PostedInPartError(str(error), [*ids, *post.shown[len(ids) :]]) from error
        except PlatformError as error:
            refused = await self._whereabouts.unposted(self._clients.current, post.inbound, place, error)
            standing = [*ids, *post.shown[len(ids) :]]
            raise RefusedInPartError(str(refused), standing) if standing else refused from error.__cause__
        self._places.forget(post.inbound.event_id)
        self._unsure.pop(post.inbound.event_id, None)
        if (client := self._clients.current) is None:
            return Posted(tuple(ids))
        await self._whereabouts.is_posted(client, post, place)
        if Ticket.of(post.inbound.reply_to) is not None and post.turn_id and not post.reply.private:
            await open_for_more(client, self._whereabouts.destination(client, post.inbound))
        return Posted(tuple(ids))

    async def nothing_to_say(self, inbound: Event) -> None:
        """Take away what shows that an answer to a command is on its way: there is none."""
        ticket = Ticket.of(inbound.reply_to)
        if ticket is None:
            return
        try:
            await Response(await self._usable_client(), ticket).dismiss()
        except (PlatformError, *FAILURES) as error:
            _log.debug("Discord still shows that an answer to %s is on its way: %s", inbound.event_id, explain(error))

    @property
    def edit_seconds(self) -> float:
        """Seconds between two edits."""
        return EDIT_SECONDS

    def parts(self, text: str) -> Sequence[str]:
        """The messages that ``text`` becomes."""
        return split(text)

    async def begin(self, inbound: Event, part: str, buttons: Sequence[Button] = ()) -> str:
        """Post a message, more of which is to come; its id.

        Raises:
            PlatformError: Discord refused it or could not be reached.
        """
        async with self._reaching.told():
            place = self._places.get(inbound.event_id) or await self._find(inbound)
            message = self._unsure[inbound.event_id] = Written(part, fresh_nonce(), buttons)
            message_id = await send(place, message)
        self._unsure.pop(inbound.event_id, None)
        self._places.keep(inbound.event_id, place.further)
        return message_id

    async def edit(self, inbound: Event, message_id: str, part: str, buttons: Sequence[Button] = ()) -> None:
        """Let a message say something else; without ``buttons`` it has none any more.

        What has buttons still grows: where Discord takes few more edits for now, such a one is left out.

        Raises:
            PlatformError: Discord refused it or could not be reached.
        """
        async with self._reaching.told():
            place = self._places.get(inbound.event_id) or await self._find(inbound)
            now = asyncio.get_running_loop().time()
            if not (buttons and self._budget.is_scarce(place.channel.id, now)):
                await change(place, message_id, Written(part, "", buttons))
        self._places.keep(inbound.event_id, place if place.awaits(message_id) else place.further)

    async def said_before(self, inbound: Event, most: int) -> Sequence[Said]:
        """The newest ``most`` messages before ``inbound``, oldest first; of the last 200 at most."""
        try:
            client = await self._usable_client()
            return await self._whereabouts.said_before(client, inbound, most)
        except PlatformError as error:
            _log.warning("what was said before is not known: %s", error)
            return ()

    async def open_thread(self, inbound: Event, title: str) -> Opened:
        """Open a thread in the channel where ``inbound`` is, hanging on a message with its title.

        Raises:
            PlatformError: There are no threads there, or Discord does not let the bot open one.
        """
        client = await self._usable_client()
        async with self._reaching.told():
            return await open_thread(client, Destination.from_dict(inbound.reply_to).channel, title)

    def fetch(self, attachment: Attachment) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """What is in a file, piece by piece; from Discord's own hosts alone.

        Raises:
            PlatformError: It cannot be had.
        """
        return self._downloader.fetch(attachment)

    @asynccontextmanager
    async def typing(self, inbound: Event) -> AsyncIterator[None]:
        """Show the typing indicator where the answer will appear; who gave a command sees already that it is coming."""
        if Ticket.of(inbound.reply_to) is not None:
            yield
            return
        task = asyncio.create_task(self._keep_typing(inbound))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _usable_client(self) -> discord.Client:
        """The client, while Discord may be asked."""
        self._reaching.see_that_it_may(asyncio.get_running_loop().time())
        return await self._clients.usable()

    async def _find(self, inbound: Event, *, interim: bool = False) -> Place:
        """Where the answer to ``inbound`` goes.

        Args:
            inbound: What is answered.
            interim: Whether it is words on the way to the answer: the message that waits for that goes on waiting.
        """
        client = await self._usable_client()
        ticket = Ticket.of(inbound.reply_to)
        if ticket is not None:
            if self._hearing is not None:
                await self._hearing.acknowledged(inbound.event_id)
            place = beneath(client, Destination.from_dict(inbound.reply_to))
            return place if interim else replace(place, response=Response(client, ticket))
        return await self._whereabouts.find(client, inbound)

    async def _keep_typing(self, inbound: Event) -> None:
        try:
            client = await self._usable_client()
            place = await self._whereabouts.find(client, inbound)
            while True:
                await place.channel.typing()
                await asyncio.sleep(TYPING_SECONDS)
        except (PlatformError, *FAILURES) as error:
            _log.debug("no typing indicator: %s", explain(error))
