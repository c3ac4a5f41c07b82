"""A workspace takes the app out, or tokens back: what Slack tells of it, and what is to go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from dspy_session.conversation import Conversations
from dspy_session.stores import Inbox, Kept, Vault
from dspy_session_slack.home import Home
from dspy_session_slack.key import PLATFORM, inner_event

UNINSTALLED, REVOKED = "app_uninstalled", "tokens_revoked"

MOST = 1_000_000
"""Conversations with something to do that are looked at."""

SKEW = 300
"""Seconds that our clock may be wrong: where it is further off, what Slack signed is not taken at all."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """What a workspace has taken back.

    Args:
        users: People whose own tokens are void.
        altogether: Whether the bot is gone.
        at: When, in whole seconds since 1970, UTC; None if Slack does not say.
    """

    users: tuple[str, ...] = ()
    altogether: bool = True
    at: int | None = None

    def is_before(self, installed_at: float) -> bool:
        """Whether what was installed then is not meant: the app came back, and what tells of its leaving is late."""
        return self.at is not None and installed_at >= self.at + 1

    def may_be_before(self, installed_at: float) -> bool:
        """The same of a time that is our clock's, when Slack's is another."""
        return self.is_before(installed_at + SKEW)


def leaving_of(body: Mapping[str, Any]) -> Leaving | None:
    """What an event tells to be taken back; None if it is another event."""
    event, time = inner_event(body), body.get("event_time")
    at = time if isinstance(time, int) else None
    if event.get("type") == UNINSTALLED:
        return Leaving(at=at)
    if event.get("type") != REVOKED:
        return None
    tokens = event.get("tokens")
    of = tokens if isinstance(tokens, Mapping) else {}
    people, bots = of.get("oauth"), of.get("bot")
    users = tuple(user for user in people if isinstance(user, str)) if isinstance(people, list) else ()
    return Leaving(users, altogether=bool(bots), at=at)


class Forgetting:
    """Deletes what was said in workspaces that are gone.

    An organisation does not say which workspaces it has: those in which the bot was spoken to are noted down.

    Args:
        conversations: What was said.
    """

    def __init__(self, conversations: Conversations) -> None:
        self._conversations = conversations

    async def note(self, home: Home) -> None:
        """The bot is spoken to in a workspace."""
        store = self._conversations.store
        if home.org_wide and isinstance(store, Vault):
            await store.put(Kept(_noted(home, home.team), home.team))

    async def forget(self, home: Home) -> int:
        """Delete all that was said in a workspace, or in an organisation; how many conversations those were."""
        store = self._conversations.store
        if not home.org_wide or not isinstance(store, Vault):
            return await self._forget(home.team) if home.team else 0
        count = 0
        for name in await store.names(_noted(home, "")):
            noted = await store.get(name)
            count += 0 if noted is None else await self._forget(noted.value)
            await store.pull(name)  # not before: who fails in between is told again, and has to know what is left
        return count

    async def _forget(self, team: str) -> int:
        prefix = f"{PLATFORM}:{quote(team, safe='')}:"
        keys = {info.key for info in await self._conversations.list(prefix)}
        store = self._conversations.store
        if isinstance(store, Inbox):  # what has only just come in is in no journal yet
            keys.update(key for key in await store.waiting(MOST) if key.startswith(prefix))
        for key in keys:
            await self._conversations.forget(key)
        return len(keys)


def _noted(home: Home, team: str) -> str:
    return f"{PLATFORM}:organisation:{quote(home.enterprise, safe='')}:{quote(team, safe='')}"
