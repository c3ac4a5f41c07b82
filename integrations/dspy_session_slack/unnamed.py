"""What people, channels and groups are called where Slack tells no name: a word and a number, never their id. Pure.

The number is the same for the same id, in every message and after a restart. So an agent that reads of two strangers
knows which of them speaks again; and what was read before a name was known can be made right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

from dspy_session_chat.action import Edit, Event
from dspy_session_chat.inbound import Inbound
from dspy_session_chat.naming import EventT

UNNAMED, _IDS, _VIEWING = "unnamed", "ids", "viewing"
"""What in ``reply_to`` says whose names were not known when a message came."""

SLACKBOT = "USLACKBOT"

_NUMBERS = 10_000, 99_999
"""Two strangers have one number once in 90,000 pairs."""

MOST = 50
"""Names that are asked for later; a message that mentions more is a list."""

_KINDS = {"U": "person", "W": "person", "B": "bot", "C": "channel", "G": "channel", "D": "direct message", "S": "group"}

_LIKE_AN_ID = re.compile(r"(?=\w*[0-9])[A-Z][A-Z0-9]{6,}")


def unnamed(each: str) -> str:
    """What to call somebody or something with an id.

    >>> unnamed("U0ANN") == unnamed("U0ANN") != unnamed("U0BEN")
    True
    >>> unnamed("C0GENERAL").split()[0]
    'channel'
    """
    if each == SLACKBOT:
        return "Slackbot"
    least, most = _NUMBERS
    drawn = int.from_bytes(sha256(each.encode("utf-8", "replace")).digest()[:8], "big")
    return f"{_KINDS.get(each[:1], 'person')} {least + drawn % (most - least + 1)}"


def label_of(label: str) -> str:
    """What Slack says that something is called; empty where that is an id."""
    return "" if _LIKE_AN_ID.fullmatch(label) else label


def marked(event: EventT, ids: Iterable[str], names: Mapping[str, str], viewing: str = "") -> EventT:
    """A message, or a change of one, that says whose names are still to be had.

    Args:
        event: It, with words where names are missing.
        ids: All that it names.
        names: What they are called, as far as that is known.
        viewing: Which channel its author looks at, by id.
    """
    missing = [each for each in ids if each not in names][:MOST]
    if not missing:
        return event
    mark: dict[str, object] = {_IDS: missing} | ({_VIEWING: viewing} if viewing in missing else {})
    return replace(event, reply_to={**event.reply_to, UNNAMED: mark})


def unnamed_in(event: Event) -> Sequence[str]:
    """The ids whose names were not known when something came."""
    mark = event.reply_to.get(UNNAMED)
    ids = mark.get(_IDS) if isinstance(mark, Mapping) else None
    return [each for each in ids if isinstance(each, str) and each] if isinstance(ids, list) else []


def renamed(event: EventT, names: Mapping[str, str]) -> EventT:
    """The same with the names that are known by now.

    Args:
        event: One that was ``marked``; what it says may be another thing since.
        names: What people and channels are called, by id.
    """
    found = {each: names[each] for each in unnamed_in(event) if names.get(each)}
    if not found:
        return event
    words = {unnamed(each): name for each, name in found.items()}

    def put(text: str) -> str:
        return re.sub("|".join(words), lambda word: words[word[0]], text)

    who = replace(event.author, name=found.get(event.author.id) or event.author.name)
    where = event.channel_name or found.get(event.where.channel, "")
    if isinstance(event, Inbound):
        viewing = event.viewing or found.get(str(event.reply_to[UNNAMED].get(_VIEWING)), "")
        return replace(event, author=who, channel_name=where, text=put(event.text), viewing=viewing)
    deed = replace(event.deed, text=put(event.deed.text)) if isinstance(event.deed, Edit) else event.deed
    return replace(event, author=who, channel_name=where, deed=deed)
