"""What the sessions are put around."""

from __future__ import annotations

import asyncio
from typing import Any

import dspy
from dspy.lm15 import Message, Response, TextPart, Usage

MODEL_SECONDS = 0.05


class Trivial(dspy.Module):
    """Returns at once."""

    def forward(self, question: str) -> dspy.Prediction:
        return dspy.Prediction(answer="A fine answer.")


class Reader(dspy.Module):
    """Returns at once, and takes the history as an argument, so that somebody has to build it."""

    def forward(self, question: str, history: dspy.History | None = None) -> dspy.Prediction:
        return dspy.Prediction(answer="A fine answer.")


class Obliging(dspy.Module):
    """Returns at once, with the fields of a bot."""

    async def aforward(self, message: str) -> dspy.Prediction:
        return dspy.Prediction(reply="A fine answer.")


class MessageParrot(dspy.Module):
    """Returns an answer as long as the message, with the fields of a bot."""

    async def aforward(self, message: str) -> dspy.Prediction:
        return dspy.Prediction(reply=message[::-1])


class Parrot(dspy.Module):
    """Returns an answer as long as the question."""

    def forward(self, question: str) -> dspy.Prediction:
        return dspy.Prediction(answer=question[::-1])


class Slow(dspy.Module):
    """Answers after the time that a model takes."""

    async def aforward(self, question: str) -> dspy.Prediction:
        await asyncio.sleep(MODEL_SECONDS)
        return dspy.Prediction(answer="A fine answer.")


def fill(session: Any, turns: int, characters: int = 20) -> Any:
    """Record turns of that many characters a question."""
    # With a history of its own a call costs 0.1.2 the same however long the state is; add_turn does not.
    nothing = dspy.History(messages=[])
    for place in range(turns):
        session(question=question(place, characters), history=nothing)
    return session


def question(place: int, characters: int = 20) -> str:
    """A text that no other turn has."""
    return f"{place:06}".ljust(characters, "x")


class _Engine:
    """The half of DSPy's engine contract that a synchronous call needs; says the same each time, at no cost."""

    supports_function_calling = False
    supports_response_schema = False
    supported_params = ()

    def __init__(self, text: str) -> None:
        self._message = Message.assistant([TextPart(text)])

    def complete(self, request: Any) -> Response:
        usage = Usage(input_tokens=1, output_tokens=1)
        return Response(id=None, model=request.model, message=self._message, finish_reason="stop", usage=usage)

    def close(self) -> None:
        """Nothing is open."""


def model(text: str) -> dspy.LM:
    """A language model inside this process that always says ``text``."""
    return dspy.LM("stub/stub", engine=_Engine(text), cache=False, num_retries=0)
