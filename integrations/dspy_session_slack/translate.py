"""A Slack message in the shape that every platform shares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from dspy_session_chat.inbound import Addressed, Attachment, Author, Inbound
from dspy_session_slack.address import BotUser
from dspy_session_slack.key import conversation_key, inner_event, is_dm, message_id, thread_ts
from dspy_session_slack.plaintext import plain_text, without_address


def translate(body: Mapping[str, Any], addressed: Addressed, bot: BotUser, names: Mapping[str, str]) -> Inbound:
    """What the bot is to answer.

    Args:
        body: The Events API body of a message that ``address`` found to be for the bot.
        addressed: How it reaches the bot.
        bot: Who is listening.
        names: What people call the author, the channel and whoever is mentioned, by id; an id without a name stays.
    """
    event = inner_event(body)
    channel, user, ts = event["channel"], event["user"], event["ts"]
    dm = is_dm(event)
    thread = thread_ts(event) or (None if dm else ts)
    text = without_address(event.get("text") or "", bot.user_id)
    return Inbound(
        key=conversation_key(body, workspace=bot.team_id),
        event_id=message_id(channel, ts),
        author=Author(id=user, name=names.get(user) or user, workspace=bot.team_id),
        text=plain_text(text, {bot.user_id: bot.name, **names}).strip(),
        addressed=addressed,
        sent_at=datetime.fromtimestamp(float(ts), UTC),
        channel_name="" if dm else names.get(channel, ""),
        attachments=tuple(_attachments(event.get("files"))),
        reply_to={"channel": channel} if thread is None else {"channel": channel, "thread_ts": thread},
    )


def _attachments(files: object) -> Iterator[Attachment]:
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
            )
