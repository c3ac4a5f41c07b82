"""Installations of the app, and those under way, in a vault: behind the interfaces that Bolt has for them."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable
from hashlib import sha256
from typing import TypeVar
from urllib.parse import quote

from slack_sdk.oauth.installation_store import Bot, Installation
from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore
from slack_sdk.oauth.state_store.async_state_store import AsyncOAuthStateStore

from dspy_session.stores import Kept, Vault
from dspy_session_slack.key import PLATFORM

_log = logging.getLogger(__name__)

_LATEST = "latest"

T = TypeVar("T", Bot, Installation)


class VaultInstallations(AsyncInstallationStore):
    """Keeps installations in the bot's own store, encrypted where that is.

    Of a workspace, or of an organisation that has the app as a whole, the bot is kept, the newest installation, and the
    newest one of each person who installed it.

    Args:
        vault: Where they are kept.
        client_id: Whose they are: several apps may share a store.
    """

    def __init__(self, vault: Vault, client_id: str) -> None:
        self._vault = vault
        self._client_id = client_id

    @property
    def logger(self) -> logging.Logger:
        """Where Bolt logs."""
        return _log

    async def async_save(self, installation: Installation) -> None:
        """Keep an installation, and the bot of it."""
        where = installation.enterprise_id, None if installation.is_enterprise_install else installation.team_id
        for who in (_LATEST, installation.user_id):
            await self._put(self._name("user", *where, who or ""), installation)
        await self.async_save_bot(installation.to_bot())

    async def async_save_bot(self, bot: Bot) -> None:
        """Keep a bot."""
        team = None if bot.is_enterprise_install else bot.team_id
        await self._put(self._name("bot", bot.enterprise_id, team), bot)

    async def async_find_bot(
        self, *, enterprise_id: str | None, team_id: str | None, is_enterprise_install: bool | None = False
    ) -> Bot | None:
        """The bot of a workspace, or with ``is_enterprise_install`` of an organisation."""
        team = None if is_enterprise_install else team_id
        return await self._get(self._name("bot", enterprise_id, team), Bot)

    async def async_find_installation(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None = None,
        is_enterprise_install: bool | None = False,
    ) -> Installation | None:
        """The newest installation of a workspace or an organisation, or somebody's newest one."""
        team = None if is_enterprise_install else team_id
        return await self._get(self._name("user", enterprise_id, team, user_id or _LATEST), Installation)

    async def async_delete_bot(self, *, enterprise_id: str | None, team_id: str | None) -> None:
        """Delete a bot; without ``team_id`` that of an organisation."""
        await self._vault.pull(self._name("bot", enterprise_id, team_id))

    async def async_delete_installation(
        self, *, enterprise_id: str | None, team_id: str | None, user_id: str | None = None
    ) -> None:
        """Delete somebody's installation, or every one of a workspace or an organisation."""
        all_of_them = self._name("user", enterprise_id, team_id, "")
        latest = self._name("user", enterprise_id, team_id, _LATEST)
        if user_id is None:
            for name in await self._vault.names(all_of_them):
                await self._vault.pull(name)
            return
        await self._vault.pull(self._name("user", enterprise_id, team_id, user_id))
        newest = await self._get(latest, Installation)
        if newest is not None and newest.user_id == user_id:
            await self._vault.pull(latest)

    def _name(self, what: str, enterprise: str | None, team: str | None, *who: str) -> str:
        # A workspace's id is its own, whichever organisation it is in: so it is found before and after it joins one.
        place = (team, "") if team else ("", enterprise or "")
        return ":".join(quote(part, safe="") for part in (PLATFORM, self._client_id, what, *place, *who))

    async def _put(self, name: str, kept: Bot | Installation) -> None:
        await self._vault.put(Kept(name, json.dumps(vars(kept))))

    async def _get(self, name: str, kind: type[T]) -> T | None:
        kept = await self._vault.get(name)
        return None if kept is None else kind(**json.loads(kept.value))


class VaultStates(AsyncOAuthStateStore):
    """Knows who was sent to Slack and has not come back yet.

    A state is good for one return, for a while; what is kept of it is good for none.

    Args:
        vault: Where that is kept.
        seconds: How long somebody may take.
        clock: Seconds since 1970, UTC.
    """

    def __init__(self, vault: Vault, seconds: float, clock: Callable[[], float]) -> None:
        self._vault = vault
        self._seconds = seconds
        self._clock = clock

    @property
    def logger(self) -> logging.Logger:
        """Where Bolt logs."""
        return _log

    async def async_issue(self, *_: object, **__: object) -> str:
        """A new state."""
        now = self._clock()
        await self._vault.clear(now)
        state = secrets.token_urlsafe(32)
        await self._vault.put(Kept(_name_of(state), "", now + self._seconds))
        return state

    async def async_consume(self, state: str) -> bool:
        """Whether a state is good; afterwards it is not."""
        kept = await self._vault.pull(_name_of(state))
        return kept is not None and kept.until is not None and kept.until > self._clock()


def _name_of(state: str) -> str:
    return f"{PLATFORM}:state:{sha256(state.encode('utf-8', 'replace')).hexdigest()}"
