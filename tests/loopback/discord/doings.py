"""What people do in the fake Discord, and what happens to its places."""

from __future__ import annotations

from collections.abc import Mapping

from tests.loopback.discord.commands import ATTACHMENT, ON_MESSAGE, STRING, CommandLists
from tests.loopback.discord.interactions import Interaction, Kind
from tests.loopback.discord.sessions import Intent
from tests.loopback.discord.telling import Payload, Telling
from tests.loopback.discord.uploads import MAX_FILE_BYTES, Cdn
from tests.loopback.discord.waiting import Waiting
from tests.loopback.discord.world import FORUMS, THREAD_STARTER, Channel, ChannelType, Guild, Message, User


class Doings(Telling):
    """A Discord in which something happens.

    Args:
        waiting: Told when something has changed.
        message_content: Whether the portal's Message Content switch is on.
    """

    def __init__(self, waiting: Waiting, *, message_content: bool) -> None:
        super().__init__(waiting, message_content=message_content)
        self.interactions: dict[int, Interaction] = {}
        self.commands = CommandLists(self.bot.id, self.snowflakes.next)
        self.clock = 0.0  # seconds, for what is good for some of them only; a test moves it
        self.cdn = Cdn()
        self.file_limit = MAX_FILE_BYTES

    async def say(
        self,
        channel: Channel,
        author: User,
        text: str,
        *,
        reply_to: Message | None = None,
        type: int | None = None,  # noqa: A002 - Discord's word
        webhook: bool = False,
        attachments: tuple[Payload, ...] = (),
        files: Mapping[str, bytes] | None = None,
    ) -> Message:
        """``author`` writes ``text``; a mention is written as in Discord, ``f"{bot.mention} hi"``.

        ``files`` are uploaded with it, by their names; ``attachments`` are payloads of files that are nowhere.
        """
        message = Message(
            id=self.snowflakes.next(),
            channel=channel,
            author=author,
            content=text,
            type=type if type is not None else (0 if reply_to is None else 19),
            reply_to=reply_to,
            webhook_id=self.snowflakes.next() if webhook else None,
            attachments=list(attachments),
        )
        for name, data in (files or {}).items():
            self.attach(message, name, data)
        await self.publish(message)
        return message

    def attach(self, message: Message, name: str, data: bytes, media_type: str | None = None) -> None:
        """Upload a file to ``message``; the CDN serves it from now on."""
        message.files[name] = data
        message.attachments.append(self.cdn.put(message.channel.id, self.snowflakes.next(), name, data, media_type))

    async def edit(self, message: Message, text: str) -> None:
        """The author of ``message`` changes what it says."""
        message.content = text
        message.edited = self.snowflakes.next()
        await self.announce(message, "MESSAGE_UPDATE")

    async def unfold(self, message: Message, title: str = "A title") -> None:
        """Discord shows what a link in ``message`` leads to: an update in which nobody edited anything."""
        message.embeds = [{"type": "article", "title": title, "description": "words", "fields": []}]
        await self.announce(message, "MESSAGE_UPDATE")

    async def react(self, message: Message, user: User, emoji: str) -> None:
        """``user`` puts ``emoji`` under ``message``: ``"👍"``, or ``"name:id"`` of one that a server has made."""
        message.reactions.setdefault(emoji, set()).add(user.id)
        await self.announce_reaction(message, user, emoji, added=True)

    async def unreact(self, message: Message, user: User, emoji: str) -> None:
        """``user`` takes ``emoji`` away again."""
        users = message.reactions.get(emoji, set())
        users.discard(user.id)
        if not users:
            message.reactions.pop(emoji, None)
        await self.announce_reaction(message, user, emoji, added=False)

    async def press(self, message: Message, user: User, label: str) -> Interaction:
        """``user`` presses the button with that label."""
        data = {"custom_id": message.buttons[label]["custom_id"], "component_type": 2, "id": 1}
        return await self._interact(Kind.COMPONENT, user, message.channel, data, message)

    async def submit(self, pressed: Interaction, text: str) -> Interaction:
        """Who pressed a button writes ``text`` into the window that was opened, and sends it off."""
        data = pressed.submitted(text)
        return await self._interact(Kind.MODAL_SUBMIT, pressed.user, pressed.channel, data, pressed.message)

    async def command(
        self, channel: Channel, user: User, name: str, text: str = "", *, file: tuple[str, bytes] | None = None
    ) -> Interaction:
        """``user`` gives a command that Discord offers in ``channel``, with what it takes."""
        offered = self.commands.find(name, None if channel.guild is None else channel.guild.id)
        data: Payload = {key: offered[key] for key in ("id", "name", "type", "guild_id") if key in offered}
        for option in offered.get("options", ()):
            if option["type"] == STRING and text:
                assert len(text) <= option.get("max_length", 6000)
                data.setdefault("options", []).append({"type": STRING, "name": option["name"], "value": text})
            elif option["type"] == ATTACHMENT and file is not None:
                attachment = self.cdn.put(channel.id, self.snowflakes.next(), *file, None)
                data["resolved"] = {"attachments": {attachment["id"]: attachment}}
                given = {"type": ATTACHMENT, "name": option["name"], "value": attachment["id"]}
                data.setdefault("options", []).append(given)
            else:
                assert not option.get("required"), f"/{name} needs {option['name']}"
        return await self._interact(Kind.COMMAND, user, channel, data)

    async def choose(self, message: Message, user: User, name: str) -> Interaction:
        """``user`` chooses a command from the menu of ``message``."""
        channel = message.channel
        offered = self.commands.find(name, None if channel.guild is None else channel.guild.id, ON_MESSAGE)
        data: Payload = {key: offered[key] for key in ("id", "name", "type", "guild_id") if key in offered}
        resolved = {"messages": {str(message.id): self.seen(message)}}
        return await self._interact(
            Kind.COMMAND, user, channel, {**data, "target_id": str(message.id), "resolved": resolved}
        )

    async def _interact(
        self, kind: Kind, user: User, channel: Channel, data: Payload, message: Message | None = None
    ) -> Interaction:
        number = self.snowflakes.next()
        interaction = Interaction(number, f"interaction-token-{number}", kind, user, channel, data, self.clock, message)
        self.interactions[interaction.id] = interaction
        await self.announce_interaction(interaction)
        return interaction

    async def delete(self, message: Message) -> None:
        del message.channel.messages[message.id]
        body: Payload = {"id": str(message.id), "channel_id": str(message.channel.id)}
        if message.channel.guild is not None:
            body["guild_id"] = str(message.channel.guild.id)
        await self.deliver(body, "MESSAGE_DELETE")

    async def delete_many(self, *messages: Message) -> None:
        """A moderator deletes messages of one channel at once."""
        channel = messages[0].channel
        for message in messages:
            del channel.messages[message.id]
        body: Payload = {"ids": [str(message.id) for message in messages], "channel_id": str(channel.id)}
        if channel.guild is not None:
            body["guild_id"] = str(channel.guild.id)
        await self.deliver(body, "MESSAGE_DELETE_BULK")

    async def open_thread(self, message: Message, name: str, owner: User) -> Channel:
        """A thread started from ``message``: it has the message's id."""
        parent = message.channel
        kind = ChannelType.NEWS_THREAD if parent.type is ChannelType.NEWS else ChannelType.PUBLIC_THREAD
        thread = Channel(message.id, kind, name, parent.guild, parent=parent, owner=owner, members={owner.id})
        message.thread = thread
        if parent.guild is not None:
            parent.guild.channels.append(thread)
        self.channels[thread.id] = thread
        if parent.type not in FORUMS:
            starter = Message(self.snowflakes.next(), thread, owner, "", THREAD_STARTER)
            starter.reply_to, starter.pings_replied = message, False
            thread.messages[starter.id] = starter
        await self.announce_thread("THREAD_CREATE", thread, newly_created=True)
        return thread

    async def post(self, forum: Channel, author: User, title: str, text: str) -> Channel:
        """``author`` posts in a forum or media channel; the post's thread. Its first message has its id, and stands in
        it."""
        message = Message(self.snowflakes.next(), forum, author, text)
        thread = await self.open_thread(message, title, author)
        message.channel = thread
        await self.publish(message)
        return thread

    async def deny(self, channel: Channel, *permissions: str) -> None:
        """Somebody takes permissions from the bot in ``channel``, in Discord's own spelling (``"send_messages"``)."""
        channel.denied |= set(permissions)
        await self.announce_channel("CHANNEL_UPDATE", channel)

    async def allow(self, channel: Channel, *permissions: str) -> None:
        """Somebody gives the bot these permissions in ``channel``."""
        channel.denied -= set(permissions)
        await self.announce_channel("CHANNEL_UPDATE", channel)

    async def remove(self, channel: Channel) -> None:
        """Somebody deletes a channel or thread, with the threads beneath it."""
        assert channel.guild is not None
        gone = [channel, *(each for each in channel.guild.channels if each.parent is channel)]
        for each in gone:
            del self.channels[each.id]
            channel.guild.channels.remove(each)
        if channel.is_thread:
            await self.announce_thread("THREAD_DELETE", channel)
        else:
            await self.announce_channel("CHANNEL_DELETE", channel)

    async def kick(self, guild: Guild) -> None:
        """Somebody throws the bot out of ``guild``."""
        guild.has_bot = False
        payload = {"id": str(guild.id)}
        await self.gateway.dispatch(
            "GUILD_DELETE", lambda session: payload if Intent.GUILDS & session.intents else None
        )
