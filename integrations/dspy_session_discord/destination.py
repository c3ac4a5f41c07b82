"""Where an answer goes: a channel, a reply to a message, or a thread that is opened from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an answer goes; its JSON form travels in ``Inbound.reply_to``, through the store and back.

    Args:
        channel: Id of the channel, thread or DM.
        message: Id of the message in it that the answer replies to; None where the place itself makes that clear.
        thread_name: Name of the thread to open from that message; None to answer in the channel.
    """

    channel: int
    message: int | None = None
    thread_name: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The JSON form; ids as strings, because JSON's numbers are floats elsewhere."""
        return {
            "channel": str(self.channel),
            "message": None if self.message is None else str(self.message),
            "thread_name": self.thread_name,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Destination:
        """The destination whose ``as_dict`` is ``data``."""
        message = data["message"]
        return cls(int(data["channel"]), None if message is None else int(message), data["thread_name"])
