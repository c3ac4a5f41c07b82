"""Where an installation of the app is found: a workspace, or the organisation that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from dspy_session_chat.action import Event

_ORGANISATION, _ALL_OF_IT = "enterprise", "org_wide"


@dataclass(frozen=True, slots=True)
class Home:
    """A workspace in which the bot talks to people.

    Args:
        team: The workspace, ``"T…"``.
        enterprise: The organisation that it belongs to, ``"E…"``; empty for none.
        org_wide: Whether the app was installed for all workspaces of the organisation at once.
    """

    team: str
    enterprise: str = ""
    org_wide: bool = False

    def __str__(self) -> str:
        return self.team + (f"{'@' if self.org_wide else '/'}{self.enterprise}" if self.enterprise else "")

    @classmethod
    def parse(cls, text: str) -> Self:
        """What ``str`` made of one."""
        team, at, enterprise = text.partition("@")
        if not at:
            team, _, enterprise = text.partition("/")
        return cls(team, enterprise, bool(at))

    @classmethod
    def of(cls, event: Event) -> Self:
        """Where an event came from, and where the answer to it goes."""
        enterprise = event.reply_to.get(_ORGANISATION, "")
        org_wide = event.reply_to.get(_ALL_OF_IT) is True
        return cls(event.key.workspace, enterprise if isinstance(enterprise, str) else "", org_wide)

    @property
    def installation(self) -> Self:
        """Where the app was installed: in the organisation, whichever workspace this is, or in the workspace."""
        return replace(self, team="") if self.org_wide else self

    def marked(self, reply_to: Mapping[str, Any]) -> dict[str, Any]:
        """Where an answer goes, with what ``of`` finds this home by."""
        marks: dict[str, Any] = {_ORGANISATION: self.enterprise} if self.enterprise else {}
        return {**reply_to, **marks, **({_ALL_OF_IT: True} if self.org_wide else {})}


def home_of(body: Mapping[str, Any]) -> Home:
    """Where something that Slack sent is from: an event, a press, the answer to a modal, or a slash command.

    Slack names it in another way in each of them. Of an event in a channel that two workspaces share, the first
    authorization is ours; everything else may be the other side's. Nothing is known of what is not well formed.
    """
    authorizations, view = body.get("authorizations"), _mapping(body.get("view"))
    first = _mapping(authorizations[0]) if isinstance(authorizations, list) and authorizations else {}
    team, event, user = body.get("team"), _mapping(body.get("event")), _mapping(body.get("user"))
    theirs = _mapping(body.get("enterprise")).get("id") or _mapping(team).get("enterprise_id")
    org_wide = str(first.get("is_enterprise_install") or body.get("is_enterprise_install")).lower() == "true"
    organisation = first.get("enterprise_id") if first else _first(body.get("enterprise_id"), theirs)
    found = _first(
        view.get("app_installed_team_id"),
        first.get("team_id"),
        body.get("context_team_id"),
        body.get("team_id"),
        _mapping(team).get("id") or team,
        event.get("team"),
        user.get("team_id"),
    )
    enterprise = _first(organisation)
    return Home(found, enterprise, org_wide=bool(enterprise) and (org_wide or not found))


def _first(*values: object) -> str:
    return next((value for value in values if isinstance(value, str) and value), "")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
