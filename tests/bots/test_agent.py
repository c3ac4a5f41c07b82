"""An agent made ready: what people are told of its model."""

from __future__ import annotations

import dspy

from dspy_session_bots.agent import ready
from tests.stub_lm import StubModel


class Echo(dspy.Module):
    def forward(self, message: str) -> str:
        return message


class Two(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = dspy.Predict("message -> draft")
        self.second = dspy.Predict("draft -> reply")
        self.first.lm = StubModel(model="stub/first").lm

    def forward(self, message: str) -> dspy.Prediction:
        return self.second(draft=self.first(message=message).draft)


def test_it_says_which_models_answer() -> None:
    with dspy.context(lm=StubModel(model="stub/usual").lm):
        assert ready(dspy.Predict("message -> reply"), None, None, None).model_name == "stub/usual"
        agent = ready(Two(), None, None, None)
        assert agent.model_name == "stub/first, stub/usual"
        assert agent.model is None
    assert ready(Echo(), None, None, None).model_name == "no model that we know of"


def test_it_finds_the_fields_once() -> None:
    agent = ready(Echo(), None, None, None)
    assert (agent.fields.message, agent.fields.reply) == ("message", None)
