"""What people call one another, their channels and their groups: events carry ids."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from weakref import WeakValueDictionary

from aiohttp import ClientError
from cachetools import LRUCache, TTLCache
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session_chat.markup.cleaning import clean_line
from dspy_session_slack.refusals import error_code, is_passing

_log = logging.getLogger(__name__)

REMEMBERED = 10_000
"""Names kept at once."""

FRESH = 3600.0
"""Seconds until a name is looked up again: people rename themselves and their channels."""

REFUSED = 600.0
"""Seconds until Slack is asked again for a name that it did not want to tell: a scope may be had by then."""

PATIENCE, LEISURE = 0.5, 3.0
"""Seconds that names may take: a message is acknowledged within Slack's 3 s, if need be without them; when it is
answered, nobody but the person who asked waits."""

ASKED_AT_ONCE, ASKED_AT_LEISURE = 10, 30
"""Names looked up at once: a message that mentions hundreds must not use up the rate limit."""

GROUPS = "S"
"""How the ids of user groups begin."""


class Directory:
    """Looks names up and remembers them; what Slack does not tell in time has none for now.

    A name that was told once stays until another is told.

    Args:
        client: Asks Slack.
        clock: The time, in seconds.
    """

    def __init__(self, client: AsyncWebClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._names: LRUCache[str, str] = LRUCache(REMEMBERED)
        self._told: TTLCache[str, None] = TTLCache(REMEMBERED, FRESH, clock)
        self._looking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._refused: TTLCache[str, None] = TTLCache(REMEMBERED, REFUSED, clock)

    async def names(self, ids: Iterable[str], *, at_leisure: bool = False) -> dict[str, str]:
        """What users, bots, channels and user groups are called, by id; nothing for those that Slack does not tell.
        Never raises.

        Args:
            ids: ``"U…"`` or ``"W…"``, ``"B…"``, ``"C…"`` or ``"G…"``, and ``"S…"``, the ones that matter most first.
            at_leisure: Whether nobody waits for an acknowledgement meanwhile.
        """
        ids = list(dict.fromkeys(ids))
        unknown = [each for each in ids if not self._is_known(each)]
        try:
            async with asyncio.timeout(LEISURE if at_leisure else PATIENCE):
                await asyncio.gather(*map(self._look_up, unknown[: ASKED_AT_LEISURE if at_leisure else ASKED_AT_ONCE]))
        except TimeoutError:
            _log.info("Slack is slow to tell names: this message goes on without")
        return self.known(ids)

    def known(self, ids: Iterable[str]) -> dict[str, str]:
        """The names that are remembered, without asking Slack."""
        return {each: name for each in ids if (name := self._names.get(each))}

    def learn(self, each: str, name: str) -> None:
        """Somebody is called so, as they are where they come from: Slack may know no other name of them here."""
        self._names[each] = self._names.get(each) or clean_line(name)

    def _is_known(self, each: str) -> bool:
        """Whether Slack would tell nothing new."""
        asked = _asked_for(each)
        return asked in self._told or asked in self._refused

    async def _look_up(self, each: str) -> None:
        asked = _asked_for(each)
        async with self._looking.setdefault(asked, asyncio.Lock()):
            if not self._is_known(each):  # whoever asked at the same time has heard
                await self._ask(asked)

    async def _ask(self, asked: str) -> None:
        try:
            found = await (self._groups() if asked == GROUPS else self._one(asked))
        except (SlackApiError, ClientError, OSError) as error:
            if not is_passing(error):
                # A missing scope is not asked about again for every message.
                self._refused[asked] = None
            _log.info("Slack does not tell the name of %s: %s", asked, error_code(error))
            return
        self._names.update({each: clean_line(name) for each, name in found.items()})
        self._told[asked] = None

    async def _one(self, each: str) -> dict[str, str]:
        if each[0] in "UW":
            return {each: await self._user(each)}
        return {each: await (self._bot(each) if each[0] == "B" else self._channel(each))}

    async def _user(self, user: str) -> str:
        found = (await self._client.users_info(user=user))["user"] or {}
        profile = found.get("profile") or {}
        shown = profile.get("display_name") or profile.get("real_name")
        return str(shown or found.get("real_name") or found.get("name") or "")

    async def _bot(self, bot: str) -> str:
        found = (await self._client.bots_info(bot=bot))["bot"] or {}
        return str(found.get("name") or "")

    async def _channel(self, channel: str) -> str:
        found = (await self._client.conversations_info(channel=channel))["channel"] or {}
        # A group DM's name is made up from its members' handles, and shown to nobody.
        return "" if found.get("is_mpim") else str(found.get("name") or "")

    async def _groups(self) -> dict[str, str]:
        found = (await self._client.usergroups_list())["usergroups"] or []
        return {str(group.get("id")): str(group.get("handle") or group.get("name") or "") for group in found}


def _asked_for(each: str) -> str:
    """What Slack is asked to tell a name: it tells those of all user groups at once."""
    return GROUPS if each.startswith(GROUPS) else each
