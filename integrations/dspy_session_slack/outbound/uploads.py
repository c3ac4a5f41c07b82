"""Files on their way out: what is in them first, which may fail, and then a message that shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import ClientError, ClientSession, ClientTimeout
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.errors import PlatformError, PlatformUnavailableError
from dspy_session_chat.reply import ReplyFile
from dspy_session_slack.refusals import refusal_to_post


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A file that Slack has, and that nobody sees yet.

    Args:
        id: Slack's id of it.
        name: What it is called.
    """

    id: str
    name: str


async def upload(client: AsyncWebClient, files: Sequence[ReplyFile], channel: str) -> list[Uploaded]:
    """Bring ``files`` to Slack; what is not shown afterwards, Slack forgets.

    Args:
        client: Calls Slack.
        files: What to bring; one that is empty is left out, for Slack takes none.
        channel: Where they are to be shown, to be named in what is raised.

    Raises:
        PlatformError: Slack does not take them.
    """
    return [await _upload(client, file, channel) for file in files if file.data]


async def show(
    client: AsyncWebClient, files: Sequence[Uploaded], channel: str, thread: str | None, comment: str = ""
) -> None:
    """Post a message with ``files``.

    Args:
        client: Calls Slack.
        files: What was brought.
        channel: Where it is posted.
        thread: The ``ts`` of the thread there, if any.
        comment: What the message says, in mrkdwn.

    Raises:
        PlatformError: Slack does not post it.
    """
    try:
        await client.files_completeUploadExternal(
            files=[{"id": file.id, "title": file.name} for file in files],
            channel_id=channel,
            thread_ts=thread,
            initial_comment=comment or None,
        )
    except (SlackApiError, ClientError, OSError) as error:
        raise refusal_to_post(error, channel) from None


async def _upload(client: AsyncWebClient, file: ReplyFile, channel: str) -> Uploaded:
    name = file.name or "file"
    try:
        place = await client.files_getUploadURLExternal(filename=name, length=len(file.data))
        await _send(client, place["upload_url"], file.data)
    except (SlackApiError, ClientError, OSError) as error:
        raise refusal_to_post(error, channel) from None
    return Uploaded(place["file_id"], name)


async def _send(client: AsyncWebClient, address: str, data: bytes) -> None:
    """Send what is in a file to the address that Slack gave for it, which needs no token."""
    timeout = ClientTimeout(total=client.timeout)
    async with (
        ClientSession(timeout=timeout, trust_env=client.trust_env_in_session) as session,
        session.post(address, data=data, proxy=client.proxy, ssl=client.ssl or True) as answer,
    ):
        if answer.status == 429 or answer.status >= 500:
            raise PlatformUnavailableError(f"Slack cannot take files for now (HTTP {answer.status})")
        if answer.status != 200:
            raise PlatformError(f"Slack did not take a file (HTTP {answer.status})")
