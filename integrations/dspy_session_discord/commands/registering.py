"""Having Discord list the bot's commands: told only what differs, and nobody else's are touched."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import discord

from dspy_session_discord.commands.listed import LAUNCHES, MOST_SLASH, SLASH, Listed, same
from dspy_session_discord.error_codes import MISSING_ACCESS, TOO_MANY_COMMANDS_TODAY
from dspy_session_discord.refusal import FAILURES, explain

_log = logging.getLogger(__name__)

_MENDS = {
    MISSING_ACCESS: "invite the bot there with the scope applications.commands",
    TOO_MANY_COMMANDS_TODAY: "it takes 200 new commands a day; tomorrow it takes more",
}


async def register(
    client: discord.Client, commands: Sequence[Listed], servers: Collection[int] | None, *, alone: bool
) -> None:
    """Let Discord list ``commands``. What it does not take is logged: people can write them all the same.

    Args:
        client: The client, logged in.
        commands: The commands.
        servers: Ids of the servers where they are listed; everywhere if None.
        alone: Whether all commands of the application are ours: what else is listed is of an earlier version, and is
            taken off the list. Else the others stay as they are.
    """
    slash = [command for command in commands if command.kind == SLASH]
    for command in slash[MOST_SLASH:]:
        _log.warning("Discord lists %s commands at most: /%s has to be written as a message", MOST_SLASH, command.name)
    shown = [command for command in commands if command not in slash[MOST_SLASH:]]
    if servers is None or alone:
        ours = [command.payload(in_one_server=False) for command in shown] if servers is None else []
        await _list(client, ours, None, alone=alone)
    for server in servers or ():
        await _list(client, [command.payload(in_one_server=True) for command in shown], server, alone=alone)


async def _list(client: discord.Client, ours: Sequence[Mapping[str, Any]], server: int | None, *, alone: bool) -> None:
    http, application = client.http, client.application_id
    assert application is not None
    where = "Discord" if server is None else f"the server {server}"
    try:
        if server is None:
            there = await http.get_global_commands(application)
        else:
            there = await http.get_guild_commands(application, server)
        known: dict[tuple[int, str], Any] = {(each.get("type", SLASH), each["name"]): each for each in there}
        changed = [each for each in ours if not _is_there(each, known)]
        wanted = {(each["type"], each["name"]) for each in ours}
        others = [each for each in there if (each.get("type", SLASH), each["name"]) not in wanted]
        surplus = [each["name"] for each in others if alone and each.get("type", SLASH) != LAUNCHES]
        if not changed and not surplus:
            return
        whole: list[Any] = [*ours, *(each for each in others if each.get("type") == LAUNCHES)]
        if alone and server is None:
            await http.bulk_upsert_global_commands(application, whole)
        elif alone and server is not None:
            await http.bulk_upsert_guild_commands(application, server, whole)
        else:
            for each in changed:
                await _upsert(http, application, server, each)
    except FAILURES as error:
        code = error.code if isinstance(error, discord.HTTPException) else 0
        _log.warning("%s does not list the bot's commands: %s", where, _MENDS.get(code) or explain(error))
    else:
        names = ", ".join(each["name"] for each in changed) or "none that is new"
        gone = f"; no longer {', '.join(surplus)}" if surplus else ""
        _log.info("%s lists the bot's commands: %s%s", where, names, gone)


def _is_there(ours: Mapping[str, Any], known: Mapping[tuple[int, str], Any]) -> bool:
    theirs = known.get((ours["type"], ours["name"]))
    return theirs is not None and same(ours, theirs)


async def _upsert(http: Any, application: int, server: int | None, command: Mapping[str, Any]) -> None:
    """Add one command, or change the one of that name."""
    if server is None:
        await http.upsert_global_command(application, dict(command))
    else:
        await http.upsert_guild_command(application, server, dict(command))
