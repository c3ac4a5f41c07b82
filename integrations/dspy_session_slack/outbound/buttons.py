"""Buttons beneath a message: what they are about travels with them, so they work after a restart too."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from dspy_session_chat.ratings import BAD, GOOD
from dspy_session_chat.reply import Button

_log = logging.getLogger(__name__)

ACTION = "dspy-session:button:"
"""How the ids of our buttons begin: a Bolt app that we joined may have others."""

MOST = 25
"""Elements of an actions block."""

LABEL = 75
"""Characters on a button."""

VALUE = 2_000
"""Characters that travel with a button."""

CONTEXT = "context_actions"
"""The block that holds the buttons for feedback."""

_STYLES = {"good": "primary", "danger": "danger"}


def with_feedback(buttons: Sequence[Button]) -> list[dict[str, Any]]:
    """The blocks that hold buttons, those by which an answer is rated in the form that Slack has for them."""
    good, bad = (next((button for button in buttons if button.action == name), None) for name in (GOOD, BAD))
    if good is None or bad is None or not (_fits(good) and _fits(bad)):
        return actions(buttons)
    feedback = {
        "type": "feedback_buttons",
        "action_id": f"{ACTION}feedback",
        "positive_button": _rating(good, "Rate this answer as good"),
        "negative_button": _rating(bad, "Rate this answer as bad"),
    }
    rest = [button for button in buttons if button not in (good, bad)]
    return [*actions(rest), {"type": CONTEXT, "elements": [feedback]}]


def _rating(button: Button, told: str) -> dict[str, Any]:
    element = _element(0, button)
    return {"text": element["text"], "value": element["value"], "accessibility_label": told}


def actions(buttons: Sequence[Button]) -> list[dict[str, Any]]:
    """The block that holds buttons; none without any."""
    elements = [_element(number, button) for number, button in enumerate(buttons[:MOST]) if _fits(button)]
    return [{"type": "actions", "elements": elements}] if elements else []


def button_of(element: Mapping[str, Any]) -> Button | None:
    """The button that an element was made of; None if it is none of ours."""
    name, value = element.get("action_id"), element.get("value")
    if not (isinstance(name, str) and name.startswith(ACTION) and isinstance(value, str)):
        return None
    try:
        action, about, asks, *waits = json.loads(value)
    except (ValueError, TypeError, RecursionError):
        return None
    if not all(isinstance(each, str) for each in (action, about, asks)) or waits not in ([], [True]):
        return None
    text = element.get("text")
    label = text.get("text") if isinstance(text, Mapping) else None
    said = label if isinstance(label, str) else ""
    return Button(action, said, about, asks=asks, counts="when sent" if waits else "at once")


def _element(number: int, button: Button) -> dict[str, Any]:
    element = {
        "type": "button",
        "action_id": f"{ACTION}{number}",
        "text": {"type": "plain_text", "text": button.label[:LABEL], "emoji": True},
        "value": _value(button),
    }
    style = _STYLES.get(button.style)
    return element if style is None else element | {"style": style}


def _value(button: Button) -> str:
    waits = [True] if button.waits else []
    return json.dumps([button.action, button.about, button.asks, *waits], ensure_ascii=False, separators=(",", ":"))


def _fits(button: Button) -> bool:
    if button.label.strip() and len(_value(button)) <= VALUE:
        return True
    _log.warning(
        "The button %r is left out: Slack takes one to %s characters with it, and a label", button.action, VALUE
    )
    return False
