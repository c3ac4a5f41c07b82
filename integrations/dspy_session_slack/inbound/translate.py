"""A Slack message in the shape that every platform shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from dspy_session.conversation.key import ConversationKey
from dspy_session_chat.inbound import Addressed, Author, Inbound
from dspy_session_slack.inbound.address import BotUser, author_id, is_from_bot
from dspy_session_slack.inbound.attached import attachments_of
from dspy_session_slack.inbound.forwards import forwards, named_in_forwards, quoted
from dspy_session_slack.inbound.plaintext import addresses, mentions, plain_text, untold, without_address
from dspy_session_slack.inbound.viewing import viewed
from dspy_session_slack.key import conversation_key, inner_event, is_dm, message_id
from dspy_session_slack.unnamed import SLACKBOT, marked, unnamed


def translate(body: Mapping[str, Any], addressed: Addressed, bot: BotUser, names: Mapping[str, str]) -> Inbound:
    """What was said.

    Args:
        body: The Events API body of a message that ``address`` did not find to be ignored.
        addressed: How it reaches the bot.
        bot: Who is listening.
        names: What people call the author, the channel and whoever is mentioned, by id; who has no name there may get
            one later.
    """
    event = inner_event(body)
    channel, ts = event["channel"], event["ts"]
    text = event.get("text") or ""
    key, reply_to = place_of(event, bot)
    said = Inbound(
        key=key,
        event_id=message_id(channel, ts),
        author=author_of(event, bot, names),
        text=text_of(event, bot, names),
        addressed=addressed,
        sent_at=moment(ts),
        channel_name="" if is_dm(event) else names.get(channel, ""),
        attachments=tuple(attachments_of(event, str(bot.home))),
        reply_to=reply_to,
        mentions_others=addressed != "mention" and bot.user_id not in mentions(text) and addresses(text),
        viewing=names.get(viewed(event), ""),
    )
    return marked(said, named_in(event, bot), names, viewed(event))


def named_in(message: Mapping[str, Any], bot: BotUser) -> list[str]:
    """The ids in a message that people know by name, the ones that matter most first.

    Slack tells the name of a bot with what it says, in most cases, and that of a person from another organisation.
    """
    text, author = message.get("text"), author_id(message)
    text = text if isinstance(text, str) else ""
    authors = [author] if author and not told_name(message) and not bot.wrote(message) else []
    channel = viewed(message) if is_dm(message) else message.get("channel")
    ids = [*authors, *([channel] if channel else []), *mentions(text), *untold(text), *named_in_forwards(message)]
    return [each for each in dict.fromkeys(ids) if each not in (bot.user_id, SLACKBOT)]


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
    ours = bot.name if bot.wrote(message) else ""
    return Author(
        id=author,
        name=ours or names.get(author) or told_name(message) or unnamed(author),
        is_bot=is_from_bot(message),
        workspace=bot.team_id,
    )


def text_of(message: Mapping[str, Any], bot: BotUser, names: Mapping[str, str]) -> str:
    """What a message says, without the mention that addresses the bot, and what was forwarded with it."""
    known = {bot.user_id: bot.name, **names}
    text = without_address(message.get("text") or "", bot.user_id)
    parts = [plain_text(text, known).strip(), *(quoted(forward, known) for forward in forwards(message))]
    return "\n\n".join(part for part in parts if part)


def moment(ts: str) -> datetime:
    """A time as Slack writes them."""
    return datetime.fromtimestamp(float(ts), UTC)


def told_name(message: Mapping[str, Any]) -> str:
    """What Slack says with a message that its author is called; empty in most cases."""
    if author_id(message) == SLACKBOT:
        return unnamed(SLACKBOT)
    who = _part(message, "user_profile")
    told = (who.get(name) for name in ("display_name", "real_name", "name"))
    names = (message.get("username"), _part(message, "bot_profile").get("name")) if is_from_bot(message) else told
    return next((name for name in names if isinstance(name, str) and name.strip()), "")


def _part(message: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = message.get(name)
    return part if isinstance(part, Mapping) else {}
