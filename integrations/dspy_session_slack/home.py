"""Where an installation of the app is found: a workspace, or the organisation that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from dspy_session_chat.action import Event

_ORGANISATION = "enterprise"


@dataclass(frozen=True, slots=True)
class Home:
    """A workspace in which the bot talks to people.

    Args:
        team: The workspace, ``"T…"``.
        enterprise: The organisation, ``"E…"``, where the app was installed for all of its workspaces at once; empty
            where it was installed in this one.
    """

    team: str
    enterprise: str = ""

    def __str__(self) -> str:
        return f"{self.team}@{self.enterprise}" if self.enterprise else self.team

    @classmethod
    def parse(cls, text: str) -> Self:
        """What ``str`` made of one."""
        team, _, enterprise = text.partition("@")
        return cls(team, enterprise)

    @classmethod
    def of(cls, event: Event) -> Self:
        """Where an event came from, and where the answer to it goes."""
        enterprise = event.reply_to.get(_ORGANISATION, "")
        return cls(event.key.workspace, enterprise if isinstance(enterprise, str) else "")

    def marked(self, reply_to: Mapping[str, Any]) -> dict[str, Any]:
        """Where an answer goes, with what ``of`` finds this home by."""
        return {**reply_to, _ORGANISATION: self.enterprise} if self.enterprise else dict(reply_to)


def home_of(body: Mapping[str, Any]) -> Home:
    """Where something that Slack sent is from: an event, a press, the answer to a modal, or a slash command.

    Slack names it in another way in each of them. Of an event in a channel that two workspaces share, the first
    authorization is ours; everything else may be the other side's. Nothing is known of what is not well formed.
    """
    authorizations, view = body.get("authorizations"), _mapping(body.get("view"))
    first = _mapping(authorizations[0]) if isinstance(authorizations, list) and authorizations else {}
    team, event, user = body.get("team"), _mapping(body.get("event")), _mapping(body.get("user"))
    org_wide = str(first.get("is_enterprise_install") or body.get("is_enterprise_install")).lower() == "true"
    organisation = _first(
        first.get("enterprise_id"), body.get("enterprise_id"), _mapping(body.get("enterprise")).get("id")
    )
    return Home(
        team=_first(
            view.get("app_installed_team_id"),
            first.get("team_id"),
            body.get("context_team_id"),
            body.get("team_id"),
            _mapping(team).get("id") or team,
            event.get("team"),
            user.get("team_id"),
        ),
        enterprise=organisation if org_wide else "",
    )


def _first(*values: object) -> str:
    return next((value for value in values if isinstance(value, str) and value), "")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
