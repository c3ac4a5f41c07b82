"""Agents and a model that say what a contract suite wants to see."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any

import dspy
from dspy.lm15 import Message, Response, StreamDeltaEvent, StreamEndEvent, StreamStartEvent, TextDelta, TextPart, Usage

_USAGE = Usage(input_tokens=1, output_tokens=1)


class Parrot(dspy.Module):
    """Says everything back, with how many exchanges it remembers: ``"tea (0 before)"``."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # DSPy's
        self.asked: list[str] = []
        self.histories: list[str] = []
        self._held: dict[str, asyncio.Event] = {}
        self._failing: list[str] = []
        self._news = asyncio.Condition()

    async def aforward(self, message: str, history: dspy.History) -> dspy.Prediction:
        """Say it back."""
        async with self._news:
            self.asked.append(message)
            self.histories.append(str(history.messages))
            self._news.notify_all()
        held = self._held.get(message)
        if held is not None:
            await held.wait()
        if message in self._failing:
            self._failing.remove(message)
            raise RuntimeError("nobody has to know this")
        return dspy.Prediction(reply=f"{message} ({len(history.messages)} before)")

    def hold(self, message: str) -> asyncio.Event:
        """Take up a message, and answer it once this is set."""
        return self._held.setdefault(message, asyncio.Event())

    def fail(self, message: str) -> None:
        """Fail at a message, once."""
        self._failing.append(message)

    async def until_asked(self, message: str, times: int = 1) -> None:
        """Wait until it was asked something so many times."""
        async with asyncio.timeout(10.0), self._news:
            await self._news.wait_for(lambda: self.asked.count(message) >= times)


class Says(dspy.Module):
    """Says always the same, in the output ``reply`` and others."""

    def __init__(self, **outputs: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # DSPy's
        self._outputs = outputs

    async def aforward(self, message: str) -> dspy.Prediction:
        """Say it."""
        return dspy.Prediction(**self._outputs)


class ScriptedModel:
    """A model that says what it was told to, piece by piece, in the output ``reply``.

    Args:
        script: Its answers, in order; the last one again and again. An answer is a text, or texts with events in
            between, at each of which it waits.
    """

    def __init__(self, *script: str | Sequence[str | asyncio.Event]) -> None:
        self._script = deque([answer] if isinstance(answer, str) else answer for answer in script)
        self.lm = dspy.LM("scripted/scripted", engine=_Engine(), async_engine=self, cache=False, num_retries=0)

    def __deepcopy__(self, memo: dict[int, Any]) -> ScriptedModel:
        """A copy of an LM goes on talking to the same model."""
        return self

    async def complete(self, request: Any) -> Response:
        """Answer in one piece."""
        said = [piece async for piece in self._pieces()]
        message = Message.assistant([TextPart("".join(said))])
        return Response(id=None, model=request.model, message=message, finish_reason="stop", usage=_USAGE)

    async def stream(self, request: Any) -> AsyncIterator[Any]:
        """Answer word by word."""
        yield StreamStartEvent(model=request.model)
        async for piece in self._pieces():
            yield StreamDeltaEvent(delta=TextDelta(text=piece, part_index=0))
            await asyncio.sleep(0)  # a network would let others run between two pieces
        yield StreamEndEvent(finish_reason="stop", usage=_USAGE)

    async def aclose(self) -> None:
        """Nothing is open."""

    async def _pieces(self) -> AsyncIterator[str]:
        answer = self._script.popleft() if len(self._script) > 1 else self._script[0]
        yield "[[ ## reply ## ]]\n"
        for part in answer:
            if isinstance(part, asyncio.Event):
                await part.wait()
                continue
            for word in re.findall(r"\S+\s*|\s+", part):
                yield word
        yield "\n\n[[ ## completed ## ]]"


class _Engine:
    """What a model of DSPy's needs besides for calls that are not asynchronous; a bot makes none."""

    supports_function_calling = False
    supports_response_schema = False
    supported_params = ()

    def complete(self, request: Any) -> Response:
        """Not called.

        Raises:
            TypeError: It was.
        """
        raise TypeError("a scripted model is for asynchronous calls alone")

    def close(self) -> None:
        """Nothing is open."""
