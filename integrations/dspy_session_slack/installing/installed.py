"""The workspaces that the app was installed in: found, signed in to, and kept signed in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

from aiohttp import ClientError
from cachetools import TTLCache
from slack_sdk.errors import SlackApiError, SlackTokenRotationError
from slack_sdk.oauth.installation_store import Bot, Installation
from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore
from slack_sdk.oauth.token_rotation.async_rotator import AsyncTokenRotator
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.errors import PlatformError, PlatformUnavailableError, SessionError
from dspy_session_slack.home import Home
from dspy_session_slack.installing.leaving import Forgetting, Leaving
from dspy_session_slack.refusals import error_code, is_passing
from dspy_session_slack.setup.sign_in import sign_in, sign_in_failure
from dspy_session_slack.web_client import web_client
from dspy_session_slack.workspace import Workspace

_log = logging.getLogger(__name__)

EARLY = 120
"""Minutes before it expires that a token is exchanged for a new one; Slack's last twelve hours."""

FRESH = 300.0
"""Seconds until an installation is looked up again: another process may have exchanged its token, or deleted it."""


REMEMBERED = 10_000
"""Places where the app turned out not to be installed."""

REFUSED_SECONDS = 60.0
"""Seconds until such a place is asked about again."""


class NotInstalledError(PlatformError):
    """The app is not installed there, or not any more: nothing that is tried again will go better."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A workspace that we are in.

    Args:
        workspace: The workspace.
        token: The token that it was signed in to with.
        expires_at: When that expires, in seconds since 1970, UTC; None for never.
        found_at: When the installation was looked up, likewise.
    """

    workspace: Workspace
    token: str
    expires_at: int | None
    found_at: float

    def holds(self, now: float) -> bool:
        """Whether nothing has to be looked up."""
        is_late = self.expires_at is not None and self.expires_at - now < EARLY * 60
        return not is_late and now - self.found_at < FRESH


