"""The guides are complete: each public name has an example, and each link leads somewhere."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

import dspy_session
import dspy_session.conversation
import dspy_session.sinks
import dspy_session.stores
import dspy_session_chat
import dspy_session_chat.testing
from dspy_session import Session, SessionState, read_examples, sessionify, with_memory
from dspy_session.conversation import Conversations, TurnRequest
from dspy_session.conversation.dispatch import Dispatcher
from dspy_session.sinks import Callback, JsonLines
from dspy_session_chat import Access, Bot, FileLimits, Limits, Manners, ask_first
from dspy_session_chat.testing import ChatTester
from dspy_session_discord import Discord
from dspy_session_slack import Slack
from dspy_session_webhook import Webhook
from tests.docs.command import ROOT
from tests.docs.page import blocks

EXAMPLES = ROOT / "docs" / "api-usage-examples.md"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]

TAKES_ARGUMENTS = (
    *(sessionify, with_memory, Session, Session.use_state, Session.new_state, Session.astream, Session.add_turn),
    *(Session.undo, Session.score, Session.to_examples, Session.save, Session.save_state, Session.load_from),
    *(SessionState, Conversations, Conversations.undo, Conversations.fork, Conversations.astream, TurnRequest),
    *(Bot, Bot.command, Manners, Limits, Access, FileLimits, ask_first, ChatTester, read_examples),
    *(Slack, Discord, Webhook, Webhook.close, JsonLines, Callback, Dispatcher),
)
DOES_THINGS = (Session, Conversations, Bot, Webhook, JsonLines, Callback, Dispatcher)
OF_A_STATE = ("turns", "initial_history", "l2_memory", "node_states", "fork", "reset", "to_dict", "from_dict", "save")


def shown() -> str:
    """What the page's examples say: its headings and its code."""
    text = EXAMPLES.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ .*$", text, re.MULTILINE)
    return "\n".join([*headings, *(block.code for block in blocks(text) if block.language == "python")])


def names() -> Iterator[str]:
    for package in (dspy_session, dspy_session.conversation, dspy_session.sinks, dspy_session.stores):
        yield from package.__all__
    for kind in DOES_THINGS:
        yield from (name for name in vars(kind) if not name.startswith("_"))
    yield from OF_A_STATE


def test_what_a_chat_is_made_of_is_told_somewhere() -> None:
    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    made_of = [*dspy_session_chat.__all__, *dspy_session_chat.testing.__all__]
    assert [name for name in made_of if not re.search(rf"\b{name}\b", pages)] == []


def arguments(function: Callable[..., Any]) -> list[str]:
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    return [
        parameter.name
        for parameter in parameters
        if parameter.kind not in kinds and parameter.name != "self" and not parameter.name.startswith("_")
    ]


def test_every_public_name_is_mentioned() -> None:
    page = EXAMPLES.read_text(encoding="utf-8")
    assert [name for name in dict.fromkeys(names()) if not re.search(rf"\b{name}\b", page)] == []


@pytest.mark.parametrize("function", TAKES_ARGUMENTS, ids=lambda function: function.__qualname__)
def test_every_parameter_has_an_example(function: Callable[..., Any]) -> None:
    code = shown()
    assert [name for name in arguments(function) if not re.search(rf"\b{name}\b", code)] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    dead = [link for link in links(path.read_text(encoding="utf-8")) if not leads_somewhere(path, link)]
    assert dead == []


def links(text: str) -> Iterator[str]:
    """The addresses of a page's links."""
    for block in MarkdownIt().enable("table").parse(text):
        for token in block.children or ():
            address = token.attrGet("href")
            if isinstance(address, str):
                yield address


def leads_somewhere(page: Path, link: str) -> bool:
    if re.match(r"https?://", link):
        return True  # not ours to visit
    address, _, anchor = link.partition("#")
    target = page.parent / address if address else page
    return target.exists() and (not anchor or anchor in anchors(target.read_text(encoding="utf-8")))


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    tokens = MarkdownIt().parse(text)
    headings = [tokens[place + 1].content for place, token in enumerate(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_anchors_are_githubs() -> None:
    text = "# An example\n## `session.score(metric, gold=None)`\n### 1st: a_b\n"
    assert anchors(text) == {"an-example", "sessionscoremetric-goldnone", "1st-a_b"}


def test_dead_links_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Top\n[a](#top) [b](#bottom) [c](page.md#top) [d](none.md) [e](https://x.y) | [f](../page.md)")
    dead = [link for link in links(page.read_text()) if not leads_somewhere(page, link)]
    assert dead == ["#bottom", "none.md", "../page.md"]
