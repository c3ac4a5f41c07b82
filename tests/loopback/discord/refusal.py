"""How Discord refuses."""

from __future__ import annotations

from typing import Any

Payload = dict[str, Any]


class ApiError(Exception):
    """An error as Discord words it."""

    def __init__(self, status: int, code: int, message: str, errors: Payload | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"message": message, "code": code} | ({} if errors is None else {"errors": errors})


UNAUTHORIZED = (401, 0, "401: Unauthorized")
UNKNOWN_CHANNEL = (404, 10003, "Unknown Channel")
UNKNOWN_MESSAGE = (404, 10008, "Unknown Message")
UNKNOWN_WEBHOOK = (404, 10015, "Unknown Webhook")
UNKNOWN_COMMAND = (404, 10063, "Unknown application command")
UNKNOWN_INTERACTION = (404, 10062, "Unknown interaction")
TOO_MANY_COMMANDS = (400, 30032, "Maximum number of application commands reached")
TOO_MANY_NEW_COMMANDS = (400, 30034, "Max number of daily application command creates has been reached (200)")
LAUNCH_STAYS = (400, 50240, "You cannot remove this app's Entry Point command in a bulk update operation.")
TOO_LARGE = (413, 40005, "Request entity too large")
ALREADY_ACKNOWLEDGED = (400, 40060, "Interaction has already been acknowledged.")
MISSING_ACCESS = (403, 50001, "Missing Access")
EMPTY_MESSAGE = (400, 50006, "Cannot send an empty message")
CLOSED_DMS = (403, 50007, "Cannot send messages to this user")
INVALID_TOKEN = (401, 50027, "Invalid Webhook Token")
MISSING_PERMISSIONS = (403, 50013, "Missing Permissions")
THREAD_ARCHIVED = (400, 50083, "Thread is archived")
WRONG_CHANNEL_TYPE = (400, 50024, "Cannot execute action on this channel type")
TAG_NEEDED = (400, 40067, "A tag is required to create a forum post in this channel")
FORUM_CHANNEL = (400, 40058, "Cannot send messages in a forum channel")
THREAD_LOCKED = (400, 160005, "Thread is locked")
NO_REPLY_WITHOUT_HISTORY = (400, 160002, "Cannot reply without permission to read message history")
THREAD_EXISTS = (400, 160004, "A thread has already been created for this message")


def invalid(field: str, code: str, message: str, *within: str) -> ApiError:
    """Error 50035: a field of the body is wrong; ``within`` leads to where it stands."""
    errors: Payload = {field: {"_errors": [{"code": code, "message": message}]}}
    for name in reversed(within):
        errors = {name: errors}
    return ApiError(400, 50035, "Invalid Form Body", errors)
