"""Which fields of an agent a chat uses."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import dspy
import pytest

from dspy_session import ConfigurationError, sessionify
from dspy_session_chat import Attachment
from dspy_session_chat.fields import AgentFields
from tests.chat.places import message

NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


def fields(agent: dspy.Module, **chosen: Any) -> AgentFields:
    return AgentFields.of(sessionify(agent), **chosen)


@pytest.mark.parametrize(
    ("agent", "found"),
    [
        (dspy.Predict("message -> reply"), ("message", "reply")),
        (dspy.ChainOfThought("question -> answer"), ("question", "answer")),
        (dspy.ReAct("user -> assistant", tools=[]), ("user", "assistant")),
        (dspy.Predict("message, count: int -> reply, score: float"), None),
        (dspy.Predict("message, author, now -> reply, citations: list[str]"), ("message", "reply")),
        (dspy.Predict("message, history: dspy.History -> reply"), ("message", "reply")),
    ],
)
def test_one_text_in_and_one_text_out_are_found(agent: dspy.Module, found: tuple[str, str] | None) -> None:
    if found is None:
        with pytest.raises(ConfigurationError, match="also needs count"):
            fields(agent)
    else:
        assert (fields(agent).message, fields(agent).reply) == found


@pytest.mark.parametrize(
    ("signature", "chosen", "says"),
    [
        ("a, b -> reply", {}, "2 text inputs (a, b): choose one with input_field='a'"),
        ("message -> x, y", {}, "2 text outputs (x, y): choose one with output_field='x'"),
        ("message -> reply", {"input_field": "massage"}, "no input 'massage'; it has message"),
        ("message -> reply", {"output_field": "answer"}, "no output 'answer'; it has reply"),
        ("count: int -> reply", {}, "no input that is text; it has count"),
        ("message -> count: int", {}, "no output that is text; it has count"),
        ("a, b -> reply", {"input_field": "a"}, "also needs b"),
    ],
)
def test_what_is_not_clear_is_said_in_one_line(signature: str, chosen: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        fields(dspy.Predict(signature), **chosen)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_choice_is_taken() -> None:
    class Two(dspy.Signature):
        text: str = dspy.InputField()
        tone: str = dspy.InputField(default="kind")
        long: str = dspy.OutputField()
        short: str = dspy.OutputField()

    found = fields(dspy.Predict(Two), input_field="text", output_field="short")
    assert (found.message, found.reply) == ("text", "short")
    assert found.inputs(message("hello"), NOW) == {"text": "hello"}


def test_what_the_chat_knows_is_filled_in() -> None:
    class Everything(dspy.Signature):
        message: str = dspy.InputField()
        author: str = dspy.InputField()
        channel: str = dspy.InputField()
        platform: str = dspy.InputField()
        attachments: list[str] = dspy.InputField()
        now: datetime = dspy.InputField()
        reply: str = dspy.OutputField()

    from dataclasses import replace

    inbound = replace(message("hello"), attachments=(Attachment("a.png", "image/png", 12), Attachment("b")))
    assert fields(dspy.Predict(Everything)).inputs(inbound, NOW) == {
        "message": "hello",
        "author": "Ann",
        "channel": "general",
        "platform": "place",
        "attachments": ["a.png (image/png, 12 bytes)", "b (unknown type, 0 bytes)"],
        "now": NOW,
    }


def test_times_and_attachments_as_text() -> None:
    found = fields(dspy.Predict("message, now, attachments -> reply"))
    inputs = found.inputs(message("hello"), NOW)
    assert (inputs["now"], inputs["attachments"]) == ("2026-05-06T07:08:09+00:00", "")


class Composed(dspy.Module):
    def forward(self, text: str, channel: str, depth: int = 3) -> Any:
        return self.result


def test_a_composed_program_is_read_from_its_forward() -> None:
    found = fields(Composed())
    assert (found.message, found.reply, list(found.context)) == ("text", None, ["channel"])


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("just text", "just text"),
        (dspy.Prediction(answer="a", reasoning="r", score=1.0), "a"),
        ({"answer": "a", "trajectory": {}}, "a"),
    ],
)
def test_the_answer_is_found_in_what_came_back(result: Any, text: str) -> None:
    assert fields(Composed()).text(result) == text


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (dspy.Prediction(a="1", b="2"), "2 text outputs (a, b)"),
        ({"n": 1}, "no output that is text; it has n"),
        (7, "it has none"),
    ],
)
def test_an_unclear_answer_is_said(result: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match="output") as caught:
        fields(Composed()).text(result)
    assert says in str(caught.value)


def test_a_missing_answer_is_said() -> None:
    found = fields(dspy.Predict("message -> reply"))
    with pytest.raises(ConfigurationError, match="returned no 'reply' \\(it returned other\\)"):
        found.text(dspy.Prediction(other="x"))
    assert found.text(dspy.Prediction(reply=None)) == ""
