"""Answers to a command or a shortcut at the address that came with it: also where the bot is not.

Slack takes five of them there, for half an hour.
"""

from __future__ import annotations

import logging
from typing import Any

from aiohttp import ClientError
from slack_sdk.errors import SlackRequestError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from dspy_session_chat.action import Event

_log = logging.getLogger(__name__)

RESPOND = "response_url"
"""What the address is called, in Slack's payloads and in ``reply_to``."""

RESPONSES = 5
"""How often Slack takes an answer at one address."""

OK = 200


def address_of(event: Event) -> str:
    """The address that came with an event; empty for most."""
    address = event.reply_to.get(RESPOND)
    return address if isinstance(address, str) else ""


async def respond(client: AsyncWebClient, address: str, text: str, blocks: list[dict[str, Any]] | None = None) -> bool:
    """Say something to whoever gave the command alone; False if Slack does not take it there, or not any more.

    Args:
        client: How Slack is reached: its proxy and TLS, and how often a call is tried again.
        address: Where.
        text: What, in mrkdwn.
        blocks: The same as blocks.
    """
    hook = AsyncWebhookClient(
        address,
        timeout=client.timeout,
        ssl=client.ssl,
        proxy=client.proxy,
        session=client.session,
        trust_env_in_session=client.trust_env_in_session,
        retry_handlers=client.retry_handlers,
    )
    body: dict[str, Any] = {"response_type": "ephemeral", "replace_original": False, "text": text}
    body |= {"unfurl_links": False, "unfurl_media": False, "link_names": False, "parse": "none"}
    if blocks:
        body["blocks"] = blocks
    try:
        answer = await hook.send_dict(body)
    except (ClientError, OSError, SlackRequestError) as error:
        _log.info("An answer at the address of a command was not taken: %s", type(error).__name__)
        return False
    if answer.status_code != OK:
        _log.info("An answer at the address of a command was not taken: HTTP %s", answer.status_code)
    return bool(answer.status_code == OK)
