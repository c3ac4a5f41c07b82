"""A turn, shown while it is made."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import dspy
from dspy.streaming.messages import StatusStreamingCallback
from dspy.streaming.streaming_listener import ADAPTER_SUPPORT_STREAMING

from dspy_session.injection import own_signature
from dspy_session.program import modules_below

if TYPE_CHECKING:
    from dspy_session.session import Session

_END = object()


class Listener(Protocol):
    """Finds the text of one output field in the chunks that a model sends; ``dspy.streaming.StreamListener`` is one."""

    predict: Any

    def receive(self, chunk: Any) -> Any:
        """What a chunk adds to the field, as a ``dspy.streaming.StreamResponse``; None when that is nothing."""
        ...

    def finalize(self) -> Any:
        """What is still held back once the last chunk was received; None when that is nothing."""
        ...


@runtime_checkable
class CanListen(Protocol):
    """An adapter that knows how its answers stream. DSPy's own listener reads the answers of DSPy's adapters only."""

    def listener(self, field: str, predict: dspy.Predict, name: str) -> Listener:
        """A fresh listener.

        Args:
            field: The output field to find.
            predict: The predictor that the chunks come from.
            name: The predictor's dotted path in the program.
        """
        ...


class _Pipe:
    """What DSPy sends its stream to. Never full, so that a program can never wait for its reader."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.items: asyncio.Queue[Any] = asyncio.Queue()

    async def send(self, item: Any) -> None:
        """Called by DSPy, from any thread and any event loop."""
        with contextlib.suppress(RuntimeError):  # the reader's loop is closed: nobody reads any more
            self._loop.call_soon_threadsafe(self.items.put_nowait, item)


async def stream(session: Session, field: str | None, inputs: dict[str, Any]) -> AsyncGenerator[Any, None]:
    """``Session.astream``."""
    # Not built on dspy.streamify: its buffer of 16 items blocks a program that sends from the event loop, and closing
    # it early raises in its consumer (DSPy 3.4).
    pipe = _Pipe()
    adapter = dspy.settings.adapter or dspy.ChatAdapter()
    listener = _listener(session.module, field, adapter)
    callbacks = list(dspy.settings.callbacks)
    if not any(isinstance(callback, StatusStreamingCallback) for callback in callbacks):
        callbacks.append(StatusStreamingCallback(session.engine.options.status_provider))
    # A listener of nobody keeps predictors from streaming what could not be read.
    listeners = [listener or dspy.streaming.StreamListener("", predict=_END, predict_name="")]
    with dspy.context(send_stream=pipe, stream_listeners=listeners, callbacks=callbacks):
        task = asyncio.create_task(session.acall(**inputs))
    task.add_done_callback(lambda _: pipe.items.put_nowait(_END))
    try:
        while (item := await pipe.items.get()) is not _END:
            if isinstance(item, dspy.streaming.StatusMessage):
                yield item
            elif listener is not None and getattr(item, "predict_id", None) == id(listener.predict):
                with dspy.context(adapter=adapter):
                    piece = listener.receive(item)
                if piece:
                    yield piece
        result = await task
        if listener is not None:
            with dspy.context(adapter=adapter):
                piece = listener.finalize()
            if piece:
                yield piece
        yield result
    finally:
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _listener(module: dspy.Module, field: str | None, adapter: dspy.Adapter) -> Listener | None:
    """A fresh listener for the output to stream; None when no predictor has it, or nobody can read the adapter."""
    found = [
        (path, predictor, name) for path, predictor in _predictors(module) for name in _streamable(predictor, field)
    ]
    if not found:
        return None
    path, predictor, _ = found[-1]
    name = next(name for _, candidate, name in found if candidate is predictor)
    if isinstance(adapter, CanListen):
        return adapter.listener(name, predictor, path)
    if type(adapter) not in ADAPTER_SUPPORT_STREAMING:
        return None
    return dspy.streaming.StreamListener(name, predict=predictor, predict_name=path)  # type: ignore[no-any-return]


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
