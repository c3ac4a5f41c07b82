"""Markdown that Slack renders itself, in which nothing notifies anybody. Pure.

What we write in Slack's own markup is escaped; in Markdown there is nothing to escape by that code would not show. So
what Slack would take for a mention is read out, as people would say it, and set apart by a character that nobody sees.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

ZERO_WIDTH_SPACE = "\u200b"

_MENTION = re.compile(
    r"<(?:(?P<kind>[@#])(?P<id>[A-Z][A-Z0-9]{1,30})|!(?P<all>here|channel|everyone|group|subteam|date)(?:\^[^<>|]*)?)"
    r"(?:\|(?P<label>[^<>]*))?>"
)
_HALF = re.compile(r"<(?=[@#][A-Z][A-Z0-9]|!(?:here|channel|everyone|group|subteam|date)\b)")
_PLAIN = re.compile(r"(?<!\w)@(?=(?:here|channel|everyone|group)\b)", re.IGNORECASE)

_NOBODY = {"@": "somebody", "#": "channel"}


def harmless(markdown: str, names: Mapping[str, str] | None = None) -> str:
    """``markdown`` that mentions nobody. Doing it again changes nothing.

    Args:
        markdown: What is to be posted.
        names: What people call users and channels, by id; an id without a name is not shown either.

    >>> harmless("<@U1> and <@U2>, <!channel>!", {"U1": "Ann"}).replace(ZERO_WIDTH_SPACE, "_")
    '@Ann and @somebody, @_channel!'
    """
    text = read_out(markdown, names or {})
    return _PLAIN.sub(f"@{ZERO_WIDTH_SPACE}", _HALF.sub(f"<{ZERO_WIDTH_SPACE}", text))


def read_out(text: str, names: Mapping[str, str]) -> str:
    """``text`` with what would mention somebody as people say it; all else stays as it is.

    >>> read_out("<@U1|ann> in <#C1> <3", {"C1": "general"})
    '@ann in #general <3'
    """
    return _MENTION.sub(lambda found: _spoken(found, names), text)


def ids_in(markdown: str) -> list[str]:
    """The users and channels that ``markdown`` would mention."""
    return [found["id"] for found in _MENTION.finditer(markdown) if found["id"]]


def _spoken(found: re.Match[str], names: Mapping[str, str]) -> str:
    kind, label = found["kind"], (found["label"] or "").lstrip("@#")
    if kind:
        return f"{kind}{label or names.get(found['id']) or _NOBODY[kind]}"
    if found["all"] == "date":
        return label
    return f"@{label or ('group' if found['all'] == 'subteam' else found['all'])}"
