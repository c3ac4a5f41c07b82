"""An app that many workspaces install: what it takes besides, put together."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from slack_bolt.app.async_app import AsyncApp
from slack_sdk.oauth.installation_store import Installation
from slack_sdk.oauth.token_rotation.async_rotator import AsyncTokenRotator
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.conversation import Conversations
from dspy_session.errors import ConfigurationError
from dspy_session.stores import Vault
from dspy_session_slack.home import Home
from dspy_session_slack.installing.installations import VaultInstallations, VaultStates
from dspy_session_slack.installing.installed import InstalledWorkspaces
from dspy_session_slack.installing.leaving import Forgetting
from dspy_session_slack.installing.pages import Installing
from dspy_session_slack.oauth import OAuth
from dspy_session_slack.setup.sign_in import tell_of_lacking
from dspy_session_slack.web_client import web_client

# What the SDK logs of its calls on DEBUG has the tokens in it that Slack gives out for a code.
_quiet = logging.getLogger(f"{__name__}.calls")
_quiet.setLevel(logging.INFO)


@dataclass(frozen=True, slots=True)
class Many:
    """Many workspaces.

    Args:
        workspaces: They.
        installing: Lets more of them install the app; None where somebody else does.
    """

    workspaces: InstalledWorkspaces
    installing: Installing | None = None


def installed_by_oauth(
    oauth: OAuth, client: AsyncWebClient, conversations: Conversations | None, clock: Callable[[], float]
) -> Many:
    """The workspaces that installed the app, and those that will.

    Args:
        oauth: What is asked for.
        client: Calls Slack; each workspace gets one like it.
        conversations: What the bot keeps, in the store of which installations are kept too.
        clock: Seconds since 1970, UTC.

    Raises:
        ConfigurationError: That store cannot keep them.
        PlatformError: A secret is missing.
    """
    client_id, client_secret = oauth.credentials()
    tell_of_lacking("workspaces that install the Slack app", frozenset(oauth.scopes))
    if conversations is None or not isinstance(conversations.store, Vault):
        raise ConfigurationError(
            "who installs the Slack app is kept in the bot's store, and this one keeps nothing but conversations: "
            "use a store of the kit's, or one that is a Vault"
        )
    vault = conversations.store
    installations = oauth.installation_store or VaultInstallations(vault, client_id)
    asking = _like(client)
    workspaces = InstalledWorkspaces(
        installations,
        client,
        AsyncTokenRotator(client_id=client_id, client_secret=client_secret, client=asking),
        clock,
        Forgetting(conversations) if oauth.forget else None,
    )

    def installed(installation: Installation) -> None:
        home = Home(installation.team_id or "", installation.enterprise_id or "", installation.is_enterprise_install)
        workspaces.renew(home)

    states = VaultStates(vault, oauth.state_seconds, clock)
    return Many(workspaces, Installing(oauth, asking, installations, states, installed))


def installed_in(app: AsyncApp, client: AsyncWebClient, clock: Callable[[], float]) -> Many | None:
    """The workspaces that a joined app is installed in; None for an app of one workspace.

    Args:
        app: The app, which has the pages for installing it.
        client: Calls Slack; each workspace gets one like it.
        clock: Seconds since 1970, UTC.
    """
    if app.installation_store is None or client.token:
        return None
    flow = app.oauth_flow
    rotator = None
    if flow is not None:
        secret = flow.settings.client_secret
        rotator = AsyncTokenRotator(client_id=flow.settings.client_id, client_secret=secret, client=_like(client))
    return Many(InstalledWorkspaces(app.installation_store, client, rotator, clock))


def _like(client: AsyncWebClient) -> AsyncWebClient:
    """A client for calls with secrets in them."""
    quiet = AsyncWebClient(
        base_url=client.base_url,
        timeout=client.timeout,
        ssl=client.ssl,
        proxy=client.proxy,
        headers=client.headers,
        trust_env_in_session=client.trust_env_in_session,
        logger=_quiet,
    )
    return web_client(quiet, None)
