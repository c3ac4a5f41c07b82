"""Markdown that Slack renders itself, in which nothing notifies anybody and no id is shown. Pure.

What we write in Slack's own markup is escaped; in Markdown there is nothing to escape by that code would not show. So
what Slack would take for a mention is read out, as people would say it, and set apart by a character that nobody sees.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from dspy_session_slack.unnamed import label_of, unnamed

ZERO_WIDTH_SPACE = "\u200b"

_MENTION = re.compile(
    r"<(?:(?P<kind>[@#])(?P<id>[A-Z][A-Z0-9]{1,30})"
    r"|!(?P<all>here|channel|everyone|group|subteam|date)(?:\^(?P<of>[^<>|]*))?)(?:\|(?P<label>[^<>]*))?>"
)
_HALF = re.compile(r"<(?=[@#][A-Z][A-Z0-9]|!(?:here|channel|everyone|group|subteam|date)\b)")
_PLAIN = re.compile(r"(?<!\w)@(?=(?:here|channel|everyone|group)\b)", re.IGNORECASE)

_ID = r"(?<![\w@#-])(?P<sign>[@#]?)(?P<id>[UWBCG][A-Z0-9]{2,20})(?![\w-])"
_BARE = re.compile(_ID)
_ANYWHERE = re.compile(
    # What is in an address stays as it is, or it would lead elsewhere.
    r"(?P<address>https?://[^\s<>]+|(?<![\w.-])[\w-]+(?:\.[\w-]+)+/[^\s<>]+|slack:\S+)"
    r"|(?P<code>```.*?(?:```|\Z)|`[^`\n]*`)|" + _ID,
    re.DOTALL,
)
_PERSON = re.compile(r"[UW]0[A-Z0-9]{6,9}")
"""What is a person's id beyond doubt, also where nobody knows them; channels' look like the numbers of parts."""

_NO_MARKUP = str.maketrans("[]<>`", "()()'")


def harmless(markdown: str, names: Mapping[str, str] | None = None) -> str:
    """``markdown`` that mentions nobody and shows no id. Doing it again changes nothing.

    In code, only the ids of those whose names are known are ids: another may be an example.

    Args:
        markdown: What is to be posted.
        names: What people call users and channels, by id.

    >>> harmless("<@U0A> (U0A) in <#C1>, <!channel>!", {"U0A": "Ann", "C1": "shop"}).replace(ZERO_WIDTH_SPACE, "_")
    '@Ann (Ann) in #shop, @_channel!'
    """
    names = {each: _said(name) for each, name in (names or {}).items()}
    text = _ANYWHERE.sub(lambda found: _anywhere(found, names), read_out(markdown, names))
    return _PLAIN.sub(f"@{ZERO_WIDTH_SPACE}", _HALF.sub(f"<{ZERO_WIDTH_SPACE}", text))


def read_out(text: str, names: Mapping[str, str]) -> str:
    """``text`` with what would mention somebody as people say it; all else stays as it is.

    >>> read_out("<@U1|ann> in <#C1> <3", {"C1": "general"})
    '@ann in #general <3'
    """
    return _MENTION.sub(lambda found: _spoken(found, names), text)


def ids_in(markdown: str) -> list[str]:
    """The ids in ``markdown`` that are ids beyond doubt."""
    marked = (found["id"] or (found["all"] == "subteam" and found["of"]) for found in _MENTION.finditer(markdown))
    bare = (found["id"] for found in _ANYWHERE.finditer(markdown) if found["id"] and _PERSON.fullmatch(found["id"]))
    return list(dict.fromkeys([*filter(None, marked), *bare]))


def like_ids(markdown: str) -> list[str]:
    """All that may be an id in ``markdown``: it is one if somebody has it."""
    return list(dict.fromkeys([*ids_in(markdown), *(found["id"] for found in _BARE.finditer(markdown))]))


def _said(name: str) -> str:
    """A name in Markdown. People choose theirs, and nobody looks any more whether links lead where they say."""
    return name.translate(_NO_MARKUP).replace("://", ": //")


def _spoken(found: re.Match[str], names: Mapping[str, str]) -> str:
    kind, label = found["kind"], label_of((found["label"] or "").lstrip("@#"))
    if kind:
        return f"{kind}{names.get(found['id']) or label or unnamed(found['id'])}"
    if found["all"] == "date":
        return label
    if found["all"] == "subteam":
        return f"@{names.get(found['of']) or label or unnamed(found['of'] or 'S')}"
    return f"@{label or found['all']}"


def _anywhere(found: re.Match[str], names: Mapping[str, str]) -> str:
    if found["code"]:
        return _BARE.sub(lambda each: _named(each, names), found["code"])
    if found["address"]:
        return found[0]
    is_person = found["id"] not in names and _PERSON.fullmatch(found["id"])
    return f"{found['sign']}{unnamed(found['id'])}" if is_person else _named(found, names)


def _named(found: re.Match[str], names: Mapping[str, str]) -> str:
    name = names.get(found["id"])
    if not name:
        return found[0]
    sign = found["sign"] or ("#" if found["id"][0] in "CG" else "")
    return sign + name
