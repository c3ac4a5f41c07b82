"""A turn, shown while it is made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING, Any

import dspy

from dspy_session.binding import own_signature
from dspy_session.pipe import PIPE, Pipe, Speaker
from dspy_session.program import modules_below
from dspy_session.settings import setting
from dspy_session.status import STATUS_PROVIDER, Status

if TYPE_CHECKING:
    from dspy_session.session import Session


async def stream(session: Session, field: str | None, inputs: dict[str, Any]) -> AsyncGenerator[Any, None]:
    """``Session.astream``."""
    # Not built on dspy.streamify: its buffer of 16 items blocks a program that sends from the event loop, and closing
    # it early raises in its consumer (DSPy 3.4).
    pipe = Pipe(_speaker(session.module, field))
    provider = session.engine.options.status_provider or setting(STATUS_PROVIDER)
    status = Status(provider or dspy.streaming.StatusMessageProvider(), pipe.put)
    # DSPy's own stream is open only while the speaker speaks: a model that is asked elsewhere has nothing to send.
    with dspy.context(**{PIPE: pipe}, send_stream=None, callbacks=[*dspy.settings.callbacks, status]):
        turn = asyncio.create_task(session.acall(**inputs))
    turn.add_done_callback(lambda _: pipe.end())
    try:
        while (item := await pipe.get()) is not None:
            yield item
        yield await turn
    finally:
        turn.cancel()
        await asyncio.wait([turn])
        if not turn.cancelled():
            turn.exception()  # if it failed, the reader knows or has left


def _speaker(module: dspy.Module, field: str | None) -> Speaker | None:
    """The last predictor that fills the field, or has texts; its first text. None when there is none."""
    found = [
        Speaker(path, predictor, names[0])
        for path, predictor in _predictors(module)
        if (names := _streamable(predictor, field))
    ]
    return found[-1] if found else None


def _predictors(module: dspy.Module, prefix: str = "") -> Iterator[tuple[str, dspy.Predict]]:
    from dspy_session.session import Session

    for path, found in modules_below(module, prefix):
        if isinstance(found, Session):
            yield from _predictors(found.module, path)
        elif isinstance(found, dspy.Predict):
            yield path or "self", found


def _streamable(predictor: dspy.Predict, field: str | None) -> list[str]:
    """The output fields of a predictor that may be streamed: the one asked for, else its texts."""
    outputs = own_signature(predictor).output_fields
    if field is not None:
        return [field] if field in outputs else []
    texts = [name for name, info in outputs.items() if info.annotation is str]
    # A ChainOfThought thinks aloud first; its answer is what follows.
    return [name for name in texts if name != "reasoning"] or texts
