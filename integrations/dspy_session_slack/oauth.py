"""How workspaces install the app: what an app is known by to Slack, and what it asks them for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore

from dspy_session.errors import ConfigurationError, PlatformError
from dspy_session_slack.setup.scopes import Features, bot_scopes

CLIENT_ID, CLIENT_SECRET = "SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET"

STATE_SECONDS = 600.0
"""How long somebody may take to say yes to Slack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuth:
    """Lets workspaces, or whole organisations, install the app: people go to ``/slack/install`` and say yes to Slack.

    Args:
        client_id: The app's client id; by default ``SLACK_CLIENT_ID``.
        client_secret: Its client secret; by default ``SLACK_CLIENT_SECRET``.
        scopes: What is asked for; if empty no more than the bot needs.
        redirect_uri: Where Slack sends people back to, ``https://…/slack/oauth_redirect``; needed where the app's
            settings name several.
        installation_store: One of Bolt's stores, or your own; by default installations are kept in the bot's store.
        state_seconds: How long somebody may take to say yes.
        forget: Whether what was said in a workspace is deleted when it takes the app out.

    Raises:
        ConfigurationError: ``state_seconds`` is no time, or ``scopes`` one text.
    """

    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    scopes: Sequence[str] = ()
    redirect_uri: str | None = None
    installation_store: AsyncInstallationStore | None = None
    state_seconds: float = STATE_SECONDS
    forget: bool = False

    def __post_init__(self) -> None:
        if not self.state_seconds > 0:
            raise ConfigurationError(f"state_seconds must be above 0; got {self.state_seconds}")
        if isinstance(self.scopes, str):
            raise ConfigurationError(f"scopes is a list of Slack's scopes; got {self.scopes!r}")

    def asking(self, features: Features) -> OAuth:
        """The same, with the least scopes for ``features`` where none were chosen."""
        return self if self.scopes else replace(self, scopes=tuple(bot_scopes(features)))

    def credentials(self) -> tuple[str, str]:
        """The client id and the client secret, those of the environment where none were given.

        Raises:
            PlatformError: One is missing.
        """
        given = (self.client_id or os.environ.get(CLIENT_ID), self.client_secret or os.environ.get(CLIENT_SECRET))
        names = zip(given, ("client_id", "client_secret"), (CLIENT_ID, CLIENT_SECRET), strict=True)
        missing = [f"OAuth({option}=…) or {variable}" for value, option, variable in names if not value]
        if missing:
            raise PlatformError(
                f"for workspaces to install the app, set {' and '.join(missing)} (on the page Basic Information of the "
                "app's settings)"
            )
        return str(given[0]), str(given[1])
