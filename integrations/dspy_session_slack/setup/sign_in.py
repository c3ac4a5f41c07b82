"""Signing in: the tokens are there, of the right kind, accepted, and allowed what the bot cannot do without."""

from __future__ import annotations

import asyncio
import logging

from aiohttp import ClientError
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.errors import PlatformError, PlatformUnavailableError
from dspy_session_slack.inbound.address import BotUser
from dspy_session_slack.refusals import error_code, is_passing, refusal_to_sign_in
from dspy_session_slack.setup.scopes import HEARING, READING, WRITING, Features, lacking
from dspy_session_slack.setup.tokens import are_swapped, kind_of

_log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before another try to sign in while Slack cannot be reached; each pause is twice the one before."""


def check_tokens(bot_token: str | None, app_token: str | None, *, over_http: bool = False, many: bool = False) -> None:
    """See that both tokens are there and look right; neither shows in what is raised.

    Args:
        bot_token: The bot token.
        app_token: The app-level token.
        over_http: Whether Slack reaches the bot by HTTP, where it needs no app-level token.
        many: Whether each workspace has a bot token of its own.

    Raises:
        PlatformError: One is missing, or is a token of another kind, or each is the other.
    """
    if are_swapped(bot_token, app_token):
        raise PlatformError(
            "the Slack tokens are swapped: bot_token (SLACK_BOT_TOKEN) is the xoxb-… one, app_token (SLACK_APP_TOKEN) "
            "the xapp-… one"
        )
    tokens = (
        ("bot token", bot_token, "xoxb-", "bot_token", "SLACK_BOT_TOKEN", "OAuth & Permissions"),
        ("app-level token", app_token, "xapp-", "app_token", "SLACK_APP_TOKEN", "Basic Information"),
    )
    for what, token, prefix, option, variable, page in tokens[many : 1 if over_http else 2]:
        where = f"{prefix}…, on the page {page} of the app's settings"
        if not token:
            raise PlatformError(f"there is no Slack {what}: give Slack({option}=…) or set {variable} ({where})")
        if not token.startswith(prefix):
            held = kind_of(token)
            raise PlatformError(
                f"{option} ({variable}) is no Slack {what}{held and f' but {held}'}: one starts with {where}"
            )


async def sign_in(client: AsyncWebClient) -> BotUser:
    """Who the bot is, from ``auth.test``.

    Raises:
        PlatformError: Slack refuses the bot token, the token lacks a scope, or Slack cannot be reached.
    """
    try:
        answer = await client.auth_test()
    except (SlackApiError, ClientError, OSError) as error:
        raise sign_in_failure(error, app_level=False) from None
    granted = answer.headers.get("x-oauth-scopes")
    scopes = frozenset() if granted is None else frozenset(scope.strip() for scope in granted.split(","))
    if granted is not None:
        _check_scopes(scopes)
    return BotUser(answer["team_id"], answer["user_id"], answer.get("bot_id") or "", answer.get("user") or "", scopes)


async def sign_in_once_reached(client: AsyncWebClient) -> BotUser:
    """Who the bot is; while Slack cannot be reached it is asked again.

    Raises:
        PlatformError: Slack refuses the bot token, or the token lacks a scope.
    """
    pause = FIRST_PAUSE
    while True:
        try:
            return await sign_in(client)
        except PlatformUnavailableError as error:
            _log.warning("The bot signs in again in %.0f s: %s", pause, error)
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)


def check_fetching(bot: BotUser) -> None:
    """See that the bot may read files: without the scope, Slack sends a page to sign in at for a file.

    Raises:
        PlatformError: It may not.
    """
    if bot.scopes and READING not in bot.scopes:
        raise PlatformError(f"the bot may not read files: its token lacks {READING} in the Slack app's settings")


def sign_in_failure(error: SlackApiError | ClientError | OSError, *, app_level: bool) -> PlatformError:
    """What went wrong when the bot token, or with ``app_level`` the app-level token, was shown to Slack."""
    if isinstance(error, SlackApiError) and not is_passing(error):
        return refusal_to_sign_in(error, app_level=app_level)
    return PlatformUnavailableError(
        f"Slack cannot be reached ({error_code(error)}): check the network and status.slack.com"
    )


def _check_scopes(granted: frozenset[str]) -> None:
    if WRITING not in granted:
        lacking, remedy = "lets the bot write to nobody", WRITING
    elif granted.isdisjoint(HEARING):
        lacking, remedy = "lets the bot hear nobody", "app_mentions:read, im:history and channels:history"
    else:
        return
    raise PlatformError(
        f"the bot token {lacking}: add {remedy} to its scopes in the app's settings and install it again"
    )


def tell_of_lacking(where: str, granted: frozenset[str]) -> None:
    """Say what the bot cannot do. It may be meant so, and nothing else would tell: what it does not hear is silence.

    Args:
        where: Where it cannot.
        granted: Which scopes it has there; none if Slack does not say.
    """
    if granted and (needs := lacking(granted, Features(commands=False))):
        _log.warning(
            "In %s the bot cannot %s: if it shall, add those scopes, and install the app once more",
            where,
            "; ".join(f"{need.does} ({', '.join(sorted({*need.scopes} - granted))})" for need in needs),
        )
