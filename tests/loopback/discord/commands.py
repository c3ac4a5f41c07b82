"""The lists of an application's commands, everywhere and in single servers, as Discord keeps and checks them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tests.loopback.discord.refusal import (
    LAUNCH_STAYS,
    TOO_MANY_COMMANDS,
    TOO_MANY_NEW_COMMANDS,
    UNKNOWN_COMMAND,
    ApiError,
    invalid,
)

Payload = dict[str, Any]

SLASH, ON_USER, ON_MESSAGE, LAUNCH = 1, 2, 3, 4
STRING, ATTACHMENT = 3, 11
LEAST_OPTION, MOST_OPTION = 1, 11

MAX_SLASH, MAX_MENU = 100, 5
MAX_NEW_A_DAY = 200
_NAME = re.compile(r"^[-_'\w]{1,32}$")
_KEPT = (
    *("type", "name", "name_localizations", "description", "description_localizations", "nsfw"),
    *("default_member_permissions", "integration_types", "contexts", "options", "dm_permission"),
)


class CommandLists:
    """What people are offered.

    Args:
        application: Id of the application.
        number: Makes ids.
    """

    def __init__(self, application: int, number: Callable[[], int]) -> None:
        self._application = application
        self._number = number
        self._lists: dict[int | None, dict[int, Payload]] = {}
        self.new = 0
        """Commands that were made so far; Discord takes 200 a day."""

    def all(self, guild: int | None = None) -> list[Payload]:
        """The commands of one server, or those that are everywhere."""
        return list(self._lists.get(guild, {}).values())

    def find(self, name: str, guild: int | None, kind: int = SLASH) -> Payload:
        """The command of that name that people are offered in a server; in a DM if None."""
        for where in dict.fromkeys((guild, None)):
            for command in self.all(where):
                if (command["name"], command["type"]) == (name, kind):
                    assert where is not None or self._is_offered(command, guild), f"/{name} is not offered here"
                    return command
        raise AssertionError(f"Discord offers no command {name!r}")

    def get(self, guild: int | None, number: int) -> Payload:
        found = self._lists.get(guild, {}).get(number)
        if found is None:
            raise ApiError(*UNKNOWN_COMMAND)
        return found

    def put(self, guild: int | None, bodies: list[Payload]) -> list[Payload]:
        """Let the list be just this."""
        for place, body in enumerate(bodies):
            _check(body, guild, str(place))
        kept = [body["name"] for body in bodies]
        if any(one["type"] == LAUNCH and one["name"] not in kept for one in self.all(guild)):
            raise ApiError(*LAUNCH_STAYS)
        before, self._lists[guild] = self.all(guild), {}
        for body in bodies:
            self._take(guild, body, before)
        return self.all(guild)

    def upsert(self, guild: int | None, body: Payload) -> Payload:
        """Add a command, or let the one of that name be this."""
        _check(body, guild)
        return self._take(guild, body, self.all(guild))

    def change(self, guild: int | None, number: int, body: Payload) -> Payload:
        command = {**self.get(guild, number), **body}
        _check(command, guild)
        return self._take(guild, command, [self.get(guild, number)])

    def delete(self, guild: int | None, number: int) -> None:
        del self._lists[guild][int(self.get(guild, number)["id"])]

    def _take(self, guild: int | None, body: Payload, known: list[Payload]) -> Payload:
        kind = body.get("type", SLASH)
        same = [one for one in known if (one["name"], one["type"]) == (body["name"], kind)]
        if not same:
            self.new += 1
            if self.new > MAX_NEW_A_DAY:
                raise ApiError(*TOO_MANY_NEW_COMMANDS)
            most = MAX_SLASH if kind == SLASH else MAX_MENU
            if sum(one["type"] == kind for one in self.all(guild)) >= most:
                raise ApiError(*TOO_MANY_COMMANDS)
        number = int(same[0]["id"]) if same else self._number()
        command = {
            "id": str(number),
            "application_id": str(self._application),
            "version": str(self._number()),
            "default_member_permissions": None,
            "type": kind,
            "name": body["name"],
            "name_localizations": None,
            "description": body.get("description", ""),
            "description_localizations": None,
            "dm_permission": True,
            "contexts": None,
            "integration_types": [0],
            "nsfw": False,
            **{name: body[name] for name in _KEPT if body.get(name) is not None},
        }
        if guild is not None:
            command["guild_id"] = str(guild)
        if command["default_member_permissions"] is not None:
            command["default_member_permissions"] = str(command["default_member_permissions"])
        # What goes without saying is left out.
        options = [{name: value for name, value in option.items() if value} for option in command.pop("options", ())]
        if options:
            command["options"] = options
        self._lists.setdefault(guild, {})[number] = command
        return command

    def _is_offered(self, command: Payload, guild: int | None) -> bool:
        return command["contexts"] is None or (1 if guild is None else 0) in command["contexts"]


def _check(body: Payload, guild: int | None, *within: str) -> None:
    kind, name, description = body.get("type", SLASH), body.get("name") or "", body.get("description") or ""
    if not 1 <= len(name) <= 32:
        raise invalid("name", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 32 in length.", *within)
    if kind == SLASH:
        _check_name(name, "name", *within)
        if not 1 <= len(description) <= 100:
            raise invalid("description", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.", *within)
    elif kind != LAUNCH and (description or body.get("options")):
        raise invalid("description", "APPLICATION_COMMAND_CONTEXT_MENU_DESCRIPTION", "Not allowed here.", *within)
    options = body.get("options") or []
    if len(options) > 25:
        raise invalid("options", "BASE_TYPE_BAD_LENGTH", "Must be 25 or fewer in length.", *within)
    for place, option in enumerate(options):
        _check_option(option, *within, "options", str(place))
    if guild is not None and any(body.get(each) is not None for each in ("contexts", "integration_types")):
        raise invalid("contexts", "APPLICATION_COMMAND_GUILD_CONTEXTS", "Not allowed for guild commands.", *within)


def _check_option(option: Payload, *within: str) -> None:
    _check_name(option.get("name") or "", "name", *within)
    if not 1 <= len(option.get("description") or "") <= 100:
        raise invalid("description", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.", *within)
    if not LEAST_OPTION <= option.get("type", 0) <= MOST_OPTION:
        raise invalid("type", "BASE_TYPE_CHOICES", "Value must be one of the option types.", *within)
    if "max_length" in option and (option["type"] != STRING or not 1 <= option["max_length"] <= 6000):
        raise invalid("max_length", "NUMBER_TYPE_MAX", "int value should be between 1 and 6000.", *within)


def _check_name(name: str, field: str, *within: str) -> None:
    if not _NAME.fullmatch(name) or name != name.lower():
        raise invalid(field, "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid", *within)
