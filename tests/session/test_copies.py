"""Copies of sessions let go of what they were copied from."""

from __future__ import annotations

import copy

import cloudpickle
import dspy
import pytest

from dspy_session import Session, sessionify
from tests.stub_lm import StubModel


class Outer(dspy.Module):
    def __init__(self, inner: dspy.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, question: str) -> dspy.Prediction:
        return self.inner(question=question)


def claims(session: Session) -> int:
    return len(vars(session.predictors()[0])["session_bindings"])


@pytest.mark.parametrize(
    "again",
    [
        copy.copy,
        copy.deepcopy,
        Session.fork,
        lambda s: cloudpickle.loads(cloudpickle.dumps(s)),
        lambda s: sessionify(s.module),
    ],
)
def test_a_copy_of_a_copy_holds_one_claim_on_its_predictor(again) -> None:
    session = sessionify(dspy.Predict("question -> answer"))
    for _ in range(4):
        session = again(session)
    assert claims(session) == 1


@pytest.mark.parametrize("mode", ["deep", "shallow"])
def test_a_session_inside_a_copied_program_is_a_session_of_its_own(mode: str) -> None:
    inner = sessionify(dspy.Predict("question -> answer"))
    with dspy.context(lm=StubModel().lm):
        outer = sessionify(Outer(inner), copy_mode=mode)
        outer(question="one")
        outer(question="two")
    assert len(inner) == 0
    assert len(outer.module.inner) == 2
    assert outer.module.inner.module is not inner.module


def test_a_shallow_copy_shares_what_its_modules_hold() -> None:
    program = dspy.Predict("question -> answer")
    program.demos = [{"question": "q", "answer": "a"}]
    session = sessionify(program, copy_mode="shallow")
    assert session.module is not program
    assert session.module.demos == program.demos
    assert type(program) is dspy.Predict
