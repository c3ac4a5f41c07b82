"""``chat.postMessage``, ``chat.postEphemeral``, ``chat.update``, ``chat.delete`` and ``chat.getPermalink``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.loopback.slack.blocks import blocks_of, words_of
from tests.loopback.slack.calls import Call, Refused, method
from tests.loopback.slack.conversations import channel_of
from tests.loopback.slack.workspace import APP_ID, TEAM_ID, Channel, Message

if TYPE_CHECKING:
    from tests.loopback.slack.server import FakeSlack

POST_LIMIT = 40_000
UPDATE_LIMIT = 4_000
_PING = re.compile(r"<(?:@[UW]|!(?:here|channel|everyone|subteam\^))[^>]*>")
_PLAIN_PING = re.compile(r"(?<!\w)@(?:here|channel|everyone|group)\b")


@dataclass(frozen=True)
class Post:
    """A message that the app posted, with the arguments it was posted with.

    Args:
        channel: Where it stands.
        ts: Its id in that channel.
        text: As posted, in Slack's mrkdwn.
        thread_ts: The thread it is in, or None.
        call: The call that posted it.
        only_for: The only person who sees it; empty for one that all see.
    """

    channel: str
    ts: str
    text: str
    thread_ts: str | None
    call: Call
    only_for: str = ""

    @property
    def pings(self) -> list[str]:
        """What in the text would notify people, by Slack's rules for these arguments."""
        return pings(self.text, plain=links_names(self.call))

    @property
    def unfurls(self) -> bool:
        """Whether Slack would fetch what the text links to."""
        return self.call.flag("unfurl_links", default=False) or self.call.flag("unfurl_media", default=True)


def pings(text: str, *, plain: bool) -> list[str]:
    """What in a text notifies people; with ``plain`` also what is written as people type it."""
    return _PING.findall(text) + (_PLAIN_PING.findall(text) if plain else [])


def links_names(call: Call) -> bool:
    """Whether Slack looks for names in what a call says."""
    return call.flag("link_names", default=False) or call.get("parse") == "full"


def place_to_write(slack: FakeSlack, call: Call, name: str = "channel") -> Channel:
    channel = channel_of(slack, call, name)
    if channel.archived:
        raise Refused("is_archived")
    if slack.bot.id not in channel.members:
        raise Refused("not_in_channel")
    return channel


def _text(slack: FakeSlack, call: Call, limit: int) -> str:
    text, blocks = call.get("text"), blocks_of(call) or []
    if not text.strip() and not blocks:
        raise Refused("no_text")
    if len(text) > limit:
        raise Refused("msg_too_long")
    slack.notified(text, linked=links_names(call))
    for words, markdown in words_of(blocks):
        slack.notified(words, markdown=markdown)
    return text


def _own(slack: FakeSlack, channel: Channel, ts: str, verb: str) -> Message:
    if ts in slack.streams.running:
        raise Refused("streaming_state_conflict" if verb == "update" else "cant_delete_message")
    message = channel.message(ts)
    if message is None:
        raise Refused("message_not_found")
    if message["user"] != slack.bot.id:
        raise Refused(f"cant_{verb}_message")
    return message


def own_message(slack: FakeSlack, channel: Channel, call: Call, text: str) -> Message:
    """A message of the bot's, not yet written."""
    message: Message = {
        "type": "message",
        "user": slack.bot.id,
        "bot_id": slack.bot.bot_id,
        "app_id": APP_ID,
        "team": TEAM_ID,
        "text": text,
        "bot_profile": {"id": slack.bot.bot_id, "app_id": APP_ID, "user_id": slack.bot.id, "name": slack.bot.name},
    }
    if thread_ts := call.get("thread_ts"):
        if channel.message(thread_ts) is None:
            raise Refused("thread_not_found")
        message["thread_ts"] = thread_ts
    return message


@method("chat.postMessage", "chat:write")
async def post_message(slack: FakeSlack, call: Call) -> dict[str, Any]:
    channel = place_to_write(slack, call)
    sent = slack.sent.get((channel.id, call.get("client_msg_id")))
    if sent is not None:
        return {"channel": channel.id, "ts": sent["ts"], "message": sent}
    blocks = blocks_of(call)
    message = own_message(slack, channel, call, _text(slack, call, POST_LIMIT))
    if call.get("client_msg_id"):
        slack.sent[channel.id, call["client_msg_id"]] = message
    if blocks:
        message["blocks"] = blocks
    slack.workspace.write(channel, message)
    slack.posted(Post(channel.id, message["ts"], message["text"], message.get("thread_ts"), call))
    slack.news.written(channel, message)
    return {"channel": channel.id, "ts": message["ts"], "message": message}


@method("chat.postEphemeral", "chat:write")
async def post_ephemeral(slack: FakeSlack, call: Call) -> dict[str, Any]:
    channel = place_to_write(slack, call)
    if call["user"] not in channel.members:
        raise Refused("user_not_in_channel")
    blocks_of(call)
    ts = slack.workspace.now()
    text, thread = _text(slack, call, POST_LIMIT), call.get("thread_ts") or None
    slack.posted(Post(channel.id, ts, text, thread, call, call["user"]))
    return {"message_ts": ts}


@method("chat.update", "chat:write")
async def update(slack: FakeSlack, call: Call) -> dict[str, Any]:
    channel = place_to_write(slack, call)
    message = _own(slack, channel, call["ts"], "update")
    blocks = blocks_of(call)
    text = _text(slack, call, UPDATE_LIMIT)
    if blocks is not None:  # else those that were there stay
        message["blocks"] = blocks
    slack.change(channel, message, text)
    return {"channel": channel.id, "ts": message["ts"], "text": message["text"], "message": message}


@method("chat.getPermalink")
async def permalink(slack: FakeSlack, call: Call) -> dict[str, Any]:
    channel = channel_of(slack, call)
    if channel.message(call["message_ts"]) is None:
        raise Refused("message_not_found")
    link = f"https://loopback.slack.com/archives/{channel.id}/p{call['message_ts'].replace('.', '')}"
    return {"channel": channel.id, "permalink": link}


@method("chat.delete", "chat:write")
async def delete(slack: FakeSlack, call: Call) -> dict[str, Any]:
    channel = place_to_write(slack, call)
    message = _own(slack, channel, call["ts"], "delete")
    slack.remove(channel, message)
    return {"channel": channel.id, "ts": message["ts"]}
