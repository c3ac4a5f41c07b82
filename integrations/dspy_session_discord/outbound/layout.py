"""An answer with all that belongs to it, in Discord's Markdown."""

from __future__ import annotations

import re

from dspy_session_chat.markup.fences import with_closed_code
from dspy_session_chat.markup.overflow import FILE_NAME, within
from dspy_session_chat.reply import Link, Reply, ReplyFile
from dspy_session_discord.outbound.markup import MESSAGE_LIMIT, length, shorten, sound, split

REASONING_LIMIT = 1200
"""Characters of what the agent thought that are shown: a glimpse for the curious, that fits into one message with its
spoiler; all of it is kept with the turn."""

FIELD_LIMIT = 400
"""Characters of a further field's name, of its value, and of a source's title."""

_TICKS = re.compile(r"`+")
_BARS = re.compile(r"\|{2,}")


def laid_out(reply: Reply, most: int) -> tuple[list[str], ReplyFile | None]:
    """The messages that ``reply`` becomes, and the file that holds all of it where those are not enough.

    Beneath the words stand the further fields and the sources, and behind a spoiler what the agent thought.

    Args:
        reply: The answer.
        most: Messages that it may become.
    """
    blocks = (with_closed_code(reply.text), _fields(reply), _sources(reply))
    body = "\n\n".join(block for block in blocks if block.strip())
    delivery = within(split(body), sound(reply.markdown), most=most, limit=MESSAGE_LIMIT, length=length)
    parts = list(delivery.posts)
    file = ReplyFile(FILE_NAME, "text/markdown", delivery.file.encode()) if delivery.file else None
    thought = spoiler(reply.reasoning)
    if thought and parts and length(parts[-1]) + 2 + length(thought) <= MESSAGE_LIMIT:
        parts[-1] += f"\n\n{thought}"
    elif thought and len(parts) < most:
        parts.append(thought)
    return parts, file


def spoiler(text: str) -> str:
    r"""``text`` hidden until it is clicked, within ``REASONING_LIMIT``; nothing when there is none.

    >>> spoiler("first a || b,\nthen `c`")
    "||first a | b, then 'c'||"
    """
    # Bars would end the spoiler, and a code block would swallow its end.
    line = _TICKS.sub("'", _BARS.sub("|", sound(text)))
    line = shorten(line, REASONING_LIMIT).strip("|\\ ")
    return f"||{line}||" if line else ""


def _fields(reply: Reply) -> str:
    # Discord shows no tables.
    return "\n".join(f"**{shorten(name, FIELD_LIMIT)}:** {shorten(value, FIELD_LIMIT)}" for name, value in reply.table)


def _sources(reply: Reply) -> str:
    return "\n".join(_source(number, link) for number, link in enumerate(reply.links, 1))


def _source(number: int, link: Link) -> str:
    title = shorten((link.title or link.url).replace("[", "(").replace("]", ")"), FIELD_LIMIT)
    url = link.url.replace(" ", "%20").replace(">", "%3E")
    return f"{number}. [{title}](<{url}>)" if url else f"{number}. {title}"
