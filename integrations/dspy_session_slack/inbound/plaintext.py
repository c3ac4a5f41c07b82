"""What a person wrote, from Slack's markup to plain text: entities, mentions and links as one reads them aloud.

People cannot type ``<``: Slack sends theirs as ``&lt;``, so whatever stands between ``<`` and ``>`` is Slack's own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from dspy_session_slack.unnamed import label_of, unnamed

_MARKUP = re.compile(r"<([^<>]*)>")
_USER = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^<>]*)?>")
_UNTOLD = re.compile(r"<(?:#(?P<channel>[CG][A-Z0-9]+)|!subteam\^(?P<group>S[A-Z0-9]+))\|?>")
_GROUP = re.compile(r"<!(?:subteam\^|here|channel|everyone)[^<>]*>")


def mentions(text: str) -> list[str]:
    """The ids of the users that ``text`` mentions, in order, each once."""
    return list(dict.fromkeys(_USER.findall(text)))


def untold(text: str) -> list[str]:
    """The ids of the channels and user groups in ``text`` whose names Slack does not tell there, in order, each once.

    >>> untold("<#C1|general> <#C2> <!subteam^S1> <!subteam^S2|@ops> <#C2|>")
    ['C2', 'S1']
    """
    return list(dict.fromkeys(found["channel"] or found["group"] for found in _UNTOLD.finditer(text)))


def addresses(text: str) -> bool:
    """Whether ``text`` mentions anybody: a user, a user group, or everyone."""
    return bool(_USER.search(text) or _GROUP.search(text))


def without_address(text: str, user_id: str) -> str:
    """``text`` without the mention of ``user_id`` that it begins or ends with; one amid a sentence is part of it.

    >>> without_address("<@U1>, hello", "U1")
    'hello'
    >>> without_address("are you there, <@U1>?", "U1")
    'are you there?'
    """
    mention = rf"<@{re.escape(user_id)}(?:\|[^<>]*)?>"
    text = re.sub(rf"\A\s*(?:{mention}[\s,:]*)+", "", text)
    return re.sub(rf"[\s,]*{mention}\s*([.?!]*)\s*\Z", r"\1", text)


def plain_text(text: str, names: Mapping[str, str]) -> str:
    """``text`` with Slack's markup read out; no id that stands in it is shown.

    Args:
        text: A message's text as an event carries it.
        names: What people call the users and channels whose ids may come up.

    >>> plain_text("<@U1> wrote &lt;b&gt; in <#C1|general>", {"U1": "Ann"})
    '@Ann wrote <b> in #general'
    """
    text = _MARKUP.sub(lambda found: _read_out(found[1], names), text)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _read_out(markup: str, names: Mapping[str, str]) -> str:
    target, _, label = markup.partition("|")
    sign, each = target[:1], target[1:]
    if sign in ("@", "#"):
        return f"{sign}{names.get(each) or label_of(label).removeprefix(sign) or unnamed(each)}"
    if sign == "!":
        return _read_special(each, label, names)
    address = target.removeprefix("mailto:")
    # Slack makes a link of every address that is typed: "example.com" arrives as <http://example.com|example.com>.
    if not label or label in (target, address, re.sub(r"\Ahttps?://", "", target)):
        return label or target
    return f"[{label}]({target})"


def _read_special(target: str, label: str, names: Mapping[str, str]) -> str:
    kind, _, rest = target.partition("^")
    label = label_of(label)
    if kind == "date":
        return label or _moment(rest.partition("^")[0])
    if kind == "subteam":
        return f"@{names.get(rest) or label.removeprefix('@') or unnamed(rest)}"
    return f"@{label.removeprefix('@') or label_of(kind) or unnamed(kind)}"


def _moment(seconds: str) -> str:
    """A time for which there are no other words."""
    try:
        return f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return "some time"
