"""Files that come with messages, and those of which an event says only that they are there.

In a channel that is shared with another organisation Slack wants to be asked for the rest. That takes a call, for which
there is no time before the event is acknowledged; so it is made when the files are wanted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from aiohttp import ClientError
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session_chat.inbound import Attachment, Inbound
from dspy_session_chat.naming import EventT
from dspy_session_slack.inbound.address import is_id
from dspy_session_slack.inbound.forwards import forwards
from dspy_session_slack.refusals import error_code

_log = logging.getLogger(__name__)

WITHHELD = "check_file_info"

PATIENCE = 5.0
"""Seconds that Slack has to tell of a file: somebody waits for an answer."""

_ASK_FOR = "slack-file:"
"""How the address of a file begins that Slack has to be asked for; its id follows."""


def attachments_of(message: Mapping[str, Any], source: str) -> Iterator[Attachment]:
    """The files that came with a message, also with one that was forwarded, less those that cannot be had.

    Args:
        message: As Slack tells of it.
        source: Where the app is installed.
    """
    for each in (message, *forwards(message)):
        files = each.get("files")
        for file in files if isinstance(files, list) else ():
            found = _attachment(file, source) if isinstance(file, Mapping) else None
            if found is not None:
                yield found


def is_withheld(attachment: Attachment) -> bool:
    """Whether Slack has not told yet where a file is."""
    return attachment.url.startswith(_ASK_FOR)


def withholds(event: object) -> bool:
    """Whether something came with files that Slack has to be asked for."""
    return isinstance(event, Inbound) and any(map(is_withheld, event.attachments))


async def with_files(client: AsyncWebClient, event: EventT) -> EventT:
    """The same with what Slack tells of its files; those that it tells nothing of stay as they are.

    Args:
        client: Asks Slack.
        event: What came.
    """
    if not isinstance(event, Inbound):
        return event
    files = await asyncio.gather(*(_told(client, file) for file in event.attachments))
    return replace(event, attachments=tuple(files))


async def _told(client: AsyncWebClient, attachment: Attachment) -> Attachment:
    if not is_withheld(attachment):
        return attachment
    try:
        async with asyncio.timeout(PATIENCE):
            file = (await client.files_info(file=attachment.url.removeprefix(_ASK_FOR)))["file"]
    except (SlackApiError, ClientError, OSError) as error:
        _log.warning("Slack does not tell of a file in a shared channel: %s", error_code(error))
        return attachment
    return (_attachment(file, attachment.source) if isinstance(file, Mapping) else None) or attachment


def _attachment(file: Mapping[str, Any], source: str) -> Attachment | None:
    """A file; None for one that was deleted, or that our workspace may not see: it has no address."""
    if file.get("file_access") == WITHHELD and is_id(file.get("id")):
        return Attachment(name="file", url=f"{_ASK_FOR}{file['id']}", source=source)
    url, size = file.get("url_private_download") or file.get("url_private"), file.get("size")
    if not isinstance(url, str):
        return None
    return Attachment(
        name=str(file.get("name") or file.get("title") or "file"),
        media_type=str(file.get("mimetype") or ""),
        size=size if isinstance(size, int) else 0,
        url=url,
        source=source,
    )
