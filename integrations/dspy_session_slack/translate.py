"""A Slack message in the shape that every platform shares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from dspy_session.conversation.key import ConversationKey
from dspy_session_chat.inbound import Addressed, Attachment, Author, Inbound
from dspy_session_slack.address import BotUser, author_id, is_from_bot
from dspy_session_slack.key import conversation_key, inner_event, is_dm, message_id
from dspy_session_slack.plaintext import addresses, mentions, plain_text, without_address
from dspy_session_slack.viewing import viewed


def translate(body: Mapping[str, Any], addressed: Addressed, bot: BotUser, names: Mapping[str, str]) -> Inbound:
    """What was said.

    Args:
        body: The Events API body of a message that ``address`` did not find to be ignored.
        addressed: How it reaches the bot.
        bot: Who is listening.
        names: What people call the author, the channel and whoever is mentioned, by id; an id without a name stays.
    """
    event = inner_event(body)
    channel, ts = event["channel"], event["ts"]
    text = event.get("text") or ""
    key, reply_to = place_of(event, bot)
    return Inbound(
        key=key,
        event_id=message_id(channel, ts),
        author=author_of(event, bot, names),
        text=text_of(event, bot, names),
        addressed=addressed,
        sent_at=moment(ts),
        channel_name="" if is_dm(event) else names.get(channel, ""),
        attachments=tuple(attachments_of(event, bot)),
        reply_to=reply_to,
        mentions_others=addressed != "mention" and bot.user_id not in mentions(text) and addresses(text),
        viewing=names.get(viewed(event), ""),
    )


def place_of(message: Mapping[str, Any], bot: BotUser) -> tuple[ConversationKey, dict[str, Any]]:
    """The conversation that a message belongs to, and where the answer to it goes.

    Args:
        message: A message, with the channel that it is in.
        bot: Who is listening: the event may name the other workspace of a channel that two of them share.
    """
    key = conversation_key(message, workspace=bot.team_id)
    if key.thread is None and bot.threads_dms:
        key = replace(key, thread=message["ts"])
    reply_to = {"channel": key.channel} if key.thread is None else {"channel": key.channel, "thread_ts": key.thread}
    return key, bot.home.marked(reply_to)


def author_of(message: Mapping[str, Any], bot: BotUser, names: Mapping[str, str]) -> Author:
    """Who wrote a message."""
    author = author_id(message)
    from_bot = is_from_bot(message)
    return Author(
        id=author,
        name=names.get(author) or (_bots_name(message) if from_bot else "") or author,
        is_bot=from_bot,
        workspace=bot.team_id,
    )


def text_of(message: Mapping[str, Any], bot: BotUser, names: Mapping[str, str]) -> str:
    """What a message says, without the mention that addresses the bot."""
    text = without_address(message.get("text") or "", bot.user_id)
    return plain_text(text, {bot.user_id: bot.name, **names}).strip()


def moment(ts: str) -> datetime:
    """A time as Slack writes them."""
    return datetime.fromtimestamp(float(ts), UTC)


def attachments_of(message: Mapping[str, Any], bot: BotUser) -> Iterator[Attachment]:
    """The files that came with a message, less those that cannot be had."""
    files = message.get("files")
    for file in files if isinstance(files, list) else ():
        # A file that was deleted, or that our workspace may not see, comes as an entry without an address.
        if isinstance(file, Mapping) and isinstance(
            url := file.get("url_private_download") or file.get("url_private"), str
        ):
            yield Attachment(
                name=str(file.get("name") or file.get("id") or "file"),
                media_type=str(file.get("mimetype") or ""),
                size=size if isinstance(size := file.get("size"), int) else 0,
                url=url,
                source=str(bot.home),
            )


def _bots_name(message: Mapping[str, Any]) -> str:
    """What a bot calls itself: an event names its user, if it has any, by id alone."""
    profile = message.get("bot_profile")
    name = message.get("username") or (profile.get("name") if isinstance(profile, Mapping) else None)
    return name if isinstance(name, str) else ""
