"""Agents that say what a test wants to see."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import dspy

from dspy_session import Session, sessionify
from tests.stub_lm import Prompt, StubModel


class Parrot(dspy.Module):
    """Repeats what was said and tells how much it knows; waits for a gate where one is set, and says how often."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.started = asyncio.Event()
        self.gates: list[asyncio.Event] = []
        self.errors: list[Exception] = []
        self.histories: list[list[dict[str, Any]]] = []

    async def aforward(self, message: str, history: dspy.History) -> dspy.Prediction:
        self.calls += 1
        self.histories.append([dict(each) for each in history.messages])
        self.started.set()
        if self.gates:
            await self.gates.pop(0).wait()
        if self.errors:
            raise self.errors.pop(0)
        return dspy.Prediction(reply=f"{message}! ({len(history.messages)} before, call {self.calls})")

    def gate(self) -> asyncio.Event:
        """Hold the next call back until it is set."""
        self.started.clear()
        self.gates.append(asyncio.Event())
        return self.gates[-1]


def held(agent: dspy.Module) -> Session:
    """A session over the very agent, so that a test can look into it."""
    return sessionify(agent, copy_mode="none")


class Speaker:
    """A model that speaks piece by piece, with a pause wherever a test wants one.

    A ``|`` in what it is told to say is such a place: it goes on when ``go_on`` is called.
    """

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.prompts: list[str] = []
        self._pauses: list[asyncio.Event] = []
        self._goes = 0
        self.model = StubModel(self._reply)

    @property
    def lm(self) -> dspy.LM:
        return self.model.lm

    def go_on(self) -> None:
        """Let it say more, now or when it comes there."""
        if self._pauses and self._goes == 0:
            self._pauses.pop(0).set()
        else:
            self._goes += 1

    def _reply(self, prompt: Prompt) -> list[Any]:
        self.prompts.append(prompt.text)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        steps: list[Any] = ["[[ ## reply ## ]]\n"]
        for place, part in enumerate(answer.split("|")):
            if place:
                pause = asyncio.Event()
                if self._goes:
                    self._goes -= 1
                    pause.set()
                else:
                    self._pauses.append(pause)
                steps.append(pause)
            steps += re.findall(r"\S+\s*|\s+", part)
        return [*steps, "\n\n[[ ## completed ## ]]"]
