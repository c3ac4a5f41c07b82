"""The two ways by which Slack reaches the bot: sockets that the bot opens, or requests to an address of its own."""

from __future__ import annotations

import os
from dataclasses import dataclass

from dspy_session.errors import ConfigurationError, PlatformError
from dspy_session_slack.transport.listening import place_of

APP_TOKEN, SIGNING_SECRET = "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET"


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asked for.

    Args:
        app_token: The app-level token, for sockets.
        signing_secret: The signing secret, for HTTP.
        listen: Where to listen for requests, ``"127.0.0.1:3000"``.

    Raises:
        ConfigurationError: It is for both ways, or ``listen`` is no place.
    """

    app_token: str | None = None
    signing_secret: str | None = None
    listen: str | None = None

    def __post_init__(self) -> None:
        if self.app_token is not None and (self.signing_secret is not None or self.listen is not None):
            raise ConfigurationError(
                "Slack reaches the bot in one way: over a socket (app_token=) or over HTTP (signing_secret=, listen=)"
            )
        if self.listen is not None:
            place_of(self.listen)

    @property
    def secret(self) -> str | None:
        """The signing secret, if there is any."""
        return self.signing_secret or os.environ.get(SIGNING_SECRET)


def app_token_of(asked: Asked) -> str | None:
    """The app-level token to open sockets with; None where Slack comes by HTTP.

    What was asked for comes before what the environment holds, and there a token before a secret.

    Raises:
        PlatformError: There is neither a token nor a secret, or one that cannot be it.
    """
    over_http = asked.signing_secret is not None or asked.listen is not None
    token = None if over_http else asked.app_token or os.environ.get(APP_TOKEN)
    if token:
        return token
    secret = asked.secret
    if not secret and over_http:
        raise PlatformError(
            f"there is no Slack signing secret: give Slack(signing_secret=…) or set {SIGNING_SECRET} (on the page "
            "Basic Information of the app's settings)"
        )
    if secret and secret.startswith(("xoxb-", "xapp-", "xoxp-", "xoxe")):
        raise PlatformError(
            f"that is no Slack signing secret but a token: {SIGNING_SECRET} stands on the page Basic Information of "
            "the app's settings, under App Credentials"
        )
    return None
