"""The beginning of an output field in the beginning of a reply: that of what ``parse`` will make of the whole. Pure."""

from __future__ import annotations

import json
import re
from html import unescape

from pydantic_core import from_json

Reading = tuple[str, bool]
"""As much of the field as is certain, and whether that is all of it."""

_HEADER = re.compile(r"^[ \t]*\[\[ ## \w+ ## \]\]", re.MULTILINE)
_PART_OF_A_HEADER = re.compile(r"\s*(\[(\[( (#(#( (\w*( (#(#( (\](\])?)?)?)?)?)?)?)?)?)?)?)?)?")
_ENTITY = re.compile(r"&(?:lt|gt|amp|quot|apos|#\d+|#x[\da-fA-F]+);")
_PART_OF_AN_ENTITY = re.compile(r"&[#\w]{0,9}$")


def in_sections(reply: str, field: str) -> Reading:
    """The field in a reply to ``ChatAdapter``: from its header to the next line that is a header."""
    start = re.search(rf"^[ \t]*\[\[ ## {field} ## \]\]", reply, re.MULTILINE)
    if start is None:
        return "", False
    rest = reply[start.end() :]
    end = _HEADER.search(rest)
    if end is not None:
        return rest[: end.start()].strip(), True
    before, newline, line = rest.rpartition("\n")
    return (before if newline and _PART_OF_A_HEADER.fullmatch(line) else rest).strip(), False


def in_json(reply: str, field: str) -> Reading:
    """The field in a reply to ``JSONAdapter``; one that is no text only once it is there as a whole."""
    start = reply.find("{")
    if start < 0:
        return "", False
    try:
        found, whole = from_json(reply[start:]), True
    except ValueError:
        found, whole = _begun(reply[start:]), False
    if not isinstance(found, dict) or field not in found:
        return "", False
    value, ended = found[field], whole or list(found)[-1] != field
    if isinstance(value, str):
        return value, ended
    return (json.dumps(value, ensure_ascii=False), True) if ended else ("", False)


def _begun(text: str) -> object:
    try:
        return from_json(text, allow_partial="trailing-strings")
    except ValueError:
        return None


def in_tags(reply: str, field: str) -> Reading:
    """The field in a reply to ``XMLAdapter``: between its tags."""
    _, tag, rest = reply.partition(f"<{field}>")
    if not tag:
        return "", False
    value, end, _ = rest.partition(f"</{field}>")
    if not end:
        last = value.rfind("<")
        if last >= 0 and f"</{field}>".startswith(value[last:]):
            value = value[:last]
        value = _PART_OF_AN_ENTITY.sub("", value)
    return _ENTITY.sub(lambda found: unescape(found[0]), value).strip(), bool(end)
