"""The adapter for small models: what it shows, what it takes, and how that streams."""

from __future__ import annotations

from types import SimpleNamespace

import dspy
import pytest
from dspy.streaming import StreamResponse
from hypothesis import given
from hypothesis import strategies as st

from dspy_session import ConfigurationError, Session
from dspy_session_bots.plain_text import PlainText
from tests.stub_lm import StubModel

SIGNATURE = dspy.make_signature("message -> reply", "Be brief.")


async def test_a_conversation_reads_as_a_chat() -> None:
    agent = dspy.Predict(SIGNATURE)
    agent.demos = [dspy.Example(message="a demo", reply="shown")]
    session, stub = Session(agent), StubModel(lambda prompt: f" You said {prompt.last!r}. \n")
    with dspy.context(lm=stub.lm, adapter=PlainText()):
        assert session(message="one").reply == "You said 'one'."
        await session.acall(message="two")
    for prompt, before in zip(stub.prompts, ((), ("one", "You said 'one'.")), strict=True):
        assert prompt.system == "Be brief."
        assert [message["content"] for message in prompt.messages] == ["a demo", "shown", *before, prompt.last]
        assert [message["role"] for message in prompt.messages] == ["user", "assistant"] * (1 + len(before) // 2) + [
            "user"
        ]


def test_several_inputs_keep_their_names() -> None:
    stub = StubModel(lambda prompt: "fine")
    with dspy.context(lm=stub.lm, adapter=PlainText()):
        dspy.Predict("message, author -> reply")(message="hello", author="Ada")
    assert stub.prompts[0].last == "message: hello\nauthor: Ada"


def test_what_it_cannot_hold_is_refused() -> None:
    with (
        dspy.context(lm=StubModel().lm, adapter=PlainText()),
        pytest.raises(ConfigurationError, match="one text output, not a, b"),
    ):
        dspy.Predict("message -> a, b")(message="hello")


async def pieces_of(chunks: list[str]) -> tuple[list[str], str]:
    session = Session(dspy.Predict(SIGNATURE))
    with dspy.context(lm=StubModel(lambda prompt: chunks).lm, adapter=PlainText()):
        *pieces, result = [item async for item in session.astream("reply", message="?")]
    assert all(isinstance(piece, StreamResponse) and piece.signature_field_name == "reply" for piece in pieces)
    return [piece.chunk for piece in pieces], result.reply


async def test_it_streams_as_it_comes() -> None:
    assert await pieces_of(["\n ", "Once ", "upon", " a time", ".\n\n", "  "]) == (
        ["Once", " upon", " a time", "."],
        "Once upon a time.",
    )


@given(st.lists(st.text(" \nab", max_size=4), min_size=1, max_size=8).filter(lambda chunks: "".join(chunks).strip()))
def test_what_streams_is_what_is_returned(chunks: list[str]) -> None:
    listener = PlainText().listener("reply", dspy.Predict(SIGNATURE), "self")
    received = [listener.receive(_chunk(text)) for text in chunks]
    assert "".join(piece.chunk for piece in received if piece) == PlainText().parse(SIGNATURE, "".join(chunks))["reply"]
    assert listener.finalize() is None


def _chunk(text: str) -> object:
    return SimpleNamespace(choices=[SimpleNamespace(delta=SimpleNamespace(content=text))])
