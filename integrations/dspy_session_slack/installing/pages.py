"""Installing the app: the page that sends people to Slack, and the one that they come back to."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import ClientError
from slack_bolt.oauth.async_callback_options import AsyncCallbackOptions, AsyncSuccessArgs, DefaultAsyncCallbackOptions
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.oauth.installation_store import Installation
from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore
from slack_sdk.oauth.state_store.async_state_store import AsyncOAuthStateStore
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.errors import SessionError
from dspy_session_slack.installing.failure_page import failure_page
from dspy_session_slack.oauth import OAuth
from dspy_session_slack.transport.request import Answer, Request, answer_of

_log = logging.getLogger(__name__)

NO_STORE = (("Cache-Control", "no-store"), ("Referrer-Policy", "no-referrer"))
"""What comes back from Slack is in the address, and is nobody else's business."""


class Installing:
    """Lets people install the app, by Bolt's own flow.

    Args:
        oauth: What is asked for.
        client: Exchanges what Slack sends people back with for a token.
        installations: Where installations are kept.
        states: Knows who was sent to Slack.
        installed: Called once the app is installed somewhere.
    """

    def __init__(
        self,
        oauth: OAuth,
        client: AsyncWebClient,
        installations: AsyncInstallationStore,
        states: AsyncOAuthStateStore,
        installed: Callable[[Installation], None],
    ) -> None:
        client_id, client_secret = oauth.credentials()
        settings = AsyncOAuthSettings(
            client_id=client_id,
            client_secret=client_secret,
            scopes=list(oauth.scopes),
            user_scopes=[],
            redirect_uri=oauth.redirect_uri,
            authorization_url=authorization_url(client.base_url),
            installation_store=installations,
            state_store=states,
            state_expiration_seconds=int(oauth.state_seconds),
            logger=_log,
        )
        pages = DefaultAsyncCallbackOptions(
            logger=_log,
            state_utils=settings.state_utils,
            redirect_uri_page_renderer=settings.redirect_uri_page_renderer,
        )

        async def success(args: AsyncSuccessArgs) -> BoltResponse:
            installed(args.installation)
            _log.info("The Slack app was installed in %s", _named(args.installation))
            return await pages.success(args)

        settings.callback_options = AsyncCallbackOptions(success=success, failure=failure_page)
        self._flow = AsyncOAuthFlow(client=client, logger=_log, settings=settings)

    async def begin(self, request: Request) -> Answer:
        """The page that sends people to Slack."""
        return await self._answer(request, self._flow.handle_installation)

    async def finish(self, request: Request) -> Answer:
        """The page that Slack sends them back to."""
        return await self._answer(request, self._flow.handle_callback)

    async def _answer(self, request: Request, handle: Callable[[AsyncBoltRequest], Awaitable[BoltResponse]]) -> Answer:
        if request.method not in ("GET", "HEAD"):
            return Answer(405, headers=[("Allow", "GET")])
        try:
            response = await handle(AsyncBoltRequest(body="", query=request.query, headers=dict(request.headers)))
        except (SessionError, ClientError, OSError) as error:
            _log.warning("The Slack app could not be installed for now: %s", error)
            return Answer(503, "This does not work at the moment. Please try again in a minute.")
        answer = answer_of(response)
        return Answer(answer.status, answer.text, answer.content_type, [*answer.headers, *NO_STORE])


def authorization_url(base_url: str) -> str:
    """Where people say yes, for a Slack whose Web API is at ``base_url``.

    >>> authorization_url("https://slack.com/api/")
    'https://slack.com/oauth/v2/authorize'
    """
    parts = urlsplit(base_url)
    host = parts.netloc.removeprefix("www.")
    return f"{parts.scheme}://{host}/oauth/v2/authorize"


def _named(installation: Installation) -> str:
    if installation.is_enterprise_install:
        return f"the organisation {installation.enterprise_name or ''} ({installation.enterprise_id})"
    return f"{installation.team_name or ''} ({installation.team_id})"
