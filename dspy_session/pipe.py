"""What a streamed turn sends to its reader, and which predictor's reply goes there."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

import anyio.from_thread
import dspy
from dspy.utils.exceptions import AdapterParseError

from dspy_session.listening import Listener, listener_for
from dspy_session.settings import setting

PIPE = "dspy_session_pipe"
"""Name of the DSPy setting that holds the ``Pipe`` of the turn that is being streamed."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """The output field that is streamed.

    Args:
        path: The dotted path of the predictor that fills it.
        predictor: The predictor.
        field: The field's name.
    """

    path: str
    predictor: dspy.Predict
    field: str


class Pipe:
    """A stream from a program on any thread or event loop to a reader on this one.

    It is never full, so a program can never wait for its reader.

    Args:
        speaker: What is shown piece by piece; None for nothing.
    """

    def __init__(self, speaker: Speaker | None) -> None:
        self.speaker = speaker
        self.shown: Reply | None = None
        self._loop = asyncio.get_running_loop()
        self._items: asyncio.Queue[Any] = asyncio.Queue()

    def put(self, item: Any) -> None:
        """Send an item, from anywhere."""
        with contextlib.suppress(RuntimeError):  # the reader's loop is closed: nobody reads any more
            self._loop.call_soon_threadsafe(self._items.put_nowait, item)

    def end(self) -> None:
        """Send the end."""
        self.put(None)

    async def get(self) -> Any:
        """The next item; None at the end."""
        return await self._items.get()


class Reply:
    """One reply of the speaker, as DSPy's ``send_stream`` gets it. Of several, the first that says something is shown.

    Args:
        pipe: Where its pieces go.
        listener: Finds them.
    """

    def __init__(self, pipe: Pipe, listener: Listener) -> None:
        self._pipe = pipe
        self._listener = listener

    async def send(self, chunk: Any) -> None:
        """Called by DSPy, on any event loop, with each chunk that a model sends."""
        self._show(self._listener.receive(chunk))

    def end(self) -> None:
        """The reply is whole, and could be read."""
        if self.shown:
            self._show(self._listener.finalize())

    def _show(self, piece: Any) -> None:
        if piece and self._pipe.shown in (None, self):
            self._pipe.shown = self
            self._pipe.put(piece)

    @property
    def shown(self) -> bool:
        """True when the reader has seen some of it."""
        return self._pipe.shown is self


def reply_of(predictor: dspy.Predict, *, waits: bool) -> Reply | None:
    """Where a reply to ``predictor`` goes piece by piece; None when it does not.

    Args:
        predictor: The predictor that is called.
        waits: True when the call is synchronous; DSPy then hands its stream over by way of AnyIO, which serves only
            threads of its own. On any other thread (``dspy.Parallel`` has them) the reply comes in one piece.
    """
    pipe: Pipe | None = setting(PIPE)
    if pipe is None or pipe.speaker is None or pipe.speaker.predictor is not predictor:
        return None
    if waits and not _is_anyio_thread():
        return None
    adapter = dspy.settings.adapter or dspy.ChatAdapter()
    listener = listener_for(adapter, pipe.speaker.field, predictor, pipe.speaker.path)
    return None if listener is None else Reply(pipe, listener)


def second_adapter(reply: Reply | None, error: AdapterParseError) -> dspy.Adapter | None:
    """The adapter to ask again with after a reply that could not be read; None for not at all.

    DSPy asks again with a ``JSONAdapter``, but never once it has streamed, even if the reader has seen nothing of it.
    """
    adapter = dspy.settings.adapter or dspy.ChatAdapter()
    if reply is None or reply.shown or error.adapter_name == dspy.JSONAdapter.__name__:
        return None
    if not isinstance(adapter, dspy.ChatAdapter) or not adapter.use_json_adapter_fallback:
        return None
    return dspy.JSONAdapter(
        use_native_function_calling=adapter.use_native_function_calling, parallel_tool_calls=adapter.parallel_tool_calls
    )


def _is_anyio_thread() -> bool:
    try:
        anyio.from_thread.check_cancelled()
    except RuntimeError:
        return False
    return True
