"""Who may decide what people are asked, and what is open at all, for platforms that ask for words first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from dspy_session_chat.action import Action, Event, Press
from dspy_session_chat.markup.cleaning import as_text
from dspy_session_chat.rules.access import Access
from dspy_session_chat.wish import Who, Wish

IsOpen: TypeAlias = Callable[[Action], bool]
"""Says whether a press may come to something, as far as that is known."""


@runtime_checkable
class NeedsQuestions(Protocol):
    """Opens a window before a press counts, and so has to know whether somebody would write there in vain."""

    def use_questions(self, is_open: IsOpen) -> None:
        """Called once, before ``run``.

        Args:
            is_open: Asked before such a window is opened. Where it says no, the press is handed over as it is, and
                whoever pressed reads why it does not count.
        """
        ...


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """A question that people are asked at this moment.

    Args:
        wish: What it is about.
        asked: The event in whose answer it is asked.
        answer: Done once somebody has decided.
    """

    wish: Wish
    asked: Event
    answer: asyncio.Future[Mapping[str, Any]]

    def denial(self, action: Action, access: Access) -> str | None:
        """Why somebody may not decide it; None when they may."""
        return may_decide(self.wish.who, self.asked, action, access)


def is_open(action: Action, questions: Mapping[str, OpenQuestion], access: Access) -> bool:
    """Whether a press may come to something: False where it is known that it does not.

    Args:
        action: The press.
        questions: What people are asked by this process, by what the buttons are about; of what others ask, nothing is
            known.
        access: Who may talk to the bot at all, and who is an admin.
    """
    question = questions.get(action.deed.about) if isinstance(action.deed, Press) else None
    if question is None:
        return access.denial(action) is None
    return not question.answer.done() and question.denial(action, access) is None


def may_decide(who: Who, asked: Event, action: Action, access: Access) -> str | None:
    """Why somebody may not decide, in one line for them; None when they may."""
    denial = access.denial(action)
    if denial is not None:
        return denial or "You may not decide this."
    if who == "anyone" or access.is_admin(action) or (who == "author" and action.user == asked.user):
        return None
    if who == "admins":
        return "Only the bot's admins may decide this."
    return f"Only {as_text(asked.author.name)} may decide this."
