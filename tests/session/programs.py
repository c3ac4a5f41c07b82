"""Programs for tests of memory: small, and what they answer shows what they were given."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import dspy


def count(question: str, history: dspy.History) -> dspy.Prediction:
    return dspy.Prediction(answer=f"{question} after {len(history.messages)}")


class Scripted(dspy.Module):
    """Answers with a function of the question and the history; under ``acall`` it may be a coroutine function.

    Needs no model. Without a function it repeats the question and counts the messages before it.
    """

    def __init__(self, answer: Callable[[str, dspy.History], Any] = count) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, question: str, history: dspy.History) -> Any:
        return self.answer(question, history)

    async def aforward(self, question: str, history: dspy.History) -> Any:
        result = self.answer(question, history)
        return await result if inspect.isawaitable(result) else result


class Team(dspy.Module):
    """Two predictors, one after the other: what ``draft`` makes of the question goes to ``edit``."""

    def __init__(self) -> None:
        super().__init__()
        self.draft = dspy.Predict("question -> text")
        self.edit = dspy.Predict("text -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        return self.edit(text=self.draft(question=question).text)

    async def aforward(self, question: str) -> dspy.Prediction:
        drafted = await self.draft.acall(question=question)
        return await self.edit.acall(text=drafted.text)
