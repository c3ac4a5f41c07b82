"""The agent that the demo shows: small, and real."""

from __future__ import annotations

import contextlib
import random
from datetime import datetime

import dspy

from dspy_session import Session
from dspy_session_bots.arithmetic import value_of

NAME = "Demo agent"

MOST_DICE = 100

REMEMBERED_BY_EMBEDDED = 12
"""Turns that the embedded model is shown: more would only confuse it, and each costs time at every answer."""


ASSIST = dspy.make_signature(
    "message -> reply",
    """Talk with the person who writes, and help them.

    Answer in a few sentences, in the language of the message, in Markdown where it helps. Use what was said before in
    this conversation: names, preferences, plans. Use a tool for what you cannot know or would get wrong: sums, the
    time, chance. When you don't know something, say so.
    """,
)

CONVERSE = dspy.make_signature(
    "message -> reply", "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
)
"""For the embedded model, in the words that it was trained with."""

SHOWN_TO_EMBEDDED = (
    ("Hi, I'm Robert.", "Hello Robert, nice to meet you!"),
    ("What is my name?", "Your name is Robert."),
    ("Hello, my name is Maria.", "Hello Maria, nice to meet you!"),
    ("What is my name?", "Your name is Maria."),
    ("What is the capital of Japan?", "The capital of Japan is Tokyo."),
    ("I live in Oslo and I have a dog.", "Oslo is a beautiful city, and dogs are good company!"),
    ("Where do I live?", "You live in Oslo."),
)
"""Without demos it takes the person's name for its own. With these it knew the name in 40 of 40 conversations that told
it one, and in none of 20 that didn't; a demo more or less, or another order, cost up to half of that."""


def assistant() -> Session:
    """An agent with tools, for a model that can use them."""
    return Session(dspy.ReAct(ASSIST, tools=[calculate, current_time, roll_dice], max_iters=6))


def small_assistant() -> Session:
    """An agent for the embedded model: a chat, and what was said before."""
    predict = dspy.Predict(CONVERSE)
    predict.demos = [dspy.Example(message=message, reply=reply) for message, reply in SHOWN_TO_EMBEDDED]
    return Session(predict, max_turns=REMEMBERED_BY_EMBEDDED)


def read_ahead(lm: dspy.LM) -> None:
    """Let the embedded model read what stands before every message, so that the first answer need not wait for it."""
    # Nobody waits for it: whatever goes wrong here will go wrong again where somebody does.
    with contextlib.suppress(Exception), dspy.context(lm=lm.copy(max_tokens=1)):
        small_assistant().module(message="Hello")


def calculate(expression: str) -> str:
    """The value of an arithmetic expression, such as ``(17 + 4) * 2 ** 3`` or ``sqrt(2)``."""
    return str(value_of(expression))


def current_time() -> str:
    """The date and the time here, with the time zone."""
    return datetime.now().astimezone().strftime("%A, %d %B %Y, %H:%M %Z (UTC%z)")


def roll_dice(count: int = 1, sides: int = 6) -> list[int]:
    """Roll ``count`` dice with ``sides`` sides each."""
    if not 1 <= count <= MOST_DICE or sides < 2:
        raise ValueError(f"roll 1 to {MOST_DICE} dice with 2 sides or more")
    return [random.randint(1, sides) for _ in range(count)]  # noqa: S311  # for play
