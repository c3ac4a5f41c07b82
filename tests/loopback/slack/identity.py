"""``auth.test``, ``apps.connections.open``, ``bots.info``, ``users.info``, ``usergroups.list``: who is who."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.loopback.slack.calls import Call, Refused, method
from tests.loopback.slack.workspace import APP_ID

if TYPE_CHECKING:
    from tests.loopback.slack.server import FakeSlack


@method("auth.test")
async def auth_test(slack: FakeSlack, call: Call) -> dict[str, Any]:
    return {
        "url": "https://loopback.slack.com/",
        "team": "Loopback",
        "user": slack.bot.name,
        "team_id": slack.team.enterprise if slack.team.org_wide else slack.team.id,
        "user_id": slack.bot.id,
        "bot_id": slack.bot.bot_id,
        "is_enterprise_install": slack.team.org_wide,
    }


@method("apps.connections.open", "connections:write", token="app")
async def connections_open(slack: FakeSlack, call: Call) -> dict[str, Any]:
    return {"url": f"ws://{slack.address}/link/?ticket={slack.sockets.ticket()}"}


@method("bots.info", "users:read")
async def bots_info(slack: FakeSlack, call: Call) -> dict[str, Any]:
    bot = next((user for user in slack.workspace.users.values() if user.bot_id == call["bot"]), None)
    if bot is None:
        raise Refused("bot_not_found")
    app_id = APP_ID if bot.id == "U0BOT" else "A0OTHER"
    return {"bot": {"id": bot.bot_id, "user_id": bot.id, "app_id": app_id, "name": bot.name, "deleted": False}}


@method("usergroups.list", "usergroups:read")
async def usergroups_list(slack: FakeSlack, call: Call) -> dict[str, Any]:
    groups = slack.workspace.groups.items()
    return {"usergroups": [{"id": group, "handle": handle, "name": handle.title()} for group, handle in groups]}


@method("users.info", "users:read")
async def users_info(slack: FakeSlack, call: Call) -> dict[str, Any]:
    user = slack.workspace.users.get(call["user"])
    if user is None:
        raise Refused("user_not_found")
    return {"user": user.profile}
