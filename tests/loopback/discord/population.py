"""Who and what there is in the fake Discord."""

from __future__ import annotations

from tests.loopback.discord.snowflakes import Snowflakes
from tests.loopback.discord.world import Channel, ChannelType, Guild, Role, User


class Population:
    """People, servers and channels, and the bot among them."""

    def __init__(self) -> None:
        self.snowflakes = Snowflakes()
        self.people: dict[int, User] = {}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self.owner = self.person("Owner")
        self.bot = self.person("Helper", bot=True)

    def person(self, name: str, *, bot: bool = False) -> User:
        user = User(self.snowflakes.next(), name, bot)
        self.people[user.id] = user
        return user

    def guild(self, name: str = "Acme") -> Guild:
        """A server that the bot is in."""
        bot_role = Role(self.snowflakes.next(), self.bot.name, managed_by=self.bot)
        guild = Guild(self.snowflakes.next(), name, self.owner, bot_role)
        guild.roles += [Role(guild.id, "@everyone"), bot_role]
        self.guilds[guild.id] = guild
        return guild

    def role(self, guild: Guild, name: str) -> Role:
        role = Role(self.snowflakes.next(), name)
        guild.roles.append(role)
        return role

    def channel(self, guild: Guild, name: str = "general", type: ChannelType = ChannelType.TEXT) -> Channel:  # noqa: A002 - Discord's word
        channel = Channel(self.snowflakes.next(), type, name, guild)
        guild.channels.append(channel)
        self.channels[channel.id] = channel
        return channel

    def dm(self, user: User) -> Channel:
        """The DM between ``user`` and the bot."""
        for channel in self.channels.values():
            if channel.recipient is user:
                return channel
        channel = Channel(self.snowflakes.next(), ChannelType.DM, recipient=user)
        self.channels[channel.id] = channel
        return channel
