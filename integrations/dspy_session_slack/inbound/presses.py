"""What people do with buttons: they press them, and answer the question that some of them ask."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeGuard

from dspy_session_chat.action import Action, Press
from dspy_session_chat.inbound import Author
from dspy_session_chat.reply import LONGEST_ANSWER, Button
from dspy_session_slack.inbound.address import BotUser, is_id, is_time
from dspy_session_slack.inbound.translate import moment, place_of
from dspy_session_slack.key import is_dm, message_id
from dspy_session_slack.outbound.buttons import button_of
from dspy_session_slack.unnamed import marked, unnamed

PRESSED, SUBMITTED = "block_actions", "view_submission"

QUESTION = "dspy-session:question"
"""Names our modal, and in it the block and the field with the answer."""

TITLE = 24
"""Characters of a modal's title."""

ASKED = 2_000
"""Characters of a question."""

ANSWER = 3_000
"""Characters of an answer."""


@dataclass(frozen=True, slots=True)
class Pressed:
    """A button that was pressed.

    Args:
        action: What to hand over.
        button: The button.
        place: The message that it is on: its ``channel``, ``ts`` and, in a thread, ``thread_ts``.
        trigger: What a modal may be opened with, within three seconds; empty if Slack gave none.
    """

    action: Action
    button: Button
    place: Mapping[str, str]
    trigger: str


def pressed(body: Mapping[str, Any], bot: BotUser, names: Mapping[str, str]) -> Pressed | None:
    """The button of ours that was pressed; None if it was another.

    Args:
        body: A ``block_actions`` payload.
        bot: Whose button it is.
        names: What people call whoever pressed it and the channel, by id.
    """
    element = _first(body.get("actions"))
    button, place, author = button_of(element), _place(body), _author(body, bot, names)
    at = element.get("action_ts")
    if button is None or place is None or author is None or not is_time(at):
        return None
    trigger = body.get("trigger_id")
    return Pressed(
        action=_action(
            f"press:{message_id(place['channel'], place['ts'])}:{author.id}:{at}",
            moment(at),
            Press(button.action, button.about, message_id=message_id(place["channel"], place["ts"])),
            *(place, author, bot, names),
        ),
        button=button,
        place=place,
        trigger=trigger if isinstance(trigger, str) else "",
    )


def question(press: Pressed) -> dict[str, Any]:
    """The modal that asks what a button asks; what the answer is about travels with it.

    Where the press counts with the answer, it is sent off by the button's own word; Slack has no colours there.
    """
    button = press.button
    label = (button.label or "Question")[:TITLE]
    about = [button.action, button.about, dict(press.place), *([True] if button.waits else [])]
    return {
        "type": "modal",
        "callback_id": QUESTION,
        # It came with the button, in 2,000 characters at most: Slack takes 3,000, as long as none becomes six.
        "private_metadata": json.dumps(about, ensure_ascii=False, separators=(",", ":")),
        "title": _plain(label),
        "submit": _plain(label if button.waits else "Send"),
        "close": _plain("Cancel"),
        "blocks": [
            {
                "type": "input",
                "block_id": QUESTION,
                "optional": True,
                "label": _plain(button.asks[:ASKED]),
                "element": {
                    "type": "plain_text_input",
                    "action_id": QUESTION,
                    "multiline": True,
                    "max_length": LONGEST_ANSWER if button.waits else ANSWER,
                    "focus_on_load": True,
                },
            }
        ],
    }


def is_answer(body: Mapping[str, Any]) -> bool:
    """Whether a ``view_submission`` payload is of a modal of ours."""
    view = body.get("view")
    return isinstance(view, Mapping) and view.get("callback_id") == QUESTION


def answered(body: Mapping[str, Any], bot: BotUser, names: Mapping[str, str], now: datetime) -> Action | None:
    """The press with the answer to what the button asked; None if the field was left empty and the press counted
    without it.

    Args:
        body: A ``view_submission`` payload of a modal of ours.
        bot: Whose modal it is.
        names: What people call whoever answered and the channel, by id.
        now: The time, which Slack does not tell.
    """
    view, author = body["view"], _author(body, bot, names)
    text = _answer(view)
    try:
        name, about, place, *waits = json.loads(view["private_metadata"])
    except (KeyError, ValueError, TypeError, RecursionError):
        return None
    if author is None or not (text.strip() or waits) or not isinstance(place, dict) or not _is_place(place):
        return None
    press = Press(str(name), str(about), text.strip(), message_id(place["channel"], place["ts"]))
    return _action(f"answer:{view.get('id')}:{author.id}", now, press, place, author, bot, names)


def _action(  # noqa: PLR0917  # one value each of what an action is made of
    event_id: str,
    at: datetime,
    press: Press,
    place: Mapping[str, str],
    author: Author,
    bot: BotUser,
    names: Mapping[str, str],
) -> Action:
    key, reply_to = place_of(place, bot)
    action = Action(
        key=key,
        event_id=event_id,
        author=author,
        sent_at=at,
        deed=press,
        channel_name="" if is_dm(place) else names.get(place["channel"], ""),
        reply_to=reply_to,
        direct=is_dm(place),
    )
    return marked(action, [author.id], names)  # Slack tells a handle with it, and people know them by their name


def _place(body: Mapping[str, Any]) -> dict[str, str] | None:
    """The message that a button is on."""
    container, message = (_mapping(body.get(name)) for name in ("container", "message"))
    thread = container.get("thread_ts") or message.get("thread_ts")
    place = {"channel": container.get("channel_id"), "ts": container.get("message_ts")}
    if thread:
        place["thread_ts"] = thread
    return place if _is_place(place) else None


def _is_place(place: Mapping[str, Any]) -> TypeGuard[dict[str, str]]:
    thread = place.get("thread_ts")
    return is_id(place.get("channel")) and is_time(place.get("ts")) and (thread is None or is_time(thread))


def _author(body: Mapping[str, Any], bot: BotUser, names: Mapping[str, str]) -> Author | None:
    user = _mapping(body.get("user"))
    author, handle = user.get("id"), user.get("name") or user.get("username")
    if not is_id(author):
        return None
    told = handle if isinstance(handle, str) else ""
    return Author(author, names.get(author) or told or unnamed(author), workspace=bot.team_id)


def _answer(view: Mapping[str, Any]) -> str:
    values = _mapping(_mapping(view.get("state")).get("values"))
    value = _mapping(_mapping(values.get(QUESTION)).get(QUESTION)).get("value")
    return value if isinstance(value, str) else ""


def _first(things: object) -> Mapping[str, Any]:
    return _mapping(things[0]) if isinstance(things, list) and things else {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": True}
