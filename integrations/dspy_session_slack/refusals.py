"""Slack's refusals: which of them pass, and what to do about the others, in a line."""

from __future__ import annotations

from typing import Any

from aiohttp import ClientError
from slack_sdk.errors import SlackApiError

from dspy_session.errors import PlatformError, PlatformUnavailableError

PASSING = frozenset(
    {
        "accesslimited",
        "external_channel_migrating",
        "fatal_error",
        "internal_error",
        "org_login_required",
        "rate_limited",
        "ratelimited",
        "request_timeout",
        "service_unavailable",
        "team_added_to_org",
    }
)
"""Error codes that go away by themselves: outages, rate limits, and what is being moved at Slack's."""

_REVOKED = "is not accepted by Slack ({code}): copy it again from the app's settings"
_BOT_TOKEN = "the bot token " + _REVOKED + " (OAuth & Permissions), after installing the app once more"
_APP_TOKEN = "the app-level token " + _REVOKED + " (Basic Information, App-Level Tokens)"

TOO_LONG = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long"})
"""Refusals of a message that shorter ones may not meet: those need no blocks."""

_RESTRICTED = "a setting of the workspace keeps the bot from posting in {channel}: ask an administrator"

_SIGN_IN = frozenset({"account_inactive", "invalid_auth", "not_authed", "token_expired", "token_revoked"})

_REMEDIES = {
    "channel_not_found": "Slack does not know the channel {channel}, or the bot is not in it: invite the bot there",
    "is_archived": "the channel {channel} is archived: nobody can post there any more",
    "msg_blocks_too_long": "Slack finds the message too long",
    "msg_too_long": "Slack finds the message too long",
    "not_in_channel": "the bot is not in the channel {channel}: invite it there",
    "restricted_action": _RESTRICTED,
    "restricted_action_read_only_channel": _RESTRICTED,
    "restricted_action_thread_locked": "the thread in {channel} is locked: nobody can reply in it any more",
    "restricted_action_thread_only_channel": _RESTRICTED,
    "thread_not_found": "the thread in {channel} is gone",
}


class TokenRefusedError(PlatformError):
    """Slack does not accept the bot token any more."""


class TooLongError(PlatformError):
    """Slack finds a message too long, counting otherwise than its documentation says, or does not take its blocks."""


def error_code(error: Exception) -> str:
    """Slack's code for what is wrong, such as ``"invalid_auth"``; for other failures, what happened."""
    data = _answer(error)
    if "error" in data:
        return str(data["error"])
    status = getattr(getattr(error, "response", None), "status_code", None)
    return f"HTTP {status}" if status else type(error).__name__


def is_passing(error: Exception) -> bool:
    """Whether it is worth trying again: the network, an outage or a rate limit, not a refusal."""
    if isinstance(error, SlackApiError):
        # What answers without Slack's own error code is a proxy or an outage in front of Slack.
        return _answer(error).get("error", "internal_error") in PASSING
    return isinstance(error, ClientError | OSError)


def refusal_to_sign_in(error: SlackApiError, *, app_level: bool = False) -> PlatformError:
    """Why Slack does not let the bot in.

    Args:
        error: What Slack answered.
        app_level: Whether the app-level token was refused, not the bot token.
    """
    code = error_code(error)
    if code in _SIGN_IN:
        return PlatformError((_APP_TOKEN if app_level else _BOT_TOKEN).format(code=code))
    if code == "missing_scope":
        return _missing(error, "the app-level token" if app_level else "the bot token")
    if code == "not_allowed_token_type":
        return PlatformError(
            "Slack was given the wrong kind of token: bot_token is the xoxb-… one, app_token the xapp-… one"
        )
    return PlatformError(f"Slack does not let the bot in ({code})")


def refusal_to_post(error: Exception, channel: str) -> PlatformError:
    """Why an answer could not be posted."""
    code = error_code(error)
    if code in _SIGN_IN:
        return TokenRefusedError(_BOT_TOKEN.format(code=code))
    if code == "missing_scope" and isinstance(error, SlackApiError):
        return _missing(error, "the bot token")
    remedy = _REMEDIES.get(code, "Slack did not take the answer for {channel}")
    kind = PlatformUnavailableError if is_passing(error) else TooLongError if code in TOO_LONG else PlatformError
    return kind(f"{remedy.format(channel=channel)} ({code})")


def _missing(error: SlackApiError, token: str) -> PlatformError:
    needed = _answer(error).get("needed") or "a scope"
    return PlatformError(
        f"{token} lacks {needed}: add the scope in the Slack app's settings and install the app once more"
    )


def _answer(error: Exception) -> dict[str, Any]:
    data = getattr(getattr(error, "response", None), "data", None)
    return data if isinstance(data, dict) else {}
