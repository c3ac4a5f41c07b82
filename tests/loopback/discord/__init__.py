"""A fake Discord over real sockets: https, wss, gateway sessions, and the refusals of the real one."""

from tests.loopback.discord.interactions import Interaction
from tests.loopback.discord.server import FakeDiscord
from tests.loopback.discord.world import SUPPRESS_EMBEDS, Channel, ChannelType, Guild, Message, User

__all__ = ["SUPPRESS_EMBEDS", "Channel", "ChannelType", "FakeDiscord", "Guild", "Interaction", "Message", "User"]
