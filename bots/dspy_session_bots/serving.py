"""The bot that ``dspy-bots run`` runs: its platforms and its sinks, from options and settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer
from pydantic import SecretStr

from dspy_session import ConfigurationError
from dspy_session.conversation import Sink
from dspy_session_bots.config import Settings
from dspy_session_bots.extras import needs_extra
from dspy_session_bots.proxy import proxied
from dspy_session_chat import Bot, Platform

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

SLACK_BOT_TOKEN = "SLACK_BOT_TOKEN (xoxb-…, OAuth & Permissions)"  # noqa: S105
SLACK_APP_TOKEN = "SLACK_APP_TOKEN (xapp-…, Basic Information)"  # noqa: S105
SLACK_SIGNING_SECRET = "SLACK_SIGNING_SECRET (Basic Information)"  # noqa: S105
SLACK_CLIENT_SECRET = "SLACK_CLIENT_SECRET (Basic Information)"  # noqa: S105
DISCORD_TOKEN = "DISCORD_TOKEN (https://discord.com/developers/applications → your app → Bot → Reset Token)"  # noqa: S105
WEBHOOK_SECRET = "WEBHOOK_SECRET (whsec_…, which the receiver knows too; dspy-bots webhooks listen makes one)"  # noqa: S105


def platforms_and_sinks(
    settings: Settings,
    *,
    slack: bool,
    slack_http: str | None = None,
    slack_options: Mapping[str, Any] | None = None,
    discord: bool,
    discord_options: Mapping[str, Any] | None = None,
    webhooks: Sequence[str],
) -> tuple[list[Platform], list[Sink]]:
    """The platforms that were asked for, and a webhook for each URL.

    Args:
        settings: The secrets.
        slack: Whether Slack was, over a socket.
        slack_http: Where to listen for Slack's requests, if it was over HTTP.
        slack_options: Options of ``Slack``, and of its ``Assistant``.
        discord: Whether Discord was.
        discord_options: Options of ``Discord``.
        webhooks: The URLs.

    Raises:
        ConfigurationError: Secrets are missing, each is named; or an extra is, or a URL or the webhooks' key will not
            do.
        PlatformError: A token cannot be one.
    """
    bot_token, app_token = settings.slack_bot_token, settings.slack_app_token
    needed: dict[str, dict[str, SecretStr | None]] = {}
    if slack:
        needed["--slack"] = {SLACK_BOT_TOKEN: bot_token, SLACK_APP_TOKEN: app_token}
    if slack_http is not None:
        needed["--slack-http"] = _needed_over_http(settings)
    if discord:
        needed["--discord"] = {DISCORD_TOKEN: settings.discord_token}
    if webhooks:
        needed["--webhook"] = {WEBHOOK_SECRET: settings.webhook_secret}
    missing = _missing(needed)
    if missing:
        raise ConfigurationError(missing)
    platforms: list[Platform] = []
    if slack and bot_token is not None and app_token is not None:
        tokens = bot_token.get_secret_value(), app_token.get_secret_value()
        platforms.append(_slack(*tokens, settings, slack_options or {}))
    if slack_http is not None:
        platforms.append(_slack_over_http(slack_http, settings, slack_options or {}))
    if discord and settings.discord_token is not None:
        platforms.append(
            _discord(settings.discord_token.get_secret_value(), settings.discord_shards, discord_options or {})
        )
    sinks = [] if settings.webhook_secret is None else _webhooks(webhooks, settings.webhook_secret.get_secret_value())
    return platforms, sinks


def run_until_stopped(bot: Bot) -> None:
    """Run a bot, and tell whoever stops it how far that is.

    Raises:
        SessionError: A platform or the store refuses us.
    """

    def tell(line: str) -> None:
        typer.echo(f"\n{line[0].upper()}{line[1:]}.")  # below the ^C that a terminal shows

    bot.run(tell=tell)
    typer.echo("\nStopped.")


def _missing(needed: Mapping[str, Mapping[str, SecretStr | None]]) -> str:
    """What to say of the secrets that are not there: all in one line, so that nobody finds out one by one.

    Args:
        needed: By option, the secrets that it needs.
    """
    absent = {option: [what for what, secret in of.items() if secret is None] for option, of in needed.items()}
    said = [f"{option} needs {' and '.join(secrets)}" for option, secrets in absent.items() if secrets]
    them = "them" if sum(map(len, absent.values())) > 1 else "it"
    is_slacks = any(absent.get(option) for option in ("--slack", "--slack-http"))
    where = "; dspy-bots slack manifest tells how to make a Slack app" if is_slacks else ""
    return f"{', '.join(said)}: set {them} in the environment or in .env{where}" if said else ""


def _slack(bot_token: str, app_token: str, settings: Settings, options: Mapping[str, Any]) -> Platform:
    with needs_extra("slack", "--slack"):
        from dspy_session_slack import Slack
        from dspy_session_slack.setup.sign_in import check_tokens
    check_tokens(bot_token, app_token)  # it would be noticed when the bot signs in: too late for who starts it
    client = slack_client(settings)
    return Slack(bot_token=bot_token, app_token=app_token, client=client, **_with_assistant(options))


def _needed_over_http(settings: Settings) -> dict[str, SecretStr | None]:
    needed: dict[str, SecretStr | None] = {SLACK_SIGNING_SECRET: settings.slack_signing_secret}
    if settings.slack_client_id is None or settings.slack_bot_token is not None:
        return needed | {SLACK_BOT_TOKEN: settings.slack_bot_token}
    return needed | {SLACK_CLIENT_SECRET: settings.slack_client_secret}


def _slack_over_http(listen: str, settings: Settings, options: Mapping[str, Any]) -> Platform:
    with needs_extra("slack", "--slack-http"):
        from dspy_session_slack import OAuth, Slack
        from dspy_session_slack.setup.sign_in import check_tokens
    secret, bot_token = _revealed(settings.slack_signing_secret), _revealed(settings.slack_bot_token)
    client, options = slack_client(settings), _with_assistant(options)
    if bot_token is not None:
        check_tokens(bot_token, None, over_http=True)
        return Slack(bot_token=bot_token, signing_secret=secret, listen=listen, client=client, **options)
    oauth = OAuth(client_id=settings.slack_client_id, client_secret=_revealed(settings.slack_client_secret))
    return Slack(signing_secret=secret, listen=listen, client=client, oauth=oauth, **options)


def _with_assistant(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of ``Slack``, those of its ``Assistant`` in one.

    Raises:
        ConfigurationError: There are too many prompts, or one that says nothing.
    """
    from dspy_session_slack import Assistant

    found = {name: value for name, value in options.items() if name in ("greeting", "prompts")}
    own = {name: value for name, value in options.items() if name not in found}
    return {**own, "assistant": Assistant(**found)} if found else own


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def slack_client(settings: Settings) -> AsyncWebClient | None:
    """What Slack is called with; None where nothing about it is set."""
    from slack_sdk.web.async_client import AsyncWebClient

    return None if settings.slack_api_url is None else AsyncWebClient(base_url=str(settings.slack_api_url))


def _discord(token: str, shards: str | None, options: Mapping[str, Any]) -> Platform:
    with needs_extra("discord", "--discord"):
        from dspy_session_discord import Discord
        from dspy_session_discord.transport.login import checked
        from dspy_session_discord.transport.shards import spread_of
    spread = None if shards is None else spread_of(shards)
    return Discord(token=checked(token), client_options=proxied(), shards=spread, **options)


def _webhooks(urls: Iterable[str], secret: str) -> list[Sink]:
    sinks: list[Sink] = []
    for url in urls:
        with needs_extra("webhook", "--webhook"):
            from dspy_session_webhook import Webhook
        # Whoever types a URL of this machine means it; the guard is for URLs that others choose.
        sinks.append(Webhook(url, secret.split(), allow_loopback=True))
    return sinks
