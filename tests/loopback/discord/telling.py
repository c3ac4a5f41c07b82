"""What the client is told of the fake Discord, as far as its intents go."""

from __future__ import annotations

from typing import Any

from tests.loopback.discord import payloads
from tests.loopback.discord.gateway import Gateway
from tests.loopback.discord.interactions import Interaction
from tests.loopback.discord.network import RESUME_GATEWAY
from tests.loopback.discord.population import Population
from tests.loopback.discord.sessions import PRIVILEGED, Intent, Session
from tests.loopback.discord.waiting import Waiting
from tests.loopback.discord.world import Channel, Guild, Message, Role, User

Payload = dict[str, Any]

MESSAGE_CONTENT_SWITCH = 1 << 19
"""Application flag: the Message Content intent is switched on in the developer portal (bot in under 100 servers)."""


class Telling(Population):
    """A population, and a gateway that tells of it.

    Args:
        message_content: Whether the portal's Message Content switch is on.
        waiting: Told when something has changed.
    """

    def __init__(self, waiting: Waiting, *, message_content: bool) -> None:
        super().__init__()
        self.token = "loopback.not-a-secret.token"
        self.message_content = message_content
        self.endpoint: str | None = None  # where interactions are sent instead of to the client
        self.gateway = Gateway(
            token=lambda: self.token,
            granted=lambda: PRIVILEGED if self.message_content else PRIVILEGED & ~Intent.MESSAGE_CONTENT,
            ready=self._ready,
            greet=self._greet,
            changed=waiting.changed,
        )

    @property
    def application_flags(self) -> int:
        return MESSAGE_CONTENT_SWITCH if self.message_content else 0

    def seen(self, message: Message) -> Payload:
        return payloads.message(message, self.people, me=self.bot.id)

    async def publish(self, message: Message) -> None:
        message.channel.messages[message.id] = message
        await self.announce(message, "MESSAGE_CREATE")

    async def announce(self, message: Message, event: str) -> None:
        """Tell the client of ``message``; a second MESSAGE_CREATE is what a resume may deliver."""
        await self.deliver(self.seen(message), event)

    async def deliver(self, payload: Payload, event: str = "MESSAGE_CREATE") -> None:
        """Send a message payload as it is, less what the client's intents keep from it."""
        await self.gateway.dispatch(event, lambda session: self._visible(session, payload))

    async def announce_reaction(self, message: Message, user: User, emoji: str, *, added: bool) -> None:
        """Tell the client of a reaction; twice is what a resume may deliver."""
        payload = payloads.reaction(message, user, emoji, added=added)
        in_guild = message.channel.guild is not None
        intent = Intent.GUILD_MESSAGE_REACTIONS if in_guild else Intent.DIRECT_MESSAGE_REACTIONS
        event = "MESSAGE_REACTION_ADD" if added else "MESSAGE_REACTION_REMOVE"
        await self.gateway.dispatch(event, lambda session: payload if intent & session.intents else None)

    async def announce_interaction(self, interaction: Interaction) -> None:
        """Tell the client of ``interaction``; twice is what a resume may deliver."""
        if self.endpoint is not None:
            return
        message = None if interaction.message is None else self.seen(interaction.message)
        payload = interaction.payload(message, bot=self.bot)
        await self.gateway.dispatch("INTERACTION_CREATE", lambda _: payload)

    async def announce_thread(self, event: str, thread: Channel, **extra: object) -> None:
        payload = payloads.channel(thread, me=self.bot.id) | extra
        if event == "THREAD_UPDATE":
            payload.pop("member", None)  # Discord leaves the bot's membership out of updates
        await self.gateway.dispatch(event, lambda session: payload if Intent.GUILDS & session.intents else None)

    async def announce_channel(self, event: str, channel: Channel) -> None:
        payload = payloads.channel(channel, me=self.bot.id)
        await self.gateway.dispatch(event, lambda session: payload if Intent.GUILDS & session.intents else None)

    async def announce_role(self, guild: Guild, role: Role) -> None:
        payload = {"guild_id": str(guild.id), "role": payloads.role(role)}
        await self.gateway.dispatch(
            "GUILD_ROLE_CREATE", lambda session: payload if Intent.GUILDS & session.intents else None
        )

    async def announce_members(self, thread: Channel, *, joined: bool) -> None:
        assert thread.guild is not None
        payload: Payload = {
            "id": str(thread.id),
            "guild_id": str(thread.guild.id),
            "member_count": len(thread.members),
        }
        if joined:
            payload["added_members"] = [payloads.thread_member(thread, self.bot.id)]
        else:
            payload["removed_member_ids"] = [str(self.bot.id)]
        await self.gateway.dispatch(
            "THREAD_MEMBERS_UPDATE", lambda session: payload if Intent.GUILDS & session.intents else None
        )

    def _ready(self, session: Session) -> Payload:
        return {
            "v": 10,
            "user": {**payloads.user(self.bot), "mfa_enabled": False, "verified": True, "email": None, "flags": 0},
            "guilds": [{"id": str(guild.id), "unavailable": True} for guild in self._guilds_of(session)],
            "session_id": session.id,
            "shard": list(session.shard),
            "session_type": "normal",
            "resume_gateway_url": f"wss://{RESUME_GATEWAY}",
            "private_channels": [],
            "relationships": [],
            "presences": [],
            "application": {"id": str(self.bot.id), "flags": self.application_flags},
        }

    def _greet(self, session: Session) -> list[tuple[str, Payload]]:
        if not session.intents & Intent.GUILDS:
            return []
        return [("GUILD_CREATE", payloads.guild(guild, me=self.bot)) for guild in self._guilds_of(session)]

    def _guilds_of(self, session: Session) -> list[Guild]:
        """The servers that the bot is in, as far as this session is told of them."""
        return [guild for guild in self.guilds.values() if guild.has_bot and session.is_told_of(guild.id)]

    def _visible(self, session: Session, payload: Payload) -> Payload | None:
        in_guild = "guild_id" in payload
        if not session.intents & (Intent.GUILD_MESSAGES if in_guild else Intent.DIRECT_MESSAGES):
            return None
        if "content" not in payload or not in_guild or session.intents & Intent.MESSAGE_CONTENT:
            return payload
        me = str(self.bot.id)
        meant = payload["author"]["id"] == me or any(one["id"] == me for one in payload["mentions"])
        return payload if meant else payloads.without_content(payload)
