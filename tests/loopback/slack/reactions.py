"""``reactions.add`` and ``reactions.remove``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.loopback.slack.calls import Call, Refused, method
from tests.loopback.slack.conversations import channel_of

if TYPE_CHECKING:
    from tests.loopback.slack.server import FakeSlack


def _reactions(slack: FakeSlack, call: Call) -> set[str]:
    """The names of the bot's own reactions to the message; the set that Slack keeps."""
    message = channel_of(slack, call).message(call["timestamp"])
    if message is None:
        raise Refused("message_not_found")
    return slack.reactions.setdefault((call["channel"], call["timestamp"]), set())


@method("reactions.add", "reactions:write")
async def add(slack: FakeSlack, call: Call) -> dict[str, Any]:
    reactions = _reactions(slack, call)
    if call["name"] in reactions:
        raise Refused("already_reacted")
    reactions.add(call["name"])
    return {}


@method("reactions.remove", "reactions:write")
async def remove(slack: FakeSlack, call: Call) -> dict[str, Any]:
    reactions = _reactions(slack, call)
    if call["name"] not in reactions:
        raise Refused("no_reaction")
    reactions.remove(call["name"])
    return {}
