"""What stands beneath an answer's words: sources, a table, thoughts, files and buttons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from dspy_session_bots.playground.markdown import leads_out, to_html
from dspy_session_chat import Button, Link, Reply, ReplyFile
from dspy_session_chat.answering import RETRY
from dspy_session_chat.beside import STOP
from dspy_session_chat.ratings import Ratings

Keep = Callable[[ReplyFile], dict[str, Any]]
"""Puts a file where the page can fetch it, and says what the page needs to know of it."""


def beneath(reply: Reply, keep: Keep) -> dict[str, Any]:
    """What ``reply`` has besides words, as JSON values; what it has not is left out."""
    found = {
        "links": [_link(link) for link in reply.links],
        "table": [list(row) for row in reply.table],
        "reasoning": to_html(reply.reasoning) if reply.reasoning else "",
        "files": [keep(file) for file in reply.files],
        "private": reply.private,
        "buttons": _shown(reply.buttons),
    }
    return {name: value for name, value in found.items() if value}


def under_turn(turn_id: str) -> dict[str, Any]:
    """What stands beneath an answer out of the store, of which only the turn is known."""
    return {"buttons": _shown((Button(RETRY, "Retry", turn_id), *Ratings().buttons(turn_id)))}


def under_message(buttons: Sequence[Button]) -> dict[str, Any]:
    """What stands beneath a message that has nothing but words and buttons."""
    return {"buttons": _shown(buttons)} if buttons else {}


def while_working(event_id: str) -> dict[str, Any]:
    """What stands beneath an answer that grows."""
    return {"buttons": _shown((Button(STOP, "Stop", event_id, "danger"),))}


def _shown(buttons: Sequence[Button]) -> list[dict[str, Any]]:
    return [asdict(button) for button in buttons]


def _link(link: Link) -> dict[str, str]:
    return {"url": link.url if leads_out(link.url) else "", "title": link.title or link.url}
