"""What a tool is about to do, and how people read it who decide whether it may."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import regex
from pydantic_core import to_jsonable_python

from dspy_session.redaction import HIDDEN, redact
from dspy_session_chat.markup.cleaning import as_text, clean_line
from dspy_session_chat.markup.graphemes import fitting
from dspy_session_chat.reply import Reply, ReplyFile

LONGEST = 900
"""Characters of a tool's arguments that a question shows, as UTF-16 and with ``LINE``: with who denied it and why, it
is one message of 2,000 characters in Discord."""
LINE = 25
"""Characters that a line counts for at least: many short ones make a long message too."""
LONGEST_FILE = 50_000
"""Characters of arguments in the file that goes with a question which does not show all: some 25 pages."""
LONGEST_NAME = 80
"""Characters of a tool's or an argument's name."""

_SHARES = (800, 600, 400, 300, 200, 100, 50)
"""How much of each argument is shown where all of them are too long, the most that fits."""
_MARGIN = 2_000
"""Characters more than are shown in which secrets are looked for: one that is cut through looks like none."""
_WIDE = 80
"""Characters of a value with parts that stand on one line."""
_FENCE, _QUOTES = "```", "'''"
"""What would end the code block of a question, and what it shows for that."""

# People must see what they allow: a joiner and the look of an emoji are no characters of their own.
_UNSEEN = regex.compile(
    r"[[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]--[\n\t\u200c\u200d\ufe0e\ufe0f]]",
    flags=regex.VERSION1,
)
_NO_FILE_NAME = regex.compile(r"[^A-Za-z0-9._-]+")

Who = Literal["author", "admins", "anyone"]
"""Who may decide: whoever wrote the message (and the bot's admins), the admins alone, or anybody in the conversation
who may talk to the bot."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a tool is about to do.

    Args:
        tool: Its name.
        arguments: What it is called with.
        who: Who may decide.
        seconds: How long they may take.
    """

    tool: str
    arguments: Mapping[str, Any]
    who: Who
    seconds: float

    def identity(self, event_id: str, before: int = 0) -> str:
        """Names the wish among all of a message: the same after a restart, if the agent wants the same again.

        Args:
            event_id: The message.
            before: How often the agent has wanted just this before: each time people are asked anew.
        """
        named = [event_id, self.tool, self.arguments, *([before] if before else [])]
        try:
            values = json.dumps(named, sort_keys=True, default=repr)
        except Exception:  # noqa: BLE001  # of what cannot be told apart, nothing is allowed by what was allowed before
            values = secrets.token_hex()
        return hashlib.sha256(values.encode(errors="backslashreplace")).hexdigest()[:20]

    def question(self) -> Reply:
        """What people are asked; values stand in a code block, where nothing in them is a link.

        Of what is too long for it, a part is shown, and all of it goes along as a file.
        """
        asked = f"**May I use {as_text(self.tool.replace('_', ' '), LONGEST_NAME)}?**"
        called = [_Argument.of(name, value) for name, value in self.arguments.items()]
        if not called:
            return Reply(asked)
        shown, is_whole = _shown(called)
        text = f"{asked}\n{_FENCE}text\n{shown.replace(_FENCE, _QUOTES)}\n{_FENCE}"
        if is_whole and _FENCE not in shown:
            return Reply(text)
        name = f"{_NO_FILE_NAME.sub('_', self.tool)[:LONGEST_NAME] or 'tool'}.txt"
        whole, is_whole = _whole(called)
        said = (
            f"All of it is in `{name}`." if is_whole else f"More of it is in `{name}`, which does not hold all either."
        )
        data = f"{self.tool}\n\n{whole}\n".encode(errors="backslashreplace")
        return Reply(f"{text}\n{said}", files=(ReplyFile(name, "text/plain", data),))


@dataclass(frozen=True, slots=True)
class _Argument:
    """An argument, as people may read it.

    Args:
        name: Its name.
        text: What is in it, or the beginning of that.
        size: How much room the text takes in a message.
        characters: How many all of it has.
        is_whole: Whether the text is all of it.
    """

    name: str
    text: str
    size: int
    characters: int
    is_whole: bool

    @classmethod
    def of(cls, name: str, value: object) -> Self:
        """An argument, without secrets, and with all that a screen would not show written out."""
        said = clean_line(name, LONGEST_NAME)
        if HIDDEN in redact(f"{name}=x"):  # it says of itself that it is a secret
            return cls(said, HIDDEN, _size(HIDDEN), len(HIDDEN), is_whole=True)
        text = _written(value)
        is_whole = len(text) <= LONGEST_FILE
        known = redact(text[: LONGEST_FILE + _MARGIN].replace("\r\n", "\n"))
        visible = _UNSEEN.sub(_escape, known if is_whole else known[:-_MARGIN]) or '""'
        return cls(said, visible, _size(visible), len(text), is_whole)

    def in_message(self, room: int) -> str:
        """The name and the value, of which no more than ``room`` of a message is shown."""
        return self._until(len(self.text) if self.size <= room else fitting(self.text, 0, room, _size))

    def in_file(self, room: int) -> str:
        """The name and the value, of which no more than ``room`` characters are shown."""
        return self._until(room)

    def _until(self, end: int) -> str:
        """The name and the value up to a place in it; one of several lines as such."""
        text = self.text
        if end < len(text) or not self.is_whole:
            text = f"{text[:end]}… [{self.characters:,} characters in all]"
        if "\n" not in text:
            return f"{self.name}: {text}"
        return "\n".join([f"{self.name}:", *(f"  {line}" for line in text.split("\n"))])


def _shown(called: Sequence[_Argument]) -> tuple[str, bool]:
    """As much of the arguments as a question has room for, and whether that is all."""
    whole, is_whole = _whole(called)
    if is_whole and _size(whole) <= LONGEST:
        return whole, True
    for share in _SHARES:
        shown = "\n".join(each.in_message(share) for each in called)
        if _size(shown) <= LONGEST:
            return shown, False
    lines = [each.in_message(_SHARES[-1]) for each in called]
    while _size("\n".join(lines)) > LONGEST - LINE:
        lines.pop()
    return "\n".join([*lines, f"… and {len(called) - len(lines)} more"]), False


def _whole(called: Sequence[_Argument]) -> tuple[str, bool]:
    """The arguments, as far as a file goes, and whether that is all."""
    characters = sum(len(each.name) + len(each.text) for each in called)
    is_whole = characters <= LONGEST_FILE and all(each.is_whole for each in called)
    room = LONGEST_FILE if is_whole else LONGEST_FILE // len(called)
    return "\n".join(each.in_file(room) for each in called), is_whole


def _size(text: str) -> int:
    """How much room text takes in a message."""
    lines = text.split("\n")
    if text.isascii():
        return sum(max(LINE, len(line)) for line in lines)
    return sum(max(LINE, len(line.encode("utf-16-le", "surrogatepass")) // 2) for line in lines)


def _written(value: object) -> str:
    """A value as text: words as they are, what has parts as JSON, all else as it writes itself."""
    for form in (_in_parts, str):
        try:
            return value if isinstance(value, str) else form(value)
        except Exception:  # noqa: BLE001, S112  # whatever a value does there, people are asked
            continue
    return f"<{type(value).__name__}, which cannot be shown>"


def _in_parts(value: object) -> str:
    plain = to_jsonable_python(value, fallback=repr)
    if not isinstance(plain, dict | list):
        return str(value)
    line = json.dumps(plain, ensure_ascii=False)
    return line if len(line) <= _WIDE else json.dumps(plain, ensure_ascii=False, indent=2)


def _escape(found: regex.Match[str]) -> str:
    return found[0].encode("unicode_escape", "surrogatepass").decode("ascii")
