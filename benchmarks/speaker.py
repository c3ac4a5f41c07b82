"""A model that takes its time: its pieces come at fixed moments after it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import dspy
from dspy.lm15 import Message, Response, StreamDeltaEvent, StreamEndEvent, StreamStartEvent, TextDelta, TextPart, Usage

THINKING, PIECES, GAP = 0.4, 30, 0.02
"""Seconds until the first piece, how many there are, and seconds between two: an answer in a second."""
FIRST, LAST = THINKING, THINKING + (PIECES - 1) * GAP
WORDS = ["A fine ", *["answer, and then "] * (PIECES - 2), "some more."]
"""The answer in its pieces."""
_SAID = [f"[[ ## reply ## ]]\n{WORDS[0]}", *WORDS[1:-1], f"{WORDS[-1]}\n\n[[ ## completed ## ]]"]
_USAGE = Usage(input_tokens=100, output_tokens=2 * PIECES)


class _Abilities:
    """The half of DSPy's engine contract that says what a model can; nobody asks it."""

    supports_function_calling = False
    supports_response_schema = False
    supported_params = ()

    def complete(self, request: Any) -> Response:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is open."""


class _Engine:
    """The half that an asynchronous call needs.

    Args:
        heard: Called with each request.
        seconds: Until an answer that is not streamed.
    """

    def __init__(self, heard: Callable[[Any], None], seconds: float) -> None:
        self._heard = heard
        self._seconds = seconds

    async def complete(self, request: Any) -> Response:
        self._heard(request)
        await asyncio.sleep(self._seconds)
        message = Message.assistant([TextPart("".join(_SAID))])
        return Response(id=None, model=request.model, message=message, finish_reason="stop", usage=_USAGE)

    async def stream(self, request: Any) -> AsyncIterator[Any]:
        began = asyncio.get_running_loop().time()
        yield StreamStartEvent(model=request.model)
        for place, said in enumerate(_SAID):
            # By the clock and not one after the other: what is late must not make all that follows later.
            await asyncio.sleep(began + THINKING + place * GAP - asyncio.get_running_loop().time())
            yield StreamDeltaEvent(delta=TextDelta(text=said, part_index=0))
        yield StreamEndEvent(finish_reason="stop", usage=_USAGE)

    async def aclose(self) -> None:
        """Nothing is open."""


def speaker(heard: Callable[[Any], None] = lambda _: None, seconds: float = LAST) -> dspy.LM:
    """The model.

    Args:
        heard: Called with each request.
        seconds: Until an answer that is not streamed.
    """
    engine = _Engine(heard, seconds)
    return dspy.LM("stub/stub", engine=_Abilities(), async_engine=engine, cache=False, num_retries=0)
