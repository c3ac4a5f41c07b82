"""What the agent returned, as an answer: each output field in its own form."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import dspy

from dspy_session.errors import ConfigurationError
from dspy_session_chat.fields import SOURCES, THINKING, AgentFields
from dspy_session_chat.markup.cleaning import clean_line
from dspy_session_chat.reply import Button, Link, Reply, ReplyFile

NO_ANSWER = "(The agent had nothing to say.)"
_WORKINGS = frozenset({"trajectory", "history", "final_reasoning", "termination_reason"})
"""Output fields that are nobody's business but the log's."""
MOST_LINKS = 20
MOST_FILES = 10
IN_PLACE = 4_000
"""Characters that are polished at once; more are polished in a thread, so that others go on: 40,000 take 0.4 s (2
cores)."""
LONGEST_CELL = 200
"""Characters of a further field in the table."""

_ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp", "application/pdf": "pdf"}


@dataclass(frozen=True, slots=True)
class Forms:
    """How answers are put together.

    Args:
        fields: The agent's fields.
        polish: Makes of the agent's words what may be posted: links that are what they seem, no more than is allowed.
            In any thread.
        reasoning: Whether what the agent thought goes with them, hidden.
        table: Whether further fields go with them, as a table.
    """

    fields: AgentFields
    polish: Callable[[str], str]
    reasoning: bool = False
    table: bool = False

    def words(self, outputs: Mapping[str, Any]) -> str:
        """What an answer says, without all that goes with it; empty when it is not clear what that is."""
        try:
            return self.fields.text(outputs)
        except ConfigurationError:
            return ""

    async def reply(self, outputs: Mapping[str, Any], turn_id: str = "", buttons: tuple[Button, ...] = ()) -> Reply:
        """The answer that a turn's outputs are."""
        text = self.fields.text(outputs)
        rest = {name: value for name, value in outputs.items() if name != self.fields.reply and value is not None}
        links = tuple(link for name in rest if name in SOURCES for link in _links(rest[name]))[:MOST_LINKS]
        files, images = _files(rest)
        reply = Reply(
            await self._polished(text) or ("" if files or images else NO_ANSWER),
            turn_id,
            links=(*links, *images)[:MOST_LINKS],
            files=files,
            buttons=buttons,
        )
        thoughts = [str(rest[name]) for name in rest if name in THINKING - _WORKINGS]
        if self.reasoning and thoughts:
            reply = replace(reply, reasoning=await self._polished("\n\n".join(thoughts)))
        if self.table:
            reply = replace(reply, table=tuple(_rows(rest, self.fields.reply)))
        return reply

    async def _polished(self, text: str) -> str:
        return self.polish(text) if len(text) <= IN_PLACE else await asyncio.to_thread(self.polish, text)


def _rows(rest: Mapping[str, Any], reply: str | None) -> Iterator[tuple[str, str]]:
    for name, value in rest.items():
        said = reply is None and isinstance(value, str)  # one of them was the answer itself
        if name in SOURCES | THINKING | _WORKINGS or said or _holds_files(value):
            continue
        yield name.replace("_", " "), clean_line(str(value), LONGEST_CELL)


# --- sources ----------------------------------------------------------------------------------------------------------


def _links(value: Any) -> Iterator[Link]:
    """The sources in a field: a text with one a line, a list of texts, of mappings or of models with a URL and a title.

    DSPy's ``Citations`` is a model with a list of such in it.
    """
    if isinstance(value, str):
        yield from (link for line in value.splitlines() if (link := _link(line, "")) is not None)
    elif isinstance(value, Mapping):
        link = _link(*(_first(value, names) for names in (("url", "uri", "link", "href"), ("title", "name", "source"))))
        if link is not None:
            yield link
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _links(each)
    elif hasattr(value, "model_dump"):
        dumped = value.model_dump()
        within = next((part for part in dumped.values() if isinstance(part, list)), None)
        yield from _links(dumped if within is None else within)


def _first(value: Mapping[Any, Any], names: tuple[str, ...]) -> str:
    return next((str(value[name]) for name in names if value.get(name)), "")


def _link(address: str, title: str) -> Link | None:
    address, title = clean_line(address.strip(" \t-*"), 2000), clean_line(title)
    if _is_web(address):
        return Link(address, title)
    named = title or clean_line(address)
    return Link("", named) if named else None


def _is_web(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.username or parts.password)


# --- files ------------------------------------------------------------------------------------------------------------


def _files(rest: Mapping[str, Any]) -> tuple[tuple[ReplyFile, ...], tuple[Link, ...]]:
    """Pictures and files that were returned: those that are at hand, and links to those that are not."""
    files: list[ReplyFile] = []
    links: list[Link] = []
    for name, value in rest.items():
        for each in value if isinstance(value, list | tuple) else (value,):
            if isinstance(each, dspy.Image):
                _take(each.url, name, "image/png", files, links)
            elif isinstance(each, dspy.File) and each.file_data:
                _take(each.file_data, each.filename or name, "application/octet-stream", files, links)
    return tuple(files[:MOST_FILES]), tuple(links)


def _holds_files(value: Any) -> bool:
    parts = value if isinstance(value, list | tuple) else (value,)
    return any(isinstance(part, dspy.Image | dspy.File | dspy.Audio) for part in parts)


def _take(address: str, name: str, kind: str, files: list[ReplyFile], links: list[Link]) -> None:
    head, comma, data = address.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        kind = head[len("data:") : -len(";base64")].split(";")[0] or kind
        try:
            content = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            return
        number = len(files) + 1
        file_name = (
            name if "." in name else f"{name if number == 1 else f'{name}-{number}'}.{_ENDINGS.get(kind, 'bin')}"
        )
        files.append(ReplyFile(clean_line(file_name, 100), kind, content))
    elif _is_web(address):
        links.append(Link(address, clean_line(name)))
