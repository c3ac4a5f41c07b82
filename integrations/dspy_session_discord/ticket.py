"""What is needed to answer somebody who gave a command or pressed a button, also after a restart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import discord

from dspy_session_discord.destination import Destination
from dspy_session_discord.outbound.markup import MESSAGE_LIMIT, length, shorten

QUESTION_SHOWN = 200
"""Characters of what was asked that stand above the answer: Discord shows others the command's name alone."""

_FIELD = "interaction"


@dataclass(frozen=True, slots=True)
class Ticket:
    """How an interaction is answered; its JSON form travels in ``Inbound.reply_to``, beside the destination.

    Its token is good for 15 minutes, and Discord says when it no longer is: no clock of ours is asked.

    Args:
        application: Id of the application, under which Discord takes the answer.
        token: The interaction's token.
        original: Id of the message that waits to become the answer; empty where none does (a button was pressed).
        private: Whether that message is shown to nobody else. It cannot be changed any more.
        heading: What stands above the answer: what was asked.
        direct: Whether nobody else reads in that place anyway.
    """

    application: int
    token: str
    original: str = ""
    private: bool = False
    heading: str = ""
    direct: bool = False

    def beside(self, destination: Destination) -> dict[str, Any]:
        """The JSON form of ``destination``, with this ticket in it."""
        ours = {
            "application": str(self.application),
            "token": self.token,
            "original": self.original,
            "private": self.private,
            "heading": self.heading,
            "direct": self.direct,
        }
        return {**destination.as_dict(), _FIELD: ours}

    @classmethod
    def of(cls, reply_to: Mapping[str, Any]) -> Self | None:
        """The ticket that ``beside`` wrote; None for what was no interaction."""
        data = reply_to.get(_FIELD)
        if data is None:
            return None
        return cls(**{**data, "application": int(data["application"])})

    def headed(self, text: str) -> str:
        """``text`` with what was asked above it, where there is room."""
        headed = f"{self.heading}\n{text}"
        return headed if self.heading and length(headed) <= MESSAGE_LIMIT else text


def heading(question: str, link: str = "") -> str:
    r"""What stands above an answer.

    Args:
        question: What was asked.
        link: Where the message is that it was asked about; empty where it was about none.

    >>> heading("Is 3*4 more than [this](https://example.com)?")
    '> Is 3\\*4 more than \\[this](https://example.com)?'
    """
    # As it was written, and with no link in the bot's name that says to lead elsewhere.
    shown = discord.utils.escape_markdown(shorten(question, QUESTION_SHOWN))
    return " ".join(part for part in (">", shown, link) if part)
