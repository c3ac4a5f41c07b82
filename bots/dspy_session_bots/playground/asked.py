"""What the page asks for, as it comes in."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dspy_session_bots.playground.deeds import LONGEST_TEXT, sound
from dspy_session_bots.playground.refusal import RefusalError
from dspy_session_chat import Author

YOU = Author(id="you", name="You")
"""Who writes when nobody says who."""

MOST_FILES = 10
"""Files that come with one message."""
LONGEST_NAME = 40

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of the page's.

    Args:
        thread: The thread that it is about.
        body: What it holds.
    """

    thread: str
    body: Mapping[str, Any]

    def author(self) -> Author:
        """Who asks.

        Raises:
            RefusalError: They have no id or no name.
        """
        match self.body.get("author"):
            case None:
                return YOU
            case {"id": str(identity), "name": str(name)} if _ID.fullmatch(identity) and 0 < len(name) <= LONGEST_NAME:
                return Author(identity, sound(name))
        raise RefusalError(400, f'say who: {{"id": "ann", "name": "Ann"}}, a name of at most {LONGEST_NAME} characters')

    def message(self) -> str:
        """The message; it may be empty when files come with it.

        Raises:
            RefusalError: There is none, or too much.
        """
        text = self.body.get("text")
        if not isinstance(text, str):
            raise RefusalError(400, 'send a JSON object with the message: {"text": "…"}')
        text = text.strip()
        if not text and not self.body.get("files"):
            raise RefusalError(400, "the message is empty")
        if len(text) > LONGEST_TEXT:
            raise RefusalError(413, f"the message has {len(text):,} characters; at most {LONGEST_TEXT:,} are read")
        return sound(text)

    def files(self) -> Sequence[str]:
        """Ids of the files that come with it.

        Raises:
            RefusalError: They are no ids, or too many.
        """
        files = self.body.get("files", [])
        if not isinstance(files, list) or not all(isinstance(identity, str) for identity in files):
            raise RefusalError(400, 'name the files by their ids: {"files": ["…"]}')
        if len(files) > MOST_FILES:
            raise RefusalError(413, f"{len(files)} files are too many: {MOST_FILES} come with a message at most")
        return files


def asked(thread: str, body: bytes) -> Asked:
    """The request in a body.

    Raises:
        RefusalError: It is no JSON object.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RefusalError(400, 'send a JSON object with the message: {"text": "…"}')
    return Asked(thread, found)
