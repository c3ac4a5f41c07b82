"""An adapter of one's own streams when it brings a listener of its own."""

from __future__ import annotations

from typing import Any

import dspy
from dspy.streaming import StreamResponse

from dspy_session import Session
from tests.stub_lm import StubModel


class Whole:
    """Everything that the model says is the field."""

    def __init__(self, field: str, predict: dspy.Predict, name: str) -> None:
        self.predict = predict
        self._field, self._name = field, name

    def receive(self, chunk: Any) -> StreamResponse | None:
        text = chunk.choices[0].delta.content
        return StreamResponse(self._name, self._field, text, is_last_chunk=False) if text else None

    def finalize(self) -> StreamResponse:
        return StreamResponse(self._name, self._field, ".", is_last_chunk=True)


class Bare(dspy.ChatAdapter):
    """Asks as ChatAdapter does and takes the whole answer; DSPy's own listener refuses subclasses."""

    def parse(self, signature: type[dspy.Signature], completion: str) -> dict[str, Any]:
        return dict.fromkeys(signature.output_fields, completion)


class BareListening(Bare):
    def listener(self, field: str, predict: dspy.Predict, name: str) -> Whole:
        return Whole(field, predict, name)


async def streamed(adapter: dspy.Adapter) -> list[Any]:
    session = Session(dspy.ChainOfThought("question -> answer"))
    with dspy.context(lm=StubModel(lambda prompt: ["one ", "two ", "three"]).lm, adapter=adapter):
        return [item async for item in session.astream("answer", question="Count!")]


async def test_its_listener_reads_the_chunks() -> None:
    *pieces, result = await streamed(BareListening())
    assert [piece.chunk for piece in pieces] == ["one ", "two ", "three", "."]
    assert {piece.predict_name for piece in pieces} == {"predict"}
    assert result.answer == "one two three"


async def test_without_one_only_the_result_comes() -> None:
    [result] = await streamed(Bare())
    assert result.answer == "one two three"
