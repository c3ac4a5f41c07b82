"""Who finds the text of one output field in what a model sends while it speaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import dspy

from dspy_session.binding import own_signature
from dspy_session.replies import Reading, in_json, in_sections, in_tags


class Listener(Protocol):
    """Finds the text of one output field in the chunks of one reply; ``dspy.streaming.StreamListener`` is one."""

    def receive(self, chunk: Any) -> Any:
        """What a chunk adds to the field, as a ``dspy.streaming.StreamResponse``; None when that is nothing."""
        ...

    def finalize(self) -> Any:
        """What is still held back once the last chunk was received; None when that is nothing."""
        ...


@runtime_checkable
class CanListen(Protocol):
    """An adapter that knows how its answers stream."""

    def listener(self, field: str, predict: dspy.Predict, name: str) -> Listener:
        """A fresh listener.

        Args:
            field: The output field to find.
            predict: The predictor that the chunks come from.
            name: The predictor's dotted path in the program.
        """
        ...


_READINGS: Mapping[type[dspy.Adapter], Callable[[str, str], Reading]] = {
    dspy.ChatAdapter: in_sections,
    dspy.JSONAdapter: in_json,
    dspy.XMLAdapter: in_tags,
}


def listener_for(adapter: dspy.Adapter, field: str, predict: dspy.Predict, name: str) -> Listener | None:
    """A fresh listener to replies in the form that ``adapter`` asks for; None when nobody can read them in pieces."""
    if isinstance(adapter, CanListen):
        return adapter.listener(field, predict, name)
    read = _READINGS.get(type(adapter))  # a subclass may ask for something else
    return None if read is None else _TextListener(field, predict, name, read)


class _TextListener:
    """Listens to DSPy's own adapters.

    DSPy's ``StreamListener`` (3.4) shows quotes and escapes of JSON and XML as they come, and loses text in brackets.
    """

    def __init__(self, field: str, predict: dspy.Predict, name: str, read: Callable[[str, str], Reading]) -> None:
        self._field = field
        self._name = name
        self._read = read
        self._annotation = own_signature(predict).output_fields[field].annotation
        self._reply = ""
        self._shown = 0
        self._ended = False

    def receive(self, chunk: Any) -> Any:
        """What is certain of the field now and was not before."""
        if self._ended or not getattr(chunk, "choices", None):
            return None
        native = _native(chunk, self._annotation)
        if native:
            return self._response(native)
        self._reply += chunk.choices[0].delta.content or ""
        text, self._ended = self._read(self._reply, self._field)
        piece = text[self._shown :]
        self._shown += len(piece)
        return self._response(piece) if piece or (self._ended and self._shown) else None

    def finalize(self) -> Any:
        """Nothing: what is held back is no text."""
        return None

    def _response(self, piece: Any) -> Any:
        return dspy.streaming.StreamResponse(self._name, self._field, piece, is_last_chunk=self._ended)


def _native(chunk: Any, annotation: Any) -> Any:
    """What a model sends apart from its text, such as its reasoning."""
    if isinstance(annotation, type) and issubclass(annotation, dspy.Type) and annotation.is_streamable():
        return annotation.parse_stream_chunk(chunk)
    return None
