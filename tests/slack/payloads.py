"""Events as Slack sends them: the shapes are recorded, the ids are made up."""

from __future__ import annotations

from typing import Any

from dspy_session_slack.inbound.address import BotUser

BOT = BotUser(team_id="T00TEAM", user_id="U00BOT", bot_id="B00BOT", name="helper")


def body(event: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What comes around an event."""
    return {
        "token": "verification",
        "team_id": "T00TEAM",
        "api_app_id": "A00APP",
        "event": event,
        "type": "event_callback",
        "event_id": "Ev0A4QA0FC8P",
        "event_time": 1766458026,
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": "T00TEAM",
                "user_id": "U00BOT",
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": False,
        "event_context": "4-context",
        **more,
    }


def message(text: str = "<@U00BOT> hello", **more: Any) -> dict[str, Any]:
    """A message in a public channel."""
    return {
        "type": "message",
        "user": "U00ANN",
        "ts": "1766458026.240809",
        "client_msg_id": "66cc9473-12a2-4934-bd57-301917883ae3",
        "text": text,
        "team": "T00TEAM",
        "blocks": [{"type": "rich_text", "block_id": "jEztr", "elements": []}],
        "channel": "C00CHAN",
        "event_ts": "1766458026.240809",
        "channel_type": "channel",
        **more,
    }


def mention(text: str = "<@U00BOT> hello", **more: Any) -> dict[str, Any]:
    """The twin of a message that mentions the bot."""
    twin = message(text) | {"type": "app_mention"} | more
    del twin["channel_type"]
    return twin


def reply(text: str = "and then?", **more: Any) -> dict[str, Any]:
    """A reply in a thread."""
    in_thread = {"ts": "1766458031.859009", "thread_ts": "1766458026.240809", "parent_user_id": "U00ANN"}
    return message(text) | in_thread | more


def dm(text: str = "hello", **more: Any) -> dict[str, Any]:
    """A direct message."""
    return message(text) | {"channel": "D00ANN", "channel_type": "im"} | more


OWN = reply(
    "Thanks for asking!",
    user="U00BOT",
    bot_id="B00BOT",
    app_id="A00APP",
    bot_profile={"id": "B00BOT", "deleted": False, "name": "Helper", "app_id": "A00APP", "user_id": "U00BOT"},
)

OTHER_BOT = message("<@U00BOT> build 7 failed", user="U00CI", bot_id="B00CI", app_id="A00CI")

CLASSIC_BOT = {
    "type": "message",
    "subtype": "bot_message",
    "text": "<@U00BOT> disk full",
    "username": "monitor",
    "bot_id": "B00MON",
    "ts": "1766458040.000100",
    "channel": "C00CHAN",
    "channel_type": "channel",
}

SLACKBOT = dm("You have been added to a channel", user="USLACKBOT")

EDIT = {
    "type": "message",
    "subtype": "message_changed",
    "message": message("<@U00BOT> hello again", edited={"user": "U00ANN", "ts": "1766458033.000000"}),
    "previous_message": message(),
    "channel": "C00CHAN",
    "hidden": True,
    "ts": "1766458033.001300",
    "event_ts": "1766458033.001300",
    "channel_type": "channel",
}

DELETION = {
    "type": "message",
    "subtype": "message_deleted",
    "previous_message": message(),
    "channel": "C00CHAN",
    "hidden": True,
    "deleted_ts": "1766458026.240809",
    "ts": "1766458034.001300",
    "channel_type": "channel",
}

JOIN = message("<@U00BEN> has joined the channel", subtype="channel_join", user="U00BEN")

REACTION = {
    "type": "reaction_added",
    "user": "U00ANN",
    "reaction": "thumbsup",
    "item": {"type": "message", "channel": "C00CHAN", "ts": "1766458026.240809"},
    "item_user": "U00BOT",
    "event_ts": "1766458035.000100",
}

FILE = {
    "id": "F00FILE",
    "created": 1766458026,
    "name": "plan.pdf",
    "title": "plan.pdf",
    "mimetype": "application/pdf",
    "filetype": "pdf",
    "user": "U00ANN",
    "size": 48213,
    "mode": "hosted",
    "is_external": False,
    "url_private": "https://files.slack.com/files-pri/T00TEAM-F00FILE/plan.pdf",
    "url_private_download": "https://files.slack.com/files-pri/T00TEAM-F00FILE/download/plan.pdf",
    "file_access": "visible",
}

DELETED_FILE = {"id": "F00GONE", "mode": "tombstone"}
