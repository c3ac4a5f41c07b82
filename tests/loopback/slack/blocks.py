"""What Slack takes for blocks and views, and what people see of them."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from tests.loopback.slack.calls import Call, Refused

Block = dict[str, Any]

MOST_BLOCKS = 50
ALL_BLOCKS = 13_200
MOST_BUTTONS = 25
MOST_CONTEXT = 5
SECTION_TEXT = 3_000
MARKDOWN = 12_000
BUTTON_TEXT = 75
BUTTON_VALUE = 2_000
ACTION_ID = 255
TITLE = 24
METADATA = 3_000
LABEL = 2_000
ANSWER = 3_000
VIEW = {"type", "title", "blocks", "submit", "close", "private_metadata", "callback_id"}
PLAIN = {"type", "text", "emoji"}
FIELDS = {
    "section": {"type", "text", "block_id", "expand"},
    "markdown": {"type", "text", "block_id"},
    "actions": {"type", "elements", "block_id"},
    "context_actions": {"type", "elements", "block_id"},
}
"""What a block may have, of what we use."""

_HEAD_ENDS = re.compile(r"[ ]{0,3}\|?[ ]*:?-+:?[ ]*(?:\|[ ]*:?-+:?[ ]*)*\|?[ ]*")


@dataclass(frozen=True)
class SeenButton:
    """A button as people see it.

    Args:
        label: What stands on it.
        style: ``"primary"``, ``"danger"`` or empty.
        element: The element as it was posted.
    """

    label: str
    style: str
    element: dict[str, Any]


def blocks_of(call: Call) -> list[Block] | None:
    """The blocks of a call, None when it has none.

    Raises:
        Refused: Slack would not take them.
    """
    written = call.args.get("blocks")
    if written is None:
        return None
    blocks: list[Block] = json.loads(written) if isinstance(written, str) else written
    check_blocks(blocks)
    return blocks


def check_blocks(blocks: list[Block]) -> None:
    """Refuse the blocks of a message that Slack would not take."""
    if len(blocks) > MOST_BLOCKS:
        raise _invalid(f"no more than {MOST_BLOCKS} items allowed [json-pointer:/blocks]")
    for number, block in enumerate(blocks):
        _check(block, f"[json-pointer:/blocks/{number}]")
    if sum(len(words) for words, markdown in words_of(blocks) if markdown) > MARKDOWN:
        raise _invalid(f"must be less than {MARKDOWN + 1} characters [json-pointer:/blocks]")
    if sum(_tables(words) for words, markdown in words_of(blocks) if markdown) > 1:
        raise _invalid("only_one_table_allowed [json-pointer:/blocks]")
    if sum(len(words) for words, _ in words_of(blocks)) > ALL_BLOCKS:
        raise Refused("msg_blocks_too_long")


def check_view(view: dict[str, Any]) -> None:
    """Refuse a modal that Slack would not open."""
    if unknown := sorted(set(view) - VIEW):
        raise _invalid_view(f"invalid additional property: {unknown[0]} [json-pointer:/view]")
    if view.get("type") != "modal" or not 1 <= len(view["title"]["text"]) <= TITLE:
        raise _invalid_view("a modal has a title of 24 characters at most")
    for button in (view[name] for name in ("submit", "close") if view.get(name)):
        if set(button) - PLAIN or not 1 <= len(button["text"]) <= TITLE:  # plain words: without a style
            raise _invalid_view("a button of a modal has 24 characters at most")
    if len(view.get("private_metadata", "")) > METADATA or len(view.get("callback_id", "")) > ACTION_ID:
        raise _invalid_view("must be less than 3001 characters [json-pointer:/view/private_metadata]")
    for block in view["blocks"]:
        if block["type"] == "section":
            _limit(block["text"]["text"], SECTION_TEXT, "[json-pointer:/view/blocks]")
            continue
        if block["type"] != "input" or not 1 <= len(block["label"]["text"]) <= LABEL:
            raise _invalid_view("invalid input block")
        if not view.get("submit"):
            raise _invalid_view("a modal with inputs needs a submit button")
        if not 1 <= block.get("element", {}).get("max_length", ANSWER) <= ANSWER:
            raise _invalid_view("must be less than 3001 [json-pointer:/view/blocks/0/element/max_length]")


def words_of(blocks: list[Block]) -> Iterator[tuple[str, bool]]:
    """The words in blocks, and whether they are Markdown that Slack renders."""
    for block in blocks:
        if block["type"] == "section":
            yield block["text"]["text"], False
        elif block["type"] == "markdown":
            yield block["text"], True


def seen_text(blocks: list[Block]) -> str:
    """The words in blocks, one paragraph for each."""
    # As if all of it were written in Slack's own markup, where these three are escaped.
    return "\n\n".join(html.escape(words, quote=False) if raw else words for words, raw in words_of(blocks))


def seen_buttons(blocks: list[Block]) -> Iterator[SeenButton]:
    for block in blocks:
        for element in block["elements"] if block["type"] in ("actions", "context_actions") else ():
            if element["type"] != "feedback_buttons":
                yield SeenButton(element["text"]["text"], element.get("style", ""), element)
                continue
            for name in ("positive_button", "negative_button"):
                chosen = element[name]
                pressed = {"type": "feedback_buttons", "action_id": element["action_id"], "value": chosen["value"]}
                yield SeenButton(chosen["text"]["text"], "", pressed | {"text": chosen["text"]})


def _check(block: Block, where: str) -> None:
    if block["type"] not in FIELDS:
        raise _invalid(f"unsupported type: {block['type']} {where}")
    _known(block, FIELDS[block["type"]], where)
    match block["type"]:
        case "section":
            _known(block["text"], {"type", "text", "verbatim"}, where)
            _limit(block["text"]["text"], SECTION_TEXT, where)
        case "markdown":
            _limit(block["text"], MARKDOWN, where)
        case "actions":
            _check_buttons(block["elements"], where)
        case "context_actions":
            if not 1 <= len(block["elements"]) <= MOST_CONTEXT:
                raise _invalid(f"no more than {MOST_CONTEXT} items allowed {where}")
            for element in block["elements"]:
                _check_feedback(element, where)


def _known(thing: dict[str, Any], fields: Collection[str], where: str) -> None:
    if unknown := sorted(set(thing) - set(fields)):
        raise _invalid(f"invalid additional property: {unknown[0]} {where}")


def _cells(row: str) -> int:
    return len(row.strip().removeprefix("|").removesuffix("|").split("|"))


def _tables(text: str) -> int:
    """The tables of a text, by the lines under their heads."""
    count, fenced, within, before = 0, False, False, ""
    for line in text.split("\n"):
        within = within and bool(line.strip())
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not (fenced or within) and _HEAD_ENDS.fullmatch(line) and "|" in line and _cells(before) == _cells(line):
            count, within = count + 1, True
        before = line
    return count


def _check_buttons(elements: list[dict[str, Any]], where: str) -> None:
    if not 1 <= len(elements) <= MOST_BUTTONS:
        raise _invalid(f"no more than {MOST_BUTTONS} items allowed {where}")
    if len({element["action_id"] for element in elements}) < len(elements):
        raise _invalid(f"`action_id` already exists {where}")
    for element in elements:
        _known(element, {"type", "text", "action_id", "value", "style"}, where)
        _limit(element["text"]["text"], BUTTON_TEXT, where)
        _limit(element["value"], BUTTON_VALUE, where)
        _limit(element["action_id"], ACTION_ID, where)
        if element["text"]["type"] != "plain_text" or element.get("style") not in (None, "primary", "danger"):
            raise _invalid(f"unsupported button {where}")


def _check_feedback(element: dict[str, Any], where: str) -> None:
    if set(element) != {"type", "action_id", "positive_button", "negative_button"}:
        raise _invalid(f"unsupported element {where}")
    for button in (element["positive_button"], element["negative_button"]):
        _limit(button["text"]["text"], BUTTON_TEXT, where)
        _limit(button["value"], BUTTON_VALUE, where)
        _limit(button["accessibility_label"], BUTTON_TEXT, where)


def _limit(text: str, most: int, where: str) -> None:
    if not 1 <= len(text) <= most:
        raise _invalid(f"must be more than 0 and less than {most + 1} characters {where}")


def _invalid(why: str) -> Refused:
    return Refused("invalid_blocks", response_metadata={"messages": [f"[ERROR] {why}"]})


def _invalid_view(why: str) -> Refused:
    return Refused("invalid_arguments", response_metadata={"messages": [f"[ERROR] {why}"]})
