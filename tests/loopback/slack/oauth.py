"""Installing an app: the page where somebody says yes, and the tokens that an app gets for it, exchanges and loses."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from aiohttp import web

from tests.loopback.slack.calls import Call, Refused, method
from tests.loopback.slack.workspace import APP_ID

if TYPE_CHECKING:
    from tests.loopback.slack.server import FakeSlack

CLIENT_ID = "111.222"
CLIENT_SECRET = "loopback-client-secret"
LIFE = 43_200
"""Seconds that a token is good for which is exchanged: twelve hours."""


@dataclass
class Installs:
    """What the app was given, and what it may be given.

    Args:
        installing: The workspace where people say yes next.
        rotates: Whether tokens are only good for a while.
        life: For how long, in seconds, as Slack says.
        given: The workspaces that tokens belong to.
        void: Why a token is not good any more.
        scopes: What was asked for last.
    """

    installing: FakeSlack
    rotates: bool = False
    life: int = LIFE
    given: dict[str, FakeSlack] = field(default_factory=dict)
    void: dict[str, str] = field(default_factory=dict)
    scopes: str = ""
    _codes: dict[str, tuple[FakeSlack, str]] = field(default_factory=dict)
    _refreshing: dict[str, str] = field(default_factory=dict)
    _used: set[str] = field(default_factory=set)
    _numbers: Any = field(default_factory=lambda: count(1))

    async def authorize(self, request: web.Request) -> web.Response:
        """The page: whoever comes says yes, and is sent back."""
        if request.query.get("client_id") != CLIENT_ID or not request.query.get("scope"):
            return web.Response(status=400, text="invalid_client_id")
        self.scopes = request.query["scope"]
        code, back = f"code-{next(self._numbers)}", request.query.get("redirect_uri", "")
        self._codes[code] = (self.installing, back)
        query = urlencode({"code": code, "state": request.query.get("state", "")})
        return web.Response(
            status=302, headers={"Location": f"{back or 'https://bot.example/slack/oauth_redirect'}?{query}"}
        )

    def access(self, call: Call) -> dict[str, Any]:
        """A token for a code, or for a token that expires."""
        if (call.get("client_id"), call.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            raise Refused("bad_client_secret" if call.get("client_id") == CLIENT_ID else "invalid_client_id")
        if call.get("grant_type") == "refresh_token":
            return self._exchange(call["refresh_token"])
        code = call["code"]
        if code in self._used:
            raise Refused("code_already_used")
        if code not in self._codes:
            raise Refused("invalid_code")
        slack, back = self._codes.pop(code)
        self._used.add(code)
        if call.get("redirect_uri") != back:
            raise Refused("bad_redirect_uri")
        return self._gift(slack)

    def revoke(self, slack: FakeSlack, why: str = "token_revoked") -> None:
        """No token of a workspace is good any more."""
        self.void |= {token: why for token, theirs in self.given.items() if theirs is slack}

    def latest(self, slack: FakeSlack) -> str:
        """The token that a workspace gave last."""
        return [token for token, theirs in self.given.items() if theirs is slack][-1]

    def _exchange(self, refresh: str) -> dict[str, Any]:
        token = self._refreshing.pop(refresh, None)
        if token is None or token in self.void:
            raise Refused("invalid_refresh_token")
        self.void[token] = "token_expired"
        return self._gift(self.given[token])

    def _gift(self, slack: FakeSlack) -> dict[str, Any]:
        number, team = next(self._numbers), slack.team
        token = f"{'xoxe.' if self.rotates else ''}xoxb-{team.id}-{number}"
        self.given[token] = slack
        life: dict[str, Any] = {}
        if self.rotates:
            refresh = f"xoxe-1-{team.id}-{number}"
            self._refreshing[refresh] = token
            life = {"refresh_token": refresh, "expires_in": self.life}
        return {
            "app_id": APP_ID,
            "authed_user": {"id": "U0ANN"},
            "scope": self.scopes,
            "token_type": "bot",
            "access_token": token,
            "bot_user_id": slack.bot.id,
            "team": None if team.org_wide else {"id": team.id, "name": f"The team {team.id}"},
            "enterprise": {"id": team.enterprise, "name": "The org"} if team.enterprise else None,
            "is_enterprise_install": team.org_wide,
            **life,
        }


@method("oauth.v2.access", token="none")
async def access(slack: FakeSlack, call: Call) -> dict[str, Any]:
    return slack.installs.access(call)
