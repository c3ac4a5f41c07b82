"""Fetching the files that people send: the bot token goes to Slack's own host for files, and nowhere else."""

from __future__ import annotations

from urllib.parse import urlsplit

from slack_sdk.web.async_client import AsyncWebClient

from dspy_session_chat.files.downloads import Downloader

LOOPBACK = "localhost"


def downloader(client: AsyncWebClient) -> Downloader:
    """Fetches files from the Slack that ``client`` calls.

    That is ``files.slack.com`` for ``slack.com``, and ``files.slack-gov.com`` for ``slack-gov.com``: whoever gives the
    client another address says by it where the token may go.

    Args:
        client: Has the address and the bot token.
    """
    called = urlsplit(client.base_url).hostname or ""
    local = called in (LOOPBACK, "127.0.0.1", "::1")
    host = LOOPBACK if local else f"files.{called.removeprefix('www.')}"
    return Downloader([host], lambda _: {"Authorization": f"Bearer {client.token}"}, allow_loopback=local)
