"""Hands and eyes on the page: a tab that shows a thread, and a bot that only answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from dspy_session_chat import Button, Event, Inbound, Post, Press, Reply
from dspy_session_chat.action import Action, Deed
from tests.bots.playground.chromium import Tab, browsing
from tests.bots.playground.page import Visitor, overheard

FIRST, SECOND = ".exchange:nth-child(1)", ".exchange:nth-child(2)"

Answers = Callable[[str, str], Reply]
"""The answer to a message, of a turn."""


def plainly(text: str, turn_id: str) -> Reply:
    return Reply("So you say.", turn_id=turn_id, buttons=usual(turn_id))


def usual(turn_id: str) -> tuple[Button, ...]:
    """The buttons that a bot puts under an answer."""
    bad = Button("bad", "👎", turn_id, asks="What was wrong with it?")
    return Button("retry", "Retry", turn_id), Button("good", "👍", turn_id), bad


@asynccontextmanager
async def opened(browser: str, answers: Answers = plainly, **options: Any) -> AsyncIterator[tuple[Tab, Visitor]]:
    """A tab that shows thread ``one`` of a page whose messages are answered, and whose thumbs count."""

    async def does(visitor: Visitor, event: Event) -> None:
        conversations, playground = visitor.conversations, visitor.playground
        if isinstance(event, Inbound):
            await conversations.acall(event.key, question=event.text)
            turn = (await conversations.state(event.key)).turns[-1]
            await playground.post(Post(event, answers(event.text, turn.id)))
        elif isinstance(event.deed, Press) and event.deed.button in ("good", "bad"):
            turn = (await conversations.state(event.key)).turns[-1]
            score = {"good": 1.0, "bad": 0.0}[event.deed.button]
            taken_back = not event.deed.text and any(
                said.by == event.author.id and said.score == score for said in turn.feedback
            )
            await conversations.score(
                event.key, turn.id, None if taken_back else score, by=event.author.id, text=event.deed.text
            )

    async with browsing(browser) as tab, overheard(does, **options) as visitor:
        await tab.go(f"{visitor.playground.url}#one")
        await tab.until("document.getElementById('agent')?.textContent")
        yield tab, visitor
        assert tab.complaints == []


async def say(tab: Tab, text: str) -> None:
    await tab.run("document.getElementById('message').focus()")
    await tab.type(text)
    await tab.press("Enter")


async def deeds(visitor: Visitor, count: int) -> list[Deed]:
    """What was done so far, once it is so much."""
    await visitor.until_received(lambda events: sum(isinstance(event, Action) for event in events) >= count)
    return [event.deed for event in visitor.received if isinstance(event, Action)]
