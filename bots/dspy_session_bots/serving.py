"""The bot that ``dspy-bots run`` runs: its platforms and its sinks, from options and settings."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import SecretStr

from dspy_session import ConfigurationError
from dspy_session.conversation import Sink
from dspy_session_bots.config import Settings
from dspy_session_bots.extras import needs_extra
from dspy_session_bots.signing_key import new_signing_key
from dspy_session_chat import Platform

SLACK_TOKENS = "SLACK_BOT_TOKEN (xoxb-…, OAuth & Permissions) and SLACK_APP_TOKEN (xapp-…, Basic Information)"
DISCORD_TOKEN = "DISCORD_TOKEN (https://discord.com/developers/applications → your app → Bot → Reset Token)"  # noqa: S105
WHERE = "in the environment or in .env"


def platforms(settings: Settings, *, slack: bool, discord: bool) -> list[Platform]:
    """The platforms that were asked for.

    Raises:
        ConfigurationError: A token or an extra is missing.
    """
    chosen: list[Platform] = []
    if slack:
        chosen.append(_slack(settings))
    if discord:
        chosen.append(_discord(settings))
    return chosen


def webhooks(urls: Iterable[str], secret: SecretStr | None) -> list[Sink]:
    """A webhook for each URL.

    Raises:
        ConfigurationError: The secret or an extra is missing, or a URL will not do.
    """
    sinks: list[Sink] = []
    for url in urls:
        if secret is None:
            raise ConfigurationError(
                f"--webhook needs WEBHOOK_SECRET, the key that the receiver checks signatures with: set it {WHERE}, "
                f"for example to this new one: {new_signing_key()}"
            )
        with needs_extra("webhook", "--webhook"):
            from dspy_session_webhook import Webhook
        # Whoever types a URL of this machine means it; the guard is for URLs that others choose.
        sinks.append(Webhook(url, secret.get_secret_value().split(), allow_loopback=True))
    return sinks


def _slack(settings: Settings) -> Platform:
    if settings.slack_bot_token is None or settings.slack_app_token is None:
        raise ConfigurationError(f"--slack needs {SLACK_TOKENS}: set them {WHERE}")
    with needs_extra("slack", "--slack"):
        from slack_sdk.web.async_client import AsyncWebClient

        from dspy_session_slack import Slack
    return Slack(
        bot_token=settings.slack_bot_token.get_secret_value(),
        app_token=settings.slack_app_token.get_secret_value(),
        client=None if settings.slack_api_url is None else AsyncWebClient(base_url=str(settings.slack_api_url)),
    )


def _discord(settings: Settings) -> Platform:
    if settings.discord_token is None:
        raise ConfigurationError(f"--discord needs {DISCORD_TOKEN}: set it {WHERE}")
    with needs_extra("discord", "--discord"):
        from dspy_session_discord import Discord
    return Discord(token=settings.discord_token.get_secret_value())
