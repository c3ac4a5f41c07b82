"""What a thread is called: after what the conversation is about, without asking a model."""

from __future__ import annotations

import re

import discord

from dspy_session_discord.outbound.markup import length, shorten

THREAD_NAME_LIMIT = 100
"""Characters in a thread's name; Discord refuses more with error 50035."""

SHORTEST_SENTENCE = 20
"""Characters of the sentences that a name is cut down to, at least: "Hi!" says nothing of what is wanted."""

NAMELESS = "A new thread"

_LOOKED_AT = 4 * THREAD_NAME_LIMIT
"""Characters of a text that are looked at: enough, also where marks of Markdown are many."""

_CODE_BLOCK = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_SENTENCE_ENDS = re.compile(r"[.!?…](?=\s)|[。！？]")  # noqa: RUF001  # full-width ones are meant


def title_of(text: str) -> str:
    """The name of a conversation that begins with ``text``: its first sentences as far as they fit, without Markdown
    and code; empty when nothing is left to be read.

    >>> title_of("**What** is DSPy?")
    'What is DSPy?'
    """
    looked_at = _CODE_BLOCK.sub(" ", text[:_LOOKED_AT])
    line = " ".join(discord.utils.remove_markdown(looked_at).split())
    if length(line) <= THREAD_NAME_LIMIT:
        return shorten(line, THREAD_NAME_LIMIT)
    ends = [end.end() for end in _SENTENCE_ENDS.finditer(line) if length(line[: end.end()]) <= THREAD_NAME_LIMIT]
    return line[: ends[-1]] if ends and ends[-1] >= SHORTEST_SENTENCE else shorten(line, THREAD_NAME_LIMIT)


def name_after(words: str) -> str:
    """``words`` as the name of a thread: what it is called after somebody or something, where nothing was said."""
    return shorten(words, THREAD_NAME_LIMIT) or NAMELESS