class InstalledWorkspaces:
    """All workspaces that installed the app, each with a token of its own.

    One that takes its token back stops; the others go on.

    Args:
        installations: Knows them.
        client: What their clients are made from: its address, proxy, TLS and connections.
        rotator: Exchanges tokens; None where no client secret is known.
        clock: Seconds since 1970, UTC.
        forgetting: Deletes what was said in a workspace that is gone; None to keep it.
    """

    def __init__(
        self,
        installations: AsyncInstallationStore,
        client: AsyncWebClient,
        rotator: AsyncTokenRotator | None,
        clock: Callable[[], float],
        forgetting: Forgetting | None = None,
    ) -> None:
        self._installations = installations
        self._client = client
        self._rotator = rotator
        self._clock = clock
        self._forgetting = forgetting
        self._signed_in: dict[Home, SignedIn] = {}
        self._refused: TTLCache[Home, NotInstalledError] = TTLCache(REMEMBERED, REFUSED_SECONDS, clock)
        self._looking: WeakValueDictionary[Home, asyncio.Lock] = WeakValueDictionary()
        self._leaving: WeakValueDictionary[Home, asyncio.Lock] = WeakValueDictionary()

    async def open(self) -> str:
        """Begin anew, with the connections that there are now; who we are is another one in each workspace."""
        self.close()
        return "the app of many workspaces"

    def close(self) -> None:
        """Forget who is signed in."""
        self._signed_in.clear()
        self._refused.clear()

    async def find(self, home: Home) -> Workspace:
        """A workspace, signed in with a token that is good for a while.

        Raises:
            NotInstalledError: The app is not installed there, or Slack does not accept its token any more.
            PlatformUnavailableError: Slack cannot be reached.
        """
        if not home.team:
            raise NotInstalledError("what came from Slack does not say which workspace it is from")
        known = self._signed_in.get(home)
        if known is not None and known.holds(self._clock()):
            return known.workspace
        async with self._looking.setdefault(home.installation, asyncio.Lock()):
            known, refused = self._signed_in.get(home), self._refused.get(home)
            if refused is not None:
                raise NotInstalledError(str(refused))
            if known is None or not known.holds(self._clock()):
                try:
                    known = self._signed_in[home] = await self._look_up(home, known)
                except NotInstalledError as error:
                    _log.warning("%s", error)
                    self._refused[home] = error
                    self._signed_in.pop(home, None)
                    raise
            return known.workspace

    def renew(self, home: Home) -> None:
        """Look up anew what was installed where ``home`` is."""
        for known in [known for known in self._signed_in if known.installation == home.installation]:
            del self._signed_in[known]
        for refused in [refused for refused in self._refused if refused.installation == home.installation]:
            del self._refused[refused]

    async def left(self, home: Home, leaving: Leaving) -> None:
        """A workspace has taken the app out, or its people have taken tokens back.

        Raises:
            PlatformUnavailableError: Slack has to be asked whether the app is back, and cannot be reached.
        """
        # Slack tells twice, of the app and of its token. Another lock than that of ``find``: who answers needs it now.
        async with self._leaving.setdefault(home.installation, asyncio.Lock()):
            await self._leave(home, leaving)

    async def _leave(self, home: Home, leaving: Leaving) -> None:
        installed = await self._find(home)
        if installed is not None and await self._is_late(home, leaving, installed.installed_at):
            _log.info("The Slack app is back in %s: that it was taken out before is told late", home)
            return
        where = {"enterprise_id": home.enterprise or None, "team_id": None if home.org_wide else home.team}
        with suppress(NotImplementedError):  # Bolt lets a store know of bots alone
            for user in leaving.users:
                await self._installations.async_delete_installation(**where, user_id=user)
        if not leaving.altogether:
            return
        try:
            await self._installations.async_delete_all(**where)
        except NotImplementedError:  # Bolt lets a store delete nothing; its token is void, whatever it keeps
            _log.warning("The store of installations cannot delete: what it keeps of %s stays there", home)
        self.renew(home)
        gone = await self._forgetting.forget(home) if self._forgetting is not None else 0
        if installed is not None or gone:
            _log.info("The Slack app was taken out of %s; conversations deleted: %s", home, gone)

    async def _is_late(self, home: Home, leaving: Leaving, installed_at: float) -> bool:
        """Whether what tells of the leaving does not mean what is installed now."""
        if not leaving.altogether:
            return leaving.is_before(installed_at)  # the bot's token, which is good, tells nothing of people's own
        return leaving.may_be_before(installed_at) and await self._is_accepted(home)

    async def _is_accepted(self, home: Home) -> bool:
        """Whether Slack takes the token that is kept, however its clock and ours differ."""
        try:
            found = await self._current(home)
            if found is None or not found.bot_token:
                return False
            await web_client(self._client, found.bot_token).auth_test()
        except NotInstalledError:
            return False
        except (SlackApiError, ClientError, OSError) as error:
            if not is_passing(error):
                return False
            raise sign_in_failure(error, app_level=False) from None
        return True

    async def _look_up(self, home: Home, known: SignedIn | None) -> SignedIn:
        found = await self._current(home)
        if found is None or not found.bot_token:
            raise NotInstalledError(f"the Slack app is not installed in {home}: somebody there has to install it")
        token, now = found.bot_token, self._clock()
        if known is not None:
            if known.token != token:
                known.workspace.client.token = token  # what is remembered of the place stays
            return replace(known, token=token, expires_at=found.bot_token_expires_at, found_at=now)
        return SignedIn(await self._sign_in(home, token), token, found.bot_token_expires_at, now)

    async def _sign_in(self, home: Home, token: str) -> Workspace:
        client = web_client(self._client, token)
        try:
            bot = await sign_in(client)
        except PlatformUnavailableError:
            raise
        except PlatformError as error:
            raise NotInstalledError(
                f"the Slack app cannot work in {home} until it is installed anew: {error}"
            ) from None
        if self._forgetting is not None:
            await self._forgetting.note(home)
        bot = replace(bot, team_id=home.team, enterprise_id=home.enterprise, org_wide=home.org_wide)
        return Workspace.of(bot, client)

    async def _current(self, home: Home) -> Bot | Installation | None:
        """What is installed, its token exchanged if it expires soon."""
        found = await self._find(home)
        if found is None or found.bot_token_expires_at is None or self._rotator is None:
            return found
        try:
            if isinstance(found, Installation):
                renewed = await self._rotator.perform_token_rotation(
                    installation=found, minutes_before_expiration=EARLY
                )
                if renewed is not None:
                    await self._installations.async_save(renewed)
                return renewed or found
            bot = await self._rotator.perform_bot_token_rotation(bot=found, minutes_before_expiration=EARLY)
            if bot is not None:
                await self._installations.async_save_bot(bot)
        except (SlackTokenRotationError, ClientError, OSError) as error:
            return await self._without_rotation(home, found, error)
        return bot or found

    async def _without_rotation(self, home: Home, found: Bot | Installation, error: Exception) -> Bot | Installation:
        """What to go on with when a token could not be exchanged."""
        cause = error.api_error if isinstance(error, SlackTokenRotationError) else error
        again = await self._find(home)
        if again is not None and again.bot_token != found.bot_token:
            return again  # another process was quicker
        still_good = (found.bot_token_expires_at or 0) > self._clock()
        if still_good:
            _log.warning("The token for %s could not be exchanged, next try in some minutes: %s", home, _said(cause))
            return found
        if is_passing(cause):
            raise PlatformUnavailableError(f"the token for {home} cannot be exchanged: {_said(cause)}") from None
        raise NotInstalledError(
            f"the Slack app cannot work in {home} until it is installed anew: its token cannot be exchanged "
            f"({_said(cause)})"
        ) from None

    async def _find(self, home: Home) -> Bot | Installation | None:
        try:
            return await self._looked_up(home)
        except SessionError:
            raise
        except Exception as error:  # whatever somebody's store may raise
            raise PlatformUnavailableError(f"the installation in {home} cannot be looked up: {error!r:.200}") from error

    async def _looked_up(self, home: Home) -> Bot | Installation | None:
        where = {"enterprise_id": home.enterprise or None, "team_id": home.team}
        try:
            found = await self._installations.async_find_installation(**where, is_enterprise_install=home.org_wide)
        except NotImplementedError:
            found = None  # Bolt lets a store know of bots alone
        if found is not None and found.bot_token:
            return found
        try:
            return await self._installations.async_find_bot(**where, is_enterprise_install=home.org_wide)
        except NotImplementedError:
            return None


def _said(cause: Exception) -> str:
    return error_code(cause) if isinstance(cause, SlackApiError) else type(cause).__name__
